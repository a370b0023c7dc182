/* SPDX-License-Identifier: MIT */
/*
 * history.h - what a counter pair was some seconds ago. Part of the scheduler library.
 *
 * Kept when the counters change and not by the clock: something that never happens costs nothing,
 * however many nodes there are. What a node is entitled to changes by itself as long as it waits,
 * and is found out afterwards (account.c). A "second" is 2^30 ns, which needs no division.
 */
#ifndef FUSEBAND_HISTORY_H
#define FUSEBAND_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#define HISTORY_SECONDS 10U
#define HISTORY_SHIFT 30

struct history {
	uint64_t second; /* the last one that has an entry */
	struct {
		uint64_t tokens, entitled;
	} at[HISTORY_SECONDS + 1]; /* when each second began; index is second % their number */
};

/* Seconds have begun since it was touched: all that are kept, from *ret_from to *ret_to. */
static inline bool history_is_behind(const struct history *history, uint64_t now_ns,
				     uint64_t *ret_from, uint64_t *ret_to)
{
	uint64_t second = now_ns >> HISTORY_SHIFT, from = history->second + 1;

	if (second < from)
		return false;
	*ret_from = second - from > HISTORY_SECONDS ? second - HISTORY_SECONDS : from;
	*ret_to = second;
	return true;
}

/* What was when that second, the next one, began. */
static inline void history_put(struct history *history, uint64_t second, uint64_t tokens,
			       uint64_t entitled)
{
	history->at[second % (HISTORY_SECONDS + 1)].tokens = tokens;
	history->at[second % (HISTORY_SECONDS + 1)].entitled = entitled;
	history->second = second;
}

/* To be called before the counters change, if they have not changed by themselves. */
static inline void history_note(struct history *history, uint64_t now_ns, uint64_t tokens,
				uint64_t entitled)
{
	uint64_t from, to;

	if (history_is_behind(history, now_ns, &from, &to))
		for (; from <= to; from++)
			history_put(history, from, tokens, entitled);
}

/* The second with which the last HISTORY_SECONDS began, apart from the present one. */
static inline uint64_t history_from(uint64_t now_ns)
{
	uint64_t second = now_ns >> HISTORY_SHIFT;

	return second > HISTORY_SECONDS ? second - HISTORY_SECONDS : 0;
}

/* Has it been touched since then? */
static inline bool history_has(const struct history *history, uint64_t second)
{
	return second <= history->second;
}

/* The tokens of then, no earlier than history_from() of now; they are `now` now. */
static inline uint64_t history_tokens(const struct history *history, uint64_t second, uint64_t now)
{
	return history_has(history, second) ? history->at[second % (HISTORY_SECONDS + 1)].tokens
					    : now;
}

static inline uint64_t history_entitled(const struct history *history, uint64_t second)
{
	return history->at[second % (HISTORY_SECONDS + 1)].entitled;
}

#endif
