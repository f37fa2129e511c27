/* Unit tests of lib/net/l3.h: headers of both families, with and without a tag, against bytes written by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "net/l3.h"
#include "tests/unit/frames.h"

static const struct l3 ipv4 = {
	.source_mac = { 2, 0, 0, 0, 9, 1 }, .destination_mac = { 2, 0, 0, 0, 9, 2 },
	.source = { [10] = 0xff, [11] = 0xff, 10, 9, 0, 1 }, .destination = { [10] = 0xff, [11] = 0xff, 10, 9, 0, 2 },
};
static const struct l3 ipv6 = {
	.source_mac = { 2, 0, 0, 0, 9, 1 }, .destination_mac = { 2, 0, 0, 0, 9, 2 },
	.source = { 0xfd, 9, [15] = 1 }, .destination = { 0xfd, 9, [15] = 2 },
};

static void
an_ipv4_header_is_what_rfc_791_draws(void **state)
{
	static const uint8_t expected[34] = { 2, 0, 0, 0, 9, 2, 2, 0, 0, 0, 9, 1, 8, 0,
		0x45, 0, 0, 25, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2 };
	uint8_t frame[L3_LEN_MAX + 1] = { 0 };

	(void)state;
	assert_int_equal(l3_len(false, 0), 34);
	assert_ptr_equal(l3_write(frame, &ipv4, 6, 5, 0x1234, false), frame + 34);
	assert_memory_equal(frame, expected, 34);
	l3_write(frame, &ipv4, 6, 5, 0x1234, true);
	assert_int_equal(frame_checksum(0, frame + 14, 20), 0);
	assert_int_equal(frame[34], 0);
}

static void
an_ipv6_header_is_what_rfc_8200_draws(void **state)
{
	static const uint8_t expected[54] = { 2, 0, 0, 0, 9, 2, 2, 0, 0, 0, 9, 1, 0x86, 0xdd,
		0x60, 0, 0, 0, 1, 4, 17, 64, 0xfd, 9, [37] = 1, 0xfd, 9, [53] = 2 };
	uint8_t frame[L3_LEN_MAX + 1] = { 0 };

	(void)state;
	assert_int_equal(l3_len(true, 0), 54);
	assert_ptr_equal(l3_write(frame, &ipv6, 17, 0x104, 0, true), frame + 54);
	assert_memory_equal(frame, expected, 54);
	assert_int_equal(frame[54], 0);
}

static void
a_tag_of_802_1q_stands_behind_the_addresses(void **state)
{
	static const uint8_t tag4[6] = { 0x81, 0, 0x0f, 0xfe, 8, 0 }, tag6[6] = { 0x81, 0, 0x0f, 0xfe, 0x86, 0xdd };
	uint8_t plain[L3_LEN_MAX], frame[L3_LEN_MAX + 1] = { 0 };
	struct l3 tagged = ipv4;

	(void)state;
	tagged.vlan = 4094;
	l3_write(plain, &ipv4, 17, 100, 7, true);
	assert_ptr_equal(l3_write(frame, &tagged, 17, 100, 7, true), frame + l3_len(false, 4094));
	assert_memory_equal(frame, plain, 12);
	assert_memory_equal(frame + 12, tag4, 6);
	assert_memory_equal(frame + 18, plain + 14, 20);
	tagged = ipv6;
	tagged.vlan = 4094;
	l3_write(plain, &ipv6, 17, 100, 7, true);
	assert_ptr_equal(l3_write(frame, &tagged, 17, 100, 7, true), frame + L3_LEN_MAX);
	assert_memory_equal(frame + 12, tag6, 6);
	assert_memory_equal(frame + 18, plain + 14, 40);
	assert_int_equal(frame[L3_LEN_MAX], 0);
}

/* RFC 8200 8.1 and RFC 768 draw the pseudo-headers; here they are laid out and summed. */
static void
the_sum_of_a_pseudo_header_is_that_of_its_bytes(void **state)
{
	uint8_t drawn[40] = { 0 };

	(void)state;
	memcpy(drawn, ipv4.source + 12, 4);
	memcpy(drawn + 4, ipv4.destination + 12, 4);
	drawn[9] = 17;
	store_be16(drawn + 10, 0x1234);
	assert_int_equal(be16(checksum_finish(l3_pseudo(&ipv4, 17, 0x1234))), frame_checksum(0, drawn, 12));
	memset(drawn, 0, sizeof drawn);
	memcpy(drawn, ipv6.source, 16);
	memcpy(drawn + 16, ipv6.destination, 16);
	store_be16(drawn + 34, 0x1234);
	drawn[39] = 58;
	assert_int_equal(be16(checksum_finish(l3_pseudo(&ipv6, 58, 0x1234))), frame_checksum(0, drawn, 40));
}

static void
a_frame_of_the_mtu_has_this_much_room(void **state)
{
	(void)state;
	assert_int_equal(l3_room(false), 1480);
	assert_int_equal(l3_room(true), 1460);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_ipv4_header_is_what_rfc_791_draws),
		cmocka_unit_test(an_ipv6_header_is_what_rfc_8200_draws),
		cmocka_unit_test(a_tag_of_802_1q_stands_behind_the_addresses),
		cmocka_unit_test(the_sum_of_a_pseudo_header_is_that_of_its_bytes),
		cmocka_unit_test(a_frame_of_the_mtu_has_this_much_room),
	};

	return cmocka_run_group_tests_name("l3", tests, NULL, NULL);
}
