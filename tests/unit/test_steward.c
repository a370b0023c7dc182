/* SPDX-License-Identifier: MIT */
/*
 * steward.h: what it is told and what becomes of it. Real mounts: tests/e2e/privilege.sh. poll() is
 * replaced: who waits in it can have the one that stands still go on.
 */
#include "errand.h"
#include "keep.h"
#include "steward.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define NO_MOUNT "/nowhere/at/all"

static int start(const char *mountpoint)
{
	int fd = -1;

	assert_int_equal(steward_start(mountpoint, &fd), 0);
	assert_true(fd >= 0);
	return fd;
}

/* Closed, it ends, with status 0. */
static void ends(int fd)
{
	int status;

	close(fd);
	assert_true(wait(&status) > 0);
	assert_int_equal(status, 0);
}

static void nobody(void **state)
{
	(void)state;
	steward_watch(-1, 1);
	assert_int_equal(steward_limit(-1, 10), -EPIPE);
	assert_int_equal(steward_unmount(-1), -EPIPE);
}

static void ends_with_the_last(void **state)
{
	int fd = start(NO_MOUNT), copy = dup(fd);
	struct pollfd pfd = {.fd = copy, .events = POLLIN};

	(void)state;
	close(fd);
	assert_int_equal(poll(&pfd, 1, 50), 0); /* somebody has a copy */
	ends(copy);
}

/* What is not there (any more) needs no unmounting; what is somebody else's is left alone. */
static void not_there(void **state)
{
	int fd = start("/proc");

	(void)state;
	steward_watch(fd, makedev(0, 4095));
	assert_int_equal(steward_unmount(fd), 0);
	assert_int_equal(access("/proc/self/stat", F_OK), 0);
	ends(fd);
}

/* Orders for a limit that cannot be set have no effect, and none stops what comes after. */
static void no_limit(void **state)
{
	int fd = start(NO_MOUNT);

	(void)state;
	assert_int_equal(steward_limit(fd, 100), 0);
	steward_watch(fd, makedev(0, 4095));
	assert_int_equal(steward_limit(fd, 0), 0);
	assert_int_equal(steward_limit(fd, 100), 0);
	steward_watch(fd, 0);
	assert_int_equal(steward_unmount(fd), 0);
	ends(fd);
}

static int stopped_pid; /* who goes on when somebody waits; 0: nobody */

int __real_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	if (stopped_pid)
		assert_int_equal(kill(stopped_pid, SIGCONT), 0);
	stopped_pid = 0;
	return __real_poll(fds, n, timeout_ms);
}

static int only_child(void)
{
	FILE *children = fopen("/proc/thread-self/children", "re");
	int pid = 0;

	assert_non_null(children);
	assert_int_equal(fscanf(children, "%d", &pid), 1);
	fclose(children);
	return pid;
}

/* It stands still, and there is no room for another order. Returns its process id. */
static int fill(int fd)
{
	int pid = only_child(), r = 0;
	siginfo_t info;

	steward_watch(fd, makedev(0, 4095));
	assert_int_equal(steward_unmount(fd), 0); /* it listens */
	assert_int_equal(kill(pid, SIGSTOP), 0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WSTOPPED), 0);
	for (unsigned i = 0; i < 100000 && !r; i++)
		r = steward_limit(fd, i + 1);
	assert_int_equal(r, -EAGAIN);
	return pid;
}

/* Nobody waits for one that does nothing, except who wants to unmount. */
static void slow(void **state)
{
	int fd = start(NO_MOUNT), pid = fill(fd);
	siginfo_t info;

	(void)state;
	assert_int_equal(kill(pid, SIGCONT), 0);
	assert_int_equal(steward_unmount(fd), 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED), 0);
	assert_int_equal(steward_limit(fd, 1), -EPIPE);
	assert_int_equal(steward_unmount(fd), -EPIPE);
	close(fd);
}

