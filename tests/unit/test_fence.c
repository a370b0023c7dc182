/* SPDX-License-Identifier: MIT */
/*
 * Unit tests of fence.h: a process holds the lock of a file through a description of its own and is
 * killed, as a data path with writes under way would be; what is held back meanwhile goes on then.
 *
 * There are no workers: a crew of one that was never started, whose wake-ups are looked at.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "failing.h"
#include "fence.h"
#include "log.h"
#include "memfd.h"
#include "mount_rig.h"
#include "request.h"
#include "worker.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define FILE_A "[a]\npath = @/a.img\ndevice = d\n"
#define FILE_B "[b]\npath = @/b.img\ndevice = d\n"

static struct mount *served;
static struct crew *crew;
static struct io writes[4];

/* ---- what is made to happen ---- */

static pid_t at_wait;	 /* is killed when somebody waits for a fence */
static int interrupts;	 /* so many waits end with EINTR */
static int first_answer; /* of the next one that does not wait, if not 0 */
static bool no_threads;
static char logged[1024];

static void die(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

int __real_backing_fence(struct backing *backing, bool wait);
int __wrap_backing_fence(struct backing *backing, bool wait);
int __wrap_backing_fence(struct backing *backing, bool wait)
{
	int answer = first_answer;

	if (!wait) {
		first_answer = 0;
		return answer ? answer : __real_backing_fence(backing, false);
	}
	if (interrupts && interrupts--)
		return -EINTR;
	if (at_wait)
		die(at_wait);
	at_wait = 0;
	return __real_backing_fence(backing, true);
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*main)(void *),
			  void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*main)(void *),
			  void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*main)(void *),
			  void *arg)
{
	return no_threads ? EAGAIN : __real_pthread_create(thread, attr, main, arg);
}

void __wrap_log_line(enum log_level level, const char *fmt, ...);
void __wrap_log_line(enum log_level level, const char *fmt, ...)
{
	va_list args;

	(void)level;
	va_start(args, fmt);
	vsnprintf(logged, sizeof(logged), fmt, args);
	va_end(args);
}

/* ---- the dead process ---- */

