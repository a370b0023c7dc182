/* SPDX-License-Identifier: MIT */
/*
 * mount_rig.h - mounts of configurations as text (plan_rig.h), started and reloaded without
 * workers, for the unit tests of mount.h and of what outlives a mount.
 */
#ifndef FUSEBAND_TESTS_UNIT_MOUNT_RIG_H
#define FUSEBAND_TESTS_UNIT_MOUNT_RIG_H

#include "plan_rig.h"
#include "mount.h"

static inline struct plan *next_plan(const struct mount *mount, const char *text)
{
	struct asked asked = START;
	struct plan_running *list;
	struct plan *plan;

	assert_int_equal(mount_running(mount, &list, &asked.n_running), 0);
	asked.running = list;
	plan = planned(asked, text);
	free(list);
	return plan;
}

static inline void apply(struct mount *mount, const char *text)
{
	struct plan *plan = next_plan(mount, text);
	struct conf_errors errors = {0};

	assert_int_equal(mount_apply(mount, plan, &errors), 0);
	assert_int_equal(errors.n, 0);
	plan_free(plan);
	mount_finish(mount, true);
}

static inline struct mount *start(const char *text)
{
	struct mount *mount = mount_new();

	assert_non_null(mount);
	apply(mount, text);
	return mount;
}

static inline void open_file(struct mount *mount, const char *name)
{
	struct file *file = mount_by_name(mount, name);

	assert_non_null(file);
	atomic_fetch_add(&file->kept->opens, 1);
}

#endif
