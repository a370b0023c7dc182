/* SPDX-License-Identifier: MIT */
/* rate.c - see rate.h. */
#include "rate.h"

#include <stdatomic.h>
#include <stdlib.h>

#define BURST_LEAST_NS UINT64_C(10000000)
/* Back from idleness a promise is late by no more than a thread may be. */
#define WAKE_LATE_NS UINT64_C(10000000)
/* Service that was not due counts for so much of the promise to come, or for one request. */
#define EARLY_NS UINT64_C(10000000)
/* Of several that wait for one cap, none gets ahead of another by more than this much of it. */
#define AHEAD_NS UINT64_C(5000000)
/* One that does not come back for so long does not wait any more. */
#define FORGET_NS UINT64_C(20000000)
#define YIELD_NS UINT64_C(1000000)

static rate_clock clock_of(uint64_t ns)
{
	return (rate_clock)ns << RATE_SHIFT;
}

/* What one unit takes at so many per second, rounded up: a cap is never exceeded. 0 for 0. */
static rate_clock step_of(uint64_t per_second)
{
	return per_second ? (clock_of(1000000000) + per_second - 1) / per_second : 0;
}

static rate_clock span(uint64_t units, rate_clock step)
{
	rate_clock span = units * step;

	return span < clock_of(RATE_NEVER_NS) ? span : clock_of(RATE_NEVER_NS);
}

static rate_clock later(rate_clock a, rate_clock b)
{
	return a > b ? a : b;
}

static rate_clock sooner(rate_clock a, rate_clock b)
{
	return a < b ? a : b;
}

static uint64_t started(uint64_t bytes, uint64_t size_bytes)
{
	return bytes / size_bytes + (bytes % size_bytes != 0);
}

/* One for each started size_bytes of the request, counted where they start. */
static uint64_t ios_of(const struct rate_work *work, uint64_t size_bytes)
{
	if (!work->bytes) /* a discard: each piece is one */
		return 1;
	if (!work->from_bytes && work->to_bytes <= size_bytes) /* most are: no division */
		return 1;
	return started(work->to_bytes, size_bytes) - started(work->from_bytes, size_bytes);
}

static uint64_t iops_size_of(uint64_t bytes)
{
	return bytes ? bytes : FBS_IOPS_SIZE_DEFAULT;
}

/* ---- promises ---- */

void rate_promise_set(struct rate_promise *promise, const struct fbs_min *min, uint64_t now_ns)
{
	if (min->iops != promise->min.iops)
		promise->iops = clock_of(now_ns);
	if (min->bps != promise->min.bps)
		promise->bps = clock_of(now_ns);
	promise->iops_step = step_of(min->iops);
	promise->bps_step = step_of(min->bps);
	promise->min = *min;
	promise->min.iops_size_bytes = iops_size_of(min->iops_size_bytes);
}

static rate_clock not_before(rate_clock clock, uint64_t now_ns, uint64_t late_ns)
{
	return later(clock, clock_of(now_ns > late_ns ? now_ns - late_ns : 0));
}

void rate_promise_wake(struct rate_promise *promise, uint64_t now_ns)
{
	promise->iops = not_before(promise->iops, now_ns, WAKE_LATE_NS);
	promise->bps = not_before(promise->bps, now_ns, WAKE_LATE_NS);
}

static void serve(rate_clock *clock, uint64_t units, rate_clock step, uint64_t now_ns)
{
	rate_clock takes = span(units, step);
	rate_clock most = clock_of(now_ns) + later(takes, clock_of(EARLY_NS));

	*clock = sooner(not_before(*clock, now_ns, RATE_LATE_NS), most) + takes;
}

void rate_promise_served(struct rate_promise *promise, const struct rate_work *work,
			 uint64_t now_ns)
{
	uint64_t size_bytes = promise->min.iops_size_bytes;

	serve(&promise->iops, ios_of(work, size_bytes), promise->iops_step, now_ns);
	serve(&promise->bps, work->bytes ? work->bytes : size_bytes, promise->bps_step, now_ns);
}

uint64_t rate_promise_due_ns(const struct rate_promise *promise)
{
	rate_clock due;

	if (!promise->min.bps)
		due = promise->iops;
	else if (!promise->min.iops)
		due = promise->bps;
	else
		due = sooner(promise->iops, promise->bps);
	return (uint64_t)(due >> RATE_SHIFT);
}

/* ---- caps ---- */

enum { IOPS, BPS, READ_IOPS, READ_BPS, WRITE_IOPS, WRITE_BPS, BUCKETS };

