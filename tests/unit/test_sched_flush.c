/* SPDX-License-Identifier: MIT */
/*
 * test_sched_flush.c - sched.h in virtual time, third part: flushes, and numbers that run out.
 */
#include "tests/unit/sched_rig.h"

/* ---- flushes ---- */

static void write_some(void)
{
	rig.used[0] = rig.used[1] = 0;
	for (int i = 0; i < 3; i++)
		push_op('a', FBS_WRITE, 0, 4 * KIB);
	push_op('b', FBS_WRITE, 0, 4 * KIB);
	while (next())
		;
	done_all();
}

static bool pays(char name, uint64_t took_ns, uint64_t own, uint64_t all, uint64_t part_ns)
{
	uint64_t before = stats_of(name).tokens;

	flush(name, took_ns, own, all);
	return stats_of(name).tokens - before == part_ns << FBS_TOKEN_SHIFT;
}

static void test_flush_charge(void **state)
{
	(void)state;
	begin(FBS_POLICY_COST);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	assert_true(pays('a', 50 * MS, 0, 0, 50 * MS)); /* nobody has written: who asks pays */
	write_some();
	/* 20 ms is what a flush takes at least, as far as anybody can know */
	assert_true(pays('b', 20 * MS, 4 * KIB, 16 * KIB, 20 * MS));
	assert_int_equal(stats_of('a').dirty_bytes, 0); /* that was stored as well */
	write_some();
	assert_true(pays('a', 100 * MS, 12 * KIB, 16 * KIB, 80 * MS));
	push_op('b', FBS_WRITE, 0, 4 * KIB);
	order("b");
	done_all();
	assert_true(pays('a', 90 * MS, 0, 4 * KIB, 20 * MS));
	write_some();
	assert_true(pays('b', 10 * MS, 4 * KIB, 16 * KIB, 10 * MS)); /* less than ever */
	write_some();
	assert_true(pays('a', 90 * MS, 12 * KIB, 16 * KIB, 70 * MS));
	/* it is forgotten when many have taken longer */
	for (int i = 0; i < 128; i++) {
		write_some();
		flush('a', 30 * MS, 12 * KIB, 16 * KIB);
	}
	write_some();
	assert_true(pays('b', 50 * MS, 4 * KIB, 16 * KIB, 35 * MS));
	end();
}

/* a owes exactly 100 ms, then a little more; b's service lets it off again. */
static void test_flush_debt(void **state)
{
	(void)state;
	begin(FBS_POLICY_COST);
	leaf('a', NULL, 2);
	leaf('b', NULL, 2);
	push_op('a', FBS_WRITE, 0, 4 * KIB);
	push_n('b', 100);
	order("ab"); /* V 0; a 2 ms, b 1 ms, and the nanosecond, before the weight */
	done_all();
	flush('a', 98 * MS - 1, 4 * KIB, 4 * KIB);
	assert_true(may_flush('a'));
	assert_true(may_flush('b'));
	push_op('a', FBS_WRITE, 0, 4 * KIB);
	fbs_cancel(rig.fbs, &rig.req[0][1]);
	flush('b', 500 * MS, 0, 0); /* somebody else's does not count against a */
	assert_true(may_flush('a'));
	end();

	begin(FBS_POLICY_COST);
	leaf('a', NULL, 2);
	leaf('b', NULL, 2);
	push_op('a', FBS_WRITE, 0, 4 * KIB);
	push_n('b', 100);
	order("ab");
	done_all();
	flush('a', 110 * MS, 4 * KIB, 4 * KIB); /* owes 112 ms */
	assert_false(may_flush('a'));
	assert_true(may_flush('b'));
	repeat('b', 13); /* V is where b's last one began: 13 ms */
	assert_true(may_flush('a'));
	/* alone it may always */
	flush('a', 1000 * MS, 0, 0);
	cancel_all();
	done_all();
	assert_true(may_flush('a'));
	end();
}

/* The debt of a group counts towards those outside, for those below it who made it. */
static void test_flush_debt_of_group(void **state)
{
	struct fbs_node *group;

	(void)state;
	begin(FBS_POLICY_COST);
	group = fbs_add_group(rig.fbs, fbs_root(rig.fbs), 1);
	leaf('a', group, 1);
	leaf('b', group, 1);
	leaf('c', NULL, 1);
	push_op('a', FBS_WRITE, 0, 4 * KIB);
	order("a");
	done_all();
	flush('a', 150 * MS, 4 * KIB, 4 * KIB);
	assert_true(may_flush('a')); /* nobody else is there */
	push_n('c', 200);
	assert_false(may_flush('a'));
	assert_true(may_flush('b'));
	assert_true(may_flush('c'));
	cancel_all();
	push('b');
	assert_false(may_flush('a'));
	assert_true(may_flush('b'));
	end();
}

/* A flush that took years is an accident, not a debt for years: a minute at most. */
static void test_flush_hung(void **state)
{
	(void)state;
	begin(FBS_POLICY_COST);
	leaf('a', NULL, 1);
	push_op('a', FBS_WRITE, 0, 4 * KIB);
	order("a");
	done_all();
	flush('a', 10 * YEAR, 4 * KIB, 4 * KIB);
	assert_true(tokens_of('a') <= 3 * MS + 60 * SEC);
	end();
}

