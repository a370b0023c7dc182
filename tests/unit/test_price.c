/* SPDX-License-Identifier: MIT */
/*
 * test_price.c - price.h: the linear model, and what it learns from a disk of another kind.
 *
 *     SEED=1 test_price
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "price.h"
#include "tests/sim/sim.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define KIB UINT64_C(1024)
#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define SEC UINT64_C(1000000000)

static uint64_t seed = 20080701;

static struct price_list list;

static void begin(struct fbs_capability capability)
{
	memset(&list, 0, sizeof(list));
	price_set(&list, &capability);
}

static uint64_t read_of(uint64_t bytes)
{
	return price_of(&list, false, bytes);
}

static uint64_t write_of(uint64_t bytes)
{
	return price_of(&list, true, bytes);
}

/* ---- price_set, price_of ---- */

/* 1 / iops for 4096 bytes, 1 / bps for each more; a nanosecond is added so that nothing is free. */
static void test_linear(void **state)
{
	(void)state;
	begin((struct fbs_capability){.read_iops = 1000,
				      .write_iops = 500,
				      .read_bps = 1000000000,
				      .write_bps = 500000000});
	assert_in_range(read_of(4096), 1000000, 1000001);
	assert_in_range(read_of(512), 1000000 - 3584, 1000001 - 3584);
	assert_in_range(read_of(0), 1000000 - 4096, 1000001 - 4096); /* a discard */
	assert_in_range(read_of(128 * KIB), 1000000 + 124 * KIB, 1000001 + 124 * KIB);
	assert_in_range(write_of(4096), 2000000, 2000001);
	assert_in_range(write_of(128 * KIB), 2000000 + 248 * KIB, 2000001 + 248 * KIB);
}

/* The preset: a SATA flash disk, 20000 requests and 500 MB in a second, either way. */
static void test_preset(void **state)
{
	(void)state;
	begin((struct fbs_capability){0});
	assert_in_range(read_of(4096), 50 * US, 50 * US + 1);
	assert_in_range(write_of(4096 + 500000), 50 * US + MS, 50 * US + MS + 1);
	/* one number of four: the other direction takes it, too; the rest stays preset */
	begin((struct fbs_capability){.write_bps = 100000000});
	assert_in_range(read_of(4096), 50 * US, 50 * US + 1);
	assert_in_range(read_of(4096 + 100000), 50 * US + MS, 50 * US + MS + 1);
	assert_in_range(write_of(4096), 50 * US, 50 * US + 1);
	assert_in_range(write_of(4096 + 100000), 50 * US + MS, 50 * US + MS + 1);
}

/* The ends of the ranges: larger is never cheaper, nothing is free, nothing overflows. */
static void test_extremes(void **state)
{
	static const uint64_t iops[] = {0, 1, 1000000000}, bps[] = {0, 1, 10000000000000};

	(void)state;
	for (size_t i = 0; i < COUNT(iops); i++) {
		for (size_t b = 0; b < COUNT(bps); b++) {
			uint64_t before = 1;

			begin((struct fbs_capability){.read_iops = iops[i], .read_bps = bps[b]});
			for (uint64_t bytes = 0; bytes <= 128 * KIB; bytes += 512) {
				assert_true(read_of(bytes) >= before);
				before = read_of(bytes);
			}
			if (bps[b] == 1)
				assert_true(before >= 124 * KIB * SEC);
			if (iops[i] == 1)
				assert_true(before >= SEC);
			assert_true(before <= 129 * KIB * SEC);
		}
	}
	/* iops that bps do not allow: those of the bytes are what a request takes */
	begin((struct fbs_capability){.read_iops = 1000000, .read_bps = 4096 * 1000});
	assert_int_equal(read_of(0), 1);
	assert_in_range(read_of(4096), MS - 1, MS + 1);
}

/* ---- price_capability ---- */

static void assert_near(uint64_t value, uint64_t expected)
{
	assert_in_range(value, expected - expected / 1000, expected + expected / 1000);
}

