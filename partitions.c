/* SPDX-License-Identifier: MIT */
/*
 * partitions.c - see partitions.h.
 *
 *	path	-> identified as any other backing, opened for reading
 *	raw	-> the first blocks by ourselves: is there a table, of a size we would take?
 *	libblkid -> partitions of GPT and MBR, logical ones of an extended one among them
 *	check	-> numbers, ends, overlaps; then into the text
 *
 * Who wrote the table is not to be trusted. A guest that has a partition of a disk cannot write
 * its table, but one that once had all of an image or disk can have left any bytes there, and they
 * are parsed here with root's rights. So everything is bounded:
 *	entries		those of a GPT, and the links of a chain of logical partitions, are counted
 *			before libblkid may allocate room for them, or go in circles
 *	numbers		added and multiplied with a check for overflow, here: libblkid does not
 *	the table	lies in no partition, or its guest could write the next one
 *	names		shown with control characters replaced, never part of a path
 *	parsers		those of GPT and MBR alone are asked; that of MBR looks into partitions of
 *			BSD, Solaris, UnixWare and Minix by itself: what it finds there is dropped
 *	errors		a table with anything wrong in it is refused as a whole
 * Bytes that change while they are read are no way around it: what libblkid found is what is
 * checked, and what was checked is what is served.
 *
 * libblkid passes in silence over what it does not like: MBR entries without sectors, GPT entries
 * outside of the usable blocks. A partition that is in the table and not in the mount would be a
 * riddle, hence look_at_mbr() and look_at_entries().
 *
 * Slices that other systems make within a partition belong to the guest and are left alone, as is
 * the extended partition around the logical ones.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "partitions.h"
#include "backing.h"
#include "cleanup.h"
#include "mountinfo.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- what must hold, whoever wrote it ---- */

