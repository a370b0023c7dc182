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
 * After anything but fbs_next() the caller asks fbs_next() until it says no; then fbs_wakeup()
 * tells when to ask again although nothing has happened.
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

/* Strict order among siblings. */
enum fbs_class { FBS_REALTIME, FBS_NORMAL, FBS_IDLE };
#define FBS_CLASSES 3

/*
 * May the disk idle for a queue that is empty for a moment? On a disk that serves one or two slices
 * at a time, always, or never.
 */
enum fbs_isolation { FBS_ISOLATION_AUTO, FBS_ISOLATION_STRICT, FBS_ISOLATION_THROUGHPUT };

/*
 * What a saturated disk can do; 0 = as the other direction, or else the preset. The time of a
 * request follows as 1 / iops for one of 4096 bytes and 1 / bps for each byte more or less (the
 * linear model of Linux block/blk-iocost.c).
 */
struct fbs_capability {
	uint64_t read_iops, write_iops; /* 4 KiB requests per second, 0 or 1..10^9 */
	uint64_t read_bps, write_bps;	/* bytes per second, 0 or 1..10^13 */
};

struct fbs_params {
	enum fbs_policy policy;
	unsigned io_throttle; /* slices in flight, 0 = find it out */
	enum fbs_isolation isolation;
	uint64_t latency_target_ns; /* p99 of a slice at the disk to hold, 0 = none */
	struct fbs_capability capability;
};

/* One I/O of min_iops and max_iops for each started so many bytes of a request. */
#define FBS_IOPS_SIZE_DEFAULT (UINT64_C(32) << 10)

/*
 * What a node is promised, whatever the weights say; 0 = nothing. 0..10^9 IO/s, 0..10^13 bytes/s.
 * A discard counts as one I/O of iops_size.
 */
struct fbs_min {
	uint64_t iops, bps;
	uint64_t iops_size_bytes; /* 0: FBS_IOPS_SIZE_DEFAULT */
};

/* What a node may not exceed; 0 = no limit. A discard is I/O, but carries no bytes. */
struct fbs_max {
	uint64_t iops, bps;
	uint64_t read_iops, read_bps;
	uint64_t write_iops, write_bps;
	uint64_t iops_size_bytes; /* 0: FBS_IOPS_SIZE_DEFAULT */
	uint64_t burst_ns;	  /* so much of it may be saved up; at least 10 ms are */
};

struct fbs;	 /* the scheduler of one disk */
struct fbs_node; /* its root, a group or a leaf: owned by the fbs */

/* One queued request. The caller owns the memory; untouchable between push and last slice. */
struct fbs_req {
	struct fbs_req *prev, *next;
	struct fbs_node *leaf; /* NULL while not queued */
	uint64_t start_bytes;  /* first byte */
	uint64_t pos_bytes;    /* first byte not issued yet */
	uint64_t end_bytes;    /* one past the last */
	uint64_t pushed_ns;
	uint64_t order; /* of pushing */
	enum fbs_op op;
};

/* What fbs_next() gives out and fbs_done() takes back; the caller keeps it meanwhile. */
struct fbs_slice {
	struct fbs_req *req;
	struct fbs_node *leaf;
	uint64_t pos_bytes;
	uint64_t len_bytes;
	uint64_t issued_ns;
	uint64_t cost_ns;	/* priced disk time, whatever the policy: the unit of the window */
	uint64_t tokens;	/* charged for it, << FBS_TOKEN_SHIFT */
	enum fbs_policy policy; /* whose tokens these are */
	enum fbs_op op;
	bool last;  /* nothing of req is queued any more */
	bool whole; /* this is all of req */
};

/* Tokens are those of the policy, with FBS_TOKEN_ONE as one. */
#define FBS_TOKEN_SHIFT 16
#define FBS_TOKEN_ONE (UINT64_C(1) << FBS_TOKEN_SHIFT)

/* Why a queue is not being served although it has requests. */
enum fbs_wait {
	FBS_WAIT_SHARE,	       /* it is somebody else's turn */
	FBS_WAIT_CAP,	       /* its own max_* or that of a group above, or another discard */
	FBS_WAIT_WINDOW,       /* it is its turn, and enough is at the disk already */
	FBS_WAIT_ANTICIPATION, /* the disk is kept free for somebody else's next request */
};
#define FBS_WAITS 4

/*
 * All counters run from the node's beginning and wrap: differences over an interval are what
 * counts. Of n nodes with one parent, node i was entitled to the fraction entitled_i /
 * sum(tokens) of what they got together, counting only the time in which it wanted service and
 * was not held by a cap.
 */
struct fbs_node_stats {
	unsigned queued;    /* requests with something left to issue, of it or below it */
	uint64_t tokens;    /* charged, << FBS_TOKEN_SHIFT */
	uint64_t entitled;  /* in the same unit: weight x virtual time while it had requests */
	uint64_t capped_ns; /* held by its own max_*, or by one above for reads or writes only */
	bool capped;	    /* it is now */
	/* of all that the disk did in the last ten seconds, in millionths */
	unsigned entitled_ppm, achieved_ppm;