/* Policy `weight`, no rate known yet: a millisecond is a token. Then 5 ms are. */
static void test_flush_tokens(void **state)
{
	(void)state;
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	push_op('a', FBS_WRITE, 0, 4 * KIB);
	order("a");
	done_all();
	flush('a', 7 * MS, 4 * KIB, 4 * KIB);
	assert_int_equal(tokens_of('a'), 1 + 7);
	for (int i = 0; i < 20; i++) {
		push_op('a', FBS_WRITE, 0, 4 * KIB);
		order("a");
		rig.now_ns += 5 * MS;
		done_all();
	}
	assert_int_equal(tokens_of('a'), 8 + 20);
	/* 20 tokens in 95 ms: what came back first after a flush tells nothing */
	flush('a', 50 * MS, 80 * KIB, 80 * KIB);
	assert_int_equal(stats_of('a').tokens,
			 (28 << FBS_TOKEN_SHIFT) + FBS_TOKEN_ONE * 50 * 20 / 95);
	end();
}

/* What is at the disk when the policy changes was charged in other tokens: no rate follows. */
static void test_flush_new_policy(void **state)
{
	uint64_t before;

	(void)state;
	begin(FBS_POLICY_COST);
	leaf('a', NULL, 1);
	for (int i = 0; i < 20; i++)
		push_op('a', FBS_WRITE, 0, 4 * KIB);
	while (next())
		;
	rig.params.policy = FBS_POLICY_WEIGHT;
	fbs_configure(rig.fbs, &rig.params);
	rig.now_ns += 20 * MS;
	done_all();
	before = tokens_of('a');
	flush('a', 50 * MS, 80 * KIB, 80 * KIB);
	assert_int_equal(tokens_of('a') - before, 50); /* as long as no rate is known */
	end();
}

/* Nor does an old debt of flushes count: what it owes for a discard is another matter. */
static void test_flush_debt_of_policy(void **state)
{
	(void)state;
	begin(FBS_POLICY_COST);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	push_op('a', FBS_WRITE, 0, 4 * KIB);
	push_n('b', 40);
	order("ab");
	done_all();
	flush('a', 500 * MS, 4 * KIB, 4 * KIB);
	assert_false(may_flush('a'));
	rig.params.policy = FBS_POLICY_WEIGHT;
	fbs_configure(rig.fbs, &rig.params);
	assert_true(may_flush('a'));
	push_op('a', FBS_DISCARD, 0, MIB);
	while (next() != 'a')
		;
	rig.now_ns += 300 * MS;
	done_all();
	assert_true(tokens_of('a') > 200);
	assert_true(may_flush('a'));
	end();
}

/* ---- numbers ---- */

static void test_stats(void **state)
{
	(void)state;
	begin(FBS_POLICY_IOSIZE);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	push_n('a', 3);
	push_op('b', FBS_READ, 0, 256 * KIB);
	assert_int_equal(stats().queued, 4);
	assert_int_equal(stats_of('a').queued, 3);
	order("ab");
	assert_int_equal(stats().queued, 3);
	assert_int_equal(stats().in_flight, 2);
	assert_int_equal(stats_of('b').queued, 1);
	assert_int_equal(stats_of('b').in_flight, 1);
	assert_true(stats().tokens == (8 + 256) << FBS_TOKEN_SHIFT);
	assert_true(stats_of('b').tokens == 256 << FBS_TOKEN_SHIFT);
	assert_int_equal(stats().limit, 100000);
	end();
}

/*
 * Prices so high that a tag goes round in 64 slices: 4096 bytes x 100 s are about 2^59 in tag
 * units, cut to 2^58, the most that one charge may be. c sleeps through nearly all of it.
 */
static void test_wrap_around(void **state)
{
	unsigned count[3] = {0}, since = 0;

	(void)state;
	begin(FBS_POLICY_COST);
	rig.params.capability.read_iops = 1;
	rig.params.capability.read_bps = 10;
	fbs_configure(rig.fbs, &rig.params);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	leaf('c', NULL, 1);
	leaf('d', NULL, 1);
	for (unsigned i = 0; i < 2000; i++) {
		char name;

		for (int l = 0; l < 2; l++) { /* a and b always have something */
			rig.used[l] = 0;
			if (!rig.req[l][0].leaf)
				push_op((char)('a' + l), FBS_READ, 0, 128 * KIB);
		}
		if (since == 0 && i % 37 == 36) {
			rig.used[2] = 0;
			push_op('c', FBS_READ, 0, 128 * KIB);
			since = 1;
		}
		name = next();
		assert_true(name >= 'a' && name <= 'c');
		count[name - 'a']++;
		done_all();
		if (name == 'c')
			since = 0;
		/* whoever wakes starts at V: two slices at the same tag may be before it */
		assert_true(since == 0 || since++ <= 3);
		assert_in_range(count[0] + 2 - count[1], 1, 3);
	}
	assert_in_range(count[2], 2000 / 37 - 1, 2000 / 37);
	/* d never did anything, laps ago; it is no further behind than anyone who wakes */
	push_op('d', FBS_READ, 0, 256 * KIB);
	rig.used[0] = rig.used[1] = 1;
	push_op('a', FBS_READ, 0, 128 * KIB);
	push_op('b', FBS_READ, 0, 128 * KIB);
	memset(count, 0, sizeof(count));
	for (int i = 0; i < 3; i++) {
		char name = next();

		assert_true(name >= 'a' && name <= 'd');
		if (name != 'd')
			count[name - 'a']++;
	}
	assert_true(count[0] <= 1 && count[1] <= 1);
	end();
}

