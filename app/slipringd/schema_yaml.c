/*
 * Reads YAML into a schema's object. libyaml builds the document tree and its
 * marks give line and column; aliases are resolved by it, and cycles do no harm
 * because only known paths are walked. Unknown things are problems, never ignored.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#include "schema.h"

struct walk {
	const struct schema *schema;
	const char *name; /* of the file */
	yaml_document_t *document;
	void *object;
	struct origin *origins;
	struct problems *problems;
};

static void
place_print(const struct walk *walk, const yaml_mark_t *mark, char place[PLACE_SIZE])
{
	snprintf(place, PLACE_SIZE, "%.90s:%zu:%zu", walk->name, mark->line + 1, mark->column + 1);
}

static void
problem_at(const struct walk *walk, const yaml_mark_t *mark, const char *text)
{
	char place[PLACE_SIZE];

	place_print(walk, mark, place);
	problems_add(walk->problems, false, "%s: %s", place, text);
}

/* The scalar's text, or NULL when it is none or holds a NUL. */
static const char *
scalar_text(const yaml_node_t *node)
{
	if (node->type != YAML_SCALAR_NODE || memchr(node->data.scalar.value, 0, node->data.scalar.length))
		return NULL;
	return (const char *)node->data.scalar.value;
}

/* "key:" with nothing behind it, or null: most likely a line somebody meant to finish. */
static bool
is_null(const yaml_node_t *node, const char *text)
{
	return node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	    (!*text || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0);
}

/* Texts of a scalar or of a sequence of scalars. */
static bool
collect(const struct walk *walk, yaml_node_t *node, const char **texts, struct given *given, struct why *why)
{
	if (node->type == YAML_MAPPING_NODE)
		return value_refuse(why, "a group of keys was given where a value belongs");
	if (node->type == YAML_SCALAR_NODE) {
		texts[0] = scalar_text(node);
		*given = (struct given){ texts, 1, false };
		if (!texts[0])
			return value_refuse(why, "the text has a NUL in it");
		return !is_null(node, texts[0]) ||
		    value_refuse(why, "no value was given; remove the line for the default, or write \"\" for none");
	}
	*given = (struct given){ texts, 0, true };
	for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++) {
		yaml_node_t *one = yaml_document_get_node(walk->document, *item);

		if (given->count == VALUE_LIST_MAX)
			return value_refuse(why, "the list has more than %d values", VALUE_LIST_MAX);
		texts[given->count] = scalar_text(one);
		if (!texts[given->count] || is_null(one, texts[given->count]))
			return value_refuse(why, "value %u of the list is no text or number", given->count + 1);
		given->count++;
	}
	return true;
}

static void
read_value(const struct walk *walk, uint32_t index, yaml_node_t *key, yaml_node_t *value)
{
	struct origin *origin = &walk->origins[index];
	const char *texts[VALUE_LIST_MAX];
	char place[PLACE_SIZE];
	struct given given;
	struct why why;

	if (origin->source == SOURCE_FILE) {
		place_print(walk, &key->start_mark, place);
		problems_add(walk->problems, false, "%s: %s is given twice; first in line %u", place,
		    walk->schema->keys[index].path, origin->line);
		return;
	}
	*origin = (struct origin){ SOURCE_FILE, (uint32_t)value->start_mark.line + 1,
		(uint32_t)value->start_mark.column + 1 };
	if (collect(walk, value, texts, &given, &why) &&
	    schema_set(walk->schema, index, walk->object, &given, &why))
		return;
	place_print(walk, &value->start_mark, place);
	schema_problem(walk->schema, index, place, &why, walk->problems);
}

static void
unknown_key(const struct walk *walk, const yaml_mark_t *mark, const char *path)
{
	const char *near = schema_suggest(walk->schema, path);
	char place[PLACE_SIZE];

	place_print(walk, mark, place);
	problems_add(walk->problems, false, "%s: unknown key '%.60s'%s%s%s", place, path,
	    near ? "; did you mean '" : "; --help lists the keys", near ? near : "", near ? "'?" : "");
}

/* Line of an earlier key with this text in the mapping, or 0. */
static size_t
earlier_line(const struct walk *walk, const yaml_node_t *mapping, const yaml_node_pair_t *until, const char *text)
{
	for (yaml_node_pair_t *pair = mapping->data.mapping.pairs.start; pair < until; pair++) {
		yaml_node_t *key = yaml_document_get_node(walk->document, pair->key);
		const char *other = scalar_text(key);

		if (other && strcmp(other, text) == 0)
			return key->start_mark.line + 1;
	}
	return 0;
}

static void read_mapping(const struct walk *walk, yaml_node_t *mapping, const char *group);

