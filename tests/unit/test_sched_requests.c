/* SPDX-License-Identifier: MIT */
/*
 * test_sched_requests.c - sched.h in virtual time, second part: who goes next.
 */
#include "tests/unit/sched_rig.h"

/* ---- fbs_push, fbs_next ---- */

/* In 1/80: a's tag moves by 1, b's by 4. With equal tags b has waited longer. */
static void test_shares(void **state)
{
	(void)state;
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 80);
	leaf('b', NULL, 20);
	leaf('c', NULL, 100);
	push_n('a', 60);
	push_n('b', 30);
	order("abaaabaaaab"); /* V 0 0 1 2 3 4 4 5 6 7 8 */
	/* a 8, b 12. c wakes at V and moves by 0.8: 8, 8.8, 9.6, 10.4, 11.2 */
	push_n('c', 20);
	order("accacacac");	     /* 8 8 8.8 9 9.6 10 10.4 11 11.2; then all three at 12 */
	for (int i = 0; i < 25; i++) /* 10 of c to 8 of a to 2 of b */
		assert_true(next());
	assert_in_range(tokens_of('c'), 5 + 12, 5 + 13);
	assert_in_range(tokens_of('a'), 12 + 9, 12 + 11);
	assert_in_range(tokens_of('b'), 3 + 2, 3 + 3);
	end();
}

/* Equal tags: whoever was tagged earlier. */
static void test_ties(void **state)
{
	(void)state;
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 5);
	leaf('b', NULL, 5);
	leaf('c', NULL, 5);
	push_n('c', 3);
	push_n('a', 3);
	push_n('b', 3);
	order("cabcabcab-");
	end();
}

static void test_idle_earns_nothing(void **state)
{
	(void)state;
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	push_n('a', 100);
	repeat('a', 50);
	rig.now_ns += 100 * YEAR;
	push_n('b', 20);
	order("babababa");
	end();
}

/* b took one at weight 1 and left; it still owes that when it comes back, though not for ever. */
static void test_debt_is_kept(void **state)
{
	(void)state;
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 100);
	leaf('b', NULL, 1);
	push_n('a', 250);
	push('b');
	order("ab"); /* b 1 */
	repeat('a', 50);
	push('b');
	repeat('a', 49);  /* up to 0.99 */
	order("b");	  /* at 1, b 2 */
	repeat('a', 103); /* V beyond 2 */
	push('b');
	order("ba");
	end();
}

static void test_tree(void **state)
{
	struct fbs_node *vm1, *vm2;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	vm1 = fbs_add_group(rig.fbs, fbs_root(rig.fbs), 60);
	vm2 = fbs_add_group(rig.fbs, fbs_root(rig.fbs), 40);
	leaf('a', vm1, 1);
	leaf('b', vm1, 3);
	leaf('c', vm2, 1);
	push_n('a', 200);
	push_n('b', 200);
	push_n('c', 200);
	for (int i = 0; i < 200; i++)
		assert_true(next());
	assert_int_equal(tokens_of('a'), 30);
	assert_int_equal(tokens_of('b'), 90);
	assert_int_equal(tokens_of('c'), 80);
	/* without b, a has all of vm1's */
	for (unsigned i = 0; i < REQUESTS; i++)
		if (rig.req[1][i].leaf)
			fbs_cancel(rig.fbs, &rig.req[1][i]);
	for (int i = 0; i < 100; i++)
		assert_true(next());
	assert_int_equal(tokens_of('a'), 90);
	assert_int_equal(tokens_of('c'), 120);
	end();
}

/* Policies: a reads 4 KiB and b 64 KiB, equal weights. */
static void test_policies(void **state)
{
	(void)state;
	begin(FBS_POLICY_IOSIZE);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	push_n('a', 64);
	for (int i = 0; i < 3; i++)
		push_op('b', FBS_READ, 0, 64 * KIB);
	order("ab"); /* 8 and 128 sectors */
	repeat('a', 15);
	order("ba"); /* at 128: b has waited longer */
	assert_int_equal(tokens_of('a'), 17 * 8);
	assert_int_equal(tokens_of('b'), 2 * 128);
	cancel_all();
	push_op('a', FBS_READ, 3, 513); /* a started sector is one */
	order("a");
	assert_int_equal(tokens_of('a'), 17 * 8 + 2);
	end();

	begin(FBS_POLICY_COST);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	push_n('a', 64);
	push_op('b', FBS_READ, 0, 1 * MIB);
	/* 1 ms and 1.127 ms each: b's eighth and last starts at 7.889 ms, a's ninth at 8 ms */
	order("ababababababababaa");
	end();
}

