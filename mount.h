/* SPDX-License-Identifier: MIT */
/*
 * mount.h - what is served now: the files of the mount and the disks they share.
 *
 * Built from a plan at the start, and turned into what the next plan says by a reload. The main
 * thread changes it only while all workers are parked (worker.h), so workers look things up without
 * a lock. What changes request by request is under the lock of its disk.
 *
 * Node ids are given once and never again, so that a removed file keeps serving whoever has
 * it open while another one of that name may already exist. No lookup counts, no handles: a
 * file is found by node id alone.
 *
 * Whoever reads the mount and is no worker (snapshot.h) holds `reading`; a change waits for that.
 * It comes before the lock of a disk.
 */
#ifndef FUSEBAND_MOUNT_H
#define FUSEBAND_MOUNT_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include "alarm.h"
#include "backing.h"
#include "closing.h"
#include "keep.h"
#include "plan.h"
#include "range.h"
#include "sched.h"

struct io;

#define MOUNT_ROOT_ID UINT64_C(1)
#define MOUNT_FIRST_ID UINT64_C(16) /* of files; those below are ours */

/* What was when a window of alarm.h began: differences to now are what happened in it. */
struct file_before {
	uint64_t waited_ns[FBS_WAITS];
	uint64_t ios, bytes;
};

/* The main thread's, with mount->reading: the beginnings of this window and of the one before. */
struct file_watch {
	bool begun;
	struct file_before before[2];
	struct alarm weight;
};

struct disk_watch {
	uint64_t before[2][HISTOGRAM_BUCKETS]; /* of the latency */
	uint64_t window_ios;		       /* slices of the window that is over */
};

/* A scheduler and all that its one lock covers. */
struct disk {
	char *name;
	struct fbs_params params; /* parked: as configured */
	dev_t *leaves;		  /* physical disks */
	size_t n_leaves;
	bool marked; /* parked: of whoever goes over all disks; means nothing in between */
	struct fbs_node **groups; /* parked: of mount->groups, NULL where one has no node */
	struct file *unfenced;	  /* the main thread's: no thread waits for their fences yet */
	struct closing closing;	  /* the main thread's: of its files that were taken out */
	_Atomic bool backlogged;  /* hint: a request that comes now will wait */
	/* when its scheduler wants to be looked at without cause, and by which worker */
	_Atomic uint64_t wake_ns; /* FBS_NEVER: it does not */
	_Atomic unsigned wake_worker;

	pthread_mutex_t lock;
	struct fbs *fbs;      /* lock */
	uint64_t progress_ns; /* lock: when something last came back, or it was idle */
	struct io *ios;	      /* lock: all requests not answered yet */
	struct file *held; /* lock: files whose flush waits because they owe too much (held_next) */
	/* lock. In kept, where a successor finds them, or where there is none (NULL) in own */
	struct disk_counters *counters;
	struct kept_disk *kept;
	struct disk_counters own;
	struct disk_watch watch;
};

/* A group of the configuration. Parked. */
struct group {
	char *name;
	int parent;	     /* index into mount->groups, -1: directly below the disks */
	struct fbs_cap *cap; /* over all disks; NULL: none */
	unsigned weight;
	uint64_t min_iops, min_bps, iops_size_bytes;
	/* mount->reading. Counters are where a successor finds them, or own */
	struct group_counters *counters, own;
	struct alarm idle_weight;
};

/* Of a file that could not be opened when this process took over (reopen.h). */
struct file_lost {
	struct backing_id object;
	struct backing_traits traits;
};

struct file {
	/* parked: set by the main thread while no worker runs */
	uint64_t id;
	char *name;
	struct backing *backing; /* NULL: an optional one that is not there, or lost */
	struct file_lost *lost;	 /* NULL: it is not. Then there is claim and disk without backing */
	struct backing_claim *claim;
	struct disk *disk;     /* NULL with backing */
	struct fbs_node *leaf; /* of disk->fbs */
	struct fbs_cap *cap;   /* of the leaf; NULL: none */
	int group;	       /* index into mount->groups, -1: none. Outdated once it is removed */
	uint64_t size_bytes;
	uint64_t present_bytes; /* what the backing has now; less when it has shrunk */
	bool unfenced;		/* nobody has tried yet to get its fence (fence.h) */
	bool fence_too_long;	/* it reaches beyond the end of what was removed */
	char *path, *device;	/* as configured; device may be NULL */
	uint64_t spec_offset_bytes, spec_size_bytes;
	uid_t uid;
	gid_t gid;
	mode_t mode;
	bool readonly, buffered, ignore_discard;
	bool may_hang;	/* when it is closed. In the trash */
	bool removed;	/* no longer in the directory */
	bool seen_busy; /* open or active when the plan of the next reload was made */
	bool marked;	/* of whoever goes over all files; means nothing in between */
	unsigned weight;
	enum conf_class class;
	struct conf_limits limits; /* without where they stand */
	/* how often it is open, and counters, where a successor finds them; or own */
	struct kept_file *kept;
	struct kept_file own; /* in use if there is no keep, or no place in it */
	struct file_watch watch;

