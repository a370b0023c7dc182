/* SPDX-License-Identifier: MIT */
/*
 * Unit tests of errand.h: what is ordered is done; whoever waits holds up nobody else; nothing is
 * begun for the dead, and nothing of theirs is kept; threads come and go. fdatasync() and
 * pthread_create() are replaced: the former waits while it is told to.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "errand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILE_BYTES (1 << 20)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool hanging;
static unsigned waiting, flushes;
static bool no_threads;

int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
	(void)fd;
	pthread_mutex_lock(&lock);
	flushes++;
	waiting++;
	pthread_cond_broadcast(&changed);
	while (hanging)
		pthread_cond_wait(&changed, &lock);
	waiting--;
	pthread_mutex_unlock(&lock);
	return 0;
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*main)(void *),
			  void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*main)(void *),
			  void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*main)(void *),
			  void *arg)
{
	return no_threads ? EAGAIN : __real_pthread_create(thread, attr, main, arg);
}

static void hang(bool on)
{
	pthread_mutex_lock(&lock);
	hanging = on;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void await_waiting(unsigned n)
{
	pthread_mutex_lock(&lock);
	while (waiting < n)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static unsigned entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));)
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

static unsigned threads(void)
{
	return entries("/proc/self/task");
}

static unsigned descriptors(void)
{
	return entries("/proc/self/fd");
}

static void await_number(unsigned (*what)(void), unsigned n)
{
	for (unsigned i = 0; what() != n && i < 5000; i++)
		usleep(1000);
	assert_int_equal(what(), n);
}

/* Each test begins and ends with no thread but ours, and no descriptor but those of before. */
static unsigned own_threads, open_before;

static int begin(void **state)
{
	(void)state;
	open_before = descriptors();
	return 0;
}

static int end(void **state)
{
	(void)state;
	errand_await_end();
	await_number(threads, own_threads);
	await_number(descriptors, open_before);
	return 0;
}

static int file(void)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, FILE_BYTES), 0);
	return fd;
}

static void order(int channel, int fd, struct errand errand)
{
	assert_int_equal(errand_send(channel, &errand, fd), 0);
}

static struct errand_result result_of(int channel)
{
	struct pollfd pfd = {.fd = channel, .events = POLLIN};
	struct errand_result result;

	assert_int_equal(poll(&pfd, 1, 20000), 1);
	assert_int_equal(errand_receive(channel, &result), 0);
	return result;
}

/* The end of a channel that is served. */
static int served(void)
{
	int ends[2];

	assert_int_equal(errand_channel(ends), 0);
	assert_int_equal(errand_serve(ends[1]), 0);
	return ends[0];
}

static void what_is_ordered_is_done(void **state)
{
	int channel = served(), fd = file();
	struct errand_result result;

	(void)state;
	assert_int_equal(errand_receive(channel, &result), -EAGAIN);
	assert_int_equal(pwrite(fd, "x", 1, 0), 1);
	assert_int_equal(pwrite(fd, "x", 1, 8192), 1);
	order(channel, fd, (struct errand){.id = 1, .kind = ERRAND_FLUSH});
	result = result_of(channel);
	assert_int_equal(result.id, 1);
	assert_int_equal(result.value, 0);
	order(channel, fd,
	      (struct errand){.id = 2,
			      .kind = ERRAND_FALLOCATE,
			      .mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      .len_bytes = 4096});
	result = result_of(channel);
	assert_int_equal(result.id, 2);
	assert_int_equal(result.value, 0);
	order(channel, fd, (struct errand){.id = 3, .kind = ERRAND_SEEK, .mode = SEEK_DATA});
	assert_int_equal(result_of(channel).value, 8192);
	order(channel, fd,
	      (struct errand){.kind = ERRAND_SEEK, .mode = SEEK_DATA, .pos_bytes = FILE_BYTES});
	assert_int_equal(result_of(channel).value, -ENXIO);
	order(channel, fd, (struct errand){.kind = ERRAND_FALLOCATE, .mode = 0});
	assert_int_equal(result_of(channel).value, -EINVAL);
	order(channel, fd, (struct errand){.kind = 77});
	assert_int_equal(result_of(channel).value, -EINVAL);
	close(fd);
	close(channel);
}

