/* SPDX-License-Identifier: MIT */
/*
 * test_caps.c - caps: all six of them, each second, within 1 %; bursts; one cap over several leaves
 * and over two disks; caps, reservations and weights together.
 *
 * Figures count requests that were answered; those that were on their way at the ends of a
 * second are why one or two more or less are allowed besides.
 */
#include "tests/sim/proof.h"

static struct sim_disk four(void)
{
	return sim_disk_channels(4, SIM_MS);
}

static struct sim_disk many(void)
{
	return sim_disk_channels(32, 2 * SIM_MS);
}

/*
 * Prices are given: what is proved is how caps and shares work together, and weights share out the
 * price of requests.
 */
static struct sim_params params_for(const struct sim_disk *disk, uint64_t iops)
{
	struct sim_params params = {.ops = &sim_fbs, .disk = *disk, .seed = 5};

	params.sched.fbs.capability = (struct fbs_capability){.read_iops = iops,
							      .write_iops = iops,
							      .read_bps = UINT64_C(1000000000000),
							      .write_bps = UINT64_C(1000000000000)};
	return params;
}

struct range {
	double least, most;
};

static void widen(struct range *range, double value, bool first)
{
	range->least = first ? value : fmin(range->least, value);
	range->most = first ? value : fmax(range->most, value);
}

/* ---- the six ---- */

struct row {
	const char *name;
	struct fbs_max max;
	uint64_t bytes;
	double reads, writes, all; /* a second, 0: not capped */
};

static void check_row(const char *disk_name, const struct sim_disk *disk, uint64_t iops,
		      const struct row *row, uint64_t late_ns)
{
	struct sim_params params = params_for(disk, iops);
	unsigned depth = iops > 10000 ? 64 : 32;
	struct sim_client reader = {.weight = 100, .depth = depth, .min_bytes = row->bytes},
			  writer = reader, other = {.weight = 100, .depth = 128};
	struct range reads = {0}, writes = {0}, all = {0}, rest = {0};
	struct fbs_cap *cap = fbs_cap_create(&row->max);
	struct sim *sim;
	int r, w, o;

	writer.write_pct = 100;
	params.late_ns = late_ns;
	sim = sim_create(&params);
	r = sim_add_client(sim, NULL, &reader);
	w = sim_add_client_to(sim, r, &writer); /* reads and writes of one guest */
	o = sim_add_client(sim, NULL, &other);
	fbs_set_cap(sim_sched(sim), sim_leaf(sim, r), cap);
	sim_run(sim, 2 * SIM_SEC);
	for (unsigned s = 0; s < 10; s++) {
		struct sim_result got, put, beside;

		sim_reset(sim);
		sim_run(sim, (3 + s) * SIM_SEC);
		sim_result(sim, r, &got);
		sim_result(sim, w, &put);
		sim_result(sim, o, &beside);
		widen(&reads, got.iops, s == 0);
		widen(&writes, put.iops, s == 0);
		widen(&all, got.iops + put.iops, s == 0);
		widen(&rest, beside.iops, s == 0);
	}
	printf("  %-10s %-22s %4llu KiB %3.1f ms  %6.0f..%-6.0f %6.0f..%-6.0f %6.0f..%-6.0f "
	       "%6.0f..%-6.0f\n",
	       disk_name, row->name, (unsigned long long)(row->bytes / KIB), MS(late_ns),
	       reads.least, reads.most, writes.least, writes.most, all.least, all.most, rest.least,
	       rest.most);
	if (row->reads > 0) {
		HOLDS(reads.least, row->reads * 0.99 - 1, row->reads * 1.01 + 1);
		HOLDS(reads.most, row->reads * 0.99 - 1, row->reads * 1.01 + 1);
	}
	if (row->writes > 0) {
		HOLDS(writes.least, row->writes * 0.99 - 1, row->writes * 1.01 + 1);
		HOLDS(writes.most, row->writes * 0.99 - 1, row->writes * 1.01 + 1);
	}
	if (row->all > 0) {
		HOLDS(all.least, row->all * 0.99 - 1, row->all * 1.01 + 1);
		HOLDS(all.most, row->all * 0.99 - 1, row->all * 1.01 + 1);
	} else { /* the other direction takes all the rest of this leaf's half */
		HOLDS(all.least, 0.485 * (double)iops, 0.505 * (double)iops);
		HOLDS(rest.least, 0.485 * (double)iops, 0.505 * (double)iops);
	}
	sim_destroy(sim);
	fbs_cap_unref(cap);
}

