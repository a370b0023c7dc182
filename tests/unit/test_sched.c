/* SPDX-License-Identifier: MIT */
/*
 * test_sched.c - every function of sched.h, in the header's order, in virtual time.
 *
 * Most cases are written as the order in which leaves a, b, c ... are served: order(rig, "abaa").
 * Tags in the comments are in tokens / weight from the start of the case; under the policy `weight`
 * a slice is one token, so that they can be followed by head.
 *
 * Memory comes from wrappers that can fail and count:
 * link with -Wl,--wrap=calloc,--wrap=realloc,--wrap=free.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sched.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define KIB UINT64_C(1024)
#define MIB (UINT64_C(1024) * 1024)
#define MS UINT64_C(1000000)
#define SEC UINT64_C(1000000000)
#define YEAR (UINT64_C(31557600) * SEC)

#define LEAVES 6
#define REQUESTS 256

/* ---- memory that runs out ---- */

static int allocations_left = -1; /* -1: any number */
static int blocks;		  /* allocated and not freed */

void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *old);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *old);

static bool allowed(void)
{
	if (allocations_left < 0)
		return true;
	if (allocations_left == 0)
		return false;
	allocations_left--;
	return true;
}

void *__wrap_calloc(size_t n, size_t size)
{
	void *new = allowed() ? __real_calloc(n, size) : NULL;

	blocks += new != NULL;
	return new;
}

void *__wrap_realloc(void *old, size_t size)
{
	void *new = allowed() ? __real_realloc(old, size) : NULL;

	blocks += new != NULL && old == NULL;
	return new;
}

void __wrap_free(void *old)
{
	blocks -= old != NULL;
	__real_free(old);
}

/* ---- a scheduler with leaves a, b, c ... and a pile of requests ---- */

struct rig {
	struct fbs *fbs;
	struct fbs_params params;
	uint64_t now_ns;
	struct fbs_node *leaf[LEAVES];
	struct fbs_req req[LEAVES][REQUESTS];
	unsigned used[LEAVES];	  /* requests that were pushed */
	struct fbs_slice out[2048]; /* slices not done */
	unsigned nout;
};

static struct rig rig;

/* One nanosecond per byte, one millisecond per request: a slice of n bytes costs 1 ms + n - 4096. */
static const struct fbs_params plain = {
	.policy = FBS_POLICY_WEIGHT,
	.io_throttle = 100000,
	.capability = {.read_iops = 1000,
		       .write_iops = 500,
		       .read_bps = 1000000000,
		       .write_bps = 500000000},
};

static void begin(enum fbs_policy policy)
{
	allocations_left = -1;
	blocks = 0; /* whatever a failed case left behind */
	memset(&rig, 0, sizeof(rig));
	rig.params = plain;
	rig.params.policy = policy;
	rig.fbs = fbs_create(&rig.params);
	rig.now_ns = 1000 * SEC;
	assert_non_null(rig.fbs);
}

static void leaf(char name, struct fbs_node *parent, unsigned weight)
{
	rig.leaf[name - 'a'] = fbs_add_leaf(rig.fbs, parent ? parent : fbs_root(rig.fbs), weight);
	assert_non_null(rig.leaf[name - 'a']);
}

static struct fbs_req *push_op(char name, enum fbs_op op, uint64_t pos, uint64_t len)
{
	unsigned i = (unsigned)(name - 'a');
	struct fbs_req *req = &rig.req[i][rig.used[i]++];

	assert_true(rig.used[i] <= REQUESTS);
	req->op = op;
	req->pos_bytes = pos;
	req->end_bytes = pos + len;
	fbs_push(rig.fbs, rig.leaf[i], req, rig.now_ns);
	fbs_check(rig.fbs);
	return req;
}

static struct fbs_req *push(char name)
{
	return push_op(name, FBS_READ, 0, 4 * KIB);
}

static void push_n(char name, unsigned n)
{
	while (n-- > 0)
		push(name);
}

/* Whose slice goes next; 0: none. */
static char next(void)
{
	struct fbs_slice *slice = &rig.out[rig.nout];

	if (!fbs_next(rig.fbs, rig.now_ns, slice))
		return 0;
	fbs_check(rig.fbs);
	assert_true(rig.nout < COUNT(rig.out) - 1);
	assert_true(slice->issued_ns == rig.now_ns);
	rig.nout++;
	for (int i = 0; i < LEAVES; i++)
		if (rig.leaf[i] == slice->leaf)
			return (char)('a' + i);
	return '?';
}

static void order(const char *names)
{
	char got[512] = "";

	assert_true(strlen(names) < sizeof(got));
	for (size_t i = 0; names[i]; i++)
		if (!(got[i] = next()))
			got[i] = '-';
	assert_string_equal(got, names);
}

static void repeat(char name, unsigned times)
{
	char one[2] = {name, 0};

	while (times-- > 0)
		order(one);
}

static struct fbs_slice *last_out(void)
{
	return &rig.out[rig.nout - 1];
}

