#include "load.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"

/* One operation in flight. */
struct shot {
	struct run *run;
	struct shot *next; /* free ones */
	uint64_t start_ns; /* or the time intended */
};

struct run {
	struct load *load;
	struct load_result *result;
	struct shot *shots, *free;
	uint32_t size;
	uint64_t now_ns;
};

size_t
load_key(uint32_t i, char key[LOAD_KEY_SIZE])
{
	return (size_t)snprintf(key, LOAD_KEY_SIZE, "bench:%010u", i);
}

static void
note(struct load_result *result, enum slipring_status status, uint64_t latency_ns)
{
	result->operations++;
	histogram_record(&result->latency, latency_ns);
	if (status == SLIPRING_NOT_FOUND)
		result->misses++;
	else if (status != SLIPRING_OK && result->failures++ == 0)
		result->failure = status;
}

static void
shot_done(void *context, const struct slipring_result *result)
{
	struct shot *shot = context;
	struct run *run = shot->run;

	note(run->result, result->status, clock_ns() - shot->start_ns);
	shot->next = run->free;
	run->free = shot;
}

static bool
run_init(struct run *run, struct load *load, struct load_result *result, uint32_t size)
{
	*run = (struct run){ .load = load, .result = result, .size = size };
	run->shots = calloc(size, sizeof *run->shots);
	for (uint32_t i = 0; run->shots && i < size; i++) {
		run->shots[i] = (struct shot){ .run = run, .next = run->free };
		run->free = &run->shots[i];
	}
	*result = (struct load_result){ .failure = SLIPRING_OK };
	histogram_init(&result->latency);
	if (!run->shots)
		result->failure = SLIPRING_NO_MEMORY;
	return run->shots != NULL;
}

/* Submits key number `i`; false when the library's window is full. */
static bool
shoot(struct run *run, uint32_t i, bool read, uint64_t start_ns)
{
	struct shot *shot = run->free;
	char key[LOAD_KEY_SIZE];
	struct slipring_request request = { .op = read ? SLIPRING_OP_GET : SLIPRING_OP_SET, .key = key,
		.value = run->load->value, .value_len = read ? 0 : run->load->value_len, .done = shot_done, .context = shot };
	enum slipring_status status;

	if (!shot)
		return false;
	request.key_len = load_key(i, key);
	status = slipring_submit(run->load->cache, &request);
	if (status == SLIPRING_WINDOW_FULL)
		return false;
	run->free = shot->next;
	shot->start_ns = start_ns;
	if (status != SLIPRING_OK)
		shot_done(shot, &(struct slipring_result){ .status = status });
	return true;
}

static bool
draw_read(struct load *load)
{
	return prng_below(&load->prng, 100) < load->reads;
}

static uint32_t
draw_key(struct load *load)
{
	return (uint32_t)prng_below(&load->prng, load->keys);
}

static void
run_end(struct run *run, uint64_t start_ns)
{
	slipring_flush(run->load->cache);
	run->result->elapsed_ns = clock_ns() - start_ns;
	free(run->shots);
}

void
load_fill(struct load *load, struct load_result *result)
{
	uint64_t start_ns = clock_ns();
	struct run run;

	if (!run_init(&run, load, result, load->batch))
		return;
	for (uint32_t i = 0; i < load->keys && result->failures == 0; i++)
		while (!shoot(&run, i, false, clock_ns()))
			slipring_poll(load->cache, 10000);
	run_end(&run, start_ns);
}

void
load_serial(struct load *load, struct load_result *result)
{
	uint64_t start_ns = clock_ns(), now_ns = start_ns;

	*result = (struct load_result){ .failure = SLIPRING_OK };
	histogram_init(&result->latency);
	while (now_ns - start_ns < load->duration_ns) {
		uint64_t before_ns = now_ns;
		enum slipring_status status;
		char key[LOAD_KEY_SIZE];
		size_t len = load_key(draw_key(load), key);

		if (draw_read(load))
			status = slipring_get(load->cache, key, len, NULL);
		else
			status = slipring_set(load->cache, key, len, load->value, load->value_len, 0, 0, NULL);
		now_ns = clock_ns();
		note(result, status, now_ns - before_ns);
	}
	result->elapsed_ns = now_ns - start_ns;
}

void
load_closed(struct load *load, struct load_result *result)
{
	uint64_t start_ns = clock_ns(), now_ns = start_ns;
	struct run run;

	if (!run_init(&run, load, result, load->batch))
		return;
	while (now_ns - start_ns < load->duration_ns) {
		while (run.free && shoot(&run, draw_key(load), draw_read(load), now_ns))
			;
		slipring_poll(load->cache, 10000);
		now_ns = clock_ns();
	}
	run_end(&run, start_ns);
}

/* Times between Poisson arrivals are exponential. */
static uint64_t
draw_gap_ns(struct load *load, double rate)
{
	return (uint64_t)(-log(1.0 - prng_unit(&load->prng)) / rate * (double)NS_PER_SEC);
}

enum { OPEN_IN_FLIGHT = 65536, LATE_NS = 1000000 };

void
load_open(struct load *load, double rate, struct load_result *result)
{
	uint64_t start_ns = clock_ns(), now_ns = start_ns, next_ns = start_ns;
	struct run run;

	if (!run_init(&run, load, result, OPEN_IN_FLIGHT))
		return;
	while (next_ns - start_ns < load->duration_ns) {
		/* What is due but finds the window full stays due, and its latency grows. */
		while (next_ns <= now_ns && shoot(&run, draw_key(load), draw_read(load), next_ns)) {
			result->late += now_ns - next_ns > LATE_NS;
			next_ns += draw_gap_ns(load, rate);
		}
		/* Between arrivals it never sleeps: a sleep's wake-up would count as the node's latency. */
		slipring_poll(load->cache, 0);
		now_ns = clock_ns();
	}
	run_end(&run, start_ns);
}
