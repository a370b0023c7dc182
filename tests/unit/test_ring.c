/* SPDX-License-Identifier: MIT */
/*
 * Unit tests of ring.h: what becomes of a read whose completion says something else than the kernel
 * said. That is written over where the kernel has put it, before it is reaped.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "memfd.h"
#include "ring.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_results)};
	int r = ring_init(&ring), failed;

	if (r) {
		printf("skipped: io_uring is not available: %s\n", strerror(-r));
		return 77;
	}
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	ring_destroy(&ring);
	return failed;
}
