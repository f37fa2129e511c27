/*
 * handle.h - inside of struct slipring.
 *
 * Threads: the handle's. Memory: taken at open, but for lanes (when a worker is
 *   first talked to) and large values on their way (large.h).
 */
#ifndef CLIENT_HANDLE_H
#define CLIENT_HANDLE_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/prng.h"
#include "client/lane.h"
#include "client/large.h"
#include "seal/seal.h"

enum { CLIENT_BATCH = 32 }; /* datagrams of one sendmmsg or recvmmsg */

struct slipring {
	struct slipring_options options;
	char host[256];
	struct sockaddr_in address;
	enum slipring_status ready;
	struct prng prng;
	struct seal_key tag_key; /* with options.authenticate */
	struct slipring_counters counters;
	char error[320];

	struct slipring_topology topology;
	bool topology_asked; /* since the last time the epoch moved */
	uint32_t epoch;      /* the topology's */

	struct lane lanes[SLIPRING_WORKERS_MAX];
	uint32_t lane_count; /* workers known; at least 1 */
	size_t pending;      /* the application's operations not completed */
	struct large large;
	uint64_t completed;  /* and those that were */
	bool inside;         /* running completions: no nested waiting */

	/* datagrams on their way out */
	uint8_t out[CLIENT_BATCH][UDP_PAYLOAD_MAX];
	uint16_t out_len[CLIENT_BATCH];
	uint32_t out_count;
	struct lane *out_lane;
	/* and in */
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
/* The lane of a slot's owner, opened; NULL when its socket cannot be had. */
struct lane *handle_lane(struct slipring *handle, uint32_t slot);
struct lane *handle_worker_lane(struct slipring *handle, uint32_t worker);
/* What TOPOLOGY's value says; false when it cannot be read. */
bool handle_topology(const struct slipring *handle, struct view value, struct slipring_topology *topology);

/* The socket's side (socket.c). */
void socket_init(struct slipring *handle);
bool socket_resolve(struct slipring *handle);
int socket_open(struct slipring *handle, uint16_t port);
/* Room for the next frame to this lane; sends a full batch, or another lane's, first. */
uint8_t *socket_frame(struct lane *lane);
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
uint32_t handle_room(const struct lane *lane);
/* Queues an application's operation: slipring_submit without the public checks. */
enum slipring_status handle_queue(struct slipring *handle, struct lane *lane, const struct request *request,
    slipring_done done, void *context);
/* Asks lane 0 where the workers are, unless that was done. */
void handle_ask_topology(struct slipring *handle, uint64_t now_ns);

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
