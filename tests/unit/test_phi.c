/* Unit tests of lib/cluster/phi: golden tables, floors, what is no sample, pauses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/now.h"
#include "cluster/phi.h"

/* A detector fed 64 heartbeats, interval +- jitter in turns. */
static struct phi
fed(const struct phi_config *config, uint64_t interval_ms, uint64_t jitter_ms, uint64_t *now_ns)
{
	struct phi phi;

	*now_ns = NS_PER_SEC;
	phi_init(&phi, *now_ns);
	for (int i = 0; i < 65; i++) {
		*now_ns += (interval_ms + (i % 2 ? jitter_ms : -jitter_ms)) * NS_PER_MS;
		phi_heartbeat(&phi, config, *now_ns);
		phi_check(&phi);
	}
	return phi;
}

/* phi against milliseconds of silence, from tables of the normal distribution: -log10(Q((t - mean) / sd)). */
static void
phi_follows_the_normal_distribution(void **state)
{
	static const struct { uint64_t interval, jitter, silence; double phi; } golden[] = {
		{ 50, 0, 50, 0.30103 },    /* z 0: floor of 25 ms */
		{ 50, 0, 100, 1.64302 },   /* z 2 */
		{ 50, 0, 150, 4.49934 },   /* z 4 */
		{ 50, 0, 200, 9.00586 },   /* z 6 */
		{ 1000, 0, 1250, 0.79955 },/* z 1: floor of interval / 4 */
		{ 1000, 0, 2000, 4.49934 },/* z 4 */
		{ 100, 50, 250, 2.86965 }, /* z 3: the samples' own deviation */
	};

	(void)state;
	for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
		struct phi_config config = { .interval_ns = golden[i].interval * NS_PER_MS, .max_interval_ns = 10 * NS_PER_SEC };
		uint64_t now_ns;
		struct phi phi = fed(&config, golden[i].interval, golden[i].jitter, &now_ns);

		assert_float_equal(phi_value(&phi, &config, now_ns + golden[i].silence * NS_PER_MS), golden[i].phi, 2e-4);
	}
}

static void
a_threshold_is_reached_when_phi_says_so(void **state)
{
	struct phi_config config = { .interval_ns = 50 * NS_PER_MS, .max_interval_ns = NS_PER_SEC };
	uint64_t now_ns, at;
	struct phi phi = fed(&config, 50, 1, &now_ns);

	(void)state;
	for (double threshold = 0.5; threshold <= 16; threshold += 0.5) {
		at = phi_reaches_ns(&phi, &config, phi_quantile(threshold));
		assert_true(phi_value(&phi, &config, at + NS_PER_US) >= threshold);
		assert_true(phi_value(&phi, &config, at - NS_PER_MS) < threshold);
	}
	/* 50 ms heartbeats, floor 25 ms, threshold 8: 50 + 5.612 * 25. */
	at = phi_reaches_ns(&phi, &config, phi_quantile(8));
	assert_in_range(at - now_ns, 190 * NS_PER_MS, 191 * NS_PER_MS);
}

static void
a_peer_never_heard_can_be_convicted(void **state)
{
	struct phi_config config = { .interval_ns = 50 * NS_PER_MS, .max_interval_ns = NS_PER_SEC };
	struct phi phi;

	(void)state;
	phi_init(&phi, NS_PER_SEC);
	assert_true(phi_value(&phi, &config, NS_PER_SEC) < 0.5);
	assert_true(phi_value(&phi, &config, NS_PER_SEC + 200 * NS_PER_MS) > 8);
}

static void
an_outage_teaches_no_tolerance(void **state)
{
	struct phi_config config = { .interval_ns = 50 * NS_PER_MS, .max_interval_ns = 400 * NS_PER_MS };
	uint64_t now_ns;
	struct phi phi = fed(&config, 50, 0, &now_ns);
	double mean = phi_mean_ns(&phi, &config);

	(void)state;
	phi_heartbeat(&phi, &config, now_ns + 5 * NS_PER_SEC);
	assert_float_equal(phi_mean_ns(&phi, &config), mean, 0);
}

static void
who_was_stopped_itself_blames_nobody(void **state)
{
	struct phi_config config = { .interval_ns = 50 * NS_PER_MS, .max_interval_ns = NS_PER_SEC };
	uint64_t now_ns;
	struct phi phi = fed(&config, 50, 0, &now_ns);
	double mean = phi_mean_ns(&phi, &config);

	(void)state;
	now_ns += 700 * NS_PER_MS;
	phi_resume(&phi, now_ns);
	assert_true(phi_value(&phi, &config, now_ns) < 0.5);
	phi_heartbeat(&phi, &config, now_ns + NS_PER_MS); /* one that waited */
	assert_float_equal(phi_mean_ns(&phi, &config), mean, 0);
}

static void
phi_is_clamped_and_time_may_stand_still(void **state)
{
	struct phi_config config = { .interval_ns = 50 * NS_PER_MS, .max_interval_ns = NS_PER_SEC };
	uint64_t now_ns;
	struct phi phi = fed(&config, 50, 0, &now_ns);

	(void)state;
	assert_float_equal(phi_value(&phi, &config, UINT64_MAX), PHI_MAX, 0);
	assert_true(phi_value(&phi, &config, 0) >= 0);
	for (int i = 0; i < 100; i++)
		phi_heartbeat(&phi, &config, now_ns);
	phi_check(&phi);
	assert_true(phi_deviation_ns(&phi, &config) >= 25e6);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(phi_follows_the_normal_distribution),
		cmocka_unit_test(a_threshold_is_reached_when_phi_says_so),
		cmocka_unit_test(a_peer_never_heard_can_be_convicted),
		cmocka_unit_test(an_outage_teaches_no_tolerance),
		cmocka_unit_test(who_was_stopped_itself_blames_nobody),
		cmocka_unit_test(phi_is_clamped_and_time_may_stand_still),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
