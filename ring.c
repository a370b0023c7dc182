/* SPDX-License-Identifier: MIT */
/*
 * ring.c - see ring.h.
 *
 * The user data of a submission is the address of its struct ring_op, or a small number
 * for a watch. Watches are one-shot polls, armed just before sleeping: a multishot poll beside
 * reads outside the ring can lose a wake-up.
 */
#include "ring.h"
#include "clock.h"
#include "errand.h"
#include "log.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SQ_ENTRIES 256U
#define CQ_ENTRIES 4096U
/* Of the kernel's own threads, for operations that wait for a disk: each hung one costs a thread.
 */
#define IOWQ_THREADS 4096U
#define RETRIES_MAX 16U		      /* without a byte of progress */
#define SLICE_MAX ((uint64_t)1 << 30) /* bytes of one read or write: fits an int */
#define LATER_NS UINT64_C(2000000)    /* until errands that nobody could take are sent again */
#define WATCH_ERRANDS RING_WATCHES

static long register_with(const struct ring *ring, unsigned what, void *list, unsigned n)
{
	return syscall(__NR_io_uring_register, ring->uring.ring_fd, what, list, n);
}

/* What is not done here cannot be done: no filter of system calls sees it. */
static int restrict_ring(struct ring *ring)
{
	static const uint8_t operations[] = {IORING_OP_READ, IORING_OP_WRITE, IORING_OP_POLL_ADD};
	enum { N = sizeof(operations) };
	struct io_uring_restriction list[N + 1] = {0};

	for (unsigned i = 0; i < N; i++) {
		list[i].opcode = IORING_RESTRICTION_SQE_OP;
		list[i].sqe_op = operations[i];
	}
	list[N].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	list[N].sqe_flags = IOSQE_ASYNC;
	/* liburing 2.3 declares functions for both, and does not export them */
	if (register_with(ring, IORING_REGISTER_RESTRICTIONS, list, N + 1))
		return -errno;
	return register_with(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0) ? -errno : 0;
}

int ring_init(struct ring *ring)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL |
			 IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_R_DISABLED,
		.cq_entries = CQ_ENTRIES,
	};
	unsigned threads[2] = {IOWQ_THREADS, IOWQ_THREADS};
	int r;

	memset(ring, 0, sizeof(*ring));
	r = io_uring_queue_init_params(SQ_ENTRIES, &ring->uring, &params);
	if (r < 0)
		return r;
	for (unsigned i = 0; i <= RING_WATCHES; i++)
		ring->watch[i].fd = -1;
	ring->unsent_end = &ring->unsent;
	r = io_uring_register_iowq_max_workers(&ring->uring, threads);
	if (r >= 0)
		r = restrict_ring(ring);
	if (r < 0)
		io_uring_queue_exit(&ring->uring);
	return r < 0 ? r : 0;
}

void ring_destroy(struct ring *ring)
{
	ring_set_errands(ring, -1);
	io_uring_queue_exit(&ring->uring);
}

/* ---- errands ---- */

void ring_set_errands(struct ring *ring, int channel)
{
	if (ring->watch[WATCH_ERRANDS].fd >= 0)
		close(ring->watch[WATCH_ERRANDS].fd);
	ring->watch[WATCH_ERRANDS].fd = channel;
	ring->watch[WATCH_ERRANDS].ready = false;
}

static void await_sending(struct ring *ring, struct ring_op *op)
{
	op->link = NULL;
	*ring->unsent_end = op;
	ring->unsent_end = &op->link;
}

/* What was under way may have been done or not: it can be repeated. */
static void lose_errands(struct ring *ring)
{
	static atomic_flag said = ATOMIC_FLAG_INIT; /* each worker notices by itself */
	struct ring_op *op, *next;

	if (!atomic_flag_test_and_set(&said))
		log_warning("fuseband-errand has died: flushes and discards go on without it, but "
			    "until "
			    "another data path takes over a crash stops all disks while one hangs "
			    "in them");
	ring_set_errands(ring, -1);
	for (op = ring->away; op; op = next) {
		next = op->link;
		await_sending(ring, op);
	}
	ring->away = NULL;
}

static int run_own_errands(struct ring *ring)
{
	int ends[2], r = errand_channel(ends);

	if (r)
		return r;
	r = errand_serve(ends[1]);
	if (r) {
		close(ends[0]);
		close(ends[1]);
		return r;
	}
	ring_set_errands(ring, ends[0]);
	return 0;
}

