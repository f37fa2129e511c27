/*
 * phi.h - how surprising it is that a peer's next heartbeat has not come yet.
 *
 * Purpose: phi(t) = -log10(P(interval > t)) for intervals taken as normally distributed,
 *   mean and deviation over a window of the last intervals: phi 8 says that such a
 *   silence would come by chance once in 10^8 heartbeats.
 * Source: Hayashibara, Defago, Yared and Katayama, "The phi accrual failure detector"
 *   (2004). "phi = 8" is a convention: with an exponential model it would be 18.4 mean
 *   intervals. This one is the normal model.
 * Rules: the deviation has a floor, max(25 ms, interval / 4), because microsecond-regular
 *   heartbeats would convict at the first scheduler hiccup. Intervals over max_interval and
 *   the first one after a recovery are dropped, or one outage teaches tolerance for the
 *   next. Before the first interval the estimate is interval +- interval / 4. A process that
 *   was itself stopped calls phi_resume(): the time it missed accuses nobody. phi is 0..300,
 *   never NaN. Sums are integers, so that nothing drifts.
 * Intuition for the two thresholds: phi is only ever compared, and a normal quantile is
 *   fixed for a threshold, so a test costs one multiplication: silence > mean + z * deviation.
 * Threads: none. Memory: fixed, by value. Time: mono_ns of the caller.
 * Invariants: 1. count <= PHI_SAMPLES. 2. sums are those of the samples.
 */
#ifndef CLUSTER_PHI_H
#define CLUSTER_PHI_H

#include <stdbool.h>
#include <stdint.h>

enum { PHI_SAMPLES = 64 };
#define PHI_MAX 300.0

struct phi_config {
	uint64_t interval_ns;     /* heartbeats are sent this often */
	uint64_t max_interval_ns; /* longer ones are no sample */
	uint64_t pause_ns;        /* acceptable silence on top of the mean; 0 usually */
};

struct phi {
	uint64_t last_ns;  /* last heartbeat, or when watching began */
	uint64_t sum_us;   /* of the samples */
	uint64_t square_us;/* of their squares */
	uint32_t samples_us[PHI_SAMPLES];
	uint16_t count, at;
	bool skip_next;    /* the coming interval is no sample */
};

/* Starts watching: nothing was heard yet. */
void phi_init(struct phi *phi, uint64_t now_ns);

/* A heartbeat arrived. */
void phi_heartbeat(struct phi *phi, const struct phi_config *config, uint64_t now_ns);

/* The watcher itself was stopped until now: silence counts from now on. */
void phi_resume(struct phi *phi, uint64_t now_ns);

/* Mean and deviation (with its floor) of the intervals, in ns. */
double phi_mean_ns(const struct phi *phi, const struct phi_config *config);
double phi_deviation_ns(const struct phi *phi, const struct phi_config *config);

/* The suspicion at a time, 0..PHI_MAX. */
double phi_value(const struct phi *phi, const struct phi_config *config, uint64_t now_ns);

/* How many deviations over the mean a silence is at which phi reaches the threshold. */
double phi_quantile(double threshold);

/* When phi will reach the threshold of this quantile, if nothing is heard until then: mono_ns. */
uint64_t phi_reaches_ns(const struct phi *phi, const struct phi_config *config, double quantile);

void phi_check(const struct phi *phi);

#endif
