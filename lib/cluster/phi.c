#include "cluster/phi.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/now.h"

#define DEVIATION_MIN_NS (25 * NS_PER_MS)

void
phi_init(struct phi *phi, uint64_t now_ns)
{
	memset(phi, 0, sizeof *phi);
	phi->last_ns = now_ns;
	phi->skip_next = true; /* watching did not begin with a heartbeat */
}

static void
sample_add(struct phi *phi, uint32_t us)
{
	if (phi->count == PHI_SAMPLES) {
		uint64_t old = phi->samples_us[phi->at];

		phi->sum_us -= old;
		phi->square_us -= old * old;
	} else {
		phi->count++;
	}
	phi->samples_us[phi->at] = us;
	phi->at = (uint16_t)((phi->at + 1) % PHI_SAMPLES);
	phi->sum_us += us;
	phi->square_us += (uint64_t)us * us;
}

void
phi_heartbeat(struct phi *phi, const struct phi_config *config, uint64_t now_ns)
{
	uint64_t interval = now_ns > phi->last_ns ? now_ns - phi->last_ns : 0;

	if (!phi->skip_next && interval <= config->max_interval_ns && interval / NS_PER_US <= UINT32_MAX)
		sample_add(phi, (uint32_t)(interval / NS_PER_US));
	phi->skip_next = false;
	phi->last_ns = now_ns > phi->last_ns ? now_ns : phi->last_ns;
}

void
phi_resume(struct phi *phi, uint64_t now_ns)
{
	if (now_ns > phi->last_ns)
		phi->last_ns = now_ns;
	phi->skip_next = true;
}

double
phi_mean_ns(const struct phi *phi, const struct phi_config *config)
{
	return phi->count ? (double)phi->sum_us * 1e3 / phi->count : (double)config->interval_ns;
}

double
phi_deviation_ns(const struct phi *phi, const struct phi_config *config)
{
	double floor_ns = (double)config->interval_ns / 4, deviation = floor_ns;

	if (floor_ns < (double)DEVIATION_MIN_NS)
		floor_ns = (double)DEVIATION_MIN_NS;
	if (phi->count) {
		/* n * sum of squares - square of the sum, in integers: exact, and never below 0. */
		unsigned __int128 spread = (unsigned __int128)phi->square_us * phi->count -
		    (unsigned __int128)phi->sum_us * phi->sum_us;

		deviation = sqrt((double)(uint64_t)(spread >> 64) * 0x1p64 + (double)(uint64_t)spread) * 1e3 / phi->count;
	}
	return deviation > floor_ns ? deviation : floor_ns;
}

/* -log10 of the normal distribution's upper tail beyond z deviations. */
static double
tail_phi(double z)
{
	double tail = 0.5 * erfc(z * 0.70710678118654752440);

	if (tail < 1e-300)
		return PHI_MAX;
	return tail >= 1 ? 0 : -log(tail) * 0.43429448190325182765;
}

double
phi_value(const struct phi *phi, const struct phi_config *config, uint64_t now_ns)
{
	double silence = now_ns > phi->last_ns ? (double)(now_ns - phi->last_ns) : 0;
	double over = silence - phi_mean_ns(phi, config) - (double)config->pause_ns;

	return tail_phi(over / phi_deviation_ns(phi, config));
}

double
phi_quantile(double threshold)
{
	double low = -40, high = 40;

	for (int i = 0; i < 100; i++) {
		double middle = (low + high) / 2;

		if (tail_phi(middle) < threshold)
			low = middle;
		else
			high = middle;
	}
	return high;
}

uint64_t
phi_reaches_ns(const struct phi *phi, const struct phi_config *config, double quantile)
{
	double silence = phi_mean_ns(phi, config) + (double)config->pause_ns + quantile * phi_deviation_ns(phi, config);

	return phi->last_ns + (silence > 0 ? (uint64_t)silence : 0);
}

void
phi_check(const struct phi *phi)
{
	uint64_t sum = 0, square = 0;

	CHECK(phi->count <= PHI_SAMPLES && phi->at < PHI_SAMPLES);
	for (uint16_t i = 0; i < phi->count; i++) {
		sum += phi->samples_us[i];
		square += (uint64_t)phi->samples_us[i] * phi->samples_us[i];
	}
	CHECK(sum == phi->sum_us && square == phi->square_us);
}
