/* SPDX-License-Identifier: MIT */
/*
 * conf_keys.c - the key table of ioband.ini.
 *
 * A row says what a key takes by a type and a range: enough to parse a value, to name it in
 * a message ("is not a number from 1 to 10000") and to print --help-config, so that the
 * three cannot disagree. Defaults are text and go through the same parser.
 */
#include "conf_keys.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)
#define SEC_NS UINT64_C(1000000000)

/* What the cost model of the scheduler takes. */
#define IOPS_MAX UINT64_C(1000000000)
#define BPS_MAX (9 * TIB)

#define LIVE CONF_RELOAD_LIVE
#define CLOSED CONF_RELOAD_CLOSED
#define RESTART CONF_RELOAD_RESTART

static const struct {
	const char *prefix, *title, *doc;
} sections[CONF_SECTION_KINDS] = {
	[CONF_SECTION_MAIN] = {"fuseband", "[fuseband]", "the daemon itself"},
	[CONF_SECTION_DEVICE] = {"device:", "[device:NAME]",
				 "a disk whose service is shared: one scheduler"},
	[CONF_SECTION_GROUP] = {"group:", "[group:NAME]",
				"an inner node of the share tree: a tenant, a VM"},
	[CONF_SECTION_FILE] = {"", "[vm1.img]",
			       "any name without a colon: a file of that name in the mount"},
	[CONF_SECTION_DISK] = {"disk:", "[disk:NAME]",
			       "a file for every partition of a disk, NAME1, NAME2..."},
};

const char *const conf_policies[] = {"cost", "weight", "weight-iosize", NULL};
const char *const conf_isolations[] = {"auto", "strict", "throughput", NULL};
static const char *const classes[] = {"realtime", "normal", "idle", NULL};
static const char *const discards[] = {"pass", "ignore", NULL};
static const char *const levels[] = {"error", "warning", "info", "debug", NULL};

#define MAIN (1U << CONF_SECTION_MAIN)
#define DEVICE (1U << CONF_SECTION_DEVICE)
#define GROUP (1U << CONF_SECTION_GROUP)
#define FILES (1U << CONF_SECTION_FILE)
#define DISK (1U << CONF_SECTION_DISK)
/* What holds for a file may be said of all files of a disk. */
#define EACH (FILES | DISK)

#define NUMBER(from, to) .type = CONF_TYPE_NUMBER, .min = (from), .max = (to)
#define IOPS(from) .type = CONF_TYPE_IOPS, .min = (from), .max = IOPS_MAX
#define BPS(from) .type = CONF_TYPE_BPS, .min = (from), .max = BPS_MAX
#define SIZE(from, to) .type = CONF_TYPE_SIZE, .min = (from), .max = (to)
#define BLOCKS .type = CONF_TYPE_SIZE, .min = 0, .max = CONF_OFFSET_MAX, .unit = 512
#define TIME(to) .type = CONF_TYPE_TIME, .min = 0, .max = (to)
#define YESNO .type = CONF_TYPE_YESNO
#define CHOICE(list) .type = CONF_TYPE_CHOICE, .choices = (list)
#define USER .type = CONF_TYPE_USER
#define GROUP_ID .type = CONF_TYPE_GROUP_ID
#define MODE .type = CONF_TYPE_MODE, .max = 0777
#define PATH .type = CONF_TYPE_PATH
#define NAME_OR(what) .type = CONF_TYPE_NAME, .absent = (what)
#define PATH_OR(what) .type = CONF_TYPE_PATH, .absent = (what)

#define AT(member)                                     \
	.offset = offsetof(struct conf_draft, member), \
	.size = sizeof(((struct conf_draft *)NULL)->member)
/* A key of groups and files alike. */
#define LIMIT(member) AT(file.limits.member)
#define LIMIT2(member, where) AT2(file.limits.member, file.limits.where)
_Static_assert(offsetof(struct conf_draft, file.limits) ==
		       offsetof(struct conf_draft, group.limits),
	       "one row of the table serves both");
#define AT2(member, where) AT(member), .where_offset = offsetof(struct conf_draft, where)

#define KEY(sections_, name_, fallback_, takes, at, reload_, doc_)                            \
	{                                                                                     \
		.sections = (sections_), .name = (name_), .fallback = (fallback_), takes, at, \
		.reload = (reload_), .doc = (doc_)                                            \
	}
