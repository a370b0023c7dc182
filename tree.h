/* SPDX-License-Identifier: MIT */
/*
 * tree.h - the share tree: who is a candidate, who comes first, who pays. Part of the scheduler
 * library; not for its users.
 *
 *   queue      an inner node has one for each class: its children in that class that have
 *              something to do, by tag, and the virtual time V, the tag that went last
 *   candidate  a node in its parent's queue. It is while it has work and is not held by a cap. An
 *              inner node has work while any of its queues has a candidate, a leaf while anything
 *              is queued or, without that, while its next request is anticipated
 *   capped     held until a time; its parent does not see it meanwhile
 *   due        has a reservation and something queued: also in the heap of those, by time
 *
 * Tags: 64-bit, compared wrap-safe, FIRST_TAG at the start. `epoch` counts V's laps in eighths; a
 * tag two or more of them old is in the past, however it compares.
 */
#ifndef FUSEBAND_TREE_H
#define FUSEBAND_TREE_H

#include "discard.h"
#include "earnings.h"
#include "heap.h"
#include "history.h"
#include "price.h"
#include "rate.h"
#include "sched.h"
#include "window.h"

/* A leaf's requests of one direction, oldest first. */
enum { LANE_READ, LANE_WRITE, LANES };
struct lane {
	struct fbs_req *head, *tail;
};

struct queue {
	struct heap heap; /* key: tag */
	uint64_t vtime, vepoch;
	uint64_t weights;	/* of the candidates */
	struct history history; /* of vtime, as its tokens */
};

/*
 * Time in which no cap held a node or anything above it, and that of it in which the disk was kept
 * free for somebody. From one moment to another, that is: only differences mean anything.
 */
struct free_time {
	uint64_t ns, held_ns;
};

/* What each request needs comes first: with thousands of leaves it is fetched from memory. */
struct fbs_node {
	struct fbs_node *parent; /* NULL: the root */
	struct queue *queues;	 /* FBS_CLASSES of them; NULL: a leaf */
	uint32_t pos[HEAP_KINDS];
	unsigned weight;
	enum fbs_class class;
	bool dropped;
	bool anticipated; /* a candidate with nothing queued (idle.h) */
	bool was_held;	  /* by a cap, while a reservation was due; not served since then */
	/* requests, of it or below it; as 32 bits they were read together, just after one was
	   written, and the processor had to wait for that */
	uint64_t queued[LANES];
	uint64_t tag;	     /* start of what is next, or finish of what was last */
	uint64_t remainder;  /* of the tag, in 1/weight */
	uint64_t epoch;	     /* of V when it was tagged */
	struct fbs_cap *cap; /* NULL: none */
	/* what it got and should have got: account.h */
	uint64_t tokens, entitled;
	uint64_t joined_vtime; /* V when it became a candidate, or when entitled was last updated */
	struct free_time free_lost; /* of what its parent had, in all its caps; and moves */

	/* leaves */
	unsigned in_flight, flushes;
	struct lane lanes[LANES];
	uint64_t dirty_since; /* see dirty_of() */
	/* anticipation (idle.h) */
	unsigned misses;			 /* in a row */
	bool shallow;				 /* it comes back soon, and goes first then */
	unsigned places;			 /* kept for it */
	uint64_t anticipate_ns;			 /* until then */
	uint64_t idle_ns;			 /* when the last of it was done; 0: never */
	uint64_t think_ns;			 /* mean time between that and the next request */
	struct fbs_node *place_next, **place_at; /* of those that keep one, the oldest first */
	/* since it last had something issued, or began to wait */
	uint64_t wait_since_ns;
	struct free_time wait_since_free;
	uint64_t wait_refused_ns; /* by the window */
	uint64_t waited_ns[FBS_WAITS];
	uint64_t dirty_bytes;

	struct history history;

	/* with limits */
	struct rate_promise promise;
	struct rate_sharer sharer;
	uint64_t capped_since_ns, capped_ns;
	struct free_time free_above; /* its parent's, when it was capped */

	uint64_t flush_tokens;	      /* charged for flushes since it was last seen without debt */
	struct fbs_node *prev, *next; /* all nodes of the disk but the root */
	uint32_t children;
};

struct fbs {
	struct fbs_node *root;
	struct fbs_node *nodes;
	uint32_t n_nodes;
	struct heap capped;
	struct heap due; /* also put off by a cap: until that ends, those due earlier first */
	uint64_t promise_slip_ns; /* see promise_now_ns() */
	uint64_t promise_seen_ns; /* what that was when it was last looked at */
	struct fbs_params params;
	unsigned tag_shift; /* tokens << FBS_TOKEN_SHIFT << this, / weight, are tag units */
	struct price_list prices;
	struct window window;
	struct earnings earnings;
	uint64_t last_ns; /* the caller's threads may read the clock before they get the lock */
	uint64_t order;	  /* of tagging, of pushing */
	unsigned in_flight;
	unsigned present; /* leaves with anything queued or in flight */
	uint64_t tokens;

	/* charged when it is over (afterwards.h) */
	uint64_t dirty_bytes;
	uint64_t flushes_begun;
	uint64_t flush_least_ns[2]; /* of the last flushes, of those before; 0: none yet */
	unsigned flushes_seen;
	struct discard_size discard;
	bool discarding;		/* one is at the disk */
	uint64_t before_discard_tokens; /* what had been earned before that */

	/* why fbs_next() last said no although something is queued: not more than one of these */
	struct fbs_node *refused; /* leaf whose turn it is, but the window is full */
	uint64_t refused_since_ns;
	struct fbs_node *held;		 /* leaf for whose next request the disk is kept free */
	uint64_t held_since_ns, held_ns; /* and for how long it was, in all */

