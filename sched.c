/* SPDX-License-Identifier: MIT */
/*
 * sched.c - weighted sharing of a disk: start-time fair queueing with a bounded number in flight.
 *
 * THE PROBLEM. Several queues want one disk; queue i is to get w_i of every sum(w) units of service
 * as long as it has something queued, an idle one must not hold anybody up, and nobody may have to
 * tell us how fast the disk is. dm-ioband (2008) gave every group tokens in proportion to its
 * weight and a new round when all were spent, but refused to start a round only while at
 * least `io_throttle` requests were in flight. Below that, exhausted groups were refilled at once:
 * control came and went with the load, and two guests that wanted 80:20 got 48:52. So the first
 * rule here: what is in flight decides how many go, never who.
 *
 * TOKENS. What a slice costs depends on the policy: `weight` one token (a large request counts once
 * per slice: that is what goes at a time), `weight-iosize` one per 512-byte sector, `cost` one per
 * nanosecond of disk time by the linear model in sched.h.
 *
 * WHO. Each queue has a tag: the virtual time at which its next request starts. The lowest tag goes
 * first, and going moves it on by tokens / weight. The virtual time V of the disk is the tag that
 * went last. A queue that was empty comes back at max(own tag, V): idleness earns nothing, and what
 * was taken in advance stays owed. (P. Goyal, H. Vin, H. Cheng, "Start-time Fair Queueing", SIGCOMM
 * 1996; W. Jin, J. Chase, J. Kaur, "Interposed proportional sharing for a storage service
 * utility", SIGMETRICS 2004, for D requests in flight.)
 *
 *   a (weight 80) and b (weight 20), one token each, so a's tag moves by 1/80 and b's by 1/20:
 *
 *     V (in 1/80)   0  0  1  2  3  4  4  5  6  7  8  8
 *     goes          a  b  a  a  a  b  a  a  a  a  b  a     four of a to one of b; at equal
 *     tag of a      1  1  2  3  4  4  5  6  7  8  8  9     tags whoever was tagged earlier
 *     tag of b      0  4  4  4  4  8  8  8  8  8 12 12
 *
 *   c (weight 100) wakes when V = 7: its tag becomes 7, not 0. It may go at once, and then
 *   shares; it cannot take revenge for the time it slept.
 *
 * Two siblings i, j that stay backlogged never drift apart by more than
 *
 *     | W_i / w_i - W_j / w_j |  <=  (D + 1) (c_i / w_i + c_j / w_j)
 *
 * in tokens served, with D slices in flight and c the largest slice of each.
 *
 * TREE. A group is one queue towards its siblings and a disk of its own towards its children: each
 * inner node has a V and a heap of those children below which something is queued. Choosing is
 * walking down the lowest tags, charging is walking up: O(depth x log children).
 *
 *             disk V                    vm1 and vm2 share 60:40;
 *            /      \                   vm1's 60 are shared 1:3 by its two files
 *      vm1 60        vm2 40
 *      /    \           |
 *   log 1  data 3     root 1
 *
 * HOW MANY. `io_throttle` slices, or as much as window.c finds to be enough.
 *
 * CHANGES. A new weight rescales what a node is ahead of V: tag = V + (tag - V) w_old / w_new. So
 * someone who has just paid for a slice at weight 1 does not wait for it at weight 10000.
 *
 * AFTERWARDS. What a flush or a discard costs is known when it is over; it is charged then by
 * moving the tag on. Time becomes tokens at the rate at which the disk has lately earned them, also
 * where tokens are nanoseconds: a price list may be off by any factor, time is not.
 *
 * NUMBERS. Tags are 64-bit, scaled so that 1 / weight keeps at least three digits, and what a
 * division drops is carried to the next. They wrap; only differences are compared, and the first
 * wrap comes seconds after the start so that it is no news when it matters. An idle node could be
 * lapped by V: `epoch` counts laps in eighths, and a tag older than two eighths is simply in the
 * past.
 *
 * INVARIANTS (fbs_check)
 *   - a node is in its parent's heap exactly while something below it is queued
 *   - no tag in a heap is before V of that heap's node; V never goes back
 *   - a heap is ordered by (tag, order of tagging)
 *   - counters: queued and in flight of the disk are the sums of the leaves
 *
 * NOT HANDLED HERE: when a request may not go although it is its turn (caps), must go although it
 * is not (reservations), strict classes, and waiting a moment for a shallow queue. A queue that
 * never has more than q requests outstanding gets at most about q / (q + D) of a busy disk.
 */
