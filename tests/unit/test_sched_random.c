/* SPDX-License-Identifier: MIT */
/*
 * test_sched_random.c - random trees, loads and changes against an oracle and the invariants.
 *
 *     SEED=1 EVENTS=10000000 test_sched_random
 *
 * Events come in rounds, each with a scheduler and settings of its own. After every event
 * fbs_next() is asked until it says no, as a caller does, and after every step
 *
 *   - fbs_check() holds;
 *   - the slice is the one the oracle names (tests/sim/oracle.h): leaf, request, bytes, tokens;
 *   - each leaf is served first in, first out, every byte of a request once, cancelled ones never;
 *   - "no" means that nothing is queued or the window is full;
 *   - siblings i, j that stay backlogged, with nothing charged afterwards to either, keep
 *         |W_i/w_i - W_j/w_j| <= c_i/w_i + c_j/w_j              in slices issued,
 *                                (D + 1) times that             in slices that came back;
 *   - the statistics are what the events say.
 *
 * Three kinds of rounds: exact (weights are powers of two and nothing is ever rounded: the oracle
 * asserts it), general (any weight, reweighting, flushes, discards), and huge (prices so high that
 * tags wrap every few dozen slices). With VERBOSE set, each round is named as it begins.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sched.h"
#include "tests/sim/oracle.h"
#include "tests/sim/sim.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define KIB UINT64_C(1024)
#define MIB (UINT64_C(1024) * 1024)
#define ROUND_EVENTS 4000U
#define REQUESTS 192U
#define FLUSHES 8U
#define CHARGE_MAX (UINT64_C(1) << 58) /* the most that sched.c charges at once */
#define ROUNDING 4		       /* tag units that floors may add up to in one interval */

typedef __int128 wide;

static uint64_t seed = 20080701;
static uint64_t events = 100000;

/* ---- the model ---- */

struct request {
	struct fbs_req req; /* first: slices point here */
	struct request *next;
	bool queued;
	int leaf;
	uint64_t start_bytes, next_bytes, end_bytes;
	unsigned out;
	enum fbs_op op;
};

struct out {
	struct fbs_slice slice;
	unsigned epoch; /* of the world, when it went */
	uint64_t tokens;
	int leaf;
};

/* Beside the oracle's node of the same number. */
struct member {
	struct fbs_node *fbs;
	bool dropped, was_active, indebted;
	struct request *head, **tail;
	unsigned in_flight, flushes;
	uint64_t tokens, dirty_bytes;
	uint64_t largest; /* charge at an issue, of this policy */
};

/* W_i w_j - W_j w_i since both are backlogged, and how far it swung. */
struct drift {
	wide now, low, high;
};

enum kind { EXACT, GENERAL, HUGE, KINDS };

struct world {
	struct sim_rng rng;
	enum kind kind;
	struct fbs *fbs;
	struct fbs_params params;
	struct oracle oracle;
	struct member members[ORACLE_NODES];
	struct drift issued[ORACLE_NODES][ORACLE_NODES], returned[ORACLE_NODES][ORACLE_NODES];
	struct request requests[REQUESTS];
	unsigned queued, most_in_flight;
	unsigned epoch; /* changes after which a slice that returns may not be counted where it went
			 */
	struct out out[8192]; /* more than all requests have slices */
	unsigned nout;
	struct fbs_flush flushes[FLUSHES];
	int flush_leaf[FLUSHES];
	unsigned nflushes;
	uint64_t now_ns, tokens, dirty_bytes, slices;
};

static struct world world;

static uint64_t below(struct world *w, uint64_t n)
{
	return sim_rng_below(&w->rng, n);
}

static bool chance(struct world *w, unsigned per_mille)
{
	return below(w, 1000) < per_mille;
}

/* tokens x FBS_TOKEN_ONE -> units in which sched.c keeps tags, before the division by weight */
static unsigned resolution(const struct world *w)
{
	switch (w->params.policy) {
	case FBS_POLICY_WEIGHT:
		return 16;
	case FBS_POLICY_IOSIZE:
		return 8;
	case FBS_POLICY_COST:
		break;
	}
	return 0;
}

static oracle_tag units(const struct world *w, uint64_t tokens)
{
	return (oracle_tag)tokens << resolution(w);
}