/* As many as one likes wait, the next one does not; in the end there are no more threads than
 * before. */
static void who_waits_holds_up_nobody(void **state)
{
	int channel = served(), stuck = file(), fd = file();
	uint64_t seen = 0;

	(void)state;
	hang(true);
	for (unsigned i = 0; i < 64; i++) {
		order(channel, stuck, (struct errand){.id = i, .kind = ERRAND_FLUSH});
		await_waiting(i + 1);
		order(channel, fd,
		      (struct errand){.id = 99, .kind = ERRAND_SEEK, .mode = SEEK_HOLE});
		assert_int_equal(result_of(channel).id, 99);
	}
	hang(false);
	for (unsigned i = 0; i < 64; i++)
		seen |= UINT64_C(1) << result_of(channel).id;
	assert_true(seen == UINT64_MAX);
	for (unsigned i = 0; threads() > own_threads + 4 && i < 5000; i++)
		usleep(1000);
	assert_true(threads() <= own_threads + 4);
	close(stuck);
	close(fd);
	close(channel);
}

/* What was under way goes on, and what was only sent is dropped, with its descriptor. */
static void nothing_is_begun_for_the_dead(void **state)
{
	unsigned done;
	int channel = served(), fd = file(), ends[2];

	(void)state;
	hang(true);
	order(channel, fd, (struct errand){.kind = ERRAND_FLUSH});
	await_waiting(1);
	close(channel);
	done = flushes;
	hang(false);
	await_number(threads, own_threads);

	assert_int_equal(errand_channel(ends), 0);
	order(ends[0], fd, (struct errand){.kind = ERRAND_FLUSH});
	order(ends[0], fd, (struct errand){.kind = ERRAND_FLUSH});
	close(ends[0]);
	assert_int_equal(errand_serve(ends[1]), 0);
	close(fd);
	await_number(threads, own_threads);
	assert_int_equal(flushes, done);
}

/* Nobody would listen while it waits: it is not begun, and whoever ordered it tries again. */
static void without_threads_it_waits(void **state)
{
	int channel = served(), fd = file(), ends[2];
	unsigned done = flushes;

	(void)state;
	no_threads = true;
	order(channel, fd, (struct errand){.id = 5, .kind = ERRAND_FLUSH});
	assert_true(result_of(channel).value == ERRAND_LATER);
	assert_int_equal(flushes, done);
	assert_int_equal(errand_channel(ends), 0);
	assert_int_equal(errand_serve(ends[1]), -EAGAIN);
	close(ends[0]);
	close(ends[1]);
	no_threads = false;
	order(channel, fd, (struct errand){.id = 6, .kind = ERRAND_FLUSH});
	assert_int_equal(result_of(channel).value, 0);
	assert_int_equal(flushes, done + 1);
	close(fd);
	close(channel);
}

static void nobody_is_there(void **state)
{
	struct errand_result result;
	int ends[2];

	(void)state;
	assert_int_equal(errand_channel(ends), 0);
	close(ends[1]);
	assert_int_equal(errand_receive(ends[0], &result), -EPIPE);
	assert_int_equal(errand_send(ends[0], &(struct errand){0}, 0), -EPIPE);
	close(ends[0]);
}

/* Orders that nobody takes fill the socket: that is said, and none is lost. */
static void too_many_on_their_way(void **state)
{
	int ends[2], fd = file(), r;
	unsigned n = 0;

	(void)state;
	assert_int_equal(errand_channel(ends), 0);
	while (!(r = errand_send(ends[0], &(struct errand){.id = n, .kind = ERRAND_FLUSH}, fd)))
		n++;
	assert_int_equal(r, -EAGAIN);
	assert_true(n > 16);
	assert_int_equal(errand_serve(ends[1]), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(result_of(ends[0]).value, 0);
	close(fd);
	close(ends[0]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_ordered_is_done),
		TEST(who_waits_holds_up_nobody),
		TEST(nothing_is_begun_for_the_dead),
		TEST(without_threads_it_waits),
		TEST(nobody_is_there),
		TEST(too_many_on_their_way),
	};

	own_threads = threads(); /* a sanitizer may have one */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
