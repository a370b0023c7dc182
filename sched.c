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
 * TOKENS. What a request costs depends on the policy: `weight` one token (each slice of a large one
 * its fraction), `weight-iosize` one per 512-byte sector, `cost` one per nanosecond of disk time by
 * the linear model in sched.h.
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
 * inner node has a V and a heap of those children below which something is queued, and that for
 * each class. Choosing is walking down the lowest tags, charging is walking up:
 * O(depth x log children). (tree.c)
 *
 *             disk V                    vm1 and vm2 share 60:40;
 *            /      \                   vm1's 60 are shared 1:3 by its two files
 *      vm1 60        vm2 40
 *      /    \           |
 *   log 1  data 3     root 1
 *
 * PRECEDENCE. Four questions, in this order:
 *
 *   1. Who may?     A node over one of its caps is out of its parent's sight until it may again.
 *                   A cap of reads only lets the writes of the same leaf pass. (rate.c)
 *   2. Who must?    A reservation that is due, the most overdue first. It is served out of turn
 *                   and paid from the share all the same: the tag moves on, V does not.
 *   3. Which class? realtime before normal before idle, among the children of one node.
 *   4. Whose turn?  The lowest tag.
 *
 *   r (weight 1, min_iops 1000) beside f (weight 10000) on a disk of 4000 IO/s: by share r would go
 *   every 2.5 s. Its promise's clock says "due" each millisecond: r gets 1000 IO/s, f 3000. What r
 *   has thus taken in advance would keep it from its share for hours; the debt is cut at what
 *   100 ms of the disk are worth at r's place. If the disk cannot do all that was promised, the
 *   promises are kept in proportion.
 *
 * IDLING. Whoever has one request at a time is never queued when the choice is made. On a disk that
 * serves one or two slices at a time its leaf stays a candidate for a moment, and the disk idles if
 * it has the lowest tag (idle.c):
 *
 *   a (80, one at a time) and b (20, always something queued), a disk of 5 ms for each:
 *
 *     without   a b a b a b ...    b is queued whenever a's request ends: 50:50
 *     with      a.a.a.a.b a.a.a.a.b    each dot is a's next request on its way, 0.15 ms of
 *                                      idling: 80:20 for 2.4 % of the disk's time
 *
 * On a disk with many servers that would be no bargain: 80:20 for someone who can use one of 32
 * servers means that 31 stand still. There a client with q requests gets q / (q + D) of a disk with
 * D others in flight, at the latency it would have alone as long as the window is not too large.
 * `strict` idles there, too.
 *
 * HOW MANY. `io_throttle` slices, or as much as window.c finds to be enough.
 *
 * CHANGES. A new weight rescales what a node is ahead of V: tag = V + (tag - V) w_old / w_new. So
 * someone who has just paid for a slice at weight 1 does not wait for it at weight 10000.
 *
 * AFTERWARDS. What a flush or a discard costs is known when it is over; it is charged then by
 * moving the tag on. Time becomes tokens at the rate at which the disk has lately earned them, also
 * where tokens are nanoseconds: a price list may be off by any factor, time is not. A flush also
 * brings what others have written to the medium: whoever asks for it pays what one takes at least,
 * and of the rest his part of what had been written. A discard costs what the disk did not earn
 * while it was there: all it could have on one with a single server, a part on others. Discards are
 * cut into pieces whose size is learnt (discard.c), prices are corrected slowly (price.c).
 * (afterwards.c, earnings.c)
 *
 * WHAT WAS DUE. Of siblings that have something queued, V advances at the pace at which one of
 * weight 1 is served: weight x (V now - V when it joined) is what a node was entitled to
 * (account.c). Time spent waiting is told apart by what it was for: a cap; a disk kept free for
 * somebody else; the window, from the moment it was first in line; and else that it was the turn
 * of others (wait.c).
 *
 * NUMBERS. Tags are 64-bit, scaled so that 1 / weight keeps at least three digits, and what a
 * division drops is carried to the next. They wrap; only differences are compared, and the first
 * wrap comes seconds after the start so that it is no news when it matters. An idle node could be
 * lapped by V: `epoch` counts laps in eighths, and a tag older than two eighths is simply in the
 * past.
 *
 * INVARIANTS (sched_check.c)
 *   - a node is in its parent's queue exactly while it has work and no cap holds it
 *   - no tag in a queue is before V of that queue; V never goes back
 *   - a queue is ordered by (tag, order of tagging)
 *   - a node is in the heap of reservations exactly while it has one and something is queued
 *   - counters: queued and in flight of the disk are the sums of the leaves
 * and, seen from outside: nothing that may go is held while the window has room, unless the disk
 * idles for somebody whose turn it is.
 *
 * NOT HANDLED HERE. Reservations that add up to more than the disk can do leave nothing to anybody
 * else (the configuration refuses those that it can know). A class starves those below it; that is
 * what it is for. A client that thinks for longer than it is waited for, or writes less than it
 * could, gets less than its weight and no credit for it.
 */
