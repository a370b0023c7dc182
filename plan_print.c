/* SPDX-License-Identifier: MIT */
/*
 * plan_print.c - a plan as --check shows it.
 *
 *	NAME     PATH        SIZE  BLOCK  DISK  NOTES
 *	vm1.img  /dev/sda11   20G    512  sda
 *	vm2.img  /dev/sda12    8G    512  sda   read-only, from 4G
 *	iso.img  -              -      -  -     absent
 *
 *	ssd: /dev/sda11 is a partition of sda
 *	  isolation=strict read_iops=20000
 *	               WEIGHT  OF SIBLINGS  OF DISK  LIMITS
 *	  vm1.img         400       80.0 %   80.0 %  min_iops=5000
 *	  tenant          100       20.0 %   20.0 %  max_bps=50M burst=10s
 *	    vm2.img       100      100.0 %   20.0 %
 *	  promised: 5000 IO/s, at least 25.0 % of the disk in reads
 *
 * Percentages are what everybody gets while everybody wants more: caps, reservations and idle
 * neighbours change them. Weights count among siblings of one class, and divide what the classes
 * before it leave. A group counts below every disk where one of its files is.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "plan_limits.h"
#include "text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS 6
#define CELL_MAX 4200  /* a path and some more */
#define LIMITS_MAX 400 /* all keys of a section that are shown, each with its longest value */
#define CLASSES (CONF_CLASS_IDLE + 1)

static const char *const titles[COLUMNS] = {"NAME", "PATH", "SIZE", "BLOCK", "DISK", "NOTES"};

/* A name or path, of which a terminal gets nothing but text. */
static void put_text(FILE *out, const char *text)
{
	char tame[CELL_MAX];

	snprintf(tame, sizeof(tame), "%s", text);
	text_tame(tame);
	fputs(tame, out);
}

