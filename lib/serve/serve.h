/*
 * serve.h - execution of requests, whatever protocol they came in.
 *
 * Purpose: route each request (this worker, another worker, later another
 *   node), look up a whole burst at once, execute in order, and hand what
 *   cannot be answered here to a deferred slot (base/deferred.h).
 * Threads: one struct serve a worker, on its lcore only.
 * Memory: all taken at creation; items by shard_take.
 */
#ifndef SERVE_SERVE_H
#define SERVE_SERVE_H

#include "base/counters.h"
#include "base/deferred.h"
#include "base/now.h"
#include "base/roles.h"
#include "base/pkt.h"
#include "base/status.h"
#include "base/turn.h"
#include "proto/request.h"
#include "proto/stream.h"
#include "proto/stream_facts.h"
#include "proto/topology.h"
#include "ring/table.h"
#include "store/store.h"

struct serve;

/* Sources that share their first `bits` of 128; IPv4 a.b.c.d/n is mapped: bits = 96 + n. */
struct serve_prefix {
	uint8_t ip[16];
	uint8_t bits;
};

enum { SERVE_PREFIXES_MAX = 16, SERVE_NAME_SIZE = 64 };

/* What workers must know of the cluster. Whole before it is published, never written after; read under RCU. */
struct serve_ring {
	struct ring_snapshot snapshot;
	uint16_t self;  /* this node's position in snapshot.topology.members; RING_NOBODY: it is not there */
	uint32_t epoch; /* what native frames carry: low 32 bits of the topology's */
	struct stream_node nodes[RING_MEMBERS_MAX]; /* by position in snapshot.topology.members */
	char names[RING_MEMBERS_MAX][SERVE_NAME_SIZE];
	uint32_t topology_len;
	uint8_t topology[TOPOLOGY_SIZE_MAX]; /* rule 2: what TOPOLOGY answers */
};

struct serve_config {
	uint32_t worker, worker_count;
	struct store *store;
	struct counters *counters;                    /* this worker's */
	const struct counters *all_counters[WORKER_MAX]; /* of every worker, for STATS */
	const struct counters *core_counters;         /* the control core's; NULL: there is none */
	uint64_t start_wall_ms;
	uint16_t native_port;                         /* of worker 0; worker i listens on + i */
	uint32_t epoch;                               /* of the single node; with a ring, the ring's */
	const struct serve_ring *_Atomic *ring;       /* NULL: single node; *ring NULL: no topology yet */
	uint8_t cookie_secret[16];                    /* the same on all workers; random per boot */
	uint16_t refer_min;                           /* so long values are referred to by native replies, rather than copied; 0: none */
	uint16_t boot;                                /* boot id in cookies, random, not 0 */
	bool require_auth;
	uint8_t shared_key[32];
	struct serve_prefix memcached_allow[SERVE_PREFIXES_MAX]; /* who may speak memcached over UDP */
	uint32_t memcached_allow_count;               /* 0: nobody */
	/* streams */
	uint32_t connections_max;                     /* indexes of connections are below it; 0: none are served */
	const char *node_name;                        /* node id; NULL: none */
	uint64_t process_id;
	uint8_t ip[16];                               /* of the node, as clients reach it */
	uint16_t resp_port, memcached_port;           /* 0: not served */
	bool resp_redirect;                           /* another node's key is answered with MOVED */
	char resp_password[128];                      /* "": nobody must give one */
	char memcached_password[128];                 /* USER:PASSWORD; "": likewise */
	const struct stream_protocol *protocols[SERVICE_ASK]; /* what is spoken over streams, by service; NULL: nothing */
	const char *version;                          /* text of the release */
	const char *worker_facts, *socket_facts;      /* more lines of STATS' groups "workers" and "sockets"; NULL: none */
};

struct serve *serve_create(const struct serve_config *config, struct error *error) MUST_USE ON_MAIN;
void serve_destroy(struct serve *serve) ON_MAIN;

/* Passes of connections in a burst; twice the turns of a round, as a turn may have more than one. */
enum { BURST_PASSES_MAX = 2 * BURST_MAX };

/* One burst's way through serve; arrays are the caller's, sized BURST_MAX and BURST_REQUESTS_MAX. */
struct burst {
	struct now now;
	struct datagram datagrams[BURST_MAX];
	uint32_t datagram_count;
	struct turn *turns;       /* of connections (tcp_turns), all with the same blocks */
	uint32_t turn_count;
	struct connection resumed[3 * BURST_MAX]; /* those that are to have a turn again (tcp_resume); the caller empties it */
	uint32_t resumed_count;
	struct datagram passes[BURST_PASSES_MAX]; /* stand for a pass where a frame names its datagram; without pkt */
	uint32_t pass_count;
	struct frame frames[BURST_MAX + BURST_PASSES_MAX];
	uint32_t frame_count;
	struct request *requests;
	struct response *responses;
	uint32_t request_count;
	struct spares spares;
	struct reply *replies; /* BURST_MAX + SPARE_MAX */
	uint32_t reply_count;
	struct deferred *answered[BURST_MAX]; /* slots come home with other nodes' response frames */
	uint32_t answered_count;
	struct outbox outbox;
};

/*
 * Makes the datagram by which a slot from the mailbox joins the burst: `spare` is
 * a fresh packet to answer in place (one of burst->spares, taken by the caller).
 */
void serve_accept(struct deferred *slot, struct pkt *spare, struct datagram *datagram) ON_WORKER;

/*
 * Starts a burst: of *burst the caller has set now, datagrams, turns, spares, the arrays, and
 * answered and resumed by serve_home; frames, requests, replies and outbox start empty here. Parses every
 * datagram into frames and requests, then every turn; drops and refuses what cannot be.
 */
void serve_parse(struct serve *serve, struct burst *burst) ON_WORKER;
/* Executes the burst's requests in order, one response each; then asks for what waits to be asked for; fills the outbox. */
void serve_run(struct serve *serve, struct burst *burst) ON_WORKER;
/*
 * Composes replies: in place, in spares, into a travelling slot, or to a connection's output; turns
 * are then ready for tcp_apply. Decides every
 * datagram's pkt that no reply uses (PKT_DONE). Slots that go on to another
 * worker, or home because they are done, join the outbox; a slot of this worker
 * that came home by itself is released at once.
 */
void serve_compose(struct serve *serve, struct burst *burst) ON_WORKER;

/*
 * A slot of this worker came home (slot->done): it is free again; but the response frames of
 * other nodes that it has (slot->answered) are first sent with the burst that follows. At most
 * BURST_MAX of them before it. A slot that asked on behalf of a connection may resume it.
 */
void serve_home(struct serve *serve, struct burst *burst, struct deferred *slot) ON_WORKER;
/* A slot with a copy of a datagram, for the worker's own mail; NULL: none is free. It comes home as all do. */
struct deferred *serve_slot(struct serve *serve, const struct datagram *datagram) ON_WORKER;
/* Background: uploads that timed out, shard_tick. */
void serve_tick(struct serve *serve, const struct now *now, uint32_t steps) ON_WORKER;

#endif
