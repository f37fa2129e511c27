/*
 * hedge.h - a read that takes long is asked of a second node as well.
 *
 * Purpose: cut the slowest few reads short: the first answer counts, the other is
 *   a stray. At most hedge_percent reads in a hundred are asked twice.
 * How: each lane keeps an estimate of the time under which 95 % of its reads
 *   are answered: every answer moves it by a small part of itself, 19 times as far up as
 *   down, so that it rests where one in twenty is slower. A read without an answer
 *   after hedge_after percent of it goes to another node too (that passes it on), if the
 *   budget allows: every read adds hedge_percent hundredths of a hedge, up to a
 *   few hedges.
 *   Rejected: a histogram a lane (37 KiB), or one for all nodes, of which the fastest
 *   would make every read of a slower one look late.
 * Source: Dean and Barroso, "The Tail at Scale", 2013.
 * Threads: the handle's. Memory: none of its own.
 */
#ifndef CLIENT_HEDGE_H
#define CLIENT_HEDGE_H

#include <stdint.h>

struct lane;
struct slot;

/* A read was sent for the first time. */
void hedge_sent(struct lane *lane, const struct slot *slot);
/* It was answered after rtt_ns. */
void hedge_answered(struct lane *lane, uint64_t rtt_ns);
/* Asks for the reads that are late by now a second time. */
void hedge_reads(struct lane *lane, uint64_t now_ns);

#endif
