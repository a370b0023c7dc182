/* SPDX-License-Identifier: MIT */
/*
 * Unit tests of restart.h in a time of their own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "restart.h"

#define MS UINT64_C(1000000)
#define SEC (1000 * MS)
#define SOMETIME (UINT64_C(12345) * SEC)

static struct restart lives;
static struct restart_signals signals;
static uint64_t now_ns;

static int setup(void **state)
{
	(void)state;
	lives = (struct restart){0};
	signals = (struct restart_signals){0};
	now_ns = SOMETIME;
	return 0;
}

/* ---- lives ---- */

/* One after the other, until it is given up. Returns how many; pauses are added up. */
static unsigned lives_until_the_end(bool crashed, uint64_t each_ns, unsigned most,
				    uint64_t *ret_pauses_ns)
{
	uint64_t pause_ns = 0, last_ns = 0;

	*ret_pauses_ns = 0;
	for (unsigned n = 1; n <= most; n++) {
		restart_begin(&lives, now_ns);
		now_ns += each_ns;
		if (!restart_again(&lives, crashed, now_ns, &pause_ns))
			return n;
		assert_true(pause_ns >= last_ns);
		assert_true(pause_ns < SEC); /* a timespec's nanoseconds */
		last_ns = pause_ns;
		*ret_pauses_ns += pause_ns;
		now_ns += pause_ns;
	}
	return 0;
}

static void test_crashes(void **state)
{
	uint64_t pauses_ns;

	(void)state;
	assert_int_equal(lives_until_the_end(true, SEC - 1, 1000, &pauses_ns), 10);
	assert_int_equal(pauses_ns, (100 + 200 + 300 + 400 + 500 + 600) * MS);
}

static void test_kills(void **state)
{
	uint64_t pauses_ns;

	(void)state;
	assert_int_equal(lives_until_the_end(false, 100 * MS - 1, 1000, &pauses_ns), 100);
	assert_int_equal(pauses_ns, 69 * 70 / 2 * 10 * MS);
}

/* For ever, and without any pause. */
static void test_long_lives(void **state)
{
	uint64_t pauses_ns;

	(void)state;
	assert_int_equal(lives_until_the_end(true, SEC, 1000, &pauses_ns), 0);
	assert_int_equal(pauses_ns, 0);
	assert_int_equal(lives_until_the_end(false, 100 * MS, 1000, &pauses_ns), 0);
	assert_int_equal(pauses_ns, 0);
	assert_int_equal(lives_until_the_end(false, 1000 * SEC, 1000, &pauses_ns), 0);
}

/* One that lives longer makes good for all before it. */
static void test_forgiven(void **state)
{
	uint64_t pauses_ns;

	(void)state;
	for (int i = 0; i < 10; i++) {
		assert_int_equal(lives_until_the_end(true, 0, 9, &pauses_ns), 0);
		assert_int_equal(lives_until_the_end(true, SEC, 1, &pauses_ns), 0);
		assert_int_equal(pauses_ns, 0);
	}
}

/* Both kinds are counted together. */
static void test_mixed(void **state)
{
	uint64_t pauses_ns;

	(void)state;
	assert_int_equal(lives_until_the_end(true, 0, 9, &pauses_ns), 0);
	assert_int_equal(lives_until_the_end(false, 0, 9, &pauses_ns), 0);
	assert_int_equal(lives_until_the_end(false, 0, 9, &pauses_ns), 1);
	/* and nothing is taken back later */
	assert_int_equal(lives_until_the_end(true, 0, 1, &pauses_ns), 1);
}

/* ---- signals ---- */

static bool at_parent(uint64_t ms)
{
	return restart_is_new_signal(&signals, SIGHUP, false, SOMETIME + ms * MS);
}

static bool at_data_path(uint64_t ms)
{
	return restart_is_new_signal(&signals, SIGHUP, true, SOMETIME + ms * MS);
}

