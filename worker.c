/* SPDX-License-Identifier: MIT */
/*
 * worker.c - one request from the kernel to the disk and back. Start with worker.h.
 *
 *   read_requests   /dev/fuse -> struct io            (request.c checks it)
 *   visit           under the disk's lock: what came back is accounted, what is new is queued, what
 *                   may go is taken from the scheduler as slices
 *   ring_submit     slices -> disk                    (ring.c finishes short ones)
 *   answer          after the lock is dropped, after the disk is busy again
 *
 * A round reads only a few requests before it submits, so that the disk starts early; but always at
 * least twice as many as it completed, so that when the processor is the bottleneck requests queue
 * up in the scheduler, where weights count, and not in the kernel's FIFO.
 */
#include "worker.h"
#include "log.h"
#include "ring.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#define READ_LEAST 8U /* requests of a round */
#define READ_MOST 128U
#define REAP_MOST 64U	/* completions of a round */
#define ISSUE_MOST 128U /* slices taken in one visit to a disk */
#define VISITS (READ_MOST + REAP_MOST)

/* From here on a payload keeps the buffer it was read into; a smaller one is copied to its own. */
#define HAND_OVER_BYTES ((size_t)64 << 10)
#define HAND_OVER_QUEUED_BYTES ((size_t)512 << 10)

#define STALLED_NS UINT64_C(100000000) /* a disk from which nothing comes back for so long hangs \
					*/
#define PARK_NS UINT64_C(2000000000)   /* a round takes milliseconds */
#define WATCH_NS UINT64_C(100000000)   /* how often interrupted callers are looked at */
#define RETRY_NS UINT64_C(2000000)     /* without memory, or at the cap of it */

enum { WATCH_FUSE, WATCH_WAKE };

/* A part of a request at the disk, or (io NULL) a flush of a file's backing. */
struct slice {
	struct ring_op op; /* first: completions come back as its address */
	struct fbs_slice grant;
	struct fbs_flush flush;
	struct io *io;
	struct file *file;
	struct disk *disk;
	struct slice *link;
};

struct worker {
	struct crew *crew;
	unsigned index;
	pthread_t thread;
	bool started, ring_made;
	int start_result; /* park_lock: 1 = not known yet, 0 = runs, -errno */
	int wake_fd;
	struct ring ring;
	struct pool pool;
	struct front_session session;
	struct buffer *landing; /* the next request is read into it */
	struct io *spare;	/* the next request becomes it */
	bool more;		/* the kernel may have more requests */
	bool retry;		/* something could not be done for want of memory */
	uint64_t watched_ns;

	/* of the round */
	struct io *fresh[READ_MOST];
	unsigned n_fresh;
	struct visit {
		struct disk *disk;
		struct slice *done;
	} visits[VISITS];
	unsigned n_visits;
	struct slice *issue, **issue_end;
	struct io *answers, **answers_end;

	_Atomic unsigned begun, answered;
	_Atomic int64_t held_bytes; /* of write payloads; may be negative: others answer, too */
};

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

static void signal_event(int fd)
{
	uint64_t one = 1;
	ssize_t n = write(fd, &one, sizeof(one));

	(void)n; /* it can only be full, and then it is readable already */
}

/* ---- under the disk's lock: the life of a queued request ---- */

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

