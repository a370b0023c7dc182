/* SPDX-License-Identifier: MIT */
/*
 * test_sched_limits.c - sched.h in virtual time: reservations, with and without caps, and what
 * comes before what. Caps alone are in test_sched_caps.c.
 */
#include "tests/unit/sched_disk.h"

/* ---- reservations ---- */

/* 100 in a second, whatever the others' weight and depth; more than its share only as promised. */
static void test_min(void **state)
{
	struct client clients[] = {{.name = 'a', .depth = 4}, {.name = 'b', .depth = 64}, {0}};
	struct disk disk = {.servers = 1, .service_ns = 1 * MS};

	(void)state;
	begin_serial();
	leaf('a', NULL, 1);
	leaf('b', NULL, 10000);
	min('a', 100);
	work(&disk, clients, 10 * SEC);
	assert_in_range(clients[0].ios, 999, 1012);
	assert_in_range(clients[1].ios, 8980, 9001);
	/* its share is more: then the promise is nothing in addition */
	fbs_set_weight(rig.fbs, rig.leaf[1], 1);
	work(&disk, clients, 200 * MS);
	count_anew(clients);
	work(&disk, clients, 10 * SEC);
	assert_in_range(clients[0].ios, 4950, 5050);
	/* taken away, changed: at once */
	fbs_set_weight(rig.fbs, rig.leaf[1], 10000);
	min('a', 0);
	work(&disk, clients, 1 * SEC);
	count_anew(clients);
	work(&disk, clients, 10 * SEC);
	assert_in_range(clients[0].ios, 0, 3);
	min('a', 500);
	count_anew(clients);
	work(&disk, clients, 10 * SEC);
	assert_in_range(clients[0].ios, 4990, 5012);
	drain(&disk, clients);
	end();
}

/* In bytes; and what it missed while it had nothing to do is not owed. */
static void test_min_bytes(void **state)
{
	struct client clients[] = {
		{.name = 'a', .depth = 4, .bytes = 64 * KIB}, {.name = 'b', .depth = 16}, {0}};
	struct disk disk = {.servers = 1, .service_ns = 1 * MS};

	(void)state;
	begin_serial();
	leaf('a', NULL, 1);
	leaf('b', NULL, 10000);
	fbs_set_min(rig.fbs, rig.leaf[0], &(struct fbs_min){.bps = 64 * KIB * 200});
	work(&disk, clients, 10 * SEC);
	assert_in_range(clients[0].ios, 1990, 2012);
	clients[0].depth = 0;
	work(&disk, clients, 10 * SEC);
	count_anew(clients);
	clients[0].depth = 4;
	work(&disk, clients, 100 * MS);
	assert_in_range(clients[0].ios, 19, 24);
	drain(&disk, clients);
	end();
}

/* A group's is a floor for all below it together, and they share it. */
static void test_min_of_group(void **state)
{
	struct client clients[] = {{.name = 'a', .depth = 8},
				   {.name = 'b', .depth = 8},
				   {.name = 'c', .depth = 8},
				   {0}};
	struct disk disk = {.servers = 1, .service_ns = 1 * MS};
	struct fbs_node *g;

	(void)state;
	begin_serial();
	g = group(NULL, 1);
	leaf('a', g, 3);
	leaf('b', g, 1);
	leaf('c', NULL, 10000);
	fbs_set_min(rig.fbs, g, &(struct fbs_min){.iops = 400});
	work(&disk, clients, 10 * SEC);
	assert_in_range(clients[0].ios, 2980, 3020);
	assert_in_range(clients[1].ios, 980, 1020);
	assert_in_range(clients[2].ios, 5980, 6002);
	/* one below it has a promise of its own: within the group's */
	min('b', 300);
	count_anew(clients);
	work(&disk, clients, 10 * SEC);
	assert_in_range(clients[1].ios, 2980, 3060); /* a little of the rest, after 100 ms */
	assert_in_range(clients[0].ios + clients[1].ios, 3980, 4020);
	drain(&disk, clients);
	end();
}

/* In arrears by what it got beyond its share: by no more than 100 ms of the disk. */
static void test_min_debt(void **state)
{
	struct client clients[] = {{.name = 'a', .depth = 8}, {.name = 'b', .depth = 8}, {0}};
	struct disk disk = {.servers = 1, .service_ns = 1 * MS};

	(void)state;
	begin_serial();
	leaf('a', NULL, 10);
	leaf('b', NULL, 90);
	min('a', 900);
	work(&disk, clients, 10 * SEC);
	assert_in_range(clients[0].ios, 8990, 9012);
	/* 8 s ahead by weight; it is served again after 0.1 s, not after 80 */
	min('a', 0);
	count_anew(clients);
	work(&disk, clients, 90 * MS);
	assert_in_range(clients[0].ios, 0, 1);
	work(&disk, clients, 1910 * MS);
	assert_in_range(clients[0].ios, 180, 201);
	drain(&disk, clients);
	end();
}

