/* SPDX-License-Identifier: MIT */
/* test_conf_read.c - conf_read(): a file and what is in its directory. */
#include "tests/unit/conf_rig.h"
#include "tests/unit/dir_rig.h"

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(in_dir(name), "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

/* conf_read() fails with rc and one message: the path in the test directory, then this. */
static void read_refused(const char *name, int rc, const char *broken, const char *reason)
{
	struct conf_errors errors = {NULL, 0};
	struct conf_text untouched = {.n_sources = 77}, text = untouched;
	char message[512];

	snprintf(message, sizeof(message), "%s/%s: %s", dir, broken, reason);
	assert_int_equal(conf_read(in_dir(name), &errors, &text), rc);
	assert_memory_equal(&text, &untouched, sizeof(text));
	assert_int_equal(errors.n, 1);
	assert_string_equal(errors.list[0].text, message);
	conf_errors_free(&errors);
}

static void test_read_file_then_directory_by_name(void **state)
{
	static const char *const expected[] = {"ioband.ini", "ioband.ini.d/10-b.ini",
					       "ioband.ini.d/9-a.ini", "ioband.ini.d/B.ini",
					       "ioband.ini.d/a.ini"};
	struct conf_errors errors = {NULL, 0};
	struct conf_text text = {0};

	(void)state;
	write_file("ioband.ini", "main");
	assert_int_equal(mkdir(in_dir("ioband.ini.d"), 0700), 0);
	for (size_t i = 1; i < 5; i++)
		write_file(expected[i], expected[i]);
	write_file("ioband.ini.d/.hidden.ini", "hidden");
	write_file("ioband.ini.d/.ini", "hidden");
	write_file("ioband.ini.d/a.ini~", "backup");
	write_file("ioband.ini.d/README", "other");
	assert_int_equal(conf_read(in_dir("ioband.ini"), &errors, &text), 0);
	assert_int_equal(errors.n, 0);
	assert_int_equal(text.n_sources, 5);
	for (size_t i = 0; i < 5; i++) {
		assert_string_equal(text.sources[i].path, in_dir(expected[i]));
		assert_string_equal(text.sources[i].text, i == 0 ? "main" : expected[i]);
		assert_int_equal(text.sources[i].len, strlen(text.sources[i].text));
	}
	conf_text_free(&text);
	assert_int_equal(text.n_sources, 0);
}

static void test_read_refuses_what_is_no_file(void **state)
{
	(void)state;
	read_refused("none", -ENOENT, "none", "cannot be read: No such file or directory");
	assert_int_equal(mkdir(in_dir("dir"), 0700), 0);
	read_refused("dir", -EISDIR, "dir", "cannot be read: Is a directory");
	assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
	read_refused("fifo", -EINVAL, "fifo", "is not a regular file"); /* and does not block */
	assert_int_equal(symlink("/dev/zero", in_dir("zero")), 0);
	read_refused("zero", -EINVAL, "zero", "is not a regular file");
	assert_int_equal(symlink("loop", in_dir("loop")), 0);
	read_refused("loop", -ELOOP, "loop", "cannot be read: Too many levels of symbolic links");
}

static void test_read_refuses_large_files(void **state)
{
	struct conf_errors errors = {NULL, 0};
	struct conf_text text = {0};

	(void)state;
	write_file("large", "");
	assert_int_equal(truncate(in_dir("large"), 16 << 20), 0);
	assert_int_equal(conf_read(in_dir("large"), &errors, &text), 0);
	assert_int_equal(text.sources[0].len, 16 << 20);
	conf_text_free(&text);
	assert_int_equal(truncate(in_dir("large"), (16 << 20) + 1), 0);
	read_refused("large", -EFBIG, "large", "is larger than 16M");
}

static void test_read_names_every_unreadable_file(void **state)
{
	struct conf_errors errors = {NULL, 0};
	struct conf_text text = {0};

	(void)state;
	write_file("ioband.ini", "");
	write_file("ioband.ini.d", "");
	read_refused("ioband.ini", -ENOTDIR, "ioband.ini.d", "cannot be read: Not a directory");
	assert_int_equal(unlink(in_dir("ioband.ini.d")), 0);
	assert_int_equal(mkdir(in_dir("ioband.ini.d"), 0700), 0);
	assert_int_equal(mkdir(in_dir("ioband.ini.d/a.ini"), 0700), 0);
	assert_int_equal(symlink("nowhere", in_dir("ioband.ini.d/b.ini")), 0);
	assert_int_equal(conf_read(in_dir("ioband.ini"), &errors, &text), -EISDIR);
	assert_int_equal(errors.n, 2);
	assert_non_null(
		strstr(errors.list[0].text, "ioband.ini.d/a.ini: cannot be read: Is a dir"));
	assert_non_null(strstr(errors.list[1].text, "ioband.ini.d/b.ini: cannot be read: No such"));
	conf_errors_free(&errors);
}

static void test_read_takes_a_pipe_as_descriptor(void **state)
{
	struct conf_errors errors = {NULL, 0};
	struct conf_text text = {0};
	char path[32];
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], VM, strlen(VM)), strlen(VM));
	close(fds[1]);
	snprintf(path, sizeof(path), "/dev/fd/%d", fds[0]);
	assert_int_equal(conf_read(path, &errors, &text), 0);
	assert_string_equal(text.sources[0].text, VM);
	conf_text_free(&text);
	close(fds[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(test_read_file_then_directory_by_name),
		IN_DIR(test_read_refuses_what_is_no_file),
		IN_DIR(test_read_refuses_large_files),
		IN_DIR(test_read_names_every_unreadable_file),
		cmocka_unit_test(test_read_takes_a_pipe_as_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
