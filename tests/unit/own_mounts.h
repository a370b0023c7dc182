/* SPDX-License-Identifier: MIT */
/*
 * own_mounts.h - a mount namespace of its own for a unit test: mounts of one that fails must not
 * outlive it. For main().
 */
#ifndef FUSEBAND_TESTS_UNIT_OWN_MOUNTS_H
#define FUSEBAND_TESTS_UNIT_OWN_MOUNTS_H

#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

static inline void have_own_mounts(void)
{
	if (geteuid() == 0 &&
	    (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0))
		perror("no private mount namespace");
}

#endif
