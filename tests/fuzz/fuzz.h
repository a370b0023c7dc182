/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h - what the fuzz targets have in common.
 *
 * A target takes bytes, does with them what somebody foreign could make the project do, and checks
 * what must hold whatever they are. It keeps nothing from one input to the next. Linked with
 * libFuzzer (preset fuzz) it looks for inputs that do something new; linked with replay.c it runs
 * those that were found so far, as a test.
 */
#ifndef FUSEBAND_TESTS_FUZZ_FUZZ_H
#define FUSEBAND_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* libFuzzer's name for it. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In every build: what is checked is the point, and NDEBUG would make it disappear. */
#define CHECK(what) ((what) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #what))

_Noreturn static inline void fuzz_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	abort();
}

#endif
