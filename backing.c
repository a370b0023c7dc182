/* SPDX-License-Identifier: MIT */
/*
 * backing.c - opens a range of a device or image; which bytes those are; the fence.
 *
 * Opening is done in two steps. O_PATH finds out what the path leads to without waking a FIFO, a
 * tape drive or a watchdog. Everything else is then opened through /proc/self/fd/N, which
 * leads to that very object, whatever the path may lead to by then.
 *
 * Three numbers describe how an object may be accessed:
 *	align_bytes	of offsets and lengths with O_DIRECT: STATX_DIOALIGN, which ext4 and XFS
 *			answer, else the logical block size of the disk below the filesystem,
 *			else, for filesystems without a disk, 512 if a read with that works
 *	memory_align	of buffers
 *	block_bytes	what a guest should take for the sector size
 * An image whose size is no multiple of align_bytes ends in a partial block that O_DIRECT
 * can't write without growing the file: it gets a second descriptor without O_DIRECT.
 *
 * fallocate() on a block device is done by WRITE ZEROES alone, for PUNCH_HOLE (which fails
 * where the disk can't) and ZERO_RANGE (which then writes zeros for minutes), hence the look
 * into sysfs. PUNCH_HOLE is also denied where the disk has WRITE ZEROES but no discard: a guest's
 * fstrim would write the whole disk full of zeros.
 *
 * Aliases: bytes of a partition are also bytes of its disk, bytes of a loop device also bytes of
 * its file. struct backing_extent names them by the outermost object, so that an overlap shows
 * whatever the paths are. Device-mapper volumes stand for themselves: the kernel's own claims
 * keep what they consist of from being opened.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "backing.h"
#include "cleanup.h"
#include "disks.h"
#include "mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef EXT4_IOC_PRECACHE_EXTENTS /* fs/ext4/ext4.h */
#define EXT4_IOC_PRECACHE_EXTENTS _IO('f', 18)
#endif
#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

/* Linux 6.1; the C library of Debian 12 knows neither the flag nor the two fields. */
#ifndef STATX_DIOALIGN
#define STATX_DIOALIGN 0x00002000U
#endif
#define STATX_DIO_MEM_ALIGN_AT 0x98
#define STATX_DIO_OFFSET_ALIGN_AT 0x9c

/* A 4 KiB sector is the largest that Linux filesystems have on disks. */
#define PROBE_ALIGN_MAX 4096U

/* ---- what a path leads to ---------------------------------------------------------------- */

bool backing_is_missing(int err)
{
	return err == -ENOENT || err == -ENXIO || err == -ENODEV || err == -ENOMEDIUM;
}

int backing_id_compare(const struct backing_id *a, const struct backing_id *b)
{
	if (a->is_block != b->is_block)
		return a->is_block ? 1 : -1;
	if (a->dev != b->dev)
		return a->dev > b->dev ? 1 : -1;
	return (a->ino > b->ino) - (a->ino < b->ino);
}

int backing_id_of(const struct stat *st, struct backing_id *ret_id)
{
	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		return -EINVAL;
	*ret_id = (struct backing_id){.is_block = S_ISBLK(st->st_mode),
				      .dev = S_ISBLK(st->st_mode) ? st->st_rdev : st->st_dev,
				      .ino = S_ISBLK(st->st_mode) ? 0 : st->st_ino};
	return 0;
}

static const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "directory";
	case S_IFCHR:
		return "character device";
	case S_IFIFO:
		return "FIFO";
	case S_IFSOCK:
		return "socket";
	}
	return "special file";
}

static int explain_path(int err, char *why, size_t why_size)
{
	if (err == -ENOENT)
		snprintf(why, why_size, "does not exist");
	else
		snprintf(why, why_size, "cannot be reached: %s", strerror(-err));
	return err;
}

static int identify(const struct stat *st, char *why, size_t why_size, struct backing_id *ret_id)
{
	int err = backing_id_of(st, ret_id);
	if (err)
		snprintf(why, why_size, "is a %s, neither a block device nor a regular file",
			 type_name(st->st_mode));
	return err;
}

int backing_open_path(const char *path, char *why, size_t why_size, int *ret_fd,
		      struct backing_id *ret_id)
{
	CLEANUP(cleanup_fd) int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return explain_path(-errno, why, why_size);
	int err = identify(&st, why, why_size, ret_id);
	if (err)
		return err;
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int backing_identify(const char *path, char *why, size_t why_size, struct backing_id *ret_id)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return explain_path(-errno, why, why_size);
	return identify(&st, why, why_size, ret_id);
}

