/* SPDX-License-Identifier: MIT */
/*
 * restart.h - what the parent decides by the clock: whether a data path hangs, whether to start one
 * more, and whether two signals are one.
 *
 * HANGS. Each worker that watches for requests does a round a second, whatever its disks do. When
 * there has been none for RESTART_SILENT_NS something is wrong; asked for again after as long. Who
 * takes over does no rounds yet: its first thread has to run now and then, be it once in
 * RESTART_TAKEOVER_NS, as it may have to open thousands of files on disks that are slow.
 *
 * RESTARTS. Deaths are counted while each life is short, crashes ten times as much as kills; a
 * longer life forgets all. At RESTART_MOST it is given up; from RESTART_AT_ONCE on there is a pause
 * before the next, longer each time:
 *
 *     crashes within a second               10 20 30 | 40 .. 90 after 0.1 .. 0.6 s | 100: give up
 *     kills within a tenth of a second      1 .. 30  | 31 .. 99 after 10 .. 690 ms | 100: give up
 *
 * SIGNALS. Who signals "both fusebands" (killall) means it once: of what arrives at the two
 * processes only what is more than the other one has had counts, until there is a second without
 * any.
 *
 *     to the parent        HUP      HUP               HUP
 *     to the data path         HUP      HUP HUP
 *     acted upon           1        2       3         -
 *
 * Pure: time comes in, in ns of any clock that does not go back.
 */
#ifndef FUSEBAND_RESTART_H
#define FUSEBAND_RESTART_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#define RESTART_SILENT_NS UINT64_C(10000000000)
#define RESTART_TAKEOVER_NS UINT64_C(30000000000)
#define RESTART_CRASH_COUNTS 10U
#define RESTART_AT_ONCE 30U
#define RESTART_MOST 100U

struct restart { /* all zero: nothing has died yet */
	uint64_t began_ns;
	unsigned short_lives;
};

/* A data path begins to serve. */
void restart_begin(struct restart *restart, uint64_t now_ns);
/* It is dead. False: no other one; else after *ret_pause_ns, below a second. */
bool restart_again(struct restart *restart, bool crashed, uint64_t now_ns, uint64_t *ret_pause_ns);

struct restart_pulse {
	uint64_t beats, since_ns;
};

/* It begins to serve, to take over, or to be watched. */
void restart_pulse_begin(struct restart_pulse *pulse, uint64_t now_ns);
/* beats: so many until now. True: none for longer than silent_ns, or again as long. */
bool restart_is_silent(struct restart_pulse *pulse, uint64_t beats, uint64_t silent_ns,
		       uint64_t now_ns);

struct restart_signal {
	unsigned times[2]; /* to us, to the data path */
	unsigned acted;
	uint64_t last_ns;
};

struct restart_signals { /* all zero: none so far */
	struct restart_signal of[NSIG];
};

/* Whether to act on a signal. False, too, for what is none. */
bool restart_is_new_signal(struct restart_signals *signals, int signo, bool at_data_path,
			   uint64_t now_ns);

#endif
