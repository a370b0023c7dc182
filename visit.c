/* SPDX-License-Identifier: MIT */
/*
 * visit.c - see visit.h.
 *
 *   admit       new: to its range, if it writes, then to the scheduler; a flush to its file's list;
 *               a seek to the disk
 *   pump        the scheduler lets slices go: buffers, operations
 *   slice_done  back from the disk; after the last one of a phase
 *   phase_done  fetched blocks are merged and stored, an O_DSYNC write joins a flush, and
 *   finish      everything else is answered
 */
#include "visit.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#define ISSUE_MOST 128U		       /* slices taken in one visit */
#define STALLED_NS UINT64_C(100000000) /* nothing comes back for so long: the disk hangs */

static void queue_issue(struct worker *w, struct slice *slice)
{
	slice->link = NULL;
	*w->issue_end = slice;
	w->issue_end = &slice->link;
}

static void enqueue(struct io *io, uint64_t now_ns)
{
	io->first_bytes = io->req.pos_bytes;
	fbs_push(io->disk->fbs, io->file->leaf, &io->req, now_ns);
}

static struct io *io_of_range(struct range *range)
{
	return (struct io *)(void *)((char *)range - offsetof(struct io, range));
}

static struct io *io_of_req(struct fbs_req *req)
{
	return (struct io *)(void *)((char *)req - offsetof(struct io, req));
}

/* Workers read the clock before they get the lock. */
static uint64_t between_ns(uint64_t from_ns, uint64_t to_ns)
{
	return to_ns > from_ns ? to_ns - from_ns : 0;
}

static void count(struct io *io, uint64_t now_ns)
{
	uint64_t wait_ns = between_ns(io->admitted_ns, io->issued_ns);
	uint64_t service_ns = between_ns(io->issued_ns, now_ns);
	struct file_counters *c = &io->file->kept->counters;
	struct disk_counters *all = io->disk->counters;
	unsigned op = io->kind == IO_READ ? KEEP_READ : KEEP_WRITE;

	c->errors += io_failed(io);
	if (io->error)
		return;
	switch (io->kind) {
	case IO_READ:
		c->read_ios++;
		c->read_bytes += io->len_bytes;
		break;
	case IO_WRITE:
		c->write_ios++;
		c->write_bytes += io->len_bytes;
		break;
	case IO_FLUSH:
		c->flushes++;
		return;
	case IO_FALLOCATE:
		c->discards++;
		return;
	case IO_SEEK:
		return;
	}
	c->wait_ns += wait_ns;
	c->service_ns += service_ns;
	recent_add(&c->recent, now_ns, wait_ns, service_ns);
	histogram_add(&all->wait[op], wait_ns);
	histogram_add(&all->service[op], service_ns);
}

/* Nothing of it is queued or at the disk any more: let others at its blocks, and answer. */
static void finish(struct worker *w, struct io *io, uint64_t now_ns)
{
	struct disk *disk = io->disk;

	if (io->kind == IO_WRITE || io->kind == IO_FALLOCATE) /* granted, or waiting for it */
		for (struct range *ready = range_release(&io->file->ranges, &io->range); ready;
		     ready = ready->next_ready)
			enqueue(io_of_range(ready), now_ns);
	count(io, now_ns);
	io->file->active--;
	if (io->prev)
		io->prev->next = io->next;
	else
		disk->ios = io->next;
	if (io->next)
		io->next->prev = io->prev;
	io->link = NULL;
	*w->answers_end = io;
	w->answers_end = &io->link;
}

/*
 * Flushes of one file: those that arrive while one is on its way wait for the next, as that one
 * was submitted after all of them were received. One at a time is enough for any number.
 */
static void start_flush(struct worker *w, struct file *file, uint64_t now_ns)
{
	struct disk *disk = file->disk;
	struct slice *slice;

	if (file->flushing || file->flush_held || !file->flush_waiting)
		return;
	slice = fbs_flush_may_start(disk->fbs, file->leaf) ? pool_object(&w->pool, POOL_SLICE)
							   : NULL;
	if (!slice) {
		w->retry = true;
		file->flush_held = true;
		file->held_next = disk->held;
		disk->held = file;
		return;
	}
	file->flushing = true;
	file->flush_running = file->flush_waiting;
	file->flush_waiting = NULL;
	file->flush_waiting_end = &file->flush_waiting;
	*slice = (struct slice){.file = file, .disk = disk};
	slice->op.kind = RING_FLUSH;
	slice->op.fd = file->backing->fd;
	fbs_flush_start(disk->fbs, file->leaf, now_ns, &slice->flush);
	queue_issue(w, slice);
}