int backing_reopen(int path_fd, int flags)
{
	char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", path_fd);
	int fd = open(path, flags | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

#ifndef BLKGETDISKSEQ /* Linux 5.15 */
#define BLKGETDISKSEQ _IOR(0x12, 128, uint64_t)
#endif

/*
 * A block device is opened by its number, whatever it is opened through, and the number of one that
 * was unplugged is given to the next.
 */
static bool is_same_disk(int fd, int other)
{
	uint64_t a, b;
	return ioctl(fd, BLKGETDISKSEQ, &a) < 0 || ioctl(other, BLKGETDISKSEQ, &b) < 0 || a == b;
}

/* Limits live in the queue of the whole disk. */
static uint64_t queue_u64(dev_t dev, const char *name, uint64_t fallback)
{
	char attr[64];
	uint64_t value;
	snprintf(attr, sizeof(attr), "../queue/%s", name);
	if (disks_attr_u64(&disks_system, dev, attr + 3, &value) == 0 ||
	    disks_attr_u64(&disks_system, dev, attr, &value) == 0)
		return value;
	return fallback;
}

/* ---- opening ----------------------------------------------------------------------------- */

static uint32_t power_of_two_or(uint64_t value, uint32_t fallback)
{
	return value > 0 && value <= (1U << 30) && (value & (value - 1)) == 0 ? (uint32_t)value
									      : fallback;
}

/* What the kernel says about direct I/O on fd: 0, -ENODATA (nothing) or -EINVAL (impossible). */
static int statx_align(int fd, uint32_t *ret_memory, uint32_t *ret_offset)
{
	struct statx stx = {0};
	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) < 0 ||
	    !(stx.stx_mask & STATX_DIOALIGN))
		return -ENODATA;
	uint32_t memory, offset;
	memcpy(&memory, (const char *)&stx + STATX_DIO_MEM_ALIGN_AT, sizeof(memory));
	memcpy(&offset, (const char *)&stx + STATX_DIO_OFFSET_ALIGN_AT, sizeof(offset));
	if (memory == 0 || offset == 0)
		return -EINVAL;
	*ret_memory = power_of_two_or(memory, PROBE_ALIGN_MAX);
	*ret_offset = power_of_two_or(offset, PROBE_ALIGN_MAX);
	return 0;
}

/* Filesystems without a disk of their own may pass O_DIRECT on to one: try, as QEMU does. */
static int probe_align(int fd, uint32_t *ret_align)
{
	struct statfs fs;
	if (fstatfs(fd, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == NFS_SUPER_MAGIC ||
				      fs.f_type == BTRFS_SUPER_MAGIC)) {
		*ret_align = 512;
		return 0;
	}
	CLEANUP(cleanup_chars) char *buf = aligned_alloc(PROBE_ALIGN_MAX, PROBE_ALIGN_MAX);
	if (!buf)
		return -ENOMEM;
	for (uint32_t align = 512; align <= PROBE_ALIGN_MAX; align *= 2) {
		if (pread(fd, buf, align, 0) >= 0 || errno != EINVAL) {
			*ret_align = align;
			return 0;
		}
	}
	return -EINVAL;
}

/* 0, or -EINVAL when the filesystem does no direct I/O for this file. */
static int image_align(struct backing *backing)
{
	int err = statx_align(backing->fd, &backing->memory_align, &backing->align_bytes);
	if (err != -ENODATA)
		return err;
	if (major(backing->id.dev) != 0)
		backing->align_bytes = power_of_two_or(
			queue_u64(backing->id.dev, "logical_block_size", 512), PROBE_ALIGN_MAX);
	else
		err = probe_align(backing->fd, &backing->align_bytes);
	backing->memory_align = backing->align_bytes;
	return err == -ENODATA ? 0 : err;
}

static void explain_open(int err, bool device, char *why, size_t why_size)
{
	const char *what = device ? "is a read-only device" : "is on a read-only file system";
	if (err == -EROFS)
		snprintf(why, why_size, "%s; readonly = yes would allow it", what);
	else if (err == -ETXTBSY)
		snprintf(why, why_size, "is used as swap, or is a running program: end that first");
	else
		snprintf(why, why_size, "cannot be opened: %s", strerror(-err));
}

