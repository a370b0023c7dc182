/* SPDX-License-Identifier: MIT */
/*
 * Unit tests of fence.h: a process holds the lock of a file through a description of its own and is
 * killed, as a data path with writes under way would be; what is held back meanwhile goes on then.
 * And reloads: whatever they replace, all that is served has its lock afterwards.
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

static int interrupts;	 /* so many waits end with EINTR */
static int first_answer; /* of the next one that does not wait, if not 0 */
static bool no_threads;
static char logged[1024];

/* a.img is on a server: what is asked of that waits while it is away. The main thread must not. */
static bool is_remote;
static pthread_t main_thread;
static unsigned asked_by_main;
static pthread_mutex_t server = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t server_is_back = PTHREAD_COND_INITIALIZER;
static bool is_away; /* server */

static void ask_server(const struct backing *backing)
{
	if (!backing || !backing->may_block)
		return;
	if (pthread_equal(pthread_self(), main_thread)) {
		asked_by_main++;
		return;
	}
	pthread_mutex_lock(&server);
	while (is_away)
		pthread_cond_wait(&server_is_back, &server);
	pthread_mutex_unlock(&server);
}

static void set_away(bool away)
{
	pthread_mutex_lock(&server);
	is_away = away;
	pthread_cond_broadcast(&server_is_back);
	pthread_mutex_unlock(&server);
}

static pid_t holders[8]; /* 0: none */

