/* SPDX-License-Identifier: MIT */
/*
 * afterwards.h - flushes and discards: what they cost is known when they are over, and charged then.
 * Part of the scheduler library; not for its users. What is charged is told at the head of sched.c;
 * fbs_flush_start() and its like are in sched.h.
 */
#ifndef FUSEBAND_AFTERWARDS_H
#define FUSEBAND_AFTERWARDS_H

#include "tree.h"

/* A write of leaf is done: the next flush brings it to the medium. */
void afterwards_wrote(struct fbs *fbs, struct fbs_node *leaf, uint64_t bytes);

void afterwards_discard_issued(struct fbs *fbs);
/* leaf, which was charged so many tokens for it then, pays the rest; and the next one may go. */
void afterwards_discard_done(struct fbs *fbs, const struct fbs_slice *slice, uint64_t charged,
			     uint64_t now_ns);

#endif
