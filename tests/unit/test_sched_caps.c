/* SPDX-License-Identifier: MIT */
/*
 * test_sched_caps.c - sched.h in virtual time: who is held by a cap, until when, and what becomes
 * of it when the tree changes meanwhile. What the clock of a cap does is in test_rate.c.
 */
#include "tests/unit/sched_disk.h"

/* ---- caps: who is held, until when ---- */

/* 10 ms of it are saved up. */
static void test_cap(void **state)
{
	(void)state;
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	cap('a', (struct fbs_max){.iops = 1000});
	push_n('a', 100);
	push_n('b', 100);
	order("abababababababababab"); /* ten each */
	order("bb");
	assert_true(stats_of('a').capped);
	assert_false(stats_of('b').capped);
	later(1);
	order("abb");
	later(3);
	order("abababb"); /* waiting earns nothing: it shares what there is from now on */
	later(100);
	order("abababababababababab");
	order("bb");
	/* alone it waits, too */
	for (unsigned i = 0; i < REQUESTS; i++)
		if (rig.req[1][i].leaf)
			fbs_cancel(rig.fbs, &rig.req[1][i]);
	assert_int_equal(wakeup_us(), 1000);
	later(1);
	order("a-");
	end();
}

/* A group's cap is shared by those below it, by weight, and everybody else has the rest. */
static void test_cap_of_group(void **state)
{
	struct client clients[] = {{.name = 'a', .depth = 8},
				   {.name = 'b', .depth = 8},
				   {.name = 'c', .depth = 8},
				   {0}};
	struct disk disk = {.servers = 1, .service_ns = 1 * MS};
	struct fbs_node *g;

	(void)state;
	begin_serial();
	g = group(NULL, 100);
	leaf('a', g, 30);
	leaf('b', g, 10);
	leaf('c', NULL, 1);
	cap_node(g, (struct fbs_max){.iops = 400});
	work(&disk, clients, 10 * SEC);
	assert_in_range(clients[0].ios, 3000 - 10, 3000 + 10);
	assert_in_range(clients[1].ios, 1000 - 10, 1000 + 10);
	assert_in_range(clients[2].ios, 6000 - 20, 6000 + 20);
	/* and one of its own in it: the other takes what is left */
	cap('a', (struct fbs_max){.iops = 100});
	count_anew(clients);
	work(&disk, clients, 10 * SEC);
	assert_in_range(clients[0].ios, 1000 - 10, 1000 + 10);
	assert_in_range(clients[1].ios, 3000 - 10, 3000 + 10);
	assert_in_range(clients[2].ios, 6000 - 20, 6000 + 20);
	/* the group holds it more than its own does */
	cap_node(g, (struct fbs_max){.iops = 100});
	count_anew(clients);
	work(&disk, clients, 10 * SEC);
	assert_in_range(clients[0].ios + clients[1].ios, 1000 - 10, 1000 + 10);
	assert_in_range(clients[0].ios, 750 - 10, 750 + 10);
	drain(&disk, clients);
	end();
}

/* A cap for one direction does not hold the other: the oldest that may go does. */
static void test_cap_one_way(void **state)
{
	struct fbs_req *first;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	cap('a', (struct fbs_max){.read_iops = 100});
	push('a');
	order("a"); /* all that was saved up */
	first = push('a');
	push_op('a', FBS_WRITE, 0, 4 * KIB);
	push_op('a', FBS_DISCARD, 0, MIB);
	push('a');
	push_op('a', FBS_WRITE, 0, 4 * KIB);
	order("aaa");
	assert_int_equal(last_out()->op, FBS_WRITE);
	assert_int_equal(wakeup_us(), 5000);
	assert_true(stats_of('a').capped);
	/* a push in the other direction goes at once; one in the same waits */
	push('a');
	order("-");
	push_op('a', FBS_WRITE, 0, 4 * KIB);
	order("a-");
	assert_int_equal(last_out()->op, FBS_WRITE);
	later(5);
	order("a-");
	assert_ptr_equal(last_out()->req, first);
	cancel_all();
	/* both held, for a time each: it is asked again at the first */
	cap('a', (struct fbs_max){.read_iops = 100, .write_iops = 200});
	rig.used[0] = 0;
	for (int i = 0; i < 4; i++) {
		push('a');
		push_op('a', FBS_WRITE, 0, 4 * KIB);
	}
	order("aaa-"); /* a read, two writes */
	assert_int_equal(wakeup_us(), 5000);
	later(5);
	order("aa-");
	assert_int_not_equal(rig.out[rig.nout - 1].op, rig.out[rig.nout - 2].op);
	end();
}

