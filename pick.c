/* SPDX-License-Identifier: MIT */
/* pick.c - see pick.h; why it is so is told at the head of sched.c under PRECEDENCE. */
#include "pick.h"
#include "idle.h"
#include "wait.h"

uint64_t pick_bytes(const struct fbs *fbs, const struct fbs_req *req)
{
	uint64_t unit =
		req->op == FBS_DISCARD ? discard_unit_bytes(&fbs->discard) : FBS_SLICE_BYTES;
	uint64_t left = req->end_bytes - req->pos_bytes;
	uint64_t bytes = unit - (req->pos_bytes & (unit - 1)); /* units are powers of two */

	return bytes < left ? bytes : left;
}

struct rate_work pick_work(const struct fbs_req *req, uint64_t bytes)
{
	return (struct rate_work){
		.write = is_write(req->op),
		.bytes = req->op == FBS_DISCARD ? 0 : bytes,
		.from_bytes = req->pos_bytes - req->start_bytes,
		.to_bytes = req->pos_bytes - req->start_bytes + bytes,
	};
}

/*
 * Where the caps on the way from leaf to the root hold a request. So does a discard at the disk
 * another one: nobody can tell how long a disk will be at it, and several would fill all of it.
 */
struct hold {
	struct fbs_node *node; /* the highest below which nothing else may go either; NULL: none */
	uint64_t until_ns;     /* 0: nothing holds it */
};

static struct hold hold_of(struct fbs *fbs, struct fbs_node *leaf, const struct fbs_req *req)
{
	struct rate_work work = pick_work(req, pick_bytes(fbs, req));
	unsigned other = work.write ? LANE_READ : LANE_WRITE;
	struct hold hold = {0};

	if (req->op == FBS_DISCARD && fbs->discarding)
		hold = (struct hold){leaf->queued[other] ? NULL : leaf,
				     fbs->last_ns + RATE_NEVER_NS};
	for (struct fbs_node *node = leaf; node->parent; node = node->parent) {
		uint64_t ready_ns;
		bool all;

		if (!node->cap)
			continue;
		ready_ns = rate_cap_ready_ns(node->cap, &node->sharer, &work, fbs->last_ns, &all);
		if (ready_ns <= fbs->last_ns)
			continue;
		if (all || !node->queued[other])
			hold = (struct hold){node, ready_ns};
		else if (!hold.until_ns)
			hold.until_ns = ready_ns;
	}
	return hold;
}

/*
 * The request of leaf that goes next: the oldest, unless a cap holds only that direction. NULL:
 * caps hold it, and it is out of the queue or what is above it is.
 */
static struct fbs_req *pick_request(struct fbs *fbs, struct fbs_node *leaf)
{
	struct fbs_req *read = leaf->lanes[LANE_READ].head, *write = leaf->lanes[LANE_WRITE].head;
	struct fbs_req *first = !write || (read && read->order < write->order) ? read : write;
	struct fbs_req *second = first == read ? write : read;
	struct hold a = hold_of(fbs, leaf, first), b;

	if (!a.until_ns)
		return first;
	if (a.node || !second) {
		tree_cap_until(fbs, a.node ? a.node : leaf, a.until_ns);
		return NULL;
	}
	b = hold_of(fbs, leaf, second);
	if (!b.until_ns)
		return second;
	if (b.node)
		tree_cap_until(fbs, b.node, b.until_ns);
	else
		tree_cap_until(fbs, leaf, least(a.until_ns, b.until_ns));
	return NULL;
}

/* When the caps at, above and below node may let something go again; 0: they do. */
static uint64_t capped_until_ns(const struct fbs *fbs, const struct fbs_node *node)
{
	const struct heap_slot *capped = fbs->capped.slots;
	uint64_t until_ns = tree_has_work(node) ? 0 : capped[0].key;

	for (; node->parent; node = node->parent)
		if (is_capped(node) && capped[node->pos[HEAP_CAPPED]].key > until_ns)
			until_ns = capped[node->pos[HEAP_CAPPED]].key;
	return until_ns;
}

/*
 * This is due, and later than it should be by more than is made up for: the disk cannot do it all.
 */
static void slip(struct fbs *fbs, const struct heap_slot *due)
{
	uint64_t late_ns = promise_now_ns(fbs) - due->key;

	if (late_ns > RATE_LATE_NS && !due->node->was_held)
		fbs->promise_slip_ns +=
			least(late_ns - RATE_LATE_NS, promise_now_ns(fbs) - fbs->promise_seen_ns);
}

/* The node whose reservation is due, or the root. */
static struct fbs_node *pick_top(struct fbs *fbs)
{
	struct fbs_node *top = fbs->root;

	while (fbs->due.n && !before(promise_now_ns(fbs), fbs->due.slots[0].key)) {
		struct heap_slot due = fbs->due.slots[0];
		uint64_t until_ns = capped_until_ns(fbs, due.node);

		if (!until_ns) {
			slip(fbs, &due);
			top = due.node;
			break;
		}
		due.node->was_held = true;
		heap_put(&fbs->due, due.node, until_ns - fbs->promise_slip_ns, due.order);
	}
	fbs->promise_seen_ns = promise_now_ns(fbs);
	return top;
}

struct fbs_req *pick_next(struct fbs *fbs, struct fbs_node **ret_top)
{
	while (fbs->capped.n && !before(fbs->last_ns, fbs->capped.slots[0].key))
		tree_uncap(fbs, fbs->capped.slots[0].node);
	while (queued_of(fbs->root)) {
		struct fbs_node *top = pick_top(fbs), *leaf;
		struct fbs_req *req;

		if (!tree_has_work(top)) /* caps hold everybody */
			break;
		leaf = tree_first(top);
		if (!has_queued(leaf)) {
			if (top != fbs->root) {
				idle_end(fbs, leaf); /* a promise comes before a hope */
			} else if (idle_waits(fbs, leaf, fbs->last_ns)) {
				wait_hold_for(fbs, leaf);
				return NULL;
			}
			continue;
		}
		req = pick_request(fbs, leaf);
		if (req) {
			wait_stop_holding(fbs);
			*ret_top = top;
			return req;
		}
	}
	wait_stop_holding(fbs);
	return NULL;
}