/* ---- slices ---- */

static void expect_slice(uint64_t pos, uint64_t len, bool last)
{
	assert_true(next() != 0);
	assert_true(last_out()->pos_bytes == pos);
	assert_true(last_out()->len_bytes == len);
	assert_int_equal(last_out()->last, last);
}

static void test_slices(void **state)
{
	struct fbs_req *req;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	req = push_op('a', FBS_WRITE, 100 * KIB, 300 * KIB);
	assert_ptr_equal(req->leaf, rig.leaf[0]);
	expect_slice(100 * KIB, 28 * KIB, false);
	assert_ptr_equal(last_out()->req, req);
	assert_int_equal(last_out()->op, FBS_WRITE);
	expect_slice(128 * KIB, 128 * KIB, false);
	assert_int_equal(stats().queued, 1);
	expect_slice(256 * KIB, 128 * KIB, false);
	expect_slice(384 * KIB, 16 * KIB, true);
	assert_null(req->leaf);
	assert_true(req->pos_bytes == req->end_bytes);
	assert_int_equal(stats().queued, 0);
	assert_int_equal(stats().in_flight, 4);
	/* exact fits, single bytes, and the far end of the number line */
	push_op('a', FBS_READ, 128 * KIB, 128 * KIB);
	expect_slice(128 * KIB, 128 * KIB, true);
	push_op('a', FBS_READ, 128 * KIB - 1, 2);
	expect_slice(128 * KIB - 1, 1, false);
	expect_slice(128 * KIB, 1, true);
	push_op('a', FBS_READ, UINT64_MAX - 200 * KIB + 1, 200 * KIB - 1);
	expect_slice(UINT64_MAX - 200 * KIB + 1, 72 * KIB, false);
	expect_slice(UINT64_MAX - 128 * KIB + 1, 128 * KIB - 1, true);
	/* first in, first out, slices of two requests never mixed */
	push_op('a', FBS_READ, 0, 256 * KIB);
	push_op('a', FBS_READ, 1 * MIB, 4 * KIB);
	expect_slice(0, 128 * KIB, false);
	expect_slice(128 * KIB, 128 * KIB, true);
	expect_slice(1 * MIB, 4 * KIB, true);
	end();
}

/* Between the slices of a large request another leaf has its turn. */
static void test_slices_share(void **state)
{
	(void)state;
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	/* one token for each request, an eighth for each slice */
	push_op('a', FBS_READ, 0, 1 * MIB);
	push_op('a', FBS_READ, 128 * KIB, 384 * KIB);
	push_n('b', 4);
	order("abaaaaaaa");
	assert_int_equal(tokens_of('a'), 1);
	order("baaabb-");
	assert_int_equal(stats_of('a').tokens, 2 * FBS_TOKEN_ONE); /* thirds add up, too */
	end();
	begin(FBS_POLICY_IOSIZE);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	push_op('a', FBS_READ, 0, 512 * KIB);
	for (int i = 0; i < 4; i++)
		push_op('b', FBS_READ, 0, 128 * KIB);
	order("abababab-");
	end();
}

/* ---- fbs_done: the window, dirty bytes, discards ---- */

