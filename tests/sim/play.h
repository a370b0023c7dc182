/* SPDX-License-Identifier: MIT */
/*
 * play.h - a scenario in the simulator: schedulers set up as the daemon sets them up, clients, what
 * changes in the middle, and what everybody got.
 *
 * A run is cut into pieces wherever an interval or an expectation begins or ends. What a client got
 * in a piece is added to all that it belongs to.
 */
#ifndef FUSEBAND_TESTS_SIM_PLAY_H
#define FUSEBAND_TESTS_SIM_PLAY_H

#include "tests/sim/scenario.h"

struct tally {
	uint64_t ios, bytes, busy_ns;
	double tokens;
	struct sim_hist latency;
};

struct play {
	struct scenario *scenario;
	struct sim *sim;
	void **nodes; /* of groups: group x disks + disk; NULL: not there */
	struct fbs_cap **group_caps, **file_caps;
	int *clients;	    /* their numbers in the simulator, by that in the scenario */
	int *first_clients; /* of files: the one that has the leaf, or -1 */
	uint64_t now_ns, interval_began_ns;
	struct tally *interval, *total; /* of clients */
	struct tally *subjects, *disks; /* of expectations: of the subject, of all on its disks */
};

/* Ends the program without memory, as the simulator does. The scenario changes in the run. */
struct play *play_create(struct scenario *scenario, uint64_t seed);
void play_destroy(struct play *play);
/* To the end of the next interval, or of the run. False: it is over. */
bool play_interval(struct play *play);

/* What an expectation is about, as it was: NAN where there is nothing to tell it from. */
double play_value(const struct play *play, unsigned expect);
/* Fraction of all tokens of its disk that a file was entitled to, while it wanted service. */
double play_entitled(const struct play *play, unsigned file);
void play_stats(const struct play *play, unsigned disk, struct fbs_stats *ret_stats);
void play_file_stats(const struct play *play, unsigned file, struct fbs_node_stats *ret_stats);

#endif
