/* SPDX-License-Identifier: MIT */
/*
 * account.h - what a node got and what it was entitled to, in all and in the last ten seconds. Part
 * of the scheduler library; not for its users.
 *
 * What a candidate is entitled to grows with V of its queue, by weight x (V now - V when it joined).
 * That is written down only when it pays, leaves, or its weight or the unit of tags changes: so
 * somebody who waits costs nothing. What it was when a second began is found out at the same
 * moments, from what V was then (history.h).
 */
#ifndef FUSEBAND_ACCOUNT_H
#define FUSEBAND_ACCOUNT_H

#include "tree.h"

/* node has become a candidate. */
static inline void account_join(struct fbs_node *node)
{
	node->joined_vtime = queue_of(node)->vtime;
}

/* Before node is no candidate any more, and before its weight or the unit of tags changes. */
void account_settle(const struct fbs *fbs, struct fbs_node *node);
/* Tokens, scaled. promised: it was entitled to them, too, whatever its share is. */
void account_pay(const struct fbs *fbs, struct fbs_node *node, uint64_t tokens, bool promised);
void account_pay_disk(struct fbs *fbs, uint64_t tokens);

/* In tokens, scaled, up to now. */
uint64_t account_entitled(const struct fbs *fbs, const struct fbs_node *node);
/* In millionths of what the disk did in the last ten seconds. */
void account_shares(const struct fbs *fbs, const struct fbs_node *node, unsigned *ret_entitled_ppm,
		    unsigned *ret_achieved_ppm);

#endif
