/* SPDX-License-Identifier: MIT */
/*
 * worker.c - one request from the kernel to the disk and back. Start with worker.h.
 *
 *   read_requests   /dev/fuse -> struct io            (request.c checks it)
 *   visit_disk      (visit.c) under the disk's lock: what came back is accounted, what is new is
 *                   queued, what may go is taken from the scheduler as slices
 *   ring_submit     slices -> disk (ring.c finishes short ones)
 *   answer          after the lock is dropped, after the disk is busy again
 *
 * A round reads only a few requests before it submits, and gives only a few answers before it looks
 * for requests again, both the fewer the less is at the disk: an answer is what makes a client send
 * more, and a disk that has run dry waits meanwhile. (One that tells of what it has done only when
 * it has run dry, as many virtual disks do, lost a sixth of its speed when all answers were given
 * first.) But always at least twice as many are read as have just been answered, so that when the
 * processor is the bottleneck requests queue up in the scheduler, where weights count, and not in
 * the kernel's FIFO. Where nothing else is under way it reads one and sleeps on: whoever waits for
 * an answer sends no second one, and if there is one, it does not sleep.
 */
#include "clock.h"
#include "log.h"
#include "privilege.h"
#include "visit.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

/* From here on a payload keeps the buffer it was read into; a smaller one is copied to its own. */
#define HAND_OVER_BYTES ((size_t)64 << 10)
#define HAND_OVER_QUEUED_BYTES ((size_t)512 << 10)

#define WATCH_NS UINT64_C(100000000) /* how often interrupted callers are looked at */
#define RETRY_NS UINT64_C(2000000)   /* without memory, or at the cap of it */
#define LOOK_NS UINT64_C(50000000)   /* how often a worker looks whether another is stuck */
#define LOAD_BYTES 32768U	     /* reading and answering so many is as much as a request */

#define BEAT_NS UINT64_C(1000000000) /* a sign of life, where somebody looks for it */
/*
 * Another worker helps one that has been busy for so long, with no sleep of REST_NS: before that it
 * is only in the way of the clients, which need a processor to send the next requests.
 */
#define HELP_NS UINT64_C(500000)
#define REST_NS UINT64_C(50000)
#define START_LOAD 4U /* what a disk that has nothing to do is given first */

enum { WATCH_FUSE, WATCH_WAKE };

static _Thread_local struct worker *myself;
static _Thread_local uint64_t touched; /* by who is no worker */

/* Only one thread changes it. */
#define BUMP(counter, by)                                                                    \
	atomic_store_explicit(&(counter),                                                    \
			      atomic_load_explicit(&(counter), memory_order_relaxed) + (by), \
			      memory_order_relaxed)