/* The i-th slice that is out comes back. */
static void done(unsigned i)
{
	struct fbs_slice slice = rig.out[i];

	memmove(&rig.out[i], &rig.out[i + 1], (rig.nout - i - 1) * sizeof(slice));
	rig.nout--;
	fbs_done(rig.fbs, &slice, rig.now_ns);
	fbs_check(rig.fbs);
}

static void done_all(void)
{
	while (rig.nout > 0)
		done(0);
}

static void cancel_all(void)
{
	for (int i = 0; i < LEAVES; i++)
		for (unsigned n = 0; n < rig.used[i]; n++)
			if (rig.req[i][n].leaf)
				fbs_cancel(rig.fbs, &rig.req[i][n]);
	fbs_check(rig.fbs);
}

static void end(void)
{
	done_all();
	cancel_all();
	fbs_destroy(rig.fbs);
	rig.fbs = NULL;
	assert_int_equal(blocks, 0);
}

static struct fbs_leaf_stats stats_of(char name)
{
	struct fbs_leaf_stats stats;

	fbs_leaf_stats(rig.fbs, rig.leaf[name - 'a'], &stats);
	return stats;
}

/* Whole tokens charged. */
static uint64_t tokens_of(char name)
{
	return stats_of(name).tokens >> FBS_TOKEN_SHIFT;
}

static struct fbs_stats stats(void)
{
	struct fbs_stats all;

	fbs_stats(rig.fbs, &all);
	return all;
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
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	push_n('a', 30);
	repeat('a', 10);
	push_n('b', 30);
	order("babab"); /* a 11, b 12, V 11 */
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
	end();
}

/* The heaps are in order again after it, with many nodes at different standings. */
static void test_configure_policy_many(void **state)
{
	struct fbs_node *node[40];
	struct fbs_req req[40];
	struct fbs_slice slice;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
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
			rig.params.policy =
				i % 100 ? FBS_POLICY_COST : FBS_POLICY_IOSIZE;
			fbs_configure(rig.fbs, &rig.params);
			fbs_check(rig.fbs);
		}
	}
	for (unsigned i = 0; i < COUNT(node); i++)
		if (req[i].leaf)
			fbs_cancel(rig.fbs, &req[i]);
	end();
}

static void test_configure_throttle(void **state)
{
	(void)state;
	begin(FBS_POLICY_WEIGHT);
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
	end();
}

/* Prices: see `plain`. Every cost is rounded up to the next nanosecond, so nothing is free. */
static void test_configure_capability(void **state)
{
	(void)state;
	begin(FBS_POLICY_COST);
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
	end();
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

		begin(FBS_POLICY_COST);
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
		end();
	}
}

/* ---- fbs_add_group, fbs_add_leaf ---- */

static void test_add(void **state)
{
	struct fbs_node *group;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
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
	end();
}

static void test_add_without_memory(void **state)
{
	struct fbs_node *node;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
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
	end();
	(void)node;
}

/* ---- fbs_set_weight ---- */

/* a 100 and b 1 have gone once each: b's next is due at 1, a's at 0.01. */
static void test_set_weight_up(void **state)
{
	(void)state;
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 100);
	leaf('b', NULL, 1);
	push_n('a', 200);
	push_n('b', 200);
	order("abaa"); /* V 0.02, a 0.03, b 1 */
	fbs_set_weight(rig.fbs, rig.leaf[1], 100);
	fbs_check(rig.fbs);
	/* b = 0.02 + 0.98 / 100 = 0.0298: before a, not after 97 more of them; then in turns */
	order("babababa");
	end();
}

static void test_set_weight_down(void **state)
{
	(void)state;
	begin(FBS_POLICY_WEIGHT);
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
	end();
}

/* Idle nodes, groups, and the same weight again. */
static void test_set_weight_others(void **state)
{
	struct fbs_node *group;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
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
	end();
}

/* ---- fbs_set_parent ---- */

static void test_set_parent(void **state)
{
	struct fbs_node *group, *other;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
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
	end();
}

/* What a node is ahead by goes with it. */
static void test_set_parent_debt(void **state)
{
	struct fbs_node *group;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
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
	end();
}

static void test_set_parent_without_memory(void **state)
{
	struct fbs_node *group;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
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
	end();
}

/* ---- fbs_drop: what is freed too early is the sanitizer's to find ---- */

static void test_drop(void **state)
{
	struct fbs_node *group;
	struct fbs_flush flush;
	int before;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
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
	fbs_flush_done(rig.fbs, &flush, rig.now_ns + 5 * MS);
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
	/* the outer group was not dropped: it and its heap stay */
	assert_int_equal(blocks, before + 3);
	end();
}

/* A group that is dropped goes when its last child moves away. */
static void test_drop_empty_group(void **state)
{
	struct fbs_node *group;
	int before;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	group = fbs_add_group(rig.fbs, fbs_root(rig.fbs), 1);
	leaf('a', group, 1);
	push_n('a', 2);
	fbs_drop(rig.fbs, group);
	before = blocks;
	assert_int_equal(fbs_set_parent(rig.fbs, rig.leaf[0], fbs_root(rig.fbs)), 0);
	fbs_check(rig.fbs);
	assert_int_equal(blocks, before - 2); /* it and its heap */
	order("aa-");
	end();
}

