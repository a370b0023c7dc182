/* SPDX-License-Identifier: MIT */
/*
 * plan_disks.c - the schedulers of a plan: one for every set of disks that a file is on.
 *
 * A set that has a device name is called that. Others are called like their disks, sorted by name
 * so that it does not depend on the order of files, and the same at every start and reload: "sda",
 * "sda+sdb", "fs 0:45". What was found out about the first file stands for all in the line that
 * explains it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "plan_disks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names of disks in the name of a scheduler: "sda+sdb+sdc+sdd+9 more". */
#define NAME_LEAVES_MAX 4

static int compare_devs(const void *a, const void *b)
{
	dev_t x = *(const dev_t *)a, y = *(const dev_t *)b;
	return (x > y) - (x < y);
}

static bool is_device_name(const struct conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->n_devices; i++)
		if (strcmp(conf->devices[i].name, name) == 0)
			return true;
	return false;
}

/*
 * "sda+sdb": by name, so that it does not depend on the order of files. Every leaf is in one set,
 * so the first one makes it unique among its like; a declared device may have that name all the
 * same.
 */
static char *disk_name(const struct plan *plan, const struct share *share, const size_t *leaves,
		       size_t n)
{
	char *name = NULL;
	size_t size;
	FILE *out = open_memstream(&name, &size);
	if (!out)
		return NULL;
	for (size_t i = 0; i < n && i < NAME_LEAVES_MAX; i++)
		fprintf(out, "%s%s", i ? "+" : "", share->leaves[leaves[i]].name);
	if (n > NAME_LEAVES_MAX)
		fprintf(out, "+%zu more", n - NAME_LEAVES_MAX);
	if (fclose(out) != 0)
		return NULL;
	while (is_device_name(plan->conf, name)) {
		char *longer;
		if (asprintf(&longer, "disk %s", name) < 0)
			longer = NULL;
		free(name);
		name = longer;
		if (!name)
			return NULL;
	}
	return name;
}

/* "/dev/sda11 is a partition of sda", "/srv/a.img lies on sda3, a partition of sda". */
static char *disk_why(const struct plan_file *file, const struct disks_leaves *leaves)
{
	char *why;
	int len;
	if (file->backing ? file->backing->id.is_block : file->object.is_block)
		len = asprintf(&why, "%s is %s", file->conf->path, leaves->why);
	else if (strncmp(leaves->why, "the ", 4) == 0)
		len = asprintf(&why, "%s lies on %s", file->conf->path, leaves->why);
	else
		len = asprintf(&why, "%s lies on %s, %s", file->conf->path, leaves->name,
			       leaves->why);
	return len < 0 ? NULL : why;
}

static int make_disk(struct plan *plan, struct share *share, const struct plan_file *file,
		     const struct disks_leaves *place, size_t set, size_t *leaves)
{
	struct plan_disk *disk = &plan->disks[plan->n_disks++];
	size_t n = share_set_leaves(share, set, leaves);
	int device = share->leaves[set].device;
	disk->conf = device >= 0 ? &plan->conf->devices[device] : NULL;
	disk->name = disk->conf ? strdup(disk->conf->name) : disk_name(plan, share, leaves, n);
	disk->why = disk_why(file, place);
	disk->leaves = calloc(n + 1, sizeof(*disk->leaves));
	if (!disk->name || !disk->why || !disk->leaves)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		disk->leaves[disk->n_leaves++] = share->leaves[leaves[i]].dev;
	qsort(disk->leaves, n, sizeof(*disk->leaves), compare_devs);
	return 0;
}

int plan_disks_make(struct plan *plan, struct share *share, const size_t *places)
{
	size_t n_leaves = share->n_leaves;
	size_t *leaves = calloc(n_leaves + 1, sizeof(*leaves));
	size_t *disk_of = calloc(n_leaves + 1, sizeof(*disk_of)); /* per set, + 1 */
	plan->disks = calloc(n_leaves + 1, sizeof(*plan->disks));
	int err = leaves && disk_of && plan->disks ? 0 : -ENOMEM;
	for (size_t i = 0; !err && i < plan->n_files; i++) {
		struct plan_file *file = &plan->files[i];
		if (!file->backing && !file->lost)
			continue;
		size_t place = places[i], set = share_set(share, place);
		if (disk_of[set] == 0) {
			err = make_disk(plan, share, file, share->places[place].disks, set, leaves);
			disk_of[set] = plan->n_disks;
		}
		file->disk = disk_of[set] - 1;
	}
	free(leaves);
	free(disk_of);
	return err;
}