/* ---- how far siblings drift apart ---- */

static void forget_drift(struct world *w, int n)
{
	for (int i = 0; i < ORACLE_NODES; i++) {
		w->issued[n][i] = w->issued[i][n] = (struct drift){0, 0, 0};
		w->returned[n][i] = w->returned[i][n] = (struct drift){0, 0, 0};
	}
}

/* What is in flight now went under other circumstances: start to count anew. */
static void new_epoch(struct world *w)
{
	w->epoch++;
	memset(w->returned, 0, sizeof(w->returned));
}

static void drift_on(struct drift *drift, wide by)
{
	drift->now += by;
	if (drift->now < drift->low)
		drift->low = drift->now;
	if (drift->now > drift->high)
		drift->high = drift->now;
}

/* n got tokens: every sibling that competes with it fell behind by that. */
static void check_drift(struct world *w, int n, uint64_t tokens, bool returned)
{
	const struct oracle_node *node = &w->oracle.nodes[n];
	struct drift(*drifts)[ORACLE_NODES] = returned ? w->returned : w->issued;

	for (int i = 1; i < ORACLE_NODES; i++) {
		const struct oracle_node *other = &w->oracle.nodes[i];
		wide bound;

		if (i == n || !other->used || other->parent != node->parent || !other->active ||
		    !node->active || w->members[i].indebted || w->members[n].indebted)
			continue;
		drift_on(&drifts[n][i], (wide)tokens * other->weight);
		drift_on(&drifts[i][n], -(wide)tokens * other->weight);
		bound = (wide)w->members[n].largest * other->weight +
			(wide)w->members[i].largest * node->weight;
		if (returned)
			bound *= (wide)w->most_in_flight + 1;
		bound += (wide)node->weight * other->weight * ROUNDING;
		assert_true(drifts[n][i].high - drifts[n][i].low <= bound);
	}
}

/* A charge that no slice explains, to the leaf and all above it. */
static void charged_afterwards(struct world *w, int leaf, uint64_t tokens)
{
	oracle_charge(&w->oracle, leaf, units(w, tokens));
	w->members[leaf].tokens += tokens;
	w->tokens += tokens;
	for (int n = leaf; tokens > 0 && n != ORACLE_ROOT; n = w->oracle.nodes[n].parent) {
		w->members[n].indebted = true;
		forget_drift(w, n);
	}
}

/* ---- what must hold after every step ---- */

static uint64_t tokens_of(const struct world *w)
{
	struct fbs_stats stats;

	fbs_stats(w->fbs, &stats);
	return stats.tokens;
}

static bool gone(const struct world *w, int n)
{
	const struct member *m = &w->members[n];

	if (!w->oracle.nodes[n].used || !m->dropped || m->head || m->in_flight > 0 ||
	    m->flushes > 0)
		return false;
	for (int i = 1; i < ORACLE_NODES; i++)
		if (w->oracle.nodes[i].used && w->oracle.nodes[i].parent == n)
			return false;
	return true;
}

static void bury(struct world *w)
{
	for (int n = 1; n < ORACLE_NODES; n++) {
		if (!gone(w, n))
			continue;
		w->dirty_bytes -= w->members[n].dirty_bytes;
		oracle_remove(&w->oracle, n);
		w->members[n].fbs = NULL;
		n = 0; /* its parent may be next */
	}
}

static void check_stats(const struct world *w)
{
	struct fbs_stats stats;

	fbs_stats(w->fbs, &stats);
	assert_int_equal(stats.queued, w->queued);
	assert_int_equal(stats.in_flight, w->nout);
	assert_true(stats.tokens == w->tokens);
	for (int n = 1; n < ORACLE_NODES; n++) {
		const struct member *m = &w->members[n];
		struct fbs_node_stats leaf;

		if (!w->oracle.nodes[n].used || !w->oracle.nodes[n].is_leaf)
			continue;
		fbs_node_stats(w->fbs, m->fbs, &leaf);
		assert_int_equal(leaf.queued, w->oracle.nodes[n].queued);
		assert_int_equal(leaf.in_flight, m->in_flight);
		assert_true(leaf.tokens == m->tokens);
		assert_true(leaf.dirty_bytes == m->dirty_bytes);
	}
}