static void test_six(void **state)
{
	static const struct row rows[] = {
		{"max_iops 500", {.iops = 500}, 4 * KIB, 0, 0, 500},
		{"max_iops 37", {.iops = 37}, 4 * KIB, 0, 0, 37},
		{"max_iops 500", {.iops = 500}, 128 * KIB, 0, 0, 125},
		{"  of iops_size 128K",
		 {.iops = 500, .iops_size_bytes = 128 * KIB},
		 128 * KIB,
		 0,
		 0,
		 500},
		{"max_bps 4M", {.bps = 4 * MIB}, 4 * KIB, 0, 0, 1024},
		{"max_bps 20M", {.bps = 20 * MIB}, 64 * KIB, 0, 0, 320},
		{"max_bps 20M", {.bps = 20 * MIB}, MIB, 0, 0, 20},
		{"max_read_iops 300", {.read_iops = 300}, 4 * KIB, 300, 0, 0},
		{"max_read_bps 2M", {.read_bps = 2 * MIB}, 4 * KIB, 512, 0, 0},
		{"max_write_iops 300", {.write_iops = 300}, 4 * KIB, 0, 300, 0},
		{"max_write_bps 2M", {.write_bps = 2 * MIB}, 4 * KIB, 0, 512, 0},
		{"reads 300, writes 700",
		 {.read_iops = 300, .write_iops = 700},
		 4 * KIB,
		 300,
		 700,
		 1000},
		{"  and all 800",
		 {.read_iops = 300, .write_iops = 700, .iops = 800},
		 4 * KIB,
		 300,
		 500,
		 800},
		{"all six",
		 {.iops = 900,
		  .bps = 4 * MIB,
		  .read_iops = 300,
		  .read_bps = MIB,
		  .write_iops = 700,
		  .write_bps = 2 * MIB},
		 4 * KIB,
		 256,
		 512,
		 768},
	};
	const struct sim_disk disks[] = {four(), many()};

	(void)state;
	printf("\na capped guest, reads and writes, beside one of equal weight: a second,\n"
	       "least..most of ten; wake-ups on time, and 1 ms late\n"
	       "  %-10s %-22s %8s %6s  %-14s %-14s %-14s %s\n",
	       "disk", "cap", "", "late", "reads", "writes", "both", "the other");
	for (size_t i = 0; i < COUNT(rows); i++) {
		check_row("4 x 1 ms", &disks[0], 4000, &rows[i], 0);
		check_row("4 x 1 ms", &disks[0], 4000, &rows[i], SIM_MS);
		check_row("32 x 2 ms", &disks[1], 16000, &rows[i], 0);
	}
	proof_verdict();
}

/* Fast enough that a wake-up for each request would be too many. */
static void test_fast(void **state)
{
	static const uint64_t rates[] = {10000, 100000, 300000};

	(void)state;
	printf("\nfast caps alone on a disk as fast as RAM: IO/s in each of ten 100 ms\n");
	for (size_t i = 0; i < COUNT(rates); i++)
		for (unsigned late = 0; late < 3; late++) {
			struct sim_params params = {
				.ops = &sim_fbs,
				.disk = sim_disk_ram(),
				.seed = 5,
				.late_ns = late * SIM_MS,
			};
			struct sim *sim = sim_create(&params);
			struct fbs_cap *cap = fbs_cap_create(&(struct fbs_max){.iops = rates[i]});
			/* as many as come up in 5 ms */
			int id = sim_add_client(sim, NULL,
						&(struct sim_client){.weight = 1, .depth = 2048});
			struct range range = {0};

			fbs_set_cap(sim_sched(sim), sim_leaf(sim, id), cap);
			sim_run(sim, 200 * SIM_MS);
			for (unsigned n = 0; n < 10; n++) {
				struct sim_result result;

				sim_reset(sim);
				sim_run(sim, (300 + n * 100) * SIM_MS);
				sim_result(sim, id, &result);
				widen(&range, result.iops, n == 0);
			}
			printf("  max_iops %6llu, late %u ms  %8.0f..%-8.0f\n",
			       (unsigned long long)rates[i], late, range.least, range.most);
			HOLDS(range.least, 0.98 * (double)rates[i], 1.02 * (double)rates[i]);
			HOLDS(range.most, 0.98 * (double)rates[i], 1.02 * (double)rates[i]);
			sim_destroy(sim);
			fbs_cap_unref(cap);
		}
	proof_verdict();
}

