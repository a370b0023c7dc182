/* SPDX-License-Identifier: MIT */
/*
 * filter.h - the system calls of a data path (seccomp, by libseccomp where it was there to build
 * with).
 *
 * Two lists, of what is allowed:
 *   FILTER_WORKER     a thread that reads requests, or runs errands: reads, writes, flushes, its
 *                     ring, memory, time, log lines, threads. It executes nothing, makes no ring,
 *                     opens nothing to write, sends no signal
 *   FILTER_DATA_PATH  the main thread: that, and what a reload, a take-over and a new parent need.
 *                     A parent that it starts keeps the filter, and so does what that executes in
 *                     an upgrade; a program that it cannot start under it is refused like any other
 *
 * A call that is not on the list fails with EPERM and is logged by the kernel (audit, dmesg: type
 * 1326). It does not kill: a gap in the list, or a C library that changes, would make every
 * data path die at the same spot, one after the other, until the mount is given up, where a failed
 * call is a log line or a failed reload. Whoever breaks in gets nothing from that difference.
 *
 * io_uring's operations are not system calls: rings are restricted to those in use (ring.c).
 *
 * What it costs cannot be measured. CPU time of the data path per 4 KiB read at depth 32, us, means
 * of 5 or 6 rounds in turn on a busy machine with Linux 6.18, single rounds 8.9 to 11.0: neither
 * 9.59; both 9.72; only the rings' 9.51; only the filter 9.64.
 */
#ifndef FUSEBAND_FILTER_H
#define FUSEBAND_FILTER_H

#include <stdbool.h>

enum filter_kind { FILTER_DATA_PATH, FILTER_WORKER };

/* For this thread and those it makes, for ever. NO_NEW_PRIVS is set. Logs what does not work. */
void filter_install(enum filter_kind kind);
/* Whether this program was built with it. */
bool filter_exists(void);

#endif
