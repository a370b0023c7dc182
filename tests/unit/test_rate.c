/* SPDX-License-Identifier: MIT */
/*
 * test_rate.c - rate.h: promises and caps, each on the clock that it is given.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "rate.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define KIB UINT64_C(1024)
#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define SEC UINT64_C(1000000000)
#define YEAR (UINT64_C(31557600) * SEC)
#define START (1000 * SEC)

/* Both ends of what may be promised or allowed. */
#define MOST_IOPS UINT64_C(1000000000)
#define MOST_BPS UINT64_C(10000000000000)

/* A request of one slice. */
static struct rate_work io(uint64_t bytes)
{
	return (struct rate_work){.bytes = bytes, .to_bytes = bytes};
}

static struct rate_work write_of(uint64_t bytes)
{
	return (struct rate_work){.write = true, .bytes = bytes, .to_bytes = bytes};
}

static struct rate_work piece(uint64_t from, uint64_t to)
{
	return (struct rate_work){.bytes = to - from, .from_bytes = from, .to_bytes = to};
}

static struct rate_work discard(void)
{
	return (struct rate_work){.write = true, .to_bytes = 64 * 1024 * KIB};
}

/* ---- promises ---- */

static struct rate_promise promise;

static void promise_of(uint64_t iops, uint64_t bps, uint64_t now_ns)
{
	promise = (struct rate_promise){0};
	rate_promise_set(&promise, &(struct fbs_min){.iops = iops, .bps = bps}, now_ns);
}

static void serve(struct rate_work work, uint64_t now_ns)
{
	rate_promise_served(&promise, &work, now_ns);
}

static uint64_t due(void)
{
	return rate_promise_due_ns(&promise);
}

/* How many of work are due at once. */
static unsigned due_at(struct rate_work work, uint64_t now_ns)
{
	unsigned n = 0;

	for (; due() <= now_ns; n++) {
		assert_true(n < 1000000);
		serve(work, now_ns);
	}
	return n;
}

static void test_promise(void **state)
{
	(void)state;
	promise_of(0, 0, START);
	assert_false(rate_promised(&promise));
	promise_of(100, 0, START);
	assert_true(rate_promised(&promise));
	for (unsigned i = 0; i < 1000; i++) { /* from now on, one in 10 ms */
		assert_int_equal(due(), START + i * 10 * MS);
		serve(io(4 * KIB), due());
	}
	promise_of(0, 1000000, START);
	assert_true(rate_promised(&promise));
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(due(), START + i * 4096 * US);
		serve(io(4 * KIB), due());
	}
}

/* Both: whichever is behind is due. Small requests are held to the bytes, large ones to the I/O. */
static void test_promise_of_both(void **state)
{
	(void)state;
	promise_of(100, 1000000, START);
	serve(io(4 * KIB), START);
	assert_int_equal(due(), START + 4096 * US);
	promise_of(100, 1000000, START);
	serve(io(32 * KIB), START);
	assert_int_equal(due(), START + 10 * MS);
}

/* One I/O for each started iops_size, counted where it starts. */
static void test_promise_size(void **state)
{
	static const struct {
		uint64_t size, from, to, ios;
	} cases[] = {
		{0, 0, 512, 1},
		{0, 0, 32 * KIB, 1},
		{0, 0, 32 * KIB + 1, 2},
		{0, 0, 128 * KIB, 4},
		{0, 128 * KIB, 256 * KIB, 4},
		{0, 4 * KIB, 20 * KIB, 0}, /* still the first's */
		{0, 4 * KIB, 33 * KIB, 1},
		{4 * KIB, 0, 128 * KIB, 32},
		{1024 * KIB, 0, 128 * KIB, 1},
		{1024 * KIB, 128 * KIB, 1024 * KIB, 0},
		{1024 * KIB, 128 * KIB, 1024 * KIB + 1, 1},
		{UINT64_MAX, 0, 128 * KIB, 1},
		{UINT64_MAX, 128 * KIB, 256 * KIB, 0},
		{1, 10, 4106, 4096},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct fbs_min min = {.iops = 1000, .iops_size_bytes = cases[i].size};

		promise = (struct rate_promise){0};
		rate_promise_set(&promise, &min, START);
		serve(piece(cases[i].from, cases[i].to), START);
		assert_int_equal(due(), START + cases[i].ios * MS);
	}
}

