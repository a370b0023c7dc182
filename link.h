/* SPDX-License-Identifier: MIT */
/*
 * link.h - what the parent and a data path say to each other: small messages with descriptors.
 *
 * A pair of SOCK_SEQPACKET sockets: a message arrives whole or not at all, in order, and those that
 * a process has sent before it died are still there to be read.
 *
 *   data path -> parent
 *     MOUNTED    fds: the first /dev/fuse descriptor, then the workers' clones of it
 *     INIT       fds: a memfd with what the kernel asked at the mount; value: 1 = RESEND works
 *     CLAIM      fds: claims of backings, to be held; ids: their names from now on
 *     UNCLAIM    ids: no longer needed
 *     ACCEPTED   fds: a memfd with the accepted configuration (accepted.h); ids: a number that it
 *                has alone. All of the above counts from here on; answered with SETTLED
 *     PREPARED   a standby: it could serve at once
 *     READY      it serves
 *     SIGNAL     value: it got this one, which is the parent's
 *     FAREWELL   value: exit status; it ends because it should
 *   parent -> data path
 *     SETTLED    ids: those of ACCEPTED; value: 0, or -errno: a part of it did not arrive, and
 *                nothing of it counts before all is said again
 *     GO         to a standby: the other one is dead, serve; to the first one: begin
 *     SIGNAL     value: act on it
 *     HEIR       fds: the parent's end of the link to a standby, before that exists; then the same
 *                and its pidfd, value: its process id; or none: there is none any more
 *   data path -> standby, for want of a parent
 *     END        it is not needed
 */
#ifndef FUSEBAND_LINK_H
#define FUSEBAND_LINK_H

#include <stdbool.h>
#include <stdint.h>

enum link_kind {
	LINK_MOUNTED = 1,
	LINK_INIT,
	LINK_CLAIM,
	LINK_UNCLAIM,
	LINK_ACCEPTED,
	LINK_READY,
	LINK_SIGNAL,
	LINK_FAREWELL,
	LINK_SETTLED,
	LINK_GO,
	LINK_HEIR,
	LINK_END,
	LINK_PREPARED,
};

#define LINK_FDS 128U /* of one message; the kernel's limit is 253 */

struct link_message {
	uint32_t kind;
	int32_t value;
	uint32_t n_ids; /* of CLAIM: that of each descriptor */
	uint32_t n_fds;
	uint64_t ids[LINK_FDS];
	int fds[LINK_FDS]; /* received ones are the receiver's, O_CLOEXEC */
};

/* Two ends, O_CLOEXEC. 0 or -errno. */
int link_pair(int ret_ends[2]);
/* 0, or -errno; -EPIPE, -ECONNRESET: the other one is gone. May wait for the other to read. */
int link_send(int fd, const struct link_message *message);
int link_offer(int fd, const struct link_message *message); /* never waits: -EAGAIN */
int link_say(int fd, enum link_kind kind, int value);	    /* without ids and fds */
/*
 * wait: for one. 0, -EAGAIN: none there, -EPIPE: nor will there be one, or another -errno. -EPROTO:
 * it was no message. -EMFILE: we may not have all of its descriptors, and have none of them; the
 * rest of it is there.
 */
int link_receive(int fd, bool wait, struct link_message *ret_message);
void link_close_fds(struct link_message *message);

/* Who stands by, as a data path knows it. */
struct heir {
	int pid;   /* 0: not known (yet) */
	int pidfd; /* likewise -1 */
	int link;  /* -1: nobody does */
};

#define HEIR_NONE ((struct heir){.pidfd = -1, .link = -1})

/* What HEIR says; the descriptors are the heir's. */
void heir_set(struct heir *heir, struct link_message *message);
/* Whether somebody stands by, as far as is known: he was named, and is not dead. */
bool heir_lives(const struct heir *heir);
/* It is to end. */
void heir_dismiss(struct heir *heir);

#endif
