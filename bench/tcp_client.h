/*
 * tcp_client.h - the client's side of TCP connections, as little of it as a benchmark needs.
 *
 * Purpose: requests in segments of their own, acknowledging what came before; replies that come in order. A benchmark's
 *   other end loses nothing and reorders nothing, so there is neither recovery nor congestion control here.
 * Threads: any, each with its own connections. Memory: the caller's.
 * Bounds: a request fits a segment; PORTS_A_SOURCE connections an address.
 */
#ifndef BENCH_TCP_CLIENT_H
#define BENCH_TCP_CLIENT_H

#include <stdio.h>

#include "bench/frames.h"

enum {
	TCP_CLIENT_OPTIONS = 12,     /* NOP NOP TS */
	TCP_CLIENT_SYN_OPTIONS = 20, /* MSS, SACK permitted, TS, window scale 7 */
	TCP_CLIENT_AT = ETHERNET_HEADER_LEN + IPV4_HEADER_LEN,
	TCP_CLIENT_HEADER = 20,
	TCP_CLIENT_PORT = 1024, /* of the first connection of a source */
	PORTS_A_SOURCE = 20000,
};

enum { FLAG_FIN = 1, FLAG_SYN = 2, FLAG_RST = 4, FLAG_PSH = 8, FLAG_ACK = 16 };

/* What all connections have in common. */
struct tcp_client {
	struct link link; /* the ports are the connections' own */
	bool memcached, checksums;
	uint16_t value_len;
	uint32_t tick; /* timestamp */
};

struct tcp_conn {
	uint32_t seq, ack, stamp; /* next to send; next expected; the server's last timestamp */
};

/* A segment's parts. */
struct tcp_seen {
	uint32_t seq;
	uint8_t flags;
	uint16_t len;
	const uint8_t *payload;
};

static inline void
tcp_client_checksum(uint8_t *frame, uint16_t tcp_len)
{
	const uint8_t *ip = frame + ETHERNET_HEADER_LEN;
	uint32_t pseudo = 6u + tcp_len;

	for (int i = 12; i < 20; i += 2)
		pseudo += load_be16(ip + i);
	store_be16(frame + TCP_CLIENT_AT + 16, internet_checksum(frame + TCP_CLIENT_AT, tcp_len, pseudo));
}

/* Headers of a segment from `link`'s address and port; returns where options belong. */
static inline uint8_t *
tcp_client_segment(const struct tcp_client *c, const struct tcp_conn *conn, const struct link *link, uint8_t *frame,
    uint8_t flags, uint16_t options_len)
{
	uint8_t *tcp = frame + TCP_CLIENT_AT;

	link_headers(link, frame, 0);
	frame[ETHERNET_HEADER_LEN + 9] = 6;
	store_be16(tcp, link->port);
	store_be16(tcp + 2, c->memcached ? 11211 : 6379);
	store_be32(tcp + 4, conn->seq);
	store_be32(tcp + 8, flags & FLAG_ACK ? conn->ack : 0);
	tcp[12] = (uint8_t)((TCP_CLIENT_HEADER + options_len) / 4 << 4);
	tcp[13] = flags;
	store_be16(tcp + 14, 60000);
	store_be32(tcp + 16, 0);
	return tcp + TCP_CLIENT_HEADER;
}

/* Lengths and checksums; returns the frame's length. */
static inline uint16_t
tcp_client_finish(const struct tcp_client *c, uint8_t *frame, uint16_t tcp_len)
{
	uint8_t *ip = frame + ETHERNET_HEADER_LEN;

	store_be16(ip + 2, (uint16_t)(IPV4_HEADER_LEN + tcp_len));
	store_be16(ip + 10, 0);
	store_be16(ip + 10, internet_checksum(ip, IPV4_HEADER_LEN, 0));
	if (c->checksums)
		tcp_client_checksum(frame, tcp_len);
	return (uint16_t)(TCP_CLIENT_AT + tcp_len);
}

