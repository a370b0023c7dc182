/* SPDX-License-Identifier: MIT */
/*
 * estimate.c - bare latency and rate of a disk from what comes back, and how sure they are.
 *
 * Both are means. By Little's law rate x mean latency is what is in flight, whatever the spread of
 * single latencies; medians or minima have no such law, and on a disk whose service times vary a
 * window that is made from them spirals down.
 *
 * SIZES. A slice of 128 KiB occupies one of 8 channels for 2.1 ms, one of 4 KiB for 0.15 ms. With
 * less in flight the small ones are a larger part of what comes back, so the mean latency of a
 * probe is not that of the load, and a knee made of it starves the disk: the rate falls, and
 * the knee with it. So the bare latency is a line, first + slope x cost, by least squares;
 * what is in flight at the knee is the sum of what it says for the slices of the rate, whatever
 * the mix of the probe was. The slope is kept within what makes both parts positive. It also
 * tells kinds of disks apart: on one of servers latency goes with cost, and each slice takes one
 * of them; where all take equally long the large ones share a pipe, and it is cost that fills it.
 *
 * How sure a mean is follows from how much single values vary. Constant service times tell at once
 * that something has changed; of exponential ones 64 are needed to know their mean to one in eight.
 *
 * One odd measurement proves nothing: a base that differs is measured again before it counts, a
 * rate that falls must fall twice (a stall of the disk is over by then), a latency is cut off at
 * CEILING times base. A rate that rises counts at once: nothing but a faster disk, or more
 * in flight, can do that.
 */
#include "estimate.h"

#include <string.h>

#define BASE_SLICES 1024U    /* base is a mean of these, or half of them */
#define CEILING 16U	     /* x base: of exponential latencies 1 in 10^7 is longer */
#define CHANGE_LEAST_PCT 20U /* a smaller change of the rate is averaged, not followed */
#define CHANGE_MOST_PCT 80U
#define SLOPE_SHIFT 16U

#define TIME_MAX_NS (UINT64_C(1) << 42) /* over an hour: clamp before multiplying */
#define KNEE_MAX_NS (UINT64_C(1) << 56)

typedef unsigned __int128 u128;
typedef __int128 i128;

static uint64_t at_most(u128 value, uint64_t most)
{
	return value < most ? (uint64_t)value : most;
}

static uint64_t not_0(uint64_t value)
{
	return value ? value : 1;
}

void estimate_init(struct estimate *e)
{
	memset(e, 0, sizeof(*e));
	e->ceiling_ns = TIME_MAX_NS;
}

uint64_t estimate_root(u128 square)
{
	uint64_t root = 0;

	for (uint64_t bit = UINT64_C(1) << 62; bit; bit >>= 1)
		if ((u128)(root + bit) * (root + bit) <= square)
			root += bit;
	return root;
}

/* ---- latencies ---- */

uint64_t estimate_mean_ns(const struct estimate_latency *l)
{
	return l->sum_ns / not_0(l->slices);
}

static uint64_t mean_cost_ns(const struct estimate_latency *l)
{
	return l->cost_ns / not_0(l->slices);
}

/* Of the costs, x slices^2. */
static i128 spread(const struct estimate_latency *l)
{
	return (i128)(l->cost_square * l->slices) - (i128)l->cost_ns * l->cost_ns;
}

/* What latencies and costs vary by together, x slices^2. */
static i128 common(const struct estimate_latency *l)
{
	return (i128)(l->area * l->slices) - (i128)l->cost_ns * l->sum_ns;
}

/* By how much longer a slice takes for each unit that it costs more, << SLOPE_SHIFT. */
static u128 slope(const struct estimate_latency *base)
{
	i128 of = spread(base) >> SLOPE_SHIFT, by = common(base);
	u128 most = ((u128)base->sum_ns << SLOPE_SHIFT) / not_0(base->cost_ns);

	if (of <= 0 || by <= 0)
		return 0;
	return (u128)(by / of) < most ? (u128)(by / of) : most;
}

/* And one that would cost nothing. */
static u128 first_ns(const struct estimate_latency *base)
{
	return estimate_mean_ns(base) - (slope(base) * mean_cost_ns(base) >> SLOPE_SHIFT);
}