	/* leaves only */
	unsigned in_flight;	       /* slices */
	uint64_t dirty_bytes;	       /* written since a flush of the disk began */
	uint64_t waited_ns[FBS_WAITS]; /* time in which it had requests and none was issued */
};

struct fbs_stats {
	unsigned in_flight; /* slices */
	unsigned queued;    /* requests */
	unsigned limit;	    /* slices of the present mean cost that the window admits */
	uint64_t tokens;    /* as above, of all leaves */
	bool serial;	    /* the disk serves one or two slices at a time: see fbs_isolation */
	bool anticipating;  /* it is kept free for a request that is to come */
	struct fbs_capability prices; /* what `cost` reckons with now, corrections included */
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
/* Acts at once: what a node is ahead by is rescaled to the new weight. */
void fbs_set_weight(struct fbs *fbs, struct fbs_node *node, unsigned weight);
/* FBS_NORMAL until told otherwise. */
void fbs_set_class(struct fbs *fbs, struct fbs_node *node, enum fbs_class class);
/*
 * A promise about node and all below it together; not for the root. If more is promised than the
 * disk can do, all get the same part of it.
 */
void fbs_set_min(struct fbs *fbs, struct fbs_node *node, const struct fbs_min *min);

/*
 * A cap may be shared: by the nodes of one group in the schedulers of several disks. It has a lock
 * of its own, so that these may be held by different threads. The nodes keep it alive.
 */
struct fbs_cap;
struct fbs_cap *fbs_cap_create(const struct fbs_max *max); /* NULL without memory */
void fbs_cap_unref(struct fbs_cap *cap);		   /* NULL is fine */
/* Acts at once on what is waiting, if fbs_set_cap() follows for the nodes that have it. */
void fbs_cap_configure(struct fbs_cap *cap, const struct fbs_max *max);
/* Limits node and all below it together; NULL: without. Not for the root. */
void fbs_set_cap(struct fbs *fbs, struct fbs_node *node, struct fbs_cap *cap);
/* Move a node with all below it. 0 or -ENOMEM, and nothing has changed. */
int fbs_set_parent(struct fbs *fbs, struct fbs_node *node, struct fbs_node *parent);
/*
 * The caller has no more use for the node. It goes when it has nothing queued, in flight or
 * below it any more, at once or later; until then it is served as before.
 */
void fbs_drop(struct fbs *fbs, struct fbs_node *node);

/* op, pos_bytes < end_bytes are the caller's; the rest is set here. Any number may be queued. */
void fbs_push(struct fbs *fbs, struct fbs_node *leaf, struct fbs_req *req, uint64_t now_ns);
/* False: nothing may go now. Ask again after any other call, and at fbs_wakeup(). */
bool fbs_next(struct fbs *fbs, uint64_t now_ns, struct fbs_slice *ret_slice);
#define FBS_NEVER UINT64_MAX
/* After fbs_next() has said no: when something may have become possible by time alone. */
uint64_t fbs_wakeup(const struct fbs *fbs);
/*
 * Every slice exactly once. Writes count as dirty; a discard is charged what the disk could have
 * done instead, and only then another one may go.
 */
void fbs_done(struct fbs *fbs, const struct fbs_slice *slice, uint64_t now_ns);
/* Drop what is not issued yet of a queued request, at no cost to anybody. */
void fbs_cancel(struct fbs *fbs, struct fbs_req *req);

/*
 * A flush is not queued: it is let through and charged afterwards for the time it took: for what
 * flushes of this disk take at least, and for the rest in proportion to what its leaf had written.
 * fbs_flush_may_start() says no while the leaf is more than 100 ms of flush time in debt and
 * others are being served; ask again after the next fbs_done().
 */
struct fbs_flush {
	struct fbs_node *leaf;
	uint64_t own_dirty_bytes, all_dirty_bytes;
	uint64_t started_ns;
};
bool fbs_flush_may_start(const struct fbs *fbs, const struct fbs_node *leaf);
/* Is it behind its turn by more than 10 ms of the disk, as it, or its group, was charged
 * afterwards? */
bool fbs_pays_later(const struct fbs *fbs, const struct fbs_node *leaf);
void fbs_flush_start(struct fbs *fbs, struct fbs_node *leaf, uint64_t now_ns,
		     struct fbs_flush *ret_flush);
void fbs_flush_done(struct fbs *fbs, const struct fbs_flush *flush, uint64_t now_ns);

void fbs_node_stats(const struct fbs *fbs, const struct fbs_node *node,
		    struct fbs_node_stats *ret_stats);
void fbs_stats(const struct fbs *fbs, struct fbs_stats *ret_stats);
/* The two of them that are asked for all the time. */
unsigned fbs_in_flight(const struct fbs *fbs);
unsigned fbs_queued(const struct fbs *fbs);

/* Asserts every invariant that sched.c names. O(nodes): sched_check.c, for tests only. */
void fbs_check(const struct fbs *fbs);

#endif