/* "auto" as default of something counted makes "auto" a value, stored as 0. */
static const struct conf_key table[] = {
	KEY(MAIN, "workers", "auto", NUMBER(1, 64), AT(main.workers), RESTART,
	    "io_uring workers (threads); auto: one for each CPU, at most two."),
	KEY(MAIN, "memory", "auto", SIZE(16 * MIB, 1024 * TIB), AT(main.memory_bytes), LIVE,
	    "Cap on write data held while queued; auto: a quarter of RAM."),
	KEY(MAIN, "log_level", "info", CHOICE(levels), AT(main.log_level), LIVE,
	    "The least important messages to log."),
	KEY(MAIN, "supervise", "yes", YESNO, AT(main.supervise), RESTART,
	    "Survive a crash of the data path (needs Linux 6.9)."),
	KEY(MAIN, "gid", "0", GROUP_ID, AT(main.gid), LIVE,
	    "Group that may read the status files."),

	KEY(DEVICE, "path", "", PATH_OR("the disk below its files"),
	    AT2(device.path, device.path_where), CLOSED,
	    "Which disk this is. Not needed: a NAME used by files is enough."),
	KEY(DEVICE, "policy", "cost", CHOICE(conf_policies), AT(device.policy), LIVE,
	    "What is shared: disk time, requests, or sectors of 512 bytes."),
	KEY(DEVICE, "io_throttle", "auto", NUMBER(1, 4096), AT(device.io_throttle), LIVE,
	    "Slices of at most 128K in flight; auto: as the disk needs."),
	KEY(DEVICE, "isolation", "auto", CHOICE(conf_isolations), AT(device.isolation), LIVE,
	    "May the disk idle for a file with few requests at a time?"),
	KEY(DEVICE, "latency_target", "0", TIME(10 * SEC_NS), AT(device.latency_target_ns), LIVE,
	    "Latency of the disk to hold for 99 % of its I/O; 0: none."),
	KEY(DEVICE, "read_iops", "auto", IOPS(1), AT(device.read_iops), LIVE,
	    "Reads of 4K that the disk does when saturated (cost model)."),
	KEY(DEVICE, "read_bps", "auto", BPS(1), AT(device.read_bps), LIVE,
	    "Bytes that it reads in large requests when saturated."),
	KEY(DEVICE, "write_iops", "auto", IOPS(1), AT(device.write_iops), LIVE,
	    "Writes of 4K that the disk does when saturated."),
	KEY(DEVICE, "write_bps", "auto", BPS(1), AT(device.write_bps), LIVE,
	    "Bytes that it writes in large requests when saturated."),

	KEY(GROUP, "parent", "", NAME_OR("directly below the device"),
	    AT2(parent_name, group.parent_where), LIVE, "The group that this one is a member of."),
	KEY(GROUP, "weight", "100", NUMBER(1, CONF_WEIGHT_MAX), AT(group.weight), LIVE,
	    "Share relative to its siblings, on every device it is used on."),

	KEY(FILES, "path", "", PATH, AT2(file.path, file.path_where), CLOSED,
	    "Block device, partition or image file behind this file."),
	KEY(FILES, "offset", "0", BLOCKS, AT2(file.offset_bytes, file.offset_where), CLOSED,
	    "First byte of path to expose; a multiple of its block size."),
	KEY(FILES, "size", "0", BLOCKS, AT2(file.size_bytes, file.size_where), CLOSED,
	    "Bytes to expose, a multiple of the block size; 0: to the end."),
	KEY(EACH, "device", "", NAME_OR("the physical disk below path"),
	    AT2(device_name, file.device_where), CLOSED,
	    "Scheduler to share; a NAME without a section makes a new one."),
	KEY(EACH, "parent", "", NAME_OR("directly below the device"),
	    AT2(parent_name, file.parent_where), LIVE, "The group that this file is a member of."),
	KEY(EACH, "weight", "100", NUMBER(1, CONF_WEIGHT_MAX), AT(file.weight), LIVE,
	    "Share of the disk relative to its siblings."),
	KEY(EACH, "class", "normal", CHOICE(classes), AT(file.class), LIVE,
	    "Strict order among siblings, before weights: realtime first, idle last."),
	KEY(GROUP | EACH, "min_iops", "0", IOPS(0), LIMIT2(min_iops, min_iops_where), LIVE,
	    "I/Os promised on each device, whatever the weights; 0: none."),
	KEY(GROUP | EACH, "min_bps", "0", BPS(0), LIMIT2(min_bps, min_bps_where), LIVE,
	    "Bytes promised on each device, whatever the weights; 0: none."),
	KEY(GROUP | EACH, "max_iops", "0", IOPS(0), LIMIT(max_iops), LIVE,
	    "Cap on I/Os, over all devices together; 0: none."),
	KEY(GROUP | EACH, "max_bps", "0", BPS(0), LIMIT(max_bps), LIVE,
	    "Cap on bytes, over all devices together; 0: none."),
	KEY(GROUP | EACH, "max_read_iops", "0", IOPS(0), LIMIT(max_read_iops), LIVE,
	    "The same for reads alone."),
	KEY(GROUP | EACH, "max_write_iops", "0", IOPS(0), LIMIT(max_write_iops), LIVE,
	    "The same for writes alone, discards among them."),
	KEY(GROUP | EACH, "max_read_bps", "0", BPS(0), LIMIT(max_read_bps), LIVE,
	    "The same for reads alone."),
	KEY(GROUP | EACH, "max_write_bps", "0", BPS(0), LIMIT(max_write_bps), LIVE,
	    "The same for writes alone."),
	KEY(GROUP | EACH, "iops_size", "32K", SIZE(512, GIB),
	    LIMIT2(iops_size_bytes, iops_size_where), LIVE,
	    "A request is one I/O of the *_iops for each started so many bytes."),
	KEY(GROUP | EACH, "burst", "0s", TIME(3600 * SEC_NS), LIMIT2(burst_ns, burst_where), LIVE,
	    "So much time of the caps may be saved up; at least 10ms are."),
	KEY(EACH, "discard", "pass", CHOICE(discards), AT(file.discard), LIVE,
	    "What to do with discards of the guest."),
	KEY(EACH, "buffered", "no", YESNO, AT(file.buffered), CLOSED,
	    "Allow a path that refuses O_DIRECT."),
	KEY(EACH, "optional", "no", YESNO, AT(file.optional), LIVE,
	    "Start without path; opens give ENXIO until a reload finds it."),
	KEY(EACH, "readonly", "no", YESNO, AT(file.readonly), CLOSED, "Refuse writes."),
	KEY(EACH, "uid", "0", USER, AT(file.uid), LIVE, "Owner in the mount."),
	KEY(EACH, "gid", "0", GROUP_ID, AT(file.gid), LIVE, "Group in the mount."),
	KEY(EACH, "mode", "0660", MODE, AT(file.mode), LIVE, "Permissions in the mount."),

	KEY(DISK, "path", "", PATH, AT2(file.path, file.path_where), CLOSED,
	    "The disk or image whose partitions appear as NAME1, NAME2 and so on."),
};
#define TABLE_ROWS (sizeof(table) / sizeof(table[0]))

