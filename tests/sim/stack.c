/* Operations through whole nodes: worker, store, forwarding and link. */
#include "tests/sim/stack.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/counters.h"
#include "cluster/forward.h"
#include "proto/native.h"
#include "ring/slot.h"
#include "serve/serve.h"
#include "store/reclaim.h"

enum { SPARES = 64, ROOM = 2048, INBOX_MAX = 4096, STACK_OPS_MAX = 1 << 16, IN_FLIGHT_MAX = 64 };
/* A slot has FORWARD_PATIENCE_NS; clocks and timers add a little. */
#define ANSWERED_NS (FORWARD_PATIENCE_NS + 200 * NS_PER_MS)

/* An operation given to a node. */
struct call {
	struct deferred slot;
	uint32_t number;       /* of the operation */
	uint64_t begun_ns;     /* by the node's clock */
	bool out;
	uint8_t reply[DEFERRED_REPLY_MAX];
};

struct stack_node {
	struct store *store;
	struct serve *serve;
	struct counters counters;
	struct forward forward;
	const struct serve_ring *_Atomic published;
	struct serve_ring rings[2]; /* the one in force and the next one */
	uint32_t turn;
	struct deferred *inbox[INBOX_MAX];
	uint32_t inbox_count;
	struct call calls[IN_FLIGHT_MAX];
};

/* What became of an operation. */
struct stack_op {
	uint16_t node;
	uint8_t op, status, answers, executed;
	bool abandoned; /* its node's life ended before the answer */
};

struct stack {
	struct stack_node *nodes[64];
	struct stack_op ops[STACK_OPS_MAX];
	uint32_t op_count;
	bool quiet;
	void *scratch;
	/* one worker's round; nothing in it outlives that */
	struct burst burst;
	struct request requests[BURST_REQUESTS_MAX];
	struct response responses[BURST_REQUESTS_MAX];
	struct reply replies[BURST_MAX + SPARE_MAX];
	struct pkt spares[SPARES];
	uint8_t buffers[SPARES][ROOM];
};

static struct now
now_of(const struct sim *sim, uint16_t node)
{
	return sim_now(sim, node);
}

/* --- lives ------------------------------------------------------------------------------- */

void
stack_open(struct sim *sim)
{
	sim->stack = calloc(1, sizeof *sim->stack);
	CHECK(sim->stack && sim->node_count <= 64);
	sim->stack->scratch = aligned_alloc(64, (ring_scratch_size() + 63) / 64 * 64);
	CHECK(sim->stack->scratch);
	reclaim_register();
	sim_call(sim, sim->now_ns + NS_PER_MS);
}

void
stack_close(struct sim *sim)
{
	if (!sim->stack)
		return;
	for (uint16_t i = 0; i < sim->node_count; i++)
		stack_stop(sim, i);
	reclaim_unregister();
	free(sim->stack->scratch);
	free(sim->stack);
	sim->stack = NULL;
}

void
stack_quiet(struct sim *sim)
{
	sim->stack->quiet = true;
}

void
stack_start(struct sim *sim, uint16_t node)
{
	struct stack_node *n = calloc(1, sizeof *n);
	struct store_config store = { .shard_count = 1, .memory_bytes = 16ull << 20, .items_max = 16384,
		.expected_item_size = 64, .node = node, .secret = "secret of stores" };
	struct serve_config serve = { .worker_count = 1, .native_port = 7411, .boot = (uint16_t)(sim->nodes[node].lives * 64 + node + 1),
		.start_wall_ms = now_of(sim, node).wall_ms, .cookie_secret = "cookie's secret", .version = "simulated" };
	struct forward_config forward = { .self = sim_id(sim, node), .worker_count = 1 };
	struct error error;

	CHECK(n && !sim->stack->nodes[node]);
	n->store = store_create(&store, &error);
	CHECK(n->store);
	serve.store = n->store;
	serve.counters = &n->counters;
	serve.all_counters[0] = &n->counters;
	serve.ring = &n->published;
	n->serve = serve_create(&serve, &error);
	CHECK(n->serve && forward_init(&n->forward, &forward));
	sim->stack->nodes[node] = n;
}