static void signal_event(int fd)
{
	uint64_t one = 1;
	ssize_t n = write(fd, &one, sizeof(one));

	(void)n; /* it can only be full, and then it is readable already */
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

/* One more of what may happen a million times. Each kind has a limit of its own. */
static bool is_to_be_logged(struct log_limit *limit)
{
	unsigned missed;

	if (!log_allowed(limit, monotonic_ns(), &missed))
		return false;
	if (missed)
		log_error("%u errors were not logged", missed);
	return true;
}

static void report_error(const struct io *io)
{
	static struct log_limit limit;
	static const char *const names[] = {[IO_READ] = "read",
					    [IO_WRITE] = "write",
					    [IO_FLUSH] = "flush",
					    [IO_FALLOCATE] = "discard",
					    [IO_SEEK] = "seek"};

	if (!io_failed(io) || !is_to_be_logged(&limit))
		return;
	log_error("%s: %s of %llu bytes at %llu failed: %s", io->file->name, names[io->kind],
		  (unsigned long long)io->len_bytes, (unsigned long long)io->pos_bytes,
		  strerror(-io->error));
}

/*
 * A device that was removed, or made smaller, has no room for a write and no such range to punch,
 * as the kernel has it. For its user that is a disk that fails, not one that is full.
 */
static void blame_device(struct io *io)
{
	const struct backing *backing = io->file->backing;
	uint64_t end = backing->start_bytes + io->pos_bytes + io->len_bytes, size;

	if ((io->error == -ENOSPC || io->error == -EINVAL) && backing->id.is_block &&
	    !backing_object_size(backing, &size) && size < end)
		io->error = -EIO;
}

static void answer(struct worker *w, struct io *io)
{
	static struct log_limit limit;
	int r;

	worker_touch(w, io->unique);
	if (io->error) {
		blame_device(io);
		report_error(io);
	}
	r = request_answer(io);
	/* unless the caller, or all of the mount, is gone */
	if (r && r != -ENOENT && r != -ENODEV && is_to_be_logged(&limit))
		log_error("%s: the kernel refused an answer: %s", io->file->name, strerror(-r));
	BUMP(w->held_bytes, -io->held_bytes);
	BUMP(w->answered, 1);
	free_io(w, io);
}

static unsigned load_of(const struct io *io)
{
	return 1 + (unsigned)(io->len_bytes / LOAD_BYTES);
}

/* So much of what is to be answered. */
static void answer_load(struct worker *w, unsigned most)
{
	w->n_answered = 0;
	for (unsigned load = 0; w->answers && load < most;) {
		struct io *io = w->answers;

		w->answers = io->link;
		w->n_answered++;
		load += load_of(io);
		answer(w, io);
	}
	if (!w->answers)
		w->answers_end = &w->answers;
}

static void interrupt(struct worker *w, uint64_t unique)
{
	uint32_t pid = 0;
	struct disk *disk = waiting_interrupt(&w->crew->waiting, unique, &pid);

	if (disk && waiting_caller_killed(pid))
		visit_drop_killed(w, disk, unique);
	else if (disk)
		worker_wake(&w->crew->workers[0]);
}

static void look_at_interrupted(struct worker *w)
{
	struct waiting_watch list[256];
	unsigned n = waiting_watched(&w->crew->waiting, list, 256);

	for (unsigned i = 0; i < n; i++)
		if (waiting_caller_killed(list[i].pid))
			visit_drop_killed(w, list[i].disk, list[i].unique);
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
	w->load += load_of(io);
	BUMP(w->held_bytes, io->held_bytes);
	BUMP(w->begun, 1);
}

static int64_t held_bytes(const struct crew *crew)
{
	int64_t held = 0;

	for (unsigned i = 0; i < crew->n_workers; i++)
		held += atomic_load_explicit(&crew->workers[i].held_bytes, memory_order_relaxed);
	return held;
}

/* What came and went changes how many more the kernel may let in. */
static void adjust_gate(struct crew *crew)
{
	uint64_t memory = crew->memory_bytes;
	int64_t held = held_bytes(crew);

	gate_adjust(&crew->gate, memory, held, crew_unanswered(crew));
	if (gate_is_shut(memory, held)) {
		if (!atomic_exchange(&crew->mount->memory_short, true)) {
			atomic_fetch_add(&mount_kept(crew->mount)->memory_missed, 1);
			log_warning("queued writes fill the memory set aside for them (%llu MiB): "
				    "more of them wait until some are done; `memory` in [fuseband] "
				    "raises the limit",
				    (unsigned long long)(memory >> 20));
		}
	} else if (held < (int64_t)(memory / 2) &&
		   atomic_load_explicit(&crew->mount->memory_short, memory_order_relaxed)) {
		atomic_store(&crew->mount->memory_short, false);
	}
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
	w->deaf = true;
}

/* Some other worker is to help reading, if this one has too much to do. */
static void call_help(struct worker *w)
{
	struct crew *crew = w->crew;

	if (w->now_ns - w->rested_ns < HELP_NS)
		return;
	for (unsigned i = 0; i < crew->n_workers; i++) {
		struct worker *other = &crew->workers[i];

		if (other == w || atomic_load_explicit(&other->rounds, memory_order_relaxed) % 2 ||
		    atomic_exchange(&other->called, true))
			continue;
		signal_event(other->wake_fd);
		return;
	}
}

/* One that has crashed others before us is not looked at again. */
static bool is_poison(struct worker *w, const char *header, size_t n)
{
	const struct fuse_in_header *in = (const void *)header;

	if (n < sizeof(*in))
		return false;
	worker_touch(w, in->unique);
	if (!w->crew->keep || !keep_is_poison(w->crew->keep, in->unique))
		return false;
	log_error("request %llu of type %u has ended several processes and is answered with EIO",
		  (unsigned long long)(in->unique & ~KEEP_RESENT), in->opcode);
	request_answer_error(w->session.fd, in->unique, -EIO);
	return true;
}

/* Not by the kernel, but whoever may write to the mount's /dev/fuse can have it send anything. */
static void report_malformed(ssize_t n)
{
	static struct log_limit limit;

	if (is_to_be_logged(&limit))
		log_error("a malformed request of %zd bytes was dropped", n);
}

static void read_requests(struct worker *w)
{
	unsigned must = 2 * w->n_answered < READ_MOST ? 2 * w->n_answered : READ_MOST;
	unsigned most = must > READ_LEAST ? must : READ_LEAST;
	struct crew *crew = w->crew;
	/* while so much more is read the disk does not run dry */
	unsigned thirst = w->ring.in_flight ? 2 * w->ring.in_flight : START_LOAD;
	bool lone = false, asked = false;

	if (w->deaf)
		return;
	if (ring_watch_ready(&w->ring, WATCH_FUSE))
		w->more = lone = true;
	if (!w->more && ring_watch_armed(&w->ring, WATCH_FUSE))
		return; /* it would have told */
	if (atomic_load_explicit(&crew->draining, memory_order_relaxed)) {
		stop_reading(w);
		return;
	}
	lone = lone && !crew_unanswered(crew);
	/* the last resort, as everybody waits then: see gate.h for what comes before it */
	if (held_bytes(crew) >= (int64_t)crew->memory_bytes) {
		w->retry = true;
		return;
	}
	/* all kinds count, so that cheap ones cannot keep us from those at the disk; large ones
	 * more, so that others get some of them */
	for (unsigned reads = 0; reads < must || (reads < most && w->load < 2 * READ_LEAST);
	     reads++) {
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
				log_error("reading requests failed: %s; the mount ends, start it "
					  "again",
					  strerror(errno));
			stop_reading(w);
			atomic_store(&crew->unmounted, true);
			signal_event(crew->event_fd);
			return;
		}
		if (w->load >= READ_LEAST && !asked)
			call_help(w);
		asked = w->load >= READ_LEAST;
		if (is_poison(w, header, (size_t)n))
			continue;
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
			report_malformed(n);
			break;
		}
		if (lone) {
			w->more = false;
			return;
		}
		/* the disk first; if it has more than it takes anyway, they only move queues */
		if (w->n_fresh >= thirst &&
		    !atomic_load_explicit(&w->fresh[w->n_fresh - 1]->disk->backlogged,
					  memory_order_relaxed))
			break;
	}
	if (w->load >= READ_LEAST && !asked)
		call_help(w);
}