static void join_flush(struct worker *w, struct io *io, uint64_t now_ns)
{
	struct file *file = io->file;

	io->phase = IO_FLUSHING;
	io->link = NULL;
	*file->flush_waiting_end = io;
	file->flush_waiting_end = &io->link;
	start_flush(w, file, now_ns);
}

static void flush_done(struct worker *w, struct slice *slice, uint64_t now_ns)
{
	struct file *file = slice->file;
	struct io *next;

	fbs_flush_done(slice->disk->fbs, &slice->flush, now_ns);
	file->flushing = false;
	for (struct io *io = file->flush_running; io; io = next) {
		next = io->link;
		if (slice->op.error)
			io->error = slice->op.error;
		finish(w, io, now_ns);
	}
	file->flush_running = NULL;
	start_flush(w, file, now_ns);
}

static void retry_held_flushes(struct worker *w, struct disk *disk, uint64_t now_ns)
{
	struct file *file = disk->held, *next;

	disk->held = NULL;
	for (; file; file = next) {
		next = file->held_next;
		file->flush_held = false;
		start_flush(w, file, now_ns); /* or back onto the list */
	}
}

/* The blocks have been fetched: merge and write them back, still alone on the range. */
static void store(struct worker *w, struct io *io, uint64_t now_ns)
{
	memcpy(io->data + (io->pos_bytes - io->base_bytes), io->client_data, io->len_bytes);
	pool_buffer_free(&w->pool, io->client_buffer);
	io->client_buffer = NULL;
	io->phase = IO_STORE;
	io->req.op = FBS_WRITE;
	io->req.pos_bytes = io->range.start_bytes;
	io->req.end_bytes = io->range.end_bytes;
	enqueue(io, now_ns);
}

static void phase_done(struct worker *w, struct io *io, uint64_t now_ns)
{
	if (!io->error && io->phase == IO_FETCH)
		store(w, io, now_ns);
	else if (!io->error && io->dsync && io->kind == IO_WRITE)
		join_flush(w, io, now_ns);
	else
		finish(w, io, now_ns);
}

/* A read must bring all there is up to the end of the file as we know it. */
static int slice_error(struct slice *slice)
{
	uint64_t size = slice->file->size_bytes;
	uint64_t end = slice->grant.pos_bytes + slice->grant.len_bytes;

	if (slice->op.error || slice->op.kind != RING_READ)
		return slice->op.error;
	if (end > size)
		end = size;
	if (slice->grant.pos_bytes + slice->op.done_bytes >= end)
		return 0;
	slice->file->cut_short = true;
	return -EIO;
}

/* Beside the scheduler: it moves no data. */
static void start_seek(struct worker *w, struct io *io, uint64_t now_ns)
{
	struct slice *slice = pool_object(&w->pool, POOL_SLICE);

	if (!slice) {
		io->error = -ENOMEM;
		finish(w, io, now_ns);
		return;
	}
	*slice = (struct slice){.io = io, .file = io->file, .disk = io->disk};
	slice->op.kind = RING_SEEK;
	slice->op.fd = io->file->backing->fd;
	slice->op.mode = io->mode;
	slice->op.pos_bytes = io->file->backing->start_bytes + io->pos_bytes;
	queue_issue(w, slice);
}

static void seek_done(struct worker *w, const struct slice *slice, uint64_t now_ns)
{
	struct io *io = slice->io;
	uint64_t start = io->file->backing->start_bytes, size = io->file->size_bytes;

	io->error = slice->op.error;
	if (!io->error && slice->op.done_bytes - start < size)
		io->pos_bytes = slice->op.done_bytes - start;
	else if (!io->error && io->mode == SEEK_DATA)
		io->error = -ENXIO;
	else
		io->pos_bytes = size;
	finish(w, io, now_ns);
}