static void
key_of(uint32_t number, char key[16])
{
	snprintf(key, 16, "op-%u", number);
}

/* How often this store says that a write was executed: each creates a key of its own as 1, and once more makes it 2. */
static uint64_t
executed_here(struct sim *sim, uint16_t node, uint32_t number)
{
	struct stack_node *n = sim->stack->nodes[node];
	struct now now = now_of(sim, node);
	const struct item *item;
	struct lookup lookup;
	uint64_t expired = 0;
	char key[16];

	key_of(number, key);
	lookup = (struct lookup){ .key = view_text(key), .digest = store_digest(n->store, view_text(key)) };
	store_find(n->store, &now, &lookup, 1, &item, &expired);
	return item ? (uint64_t)(item_value(item).data[0] - '0') : 0;
}

/* Counts what a life that ends has executed. */
static void
executed_note(struct sim *sim, uint16_t node)
{
	for (uint32_t i = 0; i < sim->stack->op_count; i++)
		if (sim->stack->ops[i].op == OP_INCR) {
			struct stack_op *op = &sim->stack->ops[i];

			op->executed = (uint8_t)(op->executed + executed_here(sim, node, i));
			if (op->executed > 1)
				sim_fail(sim, "operation %u was executed %u times", i, op->executed);
		}
}

void
stack_stop(struct sim *sim, uint16_t node)
{
	struct stack_node *n = sim->stack->nodes[node];

	if (!n)
		return;
	executed_note(sim, node);
	for (uint32_t i = 0; i < IN_FLIGHT_MAX; i++)
		if (n->calls[i].out)
			sim->stack->ops[n->calls[i].number].abandoned = true;
	serve_destroy(n->serve);
	store_destroy(n->store);
	forward_deinit(&n->forward);
	free(n);
	sim->stack->nodes[node] = NULL;
}

/* --- operations --------------------------------------------------------------------------- */

/* Gives one operation on the key of operation `on` to a node; false: too many are out there. */
static bool
give(struct sim *sim, uint16_t node, enum op kind, uint32_t on)
{
	struct stack *stack = sim->stack;
	struct stack_node *n = stack->nodes[node];
	struct request request = { .op = (uint8_t)kind };
	struct native_header header = { .version = NATIVE_VERSION, .op_count = 1, .client = 77 + node, .window = 1000 };
	struct call *call = NULL;
	struct writer out;
	char key[16];

	for (uint32_t i = 0; i < IN_FLIGHT_MAX && !call; i++)
		call = n->calls[i].out ? NULL : &n->calls[i];
	if (!call || stack->op_count == STACK_OPS_MAX || n->inbox_count == INBOX_MAX)
		return false;
	key_of(on, key);
	request.key = view_text(key);
	request.slot = slot_of_key(request.key);
	if (kind == OP_INCR) {
		request.flags = REQUEST_CREATE;
		request.delta = request.initial = 1;
	}
	if (stack->op_count % 2)
		header.client = 0; /* no memory of it keeps a repetition from being executed */
	header.sequence = 1000000ull * sim->nodes[node].lives + stack->op_count;
	call->number = stack->op_count++;
	call->begun_ns = now_of(sim, node).mono_ns;
	call->out = true;
	stack->ops[call->number] = (struct stack_op){ .node = node, .op = (uint8_t)kind };
	deferred_reset(&call->slot);
	call->slot.ops = UINT64_MAX;
	call->slot.service = SERVICE_NATIVE;
	call->slot.home = DEFERRED_HOME_LOCAL;
	call->slot.reply = call->reply;
	call->slot.reply_size = sizeof call->reply;
	out = writer_of(call->slot.payload, sizeof call->slot.payload);
	native_header_compose(&header, writer_take(&out, NATIVE_HEADER_LEN));
	native_request_compose(&out, &request);
	CHECK(!out.failed);
	call->slot.payload_len = (uint16_t)(out.at - call->slot.payload);
	n->inbox[n->inbox_count++] = &call->slot;
	return true;
}

