/* SPDX-License-Identifier: MIT */
/*
 * test_2008.c - the ratios that failed in 2008 hold, and the rule of then still fails.
 *
 * Two clients of 128 requests each on two disks, all ratios of the thread on kvm-devel, all
 * policies, io_throttle fixed and automatic; beside it what dm-ioband's rule makes of few
 * requests. Also what the ratios must not cost: one-sided load gets all of the disk, and whoever
 * wakes gets its share at once. Everything is printed; virtual time, so no machine is too slow.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/sim/sim.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SERIAL_NS (SIM_SEC / 158) /* the disk of 2008 */
#define POINTS 0.5		  /* of 100 */

struct disk_case {
	const char *name;
	struct sim_disk disk;
	uint64_t iops;	     /* what it can do */
	uint64_t measure_ns; /* long enough for 0.1 points */
};

static struct disk_case disk_2008(void)
{
	return (struct disk_case){"serial, 158 IO/s", sim_disk_serial(SERIAL_NS), 158,
				  30 * SIM_SEC};
}

static struct disk_case disk_servers(void)
{
	return (struct disk_case){"4 servers x 1 ms", sim_disk_channels(4, SIM_MS), 4000,
				  2 * SIM_SEC};
}

static const char *const policy_names[] = {
	[FBS_POLICY_COST] = "cost",
	[FBS_POLICY_WEIGHT] = "weight",
	[FBS_POLICY_IOSIZE] = "weight-iosize",
};

static struct sim_params params_for(const struct disk_case *disk, const struct sim_sched_ops *ops,
				    enum fbs_policy policy, unsigned io_throttle)
{
	struct sim_params params = {.ops = ops, .disk = disk->disk, .seed = 2008};

	params.sched.fbs = (struct fbs_params){.policy = policy, .io_throttle = io_throttle};
	params.sched.fbs.capability = (struct fbs_capability){.read_iops = disk->iops,
							      .write_iops = disk->iops,
							      .read_bps = disk->iops * 65536,
							      .write_bps = disk->iops * 65536};
	return params;
}

struct outcome {
	double share_pct; /* of the first client, in tokens */
	double ios_pct;	  /* the same in requests answered */
	double iops;	  /* of both */
	double p99_ms[2];
};

/* Two clients, one second to warm up, then measure. */
static struct outcome run_two(const struct sim_params *params, const struct sim_client *first,
			      const struct sim_client *second, uint64_t measure_ns)
{
	struct sim *sim = sim_create(params);
	int a = sim_add_client(sim, NULL, first), b = sim_add_client(sim, NULL, second);
	struct sim_result result[2];
	struct outcome outcome;

	sim_run(sim, SIM_SEC);
	sim_reset(sim);
	sim_run(sim, SIM_SEC + measure_ns);
	sim_result(sim, a, &result[0]);
	sim_result(sim, b, &result[1]);
	outcome = (struct outcome){
		.share_pct = sim_share_pct(sim, a),
		.ios_pct = 100 * result[0].iops / (result[0].iops + result[1].iops),
		.iops = result[0].iops + result[1].iops,
		.p99_ms = {(double)result[0].p99_ns / 1e6, (double)result[1].p99_ns / 1e6},
	};
	sim_destroy(sim);
	return outcome;
}

static struct sim_client client_of(unsigned weight, unsigned depth)
{
	return (struct sim_client){.weight = weight, .depth = depth, .write_pct = 50};
}

/* ---- the ratios ---- */

static void check_ratios(const struct disk_case *disk)
{
	static const unsigned wanted[] = {80, 50, 20, 10};
	static const unsigned throttles[] = {1, 4, 8, 32, 0};

	printf("\n%s, 128 + 128 requests of 4 KiB; share of the first, %%\n", disk->name);
	printf("  %-14s %-6s", "policy", "wanted");
	for (size_t t = 0; t < COUNT(throttles); t++)
		printf(throttles[t] ? "   io_throttle=%-2u" : "   io_throttle=auto", throttles[t]);
	printf("\n");
	for (int policy = FBS_POLICY_COST; policy <= FBS_POLICY_IOSIZE; policy++) {
		for (size_t w = 0; w < COUNT(wanted); w++) {
			struct sim_client a = client_of(wanted[w], 128);
			struct sim_client b = client_of(100 - wanted[w], 128);

			printf("  %-14s %2u:%-2u ", policy_names[policy], wanted[w],
			       100 - wanted[w]);
			for (size_t t = 0; t < COUNT(throttles); t++) {
				struct sim_params params = params_for(
					disk, &sim_fbs, (enum fbs_policy)policy, throttles[t]);
				struct outcome got = run_two(&params, &a, &b, disk->measure_ns);

				printf("  %6.2f (%4.0f/s)", got.share_pct, got.iops);
				fflush(stdout);
				assert_true(fabs(got.share_pct - wanted[w]) <= POINTS);
				assert_true(fabs(got.ios_pct - wanted[w]) <= POINTS);
			}
			printf("\n");
		}
	}
}

