/* SPDX-License-Identifier: MIT */
/* top_screen.c - see top_screen.h. */
#include "top_screen.h"
#include "text.h"
#include "top_columns.h"
#include "top_details.h"
#include "top_help.h"
#include "top_rate.h"
#include "top_rows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_WIDTH 60
#define LEAST_HEIGHT 12
#define ALERTS_MOST 3
#define INDENT 2
#define LONG_S 2.0 /* an answer that takes longer is spoken of */
#define CENTRED_LEGEND_LEAST 32

struct screen {
	struct top_grid *grid;
	const struct top_status *status;
	struct top_view *view;
	const struct top_about *about;
	size_t *rows, n_rows;
	struct top_columns columns;
	double scale_pct;
	int row;  /* the next one that is free */
	int last; /* and behind the last one for the table */
};

/* ---- above the table ---- */

static void draw_title(struct screen *s)
{
	struct top_grid *grid = s->grid;
	char up[TOP_WORD_BYTES], right[2 * TOP_WORD_BYTES];
	int room;

	for (int column = 0; column < grid->width; column++)
		top_grid_put_char(grid, 0, column, TOP_TITLE, L' ');
	top_duration(up, s->status->uptime_s);
	snprintf(right, sizeof(right), "%severy %g s   up %s", s->view->paused ? "PAUSED   " : "",
		 s->about->every_s, up);
	room = grid->width - 18 - top_grid_width(grid, right);
	top_grid_put(grid, 0, 1, 12, TOP_TITLE, "fuseband-top");
	top_grid_put(grid, 0, 15, room, TOP_TITLE, s->about->mount);
	top_grid_put_right(grid, 0, 0, grid->width - 1, TOP_TITLE, right);
}

static void draw_summary(struct screen *s)
{
	const struct top_status *status = s->status;
	size_t n_files = status->n - status->n_devices - status->n_groups, busy = 0;
	char ios[TOP_WORD_BYTES], mb[TOP_WORD_BYTES];
	struct text text = {0};
	double iops = 0, bps = 0;

	for (size_t i = 0; i < status->n; i++) {
		const struct top_node *node = &status->nodes[i];

		busy += node->kind == TOP_FILE && !top_is_idle(node);
		iops += node->kind == TOP_FILE ? top_iops(node) : 0;
		bps += node->kind == TOP_FILE ? top_bps(node) : 0;
	}
	top_count(ios, iops);
	top_megabytes(mb, bps);
	text_printf(&text, "%zu disk%s, %zu file%s, %zu busy", status->n_devices,
		    status->n_devices == 1 ? "" : "s", n_files, n_files == 1 ? "" : "s", busy);
	if (status->interval_s > 0)
		text_printf(&text, "   %s IO/s  %s MB/s", ios, mb);
	if (status->restarts)
		text_printf(&text, "   %lu crash%s survived", status->restarts,
			    status->restarts == 1 ? "" : "es");
	text_printf(&text, "   configuration %lu%s%s", status->generation,
		    status->config ? ": " : "", status->config ? status->config : "");
	if (!text.failed)
		top_grid_put(s->grid, 1, 1, s->grid->width - 1, TOP_PLAIN, text.data);
	text_free(&text);
	s->row = 2;
}

/* One of ALERTS_MOST; the others are only counted. */
static void add_alert(struct screen *s, unsigned *n, const char *of, const char *what,
		      unsigned style)
{
	char text[1024];

	if ((*n)++ >= ALERTS_MOST)
		return;
	snprintf(text, sizeof(text), "%s%s%s", of, of[0] ? ": " : "", what);
	top_grid_put(s->grid, s->row, 0, 1, style, "!");
	top_grid_put(s->grid, s->row, 2, s->grid->width - 2, style, text);
	s->row++;
}

/* Of alarms, or one of them: nothing is missed where a weight has no effect. */
static unsigned alarm_style(const char *alarms)
{
	return strcmp(alarms, "weight") ? TOP_ALARM : TOP_WARNING;
}

/* alarms: "share, size". */
static void add_alarms(struct screen *s, unsigned *n, const char *of, const char *alarms)
{
	char list[TOP_ERROR_BYTES], *rest = list, *name;

	snprintf(list, sizeof(list), "%s", alarms);
	while ((name = strsep(&rest, ",")) != NULL) {
		name += *name == ' ';
		if (*name)
			add_alert(s, n, of, top_alarm(name), alarm_style(name));
	}
}