static void test_capability(void **state)
{
	static const struct fbs_capability given[] = {
		{20000, 20000, 500000000, 500000000},
		{158, 120, 90000000, 80000000},
		{1000000, 500000, 7000000000, 3000000000},
		{1, 1, 4096, 4096},
	};
	struct fbs_capability seen;

	(void)state;
	for (size_t i = 0; i < COUNT(given); i++) {
		begin(given[i]);
		seen = price_capability(&list);
		assert_near(seen.read_iops, given[i].read_iops);
		assert_near(seen.write_iops, given[i].write_iops);
		assert_near(seen.read_bps, given[i].read_bps);
		assert_near(seen.write_bps, given[i].write_bps);
		/* what it says makes the same prices again */
		begin(seen);
		assert_near(read_of(64 * KIB),
			    SEC / given[i].read_iops + 60 * KIB * SEC / given[i].read_bps);
	}
	begin((struct fbs_capability){0});
	seen = price_capability(&list);
	assert_near(seen.read_iops, 20000);
	assert_near(seen.write_bps, 500000000);
}

/* ---- price_observe ---- */

/* A disk that serves one at a time: so long for each, and for each KiB. */
struct model {
	uint64_t read_ns, read_kib_ns, write_ns, write_kib_ns;
};

static uint64_t now_ns;

static uint64_t takes(const struct model *disk, bool write, uint64_t bytes)
{
	return write ? disk->write_ns + disk->write_kib_ns * (bytes / KIB)
		     : disk->read_ns + disk->read_kib_ns * (bytes / KIB);
}

/* For so long it does nothing but these, write_pct of them writes, large_pct of 128 KiB. */
static void work(const struct model *disk, struct sim_rng *rng, uint64_t write_pct,
		 uint64_t large_pct, uint64_t for_ns)
{
	uint64_t until_ns = now_ns + for_ns;

	while (now_ns < until_ns) {
		bool write = sim_rng_below(rng, 100) < write_pct;
		uint64_t bytes = sim_rng_below(rng, 100) < large_pct ? 128 * KIB : 4 * KIB;

		now_ns += takes(disk, write, bytes);
		price_observe(&list, write, bytes, true, now_ns);
	}
}

/* Price of this over price of that, against what it should be; 100 is right. */
static uint64_t ratio_pct(const struct model *disk, bool write_a, uint64_t bytes_a, bool write_b,
			  uint64_t bytes_b)
{
	double priced = (double)price_of(&list, write_a, bytes_a) /
			(double)price_of(&list, write_b, bytes_b);
	double real = (double)takes(disk, write_a, bytes_a) / (double)takes(disk, write_b, bytes_b);

	return (uint64_t)(100 * priced / real + 0.5);
}

static void assert_bounded(void)
{
	static const struct fbs_capability preset = {20000, 20000, 500000000, 500000000};
	struct fbs_capability now = price_capability(&list);

	assert_in_range(now.read_bps, preset.read_bps / 8 - 1, preset.read_bps * 8 + 8);
	assert_in_range(now.write_bps, preset.write_bps / 8 - 1, preset.write_bps * 8 + 8);
	assert_in_range(now.read_iops, preset.read_iops / 8 - 1, preset.read_iops * 8 + 8);
	assert_in_range(now.write_iops, preset.write_iops / 8 - 1, preset.write_iops * 8 + 8);
}

/* What is priced alike and is not: mixes that change, and stay so for a hundred slices at least. */
static void learns(const struct model *disk, bool write_a, uint64_t bytes_a, bool write_b,
		   uint64_t bytes_b)
{
	struct sim_rng rng = {seed};
	uint64_t before, phase_ns = 300 * takes(disk, true, 128 * KIB);

	phase_ns = phase_ns > SEC ? phase_ns : SEC;
	begin((struct fbs_capability){0});
	now_ns = SEC;
	before = ratio_pct(disk, write_a, bytes_a, write_b, bytes_b);
	for (int i = 0; i < 300; i++)
		work(disk, &rng, sim_rng_below(&rng, 101), sim_rng_below(&rng, 101), phase_ns);
	assert_bounded();
	print_message("from %u %% to %u %%\n", (unsigned)before,
		      (unsigned)ratio_pct(disk, write_a, bytes_a, write_b, bytes_b));
	assert_in_range(ratio_pct(disk, write_a, bytes_a, write_b, bytes_b), 70, 140);
}