#include "sched.h"
#include "window.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INACTIVE UINT32_MAX
#define SECTOR_BYTES 512U
#define FIRST_TAG (UINT64_C(0) - (UINT64_C(1) << 36)) /* wraps early, see NUMBERS */
#define EPOCH_SHIFT 61
#define CHARGE_MAX_TOKENS (UINT64_C(1) << 58) /* of one charge, scaled: an hour of cost */
#define AHEAD_MAX (INT64_C(1) << 60)	      /* of V, in tag units: far below half a lap */

/* Prices are ns << PRICE_SHIFT: 10 TB/s is 0.0001 ns per byte. */
#define PRICE_SHIFT 20
/* A SATA flash disk: what matters is the ratio of small to large, and the window finds the rest. */
#define PRESET_IOPS UINT64_C(20000)
#define PRESET_BPS UINT64_C(500000000)
#define IOPS_BYTES 4096U /* what a request of read_iops or write_iops carries */

#define FLUSH_DEBT_NS UINT64_C(100000000) /* 100 ms: see fbs_flush_may_start() */
/* One charge: a disk that hung during a flush was not worked by it all the time. */
#define CHARGE_MAX_NS UINT64_C(1000000000)
/* How fast the disk earns tokens is learnt over about this much busy time. */
#define EARN_NS UINT64_C(500000000)
#define EARN_LEAST_NS UINT64_C(10000000)
/* Until it is known: one token in a millisecond, or in a nanosecond if it is one. */
#define EARN_DEFAULT_NS UINT64_C(1000000)

/* A discard's slice is sized so that one takes a few milliseconds, whatever the disk. */
#define DISCARD_FIRST_BYTES (UINT64_C(64) << 20)
#define DISCARD_LEAST_BYTES (UINT64_C(32) << 20)
#define DISCARD_MOST_BYTES (UINT64_C(1) << 30)
#define DISCARD_SHORT_NS UINT64_C(1000000)
#define DISCARD_LONG_NS UINT64_C(8000000)

struct fbs_node {
	struct fbs_node *parent;      /* NULL: the root */
	struct fbs_node *prev, *next; /* all nodes of the disk but the root */
	uint64_t tag;		      /* start of what is next, or finish of what was last */
	uint64_t remainder;	      /* of the tag, in 1/weight */
	uint64_t order;		      /* when it was tagged */
	uint64_t epoch;		      /* of the parent's V when it was tagged */
	uint32_t pos;		      /* in the parent's heap, or INACTIVE */
	unsigned weight;
	bool is_leaf, dropped;

	/* inner nodes */
	struct fbs_node **heap;
	uint32_t active, capacity, children;
	uint64_t vtime, vepoch;

	/* leaves */
	struct fbs_req *head, *tail;
	unsigned queued, in_flight, flushes;
	uint64_t tokens;
	uint64_t dirty_bytes;
};

struct price {
	uint64_t request, byte; /* ns << PRICE_SHIFT */
};

struct fbs {
	struct fbs_node *root;
	struct fbs_node *nodes;
	enum fbs_policy policy;
	unsigned
		tag_shift; /* tokens << FBS_TOKEN_SHIFT << this, divided by weight, are tag units */
	unsigned io_throttle;
	struct fbs_capability capability;
	struct price price[2]; /* read, write */
	uint64_t last_ns; /* the caller's threads may read the clock before they get the lock */
	struct window window;
	uint64_t order;
	unsigned queued, in_flight;
	unsigned present; /* leaves with anything queued or in flight */
	uint64_t tokens;
	uint64_t dirty_bytes;
	uint64_t discard_bytes;
	/* tokens earned while anything was in flight */
	uint64_t busy_since_ns, busy_ns, busy_tokens;
};

