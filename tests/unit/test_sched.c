/* SPDX-License-Identifier: MIT */
/*
 * test_sched.c - sched.h in virtual time, first part: settings, nodes, memory.
 *
 * In the header's order; requests are in test_sched_requests.c, flushes and numbers in
 * test_sched_flush.c, all features together without memory in test_sched_memory.c.
 */
#include <errno.h>

#include "tests/unit/memory.h"
#include "tests/unit/sched_rig.h"

static void start(enum fbs_policy policy)
{
	allocations_left = -1;
	blocks = 0; /* whatever a failed case left behind */
	begin(policy);
}

static void finish(void)
{
	end();
	assert_int_equal(blocks, 0);
}

/* ---- fbs_create, fbs_destroy, fbs_configure ---- */

static void test_create(void **state)
{
	struct fbs_params defaults = {0};
	struct fbs *fbs = fbs_create(&defaults);

	(void)state;
	assert_non_null(fbs);
	assert_non_null(fbs_root(fbs));
	assert_ptr_equal(fbs_root(fbs), fbs_root(fbs));
	fbs_check(fbs);
	fbs_destroy(fbs);
	fbs_destroy(NULL);
	for (int n = 0;; n++) {
		allocations_left = n;
		fbs = fbs_create(&plain);
		allocations_left = -1;
		if (fbs)
			break;
		assert_true(n < 10);
	}
	fbs_destroy(fbs);
}

