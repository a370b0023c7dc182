/* SPDX-License-Identifier: MIT */
/*
 * plan_limits.c - what is promised on each disk, and whether the disk can do it.
 *
 * A promise is a part of the time of a disk. With the numbers of its [device:NAME], which say what
 * it does when saturated, min_iops and min_bps of a file or group take at least
 *
 *	min_iops / read_iops  +  (min_bps - 4096 min_iops) / read_bps
 *
 * of it when all is read: I/Os of 4 KiB, the usual ones, and then large ones for the bytes that are
 * still missing. Writes likewise. An I/O of min_iops may be larger, up to iops_size, and then takes
 * longer; with an iops_size below 4 KiB a request of 4 KiB is several of them. A group
 * takes the larger of its own promise and those of its members together, as theirs are kept
 * out of its own.
 *
 *	sda: read_iops 1000, write_iops 500
 *
 *	acme		min_iops 400		40 %	80 %	its members make 20 and 40 %
 *	  db		min_iops 200		20 %	40 %
 *	  web
 *	vm1		min_iops 200		20 %	40 %
 *						----	-----
 *						60 %	120 %	can be kept for reads only: a note
 *
 * More than the disk has, for reads and for writes, is an error. What is not known of a disk is not
 * judged. A promise holds on each disk, so every disk has a sum of its own.
 */
#include "plan_limits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_BYTES 4096U /* of read_iops and write_iops */
/* Fractions that make up a whole may come out a little larger. */
#define WHOLE (1 + 1e-6)

static double part_of(double requests, double bytes, uint64_t iops, uint64_t bps)
{
	double part = 0;

	if (iops) {
		part = requests / (double)iops;
		bytes -= requests * REQUEST_BYTES;
	}
	return bps && bytes > 0 ? part + bytes / (double)bps : part;
}

/* disk: NULL when nothing is known of it. */
static struct plan_promised promise_of(const struct conf_limits *limits,
				       const struct conf_device *disk)
{
	uint64_t size = limits->iops_size_bytes;
	uint64_t ios_of_one = size < REQUEST_BYTES ? (REQUEST_BYTES + size - 1) / size : 1;
	double requests = (double)limits->min_iops / (double)ios_of_one;
	double bytes = (double)limits->min_bps;

	return (struct plan_promised){
		.iops = (double)limits->min_iops,
		.bps = bytes,
		.reads = disk ? part_of(requests, bytes, disk->read_iops, disk->read_bps) : 0,
		.writes = disk ? part_of(requests, bytes, disk->write_iops, disk->write_bps) : 0,
	};
}

static void add(struct plan_promised *sum, const struct plan_promised *more)
{
	sum->iops += more->iops;
	sum->bps += more->bps;
	sum->reads += more->reads;
	sum->writes += more->writes;
}

static double larger(double a, double b)
{
	return a > b ? a : b;
}

static int compare_disks(const void *a, const void *b)
{
	const struct plan_file *const *x = a, *const *y = b;

	if ((*x)->disk != (*y)->disk)
		return (*x)->disk > (*y)->disk ? 1 : -1;
	return (*x > *y) - (*x < *y);
}

/*
 * files: those from here on are by disk; returns what follows those of this one. below: of each
 * group, what its members are promised on this disk; used: it has any there.
 */
static struct plan_file **sum_up(struct plan *plan, size_t index, struct plan_file **files,
				 struct plan_promised *below, bool *used)
{
	const struct conf *conf = plan->conf;
	struct plan_disk *disk = &plan->disks[index];

	memset(below, 0, conf->n_groups * sizeof(*below));
	memset(used, 0, conf->n_groups * sizeof(*used));
	for (; *files && (*files)->disk == index; files++) {
		const struct conf_file *file = (*files)->conf;
		struct plan_promised own = promise_of(&file->limits, disk->conf);

		add(file->parent < 0 ? &disk->promised : &below[file->parent], &own);
		if (file->parent >= 0)
			used[file->parent] = true;
	}
	for (size_t i = conf->n_groups; i-- > 0;) {
		size_t at = conf->parents_first[i];
		const struct conf_group *group = &conf->groups[at];
		struct plan_promised own;

		if (!used[at])
			continue;
		own = promise_of(&group->limits, disk->conf);
		own.iops = larger(own.iops, below[at].iops);
		own.bps = larger(own.bps, below[at].bps);
		own.reads = larger(own.reads, below[at].reads);
		own.writes = larger(own.writes, below[at].writes);
		add(group->parent < 0 ? &disk->promised : &below[group->parent], &own);
		if (group->parent >= 0)
			used[group->parent] = true;
	}
	return files;
}

