/* SPDX-License-Identifier: MIT */
/*
 * idle.h - keeping the disk free for a moment for somebody who will be back. Part of the scheduler
 * library; not for its users.
 *
 * A client with one request outstanding is never queued when the choice is made: its next request
 * comes just after the last one was answered, and meanwhile the disk has begun somebody else's. On
 * a disk that serves one slice at a time it gets every second turn, whatever its weight ("deceptive
 * idleness": S. Iyer, P. Druschel, "Anticipatory scheduling", SOSP 2001).
 *
 * So a leaf stays a candidate after its last request was issued: until that is done, and for a
 * moment more. As long as it has the lowest tag nobody else goes; others go as soon as their tags
 * are lower, so nobody runs ahead by more than a slice. On a disk with many servers that would
 * leave most of them idle; there the leaf gives way, but the place at the disk that its request has
 * left is kept for the next one if that would go first: a place for each of those that it had in
 * flight, so that one of depth 4 keeps 4 servers (window.h).
 *
 * It is not done for a leaf whose requests come later than they are waited for, seen from the mean
 * of its think times and from how often it was waited for in vain. Where the choice is ours
 * (FBS_ISOLATION_AUTO) it has to think for a quarter of the disk's latency at most, and no single
 * request is waited for longer than that latency, so that no more than a fifth of the time of a
 * disk that serves one at a time can be lost. Nobody is waited for longer than 2 ms, or while a cap
 * would hold whatever he sends.
 */
#ifndef FUSEBAND_IDLE_H
#define FUSEBAND_IDLE_H

#include "tree.h"

/* Is this a disk for it? Looks at the window; call it when that may have learnt something. */
void idle_look(struct fbs *fbs);
/* leaf has nothing queued any more: it stays a candidate, or not. */
void idle_issued(struct fbs *fbs, struct fbs_node *leaf, uint64_t now_ns);
/* A slice or a flush of leaf is on its way: that is no thinking. */
void idle_away(struct fbs_node *leaf, uint64_t now_ns);
/* It came back; whole: and with it all of its request, so that the next one may follow. */
void idle_done(struct fbs *fbs, struct fbs_node *leaf, bool whole, uint64_t now_ns);
/* A request for leaf: one place less is kept for it. */
void idle_use_place(struct fbs *fbs, struct fbs_node *leaf);
/* A request for leaf, which had nothing queued. */
void idle_arrived(struct fbs *fbs, struct fbs_node *leaf, uint64_t now_ns);
/* leaf has the lowest tag and nothing queued: is it still worth waiting for? Else it is put out. */
bool idle_waits(struct fbs *fbs, struct fbs_node *leaf, uint64_t now_ns);
/* Places at the disk whose owners have not come back in time are for others. */
void idle_look_at_places(struct fbs *fbs, uint64_t now_ns);
/* leaf is not waited for any longer, and no place kept for it. */
void idle_end(struct fbs *fbs, struct fbs_node *leaf);

#endif
