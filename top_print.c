/* SPDX-License-Identifier: MIT */
/* top_print.c - see top_print.h. */
#include "top_print.h"
#include "top_columns.h"
#include "top_grid.h"
#include "top_rate.h"
#include "top_rows.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- table ---- */

/* What a row says of itself, before and behind the columns of the screen. */
enum { NAME, KIND, DISK, GROUP, FIGURES, ALARMS = FIGURES + 17, REASON, FIELDS };

static const struct {
	const char *title;
	enum top_column column; /* of figures */
	int width;
} fields[FIELDS] = {
	[NAME] = {"NAME", 0, 4},
	[KIND] = {"KIND", 0, 6},
	[DISK] = {"DISK", 0, 4},
	[GROUP] = {"GROUP", 0, 5},
	[FIGURES] = {"WEIGHT", TOP_COLUMN_WEIGHT, 6},
	{"GOT", TOP_COLUMN_GOT, 6},
	{"ENTITLED", TOP_COLUMN_ENTITLED, 8},
	{"READ_IO/s", TOP_COLUMN_READ_IOPS, 9},
	{"WRITE_IO/s", TOP_COLUMN_WRITE_IOPS, 10},
	{"READ_MB/s", TOP_COLUMN_READ_BPS, 9},
	{"WRITE_MB/s", TOP_COLUMN_WRITE_BPS, 10},
	{"FLUSH/s", TOP_COLUMN_FLUSHES, 7},
	{"QUEUE", TOP_COLUMN_QUEUED, 5},
	{"FLIGHT", TOP_COLUMN_IN_FLIGHT, 7},
	{"WAIT50ms", TOP_COLUMN_WAIT_P50, 8},
	{"WAIT99ms", TOP_COLUMN_WAIT_P99, 8},
	{"WAIT99.9ms", TOP_COLUMN_WAIT_P999, 10},
	{"SERV50ms", TOP_COLUMN_SERVICE_P50, 8},
	{"SERV99ms", TOP_COLUMN_SERVICE_P99, 8},
	{"SERV99.9ms", TOP_COLUMN_SERVICE_P999, 10},
	{"ERRORS", TOP_COLUMN_ERRORS, 6},
	[ALARMS] = {"ALARMS", 0, 6},
	[REASON] = {"WAITS FOR", 0, 9},
};

static const char *const kinds[] = {"disk", "group", "file"};

struct table {
	const struct top_status *status;
	struct top_grid grid; /* one line of it */
	int width[FIELDS];
	FILE *out;
};

static bool is_figure(int field)
{
	return field >= FIGURES && field < ALARMS;
}

static void field_text(const struct top_status *status, const struct top_node *node, int field,
		       const char **ret_text, char buffer[TOP_WORD_BYTES])
{
	const char *text = "";

	buffer[0] = '\0';
	if (field == NAME)
		text = node->name;
	else if (field == KIND)
		text = kinds[node->kind];
	else if (field == DISK && node->device >= 0)
		text = status->nodes[node->device].name;
	else if (field == GROUP && node->parent >= 0 && node->parent != node->device)
		text = status->nodes[node->parent].name;
	else if (field == ALARMS)
		text = node->alarms;
	else if (field == REASON)
		top_column_text(node, TOP_COLUMN_REASON, 9, buffer);
	else if (is_figure(field))
		top_column_text(node, fields[field].column, fields[field].width, buffer);
	if (buffer[0])
		text = buffer;
	*ret_text = text[0] ? text : "-";
}

static void print_line(struct table *table)
{
	int width = table->grid.width;

	while (width && top_grid_at(&table->grid, 0, width - 1)->c == L' ')
		width--;
	for (int i = 0; i < width; i++)
		if (top_grid_at(&table->grid, 0, i)->c)
			fprintf(table->out, "%lc", (wint_t)top_grid_at(&table->grid, 0, i)->c);
	fputc('\n', table->out);
	top_grid_clear(&table->grid);
}

