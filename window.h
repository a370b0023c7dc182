/* SPDX-License-Identifier: MIT */
/*
 * window.h - how much may be in flight at a disk (io_throttle = auto).
 *
 * Part of the scheduler library and as pure: no clock, no allocation. Everything is counted in
 * priced disk time (cost_ns of struct fbs_slice), so that a large slice fills
 * more of the window than a small one. The method is at the head of window.c.
 */
#ifndef FUSEBAND_WINDOW_H
#define FUSEBAND_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define WINDOW_RATES 10	   /* intervals over which the best rate is remembered */
#define WINDOW_BUCKETS 256 /* of the latency histogram: 8 per factor of two */

struct window {
	uint64_t limit_ns;     /* cost that may be in flight */
	uint64_t in_flight_ns; /* cost that is */
	unsigned in_flight;    /* slices that are */

	/* the running interval */
	uint64_t began_ns;
	uint64_t done_ns; /* cost completed in it */
	unsigned done;	  /* slices completed in it */
	unsigned bound;	  /* of those, how many found the window full */
	bool full;	  /* something was refused since the last completion */
	uint16_t latencies[WINDOW_BUCKETS];

	/* what is known of the disk */
	uint64_t rates[WINDOW_RATES]; /* cost per time, << WINDOW_RATE_SHIFT; newest at next_rate -
					 1 */
	unsigned next_rate;
	uint64_t mean_cost_ns;	  /* of one slice, recent */
	uint64_t base_latency_ns; /* mean latency with little in flight; 0 = not known yet */
	uint64_t base_seen_ns;	  /* when */
	unsigned raised;	  /* start-up: intervals in a row that brought no more */
	unsigned draining;	  /* probe: slices that were issued before it */
	enum { WINDOW_STARTUP, WINDOW_STEADY, WINDOW_PROBE } phase;
};

void window_init(struct window *window);
/* What is known of the disk no longer holds: find it out again. What is in flight stays counted. */
void window_forget(struct window *window);
/* May a slice of this cost go? One may always go to an empty disk. Notes a refusal. */
bool window_admit(struct window *window, uint64_t cost_ns);
/*
 * Cost that may be in flight in any case, because on a fast disk the time between one of our
 * wake-ups and the next is long against a request: 1 ms of work for a single user, of which there
 * is nobody to be unfair to, half of that for several.
 */
uint64_t window_least_ns(const struct window *window, bool shared);
unsigned window_parallelism_x16(const struct window *window);
uint64_t window_base_ns(const struct window *window);
void window_set_latency_target(struct window *window, uint64_t p99_ns);
void window_issued(struct window *window, uint64_t cost_ns, uint64_t now_ns);
void window_done(struct window *window, uint64_t cost_ns, uint64_t latency_ns, uint64_t now_ns);

#endif