static void die(pid_t pid)
{
	for (int i = 0; i < 8; i++)
		if (holders[i] == pid)
			holders[i] = 0;
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

int __real_backing_fence(struct backing *backing, bool wait);
int __wrap_backing_fence(struct backing *backing, bool wait);
int __wrap_backing_fence(struct backing *backing, bool wait)
{
	int answer = first_answer;

	ask_server(backing);
	if (!wait && answer) {
		first_answer = 0;
		return answer;
	}
	if (!wait)
		return __real_backing_fence(backing, false);
	if (interrupts && interrupts--)
		return -EINTR;
	return __real_backing_fence(backing, true);
}

void __real_backing_unfence(struct backing *backing);
void __wrap_backing_unfence(struct backing *backing);
void __wrap_backing_unfence(struct backing *backing)
{
	ask_server(backing);
	__real_backing_unfence(backing);
}

void __real_backing_end_fence(const struct backing *backing);
void __wrap_backing_end_fence(const struct backing *backing);
void __wrap_backing_end_fence(const struct backing *backing)
{
	ask_server(backing);
	__real_backing_end_fence(backing);
}

void __real_backing_unref(struct backing *backing);
void __wrap_backing_unref(struct backing *backing);
void __wrap_backing_unref(struct backing *backing)
{
	if (backing && backing->refs == 1)
		ask_server(backing);
	__real_backing_unref(backing);
}

/* Nobody waits for the whole time. */
int __real_pthread_timedjoin_np(pthread_t thread, void **ret, const struct timespec *at);
int __wrap_pthread_timedjoin_np(pthread_t thread, void **ret, const struct timespec *at);
int __wrap_pthread_timedjoin_np(pthread_t thread, void **ret, const struct timespec *at)
{
	return is_away ? ETIMEDOUT : __real_pthread_timedjoin_np(thread, ret, at);
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

	if (level == LOG_LEVEL_DEBUG)
		return;
	pthread_mutex_lock(&server);
	va_start(args, fmt);
	vsnprintf(logged, sizeof(logged), fmt, args);
	va_end(args);
	pthread_mutex_unlock(&server);
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
	for (int i = 7; i >= 0; i--)
		if (!holders[i]) {
			holders[i] = pid;
			break;
		}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

/* ---- the one that takes over ---- */

/* Whatever the file system is that the test runs on. */
static void set_remote(struct plan *plan)
{
	for (size_t i = 0; i < plan->n_files; i++) {
		struct backing *backing = plan->files[i].backing;

		if (backing && !plan->files[i].reused)
			backing->may_block = is_remote && strstr(backing->path, "/a.img");
	}
}

/* As it is before GO: planned and opened, without fences. */
static void prepare(const char *text)
{
	struct plan *plan = planned(START, text);
	struct conf_errors errors = {0};

	set_remote(plan);
	served = mount_new();
	assert_int_equal(mount_apply(served, plan, &errors), 0);
	plan_free(plan);
	crew = __real_calloc(1, sizeof(*crew));
	crew->mount = served;
	crew->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
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

/* As serve.c does it, while nothing else goes on. Returns how many files are held back. */
static size_t take(void)
{
	size_t n = 0;

	fence_take(crew);
	for (size_t i = 0; i < served->n_disks; i++)
		for (const struct file *file = served->disks[i]->unfenced; file;
		     file = file->fence_next)
			n++;
	mount_finish(served, true);
	fence_start(crew, LOG_LEVEL_WARNING);
	return n;
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

/* The main thread is: it is to see what can be closed. */
static void told(void)
{
	struct pollfd pfd = {.fd = crew->event_fd, .events = POLLIN};
	eventfd_t n;

	assert_int_equal(poll(&pfd, 1, 20000), 1); /* or never */
	assert_int_equal(eventfd_read(pfd.fd, &n), 0);
	assert_true(atomic_exchange(&served->garbage, false));
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

/* The byte of the object has a lock: nobody else gets one. */
static bool is_locked(const char *path, uint64_t byte)
{
	struct flock lock = {.l_type = F_WRLCK,
			     .l_whence = SEEK_SET,
			     .l_start = (off_t)(BACKING_FENCE_BASE + byte),
			     .l_len = 1};
	int probe = open(path, O_RDWR | O_CLOEXEC);

	assert_int_equal(fcntl(probe, F_OFD_GETLK, &lock), 0);
	close(probe);
	return lock.l_type != F_UNLCK;
}

/* It has its fence, from the first to the last byte. */
static bool has_fence(const char *name)
{
	const struct backing *backing = mount_by_name(served, name)->backing;
	uint64_t start = backing->start_bytes;

	return is_locked(backing->path, start) &&
	       is_locked(backing->path, start + backing->size_bytes - 1);
}

static int setup(void **state)
{
	countdown = -1;
	interrupts = first_answer = 0;
	no_threads = is_remote = is_away = false;
	main_thread = pthread_self();
	asked_by_main = 0;
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
	set_away(false);
	for (int i = 0; i < 8; i++) /* of a test that has failed */
		if (holders[i])
			die(holders[i]);
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
	assert_int_equal(take(), 0);
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
	assert_int_equal(take(), 0);
}

/* Writes to the file wait, others do not; and all go on when the process is really gone. */
static void test_waits(void **state)
{
	(void)state;
	prepare(FILE_A FILE_B);
	pid_t pid = holder(in_dir("a.img"), false);
	assert_int_equal(take(), 1);
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
	assert_non_null(strstr(logged, "1 files can be read, but not written to before"));
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
	assert_int_equal(take(), 1);
	pthread_mutex_lock(&b->disk->lock);
	assert_int_equal(b->active, 1);
	pthread_mutex_unlock(&b->disk->lock);
	die(pid);
	woken();
	pthread_mutex_lock(&b->disk->lock);
	assert_int_equal(b->active, 0);
	pthread_mutex_unlock(&b->disk->lock);
}

/* As serve.c does it. Returns how many files are held back. */
static size_t try_reload(const char *text)
{
	struct plan *plan = next_plan(served, text);
	struct conf_errors errors = {0};

	set_remote(plan);
	assert_int_equal(mount_apply(served, plan, &errors), 0);
	plan_free(plan);
	return take();
}

static void reload(const char *text)
{
	assert_int_equal(try_reload(text), 0);
}

static void not_reloaded(const char *text, const char *errors)
{
	struct asked asked = START;
	struct plan_running *list;

	assert_int_equal(mount_running(served, &list, &asked.n_running), 0);
	asked.running = list;
	refused(asked, text, errors);
	free(list);
}

#define HEAD_OF_A "[head]\npath = @/a.img\nsize = 512K\n"

/* A closed range that is replaced beside one that goes on: they share a description. */
static void test_replaced(void **state)
{
	const char *a = in_dir("a.img");

	(void)state;
	prepare(HEAD_OF_A "[tail]\npath = @/a.img\noffset = 512K\n");
	assert_int_equal(take(), 0);
	assert_true(has_fence("head") && has_fence("tail"));
	assert_true(is_locked(a, 5 * MIB)); /* where it may grow to */
	/* another name */
	reload(HEAD_OF_A "[other]\npath = @/a.img\noffset = 512K\n");
	assert_true(has_fence("head") && has_fence("other"));
	/* another size: what it no longer has is free */
	reload(HEAD_OF_A "[other]\npath = @/a.img\noffset = 512K\nsize = 256K\n");
	assert_true(has_fence("head") && has_fence("other"));
	assert_false(is_locked(a, MIB - 1));
	/* another place, and one more where it was */
	reload(HEAD_OF_A "[other]\npath = @/a.img\noffset = 640K\n"
			 "[more]\npath = @/a.img\noffset = 512K\nsize = 128K\n");
	assert_true(has_fence("head") && has_fence("other") && has_fence("more"));
	/* another scheduler: it is the same backing */
	reload(HEAD_OF_A "device = e\n[other]\npath = @/a.img\noffset = 640K\ndevice = e\n");
	assert_true(has_fence("head") && has_fence("other"));
	assert_false(is_locked(a, MIB / 2));
	/* a reader, and a writer again: descriptions of their own */
	reload("[head]\npath = @/a.img\nreadonly = yes\n");
	assert_true(has_fence("head"));
	reload(HEAD_OF_A);
	assert_true(has_fence("head"));
	assert_false(is_locked(a, MIB / 2));
	assert_string_equal(logged, "");
}

/* The partial block at the end has a lock of its own. */
static void test_replaced_tail(void **state)
{
	(void)state;
	image("a.img", MIB + 100);
	prepare("[a]\npath = @/a.img\n");
	assert_int_equal(take(), 0);
	reload(HEAD_OF_A "[a]\npath = @/a.img\noffset = 512K\n");
	assert_true(has_fence("a"));
	assert_true(mount_by_name(served, "a")->backing->fd_buffered >= 0);
	assert_string_equal(logged, "");
}

/* A removed file that is open is as long as it was; the bytes behind it are another's. */
static void test_grown_behind_orphan(void **state)
{
	(void)state;
	for (int shared = 0; shared < 2; shared++) {
		const char *beside = shared ? HEAD_OF_A : "[head]\npath = @/b.img\n";
		char text[256];

		image("a.img", MIB);
		snprintf(text, sizeof(text), "%s[end]\npath = @/a.img\noffset = 512K\n", beside);
		prepare(text);
		assert_int_equal(take(), 0);
		open_file(served, "end");
		assert_int_equal(truncate(in_dir("a.img"), 2 * MIB), 0);
		snprintf(text, sizeof(text), "%s[new]\npath = @/a.img\noffset = 1M\n", beside);
		reload(text);
		assert_true(has_fence("head") && has_fence("new"));
		assert_true(is_locked(in_dir("a.img"), MIB / 2));
		atomic_store(&served->orphans[0]->kept->opens, 0);
		mount_collect(served);
		mount_finish(served, true);
		assert_true(has_fence("head") && has_fence("new"));
		assert_false(is_locked(in_dir("a.img"), MIB / 2));
		assert_string_equal(logged, "");
		assert_int_equal(crew_destroy(crew), 0);
		mount_free(served);
		crew = NULL;
		served = NULL;
	}
}

/* As long as it was shown, that is, not as when it was opened. */
static void test_grown_orphan(void **state)
{
	static const char next[] = "[new]\npath = @/a.img\noffset = 1M\n";
	static const char errors[] = "ioband.ini:3: [new] offset: \"1048576\" overlaps a, which "
				     "was removed but is still "
				     "open: only read-only files may have bytes in common\n";

	(void)state;
	prepare("[a]\npath = @/a.img\n");
	assert_int_equal(take(), 0);
	open_file(served, "a");
	assert_int_equal(truncate(in_dir("a.img"), 2 * MIB), 0);
	reload("[a]\npath = @/a.img\n");
	not_reloaded(next, errors);
	reload(FILE_B);
	not_reloaded(next, errors);
}

/* Nobody has it open, but a dead process may still write to it. */
static void test_waiting_orphan(void **state)
{
	static const char next[] = FILE_A "[new]\npath = @/b.img\ndevice = d\n";
	static const char errors[] =
		"ioband.ini:5: [new] path: \"@/b.img\" overlaps b, which was removed but is still "
		"open: only read-only files may have bytes in common\n";

	(void)state;
	prepare(FILE_A FILE_B);
	pid_t pid = holder(in_dir("b.img"), false);
	assert_int_equal(take(), 1);
	not_reloaded(next, errors);
	told();
	reload(FILE_A);
	assert_int_equal(served->n_orphans, 1);
	not_reloaded(next, errors);
	die(pid);
	woken();
	told();
	assert_true(mount_collect(served));
	mount_finish(served, true);
	assert_int_equal(served->n_orphans, 0);
	reload(next);
	assert_true(has_fence("new"));
	assert_int_equal(served->n_orphans, 0);
}

/* A file that a reload adds may have been another instance's, which was killed. */
static void test_added(void **state)
{
	(void)state;
	prepare(FILE_A);
	assert_int_equal(take(), 0);
	pid_t pid = holder(in_dir("b.img"), false);
	assert_int_equal(try_reload(FILE_A FILE_B), 1);
	assert_true(is_held("b") && !is_held("a"));
	die(pid);
	woken();
	assert_false(is_held("b"));
	assert_true(has_fence("b"));
}

/* Who locks all behind a header is no dead process of ours, and may do so for ever. */
static void test_stranger(void **state)
{
	struct flock most = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 4096};
	int fd = open(in_dir("a.img"), O_RDWR | O_CLOEXEC);

	(void)state;
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &most), 0);
	prepare(FILE_A FILE_B);
	assert_int_equal(take(), 0);
	assert_false(is_held("a"));
	assert_true(has_fence("b"));
	assert_non_null(strstr(logged, "a: "));
	assert_non_null(strstr(logged, "is locked by another program"));
	close(fd);
}

/* Several files of one disk: each when its own is there, in any order. */
static void test_several(void **state)
{
	(void)state;
	prepare(FILE_A FILE_B);
	pid_t a = holder(in_dir("a.img"), false), b = holder(in_dir("b.img"), false);
	assert_int_equal(take(), 2);
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
	assert_int_equal(take(), 2);
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
	assert_int_equal(take(), 0);
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
	assert_int_equal(take(), 1);
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
	assert_int_equal(take(), 0);
	assert_false(is_held("a"));
	assert_non_null(strstr(logged, "cannot be locked"));
}

/* Nobody waits in its place: it is tried again, and said once. */
static void test_no_thread(void **state)
{
	(void)state;
	prepare(FILE_A FILE_B);
	no_threads = true;
	pid_t pid = holder(in_dir("a.img"), false);
	assert_int_equal(take(), 1);
	assert_true(crew->fences_late);
	assert_non_null(strstr(logged, "no thread to lock"));
	logged[0] = '\0';
	fence_start(crew, LOG_LEVEL_WARNING);
	assert_string_equal(logged, "");
	assert_true(is_held("a"));
	assert_true(has_fence("b"));
	/* the mount cannot end as if nothing was held back */
	assert_int_equal(crew_destroy(crew), 1);
	woken();
	die(pid);
	no_threads = false;
	fence_start(crew, LOG_LEVEL_WARNING);
	assert_false(crew->fences_late);
	woken();
	assert_false(is_held("a"));
	assert_true(has_fence("a"));
}

/* Likewise. To find out what has to wait needs none. */
static void test_no_memory(void **state)
{
	(void)state;
	prepare(FILE_A FILE_B);
	pid_t pid = holder(in_dir("b.img"), false);
	countdown = 0;
	fence_take(crew);
	assert_false(has_failed());
	assert_true(is_held("b") && has_fence("a"));
	countdown = 0;
	fence_start(crew, LOG_LEVEL_WARNING);
	assert_true(has_failed());
	assert_true(crew->fences_late);
	fence_start(crew, LOG_LEVEL_WARNING);
	assert_false(crew->fences_late);
	die(pid);
	woken();
	assert_true(has_fence("b"));
}

/* ---- a server that is away stops nobody who does not need it ---- */

static void test_server_away(void **state)
{
	(void)state;
	is_remote = true;
	prepare(FILE_A FILE_B);
	set_away(true);
	assert_int_equal(take(), 1);
	assert_true(is_held("a"));
	assert_false(is_held("b"));
	assert_true(has_fence("b"));
	assert_false(push_write(&writes[0], "a"));
	assert_true(push_write(&writes[1], "b"));
	set_away(false);
	woken();
	assert_false(is_held("a"));
	assert_true(has_fence("a"));
	drop_write(&writes[0]);
	drop_write(&writes[1]);
	assert_string_equal(logged, ""); /* it waited for nobody who died */
	assert_int_equal(asked_by_main, 0);
}

/* Whoever is in the way is told apart there, too. */
static void test_server_locked(void **state)
{
	struct flock most = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 4096};
	int fd = open(in_dir("a.img"), O_RDWR | O_CLOEXEC);

	(void)state;
	is_remote = true;
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &most), 0);
	prepare(FILE_A);
	assert_int_equal(take(), 1);
	woken();
	told();
	assert_false(is_held("a"));
	assert_non_null(strstr(logged, "is locked by another program"));
	close(fd);
	pid_t pid = holder(in_dir("a.img"), false);
	assert_int_equal(try_reload("[other]\npath = @/a.img\nsize = 512K\n"), 1);
	told();
	assert_true(is_held("other"));
	die(pid);
	woken();
	assert_true(has_fence("other"));
	assert_non_null(strstr(logged, "1 files can be read, but not written to before"));
	assert_int_equal(asked_by_main, 0);
}

