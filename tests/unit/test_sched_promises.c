/* SPDX-License-Identifier: MIT */
/*
 * test_sched_promises.c - reservations on a disk that can keep them, and what is owed for them.
 *
 *     SEED=1 ROUNDS=1000 test_sched_promises
 *
 * A disk with a few servers whose service times are random, leaves that always have something
 * queued (and one that has one request at a time, which the disk may be kept free for), any weights
 * and classes, caps on some without a promise. Promises of all together are worth at most 70 % of
 * the disk. Then
 *
 *   - over any interval a node with a promise gets rate x time, less LATE_NS of it, and less what
 *     the scheduler rounds to: one request;
 *   - a leaf that joins gets its share of what is not promised, against others without a promise,
 *     after 200 ms at the latest; so does a holder whose promise is taken back;
 *   - what is promised is part of the share, not on top of it.
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
#include "tests/sim/sim.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define KIB UINT64_C(1024)
#define LEAVES 8
#define DEPTH 4 /* requests that a leaf keeps queued */
#define SERVERS 8
#define OUT 64
#define LATE_NS \
	(20 * SIM_MS) /* 10 for the disk, and 10 that it may have had before they were due */
#define DEBT_NS (200 * SIM_MS) /* the longest that a debt for promises may last */

static uint64_t seed = 20080701;
static unsigned rounds = 60;

struct client {
	struct fbs_node *leaf;
	unsigned group; /* 1, 2; 0: none */
	unsigned weight;
	uint64_t bytes;
	enum fbs_op op;
	struct fbs_req reqs[DEPTH + OUT];
	bool used[DEPTH + OUT];
	bool shallow;	   /* one request at a time */
	uint64_t think_ns; /* then */
	uint64_t next_ns;  /* its next; SIM_NEVER: when the last is back */
};

/* What has been promised to a client or a group, and how far behind that is. */
struct promise {
	struct fbs_node *node;
	struct fbs_min min;
	uint64_t owed_ios, owed_bytes; /* x 10^9 */
};

struct rig {
	struct sim_rng rng;
	struct fbs *fbs;
	struct fbs_params params;
	uint64_t now_ns;
	unsigned servers;
	uint64_t free_ns[SERVERS]; /* when each is */
	uint64_t per_request_ns, per_byte_ps;
	struct client clients[LEAVES];
	unsigned n;
	struct fbs_node *groups[3];
	struct promise promises[LEAVES + 3];
	unsigned npromises;
	struct {
		struct fbs_slice slice;
		uint64_t at_ns;
	} out[OUT];
	unsigned nout;
};

static struct rig rig;

static uint64_t below(struct rig *r, uint64_t n)
{
	return sim_rng_below(&r->rng, n);
}

static void push(struct rig *r, struct client *c)
{
	unsigned i = 0;

	while (c->used[i])
		i++;
	assert_true(i < COUNT(c->reqs));
	c->used[i] = true;
	c->reqs[i] = (struct fbs_req){.op = c->op, .end_bytes = c->bytes};
	fbs_push(r->fbs, c->leaf, &c->reqs[i], r->now_ns);
	c->next_ns = SIM_NEVER;
}

/* By half more or less. */
static uint64_t service_ns(struct rig *r, uint64_t bytes)
{
	uint64_t mean = r->per_request_ns + r->per_byte_ps * bytes / 1000;

	return mean / 2 + below(r, mean + 1);
}

static struct client *client_of(struct rig *r, const struct fbs_node *leaf)
{
	for (unsigned i = 0; i < r->n; i++)
		if (r->clients[i].leaf == leaf)
			return &r->clients[i];
	return NULL;
}