static void test_ratios_serial(void **state)
{
	struct disk_case disk = disk_2008();

	(void)state;
	check_ratios(&disk);
}

static void test_ratios_servers(void **state)
{
	struct disk_case disk = disk_servers();

	(void)state;
	check_ratios(&disk);
}

/*
 * Disks on which the window must first be found, and be found to be less than what the clients
 * have: while everything they have is at the disk, weights mean nothing.
 */
static void test_ratios_auto(void **state)
{
	static const struct {
		const char *name;
		unsigned depth;
		double points;
		uint64_t iops, warm_ns, measure_ns;
	} cases[] = {
		{"16 x 1 ms", 32, 1.0, 16000, 2 * SIM_SEC, 2 * SIM_SEC},
		{"16 x 1 ms", 128, POINTS, 16000, SIM_SEC, 2 * SIM_SEC},
		{"32 x 2 ms", 128, POINTS, 16000, SIM_SEC, 2 * SIM_SEC},
		{"exponential 32 x 2 ms", 128, POINTS, 16000, SIM_SEC, 2 * SIM_SEC},
		{"64 x 0.1 ms", 256, POINTS, 640000, SIM_SEC / 10, SIM_SEC / 10},
		{"RAM", 32, POINTS, 500000, SIM_SEC / 10, SIM_SEC / 10},
		{"capped 20000/s", 128, POINTS, 20000, SIM_SEC, 2 * SIM_SEC},
		{"capped 3000/s, burst", 128, POINTS, 3000, 3 * SIM_SEC, 5 * SIM_SEC},
	};
	const struct sim_disk disks[COUNT(cases)] = {
		sim_disk_channels(16, SIM_MS),	    sim_disk_channels(16, SIM_MS),
		sim_disk_channels(32, 2 * SIM_MS),  sim_disk_exponential(32, 2 * SIM_MS),
		sim_disk_channels(64, SIM_MS / 10), sim_disk_ram(),
		sim_disk_capped(20000, SIM_MS, 1),  sim_disk_capped(3000, SIM_MS / 2, 3000),
	};

	(void)state;
	printf("\nio_throttle=auto, wanted 80:20\n");
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct disk_case disk = {cases[i].name, disks[i], cases[i].iops, 0};
		struct sim_params params = params_for(&disk, &sim_fbs, FBS_POLICY_COST, 0);
		struct sim *sim = sim_create(&params);
		struct sim_client a = client_of(80, cases[i].depth),
				  b = client_of(20, cases[i].depth);
		int id = sim_add_client(sim, NULL, &a);
		double iops;

		sim_add_client(sim, NULL, &b);
		sim_run(sim, cases[i].warm_ns);
		sim_reset(sim);
		sim_run(sim, cases[i].warm_ns + cases[i].measure_ns);
		iops = (double)sim_total_ios(sim) * 1e9 / (double)cases[i].measure_ns;
		printf("  %-22s %3u + %-3u %6.2f  limit %3u  %.0f IO/s\n", cases[i].name,
		       cases[i].depth, cases[i].depth, sim_share_pct(sim, id),
		       params.ops->limit(sim_sched(sim)), iops);
		assert_true(fabs(sim_share_pct(sim, id) - 80) <= cases[i].points);
		assert_true(iops >= 0.98 * (double)cases[i].iops);
		sim_destroy(sim);
	}
}

/* Sizes differ: the ratio holds in tokens, which is what each policy is about. */
static void test_ratios_sizes(void **state)
{
	struct disk_case disk = disk_servers();
	struct sim_client a = client_of(80, 128), b = client_of(20, 128);

	(void)state;
	disk.disk.per_byte_ps = 15259; /* 1 ms for 64 KiB, as the prices say */
	a.max_bytes = 65536;
	b.min_bytes = b.max_bytes = 1 << 20; /* eight slices */
	printf("\n4 servers, 4..64 KiB against 1 MiB, wanted 80:20 in tokens\n");
	for (int policy = FBS_POLICY_COST; policy <= FBS_POLICY_IOSIZE; policy++) {
		for (unsigned throttle = 0; throttle <= 8; throttle += 8) {
			struct sim_params params =
				params_for(&disk, &sim_fbs, (enum fbs_policy)policy, throttle);
			struct outcome got = run_two(&params, &a, &b, 20 * SIM_SEC);

			printf("  %-14s io_throttle=%u  %.2f\n", policy_names[policy], throttle,
			       got.share_pct);
			assert_true(fabs(got.share_pct - 80) <= POINTS);
		}
	}
}