/* Served too late it catches up: what was missed, but not of more than 100 ms. */
static void test_promise_late(void **state)
{
	(void)state;
	promise_of(1000, 0, START);
	assert_int_equal(due_at(io(4 * KIB), START + 50 * MS), 51);
	assert_int_equal(due_at(io(4 * KIB), START + 60 * MS), 10);
	assert_int_equal(due_at(io(4 * KIB), START + 10 * SEC), 101);
	assert_int_equal(due_at(io(4 * KIB), START + 100 * YEAR), 101);
}

/* Served in advance, by its share: ahead by 10 ms or a request at most, and the last one. */
static void test_promise_early(void **state)
{
	(void)state;
	promise_of(1000, 0, START);
	for (int i = 0; i < 500; i++)
		serve(io(4 * KIB), START);
	assert_int_equal(due(), START + 11 * MS);
	serve(io(128 * KIB), START);
	assert_int_equal(due(), START + 14 * MS);
	promise_of(10, 0, START);
	for (int i = 0; i < 500; i++)
		serve(io(4 * KIB), START);
	assert_int_equal(due(), START + 200 * MS);
}

/* Nothing to serve for a while: that time is not owed, but for what a thread may be late by. */
static void test_promise_wake(void **state)
{
	(void)state;
	promise_of(1000, 0, START);
	serve(io(4 * KIB), START);
	rate_promise_wake(&promise, START + 5 * MS);
	assert_int_equal(due(), START + 1 * MS);
	rate_promise_wake(&promise, START + 5 * SEC);
	assert_int_equal(due(), START + 5 * SEC - 10 * MS);
	rate_promise_wake(&promise, START + 50 * YEAR);
	assert_int_equal(due_at(io(4 * KIB), START + 50 * YEAR), 11);
	/* never back */
	promise_of(1, 0, START);
	serve(io(4 * KIB), START);
	rate_promise_wake(&promise, START + 1);
	assert_int_equal(due(), START + 1 * SEC);
	promise_of(1000, 0, 0);
	rate_promise_wake(&promise, 5);
	assert_int_equal(due(), 0);
}

/* A rate that changes counts from now on, at the old place if it is the same. */
static void test_promise_set(void **state)
{
	(void)state;
	promise_of(1, 1000, START);
	serve(io(4 * KIB), START); /* due in 1 s, and in 4.096 s */
	rate_promise_set(&promise, &(struct fbs_min){.iops = 1, .bps = 1000}, START + 10);
	assert_int_equal(due(), START + 1 * SEC);
	rate_promise_set(&promise, &(struct fbs_min){.bps = 1000}, START + 10);
	assert_int_equal(due(), START + 4096 * MS);
	rate_promise_set(&promise, &(struct fbs_min){.iops = 2, .bps = 1000}, START + 10);
	assert_int_equal(due(), START + 10);
	serve(io(4 * KIB), START + 10);
	assert_int_equal(due(), START + 10 + 500 * MS);
	rate_promise_set(&promise, &(struct fbs_min){0}, START + 20);
	assert_false(rate_promised(&promise));
}

/* A discard is one I/O, and as many bytes as one I/O may have: it must not be due for nothing. */
static void test_promise_discard(void **state)
{
	(void)state;
	promise_of(100, 0, START);
	serve(discard(), START);
	assert_int_equal(due(), START + 10 * MS);
	promise_of(0, 32 * KIB * 100, START);
	serve(discard(), START);
	assert_int_equal(due(), START + 10 * MS);
}

