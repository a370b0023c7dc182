/* SPDX-License-Identifier: MIT */
/*
 * world_check.c - what must hold after every answer of a scheduler; see world.h.
 *
 * Most of it is seen from outside: fbs_node_stats() tells what is held by caps, and limits.h
 * whether that is right. Inside (tree.h) only V and tags are looked at.
 */
#include <string.h>

#include "tests/sim/world.h"
#include "tree.h"

#define CHARGE_MAX (UINT64_C(1) << 58) /* the most that is charged at once: an hour of cost */
#define ROUNDING 4		       /* tag units that floors may add up to in one interval */
/* Of those that share a cap, each that was told to wait and does not come is waited for so long. */
#define YIELD_MOST_NS (21 * SIM_MS)
#define YIELD_NS SIM_MS
/* How long the disk is kept free for a leaf: with something at the disk, and without. */
#define AWAY_NS (200 * SIM_MS)
#define WAIT_NS (2 * SIM_MS)
#define LATE_NS (100 * SIM_MS) /* a promise is made up for */
#define DISCARDING ((limit_wide)1 << 100)

#define parent_of(b, n) ((b)->oracle.nodes[n].parent)

static limit_wide later(limit_wide a, limit_wide b)
{
	return a > b ? a : b;
}

/* tokens x FBS_TOKEN_ONE -> units in which tags are kept, before the division by weight */
static unsigned resolution(const struct world_bench *b)
{
	switch (b->params.policy) {
	case FBS_POLICY_WEIGHT:
		return 16;
	case FBS_POLICY_IOSIZE:
		return 8;
	case FBS_POLICY_COST:
		break;
	}
	return 0;
}

static oracle_tag units(const struct world_bench *b, uint64_t tokens)
{
	return (oracle_tag)tokens << resolution(b);
}

/* ---- how far siblings drift apart, and from what they are entitled to ---- */

void world_forget_drift(struct world_bench *b, int n)
{
	struct world_member *m = &b->members[n];
	struct fbs_node_stats stats;

	for (int i = 0; i < ORACLE_NODES; i++) {
		b->issued[n][i] = b->issued[i][n] = (struct world_drift){0, 0, 0};
		b->returned[n][i] = b->returned[i][n] = (struct world_drift){0, 0, 0};
	}
	fbs_node_stats(b->fbs, m->fbs, &stats);
	m->base_tokens = stats.tokens;
	m->base_entitled = stats.entitled;
	m->base_issues = 0;
}

void world_forget_epoch(struct world_bench *b)
{
	b->epoch++;
	memset(b->returned, 0, sizeof(b->returned));
}

static void drift_on(struct world_drift *drift, limit_wide by)
{
	drift->now += by;
	if (drift->now < drift->low)
		drift->low = drift->now;
	if (drift->now > drift->high)
		drift->high = drift->now;
}

/* n got tokens: every sibling that competes with it fell behind by that. */
static void check_drift(struct world_bench *b, int n, uint64_t tokens, bool returned)
{
	const struct oracle_node *node = &b->oracle.nodes[n];
	struct world_drift(*drifts)[ORACLE_NODES] = returned ? b->returned : b->issued;

	for (int i = 1; i < ORACLE_NODES; i++) {
		const struct oracle_node *other = &b->oracle.nodes[i];
		limit_wide bound;

		if (i == n || !other->used || other->parent != node->parent ||
		    other->class != node->class || !other->active || !node->active ||
		    b->members[i].indebted || b->members[n].indebted)
			continue;
		drift_on(&drifts[n][i], (limit_wide)tokens * other->weight);
		drift_on(&drifts[i][n], -(limit_wide)tokens * other->weight);
		bound = (limit_wide)b->members[n].largest * other->weight +
			(limit_wide)b->members[i].largest * node->weight;
		if (returned)
			bound *= (limit_wide)b->most_in_flight + 1;
		bound += (limit_wide)node->weight * other->weight * ROUNDING;
		CHECK(drifts[n][i].high - drifts[n][i].low <= bound);
	}
}

static void now_indebted(struct world_bench *b, int n)
{
	b->members[n].indebted = true;
	world_forget_drift(b, n);
}

