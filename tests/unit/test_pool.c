/* SPDX-License-Identifier: MIT */
/*
 * Unit tests of pool.h: sizes, what is used again by whom, and what is in memory.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static struct depot depot;
static struct pool here, there;

static int setup(void **state)
{
	(void)state;
	depot_init(&depot, 200, 100);
	pool_init(&here, &depot);
	pool_init(&there, &depot);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pool_destroy(&here);
	pool_destroy(&there);
	depot_destroy(&depot);
	return 0;
}

static void test_sizes(void **state)
{
	static const size_t sizes[] = {1, 4095, 4096, 4097, 65536, 65537, POOL_BUFFER_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct buffer *buffer = pool_buffer(&here, sizes[i]);
		size_t payload = pool_buffer_bytes(buffer) - POOL_PAGE;

		assert_int_equal((uintptr_t)buffer_payload(buffer) % POOL_PAGE, 0);
		assert_true(payload >= sizes[i] &&
			    (payload < 2 * sizes[i] || payload == POOL_PAGE));
		memset(buffer_payload(buffer), 'x', payload);
		pool_buffer_free(&here, buffer);
	}
	pool_buffer_free(&here, NULL);
}

/* The last one that was given back, while it may still be in a cache. */
static void test_again(void **state)
{
	struct buffer *a = pool_buffer(&here, 4096), *b = pool_buffer(&here, 4096);

	(void)state;
	pool_buffer_free(&here, a);
	pool_buffer_free(&here, b);
	assert_ptr_equal(pool_buffer(&here, 1), b);
	assert_ptr_equal(pool_buffer(&here, 4096), a);
	struct buffer *larger = pool_buffer(&here, 4097);
	assert_ptr_not_equal(larger, a);
	pool_buffer_free(&here, a);
	pool_buffer_free(&here, b);
	pool_buffer_free(&here, larger);
}

/* Taken by one thread and given back by another, again and again: the memory goes round. */
static void test_round(void **state)
{
	void *first[3 * POOL_MAGAZINE], *later[3 * POOL_MAGAZINE];
	const size_t n = 3 * POOL_MAGAZINE;

	(void)state;
	for (size_t i = 0; i < n; i++)
		first[i] = pool_object(&here, POOL_SLICE);
	for (size_t i = 0; i < n; i++)
		pool_object_free(&there, POOL_SLICE, first[i]);
	assert_true(there.classes[POOL_SLICE].n <= POOL_MAGAZINE);
	size_t same = 0;
	for (size_t i = 0; i < n; i++) {
		later[i] = pool_object(&here, POOL_SLICE);
		for (size_t k = 0; k < n; k++)
			same += later[i] == first[k];
	}
	assert_true(same >= n - POOL_MAGAZINE);
	for (size_t i = 0; i < n; i++)
		pool_object_free(&here, POOL_SLICE, later[i]);
}

/* Of large buffers little is kept. */
static void test_large(void **state)
{
	struct buffer *list[64];

	(void)state;
	for (size_t i = 0; i < 64; i++)
		list[i] = pool_buffer(&here, POOL_BUFFER_MAX);
	for (size_t i = 0; i < 64; i++)
		pool_buffer_free(&here, list[i]);
	const unsigned class = POOL_BUFFER_CLASSES - 1;
	assert_in_range(here.classes[class].n, 1, 4);
	assert_in_range(depot.classes[class].n, 1, ((size_t)32 << 20) / POOL_BUFFER_MAX);
}

/* ---- for a successor ---- */

static size_t resident_pages(const struct buffer *buffer)
{
	size_t bytes = pool_buffer_bytes(buffer), n = 0;
	unsigned char *pages = malloc(bytes / POOL_PAGE);

	assert_int_equal(mincore((void *)(uintptr_t)buffer, bytes, pages), 0);
	for (size_t i = 0; i < bytes / POOL_PAGE; i++)
		n += pages[i] & 1;
	free(pages);
	return n;
}

/* Whether core dumps leave the mapping out: "dd" in its flags. */
static bool is_dumped(const struct buffer *buffer)
{
	uintptr_t at = (uintptr_t)buffer, from, to;
	FILE *maps = fopen("/proc/self/smaps", "re");
	bool here_now = false, dumped = true;
	char line[1024];

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here_now = from <= at && at < to;
		if (here_now && !strncmp(line, "VmFlags:", 8))
			dumped = !strstr(line, " dd");
	}
	fclose(maps);
	return dumped;
}

static void test_resident(void **state)
{
	(void)state;
	depot.resident = true;
	for (size_t bytes = POOL_PAGE; bytes <= POOL_BUFFER_MAX; bytes *= 2) {
		struct buffer *buffer = pool_buffer(&there, bytes);

		assert_int_equal(resident_pages(buffer), 1 + bytes / POOL_PAGE);
		assert_false(is_dumped(buffer));
		pool_buffer_free(&there, buffer);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_sizes), TEST(test_again),    TEST(test_round),
		TEST(test_large), TEST(test_resident),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