static bool stands_in(const struct conf_key *key, enum conf_section kind)
{
	return (key->sections >> kind & 1) != 0;
}

static bool is_string(const struct conf_key *key)
{
	return key->type == CONF_TYPE_PATH || key->type == CONF_TYPE_NAME;
}

/* ---- finding, and guessing what was meant ---- */

/*
 * Edits between a and b (insert, delete, replace, swap neighbours: the optimal string
 * alignment distance). Both at most CONF_NAME_BYTES long.
 */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned rows[3][CONF_NAME_BYTES + 1];

	assert(a_len <= CONF_NAME_BYTES && b_len <= CONF_NAME_BYTES);
	for (size_t j = 0; j <= b_len; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned *now = rows[i % 3], *before = rows[(i + 2) % 3],
			 *older = rows[(i + 1) % 3];

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			unsigned best = before[j - 1] + (a[i - 1] != b[j - 1]);

			if (before[j] + 1 < best)
				best = before[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    older[j - 2] + 1 < best)
				best = older[j - 2] + 1;
			now[j] = best;
		}
	}
	return rows[a_len % 3][b_len];
}

/* How far candidate is from what was typed; UNLIKE when it cannot have been meant. */
#define UNLIKE 1000U
static unsigned unlike(const char *typed, size_t len, const char *candidate)
{
	size_t candidate_len = strlen(candidate);
	unsigned edits, most = len < 3 ? 0 : len < 5 ? 1 : len < 9 ? 2 : 3;

	if (len > CONF_NAME_BYTES)
		return UNLIKE;
	edits = distance(typed, len, candidate, candidate_len);
	if (edits <= most)
		return edits;
	/* an abbreviation: "dev" for "device" */
	return len >= 3 && len < candidate_len && memcmp(typed, candidate, len) == 0 ? most + 1
										     : UNLIKE;
}

