/* SPDX-License-Identifier: MIT */
/*
 * status_files.c - see status_files.h.
 *
 * LOCK: one, for the queue and the handles. Nothing is rendered under it.
 */
#include "status_files.h"
#include "privilege.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef FOPEN_NOFLUSH
#define FOPEN_NOFLUSH (1 << 5)
#endif

#define HANDLES_MOST 256U /* open at a time: each holds some hundred KiB */
#define FIRST_ID (STATUS_FILES_DIR_ID + 1)

static const struct {
	const char *name;
	void (*render)(const struct status *status, struct text *text);
} kinds[] = {
	{"status.json", status_json},
	{"fuseband.prom", status_prom},
	{"metrics", status_prom},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* What one rendering gave; shared by those who opened it at the same time. */
struct content {
	unsigned users;
	struct text text;
};

struct handle {
	struct handle *next;
	uint64_t id;
	struct content *content;
};

/* An OPEN, or (read) a READ of a handle that another process gave out. */
struct job {
	struct job *next;
	fuse_req_t req;
	uint64_t unique;
	size_t kind;
	bool read;
	size_t size; /* of a READ, from the beginning */
	uint64_t handle;
};

struct status_files {
	struct mount *mount;
	struct snapshot_about about;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct job *jobs, **jobs_end;
	struct handle *handles;
	unsigned n_handles; /* and jobs that will make one */
	uint64_t next_handle;
	bool stopping;
};

/* ---- names ---- */

bool status_files_own(fuse_ino_t ino)
{
	return ino >= STATUS_FILES_DIR_ID && ino < FIRST_ID + KINDS;
}

fuse_ino_t status_files_find(fuse_ino_t parent, const char *name)
{
	if (parent == MOUNT_ROOT_ID)
		return strcmp(name, STATUS_FILES_DIR) ? 0 : STATUS_FILES_DIR_ID;
	for (size_t i = 0; parent == STATUS_FILES_DIR_ID && i < KINDS; i++)
		if (!strcmp(name, kinds[i].name))
			return FIRST_ID + i;
	return 0;
}

void status_files_attr(const struct mount *mount, fuse_ino_t ino, struct stat *ret_stat)
{
	bool dir = ino == STATUS_FILES_DIR_ID;

	ret_stat->st_mode = dir ? S_IFDIR | 0550 : S_IFREG | 0440;
	ret_stat->st_nlink = dir ? 2 : 1;
	ret_stat->st_uid = geteuid(); /* root, or whose mount it is */
	ret_stat->st_gid = mount->status_gid;
	/* as it is now: who looks at the time would think that nobody has written it for days */
	clock_gettime(CLOCK_REALTIME, &ret_stat->st_mtim);
	ret_stat->st_ctim = ret_stat->st_mtim;
}

size_t status_files_list(fuse_req_t req, off_t offset, char *list, size_t size)
{
	size_t used = 0;

	for (size_t i = (size_t)offset; i < KINDS + 2; i++) {
		struct stat attr = {.st_ino = STATUS_FILES_DIR_ID, .st_mode = S_IFDIR};
		const char *name = i == 0 ? "." : i == 1 ? ".." : kinds[i - 2].name;
		size_t need;

		if (i == 1)
			attr.st_ino = MOUNT_ROOT_ID;
		if (i >= 2) {
			attr.st_ino = FIRST_ID + i - 2;
			attr.st_mode = S_IFREG;
		}
		need = fuse_add_direntry(req, list + used, size - used, name, &attr,
					 (off_t)(i + 1));
		if (need > size - used)
			break;
		used += need;
	}
	return used;
}

/* ---- handles: with the lock ---- */

static struct handle **find_handle(struct status_files *files, uint64_t id)
{
	struct handle **at = &files->handles;

	while (*at && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

static void content_unref(struct content *content)
{
	if (!content || --content->users)
		return;
	text_free(&content->text);
	free(content);
}

static void close_handle(struct status_files *files, struct handle **at)
{
	struct handle *handle = *at;

	*at = handle->next;
	content_unref(handle->content);
	free(handle);
	files->n_handles--;
}

/* id 0: a new one; else another READ of it may have been faster. NULL without memory. */
static struct handle *add_handle(struct status_files *files, uint64_t id, struct content *content)
{
	struct handle *handle = *find_handle(files, id);

	if (!handle)
		handle = calloc(1, sizeof(*handle));
	if (!handle || handle->id) {
		files->n_handles--;
		return handle;
	}
	handle->id = id ? id : files->next_handle++;
	handle->content = content;
	content->users++;
	handle->next = files->handles;
	files->handles = handle;
	return handle;
}

/* ---- answers ---- */

static void answer_part(fuse_req_t req, const struct text *text, size_t size, off_t offset)
{
	size_t at = offset < 0 || (size_t)offset > text->len ? text->len : (size_t)offset;

	fuse_reply_buf(req, text->data + at, size < text->len - at ? size : text->len - at);
}

static void finish_job(struct status_files *files, const struct job *job, struct content *content)
{
	struct fuse_open_out out = {.open_flags = FOPEN_DIRECT_IO | FOPEN_NOFLUSH};
	struct handle *handle;

	pthread_mutex_lock(&files->lock);
	handle = content ? add_handle(files, job->handle, content) : NULL;
	if (!content)
		files->n_handles--;
	if (!handle) {
		fuse_reply_err(job->req, ENOMEM);
	} else if (job->read) {
		answer_part(job->req, &handle->content->text, job->size, 0);
	} else {
		out.fh = handle->id;
		/* interrupted: no release will come */
		if (fuse_reply_buf(job->req, (const char *)&out, sizeof(out)) == -ENOENT)
			close_handle(files, find_handle(files, out.fh));
	}
	pthread_mutex_unlock(&files->lock);
}

static struct content *render(size_t kind, const struct status *status)
{
	struct content *content = calloc(1, sizeof(*content));

	if (!content)
		return NULL;
	content->users = 1;
	kinds[kind].render(status, &content->text);
	if (!content->text.failed)
		return content;
	content_unref(content);
	return NULL;
}

/* All that waited when it began. */
static void do_jobs(struct status_files *files, struct job *jobs)
{
	struct content *contents[KINDS] = {0};
	struct status *status = NULL;
	struct job *next;

	worker_touch_elsewhere(jobs->unique);
	if (snapshot_take(files->mount, &files->about, &status))
		status = NULL;
	for (struct job *job = jobs; job; job = next) {
		next = job->next;
		worker_touch_elsewhere(job->unique);
		if (status && !contents[job->kind])
			contents[job->kind] = render(job->kind, status);
		finish_job(files, job, contents[job->kind]);
		free(job);
	}
	worker_touch_elsewhere(0);
	status_free(status);
	pthread_mutex_lock(&files->lock);
	for (size_t i = 0; i < KINDS; i++)
		content_unref(contents[i]);
	pthread_mutex_unlock(&files->lock);
}

static void *status_main(void *arg)
{
	struct status_files *files = arg;

	privilege_drop(PRIVILEGE_WORKER);
	pthread_mutex_lock(&files->lock);
	while (files->jobs || !files->stopping) {
		struct job *jobs = files->jobs;

		if (!jobs) {
			pthread_cond_wait(&files->changed, &files->lock);
			continue;
		}
		files->jobs = NULL;
		files->jobs_end = &files->jobs;
		pthread_mutex_unlock(&files->lock);
		do_jobs(files, jobs);
		pthread_mutex_lock(&files->lock);
	}
	pthread_mutex_unlock(&files->lock);
	return NULL;
}

/* Hand it to the thread. Takes a place for a handle. 0 or an error number. */
static int add_job(struct status_files *files, const struct job *job)
{
	struct job *copy = malloc(sizeof(*copy));
	int r = copy ? 0 : ENOMEM;

	pthread_mutex_lock(&files->lock);
	if (!r && files->stopping)
		r = EIO;
	if (!r && files->n_handles >= HANDLES_MOST)
		r = ENFILE;
	if (!r) {
		*copy = *job;
		copy->next = NULL;
		*files->jobs_end = copy;
		files->jobs_end = &copy->next;
		files->n_handles++;
		pthread_cond_signal(&files->changed);
	}
	pthread_mutex_unlock(&files->lock);
	if (r)
		free(copy);
	return r;
}

/* ---- requests ---- */

void status_files_open(struct status_files *files, fuse_req_t req, uint64_t unique, fuse_ino_t ino,
		       int flags)
{
	const struct job job = {.req = req, .unique = unique, .kind = ino - FIRST_ID};
	int r;

	if (ino == STATUS_FILES_DIR_ID)
		r = EISDIR;
	else if ((flags & O_ACCMODE) != O_RDONLY)
		r = EACCES;
	else
		r = files ? add_job(files, &job) : EIO;
	if (r)
		fuse_reply_err(req, r);
}

void status_files_read(struct status_files *files, fuse_req_t req, uint64_t unique, fuse_ino_t ino,
		       size_t size, off_t offset, uint64_t id)
{
	const struct job job = {.req = req,
				.unique = unique,
				.kind = ino - FIRST_ID,
				.read = true,
				.size = size,
				.handle = id};
	struct handle *handle;
	int r = 0;

	if (ino == STATUS_FILES_DIR_ID || !files) {
		fuse_reply_err(req, files ? EISDIR : EIO);
		return;
	}
	pthread_mutex_lock(&files->lock);
	handle = *find_handle(files, id);
	if (handle)
		answer_part(req, &handle->content->text, size, offset);
	pthread_mutex_unlock(&files->lock);
	if (!handle)
		r = offset ? ESTALE : add_job(files, &job);
	if (r)
		fuse_reply_err(req, r);
}

void status_files_release(struct status_files *files, fuse_req_t req, uint64_t id)
{
	struct handle **at;

	if (files) {
		pthread_mutex_lock(&files->lock);
		at = find_handle(files, id);
		if (*at)
			close_handle(files, at);
		pthread_mutex_unlock(&files->lock);
	}
	fuse_reply_err(req, 0);
}

/* ---- beginning and end ---- */

int status_files_start(struct mount *mount, const struct snapshot_about *about,
		       struct status_files **ret_files)
{
	struct status_files *files = calloc(1, sizeof(*files));
	int r;

	if (!files)
		return -ENOMEM;
	files->mount = mount;
	files->about = *about;
	files->jobs_end = &files->jobs;
	if (getrandom(&files->next_handle, sizeof(files->next_handle), GRND_NONBLOCK) < 0)
		files->next_handle = (uint64_t)getpid() << 32;
	files->next_handle |= 1; /* 0 stands for none */
	pthread_mutex_init(&files->lock, NULL);
	pthread_cond_init(&files->changed, NULL);
	r = -pthread_create(&files->thread, NULL, status_main, files);
	if (r) {
		files->stopping = true;
		status_files_free(files);
		return r;
	}
	*ret_files = files;
	return 0;
}

void status_files_stop(struct status_files *files)
{
	bool stopped;

	if (!files)
		return;
	pthread_mutex_lock(&files->lock);
	stopped = files->stopping;
	files->stopping = true;
	pthread_cond_signal(&files->changed);
	pthread_mutex_unlock(&files->lock);
	if (!stopped)
		pthread_join(files->thread, NULL);
}

void status_files_free(struct status_files *files)
{
	if (!files)
		return;
	while (files->handles)
		close_handle(files, &files->handles);
	pthread_cond_destroy(&files->changed);
	pthread_mutex_destroy(&files->lock);
	free(files);
}
