/*
 * handle.h - inside of struct slipring.
 *
 * Threads: the handle's. Memory: taken at open, but for nodes and the table of owners (with
 *   each topology), lanes (when a worker is first talked to; idle ones over LANES_KEPT
 *   are closed again) and large values on their way (large.h).
 * Invariants: 1. nodes[0..member_count) are the topology's members by ascending id, which
 *   owners[] points into. 2. lanes are closed and nodes freed only by handle_chores, at
 *   the start of a round: completions may open lanes, but find none gone.
 */
#ifndef CLIENT_HANDLE_H
#define CLIENT_HANDLE_H

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/prng.h"
#include "client/hedge.h"
#include "client/lane.h"
#include "client/large.h"
#include "client/node.h"
#include "client/refresh.h"
#include "seal/seal.h"

enum {
	CLIENT_BATCH = 32, /* datagrams of one sendmmsg or recvmmsg */
	LANES_KEPT = 128,  /* idle lanes beyond it are closed */
	LANES_MAX = 512,   /* beyond it operations share the lanes there are: any node takes any */
};

struct slipring {
	struct slipring_options options;
	enum slipring_status ready;
	struct prng prng;
	struct seal_key tag_key; /* with options.authenticate */
	struct slipring_counters counters;
	uint64_t failovers, hedges, hedge_wins;
	char error[512];

	/* who is there, and who owns what */
	struct node **nodes;
	uint32_t node_count, member_count;
	struct node *home;       /* that was reached first: operations that name no key */
	uint16_t *owners;        /* rank_count rows of SLOT_COUNT positions in nodes; NULL: all home's */
	uint32_t rank_count;
	struct slipring_topology topology; /* home's */
	uint32_t epoch;          /* the topology's */
	struct refresh refresh;
	bool held;               /* the first topology is being asked for: operations wait for it */
	bool chores;             /* the next round has more to do than lanes */
	bool incomplete;         /* of some member the topology does not say where it is */
	bool crowded;            /* too many lanes are open, or some of nodes that are gone */

	struct lane **lanes;     /* all that are open but the refresh's */
	uint32_t lane_count, lane_size;
	struct lane **active;    /* those that a round looks at; lane_size + 1 */
	uint32_t active_count;
	uint64_t ticks;          /* operations queued */
	uint32_t hedge_credit;
	size_t pending;      /* the application's operations not completed */
	struct large large;
	uint64_t completed;  /* and those that were */
	bool inside;         /* running completions: no nested waiting */

	/* what a round waits for; 2 * (lane_size + 1) */
	struct pollfd *polls;
	struct path **polled;

	/* datagrams on their way out */
	uint8_t out[CLIENT_BATCH][UDP_PAYLOAD_MAX];
	uint16_t out_len[CLIENT_BATCH];
	uint32_t out_count;
	struct path *out_path;
	/* and in; `answered`: there is what a synchronous call waits for, and nothing more may be received over it */
	bool answered;
	uint8_t in[CLIENT_BATCH][2048];
	struct mmsghdr in_messages[CLIENT_BATCH]; /* one for each, made once (socket_init) */
	struct iovec in_parts[CLIENT_BATCH];
};

uint64_t handle_now_ns(void);
/* Sets slipring_error's text, if there is a handle, and returns status. */
enum slipring_status handle_fail(struct slipring *handle, enum slipring_status status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* As handle_fail for a status that came about on a lane, with the usual sentence for it. */
enum slipring_status handle_explain(struct slipring *handle, const struct lane *lane, enum slipring_status status);
/* The lane of a slot's owner, opened; NULL when no socket can be had. */
struct lane *handle_lane(struct slipring *handle, uint32_t slot);
/* A lane to a worker of a node; NULL when no socket can be had. */
struct lane *handle_worker_lane(struct slipring *handle, struct node *node, uint32_t worker);
/* The rounds look at the lane from now on, until it is idle. */
void handle_activate(struct lane *lane);
void handle_deactivate(struct lane *lane);
/* Asks TOPOLOGY now and waits until it has taken effect, or why not. */
enum slipring_status handle_learn(struct slipring *handle);
/* Room for `more` lanes in all lists. */
bool handle_lists_ready(struct slipring *handle, uint32_t more);
/* What is not done within completions: the topology, lanes and nodes to be closed. */
void handle_chores(struct slipring *handle, uint64_t now_ns);
/* Who answers for operations that name no key: home, or another while that is down. */
struct node *handle_home(struct slipring *handle);

/* A topology that came from `asked` takes effect; false: it cannot be read, or no memory. */
bool adopt_topology(struct slipring *handle, struct view value, const struct node *asked);
/* Nodes that neither a topology nor a lane needs are freed. */
void adopt_tidy(struct slipring *handle);

/* "n1,n2:7411" become nodes; false with ready and error set. */
bool seed_nodes(struct slipring *handle, const char *hosts);

/* The socket's side (socket.c). */
void socket_init(struct slipring *handle);
/* The first IPv4 address of a host; else why there is none. */
const char *socket_resolve(const char *host, struct node_address *address);
int socket_open(struct slipring *handle, const struct node *node, uint16_t port);
/* Room for the next frame to go this way; sends a full batch, or another path's, first. */
uint8_t *socket_frame(struct path *path);
void socket_frame_done(struct slipring *handle, uint16_t len);
void socket_flush(struct slipring *handle);
/* Takes in all that has come to a lane by now. */
void socket_drain(struct lane *lane);
/*
 * Waits until a datagram came, until_ns (the caller's time) or, a few ms late at
 * worst, timer_ns (the lanes'); feeds what came to the lanes.
 */
void socket_wait(struct slipring *handle, uint64_t timer_ns, uint64_t until_ns);

/* One round: send, wait until something comes or until_ns, take it in (batch.c). */
void handle_round(struct slipring *handle, uint64_t until_ns);
/* Every public call that may wait starts here: the last call's result and error end. */
void handle_enter(struct slipring *handle);
/* Hands an operation's result to the application. */
void handle_finish(struct slipring *handle, slipring_done done, void *context,
    const struct slipring_result *result);
/* Completion of an operation whose result goes to the application as it is. */
void handle_run(struct slipring *handle, const struct completion *completion);
/* Operations the application may still queue on a lane. */
uint32_t handle_room(struct lane *lane);
/* Queues an application's operation: slipring_submit without the public checks. */
enum slipring_status handle_queue(struct slipring *handle, struct lane *lane, const struct request *request,
    slipring_done done, void *context);
/* A request in the protocol's terms, checked; sets the handle's error (checked.c). */
enum slipring_status request_check(struct slipring *handle, const struct slipring_request *from,
    struct request *to);

/* Bytes at the end of every frame that are the tag's: 0, or NATIVE_TAG_LEN. */
static inline uint32_t
handle_tag_len(const struct slipring *handle)
{
	return handle->options.authenticate ? NATIVE_TAG_LEN : 0;
}

#endif
