/* SPDX-License-Identifier: MIT */
/*
 * conf.c - reads ioband.ini and complains about all of it at once.
 *
 * inih splits lines into keys and values, and forgives a lot: it cuts long lines and names,
 * takes an indented line for more of the value above, skips what it does not
 * understand, never mentions an empty section. So it gets its lines from admit(), which
 * sees every line first, knows its number, follows the section headers, and replaces what
 * it complained about by an empty line. After a bad header the keys below it are
 * skipped: whose they are is not known.
 *
 * A section is collected in a struct conf_draft, driven by the table in conf_keys.c, and
 * becomes a struct of conf.h when the next one begins. Names are brought together at the
 * end: every declaration and every use of a name is a struct mention, and
 * one sort puts a declaration in front of its duplicates and uses (resolve()).
 *
 * Complaints about the whole (an undeclared group, a promise that cannot be kept) come up last;
 * the caller gets all of them in the order of the text.
 *
 * One thread; no state outlives a call, but getpwnam(3) and getgrnam(3) have some.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "conf_disks.h"
#include "conf_error.h"
#include "conf_keys.h"
#include "conf_tree.h"

#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>

/*
 * What inih's usual buffer of 200 bytes holds besides newline and NUL. A build of inih
 * may take more; the same text is good or bad everywhere.
 */
#define LINE_BYTES_MAX 198

/* ---- the parser ---- */

/* A place where a name is declared or used. */
enum role { DECLARES, IS_DEVICE_OF_FILE, IS_PARENT_OF_FILE, IS_PARENT_OF_GROUP };
struct mention {
	char *name; /* as in brackets: "device:ssd" */
	struct conf_where where;
	enum role role;
	size_t order;
	enum conf_section kind; /* of the section that it declares or stands in */
	size_t index;		/* of that section in the list of its kind in conf */
	bool pathless;		/* that section is a file or disk without the key `path` */
};

struct parser {
	struct conf *conf;
	struct conf_complaints complaints; /* without memory, all else is only there to be freed */

	/* the text still to read */
	const char *cursor, *end;
	size_t source;
	int line;

	/* the open section */
	enum { NO_SECTION, SKIPPED_SECTION, OPEN_SECTION } state;
	enum conf_section kind;
	char section[CONF_NAME_BYTES + 1]; /* as in brackets */
	bool keep;			   /* false: its name is wrong, only its keys are checked */
	struct conf_draft draft;
	int seen[CONF_KEYS_MAX]; /* line of each key, 0 = not yet */
	bool pathless;		 /* it is a file or disk, and no `path` was seen */

	bool any_file; /* a section that was meant to be a file or disk, perhaps */
	struct mention *mentions;
	size_t n_mentions;
};

static struct conf_where here(const struct parser *p)
{
	return (struct conf_where){p->conf->source_names[p->source], p->line};
}

/* Note that the open section, which will be `index` in its list, declares or uses a name. */
static void mention(struct parser *p, enum role role, enum conf_section named_kind,
		    const char *bare, struct conf_where where, size_t index)
{
	struct mention *list = conf_grown(p->mentions, p->n_mentions, sizeof(*list));
	char *name = NULL;

	if (asprintf(&name, "%s%s", conf_section_prefix(named_kind), bare) < 0)
		name = NULL;
	if (list)
		p->mentions = list;
	if (!list || !name) {
		free(name);
		p->complaints.oom = true;
		return;
	}
	list[p->n_mentions] = (struct mention){.name = name,
					       .where = where,
					       .role = role,
					       .order = p->n_mentions,
					       .kind = p->kind,
					       .index = index,
					       .pathless = p->pathless};
	p->n_mentions++;
}

/* ---- sections ---- */

/*
 * Append what a draft collected to a list of the configuration, of elements of size bytes; the
 * strings in it move along. False without memory.
 */
