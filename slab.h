/* SPDX-License-Identifier: MIT */
/*
 * slab.h - large pieces of memory of one size, side by side in huge pages.
 *
 * The kernel looks up the pages of a buffer for every request to the disk and copies to or from
 * every answer page by page; where they belong to one huge page that is far less work, and the disk
 * gets one segment instead of one for each 4 KiB. So pieces are cut from slabs, aligned
 * mappings that the kernel is asked to back with huge pages (J. Bonwick, "The Slab Allocator",
 * USENIX 1994). A slab none of whose pieces is taken goes back to the system; what is inside one
 * that is still in use gives its memory back, too, and keeps its address.
 *
 * Pieces are in no core dump: a crashed process's successor waits until that is written.
 *
 * The caller's lock, or one thread. Pieces are page-aligned, as their size must be.
 */
#ifndef FUSEBAND_SLAB_H
#define FUSEBAND_SLAB_H

#include <stddef.h>

struct slab;

struct slab_set {
	size_t piece_bytes, slab_bytes;
	unsigned pieces;   /* of a slab */
	struct slab *open; /* those that have some left */
};

/* piece_bytes: a multiple of 4096, up to 8 MiB. */
void slab_set_init(struct slab_set *set, size_t piece_bytes);
/* Contents undefined. NULL: no memory. */
void *slab_take(struct slab_set *set);
/* What is in it is lost. */
void slab_give(struct slab_set *set, void *piece);

#endif
