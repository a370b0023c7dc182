/* SPDX-License-Identifier: MIT */
/*
 * share.c - union-find over physical disks.
 *
 * The disks of one path are united, so are all disks of paths that are bound to the same device
 * name. The root of a set knows its name, if it has one. Two names in one set would be two
 * schedulers that know nothing of each other's requests at one disk, so a union
 * that would bring them together does not happen and is reported.
 *
 *	[device:fast] path = /dev/sda	{sda: fast}
 *	vm1  /dev/sda1			{sda: fast}
 *	vm2  /dev/vg/root on sda2, sdb1	{sda, sdb: fast}
 *	vm3  /dev/sdb2			{sda, sdb: fast}
 *	vm4  /dev/sdc, device = slow	{sda, sdb: fast} {sdc: slow}
 *	vm5  /dev/sdc1, device = fast	error: sdc is in slow already
 *
 * The order of calls decides only which of two names is the one too many.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "share.h"
#include "mountinfo.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

int share_init(struct share *share, const struct disks_view *view, size_t n_devices)
{
	*share = (struct share){.view = view};
	share->device_leaf = calloc(n_devices + 1, sizeof(*share->device_leaf));
	if (!share->device_leaf)
		return -ENOMEM;
	for (size_t i = 0; i < n_devices; i++)
		share->device_leaf[i] = SHARE_NONE;
	return 0;
}

void share_free(struct share *share)
{
	for (size_t i = 0; i < share->n_places; i++)
		free(share->places[i].disks);
	free(share->places);
	free(share->leaves);
	free(share->device_leaf);
	*share = (struct share){0};
}

/* Room for one more than n; doubles. NULL: no memory, and list is intact. */
static void *room_for(void *list, size_t n, size_t size)
{
	if (n > 0 && (n & (n - 1)) != 0)
		return list;
	return reallocarray(list, n ? 2 * n : 1, size);
}

static size_t find_root(struct share *share, size_t leaf)
{
	struct share_leaf *leaves = share->leaves;
	while (leaves[leaf].up != leaf) {
		leaves[leaf].up = leaves[leaves[leaf].up].up;
		leaf = leaves[leaf].up;
	}
	return leaf;
}

/* One set of two: 0, or -EXDEV when they have different names: they stay apart then. */
static int unite(struct share *share, size_t a, size_t b)
{
	a = find_root(share, a);
	b = find_root(share, b);
	struct share_leaf *first = &share->leaves[a], *second = &share->leaves[b];
	if (a == b)
		return 0;
	if (first->device >= 0 && second->device >= 0 && first->device != second->device)
		return -EXDEV;
	if (first->device < 0)
		first->device = second->device;
	second->up = a;
	return 0;
}

static int add_leaf(struct share *share, dev_t dev, const char *name, size_t *ret_leaf)
{
	for (size_t i = share->n_leaves; i-- > 0;) {
		if (share->leaves[i].dev == dev) {
			*ret_leaf = i;
			return 0;
		}
	}
	struct share_leaf *leaves = room_for(share->leaves, share->n_leaves, sizeof(*leaves));
	if (!leaves)
		return -ENOMEM;
	share->leaves = leaves;
	struct share_leaf *leaf = &leaves[share->n_leaves];
	*leaf = (struct share_leaf){.dev = dev, .up = share->n_leaves, .device = -1};
	snprintf(leaf->name, sizeof(leaf->name), "%s", name);
	*ret_leaf = share->n_leaves++;
	return 0;
}

/* Which disks, and whether it is "the file system 0:45", which tells nobody anything. */
static int resolve(struct share *share, dev_t dev, const char *path, struct disks_leaves *ret_disks)
{
	char real[PATH_MAX];
	/* Anonymous: subvolumes of one filesystem have different numbers in st_dev. */
	bool anonymous = major(dev) == 0 && realpath(path, real);
	int err = anonymous ? share->view->device_of(share->view->mounts, real, &dev) : 0;
	if (!err)
		err = disks_resolve(share->view, dev, ret_disks);
	const struct mountinfo_line *mount = !err && anonymous && share->view->mounts
						     ? mountinfo_find(share->view->mounts, real)
						     : NULL;
	if (mount && mount->dev == dev)
		snprintf(ret_disks->why, sizeof(ret_disks->why), "the %s file system at %s",
			 mount->type, mount->point);
	return err;
}

static int unite_disks(struct share *share, struct share_place *place)
{
	int err = 0;
	for (size_t i = 0; !err && i < place->disks->n; i++) {
		size_t leaf;
		err = add_leaf(share, place->disks->leaf[i].dev, place->disks->leaf[i].name, &leaf);
		if (!err && i > 0)
			err = unite(share, place->leaf, leaf);
		else if (!err)
			place->leaf = leaf;
	}
	return err;
}

int share_place(struct share *share, dev_t dev, const char *path, size_t *ret_place)
{
	for (size_t i = share->n_places; i-- > 0;) {
		if (share->places[i].dev == dev) {
			*ret_place = i;
			return share->places[i].err;
		}
	}
	struct share_place *places = room_for(share->places, share->n_places, sizeof(*places));
	struct share_place place = {.dev = dev, .disks = calloc(1, sizeof(*place.disks))};
	if (places)
		share->places = places;
	if (!places || !place.disks) {
		free(place.disks);
		return -ENOMEM;
	}
	place.err = resolve(share, dev, path, place.disks);
	if (!place.err)
		place.err = unite_disks(share, &place);
	places[share->n_places] = place;
	*ret_place = share->n_places++;
	return place.err;
}

int share_bind(struct share *share, size_t place, int device)
{
	size_t root = share_set(share, place);
	struct share_leaf *leaf = &share->leaves[root];
	if (leaf->device >= 0 && leaf->device != device)
		return leaf->device;
	leaf->device = device;
	if (share->device_leaf[device] == SHARE_NONE)
		share->device_leaf[device] = root;
	unite(share, share->device_leaf[device], root); /* same name: goes well */
	return -1;
}

size_t share_set(struct share *share, size_t place)
{
	return find_root(share, share->places[place].leaf);
}

static int compare_names(const void *a, const void *b, void *share)
{
	const struct share_leaf *leaves = ((const struct share *)share)->leaves;
	return strverscmp(leaves[*(const size_t *)a].name, leaves[*(const size_t *)b].name);
}

size_t share_set_leaves(struct share *share, size_t set, size_t *ret)
{
	size_t n = 0;
	for (size_t i = 0; i < share->n_leaves; i++)
		if (find_root(share, i) == set)
			ret[n++] = i;
	qsort_r(ret, n, sizeof(*ret), compare_names, share);
	return n;
}
