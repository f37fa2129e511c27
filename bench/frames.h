/*
 * frames.h - native request frames, ready for the wire, at generator speed.
 *
 * Purpose: the layout of a frame is composed once by lib/proto; afterwards only
 *   what differs between frames is written: sequence, cookie, slots, keys, values.
 * Threads: any; a template is read-only once made.
 * Bounds: one operation code a template, 1..FRAME_OPS_MAX operations, values of
 *   one length; the frame must fit FRAME_LEN_MAX.
 */
#ifndef BENCH_FRAMES_H
#define BENCH_FRAMES_H

#include "base/bytes.h"
#include "base/limits.h"
#include "bench/workload.h"
#include "proto/native.h"
#include "ring/slot.h"

struct template {
	uint8_t bytes[FRAME_LEN_MAX];
	uint16_t len;
	uint16_t ops;
	uint16_t op_len;       /* from one operation to the next */
	uint16_t key_offset;   /* of operation 0's key, from the frame's start */
	uint16_t value_offset; /* of operation 0's value; 0 when it has none */
	uint16_t value_len;
};

enum {
	TEMPLATE_NATIVE = ETHERNET_HEADER_LEN + IPV4_HEADER_LEN + UDP_HEADER_LEN,
	TEMPLATE_SEQUENCE = TEMPLATE_NATIVE + 16,
	TEMPLATE_COOKIE = TEMPLATE_NATIVE + 24,
	TEMPLATE_OPS = TEMPLATE_NATIVE + NATIVE_HEADER_LEN,
	TEMPLATE_SLOT = 2,      /* of an operation's header */
	TEMPLATE_WINDOW = 8192, /* more operations than any run has in flight: what is older is settled */
};

struct link {
	uint8_t mac[6], peer_mac[6];
	uint8_t ip[4], peer_ip[4];
	uint16_t port, peer_port;
};

static inline uint16_t
internet_checksum(const uint8_t *data, size_t len, uint32_t sum)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += load_be16(data + i);
	if (len & 1)
		sum += (uint32_t)data[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Ethernet, IPv4 and UDP headers before payload_len bytes; UDP checksum 0 (RFC 768: none). */
static inline void
link_headers(const struct link *link, uint8_t *frame, uint16_t payload_len)
{
	uint8_t *ip = frame + ETHERNET_HEADER_LEN, *udp = ip + IPV4_HEADER_LEN;

	memcpy(frame, link->peer_mac, 6);
	memcpy(frame + 6, link->mac, 6);
	store_be16(frame + 12, 0x0800);
	memset(ip, 0, IPV4_HEADER_LEN);
	ip[0] = 0x45;
	store_be16(ip + 2, IPV4_HEADER_LEN + UDP_HEADER_LEN + payload_len);
	store_be16(ip + 6, 0x4000); /* do not fragment */
	ip[8] = 64;
	ip[9] = 17;
	memcpy(ip + 12, link->ip, 4);
	memcpy(ip + 16, link->peer_ip, 4);
	store_be16(ip + 10, internet_checksum(ip, IPV4_HEADER_LEN, 0));
	store_be16(udp, link->port);
	store_be16(udp + 2, link->peer_port);
	store_be16(udp + 4, UDP_HEADER_LEN + payload_len);
	store_be16(udp + 6, 0);
}

/* Writes the UDP checksum of a finished frame, for servers that verify it. */
static inline void
frame_checksum(uint8_t *frame, uint16_t len)
{
	const uint8_t *ip = frame + ETHERNET_HEADER_LEN;
	uint8_t *udp = frame + ETHERNET_HEADER_LEN + IPV4_HEADER_LEN;
	uint16_t udp_len = (uint16_t)(len - ETHERNET_HEADER_LEN - IPV4_HEADER_LEN), sum;
	uint32_t pseudo = 17u + udp_len;

	for (int i = 12; i < 20; i += 2)
		pseudo += load_be16(ip + i);
	store_be16(udp + 6, 0);
	sum = internet_checksum(udp, udp_len, pseudo);
	store_be16(udp + 6, sum ? sum : 0xffff);
}

/* False when `ops` operations do not fit a frame. */
static inline bool
template_init(struct template *t, const struct link *link, uint64_t client, enum op op,
    uint16_t ops, uint16_t value_len)
{
	uint8_t key[WORKLOAD_KEY_LEN], value[UDP_PAYLOAD_MAX] = { 0 };
	struct native_header header = { .version = NATIVE_VERSION, .op_count = (uint8_t)ops,
		.client = client, .window = TEMPLATE_WINDOW };
	struct request request = { .op = (uint8_t)op };
	struct writer out = writer_of(t->bytes + TEMPLATE_OPS, UDP_PAYLOAD_MAX - NATIVE_HEADER_LEN);
	bool with_value = op == OP_SET;

	if (value_len > sizeof value)
		return false;
	workload_key(key, 0);
	if (op_has_key(op))
		request.key = view_of(key, sizeof key);
	if (with_value)
		request.value = view_of(value, value_len);
	memset(t, 0, sizeof *t);
	native_header_compose(&header, t->bytes + TEMPLATE_NATIVE);
	for (uint16_t i = 0; i < ops; i++)
		native_request_compose(&out, &request);
	t->op_len = (uint16_t)native_request_size(&request);
	t->len = (uint16_t)(TEMPLATE_OPS + ops * t->op_len);
	t->ops = ops;
	t->value_len = with_value ? value_len : 0;
	/* Key and value end an operation, in this order. */
	t->key_offset = (uint16_t)(TEMPLATE_OPS + t->op_len - t->value_len - WORKLOAD_KEY_LEN);
	t->value_offset = with_value ? (uint16_t)(t->key_offset + WORKLOAD_KEY_LEN) : 0;
	link_headers(link, t->bytes, (uint16_t)(t->len - TEMPLATE_NATIVE));
	return !out.failed;
}

/* Slots of all keys: 2 bytes each, so that the generator need not hash. */
static inline uint16_t *
slots_create(uint32_t keys)
{
	uint16_t *slots = malloc(keys * sizeof *slots);
	uint8_t key[WORKLOAD_KEY_LEN];

	CHECK(slots);
	for (uint32_t i = 0; i < keys; i++) {
		workload_key(key, i);
		slots[i] = slot_of_key(view_of(key, sizeof key));
	}
	return slots;
}

/* One frame asking for keys[0..ops). */
static inline void
template_write(const struct template *t, uint8_t *frame, uint64_t sequence, uint64_t cookie,
    const uint32_t *keys, const uint16_t *slots)
{
	uint8_t *op = frame + TEMPLATE_OPS, *key = frame + t->key_offset;

	memcpy(frame, t->bytes, t->len);
	store_le64(frame + TEMPLATE_SEQUENCE, sequence);
	store_le64(frame + TEMPLATE_COOKIE, cookie);
	for (uint16_t i = 0; i < t->ops; i++, op += t->op_len, key += t->op_len) {
		store_le16(op + TEMPLATE_SLOT, slots[keys[i]]);
		workload_key(key, keys[i]);
		if (t->value_len)
			workload_value(key + WORKLOAD_KEY_LEN, t->value_len, keys[i]);
	}
}

#endif
