/* SPDX-License-Identifier: MIT */
/*
 * ring.h - one worker's io_uring: submits what it is given and finishes it.
 *
 * Never decides order. Short reads and writes are continued, what was only disturbed (EINTR,
 * EAGAIN, ECANCELED) is repeated, so that a completed operation has either moved all its bytes, met
 * the end of the object (a read), or failed with an errno (also EAGAIN, if it stays at that). Also
 * where the worker sleeps: on completions, on the descriptors it watches, and on a timeout, at
 * once.
 *
 * One thread. Nothing here can block on a disk: what always waits (flushes, fallocate, seeks) is
 * done elsewhere (errand.h), and what the kernel cannot do without waiting (filesystems without
 * NOWAIT) it hands to its own io-wq threads, whose number is raised far beyond its default of a few
 * per CPU, so that hung operations of one disk do not use up those of another.
 */
#ifndef FUSEBAND_RING_H
#define FUSEBAND_RING_H

#include <stdbool.h>
#include <stdint.h>
#include <liburing.h>

enum ring_kind { RING_READ, RING_WRITE, RING_FLUSH, RING_FALLOCATE, RING_SEEK };

/* The caller's, untouchable between ring_queue() and ring_reap() giving it back. */
struct ring_op {
	enum ring_kind kind;
	int fd;
	int mode; /* RING_WRITE: RWF_*; RING_FALLOCATE: FALLOC_FL_*; RING_SEEK: SEEK_* */
	char *data;
	uint64_t pos_bytes, len_bytes;
	bool async;	      /* straight to the kernel's threads: submitting it might wait */
	uint32_t align_bytes; /* a read that ends off this has met the end of the object */
	/* ring.c's */
	unsigned retries;
	struct ring_op *link;
	/* results */
	uint64_t done_bytes; /* RING_SEEK: where it ended */
	int error;	     /* 0 or -errno */
};

#define RING_WATCHES 2U

struct ring {
	struct io_uring uring;
	unsigned to_submit; /* prepared, not yet seen by the kernel */
	unsigned in_flight; /* operations, without watches */
	struct {
		int fd;
		bool armed, ready;
	} watch[RING_WATCHES + 1]; /* the last one: the channel of errands; fd -1: none yet */
	struct ring_op *away;	   /* errands that are being run */
	struct ring_op *unsent, **unsent_end;
	uint64_t later_ns; /* they are not sent before; 0: at once */
};

/* 0 or -errno: -ENOSYS, -EPERM where io_uring is not to be had, -ENOMEM. */
int ring_init(struct ring *ring);
/* The channel to who runs its errands; the ring's from now on. Without one threads of its own do. */
void ring_set_errands(struct ring *ring, int channel);
void ring_destroy(struct ring *ring);

/*
 * Watch fd for input in slot 0..RING_WATCHES-1, from the next sleep on; -1: no more once the
 * watch has seen something. ring_watch_ready() tells whether input was seen since it was armed.
 *
 * All that watch the same queue wake up. Were it one of them only, as with EPOLLEXCLUSIVE, it
 * could be the one that is stuck in the kernel.
 */
void ring_watch(struct ring *ring, unsigned slot, int fd);
bool ring_watch_ready(struct ring *ring, unsigned slot); /* and forget it */
bool ring_watch_armed(const struct ring *ring, unsigned slot);

/* Prepare an operation; it starts at the next ring_submit() or ring_wait(). */
void ring_queue(struct ring *ring, struct ring_op *op);
void ring_submit(struct ring *ring);
/* Submit, then sleep until anything completes, a watch fires or timeout_ns pass (0: for ever). */
void ring_wait(struct ring *ring, uint64_t timeout_ns);
/* There is something to reap already. */
bool ring_has_completions(const struct ring *ring);
/* Take up to max finished operations; never sleeps. */
unsigned ring_reap(struct ring *ring, struct ring_op **ret_ops, unsigned max);

#endif