/* More is promised than the disk can do: all get the same part of it, also long afterwards. */
static void infeasible(uint64_t a, uint64_t b, uint64_t c)
{
	struct client clients[] = {{.name = 'a', .depth = 8},
				   {.name = 'b', .depth = 8},
				   {.name = 'c', .depth = 8},
				   {.name = 'd', .depth = 8},
				   {0}};
	struct disk disk = {.servers = 1, .service_ns = 1 * MS};
	uint64_t sum = a + b + c;

	begin_serial();
	for (char name = 'a'; name <= 'd'; name++)
		leaf(name, NULL, 100);
	min('a', a);
	min('b', b);
	min('c', c);
	for (int i = 0; i < 3; i++) {
		for (struct client *client = clients; client->name; client++)
			client->ios = 0;
		work(&disk, clients, 10 * SEC);
		assert_in_range(clients[0].ios, 9700 * a / sum - 10, 10300 * a / sum + 10);
		assert_in_range(clients[1].ios, 9700 * b / sum - 10, 10300 * b / sum + 10);
		assert_in_range(clients[2].ios, 9700 * c / sum - 10, 10300 * c / sum + 10);
		assert_in_range(clients[3].ios, 0, 10);
	}
	/* one gives up: the other two have what they are promised at once, and no more */
	min('a', 0);
	clients[0].depth = 0;
	work(&disk, clients, 500 * MS);
	for (struct client *client = clients; client->name; client++)
		client->ios = 0;
	work(&disk, clients, 10 * SEC);
	if (b + c < 900) {
		assert_true(clients[1].ios >= 10 * b - 10 && clients[2].ios >= 10 * c - 10);
		assert_true(clients[3].ios > 300);
	}
	drain(&disk, clients);
	end();
}

static void test_min_infeasible(void **state)
{
	(void)state;
	infeasible(600, 600, 600);
	infeasible(1000, 200, 300);
	infeasible(3000, 1000, 50);
	infeasible(30000, 10000, 500);
	infeasible(100000000, 50000000, 50000000);
}

/* A reservation comes before the classes. */
static void test_min_of_idle_class(void **state)
{
	struct client clients[] = {{.name = 'a', .depth = 8},
				   {.name = 'b', .depth = 8},
				   {.name = 'c', .depth = 8},
				   {0}};
	struct disk disk = {.servers = 1, .service_ns = 1 * MS};

	(void)state;
	begin_serial();
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	leaf('c', NULL, 1);
	fbs_set_class(rig.fbs, rig.leaf[0], FBS_IDLE);
	fbs_set_class(rig.fbs, rig.leaf[2], FBS_REALTIME);
	min('a', 100);
	work(&disk, clients, 10 * SEC);
	assert_in_range(clients[0].ios, 990, 1012);
	assert_in_range(clients[1].ios, 0, 0);
	assert_in_range(clients[2].ios, 8980, 9001);
	drain(&disk, clients);
	end();
}

/* ---- both ---- */

/* A promise below a cap: within it. */
static void test_cap_above_min(void **state)
{
	struct client clients[] = {{.name = 'a', .depth = 8},
				   {.name = 'b', .depth = 8},
				   {.name = 'c', .depth = 8},
				   {0}};
	struct disk disk = {.servers = 1, .service_ns = 1 * MS};
	struct fbs_node *g;

	(void)state;
	begin_serial();
	g = group(NULL, 1000);
	leaf('a', g, 1);
	leaf('b', g, 1000);
	leaf('c', NULL, 1000);
	cap_node(g, (struct fbs_max){.iops = 200});
	min('a', 100);
	work(&disk, clients, 10 * SEC);
	assert_in_range(clients[0].ios, 980, 1012);
	assert_in_range(clients[0].ios + clients[1].ios, 1980, 2012);
	assert_in_range(clients[2].ios, 7980, 8012);
	/* promised more than its group may have */
	min('a', 1000);
	count_anew(clients);
	work(&disk, clients, 10 * SEC);
	assert_in_range(clients[0].ios, 1950, 2012);
	assert_in_range(clients[2].ios, 7980, 8012);
	/* than itself may have */
	cap_node(g, (struct fbs_max){.iops = 500});
	cap('a', (struct fbs_max){.iops = 50});
	count_anew(clients);
	work(&disk, clients, 10 * SEC);
	assert_in_range(clients[0].ios, 490, 506);
	assert_in_range(clients[0].ios + clients[1].ios, 4980, 5012);
	drain(&disk, clients);
	end();
}

/* Who is promised more than a cap lets it have does not make others' promises wait. */
static void test_cap_above_many_mins(void **state)
{
	struct client clients[] = {{.name = 'a', .depth = 8},
				   {.name = 'b', .depth = 8},
				   {.name = 'c', .depth = 8},
				   {.name = 'd', .depth = 8},
				   {0}};
	struct disk disk = {.servers = 1, .service_ns = 5 * MS};
	struct fbs_node *g;

	(void)state;
	begin_serial();
	g = group_of(1, "ab");
	leaf('c', NULL, 1);
	leaf('d', NULL, 10000);
	cap_node(g, (struct fbs_max){.iops = 20});
	min('a', 1000);
	min('b', 1000);
	min('c', 100);
	work(&disk, clients, 20 * SEC);
	assert_in_range(clients[0].ios + clients[1].ios, 390, 402);
	assert_in_range(clients[0].ios, 180, 220);
	assert_in_range(clients[2].ios, 1990, 2012);
	assert_in_range(clients[3].ios, 1590, 1612);
	drain(&disk, clients);
	end();
}

