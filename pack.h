/* SPDX-License-Identifier: MIT */
/*
 * pack.h - numbers and strings in a memfd, for another process of this program.
 *
 * Numbers as they lie in memory, strings with their length in front: both ends are this program on
 * this machine, and keep.h's version tells programs apart. Reading trusts no length: from
 * the first thing that is not there on, everything is zero or NULL and `broken` is set.
 */
#ifndef FUSEBAND_PACK_H
#define FUSEBAND_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Errors show in pack_end() alone. */
struct pack {
	FILE *out;
	int fd;
};
int pack_begin(struct pack *pack, const char *name); /* 0 or -errno; pack_end() only after 0 */
void pack_raw(struct pack *pack, const void *bytes, size_t n);
void pack_u64(struct pack *pack, uint64_t value);
void pack_bytes(struct pack *pack, const char *bytes, size_t n);
void pack_string(struct pack *pack, const char *text); /* NULL: "" */
int pack_end(struct pack *pack, int *ret_fd);	       /* 0 or -errno; O_CLOEXEC */

struct unpack {
	const char *at, *end;
	void *map;
	size_t map_bytes;
	bool broken; /* or no memory */
};
int unpack_begin(struct unpack *unpack, int fd); /* 0 or -errno */
void unpack_raw(struct unpack *unpack, void *ret_bytes, size_t n);
uint64_t unpack_u64(struct unpack *unpack);
char *unpack_bytes(struct unpack *unpack, size_t *ret_n); /* a NUL behind them; free() it */
char *unpack_string(struct unpack *unpack);		  /* likewise; NULL for "" */
size_t unpack_count(struct unpack *unpack);		  /* of what takes a byte each at least */
int unpack_end(struct unpack *unpack);			  /* 0, or -EPROTO if anything was broken */

#endif
