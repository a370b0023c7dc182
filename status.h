/* SPDX-License-Identifier: MIT */
/*
 * status.h - what people and programs see of a running mount, at one moment: plain data, and how it
 * is written down.
 *
 * snapshot.h fills it in; here nothing knows of mounts, locks or clocks. The names of the fields
 * in JSON and of the metrics are promised (fuseband(8)): add, never rename.
 */
#ifndef FUSEBAND_STATUS_H
#define FUSEBAND_STATUS_H

#include <stddef.h>
#include "histogram.h"
#include "text.h"

/* What of a request counts apart. */
enum status_op { STATUS_READ, STATUS_WRITE, STATUS_OPS };

enum status_wait {
	STATUS_WAIT_SHARE,
	STATUS_WAIT_CAP,
	STATUS_WAIT_WINDOW,
	STATUS_WAIT_ANTICIPATION,
	STATUS_WAITS,
	STATUS_WAIT_NONE = STATUS_WAITS
};
const char *status_wait_name(enum status_wait wait);

/* What is not being kept at the moment (alarm.h); a set of these has a bit for each. */
enum status_alarm {
	STATUS_ALARM_SHARE,
	STATUS_ALARM_RESERVATION,
	STATUS_ALARM_LATENCY,
	STATUS_ALARM_SIZE,
	STATUS_ALARM_MEMORY,
	STATUS_ALARM_WEIGHT,
	STATUS_ALARM_KERNEL,
	STATUS_ALARMS
};
const char *status_alarm_name(enum status_alarm alarm);

/* Of what happened lately. */
struct status_quantiles {
	bool known; /* there was something */
	uint64_t p50_ns, p99_ns, p999_ns;
};

/* In millionths of what the disk did in the last ten seconds. */
struct status_share {
	unsigned entitled_ppm, achieved_ppm;
};

struct status_device {
	const char *name, *policy, *isolation;
	bool serial; /* it serves one or two slices at a time */
	unsigned in_flight, in_flight_limit;
	unsigned queued;	   /* requests */
	uint64_t iops[STATUS_OPS]; /* what `cost` reckons with, of 4 KiB, and bytes/s beyond */
	uint64_t bps[STATUS_OPS];
	struct status_quantiles latency;			/* of a slice at the disk */
	struct histogram wait[STATUS_OPS], service[STATUS_OPS]; /* of requests */
	uint64_t latency_missed;
	unsigned alarms;
};

/* A group on one of its devices. */
struct status_group {
	const char *name, *parent, *device; /* parent NULL: directly below the device */
	unsigned weight;
	struct status_share share;
	uint64_t reservation_missed, weight_missed; /* on all of them */
	unsigned alarms;			    /* likewise */
	bool first;				    /* of the entries of this group */
};

struct status_file {
	const char *name, *path;
	const char *device; /* NULL: it is optional and not there, and nothing below means much */
	const char *parent; /* NULL: directly below the device */
	unsigned weight;
	uint64_t size_bytes;
	struct status_share share;
	unsigned queued, in_flight; /* requests; slices */
	bool buffered, capped;
	uint64_t ios[STATUS_OPS], bytes[STATUS_OPS];
	uint64_t flushes, discards, errors;
	enum status_wait throttled_by; /* mainly, lately */
	uint64_t waited_ns[STATUS_WAITS];
	uint64_t wait_ns, service_ns; /* sums */
	struct status_quantiles wait, service;
	uint64_t share_missed, reservation_missed, size_missed, weight_missed;
	unsigned alarms;
};

struct status {
	const char *version;
	long pid; /* to be signalled */
	uint64_t uptime_ns;
	unsigned workers;
	const char *config, *last_error, *upgrade_error; /* NULL: none */
	uint64_t generation, reloads, reloads_refused, upgrades, upgrades_refused;
	uint64_t restarts, memory_missed, kernel_missed;
	unsigned alarms;
	struct status_device *devices;
	size_t n_devices;
	struct status_group *groups;
	size_t n_groups;
	struct status_file *files; /* in the directory, by node id; then */
	size_t n_files;
	size_t n_removed; /* those that are no longer there, but open: only for the log */
	char *strings;	  /* what all the names point to */
};

void status_free(struct status *status); /* NULL is fine */

void status_json(const struct status *status, struct text *text); /* status_json.c */
void status_prom(const struct status *status, struct text *text); /* status_prom.c */
/* One screen, each line ready for the log. */
void status_lines(const struct status *status, void (*line)(const char *text));

#endif
