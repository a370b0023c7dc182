/* SPDX-License-Identifier: MIT */
/* test_histogram.c - unit tests of histogram.h: buckets, percentiles, periods. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "histogram.h"

#define PERIOD_NS (UINT64_C(1) << HISTOGRAM_PERIOD_SHIFT)
#define US UINT64_C(1000)
#define MS (1000 * US)
#define SEC (1000 * MS)

/* Each begins where the one before it ends, and is found by both of its ends. */
static void test_buckets(void **state)
{
	(void)state;
	assert_int_equal(histogram_from_ns(0), 0);
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		uint64_t from = histogram_from_ns(i), to = histogram_from_ns(i + 1);

		assert_true(from < to);
		assert_int_equal(histogram_bucket(from), i);
		assert_int_equal(histogram_bucket(to - 1), i);
		/* no wider than a quarter of where it begins */
		assert_true(i < 8 || 4 * (to - from) <= from);
	}
	assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
	assert_true(histogram_from_ns(HISTOGRAM_BUCKETS - 1) > 100 * SEC);
}

static void test_bounds_are_octaves(void **state)
{
	(void)state;
	for (unsigned octave = 2; octave < 27; octave++) {
		uint64_t bound = UINT64_C(1) << (octave + HISTOGRAM_UNIT_SHIFT);

		assert_int_equal(histogram_from_ns(histogram_bucket(bound)), bound);
	}
}

static void test_quantiles(void **state)
{
	struct histogram h = {0};
	uint64_t sum = 0;

	(void)state;
	assert_int_equal(histogram_quantile_ns(h.counts, 500), 0);
	/* 1 .. 1000 ms: right within the width of a bucket */
	for (uint64_t ms = 1; ms <= 1000; ms++) {
		histogram_add(&h, ms * MS);
		sum += ms * MS;
	}
	assert_int_equal(histogram_total(h.counts), 1000);
	assert_true(h.sum_ns == sum);
	assert_in_range(histogram_quantile_ns(h.counts, 500) / MS, 480, 520);
	assert_in_range(histogram_quantile_ns(h.counts, 990) / MS, 940, 1074);
	assert_in_range(histogram_quantile_ns(h.counts, 999) / MS, 950, 1080);
	assert_in_range(histogram_quantile_ns(h.counts, 1) / US, 800, 1250);
}

/* One in a hundred is slow: the 99th percentile is not one of them yet, the next one is. */
static void test_a_slow_one(void **state)
{
	struct histogram h = {0};

	(void)state;
	for (unsigned i = 0; i < 990; i++)
		histogram_add(&h, 100 * US);
	for (unsigned i = 0; i < 10; i++)
		histogram_add(&h, 5 * SEC);
	assert_in_range(histogram_quantile_ns(h.counts, 990) / US, 80, 125);
	assert_in_range(histogram_quantile_ns(h.counts, 991) / MS, 4000, 6250);
}

/* More than 2^64 / 1000 of them. */
static void test_many(void **state)
{
	struct histogram h = {0};

	(void)state;
	h.counts[20] = UINT64_MAX / 4;
	h.counts[40] = UINT64_MAX / 4;
	assert_int_equal(histogram_bucket(histogram_quantile_ns(h.counts, 400)), 20);
	assert_int_equal(histogram_bucket(histogram_quantile_ns(h.counts, 900)), 40);
}

static unsigned recent_total(const struct recent *recent, uint64_t now_ns)
{
	uint64_t counts[HISTOGRAM_BUCKETS];

	recent_sum(recent, &recent->service, now_ns, counts);
	return (unsigned)histogram_total(counts);
}

/* What was added stays for one period, and until the next but one ends. */
static void test_periods(void **state)
{
	struct recent recent = {0};
	uint64_t start = 1000 * PERIOD_NS;

	(void)state;
	recent_add(&recent, start + 1, 0, MS);
	assert_int_equal(recent_total(&recent, start + PERIOD_NS - 1), 1);
	assert_int_equal(recent_total(&recent, start + 2 * PERIOD_NS - 1), 1);
	assert_int_equal(recent_total(&recent, start + 2 * PERIOD_NS), 0);
	recent_add(&recent, start + PERIOD_NS, 0, MS);
	recent_add(&recent, start + PERIOD_NS, 0, MS);
	assert_int_equal(recent_total(&recent, start + PERIOD_NS), 3);
	assert_int_equal(recent_total(&recent, start + 2 * PERIOD_NS), 2);
	recent_add(&recent, start + 2 * PERIOD_NS, 0, MS);
	assert_int_equal(recent_total(&recent, start + 2 * PERIOD_NS), 3);
	/* after a long pause nothing of it is left */
	recent_add(&recent, start + 9 * PERIOD_NS, 0, MS);
	assert_int_equal(recent_total(&recent, start + 9 * PERIOD_NS), 1);
}

/* 16 bits are enough for any number: percentiles stay as they were. */
static void test_full_buckets(void **state)
{
	struct recent recent = {0};
	uint64_t counts[HISTOGRAM_BUCKETS];

	(void)state;
	for (unsigned i = 0; i < 1000000; i++)
		recent_add(&recent, PERIOD_NS, i % 10 ? 10 * US : 10 * MS, 1 * MS);
	recent_sum(&recent, &recent.wait, PERIOD_NS, counts);
	assert_in_range(histogram_total(counts), 30000, 80000);
	assert_in_range(histogram_quantile_ns(counts, 890) / US, 8, 13);
	assert_in_range(histogram_quantile_ns(counts, 910) / MS, 8, 13);
	assert_int_equal(counts[histogram_bucket(10 * US)] / counts[histogram_bucket(10 * MS)], 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buckets),	     cmocka_unit_test(test_bounds_are_octaves),
		cmocka_unit_test(test_quantiles),    cmocka_unit_test(test_a_slow_one),
		cmocka_unit_test(test_many),	     cmocka_unit_test(test_periods),
		cmocka_unit_test(test_full_buckets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
