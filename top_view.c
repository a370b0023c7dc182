/* SPDX-License-Identifier: MIT */
/* top_view.c - see top_view.h. */
#include "top_view.h"

#include <string.h>

static const char *const sort_names[TOP_SORTS] = {
	[TOP_BY_CONFIG] = "config",   [TOP_BY_NAME] = "name",	 [TOP_BY_WEIGHT] = "weight",
	[TOP_BY_GOT] = "got",	      [TOP_BY_IOPS] = "iops",	 [TOP_BY_ENTITLED] = "entitled",
	[TOP_BY_BPS] = "bps",	      [TOP_BY_WAIT] = "wait",	 [TOP_BY_QUEUE] = "queue",
	[TOP_BY_SERVICE] = "service", [TOP_BY_ERRORS] = "errors"};

const char *top_sort_name(enum top_sort sort)
{
	return sort_names[sort];
}

bool top_sort_find(const char *name, enum top_sort *ret_sort)
{
	for (unsigned i = 0; i < TOP_SORTS; i++) {
		if (strcmp(name, sort_names[i]) != 0)
			continue;
		*ret_sort = i;
		return true;
	}
	return false;
}

/* ---- the cursor ---- */

static void move_down(struct top_view *view, size_t rows)
{
	size_t left = view->n_rows ? view->n_rows - 1 - view->cursor : 0;

	view->cursor += rows < left ? rows : left;
}

static void move_up(struct top_view *view, size_t rows)
{
	view->cursor -= rows < view->cursor ? rows : view->cursor;
}

void top_view_fit(struct top_view *view, size_t n_rows, size_t n_lines)
{
	size_t last = n_rows > n_lines ? n_rows - n_lines : 0;

	view->n_rows = n_rows;
	view->n_lines = n_lines;
	if (view->cursor >= n_rows)
		view->cursor = n_rows ? n_rows - 1 : 0;
	if (view->first > view->cursor)
		view->first = view->cursor;
	if (view->cursor - view->first >= n_lines)
		view->first = n_lines ? view->cursor - n_lines + 1 : view->cursor;
	if (view->first > last)
		view->first = last;
}

/* ---- the filter ---- */

static size_t add_utf8(char *to, unsigned long c)
{
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};

	for (size_t i = n; i-- > 1; c >>= 6)
		to[i] = (char)(0x80 | (c & 0x3f));
	to[0] = (char)(leads[n] | c);
	to[n] = '\0';
	return n;
}

static void edit_filter(struct top_view *view, unsigned long key)
{
	size_t len = strlen(view->filter);

	if (key == TOP_KEY_ENTER) {
		view->editing = false;
	} else if (key == TOP_KEY_ESCAPE) {
		view->editing = false;
		memcpy(view->filter, view->filter_before, sizeof(view->filter));
	} else if (key == TOP_KEY_BACKSPACE) {
		while (len && ((unsigned char)view->filter[len - 1] & 0xc0) == 0x80)
			len--;
		view->filter[len ? len - 1 : 0] = '\0';
	} else if (key == 'U' - 0x40) {
		view->filter[0] = '\0';
	} else if (key >= 0x20 && key != 0x7f && key < 0x110000 && len + 4 < TOP_FILTER_BYTES) {
		add_utf8(view->filter + len, key);
	}
}

/* ---- keys ---- */

static void sort_by(struct top_view *view, enum top_sort sort)
{
	view->reverse = false;
	view->sort = sort;
}

static bool sort_key(struct top_view *view, unsigned long key)
{
	static const struct {
		char key;
		enum top_sort sort;
	} keys[] = {{'o', TOP_BY_CONFIG},  {'n', TOP_BY_NAME},	{'w', TOP_BY_WEIGHT},
		    {'g', TOP_BY_GOT},	   {'i', TOP_BY_IOPS},	{'e', TOP_BY_ENTITLED},
		    {'m', TOP_BY_BPS},	   {'u', TOP_BY_QUEUE}, {'l', TOP_BY_WAIT},
		    {'v', TOP_BY_SERVICE}, {'x', TOP_BY_ERRORS}};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (key != (unsigned char)keys[i].key)
			continue;
		sort_by(view, keys[i].sort);
		return true;
	}
	if (key == 's')
		sort_by(view, (view->sort + 1) % TOP_SORTS);
	else if (key == 'S')
		sort_by(view, (view->sort + TOP_SORTS - 1) % TOP_SORTS);
	else if (key == 'r')
		view->reverse = !view->reverse;
	else
		return false;
	return true;
}

static bool cursor_key(struct top_view *view, unsigned long key)
{
	size_t page = view->n_lines > 1 ? view->n_lines - 1 : 1;

	if (key == TOP_KEY_UP || key == 'k')
		move_up(view, 1);
	else if (key == TOP_KEY_DOWN || key == 'j')
		move_down(view, 1);
	else if (key == TOP_KEY_PAGE_UP)
		move_up(view, page);
	else if (key == TOP_KEY_PAGE_DOWN)
		move_down(view, page);
	else if (key == TOP_KEY_HOME)
		view->cursor = 0;
	else if (key == TOP_KEY_END)
		move_down(view, view->n_rows);
	else
		return false;
	return true;
}

/* One step back to where everything is shown. */
static void escape(struct top_view *view)
{
	if (view->details)
		view->details = false;
	else if (view->filter[0])
		view->filter[0] = '\0';
	else
		view->device = 0;
}

static void choose(struct top_view *view, unsigned long key)
{
	if (key == '?' || key == 'h' || key == TOP_KEY_HELP) {
		view->help = true;
	} else if (key == ' ') {
		view->paused = !view->paused;
	} else if (key == '/') {
		memcpy(view->filter_before, view->filter, sizeof(view->filter));
		view->editing = true;
	} else if (key == 't') {
		view->flat = !view->flat;
		view->devices_only = false;
	} else if (key == 'a') {
		view->busy_only = !view->busy_only;
	} else if (key == 'd') {
		view->device = view->device < view->n_devices ? view->device + 1 : 0;
	} else if (key == 'D') {
		view->devices_only = !view->devices_only;
		view->flat = false;
		view->device = 0;
	} else if (key == TOP_KEY_TAB) {
		view->times = !view->times;
	} else if (key == TOP_KEY_ENTER) {
		view->details = !view->details;
	} else if (key == TOP_KEY_ESCAPE) {
		escape(view);
	}
}

bool top_view_key(struct top_view *view, unsigned long key)
{
	if (view->editing)
		edit_filter(view, key);
	else if (key == 'q')
		return false;
	else if (view->help)
		view->help = false;
	else if (!cursor_key(view, key) && !sort_key(view, key))
		choose(view, key);
	return true;
}
