/* SPDX-License-Identifier: MIT */
/* waiting.c - see waiting.h. */
#include "waiting.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Uniques grow by two; each clone of the connection takes from the same row. */
static struct io **bucket_of(struct waiting *waiting, uint64_t unique)
{
	return &waiting->buckets[unique / 2 % WAITING_BUCKETS];
}

/* ---- interrupts without a request ---- */

static uint64_t *early_row(struct waiting *waiting, uint64_t unique)
{
	return waiting->early[unique / 2 % WAITING_EARLY_ROWS];
}

/* Most are of one that was just answered, so most stay until they are overwritten. */
static void remember_early(struct waiting *waiting, uint64_t unique)
{
	uint64_t *row = early_row(waiting, unique);

	memmove(row + 1, row, (WAITING_EARLY_EACH - 1) * sizeof(*row));
	row[0] = unique;
}

static bool take_early(struct waiting *waiting, uint64_t unique)
{
	uint64_t *row = early_row(waiting, unique);

	for (unsigned i = 0; i < WAITING_EARLY_EACH; i++)
		if (row[i] == unique) {
			row[i] = 0;
			return true;
		}
	return false;
}

/* ---- the table ---- */

void waiting_init(struct waiting *waiting)
{
	memset(waiting, 0, sizeof(*waiting));
	pthread_mutex_init(&waiting->lock, NULL);
}

void waiting_destroy(struct waiting *waiting)
{
	pthread_mutex_destroy(&waiting->lock);
}

bool waiting_add(struct waiting *waiting, struct io *io)
{
	struct io **bucket = bucket_of(waiting, io->unique);
	bool early = false;

	pthread_mutex_lock(&waiting->lock);
	io->listed = true;
	io->link = *bucket;
	*bucket = io;
	if (take_early(waiting, io->unique)) {
		io->interrupted = early = true;
		waiting->interrupted++;
	}
	pthread_mutex_unlock(&waiting->lock);
	return early;
}

void waiting_remove(struct waiting *waiting, struct io *io)
{
	struct io **at;

	pthread_mutex_lock(&waiting->lock);
	for (at = bucket_of(waiting, io->unique); *at != io;)
		at = &(*at)->link;
	*at = io->link;
	waiting->interrupted -= io->interrupted;
	io->listed = false;
	pthread_mutex_unlock(&waiting->lock);
}

static struct io *find(struct waiting *waiting, uint64_t unique)
{
	struct io *io = *bucket_of(waiting, unique);

	while (io && io->unique != unique)
		io = io->link;
	return io;
}

struct disk *waiting_interrupt(struct waiting *waiting, uint64_t unique, uint32_t *ret_pid)
{
	struct disk *disk = NULL;
	struct io *io;

	pthread_mutex_lock(&waiting->lock);
	io = find(waiting, unique);
	if (io) {
		disk = io->disk;
		*ret_pid = io->pid;
		waiting->interrupted += !io->interrupted;
		io->interrupted = true;
	} else {
		remember_early(waiting, unique);
	}
	pthread_mutex_unlock(&waiting->lock);
	return disk;
}

struct io *waiting_find(struct waiting *waiting, uint64_t unique)
{
	struct io *io;

	pthread_mutex_lock(&waiting->lock);
	io = find(waiting, unique);
	pthread_mutex_unlock(&waiting->lock);
	return io;
}

unsigned waiting_watched(struct waiting *waiting, struct waiting_watch *ret_list, unsigned max)
{
	unsigned n = 0;

	pthread_mutex_lock(&waiting->lock);
	for (unsigned i = 0; waiting->interrupted && i < WAITING_BUCKETS && n < max; i++) {
		const struct io *io = waiting->buckets[waiting->next_watched++ % WAITING_BUCKETS];

		for (; io && n < max; io = io->link)
			if (io->interrupted)
				ret_list[n++] =
					(struct waiting_watch){io->unique, io->pid, io->disk};
	}
	pthread_mutex_unlock(&waiting->lock);
	return n;
}

bool waiting_caller_killed(uint32_t pid)
{
	static const char *const fields[] = {"\nSigPnd:", "\nShdPnd:"};
	const unsigned long long kill_bit = 1ULL << (SIGKILL - 1);
	char path[32], text[4096];
	ssize_t n;
	int fd;

	if (!pid)
		return false;
	snprintf(path, sizeof(path), "/proc/%u/status", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) /* it is gone, unless /proc only hides it (hidepid=) */
		return errno == ENOENT && kill((pid_t)pid, 0) && errno == ESRCH;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return errno == ESRCH;
	text[n] = '\0';
	for (unsigned i = 0; i < 2; i++) {
		const char *at = strstr(text, fields[i]);

		if (at && strtoull(at + strlen(fields[i]), NULL, 16) & kill_bit)
			return true;
	}
	return false;
}