/* A cap below a promise: the others below it have what is promised. */
static void test_cap_below_min(void **state)
{
	struct client clients[] = {{.name = 'a', .depth = 8},
				   {.name = 'b', .depth = 8},
				   {.name = 'c', .depth = 8},
				   {0}};
	struct disk disk = {.servers = 1, .service_ns = 1 * MS};
	struct fbs_node *g;

	(void)state;
	begin_serial();
	g = group(NULL, 1);
	leaf('a', g, 1000);
	leaf('b', g, 1);
	leaf('c', NULL, 10000);
	fbs_set_min(rig.fbs, g, &(struct fbs_min){.iops = 400});
	cap('a', (struct fbs_max){.iops = 100});
	work(&disk, clients, 10 * SEC);
	assert_in_range(clients[0].ios, 980, 1012);
	assert_in_range(clients[0].ios + clients[1].ios, 3980, 4012);
	assert_in_range(clients[2].ios, 5980, 6012);
	/* all below it capped to less than it was promised */
	cap('b', (struct fbs_max){.iops = 100});
	count_anew(clients);
	work(&disk, clients, 10 * SEC);
	assert_in_range(clients[0].ios, 980, 1012);
	assert_in_range(clients[1].ios, 980, 1012);
	assert_in_range(clients[2].ios, 7980, 8012);
	drain(&disk, clients);
	end();
}

/* What was held comes free before its time: its reservation is due at once. */
static void test_min_held_no_longer(void **state)
{
	struct fbs_node *g;

	(void)state;
	/* a write, where only reads are held */
	begin(FBS_POLICY_WEIGHT);
	g = group(NULL, 1);
	leaf('a', g, 1);
	leaf('b', NULL, 10000);
	cap_node(g, (struct fbs_max){.read_iops = 1});
	min('a', 1000);
	push_n('a', 3);
	push_n('b', 200);
	order("ab");
	later(20);
	order("b");
	push_op('a', FBS_WRITE, 0, 4 * KIB);
	order("ab");
	end();
	/* out of the group that is held */
	begin(FBS_POLICY_WEIGHT);
	g = group(NULL, 1);
	leaf('a', g, 1);
	leaf('b', NULL, 10000);
	cap_node(g, (struct fbs_max){.iops = 1});
	min('a', 1000);
	push_n('a', 3);
	push_n('b', 200);
	order("ab");
	later(20);
	order("b");
	assert_int_equal(fbs_set_parent(rig.fbs, rig.leaf[0], fbs_root(rig.fbs)), 0);
	fbs_check(rig.fbs);
	order("aab");
	end();
	/* a group with a promise above one that is held */
	begin(FBS_POLICY_WEIGHT);
	g = group(group(NULL, 1), 1);
	leaf('a', g, 1);
	leaf('b', NULL, 10000);
	cap_node(g, (struct fbs_max){.read_iops = 1});
	fbs_set_min(rig.fbs, rig.leaf[0], &(struct fbs_min){.iops = 1000});
	push_n('a', 3);
	push_n('b', 200);
	order("ab");
	later(20);
	order("b");
	fbs_set_cap(rig.fbs, g, NULL);
	order("aab");
	end();
}

/* Caps before reservations before classes before shares. */
static void test_precedence(void **state)
{
	(void)state;
	begin(FBS_POLICY_WEIGHT);
	for (char name = 'a'; name <= 'e'; name++)
		leaf(name, NULL, 1);
	cap('a', (struct fbs_max){.iops = 100}); /* one at once */
	fbs_set_class(rig.fbs, rig.leaf[0], FBS_REALTIME);
	min('a', 1000);
	min('b', 1);
	fbs_set_class(rig.fbs, rig.leaf[1], FBS_IDLE);
	fbs_set_class(rig.fbs, rig.leaf[2], FBS_REALTIME);
	fbs_set_weight(rig.fbs, rig.leaf[3], 3);
	for (char name = 'a'; name <= 'e'; name++)
		push_n(name, 8);
	later(10);
	/* a as promised and capped, b as promised, all of c, then d and e by weight, b at last */
	order("abccccccccdeddeddded");
	order("deeeeebbbbbbb-");
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_min),
		cmocka_unit_test(test_min_bytes),
		cmocka_unit_test(test_min_of_group),
		cmocka_unit_test(test_min_debt),
		cmocka_unit_test(test_min_infeasible),
		cmocka_unit_test(test_min_of_idle_class),
		cmocka_unit_test(test_cap_above_min),
		cmocka_unit_test(test_cap_above_many_mins),
		cmocka_unit_test(test_cap_below_min),
		cmocka_unit_test(test_min_held_no_longer),
		cmocka_unit_test(test_precedence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
