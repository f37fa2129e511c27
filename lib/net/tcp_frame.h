/*
 * tcp_frame.h - TCP segments between the headers of layer 3 and TCP itself.
 *
 * Purpose: net_input leaves checked segments in net->segments; what tcp_output() writes gets its checksum and its headers
 *   here. TCP knows no frames, and the rest of net no connections.
 * Threads: the worker's. Memory: none of its own.
 * Sources: RFC 9293 3.1 (checksum over the pseudo-header of either family).
 */
#ifndef NET_TCP_FRAME_H
#define NET_TCP_FRAME_H

#include "net/net.h"
#include "net/tcp.h"

/* Writes checksums (over the tails, too) and headers; every frame's pkt becomes PKT_SEND, its tail still to be appended. */
void tcp_frames_output(struct net *net, const struct tcp_frame *frames, uint32_t count) ON_WORKER;
/* Whether the checksum of a segment is right. */
bool tcp_checksum_is_right(const struct tcp_segment *segment);
/* What net_input found in ICMP errors of the burst (net->errors) goes to TCP; those that it does not know a connection for become `stray`. */
void tcp_errors_input(struct net *net, struct tcp *tcp, uint64_t now_ns) ON_WORKER;

#endif
