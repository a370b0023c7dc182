/* SPDX-License-Identifier: MIT */
/*
 * worker.h - the threads that move requests from the kernel to the disks and back.
 *
 * Every worker runs the same loop, to completion: read requests, queue them at the scheduler of
 * their disk, take what the scheduler lets go, submit it to the worker's own io_uring, take what
 * has completed, answer, and sleep on requests and completions at once when there is nothing to
 * do. No request is handed from thread to thread unless it had to wait; then whoever has the
 * disk's lock when its turn comes takes it on, and answers through the descriptor it came from.
 *
 * WHO OWNS A REQUEST
 *
 *   state      struct io is reached from          may be touched by
 *   ---------  ---------------------------------  -------------------------------------
 *   free       a pool                             the pool's thread
 *   read       the reading worker's stack         that worker
 *   queued     its disk: scheduler, ranges,       whoever holds the disk's lock
 *              flush list
 *   issued     the slices at the disk             the data: the kernel; the rest: whoever
 *                                                 holds the disk's lock
 *   answering  the worker that took the last      that worker
 *              slice back
 *
 * LOCKS: a disk's lock covers its scheduler, its files' request state and counters. Under it the
 * lock of the waiting table or of the buffer depot may be taken, nothing else; nobody sleeps or
 * does I/O under it. What only a reload changes (mount.h) is read without a lock, as workers are
 * parked for that: the main thread asks, each worker finishes its round and waits.
 *
 * Threads and clock: the main thread (signals, reload), the workers, and one short-lived thread
 * for each SEEK_HOLE or SEEK_DATA, which may wait for the disk. Only worker.c reads the clock.
 */
#ifndef FUSEBAND_WORKER_H
#define FUSEBAND_WORKER_H

#include "front.h"
#include "mount.h"
#include "pool.h"
#include "waiting.h"

struct worker;

/* Shared by all workers of a mount. */
struct crew {
	struct mount *mount;
	struct front *front;
	struct depot depot;
	struct waiting waiting;
	struct worker *workers;
	unsigned n_workers;
	uint64_t memory_bytes; /* cap on held write data. Parked */
	int event_fd;	       /* readable: unmounted, garbage to collect, or a worker has failed */
	_Atomic bool unmounted;
	_Atomic bool draining; /* read no more requests */
	_Atomic bool leaving;
	_Atomic bool memory_told; /* in this episode */
	_Atomic unsigned seekers; /* threads in lseek() */

	pthread_mutex_t park_lock;
	pthread_cond_t park_changed;
	_Atomic bool parking;
	unsigned parked;
};

/* Create n workers with their rings and sessions, not started. 0 or -errno, logged. */
int crew_create(struct mount *mount, struct front *front, unsigned n, uint64_t memory_bytes,
		struct crew **ret_crew);
int crew_start(struct crew *crew);
/*
 * Stop and join the workers. Returns how many requests are unanswered: unless there are none, the
 * kernel may still write to their memory, nothing was freed, and the process should end at once.
 */
unsigned crew_destroy(struct crew *crew);

/*
 * Workers finish their round and wait / go on. Not nested. False, and they go on: one of them
 * did not finish its round within PARK_NS, as it is stuck in the kernel on a disk that hangs.
 */
bool crew_park(struct crew *crew);
void crew_resume(struct crew *crew);

/* No more requests are read from now on. */
void crew_drain(struct crew *crew);
/* Workers end after their round, without being waited for. */
void crew_leave(struct crew *crew);
/* Requests read and not answered yet. */
unsigned crew_unanswered(const struct crew *crew);
/* Answer all of them EIO. Parked; the workers must not be resumed. Returns how many. */
unsigned crew_abandon(struct crew *crew);

#endif
