/* SPDX-License-Identifier: MIT */
/* top_columns.c - see top_columns.h. */
#include "top_columns.h"
#include "top_rate.h"

#include <stdio.h>
#include <string.h>

#define NAME_MOST 40
#define REASON_MOST 27 /* the longest words */
#define BAR_GOOD 32    /* wide enough to go before the columns that are not much missed */
#define FLAG_COLUMNS 1 /* before the name */

const struct top_column_kind top_column_kinds[TOP_COLUMNS] = {
	[TOP_COLUMN_NAME] = {"NAME", NULL, 16, TOP_BY_NAME, true},
	[TOP_COLUMN_DISK] = {"DISK", NULL, 10, -1, true},
	[TOP_COLUMN_WEIGHT] = {"WEIGHT", NULL, 6, TOP_BY_WEIGHT, false},
	[TOP_COLUMN_BAR] = {"", NULL, 13, -1, true},
	[TOP_COLUMN_GOT] = {"GOT", NULL, 6, TOP_BY_GOT, false},
	[TOP_COLUMN_ENTITLED] = {"ENTITLED", NULL, 8, TOP_BY_ENTITLED, false},
	[TOP_COLUMN_IOPS] = {"IO/s", NULL, 6, TOP_BY_IOPS, false},
	[TOP_COLUMN_BPS] = {"MB/s", NULL, 6, TOP_BY_BPS, false},
	[TOP_COLUMN_READ_IOPS] = {"READ", "IO/s", 6, -1, false},
	[TOP_COLUMN_WRITE_IOPS] = {"WRITE", "IO/s", 6, -1, false},
	[TOP_COLUMN_READ_BPS] = {"READ", "MB/s", 6, -1, false},
	[TOP_COLUMN_WRITE_BPS] = {"WRITE", "MB/s", 6, -1, false},
	[TOP_COLUMN_FLUSHES] = {"FLUSH/s", NULL, 8, -1, false},
	[TOP_COLUMN_QUEUED] = {"QUEUE", NULL, 6, TOP_BY_QUEUE, false},
	[TOP_COLUMN_IN_FLIGHT] = {"IN FLIGHT", NULL, 9, -1, false},
	[TOP_COLUMN_WAIT_P50] = {"P50", "wait ms", 5, -1, false},
	[TOP_COLUMN_WAIT_P99] = {"P99", "wait ms", 6, TOP_BY_WAIT, false},
	[TOP_COLUMN_WAIT_P999] = {"P99.9", "wait ms", 6, -1, false},
	[TOP_COLUMN_SERVICE_P50] = {"P50", "service ms", 5, -1, false},
	[TOP_COLUMN_SERVICE_P99] = {"P99", "service ms", 6, TOP_BY_SERVICE, false},
	[TOP_COLUMN_SERVICE_P999] = {"P99.9", "service ms", 6, -1, false},
	[TOP_COLUMN_ERRORS] = {"ERRORS", NULL, 7, TOP_BY_ERRORS, false},
	[TOP_COLUMN_REASON] = {"WAITS FOR", NULL, 9, -1, true},
};

/* What goes in first, and until when a view is all there. */
static const enum top_column shares_first[] = {
	TOP_COLUMN_NAME,	TOP_COLUMN_REASON,	TOP_COLUMN_BAR,	     TOP_COLUMN_GOT,
	TOP_COLUMN_ENTITLED,	TOP_COLUMN_WEIGHT,	TOP_COLUMN_IOPS,     TOP_COLUMN_BPS,
	TOP_COLUMN_QUEUED,	TOP_COLUMN_IN_FLIGHT,	TOP_COLUMN_WAIT_P50, TOP_COLUMN_WAIT_P99,
	TOP_COLUMN_SERVICE_P50, TOP_COLUMN_SERVICE_P99,
};
static const enum top_column times_first[] = {
	TOP_COLUMN_NAME,     TOP_COLUMN_REASON,	  TOP_COLUMN_QUEUED,	  TOP_COLUMN_IN_FLIGHT,
	TOP_COLUMN_WAIT_P50, TOP_COLUMN_WAIT_P99, TOP_COLUMN_SERVICE_P50, TOP_COLUMN_SERVICE_P99,
	TOP_COLUMN_IOPS,     TOP_COLUMN_BPS,	  TOP_COLUMN_WEIGHT,	  TOP_COLUMN_GOT,
	TOP_COLUMN_ENTITLED, TOP_COLUMN_BAR,
};
static const enum top_column then[] = {
	TOP_COLUMN_DISK, /* where no row above says it */
	TOP_COLUMN_ERRORS,    TOP_COLUMN_READ_IOPS, TOP_COLUMN_WRITE_IOPS, TOP_COLUMN_READ_BPS,
	TOP_COLUMN_WRITE_BPS, TOP_COLUMN_FLUSHES,   TOP_COLUMN_WAIT_P999,  TOP_COLUMN_SERVICE_P999,
};
#define N(list) (sizeof(list) / sizeof((list)[0]))

static bool is_p50(enum top_column column)
{
	return column == TOP_COLUMN_WAIT_P50 || column == TOP_COLUMN_SERVICE_P50;
}

/*
 * The blank before it counts; a median needs room for the 99th percentile, too, which comes next.
 * False: there is not enough.
 */
static bool add(struct top_columns *columns, enum top_column column, int *left)
{
	int need = top_column_kinds[column].width + (column == TOP_COLUMN_NAME ? FLAG_COLUMNS : 1) +
		   (column == TOP_COLUMN_REASON);

	if (need + (is_p50(column) ? 1 + top_column_kinds[column + 1].width : 0) > *left)
		return false;
	*left -= need;
	columns->width[column] = top_column_kinds[column].width;
	return true;
}