static void test_done(void **state)
{
	(void)state;
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	rig.params.io_throttle = 3;
	fbs_configure(rig.fbs, &rig.params);
	push_op('a', FBS_WRITE, 0, 64 * KIB);
	push_op('b', FBS_READ, 0, 4 * KIB);
	push_op('a', FBS_WRITE, 0, 4 * KIB);
	push_op('b', FBS_WRITE, 0, 8 * KIB);
	order("aba-");
	assert_int_equal(stats_of('a').in_flight, 2);
	assert_int_equal(stats_of('a').dirty_bytes, 0); /* not yet */
	done(2);					/* in any order */
	assert_int_equal(stats_of('a').dirty_bytes, 4 * KIB);
	order("b-");
	done_all();
	assert_int_equal(stats_of('a').dirty_bytes, 68 * KIB);
	assert_int_equal(stats_of('b').dirty_bytes, 8 * KIB);
	assert_int_equal(stats().in_flight, 0);
	end();
}

/* In slices of a size that fits the disk; each byte once, boundaries at multiples of that. */
static void test_discard(void **state)
{
	uint64_t pos = 5 * MIB + 4 * KIB, end_bytes = pos + 3000 * MIB, before = 0, charged,
		 took_ns;
	unsigned slices = 0;

	(void)state;
	begin(FBS_POLICY_COST);
	leaf('a', NULL, 1);
	push_op('a', FBS_DISCARD, pos, end_bytes - pos);
	while (next()) {
		struct fbs_slice *slice = last_out();
		uint64_t to = slice->pos_bytes + slice->len_bytes;

		assert_true(slice->pos_bytes == pos && slice->len_bytes > 0);
		assert_true(slice->last == (to == end_bytes));
		assert_true(slice->last || to % MIB == 0);
		pos = to;
		slices++;
		/* 10 ms for 32 MiB is long, then 0.1 ms is short: sizes go down, then up */
		took_ns = slices <= 20 ? slice->len_bytes / MIB * 10 * MS / 32 : MS / 10;
		rig.now_ns += took_ns;
		done(0);
		charged = tokens_of('a') - before;
		before = tokens_of('a');
		if (slices <= 20 && took_ns > 2 * MS) /* the price of a request is paid already */
			assert_int_equal(charged, took_ns);
	}
	assert_true(pos == end_bytes);
	assert_in_range(slices, 25, 50);
	assert_int_equal(stats_of('a').dirty_bytes, 0);
	end();
}

/* A discard that took 50 ms keeps its leaf back that long, in every policy. */
static void test_discard_charge(void **state)
{
	(void)state;
	begin(FBS_POLICY_COST);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	push_op('a', FBS_DISCARD, 0, 1 * MIB);
	push_n('a', 2);
	push_n('b', 100);
	order("a");
	rig.now_ns += 50 * MS;
	done(0);
	assert_int_equal(tokens_of('a'), 50 * MS);
	repeat('b', 50); /* 1 ms and a nanosecond each */
	order("ab");
	end();

	/* `weight`: 20 requests in 100 ms, so 50 ms are 10 tokens, one of them paid already */
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	push_n('a', 20);
	for (int i = 0; i < 20; i++) {
		order("a");
		rig.now_ns += 5 * MS;
		done(0);
	}
	push_op('a', FBS_DISCARD, 0, 1 * MIB);
	order("a");
	rig.now_ns += 50 * MS;
	done(0);
	assert_in_range(tokens_of('a') - 20, 7, 10); /* the discard itself lowers the rate */
	end();

	/* of the 10 tokens of 50 ms others had 4 all the same; the 3 behind it had to wait */
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	push_n('b', 27);
	for (int i = 0; i < 20; i++) {
		order("b");
		rig.now_ns += 5 * MS;
		done(0);
	}
	push_op('a', FBS_DISCARD, 0, 1 * MIB);
	order("abbbb");
	rig.now_ns += 10 * MS;
	for (int i = 0; i < 4; i++)
		done(1);
	order("bbb");
	rig.now_ns += 40 * MS;
	done(0);
	assert_int_equal(tokens_of('a'), 6);
	end();
}

/* One at a time at the disk, whoever's; reads are not held up by that. */
static void test_discards_in_turn(void **state)
{
	(void)state;
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	push_op('a', FBS_DISCARD, 0, MIB);
	push_op('a', FBS_DISCARD, MIB, MIB);
	push_op('b', FBS_DISCARD, 0, MIB);
	push_op('b', FBS_WRITE, 0, 4 * KIB); /* behind it */
	push('b');
	order("ab--");
	assert_int_equal(last_out()->op, FBS_READ);
	done(1);
	order("--");
	rig.now_ns += 10 * MS;
	done(0);
	order("b"); /* a has had 10 ms */
	assert_int_equal(last_out()->op, FBS_DISCARD);
	order("b-");
	assert_int_equal(last_out()->op, FBS_WRITE);
	done_all();
	order("a-");
	assert_int_equal(last_out()->op, FBS_DISCARD);
	end();
}