static int send_errand(struct ring *ring, struct ring_op *op)
{
	const struct errand errand = {
		.id = (uintptr_t)op,
		.kind = op->kind == RING_FLUSH	? ERRAND_FLUSH
			: op->kind == RING_SEEK ? ERRAND_SEEK
						: ERRAND_FALLOCATE,
		.mode = op->mode,
		.pos_bytes = op->pos_bytes,
		.len_bytes = op->len_bytes,
	};
	int r = ring->watch[WATCH_ERRANDS].fd < 0 ? run_own_errands(ring) : 0;

	if (!r)
		r = errand_send(ring->watch[WATCH_ERRANDS].fd, &errand, op->fd);
	if (r == -EPIPE)
		lose_errands(ring);
	return r;
}

/* Whoever is to run them has no room, thread or descriptor for more: not again at once. */
static void put_off_errands(struct ring *ring)
{
	ring->later_ns = monotonic_ns() + LATER_NS;
}

static void send_errands(struct ring *ring)
{
	if (!ring->unsent || (ring->later_ns && monotonic_ns() < ring->later_ns))
		return;
	ring->later_ns = 0;
	while (ring->unsent) {
		struct ring_op *op = ring->unsent;

		if (send_errand(ring, op)) {
			put_off_errands(ring);
			return;
		}
		ring->unsent = op->link;
		if (!ring->unsent)
			ring->unsent_end = &ring->unsent;
		op->link = ring->away;
		ring->away = op;
	}
}

static struct ring_op *take_back(struct ring *ring, uint64_t id)
{
	for (struct ring_op **at = &ring->away; *at; at = &(*at)->link) {
		struct ring_op *op = *at;

		if ((uintptr_t)op == id) {
			*at = op->link;
			return op;
		}
	}
	return NULL;
}

/* ---- operations ---- */

static struct io_uring_sqe *next_sqe(struct ring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);

	while (!sqe) { /* full: the kernel takes all of it, whatever becomes of each */
		ring_submit(ring);
		sqe = io_uring_get_sqe(&ring->uring);
	}
	ring->to_submit++;
	return sqe;
}

static void prepare(struct ring *ring, struct ring_op *op)
{
	struct io_uring_sqe *sqe;
	char *data = op->data + op->done_bytes;
	uint64_t left = op->len_bytes - op->done_bytes;
	uint64_t pos = op->pos_bytes + op->done_bytes;
	unsigned len = (unsigned)(left < SLICE_MAX ? left : SLICE_MAX);

	if (op->kind != RING_READ && op->kind != RING_WRITE) {
		await_sending(ring, op);
		return;
	}
	sqe = next_sqe(ring);
	if (op->kind == RING_READ) {
		io_uring_prep_read(sqe, op->fd, data, len, pos);
	} else {
		io_uring_prep_write(sqe, op->fd, data, len, pos);
		sqe->rw_flags = op->mode;
	}
	if (op->async)
		io_uring_sqe_set_flags(sqe, IOSQE_ASYNC);
	io_uring_sqe_set_data(sqe, op);
}

void ring_queue(struct ring *ring, struct ring_op *op)
{
	op->done_bytes = 0;
	op->error = 0;
	op->retries = 0;
	ring->in_flight++;
	prepare(ring, op);
}

void ring_watch(struct ring *ring, unsigned slot, int fd)
{
	ring->watch[slot].fd = fd;
}

bool ring_watch_ready(struct ring *ring, unsigned slot)
{
	bool ready = ring->watch[slot].ready;

	ring->watch[slot].ready = false;
	return ready;
}

bool ring_watch_armed(const struct ring *ring, unsigned slot)
{
	return ring->watch[slot].armed;
}

bool ring_has_completions(const struct ring *ring)
{
	/* no poll is armed for errands before all that was there has been read */
	return io_uring_cq_ready(&ring->uring) != 0 || ring->watch[WATCH_ERRANDS].ready;
}

static void arm_watches(struct ring *ring)
{
	for (unsigned i = 0; i <= RING_WATCHES; i++) {
		struct io_uring_sqe *sqe;

		if (ring->watch[i].fd < 0 || ring->watch[i].armed || ring->watch[i].ready)
			continue;
		sqe = next_sqe(ring);
		io_uring_prep_poll_add(sqe, ring->watch[i].fd, POLLIN);
		sqe->user_data = i;
		ring->watch[i].armed = true;
	}
}

