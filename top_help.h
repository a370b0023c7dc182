/* SPDX-License-Identifier: MIT */
/* top_help.h - the screen that explains keys and columns. */
#ifndef FUSEBAND_TOP_HELP_H
#define FUSEBAND_TOP_HELP_H

#include "top_grid.h"

void top_help(struct top_grid *grid);

#endif