/* The same of a group: in whichever leaf below it what may go is. */
static void test_cap_of_group_one_way(void **state)
{
	struct fbs_node *g;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	g = group_of(1, "ab");
	cap_node(g, (struct fbs_max){.read_iops = 1000});
	push_n('a', 20);
	for (int i = 0; i < 20; i++)
		push_op('b', FBS_WRITE, 0, 4 * KIB);
	order("abababababababababab");
	order("bbbbbbbbbb");
	assert_int_equal(wakeup_us(), 1000);
	later(1);
	order("a-");
	assert_true(node_stats(g).capped || stats_of('a').capped);
	push_op('b', FBS_WRITE, 0, 4 * KIB);
	order("b-");
	push_op('a', FBS_WRITE, 0, 4 * KIB);
	order("a-");
	later(1);
	order("a-");
	end();
}

/* A discard is I/O and carries no bytes. */
static void test_cap_discards(void **state)
{
	(void)state;
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	cap('a', (struct fbs_max){.bps = 4 * KIB, .write_bps = 4 * KIB});
	push_op('a', FBS_WRITE, 0, 4 * KIB);
	push_op('a', FBS_WRITE, 0, 4 * KIB);
	for (int i = 0; i < 20; i++)
		push_op('a', FBS_DISCARD, 0, MIB);
	order("a"); /* one write, which is in debt for a second */
	assert_int_equal(last_out()->op, FBS_WRITE);
	assert_true(wakeup_us() > 900000); /* first in, first out: behind a write that waits */
	fbs_cancel(rig.fbs, &rig.req[0][1]);
	for (int i = 0; i < 20; i++) {
		order("a-"); /* one at a time */
		done(rig.nout - 1);
	}
	cap('a', (struct fbs_max){.write_iops = 100});
	push_op('a', FBS_DISCARD, 0, MIB);
	push_op('a', FBS_DISCARD, 0, MIB);
	order("a");
	done(rig.nout - 1);
	order("-");
	end();
}

/* ---- caps: changes in the middle ---- */

/* Changed, removed, given anew: at once, also for those who wait. */
static void test_cap_changed(void **state)
{
	struct fbs_cap *shared = fbs_cap_create(&(struct fbs_max){.iops = 1});

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	fbs_set_cap(rig.fbs, rig.leaf[0], shared);
	push_n('a', 200);
	order("a-"); /* 990 ms in debt; 5 ms would be enough for the next */
	assert_int_equal(wakeup_us(), 995000);
	fbs_cap_configure(shared, &(struct fbs_max){.iops = 100});
	fbs_set_cap(rig.fbs, rig.leaf[0], shared);
	fbs_check(rig.fbs);
	assert_int_equal(wakeup_us(), 14900);
	fbs_set_cap(rig.fbs, rig.leaf[0], NULL);
	fbs_check(rig.fbs);
	order("aaaaa");
	assert_false(stats_of('a').capped);
	fbs_set_cap(rig.fbs, rig.leaf[0], shared);
	order("-");
	/* another one starts with what may be saved up */
	cap('a', (struct fbs_max){.iops = 400});
	order("aaaa-");
	fbs_cap_unref(shared);
	end();
}

/* Its cap goes with a node; that of a group stays behind. */
static void test_cap_moved(void **state)
{
	struct fbs_node *g, *h;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	g = group_of(1, "ab");
	h = group(NULL, 1);
	cap_node(g, (struct fbs_max){.iops = 100});
	push_n('a', 50);
	push_n('b', 50);
	order("a-");
	assert_int_equal(fbs_set_parent(rig.fbs, rig.leaf[0], h), 0);
	fbs_check(rig.fbs);
	order("aaa");
	cap('a', (struct fbs_max){.iops = 200});
	order("aa-");
	assert_true(stats_of('a').capped);
	assert_int_equal(fbs_set_parent(rig.fbs, rig.leaf[0], fbs_root(rig.fbs)), 0);
	fbs_check(rig.fbs);
	order("-");
	assert_true(stats_of('a').capped);
	assert_int_equal(wakeup_us(), 5000);
	/* below a group that is held, and then with it below another */
	assert_int_equal(fbs_set_parent(rig.fbs, rig.leaf[0], g), 0);
	assert_int_equal(fbs_set_parent(rig.fbs, g, h), 0);
	fbs_check(rig.fbs);
	order("-");
	later(100);
	order("b"); /* all that the group has saved up; a was ahead when it came */
	order("-");
	/* the last of what was held moves away: the group waits for nothing any more */
	assert_int_equal(fbs_set_parent(rig.fbs, rig.leaf[0], fbs_root(rig.fbs)), 0);
	assert_int_equal(fbs_set_parent(rig.fbs, rig.leaf[1], fbs_root(rig.fbs)), 0);
	fbs_check(rig.fbs);
	assert_false(node_stats(g).capped);
	order("ababbbb"); /* a has its own */
	end();
}

