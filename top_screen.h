/* SPDX-License-Identifier: MIT */
/*
 * top_screen.h - a status and what the operator has chosen, laid out on a grid of cells.
 *
 *	 fuseband-top  /mnt/ioband                                  every 1 s   up 3 d 04:12
 *	 1 disk, 6 files, 4 busy   3986 IO/s  16.3 MB/s   configuration 7: /etc/ioband.ini
 *	! alarms, an error of the last reload, why there are no new figures: up to three lines
 *	                        0           50%
 *	 NAME             WEIGHT                    GOT ENTITLED   IO/s   MB/s  WAITS FOR
 *	 sda                     cost, auto                        3986   16.3
 *	   vm1.img            80 =========|       54.6%    54.6%   2180   8.93  the disk
 *	<  vm2.img            20 ==      |         9.6%    13.6%    545   2.23  its turn
 *	 (details of the row with the cursor, if wanted)
 *	 ? help  q quit ...
 *
 * What a colour says is there without it: a flag before the name (! an alarm, < short of what it is
 * entitled to), words, and the mark in the bar.
 */
#ifndef FUSEBAND_TOP_SCREEN_H
#define FUSEBAND_TOP_SCREEN_H

#include "top_grid.h"
#include "top_view.h"

struct top_about {
	const char *mount;
	double every_s;
	const char *trouble; /* why there are no new figures; NULL: nothing is wrong */
	double waiting_s;    /* for an answer; shown when it is long */
};

/* 0 or -ENOMEM. Says in view how many rows there are. */
int top_screen_draw(struct top_grid *grid, const struct top_status *status, struct top_view *view,
		    const struct top_about *about);

#endif