/* ---- the negative control ---- */

static double ioband_share(unsigned weight, unsigned depth_a, unsigned depth_b)
{
	struct disk_case disk = disk_2008();
	struct sim_params params = params_for(&disk, &sim_ioband, FBS_POLICY_WEIGHT, 0);
	struct sim_client a = client_of(weight, depth_a), b = client_of(100 - weight, depth_b);

	return run_two(&params, &a, &b, 400 * SIM_SEC).share_pct;
}

static double our_share(unsigned weight, unsigned depth_a, unsigned depth_b, unsigned throttle)
{
	struct disk_case disk = disk_2008();
	struct sim_params params = params_for(&disk, &sim_fbs, FBS_POLICY_WEIGHT, throttle);
	struct sim_client a = client_of(weight, depth_a), b = client_of(100 - weight, depth_b);

	return run_two(&params, &a, &b, 100 * SIM_SEC).share_pct;
}

/*
 * Of ours at any depth, one request each included: the disk waits a moment for the next one of
 * whoever is owed service.
 */
static void test_ioband_fails(void **state)
{
	static const unsigned depths[][2] = {{1, 1}, {2, 2}, {3, 3},   {4, 4},	   {5, 5},
					     {6, 6}, {8, 8}, {32, 32}, {128, 128}, {1, 128}};

	(void)state;
	printf("\nserial, 158 IO/s, wanted 80:20; share of the first, %%\n");
	printf("  %-9s %-10s io_throttle=1      auto\n", "depths", "dm-ioband");
	for (size_t i = 0; i < COUNT(depths); i++) {
		unsigned a = depths[i][0], b = depths[i][1];
		double theirs = ioband_share(80, a, b), ours = our_share(80, a, b, 1);

		printf("  %3u:%-5u %9.2f %13.2f %9.2f\n", a, b, theirs, ours,
		       our_share(80, a, b, 0));
		if (a == 1 && b == 128)
			assert_true(fabs(theirs - 0.8) <= 0.5);
		else if (a <= 4)
			assert_true(fabs(theirs - 50) <= 1);
		else if (a >= 6)
			assert_true(fabs(theirs - 80) <= 1);
		assert_true(fabs(ours - 80) <= POINTS);
		assert_true(fabs(our_share(80, a, b, 0) - 80) <= POINTS);
	}
}

/* ---- what it must not cost ---- */

static void test_one_sided(void **state)
{
	struct disk_case disks[] = {disk_2008(), disk_servers()};

	(void)state;
	printf("\none-sided load, weight 1 beside an idle 10000; IO/s of the disk's\n");
	for (size_t d = 0; d < COUNT(disks); d++) {
		for (unsigned throttle = 0; throttle <= 4; throttle += 4) {
			struct sim_params params =
				params_for(&disks[d], &sim_fbs, FBS_POLICY_COST, throttle);
			struct sim_client busy = client_of(1, 128), idle = client_of(10000, 1);
			struct outcome got;

			idle.from_ns = 1000 * SIM_SEC;
			got = run_two(&params, &busy, &idle, 20 * SIM_SEC);
			printf("  %-18s io_throttle=%u  %.1f of %u\n", disks[d].name, throttle,
			       got.iops, (unsigned)disks[d].iops);
			assert_true(got.share_pct == 100);
			assert_true(got.iops >= 0.98 * (double)disks[d].iops);
		}
	}
}

