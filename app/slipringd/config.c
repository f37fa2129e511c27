#include "config.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

static const struct key keys[] = {
#define KEY(field, path, kind, preset, min, max, more, help) \
	{ path, KIND_##kind, offsetof(struct config, field), sizeof(((struct config *)0)->field), \
	  min, max, more, preset, help },
#include "config.def"
#undef KEY
};

_Static_assert((int)CONFIG_KEY_COUNT <= (int)SCHEMA_KEYS_MAX, "raise SCHEMA_KEYS_MAX");

/* Variables with our prefix that are no keys: of the CLI, the lab (LAB, LAB_...) and this file. */
static const char *const other_variables[] = { "CONFIG", "PROFILES", "HOST", "PORT", "KEY_FILE", "LAB", "BUILD", NULL };

struct schema
config_schema(uint64_t ram_bytes)
{
	return (struct schema){ "configuration", keys, CONFIG_KEY_COUNT, ram_bytes };
}

void
config_environment_name(const char *path, char *text, size_t size)
{
	size_t at = (size_t)snprintf(text, size, "SLIPRING_");

	for (; *path && at + 3 < size; path++) {
		if (*path == '.')
			text[at++] = '_';
		text[at++] = *path == '.' ? '_' : (char)toupper((unsigned char)*path);
	}
	text[at] = '\0';
}

void
config_flag_name(const char *path, char *text, size_t size)
{
	size_t at = (size_t)snprintf(text, size, "--");

	for (; *path && at + 2 < size; path++)
		text[at++] = *path == '_' ? '-' : *path;
	text[at] = '\0';
}

/* SCHEMA path of a variable's or flag's name: lower case, "__" to ".", "-" to "_". */
static void
path_of(const char *name, bool variable, char *path, size_t size)
{
	size_t at = 0;

	for (; *name && at + 1 < size; name++) {
		bool dot = variable && name[0] == '_' && name[1] == '_';

		path[at++] = dot ? '.' : *name == '-' ? '_' : (char)tolower((unsigned char)*name);
		name += dot;
	}
	path[at] = '\0';
}

void
config_place(const struct config *config, const struct schema *schema, uint32_t index, char *text, size_t size)
{
	const struct origin *origin = &config->origins[index];
	const char *path = schema->keys[index].path;

	switch (origin->source) {
	case SOURCE_FILE:
		snprintf(text, size, "%.80s:%u:%u", config->file, origin->line, origin->column);
		return;
	case SOURCE_ENVIRONMENT:
		config_environment_name(path, text, size);
		return;
	case SOURCE_FLAG:
		config_flag_name(path, text, size);
		return;
	case SOURCE_DEFAULT:
		snprintf(text, size, "default");
		return;
	}
}

/* Sets a key from one text of the environment or a flag. */
static void
override(const struct schema *schema, struct config *config, uint32_t index, enum source source,
    const char *text, struct problems *problems)
{
	char place[PLACE_SIZE];
	struct why why;

	config->origins[index] = (struct origin){ source, 0, 0 };
	if (schema_set_text(schema, index, config, text, &why))
		return;
	config_place(config, schema, index, place, sizeof place);
	schema_problem(schema, index, place, &why, problems);
}

static bool
is_other_variable(const char *name, size_t len)
{
	if (len > 4 && memcmp(name, "LAB_", 4) == 0)
		return true;
	for (const char *const *other = other_variables; *other; other++)
		if (strlen(*other) == len && memcmp(*other, name, len) == 0)
			return true;
	return false;
}

/* A stranger in the environment is only warned of: it may belong to somebody else. */
static void
read_environment(const struct schema *schema, struct config *config, char *const *environment,
    struct problems *problems)
{
	static const char prefix[] = "SLIPRING_";
	char name[2 * SCHEMA_PATH_SIZE], path[2 * SCHEMA_PATH_SIZE];

