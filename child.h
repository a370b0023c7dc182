/* SPDX-License-Identifier: MIT */
/*
 * child.h - a process that serves or stands by, as its parent sees it: what it does, how it ended.
 *
 * Usually the parent is the one that made it. After the death of that one it is a program that the
 * data path has started itself (supervise.h): then init, or the data path, is told of ends and
 * stops, and there are only the pidfd and /proc to ask. What /proc hides (hidepid= of its mount) is
 * not known of such a process.
 */
#ifndef FUSEBAND_CHILD_H
#define FUSEBAND_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct child {
	pid_t pid; /* 0: none */
	int pidfd, link;
	bool ready; /* it serves; who stands by: it could */
	bool ours;  /* we are its parent; else it is that of a parent that died */
};

#define CHILD_NONE ((struct child){.pidfd = -1, .link = -1})

/* Close what there is of it: it is CHILD_NONE from then on. */
void child_forget(struct child *child);
/* Whether it is ours. */
bool child_is_ours(const struct child *child);

enum child_state {
	CHILD_RUNS,    /* or nothing else is known */
	CHILD_WAITS,   /* its first thread does, in the kernel: for a disk */
	CHILD_STOPPED, /* by a debugger or an operator */
	CHILD_ENDS, /* killed, and some of its threads wait for what the kernel cannot break off */
};
enum child_state child_state(const struct child *child);

/*
 * How often its first thread has given up the processor: as long as that does anything, however
 * slowly, it grows. 0, or -ESRCH: /proc does not say.
 */
int child_switches(const struct child *child, uint64_t *ret_switches);

/* Wait for its end. Returns what waitid() says, zeroes if it is not ours to wait for. */
siginfo_t child_bury(const struct child *child);
/* That in words, to follow "the data path". */
const char *child_end(const siginfo_t *info, char *text, size_t size);
/* Rather than by somebody's SIGKILL. */
bool child_ended_by_itself(const siginfo_t *info);

#endif
