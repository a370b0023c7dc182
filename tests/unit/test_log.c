/* SPDX-License-Identifier: MIT */
/* test_log.c - unit tests of log.h: which lines go to stderr, and what they look like there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "log.h"

static FILE *out;
static int stderr_fd;

static int catch_stderr(void **state)
{
	(void)state;
	out = tmpfile();
	stderr_fd = dup(STDERR_FILENO);
	return out && stderr_fd >= 0 && dup2(fileno(out), STDERR_FILENO) >= 0 ? 0 : -1;
}

static int free_stderr(void **state)
{
	(void)state;
	dup2(stderr_fd, STDERR_FILENO);
	close(stderr_fd);
	fclose(out);
	return 0;
}

/* Since the last check. */
static void check(const char *expected)
{
	char text[4096];
	size_t n;

	rewind(out);
	n = fread(text, 1, sizeof(text) - 1, out);
	text[n] = '\0';
	rewind(out);
	assert_int_equal(ftruncate(fileno(out), 0), 0);
	lseek(STDERR_FILENO, 0, SEEK_SET);
	assert_string_equal(text, expected);
}

static void test_levels(void **state)
{
	(void)state;
	log_debug("a");
	log_info("%d", 7);
	check("fuseband: 7\n");
	log_set_level(LOG_LEVEL_WARNING);
	log_info("b");
	log_warning("c");
	log_error("d");
	check("fuseband: c\nfuseband: d\n");
	log_set_level(LOG_LEVEL_INFO);
}

/* Whatever a path or program is called, a message is one line, and no command to a terminal. */
static void test_one_tame_line(void **state)
{
	char big[2048], expected[1100];

	(void)state;
	log_warning("%s: \xc3\xa9", "/a\nfuseband: b\x1b[2J\xc2\x9b");
	check("fuseband: /a?fuseband: b?[2J?"
	      "?: \xc3\xa9\n");
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_warning("%s", big);
	snprintf(expected, sizeof(expected), "fuseband: %.1023s\n", big); /* more is cut off */
	check(expected);
}

static void test_limit(void **state)
{
	struct log_limit limit = {0};
	unsigned missed = 99;

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		assert_true(log_allowed(&limit, UINT64_C(5000000000) + i, &missed));
	assert_int_equal(missed, 0);
	assert_false(log_allowed(&limit, UINT64_C(5999999999), &missed));
	assert_false(log_allowed(&limit, UINT64_C(5999999999), &missed));
	assert_true(log_allowed(&limit, UINT64_C(6000000000), &missed));
	assert_int_equal(missed, 2);
}

/* The last one: there is no way back. */
static void test_journal(void **state)
{
	char journal[64];
	struct stat st;

	(void)state;
	setenv("JOURNAL_STREAM", "1:1", 1);
	log_mark_levels();
	log_error("a");
	check("fuseband: a\n"); /* somebody else's */
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(journal, sizeof(journal), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", journal, 1);
	log_mark_levels();
	log_error("a");
	log_info("b");
	check("<3>a\n<6>b\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, catch_stderr, free_stderr)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_levels),
		TEST(test_one_tame_line),
		TEST(test_limit),
		TEST(test_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
