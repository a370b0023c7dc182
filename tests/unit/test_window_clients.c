/* SPDX-License-Identifier: MIT */
/*
 * test_window_clients.c - what a window does for those who use the disk, and what it tells.
 *
 * Clients of few requests beside a flood, a target for the latency, and the two questions that a
 * scheduler has: how many slices does the disk serve at a time, and how long does one take? On the
 * simulator's disks, those whose times vary with several seeds (SEED=n starts elsewhere).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/window_rig.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CONST(c, us) sim_disk_channels(c, (us)*SIM_US)
#define EXP(c, us) sim_disk_exponential(c, (us)*SIM_US)

enum { SEEDS = 6 };
static uint64_t first_seed = 1;

static struct sim *begin(const struct sim_disk *disk, const struct sim_sched_ops *ops,
			 uint64_t seed)
{
	struct sim_params params = {
		.disk = *disk, .ops = ops, .seed = seed, .sample_ns = 5 * SIM_MS};

	params.sched.fbs.io_throttle = 1024; /* of sim_fifo */
	params.sched.fbs.capability.read_iops = 10000;
	return sim_create(&params);
}

static int add(struct sim *sim, unsigned depth)
{
	struct sim_client client = {.weight = 1, .depth = depth};

	return sim_add_client(sim, NULL, &client);
}

static void measure(struct sim *sim, double from_s, double seconds)
{
	sim_run(sim, (uint64_t)(from_s * 1e9));
	sim_reset(sim);
	sim_run(sim, (uint64_t)((from_s + seconds) * 1e9));
}

/* ---- one request at a time beside 128 ---- */

struct both {
	double speed_pct; /* of what it has alone */
	double p99_pct;	  /* likewise */
	double total_pct; /* of what the disk can do */
};

static struct both beside_flood(const struct sim_disk *disk, double seconds, uint64_t seed,
				bool spare)
{
	struct sim_result alone, beside;
	struct sim *sim = begin(disk, &sim_fifo, seed);
	struct both both;
	double most;

	add(sim, 1);
	measure(sim, 1, seconds);
	sim_result(sim, 0, &alone);
	sim_destroy(sim);
	sim = begin(disk, &sim_fifo, seed);
	add(sim, 128);
	measure(sim, 2, seconds);
	most = (double)sim_total_ios(sim);
	sim_destroy(sim);

	rig.spare_first = spare;
	sim = begin(disk, &rig_ops, seed);
	add(sim, 1);
	add(sim, 128);
	measure(sim, 2, seconds);
	sim_result(sim, 0, &beside);
	both = (struct both){
		.speed_pct = 100 * beside.iops / alone.iops,
		.p99_pct = 100 * (double)beside.p99_ns / (double)alone.p99_ns,
		.total_pct = 100 * (double)sim_total_ios(sim) / most,
	};
	sim_destroy(sim);
	rig.spare_first = false;
	return both;
}

/*
 * Noted and held for, the shallow client keeps most of its own speed at no cost to the others;
 * the turnaround is what a daemon needs between a completion and what it submits next. Of constant
 * times all must hold in one run; of varying ones for the mean of the seeds: how much less wide the
 * window may be is as sure as the mean of a few hundred latencies.
 */
static void test_shallow(void **state)
{
	static const uint64_t turnarounds_us[] = {0, 100, 250};
	static const unsigned channels[] = {8, 12, 16, 32, 64};

	(void)state;
	printf("\n  a client of depth 1 beside one of 128, 2 ms: %% of its speed alone (least), "
	       "of its p99, of the total\n");
	for (size_t t = 0; t < COUNT(turnarounds_us); t++) {
		for (size_t i = 0; i < 2 * COUNT(channels); i++) {
			unsigned c = channels[i / 2];
			struct sim_disk disk = i % 2 ? EXP(c, 2000) : CONST(c, 2000);
			unsigned seeds = i % 2 ? SEEDS : 1;
			struct both mean = {0, 0, 0};
			double least = 1000;

			disk.turnaround_ns = turnarounds_us[t] * SIM_US;
			for (unsigned s = 0; s < seeds; s++) {
				struct both both =
					beside_flood(&disk, 30.0 / c, first_seed + s, true);

				mean.speed_pct += both.speed_pct / seeds;
				mean.total_pct += both.total_pct / seeds;
				mean.p99_pct =
					both.p99_pct > mean.p99_pct ? both.p99_pct : mean.p99_pct;
				least = both.speed_pct < least ? both.speed_pct : least;
			}
			printf("  %2u %-12s + %3u us %6.1f (%5.1f) %6.0f %7.1f\n", c,
			       i % 2 ? "exponential" : "constant", (unsigned)turnarounds_us[t],
			       mean.speed_pct, least, mean.p99_pct, mean.total_pct);
			assert_true(mean.speed_pct >= 80 && least >= 60);
			assert_true(mean.p99_pct <= (seeds > 1 ? 220 : 200)); /* of a few hundred */
			/*
			 * 8 channels that vary, and fewer than 9 at the disk: a server or two wait
			 */
			assert_true(mean.total_pct >= (t && i % 2 ? 95 : 97));
		}
	}
}

