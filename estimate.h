/* SPDX-License-Identifier: MIT */
/*
 * estimate.h - what completions tell of a disk: its bare latency, its rate, and what they make.
 *
 * Part of the scheduler library, below window.c, which sees to it that there is something to learn
 * from: little in flight now and then for the latency, a full window for the rate. Integers, and
 * wide enough for an hour of latency at any price.
 */
#ifndef FUSEBAND_ESTIMATE_H
#define FUSEBAND_ESTIMATE_H

#include <stdbool.h>
#include <stdint.h>

/* Slices that came back, and in which time. */
struct estimate_rate {
	uint64_t slices, cost_ns, time_ns;
	unsigned __int128 cost_square; /* sum of cost x cost: how they are mixed */
};

/* Slices that came back, and how long each of them took. */
struct estimate_latency {
	uint64_t slices, cost_ns, sum_ns;
	unsigned __int128 square_sum;  /* of latencies: how much they vary */
	unsigned __int128 area;	       /* sum of cost x latency: do the dear ones take longer? */
	unsigned __int128 cost_square; /* sum of cost x cost: how they are mixed */
};

struct estimate {
	struct estimate_latency base;  /* with little in flight */
	struct estimate_rate rate;     /* with the window full */
	uint64_t ceiling_ns;	       /* a latency above this is a stall and counts as this */
	unsigned parallel_x16;	       /* slices served at a time; 0: not known */
	struct estimate_latency first; /* it differed from base ... */
	bool doubt;		       /* ... and the next decides */
	bool stale;		       /* the next replaces base anyhow ... */
	bool renew;		       /* ... and the next rate the rate */
	unsigned drops;		       /* rates in a row that were far below the rate */
	bool suspect;		       /* it is another disk now, as it seems: measure base first */
};

void estimate_init(struct estimate *estimate);

uint64_t estimate_root(unsigned __int128 square); /* rounded down */
uint64_t estimate_mean_ns(const struct estimate_latency *latency);
/* How long a slice of this cost takes that does not wait for others. */
uint64_t estimate_bare_ns(const struct estimate *estimate, uint64_t cost_ns);
/* Is its standard error at most one in so many? */
bool estimate_is_precise(const struct estimate_latency *latency, unsigned one_in);
void estimate_add_rate(struct estimate_rate *sum, const struct estimate_rate *add);
/* Is a more than percent of b? */
bool estimate_exceeds(const struct estimate_rate *a, const struct estimate_rate *b,
		      unsigned percent);

/* Longer than base by a third and 2 standard errors: surely slices wait for each other. */
bool estimate_is_longer(const struct estimate *estimate, const struct estimate_latency *seen);
/* Different by 3 standard errors, and by one in 16. */
bool estimate_is_other(const struct estimate *estimate, const struct estimate_latency *seen);
/* Are slices of this mean cost other ones than those that base was measured with? */
bool estimate_is_other_mix(const struct estimate *estimate, uint64_t cost_ns);

/* Latencies with little in flight. False: they differ from base, so measure once more. */
bool estimate_learn_base(struct estimate *estimate, const struct estimate_latency *seen,
			 uint64_t cost_ns);
/* More of them, which are known to fit. */
void estimate_pool_base(struct estimate *estimate, const struct estimate_latency *seen);
/*
 * A rate seen with the window full, averaged over so many of its kind; 0: the window
 * was not as wide as it should be, so that only a change is of interest.
 */
enum estimate_verdict { ESTIMATE_KEPT, ESTIMATE_UNSURE, ESTIMATE_FELL };
enum estimate_verdict estimate_learn_rate(struct estimate *estimate,
					  const struct estimate_rate *busy,
					  const struct estimate_latency *seen, unsigned over);
void estimate_learn_parallelism(struct estimate *estimate, const struct estimate_latency *seen);

/* rate x base: the cost in flight at which the disk is just busy; and the slices, x 16. */
uint64_t estimate_knee_ns(const struct estimate *estimate, const struct estimate_rate *rate);
uint64_t estimate_knee_x16(const struct estimate *estimate, const struct estimate_rate *rate);
/* Does a slice take the longer the more it costs, as one of several servers would? */
bool estimate_is_of_servers(const struct estimate *estimate);
/* The standard error of either. */
uint64_t estimate_error_of(const struct estimate *estimate, uint64_t knee);

#endif
