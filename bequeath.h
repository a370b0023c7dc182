/* SPDX-License-Identifier: MIT */
/*
 * bequeath.h - a data path tells its parent of all that has to outlive it.
 *
 * The same goes into its own estate, for a new parent in case this one dies: then `broken` is set,
 * and whoever starts the new one gives it everything at once.
 */
#ifndef FUSEBAND_BEQUEATH_H
#define FUSEBAND_BEQUEATH_H

#include "crew.h"
#include "estate.h"
#include "front.h"

struct bequest {
	struct estate *estate; /* our own */
	int link;	       /* to the parent; -1: there is none */
	bool broken;	       /* it is dead */
	bool failed;	       /* the last bequeath_accepted(): to be tried again */
	uint64_t asked;	       /* the number of the last ACCEPTED */
	uint64_t settled;      /* claims with a lower name are the parent's */
	uint32_t signals;      /* bit N: the parent sent signal N while it was waited for */
	struct heir heir;      /* HEIR_NONE at first */
};

/* The mount itself, once. 0 or -errno. */
int bequeath_mount(struct bequest *bequest, const struct front *front, const struct crew *crew);
/*
 * What serves now is what a successor will serve: claims, text, node ids. Workers are parked.
 * Returns once the parent has let go of what is no longer claimed, and of the heir, who knows what
 * was before; signals that it sends meanwhile are noted. 0 or -errno, ours or the parent's: a
 * successor would serve what was before, and the parent may hold claims of what is gone, until it is
 * tried again with success.
 */
int bequeath_accepted(struct bequest *bequest, const struct mount *mount,
		      const struct conf_text *text);

/*
 * What the parent says next, without descriptors: those of an heir are the bequest's. wait: for it.
 * 0; -EAGAIN: nothing; -EPIPE or another -errno: it is dead. An heir that comes while there are no
 * descriptors left is lost, and the one before it is dismissed, as it is not the heir any more.
 */
int bequeath_receive(struct bequest *bequest, bool wait, struct link_message *ret_message);
/* The parent is dead: what it had still to say. */
void bequeath_listen(struct bequest *bequest);

#endif
