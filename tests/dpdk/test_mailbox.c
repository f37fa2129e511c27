/*
 * Mailboxes between real threads: nothing is lost, and no wake-up is lost either.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>
#include <rte_eal.h>

#include "base/prng.h"
#include "base/roles.h"
#include "io/io.h"

enum {
	ROUND_TRIPS = 20000,
	SENDERS = 3, MAILS_EACH = 20000,
	/* A lost wake-up sleeps this long; one that arrives takes microseconds. */
	SLEEP_MS = 20000, LOST_MS = 10000,
	ANSWER_CYCLES_MAX = 4000,
};

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static struct mailbox *
create(const char *name)
{
	struct error error;
	struct mailbox *mailbox = mailbox_create(name, 1024, &error);

	assert_non_null(mailbox);
	return mailbox;
}

/*
 * The sleeper waits at once whenever its mailbox is empty; the other side polls
 * and answers after a random moment, so that answers fall before, into and after the
 * steps by which the sleeper goes to sleep.
 */
struct table {
	struct mailbox *sleeper, *poller, *bell; /* bell: what is slept on */
	uint32_t lost; /* sleeps that only the timeout ended */
	atomic_bool over;
};

static void
pause_for(uint64_t cycles)
{
	uint64_t start = io_cycles();

	while (io_cycles() - start < cycles)
		;
}

static void *
answer(void *argument)
{
	struct table *table = argument;
	struct prng prng = { 1 };

	role_worker_begin();
	while (!atomic_load(&table->over)) {
		void *mail;

		if (mailbox_receive(table->poller, &mail, 1) == 0)
			continue;
		pause_for(prng_below(&prng, ANSWER_CYCLES_MAX));
		mailbox_send(table->sleeper, mail);
	}
	return NULL;
}

static void
ask(struct table *table, struct prng *prng, uintptr_t question)
{
	void *mail;

	mailbox_send(table->poller, (void *)question);
	while (mailbox_receive(table->sleeper, &mail, 1) == 0) {
		uint64_t before = now_ms();

		pause_for(prng_below(prng, ANSWER_CYCLES_MAX)); /* the last look was a while ago */
		io_wait(NULL, table->bell, SLEEP_MS);
		table->lost += now_ms() - before >= LOST_MS;
	}
	assert_int_equal(mail, question);
}

static void
never_misses(struct table *table)
{
	struct prng prng = { 2 };
	pthread_t thread;

	role_worker_begin();
	assert_int_equal(pthread_create(&thread, NULL, answer, table), 0);
	for (uintptr_t i = 1; i <= ROUND_TRIPS && !table->lost; i++)
		ask(table, &prng, i);
	atomic_store(&table->over, true);
	pthread_join(thread, NULL);
	assert_int_equal(table->lost, 0);
	mailbox_destroy(table->poller);
}

static void
a_sleeper_never_misses_its_wake_up(void **state)
{
	struct table table = { .sleeper = create("sleeper"), .poller = create("poller") };

	(void)state;
	table.bell = table.sleeper;
	never_misses(&table);
	mailbox_destroy(table.sleeper);
}

static void
mail_in_an_attached_mailbox_wakes_who_sleeps_on_the_bell(void **state)
{
	struct table table = { .sleeper = create("sleeper"), .poller = create("poller"), .bell = create("bell") };
	struct mailbox *other = create("other");

	(void)state;
	mailbox_attach(other, table.bell);
	mailbox_attach(table.sleeper, table.bell);
	never_misses(&table);
	mailbox_destroy(table.sleeper);
	mailbox_destroy(other);
	mailbox_destroy(table.bell);
}

