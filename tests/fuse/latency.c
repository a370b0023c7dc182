/* SPDX-License-Identifier: MIT */
/*
 * latency - how long the requests of a client take, one line for each, while it goes on.
 *
 *     latency [-u] [-w] [-p PAUSE_US] FILE DEPTH
 *
 * Reads 4 KiB at random places of FILE with O_DIRECT, DEPTH at a time, until it is killed: threads
 * with pread(), or with -u one thread with io_uring; with -w every other thread writes. Each line
 * says when a request began, in microseconds of CLOCK_MONOTONIC (as in /proc/uptime), how many it
 * took, and, if it failed, with which errno; each thread waits for PAUSE_US after it. Errors do not
 * end it.
 */
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <sys/stat.h>

#include "helper.h"

#define BYTES 4096U
#define DEPTH_MAX 256U

static int fd, writes;
static uint64_t blocks, pause_us;

static void tell(uint64_t begun_ns, int64_t result)
{
	char line[96];
	int n = snprintf(line, sizeof(line), "%llu %llu %s\n", (unsigned long long)begun_ns / 1000,
			 (unsigned long long)(now_ns() - begun_ns) / 1000,
			 result == BYTES ? ""
			 : result < 0	 ? strerrorname_np((int)-result)
					 : "short");

	if (write(STDOUT_FILENO, line, (size_t)n) != n)
		die("cannot write");
}

static void *reader(void *arg)
{
	uint64_t state = seed_from(NULL) + (uintptr_t)arg;
	char *buf = pages(BYTES);

	for (;; usleep((useconds_t)pause_us)) {
		off_t at = (off_t)(rng_below(&state, blocks) * BYTES);
		uint64_t begun_ns = now_ns();
		ssize_t n = writes && (uintptr_t)arg % 2 ? pwrite(fd, buf, BYTES, at)
							 : pread(fd, buf, BYTES, at);

		tell(begun_ns, n < 0 ? -errno : n);
	}
	return NULL;
}

static void with_ring(unsigned depth)
{
	uint64_t state = seed_from(NULL), begun_ns[DEPTH_MAX];
	char *buf = pages((size_t)depth * BYTES);
	struct io_uring ring;

	if (io_uring_queue_init(DEPTH_MAX, &ring, 0))
		die("no ring");
	for (unsigned i = 0, queued = 0;; queued = 0) {
		struct io_uring_cqe *cqe;

		for (; i < depth; i++, queued = 1) { /* all of them at first */
			struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

			begun_ns[i] = now_ns();
			io_uring_prep_read(sqe, fd, buf + (size_t)i * BYTES, BYTES,
					   rng_below(&state, blocks) * BYTES);
			sqe->user_data = i;
		}
		if (queued)
			io_uring_submit(&ring);
		if (io_uring_wait_cqe(&ring, &cqe))
			continue;
		for (; !io_uring_peek_cqe(&ring, &cqe) && cqe; io_uring_cqe_seen(&ring, cqe)) {
			unsigned which = (unsigned)cqe->user_data;
			struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

			tell(begun_ns[which], cqe->res);
			begun_ns[which] = now_ns();
			io_uring_prep_read(sqe, fd, buf + (size_t)which * BYTES, BYTES,
					   rng_below(&state, blocks) * BYTES);
			sqe->user_data = which;
		}
		io_uring_submit(&ring);
	}
}

int main(int argc, char **argv)
{
	pthread_t thread;
	unsigned depth;
	struct stat st;
	int ring = 0;

	for (int c; (c = getopt(argc, argv, "uwp:")) != -1;) {
		ring |= c == 'u';
		writes |= c == 'w';
		if (c == 'p')
			pause_us = size_arg(optarg);
		else if (c == '?')
			return 2;
	}
	if (optind != argc - 2 || (ring && (writes || pause_us)))
		die("usage: latency [-u] [-w] [-p PAUSE_US] FILE DEPTH");
	argv += optind;
	fd = open(argv[0], (writes ? O_RDWR : O_RDONLY) | O_DIRECT);
	depth = (unsigned)size_arg(argv[1]);
	if (fd < 0 || fstat(fd, &st) || (uint64_t)st.st_size < BYTES || !depth || depth > DEPTH_MAX)
		die("%s: %s", argv[0], strerror(errno));
	blocks = (uint64_t)st.st_size / BYTES;
	if (ring)
		with_ring(depth);
	for (unsigned i = 0; i < depth; i++)
		if (pthread_create(&thread, NULL, reader, (void *)(uintptr_t)i))
			die("no thread");
	pause();
	return 0;
}
