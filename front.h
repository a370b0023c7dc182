/* SPDX-License-Identifier: MIT */
/*
 * front.h - the mount towards the kernel: session, negotiation, namespace.
 *
 * libfuse mounts, negotiates and answers everything that does not go to a disk, through its
 * low-level operations. Each worker has a clone of the /dev/fuse descriptor and a libfuse session
 * on it, as an answer must go out where the request came in. Who holds the mount (front_mount) and
 * who serves it (front_session) share a descriptor and the saved INIT request only, so that they
 * can be different processes.
 */
#ifndef FUSEBAND_FRONT_H
#define FUSEBAND_FRONT_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stddef.h>
#include "mount.h"
#include "status_files.h"

#define FRONT_INIT_MAX 8192U /* the kernel refuses to read INIT into less */

struct front {
	struct fuse_session *session; /* made the mount, answers INIT; NULL: another process did */
	int fd;			      /* /dev/fuse */
	char *mountpoint;
	bool can_resend; /* the kernel knows FUSE_NOTIFY_RESEND (Linux 6.9) */
	dev_t dev;	 /* of our file system, 0 = not known */
	int steward;	 /* steward.h; -1 until whoever made us says: nobody */
	struct mount *mount;
	struct status_files *status; /* set before there are requests; NULL: none */
	bool debug;
	_Atomic bool *unmounted; /* set by whoever sees it */
	char init[FRONT_INIT_MAX];
	size_t init_bytes;
	unsigned max_background; /* to negotiate */
	unsigned max_write;	 /* negotiated */
};

/* One worker's. */
struct front_session {
	struct fuse_session *session;
	int fd;			  /* clone, non-blocking */
	struct kept_worker *mark; /* whose it is; OPEN and RELEASE are noted there */
	uint64_t unique;	  /* of the request that is being processed */
};

/*
 * Mount and negotiate. options: as after -o, or NULL; max_background: gate.h. Returns 0, or -errno
 * after telling why on stderr (libfuse's own words).
 */
int front_mount(struct mount *mount, const char *mountpoint, const char *options, bool debug,
		unsigned max_background, struct front **ret_front);
/*
 * Unmount, lazily if it is in use; the rest of the requests is aborted by the kernel. False, and
 * nothing was done: somebody has taken it away from there, and it lives on for who has files open.
 */
bool front_unmount(struct front *front);
void front_free(struct front *front); /* NULL is fine */

/*
 * The mount that another process made and left, with its descriptor (which becomes the front's) and
 * the INIT request it got. 0 or -errno.
 */
int front_adopt(struct mount *mount, const char *mountpoint, int fd, const char *init,
		size_t init_bytes, bool debug, struct front **ret_front);
/* Whoever served before is dead: the kernel sends again what it has not answered. 0 or -errno. */
int front_resend(const struct front *front);

/* clone: one that another process left (taken over on success), or -1: a new one. 0 or -errno. */
int front_session_open(struct front *front, int clone, struct kept_worker *mark,
		       struct front_session *ret_session);
void front_session_close(struct front_session *session);

/* What is REQUEST_OTHER to request_decode(). header: as read from session->fd. */
void front_process(struct front_session *session, char *header, size_t n);

#endif
