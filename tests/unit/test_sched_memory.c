/* SPDX-License-Identifier: MIT */
/*
 * test_sched_memory.c - every allocation of sched.h fails once, and requests need none.
 */
#include <errno.h>

#include "tests/unit/memory.h"
#include "tests/unit/sched_disk.h"
#include "tree.h"

static const struct fbs_params all_features = {
	.policy = FBS_POLICY_COST,
	.isolation = FBS_ISOLATION_STRICT,
	.latency_target_ns = 5 * MS,
};

/* ---- one allocation fails ---- */

static struct fbs_node *add(struct fbs_node *parent, bool as_leaf)
{
	struct fbs_node *node =
		as_leaf ? fbs_add_leaf(rig.fbs, parent, 10) : fbs_add_group(rig.fbs, parent, 10);

	fbs_check(rig.fbs);
	return node ? node : parent; /* so that it goes on somehow */
}

static void limit(struct fbs_node *node)
{
	static const struct fbs_max max = {1000, 10 * MIB, 500,	     5 * MIB,
					   400,	 4 * MIB,  64 * KIB, 100 * MS};
	struct fbs_cap *shared;

	if (!node->parent)
		return;
	shared = fbs_cap_create(&max);
	fbs_set_cap(rig.fbs, node, shared); /* none, if there is none */
	fbs_cap_unref(shared);
	fbs_set_min(rig.fbs, node, &(struct fbs_min){.iops = 10, .bps = MIB});
	fbs_set_class(rig.fbs, node, FBS_REALTIME);
	fbs_check(rig.fbs);
}

/* Some of everything, with whatever nodes there are. False: there was no scheduler at all. */
static bool some_of_everything(void)
{
	struct fbs_node *nodes[12], *leaves[8];
	static struct fbs_req reqs[64];
	struct fbs_slice slice;
	unsigned n = 0;

	rig.now_ns = 1000 * SEC;
	rig.fbs = fbs_create(&all_features);
	if (!rig.fbs)
		return false;
	nodes[n++] = fbs_root(rig.fbs);
	for (unsigned i = 0; i < 4; i++, n++)
		nodes[n] = add(nodes[i / 2], false);
	for (unsigned i = 0; i < 7; i++, n++) {
		nodes[n] = add(nodes[i % 5], true);
		limit(nodes[n]);
	}
	limit(nodes[1]);
	for (unsigned i = n = 0; i < COUNT(nodes); i++)
		if (nodes[i]->parent && is_leaf(nodes[i]))
			leaves[n++] = nodes[i];
	for (unsigned i = 0; n && i < COUNT(reqs); i++) {
		reqs[i] = (struct fbs_req){.op = (enum fbs_op)(i % 3), .end_bytes = 200 * KIB};
		fbs_push(rig.fbs, leaves[i % n], &reqs[i], rig.now_ns);
		rig.now_ns += MS;
		while (fbs_next(rig.fbs, rig.now_ns, &slice))
			fbs_done(rig.fbs, &slice, rig.now_ns);
		if (i % 8 == 0)
			(void)fbs_set_parent(rig.fbs, leaves[i % n], nodes[i / 8 % 2]);
		fbs_check(rig.fbs);
	}
	for (unsigned i = 0; n && i < COUNT(reqs); i++)
		if (reqs[i].leaf)
			fbs_cancel(rig.fbs, &reqs[i]);
	for (unsigned i = 0; i < n; i += 2)
		fbs_drop(rig.fbs, leaves[i]);
	fbs_check(rig.fbs);
	fbs_destroy(rig.fbs);
	return true;
}

static void test_each_fails_once(void **state)
{
	int n = 0;

	(void)state;
	blocks = 0;
	for (; n < 1000; n++) {
		failing = n;
		assert_int_equal(some_of_everything(), n >= 3);
		assert_int_equal(blocks, 0);
		if (failing >= 0) /* there were not so many */
			break;
	}
	failing = -1;
	assert_in_range(n, 50, 999);
}

static void test_cap_without_memory(void **state)
{
	(void)state;
	failing = 0;
	assert_null(fbs_cap_create(&(struct fbs_max){.iops = 1}));
	assert_int_equal(failing, -1);
}

