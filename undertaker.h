/* SPDX-License-Identifier: MIT */
/*
 * undertaker.h - the process that unmounts.
 *
 * To unmount takes the right to mount anything anywhere, or a program that is setuid root. Neither
 * the data path nor its parent keep that: a small process, fuseband-end, has it from the start and
 * listens to nobody else. It unmounts, lazily, when the data path (at its end) or the parent (when
 * it gives up) says so.
 *
 * When nobody is left who could, because all of the processes that served were killed, it does not:
 * behind a mount that is gone lies a directory, into which a program that repeats what failed
 * would write. A dead mount answers ENOTCONN until somebody has looked.
 *
 * It only ever touches one mount point, and there only the file system that it was told of after
 * the mount. Killed, it is missed at the end: the mount stays behind, dead, and the log says so.
 */
#ifndef FUSEBAND_UNDERTAKER_H
#define FUSEBAND_UNDERTAKER_H

#include <sys/types.h>

/*
 * Start it; before anything is mounted, with signals blocked. *ret_fd: a socket (O_CLOEXEC), of
 * which everybody who serves keeps a copy: when the last one is closed, it is time. 0 or -errno.
 */
int undertaker_start(const char *mountpoint, int *ret_fd);
/* What is mounted now; the first one who says so is believed. */
void undertaker_watch(int fd, dev_t dev);
/* 0: it is not mounted (any more); -EPIPE: it is dead; or -errno of the attempt. fd -1: -EPIPE. */
int undertaker_unmount(int fd);

#endif
