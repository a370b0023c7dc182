/* SPDX-License-Identifier: MIT */
/*
 * overlap.c - sort by start, then one pass: a span overlaps something before it exactly if it
 * overlaps what reaches farthest among those.
 *
 *	a  |-------------------------|	reaches farthest until ...
 *	b     |----|			overlaps a
 *	c            |-----|		overlaps a, although not its neighbour b
 *	d                          |------|   ... d: overlaps a
 *
 * A reader is compared with the writer that reaches farthest, a writer with anybody.
 */
#include "overlap.h"

#include <stdint.h>
#include <stdlib.h>

static int compare_spans(const void *a, const void *b)
{
	const struct overlap_span *x = a, *y = b;
	int order = backing_id_compare(&x->extent.root, &y->extent.root);
	if (order)
		return order;
	if (x->extent.start_bytes != y->extent.start_bytes)
		return x->extent.start_bytes > y->extent.start_bytes ? 1 : -1;
	return (x->owner > y->owner) - (x->owner < y->owner);
}

static uint64_t end_of(const struct overlap_span *span)
{
	uint64_t end;
	if (__builtin_add_overflow(span->extent.start_bytes, span->extent.length_bytes, &end))
		return UINT64_MAX;
	return end;
}

void overlap_find(struct overlap_span *spans, size_t n,
		  void (*found)(size_t owner, size_t other, void *context), void *context)
{
	const struct overlap_span *any = NULL, *writer = NULL; /* farthest so far */
	if (n > 0)
		qsort(spans, n, sizeof(*spans), compare_spans);
	for (size_t i = 0; i < n; i++) {
		const struct overlap_span *span = &spans[i];
		if (i > 0 && backing_id_compare(&span->extent.root, &spans[i - 1].extent.root) != 0)
			any = writer = NULL;
		const struct overlap_span *before = span->readonly ? writer : any;
		if (before && span->extent.start_bytes < end_of(before))
			found(span->owner, before->owner, context);
		if (!any || end_of(span) > end_of(any))
			any = span;
		if (!span->readonly && (!writer || end_of(span) > end_of(writer)))
			writer = span;
	}
}
