/* SPDX-License-Identifier: MIT */
/*
 * signals - synchronous direct I/O of many threads, interrupted by SIGALRM without SA_RESTART.
 *
 *     signals storm FILE THREADS SECONDS [SEED]
 *         Every thread has a timer of a millisecond, and reads and writes up to 300 KiB of its
 *         own part of FILE, with a flush now and then. No call may be interrupted, shortened or
 *         bring other data than what was written.
 *
 *     signals pile FILE THREADS FIRST ALARMS
 *         Thread t reads (t even) or writes (t odd) 4 KiB at (FIRST + t) x 4 KiB, once. Prints
 *         "begun" when all are about to, then sends ALARMS signals to each of them, 20 ms after
 *         each other, and prints "alarmed". At the end: how many calls succeeded, "N of THREADS".
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "helper.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define THREADS_MAX 256U
#define PART_BYTES ((uint64_t)1 << 20)
#define LENGTH_MAX ((uint64_t)300 << 10)

static int fd;
static unsigned n_threads;
static uint64_t end_ns, seed, first;
static _Atomic unsigned begun, succeeded;
static _Atomic uint64_t alarms, calls;

static void on_alarm(int signal)
{
	(void)signal;
	atomic_fetch_add(&alarms, 1);
}

static void check(const char *what, ssize_t n, uint64_t want)
{
	atomic_fetch_add(&calls, 1);
	if (n < 0)
		die("%s: %s", what, strerrorname_np(errno));
	if ((uint64_t)n != want)
		die("%s: %zd of %llu bytes", what, n, (unsigned long long)want);
}

static void *storm(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	uint64_t state = seed + me, part = me * PART_BYTES;
	char *shadow = pages(PART_BYTES), *buf = pages(LENGTH_MAX + 4096);
	struct itimerspec ms = {.it_interval.tv_nsec = 1000000, .it_value.tv_nsec = 1000000};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM};
	timer_t timer;

	check("first write", pwrite(fd, shadow, PART_BYTES, (off_t)part), PART_BYTES);
	event.sigev_notify_thread_id = gettid();
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &ms, NULL))
		die("no timer");
	while (now_ns() < end_ns) {
		uint64_t len = 4096 * (1 + rng_below(&state,
						     rng_below(&state, 4) ? 2 : LENGTH_MAX / 4096));
		uint64_t at = 4096 * rng_below(&state, (PART_BYTES - len) / 4096 + 1);

		switch (rng_below(&state, 16)) {
		case 0:
			check("fsync", fsync(fd), 0);
			break;
		default:
			memset(buf, (int)rng(&state), len);
			check("write", pwrite(fd, buf, len, (off_t)(part + at)), len);
			memcpy(shadow + at, buf, len);
			break;
		case 8 ... 15:
			check("read", pread(fd, buf, len, (off_t)(part + at)), len);
			if (memcmp(buf, shadow + at, len))
				die("thread %u: what it reads at %llu is not what it wrote", me,
				    (unsigned long long)(part + at));
		}
	}
	timer_delete(timer);
	return NULL;
}

static void *pile(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	char *buf = pages(4096);
	off_t at = (off_t)((first + me) * 4096);
	ssize_t n;

	memset(buf, (int)me + 1, 4096);
	atomic_fetch_add(&begun, 1);
	n = me % 2 ? pwrite(fd, buf, 4096, at) : pread(fd, buf, 4096, at);
	if (n == 4096)
		atomic_fetch_add(&succeeded, 1);
	else
		fprintf(stderr, "thread %u: %zd %s\n", me, n, n < 0 ? strerrorname_np(errno) : "");
	return NULL;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_alarm};
	pthread_t threads[THREADS_MAX];
	unsigned times;
	int is_storm = argc > 1 && !strcmp(argv[1], "storm");

	if (argc < 5 || (!is_storm && argc != 6))
		die("usage: signals storm FILE THREADS SECONDS [SEED] | pile FILE THREADS FIRST "
		    "ALARMS");
	n_threads = (unsigned)size_arg(argv[3]);
	fd = open(argv[2], O_RDWR | O_DIRECT);
	if (fd < 0 || n_threads > THREADS_MAX)
		die("%s: %s", argv[2], strerror(errno));
	seed = seed_from(is_storm ? argv[5] : NULL);
	end_ns = now_ns() + (is_storm ? size_arg(argv[4]) : 0) * UINT64_C(1000000000);
	first = is_storm ? 0 : size_arg(argv[4]);
	sigaction(SIGALRM, &action, NULL);
	if (is_storm)
		printf("signals: seed %#llx\n", (unsigned long long)seed);
	for (unsigned i = 0; i < n_threads; i++)
		if (pthread_create(&threads[i], NULL, is_storm ? storm : pile,
				   (void *)(uintptr_t)i))
			die("no thread");
	if (!is_storm) {
		while (begun < n_threads)
			usleep(1000);
		usleep(100000);
		puts("begun");
		fflush(stdout);
		times = (unsigned)size_arg(argv[5]);
		for (unsigned k = 0; k < times; k++) {
			for (unsigned i = 0; i < n_threads; i++)
				pthread_kill(threads[i], SIGALRM);
			usleep(20000);
		}
		puts("alarmed");
		fflush(stdout);
	}
	for (unsigned i = 0; i < n_threads; i++)
		pthread_join(threads[i], NULL);
	if (is_storm)
		printf("signals: %llu calls, %llu alarms\n", (unsigned long long)calls,
		       (unsigned long long)alarms);
	else
		printf("%u of %u\n", succeeded, n_threads);
	return 0;
}