/* node NULL: the titles. */
static void print_row(struct table *table, const struct top_node *node)
{
	char buffer[TOP_WORD_BYTES];
	const char *text;
	int at = 0;

	for (int i = 0; i < FIELDS; i++) {
		text = fields[i].title;
		if (node)
			field_text(table->status, node, i, &text, buffer);
		if (is_figure(i))
			top_grid_put_right(&table->grid, 0, at, table->width[i], 0, text);
		else
			top_grid_put(&table->grid, 0, at, table->width[i], 0, text);
		at += table->width[i] + 1;
	}
	print_line(table);
}

static void print_comment(struct table *table, const char *what, const char *text)
{
	int at = top_grid_put(&table->grid, 0, 0, table->grid.width, 0, what);

	top_grid_put(&table->grid, 0, at, table->grid.width - at, 0, text);
	print_line(table);
}

/* So wide that nothing is cut short. */
static int fit(struct table *table, const size_t *rows, size_t n)
{
	int width = 0;

	for (int i = 0; i < FIELDS; i++) {
		table->width[i] = fields[i].width;
		for (size_t k = 0; k < n; k++) {
			char buffer[TOP_WORD_BYTES];
			const char *text;
			int need;

			field_text(table->status, &table->status->nodes[rows[k]], i, &text, buffer);
			need = top_grid_width(&table->grid, text);
			table->width[i] = need > table->width[i] ? need : table->width[i];
		}
		width += table->width[i] + 1;
	}
	return width;
}

static int print_all(struct table *table, const size_t *rows, size_t n, const char *mount)
{
	const struct top_status *status = table->status;
	struct text about = {0};
	char up[TOP_WORD_BYTES];
	int width = fit(table, rows, n);

	top_duration(up, status->uptime_s);
	text_printf(&about, "fuseband %s on %s, up %s, figures of %.1f s, configuration %lu%s%s",
		    status->version, mount, up, status->interval_s, status->generation,
		    status->config ? ": " : "", status->config ? status->config : "");
	if (about.failed || top_grid_resize(&table->grid, width > 1024 ? width : 1024, 1)) {
		text_free(&about);
		return -ENOMEM;
	}
	print_comment(table, "# ", about.data);
	text_free(&about);
	if (status->last_error)
		print_comment(table, "# the last reload was refused: ", status->last_error);
	if (status->upgrade_error)
		print_comment(table, "# the last upgrade was refused: ", status->upgrade_error);
	if (status->alarms[0])
		print_comment(table, "# alarm: ", status->alarms);
	print_row(table, NULL);
	for (size_t i = 0; i < n; i++)
		print_row(table, &status->nodes[rows[i]]);
	return 0;
}

int top_print_table(const struct top_status *status, const struct top_view *view, const char *mount,
		    bool utf8, FILE *out)
{
	struct table table = {.status = status, .grid = {.utf8 = utf8}, .out = out};
	size_t *rows, n;
	int r = top_rows(status, view, &rows, &n);

	if (r)
		return r;
	r = print_all(&table, rows, n, mount);
	top_grid_free(&table.grid);
	free(rows);
	return r;
}

/* ---- JSON ---- */

static void put_string(struct text *out, const char *key, const char *value)
{
	text_json_key(out, key);
	text_json_string(out, value);
}

/* NaN: null. */
static void put(struct text *out, const char *key, double value, int places)
{
	text_json_key(out, key);
	if (isnan(value))
		text_add(out, "null");
	else
		text_printf(out, "%.*f", places, value);
}

/* "share, size" as a list. */
static void put_alarms(struct text *out, const char *alarms)
{
	char list[TOP_ERROR_BYTES], *rest = list, *name;

	snprintf(list, sizeof(list), "%s", alarms);
	text_json_key(out, "alarms");
	text_add(out, "[");
	while ((name = strsep(&rest, ",")) != NULL) {
		name += *name == ' ';
		if (!*name)
			continue;
		text_json_key(out, NULL);
		text_json_string(out, name);
	}
	text_add(out, "]");
}