/* The longest debt is an hour. */
static void test_promise_extremes(void **state)
{
	(void)state;
	promise_of(MOST_IOPS, 0, START);
	serve(io(4 * KIB), START);
	assert_int_equal(due(), START + 1);
	promise_of(0, MOST_BPS, START);
	serve(io(128 * KIB), START);
	assert_int_equal(due(), START + 13); /* 13.1 */
	for (int i = 0; i < 9; i++)
		serve(io(128 * KIB), due());
	assert_in_range(due(), START + 10 * 13, START + 131);
	promise_of(0, 1, START);
	serve(io(4096), START);
	assert_int_equal(due(), START + 3600 * SEC);
	promise_of(0, 1, START);
	serve(io(UINT64_MAX), START);
	assert_int_equal(due(), START + 3600 * SEC);
	/* thirds do not add up to a drift */
	promise_of(3, 0, START);
	for (int i = 0; i < 3000000; i++)
		serve(io(4 * KIB), due() + 1);
	assert_in_range(due(), START + 1000000 * SEC - 2 * MS, START + 1000000 * SEC);
	/* 580 years after the start only differences mean anything */
	promise_of(100, 0, UINT64_MAX - 15 * MS);
	serve(io(4 * KIB), UINT64_MAX - 15 * MS);
	assert_int_equal(due(), UINT64_MAX - 5 * MS);
	serve(io(4 * KIB), UINT64_MAX - 5 * MS);
	assert_int_equal(due(), 5 * MS - 1);
}

/* ---- caps ---- */

/* What one node sees of one cap. */
static struct fbs_cap *cap;
static struct rate_sharer sharer;

static void cap_of(struct fbs_max max)
{
	cap = fbs_cap_create(&max);
	assert_non_null(cap);
	rate_cap_attach(cap, &sharer);
	fbs_cap_unref(cap); /* the sharer keeps it */
}

static void cap_end(void)
{
	rate_cap_detach(cap, &sharer);
}

static uint64_t ready(struct rate_work work, uint64_t now_ns)
{
	bool all;

	return rate_cap_ready_ns(cap, &sharer, &work, now_ns, &all);
}

static bool go(struct rate_work work, uint64_t now_ns)
{
	if (ready(work, now_ns) > now_ns)
		return false;
	rate_cap_served(cap, &sharer, &work, now_ns);
	return true;
}

static unsigned burst(struct rate_work work, uint64_t now_ns)
{
	unsigned n = 0;

	while (go(work, now_ns))
		assert_true(++n < 1000000);
	return n;
}

/* As many as go in span_ns, woken late_ns late each time. */
static unsigned served_in(struct rate_work work, uint64_t from_ns, uint64_t span_ns,
			  uint64_t late_ns)
{
	unsigned n = 0;

	for (uint64_t now_ns = from_ns; now_ns < from_ns + span_ns; n++) {
		uint64_t at_ns;

		while ((at_ns = ready(work, now_ns)) > now_ns)
			now_ns = at_ns + late_ns;
		if (now_ns >= from_ns + span_ns)
			break;
		rate_cap_served(cap, &sharer, &work, now_ns);
	}
	return n;
}

static void test_cap_none(void **state)
{
	(void)state;
	fbs_cap_unref(NULL);
	cap_of((struct fbs_max){0});
	for (int i = 0; i < 1000; i++) {
		assert_true(go(io(128 * KIB), START));
		assert_true(go(write_of(128 * KIB), START));
		assert_true(go(discard(), START));
	}
	cap_end();
}

