// SPDX-License-Identifier: MIT
/*
 * slowresend - fuseband whose successor takes half a second to have requests sent again, as it may
 * under load: long enough for its workers to do what they must not do before.
 *
 * For LD_PRELOAD.
 */
#include <dlfcn.h>
#include <linux/fuse.h>
#include <time.h>
#include <unistd.h>

ssize_t write(int fd, const void *data, size_t n)
{
	static ssize_t (*real)(int fd, const void *data, size_t n);
	const struct fuse_out_header *notice = data;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "write");
	if (n == sizeof(*notice) && notice->len == n && !notice->unique &&
	    notice->error == 7) /* FUSE_NOTIFY_RESEND, Linux 6.9 */
		nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
	return real(fd, data, n);
}
