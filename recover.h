/* SPDX-License-Identifier: MIT */
/*
 * recover.h - from what a dead data path has left to a mount that is the same as before.
 *
 * The accepted text is parsed and planned again, but no path is followed: what was claimed is
 * opened through its claim, so that a file that was renamed or replaced meanwhile is still the one
 * that guests have open. Node ids and sizes are those that were served; files that were removed and
 * are open come back without being in the directory. A file that cannot be had fails its own
 * requests, no others.
 *
 * Claims that files have are the mount's from now on. The others stay the estate's, which may have
 * to be given to a new parent, and are marked `unused`.
 *
 * Nothing here changes what another process serves meanwhile.
 */
#ifndef FUSEBAND_RECOVER_H
#define FUSEBAND_RECOVER_H

#include "estate.h"
#include "front.h"
#include "mount.h"

struct recovered {
	struct mount *mount; /* mount->standby is set */
	struct front *front;
	struct conf_text text; /* as accepted */
	struct conf_main main;
};

/* 0, or -errno after logging why; there is nothing to be done then but to end. */
int recover(struct estate *estate, const char *mountpoint, bool debug,
	    struct recovered *ret_recovered);

#endif
