/* SPDX-License-Identifier: MIT */
/*
 * errand.h - system calls that may wait for a disk for as long as it likes: flush, discard, seek.
 *
 * A thread that waits in one of them cannot be killed, and neither its process nor any descriptor
 * that it shares is gone before the disk moves. Were that the data path, whoever takes over after
 * it was killed would have to wait for the one disk that hangs before anybody's is served: for the
 * death of the process, as something of it might still run, and for the locks on all its files
 * (fence.h). The threads that io_uring has for such calls are no better, they are the process's.
 *
 * So these calls are errands, run by another process, fuseband-errand. It is handed the descriptor
 * with the order, and forgets it afterwards; what it has in hand is all that it could keep a
 * successor from.
 *
 *     worker's ring    order, descriptor --->  a thread of fuseband-errand    fdatasync()
 *                      <------- id, result                                    fallocate(), lseek()
 *
 * fuseband-admin makes one for each data path (steward.h), without any privilege. It ends when
 * that has, with what is under way, and begins nothing more for the dead. Where it is missing the
 * data path runs its errands in threads of its own, which do the same, but for that.
 *
 * Each channel belongs to one ring. There is always a thread that listens to it: who takes an order
 * makes another one first, if it was the last.
 */
#ifndef FUSEBAND_ERRAND_H
#define FUSEBAND_ERRAND_H

#include <stdint.h>

#define ERRAND_CHANNELS 64U /* for one process: as many as there may be workers */
/* A result: no thread for it just now, nothing was done. */
#define ERRAND_LATER INT64_MIN

enum errand_kind { ERRAND_FLUSH, ERRAND_FALLOCATE, ERRAND_SEEK };

struct errand {
	uint64_t id; /* whatever the sender likes; comes back with the result */
	uint64_t pos_bytes, len_bytes;
	int32_t kind;
	int32_t mode; /* FALLOC_FL_*, or SEEK_DATA and SEEK_HOLE */
};

struct errand_result {
	uint64_t id;
	int64_t value; /* 0, or where the seek ended; or -errno, or ERRAND_LATER */
};

/* A channel: the end of who sends errands, and of who runs them; O_CLOEXEC. 0 or -errno. */
int errand_channel(int ret_ends[2]);
/* Run what comes from the other end in threads of this process, and close it then. 0 or -errno. */
int errand_serve(int channel);
/* Until that is so for all that this process serves: their other ends are closed, nothing is run.
 */
void errand_await_end(void);

/* Neither of them waits. fd stays the sender's. 0, or -errno: -EAGAIN if too many are on their way.
 */
int errand_send(int channel, const struct errand *errand, int fd);
/* 0, -EAGAIN: there is none, or -EPIPE: nobody is there any more. */
int errand_receive(int channel, struct errand_result *ret_result);

#endif
