/* SPDX-License-Identifier: MIT */
/* top_live.h - the full screen: new figures, keys, and what they show. */
#ifndef FUSEBAND_TOP_LIVE_H
#define FUSEBAND_TOP_LIVE_H

#include "top_feed.h"
#include "top_view.h"

/*
 * Until the operator quits, or the terminal is gone. feed has a status. 0, or -errno with a message
 * printed.
 */
int top_live(struct top_feed *feed, struct top_view *view, double every_s, bool utf8);

#endif
