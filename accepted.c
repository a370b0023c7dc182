/* SPDX-License-Identifier: MIT */
/* accepted.c - see accepted.h. */
#include "accepted.h"
#include "pack.h"

#include <errno.h>
#include <stdlib.h>

/* Some of it are structures as they are: a program that has other ones is to notice. */
#define SHAPE                                                                         \
	((uint64_t)sizeof(struct conf_file) << 32 | sizeof(struct backing_id) << 16 | \
	 sizeof(struct backing_traits))

static void put_file(struct pack *out, const struct file *file)
{
	struct conf_file section = {
		.limits = file->limits,
		.offset_bytes = file->spec_offset_bytes,
		.size_bytes = file->spec_size_bytes,
		.weight = file->weight,
		.class = file->class,
		.discard = file->ignore_discard ? CONF_DISCARD_IGNORE : CONF_DISCARD_PASS,
		.buffered = file->buffered,
		.readonly = file->readonly,
		.uid = file->uid,
		.gid = file->gid,
		.mode = file->mode,
	};
	struct backing_id object = file->backing ? file->backing->id : (struct backing_id){0};
	struct backing_traits traits = {0};

	if (file->backing) {
		traits = backing_traits_of(file->backing);
	} else if (file->lost) {
		object = file->lost->object;
		traits = file->lost->traits;
	}

	pack_u64(out, file->id);
	pack_u64(out, file->size_bytes);
	pack_string(out, file->name);
	pack_u64(out, file->backing || file->lost);
	pack_u64(out, file->lost != NULL);
	pack_raw(out, &object, sizeof(object));
	pack_raw(out, &traits, sizeof(traits));
	pack_u64(out, file->claim ? file->claim->kept : 0);
	pack_u64(out, file->removed);
	if (!file->removed)
		return;
	pack_raw(out, &section, sizeof(section));
	pack_string(out, file->path);
	pack_string(out, file->device);
}

static void put_table(struct pack *out, const struct conf_table *table)
{
	pack_string(out, table->disk);
	pack_u64(out, table->n);
	for (size_t i = 0; i < table->n; i++) {
		pack_u64(out, table->list[i].number);
		pack_u64(out, table->list[i].start_bytes);
		pack_u64(out, table->list[i].size_bytes);
		pack_string(out, table->list[i].about);
	}
}

static void put_all(struct pack *out, const struct mount *mount, const struct conf_text *text)
{
	pack_u64(out, SHAPE);
	pack_u64(out, mount->generation);
	pack_u64(out, mount->next_id);
	pack_raw(out, &mount->since, sizeof(mount->since));
	pack_raw(out, &mount->began, sizeof(mount->began));
	pack_u64(out, text->n_sources);
	for (size_t i = 0; i < text->n_sources; i++) {
		pack_string(out, text->sources[i].path);
		pack_bytes(out, text->sources[i].text, text->sources[i].len);
	}
	pack_u64(out, text->n_tables);
	for (size_t i = 0; i < text->n_tables; i++)
		put_table(out, &text->tables[i]);
	pack_u64(out, mount_n_all(mount));
	for (size_t i = 0; i < mount->n_files; i++)
		put_file(out, mount->files[i]);
	for (size_t i = 0; i < mount->n_orphans; i++)
		put_file(out, mount->orphans[i]);
}

int accepted_save(const struct mount *mount, const struct conf_text *text, int *ret_fd)
{
	struct pack out;
	int r = pack_begin(&out, "fuseband-accepted");

	if (r)
		return r;
	put_all(&out, mount, text);
	return pack_end(&out, ret_fd);
}

static void get_file(struct unpack *in, struct accepted_file *file)
{
	file->id = unpack_u64(in);
	file->size_bytes = unpack_u64(in);
	file->name = unpack_bytes(in, NULL);
	file->present = unpack_u64(in);
	file->lost = unpack_u64(in);
	unpack_raw(in, &file->object, sizeof(file->object));
	unpack_raw(in, &file->traits, sizeof(file->traits));
	file->claim = unpack_u64(in);
	file->removed = unpack_u64(in);
	if (!file->removed)
		return;
	unpack_raw(in, &file->section, sizeof(file->section));
	file->path = unpack_bytes(in, NULL);
	file->device = unpack_string(in);
}

static void get_table(struct unpack *in, struct conf_table *table)
{
	size_t n;

	table->disk = unpack_bytes(in, NULL);
	n = unpack_count(in);
	table->list = calloc(n + 1, sizeof(*table->list));
	in->broken = in->broken || !table->list;
	for (; !in->broken && table->n < n; table->n++) {
		struct conf_partition *partition = &table->list[table->n];

		partition->number = (unsigned)unpack_u64(in);
		partition->start_bytes = unpack_u64(in);
		partition->size_bytes = unpack_u64(in);
		partition->about = unpack_string(in);
	}
}

static void get_all(struct unpack *in, struct accepted *accepted)
{
	size_t n_tables;

	in->broken = unpack_u64(in) != SHAPE || in->broken;
	accepted->generation = unpack_u64(in);
	accepted->next_id = unpack_u64(in);
	unpack_raw(in, &accepted->since, sizeof(accepted->since));
	unpack_raw(in, &accepted->began, sizeof(accepted->began));
	accepted->text.n_sources = unpack_count(in);
	accepted->text.sources =
		calloc(accepted->text.n_sources + 1, sizeof(*accepted->text.sources));
	in->broken = in->broken || !accepted->text.sources;
	for (size_t i = 0; !in->broken && i < accepted->text.n_sources; i++) {
		accepted->text.sources[i].path = unpack_bytes(in, NULL);
		accepted->text.sources[i].text = unpack_bytes(in, &accepted->text.sources[i].len);
	}
	n_tables = unpack_count(in);
	if (!in->broken)
		accepted->text.tables = calloc(n_tables + 1, sizeof(*accepted->text.tables));
	in->broken = in->broken || !accepted->text.tables;
	while (!in->broken && accepted->text.n_tables < n_tables)
		get_table(in, &accepted->text.tables[accepted->text.n_tables++]);
	accepted->n_files = unpack_count(in);
	accepted->files = calloc(accepted->n_files + 1, sizeof(*accepted->files));
	in->broken = in->broken || !accepted->files;
	for (size_t i = 0; !in->broken && i < accepted->n_files; i++)
		get_file(in, &accepted->files[i]);
}

int accepted_load(int fd, struct accepted *ret_accepted)
{
	struct accepted accepted = {0};
	struct unpack in;
	int r = unpack_begin(&in, fd);

	if (r)
		return r;
	get_all(&in, &accepted);
	r = unpack_end(&in);
	if (r)
		accepted_free(&accepted);
	else
		*ret_accepted = accepted;
	return r;
}

void accepted_free(struct accepted *accepted)
{
	for (size_t i = 0; accepted->files && i < accepted->n_files; i++) {
		free(accepted->files[i].name);
		free(accepted->files[i].path);
		free(accepted->files[i].device);
	}
	free(accepted->files);
	if (accepted->text.sources)
		conf_text_free(&accepted->text);
	*accepted = (struct accepted){0};
}