static uint64_t advance_clock(struct fbs *fbs, uint64_t now_ns)
{
	if (now_ns > fbs->last_ns)
		fbs->last_ns = now_ns;
	return fbs->last_ns;
}

/* Tags wrap: only differences mean something. */
static bool before(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) < 0;
}

/* ---- the heap of active children ---- */

static bool goes_first(const struct fbs_node *a, const struct fbs_node *b)
{
	return a->tag == b->tag ? a->order < b->order : before(a->tag, b->tag);
}

static void heap_put(struct fbs_node *parent, uint32_t pos, struct fbs_node *node)
{
	parent->heap[pos] = node;
	node->pos = pos;
}

static void heap_up(struct fbs_node *parent, uint32_t pos, struct fbs_node *node)
{
	while (pos && goes_first(node, parent->heap[(pos - 1) / 2])) {
		heap_put(parent, pos, parent->heap[(pos - 1) / 2]);
		pos = (pos - 1) / 2;
	}
	heap_put(parent, pos, node);
}

static void heap_down(struct fbs_node *parent, uint32_t pos, struct fbs_node *node)
{
	for (;;) {
		uint32_t child = 2 * pos + 1;

		if (child + 1 < parent->active &&
		    goes_first(parent->heap[child + 1], parent->heap[child]))
			child++;
		if (child >= parent->active || !goes_first(parent->heap[child], node))
			break;
		heap_put(parent, pos, parent->heap[child]);
		pos = child;
	}
	heap_put(parent, pos, node);
}

/* Its tag has changed either way. */
static void heap_move(struct fbs_node *node)
{
	heap_up(node->parent, node->pos, node);
	heap_down(node->parent, node->pos, node);
}

/* All tags have changed. */
static void heap_rebuild(struct fbs_node *parent)
{
	for (uint32_t pos = parent->active / 2; pos-- > 0;)
		heap_down(parent, pos, parent->heap[pos]);
}

static void heap_remove(struct fbs_node *node)
{
	struct fbs_node *parent = node->parent;
	struct fbs_node *last = parent->heap[--parent->active];
	uint32_t pos = node->pos;

	node->pos = INACTIVE;
	if (last == node)
		return;
	heap_put(parent, pos, last);
	heap_move(last);
}

/* ---- tags ---- */

static bool has_work(const struct fbs_node *node)
{
	return node->is_leaf ? node->head != NULL : node->active != 0;
}

static void stamp(struct fbs *fbs, struct fbs_node *node)
{
	node->order = ++fbs->order;
	node->epoch = node->parent->vepoch;
}

/* Bring a tag that V has overtaken up to V. */
static void catch_up(struct fbs_node *node)
{
	const struct fbs_node *parent = node->parent;

	if (parent->vepoch - node->epoch >= 2 || before(node->tag, parent->vtime)) {
		node->tag = parent->vtime;
		node->remainder = 0;
	}
}

/* Something is queued below node now: make it and its ancestors candidates. */
static void activate(struct fbs *fbs, struct fbs_node *node)
{
	for (; node->parent && node->pos == INACTIVE; node = node->parent) {
		catch_up(node);
		stamp(fbs, node);
		heap_up(node->parent, node->parent->active++, node);
	}
}

/* The tag moves on by tokens (scaled) / weight; what the division drops is kept. */
static void advance(const struct fbs *fbs, struct fbs_node *node, uint64_t tokens)
{
	unsigned __int128 sum = ((unsigned __int128)tokens << fbs->tag_shift) + node->remainder;
	unsigned __int128 step = sum / node->weight;

	node->tag += step > AHEAD_MAX ? (uint64_t)AHEAD_MAX : (uint64_t)step;
	node->remainder = (uint64_t)(sum % node->weight);
	if ((int64_t)(node->tag - node->parent->vtime) > AHEAD_MAX)
		node->tag = node->parent->vtime + (uint64_t)AHEAD_MAX;
}

