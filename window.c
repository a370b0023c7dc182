/* SPDX-License-Identifier: MIT */
/*
 * window.c - finds how much must be in flight to keep a disk busy, and no more.
 *
 * More in flight than the disk can work on at once only moves the queue from our side, where
 * weights decide, to the disk's, where they don't. Less leaves the disk idle. The knee between
 * the two is bandwidth x latency of the unloaded disk, and both can be seen from completions
 * (N. Cardwell et al., "BBR: Congestion-Based Congestion Control", ACM Queue 14(5), 2016):
 *
 *   rate   the best of the last WINDOW_RATES intervals in which the disk was kept busy, in cost
 *          per time. A window beyond the knee does not change it.
 *   base   the mean latency when little is in flight: at the start, and in a short probe at
 *          half the knee every few seconds. A window up to the knee does not change it.
 *   limit  with knee = rate x base in slices of the mean cost: 1.25 x (knee + sqrt(knee)). The
 *          root is what keeps c servers busy that are not asked at even intervals.
 *
 * Example: 4 servers of 1 ms each, slices priced 50 us. With 1 in flight: base 1 ms, rate
 * 0.05; doubling the window doubles the rate until 4 are in flight, rate 0.2, and then no more:
 * rate x base = 200 us of cost = 4 slices, limit 1.25 x (4 + 2) = 7 slices.
 *
 * Why means: by Little's law rate x mean latency is what is in flight, so as long as the window is
 * too small the formula makes it at least 1.25 times as large, whatever the spread of single
 * latencies. The least of many medians, which looks more robust, is far below the mean on a disk
 * whose service times vary, and the window spirals down with it. The slowest sixteenth is left out,
 * so that one stall does not count for thousands.
 *
 * Where a request takes less than our own threads need to wake up, the latency seen grows with what
 * we have in flight, and the knee is ours rather than the disk's. So a fast disk is given up to a
 * millisecond of work in any case (window_least_ns).
 *
 * An interval has enough completions for a mean and is long against a latency, so that a burst
 * more or less in it does not matter.
 *
 *   STARTUP   from one slice, doubled each interval; two intervals that bring less than 20 % more
 * end it STEADY    the formula; sinking by a quarter or PROBE_EVERY_NS without a probe lead to a
 *   PROBE     what is in flight drains, then one interval at half the knee measures base. A base
 * that moved by more than a quarter means another disk than we knew: STARTUP again, as the rate
 * seen with a window too small for it says nothing.
 *
 * Invariants: the limit is never below one slice, so that the disk never starves for good; it only
 * moves on completions, so a disk that stalls gets no larger window; it grows only out of
 * intervals in which it was the limit.
 * Not handled: latencies are not scaled by size, so that a sudden change from small
 * to large slices is only right again after the next probe. A disk that orders its queue
 * gains from a deeper one without end; it is kept at the knee of its latency.
 */
#include "window.h"

#include <string.h>

/* An interval ends with this many completions, when it has also lasted this long ... */
#define INTERVAL_DONE 64U
#define INTERVAL_NS UINT64_C(2000000)
#define INTERVAL_LATENCIES 8U
/* ... or, on slower disks, with fewer after longer. */
#define INTERVAL_SLOW_DONE 16U
#define INTERVAL_SLOW_NS UINT64_C(50000000)
#define INTERVAL_CRAWL_DONE 4U
#define INTERVAL_CRAWL_NS UINT64_C(500000000)
#define PROBE_EVERY_NS \
	UINT64_C(5000000000) /* two short intervals in 5 s: below 0.5 % of throughput */
#define PROBE_AGAIN_NS UINT64_C(500000000) /* at most this often when the limit sinks */
/* See window_least_ns(). No more slices than these, so that weights hold on a disk as fast as RAM.
 */
#define LEAST_ALONE_NS UINT64_C(1000000)
#define LEAST_SHARED_NS UINT64_C(500000)
#define LEAST_ALONE_SLICES 64U
#define LEAST_SHARED_SLICES 16U
#define RATE_SHIFT 20				     /* a rate of 1.0 (cost per time) */
#define LATENCY_MAX_NS (UINT64_C(3600) * 1000000000) /* clamp before multiplying */
#define LIMIT_MAX_NS (UINT64_C(1) << 42)

/* 8 buckets per factor of two from 1 us on: a median within 9 %. */
static unsigned latency_bucket(uint64_t ns)
{
	uint64_t v = (ns >> 7) + 8; /* 128 ns: bucket 0 begins at v = 8 */
	unsigned octave = 63U - (unsigned)__builtin_clzll(v);
	unsigned bucket = (octave - 3U) * 8U + (unsigned)((v >> (octave - 3U)) & 7U);

	return bucket < WINDOW_BUCKETS ? bucket : WINDOW_BUCKETS - 1;
}

