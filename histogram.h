/* SPDX-License-Identifier: MIT */
/*
 * histogram.h - how long things took, counted in buckets whose width grows with the time.
 *
 * Four buckets for each doubling, in units of 1.024 us (a shift, no division), up to 137 s:
 *
 *	bucket    0     1     2     3     4     5     6     7     8     9 ...       103
 *	from      0     1     2     3     4     5     6     7     8    10 ...       114 s
 *
 * so whatever is read from them is right within a fifth. Adding one is one increment. Two kinds:
 *
 *   struct histogram  since the beginning, for counters that only grow (Prometheus): 64 bits
 *   struct recent     of the last 17 to 34 seconds, for percentiles that mean the present: 16 bits,
 *                     two periods, turned over when something is added and not by the clock, so
 *                     that a file that nobody uses costs nothing. A bucket that is full halves all
 *                     of its period, which leaves the percentiles as they are
 *
 * Plain data without pointers: both live in memory that outlives a process (keep.h).
 */
#ifndef FUSEBAND_HISTOGRAM_H
#define FUSEBAND_HISTOGRAM_H

#include <stdbool.h>
#include <stdint.h>

#define HISTOGRAM_UNIT_SHIFT 10
#define HISTOGRAM_PER_OCTAVE 4U
#define HISTOGRAM_BUCKETS 104U
#define HISTOGRAM_PERIOD_SHIFT 34 /* of recent: 2^34 ns */

struct histogram {
	uint64_t counts[HISTOGRAM_BUCKETS];
	uint64_t sum_ns;
};

struct recent_counts {
	uint16_t now[HISTOGRAM_BUCKETS], before[HISTOGRAM_BUCKETS];
};

struct recent {
	uint32_t period; /* that `now` is of */
	struct recent_counts wait, service;
};

static inline unsigned histogram_bucket(uint64_t ns)
{
	uint64_t units = ns >> HISTOGRAM_UNIT_SHIFT;
	unsigned octave, bucket;

	if (units < HISTOGRAM_PER_OCTAVE)
		return (unsigned)units;
	octave = 63U - (unsigned)__builtin_clzll(units); /* 2 or more */
	bucket = (octave - 1U) * HISTOGRAM_PER_OCTAVE +
		 (unsigned)(units >> (octave - 2U) & (HISTOGRAM_PER_OCTAVE - 1U));
	return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1U;
}

/* Where a bucket begins; that of HISTOGRAM_BUCKETS is where the last one ends. */
static inline uint64_t histogram_from_ns(unsigned bucket)
{
	unsigned octave = bucket / HISTOGRAM_PER_OCTAVE, rest = bucket % HISTOGRAM_PER_OCTAVE;

	if (!octave)
		return (uint64_t)rest << HISTOGRAM_UNIT_SHIFT;
	return (uint64_t)(HISTOGRAM_PER_OCTAVE + rest) << (octave - 1U) << HISTOGRAM_UNIT_SHIFT;
}

static inline void histogram_add(struct histogram *histogram, uint64_t ns)
{
	histogram->counts[histogram_bucket(ns)]++;
	histogram->sum_ns += ns;
}

/* One request: how long it waited, and how long it took from then on. */
void recent_add(struct recent *recent, uint64_t now_ns, uint64_t wait_ns, uint64_t service_ns);
/* What is in both periods; zeroes when they are over. counts: recent->wait or recent->service. */
void recent_sum(const struct recent *recent, const struct recent_counts *counts, uint64_t now_ns,
		uint64_t ret_counts[HISTOGRAM_BUCKETS]);

uint64_t histogram_total(const uint64_t counts[HISTOGRAM_BUCKETS]);
/* Below which so many of a thousand lie, straight lines within a bucket; 0 without any. */
uint64_t histogram_quantile_ns(const uint64_t counts[HISTOGRAM_BUCKETS], unsigned permille);

#endif
