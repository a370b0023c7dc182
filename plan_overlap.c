/* SPDX-License-Identifier: MIT */
/*
 * plan_overlap.c - see plan_overlap.h.
 *
 * Two passes over the same spans (overlap.h). The first looks for bytes in common, of which at
 *least one side is a writer. The second, if there are none, for a block in common: an image may end
 *in a part of a block, which O_DIRECT cannot write without making it longer, so that it goes
 *through the page cache, with all else that is in the block. What is written to that through
 *another file meanwhile would be undone.
 *
 *	block     |               |               |
 *	image     ---------------------------|
 *	a         |-------------------|                   its end would be written back as it was
 *	b                             |------|            when this was read
 *
 * So for the second pass b begins where its last block does.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "plan_overlap.h"
#include "overlap.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define CACHED_BLOCK_MAX 65536U /* what is larger is no block, but what a server likes best */

struct overlaps {
	const struct plan *plan;
	const struct plan_running *running;
	size_t n_running;
	const bool *goes_on;
	void (*complain)(const struct conf_file *file, const char *key, const char *why,
			 void *context);
	void *context;

	bool blocks; /* the second pass */
	struct overlap_span *spans;
	size_t n;
	const struct plan_running **orphans; /* owners from plan->n_files on */
	size_t n_orphans;
	bool found;
};

/* ---- complaints ---- */

static const struct backing *backing_of(const struct overlaps *overlaps, size_t owner)
{
	size_t n = overlaps->plan->n_files;
	return owner < n ? overlaps->plan->files[owner].backing
			 : overlaps->orphans[owner - n]->backing;
}

static const char *name_of(const struct overlaps *overlaps, size_t owner)
{
	size_t n = overlaps->plan->n_files;
	return owner < n ? overlaps->plan->files[owner].conf->name
			 : overlaps->orphans[owner - n]->name;
}

__attribute__((format(printf, 4, 5))) static void blame(struct overlaps *overlaps, size_t owner,
							const char *key, const char *fmt, ...)
{
	char *why;
	va_list args;
	va_start(args, fmt);
	if (vasprintf(&why, fmt, args) < 0)
		why = NULL;
	va_end(args);
	overlaps->found = true;
	overlaps->complain(overlaps->plan->files[owner].conf, key, why ? why : strerror(ENOMEM),
			   overlaps->context);
	free(why);
}

/* Blame the later one; what is no longer configured can't be to blame, and it sorts last. */
static void complain_overlap(size_t a, size_t b, void *context)
{
	struct overlaps *overlaps = context;
	size_t n = overlaps->plan->n_files, first = a < b ? a : b, second = a < b ? b : a;
	if (first >= n)
		return; /* two that run, and were let */
	size_t blamed = second < n ? second : first;
	const struct conf_file *file = overlaps->plan->files[blamed].conf;
	blame(overlaps, blamed,
	      file->offset_bytes ? "offset"
	      : file->size_bytes ? "size"
				 : "path",
	      "overlaps %s%s: only read-only files may have bytes in common",
	      name_of(overlaps, blamed == first ? second : first),
	      second < n ? "" : ", which was removed but is still open");
}

/* What the page cache writes back around a byte: a page, or a block of the file system. */
static uint64_t cached_block(const struct backing *backing)
{
	uint64_t block = (uint64_t)sysconf(_SC_PAGESIZE);
	struct statvfs fs;
	if (fstatvfs(backing->fd, &fs) == 0 && fs.f_frsize > block &&
	    fs.f_frsize <= CACHED_BLOCK_MAX)
		block = fs.f_frsize;
	return block;
}

static bool has_tail(const struct backing *backing)
{
	return backing->fd_buffered >= 0 && !backing->readonly;
}