/* The middle of a bucket. */
static uint64_t bucket_latency_ns(unsigned bucket)
{
	unsigned octave = bucket / 8U + 3U;
	uint64_t step = UINT64_C(1) << (octave - 3U);
	uint64_t v = (UINT64_C(8) + bucket % 8U) * step + step / 2U;

	return (v - 8U) << 7;
}

/* Without the slowest sixteenth. */
static uint64_t mean_latency_ns(const struct window *w)
{
	unsigned wanted = w->done - w->done / 16U, seen = 0;
	unsigned __int128 sum = 0;

	for (unsigned i = 0; i < WINDOW_BUCKETS && seen < wanted; i++) {
		unsigned n = w->latencies[i] < wanted - seen ? w->latencies[i] : wanted - seen;

		sum += (unsigned __int128)bucket_latency_ns(i) * n;
		seen += n;
	}
	return seen ? (uint64_t)(sum / seen) : 0;
}

static uint64_t best_rate(const struct window *w)
{
	uint64_t best = 0;

	for (unsigned i = 0; i < WINDOW_RATES; i++)
		if (w->rates[i] > best)
			best = w->rates[i];
	return best;
}

static void forget_rates(struct window *w)
{
	memset(w->rates, 0, sizeof(w->rates));
	w->next_rate = 0;
}

/* rate x base: the cost in flight at which the disk is just busy. */
static uint64_t knee_ns(const struct window *w)
{
	unsigned __int128 knee = (unsigned __int128)best_rate(w) * w->base_latency_ns;

	knee >>= RATE_SHIFT;
	return knee > LIMIT_MAX_NS ? LIMIT_MAX_NS : (uint64_t)knee;
}

static void set_limit(struct window *w, uint64_t limit_ns)
{
	uint64_t least = w->mean_cost_ns ? w->mean_cost_ns : 1;

	if (limit_ns < least)
		limit_ns = least;
	if (limit_ns > LIMIT_MAX_NS)
		limit_ns = LIMIT_MAX_NS;
	w->limit_ns = limit_ns;
}

static uint64_t square_root(uint64_t square)
{
	uint64_t root = 0;

	for (uint64_t bit = UINT64_C(1) << 31; bit; bit >>= 1)
		if ((root + bit) * (root + bit) <= square)
			root += bit;
	return root;
}

/* What the formula says; growing is for intervals in which the window was the limit. */
static void follow(struct window *w, bool may_grow)
{
	uint64_t knee = knee_ns(w), limit, slices_x4;

	/* 16 x sqrt(slices), to keep the fractions of small ones */
	slices_x4 =
		(uint64_t)(((unsigned __int128)knee * 4) / (w->mean_cost_ns ? w->mean_cost_ns : 1));
	limit = knee + knee / 4;
	limit += (uint64_t)((unsigned __int128)square_root(slices_x4 * 64) * w->mean_cost_ns * 5 /
			    64);
	if (may_grow || limit < w->limit_ns)
		set_limit(w, limit);
}

static void enter(struct window *w, int phase)
{
	w->phase = phase;
	w->raised = 0;
}

static void begin_probe(struct window *w)
{
	enter(w, WINDOW_PROBE);
	w->draining = w->in_flight;
	set_limit(w, knee_ns(w) / 2);
}

static void remember(struct window *w, uint64_t rate)
{
	w->rates[w->next_rate++ % WINDOW_RATES] = rate;
}

static void startup(struct window *w, uint64_t rate, bool bound, bool busy)
{
	uint64_t before = best_rate(w);

	if (!busy)
		return;
	remember(w, rate);
	w->raised = rate > before + before / 5 ? 0 : w->raised + 1;
	if (w->raised >= 2) {
		enter(w, WINDOW_STEADY);
		follow(w, true);
	} else if (bound) {
		set_limit(w, w->limit_ns * 2);
	}
}

static void steady(struct window *w, uint64_t rate, bool bound, bool busy, uint64_t now_ns)
{
	uint64_t before = w->limit_ns;

	if (!busy)
		return;
	remember(w, rate);
	follow(w, bound);
	if (now_ns - w->base_seen_ns > PROBE_EVERY_NS ||
	    (w->limit_ns < before - before / 4 && now_ns - w->base_seen_ns > PROBE_AGAIN_NS))
		begin_probe(w);
}

static void probe(struct window *w, uint64_t mean_ns, uint64_t now_ns)
{
	uint64_t old = w->base_latency_ns;

	w->base_latency_ns = mean_ns;
	w->base_seen_ns = now_ns;
	if (mean_ns > old + old / 4 || mean_ns < old - old / 4) {
		forget_rates(w);
		enter(w, WINDOW_STARTUP);
		if (w->in_flight_ns <
		    w->limit_ns) /* from what there is, not from what was thought */
			set_limit(w, w->in_flight_ns);
		return;
	}
	enter(w, WINDOW_STEADY);
	follow(w, true);
}

static void begin_interval(struct window *w, uint64_t now_ns)
{
	w->began_ns = now_ns;
	w->done_ns = 0;
	w->done = 0;
	w->bound = 0;
	memset(w->latencies, 0, sizeof(w->latencies));
}