/*
 * Only these take IOCB_NOWAIT seriously. Others wait in the submission for a lock that a hung flush
 * holds (FUSE), or do not claim to know it. ext4 still reads extents while it submits: all of them
 * now, so that it finds them in memory.
 */
static bool may_block(const struct backing *backing)
{
	struct statfs fs;

	if (backing->buffered || fstatfs(backing->fd, &fs) < 0)
		return true;
	if (fs.f_type == EXT4_SUPER_MAGIC)
		(void)ioctl(backing->fd, EXT4_IOC_PRECACHE_EXTENTS); /* no harm if it cannot */
	return fs.f_type != EXT4_SUPER_MAGIC && fs.f_type != XFS_SUPER_MAGIC &&
	       fs.f_type != BTRFS_SUPER_MAGIC && fs.f_type != F2FS_SUPER_MAGIC;
}

/*
 * Writable ranges of one path share an open file description, of which each has a descriptor: the
 * kernel keeps the locks of an inode in a list, and walks it for every lock and every close. Ranges
 * side by side are one lock of one owner then, instead of one for each of thousands. Readers may
 * overlap, so that one would give up the lock of the other: each has its own. So has what may block:
 * a thread may still be giving back the lock of one when another takes that of the next one.
 */
static bool may_share(const struct backing *backing, const struct backing *like)
{
	return like && !like->readonly && !like->may_block && !backing->readonly;
}

