/*
 * Fuzzes the link: a node takes genuine packets of a member it knows, with PEER_LINK sections of any content,
 * while it posts messages itself and time passes. Each input byte chooses what happens next.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cluster/cluster.h"
#include "seal/seal.h"

enum { POSTS_MAX = 4096 };

static struct cluster cluster;
static struct cluster_actions actions;
static struct envelope peer;
static uint64_t now_ns, peer_id;
static uint32_t posted;
static bool lost[POSTS_MAX];
static uint8_t message[1 << 16];

static void
outcome(void)
{
	cluster_check(&cluster);
	for (uint32_t i = 0; i < actions.count; i++) {
		const struct cluster_action *action = &actions.list[i];

		if (action->kind == CLUSTER_LOST) {
			CHECK(action->tag < posted && !lost[action->tag] && action->id == peer_id);
			lost[action->tag] = true;
		} else if (action->kind == CLUSTER_MESSAGE) {
			CHECK(action->message.len <= CLUSTER_MESSAGE_MAX && action->id == peer_id);
			for (uint32_t k = 0; k < action->message.len; k += 512)
				message[0] ^= action->message.data[k]; /* it can be read */
		}
	}
}

static void
packet_in(const uint8_t *body, size_t len, uint8_t type, bool fresh)
{
	struct peer_header header = { .sender = peer_id, .to_boot = 1, .incarnation = 1, .state = PEER_ALIVE,
		.epoch = fresh ? cluster_topology(&cluster)->epoch : 0,
		.epoch_digest = fresh ? cluster.authority.committed.digest : 0 };
	uint8_t packet[UDP_PAYLOAD_MAX];
	struct writer out = writer_of(packet + ENVELOPE_HEADER_LEN, PEER_PAYLOAD_MAX);
	struct cluster_event event = { .kind = CLUSTER_PACKET, .from = { .port = 7947 }, .data = packet };
	uint8_t *section;

	peer_header_compose(&out, &header);
	section = peer_section_begin(&out, type, 0);
	if (len > writer_left(&out))
		len = writer_left(&out);
	writer_bytes(&out, body, len);
	peer_section_end(&out, section);
	event.len = envelope_seal(&peer, packet, (size_t)(out.at - packet) - ENVELOPE_HEADER_LEN, ENVELOPE_DATA);
	cluster_step(&cluster, (struct now){ .mono_ns = now_ns }, &event, &actions);
	outcome();
}

static void
begin(void)
{
	struct envelope_config envelope = { .insecure = true, .lives_max = 4 };
	struct peer_record record = { .boot = 2, .incarnation = 1, .address = { .port = 7947 }, .api = { .port = 1 }, .weight = 1,
		.state = PEER_ALIVE, .workers = 1, .id_len = 2, .id = "n2" };
	struct cluster_config config;
	uint8_t hello[256];
	struct writer out = writer_of(hello, sizeof hello);

	CHECK(seal_start());
	aead_start();
	cluster_config_default(&config);
	memcpy(config.id, "n1", 3);
	config.boot = 1;
	config.address.port = 7946;
	config.members_max = 4;
	config.insecure = true;
	config.link_bytes = 1 << 17;
	now_ns = NS_PER_SEC;
	posted = 0;
	memset(lost, 0, sizeof lost);
	peer_id = ring_member_id("n2", 2);
	CHECK(cluster_init(&cluster, &config, (struct now){ .mono_ns = now_ns }, 1));
	CHECK(envelope_init(&peer, &envelope, 2));
	peer_record_compose(&out, &record);
	packet_in(hello, (size_t)(out.at - hello), PEER_HELLO, false);
	CHECK(members_find(&cluster.members, peer_id));
}

static void
post(uint32_t len)
{
	len %= sizeof message;
	if (posted < POSTS_MAX && cluster_post(&cluster, (struct now){ .mono_ns = now_ns }, peer_id, view_of(message, len / 2),
	    view_of(message, len - len / 2), posted) == CLUSTER_POST_OK)
		posted++;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	begin();
	for (size_t at = 0; at + 3 <= size;) {
		uint32_t number = load_le16(data + at + 1), len = number % 1400;
		struct cluster_event tick = { .kind = CLUSTER_TICK };

		switch (data[at] % 4) {
		case 0:
			at += 3;
			post(number);
			break;
		case 1:
			at += 3;
			now_ns += (uint64_t)number * number * 100; /* up to 0.4 s */
			cluster_step(&cluster, (struct now){ .mono_ns = now_ns }, &tick, &actions);
			outcome();
			break;
		default:
			len = len < size - at - 3 ? len : (uint32_t)(size - at - 3);
			packet_in(data + at + 3, len, PEER_LINK, data[at] & 4);
			at += 3 + len;
		}
	}
	cluster_deinit(&cluster);
	envelope_deinit(&peer);
	return 0;
}
