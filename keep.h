/* SPDX-License-Identifier: MIT */
/*
 * keep.h - memory that outlives a data path: counters, alarms, who has what open, signs of life.
 *
 * One memfd, made by the parent and mapped by every data path after it (supervise.h). All of it is
 * plain data at fixed places, changed in place by the thread that the comments name, so that at
 * whatever instruction a process is killed, its successor finds something that is right:
 *
 *   - a counter may miss the one request that was being counted;
 *   - `opens` counts OPEN and RELEASE requests. The kernel sends one again that a dead process had
 *     read but not answered, and it must not count twice. So a worker notes the unique number of
 *     the last one that it counted. Between counting and noting lie two instructions; a
 *     process killed right there leaves a file that seems open (never one that seems
 *     closed, which would be taken from a guest): OPEN counts first, RELEASE notes first;
 *   - `turns` says how many data paths have served. Who serves holds a lock on the memfd, through a
 *     descriptor that no other process has, so that the kernel gives it back when the last of its
 *     threads has ended and not before: no two serve at once, whatever else goes wrong. And who
 *     gets the lock and finds that another turn has been since it was made, is not to serve;
 *   - `touched` is the request that a worker is working on. When a process crashes (a signal of its
 *     own making, not SIGKILL) it is suspect; one that is suspect twice is answered EIO.
 *
 * Without a parent the same structures are private memory.
 */
#ifndef FUSEBAND_KEEP_H
#define FUSEBAND_KEEP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "alarm.h"
#include "histogram.h"

/*
 * Another layout, here or of what handover.c and accepted.c write, is another version: a program
 * that finds one does not touch it.
 */
#define KEEP_MAGIC UINT64_C(0x4b444e4142455346) /* "FSEBANDK" */
#define KEEP_VERSION 8U

#define KEEP_WORKERS 64U  /* more share the last place */
#define KEEP_FILES 16384U /* more start from nothing after a crash; so many are 15 MiB */
#define KEEP_DISKS 256U	  /* likewise; 1 MiB */
#define KEEP_GROUPS 1024U /* likewise; 32 KiB */
#define KEEP_ERROR_BYTES 256U
#define KEEP_COUNTED 256U /* OPEN and RELEASE of dead processes */
#define KEEP_SUSPECTS 16U
#define KEEP_RESENT (UINT64_C(1) << 63) /* in a unique number: sent again */

/* Since the file appeared. Lock of its disk. */
struct file_counters {
	uint64_t read_ios, write_ios, read_bytes, write_bytes;
	uint64_t flushes, discards, errors;
	uint64_t wait_ns, service_ns; /* sums over reads and writes */
	struct recent recent;	      /* of those, likewise */
	/* episodes (alarm.h), and whether there is one; mount->reading */
	uint32_t share_missed, reservation_missed, size_missed, weight_missed;
	struct alarm share_alarm, reservation_alarm, size_alarm;
};
_Static_assert(sizeof(struct file_counters) < 1024, "there is one for each of KEEP_FILES");

struct kept_file {
	uint64_t id; /* node id; 0: free. The main thread's */
	_Atomic unsigned opens;
	struct file_counters counters;
};

enum { KEEP_READ, KEEP_WRITE, KEEP_OPS };

/* Since the disk appeared. Its lock. */
struct disk_counters {
	struct histogram wait[KEEP_OPS], service[KEEP_OPS]; /* of requests */
	struct histogram latency;			    /* of slices, at the disk */
	/* episodes, likewise */
	uint32_t latency_missed;
	struct alarm latency_alarm;
};

struct kept_disk {
	uint64_t id; /* keep_name_id() of its name; 0: free. The main thread's */
	struct disk_counters counters;
};

/* Since the group appeared: episodes, and whether there is one. mount->reading. */
struct group_counters {
	uint32_t reservation_missed, weight_missed;
	struct alarm reservation_alarm;
};

struct kept_group {
	uint64_t id; /* keep_name_id() of its name; 0: free. The main thread's */
	struct group_counters counters;
};

