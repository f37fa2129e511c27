/*
 * resolver.h - seeds given by name, looked up again while nobody is at their address.
 *
 * Purpose: a seed that is started again elsewhere has its name and another address. Looking a name up may
 *   take a resolver's patience (seconds), so neither the control core nor the main thread does it.
 * Threads: resolver_start and resolver_stop on the main thread; `absent` and `tell` are called on the resolver's own.
 * Memory: by value, RESOLVER_NAMES_MAX names. A lookup that does not end within RESOLVER_STOP_MS of the stop is left
 *   to itself, with its memory; it calls nobody any more.
 */
#ifndef SLIPRINGD_RESOLVER_H
#define SLIPRINGD_RESOLVER_H

#include "base/status.h"
#include "slipringd/peer_text.h"

enum { RESOLVER_NAMES_MAX = VALUE_LIST_MAX, RESOLVER_STEP_MS = 5000, RESOLVER_STOP_MS = 1000 };

struct resolver_name {
	char host[VALUE_ITEM_SIZE]; /* "": the seed was given by address, and stays */
	struct peer_address address; /* as it is known */
};

struct resolver_config {
	struct resolver_name names[RESOLVER_NAMES_MAX];
	uint32_t count;
	uint32_t step_ms;
	/* Fills in ip, keeps the port; false: no answer. */
	bool (*lookup)(const char *host, struct peer_address *address);
	/* Bit i: nobody is at the address of name i. */
	uint32_t (*absent)(void *context);
	/* Name i has another address. */
	void (*tell)(void *context, uint32_t i, const struct resolver_name *name);
	void *context;
};

struct resolver;

/* *resolver is NULL when there is no name among them. */
enum status resolver_start(const struct resolver_config *config, struct resolver **resolver, struct error *error) MUST_USE;
void resolver_stop(struct resolver *resolver); /* NULL is nothing */

/* The first IPv4 address of a host, by the system's resolver; 0, or what gai_strerror(3) explains. */
int resolver_ask(const char *host, struct peer_address *address);
bool resolver_lookup(const char *host, struct peer_address *address);

#endif
