/* SPDX-License-Identifier: MIT */
/* top_grid.c - see top_grid.h. */
#include "top_grid.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <wctype.h>

#define UNPRINTABLE L'?'

int top_grid_resize(struct top_grid *grid, int width, int height)
{
	struct top_cell *cells =
		reallocarray(grid->cells, (size_t)width * (size_t)height + 1, sizeof(*cells));

	if (!cells)
		return -ENOMEM;
	grid->cells = cells;
	grid->width = width;
	grid->height = height;
	top_grid_clear(grid);
	return 0;
}

void top_grid_clear(struct top_grid *grid)
{
	for (int i = 0; i < grid->width * grid->height; i++)
		grid->cells[i] = (struct top_cell){L' ', TOP_PLAIN};
}

void top_grid_free(struct top_grid *grid)
{
	free(grid->cells);
	*grid = (struct top_grid){0};
}

struct top_cell *top_grid_at(struct top_grid *grid, int row, int column)
{
	return &grid->cells[row * grid->width + column];
}

static bool is_inside(const struct top_grid *grid, int row, int column)
{
	return row >= 0 && row < grid->height && column >= 0 && column < grid->width;
}

void top_grid_put_char(struct top_grid *grid, int row, int column, unsigned style, wchar_t c)
{
	if (is_inside(grid, row, column))
		*top_grid_at(grid, row, column) = (struct top_cell){c, (unsigned char)style};
}

void top_grid_mark_row(struct top_grid *grid, int row, unsigned style)
{
	for (int column = 0; column < grid->width && row < grid->height; column++)
		top_grid_at(grid, row, column)->style |= (unsigned char)style;
}

/* ---- text ---- */

/* The next character, and how many columns it takes; false at the end. */
static bool next_char(const struct top_grid *grid, const char **text, wchar_t *ret_c,
		      int *ret_width)
{
	mbstate_t state = {0};
	size_t n;

	if (!**text)
		return false;
	n = grid->utf8 ? mbrtowc(ret_c, *text, strlen(*text), &state) : 1;
	if (!grid->utf8)
		*ret_c = (unsigned char)**text < 0x80 ? (wchar_t) * *text : UNPRINTABLE;
	if (n == (size_t)-1 || n == (size_t)-2) {
		n = 1;
		*ret_c = UNPRINTABLE;
	}
	if (!iswprint((wint_t)*ret_c))
		*ret_c = UNPRINTABLE;
	/* without UTF-8 one question mark for each character, not for each byte */
	*text += n;
	while (!grid->utf8 && ((unsigned char)**text & 0xc0) == 0x80)
		++*text;
	*ret_width = wcwidth(*ret_c);
	if (*ret_width < 0)
		*ret_width = 1;
	return true;
}

int top_grid_width(const struct top_grid *grid, const char *text)
{
	int width = 0, one;
	wchar_t c;

	while (next_char(grid, &text, &c, &one))
		width += one;
	return width;
}

int top_grid_put(struct top_grid *grid, int row, int column, int width, unsigned style,
		 const char *text)
{
	int room = width < grid->width - column ? width : grid->width - column;
	bool cut = top_grid_width(grid, text) > room;
	int used = 0, one;
	wchar_t c;

	if (room <= 0)
		return 0;
	while (next_char(grid, &text, &c, &one)) {
		if (used + one > room - cut)
			break;
		if (!one)
			continue; /* what combines with the one before */
		top_grid_put_char(grid, row, column + used, style, c);
		if (one == 2)
			top_grid_put_char(grid, row, column + used + 1, style, 0);
		used += one;
	}
	if (cut)
		top_grid_put_char(grid, row, column + used++, style, grid->utf8 ? L'\u2026' : L'~');
	return used;
}

void top_grid_put_right(struct top_grid *grid, int row, int column, int width, unsigned style,
			const char *text)
{
	int need = top_grid_width(grid, text);

	if (need < width) {
		column += width - need;
		width = need;
	}
	top_grid_put(grid, row, column, width, style, text);
}

/* ---- bars ---- */

void top_grid_bar(struct top_grid *grid, int row, int column, int width, unsigned style,
		  unsigned mark_style, double value, double due, double scale)
{
	static const wchar_t eighths[] = L" \u258f\u258e\u258d\u258c\u258b\u258a\u2589";
	int parts = (int)lround(fmin(value / scale, 1) * width * 8);
	int mark = due > 0 ? (int)fmin(floor(due / scale * width), width - 1) : -1;

	if (value > 0 && !parts)
		parts = 1;
	for (int i = 0; i < parts / 8; i++)
		top_grid_put_char(grid, row, column + i, style, grid->utf8 ? L'\u2588' : L'=');
	if (parts % 8 && grid->utf8)
		top_grid_put_char(grid, row, column + parts / 8, style, eighths[parts % 8]);
	else if (parts % 8 >= 4 || parts == 1)
		top_grid_put_char(grid, row, column + parts / 8, style, L'-');
	if (mark >= 0)
		top_grid_put_char(grid, row, column + mark, mark_style,
				  grid->utf8 ? L'\u2502' : L'|');
}
