/* SPDX-License-Identifier: MIT */
/*
 * privilege.h - what root is needed for, and dropped after.
 *
 * A start needs root: it mounts with allow_other, opens what belongs to others, claims devices,
 * locks memory, lowers its OOM score. Then:
 *
 *                 capabilities kept     because
 *   fuseband      DAC_OVERRIDE          a data path that it starts opens all backings
 *                 SYS_RESOURCE          and is spared when memory runs out, and never waits for
 * itself (PR_SET_IO_FLUSHER) SETPCAP               and drops the rest SYS_ADMIN             only
 * with kernel.io_uring_disabled = 1, for its rings fuseband-io   DAC_OVERRIDE          main thread:
 * a reload opens backings of any owner IPC_LOCK              only where RLIMIT_MEMLOCK could not be
 * lifted none                  worker threads, which read what users of the mount send fuseband-end
 * SYS_ADMIN             unmounts (undertaker.h) DAC_READ_SEARCH       wherever the mount point is
 *
 * The bounding set shrinks to the same, PR_SET_NO_NEW_PRIVS is set, and nobody without
 * CAP_SYS_PTRACE can trace them or look into their memory (PR_SET_DUMPABLE 0; so no core dumps,
 * except with -d). No step back: a parent that a data path starts after the death of the first one
 * has no more than that data path. It needs no more, as limits of memory and the least OOM score
 * are inherited and fuseband-end unmounts; except with io_uring_disabled = 1, where it gets no
 * standby.
 *
 * Beside that a filter of system calls (filter.h), and rings that take only the operations in use
 * (ring.c).
 *
 * uid 0 stays: files of root's are open to it, capabilities or not. Another uid would lose backings
 * on FUSE file systems of root's that are not for others.
 */
#ifndef FUSEBAND_PRIVILEGE_H
#define FUSEBAND_PRIVILEGE_H

#include <stdbool.h>

enum privilege_role {
	PRIVILEGE_PARENT,
	PRIVILEGE_DATA_PATH,
	PRIVILEGE_WORKER, /* of one thread; the others are of the thread that calls and those it
			     makes later */
	PRIVILEGE_UNDERTAKER,
};

/* Of the process, and those it makes: nobody looks in from outside. debug: a debugger may. */
void privilege_hide(bool debug);
/* For ever. Logs what cannot be dropped. */
void privilege_drop(enum privilege_role role);

#endif