static void serve_promises(struct rig *r, const struct client *c, const struct fbs_slice *slice)
{
	uint64_t ios = (slice->len_bytes + FBS_IOPS_SIZE_DEFAULT - 1) / FBS_IOPS_SIZE_DEFAULT;

	for (unsigned i = 0; i < r->npromises; i++) {
		struct promise *p = &r->promises[i];
		uint64_t bytes = slice->len_bytes * SIM_SEC;

		if (p->node != c->leaf && p->node != r->groups[c->group])
			continue;
		p->owed_ios -= p->owed_ios < ios * SIM_SEC ? p->owed_ios : ios * SIM_SEC;
		p->owed_bytes -= p->owed_bytes < bytes ? p->owed_bytes : bytes;
	}
}

static void pass(struct rig *r, uint64_t until_ns)
{
	for (unsigned i = 0; i < r->npromises; i++) {
		struct promise *p = &r->promises[i];

		p->owed_ios += p->min.iops * (until_ns - r->now_ns);
		p->owed_bytes += p->min.bps * (until_ns - r->now_ns);
		/*
		 * what the largest slice holds may be left over, and one may have been early
		 * (rate.h)
		 */
		assert_true(p->owed_ios <= p->min.iops * LATE_NS + 2 * 4 * SIM_SEC);
		assert_true(p->owed_bytes <= p->min.bps * LATE_NS + 2 * FBS_SLICE_BYTES * SIM_SEC);
	}
	r->now_ns = until_ns;
}

static void pump(struct rig *r)
{
	struct fbs_slice slice;

	while (fbs_next(r->fbs, r->now_ns, &slice)) {
		struct client *c = client_of(r, slice.leaf);
		unsigned first = 0;
		uint64_t at;

		for (unsigned s = 1; s < r->servers; s++)
			if (r->free_ns[s] < r->free_ns[first])
				first = s;
		at = r->free_ns[first] > r->now_ns ? r->free_ns[first] : r->now_ns;
		at += service_ns(r, slice.len_bytes);
		r->free_ns[first] = at;
		assert_true(r->nout < OUT);
		r->out[r->nout].slice = slice;
		r->out[r->nout++].at_ns = at;
		serve_promises(r, c, &slice);
		if (slice.last)
			c->used[(struct fbs_req *)slice.req - c->reqs] = false;
		if (slice.last && !c->shallow)
			push(r, c);
	}
	fbs_check(r->fbs);
}

static void come_back(struct rig *r, unsigned i)
{
	struct fbs_slice slice = r->out[i].slice;
	struct client *c = client_of(r, slice.leaf);

	r->out[i] = r->out[--r->nout];
	fbs_done(r->fbs, &slice, r->now_ns);
	if (slice.last && c->shallow)
		c->next_ns = r->now_ns + below(r, c->think_ns + 1);
}

static void run_until(struct rig *r, uint64_t until_ns)
{
	while (r->now_ns < until_ns) {
		uint64_t at = until_ns;

		pump(r);
		for (unsigned i = 0; i < r->nout; i++)
			at = r->out[i].at_ns < at ? r->out[i].at_ns : at;
		for (unsigned i = 0; i < r->n; i++)
			at = r->clients[i].next_ns < at ? r->clients[i].next_ns : at;
		at = fbs_wakeup(r->fbs) < at ? fbs_wakeup(r->fbs) : at;
		pass(r, at);
		for (unsigned i = 0; i < r->nout; i++)
			if (r->out[i].at_ns == at) {
				come_back(r, i);
				break;
			}
		for (unsigned i = 0; i < r->n; i++)
			if (r->clients[i].next_ns == at)
				push(r, &r->clients[i]);
	}
}

static void add(struct rig *r, unsigned group, unsigned weight)
{
	struct client *c = &r->clients[r->n++];

	*c = (struct client){.group = group,
			     .weight = weight,
			     .bytes = 4 * KIB << below(r, 7),
			     .op = below(r, 2) ? FBS_READ : FBS_WRITE,
			     .next_ns = SIM_NEVER};
	c->leaf = fbs_add_leaf(r->fbs, r->groups[group], weight);
	assert_non_null(c->leaf);
}

