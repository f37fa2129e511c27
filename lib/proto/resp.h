/*
 * resp.h - what the files of RESP share: a connection's state, the commands, a pass being parsed, a reply being composed.
 *
 * Purpose: Redis' protocol, versions 2 and 3, over a stream (proto/stream.h): strings and keys, and what clients
 *   send besides. Wording and grammar are Redis 7.0's; doc/COMPATIBILITY.md lists what differs.
 * How: resp_read.c finds a command's arguments; resp_parse.c looks it up in resp_command.def and has its parser make
 *   requests. Composers run when the requests have: in order, a run of requests (those of one command) at a time, and
 *   read the command's arguments again where they need them.
 *   The parser's part of the state runs ahead of the composer's, but for `settle`.
 * Text: commands that are not in the input: of a transaction that EXEC runs, or a command of more requests than a pass
 *   has room for. It stands in a block, and passes take from it before anything else.
 * Threads: the connection's worker. Memory: struct resp_memory, a block, taken when something must be kept; views
 *   borrow from input, text and items.
 * Bounds: RESP_COMMAND_MAX bytes a command, but for a value that a storage command ends with; RESP_ARGS_HELD
 *   arguments, but for commands that take any number of keys or names.
 * Source: Redis serialization protocol specification; Redis 7.0.15 as the oracle.
 */
#ifndef PROTO_RESP_H
#define PROTO_RESP_H

#include "base/blocks.h"
#include "base/limits.h"
#include "base/outq.h"
#include "proto/stream.h"
#include "proto/stream_facts.h"

/* What HELLO and INFO say: some clients ask for no more than this version knows. */
#define RESP_REDIS_VERSION "7.2.4"

enum {
	RESP_ARGS_HELD = 65, /* a name, and a key for each request of a pass */
	RESP_COMMAND_MAX = BLOCK_MAX - 64 * 1024, /* a connection's unread bytes stand in one block, with room for what follows */
	RESP_LINE_MAX = 64 * 1024,           /* Redis: PROTO_INLINE_MAX_SIZE */
	RESP_BULK_MAX = 512 * 1024 * 1024,   /* Redis: proto-max-bulk-len; more ends the connection */
	RESP_NAME_MAX = 128,
	RESP_SHA1_LEN = 20,
	RESP_SCRIPTS_MAX = 8,
	RESP_WATCHED_MAX = FRAME_OPS_MAX,    /* their guards are one pass */
};

enum resp_verb {
	RESP_NONE, /* no command */
#define RESP_COMMAND(verb, ...) RESP_##verb,
#include "proto/resp_command.def"
#undef RESP_COMMAND
	RESP_VERB_COUNT
};

/* Replies by their code: `local` of requests without an operation. 0: the command's composer knows. */
enum resp_reply_code {
	RESP_REPLY_COMPOSED,
#define RESP_REPLY(suffix, text) RESP_REPLY_##suffix,
#include "proto/resp_reply.def"
#undef RESP_REPLY
	RESP_REPLY_COUNT
};

/* `initial` of requests: they are a part of a command that goes on over several passes. */
enum { RESP_PART = 1 };

/* text_at of requests whose command stands in the connection's text. */
#define RESP_IN_TEXT 0x80000000u

enum resp_flag {
	RESP_FLAG_SLOW = 0,
	RESP_FLAG_WRITE = 1,
	RESP_FLAG_READ = 2,
	RESP_FLAG_FAST = 4,
	RESP_FLAG_NO_AUTH = 8,     /* runs before AUTH */
	RESP_FLAG_IN_MULTI = 16,   /* is not queued by MULTI */
	RESP_FLAG_CONTAINER = 32,
	RESP_FLAG_NUMKEYS = 64,    /* argument 2 is the number of keys, which follow */
	RESP_FLAG_ALWAYS_OK = 128, /* needs no memory and no key */
};

/* The parser's part of the state. */
enum resp_mode {
	RESP_MODE_KNOWN = 1,     /* has authenticated, or need not */
	RESP_MODE_MULTI = 2,     /* commands are queued */
	RESP_MODE_ABORTED = 4,   /* a command of the transaction was refused: EXEC will be */
	RESP_MODE_ASKING = 8,    /* the next command is served here, whoever owns its key */
};