#include "afterwards.h"
#include "idle.h"
#include "pick.h"
#include "wait.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR_BYTES 512U

/* What a reservation may put its holder in debt by. */
#define RESERVED_DEBT_NS UINT64_C(100000000)

/* ---- tokens ---- */

/* A discard is charged for what it took when it is done. */
static uint64_t cost_of(const struct fbs *fbs, enum fbs_op op, uint64_t bytes)
{
	return price_of(&fbs->prices, is_write(op), op == FBS_DISCARD ? 0 : bytes);
}

/* One for a request: a fraction for each of its slices, so that the others need not stand by. */
static uint64_t part_of_token(const struct fbs_slice *slice, uint64_t start_bytes,
			      uint64_t end_bytes)
{
	uint64_t n = (end_bytes - 1) / FBS_SLICE_BYTES - start_bytes / FBS_SLICE_BYTES + 1;

	if (n == 1)
		return FBS_TOKEN_ONE;
	return slice->last ? FBS_TOKEN_ONE - (n - 1) * (FBS_TOKEN_ONE / n) : FBS_TOKEN_ONE / n;
}

static uint64_t tokens_of(const struct fbs *fbs, const struct fbs_slice *slice,
			  const struct fbs_req *req)
{
	switch (fbs->params.policy) {
	case FBS_POLICY_COST:
		return slice->cost_ns << FBS_TOKEN_SHIFT;
	case FBS_POLICY_IOSIZE:
		if (slice->op != FBS_DISCARD)
			return (slice->len_bytes + SECTOR_BYTES - 1) / SECTOR_BYTES
			       << FBS_TOKEN_SHIFT;
		break;
	case FBS_POLICY_WEIGHT:
		if (slice->op != FBS_DISCARD)
			return part_of_token(slice, req->start_bytes, req->end_bytes);
		break;
	}
	return FBS_TOKEN_ONE;
}

/* ---- settings ---- */

struct fbs *fbs_create(const struct fbs_params *params)
{
	struct fbs *fbs = calloc(1, sizeof(*fbs));

	if (!fbs)
		return NULL;
	fbs->root = tree_new_root();
	if (!fbs->root) {
		free(fbs);
		return NULL;
	}
	fbs->capped.kind = HEAP_CAPPED;
	fbs->due.kind = HEAP_DUE;
	fbs->places_end = &fbs->first_place;
	window_init(&fbs->window);
	discard_init(&fbs->discard);
	fbs->params.policy = params->policy;
	earnings_set_policy(&fbs->earnings, params->policy);
	price_set(&fbs->prices, &params->capability);
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
		tree_free(node);
	}
	tree_free(fbs->root);
	heap_free(&fbs->capped);
	heap_free(&fbs->due);
	free(fbs);
}

void fbs_configure(struct fbs *fbs, const struct fbs_params *params)
{
	static const unsigned shift[] = {
		[FBS_POLICY_COST] = 0, [FBS_POLICY_IOSIZE] = 8, [FBS_POLICY_WEIGHT] = 16};

	if (params->policy != fbs->params.policy) {
		tree_level(fbs);
		earnings_set_policy(&fbs->earnings, params->policy);
	}
	if (memcmp(&params->capability, &fbs->prices.given, sizeof(params->capability)) != 0) {
		price_set(&fbs->prices, &params->capability);
		window_forget(&fbs->window); /* it counts in prices */
	}
	if (params->io_throttle != fbs->params.io_throttle)
		fbs->serial = false; /* it may have been only that */
	fbs->params = *params;
	fbs->tag_shift = shift[params->policy];
	if (params->latency_target_ns != fbs->window.target_ns)
		window_set_latency_target(&fbs->window, params->latency_target_ns);
	idle_look(fbs);
}

struct fbs_node *fbs_root(struct fbs *fbs)
{
	return fbs->root;
}

struct fbs_node *fbs_add_group(struct fbs *fbs, struct fbs_node *parent, unsigned weight)
{
	assert(weight >= 1 && weight <= FBS_WEIGHT_MAX && !is_leaf(parent));
	return tree_add(fbs, parent, weight, false);
}

struct fbs_node *fbs_add_leaf(struct fbs *fbs, struct fbs_node *parent, unsigned weight)
{
	assert(weight >= 1 && weight <= FBS_WEIGHT_MAX && !is_leaf(parent));
	return tree_add(fbs, parent, weight, true);
}

