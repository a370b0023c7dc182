/* SPDX-License-Identifier: MIT */
/*
 * top_feed.h - the newest status of a mount, with rates since the one before.
 *
 *	ask -> (poll for the descriptor) -> take -> TOP_FEED_NEW     now is another one
 *	                                            TOP_FEED_SAME    nothing has changed
 *	                                            TOP_FEED_WAIT    there is more to come
 *	                                            TOP_FEED_FAILED  trouble says why; now stays
 *
 * A mount that is gone, or whose daemon is another one now, is no reason to end: the next status
 * that can be had is the beginning of new rates.
 */
#ifndef FUSEBAND_TOP_FEED_H
#define FUSEBAND_TOP_FEED_H

#include "top_status.h"

#define TOP_TROUBLE_BYTES 1024

struct top_feed {
	const char *mount;
	struct top_reader *reader;
	struct top_status *now;		 /* NULL: there was none yet */
	bool asked;			 /* and there is no answer yet */
	double asked_s;			 /* since when; top_feed_clock() */
	char trouble[TOP_TROUBLE_BYTES]; /* "": the last answer was fine */
};

enum top_feed_result { TOP_FEED_WAIT, TOP_FEED_NEW, TOP_FEED_SAME, TOP_FEED_FAILED };

/* Monotonic, in seconds. */
double top_feed_clock(void);

int top_feed_open(struct top_feed *feed, const char *mount); /* 0 or -errno */
void top_feed_close(struct top_feed *feed);
/* Does nothing while there is no answer to the last one. */
void top_feed_ask(struct top_feed *feed);
enum top_feed_result top_feed_take(struct top_feed *feed);
/* Asks, and waits so long for the answer: TOP_FEED_WAIT: there is none. */
enum top_feed_result top_feed_wait(struct top_feed *feed, double seconds);

#endif
