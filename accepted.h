/* SPDX-License-Identifier: MIT */
/*
 * accepted.h - what a data path serves, as bytes that the next one can start from.
 *
 * The text of the configuration as it was accepted, whatever the file says by now, with the
 * partition tables as they were read; the node id and
 * size of each file, which those who have it open rely on; and files that were removed from the
 * configuration but are still open, with the settings they had. (Of a removed file the group is not
 * kept: after a crash its share is that of a file directly below the disk.)
 *
 * It travels in a memfd from the data path that made it through the parent to its successor, which
 * trusts none of its lengths.
 */
#ifndef FUSEBAND_ACCEPTED_H
#define FUSEBAND_ACCEPTED_H

#include "mount.h"

struct accepted_file {
	uint64_t id, size_bytes;
	char *name;
	bool present; /* it has a backing, which is: */
	struct backing_id object;
	struct backing_traits traits;
	bool lost;	/* or had, and it was said that it cannot be opened now */
	uint64_t claim; /* at the parent (backing.h); 0: none */
	bool removed;	/* then section and device tell what it was */
	struct conf_file section;
	char *path, *device; /* device may be NULL */
};

struct accepted {
	struct conf_text text;
	uint64_t generation, next_id;
	struct timespec since, began;
	struct accepted_file *files; /* those in the directory, then the removed ones */
	size_t n_files;
};

/* Workers are parked. 0 or -errno. */
int accepted_save(const struct mount *mount, const struct conf_text *text, int *ret_fd);
/* 0, -EPROTO: it is none, or -errno. */
int accepted_load(int fd, struct accepted *ret_accepted);
void accepted_free(struct accepted *accepted);

#endif
