/* SPDX-License-Identifier: MIT */
/*
 * test_promises.c - reservations: min_iops and min_bps, of a leaf and of a group, against a flood
 * whose weight is 10000 times as large.
 *
 * A promise is met in each second within 2 %, on any disk that can keep it, and nobody pays for it
 * later than 200 ms afterwards: whoever joins then has its share, and so has its former holder.
 */
#include "tests/sim/proof.h"

#define SMALL 1
#define FLOOD 10000

struct kind {
	const char *name;
	struct sim_disk disk;
	unsigned io_throttle; /* beside auto */
	double iops;
};

static struct kind four(void)
{
	return (struct kind){"4 x 1 ms", sim_disk_channels(4, SIM_MS), 8, 4000};
}

static struct kind many(void)
{
	return (struct kind){"32 x 2 ms", sim_disk_channels(32, 2 * SIM_MS), 40, 16000};
}

static struct kind serial(void)
{
	return (struct kind){"1 x 0.5 ms", sim_disk_serial(SIM_MS / 2), 1, 2000};
}

static struct kind by_chance(void)
{
	return (struct kind){"exponential 4 x 1 ms", sim_disk_exponential(4, SIM_MS), 8, 4000};
}

static struct sim_params params_for(const struct kind *kind, bool fixed)
{
	struct sim_params params = {.ops = &sim_fbs, .disk = kind->disk, .seed = 5};

	params.sched.fbs.io_throttle = fixed ? kind->io_throttle : 0;
	return params;
}

/* ---- met, second by second ---- */

struct promise {
	struct fbs_min min;
	uint64_t bytes; /* of a request */
	unsigned depth;
	uint64_t late_ns; /* of wake-ups */
	double iops;	  /* requests a second that it comes to */
};

static void check_met(const struct kind *kind, const struct promise *p, bool fixed)
{
	struct sim_params params = params_for(kind, fixed);
	struct sim_client holder = {.weight = SMALL, .depth = p->depth, .min_bytes = p->bytes},
			  flood = {.weight = FLOOD, .depth = 128};
	double least = 1e9, most = 0, total = 0;
	struct sim_result result;
	struct sim *sim;
	int id;

	params.late_ns = p->late_ns;
	sim = sim_create(&params);
	id = sim_add_client(sim, NULL, &holder);
	sim_add_client(sim, NULL, &flood);
	fbs_set_min(sim_sched(sim), sim_leaf(sim, id), &p->min);
	for (unsigned s = 0; s < 11; s++) {
		sim_reset(sim);
		sim_run(sim, (s + 1) * SIM_SEC);
		sim_result(sim, id, &result);
		if (s == 0)
			continue;
		least = fmin(least, result.iops);
		most = fmax(most, result.iops);
		total += (double)sim_total_ios(sim) / 10;
	}
	printf("  %-20s %-4s %5llu %8.1f %4llu KiB %3u %8.1f %8.1f %8.1f  %5.1f %%\n", kind->name,
	       fixed ? "" : "auto", (unsigned long long)p->min.iops, (double)p->min.bps / 1e6,
	       (unsigned long long)(p->bytes / KIB), p->depth, p->iops, least, most,
	       100 * total / kind->iops);
	/* what one request more or less in a second is */
	HOLDS(least, p->iops * 0.98 - 1, p->iops * 1.02 + 1);
	HOLDS(most, p->iops * 0.98 - 1, p->iops * 1.02 + 1);
	sim_destroy(sim);
}