static int by_number(const void *a, const void *b)
{
	const struct conf_partition *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static int by_start(const void *a, const void *b)
{
	const struct conf_partition *x = *(const struct conf_partition *const *)a,
				    *y = *(const struct conf_partition *const *)b;

	if (x->start_bytes != y->start_bytes)
		return x->start_bytes > y->start_bytes ? 1 : -1;
	return (x->number > y->number) - (x->number < y->number);
}

/* Each by itself, and its number. */
static int check_each(const struct conf_partition *list, size_t n, uint64_t disk_bytes, char *why,
		      size_t why_size)
{
	for (size_t i = 0; i < n; i++) {
		const struct conf_partition *p = &list[i];
		uint64_t end;

		if (p->number == 0 || p->number > 9999 ||
		    (i > 0 && list[i - 1].number == p->number))
			snprintf(why, why_size,
				 "has a partition table in which the number %u is not valid, or "
				 "there twice",
				 p->number);
		else if (p->size_bytes == 0)
			snprintf(why, why_size,
				 "has a partition table in which partition %u is empty: delete it",
				 p->number);
		else if (__builtin_add_overflow(p->start_bytes, p->size_bytes, &end) ||
			 end > disk_bytes)
			snprintf(why, why_size,
				 "has a partition table in which partition %u, of %" PRIu64
				 " bytes from %" PRIu64 ", reaches beyond the end, at %" PRIu64,
				 p->number, p->size_bytes, p->start_bytes, disk_bytes);
		else
			continue;
		return -EINVAL;
	}
	return 0;
}

int partitions_check(struct conf_partition *list, size_t n, uint64_t disk_bytes, char *why,
		     size_t why_size)
{
	const struct conf_partition *sorted[PARTITIONS_MAX], *before;

	if (n > PARTITIONS_MAX) {
		snprintf(why, why_size, "has more than %u partitions", PARTITIONS_MAX);
		return -EINVAL;
	}
	if (n > 0)
		qsort(list, n, sizeof(*list), by_number);
	if (check_each(list, n, disk_bytes, why, why_size))
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		sorted[i] = &list[i];
	if (n > 0)
		qsort(sorted, n, sizeof(*sorted), by_start);
	for (size_t i = 1; i < n; i++) {
		before = sorted[i - 1];
		if (before->start_bytes + before->size_bytes <= sorted[i]->start_bytes)
			continue;
		snprintf(why, why_size,
			 "has a partition table in which partitions %u and %u overlap",
			 before->number, sorted[i]->number);
		return -EINVAL;
	}
	return 0;
}

#ifdef FUSEBAND_BLKID

#include <blkid/blkid.h>
#include <endian.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static void free_probe(blkid_probe *probe)
{
	if (*probe)
		blkid_free_probe(*probe);
}

/* ---- the bytes themselves ---- */

#define MBR_ENTRIES_AT 446
#define MBR_ENTRIES 4
#define MBR_SIGNATURE_AT 510
#define MBR_TYPE_GPT 0xee /* "protective": all of the disk, for those who know no GPT */
#define GPT_SIGNATURE "EFI PART"
#define GPT_ENTRY_BYTES 128U

struct mbr_entry {
	uint8_t status, first[3], type, last[3];
	uint32_t start, sectors; /* little-endian */
} __attribute__((packed));

/* The parts of a GPT header that are looked at; little-endian. */
struct gpt_header {
	char signature[8];
	uint32_t revision, header_bytes, crc, reserved;
	uint64_t here, other, first_usable, last_usable;
	uint8_t guid[16];
	uint64_t entries_at;
	uint32_t n_entries, entry_bytes, entries_crc;
} __attribute__((packed));

struct gpt_entry {
	uint8_t type[16], guid[16];
	uint64_t first, last;
	uint8_t rest[GPT_ENTRY_BYTES - 48];
} __attribute__((packed));

_Static_assert(sizeof(struct mbr_entry) == 16, "as on disk");
_Static_assert(sizeof(struct gpt_entry) == GPT_ENTRY_BYTES, "as on disk");

struct disk {
	int fd;
	bool is_block;
	uint64_t bytes;
	unsigned sector_bytes;
	bool is_gpt;
	uint64_t links[PARTITIONS_MAX]; /* sectors with a part of an MBR, beside the first one */
	unsigned n_links;
	char *why;
	size_t why_size;
};

__attribute__((format(printf, 2, 3))) static int refuse(const struct disk *disk, const char *fmt,
							...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(disk->why, disk->why_size, fmt, args);
	va_end(args);
	return -EINVAL;
}

/* All of it, or false. */
static bool read_at(const struct disk *disk, void *bytes, size_t n, uint64_t offset)
{
	if (offset > disk->bytes || n > disk->bytes - offset)
		return false;
	return pread(disk->fd, bytes, n, (off_t)offset) == (ssize_t)n;
}

static bool is_gpt_header(const struct gpt_header *header)
{
	return memcmp(header->signature, GPT_SIGNATURE, sizeof(header->signature)) == 0;
}

/* An image does not tell: only a GPT, which is in the second sector, can. */
static void find_sector_size(struct disk *disk)
{
	struct gpt_header header;
	int sector = 0;

	disk->sector_bytes = 512;
	if (disk->is_block) {
		if (ioctl(disk->fd, BLKSSZGET, &sector) == 0 && sector >= 512 && sector <= 65536)
			disk->sector_bytes = (unsigned)sector;
	} else if ((!read_at(disk, &header, sizeof(header), 512) || !is_gpt_header(&header)) &&
		   read_at(disk, &header, sizeof(header), 4096) && is_gpt_header(&header)) {
		disk->sector_bytes = 4096;
	}
}

static bool is_container(const struct mbr_entry *entry)
{
	return (entry->type == 0x05 || entry->type == 0x0f || entry->type == 0x85) &&
	       entry->sectors != 0;
}

/* libblkid counts in 512 bytes, in 32 bits. */
static bool wraps(const struct disk *disk, uint64_t sectors)
{
	return sectors > UINT32_MAX / (disk->sector_bytes / 512);
}

/* A link has a partition, counted from itself, and the next link, counted from the first one. */
static int look_at_link(const struct disk *disk, uint64_t first, uint64_t at, bool *ret_more,
			uint64_t *ret_next)
{
	uint8_t sector[512];
	struct mbr_entry entry;

	*ret_more = false;
	if (!read_at(disk, sector, sizeof(sector), at * disk->sector_bytes) ||
	    sector[MBR_SIGNATURE_AT] != 0x55 || sector[MBR_SIGNATURE_AT + 1] != 0xaa)
		return 0; /* then libblkid does not go on either */
	for (unsigned i = 0; i < MBR_ENTRIES; i++) {
		uint64_t from;

		memcpy(&entry, sector + MBR_ENTRIES_AT + i * sizeof(entry), sizeof(entry));
		if (!entry.sectors)
			continue;
		from = (is_container(&entry) ? first : at) + le32toh(entry.start);
		if (wraps(disk, from + le32toh(entry.sectors)))
			return refuse(disk, "has a logical partition that reaches beyond the end");
		if (is_container(&entry) && !*ret_more) {
			*ret_more = true;
			*ret_next = from;
		}
	}
	return 0;
}

static int look_at_chain(struct disk *disk, uint64_t first)
{
	uint64_t at = first;
	bool more = true;
	int r = 0;

	while (!r && more) {
		if (disk->n_links == PARTITIONS_MAX)
			return refuse(disk,
				      "has a chain of logical partitions that has more than %u "
				      "links, or goes in circles",
				      PARTITIONS_MAX);
		disk->links[disk->n_links++] = at;
		r = look_at_link(disk, first, at, &more, &at);
	}
	return r;
}

/* 0; -EINVAL: no table, or one that libblkid would take for less than is in it. */
static int look_at_mbr(struct disk *disk)
{
	uint8_t sector[512];
	struct mbr_entry entry;
	unsigned empty = 0;
	int r = 0;

	if (!read_at(disk, sector, sizeof(sector), 0))
		return refuse(disk, "cannot be read where its partition table is: %s",
			      disk->bytes < sizeof(sector) ? "it is too small" : strerror(EIO));
	if (sector[MBR_SIGNATURE_AT] != 0x55 || sector[MBR_SIGNATURE_AT + 1] != 0xaa)
		return refuse(disk, "has no partition table (GPT or MBR)");
	for (unsigned i = 0; i < MBR_ENTRIES; i++) {
		memcpy(&entry, sector + MBR_ENTRIES_AT + i * sizeof(entry), sizeof(entry));
		disk->is_gpt |= entry.type == MBR_TYPE_GPT;
		if (entry.type != 0 && entry.sectors == 0 && !empty)
			empty = i + 1;
	}
	if (empty && !disk->is_gpt)
		return refuse(disk,
			      "has a partition table in which partition %u is empty: delete it",
			      empty);
	for (unsigned i = 0; !r && !disk->is_gpt && i < MBR_ENTRIES; i++) {
		memcpy(&entry, sector + MBR_ENTRIES_AT + i * sizeof(entry), sizeof(entry));
		if (disk->sector_bytes > 512 &&
		    (wraps(disk, le32toh(entry.start)) || wraps(disk, le32toh(entry.sectors))))
			r = refuse(disk,
				   "has a partition table in which partition %u reaches beyond the "
				   "end",
				   i + 1);
		else if (is_container(&entry))
			r = look_at_chain(disk, le32toh(entry.start));
	}
	return r;
}

/* Who has a partition must not be able to write the table with it. */
static int look_for_table(const struct disk *disk, const struct conf_table *table)
{
	for (size_t i = 0; i < table->n; i++) {
		const struct conf_partition *p = &table->list[i];
		bool inside = p->start_bytes < disk->sector_bytes;

		for (unsigned k = 0; k < disk->n_links; k++) {
			uint64_t at = disk->links[k] * disk->sector_bytes;

			inside |= at >= p->start_bytes && at - p->start_bytes < p->size_bytes;
		}
		if (inside)
			return refuse(disk,
				      "has a partition table in which partition %u contains a part "
				      "of the table",
				      p->number);
	}
	return 0;
}

/* One of the two headers: not to make libblkid allocate what a header asks for. */
static int look_at_header(const struct disk *disk, uint64_t at, struct gpt_header *ret_header)
{
	if (!read_at(disk, ret_header, sizeof(*ret_header), at) || !is_gpt_header(ret_header))
		return 0; /* then libblkid does not take it either */
	if (le32toh(ret_header->n_entries) > PARTITIONS_MAX ||
	    le32toh(ret_header->entry_bytes) != GPT_ENTRY_BYTES)
		return refuse(disk,
			      "has a GPT with room for %" PRIu32 " partitions of %" PRIu32
			      " bytes: at most %u, of %u, are supported",
			      le32toh(ret_header->n_entries), le32toh(ret_header->entry_bytes),
			      PARTITIONS_MAX, GPT_ENTRY_BYTES);
	return 0;
}

static int look_at_headers(const struct disk *disk, struct gpt_header *ret_first)
{
	struct gpt_header backup;
	uint64_t last = disk->bytes / disk->sector_bytes;
	int r = look_at_header(disk, disk->sector_bytes, ret_first);

	if (!r && last > 0)
		r = look_at_header(disk, (last - 1) * disk->sector_bytes, &backup);
	return r;
}

static int look_at_entry(const struct disk *disk, const struct gpt_header *header, unsigned number,
			 const struct gpt_entry *entry)
{
	static const uint8_t unused[16];
	uint64_t first = le64toh(entry->first), last = le64toh(entry->last),
		 first_usable = le64toh(header->first_usable),
		 last_usable = le64toh(header->last_usable);

	if (memcmp(entry->type, unused, sizeof(unused)) == 0)
		return 0;
	if (first > last)
		return refuse(disk,
			      "has a partition table in which partition %u ends before it begins",
			      number);
	if (first < first_usable || last > last_usable)
		return refuse(disk,
			      "has a partition table in which partition %u (sectors %" PRIu64
			      " to %" PRIu64 ") reaches out of the usable sectors, %" PRIu64
			      " to %" PRIu64,
			      number, first, last, first_usable, last_usable);
	return 0;
}

/* The usable sectors begin behind the first header and its entries, and end before the second. */
static bool contains_itself(const struct disk *disk, const struct gpt_header *header,
			    uint64_t entries_end_bytes)
{
	uint64_t first = le64toh(header->first_usable);
	uint64_t entries_end = (entries_end_bytes + disk->sector_bytes - 1) / disk->sector_bytes;

	return first < 2 || first < entries_end ||
	       le64toh(header->last_usable) >= disk->bytes / disk->sector_bytes - 1;
}

/* Of a header that libblkid found to be sound, with entries that are. */
static int look_at_entries(const struct disk *disk, const struct gpt_header *header)
{
	uint32_t n = le32toh(header->n_entries);
	struct gpt_entry *entries;
	uint64_t at;
	int r = 0;

	if (n > PARTITIONS_MAX ||
	    __builtin_mul_overflow(le64toh(header->entries_at), disk->sector_bytes, &at))
		return refuse(disk, "has a damaged GPT");
	entries = calloc(PARTITIONS_MAX, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	if (!read_at(disk, entries, n * sizeof(*entries), at))
		r = refuse(disk, "has a damaged GPT");
	else if (contains_itself(disk, header, at + n * sizeof(*entries)))
		r = refuse(disk, "has a GPT with itself among the sectors for partitions");
	for (uint32_t i = 0; !r && i < n; i++)
		r = look_at_entry(disk, header, i + 1, &entries[i]);
	free(entries);
	return r;
}

/* ---- libblkid ---- */

static char *describe(blkid_partition partition, bool is_gpt)
{
	const char *name = blkid_partition_get_name(partition),
		   *type = blkid_partition_get_type_string(partition),
		   *uuid = blkid_partition_get_uuid(partition);
	char number[16], *about;

	snprintf(number, sizeof(number), "0x%02x", (unsigned)blkid_partition_get_type(partition));
	if (asprintf(&about, "%s%s%s%s, type %s%s%s", is_gpt ? "GPT" : "MBR", name ? " \"" : "",
		     name ? name : "", name ? "\"" : "", is_gpt && type ? type : number,
		     uuid ? ", UUID " : "", uuid ? uuid : "") < 0)
		return NULL;
	text_tame(about);
	return about;
}

/* Add what the list has; a container is not a partition, nor is what lies within one. */
static int take_partitions(const struct disk *disk, blkid_partlist list, struct conf_table *table)
{
	int n = blkid_partlist_numof_partitions(list);

	if (n < 0 || (unsigned)n > PARTITIONS_MAX)
		return refuse(disk, "has more than %u partitions", PARTITIONS_MAX);
	table->list = calloc((size_t)n + 1, sizeof(*table->list));
	if (!table->list)
		return -ENOMEM;
	for (int i = 0; i < n; i++) {
		blkid_partition partition = blkid_partlist_get_partition(list, i);
		struct conf_partition *to = &table->list[table->n];
		blkid_loff_t start, sectors;

		if (!partition || blkid_partition_is_extended(partition) ||
		    blkid_parttable_get_parent(blkid_partition_get_table(partition)))
			continue;
		start = blkid_partition_get_start(partition); /* in 512 bytes, whatever they are */
		sectors = blkid_partition_get_size(partition);
		if (start < 0 || sectors < 0 ||
		    __builtin_mul_overflow((uint64_t)start, UINT64_C(512), &to->start_bytes) ||
		    __builtin_mul_overflow((uint64_t)sectors, UINT64_C(512), &to->size_bytes))
			return refuse(disk,
				      "has a partition table in which partition %d reaches beyond "
				      "the end",
				      blkid_partition_get_partno(partition));
		to->number = (unsigned)blkid_partition_get_partno(partition);
		to->about = describe(partition, disk->is_gpt);
		table->n++;
		if (!to->about)
			return -ENOMEM;
	}
	return 0;
}

static int probe(const struct disk *disk, const struct gpt_header *header, struct conf_table *table)
{
	static char gpt[] = "gpt", dos[] = "dos";
	char *names[] = {disk->is_gpt ? gpt : dos, NULL};
	CLEANUP(free_probe) blkid_probe probe = blkid_new_probe();
	blkid_partlist list;
	blkid_parttable root;
	int r;

	if (!probe)
		return -ENOMEM;
	errno = 0;
	if (blkid_probe_set_device(probe, disk->fd, 0, 0) != 0)
		return refuse(disk, "cannot be read: %s", strerror(errno ? errno : EIO));
	if (!disk->is_block)
		blkid_probe_set_sectorsize(probe, disk->sector_bytes);
	blkid_probe_enable_superblocks(probe, 0);
	blkid_probe_enable_partitions(probe, 1);
	blkid_probe_filter_partitions_type(probe, BLKID_FLTR_ONLYIN, names);
	list = blkid_probe_get_partitions(probe);
	root = list ? blkid_partlist_get_table(list) : NULL;
	if (!root)
		return disk->is_gpt ? refuse(disk,
					     "has a damaged GPT, and no good backup of it: restore "
					     "it, or make a new one")
				    : refuse(disk, "has no partition table (GPT or MBR)");
	if (disk->is_gpt && blkid_parttable_get_offset(root) != (blkid_loff_t)disk->sector_bytes)
		return refuse(
			disk,
			"has a damaged GPT; the backup at its end is good: let sgdisk or sfdisk "
			"restore it");
	r = disk->is_gpt ? look_at_entries(disk, header) : 0;
	return r ? r : take_partitions(disk, list, table);
}

/* ---- from a path to a table ---- */

/* path_fd: as of backing_open_path(). */
static int read_table(int path_fd, const struct backing_id *id, char *why, size_t why_size,
		      struct conf_table *table)
{
	struct disk disk = {.is_block = id->is_block, .why = why, .why_size = why_size};
	CLEANUP(cleanup_fd) int fd = backing_reopen(path_fd, O_RDONLY);
	struct gpt_header header = {.n_entries = 0};
	struct stat st;
	int r;

	if (fd < 0) {
		snprintf(why, why_size, "cannot be opened: %s", strerror(-fd));
		return fd;
	}
	disk.fd = fd;
	if (id->is_block ? ioctl(fd, BLKGETSIZE64, &disk.bytes) < 0 : fstat(fd, &st) < 0) {
		r = -errno;
		snprintf(why, why_size, "does not tell its size: %s", strerror(-r));
		return r;
	}
	if (!id->is_block)
		disk.bytes = (uint64_t)st.st_size;
	find_sector_size(&disk);
	r = look_at_mbr(&disk);
	if (!r && disk.is_gpt)
		r = look_at_headers(&disk, &header);
	if (!r)
		r = probe(&disk, &header, table);
	if (!r)
		r = partitions_check(table->list, table->n, disk.bytes, why, why_size);
	if (!r)
		r = look_for_table(&disk, table);
	if (r == -ENOMEM)
		snprintf(why, why_size, "%s", strerror(ENOMEM));
	return r;
}

/* The mount table, and the places that must not be touched. */
struct ours {
	struct mountinfo mounts;
	const char **points;
	size_t n;
};

static int read_disk(const struct ours *ours, const struct conf_file *disk, char *why,
		     size_t why_size, struct conf_table *table)
{
	CLEANUP(cleanup_fd) int path_fd = -1;
	struct backing_id id;
	int r;

	if (ours->n > 0 && mountinfo_path_enters(disk->path, ours->points, ours->n)) {
		snprintf(why, why_size, "lies in the mount itself");
		return -EINVAL;
	}
	r = backing_open_path(disk->path, why, why_size, &path_fd, &id);
	return r ? r : read_table(path_fd, &id, why, why_size, table);
}

static int read_disks(const struct conf *conf, const struct ours *ours, struct conf_text *text,
		      struct conf_errors *errors, struct conf_errors *notes)
{
	int result = 0;

	for (size_t i = 0; i < conf->n_disks; i++) {
		const struct conf_file *disk = &conf->disks[i];
		struct conf_table *table = &text->tables[i];
		struct conf_errors *list = errors;
		char why[256] = "", section[64];
		int r;

		text->n_tables = i + 1;
		table->disk = strdup(disk->name);
		r = table->disk ? read_disk(ours, disk, why, sizeof(why), table) : -ENOMEM;
		if (!r)
			continue;
		if (backing_is_missing(r) && disk->optional)
			list = notes;
		else
			result = r == -ENOMEM ? r : -EINVAL;
		snprintf(section, sizeof(section), "disk:%s", disk->name);
		if (list)
			conf_error_add(list, &disk->path_where, section, "path", disk->path, "%s",
				       why[0] ? why : strerror(-r));
	}
	return result;
}

int partitions_read(const struct conf *conf, const char *mountpoint, struct conf_text *text,
		    struct conf_errors *errors, struct conf_errors *notes)
{
	struct ours ours = {0};
	bool is_mounted;
	dev_t dev;
	int r;

	if (conf->n_disks == 0)
		return 0;
	text->tables = calloc(conf->n_disks, sizeof(*text->tables));
	r = text->tables ? mountinfo_read(&ours.mounts) : -ENOMEM;
	if (!r && mountpoint)
		r = mountinfo_points(&ours.mounts, mountpoint, &ours.points, &ours.n, &is_mounted,
				     &dev);
	if (r)
		conf_error_add(errors, NULL, NULL, NULL, NULL,
			       "partition tables cannot be read: %s; it takes /proc, descriptors "
			       "(ulimit -n) and memory",
			       strerror(-r));
	else
		r = read_disks(conf, &ours, text, errors, notes);
	free(ours.points);
	mountinfo_free(&ours.mounts);
	return r;
}

#else

int partitions_read(const struct conf *conf, const char *mountpoint, struct conf_text *text,
		    struct conf_errors *errors, struct conf_errors *notes)
{
	(void)mountpoint;
	(void)text;
	(void)notes;
	for (size_t i = 0; i < conf->n_disks; i++) {
		char section[64];

		snprintf(section, sizeof(section), "disk:%s", conf->disks[i].name);
		conf_error_add(errors, &conf->disks[i].where, section, NULL, NULL,
			       "[disk:NAME] needs a fuseband that was built with libblkid; write a "
			       "section for each partition");
	}
	return conf->n_disks > 0 ? -EINVAL : 0;
}

#endif
