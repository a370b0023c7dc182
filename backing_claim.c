/* SPDX-License-Identifier: MIT */
/*
 * backing_claim.c - makes sure that nobody else has the device or image, and says who does.
 *
 * A claim has to exclude programs that know nothing of each other:
 *	mount, mkfs, LVM, md, swapon	O_EXCL on the block device: the kernel's own claim
 *	QEMU and its tools		OFD locks on bytes 100.. and 200.. of the image or device
 *					node (its block/file-posix.c): a read lock on byte 100+p for
 *					every permission p that it uses, and on 200+p for every p
 *					that others must not use; before it goes on, it
 *					looks for locks of others on the counterparts
 *	loop devices, swap files	nothing at all: found by looking for them
 *	other fusebands			all of that, and one more byte that tells who it is
 *
 *	two writers:	A locks 100 101 201 203, sees no lock on 200 201 101 103: goes on
 *			B locks 100 101 201 203, sees A's on 201: busy
 *
 * QEMU does not use O_EXCL, so block devices get its bytes, too. Locks are released by closing
 * the last copy of the descriptor, which a successor process may hold.
 *
 * Looking for others must not touch the files of a FUSE filesystem, which may be our own: see
 * struct user.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "backing.h"
#include "cleanup.h"
#include "disks.h"
#include "mountinfo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* QEMU's numbers (include/block/block-common.h, block/file-posix.c). */
enum { PERM_CONSISTENT_READ = 0, PERM_WRITE = 1, PERM_RESIZE = 3 };
#define QEMU_PERM_BASE 100
#define QEMU_SHARED_BASE 200

/* ---- QEMU's image locks ------------------------------------------------------------------ */