/* What n got and what it was entitled to, while it was backlogged and not in debt. */
static void check_entitled(struct world_bench *b, int n, const struct fbs_node_stats *stats)
{
	const struct world_member *m = &b->members[n];
	uint64_t more = (stats->tokens - m->base_tokens) - (stats->entitled - m->base_entitled);
	uint64_t apart = (int64_t)more < 0 ? -more : more; /* both wrap */

	if (b->oracle.nodes[n].active && !m->indebted)
		CHECK(apart <= m->largest + m->base_issues + b->oracle.nodes[n].weight);
}

/* A charge that no slice explains, to the leaf, which may just have gone, and all above it. */
void world_charged(struct world_bench *b, int leaf, uint64_t tokens)
{
	oracle_charge(&b->oracle, leaf, units(b, tokens));
	b->tokens += tokens;
	for (int n = leaf; n != ORACLE_ROOT; n = parent_of(b, n)) {
		b->members[n].tokens += tokens;
		if (tokens > 0 && b->oracle.nodes[n].used)
			now_indebted(b, n);
	}
}

/* ---- after any call ---- */

/* In the time of promises. */
static limit_wide due_ns(const struct world_bench *b, int n)
{
	return limit_promise_due_ns(&b->members[n].promise);
}

static limit_wide rounding_ns(const struct world_bench *b, int n)
{
	return limit_promise_rounding_ns(&b->members[n].promise);
}

uint64_t world_promise_ns(const struct world_bench *b)
{
	return b->seen_ns - b->slip_ns;
}

/* They slip only together, and only if somebody's is later than what is made up for. */
static void look_at_slip(struct world_bench *b)
{
	uint64_t slip_ns = b->fbs->promise_slip_ns - b->slip_ns;
	bool late = false;

	for (int n = 1; n < ORACLE_NODES; n++)
		late = late || (b->oracle.nodes[n].used && b->members[n].had_queued &&
				limit_promised(&b->members[n].promise) &&
				due_ns(b, n) - rounding_ns(b, n) + LATE_NS <= world_promise_ns(b));
	CHECK(slip_ns == 0 || late);
	CHECK(slip_ns <= b->seen_ns - b->slip_seen_ns);
	b->slip_ns += slip_ns;
}

static void look_at_vtime(struct world_bench *b, const struct fbs_node *fbs, int n)
{
	for (unsigned c = 0; c < FBS_CLASSES; c++) {
		uint64_t vtime = fbs->queues[c].vtime;

		CHECK(!before(vtime, b->raw_vtime[n][c]));
		b->vtime[n][c] += vtime - b->raw_vtime[n][c];
		b->raw_vtime[n][c] = vtime;
	}
}

static void look_below(struct world_bench *b)
{
	memset(b->below, 0, sizeof(b->below));
	for (unsigned i = 0; i < WORLD_REQUESTS; i++) {
		const struct world_request *request = &b->requests[i];

		if (!request->queued)
			continue;
		for (int n = request->leaf;; n = parent_of(b, n)) {
			b->below[n][request->op == FBS_READ ? WORLD_READ : WORLD_WRITE]++;
			if (n == ORACLE_ROOT)
				break;
		}
	}
}

static bool queued_below(const struct world_bench *b, int n)
{
	return b->below[n][WORLD_READ] || b->below[n][WORLD_WRITE];
}

bool world_is_above(const struct world_bench *b, int above, int n)
{
	while (n != above && n != ORACLE_ROOT)
		n = parent_of(b, n);
	return n == above;
}

/* Held, or below or above what is held: its promise may be looked at when that ends. */
static void blur(struct world_bench *b, int held)
{
	for (int n = 1; n < ORACLE_NODES; n++)
		if (b->oracle.nodes[n].used &&
		    (world_is_above(b, held, n) || world_is_above(b, n, held)))
			b->members[n].blurred = true;
}