/* What goes gives back its fence when the server can be asked, and then who has its bytes goes on. */
static void test_server_away_at_reload(void **state)
{
	(void)state;
	is_remote = true;
	prepare(FILE_A FILE_B);
	assert_int_equal(take(), 1);
	woken();
	set_away(true);
	assert_int_equal(try_reload("[other]\npath = @/a.img\n" FILE_B), 1);
	assert_null(served->trash);
	assert_non_null(strstr(logged, "d: what a reload has removed stays claimed until"));
	assert_true(is_held("other"));
	assert_false(is_held("b"));
	/* and so has who needs nothing of it */
	assert_int_equal(try_reload("[other]\npath = @/a.img\n"), 0);
	assert_int_equal(try_reload("[other]\npath = @/a.img\n" FILE_B), 0);
	assert_true(has_fence("b"));
	set_away(false);
	woken();
	assert_true(has_fence("other"));
	assert_int_equal(asked_by_main, 0);
}

/* Then the main thread has to. */
static void test_server_no_thread(void **state)
{
	(void)state;
	is_remote = true;
	prepare(FILE_A FILE_B);
	assert_int_equal(take(), 1);
	woken();
	no_threads = true;
	assert_int_equal(try_reload(FILE_B), 0);
	assert_non_null(strstr(logged, "no thread to close"));
	assert_true(asked_by_main > 0);
	assert_null(served->trash);
	assert_false(is_locked(in_dir("a.img"), 0));
}