/* All that was held is gone: nothing is waited for, and time stops counting. */
static void test_cap_cancelled(void **state)
{
	struct fbs_node *g;
	uint64_t capped_ns;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	g = group_of(1, "ab");
	cap_node(g, (struct fbs_max){.iops = 10});
	push_n('a', 3);
	push_n('b', 3);
	order("a-");
	later(20);
	assert_int_equal(node_stats(g).capped_ns, 0); /* the clock of the last call */
	order("-");
	assert_int_equal(node_stats(g).capped_ns, 20 * MS);
	cancel_all();
	assert_int_equal(wakeup_us(), -1);
	assert_false(node_stats(g).capped);
	capped_ns = node_stats(g).capped_ns;
	later(1000);
	order("-");
	assert_int_equal(node_stats(g).capped_ns, capped_ns);
	push('b');
	order("b-");
	/* one of several cancelled: the next goes as soon as it may */
	cap_node(g, (struct fbs_max){.bps = 100 * KIB, .burst_ns = 10 * SEC});
	push_op('a', FBS_READ, 0, 128 * KIB);
	while (next())
		push_op('a', FBS_READ, 0, 128 * KIB);
	push_op('a', FBS_READ, 0, 1 * KIB);
	assert_true(wakeup_us() > 200000);
	for (unsigned i = 0; i + 1 < rig.used[0]; i++)
		if (rig.req[0][i].leaf)
			fbs_cancel(rig.fbs, &rig.req[0][i]);
	order("a-");
	end();
}

/* Dropped while held: served in time, then it goes, and with it its cap. */
static void test_cap_dropped(void **state)
{
	struct fbs_node *g;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	g = group(NULL, 1);
	leaf('a', g, 1);
	leaf('b', NULL, 1);
	cap_node(g, (struct fbs_max){.iops = 100});
	cap('a', (struct fbs_max){.iops = 100});
	push_n('a', 2);
	push_n('b', 2);
	order("abb-");
	fbs_drop(rig.fbs, rig.leaf[0]);
	fbs_drop(rig.fbs, g);
	fbs_check(rig.fbs);
	order("-");
	later(5);
	order("a-");
	done_all();
	fbs_check(rig.fbs);
	rig.leaf[0] = NULL;
	assert_int_equal(wakeup_us(), -1);
	/* and one of which everything is cancelled */
	leaf('a', NULL, 1);
	cap('a', (struct fbs_max){.iops = 100});
	push_n('a', 2);
	order("a-");
	done_all();
	fbs_drop(rig.fbs, rig.leaf[0]);
	cancel_all();
	fbs_check(rig.fbs);
	rig.leaf[0] = NULL;
	assert_int_equal(wakeup_us(), -1);
	end();
}

/* The nodes of one group at two disks: together no more than the cap, in turns. */
static void test_cap_of_two_disks(void **state)
{
	struct fbs_cap *shared = fbs_cap_create(&(struct fbs_max){.iops = 1000});
	struct fbs *other = fbs_create(&plain);
	struct fbs_node *there = fbs_add_leaf(other, fbs_root(other), 1);
	static struct fbs_req reqs[3000];
	struct fbs_slice slice;
	unsigned here = 0, over_there = 0;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	fbs_set_cap(rig.fbs, rig.leaf[0], shared);
	fbs_set_cap(other, there, shared);
	fbs_cap_unref(shared);
	for (size_t i = 0; i < COUNT(reqs); i++) {
		reqs[i] = (struct fbs_req){.end_bytes = 4 * KIB};
		fbs_push(i % 2 ? rig.fbs : other, i % 2 ? rig.leaf[0] : there, &reqs[i],
			 rig.now_ns);
	}
	for (uint64_t end_ns = rig.now_ns + 1 * SEC; rig.now_ns < end_ns; rig.now_ns += 100000) {
		for (; fbs_next(rig.fbs, rig.now_ns, &slice); here++)
			fbs_done(rig.fbs, &slice, rig.now_ns);
		for (; fbs_next(other, rig.now_ns, &slice); over_there++)
			fbs_done(other, &slice, rig.now_ns);
	}
	assert_in_range(here + over_there, 1000, 1011);
	assert_in_range(here, 490, 515);
	/* one of them goes away in the middle of it */
	fbs_destroy(other);
	for (uint64_t end_ns = rig.now_ns + 100 * MS; rig.now_ns < end_ns; rig.now_ns += 100000)
		for (; fbs_next(rig.fbs, rig.now_ns, &slice); here++)
			fbs_done(rig.fbs, &slice, rig.now_ns);
	assert_in_range(here, 490 + 98, 515 + 112);
	fbs_destroy(rig.fbs);
}