void world_look(struct world_bench *b)
{
	struct fbs_stats all;

	fbs_check(b->fbs);
	fbs_stats(b->fbs, &all);
	b->anticipating = all.anticipating;
	look_at_vtime(b, fbs_root(b->fbs), ORACLE_ROOT);
	look_at_slip(b);
	look_below(b);
	for (int n = 1; n < ORACLE_NODES; n++) {
		struct world_member *m = &b->members[n];
		struct fbs_node_stats stats;

		if (!b->oracle.nodes[n].used) {
			m->was_active = false;
			continue;
		}
		if (!b->oracle.nodes[n].is_leaf)
			look_at_vtime(b, m->fbs, n);
		fbs_node_stats(b->fbs, m->fbs, &stats);
		if (stats.capped != b->oracle.nodes[n].held)
			oracle_hold(&b->oracle, n, stats.capped);
		if (queued_below(b, n) && !m->had_queued) {
			limit_promise_wake(&m->promise, world_promise_ns(b));
			m->blurred = false;
		}
		m->had_queued = queued_below(b, n);
	}
	for (int n = 1; n < ORACLE_NODES; n++) {
		struct world_member *m = &b->members[n];
		bool active = b->oracle.nodes[n].used && b->oracle.nodes[n].active;

		if (b->oracle.nodes[n].used && b->oracle.nodes[n].held)
			blur(b, n);
		if (active != m->was_active)
			world_forget_drift(b, n);
		m->was_active = active;
	}
}

/* ---- a slice went ---- */

uint64_t world_next_bytes(const struct world_request *request)
{
	uint64_t boundary = (request->next_bytes / FBS_SLICE_BYTES + 1) * FBS_SLICE_BYTES;

	return (boundary < request->end_bytes ? boundary : request->end_bytes) -
	       request->next_bytes;
}

struct limit_work world_work(const struct world_request *request, uint64_t bytes)
{
	uint64_t from = request->next_bytes - request->start_bytes;

	return (struct limit_work){.write = request->op != FBS_READ,
				   .bytes = request->op == FBS_DISCARD ? 0 : bytes,
				   .from_bytes = from,
				   .to_bytes = from + bytes};
}

static uint64_t expected_tokens(const struct world_bench *b, const struct fbs_slice *slice)
{
	const struct world_request *request = (const struct world_request *)slice->req;
	uint64_t n = 0;

	if (b->params.policy == FBS_POLICY_COST)
		return slice->cost_ns << FBS_TOKEN_SHIFT;
	if (slice->op == FBS_DISCARD)
		return FBS_TOKEN_ONE;
	if (b->params.policy == FBS_POLICY_IOSIZE)
		return (slice->len_bytes + 511) / 512 << FBS_TOKEN_SHIFT;
	for (uint64_t pos = request->start_bytes; pos < request->end_bytes; n++)
		pos = (pos / FBS_SLICE_BYTES + 1) * FBS_SLICE_BYTES;
	return FBS_TOKEN_ONE / n + (slice->last ? FBS_TOKEN_ONE % n : 0);
}

static bool may_be_due(const struct world_bench *b, int n)
{
	return limit_promised(&b->members[n].promise) &&
	       due_ns(b, n) - rounding_ns(b, n) <= world_promise_ns(b);
}

/* Below n something may go now. */
static bool is_eligible(const struct world_bench *b, int n)
{
	for (; n != ORACLE_ROOT; n = parent_of(b, n))
		if (!b->oracle.nodes[n].active)
			return false;
	return true;
}

/* From *ret_ns on n's promise comes before anything that is not due earlier. False: unknown. */
static bool comes_first_at(const struct world_bench *b, int n, limit_wide *ret_ns)
{
	if (!b->oracle.nodes[n].used || !limit_promised(&b->members[n].promise) ||
	    b->members[n].blurred || !is_eligible(b, n))
		return false;
	*ret_ns = due_ns(b, n) + rounding_ns(b, n);
	return true;
}

/*
 * By share or by a promise: it was leaf's turn. Returns the lowest node that may be due, or root.
 */
static int check_turn(const struct world *w, const struct world_bench *b, int leaf)
{
	bool by_promise = false;
	limit_wide due = world_promise_ns(b) + (limit_wide)1, other;
	int lowest = ORACLE_ROOT;

	for (int n = leaf; n != ORACLE_ROOT; n = parent_of(b, n)) {
		if (!may_be_due(b, n))
			continue;
		if (lowest == ORACLE_ROOT)
			lowest = n;
		by_promise = by_promise || oracle_is_first(&b->oracle, n, leaf);
		if (due_ns(b, n) - rounding_ns(b, n) < due)
			due = due_ns(b, n) - rounding_ns(b, n);
	}
	CHECK(by_promise || oracle_is_first(&b->oracle, ORACLE_ROOT, leaf));
	if (!(w->features & (WORLD_CAPS | WORLD_MINS | WORLD_IDLE))) /* among equals, too */
		CHECK(oracle_next(&b->oracle) == leaf);
	for (int n = 1; n < ORACLE_NODES; n++)
		if (comes_first_at(b, n, &other) && other < world_promise_ns(b))
			CHECK(due <= other);
	return lowest;
}

