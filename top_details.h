/* SPDX-License-Identifier: MIT */
/* top_details.h - all there is to say of one node, in a few lines of the screen. */
#ifndef FUSEBAND_TOP_DETAILS_H
#define FUSEBAND_TOP_DETAILS_H

#include "top_grid.h"
#include "top_status.h"

#define TOP_DETAILS_LINES 7

/* From row on. */
void top_details(struct top_grid *grid, int row, const struct top_status *status,
		 const struct top_node *node);

#endif
