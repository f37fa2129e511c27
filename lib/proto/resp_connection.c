/* resp_connection.c - commands about the connection itself: HELLO, AUTH, CLIENT, PING, SELECT, RESET, QUIT. */
#include <stdio.h>

#include "proto/resp.h"

/* Answered by its composer alone. */
void
resp_parse_local(struct resp_parse *p)
{
	resp_refuse(p, RESP_REPLY_COMPOSED);
}

/* ... that tells of what the parser has done so far: it may not be ahead. */
void
resp_parse_alone(struct resp_parse *p)
{
	resp_refuse(p, RESP_REPLY_COMPOSED);
	p->stop = true;
	p->pass->settle = true;
}

void
resp_parse_ok(struct resp_parse *p)
{
	resp_refuse(p, RESP_REPLY_OK);
}

void
resp_parse_ping(struct resp_parse *p)
{
	resp_refuse(p, p->args.count > 2 ? RESP_REPLY_ARITY : RESP_REPLY_COMPOSED);
}

void
resp_compose_ping(struct resp_compose *c, const struct resp_run *run)
{
	struct resp_args args;

	resp_args_of(c, run, &args);
	if (args.count == 1)
		resp_simple(&c->out, "PONG");
	else
		resp_bulk(&c->out, args.at[1]);
}

void
resp_compose_echo(struct resp_compose *c, const struct resp_run *run)
{
	struct resp_args args;

	resp_args_of(c, run, &args);
	resp_bulk(&c->out, args.at[1]);
}

void
resp_parse_quit(struct resp_parse *p)
{
	resp_refuse(p, RESP_REPLY_OK);
	p->pass->close = true;
	p->stop = true;
}

void
resp_parse_select(struct resp_parse *p)
{
	int64_t number;

	if (!resp_number(p->args.at[1], &number) || number < INT32_MIN || number > INT32_MAX)
		resp_refuse(p, RESP_REPLY_NOT_INTEGER);
	else
		resp_refuse(p, number == 0 ? RESP_REPLY_OK : RESP_REPLY_BAD_DB);
}

void
resp_parse_asking(struct resp_parse *p)
{
	p->state->mode |= RESP_MODE_ASKING;
	resp_refuse(p, RESP_REPLY_OK);
	/* It is for the command behind it. */
	p->stop = false;
}

void
resp_parse_reset(struct resp_parse *p)
{
	resp_forget_transaction(p->state, p->pass->blocks);
	p->state->mode = p->pass->facts->password ? 0 : RESP_MODE_KNOWN;
	resp_refuse(p, RESP_REPLY_COMPOSED);
}

void
resp_compose_reset(struct resp_compose *c, const struct resp_run *run)
{
	(void)run;
	c->state->shown = 0;
	c->resp3 = false;
	c->out.muted = false;
	if (c->state->memory)
		c->state->memory->name[0] = 0;
	resp_simple(&c->out, "RESET");
}

/* --- AUTH, HELLO -------------------------------------------------------------------- */

/* Takes as long whatever the first difference is. */
static bool
is_password(const char *password, struct view given)
{
	size_t len = strlen(password);
	uint8_t differs = len != given.len;

	for (uint32_t i = 0; i < given.len; i++)
		differs |= given.data[i] ^ (uint8_t)password[len > 0 ? i % len : 0];
	return !differs;
}

/* There is one user, "default"; without a password any is right for it, as in Redis ("nopass"). */
static bool
authenticate(struct resp_parse *p, struct view user, struct view given)
{
	const char *password = p->pass->facts->password;

	if (!view_equal(user, view_text("default")) || (password && !is_password(password, given)))
		return false;
	p->state->mode |= RESP_MODE_KNOWN;
	return true;
}

void
resp_parse_auth(struct resp_parse *p)
{
	const struct resp_args *args = &p->args;

	if (args->count > 3)
		resp_refuse(p, RESP_REPLY_SYNTAX);
	else if (args->count == 2 && !p->pass->facts->password)
		resp_refuse(p, RESP_REPLY_NO_PASSWORD);
	else if (authenticate(p, args->count == 3 ? args->at[1] : view_text("default"), args->at[args->count - 1]))
		resp_refuse(p, RESP_REPLY_OK);
	else
		resp_refuse(p, RESP_REPLY_WRONG_PASS);
}

