/* SPDX-License-Identifier: MIT */
/*
 * waiting.h - queued reads and writes whose caller may be killed.
 *
 * Any signal to a thread in synchronous I/O sends one FUSE_INTERRUPT, and then the kernel waits for
 * the answer. Answering EINTR to all of them would break programs that use timers, so it is only
 * given to a caller that is being killed or is gone. As there is only one interrupt however many
 * signals follow, an interrupted request stays under observation until it leaves the queue.
 *
 * An interrupt can overtake its request when another worker reads that. So one that is not found is
 * remembered, until eight newer ones have come for the same row of a small table. Most of these are
 * of requests that were just answered, and nobody will ever ask for them; so each request that queues
 * looks through one row of eight, and never through all.
 *
 * A leaf lock: taken after a disk's lock, nothing is taken after it.
 */
#ifndef FUSEBAND_WAITING_H
#define FUSEBAND_WAITING_H

#include "request.h"

#define WAITING_BUCKETS 1024U
#define WAITING_EARLY_ROWS 32U
#define WAITING_EARLY_EACH 8U

struct waiting {
	pthread_mutex_t lock;
	struct io *buckets[WAITING_BUCKETS]; /* by unique, linked by io->link */
	_Atomic unsigned interrupted;	     /* how many of them are under observation */
	/* interrupts without a request, by unique; in a row the newest first; 0: none */
	uint64_t early[WAITING_EARLY_ROWS][WAITING_EARLY_EACH];
	unsigned next_watched; /* bucket */
};

void waiting_init(struct waiting *waiting);
void waiting_destroy(struct waiting *waiting);

/* The disk's lock is held for both. True: an interrupt for it has come already. */
bool waiting_add(struct waiting *waiting, struct io *io);
void waiting_remove(struct waiting *waiting, struct io *io);

/*
 * An interrupt came. Returns the disk and the caller of the request, NULL if it is not there
 * (remembered then). Without a disk's lock.
 */
struct disk *waiting_interrupt(struct waiting *waiting, uint64_t unique, uint32_t *ret_pid);
/* The request, if it is still there. Its disk's lock is held. */
struct io *waiting_find(struct waiting *waiting, uint64_t unique);

/* Up to max requests under observation; to be looked at again from time to time. */
struct waiting_watch {
	uint64_t unique;
	uint32_t pid;
	struct disk *disk;
};
unsigned waiting_watched(struct waiting *waiting, struct waiting_watch *ret_list, unsigned max);

/* Has the thread a SIGKILL pending, or is it gone? False for pid 0. Reads /proc. */
bool waiting_caller_killed(uint32_t pid);

#endif
