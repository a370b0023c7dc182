/* SPDX-License-Identifier: MIT */
/*
 * Unit tests of link.h: what is sent arrives, and what is no message leaves nothing behind.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "link.h"
#include "memfd.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define HEAD_BYTES offsetof(struct link_message, ids)

static int ends[2];
static unsigned descriptors;

static int setup(void **state)
{
	(void)state;
	descriptors = open_descriptors();
	return link_pair(ends);
}

static int teardown(void **state)
{
	(void)state;
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(open_descriptors(), descriptors);
	return 0;
}

/* Nothing more than the two ends is open. */
static void nothing_left(void)
{
	assert_int_equal(open_descriptors(), descriptors + 2);
}

/* ---- what is sent arrives ---- */

static void test_pair(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++)
		assert_true(fcntl(ends[i], F_GETFD) & FD_CLOEXEC);
}

static void test_say(void **state)
{
	struct link_message got;

	(void)state;
	assert_int_equal(link_receive(ends[1], false, &got), -EAGAIN);
	assert_int_equal(link_say(ends[0], LINK_READY, 0), 0);
	assert_int_equal(link_say(ends[0], LINK_FAREWELL, -7), 0);
	assert_int_equal(link_receive(ends[1], false, &got), 0);
	assert_int_equal(got.kind, LINK_READY);
	assert_int_equal(got.n_ids + got.n_fds, 0);
	assert_int_equal(link_receive(ends[1], true, &got), 0);
	assert_int_equal(got.kind, LINK_FAREWELL);
	assert_int_equal(got.value, -7);
	assert_int_equal(link_receive(ends[1], false, &got), -EAGAIN);
	/* and the other way */
	assert_int_equal(link_say(ends[1], LINK_GO, 0), 0);
	assert_int_equal(link_receive(ends[0], true, &got), 0);
	assert_int_equal(got.kind, LINK_GO);
}

/* Any number of ids and descriptors up to the most, in their order. */
static void test_send(void **state)
{
	static const uint32_t numbers[][2] = {
		{0, 1}, {1, 0}, {1, 1}, {2, 1}, {LINK_FDS, 0}, {0, LINK_FDS}, {LINK_FDS, LINK_FDS}};
	int files[2] = {memfd_of("a", 1), memfd_of("b", 1)};
	struct link_message got;

	(void)state;
	for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++) {
		struct link_message sent = {.kind = LINK_CLAIM,
					    .value = (int)n,
					    .n_ids = numbers[n][0],
					    .n_fds = numbers[n][1]};

		for (uint32_t i = 0; i < LINK_FDS; i++) {
			sent.ids[i] = i < sent.n_ids ? UINT64_MAX - i : 12345;
			sent.fds[i] = i < sent.n_fds ? files[i * i % 3 % 2] : -1;
		}
		assert_int_equal(link_send(ends[0], &sent), 0);
		assert_int_equal(link_receive(ends[1], false, &got), 0);
		assert_int_equal(got.kind, LINK_CLAIM);
		assert_int_equal(got.value, n);
		assert_int_equal(got.n_ids, sent.n_ids);
		assert_int_equal(got.n_fds, sent.n_fds);
		assert_memory_equal(got.ids, sent.ids, sent.n_ids * sizeof(sent.ids[0]));
		for (uint32_t i = 0; i < got.n_fds; i++) {
			assert_int_not_equal(got.fds[i], sent.fds[i]);
			assert_true(is_same(got.fds[i], sent.fds[i]));
			assert_true(fcntl(got.fds[i], F_GETFD) & FD_CLOEXEC);
		}
		link_close_fds(&got);
		assert_int_equal(got.n_fds, 0);
		link_close_fds(&got); /* of none */
		assert_int_equal(open_descriptors(), descriptors + 4);
	}
	close(files[0]);
	close(files[1]);
}

/* ---- the other one dies ---- */

