/* SPDX-License-Identifier: MIT */
/* tree.c - see tree.h; what tags mean is told at the head of sched.c. */
#include "tree.h"
#include "account.h"
#include "wait.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* wraps early, so that it is no news later */
#define FIRST_TAG (UINT64_C(0) - (UINT64_C(1) << 36))
#define EPOCH_SHIFT 61
#define CHARGE_MAX_TOKENS (UINT64_C(1) << 58) /* of one charge, scaled: an hour of cost */
#define AHEAD_MAX (INT64_C(1) << 60)	      /* of V, in tag units: far below half a lap */

bool tree_has_work(const struct fbs_node *node)
{
	if (is_leaf(node))
		return has_queued(node) || node->anticipated;
	for (unsigned c = 0; c < FBS_CLASSES; c++)
		if (node->queues[c].heap.n)
			return true;
	return false;
}

/* ---- tags ---- */

/* Bring a tag that V has overtaken up to V. */
static void catch_up(struct fbs_node *node)
{
	const struct queue *queue = queue_of(node);

	if (queue->vepoch - node->epoch >= 2 || before(node->tag, queue->vtime)) {
		node->tag = queue->vtime;
		node->remainder = 0;
	}
	node->epoch = queue->vepoch;
}

/* The tag moves on by tokens (scaled) / weight; what the division drops is kept. */
static void advance(const struct fbs *fbs, struct fbs_node *node, uint64_t tokens)
{
	unsigned __int128 sum = ((unsigned __int128)tokens << fbs->tag_shift) + node->remainder;
	uint64_t vtime = queue_of(node)->vtime, step;

	if (sum >> 64) {
		unsigned __int128 wide = sum / node->weight;

		step = wide > AHEAD_MAX ? (uint64_t)AHEAD_MAX : (uint64_t)wide;
		node->remainder = (uint64_t)(sum % node->weight);
	} else {
		step = (uint64_t)sum / node->weight;
		node->remainder = (uint64_t)sum % node->weight;
	}
	node->tag += step < AHEAD_MAX ? step : (uint64_t)AHEAD_MAX;
	if ((int64_t)(node->tag - vtime) > AHEAD_MAX)
		node->tag = vtime + (uint64_t)AHEAD_MAX;
}

static void enter_queue(struct fbs *fbs, struct fbs_node *node)
{
	struct queue *queue = queue_of(node);

	catch_up(node);
	account_join(node);
	queue->weights += node->weight;
	heap_put(&queue->heap, node, node->tag, ++fbs->order);
}

static void leave_queue(struct fbs *fbs, struct fbs_node *node)
{
	struct queue *queue = queue_of(node);

	account_settle(fbs, node);
	queue->weights -= node->weight;
	heap_remove(&queue->heap, node);
}

static void set_vtime(const struct fbs *fbs, struct queue *queue, uint64_t vtime)
{
	assert(!before(vtime, queue->vtime)); /* it never goes back */
	history_note(&queue->history, fbs->last_ns, queue->vtime, 0);
	if ((vtime ^ queue->vtime) >> EPOCH_SHIFT)
		queue->vepoch++;
	queue->vtime = vtime;
}

void tree_served(const struct fbs *fbs, struct fbs_node *leaf, const struct fbs_node *from)
{
	for (struct fbs_node *node = leaf; node != from; node = node->parent)
		set_vtime(fbs, queue_of(node), node->tag);
}

/* Its tag has changed. */
static void place(struct fbs *fbs, struct fbs_node *node)
{
	if (!is_candidate(node))
		return;
	if (tree_has_work(node))
		heap_put(&queue_of(node)->heap, node, node->tag, ++fbs->order);
	else
		leave_queue(fbs, node);
}

static uint64_t clamp_tokens(uint64_t tokens)
{
	return tokens < CHARGE_MAX_TOKENS ? tokens : CHARGE_MAX_TOKENS;
}

static void charge(struct fbs *fbs, struct fbs_node *node, uint64_t tokens, bool promised)
{
	account_pay(fbs, node, tokens, promised);
	catch_up(node);
	advance(fbs, node, tokens);
}

