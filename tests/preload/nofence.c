// SPDX-License-Identifier: MIT
/*
 * nofence - fuseband without its fences: the locks on exposed ranges are always to be had.
 *
 * For LD_PRELOAD: the test that shows what fences are for has to fail with it.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>

#define FENCE_BASE (INT64_C(1) << 62) /* backing.h */

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
	if ((command == F_OFD_SETLK || command == F_OFD_SETLKW) &&
	    ((struct flock *)arg)->l_start >= FENCE_BASE)
		return 0;
	return real(fd, command, arg);
}

int fcntl64(int fd, int command, ...) __attribute__((alias("fcntl")));
