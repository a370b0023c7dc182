/* SPDX-License-Identifier: MIT */
/* Unit tests of slab.h: pieces do not overlap, memory goes back. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "slab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PIECES 600U

static int compare(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return (x > y) - (x < y);
}

/* Twice: the second time from what was given back, in another order. */
static void take_all(size_t piece_bytes, unsigned n)
{
	static uintptr_t pieces[PIECES], sorted[PIECES];
	struct slab_set set;

	slab_set_init(&set, piece_bytes);
	for (unsigned turn = 0; turn < 2; turn++) {
		for (unsigned i = turn ? 1 : 0; i < n; i++) {
			pieces[i] = (uintptr_t)slab_take(&set);
			assert_true(pieces[i] && pieces[i] % 4096 == 0);
			memset((void *)pieces[i], (int)i, piece_bytes);
		}
		memcpy(sorted, pieces, sizeof(sorted));
		qsort(sorted, n, sizeof(*sorted), compare);
		for (unsigned i = 1; i < n; i++)
			assert_true(sorted[i] - sorted[i - 1] >= piece_bytes);
		for (unsigned i = 0; i < n; i++) {
			const unsigned char *data = (const unsigned char *)pieces[i];

			assert_int_equal(data[0], (unsigned char)i);
			assert_int_equal(data[piece_bytes - 1], (unsigned char)i);
		}
		for (unsigned i = n; i-- > 1;) /* all but one */
			slab_give(&set, (void *)pieces[(i * 7) % (n - 1) + 1]);
	}
	slab_give(&set, (void *)pieces[0]);
	assert_null(set.open);
}

static void test_pieces_of_every_size(void **state)
{
	(void)state;
	for (unsigned shift = 0; shift < 10; shift++)
		take_all(4096 + ((size_t)4096 << shift), shift < 5 ? 599 : 25);
}

/* A piece in the middle of a slab in use holds no memory. */
static void test_given_pieces_hold_no_memory(void **state)
{
	unsigned char in_core[16] = {0};
	size_t bytes = 64 << 10;
	struct slab_set set;
	char *first, *second;

	(void)state;
	slab_set_init(&set, bytes);
	first = slab_take(&set);
	second = slab_take(&set);
	assert_non_null(first);
	assert_non_null(second);
	memset(first, 1, bytes);
	memset(second, 1, bytes);
	slab_give(&set, second);
	assert_int_equal(mincore(second, bytes, in_core), 0);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(in_core[i] & 1, 0);
	assert_int_equal(first[bytes - 1], 1);
	slab_give(&set, first);
	assert_int_equal(mincore(first, bytes, in_core), -1); /* unmapped */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces_of_every_size),
		cmocka_unit_test(test_given_pieces_hold_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