static void check(struct world *w)
{
	bury(w);
	fbs_check(w->fbs);
	for (int n = 1; n < ORACLE_NODES; n++) {
		bool active = w->oracle.nodes[n].used && w->oracle.nodes[n].active;

		if (active != w->members[n].was_active)
			forget_drift(w, n);
		w->members[n].was_active = active;
	}
	if (w->kind == EXACT)
		assert_true(oracle_is_exact(&w->oracle));
}

/* ---- the events ---- */

static uint64_t expected_bytes(const struct request *request)
{
	uint64_t boundary = (request->next_bytes / FBS_SLICE_BYTES + 1) * FBS_SLICE_BYTES;

	return (boundary < request->end_bytes ? boundary : request->end_bytes) -
	       request->next_bytes;
}

static uint64_t expected_tokens(const struct world *w, const struct fbs_slice *slice)
{
	if (w->params.policy == FBS_POLICY_IOSIZE && slice->op != FBS_DISCARD)
		return (slice->len_bytes + 511) / 512 << FBS_TOKEN_SHIFT;
	if (w->params.policy == FBS_POLICY_WEIGHT && slice->op != FBS_DISCARD) {
		const struct request *request = (const struct request *)slice->req;
		uint64_t n = 0;

		for (uint64_t pos = request->start_bytes; pos < request->end_bytes; n++)
			pos = (pos / FBS_SLICE_BYTES + 1) * FBS_SLICE_BYTES;
		return FBS_TOKEN_ONE / n + (slice->last ? FBS_TOKEN_ONE % n : 0);
	}
	if (w->params.policy != FBS_POLICY_COST)
		return FBS_TOKEN_ONE;
	if (slice->cost_ns > CHARGE_MAX >> FBS_TOKEN_SHIFT)
		return CHARGE_MAX;
	return slice->cost_ns << FBS_TOKEN_SHIFT;
}

static void took(struct world *w, const struct fbs_slice *slice)
{
	int leaf = oracle_next(&w->oracle);
	struct member *m = &w->members[leaf];
	struct request *request = m->head;
	uint64_t tokens = expected_tokens(w, slice);

	assert_true(leaf > 0);
	assert_ptr_equal(slice->leaf, m->fbs);
	assert_ptr_equal(slice->req, &request->req);
	assert_true(slice->pos_bytes == request->next_bytes);
	assert_true(slice->issued_ns == w->now_ns);
	assert_true(slice->cost_ns > 0);
	assert_int_equal(slice->op, request->op);
	if (request->op != FBS_DISCARD)
		assert_true(slice->len_bytes == expected_bytes(request));
	request->next_bytes += slice->len_bytes;
	request->out++;
	assert_true(slice->len_bytes > 0 && request->next_bytes <= request->end_bytes);
	assert_int_equal(slice->last, request->next_bytes == request->end_bytes);
	assert_true(slice->last || request->next_bytes % FBS_SLICE_BYTES == 0);
	if (slice->last) {
		m->head = request->next;
		if (!m->head)
			m->tail = &m->head;
		request->queued = false;
		w->queued--;
	}

	assert_true(w->params.io_throttle == 0 || w->nout < w->params.io_throttle);
	assert_true(w->nout < COUNT(w->out));
	w->out[w->nout++] = (struct out){*slice, w->epoch, tokens, leaf};
	if (w->nout > w->most_in_flight)
		w->most_in_flight = w->nout;
	w->slices++;
	m->in_flight++;
	m->tokens += tokens;
	w->tokens += tokens;
	for (int n = leaf; n != ORACLE_ROOT; n = w->oracle.nodes[n].parent) {
		if (w->members[n].largest < tokens)
			w->members[n].largest = tokens;
		check_drift(w, n, tokens, false);
		w->members[n].indebted = false;
	}
	oracle_issue(&w->oracle, leaf, units(w, tokens), slice->last);
}

static void pump(struct world *w)
{
	struct fbs_slice slice;

	check(w);
	while (fbs_next(w->fbs, w->now_ns, &slice)) {
		took(w, &slice);
		check(w);
	}
	if (w->params.io_throttle > 0)
		assert_true(w->queued == 0 || w->nout >= w->params.io_throttle);
	else
		assert_true(w->queued == 0 || w->nout > 0);
}

