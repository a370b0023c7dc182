/* SPDX-License-Identifier: MIT */
/*
 * share.h - which files share a physical disk, and so a scheduler.
 *
 * A place is what a device number stands for: one or more physical disks. Places that have
 * a disk in common, or that were bound to the same device name, are one set: one
 * scheduler. Places and devices are numbers from 0, sets are known by one of their disks.
 */
#ifndef FUSEBAND_SHARE_H
#define FUSEBAND_SHARE_H

#include <stddef.h>
#include <sys/types.h>

#include "disks.h"

#define SHARE_NONE ((size_t)-1)

/* A physical disk, or a filesystem without one. */
struct share_leaf {
	dev_t dev;
	char name[DISKS_NAME_MAX];
	size_t up;  /* towards the root of its set; a root points at itself */
	int device; /* of a root: the name of the set, or -1 */
};

/* A device number that a path led to, resolved once. */
struct share_place {
	dev_t dev;
	int err;
	size_t leaf; /* one of its set */
	struct disks_leaves *disks;
};

struct share {
	const struct disks_view *view;
	struct share_place *places;
	size_t n_places;
	struct share_leaf *leaves;
	size_t n_leaves;
	size_t *device_leaf; /* per device: a leaf of its set, or SHARE_NONE */
};

/* view is borrowed. 0 or -ENOMEM. */
int share_init(struct share *share, const struct disks_view *view, size_t n_devices);
void share_free(struct share *share);

/*
 * Find or add the place of a device number (st_rdev of a block device, else st_dev). path: one that
 * led to it. 0 or -errno: as disks_resolve(), -ENOMEM, or -EXDEV when its disks belong to two
 * devices already.
 */
int share_place(struct share *share, dev_t dev, const char *path, size_t *ret_place);

/* The set of place is device's from now on: -1, or another device that has it already. */
int share_bind(struct share *share, size_t place, int device);

/* The set of a place. */
size_t share_set(struct share *share, size_t place);

/* Indices of the leaves of a set, by name ("sda" before "sdb"), into ret (n_leaves long). */
size_t share_set_leaves(struct share *share, size_t set, size_t *ret);

#endif
