/* SPDX-License-Identifier: MIT */
/*
 * Unit tests of keep.h: what a successor finds of files, and of requests that a dead process was
 * at.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "keep.h"
#include "memfd.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#define RESENT(unique) ((unique) | KEEP_RESENT)

static struct keep *keep;
static int keep_fd;

static int setup(void **state)
{
	(void)state;
	return keep_create(&keep_fd, &keep);
}

static int teardown(void **state)
{
	(void)state;
	munmap(keep, sizeof(*keep));
	close(keep_fd);
	return 0;
}

/* The place of a file, a new one if it has none yet. */
static struct kept_file *keep_file(struct keep *all, uint64_t id)
{
	struct kept_file *file = keep_file_find(all, id);

	return file ? file : keep_file_add(all, id);
}

/* ---- the memory ---- */

static void test_create(void **state)
{
	static const struct kept_file no_file;

	(void)state;
	assert_true(fcntl(keep_fd, F_GETFD) & FD_CLOEXEC);
	assert_true(keep->magic == KEEP_MAGIC);
	assert_int_equal(keep->version, KEEP_VERSION);
	assert_int_equal(keep->turns, 0);
	assert_int_equal(keep->next_suspect, 0);
	assert_memory_equal(&keep->files[0], &no_file, sizeof(no_file));
	assert_memory_equal(&keep->files[KEEP_FILES - 1], &no_file, sizeof(no_file));
}

/* What one process writes, the other one has. */
static void test_open(void **state)
{
	unsigned descriptors = open_descriptors();
	struct keep *next = NULL;

	(void)state;
	keep_file(keep, 16)->counters.read_ios = 5;
	assert_int_equal(keep_open(keep_fd, &next), 0);
	assert_ptr_not_equal(next, keep);
	assert_int_equal(keep_file(next, 16)->counters.read_ios, 5);
	atomic_store(&keep_file(next, 16)->opens, 3);
	assert_int_equal(atomic_load(&keep_file(keep, 16)->opens), 3);
	munmap(next, sizeof(*next));
	assert_int_equal(open_descriptors(), descriptors);
}

static void not_opened(int fd, int err)
{
	struct keep *next = (struct keep *)&keep_fd;

	assert_int_equal(keep_open(fd, &next), err);
	assert_ptr_equal(next, &keep_fd);
}

static void test_open_refuses(void **state)
{
	int ends[2], other = memfd_of("fuseband", 8);

	(void)state;
	not_opened(other, -EPROTO);
	assert_int_equal(ftruncate(other, sizeof(*keep)), 0);
	not_opened(other, -EPROTO); /* no magic */
	close(other);
	keep->version = KEEP_VERSION + 1;
	not_opened(keep_fd, -EPROTO);
	keep->version = KEEP_VERSION;
	keep->magic++;
	not_opened(keep_fd, -EPROTO);
	keep->magic--;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	not_opened(ends[0], -EPROTO);
	close(ends[0]);
	close(ends[1]);
	not_opened(-1, -EBADF);
	assert_int_equal(ftruncate(keep_fd, sizeof(*keep) + 1), 0);
	not_opened(keep_fd, -EPROTO);
	assert_int_equal(ftruncate(keep_fd, sizeof(*keep)), 0);
	struct keep *same = NULL;
	assert_int_equal(keep_open(keep_fd, &same), 0);
	munmap(same, sizeof(*same));
}

/*
 * A program of another layout must not touch it: whoever changes one of these numbers changes
 * KEEP_VERSION, too.
 */
static void test_layout(void **state)
{
	(void)state;
	if (sizeof(void *) != 8)
		skip();
	assert_int_equal(KEEP_VERSION, 8);
	assert_int_equal(offsetof(struct keep, version), 8);
	assert_int_equal(offsetof(struct keep, suspects), 40);
	assert_int_equal(offsetof(struct keep, workers), 2432);
	assert_int_equal(offsetof(struct keep, files), 1117080);
	assert_int_equal(sizeof(struct kept_worker), 128);
	assert_int_equal(sizeof(struct kept_file), 968);
	assert_int_equal(sizeof(struct kept_group), 24);
}

/* ---- turns ---- */

/* As in another process: a lock is of what was opened. */
static struct keep_turn prepared(void)
{
	struct keep_turn turn;

	assert_int_equal(keep_turn_prepare(keep, keep_fd, &turn), 0);
	assert_true(fcntl(turn.fd, F_GETFD) & FD_CLOEXEC);
	return turn;
}

