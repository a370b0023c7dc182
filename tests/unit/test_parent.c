/* SPDX-License-Identifier: MIT */
/* Unit tests of parent.h: this process is both who serves and its parents, by the other end. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "logged.h"
#include "memfd.h"
#include "parent.h"

#include <errno.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static struct serve_setup serve_setup;
static struct parent parent;
static int parent_end;
static unsigned descriptors;

/* What becomes of those that are started. */
static unsigned started;
static enum { LIVES, DIES, FAILS } next_one;

static int start_another(const struct heir *heir, void *data)
{
	int ends[2];

	assert_ptr_equal(heir, &parent.bequest.heir);
	assert_ptr_equal(data, &serve_setup);
	started++;
	if (next_one == FAILS)
		return -ENOENT;
	assert_int_equal(link_pair(ends), 0);
	if (next_one == DIES)
		close(ends[0]);
	else
		parent_end = ends[0];
	return ends[1];
}

static int setup(void **state)
{
	int ends[2];

	(void)state;
	descriptors = open_descriptors();
	logged[0] = '\0';
	started = 0;
	next_one = LIVES;
	serve_setup = (struct serve_setup){.orphaned = start_another, .data = &serve_setup};
	if (serve_block_signals(&serve_setup.signal_fd) || link_pair(ends))
		return -1;
	parent_end = ends[0];
	serve_setup.link = ends[1];
	parent = (struct parent){.setup = &serve_setup,
				 .bequest = {.link = ends[1], .heir = HEIR_NONE}};
	return 0;
}

static void dies(void)
{
	close(parent_end);
	parent_end = -1;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(parent_next_signal(&parent), 0);
	heir_dismiss(&parent.bequest.heir);
	if (parent.bequest.link >= 0)
		close(parent.bequest.link);
	if (parent_end >= 0)
		close(parent_end);
	close(serve_setup.signal_fd);
	assert_int_equal(open_descriptors(), descriptors);
	return 0;
}

static void get_signal(int signo)
{
	assert_int_equal(kill(getpid(), signo), 0);
}

static void parent_is_told(enum link_kind kind, int value)
{
	struct link_message got;

	assert_int_equal(link_receive(parent_end, false, &got), 0);
	assert_int_equal(got.kind, kind);
	assert_int_equal(got.value, value);
}

/* ---- signals ---- */

static void test_signals(void **state)
{
	(void)state;
	assert_int_equal(parent_next_signal(&parent), 0);
	/* ours are the parent's to decide on */
	get_signal(SIGHUP);
	assert_int_equal(parent_next_signal(&parent), 0);
	parent_is_told(LINK_SIGNAL, SIGHUP);
	assert_int_equal(link_say(parent_end, LINK_SIGNAL, SIGHUP), 0);
	assert_int_equal(link_say(parent_end, LINK_SIGNAL, SIGTERM), 0);
	assert_int_equal(parent_next_signal(&parent), SIGHUP);
	assert_int_equal(parent_next_signal(&parent), SIGTERM);
	assert_int_equal(parent_next_signal(&parent), 0);
	/* those that came with an answer that was waited for */
	parent.bequest.signals = 1U << SIGUSR1 | 1U << SIGHUP;
	assert_int_equal(parent_next_signal(&parent), SIGHUP);
	assert_int_equal(parent_next_signal(&parent), SIGUSR1);
	assert_string_equal(logged, "");
}

static void test_wait(void **state)
{
	(void)state;
	parent_wait(&parent, -1, 0); /* does not */
	get_signal(SIGUSR1);
	parent_wait(&parent, -1, -1);
	assert_int_equal(parent_next_signal(&parent), 0);
	assert_int_equal(link_say(parent_end, LINK_SIGNAL, SIGUSR1), 0);
	parent_wait(&parent, -1, -1);
	assert_int_equal(parent_next_signal(&parent), SIGUSR1);
	parent_wait(&parent, parent.bequest.link, 0);
}

/* ---- its death ---- */

static void is_another_one(unsigned n)
{
	assert_int_equal(started, n);
	assert_true(parent.bequest.link >= 0);
	assert_int_equal(serve_setup.link, parent.bequest.link);
	has_logged("the parent process is dead: another one takes its place");
}

