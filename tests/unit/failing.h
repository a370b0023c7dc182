/* SPDX-License-Identifier: MIT */
/*
 * failing.h - allocations of which one can fail.
 *
 * Link with -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=reallocarray,--wrap=strdup.
 */
#ifndef FUSEBAND_TESTS_UNIT_FAILING_H
#define FUSEBAND_TESTS_UNIT_FAILING_H

#include <stdbool.h>
#include <stddef.h>

/* So many from now on succeed, the next one does not; -1: all do. */
static long countdown = -1;

static bool fails(void)
{
	return countdown >= 0 && countdown-- == 0;
}

/* What was to fail has failed; and all is well again. */
static inline bool has_failed(void)
{
	bool failed = countdown < 0;

	countdown = -1;
	return failed;
}

#define FAILING(function, type, parameters, arguments)               \
	type __real_##function parameters;                           \
	type __wrap_##function parameters;                           \
	type __wrap_##function parameters                            \
	{                                                            \
		return fails() ? NULL : __real_##function arguments; \
	}

FAILING(malloc, void *, (size_t size), (size))
FAILING(calloc, void *, (size_t n, size_t size), (n, size))
FAILING(realloc, void *, (void *old, size_t size), (old, size))
FAILING(reallocarray, void *, (void *old, size_t n, size_t size), (old, n, size))
FAILING(strdup, char *, (const char *text), (text))

#endif