/* One whose own disk has no room is not waited for by the others that share its cap. */
static void test_cap_of_two_disks_one_slow(void **state)
{
	struct fbs_cap *shared = fbs_cap_create(&(struct fbs_max){.iops = 1000});
	struct fbs *other = fbs_create(&plain);
	struct fbs_node *there[2];
	static struct fbs_req reqs[1000];
	struct client clients[] = {{.name = 'a', .depth = 4}, {0}};
	struct disk disk = {.servers = 1, .service_ns = 10 * MS};
	struct fbs_slice slice;
	unsigned over_there = 0;

	(void)state;
	begin_serial();
	leaf('a', NULL, 1);
	fbs_set_cap(rig.fbs, rig.leaf[0], shared);
	there[0] = fbs_add_leaf(other, fbs_root(other), 1);
	fbs_set_cap(other, there[0], shared);
	fbs_cap_unref(shared);
	for (uint64_t end_ns = rig.now_ns + 1 * SEC; rig.now_ns < end_ns;) {
		for (size_t i = 0; i < COUNT(reqs); i++) {
			if (reqs[i].leaf)
				continue;
			reqs[i] = (struct fbs_req){.end_bytes = 4 * KIB};
			fbs_push(other, there[0], &reqs[i], rig.now_ns);
		}
		for (; fbs_next(other, rig.now_ns, &slice); over_there++)
			fbs_done(other, &slice, rig.now_ns);
		/* this one is asked all the time, as if by pushes of others */
		work(&disk, clients, 100000);
	}
	assert_in_range(clients[0].ios, 95, 101);
	assert_in_range(over_there, 880, 911);
	fbs_destroy(other);
	drain(&disk, clients);
	end();
}

/* A write that stands back for a larger one, which waits for a limit on writes, holds no reads. */
static void test_cap_shared_one_way(void **state)
{
	struct fbs_max max = {.iops = 1000, .write_bps = MIB, .burst_ns = SEC};
	struct fbs_cap *shared = fbs_cap_create(&max);

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	for (char name = 'a'; name <= 'c'; name++) {
		leaf(name, NULL, 1);
		fbs_set_cap(rig.fbs, rig.leaf[name - 'a'], shared);
	}
	fbs_cap_unref(shared);
	push_op('a', FBS_WRITE, 0, 960 * KIB);
	order("aaaaaaaa-");
	push_op('c', FBS_WRITE, 0, 128 * KIB); /* has had less, and 64 KiB are left of 1 MiB */
	order("-");
	push_n('b', 100); /* has had most */
	for (int i = 0; i < 100; i++)
		order("b");
	push_op('a', FBS_WRITE, 0, 4 * KIB);
	order("-");
	/* these take of what is left of the I/Os, which nobody waits for */
	push('a');
	order("a-");
	assert_int_equal(last_out()->op, FBS_READ);
	push('b');
	order("b-");
	later(63);
	order("c-");
	later(4);
	order("a-");
	assert_int_equal(last_out()->op, FBS_WRITE);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cap),
		cmocka_unit_test(test_cap_of_group),
		cmocka_unit_test(test_cap_one_way),
		cmocka_unit_test(test_cap_of_group_one_way),
		cmocka_unit_test(test_cap_discards),
		cmocka_unit_test(test_cap_changed),
		cmocka_unit_test(test_cap_moved),
		cmocka_unit_test(test_cap_cancelled),
		cmocka_unit_test(test_cap_dropped),
		cmocka_unit_test(test_cap_of_two_disks),
		cmocka_unit_test(test_cap_of_two_disks_one_slow),
		cmocka_unit_test(test_cap_shared_one_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
