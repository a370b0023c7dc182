/* SPDX-License-Identifier: MIT */
/*
 * backing_rig.h - backings opened and claimed, or not and why, for the unit tests of backing.h.
 */
#ifndef FUSEBAND_TESTS_UNIT_BACKING_RIG_H
#define FUSEBAND_TESTS_UNIT_BACKING_RIG_H

#include "backing.h"
#include "dir_rig.h"
#include "loopdev.h"

#include <errno.h>

static char why[256];

static inline struct loopdev attached(const char *file, uint32_t flags, uint64_t offset,
				      uint32_t block)
{
	struct loopdev loop;

	assert_int_equal(loopdev_attach(&loop, file, flags, offset, block), 0);
	return loop;
}

static inline struct backing *opened(const struct backing_spec *spec)
{
	struct backing *backing = NULL;
	const char *key;

	why[0] = '\0';
	if (backing_open(spec, why, sizeof(why), &key, &backing) != 0)
		fail_msg("%s: %s: %s", spec->path, key, why);
	return backing;
}

static inline void not_opened(const struct backing_spec *spec, int err, const char *key,
			      const char *expected)
{
	struct backing *backing = (struct backing *)&dir;
	const char *got_key = NULL;

	int got = backing_open(spec, why, sizeof(why), &got_key, &backing);

	if (got != err)
		fail_msg("%d, %s", got, why);
	assert_string_equal(got_key, key);
	if (!strstr(why, expected))
		fail_msg("\"%s\" is not in \"%s\"", expected, why);
	assert_ptr_equal(backing, &dir);
}

static inline struct backing_id id_of(const char *path)
{
	struct backing_id id;

	assert_int_equal(backing_identify(path, why, sizeof(why), &id), 0);
	return id;
}

static inline int claim(const char *path, bool readonly, bool *ret_fuseband,
			struct backing_claim **ret)
{
	struct backing_users *users;
	struct backing_id id = id_of(path);

	assert_int_equal(backing_users_read(&users), 0);
	why[0] = '\0';
	int err = backing_claim(path, &id, readonly, users, why, sizeof(why), ret_fuseband, ret);
	backing_users_free(users);
	return err;
}

static inline struct backing_claim *claimed(const char *path, bool readonly)
{
	struct backing_claim *got = NULL;
	bool fuseband = true;

	if (claim(path, readonly, &fuseband, &got) != 0)
		fail_msg("%s %s", path, why);
	assert_false(fuseband);
	return got;
}

static inline void not_claimed(const char *path, bool readonly, const char *expected,
			       bool by_fuseband)
{
	struct backing_claim *got = (struct backing_claim *)&dir;
	bool fuseband = !by_fuseband;

	assert_int_equal(claim(path, readonly, &fuseband, &got), -EBUSY);
	if (!strstr(why, expected))
		fail_msg("\"%s\" is not in \"%s\"", expected, why);
	assert_int_equal(fuseband, by_fuseband);
	assert_ptr_equal(got, &dir);
}

#endif
