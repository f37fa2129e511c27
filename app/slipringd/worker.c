#include "slipringd/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "base/check.h"
#include "net/frag.h"
#include "slipringd/stray.h"
#include "store/reclaim.h"

enum {
	MAILBOX_SIZE = 2 * WORKER_MAX * DEFERRED_MAX, /* a ring holds one less than its size */
	MAILS_MAX = BURST_MAX / 2, /* a round: the wire gets at least half of it */
	TICK_STEPS_BUSY = 4,
	TICK_STEPS_IDLE = 64,
	ROUNDS_AFTER_SLEEP = 64,
};

_Static_assert((MAILBOX_SIZE & (MAILBOX_SIZE - 1)) == 0, "ring sizes are powers of two");

/* No packet left to answer in: home it goes, unexecuted; the client will ask again. */
static void
return_unexecuted(struct worker *w, struct deferred *slot)
{
	counters_bump(&w->counters->drops[DROP_NO_SPARE], 1);
	slot->done = true;
	CHECK(mailbox_send(w->mailboxes[slot->home], slot));
}

static ON_WORKER void
accept(struct worker *w, struct deferred *slot)
{
	struct burst *b = &w->burst;
	struct pkt *spare;

	if (slot->done) {
		serve_home(w->serve, b, slot);
		return;
	}
	if (slot->service == SERVICE_FRAME) {
		stray_accept(w, slot);
		return;
	}
	spare = spares_take(&b->spares);
	if (spare)
		serve_accept(slot, spare, &b->datagrams[b->datagram_count++]);
	else
		return_unexecuted(w, slot);
}

/* Slots from other workers become datagrams; our own, come home, are freed. */
static ON_WORKER uint32_t
mailbox_drain(struct worker *w)
{
	void *mails[MAILS_MAX];
	uint32_t n = mailbox_receive(w->mailbox, mails, MAILS_MAX);

	for (uint32_t i = 0; i < n; i++)
		accept(w, mails[i]);
	return n;
}

static void
mailbox_post(struct worker *w)
{
	struct outbox *outbox = &w->burst.outbox;

	for (uint32_t i = 0; i < outbox->count; i++)
		CHECK(mailbox_send(w->mailboxes[outbox->mails[i].to], outbox->mails[i].slot));
}

/* A frame's last bytes, which stand in an item; what is not to be sent has no use for them. */
static ON_WORKER void
append(struct worker *w, struct pkt *pkt, const struct pkt_tail *tail)
{
	if (pkt->disposition == PKT_SEND)
		port_append(w->port, pkt, tail);
	else
		outq_unpin(tail->pins);
}

static ON_WORKER void
append_tails(struct worker *w, const struct reply *replies, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct reply *reply = &replies[i];
		struct pkt *pkt = reply->pkt;
		struct pkt_tail tail;

		if (__builtin_expect(reply->tail_len == 0, 1))
			continue;
		/* Before net_output the payload stands where all do; it moves `data` of what it sends. */
		tail = pkt_tail_at(pkt->disposition == PKT_SEND ? pkt->data + pkt->len :
		    pkt->data + PKT_UDP_PAYLOAD_OFFSET + reply->payload_len - reply->tail_len);
		append(w, pkt, &tail);
	}
}

/* What no reply was written into has served its purpose. */
static void
settle(struct pkt *pkts, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (pkts[i].disposition == PKT_PENDING)
			pkts[i].disposition = PKT_DONE;
}

static ON_WORKER void
transmit(struct worker *w, uint32_t frames)
{
	struct spares *spares = &w->burst.spares;

	settle(w->pkts, frames);
	settle(spares->pkts, spares->used);
	port_tx(w->port, w->pkts, frames, w->counters);
	if (spares->used)
		port_tx(w->port, spares->pkts, spares->used, w->counters);
	port_refill(w->port, spares);
}

/* Frames of the control core take fresh packets before any reply does. */
static ON_WORKER uint32_t
peers_out(struct worker *w)
{
	uint32_t n = 0;

	if (__builtin_expect(w->peer_io != NULL, 0) && w->config.serve.worker == 0) {
		n = peer_io_out(w->peer_io, &w->peer_out, &w->burst.spares, w->counters);
		if (n)
			counter_add(w->counters, COUNTER_PEER_FRAMES_OUT, n);
	}
	return n;
}

/* What other nodes sent goes to the control core; serve passes it over. */
static ON_WORKER uint32_t
peers_in(struct worker *w)
{
	uint32_t n = 0;

	if (__builtin_expect(w->peer_io != NULL, 0))
		n = peer_io_in(w->peer_io, w->config.serve.worker, w->burst.datagrams, w->burst.datagram_count, w->counters);
	if (n)
		counter_add(w->counters, COUNTER_PEER_FRAMES_IN, n);
	return n;
}

