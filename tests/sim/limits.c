/* SPDX-License-Identifier: MIT */
/* limits.c - see limits.h. */
#include "tests/sim/limits.h"

#include <string.h>

#define SECOND 1000000000
#define MS 1000000
#define LEAST_BURST_NS UINT64_C(10000000)
#define BEHIND_NS (10 * MS) /* a service may be of a time before that of the last change */
#define EARLY_NS (10 * MS)
#define DEBT_MOST_S 3600 /* one slice never costs more than an hour */
/*
 * What rate.c drops: 2^-32 ns of each unit, and a nanosecond when a time or a rate is made of it.
 */
#define ROUNDING_SHIFT 32
#define ROUNDING_NS 3

static limit_wide least(limit_wide a, limit_wide b)
{
	return a < b ? a : b;
}

static limit_wide most(limit_wide a, limit_wide b)
{
	return a > b ? a : b;
}

static limit_wide divide_up(limit_wide a, uint64_t b)
{
	return a <= 0 ? a / (limit_wide)b : (a + (limit_wide)b - 1) / (limit_wide)b;
}

/* How many of 0, size, 2 size ... are below bytes. */
static uint64_t starts_below(uint64_t bytes, uint64_t size)
{
	return bytes ? (bytes - 1) / size + 1 : 0;
}

static uint64_t ios_of(const struct limit_work *work, uint64_t size)
{
	if (!work->bytes)
		return 1;
	return starts_below(work->to_bytes, size) - starts_below(work->from_bytes, size);
}

static uint64_t size_of(uint64_t bytes)
{
	return bytes ? bytes : FBS_IOPS_SIZE_DEFAULT;
}

/* ---- caps ---- */

static limit_wide saved(const struct limit_cap *cap, const struct limit *limit)
{
	return (limit_wide)limit->rate * cap->burst_ns;
}

static void set(struct limit_cap *cap, const struct fbs_max *max)
{
	const uint64_t rates[LIMITS] = {
		[LIMIT_IOPS] = max->iops,
		[LIMIT_BPS] = max->bps,
		[LIMIT_READ_IOPS] = max->read_iops,
		[LIMIT_READ_BPS] = max->read_bps,
		[LIMIT_WRITE_IOPS] = max->write_iops,
		[LIMIT_WRITE_BPS] = max->write_bps,
	};

	for (unsigned i = 0; i < LIMITS; i++)
		cap->limits[i].rate = rates[i];
	cap->burst_ns = max->burst_ns > LEAST_BURST_NS ? max->burst_ns : LEAST_BURST_NS;
	cap->iops_size_bytes = size_of(max->iops_size_bytes);
}

/* Full, or as full as since the beginning of time. */
void limit_cap_init(struct limit_cap *cap, const struct fbs_max *max)
{
	memset(cap, 0, sizeof(*cap));
	set(cap, max);
	for (unsigned i = 0; i < LIMITS; i++)
		cap->limits[i].strict = -saved(cap, &cap->limits[i]);
}

/* As if any amount could be saved: what time takes away when it goes back a little, it had given. */
static limit_wide endless_debt_at(const struct limit_cap *cap, const struct limit *limit,
				  limit_wide debt, uint64_t now_ns)
{
	return debt - (limit_wide)limit->rate * ((limit_wide)now_ns - cap->at_ns);
}

static limit_wide debt_at(const struct limit_cap *cap, const struct limit *limit, limit_wide debt,
			  uint64_t now_ns)
{
	return most(endless_debt_at(cap, limit, debt, now_ns), -saved(cap, limit));
}

void limit_cap_configure(struct limit_cap *cap, const struct fbs_max *max, uint64_t now_ns)
{
	struct limit_cap old = *cap;

	set(cap, max);
	for (unsigned i = 0; i < LIMITS; i++) {
		struct limit *limit = &cap->limits[i];
		uint64_t rate = old.limits[i].rate;

		limit->units = 0;
		/* a new rate that nobody has asked for has taken nothing off yet */
		limit->lax = limit->moved ? most(limit->lax, -saved(cap, limit))
					  : debt_at(cap, limit, limit->lax, now_ns);
		limit->moved = limit->moved || rate != limit->rate;
		if (rate == limit->rate && old.burst_ns == cap->burst_ns) { /* as if nothing was */
			limit->strict = endless_debt_at(cap, limit, limit->strict, now_ns);
			continue;
		}
		limit->strict = -saved(cap, limit) - (limit_wide)limit->rate * BEHIND_NS;
		if (!rate && !old.pending) { /* it begins without debt */
			limit->lax = -least((limit_wide)limit->rate * now_ns, saved(cap, limit));
			limit->left = 0;
		} else if (rate != limit->rate) { /* in I/Os and bytes it keeps what was left */
			limit->lax = limit->left;
		}
	}
	cap->at_ns = cap->touched_ns = now_ns;
	cap->pending = true;
}

static limit_wide cost(const struct limit_cap *cap, unsigned i, const struct limit_work *work,
		       uint64_t *ret_units)
{
	uint64_t rate = cap->limits[i].rate, units;

	*ret_units = 0;
	if (!rate || ((i == LIMIT_READ_IOPS || i == LIMIT_READ_BPS) && work->write) ||
	    ((i == LIMIT_WRITE_IOPS || i == LIMIT_WRITE_BPS) && !work->write))
		return 0;
	units = i % 2 == LIMIT_BPS ? work->bytes : ios_of(work, cap->iops_size_bytes);
	*ret_units = units;
	return least((limit_wide)units * SECOND, (limit_wide)rate * DEBT_MOST_S * SECOND);
}

