/* SPDX-License-Identifier: MIT */
/* test_alarm.c - unit tests of alarm.h: what counts as missed, and when it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "alarm.h"

#define SEC UINT64_C(1000000000)
#define MS UINT64_C(1000000)

/* One letter a window: m missed, - not; told when upper case. */
static void check_episodes(unsigned windows, const char *expected)
{
	struct alarm alarm = {0};

	for (const char *at = expected; *at; at++) {
		bool told = alarm_window(&alarm, *at != '-', windows);

		if (told != (*at == 'M'))
			fail_msg("window %d of %s", (int)(at - expected), expected);
	}
}

static void test_episodes(void **state)
{
	(void)state;
	check_episodes(1, "--Mmmm-M--Mm");
	check_episodes(2, "m-m-mMmmm-mM");
	check_episodes(3, "mm-mmMmmmmmmmm--mmMm-mm-");
}

static struct alarm_queue queue(void)
{
	return (struct alarm_queue){
		.window_ns = 10 * SEC,
		.waiting_ns = 10 * SEC,
		.entitled_ppm = 500000,
		.achieved_ppm = 500000,
		.disk_ios = 1000,
		.ios = 500,
		.bytes = 500 * 4096,
	};
}

static void test_share(void **state)
{
	struct alarm_queue q = queue();

	(void)state;
	assert_false(alarm_share(&q));
	q.achieved_ppm = 400000; /* just 0.8 */
	assert_false(alarm_share(&q));
	q.achieved_ppm = 399999;
	assert_true(alarm_share(&q));
	/* it did not want more */
	q.waiting_ns = 5 * SEC - 1;
	assert_false(alarm_share(&q));
	q.waiting_ns = 5 * SEC;
	assert_true(alarm_share(&q));
	/* a handful of requests: one more, and it would have had its share */
	q.disk_ios = 39;
	assert_false(alarm_share(&q));
	q.disk_ios = 40;
	assert_true(alarm_share(&q));
	/* the disk stood still, or it is not entitled to anything */
	q.disk_ios = 0;
	assert_false(alarm_share(&q));
	q = queue();
	q.entitled_ppm = q.achieved_ppm = 0;
	assert_false(alarm_share(&q));
}

static void test_min_iops(void **state)
{
	struct alarm_queue q = queue();

	(void)state;
	q.iops_size_bytes = 32768;
	assert_false(alarm_reservation(&q)); /* nothing is promised */
	q.min_iops = 50;
	assert_false(alarm_reservation(&q));
	q.min_iops = 60;
	assert_true(alarm_reservation(&q));
	q.waiting_ns = 9 * SEC - 1;
	assert_false(alarm_reservation(&q)); /* it could have had more */
	/* large requests count as several */
	q = queue();
	q.min_iops = 60;
	q.iops_size_bytes = 32768;
	q.bytes = 500 * 65536;
	assert_false(alarm_reservation(&q));
	q.min_iops = 160;
	assert_true(alarm_reservation(&q));
}

static void test_min_bps(void **state)
{
	struct alarm_queue q = queue();

	(void)state;
	q.min_bps = 50 * 4096;
	assert_false(alarm_reservation(&q));
	q.min_bps = 51 * 4096; /* what the ends of a window can make */
	assert_false(alarm_reservation(&q));
	q.min_bps = 52 * 4096;
	assert_true(alarm_reservation(&q));
	q.window_ns = q.waiting_ns = 5 * SEC; /* the same in half of the time */
	assert_false(alarm_reservation(&q));
}

static void test_latency(void **state)
{
	struct histogram h = {0};

	(void)state;
	for (unsigned i = 0; i < 10000; i++)
		histogram_add(&h, i < 9850 ? 5 * MS : 100 * MS);
	assert_false(alarm_latency(h.counts, 0));
	assert_true(alarm_latency(h.counts, 20 * MS));
	assert_false(alarm_latency(h.counts, 100 * MS)); /* the bucket does not tell */
	h.counts[histogram_bucket(100 * MS)] = 99;	 /* just 1 % */
	assert_false(alarm_latency(h.counts, 20 * MS));
	memset(&h, 0, sizeof(h));
	for (unsigned i = 0; i < 99; i++)
		histogram_add(&h, 100 * MS);
	assert_false(alarm_latency(h.counts, 20 * MS)); /* too few to say */
	histogram_add(&h, 100 * MS);
	assert_true(alarm_latency(h.counts, 20 * MS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_episodes), cmocka_unit_test(test_share),
		cmocka_unit_test(test_min_iops), cmocka_unit_test(test_min_bps),
		cmocka_unit_test(test_latency),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
