/*
 * path.h - a way to a node's worker: a socket, its cookie, and how long it takes.
 *
 * Purpose: a lane has one that leads straight to its node and, when that is down or
 *   for a hedged read, another that leads through a second node. Cookies stand for a
 *   source port and a node, so each path has its own.
 * Threads: the handle's. Memory: by value; a socket while open.
 */
#ifndef CLIENT_PATH_H
#define CLIENT_PATH_H

#include <stdbool.h>
#include <stdint.h>

struct lane;
struct node;
struct slipring;

enum {
	/* Shortest wait before a repeat: below it, a busy machine looks like loss. */
	RTO_US_MIN = 5000,
	RTO_US_MAX = 1000000,
	/* A node is taken for silent after so many waits in a row, or after one less and so long. */
	PATH_SILENT_WAITS = 3,
	PATH_SILENT_MS = 100,
};

struct path {
	struct lane *lane;
	struct node *node;     /* that it leads to; NULL: closed */
	int fd;                /* connected; -1 closed */
	int network_error;     /* last errno of the socket, 0 none since the last answer */
	uint16_t port;
	uint16_t boot;         /* of the cookie */
	uint64_t cookie;       /* 0 none: only a probe may be sent */
	uint64_t probe_ns;     /* when to probe (again) */
	uint32_t probes;       /* since the last cookie */
	uint32_t waits;        /* that ended without an answer, in a row */
	uint64_t waiting_ns;   /* since when */
	uint64_t srtt_ns, rttvar_ns;
};

/* False with the handle's error set. */
bool path_open(struct path *path, struct lane *lane, struct node *node, uint32_t worker);
void path_close(struct path *path);

static inline bool
path_is_open(const struct path *path)
{
	return path->fd >= 0;
}

uint64_t path_rto_ns(const struct slipring *handle, const struct path *path);
/* When to repeat after `tries` sends: doubles each time, 3/4 to 5/4 of that at random. */
uint64_t path_repeat_ns(struct slipring *handle, const struct path *path, uint32_t tries);
/* Round trip time as RFC 6298 smooths it. */
void path_measured(struct path *path, uint64_t rtt_ns);
/* A wait for an answer ended without one: the node may be down. Returns whether it now is. */
bool path_waited(struct slipring *handle, struct path *path, uint64_t now_ns);
/* Something came: the node is up. */
void path_heard(struct path *path);

#endif