	bool serial;				    /* see idle.h */
	struct fbs_node *first_place, **places_end; /* kept at the disk: the oldest first */
	unsigned places;			    /* of all of them */
};

static inline bool is_leaf(const struct fbs_node *node)
{
	return !node->queues;
}

static inline struct queue *queue_of(const struct fbs_node *node)
{
	return &node->parent->queues[node->class];
}

static inline bool is_candidate(const struct fbs_node *node)
{
	return node->pos[HEAP_QUEUE] != HEAP_ABSENT;
}

/* Weights that compete in its queue, its own included. */
static inline uint64_t weights_beside(const struct fbs_node *node)
{
	return queue_of(node)->weights + (is_candidate(node) ? 0 : node->weight);
}

static inline bool is_capped(const struct fbs_node *node)
{
	return node->pos[HEAP_CAPPED] != HEAP_ABSENT;
}

static inline bool has_queued(const struct fbs_node *node)
{
	return node->queued[LANE_READ] || node->queued[LANE_WRITE];
}

/* A flush is the whole disk's: what anybody had written before one began is dirty no more. */
static inline uint64_t dirty_of(const struct fbs *fbs, const struct fbs_node *leaf)
{
	return leaf->dirty_since == fbs->flushes_begun ? leaf->dirty_bytes : 0;
}

static inline bool has_promise(const struct fbs_node *node)
{
	return rate_promised(&node->promise);
}

/*
 * The time by which reservations are kept. It stands still, at times, while more is promised than
 * the disk can do: so all fall behind together, in proportion to what each was promised.
 */
static inline uint64_t promise_now_ns(const struct fbs *fbs)
{
	return fbs->last_ns - fbs->promise_slip_ns;
}

/* The caller brings the time, maybe an old one: what it is. */
static inline uint64_t advance_clock(struct fbs *fbs, uint64_t now_ns)
{
	if (now_ns > fbs->last_ns)
		fbs->last_ns = now_ns;
	return fbs->last_ns;
}

static inline bool is_write(enum fbs_op op)
{
	return op != FBS_READ;
}

static inline unsigned queued_of(const struct fbs_node *node)
{
	return (unsigned)(node->queued[LANE_READ] + node->queued[LANE_WRITE]);
}

static inline bool is_present(const struct fbs_node *leaf)
{
	return has_queued(leaf) || leaf->in_flight;
}

static inline uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

bool tree_has_work(const struct fbs_node *node);

/* ---- nodes: no memory is an outcome only of these ---- */

struct fbs_node *tree_new_root(void); /* NULL without memory */
struct fbs_node *tree_add(struct fbs *fbs, struct fbs_node *parent, unsigned weight, bool leaf);
int tree_move(struct fbs *fbs, struct fbs_node *node, struct fbs_node *parent); /* 0, -ENOMEM */
/* Free node if nobody has a use for it any more, then what only it kept. */
void tree_collect(struct fbs *fbs, struct fbs_node *node);
void tree_free(struct fbs_node *node);

/* ---- candidates ---- */

/* leaf has work: it and what is above it become candidates, unless something is capped. */
void tree_activate(struct fbs *fbs, struct fbs_node *leaf);
/* After a node may have lost its last work: out of the queue, and what is above it. */
void tree_settle(struct fbs *fbs, struct fbs_node *node);
/* One request more (+1) or less (-1) below; reservations come and go with the first and last. */
void tree_count(struct fbs *fbs, struct fbs_node *leaf, unsigned lane, int by);
void tree_cap_until(struct fbs *fbs, struct fbs_node *node, uint64_t until_ns);
void tree_uncap(struct fbs *fbs, struct fbs_node *node);
/* What is queued in leaf changes: are those above it still held? To be found out again. */
void tree_release(struct fbs *fbs, struct fbs_node *leaf);
void tree_release_all(struct fbs *fbs); /* caps or the tree changed */
/* After a reservation was set, kept, or may be kept sooner than thought. */
void tree_set_due(struct fbs *fbs, struct fbs_node *node);
/* The leaf that comes first below node, which has work. */
struct fbs_node *tree_first(struct fbs_node *node);

/* ---- tags ---- */

/* V goes on to leaf's tag in every queue between it and `from`, which is above it. */
void tree_served(const struct fbs *fbs, struct fbs_node *leaf, const struct fbs_node *from);
/* Tokens (scaled) move tags on, from leaf upwards. */
void tree_charge(struct fbs *fbs, struct fbs_node *leaf, uint64_t tokens);
/*
 * The same for service that was not by share from top on upwards: nobody is put further ahead by it
 * than what `most_tokens` of the whole disk mean at its place.
 */
void tree_charge_reserved(struct fbs *fbs, struct fbs_node *leaf, const struct fbs_node *top,
			  uint64_t tokens, uint64_t most_tokens);
/* Is it ahead of V by more than tokens where somebody else has something queued? */
bool tree_is_ahead(const struct fbs *fbs, const struct fbs_node *leaf, uint64_t tokens);
/* Has leaf, which has nothing queued, the lowest tag where others have? Its next one goes first. */
bool tree_is_behind(const struct fbs_node *leaf);
void tree_set_weight(struct fbs *fbs, struct fbs_node *node, unsigned weight);
void tree_set_class(struct fbs *fbs, struct fbs_node *node, enum fbs_class class);
/* All level: tags mean something else from now on. */
void tree_level(struct fbs *fbs);

#endif
