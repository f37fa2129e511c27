/* resp_command.c - the table of commands: look-up, arity, key positions, and COMMAND, which tells of it. */
#include <ctype.h>

#include "proto/resp.h"

enum {
	SLOW = RESP_FLAG_SLOW, WRITE = RESP_FLAG_WRITE, READ = RESP_FLAG_READ, FAST = RESP_FLAG_FAST, NO_AUTH = RESP_FLAG_NO_AUTH,
	IN_MULTI = RESP_FLAG_IN_MULTI, CONTAINER = RESP_FLAG_CONTAINER, NUMKEYS = RESP_FLAG_NUMKEYS, ALWAYS_OK = RESP_FLAG_ALWAYS_OK,
};

static const struct resp_command commands[RESP_VERB_COUNT] = {
#define RESP_COMMAND(suffix, text, args, marks, from, to, by, family, release, about, parser, composer) \
	[RESP_##suffix] = { .name = text, .arity = args, .flags = marks, .first = from, .last = to, .step = by, \
		.verb = RESP_##suffix, .group = family, .since = release, .summary = about, \
		.parse = resp_parse_##parser, .compose = resp_compose_##composer },
#include "proto/resp_command.def"
#undef RESP_COMMAND
};

enum { NAME_SIZE = 48 };

const struct resp_command *
resp_command(enum resp_verb verb)
{
	return verb == RESP_NONE ? NULL : &commands[verb];
}

/* By its name in lower case. */
static const struct resp_command *
find(const char *name)
{
	uint32_t low = RESP_NONE + 1, high = RESP_VERB_COUNT;

	while (low < high) {
		uint32_t middle = (low + high) / 2;
		int order = strcmp(name, commands[middle].name);

		if (order == 0)
			return &commands[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

static bool
lower(struct view text, char *name, uint32_t size)
{
	if (text.len >= size || memchr(text.data, 0, text.len) || memchr(text.data, '|', text.len))
		return false;
	for (uint32_t i = 0; i < text.len; i++)
		name[i] = (char)tolower(text.data[i]);
	name[text.len] = 0;
	return true;
}

static bool
is_container(const struct resp_command *command)
{
	return command->flags & RESP_FLAG_CONTAINER;
}

static bool
is_subcommand(const struct resp_command *command)
{
	return strchr(command->name, '|') != NULL;
}

const struct resp_command *
resp_command_find(const struct view *args, uint32_t count, const struct resp_command **container)
{
	const struct resp_command *command;
	char name[NAME_SIZE];
	uint32_t len = args[0].len;

	*container = NULL;
	/* What nearly all commands are. */
	if (len == 3 && (args[0].data[1] | 32) == 'e' && (args[0].data[2] | 32) == 't') {
		if ((args[0].data[0] | 32) == 'g')
			return &commands[RESP_GET];
		if ((args[0].data[0] | 32) == 's')
			return &commands[RESP_SET];
	}
	if (!lower(args[0], name, sizeof name / 2))
		return NULL;
	command = find(name);
	if (!command || !is_container(command) || count == 1)
		return command;
	name[len] = '|';
	*container = command;
	return lower(args[1], name + len + 1, sizeof name - len - 1) ? find(name) : NULL;
}

bool
resp_command_arity(const struct resp_command *command, uint32_t count)
{
	if (command->arity > 0)
		return count == (uint32_t)command->arity;
	return count >= (uint32_t)-command->arity;
}

/* A container without a subcommand. COMMAND alone has a meaning, and a parser of its own. */
void
resp_parse_container(struct resp_parse *p)
{
	resp_refuse(p, RESP_REPLY_ARITY);
}

/* --- COMMAND ------------------------------------------------------------------------ */

static uint32_t
count_of(bool subcommands_of(const struct resp_command *, const struct resp_command *), const struct resp_command *of)
{
	uint32_t count = 0;

	for (uint32_t i = RESP_NONE + 1; i < RESP_VERB_COUNT; i++)
		count += subcommands_of(&commands[i], of);
	return count;
}

static bool
is_top(const struct resp_command *command, const struct resp_command *of)
{
	(void)of;
	return !is_subcommand(command);
}

static bool
is_under(const struct resp_command *command, const struct resp_command *of)
{
	size_t len = strlen(of->name);

	return strncmp(command->name, of->name, len) == 0 && command->name[len] == '|';
}

static void
put_flags(struct resp_compose *c, const struct resp_command *command)
{
	static const struct {
		uint16_t flag;
		const char *name;
	} names[] = {
		{ RESP_FLAG_WRITE, "write" }, { RESP_FLAG_READ, "readonly" }, { RESP_FLAG_FAST, "fast" },
		{ RESP_FLAG_NO_AUTH, "no_auth" }, { RESP_FLAG_IN_MULTI, "allow_busy" }, { RESP_FLAG_NUMKEYS, "movablekeys" },
	};
	uint32_t count = 0;

	for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++)
		count += (command->flags & names[i].flag) != 0;
	resp_set(c, count);
	for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (command->flags & names[i].flag)
			resp_simple(&c->out, names[i].name);
}

static void
put_categories(struct resp_compose *c, const struct resp_command *command)
{
	resp_set(c, 2 + ((command->flags & (RESP_FLAG_WRITE | RESP_FLAG_READ)) != 0));
	if (command->flags & RESP_FLAG_WRITE)
		resp_simple(&c->out, "@write");
	else if (command->flags & RESP_FLAG_READ)
		resp_simple(&c->out, "@read");
	resp_format(&c->out, "+@%s\r\n", strcmp(command->group, "generic") == 0 ? "keyspace" : command->group);
	resp_simple(&c->out, command->flags & RESP_FLAG_FAST ? "@fast" : "@slow");
}

/* Ten elements; tips and key specifications are left empty, as key positions say all there is. */
static void
put_info(struct resp_compose *c, const struct resp_command *command)
{
	resp_array(&c->out, 10);
	resp_bulk_text(&c->out, command->name);
	resp_integer(&c->out, command->arity);
	put_flags(c, command);
	resp_integer(&c->out, command->first);
	resp_integer(&c->out, command->last);
	resp_integer(&c->out, command->step);
	put_categories(c, command);
	resp_array(&c->out, 0);
	resp_array(&c->out, 0);
	if (!is_container(command)) {
		resp_array(&c->out, 0);
		return;
	}
	resp_array(&c->out, count_of(is_under, command));
	for (uint32_t i = RESP_NONE + 1; i < RESP_VERB_COUNT; i++)
		if (is_under(&commands[i], command))
			put_info(c, &commands[i]);
}

static void
put_docs(struct resp_compose *c, const struct resp_command *command)
{
	resp_bulk_text(&c->out, command->name);
	resp_map(c, is_container(command) ? 4 : 3);
	resp_bulk_text(&c->out, "summary");
	resp_bulk_text(&c->out, command->summary);
	resp_bulk_text(&c->out, "since");
	resp_bulk_text(&c->out, command->since);
	resp_bulk_text(&c->out, "group");
	resp_bulk_text(&c->out, command->group);
	if (!is_container(command))
		return;
	resp_bulk_text(&c->out, "subcommands");
	resp_map(c, count_of(is_under, command));
	for (uint32_t i = RESP_NONE + 1; i < RESP_VERB_COUNT; i++)
		if (is_under(&commands[i], command))
			put_docs(c, &commands[i]);
}

/* A command named by an argument, "container|name" included. */
static const struct resp_command *
named(struct view arg)
{
	char name[NAME_SIZE];

	if (arg.len >= sizeof name || memchr(arg.data, 0, arg.len))
		return NULL;
	for (uint32_t i = 0; i < arg.len; i++)
		name[i] = (char)tolower(arg.data[i]);
	name[arg.len] = 0;
	return find(name);
}

static void
put_all(struct resp_compose *c, void (*put)(struct resp_compose *, const struct resp_command *))
{
	for (uint32_t i = RESP_NONE + 1; i < RESP_VERB_COUNT; i++)
		if (!is_subcommand(&commands[i]))
			put(c, &commands[i]);
}

void
resp_compose_command(struct resp_compose *c, const struct resp_run *run)
{
	(void)run;
	resp_array(&c->out, count_of(is_top, NULL));
	put_all(c, put_info);
}

void
resp_compose_command_count(struct resp_compose *c, const struct resp_run *run)
{
	(void)run;
	resp_integer(&c->out, count_of(is_top, NULL));
}

void
resp_compose_command_info(struct resp_compose *c, const struct resp_run *run)
{
	struct resp_args args;
	struct resp_walk walk;
	struct view arg;

	resp_args_of(c, run, &args);
	if (args.count == 2) {
		resp_compose_command(c, run);
		return;
	}
	resp_array(&c->out, args.count - 2);
	for (walk = resp_walk_from(&args, 2); resp_walk_next(&walk, &arg);) {
		const struct resp_command *command = named(arg);

		if (command)
			put_info(c, command);
		else
			resp_null_array(c);
	}
}

void
resp_compose_command_docs(struct resp_compose *c, const struct resp_run *run)
{
	struct resp_args args;
	struct resp_walk walk;
	struct view arg;
	uint32_t known = 0;

	resp_args_of(c, run, &args);
	if (args.count == 2) {
		resp_map(c, count_of(is_top, NULL));
		put_all(c, put_docs);
		return;
	}
	for (walk = resp_walk_from(&args, 2); resp_walk_next(&walk, &arg);)
		known += named(arg) != NULL;
	resp_map(c, known);
	for (walk = resp_walk_from(&args, 2); resp_walk_next(&walk, &arg);)
		if (named(arg))
			put_docs(c, named(arg));
}

/* Whether COMMAND LIST's filter takes a command. */
static bool
listed(const struct resp_command *command, const struct resp_args *args)
{
	if (args->count == 2)
		return true;
	if (resp_is(args->at[3], "pattern"))
		return resp_glob(args->at[4], view_text(command->name), true);
	if (resp_is(args->at[3], "aclcat"))
		return resp_is(args->at[4], strcmp(command->group, "generic") == 0 ? "keyspace" : command->group) ||
		    resp_is(args->at[4], command->flags & RESP_FLAG_WRITE ? "write" :
		    command->flags & RESP_FLAG_READ ? "read" : "") ||
		    resp_is(args->at[4], command->flags & RESP_FLAG_FAST ? "fast" : "slow");
	return false; /* of a module: there is none */
}

void
resp_parse_command_list(struct resp_parse *p)
{
	const struct resp_args *args = &p->args;
	bool good = args->count == 2 || (args->count == 5 && resp_is(args->at[2], "filterby") &&
	    (resp_is(args->at[3], "pattern") || resp_is(args->at[3], "aclcat") || resp_is(args->at[3], "module")));

	resp_refuse(p, good ? RESP_REPLY_COMPOSED : RESP_REPLY_SYNTAX);
}

void
resp_compose_command_list(struct resp_compose *c, const struct resp_run *run)
{
	struct resp_args args;
	uint32_t count = 0;

	resp_args_of(c, run, &args);
	for (uint32_t i = RESP_NONE + 1; i < RESP_VERB_COUNT; i++)
		count += (args.count > 2 || !is_subcommand(&commands[i])) && listed(&commands[i], &args);
	resp_set(c, count);
	for (uint32_t i = RESP_NONE + 1; i < RESP_VERB_COUNT; i++)
		if ((args.count > 2 || !is_subcommand(&commands[i])) && listed(&commands[i], &args))
			resp_bulk_text(&c->out, commands[i].name);
}

void
resp_compose_command_getkeys(struct resp_compose *c, const struct resp_run *run)
{
	const struct resp_command *command, *container;
	struct resp_args args;
	struct resp_walk walk;
	struct view arg;
	uint32_t first, last, step, count, i;
	int64_t keys = 0;

	resp_args_of(c, run, &args);
	command = resp_command_find(args.at + 2, args.held - 2, &container);
	if (!command) {
		resp_reply(c, RESP_REPLY_BAD_COMMAND);
		return;
	}
	if (!resp_command_arity(command, args.count - 2)) {
		resp_reply(c, RESP_REPLY_BAD_ARGUMENTS);
		return;
	}
	first = 2 + (uint32_t)command->first;
	step = command->step > 0 ? (uint32_t)command->step : 1;
	last = command->last >= 0 ? 2 + (uint32_t)command->last : args.count - (uint32_t)-command->last;
	if (command->flags & RESP_FLAG_NUMKEYS) {
		if (!resp_number(args.at[4], &keys) || keys < 0 || keys > args.count - 5) {
			resp_reply(c, RESP_REPLY_BAD_ARGUMENTS);
			return;
		}
		first = 5;
		last = 4 + (uint32_t)keys;
	} else if (command->first == 0) {
		last = first - 1;
	}
	count = last >= first ? (last - first) / step + 1 : 0;
	if (count == 0) {
		resp_reply(c, RESP_REPLY_NO_KEYS);
		return;
	}
	resp_array(&c->out, count);
	walk = resp_walk_from(&args, 0);
	for (i = 0; resp_walk_next(&walk, &arg); i++)
		if (i >= first && i <= last && (i - first) % step == 0)
			resp_bulk(&c->out, arg);
}

/* HELP of a container: its subcommands and what they do. */
void
resp_compose_help(struct resp_compose *c, const struct resp_run *run)
{
	size_t len = (size_t)(strchr(run->command->name, '|') - run->command->name);
	uint32_t count = 1;

	for (uint32_t i = RESP_NONE + 1; i < RESP_VERB_COUNT; i++)
		count += 2 * (strncmp(commands[i].name, run->command->name, len + 1) == 0);
	resp_array(&c->out, count);
	resp_format(&c->out, "+%.*s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n", (int)len, run->command->name);
	for (uint32_t i = RESP_NONE + 1; i < RESP_VERB_COUNT; i++)
		if (strncmp(commands[i].name, run->command->name, len + 1) == 0)
			resp_format(&c->out, "+%s\r\n+    %s.\r\n", commands[i].name + len + 1, commands[i].summary);
}
