/*
 * memcached.h - memcached's text and meta commands over UDP.
 *
 * Purpose: the 8-byte UDP frame header, the command grammar, and the replies
 *   in memcached 1.6.18's wording; several commands a datagram are answered as
 *   one reply stream cut into datagrams. doc/COMPATIBILITY.md lists what differs.
 * Threads: any; no state but the caller's. Memory: borrowed; no copies of keys or values.
 * Invariants: 1. The same payload parses into the same requests on every worker,
 *   relative expiries apart. 2. Requests of one command share text_at and follow
 *   each other; only get commands have more than one.
 * Bounds: FRAME_OPS_MAX requests a datagram. A get that would pass the limit is one
 *   error line; commands behind the limit are not executed and one line says so.
 * Source: memcached doc/protocol.txt; memcached 1.6.18 as the oracle.
 */
#ifndef PROTO_MEMCACHED_H
#define PROTO_MEMCACHED_H

#include "base/deferred.h"
#include "base/now.h"
#include "base/pkt.h"
#include "proto/request.h"

enum { MEMCACHED_UDP_HEADER_LEN = 8, MEMCACHED_UDP_REPLY_MAX = 1400 };

/*
 * Parses one datagram into frame and at most FRAME_OPS_MAX <= size requests and
 * sets frame->count, which may be 0 (quit). False: the UDP header is malformed,
 * says the request is several datagrams, or no command line is complete
 * (DROP_MEMCACHED_HEADER). A bad command becomes an OP_NONE request that carries
 * its error line. A multi-key get is one request a key; the last one carries the END.
 * A silent command that executes nothing (a bad one with noreply) leaves no request.
 *
 * With datagram->deferred set, all requests are returned all the same; those
 * before deferred->first_op are not to be executed again.
 *
 * Execution: OP_STATS names its group in key: "memcached", or "memcached " and settings, items, slabs, sizes, conns;
 * the response's value is text, one "name value" a line, and composing makes the
 * STAT lines. INCR and DECR carry REQUEST_KEEP_WIDTH: the value may have blanks
 * around its digits, wraps at 2^64 (INCR) or stops at 0 (DECR), and is padded
 * with blanks on the right to its old length when the new number is shorter.
 */
bool memcached_parse(struct datagram *datagram, const struct now *now,
    struct frame *frame, struct request *requests, uint32_t size);

/*
 * Composes the reply stream of one frame. `requests` and `responses` are the
 * frame's own runs (element 0 is its first request).
 *
 * Not travelling: writes datagram->deferred->reply, if there is a deferred, then
 * the replies of requests [deferred->first_op or 0, count) into spares, as
 * datagrams of at most MEMCACHED_UDP_REPLY_MAX bytes. Returns replies appended:
 * 0 when every command was quiet. A reply that does not fit the spares left is
 * "SERVER_ERROR out of memory writing response"; when not even that has a spare,
 * the rest goes unanswered and DROP_NO_SPARE counts it.
 *
 * Travelling (frame->travels): appends the text of requests [deferred->first_op,
 * travel_from) to datagram->deferred->reply, then sets deferred->first_op =
 * travel_from. The caller has set datagram->deferred; in a fresh slot first_op,
 * reply_len and reply_state are 0. Returns 0.
 */
uint32_t memcached_compose(const struct frame *frame, const struct request *requests,
    const struct response *responses, const struct now *now, struct spares *spares,
    struct counters *counters, struct reply *replies);

#endif
