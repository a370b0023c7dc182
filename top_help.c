/* SPDX-License-Identifier: MIT */
/* top_help.c - see top_help.h. It fits on 80x24. */
#include "top_help.h"

static const struct {
	const char *key, *what; /* key NULL: a line of text; "": an empty one */
} lines[] = {
	{"Up Down PgUp PgDn", "move the cursor (also k, j); Home, End"},
	{"Enter", "all there is to say of the row with the cursor"},
	{"/", "show only what has this in its name, path, group or disk"},
	{"a", "show only files that are busy"},
	{"d  D", "one disk after the other; disks only"},
	{"t", "a tree, or all files in one order"},
	{"s  S  r", "sort by the next column, the one before; in reverse"},
	{"o n w g e", "sort as configured, by name, weight, got, entitled"},
	{"i m u l v x", "by IO/s, MB/s, queue, wait p99, service p99, errors"},
	{"Tab", "shares, or queues and times, where not all columns fit"},
	{"Space", "stop and go on"},
	{"Esc", "back: details, filter, disk"},
	{"q", "quit"},
	{"", ""},
	{NULL, "GOT        its share of the disk in the last 10 s: the bar"},
	{NULL, "ENTITLED   what weights, limits and its own demand give it: the mark"},
	{NULL, "WAIT       from arrival until the disk is asked; SERVICE: from then on"},
	{NULL, "WAITS FOR  its turn: others are first; a cap: its own or a group's; the disk:"},
	{NULL, "           it has enough to do; another: it is kept free for another file"},
	{NULL, "!  an alarm     <  less than 0.8 of what it is entitled to"},
};

void top_help(struct top_grid *grid)
{
	int row = 1;

	for (int column = 0; column < grid->width; column++)
		top_grid_put_char(grid, 0, column, TOP_TITLE, L' ');
	top_grid_put(grid, 0, 1, grid->width - 1, TOP_TITLE, "fuseband-top: keys and columns");
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++, row++) {
		int at = 1;

		if (lines[i].key) {
			top_grid_put(grid, row, 1, 18, TOP_KEY, lines[i].key);
			at = 20;
		}
		top_grid_put(grid, row, at, grid->width - at, TOP_PLAIN, lines[i].what);
	}
	top_grid_put(grid, grid->height - 1, 1, grid->width - 1, TOP_DIM,
		     "any key: back       more: fuseband-top(1)");
}