static void test_met(void **state)
{
	const struct kind kinds[] = {four(), many(), serial(), by_chance()};
	static const struct promise promises[] = {
		{.min = {.iops = 1000}, .bytes = 4 * KIB, .depth = 64, .iops = 1000},
		{.min = {.iops = 1000}, .bytes = 4 * KIB, .depth = 8, .iops = 1000},
		{.min = {.iops = 300}, .bytes = 4 * KIB, .depth = 64, .iops = 300},
		{.min = {.iops = 1000},
		 .bytes = 4 * KIB,
		 .depth = 64,
		 .late_ns = SIM_MS,
		 .iops = 1000},
		{.min = {.bps = 8192000}, .bytes = 16 * KIB, .depth = 64, .iops = 500},
		{.min = {.bps = 8192000}, .bytes = 4 * KIB, .depth = 64, .iops = 2000},
		{.min = {.bps = 64 * MIB}, .bytes = MIB, .depth = 8, .iops = 64},
		/* 128 KiB is one I/O, or four of 32 KiB, or 32 of 4 KiB */
		{.min = {.iops = 1000, .iops_size_bytes = 128 * KIB},
		 .bytes = 128 * KIB,
		 .depth = 64,
		 .iops = 1000},
		{.min = {.iops = 1000}, .bytes = 128 * KIB, .depth = 64, .iops = 250},
		{.min = {.iops = 3200, .iops_size_bytes = 4 * KIB},
		 .bytes = 128 * KIB,
		 .depth = 64,
		 .iops = 100},
		/* both: until both are met */
		{.min = {.iops = 500, .bps = 4096000}, .bytes = 4 * KIB, .depth = 64, .iops = 1000},
		{.min = {.iops = 500, .bps = 4096000}, .bytes = 64 * KIB, .depth = 64, .iops = 250},
	};

	(void)state;
	printf("\nweight 1 with a promise, against 128 requests of weight 10000: IO/s, each "
	       "second\n"
	       "  %-20s %-4s %5s %8s %8s %3s %8s %8s %8s %8s\n",
	       "disk", "", "iops", "bps, MB", "request", "d", "promised", "least", "most", "disk");
	for (size_t k = 0; k < COUNT(kinds); k++)
		for (size_t p = 0; p < COUNT(promises); p++) {
			if (promises[p].iops > kinds[k].iops / 2 + 1)
				continue;
			check_met(&kinds[k], &promises[p], true);
			check_met(&kinds[k], &promises[p], false);
		}
	proof_verdict();
}

/* A group's, shared by weight among its members; and another one beside it. */
static void check_group(const struct kind *kind, bool fixed)
{
	struct sim_params params = params_for(kind, fixed);
	struct sim *sim = sim_create(&params);
	void *group = sim_add_group(sim, NULL, SMALL);
	struct sim_client one = {.weight = 1, .depth = 64},
			  three = {.weight = 3, .depth = 64, .until_ns = 5 * SIM_SEC},
			  flood = {.weight = FLOOD, .depth = 128};
	int ids[4];

	ids[0] = sim_add_client(sim, group, &one);
	ids[1] = sim_add_client(sim, group, &three);
	ids[2] = sim_add_client(sim, NULL, &one);
	ids[3] = sim_add_client(sim, NULL, &flood);
	fbs_set_min(sim_sched(sim), group, &(struct fbs_min){.iops = 800});
	fbs_set_min(sim_sched(sim), sim_leaf(sim, ids[2]), &(struct fbs_min){.iops = 300});
	sim_run(sim, 2 * SIM_SEC);
	for (unsigned part = 0; part < 2; part++) {
		static const double wanted[2][3] = {{200, 600, 300}, {800, 0, 300}};

		sim_reset(sim);
		sim_run(sim, (part ? 9 : 5) * SIM_SEC);
		printf("  %-20s %-4s", kind->name, fixed ? "" : "auto");
		for (unsigned i = 0; i < COUNT(ids); i++) {
			struct sim_result result;

			sim_result(sim, ids[i], &result);
			printf(" %8.1f", result.iops);
			if (i < 3)
				HOLDS(result.iops, wanted[part][i] * 0.98, wanted[part][i] * 1.02);
		}
		printf("\n");
		sim_run(sim, 6 * SIM_SEC); /* what was queued goes out */
	}
	sim_destroy(sim);
}

static void test_group(void **state)
{
	const struct kind kinds[] = {four(), many(), serial()};

	(void)state;
	printf("\na group with 800 IO/s { 1, 3 }, a leaf with 300, the flood; then without the "
	       "3\n");
	for (size_t k = 0; k < COUNT(kinds); k++) {
		check_group(&kinds[k], true);
		check_group(&kinds[k], false);
	}
	proof_verdict();
}

/* ---- who pays, and for how long ---- */

/*
 * 4800 ms, then every 100 ms up to 5600 ms; what happens, happens at 5 s. From 200 ms after that
 * on, the share is to be `wanted`, and two requests more or less in 100 ms.
 */
