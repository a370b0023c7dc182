/* SPDX-License-Identifier: MIT */
/*
 * wait.h - what a leaf that has requests waited for, told apart (enum fbs_wait). Part of the
 * scheduler library; not for its users.
 *
 * Each moment between two of its slices counts for one reason: a cap, if that held it or what is
 * above it; else anticipation, while the disk was kept free for somebody; else the window, while
 * this leaf was first and was told that enough is at the disk; else its share. For the first two
 * each node knows what it has lost of its parent's free time (tree.h).
 */
#ifndef FUSEBAND_WAIT_H
#define FUSEBAND_WAIT_H

#include "tree.h"

/* leaf has something queued, for the first time or after a slice of it went. */
void wait_begin(const struct fbs *fbs, struct fbs_node *leaf);
/* A wait is over, and the next one begins. */
void wait_turn(const struct fbs *fbs, struct fbs_node *leaf);
/* From wait_begin() up to now; to be added to what it has waited for before. */
void wait_split(const struct fbs *fbs, const struct fbs_node *leaf, uint64_t ret_ns[FBS_WAITS]);

/* A cap holds node from now on; it does not any more. */
void wait_capped(const struct fbs *fbs, struct fbs_node *node);
void wait_uncapped(const struct fbs *fbs, struct fbs_node *node);
/* node is about to get another parent, which changes nothing of what it has waited for. */
void wait_move(const struct fbs *fbs, struct fbs_node *node, const struct fbs_node *parent);

/* The disk is kept free for leaf, until it is not any more. */
void wait_hold_for(struct fbs *fbs, struct fbs_node *leaf);
void wait_stop_holding(struct fbs *fbs);
/* leaf is first, and the window is full, until somebody goes. */
void wait_refuse(struct fbs *fbs, struct fbs_node *leaf);
void wait_stop_refusing(struct fbs *fbs);

#endif