static bool add(void *list_at, size_t *n, struct conf_draft *draft, size_t size)
{
	void *list;

	memcpy(&list, list_at, sizeof(list));
	list = conf_grown(list, *n, size);
	if (!list)
		return false;
	memcpy(list_at, &list, sizeof(list));
	memcpy((char *)list + (*n)++ * size, draft, size); /* all begin where the union does */
	memset(draft, 0, size);
	return true;
}

/* What the open section, a file or disk, says of others, when it is number n of its list. */
static void mention_others(struct parser *p, size_t n)
{
	const struct conf_draft *draft = &p->draft;

	mention(p, DECLARES, p->kind, draft->file.name, draft->file.where, n);
	if (draft->parent_name)
		mention(p, IS_PARENT_OF_FILE, CONF_SECTION_GROUP, draft->parent_name,
			draft->file.parent_where, n);
	if (draft->device_name)
		mention(p, IS_DEVICE_OF_FILE, CONF_SECTION_DEVICE, draft->device_name,
			draft->file.device_where, n);
}

/* A file without a path, which is to be one of a disk's. */
static bool add_override(struct parser *p)
{
	struct conf *conf = p->conf;
	struct conf_override *list = conf_grown(conf->overrides, conf->n_overrides, sizeof(*list));

	if (!list)
		return false;
	conf->overrides = list;
	list += conf->n_overrides++;
	*list = (struct conf_override){.file = p->draft.file};
	memset(&p->draft.file, 0, sizeof(p->draft.file));
	for (size_t i = 0; i < CONF_KEYS_MAX; i++)
		list->set |= (uint32_t)(p->seen[i] != 0) << i;
	return true;
}

/* Move what was collected into the configuration, with notes of the names in it. */
static void close_section(struct parser *p)
{
	struct conf *conf = p->conf;
	struct conf_draft *draft = &p->draft;
	const struct conf_file *file = &draft->file;
	const struct conf_group *group = &draft->group;
	const struct conf_device *device = &draft->device;
	size_t n = 0;
	bool ok = true;

	if (p->state != OPEN_SECTION || !p->keep)
		goto out;
	switch (p->kind) {
	case CONF_SECTION_MAIN:
		mention(p, DECLARES, p->kind, "", draft->main_where, 0);
		conf->main = draft->main;
		break;
	case CONF_SECTION_DEVICE:
		n = conf->n_devices;
		mention(p, DECLARES, p->kind, device->name, device->where, n);
		draft->device.declared = true;
		ok = add(&conf->devices, &conf->n_devices, draft, sizeof(*device));
		break;
	case CONF_SECTION_GROUP:
		n = conf->n_groups;
		mention(p, DECLARES, p->kind, group->name, group->where, n);
		if (draft->parent_name)
			mention(p, IS_PARENT_OF_GROUP, CONF_SECTION_GROUP, draft->parent_name,
				group->parent_where, n);
		ok = add(&conf->groups, &conf->n_groups, draft, sizeof(*group));
		break;
	case CONF_SECTION_FILE:
		n = conf->n_files;
		draft->file.range_where = file->offset_where.line > file->size_where.line
						  ? file->offset_where
						  : file->size_where;
		mention_others(p, p->pathless ? conf->n_overrides : n);
		ok = p->pathless ? add_override(p)
				 : add(&conf->files, &conf->n_files, draft, sizeof(*file));
		break;
	case CONF_SECTION_DISK:
		mention_others(p, conf->n_disks);
		ok = add(&conf->disks, &conf->n_disks, draft, sizeof(*file));
		break;
	case CONF_SECTION_KINDS:
		break;
	}
	p->complaints.oom |= !ok;
out:
	if (p->state == OPEN_SECTION)
		conf_draft_clear(draft, p->kind);
	p->state = NO_SECTION;
}