/* It has the fence of this file, until it dies. */
static pid_t holder(const char *path, bool readonly)
{
	struct backing_spec spec = {.path = path, .readonly = readonly};
	int ready[2];
	char byte = 0;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct backing *backing;
		const char *key;
		char why[256];

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (backing_open(&spec, why, sizeof(why), &key, &backing) ||
		    __real_backing_fence(backing, true) || write(ready[1], &byte, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

/* ---- the one that takes over ---- */

/* As it is before GO: planned and opened, without fences. */
static void prepare(const char *text)
{
	struct plan *plan = planned(START, text);
	struct conf_errors errors = {0};

	served = mount_new();
	assert_int_equal(mount_apply(served, plan, &errors), 0);
	plan_free(plan);
	crew = __real_calloc(1, sizeof(*crew));
	crew->mount = served;
	crew->event_fd = -1;
	crew->workers = __real_calloc(1, sizeof(*crew->workers));
	crew->n_workers = 1;
	crew->workers[0].crew = crew;
	crew->workers[0].wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	waiting_init(&crew->waiting);
	depot_init(&crew->depot, sizeof(struct io), sizeof(struct slice));
	pool_init(&crew->workers[0].pool, &crew->depot);
	pthread_mutex_init(&crew->park_lock, NULL);
	pthread_cond_init(&crew->park_changed, NULL);
}

/* The first worker is woken: somebody has got a fence. */
static void woken(void)
{
	struct pollfd pfd = {.fd = crew->workers[0].wake_fd, .events = POLLIN};
	eventfd_t n;

	assert_int_equal(poll(&pfd, 1, 20000), 1); /* or never */
	assert_int_equal(eventfd_read(pfd.fd, &n), 0);
	assert_true(atomic_load(&crew->workers[0].look));
}

static bool is_held(const char *name)
{
	struct file *file = mount_by_name(served, name);

	pthread_mutex_lock(&file->disk->lock);
	bool held = file->active && file->ranges.exclusive;
	assert_int_equal(file->active != 0, file->ranges.exclusive != 0);
	pthread_mutex_unlock(&file->disk->lock);
	return held;
}

/* A write that a worker has read: it is queued, or waits for its range. */
static bool push_write(struct io *io, const char *name)
{
	struct file *file = mount_by_name(served, name);
	bool granted;

	*io = (struct io){.kind = IO_WRITE, .file = file, .disk = file->disk};
	io->req = (struct fbs_req){.end_bytes = 8192, .pos_bytes = 4096, .op = FBS_WRITE};
	io->range = (struct range){.start_bytes = 4096, .end_bytes = 8192};
	pthread_mutex_lock(&file->disk->lock);
	granted = range_acquire(&file->ranges, &io->range);
	if (granted)
		fbs_push(file->disk->fbs, file->leaf, &io->req, 0);
	pthread_mutex_unlock(&file->disk->lock);
	return granted;
}

static unsigned queued(const char *name)
{
	struct disk *disk = mount_by_name(served, name)->disk;

	pthread_mutex_lock(&disk->lock);
	unsigned n = fbs_queued(disk->fbs);
	fbs_check(disk->fbs);
	pthread_mutex_unlock(&disk->lock);
	return n;
}

static void drop_write(struct io *io)
{
	pthread_mutex_lock(&io->disk->lock);
	if (io->req.leaf)
		fbs_cancel(io->disk->fbs, &io->req);
	assert_null(range_release(&io->file->ranges, &io->range));
	pthread_mutex_unlock(&io->disk->lock);
}

/* It has the fence: nobody else gets it. */
static bool has_fence(const char *name)
{
	const struct backing *backing = mount_by_name(served, name)->backing;
	struct flock lock = {.l_type = F_WRLCK,
			     .l_whence = SEEK_SET,
			     .l_start = (off_t)(BACKING_FENCE_BASE + backing->start_bytes),
			     .l_len = (off_t)backing->size_bytes};
	int probe = backing_reopen(backing->fd, O_RDWR);

	assert_int_equal(fcntl(probe, F_OFD_GETLK, &lock), 0);
	close(probe);
	return lock.l_type != F_UNLCK;
}

static int setup(void **state)
{
	countdown = -1;
	at_wait = interrupts = first_answer = 0;
	no_threads = false;
	logged[0] = '\0';
	if (make_dir(state))
		return -1;
	image("a.img", MIB);
	image("b.img", MIB);
	return 0;
}

/* The thread has woken a worker, but may not have ended yet. */
static int teardown(void **state)
{
	while (crew && crew_destroy(crew))
		sched_yield();
	crew = NULL;
	mount_free(served);
	served = NULL;
	return remove_dir(state);
}

/* ---- the tests ---- */

static void test_not_held(void **state)
{
	(void)state;
	prepare(FILE_A FILE_B "[none]\npath = @/none\noptional = yes\n");
	assert_true(mount_by_name(served, "a")->unfenced);
	assert_int_equal(fence_take_over(crew), 0);
	for (int i = 0; i < 2; i++) {
		const char *name = i ? "b" : "a";

		assert_false(mount_by_name(served, name)->unfenced);
		assert_false(is_held(name));
		assert_true(has_fence(name));
	}
	assert_true(push_write(&writes[0], "a"));
	assert_int_equal(queued("a"), 1);
	drop_write(&writes[0]);
	assert_string_equal(logged, "");
	/* once */
	assert_int_equal(fence_take_over(crew), 0);
}

/* Writes to the file wait, others do not; and all go on when the process is really gone. */
static void test_waits(void **state)
{
	(void)state;
	prepare(FILE_A FILE_B);
	pid_t pid = holder(in_dir("a.img"), false);
	assert_int_equal(fence_take_over(crew), 1);
	assert_true(is_held("a"));
	assert_false(is_held("b"));
	assert_true(has_fence("b"));
	assert_false(push_write(&writes[0], "a"));
	assert_false(push_write(&writes[1], "a"));
	assert_true(push_write(&writes[2], "b"));
	assert_int_equal(queued("a"), 1); /* b's: reads of a could be, too */
	/* the mount cannot end meanwhile as if nothing was going on */
	assert_int_equal(crew_destroy(crew), 1);
	woken();
	assert_true(is_held("a"));
	die(pid);
	woken();
	assert_false(is_held("a"));
	assert_true(has_fence("a"));
	assert_int_equal(queued("a"), 3);
	assert_ptr_equal(writes[0].req.leaf, mount_by_name(served, "a")->leaf);
	assert_int_equal(writes[0].first_bytes, 4096);
	assert_true(push_write(&writes[3], "a"));
	for (int i = 0; i < 4; i++)
		drop_write(&writes[i]);
	assert_string_equal(logged, "");
}

/* Removed files that are open are written to as well. */
static void test_orphan(void **state)
{
	(void)state;
	prepare(FILE_A FILE_B);
	open_file(served, "b");
	struct file *b = mount_by_name(served, "b");
	b->unfenced = mount_by_name(served, "a")->unfenced = false;
	apply(served, FILE_A);
	b->unfenced = true;
	pid_t pid = holder(in_dir("b.img"), false);
	assert_int_equal(fence_take_over(crew), 1);
	assert_int_equal(b->active, 1);
	die(pid);
	woken();
	pthread_mutex_lock(&b->disk->lock);
	assert_int_equal(b->active, 0);
	pthread_mutex_unlock(&b->disk->lock);
}

/* Several files of one disk: each when its own is there, in any order. */
static void test_several(void **state)
{
	(void)state;
	prepare(FILE_A FILE_B);
	pid_t a = holder(in_dir("a.img"), false), b = holder(in_dir("b.img"), false);
	assert_int_equal(fence_take_over(crew), 2);
	assert_true(is_held("a") && is_held("b"));
	die(b);
	die(a);
	while (is_held("a") || is_held("b"))
		woken();
	assert_true(has_fence("a") && has_fence("b"));
}

/* A disk that never lets go holds back its own files, no others. */
static void test_disks(void **state)
{
	(void)state;
	NEED_ROOT();
	assert_int_equal(mkdir(in_dir("ram"), 0700), 0);
	assert_int_equal(mount("none", in_dir("ram"), "tmpfs", 0, NULL), 0);
	image("ram/r.img", MIB);
	prepare("[r]\npath = @/ram/r.img\nbuffered = yes\ndevice = ram\n" FILE_A);
	pid_t r = holder(in_dir("ram/r.img"), false), a = holder(in_dir("a.img"), false);
	assert_int_equal(fence_take_over(crew), 2);
	die(a);
	woken();
	assert_false(is_held("a"));
	assert_true(is_held("r"));
	die(r);
	woken();
	assert_false(is_held("r"));
	while (crew_destroy(crew))
		sched_yield();
	crew = NULL;
	mount_free(served);
	served = NULL;
	assert_int_equal(umount(in_dir("ram")), 0);
}

/* Who only reads does not wait for who only read. */
static void test_readers(void **state)
{
	(void)state;
	prepare("[a]\npath = @/a.img\nreadonly = yes\n");
	pid_t pid = holder(in_dir("a.img"), true);
	assert_int_equal(fence_take_over(crew), 0);
	assert_false(is_held("a"));
	die(pid);
}

/* A signal is no reason to write. */
static void test_interrupted(void **state)
{
	(void)state;
	prepare(FILE_A);
	interrupts = 3;
	pid_t pid = holder(in_dir("a.img"), false);
	assert_int_equal(fence_take_over(crew), 1);
	die(pid);
	woken();
	assert_int_equal(interrupts, 0);
	assert_true(has_fence("a"));
}

/* Locks do not work there at all: it is said, and the file served. */
static void test_error(void **state)
{
	(void)state;
	prepare(FILE_A);
	first_answer = -EIO;
	assert_int_equal(fence_take_over(crew), 0);
	assert_false(is_held("a"));
	assert_non_null(strstr(logged, "cannot be locked"));
}

/* Then it is waited for right there, and everything with it. */
static void test_no_thread(void **state)
{
	(void)state;
	prepare(FILE_A FILE_B);
	no_threads = true;
	at_wait = holder(in_dir("a.img"), false);
	assert_int_equal(fence_take_over(crew), 1);
	assert_int_equal(at_wait, 0);
	assert_false(is_held("a"));
	assert_true(has_fence("a") && has_fence("b"));
	assert_non_null(strstr(logged, "no thread"));
	woken();
}

static void test_no_memory(void **state)
{
	(void)state;
	/* without the list of all of them */
	prepare(FILE_A FILE_B);
	pid_t pid = holder(in_dir("b.img"), false);
	countdown = 0;
	assert_int_equal(fence_take_over(crew), 1);
	assert_true(has_failed());
	assert_true(is_held("b") && has_fence("a"));
	die(pid);
	woken();
	assert_false(is_held("b"));
	assert_true(has_fence("b"));
	/* nothing is found, as with nearly every reload: nothing is needed */
	countdown = 0;
	assert_int_equal(fence_found(crew), 0);
	assert_false(has_failed());
	while (crew_destroy(crew)) /* the thread may not have ended yet */
		sched_yield();
	mount_free(served);
	for (long failing = 1; failing <= 2; failing++) {
		prepare(FILE_A FILE_B);
		interrupts = 1;
		at_wait = holder(in_dir("b.img"), false);
		countdown = failing;
		assert_int_equal(fence_take_over(crew), 0);
		assert_true(has_failed());
		assert_int_equal(at_wait, 0);
		assert_false(is_held("b"));
		assert_true(has_fence("a") && has_fence("b"));
		assert_int_equal(crew_destroy(crew), 0);
		mount_free(served);
		crew = NULL;
		served = NULL;
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_not_held),	TEST(test_waits), TEST(test_orphan),
		TEST(test_several),	TEST(test_disks), TEST(test_readers),
		TEST(test_interrupted), TEST(test_error), TEST(test_no_thread),
		TEST(test_no_memory),
	};

	/* mounts of a test that fails must not outlive it */
	if (geteuid() == 0 &&
	    (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0))
		perror("no private mount namespace");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