/* Each of the six: what it holds, for how long, and whether that is so for both directions. */
static void test_cap_forms(void **state)
{
	static const struct {
		struct fbs_max max;
		bool reads, writes, discards;
	} cases[] = {
		{{.iops = 100}, true, true, true},
		{{.bps = 100 * 64 * KIB}, true, true, false},
		{{.read_iops = 100}, true, false, false},
		{{.read_bps = 100 * 64 * KIB}, true, false, false},
		{{.write_iops = 100}, false, true, true},
		{{.write_bps = 100 * 64 * KIB}, false, true, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct rate_work works[] = {io(64 * KIB), write_of(64 * KIB), discard()};
		const bool held[] = {cases[i].reads, cases[i].writes, cases[i].discards};
		struct fbs_max max = cases[i].max;

		max.iops_size_bytes = 64 * KIB;
		cap_of(max);
		for (size_t k = 0; k < COUNT(works); k++) {
			bool all = false;

			if (!held[k]) {
				for (int n = 0; n < 100; n++)
					assert_true(go(works[k], START));
				continue;
			}
			/* 10 ms each; the first may be saved up for, its cost is all that is */
			while (go(works[k], START))
				;
			assert_int_equal(rate_cap_ready_ns(cap, &sharer, &works[k], START, &all),
					 START + 5 * MS);
			assert_int_equal(all, max.iops || max.bps);
		}
		cap_end();
	}
}

/* In any time t at most t, what was saved up, and one request: small ones one by one. */
static void test_cap_rate(void **state)
{
	(void)state;
	cap_of((struct fbs_max){.iops = 1000});
	assert_int_equal(burst(io(4 * KIB), START), 10); /* 10 ms */
	assert_int_equal(ready(io(4 * KIB), START), START + 1 * MS);
	assert_false(go(io(4 * KIB), START + 1 * MS - 1));
	assert_true(go(io(4 * KIB), START + 1 * MS));
	assert_false(go(io(4 * KIB), START + 1 * MS));
	assert_int_equal(burst(io(4 * KIB), START + 5 * MS), 4);
	assert_int_equal(served_in(io(4 * KIB), START + 5 * MS, 10 * SEC, 0), 9999);
	cap_end();
}

/* All limits at once: the tightest counts. */
static void test_cap_tightest(void **state)
{
	(void)state;
	cap_of((struct fbs_max){.iops = 1000, .bps = 4096 * 500, .read_iops = 100});
	burst(io(4 * KIB), START);
	assert_in_range(served_in(io(4 * KIB), START, 10 * SEC, 0), 999, 1001);
	burst(write_of(4 * KIB), START + 10 * SEC);
	assert_in_range(served_in(write_of(4 * KIB), START + 10 * SEC, 10 * SEC, 0), 4999, 5001);
	burst(write_of(512), START + 20 * SEC);
	assert_in_range(served_in(write_of(512), START + 20 * SEC, 10 * SEC, 0), 9999, 10001);
	cap_end();
}

/* A request larger than all that may be saved up goes with half of that, and is paid afterwards. */
static void test_cap_large(void **state)
{
	(void)state;
	cap_of((struct fbs_max){.bps = 1000 * 1024}); /* 128 ms each */
	assert_true(go(io(128 * KIB), START));	      /* 118 ms in debt */
	assert_int_equal(ready(io(128 * KIB), START), START + 123 * MS);
	assert_int_equal(ready(io(1 * KIB), START), START + 119 * MS);
	assert_in_range(served_in(io(128 * KIB), START, 128 * SEC, 0), 999, 1001);
	cap_end();
	/* the rest of a request that was counted where it began is not held */
	cap_of((struct fbs_max){.iops = 10, .iops_size_bytes = 1024 * KIB});
	assert_true(go(piece(0, 128 * KIB), START));
	for (uint64_t at = 128 * KIB; at < 1024 * KIB; at += 128 * KIB)
		assert_true(go(piece(at, at + 128 * KIB), START));
	assert_false(go(piece(0, 128 * KIB), START));
	cap_end();
}

/* Whoever is woken late by less than half of burst loses nothing by it. */
static void test_cap_late(void **state)
{
	static const struct {
		uint64_t late_ns, burst_ns;
	} cases[] = {
		{100 * US, 0},	     {1 * MS, 0},	  {4999 * US, 0},
		{49 * MS, 100 * MS}, {499 * MS, 1 * SEC},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		unsigned n;

		cap_of((struct fbs_max){.iops = 5000, .burst_ns = cases[i].burst_ns});
		burst(io(4 * KIB), START);
		n = served_in(io(4 * KIB), START, 20 * SEC, cases[i].late_ns);
		assert_in_range(n, 100000 - 5000, 100000);
		cap_end();
		cap_of((struct fbs_max){.bps = 1000 * 128 * KIB, .burst_ns = cases[i].burst_ns});
		burst(io(128 * KIB), START);
		n = served_in(io(128 * KIB), START, 20 * SEC, cases[i].late_ns);
		assert_in_range(n, 20000 - 1000, 20000);
		cap_end();
	}
}

/* What may be saved up, after any time; at least 10 ms of it. */
static void test_cap_burst(void **state)
{
	static const struct {
		uint64_t burst_ns, ios;
	} cases[] = {
		{0, 10},       {9 * MS, 10},	{10 * MS, 10},
		{11 * MS, 11}, {1 * SEC, 1000}, {60 * SEC, 60000},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		uint64_t now_ns = 100 * YEAR;

		cap_of((struct fbs_max){.iops = 1000, .burst_ns = cases[i].burst_ns});
		assert_int_equal(burst(io(4 * KIB), now_ns), cases[i].ios);
		now_ns += 5 * MS;
		assert_int_equal(burst(io(4 * KIB), now_ns), 5);
		now_ns += 100 * YEAR;
		assert_int_equal(burst(io(4 * KIB), now_ns), cases[i].ios);
		cap_end();
	}
	/* a clock that has just started has not seen so much time yet */
	cap_of((struct fbs_max){.iops = 1000, .burst_ns = 60 * SEC});
	assert_int_equal(burst(io(4 * KIB), 3 * MS), 3);
	cap_end();
}

/* What is owed is owed in units: at another rate it takes another time, counted from now. */
static void test_cap_configure(void **state)
{
	static const struct fbs_max slow = {.bps = 1000 * 1024}, fast = {.bps = 10000 * 1024},
				    crawl = {.bps = 100 * 1024}, none = {0};

	(void)state;
	cap_of(slow);
	assert_true(go(io(1128 * KIB), START)); /* owes 1118 KiB */
	fbs_cap_configure(cap, &slow);		/* the same: nothing */
	assert_int_equal(ready(io(1 * KIB), START), START + 1119 * MS);
	fbs_cap_configure(cap, &fast);
	assert_int_equal(ready(io(1 * KIB), START), START + 111900 * US);
	fbs_cap_configure(cap, &crawl);
	assert_int_equal(ready(io(1 * KIB), START), START + 11185 * MS);
	fbs_cap_configure(cap, &slow);
	assert_int_equal(ready(io(1 * KIB), START), START + 1119 * MS);
	/* a second later it owes 118 KiB, though nobody has asked meanwhile */
	fbs_cap_configure(cap, &crawl);
	assert_int_equal(ready(io(1 * KIB), START + 1 * SEC), START + 2185 * MS);
	fbs_cap_configure(cap, &none);
	assert_true(go(io(1128 * KIB), START + 1 * SEC));
	/* back again: it starts anew */
	fbs_cap_configure(cap, &slow);
	assert_true(go(io(1128 * KIB), START + 1 * SEC));
	assert_false(go(io(1 * KIB), START + 1 * SEC));
	cap_end();
	/* other forms at once: their debt is their own */
	cap_of((struct fbs_max){.read_bps = 1000 * 1024});
	assert_true(go(io(1128 * KIB), START));
	fbs_cap_configure(cap, &(struct fbs_max){.write_bps = 1000 * 1024, .iops = 100});
	assert_true(go(io(1 * KIB), START));
	cap_end();
	/* burst and size act at once, too */
	cap_of((struct fbs_max){.iops = 1000, .burst_ns = 1 * SEC});
	fbs_cap_configure(cap, &(struct fbs_max){.iops = 1000});
	assert_int_equal(burst(io(4 * KIB), START), 10);
	fbs_cap_configure(cap, &(struct fbs_max){.iops = 1000, .iops_size_bytes = 4 * KIB});
	assert_int_equal(ready(io(12 * KIB), START), START + 3 * MS);
	cap_end();
}

static void test_cap_extremes(void **state)
{
	(void)state;
	cap_of((struct fbs_max){.iops = 1}); /* 1 s each, goes with 5 ms */
	assert_int_equal(burst(io(4 * KIB), START), 1);
	assert_int_equal(ready(io(4 * KIB), START), START + 990 * MS + 5 * MS);
	cap_end();
	cap_of((struct fbs_max){.bps = 1}); /* the longest debt is an hour */
	assert_int_equal(burst(io(128 * KIB), START), 1);
	assert_int_equal(ready(io(128 * KIB), START), START + 3600 * SEC - 10 * MS + 5 * MS);
	fbs_cap_configure(cap, &(struct fbs_max){.bps = MOST_BPS});
	assert_int_equal(ready(io(128 * KIB), START), START + 14); /* 0.4 owed, 13.1 for this */
	cap_end();
	cap_of((struct fbs_max){.iops = MOST_IOPS, .bps = MOST_BPS});
	assert_in_range(burst(io(128 * KIB), START), 762938, 762942); /* 13.1 ns each */
	cap_end();
	cap_of((struct fbs_max){
		.iops = 1000, .burst_ns = UINT64_MAX, .iops_size_bytes = UINT64_MAX});
	assert_int_equal(burst(io(128 * KIB), 1 * SEC), 1000);
	cap_end();
	/* near the end of the clock it still counts */
	cap_of((struct fbs_max){.iops = 1000});
	assert_int_equal(burst(io(4 * KIB), UINT64_MAX - 20 * MS), 10);
	assert_int_equal(ready(io(4 * KIB), UINT64_MAX - 20 * MS), UINT64_MAX - 19 * MS);
	assert_int_equal(burst(io(4 * KIB), UINT64_MAX - 10 * MS), 10);
	cap_end();
}

/* Whether anything may go, without asking for it. */
static void test_cap_is_open(void **state)
{
	(void)state;
	cap_of((struct fbs_max){.read_iops = 1000, .write_iops = 100, .bps = 1000 * KIB});
	assert_true(rate_cap_is_open(cap, START));
	assert_int_equal(burst(io(4 * KIB), START), 2);
	burst(io(1 * KIB), START);
	assert_false(rate_cap_is_open(cap, START));
	assert_true(rate_cap_is_open(cap, START + 3 * MS));
	fbs_cap_configure(cap, &(struct fbs_max){.read_iops = 1000, .write_iops = 100});
	burst(io(4 * KIB), START + 10 * MS);
	assert_true(rate_cap_is_open(cap, START + 10 * MS)); /* for a write */
	burst(write_of(4 * KIB), START + 10 * MS);
	assert_false(rate_cap_is_open(cap, START + 10 * MS));
	assert_true(rate_cap_is_open(cap, START + 11 * MS));
	fbs_cap_configure(cap, &(struct fbs_max){0});
	assert_true(rate_cap_is_open(cap, START + 11 * MS));
	cap_end();
}

/* ---- several disks ---- */

struct disk {
	struct rate_sharer sharer;
	uint64_t again_ns, period_ns;
	unsigned ios;
	bool away;
};

/* Each disk asks when it was told to; period_ns is how long it takes for one of its own. */
static void share(struct disk *disks, unsigned n, uint64_t from_ns, uint64_t span_ns)
{
	struct rate_work work = io(4 * KIB);
	uint64_t now_ns = from_ns;
	bool all;

	for (;;) {
		struct disk *disk = NULL;

		for (unsigned i = 0; i < n; i++)
			if (!disks[i].away && (!disk || disks[i].again_ns < disk->again_ns))
				disk = &disks[i];
		if (disk->again_ns > now_ns)
			now_ns = disk->again_ns;
		if (now_ns >= from_ns + span_ns)
			return;
		disk->again_ns = rate_cap_ready_ns(cap, &disk->sharer, &work, now_ns, &all);
		if (disk->again_ns > now_ns)
			continue;
		rate_cap_served(cap, &disk->sharer, &work, now_ns);
		disk->again_ns = now_ns + disk->period_ns;
		disk->ios++;
	}
}

static void attach_all(struct disk *disks, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		disks[i] = (struct disk){0};
		rate_cap_attach(cap, &disks[i].sharer);
	}
}