static void end_interval(struct window *w, uint64_t now_ns)
{
	uint64_t elapsed = now_ns > w->began_ns ? now_ns - w->began_ns : 1;
	unsigned __int128 rate = ((unsigned __int128)w->done_ns << RATE_SHIFT) / elapsed;
	uint64_t mean = mean_latency_ns(w);
	bool bound = w->bound * 2U >= w->done, busy;

	if (rate > UINT32_MAX)
		rate = UINT32_MAX;
	if (w->phase != WINDOW_PROBE && (!w->base_latency_ns || mean < w->base_latency_ns)) {
		w->base_latency_ns = mean;
		w->base_seen_ns = now_ns;
	}
	/* requests queue up here or, with a window too large for the load to fill, at the disk */
	busy = bound || mean > w->base_latency_ns + w->base_latency_ns / 2;
	switch (w->phase) {
	case WINDOW_STARTUP:
		startup(w, (uint64_t)rate, bound, busy);
		break;
	case WINDOW_STEADY:
		steady(w, (uint64_t)rate, bound, busy, now_ns);
		break;
	case WINDOW_PROBE:
		probe(w, mean, now_ns);
		break;
	}
	begin_interval(w, now_ns);
}

static bool interval_is_over(const struct window *w, uint64_t now_ns)
{
	uint64_t elapsed = now_ns - w->began_ns;

	if (w->done >= INTERVAL_CRAWL_DONE && elapsed >= INTERVAL_CRAWL_NS)
		return true;
	if (elapsed < INTERVAL_LATENCIES * w->base_latency_ns)
		return false;
	return (w->done >= INTERVAL_DONE && elapsed >= INTERVAL_NS) ||
	       (w->done >= INTERVAL_SLOW_DONE && elapsed >= INTERVAL_SLOW_NS);
}

void window_init(struct window *w)
{
	memset(w, 0, sizeof(*w));
	w->limit_ns = 1; /* one slice may always go: the first interval measures the bare latency */
}

void window_forget(struct window *w)
{
	unsigned in_flight = w->in_flight;
	uint64_t in_flight_ns = w->in_flight_ns;

	window_init(w);
	w->in_flight = in_flight;
	w->in_flight_ns = in_flight_ns;
}

bool window_admit(struct window *w, uint64_t cost_ns)
{
	if (!w->in_flight || w->in_flight_ns + cost_ns <= w->limit_ns)
		return true;
	w->full = true;
	return false;
}

uint64_t window_least_ns(const struct window *w, bool shared)
{
	uint64_t most = w->mean_cost_ns * (shared ? LEAST_SHARED_SLICES : LEAST_ALONE_SLICES);
	unsigned __int128 least = best_rate(w);

	if (w->phase != WINDOW_STEADY)
		return 0;
	least = least * (shared ? LEAST_SHARED_NS : LEAST_ALONE_NS) >> RATE_SHIFT;
	return least < most ? (uint64_t)least : most;
}

void window_issued(struct window *w, uint64_t cost_ns, uint64_t now_ns)
{
	if (!w->in_flight && !w->done)
		w->began_ns = now_ns; /* idle time is not part of an interval */
	w->in_flight++;
	w->in_flight_ns += cost_ns;
	if (!w->mean_cost_ns) {
		w->mean_cost_ns = cost_ns;
		set_limit(w, cost_ns);
	}
	/* mean of the last 16 or so */
	w->mean_cost_ns = w->mean_cost_ns - w->mean_cost_ns / 16 + cost_ns / 16;
	if (!w->mean_cost_ns)
		w->mean_cost_ns = 1;
}

void window_done(struct window *w, uint64_t cost_ns, uint64_t latency_ns, uint64_t now_ns)
{
	if (latency_ns > LATENCY_MAX_NS)
		latency_ns = LATENCY_MAX_NS;
	w->in_flight--;
	w->in_flight_ns -= cost_ns;
	w->done_ns += cost_ns;
	w->done++;
	w->bound += w->full;
	w->full = false;
	if (w->latencies[latency_bucket(latency_ns)] < UINT16_MAX)
		w->latencies[latency_bucket(latency_ns)]++;
	if (w->draining) { /* issued before the probe began */
		if (!--w->draining)
			begin_interval(w, now_ns);
	} else if (interval_is_over(w, now_ns)) {
		end_interval(w, now_ns);
	}
}

unsigned window_parallelism_x16(const struct window *w)
{
	if (w->phase == WINDOW_STARTUP || !w->mean_cost_ns)
		return 0;
	return (unsigned)(knee_ns(w) * 16 / w->mean_cost_ns);
}

uint64_t window_base_ns(const struct window *w)
{
	return w->base_latency_ns;
}

void window_set_latency_target(struct window *w, uint64_t p99_ns)
{
	(void)w;
	(void)p99_ns;
}
