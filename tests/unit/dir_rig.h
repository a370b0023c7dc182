/* SPDX-License-Identifier: MIT */
/*
 * dir_rig.h - a directory for each unit test, images in it, and tests that are skipped where
 * something is missing.
 */
#ifndef FUSEBAND_TESTS_UNIT_DIR_RIG_H
#define FUSEBAND_TESTS_UNIT_DIR_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)
#define NEED(condition, reason)                                 \
	do {                                                    \
		if (!(condition)) {                             \
			print_message("skipped: %s\n", reason); \
			skip();                                 \
		}                                               \
	} while (0)
#define NEED_ROOT() NEED(geteuid() == 0, "needs root")

static char dir[] = "/tmp/test_unit.XXXXXX";

static inline const char *in_dir(const char *name)
{
	static char paths[16][PATH_MAX];
	static unsigned turn;
	char *path = paths[turn++ % 16];

	snprintf(path, PATH_MAX, "%s/%s", dir, name);
	return path;
}

static inline const char *image(const char *name, uint64_t bytes)
{
	const char *path = in_dir(name);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	close(fd);
	return path;
}

static inline int make_dir(void **state)
{
	(void)state;
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline int remove_dir(void **state)
{
	(void)state;
	return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

#endif
