/* SPDX-License-Identifier: MIT */
/*
 * world.h - anything that may happen to one or two schedulers, and all that must hold after it.
 *
 * A world is a random tree per disk, some caps (of nodes of either disk), a clock, and events drawn
 * from a seed or from a string of bytes (for a fuzzer): pushes, completions, cancels, flushes,
 * joins, leaves, moves, every setting at any time. After each event fbs_next() is asked until it
 * says no, as a caller does, and after each answer
 *
 *   order      the slice is one that the oracle allows (oracle.h), from the root or from a node
 *              whose promise is due downwards; nobody's promise was due earlier; V never goes back
 *              and is the oracle's
 *   requests   a lane is first in, first out, the older of two heads goes unless a cap holds only
 *              its direction; every byte of a request goes once, cancelled ones never
 *   caps       limits.h allowed it
 *   discards   there is no other one at the disk
 *   "no"       nothing is queued; or the window is full; or every queued request is below a node
 *              for whose holding limits.h has a reason, or another discard; or the disk is kept
 *              free for a leaf that comes first, has nothing queued and has not been waited for
 *              too long. The wake-up is later than now, and not later than any of these reasons
 *              lasts
 *   lag        |W_i/w_i - W_j/w_j| <= c_i/w_i + c_j/w_j of siblings of one class that stay
 *              backlogged, in slices issued; (D + 1) times that in slices that came back
 *   statistics are what the events say, and what a node is entitled to is never further from what
 *              it got than its largest slice
 *
 * Promises slip together when more is promised than the disk can do: how far is taken from the
 * scheduler, but only while one is known to be late by more than 100 ms, and never more than the
 * time that has passed.
 *
 * Not known here are the rate at which the disk earns tokens and how an automatic window finds its
 * limit; where the first decides (debt after reserved service) tags are read from the scheduler and
 * the oracle goes on from there. What is known of reservations over time is in
 * test_sched_promises.c.
 *
 * A check that fails prints how to see it again, and aborts.
 */
#ifndef FUSEBAND_TESTS_SIM_WORLD_H
#define FUSEBAND_TESTS_SIM_WORLD_H

#include "sched.h"
#include "tests/sim/limits.h"
#include "tests/sim/oracle.h"
#include "tests/sim/sim.h"

enum world_feature {
	WORLD_EXACT = 1, /* weights are powers of two that stay: nothing is ever rounded */
	WORLD_HUGE = 2,	 /* prices so high that tags wrap every few dozen slices */
	WORLD_CLASSES = 4,
	WORLD_CAPS = 8,
	WORLD_MINS = 16,
	WORLD_IDLE = 32, /* isolation */
	WORLD_TWO = 64,	 /* disks */
};
#define WORLD_FEATURES 128U

/* So many events by chance. Returns how many slices went. */
uint64_t world_run(uint64_t seed, unsigned features, uint64_t events);
/* The first byte names the features, the rest make up the events. */
void world_run_bytes(const uint8_t *data, size_t size);

/* ---- inside (world.c, world_check.c, world_events.c) ---- */

#define WORLD_BENCHES 2
#define WORLD_CAP_SLOTS 6
#define WORLD_REQUESTS 192
#define WORLD_OUT 2048 /* more than all requests have slices */
#define WORLD_FLUSHES 8
enum { WORLD_READ, WORLD_WRITE, WORLD_LANES };

struct world_request {
	struct fbs_req req; /* first: slices point here */
	struct world_request *next;
	bool queued;
	int leaf;
	uint64_t start_bytes, next_bytes, end_bytes, order;
	unsigned out;
	enum fbs_op op;
};

struct world_out {
	struct fbs_slice slice;
	unsigned epoch; /* of the bench, when it went */
	uint64_t tokens;
	int leaf;
};