static int random_node(struct world *w, bool leaf)
{
	int n = 1 + (int)below(w, ORACLE_NODES - 1);

	if (w->oracle.nodes[n].used && w->oracle.nodes[n].is_leaf == leaf && !w->members[n].dropped)
		return n;
	return leaf ? -1 : ORACLE_ROOT;
}

static struct fbs_node *fbs_of(const struct world *w, int n)
{
	return n == ORACLE_ROOT ? fbs_root(w->fbs) : w->members[n].fbs;
}

static unsigned random_weight(struct world *w)
{
	if (w->kind == EXACT)
		return 1U << below(w, 14);
	return 1U + (unsigned)below(w, chance(w, 500) ? 10 : FBS_WEIGHT_MAX);
}

static int depth_of(const struct world *w, int n)
{
	int depth = 0;

	for (; n != ORACLE_ROOT; n = w->oracle.nodes[n].parent)
		depth++;
	return depth;
}

static void do_add(struct world *w)
{
	int parent = random_node(w, false);
	unsigned weight = random_weight(w);
	bool leaf = chance(w, 750);
	int n;

	if (depth_of(w, parent) > 4)
		return;
	n = oracle_add(&w->oracle, parent, weight, leaf);
	if (n < 0)
		return;
	w->members[n] = (struct member){0};
	w->members[n].tail = &w->members[n].head;
	w->members[n].fbs = leaf ? fbs_add_leaf(w->fbs, fbs_of(w, parent), weight)
				 : fbs_add_group(w->fbs, fbs_of(w, parent), weight);
	assert_non_null(w->members[n].fbs);
	forget_drift(w, n);
}

static void do_drop(struct world *w)
{
	int n = random_node(w, chance(w, 800));

	if (n <= 0)
		return;
	w->members[n].dropped = true;
	fbs_drop(w->fbs, w->members[n].fbs);
}

static void do_set_weight(struct world *w)
{
	int n = random_node(w, chance(w, 600));
	unsigned weight = random_weight(w);

	if (n <= 0 || w->kind == EXACT)
		return;
	oracle_set_weight(&w->oracle, n, weight);
	fbs_set_weight(w->fbs, w->members[n].fbs, weight);
	forget_drift(w, n);
}

static void do_set_parent(struct world *w)
{
	int n = random_node(w, chance(w, 700)), parent = random_node(w, false);

	if (n <= 0 || depth_of(w, parent) > 4)
		return;
	for (int up = parent; up != ORACLE_ROOT; up = w->oracle.nodes[up].parent)
		if (up == n)
			return;
	oracle_set_parent(&w->oracle, n, parent);
	assert_int_equal(fbs_set_parent(w->fbs, w->members[n].fbs, fbs_of(w, parent)), 0);
	forget_drift(w, n);
	new_epoch(w);
}

static struct request *free_request(struct world *w)
{
	unsigned start = (unsigned)below(w, REQUESTS);

	for (unsigned i = 0; i < REQUESTS; i++) {
		struct request *request = &w->requests[(start + i) % REQUESTS];

		if (!request->queued && request->out == 0)
			return request;
	}
	return NULL;
}

/* They go one at a time, a rule that the oracle does not know: so there is never more than one. */
static bool has_discard(const struct world *w)
{
	for (unsigned i = 0; i < REQUESTS; i++)
		if (w->requests[i].op == FBS_DISCARD &&
		    (w->requests[i].queued || w->requests[i].out > 0))
			return true;
	return false;
}