/* The composer's. */
enum resp_shown {
	RESP_SHOWN_3 = 1,        /* RESP3 */
	RESP_SHOWN_MUTE = 2,     /* CLIENT REPLY OFF */
	RESP_SHOWN_SKIP = 4,     /* CLIENT REPLY SKIP: the next command's reply */
	RESP_SHOWN_VOID = 8,     /* a guard failed: what EXEC would have run is not answered */
};

struct resp_memory;

/* How far a command that is not whole was read: its arguments before this one are. */
struct resp_mark {
	uint32_t arg, at;
};

struct resp_state {
	struct resp_memory *memory; /* NULL: nothing is kept */
	uint32_t skip_bytes;        /* of a command that was refused: of the argument at hand, CRLF included */
	uint32_t skip_args;         /* ... and arguments behind it */
	struct resp_mark mark;      /* of the command that the input begins with */
	uint32_t body_args;         /* arguments behind a large value that was asked for */
	uint8_t body_verb;
	uint8_t mode;               /* enum resp_mode */
	uint8_t shown;              /* enum resp_shown */
	bool opened;
};
_Static_assert(sizeof(struct resp_state) <= STREAM_STATE_SIZE, "stream.h gives so much");

static inline struct resp_state *
resp_state(struct stream_state *state)
{
	return (struct resp_state *)state->bytes;
}

/* A block that bytes are appended to. */
struct resp_piece {
	uint8_t *bytes;
	uint32_t size, len;
};

struct resp_memory {
	/* text, and where parsing is in it */
	struct resp_piece text;
	struct resp_piece spent;      /* what requests still refer to until they are answered */
	uint32_t text_at, text_count; /* commands */
	bool text_exec;               /* EXEC runs it, and is not answered yet */
	/* the command that goes on */
	uint8_t going;                /* its verb, or RESP_NONE */
	uint8_t phase;                /* how far it is, where that is more than a number */
	bool failed;                  /* composer: a guard failed */
	bool finished;                /* composer: there is nothing more to be asked */
	uint8_t ends;                 /* composer: times that a walk came to its end */
	uint32_t next, next_at;       /* parser: items asked for, and where the next one stands in text */
	uint32_t total, done;         /* items of it, and those answered */
	uint64_t sum;
	uint64_t cursor;
	uint32_t shard;
	uint64_t gathered_count;
	struct outq gathered;         /* elements of a reply whose number is not known yet */
	/* a transaction */
	struct resp_piece queue;
	uint32_t queue_count;
	struct resp_piece watched;    /* of each key: version, length in four bytes, key */
	uint32_t watched_count;
	/* words of an inline command that was quoted */
	struct resp_piece words;
	/* the scripts that this connection has loaded last, beside those everybody may run */
	struct {
		uint8_t sha1[RESP_SHA1_LEN], kind;
	} scripts[RESP_SCRIPTS_MAX];
	uint32_t script_count;
	/* CLIENT SETNAME, SETINFO */
	char name[RESP_NAME_MAX + 1], lib_name[RESP_NAME_MAX + 1], lib_version[RESP_NAME_MAX + 1];
};

/* --- arguments ---------------------------------------------------------------------- */

struct resp_args {
	struct view text;   /* the command's bytes */
	uint32_t count;     /* arguments, the command's name included; 0: an empty command */
	uint32_t held;      /* of them in `at` */
	bool quoted;        /* words stand in the piece, not in text */
	bool is_inline;
	struct view at[RESP_ARGS_HELD];
};

enum resp_found {
	RESP_WHOLE,
	RESP_CUT,           /* `wanted` */
	RESP_BROKEN,        /* `error`; the connection ends */
	RESP_NEEDS_WORDS,   /* an inline command with quotes, and no piece to unquote it to: one of `wanted` bytes */
	RESP_REFUSED,       /* too large: `error`; skip_bytes and skip_args behind `consumed` */
};

struct resp_hole {
	uint32_t wanted;
	uint8_t error;      /* enum resp_reply_code */
	uint8_t byte;       /* RESP_BROKEN: the one that was not expected */
	uint32_t consumed, skip_bytes, skip_args;
	/* RESP_CUT: the argument that is not whole; len 0: not even its length is */
	uint32_t arg, arg_at, arg_len;
};

/*
 * The command that `bytes` begin with. Not `known`: within the limits for strangers. `words`: room to unquote to,
 * or NULL. Of a cut command, args holds those before the hole, and count is what it announced.
 */
enum resp_found resp_read(struct view bytes, bool known, struct resp_piece *words, struct resp_args *args,
    struct resp_hole *hole);