/* ---- bursts ---- */

/*
 * Idle for a while, then all at once: what was saved up goes as fast as the disk can, and then the
 * rate holds to the request.
 */
static void check_burst(uint64_t burst_ns, uint64_t iops, uint64_t idle_ns)
{
	struct sim_disk disk = many();
	struct sim_params params = params_for(&disk, 16000);
	struct sim *sim = sim_create(&params);
	struct fbs_cap *cap = fbs_cap_create(&(struct fbs_max){.iops = iops, .burst_ns = burst_ns});
	uint64_t saved_ns = idle_ns < burst_ns ? idle_ns : burst_ns;
	double wanted, saved;
	int id = sim_add_client(
		sim, NULL,
		&(struct sim_client){
			.weight = 1, .depth = 64, .on_ns = 20 * SIM_SEC, .off_ns = idle_ns});

	if (saved_ns < 10 * SIM_MS)
		saved_ns = 10 * SIM_MS;
	saved = (double)iops * (double)saved_ns / 1e9;
	fbs_set_cap(sim_sched(sim), sim_leaf(sim, id), cap);
	sim_run(sim, 20 * SIM_SEC + idle_ns - 1);
	printf("  burst %5.2f s of %5llu/s after %4.1f s: ", (double)burst_ns / 1e9,
	       (unsigned long long)iops, (double)idle_ns / 1e9);
	for (unsigned n = 1; n <= 5; n++) {
		struct sim_result result;

		sim_reset(sim);
		sim_run(sim, 20 * SIM_SEC + idle_ns - 1 + n * SIM_SEC);
		sim_result(sim, id, &result);
		printf(" %6llu", (unsigned long long)result.ios);
		wanted = (double)iops + (n == 1 ? saved : 0);
		/* the 64 that were sent before the pause used up a little of it */
		HOLDS(result.iops, wanted * 0.99 - 64 * (n == 1), wanted * 1.01 + 1);
	}
	printf("\n");
	sim_destroy(sim);
	fbs_cap_unref(cap);
}

static void test_burst(void **state)
{
	(void)state;
	printf("\nbursts: requests in each second after a pause\n");
	check_burst(0, 500, 5 * SIM_SEC);
	check_burst(SIM_SEC / 2, 500, 5 * SIM_SEC);
	check_burst(2 * SIM_SEC, 500, 5 * SIM_SEC);
	check_burst(2 * SIM_SEC, 500, SIM_SEC);
	check_burst(SIM_SEC, 4000, 5 * SIM_SEC);
	check_burst(10 * SIM_SEC, 37, 3 * SIM_SEC);
	proof_verdict();
}

/* ---- one cap over several ---- */

struct team {
	const char *name;
	struct sim_disk disks[2];
	uint64_t iops; /* of disk 0 */
	unsigned depths[2];
	uint64_t max_iops;
	uint64_t late_ns;
};

/*
 * A tenant with two files (1:3) on one disk and one on another, and a neighbour on the first: the
 * cap is shared half and half by the disks as long as both want it, then the one has all.
 */
