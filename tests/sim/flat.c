/* SPDX-License-Identifier: MIT */
/*
 * flat.c - queues for the small schedulers, and the smallest of them: first come, first served.
 */
#include <assert.h>
#include <limits.h>
#include <stdlib.h>

#include "tests/sim/flat.h"

#define SECTOR_BYTES 512U

void *flat_create(const struct sim_sched_params *params, unsigned throttle)
{
	struct flat *flat = calloc(1, sizeof(*flat));

	if (!flat)
		return NULL;
	flat->last = &flat->first;
	flat->policy = params->fbs.policy;
	flat->throttle = throttle;
	return flat;
}

void flat_destroy(void *sched)
{
	struct flat *flat = sched;
	struct flat_leaf *next;

	if (!flat)
		return;
	for (struct flat_leaf *leaf = flat->first; leaf; leaf = next) {
		next = leaf->next;
		free(leaf);
	}
	free(flat);
}

void *flat_add_leaf(void *sched, void *parent, unsigned weight)
{
	struct flat *flat = sched;
	struct flat_leaf *leaf = calloc(1, sizeof(*leaf));

	assert(!parent);
	if (!leaf)
		return NULL;
	leaf->tail = &leaf->head;
	leaf->weight = weight;
	flat->weights += weight;
	*flat->last = leaf;
	flat->last = &leaf->next;
	return leaf;
}

void flat_set_weight(void *sched, void *node, unsigned weight)
{
	struct flat *flat = sched;
	struct flat_leaf *leaf = node;

	flat->weights += weight;
	flat->weights -= leaf->weight;
	leaf->weight = weight;
}

void flat_push(void *sched, void *node, struct fbs_req *req, uint64_t now_ns)
{
	struct flat_leaf *leaf = node;

	(void)sched;
	req->pushed_ns = now_ns;
	req->next = NULL;
	*leaf->tail = req;
	leaf->tail = &req->next;
}

uint64_t flat_price(const struct flat *flat, const struct fbs_req *req)
{
	if (flat->policy == FBS_POLICY_WEIGHT)
		return 1;
	return (req->end_bytes - req->pos_bytes + SECTOR_BYTES - 1) / SECTOR_BYTES;
}

void flat_issue(struct flat *flat, struct flat_leaf *leaf, uint64_t now_ns,
		struct fbs_slice *ret_slice)
{
	struct fbs_req *req = leaf->head;
	uint64_t price = flat_price(flat, req);

	*ret_slice = (struct fbs_slice){
		.req = req,
		.pos_bytes = req->pos_bytes,
		.len_bytes = req->end_bytes - req->pos_bytes,
		.issued_ns = now_ns,
		.op = req->op,
		.last = true,
	};
	leaf->tokens += price << FBS_TOKEN_SHIFT;
	leaf->tokens_left -= (int64_t)price;
	leaf->head = req->next;
	if (!leaf->head)
		leaf->tail = &leaf->head;
	req->pos_bytes = req->end_bytes;
	flat->in_flight++;
}

void flat_done(void *sched, const struct fbs_slice *slice, uint64_t now_ns)
{
	struct flat *flat = sched;

	(void)slice;
	(void)now_ns;
	assert(flat->in_flight > 0);
	flat->in_flight--;
}

uint64_t flat_tokens(void *sched, void *node)
{
	const struct flat_leaf *leaf = node;

	(void)sched;
	return leaf->tokens;
}

unsigned flat_limit(void *sched)
{
	const struct flat *flat = sched;

	return flat->throttle;
}

/* ---- first come, first served ---- */

static void *fifo_create(const struct sim_sched_params *params)
{
	return flat_create(params, params->fbs.io_throttle ? params->fbs.io_throttle : UINT_MAX);
}

static bool fifo_next(void *sched, uint64_t now_ns, struct fbs_slice *ret_slice)
{
	struct flat *flat = sched;
	struct flat_leaf *first = NULL;

	if (flat->in_flight >= flat->throttle)
		return false;
	for (struct flat_leaf *leaf = flat->first; leaf; leaf = leaf->next)
		if (leaf->head && (!first || leaf->head->pushed_ns < first->head->pushed_ns))
			first = leaf;
	if (!first)
		return false;
	flat_issue(flat, first, now_ns, ret_slice);
	return true;
}

const struct sim_sched_ops sim_fifo = {
	.name = "fifo",
	.create = fifo_create,
	.destroy = flat_destroy,
	.add_leaf = flat_add_leaf,
	.set_weight = flat_set_weight,
	.push = flat_push,
	.next = fifo_next,
	.done = flat_done,
	.tokens = flat_tokens,
	.limit = flat_limit,
};
