/* SPDX-License-Identifier: MIT */
/* world_events.c - what may happen; see world.h. */
#include <string.h>

#include "tests/sim/world.h"
#include "tree.h"

#define KIB UINT64_C(1024)
#define MIB (UINT64_C(1024) * 1024)
#define DEPTH_MOST 5

static struct fbs_node *fbs_of(const struct world_bench *b, int n)
{
	return n == ORACLE_ROOT ? fbs_root(b->fbs) : b->members[n].fbs;
}

static int depth_of(const struct world_bench *b, int n)
{
	int depth = 0;

	for (; n != ORACLE_ROOT; n = b->oracle.nodes[n].parent)
		depth++;
	return depth;
}

/* One that is there, or none: -1 for a leaf, the root for a group. */
static int random_node(struct world *w, struct world_bench *b, bool leaf)
{
	int n = 1 + (int)world_below(w, ORACLE_NODES - 1);

	if (b->oracle.nodes[n].used && b->oracle.nodes[n].is_leaf == leaf && !b->members[n].dropped)
		return n;
	return leaf ? -1 : ORACLE_ROOT;
}

static int random_member(struct world *w, struct world_bench *b)
{
	return random_node(w, b, world_chance(w, 700));
}

/* ---- settings ---- */

static unsigned random_weight(struct world *w)
{
	if (w->features & WORLD_EXACT)
		return 1U << world_below(w, 14);
	return 1U + (unsigned)world_below(w, world_chance(w, 500) ? 10 : FBS_WEIGHT_MAX);
}

/* Any order of magnitude up to most; often none. */
static uint64_t random_rate(struct world *w, unsigned none_per_mille, uint64_t most)
{
	uint64_t rate = 1;

	if (world_chance(w, none_per_mille))
		return 0;
	for (uint64_t digits = world_below(w, 14); digits > 0 && rate < most; digits--)
		rate *= 10;
	rate = 1 + world_below(w, rate);
	return rate < most ? rate : most;
}

static uint64_t random_iops_size(struct world *w)
{
	return world_chance(w, 500) ? 0 : 512U << world_below(w, 12);
}

static struct fbs_max random_max(struct world *w)
{
	uint64_t bursts[] = {0, SIM_MS, 100 * SIM_MS, 60 * SIM_SEC};

	return (struct fbs_max){
		.iops = random_rate(w, 600, 1000000000),
		.bps = random_rate(w, 600, 10000000000000),
		.read_iops = random_rate(w, 800, 1000000000),
		.read_bps = random_rate(w, 800, 10000000000000),
		.write_iops = random_rate(w, 800, 1000000000),
		.write_bps = random_rate(w, 800, 10000000000000),
		.iops_size_bytes = random_iops_size(w),
		.burst_ns = world_chance(w, 500)
				    ? 0
				    : 1 + world_below(w, bursts[world_below(w, 4)] + 1),
	};
}

static void do_set_weight(struct world *w, struct world_bench *b)
{
	int n = random_member(w, b);
	unsigned weight = random_weight(w);

	if (n <= 0 || (w->features & WORLD_EXACT))
		return;
	oracle_set_weight(&b->oracle, n, weight);
	fbs_set_weight(b->fbs, b->members[n].fbs, weight);
	world_forget_drift(b, n);
}

static void do_set_class(struct world *w, struct world_bench *b)
{
	int n = random_member(w, b);
	enum fbs_class class = (enum fbs_class)world_below(w, FBS_CLASSES);

	if (n <= 0 || !(w->features & WORLD_CLASSES))
		return;
	oracle_set_class(&b->oracle, n, class);
	fbs_set_class(b->fbs, b->members[n].fbs, class);
	world_forget_drift(b, n);
	world_forget_epoch(b);
}

static void do_set_min(struct world *w, struct world_bench *b)
{
	int n = random_member(w, b);
	struct fbs_min min = {
		.iops = random_rate(w, 500, world_chance(w, 900) ? 3000 : 1000000000),
		.bps = random_rate(w, 500, world_chance(w, 900) ? 30000000 : 10000000000000),
		.iops_size_bytes = random_iops_size(w),
	};

	if (n <= 0 || !(w->features & WORLD_MINS))
		return;
	if (world_chance(w, 300))
		min = (struct fbs_min){0};
	limit_promise_set(&b->members[n].promise, &min, world_promise_ns(b));
	b->members[n].blurred = false;
	fbs_set_min(b->fbs, b->members[n].fbs, &min);
}