void plan_print_promised(const struct plan_promised *promised, FILE *out)
{
	if (promised->iops > 0)
		fprintf(out, "%.0f IO/s%s", promised->iops, promised->bps > 0 ? " and " : "");
	if (promised->bps > 0) {
		conf_print_bytes((uint64_t)promised->bps, out);
		fputs("/s", out);
	}
}

/* "130.0 % of it in reads (read_iops=1000 read_bps=10M)" */
static void print_part(double part, const char *op, uint64_t iops, uint64_t bps, FILE *out)
{
	fprintf(out, "%.1f %% of it in %ss (", 100 * part, op);
	if (iops)
		fprintf(out, "%s_iops=%" PRIu64 "%s", op, iops, bps ? " " : "");
	if (bps) {
		fprintf(out, "%s_bps=", op);
		conf_print_bytes(bps, out);
	}
	putc(')', out);
}

/* True: it is an error. */
static bool judge(const struct plan_disk *disk, struct conf_errors *errors,
		  struct conf_errors *notes)
{
	const struct conf_device *conf = disk->conf;
	bool reads = disk->promised.reads > WHOLE, writes = disk->promised.writes > WHOLE;
	struct conf_errors *list = reads && writes ? errors : notes;
	char section[64], *text = NULL;
	size_t size;
	FILE *out;

	if ((!reads && !writes) || !list)
		return false;
	out = open_memstream(&text, &size);
	if (out) {
		plan_print_promised(&disk->promised, out);
		fputs(", which is ", out);
		if (reads)
			print_part(disk->promised.reads, "read", conf->read_iops, conf->read_bps,
				   out);
		if (reads && writes)
			fputs(" and ", out);
		if (writes)
			print_part(disk->promised.writes, "write", conf->write_iops,
				   conf->write_bps, out);
		fclose(out);
	}
	snprintf(section, sizeof(section), "device:%s", conf->name);
	conf_error_add(list, &conf->where, section, NULL, NULL,
		       "its files and groups are promised %s: %s",
		       text ? text : "more than it can do",
		       list == errors ? "lower min_iops and min_bps, or correct what it can do"
		       : reads	      ? "they cannot rely on that while it reads"
				      : "they cannot rely on that while it writes");
	free(text);
	return list == errors;
}

/* ---- what has no effect ---- */

static void note_useless(const char *prefix, const char *name, const struct conf_limits *limits,
			 struct conf_errors *notes)
{
	char section[64];

	snprintf(section, sizeof(section), "%s%s", prefix, name);
	if (limits->burst_ns && !conf_has_max(limits))
		conf_error_add(notes, &limits->burst_where, section, "burst", NULL,
			       "has no effect: it is saved up of a max_* of the same section, and "
			       "there is none");
	if (limits->iops_size_bytes != CONF_IOPS_SIZE_DEFAULT && !conf_has_iops(limits))
		conf_error_add(notes, &limits->iops_size_where, section, "iops_size", NULL,
			       "has no effect: it is what the *_iops of the same section count "
			       "in, and there are none");
}

int plan_limits_check(struct plan *plan, struct conf_errors *errors, struct conf_errors *notes)
{
	const struct conf *conf = plan->conf;
	struct plan_promised *below = calloc(conf->n_groups + 1, sizeof(*below));
	bool *used = calloc(conf->n_groups + 1, sizeof(*used));
	struct plan_file **files = calloc(plan->n_files + 1, sizeof(struct plan_file *));
	int err = below && used && files ? 0 : -ENOMEM;

	for (size_t i = 0; !err && notes && i < conf->n_groups; i++)
		note_useless("group:", conf->groups[i].name, &conf->groups[i].limits, notes);
	for (size_t i = 0; !err && notes && i < conf->n_files; i++)
		note_useless("", conf->files[i].name, &conf->files[i].limits, notes);
	if (!err) {
		struct plan_file **next = files;

		for (size_t i = 0; i < plan->n_files; i++)
			files[i] = &plan->files[i];
		qsort(files, plan->n_files, sizeof(struct plan_file *), compare_disks);
		for (size_t i = 0; i < plan->n_disks; i++) {
			next = sum_up(plan, i, next, below, used);
			if (judge(&plan->disks[i], errors, notes))
				err = -EINVAL;
		}
	}
	free(files);
	free(below);
	free(used);
	return err;
}
