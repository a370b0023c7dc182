/* SPDX-License-Identifier: MIT */
/*
 * Unit tests of progress.h.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* What is written, on a terminal of so many columns or, with 0, elsewhere. */
static char text[4096];

static struct progress made(unsigned columns)
{
	memset(text, 0, sizeof(text));
	return (struct progress){.out = fmemopen(text, sizeof(text), "w"),
				 .on_terminal = columns > 0,
				 .columns = columns};
}

static void test_lines(void **state)
{
	struct progress progress = made(0);

	(void)state;
	progress_show(&progress, 1, 2, "fuseband: sda", "read 4K");
	progress_show(&progress, 2, 2, "fuseband: sda", "read 128K");
	progress_end(&progress);
	fclose(progress.out);
	assert_string_equal(text, "fuseband: sda: read 4K\nfuseband: sda: read 128K\n");
	assert_null(strpbrk(text, "\r\033"));
}

static void test_bar(void **state)
{
	struct progress progress = made(80);

	(void)state;
	progress_show(&progress, 0, 200, "a", "x");
	progress_show(&progress, 99, 200, "a", "y");
	progress_show(&progress, 199, 200, "a", "z");
	progress_show(&progress, 200, 200, "a", "z");
	progress_show(&progress, 500, 200, "a", "z");
	progress_show(&progress, UINT64_MAX / 2, UINT64_MAX - 7, "a", "z");
	progress_show(&progress, 5, 0, "a", "nobody knows");
	progress_end(&progress);
	progress_end(&progress);
	fclose(progress.out);
	assert_string_equal(text, "\r\033[Ka: [....................]   0 %  x"
				  "\r\033[Ka: [#########...........]  49 %  y"
				  "\r\033[Ka: [###################.]  99 %  z"
				  "\r\033[Ka: [####################] 100 %  z"
				  "\r\033[Ka: [####################] 100 %  z"
				  "\r\033[Ka: [##########..........]  50 %  z"
				  "\r\033[Ka: nobody knows"
				  "\r\033[K");
}

/* It never wraps; characters are not cut in two. */
static void test_width(void **state)
{
	struct progress progress = made(40);

	(void)state;
	progress_show(&progress, 1, 1, "a", "0123456789");
	fclose(progress.out);
	assert_string_equal(text, "\r\033[Ka: [####################] 100 %  012345");
	progress = made(40);
	progress_show(&progress, 1, 1, "a", "01234\xc3\xa9\xc3\xa9");
	fclose(progress.out);
	assert_string_equal(text, "\r\033[Ka: [####################] 100 %  01234\xc3\xa9");
}

static void test_terminal(void **state)
{
	int pipes[2], master = posix_openpt(O_RDWR | O_NOCTTY), slave;
	struct winsize size = {.ws_row = 24, .ws_col = 132};

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_false(progress_on(stderr, pipes[1]).on_terminal);
	close(pipes[0]);
	close(pipes[1]);
	if (master < 0 || grantpt(master) || unlockpt(master))
		skip();
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	assert_true(slave >= 0);
	assert_true(progress_on(stderr, slave).on_terminal);
	assert_int_equal(progress_on(stderr, slave).columns, 80); /* it does not know */
	assert_int_equal(ioctl(slave, TIOCSWINSZ, &size), 0);
	assert_int_equal(progress_on(stderr, slave).columns, 132);
	close(slave);
	close(master);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_bar),
		cmocka_unit_test(test_width),
		cmocka_unit_test(test_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
