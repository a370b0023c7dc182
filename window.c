/* SPDX-License-Identifier: MIT */
/*
 * window.c - finds how much must be in flight to keep a disk busy, and no more.
 *
 * More in flight than the disk can work on at once only moves the queue from our side, where
 * weights decide, to the disk's, where they don't. Less leaves the disk idle. The knee between
 * the two is rate x bare latency, and both can be seen from completions, though never at once
 * (N. Cardwell et al., "BBR: Congestion-Based Congestion Control", ACM Queue 14(5), 2016):
 *
 *   rate   what comes back per time while the window is full. A window beyond the knee
 *          does not change it, one below it makes it rate x base = what is in flight (Little).
 *   base   the mean latency with half of the knee in flight, in a probe now and then that costs
 *          a hundredth of the throughput. Less in flight does not change it.
 *   limit  knee + sqrt(knee): the root keeps c servers busy that become free at uneven intervals
 *          (S. Halfin, W. Whitt, "Heavy-traffic limits for queues with many exponential
 *          servers", Operations Research 29(3), 1981). As long as the window is too small
 *          that is more than what is in flight, and it grows.
 *
 * PLACES. Large and small slices differ 15 times in cost. Where they differ as much in how long
 * they take (estimate.c), each has one of several servers for itself, and the window counts
 * slices: counted in cost, a server that is kept for small slices has room for hardly any part of a
 * large one, and whether all servers have work depends on how many large ones just happen to
 * be there. Where they do not, a large slice fills more of a common pipe, and the window counts
 * cost. So it does before the disk is known, in probes and in trials.
 *
 * Example: 4 servers of 1 ms, slices priced 50 us. One in flight: base 1 ms. Four: the same.
 * Sixteen: 4 ms each, so that is beyond the knee, and the rate is 4 slices or 200 us of cost per
 * millisecond. Knee 200 us x 1 ms / 1 ms = 4 slices, limit 4 + 2 = 6. A probe with 2 in flight
 * still sees 1 ms. If the disk becomes four times slower, the rate falls to 1 per
 * millisecond in two intervals; before that is believed a probe looks at base, finds 4 ms, and the
 * knee is 4 again: the limit has not moved.
 *
 *   STARTUP  one slice, then four times as many until latency is longer than base, twice
 *   PROBE    what is in flight drains, then base is measured; differs it from what is known, twice
 *   STEADY   the formula, interval by interval; leads to
 *   TRIAL    twice the limit, or half of it, against the usual in turn. A disk that orders
 *            its queue, or whose places belong to channels, does more the deeper the queue is:
 *            if twice the depth brings a fifth more in TRIAL_PAIRS pairs of intervals, the
 *            limit is doubled, and halved again if half of it comes to within a tenth.
 *
 * SHALLOW CLIENTS. What one request at a time gets is its own latency and what it waits for: a slot
 * of the window, and the slices before it at the disk. With the root of 8 beyond the knee of 8 it
 * has 3/4 of its speed alone, and where service times are equal and all slots are refilled in the
 * same moment half of it. So while such clients are noted the limit is the knee and what is
 * uncertain of it, and a slot is held for each of their requests that is on its way, of half of
 * the window at most. One interval in WIDE_SPACING is wide, as a window at the knee cannot tell
 * the rate.
 *
 * LEAST. The model knows nothing of the time between our own wake-ups. Where all that the disk had
 * came back in one of them, the disk stood still until the next: then more must be in flight, and
 * for as long as that is seen the window is not closed below `least`.
 *
 * INTERVALS are counted in slices, as many as make a mean, and last several latencies. They end,
 * and the limit moves, only when something comes back: a disk that stalls gets no more, and the
 * interval with the stall in it has a low rate, which counts if it happens twice. What
 * comes back with the same time is one moment: the gap before it is what all of it took.
 *
 * Invariants: limit_ns and open_ns are at least one slice; without a boost the limit grows beyond
 * knee and root only in STARTUP, and then only if the window was full.
 *
 * Not handled: a target for the latency is taken literally, down to one slice, also where the disk
 * itself is slower than that; and there are no trials beside one. At a fixed io_throttle nothing is
 * probed, so base is only known of a load that leaves the disk alone at times. Where latencies
 * vary, the knee is as sure as the mean of some hundred of them, about one in fifteen.
 */
