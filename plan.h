/* SPDX-License-Identifier: MIT */
/*
 * plan.h - a checked configuration brought together with the machine.
 *
 * plan_make() opens every backing, finds the physical disks, decides which files share a
 * scheduler and refuses what must not run: everything that --check prints, a start mounts or a
 * reload takes over. It changes nothing that runs: a plan that is
 * not taken over is simply freed.
 */
#ifndef FUSEBAND_PLAN_H
#define FUSEBAND_PLAN_H

#include "backing.h"
#include "conf.h"
#include "disks.h"

/* What the min_* below a disk come to together: per second, and as parts of what it can do. */
struct plan_promised {
	double iops, bps;
	double reads;  /* 1 = all of the disk, if all of it is read; 0: not known */
	double writes; /* the same for writes */
};

/* One scheduler. */
struct plan_disk {
	char *name; /* device:NAME, else the name of the physical disk(s), "sda+sdb" */
	char *why;  /* one line for --check */
	const struct conf_device *conf; /* settings, or NULL: all defaults. Owned by plan->conf */
	dev_t *leaves;			/* the physical disks it stands for, sorted */
	size_t n_leaves;
	struct plan_promised promised; /* at least */
};

#define PLAN_NO_DISK ((size_t)-1)

/* One file of the mount; same order as conf->files. */
struct plan_file {
	const struct conf_file *conf; /* owned by plan->conf */
	struct backing *backing;      /* a reference; NULL: optional and not there */
	struct backing_claim *claim;  /* a reference; NULL with backing NULL, and when a check left
					 it to the fuseband that runs */
	uint64_t size_bytes; /* as it is now: may differ from a reused backing->size_bytes */
	size_t disk;	     /* index into disks; PLAN_NO_DISK when there is no backing */
	bool reused;	     /* backing is that of the running plan's file of this name */
	/* of PLAN_RECOVER, as in struct plan_running */
	uint64_t id, served_bytes;
	bool removed;
	bool lost; /* no backing, but claim and disk: what could not be opened is object */
	struct backing_id object;
	struct backing_traits traits;
};

struct plan {
	struct conf *conf; /* owned */
	struct plan_disk *disks;
	size_t n_disks;
	struct plan_file *files;
	size_t n_files;
	struct backing_claim **upgraded; /* references: of running files, for writing only now */
	size_t n_upgraded;
	bool taken; /* mount_apply()'s: it is what runs, so that they stay so */
};

/* A file that runs now, for a reload: removed ones that are still open count, too. */
struct plan_running {
	const char *name;
	struct backing *backing; /* NULL: optional and not there */
	struct backing_claim *claim;
	const char *path;		   /* as configured */
	uint64_t offset_bytes, size_bytes; /* as configured: size 0 = to the end */
	const char *device;		   /* its `device` as configured, or NULL */
	bool readonly, buffered;
	bool removed; /* no longer in the directory; held by whoever has it open */
	unsigned opens;
	bool active;	       /* has requests, or waits for its fence, open or not */
	uint64_t served_bytes; /* the size that is shown */
	/* PLAN_RECOVER only: what the process that died served */
	uint64_t id; /* node id */
	bool lost;   /* it could not be opened then either: nothing new */
	struct backing_id object;
	struct backing_traits traits;
};

enum plan_purpose { PLAN_CHECK, PLAN_RUN, PLAN_RECOVER };

/*
 * Make a plan from *conf (owned by the plan afterwards, also on failure). running/n_running
 * describe what serves now (reload) or are NULL/0. mountpoint: absolute, without symbolic links, or
 * NULL (--check without one). With PLAN_CHECK an object that a running fuseband has claimed is not
 * an error: a line about it goes to notes. Returns 0, or -EINVAL or (out of memory, no /proc)
 * another -errno with everything that is wrong in errors; nothing is then left open. notes may be
 * NULL; with PLAN_RUN they are for the log.
 *
 * With PLAN_RECOVER running[i] is what conf->files[i] was in a process that died, with the claim
 * that outlived it (NULL: it had no backing); their paths are not followed, what was claimed is
 * opened again. Nothing is an error for others then: a file that cannot be had is left without
 * backing, and notes say why; with claim and disk, as far as there are, so that it can be had
 * later.
 *
 * Refused: missing, busy or mounted backings; a path at or below the mount point (found without
 * touching the mount); overlapping ranges through all aliases, unless both are read-only; two
 * device sections on one physical disk; offset or size that do not fit; offset or size that are not
 * multiples of the block size; a changed path, range, device, readonly or buffered of a file that
 * is open; an open file whose path leads to another object now; reservations that the disk cannot
 * keep, as far as its section says what it can do.
 *
 * An open file keeps its backing when its path is gone or its range shrank: notes say so. A running
 * file that is closed and changed is replaced: it must give back its fence before the new one takes
 * its own. A removed file that is still open, or active, is never taken up again; its bytes are
 * taken until it is neither.
 */
int plan_make(struct conf *conf, const char *mountpoint, const struct plan_running *running,
	      size_t n_running, enum plan_purpose purpose, const struct disks_view *view,
	      struct conf_errors *errors, struct conf_errors *notes, struct plan **ret_plan);
void plan_free(struct plan *plan); /* NULL is fine */

/*
 * What --check prints: per file backing, size, block size, disk and why; per disk its settings, the
 * share tree in % with limits, and what is promised.
 */
void plan_print(const struct plan *plan, FILE *out);

#endif