void tree_charge(struct fbs *fbs, struct fbs_node *leaf, uint64_t tokens)
{
	tokens = clamp_tokens(tokens);
	account_pay_disk(fbs, tokens);
	for (struct fbs_node *node = leaf; node->parent; node = node->parent) {
		charge(fbs, node, tokens, false);
		place(fbs, node);
	}
}

/* Node's part of tokens of the disk. */
static uint64_t part_of(const struct fbs_node *node, uint64_t tokens)
{
	if (!node->parent)
		return tokens;
	return (uint64_t)((unsigned __int128)part_of(node->parent, tokens) * node->weight /
			  weights_beside(node));
}

void tree_charge_reserved(struct fbs *fbs, struct fbs_node *leaf, const struct fbs_node *top,
			  uint64_t tokens, uint64_t most_tokens)
{
	bool reserved = false;

	tokens = clamp_tokens(tokens);
	account_pay_disk(fbs, tokens);
	for (struct fbs_node *node = leaf; node->parent; node = node->parent) {
		unsigned __int128 most = part_of(node->parent, most_tokens);
		uint64_t old, limit;

		reserved = reserved || node == top;
		catch_up(node);
		old = node->tag;
		most = (most << fbs->tag_shift) / weights_beside(node);
		limit = queue_of(node)->vtime +
			(most < AHEAD_MAX ? (uint64_t)most : (uint64_t)AHEAD_MAX);
		charge(fbs, node, tokens, reserved);
		if (reserved && before(limit, node->tag))
			node->tag = before(limit, old) ? old : limit;
		place(fbs, node);
	}
}

/* Has somebody else in its queue something to do, and is no mere candidate for being waited for? */
static bool is_contended(const struct fbs_node *node)
{
	const struct heap *heap = &queue_of(node)->heap;

	for (uint32_t i = 0; i < heap->n; i++)
		if (heap->slots[i].node != node && has_queued(heap->slots[i].node))
			return true;
	return false;
}

bool tree_is_ahead(const struct fbs *fbs, const struct fbs_node *leaf, uint64_t tokens)
{
	for (const struct fbs_node *node = leaf; node->parent; node = node->parent) {
		const struct queue *queue = queue_of(node);
		int64_t ahead = (int64_t)(node->tag - queue->vtime);

		if (queue->vepoch - node->epoch >= 2 || ahead <= 0 || !is_contended(node))
			continue;
		if ((unsigned __int128)ahead * node->weight >> fbs->tag_shift > tokens)
			return true;
	}
	return false;
}

bool tree_is_behind(const struct fbs_node *leaf)
{
	bool behind = false;

	for (const struct fbs_node *node = leaf; node->parent; node = node->parent) {
		const struct queue *queue = queue_of(node);

		if (queue->heap.n <= is_candidate(node))
			continue;
		if (queue->vepoch - node->epoch < 2 &&
		    !before(node->tag, queue->heap.slots[0].key) &&
		    queue->heap.slots[0].node != node)
			return false;
		behind = true;
	}
	return behind;
}

void tree_set_weight(struct fbs *fbs, struct fbs_node *node, unsigned weight)
{
	struct queue *queue = queue_of(node);
	unsigned __int128 ahead;

	if (weight == node->weight)
		return;
	account_settle(fbs, node);
	catch_up(node);
	ahead = (unsigned __int128)(node->tag - queue->vtime) * node->weight / weight;
	node->tag = queue->vtime + (ahead < AHEAD_MAX ? (uint64_t)ahead : (uint64_t)AHEAD_MAX);
	node->remainder = 0;
	if (is_candidate(node))
		queue->weights += (uint64_t)weight - node->weight;
	node->weight = weight;
	place(fbs, node);
}

/* What it is ahead of V by, to be so elsewhere. */
static uint64_t take_out(struct fbs *fbs, struct fbs_node *node)
{
	catch_up(node);
	if (is_candidate(node))
		leave_queue(fbs, node);
	return node->tag - queue_of(node)->vtime;
}

static void put_in(struct fbs_node *node, uint64_t ahead)
{
	node->tag = queue_of(node)->vtime + ahead;
	node->epoch = queue_of(node)->vepoch;
}