#include "window.h"

#include <string.h>

/* An interval ends after so many slices and so many times what is in flight ... */
#define STARTUP_SLICES 16U /* a factor of two is to be seen */
#define STEADY_SLICES 32U
#define STEADY_ROUNDS 8U /* long against a latency: a burst more or less does not matter */
#define TRIAL_SLICES 64U
#define PROBE_SLICES 64U
#define PROBE_ROUNDS 4U
/* ... and this time, as our wake-ups come in bursts; ... */
#define INTERVAL_NS UINT64_C(2000000)
/* ... measuring a bare latency after a multiple of these few if it is steady or takes long; ... */
#define PROBE_SLICES_FEW 16U
#define PROBE_NS UINT64_C(20000000)	  /* not before this, unless it is steady ... */
#define PROBE_LONG_NS UINT64_C(150000000) /* ... or, of a disk that is not known yet, this */
/* ... and on a very slow disk after these few. */
#define CRAWL_SLICES 4U
#define CRAWL_NS UINT64_C(500000000)

#define RATE_INTERVALS 24U	/* over which the rate is averaged, or half of them */
#define RATE_INTERVALS_FEW 16U	/* when most are too narrow to tell */
#define RATE_INTERVALS_SMALL 2U /* when the window was too small: it is to grow */

/* A probe may cost a hundredth: half of the throughput for its time. */
#define PROBE_SPACING 75U
#define PROBE_FIRST_NS UINT64_C(250000000)
#define PROBE_EVERY_NS UINT64_C(5000000000) /* once the standard error of base is 4 % */
#define PROBE_HASTE 2U			    /* x what it took, when the disk has changed */

#define TRIAL_PAIRS 8U /* 512 slices each: a fifth is then more than 3 standard errors */
#define TRIAL_FIRST_NS UINT64_C(500000000)
#define TRIAL_EVERY_MOST_NS UINT64_C(64000000000) /* each that fails doubles the time */
#define BOOST_MOST 4U				  /* 32 on a spindle, as SATA can have */

#define SHALLOW_NS UINT64_C(1000000000)
#define NARROW_INTERVALS 8U /* before that the rate is not known well enough */
#define WIDE_SPACING 64U    /* so that one interval in so many is wide: beyond a p99 */

#define LATE_ONE_IN 112U /* a little less than 1 % */
#define LATE_MOST 4U	 /* act at once on so many */

/* See window_least_ns(). No more than these, so that weights hold on a disk as fast as RAM. */
#define LEAST_SHARED_SLICES 16U
#define LEAST_ALONE_SLICES 64U
#define LEAST_KEPT_NS UINT64_C(1000000000)

#define TIME_MAX_NS (UINT64_C(1) << 42) /* over an hour */
#define LIMIT_MAX_NS (UINT64_C(1) << 56)

static uint64_t at_most(unsigned __int128 value, uint64_t most)
{
	return value < most ? (uint64_t)value : most;
}

static uint64_t at_least(uint64_t value, uint64_t least)
{
	return value > least ? value : least;
}

/* Was the window what limited the interval, or has it been for as long as an interval takes? */
static bool was_full(const struct window *w)
{
	return w->busy.slices * 2 >= at_most(w->seen.slices, w->wanted);
}

/* What slices like those of the interval take that do not wait for others. */
static uint64_t bare_ns(const struct window *w)
{
	return estimate_bare_ns(&w->disk, w->seen.cost_ns / w->seen.slices);
}

/* ---- the limit ---- */

/* For a slice of this cost, beside what is kept: half of all at most. */
static bool has_room(const struct window *w, uint64_t cost_ns)
{
	uint64_t taken_ns;

	if (w->by_place && w->phase == WINDOW_STEADY) {
		unsigned places = w->narrow ? w->places : w->wide_places;

		return w->in_flight + at_most(w->held, places / 2) < places;
	}
	/* one that is larger than the mean need not wait for an empty disk */
	taken_ns = w->in_flight_ns + at_most(cost_ns, w->mean_cost_ns);
	if (w->held)
		taken_ns += at_most((unsigned __int128)w->held * w->mean_cost_ns, w->open_ns / 2);
	return taken_ns <= w->open_ns;
}