/* Nothing has changed: the order in which all are served is the same as without the attempt. */
static void served_in_turns(bool attempt)
{
	struct fbs_node *g;

	begin(FBS_POLICY_WEIGHT);
	g = group_of(1, "ab");
	leaf('c', NULL, 1);
	leaf('d', NULL, 1);
	leaf('e', g, 1);
	leaf('f', g, 1); /* there is room for four below g */
	cap('c', (struct fbs_max){.iops = 100});
	push_n('a', 6);
	push_n('b', 6);
	push_n('c', 6);
	push_n('d', 6);
	order("acd");
	if (attempt) {
		allocations_left = 0;
		assert_null(fbs_add_leaf(rig.fbs, g, 1));
		assert_null(fbs_add_group(rig.fbs, fbs_root(rig.fbs), 1));
		assert_int_equal(fbs_set_parent(rig.fbs, rig.leaf[3], g), -ENOMEM);
		assert_int_equal(fbs_set_parent(rig.fbs, rig.leaf[2], g), -ENOMEM);
		allocations_left = -1;
		fbs_check(rig.fbs);
	}
	order("bdadbdadbd");
	later(5);
	order("cababab-");
	end();
}

static void test_nothing_changes(void **state)
{
	(void)state;
	served_in_turns(false);
	served_in_turns(true);
}

/* ---- none is needed ---- */

static void test_none_on_the_request_path(void **state)
{
	struct client clients[] = {{.name = 'a', .depth = 1, .think_ns = 100000},
				   {.name = 'b', .depth = 8, .bytes = 128 * KIB, .op = FBS_WRITE},
				   {.name = 'c', .depth = 4},
				   {.name = 'd', .depth = 16, .op = FBS_WRITE},
				   {.name = 'e', .depth = 2, .bytes = 32 * MIB, .op = FBS_DISCARD},
				   {.name = 'f', .depth = 1, .think_ns = 3 * MS},
				   {0}};
	struct disk disk = {.servers = 2, .service_ns = 1 * MS};
	static const enum fbs_policy policies[] = {FBS_POLICY_COST, FBS_POLICY_WEIGHT,
						   FBS_POLICY_IOSIZE};
	struct fbs_node *g;
	struct fbs_flush flush;
	unsigned before;

	(void)state;
	begin(FBS_POLICY_COST);
	rig.params = all_features;
	rig.params.capability = (struct fbs_capability){0};
	fbs_configure(rig.fbs, &rig.params);
	g = group(NULL, 10);
	for (char name = 'a'; name <= 'f'; name++)
		leaf(name, name % 2 ? g : NULL, 10);
	cap('c', (struct fbs_max){.read_iops = 100, .bps = MIB});
	cap_node(g, (struct fbs_max){.write_iops = 400});
	min('d', 50);
	fbs_set_min(rig.fbs, g, &(struct fbs_min){.iops = 100, .bps = MIB});
	fbs_set_class(rig.fbs, rig.leaf[3], FBS_IDLE);
	fbs_set_class(rig.fbs, rig.leaf[5], FBS_REALTIME);
	before = allocations;
	for (unsigned i = 0; i < 60; i++) {
		work(&disk, clients, 200 * MS);
		fbs_flush_start(rig.fbs, rig.leaf[1], rig.now_ns, &flush);
		work(&disk, clients, 20 * MS);
		fbs_flush_done(rig.fbs, &flush, rig.now_ns);
		fbs_set_weight(rig.fbs, g, 1 + i);
		fbs_set_class(rig.fbs, g, (enum fbs_class)(i % 3));
		fbs_set_min(rig.fbs, rig.leaf[0], &(struct fbs_min){.iops = i});
		fbs_set_cap(rig.fbs, rig.leaf[2], rig.leaf[2]->cap);
		fbs_cap_configure(rig.leaf[2]->cap, &(struct fbs_max){.iops = 100 + i});
		rig.params.policy = policies[i % 3];
		rig.params.isolation = (enum fbs_isolation)(i / 3 % 3);
		fbs_configure(rig.fbs, &rig.params);
	}
	assert_int_equal(allocations, before);
	for (const struct client *c = clients; c->name; c++)
		assert_true(c->ios > 10);
	drain(&disk, clients);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_fails_once),
		cmocka_unit_test(test_cap_without_memory),
		cmocka_unit_test(test_nothing_changes),
		cmocka_unit_test(test_none_on_the_request_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