static void test_turns(void **state)
{
	struct keep_turn first, next, rival, late;

	(void)state;
	first = prepared();
	assert_int_equal(keep_turn_take(keep, &first, false), 0);
	assert_int_equal(keep->turns, 1);
	next = prepared();
	rival = prepared();
	assert_int_equal(keep_turn_take(keep, &next, false), -EAGAIN);
	assert_int_equal(keep->turns, 1);
	close(first.fd); /* it dies */
	assert_int_equal(keep_turn_take(keep, &next, true), 0);
	assert_int_equal(keep->turns, 2);
	assert_int_equal(keep_turn_take(keep, &rival, false), -EAGAIN);
	close(next.fd);
	/* what it knows may be out of date, and it has given the lock back */
	assert_int_equal(keep_turn_take(keep, &rival, true), -ESTALE);
	late = prepared();
	atomic_store(&keep->ended, 1);
	assert_int_equal(keep_turn_take(keep, &late, false), -ESTALE);
	assert_int_equal(keep->turns, 2);
	atomic_store(&keep->ended, 0);
	assert_int_equal(keep_turn_take(keep, &late, false), 0);
	close(rival.fd);
	close(late.fd);
	assert_int_equal(keep_turn_prepare(keep, -1, &late), -ENOENT);
}

/* A child that inherits the memfd, but not who serves. */
static void test_turn_of_a_dead_process(void **state)
{
	struct keep_turn turn = prepared();
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		struct keep_turn own;

		_exit(keep_turn_prepare(keep, keep_fd, &own) || keep_turn_take(keep, &own, false));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(keep_turn_take(keep, &turn, false), -ESTALE);
	close(turn.fd);
}

/* ---- workers ---- */

static void test_workers(void **state)
{
	(void)state;
	for (unsigned i = 0; i < KEEP_WORKERS; i++) {
		assert_ptr_equal(keep_worker(keep, i), &keep->workers[i]);
		assert_int_equal((uintptr_t)keep_worker(keep, i) % 128, 0); /* lines of their own */
	}
	assert_ptr_equal(keep_worker(keep, KEEP_WORKERS), &keep->workers[KEEP_WORKERS - 1]);
	assert_ptr_equal(keep_worker(keep, UINT32_MAX), &keep->workers[KEEP_WORKERS - 1]);
}

/* ---- files ---- */

static void test_files(void **state)
{
	(void)state;
	struct kept_file *a = keep_file(keep, 16), *b = keep_file(keep, 17);
	assert_ptr_not_equal(a, b);
	assert_int_equal(a->id, 16);
	assert_int_equal(atomic_load(&a->opens), 0);
	atomic_store(&a->opens, 2);
	a->counters.errors = 7;
	assert_ptr_equal(keep_file(keep, 16), a);
	assert_int_equal(a->counters.errors, 7);
	/* given up, it is another's, and empty */
	keep_file_free(a);
	struct kept_file *c = keep_file(keep, 16 + KEEP_FILES);
	assert_ptr_equal(c, a);
	assert_int_equal(atomic_load(&c->opens), 0);
	assert_int_equal(c->counters.errors, 0);
	assert_int_equal(b->id, 17);
}

/*
 * Far from its first place, as that and many behind it were taken, and now some of those are free:
 * it is found all the same. (It would seem closed otherwise, and be taken from a guest.)
 */
static void test_file_behind_gaps(void **state)
{
	const uint64_t late = 16 + KEEP_FILES;

	(void)state;
	for (uint64_t id = 16; id < 1016; id++)
		assert_non_null(keep_file(keep, id));
	struct kept_file *far = keep_file(keep, late);
	atomic_store(&far->opens, 1);
	for (uint64_t id = 20; id < 1000; id += 7)
		keep_file_free(keep_file(keep, id));
	assert_ptr_equal(keep_file(keep, late), far);
	assert_int_equal(atomic_load(&far->opens), 1);
	/* and no place is lost: what is new gets one of the gaps */
	assert_ptr_equal(keep_file(keep, late + 4), &keep->files[20]);
}

static void test_full(void **state)
{
	(void)state;
	for (uint64_t id = 1; id <= KEEP_FILES; id++)
		keep->files[id % KEEP_FILES].id = id;
	assert_null(keep_file(keep, KEEP_FILES + 1));
	assert_ptr_equal(keep_file(keep, 5), &keep->files[5]);
	keep_file_free(&keep->files[3]);
	assert_ptr_equal(keep_file(keep, KEEP_FILES + 5), &keep->files[3]);
	assert_null(keep_file(keep, KEEP_FILES + 6));
	assert_ptr_equal(keep_file(keep, KEEP_FILES + 5), &keep->files[3]);
}

