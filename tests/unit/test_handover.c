/* SPDX-License-Identifier: MIT */
/*
 * Unit tests of handover.h. The other program is this one, started by handover_spawn(): it says
 * what it got through the link that it got.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "handover.h"
#include "memfd.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

static char config[] = "/etc/ioband.ini", config_path[] = "/etc/fuseband/ioband.ini",
	    mountpoint[] = "/mnt/ioband", options[] = "allow_other", pidfile[] = "/run/x.pid",
	    program[] = "/usr/sbin/fuseband", name[] = "test_handover";
static char *arguments[] = {name, NULL};
static struct supervise_setup setup_given;
static struct handover given;
static int other_end; /* of given.active.link */
static unsigned descriptors;

static void fill(struct handover *state, struct supervise_setup *supervise)
{
	*supervise = (struct supervise_setup){
		.serve = {.config = config,
			  .config_path = config_path,
			  .mountpoint = mountpoint,
			  .mount_options = options,
			  .debug = true},
		.argv = arguments,
		.foreground = true,
		.pidfile_path = pidfile,
	};
	*state = (struct handover){.setup = supervise, .program = program, .upgrading = true};
}

static int setup(void **state)
{
	struct link_message claims = {.kind = LINK_CLAIM, .n_ids = 1, .n_fds = 1, .ids = {7}};
	int ends[2];

	(void)state;
	descriptors = open_descriptors();
	fill(&given, &setup_given);
	setup_given.pidfile_fd = memfd_of("1\n", 2);
	given.old_program = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	if (link_pair(ends) || estate_create(&given.estate))
		return -1;
	given.estate.owner = true;
	claims.fds[0] = memfd_of("claim", 5);
	given.active = (struct child){.pid = getpid(), .link = ends[0], .ready = true};
	given.active.pidfd = pidfd_open(getpid(), 0);
	given.standby = (struct child){.pid = 77,
				       .link = fcntl(ends[1], F_DUPFD_CLOEXEC, 3),
				       .pidfd = pidfd_open(getpid(), 0)};
	other_end = ends[1];
	return estate_apply(&given.estate, &claims);
}

static int teardown(void **state)
{
	(void)state;
	estate_free(&given.estate);
	close(setup_given.pidfile_fd);
	close(given.old_program);
	close(given.active.link);
	close(given.active.pidfd);
	close(given.standby.link);
	close(given.standby.pidfd);
	close(other_end);
	assert_int_equal(open_descriptors(), descriptors);
	return 0;
}

/* ---- the other program ---- */

static void free_received(struct handover *state)
{
	struct serve_setup *serve = &state->setup->serve;

	free(state->program);
	free((char *)(uintptr_t)serve->config);
	free(serve->config_path);
	free(serve->mountpoint);
	free((char *)(uintptr_t)serve->mount_options);
	free(state->setup->pidfile_path);
}

static bool is(const char *got, const char *wanted)
{
	return got && !strcmp(got, wanted);
}

/* The first thing that is not what it was, or 0. */
static int find_difference(const struct handover *got, int parent)
{
	const struct serve_setup *serve = &got->setup->serve;
	char byte;

	return !is(got->program, program)					  ? 1
	       : !is(serve->config, config)					  ? 2
	       : !is(serve->config_path, config_path)				  ? 3
	       : !is(serve->mountpoint, mountpoint)				  ? 4
	       : !is(serve->mount_options, options)				  ? 5
	       : !serve->debug || !got->setup->foreground			  ? 6
	       : !is(got->setup->pidfile_path, pidfile)				  ? 7
	       : pread(got->setup->pidfile_fd, &byte, 1, 0) != 1 || byte != '1'	  ? 8
	       : !got->upgrading || !is_open(got->old_program)			  ? 9
	       : got->active.pid != parent || !got->active.ready		  ? 10
	       : got->active.ours						  ? 11
	       : !got->estate.owner || got->estate.n_claims != 1		  ? 12
	       : got->estate.claims[0].id != 7					  ? 13
	       : pread(got->estate.claims[0].fd, &byte, 1, 0) != 1 || byte != 'c' ? 14
	       : got->estate.keep->turns != 5					  ? 15
	       : !(fcntl(got->estate.claims[0].fd, F_GETFD) & FD_CLOEXEC)	  ? 16
	       : !(fcntl(got->active.link, F_GETFD) & FD_CLOEXEC)		  ? 17
	       : got->standby.pid != 77 || !is_open(got->standby.pidfd)		  ? 18
	       : !is_open(got->standby.link) || got->standby.ours		  ? 19
										  : 0;
}

static int other_program(const char *resume)
{
	struct link_message message = {.kind = LINK_FAREWELL, .n_fds = 1};
	struct supervise_setup supervise = {.argv = arguments};
	struct handover got = {.setup = &supervise};
	int fd = atoi(resume), copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	int r = handover_receive(fd, &got);

	if (r)
		return 1;
	message.value = find_difference(&got, getppid());
	message.fds[0] = copy; /* what it was told, for the tests of what is torn */
	r = link_send(got.active.link, &message);
	estate_free(&got.estate);
	free_received(&got);
	return r != 0;
}