/* After a charge or a change of the queue: back into order, or out. */
static void settle(struct fbs *fbs, struct fbs_node *node)
{
	if (node->pos == INACTIVE)
		return;
	if (has_work(node)) {
		stamp(fbs, node);
		heap_move(node);
	} else {
		heap_remove(node);
	}
}

static void charge(struct fbs *fbs, struct fbs_node *leaf, uint64_t tokens)
{
	if (tokens > CHARGE_MAX_TOKENS)
		tokens = CHARGE_MAX_TOKENS;
	leaf->tokens += tokens;
	fbs->tokens += tokens;
	for (struct fbs_node *node = leaf; node->parent; node = node->parent) {
		catch_up(node);
		node->epoch = node->parent->vepoch;
		advance(fbs, node, tokens);
		settle(fbs, node);
	}
}

static void set_vtime(struct fbs_node *node, uint64_t vtime)
{
	if ((vtime ^ node->vtime) >> EPOCH_SHIFT)
		node->vepoch++;
	node->vtime = vtime;
}

/* ---- tokens and prices ---- */

static uint64_t cost_of(const struct fbs *fbs, enum fbs_op op, uint64_t bytes)
{
	const struct price *price = &fbs->price[op != FBS_READ];
	unsigned __int128 cost = price->request;

	if (op != FBS_DISCARD) /* what that really took is charged when it is done */
		cost += (unsigned __int128)price->byte * bytes;
	return (uint64_t)(cost >> PRICE_SHIFT) + 1;
}

static uint64_t tokens_of(const struct fbs *fbs, enum fbs_op op, uint64_t bytes, uint64_t cost_ns)
{
	switch (fbs->policy) {
	case FBS_POLICY_COST:
		return cost_ns << FBS_TOKEN_SHIFT;
	case FBS_POLICY_IOSIZE:
		if (op != FBS_DISCARD)
			return (bytes + SECTOR_BYTES - 1) / SECTOR_BYTES << FBS_TOKEN_SHIFT;
		break;
	case FBS_POLICY_WEIGHT:
		break;
	}
	return FBS_TOKEN_ONE;
}

/*
 * Disk time as tokens: at the rate at which the disk earns them when it is busy. Also where tokens
 * are nanoseconds: those are of the price list, and a disk may be any number of times slower.
 */
static uint64_t tokens_of_ns(const struct fbs *fbs, uint64_t ns)
{
	unsigned __int128 tokens;

	if (ns > CHARGE_MAX_NS)
		ns = CHARGE_MAX_NS;
	if (fbs->busy_ns < EARN_LEAST_NS)
		tokens = ((unsigned __int128)ns << FBS_TOKEN_SHIFT) /
			 (fbs->policy == FBS_POLICY_COST ? 1 : EARN_DEFAULT_NS);
	else
		tokens = (unsigned __int128)ns * fbs->busy_tokens / fbs->busy_ns;
	return tokens > CHARGE_MAX_TOKENS ? CHARGE_MAX_TOKENS : (uint64_t)tokens;
}

static void earned(struct fbs *fbs, uint64_t tokens, uint64_t now_ns)
{
	fbs->busy_ns += now_ns - fbs->busy_since_ns;
	fbs->busy_since_ns = now_ns;
	fbs->busy_tokens += tokens;
	if (fbs->busy_ns > 2 * EARN_NS) {
		fbs->busy_tokens /= 2;
		fbs->busy_ns /= 2;
	}
}

static struct price price_of(uint64_t iops, uint64_t bps)
{
	struct price price;
	uint64_t first;

	iops = iops ? iops : PRESET_IOPS;
	bps = bps ? bps : PRESET_BPS;
	price.byte = (UINT64_C(1000000000) << PRICE_SHIFT) / bps;
	price.request = (UINT64_C(1000000000) << PRICE_SHIFT) / iops;
	first = price.byte * IOPS_BYTES;
	price.request = price.request > first ? price.request - first : 0;
	return price;
}

/* ---- nodes ---- */