static void test_death(void **state)
{
	(void)state;
	/* with a last word */
	assert_int_equal(link_say(parent_end, LINK_SIGNAL, SIGHUP), 0);
	dies();
	assert_int_equal(parent_next_signal(&parent), SIGHUP);
	assert_int_equal(parent_next_signal(&parent), 0);
	is_another_one(1);
	/* one that could not be told of a signal */
	dies();
	get_signal(SIGTERM);
	assert_int_equal(parent_next_signal(&parent), SIGTERM);
	is_another_one(2);
	/* and said one itself before */
	assert_int_equal(link_say(parent_end, LINK_SIGNAL, SIGUSR1), 0);
	dies();
	get_signal(SIGHUP);
	assert_int_equal(parent_next_signal(&parent), SIGHUP);
	assert_int_equal(parent_next_signal(&parent), SIGUSR1);
	is_another_one(3);
}

static void is_alone(void)
{
	assert_int_equal(parent.bequest.link, -1);
	assert_int_equal(serve_setup.link, -1);
}

static void test_irreplaceable(void **state)
{
	(void)state;
	next_one = FAILS;
	dies();
	parent_wait(&parent, -1, -1);
	assert_int_equal(parent_next_signal(&parent), 0);
	is_alone();
	has_logged("cannot be replaced (No such file or directory): a crash would end the mount;");
	/* we decide */
	get_signal(SIGTERM);
	parent_wait(&parent, -1, -1);
	assert_int_equal(parent_next_signal(&parent), SIGTERM);
	assert_int_equal(parent_next_signal(&parent), 0);
	assert_int_equal(started, 1);
	assert_string_equal(logged, "");
}

/* One after the other: it is tried a hundred times, unless one lives longer than a moment. */
static void test_short_lives(void **state)
{
	(void)state;
	next_one = DIES;
	dies();
	while (parent.bequest.link >= 0)
		assert_int_equal(parent_next_signal(&parent), 0);
	assert_true(started >= 100);
	is_alone();
	has_logged("cannot be replaced (Resource temporarily unavailable)");
}

/* ---- who stands by then ---- */

static pid_t stands_by(int *ret_end)
{
	pid_t pid = fork();
	int ends[2];

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(parent_end); /* or it would not end with the parent */
		for (;;)
			pause();
	}
	assert_int_equal(link_pair(ends), 0);
	parent.bequest.heir =
		(struct heir){.pid = pid, .pidfd = pidfd_open(pid, 0), .link = ends[0]};
	*ret_end = ends[1];
	return pid;
}

static void test_heir_dies(void **state)
{
	int end;
	pid_t pid = stands_by(&end);

	(void)state;
	next_one = FAILS;
	dies();
	parent_wait(&parent, -1, -1);
	assert_int_equal(parent_next_signal(&parent), 0);
	has_logged(
		"a crash would be survived once, by the standby, until a reload; start it again");
	parent_wait(&parent, -1, 0);
	assert_string_equal(logged, "");
	assert_int_equal(kill(pid, SIGKILL), 0);
	parent_wait(&parent, -1, -1);
	has_logged("the standby is gone, and there is no parent to start another one");
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	parent_wait(&parent, -1, 0);
	assert_string_equal(logged, "");
	close(end);
}

/* It is told to end, as there is something that it does not know. */
static void test_heir_is_dismissed(void **state)
{
	struct link_message got;
	int end;
	pid_t pid = stands_by(&end);

	(void)state;
	parent_miss_heir(&parent); /* the parent starts another one */
	assert_string_equal(logged, "");
	next_one = FAILS;
	dies();
	parent_wait(&parent, -1, -1);
	assert_int_equal(parent_next_signal(&parent), 0);
	has_logged("a crash would be survived once");
	heir_dismiss(&parent.bequest.heir);
	parent_miss_heir(&parent);
	has_logged("the standby is gone");
	assert_int_equal(link_receive(end, false, &got), 0);
	assert_int_equal(got.kind, LINK_END);
	close(end);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_signals),	      TEST(test_wait),	      TEST(test_death),
		TEST(test_irreplaceable),     TEST(test_short_lives), TEST(test_heir_dies),
		TEST(test_heir_is_dismissed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
