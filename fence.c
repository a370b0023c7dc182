/* SPDX-License-Identifier: MIT */
/* fence.c - see fence.h. */
#include "fence.h"
#include "worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

/* The files of one disk that wait; none of them can go away meanwhile, as they are active. */
struct fence_job {
	struct crew *crew;
	struct file *files;
	enum log_level level;
};

static int ask(const struct file *file)
{
	int r = backing_fence(file->backing, false);

	if (r == -EBUSY)
		log_error("%s: %s is locked by another program: it is served, but whoever holds "
			  "the lock may still write to it: lslocks tells who",
			  file->name, file->path);
	else if (r && r != -EAGAIN)
		log_error("%s: %s cannot be locked (%s): it is served, but nothing keeps other "
			  "programs from writing to it",
			  file->name, file->path, strerror(-r));
	return r;
}

/* ---- the thread of a disk ---- */

static bool shorten(struct file *file)
{
	if (file->fence_step != FENCE_SHORTEN)
		return false;
	backing_end_fence(file->backing);
	return true;
}

static bool ask_first(struct file *file)
{
	if (file->fence_step == FENCE_ASK && ask(file) != -EAGAIN)
		return true;
	file->fence_step = FENCE_WAIT;
	log_debug("%s: writes wait until the disk has done what it was told before", file->name);
	return false;
}

static bool wait_for(struct file *file)
{
	int r;

	do
		r = backing_fence(file->backing, true);
	while (r == -EINTR);
	if (r)
		log_error("%s: %s cannot be locked (%s): writes of the process that died "
			  "may still land over newer ones; check its data",
			  file->name, file->path, strerror(-r));
	log_debug("%s: the disk has done what it was told before", file->name);
	return true;
}

/* What was closed while it was held back is to be collected now. */
static void tell_main(struct crew *crew)
{
	atomic_store(&crew->mount->garbage, true);
	eventfd_write(crew->event_fd, 1);
}

/* Files for which step is true go on; returns how many are left. */
static size_t go_through(struct fence_job *job, bool (*step)(struct file *file))
{
	struct file **at = &job->files, *file;
	size_t left = 0;

	while ((file = *at)) {
		if (!step(file)) {
			at = &file->fence_next;
			left++;
			continue;
		}
		*at = file->fence_next;
		worker_file_fenced(job->crew, file); /* from here on it may go away */
		if (step == wait_for)		     /* the next one may take long */
			tell_main(job->crew);
	}
	return left;
}

static void *get_fences(void *arg)
{
	struct fence_job *job = arg;
	struct crew *crew = job->crew;
	size_t left;

	go_through(job, shorten);
	left = go_through(job, ask_first);
	tell_main(crew);
	if (left)
		log_line(job->level,
			 "%zu files can be read, but not written to before what a process that "
			 "died has sent to their disk is done; lslocks tells who has their locks",
			 left);
	go_through(job, wait_for);
	free(job);
	atomic_fetch_sub(&crew->fencing, 1); /* from here on it may be gone */
	return NULL;
}

static bool start_thread(struct crew *crew, struct disk *disk, enum log_level level)
{
	struct fence_job *job = malloc(sizeof(*job));
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	if (!job)
		return false;
	*job = (struct fence_job){crew, disk->unfenced, level};
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&thread, &attr, get_fences, job);
	pthread_attr_destroy(&attr);
	if (r)
		free(job);
	else
		disk->unfenced = NULL;
	return !r;
}

void fence_start(struct crew *crew, enum log_level level)
{
	const struct mount *mount = crew->mount;
	bool late = false;

	for (size_t i = 0; i < mount->n_disks; i++)
		if (mount->disks[i]->unfenced && !start_thread(crew, mount->disks[i], level))
			late = true;
	if (late && !crew->fences_late)
		log_warning("no thread to lock files with: some can be read, but not written to "
			    "before there is one; allow more threads (ulimit -u, TasksMax of the "
			    "unit)");
	crew->fences_late = late;
}

/* ---- while workers are parked ---- */

static void hold_back(struct crew *crew, struct file *file, enum fence_step step)
{
	struct disk *disk = file->disk;

	if (!disk->unfenced)
		atomic_fetch_add(&crew->fencing, 1);
	file->fence_step = step;
	file->fence_next = disk->unfenced;
	disk->unfenced = file;
	file->fence = (struct range){.end_bytes = UINT64_MAX, .exclusive = true};
	range_acquire(&file->ranges, &file->fence);
	file->active++;
}

/* True: it waits for somebody. */
static bool take_file(struct crew *crew, struct file *file)
{
	file->unfenced = false;
	if (file->backing->may_block) {
		hold_back(crew, file, FENCE_ASK);
		return false;
	}
	if (ask(file) != -EAGAIN)
		return false;
	hold_back(crew, file, FENCE_WAIT);
	return true;
}

size_t fence_take(struct crew *crew)
{
	const struct mount *mount = crew->mount;
	size_t waiting = 0;

	for (const struct file *gone = mount->trash; gone; gone = gone->trash_next)
		if (!gone->may_hang)
			backing_unfence(gone->backing); /* nothing of it is under way */
	for (size_t i = 0; i < mount_n_all(mount); i++) {
		struct file *file = mount_file_at(mount, i);

		if (file->backing && file->unfenced)
			waiting += take_file(crew, file);
		else if (file->fence_too_long)
			hold_back(crew, file, FENCE_SHORTEN);
		file->fence_too_long = false;
	}
	return waiting;
}
