/* SPDX-License-Identifier: MIT */
/*
 * logged.h - what goes to the log is kept and can be asked for, in unit tests that are linked with
 * --wrap=log_line.
 */
#ifndef FUSEBAND_TESTS_UNIT_LOGGED_H
#define FUSEBAND_TESTS_UNIT_LOGGED_H

#include "log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static char logged[16384];

void __wrap_log_line(enum log_level level, const char *fmt, ...);
void __wrap_log_line(enum log_level level, const char *fmt, ...)
{
	size_t n = strlen(logged);
	va_list args;

	(void)level;
	va_start(args, fmt);
	vsnprintf(logged + n, sizeof(logged) - n, fmt, args);
	va_end(args);
}

/* Since the last time that something was asked for. */
static inline void has_logged(const char *wanted)
{
	if (!strstr(logged, wanted))
		fail_msg("\"%s\" is not in \"%s\"", wanted, logged);
	logged[0] = '\0';
}

#endif