static bool is_discarding(const struct world_bench *b)
{
	for (unsigned i = 0; i < b->nout; i++)
		if (b->out[i].slice.op == FBS_DISCARD)
			return true;
	return false;
}

/*
 * From when on no cap between n and the root, asked at asked_ns, nor a discard holds the request.
 */
static limit_wide ready_ns(const struct world *w, const struct world_bench *b, int n,
			   const struct world_request *request, unsigned which, uint64_t asked_ns)
{
	struct limit_work work = world_work(request, world_next_bytes(request));
	limit_wide at = 0;

	if (request->op == FBS_DISCARD && is_discarding(b))
		return DISCARDING;
	for (; n != ORACLE_ROOT; n = parent_of(b, n))
		if (b->members[n].cap >= 0)
			at = later(at, limit_cap_ready_ns(&w->caps[b->members[n].cap].model, &work,
							  which, asked_ns));
	return at;
}

/* How many have the cap of n and, if wanted, something queued? */
static unsigned sharers(const struct world *w, const struct world_bench *b, int n, bool waiting)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < w->nbenches; i++)
		for (int other = 1; other < ORACLE_NODES; other++)
			if (w->benches[i].oracle.nodes[other].used &&
			    w->benches[i].members[other].cap == b->members[n].cap)
				sum += !waiting || queued_below(&w->benches[i], other);
	return sum;
}

/* It may have to stand back for others with the same cap, in its direction only. */
static bool may_yield_in_direction(const struct world *w, const struct world_bench *b,
				   const struct world_request *request)
{
	struct limit_work work = world_work(request, world_next_bytes(request));

	for (int n = request->leaf; n != ORACLE_ROOT; n = parent_of(b, n))
		if (b->members[n].cap >= 0 && sharers(w, b, n, false) > 1 &&
		    limit_cap_ready_ns(&w->caps[b->members[n].cap].model, &work, LIMIT_DIRECTION,
				       0))
			return true;
	return false;
}

static void check_lane(const struct world *w, const struct world_bench *b,
		       const struct world_request *request)
{
	const struct world_member *m = &b->members[request->leaf];
	unsigned lane = request->op == FBS_READ ? WORLD_READ : WORLD_WRITE;
	const struct world_request *other = m->head[!lane];

	CHECK(m->head[lane] == request);
	if (other && other->order < request->order && !may_yield_in_direction(w, b, other))
		CHECK(ready_ns(w, b, request->leaf, other, LIMIT_DIRECTION, b->seen_ns) >
		      b->seen_ns);
}

static void check_slice(const struct world_bench *b, const struct fbs_slice *slice)
{
	const struct world_request *request = (const struct world_request *)slice->req;
	uint64_t end = slice->pos_bytes + slice->len_bytes;

	CHECK(request->queued);
	CHECK(slice->leaf == b->members[request->leaf].fbs);
	CHECK(slice->pos_bytes == request->next_bytes);
	CHECK(slice->issued_ns == b->seen_ns);
	CHECK(slice->op == request->op);
	if (request->op != FBS_DISCARD)
		CHECK(slice->len_bytes == world_next_bytes(request));
	CHECK(slice->len_bytes > 0 && end <= request->end_bytes);
	CHECK(slice->last == (end == request->end_bytes));
	CHECK(slice->last || end % FBS_SLICE_BYTES == 0);
	CHECK(slice->cost_ns > 0);
	CHECK(slice->op != FBS_DISCARD || !is_discarding(b));
	CHECK(slice->tokens == expected_tokens(b, slice));
	CHECK(b->params.io_throttle == 0 || b->nout < b->params.io_throttle);
}

