/* SPDX-License-Identifier: MIT */
/*
 * limits.h - what caps and promises mean, in exact numbers: a second opinion on rate.c.
 *
 * rate.c keeps clocks; this keeps amounts. Everything is in unit-nanoseconds (an I/O or a byte,
 * times 10^9), in which a rate per second times nanoseconds is a whole number, so that nothing is
 * ever rounded. 128 bits never overflow: 10^13 per second over 2^64 ns is below 2^108.
 *
 *   cap      credit grows by rate x time, up to rate x burst; serving takes from it and may leave
 *            a debt. Something may be served while the credit is as much as it costs or half of
 *            what can be saved up. So over any interval of length t, from the first service on,
 *            no more than rate x (t + burst) and the request that went last is served: that is
 *            what `debt`, the largest excess over all intervals that end now, is compared to.
 *   promise  what is owed grows by rate x time, up to what is missed in 100 ms (10 ms when a
 *            queue fills again); serving takes from it, and of more than was owed 10 ms or one
 *            request count.
 *
 * After a cap was changed the standings may be anything between two: `strict` is the most that a
 * scheduler may allow, which is a fresh start, `lax` the most that it may hold back, which is the
 * debt after the last service, as nobody tells a cap the time when it is changed. The new rates
 * count from when it is next asked (`pending`), and when that was only the caller knows: it may
 * have been changed several times by then.
 */
#ifndef FUSEBAND_TESTS_SIM_LIMITS_H
#define FUSEBAND_TESTS_SIM_LIMITS_H

#include "sched.h"

typedef __int128 limit_wide;

/* A slice as rates count it. */
struct limit_work {
	bool write;		       /* or a discard */
	uint64_t bytes;		       /* of data: 0 for a discard */
	uint64_t from_bytes, to_bytes; /* of its request */
};

/* ---- caps ---- */

enum { LIMIT_IOPS, LIMIT_BPS, LIMIT_READ_IOPS, LIMIT_READ_BPS, LIMIT_WRITE_IOPS, LIMIT_WRITE_BPS };
#define LIMITS 6

struct limit {
	uint64_t rate;		/* 0: none */
	limit_wide strict, lax; /* debt at at_ns; credit if negative */
	limit_wide left;	/* lax when it was last served, if that was a debt */
	uint64_t units;		/* served, for what rounding a scheduler may do */
	bool moved;		/* it has another rate, or had, since the cap was last served */
};

struct limit_cap {
	struct limit limits[LIMITS];
	uint64_t burst_ns, iops_size_bytes;
	uint64_t at_ns;
	uint64_t touched_ns; /* served or changed */
	bool pending;	     /* changed, and not served since */
};

void limit_cap_init(struct limit_cap *cap, const struct fbs_max *max);
void limit_cap_configure(struct limit_cap *cap, const struct fbs_max *max, uint64_t now_ns);
/* False: it was not allowed. */
bool limit_cap_serve(struct limit_cap *cap, const struct limit_work *work, uint64_t now_ns);
/*
 * From when on nothing holds the work back, rounding included: because of limits on both
 * directions, on its own, or any; of those, perhaps only what counts I/Os. It has been
 * asked at asked_ns, if not before.
 */
enum { LIMIT_TOTAL = 1, LIMIT_DIRECTION = 2, LIMIT_ANY = 3, LIMIT_ONLY_IOS = 4 };
limit_wide limit_cap_ready_ns(const struct limit_cap *cap, const struct limit_work *work,
			      unsigned which, uint64_t asked_ns);

/* ---- promises: their time is that of the disk, less what all have slipped by ---- */

struct limit_promise {
	struct fbs_min min;
	limit_wide owed[2]; /* I/Os, bytes; at at_ns */
	uint64_t at_ns;
	uint64_t units;
};

void limit_promise_set(struct limit_promise *promise, const struct fbs_min *min, uint64_t now_ns);
void limit_promise_wake(struct limit_promise *promise, uint64_t now_ns);
void limit_promise_serve(struct limit_promise *promise, const struct limit_work *work,
			 uint64_t now_ns);
static inline bool limit_promised(const struct limit_promise *promise)
{
	return promise->min.iops || promise->min.bps;
}
/* When something is owed, give or take limit_promise_rounding_ns(). Only if limit_promised(). */
limit_wide limit_promise_due_ns(const struct limit_promise *promise);
uint64_t limit_promise_rounding_ns(const struct limit_promise *promise);

#endif