static void do_push(struct world *w)
{
	int leaf = random_node(w, true);
	struct request *request = free_request(w);
	uint64_t pos, len;

	if (leaf < 0 || !request)
		return;
	pos = below(w, 64 * MIB);
	len = 1 + below(w, chance(w, 700) ? 16 * KIB : MIB);
	if (chance(w, 900)) {
		pos &= ~UINT64_C(511);
		len = (len + 511) & ~UINT64_C(511);
	}
	request->op = chance(w, 500) ? FBS_READ : FBS_WRITE;
	if (w->kind != EXACT && chance(w, 30) && !has_discard(w)) {
		request->op = FBS_DISCARD;
		pos = 0;
		len = 1 + below(w, 32 * MIB);
	}
	request->req =
		(struct fbs_req){.pos_bytes = pos, .end_bytes = pos + len, .op = request->op};
	request->next = NULL;
	request->queued = true;
	request->leaf = leaf;
	request->start_bytes = request->next_bytes = pos;
	request->end_bytes = pos + len;
	*w->members[leaf].tail = request;
	w->members[leaf].tail = &request->next;
	w->queued++;
	oracle_push(&w->oracle, leaf);
	fbs_push(w->fbs, w->members[leaf].fbs, &request->req, w->now_ns);
	assert_ptr_equal(request->req.leaf, w->members[leaf].fbs);
}

static void do_cancel(struct world *w)
{
	struct request *request = &w->requests[below(w, REQUESTS)];
	struct member *m = &w->members[request->leaf];
	struct request **link = &m->head;

	if (!request->queued)
		return;
	while (*link != request)
		link = &(*link)->next;
	*link = request->next;
	if (!*link)
		m->tail = link;
	request->queued = false;
	w->queued--;
	oracle_cancel(&w->oracle, request->leaf);
	fbs_cancel(w->fbs, &request->req);
	assert_null(request->req.leaf);
}

static void do_done(struct world *w)
{
	struct out out;
	struct member *m;
	uint64_t afterwards;
	unsigned i;

	if (w->nout == 0)
		return;
	i = (unsigned)below(w, w->nout);
	out = w->out[i];
	w->out[i] = w->out[--w->nout];
	m = &w->members[out.leaf];
	((struct request *)out.slice.req)->out--;
	m->in_flight--;
	if (out.slice.op == FBS_WRITE) {
		m->dirty_bytes += out.slice.len_bytes;
		w->dirty_bytes += out.slice.len_bytes;
	}
	fbs_done(w->fbs, &out.slice, w->now_ns);
	if (out.epoch == w->epoch)
		for (int n = out.leaf; n != ORACLE_ROOT; n = w->oracle.nodes[n].parent)
			check_drift(w, n, out.tokens, true);
	afterwards = tokens_of(w) - w->tokens;
	assert_true(out.slice.op == FBS_DISCARD || afterwards == 0);
	if (afterwards > 0)
		charged_afterwards(w, out.leaf, afterwards);
}

static void do_flush(struct world *w)
{
	int leaf = random_node(w, true);
	struct fbs_flush *flush = &w->flushes[w->nflushes];
	struct member *m = &w->members[leaf < 0 ? 0 : leaf];
	bool allowed;

	if (leaf < 0 || w->kind == EXACT || w->nflushes == FLUSHES)
		return;
	allowed = fbs_flush_may_start(w->fbs, m->fbs);
	assert_true(allowed || w->queued > 0);
	if (!allowed)
		return;
	fbs_flush_start(w->fbs, m->fbs, w->now_ns, flush);
	assert_ptr_equal(flush->leaf, m->fbs);
	assert_true(flush->own_dirty_bytes == m->dirty_bytes);
	assert_true(flush->all_dirty_bytes == w->dirty_bytes);
	w->dirty_bytes = 0;
	for (int n = 0; n < ORACLE_NODES; n++)
		w->members[n].dirty_bytes = 0;
	m->flushes++;
	w->flush_leaf[w->nflushes++] = leaf;
}

static void do_flush_done(struct world *w)
{
	unsigned i;
	struct fbs_flush flush;
	int leaf;

	if (w->nflushes == 0)
		return;
	i = (unsigned)below(w, w->nflushes);
	flush = w->flushes[i];
	leaf = w->flush_leaf[i];
	w->flushes[i] = w->flushes[--w->nflushes];
	w->flush_leaf[i] = w->flush_leaf[w->nflushes];
	w->members[leaf].flushes--;
	fbs_flush_done(w->fbs, &flush, w->now_ns);
	if (tokens_of(w) != w->tokens) /* they wrap */
		charged_afterwards(w, leaf, tokens_of(w) - w->tokens);
}