/* The only result in a slot that came home; without one, nothing was run. */
static bool
result_of(const struct deferred *slot, struct native_result *result)
{
	struct reader all = reader_of(slot->reply, slot->reply_len);
	uint16_t len = reader_le16(&all);
	struct view frame = reader_view(&all, len);
	struct reader in;

	if (all.failed || reader_left(&all) > 0 || frame.len < NATIVE_HEADER_LEN)
		return false;
	in = reader_of(frame.data + NATIVE_HEADER_LEN, frame.len - NATIVE_HEADER_LEN);
	return native_result_parse(&in, result) && reader_left(&in) == 0;
}

static void
answered(struct sim *sim, uint16_t node, struct deferred *slot)
{
	struct call *call = (struct call *)slot; /* its first member */
	struct stack_op *op = &sim->stack->ops[call->number];
	uint64_t took = now_of(sim, node).mono_ns - call->begun_ns;
	struct native_result result = { .status = OP_STATUS_BUSY };

	if (!call->out || ++op->answers > 1)
		sim_fail(sim, "operation %u was answered twice", call->number);
	call->out = false;
	if (slot->reply_len > 0 && !result_of(slot, &result))
		sim_fail(sim, "operation %u was answered by other than one result", call->number);
	op->status = result.status;
	if (took > ANSWERED_NS && sim->nodes[node].disturbed_ns + 2 * NS_PER_SEC < sim->now_ns)
		sim_fail(sim, "operation %u was answered after %" PRIu64 " ms", call->number, (uint64_t)(took / NS_PER_MS));
	if (op->op == OP_INCR && result.status == OP_STATUS_OK && result.number != 1)
		sim_fail(sim, "operation %u was executed before: it counts to %" PRIu64, call->number, result.number);
	if (sim->verbose)
		printf("%10.3f n%u operation %u: %s\n", (double)sim->now_ns / 1e9, node + 1u, call->number,
		    op_status_name(result.status));
}

/* --- a node's round -------------------------------------------------------------------------- */

static void
mail(struct sim *sim, uint16_t node, struct deferred *slot, uint8_t to)
{
	struct stack_node *n = sim->stack->nodes[node];

	if (to == DEFERRED_HOME_LOCAL) {
		answered(sim, node, slot);
	} else if (to == MAIL_CORE) {
		forward_slot(&n->forward, now_of(sim, node), slot);
	} else {
		CHECK(to == 0 && n->inbox_count < INBOX_MAX);
		n->inbox[n->inbox_count++] = slot;
	}
}

/* One round of the worker's loop. */
static void
worker_round(struct sim *sim, uint16_t node)
{
	struct stack *stack = sim->stack;
	struct stack_node *n = stack->nodes[node];
	struct burst *burst = &stack->burst;
	uint32_t taken = 0;

	memset(burst, 0, sizeof *burst);
	for (uint32_t i = 0; i < SPARES; i++)
		stack->spares[i] = (struct pkt){ .data = stack->buffers[i], .room = ROOM };
	burst->now = now_of(sim, node);
	burst->spares = (struct spares){ stack->spares, SPARES, 0 };
	burst->requests = stack->requests;
	burst->responses = stack->responses;
	burst->replies = stack->replies;
	while (taken < n->inbox_count && burst->datagram_count < BURST_MAX && burst->answered_count < BURST_MAX) {
		struct deferred *slot = n->inbox[taken++];

		if (slot->done)
			serve_home(n->serve, burst, slot);
		else
			serve_accept(slot, spares_take(&burst->spares), &burst->datagrams[burst->datagram_count++]);
	}
	memmove(n->inbox, n->inbox + taken, (n->inbox_count - taken) * sizeof *n->inbox);
	n->inbox_count -= taken;
	serve_parse(n->serve, burst);
	serve_run(n->serve, burst);
	serve_compose(n->serve, burst);
	CHECK(burst->reply_count == 0); /* slots of local homes are answered in themselves */
	for (uint32_t i = 0; i < burst->outbox.count; i++)
		mail(sim, node, burst->outbox.mails[i].slot, burst->outbox.mails[i].to);
	serve_tick(n->serve, &burst->now, 4);
	reclaim_quiescent();
}

