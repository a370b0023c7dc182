/* SPDX-License-Identifier: MIT */
/*
 * status_files.h - the directory .fuseband of a mount: status.json, fuseband.prom and metrics.
 *
 * They belong to the kernel's view of the mount (front.h) but to no disk: nothing of them passes
 * the scheduler, and no worker waits for them. A worker that reads an OPEN hands it to a thread of
 * this module, which takes a snapshot, renders, and answers; whoever reads from that open file
 * sees this one text until it closes it. Several OPENs that wait share a snapshot.
 *
 * The directory is listed, to whoever asks for hidden names: a name that exists but is not listed
 * puzzles people and breaks globs and backup tools; only owner and group can look into it.
 *
 * Handles are random numbers counted on. After a crash the next process finds one that it
 * does not know: read from the beginning, the file is rendered again; in the middle of a text that
 * is gone the reader gets ESTALE, and starts again.
 */
#ifndef FUSEBAND_STATUS_FILES_H
#define FUSEBAND_STATUS_FILES_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include "snapshot.h"

#define STATUS_FILES_DIR ".fuseband"
#define STATUS_FILES_DIR_ID UINT64_C(2)

struct status_files;

/* Starts its thread; signals are blocked there as they are here. 0 or -errno. */
int status_files_start(struct mount *mount, const struct snapshot_about *about,
		       struct status_files **ret_files);
/* Answers what it was asked, and ends its thread; OPENs fail from now on. NULL is fine. */
void status_files_stop(struct status_files *files);
void status_files_free(struct status_files *files); /* stopped; no worker left. NULL is fine */

/* ---- for front.c, any worker ---- */

/* Is it the directory or a file of it? */
bool status_files_own(fuse_ino_t ino);
/* 0: there is no such name. */
fuse_ino_t status_files_find(fuse_ino_t parent, const char *name);
/* mode, owner, type, and when it was written: now. The rest is left as it is. */
void status_files_attr(const struct mount *mount, fuse_ino_t ino, struct stat *ret_stat);
/* Into a reply to READDIR; offset: as given out, 0 at first. Returns the bytes used. */
size_t status_files_list(fuse_req_t req, off_t offset, char *list, size_t size);

/* They answer, now or later. unique: of the request. files NULL: none are served. */
void status_files_open(struct status_files *files, fuse_req_t req, uint64_t unique, fuse_ino_t ino,
		       int flags);
void status_files_read(struct status_files *files, fuse_req_t req, uint64_t unique, fuse_ino_t ino,
		       size_t size, off_t offset, uint64_t handle);
void status_files_release(struct status_files *files, fuse_req_t req, uint64_t handle);

#endif
