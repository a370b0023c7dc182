/* SPDX-License-Identifier: MIT */
/*
 * test_sim.c - the simulator does what it says: wake-ups by time, several disks and leaves, what
 * discards and turnarounds take. (Disk models and replay: test_2008.c.)
 */
#include "tests/sim/proof.h"

#define WITHIN(value, wanted, by) HOLDS(value, (wanted) - (by), (wanted) + (by))

static struct sim_result result_of(struct sim *sim, int id)
{
	struct sim_result result;

	sim_result(sim, id, &result);
	return result;
}

/* Alone on a fast disk with a cap: all that ever happens after an answer is a wake-up. */
static void test_wakeup(void **state)
{
	(void)state;
	for (uint64_t late_ns = 0; late_ns <= 20 * SIM_MS; late_ns += 20 * SIM_MS) {
		struct sim_params params = {.ops = &sim_fbs,
					    .disk = sim_disk_serial(SIM_MS / 10),
					    .seed = 1,
					    .late_ns = late_ns,
					    .check = true};
		struct sim *sim = sim_create(&params);
		struct fbs_cap *cap = fbs_cap_create(&(struct fbs_max){.iops = 10});
		int id = sim_add_client(sim, NULL, &(struct sim_client){.weight = 1, .depth = 2});

		fbs_set_cap(sim_sched(sim), sim_leaf(sim, id), cap);
		sim_run(sim, SIM_SEC);
		sim_reset(sim);
		sim_run(sim, 11 * SIM_SEC);
		/*
		 * asked for at 5 ms of credit, of which 10 ms are kept: 15 of 20 ms late are lost
		 */
		WITHIN(result_of(sim, id).ios, late_ns ? 10e3 / 115 : 100, 1);
		sim_destroy(sim);
		fbs_cap_unref(cap);
	}
	proof_verdict();
}

/* A wake-up that is not due any more is not taken for the one that is. */
static void raise_cap(struct sim *sim, void *arg)
{
	fbs_cap_configure(arg, &(struct fbs_max){.iops = 1000});
	fbs_set_cap(sim_sched(sim), sim_leaf(sim, 0), arg);
}

static void test_wakeup_replaced(void **state)
{
	struct sim_params params = {.ops = &sim_fbs, .disk = sim_disk_serial(SIM_MS / 10)};
	struct sim *sim = sim_create(&params);
	struct fbs_cap *cap = fbs_cap_create(&(struct fbs_max){.iops = 1});

	(void)state;
	sim_add_client(sim, NULL, &(struct sim_client){.weight = 1, .depth = 8});
	fbs_set_cap(sim_sched(sim), sim_leaf(sim, 0), cap);
	sim_at(sim, 10 * SIM_SEC + SIM_SEC / 2, raise_cap, cap);
	sim_run(sim, 10 * SIM_SEC + SIM_SEC / 2 - 1);
	WITHIN(result_of(sim, 0).ios, 11, 1);
	sim_reset(sim);
	sim_run(sim, 11 * SIM_SEC + SIM_SEC / 2 - 1);
	WITHIN(result_of(sim, 0).ios, 1000, 10);
	sim_destroy(sim);
	fbs_cap_unref(cap);
	proof_verdict();
}

static struct sim_result discard_alone(uint64_t discard_ns, uint64_t per_mib_ns, uint64_t bytes)
{
	struct sim_params params = {
		.ops = &sim_fifo,
		.disk = {.channels = 1, .discard_ns = discard_ns, .discard_per_mib_ns = per_mib_ns},
	};
	struct sim_client client = {
		.weight = 1, .depth = 1, .min_bytes = bytes, .sequential = true, .discard = true};

	return proof_pair(&params, &client, NULL, 0, 10 * SIM_SEC).a;
}

static void test_discards(void **state)
{
	(void)state;
	WITHIN(discard_alone(20 * SIM_MS, 0, 2 * GIB).ios, 500, 1);
	WITHIN(discard_alone(20 * SIM_MS, 0, 4 * KIB).ios, 500, 1);
	WITHIN(discard_alone(0, SIM_MS / 10, 2 * GIB).ios, 10e3 / 204.8, 1);
	WITHIN(discard_alone(SIM_MS, SIM_MS, MIB).ios, 5000, 1);
	WITHIN(MS(discard_alone(SIM_MS, SIM_MS, MIB).busy_ns), 10000, 3);
	proof_verdict();
}

static void test_turnaround(void **state)
{
	struct sim_params params = {.ops = &sim_fifo, .disk = sim_disk_serial(SIM_MS)};
	struct sim_client client = {.weight = 1, .depth = 1, .turnaround_ns = SIM_MS};

	(void)state;
	WITHIN(proof_pair(&params, &client, NULL, 0, 10 * SIM_SEC).a.ios, 5000, 1);
	client.depth = 2;
	WITHIN(proof_pair(&params, &client, NULL, 0, 10 * SIM_SEC).a.ios, 10000, 2);
	proof_verdict();
}

/* Two disks know nothing of each other; shares are of one disk. */
static void test_disks(void **state)
{
	struct sim_params params = {
		.ops = &sim_fbs, .disk = sim_disk_serial(SIM_MS), .check = true};
	struct sim_disk other = sim_disk_channels(4, SIM_MS);
	struct sim *sim = sim_create(&params);
	struct sim_client a = {.weight = 80, .depth = 16}, b = {.weight = 20, .depth = 16},
			  c = {.disk = 1, .weight = 1, .depth = 32};
	int ids[4];

	(void)state;
	params.sched.fbs.io_throttle = 6;
	assert_int_equal(sim_add_disk(sim, &params.sched, &other), 1);
	ids[0] = sim_add_client(sim, NULL, &a);
	ids[1] = sim_add_client(sim, NULL, &b);
	ids[2] = sim_add_client(sim, NULL, &c);
	ids[3] = sim_add_client_to(sim, ids[2], &c); /* of the same leaf */
	sim_run(sim, SIM_SEC);
	sim_reset(sim);
	sim_run(sim, 11 * SIM_SEC);
	WITHIN(sim_share_pct(sim, ids[0]), 80, 0.5);
	WITHIN(sim_share_pct(sim, ids[1]), 20, 0.5);
	WITHIN(sim_busy_pct(sim, ids[0]), 80, 0.5);
	WITHIN(sim_share_pct(sim, ids[2]), 100, 0);
	WITHIN(sim_share_pct(sim, ids[3]), 100, 0);
	WITHIN(result_of(sim, ids[0]).iops + result_of(sim, ids[1]).iops, 1000, 1);
	WITHIN(result_of(sim, ids[2]).iops + result_of(sim, ids[3]).iops, 4000, 5);
	WITHIN(result_of(sim, ids[2]).iops, 2000, 50);
	WITHIN(sim_total_ios(sim), 50000, 60);
	WITHIN(MS(result_of(sim, ids[2]).busy_ns + result_of(sim, ids[3]).busy_ns), 40000, 50);
	sim_destroy(sim);
	proof_verdict();
}

static void test_merge(void **state)
{
	static struct sim_hist all, parts[2];

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		sim_hist_add(&all, i * i * 1000);
		sim_hist_add(&parts[i % 3 == 0], i * i * 1000);
	}
	sim_hist_merge(&parts[0], &parts[1]);
	assert_memory_equal(&all, &parts[0], sizeof(all));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wakeup),	 cmocka_unit_test(test_wakeup_replaced),
		cmocka_unit_test(test_discards), cmocka_unit_test(test_turnaround),
		cmocka_unit_test(test_disks),	 cmocka_unit_test(test_merge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
