/* SPDX-License-Identifier: MIT */
/*
 * Unit tests of visit.h and worker.h: three workers of which at most one runs, and a disk whose part
 * the test plays, as it takes what they would submit and says what came of it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "clock.h"
#include "mount_rig.h"
#include "request.h"
#include "visit.h"
#include "worker.h"

#include <linux/fuse.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>

#define WORKERS 3

static struct mount *served;
static struct crew *crew;
static struct worker *worker; /* the first one */
static int requests[2];

/* ---- the mount, and who serves it ---- */

static void serve(const char *text)
{
	served = start(text);
	crew = calloc(1, sizeof(*crew));
	worker = calloc(WORKERS, sizeof(*worker));
	assert_true(crew && worker);
	crew->mount = served;
	crew->event_fd = -1;
	crew->memory_bytes = MIB;
	crew->workers = worker;
	crew->n_workers = WORKERS;
	waiting_init(&crew->waiting);
	depot_init(&crew->depot, sizeof(struct io), sizeof(struct slice));
	pthread_mutex_init(&crew->park_lock, NULL);
	pthread_cond_init(&crew->park_changed, NULL);
	for (unsigned i = 0; i < WORKERS; i++) {
		struct worker *w = &worker[i];

		w->crew = crew;
		w->index = i;
		w->mark = &w->own_mark;
		w->errands = -1;
		w->rounds = 1;
		w->issue_end = &w->issue;
		w->answers_end = &w->answers;
		w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		w->session.fd = requests[0];
		pool_init(&w->pool, &crew->depot);
	}
}

static int setup(void **state)
{
	if (make_dir(state) || pipe2(requests, O_CLOEXEC | O_NONBLOCK))
		return -1;
	image("a.img", MIB + 100);
	return 0;
}

static int teardown(void **state)
{
	for (unsigned i = 0; i < WORKERS; i++) {
		struct worker *w = &worker[i];

		if (w->spare)
			pool_object_free(&w->pool, POOL_IO, w->spare);
		pool_buffer_free(&w->pool, w->landing);
		if (w->ring_made)
			ring_destroy(&w->ring);
		pool_destroy(&w->pool);
		close(w->wake_fd);
	}
	depot_destroy(&crew->depot);
	waiting_destroy(&crew->waiting);
	free(worker);
	free(crew);
	mount_free(served);
	close(requests[0]);
	close(requests[1]);
	return remove_dir(state);
}

/* ---- requests ---- */

/* As if it had been read just now. */
static struct io *read_request(uint32_t opcode, const void *arg, size_t n)
{
	struct {
		struct fuse_in_header in;
		char arg[64];
	} request = {.in = {.len = (uint32_t)(sizeof(request.in) + n),
			    .opcode = opcode,
			    .unique = 2,
			    .nodeid = mount_by_name(served, "a")->id}};
	struct io *io = pool_object(&worker->pool, POOL_IO);

	assert_non_null(io);
	memcpy(request.arg, arg, n);
	assert_int_equal(request_decode(served, (char *)&request, request.in.len, requests[1], io),
			 REQUEST_IO);
	worker->fresh[0] = io;
	worker->n_fresh = 1;
	visit_disk(worker, &(struct visit){.disk = io->disk}, monotonic_ns());
	worker->n_fresh = 0;
	return io;
}

/* What would be submitted: one operation. */
static struct slice *issued(void)
{
	struct slice *slice = worker->issue;

	assert_non_null(slice);
	assert_null(slice->link);
	worker->issue = NULL;
	worker->issue_end = &worker->issue;
	return slice;
}

/* It comes back with so many bytes, and is answered: its error. */
static int comes_back(struct io *io, struct slice *slice, uint64_t done_bytes, int error)
{
	slice->op.done_bytes = done_bytes;
	slice->op.error = error;
	visit_disk(worker, &(struct visit){.disk = slice->disk, .done = slice}, monotonic_ns());
	assert_ptr_equal(worker->answers, io);
	worker->answers = NULL;
	worker->answers_end = &worker->answers;
	error = io->error;
	pool_buffer_free(&worker->pool, io->buffer);
	pool_object_free(&worker->pool, POOL_IO, io);
	return error;
}

/* The last block of an image that ends in a part of one, as it is when this is asked for. */
static struct io *read_tail(void)
{
	const struct fuse_read_in in = {.offset = MIB, .size = 4096};

	return read_request(FUSE_READ, &in, sizeof(in));
}

static void test_short_read(void **state)
{
	(void)state;
	serve("[a]\npath = @/a.img\n");
	struct file *a = mount_by_name(served, "a");
	assert_int_equal(a->size_bytes, MIB + 100);
	struct io *io = read_tail();
	assert_int_equal(comes_back(io, issued(), 100, 0), 0);
	/* a reload finds that the image has grown, after the disk has done what it was told */
	io = read_tail();
	a->size_bytes = 2 * MIB;
	assert_int_equal(comes_back(io, issued(), 100, 0), 0);
	assert_false(a->cut_short);
	/* the next one is asked for more, and what is not there is missed */
	io = read_tail();
	assert_int_equal(comes_back(io, issued(), 100, 0), -EIO);
	assert_true(a->cut_short);
}

