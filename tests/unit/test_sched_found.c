/* SPDX-License-Identifier: MIT */
/*
 * test_sched_found.c - sched.h in virtual time: what random events have found, told shortly.
 */
#include "tests/unit/sched_rig.h"

static void configure(struct fbs_cap *cap, struct fbs_node *node, const struct fbs_max *max)
{
	fbs_cap_configure(cap, max);
	fbs_set_cap(rig.fbs, node, cap);
}

/* A group that may not write goes on reading; the leaf that wants to write is held alone. */
static void test_held_in_one_direction(void **state)
{
	struct fbs_node *g;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	g = group_of(1, "ab");
	cap_node(g, (struct fbs_max){.write_bps = 1000000});
	push_op('a', FBS_WRITE, 0, 128 * KIB);
	order("a");
	push_op('a', FBS_WRITE, 0, 128 * KIB);
	push_n('b', 3);
	order("bbb-");
	assert_true(stats_of('a').capped);
	rig.now_ns += 126 * MS + 72001; /* 131.072 ms, less 10 ms of credit, and 5 ms of the next */
	order("a-");
	end();
}

/* Reads wait for the limit that is theirs, too, not for that of writes. */
static void test_held_by_both(void **state)
{
	(void)state;
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	cap_node(rig.leaf[0], (struct fbs_max){.iops = 100, .write_iops = 1});
	push_op('a', FBS_WRITE, 0, 4 * KIB);
	order("a");
	push_op('a', FBS_WRITE, 0, 4 * KIB);
	push('a');
	order("-");
	rig.now_ns += 6 * MS;
	order("a-");
	assert_int_equal(last_out()->op, FBS_READ);
	end();
}

/* The small one behind it need not wait for as long. */
static void test_held_for_a_cancelled_one(void **state)
{
	struct fbs_req *large;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	cap_node(rig.leaf[0], (struct fbs_max){.bps = 1000000, .burst_ns = SEC});
	push_op('a', FBS_READ, 0, 1024 * KIB);
	repeat('a', 7); /* 917504 of 1000000 bytes */
	large = push_op('a', FBS_READ, 0, 128 * KIB);
	fbs_cancel(rig.fbs, &rig.req[0][0]);
	push_op('a', FBS_READ, 0, 4 * KIB);
	order("-");
	fbs_cancel(rig.fbs, large);
	order("a-");
	end();
}

static void test_held_by_a_group_it_left(void **state)
{
	struct fbs_node *g;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	g = group_of(1, "ab");
	cap_node(g, (struct fbs_max){.write_iops = 1});
	push_op('a', FBS_WRITE, 0, 4 * KIB);
	push_op('a', FBS_WRITE, 0, 4 * KIB);
	push_n('b', 2);
	order("abb-"); /* a itself is held: b may read */
	assert_int_equal(fbs_set_parent(rig.fbs, rig.leaf[0], fbs_root(rig.fbs)), 0);
	order("a-");
	end();
}

/* Nothing is owed to a limit that was taken away. */
static void test_limit_that_comes_back(void **state)
{
	struct fbs_cap *c;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	c = cap_node(rig.leaf[0], (struct fbs_max){.iops = 1});
	push_n('a', 9);
	order("a-");
	configure(c, rig.leaf[0], &(struct fbs_max){.bps = 1000000000});
	order("aa");
	configure(c, rig.leaf[0], &(struct fbs_max){.iops = 1000});
	order("a");
	end();
}

/* A discard has no bytes: it need not stand back for a write that waits until it may have some. */
static void test_gives_way_for_nothing(void **state)
{
	struct fbs_cap *c;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	c = cap_node(rig.leaf[0], (struct fbs_max){.iops = 1000, .write_bps = 1000});
	fbs_set_cap(rig.fbs, rig.leaf[1], c);
	push_op('b', FBS_WRITE, 0, 128 * KIB);
	order("b");
	push_op('a', FBS_WRITE, 0, 128 * KIB);
	order("-");
	rig.now_ns += 100 * MS;
	push_op('b', FBS_DISCARD, 0, 4 * KIB);
	order("b-");
	end();
}

/* It would be due for ever. */
static void test_discards_and_min_bps(void **state)
{
	(void)state;
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	fbs_set_min(rig.fbs, rig.leaf[0], &(struct fbs_min){.bps = 1000000});
	for (int i = 0; i < 5; i++)
		push_op('a', FBS_DISCARD, 0, 4 * KIB);
	push_n('b', 4);
	for (int i = 0; i < 4; i++) { /* the first was due, and counts */
		order("ab");
		done_all(); /* discards go one at a time */
	}
	end();
}

static void test_dropped_while_waited_for(void **state)
{
	(void)state;
	begin(FBS_POLICY_WEIGHT);
	rig.params.isolation = FBS_ISOLATION_STRICT;
	fbs_configure(rig.fbs, &rig.params);
	leaf('a', NULL, 10);
	leaf('b', NULL, 1);
	push('b');
	push('a');
	order("ba");
	push('b');
	order("-");
	assert_true(stats().anticipating);
	rig.now_ns += MS;
	push('b'); /* which tells the time */
	fbs_drop(rig.fbs, rig.leaf[0]);
	order("bb");
	assert_int_equal(stats_of('b').waited_ns[FBS_WAIT_ANTICIPATION], MS);
	end();
}

/* Nobody is served, so that there may never be another fbs_done() after which to ask again. */
static void test_flush_beside_one_waited_for(void **state)
{
	(void)state;
	begin(FBS_POLICY_COST);
	rig.params.isolation = FBS_ISOLATION_STRICT;
	fbs_configure(rig.fbs, &rig.params);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	push_op('a', FBS_WRITE, 0, 4 * KIB);
	order("a");
	done_all();
	flush('a', 200 * MS, 4 * KIB, 4 * KIB);
	push_n('b', 2);
	order("b");
	assert_false(may_flush('a'));
	order("b");
	done_all();
	assert_true(may_flush('a'));
	end();
}

/* What the group has held others is not what this leaf waits for. */
static void test_waits_after_a_move(void **state)
{
	struct fbs_node *g;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	g = group(NULL, 1);
	leaf('a', g, 1);
	cap_node(g, (struct fbs_max){.iops = 10});
	push_n('a', 3);
	order("a-");
	rig.now_ns += 96 * MS;
	order("a-");
	rig.now_ns += 20 * MS;
	order("-");
	rig.params.io_throttle = 1;
	fbs_configure(rig.fbs, &rig.params);
	assert_int_equal(fbs_set_parent(rig.fbs, rig.leaf[0], fbs_root(rig.fbs)), 0);
	order("-");
	rig.now_ns += 300 * MS;
	done(0);
	assert_int_equal(stats_of('a').waited_ns[FBS_WAIT_CAP], 116 * MS);
	assert_int_equal(stats_of('a').waited_ns[FBS_WAIT_WINDOW], 300 * MS);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_held_in_one_direction),
		cmocka_unit_test(test_held_by_both),
		cmocka_unit_test(test_held_for_a_cancelled_one),
		cmocka_unit_test(test_held_by_a_group_it_left),
		cmocka_unit_test(test_limit_that_comes_back),
		cmocka_unit_test(test_gives_way_for_nothing),
		cmocka_unit_test(test_discards_and_min_bps),
		cmocka_unit_test(test_dropped_while_waited_for),
		cmocka_unit_test(test_flush_beside_one_waited_for),
		cmocka_unit_test(test_waits_after_a_move),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
