/* SPDX-License-Identifier: MIT */
/*
 * snapshot.h - a status (status.h) of what is served now.
 *
 * The figures of each disk and of all its files belong together: they are copied under its lock,
 * and one disk is locked at a time, for as long as the copying takes. Everything that can be done
 * later (percentiles, text) is done without.
 */
#ifndef FUSEBAND_SNAPSHOT_H
#define FUSEBAND_SNAPSHOT_H

#include "mount.h"
#include "status.h"

/* What a mount does not know of itself; outlives whoever was told. */
struct snapshot_about {
	const char *config; /* path; NULL: it came from a pipe */
	unsigned workers;
};

/* From any thread but the workers. 0 or -ENOMEM. */
int snapshot_take(struct mount *mount, const struct snapshot_about *about,
		  struct status **ret_status);

#endif
