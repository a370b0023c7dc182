/* SPDX-License-Identifier: MIT */
/* wait.c - see wait.h. */
#include "wait.h"

static struct free_time free_time_of(const struct fbs *fbs, const struct fbs_node *node)
{
	struct free_time free = {fbs->last_ns, fbs->held_ns}, lost = {0};

	if (fbs->held)
		free.held_ns += fbs->last_ns - fbs->held_since_ns;
	for (; node->parent; node = node->parent) {
		lost.ns += node->free_lost.ns;
		lost.held_ns += node->free_lost.held_ns;
		if (is_capped(node)) { /* it stands still, whatever happens above */
			free = node->free_above;
			break;
		}
	}
	return (struct free_time){free.ns - lost.ns, free.held_ns - lost.held_ns};
}

void wait_capped(const struct fbs *fbs, struct fbs_node *node)
{
	node->capped_since_ns = fbs->last_ns;
	node->free_above = free_time_of(fbs, node->parent);
}

static void add_between(struct free_time *sum, struct free_time from, struct free_time to)
{
	sum->ns += to.ns - from.ns;
	sum->held_ns += to.held_ns - from.held_ns;
}

void wait_uncapped(const struct fbs *fbs, struct fbs_node *node)
{
	node->capped_ns += fbs->last_ns - node->capped_since_ns;
	add_between(&node->free_lost, node->free_above, free_time_of(fbs, node->parent));
}

void wait_move(const struct fbs *fbs, struct fbs_node *node, const struct fbs_node *parent)
{
	struct free_time from = free_time_of(fbs, node->parent), to = free_time_of(fbs, parent);

	add_between(&node->free_above, from, to);
	add_between(&node->free_lost, from, to);
}

static void begin(const struct fbs *fbs, struct fbs_node *leaf, struct free_time free)
{
	leaf->wait_since_ns = fbs->last_ns;
	leaf->wait_since_free = free;
	leaf->wait_refused_ns = 0;
}

void wait_begin(const struct fbs *fbs, struct fbs_node *leaf)
{
	begin(fbs, leaf, free_time_of(fbs, leaf));
}

static void split(const struct fbs *fbs, const struct fbs_node *leaf, struct free_time free,
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

void wait_split(const struct fbs *fbs, const struct fbs_node *leaf, uint64_t ret_ns[FBS_WAITS])
{
	split(fbs, leaf, free_time_of(fbs, leaf), ret_ns);
}

void wait_turn(const struct fbs *fbs, struct fbs_node *leaf)
{
	struct free_time free = free_time_of(fbs, leaf);
	uint64_t ns[FBS_WAITS];

	split(fbs, leaf, free, ns);
	for (unsigned i = 0; i < FBS_WAITS; i++)
		leaf->waited_ns[i] += ns[i];
	begin(fbs, leaf, free);
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
