/* SPDX-License-Identifier: MIT */
/*
 * sim.h - clients, schedulers and disks in virtual time.
 *
 * A discrete-event simulator: nothing here reads a clock, and chance comes from a seeded
 * generator of integers, so the same parameters and seed give the same run on every machine.
 *
 *     struct sim *sim = sim_create(&params);
 *     int a = sim_add_client(sim, NULL, &(struct sim_client){.weight = 80, .depth = 128, ...});
 *     sim_run(sim, 2 * SIM_SEC);           // warm up
 *     sim_reset(sim);                      // and forget it
 *     sim_run(sim, 10 * SIM_SEC);          // absolute time
 *     sim_result(sim, a, &result);
 *
 * Parameters are plain structs, zero meaning "without", so that they can come from a file as
 * well as from a test. What is particular to fuseband's scheduler (classes, reservations, caps,
 * other parameters in the middle of a run) is set with its own functions on sim_sched() and
 * sim_leaf(), at the start or from sim_at(). A wrong parameter or a failed allocation ends the
 * program with a message.
 */
#ifndef FUSEBAND_SIM_H
#define FUSEBAND_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "sched.h"

#define SIM_US UINT64_C(1000)
#define SIM_MS UINT64_C(1000000)
#define SIM_SEC UINT64_C(1000000000)
#define SIM_NEVER UINT64_MAX

/* ---- chance (rng.c) ---- */

struct sim_rng {
	uint64_t state;
};

uint64_t sim_rng_next(struct sim_rng *rng);			  /* 64 uniform bits */
uint64_t sim_rng_below(struct sim_rng *rng, uint64_t n);	  /* 0..n-1, n > 0 */
uint64_t sim_rng_exponential(struct sim_rng *rng, uint64_t mean); /* rounded down */

/* ---- a histogram: exact below 64, then 32 buckets per factor of two (3 % wide) ---- */

#define SIM_HIST_BUCKETS 1920

struct sim_hist {
	uint64_t count, sum, max;
	uint32_t buckets[SIM_HIST_BUCKETS];
};

void sim_hist_add(struct sim_hist *hist, uint64_t value);
void sim_hist_merge(struct sim_hist *hist, const struct sim_hist *other);
/* The value below which pct percent of them are (upper edge of its bucket); 0 if empty. */
uint64_t sim_hist_percentile(const struct sim_hist *hist, double pct);

/* ---- the disk (disk.c) ---- */

enum sim_order { SIM_FIFO, SIM_NEAREST }; /* which of its queue a free server takes */

/*
 * A rate cap in front of `channels` servers with one common queue.
 *
 *     service = (service_ns, or exponential with that mean) + seek(distance) + bytes x per_byte_ns
 *
 * times write_pct for writes, times changed_pct from change_at_ns until change_until_ns. seek is
 * seek_min_ns + (seek_max_ns - seek_min_ns) x sqrt(distance / size_bytes), and 0 for a distance of
 * 0. A discard takes discard_ns + MiB x discard_per_mib_ns instead. During a stall nothing
 * progresses: what was running takes that much longer.
 */
struct sim_disk {
	unsigned channels; /* 0: any number at once */
	uint64_t service_ns;
	bool exponential;
	uint64_t per_byte_ps;		   /* picoseconds */
	uint64_t seek_min_ns, seek_max_ns; /* both 0: position is no matter */
	uint64_t size_bytes;		   /* 0: 1 TiB */
	enum sim_order order;
	bool striped;		/* a channel serves only its own places, 64 KiB in turn */
	uint64_t turnaround_ns; /* on the way to the disk: what a daemon takes to react */
	unsigned write_pct;	/* 0: 100 */

	/* token bucket, as virtual disks have; 0 = none. burst: requests that may be saved up */
	uint64_t cap_iops, cap_bps, cap_burst;

	uint64_t stall_at_ns, stall_for_ns, stall_every_ns; /* every 0: once */
	uint64_t change_at_ns, change_until_ns;		    /* 0: never, for ever */
	unsigned changed_pct;				    /* of the time it took before, 0: 100 */
	unsigned changed_channels;			    /* 0: as before; not striped */

	uint64_t flush_ns;	   /* a flush takes one server for this long */
	uint64_t flush_per_mib_ns; /* and this much per MiB written since the last */
	uint64_t discard_ns, discard_per_mib_ns;
};

/* Ready-made models, to be changed further at will. */
struct sim_disk sim_disk_serial(uint64_t service_ns);
struct sim_disk sim_disk_seek(uint64_t min_ns, uint64_t max_ns, enum sim_order order);
struct sim_disk sim_disk_channels(unsigned channels, uint64_t service_ns);
struct sim_disk sim_disk_exponential(unsigned channels, uint64_t mean_ns);
struct sim_disk sim_disk_capped(uint64_t iops, uint64_t latency_ns, uint64_t burst);
struct sim_disk sim_disk_ram(void);

/* ---- the scheduler (sim_fbs.c, ioband.c, fifo.c) ---- */

struct sim_sched_params {
	struct fbs_params fbs;
	unsigned ioband_throttle; /* ioband.c only; 0: its default */
};

/*
 * The requests and slices of sched.h serve all of them: a scheduler reads op, pos_bytes and
 * end_bytes of a request and may use prev, next, leaf and pushed_ns as it likes; it fills in every
 * field of a slice. Nodes are void pointers of the scheduler's own. Operations that a scheduler
 * lacks are NULL: add_group (flat), set_weight, the flushes (they go straight to the disk), check.
 */