static struct fbs_node *node_new(unsigned weight, bool is_leaf)
{
	struct fbs_node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->weight = weight;
	node->is_leaf = is_leaf;
	node->pos = INACTIVE;
	node->vtime = FIRST_TAG;
	return node;
}

static void node_free(struct fbs_node *node)
{
	free(node->heap);
	free(node);
}

/* Room in the heap for one more child, so that the request path never allocates. */
static int make_room(struct fbs_node *parent)
{
	struct fbs_node **heap;
	uint32_t capacity;

	if (parent->children < parent->capacity)
		return 0;
	capacity = parent->capacity ? 2 * parent->capacity : 8;
	heap = realloc(parent->heap, capacity * sizeof(struct fbs_node *));
	if (!heap)
		return -ENOMEM;
	parent->heap = heap;
	parent->capacity = capacity;
	return 0;
}

static struct fbs_node *add(struct fbs *fbs, struct fbs_node *parent, unsigned weight, bool is_leaf)
{
	struct fbs_node *node;

	assert(weight >= 1 && weight <= FBS_WEIGHT_MAX && !parent->is_leaf);
	if (make_room(parent))
		return NULL;
	node = node_new(weight, is_leaf);
	if (!node)
		return NULL;
	node->parent = parent;
	parent->children++;
	node->tag = parent->vtime;
	stamp(fbs, node);
	node->next = fbs->nodes;
	if (fbs->nodes)
		fbs->nodes->prev = node;
	fbs->nodes = node;
	return node;
}

/* Free a dropped node once nothing holds it, then what only it held. */
static void collect(struct fbs *fbs, struct fbs_node *node)
{
	while (node->parent && node->dropped && !node->children && !node->head &&
	       !node->in_flight && !node->flushes) {
		struct fbs_node *parent = node->parent;

		if (node->prev)
			node->prev->next = node->next;
		else
			fbs->nodes = node->next;
		if (node->next)
			node->next->prev = node->prev;
		fbs->dirty_bytes -= node->dirty_bytes;
		parent->children--;
		node_free(node);
		node = parent;
	}
}

struct fbs *fbs_create(const struct fbs_params *params)
{
	struct fbs *fbs = calloc(1, sizeof(*fbs));

	if (!fbs)
		return NULL;
	fbs->root = node_new(1, false);
	if (!fbs->root) {
		free(fbs);
		return NULL;
	}
	fbs->discard_bytes = DISCARD_FIRST_BYTES;
	window_init(&fbs->window);
	fbs->policy = params->policy;
	fbs_configure(fbs, params);
	return fbs;
}

void fbs_destroy(struct fbs *fbs)
{
	struct fbs_node *next;

	if (!fbs)
		return;
	assert(!fbs->in_flight);
	for (struct fbs_node *node = fbs->nodes; node; node = next) {
		next = node->next;
		node_free(node);
	}
	node_free(fbs->root);
	free(fbs);
}

void fbs_configure(struct fbs *fbs, const struct fbs_params *params)
{
	static const unsigned shift[] = {
		[FBS_POLICY_COST] = 0, [FBS_POLICY_IOSIZE] = 8, [FBS_POLICY_WEIGHT] = 16};
	const struct fbs_capability *c = &params->capability;

	if (params->policy != fbs->policy) {
		for (struct fbs_node *node = fbs->nodes; node; node = node->next) {
			node->tag = node->parent->vtime;
			node->remainder = 0;
			stamp(fbs, node);
		}
		heap_rebuild(fbs->root);
		for (struct fbs_node *node = fbs->nodes; node; node = node->next)
			heap_rebuild(node);
		fbs->busy_ns = fbs->busy_tokens = 0;
	}
	if (memcmp(c, &fbs->capability, sizeof(*c)) != 0)
		window_forget(&fbs->window); /* it counts in prices */
	fbs->capability = *c;
	fbs->policy = params->policy;
	fbs->tag_shift = shift[params->policy];
	fbs->io_throttle = params->io_throttle;
	fbs->price[0] = price_of(c->read_iops, c->read_bps);
	fbs->price[1] = price_of(c->write_iops, c->write_bps);
}

