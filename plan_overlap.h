/* SPDX-License-Identifier: MIT */
/*
 * plan_overlap.h - part of plan.c: no byte may be written through two files.
 */
#ifndef FUSEBAND_PLAN_OVERLAP_H
#define FUSEBAND_PLAN_OVERLAP_H

#include "plan.h"

/*
 * Overlaps of the plan's files, and of what runs, is in use and goes_on without a file of the plan
 * (n_running of each). complain: which file is to blame, by which key, and why. 0 or -ENOMEM.
 */
int plan_overlap_check(const struct plan *plan, const struct plan_running *running,
		       size_t n_running, const bool *goes_on,
		       void (*complain)(const struct conf_file *file, const char *key,
					const char *why, void *context),
		       void *context);

#endif
