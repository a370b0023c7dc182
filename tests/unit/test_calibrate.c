/* SPDX-License-Identifier: MIT */
/*
 * test_calibrate.c - calibrate.h on disks whose figures are known, in no time.
 *
 * A disk here takes latency_ps for a request, works on as many as it has channels, and never takes
 * less than busy_ps for each: a bus, a controller. Chance is seeded: SEED=N repeats a run.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "calibrate.h"
#include "tests/sim/sim.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SMALL 4096U
#define LARGE 131072U
#define US UINT64_C(1000000) /* picoseconds */
#define SECOND (1000000 * US)

struct fake {
	/* of a read; byte: for each one beyond SMALL. A write takes twice as long. */
	uint64_t latency_ps, byte_ps, busy_ps, busy_byte_ps;
	unsigned channels;
	unsigned noise_pct; /* of every sample, either way */
	bool bursts;	    /* every third sample, and two of five rounds, take three times */
	unsigned fail_at;   /* that call fails with -EIO */
	struct sim_rng rng;
	/* seen */
	unsigned calls, writes, deepest;
	uint64_t ns;
	unsigned order[CALIBRATE_ROUNDS * CALIBRATE_FIGURES], rounds; /* which load when */
};

/* What a saturated disk spends on a request. */
static uint64_t truth(const struct fake *fake, bool write, uint32_t bytes, unsigned depth)
{
	uint64_t more = bytes - SMALL;
	uint64_t ps = (fake->latency_ps + more * fake->byte_ps) /
		      (depth < fake->channels ? depth : fake->channels);
	uint64_t busy = fake->busy_ps + more * fake->busy_byte_ps;

	return (ps > busy ? ps : busy) * (write ? 2 : 1);
}

static int measure(void *disk, const struct calibrate_load *load, uint64_t *ret_ps)
{
	struct fake *fake = disk;
	uint64_t ps = truth(fake, load->write, load->bytes, load->depth);

	assert_in_range(load->depth, 1, CALIBRATE_DEPTH_MAX);
	assert_true(load->bytes == SMALL || load->bytes == LARGE);
	if (++fake->calls == fake->fail_at)
		return -EIO;
	assert_true(!fake->fail_at || fake->calls < fake->fail_at); /* and that was the end */
	if (fake->noise_pct)
		ps = ps *
		     (1000 - 10 * fake->noise_pct +
		      sim_rng_below(&fake->rng, 20 * fake->noise_pct + 1)) /
		     1000;
	if (fake->bursts && (load->round ? load->round % 2 == 0 : fake->calls % 3 == 0))
		ps *= 3;
	if (load->round)
		fake->order[fake->rounds++] = load->write * 2U + (load->bytes == LARGE);
	fake->writes += load->write;
	fake->deepest = load->depth > fake->deepest ? load->depth : fake->deepest;
	fake->ns += load->ns + load->depth * ps / 1000;
	*ret_ps = ps;
	return 0;
}

static const struct fake serial = {.latency_ps = 5000 * US, .byte_ps = 8000, .channels = 1},
			 parallel = {.latency_ps = 2000 * US, .byte_ps = 16000, .channels = 32},
			 nvme = {.latency_ps = 90 * US,
				 .byte_ps = 200,
				 .busy_ps = SECOND / 600000,
				 .busy_byte_ps = 333, /* 3 GB/s */
				 .channels = 1024},
			 flat = {.latency_ps = 1000 * US, .channels = 4};

static struct calibrate_load load_of(uint32_t bytes)
{
	return (struct calibrate_load){.bytes = bytes, .ns = 1000000};
}

/* ---- the model ---- */

static void test_solve(void **state)
{
	uint64_t iops, bps;

	(void)state;
	/* the example at the head of calibrate.c */
	calibrate_solve(250 * US, 1000 * US, &iops, &bps);
	assert_int_equal(iops, 4000);
	assert_int_equal(bps, 169301333);
	/* to the nearest */
	calibrate_solve(SECOND * 2 / 3, SECOND, &iops, &bps);
	assert_int_equal(iops, 2);
	assert_int_equal(bps, (LARGE - SMALL) * 3);
	/* a large request costs what a small one does, or less: chance */
	calibrate_solve(US, US, &iops, &bps);
	assert_int_equal(bps, UINT64_C(10000000000000));
	calibrate_solve(US, US - 1, &iops, &bps);
	assert_int_equal(bps, UINT64_C(10000000000000));
	calibrate_solve(US, US + 1, &iops, &bps);
	assert_int_equal(bps, UINT64_C(10000000000000));
	/* within what sched.h allows */
	calibrate_solve(1, 2, &iops, &bps);
	assert_int_equal(iops, 1000000000);
	calibrate_solve(3600 * SECOND, UINT64_C(3600000) * SECOND, &iops, &bps);
	assert_int_equal(iops, 1);
	assert_int_equal(bps, 1);
}

/* ---- the depth ---- */

static unsigned depth_for(const struct fake *model, uint32_t bytes, struct fake *ret_fake)
{
	struct calibrate_load load = load_of(bytes);

	*ret_fake = *model;
	assert_int_equal(calibrate_depth(measure, ret_fake, &load), 0);
	assert_int_equal(load.bytes, bytes);
	return load.depth;
}

