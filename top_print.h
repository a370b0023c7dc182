/* SPDX-License-Identifier: MIT */
/* top_print.h - a status with its rates for pipes: a table for people and awk, JSON for scripts. */
#ifndef FUSEBAND_TOP_PRINT_H
#define FUSEBAND_TOP_PRINT_H

#include <stdio.h>
#include "text.h"
#include "top_view.h"

/*
 * One line for each device, group and file, sorted and filtered as the view says; `-` where there
 * is nothing. What is wrong, and when it was, stands in lines that begin with #. 0, or -ENOMEM.
 */
int top_print_table(const struct top_status *status, const struct top_view *view, const char *mount,
		    bool utf8, FILE *out);

/* All of it, in the order of the status. */
void top_print_json(const struct top_status *status, const char *mount, struct text *out);

#endif