/* Why a text is no name, or COMPOSED. */
static enum resp_reply_code
name_objection(struct view name, enum resp_reply_code bad)
{
	for (uint32_t i = 0; i < name.len; i++)
		if (name.data[i] < '!' || name.data[i] > '~')
			return bad;
	return name.len > RESP_NAME_MAX ? RESP_REPLY_NAME_TOO_LONG : RESP_REPLY_COMPOSED;
}

static void
refuse_at(struct resp_parse *p, enum resp_reply_code code, uint32_t arg)
{
	resp_refuse(p, code);
	p->pass->requests[p->pass->count - 1].length = arg;
}

void
resp_parse_hello(struct resp_parse *p)
{
	const struct resp_args *args = &p->args;
	enum resp_reply_code code = RESP_REPLY_COMPOSED;
	int64_t version = 2;
	uint32_t bad = 0;

	if (args->count >= 2 && !resp_number(args->at[1], &version))
		code = RESP_REPLY_NOT_PROTO;
	else if (version < 2 || version > 3)
		code = RESP_REPLY_NO_PROTO;
	for (uint32_t i = 2; code == RESP_REPLY_COMPOSED && i < args->held; i++) {
		uint32_t left = args->held - 1 - i;

		if (resp_is(args->at[i], "auth") && left >= 2) {
			if (!authenticate(p, args->at[i + 1], args->at[i + 2]))
				code = RESP_REPLY_WRONG_PASS;
			i += 2;
		} else if (resp_is(args->at[i], "setname") && left >= 1) {
			code = name_objection(args->at[++i], RESP_REPLY_BAD_NAME);
		} else {
			code = RESP_REPLY_BAD_HELLO;
			bad = i;
		}
	}
	if (code == RESP_REPLY_COMPOSED && !(p->state->mode & RESP_MODE_KNOWN))
		code = RESP_REPLY_NO_AUTH_HELLO;
	refuse_at(p, code, bad);
}

static void
keep_name(char room[RESP_NAME_MAX + 1], struct view name)
{
	memcpy(room, name.data, name.len);
	room[name.len] = 0;
}

/* Sets the connection's name; false: no block, and that is the reply. */
static bool
set_name(struct resp_compose *c, struct view name)
{
	struct resp_memory *memory = c->state->memory;

	if (!memory && name.len > 0)
		memory = resp_memory(c->state, c->reply->blocks);
	if (!memory && name.len > 0) {
		resp_reply(c, RESP_REPLY_NO_BLOCK);
		return false;
	}
	if (memory)
		keep_name(memory->name, name);
	return true;
}

void
resp_compose_hello(struct resp_compose *c, const struct resp_run *run)
{
	const struct stream_facts *facts = c->reply->facts;
	struct resp_args args;
	int64_t version = 0;

	resp_args_of(c, run, &args);
	for (uint32_t i = 2; i + 1 < args.held; i++) {
		if (resp_is(args.at[i], "auth"))
			i += 2;
		else if (!set_name(c, args.at[++i]))
			return;
	}
	if (args.count >= 2 && resp_number(args.at[1], &version)) {
		c->resp3 = version == 3;
		c->state->shown = (uint8_t)((c->state->shown & ~RESP_SHOWN_3) | (c->resp3 ? RESP_SHOWN_3 : 0));
	}
	resp_map(c, 7);
	resp_bulk_text(&c->out, "server");
	resp_bulk_text(&c->out, "redis");
	resp_bulk_text(&c->out, "version");
	resp_bulk_text(&c->out, RESP_REDIS_VERSION);
	resp_bulk_text(&c->out, "proto");
	resp_integer(&c->out, c->resp3 ? 3 : 2);
	resp_bulk_text(&c->out, "id");
	resp_integer(&c->out, (int64_t)facts->client->id);
	resp_bulk_text(&c->out, "mode");
	resp_bulk_text(&c->out, facts->ring ? "cluster" : "standalone");
	resp_bulk_text(&c->out, "role");
	resp_bulk_text(&c->out, "master");
	resp_bulk_text(&c->out, "modules");
	resp_array(&c->out, 0);
}

/* --- CLIENT ------------------------------------------------------------------------- */

void
resp_parse_client_setname(struct resp_parse *p)
{
	resp_refuse(p, name_objection(p->args.at[2], RESP_REPLY_BAD_NAME));
}