/* ---- requests that are sent again ---- */

static void test_counted(void **state)
{
	(void)state;
	assert_false(keep_was_counted(keep, RESENT(100)));
	atomic_store(&keep_worker(keep, 0)->counted, 100);
	atomic_store(&keep_worker(keep, 63)->counted, 101);
	assert_false(keep_was_counted(keep, RESENT(100))); /* its process lives */
	keep_bury(keep, false);
	assert_true(keep_was_counted(keep, RESENT(100)));
	assert_true(keep_was_counted(keep, RESENT(101)));
	assert_false(keep_was_counted(keep, RESENT(102)));
	assert_false(keep_was_counted(keep, 100)); /* not sent again: another one */
	/* the next process has counted nothing yet */
	assert_int_equal(atomic_load(&keep_worker(keep, 0)->counted), 0);
	/* it dies, too, and what the first one had counted is still known */
	atomic_store(&keep_worker(keep, 0)->counted, 200);
	keep_bury(keep, false);
	assert_true(keep_was_counted(keep, RESENT(100)));
	assert_true(keep_was_counted(keep, RESENT(200)));
}

/* Deaths of processes with two workers: those of the last hundred and more are remembered. */
static void test_counted_long_ago(void **state)
{
	(void)state;
	for (uint64_t death = 1; death <= 1000; death++) {
		atomic_store(&keep_worker(keep, 0)->counted, 2 * death);
		atomic_store(&keep_worker(keep, 1)->counted, 2 * death + 1);
		keep_bury(keep, false);
	}
	for (uint64_t unique = 2000 - KEEP_COUNTED + 2; unique < 2002; unique++)
		assert_true(keep_was_counted(keep, RESENT(unique)));
	assert_false(keep_was_counted(keep, RESENT(2000 - KEEP_COUNTED + 1)));
}

/* What the crash handler of a process does, and its parent then. */
static void crash(uint64_t unique)
{
	atomic_store(&keep_worker(keep, 0)->touched, unique);
	atomic_store(&keep->crashed, unique);
	keep_bury(keep, true);
}

static void test_poison(void **state)
{
	(void)state;
	crash(50);
	assert_false(keep_is_poison(keep, RESENT(50))); /* once may be an accident */
	assert_int_equal(atomic_load(&keep_worker(keep, 0)->touched), 0);
	assert_int_equal(atomic_load(&keep->crashed), 0);
	crash(RESENT(50)); /* as the next process has it */
	assert_true(keep_is_poison(keep, RESENT(50)));
	assert_false(keep_is_poison(keep, 50)); /* never sent before: it is another one */
	assert_false(keep_is_poison(keep, RESENT(51)));
	/* that others crash it, too, changes nothing */
	crash(60);
	assert_true(keep_is_poison(keep, RESENT(50)));
	assert_false(keep_is_poison(keep, RESENT(60)));
}

/* A process that was killed had done nothing wrong, whatever it was at. */
static void test_killed(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		atomic_store(&keep_worker(keep, 0)->touched, 50);
		keep_bury(keep, false);
	}
	assert_false(keep_is_poison(keep, RESENT(50)));
	/* it crashed outside of any request */
	for (int i = 0; i < 5; i++)
		crash(0);
	assert_false(keep_is_poison(keep, RESENT(0)));
	assert_int_equal(keep->next_suspect, 0);
}

/* More suspects than there are places: the oldest are let go. */
static void test_many_suspects(void **state)
{
	(void)state;
	for (uint64_t unique = 1; unique <= KEEP_SUSPECTS + 1; unique++)
		crash(2 * unique);
	crash(2); /* forgotten: the first time again */
	assert_false(keep_is_poison(keep, RESENT(2)));
	crash(2 * (KEEP_SUSPECTS + 1)); /* not forgotten */
	assert_true(keep_is_poison(keep, RESENT(2 * (KEEP_SUSPECTS + 1))));
	crash(2);
	assert_true(keep_is_poison(keep, RESENT(2)));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_create),	     TEST(test_open),	 TEST(test_open_refuses),
		TEST(test_layout),	     TEST(test_workers), TEST(test_files),
		TEST(test_file_behind_gaps), TEST(test_full),	 TEST(test_counted),
		TEST(test_counted_long_ago), TEST(test_poison),	 TEST(test_killed),
		TEST(test_many_suspects),    TEST(test_turns),	 TEST(test_turn_of_a_dead_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