static void complain_block(size_t a, size_t b, void *context)
{
	struct overlaps *overlaps = context;
	size_t n = overlaps->plan->n_files;
	size_t tail = has_tail(backing_of(overlaps, a)) ? a : b, other = tail == a ? b : a;
	size_t blamed = tail < n ? tail : other;
	if (blamed >= n)
		return;
	const struct conf_file *file = overlaps->plan->files[blamed].conf;
	blame(overlaps, blamed, blamed == tail || !file->size_bytes ? "offset" : "size",
	      "is within the last block of %s, which is incomplete and can be only one file's, "
	      "but would be that of %s, too: use multiples of %" PRIu64,
	      file->path, name_of(overlaps, blamed == tail ? other : tail),
	      cached_block(backing_of(overlaps, tail)));
}

/* ---- spans ---- */

static void begin_at_block(struct overlap_span *span, uint64_t block_bytes)
{
	uint64_t end = span->extent.start_bytes + span->extent.length_bytes;
	uint64_t start = end - end % block_bytes;
	if (start >= span->extent.start_bytes)
		return;
	span->extent.start_bytes = start;
	span->extent.length_bytes = end - start;
}

/* length_bytes: what it has by now, if that is more than when it was opened. */
static void add_span(struct overlaps *overlaps, const struct backing *backing,
		     uint64_t length_bytes, size_t owner)
{
	struct overlap_span span = {
		.extent = backing->extent, .readonly = backing->readonly, .owner = owner};
	if (overlaps->blocks && backing->readonly)
		return;
	if (length_bytes > span.extent.length_bytes)
		span.extent.length_bytes = length_bytes;
	if (overlaps->blocks && has_tail(backing))
		begin_at_block(&span, cached_block(backing));
	overlaps->spans[overlaps->n++] = span;
}

/* One to the end has a part of a block there, too, that it cannot show. */
static uint64_t length_of(const struct plan_file *file)
{
	const struct backing *backing = file->backing;
	uint64_t object = 0;
	if (backing->to_end && !backing->id.is_block &&
	    backing_object_size(backing, &object) == 0 && object > backing->start_bytes)
		return object - backing->start_bytes;
	return file->size_bytes;
}

/* Somebody has it open, or it has requests; and it is or will be removed. */
static bool is_orphan(const struct overlaps *overlaps, size_t i)
{
	const struct plan_running *running = &overlaps->running[i];
	return running->backing && (running->opens > 0 || running->active) && !overlaps->goes_on[i];
}

static void look(struct overlaps *overlaps,
		 void (*found)(size_t owner, size_t other, void *context))
{
	const struct plan *plan = overlaps->plan;
	overlaps->n = overlaps->n_orphans = 0;
	for (size_t i = 0; i < plan->n_files; i++)
		if (plan->files[i].backing)
			add_span(overlaps, plan->files[i].backing, length_of(&plan->files[i]), i);
	for (size_t i = 0; i < overlaps->n_running; i++) {
		const struct plan_running *running = &overlaps->running[i];
		if (!is_orphan(overlaps, i))
			continue;
		add_span(overlaps, running->backing, running->served_bytes,
			 plan->n_files + overlaps->n_orphans);
		overlaps->orphans[overlaps->n_orphans++] = running;
	}
	overlap_find(overlaps->spans, overlaps->n, found, overlaps);
}

int plan_overlap_check(const struct plan *plan, const struct plan_running *running,
		       size_t n_running, const bool *goes_on,
		       void (*complain)(const struct conf_file *file, const char *key,
					const char *why, void *context),
		       void *context)
{
	struct overlaps overlaps = {
		.plan = plan,
		.running = running,
		.n_running = n_running,
		.goes_on = goes_on,
		.complain = complain,
		.context = context,
		.spans = calloc(plan->n_files + n_running + 1, sizeof(*overlaps.spans)),
		.orphans = calloc(n_running + 1, sizeof(*overlaps.orphans)),
	};
	int err = overlaps.spans && overlaps.orphans ? 0 : -ENOMEM;
	if (!err)
		look(&overlaps, complain_overlap);
	overlaps.blocks = true;
	if (!err && !overlaps.found)
		look(&overlaps, complain_block);
	free(overlaps.spans);
	free(overlaps.orphans);
	return err;
}