void
resp_compose_client_setname(struct resp_compose *c, const struct resp_run *run)
{
	struct resp_args args;

	resp_args_of(c, run, &args);
	if (set_name(c, args.at[2]))
		resp_simple(&c->out, "OK");
}

void
resp_parse_client_setinfo(struct resp_parse *p)
{
	struct view what = p->args.at[2];

	if (resp_is(what, "lib-name"))
		resp_refuse(p, name_objection(p->args.at[3], RESP_REPLY_BAD_LIB_NAME));
	else if (resp_is(what, "lib-ver"))
		resp_refuse(p, name_objection(p->args.at[3], RESP_REPLY_BAD_LIB_VER));
	else
		refuse_at(p, RESP_REPLY_BAD_SETINFO, 2);
}

void
resp_compose_client_setinfo(struct resp_compose *c, const struct resp_run *run)
{
	struct resp_memory *memory = resp_memory(c->state, c->reply->blocks);
	struct resp_args args;

	if (!memory) {
		resp_reply(c, RESP_REPLY_NO_BLOCK);
		return;
	}
	resp_args_of(c, run, &args);
	keep_name(resp_is(args.at[2], "lib-name") ? memory->lib_name : memory->lib_version, args.at[3]);
	resp_simple(&c->out, "OK");
}

void
resp_compose_client_getname(struct resp_compose *c, const struct resp_run *run)
{
	(void)run;
	if (c->state->memory && c->state->memory->name[0])
		resp_bulk_text(&c->out, c->state->memory->name);
	else
		resp_null(c);
}

void
resp_compose_client_getredir(struct resp_compose *c, const struct resp_run *run)
{
	(void)run;
	resp_integer(&c->out, -1);
}

void
resp_compose_client_id(struct resp_compose *c, const struct resp_run *run)
{
	(void)run;
	resp_integer(&c->out, (int64_t)c->reply->facts->client->id);
}

/* ON or OFF of what makes no difference here: no connection is closed to make room, and every use of a key counts. */
void
resp_parse_client_switch(struct resp_parse *p)
{
	resp_refuse(p, resp_is(p->args.at[2], "on") || resp_is(p->args.at[2], "off") ? RESP_REPLY_OK : RESP_REPLY_SYNTAX);
}

void
resp_parse_client_tracking(struct resp_parse *p)
{
	resp_refuse(p, resp_is(p->args.at[2], "off") ? RESP_REPLY_OK : RESP_REPLY_NO_TRACKING);
}

void
resp_parse_client_reply(struct resp_parse *p)
{
	struct view what = p->args.at[2];

	resp_refuse(p, resp_is(what, "on") || resp_is(what, "off") || resp_is(what, "skip") ? RESP_REPLY_COMPOSED :
	    RESP_REPLY_SYNTAX);
}

void
resp_compose_client_reply(struct resp_compose *c, const struct resp_run *run)
{
	struct resp_args args;

	resp_args_of(c, run, &args);
	if (resp_is(args.at[2], "on")) {
		c->state->shown &= (uint8_t)~(RESP_SHOWN_MUTE | RESP_SHOWN_SKIP);
		c->out.muted = false;
		resp_simple(&c->out, "OK");
	} else if (resp_is(args.at[2], "off")) {
		c->state->shown |= RESP_SHOWN_MUTE;
	} else if (!(c->state->shown & RESP_SHOWN_MUTE)) {
		c->state->shown |= RESP_SHOWN_SKIP;
	}
}

/* Of a filter of CLIENT LIST or KILL, the number behind a word. */
static bool
own_id(const struct resp_parse *p, uint32_t arg)
{
	int64_t id;

	return arg < p->args.held && resp_number(p->args.at[arg], &id) && (uint64_t)id == p->pass->facts->client->id;
}

/* Only what a connection may do to itself. */
void
resp_parse_client_kill(struct resp_parse *p)
{
	bool own = p->args.count == 4 && resp_is(p->args.at[2], "id") && own_id(p, 3);

	resp_refuse(p, own ? RESP_REPLY_COMPOSED : RESP_REPLY_KILL_OTHER);
	if (own) {
		p->pass->close = true;
		p->stop = true;
	}
}

