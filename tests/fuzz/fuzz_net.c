/*
 * Fuzzes net_input and net_timers with bursts of whole frames, of both families, tagged or not, whole or in fragments:
 * no read or write outside the frame, every pkt settled or in one datagram whose payload lies inside it (or in the memory
 * of fragments), and a reply to it sound.
 *
 * Input: flags, then frames, each behind its length in two bytes (little-endian); a length of 0xffff lets 300 ms pass.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "net/frag.h"
#include "net/net.h"

enum { FRAMES_MAX = 64, SPARES = 16, PASSES = 0xffff, STEP_MS = 300 };

static struct net net;
static struct net_shared shared;
static struct counters counters;
static uint8_t spare_bytes[SPARES][2048];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
start(uint8_t flags, struct frags *frags)
{
	struct net_config config = { .mac = { 2, 0, 0, 0, 9, 1 }, .ipv4 = { 10, 9, 0, 1 }, .ipv4_len = 24,
		.ipv6 = { { 0xfe, 0x80, [11] = 0xff, 0xfe, 0, 9, 1 }, { 0xfd, 9, [15] = 1 } },
		.verify_checksums = flags & 1, .vlan = flags & 2 ? 5 : 0, .ipv6_count = flags & 4 ? 0 : 2, .tcp = flags & 8,
		.tx_checksum_offload = flags & 16, .announces = true, .shared = &shared, .frags = flags & 32 ? NULL : frags,
		.port_count = 2, .ports = { { 7, SERVICE_ECHO }, { 11211, SERVICE_MEMCACHED } } };

	memset(&shared, 0, sizeof shared);
	net_init(&net, &config, &counters);
	atomic_store(&shared.ipv6_usable, !(flags & 64));
}

/* The timers' frames are sound enough to be sent. */
static void
pass_time(uint64_t now_ns)
{
	struct pkt pkts[SPARES];
	struct spares spares = { pkts, SPARES, 0 };

	for (int i = 0; i < SPARES; i++)
		pkts[i] = (struct pkt){ .data = spare_bytes[i] + PKT_HEADROOM, .room = 2048 - PKT_HEADROOM };
	net_timers(&net, now_ns, &spares);
	for (uint32_t i = 0; i < spares.used; i++)
		CHECK(pkts[i].disposition == PKT_SEND && pkts[i].len > ETHERNET_HEADER_LEN && pkts[i].len <= pkts[i].room);
}

static void
reply(struct pkt *pkt, const struct datagram *datagram, const uint8_t *frame, size_t len)
{
	struct reply reply;
	bool inside = datagram->payload >= frame && datagram->payload + datagram->payload_len <= frame + len;

	CHECK(datagram->pkt == pkt && pkt->disposition == PKT_PENDING);
	CHECK(datagram->payload_len <= DATAGRAM_LEN_MAX);
	CHECK(inside || (net.config.frags && datagram->service == SERVICE_MEMCACHED));
	for (uint16_t i = 0; i < datagram->payload_len; i++)
		(void)*(volatile const uint8_t *)&datagram->payload[i];
	if (net_echo(datagram, 1, &reply) == 1) {
		CHECK(datagram->payload == pkt->data + PKT_UDP_PAYLOAD_OFFSET);
		net_output(&net, &reply, 1);
	} else {
		pkt->disposition = PKT_DONE;
	}
}

static void
input(uint64_t now_ns, const uint8_t *bytes, uint16_t len)
{
	uint8_t *frame = malloc(len ? len : 1); /* exactly: the sanitizer sees any step outside */
	struct pkt pkt = { .data = frame, .len = len, .room = len };
	struct datagram datagram;

	memcpy(frame, bytes, len);
	if (net_input(&net, now_ns, &pkt, 1, &datagram))
		reply(&pkt, &datagram, frame, len);
	else if (net.segment_count)
		CHECK(net.segments[0].header >= frame && net.segments[0].header + net.segments[0].len <= frame + len);
	CHECK(net.error_count + net.segment_count <= 1);
	CHECK(pkt.disposition != PKT_PENDING || net.segment_count == 1);
	CHECK((pkt.disposition == PKT_DROP) == (pkt.drop != DROP_NONE));
	CHECK(pkt.data >= frame && pkt.data + pkt.room == frame + len);
	CHECK(pkt.disposition != PKT_SEND || pkt.len <= pkt.room);
	free(frame);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t secret[16] = "fuzzed fragments";
	static struct frags *frags; /* 6 MiB: what an earlier input left in it is forgotten by its time */
	static uint64_t now_ns = 1;
	struct reader in = reader_of(data + 1, size - (size > 0));

	if (size < 1)
		return 0;
	if (!frags)
		frags = frags_create(secret);
	now_ns += 2 * FRAGS_TIMEOUT_NS;
	start(data[0], frags);
	for (int i = 0; i < FRAMES_MAX && reader_left(&in) >= 2; i++) {
		uint16_t len = reader_le16(&in);

		if (len == PASSES) {
			now_ns += STEP_MS * NS_PER_MS;
			pass_time(now_ns);
			continue;
		}
		if (len > reader_left(&in))
			len = (uint16_t)reader_left(&in);
		if (len > FRAME_LEN_MAX + VLAN_TAG_LEN)
			break;
		input(now_ns, reader_view(&in, len).data, len);
	}
	frags_check(frags);
	return 0;
}