/* ... when the same bytes, but fewer, were read before and left *mark; all zero at first. */
enum resp_found resp_read_on(struct view bytes, bool known, struct resp_piece *words, struct resp_args *args,
    struct resp_hole *hole, struct resp_mark *mark);

/* One argument, number i of args->count, whose length stands at *at, which moves behind it. */
enum resp_found resp_read_bulk(struct view bytes, uint32_t *at, uint32_t i, bool known, struct resp_args *args,
    struct resp_hole *hole);

/* Goes through all arguments from `first` (below held, or 0) on. */
struct resp_walk {
	const struct resp_args *args;
	uint32_t index; /* of the next one */
	uint32_t at;    /* ... and where it stands in text */
};

struct resp_walk resp_walk_from(const struct resp_args *args, uint32_t first);
/* The next one; false: there is none. */
bool resp_walk_next(struct resp_walk *walk, struct view *arg);

/* Digits with an optional '-', nothing else, as Redis' string2ll. */
bool resp_number(struct view text, int64_t *number);
/* Whether an argument is this word (lower case), in any case. */
bool resp_is(struct view arg, const char *word);
/* Redis' stringmatchlen: * ? [set] and backslash. */
bool resp_glob(struct view pattern, struct view text, bool ignore_case);

/* --- commands ----------------------------------------------------------------------- */

struct resp_parse;
struct resp_compose;
struct resp_run;

struct resp_command {
	const char *name;
	int16_t arity;
	uint16_t flags;
	int8_t first, last, step;
	uint8_t verb;
	const char *group, *since, *summary;
	void (*parse)(struct resp_parse *p);
	void (*compose)(struct resp_compose *c, const struct resp_run *run);
};

const struct resp_command *resp_command(enum resp_verb verb);
/* By name, in any case; for a container, args[1] is looked at, too. NULL: unknown; *container tells which one knows no such subcommand. */
const struct resp_command *resp_command_find(const struct view *args, uint32_t count, const struct resp_command **container);
bool resp_command_arity(const struct resp_command *command, uint32_t count);

/* --- parsing ------------------------------------------------------------------------ */

struct resp_parse {
	struct stream_pass *pass;
	struct resp_state *state;
	const struct resp_command *command; /* at hand */
	struct view text;     /* what it stands in: the input, or the connection's text */
	uint32_t at;          /* ... from here */
	uint32_t text_at;     /* what requests carry */
	bool replayed;        /* it stands in the connection's text */
	bool stop;            /* the pass ends behind it */
	bool retry;           /* ... before it: the next pass has room */
	bool stay;            /* it goes on: the next pass is its */
	struct resp_args args;
};

/* The connection's memory, taken if there is none; NULL: no block. */
struct resp_memory *resp_memory(struct resp_state *state, struct blocks *blocks);
bool resp_piece_add(struct resp_piece *piece, struct blocks *blocks, const void *bytes, uint32_t len);
void resp_piece_give(struct resp_piece *piece, struct blocks *blocks);

/* A request of the command at hand, all zero but for op, verb and text_at; there is room. */
struct request *resp_request(struct resp_parse *p, enum op op);
/* ... with a key; NULL: the key is not one, and that is the reply. */
struct request *resp_key_request(struct resp_parse *p, enum op op, struct view key);
/* This is the command's reply. */
void resp_refuse(struct resp_parse *p, enum resp_reply_code code);
/* Whether n requests have room; if not now then in the next pass (retry). n <= FRAME_OPS_MAX. */
bool resp_room(struct resp_parse *p, uint32_t n);
/* The command will take more than one pass: it is moved to the text, and its parser is called again. False: refused. */
bool resp_go_on(struct resp_parse *p);
/* The last part of a command that goes on has been asked for. */
void resp_went_on(struct resp_parse *p);
/* Requests with these keys run on one worker of one node. */
bool resp_same_place(const struct resp_parse *p, struct view a, struct view b);
/* Commands of the connection's text, as many as have room. */
void resp_parse_text(struct resp_parse *p);
/* Ends MULTI, WATCH: their blocks go back. */
void resp_forget_transaction(struct resp_state *state, struct blocks *blocks);
void resp_forget_watched(struct resp_state *state, struct blocks *blocks);

