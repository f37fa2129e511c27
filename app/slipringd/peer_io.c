#include "slipringd/peer_io.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cluster/envelope.h"

enum { HOME_CORE = WORKER_MAX, BURST = 32 };

_Static_assert((int)PEER_CLASS_CONTROL == (int)ENVELOPE_CONTROL && (int)PEER_CLASS_DATA == (int)ENVELOPE_DATA,
    "a packet's class is its envelope's");

/* Free frames that a home has taken from its pool, in one piece, for one after the other. */
struct hand {
	void *frames[BURST];
	uint32_t count;
} __attribute__((aligned(64)));

struct peer_io {
	uint32_t workers;
	struct mailbox *in[PEER_CLASS_COUNT];  /* to the core; data rings control's bell */
	struct mailbox *out[PEER_CLASS_COUNT]; /* to worker 0 */
	struct mailbox *pools[WORKER_MAX + 1][PEER_CLASS_COUNT]; /* free frames of a home */
	struct peer_frame *frames;
	struct hand hands[WORKER_MAX + 1][PEER_CLASS_COUNT]; /* each its home's */
	_Atomic uint64_t lives[PEER_LIVES]; /* open hash; written by the core, in place: see peer_io_lives */
	/* the core's */
	struct peer_frame *going[PEER_CLASS_COUNT][BURST];
	uint32_t going_count[PEER_CLASS_COUNT];
};

/* --- making it ---------------------------------------------------------------------------- */

static struct mailbox *
create_box(const char *what, uint32_t home, uint32_t class, uint32_t size, struct error *error)
{
	char name[32];

	snprintf(name, sizeof name, "peer_%s%u_%u", what, home, class);
	return mailbox_create(name, size, error);
}

static uint32_t
pool_size(uint32_t home)
{
	return home == HOME_CORE ? PEER_OUT_FRAMES : PEER_IN_FRAMES;
}

/* A pool's mailbox has room for all its frames: rings hold one less than their size. */
static bool
create_pool(struct peer_io *io, uint32_t home, uint32_t class, struct peer_frame *frames, struct error *error)
{
	struct mailbox *pool = create_box("pool", home, class, 2 * pool_size(home), error);

	io->pools[home][class] = pool;
	for (uint32_t i = 0; pool && i < pool_size(home); i++) {
		frames[i].home = (uint8_t)home;
		frames[i].class = (uint8_t)class;
		CHECK(mailbox_send(pool, &frames[i]));
	}
	return pool != NULL;
}

static bool
create_boxes(struct peer_io *io, struct error *error)
{
	struct peer_frame *next = io->frames;

	for (uint32_t class = 0; class < PEER_CLASS_COUNT; class++) {
		io->in[class] = create_box("in", 0, class, 2 * PEER_IN_FRAMES * WORKER_MAX, error);
		io->out[class] = create_box("out", 0, class, 2 * PEER_OUT_FRAMES, error);
		if (!io->in[class] || !io->out[class] || !create_pool(io, HOME_CORE, class, next, error))
			return false;
		next += pool_size(HOME_CORE);
		for (uint32_t i = 0; i < io->workers; i++, next += pool_size(i))
			if (!create_pool(io, i, class, next, error))
				return false;
	}
	mailbox_attach(io->in[PEER_CLASS_DATA], io->in[PEER_CLASS_CONTROL]);
	return true;
}

struct peer_io *
peer_io_create(uint32_t workers, struct error *error)
{
	struct peer_io *io = aligned_alloc(64, (sizeof *io + 63) / 64 * 64);
	size_t count = (size_t)PEER_CLASS_COUNT * (PEER_OUT_FRAMES + PEER_IN_FRAMES * workers);

	CHECK(workers >= 1 && workers <= WORKER_MAX);
	error_set(error, STATUS_NO_MEMORY, "no memory for packets between nodes");
	if (!io)
		return NULL;
	memset(io, 0, sizeof *io);
	io->workers = workers;
	io->frames = calloc(count, sizeof *io->frames);
	if (io->frames && create_boxes(io, error))
		return io;
	peer_io_destroy(io);
	return NULL;
}

