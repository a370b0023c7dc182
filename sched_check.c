/* SPDX-License-Identifier: MIT */
/*
 * sched_check.c - is a scheduler as it should be? The invariants are at the head of sched.c. Only
 * the simulator and the tests link this.
 */
#include "tree.h"

#include <assert.h>

static void check_queue(const struct fbs_node *node, const struct queue *queue)
{
	uint64_t weights = 0;

	heap_check(&queue->heap);
	assert(queue->heap.n <= node->children);
	for (uint32_t i = 0; i < queue->heap.n; i++) {
		const struct heap_slot *slot = &queue->heap.slots[i];

		assert(slot->node->parent == node && queue_of(slot->node) == queue);
		assert(slot->key == slot->node->tag);
		assert(!before(slot->key, queue->vtime));
		weights += slot->node->weight;
	}
	assert(weights == queue->weights);
}

static void check_node(const struct fbs_node *node)
{
	bool work = tree_has_work(node);

	assert(is_candidate(node) ? work && !is_capped(node) : !work || is_capped(node));
	assert(!is_capped(node) || work);
	assert((node->pos[HEAP_DUE] != HEAP_ABSENT) == (has_promise(node) && has_queued(node)));
	assert(!node->anticipated || (is_leaf(node) && !has_queued(node)));
}

static void check_tree(const struct fbs *fbs)
{
	uint32_t n = 0;

	heap_check(&fbs->capped);
	heap_check(&fbs->due);
	for (unsigned c = 0; c < FBS_CLASSES; c++)
		check_queue(fbs->root, &fbs->root->queues[c]);
	for (const struct fbs_node *node = fbs->nodes; node; node = node->next, n++) {
		check_node(node);
		for (unsigned c = 0; node->queues && c < FBS_CLASSES; c++)
			check_queue(node, &node->queues[c]);
	}
	assert(n == fbs->n_nodes);
}

static void check_counters(const struct fbs *fbs)
{
	unsigned queued[LANES] = {0}, in_flight = 0, present = 0;

	for (const struct fbs_node *node = fbs->nodes; node; node = node->next) {
		if (!is_leaf(node))
			continue;
		for (unsigned lane = 0; lane < LANES; lane++) {
			unsigned n = 0;

			for (const struct fbs_req *req = node->lanes[lane].head; req;
			     req = req->next, n++)
				assert(req->leaf == node && req->pos_bytes < req->end_bytes);
			assert(n == node->queued[lane]);
			queued[lane] += n;
		}
		in_flight += node->in_flight;
		present += is_present(node);
	}
	assert(present == fbs->present);
	for (unsigned lane = 0; lane < LANES; lane++)
		assert(queued[lane] == fbs->root->queued[lane]);
	assert(in_flight == fbs->in_flight && in_flight == fbs->window.in_flight + fbs->discarding);
}

void fbs_check(const struct fbs *fbs)
{
	check_tree(fbs);
	check_counters(fbs);
}
