/* SPDX-License-Identifier: MIT */
/* top_terminal.c - see top_terminal.h. */
#define NCURSES_WIDECHAR 1
#include "top_terminal.h"
#include "top_view.h"

#include <curses.h>
#include <stdlib.h>

#define CURSOR_GREY 237 /* of 256 colours: the row with the cursor keeps the colours of its bar */
#define DIM_GREY 245

static struct {
	attr_t attributes;
	short colour;
} styles[TOP_STYLES] = {
	[TOP_PLAIN] = {A_NORMAL, -1},
	[TOP_DIM] = {A_DIM, -1},
	[TOP_BOLD] = {A_BOLD, -1},
	[TOP_TITLE] = {A_REVERSE, -1},
	[TOP_HEADER] = {A_NORMAL, COLOR_CYAN},
	[TOP_SORTED] = {A_BOLD, COLOR_CYAN},
	[TOP_KEY] = {A_BOLD, -1},
	[TOP_BAR] = {A_NORMAL, COLOR_GREEN},
	[TOP_BAR_SHORT] = {A_NORMAL, COLOR_YELLOW},
	[TOP_MARK] = {A_BOLD, -1},
	[TOP_WARNING] = {A_BOLD, COLOR_YELLOW},
	[TOP_ALARM] = {A_BOLD, COLOR_RED},
};
static bool coloured, grey;

/* Pair 1 + style, and the same again for the row with the cursor. */
static void set_colours(void)
{
	const char *no_color = getenv("NO_COLOR");
	short behind = -1;

	coloured = has_colors() && !(no_color && no_color[0]) && start_color() == OK &&
		   COLOR_PAIRS > 2 * TOP_STYLES;
	if (!coloured)
		return;
	if (use_default_colors() != OK)
		behind = COLOR_BLACK;
	grey = COLORS >= 256;
	if (grey) {
		styles[TOP_DIM].attributes = A_NORMAL;
		styles[TOP_DIM].colour = DIM_GREY;
	}
	for (short i = 0; i < TOP_STYLES; i++) {
		short colour = styles[i].colour;

		if (colour < 0 && behind >= 0)
			colour = COLOR_WHITE;
		init_pair((short)(1 + i), colour, behind);
		init_pair((short)(1 + TOP_STYLES + i), colour, grey ? CURSOR_GREY : behind);
	}
}

bool top_terminal_open(void)
{
	if (!newterm(NULL, stdout, stdin))
		return false;
	set_escdelay(25);
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	leaveok(stdscr, TRUE);
	curs_set(0);
	set_colours();
	return true;
}

void top_terminal_close(void)
{
	endwin();
}

void top_terminal_size(int *ret_width, int *ret_height)
{
	getmaxyx(stdscr, *ret_height, *ret_width);
}

static void show_cell(int row, int column, const struct top_cell *cell)
{
	bool cursor = (cell->style & TOP_CURSOR) != 0;
	unsigned style = cell->style & ~TOP_CURSOR;
	attr_t attributes = styles[style].attributes;
	short pair = 0;
	wchar_t text[2] = {cell->c, 0};
	cchar_t c;

	if (!cell->c)
		return;
	if (coloured)
		pair = (short)(1 + style + (cursor ? TOP_STYLES : 0));
	if (cursor && !grey)
		attributes ^= A_REVERSE;
	setcchar(&c, text, attributes, pair, NULL);
	mvadd_wch(row, column, &c);
}

void top_terminal_show(struct top_grid *grid)
{
	erase();
	for (int row = 0; row < grid->height; row++)
		for (int column = 0; column < grid->width; column++)
			show_cell(row, column, top_grid_at(grid, row, column));
	refresh();
}

static unsigned long function_key(wint_t key)
{
	static const struct {
		wint_t key;
		unsigned long is;
	} keys[] = {{KEY_UP, TOP_KEY_UP},	  {KEY_DOWN, TOP_KEY_DOWN},
		    {KEY_PPAGE, TOP_KEY_PAGE_UP}, {KEY_NPAGE, TOP_KEY_PAGE_DOWN},
		    {KEY_HOME, TOP_KEY_HOME},	  {KEY_END, TOP_KEY_END},
		    {KEY_F(1), TOP_KEY_HELP},	  {KEY_BACKSPACE, TOP_KEY_BACKSPACE},
		    {KEY_ENTER, TOP_KEY_ENTER},	  {KEY_RESIZE, TOP_TERMINAL_RESIZED}};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (key == keys[i].key)
			return keys[i].is;
	return TOP_KEY_OTHER;
}

unsigned long top_terminal_key(void)
{
	wint_t key;
	int r = get_wch(&key);

	if (r == ERR)
		return TOP_TERMINAL_NONE;
	if (r == KEY_CODE_YES)
		return function_key(key);
	switch (key) {
	case '\r':
	case '\n':
		return TOP_KEY_ENTER;
	case '\t':
		return TOP_KEY_TAB;
	case 0x7f:
	case '\b':
		return TOP_KEY_BACKSPACE;
	case 0x1b:
		return TOP_KEY_ESCAPE;
	case 'L' - 0x40:
		clearok(stdscr, TRUE);
		return TOP_KEY_OTHER;
	case 0:
		return TOP_KEY_OTHER;
	default:
		return key;
	}
}