static void follow(struct sim *sim, const struct kind *kind, int id, double wanted)
{
	double points = 0.02 * wanted + 100 * 2 / (kind->iops / 10);

	sim_run(sim, 4800 * SIM_MS);
	for (unsigned n = 0; n < 8; n++) {
		uint64_t to_ns = (4900 + n * 100) * SIM_MS;

		sim_reset(sim);
		sim_run(sim, to_ns);
		printf(" %5.1f", sim_share_pct(sim, id));
		if (to_ns > 5200 * SIM_MS) {
			HOLDS(sim_share_pct(sim, id), wanted - points, wanted + points);
			HOLDS(sim_share_pct(sim, id), 0.01, 100);
		}
	}
	printf("\n");
}

static void check_join(const struct kind *kind, bool fixed, uint64_t min_iops, unsigned weight)
{
	struct sim_params params = params_for(kind, fixed);
	struct sim *sim = sim_create(&params);
	struct sim_client holder = {.weight = SMALL, .depth = 64},
			  flood = {.weight = FLOOD, .depth = 128},
			  late = {.weight = weight, .depth = 128, .from_ns = 5 * SIM_SEC};
	double rest = 100 - 100 * (double)min_iops / kind->iops, wanted;
	int id, late_id;

	id = sim_add_client(sim, NULL, &holder);
	sim_add_client(sim, NULL, &flood);
	late_id = sim_add_client(sim, NULL, &late);
	fbs_set_min(sim_sched(sim), sim_leaf(sim, id), &(struct fbs_min){.iops = min_iops});
	wanted = rest * weight / (weight + FLOOD);
	printf("  %-20s %-4s min %5llu, %5u : %u  %5.1f %%: ", kind->name, fixed ? "" : "auto",
	       (unsigned long long)min_iops, weight, FLOOD, wanted);
	follow(sim, kind, late_id, wanted);
	sim_destroy(sim);
}

static void drop_promise(struct sim *sim, void *id)
{
	fbs_set_min(sim_sched(sim), sim_leaf(sim, *(int *)id), &(struct fbs_min){0});
}

static void check_drop(const struct kind *kind, bool fixed, uint64_t min_iops, unsigned other)
{
	struct sim_params params = params_for(kind, fixed);
	struct sim *sim = sim_create(&params);
	struct sim_client holder = {.weight = 100, .depth = 64},
			  flood = {.weight = other, .depth = 128};
	int id = sim_add_client(sim, NULL, &holder);
	double wanted = 100.0 * 100 / (100 + other);

	sim_add_client(sim, NULL, &flood);
	fbs_set_min(sim_sched(sim), sim_leaf(sim, id), &(struct fbs_min){.iops = min_iops});
	sim_at(sim, 5 * SIM_SEC, drop_promise, &id);
	printf("  %-20s %-4s min %5llu, %5u : %-5u %5.1f %%: ", kind->name, fixed ? "" : "auto",
	       (unsigned long long)min_iops, 100, other, wanted);
	follow(sim, kind, id, wanted);
	sim_destroy(sim);
}

static void test_join(void **state)
{
	const struct kind kinds[] = {four(), many(), serial()};

	(void)state;
	printf("\nsomebody joins at 5 s: its share in each 100 ms from 4.8 s on\n");
	for (size_t k = 0; k < COUNT(kinds); k++)
		for (unsigned fixed = 0; fixed < 2; fixed++) {
			check_join(&kinds[k], fixed, 1000, 10000);
			check_join(&kinds[k], fixed, 1000, 2500);
			check_join(&kinds[k], fixed, (uint64_t)(kinds[k].iops * 0.75), 10000);
		}
	proof_verdict();
}

static void test_drop(void **state)
{
	const struct kind kinds[] = {four(), many(), serial()};

	(void)state;
	printf("\na promise is taken back at 5 s: share of who had it in each 100 ms from 4.8 s "
	       "on\n");
	for (size_t k = 0; k < COUNT(kinds); k++)
		for (unsigned fixed = 0; fixed < 2; fixed++) {
			uint64_t most = (uint64_t)(kinds[k].iops * 0.9);

			check_drop(&kinds[k], fixed, most, 100);
			check_drop(&kinds[k], fixed, most, 300);
			check_drop(&kinds[k], fixed, most, 10000);
			check_drop(&kinds[k], fixed, most / 4, 100);
		}
	proof_verdict();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_met),
		cmocka_unit_test(test_group),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