static void detach_all(struct disk *disks, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		rate_cap_detach(cap, &disks[i].sharer);
}

/* All want all of it: nobody is ahead by more than 5 ms of it and one request. */
static void test_cap_shared(void **state)
{
	struct disk disks[3];

	(void)state;
	cap_of((struct fbs_max){.iops = 1000});
	attach_all(disks, COUNT(disks));
	for (uint64_t t = 0; t < 100; t++) {
		unsigned sum = 0;

		share(disks, COUNT(disks), START + t * 100 * MS, 100 * MS);
		for (size_t i = 0; i < COUNT(disks); i++)
			sum += disks[i].ios;
		assert_in_range(sum, (t + 1) * 100, (t + 1) * 100 + 11);
		for (size_t i = 0; i < COUNT(disks); i++)
			assert_in_range(disks[i].ios, sum / 3 - 6, sum / 3 + 6);
	}
	detach_all(disks, COUNT(disks));
	cap_end();
}

/* One that does not come any more is waited for 20 ms, and is owed nothing when it is back. */
static void test_cap_shared_away(void **state)
{
	struct disk disks[2];
	unsigned before;

	(void)state;
	cap_of((struct fbs_max){.iops = 1000});
	attach_all(disks, COUNT(disks));
	share(disks, 2, START, 1 * SEC);
	disks[1].away = true; /* in the middle of its waiting */
	before = disks[0].ios;
	share(disks, 2, START + 1 * SEC, 1 * SEC);
	assert_in_range(disks[0].ios - before, 980, 1010);
	disks[1].away = false;
	disks[1].again_ns = 0;
	before = disks[0].ios;
	share(disks, 2, START + 2 * SEC, 1 * SEC);
	assert_in_range(disks[0].ios - before, 490, 510);
	/* one that says so is not waited for at all */
	disks[1].away = true;
	rate_cap_leave(cap, &disks[1].sharer);
	before = disks[0].ios;
	share(disks, 2, START + 3 * SEC, 100 * MS);
	assert_in_range(disks[0].ios - before, 99, 101);
	detach_all(disks, COUNT(disks));
	cap_end();
}

