/*
 * What it costs to copy a value's bytes into a frame, and what to leave them where they are.
 *
 *   bench_tails [SAMPLES]   prints a JSON object a line
 *
 * The worker's own way from segment to driver (lib/io: port_append, port_tx) over a net_ring port, without TCP and without a NIC.
 * Bursts of 32 frames of TCP's headers and `bytes` of an item; copied: into the frame's buffer; referred: pinned, and chained as an
 * external buffer. TSC cycles a frame, from the fresh packet to its buffers' return, medians of bursts in turn.
 * checksum: in software, over the bytes, or left to the NIC. driver: "hands on" pointers as a ring does and a NIC
 * would, or "copies" every frame into a ring of 4 MiB, as AF_PACKET's does.
 * Items of 64 KiB are walked through from their first byte to their last, one after another in no order: "warm"
 * ones of 256 KiB altogether, or "cold" of 256 MiB.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include <rte_mbuf.h>

#include "base/check.h"
#include "io/io.h"
#include "wire/checksum.h"

enum { SAMPLES_MAX = 4001, FRAMES = 32, HEADERS = 14 + 20 + 32, WARM = 256 << 10, COLD = 256 << 20, RING_SLOT = 2048, RING_SLOTS = 2048,
	ITEM = 64 << 10 };

struct bench {
	struct port *port;
	struct counters counters;
	struct pkt fresh[SPARE_MAX];
	struct spares spares;
	uint8_t *items, *ring;
	uint16_t *pins;
	uint32_t next_slot;
	uint64_t item; /* where it begins */
	uint32_t offset;
};

struct way {
	uint16_t bytes;
	bool refers, sums, copies;
	uint64_t items_len;
};

static struct bench bench;
static volatile uint16_t sink; /* so that sums are made */

static void
open_port(void)
{
	static struct io_config config = { .worker_count = 1, .float_lcores = true, .no_huge = true,
		.profile = { .name = "ring", .driver = "net_ring", .rx_descriptors = 1024, .tx_descriptors = 1024,
			.mbufs = 4096, .queues = 1, .external_tx = true } };
	struct error error;
	uint8_t mac[6];

	config.memory_mb = io_memory_mb(&config, 0);
	if (io_start(&config, &error) != STATUS_OK || !(bench.port = port_open(&config, 0, mac, &error))) {
		fprintf(stderr, "bench_tails: %s\n", error.text);
		exit(1);
	}
	bench.spares = (struct spares){ bench.fresh, 0, 0 };
	port_refill(bench.port, &bench.spares);
}

/* The next bytes of the item, or the first of another one. */
static uint64_t
next_place(const struct way *way)
{
	uint64_t place;

	if (bench.offset + way->bytes > ITEM || bench.item >= way->items_len) {
		bench.offset = 0;
		bench.item = (bench.item + 1009 * (uint64_t)ITEM) % way->items_len;
	}
	place = bench.item + bench.offset;
	bench.offset += way->bytes;
	return place;
}

static void
compose(const struct way *way, struct pkt *pkt)
{
	uint64_t place = next_place(way), sum;
	struct pkt_tail tail = { .data = bench.items + place, .pins = &bench.pins[place / ITEM], .len = way->bytes };

	pkt->len = HEADERS;
	if (way->refers) {
		CHECK(outq_pin(tail.pins));
	} else {
		memcpy(pkt->data + HEADERS, tail.data, tail.len);
		pkt->len = (uint16_t)(HEADERS + tail.len);
	}
	if (way->sums) {
		sum = checksum_add(0, pkt->data + 34, pkt->len - 34u);
		if (way->refers)
			sum = checksum_add_at(sum, HEADERS - 34, tail.data, tail.len);
		sink = checksum_finish(sum);
	}
	if (way->refers)
		port_append(bench.port, pkt, &tail);
	pkt->disposition = PKT_SEND;
}

static void
copy_out(const struct pkt *pkt)
{
	uint8_t *to = bench.ring + (uint64_t)(bench.next_slot++ % RING_SLOTS) * RING_SLOT;

	for (const struct rte_mbuf *mbuf = pkt->handle; mbuf; mbuf = mbuf->next) {
		memcpy(to, rte_pktmbuf_mtod(mbuf, const uint8_t *), mbuf->data_len);
		to += mbuf->data_len;
	}
}

static uint64_t
burst(const struct way *way)
{
	struct pkt arrived[FRAMES];
	uint64_t start = __rdtsc();
	uint32_t got;

	for (uint32_t i = 0; i < FRAMES; i++)
		compose(way, spares_take(&bench.spares));
	port_tx(bench.port, bench.spares.pkts, bench.spares.used, &bench.counters);
	port_refill(bench.port, &bench.spares);
	got = port_rx(bench.port, arrived, FRAMES, &bench.counters);
	CHECK(got == FRAMES);
	for (uint32_t i = 0; i < got; i++) {
		if (way->copies)
			copy_out(&arrived[i]);
		arrived[i].disposition = PKT_DONE;
	}
	port_tx(bench.port, arrived, got, &bench.counters);
	return __rdtsc() - start;
}

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double
median(uint64_t *cycles, uint32_t count)
{
	qsort(cycles, count, sizeof *cycles, compare);
	return (double)cycles[count / 2] / FRAMES;
}

static void
measure(struct way way, uint32_t samples)
{
	static uint64_t copied[SAMPLES_MAX], referred[SAMPLES_MAX];

	for (uint32_t i = 0; i < samples; i++) {
		way.refers = false;
		copied[i] = burst(&way);
		way.refers = true;
		referred[i] = burst(&way);
	}
	printf("{\"bench\":\"tails\",\"bytes\":%u,\"items\":\"%s\",\"checksum\":\"%s\",\"driver\":\"%s\",\"copied\":%.0f,\"referred\":%.0f}\n",
	    way.bytes, way.items_len == COLD ? "cold" : "warm", way.sums ? "software" : "nic", way.copies ? "copies" : "hands on",
	    median(copied, samples), median(referred, samples));
}

int
main(int argc, char **argv)
{
	static const uint16_t bytes[] = { 64, 128, 256, 512, 768, 1024, 1280, 1434 };
	uint32_t samples = argc > 1 ? (uint32_t)atoi(argv[1]) : 1001;

	CHECK(samples >= 1 && samples <= SAMPLES_MAX);
	open_port();
	bench.items = malloc(COLD);
	bench.pins = calloc(COLD / ITEM, sizeof *bench.pins);
	bench.ring = malloc(RING_SLOTS * RING_SLOT);
	CHECK(bench.items && bench.pins && bench.ring);
	memset(bench.items, 0x5a, COLD);
	memset(bench.ring, 0, RING_SLOTS * RING_SLOT);
	for (uint32_t kind = 0; kind < 8; kind++)
		for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++)
			measure((struct way){ .bytes = bytes[i], .sums = !(kind & 1), .copies = kind & 2,
			    .items_len = kind & 4 ? COLD : WARM }, samples);
	port_release(bench.port, &bench.spares);
	port_close(bench.port);
	io_stop();
	return 0;
}