static void
destroy_box(struct mailbox *box)
{
	if (box)
		mailbox_destroy(box);
}

void
peer_io_destroy(struct peer_io *io)
{
	if (!io)
		return;
	for (uint32_t class = 0; class < PEER_CLASS_COUNT; class++) {
		destroy_box(io->in[class]);
		destroy_box(io->out[class]);
		for (uint32_t home = 0; home <= WORKER_MAX; home++)
			destroy_box(io->pools[home][class]);
	}
	free(io->frames);
	free(io);
}

struct mailbox *
peer_io_bell(struct peer_io *io)
{
	return io->in[PEER_CLASS_CONTROL];
}

void
peer_io_connect(struct peer_io *io, struct mailbox *worker0)
{
	for (uint32_t class = 0; class < PEER_CLASS_COUNT; class++)
		mailbox_attach(io->out[class], worker0);
}

static struct peer_frame *
take(struct peer_io *io, uint32_t home, enum peer_class class)
{
	struct hand *hand = &io->hands[home][class];

	if (hand->count == 0)
		hand->count = mailbox_receive(io->pools[home][class], hand->frames, BURST);
	return hand->count ? hand->frames[--hand->count] : NULL;
}

/* --- workers ------------------------------------------------------------------------------ */

static enum drop
drop_of(enum peer_class class)
{
	return class == PEER_CLASS_CONTROL ? DROP_CONTROL_FULL : DROP_PEER_FULL;
}

/* Boot nonces are random already. */
static uint32_t
bucket_of(uint64_t boot)
{
	return (uint32_t)(boot ^ boot >> 32) & (PEER_LIVES - 1);
}

static bool
is_known(const struct peer_io *io, uint64_t boot)
{
	for (uint32_t at = bucket_of(boot);; at = (at + 1) & (PEER_LIVES - 1)) {
		uint64_t life = atomic_load_explicit(&io->lives[at], memory_order_relaxed);

		if (life == boot || life == 0)
			return life != 0;
	}
}

static enum peer_class
class_of(const struct peer_io *io, const struct datagram *datagram)
{
	if (datagram->service == SERVICE_ARP)
		return PEER_CLASS_CONTROL;
	if (envelope_class_claimed(datagram->payload, datagram->payload_len) == ENVELOPE_CONTROL &&
	    is_known(io, envelope_boot_claimed(datagram->payload)))
		return PEER_CLASS_CONTROL;
	return PEER_CLASS_DATA;
}

static void
fill(struct peer_frame *frame, const struct datagram *datagram)
{
	frame->peer = datagram->peer;
	frame->len = datagram->payload_len;
	frame->kind = datagram->service == SERVICE_ARP ? PEER_KIND_ARP : PEER_KIND_UDP;
	memcpy(frame->bytes, datagram->payload, datagram->payload_len);
}

struct batch {
	void *mails[BURST_MAX];
	uint32_t count;
};

/* The mailbox has room for every frame of every pool. */
static void
post(struct peer_io *io, struct batch batches[PEER_CLASS_COUNT])
{
	for (uint32_t class = 0; class < PEER_CLASS_COUNT; class++)
		if (batches[class].count)
			CHECK(mailbox_send_many(io->in[class], batches[class].mails, batches[class].count) == batches[class].count);
}

uint32_t
peer_io_in(struct peer_io *io, uint32_t worker, const struct datagram *datagrams, uint32_t n, struct counters *counters)
{
	struct batch batches[PEER_CLASS_COUNT] = { { .count = 0 }, { .count = 0 } };
	uint32_t count = 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct datagram *datagram = &datagrams[i];
		struct peer_frame *frame;
		enum peer_class class;

		if (datagram->service < SERVICE_PEER)
			continue;
		count++;
		if (datagram->payload_len > UDP_PAYLOAD_MAX) { /* of a jumbo frame: no node sends such */
			pkt_drop(datagram->pkt, counters, DROP_UDP_LARGE);
			continue;
		}
		class = class_of(io, datagram);
		frame = take(io, worker, class);
		if (!frame) {
			pkt_drop(datagram->pkt, counters, drop_of(class));
			continue;
		}
		fill(frame, datagram);
		batches[class].mails[batches[class].count++] = frame;
	}
	post(io, batches);
	return count;
}