static void test_learns(void **state)
{
	(void)state;
	/* writes are dear, on a fast disk and on one that is a hundred times slower */
	learns(&(struct model){50 * US, 2 * US, 150 * US, 6 * US}, true, 4 * KIB, false, 4 * KIB);
	learns(&(struct model){5 * MS, 200 * US, 15 * MS, 600 * US}, true, 4 * KIB, false, 4 * KIB);
	/* writes are cheap */
	learns(&(struct model){50 * US, 2 * US, 15 * US, 1 * US}, true, 4 * KIB, false, 4 * KIB);
	/* bytes are free: a disk with seeks; they are dear: a slow wire */
	learns(&(struct model){5 * MS, 10 * US, 5 * MS, 10 * US}, false, 128 * KIB, false, 4 * KIB);
	learns(&(struct model){20 * US, 10 * US, 20 * US, 10 * US}, false, 128 * KIB, false,
	       4 * KIB);
}

/* A constant mix teaches nothing, in hours, and what was learnt before is not forgotten. */
static void test_constant_mix(void **state)
{
	static const struct model disk = {500 * US, 20 * US, 1500 * US, 60 * US};
	struct sim_rng rng = {seed};
	uint64_t before[PRICES];

	(void)state;
	begin((struct fbs_capability){0});
	now_ns = SEC;
	for (int i = 0; i < 100; i++)
		work(&disk, &rng, i % 2 ? 100 : 0, i % 3 ? 50 : 0, SEC);
	assert_in_range(ratio_pct(&disk, true, 4 * KIB, false, 4 * KIB), 75, 133);
	memcpy(before, list.now, sizeof(before));
	for (unsigned n = 0; now_ns < 10 * 3600 * SEC; n++) {
		uint64_t bytes = n % 4 < 2 ? 4 * KIB : 128 * KIB;

		now_ns += takes(&disk, n % 2, bytes);
		price_observe(&list, n % 2, bytes, true, now_ns);
	}
	for (unsigned k = 0; k < PRICES; k++)
		assert_in_range(list.now[k], before[k] * 3 / 4, before[k] * 5 / 4);
	assert_in_range(ratio_pct(&disk, true, 4 * KIB, false, 4 * KIB), 75, 133);
}

/* What a mix costs as a whole stays as it was: only the ratios move. */
static void test_mean_pinned(void **state)
{
	static const struct model disk = {50 * US, 2 * US, 150 * US, 6 * US};
	struct sim_rng rng = {seed};
	uint64_t before, after;

	(void)state;
	begin((struct fbs_capability){0});
	now_ns = SEC;
	before = read_of(4 * KIB) + write_of(4 * KIB) + read_of(128 * KIB) + write_of(128 * KIB);
	for (int i = 0; i < 1000; i++)
		work(&disk, &rng, i % 2 ? 20 : 80, i % 4 < 2 ? 20 : 80, SEC);
	after = read_of(4 * KIB) + write_of(4 * KIB) + read_of(128 * KIB) + write_of(128 * KIB);
	print_message("%u %%\n", (unsigned)(100 * after / before));
	assert_in_range(after, before * 3 / 4, before * 5 / 4);
}

/* Slowly: by a quarter for a change of the mix, which takes 200 ms at least, or two that differ. */
static void test_slowly(void **state)
{
	struct sim_rng rng = {seed};
	uint64_t moved_ns = 0;

	(void)state;
	begin((struct fbs_capability){0});
	now_ns = SEC;
	for (int i = 0; i < 20000; i++) {
		uint64_t before[PRICES], step_ns = 2 * MS << sim_rng_below(&rng, 3);
		uint64_t writes = sim_rng_below(&rng, 40), large = sim_rng_below(&rng, 40);

		for (int times = 0; times < 5; times++) {
			memcpy(before, list.now, sizeof(before));
			for (uint64_t n = 0; n < 32; n++)
				price_observe(&list, n < writes, n < large ? 128 * KIB : 4 * KIB,
					      true, now_ns += step_ns);
			for (unsigned k = 0; k < PRICES; k++) {
				assert_true(list.now[k] <= before[k] * 5 / 3 + 1);
				assert_true(list.now[k] >= before[k] * 3 / 5);
			}
			if (memcmp(before, list.now, sizeof(before)) == 0)
				continue;
			assert_true(now_ns - moved_ns >= 200 * MS);
			moved_ns = now_ns;
		}
		assert_bounded();
	}
}

