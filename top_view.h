/* SPDX-License-Identifier: MIT */
/*
 * top_view.h - what the operator of a screen has chosen to see, and how keys change that.
 *
 * No terminal and no status in it: keys come in as numbers, and whoever draws says how many rows
 * there are and how many fit.
 */
#ifndef FUSEBAND_TOP_VIEW_H
#define FUSEBAND_TOP_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include "top_status.h"

enum top_sort {
	TOP_BY_CONFIG, /* as configured */
	TOP_BY_NAME,
	TOP_BY_WEIGHT,
	TOP_BY_GOT,
	TOP_BY_ENTITLED,
	TOP_BY_IOPS,
	TOP_BY_BPS,
	TOP_BY_QUEUE,
	TOP_BY_WAIT,
	TOP_BY_SERVICE,
	TOP_BY_ERRORS,
	TOP_SORTS
};
/* "config", "name" ... as -s takes them. */
const char *top_sort_name(enum top_sort sort);
/* False: there is no such one. */
bool top_sort_find(const char *name, enum top_sort *ret_sort);

#define TOP_FILTER_BYTES 64

struct top_view {
	enum top_sort sort;
	bool reverse;
	bool flat;	   /* files only, of all disks in one order */
	bool busy_only;	   /* no files that do nothing */
	bool devices_only; /* disks only */
	bool times;	   /* where not all columns fit: queues and times rather than shares */
	bool details;	   /* of the row with the cursor */
	bool help, paused;
	size_t device; /* show only the device of this number, from 1; 0: all */
	char filter[TOP_FILTER_BYTES], filter_before[TOP_FILTER_BYTES];
	bool editing;		/* the filter */
	size_t cursor, first;	/* rows */
	size_t n_rows, n_lines; /* how many there are, and fit; said by who draws */
	size_t n_devices;	/* likewise */
};

/* Keys that are no character. */
enum top_key {
	TOP_KEY_UP = 0x200000,
	TOP_KEY_DOWN,
	TOP_KEY_PAGE_UP,
	TOP_KEY_PAGE_DOWN,
	TOP_KEY_HOME,
	TOP_KEY_END,
	TOP_KEY_BACKSPACE,
	TOP_KEY_ESCAPE,
	TOP_KEY_ENTER,
	TOP_KEY_TAB,
	TOP_KEY_HELP,
	TOP_KEY_OTHER /* one that means nothing */
};

/* A character (of Unicode), or one of those. False: the program is to end. */
bool top_view_key(struct top_view *view, unsigned long key);
/* So many rows, of which so many fit: the cursor is on one of them, and on the screen. */
void top_view_fit(struct top_view *view, size_t n_rows, size_t n_lines);

#endif