static void count(struct io *io, uint64_t now_ns)
{
	struct file_counters *c = &io->file->counters;

	c->errors += io->error && io->error != -EINTR;
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
	c->wait_ns += io->issued_ns - io->admitted_ns;
	c->service_ns += now_ns - io->issued_ns;
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
static int slice_error(const struct slice *slice)
{
	uint64_t size = slice->file->size_bytes;
	uint64_t end = slice->grant.pos_bytes + slice->grant.len_bytes;

	if (slice->op.error || slice->op.kind != RING_READ)
		return slice->op.error;
	if (end > size)
		end = size;
	return slice->grant.pos_bytes + slice->op.done_bytes < end ? -EIO : 0;
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
	fbs_done(disk->fbs, &slice->grant, now_ns);
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

/* ---- under the disk's lock: what may go ---- */

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
	struct fbs_stats stats;

	fbs_stats(disk->fbs, &stats);
	if (!stats.in_flight)
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
	signal_event(w->wake_fd); /* there may be more: come back at once */
}

/* A queued request was interrupted: the first worker looks at such ones from time to time. */
static void observe(struct worker *w)
{
	signal_event(w->crew->workers[0].wake_fd);
}

/* Queued at the scheduler, or waiting for its range, and nothing of it at the disk yet. */
static bool may_be_interrupted(const struct io *io)
{
	if (io->issued_ns)
		return false;
	return (io->kind == IO_READ && io->req.leaf) ||
	       (io->kind == IO_WRITE && (io->req.leaf || !io->range.granted));
}

static void visit(struct worker *w, struct visit *visit, uint64_t now_ns)
{
	struct disk *disk = visit->disk;
	struct slice *next;
	struct fbs_stats stats;

	pthread_mutex_lock(&disk->lock);
	for (struct slice *slice = visit->done; slice; slice = next) {
		next = slice->link;
		slice_done(w, slice, now_ns);
	}
	for (unsigned i = 0; i < w->n_fresh; i++)
		if (w->fresh[i]->disk == disk)
			admit(w, w->fresh[i], now_ns);
	pump(w, disk, now_ns);
	if (disk->held)
		retry_held_flushes(w, disk, now_ns);
	for (unsigned i = 0; i < w->n_fresh; i++) {
		struct io *io = w->fresh[i];

		if (io->disk == disk && may_be_interrupted(io) &&
		    waiting_add(&w->crew->waiting, io))
			observe(w);
	}
	fbs_stats(disk->fbs, &stats);
	atomic_store_explicit(&disk->backlogged, stats.queued != 0, memory_order_relaxed);
	pthread_mutex_unlock(&disk->lock);
}

static struct visit *visit_to(struct worker *w, struct disk *disk)
{
	for (unsigned i = 0; i < w->n_visits; i++)
		if (w->visits[i].disk == disk)
			return &w->visits[i];
	w->visits[w->n_visits] = (struct visit){.disk = disk};
	return &w->visits[w->n_visits++];
}

/* ---- without a lock ---- */

static void free_io(struct worker *w, struct io *io)
{
	pool_buffer_free(&w->pool, io->buffer);
	pool_buffer_free(&w->pool, io->client_buffer);
	pool_object_free(&w->pool, POOL_IO, io);
}

static void report_error(const struct io *io)
{
	static struct log_limit limit;
	static const char *const names[] = {[IO_READ] = "read",
					    [IO_WRITE] = "write",
					    [IO_FLUSH] = "flush",
					    [IO_FALLOCATE] = "discard",
					    [IO_SEEK] = "seek"};
	unsigned missed;

	if (io->error == -EINTR || io->error == -EOPNOTSUPP ||
	    !log_allowed(&limit, clock_ns(), &missed))
		return;
	if (missed)
		log_error("%u errors were not logged", missed);
	log_error("%s: %s of %llu bytes at %llu failed: %s", io->file->name, names[io->kind],
		  (unsigned long long)io->len_bytes, (unsigned long long)io->pos_bytes,
		  strerror(-io->error));
}

static void answer(struct worker *w, struct io *io)
{
	int r;

	if (io->error)
		report_error(io);
	r = request_answer(io);
	if (r && r != -ENOENT && r != -ENODEV) /* the caller, or all of the mount, is gone */
		log_error("%s: the kernel refused an answer: %s", io->file->name, strerror(-r));
	atomic_fetch_sub_explicit(&w->held_bytes, io->held_bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&w->answered, 1, memory_order_relaxed);
	free_io(w, io);
}

static void answer_all(struct worker *w)
{
	struct io *next;

	for (struct io *io = w->answers; io; io = next) {
		next = io->link;
		answer(w, io);
	}
	w->answers = NULL;
	w->answers_end = &w->answers;
}

/* lseek() may wait for the disk, and io_uring has none: a thread of its own, as long as it takes.
 */
struct seek_job {
	struct crew *crew;
	uint64_t size_bytes;
	struct io io;
};

static void *seek_main(void *arg)
{
	struct seek_job *job = arg;
	struct io *io = &job->io;
	struct file *file = io->file;
	uint64_t start = file->backing->start_bytes;
	off_t at = lseek(file->backing->fd, (off_t)(start + io->pos_bytes), io->mode);

	if (at < 0) {
		io->error = -errno;
	} else if ((uint64_t)at - start < job->size_bytes) {
		io->pos_bytes = (uint64_t)at - start;
	} else if (io->mode == SEEK_DATA) {
		io->error = -ENXIO;
	} else {
		io->pos_bytes = job->size_bytes;
	}
	/* until it is answered the caller has the file open, afterwards it may be gone */
	pthread_mutex_lock(&io->disk->lock);
	file->active--;
	pthread_mutex_unlock(&io->disk->lock);
	request_answer(io);
	atomic_fetch_sub(&job->crew->seekers, 1);
	free(job);
	return NULL;
}

static void start_seek(struct worker *w, const struct io *io)
{
	struct seek_job *job = malloc(sizeof(*job));
	pthread_attr_t attr;
	pthread_t thread;
	int r = ENOMEM;

	if (job) {
		*job = (struct seek_job){
			.crew = w->crew, .size_bytes = io->file->size_bytes, .io = *io};
		pthread_mutex_lock(&io->disk->lock);
		io->file->active++;
		pthread_mutex_unlock(&io->disk->lock);
		atomic_fetch_add(&w->crew->seekers, 1);
		pthread_attr_init(&attr);
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		r = pthread_create(&thread, &attr, seek_main, job);
		pthread_attr_destroy(&attr);
		if (!r)
			return;
		pthread_mutex_lock(&io->disk->lock);
		io->file->active--;
		pthread_mutex_unlock(&io->disk->lock);
		atomic_fetch_sub(&w->crew->seekers, 1);
		free(job);
	}
	request_answer_error(io->fd, io->unique, -r);
}

/* The caller of a queued request is being killed: it gets its EINTR, nobody else notices. */
static void drop_killed(struct worker *w, struct disk *disk, uint64_t unique)
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

static void interrupt(struct worker *w, uint64_t unique)
{
	uint32_t pid = 0;
	struct disk *disk = waiting_interrupt(&w->crew->waiting, unique, &pid);

	if (disk && waiting_caller_killed(pid))
		drop_killed(w, disk, unique);
	else if (disk)
		observe(w);
}

static void look_at_interrupted(struct worker *w)
{
	struct waiting_watch list[256];
	unsigned n = waiting_watched(&w->crew->waiting, list, 256);

	for (unsigned i = 0; i < n; i++)
		if (waiting_caller_killed(list[i].pid))
			drop_killed(w, list[i].disk, list[i].unique);
}

/* The payload of a write that has just been read: in place, or in a buffer of its size. */
static bool keep_payload(struct worker *w, struct io *io)
{
	size_t least = atomic_load_explicit(&io->disk->backlogged, memory_order_relaxed)
			       ? HAND_OVER_QUEUED_BYTES
			       : HAND_OVER_BYTES;

	if (io->len_bytes >= least) {
		io->buffer = w->landing;
		w->landing = NULL;
		return true;
	}
	io->buffer = pool_buffer(&w->pool, io->len_bytes);
	if (!io->buffer)
		return false;
	memcpy(buffer_payload(io->buffer), io->data, io->len_bytes);
	io->data = buffer_payload(io->buffer);
	return true;
}

static void begin(struct worker *w, struct io *io)
{
	if (io->kind == IO_SEEK) {
		start_seek(w, io);
		return;
	}
	if (io->kind == IO_WRITE && !keep_payload(w, io)) {
		request_answer_error(io->fd, io->unique, -ENOMEM);
		return;
	}
	w->spare = NULL;
	w->fresh[w->n_fresh++] = io;
	visit_to(w, io->disk);
	if (io->buffer)
		io->held_bytes = (int64_t)pool_buffer_bytes(io->buffer);
	if (io->phase == IO_FETCH)
		io->held_bytes += (int64_t)(io->req.end_bytes - io->req.pos_bytes);
	atomic_fetch_add_explicit(&w->held_bytes, io->held_bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&w->begun, 1, memory_order_relaxed);
}

static bool memory_is_full(struct crew *crew)
{
	int64_t held = 0;
	bool full;

	for (unsigned i = 0; i < crew->n_workers; i++)
		held += atomic_load_explicit(&crew->workers[i].held_bytes, memory_order_relaxed);
	full = held > 0 && (uint64_t)held >= crew->memory_bytes;
	if (full && !atomic_exchange(&crew->memory_told, true))
		log_warning("queued writes fill the memory set aside for them (%llu MiB): no more "
			    "requests "
			    "are read until some are done; `memory` in [fuseband] raises the limit",
			    (unsigned long long)(crew->memory_bytes >> 20));
	else if (!full && held < (int64_t)(crew->memory_bytes / 2))
		atomic_store_explicit(&crew->memory_told, false, memory_order_relaxed);
	return full;
}

/* Room for one more request. */
static bool ready_to_read(struct worker *w)
{
	if (!w->landing)
		w->landing = pool_buffer(&w->pool, REQUEST_PAYLOAD_MAX);
	if (!w->spare)
		w->spare = pool_object(&w->pool, POOL_IO);
	return w->landing && w->spare;
}

static void stop_reading(struct worker *w)
{
	w->more = false;
	ring_watch(&w->ring, WATCH_FUSE, -1, false);
}

static void read_requests(struct worker *w, unsigned most)
{
	struct crew *crew = w->crew;

	if (ring_watch_ready(&w->ring, WATCH_FUSE))
		w->more = true;
	if (!w->more && ring_watch_armed(&w->ring, WATCH_FUSE))
		return; /* it would have told */
	if (atomic_load_explicit(&crew->draining, memory_order_relaxed)) {
		stop_reading(w);
		return;
	}
	if (memory_is_full(crew)) {
		w->retry = true;
		return;
	}
	/* all kinds count, so that cheap ones cannot keep us from those at the disk */
	for (unsigned reads = 0; reads < most; reads++) {
		char *header;
		ssize_t n;

		if (!ready_to_read(w)) {
			w->retry = true;
			return;
		}
		header = buffer_payload(w->landing) - REQUEST_HEADER_BYTES;
		n = read(w->session.fd, header, REQUEST_HEADER_BYTES + REQUEST_PAYLOAD_MAX);
		if (n < 0 && (errno == EINTR || errno == ENOENT))
			continue;
		if (n < 0) {
			w->more = false;
			if (errno == EAGAIN)
				return;
			if (errno != ENODEV)
				log_error("reading requests failed: %s", strerror(errno));
			stop_reading(w);
			atomic_store(&crew->unmounted, true);
			signal_event(crew->event_fd);
			return;
		}
		switch (request_decode(crew->mount, header, (size_t)n, w->session.fd, w->spare)) {
		case REQUEST_IO:
			begin(w, w->spare);
			break;
		case REQUEST_ANSWER:
			request_answer(w->spare);
			break;
		case REQUEST_INTERRUPT:
			interrupt(w, w->spare->unique);
			break;
		case REQUEST_OTHER:
			front_process(&w->session, header, (size_t)n);
			if (atomic_load_explicit(&crew->mount->garbage, memory_order_relaxed))
				signal_event(crew->event_fd);
			break;
		case REQUEST_BROKEN:
			log_error("a malformed request of %zd bytes was dropped", n);
			break;
		}
	}
}

static void submit(struct worker *w)
{
	struct slice *next;

	for (struct slice *slice = w->issue; slice; slice = next) {
		next = slice->link;
		ring_queue(&w->ring, &slice->op);
	}
	w->issue = NULL;
	w->issue_end = &w->issue;
	ring_submit(&w->ring);
}

static void park(struct crew *crew)
{
	pthread_mutex_lock(&crew->park_lock);
	crew->parked++;
	pthread_cond_broadcast(&crew->park_changed);
	while (atomic_load(&crew->parking))
		pthread_cond_wait(&crew->park_changed, &crew->park_lock);
	crew->parked--;
	pthread_cond_broadcast(&crew->park_changed);
	pthread_mutex_unlock(&crew->park_lock);
}

static void sleep_until_needed(struct worker *w)
{
	bool observing = !w->index &&
			 atomic_load_explicit(&w->crew->waiting.interrupted, memory_order_relaxed);

	/* set before the wake-up that this round may have consumed */
	if (atomic_load(&w->crew->parking) || atomic_load(&w->crew->leaving))
		return;
	ring_wait(&w->ring, w->retry ? RETRY_NS : observing ? WATCH_NS : 0);
}

/*
 * The main thread, or pump() itself, wants every disk looked at: a window may have opened. Or
 * something could not be done in the last round.
 */
static void visit_all_if_woken(struct worker *w, bool retry, uint64_t now_ns)
{
	const struct mount *mount = w->crew->mount;
	uint64_t n;

	if (ring_watch_ready(&w->ring, WATCH_WAKE) && read(w->wake_fd, &n, sizeof(n)) > 0)
		retry = true;
	if (!retry)
		return;
	w->n_fresh = 0;
	for (size_t i = 0; i < mount->n_disks; i++)
		visit(w, &(struct visit){.disk = mount->disks[i]}, now_ns);
}

static void round_of(struct worker *w)
{
	struct ring_op *ops[REAP_MOST];
	unsigned n = ring_reap(&w->ring, ops, REAP_MOST);
	unsigned most = 2 * n > READ_LEAST ? 2 * n : READ_LEAST;
	bool retried = w->retry;
	uint64_t now_ns;

	w->n_fresh = 0;
	w->n_visits = 0;
	for (unsigned i = n; i-- > 0;) {
		struct slice *slice = (struct slice *)(void *)ops[i];
		struct visit *v = visit_to(w, slice->disk);

		slice->link = v->done;
		v->done = slice;
	}
	w->retry = false;
	read_requests(w, most < READ_MOST ? most : READ_MOST);
	now_ns = clock_ns();
	for (unsigned i = 0; i < w->n_visits; i++)
		visit(w, &w->visits[i], now_ns);
	visit_all_if_woken(w, retried, now_ns);
	if (!w->index && now_ns - w->watched_ns > WATCH_NS &&
	    atomic_load_explicit(&w->crew->waiting.interrupted, memory_order_relaxed)) {
		w->watched_ns = now_ns;
		look_at_interrupted(w);
	}
	submit(w);
	answer_all(w);
	if (w->retry || (!w->more && !ring_has_completions(&w->ring)))
		sleep_until_needed(w);
}

/* In its own thread: a ring belongs to the thread that makes it. */
static int make_ring(struct worker *w)
{
	int r = ring_init(&w->ring);

	if (r) {
		log_error("io_uring is not available: %s%s", strerror(-r),
			  r == -EPERM || r == -ENOSYS
				  ? " (see the sysctl kernel.io_uring_disabled, or the seccomp "
				    "profile of the container)"
				  : "");
	} else {
		w->ring_made = true;
		ring_watch(&w->ring, WATCH_FUSE, w->session.fd, true);
		ring_watch(&w->ring, WATCH_WAKE, w->wake_fd, false);
	}
	pthread_mutex_lock(&w->crew->park_lock);
	w->start_result = r;
	pthread_cond_broadcast(&w->crew->park_changed);
	pthread_mutex_unlock(&w->crew->park_lock);
	return r;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct crew *crew = w->crew;

	if (make_ring(w))
		return NULL;
	while (!atomic_load_explicit(&crew->leaving, memory_order_acquire)) {
		if (atomic_load_explicit(&crew->parking, memory_order_acquire))
			park(crew);
		else
			round_of(w);
	}
	return NULL;
}

/* ---- the crew: main thread ---- */

static int worker_init(struct worker *w, struct crew *crew, unsigned index)
{
	w->crew = crew;
	w->index = index;
	w->more = true;
	w->issue_end = &w->issue;
	w->answers_end = &w->answers;
	pool_init(&w->pool, &crew->depot);
	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->wake_fd < 0)
		return -errno;
	return front_session_open(crew->front, &w->session);
}

