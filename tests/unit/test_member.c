/* Unit tests of lib/cluster/member: which news holds, the order of ids, the digest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "cluster/member.h"

static struct peer_record
record_of(const char *id, uint64_t boot, uint32_t incarnation, uint8_t state)
{
	struct peer_record record = { .boot = boot, .incarnation = incarnation, .state = state, .weight = 64,
		.address = { .port = 1 }, .id_len = (uint8_t)strlen(id) };

	memcpy(record.id, id, record.id_len);
	return record;
}

static void
news_is_ordered_by_incarnation_then_boot_then_rank(void **state)
{
	static const uint8_t ranks[] = { PEER_JOINING, PEER_ALIVE, PEER_LEAVING, PEER_SUSPECTED, PEER_DEAD, PEER_LEFT };
	struct peer_record a, b;

	(void)state;
	for (size_t i = 0; i + 1 < sizeof ranks; i++) {
		a = record_of("n", 1, 1, ranks[i]);
		b = record_of("n", 1, 1, ranks[i + 1]);
		assert_true(member_compare(&a, &b) < 0 && member_compare(&b, &a) > 0 && member_compare(&a, &a) == 0);
	}
	a = record_of("n", 1, 2, PEER_ALIVE); /* its own word at a higher incarnation */
	b = record_of("n", 9, 1, PEER_LEFT);
	assert_true(member_compare(&a, &b) > 0);
	b = record_of("n", 9, 2, PEER_JOINING); /* another life at the same one: the larger nonce, everywhere */
	assert_true(member_compare(&a, &b) < 0);
}

static void
the_digest_tells_equal_tables_from_others(void **state)
{
	struct members a, b;
	struct peer_record record;

	(void)state;
	assert_true(members_init(&a, 32) && members_init(&b, 32));
	for (int i = 0; i < 20; i++) {
		char id[8];

		snprintf(id, sizeof id, "n%d", i);
		record = record_of(id, 5, 1, PEER_ALIVE);
		assert_non_null(members_add(&a, &record, 0));
		snprintf(id, sizeof id, "n%d", 19 - i);
		record = record_of(id, 5, 1, PEER_ALIVE);
		assert_non_null(members_add(&b, &record, 0));
	}
	assert_int_equal(a.digest, b.digest);
	record = record_of("n3", 5, 1, PEER_SUSPECTED);
	members_set(&a, members_find(&a, members_find(&a, members_at(&a, 3)->id)->id), &members_at(&a, 3)->record, 1);
	assert_int_equal(a.digest, b.digest); /* the same state again is no change */
	for (uint16_t i = 0; i < a.count; i++)
		if (strcmp(members_at(&a, i)->record.id, "n3") == 0)
			members_set(&a, members_at(&a, i), &record, 1);
	assert_int_not_equal(a.digest, b.digest);
	members_check(&a);
	members_check(&b);
	members_deinit(&a);
	members_deinit(&b);
}

static void
members_come_and_go_and_the_table_stays_whole(void **state)
{
	struct prng prng = { 4 };
	struct members members;

	(void)state;
	assert_true(members_init(&members, 16));
	for (int i = 0; i < 5000; i++) {
		struct peer_record record;
		char id[8];
		struct member *member = NULL;

		snprintf(id, sizeof id, "n%u", (unsigned)prng_below(&prng, 24));
		for (uint16_t k = 0; k < members.count; k++)
			if (strcmp(members_at(&members, k)->record.id, id) == 0)
				member = members_at(&members, k);
		record = record_of(id, 1 + prng_below(&prng, 3), 1 + (uint32_t)i, (uint8_t)(1 + prng_below(&prng, 6)));
		if (!member && members.count == members.max)
			assert_null(members_add(&members, &record, 0));
		else if (!member)
			member = members_add(&members, &record, 0);
		else if (prng_below(&prng, 3) == 0)
			members_remove(&members, member), member = NULL;
		else
			members_set(&members, member, &record, 0);
		if (member) {
			members_heat(&members, member, 2);
			members_cool(&members, member);
			assert_ptr_equal(members_find(&members, member->id), member);
		}
		members_check(&members);
	}
	members_deinit(&members);
}

static void
a_second_death_is_counted_from_its_own_beginning(void **state)
{
	struct members members;
	struct peer_record record = record_of("n1", 7, 2, PEER_SUSPECTED);
	struct member *member;

	(void)state;
	assert_true(members_init(&members, 4));
	member = members_add(&members, &record, 100);
	member_accuse(member, 5);
	record.incarnation = 3; /* it refuted, which we did not hear, and is suspected again */
	members_set(&members, member, &record, 200);
	assert_int_equal(member->since_ns, 200);
	assert_int_equal(member->accuser_count, 0);
	record.state = PEER_DEAD;
	members_set(&members, member, &record, 300);
	members_set(&members, member, &record, 350); /* the same once more is no other death */
	assert_int_equal(member->since_ns, 300);
	record.incarnation = 4;
	members_set(&members, member, &record, 400);
	assert_int_equal(member->since_ns, 400);
	members_deinit(&members);
}

static void
accusers_count_once_and_are_bounded(void **state)
{
	struct member member = { .id = 99 };

	(void)state;
	assert_false(member_accuse(&member, 0));
	assert_false(member_accuse(&member, 99)); /* nobody confirms his own death */
	for (uint64_t i = 1; i <= MEMBER_ACCUSERS_MAX; i++) {
		assert_true(member_accuse(&member, i));
		assert_false(member_accuse(&member, i));
	}
	assert_false(member_accuse(&member, 50));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(news_is_ordered_by_incarnation_then_boot_then_rank),
		cmocka_unit_test(the_digest_tells_equal_tables_from_others),
		cmocka_unit_test(members_come_and_go_and_the_table_stays_whole),
		cmocka_unit_test(a_second_death_is_counted_from_its_own_beginning),
		cmocka_unit_test(accusers_count_once_and_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
