/* SPDX-License-Identifier: MIT */
/*
 * rng.c - chance and histograms for the simulator, in integers only.
 *
 * No libm: a logarithm may differ in its last bit between two machines, and a run would not
 * replay. The generator is SplitMix64; the exponential distribution is von Neumann's method, which
 * needs nothing but comparisons of uniform numbers.
 */
#include <assert.h>

#include "tests/sim/sim.h"

uint64_t sim_rng_next(struct sim_rng *rng)
{
	uint64_t z = rng->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint64_t sim_rng_below(struct sim_rng *rng, uint64_t n)
{
	assert(n > 0);
	return (uint64_t)(((unsigned __int128)sim_rng_next(rng) * n) >> 64);
}

/*
 * Draw a falling run u1 > u2 > ... > un <= u(n+1). If n is odd, k + u1 is exponential with mean
 * one, where k counts the earlier tries (Knuth, TAOCP 3.4.1, exercise 20).
 */
uint64_t sim_rng_exponential(struct sim_rng *rng, uint64_t mean)
{
	for (uint64_t k = 0;; k++) {
		uint64_t first = sim_rng_next(rng), least = first;
		unsigned n = 1;

		for (uint64_t u; (u = sim_rng_next(rng)) < least; n++)
			least = u;
		if (n % 2 == 1)
			return k * mean + (uint64_t)(((unsigned __int128)first * mean) >> 64);
	}
}

static unsigned bucket_of(uint64_t value)
{
	if (value < 64)
		return (unsigned)value;

	unsigned octave = 63U - (unsigned)__builtin_clzll(value); /* 6..63 */

	return 64U + (octave - 6U) * 32U + (unsigned)((value >> (octave - 5U)) & 31U);
}

/* The largest value that falls into the bucket. */
static uint64_t bucket_edge(unsigned bucket)
{
	if (bucket < 64)
		return bucket;

	unsigned octave = (bucket - 64U) / 32U + 6U;
	uint64_t part = (bucket - 64U) % 32U;

	return ((32U + part + 1U) << (octave - 5U)) - 1U;
}

void sim_hist_add(struct sim_hist *hist, uint64_t value)
{
	hist->count++;
	hist->sum += value;
	if (value > hist->max)
		hist->max = value;
	hist->buckets[bucket_of(value)]++;
}

void sim_hist_merge(struct sim_hist *hist, const struct sim_hist *other)
{
	hist->count += other->count;
	hist->sum += other->sum;
	if (other->max > hist->max)
		hist->max = other->max;
	for (unsigned i = 0; i < SIM_HIST_BUCKETS; i++)
		hist->buckets[i] += other->buckets[i];
}

uint64_t sim_hist_percentile(const struct sim_hist *hist, double pct)
{
	double wanted = (double)hist->count * pct / 100.0;
	uint64_t seen = 0;

	for (unsigned i = 0; i < SIM_HIST_BUCKETS && hist->count > 0; i++) {
		seen += hist->buckets[i];
		if (seen > 0 && (double)seen >= wanted)
			return bucket_edge(i) < hist->max ? bucket_edge(i) : hist->max;
	}
	return hist->max;
}
