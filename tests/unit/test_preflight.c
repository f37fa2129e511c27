/* Unit tests of preflight's decisions that need no interface, and of reading one that is always there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/slipringd/log.h"
#include "app/slipringd/nic.h"
#include "app/slipringd/preflight.h"

#define MIB (1ull << 20)

static bool no_huge;
static struct error error;

static enum status
decide(enum config_huge_pages wish, uint64_t need, uint64_t available)
{
	const struct config config = { .huge_pages = wish };

	return preflight_memory(&config, need, available, &no_huge, &error);
}

static void
huge_pages_are_used_when_enough_are_free(void **state)
{
	(void)state;
	assert_int_equal(decide(HUGE_PAGES_AUTO, 60 * MIB, 64 * MIB), STATUS_OK);
	assert_false(no_huge);
	assert_int_equal(decide(HUGE_PAGES_AUTO, 64 * MIB, 64 * MIB), STATUS_OK);
	assert_false(no_huge);
	assert_int_equal(decide(HUGE_PAGES_YES, 60 * MIB, 64 * MIB), STATUS_OK);
	assert_false(no_huge);
	assert_int_equal(decide(HUGE_PAGES_NO, 60 * MIB, 64 * MIB), STATUS_OK);
	assert_true(no_huge);
}

static void
without_enough_it_goes_without_or_says_what_to_run(void **state)
{
	unsigned long long needed, page_kib, available, to_run;

	(void)state;
	assert_int_equal(decide(HUGE_PAGES_AUTO, 65 * MIB, 64 * MIB), STATUS_OK);
	assert_true(no_huge);
	assert_int_equal(decide(HUGE_PAGES_YES, 65 * MIB, 4 * MIB), STATUS_UNAVAILABLE);
	assert_int_equal(sscanf(error.text, "%llu huge pages of %llu KiB are needed and %llu are free: "
	    "sysctl -w vm.nr_hugepages=%llu", &needed, &page_kib, &available, &to_run), 4);
	assert_true(needed * page_kib * 1024 >= 65 * MIB && (needed - 1) * page_kib * 1024 < 65 * MIB);
	assert_int_equal(available, 4 * MIB / (page_kib * 1024));
	assert_true(to_run >= needed - available); /* on top of what there is */
}

static void
the_loopback_interface_is_read(void **state)
{
	struct nic nic;

	(void)state;
	assert_int_equal(nic_read("lo", &nic, &error), STATUS_OK);
	assert_int_equal(nic.index, 1);
	assert_int_equal(nic.xdp_program, 0);
	assert_true(nic.rx_queues >= 1);
	assert_false(nic.default_route);
	assert_true(nic.loopback);
	assert_int_equal(nic_read("nosuch0", &nic, &error), STATUS_UNAVAILABLE);
	assert_non_null(strstr(error.text, "nosuch0: No such device"));
}

static void
expect_refusal(const char *driver, const char *interface, const char *expected)
{
	struct config config = { .workers = 1, .interfaces = { .count = interface ? 1 : 0 } };
	struct io_profile profile = { .name = "p", .queues = 1 };
	struct preflight preflight;

	snprintf(profile.driver, sizeof profile.driver, "%s", driver);
	snprintf(config.run_dir, sizeof config.run_dir, "/tmp");
	snprintf(config.control_socket, sizeof config.control_socket, "/tmp/test_preflight.none");
	if (interface)
		snprintf(config.interfaces.values[0], VALUE_ITEM_SIZE, "%s", interface);
	assert_int_not_equal(preflight_run(&preflight, &config, &profile, &error), STATUS_OK);
	if (!strstr(error.text, expected))
		fail_msg("%s\nlacks: %s", error.text, expected);
	assert_int_equal(preflight.lock_count, 0);
}

static void
cards_and_sockets_that_are_not_there_are_refused(void **state)
{
	char file[64];

	(void)state;
	expect_refusal("net_af_packet", NULL, "no interface is given");
	expect_refusal("net_af_packet", "lo", "interface lo is the loopback and no network card");
	expect_refusal("pci", "ffff:ff:1f.7", "there is no PCI device ffff:ff:1f.7");
	expect_refusal("pci", "../../../etc", "there is no PCI device");
	expect_refusal("net_virtio_user", "/nonexistent/s", "no vhost-user socket /nonexistent/s: start the switch first");
	snprintf(file, sizeof file, "/tmp/test_preflight.%d", (int)getpid());
	fclose(fopen(file, "w"));
	expect_refusal("net_vhost", file, "is in the way of the socket and is none itself; remove it or give another path");
	expect_refusal("net_virtio_user", file, "there is no vhost-user socket");
	unlink(file);
}

static void
an_interface_is_locked_until_it_is_released(void **state)
{
	struct config config = { .workers = 1, .interfaces = { .count = 1 } }, other;
	struct io_profile profile = { .name = "vhost", .driver = "net_vhost", .queues = 1 };
	struct preflight first, second;

	(void)state;
	snprintf(config.run_dir, sizeof config.run_dir, "/tmp");
	snprintf(config.control_socket, sizeof config.control_socket, "/tmp/test_preflight.none");
	snprintf(config.interfaces.values[0], VALUE_ITEM_SIZE, "/tmp/test_vhost.%d", (int)getpid());
	assert_int_equal(preflight_run(&first, &config, &profile, &error), STATUS_OK);
	assert_int_equal(first.lock_count, 1);
	other = config;
	assert_int_equal(preflight_run(&second, &other, &profile, &error), STATUS_UNAVAILABLE);
	assert_non_null(strstr(error.text, "is in use by another slipringd, process "));
	preflight_release(&first);
	assert_int_equal(preflight_run(&second, &other, &profile, &error), STATUS_OK);
	preflight_release(&second);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(huge_pages_are_used_when_enough_are_free),
		cmocka_unit_test(without_enough_it_goes_without_or_says_what_to_run),
		cmocka_unit_test(the_loopback_interface_is_read),
		cmocka_unit_test(cards_and_sockets_that_are_not_there_are_refused),
		cmocka_unit_test(an_interface_is_locked_until_it_is_released),
	};

	return cmocka_run_group_tests_name("preflight", tests, NULL, NULL);
}