void
stack_pump(struct sim *sim, uint16_t node)
{
	struct stack_node *n = sim->stack->nodes[node];
	struct cluster *cluster = &sim->nodes[node].cluster;
	struct now now = now_of(sim, node);
	struct forward_post post;
	struct deferred *slot;

	do {
		while (n->inbox_count > 0)
			worker_round(sim, node);
		forward_tick(&n->forward, now);
		while (forward_post(&n->forward, now, &post)) {
			enum cluster_post posted = cluster_post(cluster, now, post.member, post.head, post.body, post.tag);

			forward_posted(&n->forward, now, posted == CLUSTER_POST_OK ? FORWARD_SENT :
			    posted == CLUSTER_POST_BUSY ? FORWARD_BUSY : FORWARD_UNREACHABLE);
		}
		while ((slot = forward_mail(&n->forward)) != NULL)
			mail(sim, node, slot, slot->to);
	} while (n->inbox_count > 0);
	if (sim->steps % 64 == 0)
		forward_check(&n->forward);
}

static void
ring_publish(struct sim *sim, uint16_t node)
{
	struct stack_node *n = sim->stack->nodes[node];
	struct serve_ring *ring = &n->rings[++n->turn % 2];

	ring->snapshot.topology = *cluster_topology(&sim->nodes[node].cluster);
	ring_build(&ring->snapshot.topology, sim->stack->scratch, &ring->snapshot.table);
	ring->self = ring_find_id(&ring->snapshot.topology, sim_id(sim, node));
	ring->epoch = (uint32_t)ring->snapshot.topology.epoch;
	atomic_store(&n->published, ring);
	forward_ring(&n->forward, now_of(sim, node), &ring->snapshot);
}

void
stack_action(struct sim *sim, uint16_t node, const struct cluster_action *action)
{
	struct forward *forward = &sim->stack->nodes[node]->forward;
	struct now now = now_of(sim, node);

	if (action->kind == CLUSTER_TOPOLOGY)
		ring_publish(sim, node);
	else if (action->kind == CLUSTER_MESSAGE)
		forward_message(forward, now, action->id, action->message);
	else if (action->kind == CLUSTER_LOST)
		forward_lost(forward, now, action->tag);
	else if (action->kind == CLUSTER_NEWS && (action->news == CLUSTER_RESTARTED ||
	    (action->news == CLUSTER_STATE && (action->state == PEER_DEAD || action->state == PEER_LEFT))))
		forward_gone(forward, now, action->id);
}

uint64_t
stack_deadline(const struct sim *sim, uint16_t node)
{
	return forward_deadline(&sim->stack->nodes[node]->forward);
}

static bool
ready(const struct sim *sim, uint16_t node)
{
	return sim->nodes[node].up && !sim->nodes[node].paused && !sim->nodes[node].cluster.left;
}

uint64_t
stack_issue(struct sim *sim)
{
	uint16_t node = (uint16_t)prng_below(&sim->prng, sim->node_count);
	uint32_t count = sim->stack->op_count;
	bool reads = count > 0 && prng_below(&sim->prng, 3) == 0;

	if (sim->stack->quiet)
		return 0;
	if (ready(sim, node) && give(sim, node, reads ? OP_GET : OP_INCR,
	    reads ? (uint32_t)prng_below(&sim->prng, count) : count))
		sim_command(sim, node, CLUSTER_TICK);
	return sim->now_ns + prng_below(&sim->prng, 20 * NS_PER_MS);
}

