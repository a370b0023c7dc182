/* SPDX-License-Identifier: MIT */
/*
 * conf_keys.h - the key table of ioband.ini. Private to the conf_*.c files.
 *
 * Everything that is known about a key is one row: where it may stand, what it takes, its
 * default, where its value is stored, what a reload does to it. The
 * parser, its messages, --help-config and a test of the manual page all read that table.
 */
#ifndef FUSEBAND_CONF_KEYS_H
#define FUSEBAND_CONF_KEYS_H

#include "conf.h"

/* inih keeps section and key names in buffers of 50 bytes and cuts longer ones silently. */
#define CONF_NAME_BYTES 49

/* So that a lock at 2^62 + offset + size is still a signed 64-bit file offset. */
#define CONF_OFFSET_MAX (UINT64_C(1) << 61)

enum conf_section {
	CONF_SECTION_MAIN,
	CONF_SECTION_DEVICE,
	CONF_SECTION_GROUP,
	CONF_SECTION_FILE,
	CONF_SECTION_DISK,
	CONF_SECTION_KINDS
};

enum conf_type {
	CONF_TYPE_NUMBER, /* down to TIME: with a range */
	CONF_TYPE_IOPS,
	CONF_TYPE_SIZE, /* bytes, with K M G T */
	CONF_TYPE_BPS,	/* bytes per second, likewise */
	CONF_TYPE_TIME, /* nanoseconds, with us ms s */
	CONF_TYPE_YESNO,
	CONF_TYPE_CHOICE,
	CONF_TYPE_USER,
	CONF_TYPE_GROUP_ID,
	CONF_TYPE_MODE,
	CONF_TYPE_PATH, /* this and the next are strings, the others numbers */
	CONF_TYPE_NAME,
};

enum conf_reload { CONF_RELOAD_LIVE, CONF_RELOAD_CLOSED, CONF_RELOAD_RESTART };

/* A row. */
struct conf_key {
	unsigned sections; /* 1 << enum conf_section, several possible */
	const char *name;
	const char *fallback; /* the default as text; "": there is none, see absent */
	enum conf_type type;
	uint64_t min, max;
	uint64_t unit;		    /* the value is a multiple of it; 0 = any */
	const char *const *choices; /* in the order of their enum, NULL-terminated */
	const char *absent;	    /* what goes without the key; NULL = it is required */
	size_t offset, size;	    /* where in struct conf_draft */
	size_t where_offset;	    /* a struct conf_where to fill, 0 = none */
	enum conf_reload reload;
	const char *doc; /* at most 73 characters */
};

/* A section while it is read, when what it refers to is still a name. */
struct conf_draft {
	union {
		struct conf_main main;
		struct conf_device device;
		struct conf_group group;
		struct conf_file file; /* or what the files of a disk have in common */
	};
	struct conf_where main_where; /* the others have one */
	char *device_name;	      /* `device`, NULL if not given */
	char *parent_name;	      /* `parent`, likewise */
};

/* ---- the table: conf_keys.c ---- */

/* At most this many keys in one kind of section. */
#define CONF_KEYS_MAX 32

/*
 * A row by section and name, or NULL; *ret_index is below CONF_KEYS_MAX and different
 * for every key of that section.
 */
const struct conf_key *conf_key_find(enum conf_section kind, const char *name, size_t *ret_index);

/* "unknown key" with the best advice there is, in why. */
void conf_key_unknown(enum conf_section kind, const char *name, char *why, size_t why_size);

/* "device:" and so on, "" for files, "fuseband" for the main section. */
const char *conf_section_prefix(enum conf_section kind);
/* The kind of section whose prefix is the len bytes at text, colon included, or -1. */
int conf_section_find(const char *text, size_t len);
/* The nearest prefix to such a text, or NULL. */
const char *conf_section_suggest(const char *text, size_t len);

/*
 * Fill a draft with a copy of its name and the defaults of its section; everything was
 * said at where, so far. False without memory; conf_draft_clear() is fine then, too.
 */
bool conf_draft_init(struct conf_draft *draft, enum conf_section kind, const char *name,
		     struct conf_where where);
/*
 * Parse value and store it in the draft. 0, -EINVAL with the reason in why (it reads on after
 * the quoted value: "is not ..."), or -ENOMEM.
 */
int conf_draft_set(struct conf_draft *draft, const struct conf_key *key, const char *value,
		   struct conf_where where, char *why, size_t why_size);
/* Keys of a file that are set (bits by conf_key_find()) go from one to another: by to file. */
void conf_file_override(struct conf_file *file, const struct conf_file *by, uint32_t set);
/* Free what the draft owns. */
void conf_draft_clear(struct conf_draft *draft, enum conf_section kind);

/* ---- values: conf_values.c ---- */

/* Parse the value of a number-like key. 0, or -EINVAL with the reason in why. */
int conf_parse_number(const struct conf_key *key, const char *text, uint64_t *ret_value, char *why,
		      size_t why_size);
/* Check the value of a string-like key. 0, or -EINVAL with the reason in why. */
int conf_check_string(const struct conf_key *key, const char *text, char *why, size_t why_size);

/* The shortest way to write an amount: "10M", "500ms". */
void conf_print_amount(enum conf_type type, uint64_t value, FILE *out);
/* The same of a key that takes an amount or a word. */
void conf_print_value(const struct conf_key *key, uint64_t value, FILE *out);

/* What the key takes: "a number from 1 to 10000". */
void conf_describe(const struct conf_key *key, FILE *out);

/* NULL, or what is wrong with the name of a file, device or group ("is empty"). */
const char *conf_name_wrong(const char *name);

/* Length of the UTF-8 sequence at s (n >= 1 bytes), 0 if it is not one or is a C1 control. */
size_t conf_utf8(const char *s, size_t n);

#endif
