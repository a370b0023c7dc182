/* SPDX-License-Identifier: MIT */
/*
 * Unit tests of ring.h: what becomes of a read whose completion says something else than the kernel
 * said. That is written over where the kernel has put it, before it is reaped. And of errands, which
 * the test runs, or refuses to.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "clock.h"
#include "errand.h"
#include "memfd.h"
#include "ring.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static struct ring ring;
static char buffer[8];
static struct ring_op op;

/* The completion that is there, or comes. */
static struct io_uring_cqe *completion(void)
{
	struct io_uring_cqe *cqe = NULL;

	while (io_uring_peek_cqe(&ring.uring, &cqe) || !cqe)
		ring_wait(&ring, 0);
	return cqe;
}

static void submit(int fd)
{
	memset(buffer, 0, sizeof(buffer));
	op = (struct ring_op){
		.kind = RING_READ, .fd = fd, .data = buffer, .len_bytes = 4, .align_bytes = 1};
	ring_queue(&ring, &op);
	ring_submit(&ring);
}

static void test_results(void **state)
{
	/* EAGAIN, EINTR, ECANCELED, and those by which the kernel says that it would begin anew */
	static const int repeated[] = {-EAGAIN, -EINTR, -ECANCELED, -512, -513, -514, -516};
	static const int final[] = {-EIO, -ENOSPC, -515, -524};
	struct ring_op *done;
	int fd = memfd_of("read", 4);

	(void)state;
	for (size_t i = 0; i < sizeof(repeated) / sizeof(*repeated); i++) {
		submit(fd);
		completion()->res = repeated[i];
		assert_int_equal(ring_reap(&ring, &done, 1), 0);
		completion();
		assert_int_equal(ring_reap(&ring, &done, 1), 1);
		assert_ptr_equal(done, &op);
		assert_int_equal(op.error, 0);
		assert_int_equal(op.done_bytes, 4);
		assert_memory_equal(buffer, "read", 4);
	}
	for (size_t i = 0; i < sizeof(final) / sizeof(*final); i++) {
		submit(fd);
		completion()->res = final[i];
		assert_int_equal(ring_reap(&ring, &done, 1), 1);
		assert_int_equal(op.error, final[i]);
	}
	/* not for ever */
	unsigned repeats = 0;
	submit(fd);
	do
		completion()->res = -ECANCELED;
	while (!ring_reap(&ring, &done, 1) && ++repeats < 1000);
	assert_int_equal(op.error, -ECANCELED);
	assert_in_range(repeats, 1, 100);
	assert_int_equal(ring.in_flight, 0);
	close(fd);
}

/* ---- errands ---- */

#define MS UINT64_C(1000000)

static int errands; /* the other end: where orders come out and results go in */

static void take_errands(void)
{
	int ends[2];

	assert_int_equal(errand_channel(ends), 0);
	ring_set_errands(&ring, ends[0]);
	errands = ends[1];
}

static void flush(struct ring_op *flush_op)
{
	*flush_op = (struct ring_op){.kind = RING_FLUSH, .fd = STDIN_FILENO};
	ring_queue(&ring, flush_op);
	ring_submit(&ring);
}

/* Whether there is one; it is answered so. */
static bool answer_order(int64_t value)
{
	struct errand errand;
	struct errand_result result = {.value = value};

	if (recv(errands, &errand, sizeof(errand), MSG_DONTWAIT) != sizeof(errand))
		return false;
	result.id = errand.id;
	assert_int_equal(send(errands, &result, sizeof(result), 0), sizeof(result));
	return true;
}

static void await_completions(unsigned n)
{
	while (io_uring_cq_ready(&ring.uring) < n)
		sched_yield(); /* they are put there on the way out of the kernel */
}

/* Results of errands are there when no more can be taken: whoever is about to sleep is told. */
static void test_more_than_can_be_taken(void **state)
{
	struct ring_op *done, flushes[2];
	int fd = memfd_of("read", 4);

	(void)state;
	take_errands();
	flush(&flushes[0]);
	flush(&flushes[1]);
	ring_wait(&ring, 1); /* from here on it is told of results */
	assert_false(ring_has_completions(&ring));
	assert_true(answer_order(0));
	await_completions(1);
	submit(fd);
	await_completions(2);
	assert_int_equal(ring_reap(&ring, &done, 1), 1);
	assert_ptr_equal(done, &op);
	assert_true(ring_has_completions(&ring));
	assert_true(answer_order(-EIO));
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(ring_reap(&ring, &done, 1), 1);
		assert_ptr_equal(done, &flushes[i]);
		assert_int_equal(done->error, i ? -EIO : 0);
		assert_true(ring_has_completions(&ring));
	}
	assert_int_equal(ring_reap(&ring, &done, 1), 0);
	assert_false(ring_has_completions(&ring));
	assert_int_equal(ring.in_flight, 0);
	ring_set_errands(&ring, -1);
	close(errands);
	close(fd);
}

/* Nobody has a thread for it: it is ordered again, also by who never sleeps, but not all the time. */
static void test_later(void **state)
{
	uint64_t began_ns = monotonic_ns();
	struct ring_op *done, flush_op;
	unsigned orders = 0;

	(void)state;
	take_errands();
	flush(&flush_op);
	do {
		orders += answer_order(ERRAND_LATER);
		assert_int_equal(ring_reap(&ring, &done, 1), 0);
		ring_submit(&ring);
	} while (monotonic_ns() - began_ns < 20 * MS || orders < 3);
	assert_true(orders <= 1 + (monotonic_ns() - began_ns) / (2 * MS));
	while (!answer_order(0))
		ring_submit(&ring);
	while (!ring_reap(&ring, &done, 1))
		ring_wait(&ring, 0);
	assert_ptr_equal(done, &flush_op);
	assert_int_equal(done->error, 0);
	assert_int_equal(ring.in_flight, 0);
	ring_set_errands(&ring, -1);
	close(errands);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_more_than_can_be_taken),
		cmocka_unit_test(test_later),
	};
	int r = ring_init(&ring), failed;

	if (r) {
		printf("skipped: io_uring is not available: %s\n", strerror(-r));
		return 77;
	}
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	ring_destroy(&ring);
	return failed;
}