/* A slow disk takes what it can, the other the rest. */
static void test_cap_shared_slow(void **state)
{
	struct disk disks[2];

	(void)state;
	cap_of((struct fbs_max){.iops = 1000});
	attach_all(disks, COUNT(disks));
	disks[1].period_ns = 10 * MS;
	share(disks, 2, START, 10 * SEC);
	assert_in_range(disks[1].ios, 900, 1001);
	assert_in_range(disks[0].ios, 8900, 9110);
	detach_all(disks, COUNT(disks));
	cap_end();
}

/* Only those who are limited take turns: reads below a cap for writes need not. */
static void test_cap_shared_other_way(void **state)
{
	struct rate_work work = write_of(4 * KIB);
	struct rate_sharer other;
	bool all;

	(void)state;
	cap_of((struct fbs_max){.write_iops = 100});
	rate_cap_attach(cap, &other);
	for (int i = 0; i < 100; i++)
		rate_cap_served(cap, &sharer, &work, START + (uint64_t)i * 10 * MS);
	/* the other has had less, and waits */
	assert_true(rate_cap_ready_ns(cap, &other, &work, START + 990 * MS, &all) >
		    START + 990 * MS);
	assert_true(go(io(4 * KIB), START + 990 * MS));
	rate_cap_detach(cap, &other);
	cap_end();
}