/* Mixes that change all the time, and prices that are right: in hours no drift of all four. */
static void test_no_drift(void **state)
{
	struct sim_rng rng = {seed};
	uint64_t sum = 0;

	(void)state;
	begin((struct fbs_capability){.read_iops = 1000, .write_iops = 1000});
	list.fixed[0] = list.fixed[2] = false; /* right, but not given */
	list.fixed[1] = list.fixed[3] = false;
	now_ns = SEC;
	for (int i = 0; i < 100000; i++) {
		/* now slow, now fast, by a fifth either way, for nothing */
		uint64_t ns = 800 * US + sim_rng_below(&rng, 400 * US);
		struct model disk = {ns, 0, ns, 0};

		work(&disk, &rng, i % 2 ? 5 : 95, 0, 500 * MS);
		if (i % 100 == 99)
			assert_in_range(ratio_pct(&disk, true, 4 * KIB, false, 4 * KIB), 60, 166);
	}
	for (unsigned k = 0; k < PRICES; k++) {
		print_message("%u: %u %%\n", k, (unsigned)(list.factor[k] * 100 >> 32));
		assert_in_range(list.factor[k] * 100 >> 32, 70, 140);
		sum += list.factor[k];
	}
	assert_in_range(sum, (UINT64_C(4) << 32) - 4, (UINT64_C(4) << 32) + 4);
}

/* Bounded: eightfold either way, if the disk is a thousand times off. */
static void test_bounded(void **state)
{
	static const struct model dear = {50 * US, 1, 50 * MS, 1}, cheap = {50 * MS, 1, 50 * US, 1};
	struct sim_rng rng = {seed};

	(void)state;
	for (int which = 0; which < 2; which++) {
		begin((struct fbs_capability){0});
		now_ns = SEC;
		for (int i = 0; i < 300; i++) {
			work(which ? &dear : &cheap, &rng, sim_rng_below(&rng, 101), 50, SEC);
			assert_bounded();
		}
		if (which)
			assert_true(write_of(4 * KIB) > read_of(4 * KIB));
		else
			assert_true(read_of(4 * KIB) > write_of(4 * KIB));
	}
}

/* Numbers that the user gave stay as they are: all of them, or some. */
static void test_given(void **state)
{
	static const struct model disk = {50 * US, 2 * US, 150 * US, 6 * US};
	struct sim_rng rng = {seed};
	struct price_list before;

	(void)state;
	begin((struct fbs_capability){20000, 20000, 500000000, 500000000});
	before = list;
	now_ns = SEC;
	for (int i = 0; i < 100; i++)
		work(&disk, &rng, i % 2 ? 100 : 0, 50, SEC);
	assert_memory_equal(list.now, before.now, sizeof(list.now));
	begin((struct fbs_capability){.read_iops = 20000, .read_bps = 500000000});
	before = list;
	for (int i = 0; i < 300; i++)
		work(&disk, &rng, sim_rng_below(&rng, 101), 50, SEC);
	assert_memory_equal(list.now, before.now, sizeof(list.now[0]) * 2);
	/* half of all are large: what is known of small ones is vague */
	assert_in_range(ratio_pct(&disk, true, 128 * KIB, false, 4 * KIB), 75, 133);
	assert_in_range(ratio_pct(&disk, true, 4 * KIB, false, 4 * KIB), 50, 250);
}