/* Enough, and found without keeping thousands waiting. */
static void test_depth(void **state)
{
	struct fake slow = {.latency_ps = SECOND / 3, .channels = 1}, fake;

	(void)state;
	assert_in_range(depth_for(&serial, SMALL, &fake), 1, 4);
	assert_in_range(fake.deepest, 1, 4);
	assert_in_range(depth_for(&flat, SMALL, &fake), 4, 16);
	assert_in_range(depth_for(&parallel, SMALL, &fake), 32, CALIBRATE_DEPTH_MAX);
	assert_in_range(depth_for(&parallel, LARGE, &fake), 32, CALIBRATE_DEPTH_MAX);
	assert_in_range(depth_for(&nvme, SMALL, &fake), 55, CALIBRATE_DEPTH_MAX);
	assert_in_range(depth_for(&nvme, LARGE, &fake), 4, 64); /* large ones need fewer */
	/* four of it would be waited for longer than a second: not even tried */
	assert_int_equal(depth_for(&slow, SMALL, &fake), 1);
	assert_int_equal(fake.calls, 1);
}

/* More in flight than 4 disturbs this one. */
static int thrash(void *disk, const struct calibrate_load *load, uint64_t *ret_ps)
{
	int err = measure(disk, load, ret_ps);

	*ret_ps *= load->depth > 4 ? 2 : 1;
	return err;
}

static void test_depth_of_a_disk_that_thrashes(void **state)
{
	struct calibrate_load load = load_of(SMALL);
	struct fake fake = flat;

	(void)state;
	assert_int_equal(calibrate_depth(thrash, &fake, &load), 0);
	assert_int_equal(load.depth, 4);
}

/* ---- all of it ---- */

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

/* The prices that follow are those of the disk, to so many percent. */
static void check_figures(const struct fake *fake, const struct calibrate_figure figure[2],
			  bool write, unsigned pct)
{
	uint64_t small_ps = truth(fake, write, SMALL, 100000);
	uint64_t large_ps = truth(fake, write, LARGE, 100000), iops, bps, ps;

	calibrate_solve(figure[0].ps, figure[1].ps, &iops, &bps);
	ps = SECOND / iops;
	assert_in_range(distance(ps, small_ps) * 100, 0, small_ps * pct);
	ps += (uint64_t)((unsigned __int128)SECOND * (LARGE - SMALL) / bps);
	assert_in_range(distance(ps, large_ps) * 100, 0, large_ps * pct);
}

static void test_quiet_disks(void **state)
{
	const struct fake *const models[] = {&serial, &parallel, &nvme, &flat};
	uint64_t iops, bps;

	(void)state;
	for (size_t i = 0; i < COUNT(models); i++) {
		struct calibrate_figure figures[CALIBRATE_FIGURES];
		struct fake fake = *models[i];

		assert_int_equal(calibrate_disk(measure, &fake, true, figures), 0);
		check_figures(&fake, figures, false, 1);
		check_figures(&fake, figures + 2, true, 1);
		for (size_t j = 0; j < CALIBRATE_FIGURES; j++)
			assert_true(figures[j].least_ps == figures[j].ps &&
				    figures[j].most_ps == figures[j].ps);
		assert_in_range(fake.ns, UINT64_C(10000000000), UINT64_C(20000000000));
		if (models[i] == &nvme) {
			calibrate_solve(figures[0].ps, figures[1].ps, &iops, &bps);
			assert_in_range(iops, 599000, 601000);
			assert_in_range(bps, 2995000000, 3010000000);
		}
	}
}

/* No write unless asked for, and then the loads take turns. */
static void test_turns(void **state)
{
	struct calibrate_figure figures[CALIBRATE_FIGURES];
	struct fake fake = serial;

	(void)state;
	assert_int_equal(calibrate_disk(measure, &fake, false, figures), 0);
	assert_int_equal(fake.writes, 0);
	assert_int_equal(fake.rounds, 2 * CALIBRATE_ROUNDS);
	for (unsigned i = 0; i < fake.rounds; i++)
		assert_int_equal(fake.order[i], i % 2);
	fake = serial;
	assert_int_equal(calibrate_disk(measure, &fake, true, figures), 0);
	assert_int_equal(fake.rounds, 4 * CALIBRATE_ROUNDS);
	for (unsigned i = 0; i < fake.rounds; i++)
		assert_int_equal(fake.order[i], i % 4);
}

/* Samples that are off by up to 3 %, and somebody else who comes and goes. */
static void test_noisy_disks(void **state)
{
	const struct fake *const models[] = {&serial, &parallel, &nvme, &flat};
	const char *given = getenv("SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (unsigned i = 0; i < 400; i++) {
		struct calibrate_figure figures[CALIBRATE_FIGURES];
		struct fake fake = *models[i % COUNT(models)];

		fake.rng.state = seed + i;
		fake.noise_pct = 3;
		fake.bursts = true;
		assert_int_equal(calibrate_disk(measure, &fake, true, figures), 0);
		check_figures(&fake, figures, false, 5);
		check_figures(&fake, figures + 2, true, 5);
		for (size_t j = 0; j < CALIBRATE_FIGURES; j++) {
			assert_true(figures[j].least_ps <= figures[j].ps);
			assert_true(figures[j].most_ps > figures[j].ps * 2); /* and it shows */
		}
	}
}

/* Whichever sample fails is the last one. */
static void test_failure(void **state)
{
	struct calibrate_figure figures[CALIBRATE_FIGURES];
	struct fake whole = parallel;

	(void)state;
	assert_int_equal(calibrate_disk(measure, &whole, true, figures), 0);
	for (unsigned i = 1; i <= whole.calls; i++) {
		struct fake fake = parallel;

		fake.fail_at = i;
		assert_int_equal(calibrate_disk(measure, &fake, true, figures), -EIO);
		assert_int_equal(fake.calls, i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_solve),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_depth_of_a_disk_that_thrashes),
		cmocka_unit_test(test_quiet_disks),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_noisy_disks),
		cmocka_unit_test(test_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
