/* SPDX-License-Identifier: MIT */
/* undertaker.c - see undertaker.h. */
#include "undertaker.h"
#include "mountinfo.h"
#include "privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOCKET_FD 3 /* of the process, beside /dev/null three times */

enum { UNDERTAKER_WATCH = 1, UNDERTAKER_UNMOUNT };

struct order {
	uint32_t kind;
	uint64_t dev; /* WATCH */
};

/* ---- in the process ---- */

/* dev 0: whatever it is. */
static bool is_there(const char *mountpoint, dev_t dev)
{
	struct mountinfo mounts;
	const struct mountinfo_line *line;
	bool there = !dev;

	if (!dev || mountinfo_read(&mounts))
		return true;
	line = mountinfo_find(&mounts, mountpoint);
	there = line && mountinfo_is_fuse(line) && line->dev == dev;
	mountinfo_free(&mounts);
	return there;
}

static int unmount(char *mountpoint, dev_t dev)
{
	char *argv[] = {"fusermount3", "-u", "-q", "-z", "--", mountpoint, NULL};
	int status = 0;
	pid_t pid;

	if (!is_there(mountpoint, dev) || !umount2(mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW))
		return 0;
	if (errno != EPERM)
		return -errno;
	/* as libfuse does it for a user's mount */
	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) ||
	    waitpid(pid, &status, 0) != pid || status)
		return -EPERM;
	return 0;
}

/* Nothing of whoever started it is kept: no descriptor, no terminal, no directory. */
static void leave_everything(int fd)
{
	int null = open("/dev/null", O_RDWR);

	if (fd != SOCKET_FD)
		dup2(fd, SOCKET_FD);
	for (int i = 0; null >= 0 && i < SOCKET_FD; i++)
		dup2(null, i);
	close_range(SOCKET_FD + 1, ~0U, 0);
	fcntl(SOCKET_FD, F_SETFD, FD_CLOEXEC);
	if (chdir("/"))
		_exit(1);
}

static void serve(char *mountpoint)
{
	struct order order;
	dev_t dev = 0;

	for (;;) {
		ssize_t n = recv(SOCKET_FD, &order, sizeof(order), 0);
		int32_t result;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		if (n != sizeof(order))
			continue;
		if (order.kind == UNDERTAKER_WATCH && !dev)
			dev = (dev_t)order.dev;
		if (order.kind != UNDERTAKER_UNMOUNT)
			continue;
		result = unmount(mountpoint, dev);
		send(SOCKET_FD, &result, sizeof(result), MSG_NOSIGNAL);
	}
}

/* ---- for the others ---- */

int undertaker_start(const char *mountpoint, int *ret_fd)
{
	int ends[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -errno;
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_NAME, "fuseband-end");
		leave_everything(ends[1]);
		privilege_drop(PRIVILEGE_UNDERTAKER);
		serve((char *)(uintptr_t)mountpoint);
		_exit(0);
	}
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return -errno;
	}
	*ret_fd = ends[0];
	return 0;
}

void undertaker_watch(int fd, dev_t dev)
{
	struct order order = {.kind = UNDERTAKER_WATCH, .dev = dev};

	if (fd >= 0)
		send(fd, &order, sizeof(order), MSG_NOSIGNAL);
}

int undertaker_unmount(int fd)
{
	struct order order = {.kind = UNDERTAKER_UNMOUNT};
	int32_t result;
	ssize_t n;

	if (fd < 0 || send(fd, &order, sizeof(order), MSG_NOSIGNAL) < 0)
		return -EPIPE;
	do
		n = recv(fd, &result, sizeof(result), 0);
	while (n < 0 && errno == EINTR);
	return n == sizeof(result) ? result : -EPIPE;
}
