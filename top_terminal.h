/* SPDX-License-Identifier: MIT */
/* top_terminal.h - a grid on a terminal, and its keys; all there is of ncurses. */
#ifndef FUSEBAND_TOP_TERMINAL_H
#define FUSEBAND_TOP_TERMINAL_H

#include "top_grid.h"

/* False: there is no terminal that could be used. From then on nothing else may be printed. */
bool top_terminal_open(void);
/* As it was before. */
void top_terminal_close(void);
void top_terminal_size(int *ret_width, int *ret_height);
void top_terminal_show(struct top_grid *grid);

#define TOP_TERMINAL_NONE 0UL
#define TOP_TERMINAL_RESIZED 0x300000UL
/* A key as top_view.h counts them, or one of those; does not wait. */
unsigned long top_terminal_key(void);

#endif