/* A process that does what comes from a channel, until that is closed. */
static void errands(void **state)
{
	int fd = start(NO_MOUNT), channel[2];
	struct pollfd pfd = {.events = POLLIN};
	struct errand_result result;
	FILE *file = tmpfile();

	(void)state;
	assert_int_equal(steward_errands(-1, &fd, 1), -EPIPE);
	assert_int_equal(errand_channel(channel), 0);
	assert_int_equal(steward_errands(fd, &channel[1], 1), 0);
	close(channel[1]);
	assert_int_equal(errand_send(channel[0], &(struct errand){.id = 9, .kind = ERRAND_FLUSH},
				     fileno(file)),
			 0);
	pfd.fd = channel[0];
	assert_int_equal(poll(&pfd, 1, 20000), 1);
	assert_int_equal(errand_receive(channel[0], &result), 0);
	assert_int_equal(result.id, 9);
	assert_int_equal(result.value, 0);
	fclose(file);
	ends(fd); /* without it: that one serves whoever has the channel */
	assert_int_equal(errand_send(channel[0], &(struct errand){.kind = ERRAND_FLUSH}, 0), 0);
	assert_int_equal(poll(&pfd, 1, 20000), 1);
	close(channel[0]);
}

/* Who needs them for all its life waits for a while. */
static void errands_after_many(void **state)
{
	int fd = start(NO_MOUNT), channel[2], pid = fill(fd);
	struct pollfd pfd = {.events = POLLIN};
	struct errand_result result;

	(void)state;
	assert_int_equal(errand_channel(channel), 0);
	assert_int_equal(steward_errands(-1, &channel[1], 1), -EPIPE);
	assert_int_equal(steward_errands(fd, &channel[1], 1), -EAGAIN);
	stopped_pid = pid;
	assert_int_equal(steward_errands(fd, &channel[1], 1), 0);
	close(channel[1]);
	assert_int_equal(errand_send(channel[0], &(struct errand){.kind = 99}, fd), 0);
	pfd.fd = channel[0];
	assert_int_equal(poll(&pfd, 1, 20000), 1);
	assert_int_equal(errand_receive(channel[0], &result), 0);
	assert_int_equal(result.value, -EINVAL);
	close(channel[0]);
	ends(fd);
}

static void orders(int fd, const void *bytes, size_t n)
{
	char got[64];

	assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT), n);
	assert_memory_equal(got, bytes, n);
}

/*
 * A new data path gives orders to the one of the program before: whoever changes them, or those of
 * errand.h, changes KEEP_VERSION, too.
 */
static void layout(void **state)
{
	struct {
		uint32_t kind, limit;
		uint64_t dev;
	} watch = {1, 0, makedev(0, 77)}, limit = {2, 9, 0}, unmount = {3, 0, 0},
	  errands = {4, 0, 0};
	int pair[2];

	(void)state;
	assert_int_equal(KEEP_VERSION, 8);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	steward_watch(pair[0], makedev(0, 77));
	orders(pair[1], &watch, 16);
	assert_int_equal(steward_limit(pair[0], 9), 0);
	orders(pair[1], &limit, 16);
	assert_int_equal(steward_errands(pair[0], pair, 2), 0);
	orders(pair[1], &errands, 16);
	assert_int_equal(send(pair[1], &(int32_t){-EPERM}, 4, 0), 4);
	assert_int_equal(steward_unmount(pair[0]), -EPERM);
	orders(pair[1], &unmount, 16);
	close(pair[0]);
	close(pair[1]);
	assert_int_equal(ERRAND_FLUSH, 0);
	assert_int_equal(ERRAND_FALLOCATE, 1);
	assert_int_equal(ERRAND_SEEK, 2);
	assert_int_equal(ERRAND_CHANNELS, 64);
	assert_true(ERRAND_LATER == INT64_MIN);
	assert_int_equal(sizeof(struct errand), 32);
	assert_int_equal(offsetof(struct errand, pos_bytes), 8);
	assert_int_equal(offsetof(struct errand, len_bytes), 16);
	assert_int_equal(offsetof(struct errand, kind), 24);
	assert_int_equal(offsetof(struct errand, mode), 28);
	assert_int_equal(sizeof(struct errand_result), 16);
	assert_int_equal(offsetof(struct errand_result, value), 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody),
		cmocka_unit_test(ends_with_the_last),
		cmocka_unit_test(not_there),
		cmocka_unit_test(no_limit),
		cmocka_unit_test(slow),
		cmocka_unit_test(errands),
		cmocka_unit_test(errands_after_many),
		cmocka_unit_test(layout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
