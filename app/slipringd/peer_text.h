/*
 * peer_text.h - addresses of nodes as people write them.
 *
 * Purpose: "10.9.0.1:7946" for what is told to others; "n2@rack7.example:7946" for seeds.
 * Threads: any. Memory: by value.
 */
#ifndef SLIPRINGD_PEER_TEXT_H
#define SLIPRINGD_PEER_TEXT_H

#include "proto/peer.h"
#include "value.h"

struct peer_text {
	char id[PEER_ID_MAX + 1]; /* "" when it is not given */
	char host[VALUE_ITEM_SIZE];
	uint16_t port;
};

/* [id@]host[:port]. On false *why says what is wrong. */
bool peer_text_parse(const char *text, uint16_t port_default, struct peer_text *peer, struct why *why);
/* An IPv4 address, with or without a port: nothing is resolved. */
bool peer_text_address(const char *text, uint16_t port_default, struct peer_address *address, struct why *why);

#endif