static void put_times(struct text *out, const char *key, const struct top_times *times, bool p999)
{
	text_json_key(out, key);
	text_add(out, "{");
	put(out, "p50", times->p50, 0);
	put(out, "p99", times->p99, 0);
	if (p999)
		put(out, "p999", times->p999, 0);
	text_add(out, "}");
}

static void put_rates(struct text *out, const struct top_node *node)
{
	static const struct {
		const char *key;
		enum top_counter counter;
	} rates[] = {{"read_iops", TOP_READ_IOS},    {"write_iops", TOP_WRITE_IOS},
		     {"read_bps", TOP_READ_BYTES},   {"write_bps", TOP_WRITE_BYTES},
		     {"flushes_per_s", TOP_FLUSHES}, {"discards_per_s", TOP_DISCARDS},
		     {"errors_per_s", TOP_ERRORS}};

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
		put(out, rates[i].key, node->rated ? node->per_s[rates[i].counter] : NAN, 2);
}

static void put_device(struct text *out, const struct top_node *node)
{
	put_string(out, "policy", node->policy);
	put_string(out, "isolation", node->isolation);
	put(out, "in_flight_limit", (double)node->in_flight_limit, 0);
	put_times(out, "latency_us", &node->service, false);
}

static void put_file(struct text *out, const struct top_node *node)
{
	put_string(out, "path", node->path);
	put(out, "size_bytes", (double)node->size_bytes, 0);
	put(out, "errors", (double)node->counters[TOP_ERRORS], 0);
	put_string(out, "throttled_by", node->throttled_by);
	text_json_key(out, "waited_pct");
	text_add(out, "{");
	for (unsigned i = 0; i < STATUS_WAITS; i++)
		put(out, status_wait_name(i), node->rated ? 100 * node->waited[i] : NAN, 2);
	text_add(out, "}");
	put_times(out, "wait_us", &node->wait, true);
	put_times(out, "service_us", &node->service, true);
}

static void put_node(struct text *out, const struct top_status *status, const struct top_node *node)
{
	text_json_key(out, NULL);
	text_add(out, "\n{");
	put_string(out, "name", node->name);
	if (node->kind != TOP_DEVICE) {
		put_string(out, "device",
			   node->device < 0 ? NULL : status->nodes[node->device].name);
		put_string(out, "parent",
			   node->parent == node->device ? NULL : status->nodes[node->parent].name);
		put(out, "weight", (double)node->weight, 0);
		put(out, "entitled_pct", node->entitled_pct, 4);
		put(out, "achieved_pct", node->achieved_pct, 4);
	}
	put(out, "queued", (double)node->queued, 0);
	put(out, "in_flight", (double)node->in_flight, 0);
	if (node->kind == TOP_DEVICE)
		put_device(out, node);
	else if (node->kind == TOP_FILE)
		put_file(out, node);
	put_rates(out, node);
	put_alarms(out, node->alarms);
	text_add(out, "}");
}

void top_print_json(const struct top_status *status, const char *mount, struct text *out)
{
	static const char *const lists[] = {"devices", "groups", "files"};
	size_t i = 0;

	text_add(out, "{");
	put_string(out, "mount", mount);
	put_string(out, "version", status->version);
	put(out, "pid", (double)status->pid, 0);
	put(out, "uptime_s", status->uptime_s, 3);
	put(out, "interval_s", status->interval_s, 3);
	put(out, "workers", (double)status->workers, 0);
	put(out, "restarts", (double)status->restarts, 0);
	put_string(out, "upgrade_error", status->upgrade_error);
	put_alarms(out, status->alarms);
	text_json_key(out, "config");
	text_add(out, "{");
	put_string(out, "path", status->config);
	put(out, "generation", (double)status->generation, 0);
	put_string(out, "last_error", status->last_error);
	text_add(out, "}");
	for (unsigned kind = TOP_DEVICE; kind <= TOP_FILE; kind++) {
		text_json_key(out, lists[kind]);
		text_add(out, "[");
		for (; i < status->n && status->nodes[i].kind == kind; i++)
			put_node(out, status, &status->nodes[i]);
		text_add(out, "]");
	}
	text_add(out, "}\n");
}
