/* SPDX-License-Identifier: MIT */
/*
 * backing.h - one opened range of a block device, partition or image file.
 *
 * Three things are kept apart, because a successor process will have to take
 * them over separately:
 *   claim    the exclusive right to the object (O_EXCL on a block device, QEMU's image lock
 *            bytes on both kinds), one per object however many ranges of it are exposed; held
 *            by whoever holds the mount;
 *   backing  the descriptors that do I/O, opened by the process that does it;
 *   fence    an OFD write lock on the exposed range, taken through the I/O descriptor. The
 *            kernel drops it after the last I/O in flight of a dead process, so
 *            that whoever gets the lock next knows that no older write can land any more.
 *
 * All locks are OFD locks and live on the inode that the path leads to: for a block device that
 * is its node, so two nodes of one device (mknod) do not see each other's. Bytes in use:
 *   100..103, 200..203		QEMU's image locks		claim
 *   BACKING_CLAIM_BYTE		"this is a fuseband"		claim
 *   BACKING_TAIL_BYTE		writes through the page cache	fence
 *   BACKING_FENCE_BASE...	the exposed range, shifted	fence
 *
 * Main thread only, but for the descriptors and numbers in struct backing; for the fence of one that
 * nobody else asks for just then; and for closing what nobody else has.
 */
#ifndef FUSEBAND_BACKING_H
#define FUSEBAND_BACKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * What a path leads to. Two paths with the same identity are the same object: device nodes by
 * their number, files by filesystem and inode.
 */
struct backing_id {
	bool is_block;
	dev_t dev; /* the block device itself, or the file's filesystem */
	ino_t ino; /* 0 for block devices */
};

/* The bytes in terms of the outermost object that aliases share (whole disk, loop's file). */
struct backing_extent {
	struct backing_id root;
	uint64_t start_bytes, length_bytes;
};

struct backing {
	int refs;	      /* main thread */
	struct backing *next; /* of whoever closes it (closing.h) */
	char *path;
	struct backing_id id;
	struct backing_extent extent;
	int fd;		 /* all I/O; O_DIRECT unless buffered */
	int fd_buffered; /* without O_DIRECT, for a partial last block of an image; -1 when none */
	int fd_flush;	 /* flushes: one of these, or another of the object */
	bool readonly;
	bool fenced;	       /* to be given back, as closing may not do it */
	bool buffered;	       /* the object refuses O_DIRECT, and `buffered = yes` allows it */
	uint64_t start_bytes;  /* first exposed byte of the object */
	uint64_t size_bytes;   /* exposed bytes */
	bool to_end;	       /* no size was given: follows a growing object */
	uint32_t align_bytes;  /* offsets and lengths on fd: a power of two, 1 if buffered */
	uint32_t memory_align; /* buffers on fd */
	uint32_t block_bytes;  /* logical block size as a guest should see it; >= 512 */
	bool can_zero;	       /* fallocate(ZERO_RANGE) is done by the device or filesystem */
	bool may_block;	       /* submitting I/O may wait: for locks, metadata or a server */
	bool can_punch;	       /* fallocate(PUNCH_HOLE) likewise */
};

/* What was found out about a backing by asking the object, which may hang by now. */
struct backing_traits {
	uint32_t align_bytes, memory_align, block_bytes;
	bool buffered, can_zero, may_block, can_punch;
};

struct mountinfo;

/* What is asked for; straight from a file's section. */
struct backing_spec {
	const char *path;
	uint64_t offset_bytes, size_bytes; /* size 0: to the end */
	bool readonly, buffered;
	/*
	 * What is known already, so that thousands of ranges of one disk cost little: the mount
	 * table, NULL: it is read; and another backing, or NULL: if it has the same path, its
	 * object is opened once more, and what holds for all of the object taken from it.
	 * Writers then share its open file description.
	 */
	const struct mountinfo *mounts;
	const struct backing *like;
	/*
	 * The claim, or NULL: if it is of the object wanted, that is opened through it, wherever
	 * path leads by now. So whoever has the claim has its locks on the same inode.
	 */
	const struct backing_claim *claim;
	const struct backing_id *object;     /* with claim */
	const struct backing_traits *traits; /* with claim: not asked for again */
	/*
	 * With traits: the size that was served, whose end may need what the present one does not.
	 * And a range that reaches beyond the end by now is opened as far as there is something.
	 */
	uint64_t served_bytes;
};

/*
 * Find out what path is without opening a FIFO or a device for I/O: symbolic links are
 * followed, anything but a regular file or block device is refused (-EINVAL). 0 or -errno with
 * why = a reason fit for a user ("is a directory").
 */
int backing_identify(const char *path, char *why, size_t why_size, struct backing_id *ret_id);

/* What it is made of: the object of an open file (-EINVAL for the wrong kind of file) ... */
struct stat;
int backing_id_of(const struct stat *st, struct backing_id *ret_id);
/* ... an O_PATH descriptor of path ... */
int backing_open_path(const char *path, char *why, size_t why_size, int *ret_fd,
		      struct backing_id *ret_id);