static void slice_done(struct worker *w, struct slice *slice, uint64_t now_ns)
{
	struct disk *disk = slice->disk;
	struct io *io = slice->io;
	int error;

	if (!io) {
		flush_done(w, slice, now_ns);
		pool_object_free(&w->pool, POOL_SLICE, slice);
		return;
	}
	worker_touch(w, io->unique);
	if (slice->op.kind == RING_SEEK) {
		seek_done(w, slice, now_ns);
		pool_object_free(&w->pool, POOL_SLICE, slice);
		return;
	}
	fbs_done(disk->fbs, &slice->grant, now_ns);
	if (slice->grant.op != FBS_DISCARD)
		histogram_add(&disk->counters->latency, between_ns(slice->grant.issued_ns, now_ns));
	disk->progress_ns = now_ns;
	io->outstanding--;
	error = slice_error(slice);
	if (error && (!io->error || slice->grant.pos_bytes < io->error_pos_bytes)) {
		io->error = error;
		io->error_pos_bytes = slice->grant.pos_bytes;
	}
	if (io->error && io->req.leaf) /* the rest has no more use */
		fbs_cancel(disk->fbs, &io->req);
	pool_object_free(&w->pool, POOL_SLICE, slice);
	if (!io->outstanding && !io->req.leaf)
		phase_done(w, io, now_ns);
}

static void admit(struct worker *w, struct io *io, uint64_t now_ns)
{
	struct disk *disk = io->disk;

	worker_touch(w, io->unique);
	io->file->active++;
	io->prev = NULL;
	io->next = disk->ios;
	if (disk->ios)
		disk->ios->prev = io;
	disk->ios = io;
	io->admitted_ns = now_ns;
	if (io->kind == IO_FLUSH) {
		join_flush(w, io, now_ns);
		return;
	}
	if (io->kind == IO_SEEK) {
		start_seek(w, io, now_ns);
		return;
	}
	if (io->phase == IO_FETCH) {
		io->client_buffer = io->buffer;
		io->client_data = io->data;
		io->buffer = NULL;
		io->data = NULL;
		io->base_bytes = io->range.start_bytes;
	}
	if (io->kind == IO_READ || range_acquire(&io->file->ranges, &io->range))
		enqueue(io, now_ns);
}

/* ---- what may go ---- */

static void fill_op(struct slice *slice)
{
	const struct fbs_slice *grant = &slice->grant;
	const struct backing *backing = slice->file->backing;
	struct io *io = slice->io;
	struct ring_op *op = &slice->op;

	op->fd = io->phase == IO_TAIL ? backing->fd_buffered : backing->fd;
	op->pos_bytes = backing->start_bytes + grant->pos_bytes;
	op->len_bytes = grant->len_bytes;
	op->align_bytes = backing->align_bytes;
	if (grant->op == FBS_DISCARD) {
		op->kind = RING_FALLOCATE;
		op->mode = io->mode;
		return;
	}
	op->kind = grant->op == FBS_READ ? RING_READ : RING_WRITE;
	op->data = io->data + (grant->pos_bytes - io->base_bytes);
	if (op->kind == RING_WRITE && io->dsync && grant->last &&
	    grant->pos_bytes == io->first_bytes) {
		op->mode = RWF_DSYNC; /* all of it in one: no flush afterwards */
		io->dsync = false;
	}
}

/*
 * Submitting to a file may read metadata of its file system first, on some (ext4) without regard
 * for NOWAIT. On a disk that seems to hang that must not take this thread with it.
 */
static bool is_stalled(struct disk *disk, uint64_t now_ns)
{
	if (!fbs_in_flight(disk->fbs))
		disk->progress_ns = now_ns;
	return now_ns > disk->progress_ns && now_ns - disk->progress_ns > STALLED_NS;
}

