/* SPDX-License-Identifier: MIT */
/*
 * visit.h - what a worker does while it holds a disk's lock: the life of a request between being
 * read and being answered.
 */
#ifndef FUSEBAND_VISIT_H
#define FUSEBAND_VISIT_H

#include "worker.h"

/*
 * Account what came back, queue those of worker->fresh that are for this disk, take what may
 * go. Leaves slices to submit on worker->issue and requests to answer on worker->answers.
 */
void visit_disk(struct worker *worker, const struct visit *visit, uint64_t now_ns);

/* Nobody else writes to the file any more (fence.h): those that wait for that may go. */
void visit_fenced(struct file *file, uint64_t now_ns);
/* The caller of a queued request is being killed: it gets its EINTR, nobody else notices. */
void visit_drop_killed(struct worker *worker, struct disk *disk, uint64_t unique);

#endif