/* In any order of coming and going it is freed once, by the last. */
static void test_cap_references(void **state)
{
	struct rate_sharer sharers[4];

	(void)state;
	cap = fbs_cap_create(&(struct fbs_max){.iops = 1});
	assert_non_null(cap);
	for (size_t i = 0; i < COUNT(sharers); i++)
		rate_cap_attach(cap, &sharers[i]);
	rate_cap_detach(cap, &sharers[1]);
	fbs_cap_unref(cap);
	rate_cap_detach(cap, &sharers[3]);
	rate_cap_detach(cap, &sharers[0]);
	fbs_cap_configure(cap, &(struct fbs_max){.iops = 2});
	rate_cap_detach(cap, &sharers[2]);
	fbs_cap_unref(fbs_cap_create(&(struct fbs_max){0}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_promise),
		cmocka_unit_test(test_promise_of_both),
		cmocka_unit_test(test_promise_size),
		cmocka_unit_test(test_promise_late),
		cmocka_unit_test(test_promise_early),
		cmocka_unit_test(test_promise_wake),
		cmocka_unit_test(test_promise_set),
		cmocka_unit_test(test_promise_discard),
		cmocka_unit_test(test_promise_extremes),
		cmocka_unit_test(test_cap_none),
		cmocka_unit_test(test_cap_forms),
		cmocka_unit_test(test_cap_rate),
		cmocka_unit_test(test_cap_tightest),
		cmocka_unit_test(test_cap_large),
		cmocka_unit_test(test_cap_late),
		cmocka_unit_test(test_cap_burst),
		cmocka_unit_test(test_cap_configure),
		cmocka_unit_test(test_cap_extremes),
		cmocka_unit_test(test_cap_is_open),
		cmocka_unit_test(test_cap_shared),
		cmocka_unit_test(test_cap_shared_away),
		cmocka_unit_test(test_cap_shared_slow),
		cmocka_unit_test(test_cap_shared_other_way),
		cmocka_unit_test(test_cap_references),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
