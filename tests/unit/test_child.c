/* SPDX-License-Identifier: MIT */
/* Unit tests of child.h, with processes that run, stand still, end and cannot end. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "child.h"
#include "memfd.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define NOBODY 0x7ffffff0 /* no process has that number: as if /proc hid it */

static struct child child;
static unsigned descriptors;

static int setup(void **state)
{
	(void)state;
	child = CHILD_NONE;
	descriptors = open_descriptors();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	child_forget(&child);
	assert_int_equal(open_descriptors(), descriptors);
	return 0;
}

/* A process that ends with this status, or never. */
static void start(int status)
{
	pid_t pid = fork();

	if (pid == 0) {
		while (status < 0)
			pause();
		_exit(status);
	}
	assert_true(pid > 0);
	child = (struct child){.pid = pid, .link = -1, .ours = true};
	child.pidfd = pidfd_open(pid, 0);
	assert_true(child.pidfd >= 0);
}

static void send_signal(int signo)
{
	assert_int_equal(pidfd_send_signal(child.pidfd, signo, NULL, 0), 0);
}

/* Until its parent could be told. */
static void wait_until(int what)
{
	siginfo_t info;

	assert_int_equal(waitid(P_PIDFD, (id_t)child.pidfd, &info, what | WNOWAIT), 0);
}

static void kill_and_bury(void)
{
	siginfo_t info;

	send_signal(SIGKILL);
	info = child_bury(&child);
	assert_int_equal(info.si_code, CLD_KILLED);
}

/* ---- what it does ---- */

static void test_stopped(void **state)
{
	(void)state;
	start(-1);
	assert_int_equal(child_state(&child), CHILD_RUNS);
	send_signal(SIGSTOP);
	wait_until(WSTOPPED);
	assert_int_equal(child_state(&child), CHILD_STOPPED);
	assert_int_equal(child_state(&child), CHILD_STOPPED); /* however often it is asked */
	send_signal(SIGCONT);
	wait_until(WCONTINUED);
	assert_int_equal(child_state(&child), CHILD_RUNS);
	kill_and_bury();
}

/* It grows while its first thread does something, and does not while that sleeps. */
static void test_switches(void **state)
{
	uint64_t before = 0, now = 0;
	int ends[2];
	char byte = 0;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	child.pid = fork();
	if (child.pid == 0)
		while (read(ends[0], &byte, 1) == 1)
			;
	assert_true(child.pid > 0);
	child.pidfd = pidfd_open(child.pid, 0);
	child.ours = true;
	do {
		before = now;
		usleep(20000);
		assert_int_equal(child_switches(&child, &now), 0);
	} while (now != before || !now);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(write(ends[1], &byte, 1), 1);
		do
			assert_int_equal(child_switches(&child, &now), 0);
		while (now == before);
		before = now;
	}
	close(ends[0]);
	close(ends[1]);
	kill_and_bury();
	child.pid = NOBODY;
	assert_int_equal(child_switches(&child, &now), -ESRCH);
}

static int wait_with_parent(void *arg)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == *(pid_t *)arg) /* it may have been dead before that */
		pause();
	return 0;
}

/* As for a disk it waits for another: until that has called exec() or ended. */
static void test_waits(void **state)
{
	static char stack[65536] __attribute__((aligned(16)));
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		pid = getpid();
		_exit(clone(wait_with_parent, stack + sizeof(stack),
			    CLONE_VM | CLONE_VFORK | SIGCHLD, &pid) < 0);
	}
	child = (struct child){.pid = pid, .link = -1, .ours = true};
	child.pidfd = pidfd_open(pid, 0);
	while (child_state(&child) != CHILD_WAITS)
		;
	kill_and_bury();
}

/* Where /proc does not say anything of it. */
static void test_hidden(void **state)
{
	(void)state;
	start(-1);
	child.pid = NOBODY;
	assert_int_equal(child_state(&child), CHILD_RUNS);
	send_signal(SIGSTOP);
	wait_until(WSTOPPED);
	assert_int_equal(child_state(&child), CHILD_STOPPED);
	send_signal(SIGCONT);
	wait_until(WCONTINUED);
	assert_int_equal(child_state(&child), CHILD_RUNS);
	kill_and_bury();
}

/* The child of a child that is dead, of which /proc alone tells. */
static void test_adopted(void **state)
{
	siginfo_t info;
	char text[80];
	int ends[2];
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		pid = fork();
		if (pid == 0)
			for (;;)
				pause();
		_exit(write(ends[1], &pid, sizeof(pid)) != sizeof(pid));
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(read(ends[0], &pid, sizeof(pid)), sizeof(pid));
	close(ends[0]);
	close(ends[1]);
	child = (struct child){.pid = pid, .link = -1};
	child.pidfd = pidfd_open(pid, 0);
	assert_false(child_is_ours(&child));
	assert_int_equal(child_state(&child), CHILD_RUNS);
	send_signal(SIGSTOP);
	while (child_state(&child) != CHILD_STOPPED)
		;
	send_signal(SIGKILL);
	info = child_bury(&child);
	assert_string_equal(child_end(&info, text, sizeof(text)), "died");
	assert_false(child_ended_by_itself(&info));
}

static void *wait_for_ever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/* One that is dead but for a thread. */
static void test_ends(void **state)
{
	pid_t pid = fork();
	pthread_t thread;

	(void)state;
	if (pid == 0) {
		if (pthread_create(&thread, NULL, wait_for_ever, NULL))
			_exit(1);
		pthread_exit(NULL);
	}
	child = (struct child){.pid = pid, .link = -1, .ours = true};
	child.pidfd = pidfd_open(pid, 0);
	while (child_state(&child) != CHILD_ENDS)
		;
	kill_and_bury();
}

/* ---- how it ended ---- */

static void ended(const char *wanted, bool by_itself)
{
	siginfo_t info;
	char text[80];

	assert_true(child_is_ours(&child));
	info = child_bury(&child);
	assert_string_equal(child_end(&info, text, sizeof(text)), wanted);
	assert_int_equal(child_ended_by_itself(&info), by_itself);
	assert_false(child_is_ours(&child));
	child_forget(&child);
}

static void test_end(void **state)
{
	(void)state;
	assert_false(child_is_ours(&child));
	start(3);
	ended("ended with status 3", true);
	start(-1);
	send_signal(SIGKILL);
	ended("was killed by signal 9 (Killed)", false);
	start(-1);
	send_signal(SIGTERM);
	ended("was killed by signal 15 (Terminated)", true);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_stopped), TEST(test_switches), TEST(test_waits), TEST(test_hidden),
		TEST(test_adopted), TEST(test_ends),	 TEST(test_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
