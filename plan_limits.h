/* SPDX-License-Identifier: MIT */
/*
 * plan_limits.h - part of plan.c: can what is promised be kept?
 */
#ifndef FUSEBAND_PLAN_LIMITS_H
#define FUSEBAND_PLAN_LIMITS_H

#include "plan.h"

/*
 * Fills plan->disks[].promised, refuses more than a disk of known capability can do, and notes
 * what has no effect. 0, -EINVAL with the reasons in errors, or -ENOMEM.
 */
int plan_limits_check(struct plan *plan, struct conf_errors *errors, struct conf_errors *notes);

/* "1300 IO/s and 20M/s" */
void plan_print_promised(const struct plan_promised *promised, FILE *out);

#endif