/* Connections that have something for the application: their turns join the burst. */
static ON_WORKER uint32_t
streams_in(struct worker *w)
{
	struct burst *b = &w->burst;
	uint64_t now_ns = b->now.mono_ns;

	if (!w->tcp)
		return 0;
	stray_mark(w);
	tcp_input(w->tcp, now_ns, w->net.segments, w->net.segment_count);
	if (w->net.error_count)
		tcp_errors_input(&w->net, w->tcp, now_ns);
	stray_post(w);
	tcp_timers(w->tcp, now_ns);
	for (uint32_t i = 0; i < b->resumed_count; i++)
		tcp_resume(w->tcp, b->resumed[i]);
	b->resumed_count = 0;
	b->turns = w->turns;
	b->turn_count = tcp_turns(w->tcp, now_ns, w->turns, WORKER_TURNS_MAX);
	return b->turn_count;
}

/* What the application made of its turns, and all that connections have to send. */
static ON_WORKER uint32_t
streams_out(struct worker *w)
{
	struct burst *b = &w->burst;
	uint64_t now_ns = b->now.mono_ns;
	uint32_t n;

	if (!w->tcp)
		return 0;
	tcp_apply(w->tcp, now_ns, w->turns, b->turn_count);
	n = tcp_output(w->tcp, now_ns, &b->spares, w->tcp_frames, WORKER_TCP_FRAMES_MAX);
	tcp_frames_output(&w->net, w->tcp_frames, n);
	for (uint32_t i = 0; i < n; i++)
		if (w->tcp_frames[i].tail.len)
			append(w, w->tcp_frames[i].pkt, &w->tcp_frames[i].tail);
	return n;
}

enum round { ROUND_EMPTY, ROUND_OF_PEERS /* nothing but frames from and to other nodes */, ROUND_BUSY };

/* One round: each stage takes the whole burst. */
static ON_WORKER enum round
worker_poll(struct worker *w)
{
	struct burst *b = &w->burst;
	uint32_t peers, mails, frames, heard, streams;

	io_now(&b->now);
	b->datagram_count = w->stray_count = 0;
	peers = peers_out(w);
	mails = mailbox_drain(w);
	frames = w->stray_count;
	frames += port_rx(w->port, w->pkts + frames, BURST_MAX - b->datagram_count - frames, w->counters);
	b->datagram_count += net_input(&w->net, b->now.mono_ns, w->pkts, frames, b->datagrams + b->datagram_count);
	heard = peers_in(w);
	streams = streams_in(w);
	serve_parse(w->serve, b);
	serve_run(w->serve, b);
	serve_compose(w->serve, b);
	b->reply_count += net_echo(b->datagrams, b->datagram_count, b->replies + b->reply_count);
	if (peers)
		b->reply_count += peer_io_replies(&w->peer_out, b->replies + b->reply_count);
	net_timers(&w->net, b->now.mono_ns, &b->spares);
	net_output(&w->net, b->replies, b->reply_count);
	append_tails(w, b->replies, b->reply_count);
	streams += streams_out(w);
	transmit(w, frames);
	mailbox_post(w);
	serve_tick(w->serve, &b->now, frames ? TICK_STEPS_BUSY : TICK_STEPS_IDLE);
	reclaim_quiescent();
	if (peers)
		peer_io_done(w->peer_io, &w->peer_out);
	return frames + mails + streams > heard ? ROUND_BUSY : frames + peers > 0 ? ROUND_OF_PEERS : ROUND_EMPTY;
}

/* Only work earns a full spell of polling: who slept in vain, or for gossip, soon sleeps again. */
static void
soon_idle(struct worker *w)
{
	uint32_t rounds = w->config.idle_polls > ROUNDS_AFTER_SLEEP ? w->config.idle_polls - ROUNDS_AFTER_SLEEP : 0;

	if (w->idle_rounds > rounds)
		w->idle_rounds = rounds;
}

/* Until a connection's timer is due, at most as long as may be slept. */
static uint32_t
sleep_us(const struct worker *w)
{
	uint64_t deadline = w->tcp ? tcp_deadline(w->tcp) : UINT64_MAX, now = w->burst.now.mono_ns;
	uint64_t left = deadline <= now ? 0 : (deadline - now + NS_PER_US - 1) / NS_PER_US;

	return (uint32_t)(left < w->config.idle_sleep_ms * 1000ull ? left : w->config.idle_sleep_ms * 1000ull);
}

