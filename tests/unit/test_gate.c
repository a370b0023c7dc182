/* SPDX-License-Identifier: MIT */
/*
 * How many requests the kernel may let in: gate.h's promises, with who tells the kernel replaced.
 */
#include "gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#define MIB (INT64_C(1) << 20)

static struct gate gate;
static unsigned last; /* what the kernel was told; 0: nothing */
static int result;    /* of telling it */

int __wrap_steward_limit(int fd, unsigned limit);
int __wrap_steward_limit(int fd, unsigned limit)
{
	assert_int_equal(fd, 7);
	if (!result)
		last = limit;
	return result;
}

static unsigned told(void)
{
	return last;
}

static int setup(void **state)
{
	(void)state;
	gate_init(&gate, 7);
	atomic_store(&gate.limit, 56);
	last = 0;
	result = 0;
	return 0;
}

/* 64 MiB have 56 slots, an eighth is for what does not count at the limit. */
static void at_first(void **state)
{
	(void)state;
	assert_int_equal(gate_at_first(UINT64_C(1) << 30), 896);
	assert_int_equal(gate_at_first(64 * MIB), GATE_LEAST);
	assert_int_equal(gate_at_first(UINT64_C(1) << 50), GATE_MOST);
	gate_init(&gate, -1);
	gate_adjust(&gate, 64 * MIB, 0, 1000); /* without effect: nobody is asked */
}

static void nothing_to_do(void **state)
{
	(void)state;
	gate_adjust(&gate, 64 * MIB, 0, 0);
	gate_adjust(&gate, 64 * MIB, 0, 20);
	gate_adjust(&gate, 64 * MIB, 20 * MIB, 20);
	gate_adjust(&gate, 64 * MIB, 56 * MIB, 56);
	assert_int_equal(told(), 0);
}

/* Small requests take no memory: there may be any number. */
static void small_ones_raise_it(void **state)
{
	unsigned n = 56;

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		gate_adjust(&gate, 64 * MIB, n * 8192, n);
		assert_true(told() >= n + 28);
		n = told();
	}
	gate_adjust(&gate, 64 * MIB, 0, 1000000);
	assert_int_equal(told(), GATE_MOST);
}

/* However many synchronous requests there are, which do not count at the limit. */
static void a_full_memory_does_not(void **state)
{
	(void)state;
	for (unsigned n = 56; n < 5600; n++)
		gate_adjust(&gate, 64 * MIB, 56 * MIB, n);
	gate_adjust(&gate, 64 * MIB, 43 * MIB, 560);
	gate_adjust(&gate, 64 * MIB, 100 * MIB, 560);
	assert_int_equal(told(), 0);
}

/* What is let in never exceeds the slots by more than a sixteenth once it gets tight. */
static void a_filling_memory_lowers_it(void **state)
{
	(void)state;
	gate_adjust(&gate, 64 * MIB, MIB, 500);
	assert_int_equal(told(), 555);
	gate_adjust(&gate, 64 * MIB, 50 * MIB, 500);
	assert_int_equal(told(), 506);
	for (unsigned n = 500; n-- > 0;) {
		gate_adjust(&gate, 64 * MIB, 50 * MIB, n);
		assert_true(told() <= (n + 6 > 56 ? n + 6 : 56) + 56 / 16);
		assert_true(told() >= 56);
	}
}

static void a_reload_changes_it(void **state)
{
	(void)state;
	gate_adjust(&gate, 1024 * MIB, 0, 0);
	assert_int_equal(told(), 896);
	gate_adjust(&gate, 64 * MIB, 0, 0);
	assert_int_equal(told(), 56);
}

static void a_successor_begins_anew(void **state)
{
	(void)state;
	gate_init(&gate, 7);
	gate_adjust(&gate, 64 * MIB, 60 * MIB, 60);
	assert_int_equal(told(), 60);
}

/* Who cannot be told now is told later; who is dead is told nothing any more. */
static void nobody_listens(void **state)
{
	(void)state;
	result = -EAGAIN;
	gate_adjust(&gate, 1024 * MIB, 0, 0);
	assert_int_equal(atomic_load(&gate.limit), 56);
	result = 0;
	gate_adjust(&gate, 1024 * MIB, 0, 0);
	assert_int_equal(told(), 896);
	result = -EPIPE;
	gate_adjust(&gate, 64 * MIB, 0, 0);
	assert_int_equal(atomic_load(&gate.limit), 896);
	result = 0;
	gate_adjust(&gate, 64 * MIB, 0, 0);
	assert_int_equal(told(), 896);
}

static void shut(void **state)
{
	(void)state;
	assert_false(gate_is_shut(64 * MIB, -5));
	assert_false(gate_is_shut(64 * MIB, 55 * MIB));
	assert_true(gate_is_shut(64 * MIB, 56 * MIB));
	assert_true(gate_is_shut(64 * MIB, 64 * MIB));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(at_first, setup),
		cmocka_unit_test_setup(nothing_to_do, setup),
		cmocka_unit_test_setup(small_ones_raise_it, setup),
		cmocka_unit_test_setup(a_full_memory_does_not, setup),
		cmocka_unit_test_setup(a_filling_memory_lowers_it, setup),
		cmocka_unit_test_setup(a_reload_changes_it, setup),
		cmocka_unit_test_setup(a_successor_begins_anew, setup),
		cmocka_unit_test_setup(nobody_listens, setup),
		cmocka_unit_test_setup(shut, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
