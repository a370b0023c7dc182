/* SPDX-License-Identifier: MIT */
/*
 * test_discard.c - discard.h against disks of several kinds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "discard.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define US UINT64_C(1000)
#define MS UINT64_C(1000000)

static struct discard_size size;

/* A disk: so long for each piece, and for each 32 MiB of it. */
static void trim(unsigned pieces, uint64_t each_ns, uint64_t per_32mib_ns)
{
	while (pieces-- > 0) {
		uint64_t bytes = discard_unit_bytes(&size);

		discard_done(&size, bytes, each_ns + bytes / (32 * MIB) * per_32mib_ns);
		bytes = discard_unit_bytes(&size);
		assert_true(bytes && !(bytes & (bytes - 1)));
		assert_in_range(bytes, 32 * MIB, GIB);
	}
}

static void test_first(void **state)
{
	(void)state;
	discard_init(&size);
	assert_int_equal(discard_unit_bytes(&size), 64 * MIB);
}

/* Between a millisecond and 8, where there is such a size. */
static void test_by_size(void **state)
{
	static const struct {
		uint64_t per_32mib_ns, unit;
	} cases[] = {
		{10 * MS, 32 * MIB}, /* never: the smallest */
		{5 * MS, 32 * MIB},  /* 10 ms were too long */
		{4 * MS, 64 * MIB},
		{1 * MS, 64 * MIB},
		{400 * US, 128 * MIB},
		{200 * US, 256 * MIB},
		{100 * US, 512 * MIB},
		{50 * US, GIB},
		{1, GIB},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		discard_init(&size);
		trim(20, 0, cases[i].per_32mib_ns);
		assert_int_equal(discard_unit_bytes(&size), cases[i].unit);
		trim(1000, 0, cases[i].per_32mib_ns); /* and there it stays */
		assert_int_equal(discard_unit_bytes(&size), cases[i].unit);
	}
}

/* Smaller pieces are not shorter: the largest. */
static void test_whatever_size(void **state)
{
	static const uint64_t each_ns[] = {0, 1, 1 * US, 20 * MS, 100 * MS, 60000 * MS};

	(void)state;
	for (size_t i = 0; i < sizeof(each_ns) / sizeof(each_ns[0]); i++) {
		discard_init(&size);
		trim(20, each_ns[i], 0);
		assert_int_equal(discard_unit_bytes(&size), GIB);
		trim(1000, each_ns[i], 0);
		assert_int_equal(discard_unit_bytes(&size), GIB);
	}
	/* 3 ms whatever the size are short enough as they are */
	discard_init(&size);
	trim(1000, 3 * MS, 0);
	assert_int_equal(discard_unit_bytes(&size), 64 * MIB);
}

/* Pieces cut short by an end, or of sizes that we do not give out, tell nothing. */
static void test_odd_sizes(void **state)
{
	static const uint64_t odd[] = {
		0, 1, 4096, 31 * MIB, 33 * MIB, 64 * MIB - 4096, 16 * MIB, 2 * GIB, UINT64_MAX,
	};

	(void)state;
	discard_init(&size);
	for (int n = 0; n < 100; n++)
		for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
			discard_done(&size, odd[i], n % 2 ? 0 : 1000 * MS);
	assert_int_equal(discard_unit_bytes(&size), 64 * MIB);
}

/* Those of a size that has been left behind do not move it, whatever they took. */
static void test_late_ones(void **state)
{
	(void)state;
	discard_init(&size);
	trim(3, 0, 200 * US); /* 64, 128, 256: there it stays */
	assert_int_equal(discard_unit_bytes(&size), 256 * MIB);
	for (int i = 0; i < 100; i++)
		discard_done(&size, 64 * MIB, i % 2 ? 10 * US : 90 * MS);
	assert_int_equal(discard_unit_bytes(&size), 256 * MIB);
}

/* A disk that becomes slow, and quick again. */
static void test_change(void **state)
{
	(void)state;
	discard_init(&size);
	trim(100, 0, 100 * US);
	assert_int_equal(discard_unit_bytes(&size), 512 * MIB);
	trim(100, 0, 4 * MS);
	assert_int_equal(discard_unit_bytes(&size), 64 * MIB);
	trim(100, 0, 100 * US);
	assert_int_equal(discard_unit_bytes(&size), 512 * MIB);
	/* the longest time that there is */
	for (int i = 0; i < 10; i++)
		discard_done(&size, discard_unit_bytes(&size), UINT64_MAX / 2);
	trim(100, 0, 4 * MS);
	assert_in_range(discard_unit_bytes(&size), 32 * MIB, 64 * MIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first),	      cmocka_unit_test(test_by_size),
		cmocka_unit_test(test_whatever_size), cmocka_unit_test(test_odd_sizes),
		cmocka_unit_test(test_late_ones),     cmocka_unit_test(test_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