static int open_direct(const struct backing *backing, int path_fd, const struct backing *like)
{
	int fd;

	if (!may_share(backing, like))
		return backing_reopen(path_fd, (backing->readonly ? O_RDONLY : O_RDWR) | O_DIRECT);
	fd = fcntl(like->fd, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? -errno : fd;
}

/*
 * That a file system could not write something back is told once to each open file description. Of
 * those that share one, whoever flushes first would hear of it, and the one whose write it was
 * would not: so an image's flushes go through a description of their own. Only where a flush is of
 * all of the inode, as on the file systems that may_block() knows: of others (FUSE) it may be only
 * of what was written through the same description. To devices nothing is written back. So each
 * range of an image takes two descriptors, as many as an image of its own.
 */
static int open_flush(struct backing *backing, int path_fd, const struct backing *like)
{
	backing->fd_flush = backing->fd;
	if (backing->id.is_block || backing->may_block || backing->readonly)
		return 0;
	if (backing->fd_buffered >= 0)
		backing->fd_flush = backing->fd_buffered;
	else if (may_share(backing, like))
		backing->fd_flush = backing_reopen(path_fd, O_RDONLY);
	return backing->fd_flush < 0 ? backing->fd_flush : 0;
}

static int open_image(struct backing *backing, int path_fd, const struct backing *like,
		      bool allow_buffered, char *why, size_t why_size)
{
	int mode = backing->readonly ? O_RDONLY : O_RDWR;
	int err = backing->fd = open_direct(backing, path_fd, like);
	if (err >= 0)
		err = image_align(backing);
	if (err == -EINVAL && !allow_buffered) {
		snprintf(why, why_size,
			 "refuses O_DIRECT; buffered = yes would allow it, but then the page cache "
			 "answers in the disk's place and weights count for little");
		return err;
	}
	if (err == -EINVAL) {
		cleanup_fd(&backing->fd);
		err = backing->fd = backing_reopen(path_fd, mode);
		backing->buffered = true;
		backing->align_bytes = backing->memory_align = 1;
	}
	if (err < 0) {
		explain_open(err, false, why, why_size);
		return err;
	}
	backing->block_bytes = backing->align_bytes < 512 ? 512 : backing->align_bytes;
	struct statfs fs;
	bool tmpfs = fstatfs(backing->fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
	backing->can_punch =
		true; /* the others answer EOPNOTSUPP at the call, and change nothing */
	backing->can_zero = !tmpfs;
	backing->may_block = may_block(backing);
	return 0;
}

static int open_device(struct backing *backing, int path_fd, const struct backing *like, char *why,
		       size_t why_size)
{
	int err = backing->fd = open_direct(backing, path_fd, like);
	int read_only = 0, sector = 0;
	if (err < 0) {
		explain_open(err, true, why, why_size);
		return err;
	}
	if (ioctl(backing->fd, BLKSSZGET, &sector) < 0 ||
	    ioctl(backing->fd, BLKROGET, &read_only) < 0) {
		err = -errno;
		snprintf(why, why_size, "does not tell its block size: %s", strerror(-err));
		return err;
	}
	if (read_only && !backing->readonly) {
		explain_open(-EROFS, true, why, why_size);
		return -EROFS;
	}
	uint32_t offset;
	backing->align_bytes = power_of_two_or((uint64_t)sector, PROBE_ALIGN_MAX);
	if (statx_align(backing->fd, &backing->memory_align, &offset) < 0)
		backing->memory_align = backing->align_bytes;
	backing->block_bytes = backing->align_bytes < 512 ? 512 : backing->align_bytes;
	backing->can_zero =
		like ? like->can_zero : queue_u64(backing->id.dev, "write_zeroes_max_bytes", 0) > 0;
	backing->can_punch =
		like ? like->can_punch
		     : backing->can_zero && queue_u64(backing->id.dev, "discard_max_bytes", 0) > 0;
	return 0;
}

struct backing_traits backing_traits_of(const struct backing *backing)
{
	return (struct backing_traits){
		.align_bytes = backing->align_bytes,
		.memory_align = backing->memory_align,
		.block_bytes = backing->block_bytes,
		.buffered = backing->buffered,
		.can_zero = backing->can_zero,
		.may_block = backing->may_block,
		.can_punch = backing->can_punch,
	};
}

static int open_known(struct backing *backing, int path_fd, const struct backing *like,
		      const struct backing_traits *traits, char *why, size_t why_size)
{
	backing->fd = traits->buffered
			      ? backing_reopen(path_fd, backing->readonly ? O_RDONLY : O_RDWR)
			      : open_direct(backing, path_fd, like);
	if (backing->fd < 0) {
		explain_open(backing->fd, backing->id.is_block, why, why_size);
		return backing->fd;
	}
	backing->align_bytes = traits->align_bytes;
	backing->memory_align = traits->memory_align;
	backing->block_bytes = traits->block_bytes;
	backing->buffered = traits->buffered;
	backing->can_zero = traits->can_zero;
	backing->may_block = traits->may_block;
	backing->can_punch = traits->can_punch;
	return 0;
}

int backing_object_size(const struct backing *backing, uint64_t *ret_bytes)
{
	uint64_t bytes;
	struct stat st;
	if (backing->id.is_block ? ioctl(backing->fd, BLKGETSIZE64, &bytes) < 0
				 : fstat(backing->fd, &st) < 0)
		return -errno;
	*ret_bytes = backing->id.is_block ? bytes : (uint64_t)st.st_size;
	return 0;
}

uint64_t backing_present_size(const struct backing *backing)
{
	uint64_t object = 0;
	if (backing_object_size(backing, &object) || object <= backing->start_bytes)
		return 0;
	object -= backing->start_bytes;
	return object < backing->size_bytes ? object : backing->size_bytes;
}

static int set_range(struct backing *backing, const struct backing_spec *spec, char *why,
		     size_t why_size, const char **ret_key)
{
	uint64_t object = 0;
	int err = backing_object_size(backing, &object);
	*ret_key = "path";
	if (err || object == 0) {
		snprintf(why, why_size, "%s", err ? strerror(-err) : "is empty");
		return err ? err : -EINVAL;
	}
	const char *bad = NULL;
	if (spec->offset_bytes % backing->block_bytes != 0)
		bad = "offset";
	else if (spec->size_bytes % backing->block_bytes != 0)
		bad = "size";
	if (bad) {
		*ret_key = bad;
		snprintf(why, why_size, "is no multiple of the block size of %s, %" PRIu32 " bytes",
			 spec->path, backing->block_bytes);
		return -EINVAL;
	}
	if (spec->offset_bytes >= object)
		bad = "offset";
	else if (spec->size_bytes > object - spec->offset_bytes && !spec->traits)
		bad = "size";
	if (bad) {
		*ret_key = bad;
		snprintf(why, why_size, "%s beyond the end: %s has %" PRIu64 " bytes",
			 bad[0] == 'o' ? "lies" : "reaches", spec->path, object);
		return -EINVAL;
	}
	if (spec->offset_bytes >= BACKING_FENCE_BASE) {
		*ret_key = "offset";
		snprintf(why, why_size, "lies beyond 4 EiB, where nothing can be locked");
		return -EINVAL;
	}
	backing->start_bytes = spec->offset_bytes;
	backing->to_end = spec->size_bytes == 0;
	backing->size_bytes = backing->to_end ? object - spec->offset_bytes : spec->size_bytes;
	if (backing->id.is_block)
		backing->size_bytes -= backing->size_bytes % backing->block_bytes;
	return 0;
}

/* Where the bytes of an object are in the outermost object that has them, too. */
static void find_extent(struct backing *backing, const struct mountinfo *mounts)
{
	CLEANUP(mountinfo_free) struct mountinfo own = {0};
	struct backing_id id = backing->id;
	uint64_t start = backing->start_bytes, value;
	/* Loops on loops: the kernel allows no cycle; the bound is for a torn picture of sysfs. */
	for (int depth = 0; id.is_block && depth < 16; depth++) {
		char path[PATH_MAX];
		dev_t dev;
		struct stat st;
		if (disks_attr_u64(&disks_system, id.dev, "start", &value) == 0 &&
		    disks_attr_dev(&disks_system, id.dev, "../dev", &dev) == 0) {
			start += value * 512; /* sysfs counts so, whatever the block size */
			id.dev = dev;
			continue;
		}
		if (disks_attr(&disks_system, id.dev, "loop/backing_file", path, sizeof(path)) !=
			    0 ||
		    disks_attr_u64(&disks_system, id.dev, "loop/offset", &value) != 0)
			break;
		if (!mounts && mountinfo_read(&own) < 0)
			break;
		if (!mounts)
			mounts = &own;
		const struct mountinfo_line *mount = mountinfo_find(mounts, path);
		if ((mount && mountinfo_is_fuse(mount)) || stat(path, &st) < 0 ||
		    backing_id_of(&st, &id) < 0)
			break;
		start += value;
	}
	backing->extent = (struct backing_extent){
		.root = id, .start_bytes = start, .length_bytes = backing->size_bytes};
}

/* The same for another range of the object of like. */
static void copy_extent(struct backing *backing, const struct backing *like)
{
	backing->extent = like->extent;
	backing->extent.start_bytes += backing->start_bytes - like->start_bytes;
	backing->extent.length_bytes = backing->size_bytes;
}

int backing_open(const struct backing_spec *spec, char *why, size_t why_size, const char **ret_key,
		 struct backing **ret_backing)
{
	const struct backing *like =
		spec->like && strcmp(spec->like->path, spec->path) == 0 ? spec->like : NULL;
	CLEANUP(cleanup_fd) int opened = -1;
	int path_fd = -1;
	const char *key = "path";
	int err = -ENOMEM;
	struct backing *backing = calloc(1, sizeof(*backing));
	if (!backing)
		goto fail_memory;
	backing->refs = 1;
	backing->fd = backing->fd_buffered = backing->fd_flush = -1;
	backing->readonly = spec->readonly;
	backing->path = strdup(spec->path);
	if (!backing->path)
		goto fail_memory;
	if (like) {
		backing->id = like->id;
		path_fd = like->fd;
	} else if (spec->claim && !backing_id_compare(&spec->claim->id, spec->object)) {
		backing->id = spec->claim->id;
		path_fd = spec->claim->fd;
	} else {
		err = backing_open_path(spec->path, why, why_size, &opened, &backing->id);
		if (err)
			goto fail;
		path_fd = opened;
	}
	err = spec->traits ? open_known(backing, path_fd, like, spec->traits, why, why_size)
	      : backing->id.is_block
		      ? open_device(backing, path_fd, like, why, why_size)
		      : open_image(backing, path_fd, like, spec->buffered, why, why_size);
	if (err)
		goto fail;
	if (backing->id.is_block && spec->claim && !is_same_disk(spec->claim->fd, backing->fd)) {
		snprintf(why, why_size, "is gone, and another disk has its number");
		err = -ENODEV;
		goto fail;
	}
	err = set_range(backing, spec, why, why_size, &key);
	if (err)
		goto fail;
	if ((backing->start_bytes + backing->size_bytes) % backing->align_bytes != 0 ||
	    (spec->traits &&
	     (backing->start_bytes + spec->served_bytes) % backing->align_bytes != 0)) {
		err = backing->fd_buffered =
			backing_reopen(path_fd, spec->readonly ? O_RDONLY : O_RDWR);
		if (err < 0) {
			explain_open(err, false, why, why_size);
			goto fail;
		}
	}
	err = open_flush(backing, path_fd, like);
	if (err) {
		explain_open(err, backing->id.is_block, why, why_size);
		goto fail;
	}
	if (like)
		copy_extent(backing, like);
	else
		find_extent(backing, spec->mounts);
	*ret_backing = backing;
	return 0;
fail_memory:
	snprintf(why, why_size, "%s", strerror(ENOMEM));
fail:
	backing_unref(backing);
	*ret_key = key;
	return err;
}

struct backing *backing_ref(struct backing *backing)
{
	backing->refs++;
	return backing;
}

/* Of the range. One that ends behind the last byte there is has no end. */
static struct flock fence_of(const struct backing *backing, short type)
{
	uint64_t start = BACKING_FENCE_BASE + backing->start_bytes, size = backing->size_bytes;
	bool endless = backing->to_end || size > (uint64_t)INT64_MAX - start;

	return (struct flock){.l_type = type,
			      .l_whence = SEEK_SET,
			      .l_start = (off_t)start,
			      .l_len = endless ? 0 : (off_t)size};
}

static int lock_fence(const struct backing *backing, int command, short type)
{
	struct flock lock = fence_of(backing, type);

	return fcntl(backing->fd, command, &lock);
}

void backing_unref(struct backing *backing)
{
	if (!backing || --backing->refs > 0)
		return;
	if (backing->fenced) /* others may go on with the description */
		lock_fence(backing, F_OFD_SETLK, F_UNLCK);
	if (backing->fd_flush != backing->fd && backing->fd_flush != backing->fd_buffered)
		cleanup_fd(&backing->fd_flush);
	cleanup_fd(&backing->fd);
	cleanup_fd(&backing->fd_buffered);
	free(backing->path);
	free(backing);
}

/* ---- the fence --------------------------------------------------------------------------- */

static int lock_tail(const struct backing *backing, int command, short type)
{
	struct flock lock = {.l_type = type,
			     .l_whence = SEEK_SET,
			     .l_start = (off_t)BACKING_TAIL_BYTE,
			     .l_len = 1};
	if (backing->fd_buffered < 0 || backing->readonly)
		return 0;
	return fcntl(backing->fd_buffered, command, &lock);
}

/* True when who is in the way has locked more than any of us: all of the file, most likely. */
static bool is_locked_by_stranger(const struct backing *backing)
{
	struct flock lock = fence_of(backing, backing->readonly ? F_RDLCK : F_WRLCK);

	return fcntl(backing->fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK &&
	       lock.l_start < (off_t)BACKING_TAIL_BYTE;
}

int backing_fence(struct backing *backing, bool wait)
{
	int command = wait ? F_OFD_SETLKW : F_OFD_SETLK;
	if (lock_fence(backing, command, backing->readonly ? F_RDLCK : F_WRLCK) == 0) {
		backing->fenced = true; /* also without the tail */
		if (lock_tail(backing, command, F_WRLCK) == 0)
			return 0;
	}
	switch (errno) {
	case EACCES:
	case EAGAIN:
		return is_locked_by_stranger(backing) ? -EBUSY : -EAGAIN;
	case EOPNOTSUPP: /* filesystems without locks, or a server without a lock daemon */
	case ENOLCK:
	case ENOSYS:
	case EINVAL:
		return 0;
	}
	return -errno;
}

void backing_unfence(struct backing *backing)
{
	if (!backing || !backing->fenced)
		return;
	lock_fence(backing, F_OFD_SETLK, F_UNLCK);
	lock_tail(backing, F_OFD_SETLK, F_UNLCK);
	backing->fenced = false;
}

bool backing_end_at(struct backing *backing, uint64_t size_bytes)
{
	if (!backing->to_end)
		return false;
	backing->to_end = false;
	backing->size_bytes = backing->extent.length_bytes = size_bytes;
	if (!backing->fenced || backing->may_block)
		return backing->fenced;
	backing_end_fence(backing);
	return false;
}

void backing_end_fence(const struct backing *backing)
{
	struct flock beyond = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

	beyond.l_start = (off_t)(BACKING_FENCE_BASE + backing->start_bytes + backing->size_bytes);
	fcntl(backing->fd, F_OFD_SETLK, &beyond);
}
