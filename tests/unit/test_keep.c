/* SPDX-License-Identifier: MIT */
/* test_keep.c - places of files: who has one keeps it, whatever comes and goes around it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sys/mman.h>
#include <unistd.h>

#include "keep.h"

static struct keep *new_keep(int *ret_fd)
{
	struct keep *keep = NULL;

	assert_int_equal(keep_create(ret_fd, &keep), 0);
	return keep;
}

static void free_keep(struct keep *keep, int fd)
{
	munmap(keep, sizeof(*keep));
	close(fd);
}

static void test_is_found_behind_places_that_were_given_up(void **state)
{
	const uint64_t first = 16, n = 200, last = first + KEEP_FILES;
	struct kept_file *place;
	int fd;
	struct keep *keep = new_keep(&fd);

	(void)state;
	for (uint64_t id = first; id < first + n; id++)
		assert_ptr_equal(keep_file_add(keep, id), &keep->files[id]);
	/* its own place is that of the first one, so it comes behind all of them */
	place = keep_file_add(keep, last);
	assert_ptr_equal(place, &keep->files[first + n]);
	place->opens = 1;
	for (uint64_t id = first; id < first + n; id++)
		keep_file_free(keep_file_find(keep, id));
	assert_ptr_equal(keep_file_find(keep, last), place);
	assert_int_equal(keep_file_find(keep, last)->opens, 1);
	free_keep(keep, fd);
}

static void test_looking_changes_nothing(void **state)
{
	int fd;
	struct keep *keep = new_keep(&fd);

	(void)state;
	assert_null(keep_file_find(keep, 16));
	for (size_t i = 0; i < KEEP_FILES; i++)
		assert_int_equal(keep->files[i].id, 0);
	free_keep(keep, fd);
}

static void test_full(void **state)
{
	int fd;
	struct keep *keep = new_keep(&fd);

	(void)state;
	for (uint64_t id = 16; id < 16 + KEEP_FILES; id++)
		assert_non_null(keep_file_add(keep, id));
	assert_null(keep_file_add(keep, 16 + KEEP_FILES));
	keep_file_free(keep_file_find(keep, 20));
	assert_non_null(keep_file_add(keep, 16 + KEEP_FILES));
	free_keep(keep, fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_is_found_behind_places_that_were_given_up),
		cmocka_unit_test(test_looking_changes_nothing),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