void tree_set_class(struct fbs *fbs, struct fbs_node *node, enum fbs_class class)
{
	bool candidate = is_candidate(node);
	uint64_t ahead;

	if (class == node->class)
		return;
	ahead = take_out(fbs, node);
	node->class = class;
	put_in(node, ahead);
	if (candidate)
		enter_queue(fbs, node);
}

void tree_level(struct fbs *fbs)
{
	for (struct fbs_node *node = fbs->nodes; node; node = node->next) {
		struct queue *queue = queue_of(node);

		account_settle(fbs, node);
		node->tag = queue->vtime;
		node->epoch = queue->vepoch;
		node->remainder = 0;
		node->flush_tokens = 0;
		if (is_candidate(node)) {
			struct heap_slot *slot = &queue->heap.slots[node->pos[HEAP_QUEUE]];

			slot->key = node->tag;
			slot->order = ++fbs->order;
		}
	}
	for (struct fbs_node *node = fbs->nodes; node; node = node->next)
		for (unsigned c = 0; node->queues && c < FBS_CLASSES; c++)
			heap_rebuild(&node->queues[c].heap);
	for (unsigned c = 0; c < FBS_CLASSES; c++)
		heap_rebuild(&fbs->root->queues[c].heap);
}

/* ---- candidates ---- */

void tree_activate(struct fbs *fbs, struct fbs_node *leaf)
{
	for (struct fbs_node *node = leaf; node->parent; node = node->parent) {
		if (is_candidate(node) || is_capped(node))
			return;
		enter_queue(fbs, node);
	}
}

static void end_cap(struct fbs *fbs, struct fbs_node *node)
{
	heap_remove(&fbs->capped, node);
	wait_uncapped(fbs, node);
}

void tree_settle(struct fbs *fbs, struct fbs_node *node)
{
	for (; node->parent && !tree_has_work(node); node = node->parent) {
		if (is_capped(node)) {
			end_cap(fbs, node);
			return;
		}
		if (!is_candidate(node))
			return;
		leave_queue(fbs, node);
	}
}

void tree_cap_until(struct fbs *fbs, struct fbs_node *node, uint64_t until_ns)
{
	leave_queue(fbs, node);
	wait_capped(fbs, node);
	heap_put(&fbs->capped, node, until_ns, ++fbs->order);
	tree_settle(fbs, node->parent);
}

void tree_uncap(struct fbs *fbs, struct fbs_node *node)
{
	end_cap(fbs, node);
	for (struct fbs_node *up = node; up->parent; up = up->parent)
		tree_set_due(fbs, up);
	if (tree_has_work(node))
		tree_activate(fbs, node);
}

void tree_release(struct fbs *fbs, struct fbs_node *leaf)
{
	for (struct fbs_node *node = leaf; fbs->capped.n && node->parent; node = node->parent) {
		if (is_capped(node))
			tree_uncap(fbs, node);
		tree_set_due(fbs, node);
	}
}

void tree_release_all(struct fbs *fbs)
{
	while (fbs->capped.n)
		tree_uncap(fbs, fbs->capped.slots[0].node);
	for (uint32_t i = 0; i < fbs->due.n; i++) {
		struct heap_slot *slot = &fbs->due.slots[i];

		slot->key = slot->order = rate_promise_due_ns(&slot->node->promise);
	}
	heap_rebuild(&fbs->due);
}

void tree_set_due(struct fbs *fbs, struct fbs_node *node)
{
	uint64_t due_ns;

	if (has_promise(node) && has_queued(node)) {
		due_ns = rate_promise_due_ns(&node->promise);
		heap_put(&fbs->due, node, due_ns, due_ns);
	} else if (node->pos[HEAP_DUE] != HEAP_ABSENT) {
		heap_remove(&fbs->due, node);
	}
}

void tree_count(struct fbs *fbs, struct fbs_node *leaf, unsigned lane, int by)
{
	bool news = false; /* something here or below may go that could not before */

	for (struct fbs_node *node = leaf; node; node = node->parent) {
		bool had = has_queued(node), has, first = by > 0 && !node->queued[lane];

		node->queued[lane] += (uint64_t)by;
		has = has_queued(node);
		news = news || first;
		if (has_promise(node) && (has != had || news)) {
			if (has && !had)
				rate_promise_wake(&node->promise, promise_now_ns(fbs));
			tree_set_due(fbs, node);
		}
		if (!has && node->cap)
			rate_cap_leave(node->cap, &node->sharer);
		if (first && is_capped(node)) /* it may be held in the other direction only */
			tree_uncap(fbs, node);
	}
}