/* --- in the end ---------------------------------------------------------------------------- */

/* What an answer says of a write must be so. */
static void
write_check(struct sim *sim, uint32_t number)
{
	const struct stack_op *op = &sim->stack->ops[number];
	uint64_t executed = op->executed;

	for (uint16_t i = 0; i < sim->node_count; i++)
		executed += sim->stack->nodes[i] ? executed_here(sim, i, number) : 0;
	if (executed > 1)
		sim_fail(sim, "operation %u was executed %" PRIu64 " times", number, executed);
	if (!op->answers)
		return;
	if (op->status == OP_STATUS_OK && executed == 0)
		sim_fail(sim, "operation %u was answered ok and is nowhere", number);
	if ((op->status == OP_STATUS_OWNER_DEAD || op->status == OP_STATUS_STALE_EPOCH || op->status == OP_STATUS_BUSY) && executed)
		sim_fail(sim, "operation %u was answered %s and was executed", number, op_status_name(op->status));
}

/* Nobody who is away owns anything: where nodes only watch, the dead do. */
static bool
owners_here(const struct sim *sim, uint16_t node)
{
	const struct ring_topology *ring = cluster_topology(&sim->nodes[node].cluster);

	for (uint16_t i = 0; i < ring->count; i++)
		if (ring_state_owns(ring->members[i].state) && !ready(sim, sim_find(sim, ring->members[i].id)))
			return false;
	return true;
}

static void
read_check(struct sim *sim, uint16_t reader, uint32_t of)
{
	uint32_t number = sim->stack->op_count;

	if (!ready(sim, reader) || !give(sim, reader, OP_GET, of))
		return;
	sim_command(sim, reader, CLUSTER_TICK);
	sim_run(sim, sim->now_ns + 50 * NS_PER_MS);
	if (sim->stack->ops[number].status != OP_STATUS_OK || !sim->stack->ops[number].answers)
		sim_fail(sim, "n%u does not find what was written at n%u: %s", reader + 1u, sim->stack->ops[of].node + 1u,
		    sim->stack->ops[number].answers ? op_status_name(sim->stack->ops[number].status) : "no answer");
}

void
stack_verify(struct sim *sim)
{
	stack_quiet(sim);
	sim_run(sim, sim->now_ns + 2 * NS_PER_SEC);
	for (uint32_t i = 0; i < sim->stack->op_count && !sim->failure[0]; i++) {
		const struct stack_op *op = &sim->stack->ops[i];

		if (!op->answers && !op->abandoned && ready(sim, op->node))
			sim_fail(sim, "operation %u, given to n%u, was never answered", i, op->node + 1u);
		if (op->op == OP_INCR)
			write_check(sim, i);
	}
	for (uint16_t writer = 0; writer < sim->node_count && !sim->failure[0]; writer++) {
		uint32_t number = sim->stack->op_count;

		if (!ready(sim, writer) || !owners_here(sim, writer) || !give(sim, writer, OP_INCR, number))
			continue;
		sim_command(sim, writer, CLUSTER_TICK);
		sim_run(sim, sim->now_ns + 50 * NS_PER_MS);
		if (!sim->stack->ops[number].answers || sim->stack->ops[number].status != OP_STATUS_OK)
			sim_fail(sim, "a write at n%u in a healthy cluster: %s", writer + 1u, sim->stack->ops[number].answers ?
			    op_status_name(sim->stack->ops[number].status) : "no answer");
		for (uint16_t reader = 0; reader < sim->node_count && !sim->failure[0]; reader++)
			read_check(sim, reader, number);
	}
}
