/* SPDX-License-Identifier: MIT */
/* steward.c - see steward.h. */
#include "steward.h"
#include "errand.h"
#include "mountinfo.h"
#include "privilege.h"
#include "rights.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define ERRANDS_WAIT_MS 1000
#define SOCKET_FD 3 /* of the process, beside /dev/null three times */

enum { STEWARD_WATCH = 1, STEWARD_LIMIT, STEWARD_UNMOUNT, STEWARD_ERRANDS };

struct order {
	uint32_t kind;
	uint32_t limit; /* LIMIT */
	uint64_t dev;	/* WATCH */
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

/* max_background of its connection; -1 where there is no fusectl that we may write to. */
static int open_limit(dev_t dev)
{
	struct mountinfo mounts;
	char path[PATH_MAX];
	int fd = -1;

	if (!dev || mountinfo_read(&mounts))
		return -1;
	for (size_t i = 0; i < mounts.n && fd < 0; i++) {
		if (strcmp(mounts.list[i].type, "fusectl") != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%u/max_background", mounts.list[i].point,
			 major(dev) << 20 | minor(dev));
		fd = open(path, O_WRONLY | O_CLOEXEC);
	}
	mountinfo_free(&mounts);
	return fd;
}

/* What the kernel takes from those who are not root. */
static unsigned most_of_users(void)
{
	FILE *file = fopen("/sys/module/fuse/parameters/max_user_bgreq", "re");
	unsigned most = UINT_MAX;

	if (file && fscanf(file, "%u", &most) != 1)
		most = UINT_MAX;
	if (file)
		fclose(file);
	return most;
}

/* Its files have no positions: pwrite() fails, and write() always begins anew. */
static bool write_limit(int fd, unsigned limit)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%u\n", limit);

	return write(fd, text, (size_t)n) == n;
}

static void set_limit(int fd, unsigned limit)
{
	unsigned most;

	if (fd < 0 || !limit || write_limit(fd, limit) || errno != EINVAL)
		return;
	most = most_of_users();
	if (most < limit)
		write_limit(fd, most);
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

/* Of those whom everybody else's memory may depend on. */
static void settle_in_memory(void)
{
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	privilege_lock_memory(0); /* a data path tells when that cannot be done */
	privilege_oom_score(PRIVILEGE_OOM_LAST);
}

/* In a process of its own. */
static void run_errands(const int *channels, unsigned n)
{
	prctl(PR_SET_NAME, "fuseband-errand");
	munlockall();
	privilege_drop(PRIVILEGE_ERRAND);
	for (unsigned i = 0; i < n; i++)
		if (errand_serve(channels[i]))
			_exit(1); /* the ring sees that nobody is there */
	errand_await_end();
	_exit(0);
}

static void start_errands(int limit_fd, const int *channels, unsigned n)
{
	if (fork() == 0) {
		close(SOCKET_FD);
		if (limit_fd >= 0)
			close(limit_fd);
		run_errands(channels, n);
	}
	for (unsigned i = 0; i < n; i++)
		close(channels[i]);
}

static void serve(char *mountpoint)
{
	struct order order;
	int limit_fd = -1, fds[ERRAND_CHANNELS];
	unsigned n_fds;
	dev_t dev = 0;

	for (;;) {
		ssize_t n = rights_receive(SOCKET_FD, &order, sizeof(order), fds, ERRAND_CHANNELS,
					   &n_fds, NULL, 0);
		int32_t result;

		if (n <= 0)
			break;
		while (waitpid(-1, NULL, WNOHANG) > 0) /* those who ran errands */
			;
		if (n_fds)
			start_errands(limit_fd, fds, n_fds);
		if (n != sizeof(order))
			continue;
		if (order.kind == STEWARD_WATCH && !dev) {
			dev = (dev_t)order.dev;
			limit_fd = open_limit(dev);
		}
		if (order.kind == STEWARD_LIMIT)
			set_limit(limit_fd, order.limit);
		if (order.kind != STEWARD_UNMOUNT)
			continue;
		result = unmount(mountpoint, dev);
		send(SOCKET_FD, &result, sizeof(result), MSG_NOSIGNAL);
	}
}

/* ---- for the others ---- */

int steward_start(const char *mountpoint, int *ret_fd)
{
	int ends[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -errno;
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_NAME, "fuseband-admin");
		leave_everything(ends[1]);
		settle_in_memory();
		privilege_drop(PRIVILEGE_STEWARD);
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

void steward_watch(int fd, dev_t dev)
{
	struct order order = {.kind = STEWARD_WATCH, .dev = dev};

	if (fd >= 0)
		send(fd, &order, sizeof(order), MSG_NOSIGNAL);
}

int steward_limit(int fd, unsigned limit)
{
	struct order order = {.kind = STEWARD_LIMIT, .limit = limit};

	if (fd < 0)
		return -EPIPE;
	return send(fd, &order, sizeof(order), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

int steward_errands(int fd, const int *channels, unsigned n)
{
	struct order order = {.kind = STEWARD_ERRANDS};
	struct pollfd pfd = {.fd = fd, .events = POLLOUT};
	int r;

	if (fd < 0)
		return -EPIPE;
	if (n > ERRAND_CHANNELS)
		return -E2BIG;
	r = rights_send(fd, &order, sizeof(order), channels, n, MSG_DONTWAIT);
	/* behind a burst of limits: whoever is without errands is so for all its life */
	if (r == -EAGAIN && poll(&pfd, 1, ERRANDS_WAIT_MS) == 1)
		r = rights_send(fd, &order, sizeof(order), channels, n, MSG_DONTWAIT);
	return r;
}

int steward_unmount(int fd)
{
	struct order order = {.kind = STEWARD_UNMOUNT};
	int32_t result;
	ssize_t n;

	if (fd < 0 || send(fd, &order, sizeof(order), MSG_NOSIGNAL) < 0)
		return -EPIPE;
	do
		n = recv(fd, &result, sizeof(result), 0);
	while (n < 0 && errno == EINTR);
	return n == sizeof(result) ? result : -EPIPE;
}