void ring_submit(struct ring *ring)
{
	int r = ring->to_submit ? io_uring_submit(&ring->uring) : 0;

	if (r > 0)
		ring->to_submit -= (unsigned)r < ring->to_submit ? (unsigned)r : ring->to_submit;
	/* EAGAIN, EBUSY: no memory or too many completions; what is prepared stays prepared */
	send_errands(ring);
}

void ring_wait(struct ring *ring, uint64_t timeout_ns)
{
	struct __kernel_timespec ts;
	struct io_uring_cqe *cqe;
	int r;

	send_errands(ring);
	if (ring->unsent && (!timeout_ns || timeout_ns > LATER_NS))
		timeout_ns = LATER_NS;
	ts.tv_sec = (int64_t)(timeout_ns / 1000000000U);
	ts.tv_nsec = (long long)(timeout_ns % 1000000000U);
	arm_watches(ring);
	r = io_uring_submit_and_wait_timeout(&ring->uring, &cqe, 1, timeout_ns ? &ts : NULL, NULL);
	(void)r;
	ring->to_submit = io_uring_sq_ready(&ring->uring);
}

/* It was only disturbed. The last four are the kernel's own, and get out at times. */
static bool is_to_be_repeated(int64_t result)
{
	enum { RESTARTSYS = -512, RESTARTNOINTR = -513, RESTARTNOHAND = -514, RESTARTBLOCK = -516 };

	return result == -EINTR || result == -EAGAIN || result == -ECANCELED ||
	       result == RESTARTSYS || result == RESTARTNOINTR || result == RESTARTNOHAND ||
	       result == RESTARTBLOCK;
}

/* True: nothing is left to do for op. */
static bool finish(struct ring *ring, struct ring_op *op, int64_t result)
{
	bool moves = op->kind == RING_READ || op->kind == RING_WRITE;

	if (is_to_be_repeated(result) && op->retries++ < RETRIES_MAX) {
		prepare(ring, op);
		return false;
	}
	if (result < 0) {
		op->error = (int)result;
	} else if (op->kind == RING_SEEK) {
		op->done_bytes = (uint64_t)result;
	} else if (moves) {
		op->done_bytes += (uint64_t)result;
		op->retries = 0;
		if (result == 0) {
			if (op->kind == RING_WRITE)
				op->error = -EIO; /* a disk that takes nothing and says nothing */
		} else if (op->done_bytes < op->len_bytes &&
			   (op->kind == RING_WRITE || op->done_bytes % op->align_bytes == 0)) {
			prepare(ring, op);
			return false;
		}
	}
	ring->in_flight--;
	return true;
}

/* Of errands, until nothing more is there, or max. */
static unsigned reap_errands(struct ring *ring, struct ring_op **ret_ops, unsigned max)
{
	struct errand_result result;
	unsigned n = 0;
	int r = 0;

	if (!ring->watch[WATCH_ERRANDS].ready && (!ring->away || ring->watch[WATCH_ERRANDS].armed))
		return 0; /* it would have told */
	while (n < max && !(r = errand_receive(ring->watch[WATCH_ERRANDS].fd, &result))) {
		struct ring_op *op = take_back(ring, result.id);

		if (!op) {
			log_error("a result of no errand was dropped");
		} else if (result.value == ERRAND_LATER) {
			await_sending(ring, op);
			put_off_errands(ring);
		} else if (finish(ring, op, result.value)) {
			ret_ops[n++] = op;
		}
	}
	if (r == -EAGAIN)
		ring->watch[WATCH_ERRANDS].ready = false;
	else if (r == -EPIPE)
		lose_errands(ring);
	return n;
}

unsigned ring_reap(struct ring *ring, struct ring_op **ret_ops, unsigned max)
{
	struct io_uring_cqe *cqe;
	unsigned n = 0;

	while (n < max && !io_uring_peek_cqe(&ring->uring, &cqe) && cqe) {
		uint64_t data = cqe->user_data;
		int result = cqe->res;

		io_uring_cqe_seen(&ring->uring, cqe);
		if (data <= RING_WATCHES) {
			ring->watch[data].armed = false;
			ring->watch[data].ready = true;
		} else {
			struct ring_op *op = (struct ring_op *)(uintptr_t)data;

			if (finish(ring, op, result))
				ret_ops[n++] = op;
		}
	}
	return n + reap_errands(ring, ret_ops + n, max - n);
}