static bool is_full(const struct window *w)
{
	return w->in_flight && !has_room(w, w->mean_cost_ns);
}

/* From here on so much is admitted. */
static void open_to(struct window *w, uint64_t open_ns, uint64_t now_ns)
{
	w->open_ns = at_least(open_ns, w->mean_cost_ns);
	w->full = is_full(w);
	w->full_since_ns = now_ns;
}

static void set_limit(struct window *w, uint64_t limit_ns)
{
	w->limit_ns = at_least(at_most(limit_ns, LIMIT_MAX_NS), w->mean_cost_ns);
	w->wide_ns = w->limit_ns;
	w->aim_ns = w->limit_ns;
	w->by_place = false; /* until the formula says how many */
}

/* limit_ns and open_ns from what they depend on. */
static void open_up(struct window *w, uint64_t now_ns)
{
	w->limit_ns = at_least(at_most(w->aim_ns, w->cap_ns), w->mean_cost_ns);
	open_to(w, w->narrow ? w->limit_ns : at_most(w->wide_ns, w->cap_ns), now_ns);
}

/* What the formula says. */
static void follow(struct window *w)
{
	uint64_t mean = w->mean_cost_ns, root, x16;

	w->knee_ns = estimate_knee_ns(&w->disk, &w->disk.rate);
	root = estimate_root((unsigned __int128)w->knee_ns * mean);
	w->wide_ns = (w->knee_ns + at_least(root, mean + mean / 4)) << w->boost;
	w->aim_ns = w->wide_ns;
	w->by_place = !w->target_ns && estimate_is_of_servers(&w->disk);
	x16 = estimate_knee_x16(&w->disk, &w->disk.rate);
	w->places = (unsigned)((x16 + estimate_error_of(&w->disk, x16) * 2 + 12) / 16);
	root = at_least(estimate_root(x16 * 16), 20);
	w->wide_places = (unsigned)(((x16 + root) << w->boost) / 16);
	if (w->shallow && w->disk.rate.slices >= NARROW_INTERVALS * w->wanted)
		w->aim_ns = at_most(w->knee_ns + estimate_error_of(&w->disk, w->knee_ns) * 2 +
					    mean * 3 / 4,
				    w->wide_ns);
}

/*
 * The latency target: one slice in LATE_ONE_IN may miss it. Each that does lowers the cap by a
 * step, each that does not raises it by that part of a step.
 */
static void hold_target(struct window *w, uint64_t now_ns)
{
	uint64_t cap_ns = at_most(w->cap_ns, w->open_ns);
	uint64_t step_ns = (cap_ns + 4 * w->mean_cost_ns) / 64;

	if (w->late)
		w->cap_ns = cap_ns - at_most((unsigned __int128)step_ns * w->late, cap_ns / 2);
	if (w->full && w->cap_ns <= w->wide_ns)
		w->cap_ns += step_ns * w->served / LATE_ONE_IN;
	w->cap_ns = at_least(w->cap_ns, w->mean_cost_ns);
	w->late = 0;
	w->served = 0;
	open_up(w, now_ns);
}

/* ---- phases ---- */

static void begin_interval(struct window *w, uint64_t now_ns)
{
	unsigned few = STEADY_SLICES, rounds = STEADY_ROUNDS;

	if (w->phase == WINDOW_STARTUP) {
		few = w->disk.base.slices && w->full ? STARTUP_SLICES : PROBE_SLICES;
		rounds = 1;
	} else if (w->phase == WINDOW_PROBE) {
		few = PROBE_SLICES;
		rounds = PROBE_ROUNDS;
	} else if (w->phase == WINDOW_TRIAL || w->pairs) {
		few = TRIAL_SLICES;
	}
	w->wanted = w->in_flight * rounds > few ? w->in_flight * rounds : few;
	if (w->settling_ns)
		memset(&w->busy, 0, sizeof(w->busy));
	w->settling_ns = 0;
	w->began_ns = now_ns;
	w->peak_ns = w->in_flight_ns;
	memset(&w->seen, 0, sizeof(w->seen));
}

