/* SPDX-License-Identifier: MIT */
/*
 * earnings.h - how fast a disk earns tokens. Part of the scheduler library.
 *
 * A slice that came back has earned its tokens. Counted is time in which any were in flight; so time
 * that a flush or a discard took can be expressed in what the disk could have earned meanwhile.
 * Nobody can tell what was earned in which time up to the first slice after one of these, and those
 * that come back with it: they do not count. And prices are learnt only from a disk that had as
 * much to do as it is given, ever since the last slice came back.
 */
#ifndef FUSEBAND_EARNINGS_H
#define FUSEBAND_EARNINGS_H

#include "sched.h"

struct earnings {
	enum fbs_policy policy; /* whose tokens these are */
	uint64_t all_tokens;

	/* lately, while anything was in flight */
	uint64_t busy_since_ns, busy_ns, busy_tokens;

	bool disturbed;	       /* since the last slice came back */
	uint64_t disturbed_ns; /* the last time that one came back for which that held */
	bool slack;	       /* there is nothing to issue */
	uint64_t slack_since_ns;
	bool slackened; /* for some time since the last slice came back */
};

/* Tokens are other ones from now on: what is known of them is forgotten. */
void earnings_set_policy(struct earnings *earnings, enum fbs_policy policy);

/* Something is in flight again. */
void earnings_begin(struct earnings *earnings, uint64_t now_ns);
/* A flush or a discard took time of the disk. */
void earnings_disturb(struct earnings *earnings);
/* Is there nothing to issue? Whenever that may have changed. */
void earnings_look_for_slack(struct earnings *earnings, bool nothing_to_issue, uint64_t now_ns);
/*
 * A slice is back; 0: its tokens are those of another policy. Did the disk have as much to do as it
 * is given, ever since the last one?
 */
bool earnings_add(struct earnings *earnings, uint64_t tokens, uint64_t now_ns);

bool earnings_are_known(const struct earnings *earnings);
/* So much disk time as tokens. Until that is known: at a rate that is made up. */
uint64_t earnings_tokens_of_ns(const struct earnings *earnings, uint64_t ns);

#endif