struct fbs_node *fbs_root(struct fbs *fbs)
{
	return fbs->root;
}

struct fbs_node *fbs_add_group(struct fbs *fbs, struct fbs_node *parent, unsigned weight)
{
	return add(fbs, parent, weight, false);
}

struct fbs_node *fbs_add_leaf(struct fbs *fbs, struct fbs_node *parent, unsigned weight)
{
	return add(fbs, parent, weight, true);
}

void fbs_set_weight(struct fbs *fbs, struct fbs_node *node, unsigned weight)
{
	uint64_t vtime = node->parent->vtime;
	unsigned __int128 ahead;

	assert(weight >= 1 && weight <= FBS_WEIGHT_MAX);
	if (weight == node->weight)
		return;
	catch_up(node);
	node->epoch = node->parent->vepoch;
	ahead = (unsigned __int128)(node->tag - vtime) * node->weight / weight;
	if (ahead > AHEAD_MAX)
		ahead = AHEAD_MAX;
	node->tag = vtime + (uint64_t)ahead;
	node->remainder = 0;
	node->weight = weight;
	settle(fbs, node);
}

int fbs_set_parent(struct fbs *fbs, struct fbs_node *node, struct fbs_node *parent)
{
	struct fbs_node *old = node->parent;
	uint64_t ahead;
	bool active = node->pos != INACTIVE;

	if (parent == old)
		return 0;
	if (make_room(parent))
		return -ENOMEM;
	catch_up(node);
	ahead = node->tag - old->vtime;
	if (active)
		heap_remove(node);
	old->children--;
	for (struct fbs_node *up = old; active && up->parent && !has_work(up); up = up->parent)
		heap_remove(up);
	node->parent = parent;
	parent->children++;
	node->tag = parent->vtime + ahead;
	stamp(fbs, node);
	if (active)
		activate(fbs, node);
	collect(fbs, old);
	return 0;
}

void fbs_drop(struct fbs *fbs, struct fbs_node *node)
{
	node->dropped = true;
	collect(fbs, node);
}

/* ---- requests ---- */

void fbs_push(struct fbs *fbs, struct fbs_node *leaf, struct fbs_req *req, uint64_t now_ns)
{
	assert(leaf->is_leaf && req->pos_bytes < req->end_bytes);
	fbs->present += !leaf->queued && !leaf->in_flight;
	req->leaf = leaf;
	req->pushed_ns = advance_clock(fbs, now_ns);
	req->next = NULL;
	req->prev = leaf->tail;
	if (leaf->tail)
		leaf->tail->next = req;
	else
		leaf->head = req;
	leaf->tail = req;
	leaf->queued++;
	fbs->queued++;
	activate(fbs, leaf);
}

static void unlink_req(struct fbs *fbs, struct fbs_req *req)
{
	struct fbs_node *leaf = req->leaf;

	if (req->prev)
		req->prev->next = req->next;
	else
		leaf->head = req->next;
	if (req->next)
		req->next->prev = req->prev;
	else
		leaf->tail = req->prev;
	req->leaf = NULL;
	leaf->queued--;
	fbs->queued--;
}

void fbs_cancel(struct fbs *fbs, struct fbs_req *req)
{
	struct fbs_node *leaf = req->leaf;

	unlink_req(fbs, req);
	fbs->present -= !leaf->queued && !leaf->in_flight;
	for (struct fbs_node *node = leaf; node->parent && !has_work(node); node = node->parent)
		if (node->pos != INACTIVE)
			heap_remove(node);
	collect(fbs, leaf);
}

/* How much of a request goes next: to the next boundary, which never splits a block. */
static uint64_t slice_bytes(const struct fbs *fbs, const struct fbs_req *req)
{
	uint64_t unit = req->op == FBS_DISCARD ? fbs->discard_bytes : FBS_SLICE_BYTES;
	uint64_t left = req->end_bytes - req->pos_bytes;
	uint64_t bytes = unit - req->pos_bytes % unit;

	return bytes < left ? bytes : left;
}

