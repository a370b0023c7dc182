/* SPDX-License-Identifier: MIT */
/*
 * overlap.h - bytes that may be written through more than one file.
 */
#ifndef FUSEBAND_OVERLAP_H
#define FUSEBAND_OVERLAP_H

#include <stdbool.h>
#include <stddef.h>

#include "backing.h"

struct overlap_span {
	struct backing_extent extent;
	bool readonly;
	size_t owner; /* the caller's number for it */
};

/*
 * Sorts spans, and calls found for overlaps of which at least one side is a writer: at
 * least once for every span that begins inside another one, never for two that do not overlap.
 * O(n log n) with one call at most per span.
 */
void overlap_find(struct overlap_span *spans, size_t n,
		  void (*found)(size_t owner, size_t other, void *context), void *context);

#endif