struct fbs_cap {
	atomic_flag locked;
	atomic_uint refs;
	/* of each bucket; what one that limits nothing needs not lies apart */
	rate_clock step[BUCKETS]; /* for one I/O, one byte; 0: no limit */
	rate_clock clock[BUCKETS];
	rate_clock next_step[BUCKETS];
	bool changed; /* next_step is to be in force from the next time on that anybody asks */
	uint64_t iops_size_bytes;
	rate_clock burst;
	struct rate_sharer *sharers;
	rate_clock had; /* where one that was away joins: what the last one served had before */
};

static void lock(struct fbs_cap *cap)
{
	while (atomic_flag_test_and_set_explicit(&cap->locked, memory_order_acquire))
		;
}

static void unlock(struct fbs_cap *cap)
{
	atomic_flag_clear_explicit(&cap->locked, memory_order_release);
}

struct fbs_cap *fbs_cap_create(const struct fbs_max *max)
{
	struct fbs_cap *cap = calloc(1, sizeof(*cap));

	if (!cap)
		return NULL;
	atomic_init(&cap->refs, 1);
	atomic_flag_clear(&cap->locked);
	fbs_cap_configure(cap, max);
	return cap;
}

void fbs_cap_unref(struct fbs_cap *cap)
{
	if (cap && atomic_fetch_sub_explicit(&cap->refs, 1, memory_order_acq_rel) == 1)
		free(cap);
}

/* What is owed is owed in units: at ten times the rate it takes a tenth of the time. */
static rate_clock owed(rate_clock ahead, rate_clock old_step, rate_clock step)
{
	ahead = sooner(ahead, clock_of(RATE_NEVER_NS)) >> RATE_SHIFT;
	return sooner((ahead * step / old_step) << RATE_SHIFT, clock_of(RATE_NEVER_NS));
}

static void change(struct fbs_cap *cap, uint64_t now_ns)
{
	rate_clock now = clock_of(now_ns);

	for (unsigned i = 0; i < BUCKETS; i++) {
		rate_clock *clock = &cap->clock[i], next_step = cap->next_step[i];

		if (!cap->step[i] || !next_step)
			*clock = 0;
		else if (*clock > now && next_step != cap->step[i])
			*clock = now + owed(*clock - now, cap->step[i], next_step);
		cap->step[i] = next_step;
	}
	cap->changed = false;
}

void fbs_cap_configure(struct fbs_cap *cap, const struct fbs_max *max)
{
	const uint64_t rates[BUCKETS] = {
		[IOPS] = max->iops,
		[BPS] = max->bps,
		[READ_IOPS] = max->read_iops,
		[READ_BPS] = max->read_bps,
		[WRITE_IOPS] = max->write_iops,
		[WRITE_BPS] = max->write_bps,
	};

	lock(cap);
	for (unsigned i = 0; i < BUCKETS; i++)
		cap->next_step[i] = step_of(rates[i]);
	cap->changed = true;
	for (struct rate_sharer *sharer = cap->sharers; sharer; sharer = sharer->next)
		sharer->again_ns = 0;
	cap->iops_size_bytes = iops_size_of(max->iops_size_bytes);
	cap->burst = clock_of(max->burst_ns > BURST_LEAST_NS ? max->burst_ns : BURST_LEAST_NS);
	unlock(cap);
}

void rate_cap_attach(struct fbs_cap *cap, struct rate_sharer *sharer)
{
	atomic_fetch_add_explicit(&cap->refs, 1, memory_order_relaxed);
	lock(cap);
	*sharer = (struct rate_sharer){.had = cap->had, .next = cap->sharers};
	cap->sharers = sharer;
	unlock(cap);
}

void rate_cap_detach(struct fbs_cap *cap, struct rate_sharer *sharer)
{
	lock(cap);
	for (struct rate_sharer **at = &cap->sharers; *at; at = &(*at)->next) {
		if (*at == sharer) {
			*at = sharer->next;
			break;
		}
	}
	unlock(cap);
	fbs_cap_unref(cap);
}

/* What the work takes of a bucket's time. */
static rate_clock cost(const struct fbs_cap *cap, unsigned i, const struct rate_work *work)
{
	static const bool reads[BUCKETS] = {true, true, true, true, false, false};
	static const bool writes[BUCKETS] = {true, true, false, false, true, true};
	static const bool in_bytes[BUCKETS] = {false, true, false, true, false, true};
	rate_clock step = cap->step[i];

	if (!step || !(work->write ? writes : reads)[i])
		return 0;
	return span(in_bytes[i] ? work->bytes : ios_of(work, cap->iops_size_bytes), step);
}