/* What only the scheduler knows: how far a promise that was kept has put whom ahead. */
static void adopt_tags(struct world_bench *b, int leaf, uint64_t tokens)
{
	for (int n = 0; n < ORACLE_NODES; n++)
		memcpy(b->oracle.nodes[n].vtime, b->vtime[n], sizeof(b->vtime[n]));
	for (int n = 1; n < ORACLE_NODES; n++) {
		struct oracle_node *node = &b->oracle.nodes[n];
		const struct fbs_node *fbs = b->members[n].fbs;
		const struct queue *queue;
		oracle_tag old, new;

		if (!node->used)
			continue;
		queue = queue_of(fbs);
		old = oracle_tag_of(&b->oracle, n);
		if (queue->vepoch - fbs->epoch >= 2 || before(fbs->tag, queue->vtime))
			oracle_place(&b->oracle, n, 0, 0);
		else
			oracle_place(&b->oracle, n, fbs->tag - queue->vtime, fbs->remainder);
		new = oracle_tag_of(&b->oracle, n);
		CHECK(old <= new);
		if (world_is_above(b, n, leaf))
			old += units(b, tokens) / node->weight + 1;
		CHECK(new <= old);
	}
}

static void took_request(struct world_bench *b, struct world_request *request,
			 const struct fbs_slice *slice)
{
	struct world_member *m = &b->members[request->leaf];
	unsigned lane = request->op == FBS_READ ? WORLD_READ : WORLD_WRITE;

	request->next_bytes += slice->len_bytes;
	request->out++;
	if (!slice->last)
		return;
	m->head[lane] = request->next;
	if (!m->head[lane])
		m->tail[lane] = &m->head[lane];
	request->queued = false;
	b->queued--;
}

void world_took(struct world *w, struct world_bench *b, const struct fbs_slice *slice)
{
	struct world_request *request = (struct world_request *)slice->req;
	struct limit_work work = world_work(request, slice->len_bytes);
	int leaf = request->leaf, due;
	uint64_t tokens = slice->tokens < CHARGE_MAX ? slice->tokens : CHARGE_MAX;
	bool by_share = true;

	check_slice(b, slice);
	check_lane(w, b, request);
	due = check_turn(w, b, leaf);
	took_request(b, request, slice);
	CHECK(b->nout < WORLD_OUT);
	b->out[b->nout++] = (struct world_out){*slice, b->epoch, tokens, leaf};
	if (b->nout > b->most_in_flight)
		b->most_in_flight = b->nout;
	b->slices++;
	b->tokens += tokens;
	b->members[leaf].in_flight++;
	b->members[leaf].issued_ns = b->seen_ns;
	for (int n = leaf; n != ORACLE_ROOT; n = parent_of(b, n)) {
		struct world_member *m = &b->members[n];

		m->tokens += tokens;
		m->base_issues++;
		if (m->largest < tokens)
			m->largest = tokens;
		if (m->cap >= 0)
			CHECK(limit_cap_serve(&w->caps[m->cap].model, &work, b->seen_ns));
		limit_promise_serve(&m->promise, &work, world_promise_ns(b));
		m->blurred = false;
		by_share = by_share && n != due;
		if (by_share)
			check_drift(b, n, tokens, false);
		else
			now_indebted(b, n);
		if (by_share && m->indebted) {
			m->indebted = false;
			world_forget_drift(b, n);
		}
	}
	if (due == ORACLE_ROOT) {
		oracle_issue(&b->oracle, leaf, units(b, tokens), slice->last);
	} else {
		if (slice->last)
			oracle_cancel(&b->oracle, leaf);
		adopt_tags(b, leaf, tokens);
	}
	world_look(b);
	b->slip_seen_ns = b->seen_ns;
	for (int n = 0; n < ORACLE_NODES; n++)
		if (b->oracle.nodes[n].used && !b->oracle.nodes[n].is_leaf)
			CHECK(!memcmp(b->vtime[n], b->oracle.nodes[n].vtime, sizeof(b->vtime[n])));
}

/* ---- it said no ---- */