static void do_configure(struct world *w)
{
	enum fbs_policy old = w->params.policy;

	if (chance(w, 300) && w->kind != HUGE)
		w->params.policy = (enum fbs_policy)below(w, 3);
	w->params.io_throttle = chance(w, 300) ? 0 : 1 + (unsigned)below(w, 32);
	if (w->kind != HUGE)
		w->params.capability =
			(struct fbs_capability){.read_iops = below(w, 10000),
						.write_iops = below(w, 10000),
						.read_bps = below(w, 1000) * 1000000,
						.write_bps = below(w, 1000) * 1000000};
	fbs_configure(w->fbs, &w->params);
	if (w->params.policy == old)
		return;
	oracle_forget(&w->oracle);
	new_epoch(w);
	for (int n = 1; n < ORACLE_NODES; n++) {
		w->members[n].largest = 0;
		w->members[n].indebted = false;
		forget_drift(w, n);
	}
}

static void step(struct world *w, unsigned busy)
{
	unsigned what = (unsigned)below(w, 1000);

	w->now_ns += chance(w, 500) ? 0 : below(w, chance(w, 10) ? SIM_SEC : SIM_MS);
	if (what < busy)
		do_push(w);
	else if (what < 900)
		do_done(w);
	else if (what < 920)
		do_cancel(w);
	else if (what < 935)
		do_add(w);
	else if (what < 940)
		do_drop(w);
	else if (what < 955)
		do_set_weight(w);
	else if (what < 965)
		do_set_parent(w);
	else if (what < 980)
		do_flush(w);
	else if (what < 996)
		do_flush_done(w);
	else if (chance(w, 500))
		do_configure(w);
	pump(w);
}

static void run_round(uint64_t round_seed, enum kind kind, unsigned n, uint64_t *slices)
{
	struct world *w = &world;
	unsigned busy;

	memset(w, 0, sizeof(*w));
	w->rng.state = round_seed;
	w->kind = kind;
	w->now_ns = below(w, 2) * below(w, UINT64_MAX / 4);
	w->params = (struct fbs_params){.policy = (enum fbs_policy)below(w, 3),
					.io_throttle = (unsigned)below(w, 9),
					.isolation = FBS_ISOLATION_THROUGHPUT};
	if (kind == HUGE) {
		w->params.policy = FBS_POLICY_COST;
		w->params.capability = (struct fbs_capability){1, 1, 10, 10};
	}
	w->fbs = fbs_create(&w->params);
	assert_non_null(w->fbs);
	oracle_init(&w->oracle);
	for (unsigned i = 0; i < 4 + below(w, 12); i++)
		do_add(w);
	busy = 350 + (unsigned)below(w, 300); /* pushes against completions */
	for (unsigned i = 0; i < n; i++) {
		step(w, busy);
		if (i % 64 == 0)
			check_stats(w);
	}
	/* everything comes home, every request in full or cancelled */
	while (w->queued > 0 || w->nout > 0 || w->nflushes > 0) {
		do_done(w);
		do_flush_done(w);
		pump(w);
	}
	check_stats(w);
	*slices += w->slices;
	fbs_destroy(w->fbs);
}

static void test_random(void **state)
{
	static const char *const names[] = {"exact", "general", "huge"};
	uint64_t slices = 0;
	struct sim_rng rng = {seed};

	(void)state;
	for (uint64_t done = 0; done < events; done += ROUND_EVENTS) {
		uint64_t left = events - done, round_seed = sim_rng_next(&rng);
		enum kind kind = (enum kind)(done / ROUND_EVENTS % KINDS);

		if (getenv("VERBOSE"))
			printf("round %llu %s\n", (unsigned long long)(done / ROUND_EVENTS),
			       names[kind]);
		run_round(round_seed, kind, left < ROUND_EVENTS ? (unsigned)left : ROUND_EVENTS,
			  &slices);
	}
	printf("%llu slices as the oracle says\n", (unsigned long long)slices);
	assert_true(slices >= events / 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};

	if (getenv("SEED"))
		seed = strtoull(getenv("SEED"), NULL, 0);
	if (getenv("EVENTS"))
		events = strtoull(getenv("EVENTS"), NULL, 0);
	printf("SEED=%llu EVENTS=%llu\n", (unsigned long long)seed, (unsigned long long)events);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