/* What it has sent before is there to be read; then comes the end, again and again. */
static void test_last_words(void **state)
{
	struct link_message got;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		int fd = memfd_create("left", MFD_CLOEXEC);
		struct link_message message = {.kind = LINK_ACCEPTED, .n_fds = 1, .fds = {fd}};

		_exit(link_send(ends[0], &message) || link_say(ends[0], LINK_FAREWELL, 3));
	}
	close(ends[0]);
	assert_int_equal(link_receive(ends[1], true, &got), 0);
	assert_int_equal(got.kind, LINK_ACCEPTED);
	assert_int_equal(got.n_fds, 1);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(is_open(got.fds[0]));
	link_close_fds(&got);
	assert_int_equal(link_receive(ends[1], true, &got), 0);
	assert_int_equal(got.value, 3);
	assert_int_equal(link_receive(ends[1], true, &got), -EPIPE);
	assert_int_equal(link_receive(ends[1], false, &got), -EPIPE);
	assert_int_equal(link_say(ends[1], LINK_GO, 0), -EPIPE); /* and no SIGPIPE */
	ends[0] = dup(ends[1]);
}

/* It dies with something unread: that is an end like any other. */
static void test_reset(void **state)
{
	struct link_message got;

	(void)state;
	assert_int_equal(link_say(ends[1], LINK_SIGNAL, 1), 0);
	close(ends[0]);
	assert_int_equal(link_receive(ends[1], true, &got), -EPIPE);
	ends[0] = dup(ends[1]);
}

/* ---- what is no message ---- */

/* n bytes, with n_fds descriptors. */
static void send_bytes(const void *bytes, size_t n, unsigned n_fds)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int) * 253)];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)bytes, n};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n_fds) {
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		for (unsigned i = 0; i < n_fds; i++)
			memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &ends[0], sizeof(int));
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
	}
	assert_int_equal(sendmsg(ends[0], &header, MSG_NOSIGNAL), n);
}

static void is_no_message(const void *bytes, size_t n, unsigned n_fds)
{
	struct link_message got;

	send_bytes(bytes, n, n_fds);
	assert_int_equal(link_receive(ends[1], false, &got), -EPROTO);
	nothing_left();
	/* the next one is none the worse for it */
	assert_int_equal(link_say(ends[0], LINK_READY, 0), 0);
	assert_int_equal(link_receive(ends[1], false, &got), 0);
	assert_int_equal(got.kind, LINK_READY);
}

/* Cut off anywhere, or with something behind it. */
static void test_lengths(void **state)
{
	struct {
		struct link_message message;
		char more[64];
	} sent = {.message = {.kind = LINK_CLAIM, .n_ids = 3, .n_fds = 3}};
	const size_t whole = HEAD_BYTES + 3 * sizeof(sent.message.ids[0]);

	(void)state;
	for (size_t n = 1; n < whole + 16; n++)
		if (n != whole)
			is_no_message(&sent, n, 3);
	is_no_message(&sent, sizeof(sent.message), 3);
	is_no_message(&sent, sizeof(sent), 3); /* longer than any */
}

/* Of more ids than there may be; the product of some of them with their size is small again. */
static void test_numbers_of_ids(void **state)
{
	static const uint32_t numbers[] = {LINK_FDS + 1, LINK_FDS + LINK_FDS / 2,
					   1U << 29,	 (1U << 29) + 1,
					   INT32_MAX,	 UINT32_MAX};
	struct link_message sent = {.kind = LINK_UNCLAIM};

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		sent.n_ids = numbers[i];
		is_no_message(&sent, HEAD_BYTES, 0);
		is_no_message(&sent, HEAD_BYTES + 8, 0);
		is_no_message(&sent, sizeof(sent), 0);
	}
}

/* Other descriptors than it says. */
static void test_numbers_of_fds(void **state)
{
	static const uint32_t numbers[][2] = {{0, 1},	     {1, 0},	      {1, 2},  {2, 1},
					      {LINK_FDS, 1}, {UINT32_MAX, 1}, {0, 253}};
	struct link_message sent = {.kind = LINK_ACCEPTED};

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		sent.n_fds = numbers[i][0];
		is_no_message(&sent, HEAD_BYTES, numbers[i][1]);
	}
}

/* More than fit: those that did are not a message of just as many. */
static void test_too_many_fds(void **state)
{
	struct link_message sent = {.kind = LINK_CLAIM, .n_fds = LINK_FDS};

	(void)state;
	is_no_message(&sent, HEAD_BYTES, LINK_FDS + 1);
	is_no_message(&sent, HEAD_BYTES, 253);
}

