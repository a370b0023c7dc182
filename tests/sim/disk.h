/* SPDX-License-Identifier: MIT */
/*
 * disk.h - the inside of the simulated disk: sim.c turns its answers into events.
 *
 * A job passes the cap (disk_cleared_at), joins the queue (disk_enqueue), is taken by a free
 * server (disk_start says when it will be over) and leaves (disk_finish).
 */
#ifndef FUSEBAND_TESTS_SIM_DISK_H
#define FUSEBAND_TESTS_SIM_DISK_H

#include "tests/sim/sim.h"

struct disk_job {
	struct disk_job *next;
	struct fbs_slice slice; /* of a read or write */
	struct fbs_flush flush; /* of a flush */
	bool is_flush;
	void *slot; /* of the client */
	uint64_t submitted_ns;
	uint64_t service_ns; /* what it takes, without stalls */
};

#define DISK_STRIPES 256

struct disk {
	struct sim_disk model;
	struct sim_rng rng;
	struct disk_job *first, **last; /* the queue */
	unsigned busy;			/* servers */
	bool stripe_busy[DISK_STRIPES]; /* which of them, where it matters */
	uint64_t head_bytes;		/* where the last job ended */
	uint64_t dirty_bytes;
	uint64_t iops_clear_ns, bps_clear_ns; /* when each bucket of the cap is full again */
};

void disk_init(struct disk *disk, const struct sim_disk *model, uint64_t seed);
uint64_t disk_cleared_at(struct disk *disk, const struct disk_job *job, uint64_t now_ns);
void disk_enqueue(struct disk *disk, struct disk_job *job);
/* NULL: no server is free or nothing is queued. */
struct disk_job *disk_start(struct disk *disk, uint64_t now_ns, uint64_t *ret_finish_ns);
void disk_finish(struct disk *disk, const struct disk_job *job);

#endif
