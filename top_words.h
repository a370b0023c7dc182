/* SPDX-License-Identifier: MIT */
/* top_words.h - figures and reasons as people read them, in little room. */
#ifndef FUSEBAND_TOP_WORDS_H
#define FUSEBAND_TOP_WORDS_H

#include <stddef.h>
#include <stdint.h>

#define TOP_WORD_BYTES 64

/* 0, 17, 3986, 123k, 12.3M: at most five characters below 10^9. */
void top_count(char to[TOP_WORD_BYTES], double n);
/* Bytes (per second) in millions: 0, 0.04, 16.3, 1240. */
void top_megabytes(char to[TOP_WORD_BYTES], double bytes);
/* Microseconds in milliseconds, with three digits that count: 0.08, 7.81, 78.1, 7812. NaN: "". */
void top_ms(char to[TOP_WORD_BYTES], double us);
/* 54.6%; 0% for nothing at all. */
void top_pct(char to[TOP_WORD_BYTES], double pct);
/* 3 d 04:12, 04:12:33. */
void top_duration(char to[TOP_WORD_BYTES], double seconds);
/*
 * 16 GiB, 512 KiB, 17 B: the largest power of 1024 of which it is a multiple, or with a fraction.
 */
void top_size(char to[TOP_WORD_BYTES], uint64_t bytes);

/*
 * What a throttled_by means, in 8 characters ("its turn") and in up to 26; "": it waits for
 * nothing.
 */
const char *top_reason(const char *throttled_by);
const char *top_reason_long(const char *throttled_by);
/* What an alarm means: "got less than 0.8 of its share for half a minute". */
const char *top_alarm(const char *name);

#endif
