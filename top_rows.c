/* SPDX-License-Identifier: MIT */
/* top_rows.c - see top_rows.h. */
#include "top_rows.h"
#include "top_rate.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool top_is_short(const struct top_node *node)
{
	return node->entitled_pct >= 1 && node->achieved_pct < 0.8 * node->entitled_pct;
}

bool top_is_idle(const struct top_node *node)
{
	return !node->queued && !node->in_flight && top_iops(node) == 0 &&
	       node->per_s[TOP_FLUSHES] == 0 && node->per_s[TOP_DISCARDS] == 0;
}

/* ---- which ---- */

static bool has(const char *text, const char *part)
{
	return text && strcasestr(text, part) != NULL;
}

static bool passes_filter(const struct top_status *status, const struct top_node *node,
			  const char *filter)
{
	if (!filter[0] || has(node->name, filter) || has(node->path, filter))
		return true;
	for (int above = node->parent; above >= 0; above = status->nodes[above].parent)
		if (has(status->nodes[above].name, filter))
			return true;
	return false;
}

static bool is_wanted(const struct top_status *status, const struct top_view *view, size_t index)
{
	const struct top_node *node = &status->nodes[index];

	if (view->device && node->device != (int)view->device - 1)
		return false;
	if (view->devices_only)
		return node->kind == TOP_DEVICE && passes_filter(status, node, view->filter);
	if (view->flat && node->kind != TOP_FILE)
		return false;
	if (view->busy_only && node->kind == TOP_FILE && top_is_idle(node))
		return false;
	/* of the others only what a file is below of, unless nothing is looked for */
	if (node->kind != TOP_FILE && (view->filter[0] || view->busy_only))
		return node->kind == TOP_DEVICE && view->device;
	return passes_filter(status, node, view->filter);
}

static void mark(const struct top_status *status, const struct top_view *view, bool *shown)
{
	for (size_t i = 0; i < status->n; i++) {
		if (!is_wanted(status, view, i))
			continue;
		shown[i] = true;
		for (int above = status->nodes[i].parent; above >= 0 && !view->flat;
		     above = status->nodes[above].parent)
			shown[above] = true;
	}
}

/* ---- in which order ---- */

static double sort_value(const struct top_node *node, enum top_sort sort)
{
	double value = 0;

	switch (sort) {
	case TOP_BY_WEIGHT:
		value = (double)node->weight;
		break;
	case TOP_BY_GOT:
		value = node->achieved_pct;
		break;
	case TOP_BY_ENTITLED:
		value = node->entitled_pct;
		break;
	case TOP_BY_IOPS:
		value = top_iops(node);
		break;
	case TOP_BY_BPS:
		value = top_bps(node);
		break;
	case TOP_BY_QUEUE:
		value = (double)node->queued;
		break;
	case TOP_BY_WAIT:
		value = node->wait.p99;
		break;
	case TOP_BY_SERVICE:
		value = node->service.p99;
		break;
	case TOP_BY_ERRORS:
		value = (double)node->counters[TOP_ERRORS];
		break;
	case TOP_BY_CONFIG:
	case TOP_BY_NAME:
	case TOP_SORTS:
		break;
	}
	return isnan(value) ? -1 : value;
}

struct order {
	const struct top_status *status;
	const struct top_view *view;
};

/* Siblings side by side, and in their order; what has no device comes last. */
static int compare(const void *a, const void *b, void *arg)
{
	const struct order *order = arg;
	size_t i = *(const size_t *)a, k = *(const size_t *)b;
	const struct top_node *x = &order->status->nodes[i], *y = &order->status->nodes[k];
	int by = 0;

	if (!order->view->flat && x->parent != y->parent)
		return x->parent < y->parent ? -1 : 1;
	if ((x->device < 0) != (y->device < 0))
		return x->device < 0 ? 1 : -1;
	if (order->view->sort == TOP_BY_NAME) {
		by = strcmp(x->name, y->name);
	} else if (order->view->sort != TOP_BY_CONFIG) {
		double u = sort_value(x, order->view->sort), v = sort_value(y, order->view->sort);

		by = (u < v) - (u > v);
	}
	if (!by)
		by = (i > k) - (i < k);
	return order->view->reverse ? -by : by;
}

struct tree {
	const struct top_status *status;
	const size_t *sorted; /* siblings side by side */
	const size_t *first;  /* in sorted, by parent + 1; and one more */
	size_t *rows, n;
};

static void put_below(struct tree *tree, int parent)
{
	for (size_t i = tree->first[parent + 1]; i < tree->first[parent + 2]; i++) {
		tree->rows[tree->n++] = tree->sorted[i];
		if (tree->status->nodes[tree->sorted[i]].kind != TOP_FILE)
			put_below(tree, (int)tree->sorted[i]);
	}
}

/* sorted: n nodes, siblings side by side. */
static size_t lay_out(const struct top_status *status, const size_t *sorted, size_t n,
		      size_t *first, size_t *rows)
{
	struct tree tree = {status, sorted, first, rows, 0};

	for (size_t i = 0; i < n; i++)
		first[status->nodes[sorted[i]].parent + 2]++;
	for (size_t i = 0; i < status->n; i++)
		first[i + 2] += first[i + 1];
	put_below(&tree, -1);
	return tree.n;
}

int top_rows(const struct top_status *status, const struct top_view *view, size_t **ret_rows,
	     size_t *ret_n)
{
	struct order order = {status, view};
	bool *shown = calloc(status->n + 1, sizeof(*shown));
	size_t *sorted = calloc(status->n + 1, sizeof(*sorted));
	size_t *first = calloc(status->n + 3, sizeof(*first));
	size_t *rows = calloc(status->n + 1, sizeof(*rows));
	size_t n = 0;
	int r = -ENOMEM;

	if (shown && sorted && first && rows) {
		r = 0;
		mark(status, view, shown);
		for (size_t i = 0; i < status->n; i++)
			if (shown[i])
				sorted[n++] = i;
		qsort_r(sorted, n, sizeof(*sorted), compare, &order);
		if (view->flat)
			memcpy(rows, sorted, n * sizeof(*rows));
		else
			n = lay_out(status, sorted, n, first, rows);
	}
	free(shown);
	free(first);
	free(sorted);
	if (r) {
		free(rows);
		return r;
	}
	*ret_rows = rows;
	*ret_n = n;
	return 0;
}
