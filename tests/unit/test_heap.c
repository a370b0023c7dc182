/* SPDX-License-Identifier: MIT */
/*
 * test_heap.c - heap.h: nodes in order of a key, against a plain array.
 *
 *     SEED=1 test_heap
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/sim/sim.h"
#include "tree.h"

#define NODES 200

static uint64_t seed = 20080701;

static struct fbs_node nodes[NODES];
static struct heap heap;

static void begin(enum heap_kind kind, uint32_t n)
{
	heap = (struct heap){.kind = kind};
	for (unsigned i = 0; i < NODES; i++)
		for (unsigned k = 0; k < HEAP_KINDS; k++)
			nodes[i].pos[k] = HEAP_ABSENT;
	assert_int_equal(heap_reserve(&heap, n), 0);
	heap_check(&heap);
}

static unsigned take(void)
{
	struct fbs_node *first = heap.slots[0].node;

	heap_remove(&heap, first);
	heap_check(&heap);
	for (unsigned k = 0; k < HEAP_KINDS; k++)
		assert_int_equal(first->pos[k], HEAP_ABSENT);
	return (unsigned)(first - nodes);
}

/* Room for at least so many, never less than before. */
static void test_reserve(void **state)
{
	(void)state;
	begin(HEAP_DUE, 0);
	assert_int_equal(heap.capacity, 0);
	heap_free(&heap); /* with nothing in it */
	for (uint32_t n = 1; n <= NODES; n++) {
		uint32_t before = heap.capacity;

		assert_int_equal(heap_reserve(&heap, n), 0);
		assert_true(heap.capacity >= n && heap.capacity >= before);
		heap_put(&heap, &nodes[n - 1], n * 7 % 64, n);
		heap_check(&heap);
	}
	assert_int_equal(heap_reserve(&heap, 1), 0);
	assert_int_equal(heap.n, NODES);
	heap_free(&heap);
}

static void test_order(void **state)
{
	static const uint64_t keys[] = {5, 1, 9, 1, 5, 0};
	static const unsigned sorted[] = {5, 1, 3, 0, 4, 2}; /* equal ones as they came */

	(void)state;
	begin(HEAP_QUEUE, 6);
	for (unsigned i = 0; i < 6; i++)
		heap_put(&heap, &nodes[i], keys[i], i);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(take(), sorted[i]);
	assert_int_equal(heap.n, 0);
	heap_free(&heap);
}

/* Keys go round: what is after the wrap is later than what is before it. */
static void test_wrap(void **state)
{
	static const uint64_t keys[] = {3, UINT64_MAX, UINT64_MAX - 5, 0, UINT64_MAX / 2 - 5};
	static const unsigned sorted[] = {2, 1, 3, 0, 4};

	(void)state;
	assert_true(before(1, 2) && !before(2, 1) && !before(2, 2));
	assert_true(before(UINT64_MAX, 0) && !before(0, UINT64_MAX));
	begin(HEAP_QUEUE, 5);
	for (unsigned i = 0; i < 5; i++)
		heap_put(&heap, &nodes[i], keys[i], i);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(take(), sorted[i]);
	heap_free(&heap);
}

/* A node may be in one heap of each kind; each knows its own place. */
static void test_kinds(void **state)
{
	struct heap others[HEAP_KINDS] = {0};

	(void)state;
	begin(HEAP_QUEUE, 0);
	for (unsigned k = 0; k < HEAP_KINDS; k++) {
		others[k].kind = (enum heap_kind)k;
		assert_int_equal(heap_reserve(&others[k], 10), 0);
		for (uint64_t i = 0; i < 10; i++)
			heap_put(&others[k], &nodes[i], i * (k + 3) % 10, i);
	}
	heap_remove(&others[HEAP_CAPPED], &nodes[4]);
	for (unsigned k = 0; k < HEAP_KINDS; k++) {
		assert_int_equal(nodes[4].pos[k] == HEAP_ABSENT, k == HEAP_CAPPED);
		heap_check(&others[k]);
		heap_free(&others[k]);
	}
}

/* Added, moved either way and removed in any order, half of them around the wrap. */
static void test_random(void **state)
{
	struct sim_rng rng = {seed};
	uint64_t key[NODES], order[NODES], tagged = 0;
	bool in[NODES] = {false};
	uint32_t n = 0;

	(void)state;
	begin(HEAP_DUE, NODES);
	for (unsigned step = 0; step < 50000; step++) {
		unsigned i = (unsigned)sim_rng_below(&rng, NODES), first = NODES;

		if (sim_rng_below(&rng, 3)) {
			n += !in[i];
			in[i] = true;
			key[i] = sim_rng_below(&rng, 300) - 150;
			order[i] = ++tagged;
			heap_put(&heap, &nodes[i], key[i], order[i]);
		} else if (in[i]) {
			n--;
			in[i] = false;
			heap_remove(&heap, &nodes[i]);
		}
		if (step % 97 == 0) { /* shaken, and put in order again */
			for (uint32_t k = 0; k < heap.n; k++) {
				struct heap_slot *slot = &heap.slots[k];

				i = (unsigned)(slot->node - nodes);
				slot->key = key[i] = sim_rng_below(&rng, 300) - 150;
			}
			heap_rebuild(&heap);
		}
		heap_check(&heap);
		assert_int_equal(heap.n, n);
		for (i = 0; i < NODES; i++) {
			assert_int_equal(nodes[i].pos[HEAP_DUE] != HEAP_ABSENT, in[i]);
			if (in[i] && (first == NODES || before(key[i], key[first]) ||
				      (key[i] == key[first] && order[i] < order[first])))
				first = i;
		}
		if (n > 0)
			assert_ptr_equal(heap.slots[0].node, &nodes[first]);
	}
	heap_free(&heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reserve), cmocka_unit_test(test_order),
		cmocka_unit_test(test_wrap),	cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_random),
	};

	if (getenv("SEED"))
		seed = strtoull(getenv("SEED"), NULL, 0);
	printf("SEED=%llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