	for (; *environment; environment++) {
		const char *variable = *environment + sizeof prefix - 1, *value = strchr(*environment, '=');

		if (strncmp(*environment, prefix, sizeof prefix - 1) != 0 || !value ||
		    is_other_variable(variable, (size_t)(value - variable)))
			continue;
		snprintf(name, sizeof name, "%.*s", (int)(value - variable), variable);
		path_of(name, true, path, sizeof path);
		int index = schema_find(schema, path);
		if (index >= 0) {
			override(schema, config, (uint32_t)index, SOURCE_ENVIRONMENT, value + 1, problems);
			continue;
		}
		const char *near = schema_suggest(schema, path);
		char meant[2 * SCHEMA_PATH_SIZE] = "";
		if (near)
			config_environment_name(near, meant, sizeof meant);
		problems_add(problems, true, "environment: SLIPRING_%s is no key%s%s%s", name,
		    near ? "; did you mean " : "", meant, near ? "?" : " and is ignored");
	}
}

/* A flag in parts: --name, --name=value, --no-name. */
struct flag {
	const char *text;  /* as given */
	char name[2 * SCHEMA_PATH_SIZE]; /* without dashes and value */
	char path[2 * SCHEMA_PATH_SIZE];
	const char *value; /* behind "=", or NULL */
};

static void
split_flag(const char *text, struct flag *flag)
{
	const char *name = text + 2, *equals = strchr(name, '=');

	flag->text = text;
	flag->value = equals ? equals + 1 : NULL;
	snprintf(flag->name, sizeof flag->name, "%.*s", equals ? (int)(equals - name) : (int)strlen(name), name);
	path_of(flag->name, false, flag->path, sizeof flag->path);
}

/* Shorter names for what people type most. */
static const struct {
	const char *name;
	enum config_key key;
} short_flags[] = {
	{ "join", CONFIG_cluster_seed_nodes },
	{ "advertise-addr", CONFIG_cluster_gossip_addr },
	{ "gossip-interval", CONFIG_cluster_gossip_interval },
};

static int
find_flag(const struct schema *schema, const struct flag *flag)
{
	for (size_t i = 0; i < sizeof short_flags / sizeof *short_flags; i++)
		if (strcmp(flag->name, short_flags[i].name) == 0)
			return short_flags[i].key;
	return schema_find(schema, flag->path);
}

/* --join adds a seed to those of earlier ones, and who joins wants to be in a cluster. */
static void
join(const struct schema *schema, struct config *config, const char *value, struct problems *problems)
{
	struct texts before = { .count = 0 }, *seeds = &config->cluster_seed_nodes;

	if (config->origins[CONFIG_cluster_seed_nodes].source == SOURCE_FLAG)
		before = *seeds;
	override(schema, config, CONFIG_cluster_seed_nodes, SOURCE_FLAG, value, problems);
	if (config->origins[CONFIG_cluster_enabled].source != SOURCE_FLAG)
		override(schema, config, CONFIG_cluster_enabled, SOURCE_FLAG, "true", problems);
	for (uint32_t i = 0; i < seeds->count && before.count < VALUE_LIST_MAX; i++)
		memcpy(before.values[before.count++], seeds->values[i], sizeof before.values[0]);
	*seeds = before;
}

static bool
is_bool_word(const char *text)
{
	struct why why;
	bool flag;

	return text && value_bool_parse(text, &flag, &why);
}

static void
unknown_flag(const struct schema *schema, const struct flag *flag, struct problems *problems)
{
	const char *near = schema_suggest(schema, flag->path);
	char meant[2 * SCHEMA_PATH_SIZE] = "";

	if (near)
		config_flag_name(near, meant, sizeof meant);
	problems_add(problems, false, "--%s: unknown flag%s%s%s", flag->name,
	    near ? "; did you mean " : "; --help lists them", meant, near ? "?" : "");
}

/* Applies one key's flag; returns arguments used. A bool needs no value; --no-x is false. */
static int
key_flag(const struct schema *schema, struct config *config, struct flag *flag, const char *next,
    struct problems *problems)
{
	int index = find_flag(schema, flag), used = 1;
	const char *value = flag->value;