static void widen(struct top_columns *columns, enum top_column column, int most, int *left)
{
	int more = most - columns->width[column];

	if (!columns->width[column] || more <= 0)
		return;
	more = more < *left ? more : *left;
	columns->width[column] += more;
	*left -= more;
}

void top_columns_choose(const struct top_view *view, int width, int name,
			struct top_columns *ret_columns)
{
	const enum top_column *first = view->times ? times_first : shares_first;
	struct top_columns columns = {.all = true};
	int left = width, at = 0;

	for (size_t i = 0; i < N(shares_first) && columns.all; i++)
		columns.all = add(&columns, first[i], &left);
	/* names that are cut short are worse than none of the rest */
	widen(&columns, TOP_COLUMN_NAME, name < NAME_MOST ? name : NAME_MOST, &left);
	if (columns.all) {
		widen(&columns, TOP_COLUMN_REASON, REASON_MOST, &left);
		widen(&columns, TOP_COLUMN_BAR, BAR_GOOD, &left);
	}
	for (size_t i = 0; i < N(then) && columns.all; i++)
		if ((then[i] != TOP_COLUMN_DISK || view->flat) && !add(&columns, then[i], &left))
			break;
	widen(&columns, TOP_COLUMN_REASON, REASON_MOST, &left);
	widen(&columns, TOP_COLUMN_BAR, width, &left);
	for (unsigned i = 0; i < TOP_COLUMNS; i++) {
		if (!columns.width[i])
			continue;
		at += i == TOP_COLUMN_NAME ? FLAG_COLUMNS : 1 + (i == TOP_COLUMN_REASON);
		columns.at[i] = at;
		at += columns.width[i];
	}
	*ret_columns = columns;
}

/* ---- what is in them ---- */

static void put_number(char to[TOP_WORD_BYTES], unsigned long n)
{
	top_count(to, (double)n);
}

static void put_rate(const struct top_node *node, double rate, bool bytes, char to[TOP_WORD_BYTES])
{
	if (!node->rated)
		to[0] = '\0';
	else if (bytes)
		top_megabytes(to, rate);
	else
		top_count(to, rate);
}

static void put_reason(const struct top_node *node, int width, char to[TOP_WORD_BYTES])
{
	const char *words;

	if (node->kind != TOP_FILE)
		return;
	words = node->device < 0 ? "absent" : top_reason_long(node->throttled_by);
	if ((int)strlen(words) > width)
		words = top_reason(node->throttled_by);
	snprintf(to, TOP_WORD_BYTES, "%s", words);
}

static void put_share(const struct top_node *node, double pct, char to[TOP_WORD_BYTES])
{
	if (node->kind != TOP_DEVICE)
		top_pct(to, pct);
}

static void put_in_flight(const struct top_node *node, char to[TOP_WORD_BYTES])
{
	if (node->kind == TOP_DEVICE)
		snprintf(to, TOP_WORD_BYTES, "%lu/%lu", node->in_flight, node->in_flight_limit);
	else
		put_number(to, node->in_flight);
}

void top_column_text(const struct top_node *node, enum top_column column, int width,
		     char to[TOP_WORD_BYTES])
{
	const double *per_s = node->per_s;

	to[0] = '\0';
	if (node->device < 0 && column != TOP_COLUMN_WEIGHT && column != TOP_COLUMN_REASON)
		return;
	switch (column) {
	case TOP_COLUMN_WEIGHT:
		if (node->kind != TOP_DEVICE)
			put_number(to, node->weight);
		break;
	case TOP_COLUMN_GOT:
		put_share(node, node->achieved_pct, to);
		break;
	case TOP_COLUMN_ENTITLED:
		put_share(node, node->entitled_pct, to);
		break;
	case TOP_COLUMN_IOPS:
		put_rate(node, top_iops(node), false, to);
		break;
	case TOP_COLUMN_BPS:
		put_rate(node, top_bps(node), true, to);
		break;
	case TOP_COLUMN_READ_IOPS:
		put_rate(node, per_s[TOP_READ_IOS], false, to);
		break;
	case TOP_COLUMN_WRITE_IOPS:
		put_rate(node, per_s[TOP_WRITE_IOS], false, to);
		break;
	case TOP_COLUMN_READ_BPS:
		put_rate(node, per_s[TOP_READ_BYTES], true, to);
		break;
	case TOP_COLUMN_WRITE_BPS:
		put_rate(node, per_s[TOP_WRITE_BYTES], true, to);
		break;
	case TOP_COLUMN_FLUSHES:
		put_rate(node, per_s[TOP_FLUSHES], false, to);
		break;
	case TOP_COLUMN_QUEUED:
		put_number(to, node->queued);
		break;
	case TOP_COLUMN_IN_FLIGHT:
		put_in_flight(node, to);
		break;
	case TOP_COLUMN_WAIT_P50:
		top_ms(to, node->wait.p50);
		break;
	case TOP_COLUMN_WAIT_P99:
		top_ms(to, node->wait.p99);
		break;
	case TOP_COLUMN_WAIT_P999:
		top_ms(to, node->wait.p999);
		break;
	case TOP_COLUMN_SERVICE_P50:
		top_ms(to, node->service.p50);
		break;
	case TOP_COLUMN_SERVICE_P99:
		top_ms(to, node->service.p99);
		break;
	case TOP_COLUMN_SERVICE_P999:
		top_ms(to, node->service.p999);
		break;
	case TOP_COLUMN_ERRORS:
		put_number(to, node->counters[TOP_ERRORS]);
		break;
	case TOP_COLUMN_REASON:
		put_reason(node, width, to);
		break;
	case TOP_COLUMN_NAME:
	case TOP_COLUMN_DISK:
	case TOP_COLUMN_BAR:
	case TOP_COLUMNS:
		break;
	}
}