/* A header with len bytes between the brackets. */
static void open_section(struct parser *p, const char *text, size_t len)
{
	const char *colon = memchr(text, ':', len), *bare, *wrong;
	size_t prefix_len = colon ? (size_t)(colon - text) + 1 : 0;
	struct conf_where where = here(p);
	int kind = CONF_SECTION_FILE;
	char *name = strndup(text, len);

	close_section(p);
	p->state = SKIPPED_SECTION;
	if (!name) {
		p->complaints.oom = true;
		return;
	}
	if (colon)
		kind = conf_section_find(text, prefix_len);
	else if (strcmp(name, "fuseband") == 0)
		kind = CONF_SECTION_MAIN;
	if (kind < 0) {
		const char *nearest = conf_section_suggest(text, prefix_len);

		if (nearest)
			conf_complain(&p->complaints, where, name, NULL, NULL,
				      "unknown kind of section; did you mean \"%s\"?", nearest);
		else
			conf_complain(
				&p->complaints, where, name, NULL, NULL,
				"unknown kind of section; there are device:, group: and disk:, "
				"and file names have no colon");
		p->any_file = true;
		free(name);
		return;
	}
	bare = kind == CONF_SECTION_MAIN ? "" : name + prefix_len;
	wrong = kind == CONF_SECTION_MAIN ? NULL : conf_name_wrong(bare);
	if (len > CONF_NAME_BYTES)
		conf_complain(&p->complaints, where, name, NULL, NULL,
			      "the name in brackets is %zu bytes long, at most %d are allowed", len,
			      CONF_NAME_BYTES);
	else if (wrong)
		conf_complain(&p->complaints, where, name, NULL, NULL, "the name %s", wrong);
	p->keep = !wrong && len <= CONF_NAME_BYTES;
	p->kind = (enum conf_section)kind;
	snprintf(p->section, sizeof(p->section), "%s", name);
	memset(p->seen, 0, sizeof(p->seen));
	p->pathless = kind == CONF_SECTION_FILE || kind == CONF_SECTION_DISK;
	p->any_file |= p->pathless;
	if (conf_draft_init(&p->draft, p->kind, bare, where))
		p->state = OPEN_SECTION;
	else
		p->complaints.oom = true;
	free(name);
}

/* ---- lines ---- */

/*
 * First of chars in text that is not in a comment, as inih sees it: a ";" after a blank.
 * len if there is none.
 */