/* The interval begins when what is in flight has gone, and as much as will be then. */
static void enter(struct window *w, int phase, uint64_t open_ns, uint64_t now_ns)
{
	w->phase = phase;
	open_to(w, open_ns, now_ns);
	memset(&w->busy, 0, sizeof(w->busy));
	/* in cost: of small slices as many are back long before the large ones are */
	w->settling_ns = 1 + w->in_flight_ns +
			 at_most(w->open_ns / w->mean_cost_ns * w->mean_cost_ns, w->in_flight_ns);
}

/* As wide as it should be; narrow for most of the time if there are shallow clients. */
static void next_steady(struct window *w, uint64_t now_ns)
{
	if (!w->narrow)
		w->widen_at_ns = now_ns + WIDE_SPACING * (now_ns - w->began_ns);
	w->narrow = w->aim_ns < w->wide_ns && !w->small && now_ns < w->widen_at_ns;
	open_up(w, now_ns);
}

static void resume(struct window *w, uint64_t now_ns)
{
	enter(w, WINDOW_STEADY, w->limit_ns, now_ns);
	next_steady(w, now_ns);
}

static void begin_probe(struct window *w, uint64_t now_ns)
{
	enter(w, WINDOW_PROBE, (w->knee_ns >> w->boost) / 2 + w->mean_cost_ns / 2, now_ns);
	w->probed_ns = now_ns;
}

static void plan_probe(struct window *w, uint64_t now_ns)
{
	uint64_t wait_ns = estimate_is_precise(&w->disk.base, 25) ? PROBE_EVERY_NS : PROBE_FIRST_NS;

	w->probe_at_ns = now_ns + at_least(wait_ns, PROBE_SPACING * w->probe_took_ns);
}

static void probe_within(struct window *w, uint64_t wait_ns, uint64_t now_ns)
{
	if (w->probe_at_ns > now_ns + wait_ns)
		w->probe_at_ns = now_ns + wait_ns;
}

static void end_trial(struct window *w, uint64_t now_ns)
{
	memset(&w->usual, 0, sizeof(w->usual));
	memset(&w->other, 0, sizeof(w->other));
	w->pairs = 0;
	w->easing = w->boost == BOOST_MOST || (w->boost && !w->easing);
	w->trial_at_ns = now_ns + w->trial_every_ns;
}

static void startup(struct window *w, uint64_t now_ns)
{
	uint64_t base = bare_ns(w);
	uint64_t seen = estimate_mean_ns(&w->seen);
	bool full = was_full(w), longer = base && estimate_is_longer(&w->disk, &w->seen);

	if (full && longer && (w->longer || seen > base * 4)) {
		w->disk.rate = w->busy;
		estimate_learn_parallelism(&w->disk, &w->seen);
		follow(w);
		w->disk.stale = w->knee_ns / 2 > w->mean_cost_ns;
		w->trial_every_ns = TRIAL_FIRST_NS;
		end_trial(w, now_ns);
		window_set_latency_target(w, w->target_ns); /* it starts from here */
		open_up(w, now_ns);
		begin_probe(w, now_ns);
		return;
	}
	if (!base || w->peak_ns <= w->mean_cost_ns)
		estimate_learn_base(&w->disk, &w->seen, w->mean_cost_ns);
	else if (full && seen <= base * 4 / 3 && !estimate_is_other(&w->disk, &w->seen))
		estimate_pool_base(&w->disk, &w->seen);
	w->longer = longer;
	if (!full && !longer)
		return;
	if (!longer)
		set_limit(w, w->limit_ns * 4);
	else if (w->peak_ns < w->limit_ns)
		set_limit(w, w->peak_ns);
	else if (!full) /* it is filled only now and then */
		set_limit(w,
			  at_most(w->seen.area / at_least(now_ns - w->began_ns, 1), w->limit_ns));
	enter(w, WINDOW_STARTUP, w->limit_ns, now_ns);
}