/* A policy has another unit: what a owed by the old one is forgotten, b need not catch up. */
static void test_configure_policy(void **state)
{
	(void)state;
	start(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	push_n('a', 30);
	repeat('a', 10);
	push_n('b', 30);
	order("baba"); /* a 12, b 11: b has a token to go before a, 32 requests by size */
	rig.params.policy = FBS_POLICY_IOSIZE;
	fbs_configure(rig.fbs, &rig.params);
	fbs_check(rig.fbs);
	/* level: they alternate, whoever is first */
	assert_int_not_equal(next(), next());
	assert_int_not_equal(next(), next());
	/* the same policy again changes nothing */
	fbs_configure(rig.fbs, &rig.params);
	assert_int_not_equal(next(), next());
	assert_int_equal(tokens_of('a'), 12 + 3 * 8);
	finish();
}

/* The heaps are in order again after it, with many nodes at different standings. */
static void test_configure_policy_many(void **state)
{
	struct fbs_node *node[40];
	struct fbs_req req[40];
	struct fbs_slice slice;

	(void)state;
	start(FBS_POLICY_WEIGHT);
	for (unsigned i = 0; i < COUNT(node); i++) {
		node[i] = fbs_add_leaf(rig.fbs, fbs_root(rig.fbs), 1 + i * 7 % 5);
		assert_non_null(node[i]);
	}
	for (unsigned i = 0; i < COUNT(node); i++) {
		unsigned n = i * 17 % (unsigned)COUNT(node);

		req[n] = (struct fbs_req){.pos_bytes = 0, .end_bytes = 4 * MIB};
		fbs_push(rig.fbs, node[n], &req[n], rig.now_ns);
	}
	for (int i = 0; i < 300; i++) {
		assert_true(fbs_next(rig.fbs, rig.now_ns, &slice));
		fbs_done(rig.fbs, &slice, rig.now_ns);
		if (i % 50 == 0) {
			rig.params.policy = i % 100 ? FBS_POLICY_COST : FBS_POLICY_IOSIZE;
			fbs_configure(rig.fbs, &rig.params);
			fbs_check(rig.fbs);
		}
	}
	for (unsigned i = 0; i < COUNT(node); i++)
		if (req[i].leaf)
			fbs_cancel(rig.fbs, &req[i]);
	finish();
}

static void test_configure_throttle(void **state)
{
	(void)state;
	start(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	rig.params.io_throttle = 2;
	fbs_configure(rig.fbs, &rig.params);
	push_n('a', 10);
	order("aa-");
	rig.params.io_throttle = 4;
	fbs_configure(rig.fbs, &rig.params);
	order("aa-");
	assert_int_equal(stats().limit, 4);
	rig.params.io_throttle = 1; /* what is out stays out */
	fbs_configure(rig.fbs, &rig.params);
	for (int i = 0; i < 3; i++) {
		done(0);
		order("-");
	}
	done(0);
	order("a-");
	finish();
}

/* Prices: see `plain`. Every cost is rounded up to the next nanosecond, so nothing is free. */
static void test_configure_capability(void **state)
{
	(void)state;
	start(FBS_POLICY_COST);
	leaf('a', NULL, 1);
	push_op('a', FBS_READ, 0, 4 * KIB);
	push_op('a', FBS_READ, 0, 128 * KIB);
	push_op('a', FBS_WRITE, 0, 4 * KIB);
	push_op('a', FBS_WRITE, 0, 64 * KIB);
	push_op('a', FBS_READ, 0, 512);
	order("aaaaa-");
	assert_in_range(rig.out[0].cost_ns, 1000000, 1000001);
	assert_in_range(rig.out[1].cost_ns, 1000000 + 124 * KIB, 1000001 + 124 * KIB);
	assert_in_range(rig.out[2].cost_ns, 2000000, 2000001);
	assert_in_range(rig.out[3].cost_ns, 2000000 + 2 * 60 * KIB, 2000001 + 2 * 60 * KIB);
	assert_in_range(rig.out[4].cost_ns, 1, 1000001);
	assert_int_equal(tokens_of('a'), rig.out[0].cost_ns + rig.out[1].cost_ns +
						 rig.out[2].cost_ns + rig.out[3].cost_ns +
						 rig.out[4].cost_ns);
	/* prices change for what is issued from now on; what is out keeps its own */
	push_n('a', 1);
	rig.params.capability.read_iops = 100;
	fbs_configure(rig.fbs, &rig.params);
	order("a-");
	assert_in_range(last_out()->cost_ns, 10000000, 10000001);
	finish();
}

/* The ends of the ranges: a larger slice never costs less, none is free. */
static void test_configure_extremes(void **state)
{
	static const struct fbs_capability capabilities[] = {
		{1, 1, 1, 1},
		{1, 1, UINT64_C(10000000000000), UINT64_C(10000000000000)},
		{1000000000, 1000000000, 1, 1},
		{1000000000, 1000000000, UINT64_C(10000000000000), UINT64_C(10000000000000)},
		{0, 0, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(capabilities); i++) {
		uint64_t before_ns = 0;

		start(FBS_POLICY_COST);
		leaf('a', NULL, 1);
		rig.params.capability = capabilities[i];
		fbs_configure(rig.fbs, &rig.params);
		for (uint64_t bytes = 4 * KIB; bytes <= 128 * KIB; bytes *= 2) {
			push_op('a', i % 2 ? FBS_READ : FBS_WRITE, 0, bytes);
			order("a");
			assert_true(last_out()->cost_ns > 0);
			assert_true(last_out()->cost_ns >= before_ns);
			before_ns = last_out()->cost_ns;
		}
		if (capabilities[i].read_bps == 1) /* 124 Ki seconds, and the first 4096 bytes */
			assert_true(before_ns >= 124 * KIB * SEC);
		finish();
	}
}

/* ---- fbs_add_group, fbs_add_leaf ---- */

static void test_add(void **state)
{
	struct fbs_node *group;

	(void)state;
	start(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	push_n('a', 40);
	repeat('a', 5); /* a 5, V 4 */
	/* newcomers start at V like anyone who wakes, groups too */
	leaf('b', NULL, 1);
	push_n('b', 10);
	order("bab"); /* b 4, a 5, b 5 -> V 5, a 6, b 6 */
	group = fbs_add_group(rig.fbs, fbs_root(rig.fbs), FBS_WEIGHT_MAX);
	assert_non_null(group);
	leaf('c', group, 1);
	push_n('c', 3);
	order("ccc"); /* from 5 in steps of 1/10000 */
	order("ab");
	finish();
}

static void test_add_without_memory(void **state)
{
	struct fbs_node *node;

	(void)state;
	start(FBS_POLICY_WEIGHT);
	for (int fails = 0; fails < 40;) {
		struct fbs_node *parent = fbs_root(rig.fbs);

		allocations_left = fails % 3;
		node = fails % 2 ? fbs_add_leaf(rig.fbs, parent, 1)
				 : fbs_add_group(rig.fbs, parent, 1);
		allocations_left = -1;
		fbs_check(rig.fbs);
		fails++;
	}
	leaf('a', NULL, 1);
	push('a');
	order("a-");
	finish();
	(void)node;
}

/* ---- fbs_set_weight ---- */

/* a 100 and b 1 have gone once each: b's next is due at 1, a's at 0.01. */
static void test_set_weight_up(void **state)
{
	(void)state;
	start(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 100);
	leaf('b', NULL, 1);
	push_n('a', 200);
	push_n('b', 200);
	order("abaa"); /* V 0.02, a 0.03, b 1 */
	fbs_set_weight(rig.fbs, rig.leaf[1], 100);
	fbs_check(rig.fbs);
	/* b = 0.02 + 0.98 / 100 = 0.0298: before a, not after 97 more of them; then in turns */
	order("babababa");
	finish();
}

static void test_set_weight_down(void **state)
{
	(void)state;
	start(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 100);
	leaf('b', NULL, 100);
	push_n('a', 250);
	push_n('b', 100);
	order("ab"); /* both 0.01, V 0 */
	fbs_set_weight(rig.fbs, rig.leaf[1], 1);
	fbs_check(rig.fbs);
	repeat('a', 99); /* at 0.01 .. 0.99; b = 0 + 0.01 x 100 = 1 */
	order("b");
	repeat('a', 100); /* b 2 */
	order("b");
	finish();
}

/* Idle nodes, groups, and the same weight again. */
static void test_set_weight_others(void **state)
{
	struct fbs_node *group;

	(void)state;
	start(FBS_POLICY_WEIGHT);
	group = fbs_add_group(rig.fbs, fbs_root(rig.fbs), 1);
	leaf('a', group, 3);
	leaf('b', NULL, 1);
	leaf('c', NULL, 1);
	push_n('a', 60);
	push_n('b', 60);
	order("abab"); /* V 1, both due at 2 */
	fbs_set_weight(rig.fbs, group, 4);
	fbs_set_weight(rig.fbs, rig.leaf[0], 9); /* alone in its group: no difference */
	fbs_check(rig.fbs);
	/* the group is due at 1 + 1/4 and so on; 2 is a tie with b, who has waited longer */
	order("aaabaaaabaaaab");
	fbs_set_weight(rig.fbs, group, 4);
	fbs_check(rig.fbs);
	order("aaaabaaaab"); /* V 6, group 6, b 7 */
	/* idle: c owes one token from weight 1, at weight 2 that is half as long */
	push('c');
	order("ac"); /* both at 6: group 6.25, c 7 */
	fbs_set_weight(rig.fbs, rig.leaf[2], 2);
	push('c'); /* 6.5 */
	order("acaab");
	finish();
}

/* ---- fbs_set_parent ---- */

static void test_set_parent(void **state)
{
	struct fbs_node *group, *other;

	(void)state;
	start(FBS_POLICY_WEIGHT);
	group = fbs_add_group(rig.fbs, fbs_root(rig.fbs), 1);
	other = fbs_add_group(rig.fbs, fbs_root(rig.fbs), 1);
	leaf('a', group, 1);
	leaf('b', other, 1);
	leaf('c', NULL, 2);
	push_n('a', 100);
	push_n('b', 100);
	push_n('c', 100);
	order("abccabcc"); /* 1/4 each for a and b */
	/* b into a's group: that has 1/3 now, in turns; b is as far ahead there as it was */
	assert_int_equal(fbs_set_parent(rig.fbs, rig.leaf[1], group), 0);
	fbs_check(rig.fbs);
	for (int i = 0; i < 30; i++)
		assert_true(next());
	assert_int_equal(tokens_of('a') - 2, 5);
	assert_int_equal(tokens_of('b') - 2, 5);
	assert_int_equal(tokens_of('c') - 4, 20);
	/* the same parent again: nothing. The whole group below the other: nothing at the top */
	assert_int_equal(fbs_set_parent(rig.fbs, rig.leaf[1], group), 0);
	assert_int_equal(fbs_set_parent(rig.fbs, group, other), 0);
	fbs_check(rig.fbs);
	for (int i = 0; i < 30; i++)
		assert_true(next());
	assert_in_range(tokens_of('c') - 24, 19, 21);
	/* idle ones, and back */
	cancel_all();
	assert_int_equal(fbs_set_parent(rig.fbs, rig.leaf[0], fbs_root(rig.fbs)), 0);
	push('a');
	order("a-");
	finish();
}

/* What a node is ahead by goes with it. */
static void test_set_parent_debt(void **state)
{
	struct fbs_node *group;

	(void)state;
	start(FBS_POLICY_WEIGHT);
	group = fbs_add_group(rig.fbs, fbs_root(rig.fbs), 1);
	leaf('a', group, 100);
	leaf('b', NULL, 1);
	leaf('c', NULL, 100);
	push_n('a', 250);
	push_n('b', 10);
	push_n('c', 250);
	order("abc");
	/* b is due at 1 with V 0; in the group V is 0 too, and a is due at 0.01 */
	assert_int_equal(fbs_set_parent(rig.fbs, rig.leaf[1], group), 0);
	fbs_set_weight(rig.fbs, group, 10000);
	cancel_all();
	rig.used[0] = rig.used[2] = 0;
	push_n('a', 250);
	push('b');
	repeat('a', 99);
	order("b");
	finish();
}

static void test_set_parent_without_memory(void **state)
{
	struct fbs_node *group;

	(void)state;
	start(FBS_POLICY_WEIGHT);
	group = fbs_add_group(rig.fbs, fbs_root(rig.fbs), 1);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	push_n('a', 4);
	push_n('b', 4);
	allocations_left = 0;
	assert_int_equal(fbs_set_parent(rig.fbs, rig.leaf[0], group), -ENOMEM);
	allocations_left = -1;
	fbs_check(rig.fbs);
	order("abab");
	finish();
}

/* ---- fbs_drop: what is freed too early is the sanitizer's to find ---- */

static void test_drop(void **state)
{
	struct fbs_node *group;
	struct fbs_flush flush;
	int before;

	(void)state;
	start(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1); /* the root has room for children now */
	fbs_drop(rig.fbs, rig.leaf[0]);
	before = blocks;
	/* idle: at once */
	leaf('a', NULL, 1);
	fbs_drop(rig.fbs, rig.leaf[0]);
	fbs_check(rig.fbs);
	assert_int_equal(blocks, before);
	/* queued: served as before, with its share, and goes with the last slice's return */
	leaf('a', NULL, 1);
	leaf('b', NULL, 2);
	push_n('a', 3);
	push_n('b', 10);
	fbs_drop(rig.fbs, rig.leaf[0]);
	order("abbabbabbb");
	assert_int_equal(blocks, before + 2);
	done_all();
	assert_int_equal(blocks, before + 1);
	rig.leaf[0] = NULL;
	/* queued, and all of it cancelled */
	leaf('c', NULL, 1);
	push_n('c', 2);
	fbs_drop(rig.fbs, rig.leaf[2]);
	fbs_cancel(rig.fbs, &rig.req[2][1]);
	assert_int_equal(stats_of('c').queued, 1);
	fbs_cancel(rig.fbs, &rig.req[2][0]);
	fbs_check(rig.fbs);
	assert_int_equal(blocks, before + 1);
	rig.leaf[2] = NULL;
	/* in flight, the rest cancelled */
	leaf('c', NULL, 100);
	push_n('c', 2);
	order("c");
	fbs_drop(rig.fbs, rig.leaf[2]);
	fbs_cancel(rig.fbs, &rig.req[2][3]);
	assert_int_equal(stats_of('c').in_flight, 1);
	done_all();
	assert_int_equal(blocks, before + 1);
	rig.leaf[2] = NULL;
	/* a flush holds it too, and charges it */
	leaf('c', NULL, 1);
	push_op('c', FBS_WRITE, 0, 4 * KIB);
	while (next() != 'c')
		;
	done_all();
	fbs_flush_start(rig.fbs, rig.leaf[2], rig.now_ns, &flush);
	fbs_drop(rig.fbs, rig.leaf[2]);
	fbs_check(rig.fbs);
	assert_int_equal(stats_of('c').queued, 0);
	rig.now_ns += 5 * MS;
	fbs_flush_done(rig.fbs, &flush, rig.now_ns);
	fbs_check(rig.fbs);
	assert_int_equal(blocks, before + 1);
	rig.leaf[2] = NULL;
	/* a group waits for the last of its children, they need not be dropped first */
	group = fbs_add_group(rig.fbs, fbs_add_group(rig.fbs, fbs_root(rig.fbs), 1), 1);
	leaf('d', group, 1);
	push('d');
	fbs_drop(rig.fbs, group);
	fbs_drop(rig.fbs, rig.leaf[3]);
	while (next())
		;
	done_all();
	fbs_check(rig.fbs);
	/* the outer group was not dropped: it, its queues and their heaps stay */
	assert_int_equal(blocks, before + 6);
	finish();
}

/* A group that is dropped goes when its last child moves away. */
static void test_drop_empty_group(void **state)
{
	struct fbs_node *group;
	int before;

	(void)state;
	start(FBS_POLICY_WEIGHT);
	group = fbs_add_group(rig.fbs, fbs_root(rig.fbs), 1);
	leaf('a', group, 1);
	push_n('a', 2);
	fbs_drop(rig.fbs, group);
	before = blocks;
	assert_int_equal(fbs_set_parent(rig.fbs, rig.leaf[0], fbs_root(rig.fbs)), 0);
	fbs_check(rig.fbs);
	assert_int_equal(blocks, before - 5); /* it, its queues, three heaps */
	order("aa-");
	finish();
}

/* Unflushed writes of a leaf that is gone are nobody's. */
static void test_drop_dirty(void **state)
{
	struct fbs_flush flush;

	(void)state;
	start(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	push_op('a', FBS_WRITE, 0, 64 * KIB);
	push_op('b', FBS_WRITE, 0, 4 * KIB);
	order("ab");
	done_all();
	fbs_drop(rig.fbs, rig.leaf[0]);
	fbs_flush_start(rig.fbs, rig.leaf[1], rig.now_ns, &flush);
	assert_int_equal(flush.own_dirty_bytes, 4 * KIB);
	assert_int_equal(flush.all_dirty_bytes, 4 * KIB);
	fbs_flush_done(rig.fbs, &flush, rig.now_ns);
	finish();
}

/* ---- what does not need any ---- */

/* Between adding nodes and the next change of the tree there is no malloc. */
static void test_no_allocation(void **state)
{
	struct fbs_node *group;
	unsigned before;

	(void)state;
	start(FBS_POLICY_COST);
	group = fbs_add_group(rig.fbs, fbs_root(rig.fbs), 1);
	for (char name = 'a'; name < 'a' + LEAVES; name++)
		leaf(name, name % 2 ? group : NULL, 1);
	before = allocations;
	for (int round = 0; round < 20; round++) {
		for (char name = 'a'; name < 'a' + LEAVES; name++) {
			push_op(name, FBS_WRITE, 0, 300 * KIB);
			push_op(name, round % 2 ? FBS_DISCARD : FBS_READ, 0, 1 * MIB);
		}
		for (int i = 0; i < 70; i++)
			next();
		rig.now_ns += MS;
		done_all();
		cancel_all();
		flush('a', MS, stats_of('a').dirty_bytes,
		      stats_of('a').dirty_bytes + stats_of('b').dirty_bytes +
			      stats_of('c').dirty_bytes + stats_of('d').dirty_bytes +
			      stats_of('e').dirty_bytes + stats_of('f').dirty_bytes);
		fbs_set_weight(rig.fbs, group, 1 + (unsigned)round);
		fbs_configure(rig.fbs, &rig.params);
	}
	assert_int_equal(allocations, before);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_configure_policy),
		cmocka_unit_test(test_configure_policy_many),
		cmocka_unit_test(test_configure_throttle),
		cmocka_unit_test(test_configure_capability),
		cmocka_unit_test(test_configure_extremes),
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_add_without_memory),
		cmocka_unit_test(test_set_weight_up),
		cmocka_unit_test(test_set_weight_down),
		cmocka_unit_test(test_set_weight_others),
		cmocka_unit_test(test_set_parent),
		cmocka_unit_test(test_set_parent_debt),
		cmocka_unit_test(test_set_parent_without_memory),
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_drop_empty_group),
		cmocka_unit_test(test_drop_dirty),
		cmocka_unit_test(test_no_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
