/* SPDX-License-Identifier: MIT */
/*
 * top_rate.h - what happened per second between two statuses of one mount.
 *
 * The time between them is the mount's own (uptime_s, of the moment at which the figures were
 * taken), so it does not matter how long the reading took, as during a take-over. Files are found
 * by name; one that is new, or whose counters are behind what they were, has no rates this time.
 * Groups and devices have the sums of the files below them.
 */
#ifndef FUSEBAND_TOP_RATE_H
#define FUSEBAND_TOP_RATE_H

#include "top_status.h"

enum top_rate {
	TOP_RATE_NEW,	 /* there are rates */
	TOP_RATE_SAME,	 /* it is the very same moment: keep what there is */
	TOP_RATE_RESTART /* another daemon, or the mount began anew: no rates this time */
};

/* before: NULL is as a restart. Fills in what belongs to rates in now. */
enum top_rate top_rate(struct top_status *now, struct top_status *before);

/* Reads and writes together. */
static inline double top_iops(const struct top_node *node)
{
	return node->per_s[TOP_READ_IOS] + node->per_s[TOP_WRITE_IOS];
}

static inline double top_bps(const struct top_node *node)
{
	return node->per_s[TOP_READ_BYTES] + node->per_s[TOP_WRITE_BYTES];
}

#endif
