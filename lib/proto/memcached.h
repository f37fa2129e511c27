/*
 * memcached.h - memcached's text and meta commands over UDP.
 *
 * Purpose: the 8-byte UDP frame header, the command grammar, and the replies
 *   in memcached 1.6.18's wording; several commands a datagram are answered as
 *   one reply stream cut into datagrams.
 * Threads: any; the composer uses the caller's scratch. Memory: borrowed.
 * Source: memcached doc/protocol.txt; memcached 1.6.18 as the oracle.
 */
#ifndef PROTO_MEMCACHED_H
#define PROTO_MEMCACHED_H

#include "base/now.h"
#include "base/pkt.h"
#include "proto/request.h"

enum { MEMCACHED_UDP_HEADER_LEN = 8, MEMCACHED_UDP_REPLY_MAX = 1400 };

/*
 * Parses one datagram into at most `size` requests. False: the UDP header is
 * malformed or says the request is several datagrams (DROP_MEMCACHED_HEADER).
 * A bad command becomes an OP_NONE request that carries its error line. A
 * multi-key get is one request a key; the last one carries the END.
 */
bool memcached_parse(struct datagram *datagram, const struct now *now,
    struct frame *frame, struct request *requests, uint32_t size);

/*
 * Composes the whole reply stream of one frame (quiet and noreply ones leave
 * nothing) into spares as datagrams of at most MEMCACHED_UDP_REPLY_MAX bytes,
 * or, when frame->travels, the text of the requests before travel_from into
 * datagram->deferred->reply. Returns replies appended.
 */
uint32_t memcached_compose(const struct frame *frame, const struct request *requests,
    const struct response *responses, const struct now *now, struct spares *spares,
    struct counters *counters, struct reply *replies);

#endif