/* part: per mille of the disk, for requests of c's size */
static void promise(struct rig *r, struct fbs_node *node, const struct client *c, uint64_t part)
{
	uint64_t slice = c->bytes < FBS_SLICE_BYTES ? c->bytes : FBS_SLICE_BYTES;
	uint64_t mean_ns = r->per_request_ns + r->per_byte_ps * slice / 1000;
	uint64_t ios = (slice + FBS_IOPS_SIZE_DEFAULT - 1) / FBS_IOPS_SIZE_DEFAULT;
	struct promise *p = &r->promises[r->npromises++];
	bool in_bytes = below(r, 2);

	*p = (struct promise){.node = node};
	if (in_bytes)
		p->min.bps = slice * r->servers * part * 1000000 / mean_ns;
	else
		p->min.iops = ios * r->servers * part * 1000000 / mean_ns;
	fbs_set_min(r->fbs, node, &p->min);
}

static void take_back(struct rig *r, unsigned i)
{
	fbs_set_min(r->fbs, r->promises[i].node, &(struct fbs_min){0});
	r->promises[i] = r->promises[--r->npromises];
}

static void begin(struct rig *r, uint64_t round_seed)
{
	memset(r, 0, sizeof(*r));
	r->rng.state = round_seed;
	r->now_ns = SIM_SEC + below(r, UINT64_C(1) << 60);
	r->servers = 1 + (unsigned)below(r, SERVERS);
	r->per_request_ns = 100000 + below(r, 2 * SIM_MS) / (1 + below(r, 10));
	r->per_byte_ps = 1 + below(r, 10000);
	r->params = (struct fbs_params){
		.policy = (enum fbs_policy)below(r, 3),
		.io_throttle = r->servers + (unsigned)below(r, r->servers + 1),
		.isolation = (enum fbs_isolation)below(r, 3),
		.capability = {1000000000 / r->per_request_ns, 1000000000 / r->per_request_ns,
			       1000000000000 / r->per_byte_ps, 1000000000000 / r->per_byte_ps}};
	r->fbs = fbs_create(&r->params);
	assert_non_null(r->fbs);
	r->groups[0] = fbs_root(r->fbs);
	for (unsigned i = 1; i < COUNT(r->groups); i++) {
		r->groups[i] = fbs_add_group(r->fbs, r->groups[0], 1 + (unsigned)below(r, 1000));
		assert_non_null(r->groups[i]);
	}
}

static void start(struct rig *r, struct client *c)
{
	for (unsigned i = 0; i < (c->shallow ? 1 : DEPTH); i++)
		push(r, c);
}

static void end(struct rig *r)
{
	while (r->nout > 0)
		fbs_done(r->fbs, &r->out[--r->nout].slice, r->now_ns);
	for (unsigned i = 0; i < r->n; i++)
		for (unsigned k = 0; k < COUNT(r->clients[i].reqs); k++)
			if (r->clients[i].used[k])
				fbs_cancel(r->fbs, &r->clients[i].reqs[k]);
	fbs_destroy(r->fbs);
}

/* ---- kept when it can be ---- */

static void kept(struct rig *r)
{
	unsigned n = 3 + (unsigned)below(r, LEAVES - 2);
	uint64_t left = 700; /* per mille */
	bool promised[LEAVES] = {false};

	for (unsigned i = 0; i < n; i++) {
		add(r, (unsigned)below(r, 3), 1 + (unsigned)below(r, FBS_WEIGHT_MAX));
		fbs_set_class(r->fbs, r->clients[i].leaf, (enum fbs_class)below(r, FBS_CLASSES));
	}
	if (r->clients[0].group) { /* its floor is for all below it: they are alike here */
		for (unsigned i = 1; i < n; i++)
			if (r->clients[i].group == r->clients[0].group) {
				r->clients[i].bytes = r->clients[0].bytes;
				promised[i] = true; /* and nothing else holds them up */
			}
		promised[0] = true;
		promise(r, r->groups[r->clients[0].group], &r->clients[0], 1 + below(r, 300));
		left = 400;
	}
	for (unsigned i = 0; i < n; i++) {
		struct client *c = &r->clients[i];
		uint64_t part = below(r, left);

		if (promised[i])
			continue;
		promised[i] = below(r, 2) && part;
		if (!promised[i])
			continue;
		left -= part;
		promise(r, c->leaf, c, part);
	}
	for (unsigned i = 0; i < n; i++) {
		struct client *c = &r->clients[i];

		if (!promised[i] && below(r, 2)) {
			c->shallow = true;
			c->think_ns = below(r, 3 * SIM_MS);
		} else if (!promised[i] && below(r, 2)) {
			struct fbs_max max = {.iops = 1 + below(r, 10000)};
			struct fbs_cap *cap = fbs_cap_create(&max);

			assert_non_null(cap);
			fbs_set_cap(r->fbs, c->leaf, cap);
			fbs_cap_unref(cap);
		}
		start(r, c);
	}
	run_until(r, r->now_ns + 3 * SIM_SEC);
}

