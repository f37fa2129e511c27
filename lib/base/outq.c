#include "base/outq.h"

#include <string.h>

#include "base/check.h"

/* A run's block: small at first, so that many short replies waiting cost little; larger behind much. */
enum { RUN_MIN = 256, RUN_MAX = 16384 };

bool
outq_pin(uint16_t *pins)
{
	uint16_t now = __atomic_load_n(pins, __ATOMIC_RELAXED);

	do
		if (now == UINT16_MAX)
			return false;
	while (!__atomic_compare_exchange_n(pins, &now, (uint16_t)(now + 1), true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	return true;
}

void
outq_unpin(uint16_t *pins)
{
	__atomic_fetch_sub(pins, 1, __ATOMIC_RELEASE);
}

static uint32_t
room(const struct outq_run *run)
{
	return run && !run->pins ? run->block_size - (uint32_t)sizeof *run - run->len : 0;
}

static struct outq_run *
take_run(struct blocks *blocks, uint32_t bytes)
{
	uint32_t size = blocks_rounded(bytes);
	struct outq_run *run = blocks_take(blocks, size);

	if (run)
		*run = (struct outq_run){ .data = run->bytes, .block_size = size };
	return run;
}

static void
give_run(struct blocks *blocks, struct outq_run *run)
{
	if (run->pins)
		outq_unpin(run->pins);
	blocks_give(blocks, run, run->block_size);
}

static void
append(struct outq *q, struct outq_run *run)
{
	if (q->last)
		q->last->next = run;
	else
		q->first = run;
	q->last = run;
	q->len += run->len;
}

/* Runs with room for `len` more bytes, linked; NULL and *failed when blocks are used up. */
static struct outq_run *
take_runs(struct blocks *blocks, const struct outq *q, uint32_t len, bool *failed)
{
	struct outq_run *first = NULL, **end = &first;
	uint32_t behind = q->len;

	while (len > 0) {
		uint32_t want = (len > behind ? len : behind) + (uint32_t)sizeof **end;
		struct outq_run *run = take_run(blocks, want < RUN_MIN ? RUN_MIN : want > RUN_MAX ? RUN_MAX : want);
		uint32_t fits;

		if (!run) {
			*failed = true;
			break;
		}
		*end = run;
		end = &run->next;
		fits = room(run);
		len -= fits < len ? fits : len;
		behind = RUN_MAX;
	}
	return first;
}

static void
give_runs(struct blocks *blocks, struct outq_run *run)
{
	while (run) {
		struct outq_run *next = run->next;

		give_run(blocks, run);
		run = next;
	}
}

bool
outq_put(struct blocks *blocks, struct outq *q, const void *data, uint32_t len)
{
	uint32_t part = room(q->last) < len ? room(q->last) : len;
	const uint8_t *from = data;
	struct outq_run *runs = NULL;
	bool failed = false;

	if (part < len)
		runs = take_runs(blocks, q, len - part, &failed);
	if (failed) {
		give_runs(blocks, runs);
		return false;
	}
	if (part > 0) {
		memcpy(q->last->bytes + q->last->len, from, part);
		q->last->len += part;
		q->len += part;
	}
	while (runs) {
		struct outq_run *run = runs;

		runs = run->next;
		run->next = NULL;
		from += part;
		len -= part;
		part = room(run) < len ? room(run) : len;
		memcpy(run->bytes, from, part);
		run->len = part;
		append(q, run);
	}
	return true;
}

bool
outq_put_pinned(struct blocks *blocks, struct outq *q, struct view bytes, uint16_t *pins)
{
	struct outq_run *run = take_run(blocks, sizeof *run);

	if (!run)
		return false;
	run->data = bytes.data;
	run->len = bytes.len;
	run->pins = pins;
	append(q, run);
	return true;
}

/* Finds the run that `offset` is in, from where the last read was. */
static struct outq_run *
seek(struct outq *q, uint32_t offset, uint32_t *start)
{
	struct outq_run *run = q->at;
	uint32_t at = q->at_offset;

	if (!run || offset + q->skip < at) {
		run = q->first;
		at = 0;
	}
	while (offset + q->skip >= at + run->len) {
		at += run->len;
		run = run->next;
	}
	q->at = run;
	q->at_offset = at;
	*start = offset + q->skip - at;
	return run;
}

void
outq_read(struct outq *q, uint32_t offset, uint8_t *out, uint32_t len)
{
	struct outq_run *run;
	uint32_t start;

	CHECK(offset <= q->len && len <= q->len - offset);
	if (len == 0)
		return;
	for (run = seek(q, offset, &start); len > 0; run = run->next, start = 0) {
		uint32_t part = run->len - start < len ? run->len - start : len;

		memcpy(out, run->data + start, part);
		out += part;
		len -= part;
	}
}

uint16_t
outq_refer(struct outq *q, uint32_t offset, uint16_t len, uint16_t min, struct pkt_tail *tail)
{
	const struct outq_run *run;
	uint32_t start, left = len;

	CHECK(min > 0 && offset <= q->len && len <= q->len - offset);
	if (len < min)
		return 0;
	for (run = seek(q, offset, &start); left > run->len - start; run = run->next, start = 0)
		left -= run->len - start;
	if (!run->pins || left < min || !outq_pin(run->pins))
		return 0;
	*tail = (struct pkt_tail){ .data = run->data + start, .pins = run->pins, .len = (uint16_t)left };
	return (uint16_t)left;
}

void
outq_drop(struct blocks *blocks, struct outq *q, uint32_t len)
{
	CHECK(len <= q->len);
	q->len -= len;
	q->skip += len;
	while (q->first && q->skip >= q->first->len) {
		struct outq_run *run = q->first;

		if (run == q->last && run->len == 0)
			break;
		q->skip -= run->len;
		if (q->at == run)
			q->at = NULL;
		else
			q->at_offset -= run->len;
		q->first = run->next;
		if (!q->first)
			q->last = NULL;
		give_run(blocks, run);
	}
	if (!q->first)
		*q = (struct outq){ 0 };
}

void
outq_rewind(struct blocks *blocks, struct outq *q, uint32_t len)
{
	struct outq_run *run = q->first;
	uint32_t left = len + q->skip;

	CHECK(len <= q->len);
	q->at = NULL;
	if (len == 0) {
		outq_clear(blocks, q);
		return;
	}
	while (left > run->len) {
		left -= run->len;
		run = run->next;
	}
	give_runs(blocks, run->next);
	run->next = NULL;
	run->len = left;
	q->last = run;
	q->len = len;
}

static struct outq_run *
copy_of(struct blocks *blocks, const struct outq_run *run)
{
	struct outq_run *copy;

	if (run->len > BLOCK_MAX - sizeof *run)
		return NULL;
	copy = take_run(blocks, (uint32_t)sizeof *run + run->len);
	if (!copy)
		return NULL;
	memcpy(copy->bytes, run->data, run->len);
	copy->len = run->len;
	copy->next = run->next;
	return copy;
}

bool
outq_copy_out(struct blocks *blocks, struct outq *q)
{
	for (struct outq_run **link = &q->first; *link; link = &(*link)->next) {
		struct outq_run *run = *link, *copy;

		if (!run->pins)
			continue;
		copy = copy_of(blocks, run);
		if (!copy)
			return false;
		*link = copy;
		if (q->last == run)
			q->last = copy;
		if (q->at == run)
			q->at = copy;
		give_run(blocks, run);
	}
	return true;
}

void
outq_splice(struct outq *to, struct outq *from)
{
	CHECK(from->skip == 0);
	if (!from->first)
		return;
	if (to->last)
		to->last->next = from->first;
	else
		to->first = from->first;
	to->last = from->last;
	to->len += from->len;
	*from = (struct outq){ 0 };
}

void
outq_clear(struct blocks *blocks, struct outq *q)
{
	give_runs(blocks, q->first);
	*q = (struct outq){ 0 };
}

void
outq_check(const struct outq *q)
{
	uint64_t len = 0;
	const struct outq_run *last = NULL;

	for (const struct outq_run *run = q->first; run; run = run->next) {
		CHECK(run->pins ? __atomic_load_n(run->pins, __ATOMIC_RELAXED) > 0 : run->data == run->bytes);
		len += run->len;
		last = run;
	}
	CHECK(last == q->last && len == (uint64_t)q->len + q->skip);
}