static void prepare(struct worker *w)
{
	struct slice *next;

	for (struct slice *slice = w->issue; slice; slice = next) {
		next = slice->link;
		ring_queue(&w->ring, &slice->op);
	}
	w->issue = NULL;
	w->issue_end = &w->issue;
}

/*
 * It is one to look at the disk when its time comes: the last one there; or in its place, as that
 * may be stuck with all between. If it is not, both look.
 */
static bool is_to_wake(const struct worker *w, struct disk *disk)
{
	unsigned last = atomic_load_explicit(&disk->wake_worker, memory_order_relaxed);

	return last == w->index || (w->instead && last < w->index);
}

/* When the first disk wants this worker without cause. */
static uint64_t next_wake_ns(struct worker *w)
{
	const struct mount *mount = w->crew->mount;
	uint64_t first_ns = FBS_NEVER;

	for (size_t i = 0; (w->timed || w->instead) && i < mount->n_disks; i++) {
		struct disk *disk = mount->disks[i];
		uint64_t wake_ns = atomic_load_explicit(&disk->wake_ns, memory_order_relaxed);

		if (wake_ns < first_ns && is_to_wake(w, disk))
			first_ns = wake_ns;
	}
	w->timed = first_ns != FBS_NEVER;
	return first_ns;
}

/*
 * How long to sleep before the next look at the worker before this one; 0: as long as that sleeps,
 * which says so when it does not.
 */