static void check_team(const struct team *t)
{
	struct sim_params params = params_for(&t->disks[0], t->iops);
	struct sim_client one = {.weight = 1, .depth = t->depths[0]},
			  three = {.weight = 3, .depth = t->depths[0]},
			  beyond = {.disk = 1,
				    .weight = 1,
				    .depth = t->depths[1],
				    .until_ns = 8 * SIM_SEC},
			  neighbour = {.weight = 100, .depth = 64};
	struct fbs_cap *cap = fbs_cap_create(&(struct fbs_max){.iops = t->max_iops});
	struct range all = {0}, part = {0}, late = {0};
	struct sim_result result[4];
	struct sim *sim;
	void *groups[2];
	int ids[4];

	params.late_ns = t->late_ns;
	sim = sim_create(&params);
	sim_add_disk(sim, &params.sched, &t->disks[1]);
	for (unsigned d = 0; d < 2; d++) {
		groups[d] = sim_add_group_on(sim, d, NULL, 100);
		fbs_set_cap(sim_sched_of(sim, d), groups[d], cap);
	}
	ids[0] = sim_add_client(sim, groups[0], &one);
	ids[1] = sim_add_client(sim, groups[0], &three);
	ids[2] = sim_add_client(sim, groups[1], &beyond);
	ids[3] = sim_add_client(sim, NULL, &neighbour);
	sim_run(sim, 2 * SIM_SEC);
	for (unsigned s = 3; s <= 12; s++) {
		sim_reset(sim);
		sim_run(sim, s * SIM_SEC);
		for (unsigned i = 0; i < COUNT(ids); i++)
			sim_result(sim, ids[i], &result[i]);
		if (s == 9 || s == 10) /* what the other disk had queued goes out */
			continue;
		widen(&all, result[0].iops + result[1].iops + result[2].iops, s == 3);
		if (s <= 8)
			widen(&part, result[2].iops, s == 3);
		else
			widen(&late, result[0].iops + result[1].iops, s == 11);
		if (s == 8)
			HOLDS(result[1].iops / result[0].iops, 2.8, 3.2);
	}
	printf("  %-24s %5llu %3u:%-3u %3.1f ms %6.0f..%-6.0f %6.0f..%-6.0f %6.0f..%-6.0f %6.0f\n",
	       t->name, (unsigned long long)t->max_iops, t->depths[0], t->depths[1], MS(t->late_ns),
	       all.least, all.most, part.least, part.most, late.least, late.most, result[3].iops);
	HOLDS(all.least, (double)t->max_iops * 0.99 - 1, (double)t->max_iops * 1.01 + 1);
	HOLDS(all.most, (double)t->max_iops * 0.99 - 1, (double)t->max_iops * 1.01 + 1);
	HOLDS(part.least, (double)t->max_iops * 0.48, (double)t->max_iops * 0.52);
	HOLDS(part.most, (double)t->max_iops * 0.48, (double)t->max_iops * 0.52);
	HOLDS(late.least, (double)t->max_iops * 0.99 - 1, (double)t->max_iops * 1.01 + 1);
	HOLDS(result[3].iops, 0.97 * ((double)t->iops - (double)t->max_iops),
	      1.01 * ((double)t->iops - (double)t->max_iops));
	sim_destroy(sim);
	fbs_cap_unref(cap);
}

static void test_team(void **state)
{
	const struct sim_disk f = four(), m = many(), s = sim_disk_serial(SIM_MS / 2);
	const struct team teams[] = {
		{"4 x 1 ms, 4 x 1 ms", {f, f}, 4000, {64, 64}, 1000, 0},
		{"4 x 1 ms, 4 x 1 ms", {f, f}, 4000, {64, 64}, 1000, SIM_MS},
		{"4 x 1 ms, 4 x 1 ms", {f, f}, 4000, {4, 128}, 1000, 0},
		{"4 x 1 ms, 4 x 1 ms", {f, f}, 4000, {64, 64}, 100, 0},
		{"4 x 1 ms, 32 x 2 ms", {f, m}, 4000, {64, 64}, 1000, 0},
		{"4 x 1 ms, 32 x 2 ms", {f, m}, 4000, {64, 64}, 1600, SIM_MS},
		{"32 x 2 ms, 1 x 0.5 ms", {m, s}, 16000, {64, 64}, 1500, 0},
	};

	(void)state;
	printf("\none cap on a tenant's files, 1:3 on one disk, one on another: a second\n"
	       "  %-24s %5s %7s %6s %-14s %-14s %-14s %s\n",
	       "disks", "cap", "depths", "late", "all of them", "other disk", "after it stops",
	       "neighbour");
	for (size_t i = 0; i < COUNT(teams); i++)
		check_team(&teams[i]);
	proof_verdict();
}

/* ---- caps, reservations and weights together ---- */

/*
 * Of 4000: a is promised 600 and may have 1000, b is promised 900 and has weight 1, c has weight
 * 300 and a cap far above its share, d weight 100. Caps first, then promises, then weights:
 * b 900; a, c, d share 3100 by 600:300:100, a is capped at 1000; c and d 2100 by 3:1.
 */
