// SPDX-License-Identifier: MIT
/*
 * pause - how long a client of one request at a time has to wait at worst.
 *
 *     pause FILE SECONDS N
 *
 * Reads random blocks of 4 KiB of FILE, O_DIRECT, one after the other, for so long or until
 * SIGTERM; then prints the N longest times that one took, in milliseconds, longest first. With N
 * interruptions meanwhile, these are what each of them cost. Status 1: a read failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096

static volatile sig_atomic_t stop;

static void on_term(int signo)
{
	(void)signo;
	stop = 1;
}

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* Keep the longest ones, sorted. */
static void insert(double *longest, unsigned n, double ms)
{
	for (unsigned i = 0; i < n; i++)
		if (ms > longest[i]) {
			memmove(longest + i + 1, longest + i, (n - i - 1) * sizeof(*longest));
			longest[i] = ms;
			return;
		}
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_term, .sa_flags = SA_RESTART};
	unsigned n = argc == 4 ? (unsigned)atoi(argv[3]) : 0;
	double *longest = calloc(n + 1, sizeof(*longest));
	void *buffer = aligned_alloc(BLOCK, BLOCK);
	int fd = argc == 4 ? open(argv[1], O_RDONLY | O_DIRECT) : -1;
	off_t blocks = fd < 0 ? 0 : lseek(fd, 0, SEEK_END) / BLOCK;
	double end;

	if (!n || blocks <= 0 || !longest || !buffer) {
		fprintf(stderr, "usage: pause FILE SECONDS N: %s\n", strerror(errno));
		return 2;
	}
	sigaction(SIGTERM, &action, NULL);
	end = now_ms() + atof(argv[2]) * 1e3;
	for (double before = now_ms(), after; !stop && before < end; before = after) {
		if (pread(fd, buffer, BLOCK, random() % blocks * BLOCK) != BLOCK) {
			fprintf(stderr, "pause: %s\n", strerror(errno));
			return 1;
		}
		after = now_ms();
		insert(longest, n, after - before);
	}
	for (unsigned i = 0; i < n; i++)
		printf("%.2f\n", longest[i]);
	free(longest);
	free(buffer);
	return 0;
}
