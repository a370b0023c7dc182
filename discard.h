/* SPDX-License-Identifier: MIT */
/*
 * discard.h - how large the pieces of a discard are. Part of the scheduler library.
 *
 * Nobody can tell what a discard costs before it is done: some disks note it and return, some take
 * time for every megabyte, some take 20 ms whatever the size. Small pieces let neighbours in
 * between; large ones get the whole thing answered soon, and the kernel holds the
 * file's lock until it is. So the size is learnt: pieces of a millisecond or more and 8 ms or less,
 * where there are such; where smaller pieces are not shorter, the largest. There is one at a time
 * at the disk, so that most of a disk with several servers is left to the others.
 */
#ifndef FUSEBAND_DISCARD_H
#define FUSEBAND_DISCARD_H

#include <stdint.h>

#define DISCARD_SIZES 6
#define DISCARD_LEAST_BYTES (UINT64_C(32) << 20) /* size 0; each further one is twice as large */

struct discard_size {
	unsigned now;			 /* 0..DISCARD_SIZES - 1 */
	uint64_t took_ns[DISCARD_SIZES]; /* recent mean, 0 = never tried */
};

void discard_init(struct discard_size *size);
/* The unit now: pieces end at absolute multiples of it. A power of two. */
uint64_t discard_unit_bytes(const struct discard_size *size);
/* A piece of so many bytes took so long. Those cut short by an end tell nothing. */
void discard_done(struct discard_size *size, uint64_t bytes, uint64_t took_ns);

#endif
