/* SPDX-License-Identifier: MIT */
/* histogram.c - see histogram.h. */
#include "histogram.h"

#include <string.h>

static void add(struct recent_counts *counts, uint64_t ns)
{
	if (++counts->now[histogram_bucket(ns)] < UINT16_MAX)
		return;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		counts->now[i] /= 2;
}

static void turn_over(struct recent_counts *counts, bool next)
{
	if (next)
		memcpy(counts->before, counts->now, sizeof(counts->before));
	else
		memset(counts->before, 0, sizeof(counts->before));
	memset(counts->now, 0, sizeof(counts->now));
}

void recent_add(struct recent *recent, uint64_t now_ns, uint64_t wait_ns, uint64_t service_ns)
{
	uint32_t period = (uint32_t)(now_ns >> HISTOGRAM_PERIOD_SHIFT);

	if (period != recent->period) {
		bool next = period == recent->period + 1U;

		turn_over(&recent->wait, next);
		turn_over(&recent->service, next);
		recent->period = period;
	}
	add(&recent->wait, wait_ns);
	add(&recent->service, service_ns);
}

void recent_sum(const struct recent *recent, const struct recent_counts *counts, uint64_t now_ns,
		uint64_t ret_counts[HISTOGRAM_BUCKETS])
{
	uint32_t over = (uint32_t)(now_ns >> HISTOGRAM_PERIOD_SHIFT) - recent->period;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		ret_counts[i] = over <= 1U ? counts->now[i] : 0U;
		ret_counts[i] += over == 0U ? counts->before[i] : 0U;
	}
}

uint64_t histogram_total(const uint64_t counts[HISTOGRAM_BUCKETS])
{
	uint64_t total = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		total += counts[i];
	return total;
}

uint64_t histogram_quantile_ns(const uint64_t counts[HISTOGRAM_BUCKETS], unsigned permille)
{
	uint64_t total = histogram_total(counts), below = 0;
	/* rank from 1; without overflow for any number of requests that a process can count */
	uint64_t rank = total / 1000U * permille + (total % 1000U * permille + 999U) / 1000U;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		uint64_t from = histogram_from_ns(i), width = histogram_from_ns(i + 1U) - from;

		if (below + counts[i] >= rank && counts[i])
			return from + (uint64_t)((double)width * (double)(rank - below) /
						 (double)counts[i]);
		below += counts[i];
	}
	return 0;
}
