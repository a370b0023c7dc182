/* SPDX-License-Identifier: MIT */
/* reopen.c - see reopen.h. */
#include "reopen.h"
#include "log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MS_NS UINT64_C(1000000)

/* One file: what is asked for, and what came of it. */
struct attempt {
	uint64_t id;
	char *path;
	struct backing_spec spec; /* points into this */
	struct file_lost lost;
	struct backing_claim *claim;
	struct backing *backing; /* NULL: still not */
	uint64_t present_bytes;
};

/* The files of one disk. The thread's, until done. */
struct reopen_job {
	struct reopen_job *next;
	const struct disk *disk; /* only which one */
	struct attempt *attempts;
	size_t n;
	int event_fd; /* our own: the crew may go before we are done */
	_Atomic bool done;
};

static void *try_all(void *arg)
{
	struct reopen_job *job = arg;
	const char *key;
	char why[256];
	int event_fd = job->event_fd;

	for (size_t i = 0; i < job->n; i++) {
		struct attempt *attempt = &job->attempts[i];

		if (backing_open(&attempt->spec, why, sizeof(why), &key, &attempt->backing))
			attempt->backing = NULL;
		else
			attempt->present_bytes = backing_present_size(attempt->backing);
	}
	atomic_store(&job->done, true);
	eventfd_write(event_fd, 1);
	close(event_fd);
	return NULL; /* the job may be gone */
}

static void free_job(struct reopen_job *job)
{
	for (size_t i = 0; i < job->n; i++) {
		backing_unref(job->attempts[i].backing);
		backing_claim_unref(job->attempts[i].claim);
		free(job->attempts[i].path);
	}
	free(job->attempts);
	free(job);
}

static bool is_wanted(const struct file *file)
{
	return file->lost && !file->removed;
}

/* False: no memory. */
static bool add_attempt(struct reopen_job *job, const struct file *file)
{
	struct attempt *attempt = &job->attempts[job->n];

	attempt->path = strdup(file->path);
	if (!attempt->path)
		return false;
	attempt->id = file->id;
	attempt->lost = *file->lost;
	attempt->claim = backing_claim_ref(file->claim);
	attempt->spec = (struct backing_spec){
		.path = attempt->path,
		.offset_bytes = file->spec_offset_bytes,
		.size_bytes = file->spec_size_bytes,
		.readonly = file->readonly,
		.buffered = file->buffered,
		.claim = attempt->claim,
		.object = &attempt->lost.object,
		.traits = &attempt->lost.traits,
		.served_bytes = file->size_bytes,
	};
	job->n++;
	return true;
}

/* All of a disk that are lost. Without memory or a thread: not this time. */
static void start_job(struct reopen *reopen, const struct mount *mount, const struct disk *disk,
		      int event_fd)
{
	struct reopen_job *job = calloc(1, sizeof(*job));
	pthread_attr_t attr;
	pthread_t thread;
	bool ok;

	if (!job)
		return;
	job->disk = disk;
	job->event_fd = fcntl(event_fd, F_DUPFD_CLOEXEC, 3);
	job->attempts = calloc(mount->n_files, sizeof(*job->attempts));
	ok = job->attempts && job->event_fd >= 0;
	for (size_t i = 0; ok && i < mount->n_files; i++)
		if (mount->files[i]->disk == disk && is_wanted(mount->files[i]))
			ok = add_attempt(job, mount->files[i]);
	if (ok) {
		pthread_attr_init(&attr);
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		ok = !pthread_create(&thread, &attr, try_all, job);
		pthread_attr_destroy(&attr);
	}
	if (ok) {
		job->next = reopen->jobs;
		reopen->jobs = job;
		return;
	}
	if (job->event_fd >= 0)
		close(job->event_fd);
	free_job(job);
}

/* Jobs that are done and have opened nothing. True: there are others that are done. */
static bool drop_vain(struct reopen *reopen)
{
	bool found = false;

	for (struct reopen_job **at = &reopen->jobs, *job; (job = *at);) {
		bool any = false;

		if (!atomic_load(&job->done)) {
			at = &job->next;
			continue;
		}
		for (size_t i = 0; i < job->n; i++)
			any = any || job->attempts[i].backing;
		found = found || any;
		if (any) {
			at = &job->next;
		} else {
			*at = job->next;
			free_job(job);
		}
	}
	return found;
}

static bool is_being_tried(const struct reopen *reopen, const struct disk *disk)
{
	for (const struct reopen_job *job = reopen->jobs; job; job = job->next)
		if (job->disk == disk)
			return true;
	return false;
}

bool reopen_look(struct reopen *reopen, const struct mount *mount, int event_fd, uint64_t now_ns)
{
	if (now_ns >= reopen->next_ns) {
		reopen->next_ns = UINT64_MAX;
		for (size_t i = 0; i < mount->n_files; i++) {
			const struct file *file = mount->files[i];

			if (!is_wanted(file))
				continue;
			reopen->next_ns = now_ns + REOPEN_NS;
			if (!is_being_tried(reopen, file->disk))
				start_job(reopen, mount, file->disk, event_fd);
		}
	}
	return drop_vain(reopen);
}

int reopen_timeout_ms(const struct reopen *reopen, uint64_t now_ns)
{
	if (reopen->next_ns == UINT64_MAX)
		return -1;
	return reopen->next_ns <= now_ns ? 0 : (int)((reopen->next_ns - now_ns) / MS_NS) + 1;
}

static size_t settle_job(const struct reopen_job *job, struct mount *mount)
{
	size_t found = 0;

	for (size_t i = 0; i < job->n; i++) {
		const struct attempt *attempt = &job->attempts[i];
		struct file *file = mount_by_id(mount, attempt->id);

		if (!attempt->backing || !file || !is_wanted(file))
			continue; /* or a reload was first */
		mount_find(mount, file, attempt->backing, attempt->present_bytes);
		log_info("%s: %s can be opened again and is served", file->name, file->path);
		found++;
	}
	return found;
}

size_t reopen_settle(struct reopen *reopen, struct mount *mount)
{
	struct reopen_job **at = &reopen->jobs, *job;
	size_t found = 0;

	while ((job = *at)) {
		if (!atomic_load(&job->done)) {
			at = &job->next;
			continue;
		}
		found += settle_job(job, mount);
		*at = job->next;
		free_job(job);
	}
	return found;
}
