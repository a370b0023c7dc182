/* SPDX-License-Identifier: MIT */
/*
 * mountinfo.c - on which filesystem a path lies, and whether it leads into our own mount.
 *
 * stat() would be the natural way, and is forbidden: a path, or the file of a loop device, may
 * lie in the very mount that this process serves, and asking the kernel about it would wait for
 * an answer from ourselves for ever. /proc/self/mountinfo is text that answers
 * without looking anything up, and symbolic links can be followed by hand, one component at a time.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "mountinfo.h"
#include "cleanup.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* As the kernel follows them (MAXSYMLINKS). */
#define LINKS_MAX 40

/* Space, tab, newline and backslash are written as \ooo. */
static char *unescape(const char *text, size_t len)
{
	char *out = malloc(len + 1);
	if (!out)
		return NULL;
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\\' && i + 3 < len && text[i + 1] >= '0' && text[i + 1] <= '3') {
			out[n++] = (char)((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
					  (text[i + 3] - '0'));
			i += 3;
		} else {
			out[n++] = text[i];
		}
	}
	out[n] = '\0';
	return out;
}

/* "rw,user_id=0,group_id=0": of FUSE. */
static long user_of(const char *options)
{
	const char *user = strstr(options, "user_id=");

	return user ? strtol(user + strlen("user_id="), NULL, 10) : -1;
}

/*
 * "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw": the number of optional
 * fields before the dash varies. Lines that look different are left out.
 */
static int parse_mount(char *line, struct mountinfo_line *ret_mount)
{
	struct mountinfo_line mount = {0};
	unsigned maj, min;
	int used = 0;
	if (sscanf(line, "%d %d %u:%u %*s %n", &mount.id, &mount.parent, &maj, &min, &used) != 4 ||
	    used == 0)
		return -EINVAL;
	mount.dev = makedev(maj, min);
	const char *point = line + used;
	size_t point_len = strcspn(point, " ");
	const char *dash = strstr(point, " - ");
	if (!dash)
		return -EINVAL;
	const char *type = dash + 3;
	size_t type_len = strcspn(type, " ");
	const char *source = type + type_len + (type[type_len] == ' ');
	mount.point = unescape(point, point_len);
	mount.type = unescape(type, type_len);
	mount.source = unescape(source, strcspn(source, " "));
	mount.user = user_of(source + strcspn(source, " "));
	if (!mount.point || !mount.type || !mount.source) {
		free(mount.point);
		free(mount.type);
		free(mount.source);
		return -ENOMEM;
	}
	*ret_mount = mount;
	return 0;
}

int mountinfo_read(struct mountinfo *ret_mounts)
{
	struct mountinfo mounts = {0};
	CLEANUP(cleanup_file) FILE *file = fopen("/proc/self/mountinfo", "re");
	CLEANUP(cleanup_chars) char *line = NULL;
	size_t line_size = 0, room = 0;
	int err = 0;
	if (!file)
		return -errno;
	while (getline(&line, &line_size, file) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (mounts.n == room) {
			room = room ? 2 * room : 64;
			struct mountinfo_line *grown =
				reallocarray(mounts.list, room, sizeof(*mounts.list));
			if (!grown) {
				err = -ENOMEM;
				goto fail;
			}
			mounts.list = grown;
		}
		err = parse_mount(line, &mounts.list[mounts.n]);
		if (err == -ENOMEM)
			goto fail;
		if (err == 0)
			mounts.n++;
	}
	*ret_mounts = mounts;
	return 0;
fail:
	mountinfo_free(&mounts);
	return err;
}

void mountinfo_free(struct mountinfo *mounts)
{
	for (size_t i = 0; i < mounts->n; i++) {
		free(mounts->list[i].point);
		free(mounts->list[i].type);
		free(mounts->list[i].source);
	}
	free(mounts->list);
	*mounts = (struct mountinfo){0};
}