/* Is there room for a slice of this cost? */
static bool admits(struct fbs *fbs, uint64_t cost_ns)
{
	struct window *w = &fbs->window;

	if (fbs->io_throttle)
		return fbs->in_flight < fbs->io_throttle;
	return w->in_flight_ns + cost_ns <= window_least_ns(w, fbs->present > 1) ||
	       window_admit(w, cost_ns);
}

bool fbs_next(struct fbs *fbs, uint64_t now_ns, struct fbs_slice *ret_slice)
{
	struct fbs_node *leaf = fbs->root;
	struct fbs_req *req;
	uint64_t bytes, cost_ns, tokens;

	if (!leaf->active)
		return false;
	while (!leaf->is_leaf)
		leaf = leaf->heap[0];
	req = leaf->head;
	bytes = slice_bytes(fbs, req);
	cost_ns = cost_of(fbs, req->op, bytes);
	if (!admits(fbs, cost_ns))
		return false;
	now_ns = advance_clock(fbs, now_ns);

	*ret_slice = (struct fbs_slice){
		.req = req,
		.leaf = leaf,
		.pos_bytes = req->pos_bytes,
		.len_bytes = bytes,
		.issued_ns = now_ns,
		.cost_ns = cost_ns,
		.op = req->op,
		.last = req->pos_bytes + bytes == req->end_bytes,
	};
	req->pos_bytes += bytes;
	if (ret_slice->last)
		unlink_req(fbs, req);

	if (!fbs->in_flight++)
		fbs->busy_since_ns = now_ns;
	leaf->in_flight++;
	window_issued(&fbs->window, cost_ns, now_ns);
	for (struct fbs_node *node = leaf; node->parent; node = node->parent)
		set_vtime(node->parent, node->tag);
	tokens = tokens_of(fbs, req->op, bytes, cost_ns);
	charge(fbs, leaf, tokens);
	return true;
}

/* What a discard took, in tokens; and the size of the next ones. */
static uint64_t discard_tokens(struct fbs *fbs, const struct fbs_slice *slice, uint64_t now_ns)
{
	uint64_t took_ns = now_ns - slice->issued_ns;

	if (took_ns > DISCARD_LONG_NS && fbs->discard_bytes > DISCARD_LEAST_BYTES)
		fbs->discard_bytes /= 2;
	else if (took_ns < DISCARD_SHORT_NS && slice->len_bytes == fbs->discard_bytes &&
		 fbs->discard_bytes < DISCARD_MOST_BYTES)
		fbs->discard_bytes *= 2;
	return tokens_of_ns(fbs, took_ns / fbs->in_flight); /* it shared the disk */
}

void fbs_done(struct fbs *fbs, const struct fbs_slice *slice, uint64_t now_ns)
{
	uint64_t charged = tokens_of(fbs, slice->op, slice->len_bytes, slice->cost_ns);
	uint64_t tokens = charged;
	struct fbs_node *leaf = slice->leaf;

	assert(leaf->in_flight && fbs->in_flight);
	now_ns = advance_clock(fbs, now_ns);
	if (slice->op == FBS_DISCARD) {
		tokens = discard_tokens(fbs, slice, now_ns);
		if (tokens > charged)
			charge(fbs, leaf, tokens - charged);
	} else if (slice->op == FBS_WRITE) {
		leaf->dirty_bytes += slice->len_bytes;
		fbs->dirty_bytes += slice->len_bytes;
	}
	if (slice->op == FBS_DISCARD)
		fbs->busy_since_ns =
			now_ns; /* its tokens follow from the rate: no evidence for it */
	else
		earned(fbs, tokens, now_ns);
	leaf->in_flight--;
	fbs->in_flight--;
	fbs->present -= !leaf->queued && !leaf->in_flight;
	window_done(&fbs->window, slice->cost_ns, now_ns - slice->issued_ns, now_ns);
	collect(fbs, leaf);
}

/* ---- flushes ---- */