/* Two owners become one, who sleeps on a mailbox of the second. */
static void
mail_in_what_was_attached_to_a_bell_that_moved_wakes_the_new_sleeper(void **state)
{
	struct table table = { .sleeper = create("sleeper"), .poller = create("poller"), .bell = create("worker") };
	struct mailbox *former = create("former"), *other = create("other"), *attached = table.sleeper;

	(void)state;
	mailbox_attach(attached, former);
	mailbox_attach(other, table.bell);
	mailbox_move(former, table.bell);
	never_misses(&table);
	table = (struct table){ .sleeper = former, .poller = create("poller"), .bell = table.bell };
	never_misses(&table);
	mailbox_destroy(attached);
	mailbox_destroy(former);
	mailbox_destroy(other);
	mailbox_destroy(table.bell);
}

static void
many_mails_go_as_far_as_there_is_room(void **state)
{
	struct mailbox *mailbox = create("batch");
	void *mails[700], *got[1023];

	(void)state;
	role_worker_begin();
	for (uintptr_t i = 0; i < 700; i++)
		mails[i] = (void *)(i + 1);
	assert_int_equal(mailbox_send_many(mailbox, mails, 700), 700);
	assert_int_equal(mailbox_send_many(mailbox, mails, 700), 323);
	assert_int_equal(mailbox_receive(mailbox, got, 1023), 1023);
	for (uintptr_t i = 0; i < 1023; i++)
		assert_int_equal((uintptr_t)got[i], i % 700 + 1);
	mailbox_destroy(mailbox);
}

struct sender {
	struct mailbox *to;
	uintptr_t name;
};

static void *
send_all(void *argument)
{
	struct sender *sender = argument;

	for (uintptr_t i = 0; i < MAILS_EACH; i++)
		while (!mailbox_send(sender->to, (void *)(sender->name << 32 | (i + 1))))
			sched_yield();
	return NULL;
}

static void
mails_of_many_senders_arrive_once_and_in_each_ones_order(void **state)
{
	struct mailbox *mailbox = create("many");
	struct sender senders[SENDERS];
	pthread_t threads[SENDERS];
	uintptr_t last[SENDERS] = { 0 };

	(void)state;
	role_worker_begin();
	for (uintptr_t i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){ mailbox, i };
		assert_int_equal(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
	}
	for (uint32_t got = 0; got < SENDERS * MAILS_EACH;) {
		void *mails[32];
		uint32_t n = mailbox_receive(mailbox, mails, 32);

		for (uint32_t i = 0; i < n; i++) {
			uintptr_t mail = (uintptr_t)mails[i];

			assert_int_equal(mail & 0xffffffff, ++last[mail >> 32]);
		}
		got += n;
		if (n == 0)
			io_wait(NULL, mailbox, 1);
	}
	for (int i = 0; i < SENDERS; i++)
		pthread_join(threads[i], NULL);
	mailbox_destroy(mailbox);
}

static void
a_full_mailbox_says_so(void **state)
{
	struct mailbox *mailbox = create("full");
	uint32_t sent = 0;

	(void)state;
	while (sent < 5000 && mailbox_send(mailbox, (void *)1))
		sent++;
	assert_int_equal(sent, 1023); /* a ring holds one less than its size */
	mailbox_destroy(mailbox);
}

int
main(void)
{
	char *eal[] = { "test", "--no-huge", "-m", "16", "--no-pci", "--no-telemetry", "--no-shconf",
		"--lcores", "0@(0-1)", "--log-level", "error" };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sleeper_never_misses_its_wake_up),
		cmocka_unit_test(mails_of_many_senders_arrive_once_and_in_each_ones_order),
		cmocka_unit_test(a_full_mailbox_says_so),
		cmocka_unit_test(mail_in_an_attached_mailbox_wakes_who_sleeps_on_the_bell),
		cmocka_unit_test(mail_in_what_was_attached_to_a_bell_that_moved_wakes_the_new_sleeper),
		cmocka_unit_test(many_mails_go_as_far_as_there_is_room),
	};

	if (rte_eal_init(sizeof eal / sizeof *eal, eal) < 0)
		return 1;
	return cmocka_run_group_tests_name("mailbox", tests, NULL, NULL);
}
