/* SPDX-License-Identifier: MIT */
/*
 * test_sched_metamorphic.c - the same script told differently has the same outcome.
 *
 *     SEED=1 test_sched_metamorphic
 *
 * All weights times k, nodes created in another order, the clock shifted: none of that means
 * anything to the scheduler, so it must issue the same slices in the same order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sched.h"
#include "tests/sim/sim.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define SCRIPT_LEAVES 9
#define SCRIPT_STEPS 3000
#define SCRIPTS 12

static uint64_t seed = 20080701;

struct variation {
	unsigned times_weight;
	bool permute;	   /* the order of creation */
	uint64_t shift_ns; /* of the clock */
	unsigned io_throttle;
	enum fbs_policy policy;
	bool round_weights; /* powers of two */
};

struct trace {
	unsigned n;
	struct {
		int leaf;
		uint64_t pos_bytes;
	} slices[SCRIPT_STEPS * 8];
	uint64_t tokens[SCRIPT_LEAVES];
	unsigned weight[SCRIPT_LEAVES];
	int parent[SCRIPT_LEAVES]; /* 0: root, 1, 2: a group */
};

static void script(uint64_t script_seed, const struct variation *v, struct trace *ret_trace)
{
	static struct fbs_req reqs[SCRIPT_STEPS];
	static struct fbs_slice out[SCRIPT_STEPS * 8];
	struct sim_rng rng = {script_seed};
	struct fbs_params params = {.policy = v->policy,
				    .io_throttle = v->io_throttle,
				    .capability = {1000, 1000, 100000000, 100000000}};
	struct fbs *fbs = fbs_create(&params);
	struct fbs_node *group[3], *leaf[SCRIPT_LEAVES] = {0};
	unsigned group_weight[3];
	unsigned done = 0;
	uint64_t now_ns = v->shift_ns;
	struct trace *t = ret_trace;

	assert_non_null(fbs);
	memset(t, 0, sizeof(*t));
	group[0] = fbs_root(fbs);
	for (int i = 1; i <= 2; i++)
		group_weight[i] = 1U << sim_rng_below(&rng, 6);
	for (int i = 0; i < SCRIPT_LEAVES; i++) {
		t->weight[i] = v->round_weights ? 1U << sim_rng_below(&rng, 6)
						: 1 + (unsigned)sim_rng_below(&rng, 100);
		t->parent[i] = (int)sim_rng_below(&rng, 3);
	}
	for (int i = 1; i <= 2; i++) {
		int g = v->permute ? 3 - i : i;

		group[g] = fbs_add_group(fbs, group[0], group_weight[g] * v->times_weight);
	}
	for (int i = 0; i < SCRIPT_LEAVES; i++) {
		int l = v->permute ? (i * 4 + 2) % SCRIPT_LEAVES : i;

		leaf[l] = fbs_add_leaf(fbs, group[t->parent[l]], t->weight[l] * v->times_weight);
	}
	for (unsigned i = 0; i < SCRIPT_STEPS; i++) {
		int l = (int)sim_rng_below(&rng, SCRIPT_LEAVES);
		uint64_t pos = sim_rng_below(&rng, 1000) * 4096;
		uint64_t len = (1 + sim_rng_below(&rng, 40)) * 4096;

		now_ns += sim_rng_below(&rng, 3 * SIM_MS);
		reqs[i] = (struct fbs_req){.pos_bytes = pos, .end_bytes = pos + len};
		fbs_push(fbs, leaf[l], &reqs[i], now_ns);
		for (unsigned pass = 0; pass < 1 + i % 3; pass++) {
			struct fbs_slice *slice = &out[t->n];

			while (t->n < COUNT(out) - 1 && fbs_next(fbs, now_ns, slice)) {
				for (l = 0; leaf[l] != slice->leaf; l++)
					;
				t->slices[t->n].leaf = l;
				t->slices[t->n].pos_bytes = slice->pos_bytes;
				slice = &out[++t->n];
			}
			now_ns += SIM_MS / 3;
			if (done < t->n)
				fbs_done(fbs, &out[done++], now_ns);
		}
	}
	for (int i = 0; i < SCRIPT_LEAVES; i++) {
		struct fbs_node_stats stats;

		fbs_node_stats(fbs, leaf[i], &stats);
		t->tokens[i] = stats.tokens;
	}
	while (done < t->n)
		fbs_done(fbs, &out[done++], now_ns);
	fbs_destroy(fbs);
}

static void assert_same(const struct trace *a, const struct trace *b)
{
	for (unsigned i = 0; i < a->n && i < b->n; i++) {
		assert_int_equal(a->slices[i].leaf, b->slices[i].leaf);
		assert_true(a->slices[i].pos_bytes == b->slices[i].pos_bytes);
	}
	assert_int_equal(a->n, b->n);
	assert_true(a->n > SCRIPT_STEPS / 2);
}

static struct trace plain, varied;

static void for_all(void (*compare)(uint64_t script_seed, struct variation base))
{
	for (unsigned i = 0; i < SCRIPTS; i++) {
		struct variation base = {.times_weight = 1,
					 .io_throttle = i % 4,
					 .policy = (enum fbs_policy)(i % 3),
					 .round_weights = true};

		compare(seed + i, base);
	}
}

/* Only the ratio of weights means anything. */
static void compare_scaled(uint64_t script_seed, struct variation base)
{
	struct variation other = base;

	script(script_seed, &base, &plain);
	other.times_weight = 128;
	script(script_seed, &other, &varied);
	assert_same(&plain, &varied);
	/* any weights, any factor: the odd rounding may swap two, never more than a slice or so */
	base.round_weights = other.round_weights = false;
	other.times_weight = 77;
	script(script_seed, &base, &plain);
	script(script_seed, &other, &varied);
	for (int i = 0; i < SCRIPT_LEAVES; i++) {
		int64_t apart = (int64_t)(plain.tokens[i] - varied.tokens[i]);
		int64_t slice = base.policy == FBS_POLICY_WEIGHT   ? 1
				: base.policy == FBS_POLICY_IOSIZE ? 256
								   : 2300000;

		assert_in_range(llabs(apart), 0, (uint64_t)slice << (FBS_TOKEN_SHIFT + 1));
	}
}

static void test_scaled_weights(void **state)
{
	(void)state;
	for_all(compare_scaled);
}

/* Which node was made first means nothing. */
static void compare_permuted(uint64_t script_seed, struct variation base)
{
	struct variation other = base;

	other.permute = true;
	script(script_seed, &base, &plain);
	script(script_seed, &other, &varied);
	assert_same(&plain, &varied);
}

static void test_order_of_creation(void **state)
{
	(void)state;
	for_all(compare_permuted);
}

/* What the clock says means nothing, only what passes. */
static void compare_shifted(uint64_t script_seed, struct variation base)
{
	static const uint64_t shifts[] = {SIM_MS, 3600 * SIM_SEC, UINT64_MAX / 2,
					  UINT64_MAX - 200 * SIM_SEC};

	script(script_seed, &base, &plain);
	for (size_t i = 0; i < COUNT(shifts); i++) {
		struct variation other = base;

		other.shift_ns = shifts[i];
		script(script_seed, &other, &varied);
		assert_same(&plain, &varied);
	}
}

static void test_shifted_time(void **state)
{
	(void)state;
	for_all(compare_shifted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scaled_weights),
		cmocka_unit_test(test_order_of_creation),
		cmocka_unit_test(test_shifted_time),
	};

	if (getenv("SEED"))
		seed = strtoull(getenv("SEED"), NULL, 0);
	printf("SEED=%llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
