/* SPDX-License-Identifier: MIT */
/*
 * crew.h - the workers of a mount as the main thread sees them: started, parked for a change,
 * drained, stopped. What they do is worker.h's.
 */
#ifndef FUSEBAND_CREW_H
#define FUSEBAND_CREW_H

#include "front.h"
#include "gate.h"
#include "mount.h"
#include "pool.h"
#include "waiting.h"

struct worker;

/* Shared by all workers of a mount. */
struct crew {
	struct mount *mount;
	struct front *front;
	struct keep *keep; /* the mount's; NULL: no successor, nobody looks at signs of life */
	struct depot depot;
	struct waiting waiting;
	struct worker *workers;
	unsigned n_workers;
	uint64_t memory_bytes; /* cap on held write data. Parked */
	struct gate gate;
	/* readable: unmounted, garbage to collect, a try to open what is lost is over (reopen.h) */
	int event_fd;
	_Atomic bool unmounted;
	_Atomic bool draining; /* read no more requests */
	_Atomic bool leaving;
	_Atomic unsigned fencing; /* threads that wait for fences, or are to (fence.h) */
	bool fences_late;	  /* the main thread's: some of them could not be started */

	pthread_mutex_t park_lock;
	pthread_cond_t park_changed;
	_Atomic bool parking;
	unsigned parked;
};

/*
 * Create n workers with their rings and sessions, not started. clones: n descriptors that an
 * earlier process left for them, or NULL: new ones. 0 or -errno.
 */
int crew_create(struct mount *mount, struct front *front, unsigned n, const int *clones,
		uint64_t memory_bytes, struct crew **ret_crew);
/* parked: as after crew_park(). 0 or -errno, logged. */
int crew_start(struct crew *crew, bool parked);
/*
 * Stop and join the workers. Returns how many requests are unanswered and threads wait for fences:
 * unless there are none, the kernel or they may still write to memory, nothing was freed, and the
 * process should end at once.
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