/*
 * What is charged for them is no evidence of how much the disk does: else it would rise each time.
 */
static void test_discards_rate(void **state)
{
	uint64_t before;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	for (int i = 0; i < 100; i++) {
		push('a');
		order("a");
		rig.now_ns += MS;
		done(0);
	}
	/* a token in a millisecond; now 2000 x 10 ms, each beside a read */
	before = tokens_of('a');
	for (int i = 0; i < 2000; i++) {
		rig.used[0] = 0;
		push_op('a', FBS_DISCARD, 0, MIB);
		push('a');
		order("aa");
		rig.now_ns += 10 * MS;
		done_all();
	}
	assert_in_range(tokens_of('a') - before, 2000 + 10000, 2000 + 20000);
	end();
}

/* ---- fbs_cancel ---- */

static void test_cancel(void **state)
{
	struct fbs_req *first, *middle, *tail;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	first = push('a');
	middle = push('a');
	tail = push('a');
	push_n('b', 5);
	fbs_cancel(rig.fbs, middle);
	fbs_check(rig.fbs);
	assert_null(middle->leaf);
	order("a");
	assert_ptr_equal(last_out()->req, first);
	fbs_cancel(rig.fbs, tail); /* the last one: a is out of the race */
	fbs_check(rig.fbs);
	assert_int_equal(stats_of('a').queued, 0);
	assert_int_equal(tokens_of('a'), 1);
	/* the same memory again; the token that was not spent was not charged */
	tail->pos_bytes = 0;
	tail->end_bytes = 4 * KIB;
	order("b");
	fbs_push(rig.fbs, rig.leaf[0], tail, rig.now_ns);
	order("bab"); /* a 1 since before b's 1 ... */
	end();
}

/* Half of it is at the disk: that half comes back, the rest never goes. */
static void test_cancel_sliced(void **state)
{
	struct fbs_req *req;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	req = push_op('a', FBS_WRITE, 0, 1 * MIB);
	push('a');
	order("aa");
	assert_false(last_out()->last);
	fbs_cancel(rig.fbs, req);
	fbs_check(rig.fbs);
	order("a-");
	assert_true(last_out()->req != req);
	done_all();
	assert_int_equal(stats_of('a').dirty_bytes, 256 * KIB);
	/* two eighths and one */
	assert_int_equal(stats_of('a').tokens, FBS_TOKEN_ONE / 4 + FBS_TOKEN_ONE);
	end();
}

/* A group whose only child has nothing left is out too, and the one above it. */
static void test_cancel_in_tree(void **state)
{
	struct fbs_node *outer, *inner;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	outer = fbs_add_group(rig.fbs, fbs_root(rig.fbs), 1);
	inner = fbs_add_group(rig.fbs, outer, 1);
	leaf('a', inner, 1);
	leaf('b', outer, 1);
	push('a');
	fbs_cancel(rig.fbs, &rig.req[0][0]);
	fbs_check(rig.fbs);
	order("-");
	push('a');
	push('b');
	fbs_cancel(rig.fbs, &rig.req[0][1]);
	fbs_check(rig.fbs);
	order("b-");
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_ties),
		cmocka_unit_test(test_idle_earns_nothing),
		cmocka_unit_test(test_debt_is_kept),
		cmocka_unit_test(test_tree),
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_slices),
		cmocka_unit_test(test_slices_share),
		cmocka_unit_test(test_done),
		cmocka_unit_test(test_discard),
		cmocka_unit_test(test_discard_charge),
		cmocka_unit_test(test_discards_in_turn),
		cmocka_unit_test(test_discards_rate),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_cancel_sliced),
		cmocka_unit_test(test_cancel_in_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