/* ... and a descriptor for I/O of the same object: open(2) flags, O_CLOEXEC added; or -errno. */
int backing_reopen(int path_fd, int flags);

/* True for what `optional = yes` forgives: nothing is at the path, or no device behind the node. */
bool backing_is_missing(int err);

/* Order for sorting and searching; 0 for the same object. */
int backing_id_compare(const struct backing_id *a, const struct backing_id *b);

/*
 * Open for I/O: no claim, no fence. 0, or -errno with a reason fit for a user in why
 * ("is a directory", "reaches beyond the end of ...", "refuses O_DIRECT; buffered =
 * yes would allow it, but ...", "is empty"), and the key to blame: "path", "offset" or "size".
 */
int backing_open(const struct backing_spec *spec, char *why, size_t why_size, const char **ret_key,
		 struct backing **ret_backing);
struct backing_traits backing_traits_of(const struct backing *backing);
struct backing *backing_ref(struct backing *backing);
void backing_unref(struct backing *backing); /* closes at zero; NULL is fine */

/* Present size in bytes of the object behind backing (not of the range), or -errno. */
int backing_object_size(const struct backing *backing, uint64_t *ret_bytes);
/* What the object has left of the range. */
uint64_t backing_present_size(const struct backing *backing);

/*
 * Take the fence: OFD lock (write, or read for a read-only backing) on bytes
 * [BACKING_FENCE_BASE + start, + size) through fd, without an end when to_end. wait: block until it
 * is free. (And one through fd_buffered, if there is one to write through.) 0, -EINTR, or another
 * -errno; without wait also -EAGAIN: the lock of a fuseband is in the way; -EBUSY: that of another
 * program. Filesystems without locks: 0 and nothing held.
 *
 * The lock is the description's, which backings may share: those that have it must not overlap, or
 * one gives back what is the other's, too. So a backing that takes the place of another one over
 * the same bytes is fenced after that has given its fence back. Those that may_block share none: for
 * them all of this may wait for a server, is done by a thread (fence.h), and that in no certain order.
 */
#define BACKING_FENCE_BASE (UINT64_C(1) << 62)
#define BACKING_CLAIM_BYTE (BACKING_FENCE_BASE - 1)
#define BACKING_TAIL_BYTE (BACKING_FENCE_BASE - 2)
int backing_fence(struct backing *backing, bool wait);
/* Give it back before it is closed: nothing of it is under way any more. NULL is fine. */
void backing_unfence(struct backing *backing);
/*
 * One without an end ends there from now on; what lies behind can be another's. True: not before
 * backing_end_fence() has given that back, as it may_block.
 */
bool backing_end_at(struct backing *backing, uint64_t size_bytes);
void backing_end_fence(const struct backing *backing);

/*
 * Who uses files and devices without a lock that we could see: loop devices and swap. Read once for
 * many claims. 0 or -errno.
 */
struct backing_users;
int backing_users_read(struct backing_users **ret_users);
void backing_users_free(struct backing_users *users); /* NULL is fine */

/* The exclusive claim of one object. */
struct backing_claim {
	int refs;		    /* main thread */
	struct backing_claim *next; /* of whoever closes it (closing.h) */
	struct backing_id id;
	int fd;
	bool readonly;
	uint64_t kept; /* its name at the parent, which holds it, too; 0: it does not */
};

/*
 * Claim an object. -EBUSY with why = who has it when that can be found out ("is mounted at /srv",
 * "is in use by md127", "is open in QEMU", "is served by another fuseband"): *ret_fuseband is
 * true in the last case. -ESTALE: path no longer leads to id. A claim of a whole disk
 * and one of a partition of it exclude each other, within one process, too.
 */
int backing_claim(const char *path, const struct backing_id *id, bool readonly,
		  const struct backing_users *users, char *why, size_t why_size, bool *ret_fuseband,
		  struct backing_claim **ret_claim);
/*
 * The claim behind fd, which becomes the claim's, as another process of ours took it. Whether it is
 * one for writing is seen from its locks; of an object that cannot be asked any more, as its disk
 * is gone, it is. 0; -EINVAL: no file or block device; -ENOMEM; and fd is still the caller's.
 */
int backing_claim_adopt(int fd, uint64_t kept, struct backing_claim **ret_claim);
struct backing_claim *backing_claim_ref(struct backing_claim *claim);
void backing_claim_unref(struct backing_claim *claim); /* NULL is fine */

/*
 * Turn a read-only claim into one for writing, in place, for every process that has the
 * descriptor; and back. -EBUSY with why, claim unchanged.
 */
int backing_claim_upgrade(struct backing_claim *claim, const struct backing_users *users, char *why,
			  size_t why_size);
void backing_claim_downgrade(struct backing_claim *claim);

#endif
