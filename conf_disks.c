/* SPDX-License-Identifier: MIT */
/*
 * conf_disks.c - a file for every partition of every [disk:NAME].
 *
 *	[disk:vm]		table of /dev/sdb	files
 *	path = /dev/sdb		1: 1M + 20G		vm1: /dev/sdb from 1M, 20G, weight 200
 *	weight = 200		2: 20481M + 8G		vm2: /dev/sdb from 20481M, 8G, weight 50
 *	[vm2]
 *	weight = 50
 *
 * A file of a disk is the section of the disk with the range of the partition, and then with what
 * the section of its own name says. Everything else that looks at a configuration finds files with
 * a path, an offset and a size.
 *
 * The table is foreign: numbers and places were checked by who read it (partitions.c), names are
 * made of our own text and a number, and what the table calls a partition is only ever shown.
 */
#include "conf_disks.h"
#include "conf_error.h"
#include "conf_keys.h"
#include "conf_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* No table has more: partitions.h. */
#define NUMBER_DIGITS_MAX 4

const struct conf_file *conf_disk_of(const struct conf *conf, const char *name,
				     unsigned *ret_number)
{
	for (size_t i = 0; i < conf->n_disks; i++) {
		size_t len = strlen(conf->disks[i].name), digits;

		if (strncmp(name, conf->disks[i].name, len) != 0 || name[len] < '1' ||
		    name[len] > '9')
			continue;
		digits = strspn(name + len, "0123456789");
		if (name[len + digits] != '\0' || digits > NUMBER_DIGITS_MAX)
			continue;
		if (ret_number)
			*ret_number = (unsigned)strtoul(name + len, NULL, 10);
		return &conf->disks[i];
	}
	return NULL;
}

/* "disk:NAME", for messages. */
struct section {
	char name[CONF_NAME_BYTES + 1];
};

static struct section section_of(const struct conf_file *disk)
{
	struct section section;

	snprintf(section.name, sizeof(section.name), "%s%s", conf_section_prefix(CONF_SECTION_DISK),
		 disk->name);
	return section;
}

static int by_name(const void *a, const void *b)
{
	const struct conf_override *const *x = a, *const *y = b;

	return strcmp((*x)->file.name, (*y)->file.name);
}

static int name_to_override(const void *name, const void *override)
{
	const struct conf_override *const *o = override;

	return strcmp(name, (*o)->file.name);
}

struct expansion {
	struct conf *conf;
	struct conf_complaints complaints;
	const struct conf_override **overrides; /* by name */
	bool *used;				/* of conf->overrides */
};

static const struct conf_override *find_override(const struct expansion *e, const char *name)
{
	const struct conf_override **found =
		e->conf->n_overrides == 0 ? NULL
					  : bsearch(name, e->overrides, e->conf->n_overrides,
						    sizeof(*e->overrides), name_to_override);

	return found ? *found : NULL;
}

/* One more file, which is all of conf's. */
static void add_file(struct expansion *e, const struct conf_file *disk,
		     const struct conf_partition *partition)
{
	struct conf *conf = e->conf;
	struct conf_file *list = conf_grown(conf->files, conf->n_files, sizeof(*list)), *file;
	const struct conf_override *override;
	char name[2 * CONF_NAME_BYTES];

	if (!list) {
		e->complaints.oom = true;
		return;
	}
	conf->files = list;
	snprintf(name, sizeof(name), "%s%u", disk->name, partition->number);
	if (strlen(name) > CONF_NAME_BYTES)
		conf_complain(&e->complaints, disk->where, section_of(disk).name, NULL, NULL,
			      "the file of partition %u would have a name of %zu bytes, at most %d "
			      "are allowed",
			      partition->number, strlen(name), CONF_NAME_BYTES);
	file = &list[conf->n_files++];
	*file = *disk;
	file->name = strdup(name);
	file->path = strdup(disk->path);
	file->about = partition->about ? strdup(partition->about) : NULL;
	file->partition = partition->number;
	file->offset_bytes = partition->start_bytes;
	file->size_bytes = partition->size_bytes;
	file->offset_where = file->size_where = file->range_where = disk->path_where;
	override = find_override(e, name);
	if (override) {
		file->where = override->file.where;
		conf_file_override(file, &override->file, override->set);
		e->used[override - conf->overrides] = true;
	}
	if (!file->name || !file->path || (partition->about && !file->about))
		e->complaints.oom = true;
}

