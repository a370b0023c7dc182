/* SPDX-License-Identifier: MIT */
/* wait.c - see wait.h. */
#include "wait.h"

void wait_begin(struct fbs *fbs, struct fbs_node *leaf, struct free_time free)
{
	leaf->wait_since_ns = fbs->last_ns;
	leaf->wait_since_free = free;
	leaf->wait_refused_ns = 0;
}

void wait_split(const struct fbs *fbs, const struct fbs_node *leaf, struct free_time free,
		uint64_t ret_ns[FBS_WAITS])
{
	uint64_t held_ns = free.held_ns - leaf->wait_since_free.held_ns, refused_ns;

	free.ns -= leaf->wait_since_free.ns;
	refused_ns = leaf->wait_refused_ns +
		     (fbs->refused == leaf ? fbs->last_ns - fbs->refused_since_ns : 0);
	ret_ns[FBS_WAIT_CAP] = fbs->last_ns - leaf->wait_since_ns - free.ns;
	ret_ns[FBS_WAIT_ANTICIPATION] = held_ns;
	ret_ns[FBS_WAIT_WINDOW] = refused_ns;
	ret_ns[FBS_WAIT_SHARE] = free.ns - held_ns - refused_ns;
}

void wait_turn(struct fbs *fbs, struct fbs_node *leaf)
{
	struct free_time free = tree_free_time(fbs, leaf);
	uint64_t ns[FBS_WAITS];

	wait_split(fbs, leaf, free, ns);
	for (unsigned i = 0; i < FBS_WAITS; i++)
		leaf->waited_ns[i] += ns[i];
	wait_begin(fbs, leaf, free);
}

void wait_hold_for(struct fbs *fbs, struct fbs_node *leaf)
{
	if (!fbs->held)
		fbs->held_since_ns = fbs->last_ns;
	fbs->held = leaf;
}

void wait_stop_holding(struct fbs *fbs)
{
	if (!fbs->held)
		return;
	fbs->held_ns += fbs->last_ns - fbs->held_since_ns;
	fbs->held = NULL;
}

void wait_refuse(struct fbs *fbs, struct fbs_node *leaf)
{
	fbs->refused = leaf;
	fbs->refused_since_ns = fbs->last_ns;
}

void wait_stop_refusing(struct fbs *fbs)
{
	if (!fbs->refused)
		return;
	fbs->refused->wait_refused_ns += fbs->last_ns - fbs->refused_since_ns;
	fbs->refused = NULL;
}