/* A client that slept gets its share within 100 ms of waking, and no more than it. */
static void check_wake(unsigned throttle, unsigned weight)
{
	struct disk_case disk = disk_servers();
	struct sim_params params = params_for(&disk, &sim_fbs, FBS_POLICY_COST, throttle);
	struct sim *sim = sim_create(&params);
	struct sim_client awake = client_of(100 - weight, 128), sleeper = client_of(weight, 128);
	double share[5];
	int id;

	sleeper.from_ns = 5 * SIM_SEC;
	sim_add_client(sim, NULL, &awake);
	id = sim_add_client(sim, NULL, &sleeper);
	sim_run(sim, 5 * SIM_SEC - 1);
	for (unsigned i = 0; i < COUNT(share); i++) {
		sim_reset(sim);
		sim_run(sim, 5 * SIM_SEC + (i + 1) * 100 * SIM_MS);
		share[i] = sim_share_pct(sim, id);
	}
	printf("  weight %2u of 100, io_throttle=%-2u ", weight, throttle);
	for (unsigned i = 0; i < COUNT(share); i++) {
		printf(" %6.2f", share[i]);
		/* 400 slices in 100 ms: one more or less is a quarter of a point, D at the start */
		assert_true(fabs(share[i] - weight) <= 1.0);
	}
	printf("\n");
	sim_destroy(sim);
}

static void test_wake(void **state)
{
	(void)state;
	printf("\nwakes after 5 s, 4 servers x 1 ms; share in each 100 ms since\n");
	check_wake(4, 80);
	check_wake(4, 20);
	check_wake(32, 80);
	check_wake(0, 80);
	check_wake(0, 10);
}

/* Groups: a 60 { a1 1, a2 3 } and b 40; then a2 pauses and a1 has all of a's share. */
static void test_tree(void **state)
{
	static const double both[] = {15, 45, 40}, paused[] = {60, 0, 40};

	(void)state;
	printf("\na 60 { a1 1, a2 3 }, b 40; share of a1, a2, b; then without a2\n");
	for (int policy = FBS_POLICY_COST; policy <= FBS_POLICY_IOSIZE; policy++) {
		struct disk_case disk = disk_servers();
		struct sim_params params = params_for(&disk, &sim_fbs, (enum fbs_policy)policy, 0);
		struct sim *sim = sim_create(&params);
		void *group = sim_add_group(sim, NULL, 60);
		struct sim_client a1 = client_of(1, 64), a2 = client_of(3, 64),
				  b = client_of(40, 64);
		int ids[3];

		a2.until_ns = 6 * SIM_SEC;
		ids[0] = sim_add_client(sim, group, &a1);
		ids[1] = sim_add_client(sim, group, &a2);
		ids[2] = sim_add_client(sim, NULL, &b);
		sim_run(sim, SIM_SEC);
		sim_reset(sim);
		sim_run(sim, 6 * SIM_SEC);
		printf("  %-14s", policy_names[policy]);
		for (unsigned i = 0; i < 3; i++) {
			printf(" %6.2f", sim_share_pct(sim, ids[i]));
			assert_true(fabs(sim_share_pct(sim, ids[i]) - both[i]) <= POINTS);
		}
		sim_run(sim, 7 * SIM_SEC); /* what a2 had queued goes out */
		sim_reset(sim);
		sim_run(sim, 12 * SIM_SEC);
		printf("  ");
		for (unsigned i = 0; i < 3; i++) {
			printf(" %6.2f", sim_share_pct(sim, ids[i]));
			assert_true(fabs(sim_share_pct(sim, ids[i]) - paused[i]) <= POINTS);
		}
		printf("\n");
		sim_destroy(sim);
	}
}

/* ---- the simulator itself ---- */

/* Same seed, same run, to the last bit; and every disk model does what it says. */
static void test_replay(void **state)
{
	struct sim_result results[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct sim_params params = {.ops = &sim_fbs,
					    .disk = sim_disk_seek(SIM_MS, 8 * SIM_MS, SIM_NEAREST),
					    .seed = 7,
					    .check = true};
		struct sim *sim;
		struct sim_client client = {.weight = 1,
					    .depth = 8,
					    .think_ns = 3 * SIM_MS,
					    .max_bytes = 65536,
					    .write_pct = 30,
					    .fsync_every = 10,
					    .on_ns = SIM_SEC,
					    .off_ns = SIM_SEC / 2};
		int id;

		params.disk.flush_ns = 5 * SIM_MS;
		sim = sim_create(&params);
		id = sim_add_client(sim, NULL, &client);
		sim_add_client(sim, NULL, &client);
		sim_run(sim, 20 * SIM_SEC);
		sim_result(sim, id, &results[i]);
		sim_destroy(sim);
	}
	assert_true(results[0].ios > 100 && results[0].flushes > 1);
	assert_memory_equal(&results[0], &results[1], sizeof(results[0]));
}

