/* SPDX-License-Identifier: MIT */
/*
 * steward.h - the process that keeps the right to administer the mount.
 *
 * Two things remain that take the right to mount anything anywhere (CAP_SYS_ADMIN), or a program
 * that is setuid root: to unmount at the end, and to tell the kernel how many requests it may let
 * in (gate.h), when that is more than users may have. Neither the data path nor its parent keep
 * that right: a small process, fuseband-admin, has it from the start and listens to nobody else. It
 * unmounts, lazily, when the data path (at its end) or the parent (when it gives up) says so.
 *
 * When nobody is left who could, because all of the processes that served were killed, it does not:
 * behind a mount that is gone lies a directory, into which a program that repeats what failed
 * would write. A dead mount answers ENOTCONN until somebody has looked.
 *
 * It also makes the processes that run errands (errand.h), as it has nothing of a disk that they
 * could inherit.
 *
 * It only ever touches one mount point, and there only the file system that it was told of after
 * the mount, and the limit of that one. Killed, it is missed: the mount stays behind at the end,
 * dead, and the log says so.
 */
#ifndef FUSEBAND_STEWARD_H
#define FUSEBAND_STEWARD_H

#include <sys/types.h>

/*
 * Start it; before anything is mounted, with signals blocked. *ret_fd: a socket (O_CLOEXEC), of
 * which everybody who serves keeps a copy: when the last one is closed, it is time. 0 or -errno.
 */
int steward_start(const char *mountpoint, int *ret_fd);
/* What is mounted now; the first one who says so is believed. */
void steward_watch(int fd, dev_t dev);
/*
 * Let the kernel take in so many requests, or as many as it lets us say; any thread, does not wait.
 * 0: it will be done, in the order of the calls; -EAGAIN: too many orders are waiting; -EPIPE: it
 * is dead. fd -1: -EPIPE.
 */
int steward_limit(int fd, unsigned limit);
/*
 * Make a process that runs what comes from these channels (errand.h), at most ERRAND_CHANNELS. They
 * stay the caller's. 0: it will be done; -EPIPE: it is dead; -EAGAIN: too many orders are waiting,
 * even after a second; -errno. fd -1: -EPIPE.
 */
int steward_errands(int fd, const int *channels, unsigned n);
/* 0: it is not mounted (any more); -EPIPE: it is dead; or -errno of the attempt. fd -1: -EPIPE. */
int steward_unmount(int fd);

#endif