static void worker_fini(struct worker *w)
{
	if (w->ring_made)
		ring_destroy(&w->ring);
	if (w->session.session)
		front_session_close(&w->session);
	if (w->wake_fd >= 0)
		close(w->wake_fd);
	pool_buffer_free(&w->pool, w->landing);
	if (w->spare)
		pool_object_free(&w->pool, POOL_IO, w->spare);
	pool_destroy(&w->pool);
}

int crew_create(struct mount *mount, struct front *front, unsigned n, uint64_t memory_bytes,
		struct crew **ret_crew)
{
	struct crew *crew = calloc(1, sizeof(*crew));
	pthread_condattr_t attr;
	int r = -ENOMEM;

	if (!crew)
		return r;
	crew->mount = mount;
	crew->front = front;
	front->unmounted = &crew->unmounted;
	crew->memory_bytes = memory_bytes;
	depot_init(&crew->depot, sizeof(struct io), sizeof(struct slice));
	waiting_init(&crew->waiting);
	pthread_mutex_init(&crew->park_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&crew->park_changed, &attr);
	pthread_condattr_destroy(&attr);
	crew->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	crew->workers = calloc(n, sizeof(*crew->workers));
	if (crew->workers && crew->event_fd >= 0)
		for (r = 0; crew->n_workers < n && r >= 0;)
			r = worker_init(&crew->workers[crew->n_workers], crew, crew->n_workers),
			crew->n_workers++;
	if (r < 0) {
		crew_destroy(crew);
		return r;
	}
	*ret_crew = crew;
	return 0;
}

