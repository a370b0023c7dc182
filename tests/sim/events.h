/* SPDX-License-Identifier: MIT */
/*
 * events.h - what is going to happen in the simulator: sim.c's queue of events, by time and, at the
 * same time, in the order in which they were added.
 */
#ifndef FUSEBAND_TESTS_SIM_EVENTS_H
#define FUSEBAND_TESTS_SIM_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim;

enum event_kind {
	EVENT_THOUGHT,
	EVENT_CLEARED,
	EVENT_SERVED,
	EVENT_WAKEUP,
	EVENT_CALL,
	EVENT_SAMPLE
};

struct event {
	uint64_t at_ns, order;
	enum event_kind kind;
	void *arg;
	void (*fn)(struct sim *sim, void *arg);
};

struct events {
	struct event *heap; /* to be freed in the end */
	size_t n, capacity;
	uint64_t order;
};

bool events_add(struct events *events, struct event event); /* false: no memory */
/* The next one up to and including then. */
bool events_take(struct events *events, uint64_t until_ns, struct event *ret_event);

#endif