const char *conf_section_prefix(enum conf_section kind)
{
	return sections[kind].prefix;
}

int conf_section_find(const char *text, size_t len)
{
	for (int i = 0; i < CONF_SECTION_KINDS; i++)
		if (i != CONF_SECTION_MAIN && strlen(sections[i].prefix) == len &&
		    memcmp(sections[i].prefix, text, len) == 0)
			return i;
	return -1;
}

const char *conf_section_suggest(const char *text, size_t len)
{
	const char *best = NULL;
	unsigned least = UNLIKE;

	for (int i = 0; i < CONF_SECTION_KINDS; i++) {
		char bare[CONF_NAME_BYTES + 1];
		unsigned edits;

		if (i == CONF_SECTION_MAIN || i == CONF_SECTION_FILE)
			continue;
		snprintf(bare, sizeof(bare), "%.*s", (int)strlen(sections[i].prefix) - 1,
			 sections[i].prefix);
		edits = unlike(text, len - 1, bare); /* both without the colon */
		if (edits < least) {
			least = edits;
			best = sections[i].prefix;
		}
	}
	return best;
}

const struct conf_key *conf_key_find(enum conf_section kind, const char *name, size_t *ret_index)
{
	size_t index = 0;

	for (size_t i = 0; i < TABLE_ROWS; i++) {
		if (!stands_in(&table[i], kind))
			continue;
		if (strcmp(table[i].name, name) == 0) {
			assert(index < CONF_KEYS_MAX);
			*ret_index = index;
			return &table[i];
		}
		index++;
	}
	return NULL;
}

void conf_key_unknown(enum conf_section kind, const char *name, char *why, size_t why_size)
{
	const struct conf_key *best = NULL;
	unsigned least = UNLIKE, elsewhere = 0;
	size_t used;

	for (size_t i = 0; i < TABLE_ROWS; i++) {
		unsigned edits = unlike(name, strlen(name), table[i].name);

		if (stands_in(&table[i], kind) && edits < least) {
			least = edits;
			best = &table[i];
		} else if (edits == 0) {
			elsewhere |= table[i].sections & ~DISK;
		}
	}
	if (elsewhere == 0) {
		snprintf(why, why_size, "unknown key; %s%s%s", best ? "did you mean \"" : "",
			 best ? best->name : "fuseband --help-config lists all", best ? "\"?" : "");
		return;
	}
	used = (size_t)snprintf(why, why_size, "unknown key here; it belongs to");
	for (unsigned i = 0; i < CONF_SECTION_KINDS; i++)
		if ((elsewhere >> i & 1) != 0 && used < why_size)
			used += (size_t)snprintf(why + used, why_size - used, "%s %s",
						 (elsewhere & ((1U << i) - 1)) != 0 ? " and" : "",
						 i == CONF_SECTION_FILE ? "files"
									: sections[i].title);
}

/* ---- drafts ---- */

static uint64_t default_of(const struct conf_key *key)
{
	char why[160];
	uint64_t value = 0;
	int rc = conf_parse_number(key, key->fallback, &value, why, sizeof(why));

	assert(rc == 0);
	(void)rc;
	return value;
}

static char **string_at(struct conf_draft *draft, const struct conf_key *key)
{
	return (char **)(void *)((char *)draft + key->offset);
}

static void store(const struct conf_key *key, uint64_t value, struct conf_draft *draft)
{
	char *at = (char *)draft + key->offset;
	uint32_t value32 = (uint32_t)value;
	bool flag = value != 0;

	if (key->size == sizeof(uint64_t))
		memcpy(at, &value, sizeof(value));
	else if (key->size == sizeof(uint32_t))
		memcpy(at, &value32, sizeof(value32));
	else if (key->size == sizeof(bool))
		memcpy(at, &flag, sizeof(flag));
}