/* Columns that UTF-8 text takes, near enough. */
static int width_of(const char *text)
{
	int width = 0;
	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static void put_spaces(FILE *out, int n)
{
	fprintf(out, "%*s", n > 0 ? n : 0, "");
}

/* "20G" when it is exactly that, else "19.9G". */
static void format_size(uint64_t bytes, char *buf, size_t size)
{
	static const char units[] = "\0KMGTPE";
	unsigned unit = 0;
	uint64_t whole = bytes, rest = 0;
	while (whole >= 1024 && unit < sizeof(units) - 2) {
		rest = rest != 0 || whole % 1024 != 0;
		whole /= 1024;
		unit++;
	}
	if (rest == 0)
		snprintf(buf, size, "%" PRIu64 "%.1s", whole, &units[unit]);
	else
		snprintf(buf, size, "%.1f%c", (double)bytes / (double)(UINT64_C(1) << 10 * unit),
			 units[unit]);
}

static void format_notes(const struct plan_file *file, char *buf, size_t size)
{
	const struct conf_file *conf = file->conf;
	bool range = conf->offset_bytes > 0 || conf->size_bytes > 0;
	char start[32] = "", partition[240] = "";
	if (range)
		format_size(conf->offset_bytes, start, sizeof(start));
	if (conf->partition)
		snprintf(partition, sizeof(partition), ", partition %u (%.200s)", conf->partition,
			 conf->about);
	snprintf(buf, size, "%s%s%s%s%s%s%s", file->backing ? "" : ", absent",
		 conf->readonly ? ", read-only" : "",
		 file->backing && file->backing->buffered ? ", buffered" : "",
		 range ? ", from " : "", start,
		 conf->discard == CONF_DISCARD_IGNORE ? ", no discard" : "", partition);
	if (buf[0] == ',')
		memmove(buf, buf + 2, strlen(buf + 2) + 1);
}

static void format_cell(const struct plan *plan, const struct plan_file *file, int column,
			char *buf, size_t size)
{
	const struct backing *backing = file->backing;
	snprintf(buf, size, "-");
	if (column == 0)
		snprintf(buf, size, "%s", file->conf->name);
	else if (column == 1)
		snprintf(buf, size, "%s", file->conf->path);
	else if (column == 2 && backing)
		format_size(file->size_bytes, buf, size);
	else if (column == 3 && backing)
		snprintf(buf, size, "%" PRIu32, backing->block_bytes);
	else if (column == 4 && file->disk != PLAN_NO_DISK)
		snprintf(buf, size, "%s", plan->disks[file->disk].name);
	else if (column == 5)
		format_notes(file, buf, size);
	text_tame(buf); /* before its width is taken */
}

/* file: NULL for the titles. No blanks at the end of a line. */
static void print_row(FILE *out, const struct plan *plan, const struct plan_file *file,
		      const int *widths)
{
	char cell[CELL_MAX];
	int blanks = 0;
	for (int column = 0; column < COLUMNS; column++) {
		bool number = column == 2 || column == 3;
		if (file)
			format_cell(plan, file, column, cell, sizeof(cell));
		else
			snprintf(cell, sizeof(cell), "%s", titles[column]);
		int padding = widths[column] - width_of(cell);
		if (cell[0]) {
			put_spaces(out, blanks + (number ? padding : 0));
			fputs(cell, out);
		}
		blanks = 2 + (number ? 0 : padding);
	}
	putc('\n', out);
}

static void print_files(const struct plan *plan, FILE *out)
{
	int widths[COLUMNS];
	char cell[CELL_MAX];
	for (int column = 0; column < COLUMNS; column++) {
		widths[column] = width_of(titles[column]);
		for (size_t i = 0; i < plan->n_files; i++) {
			format_cell(plan, &plan->files[i], column, cell, sizeof(cell));
			if (width_of(cell) > widths[column])
				widths[column] = width_of(cell);
		}
	}
	print_row(out, plan, NULL, widths);
	for (size_t i = 0; i < plan->n_files; i++)
		print_row(out, plan, &plan->files[i], widths);
}

/*
 * The share tree of one disk. Node 0 is the disk, then come the groups, then the files; children
 * hang on lists, in the order of the configuration.
 */
struct node {
	const char *name;
	unsigned weight;
	enum conf_class class;
	const struct conf_limits *limits;
	bool present;			   /* has a file on this disk */
	uint64_t children_weight[CLASSES]; /* of those present */
	size_t first, last, next; /* children, sibling; 0 = none: the disk is nobody's child */
};

struct tree {
	struct node *nodes;
	const struct conf *conf;
	int name_width;
	bool limits, classes; /* there are any to show, to explain */
};

/* "class=idle max_bps=20M"; empty when nothing is set. */
static void format_limits(const struct node *node, char *buf, size_t size)
{
	static const char *const classes[CLASSES] = {
		[CONF_CLASS_REALTIME] = "class=realtime",
		[CONF_CLASS_NORMAL] = "",
		[CONF_CLASS_IDLE] = "class=idle",
	};
	const char *class = classes[node->class];
	char limits[LIMITS_MAX] = "";
	FILE *out = fmemopen(limits, sizeof(limits), "w");
	if (out) {
		conf_print_limits(node->limits, out);
		fclose(out);
	}
	snprintf(buf, size, "%s%s%s", class, class[0] && limits[0] ? " " : "", limits);
}

/* Of a group, or of -1: the disk. */
static size_t node_of(int group)
{
	return (size_t)(group + 1);
}

static void add_child(struct tree *tree, size_t parent, size_t child)
{
	struct node *up = &tree->nodes[parent], *node = &tree->nodes[child];
	node->present = true;
	up->children_weight[node->class] += node->weight;
	if (up->first == 0)
		up->first = child;
	else
		tree->nodes[up->last].next = child;
	up->last = child;
}

static void add_file(struct tree *tree, const struct conf_file *file, size_t index)
{
	tree->nodes[index] = (struct node){.name = file->name,
					   .weight = file->weight,
					   .class = file->class,
					   .limits = &file->limits};
	add_child(tree, node_of(file->parent), index);
	for (int group = file->parent; group >= 0; group = tree->conf->groups[group].parent) {
		size_t at = node_of(group);
		if (tree->nodes[at].present)
			return;
		add_child(tree, node_of(tree->conf->groups[group].parent), at);
	}
}

/* Without out: find out what there is to print. */
static void print_nodes(struct tree *tree, size_t parent, int depth, double part, FILE *out)
{
	const struct node *up = &tree->nodes[parent];
	for (size_t at = up->first; at != 0; at = tree->nodes[at].next) {
		const struct node *node = &tree->nodes[at];
		int width = 2 * depth + width_of(node->name);
		double share = (double)node->weight / (double)up->children_weight[node->class];
		char limits[2 * LIMITS_MAX];
		format_limits(node, limits, sizeof(limits));
		if (out) {
			put_spaces(out, 2 * depth);
			put_text(out, node->name);
			put_spaces(out, tree->name_width - width);
			fprintf(out, "  %6u  %9.1f %%  %5.1f %%%s%s\n", node->weight, 100 * share,
				100 * share * part, limits[0] ? "  " : "", limits);
		} else {
			if (width > tree->name_width)
				tree->name_width = width;
			tree->limits |= limits[0] != '\0';
			tree->classes |= node->class != CONF_CLASS_NORMAL;
		}
		print_nodes(tree, at, depth + 1, share * part, out);
	}
}

/* "  isolation=strict latency_target=5ms" */
static void print_settings(const struct conf_device *device, FILE *out)
{
	char settings[LIMITS_MAX] = "";
	FILE *text = fmemopen(settings, sizeof(settings), "w");
	if (!text)
		return;
	conf_print_device(device, text);
	fclose(text);
	if (settings[0])
		fprintf(out, "  %s\n", settings);
}

static void print_promised(const struct plan_promised *promised, FILE *out)
{
	if (promised->iops <= 0 && promised->bps <= 0)
		return;
	fputs("  promised: ", out);
	plan_print_promised(promised, out);
	if (promised->reads > 0)
		fprintf(out, ", at least %.1f %% of the disk in reads", 100 * promised->reads);
	if (promised->writes > 0)
		fprintf(out, "%s %.1f %%%s in writes", promised->reads > 0 ? "," : ", at least",
			100 * promised->writes, promised->reads > 0 ? "" : " of the disk");
	if (promised->reads <= 0 && promised->writes <= 0)
		fputs("; whether the disk can do it is not known (read_iops, read_bps, "
		      "write_iops, write_bps)",
		      out);
	putc('\n', out);
}

static void print_disk(const struct plan *plan, size_t disk, const size_t *files, size_t n_files,
		       FILE *out)
{
	const struct conf *conf = plan->conf;
	struct tree tree = {.conf = conf};
	size_t n = 1 + conf->n_groups;
	tree.nodes = calloc(n + n_files, sizeof(*tree.nodes));
	putc('\n', out);
	put_text(out, plan->disks[disk].name);
	fputs(": ", out);
	put_text(out, plan->disks[disk].why);
	putc('\n', out);
	if (plan->disks[disk].conf)
		print_settings(plan->disks[disk].conf, out);
	if (!tree.nodes)
		return;
	for (size_t i = 0; i < conf->n_groups; i++)
		tree.nodes[1 + i] = (struct node){.name = conf->groups[i].name,
						  .weight = conf->groups[i].weight,
						  .class = CONF_CLASS_NORMAL,
						  .limits = &conf->groups[i].limits};
	for (size_t i = 0; i < n_files; i++)
		add_file(&tree, plan->files[files[i]].conf, n + i);
	print_nodes(&tree, 0, 1, 1.0, NULL);
	put_spaces(out, tree.name_width);
	fprintf(out, "  WEIGHT  OF SIBLINGS  OF DISK%s\n", tree.limits ? "  LIMITS" : "");
	print_nodes(&tree, 0, 1, 1.0, out);
	if (tree.classes)
		fputs("  realtime goes before its siblings, idle after them: percentages are of "
		      "what is left\n",
		      out);
	print_promised(&plan->disks[disk].promised, out);
	for (size_t i = 0; i < n_files; i++) {
		const struct plan_file *file = &plan->files[files[i]];
		if (!file->backing->buffered)
			continue;
		fputs("  ", out);
		put_text(out, file->conf->name);
		fputs(" goes through the page cache: its weight counts for little\n", out);
	}
	free(tree.nodes);
}

void plan_print(const struct plan *plan, FILE *out)
{
	print_files(plan, out);
	/* Files by disk: counting sort. */
	size_t *end = calloc(plan->n_disks + 1, sizeof(*end));
	size_t *files = calloc(plan->n_files + 1, sizeof(*files));
	if (end && files) {
		for (size_t i = 0; i < plan->n_files; i++)
			if (plan->files[i].disk != PLAN_NO_DISK)
				end[plan->files[i].disk + 1]++;
		for (size_t disk = 0; disk < plan->n_disks; disk++)
			end[disk + 1] += end[disk];
		for (size_t i = 0; i < plan->n_files; i++)
			if (plan->files[i].disk != PLAN_NO_DISK)
				files[end[plan->files[i].disk]++] = i;
		for (size_t disk = 0, start = 0; disk < plan->n_disks; start = end[disk++])
			print_disk(plan, disk, files + start, end[disk] - start, out);
	}
	free(end);
	free(files);
}