struct fbs_node *tree_first(struct fbs_node *node)
{
	while (!is_leaf(node)) {
		const struct queue *queue = node->queues;

		while (!queue->heap.n)
			queue++;
		node = queue->heap.slots[0].node;
	}
	return node;
}

/* ---- nodes ---- */

static struct fbs_node *new_node(bool leaf)
{
	struct fbs_node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->weight = 1;
	node->class = FBS_NORMAL;
	for (unsigned i = 0; i < HEAP_KINDS; i++)
		node->pos[i] = HEAP_ABSENT;
	if (leaf)
		return node;
	node->queues = calloc(FBS_CLASSES, sizeof(*node->queues));
	if (!node->queues) {
		free(node);
		return NULL;
	}
	for (unsigned c = 0; c < FBS_CLASSES; c++) {
		node->queues[c].heap.kind = HEAP_QUEUE;
		node->queues[c].vtime = FIRST_TAG;
	}
	return node;
}

struct fbs_node *tree_new_root(void)
{
	return new_node(false);
}

void tree_free(struct fbs_node *node)
{
	if (node->cap)
		rate_cap_detach(node->cap, &node->sharer);
	for (unsigned c = 0; node->queues && c < FBS_CLASSES; c++)
		heap_free(&node->queues[c].heap);
	free(node->queues);
	free(node);
}

/* Room for one more child, so that the request path never allocates. */
static int make_room(struct fbs_node *parent)
{
	int r = 0;

	for (unsigned c = 0; c < FBS_CLASSES && !r; c++)
		r = heap_reserve(&parent->queues[c].heap, parent->children + 1);
	return r;
}

struct fbs_node *tree_add(struct fbs *fbs, struct fbs_node *parent, unsigned weight, bool leaf)
{
	struct fbs_node *node;

	if (make_room(parent) || heap_reserve(&fbs->capped, fbs->n_nodes + 1) ||
	    heap_reserve(&fbs->due, fbs->n_nodes + 1))
		return NULL;
	node = new_node(leaf);
	if (!node)
		return NULL;
	node->weight = weight;
	node->parent = parent;
	parent->children++;
	put_in(node, 0);
	node->next = fbs->nodes;
	if (fbs->nodes)
		fbs->nodes->prev = node;
	fbs->nodes = node;
	fbs->n_nodes++;
	return node;
}

/* All that is queued below node counts for those above it, or no longer. */
static void count_all(struct fbs *fbs, struct fbs_node *parent, const struct fbs_node *node,
		      int sign)
{
	for (unsigned lane = 0; lane < LANES; lane++)
		if (node->queued[lane])
			tree_count(fbs, parent, lane, sign * (int)node->queued[lane]);
}

int tree_move(struct fbs *fbs, struct fbs_node *node, struct fbs_node *parent)
{
	struct fbs_node *old = node->parent;
	bool candidate = is_candidate(node);
	uint64_t ahead;

	if (parent == old)
		return 0;
	if (make_room(parent))
		return -ENOMEM;
	ahead = take_out(fbs, node);
	wait_move(fbs, node, parent);
	count_all(fbs, old, node, -1);
	tree_settle(fbs, old);
	old->children--;
	node->parent = parent;
	parent->children++;
	put_in(node, ahead);
	count_all(fbs, parent, node, 1);
	if (candidate)
		tree_activate(fbs, node);
	tree_release_all(fbs);
	tree_collect(fbs, old);
	return 0;
}

void tree_collect(struct fbs *fbs, struct fbs_node *node)
{
	while (node->parent && node->dropped && !node->children && !has_queued(node) &&
	       !node->in_flight && !node->flushes) {
		struct fbs_node *parent = node->parent;

		tree_settle(fbs, node);
		if (node->prev)
			node->prev->next = node->next;
		else
			fbs->nodes = node->next;
		if (node->next)
			node->next->prev = node->prev;
		fbs->n_nodes--;
		fbs->dirty_bytes -= dirty_of(fbs, node);
		parent->children--;
		tree_free(node);
		node = parent;
	}
}