/* What noting and holding are good for: without them it has half its speed on 8 channels. */
static void test_not_spared(void **state)
{
	struct sim_disk disks[] = {CONST(8, 2000), EXP(8, 2000), sim_disk_ram()};

	(void)state;
	printf("\n  not spared and spared: %% of its speed alone\n");
	for (size_t i = 0; i < COUNT(disks); i++) {
		double seconds = i == 2 ? 0.2 : 5;
		struct both not_spared = beside_flood(&disks[i], seconds, first_seed, false);
		struct both spared = beside_flood(&disks[i], seconds, first_seed, true);

		printf("  %u channels: %5.1f %5.1f\n", disks[i].channels, not_spared.speed_pct,
		       spared.speed_pct);
		assert_true(spared.speed_pct > not_spared.speed_pct);
		assert_true(spared.total_pct > (i == 1 ? 94 : 98));
	}
}

/* A second after the last of them everything is as it was. */
static void test_shallow_gone(void **state)
{
	struct sim_disk disk = CONST(8, 2000);
	struct sim_client one = {.weight = 1, .depth = 1, .until_ns = 5 * SIM_SEC};
	struct sim *sim;
	unsigned narrow;

	(void)state;
	rig.spare_first = true;
	sim = begin(&disk, &rig_ops, first_seed);
	sim_add_client(sim, NULL, &one);
	add(sim, 128);
	sim_run(sim, 5 * SIM_SEC);
	narrow = rig_limit(&rig);
	rig.spare_first = false; /* its slot is not held for ever */
	sim_run(sim, 7 * SIM_SEC);
	assert_int_equal(narrow, 8);
	assert_int_equal(rig_limit(&rig), 10); /* 8 + the root of 8 */
	sim_destroy(sim);
}

/* ---- a target for the latency ---- */

static void test_target(void **state)
{
	/* the target, the throughput at least in % of the best, and the range of the limit */
	struct sim_disk striped = CONST(16, 1000);
	const struct {
		const char *name;
		struct sim_disk disk;
		unsigned target_us, pct, low, high;
	} cases[] = {
		/* more than the disk needs for nobody to wait in it: no loss */
		{"32 x 2 ms", CONST(32, 2000), 2500, 97, 29, 34},
		{"4 x 1 ms", CONST(4, 1000), 1200, 99, 4, 5},
		{"20 x 11 ms", CONST(20, 11000), 12000, 95, 17, 21},
		{"exponential 32 x 2", EXP(32, 2000), 11000, 97, 25, 48},
		{"serial 5 ms", CONST(1, 5000), 6000, 99, 1, 2},
		/* not to be held by any: one at a time, not less */
		{"serial 5 ms", CONST(1, 5000), 4000, 99, 1, 1},
		{"exponential 8 x 2", EXP(8, 2000), 4000, 10, 1, 4},
		/* bought with throughput */
		{"striped 16 x 1 ms", striped, 4000, 40, 7, 18},
		/* wider than what is there anyhow */
		{"exponential 8 x 2", EXP(8, 2000), 60000, 97, 8, 15},
	};

	(void)state;
	printf("\n  %-20s target    p99 at the disk   limit    throughput\n", "");
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sim_disk disk = cases[i].disk;
		unsigned n, low = UINT32_MAX, high = 0;
		const struct sim_sample *samples;
		struct sim_result result;
		struct sim *sim;
		double most;

		disk.striped = cases[i].disk.channels == 16;
		sim = begin(&disk, &sim_fifo, first_seed);
		add(sim, 512);
		measure(sim, 4, 12);
		most = (double)sim_total_ios(sim);
		sim_destroy(sim);
		rig.target_ns = cases[i].target_us * SIM_US;
		sim = begin(&disk, &rig_ops, first_seed);
		add(sim, 512);
		measure(sim, 4, 12);
		sim_result(sim, 0, &result);
		n = sim_samples(sim, &samples);
		for (unsigned k = 0; k < n; k++) {
			unsigned limit = samples[k].limit;

			if (samples[k].at_ns < 4 * SIM_SEC)
				continue;
			low = limit < low ? limit : low;
			high = limit > high ? limit : high;
		}
		printf("  %-20s %6.1f ms %9.2f ms %6u..%-4u %8.1f %%\n", cases[i].name,
		       cases[i].target_us / 1e3, (double)result.disk_p99_ns / 1e6, low, high,
		       100 * (double)sim_total_ios(sim) / most);
		if (cases[i].high > 1 && cases[i].pct > 10)
			assert_true(result.disk_p99_ns <= rig.target_ns * 102 / 100);
		assert_true(low >= cases[i].low && high <= cases[i].high);
		assert_true((double)sim_total_ios(sim) * 100 >= most * cases[i].pct);
		sim_destroy(sim);
		rig.target_ns = 0;
	}
}