/* Through what hears of all that could not be written back for this file. */
static void test_flush(void **state)
{
	const struct fuse_fsync_in in = {0};

	(void)state;
	serve("[a]\npath = @/a.img\n");
	struct backing *backing = mount_by_name(served, "a")->backing;
	int flush = backing->fd_flush;
	backing->fd_flush = 12345;
	struct io *io = read_request(FUSE_FSYNC, &in, sizeof(in));
	struct slice *slice = issued();
	assert_int_equal(slice->op.kind, RING_FLUSH);
	assert_int_equal(slice->op.fd, 12345);
	backing->fd_flush = flush;
	assert_int_equal(comes_back(io, slice, 0, -EIO), -EIO);
}

/* ---- a worker that is stuck ---- */

/* Whichever is not on a disk that hangs can begin what has waited for its fence. */
static void test_fenced(void **state)
{
	(void)state;
	serve("[a]\npath = @/a.img\n");
	struct file *a = mount_by_name(served, "a");
	a->fence = (struct range){.end_bytes = UINT64_MAX, .exclusive = true};
	assert_true(range_acquire(&a->ranges, &a->fence));
	a->active++;
	worker_file_fenced(crew, a);
	for (unsigned i = 0; i < WORKERS; i++) {
		struct pollfd pfd = {.fd = worker[i].wake_fd, .events = POLLIN};

		assert_int_equal(poll(&pfd, 1, 0), 1);
		assert_true(atomic_load(&worker[i].look));
	}
}

static bool is_visited(const struct disk *disk, unsigned by)
{
	for (unsigned i = 0; i < 20000; i++) {
		if (atomic_load(&disk->wake_worker) == by)
			return true;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return false;
}

/* Only this one runs. Those before it began a round, and nothing has been seen of them since. */
static void runs_alone(unsigned index)
{
	serve("[a]\npath = @/a.img\n");
	struct worker *w = &worker[index];
	struct disk *disk = mount_by_name(served, "a")->disk;
	atomic_store(&disk->wake_worker, 0);
	atomic_store(&disk->wake_ns, monotonic_ns());
	w->start_result = 1;
	assert_int_equal(pthread_create(&w->thread, NULL, worker_main, w), 0);
	pthread_mutex_lock(&crew->park_lock);
	while (w->start_result > 0)
		pthread_cond_wait(&crew->park_changed, &crew->park_lock);
	pthread_mutex_unlock(&crew->park_lock);
	bool runs = !w->start_result, visited = runs && is_visited(disk, index);
	atomic_store(&crew->leaving, true);
	worker_wake(w);
	pthread_join(w->thread, NULL);
	NEED(runs, "no io_uring");
	assert_true(visited);
	assert_int_equal(atomic_load(&disk->wake_ns), FBS_NEVER);
}

/* The disks that it was to wake for are the next one's. */
static void test_due(void **state)
{
	(void)state;
	runs_alone(1);
}

/* Likewise if the next one hangs, too. */
static void test_due_after_two(void **state)
{
	(void)state;
	runs_alone(2);
}

/* If the one that was to wake for it is not stuck, two visit it: what may go goes once. */
static void test_due_twice(void **state)
{
	const struct fuse_read_in in = {.size = 4096};

	(void)state;
	serve("[a]\npath = @/a.img\nmax_iops = 1\n");
	struct disk *disk = mount_by_name(served, "a")->disk;
	struct io *first = read_request(FUSE_READ, &in, sizeof(in));
	struct slice *slice = issued();
	struct io *second = read_request(FUSE_READ, &in, sizeof(in));
	assert_null(worker->issue);
	uint64_t due_ns = atomic_load(&disk->wake_ns);
	assert_true(due_ns != FBS_NEVER);
	visit_disk(&worker[2], &(struct visit){.disk = disk}, due_ns);
	visit_disk(worker, &(struct visit){.disk = disk}, due_ns);
	assert_null(worker->issue);
	assert_int_equal(atomic_load(&disk->wake_worker), 0);
	/* whoever comes last; and what went is back before it */
	worker->issue = worker[2].issue;
	worker[2].issue = NULL;
	worker[2].issue_end = &worker[2].issue;
	assert_int_equal(comes_back(first, slice, 4096, 0), 0);
	assert_int_equal(comes_back(second, issued(), 4096, 0), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_short_read), TEST(test_flush),	 TEST(test_fenced),
		TEST(test_due),	       TEST(test_due_after_two), TEST(test_due_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