bool mountinfo_path_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);
	while (len > 0 && dir[len - 1] == '/')
		len--;
	return strncmp(path, dir, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

/*
 * The longest mount point would be wrong below a directory that a later mount covers.
 * So descend as the kernel does: from the root mount to the child whose mount point comes first on
 * the way to the path, until none is left.
 */
static bool has_parent(const struct mountinfo *mounts, const struct mountinfo_line *mount)
{
	for (size_t i = 0; i < mounts->n; i++)
		if (&mounts->list[i] != mount && mounts->list[i].id == mount->parent)
			return true;
	return false;
}

/*
 * Down from the root, the outermost first. In a chroot the root itself need not be a mount: then
 * those whose parent is not in the table are the first.
 */
const struct mountinfo_line *mountinfo_find(const struct mountinfo *mounts, const char *path)
{
	const struct mountinfo_line *at = NULL;

	/*
	 * The tree has no cycles; the count keeps a table torn while it was read from making one.
	 */
	for (size_t steps = 0; steps < mounts->n; steps++) {
		const struct mountinfo_line *next = NULL;

		for (size_t i = 0; i < mounts->n; i++) {
			const struct mountinfo_line *mount = &mounts->list[i];

			if (mount == at || !mountinfo_path_below(path, mount->point) ||
			    (at ? mount->parent != at->id : has_parent(mounts, mount)))
				continue;
			if (!next || strlen(mount->point) < strlen(next->point))
				next = mount;
		}
		if (!next)
			break;
		at = next;
	}
	return at;
}

bool mountinfo_is_fuse(const struct mountinfo_line *mount)
{
	return strncmp(mount->type, "fuse", 4) == 0 && strcmp(mount->type, "fusectl") != 0;
}

/*
 * One step of a walk: take the first component off *next and append it to done (PATH_MAX bytes, ""
 * is the root). 1: done is a new name; 0: nothing to look at; or -errno, -ENODATA at the end.
 */
static int take_component(char *done, const char **next)
{
	*next += strspn(*next, "/");
	size_t len = strcspn(*next, "/"), done_len = strlen(done);
	const char *name = *next;
	*next += len;
	if (len == 0)
		return -ENODATA;
	if (len == 1 && name[0] == '.')
		return 0;
	if (len == 2 && name[0] == '.' && name[1] == '.') {
		char *slash = strrchr(done, '/');
		if (slash)
			*slash = '\0';
		return 0;
	}
	if (done_len + 1 + len >= PATH_MAX)
		return -ENAMETOOLONG;
	done[done_len] = '/';
	memcpy(done + done_len + 1, name, len);
	done[done_len + 1 + len] = '\0';
	return 1;
}

bool mountinfo_path_enters(const char *path, const char *const *dirs, size_t n_dirs)
{
	char done[PATH_MAX] = "", rest[PATH_MAX], joined[PATH_MAX], target[PATH_MAX];
	if (strlen(path) >= sizeof(rest))
		return false;
	const char *next = strcpy(rest, path);
	/* Whatever ends the walk early is what open() of the path will complain about. */
	for (int links = 0; links <= LINKS_MAX;) {
		int step = take_component(done, &next);
		if (step < 0)
			return false;
		for (size_t i = 0; step > 0 && i < n_dirs; i++)
			if (mountinfo_path_below(done, dirs[i]))
				return true;
		ssize_t len = step > 0 ? readlink(done, target, sizeof(target) - 1) : 0;
		if (len < 0 && errno != EINVAL)
			return false;
		if (len <= 0)
			continue;
		target[len] = '\0';
		*(target[0] == '/' ? done : strrchr(done, '/')) = '\0';
		if (strlen(target) + strlen(next) >= sizeof(joined))
			return false;
		next = strcpy(rest, strcat(strcpy(joined, target), next));
		links++;
	}
	return false;
}

int mountinfo_points(const struct mountinfo *mounts, const char *mountpoint,
		     const char ***ret_points, size_t *ret_n, bool *ret_mounted, dev_t *ret_dev)
{
	const char **points = calloc(mounts->n + 1, sizeof(*points));
	const struct mountinfo_line *top = NULL;
	size_t n = 0;
	if (!points)
		return -ENOMEM;
	for (size_t i = 0; i < mounts->n; i++)
		if (strcmp(mounts->list[i].point, mountpoint) == 0)
			top = &mounts->list[i]; /* the last one is on top */
	if (top && !mountinfo_is_fuse(top))
		top = NULL;
	points[n++] = mountpoint;
	for (size_t i = 0; top && i < mounts->n; i++)
		if (mounts->list[i].dev == top->dev && strcmp(mounts->list[i].point, mountpoint))
			points[n++] = mounts->list[i].point;
	*ret_points = points;
	*ret_n = n;
	*ret_mounted = top != NULL;
	*ret_dev = top ? top->dev : 0;
	return 0;
}
