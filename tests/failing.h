/* SPDX-License-Identifier: MIT */
/* failing.h - the countdown of failing.c, as the file that both sides map has it. */
#ifndef FUSEBAND_TESTS_FAILING_H
#define FUSEBAND_TESTS_FAILING_H

#include <stdatomic.h>
#include <stdint.h>

struct countdown {
	_Atomic int64_t left; /* the call that makes it 0 fails */
	char what[56];	      /* the last one that did */
};

#endif
