/* Unit tests of lib/cluster/authority: an acceptor keeps its word, and strangers have no vote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/now.h"
#include "cluster/authority.h"

static struct members members;
static struct authority authority;
static uint64_t ids[3];

static int
setup(void **state)
{
	struct authority_config config = { .boot = 1, .founder_count = 3, .replication = 3, .removal = true,
		.settle_ns = NS_PER_SEC };

	(void)state;
	assert_true(members_init(&members, 8));
	for (int i = 0; i < 3; i++) {
		struct peer_record record = { .boot = 1, .incarnation = 1, .state = PEER_ALIVE, .weight = 64, .id_len = 2,
			.address = { .port = (uint16_t)(i + 1) } };

		snprintf(record.id, sizeof record.id, "n%d", i + 1);
		config.founders[i].port = (uint16_t)(i + 1);
		ids[i] = members_add(&members, &record, 0)->id;
	}
	config.id = ids[0];
	authority_init(&authority, &config, 0, 1);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	members_deinit(&members);
	return 0;
}

/* The answer to a ballot of a round by node `from`; kind 0: none. */
static struct peer_ballot
asked(enum peer_ballot_kind kind, uint32_t round, int from, uint64_t base_digest)
{
	static struct authority_out out;
	struct peer_ballot ballot = { .kind = (uint8_t)kind, .epoch = 1, .round = round, .proposer = ids[from],
		.base_digest = base_digest, .digest = 5 };

	memset(&out, 0, sizeof out);
	authority_ballot(&authority, &members, NS_PER_SEC, ids[from], 1, &ballot, &out);
	authority_check(&authority);
	return out.count ? out.list[0].ballot : (struct peer_ballot){ 0 };
}

static void
a_promise_is_kept(void **state)
{
	uint64_t base = authority.founding_digest;

	(void)state;
	assert_int_equal(asked(PEER_PREPARE, 5, 1, base).kind, PEER_PROMISE);
	assert_int_equal(asked(PEER_PREPARE, 5, 1, base).kind, PEER_PROMISE); /* a repeat */
	assert_int_equal(asked(PEER_PREPARE, 4, 2, base).kind, PEER_REJECT);
	assert_int_equal(asked(PEER_ACCEPT, 4, 2, base).kind, PEER_REJECT);
	assert_int_equal(asked(PEER_PREPARE, 4, 2, base).round, 5); /* says what it promised */
	assert_int_equal(asked(PEER_PREPARE, 6, 2, base).kind, PEER_PROMISE);
}

static void
another_list_of_founders_gets_no_vote(void **state)
{
	(void)state;
	assert_int_equal(asked(PEER_PREPARE, 1, 1, authority.founding_digest + 1).kind, 0);
}

static void
a_node_alone_in_view_proposes_but_cannot_decide(void **state)
{
	static struct authority_out out;
	bool committed = false;

	(void)state;
	for (uint64_t ms = 0; ms < 20000; ms += 10) {
		memset(&out, 0, sizeof out);
		authority_tick(&authority, &members, ms * NS_PER_MS, &out);
		committed |= out.committed;
	}
	assert_true(authority.instance == 1 && !committed && authority.committed.ring.epoch == 0);
}

static void
one_more_promise_and_acceptance_decide(void **state)
{
	static struct authority_out out;
	bool committed = false;

	(void)state;
	for (uint64_t ms = 0; ms < 8000 && !committed; ms += 10) {
		memset(&out, 0, sizeof out);
		authority_tick(&authority, &members, ms * NS_PER_MS, &out);
		for (uint32_t i = 0; i < out.count && i < 1; i++) {
			static struct authority_out next;
			struct peer_ballot answer = out.list[i].ballot;

			if (out.list[i].to != ids[1])
				continue;
			memset(&next, 0, sizeof next);
			answer.kind = answer.kind == PEER_PREPARE ? PEER_PROMISE : PEER_ACCEPTED;
			authority_ballot(&authority, &members, ms * NS_PER_MS, ids[1], 1, &answer, &next);
			authority_ballot(&authority, &members, ms * NS_PER_MS, ids[1], 1, &answer, &next);
			committed |= next.committed;
		}
	}
	assert_true(committed);
	assert_int_equal(authority.committed.ring.epoch, 1);
	assert_int_equal(authority.committed.ring.count, 3);
	assert_int_equal(ring_topology_check(&authority.committed.ring), RING_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_promise_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(another_list_of_founders_gets_no_vote, setup, teardown),
		cmocka_unit_test_setup_teardown(a_node_alone_in_view_proposes_but_cannot_decide, setup, teardown),
		cmocka_unit_test_setup_teardown(one_more_promise_and_acceptance_decide, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
