/*
 * script_state.h - a conversation under way; private to script*.c.
 */
#ifndef TESTS_TCP_SCRIPT_STATE_H
#define TESTS_TCP_SCRIPT_STATE_H

#include "tests/tcp/script.h"

enum { PEERS_MAX = 40, WORDS_MAX = 40, NAMES_MAX = 32, QUEUE_MAX = 2048, BUFFER_MAX = 1 << 21, WORD_BYTES_MAX = 1 << 20 };

struct sent {
	uint64_t at_ns;
	struct seg seg;
	uint8_t *bytes;
};

struct buffer {
	uint8_t *bytes;
	uint32_t len;
};

/* One client: its address, its side of the sequence numbers, and what the application does with its connection. */
struct peer {
	char name[16];
	uint8_t ip[16], local[16];
	uint16_t port, to;
	uint32_t iss, isn;
	uint32_t received;     /* end of the farthest byte of ours that it has seen */
	uint16_t window;
	bool ts;               /* timestamps are in use, and added by themselves */
	uint32_t ts_recent;
	uint32_t right_edge;   /* the farthest that our window ever told */
	uint8_t scale;
	bool edge_known;
	struct sent queue[QUEUE_MAX];
	uint32_t queue_head, queue_count;
	/* the application */
	struct connection id;
	bool open, finished, closed;
	uint8_t reason;
	uint32_t opened_count, turns;
	uint32_t unread;       /* what its last turn offered and was not consumed */
	uint64_t read_limit;   /* bytes it may still consume */
	uint32_t wanted, room_next, room_len;
	uint8_t *room;
	bool pause, close, abort;
	bool live;             /* does not wait for its cue, see script_app.c */
	bool waits;
	struct buffer writes, got;
	uint32_t written, checked; /* for patterns that go on */
};

struct script {
	const struct script_text *text;
	uint32_t line;
	struct rig rig;
	const struct tcp_api *api;
	struct tcp_config config;
	uint64_t seed;
	bool open, verbose;
	struct peer *peers, *peer;
	uint32_t peer_count;
	char words_text[8192];
	char *words[WORDS_MAX];
	uint32_t word_count;
	struct { char name[16]; int64_t value; } names[NAMES_MAX];
	uint32_t name_count;
	struct sent last;      /* the segment that was matched last */
	uint64_t mark_ns;
	uint32_t drained;
	uint8_t word_bytes[WORD_BYTES_MAX];
};

void script_fail(struct script *script, const char *format, ...) __attribute__((format(printf, 2, 3)));
int64_t script_number(struct script *script, const char *text);
uint64_t script_time(struct script *script, const char *text);
/* "text" with \n, \r and \xHH, or @LEN or @LEN+FROM of the pattern; `from` where none is said. Dies with the next call. */
struct view script_bytes(struct script *script, const char *word, uint32_t from);
bool script_is_bytes(const char *word);
void script_name(struct script *script, const char *name, int64_t value);
void script_open(struct script *script);
void script_split(struct script *script, const char *line);

/* The application's side (script_app.c). */
void script_app_turn(void *context, struct rig *rig, struct turn *turn);
void script_app_segment(void *context, struct rig *rig, const struct seg *seg);
/* The current peer's connection may have a turn for what comes next. */
void script_app_ready(struct script *script);
/* Lines that speak of it; false: none of these. */
bool script_app_line(struct script *script);
/* Segments (script_segment.c): `<`, `<+`, `>`, `?>`, connect. */
void script_inject(struct script *script);
void script_expect(struct script *script, bool optional);
void script_connect(struct script *script);

#endif
