/* SPDX-License-Identifier: MIT */
/* clock.h - a clock of the system in nanoseconds. */
#ifndef FUSEBAND_CLOCK_H
#define FUSEBAND_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

/* Never goes back; stands still while the machine sleeps. */
static inline uint64_t monotonic_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

#endif
