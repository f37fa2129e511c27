/* blocks and outq against a byte array; the seed is printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/outq.h"
#include "base/prng.h"

static uint64_t
seed_of_run(void)
{
	const char *text = getenv("SLIPRING_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);

	printf("seed %llu\n", (unsigned long long)seed);
	return seed;
}

static void
test_blocks_random_takes_and_gives_leave_the_region_whole(void **state)
{
	enum { PIECES = 300, STEPS = 20000 };
	static struct { uint8_t *at; uint32_t size; uint8_t mark; } pieces[PIECES];
	struct prng prng = { seed_of_run() };
	struct blocks blocks;

	(void)state;
	assert_true(blocks_init(&blocks, 3 * BLOCK_MAX));
	for (uint32_t step = 0; step < STEPS; step++) {
		uint32_t i = (uint32_t)(prng_next(&prng) % PIECES);

		if (pieces[i].at) {
			for (uint32_t b = 0; b < pieces[i].size; b += 61)
				assert_int_equal(pieces[i].at[b], pieces[i].mark);
			blocks_give(&blocks, pieces[i].at, pieces[i].size);
			pieces[i].at = NULL;
		} else {
			uint32_t size = 1 + (uint32_t)(prng_next(&prng) % (1u << prng_next(&prng) % (BLOCK_MAX_SHIFT + 1)));

			pieces[i].at = blocks_take(&blocks, size);
			pieces[i].size = size;
			pieces[i].mark = (uint8_t)step;
			if (pieces[i].at)
				memset(pieces[i].at, pieces[i].mark, size);
		}
		if (step % 1000 == 0)
			blocks_check(&blocks);
	}
	for (uint32_t i = 0; i < PIECES; i++)
		if (pieces[i].at)
			blocks_give(&blocks, pieces[i].at, pieces[i].size);
	assert_int_equal(blocks.used, 0);
	blocks_check(&blocks);
	for (uint32_t i = 0; i < 3; i++) /* all has been joined again */
		assert_non_null(blocks_take(&blocks, BLOCK_MAX));
	assert_null(blocks_take(&blocks, 1));
	blocks_deinit(&blocks);
}

/* The last bytes of a piece of the queue, where they are referred to: the model's, under a pin of their own. Returns whether they are. */
static bool
refer(struct outq *q, uint32_t at, uint32_t want, const uint8_t *model, uint16_t *pins)
{
	uint16_t before = *pins, len = (uint16_t)(want < 1460 ? want : 1460), min = (uint16_t)(1 + at % 500), got;
	struct pkt_tail tail = { 0 };

	got = outq_refer(q, at, len, min, &tail);
	assert_int_equal(got, tail.len);
	assert_int_equal(*pins, before + (got > 0));
	if (got == 0)
		return false;
	assert_true(got >= min && got <= len && tail.pins == pins);
	assert_memory_equal(tail.data, model + at + len - got, got);
	outq_unpin(tail.pins);
	return true;
}

/* Any piece of the queue is the model's. Returns whether its end is referred to. */
static bool
look(struct outq *q, struct prng *prng, const uint8_t *model, uint8_t *out, uint16_t *pins)
{
	uint32_t at = (uint32_t)(prng_next(prng) % q->len), want = (uint32_t)(prng_next(prng) % (q->len - at + 1));

	outq_read(q, at, out, want);
	assert_memory_equal(out, model + at, want);
	return refer(q, at, want, model, pins);
}

static void
test_outq_is_a_byte_array(void **state)
{
	enum { ROOM = 1 << 20 };
	uint8_t *model = malloc(ROOM), *out = malloc(ROOM), *item = malloc(ROOM);
	struct prng prng = { seed_of_run() };
	uint16_t pins = 0;
	uint32_t len = 0, referred = 0;
	struct blocks blocks;
	struct outq q = { 0 };

	(void)state;
	assert_true(blocks_init(&blocks, 4 * BLOCK_MAX));
	for (uint32_t i = 0; i < ROOM; i++)
		item[i] = (uint8_t)prng_next(&prng);
	for (uint32_t step = 0; step < 20000; step++) {
		uint32_t n = (uint32_t)(prng_next(&prng) % (1u << prng_next(&prng) % 15)), from = (uint32_t)(prng_next(&prng) % (ROOM / 2));
		uint32_t before = len;

		switch (prng_next(&prng) % 8) {
		case 0: case 1: case 2:
			if (len + n < ROOM && outq_put(&blocks, &q, item + from, n)) {
				memcpy(model + len, item + from, n);
				len += n;
			}
			break;
		case 3:
			if (len + n < ROOM && n > 0 && outq_pin(&pins)) {
				assert_true(outq_put_pinned(&blocks, &q, view_of(item + from, n), &pins));
				memcpy(model + len, item + from, n);
				len += n;
			}
			break;
		case 4:
			n = n < len ? n : len;
			outq_drop(&blocks, &q, n);
			memmove(model, model + n, len - n);
			len -= n;
			break;
		case 5:
			if (step % 16 == 0)
				assert_true(outq_copy_out(&blocks, &q));
			break;
		case 6:
			if (len + n < ROOM && outq_put(&blocks, &q, item + from, n))
				outq_rewind(&blocks, &q, before);
			break;
		default:
			break;
		}
		assert_int_equal(q.len, len);
		outq_check(&q);
		if (len > 0)
			referred += look(&q, &prng, model, out, &pins);
		if (len > ROOM - 70000) {
			outq_drop(&blocks, &q, len);
			len = 0;
		}
	}
	assert_true(referred > 100);
	outq_clear(&blocks, &q);
	assert_int_equal(pins, 0);
	assert_int_equal(blocks.used, 0);
	blocks_check(&blocks);
	blocks_deinit(&blocks);
	free(model);
	free(out);
	free(item);
}

static void
test_outq_a_put_without_room_appends_nothing(void **state)
{
	static uint8_t bytes[BLOCK_MAX];
	struct blocks blocks;
	struct outq q = { 0 };

	(void)state;
	assert_true(blocks_init(&blocks, BLOCK_MAX));
	assert_true(outq_put(&blocks, &q, bytes, 1000));
	assert_false(outq_put(&blocks, &q, bytes, BLOCK_MAX));
	assert_int_equal(q.len, 1000);
	outq_check(&q);
	outq_clear(&blocks, &q);
	assert_int_equal(blocks.used, 0);
	blocks_deinit(&blocks);
}

static void
test_outq_pins_are_not_counted_past_their_limit(void **state)
{
	uint16_t pins = UINT16_MAX;

	(void)state;
	assert_false(outq_pin(&pins));
	pins--;
	assert_true(outq_pin(&pins));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks_random_takes_and_gives_leave_the_region_whole),
		cmocka_unit_test(test_outq_is_a_byte_array),
		cmocka_unit_test(test_outq_a_put_without_room_appends_nothing),
		cmocka_unit_test(test_outq_pins_are_not_counted_past_their_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
