#include "schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"

void
problems_add(struct problems *problems, bool warning, const char *format, ...)
{
	va_list arguments;

	problems->errors += !warning;
	if (problems->count == PROBLEMS_MAX)
		return;
	struct problem *problem = &problems->list[problems->count++];
	problem->warning = warning;
	va_start(arguments, format);
	vsnprintf(problem->text, sizeof problem->text, format, arguments);
	va_end(arguments);
	for (char *at = problem->text; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 127)
			*at = '?'; /* a problem quotes its input and stays one line */
}

enum status
problems_error(const struct problems *problems, struct error *error)
{
	for (uint32_t i = 0; i < problems->count; i++)
		if (!problems->list[i].warning)
			return error_set(error, STATUS_INVALID, "%s", problems->list[i].text);
	return problems->errors ? error_set(error, STATUS_INVALID, "invalid") : STATUS_OK;
}

int
schema_find(const struct schema *schema, const char *path)
{
	for (uint32_t i = 0; i < schema->count; i++)
		if (strcmp(schema->keys[i].path, path) == 0)
			return (int)i;
	return -1;
}

bool
schema_is_group(const struct schema *schema, const char *path)
{
	size_t len = strlen(path);

	for (uint32_t i = 0; i < schema->count; i++)
		if (strncmp(schema->keys[i].path, path, len) == 0 && schema->keys[i].path[len] == '.')
			return true;
	return false;
}

/* Edit distance in insertions, deletions and replacements (Levenshtein, one row). */
static uint32_t
distance(const char *a, const char *b)
{
	uint32_t row[SCHEMA_PATH_SIZE + 1];
	size_t b_len = strlen(b);

	for (size_t j = 0; j <= b_len; j++)
		row[j] = (uint32_t)j;
	for (size_t i = 0; a[i]; i++) {
		uint32_t corner = row[0];

		row[0] = (uint32_t)i + 1;
		for (size_t j = 0; j < b_len; j++) {
			uint32_t above = row[j + 1];
			uint32_t best = corner + (a[i] != b[j]);

			best = above + 1 < best ? above + 1 : best;
			row[j + 1] = row[j] + 1 < best ? row[j] + 1 : best;
			corner = above;
		}
	}
	return row[b_len];
}

const char *
schema_suggest(const struct schema *schema, const char *path)
{
	const char *best = NULL, *last = strrchr(path, '.');
	uint32_t least = 3; /* more edits than two are another word */

	if (strlen(path) >= SCHEMA_PATH_SIZE)
		return NULL;
	last = last ? last + 1 : path;
	for (uint32_t i = 0; i < schema->count; i++) {
		const char *key = schema->keys[i].path, *leaf = strrchr(key, '.');
		uint32_t near = distance(path, key);

		/* The right word in the wrong group. */
		if (strcmp(leaf ? leaf + 1 : key, last) == 0)
			near = near > 1 ? 1 : near;
		if (near < least && near < strlen(path)) {
			least = near;
			best = key;
		}
	}
	return best;
}

/* Index of `text` among "first|second|third", or -1. */
static int
choice_index(const char *choices, const char *text)
{
	size_t len = strlen(text);

	for (int i = 0;; i++) {
		size_t n = strcspn(choices, "|");

		if (n == len && strncasecmp(choices, text, len) == 0)
			return i;
		if (!choices[n])
			return -1;
		choices += n + 1;
	}
}

static bool
in_range(const struct key *key, uint64_t value, const char *text, struct why *why)
{
	if (value >= key->min && value <= key->max)
		return true;
	return value_refuse(why, "%s is out of range", text);
}

static bool
set_text(const struct key *key, char *field, const char *text, struct why *why)
{
	size_t len = strlen(text);

	if (len >= key->size || len > key->max)
		return value_refuse(why, "'%.40s...' has %zu bytes", text, len);
	if (len < key->min)
		return value_refuse(why, "the text is empty");
	for (const char *at = text; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 127)
			return value_refuse(why, "the text has a control character in it");
	memcpy(field, text, len + 1);
	return true;
}

static bool
set_number(const struct key *key, void *field, const char *text, struct why *why)
{
	uint64_t number;

	if (key->more && strcmp(key->more, "auto") == 0 && strcmp(text, "auto") == 0)
		number = NUMBER_AUTO;
	else if (!value_number_parse(text, &number, why) || !in_range(key, number, text, why))
		return false;
	CHECK(key->size == 2 || key->size == 4);
	memcpy(field, &number, key->size); /* little-endian, asserted in bytes.h */
	return true;
}

static bool
set_size(const struct schema *schema, const struct key *key, uint64_t *field, const char *text, struct why *why)
{
	char number[24];
	size_t len = strlen(text);
	uint64_t bytes;

	if (len && text[len - 1] == '%' && key->more && len < sizeof number) {
		memcpy(number, text, len - 1);
		number[len - 1] = '\0';
		if (!value_number_parse(number, &bytes, why))
			return false;
		if (bytes < 1 || bytes > 100)
			return value_refuse(why, "%s is not 1%%..100%% of the RAM", text);
		bytes = schema->ram_bytes / 100 * bytes / (1 << 20) * (1 << 20);
	} else if (!value_size_parse(text, &bytes, why)) {
		return false;
	}
	if (!in_range(key, bytes, text, why))
		return false;
	*field = bytes;
	return true;
}