static void probe(struct window *w, uint64_t now_ns)
{
	struct estimate *disk = &w->disk;
	/* another base, or possibly still not the least: the next probe is at a lower level */
	bool moved = disk->doubt || estimate_mean_ns(&w->seen) < bare_ns(w) * 3 / 4;

	if (!estimate_learn_base(disk, &w->seen, w->mean_cost_ns))
		return;
	w->probe_took_ns = now_ns - w->probed_ns;
	w->probed_ns = now_ns;
	w->probed_knee_ns = estimate_knee_ns(disk, &disk->rate);
	disk->suspect = false;
	plan_probe(w, now_ns);
	if (moved || disk->renew)
		probe_within(w, PROBE_HASTE * w->probe_took_ns, now_ns);
	if (!disk->renew) {
		if (!w->boost)
			estimate_learn_parallelism(disk, &w->seen);
		follow(w);
	}
	resume(w, now_ns);
}

/*
 * The load did not fill the window, so nothing is learned of the rate. But if it finds a queue
 * at the disk all the same, what is known is old, and the window is too large to notice: close it
 * to what the load has, and it will be full.
 */
static void unfilled(struct window *w, uint64_t now_ns)
{
	struct estimate_rate all = {.cost_ns = w->seen.cost_ns, .time_ns = now_ns - w->began_ns};

	if (estimate_mean_ns(&w->seen) > bare_ns(w) * 3 / 2 &&
	    !estimate_exceeds(&all, &w->disk.rate, 67) && w->peak_ns < w->limit_ns) {
		set_limit(w, w->peak_ns);
		open_to(w, w->limit_ns, now_ns);
	}
}

static void steady(struct window *w, uint64_t now_ns)
{
	struct estimate *disk = &w->disk;
	struct estimate_rate busy = w->busy;
	bool wide = w->open_ns >= w->wide_ns;
	unsigned over = w->small		 ? RATE_INTERVALS_SMALL
			: w->aim_ns < w->wide_ns ? RATE_INTERVALS_FEW
						 : RATE_INTERVALS;
	enum estimate_verdict verdict;

	if (w->peak_ns <= w->mean_cost_ns || w->peak_ns <= w->knee_ns / 2) {
		estimate_learn_base(disk, &w->seen, w->mean_cost_ns); /* as good as a probe */
		plan_probe(w, now_ns);
	}
	if (!was_full(w)) {
		unfilled(w, now_ns);
		return;
	}
	memset(&w->busy, 0, sizeof(w->busy));
	verdict = estimate_learn_rate(disk, &busy, &w->seen, wide ? over : 0);
	if (verdict == ESTIMATE_FELL) {
		w->boost = 0;
		end_trial(w, now_ns); /* whether half of it does is no question any more */
	}
	if (verdict == ESTIMATE_UNSURE) {
		end_trial(w, now_ns);
		return;
	}
	disk->suspect |= estimate_is_other_mix(disk, w->mean_cost_ns);
	if (disk->suspect) {
		if (disk->stale || now_ns - w->probed_ns >= PROBE_HASTE * w->probe_took_ns)
			begin_probe(w, now_ns);
		return;
	}
	if (wide) {
		if (!w->boost)
			estimate_learn_parallelism(disk, &w->seen);
		/* is what is in flight as much as the disk works on, or nearly? */
		w->small = estimate_knee_ns(disk, &busy) > (3 * w->knee_ns + w->open_ns) / 4;
	}
	follow(w);
	if (w->knee_ns < w->probed_knee_ns - w->probed_knee_ns / 4)
		probe_within(w, 4 * PROBE_HASTE * w->probe_took_ns, now_ns);
	if (now_ns >= w->probe_at_ns) {
		begin_probe(w, now_ns);
	} else if (!w->shallow && !w->target_ns && now_ns >= w->trial_at_ns) {
		estimate_add_rate(&w->usual, &busy);
		enter(w, WINDOW_TRIAL, w->easing ? w->wide_ns / 2 : w->wide_ns * 2, now_ns);
	} else {
		next_steady(w, now_ns);
	}
}