/* As test_grown_behind_orphan(). */
static void test_server_grown_behind_orphan(void **state)
{
	(void)state;
	is_remote = true;
	prepare("[end]\npath = @/a.img\noffset = 512K\n");
	assert_int_equal(take(), 1);
	woken();
	open_file(served, "end");
	assert_int_equal(truncate(in_dir("a.img"), 2 * MIB), 0);
	set_away(true);
	assert_int_equal(try_reload("[new]\npath = @/a.img\noffset = 1M\n"), 2);
	assert_true(is_held("new"));
	set_away(false);
	while (is_held("new"))
		woken();
	assert_true(has_fence("new"));
	assert_true(is_locked(in_dir("a.img"), MIB / 2));
	assert_int_equal(served->orphans[0]->active, 0);
	assert_string_equal(logged, "");
	assert_int_equal(asked_by_main, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_not_held),
		TEST(test_waits),
		TEST(test_orphan),
		TEST(test_replaced),
		TEST(test_replaced_tail),
		TEST(test_grown_behind_orphan),
		TEST(test_grown_orphan),
		TEST(test_waiting_orphan),
		TEST(test_added),
		TEST(test_stranger),
		TEST(test_several),
		TEST(test_disks),
		TEST(test_readers),
		TEST(test_interrupted),
		TEST(test_error),
		TEST(test_no_thread),
		TEST(test_no_memory),
		TEST(test_server_away),
		TEST(test_server_locked),
		TEST(test_server_away_at_reload),
		TEST(test_server_grown_behind_orphan),
		TEST(test_server_no_thread),
	};

	/* mounts of a test that fails must not outlive it */
	if (geteuid() == 0 &&
	    (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0))
		perror("no private mount namespace");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
