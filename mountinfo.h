/* SPDX-License-Identifier: MIT */
/*
 * mountinfo.h - the mount table, and questions about paths that are answered without touching
 * them: safe for paths on a filesystem that this very process serves.
 */
#ifndef FUSEBAND_MOUNTINFO_H
#define FUSEBAND_MOUNTINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* One line of the mount table (proc_pid_mountinfo(5)). */
struct mountinfo_line {
	int id, parent;
	dev_t dev; /* of the filesystem's superblock */
	char *point, *type, *source;
	long user; /* of FUSE: who mounted it; else -1 */
};
struct mountinfo {
	struct mountinfo_line *list;
	size_t n;
};
int mountinfo_read(struct mountinfo *ret_mounts); /* 0 or -errno */
void mountinfo_free(struct mountinfo *mounts);

/*
 * The mount on which an absolute path without symbolic links lies, or NULL: the root of a chroot
 * that is no mount. Nothing is looked up: a
 * path on a filesystem that this very process serves is safe.
 */
const struct mountinfo_line *mountinfo_find(const struct mountinfo *mounts, const char *path);
/*
 * Where the filesystem that is mounted at mountpoint (absolute, without symbolic links) can be
 * seen, if it is a FUSE mount already: there and in bind mounts; and its device number. The strings
 * are those of mounts, and mountpoint itself; free() the list. 0 or -ENOMEM.
 */
int mountinfo_points(const struct mountinfo *mounts, const char *mountpoint,
		     const char ***ret_points, size_t *ret_n, bool *ret_mounted, dev_t *ret_dev);
bool mountinfo_is_fuse(const struct mountinfo_line *mount);

/* True when an absolute, normalised path is dir or lies below it. Exported for tests. */
bool mountinfo_path_below(const char *path, const char *dir);

/*
 * True when an absolute path leads to or through one of n_dirs directories (absolute, without
 * symbolic links). Links on the way are followed, and nothing at or below the
 * directories is touched.
 */
bool mountinfo_path_enters(const char *path, const char *const *dirs, size_t n_dirs);

#endif