/* Copies a frame into a packet; a raw one is ready to be sent. */
static struct pkt *
copy(const struct peer_frame *frame, struct spares *spares, struct counters *counters)
{
	struct pkt *pkt = spares_take(spares);

	if (!pkt) {
		counters_bump(&counters->drops[DROP_NO_SPARE], 1);
		return NULL;
	}
	if (frame->kind == PEER_KIND_RAW) {
		memcpy(pkt->data, frame->bytes, frame->len);
		pkt->len = frame->len;
		pkt->disposition = PKT_SEND;
		return NULL;
	}
	memcpy(pkt->data + PKT_UDP_PAYLOAD_OFFSET, frame->bytes, frame->len);
	return pkt;
}

uint32_t
peer_io_out(struct peer_io *io, struct peer_out *out, struct spares *spares, struct counters *counters)
{
	void **frames = (void **)out->frames;

	out->count = mailbox_receive(io->out[PEER_CLASS_CONTROL], frames, PEER_OUT_BURST);
	out->count += mailbox_receive(io->out[PEER_CLASS_DATA], frames + out->count, PEER_OUT_BURST - out->count);
	for (uint32_t i = 0; i < out->count; i++)
		out->pkts[i] = copy(out->frames[i], spares, counters);
	return out->count;
}

uint32_t
peer_io_replies(const struct peer_out *out, struct reply *replies)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < out->count; i++)
		if (out->pkts[i])
			replies[count++] = (struct reply){ .pkt = out->pkts[i], .payload_len = out->frames[i]->len,
				.peer = &out->frames[i]->peer };
	return count;
}

void
peer_io_done(struct peer_io *io, struct peer_out *out)
{
	if (out->count)
		peer_io_give(io, out->frames, out->count);
	out->count = 0;
}

/* --- the core ----------------------------------------------------------------------------- */

/* A worker that looks while the table is written may take a known life for a stranger: its packet goes with the data. */
void
peer_io_lives(struct peer_io *io, const uint64_t *boots, uint32_t n)
{
	CHECK(n <= PEER_LIVES / 2);
	for (uint32_t at = 0; at < PEER_LIVES; at++)
		atomic_store_explicit(&io->lives[at], 0, memory_order_relaxed);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = bucket_of(boots[i]);

		while (atomic_load_explicit(&io->lives[at], memory_order_relaxed))
			at = (at + 1) & (PEER_LIVES - 1);
		atomic_store_explicit(&io->lives[at], boots[i], memory_order_relaxed);
	}
}

uint32_t
peer_io_receive(struct peer_io *io, enum peer_class class, struct peer_frame **frames, uint32_t n)
{
	return mailbox_receive(io->in[class], (void **)frames, n);
}

/* Runs of one home and class go back in one piece. */
void
peer_io_give(struct peer_io *io, struct peer_frame *const *frames, uint32_t n)
{
	for (uint32_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n && frames[end]->home == frames[i]->home && frames[end]->class == frames[i]->class;)
			end++;
		CHECK(mailbox_send_many(io->pools[frames[i]->home][frames[i]->class], (void *const *)(frames + i), end - i) ==
		    end - i);
	}
}

struct peer_frame *
peer_io_take(struct peer_io *io, enum peer_class class)
{
	return take(io, HOME_CORE, class);
}

static ON_CORE void
flush(struct peer_io *io, enum peer_class class)
{
	uint32_t count = io->going_count[class];

	/* There is room for every frame of the pool. */
	if (count)
		CHECK(mailbox_send_many(io->out[class], (void *const *)io->going[class], count) == count);
	io->going_count[class] = 0;
}

void
peer_io_send(struct peer_io *io, struct peer_frame *frame)
{
	CHECK(frame->home == HOME_CORE);
	io->going[frame->class][io->going_count[frame->class]++] = frame;
	if (io->going_count[frame->class] == BURST)
		flush(io, frame->class);
}

void
peer_io_flush(struct peer_io *io)
{
	flush(io, PEER_CLASS_CONTROL);
	flush(io, PEER_CLASS_DATA);
}
