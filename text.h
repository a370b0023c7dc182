/* SPDX-License-Identifier: MIT */
/*
 * text.h - text that grows, and the few things that JSON and the Prometheus format ask for.
 *
 * Out of memory is remembered: whoever is done asks once.
 */
#ifndef FUSEBAND_TEXT_H
#define FUSEBAND_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero is an empty one. */
struct text {
	char *data; /* not terminated */
	size_t len, size;
	bool failed; /* no memory: it is not all there */
};

void text_free(struct text *text);
void text_add(struct text *text, const char *string);
void text_printf(struct text *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "string" with quotes; what is not UTF-8 becomes U+FFFD. NULL: null. */
void text_json_string(struct text *text, const char *string);
/* A comma, unless it is the first of its list; then "name": if there is one. */
void text_json_key(struct text *text, const char *name);

/* The value of a label with quotes; likewise. */
void text_prom_string(struct text *text, const char *string);

/* A number in parts of 10^places, as a decimal fraction: (1234, 3) is 1.234. */
void text_fixed(struct text *text, uint64_t value, unsigned places);

/*
 * What others have named is no command to a terminal: control characters, C1 in UTF-8, too, become
 * '?'.
 */
void text_tame(char *string);

#endif
