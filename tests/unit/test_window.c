/* Unit tests of lib/cluster/window and of the link's wire format. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/window.h"
#include "proto/link.h"

static struct window window;

static void
round_trips_by_rfc_6298(void **state)
{
	(void)state;
	window_init(&window);
	assert_int_equal(window_timeout_ns(&window), WINDOW_RTO_FIRST_NS);
	window_measured(&window, 8 * NS_PER_MS);
	assert_int_equal(window.srtt_ns, 8 * NS_PER_MS);
	assert_int_equal(window.rttvar_ns, 4 * NS_PER_MS);
	assert_int_equal(window_timeout_ns(&window), 24 * NS_PER_MS);
	window_measured(&window, 16 * NS_PER_MS);
	assert_int_equal(window.rttvar_ns, 5 * NS_PER_MS); /* 3/4 of 4 and 1/4 of 8 */
	assert_int_equal(window.srtt_ns, 9 * NS_PER_MS);   /* 7/8 of 8 and 1/8 of 16 */
	assert_int_equal(window_timeout_ns(&window), 29 * NS_PER_MS);
	for (int i = 0; i < 100; i++)
		window_measured(&window, 50 * NS_PER_US);
	assert_int_equal(window_timeout_ns(&window), WINDOW_RTO_MIN_NS);
	window_check(&window);
}

static void
timeouts_double_up_to_a_bound(void **state)
{
	(void)state;
	window_init(&window);
	window_measured(&window, NS_PER_MS);
	assert_false(window_timed_out(&window, 10)); /* the first only sends a probe */
	assert_int_equal(window.size, WINDOW_FIRST);
	assert_int_equal(window_timeout_ns(&window), 2 * WINDOW_RTO_MIN_NS);
	assert_true(window_timed_out(&window, 11));
	assert_int_equal(window.size, WINDOW_MIN);
	assert_int_equal(window_timeout_ns(&window), 4 * WINDOW_RTO_MIN_NS);
	for (int i = 0; i < 300; i++)
		window_timed_out(&window, 12);
	assert_int_equal(window_timeout_ns(&window), WINDOW_RTO_MAX_NS);
	window_acknowledged(&window, 13, true);
	assert_int_equal(window_timeout_ns(&window), WINDOW_RTO_MIN_NS);
	window_check(&window);
}

static void
the_window_doubles_then_grows_by_one_and_is_halved_once_a_round(void **state)
{
	uint64_t order = 0;

	(void)state;
	window_init(&window);
	for (int i = 0; i < WINDOW_FIRST; i++)
		window_acknowledged(&window, ++order, true);
	assert_int_equal(window.size, 2 * WINDOW_FIRST);
	window_lost(&window, order + 1, order + 20);
	assert_int_equal(window.size, WINDOW_FIRST);
	window_lost(&window, order + 5, order + 20); /* of the same round */
	assert_int_equal(window.size, WINDOW_FIRST);
	window_acknowledged(&window, order + 6, true); /* sent before the loss was known: no growth */
	assert_int_equal(window.size, WINDOW_FIRST);
	order += 20;
	for (int i = 0; i < WINDOW_FIRST; i++)
		window_acknowledged(&window, ++order, true);
	assert_int_equal(window.size, WINDOW_FIRST + 1);
	for (int i = 0; i < 100; i++)
		window_acknowledged(&window, ++order, false); /* the window was not what held back */
	assert_int_equal(window.size, WINDOW_FIRST + 1);
	for (int i = 0; i < 100000; i++)
		window_acknowledged(&window, ++order, true);
	assert_int_equal(window.size, LINK_WINDOW);
	window_check(&window);
}

static void
a_loss_that_was_none_is_undone_and_teaches_patience(void **state)
{
	(void)state;
	window_init(&window);
	window_measured(&window, NS_PER_MS);
	assert_int_equal(window_overtaken_ns(&window), NS_PER_MS * 9 / 8);
	window_lost(&window, 1, 9);
	assert_int_equal(window.size, WINDOW_FIRST / 2);
	window_spurious(&window);
	assert_int_equal(window.size, WINDOW_FIRST);
	assert_int_equal(window.threshold, LINK_WINDOW);
	assert_int_equal(window.reorder, 2 * WINDOW_REORDER_FIRST);
	assert_int_equal(window_overtaken_ns(&window), NS_PER_MS * 10 / 8);
	window_spurious(&window); /* nothing is left to undo */
	assert_int_equal(window.size, WINDOW_FIRST);
	for (int i = 0; i < 20; i++)
		window_spurious(&window);
	window_check(&window);
}