/*
 * Debts of any size stay debts: the tag does not run so far ahead that it seems to be behind.
 * At least 1000 tokens in 10 ms, so that a flush of a minute is 6 million tokens, 2^54 in tag
 * units at weight 1; 300 of those are over half a lap of 2^64, 900 over a whole one.
 */
static void huge_debt(unsigned weight, unsigned n)
{
	static struct fbs_flush flushes[900];

	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, weight);
	leaf('b', NULL, 1);
	for (int i = 0; i < 125; i++)
		push_op('a', FBS_WRITE, 0, 1 * MIB);
	repeat('a', 1000);
	rig.now_ns += 10 * MS;
	done_all();
	for (int i = 0; i < 125; i++)
		push_op('a', FBS_WRITE, 0, 1 * MIB);
	repeat('a', 1000);
	for (unsigned i = 0; i < n; i++) {
		done(0);
		fbs_flush_start(rig.fbs, rig.leaf[0], rig.now_ns, &flushes[i]);
	}
	rig.now_ns += 60 * SEC;
	for (unsigned i = 0; i < n; i++)
		fbs_flush_done(rig.fbs, &flushes[i], rig.now_ns);
	push_n('b', 100);
	assert_false(may_flush('a'));
	fbs_set_weight(rig.fbs, rig.leaf[0], 1);
	push('a');
	assert_false(may_flush('a'));
	repeat('b', 50);
	fbs_set_weight(rig.fbs, rig.leaf[0], FBS_WEIGHT_MAX);
	fbs_set_weight(rig.fbs, rig.leaf[0], 1);
	fbs_check(rig.fbs);
	repeat('b', 10);
	end();
}

static void test_huge_debt(void **state)
{
	(void)state;
	for (unsigned n = 100; n <= 900; n += 100) {
		huge_debt(1, n);
		huge_debt(FBS_WEIGHT_MAX, n);
	}
}

/* Time may stand still, leap by years, and be near its end. */
static void test_long_idle(void **state)
{
	(void)state;
	begin(FBS_POLICY_COST);
	rig.params.io_throttle = 0;
	fbs_configure(rig.fbs, &rig.params);
	leaf('a', NULL, 1);
	leaf('b', NULL, 3);
	rig.now_ns = 0;
	for (int round = 0; round < 200; round++) {
		rig.used[0] = rig.used[1] = 0;
		push_n('a', 8);
		push_n('b', 8);
		while (next()) {
			rig.now_ns += round % 3 ? MS : 0;
			done_all();
		}
		assert_int_equal(stats().queued, 0);
		rig.now_ns += round % 2 ? YEAR : 0;
	}
	push('a');
	order("a");
	rig.now_ns += 100 * YEAR; /* a slice that hung for a century */
	done_all();
	rig.now_ns = UINT64_MAX - 10 * MS;
	push('a');
	order("a");
	rig.now_ns += 10 * MS;
	done_all();
	end();
}

/* More leaves than the first heap holds, all of the same tag. */
static void test_many(void **state)
{
	enum { MANY = 3000 };
	static struct fbs_req req[MANY];
	static struct fbs_node *node[MANY];
	struct fbs_slice slice;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	for (unsigned i = 0; i < MANY; i++) {
		node[i] = fbs_add_leaf(rig.fbs, fbs_root(rig.fbs), 1 + i % 7);
		assert_non_null(node[i]);
		req[i] = (struct fbs_req){.end_bytes = 4 * KIB};
		fbs_push(rig.fbs, node[i], &req[i], 0);
	}
	fbs_check(rig.fbs);
	for (unsigned i = 0; i < MANY; i++) {
		assert_true(fbs_next(rig.fbs, 0, &slice));
		assert_ptr_equal(slice.leaf, node[i]);
		if (i % 2)
			fbs_drop(rig.fbs, node[i]);
		fbs_done(rig.fbs, &slice, 0);
	}
	fbs_check(rig.fbs);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flush_charge),
		cmocka_unit_test(test_flush_debt),
		cmocka_unit_test(test_flush_debt_of_group),
		cmocka_unit_test(test_flush_hung),
		cmocka_unit_test(test_flush_tokens),
		cmocka_unit_test(test_flush_debt_of_policy),
		cmocka_unit_test(test_flush_new_policy),
		cmocka_unit_test(test_stats),
		cmocka_unit_test(test_wrap_around),
		cmocka_unit_test(test_huge_debt),
		cmocka_unit_test(test_long_idle),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
