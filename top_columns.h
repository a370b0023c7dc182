/* SPDX-License-Identifier: MIT */
/*
 * top_columns.h - the columns of the screen: which of them fit, how wide they are, and what a node
 * has in each.
 *
 * Which come first when there is little room depends on the view (shares, or queues and times);
 * they stand in one fixed order. What room is left goes to long names, to the reason for waiting in
 * more words, and to the bar.
 */
#ifndef FUSEBAND_TOP_COLUMNS_H
#define FUSEBAND_TOP_COLUMNS_H

#include "top_view.h"
#include "top_words.h"

enum top_column {
	TOP_COLUMN_NAME,
	TOP_COLUMN_DISK,
	TOP_COLUMN_WEIGHT,
	TOP_COLUMN_BAR,
	TOP_COLUMN_GOT,
	TOP_COLUMN_ENTITLED,
	TOP_COLUMN_IOPS,
	TOP_COLUMN_BPS,
	TOP_COLUMN_READ_IOPS,
	TOP_COLUMN_WRITE_IOPS,
	TOP_COLUMN_READ_BPS,
	TOP_COLUMN_WRITE_BPS,
	TOP_COLUMN_FLUSHES,
	TOP_COLUMN_QUEUED,
	TOP_COLUMN_IN_FLIGHT,
	TOP_COLUMN_WAIT_P50,
	TOP_COLUMN_WAIT_P99,
	TOP_COLUMN_WAIT_P999,
	TOP_COLUMN_SERVICE_P50,
	TOP_COLUMN_SERVICE_P99,
	TOP_COLUMN_SERVICE_P999,
	TOP_COLUMN_ERRORS,
	TOP_COLUMN_REASON,
	TOP_COLUMNS
};

struct top_column_kind {
	const char *title;
	const char
		*over; /* stands once above those side by side that have the same; NULL: nothing */
	int width;     /* at least; 0: it is not there when there is no room to spare */
	int sort;      /* enum top_sort, or -1 */
	bool left;     /* aligned */
};
extern const struct top_column_kind top_column_kinds[TOP_COLUMNS];

struct top_columns {
	int at[TOP_COLUMNS], width[TOP_COLUMNS]; /* 0: it is not shown */
	bool all; /* what both views have is shown: changing it would change nothing */
};

/* name: the widest one, with its indentation. */
void top_columns_choose(const struct top_view *view, int width, int name,
			struct top_columns *ret_columns);

/* What stands in a column other than the name and the bar; "": nothing. Reason: if it fits. */
void top_column_text(const struct top_node *node, enum top_column column, int width,
		     char to[TOP_WORD_BYTES]);

#endif