static void draw_alerts(struct screen *s)
{
	const struct top_status *status = s->status;
	char text[TOP_WORD_BYTES * 2];
	unsigned n = 0;

	if (s->about->trouble)
		add_alert(s, &n, "", s->about->trouble, TOP_ALARM);
	if (s->about->waiting_s > LONG_S) {
		snprintf(text, sizeof(text),
			 "no answer for %.0f s: one data path takes over from another, or a disk "
			 "hangs",
			 s->about->waiting_s);
		add_alert(s, &n, "", text, TOP_WARNING);
	}
	if (status->last_error)
		add_alert(s, &n, "the last reload was refused", status->last_error, TOP_ALARM);
	if (status->upgrade_error)
		add_alert(s, &n, "the last upgrade was refused", status->upgrade_error, TOP_ALARM);
	add_alarms(s, &n, "", status->alarms);
	for (size_t i = 0; i < status->n; i++)
		add_alarms(s, &n, status->nodes[i].name, status->nodes[i].alarms);
	if (n > ALERTS_MOST) {
		snprintf(text, sizeof(text), " and %u more ", n - ALERTS_MOST);
		top_grid_put_right(s->grid, s->row - 1, 0, s->grid->width, TOP_ALARM, text);
	}
}

/* ---- the table ---- */

/* So that the longest bar takes at least half of its room. */
static double choose_scale(const struct top_status *status)
{
	static const double scales[] = {1, 2, 5, 10, 20, 50};
	double most = 0;

	for (size_t i = status->n_devices; i < status->n; i++) {
		const struct top_node *node = &status->nodes[i];

		most = node->achieved_pct > most ? node->achieved_pct : most;
		most = node->entitled_pct > most ? node->entitled_pct : most;
	}
	for (size_t i = 0; i < sizeof(scales) / sizeof(scales[0]); i++)
		if (most <= scales[i])
			return scales[i];
	return 100;
}

static int indent_of(const struct screen *s, const struct top_node *node)
{
	return s->view->flat ? 0 : (int)node->depth * INDENT;
}

static int widest_name(const struct screen *s)
{
	int widest = 0;

	for (size_t i = 0; i < s->n_rows; i++) {
		const struct top_node *node = &s->status->nodes[s->rows[i]];
		int width = indent_of(s, node) + top_grid_width(s->grid, node->name);

		widest = width > widest ? width : widest;
	}
	return widest;
}

static void draw_scale(struct screen *s)
{
	const int at = s->columns.at[TOP_COLUMN_BAR], width = s->columns.width[TOP_COLUMN_BAR];
	const char *legend = s->grid->utf8 ? "\u2588 got  \u2502 entitled" : "= got  | entitled";
	char most[TOP_WORD_BYTES];

	if (!width)
		return;
	snprintf(most, sizeof(most), "%g%%", s->scale_pct);
	top_grid_put(s->grid, s->row, at, 1, TOP_HEADER, "0");
	top_grid_put_right(s->grid, s->row, at, width, TOP_HEADER, most);
	top_grid_put(s->grid, s->row + 1, at, width, TOP_HEADER,
		     width >= CENTRED_LEGEND_LEAST ? legend : "share of disk");
}

/* Once above those that have it. */
static void draw_over(struct screen *s, enum top_column first)
{
	const struct top_columns *columns = &s->columns;
	const char *over = top_column_kinds[first].over;
	enum top_column last = first;
	int width, need = top_grid_width(s->grid, over);

	for (unsigned i = first; i < TOP_COLUMNS; i++)
		if (columns->width[i] && top_column_kinds[i].over == over)
			last = i;
	width = columns->at[last] + columns->width[last] - columns->at[first];
	top_grid_put(s->grid, s->row, columns->at[first] + (width > need ? (width - need) : 0),
		     width, TOP_HEADER, over);
}

static void draw_title_of(struct screen *s, enum top_column column)
{
	const struct top_column_kind *kind = &top_column_kinds[column];
	bool sorted = kind->sort == (int)s->view->sort;
	bool up = s->view->reverse != (s->view->sort == TOP_BY_NAME);
	unsigned style = sorted ? TOP_SORTED : TOP_HEADER;
	int at = s->columns.at[column], width = s->columns.width[column];
	int len = top_grid_width(s->grid, kind->title);

	if (kind->left)
		top_grid_put(s->grid, s->row + 1, at, width, style, kind->title);
	else
		top_grid_put_right(s->grid, s->row + 1, at, width, style, kind->title);
	if (sorted)
		top_grid_put(s->grid, s->row + 1, kind->left ? at + len : at + width - len - 1, 1,
			     style,
			     s->grid->utf8 ? up ? "\u25b2" : "\u25bc"
			     : up	   ? "^"
					   : "v");
}