static void
segments_are_paced_over_the_round_trip(void **state)
{
	(void)state;
	window_init(&window);
	window_sent(&window, NS_PER_SEC); /* nothing measured: at once */
	assert_true(window_pace_at(&window) <= NS_PER_SEC);
	window_measured(&window, 10 * NS_PER_MS);
	for (int i = 0; i < 100; i++)
		window_sent(&window, NS_PER_SEC);
	/* 10 a round trip, a quarter faster: 0.8 ms each; after a pause 16 may go at once. */
	assert_int_equal(window_pace_at(&window), NS_PER_SEC + 100 * 800 * NS_PER_US);
	window_sent(&window, 3 * NS_PER_SEC);
	assert_int_equal(window_pace_at(&window), 3 * NS_PER_SEC - 15 * 800 * NS_PER_US);
	window.sent_ns = NS_PER_SEC;
	window.size = LINK_WINDOW;
	window_idle(&window, NS_PER_SEC + NS_PER_MS);
	assert_int_equal(window.size, LINK_WINDOW);
	window_idle(&window, 2 * NS_PER_SEC);
	assert_int_equal(window.size, WINDOW_FIRST);
}

/* --- the wire ------------------------------------------------------------------------ */

static void
a_header_is_read_as_it_was_written(void **state)
{
	struct link_header out = { .sequence = 77, .ack = 5, .bitmap = { 1, 2, 3, 4 }, .generation = 9, .ack_generation = 8,
		.stamp = 7, .echo = 6, .delay = 4, .back = 76, .words = 4, .flags = LINK_REFUSED }, in;
	uint8_t bytes[LINK_HEADER_LEN + 32];
	struct reader reader;

	(void)state;
	assert_int_equal(link_header_len(&out), sizeof bytes);
	link_header_compose(bytes, &out);
	memset(&in, 0, sizeof in);
	reader = reader_of(bytes, sizeof bytes);
	assert_true(link_header_parse(&reader, &in));
	assert_int_equal(reader_left(&reader), 0);
	assert_memory_equal(&in, &out, sizeof in);
	for (size_t len = 0; len < sizeof bytes; len++) {
		reader = reader_of(bytes, len);
		assert_false(link_header_parse(&reader, &in));
	}
}

static void
assert_header_refused(const struct link_header *header)
{
	uint8_t bytes[LINK_HEADER_LEN + 64] = { 0 };
	struct reader reader = reader_of(bytes, sizeof bytes);
	struct link_header in;
	uint8_t words = header->words;
	struct link_header written = *header;

	written.words = 0;
	link_header_compose(bytes, &written);
	bytes[38] = words;
	assert_false(link_header_parse(&reader, &in));
}

static void
a_header_that_makes_no_sense_is_refused(void **state)
{
	(void)state;
	assert_header_refused(&(struct link_header){ .generation = 1, .words = 5 });
	assert_header_refused(&(struct link_header){ .sequence = 1 });                              /* of no generation */
	assert_header_refused(&(struct link_header){ .sequence = 3, .generation = 1, .back = 3 });  /* oldest 0 */
	assert_header_refused(&(struct link_header){ .sequence = 999, .generation = 1, .back = 256 }); /* wider than the window */
}

static bool
content_ok(const void *bytes, size_t len, struct link_content *content)
{
	struct reader reader = reader_of(bytes, len);

	return link_content_parse(&reader, content);
}

static void
content_is_whole_messages_or_one_piece_first(void **state)
{
	struct link_content content;

	(void)state;
	assert_true(content_ok("\1\0\1\0a\0\0\1\0\2\0\1\0bc", 15, &content));
	assert_int_equal(content.count, 3);
	assert_int_equal(content.piece.kind, 0);
	assert_int_equal(content.messages[2].len, 2);
	assert_true(content_ok("\1\0\4\0a\1\0\1\0b", 10, &content));
	assert_int_equal(content.piece.kind, LINK_TAIL);
	assert_int_equal(content.count, 1);
	assert_true(content_ok("\1\0\2\0\2\0\0\0a", 9, &content));
	assert_int_equal(content.piece.total, 2);
	assert_false(content_ok("", 0, &content));
	assert_false(content_ok("\1\0\5\0a", 5, &content));                   /* unknown kind */
	assert_false(content_ok("\2\0\1\0a", 5, &content));                   /* cut */
	assert_false(content_ok("\0\0\4\0", 4, &content));                    /* an empty piece */
	assert_false(content_ok("\1\0\3\0a\1\0\1\0b", 10, &content));         /* something behind a BODY */
	assert_false(content_ok("\1\0\1\0a\1\0\4\0b", 10, &content));         /* a piece that is not first */
	assert_false(content_ok("\1\0\2\0\1\0\0\0a", 9, &content));           /* a HEAD that is all */
	assert_false(content_ok("\1\0\2\0\xff\xff\xff\0a", 9, &content));     /* too long */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trips_by_rfc_6298),
		cmocka_unit_test(timeouts_double_up_to_a_bound),
		cmocka_unit_test(the_window_doubles_then_grows_by_one_and_is_halved_once_a_round),
		cmocka_unit_test(a_loss_that_was_none_is_undone_and_teaches_patience),
		cmocka_unit_test(segments_are_paced_over_the_round_trip),
		cmocka_unit_test(a_header_is_read_as_it_was_written),
		cmocka_unit_test(a_header_that_makes_no_sense_is_refused),
		cmocka_unit_test(content_is_whole_messages_or_one_piece_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
