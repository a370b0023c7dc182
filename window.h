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

#include "estimate.h"

#include <stdbool.h>
#include <stdint.h>

struct window {
	uint64_t limit_ns;     /* cost that may be in flight, but for probes */
	uint64_t open_ns;      /* that is admitted just now */
	uint64_t in_flight_ns; /* that is */
	unsigned in_flight;    /* slices that are */
	unsigned held;	       /* slices that are taken to be: window_hold() */
	uint64_t mean_cost_ns; /* of one slice, recent */

	/* the running interval */
	enum { WINDOW_STARTUP, WINDOW_PROBE, WINDOW_STEADY, WINDOW_TRIAL } phase;
	unsigned wanted;      /* this many slices end it */
	uint64_t settling_ns; /* it begins when one less than this has come back; 0: it has */
	uint64_t began_ns;
	uint64_t peak_ns; /* most that was in flight */
	struct estimate_latency seen;
	struct estimate_rate busy; /* while the window was full; kept until it is enough */

	/* the present moment: whatever comes back with the same time */
	uint64_t moment_ns;
	unsigned batch;		/* slices that did */
	bool counts;		/* the window had been full until then */
	bool full;		/* it is, or was after the last of them ... */
	uint64_t full_since_ns; /* ... and since when */

	struct estimate disk;
	bool longer; /* start-up: the last interval was beyond the knee */

	/* the limit and what it is made of */
	uint64_t knee_ns;
	bool by_place;	      /* the disk is one of servers: a slice takes one, whatever it costs */
	unsigned places;      /* so many of them; ... */
	unsigned wide_places; /* ... for a load that is deep */
	uint64_t wide_ns;     /* for a load that is deep */
	uint64_t aim_ns;      /* that, or less beside shallow clients */
	bool shallow, narrow; /* there are some; the interval is as narrow as it can be */
	bool small;	      /* when it was wide, it was hardly enough */
	uint64_t shallow_ns;  /* when one was noted */
	uint64_t widen_at_ns; /* when the next interval will be wide to see what that brings */
	uint64_t target_ns;   /* p99 latency; 0 = none */
	uint64_t cap_ns;      /* the limit that holds it */
	unsigned served, late; /* slices, of which missed it, since the cap was moved */

	/* probes of base */
	uint64_t probe_at_ns, probed_ns, probe_took_ns;
	uint64_t probed_knee_ns; /* what the last one found */

	/* trials: is a queue of twice the depth faster? Or half of it as fast? */
	unsigned boost; /* the limit is shifted left by this */
	bool easing;	/* half */
	unsigned pairs; /* of intervals compared so far */
	struct estimate_rate usual, other;
	uint64_t trial_at_ns, trial_every_ns;

	/* does the disk run dry between our wake-ups? */
	unsigned moments, dry; /* in the interval */
	unsigned least;	       /* slices: window_least_ns() */
	uint64_t least_at_ns;
};

void window_init(struct window *window);
/* What is known of the disk no longer holds: find it out again. What is in flight stays counted. */
void window_forget(struct window *window);

/* May a slice of this cost go? One may always go to an empty disk. */
bool window_admit(const struct window *window, uint64_t cost_ns);
/*
 * Cost that may be in flight in any case, because all that the disk had came back between one of
 * our wake-ups and the next. Fewer slices if several want the disk, so that weights hold.
 */
uint64_t window_least_ns(const struct window *window, bool shared);
void window_issued(struct window *window, uint64_t cost_ns, uint64_t now_ns);
void window_done(struct window *window, uint64_t cost_ns, uint64_t latency_ns, uint64_t now_ns);

/*
 * A queue that has received less than its share came back a moment after it had run empty: its
 * requests wait behind what others have at the disk. For a second from now on the window is as
 * narrow as it can be.
 */
void window_note_shallow(struct window *window, uint64_t now_ns);
/*
 * So many slices more are taken to be in flight, for clients like that which are between two
 * requests. Without it their slot is given away at the moment in which they would need it. At
 * most half of the window is kept so.
 */
void window_hold(struct window *window, unsigned slices);

/* Is it known to be wide enough? Not in start-up, probes and trials, or just after a change. */
static inline bool window_is_settled(const struct window *window)
{
	return window->phase == WINDOW_STEADY && !window->disk.drops && !window->disk.suspect &&
	       !window->disk.renew;
}

/* Narrow the window until 99 % of the slices are back within this time. 0 = no target. */
void window_set_latency_target(struct window *window, uint64_t p99_ns);

/*
 * How many slices of the present mix the disk serves at a time, x 16. 0 = not known: that takes
 * more of them than it can serve at a time. And the bare latency of one slice, 0 = not known.
 */
unsigned window_parallelism_x16(const struct window *window);
uint64_t window_base_ns(const struct window *window);

#endif