static uint64_t load(const struct conf_key *key, const struct conf_draft *draft)
{
	const char *at = (const char *)draft + key->offset;
	uint64_t value = 0;
	uint32_t value32 = 0;
	bool flag = false;

	if (key->size == sizeof(uint64_t))
		memcpy(&value, at, sizeof(value));
	else if (key->size == sizeof(uint32_t))
		memcpy(&value32, at, sizeof(value32));
	else if (key->size == sizeof(bool))
		memcpy(&flag, at, sizeof(flag));
	return value + value32 + flag;
}

int conf_draft_set(struct conf_draft *draft, const struct conf_key *key, const char *value,
		   struct conf_where where, char *why, size_t why_size)
{
	if (is_string(key)) {
		char *copy;

		if (conf_check_string(key, value, why, why_size) != 0)
			return -EINVAL;
		copy = strdup(value);
		if (!copy)
			return -ENOMEM;
		free(*string_at(draft, key)); /* a duplicate, which was complained about */
		*string_at(draft, key) = copy;
	} else {
		uint64_t number;

		if (conf_parse_number(key, value, &number, why, why_size) != 0)
			return -EINVAL;
		store(key, number, draft);
	}
	if (key->where_offset != 0)
		memcpy((char *)draft + key->where_offset, &where, sizeof(where));
	return 0;
}

/* Where a draft keeps its name and its place; the main section has no name. */
static char **name_of(struct conf_draft *draft, enum conf_section kind)
{
	return kind == CONF_SECTION_DEVICE  ? &draft->device.name
	       : kind == CONF_SECTION_GROUP ? &draft->group.name
	       : kind == CONF_SECTION_MAIN  ? NULL
					    : &draft->file.name;
}

static struct conf_where *where_of(struct conf_draft *draft, enum conf_section kind)
{
	return kind == CONF_SECTION_DEVICE  ? &draft->device.where
	       : kind == CONF_SECTION_GROUP ? &draft->group.where
	       : kind == CONF_SECTION_MAIN  ? &draft->main_where
					    : &draft->file.where;
}

bool conf_draft_init(struct conf_draft *draft, enum conf_section kind, const char *name,
		     struct conf_where where)
{
	memset(draft, 0, sizeof(*draft));
	for (size_t i = 0; i < TABLE_ROWS; i++) {
		const struct conf_key *key = &table[i];

		if (!stands_in(key, kind))
			continue;
		if (key->where_offset != 0)
			memcpy((char *)draft + key->where_offset, &where, sizeof(where));
		if (key->fallback[0])
			store(key, default_of(key), draft);
	}
	*where_of(draft, kind) = where;
	switch (kind) {
	case CONF_SECTION_GROUP:
		draft->group.parent = -1;
		break;
	case CONF_SECTION_FILE:
	case CONF_SECTION_DISK:
		draft->file.parent = draft->file.device = -1;
		break;
	default:
		break;
	}
	if (name_of(draft, kind)) {
		*name_of(draft, kind) = strdup(name);
		return *name_of(draft, kind) != NULL;
	}
	return true;
}

_Static_assert(offsetof(struct conf_draft, file) == 0, "offsets in the table are those in a file");

void conf_file_override(struct conf_file *file, const struct conf_file *by, uint32_t set)
{
	size_t index;

	for (size_t i = 0; i < TABLE_ROWS; i++) {
		const struct conf_key *key = &table[i];

		if (!stands_in(key, CONF_SECTION_FILE) || is_string(key))
			continue;
		conf_key_find(CONF_SECTION_FILE, key->name, &index);
		if (!(set >> index & 1))
			continue;
		memcpy((char *)file + key->offset, (const char *)by + key->offset, key->size);
		if (key->where_offset)
			memcpy((char *)file + key->where_offset,
			       (const char *)by + key->where_offset, sizeof(struct conf_where));
	}
	conf_key_find(CONF_SECTION_FILE, "device", &index);
	if (set >> index & 1) {
		file->device = by->device;
		file->device_where = by->device_where;
	}
	conf_key_find(CONF_SECTION_FILE, "parent", &index);
	if (set >> index & 1) {
		file->parent = by->parent;
		file->parent_where = by->parent_where;
	}
}

