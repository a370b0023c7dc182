/* SPDX-License-Identifier: MIT */
/*
 * pick.h - who goes next: caps, reservations, classes, shares, and the patience for somebody who is
 * about to come. Part of the scheduler library; not for its users.
 */
#ifndef FUSEBAND_PICK_H
#define FUSEBAND_PICK_H

#include "tree.h"

/*
 * What goes next and, in *ret_top, the node from which on it was chosen by share: the root, or one
 * whose reservation is due. NULL: nothing may go now; the disk is then kept free for somebody
 * (fbs->held), or all that is queued is capped, or nothing is.
 */
struct fbs_req *pick_next(struct fbs *fbs, struct fbs_node **ret_top);
/* How much of a request goes at a time: to the next boundary, which never splits a block. */
uint64_t pick_bytes(const struct fbs *fbs, const struct fbs_req *req);
/* The same as rates count it. */
struct rate_work pick_work(const struct fbs_req *req, uint64_t bytes);

#endif