/* The clock, with no more credit than burst. */
static rate_clock start(const struct fbs_cap *cap, unsigned i, uint64_t now_ns)
{
	rate_clock now = clock_of(now_ns);

	return later(cap->clock[i], now > cap->burst ? now - cap->burst : 0);
}

/* When one bucket lets the work go; 0: it does not mean it. */
static rate_clock ready_at(const struct fbs_cap *cap, unsigned i, const struct rate_work *work,
			   uint64_t now_ns)
{
	rate_clock needs = sooner(cost(cap, i, work), cap->burst / 2);

	return needs ? start(cap, i, now_ns) + needs : 0;
}

/* Those of the buckets that somebody else waits for who has had less by more than AHEAD_NS. */
static unsigned yields(const struct fbs_cap *cap, const struct rate_sharer *sharer,
		       unsigned buckets, uint64_t now_ns)
{
	unsigned yields = 0;

	for (const struct rate_sharer *other = cap->sharers; other; other = other->next)
		if (other != sharer && other->again_ns && now_ns < other->again_ns + FORGET_NS &&
		    other->had + clock_of(AHEAD_NS) < sharer->had)
			yields |= other->waits_for & buckets;
	return yields;
}

uint64_t rate_cap_ready_ns(struct fbs_cap *cap, struct rate_sharer *sharer,
			   const struct rate_work *work, uint64_t now_ns, bool *ret_all)
{
	rate_clock ready = 0;
	unsigned takes = 0, waits_for = 0; /* buckets */
	uint64_t ready_ns;
	bool all = false; /* and so it is for the other direction */

	lock(cap);
	if (cap->changed)
		change(cap, now_ns);
	for (unsigned i = 0; i < BUCKETS && !all; i++) {
		rate_clock at = ready_at(cap, i, work, now_ns);

		takes |= (unsigned)(at != 0) << i;
		if (at > ready) {
			ready = at;
			waits_for = 1U << i;
		}
		/* then the other direction may go, if not this one */
		all = i + 1 == READ_IOPS && ready > clock_of(now_ns);
	}
	ready_ns = (uint64_t)((ready + clock_of(1) - 1) >> RATE_SHIFT);
	if (now_ns > sharer->again_ns + FORGET_NS && now_ns > sharer->served_ns + FORGET_NS)
		sharer->had = later(sharer->had, cap->had);
	if (ready_ns <= now_ns) {
		/* not for all that it takes, or others would wait for it where nothing holds it */
		waits_for = yields(cap, sharer, takes, now_ns);
		ready_ns = waits_for ? now_ns + YIELD_NS : ready_ns;
		all = waits_for & (1U << IOPS | 1U << BPS);
	}
	if (ready_ns > now_ns) {
		sharer->again_ns = ready_ns;
		sharer->waits_for = waits_for;
	}
	unlock(cap);
	*ret_all = all;
	return ready_ns;
}

bool rate_cap_is_open(struct fbs_cap *cap, uint64_t now_ns)
{
	static const struct rate_work least[] = {{.bytes = 512, .to_bytes = 512},
						 {.write = true, .bytes = 512, .to_bytes = 512}};
	bool open = false;

	lock(cap);
	if (cap->changed)
		change(cap, now_ns);
	for (unsigned k = 0; k < 2 && !open; k++) {
		open = true;
		for (unsigned i = 0; i < BUCKETS; i++)
			open = open && ready_at(cap, i, &least[k], now_ns) <= clock_of(now_ns);
	}
	unlock(cap);
	return open;
}

void rate_cap_leave(struct fbs_cap *cap, struct rate_sharer *sharer)
{
	lock(cap);
	sharer->again_ns = 0;
	unlock(cap);
}

void rate_cap_served(struct fbs_cap *cap, struct rate_sharer *sharer, const struct rate_work *work,
		     uint64_t now_ns)
{
	rate_clock most = 0;

	lock(cap);
	if (cap->changed)
		change(cap, now_ns);
	for (unsigned i = 0; i < BUCKETS; i++) {
		rate_clock takes = cost(cap, i, work);

		if (takes)
			cap->clock[i] = start(cap, i, now_ns) + takes;
		most = later(most, takes);
	}
	cap->had = sharer->had;
	sharer->had += most;
	sharer->served_ns = now_ns;
	sharer->again_ns = 0;
	unlock(cap);
}