struct sim_sched_ops {
	const char *name;
	void *(*create)(const struct sim_sched_params *params);
	void (*destroy)(void *sched);
	void *(*add_group)(void *sched, void *parent, unsigned weight); /* parent NULL: the root */
	void *(*add_leaf)(void *sched, void *parent, unsigned weight);
	void (*set_weight)(void *sched, void *node, unsigned weight);
	void (*push)(void *sched, void *leaf, struct fbs_req *req, uint64_t now_ns);
	bool (*next)(void *sched, uint64_t now_ns, struct fbs_slice *ret_slice);
	void (*done)(void *sched, const struct fbs_slice *slice, uint64_t now_ns);
	bool (*flush_may_start)(void *sched, void *leaf);
	void (*flush_start)(void *sched, void *leaf, uint64_t now_ns, struct fbs_flush *ret_flush);
	void (*flush_done)(void *sched, const struct fbs_flush *flush, uint64_t now_ns);
	uint64_t (*tokens)(void *sched, void *leaf); /* charged so far, x FBS_TOKEN_ONE; wraps */
	unsigned (*limit)(void *sched);		     /* slices that the window admits */
	uint64_t (*wakeup)(void *sched);	     /* as fbs_wakeup(); NULL: never */
	void (*check)(void *sched);
};

extern const struct sim_sched_ops sim_fbs;    /* the library under test */
extern const struct sim_sched_ops sim_ioband; /* dm-ioband's rule: the negative control */
extern const struct sim_sched_ops sim_fifo;   /* none: first come first served, fbs.io_throttle */

/* ---- the clients ---- */

/*
 * Closed loop: `depth` requests, each followed by turnaround_ns (always the same: what guest and
 * daemon need to get the answer up and the next request down), think_ns (exponential) and the next.
 */
struct sim_client {
	const char *name;
	unsigned disk; /* 0: that of sim_create() */
	unsigned weight;
	unsigned depth;
	uint64_t turnaround_ns, think_ns;
	uint64_t min_bytes, max_bytes;	   /* uniform in 4 KiB steps; 0: 4096, 0: min_bytes */
	unsigned write_pct;		   /* 0..100 of the requests */
	bool discard;			   /* they are discards instead */
	bool sequential;		   /* else anywhere in the range, 4 KiB aligned */
	uint64_t start_bytes, range_bytes; /* range 0: the whole disk */
	uint64_t on_ns, off_ns;		   /* alternating from from_ns on; off 0: always on */
	uint64_t from_ns, until_ns;	   /* until 0: for ever */
	unsigned fsync_every;		   /* a flush after so many writes; 0: never */
};

/* What a client got since sim_reset(). */
struct sim_result {
	uint64_t ios, bytes, flushes;
	double iops, tokens;
	double in_flight;		   /* slices at the disk, mean over time */
	uint64_t busy_ns;		   /* servers of the disk x time they worked for it */
	uint64_t p50_ns, p99_ns;	   /* push to answer */
	uint64_t disk_p50_ns, disk_p99_ns; /* slice issued to slice back */
	uint64_t flush_p99_ns;
	struct sim_hist latency, service, flush;
};

struct sim_sample {
	uint64_t at_ns;
	unsigned limit, in_flight; /* of disk 0 */
	uint64_t ios;		   /* slices completed so far, of all clients */
};

/* ---- a run ---- */

struct sim_params {
	const struct sim_sched_ops *ops;
	struct sim_sched_params sched;
	struct sim_disk disk;
	uint64_t seed;
	uint64_t late_ns;   /* a wake-up by time comes this much late */
	uint64_t sample_ns; /* 0: no samples */
	bool check;	    /* ops->check() after every event: slow */
};

struct sim;

struct sim *sim_create(const struct sim_params *params);
void sim_destroy(struct sim *sim);
/* One more disk with a scheduler of its own. Returns 1, 2 ...: the first is 0. */
unsigned sim_add_disk(struct sim *sim, const struct sim_sched_params *sched,
		      const struct sim_disk *disk);
void *sim_sched(struct sim *sim); /* the scheduler of disk 0 itself */
void *sim_sched_of(struct sim *sim, unsigned disk);
uint64_t sim_now(const struct sim *sim);

void *sim_add_group(struct sim *sim, void *parent, unsigned weight); /* on disk 0 */
void *sim_add_group_on(struct sim *sim, unsigned disk, void *parent, unsigned weight);
/* One leaf with its client. parent NULL: the root. Returns 0, 1, 2 ... The name must stay. */
int sim_add_client(struct sim *sim, void *parent, const struct sim_client *client);
/* One more client of the leaf of another; weight and disk are those of that one. */
int sim_add_client_to(struct sim *sim, int other, const struct sim_client *client);
void *sim_leaf(struct sim *sim, int client);
/* Something to do in the middle of a run; fn may call anything but sim_run(). */
void sim_at(struct sim *sim, uint64_t at_ns, void (*fn)(struct sim *sim, void *arg), void *arg);

void sim_run(struct sim *sim, uint64_t until_ns); /* all events up to and including then */
void sim_reset(struct sim *sim);
void sim_result(const struct sim *sim, int client, struct sim_result *ret_result);
uint64_t sim_total_ios(const struct sim *sim); /* slices since sim_reset() */
/* 100 x tokens of this client's leaf / those of all leaves of its disk, since sim_reset() */
double sim_share_pct(const struct sim *sim, int client);
/* The same of the time that the disk's servers worked. */
double sim_busy_pct(const struct sim *sim, int client);
unsigned sim_samples(const struct sim *sim, const struct sim_sample **ret_samples);

#endif