static void for_rounds(void (*round)(struct rig *r))
{
	struct sim_rng rng = {seed};

	for (unsigned i = 0; i < rounds; i++) {
		begin(&rig, sim_rng_next(&rng));
		round(&rig);
		end(&rig);
	}
}

static void test_kept(void **state)
{
	(void)state;
	for_rounds(kept);
}

/* ---- what is owed for it ---- */

static uint64_t tokens_of(const struct rig *r, const struct fbs_node *node)
{
	struct fbs_node_stats stats;

	fbs_node_stats(r->fbs, node, &stats);
	return stats.tokens;
}

/*
 * The holder has had much more than its share. Then somebody joins, or its promise is taken back.
 */
static void owed(struct rig *r)
{
	bool joins = below(r, 2);
	struct client *holder = &r->clients[0], *other = &r->clients[1], *late;
	uint64_t late_tokens, other_tokens;

	add(r, 0, 1 + (unsigned)below(r, 10));
	add(r, 0, 100 + (unsigned)below(r, 100));
	add(r, 0, 100 + (unsigned)below(r, 100));
	promise(r, holder->leaf, holder, 600);
	start(r, holder);
	start(r, other);
	run_until(r, r->now_ns + 3 * SIM_SEC);
	late = joins ? &r->clients[2] : holder;
	if (joins)
		start(r, late);
	else
		take_back(r, 0);
	late_tokens = tokens_of(r, late->leaf);
	run_until(r, r->now_ns + DEBT_NS);
	other_tokens = tokens_of(r, other->leaf);
	run_until(r, r->now_ns + 20 * SIM_SEC);
	late_tokens = tokens_of(r, late->leaf) - late_tokens;
	other_tokens = tokens_of(r, other->leaf) - other_tokens;
	assert_true(late_tokens >= other_tokens / other->weight * late->weight / 10 * 9);
}

static void test_owed(void **state)
{
	(void)state;
	for_rounds(owed);
}

/* Less than its share was promised, which adds nothing to that. */
static void included(struct rig *r)
{
	uint64_t promised, other;

	add(r, 0, 10);
	add(r, 0, 10);
	r->clients[1].bytes = r->clients[0].bytes; /* half of the disk by every policy */
	r->clients[1].op = r->clients[0].op;
	promise(r, r->clients[0].leaf, &r->clients[0], 100 + below(r, 200));
	start(r, &r->clients[0]);
	start(r, &r->clients[1]);
	run_until(r, r->now_ns + 5 * SIM_SEC);
	promised = tokens_of(r, r->clients[0].leaf);
	other = tokens_of(r, r->clients[1].leaf);
	assert_true(promised >= other / 100 * 95 && promised <= other / 100 * 105);
}

static void test_included(void **state)
{
	(void)state;
	for_rounds(included);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_owed),
		cmocka_unit_test(test_included),
	};

	if (getenv("SEED"))
		seed = strtoull(getenv("SEED"), NULL, 0);
	if (getenv("ROUNDS"))
		rounds = (unsigned)strtoul(getenv("ROUNDS"), NULL, 0);
	printf("SEED=%llu ROUNDS=%u\n", (unsigned long long)seed, rounds);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