/* What was learnt survives that another number is given, and is gone when its own is. */
static void test_set_again(void **state)
{
	static const struct model disk = {50 * US, 2 * US, 150 * US, 6 * US};
	struct sim_rng rng = {seed};
	uint64_t write_ns;

	(void)state;
	begin((struct fbs_capability){0});
	now_ns = SEC;
	for (int i = 0; i < 100; i++)
		work(&disk, &rng, i % 2 ? 100 : 0, 50, SEC);
	write_ns = write_of(4 * KIB);
	assert_true(write_ns > read_of(4 * KIB) * 5 / 4);
	price_set(&list, &(struct fbs_capability){.read_iops = 20000, .read_bps = 500000000});
	assert_in_range(read_of(4 * KIB), 50 * US, 50 * US + 1);
	assert_int_equal(write_of(4 * KIB), write_ns);
	/* what reads can do tells more of writes than that does */
	price_set(&list, &(struct fbs_capability){.read_iops = 1000, .read_bps = 100000000});
	assert_in_range(write_of(4 * KIB), MS, MS + 1);
	price_set(&list, &(struct fbs_capability){.write_iops = 20000, .write_bps = 500000000});
	assert_in_range(write_of(4 * KIB), 50 * US, 50 * US + 1);
	price_set(&list, &(struct fbs_capability){0});
	assert_in_range(write_of(4 * KIB), 50 * US, 50 * US + 1);
}

/* Only while the disk is kept full, and not from one that stood still. */
static void test_not_full(void **state)
{
	static const struct model disk = {50 * US, 2 * US, 150 * US, 6 * US};
	struct price_list before;
	bool write = false;

	(void)state;
	begin((struct fbs_capability){0});
	before = list;
	now_ns = SEC;
	for (int i = 0; i < 1000000; i++) {
		write = i / 5000 % 2;
		now_ns += takes(&disk, write, 4 * KIB);
		price_observe(&list, write, 4 * KIB, i % 30 != 0, now_ns);
	}
	assert_memory_equal(list.now, before.now, sizeof(list.now));
	for (int i = 0; i < 1000000; i++) {
		write = i / 5000 % 2;
		now_ns += takes(&disk, write, 4 * KIB) + (i % 30 ? 0 : 6 * SEC);
		price_observe(&list, write, 4 * KIB, true, now_ns);
	}
	assert_memory_equal(list.now, before.now, sizeof(list.now));
}

/* Times of any kind: none at all, years. Prices stay what they may be. */
static void test_odd_times(void **state)
{
	static const uint64_t steps[] = {0, 1, 1000, MS, 1000 * SEC, UINT64_MAX / 1000};
	struct sim_rng rng = {seed};

	(void)state;
	begin((struct fbs_capability){0});
	now_ns = 0;
	for (int i = 0; i < 200000; i++) {
		now_ns += steps[sim_rng_below(&rng, COUNT(steps))];
		price_observe(&list, sim_rng_below(&rng, 2), sim_rng_below(&rng, 128 * KIB),
			      sim_rng_below(&rng, 1000) != 0, now_ns);
		if (i % 100 == 0)
			assert_bounded();
	}
	/* beside a number that nobody means: 128 KiB in a day and a half */
	begin((struct fbs_capability){.read_bps = 1, .write_bps = 500000000});
	for (int i = 0; i < 200000; i++) {
		now_ns += MS;
		price_observe(&list, i / 1000 % 2, 128 * KIB, true, now_ns);
	}
	assert_in_range(write_of(4 * KIB), 50 * US / 9, 50 * US * 9);
	assert_in_range(price_capability(&list).read_bps, 1, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_linear),	    cmocka_unit_test(test_preset),
		cmocka_unit_test(test_extremes),    cmocka_unit_test(test_capability),
		cmocka_unit_test(test_learns),	    cmocka_unit_test(test_constant_mix),
		cmocka_unit_test(test_mean_pinned), cmocka_unit_test(test_no_drift),
		cmocka_unit_test(test_slowly),	    cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_given),	    cmocka_unit_test(test_set_again),
		cmocka_unit_test(test_not_full),    cmocka_unit_test(test_odd_times),
	};

	if (getenv("SEED"))
		seed = strtoull(getenv("SEED"), NULL, 0);
	printf("SEED=%llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