static void pump(struct worker *w, struct disk *disk, uint64_t now_ns)
{
	bool stalled = is_stalled(disk, now_ns);

	for (unsigned n = 0; n < ISSUE_MOST; n++) {
		struct slice *slice = pool_object(&w->pool, POOL_SLICE);
		struct io *io;

		if (!slice) {
			w->retry = true;
			return;
		}
		if (!fbs_next(disk->fbs, now_ns, &slice->grant)) {
			pool_object_free(&w->pool, POOL_SLICE, slice);
			return;
		}
		io = io_of_req(slice->grant.req);
		if (io->listed)
			waiting_remove(&w->crew->waiting, io);
		if (!io->issued_ns)
			io->issued_ns = now_ns;
		slice->op = (struct ring_op){0};
		slice->io = io;
		slice->file = io->file;
		slice->disk = disk;
		if (slice->grant.op == FBS_READ && !io->buffer) {
			io->buffer = pool_buffer(&w->pool, io->req.end_bytes - io->base_bytes);
			io->data = io->buffer ? buffer_payload(io->buffer) : NULL;
		}
		if (!io->data && slice->grant.op != FBS_DISCARD) {
			slice->op.error = -ENOMEM;
			io->outstanding++;
			slice_done(w, slice, now_ns);
			continue;
		}
		fill_op(slice);
		slice->op.async = io->file->backing->may_block ||
				  (stalled && !io->file->backing->id.is_block);
		io->outstanding++;
		queue_issue(w, slice);
	}
	worker_wake(w); /* there may be more: come back at once */
}

/* Queued at the scheduler, or waiting for its range, and nothing of it at the disk yet. */
static bool may_be_interrupted(const struct io *io)
{
	if (io->issued_ns)
		return false;
	return (io->kind == IO_READ && io->req.leaf) ||
	       (io->kind == IO_WRITE && (io->req.leaf || !io->range.granted));
}

/* Whoever was here last looks at it next: it cannot be asleep already. */
static void set_wakeup(struct worker *w, struct disk *disk)
{
	uint64_t wake_ns = fbs_wakeup(disk->fbs);

	atomic_store_explicit(&disk->wake_worker, w->index, memory_order_relaxed);
	atomic_store_explicit(&disk->wake_ns, wake_ns, memory_order_relaxed);
	w->timed = w->timed || wake_ns != FBS_NEVER;
}

void visit_disk(struct worker *w, const struct visit *visit, uint64_t now_ns)
{
	struct disk *disk = visit->disk;
	struct slice *next;

	pthread_mutex_lock(&disk->lock);
	for (struct slice *slice = visit->done; slice; slice = next) {
		next = slice->link;
		slice_done(w, slice, now_ns);
	}
	for (unsigned i = 0; i < w->n_fresh; i++)
		if (w->fresh[i] && w->fresh[i]->disk == disk)
			admit(w, w->fresh[i], now_ns);
	pump(w, disk, now_ns);
	if (disk->held)
		retry_held_flushes(w, disk, now_ns);
	for (unsigned i = 0; i < w->n_fresh; i++) {
		struct io *io = w->fresh[i];

		if (!io || io->disk != disk)
			continue;
		w->fresh[i] =
			NULL; /* others may take it on, answer and reuse it from the unlock on */
		if (may_be_interrupted(io) && waiting_add(&w->crew->waiting, io))
			worker_wake(
				&w->crew->workers[0]); /* it looks at such ones from time to time */
	}
	atomic_store_explicit(&disk->backlogged, fbs_queued(disk->fbs) != 0, memory_order_relaxed);
	set_wakeup(w, disk);
	pthread_mutex_unlock(&disk->lock);
}

void visit_fenced(struct file *file, uint64_t now_ns)
{
	pthread_mutex_lock(&file->disk->lock);
	for (struct range *ready = range_release(&file->ranges, &file->fence); ready;
	     ready = ready->next_ready)
		enqueue(io_of_range(ready), now_ns);
	file->active--;
	pthread_mutex_unlock(&file->disk->lock);
}

void visit_drop_killed(struct worker *w, struct disk *disk, uint64_t unique)
{
	struct io *io;

	pthread_mutex_lock(&disk->lock);
	io = waiting_find(&w->crew->waiting, unique);
	if (io) {
		waiting_remove(&w->crew->waiting, io);
		if (io->req.leaf)
			fbs_cancel(disk->fbs, &io->req);
		io->error = -EINTR;
		finish(w, io, io->admitted_ns);
	}
	pthread_mutex_unlock(&disk->lock);
}