void conf_draft_clear(struct conf_draft *draft, enum conf_section kind)
{
	for (size_t i = 0; i < TABLE_ROWS; i++)
		if (stands_in(&table[i], kind) && is_string(&table[i])) {
			free(*string_at(draft, &table[i]));
			*string_at(draft, &table[i]) = NULL;
		}
	if (name_of(draft, kind)) {
		free(*name_of(draft, kind));
		*name_of(draft, kind) = NULL;
	}
}

/* ---- what is set ---- */

/* Of those keys that stand in just these sections. */
static void print_set(const struct conf_draft *draft, unsigned in, FILE *out)
{
	const char *blank = "";

	for (size_t i = 0; i < TABLE_ROWS; i++) {
		const struct conf_key *key = &table[i];
		uint64_t value;

		if (key->sections != in || is_string(key) ||
		    (value = load(key, draft)) == default_of(key))
			continue;
		fprintf(out, "%s%s=", blank, key->name);
		conf_print_value(key, value, out);
		blank = " ";
	}
}

void conf_print_limits(const struct conf_limits *limits, FILE *out)
{
	struct conf_draft draft = {.group.limits = *limits};

	print_set(&draft, GROUP | EACH, out);
}

void conf_print_device(const struct conf_device *device, FILE *out)
{
	struct conf_draft draft = {.device = *device};

	print_set(&draft, DEVICE, out);
}

/* ---- --help-config ---- */

#define HELP_COLUMNS 79
#define HELP_INDENT "      "

static void help_key(const struct conf_key *key, FILE *out)
{
	static const char *const reloads[] = {
		[LIVE] = "live", [CLOSED] = "closed files only", [RESTART] = "restart"};
	const char *prelude = key->fallback[0] ? "default "
			      : key->absent    ? "default: "
					       : "required";
	const char *standard = key->fallback[0] ? key->fallback : key->absent ? key->absent : "";
	char line[2 * HELP_COLUMNS] = "", reload[40];
	FILE *memory = fmemopen(line, sizeof(line), "w");

	if (!memory)
		return;
	fputs(HELP_INDENT, memory);
	conf_describe(key, memory);
	if (key->unit != 0)
		fprintf(memory, ", a multiple of %" PRIu64, key->unit);
	fprintf(memory, "; %s%s;", prelude, standard);
	fclose(memory);
	snprintf(reload, sizeof(reload), "reload: %s", reloads[key->reload]);
	fprintf(out, "\n  %s\n%s%s%s\n%s%s\n", key->name, line,
		strlen(line) + 1 + strlen(reload) <= HELP_COLUMNS ? " " : "\n" HELP_INDENT, reload,
		HELP_INDENT, key->doc);
}

void conf_help(FILE *out)
{
	fputs("ioband.ini: sections in brackets, then key = value, one per line of at most\n"
	      "198 bytes. Comments: lines that begin with ; or #, and after a value \" ;\".\n"
	      "Sizes in bytes, or with K, M, G, T (powers of 1024). Times with us, ms, s.\n"
	      "FILE.d/*.ini are read after FILE. Names of files, devices and groups: at most\n"
	      "49 bytes in brackets, without / and :, no leading dot, not \"fuseband\".\n"
	      "\n"
	      "Below each key: what it takes; its default; what a reload (SIGHUP) does:\n"
	      "  live               takes effect at once\n"
	      "  closed files only  the reload is refused while a file concerned is open\n"
	      "  restart            takes effect at the next start\n",
	      out);
	for (unsigned kind = 0; kind < CONF_SECTION_KINDS; kind++) {
		fprintf(out, "\n%s   %s\n", sections[kind].title, sections[kind].doc);
		for (size_t i = 0; i < TABLE_ROWS; i++)
			if (stands_in(&table[i], kind) &&
			    (kind != CONF_SECTION_DISK || table[i].sections == DISK))
				help_key(&table[i], out);
		if (kind == CONF_SECTION_DISK)
			fputs("\n" HELP_INDENT
			      "And all keys of a file but path, offset and size: they "
			      "hold for each of\n" HELP_INDENT
			      "them. A section NAME1 without a path changes some for one.\n",
			      out);
	}
}
