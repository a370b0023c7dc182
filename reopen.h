/* SPDX-License-Identifier: MIT */
/*
 * reopen.h - files that could not be opened at a take-over are tried again.
 *
 * Who takes over opens everything once more, through the claims that outlived the crash. What
 * cannot be had just then (too many descriptors, a server that is away, an image that is empty)
 * fails its own requests with ENXIO, but keeps its claim, its disk and its node id: once it can be
 * opened, those who have it open go on as if nothing had been.
 *
 *     lost --- every REOPEN_NS: a thread for each disk opens what it can ---> found: fence, serve
 *
 * Opening may hang, which must be no other disk's trouble, so it is not the main thread that does
 * it. All else here is the main thread's. Files that were removed are not tried: another one may
 * have their bytes by now.
 */
#ifndef FUSEBAND_REOPEN_H
#define FUSEBAND_REOPEN_H

#include "mount.h"

#define REOPEN_NS UINT64_C(5000000000)

struct reopen_job;

struct reopen { /* all zero: nothing was tried yet */
	struct reopen_job *jobs;
	uint64_t next_ns; /* UINT64_MAX: nothing is lost */
};

/*
 * Start to try, if it is time. True: something was found, for reopen_settle(). event_fd: gets a
 * word when there may be something.
 */
bool reopen_look(struct reopen *reopen, const struct mount *mount, int event_fd, uint64_t now_ns);
/* When to look again at the latest. -1: no need to. */
int reopen_timeout_ms(const struct reopen *reopen, uint64_t now_ns);
/* Workers are parked. How many files are there again: then fence_take(). */
size_t reopen_settle(struct reopen *reopen, struct mount *mount);

#endif