/* Beside the oracle's node of the same number. */
struct world_member {
	struct fbs_node *fbs;
	bool dropped, was_active, had_queued;
	bool indebted; /* charged for something else than its share, and not been first since */
	bool blurred;  /* promised, and held since: the scheduler may look at it later than due */
	int cap;       /* -1: none */
	struct limit_promise promise;
	struct world_request *head[WORLD_LANES], **tail[WORLD_LANES];
	unsigned in_flight, flushes;
	uint64_t tokens, dirty_bytes;
	uint64_t largest; /* charge at an issue, of this policy */
	uint64_t base_tokens, base_entitled;
	unsigned base_issues;
	uint64_t issued_ns, done_ns; /* last slice or flush */
	/* time that passed while it was held; while it had requests: all, held, or waited for */
	uint64_t held_ns, backlog_ns, capped_ns, anticipated_ns;
};

/* W_i w_j - W_j w_i since both are backlogged, and how far it swung. */
struct world_drift {
	limit_wide now, low, high;
};

/* One scheduler, and all that is known of it. */
struct world_bench {
	struct fbs *fbs;
	struct fbs_params params;
	struct oracle oracle;
	oracle_tag vtime[ORACLE_NODES][FBS_CLASSES];
	uint64_t raw_vtime[ORACLE_NODES][FBS_CLASSES];
	struct world_member members[ORACLE_NODES];
	unsigned below[ORACLE_NODES][WORLD_LANES]; /* requests */
	struct world_drift issued[ORACLE_NODES][ORACLE_NODES];
	struct world_drift returned[ORACLE_NODES][ORACLE_NODES];
	struct world_request requests[WORLD_REQUESTS];
	unsigned queued, most_in_flight;
	unsigned epoch; /* changes after which what returns may not be counted where it went */
	struct world_out out[WORLD_OUT];
	unsigned nout;
	struct fbs_flush flushes[WORLD_FLUSHES];
	int flush_leaf[WORLD_FLUSHES];
	unsigned nflushes;
	uint64_t seen_ns;      /* the latest time it was told */
	uint64_t slip_ns;      /* of its promises */
	uint64_t slip_seen_ns; /* when it was last chosen who goes */
	uint64_t order, tokens, dirty_bytes, slices;
	uint64_t wakeup_ns; /* after its last "no" */
	bool anticipating;
};

struct world_cap {
	struct fbs_cap *fbs; /* NULL: the slot is free */
	bool owned;	     /* we have a reference, too */
	uint64_t shared_ns;  /* when anybody was last asked while several nodes had it */
	struct limit_cap model;
};

struct world {
	struct sim_rng rng;
	const uint8_t *bytes; /* NULL: chance comes from the seed */
	size_t left;
	uint64_t seed, event;
	unsigned features, nbenches;
	uint64_t now_ns;
	struct world_bench benches[WORLD_BENCHES];
	struct world_cap caps[WORLD_CAP_SLOTS];
};

_Noreturn void world_fail(const char *file, int line, const char *what);
#define CHECK(what) ((what) ? (void)0 : world_fail(__FILE__, __LINE__, #what))

uint64_t world_below(struct world *w, uint64_t n); /* 0..n-1 */
bool world_chance(struct world *w, unsigned per_mille);
/* The time to tell a scheduler: now or, sometimes, a little before. */
uint64_t world_tick(struct world *w, struct world_bench *b);

/* world_check.c */
bool world_is_above(const struct world_bench *b, int above, int n); /* or the same */
struct limit_work world_work(const struct world_request *request, uint64_t bytes);
uint64_t world_promise_ns(const struct world_bench *b); /* the time of promises */
uint64_t world_next_bytes(const struct world_request *request);
/* After any call: what the oracle, the promises and the drifts have to know of it. */
void world_look(struct world_bench *b);
void world_took(struct world *w, struct world_bench *b, const struct fbs_slice *slice);
void world_refused(struct world *w, struct world_bench *b);
void world_came_back(struct world_bench *b, const struct world_out *out);
void world_check_stats(struct world_bench *b);
void world_charged(struct world_bench *b, int leaf, uint64_t tokens); /* afterwards */
/* Node n, or all of them, compete in another way from now on. */
void world_forget_drift(struct world_bench *b, int n);
void world_forget_epoch(struct world_bench *b);

/* world_events.c */
void world_begin(struct world *w);
void world_step(struct world *w);
void world_end(struct world *w);
void world_pump(struct world *w, struct world_bench *b);

#endif
