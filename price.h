/* SPDX-License-Identifier: MIT */
/*
 * price.h - what a slice costs in disk time, and how that is corrected by what is seen. Part of the
 * scheduler library. The method is at the head of price.c.
 */
#ifndef FUSEBAND_PRICE_H
#define FUSEBAND_PRICE_H

#include "sched.h"

/* Of a read, of each of its bytes, of a write, of each of its bytes. */
#define PRICES 4

struct price_list {
	struct fbs_capability given;
	uint64_t base[PRICES];	 /* ns << PRICE_SHIFT (price.c): from the capability */
	uint64_t factor[PRICES]; /* << FACTOR_SHIFT (price.c): what has been learnt */
	bool fixed[PRICES];	 /* the user gave it: not corrected */
	bool frozen;		 /* all of them */
	uint64_t now[PRICES];	 /* base x factor */

	/* the running interval */
	uint64_t began_ns;     /* 0: none */
	uint64_t paid[PRICES]; /* ns << PRICE_SHIFT, for each component */
	unsigned slices;
	/* the mix as it has been, and as it has become if that is another one */
	struct price_mix {
		unsigned intervals;   /* that it is the mean of */
		uint64_t slowness;    /* time taken / time paid */
		int64_t part[PRICES]; /* of what was paid */
	} usual, other;
	bool settled; /* the other mix has lasted for a while */
};

/*
 * Numbers that are 0 are taken from the other direction, or else preset, and corrected by
 * observation; what was learnt is kept as long as that stays the same.
 */
void price_set(struct price_list *list, const struct fbs_capability *capability);
/* ns, at least 1. */
uint64_t price_of(const struct price_list *list, bool write, uint64_t bytes);
/* A slice is back. full: the disk had as much to do as it is given, ever since the last one. */
void price_observe(struct price_list *list, bool write, uint64_t bytes, bool full, uint64_t now_ns);
/* The prices now in the form in which they are given. */
struct fbs_capability price_capability(const struct price_list *list);

#endif