	/* lock of the disk */
	unsigned active; /* requests not answered yet */
	struct ranges ranges;
	struct range fence; /* all of it, while a dead process may still write to it (fence.h) */
	struct io *flush_waiting, **flush_waiting_end; /* for the next flush of the backing */
	struct io *flush_running;		       /* by the one on its way */
	bool flushing;
	bool flush_held;
	bool cut_short; /* a read ended where the file does not: the backing has shrunk */
	struct file *held_next;
	struct file *trash_next;

	/* of whoever has the list: the main thread, then the thread that gets the fences */
	struct file *fence_next;
	enum fence_step { FENCE_SHORTEN, FENCE_ASK, FENCE_WAIT } fence_step; /* what is next */
};

struct mount {
	/* what is to outlive this process; NULL: nothing is, and own has what counts for all of it */
	struct keep *keep;
	struct kept_mount own;
	pthread_mutex_t reading;
	bool standby;	       /* another process serves, and says what is closed */
	struct file **files;   /* in the directory, by id */
	struct file **by_name; /* the same, by name */
	size_t n_files;
	struct file **orphans; /* removed, still open */
	size_t n_orphans;
	struct file **table; /* by id, open addressing, size a power of two */
	size_t table_size;
	struct disk **disks;
	size_t n_disks;
	struct group *groups; /* as in the configuration */
	size_t n_groups;
	struct file *trash; /* out of all tables; mount_finish() frees them */
	struct disk **trash_disks;
	size_t n_trash_disks;
	uint64_t next_id;
	uint64_t generation;	      /* of the configuration, from 1 */
	gid_t status_gid;	      /* who may read the status. Parked */
	struct timespec since, began; /* the same moment: CLOCK_REALTIME, CLOCK_BOOTTIME */
	_Atomic bool memory_short;    /* an episode of alarms */
	_Atomic bool garbage;	      /* an orphan was closed: the main thread should collect it */
};

/* Empty; then mount_apply() of the first plan. NULL: no memory. */
struct mount *mount_new(void);
/* Nothing in flight any more. NULL is fine. */
void mount_free(struct mount *mount);

/*
 * Become what plan says, all at once; it can be freed afterwards. Workers are parked. Fails, with
 * nothing changed and the reasons in errors, when a file that must change or go was opened since the
 * plan was made or when an open file would have to move to another scheduler: -EBUSY, -ENOMEM.
 */
int mount_apply(struct mount *mount, struct plan *plan, struct conf_errors *errors);
/*
 * What was lost is there again: backing, of present_bytes now, becomes the file's. Workers are
 * parked; then fence_take().
 */
void mount_find(struct mount *mount, struct file *file, struct backing *backing,
		uint64_t present_bytes);
/* Take out orphans that nobody has open any more: whether there were any. Workers are parked. */
bool mount_collect(struct mount *mount);
/*
 * The process that served before is dead: from here on this one does, and may change the keep (of
 * which a standby only knows what it was). Workers are parked.
 */
void mount_take_over(struct mount *mount);
/*
 * What may take its time, after mount_apply() or mount_collect() and with the workers working
 * again: close what was taken out. told: whoever else has the claims knows that they are over, and
 * has let go of them; else they are kept until the next time.
 */
void mount_finish(struct mount *mount, bool told);

/*
 * What plan_make() needs to know: *ret_list of *ret_n entries that point into mount; free() it. And
 * who was busy then is noted, for mount_apply() of that plan.
 */
int mount_running(const struct mount *mount, struct plan_running **ret_list, size_t *ret_n);

/* What counts for all of it. */
struct kept_mount *mount_kept(struct mount *mount);

/* All files, by a running number: those of the directory, then removed ones that are open. */
static inline size_t mount_n_all(const struct mount *mount)
{
	return mount->n_files + mount->n_orphans;
}
static inline struct file *mount_file_at(const struct mount *mount, size_t i)
{
	return i < mount->n_files ? mount->files[i] : mount->orphans[i - mount->n_files];
}

/* NULL: there is none. Any worker. */
struct file *mount_by_id(const struct mount *mount, uint64_t id);
struct file *mount_by_name(const struct mount *mount, const char *name);

#endif