static void trial(struct window *w, uint64_t now_ns)
{
	const struct estimate_rate *more = w->easing ? &w->usual : &w->other;
	const struct estimate_rate *less = w->easing ? &w->other : &w->usual;
	bool much, little, yes, no;

	estimate_add_rate(&w->other, &w->busy);
	w->pairs++;
	much = estimate_exceeds(more, less, 120);
	little = !estimate_exceeds(more, less, 110);
	yes = w->easing ? little : much;
	no = w->easing ? much : little;
	if (yes && w->pairs == TRIAL_PAIRS && was_full(w)) {
		w->boost = w->easing ? w->boost - 1 : w->boost + 1;
		w->disk.rate = w->other;
		w->trial_every_ns = TRIAL_FIRST_NS;
		end_trial(w, now_ns);
		follow(w);
	} else if (no || w->pairs == TRIAL_PAIRS || !was_full(w)) {
		if (w->trial_every_ns < TRIAL_EVERY_MOST_NS)
			w->trial_every_ns *= 2;
		end_trial(w, now_ns);
	}
	resume(w, now_ns);
}

static void learn_least(struct window *w, uint64_t now_ns)
{
	if (w->phase == WINDOW_STEADY && w->dry && w->dry * 4 >= w->moments) {
		w->least = w->least ? w->least * 2 : 4;
		if (w->least > LEAST_ALONE_SLICES)
			w->least = LEAST_ALONE_SLICES;
		w->least_at_ns = now_ns;
	} else if (now_ns - w->least_at_ns > LEAST_KEPT_NS) {
		w->least /= 2;
		w->least_at_ns = now_ns;
	}
	w->dry = 0;
	w->moments = 0;
}

static void end_interval(struct window *w, uint64_t now_ns)
{
	w->mean_cost_ns = (3 * w->mean_cost_ns + w->seen.cost_ns / w->seen.slices) / 4;
	w->mean_cost_ns = at_least(w->mean_cost_ns, 1);
	w->shallow = w->shallow && now_ns - w->shallow_ns <= SHALLOW_NS;
	learn_least(w, now_ns);
	switch (w->phase) {
	case WINDOW_STARTUP:
		startup(w, now_ns);
		break;
	case WINDOW_PROBE:
		probe(w, now_ns);
		break;
	case WINDOW_STEADY:
		steady(w, now_ns);
		break;
	case WINDOW_TRIAL:
		trial(w, now_ns);
		break;
	}
	if (!w->settling_ns)
		begin_interval(w, now_ns);
}

static bool interval_is_over(const struct window *w, uint64_t now_ns)
{
	uint64_t elapsed = now_ns - w->began_ns;

	if (elapsed < INTERVAL_NS || w->seen.slices < CRAWL_SLICES)
		return false;
	if (w->seen.slices >= w->wanted)
		return w->phase != WINDOW_PROBE ||
		       elapsed >= (w->disk.stale ? PROBE_LONG_NS : PROBE_NS) ||
		       estimate_is_precise(&w->seen, 25);
	if (w->phase <= WINDOW_PROBE && was_full(w) && w->seen.slices % PROBE_SLICES_FEW == 0)
		return elapsed >= PROBE_LONG_NS || estimate_is_precise(&w->seen, 64);
	return elapsed >= CRAWL_NS;
}

/* The first slice of this moment: all of the last one have been counted. */
static void begin_moment(struct window *w, uint64_t now_ns)
{
	if (w->settling_ns == 1)
		begin_interval(w, w->moment_ns);
	else if (!w->settling_ns && interval_is_over(w, w->moment_ns))
		end_interval(w, w->moment_ns);
	if (w->target_ns && w->phase == WINDOW_STEADY &&
	    (w->late >= LATE_MOST || w->served >= LATE_ONE_IN))
		hold_target(w, w->moment_ns);
	w->counts = w->full;
	if (w->full)
		w->busy.time_ns += at_most(now_ns - w->full_since_ns, TIME_MAX_NS);
	w->moment_ns = now_ns;
	w->moments++;
	w->batch = 0;
}

/* ---- what others call ---- */

