/* SPDX-License-Identifier: MIT */
/*
 * test_sched_classes.c - sched.h in virtual time: strict order among siblings.
 */
#include "tests/unit/sched_disk.h"

static void class(char name, enum fbs_class class)
{
	fbs_set_class(rig.fbs, rig.leaf[name - 'a'], class);
	fbs_check(rig.fbs);
}

/* Created in normal, b in real time, c idle. */
static void three(void)
{
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	leaf('c', NULL, 10000);
	class('a', FBS_NORMAL);
	class('b', FBS_REALTIME);
	class('c', FBS_IDLE);
}

/* The next class only when nobody in the one before has anything, whatever the weights. */
static void test_order(void **state)
{
	(void)state;
	three();
	push_n('c', 3);
	push_n('a', 3);
	order("a");
	push_n('b', 3);
	order("bbbaacc");
	push_n('a', 1);
	order("ac-");
	end();
}

/* Within a class by weight, and each has a virtual time of its own. */
static void test_weights(void **state)
{
	(void)state;
	begin(FBS_POLICY_WEIGHT);
	for (char name = 'a'; name <= 'f'; name++)
		leaf(name, NULL, name % 2 ? 3 : 1); /* a, c, e */
	class('a', FBS_REALTIME);
	class('b', FBS_REALTIME);
	class('e', FBS_IDLE);
	class('f', FBS_IDLE);
	for (char name = 'a'; name <= 'f'; name++)
		push_n(name, name % 2 ? 24 : 8);
	for (int i = 0; i < 16; i++)
		assert_true(next());
	assert_in_range(tokens_of('a'), 11, 13);
	assert_in_range(tokens_of('b'), 3, 5);
	for (int i = 0; i < 32; i++)
		assert_true(next());
	assert_in_range(tokens_of('c'), 11, 13);
	assert_in_range(tokens_of('d'), 3, 5);
	for (int i = 0; i < 32; i++)
		assert_true(next());
	assert_in_range(tokens_of('e'), 11, 13);
	assert_in_range(tokens_of('f'), 3, 5);
	end();
}

/* Waiting for a higher class earns nothing: whoever comes later starts level. */
static void test_no_credit(void **state)
{
	(void)state;
	three();
	leaf('d', NULL, 10000);
	class('d', FBS_IDLE);
	push_n('c', 200);
	push_n('b', 100);
	repeat('b', 100);
	push_n('d', 20);
	order("cdcdcdcd");
	end();
}

/* Among siblings: what is below another group is none of theirs. */
static void test_groups(void **state)
{
	struct fbs_node *h;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	group_of(1, "ab");
	h = group_of(1, "c");
	class('a', FBS_REALTIME);
	class('b', FBS_IDLE);
	push_n('a', 4);
	push_n('b', 4);
	push_n('c', 8);
	order("acacacacbcbcbcbc-");
	/* and a group has one towards its own siblings */
	fbs_set_class(rig.fbs, h, FBS_IDLE);
	push_n('a', 2);
	push_n('b', 2);
	push_n('c', 2);
	order("aabbcc-");
	fbs_set_class(rig.fbs, h, FBS_REALTIME);
	push_n('a', 2);
	push_n('c', 2);
	order("ccaa-");
	end();
}

/* At once, with something queued; ahead of the new siblings by as much as of the old ones. */
static void test_set_class(void **state)
{
	(void)state;
	three();
	push_n('a', 50);
	push_n('b', 50);
	push_n('c', 50);
	order("bb");
	class('c', FBS_REALTIME);
	order("cccccc"); /* from where b has been last, by a ten-thousandth each; b is one ahead */
	class('b', FBS_IDLE);
	order("cc");
	class('c', FBS_NORMAL);
	order("accc");
	class('c', FBS_NORMAL); /* the same again: nothing */
	order("cc");
	for (unsigned i = 0; i < REQUESTS; i++)
		if (rig.req[2][i].leaf)
			fbs_cancel(rig.fbs, &rig.req[2][i]);
	order("aaa");
	class('a', FBS_IDLE); /* both are a token ahead there: in turns */
	order("baba");
	end();

	/* what is owed stays owed: b is a token ahead, there and back */
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	leaf('c', NULL, 100);
	push('b');
	push('c');
	push_n('a', 1);
	order("bca");
	push_n('b', 20);
	push_n('c', 150);
	class('b', FBS_REALTIME);
	class('b', FBS_NORMAL);
	repeat('c', 99); /* up to b's 1 */
	order("b");
	end();
}

/* While nothing is queued, while held by a cap, and with everything in flight. */
static void test_set_class_otherwise(void **state)
{
	(void)state;
	three();
	class('c', FBS_REALTIME);
	push_n('c', 2);
	push_n('b', 1);
	order("cb");
	class('c', FBS_IDLE);
	class('b', FBS_IDLE);
	push_n('b', 1);
	push_n('a', 1);
	order("acb-");
	done_all();
	fbs_set_cap(rig.fbs, rig.leaf[2], NULL);
	cap('c', (struct fbs_max){.iops = 100});
	push_n('c', 3);
	push_n('a', 1);
	order("ac-");
	class('c', FBS_REALTIME);
	push_n('a', 1);
	order("a-"); /* it is still held */
	later(5);
	push_n('a', 1);
	order("ca-");
	end();
}

/* One of a higher class that a cap holds does not keep the others waiting. */
static void test_capped(void **state)
{
	struct client clients[] = {{.name = 'a', .depth = 4},
				   {.name = 'b', .depth = 4},
				   {.name = 'c', .depth = 4},
				   {0}};
	struct disk disk = {.servers = 1, .service_ns = 1 * MS};

	(void)state;
	three();
	rig.params.io_throttle = 1;
	fbs_configure(rig.fbs, &rig.params);
	cap('b', (struct fbs_max){.iops = 300});
	cap('a', (struct fbs_max){.iops = 500});
	work(&disk, clients, 10 * SEC);
	assert_in_range(clients[1].ios, 2980, 3012);
	assert_in_range(clients[0].ios, 4980, 5012);
	assert_in_range(clients[2].ios, 1980, 2032);
	drain(&disk, clients);
	end();
}

/* It goes with a node to another parent. */
static void test_moved(void **state)
{
	struct fbs_node *g;

	(void)state;
	three();
	g = group(NULL, 1);
	leaf('d', g, 1);
	push_n('d', 4);
	push_n('c', 4);
	push_n('b', 4);
	order("b");
	assert_int_equal(fbs_set_parent(rig.fbs, rig.leaf[2], g), 0);
	assert_int_equal(fbs_set_parent(rig.fbs, rig.leaf[1], g), 0);
	fbs_check(rig.fbs);
	order("bbbddddcccc-");
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),	  cmocka_unit_test(test_weights),
		cmocka_unit_test(test_no_credit), cmocka_unit_test(test_groups),
		cmocka_unit_test(test_set_class), cmocka_unit_test(test_set_class_otherwise),
		cmocka_unit_test(test_capped),	  cmocka_unit_test(test_moved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
