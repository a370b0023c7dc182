/* SPDX-License-Identifier: MIT */
/*
 * heap.h - nodes in order of a key. Part of the scheduler library.
 *
 * A binary heap whose slots hold the key beside the node, so that finding the way through thousands
 * of nodes touches no node. Keys are compared wrap-safe: all of one heap must lie within half the
 * range of 64 bits. Equal keys go by `order`, the lower first. Each node knows where it is, in each
 * of the heaps that it can be in, so that it can be moved and removed.
 */
#ifndef FUSEBAND_HEAP_H
#define FUSEBAND_HEAP_H

#include <stdbool.h>
#include <stdint.h>

struct fbs_node;

enum heap_kind {
	HEAP_QUEUE,  /* a queue of its parent: by tag */
	HEAP_CAPPED, /* held by a cap: by the time at which it may go again */
	HEAP_DUE,    /* has a reservation: by the time at which that is due */
	HEAP_KINDS
};
#define HEAP_ABSENT UINT32_MAX

struct heap_slot {
	uint64_t key, order;
	struct fbs_node *node;
};

struct heap {
	struct heap_slot *slots; /* slots[0] goes first */
	uint32_t n, capacity;
	enum heap_kind kind;
};

/* a is earlier than b, although both may have wrapped. */
static inline bool before(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) < 0;
}

/* Room for n nodes in all, so that heap_put() never allocates. 0 or -ENOMEM. */
int heap_reserve(struct heap *heap, uint32_t n);
void heap_free(struct heap *heap);

/* Add node, or move it to where the new key belongs. */
void heap_put(struct heap *heap, struct fbs_node *node, uint64_t key, uint64_t order);
void heap_remove(struct heap *heap, struct fbs_node *node);
/* Put in order again after slots[].key was changed in place. */
void heap_rebuild(struct heap *heap);

/* Asserts what is said above. */
void heap_check(const struct heap *heap);

#endif
