/* SPDX-License-Identifier: MIT */
/*
 * conf.h - ioband.ini as an immutable struct conf.
 *
 * Two steps, because what runs is the accepted *text*, whatever the files say
 * later: conf_read() takes FILE and FILE.d/ *.ini into memory, conf_parse()
 * turns that text into a struct conf or into the list of everything that is
 * wrong with it. The partition tables of [disk:NAME] sections are part of what was accepted:
 * whoever reads them (partitions.h) puts them beside the text, and conf_expand() makes files of
 * them. Nothing here looks at devices, images or the mount: that is plan.h.
 * Nothing here includes another module.
 */
#ifndef FUSEBAND_CONF_H
#define FUSEBAND_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define CONF_WEIGHT_MAX 10000U
#define CONF_WEIGHT_DEFAULT 100U
#define CONF_IOPS_SIZE_DEFAULT (UINT64_C(32) << 10)

/* The text of one configuration file. */
struct conf_source {
	char *path; /* as given, for messages */
	char *text; /* len bytes, then one NUL */
	size_t len;
};

/* A partition that is to be a file. */
struct conf_partition {
	unsigned number; /* as in the table, from 1 */
	uint64_t start_bytes, size_bytes;
	char *about; /* what it is, for people: kind of table, name, type, UUID. Foreign text */
};

/* The partition table below a [disk:NAME] section. */
struct conf_table {
	char *disk; /* NAME */
	struct conf_partition *list;
	size_t n;
};

/*
 * All of it, in the order in which it is read: FILE, then FILE.d/ *.ini by name; and the tables, in
 * any order.
 */
struct conf_text {
	struct conf_source *sources;
	size_t n_sources;
	struct conf_table *tables;
	size_t n_tables;
};

/*
 * Where something was said: a file and a line from 1; line 0 = the whole file. For a key that
 * was not given: where its section begins.
 */
struct conf_where {
	const char *file; /* owned by the struct conf */
	int line;
};

/* One complaint, ready to print: "ioband.ini:12: [vm1.img] weight: "abc" is ..." */
struct conf_error {
	char *text;
};

/* Grows without limit up to CONF_ERRORS_MAX; then one last "too many errors". */
#define CONF_ERRORS_MAX 200
struct conf_errors {
	struct conf_error *list;
	size_t n;
};

enum conf_policy { CONF_POLICY_COST, CONF_POLICY_WEIGHT, CONF_POLICY_WEIGHT_IOSIZE };
enum conf_isolation { CONF_ISOLATION_AUTO, CONF_ISOLATION_STRICT, CONF_ISOLATION_THROUGHPUT };
/* As they are written, in that order; then NULL. */
extern const char *const conf_policies[];
extern const char *const conf_isolations[];
enum conf_class { CONF_CLASS_REALTIME, CONF_CLASS_NORMAL, CONF_CLASS_IDLE };
enum conf_discard { CONF_DISCARD_PASS, CONF_DISCARD_IGNORE };
enum conf_level { CONF_LEVEL_ERROR, CONF_LEVEL_WARNING, CONF_LEVEL_INFO, CONF_LEVEL_DEBUG };

/* [fuseband] */
struct conf_main {
	unsigned workers;      /* threads; 0 = auto */
	uint64_t memory_bytes; /* cap on queued write data; 0 = auto */
	enum conf_level log_level;
	bool supervise;
	gid_t gid; /* may read the status files */
};

/* [device:NAME] */
struct conf_device {
	char *name;
	struct conf_where where; /* the section header, or the first file that names it */
	bool declared;		 /* false: only named by a file's `device` */
	char *path;		 /* which disk this is, absolute, or NULL */
	struct conf_where path_where;
	enum conf_policy policy;
	unsigned io_throttle; /* slices in flight; 0 = auto */
	enum conf_isolation isolation;
	uint64_t latency_target_ns;			     /* 0 = none */
	uint64_t read_iops, write_iops, read_bps, write_bps; /* 0 = auto */
};

/*
 * What a group or file is promised (min), on each device, and what it may not exceed (max), over
 * all of them. 0 = nothing promised, no limit.
 */
struct conf_limits {
	uint64_t min_iops, min_bps;
	uint64_t max_iops, max_bps;
	uint64_t max_read_iops, max_write_iops;
	uint64_t max_read_bps, max_write_bps;
	uint64_t iops_size_bytes; /* a request is one I/O for each started so many bytes */
	uint64_t burst_ns;	  /* so much of max may be saved up */
	struct conf_where min_iops_where, min_bps_where, iops_size_where, burst_where;
};

