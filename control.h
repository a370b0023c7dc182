/* SPDX-License-Identifier: MIT */
/*
 * control.h - what serves a mount is told to reload or to upgrade, and how that went is waited for.
 *
 * A signal says nothing of its outcome. This sends it to the process that the mount's own status
 * names, then reads the status until it counts one more that was done or refused:
 *
 *     fuseband --reload /mnt/ioband      0: all of it is in force   2: nothing is, and why
 *     fuseband --upgrade /mnt/ioband     0: the installed program serves   1: the old one does
 *
 * Whoever mounts a FUSE file system decides what is in it, hence which process it names: only the
 * caller's own mounts are believed.
 */
#ifndef FUSEBAND_CONTROL_H
#define FUSEBAND_CONTROL_H

enum control_order { CONTROL_NONE, CONTROL_RELOAD, CONTROL_UPGRADE };

/* Says on stderr what went wrong. Returns the exit status. */
int control(enum control_order order, const char *mountpoint);

/* Says that what is mounted there is dead, and what to do. */
void control_complain_dead(const char *mountpoint);

#endif
