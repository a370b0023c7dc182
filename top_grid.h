/* SPDX-License-Identifier: MIT */
/*
 * top_grid.h - a screen as cells, each a character and a style; no terminal.
 *
 * Text is UTF-8. Where the locale is not, or a character cannot be printed (file names and paths
 * may hold anything, also what a terminal would obey), a question mark stands for it. What does not
 * fit its field ends in a sign that says so.
 */
#ifndef FUSEBAND_TOP_GRID_H
#define FUSEBAND_TOP_GRID_H

#include <stdbool.h>
#include <stddef.h>
#include <wchar.h>

enum top_style {
	TOP_PLAIN,
	TOP_DIM,
	TOP_BOLD,
	TOP_TITLE,  /* the first line */
	TOP_HEADER, /* of the table */
	TOP_SORTED, /* the column by which it is sorted */
	TOP_KEY,    /* a key to be pressed */
	TOP_BAR,
	TOP_BAR_SHORT, /* less than it should be */
	TOP_MARK,      /* what it should be */
	TOP_WARNING,
	TOP_ALARM,
	TOP_STYLES
};
#define TOP_CURSOR 0x80U /* and it is in the row with the cursor */

struct top_cell {
	wchar_t c; /* 0: the second half of a wide one */
	unsigned char style;
};

struct top_grid {
	int width, height;
	bool utf8;
	struct top_cell *cells;
};

/* All blank, of that size. 0 or -ENOMEM, and it is as it was. */
int top_grid_resize(struct top_grid *grid, int width, int height);
void top_grid_clear(struct top_grid *grid);
void top_grid_free(struct top_grid *grid);
struct top_cell *top_grid_at(struct top_grid *grid, int row, int column);

/* Columns that text takes. */
int top_grid_width(const struct top_grid *grid, const char *text);
/* Text in a field, from the left or from the right; returns the columns that were used. */
int top_grid_put(struct top_grid *grid, int row, int column, int width, unsigned style,
		 const char *text);
void top_grid_put_right(struct top_grid *grid, int row, int column, int width, unsigned style,
			const char *text);
void top_grid_put_char(struct top_grid *grid, int row, int column, unsigned style, wchar_t c);
/* Of all of a row, adds to the style. */
void top_grid_mark_row(struct top_grid *grid, int row, unsigned style);

/*
 * A bar for value of scale, in so many columns, with a mark at `due`. In UTF-8 it is exact to an
 * eighth of a column.
 */
void top_grid_bar(struct top_grid *grid, int row, int column, int width, unsigned style,
		  unsigned mark_style, double value, double due, double scale);

#endif