bool limit_cap_serve(struct limit_cap *cap, const struct limit_work *work, uint64_t now_ns)
{
	bool allowed = true;

	for (unsigned i = 0; i < LIMITS; i++) {
		struct limit *limit = &cap->limits[i];
		uint64_t units;
		limit_wide takes = cost(cap, i, work, &units);

		limit->strict = endless_debt_at(cap, limit, limit->strict, now_ns);
		if (takes)
			limit->strict = most(limit->strict, -saved(cap, limit));
		if (!cap->pending)
			limit->lax = debt_at(cap, limit, limit->lax, now_ns);
		else if (takes) /* or it would not have gone, whenever the change came */
			limit->lax = least(limit->lax, -least(takes, saved(cap, limit) / 2));
		if (limit->lax == -saved(cap, limit))
			limit->units = 0;
		/* which implies the promise, that the debt is no more than `takes` afterwards */
		if (takes && limit->strict + least(takes, saved(cap, limit) / 2) > 0)
			allowed = false;
		limit->strict += takes;
		limit->lax += takes;
		limit->left = most(limit->lax, 0);
		limit->units += units;
		limit->moved = false;
	}
	cap->at_ns = cap->touched_ns = now_ns;
	cap->pending = false;
	return allowed;
}

limit_wide limit_cap_ready_ns(const struct limit_cap *cap, const struct limit_work *work,
			      unsigned which, uint64_t asked_ns)
{
	limit_wide ready = 0, at = cap->at_ns;

	if (cap->pending)
		at = most(at, asked_ns);

	for (unsigned i = 0; i < LIMITS; i++) {
		const struct limit *limit = &cap->limits[i];
		uint64_t units;
		limit_wide takes = cost(cap, i, work, &units), needs;

		if (!takes || !(which & (i < LIMIT_READ_IOPS ? LIMIT_TOTAL : LIMIT_DIRECTION)) ||
		    ((which & LIMIT_ONLY_IOS) && i % 2 == LIMIT_BPS))
			continue;
		needs = limit->lax + least(takes, saved(cap, limit) / 2);
		ready = most(ready,
			     at + divide_up(needs, limit->rate) + ROUNDING_NS +
				     (limit->units + units) / (UINT64_C(1) << ROUNDING_SHIFT));
	}
	return ready;
}

/* ---- promises ---- */

void limit_promise_set(struct limit_promise *promise, const struct fbs_min *min, uint64_t now_ns)
{
	limit_wide elapsed = (limit_wide)now_ns - promise->at_ns;

	promise->owed[0] += (limit_wide)promise->min.iops * elapsed;
	promise->owed[1] += (limit_wide)promise->min.bps * elapsed;
	if (min->iops != promise->min.iops)
		promise->owed[0] = 0;
	if (min->bps != promise->min.bps)
		promise->owed[1] = 0;
	promise->min = *min;
	promise->min.iops_size_bytes = size_of(min->iops_size_bytes);
	promise->at_ns = now_ns;
}

static void grow(struct limit_promise *promise, uint64_t now_ns, uint64_t most_ns)
{
	const uint64_t rates[2] = {promise->min.iops, promise->min.bps};

	for (unsigned i = 0; i < 2; i++) {
		promise->owed[i] += (limit_wide)rates[i] * ((limit_wide)now_ns - promise->at_ns);
		promise->owed[i] = least(promise->owed[i], (limit_wide)rates[i] * most_ns);
	}
	promise->at_ns = now_ns;
}

void limit_promise_wake(struct limit_promise *promise, uint64_t now_ns)
{
	grow(promise, now_ns, 10 * MS);
}

void limit_promise_serve(struct limit_promise *promise, const struct limit_work *work,
			 uint64_t now_ns)
{
	uint64_t size = size_of(promise->min.iops_size_bytes);
	uint64_t units[2] = {ios_of(work, size), work->bytes ? work->bytes : size};

	grow(promise, now_ns, 100 * MS);
	for (unsigned i = 0; i < 2; i++) {
		limit_wide takes = least((limit_wide)units[i] * SECOND,
					 (limit_wide)(i ? promise->min.bps : promise->min.iops) *
						 DEBT_MOST_S * SECOND);

		limit_wide early =
			(limit_wide)(i ? promise->min.bps : promise->min.iops) * EARLY_NS;

		promise->owed[i] = most(promise->owed[i], -most(takes, early)) - takes;
		promise->units += units[i];
	}
}

limit_wide limit_promise_due_ns(const struct limit_promise *promise)
{
	limit_wide due[2];

	due[0] = promise->min.iops
			 ? promise->at_ns - promise->owed[0] / (limit_wide)promise->min.iops
			 : 0;
	due[1] = promise->min.bps ? promise->at_ns - promise->owed[1] / (limit_wide)promise->min.bps
				  : 0;
	if (!promise->min.bps)
		return due[0];
	if (!promise->min.iops)
		return due[1];
	return least(due[0], due[1]);
}

uint64_t limit_promise_rounding_ns(const struct limit_promise *promise)
{
	return ROUNDING_NS + (promise->units >> ROUNDING_SHIFT);
}