int crew_start(struct crew *crew)
{
	int r = 0;

	for (unsigned i = 0; i < crew->n_workers && !r; i++) {
		struct worker *w = &crew->workers[i];

		w->start_result = 1;
		r = -pthread_create(&w->thread, NULL, worker_main, w);
		if (r) {
			log_error("cannot start a thread: %s", strerror(-r));
			break;
		}
		w->started = true;
		pthread_mutex_lock(&crew->park_lock);
		while (w->start_result > 0)
			pthread_cond_wait(&crew->park_changed, &crew->park_lock);
		r = w->start_result;
		pthread_mutex_unlock(&crew->park_lock);
		if (r) {
			pthread_join(w->thread, NULL);
			w->started = false;
		}
	}
	return r;
}

static void wake_all(struct crew *crew)
{
	for (unsigned i = 0; i < crew->n_workers; i++)
		signal_event(crew->workers[i].wake_fd);
}

bool crew_park(struct crew *crew)
{
	unsigned running = 0;
	struct timespec until;
	bool done;

	for (unsigned i = 0; i < crew->n_workers; i++)
		running += crew->workers[i].started;
	atomic_store_explicit(&crew->parking, true, memory_order_release);
	wake_all(crew);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(PARK_NS / UINT64_C(1000000000));
	pthread_mutex_lock(&crew->park_lock);
	while (crew->parked < running &&
	       !pthread_cond_timedwait(&crew->park_changed, &crew->park_lock, &until))
		;
	done = crew->parked >= running;
	pthread_mutex_unlock(&crew->park_lock);
	if (!done) {
		log_error("a worker does not answer: it waits for a disk that hangs");
		crew_resume(crew);
	}
	return done;
}

