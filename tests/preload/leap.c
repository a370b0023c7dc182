// SPDX-License-Identifier: MIT
/*
 * leap - fuseband for whose parent so many seconds more have passed as the file $LEAP says, and for
 * those that it makes since then.
 *
 * For LD_PRELOAD.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static pid_t parent;
static time_t leapt;

__attribute__((constructor)) static void begin(void)
{
	parent = getpid();
}

static void look(void)
{
	const char *path = getenv("LEAP");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	char text[32] = "";

	if (fd < 0)
		return;
	if (read(fd, text, sizeof(text) - 1) > 0)
		leapt = atol(text);
	close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	static int (*real)(clockid_t clock, struct timespec * ret);
	int r;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
	if (getpid() == parent)
		look();
	r = real(clock, ret);
	if (!r && clock == CLOCK_MONOTONIC)
		ret->tv_sec += leapt;
	return r;
}
