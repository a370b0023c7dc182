/* SPDX-License-Identifier: MIT */
/*
 * sim_fbs.c - the scheduler library behind the simulator's table of functions.
 */
#include "tests/sim/sim.h"

static void *create(const struct sim_sched_params *params)
{
	return fbs_create(&params->fbs);
}

static void destroy(void *sched)
{
	fbs_destroy(sched);
}

static void *add_group(void *sched, void *parent, unsigned weight)
{
	return fbs_add_group(sched, parent ? parent : fbs_root(sched), weight);
}

static void *add_leaf(void *sched, void *parent, unsigned weight)
{
	return fbs_add_leaf(sched, parent ? parent : fbs_root(sched), weight);
}

static void set_weight(void *sched, void *node, unsigned weight)
{
	fbs_set_weight(sched, node, weight);
}

static void push(void *sched, void *leaf, struct fbs_req *req, uint64_t now_ns)
{
	fbs_push(sched, leaf, req, now_ns);
}

static bool next(void *sched, uint64_t now_ns, struct fbs_slice *ret_slice)
{
	return fbs_next(sched, now_ns, ret_slice);
}

static void done(void *sched, const struct fbs_slice *slice, uint64_t now_ns)
{
	fbs_done(sched, slice, now_ns);
}

static bool flush_may_start(void *sched, void *leaf)
{
	return fbs_flush_may_start(sched, leaf);
}

static void flush_start(void *sched, void *leaf, uint64_t now_ns, struct fbs_flush *ret_flush)
{
	fbs_flush_start(sched, leaf, now_ns, ret_flush);
}

static void flush_done(void *sched, const struct fbs_flush *flush, uint64_t now_ns)
{
	fbs_flush_done(sched, flush, now_ns);
}

static uint64_t tokens(void *sched, void *leaf)
{
	struct fbs_node_stats stats;

	fbs_node_stats(sched, leaf, &stats);
	return stats.tokens;
}

static unsigned limit(void *sched)
{
	struct fbs_stats stats;

	fbs_stats(sched, &stats);
	return stats.limit;
}

static uint64_t wakeup(void *sched)
{
	return fbs_wakeup(sched);
}

static void check(void *sched)
{
	fbs_check(sched);
}

const struct sim_sched_ops sim_fbs = {
	.name = "fuseband",
	.create = create,
	.destroy = destroy,
	.add_group = add_group,
	.add_leaf = add_leaf,
	.set_weight = set_weight,
	.push = push,
	.next = next,
	.done = done,
	.flush_may_start = flush_may_start,
	.flush_start = flush_start,
	.flush_done = flush_done,
	.tokens = tokens,
	.limit = limit,
	.wakeup = wakeup,
	.check = check,
};
