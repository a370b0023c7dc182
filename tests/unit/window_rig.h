/* SPDX-License-Identifier: MIT */
/*
 * window_rig.h - the smallest scheduler behind a window, for the simulator.
 *
 * Its leaves are served in the order in which they were added, so the first is one that never gets
 * its share: what a client of few requests and much weight is to a fair scheduler. When it has
 * run empty its slot is held, and when it comes back it is noted, as window.h asks for. Prices
 * are proportional to the size. One at a time is enough.
 */
#ifndef FUSEBAND_TESTS_WINDOW_RIG_H
#define FUSEBAND_TESTS_WINDOW_RIG_H

#include "tests/sim/flat.h"
#include "window.h"

static struct rig {
	/* what is wanted, set before sim_create() */
	bool spare_first;   /* note and hold for the first leaf */
	uint64_t target_ns; /* of latency */

	struct flat *flat;
	struct window window;
	uint64_t per_4k_ns; /* price of 4 KiB; longer ones in proportion */
	unsigned first_out; /* slices of the first leaf in flight */
} rig;

static void *rig_create(const struct sim_sched_params *params)
{
	rig.flat = flat_create(params, 0);
	rig.per_4k_ns = SIM_SEC / params->fbs.capability.read_iops;
	rig.first_out = 0;
	window_init(&rig.window);
	window_set_latency_target(&rig.window, rig.target_ns);
	return rig.flat ? &rig : NULL;
}

static void rig_destroy(void *sched)
{
	(void)sched;
	flat_destroy(rig.flat);
}

static void *rig_add_leaf(void *sched, void *parent, unsigned weight)
{
	(void)sched;
	return flat_add_leaf(rig.flat, parent, weight);
}

static void rig_hold(void)
{
	window_hold(&rig.window, rig.spare_first && !rig.first_out && !rig.flat->first->head);
}

static void rig_push(void *sched, void *leaf, struct fbs_req *req, uint64_t now_ns)
{
	(void)sched;
	flat_push(rig.flat, leaf, req, now_ns);
	if (rig.spare_first && leaf == rig.flat->first) {
		window_note_shallow(&rig.window, now_ns);
		rig_hold();
	}
}

static bool rig_next(void *sched, uint64_t now_ns, struct fbs_slice *ret_slice)
{
	struct flat_leaf *leaf = rig.flat->first;
	uint64_t cost_ns;

	(void)sched;
	while (leaf && !leaf->head)
		leaf = leaf->next;
	if (!leaf)
		return false;
	cost_ns = rig.per_4k_ns * (leaf->head->end_bytes - leaf->head->pos_bytes) / 4096;
	if (!window_admit(&rig.window, cost_ns))
		return false;
	flat_issue(rig.flat, leaf, now_ns, ret_slice);
	ret_slice->cost_ns = cost_ns;
	ret_slice->leaf = leaf == rig.flat->first ? (struct fbs_node *)leaf : NULL;
	rig.first_out += ret_slice->leaf != NULL;
	window_issued(&rig.window, cost_ns, now_ns);
	return true;
}

static void rig_done(void *sched, const struct fbs_slice *slice, uint64_t now_ns)
{
	(void)sched;
	flat_done(rig.flat, slice, now_ns);
	window_done(&rig.window, slice->cost_ns, now_ns - slice->issued_ns, now_ns);
	rig.first_out -= slice->leaf != NULL;
	rig_hold();
}

static uint64_t rig_tokens(void *sched, void *leaf)
{
	(void)sched;
	return flat_tokens(rig.flat, leaf);
}

/* In slices of the present mean cost that it admits. */
static unsigned rig_limit(void *sched)
{
	const struct window *w = &rig.window;

	(void)sched;
	if (w->mean_cost_ns == 0 || w->limit_ns < w->mean_cost_ns)
		return 1;
	return (unsigned)(w->limit_ns / w->mean_cost_ns);
}

static const struct sim_sched_ops rig_ops = {
	.name = "window",
	.create = rig_create,
	.destroy = rig_destroy,
	.add_leaf = rig_add_leaf,
	.push = rig_push,
	.next = rig_next,
	.done = rig_done,
	.tokens = rig_tokens,
	.limit = rig_limit,
};

#endif