/* On its way up or below it: a slice must count once. */
static bool has_cap_near(const struct world_bench *b, int n, int cap)
{
	for (int other = 1; other < ORACLE_NODES; other++)
		if (b->oracle.nodes[other].used && other != n && b->members[other].cap == cap &&
		    (world_is_above(b, other, n) || world_is_above(b, n, other)))
			return true;
	return false;
}

static unsigned users_of(const struct world *w, int cap)
{
	unsigned users = 0;

	for (unsigned i = 0; i < w->nbenches; i++)
		for (int n = 1; n < ORACLE_NODES; n++)
			users += w->benches[i].oracle.nodes[n].used &&
				 w->benches[i].members[n].cap == cap;
	return users;
}

/* One that nobody has is gone, unless we have it. */
static void free_caps(struct world *w)
{
	for (int cap = 0; cap < WORLD_CAP_SLOTS; cap++)
		if (!w->caps[cap].owned && !users_of(w, cap))
			w->caps[cap].fbs = NULL;
}

static void do_set_cap(struct world *w, struct world_bench *b)
{
	int n = random_member(w, b), slot = (int)world_below(w, WORLD_CAP_SLOTS);
	struct world_cap *cap = &w->caps[slot];
	struct fbs_max max = random_max(w);

	if (n <= 0 || !(w->features & WORLD_CAPS) || has_cap_near(b, n, slot))
		return;
	if (world_chance(w, 300)) {
		b->members[n].cap = -1;
		fbs_set_cap(b->fbs, b->members[n].fbs, NULL);
		free_caps(w);
		return;
	}
	if (!cap->fbs) {
		cap->fbs = fbs_cap_create(&max);
		CHECK(cap->fbs);
		cap->owned = true;
		limit_cap_init(&cap->model, &max);
	}
	b->members[n].cap = slot;
	fbs_set_cap(b->fbs, b->members[n].fbs, cap->fbs);
	if (cap->owned && world_chance(w, 300)) {
		fbs_cap_unref(cap->fbs);
		cap->owned = false;
	}
	free_caps(w);
}

static void do_configure_cap(struct world *w)
{
	int slot = (int)world_below(w, WORLD_CAP_SLOTS);
	struct world_cap *cap = &w->caps[slot];
	struct fbs_max max = random_max(w);

	if (!cap->fbs)
		return;
	fbs_cap_configure(cap->fbs, &max);
	limit_cap_configure(&cap->model, &max, w->now_ns);
	for (unsigned i = 0; i < w->nbenches; i++) {
		struct world_bench *b = &w->benches[i];

		for (int n = 1; n < ORACLE_NODES; n++)
			if (b->oracle.nodes[n].used && b->members[n].cap == slot)
				fbs_set_cap(b->fbs, b->members[n].fbs, cap->fbs);
		world_pump(w, b);
	}
}

static void do_configure(struct world *w, struct world_bench *b)
{
	enum fbs_policy old = b->params.policy;

	if (world_chance(w, 300) && !(w->features & WORLD_HUGE))
		b->params.policy = (enum fbs_policy)world_below(w, 3);
	b->params.io_throttle = world_chance(w, 300) ? 0 : 1 + (unsigned)world_below(w, 32);
	if (w->features & WORLD_IDLE)
		b->params.isolation = (enum fbs_isolation)world_below(w, 3);
	b->params.latency_target_ns = world_chance(w, 700) ? 0 : world_below(w, 100 * SIM_MS);
	if (!(w->features & WORLD_HUGE))
		b->params.capability =
			(struct fbs_capability){.read_iops = world_below(w, 10000),
						.write_iops = world_below(w, 10000),
						.read_bps = world_below(w, 1000) * 1000000,
						.write_bps = world_below(w, 1000) * 1000000};
	fbs_configure(b->fbs, &b->params);
	if (b->params.policy == old)
		return;
	oracle_forget(&b->oracle);
	world_forget_epoch(b);
	for (int n = 1; n < ORACLE_NODES; n++) {
		b->members[n].largest = 0;
		b->members[n].indebted = false;
		if (b->oracle.nodes[n].used)
			world_forget_drift(b, n);
	}
}

