/* SPDX-License-Identifier: MIT */
/*
 * proof.h - what the proofs in test_*.c have in common.
 *
 * A proof measures, prints a row of a table and holds its figures against bounds: HOLDS() names the
 * figure that is out of them, below its row, and the test fails once the table is complete. KNOWN()
 * is for what falls short of what is wanted, and is known to: that may not get worse. All
 * of it is virtual time, so no machine is too slow for any of it.
 */
#ifndef FUSEBAND_TESTS_SIM_PROOF_H
#define FUSEBAND_TESTS_SIM_PROOF_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/sim/sim.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define KIB UINT64_C(1024)
#define MIB (UINT64_C(1024) * 1024)
#define GIB (UINT64_C(1024) * 1024 * 1024)

/* Nanoseconds as milliseconds. */
#define MS(ns) ((double)(ns) / 1e6)

#define HOLDS(value, least, most) proof_holds(#value, (double)(value), (least), (most))
/* Wanted is wanted..; at least it is now.. */
#define KNOWN(value, wanted_least, wanted_most, least, most) \
	proof_known(#value, (double)(value), (wanted_least), (wanted_most), (least), (most))

/* Figures of the running test that are out of bounds. */
static unsigned proof_failures;

static inline void proof_holds(const char *what, double value, double least, double most)
{
	if (value >= least && value <= most)
		return;
	printf("    ^ FAILED: %s = %.4g is not within %.4g..%.4g\n", what, value, least, most);
	proof_failures++;
}

static inline void proof_known(const char *what, double value, double wanted_least,
			       double wanted_most, double least, double most)
{
	if (value >= wanted_least && value <= wanted_most)
		return;
	printf("    ^ known to fall short: %s = %.4g, wanted %.4g..%.4g\n", what, value,
	       wanted_least, wanted_most);
	proof_holds(what, value, least, most);
}

/* The end of a test. */
static inline void proof_verdict(void)
{
	unsigned failures = proof_failures;

	proof_failures = 0;
	assert_int_equal(failures, 0);
}

/* ---- two clients on a disk ---- */

struct pair {
	struct sim_result a, b; /* while measured */
	double share_pct;	/* of a, in tokens */
	double busy_pct;	/* of a, in time of the disk */
	double ios_pct;		/* of a, in requests */
	double iops;		/* slices of both */
	struct fbs_stats stats; /* at the end */
};

/* b may be NULL: a alone. */
static inline struct pair proof_pair(const struct sim_params *params, const struct sim_client *a,
				     const struct sim_client *b, uint64_t warm_ns,
				     uint64_t measure_ns)
{
	struct sim *sim = sim_create(params);
	int id = sim_add_client(sim, NULL, a), other = b ? sim_add_client(sim, NULL, b) : -1;
	struct pair pair = {0};

	sim_run(sim, warm_ns);
	sim_reset(sim);
	sim_run(sim, warm_ns + measure_ns);
	sim_result(sim, id, &pair.a);
	if (b)
		sim_result(sim, other, &pair.b);
	pair.share_pct = sim_share_pct(sim, id);
	pair.busy_pct = sim_busy_pct(sim, id);
	pair.ios_pct = 100 * pair.a.iops / (pair.a.iops + pair.b.iops);
	pair.iops = (double)sim_total_ios(sim) * 1e9 / (double)measure_ns;
	if (params->ops == &sim_fbs)
		fbs_stats(sim_sched(sim), &pair.stats);
	sim_destroy(sim);
	return pair;
}

#endif
