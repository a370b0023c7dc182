/* SPDX-License-Identifier: MIT */
/*
 * sched.h - shares of one disk: who goes next, and how many at a time.
 *
 * A library without a clock, threads, I/O or allocation on the request path. The caller brings
 * the time (monotonic nanoseconds; one that is older than the last counts as that), keeps one lock
 * around each struct fbs, and embeds struct fbs_req in its own requests:
 *
 *     fbs_push()    a request joins the queue of its leaf
 *     fbs_next()    the next slice to issue, or nothing: idle, or the window is full
 *     fbs_done()    that slice came back from the disk
 *     fbs_cancel()  what is not issued yet of a request is dropped
 *
 * After anything but fbs_next() the caller asks fbs_next() until it says no.
 * How it decides, with numbers: head of sched.c.
 */
#ifndef FUSEBAND_SCHED_H
#define FUSEBAND_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FBS_WEIGHT_MAX 10000U

/* A large request is issued in pieces that end at absolute multiples of this many bytes. */
#define FBS_SLICE_BYTES (UINT64_C(128) << 10)

enum fbs_op { FBS_READ, FBS_WRITE, FBS_DISCARD };

/* What one token is: a request, a 512-byte sector, or a nanosecond of disk time. */
enum fbs_policy { FBS_POLICY_COST, FBS_POLICY_WEIGHT, FBS_POLICY_IOSIZE };

/*
 * What a saturated disk can do; 0 = take the preset. The time of a request follows as
 * 1 / iops for one of 4096 bytes and 1 / bps for each byte more or less
 * (the linear model of Linux block/blk-iocost.c).
 */
struct fbs_capability {
	uint64_t read_iops, write_iops; /* 4 KiB requests per second, 0 or 1..10^9 */
	uint64_t read_bps, write_bps;	/* bytes per second, 0 or 1..10^13 */
};

struct fbs_params {
	enum fbs_policy policy;
	unsigned io_throttle; /* slices in flight, 0 = find it out */
	struct fbs_capability capability;
};

struct fbs;	 /* the scheduler of one disk */
struct fbs_node; /* its root, a group or a leaf: owned by the fbs */

/* One queued request. The caller owns the memory; untouchable between push and last slice. */
struct fbs_req {
	struct fbs_req *prev, *next;
	struct fbs_node *leaf; /* NULL while not queued */
	uint64_t pos_bytes;    /* first byte not issued yet */
	uint64_t end_bytes;    /* one past the last */
	uint64_t pushed_ns;
	enum fbs_op op;
};

/* What fbs_next() gives out and fbs_done() takes back; the caller keeps it meanwhile. */
struct fbs_slice {
	struct fbs_req *req;
	struct fbs_node *leaf;
	uint64_t pos_bytes;
	uint64_t len_bytes;
	uint64_t issued_ns;
	uint64_t cost_ns; /* priced disk time, whatever the policy: the unit of the window */
	enum fbs_op op;
	bool last; /* nothing of req is queued any more */
};

/* One queue as it stands. Tokens are those of the policy, with FBS_TOKEN_ONE as one. */
#define FBS_TOKEN_SHIFT 16
#define FBS_TOKEN_ONE (UINT64_C(1) << FBS_TOKEN_SHIFT)
struct fbs_leaf_stats {
	unsigned queued;      /* requests with something left to issue */
	unsigned in_flight;   /* slices */
	uint64_t tokens;      /* charged since it was added, << FBS_TOKEN_SHIFT; wraps */
	uint64_t dirty_bytes; /* written since its last flush began */
};

struct fbs_stats {
	unsigned in_flight; /* slices */
	unsigned queued;    /* requests */
	unsigned limit;	    /* slices of the present mean cost that the window admits */
	uint64_t tokens;    /* as above, of all leaves */
};

/* NULL without memory. params as for fbs_configure(). */
struct fbs *fbs_create(const struct fbs_params *params);
void fbs_destroy(struct fbs *fbs); /* nothing in flight; NULL is fine */

/*
 * New settings at any time. A changed policy changes the unit of all tags: standings are
 * forgotten then, everybody starts level.
 */
void fbs_configure(struct fbs *fbs, const struct fbs_params *params);

struct fbs_node *fbs_root(struct fbs *fbs);
/* weight 1..FBS_WEIGHT_MAX. NULL without memory, and nothing has changed. */
struct fbs_node *fbs_add_group(struct fbs *fbs, struct fbs_node *parent, unsigned weight);
struct fbs_node *fbs_add_leaf(struct fbs *fbs, struct fbs_node *parent, unsigned weight);
/* Acts at once: what a node is ahead or behind by is rescaled to the new weight. */
void fbs_set_weight(struct fbs *fbs, struct fbs_node *node, unsigned weight);
/* Move a node with all below it. 0 or -ENOMEM, and nothing has changed. */
int fbs_set_parent(struct fbs *fbs, struct fbs_node *node, struct fbs_node *parent);
/*
 * The caller has no more use for the node. It goes when it has nothing queued, in flight or
 * below it any more, at once or later; until then it is served as before.
 */
void fbs_drop(struct fbs *fbs, struct fbs_node *node);

/* op, pos_bytes < end_bytes are the caller's; the rest is set here. Any number may be queued. */
void fbs_push(struct fbs *fbs, struct fbs_node *leaf, struct fbs_req *req, uint64_t now_ns);
/* False: nothing may go now. Ask again after a push, a done, or fbs_configure(). */
bool fbs_next(struct fbs *fbs, uint64_t now_ns, struct fbs_slice *ret_slice);
/* Every slice exactly once. Writes count as dirty; a discard is charged what it took. */
void fbs_done(struct fbs *fbs, const struct fbs_slice *slice, uint64_t now_ns);
/* Drop what is not issued yet of a queued request, at no cost to anybody. */
void fbs_cancel(struct fbs *fbs, struct fbs_req *req);

/*
 * A flush is not queued: it is let through and charged afterwards for the time it took, in
 * proportion to what its leaf had written. fbs_flush_may_start() says no while the
 * leaf is more than 100 ms of flush time in debt and others are being served;
 * ask again after the next fbs_done().
 */
struct fbs_flush {
	struct fbs_node *leaf;
	uint64_t own_dirty_bytes, all_dirty_bytes;
	uint64_t started_ns;
};
bool fbs_flush_may_start(const struct fbs *fbs, const struct fbs_node *leaf);
void fbs_flush_start(struct fbs *fbs, struct fbs_node *leaf, uint64_t now_ns,
		     struct fbs_flush *ret_flush);
void fbs_flush_done(struct fbs *fbs, const struct fbs_flush *flush, uint64_t now_ns);

void fbs_leaf_stats(const struct fbs *fbs, const struct fbs_node *leaf,
		    struct fbs_leaf_stats *ret_stats);
void fbs_stats(const struct fbs *fbs, struct fbs_stats *ret_stats);

/* Asserts every invariant that sched.c names. O(nodes): for tests. */
void fbs_check(const struct fbs *fbs);

#endif