static bool
set_duration(const struct key *key, uint64_t *field, const char *text, struct why *why)
{
	uint64_t ns;

	if (!value_duration_parse(text, &ns, why) || !in_range(key, ns, text, why))
		return false;
	*field = ns;
	return true;
}

static bool
set_choice(const struct key *key, uint32_t *field, const char *text, struct why *why)
{
	int index = choice_index(key->more, text);

	if (index < 0)
		return value_refuse(why, "'%.40s' is not one of the choices", text);
	*field = (uint32_t)index;
	return true;
}

/* Kinds of one value. An empty text means "none" where the header says so. */
static bool
set_single(const struct schema *schema, const struct key *key, void *field, const char *text, struct why *why)
{
	switch (key->kind) {
	case KIND_TEXT:
		return set_text(key, field, text, why);
	case KIND_NAME:
		return value_name_parse(text, field, why);
	case KIND_CHOICE:
		return set_choice(key, field, text, why);
	case KIND_BOOL:
		return value_bool_parse(text, field, why);
	case KIND_NUMBER:
		return set_number(key, field, text, why);
	case KIND_SIZE:
		return set_size(schema, key, field, text, why);
	case KIND_DURATION:
		return set_duration(key, field, text, why);
	case KIND_IPV4_PREFIX:
		if (!*text)
			memset(field, 0, key->size);
		return !*text || value_ipv4_prefix_parse(text, field, why);
	case KIND_MAC:
		if (!*text)
			memset(field, 0, key->size);
		return !*text || value_mac_parse(text, field, why);
	default:
		CHECK(!"a kind of list");
	}
}

static bool
is_list(enum kind kind)
{
	return kind == KIND_NUMBERS || kind == KIND_TEXTS || kind == KIND_PREFIXES;
}

/* A list's fields start with their count; each value is parsed, then all are written. */
static bool
set_list(const struct key *key, void *field, const struct given *given, struct why *why)
{
	union {
		struct numbers numbers;
		struct texts texts;
		struct prefixes prefixes;
	} list = { .numbers.count = given->count };

	if (given->count > VALUE_LIST_MAX)
		return value_refuse(why, "%u values are more than %d", given->count, VALUE_LIST_MAX);
	for (uint32_t i = 0; i < given->count; i++) {
		const char *text = given->texts[i];
		uint64_t number;

		if (key->kind == KIND_NUMBERS) {
			if (!value_number_parse(text, &number, why) || !in_range(key, number, text, why))
				return false;
			list.numbers.values[i] = (uint32_t)number;
		} else if (key->kind == KIND_PREFIXES) {
			if (!value_prefix_parse(text, &list.prefixes.values[i], why))
				return false;
		} else {
			struct key item = { .size = VALUE_ITEM_SIZE, .min = 1, .max = VALUE_ITEM_SIZE - 1 };

			if (!set_text(&item, list.texts.values[i], text, why))
				return false;
		}
	}
	CHECK(key->size <= sizeof list);
	memcpy(field, &list, key->size);
	return true;
}

bool
schema_set(const struct schema *schema, uint32_t index, void *object, const struct given *given, struct why *why)
{
	const struct key *key = &schema->keys[index];
	void *field = (char *)object + key->offset;

	if (is_list(key->kind))
		return given->list || given->count != 1 ? set_list(key, field, given, why) :
		    schema_set_text(schema, index, object, given->texts[0], why);
	if (given->list || given->count != 1)
		return value_refuse(why, "a list was given where one value belongs");
	return set_single(schema, key, field, given->texts[0], why);
}

bool
schema_set_text(const struct schema *schema, uint32_t index, void *object, const char *text, struct why *why)
{
	char copy[VALUE_LIST_MAX * VALUE_ITEM_SIZE], *rest = copy;
	const char *parts[VALUE_LIST_MAX + 1];
	struct given given = { .texts = parts, .list = true };

	if (!is_list(schema->keys[index].kind))
		return schema_set(schema, index, object, &(struct given){ &text, 1, false }, why);
	if (strlen(text) >= sizeof copy)
		return value_refuse(why, "the list is too long");
	strcpy(copy, text);
	while (*text && given.count <= VALUE_LIST_MAX) {
		char *part = strsep(&rest, ",");

		if (!part)
			break;
		part += strspn(part, " ");
		for (size_t len = strlen(part); len && part[len - 1] == ' '; len--)
			part[len - 1] = '\0';
		parts[given.count++] = part;
	}
	return schema_set(schema, index, object, &given, why);
}

void
schema_defaults(const struct schema *schema, void *object)
{
	struct why why;

	CHECK(schema->count <= SCHEMA_KEYS_MAX);
	for (uint32_t i = 0; i < schema->count; i++)
		CHECK(schema_set_text(schema, i, object, schema->keys[i].preset, &why));
}

void
schema_problem(const struct schema *schema, uint32_t index, const char *place, const struct why *why,
    struct problems *problems)
{
	const struct key *key = &schema->keys[index];
	char allowed[160];

	schema_allowed(key, allowed, sizeof allowed);
	problems_add(problems, false, "%s: %s: %s (allowed: %s)", place, key->path, why->text, allowed);
}
