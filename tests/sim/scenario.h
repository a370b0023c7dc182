/* SPDX-License-Identifier: MIT */
/*
 * scenario.h - what fuseband-sim is to play: the text of a scenario, with an ioband.ini or without.
 *
 *     disk sda serial 5ms
 *     client vm1.img depth 1 4K randread
 *     client vm2.img depth 128 4K randwrite from 2s until 8s
 *     at 5s vm1.img weight 1000
 *     expect vm1.img share 78..82 from 6s until 8s
 *     run 10s
 *
 * fuseband-sim(1) tells all of it. Groups, weights, limits and the parameters of devices are those
 * of ioband.ini and mean the same: the structs and the table of keys of conf.h hold them, and any
 * of them may be given, or overridden, on the line of the disk, group or client. Strings belong to
 * the text and to the configuration, which must both outlive the scenario.
 */
#ifndef FUSEBAND_TESTS_SIM_SCENARIO_H
#define FUSEBAND_TESTS_SIM_SCENARIO_H

#include "conf_keys.h"
#include "tests/sim/sim.h"

struct scenario_disk {
	struct conf_device conf;
	struct sim_disk model;
};

/* A file in the mount that has clients. */
struct scenario_file {
	struct conf_file conf; /* parent: of scenario->groups */
	unsigned disk;
};

struct scenario_client {
	unsigned file;
	struct sim_client load;
};

/* Disks, groups and files by number. */
enum scenario_kind { SCENARIO_DISK, SCENARIO_GROUP, SCENARIO_FILE };
struct scenario_subject {
	enum scenario_kind kind;
	unsigned index;
};

/* Something is set to another value in the middle. */
struct scenario_change {
	uint64_t at_ns;
	struct scenario_subject subject;
	const struct conf_key *key;
	const char *value; /* checked */
};

enum scenario_metric {
	SCENARIO_SHARE, /* per cent of the tokens of its disks */
	SCENARIO_TIME,	/* per cent of the time that these worked */
	SCENARIO_BUSY,	/* of a disk: per cent of the time that it could have worked */
	SCENARIO_IOPS,	/* requests answered per second */
	SCENARIO_BPS,
	SCENARIO_P50, /* latencies, ns */
	SCENARIO_P99,
};

struct scenario_expect {
	struct scenario_subject subject;
	enum scenario_metric metric;
	double least, most;
	uint64_t from_ns, until_ns;
	struct conf_where where;
	const char *range; /* as it was written */
};

struct scenario {
	struct scenario_disk *disks;
	struct conf_group *groups; /* each after its parent */
	struct scenario_file *files;
	struct scenario_client *clients;
	struct scenario_change *changes;
	struct scenario_expect *expects;
	unsigned n_disks, n_groups, n_files, n_clients, n_changes, n_expects;
	uint64_t interval_ns, run_ns;
};

/*
 * Parse text, which is cut into words. conf may be NULL. 0, or -EINVAL with all that is wrong in
 * *errors, or -ENOMEM; *ret_scenario is then untouched.
 */
int scenario_parse(const char *path, char *text, const struct conf *conf,
		   struct conf_errors *errors, struct scenario **ret_scenario);
void scenario_free(struct scenario *scenario); /* NULL is fine */

/* Set a key of a disk, group or file, in this scenario; the value has been checked. */
void scenario_set(struct scenario *scenario, const struct scenario_change *change);
const char *scenario_name(const struct scenario *scenario, struct scenario_subject subject);
/* "share" */
const char *scenario_metric_name(enum scenario_metric metric);

#endif