void
resp_compose_client_kill(struct resp_compose *c, const struct resp_run *run)
{
	(void)run;
	resp_integer(&c->out, 1);
}

void
resp_parse_client_list(struct resp_parse *p)
{
	const struct resp_args *args = &p->args;
	int64_t id;

	p->stop = p->pass->settle = true;
	if (args->count == 2) {
		resp_refuse(p, RESP_REPLY_COMPOSED);
	} else if (args->count == 4 && resp_is(args->at[2], "type")) {
		struct view type = args->at[3];
		bool known = resp_is(type, "normal") || resp_is(type, "master") || resp_is(type, "replica") ||
		    resp_is(type, "slave") || resp_is(type, "pubsub");

		refuse_at(p, known ? RESP_REPLY_COMPOSED : RESP_REPLY_BAD_CLIENT_TYPE, 3);
	} else if (args->count > 3 && resp_is(args->at[2], "id")) {
		for (uint32_t i = 3; i < args->held; i++) {
			if (!resp_number(args->at[i], &id) || id < 1) {
				resp_refuse(p, RESP_REPLY_BAD_CLIENT_ID);
				return;
			}
		}
		resp_refuse(p, RESP_REPLY_COMPOSED);
	} else {
		resp_refuse(p, RESP_REPLY_SYNTAX);
	}
}

static void
put_address(struct resp_out *out, const char *label, const uint8_t ip[16], uint16_t port)
{
	char host[RESP_HOST_SIZE];

	resp_host(ip, host);
	resp_format(out, strchr(host, ':') ? " %s=[%s]:%u" : " %s=%s:%u", label, host, port);
}

static void
put_client(struct resp_out *out, const struct stream_client *client, const struct now *now)
{
	const struct resp_state *state = (const struct resp_state *)client->state->bytes;
	const struct resp_memory *memory = state->memory;
	bool multi = state->mode & RESP_MODE_MULTI;

	resp_format(out, "id=%llu", (unsigned long long)client->id);
	put_address(out, "addr", client->peer.ip, client->peer.port);
	put_address(out, "laddr", client->ip, client->peer.local_port);
	resp_format(out, " name=%s age=%llu idle=%llu flags=%s db=0 sub=0 psub=0 ssub=0 multi=%lld", memory ? memory->name : "",
	    (unsigned long long)((now->mono_ns - client->opened_ns) / NS_PER_SEC),
	    (unsigned long long)(now->mono_ns > client->heard_ns ? (now->mono_ns - client->heard_ns) / NS_PER_SEC : 0),
	    multi ? "x" : "N", multi && memory ? (long long)memory->queue_count : multi ? 0LL : -1LL);
	resp_format(out, " qbuf=%u obl=%u user=default redir=-1 resp=%d lib-name=%s lib-ver=%s\n", client->input_len,
	    client->output_len, state->shown & RESP_SHOWN_3 ? 3 : 2, memory ? memory->lib_name : "",
	    memory ? memory->lib_version : "");
}

static bool
is_listed(const struct stream_client *client, const struct stream_client *own, const struct resp_args *args)
{
	int64_t id;

	/* States of other protocols are theirs to read. */
	if (client->service != own->service)
		return false;
	if (args->count == 2)
		return true;
	if (resp_is(args->at[2], "type"))
		return resp_is(args->at[3], "normal");
	for (uint32_t i = 3; i < args->held; i++)
		if (resp_number(args->at[i], &id) && (uint64_t)id == client->id)
			return true;
	return false;
}

void
resp_compose_client_list(struct resp_compose *c, const struct resp_run *run)
{
	const struct stream_facts *facts = c->reply->facts;
	struct outq queue = { 0 };
	struct resp_args args;
	struct resp_out text;

	resp_args_of(c, run, &args);
	resp_out_begin(&text, c->reply->blocks, &queue);
	for (const struct stream_client *client = facts->clients; client; client = client->next)
		if (is_listed(client, facts->client, &args))
			put_client(&text, client, c->reply->now);
	resp_verbatim(c, &text);
}

void
resp_compose_client_info(struct resp_compose *c, const struct resp_run *run)
{
	struct outq queue = { 0 };
	struct resp_out text;

	(void)run;
	resp_out_begin(&text, c->reply->blocks, &queue);
	put_client(&text, c->reply->facts->client, c->reply->now);
	resp_verbatim(c, &text);
}