/* ---- the tree ---- */

static void do_add(struct world *w, struct world_bench *b)
{
	int parent = random_node(w, b, false);
	unsigned weight = random_weight(w);
	bool leaf = world_chance(w, 750);
	struct world_member *m;
	int n;

	if (depth_of(b, parent) >= DEPTH_MOST)
		return;
	n = oracle_add(&b->oracle, parent, weight, leaf);
	if (n < 0)
		return;
	m = &b->members[n];
	*m = (struct world_member){.cap = -1};
	for (unsigned lane = 0; lane < WORLD_LANES; lane++)
		m->tail[lane] = &m->head[lane];
	m->fbs = leaf ? fbs_add_leaf(b->fbs, fbs_of(b, parent), weight)
		      : fbs_add_group(b->fbs, fbs_of(b, parent), weight);
	CHECK(m->fbs);
	memset(b->vtime[n], 0, sizeof(b->vtime[n]));
	for (unsigned c = 0; !leaf && c < FBS_CLASSES; c++)
		b->raw_vtime[n][c] = m->fbs->queues[c].vtime;
	world_forget_drift(b, n);
}

static void do_drop(struct world *w, struct world_bench *b)
{
	int n = random_member(w, b);

	if (n <= 0)
		return;
	b->members[n].dropped = true;
	fbs_drop(b->fbs, b->members[n].fbs);
}

static bool caps_would_nest(const struct world_bench *b, int n, int parent)
{
	for (int other = 1; other < ORACLE_NODES; other++) {
		int cap = b->members[other].cap;

		if (!b->oracle.nodes[other].used || cap < 0 || !world_is_above(b, n, other))
			continue;
		for (int up = parent; up != ORACLE_ROOT; up = b->oracle.nodes[up].parent)
			if (b->members[up].cap == cap)
				return true;
	}
	return false;
}

static void do_set_parent(struct world *w, struct world_bench *b)
{
	int n = random_member(w, b), parent = random_node(w, b, false);

	if (n <= 0 || depth_of(b, parent) >= DEPTH_MOST || world_is_above(b, n, parent) ||
	    caps_would_nest(b, n, parent))
		return;
	/* what has nothing else is without work for a moment, wherever its parent is */
	for (int up = b->oracle.nodes[n].parent; up != ORACLE_ROOT; up = b->oracle.nodes[up].parent)
		if (parent != b->oracle.nodes[n].parent && b->members[up].had_queued &&
		    b->below[up][WORLD_READ] == b->below[n][WORLD_READ] &&
		    b->below[up][WORLD_WRITE] == b->below[n][WORLD_WRITE])
			b->members[up].had_queued = false;
	oracle_set_parent(&b->oracle, n, parent);
	CHECK(fbs_set_parent(b->fbs, b->members[n].fbs, fbs_of(b, parent)) == 0);
	world_forget_drift(b, n);
	world_forget_epoch(b);
}

static bool is_gone(const struct world_bench *b, int n)
{
	const struct world_member *m = &b->members[n];

	if (!b->oracle.nodes[n].used || !m->dropped || m->head[WORLD_READ] ||
	    m->head[WORLD_WRITE] || m->in_flight > 0 || m->flushes > 0)
		return false;
	for (int i = 1; i < ORACLE_NODES; i++)
		if (b->oracle.nodes[i].used && b->oracle.nodes[i].parent == n)
			return false;
	return true;
}

static void bury(struct world *w, struct world_bench *b)
{
	for (int n = 1; n < ORACLE_NODES; n++) {
		if (!is_gone(b, n))
			continue;
		b->dirty_bytes -= b->members[n].dirty_bytes;
		oracle_remove(&b->oracle, n);
		b->members[n].fbs = NULL;
		b->members[n].cap = -1;
		n = 0; /* its parent may be next */
	}
	free_caps(w);
}

/* ---- requests ---- */

static struct world_request *free_request(struct world *w, struct world_bench *b)
{
	unsigned start = (unsigned)world_below(w, WORLD_REQUESTS);

