/* SPDX-License-Identifier: MIT */
/*
 * Unit tests of overlap.h: random spans against comparing every pair. SEED=N repeats a run,
 * ROUNDS=N makes it longer.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "overlap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SPANS_MAX 12

static struct overlap_span span(dev_t dev, uint64_t start, uint64_t length, bool readonly)
{
	return (struct overlap_span){
		.extent = {.root = {.is_block = true, .dev = dev},
			   .start_bytes = start,
			   .length_bytes = length},
		.readonly = readonly,
	};
}

static bool clash(const struct overlap_span *a, const struct overlap_span *b)
{
	return a->extent.root.dev == b->extent.root.dev && !(a->readonly && b->readonly) &&
	       a->extent.start_bytes < b->extent.start_bytes + b->extent.length_bytes &&
	       b->extent.start_bytes < a->extent.start_bytes + a->extent.length_bytes;
}

struct found {
	unsigned n;
	bool pair[SPANS_MAX][SPANS_MAX];
};

static void found_one(size_t owner, size_t other, void *context)
{
	struct found *found = context;

	found->n++;
	found->pair[owner][other] = true;
}

static void test_neighbours(void **state)
{
	struct overlap_span spans[] = {span(1, 100, 50, false), span(1, 0, 100, false),
				       span(1, 150, 1, true), span(2, 0, 1000, false)};
	struct found found = {0};

	(void)state;
	for (size_t i = 0; i < 4; i++)
		spans[i].owner = i;
	overlap_find(spans, 4, found_one, &found);
	assert_int_equal(found.n, 0);
	overlap_find(spans, 0, found_one, &found);
	overlap_find(NULL, 0, found_one, &found);
	assert_int_equal(found.n, 0);
}

static void test_end_of_the_world(void **state)
{
	struct overlap_span spans[] = {span(1, 1, UINT64_MAX, false),
				       span(1, UINT64_MAX - 1, 1, false)};
	struct found found = {0};

	(void)state;
	spans[1].owner = 1;
	overlap_find(spans, 2, found_one, &found);
	assert_int_equal(found.n, 1);
	assert_true(found.pair[1][0]);
}

static void test_random(void **state)
{
	const char *seed_text = getenv("SEED"), *rounds_text = getenv("ROUNDS");
	unsigned seed = seed_text ? (unsigned)strtoul(seed_text, NULL, 10) : (unsigned)time(NULL);
	unsigned long rounds = rounds_text ? strtoul(rounds_text, NULL, 10) : 100000;

	(void)state;
	print_message("SEED=%u ROUNDS=%lu\n", seed, rounds);
	for (unsigned long round = 0; round < rounds; round++) {
		struct overlap_span spans[SPANS_MAX], before[SPANS_MAX] = {0};
		struct found found = {0};
		size_t n = (size_t)rand_r(&seed) % (SPANS_MAX + 1);
		bool any = false;

		for (size_t i = 0; i < n; i++) {
			before[i] = span((dev_t)(rand_r(&seed) % 2), (uint64_t)(rand_r(&seed) % 30),
					 (uint64_t)(1 + rand_r(&seed) % 10), rand_r(&seed) % 2);
			before[i].owner = i;
		}
		memcpy(spans, before, sizeof(spans));
		overlap_find(spans, n, found_one, &found);
		for (size_t i = 0; i < n; i++) {
			for (size_t k = 0; k < n; k++) {
				if (found.pair[i][k])
					assert_true(i != k && clash(&before[i], &before[k]));
				any = any || (i != k && clash(&before[i], &before[k]));
			}
			/* what begins inside another one was reported with something */
			bool inside = false, reported = false;

			for (size_t k = 0; k < n; k++) {
				inside = inside || (i != k && clash(&before[i], &before[k]) &&
						    before[k].extent.start_bytes <
							    before[i].extent.start_bytes);
				reported = reported || found.pair[i][k];
			}
			assert_true(reported || !inside);
		}
		assert_int_equal(any, found.n > 0);
		assert_true(found.n < (n ? n : 1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_end_of_the_world),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