/* Each to one of them alone. */
static void test_single(void **state)
{
	(void)state;
	for (uint64_t ms = 0; ms < 50; ms += 10)
		assert_true(at_parent(ms));
	for (uint64_t ms = 5000; ms < 5050; ms += 10)
		assert_true(at_data_path(ms));
	/* the first one ever, however young the clock */
	assert_true(restart_is_new_signal(&signals, SIGTERM, false, 0));
	assert_true(restart_is_new_signal(&signals, SIGINT, true, 1));
}

/* To both: it counts where it comes first. */
static void test_both(void **state)
{
	(void)state;
	assert_true(at_parent(0));
	assert_false(at_data_path(1));
	assert_true(at_data_path(2000));
	assert_false(at_parent(3000));
	/* twice in short order, as they may overtake each other */
	assert_true(at_parent(10000));
	assert_true(at_parent(10001));
	assert_false(at_data_path(10002));
	assert_false(at_data_path(10003));
	assert_true(at_data_path(10004));
	assert_false(at_parent(10005));
}

/* The picture in restart.h. */
static void test_picture(void **state)
{
	(void)state;
	assert_true(at_parent(0));
	assert_false(at_data_path(1));
	assert_true(at_parent(2));
	assert_false(at_data_path(3));
	assert_true(at_data_path(4));
	assert_false(at_parent(5));
}

/* A second without any, and they have nothing to do with each other. */
static void test_later(void **state)
{
	(void)state;
	assert_true(at_parent(0));
	assert_false(at_data_path(1000));
	assert_true(at_parent(2000));
	assert_true(at_data_path(3001));
	assert_true(at_parent(4002));
}

static void test_kinds(void **state)
{
	(void)state;
	assert_true(at_parent(0));
	for (int signo = 1; signo < NSIG; signo++)
		if (signo != SIGHUP)
			assert_true(restart_is_new_signal(&signals, signo, true, SOMETIME));
	assert_false(at_data_path(1));
	assert_false(restart_is_new_signal(&signals, 0, true, SOMETIME));
	assert_false(restart_is_new_signal(&signals, -1, true, SOMETIME));
	assert_false(restart_is_new_signal(&signals, NSIG, true, SOMETIME));
	assert_false(restart_is_new_signal(&signals, INT32_MAX, false, SOMETIME));
}

/* ---- whether it hangs ---- */

static bool silent_at(struct restart_pulse *pulse, uint64_t beats, uint64_t ms)
{
	return restart_is_silent(pulse, beats, RESTART_SILENT_NS,
				 SOMETIME + ms * UINT64_C(1000000));
}

static void test_silent(void **state)
{
	struct restart_pulse pulse = {0};

	(void)state;
	restart_pulse_begin(&pulse, SOMETIME);
	assert_false(silent_at(&pulse, 0, 10000));
	assert_true(silent_at(&pulse, 0, 10001)); /* not a single one */
	assert_false(silent_at(&pulse, 0, 20001));
	assert_true(silent_at(&pulse, 0, 20002)); /* again, as it is still there */
	/* any number of them is a sign of life, if less than before */
	assert_false(silent_at(&pulse, 7, 30000));
	assert_false(silent_at(&pulse, 7, 40000));
	assert_false(silent_at(&pulse, 3, 40001));
	assert_false(silent_at(&pulse, 3, 50001));
	assert_true(silent_at(&pulse, 3, 50002));
	/* another one serves, which has its time as well */
	restart_pulse_begin(&pulse, SOMETIME + UINT64_C(55000000000));
	assert_false(silent_at(&pulse, 3, 65000));
	assert_true(silent_at(&pulse, 3, 65001));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		TEST(test_crashes), TEST(test_kills),  TEST(test_long_lives), TEST(test_forgiven),
		TEST(test_mixed),   TEST(test_single), TEST(test_both),	      TEST(test_picture),
		TEST(test_later),   TEST(test_kinds),  TEST(test_silent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
