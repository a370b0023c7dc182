/* SPDX-License-Identifier: MIT */
/*
 * test_sched_metamorphic.c - the same script told differently has the same outcome.
 *
 *     SEED=1 test_sched_metamorphic
 *
 * All weights times k, nodes created in another order, the clock shifted: none of that means
 * anything to the scheduler, so it must issue the same slices in the same order. Scripts are told
 * without and with classes, caps (one of two nodes), promises, anticipation, cancels, moves and new
 * weights.
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
#define SCRIPTS 24
#define START_NS (1000 * SIM_SEC) /* of a clock that is not shifted: caps are full by then */

static uint64_t seed = 20080701;

struct variation {
	unsigned times_weight;
	bool permute;	   /* the order of creation */
	uint64_t shift_ns; /* of the clock */
	unsigned io_throttle;
	enum fbs_policy policy;
	bool round_weights; /* powers of two */
	bool features;	    /* all of them */
	bool discards;	    /* charged for time: any number of tokens */
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

struct script {
	struct sim_rng rng;
	const struct variation *v;
	struct fbs *fbs;
	struct fbs_node *group[3], *leaf[SCRIPT_LEAVES];
	struct fbs_cap *cap[3];
	struct fbs_req reqs[SCRIPT_STEPS];
	struct fbs_slice out[SCRIPT_STEPS * 8];
	unsigned done;
	uint64_t now_ns;
	struct trace *trace;
};

static uint64_t below(struct script *s, uint64_t n)
{
	return sim_rng_below(&s->rng, n);
}

static void create(struct script *s)
{
	const struct variation *v = s->v;
	struct fbs_params params = {.policy = v->policy,
				    .io_throttle = v->io_throttle,
				    .isolation = v->features ? FBS_ISOLATION_STRICT
							     : FBS_ISOLATION_THROUGHPUT,
				    .capability = {1000, 1000, 100000000, 100000000}};
	struct trace *t = s->trace;
	unsigned group_weight[3];

	s->fbs = fbs_create(&params);
	assert_non_null(s->fbs);
	s->group[0] = fbs_root(s->fbs);
	for (int i = 1; i <= 2; i++)
		group_weight[i] = 1U << below(s, 6);
	for (int i = 0; i < SCRIPT_LEAVES; i++) {
		t->weight[i] = v->round_weights ? 1U << below(s, 6) : 1 + (unsigned)below(s, 100);
		t->parent[i] = (int)below(s, 3);
	}
	for (int i = 1; i <= 2; i++) {
		int g = v->permute ? 3 - i : i;

		s->group[g] = fbs_add_group(s->fbs, s->group[0], group_weight[g] * v->times_weight);
	}
	for (int i = 0; i < SCRIPT_LEAVES; i++) {
		int l = v->permute ? (i * 4 + 2) % SCRIPT_LEAVES : i;

		s->leaf[l] = fbs_add_leaf(s->fbs, s->group[t->parent[l]],
					  t->weight[l] * v->times_weight);
	}
}

static void set_features(struct script *s)
{
	const struct fbs_max max[] = {
		{.iops = 100 + below(s, 200)},
		{.read_iops = 100 + below(s, 100), .write_bps = 10000000, .burst_ns = SIM_SEC},
		{.bps = 20000000 + below(s, 20000000), .iops_size_bytes = 4096}};

	for (unsigned i = 0; i < COUNT(max); i++) {
		s->cap[i] = fbs_cap_create(&max[i]);
		assert_non_null(s->cap[i]);
	}
	fbs_set_cap(s->fbs, s->leaf[0], s->cap[0]);
	fbs_set_cap(s->fbs, s->leaf[1], s->cap[0]);
	fbs_set_cap(s->fbs, s->leaf[2], s->cap[1]);
	fbs_set_cap(s->fbs, s->group[1], s->cap[2]);
	for (unsigned l = 3; l < 5; l++) {
		struct fbs_min min = {.iops = below(s, 60), .bps = below(s, 4000000)};

		fbs_set_min(s->fbs, s->leaf[l], &min);
	}
	fbs_set_min(s->fbs, s->group[2], &(struct fbs_min){.iops = 40});
	for (unsigned l = 4; l < SCRIPT_LEAVES; l += 2)
		fbs_set_class(s->fbs, s->leaf[l], (enum fbs_class)below(s, FBS_CLASSES));
}

/* Something that seldom happens. */
static void disturb(struct script *s, unsigned step)
{
	unsigned l = (unsigned)below(s, SCRIPT_LEAVES), g = (unsigned)below(s, 3);
	struct fbs_req *req = &s->reqs[step - below(s, step < 20 ? step + 1 : 20)];
	unsigned shift = (unsigned)below(s, 6);

	switch (below(s, 60)) {
	case 0:
		assert_int_equal(fbs_set_parent(s->fbs, s->leaf[l], s->group[g]), 0);
		break;
	case 1:
		if (s->v->round_weights)
			fbs_set_weight(s->fbs, s->leaf[l], (1U << shift) * s->v->times_weight);
		break;
	case 2:
		fbs_set_class(s->fbs, s->leaf[l], (enum fbs_class)g);
		break;
	case 3:
		fbs_set_min(s->fbs, s->leaf[l], &(struct fbs_min){.iops = 10 * (uint64_t)g});
		break;
	case 4:
		if (req->leaf)
			fbs_cancel(s->fbs, req);
		break;
	default:
		break;
	}
}

static void issue(struct script *s)
{
	struct trace *t = s->trace;
	struct fbs_slice *slice = &s->out[t->n];

	while (t->n < COUNT(s->out) - 1 && fbs_next(s->fbs, s->now_ns, slice)) {
		int l = 0;

		while (s->leaf[l] != slice->leaf)
			l++;
		t->slices[t->n].leaf = l;
		t->slices[t->n].pos_bytes = slice->pos_bytes;
		slice = &s->out[++t->n];
	}
}

/* As a caller does: asks when it was told to. */
static void pass(struct script *s, uint64_t until_ns)
{
	for (issue(s); fbs_wakeup(s->fbs) < until_ns; issue(s))
		s->now_ns = fbs_wakeup(s->fbs);
	s->now_ns = until_ns;
}

static void script(uint64_t script_seed, const struct variation *v, struct trace *ret_trace)
{
	static struct script scripts;
	struct script *s = &scripts;
	struct trace *t = ret_trace;

	memset(s, 0, sizeof(*s));
	memset(t, 0, sizeof(*t));
	s->rng.state = script_seed;
	s->v = v;
	s->trace = t;
	s->now_ns = START_NS + v->shift_ns;
	create(s);
	if (v->features)
		set_features(s);
	for (unsigned i = 0; i < SCRIPT_STEPS; i++) {
		unsigned l = (unsigned)below(s, SCRIPT_LEAVES);
		uint64_t pos = below(s, 1000) * 4096;
		uint64_t len = (1 + below(s, 40)) * 4096;

		pass(s, s->now_ns + below(s, 3 * SIM_MS));
		s->reqs[i] = (struct fbs_req){.pos_bytes = pos, .end_bytes = pos + len};
		if (v->features) {
			s->reqs[i].op = (enum fbs_op)below(s, v->discards ? 3 : 2);
			disturb(s, i);
		}
		fbs_push(s->fbs, s->leaf[l], &s->reqs[i], s->now_ns);
		for (unsigned n = 0; n < 1 + i % 3; n++) {
			pass(s, s->now_ns + SIM_MS / 3);
			if (s->done < t->n)
				fbs_done(s->fbs, &s->out[s->done++], s->now_ns);
		}
	}
	for (int i = 0; i < SCRIPT_LEAVES; i++) {
		struct fbs_node_stats stats;

		fbs_node_stats(s->fbs, s->leaf[i], &stats);
		t->tokens[i] = stats.tokens;
	}
	while (s->done < t->n)
		fbs_done(s->fbs, &s->out[s->done++], s->now_ns);
	fbs_destroy(s->fbs);
	for (unsigned i = 0; i < COUNT(s->cap); i++)
		fbs_cap_unref(s->cap[i]);
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
					 .io_throttle = i / 2 % 4,
					 .policy = (enum fbs_policy)(i % 3),
					 .round_weights = true,
					 .features = i % 2,
					 .discards = i % 2};

		compare(seed + i, base);
	}
}

/* Only the ratio of weights means anything. */
static void compare_scaled(uint64_t script_seed, struct variation base)
{
	struct variation other;

	base.discards = false; /* no division leaves a remainder then */
	other = base;
	script(script_seed, &base, &plain);
	other.times_weight = 128;
	script(script_seed, &other, &varied);
	assert_same(&plain, &varied);
	if (base.features) /* what a rounding swaps may be held, waited for and so on */
		return;
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
	static const uint64_t shifts[] = {SIM_MS, 3600 * SIM_SEC,
					  UINT64_MAX / 2 - START_NS - SIM_SEC,
					  UINT64_MAX - 3 * 3600 * SIM_SEC};

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