/* Until when n may have to stand back for others with the same cap, for some request below held. */
static limit_wide yields_until_ns(const struct world *w, const struct world_bench *b, int n,
				  int held)
{
	const struct limit_cap *cap = &w->caps[b->members[n].cap].model;
	uint64_t asked_ns = b->members[held].fbs->capped_since_ns;
	limit_wide at = cap->touched_ns;

	/* was there somebody when it was last asked? */
	if (sharers(w, b, n, false) < 2 && w->caps[b->members[n].cap].shared_ns < asked_ns)
		return 0;
	if (sharers(w, b, n, true) < 2)
		return asked_ns + YIELD_NS;
	for (int leaf = 1; leaf < ORACLE_NODES; leaf++) {
		if (!b->oracle.nodes[leaf].used || !world_is_above(b, held, leaf))
			continue;
		for (unsigned lane = 0; lane < WORLD_LANES; lane++) {
			const struct world_request *head = b->members[leaf].head[lane];
			struct limit_work largest = {.write = lane == WORLD_WRITE,
						     .bytes = FBS_SLICE_BYTES,
						     .to_bytes = FBS_SLICE_BYTES +
								 cap->iops_size_bytes};
			unsigned which = head && head->op == FBS_DISCARD ? LIMIT_ONLY_IOS : 0;

			if (head)
				at = later(at, limit_cap_ready_ns(cap, &largest, LIMIT_ANY | which,
								  asked_ns));
		}
	}
	return at + (sharers(w, b, n, true) - 1) * YIELD_MOST_NS;
}

/* What is below n, which is held: from when on does its own cap hold none of it? */
static limit_wide released_by_own_cap_ns(const struct world *w, const struct world_bench *b, int n)
{
	const struct limit_cap *cap = &w->caps[b->members[n].cap].model;
	limit_wide at = 0;

	for (int leaf = 1; leaf < ORACLE_NODES; leaf++) {
		if (!b->oracle.nodes[leaf].used || !world_is_above(b, n, leaf))
			continue;
		for (unsigned lane = 0; lane < WORLD_LANES; lane++) {
			const struct world_request *head = b->members[leaf].head[lane];
			struct limit_work work;

			if (!head)
				continue;
			work = world_work(head, world_next_bytes(head));
			/* those of the other direction must not wait for this one's limit */
			at = later(at,
				   limit_cap_ready_ns(cap, &work,
						      b->below[n][!lane] ? LIMIT_TOTAL : LIMIT_ANY,
						      b->members[n].fbs->capped_since_ns));
		}
	}
	return at;
}

/* From when on there is no reason to hold n, which is held. *ret_wakeup: and when to look. */
static limit_wide released_ns(const struct world *w, const struct world_bench *b, int n,
			      limit_wide *ret_wakeup)
{
	limit_wide at = 0, yields = 0;

	if (b->members[n].cap >= 0)
		at = released_by_own_cap_ns(w, b, n);
	if (b->oracle.nodes[n].is_leaf) { /* all that it has, by whatever is above it */
		limit_wide own = -1;

		for (unsigned lane = 0; lane < WORLD_LANES; lane++) {
			const struct world_request *head = b->members[n].head[lane];
			limit_wide ready = head ? ready_ns(w, b, n, head, LIMIT_ANY,
							   b->members[n].fbs->capped_since_ns)
						: -1;

			if (head && (own < 0 || ready < own))
				own = ready;
		}
		at = later(at, own);
	}
	for (int up = n; up != ORACLE_ROOT; up = parent_of(b, up)) {
		if (b->members[up].cap >= 0)
			yields = later(yields, yields_until_ns(w, b, up, n));
		if (!b->oracle.nodes[n].is_leaf)
			break;
	}
	*ret_wakeup = at;
	if (yields > 0 && at < b->seen_ns + (limit_wide)YIELD_NS)
		*ret_wakeup = b->seen_ns + (limit_wide)YIELD_NS;
	return later(at, yields);
}

/* Until when the disk may be kept free for n; 0: it may not. */
static uint64_t anticipated_until_ns(const struct world_bench *b, int n)
{
	const struct world_member *m = &b->members[n];

	if (!b->oracle.nodes[n].used || !b->oracle.nodes[n].is_leaf || b->oracle.nodes[n].queued ||
	    m->dropped || !oracle_is_first(&b->oracle, ORACLE_ROOT, n))
		return 0;
	if (m->in_flight > 0 || m->flushes > 0)
		return AWAY_NS + (m->done_ns > m->issued_ns ? m->done_ns : m->issued_ns);
	return m->done_ns + WAIT_NS;
}

static void check_anticipation(const struct world_bench *b, const struct fbs_stats *stats)
{
	uint64_t until = 0;
	limit_wide due;

	CHECK(b->params.isolation != FBS_ISOLATION_THROUGHPUT);
	CHECK(b->params.isolation == FBS_ISOLATION_STRICT || stats->serial);
	for (int n = 1; n < ORACLE_NODES; n++) {
		uint64_t at = anticipated_until_ns(b, n);

		until = at > until ? at : until;
	}
	CHECK(b->seen_ns < until);
	CHECK(b->wakeup_ns <= until);
	/* a promise cuts it short */
	for (int n = 1; n < ORACLE_NODES; n++)
		if (comes_first_at(b, n, &due))
			CHECK(b->wakeup_ns <= due + b->slip_ns);
}

