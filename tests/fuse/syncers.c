/* SPDX-License-Identifier: MIT */
/*
 * syncers - threads that write and make it stable, again and again.
 *
 *     syncers [-d] [-n] FILE THREADS ROUNDS LENGTH
 *
 * Thread t writes LENGTH bytes (a multiple of 512) at t x LENGTH with O_DIRECT; each 512 begin with
 * the byte 0x77, the thread (a byte), the round (two bytes, big-endian) and the index of the 512
 * bytes (four bytes, big-endian), so that a log of the disk's writes can tell. Then fsync(), or
 * with -d both in one by RWF_DSYNC. -n: neither. Prints how many rounds failed, and with which
 * errno the first of them.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/uio.h>

#include "helper.h"

static int fd;
static bool dsync, no_sync;
static unsigned rounds;
static size_t len;
static _Atomic unsigned failed;
static _Atomic int first_errno;

static void *syncer(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	char *buf = pages(len);
	struct iovec iov = {.iov_base = buf, .iov_len = len};

	for (unsigned round = 1; round <= rounds; round++) {
		int zero = 0;
		ssize_t n;

		for (uint32_t i = 0; i < len / 512; i++) {
			unsigned char *head = (unsigned char *)buf + i * 512;

			memset(head, (int)me + 1, 512);
			head[0] = 0x77;
			head[1] = (unsigned char)me;
			head[2] = (unsigned char)(round >> 8);
			head[3] = (unsigned char)round;
			for (int b = 0; b < 4; b++)
				head[4 + b] = (unsigned char)(i >> (24 - 8 * b));
		}
		errno = 0;
		n = pwritev2(fd, &iov, 1, (off_t)(me * len), dsync ? RWF_DSYNC : 0);
		if (n != (ssize_t)len || (!dsync && !no_sync && fsync(fd))) {
			atomic_compare_exchange_strong(&first_errno, &zero, errno);
			atomic_fetch_add(&failed, 1);
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread[256];
	unsigned threads;

	for (int c; (c = getopt(argc, argv, "dn")) != -1;) {
		dsync |= c == 'd';
		no_sync |= c == 'n';
	}
	if (optind != argc - 4)
		die("usage: syncers [-d] [-n] FILE THREADS ROUNDS LENGTH");
	argv += optind;
	threads = (unsigned)size_arg(argv[1]);
	rounds = (unsigned)size_arg(argv[2]);
	len = size_arg(argv[3]);
	fd = open(argv[0], O_RDWR | O_DIRECT);
	if (fd < 0 || threads > 256 || len % 512)
		die("%s: %s", argv[0], strerror(errno));
	for (unsigned i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, syncer, (void *)(uintptr_t)i))
			die("no thread");
	for (unsigned i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	printf("%u failed%s%s\n", failed, failed ? ": " : "",
	       failed ? strerrorname_np(first_errno) : "");
	return 0;
}