static inline uint16_t
tcp_client_syn(const struct tcp_client *c, struct tcp_conn *conn, const struct link *link, uint8_t *frame)
{
	static const uint8_t options[TCP_CLIENT_SYN_OPTIONS] = { 2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7 };

	memcpy(tcp_client_segment(c, conn, link, frame, FLAG_SYN, TCP_CLIENT_SYN_OPTIONS), options, sizeof options);
	conn->seq++;
	return tcp_client_finish(c, frame, TCP_CLIENT_HEADER + TCP_CLIENT_SYN_OPTIONS);
}

static inline uint8_t *
tcp_client_stamped(const struct tcp_client *c, const struct tcp_conn *conn, const struct link *link, uint8_t *frame, uint8_t flags)
{
	uint8_t *options = tcp_client_segment(c, conn, link, frame, flags, TCP_CLIENT_OPTIONS);

	memcpy(options, (uint8_t[4]){ 1, 1, 8, 10 }, 4);
	store_be32(options + 4, c->tick);
	store_be32(options + 8, conn->stamp);
	return options + TCP_CLIENT_OPTIONS;
}

/* An acknowledgement, or the end (FLAG_FIN or FLAG_RST). */
static inline uint16_t
tcp_client_ack(const struct tcp_client *c, const struct tcp_conn *conn, const struct link *link, uint8_t *frame, uint8_t flags)
{
	tcp_client_stamped(c, conn, link, frame, FLAG_ACK | flags);
	return tcp_client_finish(c, frame, TCP_CLIENT_HEADER + TCP_CLIENT_OPTIONS);
}

static inline uint8_t *
tcp_client_put(uint8_t *out, const char *text)
{
	size_t len = strlen(text);

	memcpy(out, text, len);
	return out + len;
}

/* One GET of a key in the protocol's words. */
static inline uint8_t *
tcp_client_put_get(const struct tcp_client *c, uint8_t *out, uint32_t key)
{
	out = tcp_client_put(out, c->memcached ? "get " : "*2\r\n$3\r\nGET\r\n$16\r\n");
	workload_key(out, key);
	return tcp_client_put(out + WORKLOAD_KEY_LEN, "\r\n");
}

static inline uint8_t *
tcp_client_put_set(const struct tcp_client *c, uint8_t *out, uint32_t key)
{
	char middle[64];

	out = tcp_client_put(out, c->memcached ? "set " : "*3\r\n$3\r\nSET\r\n$16\r\n");
	workload_key(out, key);
	snprintf(middle, sizeof middle, c->memcached ? " 0 0 %u\r\n" : "\r\n$%u\r\n", c->value_len);
	out = tcp_client_put(out + WORKLOAD_KEY_LEN, middle);
	workload_value(out, c->value_len, key);
	return tcp_client_put(out + c->value_len, "\r\n");
}

/* A segment with requests for keys[0..n). */
static inline uint16_t
tcp_client_requests(const struct tcp_client *c, struct tcp_conn *conn, const struct link *link, uint8_t *frame,
    const uint32_t *keys, uint32_t n, bool set)
{
	uint8_t *start = tcp_client_stamped(c, conn, link, frame, FLAG_ACK | FLAG_PSH), *end = start;

	for (uint32_t k = 0; k < n; k++)
		end = set ? tcp_client_put_set(c, end, keys[k]) : tcp_client_put_get(c, end, keys[k]);
	conn->seq += (uint32_t)(end - start);
	return tcp_client_finish(c, frame, (uint16_t)(TCP_CLIENT_HEADER + TCP_CLIENT_OPTIONS + (end - start)));
}

/* Reads a frame of the server; remembers its timestamp. `len` bytes of TCP, as the IP header says. */
static inline struct tcp_seen
tcp_client_read(struct tcp_conn *conn, const uint8_t *frame, uint16_t len)
{
	const uint8_t *tcp = frame + TCP_CLIENT_AT, *options = tcp + TCP_CLIENT_HEADER;
	uint16_t header = (uint16_t)((tcp[12] >> 4) * 4), end = (uint16_t)(header - TCP_CLIENT_HEADER);

	for (uint16_t at = 0; at < end && options[at] != 0; at = (uint16_t)(at + (options[at] == 1 ? 1 : options[at + 1])))
		if (options[at] == 8)
			conn->stamp = load_be32(options + at + 2);
	return (struct tcp_seen){ load_be32(tcp + 4), tcp[13], (uint16_t)(len - header), tcp + header };
}

#endif
