/* SPDX-License-Identifier: MIT */
/* events.c - see events.h: a binary heap. */
#include "tests/sim/events.h"

#include <stdlib.h>

static bool earlier(const struct event *a, const struct event *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

bool events_add(struct events *events, struct event event)
{
	size_t pos;

	if (events->n == events->capacity) {
		size_t capacity = events->capacity ? 2 * events->capacity : 256;
		struct event *heap = reallocarray(events->heap, capacity, sizeof(*heap));

		if (!heap)
			return false;
		events->heap = heap;
		events->capacity = capacity;
	}
	event.order = events->order++;
	for (pos = events->n++; pos > 0 && earlier(&event, &events->heap[(pos - 1) / 2]);
	     pos = (pos - 1) / 2)
		events->heap[pos] = events->heap[(pos - 1) / 2];
	events->heap[pos] = event;
	return true;
}

bool events_take(struct events *events, uint64_t until_ns, struct event *ret_event)
{
	struct event last;
	size_t pos = 0;

	if (events->n == 0 || events->heap[0].at_ns > until_ns)
		return false;
	*ret_event = events->heap[0];
	last = events->heap[--events->n];
	for (;;) {
		size_t child = 2 * pos + 1;

		if (child + 1 < events->n &&
		    earlier(&events->heap[child + 1], &events->heap[child]))
			child++;
		if (child >= events->n || !earlier(&events->heap[child], &last))
			break;
		events->heap[pos] = events->heap[child];
		pos = child;
	}
	events->heap[pos] = last;
	return true;
}