static ON_WORKER void
idle(struct worker *w)
{
	uint32_t wait_us, guest_us;

	if (w->config.idle == WORKER_BUSY || ++w->idle_rounds < w->config.idle_polls)
		return;
	wait_us = sleep_us(w);
	guest_us = w->guest.round ? w->guest.wait_us(w->guest.context) : wait_us;
	if (guest_us == 0 || wait_us == 0)
		return;
	counter_add(w->counters, COUNTER_SLEEPS, 1);
	reclaim_offline(); /* else grace periods wait for the sleeper */
	io_wait_us(w->port, w->mailbox, guest_us < wait_us ? guest_us : wait_us);
	reclaim_online();
	soon_idle(w);
}

int
worker_main(void *argument)
{
	struct worker *w = argument;

	role_worker_begin();
	prctl(PR_SET_TIMERSLACK, 1); /* the default of 50 us would be added to every sleep */
	reclaim_register();
	while (!atomic_load_explicit(&w->stop, memory_order_relaxed)) {
		uint64_t start = io_cycles();
		enum round round = worker_poll(w);

		counter_add(w->counters, COUNTER_POLLS, 1);
		if (round != ROUND_EMPTY) {
			if (round == ROUND_BUSY)
				w->idle_rounds = 0;
			else
				soon_idle(w);
			counter_add(w->counters, COUNTER_POLLS_BUSY, 1);
			counter_add(w->counters, COUNTER_BUSY_CYCLES, io_cycles() - start);
		}
		bool busy = w->guest.round && w->guest.round(w->guest.context);
		if (round == ROUND_EMPTY && !busy)
			idle(w);
	}
	port_release(w->port, &w->burst.spares);
	reclaim_unregister();
	return 0;
}

static bool
take_burst(struct burst *b)
{
	b->requests = calloc(BURST_REQUESTS_MAX, sizeof *b->requests);
	b->responses = calloc(BURST_REQUESTS_MAX, sizeof *b->responses);
	b->replies = calloc(BURST_MAX + SPARE_MAX, sizeof *b->replies);
	b->spares.pkts = calloc(SPARE_MAX, sizeof *b->spares.pkts);
	return b->requests && b->responses && b->replies && b->spares.pkts;
}

static void
give_burst(struct burst *b)
{
	free(b->requests);
	free(b->responses);
	free(b->replies);
	free(b->spares.pkts);
}

static ON_MAIN enum status
create_tcp(struct worker *w, struct error *error)
{
	struct now now;
	uint64_t seed;

	if (w->config.tcp.listen_count == 0)
		return STATUS_OK;
	io_now(&now);
	memcpy(&seed, w->config.tcp.secret, sizeof seed);
	w->tcp = tcp_create(&w->config.tcp, w->counters, now.mono_ns, seed + w->config.serve.worker, error);
	return w->tcp ? STATUS_OK : error->status;
}

struct worker *
worker_create(const struct worker_config *config, struct port *port, struct counters *counters,
    struct error *error)
{
	struct worker *w = aligned_alloc(64, (sizeof *w + 63) / 64 * 64);
	char name[32];

	error_set(error, STATUS_NO_MEMORY, "no memory for worker %u", config->serve.worker);
	if (!w)
		return NULL;
	memset(w, 0, sizeof *w);
	w->config = *config;
	w->port = port;
	w->counters = counters;
	w->frags = w->config.net.frags = frags_create(config->fragment_secret);
	net_init(&w->net, &w->config.net, counters);
	snprintf(name, sizeof name, "mailbox%u", config->serve.worker);
	w->mailbox = mailbox_create(name, MAILBOX_SIZE, error);
	w->serve = w->mailbox ? serve_create(&config->serve, error) : NULL;
	if (w->frags && w->serve && create_tcp(w, error) == STATUS_OK && take_burst(&w->burst))
		return w;
	worker_destroy(w);
	return NULL;
}

void
worker_connect(struct worker *w, struct worker *const *workers, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		w->mailboxes[i] = workers[i]->mailbox;
}

void
worker_connect_local(struct worker *w, struct mailbox *local)
{
	w->mailboxes[DEFERRED_HOME_LOCAL] = local;
}

void
worker_connect_core(struct worker *w, struct peer_io *io, struct mailbox *slots)
{
	w->peer_io = io;
	w->mailboxes[DEFERRED_HOME_CORE] = slots;
}

void
worker_connect_guest(struct worker *w, const struct worker_guest *guest)
{
	w->guest = *guest;
}

void
worker_destroy(struct worker *w)
{
	give_burst(&w->burst);
	if (w->serve)
		serve_destroy(w->serve);
	if (w->tcp)
		tcp_destroy(w->tcp);
	if (w->mailbox)
		mailbox_destroy(w->mailbox);
	frags_destroy(w->frags);
	free(w);
}

void
worker_stop(struct worker *w)
{
	atomic_store_explicit(&w->stop, true, memory_order_relaxed);
	mailbox_kick(w->mailbox);
}
