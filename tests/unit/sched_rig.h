/* SPDX-License-Identifier: MIT */
/*
 * sched_rig.h - a scheduler with leaves a, b, c ... and a pile of requests, for the unit tests.
 *
 * Most cases are written as the order in which leaves are served: order("abaa"). Tags in the
 * comments are in tokens / weight from the start of the case; under the policy `weight` a
 * request of one slice is one token, so that they can be followed by head. Time is rig.now_ns.
 */
#ifndef FUSEBAND_TESTS_UNIT_SCHED_RIG_H
#define FUSEBAND_TESTS_UNIT_SCHED_RIG_H

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

struct rig {
	struct fbs *fbs;
	struct fbs_params params;
	uint64_t now_ns;
	struct fbs_node *leaf[LEAVES];
	struct fbs_req req[LEAVES][REQUESTS];
	unsigned used[LEAVES];	    /* requests that were pushed */
	struct fbs_slice out[2048]; /* slices not done */
	unsigned nout;
};

static struct rig rig;

/*
 * One nanosecond per byte, one millisecond per request: a slice of n bytes costs 1 ms + n - 4096.
 */
static const struct fbs_params plain = {
	.policy = FBS_POLICY_WEIGHT,
	.io_throttle = 100000,
	.isolation = FBS_ISOLATION_THROUGHPUT,
	.capability = {.read_iops = 1000,
		       .write_iops = 500,
		       .read_bps = 1000000000,
		       .write_bps = 500000000},
};

static inline void begin(enum fbs_policy policy)
{
	memset(&rig, 0, sizeof(rig));
	rig.params = plain;
	rig.params.policy = policy;
	rig.fbs = fbs_create(&rig.params);
	rig.now_ns = 1000 * SEC;
	assert_non_null(rig.fbs);
}

/* By requests, one at a time. */
static inline void begin_serial(void)
{
	begin(FBS_POLICY_WEIGHT);
	rig.params.io_throttle = 1;
	fbs_configure(rig.fbs, &rig.params);
}

static inline void leaf(char name, struct fbs_node *parent, unsigned weight)
{
	rig.leaf[name - 'a'] = fbs_add_leaf(rig.fbs, parent ? parent : fbs_root(rig.fbs), weight);
	assert_non_null(rig.leaf[name - 'a']);
}

static inline struct fbs_req *push_op(char name, enum fbs_op op, uint64_t pos, uint64_t len)
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

static inline struct fbs_req *push(char name)
{
	return push_op(name, FBS_READ, 0, 4 * KIB);
}

static inline void push_n(char name, unsigned n)
{
	while (n-- > 0)
		push(name);
}

/* Whose slice goes next; 0: none. */
static inline char next(void)
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

static inline void order(const char *names)
{
	char got[512] = "";

	assert_true(strlen(names) < sizeof(got));
	for (size_t i = 0; names[i]; i++)
		if (!(got[i] = next()))
			got[i] = '-';
	assert_string_equal(got, names);
}

static inline void repeat(char name, unsigned times)
{
	char one[2] = {name, 0};

	while (times-- > 0)
		order(one);
}

static inline struct fbs_slice *last_out(void)
{
	return &rig.out[rig.nout - 1];
}

/* The i-th slice that is out comes back. */
static inline void done(unsigned i)
{
	struct fbs_slice slice = rig.out[i];

	memmove(&rig.out[i], &rig.out[i + 1], (rig.nout - i - 1) * sizeof(slice));
	rig.nout--;
	fbs_done(rig.fbs, &slice, rig.now_ns);
	fbs_check(rig.fbs);
}

static inline void done_all(void)
{
	while (rig.nout > 0)
		done(0);
}

static inline void cancel_all(void)
{
	for (int i = 0; i < LEAVES; i++)
		for (unsigned n = 0; n < rig.used[i]; n++)
			if (rig.req[i][n].leaf)
				fbs_cancel(rig.fbs, &rig.req[i][n]);
	fbs_check(rig.fbs);
}

static inline void end(void)
{
	done_all();
	cancel_all();
	fbs_destroy(rig.fbs);
	rig.fbs = NULL;
}

static inline struct fbs_node_stats stats_of(char name)
{
	struct fbs_node_stats stats;

	fbs_node_stats(rig.fbs, rig.leaf[name - 'a'], &stats);
	return stats;
}

/* Whole tokens charged. */
static inline uint64_t tokens_of(char name)
{
	return stats_of(name).tokens >> FBS_TOKEN_SHIFT;
}

static inline struct fbs_stats stats(void)
{
	struct fbs_stats all;

	fbs_stats(rig.fbs, &all);
	return all;
}

static inline void flush(char name, uint64_t took_ns, uint64_t own, uint64_t all)
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

static inline bool may_flush(char name)
{
	return fbs_flush_may_start(rig.fbs, rig.leaf[name - 'a']);
}

/* ---- limits ---- */

/* The node keeps it alive. */
static inline struct fbs_cap *cap_node(struct fbs_node *node, struct fbs_max max)
{
	struct fbs_cap *cap = fbs_cap_create(&max);

	assert_non_null(cap);
	fbs_set_cap(rig.fbs, node, cap);
	fbs_cap_unref(cap);
	fbs_check(rig.fbs);
	return cap;
}

static inline void cap(char name, struct fbs_max max)
{
	cap_node(rig.leaf[name - 'a'], max);
}

static inline void min(char name, uint64_t iops)
{
	fbs_set_min(rig.fbs, rig.leaf[name - 'a'], &(struct fbs_min){.iops = iops});
	fbs_check(rig.fbs);
}

static inline struct fbs_node *group(struct fbs_node *parent, unsigned weight)
{
	struct fbs_node *node = fbs_add_group(rig.fbs, parent ? parent : fbs_root(rig.fbs), weight);

	assert_non_null(node);
	return node;
}

/* With leaves of weight 1 below it: group_of(100, "ab"). */
static inline struct fbs_node *group_of(unsigned weight, const char *names)
{
	struct fbs_node *node = group(NULL, weight);

	for (; *names; names++)
		leaf(*names, node, 1);
	return node;
}

/* After a "no": in how many microseconds to ask again; -1: never by time alone. */
static inline int64_t wakeup_us(void)
{
	uint64_t at_ns;

	assert_int_equal(next(), 0);
	at_ns = fbs_wakeup(rig.fbs);
	if (at_ns == FBS_NEVER)
		return -1;
	assert_true(at_ns > rig.now_ns);
	return (int64_t)((at_ns - rig.now_ns + 999) / 1000);
}

static inline void later(uint64_t ms)
{
	rig.now_ns += ms * MS;
}

static inline struct fbs_node_stats node_stats(const struct fbs_node *node)
{
	struct fbs_node_stats seen;

	fbs_node_stats(rig.fbs, node, &seen);
	return seen;
}

#endif