static uint64_t look_at_other(struct worker *w)
{
	struct worker *other = w - 1;
	unsigned rounds = atomic_load(&other->rounds);

	if (w->now_ns - w->looked_ns < LOOK_NS)
		return LOOK_NS;
	w->instead = rounds % 2 && rounds == w->seen_rounds;
	if (rounds % 2 || rounds != w->seen_rounds) {
		w->looked_ns = w->now_ns;
		w->seen_rounds = rounds;
		return LOOK_NS;
	}
	atomic_store(&w->trusting, true);
	return atomic_load(&other->rounds) == rounds ? 0 : LOOK_NS;
}

static void sleep_until_needed(struct worker *w)
{
	struct crew *crew = w->crew;
	struct worker *next = w->index + 1 < crew->n_workers ? w + 1 : NULL;
	bool observing =
		!w->index && atomic_load_explicit(&crew->waiting.interrupted, memory_order_relaxed);
	uint64_t most_ns = w->retry ? RETRY_NS : observing ? WATCH_NS : 0;
	uint64_t wake_ns = next_wake_ns(w), asleep_ns;
	bool watches = !w->index;

	if (crew->keep && (watches || w->instead) && (!most_ns || most_ns > BEAT_NS))
		most_ns = BEAT_NS;
	/* set before the wake-up that this round may have consumed */
	if (atomic_load(&crew->parking) || atomic_load(&crew->leaving))
		return;
	if (w->index) {
		uint64_t look_ns = look_at_other(w);

		watches = w->instead;
		if (look_ns && (!most_ns || look_ns < most_ns))
			most_ns = look_ns;
	}
	if (wake_ns != FBS_NEVER) {
		uint64_t now_ns = monotonic_ns();

		if (wake_ns <= now_ns)
			return;
		if (!most_ns || wake_ns - now_ns < most_ns)
			most_ns = wake_ns - now_ns;
	}
	ring_watch(&w->ring, WATCH_FUSE, watches && !w->deaf ? w->session.fd : -1);
	BUMP(w->rounds, 1);
	asleep_ns = monotonic_ns();
	ring_wait(&w->ring, most_ns);
	w->now_ns = monotonic_ns();
	if (w->now_ns - asleep_ns > REST_NS)
		w->rested_ns = w->now_ns;
	atomic_fetch_add(&w->rounds, 1);
	if (next && atomic_load(&next->trusting) && atomic_exchange(&next->trusting, false))
		signal_event(next->wake_fd);
}

/* Disks whose time has come. */
static void visit_due(struct worker *w, uint64_t now_ns)
{
	const struct mount *mount = w->crew->mount;

	for (size_t i = 0; (w->timed || w->instead) && i < mount->n_disks; i++) {
		struct disk *disk = mount->disks[i];

		if (is_to_wake(w, disk) &&
		    atomic_load_explicit(&disk->wake_ns, memory_order_relaxed) <= now_ns)
			visit_disk(w, &(struct visit){.disk = disk}, now_ns);
	}
}

/*
 * The main thread, or pump() itself, wants every disk looked at: a window may have opened. Or
 * something could not be done in the last round.
 */
static void visit_all(struct worker *w)
{
	const struct mount *mount = w->crew->mount;

	w->n_fresh = 0;
	for (size_t i = 0; i < mount->n_disks; i++)
		visit_disk(w, &(struct visit){.disk = mount->disks[i]}, w->now_ns);
}

static void take_wake_up(struct worker *w)
{
	uint64_t n;
	ssize_t got = ring_watch_ready(&w->ring, WATCH_WAKE) ? read(w->wake_fd, &n, sizeof(n)) : 0;

	(void)got; /* what it is for is said elsewhere */
	if (atomic_load_explicit(&w->called, memory_order_relaxed) &&
	    atomic_exchange(&w->called, false))
		w->more = true;
}

