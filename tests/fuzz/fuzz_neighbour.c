/* Fuzzes the neighbour table: any sequence of wishes, answers, lies and time; frames held are counted. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "net/neighbour.h"
#include "wire/wire.h"

enum { FRAMES = 64 };

static struct neighbours n;
static uint8_t frames[FRAMES]; /* 1: held by the table */
static uint32_t held;

static void
back(void *frame)
{
	if (!frame)
		return;
	CHECK(*(uint8_t *)frame == 1);
	*(uint8_t *)frame = 0;
	held--;
}

static void
wish(uint64_t now_ns, const uint8_t ip[4], uint8_t *frame)
{
	uint8_t mac[6];
	void *lost;
	enum neighbour_answer answer = neighbour_find(&n, now_ns, ip, mac, &lost);

	back(lost);
	if (answer != NEIGHBOUR_ASKING || *frame)
		return;
	*frame = 1;
	held++;
	back(neighbour_hold(&n, ip, frame));
}

static void
time_passes(uint64_t now_ns)
{
	uint8_t frame[NEIGHBOUR_FRAME_LEN];
	void *given_up;

	while (neighbour_deadline(&n) <= now_ns) {
		neighbour_ask(&n, now_ns, frame, &given_up);
		back(given_up);
	}
}

/* Steps of 20 bytes: what, which frame, how much later, an address, and an ARP packet's rest. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct neighbour_config config = { .mac = { 2, 0, 0, 0, 0, 1 }, .ipv4 = { 10, 9, 0, 1 } };
	uint64_t now_ns = NS_PER_SEC;

	if (size < 2)
		return 0;
	config.prefix_len = data[0] % 33;
	config.has_gateway = data[1] & 1 && config.prefix_len > 0 && config.prefix_len < 31;
	memcpy(config.gateway, (const uint8_t[]){ 10, 9, 0, 2 }, 4);
	neighbour_init(&n, &config);
	memset(frames, 0, sizeof frames);
	held = 0;
	for (data += 2, size -= 2; size >= 20; data += 20, size -= 20) {
		struct wire_arp arp = { .hardware = be16(1), .protocol = be16(WIRE_ETHERTYPE_IPV4), .hardware_len = 6,
			.protocol_len = 4, .operation = be16(data[0] & 0x10 ? WIRE_ARP_REPLY : WIRE_ARP_REQUEST) };
		uint8_t ip[4];
		void *freed = NULL;

		now_ns += (uint64_t)data[2] << (data[3] % 33);
		memcpy(arp.sender_ip, data + 4, 4);
		memcpy(arp.sender_mac, data + 8, 6);
		memcpy(arp.target_ip, data + 14, 4);
		switch (data[0] & 3) {
		case 0:
			wish(now_ns, data + 4, &frames[data[1] % FRAMES]);
			break;
		case 1:
			neighbour_arp(&n, now_ns, (const uint8_t *)&arp, ip, &freed);
			break;
		case 2:
			freed = neighbour_confirm(&n, now_ns, data + 4, data + 8);
			break;
		default:
			time_passes(now_ns);
		}
		back(freed);
		neighbour_check(&n);
		CHECK(held <= n.count);
	}
	return 0;
}
