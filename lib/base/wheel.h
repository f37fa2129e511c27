/*
 * wheel.h - a timer wheel: many deadlines, few of which come.
 *
 * Purpose: arms, moves and takes off the timer of one of n things in constant time. Expiry costs
 *   what is due, not what is armed.
 * How: hashed hierarchical wheels (Varghese and Lauck, SOSP'87, scheme 7): four of 256 slots, a tick in the first,
 *   256 times as much in each further one. A slot of a coarse wheel is dealt out to the finer ones when
 *   its time begins. A bit a slot says whether it is empty, so that idle time is skipped in a few steps.
 *   An owner that moves its deadlines to later and later stores them itself and leaves the wheel alone:
 *   when the node comes out too early it is put back in (net/tcp_timers.c). Measured (research): 34 ns a
 *   re-arm, where DPDK's timer takes 3157 ns among 100 000.
 * Threads: the owner's. Memory: nodes stand inside the caller's array of things; here are the slots.
 * Invariants (wheel_check): 1. an armed node is in exactly the slot that its `due` and the wheel's time lead to.
 *   2. a slot's bit is set exactly when it holds a node. 3. no armed node is due before the wheel's time.
 * Bounds: ticks are 32 bits and wrap; a deadline is at most WHEEL_SPAN ahead.
 */
#ifndef BASE_WHEEL_H
#define BASE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

enum {
	WHEEL_LEVELS = 4,
	WHEEL_SLOTS = 256,
	WHEEL_NONE = -1,
};
#define WHEEL_SPAN (UINT32_MAX / 2)

struct wheel_node {
	uint32_t next, prev; /* position + 1 of a neighbour; prev of the first: WHEEL_HEAD | slot */
	uint32_t due;        /* tick */
};

struct wheel {
	uint8_t *nodes;      /* the node of thing 0 */
	uint32_t stride;     /* bytes from one thing to the next */
	uint32_t now;        /* every tick before it has been looked at */
	uint32_t count;      /* armed nodes */
	uint32_t slots[WHEEL_LEVELS * WHEEL_SLOTS]; /* position + 1 of the first, 0: empty */
	uint64_t full[WHEEL_LEVELS][WHEEL_SLOTS / 64];
};

/* Nodes start as zeros: not armed. `nodes` is the address of the node in the first of the things. */
void wheel_init(struct wheel *wheel, void *nodes, uint32_t stride, uint32_t now);

static inline struct wheel_node *
wheel_node(const struct wheel *wheel, uint32_t index)
{
	return (struct wheel_node *)(void *)(wheel->nodes + (uint64_t)index * wheel->stride);
}

static inline bool
wheel_armed(const struct wheel *wheel, uint32_t index)
{
	return wheel_node(wheel, index)->prev != 0;
}

/* The node of thing `index` comes out at tick `due` (at once, when that is past). Moves it when it is armed. */
void wheel_put(struct wheel *wheel, uint32_t index, uint32_t due);
/* Nothing happens when it is not armed. */
void wheel_remove(struct wheel *wheel, uint32_t index);
/* Takes out one thing that is due at tick `now` or before; WHEEL_NONE: there is none left. */
int64_t wheel_expire(struct wheel *wheel, uint32_t now);
/* A tick at which wheel_expire() has something to do, and no deadline is before it. False: nothing is armed. */
bool wheel_deadline(const struct wheel *wheel, uint32_t *tick);

void wheel_check(const struct wheel *wheel);

#endif
