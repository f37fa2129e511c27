/*
 * Fuzzes all of serve: two workers, whatever datagrams the input says, in whatever bursts.
 *
 * Input: records of a control byte, a length (u16) and a datagram. Control: bit 0
 * the worker, bit 1 memcached, bit 2 "make the native header good" (magic, version
 * and cookie are written over), bit 3 run the bursts now, bits 4..7 seconds that pass.
 *
 * Checked, besides the CHECKs of the code: every packet is decided; replies fit a
 * datagram; an unproven native frame gets no more bytes than it had; slots all come
 * home; without items no memory is held.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "proto/native.h"
#include "serve/admit.h"
#include "serve/once.h"
#include "serve/serve.h"
#include "serve/upload.h"
#include "store/reclaim.h"
#include "tests/support/serving.h"

enum { WORKERS = 2, ROOM = 2048, MAIL = 2 * DEFERRED_MAX, BOOT = 7 };

struct worker {
	struct serving s;
	uint8_t buffers[BURST_MAX][ROOM];
	struct pkt pkts[BURST_MAX];
	bool good[BURST_MAX]; /* the cookie was written over */
	struct deferred *mail[MAIL];
	uint32_t mail_count;
};

static const uint8_t secret[16] = "of the cookies.";
static struct worker *workers[WORKERS];
static struct store *store;
static struct admit admit;
static struct now now;
static struct endpoint peer;

static void
start(void)
{
	struct store_config store_config = { .shard_count = WORKERS, .memory_bytes = 8 << 20, .items_max = 4096,
		.expected_item_size = 128, .secret = "the store's own" };
	struct serve_config config = { .worker_count = WORKERS, .native_port = 7411, .epoch = 1, .boot = BOOT,
		.version = "fuzz", .memcached_allow_count = 1 };
	struct serving *servings[WORKERS];
	struct error error;

	now = (struct now){ 1000 * NS_PER_SEC, 1700000000000 };
	endpoint_map_ipv4(peer.ip, "\x0a\0\0\7");
	memcpy(config.cookie_secret, secret, sizeof secret);
	admit_init(&admit, secret, BOOT);
	config.store = store = store_create(&store_config, &error);
	CHECK(store);
	for (uint32_t i = 0; i < WORKERS; i++) {
		workers[i] = calloc(1, sizeof *workers[i]);
		CHECK(workers[i]);
		servings[i] = &workers[i]->s;
	}
	CHECK(serving_start(servings, WORKERS, &config, &error));
}

/* Puts a datagram into a worker's burst. */
static void
put(struct worker *w, uint8_t control, const uint8_t *data, uint16_t len)
{
	uint32_t i = w->s.burst.datagram_count++;
	uint8_t *payload = w->buffers[i] + PKT_UDP_PAYLOAD_OFFSET;

	memcpy(payload, data, len);
	w->good[i] = !(control & 2) && (control & 4) && len >= NATIVE_HEADER_LEN;
	if (w->good[i]) {
		admit_turn(&admit, &now);
		store_le16(payload, NATIVE_MAGIC);
		payload[2] = NATIVE_VERSION;
		payload[3] = 0;
		store_le64(payload + 24, admit_cookie(&admit, &peer));
	}
	w->s.burst.datagrams[i] = (struct datagram){ .pkt = &w->pkts[i], .payload = payload, .payload_len = len,
		.service = control & 2 ? SERVICE_MEMCACHED : SERVICE_NATIVE, .peer = peer };
}

static bool
is_answered_in(const struct worker *w, const struct pkt *pkt)
{
	for (uint32_t i = 0; i < w->s.burst.reply_count; i++)
		if (w->s.replies[i].pkt == pkt)
			return true;
	return false;
}