/* 0, -EAGAIN, or another -errno. */
static int lock_byte(int fd, int type, uint64_t byte)
{
	struct flock lock = {
		.l_type = (short)type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

/* True when another open file description has a lock on the byte. */
static bool byte_is_locked(int fd, uint64_t byte)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/*
 * A guest's image, as QEMU sees us: we read, perhaps write, never resize; and others may
 * read but not write or resize. All locks first, then the look at others, so that of two that
 * start at the same time at most one goes on.
 */
static int take_image_locks(int fd, bool readonly)
{
	static const struct {
		uint64_t byte;
		bool for_writer;
	} take[] = {{QEMU_PERM_BASE + PERM_CONSISTENT_READ, false},
		    {QEMU_PERM_BASE + PERM_WRITE, true},
		    {QEMU_SHARED_BASE + PERM_WRITE, false},
		    {QEMU_SHARED_BASE + PERM_RESIZE, false},
		    {BACKING_CLAIM_BYTE, false}},
	  look[] = {{QEMU_SHARED_BASE + PERM_CONSISTENT_READ, false},
		    {QEMU_SHARED_BASE + PERM_WRITE, true},
		    {QEMU_PERM_BASE + PERM_WRITE, false},
		    {QEMU_PERM_BASE + PERM_RESIZE, false}};
	for (size_t i = 0; i < sizeof(take) / sizeof(take[0]); i++)
		if ((!readonly || !take[i].for_writer) &&
		    lock_byte(fd, F_RDLCK, take[i].byte) == -EAGAIN)
			return -EBUSY;
	for (size_t i = 0; i < sizeof(look) / sizeof(look[0]); i++)
		if ((!readonly || !look[i].for_writer) && byte_is_locked(fd, look[i].byte))
			return -EBUSY;
	return 0;
}

/* ---- who else uses it -------------------------------------------------------------------- */

struct user {
	char *who;  /* "is attached to /dev/loop3", "is used as swap" */
	char *path; /* of the file or device it uses */
	bool readonly;
	bool is_fuse;	      /* path lies on a FUSE filesystem, perhaps ours: id is not known */
	dev_t mount;	      /* filesystem on which path lies */
	struct backing_id id; /* of what path leads to */
};

struct backing_users {
	struct user *list;
	size_t n;
};

void backing_users_free(struct backing_users *users)
{
	if (!users)
		return;
	for (size_t i = 0; i < users->n; i++) {
		free(users->list[i].who);
		free(users->list[i].path);
	}
	free(users->list);
	free(users);
}

static int add_user(struct backing_users *users, const struct mountinfo *mounts, const char *path,
		    const char *verb, const char *name, bool readonly)
{
	struct user user = {.readonly = readonly};
	const struct mountinfo_line *mount = mountinfo_find(mounts, path);
	struct stat st;
	if (mount) {
		user.mount = mount->dev;
		user.is_fuse = mountinfo_is_fuse(mount);
	}
	if (!user.is_fuse && (stat(path, &st) < 0 || backing_id_of(&st, &user.id) < 0))
		return 0;
	struct user *grown = reallocarray(users->list, users->n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	users->list = grown;
	user.path = strdup(path);
	if (!user.path || asprintf(&user.who, "%s%s", verb, name) < 0) {
		free(user.path);
		return -ENOMEM;
	}
	users->list[users->n++] = user;
	return 0;
}

static int add_loops(struct backing_users *users, const struct mountinfo *mounts)
{
	CLEANUP(cleanup_dir) DIR *dir = opendir("/sys/block");
	const struct dirent *entry;
	int err = 0;
	while (dir && !err && (entry = readdir(dir))) {
		unsigned maj, min;
		char attr[PATH_MAX], path[PATH_MAX];
		uint64_t readonly = 0;
		if (strncmp(entry->d_name, "loop", 4) != 0)
			continue;
		snprintf(attr, sizeof(attr), "/sys/block/%s/dev", entry->d_name);
		CLEANUP(cleanup_file) FILE *file = fopen(attr, "re");
		if (!file || fscanf(file, "%u:%u", &maj, &min) != 2)
			continue;
		dev_t dev = makedev(maj, min);
		if (disks_attr(&disks_system, dev, "loop/backing_file", path, sizeof(path)) != 0)
			continue;
		disks_attr_u64(&disks_system, dev, "ro", &readonly);
		err = add_user(users, mounts, path, "is attached to /dev/", entry->d_name,
			       readonly);
	}
	return err;
}

static int add_swaps(struct backing_users *users, const struct mountinfo *mounts)
{
	CLEANUP(cleanup_file) FILE *file = fopen("/proc/swaps", "re");
	char path[PATH_MAX], line[PATH_MAX + 128];
	int err = 0;
	/* "/swap file" is written as "/swap\040file", which is not worth finding. */
	while (file && !err && fgets(line, sizeof(line), file))
		if (sscanf(line, "%4095s", path) == 1 && path[0] == '/')
			err = add_user(users, mounts, path, "is used as ", "swap", false);
	return err;
}

int backing_users_read(struct backing_users **ret_users)
{
	CLEANUP(mountinfo_free) struct mountinfo mounts = {0};
	struct backing_users *users = calloc(1, sizeof(*users));
	int err = users ? mountinfo_read(&mounts) : -ENOMEM;
	if (!err)
		err = add_loops(users, &mounts);
	if (!err)
		err = add_swaps(users, &mounts);
	if (err) {
		backing_users_free(users);
		return err;
	}
	*ret_users = users;
	return 0;
}

static int check_users(const struct backing_users *users, const struct backing_id *id,
		       bool readonly, char *why, size_t why_size)
{
	for (size_t i = 0; i < users->n; i++) {
		const struct user *user = &users->list[i];
		struct backing_id other = user->id;
		struct stat st;
		if (readonly && user->readonly)
			continue;
		/* Only what lies where id lies, and that was just looked at without harm. */
		if (user->is_fuse && (id->is_block || user->mount != id->dev ||
				      stat(user->path, &st) < 0 || backing_id_of(&st, &other) < 0))
			continue;
		if (backing_id_compare(&other, id) == 0) {
			snprintf(why, why_size, "%s", user->who);
			return -EBUSY;
		}
	}
	return 0;
}

/* ---- claims ------------------------------------------------------------------------------ */

static dev_t whole_disk(dev_t dev)
{
	dev_t whole;
	uint64_t start;
	return disks_attr_u64(&disks_system, dev, "start", &start) == 0 &&
			       disks_attr_dev(&disks_system, dev, "../dev", &whole) == 0
		       ? whole
		       : dev;
}

/* The first entry of holders/ below base, "dm-0". */
static bool find_holder(dev_t dev, const char *below, char *ret, size_t size)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%sholders", major(dev), minor(dev),
		 below);
	CLEANUP(cleanup_dir) DIR *dir = opendir(path);
	const struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(ret, size, "is in use by %s", entry->d_name);
		return true;
	}
	return false;
}

/* The kernel says EBUSY, but not why. Its partitions and its disk are the usual suspects, too. */
static void explain_busy(dev_t dev, char *why, size_t why_size)
{
	CLEANUP(mountinfo_free) struct mountinfo mounts = {0};
	mountinfo_read(&mounts);
	for (size_t i = 0; i < mounts.n; i++) {
		const struct mountinfo_line *mount = &mounts.list[i];
		struct stat st;
		dev_t mounted = mount->dev;
		/* btrfs: an anonymous number, but the source is the device */
		if (major(mounted) == 0 && strncmp(mount->source, "/dev/", 5) == 0 &&
		    stat(mount->source, &st) == 0 && S_ISBLK(st.st_mode))
			mounted = st.st_rdev;
		if (mounted == dev || mounted == whole_disk(dev)) {
			snprintf(why, why_size, "is mounted at %s", mount->point);
			return;
		}
		if (major(mounted) != 0 && whole_disk(mounted) == dev) {
			snprintf(why, why_size, "has a partition that is mounted at %s",
				 mount->point);
			return;
		}
	}
	if (find_holder(dev, "", why, why_size) || find_holder(dev, "../", why, why_size))
		return;
	char path[64];
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(dev), minor(dev));
	CLEANUP(cleanup_dir) DIR *dir = opendir(path);
	const struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		char below[NAME_MAX + 2];
		snprintf(below, sizeof(below), "%s/", entry->d_name);
		if (entry->d_name[0] != '.' && find_holder(dev, below, why, why_size))
			return;
	}
	snprintf(why, why_size, "is in use by another program: lsof tells which");
}

