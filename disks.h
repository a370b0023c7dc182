/* SPDX-License-Identifier: MIT */
/*
 * disks.h - which physical disks lie below a device number, from sysfs.
 *
 * partition -> whole disk; loop -> the disk below its file; device-mapper and md -> slaves/ down to
 * the leaves; a filesystem with an anonymous device number (FUSE, NFS, btrfs, tmpfs) stands for
 * itself. Everything goes through struct disks_view, so that tests bring a sysfs
 * tree of their own.
 */
#ifndef FUSEBAND_DISKS_H
#define FUSEBAND_DISKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mountinfo;

struct disks_view {
	const char *sysfs;		/* "/sys" */
	const struct mountinfo *mounts; /* for device_of; NULL: it reads them each time */
	/*
	 * Device number of the filesystem that holds the file at an absolute path without
	 * symbolic links, or of the block device whose node it is: 0 or -errno. All
	 * subvolumes of a btrfs give the same number, other than st_dev.
	 */
	int (*device_of)(const struct mountinfo *mounts, const char *path, dev_t *ret_dev);
};
extern const struct disks_view disks_system; /* this machine */

#define DISKS_LEAVES_MAX 64
#define DISKS_NAME_MAX 64
struct disks_leaves {
	struct {
		dev_t dev;		   /* whole disk, or anonymous filesystem */
		char name[DISKS_NAME_MAX]; /* "sda", "fs 0:45" */
	} leaf[DISKS_LEAVES_MAX];	   /* each disk once, in the order in which it was found */
	size_t n;
	bool itself;		   /* dev is its own and only leaf */
	char name[DISKS_NAME_MAX]; /* of dev: "sda11", "dm-0", "fs 0:45" */
	/* What dev is, for "/dev/sda11 is ...": "a partition of sda", "the disk sda". */
	char why[512];
};

/*
 * dev: a block device or the device of a filesystem. 0 or -errno (-ELOOP, -E2BIG). A device that
 * sysfs does not know, and a loop device whose file cannot be found, stand for themselves.
 */
int disks_resolve(const struct disks_view *view, dev_t dev, struct disks_leaves *ret_leaves);

/*
 * One attribute of a block device, without the newline: attr is relative to its directory
 * ("partition",
 * "../dev", "loop/offset"). 0 or -errno (-ENOENT, -E2BIG when it does not fit).
 */
int disks_attr(const struct disks_view *view, dev_t dev, const char *attr, char *ret, size_t size);
/* The same for numbers from 0: -EINVAL when it is none. */
int disks_attr_u64(const struct disks_view *view, dev_t dev, const char *attr, uint64_t *ret);
/* The same for "8:1". */
int disks_attr_dev(const struct disks_view *view, dev_t dev, const char *attr, dev_t *ret);

#endif
