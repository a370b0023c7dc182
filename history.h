/* SPDX-License-Identifier: MIT */
/*
 * history.h - what a counter pair was some seconds ago. Part of the scheduler library.
 *
 * Kept when the counters change and not by the clock: something that never happens costs nothing,
 * however many nodes there are. A "second" is 2^30 ns, which needs no division.
 */
#ifndef FUSEBAND_HISTORY_H
#define FUSEBAND_HISTORY_H

#include <stdint.h>

#define HISTORY_SECONDS 10U
#define HISTORY_SHIFT 30

struct history {
	uint64_t second; /* the last one that has an entry */
	struct {
		uint64_t tokens, entitled;
	} at[HISTORY_SECONDS + 1]; /* when each second began; index is second % their number */
};

/* To be called before the counters change. */
static inline void history_note(struct history *history, uint64_t now_ns, uint64_t tokens,
				uint64_t entitled)
{
	uint64_t second = now_ns >> HISTORY_SHIFT, from = history->second + 1;

	if (second < from)
		return;
	if (second - from > HISTORY_SECONDS)
		from = second - HISTORY_SECONDS;
	for (; from <= second; from++) {
		history->at[from % (HISTORY_SECONDS + 1)].tokens = tokens;
		history->at[from % (HISTORY_SECONDS + 1)].entitled = entitled;
	}
	history->second = second;
}

/* What *tokens and *entitled have grown by in the last HISTORY_SECONDS and the present one. */
static inline void history_growth(const struct history *history, uint64_t now_ns, uint64_t *tokens,
				  uint64_t *entitled)
{
	uint64_t second = now_ns >> HISTORY_SHIFT;
	uint64_t from = second > HISTORY_SECONDS ? second - HISTORY_SECONDS : 0;

	if (from > history->second) { /* all quiet since then */
		*tokens = *entitled = 0;
		return;
	}
	*tokens -= history->at[from % (HISTORY_SECONDS + 1)].tokens;
	*entitled -= history->at[from % (HISTORY_SECONDS + 1)].entitled;
}

#endif
