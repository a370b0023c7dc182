/* SPDX-License-Identifier: MIT */
/* top_rate.c - see top_rate.h. */
#include "top_rate.h"

#include <stdlib.h>
#include <string.h>

static int compare_names(const void *a, const void *b, void *arg)
{
	const struct top_node *nodes = arg;

	return strcmp(nodes[*(const size_t *)a].name, nodes[*(const size_t *)b].name);
}

/* Of the files; made once, and only when their order has changed. */
static bool sort_by_name(struct top_status *status)
{
	size_t first = status->n_devices + status->n_groups, n = status->n - first;

	if (status->by_name)
		return true;
	status->by_name = calloc(n + 1, sizeof(*status->by_name));
	if (!status->by_name)
		return false;
	for (size_t i = 0; i < n; i++)
		status->by_name[i] = first + i;
	qsort_r(status->by_name, n, sizeof(*status->by_name), compare_names, status->nodes);
	return true;
}

/* The file of that name; it is mostly at the same place. NULL: there is none. */
static const struct top_node *find_file(struct top_status *status, size_t index, const char *name)
{
	size_t low = 0, high = status->n - status->n_devices - status->n_groups;

	if (index >= status->n_devices + status->n_groups && index < status->n &&
	    !strcmp(status->nodes[index].name, name))
		return &status->nodes[index];
	if (!sort_by_name(status))
		return NULL;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct top_node *node = &status->nodes[status->by_name[middle]];
		int order = strcmp(node->name, name);

		if (!order)
			return node;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static void rate_file(struct top_node *now, const struct top_node *before, double seconds)
{
	for (unsigned i = 0; i < TOP_COUNTERS; i++)
		if (now->counters[i] < before->counters[i])
			return;
	for (unsigned i = 0; i < TOP_COUNTERS; i++)
		now->per_s[i] = (double)(now->counters[i] - before->counters[i]) / seconds;
	for (unsigned i = 0; i < STATUS_WAITS; i++) {
		double part =
			now->waited_us[i] > before->waited_us[i]
				? (double)(now->waited_us[i] - before->waited_us[i]) / 1e6 / seconds
				: 0;

		now->waited[i] = part < 1 ? part : 1;
	}
	now->rated = true;
}

static void add_to_above(struct top_status *status, const struct top_node *file)
{
	for (int above = file->parent; above >= 0; above = status->nodes[above].parent)
		for (unsigned i = 0; i < TOP_COUNTERS; i++)
			status->nodes[above].per_s[i] += file->per_s[i];
}

enum top_rate top_rate(struct top_status *now, struct top_status *before)
{
	size_t first = now->n_devices + now->n_groups;

	if (!before || before->pid != now->pid || now->uptime_s < before->uptime_s)
		return TOP_RATE_RESTART;
	if (now->uptime_s <= before->uptime_s)
		return TOP_RATE_SAME;
	now->interval_s = now->uptime_s - before->uptime_s;
	for (size_t i = 0; i < first; i++)
		now->nodes[i].rated = true;
	for (size_t i = first; i < now->n; i++) {
		struct top_node *file = &now->nodes[i];
		size_t index = before->n_devices + before->n_groups + (i - first);
		const struct top_node *was = find_file(before, index, file->name);

		if (was && file->device >= 0)
			rate_file(file, was, now->interval_s);
		add_to_above(now, file);
	}
	return TOP_RATE_NEW;
}