void fbs_set_weight(struct fbs *fbs, struct fbs_node *node, unsigned weight)
{
	assert(weight >= 1 && weight <= FBS_WEIGHT_MAX && node->parent);
	tree_set_weight(fbs, node, weight);
}

void fbs_set_class(struct fbs *fbs, struct fbs_node *node, enum fbs_class class)
{
	assert(class < FBS_CLASSES && node->parent);
	tree_set_class(fbs, node, class);
}

void fbs_set_min(struct fbs *fbs, struct fbs_node *node, const struct fbs_min *min)
{
	assert(node->parent);
	rate_promise_set(&node->promise, min, promise_now_ns(fbs));
	tree_set_due(fbs, node);
}

void fbs_set_cap(struct fbs *fbs, struct fbs_node *node, struct fbs_cap *cap)
{
	assert(node->parent);
	if (cap != node->cap) {
		if (node->cap)
			rate_cap_detach(node->cap, &node->sharer);
		node->cap = cap;
		if (cap)
			rate_cap_attach(cap, &node->sharer);
	}
	tree_release_all(fbs);
}

int fbs_set_parent(struct fbs *fbs, struct fbs_node *node, struct fbs_node *parent)
{
	for (const struct fbs_node *up = parent; up; up = up->parent)
		assert(up != node);
	assert(!is_leaf(parent));
	return tree_move(fbs, node, parent);
}

void fbs_drop(struct fbs *fbs, struct fbs_node *node)
{
	node->dropped = true;
	if (fbs->held == node)
		wait_stop_holding(fbs);
	idle_end(fbs, node); /* nothing more is to come */
	tree_collect(fbs, node);
}

/* ---- requests ---- */

void fbs_push(struct fbs *fbs, struct fbs_node *leaf, struct fbs_req *req, uint64_t now_ns)
{
	unsigned lane = is_write(req->op) ? LANE_WRITE : LANE_READ;
	struct lane *l = &leaf->lanes[lane];

	assert(is_leaf(leaf) && req->pos_bytes < req->end_bytes);
	now_ns = advance_clock(fbs, now_ns);
	if (!has_queued(leaf)) {
		fbs->present += !leaf->in_flight;
		idle_arrived(fbs, leaf, now_ns);
		wait_begin(fbs, leaf);
	}
	if (leaf->places)
		idle_use_place(fbs, leaf);
	req->leaf = leaf;
	req->start_bytes = req->pos_bytes;
	req->pushed_ns = now_ns;
	req->order = ++fbs->order;
	req->next = NULL;
	req->prev = l->tail;
	if (l->tail)
		l->tail->next = req;
	else
		l->head = req;
	l->tail = req;
	tree_count(fbs, leaf, lane, 1);
	tree_activate(fbs, leaf);
}

static void unlink_req(struct fbs *fbs, struct fbs_req *req)
{
	struct fbs_node *leaf = req->leaf;
	unsigned lane = is_write(req->op) ? LANE_WRITE : LANE_READ;

	if (req->prev)
		req->prev->next = req->next;
	else
		leaf->lanes[lane].head = req->next;
	if (req->next)
		req->next->prev = req->prev;
	else
		leaf->lanes[lane].tail = req->prev;
	req->leaf = NULL;
	tree_count(fbs, leaf, lane, -1);
}

void fbs_cancel(struct fbs *fbs, struct fbs_req *req)
{
	struct fbs_node *leaf = req->leaf;

	tree_release(fbs, leaf);
	unlink_req(fbs, req);
	if (!has_queued(leaf)) {
		if (fbs->refused == leaf)
			wait_stop_refusing(fbs);
		wait_turn(fbs, leaf);
	}
	fbs->present -= !is_present(leaf);
	tree_settle(fbs, leaf);
	tree_collect(fbs, leaf);
}

/* Is there room for a slice of this cost? */
static bool admits(struct fbs *fbs, uint64_t cost_ns)
{
	struct window *w = &fbs->window;

	if (fbs->params.io_throttle)
		return fbs->in_flight < fbs->params.io_throttle;
	return w->in_flight_ns + cost_ns <= window_least_ns(w, fbs->present > 1) ||
	       window_admit(w, cost_ns);
}

static void served(struct fbs *fbs, struct fbs_node *leaf, const struct rate_work *work)
{
	for (struct fbs_node *node = leaf; node->parent; node = node->parent) {
		if (node->cap)
			rate_cap_served(node->cap, &node->sharer, work, fbs->last_ns);
		if (has_promise(node)) {
			rate_promise_served(&node->promise, work, promise_now_ns(fbs));
			node->was_held = false;
			tree_set_due(fbs, node);
		}
	}
}