	for (unsigned i = 0; i < WORLD_REQUESTS; i++) {
		struct world_request *request = &b->requests[(start + i) % WORLD_REQUESTS];

		if (!request->queued && request->out == 0)
			return request;
	}
	return NULL;
}

static bool has_discard(const struct world_bench *b)
{
	for (unsigned i = 0; i < WORLD_REQUESTS; i++)
		if (b->requests[i].op == FBS_DISCARD &&
		    (b->requests[i].queued || b->requests[i].out > 0))
			return true;
	return false;
}

/* They go one at a time: where nothing else holds anybody and order is exact, there is only one. */
static bool may_discard(const struct world *w, const struct world_bench *b)
{
	return !(w->features & WORLD_EXACT) && (w->features & WORLD_CAPS || !has_discard(b));
}

static void do_push(struct world *w, struct world_bench *b)
{
	int leaf = random_node(w, b, true);
	struct world_request *request = free_request(w, b);
	uint64_t pos, len;
	unsigned lane;

	if (leaf < 0 || !request)
		return;
	pos = world_below(w, 64 * MIB);
	len = 1 + world_below(w, world_chance(w, 700) ? 16 * KIB : MIB);
	if (world_chance(w, 900)) {
		pos &= ~UINT64_C(511);
		len = (len + 511) & ~UINT64_C(511);
	}
	request->op = world_chance(w, 500) ? FBS_READ : FBS_WRITE;
	if (world_chance(w, 30) && may_discard(w, b)) {
		request->op = FBS_DISCARD;
		len = 1 + world_below(w, 40 * MIB);
	}
	lane = request->op == FBS_READ ? WORLD_READ : WORLD_WRITE;
	request->req =
		(struct fbs_req){.pos_bytes = pos, .end_bytes = pos + len, .op = request->op};
	request->next = NULL;
	request->queued = true;
	request->leaf = leaf;
	request->start_bytes = request->next_bytes = pos;
	request->end_bytes = pos + len;
	request->order = ++b->order;
	*b->members[leaf].tail[lane] = request;
	b->members[leaf].tail[lane] = &request->next;
	b->queued++;
	fbs_push(b->fbs, b->members[leaf].fbs, &request->req, world_tick(w, b));
	oracle_push(&b->oracle, leaf);
	CHECK(request->req.leaf == b->members[leaf].fbs);
	CHECK(request->req.pushed_ns == b->seen_ns);
}

static void do_cancel(struct world *w, struct world_bench *b)
{
	struct world_request *request = &b->requests[world_below(w, WORLD_REQUESTS)];
	struct world_member *m = &b->members[request->leaf];
	unsigned lane = request->op == FBS_READ ? WORLD_READ : WORLD_WRITE;
	struct world_request **link = &m->head[lane];

	if (!request->queued)
		return;
	while (*link != request)
		link = &(*link)->next;
	*link = request->next;
	if (!*link)
		m->tail[lane] = link;
	request->queued = false;
	b->queued--;
	oracle_cancel(&b->oracle, request->leaf);
	fbs_cancel(b->fbs, &request->req);
	CHECK(!request->req.leaf);
}

static uint64_t charged(const struct world_bench *b)
{
	struct fbs_stats stats;

	fbs_stats(b->fbs, &stats);
	return stats.tokens - b->tokens;
}

static void do_done(struct world *w, struct world_bench *b)
{
	struct world_out out;
	struct world_member *m;
	unsigned i;

	if (b->nout == 0)
		return;
	i = (unsigned)world_below(w, b->nout);
	out = b->out[i];
	b->out[i] = b->out[--b->nout];
	m = &b->members[out.leaf];
	((struct world_request *)out.slice.req)->out--;
	m->in_flight--;
	if (out.slice.op == FBS_WRITE) {
		m->dirty_bytes += out.slice.len_bytes;
		b->dirty_bytes += out.slice.len_bytes;
	}
	fbs_done(b->fbs, &out.slice, world_tick(w, b));
	m->done_ns = b->seen_ns;
	world_came_back(b, &out);
	CHECK(out.slice.op == FBS_DISCARD || charged(b) == 0);
	bury(w, b);
	if (charged(b) > 0)
		world_charged(b, out.leaf, charged(b));
}