/* Slower and back: the target takes room and gives it back within seconds. */
static void test_target_gives_back(void **state)
{
	struct sim_disk disk = CONST(16, 1000);
	unsigned before, slow;
	struct sim *sim;

	(void)state;
	disk.changed_channels = 4;
	disk.change_at_ns = 5 * SIM_SEC;
	disk.change_until_ns = 10 * SIM_SEC;
	rig.target_ns = 1200 * SIM_US;
	sim = begin(&disk, &rig_ops, first_seed);
	add(sim, 512);
	sim_run(sim, 5 * SIM_SEC - 1);
	before = rig_limit(&rig);
	sim_run(sim, 8 * SIM_SEC);
	slow = rig_limit(&rig);
	sim_run(sim, 14 * SIM_SEC);
	assert_in_range(before, 14, 17);
	assert_in_range(slow, 3, 5);
	assert_in_range(rig_limit(&rig), 14, 17);
	window_set_latency_target(&rig.window, 0);
	sim_run(sim, 16 * SIM_SEC);
	assert_in_range(rig_limit(&rig), 18, 22);
	sim_destroy(sim);
	rig.target_ns = 0;
}

/* ---- what it knows of the disk ---- */

/* What a load shows, x 16: serial up to 35, parallel above 48, 0 not known. */
static void test_parallelism(void **state)
{
	const struct {
		const char *name;
		struct sim_disk disk;
		unsigned depth, low, high;
		bool or_unknown;
	} cases[] = {
		{"serial 5 ms, flood", CONST(1, 5000), 128, 15, 17, false},
		{"serial 100 us, flood", CONST(1, 100), 128, 15, 17, false},
		{"serial 5 ms, two clients", CONST(1, 5000), 2, 15, 17, false},
		{"exponential 5 ms, flood", EXP(1, 5000), 128, 10, 32, false},
		{"exponential 5 ms, four", EXP(1, 5000), 4, 10, 32, true},
		{"spindle, flood", sim_disk_seek(SIM_MS, 9 * SIM_MS, SIM_FIFO), 128, 14, 20, false},
		{"spindle that orders", sim_disk_seek(SIM_MS, 9 * SIM_MS, SIM_NEAREST), 128, 14, 24,
		 false},
		{"2 x 5 ms, flood", CONST(2, 5000), 128, 31, 33, false},
		{"exponential 2 x 5, flood", EXP(2, 5000), 128, 22, 45, false},
		{"4 x 1 ms, flood", CONST(4, 1000), 128, 63, 65, false},
		{"exponential 4 x 1, flood", EXP(4, 1000), 128, 49, 90, false},
		{"32 x 2 ms, flood", CONST(32, 2000), 128, 500, 520, false},
		{"exponential 8 x 2, flood", EXP(8, 2000), 128, 100, 170, false},
		/* a lack of load is no evidence */
		{"32 x 2 ms, one client", CONST(32, 2000), 1, 0, 0, false},
		{"32 x 2 ms, two clients", CONST(32, 2000), 2, 0, 0, false},
		{"exponential 32 x 2, two", EXP(32, 2000), 2, 49, 600, true},
		{"exponential 32 x 2, four", EXP(32, 2000), 4, 49, 600, true},
		{"32 x 2 ms, sixteen", CONST(32, 2000), 16, 0, 0, false},
	};

	(void)state;
	printf("\n  slices served at a time, x 16; the bare latency\n");
	for (size_t i = 0; i < COUNT(cases); i++) {
		unsigned seeds = cases[i].disk.exponential ? SEEDS : 1, low = UINT32_MAX, high = 0;
		double base_ms = 0;

		for (unsigned s = 0; s < seeds; s++) {
			struct sim *sim = begin(&cases[i].disk, &rig_ops, first_seed + s);

			for (unsigned k = 0; k < cases[i].depth; k++)
				add(sim, 1);
			/* at any time from the second second on */
			for (unsigned ms = 2000; ms < 9000; ms += 500) {
				unsigned x16;

				sim_run(sim, ms * SIM_MS);
				x16 = window_parallelism_x16(&rig.window);
				low = x16 < low && (x16 || !cases[i].or_unknown) ? x16 : low;
				high = x16 > high ? x16 : high;
			}
			base_ms += (double)window_base_ns(&rig.window) / 1e6 / seeds;
			sim_destroy(sim);
		}
		if (high == 0)
			low = 0;
		printf("  %-26s %3u..%-3u %8.3f ms\n", cases[i].name, low, high, base_ms);
		assert_true(high == 0 ? cases[i].or_unknown || cases[i].high == 0
				      : low >= cases[i].low && high <= cases[i].high);
	}
}