/* ---- the tests ---- */

/* What the other program was told; close it. */
static int spawned(void)
{
	struct link_message answer = {0};
	struct pollfd pfd = {.fd = other_end, .events = POLLIN};

	given.estate.keep->turns = 5;
	assert_int_equal(handover_spawn(&given), 0);
	assert_int_equal(poll(&pfd, 1, 20000), 1);
	assert_int_equal(link_receive(other_end, true, &answer), 0);
	assert_int_equal(answer.kind, LINK_FAREWELL);
	assert_int_equal(answer.value, 0);
	assert_int_equal(answer.n_fds, 1);
	while (waitpid(-1, NULL, 0) > 0)
		;
	return answer.fds[0];
}

/* Everything arrives, and here nothing has changed. */
static void test_spawn(void **state)
{
	(void)state;
	setenv(SUPERVISE_RESUME, "12345", 1); /* of when we were started so ourselves */
	close(spawned());
	unsetenv(SUPERVISE_RESUME);
	assert_true(fcntl(given.active.link, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(given.estate.claims[0].fd, F_GETFD) & FD_CLOEXEC);
}

/* A descriptor that is not there: nothing is started with another one in its place. */
static void test_spawn_fails(void **state)
{
	int claim = given.estate.claims[0].fd;

	(void)state;
	given.estate.claims[0].fd = 100000;
	assert_int_equal(handover_spawn(&given), -EBADF);
	given.estate.claims[0].fd = claim;
	assert_int_equal(waitpid(-1, NULL, 0), -1);
}

/* Everything is as before. */
static void test_execute_fails(void **state)
{
	int folder = open("/tmp", O_PATH | O_CLOEXEC), claim = given.estate.claims[0].fd;

	(void)state;
	assert_int_equal(handover_execute(&given, folder), -EACCES);
	assert_true(fcntl(given.active.link, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(claim, F_GETFD) & FD_CLOEXEC);
	given.estate.claims[0].fd = 100000;
	assert_int_equal(handover_execute(&given, folder), -EBADF);
	given.estate.claims[0].fd = claim;
	assert_true(fcntl(given.estate.keep_fd, F_GETFD) & FD_CLOEXEC);
	assert_null(getenv(SUPERVISE_RESUME));
	close(folder);
}

/* It becomes the program: in a child, which is another one then. */
static void test_execute(void **state)
{
	struct link_message answer = {0};
	pid_t pid;

	(void)state;
	given.estate.keep->turns = 5;
	pid = fork();
	if (pid == 0) {
		given.active.pid = getppid();
		handover_execute(&given, given.old_program);
		_exit(99);
	}
	assert_int_equal(link_receive(other_end, true, &answer), 0);
	assert_int_equal(answer.value, 0);
	link_close_fds(&answer);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Cut off anywhere, or of another version. */
static void test_torn(void **state)
{
	size_t size;
	int whole = spawned();
	unsigned char *bytes = bytes_of(whole, &size);

	(void)state;
	close(whole);
	for (size_t n = 0; n <= size; n++) {
		int fd;

		bytes[0] = n == size ? KEEP_VERSION + 1 : KEEP_VERSION;
		fd = memfd_of(bytes, n);
		struct supervise_setup supervise = {.argv = arguments};
		struct handover got = {.setup = &supervise};
		unsigned before = open_descriptors();

		assert_int_equal(handover_receive(fd, &got), -EPROTO);
		assert_int_equal(open_descriptors(), before);
		assert_null(got.estate.claims);
		free_received(&got);
		close(fd);
	}
	free(bytes);
	assert_true(is_open(given.active.link)); /* whatever numbers they were */
}

static void says(const char *script, long version)
{
	char path[] = "/tmp/test_handover.XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, script, strlen(script)), strlen(script));
	assert_int_equal(fchmod(fd, 0700), 0);
	close(fd);
	assert_int_equal(handover_version_of(path), version);
	unlink(path);
}

static void test_version_of(void **state)
{
	(void)state;
	says("#!/bin/sh\n[ \"$*\" = --version ] && echo 'fuseband 1.2 (state 34)'\n", 34);
	says("#!/bin/sh\necho 'fuseband 1.2'\n", -1);
	says("#!/bin/sh\necho 'state 3'; exit 1\n", -1);
	says("#!/bin/sh\n", -1);
	says("no program at all", -1);
	assert_int_equal(handover_version_of("/tmp/there/is/nothing"), -1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_spawn),   TEST(test_spawn_fails), TEST(test_execute_fails),
		TEST(test_execute), TEST(test_torn),	    TEST(test_version_of),
	};
	const char *resume = getenv(SUPERVISE_RESUME);

	if (resume)
		return other_program(resume);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
