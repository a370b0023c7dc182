/* SPDX-License-Identifier: MIT */
/* Unit tests of request.h: what is answered. (What is read: fuzz/fuzz_request.c.) */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <unistd.h>

static int ends[2];

static int answered(int error)
{
	struct fuse_out_header out;

	assert_int_equal(request_answer_error(ends[1], 77, error), 0);
	assert_int_equal(read(ends[0], &out, sizeof(out)), sizeof(out));
	assert_int_equal(out.len, sizeof(out));
	assert_int_equal(out.unique, 77);
	return out.error;
}

/* The kernel refuses what it does not take for an error, and its caller would never wake up. */
static void test_errors(void **state)
{
	(void)state;
	assert_int_equal(answered(0), 0);
	assert_int_equal(answered(-EPERM), -EPERM);
	assert_int_equal(answered(-511), -511);
	assert_int_equal(answered(-512), -EIO); /* ERESTARTSYS */
	assert_int_equal(answered(-524), -EIO); /* ENOTSUPP */
	assert_int_equal(answered(-4095), -EIO);
	assert_int_equal(answered(EPERM), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_errors)};

	if (pipe2(ends, O_CLOEXEC))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