static void draw_header(struct screen *s)
{
	const char *above = NULL;

	top_grid_mark_row(s->grid, s->row, TOP_HEADER);
	top_grid_mark_row(s->grid, s->row + 1, TOP_HEADER);
	for (unsigned i = 0; i < TOP_COLUMNS; i++) {
		const char *over = top_column_kinds[i].over;

		if (!s->columns.width[i])
			continue;
		if (over && over != above)
			draw_over(s, i);
		above = over;
		draw_title_of(s, i);
	}
	draw_scale(s);
	s->row += 2;
}

static unsigned style_of(const struct top_node *node)
{
	if (node->kind == TOP_DEVICE)
		return TOP_BOLD;
	return node->kind == TOP_FILE && top_is_idle(node) ? TOP_DIM : TOP_PLAIN;
}

static void draw_bar(struct screen *s, const struct top_node *node)
{
	const int at = s->columns.at[TOP_COLUMN_BAR], width = s->columns.width[TOP_COLUMN_BAR];
	char text[TOP_WORD_BYTES * 4];

	if (!width || node->device < 0)
		return;
	if (node->kind == TOP_DEVICE) {
		snprintf(text, sizeof(text), "policy %s, isolation %s", node->policy,
			 node->isolation);
		if (top_grid_width(s->grid, text) > width)
			snprintf(text, sizeof(text), "%s, %s", node->policy, node->isolation);
		top_grid_put(s->grid, s->row, at, width, TOP_DIM, text);
		return;
	}
	top_grid_bar(s->grid, s->row, at, width,
		     strstr(node->alarms, "share") ? TOP_ALARM
		     : top_is_short(node)	   ? TOP_BAR_SHORT
						   : TOP_BAR,
		     TOP_MARK, node->achieved_pct, node->entitled_pct, s->scale_pct);
}

static void draw_node(struct screen *s, const struct top_node *node)
{
	const struct top_columns *columns = &s->columns;
	unsigned style = style_of(node);
	int indent = indent_of(s, node), name = columns->width[TOP_COLUMN_NAME];
	char text[TOP_WORD_BYTES];

	if (node->alarms[0])
		top_grid_put(s->grid, s->row, 0, 1, alarm_style(node->alarms), "!");
	else if (top_is_short(node))
		top_grid_put(s->grid, s->row, 0, 1, TOP_WARNING, "<");
	top_grid_put(s->grid, s->row, columns->at[TOP_COLUMN_NAME] + indent, name - indent,
		     node->kind == TOP_GROUP ? TOP_BOLD : style, node->name);
	if (columns->width[TOP_COLUMN_DISK] && node->device >= 0)
		top_grid_put(s->grid, s->row, columns->at[TOP_COLUMN_DISK],
			     columns->width[TOP_COLUMN_DISK], style,
			     s->status->nodes[node->device].name);
	draw_bar(s, node);
	for (unsigned i = 0; i < TOP_COLUMNS; i++) {
		if (!columns->width[i])
			continue;
		top_column_text(node, i, columns->width[i], text);
		if (!text[0])
			continue;
		if (top_column_kinds[i].left)
			top_grid_put(s->grid, s->row, columns->at[i], columns->width[i], style,
				     text);
		else
			top_grid_put_right(s->grid, s->row, columns->at[i], columns->width[i],
					   i == TOP_COLUMN_ERRORS && node->counters[TOP_ERRORS]
						   ? TOP_WARNING
						   : style,
					   text);
	}
	s->row++;
}

static void draw_rows(struct screen *s)
{
	struct top_view *view = s->view;
	size_t n = s->last > s->row ? (size_t)(s->last - s->row) : 0;

	top_view_fit(view, s->n_rows, n);
	if (!s->n_rows)
		top_grid_put(s->grid, s->row, 2, s->grid->width - 2, TOP_DIM,
			     view->filter[0]   ? "nothing has a name like that (Esc shows all)"
			     : view->busy_only ? "nothing is busy (a shows all)"
					       : "there are no files");
	for (size_t i = view->first; i < s->n_rows && i - view->first < n; i++) {
		draw_node(s, &s->status->nodes[s->rows[i]]);
		if (i == view->cursor)
			top_grid_mark_row(s->grid, s->row - 1, TOP_CURSOR);
	}
}

