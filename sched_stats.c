/* SPDX-License-Identifier: MIT */
/* sched_stats.c - what there is to see of a scheduler. */
#include "account.h"
#include "wait.h"

void fbs_node_stats(const struct fbs *fbs, const struct fbs_node *node,
		    struct fbs_node_stats *ret_stats)
{
	struct fbs_node_stats stats = {
		.queued = queued_of(node),
		.tokens = node->parent ? node->tokens : fbs->tokens,
		.entitled = node->parent ? account_entitled(fbs, node) : fbs->tokens,
		.capped_ns = node->capped_ns,
		.capped = node->parent && is_capped(node),
		.in_flight = node->in_flight,
		.dirty_bytes = dirty_of(fbs, node),
	};

	if (node->parent)
		account_shares(fbs, node, &stats.entitled_ppm, &stats.achieved_ppm);
	if (stats.capped)
		stats.capped_ns += fbs->last_ns - node->capped_since_ns;
	if (is_leaf(node) && has_queued(node))
		wait_split(fbs, node, stats.waited_ns);
	for (unsigned i = 0; i < FBS_WAITS; i++)
		stats.waited_ns[i] += node->waited_ns[i];
	*ret_stats = stats;
}

unsigned fbs_in_flight(const struct fbs *fbs)
{
	return fbs->in_flight;
}

unsigned fbs_queued(const struct fbs *fbs)
{
	return queued_of(fbs->root);
}

void fbs_stats(const struct fbs *fbs, struct fbs_stats *ret_stats)
{
	const struct window *w = &fbs->window;
	uint64_t floor = window_least_ns(w, fbs->present > 1);
	uint64_t limit = w->limit_ns > floor ? w->limit_ns : floor;

	limit = w->mean_cost_ns ? limit / w->mean_cost_ns : 1;

	if (fbs->params.io_throttle)
		limit = fbs->params.io_throttle;
	*ret_stats = (struct fbs_stats){
		.in_flight = fbs->in_flight,
		.queued = queued_of(fbs->root),
		.limit = limit > UINT32_MAX ? UINT32_MAX : (unsigned)limit,
		.tokens = fbs->tokens,
		.serial = fbs->serial,
		.anticipating = fbs->held != NULL,
		.prices = price_capability(&fbs->prices),
	};
}
