/* SPDX-License-Identifier: MIT */
/*
 * flat.h - queues for the small schedulers that fuseband is compared with.
 *
 * A flat list of leaves, each with a weight and a queue; requests go whole, not in slices.
 */
#ifndef FUSEBAND_TESTS_SIM_FLAT_H
#define FUSEBAND_TESTS_SIM_FLAT_H

#include "tests/sim/sim.h"

struct flat_leaf {
	struct flat_leaf *next; /* in order of creation */
	struct fbs_req *head, **tail;
	unsigned weight;
	int64_t tokens_left;
	uint64_t tokens; /* charged, x FBS_TOKEN_ONE */
};

struct flat {
	struct flat_leaf *first, **last;
	enum fbs_policy policy;
	unsigned throttle;
	unsigned in_flight;
	struct flat_leaf *turn; /* whose it is */
	uint64_t weights;	/* sum */
};

void *flat_create(const struct sim_sched_params *params, unsigned throttle);
void flat_destroy(void *sched);
void *flat_add_leaf(void *sched, void *parent, unsigned weight);
void flat_set_weight(void *sched, void *node, unsigned weight);
void flat_push(void *sched, void *leaf, struct fbs_req *req, uint64_t now_ns);
void flat_done(void *sched, const struct fbs_slice *slice, uint64_t now_ns);
uint64_t flat_tokens(void *sched, void *leaf);
unsigned flat_limit(void *sched);

/* What a request costs: one, or its sectors. */
uint64_t flat_price(const struct flat *flat, const struct fbs_req *req);
/* Take the head of the leaf's queue. */
void flat_issue(struct flat *flat, struct flat_leaf *leaf, uint64_t now_ns,
		struct fbs_slice *ret_slice);

#endif
