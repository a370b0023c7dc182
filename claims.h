/* SPDX-License-Identifier: MIT */
/*
 * claims.h - the objects of one plan, each claimed once.
 *
 * Many files may expose ranges of one disk or image; the right to it can be had only once. So
 * objects are collected first, with what all their files want of them, then claimed, or
 * lent the claim that a running file of this process has.
 */
#ifndef FUSEBAND_CLAIMS_H
#define FUSEBAND_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>

#include "backing.h"

struct claims_object {
	struct backing_id id; /* first: what the tree is searched by */
	const char *path;     /* the first one that leads here; borrowed */
	bool readonly;	      /* for all of its files */
	bool tried;	      /* the rest is known */
	int err;
	char *why;		      /* with err; or what a check should mention */
	struct backing_claim *claim;  /* NULL with err; or left to the fuseband that runs */
	bool upgrade;		      /* claim is read-only as yet */
	const struct backing *opened; /* the last of its files; for the caller, borrowed */
};

struct claims {
	void *tree; /* tsearch(3) */
	struct backing_users *users;
	struct backing_claim **running; /* sorted by object; borrowed */
	size_t n_running;
	bool check; /* what a running fuseband has is no error */
};

/* running: n claims that this process holds, in any order; copied. 0 or -errno. */
int claims_init(struct claims *claims, struct backing_claim *const *running, size_t n, bool check);
void claims_free(struct claims *claims);

/* Find or add an object. 0 or -ENOMEM. The object lives as long as claims. */
int claims_add(struct claims *claims, const struct backing_id *id, const char *path, bool readonly,
	       struct claims_object **ret_object);

/* Claim it, once all have been added. Again and again the same answer: object->err. */
int claims_take(struct claims *claims, struct claims_object *object);

/*
 * Make claims that were lent read-only writable where a writer has come. All or none: 0, and
 * *ret_list has references of them, to be freed (NULL: none); -EBUSY, and the objects that could
 * not be had have err and why; or -ENOMEM.
 */
int claims_upgrade(struct claims *claims, struct backing_claim ***ret_list, size_t *ret_n);

#endif