	if (strcmp(flag->name, "no-huge") == 0 && !value) {
		index = CONFIG_huge_pages;
		value = "no";
	} else if (index < 0 && !value && strncmp(flag->path, "no_", 3) == 0) {
		index = schema_find(schema, flag->path + 3);
		index = index >= 0 && schema->keys[index].kind == KIND_BOOL ? index : -1;
		value = "false";
	}
	if (index < 0) {
		unknown_flag(schema, flag, problems);
		return next && next[0] != '-' && !flag->value ? 2 : 1;
	}
	if (!value && schema->keys[index].kind == KIND_BOOL && !is_bool_word(next))
		value = "true";
	if (!value) {
		value = next;
		used = 2;
	}
	if (!value)
		problems_add(problems, false, "%s: a value must follow", flag->text);
	else if (strcmp(flag->name, "join") == 0)
		join(schema, config, value, problems);
	else
		override(schema, config, (uint32_t)index, SOURCE_FLAG, value, problems);
	return used;
}

static const struct {
	const char *name;
	enum config_action action;
} actions[] = {
	{ "check-config", CONFIG_CHECK },
	{ "print-config", CONFIG_PRINT },
	{ "help", CONFIG_HELP },
	{ "version", CONFIG_VERSION },
	{ "dump-config-scd", CONFIG_MANUAL },
	{ "dump-http-md", CONFIG_HTTP },
};

static bool
action_flag(const struct flag *flag, enum config_action *action)
{
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
		if (flag->value || strcmp(flag->name, actions[i].name) != 0)
			continue;
		*action = actions[i].action;
		return true;
	}
	return false;
}

/* One pass looks for the file and the action only, the later one sets keys: flags override the file. */
static void
read_flags(const struct schema *schema, struct config *config, int argc, char *const *argv, bool set_keys,
    enum config_action *action, struct problems *problems)
{
	for (int i = 1; i < argc;) {
		const char *text = strcmp(argv[i], "-c") == 0 ? "--config" :
		    strcmp(argv[i], "-h") == 0 ? "--help" : argv[i];
		const char *next = i + 1 < argc ? argv[i + 1] : NULL;
		struct flag flag;

		if (strncmp(text, "--", 2) != 0 || !text[2]) {
			if (set_keys)
				problems_add(problems, false, "'%.80s': unexpected argument; a configuration file "
				    "is given as --config FILE", text);
			i++;
			continue;
		}
		split_flag(text, &flag);
		if (action_flag(&flag, action)) {
			i++;
		} else if (strcmp(flag.name, "config") == 0) {
			const char *file = flag.value ? flag.value : next;

			if (file)
				snprintf(config->file, sizeof config->file, "%s", file);
			else if (set_keys)
				problems_add(problems, false, "--config: the name of a file must follow");
			i += flag.value ? 1 : 2;
		} else {
			/* The same steps on a scratch copy, so that both passes see the same flags. */
			struct config scratch = { .file = "" };
			struct problems ignored = { 0 };

			i += set_keys ? key_flag(schema, config, &flag, next, problems) :
			    key_flag(schema, &scratch, &flag, next, &ignored);
		}
	}
}

static const char *
find_variable(char *const *environment, const char *name)
{
	size_t len = strlen(name);

	for (; *environment; environment++)
		if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=')
			return *environment + len + 1;
	return NULL;
}

void
config_load(struct config *config, int argc, char *const *argv, char *const *environment,
    enum config_action *action, struct problems *problems)
{
	uint64_t ram_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	struct schema schema = config_schema(ram_bytes);
	const char *variable = find_variable(environment, "SLIPRING_CONFIG");

	memset(config, 0, sizeof *config);
	*action = CONFIG_RUN;
	schema_defaults(&schema, config);
	read_flags(&schema, config, argc, argv, false, action, problems);
	if (*action == CONFIG_HELP || *action == CONFIG_VERSION || *action == CONFIG_MANUAL || *action == CONFIG_HTTP)
		return;
	if (!*config->file && variable)
		snprintf(config->file, sizeof config->file, "%s", variable);
	if (!*config->file && access(CONFIG_FILE_DEFAULT, F_OK) == 0)
		snprintf(config->file, sizeof config->file, "%s", CONFIG_FILE_DEFAULT);
	if (*config->file)
		schema_read_file(&schema, config->file, config, config->origins, problems);
	read_environment(&schema, config, environment, problems);
	read_flags(&schema, config, argc, argv, true, action, problems);
	config_verify(&schema, config, problems);
}
