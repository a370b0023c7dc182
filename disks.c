/* SPDX-License-Identifier: MIT */
/*
 * disks.c - which physical disks lie below a device number.
 *
 * The kernel describes every block device under /sys/dev/block/MAJOR:MINOR. Four of the
 * entries there are all that is needed to get from what a path leads to down to the disks
 * whose service is shared:
 *
 *	partition		it is one; the directory above is the whole disk
 *	loop/backing_file	the file or device that a loop device is attached to
 *	slaves/			what a device-mapper, md or bcache device is made of
 *	none of them		a disk: a leaf
 *
 *	/srv/a.img on ext4 on vg-root (dm-0) over sda3 and md127 (sdb1, sdc1)
 *
 *	254:0 dm-0 --slaves--> sda3 --partition--> sda			leaf
 *	           --slaves--> md127 --slaves--> sdb1 --partition--> sdb	leaf
 *	                                         sdc1 --partition--> sdc	leaf
 *
 * Filesystems without a block device (major number 0) are leaves too: what FUSE or NFS
 * stand on is another machine's affair, and what they serve they serve as one.
 *
 * The walk is depth first. `seen` keeps what was done already, so that a volume with
 * thousands of segments on one disk is looked at once; `depth` bounds it, because nothing else
 * does: a loop device over a file on a FUSE filesystem on that loop device is a cycle that can
 * really be built.
 *
 * Not handled: the disks below a btrfs or ZFS (one scheduler per filesystem instead), journals on
 * other devices.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "disks.h"
#include "cleanup.h"
#include "mountinfo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Deeper than any stack of volumes that people build; shallow enough for the call stack. */
#define DEPTH_MAX 16
/* Different devices in one walk. */
#define SEEN_MAX 1024

/* ---- sysfs ------------------------------------------------------------------------------- */

/* -ENAMETOOLONG rather than half a path. */
__attribute__((format(printf, 3, 4))) static int format_path(char *buf, size_t size,
							     const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	int len = vsnprintf(buf, size, fmt, args);
	va_end(args);
	return len < 0 || (size_t)len >= size ? -ENAMETOOLONG : 0;
}