static int by_name_and_place(const void *a, const void *b)
{
	const struct conf_file *x = *(const struct conf_file *const *)a,
			       *y = *(const struct conf_file *const *)b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x > y) - (x < y);
}

/*
 * A file of a section may have the name of a partition's, and those of two disks may be the same.
 */
static void check_names(struct expansion *e)
{
	struct conf *conf = e->conf;
	const struct conf_file **sorted = calloc(conf->n_files + 1, sizeof(*sorted));

	if (!sorted) {
		e->complaints.oom = true;
		return;
	}
	for (size_t i = 0; i < conf->n_files; i++)
		sorted[i] = &conf->files[i];
	if (conf->n_files > 0)
		qsort(sorted, conf->n_files, sizeof(*sorted), by_name_and_place);
	for (size_t i = 1; i < conf->n_files; i++) {
		const struct conf_file *a = sorted[i - 1], *b = sorted[i];

		if (strcmp(a->name, b->name) == 0)
			conf_complain(&e->complaints, b->path_where, b->name, NULL, NULL,
				      "is the name of partition %u of %s, and already at %s:%d",
				      b->partition, b->path, a->path_where.file,
				      a->path_where.line);
	}
	free(sorted);
}

static const struct conf_table *find_table(const struct conf_text *text, const char *disk)
{
	for (size_t i = 0; i < text->n_tables; i++)
		if (strcmp(text->tables[i].disk, disk) == 0)
			return &text->tables[i];
	return NULL;
}

/* What an override is for may come with a later reload; a slip of the pen should show. */
static void note_unused(const struct expansion *e, struct conf_errors *notes)
{
	for (size_t i = 0; notes && i < e->conf->n_overrides; i++) {
		const struct conf_file *file = &e->conf->overrides[i].file;
		unsigned number = 0;
		const struct conf_file *disk = conf_disk_of(e->conf, file->name, &number);

		if (!e->used[i] && disk)
			conf_error_add(notes, &file->where, file->name, NULL, NULL,
				       "%s has no partition %u now: nothing is served under this "
				       "name",
				       disk->path, number);
	}
}

int conf_expand(struct conf *conf, const struct conf_text *text, struct conf_errors *errors,
		struct conf_errors *notes)
{
	struct expansion e = {.conf = conf, .complaints = {.conf = conf}};
	int rc;

	if (conf->n_disks == 0)
		return 0;
	e.overrides = calloc(conf->n_overrides + 1, sizeof(*e.overrides));
	e.used = calloc(conf->n_overrides + 1, sizeof(*e.used));
	e.complaints.oom = !e.overrides || !e.used;
	for (size_t i = 0; e.overrides && i < conf->n_overrides; i++)
		e.overrides[i] = &conf->overrides[i];
	if (!e.complaints.oom && conf->n_overrides > 0)
		qsort(e.overrides, conf->n_overrides, sizeof(*e.overrides), by_name);
	for (size_t i = 0; !e.complaints.oom && i < conf->n_disks; i++) {
		const struct conf_table *table = find_table(text, conf->disks[i].name);

		for (size_t k = 0; table && !e.complaints.oom && k < table->n; k++)
			add_file(&e, &conf->disks[i], &table->list[k]);
	}
	if (!e.complaints.oom)
		check_names(&e);
	if (!e.complaints.oom)
		conf_tree_check_files(conf, &e.complaints);
	if (!e.complaints.oom)
		note_unused(&e, notes);
	rc = conf_complaints_publish(&e.complaints, errors);
	free(e.overrides);
	free(e.used);
	return rc;
}