static void do_flush(struct world *w, struct world_bench *b)
{
	int leaf = random_node(w, b, true);
	struct fbs_flush *flush = &b->flushes[b->nflushes];
	struct world_member *m = &b->members[leaf < 0 ? 0 : leaf];
	bool others = false;

	if (leaf < 0 || (w->features & WORLD_EXACT) || b->nflushes == WORLD_FLUSHES)
		return;
	if (!fbs_flush_may_start(b->fbs, m->fbs)) {
		/* that is for the sake of somebody, and will end */
		for (int n = 1; n < ORACLE_NODES; n++)
			others = others || (b->oracle.nodes[n].used && n != leaf &&
					    b->oracle.nodes[n].queued > 0);
		CHECK(others);
		CHECK(b->nout > 0 || b->wakeup_ns != FBS_NEVER);
		return;
	}
	fbs_flush_start(b->fbs, m->fbs, world_tick(w, b), flush);
	CHECK(flush->leaf == m->fbs);
	CHECK(flush->own_dirty_bytes == m->dirty_bytes);
	CHECK(flush->all_dirty_bytes == b->dirty_bytes);
	b->dirty_bytes = 0; /* what all have written */
	for (int n = 0; n < ORACLE_NODES; n++)
		b->members[n].dirty_bytes = 0;
	m->flushes++;
	m->issued_ns = b->seen_ns;
	b->flush_leaf[b->nflushes++] = leaf;
}

static void do_flush_done(struct world *w, struct world_bench *b)
{
	unsigned i;
	struct fbs_flush flush;
	int leaf;

	if (b->nflushes == 0)
		return;
	i = (unsigned)world_below(w, b->nflushes);
	flush = b->flushes[i];
	leaf = b->flush_leaf[i];
	b->flushes[i] = b->flushes[--b->nflushes];
	b->flush_leaf[i] = b->flush_leaf[b->nflushes];
	b->members[leaf].flushes--;
	fbs_flush_done(b->fbs, &flush, world_tick(w, b));
	b->members[leaf].done_ns = b->seen_ns;
	bury(w, b);
	if (charged(b) != 0)
		world_charged(b, leaf, charged(b));
}

/* ---- one after the other ---- */

void world_pump(struct world *w, struct world_bench *b)
{
	struct fbs_slice slice;
	uint64_t now_ns;

	bury(w, b);
	world_look(b);
	for (int cap = 0; cap < WORLD_CAP_SLOTS; cap++)
		if (users_of(w, cap) > 1)
			w->caps[cap].shared_ns = w->now_ns;
	now_ns = world_tick(w, b);
	while (fbs_next(b->fbs, now_ns, &slice)) {
		world_look(b);
		world_took(w, b, &slice);
	}
	world_look(b);
	world_refused(w, b);
	if ((w->features & WORLD_EXACT))
		CHECK(oracle_is_exact(&b->oracle));
	if (world_chance(w, 50)) { /* it says so again */
		uint64_t wakeup_ns = b->wakeup_ns;

		CHECK(!fbs_next(b->fbs, now_ns, &slice));
		CHECK(fbs_wakeup(b->fbs) == wakeup_ns);
		world_look(b);
	}
}

/* Often not at all, often just to when a scheduler wants to be asked, seldom very far. */
static void pass_time(struct world *w)
{
	const struct world_bench *b = &w->benches[world_below(w, w->nbenches)];
	uint64_t what = world_below(w, 1000);

	if (what < 400)
		return;
	if (what < 600) {
		if (b->wakeup_ns != FBS_NEVER && b->wakeup_ns > w->now_ns)
			w->now_ns = b->wakeup_ns - 1 + world_below(w, 3);
	} else if (what < 850) {
		w->now_ns += world_below(w, SIM_MS);
	} else if (what < 980) {
		w->now_ns += world_below(w, 20 * SIM_MS);
	} else if (what < 999) {
		w->now_ns += world_below(w, SIM_SEC);
	} else {
		w->now_ns += world_below(w, UINT64_C(1) << world_below(w, 50));
	}
}

