/* SPDX-License-Identifier: MIT */
/* top_details.c - see top_details.h. */
#include "top_details.h"
#include "text.h"
#include "top_rate.h"
#include "top_words.h"

#include <inttypes.h>
#include <math.h>

/* Lines that are written one after the other. */
struct lines {
	struct top_grid *grid;
	int row;
	struct text text;
};

static void end_line(struct lines *lines, unsigned style)
{
	text_printf(&lines->text, "%s", ""); /* a NUL, and memory even when it is empty */
	if (!lines->text.failed)
		top_grid_put(lines->grid, lines->row, 1, lines->grid->width - 1, style,
			     lines->text.data);
	lines->row++;
	lines->text.len = 0;
}

static void rule(struct lines *lines, const char *name)
{
	struct top_grid *grid = lines->grid;

	for (int column = 0; column < grid->width; column++)
		top_grid_put_char(grid, lines->row, column, TOP_DIM, grid->utf8 ? L'\u2500' : L'-');
	top_grid_put(grid, lines->row, 2, 1, TOP_PLAIN, " ");
	top_grid_put(grid, lines->row,
		     3 + top_grid_put(grid, lines->row, 3, grid->width - 6, TOP_BOLD, name), 1,
		     TOP_PLAIN, " ");
	lines->row++;
}

static void add_rate(struct text *text, const char *what, double ios, double bytes)
{
	char n[TOP_WORD_BYTES], mb[TOP_WORD_BYTES];

	top_count(n, ios);
	top_megabytes(mb, bytes);
	text_printf(text, "%s %s IO/s %s MB/s", what, n, mb);
}

static void add_times(struct text *text, const char *what, const struct top_times *times)
{
	char p50[TOP_WORD_BYTES], p99[TOP_WORD_BYTES], p999[TOP_WORD_BYTES];

	if (isnan(times->p50)) {
		text_printf(text, "%s: no request in the last half minute", what);
		return;
	}
	top_ms(p50, times->p50);
	top_ms(p99, times->p99);
	top_ms(p999, times->p999);
	text_printf(text, "%s ms p50 %s, p99 %s", what, p50, p99);
	if (p999[0])
		text_printf(text, ", p99.9 %s", p999);
}

static void add_waited(struct text *text, const struct top_node *node)
{
	static const char *const reasons[STATUS_WAITS] = {
		[STATUS_WAIT_SHARE] = "for its turn",
		[STATUS_WAIT_CAP] = "for a cap",
		[STATUS_WAIT_WINDOW] = "for the disk",
		[STATUS_WAIT_ANTICIPATION] = "for another's next request",
	};
	const char *sign = ": ";
	double sum = 0;

	for (unsigned i = 0; i < STATUS_WAITS; i++)
		sum += node->waited[i];
	if (!node->rated) {
		text_add(text, "nothing to compare with yet");
		return;
	}
	text_printf(text, "requests waited for %.0f%% of the time", 100 * fmin(sum, 1));
	for (unsigned i = 0; i < STATUS_WAITS; i++) {
		if (node->waited[i] < 0.005)
			continue;
		text_printf(text, "%s%.0f%% %s", sign, 100 * node->waited[i], reasons[i]);
		sign = ", ";
	}
}

static void add_place(struct text *text, const struct top_status *status,
		      const struct top_node *node)
{
	char size[TOP_WORD_BYTES];

	if (node->kind == TOP_FILE) {
		top_size(size, node->size_bytes);
		text_printf(text, "%s, %s, ", node->path, size);
	}
	text_printf(text, "on disk %s", status->nodes[node->device].name);
	for (int above = node->parent; above != node->device; above = status->nodes[above].parent)
		text_printf(text, ", in group %s", status->nodes[above].name);
	text_printf(text, ", weight %lu", node->weight);
}

static void device_lines(struct lines *lines, const struct top_node *node)
{
	text_printf(&lines->text, "policy %s, isolation %s", node->policy, node->isolation);
	end_line(lines, TOP_PLAIN);
	text_printf(&lines->text, "in flight: %lu slices of at most %lu; queued: %lu requests",
		    node->in_flight, node->in_flight_limit, node->queued);
	end_line(lines, TOP_PLAIN);
	add_times(&lines->text, "latency of a slice,", &node->service);
	end_line(lines, TOP_PLAIN);
}

static void shared_lines(struct lines *lines, const struct top_status *status,
			 const struct top_node *node)
{
	add_place(&lines->text, status, node);
	end_line(lines, TOP_PLAIN);
	text_printf(&lines->text,
		    "got %.1f%% of the disk in the last 10 s, entitled to %.1f%%; %lu queued, "
		    "%lu in flight",
		    node->achieved_pct, node->entitled_pct, node->queued, node->in_flight);
	end_line(lines, TOP_PLAIN);
}

static void time_lines(struct lines *lines, const struct top_node *node)
{
	add_waited(&lines->text, node);
	end_line(lines, TOP_PLAIN);
	add_times(&lines->text, "wait", &node->wait);
	if (!isnan(node->service.p50)) {
		text_add(&lines->text, "; ");
		add_times(&lines->text, "service", &node->service);
	}
	end_line(lines, TOP_PLAIN);
}

static void rate_line(struct lines *lines, const struct top_node *node)
{
	const double *per_s = node->per_s;

	add_rate(&lines->text, "reads", per_s[TOP_READ_IOS], per_s[TOP_READ_BYTES]);
	add_rate(&lines->text, ", writes", per_s[TOP_WRITE_IOS], per_s[TOP_WRITE_BYTES]);
	text_printf(&lines->text, ", %.0f flushes/s, %.0f discards/s", per_s[TOP_FLUSHES],
		    per_s[TOP_DISCARDS]);
	end_line(lines, TOP_PLAIN);
}

static void total_line(struct lines *lines, const struct top_node *node)
{
	const uint64_t *n = node->counters;

	text_printf(&lines->text,
		    "since the start: %" PRIu64 " reads, %" PRIu64 " writes, %" PRIu64
		    " flushes, %" PRIu64 " discards, %" PRIu64 " errors",
		    n[TOP_READ_IOS], n[TOP_WRITE_IOS], n[TOP_FLUSHES], n[TOP_DISCARDS],
		    n[TOP_ERRORS]);
	end_line(lines, n[TOP_ERRORS] ? TOP_WARNING : TOP_PLAIN);
}

void top_details(struct top_grid *grid, int row, const struct top_status *status,
		 const struct top_node *node)
{
	struct lines lines = {.grid = grid, .row = row};

	rule(&lines, node->name);
	if (node->device < 0) {
		text_printf(&lines.text,
			    "%s: optional, and not there; a reload opens it when it is",
			    node->path);
		end_line(&lines, TOP_PLAIN);
	} else {
		if (node->kind == TOP_DEVICE)
			device_lines(&lines, node);
		else
			shared_lines(&lines, status, node);
		if (node->kind == TOP_FILE)
			time_lines(&lines, node);
		rate_line(&lines, node);
		total_line(&lines, node);
	}
	text_free(&lines.text);
}
