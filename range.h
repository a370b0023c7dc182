/* SPDX-License-Identifier: MIT */
/*
 * range.h - who may write where, within one file.
 *
 * Aligned writes do not exclude each other: their order is the guest's business, as on a disk. A
 * write that does not fill its blocks is a read, a merge and a write, during which nobody else
 * may write to these blocks: it holds its range exclusively. First come, first served
 * among those that overlap, so that neither kind can starve the other.
 *
 * Pure; the caller's lock. Cost: nothing to speak of while no range is exclusive, linear in
 * the writes of that file otherwise.
 */
#ifndef FUSEBAND_RANGE_H
#define FUSEBAND_RANGE_H

#include <stdbool.h>
#include <stdint.h>

struct range {
	struct range *prev, *next;
	struct range *next_ready; /* in the result of range_release() */
	uint64_t start_bytes, end_bytes;
	bool exclusive;
	bool granted;
};

struct ranges {			    /* all zero: empty */
	struct range *granted;	    /* unordered */
	struct range *first, *last; /* waiting, in order of arrival */
	unsigned exclusive;	    /* of both kinds */
};

/* True: granted. False: it waits, and a later range_release() gives it out. */
bool range_acquire(struct ranges *ranges, struct range *range);
/*
 * Give back a granted range, or give up waiting for one. Returns those that are granted now, linked
 * by next_ready.
 */
struct range *range_release(struct ranges *ranges, struct range *range);

#endif