static int explain_locked(int fd, char *why, size_t why_size, bool *ret_fuseband)
{
	*ret_fuseband = byte_is_locked(fd, BACKING_CLAIM_BYTE);
	snprintf(why, why_size, "%s",
		 *ret_fuseband ? "is served by another fuseband" : "is open in QEMU");
	return -EBUSY;
}

/* The descriptor that holds the claim, or -errno. */
static int claim_fd(int path_fd, const struct backing_id *id, bool readonly, char *why,
		    size_t why_size, bool *ret_fuseband)
{
	int fd = backing_reopen(path_fd, O_RDONLY | (id->is_block ? O_EXCL : 0));
	if (fd == -EBUSY) {
		CLEANUP(cleanup_fd) int probe = backing_reopen(path_fd, O_RDONLY);
		if (probe >= 0 && byte_is_locked(probe, BACKING_CLAIM_BYTE))
			return explain_locked(probe, why, why_size, ret_fuseband);
		explain_busy(id->dev, why, why_size);
		return fd;
	}
	if (fd < 0) {
		snprintf(why, why_size, "cannot be opened: %s", strerror(-fd));
		return fd;
	}
	if (take_image_locks(fd, readonly) == 0)
		return fd;
	int err = explain_locked(fd, why, why_size, ret_fuseband);
	close(fd);
	return err;
}

int backing_claim(const char *path, const struct backing_id *id, bool readonly,
		  const struct backing_users *users, char *why, size_t why_size, bool *ret_fuseband,
		  struct backing_claim **ret_claim)
{
	CLEANUP(cleanup_fd) int path_fd = -1;
	struct backing_id now;
	*ret_fuseband = false;
	int err = backing_open_path(path, why, why_size, &path_fd, &now);
	if (err)
		return err;
	if (backing_id_compare(id, &now) != 0) {
		snprintf(why, why_size, "was replaced while it was being opened");
		return -ESTALE;
	}
	err = check_users(users, id, readonly, why, why_size);
	if (err)
		return err;
	int fd = claim_fd(path_fd, id, readonly, why, why_size, ret_fuseband);
	if (fd < 0)
		return fd;
	struct backing_claim *claim = malloc(sizeof(*claim));
	if (!claim) {
		close(fd);
		snprintf(why, why_size, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	*claim = (struct backing_claim){.refs = 1, .id = *id, .fd = fd, .readonly = readonly};
	*ret_claim = claim;
	return 0;
}

/*
 * Locks of an open file description are seen by others only, so that another description of the
 * object asks. It finds those of anybody; that others could have one on the same byte was ruled out
 * when the claim was taken.
 */
int backing_claim_adopt(int fd, uint64_t kept, struct backing_claim **ret_claim)
{
	CLEANUP(cleanup_fd) int probe = -1;
	struct backing_claim *claim;
	struct backing_id id = {0};
	struct stat st;
	/*
	 * of what has died since: the identity of nothing, so that its files miss it, and only they
	 */
	if (fstat(fd, &st) < 0) {
		if (errno == EBADF)
			return -EBADF;
	} else if (backing_id_of(&st, &id) < 0) {
		return -EINVAL;
	}
	if (id.dev || id.ino) /* a FIFO would wait, but was refused above */
		probe = backing_reopen(fd, O_RDONLY);
	claim = malloc(sizeof(*claim));
	if (!claim)
		return -ENOMEM;
	*claim = (struct backing_claim){
		.refs = 1,
		.id = id,
		.fd = fd,
		.readonly = probe >= 0 && !byte_is_locked(probe, QEMU_PERM_BASE + PERM_WRITE),
		.kept = kept};
	*ret_claim = claim;
	return 0;
}

struct backing_claim *backing_claim_ref(struct backing_claim *claim)
{
	claim->refs++;
	return claim;
}

void backing_claim_unref(struct backing_claim *claim)
{
	if (!claim || --claim->refs > 0)
		return;
	cleanup_fd(&claim->fd);
	free(claim);
}

int backing_claim_upgrade(struct backing_claim *claim, const struct backing_users *users, char *why,
			  size_t why_size)
{
	bool fuseband;
	if (!claim->readonly)
		return 0;
	int err = check_users(users, &claim->id, false, why, why_size);
	if (!err && take_image_locks(claim->fd, false) < 0)
		err = explain_locked(claim->fd, why, why_size, &fuseband);
	claim->readonly = false;
	if (err)
		backing_claim_downgrade(claim);
	return err;
}

void backing_claim_downgrade(struct backing_claim *claim)
{
	lock_byte(claim->fd, F_UNLCK, QEMU_PERM_BASE + PERM_WRITE);
	claim->readonly = true;
}