/* An expiry from an argument: seconds or milliseconds, absolute or from now on. False: refused. */
bool resp_expiry(struct resp_parse *p, struct view arg, bool seconds, bool absolute, uint64_t *expiry_ms);
/* What follows a value in SET, or the key in GETEX; refused: false. */
struct resp_set_options {
	bool nx, xx, get, keep_ttl, persist;
	bool has_expiry, absolute;
	uint64_t expiry_ms;
};
bool resp_set_options(struct resp_parse *p, const struct view *args, uint32_t count, bool getex,
    struct resp_set_options *options);
/* Makes the SET of a verb; options are SET's. */
void resp_set_request(struct request *request, enum resp_verb verb, const struct resp_set_options *options);

/* --- composing ---------------------------------------------------------------------- */

enum { RESP_OUT_SIZE = 4096 };

/* Bytes on their way to an output queue. */
struct resp_out {
	struct blocks *blocks;
	struct outq *queue;
	bool failed, muted;
	uint32_t used;
	uint8_t bytes[RESP_OUT_SIZE];
};

struct resp_compose {
	struct stream_reply *reply;
	struct resp_state *state;
	bool resp3;
	struct resp_out out;
};

/* The requests of one command, or a part of them. */
struct resp_run {
	const struct resp_command *command;
	const struct request *requests;
	const struct response *responses;
	uint32_t count;
	bool part;        /* of a command that goes on */
	bool first, last; /* part of it; a whole one is both */
};

void resp_put(struct resp_out *out, const void *bytes, uint32_t len);
void resp_text(struct resp_out *out, const char *text);
void resp_format(struct resp_out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
void resp_flush(struct resp_out *out);
void resp_integer(struct resp_out *out, int64_t number);
void resp_simple(struct resp_out *out, const char *text);  /* +text */
void resp_error(struct resp_out *out, const char *text);   /* -text */
void resp_bulk(struct resp_out *out, struct view bytes);
void resp_bulk_text(struct resp_out *out, const char *text);
void resp_array(struct resp_out *out, uint64_t count);
void resp_map(struct resp_compose *c, uint64_t pairs);
void resp_set(struct resp_compose *c, uint64_t count);
void resp_null(struct resp_compose *c);
void resp_null_array(struct resp_compose *c);
/* A value of a response, referred to when it is large and can be. */
void resp_value(struct resp_compose *c, const struct response *response);
/* All of `from` as one bulk string; a verbatim one over RESP3. */
void resp_verbatim(struct resp_compose *c, struct resp_out *from);
/* Output gathered apart, for resp_verbatim or an array whose length is not known. */
void resp_out_begin(struct resp_out *out, struct blocks *blocks, struct outq *queue);
void resp_reply(struct resp_compose *c, enum resp_reply_code code);
/* The error a status comes to; false: it is none. */
bool resp_failed(struct resp_compose *c, const struct response *response);
/* The composer of the protocol. */
bool resp_compose_pass(struct stream_reply *reply);
/* The arguments of a run's command again. */
void resp_args_of(struct resp_compose *c, const struct resp_run *run, struct resp_args *args);

/* The host text of an address, without a port. */
enum { RESP_HOST_SIZE = 48 };
void resp_host(const uint8_t ip[16], char host[RESP_HOST_SIZE]);

/* Where the owner of a slot is reached; NULL: nobody else's, or not known. */
const struct stream_node *resp_elsewhere(const struct stream_facts *facts, uint16_t slot);

/* --- scripts ------------------------------------------------------------------------ */

void resp_sha1(struct view bytes, uint8_t digest[RESP_SHA1_LEN]);

enum resp_script {
	RESP_SCRIPT_UNKNOWN,
#define RESP_SCRIPT(suffix, action, keys, args, text) RESP_SCRIPT_##suffix,
#include "proto/resp_script.def"
#undef RESP_SCRIPT
	RESP_SCRIPT_COUNT
};

/* What a script does, by its text, however it is spaced. */
enum resp_script resp_script_of(struct view text);
/* By the SHA-1 of a text that a client library is known to send. */
enum resp_script resp_script_known(const uint8_t sha1[RESP_SHA1_LEN]);

/* --- parsers and composers of commands ---------------------------------------------- */

#define RESP_COMMAND(verb, name, arity, flags, first, last, step, group, since, summary, parser, composer) \
	void resp_parse_##parser(struct resp_parse *p); \
	void resp_compose_##composer(struct resp_compose *c, const struct resp_run *run);
#include "proto/resp_command.def"
#undef RESP_COMMAND

#endif
