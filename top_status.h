/* SPDX-License-Identifier: MIT */
/*
 * top_status.h - a status.json (status.h writes it) read back, as one list of what can be a row on
 * a screen.
 *
 *	nodes	sda   sdb   |  tenant on sda   tenant on sdb  |  vm1.img   vm2.img ...
 *		devices        groups, once for each device      files, in the order of the status
 *
 * Each node knows what it is below of, so the same list is a tree. Groups and devices have the sums
 * of the counters of the files below them.
 *
 * Fields that this program does not know are skipped; one that it needs and that is not there is an
 * error that names it, and asks for another version.
 */
#ifndef FUSEBAND_TOP_STATUS_H
#define FUSEBAND_TOP_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "status.h"

enum top_kind { TOP_DEVICE, TOP_GROUP, TOP_FILE };

/* What only grows, and is shown per second. */
enum top_counter {
	TOP_READ_IOS,
	TOP_WRITE_IOS,
	TOP_READ_BYTES,
	TOP_WRITE_BYTES,
	TOP_FLUSHES,
	TOP_DISCARDS,
	TOP_ERRORS,
	TOP_COUNTERS
};

/* In microseconds, of the last half minute; NaN: nothing happened. */
struct top_times {
	double p50, p99, p999;
};

struct top_node {
	enum top_kind kind;
	const char *name;
	int parent; /* node, -1: it is a device, or a file that has none */
	int device; /* node (of a device: itself), -1: it is not there */
	unsigned depth;
	unsigned long weight;
	double entitled_pct, achieved_pct;
	unsigned long queued, in_flight; /* requests; slices */
	uint64_t counters[TOP_COUNTERS];
	const char *alarms;		  /* "share, size"; "": none */
	const char *policy, *isolation;	  /* of devices */
	unsigned long in_flight_limit;	  /* likewise */
	const char *path, *throttled_by;  /* of files */
	uint64_t size_bytes;		  /* likewise */
	uint64_t waited_us[STATUS_WAITS]; /* likewise */
	struct top_times wait, service;	  /* likewise; service of a device: of a slice, no p999 */
	/* top_rate.h */
	bool rated;
	double per_s[TOP_COUNTERS];
	double waited[STATUS_WAITS]; /* parts of the time */
};

struct top_status {
	const char *version, *config, *alarms;	/* config: NULL: none */
	const char *last_error, *upgrade_error; /* NULL: none */
	double uptime_s;
	unsigned long pid, workers, generation, restarts;
	struct top_node *nodes;
	size_t n, n_devices, n_groups;
	double interval_s; /* that rates are of; 0: there are none */
	size_t *by_name;   /* the files; top_rate.c */
	char *strings;
};

#define TOP_ERROR_BYTES 512

/* 0, or -1 with what is wrong in error. */
int top_status_parse(const char *text, size_t len, struct top_status **ret_status,
		     char error[TOP_ERROR_BYTES]);
void top_status_free(struct top_status *status); /* NULL is fine */

#endif