uint64_t estimate_bare_ns(const struct estimate *e, uint64_t cost_ns)
{
	return at_most(first_ns(&e->base) + (slope(&e->base) * cost_ns >> SLOPE_SHIFT),
		       TIME_MAX_NS);
}

static uint64_t bare_ns(const struct estimate *e, const struct estimate_latency *seen)
{
	return estimate_bare_ns(e, mean_cost_ns(seen));
}

/* Of single latencies. */
static u128 variance(const struct estimate_latency *l)
{
	u128 mean = estimate_mean_ns(l), square = l->square_sum / not_0(l->slices);

	return square > mean * mean ? square - mean * mean : 0;
}

/* What of it is not for the sizes. */
static u128 chance(const struct estimate_latency *l)
{
	u128 all = variance(l), slices = not_0(l->slices);
	i128 by = common(l);
	u128 sizes = by > 0 ? (slope(l) * ((u128)by / slices) / slices) >> SLOPE_SHIFT : 0;

	return all > sizes ? all - sizes : 0;
}

bool estimate_is_precise(const struct estimate_latency *l, unsigned one_in)
{
	u128 mean = estimate_mean_ns(l);

	return chance(l) / not_0(l->slices) * one_in * one_in < mean * mean;
}

bool estimate_is_longer(const struct estimate *e, const struct estimate_latency *seen)
{
	uint64_t mean = estimate_mean_ns(seen), bound = bare_ns(e, seen) * 4 / 3;
	u128 d = mean > bound ? mean - bound : 0;
	u128 error =
		chance(seen) / not_0(seen->slices) + 2 * chance(&e->base) / not_0(e->base.slices);

	return d * d > 4 * error;
}

static bool is_queueing(const struct estimate *e, const struct estimate_latency *seen)
{
	return estimate_mean_ns(seen) > bare_ns(e, seen) * 5 / 4;
}

/* With the variance of base for both: a few short latencies do not know that they are few. */
bool estimate_is_other(const struct estimate *e, const struct estimate_latency *seen)
{
	uint64_t a = estimate_mean_ns(seen), b = bare_ns(e, seen);
	u128 d = a > b ? a - b : b - a, v = chance(&e->base);

	return d > b / 16 && d * d > 9 * (v / not_0(seen->slices) + v / not_0(e->base.slices));
}

bool estimate_is_other_mix(const struct estimate *e, uint64_t cost_ns)
{
	uint64_t mean = mean_cost_ns(&e->base), slices = not_0(e->base.slices);
	u128 d = cost_ns > mean ? cost_ns - mean : mean - cost_ns;

	return (cost_ns * 2 > mean * 3 || cost_ns * 3 < mean * 2) &&
	       d * d * slices * slices > 4 * (u128)spread(&e->base);
}

void estimate_pool_base(struct estimate *e, const struct estimate_latency *seen)
{
	struct estimate_latency *base = &e->base;

	base->slices += seen->slices;
	base->cost_ns += seen->cost_ns;
	base->sum_ns += seen->sum_ns;
	base->square_sum += seen->square_sum;
	base->area += seen->area;
	base->cost_square += seen->cost_square;
	if (base->slices <= BASE_SLICES)
		return;
	base->slices /= 2;
	base->cost_ns /= 2;
	base->sum_ns /= 2;
	base->square_sum /= 2;
	base->area /= 2;
	base->cost_square /= 2;
}

static void set_base(struct estimate *e, const struct estimate_latency *base)
{
	e->base = *base;
	e->ceiling_ns = at_most((u128)CEILING * estimate_mean_ns(base), TIME_MAX_NS);
	e->stale = false;
	e->renew = true;
}

bool estimate_learn_base(struct estimate *e, const struct estimate_latency *seen, uint64_t cost_ns)
{
	if (!e->base.slices || e->stale) {
		set_base(e, seen);
	} else if (!estimate_is_other(e, seen) && !estimate_is_other_mix(e, cost_ns)) {
		estimate_pool_base(e, seen);
	} else if (!e->doubt) {
		e->doubt = true;
		e->first = *seen;
		return false;
	} else {
		set_base(e, seen);
		if (!estimate_is_other(e, &e->first))
			estimate_pool_base(e, &e->first);
	}
	e->doubt = false;
	return true;
}

/* ---- rates ---- */