void crew_resume(struct crew *crew)
{
	pthread_mutex_lock(&crew->park_lock);
	atomic_store(&crew->parking, false);
	pthread_cond_broadcast(&crew->park_changed);
	while (crew->parked)
		pthread_cond_wait(&crew->park_changed, &crew->park_lock);
	pthread_mutex_unlock(&crew->park_lock);
	wake_all(crew); /* look at every disk once: its window may have grown */
}

void crew_drain(struct crew *crew)
{
	atomic_store(&crew->draining, true);
}

void crew_leave(struct crew *crew)
{
	atomic_store(&crew->leaving, true);
	wake_all(crew);
}

unsigned crew_unanswered(const struct crew *crew)
{
	unsigned begun = 0, answered = 0;

	/* answers first: a request that moves on meanwhile counts twice rather than not at all */
	for (unsigned i = 0; i < crew->n_workers; i++)
		answered += atomic_load(&crew->workers[i].answered);
	for (unsigned i = 0; i < crew->n_workers; i++)
		begun += atomic_load(&crew->workers[i].begun);
	return begun - answered + atomic_load(&crew->seekers);
}

unsigned crew_abandon(struct crew *crew)
{
	unsigned n = 0;

	for (size_t i = 0; i < crew->mount->n_disks; i++) {
		struct disk *disk = crew->mount->disks[i];

		pthread_mutex_lock(&disk->lock);
		for (struct io *io = disk->ios; io; io = io->next, n++)
			request_answer_error(io->fd, io->unique, -EIO);
		pthread_mutex_unlock(&disk->lock);
	}
	return n;
}

unsigned crew_destroy(struct crew *crew)
{
	unsigned in_flight;

	if (!crew)
		return 0;
	atomic_store(&crew->leaving, true);
	if (atomic_load(&crew->parking))
		crew_resume(crew);
	crew_leave(crew);
	for (unsigned i = 0; i < crew->n_workers; i++)
		if (crew->workers[i].started)
			pthread_join(crew->workers[i].thread, NULL);
	in_flight = crew_unanswered(crew);
	if (in_flight)
		return in_flight;
	for (unsigned i = 0; i < crew->n_workers; i++)
		worker_fini(&crew->workers[i]);
	free(crew->workers);
	if (crew->event_fd >= 0)
		close(crew->event_fd);
	waiting_destroy(&crew->waiting);
	depot_destroy(&crew->depot);
	pthread_mutex_destroy(&crew->park_lock);
	pthread_cond_destroy(&crew->park_changed);
	free(crew);
	return 0;
}
