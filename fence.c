/* SPDX-License-Identifier: MIT */
/* fence.c - see fence.h. */
#include "fence.h"
#include "log.h"
#include "worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The files of one disk that wait; none of them can go away meanwhile, as they are active. */
struct fence_job {
	struct crew *crew;
	struct disk *disk;
	struct file **files;
	size_t n;
};

static void *wait_for_fences(void *arg)
{
	struct fence_job *job = arg;
	struct crew *crew = job->crew;

	for (size_t i = 0; i < job->n; i++) {
		struct file *file = job->files[i];
		int r;

		do
			r = backing_fence(file->backing, true);
		while (r == -EINTR);
		if (r)
			log_error("%s: %s cannot be locked (%s): writes of the process that died "
				  "may still land over newer ones; check its data",
				  file->name, file->path, strerror(-r));
		worker_file_fenced(crew, file);
	}
	free(job->files);
	free(job);
	atomic_fetch_sub(&crew->fencing, 1); /* from here on it may be gone */
	return NULL;
}

static void start_waiting(struct fence_job *job)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	atomic_fetch_add(&job->crew->fencing, 1);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&thread, &attr, wait_for_fences, job);
	pthread_attr_destroy(&attr);
	if (!r)
		return;
	log_warning("no thread to wait for %s: all disks wait", job->disk->name);
	wait_for_fences(job);
}

static void hold_back(struct file *file)
{
	file->fence = (struct range){.end_bytes = UINT64_MAX, .exclusive = true};
	range_acquire(&file->ranges, &file->fence);
	file->active++;
}

/* True: it is there. */
static bool take_now(struct file *file)
{
	int r = file->unfenced ? backing_fence(file->backing, false) : 0;

	file->unfenced = file->found = false;
	if (r && r != -EAGAIN)
		log_error("%s: %s cannot be locked (%s): it is served, but nothing keeps other "
			  "programs from writing to it",
			  file->name, file->path, strerror(-r));
	return r != -EAGAIN;
}

static size_t take_disk(struct crew *crew, struct disk *disk, struct file *const *all, size_t n_all)
{
	struct fence_job *job = calloc(1, sizeof(*job));
	struct file **files = calloc(n_all + 1, sizeof(struct file *));
	size_t n = 0;

	for (size_t i = 0; i < n_all; i++) {
		struct file *file = all[i];

		if (take_now(file))
			continue;
		if (!job || !files) { /* then right here, however long */
			while (backing_fence(file->backing, true) == -EINTR)
				;
			continue;
		}
		hold_back(file);
		files[n++] = file;
	}
	if (!n) {
		free(job);
		free(files);
		return 0;
	}
	*job = (struct fence_job){crew, disk, files, n};
	start_waiting(job);
	return n;
}

static int compare_disks(const void *a, const void *b)
{
	const struct file *const *x = a, *const *y = b;

	return ((*x)->disk > (*y)->disk) - ((*x)->disk < (*y)->disk);
}

static struct file *file_at(const struct mount *mount, size_t i)
{
	return i < mount->n_files ? mount->files[i] : mount->orphans[i - mount->n_files];
}

static bool is_meant(const struct file *file, bool only_found)
{
	return file->backing && (file->found || !only_found);
}

static size_t take_all(struct crew *crew, bool only_found)
{
	const struct mount *mount = crew->mount;
	size_t n_files = mount->n_files + mount->n_orphans, n = 0, waiting = 0;
	struct file **all;

	for (size_t i = 0; i < n_files; i++)
		n += is_meant(file_at(mount, i), only_found);
	if (!n)
		return 0;
	all = calloc(n, sizeof(struct file *));
	n = 0;
	for (size_t i = 0; i < n_files; i++) {
		struct file *file = file_at(mount, i);

		if (!is_meant(file, only_found))
			continue;
		if (all)
			all[n++] = file;
		else /* not in order, so each that waits has a thread of its own */
			waiting += take_disk(crew, file->disk, &file, 1);
	}
	if (!all)
		return waiting;
	qsort(all, n, sizeof(*all), compare_disks);
	for (size_t i = 0, next; i < n; i = next) {
		for (next = i; next < n && all[next]->disk == all[i]->disk;)
			next++;
		waiting += take_disk(crew, all[i]->disk, all + i, next - i);
	}
	free(all);
	return waiting;
}

size_t fence_take_over(struct crew *crew)
{
	return take_all(crew, false);
}

size_t fence_found(struct crew *crew)
{
	return take_all(crew, true);
}