/* A disk that becomes another one under a flood is known again within some seconds. */
static void test_parallelism_changes(void **state)
{
	static const struct {
		unsigned from, to, deep;
		bool exponential;
	} cases[] = {
		{1, 8, 128, false}, {8, 1, 128, false}, {8, 1, 16, false},  {1, 8, 128, true},
		{8, 1, 128, true},  {8, 1, 16, true},	{1, 2, 128, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sim_disk disk = cases[i].exponential ? EXP(cases[i].from, 3000)
							    : CONST(cases[i].from, 3000);
		struct sim *sim;
		unsigned before, after, again;

		disk.changed_channels = cases[i].to;
		disk.change_at_ns = 4 * SIM_SEC;
		disk.change_until_ns = 12 * SIM_SEC;
		sim = begin(&disk, &rig_ops, first_seed);
		add(sim, cases[i].deep);
		sim_run(sim, 4 * SIM_SEC - 1);
		before = window_parallelism_x16(&rig.window);
		sim_run(sim, 10 * SIM_SEC);
		after = window_parallelism_x16(&rig.window);
		sim_run(sim, 18 * SIM_SEC);
		again = window_parallelism_x16(&rig.window);
		printf("  %u -> %u -> %u channels%s: %u %u %u\n", cases[i].from, cases[i].to,
		       cases[i].from, cases[i].exponential ? ", exponential" : "", before, after,
		       again);
		assert_true(cases[i].from == 1 ? before <= 32 && again <= 35
					       : before > 48 && again > 48);
		assert_true(cases[i].to <= 2 ? after <= 35 && after > 0 : after > 48);
		sim_destroy(sim);
	}
}

/*
 * The scheduler idles a serial disk for a shallow client: then there is hardly ever more than one
 * slice at the disk, and nothing is to be seen. What was known stays.
 */
static void test_idled(void **state)
{
	struct sim_rng rng = {first_seed};
	uint64_t now_ns = SIM_SEC, lat_ns;
	struct window w;

	(void)state;
	window_init(&w);
	for (unsigned i = 0; i < 60000; i++) {
		unsigned deep = i < 2000 || i % 50 == 0 ? 3 : 1; /* now and then they meet */

		while (w.in_flight < deep && window_admit(&w, 50000))
			window_issued(&w, 50000, now_ns);
		lat_ns = sim_rng_exponential(&rng, 5 * SIM_MS);
		now_ns += lat_ns;
		window_done(&w, 50000, lat_ns * w.in_flight, now_ns);
		if (i > 2000 && !w.in_flight)
			now_ns += sim_rng_below(&rng, 2 * SIM_MS); /* idle, for the client */
		if (i > 2000) {
			assert_in_range(window_parallelism_x16(&w), 8, 35);
			assert_in_range(window_base_ns(&w), 3500000, 7000000);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shallow),
		cmocka_unit_test(test_not_spared),
		cmocka_unit_test(test_shallow_gone),
		cmocka_unit_test(test_target),
		cmocka_unit_test(test_target_gives_back),
		cmocka_unit_test(test_parallelism),
		cmocka_unit_test(test_parallelism_changes),
		cmocka_unit_test(test_idled),
	};

	if (getenv("SEED"))
		first_seed = strtoull(getenv("SEED"), NULL, 0);
	printf("SEED=%llu\n", (unsigned long long)first_seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