void estimate_add_rate(struct estimate_rate *sum, const struct estimate_rate *add)
{
	sum->slices += add->slices;
	sum->cost_ns += add->cost_ns;
	sum->time_ns += add->time_ns;
	sum->cost_square += add->cost_square;
}

bool estimate_exceeds(const struct estimate_rate *a, const struct estimate_rate *b,
		      unsigned percent)
{
	return (u128)a->cost_ns * b->time_ns * 100 > (u128)b->cost_ns * a->time_ns * percent;
}

/* A stall counts as half the rate. */
static void pool_rate(struct estimate_rate *rate, const struct estimate_rate *busy, unsigned over)
{
	u128 usual_ns = (u128)busy->cost_ns * rate->time_ns / not_0(rate->cost_ns);
	struct estimate_rate add = *busy;

	add.time_ns = at_most(2 * usual_ns, busy->time_ns);
	estimate_add_rate(rate, &add);
	if (rate->slices <= over * busy->slices)
		return;
	rate->slices /= 2;
	rate->cost_ns /= 2;
	rate->time_ns /= 2;
	rate->cost_square /= 2;
}

enum estimate_verdict estimate_learn_rate(struct estimate *e, const struct estimate_rate *busy,
					  const struct estimate_latency *seen, unsigned over)
{
	/* 2.5 standard errors of a count that is as random as it can be; upwards 3, of the time */
	unsigned pct = (unsigned)(250 / not_0(estimate_root(busy->slices)));
	enum estimate_verdict verdict = ESTIMATE_KEPT;

	pct = pct < CHANGE_LEAST_PCT  ? CHANGE_LEAST_PCT
	      : pct > CHANGE_MOST_PCT ? CHANGE_MOST_PCT
				      : pct;
	if (e->renew) {
		e->rate = *busy;
		e->renew = false;
	} else if (estimate_exceeds(busy, &e->rate, 10000 / (100 - pct * 6 / 5))) {
		e->rate = *busy;
		/* waiting only ever adds to the bare latency */
		e->stale = estimate_mean_ns(seen) < bare_ns(e, seen);
		e->suspect |= e->stale;
	} else if (estimate_exceeds(busy, &e->rate, 100 - pct)) {
		if (over)
			pool_rate(&e->rate, busy, over);
	} else if (over || is_queueing(e, seen)) {
		if (!e->drops++)
			return ESTIMATE_UNSURE;
		e->rate = *busy;
		e->suspect |= is_queueing(e, seen);
		verdict = ESTIMATE_FELL;
	}
	e->drops = 0;
	return verdict;
}

/* ---- both ---- */

uint64_t estimate_knee_ns(const struct estimate *e, const struct estimate_rate *rate)
{
	u128 area = first_ns(&e->base) * rate->cost_ns +
		    (slope(&e->base) * (rate->cost_square >> SLOPE_SHIFT));

	return at_most(area / not_0(rate->time_ns), KNEE_MAX_NS);
}

uint64_t estimate_knee_x16(const struct estimate *e, const struct estimate_rate *rate)
{
	u128 sum_ns = first_ns(&e->base) * rate->slices +
		      (slope(&e->base) * rate->cost_ns >> SLOPE_SHIFT);

	return at_most((sum_ns * 16 + rate->time_ns / 2) / not_0(rate->time_ns), UINT32_MAX);
}

bool estimate_is_of_servers(const struct estimate *e)
{
	const struct estimate_latency *base = &e->base;

	return 2 * slope(base) * base->cost_ns >= (u128)base->sum_ns << SLOPE_SHIFT;
}

uint64_t estimate_error_of(const struct estimate *e, uint64_t knee)
{
	uint64_t error_ns = estimate_root(chance(&e->base) / not_0(e->base.slices));

	return at_most((u128)knee * error_ns / not_0(estimate_mean_ns(&e->base)), KNEE_MAX_NS);
}

/*
 * Without a queue it is the load that is seen, and the disk can do as much at least. To begin with
 * the queue must be beyond chance.
 */
void estimate_learn_parallelism(struct estimate *e, const struct estimate_latency *seen)
{
	unsigned x16 = (unsigned)estimate_knee_x16(e, &e->rate);

	if (x16 >= 64 || estimate_is_longer(e, seen) ||
	    (e->parallel_x16 && (x16 > e->parallel_x16 || is_queueing(e, seen))))
		e->parallel_x16 = x16;
}
