/* SPDX-License-Identifier: MIT */
/*
 * alarm.h - is what was promised being kept? Decided once for each window of ten seconds, from
 * what happened in it.
 *
 * Pure: the caller (watch.h) brings figures, says what the answer means, and counts. An episode
 * begins when a promise was missed in several windows in a row, and ends with the first in which it
 * was not: one line in the log for each, however long it lasts.
 *
 * What is missed must be beyond doubt, as an alarm that cries wolf is switched off:
 *
 *   share        it had requests waiting for half of the window, and not because of a cap, and got
 *                less than 0.8 of its entitlement. With few requests the share of a single one is
 *                too much to judge by. As shares are kept, it is somebody who pays for
 *                what his flushes took
 *   reservation  it had requests waiting for nearly all of the window, and even if each had been
 *                cut up as unfavourably as possible, it got fewer I/Os or bytes than promised
 *   latency      even the lower end of the histogram's bucket is above the target
 *
 * Two are no matter of windows: a weight without effect (watch_weights()), and the memory for
 * queued writes being full, which who reads requests sees (worker.c).
 */
#ifndef FUSEBAND_ALARM_H
#define FUSEBAND_ALARM_H

#include "histogram.h"

#define ALARM_WINDOW_NS UINT64_C(10000000000)

/* Windows in a row until an episode begins. */
#define ALARM_SHARE_WINDOWS 3U
#define ALARM_RESERVATION_WINDOWS 2U /* in the first one it may have been new */
#define ALARM_LATENCY_WINDOWS 2U     /* the disk is probed from time to time */
#define ALARM_SIZE_WINDOWS 1U
#define ALARM_WEIGHT_WINDOWS 1U /* a reload is one */

struct alarm {
	unsigned missed; /* windows in a row */
	bool raised;	 /* an episode: it was told */
};

/* A window is over. True: an episode begins. */
bool alarm_window(struct alarm *alarm, bool missed, unsigned windows);

/* A file or group in one window. */
struct alarm_queue {
	uint64_t window_ns;
	uint64_t waiting_ns; /* for which it had requests waiting, and no cap of its own was why */
	unsigned entitled_ppm, achieved_ppm;
	uint64_t disk_ios; /* of everybody on its disk */
	uint64_t ios, bytes;
	uint64_t min_iops, min_bps, iops_size_bytes;
};
bool alarm_share(const struct alarm_queue *queue);
bool alarm_reservation(const struct alarm_queue *queue);

/* counts: the slices of a device in the window; target_ns 0: none. */
bool alarm_latency(const uint64_t counts[HISTOGRAM_BUCKETS], uint64_t target_ns);

#endif