/* There is no room for some slice that may be next. */
static bool is_full(const struct world_bench *b)
{
	const struct window *window = &b->fbs->window;
	uint64_t least = window_least_ns(window, b->fbs->present > 1), out = 0;

	if (b->params.io_throttle)
		return b->nout >= b->params.io_throttle;
	for (unsigned i = 0; i < b->nout; i++)
		out += b->out[i].slice.op == FBS_DISCARD ? 0 : b->out[i].slice.cost_ns;
	CHECK(out == window->in_flight_ns);
	for (unsigned i = 0; i < WORLD_REQUESTS; i++) {
		const struct world_request *r = &b->requests[i];
		uint64_t bytes = r->op == FBS_DISCARD ? 0 : world_next_bytes(r), cost;

		cost = price_of(&b->fbs->prices, r->op != FBS_READ, bytes);
		if (r->queued && out + cost > least && !window_admit(window, cost))
			return out > 0;
	}
	return false;
}

void world_refused(struct world *w, struct world_bench *b)
{
	struct fbs_stats stats;

	fbs_stats(b->fbs, &stats);
	b->wakeup_ns = fbs_wakeup(b->fbs);
	if (b->queued > 0)
		b->slip_seen_ns = b->seen_ns;
	for (int n = 1; n < ORACLE_NODES; n++) {
		limit_wide wakeup;

		if (!b->oracle.nodes[n].used || !b->oracle.nodes[n].held)
			continue;
		CHECK(released_ns(w, b, n, &wakeup) > b->seen_ns);
		CHECK(b->wakeup_ns == FBS_NEVER || b->wakeup_ns <= wakeup);
	}
	if (b->queued == 0) {
		CHECK(b->wakeup_ns == FBS_NEVER);
		CHECK(!stats.anticipating);
	} else if (b->wakeup_ns == FBS_NEVER) { /* the window is full */
		CHECK(is_full(b));
		CHECK(!stats.anticipating);
		CHECK(oracle_next(&b->oracle) >= 0);
	} else {
		CHECK(b->wakeup_ns > b->seen_ns);
		if (stats.anticipating)
			check_anticipation(b, &stats);
		else
			CHECK(oracle_next(&b->oracle) < 0);
	}
}

/* ---- the rest ---- */

void world_came_back(struct world_bench *b, const struct world_out *out)
{
	if (out->epoch != b->epoch)
		return;
	for (int n = out->leaf; n != ORACLE_ROOT; n = parent_of(b, n))
		check_drift(b, n, out->tokens, true);
}

static void check_waited(const struct world_member *m, const struct fbs_node_stats *stats)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < FBS_WAITS; i++)
		sum += stats->waited_ns[i];
	CHECK(sum == m->backlog_ns);
	CHECK(stats->waited_ns[FBS_WAIT_CAP] == m->capped_ns);
	CHECK(stats->waited_ns[FBS_WAIT_ANTICIPATION] == m->anticipated_ns);
}

void world_check_stats(struct world_bench *b)
{
	struct fbs_stats all;

	fbs_stats(b->fbs, &all);
	CHECK(all.queued == b->queued);
	CHECK(all.in_flight == b->nout);
	CHECK(all.tokens == b->tokens);
	for (int n = 1; n < ORACLE_NODES; n++) {
		const struct world_member *m = &b->members[n];
		struct fbs_node_stats stats;

		if (!b->oracle.nodes[n].used)
			continue;
		fbs_node_stats(b->fbs, m->fbs, &stats);
		CHECK(stats.queued == b->below[n][WORLD_READ] + b->below[n][WORLD_WRITE]);
		CHECK(stats.in_flight == m->in_flight);
		CHECK(stats.tokens == m->tokens);
		CHECK(stats.dirty_bytes == m->dirty_bytes);
		CHECK(stats.capped_ns == m->held_ns);
		check_entitled(b, n, &stats);
		if (b->oracle.nodes[n].is_leaf)
			check_waited(m, &stats);
	}
}