/* Requests per second of one fifo client on a disk. */
static double fifo_iops(struct sim_disk disk, unsigned depth, uint64_t from_ns, uint64_t to_ns)
{
	struct sim_params params = {.ops = &sim_fifo, .disk = disk, .seed = 1};
	struct sim *sim = sim_create(&params);
	struct sim_client client = {.weight = 1, .depth = depth};
	struct sim_result result;
	int id = sim_add_client(sim, NULL, &client);

	sim_run(sim, from_ns);
	sim_reset(sim);
	sim_run(sim, to_ns);
	sim_result(sim, id, &result);
	sim_destroy(sim);
	return result.iops;
}

static void test_models(void **state)
{
	struct sim_disk stalls = sim_disk_serial(SIM_MS), changes = sim_disk_serial(SIM_MS);
	double fifo_order, nearest_order;

	(void)state;
	assert_true(fabs(fifo_iops(sim_disk_serial(SIM_MS), 8, SIM_SEC, 2 * SIM_SEC) - 1000) <= 1);
	assert_true(fabs(fifo_iops(sim_disk_channels(4, SIM_MS), 2, SIM_SEC, 2 * SIM_SEC) - 2000) <=
		    2);
	assert_true(fabs(fifo_iops(sim_disk_exponential(4, SIM_MS), 64, 0, 20 * SIM_SEC) - 4000) <=
		    80);
	/* a cap of 1000 with 1 ms: 1 request 500/s (saving up nothing), 4 are enough for the cap */
	assert_true(fabs(fifo_iops(sim_disk_capped(1000, SIM_MS, 1), 4, SIM_SEC, 3 * SIM_SEC) -
			 1000) <= 1);
	/* 100 saved up: 1100 in the first second */
	assert_true(fabs(fifo_iops(sim_disk_capped(1000, SIM_MS, 100), 64, 0, SIM_SEC) - 1100) <=
		    5);

	stalls.stall_at_ns = SIM_SEC / 4;
	stalls.stall_for_ns = SIM_SEC / 2;
	assert_true(fabs(fifo_iops(stalls, 4, 0, SIM_SEC) - 500) <= 1);
	stalls.stall_every_ns = SIM_SEC;
	assert_true(fabs(fifo_iops(stalls, 4, 0, 4 * SIM_SEC) - 500) <= 1);
	changes.change_at_ns = SIM_SEC;
	changes.changed_pct = 400;
	assert_true(fabs(fifo_iops(changes, 4, 0, SIM_SEC) - 1000) <= 1);
	assert_true(fabs(fifo_iops(changes, 4, SIM_SEC, 2 * SIM_SEC) - 250) <= 1);

	fifo_order = fifo_iops(sim_disk_seek(SIM_MS, 9 * SIM_MS, SIM_FIFO), 32, 0, 20 * SIM_SEC);
	nearest_order =
		fifo_iops(sim_disk_seek(SIM_MS, 9 * SIM_MS, SIM_NEAREST), 32, 0, 20 * SIM_SEC);
	printf("\nspindle of 1..9 ms, 32 queued: %.0f IO/s in order, %.0f nearest first\n",
	       fifo_order, nearest_order);
	assert_true(nearest_order > 1.3 * fifo_order);
}

static void test_histogram(void **state)
{
	static struct sim_hist hist;
	struct sim_rng rng = {1};
	uint64_t sum = 0;

	(void)state;
	assert_int_equal(sim_hist_percentile(&hist, 50), 0);
	for (uint64_t i = 1; i <= 1000; i++)
		sim_hist_add(&hist, i * SIM_US);
	assert_int_equal(hist.count, 1000);
	assert_true(sim_hist_percentile(&hist, 50) >= 500 * SIM_US);
	assert_true(sim_hist_percentile(&hist, 50) <= 520 * SIM_US);
	assert_true(sim_hist_percentile(&hist, 99) >= 990 * SIM_US);
	assert_int_equal(sim_hist_percentile(&hist, 100), 1000 * SIM_US);
	sim_hist_add(&hist, UINT64_MAX);
	assert_true(sim_hist_percentile(&hist, 100) == UINT64_MAX);
	for (int i = 0; i < 100000; i++)
		sum += sim_rng_exponential(&rng, SIM_MS);
	assert_true(fabs((double)sum / 1e5 / 1e6 - 1) < 0.02);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_histogram),      cmocka_unit_test(test_models),
		cmocka_unit_test(test_replay),	       cmocka_unit_test(test_ratios_serial),
		cmocka_unit_test(test_ratios_servers), cmocka_unit_test(test_ratios_auto),
		cmocka_unit_test(test_ratios_sizes),   cmocka_unit_test(test_ioband_fails),
		cmocka_unit_test(test_one_sided),      cmocka_unit_test(test_wake),
		cmocka_unit_test(test_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
