/* SPDX-License-Identifier: MIT */
/* child.c - see child.h. */
#include "child.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void child_forget(struct child *child)
{
	if (child->pidfd >= 0)
		close(child->pidfd);
	if (child->link >= 0)
		close(child->link);
	*child = CHILD_NONE;
}

bool child_is_ours(const struct child *child)
{
	siginfo_t info;

	return child->pid &&
	       !waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED | WNOHANG | WNOWAIT);
}

/* As in /proc/PID/stat: R, S, D, T, t, Z; 0: unknown. */
static char letter_of(pid_t pid)
{
	char path[64], line[512], state = 0, *end;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (file && fgets(line, sizeof(line), file) && (end = strrchr(line, ')')))
		state = end[1] ? end[2] : 0;
	if (file)
		fclose(file);
	return state;
}

/* As its parent is told, again and again while it is so. */
static bool has_stopped(const struct child *child)
{
	siginfo_t info = {0};

	return !waitid(P_PIDFD, (id_t)child->pidfd, &info, WSTOPPED | WNOHANG | WNOWAIT) &&
	       info.si_pid;
}

enum child_state child_state(const struct child *child)
{
	char letter;

	if (has_stopped(child))
		return CHILD_STOPPED;
	letter = letter_of(child->pid);
	return letter == 'T' || letter == 't' ? CHILD_STOPPED
	       : letter == 'Z'		      ? CHILD_ENDS
	       : letter == 'D'		      ? CHILD_WAITS
					      : CHILD_RUNS;
}

int child_switches(const struct child *child, uint64_t *ret_switches)
{
	static const char key[] = "voluntary_ctxt_switches:"; /* and, a line on, non... */
	char path[64], line[512];
	unsigned found = 0;
	uint64_t sum = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)child->pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		const char *at = strstr(line, key);

		if (at) {
			sum += strtoull(at + sizeof(key) - 1, NULL, 10);
			found++;
		}
	}
	if (file)
		fclose(file);
	if (found < 2)
		return -ESRCH;
	*ret_switches = sum;
	return 0;
}

siginfo_t child_bury(const struct child *child)
{
	struct pollfd pfd = {.fd = child->pidfd, .events = POLLIN};
	siginfo_t info = {0};

	while (poll(&pfd, 1, -1) < 0 && errno == EINTR)
		;
	if (child->ours && waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED))
		info = (siginfo_t){0};
	return info;
}

const char *child_end(const siginfo_t *info, char *text, size_t size)
{
	if (info->si_code == CLD_EXITED)
		snprintf(text, size, "ended with status %d", info->si_status);
	else if (info->si_code == CLD_KILLED || info->si_code == CLD_DUMPED)
		snprintf(text, size, "was killed by signal %d (%s)", info->si_status,
			 strsignal(info->si_status));
	else
		snprintf(text, size, "died");
	return text;
}

bool child_ended_by_itself(const siginfo_t *info)
{
	return info->si_code == CLD_EXITED || info->si_code == CLD_DUMPED ||
	       (info->si_code == CLD_KILLED && info->si_status != SIGKILL);
}
