/*
 * control.h - a node's control plane, asked over HTTP.
 *
 * Purpose: commands about the cluster ask the node's UNIX socket, or its TCP port with a token.
 * Where: --control or $SLIPRING_CONTROL, a socket's path or a URL; else the socket of the node
 *   that -H names, in $SLIPRING_RUN_DIR or /run/slipring; else http://HOST:7480.
 * Threads: one. Memory: one transfer at a time; answers are the caller's.
 */
#ifndef SLIPRING_CONTROL_H
#define SLIPRING_CONTROL_H

#include "cli.h"

struct control_answer {
	long status;
	char *text;   /* to be freed, with what is below, by control_free */
	size_t len;
	json_t *json; /* NULL: it is none */
};

/* Finds out where it is; EXIT_OK, or what to exit with after complaining. */
int control_open(struct cli *cli);
void control_close(struct cli *cli);

/* EXIT_OK with an answer of status 2xx; else complains, as the node says, and returns what to exit with. body: JSON or NULL. */
int control_ask(struct cli *cli, const char *method, const char *path, json_t *body, struct control_answer *answer);
/* The same, and any status is an answer: EXIT_OK unless the node was not reached. */
int control_try(struct cli *cli, const char *method, const char *path, json_t *body, struct control_answer *answer);
/* Complains as the node does. */
int control_refused(struct cli *cli, const struct control_answer *answer);
void control_free(struct control_answer *answer);

/*
 * Reads a path line by line until it ends, the line function says so (false), or a signal comes. How long nothing
 * may come is idle_ms. EXIT_OK at any good end.
 */
int control_lines(struct cli *cli, const char *path, uint32_t idle_ms, bool (*line)(void *context, const char *text),
    void *context);

/* Adds bytes to a path with room for size of them, percent-encoded. False: they do not fit. */
bool control_escape(char *path, size_t size, const void *value, size_t len);
/* The same as "?name=value" or "&name=value". */
bool control_query(char *path, size_t size, const char *name, const void *value, size_t len);

#endif