/* ---- below it ---- */

/* What is not as at the beginning, and where in a long list. */
static void place_text(const struct screen *s, struct text *text)
{
	const struct top_view *view = s->view;
	const char *gap = "";

	if (view->filter[0]) {
		text_printf(text, "/%s", view->filter);
		gap = "  ";
	}
	if (view->busy_only) {
		text_printf(text, "%sbusy only", gap);
		gap = "  ";
	}
	if (view->sort != TOP_BY_CONFIG || view->reverse) {
		text_printf(text, "%sby %s%s", gap, top_sort_name(view->sort),
			    view->reverse ? ", reversed" : "");
		gap = "  ";
	}
	if (s->n_rows > view->n_lines && view->n_lines)
		text_printf(text, "%s%zu-%zu of %zu", gap, view->first + 1,
			    view->first + view->n_lines, s->n_rows);
	text_printf(text, "%s", "");
}

/* As many as there is room for, the most wanted first. */
static void draw_keys(struct screen *s, int width)
{
	static const char *const keys[][2] = {
		{"?", "help"}, {"q", "quit"},	     {"/", "filter"},
		{"s", "sort"}, {"Tab", "times"},     {"t", "flat"},
		{"d", "disk"}, {"Enter", "details"}, {"Space", "pause"}};
	int at = 1, row = s->grid->height - 1;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const char *what = keys[i][1];

		if (!strcmp(what, "times") && s->columns.all)
			continue;
		if (!strcmp(what, "times") && s->view->times)
			what = "shares";
		else if (!strcmp(what, "flat") && s->view->flat)
			what = "tree";
		else if (!strcmp(what, "pause") && s->view->paused)
			what = "go on";
		if (at + (int)strlen(keys[i][0]) + 1 + (int)strlen(what) > width)
			break;
		at += top_grid_put(s->grid, row, at, 8, TOP_KEY, keys[i][0]) + 1;
		at += top_grid_put(s->grid, row, at, 16, TOP_DIM, what) + 2;
	}
}

static void draw_footer(struct screen *s)
{
	int row = s->grid->height - 1, at;
	struct text place = {0};

	if (s->view->editing) {
		at = 1 + top_grid_put(s->grid, row, 1, 1, TOP_KEY, "/");
		at += top_grid_put(s->grid, row, at, TOP_FILTER_BYTES, TOP_BOLD, s->view->filter);
		at += top_grid_put(s->grid, row, at, 1, TOP_KEY, "_");
		top_grid_put(s->grid, row, at + 2, s->grid->width - at - 2, TOP_DIM,
			     "a part of a name or path; Enter keeps it, Esc does not");
		return;
	}
	place_text(s, &place);
	if (!place.failed) {
		int width = s->grid->width - 1 - top_grid_width(s->grid, place.data);

		draw_keys(s, width - 2);
		top_grid_put(s->grid, row, width, s->grid->width - width, TOP_SORTED, place.data);
	}
	text_free(&place);
}

/* ---- all of it ---- */

static void draw_all(struct screen *s)
{
	struct top_view *view = s->view;
	int height = s->grid->height;

	s->last = height - 1 - (view->details && s->n_rows ? TOP_DETAILS_LINES : 0);
	s->scale_pct = choose_scale(s->status);
	top_columns_choose(view, s->grid->width, widest_name(s), &s->columns);
	draw_title(s);
	draw_summary(s);
	draw_alerts(s);
	draw_header(s);
	draw_rows(s);
	if (s->last < height - 1)
		top_details(s->grid, s->last, s->status, &s->status->nodes[s->rows[view->cursor]]);
	draw_footer(s);
}

int top_screen_draw(struct top_grid *grid, const struct top_status *status, struct top_view *view,
		    const struct top_about *about)
{
	struct screen s = {.grid = grid, .status = status, .view = view, .about = about};
	int r;

	top_grid_clear(grid);
	if (grid->width < LEAST_WIDTH || grid->height < LEAST_HEIGHT) {
		top_grid_put(grid, 0, 0, grid->width, TOP_PLAIN, "too small: 80x24, please");
		return 0;
	}
	view->n_devices = status->n_devices;
	if (view->device > status->n_devices)
		view->device = 0;
	if (view->help) {
		top_help(grid);
		return 0;
	}
	r = top_rows(status, view, &s.rows, &s.n_rows);
	if (r)
		return r;
	draw_all(&s);
	free(s.rows);
	return 0;
}
