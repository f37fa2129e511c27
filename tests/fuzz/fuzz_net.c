/*
 * Fuzzes net_input with whole frames: no read or write outside the frame, every
 * pkt settled or in one datagram whose payload lies inside it, and a reply to it sound.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "net/net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct net net;
	static struct counters counters;
	struct net_config config = { .mac = { 2, 0, 0, 0, 9, 1 }, .ipv4 = { 10, 9, 0, 1 },
		.port_count = 1, .ports = { { 7, SERVICE_ECHO } } };
	struct datagram datagram;
	struct reply reply;
	uint8_t *frame;
	struct pkt pkt = { 0 };

	if (size < 1 || size > FRAME_LEN_MAX)
		return 0;
	config.verify_checksums = data[0] & 1;
	net_init(&net, &config, &counters);
	pkt.len = (uint16_t)(size - 1);
	pkt.room = (uint16_t)(size - 1);
	pkt.data = frame = malloc(size); /* exactly: the sanitizer sees any step outside */
	memcpy(frame, data + 1, size - 1);
	if (net_input(&net, 0, &pkt, 1, &datagram)) {
		CHECK(pkt.disposition == PKT_PENDING);
		CHECK(datagram.payload >= frame && datagram.payload + datagram.payload_len <= frame + pkt.len);
		CHECK(net_echo(&datagram, 1, &reply) == 1);
		net_output(&net, &reply, 1);
	}
	CHECK(pkt.disposition == PKT_SEND || (pkt.disposition == PKT_DROP && pkt.drop != DROP_NONE));
	free(frame);
	return 0;
}
