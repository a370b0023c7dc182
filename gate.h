/* SPDX-License-Identifier: MIT */
/*
 * gate.h - how many requests the kernel lets in before it makes their senders wait, so that queued
 * writes fit into the memory set aside for them.
 *
 * The payload of a write comes with it, and cannot be put back. The kernel keeps all requests of a
 * mount in one FIFO, so that whoever stops reading it, for want of memory, makes everybody wait for
 * the one who fills it: with 10,000 writes of 1 MiB queued, a neighbour's read of 4 KiB on an idle
 * disk waits behind thousands of them, for half a minute on a disk of 300 MB/s. A share of the
 * memory for each file does not help: to find out whose the next request is, it has to be taken.
 *
 * So the queue must be shorter than the memory is large. The kernel has a limit for that,
 * max_background, which can be changed at any time in its control file system (fusectl, mounted on
 * /sys/fs/fuse/connections): it lets so many asynchronous requests in, and others wait outside, in
 * their sender, as they do for a disk whose queue is full. Synchronous ones always get in. With a
 * limit of as many requests as payloads of the largest size fit, the FIFO is empty most of the
 * time: synchronous neighbours do not notice a flood, and asynchronous ones wait for one of its
 * requests to be done rather than for all of them.
 *
 *     slots = 7/8 of the memory / 1 MiB          all of the limit if everything is a large write
 *     limit = slots, at first
 *           = unanswered requests + free slots   once small ones, which take next to nothing, are
 *                                                about to use it up, and memory is to be had; back
 *                                                to that and no less than slots when it fills
 *
 * The eighth that is left is for synchronous writes, and for those that got in while the limit was
 * still higher. When that is used up, too, reading stops: the last resort, see worker.c.
 *
 * Without a fusectl that may be written to (in containers), the limit of the negotiation stays: as
 * many as there are slots, but at least GATE_LEAST. More than the module parameter max_user_bgreq
 * is only for who has CAP_SYS_ADMIN, so it is not us who write to it but steward.h: orders to it
 * take effect in their sequence, some microseconds later. For ordinary users it is no more than
 * that parameter.
 */
#ifndef FUSEBAND_GATE_H
#define FUSEBAND_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define GATE_MOST 65535U /* what the kernel takes */
#define GATE_LEAST 256U	 /* or a small `memory` would make depths of everyday use impossible */

struct gate {
	_Atomic int steward;	/* who tells the kernel (steward.h); -1: nobody */
	_Atomic bool busy;	/* somebody changes it */
	_Atomic unsigned limit; /* as the kernel was told; 0: not yet */
};

/* What to negotiate for a mount with so much memory for queued writes. */
unsigned gate_at_first(uint64_t memory_bytes);
/* Changes nothing yet: others may serve. */
void gate_init(struct gate *gate, int steward);
/* Any thread, whenever requests came or went: payload bytes held and requests not answered. */
void gate_adjust(struct gate *gate, uint64_t memory_bytes, int64_t held_bytes, unsigned unanswered);
/* No room for another large write. */
bool gate_is_shut(uint64_t memory_bytes, int64_t held_bytes);

#endif
