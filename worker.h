/* SPDX-License-Identifier: MIT */
/*
 * worker.h - the threads that move requests from the kernel to the disks and back.
 *
 * Every worker runs the same loop, to completion: read requests, queue them at the scheduler of
 * their disk, take what the scheduler lets go, submit it to the worker's own io_uring, take what
 * has completed, answer, and sleep on requests and completions at once when there is nothing to
 * do. No request is handed from thread to thread unless it had to wait; then whoever has the
 * disk's lock when its turn comes takes it on, and answers through the descriptor it came from.
 * When a scheduler can say by the clock alone that something may go (a cap, a wait that ends), the
 * worker that visited it last wakes for it.
 *
 * WHO READS. The first worker watches for requests. If it has too much to do to ever rest, it
 * calls another, who reads until nothing is left and sleeps again: a lone client always meets
 * the same warm thread, and deep queues have as many as there are. Each worker also has an eye
 * on the one before it, while that does anything: should it be stuck in the kernel, on a disk that
 * hangs, the next one watches in its place.
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
 * LOCKS: a disk's lock covers its scheduler, its files' request state and counters. Under it one of
 * these may be taken, and nothing after that: the lock of the waiting table, of a cap (rate.c), of
 * the buffer depot, of its slabs (pool.c). Nobody waits for a disk, a timer or another thread's work
 * under any of them; but memory may have to be allocated, and mapped when the slabs are used up.
 * What only a reload changes (mount.h) is read without a lock, as workers are parked for that: the
 * main thread asks, each worker finishes its round and waits.
 *
 * Threads: the main thread (signals, reload), the workers; after a take-over those that wait for
 * fences (fence.h) and look for lost files (reopen.h); after a reload those that close what it has
 * removed, where that may hang (closing.h); one that renders the status files. Time comes to the
 * request path from worker.c alone, which reads the clock once in a round.
 */
#ifndef FUSEBAND_WORKER_H
#define FUSEBAND_WORKER_H

#include "crew.h"
#include "ring.h"

#define READ_LEAST 8U /* requests of a round */
#define READ_MOST 128U
#define REAP_MOST 64U /* completions of a round */
#define VISITS (READ_MOST + REAP_MOST)

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

/* A disk that has something to do in this round. */
struct visit {
	struct disk *disk;
	struct slice *done; /* came back from it */
};

struct worker {
	struct crew *crew;
	unsigned index;
	pthread_t thread;
	bool started, ring_made;
	int start_result; /* park_lock: 1 = not known yet, 0 = runs, -errno */
	int wake_fd;
	int errands; /* channel for its ring (errand.h); -1: none, or the ring has it */
	struct kept_worker *mark, own_mark; /* signs of life, and what it is at (keep.h) */
	struct ring ring;
	struct pool pool;
	struct front_session session;
	struct buffer *landing; /* the next request is read into it */
	struct io *spare;	/* the next request becomes it */
	bool more;		/* the kernel may have more requests */
	bool deaf;		/* there will be no more */
	bool retry;		/* something could not be done for want of memory */
	bool timed;		/* it may be this worker that is to wake for a disk */
	uint64_t watched_ns;
	uint64_t rested_ns; /* slept for a while */

	/* of the one before this one, LOOK_NS ago or more */
	uint64_t looked_ns;
	unsigned seen_rounds;
	bool instead; /* it is stuck: watch, and wake for disks, in its place */

	/* of the round */
	uint64_t now_ns;
	unsigned load; /* read in it: requests, and 32 KiB each */
	struct io *fresh[READ_MOST];
	unsigned n_fresh;
	struct visit visits[VISITS];
	unsigned n_visits;
	struct slice *issue, **issue_end;
	struct io *answers, **answers_end;
	unsigned n_answered; /* in the last one */

	_Atomic unsigned rounds;   /* even: asleep */
	_Atomic bool called, look; /* what it is woken for: to read, to visit every disk */
	_Atomic bool trusting;	   /* asleep for good: the one before has to say when it is up */
	_Atomic unsigned begun, answered;
	_Atomic int64_t held_bytes; /* of write payloads; may be negative: others answer, too */
};

/* 0 or -errno; worker_fini() is needed in either case. */
int worker_init(struct worker *worker, struct crew *crew, unsigned index, int clone);
void worker_fini(struct worker *worker);
void *worker_main(void *worker); /* of the thread */
/* Any thread: finish the round, look at every disk, see what the crew is to do. */
void worker_wake(struct worker *worker);
/* Any thread: no dead process can write to the file any more, so writes to it may begin. */
void worker_file_fenced(struct crew *crew, struct file *file);

/* What the worker is at, from here on: should it crash, that is suspect. */
static inline void worker_touch(struct worker *worker, uint64_t unique)
{
	atomic_store_explicit(&worker->mark->touched, unique, memory_order_relaxed);
}
/* The same for a thread that is no worker. */
void worker_touch_elsewhere(uint64_t unique);
/* Of the calling thread, for a signal handler; 0: nothing. */
uint64_t worker_touched(void);

#endif
