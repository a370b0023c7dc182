/* SPDX-License-Identifier: MIT */
/* slab.c - see slab.h. */
#include "slab.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#define PAGE ((size_t)4096)
#define HUGE_PAGE ((size_t)2 << 20) /* on most machines; elsewhere only an alignment */
#define LARGE ((size_t)64 << 20)    /* 63 pieces of 1 MiB and a page: 1.2 % are lost */
#define PIECES_LEAST 7U /* in a huge page, or it takes a large slab: no more than 1/8 is lost */

#ifndef MADV_DONTNEED_LOCKED /* Linux 5.18 */
#define MADV_DONTNEED_LOCKED 24
#endif

/* Its first page; the pieces follow. */
struct slab {
	struct slab *prev, *next; /* of set->open */
	unsigned used;		  /* pieces that are taken */
	unsigned cut;		  /* the others, from here on, never were */
	unsigned n_free;
	uint16_t free[]; /* taken before */
};

static unsigned pieces_in(size_t slab_bytes, size_t piece_bytes)
{
	return (unsigned)((slab_bytes - PAGE) / piece_bytes);
}

void slab_set_init(struct slab_set *set, size_t piece_bytes)
{
	*set = (struct slab_set){.piece_bytes = piece_bytes, .slab_bytes = HUGE_PAGE};
	if (pieces_in(HUGE_PAGE, piece_bytes) < PIECES_LEAST)
		set->slab_bytes = LARGE;
	set->pieces = pieces_in(set->slab_bytes, piece_bytes);
}

/* Mappings are aligned to pages only: a larger one, of which the ends are cut off. */
static struct slab *map_slab(size_t bytes)
{
	char *start = mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t before;

	if (start == MAP_FAILED)
		return NULL;
	before = (bytes - (uintptr_t)start % bytes) % bytes;
	if (before)
		munmap(start, before);
	munmap(start + before + bytes, bytes - before);
	madvise(start + before, bytes, MADV_HUGEPAGE);
	madvise(start + before, bytes, MADV_DONTDUMP);
	return (struct slab *)(void *)(start + before);
}

static void open_slab(struct slab_set *set, struct slab *slab)
{
	slab->prev = NULL;
	slab->next = set->open;
	if (slab->next)
		slab->next->prev = slab;
	set->open = slab;
}

static void close_slab(struct slab_set *set, struct slab *slab)
{
	if (slab->prev)
		slab->prev->next = slab->next;
	else
		set->open = slab->next;
	if (slab->next)
		slab->next->prev = slab->prev;
}

void *slab_take(struct slab_set *set)
{
	struct slab *slab = set->open;
	unsigned piece;

	if (!slab) {
		slab = map_slab(set->slab_bytes);
		if (!slab)
			return NULL;
		open_slab(set, slab);
	}
	piece = slab->n_free ? slab->free[--slab->n_free] : slab->cut++;
	if (++slab->used == set->pieces)
		close_slab(set, slab);
	return (char *)slab + PAGE + piece * set->piece_bytes;
}

void slab_give(struct slab_set *set, void *piece)
{
	size_t offset = (uintptr_t)piece % set->slab_bytes;
	struct slab *slab = (struct slab *)(void *)((char *)piece - offset);

	if (slab->used-- == set->pieces)
		open_slab(set, slab);
	if (!slab->used) {
		close_slab(set, slab);
		munmap(slab, set->slab_bytes);
		return;
	}
	slab->free[slab->n_free++] = (uint16_t)((offset - PAGE) / set->piece_bytes);
	if (madvise(piece, set->piece_bytes, MADV_DONTNEED_LOCKED))
		madvise(piece, set->piece_bytes, MADV_DONTNEED);
}
