/* SPDX-License-Identifier: MIT */
/* test_waiting.c - unit tests of waiting.h, without a disk: requests are nothing but their numbers. */
#include "waiting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEP (UINT64_C(2) * WAITING_EARLY_ROWS) /* from one unique to the next of its row */

static struct waiting waiting;

static int setup(void **state)
{
	(void)state;
	waiting_init(&waiting);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	waiting_destroy(&waiting);
	return 0;
}

static struct disk *disk_of(unsigned i)
{
	static char places[4];

	return (struct disk *)(void *)&places[i];
}

/* An interrupt that finds nothing. */
static void stray(uint64_t unique)
{
	uint32_t pid = 77;

	assert_null(waiting_interrupt(&waiting, unique, &pid));
	assert_int_equal(pid, 77);
}

/* A request that queues: was it interrupted before? It leaves again. */
static bool was_early(uint64_t unique)
{
	struct io io = {.unique = unique};
	bool early = waiting_add(&waiting, &io);

	assert_true(io.listed);
	assert_int_equal(io.interrupted, early);
	assert_int_equal(waiting.interrupted, early);
	waiting_remove(&waiting, &io);
	assert_false(io.listed);
	assert_int_equal(waiting.interrupted, 0);
	return early;
}

/* ---- requests that are there ---- */

static void test_found(void **state)
{
	struct io a = {.unique = 10, .pid = 1, .disk = disk_of(0)};
	struct io b = {.unique = 10 + 2 * WAITING_BUCKETS, .pid = 2, .disk = disk_of(1)};
	struct waiting_watch list[4];
	uint32_t pid = 0;

	(void)state;
	assert_false(waiting_add(&waiting, &a));
	assert_false(waiting_add(&waiting, &b)); /* the same bucket */
	assert_ptr_equal(waiting_find(&waiting, a.unique), &a);
	assert_int_equal(waiting_watched(&waiting, list, 4), 0);
	for (unsigned i = 0; i < 2; i++) { /* it counts once */
		assert_ptr_equal(waiting_interrupt(&waiting, b.unique, &pid), disk_of(1));
		assert_int_equal(pid, 2);
		assert_int_equal(waiting_watched(&waiting, list, 4), 1);
		assert_int_equal(list[0].unique, b.unique);
		assert_int_equal(list[0].pid, 2);
		assert_ptr_equal(list[0].disk, disk_of(1));
	}
	waiting_remove(&waiting, &b);
	assert_null(waiting_find(&waiting, b.unique));
	assert_int_equal(waiting_watched(&waiting, list, 4), 0);
	waiting_remove(&waiting, &a);
	assert_null(waiting_find(&waiting, a.unique));
}

/* Two at a time of many, and each one's turn comes. */
static void test_watched_in_turn(void **state)
{
	struct io ios[6] = {0};
	struct waiting_watch list[2];
	unsigned seen = 0;
	uint32_t pid;

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		ios[i] = (struct io){.unique = 2 * (i + 1), .disk = disk_of(0)};
		assert_false(waiting_add(&waiting, &ios[i]));
		assert_non_null(waiting_interrupt(&waiting, ios[i].unique, &pid));
	}
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(waiting_watched(&waiting, list, 2), 2);
		seen |= 1U << list[0].unique / 2 | 1U << list[1].unique / 2;
	}
	assert_int_equal(seen, 0x7e);
}

/* ---- interrupts that come first ---- */

static void test_early(void **state)
{
	(void)state;
	stray(100);
	assert_false(was_early(102));
	assert_false(was_early(100 + STEP)); /* the same row */
	assert_true(was_early(100));
	assert_false(was_early(100)); /* once */
}

/*
 * Most are never asked for. However many of them there are, what a request has to look at is its
 * row: those of other rows put nothing out of it, and eight of its own do.
 */
static void test_strays(void **state)
{
	(void)state;
	stray(100);
	for (uint64_t i = 1; i < 1000; i++)
		if (i % WAITING_EARLY_ROWS)
			stray(100 + 2 * i);
	for (uint64_t i = 1; i < WAITING_EARLY_EACH; i++)
		stray(100 + i * STEP);
	assert_true(was_early(100));
	for (uint64_t i = 1; i < WAITING_EARLY_EACH; i++)
		assert_true(was_early(100 + i * STEP));
	stray(100);
	for (uint64_t i = 1; i <= WAITING_EARLY_EACH; i++)
		stray(100 + i * STEP);
	assert_false(was_early(100));
}

/* ---- who is being killed ---- */

static void test_caller(void **state)
{
	pid_t child;
	int status;

	(void)state;
	assert_false(waiting_caller_killed(0));
	assert_false(waiting_caller_killed((uint32_t)getpid()));
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	assert_false(waiting_caller_killed((uint32_t)child));
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(waiting_caller_killed((uint32_t)child));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_found),  TEST(test_watched_in_turn), TEST(test_early),
		TEST(test_strays), TEST(test_caller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