static void
read_group(const struct walk *walk, yaml_node_t *mapping, const yaml_node_pair_t *pair, const char *path)
{
	yaml_node_t *key = yaml_document_get_node(walk->document, pair->key);
	yaml_node_t *value = yaml_document_get_node(walk->document, pair->value);
	size_t line = earlier_line(walk, mapping, pair, path);
	char place[PLACE_SIZE];

	if (line) {
		place_print(walk, &key->start_mark, place);
		problems_add(walk->problems, false, "%s: %s is given twice; first in line %zu", place, path, line);
	} else if (value->type != YAML_MAPPING_NODE) {
		place_print(walk, &value->start_mark, place);
		problems_add(walk->problems, false, "%s: %s is a group; its keys belong below it, indented",
		    place, path);
	} else {
		read_mapping(walk, value, path);
	}
}

static void
read_mapping(const struct walk *walk, yaml_node_t *mapping, const char *group)
{
	for (yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
	     pair < mapping->data.mapping.pairs.top && walk->problems->count < PROBLEMS_MAX; pair++) {
		yaml_node_t *key = yaml_document_get_node(walk->document, pair->key);
		yaml_node_t *value = yaml_document_get_node(walk->document, pair->value);
		const char *text = scalar_text(key);
		char path[2 * SCHEMA_PATH_SIZE];

		if (!text) {
			problem_at(walk, &key->start_mark, "a key must be a plain word");
			continue;
		}
		snprintf(path, sizeof path, "%s%s%s", group, *group ? "." : "", text);
		int index = schema_find(walk->schema, path);
		if (index >= 0)
			read_value(walk, (uint32_t)index, key, value);
		else if (!*group && schema_is_group(walk->schema, path))
			read_group(walk, mapping, pair, path);
		else
			unknown_key(walk, &key->start_mark, path);
	}
}

/* libyaml's complaint with its own mark; the reader's (bad UTF-8) has only an offset. */
static void
parser_problem(const struct walk *walk, const yaml_parser_t *parser, const char *bytes, size_t len)
{
	yaml_mark_t mark = parser->problem_mark;
	const char *what = parser->problem ? parser->problem : "out of memory";
	char place[PLACE_SIZE];

	if (parser->error == YAML_READER_ERROR) {
		mark = (yaml_mark_t){ 0, 0, 0 };
		for (size_t i = 0; i < parser->problem_offset && i < len; i++) {
			mark.column = bytes[i] == '\n' ? 0 : mark.column + 1;
			mark.line += bytes[i] == '\n';
		}
	}
	place_print(walk, &mark, place);
	bool tab = mark.index < len && bytes[mark.index] == '\t';
	problems_add(walk->problems, false, "%s: not valid YAML: %s%s%s%s", place, what,
	    parser->context ? " " : "", parser->context ? parser->context : "",
	    tab ? "; indent with blanks, not tabs" : "");
}

/* One document, a mapping at its root; an empty file is all defaults. */
static void
read_document(struct walk *walk, yaml_parser_t *parser, const char *bytes, size_t len)
{
	yaml_document_t document, second;

	if (!yaml_parser_load(parser, &document)) {
		parser_problem(walk, parser, bytes, len);
		return;
	}
	yaml_node_t *root = yaml_document_get_root_node(&document);
	walk->document = &document;
	if (root && root->type == YAML_MAPPING_NODE)
		read_mapping(walk, root, "");
	else if (root)
		problem_at(walk, &root->start_mark, "the file must hold 'key: value' lines");
	yaml_document_delete(&document);
	if (!root)
		return;
	if (!yaml_parser_load(parser, &second)) {
		parser_problem(walk, parser, bytes, len);
		return;
	}
	root = yaml_document_get_root_node(&second);
	if (root)
		problem_at(walk, &root->start_mark, "a second document; one file holds one");
	yaml_document_delete(&second);
}

void
schema_read_yaml(const struct schema *schema, const char *name, const void *bytes, size_t len,
    void *object, struct origin *origins, struct problems *problems)
{
	struct walk walk = { schema, name, NULL, object, origins, problems };
	yaml_parser_t parser;

	if (!yaml_parser_initialize(&parser)) {
		problems_add(problems, false, "%s: out of memory", name);
		return;
	}
	yaml_parser_set_input_string(&parser, bytes, len);
	read_document(&walk, &parser, bytes, len);
	yaml_parser_delete(&parser);
}

static ssize_t
read_all(int fd, char *bytes, size_t size)
{
	size_t len = 0;

	for (;;) {
		ssize_t n = read(fd, bytes + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -1 : (ssize_t)len;
		len += (size_t)n;
		if (len == size) {
			errno = EFBIG;
			return -1;
		}
	}
}

void
schema_read_file(const struct schema *schema, const char *path, void *object,
    struct origin *origins, struct problems *problems)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *bytes = fd < 0 ? NULL : malloc(YAML_SIZE_MAX + 1);
	ssize_t len = bytes ? read_all(fd, bytes, YAML_SIZE_MAX + 1) : -1;

	if (len < 0)
		problems_add(problems, false, "%s: %s", path, strerror(errno));
	else
		schema_read_yaml(schema, path, bytes, (size_t)len, object, origins, problems);
	free(bytes);
	if (fd >= 0)
		close(fd);
}
