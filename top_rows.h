/* SPDX-License-Identifier: MIT */
/*
 * top_rows.h - which nodes of a status are shown, and in which order: as a tree, siblings sorted,
 * or all files in one order.
 *
 * A filter is a part of the name or path of a file, or of the name of a group or device above it,
 * in upper or lower case; what is above a file that is shown is shown, too.
 */
#ifndef FUSEBAND_TOP_ROWS_H
#define FUSEBAND_TOP_ROWS_H

#include "top_view.h"

/* 0, or -ENOMEM. *ret_rows: nodes, to be freed. */
int top_rows(const struct top_status *status, const struct top_view *view, size_t **ret_rows,
	     size_t *ret_n);

/* Of an entitlement worth speaking of it got so little that an alarm will come of it. */
bool top_is_short(const struct top_node *node);
/* It has nothing to do. */
bool top_is_idle(const struct top_node *node);

#endif