static size_t find_char(const char *text, size_t len, const char *chars)
{
	for (size_t i = 0; i < len; i++) {
		if (strchr(chars, text[i]))
			return i;
		if (text[i] == ';' && i > 0 && (text[i - 1] == ' ' || text[i - 1] == '\t'))
			return len;
	}
	return len;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* "[name]", perhaps with a comment after it. */
static void admit_header(struct parser *p, const char *text, size_t len)
{
	size_t end = find_char(text + 1, len - 1, "]") + 1, rest = end + 1;

	if (end == len) {
		conf_complain(&p->complaints, here(p), NULL, NULL, NULL, "\"[\" without \"]\"");
		close_section(p);
		p->state = SKIPPED_SECTION;
		p->any_file = true;
		return;
	}
	while (rest < len && is_blank(text[rest]))
		rest++;
	if (rest < len && text[rest] != ';' && text[rest] != '#')
		conf_complain(&p->complaints, here(p), NULL, NULL, NULL, "text after \"]\"");
	open_section(p, text + 1, end - 1);
}

/*
 * Look at a line (a copy with a NUL behind, without its end). True: inih may have it. A
 * header is dealt with here; of the other lines the sole judge is set_key().
 */
static bool admit(struct parser *p, const char *text, size_t len, size_t max)
{
	size_t blanks = 0;
	int control = -1;
	bool comment;

	while (blanks < len && is_blank(text[blanks]))
		blanks++;
	comment = blanks == len || text[blanks] == ';' || text[blanks] == '#';
	for (size_t i = len; i-- > 0;)
		if (((unsigned char)text[i] < 0x20 && text[i] != '\t') || text[i] == 0x7f)
			control = (unsigned char)text[i];
	if (control == 0) {
		conf_complain(&p->complaints, here(p), NULL, NULL, NULL,
			      "the line contains a NUL byte");
	} else if (control > 0) {
		conf_complain(&p->complaints, here(p), NULL, NULL, NULL,
			      "the line contains the control character \\x%02x", (unsigned)control);
	} else if (len > max) {
		conf_complain(&p->complaints, here(p), NULL, NULL, NULL,
			      "the line is %zu bytes long, at most %zu are allowed", len, max);
	} else if (comment) {
		return true;
	} else if (blanks > 0) {
		conf_complain(&p->complaints, here(p), NULL, NULL, NULL,
			      "the line is indented; it would continue the value above");
	} else if (text[0] == '[') {
		admit_header(p, text, len);
		return true;
	} else if (find_char(text, len, "=:") == len) {
		conf_complain(&p->complaints, here(p), NULL, NULL, text,
			      "is neither \"[section]\" nor \"key = value\"");
	} else {
		return true;
	}

	if (!comment && text[blanks] == '[') { /* whose keys are those below? */
		close_section(p);
		p->state = SKIPPED_SECTION;
		p->any_file = true;
	}
	return false;
}

/* inih's fgets(3). */
static char *read_line(char *buffer, int size, void *arg)
{
	struct parser *p = arg;
	size_t len, max = (size_t)size - 2 < LINE_BYTES_MAX ? (size_t)size - 2 : LINE_BYTES_MAX;
	const char *text = p->cursor, *eol;
	char *copy;

	if (p->complaints.oom || text == p->end)
		return NULL;
	eol = memchr(text, '\n', (size_t)(p->end - text));
	p->cursor = eol ? eol + 1 : p->end;
	p->line++;
	len = (size_t)((eol ? eol : p->end) - text);
	if (len > 0 && text[len - 1] == '\r')
		len--;
	if (p->line == 1 && len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		len -= 3;
	}
	copy = malloc(len + 1);
	if (!copy) {
		p->complaints.oom = true;
		return NULL;
	}
	memcpy(copy, text, len);
	copy[len] = '\0';
	buffer[0] = '\0';
	if (admit(p, copy, len, max))
		memcpy(buffer, copy, len + 1);
	free(copy);
	return buffer;
}

/* inih's handler, for the line that read_line() gave out last. */
static int set_key(void *arg, const char *section, const char *name, const char *value)
{
	struct parser *p = arg;
	struct conf_where where = here(p);
	const struct conf_key *key;
	const char *blank;
	char why[160];
	size_t index = 0;
	int rc;

	(void)section; /* p->section is not cut */
	if (p->state == SKIPPED_SECTION || p->complaints.oom || !name)
		return 1;
	if (p->state == NO_SECTION) {
		conf_complain(&p->complaints, where, NULL, name, NULL,
			      "stands before any [section]");
		return 1;
	}
	if (name[0] == '\0') {
		conf_complain(&p->complaints, where, p->section, NULL, NULL,
			      "a value without a key");
		return 1;
	}
	if (strlen(name) > CONF_NAME_BYTES) {
		conf_complain(&p->complaints, where, p->section, name, NULL,
			      "the key is %zu bytes long, at most %d are allowed", strlen(name),
			      CONF_NAME_BYTES);
		return 1;
	}
	key = conf_key_find(p->kind, name, &index);
	if (!key) {
		conf_key_unknown(p->kind, name, why, sizeof(why));
		conf_complain(&p->complaints, where, p->section, name, NULL, "%s", why);
		return 1;
	}
	if (p->seen[index] != 0)
		conf_complain(&p->complaints, where, p->section, name, NULL,
			      "is already set in line %d", p->seen[index]);
	else
		p->seen[index] = p->line;
	if (key->type == CONF_TYPE_PATH)
		p->pathless = false;
	if (!value || value[0] == '\0') {
		conf_complain(&p->complaints, where, p->section, name, NULL, "has no value");
		return 1;
	}
	blank = strpbrk(value, " \t");
	if (blank && blank[strspn(blank, " \t")] == '#' && key->type != CONF_TYPE_PATH) {
		conf_complain(&p->complaints, where, p->section, name, value,
			      "has a \"#\" in it: comments after a value "
			      "begin with \";\"");
		return 1;
	}
	rc = conf_draft_set(&p->draft, key, value, where, why, sizeof(why));
	if (rc == -ENOMEM)
		p->complaints.oom = true;
	else if (rc != 0)
		conf_complain(&p->complaints, where, p->section, name, value, "%s", why);
	return 1;
}

/* ---- the whole ---- */

static int by_name(const void *a, const void *b)
{
	const struct mention *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	if (order != 0)
		return order;
	if ((x->role == DECLARES) != (y->role == DECLARES))
		return x->role == DECLARES ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

/* A file's `device` that has no section: a device with defaults. */
static void invent_device(struct parser *p, const struct mention *use)
{
	struct conf *conf = p->conf;
	struct conf_draft draft;
	const char *bare = use->name + strlen(conf_section_prefix(CONF_SECTION_DEVICE));

	if (!conf_draft_init(&draft, CONF_SECTION_DEVICE, bare, use->where) ||
	    !add(&conf->devices, &conf->n_devices, &draft, sizeof(*conf->devices)))
		p->complaints.oom = true;
	conf_draft_clear(&draft, CONF_SECTION_DEVICE);
}

/* The section of a file or disk in which something was mentioned. */
static struct conf_file *file_of(const struct conf *conf, const struct mention *m)
{
	return m->kind == CONF_SECTION_DISK ? &conf->disks[m->index]
	       : m->pathless		    ? &conf->overrides[m->index].file
					    : &conf->files[m->index];
}

/* A parent that nobody declared. */
static void complain_parent(struct parser *p, const struct mention *use)
{
	const char *bare = use->name + strlen(conf_section_prefix(CONF_SECTION_GROUP));
	char section[CONF_NAME_BYTES + 1];

	snprintf(section, sizeof(section), "%s%s", conf_section_prefix(use->kind),
		 use->kind == CONF_SECTION_GROUP ? p->conf->groups[use->index].name
						 : file_of(p->conf, use)->name);
	conf_complain(&p->complaints, use->where, section, "parent", bare,
		      "is not declared: there is no [%s]", use->name);
}

/* A declaration without a path is fine for what may be a partition of a disk, but for its range. */
static void check_pathless(struct parser *p, const struct mention *m)
{
	static const char *const range[] = {"offset", "size"};
	const struct conf_override *override;
	size_t index;

	if (m->kind == CONF_SECTION_DISK || !conf_disk_of(p->conf, m->name, NULL)) {
		conf_complain(&p->complaints, m->where, m->name, "path", NULL,
			      "is missing, every %s needs one",
			      m->kind == CONF_SECTION_DISK ? "disk" : "file");
		return;
	}
	override = &p->conf->overrides[m->index];
	for (size_t i = 0; i < 2; i++) {
		conf_key_find(CONF_SECTION_FILE, range[i], &index);
		if (override->set >> index & 1)
			conf_complain(&p->complaints,
				      i == 0 ? override->file.offset_where
					     : override->file.size_where,
				      m->name, range[i], NULL,
				      "cannot be set: it is that of the partition");
	}
}

/* Find duplicates, and turn names into indexes. */
static void resolve(struct parser *p)
{
	struct conf *conf = p->conf;
	const struct mention *first = NULL; /* of its name: a declaration, if there is any */
	size_t target = 0;

	if (p->n_mentions > 0)
		qsort(p->mentions, p->n_mentions, sizeof(*p->mentions), by_name);
	for (size_t i = 0; i < p->n_mentions && !p->complaints.oom; i++) {
		const struct mention *m = &p->mentions[i];

		if (!first || strcmp(first->name, m->name) != 0) {
			first = m;
			target = m->index;
			if (m->role == IS_DEVICE_OF_FILE) {
				target = conf->n_devices;
				invent_device(p, m);
			}
		}
		switch (m->role) {
		case DECLARES:
			if (m != first)
				conf_complain(&p->complaints, m->where, m->name, NULL, NULL,
					      "is already at %s:%d", first->where.file,
					      first->where.line);
			else if (m->pathless)
				check_pathless(p, m);
			break;
		case IS_DEVICE_OF_FILE:
			file_of(conf, m)->device = (int)target;
			break;
		case IS_PARENT_OF_FILE:
		case IS_PARENT_OF_GROUP:
			if (first->role != DECLARES)
				complain_parent(p, m);
			else if (m->role == IS_PARENT_OF_FILE)
				file_of(conf, m)->parent = (int)target;
			else
				conf->groups[m->index].parent = (int)target;
			break;
		}
	}
}

static void parse_source(struct parser *p, const struct conf_source *source)
{
	size_t before = p->complaints.n;
	int rc;

	p->cursor = source->text;
	p->end = source->text + source->len;
	p->line = 0;
	rc = ini_parse_stream(read_line, p, set_key, p);
	if (rc < 0)
		p->complaints.oom = true;
	if (rc > 0 && p->complaints.n == before) /* a build of inih with tastes of its own */
		conf_complain(&p->complaints,
			      (struct conf_where){p->conf->source_names[p->source], rc}, NULL, NULL,
			      NULL, "the line cannot be parsed");
	close_section(p);
}

static struct conf *conf_new(const struct conf_text *text)
{
	struct conf *conf = calloc(1, sizeof(*conf));
	struct conf_draft draft;

	if (!conf)
		return NULL;
	conf_draft_init(&draft, CONF_SECTION_MAIN, "", (struct conf_where){NULL, 0});
	conf->main = draft.main;
	conf->source_names = calloc(text->n_sources + 1, sizeof(*conf->source_names));
	if (!conf->source_names) {
		conf_free(conf);
		return NULL;
	}
	for (size_t i = 0; i < text->n_sources; i++) {
		conf->source_names[i] = strdup(text->sources[i].path);
		if (!conf->source_names[i]) {
			conf_free(conf);
			return NULL;
		}
		conf->n_sources++;
	}
	return conf;
}

int conf_parse(const struct conf_text *text, struct conf_errors *errors, struct conf **ret_conf)
{
	struct parser p = {.conf = conf_new(text)};
	int rc;

	p.complaints.conf = p.conf;
	if (!p.conf) {
		conf_errors_push(errors, NULL);
		return -ENOMEM;
	}
	for (; p.source < text->n_sources && !p.complaints.oom; p.source++)
		parse_source(&p, &text->sources[p.source]);
	if (!p.any_file)
		conf_complain(&p.complaints, (struct conf_where){p.conf->source_names[0], 0}, NULL,
			      NULL, NULL, "no files to serve");
	if (!p.complaints.oom)
		resolve(&p);
	if (!p.complaints.oom)
		conf_tree_check(p.conf, &p.complaints);
	rc = conf_complaints_publish(&p.complaints, errors);

	for (size_t i = 0; i < p.n_mentions; i++)
		free(p.mentions[i].name);
	free(p.mentions);
	if (rc != 0)
		conf_free(p.conf);
	else
		*ret_conf = p.conf;
	return rc;
}

static void free_file(struct conf_file *file)
{
	free(file->name);
	free(file->path);
	free(file->about);
}

void conf_free(struct conf *conf)
{
	if (!conf)
		return;
	for (size_t i = 0; i < conf->n_devices; i++) {
		free(conf->devices[i].name);
		free(conf->devices[i].path);
	}
	for (size_t i = 0; i < conf->n_groups; i++)
		free(conf->groups[i].name);
	for (size_t i = 0; i < conf->n_files; i++)
		free_file(&conf->files[i]);
	for (size_t i = 0; i < conf->n_disks; i++)
		free_file(&conf->disks[i]);
	for (size_t i = 0; i < conf->n_overrides; i++)
		free_file(&conf->overrides[i].file);
	for (size_t i = 0; i < conf->n_sources; i++)
		free(conf->source_names[i]);
	free(conf->devices);
	free(conf->groups);
	free(conf->parents_first);
	free(conf->files);
	free(conf->disks);
	free(conf->overrides);
	free(conf->source_names);
	free(conf);
}