/* Fewer than it has may be open here: the rest of it is there, and the next one comes whole. */
static void test_no_room_for_fds(void **state)
{
	struct link_message sent = {.kind = LINK_CLAIM, .n_ids = 2, .ids = {7, 8}, .n_fds = 2}, got;
	struct rlimit before, limit;
	int next = dup(ends[0]);

	(void)state;
	sent.fds[0] = sent.fds[1] = ends[0];
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (unsigned room = 0; room < 2; room++) {
		assert_int_equal(link_send(ends[0], &sent), 0);
		limit = before;
		limit.rlim_cur = (rlim_t)next + room;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
		int r = link_receive(ends[1], false, &got);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
		assert_int_equal(r, -EMFILE);
		assert_int_equal(got.kind, LINK_CLAIM);
		assert_int_equal(got.ids[1], 8);
		assert_int_equal(got.n_fds, 0);
		nothing_left();
	}
	assert_int_equal(link_send(ends[0], &sent), 0);
	assert_int_equal(link_receive(ends[1], false, &got), 0);
	link_close_fds(&got);
}

/* Nothing but descriptors. */
static void test_empty(void **state)
{
	struct link_message got;

	(void)state;
	send_bytes(NULL, 0, 2);
	assert_int_equal(link_receive(ends[1], false, &got), -EPROTO);
	nothing_left();
}

/* ---- who stands by ---- */

static void hear(struct heir *heir)
{
	struct link_message got;

	assert_int_equal(link_receive(ends[1], true, &got), 0);
	assert_int_equal(got.kind, LINK_HEIR);
	heir_set(heir, &got);
	assert_int_equal(got.n_fds, 0);
}

static void test_heir(void **state)
{
	struct link_message said = {.kind = LINK_HEIR, .n_fds = 1}, got;
	struct heir heir = HEIR_NONE;
	int standby[2];

	(void)state;
	assert_int_equal(link_pair(standby), 0);
	said.fds[0] = standby[0];
	said.fds[1] = STDIN_FILENO; /* for a pidfd */
	assert_int_equal(link_offer(ends[0], &said), 0);
	said.n_fds = 2;
	said.value = 77;
	assert_int_equal(link_offer(ends[0], &said), 0);
	close(standby[0]);
	hear(&heir);
	assert_int_equal(heir.pidfd, -1);
	assert_false(heir_lives(&heir));
	hear(&heir);
	assert_int_equal(heir.pid, 77);
	assert_true(heir.pidfd >= 0);
	/* the last word comes before the end */
	heir_dismiss(&heir);
	assert_int_equal(heir.link, -1);
	assert_int_equal(link_receive(standby[1], true, &got), 0);
	assert_int_equal(got.kind, LINK_END);
	assert_int_equal(link_receive(standby[1], true, &got), -EPIPE);
	close(standby[1]);
	heir_dismiss(&heir);
	nothing_left();
}

static void test_heir_lives(void **state)
{
	struct heir heir = HEIR_NONE;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		for (;;)
			pause();
	assert_false(heir_lives(&heir));
	heir.pidfd = pidfd_open(pid, 0);
	assert_true(heir_lives(&heir));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_false(heir_lives(&heir));
	heir_dismiss(&heir);
	assert_false(heir_lives(&heir));
}

/* It is told while nobody listens: that does not wait. */
static void test_offer(void **state)
{
	const struct link_message said = {.kind = LINK_HEIR};
	int r;

	(void)state;
	do
		r = link_offer(ends[0], &said);
	while (!r);
	assert_int_equal(r, -EAGAIN);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_pair),	   TEST(test_say),
		TEST(test_send),	   TEST(test_last_words),
		TEST(test_reset),	   TEST(test_lengths),
		TEST(test_numbers_of_ids), TEST(test_numbers_of_fds),
		TEST(test_too_many_fds),   TEST(test_no_room_for_fds),
		TEST(test_empty),	   TEST(test_heir),
		TEST(test_heir_lives),	   TEST(test_offer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