static void event(struct world *w, struct world_bench *b)
{
	unsigned what = (unsigned)world_below(w, 1000);

	if (what < 440)
		do_push(w, b);
	else if (what < 850)
		do_done(w, b);
	else if (what < 880)
		do_cancel(w, b);
	else if (what < 900)
		do_add(w, b);
	else if (what < 906)
		do_drop(w, b);
	else if (what < 918)
		do_set_weight(w, b);
	else if (what < 926)
		do_set_class(w, b);
	else if (what < 936)
		do_set_min(w, b);
	else if (what < 946)
		do_set_cap(w, b);
	else if (what < 950)
		do_configure_cap(w);
	else if (what < 960)
		do_set_parent(w, b);
	else if (what < 978)
		do_flush(w, b);
	else if (what < 998)
		do_flush_done(w, b);
	else
		do_configure(w, b);
}

void world_step(struct world *w)
{
	struct world_bench *b = &w->benches[world_below(w, w->nbenches)];

	pass_time(w);
	event(w, b);
	world_pump(w, b);
	if (w->nbenches > 1 && world_chance(w, 300))
		for (unsigned i = 0; i < w->nbenches; i++)
			world_pump(w, &w->benches[i]);
	if (w->event % 64 == 0)
		for (unsigned i = 0; i < w->nbenches; i++)
			world_check_stats(&w->benches[i]);
}

void world_begin(struct world *w)
{
	const uint64_t starts[] = {0, world_below(w, UINT64_MAX / 4),
				   (UINT64_C(1) << 63) - 3600 * SIM_SEC,
				   UINT64_MAX - (UINT64_C(1) << 58)};

	w->now_ns = starts[world_below(w, 4)];
	w->nbenches = w->features & WORLD_TWO ? 2 : 1;
	for (unsigned i = 0; i < w->nbenches; i++) {
		struct world_bench *b = &w->benches[i];

		b->params = (struct fbs_params){.policy = (enum fbs_policy)world_below(w, 3),
						.io_throttle = (unsigned)world_below(w, 9),
						.isolation = FBS_ISOLATION_THROUGHPUT};
		if (w->features & WORLD_IDLE)
			b->params.isolation = (enum fbs_isolation)world_below(w, 2);
		if (w->features & WORLD_HUGE) {
			b->params.policy = FBS_POLICY_COST;
			b->params.capability = (struct fbs_capability){1, 1, 10, 10};
		}
		b->fbs = fbs_create(&b->params);
		CHECK(b->fbs);
		b->wakeup_ns = FBS_NEVER;
		oracle_init(&b->oracle);
		for (unsigned c = 0; c < FBS_CLASSES; c++)
			b->raw_vtime[ORACLE_ROOT][c] = fbs_root(b->fbs)->queues[c].vtime;
		for (uint64_t n = 4 + world_below(w, 12); n > 0; n--) {
			do_add(w, b);
			if (world_chance(w, 300))
				do_set_min(w, b);
			if (world_chance(w, 300))
				do_set_cap(w, b);
		}
		world_pump(w, b);
	}
}

/* Everything comes home, every request in full or cancelled. */
static bool drain(struct world *w)
{
	uint64_t wakeup_ns = FBS_NEVER;
	unsigned queued = 0, out = 0;

	for (unsigned i = 0; i < w->nbenches; i++) {
		struct world_bench *b = &w->benches[i];

		do_done(w, b);
		do_flush_done(w, b);
		world_pump(w, b);
		wakeup_ns = b->wakeup_ns < wakeup_ns ? b->wakeup_ns : wakeup_ns;
		queued += b->queued;
		out += b->nout + b->nflushes;
	}
	if (queued && !out) { /* only time helps */
		CHECK(wakeup_ns != FBS_NEVER);
		w->now_ns = wakeup_ns > w->now_ns ? wakeup_ns : w->now_ns;
	}
	return queued || out;
}

void world_end(struct world *w)
{
	while (drain(w))
		;
	for (unsigned i = 0; i < w->nbenches; i++) {
		world_check_stats(&w->benches[i]);
		fbs_destroy(w->benches[i].fbs);
	}
	for (int cap = 0; cap < WORLD_CAP_SLOTS; cap++)
		if (w->caps[cap].owned)
			fbs_cap_unref(w->caps[cap].fbs);
}