int disks_attr(const struct disks_view *view, dev_t dev, const char *attr, char *ret, size_t size)
{
	char path[PATH_MAX];
	int err = format_path(path, sizeof(path), "%s/dev/block/%u:%u/%s", view->sysfs, major(dev),
			      minor(dev), attr);
	if (err)
		return err;
	CLEANUP(cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* One byte more than fits, to notice what is longer: the newline is dropped anyway. */
	char buf[PATH_MAX + 2];
	size_t room = size + 1 < sizeof(buf) ? size + 1 : sizeof(buf);
	size_t len = 0;
	while (len < room) {
		ssize_t n = read(fd, buf + len, room - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	if (len > 0 && buf[len - 1] == '\n')
		len--;
	if (len >= size)
		return -E2BIG;
	memcpy(ret, buf, len);
	ret[len] = '\0';
	return 0;
}

int disks_attr_u64(const struct disks_view *view, dev_t dev, const char *attr, uint64_t *ret)
{
	char buf[32], *end;
	int err = disks_attr(view, dev, attr, buf, sizeof(buf));
	if (err)
		return err;
	if (buf[0] < '0' || buf[0] > '9')
		return -EINVAL;
	errno = 0;
	uintmax_t value = strtoumax(buf, &end, 10);
	if (errno || *end != '\0')
		return -EINVAL;
	*ret = value;
	return 0;
}

int disks_attr_dev(const struct disks_view *view, dev_t dev, const char *attr, dev_t *ret)
{
	char buf[32];
	unsigned maj, min;
	int err = disks_attr(view, dev, attr, buf, sizeof(buf));
	if (err)
		return err;
	if (sscanf(buf, "%u:%u", &maj, &min) != 2)
		return -EINVAL;
	*ret = makedev(maj, min);
	return 0;
}

/* The kernel's name: the last part of where dev/block/MAJOR:MINOR points. */
static int device_name(const struct disks_view *view, dev_t dev, char ret[DISKS_NAME_MAX])
{
	char path[PATH_MAX], target[PATH_MAX];
	int err = format_path(path, sizeof(path), "%s/dev/block/%u:%u", view->sysfs, major(dev),
			      minor(dev));
	if (err)
		return err;
	ssize_t len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return -errno;
	target[len] = '\0';
	const char *slash = strrchr(target, '/');
	snprintf(ret, DISKS_NAME_MAX, "%.*s", DISKS_NAME_MAX - 1, slash ? slash + 1 : target);
	return 0;
}

/* ---- the walk ---------------------------------------------------------------------------- */

struct walk {
	const struct disks_view *view;
	struct disks_leaves *leaves;
	dev_t seen[SEEN_MAX];
	size_t n_seen;
	dev_t stack[DEPTH_MAX];
};

/* Text that is for people only: cut when it is too long. */
struct words {
	char buf[512];
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void add_text(struct words *text, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(text->buf + text->len, sizeof(text->buf) - text->len, fmt, args);
	va_end(args);
	if (n > 0)
		text->len += (size_t)n;
	if (text->len >= sizeof(text->buf))
		text->len = sizeof(text->buf) - 1;
}

static int add_leaf(struct walk *walk, dev_t dev, const char *name)
{
	struct disks_leaves *leaves = walk->leaves;
	for (size_t i = 0; i < leaves->n; i++)
		if (leaves->leaf[i].dev == dev)
			return 0;
	if (leaves->n == DISKS_LEAVES_MAX)
		return -E2BIG;
	leaves->leaf[leaves->n].dev = dev;
	snprintf(leaves->leaf[leaves->n].name, DISKS_NAME_MAX, "%s", name);
	leaves->n++;
	return 0;
}

static int visit(struct walk *walk, dev_t dev, unsigned depth, char *name, struct words *text);

/* "sda3, a partition of sda"; or just "the disk sda": what starts with "the" names itself. */
static int visit_below(struct walk *walk, dev_t dev, unsigned depth, struct words *text)
{
	char name[DISKS_NAME_MAX];
	struct words what = {0};
	int err = visit(walk, dev, depth, name, &what);
	if (err)
		return err;
	if (strncmp(what.buf, "the ", 4) == 0)
		add_text(text, "%s", what.buf);
	else
		add_text(text, "%s, %s", name, what.buf);
	return 0;
}

/* All of slaves/. -ENOENT when there is nothing in it. */
static int visit_slaves(struct walk *walk, dev_t dev, unsigned depth, struct words *text)
{
	char path[PATH_MAX];
	int err = format_path(path, sizeof(path), "%s/dev/block/%u:%u/slaves", walk->view->sysfs,
			      major(dev), minor(dev));
	if (err)
		return err;
	/* Sorted, so that names made of it do not depend on the order of a directory. */
	struct dirent **entries;
	int n_entries = scandir(path, &entries, NULL, alphasort);
	if (n_entries < 0)
		return -errno;
	dev_t slaves[SEEN_MAX];
	size_t n = 0;
	struct words names = {0};
	for (int i = 0; i < n_entries; i++) {
		const char *entry = entries[i]->d_name;
		if (entry[0] != '.' && n < SEEN_MAX) {
			char attr[sizeof("slaves//dev") + NAME_MAX];
			snprintf(attr, sizeof(attr), "slaves/%s/dev", entry);
			if (disks_attr_dev(walk->view, dev, attr, &slaves[n]) == 0)
				add_text(&names, "%s%s", n++ ? ", " : "", entry);
		}
		free(entries[i]);
	}
	free(entries);
	if (n == 0)
		return -ENOENT;
	if (n == 1)
		return visit_below(walk, slaves[0], depth + 1, text);
	add_text(text, "%s", names.buf);
	for (size_t i = 0; i < n && !err; i++) {
		struct words ignored = {0};
		char name[DISKS_NAME_MAX];
		err = visit(walk, slaves[i], depth + 1, name, &ignored);
	}
	return err;
}

static int visit_loop(struct walk *walk, dev_t dev, const char *file, unsigned depth,
		      const char *name, struct words *text)
{
	dev_t below;
	int err = walk->view->device_of(walk->view->mounts, file, &below);
	if (err) {
		add_text(text, "the loop device %s (on %s, not found)", name, file);
		return add_leaf(walk, dev, name);
	}
	add_text(text, "a loop device on %s, which lies on ", file);
	return visit_below(walk, below, depth + 1, text);
}

/* Adds the leaves below dev; its name; and what it is, as it reads after "is". */
static int visit(struct walk *walk, dev_t dev, unsigned depth, char *name, struct words *text)
{
	if (depth == DEPTH_MAX)
		return -ELOOP;
	for (unsigned i = 0; i < depth; i++)
		if (walk->stack[i] == dev)
			return -ELOOP;
	walk->stack[depth] = dev;

	if (major(dev) == 0) {
		snprintf(name, DISKS_NAME_MAX, "fs %u:%u", major(dev), minor(dev));
		add_text(text, "the file system %u:%u", major(dev), minor(dev));
		return add_leaf(walk, dev, name);
	}
	if (device_name(walk->view, dev, name) < 0) {
		snprintf(name, DISKS_NAME_MAX, "%u:%u", major(dev), minor(dev));
		add_text(text, "the device %s, unknown to sysfs", name);
		return add_leaf(walk, dev, name);
	}
	for (size_t i = 0; i < walk->n_seen; i++)
		if (walk->seen[i] == dev)
			return 0; /* only below a branch, where nobody reads the text */
	if (walk->n_seen == SEEN_MAX)
		return -E2BIG;
	walk->seen[walk->n_seen++] = dev;

	char buf[PATH_MAX];
	dev_t whole;
	if (disks_attr(walk->view, dev, "partition", buf, sizeof(buf)) == 0) {
		int err = disks_attr_dev(walk->view, dev, "../dev", &whole);
		if (err)
			return err;
		char whole_name[DISKS_NAME_MAX];
		struct words what = {0};
		err = visit(walk, whole, depth + 1, whole_name, &what);
		if (err)
			return err;
		bool leaf = strncmp(what.buf, "the disk ", 9) == 0;
		add_text(text, "a partition of %s%s%s", whole_name, leaf ? "" : ", ",
			 leaf ? "" : what.buf);
		return 0;
	}
	if (disks_attr(walk->view, dev, "loop/backing_file", buf, sizeof(buf)) == 0)
		return visit_loop(walk, dev, buf, depth, name, text);

	struct words below = {0};
	int err = visit_slaves(walk, dev, depth, &below);
	if (err == 0) {
		if (disks_attr(walk->view, dev, "dm/name", buf, sizeof(buf)) == 0)
			add_text(text, "the volume %s over %s", buf, below.buf);
		else
			add_text(text, "%s over %s",
				 strncmp(name, "md", 2) == 0 ? "an array" : "a device", below.buf);
		return 0;
	}
	if (err != -ENOENT)
		return err;
	add_text(text, "the disk %s", name);
	return add_leaf(walk, dev, name);
}

int disks_resolve(const struct disks_view *view, dev_t dev, struct disks_leaves *ret_leaves)
{
	struct disks_leaves leaves = {0};
	struct walk walk = {.view = view, .leaves = &leaves};
	struct words text = {0};
	int err = visit(&walk, dev, 0, leaves.name, &text);
	if (err)
		return err;
	leaves.itself = leaves.n == 1 && leaves.leaf[0].dev == dev;
	memcpy(leaves.why, text.buf, sizeof(leaves.why));
	*ret_leaves = leaves;
	return 0;
}

/* ---- this machine ------------------------------------------------------------------------- */

static int system_device_of(const struct mountinfo *mounts, const char *path, dev_t *ret_dev)
{
	struct mountinfo own = {0};
	struct stat st;
	int err = mounts ? 0 : mountinfo_read(&own);
	if (err)
		return err;
	const struct mountinfo_line *mount = mountinfo_find(mounts ? mounts : &own, path);
	if ((!mount || !mountinfo_is_fuse(mount)) && stat(path, &st) == 0 &&
	    (!mount ||
	     S_ISBLK(st.st_mode))) /* NULL: a root that is no mount, and surely not ours */
		*ret_dev = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	else if (mount)
		*ret_dev = mount->dev;
	else
		err = -ENOENT;
	mountinfo_free(&own);
	return err;
}

const struct disks_view disks_system = {.sysfs = "/sys", .device_of = system_device_of};
