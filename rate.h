/* SPDX-License-Identifier: MIT */
/*
 * rate.h - what a node is promised and what it may not exceed, by the clock on the wall. Part of
 * the scheduler library.
 *
 * Both count on a clock of their own per rate, as "generic cell rate" algorithms do (ITU-T I.371):
 * serving n units of a rate r moves the clock on by n / r.
 *
 *   A cap's clock shows when its credit was nothing. now - clock is credit, at most `burst`;
 *   clock - now is debt. Something may go as soon as the credit reaches its cost or half of
 *   burst, whichever is less: so a request larger than all credit goes, too, and the debt it
 *   leaves is waited for afterwards; and a wake-up that comes late by less than half of burst
 *   costs nothing. In any time t at most t + burst + one request is served.
 *
 *   A promise's clock shows when the next unit is due. Being served too late leaves it behind, so
 *   that it catches up, but by RATE_LATE_NS at most. Being served before that, by its share or by
 *   a promise to somebody below it, puts it ahead, by 10 ms or one request, whichever is more, and
 *   the one that is served.
 *
 * A cap may belong to several nodes in the schedulers of several disks, each under a lock of its
 * own: it has one, too, held for a few instructions. Among these nodes the one that has had least
 * goes first, or the disk whose thread happens to wake first would have it all.
 */
#ifndef FUSEBAND_RATE_H
#define FUSEBAND_RATE_H

#include "sched.h"

#define RATE_LATE_NS UINT64_C(100000000)
#define RATE_NEVER_NS (UINT64_C(3600) * 1000000000) /* the longest debt: an hour */

/* Nanoseconds << RATE_SHIFT, in 128 bits: neither rounding nor wrapping is worth a thought. */
#define RATE_SHIFT 32
typedef unsigned __int128 rate_clock;

/* A slice as rates count it. */
struct rate_work {
	bool write;	/* or a discard, which has no bytes */
	uint64_t bytes; /* of data */
	/* of the request: before and after this slice */
	uint64_t from_bytes, to_bytes;
};

/* ---- promises ---- */

struct rate_promise {
	struct fbs_min min;
	rate_clock iops_step, bps_step; /* for one I/O, one byte; 0: not promised */
	rate_clock iops, bps;
};

void rate_promise_set(struct rate_promise *promise, const struct fbs_min *min, uint64_t now_ns);
static inline bool rate_promised(const struct rate_promise *promise)
{
	return promise->min.iops || promise->min.bps;
}
/* There is something to serve again: what was missed meanwhile is not owed. */
void rate_promise_wake(struct rate_promise *promise, uint64_t now_ns);
void rate_promise_served(struct rate_promise *promise, const struct rate_work *work,
			 uint64_t now_ns);
/* When the next is due; only if rate_promised(). */
uint64_t rate_promise_due_ns(const struct rate_promise *promise);

/* ---- caps ---- */

/* A node's place among those that share a cap. The cap's lock. */
struct rate_sharer {
	struct rate_sharer *next;
	rate_clock had;	    /* of the cap's time */
	uint64_t again_ns;  /* it was told to wait until then; 0: it does not wait */
	unsigned waits_for; /* the limits that held it, as bits */
	uint64_t served_ns;
};

void rate_cap_attach(struct fbs_cap *cap, struct rate_sharer *sharer); /* takes a reference */
void rate_cap_detach(struct fbs_cap *cap, struct rate_sharer *sharer); /* and gives it back */
/*
 * Any time up to now_ns: it may go. Later: ask again then; *ret_all tells whether that holds for
 * reads and writes alike.
 */
uint64_t rate_cap_ready_ns(struct fbs_cap *cap, struct rate_sharer *sharer,
			   const struct rate_work *work, uint64_t now_ns, bool *ret_all);
/* May anything go at all, if only the smallest read or write? */
bool rate_cap_is_open(struct fbs_cap *cap, uint64_t now_ns);
/* It has nothing to ask for any more. */
void rate_cap_leave(struct fbs_cap *cap, struct rate_sharer *sharer);
void rate_cap_served(struct fbs_cap *cap, struct rate_sharer *sharer, const struct rate_work *work,
		     uint64_t now_ns);

#endif
