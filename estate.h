/* SPDX-License-Identifier: MIT */
/*
 * estate.h - what a data path leaves to its successor: descriptors, and what they stand for.
 *
 * The parent has one and holds all of it. Each data path has one, too, by fork() or as it made it:
 * should the parent die, it starts a new parent that inherits from it.
 *
 * Changes travel as messages (link.h) and count from ACCEPTED on: a data path that dies in the
 * middle of one has changed nothing.
 */
#ifndef FUSEBAND_ESTATE_H
#define FUSEBAND_ESTATE_H

#include <stdbool.h>
#include <stddef.h>
#include "keep.h"
#include "link.h"
#include "pack.h"

#define ESTATE_CLONES 64U

struct estate_claim {
	uint64_t id;
	int fd;
	bool fresh, stale; /* until the next ACCEPTED: new, to go */
	bool unused;	   /* not the owner's, and of no file: closed with it all the same */
};

struct estate {
	bool owner;	 /* its descriptors are closed with it: the parent's */
	bool can_resend; /* the kernel sends unanswered requests again (Linux 6.9) */
	int fuse_fd;	 /* -1: not mounted yet */
	int clones[ESTATE_CLONES];
	unsigned n_clones;
	int init_fd;	 /* what the kernel asked at the mount; -1 */
	int accepted_fd; /* accepted.h; -1: nothing was accepted yet */
	int keep_fd;	 /* keep.h */
	struct keep *keep;
	struct estate_claim *claims; /* by id */
	size_t n_claims;
	uint64_t next_claim;
};

/* Empty, with a new keep. 0 or -errno. */
int estate_create(struct estate *estate);
/* Closes everything if it is the owner. */
void estate_free(struct estate *estate);

/*
 * Takes over what a message brings, and its descriptors. 0, or -ENOMEM, -EPROTO: nothing changed.
 */
int estate_apply(struct estate *estate, struct link_message *message);
/* Forget what came without an ACCEPTED behind it: who sent it is dead. */
void estate_forget(struct estate *estate);
/* Not all of it came: forget the claims. They are sent again; which ones are to go is known. */
void estate_refuse(struct estate *estate);

/* For a process that is to be started with exec: what to write, and which descriptors it needs. */
void estate_pack(const struct estate *estate, struct pack *pack);
/* 0, -EPROTO, -ENOMEM; its descriptors are the owner's. */
int estate_unpack(struct unpack *unpack, struct estate *ret_estate);
/* All of them, for each: 0 or what it returned first. */
int estate_each(const struct estate *estate, int (*each)(int fd, void *data), void *data);

#endif
