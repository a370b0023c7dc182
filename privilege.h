/* SPDX-License-Identifier: MIT */
/*
 * privilege.h - what root is needed for, and dropped after.
 *
 * A start needs root: it mounts with allow_other, opens what belongs to others, claims devices,
 * locks memory, lowers its OOM score. Then:
 *
 *   fuseband        the parent
 *     DAC_OVERRIDE    a data path that it starts opens all backings,
 *     SYS_RESOURCE    is spared when memory runs out, never waits for itself (PR_SET_IO_FLUSHER),
 *     SETPCAP         and drops the rest
 *     SYS_ADMIN       only with kernel.io_uring_disabled = 1: its rings
 *   fuseband-io     a data path, and who stands by (fuseband-spare)
 *     DAC_OVERRIDE    main thread: a reload opens backings of any owner
 *     IPC_LOCK        only where RLIMIT_MEMLOCK could not be lifted
 *     none            threads that read what users of the mount send, or render the status files
 *   fuseband-admin  see steward.h
 *     SYS_ADMIN       unmounts, sets the limit of requests
 *     DAC_READ_SEARCH wherever the mount point is
 *   fuseband-errand see errand.h: none
 *
 * The bounding set shrinks to the same, PR_SET_NO_NEW_PRIVS is set, and nobody without
 * CAP_SYS_PTRACE can trace them or look into their memory (PR_SET_DUMPABLE 0; so no core dumps,
 * except with -d). No step back: a parent that a data path starts after the death of the first one
 * has no more than that data path. It needs no more, as limits of memory and the least OOM score
 * are inherited and fuseband-admin unmounts; except with io_uring_disabled = 1, where it gets no
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

/* For privilege_oom_score(): never; after everybody else. */
#define PRIVILEGE_OOM_LAST "-1000"
#define PRIVILEGE_OOM_LATE "-900"

enum privilege_role {
	PRIVILEGE_PARENT,
	PRIVILEGE_DATA_PATH,
	PRIVILEGE_WORKER, /* of one thread; the others are of the thread that calls and those it
			     makes later */
	PRIVILEGE_STEWARD,
	PRIVILEGE_ERRAND,
};

/* Of the process, and those it makes: nobody looks in from outside. debug: a debugger may. */
void privilege_hide(bool debug);
/* How readily the kernel takes this process when memory runs out. Only root may lower it. */
void privilege_oom_score(const char *score);
/*
 * Nothing of the process is swapped out, what it maps later included. flags: more of mlockall()'s.
 * 0 or -errno; -EPERM: an ordinary user with a limit, beyond which what is mapped later would fail.
 */
int privilege_lock_memory(int flags);
/* For ever. Logs what cannot be dropped. */
void privilege_drop(enum privilege_role role);

#endif