/* Of all of the mount. */
struct kept_mount {
	uint32_t reloads, reloads_refused; /* the main thread's */
	uint32_t kernel_missed;		   /* settings in the way at the start. The main thread's */
	_Atomic uint32_t memory_missed;	   /* episodes */
	char last_error[KEEP_ERROR_BYTES]; /* of the last reload, "": none. mount->reading */
	/* of whoever got the signal; the text is there before it is counted */
	_Atomic uint32_t upgrades_refused;
	char upgrade_error[KEEP_ERROR_BYTES]; /* of the last one refused, "": none yet */
};

struct kept_worker {			     /* the worker's; the parent only reads */
	_Alignas(128) _Atomic uint64_t beat; /* rounds */
	_Atomic uint64_t touched;	     /* unique, or 0 */
	_Atomic uint64_t counted; /* the last OPEN or RELEASE: unique without KEEP_RESENT */
};

struct keep_suspect {
	uint64_t unique; /* 0: none */
	uint32_t crashes;
};

struct keep {
	uint64_t magic;
	uint32_t version;
	_Atomic uint32_t turns;	    /* of who holds the lock: data paths that have served */
	_Atomic uint32_t ended;	    /* who serves, or the parent: there is to be no other turn */
	uint32_t upgrades;	    /* the parent's: so many of them on purpose */
	uint32_t parent;	    /* the parent's: its process id */
	_Atomic uint32_t log_level; /* who serves: that of log.h, for the parent */
	_Atomic uint64_t crashed;   /* the crashing thread's: what it touched, or 0 */
	/* the parent's, or of who takes over without one, while no data path lives */
	struct keep_suspect suspects[KEEP_SUSPECTS];
	uint32_t next_suspect, next_counted;
	uint64_t counted[KEEP_COUNTED];
	struct kept_worker workers[KEEP_WORKERS];
	struct kept_mount mount;
	struct kept_disk disks[KEEP_DISKS];
	struct kept_group groups[KEEP_GROUPS];
	struct kept_file files[KEEP_FILES];
};

/* A new one, all zero but magic and version. 0 or -errno. */
int keep_create(int *ret_fd, struct keep **ret_keep);
/* That of an earlier process: -EPROTO when it is not one, or of another version; or -errno. */
int keep_open(int fd, struct keep **ret_keep);

struct kept_worker *keep_worker(struct keep *keep, unsigned index);
/* The place of a file. NULL: it has none. */
struct kept_file *keep_file_find(struct keep *keep, uint64_t id);
/* An empty place for a file that has none. NULL: full. Only the main thread of who serves. */
struct kept_file *keep_file_add(struct keep *keep, uint64_t id);
void keep_file_free(struct kept_file *file); /* likewise */
/*
 * The place of a disk of that name, an empty one if it has none yet; NULL: full. The main thread.
 * For a disk that gets another name the caller sets `id` to that name's.
 */
struct kept_disk *keep_disk(struct keep *keep, const char *name);
void keep_disk_free(struct kept_disk *disk);
/* The place of a group of that name; NULL: it has none. An empty one for it; NULL: full. */
struct kept_group *keep_group_find(struct keep *keep, const char *name);
struct kept_group *keep_group_add(struct keep *keep, const char *name);
uint64_t keep_name_id(const char *name); /* never 0 */

/* Whether an OPEN or RELEASE that was sent again had been counted by a process that died. */
bool keep_was_counted(const struct keep *keep, uint64_t unique);
/* Whether it has crashed so many processes that one more is too many. */
bool keep_is_poison(const struct keep *keep, uint64_t unique);

/* An upgrade that does not come to pass, and why. */
void keep_refuse_upgrade(struct kept_mount *kept, const char *why);

/* What a process needs that is to serve. */
struct keep_turn {
	int fd;
	uint32_t after; /* so many others */
};

/* Before it looks at what others left. 0 or -errno. */
int keep_turn_prepare(const struct keep *keep, int keep_fd, struct keep_turn *ret_turn);
/*
 * Serve, until this process ends. wait: until no other one does. 0; -EAGAIN: another one serves;
 * -ESTALE: another one has served since it was prepared, or none is to serve any more; or -errno.
 */
int keep_turn_take(struct keep *keep, const struct keep_turn *turn, bool wait);

/*
 * The parent, once a data path is dead, or who takes over without one: what its workers had counted
 * is remembered; and when it has crashed, what it touched is suspect.
 */
void keep_bury(struct keep *keep, bool crashed);

#endif
