/* SPDX-License-Identifier: MIT */
/*
 * ioband.c - the rule of dm-ioband (2008), as a negative control.
 *
 * Time goes in epochs. At the start of one, every group gets tokens in proportion to its weight,
 * out of a pool of TOKEN_POOL; a request takes one (policy weight) or one per sector. A group
 * without tokens waits for the next epoch. That starts
 *
 *   - when no group has tokens left, or
 *   - when only groups without tokens have something queued, and fewer than io_throttle requests
 *     (default 4) are in flight: the others do not seem to want the disk.
 *
 * The second rule is the mistake. What is in flight says how deep the clients' queues are, not
 * whether they want the disk: with few requests outstanding in all, an exhausted group is refilled
 * at once, always, and the weights have no effect. With two clients that never have more than 4
 * each, holding the light one back leaves only the heavy one's 4 in flight; the first completion
 * makes 3, and the light one is refilled before the heavy one can ask again.
 *
 *   wanted 80:20, serial disk      depth 1-4 each        50:50
 *                                  depth 6 each          80:20
 *                                  depth 1 against 128    1:99
 *
 * The last line has another cause besides: nothing limits what is in flight, so a request of the
 * shallow client queues behind up to 128 of the other in the disk itself.
 *
 * Left out: merging, priorities within a group, local epochs, the sharing of spare tokens
 * (they do not matter for clients that are always busy), and groups within groups.
 */
#include "tests/sim/flat.h"

#define TOKEN_POOL 2048
#define IO_THROTTLE 4U

static void *ioband_create(const struct sim_sched_params *params)
{
	return flat_create(params, params->ioband_throttle ? params->ioband_throttle : IO_THROTTLE);
}

static void new_epoch(struct flat *flat)
{
	/* a pool of requests is a pool of 8 times as many sectors */
	uint64_t pool = flat->policy == FBS_POLICY_WEIGHT ? TOKEN_POOL : TOKEN_POOL * 8;

	for (struct flat_leaf *leaf = flat->first; leaf; leaf = leaf->next) {
		int64_t tokens = (int64_t)(pool * leaf->weight / flat->weights);

		/* an overdrawn group pays, a thrifty one does not save */
		tokens += leaf->tokens_left < 0 ? leaf->tokens_left : 0;
		leaf->tokens_left = tokens > 0 ? tokens : 1;
	}
}

/* Round robin among the groups that may go. */
static struct flat_leaf *choose(struct flat *flat, bool *ret_queued, bool *ret_tokens)
{
	struct flat_leaf *leaf = flat->turn ? flat->turn : flat->first;
	struct flat_leaf *chosen = NULL, *start = leaf;

	*ret_queued = *ret_tokens = false;
	do {
		leaf = leaf->next ? leaf->next : flat->first;
		*ret_queued |= leaf->head != NULL;
		*ret_tokens |= leaf->tokens_left > 0;
		if (!chosen && leaf->head && leaf->tokens_left > 0)
			chosen = leaf;
	} while (leaf != start);
	return chosen;
}

static bool ioband_next(void *sched, uint64_t now_ns, struct fbs_slice *ret_slice)
{
	struct flat *flat = sched;
	struct flat_leaf *leaf;
	bool queued, tokens;

	if (!flat->first)
		return false;
	leaf = choose(flat, &queued, &tokens);
	if (!leaf) {
		if (!queued || (tokens && flat->in_flight >= flat->throttle))
			return false;
		new_epoch(flat);
		leaf = choose(flat, &queued, &tokens);
	}
	flat->turn = leaf;
	flat_issue(flat, leaf, now_ns, ret_slice);
	return true;
}

const struct sim_sched_ops sim_ioband = {
	.name = "dm-ioband",
	.create = ioband_create,
	.destroy = flat_destroy,
	.add_leaf = flat_add_leaf,
	.set_weight = flat_set_weight,
	.push = flat_push,
	.next = ioband_next,
	.done = flat_done,
	.tokens = flat_tokens,
	.limit = flat_limit,
};