void window_init(struct window *w)
{
	memset(w, 0, sizeof(*w));
	w->limit_ns = 1; /* one slice may always go: the first interval measures the bare latency */
	w->open_ns = 1;
	estimate_init(&w->disk);
	window_set_latency_target(w, 0);
	begin_interval(w, 0);
}

void window_forget(struct window *w)
{
	struct window old = *w;

	window_init(w);
	window_set_latency_target(w, old.target_ns);
	if (old.in_flight) {
		w->in_flight = old.in_flight;
		w->in_flight_ns = old.in_flight_ns;
		w->mean_cost_ns = at_least(old.in_flight_ns / old.in_flight, 1);
		set_limit(w, w->mean_cost_ns);
		open_to(w, w->mean_cost_ns, old.moment_ns);
	}
	w->held = old.held;
	w->moment_ns = old.moment_ns;
}

bool window_admit(const struct window *w, uint64_t cost_ns)
{
	return !w->in_flight || has_room(w, cost_ns);
}

uint64_t window_least_ns(const struct window *w, bool shared)
{
	unsigned most = shared ? LEAST_SHARED_SLICES : LEAST_ALONE_SLICES;

	if (w->phase <= WINDOW_PROBE)
		return 0;
	return at_most((w->least < most ? w->least : most) * w->mean_cost_ns, w->cap_ns);
}

void window_issued(struct window *w, uint64_t cost_ns, uint64_t now_ns)
{
	if (!w->mean_cost_ns) {
		w->mean_cost_ns = at_least(cost_ns, 1);
		set_limit(w, cost_ns);
		w->open_ns = w->limit_ns;
		w->began_ns = now_ns;
	}
	w->dry += !w->in_flight && now_ns == w->moment_ns && w->batch > 1;
	w->in_flight++;
	w->in_flight_ns += cost_ns;
	if (w->in_flight_ns > w->peak_ns)
		w->peak_ns = w->in_flight_ns;
	if (!w->full && is_full(w)) {
		w->full = true;
		w->full_since_ns = now_ns;
	}
}

void window_done(struct window *w, uint64_t cost_ns, uint64_t latency_ns, uint64_t now_ns)
{
	if (now_ns != w->moment_ns)
		begin_moment(w, now_ns);
	w->served++;
	w->late += latency_ns > w->target_ns;
	if (latency_ns > w->disk.ceiling_ns)
		latency_ns = w->disk.ceiling_ns;
	w->batch++;
	w->seen.slices++;
	w->seen.cost_ns += cost_ns;
	w->seen.sum_ns += latency_ns;
	w->seen.square_sum += (unsigned __int128)latency_ns * latency_ns;
	w->seen.area += (unsigned __int128)cost_ns * latency_ns;
	w->seen.cost_square += (unsigned __int128)cost_ns * cost_ns;
	if (w->counts) {
		w->busy.slices++;
		w->busy.cost_ns += cost_ns;
		w->busy.cost_square += (unsigned __int128)cost_ns * cost_ns;
	}
	if (w->settling_ns > 1)
		w->settling_ns -= at_most(cost_ns, w->settling_ns - 1);
	w->in_flight--;
	w->in_flight_ns -= cost_ns;
	w->full = is_full(w);
	w->full_since_ns = now_ns;
}

void window_note_shallow(struct window *w, uint64_t now_ns)
{
	w->shallow = true;
	w->shallow_ns = now_ns;
}

void window_hold(struct window *w, unsigned slices)
{
	w->held = slices;
	if (!w->full && is_full(w)) {
		w->full = true;
		w->full_since_ns = w->moment_ns;
	}
}

void window_set_latency_target(struct window *w, uint64_t p99_ns)
{
	w->target_ns = p99_ns;
	w->by_place = w->by_place && !p99_ns; /* that is held in cost */
	w->cap_ns = LIMIT_MAX_NS;
	w->late = 0;
	w->served = 0;
}

unsigned window_parallelism_x16(const struct window *w)
{
	return w->disk.parallel_x16;
}

uint64_t window_base_ns(const struct window *w)
{
	return estimate_mean_ns(&w->disk.base);
}