bool fbs_flush_may_start(const struct fbs *fbs, const struct fbs_node *leaf)
{
	uint64_t most = tokens_of_ns(fbs, FLUSH_DEBT_NS);

	for (const struct fbs_node *node = leaf; node->parent; node = node->parent) {
		const struct fbs_node *parent = node->parent;
		int64_t ahead = (int64_t)(node->tag - parent->vtime);

		if (parent->active <= (node->pos != INACTIVE) ||
		    parent->vepoch - node->epoch >= 2 || ahead <= 0)
			continue;
		if ((unsigned __int128)ahead * node->weight >> fbs->tag_shift > most)
			return false;
	}
	return true;
}

void fbs_flush_start(struct fbs *fbs, struct fbs_node *leaf, uint64_t now_ns,
		     struct fbs_flush *ret_flush)
{
	now_ns = advance_clock(fbs, now_ns);
	*ret_flush = (struct fbs_flush){
		.leaf = leaf,
		.own_dirty_bytes = leaf->dirty_bytes,
		.all_dirty_bytes = fbs->dirty_bytes,
		.started_ns = now_ns,
	};
	fbs->dirty_bytes -= leaf->dirty_bytes;
	leaf->dirty_bytes = 0;
	leaf->flushes++;
}

void fbs_flush_done(struct fbs *fbs, const struct fbs_flush *flush, uint64_t now_ns)
{
	uint64_t tokens;

	now_ns = advance_clock(fbs, now_ns);
	tokens = tokens_of_ns(fbs, now_ns - flush->started_ns);
	flush->leaf->flushes--;
	if (flush->all_dirty_bytes)
		charge(fbs, flush->leaf,
		       (uint64_t)((unsigned __int128)tokens * flush->own_dirty_bytes /
				  flush->all_dirty_bytes));
	collect(fbs, flush->leaf);
}

/* ---- what there is to see ---- */

void fbs_leaf_stats(const struct fbs *fbs, const struct fbs_node *leaf,
		    struct fbs_leaf_stats *ret_stats)
{
	(void)fbs;
	*ret_stats = (struct fbs_leaf_stats){
		.queued = leaf->queued,
		.in_flight = leaf->in_flight,
		.tokens = leaf->tokens,
		.dirty_bytes = leaf->dirty_bytes,
	};
}

void fbs_stats(const struct fbs *fbs, struct fbs_stats *ret_stats)
{
	const struct window *w = &fbs->window;
	uint64_t least = window_least_ns(w, fbs->present > 1);
	uint64_t limit = w->limit_ns > least ? w->limit_ns : least;

	limit = w->mean_cost_ns ? limit / w->mean_cost_ns : 1;

	if (fbs->io_throttle)
		limit = fbs->io_throttle;
	*ret_stats = (struct fbs_stats){
		.in_flight = fbs->in_flight,
		.queued = fbs->queued,
		.limit = limit > UINT32_MAX ? UINT32_MAX : (unsigned)limit,
		.tokens = fbs->tokens,
	};
}

static void check_inner(const struct fbs_node *node)
{
	for (uint32_t i = 0; i < node->active; i++) {
		const struct fbs_node *child = node->heap[i];

		assert(child->pos == i && child->parent == node);
		assert(!before(child->tag, node->vtime));
		assert(!i || !goes_first(child, node->heap[(i - 1) / 2]));
	}
	assert(node->active <= node->children && node->children <= node->capacity);
}

void fbs_check(const struct fbs *fbs)
{
	unsigned queued = 0, in_flight = 0, present = 0;

	check_inner(fbs->root);
	for (const struct fbs_node *node = fbs->nodes; node; node = node->next) {
		unsigned n = 0;

		assert((node->pos != INACTIVE) == has_work(node));
		if (!node->is_leaf)
			check_inner(node);
		for (const struct fbs_req *req = node->head; req; req = req->next, n++)
			assert(req->leaf == node && req->pos_bytes < req->end_bytes);
		assert(n == node->queued);
		queued += node->queued;
		in_flight += node->in_flight;
		present += node->queued || node->in_flight;
	}
	assert(present == fbs->present);
	assert(queued == fbs->queued && in_flight == fbs->in_flight);
	assert(in_flight == fbs->window.in_flight);
}