static void round_of(struct worker *w)
{
	struct ring_op *ops[REAP_MOST];
	unsigned n = ring_reap(&w->ring, ops, REAP_MOST);
	bool look = w->retry;

	BUMP(w->rounds, 2);
	BUMP(w->mark->beat, 1);
	w->n_fresh = 0;
	w->n_visits = 0;
	for (unsigned i = n; i-- > 0;) {
		struct slice *slice = (struct slice *)(void *)ops[i];
		struct visit *v = visit_to(w, slice->disk);

		slice->link = v->done;
		v->done = slice;
	}
	w->retry = false;
	take_wake_up(w);
	w->load = 0;
	read_requests(w);
	/* a disk that has nothing to do, with nothing queued, waits for those who wait for answers
	 */
	while (!n && !w->ring.in_flight && w->answers && w->load < START_LOAD && !w->retry) {
		answer_load(w, 1);
		ring_reap(&w->ring, ops, 1);
		take_wake_up(w);
		read_requests(w);
	}
	w->now_ns = monotonic_ns();
	for (unsigned i = 0; i < w->n_visits; i++)
		visit_disk(w, &w->visits[i], w->now_ns);
	visit_due(w, w->now_ns);
	if (look || (atomic_load_explicit(&w->look, memory_order_relaxed) &&
		     atomic_exchange(&w->look, false)))
		visit_all(w);
	if (!w->index && w->now_ns - w->watched_ns > WATCH_NS &&
	    atomic_load_explicit(&w->crew->waiting.interrupted, memory_order_relaxed)) {
		w->watched_ns = w->now_ns;
		look_at_interrupted(w);
	}
	prepare(w);
	ring_submit(&w->ring); /* which may wait for a disk, so not as a part of going to sleep */
	answer_load(w, w->ring.in_flight < READ_LEAST ? w->ring.in_flight + 1 : READ_LEAST);
	adjust_gate(w->crew);
	if (!w->answers && (w->retry || (!w->more && !ring_has_completions(&w->ring))))
		sleep_until_needed(w);
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
		ring_set_errands(&w->ring, w->errands);
		w->errands = -1;
		privilege_drop(PRIVILEGE_WORKER);
		ring_watch(&w->ring, WATCH_WAKE, w->wake_fd);
	}
	pthread_mutex_lock(&w->crew->park_lock);
	w->start_result = r;
	pthread_cond_broadcast(&w->crew->park_changed);
	pthread_mutex_unlock(&w->crew->park_lock);
	return r;
}

void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct crew *crew = w->crew;

	myself = w;
	prctl(PR_SET_NAME, "fuseband-io"); /* whatever its process is called meanwhile */
	if (make_ring(w))
		return NULL;
	while (!atomic_load_explicit(&crew->leaving, memory_order_acquire)) {
		if (atomic_load_explicit(&crew->parking, memory_order_acquire)) {
			answer_load(w, UINT_MAX);
			park(crew);
		} else {
			round_of(w);
		}
	}
	answer_load(w, UINT_MAX);
	return NULL;
}

void worker_wake(struct worker *w)
{
	atomic_store(&w->look, true);
	signal_event(w->wake_fd);
}

void worker_file_fenced(struct crew *crew, struct file *file)
{
	visit_fenced(file, monotonic_ns());
	/* any of them may be stuck on another disk */
	for (unsigned i = 0; i < crew->n_workers; i++)
		worker_wake(&crew->workers[i]);
}

uint64_t worker_touched(void)
{
	return myself ? atomic_load_explicit(&myself->mark->touched, memory_order_relaxed)
		      : touched;
}

void worker_touch_elsewhere(uint64_t unique)
{
	touched = unique;
}

int worker_init(struct worker *w, struct crew *crew, unsigned index, int clone)
{
	w->crew = crew;
	w->index = index;
	w->mark = crew->keep ? keep_worker(crew->keep, index) : &w->own_mark;
	w->more = true;
	w->rounds = 1;
	w->errands = -1;
	w->issue_end = &w->issue;
	w->answers_end = &w->answers;
	pool_init(&w->pool, &crew->depot);
	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->wake_fd < 0)
		return -errno;
	return front_session_open(crew->front, clone, w->mark, &w->session);
}

void worker_fini(struct worker *w)
{
	if (w->ring_made)
		ring_destroy(&w->ring);
	if (w->session.session)
		front_session_close(&w->session);
	if (w->wake_fd >= 0)
		close(w->wake_fd);
	if (w->errands >= 0)
		close(w->errands);
	pool_buffer_free(&w->pool, w->landing);
	if (w->spare)
		pool_object_free(&w->pool, POOL_IO, w->spare);
	pool_destroy(&w->pool);
}
