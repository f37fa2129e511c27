/*
 * traces.h - request traces and a plain S3-FIFO to compare the store's with.
 *
 * The reference is written from the paper's algorithm and shares nothing with
 * lib/store: objects of one size, exact ghost, arrays instead of chains.
 */
#ifndef TESTS_CONFORMANCE_TRACES_H
#define TESTS_CONFORMANCE_TRACES_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/prng.h"

/* Ranks 0.. with probability ~ 1 / (rank + 1)^alpha. */
struct zipf {
	double *cumulative;
	uint32_t count;
};

static struct zipf
zipf_new(uint32_t count, double alpha)
{
	struct zipf zipf = { malloc(count * sizeof(double)), count };
	double sum = 0;

	CHECK(zipf.cumulative);
	for (uint32_t i = 0; i < count; i++)
		zipf.cumulative[i] = sum += 1 / pow(i + 1, alpha);
	for (uint32_t i = 0; i < count; i++)
		zipf.cumulative[i] /= sum;
	return zipf;
}

static uint32_t
zipf_draw(const struct zipf *zipf, struct prng *prng)
{
	double at = prng_unit(prng);
	uint32_t low = 0, high = zipf->count - 1;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (zipf->cumulative[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

enum { TRACE_OBJECTS = 100000, TRACE_SCAN_OBJECTS = 400000, TRACE_LEN = 1000000 };

/* Zipf 0.99, nothing else. */
static void
trace_zipf(uint32_t *trace)
{
	struct zipf zipf = zipf_new(TRACE_OBJECTS, 0.99);
	struct prng prng = { 42 };

	for (uint32_t i = 0; i < TRACE_LEN; i++)
		trace[i] = zipf_draw(&zipf, &prng);
	free(zipf.cumulative);
}

/* Zipf 0.9, 5 % keys that come once, and every 100 000 requests a scan over 20 000 others. */
static void
trace_scans(uint32_t *trace)
{
	struct zipf zipf = zipf_new(TRACE_OBJECTS, 0.9);
	struct prng prng = { 43 };
	uint32_t once = TRACE_OBJECTS + 20000;

	for (uint32_t i = 0; i < TRACE_LEN; i++) {
		uint32_t scan = i % 100000;

		if (scan >= 80000)
			trace[i] = TRACE_OBJECTS + scan - 80000;
		else if (prng_below(&prng, 20) == 0)
			trace[i] = once++;
		else
			trace[i] = zipf_draw(&zipf, &prng);
	}
	CHECK(once < TRACE_SCAN_OBJECTS);
	free(zipf.cumulative);
}

struct fifo {
	uint32_t *objects;
	uint32_t head, count, room;
};

static void
fifo_push(struct fifo *fifo, uint32_t object)
{
	CHECK(fifo->count < fifo->room);
	fifo->objects[(fifo->head + fifo->count++) % fifo->room] = object;
}

static uint32_t
fifo_pop(struct fifo *fifo)
{
	uint32_t object = fifo->objects[fifo->head];

	CHECK(fifo->count > 0);
	fifo->head = (fifo->head + 1) % fifo->room;
	fifo->count--;
	return object;
}

enum place { OUT, IN_SMALL, IN_MAIN };

struct reference {
	struct fifo small, main, ghost;
	uint32_t capacity;
	uint8_t *place, *freq;
	uint32_t *ghosts; /* entries of the object in the ghost queue */
};

static void
reference_evict_main(struct reference *r)
{
	for (;;) {
		uint32_t object = fifo_pop(&r->main);

		if (r->freq[object] == 0) {
			r->place[object] = OUT;
			return;
		}
		r->freq[object]--;
		fifo_push(&r->main, object);
	}
}

static void
reference_to_ghost(struct reference *r, uint32_t object)
{
	r->place[object] = OUT;
	r->ghosts[object]++;
	fifo_push(&r->ghost, object);
	while (r->ghost.count > r->capacity - r->capacity / 10)
		r->ghosts[fifo_pop(&r->ghost)]--;
}

static void
reference_evict(struct reference *r)
{
	while (r->small.count > 0 && (r->small.count >= r->capacity / 10 || r->main.count == 0)) {
		uint32_t object = fifo_pop(&r->small);

		if (r->freq[object] < 2) {
			reference_to_ghost(r, object);
			return;
		}
		r->freq[object] = 0;
		r->place[object] = IN_MAIN;
		fifo_push(&r->main, object);
	}
	reference_evict_main(r);
}

/* One request; true when it was a hit. */
static bool
reference_request(struct reference *r, uint32_t object)
{
	if (r->place[object] != OUT) {
		r->freq[object] += r->freq[object] < 3;
		return true;
	}
	if (r->small.count + r->main.count >= r->capacity)
		reference_evict(r);
	r->freq[object] = 0;
	r->place[object] = r->ghosts[object] ? IN_MAIN : IN_SMALL;
	fifo_push(r->ghosts[object] ? &r->main : &r->small, object);
	return false;
}

static double
reference_miss_ratio(const uint32_t *trace, uint32_t capacity)
{
	uint32_t room = capacity + 2, misses = 0;
	struct reference r = {
		.small = { calloc(room, 4), 0, 0, room },
		.main = { calloc(room, 4), 0, 0, room },
		.ghost = { calloc(room, 4), 0, 0, room },
		.capacity = capacity,
		.place = calloc(TRACE_SCAN_OBJECTS, 1),
		.freq = calloc(TRACE_SCAN_OBJECTS, 1),
		.ghosts = calloc(TRACE_SCAN_OBJECTS, 4),
	};

	for (uint32_t i = 0; i < TRACE_LEN; i++)
		misses += !reference_request(&r, trace[i]);
	free(r.small.objects);
	free(r.main.objects);
	free(r.ghost.objects);
	free(r.place);
	free(r.freq);
	free(r.ghosts);
	return (double)misses / TRACE_LEN;
}

#endif
