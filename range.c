/* SPDX-License-Identifier: MIT */
/* range.c - see range.h. */
#include "range.h"

#include <stddef.h>

static bool conflict(const struct range *a, const struct range *b)
{
	return (a->exclusive || b->exclusive) && a->start_bytes < b->end_bytes &&
	       b->start_bytes < a->end_bytes;
}

/* With what is granted, or with what has waited longer (up to `until`). */
static bool must_wait(const struct ranges *ranges, const struct range *range,
		      const struct range *until)
{
	if (!ranges->exclusive)
		return false;
	for (const struct range *other = ranges->granted; other; other = other->next)
		if (conflict(range, other))
			return true;
	for (const struct range *other = ranges->first; other != until; other = other->next)
		if (conflict(range, other))
			return true;
	return false;
}

static void grant(struct ranges *ranges, struct range *range)
{
	range->granted = true;
	range->prev = NULL;
	range->next = ranges->granted;
	if (ranges->granted)
		ranges->granted->prev = range;
	ranges->granted = range;
}

bool range_acquire(struct ranges *ranges, struct range *range)
{
	ranges->exclusive += range->exclusive;
	if (!must_wait(ranges, range, NULL)) {
		grant(ranges, range);
		return true;
	}
	range->granted = false;
	range->next = NULL;
	range->prev = ranges->last;
	if (ranges->last)
		ranges->last->next = range;
	else
		ranges->first = range;
	ranges->last = range;
	return false;
}

static void stop_waiting(struct ranges *ranges, struct range *range)
{
	if (range->prev)
		range->prev->next = range->next;
	else
		ranges->first = range->next;
	if (range->next)
		range->next->prev = range->prev;
	else
		ranges->last = range->prev;
}

static void stop_holding(struct ranges *ranges, struct range *range)
{
	if (range->prev)
		range->prev->next = range->next;
	else
		ranges->granted = range->next;
	if (range->next)
		range->next->prev = range->prev;
	range->granted = false;
}

struct range *range_release(struct ranges *ranges, struct range *range)
{
	struct range *next, *ready = NULL, **end = &ready;

	if (range->granted)
		stop_holding(ranges, range);
	else
		stop_waiting(ranges, range);
	ranges->exclusive -= range->exclusive;

	for (struct range *waiting = ranges->first; waiting; waiting = next) {
		next = waiting->next;
		if (must_wait(ranges, waiting, waiting))
			continue;
		stop_waiting(ranges, waiting);
		grant(ranges, waiting);
		waiting->next_ready = NULL;
		*end = waiting;
		end = &waiting->next_ready;
	}
	return ready;
}
