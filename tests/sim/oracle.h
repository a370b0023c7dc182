/* SPDX-License-Identifier: MIT */
/*
 * oracle.h - start-time fair queueing over a tree, as simply as it can be written.
 *
 * What sched.c does with heaps, wrapping 64-bit tags and carried remainders, this does with linear
 * searches and 128-bit numbers that never wrap, so that both can be run on the same events and
 * must agree request by request. It knows shares and classes and nothing else: no requests, no
 * window. It is told which nodes are held by caps, and what reservations did to tags.
 *
 * Tags are kept as tag x weight, which makes a finish tag (start + tokens / weight) a sum without
 * any division. Three rules are the scheduler's own choice rather than the algorithm's:
 *
 *   resolution   tags are compared in whole units of tokens / weight, rounded down; a node that
 *                comes back starts at a whole unit. With weights that are powers of two nothing
 *                is ever rounded (oracle_is_exact), and this is the textbook's algorithm.
 *   ties         among equal tags, the node that was tagged first
 *   debt         what a node is ahead of V is cut to ORACLE_AHEAD units: sched.c's tags wrap
 */
#ifndef FUSEBAND_TESTS_SIM_ORACLE_H
#define FUSEBAND_TESTS_SIM_ORACLE_H

#include "sched.h"

#define ORACLE_NODES 32
#define ORACLE_ROOT 0
#define ORACLE_AHEAD (UINT64_C(1) << 60)

typedef unsigned __int128 oracle_tag;

struct oracle_node {
	bool used, is_leaf;
	bool active; /* something is queued, and it is not held */
	bool held;
	int parent;
	unsigned weight;
	enum fbs_class class;
	unsigned queued;	       /* of a leaf */
	oracle_tag tagged;	       /* tag x weight */
	oracle_tag vtime[FBS_CLASSES]; /* of an inner node: the start tag that went last */
	uint64_t order;
	uint64_t created;
};

struct oracle {
	struct oracle_node nodes[ORACLE_NODES];
	uint64_t order, created;
};

void oracle_init(struct oracle *oracle);
/* A node number, or -1 when all are in use. */
int oracle_add(struct oracle *oracle, int parent, unsigned weight, bool is_leaf);
void oracle_remove(struct oracle *oracle, int node);
void oracle_set_weight(struct oracle *oracle, int node, unsigned weight);
void oracle_set_class(struct oracle *oracle, int node, enum fbs_class class);
void oracle_set_parent(struct oracle *oracle, int node, int parent);
/* A cap holds it, with all below it, or no longer. */
void oracle_hold(struct oracle *oracle, int node, bool held);
/* Everybody level: those created last are taken to have been tagged first. */
void oracle_forget(struct oracle *oracle);

void oracle_push(struct oracle *oracle, int leaf);
void oracle_cancel(struct oracle *oracle, int leaf);
/* The leaf whose turn it is, -1 if nothing is queued or everything is held. */
int oracle_next(const struct oracle *oracle);
/* Would it be leaf's turn below top if it had something queued? It may be one of several equals. */
bool oracle_is_first(const struct oracle *oracle, int top, int leaf);
/* It went; units: tokens in tag units. last: one request less. */
void oracle_issue(struct oracle *oracle, int leaf, oracle_tag units, bool last);
/* Charged afterwards. */
void oracle_charge(struct oracle *oracle, int leaf, oracle_tag units);
/* What it is ahead of V by, in tags, with the remainder that a division has left. */
void oracle_place(struct oracle *oracle, int node, oracle_tag ahead, oracle_tag remainder);
oracle_tag oracle_tag_of(const struct oracle *oracle, int node);

bool oracle_is_exact(const struct oracle *oracle);

#endif
