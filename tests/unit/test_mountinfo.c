/* SPDX-License-Identifier: MIT */
/*
 * Unit tests of mountinfo.h: made-up tables, made-up directories, and this machine's table.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "mountinfo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE(i, p, where, what)                                                       \
	{                                                                             \
		.id = i, .parent = p, .dev = i, .point = (char *)(uintptr_t)where,    \
		.type = (char *)(uintptr_t)what, .source = (char *)(uintptr_t) "none" \
	}

static int id_of(const struct mountinfo *mounts, const char *path)
{
	const struct mountinfo_line *line = mountinfo_find(mounts, path);

	return line ? line->id : -1;
}

static void test_find(void **state)
{
	struct mountinfo_line list[] = {
		LINE(1, 0, "/", "ext4"),	 LINE(2, 1, "/srv", "xfs"),
		LINE(3, 2, "/srv/vm", "fuse.x"), LINE(4, 1, "/srv2", "xfs"),
		LINE(5, 4, "/srv2/a/b", "xfs"),
	};
	struct mountinfo mounts = {list, 5};

	(void)state;
	assert_int_equal(id_of(&mounts, "/"), 1);
	assert_int_equal(id_of(&mounts, "/etc/passwd"), 1);
	assert_int_equal(id_of(&mounts, "/srv"), 2);
	assert_int_equal(id_of(&mounts, "/srvx"), 1);
	assert_int_equal(id_of(&mounts, "/srv/v"), 2);
	assert_int_equal(id_of(&mounts, "/srv/vm"), 3);
	assert_int_equal(id_of(&mounts, "/srv/vm/a (deleted)"), 3);
	assert_int_equal(id_of(&mounts, "/srv2/a"), 4);
	assert_int_equal(id_of(&mounts, "/srv2/a/b/c"), 5);
}

/* A mount on top of another, and one that hides what is mounted below it. */
static void test_find_covered(void **state)
{
	struct mountinfo_line list[] = {
		LINE(1, 0, "/", "ext4"),	   LINE(2, 1, "/srv", "xfs"),
		LINE(3, 2, "/srv/deep/vm", "xfs"), LINE(4, 2, "/srv", "tmpfs"),
		LINE(5, 4, "/srv", "tmpfs"),
	};
	struct mountinfo mounts = {list, 5};

	(void)state;
	assert_int_equal(id_of(&mounts, "/srv"), 5);
	assert_int_equal(id_of(&mounts, "/srv/deep/vm/a"), 5);
	mounts.n = 0;
	assert_int_equal(id_of(&mounts, "/srv"), -1);
	/* torn: each the other's parent; no root, no endless descent */
	list[0].parent = 2;
	mounts.n = 2;
	assert_int_equal(id_of(&mounts, "/srv"), -1);
}

static void test_is_fuse(void **state)
{
	struct mountinfo_line list[] = {
		LINE(1, 0, "/", "fuse"),    LINE(1, 0, "/", "fuse.sshfs"),
		LINE(1, 0, "/", "fuseblk"), LINE(1, 0, "/", "fusectl"),
		LINE(1, 0, "/", "ext4"),
	};

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(mountinfo_is_fuse(&list[i]), i < 3);
}

static void test_path_below(void **state)
{
	(void)state;
	assert_true(mountinfo_path_below("/mnt/io", "/mnt/io"));
	assert_true(mountinfo_path_below("/mnt/io/a", "/mnt/io"));
	assert_true(mountinfo_path_below("/mnt/io/a", "/mnt/io/"));
	assert_false(mountinfo_path_below("/mnt/iox", "/mnt/io"));
	assert_false(mountinfo_path_below("/mnt", "/mnt/io"));
	assert_true(mountinfo_path_below("/anything", "/"));
}

/* dir/mount is ours; every way in must be found, and none from the outside. */
static void test_path_enters(void **state)
{
	static const struct {
		const char *path;
		bool enters;
	} cases[] = {
		{"/mount", true},
		{"/mount/", true},
		{"/mount/vm1", true},
		{"/mount/../mount2/x", true}, /* a look at "mount/.." would be one */
		{"/mount2", false},
		{"/other/../mount/x", true},
		{"/other/./x", false},
		{"/other//x", false},
		{"/absolute/x", true},
		{"/relative/x", true},
		{"/other/up/x", true},
		{"/chain/x", true},
		{"/other/out", false},
		{"/circle/x", false},
		{"/none/x", false},
		{"/none/../mount/x", false}, /* ENOENT for the kernel, too */
		{"/file", true},	     /* a link to a file inside */
	};
	char dir[] = "/tmp/test_mountinfo.XXXXXX", path[PATH_MAX], target[PATH_MAX],
	     mount[PATH_MAX];
	const char *ours = mount;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(mount, sizeof(mount), "%s/mount", dir);
#define IN_DIR(name) (snprintf(path, sizeof(path), "%s/%s", dir, name), path)
	assert_int_equal(mkdir(IN_DIR("mount"), 0755), 0);
	assert_int_equal(mkdir(IN_DIR("mount2"), 0755), 0);
	assert_int_equal(mkdir(IN_DIR("other"), 0755), 0);
	assert_int_equal(symlink(mount, IN_DIR("absolute")), 0);
	assert_int_equal(symlink("mount", IN_DIR("relative")), 0);
	assert_int_equal(symlink("../mount", IN_DIR("other/up")), 0);
	assert_int_equal(symlink("other/up", IN_DIR("chain")), 0);
	assert_int_equal(symlink("../mount2/x", IN_DIR("other/out")), 0);
	assert_int_equal(symlink("circle", IN_DIR("circle")), 0);
	snprintf(target, sizeof(target), "%.900s/./other/../mount/vm1", dir);
	assert_int_equal(symlink(target, IN_DIR("file")), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", dir, cases[i].path);
		if (mountinfo_path_enters(path, &ours, 1) != cases[i].enters)
			fail_msg("%s", cases[i].path);
	}
	assert_true(mountinfo_path_enters("/etc", (const char *const[]){"/x", "/etc"}, 2));
	assert_false(mountinfo_path_enters("/", &ours, 1));
	assert_false(mountinfo_path_enters("", &ours, 1));
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_false(mountinfo_path_enters(path, &ours, 1));
	const char *const names[] = {"absolute", "relative", "other/up", "chain",  "other/out",
				     "circle",	 "file",     "mount",	 "mount2", "other"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(remove(IN_DIR(names[i])), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void test_this_machine(void **state)
{
	struct mountinfo mounts;
	struct stat st;

	(void)state;
	assert_int_equal(mountinfo_read(&mounts), 0);
	assert_true(mounts.n > 0);
	const struct mountinfo_line *proc = mountinfo_find(&mounts, "/proc/self");
	assert_non_null(proc);
	assert_string_equal(proc->type, "proc");
	assert_string_equal(proc->point, "/proc");
	assert_int_equal(stat("/proc/self", &st), 0);
	assert_true(proc->dev == st.st_dev);
	mountinfo_free(&mounts);
	assert_int_equal(mounts.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),	    cmocka_unit_test(test_find_covered),
		cmocka_unit_test(test_is_fuse),	    cmocka_unit_test(test_path_below),
		cmocka_unit_test(test_path_enters), cmocka_unit_test(test_this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
