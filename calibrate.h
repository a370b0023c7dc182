/* SPDX-License-Identifier: MIT */
/*
 * calibrate.h - measures the numbers of struct fbs_capability: what a saturated disk can do.
 *
 * The method is at the head of calibrate.c. It is apart from the disk, which comes in as a function
 * that measures one load, so that a test brings disks of its own.
 */
#ifndef FUSEBAND_CALIBRATE_H
#define FUSEBAND_CALIBRATE_H

#include <stdbool.h>
#include <stdint.h>

#define CALIBRATE_ROUNDS 5U
#define CALIBRATE_DEPTH_MAX 256U

/* Random requests of one size. */
struct calibrate_load {
	bool write;
	uint32_t bytes;
	unsigned depth; /* requests in flight, 1..CALIBRATE_DEPTH_MAX */
	unsigned round; /* 1..CALIBRATE_ROUNDS; 0 while the depth is searched */
	uint64_t ns;	/* how long, at least */
};

/* 0 and the time that the disk spent on each request, in picoseconds, above 0; or -errno. */
typedef int calibrate_measure(void *disk, const struct calibrate_load *load, uint64_t *ret_ps);

/* Of one load: the median of the rounds, and the extremes. */
struct calibrate_figure {
	unsigned depth;
	uint64_t ps, least_ps, most_ps;
};

/* 4 KiB reads, 128 KiB reads, and the same of writes. */
enum { CALIBRATE_FIGURES = 4 };

/* ---- the steps of it, for tests: others call calibrate() ---- */

/* Sets load->depth: enough in flight to saturate the disk. 0, or what measure() failed with. */
int calibrate_depth(calibrate_measure *measure, void *disk, struct calibrate_load *load);

/* All of it; without writes, only the first two are measured. 0, or what measure() failed with. */
int calibrate_disk(calibrate_measure *measure, void *disk, bool writes,
		   struct calibrate_figure ret[CALIBRATE_FIGURES]);

/* The capability with which requests of 4 KiB and 128 KiB take so long; in the range of sched.h. */
void calibrate_solve(uint64_t small_ps, uint64_t large_ps, uint64_t *ret_iops, uint64_t *ret_bps);

/* ---- all of it ---- */

/*
 * fuseband --calibrate path --overwrite file: measures, writes a [device:] section to stdout, and
 * what is going on or went wrong to stderr. file may be NULL: then nothing is opened for writing.
 * Returns the exit status: 0, 1, or 128 + the signal that stopped it.
 */
int calibrate(const char *path, const char *file);

#endif