/* Unflushed writes of a leaf that is gone are nobody's. */
static void test_drop_dirty(void **state)
{
	struct fbs_flush flush;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
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
	end();
}

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
	order("accacacac"); /* 8 8 8.8 9 9.6 10 10.4 11 11.2; then all three at 12 */
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
	repeat('a', 49); /* up to 0.99 */
	order("b");	 /* at 1, b 2 */
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
	push_op('a', FBS_READ, 0, 1 * MIB);
	push_n('b', 4);
	order("abababab");
	order("aaaa-");
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
	uint64_t pos = 5 * MIB + 4 * KIB, end_bytes = pos + 3000 * MIB, before = 0, charged;
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
		/* 10 ms is too long, then 0.1 ms is too short: sizes go down, then up */
		rig.now_ns += slices <= 20 ? 10 * MS : MS / 10;
		done(0);
		charged = tokens_of('a') - before;
		before = tokens_of('a');
		if (slices <= 20)
			assert_int_equal(charged, 10 * MS);
	}
	assert_true(pos == end_bytes);
	assert_in_range(slices, 25, 100);
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
	assert_int_equal(tokens_of('a'), 3);
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

/* ---- flushes ---- */

static void flush(char name, uint64_t took_ns, uint64_t own, uint64_t all)
{
	struct fbs_flush flush;

	fbs_flush_start(rig.fbs, rig.leaf[name - 'a'], rig.now_ns, &flush);
	assert_ptr_equal(flush.leaf, rig.leaf[name - 'a']);
	assert_int_equal(flush.own_dirty_bytes, own);
	assert_int_equal(flush.all_dirty_bytes, all);
	assert_true(flush.started_ns == rig.now_ns);
	assert_int_equal(stats_of(name).dirty_bytes, 0);
	rig.now_ns += took_ns;
	fbs_flush_done(rig.fbs, &flush, rig.now_ns);
	fbs_check(rig.fbs);
}

static bool may_flush(char name)
{
	return fbs_flush_may_start(rig.fbs, rig.leaf[name - 'a']);
}

static void test_flush_charge(void **state)
{
	uint64_t before;

	(void)state;
	begin(FBS_POLICY_COST);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	flush('a', 50 * MS, 0, 0); /* nothing written: nothing charged, whoever was slow */
	assert_int_equal(tokens_of('a'), 0);
	for (int i = 0; i < 3; i++)
		push_op('a', FBS_WRITE, 0, 4 * KIB);
	push_op('b', FBS_WRITE, 0, 4 * KIB);
	while (next())
		;
	done_all();
	before = stats_of('a').tokens;
	flush('a', 80 * MS, 12 * KIB, 16 * KIB); /* three quarters of 80 ms */
	assert_true(stats_of('a').tokens - before == 60 * MS << FBS_TOKEN_SHIFT);
	before = stats_of('b').tokens;
	flush('b', 80 * MS, 4 * KIB, 4 * KIB);
	assert_true(stats_of('b').tokens - before == 80 * MS << FBS_TOKEN_SHIFT);
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
	/* somebody else's flush does not count against a, and an empty one of its own neither */
	flush('a', 500 * MS, 0, 0);
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

/* The debt of a group is that of all below it, but only towards those outside. */
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
	assert_false(may_flush('b'));
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
	flush('a', 50 * MS, 80 * KIB, 80 * KIB); /* 21 tokens in 100 ms */
	assert_int_equal(stats_of('a').tokens, (28 << FBS_TOKEN_SHIFT) +
						       FBS_TOKEN_ONE * 21 / 2);
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
 * Prices so high that a tag goes round in 64 slices: 4096 bytes x 100 s are about 2^59 in tag units,
 * cut to 2^58, the most that one charge may be. c sleeps through nearly all of it.
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
 * 1000 tokens in 10 ms, so that a flush of a minute is 6 million tokens, 2^54 in tag units at
 * weight 1; 900 of those are more than a lap of 2^64.
 */
static void huge_debt(unsigned weight)
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
	for (size_t i = 0; i < COUNT(flushes); i++) {
		done(0);
		fbs_flush_start(rig.fbs, rig.leaf[0], rig.now_ns, &flushes[i]);
	}
	rig.now_ns += 60 * SEC;
	for (size_t i = 0; i < COUNT(flushes); i++)
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
	huge_debt(1);
	huge_debt(FBS_WEIGHT_MAX);
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
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_cancel_sliced),
		cmocka_unit_test(test_cancel_in_tree),
		cmocka_unit_test(test_flush_charge),
		cmocka_unit_test(test_flush_debt),
		cmocka_unit_test(test_flush_debt_of_group),
		cmocka_unit_test(test_flush_hung),
		cmocka_unit_test(test_flush_tokens),
		cmocka_unit_test(test_stats),
		cmocka_unit_test(test_wrap_around),
		cmocka_unit_test(test_huge_debt),
		cmocka_unit_test(test_long_idle),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