static void
check_replies(const struct worker *w, uint32_t wire_count)
{
	for (uint32_t i = 0; i < w->s.burst.datagram_count; i++) {
		const struct pkt *pkt = w->s.burst.datagrams[i].pkt;

		CHECK((pkt->disposition == PKT_PENDING) == is_answered_in(w, pkt));
	}
	for (uint32_t i = 0; i < w->s.burst.reply_count; i++) {
		const struct reply *reply = &w->s.replies[i];

		CHECK(reply->payload_len <= UDP_PAYLOAD_MAX && reply->pkt->disposition == PKT_PENDING);
		for (uint32_t at = 0; at < wire_count; at++)
			if (reply->pkt == w->s.burst.datagrams[at].pkt && !w->good[at])
				CHECK(reply->payload_len <= w->s.burst.datagrams[at].payload_len);
	}
}

static void
deliver(struct worker *w)
{
	for (uint32_t i = 0; i < w->s.burst.outbox.count; i++) {
		struct worker *to = workers[w->s.burst.outbox.mails[i].to];

		CHECK(to != w && to->mail_count < MAIL);
		to->mail[to->mail_count++] = w->s.burst.outbox.mails[i].slot;
	}
}

static void
take_mail(struct worker *w)
{
	uint32_t taken = 0;

	while (taken < w->mail_count && w->s.burst.datagram_count < BURST_MAX)
		serving_mail(&w->s, w->mail[taken++]);
	memmove(w->mail, w->mail + taken, (w->mail_count - taken) * sizeof w->mail[0]);
	w->mail_count -= taken;
}

static void
poll_worker(struct worker *w)
{
	uint32_t wire_count = w->s.burst.datagram_count;

	for (uint32_t i = 0; i < BURST_MAX; i++)
		w->pkts[i] = (struct pkt){ .data = w->buffers[i], .room = ROOM };
	serving_begin(&w->s, now, SERVING_SPARES);
	take_mail(w);
	serving_run(&w->s);
	check_replies(w, wire_count);
	deliver(w);
	w->s.burst.datagram_count = 0;
	serve_tick(w->s.serve, &now, 8);
	reclaim_quiescent();
}

static void
settle(void)
{
	while (workers[0]->s.burst.datagram_count + workers[1]->s.burst.datagram_count +
	    workers[0]->mail_count + workers[1]->mail_count > 0) {
		poll_worker(workers[0]);
		poll_worker(workers[1]);
	}
}

static void
feed(const uint8_t *data, size_t size)
{
	struct reader in = reader_of(data, size);

	while (reader_left(&in) >= 3) {
		uint8_t control = reader_u8(&in);
		uint16_t len = reader_le16(&in) % (UDP_PAYLOAD_MAX + 1);
		struct worker *w = workers[control & 1];

		len = len <= reader_left(&in) ? len : (uint16_t)reader_left(&in);
		now.mono_ns += (control >> 4) * NS_PER_SEC;
		now.wall_ms += (control >> 4) * MS_PER_SEC;
		put(w, control, reader_take(&in, len), len);
		if ((control & 8) || w->s.burst.datagram_count == BURST_MAX / 2)
			settle();
	}
	settle();
}

static void
figures(uint64_t *items, uint64_t *bytes)
{
	struct shard_stats stats;

	*items = *bytes = 0;
	for (uint32_t i = 0; i < WORKERS; i++) {
		shard_stats(store_shard(store, i), &stats);
		*items += stats.items;
		*bytes += stats.active_bytes;
	}
}

/* Everything ends, uploads too; where no item is left, nothing else may hold memory. */
static void
forget(uint64_t empty_bytes)
{
	uint64_t items, bytes;

	store_flush(store, &now, now.wall_ms);
	now.mono_ns += UPLOAD_IDLE_NS + ONCE_IDLE_MS * NS_PER_MS;
	now.wall_ms += ONCE_IDLE_MS;
	for (uint32_t round = 0; round < 4; round++)
		for (uint32_t i = 0; i < WORKERS; i++) {
			serve_tick(workers[i]->s.serve, &now, 5000);
			reclaim_quiescent();
		}
	figures(&items, &bytes);
	CHECK(items > 0 || bytes == empty_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Making workers costs milliseconds, so they are kept; what one input leaves behind is forgotten. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint64_t empty_bytes;
	uint64_t items;

	if (!store) {
		reclaim_register();
		start();
		figures(&items, &empty_bytes);
	}
	feed(data, size);
	forget(empty_bytes);
	return 0;
}