/* In tokens. It lasts, so that there is none until it is known how many tokens that is. */
static uint64_t most_reserved_debt(const struct fbs *fbs)
{
	if (!earnings_are_known(&fbs->earnings))
		return 0;
	return earnings_tokens_of_ns(&fbs->earnings, RESERVED_DEBT_NS);
}

bool fbs_next(struct fbs *fbs, uint64_t now_ns, struct fbs_slice *ret_slice)
{
	struct fbs_node *top, *leaf;
	struct fbs_req *req;
	struct rate_work work;
	uint64_t bytes, cost_ns, tokens;

	now_ns = advance_clock(fbs, now_ns);
	wait_stop_refusing(fbs);
	req = pick_next(fbs, &top);
	earnings_look_for_slack(&fbs->earnings, !req && !fbs->held, now_ns);
	if (!req)
		return false;
	leaf = req->leaf;
	if (fbs->places)
		idle_look_at_places(fbs, now_ns);
	bytes = pick_bytes(fbs, req);
	cost_ns = cost_of(fbs, req->op, bytes);
	if (!admits(fbs, cost_ns)) {
		wait_refuse(fbs, leaf);
		return false;
	}
	*ret_slice = (struct fbs_slice){
		.req = req,
		.leaf = leaf,
		.pos_bytes = req->pos_bytes,
		.len_bytes = bytes,
		.issued_ns = now_ns,
		.cost_ns = cost_ns,
		.policy = fbs->params.policy,
		.op = req->op,
		.last = req->pos_bytes + bytes == req->end_bytes,
		.whole = req->end_bytes - req->start_bytes == bytes,
	};
	tokens = ret_slice->tokens = tokens_of(fbs, ret_slice, req);
	work = pick_work(req, bytes);
	wait_turn(fbs, leaf);

	req->pos_bytes += bytes;
	if (!fbs->in_flight++)
		earnings_begin(&fbs->earnings, now_ns);
	leaf->in_flight++;
	if (req->op == FBS_DISCARD)
		afterwards_discard_issued(fbs);
	else
		window_issued(&fbs->window, cost_ns, now_ns);
	tree_served(fbs, leaf, top);
	if (ret_slice->last)
		unlink_req(fbs, req);
	if (!has_queued(leaf))
		idle_issued(fbs, leaf, now_ns);
	served(fbs, leaf, &work);
	if (top == fbs->root)
		tree_charge(fbs, leaf, tokens);
	else
		tree_charge_reserved(fbs, leaf, top, tokens, most_reserved_debt(fbs));
	return true;
}

uint64_t fbs_wakeup(const struct fbs *fbs)
{
	uint64_t at_ns = FBS_NEVER;

	if (fbs->refused || !queued_of(fbs->root)) /* a completion or a push comes first */
		return at_ns;
	if (fbs->capped.n)
		at_ns = fbs->capped.slots[0].key;
	if (fbs->held) {
		at_ns = least(at_ns, fbs->held->anticipate_ns);
		if (fbs->due.n)
			at_ns = least(at_ns, fbs->due.slots[0].key + fbs->promise_slip_ns);
	}
	return at_ns;
}

/* A read or write is back. */
static void data_done(struct fbs *fbs, const struct fbs_slice *slice, uint64_t charged,
		      uint64_t now_ns)
{
	bool full;

	if (slice->op == FBS_WRITE)
		afterwards_wrote(fbs, slice->leaf, slice->len_bytes);
	if (fbs->discarding)
		earnings_disturb(&fbs->earnings);
	full = earnings_add(&fbs->earnings, charged, now_ns);
	if (!fbs->params.io_throttle && !window_is_settled(&fbs->window))
		full = false; /* it may be kept short */
	price_observe(&fbs->prices, is_write(slice->op), slice->len_bytes, full, now_ns);
	window_done(&fbs->window, slice->cost_ns, now_ns - slice->issued_ns, now_ns);
}

void fbs_done(struct fbs *fbs, const struct fbs_slice *slice, uint64_t now_ns)
{
	struct fbs_node *leaf = slice->leaf;
	uint64_t charged;

	assert(leaf->in_flight && fbs->in_flight);
	now_ns = advance_clock(fbs, now_ns);
	leaf->in_flight--;
	fbs->in_flight--;
	fbs->present -= !is_present(leaf);
	/* standings of another policy are forgotten, and its tokens say nothing about these */
	charged = slice->policy == fbs->params.policy ? slice->tokens : 0;
	if (slice->op == FBS_DISCARD)
		afterwards_discard_done(fbs, slice, charged, now_ns);
	else
		data_done(fbs, slice, charged, now_ns);
	idle_look(fbs);
	idle_done(fbs, leaf, slice->whole, now_ns);
	tree_collect(fbs, leaf);
}