/* [group:NAME] */
struct conf_group {
	char *name;
	struct conf_where where;
	struct conf_limits limits; /* at the same place as in struct conf_file */
	int parent; /* index into groups, -1 = directly below the device. Never a cycle. */
	struct conf_where parent_where;
	unsigned weight;
};

/* A section without a colon, or a partition of a [disk:NAME]: one file in the mount. */
struct conf_file {
	char *name;
	struct conf_where where;
	struct conf_limits limits;
	char *path; /* absolute; never NULL in an accepted configuration */
	struct conf_where path_where;
	uint64_t offset_bytes;
	uint64_t size_bytes; /* 0 = to the end of the backing */
	struct conf_where offset_where, size_where;
	struct conf_where range_where; /* the later one of these two */
	int device;		       /* index into devices, -1 = the physical disk below path */
	struct conf_where device_where;
	int parent; /* index into groups, -1 = directly below the device */
	struct conf_where parent_where;
	unsigned weight;
	enum conf_class class;
	enum conf_discard discard;
	bool buffered, optional, readonly;
	uid_t uid;
	gid_t gid;
	mode_t mode;	    /* permission bits only */
	unsigned partition; /* number in the table; 0: the file has a path of its own */
	char *about;	    /* as in struct conf_partition, or NULL */
};

/* A section with the name of a partition's file and without a path: some keys of that file. */
struct conf_override {
	struct conf_file file;
	uint32_t set; /* which: bits as conf_key_find() numbers the keys */
};

struct conf {
	struct conf_main main;
	struct conf_device *devices; /* those of the text, then the undeclared ones by name */
	size_t n_devices;
	struct conf_group *groups;
	size_t n_groups;
	size_t *parents_first;	 /* indices of all groups, each after its parent */
	struct conf_file *files; /* in the order of the text, then those of conf_expand() */
	size_t n_files;
	struct conf_file *disks; /* [disk:NAME]: what its files have in common */
	size_t n_disks;
	struct conf_override *overrides;
	size_t n_overrides;
	char **source_names; /* what conf_where.file points at */
	size_t n_sources;
};

/*
 * Read FILE and FILE.d/ *.ini: regular files of at most 16 MiB; hidden files and other names
 * in FILE.d are ignored. A pipe is taken only by a name that cannot be anything else (/dev/stdin,
 * /dev/fd/N, /proc/self/fd/N). Returns 0 or -errno with an error in *errors for every file
 * that cannot be read; *ret_text is then untouched.
 */
int conf_read(const char *file, struct conf_errors *errors, struct conf_text *ret_text);
void conf_text_free(struct conf_text *text);
void conf_table_free(struct conf_table *table); /* what one has that is in no text: for tests */

/*
 * Parse and check. Returns 0, or -EINVAL with every error of the text in *errors in the order
 * of files and lines, or -ENOMEM with one; *ret_conf is then untouched. The text may be freed
 * afterwards. A configuration without any section of a file or disk is an error: there would be
 * nothing to serve. text->tables is not looked at.
 */
int conf_parse(const struct conf_text *text, struct conf_errors *errors, struct conf **ret_conf);

/*
 * Add a file for every partition in text->tables, once. A disk without a table there gets none.
 * Returns 0, or -EINVAL with everything that is wrong in *errors, or -ENOMEM with one; then
 * conf is only to be freed. notes (may be NULL): sections for partitions that are not there.
 */
int conf_expand(struct conf *conf, const struct conf_text *text, struct conf_errors *errors,
		struct conf_errors *notes);
void conf_free(struct conf *conf); /* NULL is fine */

/* Whether any max_* is set; whether anything that iops_size is about is. */
bool conf_has_max(const struct conf_limits *limits);
bool conf_has_iops(const struct conf_limits *limits);

/* "10M": exactly, and as it may be written. */
void conf_print_bytes(uint64_t bytes, FILE *out);
/* What is not at its default, one after the other: "min_iops=500 max_bps=20M burst=5s". */
void conf_print_limits(const struct conf_limits *limits, FILE *out);
/* The same of a device: "policy=weight isolation=strict". */
void conf_print_device(const struct conf_device *device, FILE *out);

/*
 * Add "file:line: [section] key: "value" reason" to the list. where, section, key and value
 * may be NULL and are then left out; section, key and value are cut after 80 bytes, and
 * control characters and invalid UTF-8 in any of it, the reason too, are shown as \xNN. For checks
 * that need the system and are made elsewhere, in the same form.
 */
void conf_error_add(struct conf_errors *errors, const struct conf_where *where, const char *section,
		    const char *key, const char *value, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));
void conf_errors_free(struct conf_errors *errors);

/* --help-config: every key with type, unit, default, range and what a reload does to it. */
void conf_help(FILE *out);

#endif
