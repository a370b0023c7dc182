/* SPDX-License-Identifier: MIT */
/* heap.c - see heap.h. */
#include "tree.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* By key, then by order: one difference of both at once, so that there is no branch to guess. */
static bool goes_first(const struct heap_slot *a, const struct heap_slot *b)
{
	unsigned __int128 x = (unsigned __int128)a->key << 64 | a->order;
	unsigned __int128 y = (unsigned __int128)b->key << 64 | b->order;

	return (__int128)(x - y) < 0;
}

static void set(struct heap *heap, uint32_t pos, struct heap_slot slot)
{
	heap->slots[pos] = slot;
	slot.node->pos[heap->kind] = pos;
}

static void sift_up(struct heap *heap, uint32_t pos, struct heap_slot slot)
{
	while (pos && goes_first(&slot, &heap->slots[(pos - 1) / 2])) {
		set(heap, pos, heap->slots[(pos - 1) / 2]);
		pos = (pos - 1) / 2;
	}
	set(heap, pos, slot);
}

static void sift_down(struct heap *heap, uint32_t pos, struct heap_slot slot)
{
	for (;;) {
		uint32_t child = 2 * pos + 1;

		if (child + 1 < heap->n)
			child += goes_first(&heap->slots[child + 1], &heap->slots[child]);
		if (child >= heap->n || !goes_first(&heap->slots[child], &slot))
			break;
		set(heap, pos, heap->slots[child]);
		pos = child;
	}
	set(heap, pos, slot);
}

static void sift(struct heap *heap, uint32_t pos, struct heap_slot slot)
{
	if (pos && goes_first(&slot, &heap->slots[(pos - 1) / 2]))
		sift_up(heap, pos, slot);
	else
		sift_down(heap, pos, slot);
}

int heap_reserve(struct heap *heap, uint32_t n)
{
	uint32_t capacity = heap->capacity ? heap->capacity : 4;
	struct heap_slot *slots;

	if (n <= heap->capacity)
		return 0;
	while (capacity < n)
		capacity *= 2;
	slots = realloc(heap->slots, capacity * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	heap->slots = slots;
	heap->capacity = capacity;
	return 0;
}

void heap_free(struct heap *heap)
{
	free(heap->slots);
}

void heap_put(struct heap *heap, struct fbs_node *node, uint64_t key, uint64_t order)
{
	struct heap_slot slot = {.key = key, .order = order, .node = node};

	if (node->pos[heap->kind] == HEAP_ABSENT) {
		assert(heap->n < heap->capacity);
		sift_up(heap, heap->n++, slot);
	} else {
		sift(heap, node->pos[heap->kind], slot);
	}
}

void heap_remove(struct heap *heap, struct fbs_node *node)
{
	uint32_t pos = node->pos[heap->kind];
	struct heap_slot last = heap->slots[--heap->n];

	node->pos[heap->kind] = HEAP_ABSENT;
	if (last.node != node)
		sift(heap, pos, last);
}

void heap_rebuild(struct heap *heap)
{
	for (uint32_t pos = heap->n / 2; pos-- > 0;)
		sift_down(heap, pos, heap->slots[pos]);
}

void heap_check(const struct heap *heap)
{
	for (uint32_t i = 0; i < heap->n; i++) {
		assert(heap->slots[i].node->pos[heap->kind] == i);
		assert(!i || !goes_first(&heap->slots[i], &heap->slots[(i - 1) / 2]));
	}
	assert(heap->n <= heap->capacity);
}