static void test_together(void **state)
{
	static const double wanted[] = {1000, 900, 1575, 525};
	struct sim_disk disk = four();
	struct sim_params params = params_for(&disk, 4000);

	(void)state;
	params.sched.fbs.io_throttle = 8;
	for (unsigned late = 0; late < 2; late++) {
		static const unsigned weights[] = {600, 1, 300, 100};
		struct fbs_cap *a_cap = fbs_cap_create(&(struct fbs_max){.iops = 1000});
		struct fbs_cap *c_cap =
			fbs_cap_create(&(struct fbs_max){.iops = 3000, .bps = 100 * MIB});
		struct sim *sim;
		int ids[4];

		params.late_ns = late * SIM_MS;
		sim = sim_create(&params);
		for (unsigned i = 0; i < 4; i++)
			ids[i] = sim_add_client(
				sim, NULL, &(struct sim_client){.weight = weights[i], .depth = 64});
		fbs_set_min(sim_sched(sim), sim_leaf(sim, ids[0]), &(struct fbs_min){.iops = 600});
		fbs_set_min(sim_sched(sim), sim_leaf(sim, ids[1]), &(struct fbs_min){.iops = 900});
		fbs_set_cap(sim_sched(sim), sim_leaf(sim, ids[0]), a_cap);
		fbs_set_cap(sim_sched(sim), sim_leaf(sim, ids[2]), c_cap);
		sim_run(sim, 2 * SIM_SEC);
		sim_reset(sim);
		sim_run(sim, 12 * SIM_SEC);
		printf("%s", late ? "  late 1 ms:" : "\npromises, caps and weights together:");
		for (unsigned i = 0; i < 4; i++) {
			struct sim_result result;

			sim_result(sim, ids[i], &result);
			printf(" %7.1f", result.iops);
			HOLDS(result.iops, wanted[i] * 0.98, wanted[i] * 1.02);
		}
		printf(" of 1000, 900, 1575, 525\n");
		sim_destroy(sim);
		fbs_cap_unref(a_cap);
		fbs_cap_unref(c_cap);
	}
	proof_verdict();
}

/* Another cap in the middle of a run acts at once, in both directions. */
static struct fbs_cap *changed_cap;

static void change_cap(struct sim *sim, void *id)
{
	fbs_cap_configure(changed_cap,
			  &(struct fbs_max){.iops = sim_now(sim) < 6 * SIM_SEC ? 2000 : 50});
	fbs_set_cap(sim_sched(sim), sim_leaf(sim, *(int *)id), changed_cap);
}

static void test_change(void **state)
{
	static const double wanted[] = {20, 200, 200, 200, 200, 200, 5, 5};
	struct sim_disk disk = four();
	struct sim_params params = params_for(&disk, 4000);
	struct sim *sim = sim_create(&params);
	int id = sim_add_client(sim, NULL, &(struct sim_client){.weight = 1, .depth = 64});

	(void)state;
	changed_cap = fbs_cap_create(&(struct fbs_max){.iops = 200});
	fbs_set_cap(sim_sched(sim), sim_leaf(sim, id), changed_cap);
	sim_at(sim, 5000 * SIM_MS, change_cap, &id);
	sim_at(sim, 6000 * SIM_MS, change_cap, &id);
	sim_run(sim, 4900 * SIM_MS);
	printf("\ncap 200, 2000 from 5 s on, 50 from 6 s on: requests in 100 ms from 4.9 s on:");
	for (unsigned n = 0; n < 14; n++) {
		struct sim_result result;

		sim_reset(sim);
		sim_run(sim, (5000 + n * 100) * SIM_MS);
		sim_result(sim, id, &result);
		printf(" %llu", (unsigned long long)result.ios);
		if (n < 5)
			HOLDS(result.ios, wanted[n] * 0.95 - 4, wanted[n] * 1.02 + 4);
		if (n >= 12)
			HOLDS(result.ios, 4, 6);
	}
	printf("\n");
	sim_destroy(sim);
	fbs_cap_unref(changed_cap);
	proof_verdict();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_six),	 cmocka_unit_test(test_fast),
		cmocka_unit_test(test_burst),	 cmocka_unit_test(test_team),
		cmocka_unit_test(test_together), cmocka_unit_test(test_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
