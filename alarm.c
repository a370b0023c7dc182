/* SPDX-License-Identifier: MIT */
/* alarm.c - see alarm.h. */
#include "alarm.h"

#define SHARE_PCT 80U
#define SHARE_REQUESTS 20U  /* that it was entitled to, for one more or less not to matter */
#define LATENCY_SLICES 100U /* for a 99th percentile to exist */

bool alarm_window(struct alarm *alarm, bool missed, unsigned windows)
{
	if (!missed) {
		*alarm = (struct alarm){0};
		return false;
	}
	alarm->missed++;
	if (alarm->raised || alarm->missed < windows)
		return false;
	alarm->raised = true;
	return true;
}

bool alarm_share(const struct alarm_queue *q)
{
	if (q->waiting_ns < q->window_ns / 2)
		return false;
	if ((double)q->disk_ios * q->entitled_ppm < SHARE_REQUESTS * 1e6)
		return false;
	return (uint64_t)q->achieved_ppm * 100 < (uint64_t)q->entitled_ppm * SHARE_PCT;
}

/* 3 % below it is not missed: windows and requests have ends. */
static bool below(double got, uint64_t promised, uint64_t window_ns)
{
	return promised && got < 0.97 * (double)promised * (double)window_ns / 1e9;
}

bool alarm_reservation(const struct alarm_queue *q)
{
	/* each request is one I/O for each started iops_size: at most one more than it has full */
	double ios = (double)q->ios +
		     (q->iops_size_bytes ? (double)q->bytes / (double)q->iops_size_bytes : 0.0);

	if (q->waiting_ns < q->window_ns - q->window_ns / 10)
		return false;
	return below(ios, q->min_iops, q->window_ns) ||
	       below((double)q->bytes, q->min_bps, q->window_ns);
}

bool alarm_latency(const uint64_t counts[HISTOGRAM_BUCKETS], uint64_t target_ns)
{
	uint64_t above = 0, total = histogram_total(counts);

	if (!target_ns || total < LATENCY_SLICES)
		return false;
	for (unsigned i = histogram_bucket(target_ns) + 1U; i < HISTOGRAM_BUCKETS; i++)
		above += counts[i];
	return above > total / 100;
}
