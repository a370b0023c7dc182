// SPDX-License-Identifier: MIT
/*
 * away - fuseband with a file on a server that is away: fences are asked of it in vain, as long as
 * the file $AWAY says which path that is. Nor is any given back.
 *
 * For LD_PRELOAD.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FENCE_BASE (INT64_C(1) << 62) /* backing.h */

static int is_away(int fd)
{
	const char *name = getenv("AWAY");
	int list = name ? (int)syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC) : -1;
	char link[64], path[PATH_MAX], text[PATH_MAX];
	ssize_t length, n;

	if (list < 0)
		return 0;
	n = read(list, text, sizeof(text));
	close(list);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof(path));
	return length > 0 && n == length + 1 && !memcmp(text, path, (size_t)length);
}

int fcntl(int fd, int command, ...)
{
	static int (*real)(int fd, int command, ...);
	va_list args;
	void *arg;

	va_start(args, command);
	arg = va_arg(args, void *);
	va_end(args);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "fcntl64");
	if ((command == F_OFD_SETLK || command == F_OFD_SETLKW || command == F_OFD_GETLK) &&
	    ((struct flock *)arg)->l_start >= FENCE_BASE)
		while (is_away(fd))
			nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	return real(fd, command, arg);
}

int fcntl64(int fd, int command, ...) __attribute__((alias("fcntl")));
