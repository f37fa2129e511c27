/* Fuzzes what a node does with a genuine packet of any content: the reader, then a whole cluster core. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cluster/cluster.h"
#include "seal/seal.h"

static struct cluster cluster;
static struct cluster_actions actions;
static struct envelope peer;
static uint64_t now_ns;

static void
config_fill(struct cluster_config *config)
{
	cluster_config_default(config);
	memcpy(config->id, "n1", 3);
	config->boot = 1;
	config->address.port = 7946;
	config->members_max = 8;
	config->insecure = true;
}

static void
begin(void)
{
	struct envelope_config envelope = { .insecure = true, .lives_max = 4 };
	struct cluster_config config;

	CHECK(seal_start());
	config_fill(&config);
	now_ns = NS_PER_SEC;
	CHECK(cluster_init(&cluster, &config, (struct now){ .mono_ns = now_ns }, 1));
	CHECK(envelope_init(&peer, &envelope, 2));
}

/* The input is cut into payloads by two bytes of length each. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	begin();
	for (size_t at = 0; at + 2 <= size;) {
		uint8_t packet[UDP_PAYLOAD_MAX];
		struct cluster_event event = { .kind = CLUSTER_PACKET, .from = { .port = 7946 }, .data = packet };
		size_t len = load_le16(data + at) % (PEER_PAYLOAD_MAX + 1);

		at += 2;
		if (len > size - at)
			len = size - at;
		memcpy(packet + ENVELOPE_HEADER_LEN, data + at, len);
		at += len;
		event.len = envelope_seal(&peer, packet, len, ENVELOPE_CONTROL);
		now_ns += 10 * NS_PER_MS;
		cluster_step(&cluster, (struct now){ .mono_ns = now_ns }, &event, &actions);
		cluster_check(&cluster);
		for (uint32_t i = 0; i < actions.count; i++)
			CHECK(actions.list[i].kind != CLUSTER_SEND || actions.list[i].len <= UDP_PAYLOAD_MAX);
	}
	cluster_deinit(&cluster);
	envelope_deinit(&peer);
	return 0;
}
