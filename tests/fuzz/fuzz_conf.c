/* SPDX-License-Identifier: MIT */
/*
 * fuzz_conf.c - bytes as the text of a configuration.
 *
 * A byte 0x1c in the input begins another file, as those of FILE.d do. What must hold of any text:
 *
 *   refused    there is a message, and no more than there may be; each is one line of UTF-8 without
 *              anything that a terminal obeys; they come in the order of files and lines
 *   accepted   what conf.h says of every field; printed and parsed again it is the same
 *   either     the same with the lines ended by CR LF
 */
#include "fuzz.h"

#include "conf.h"
#include "conf_keys.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define SOURCES_MAX 4
#define SEPARATOR 0x1c

/* Names of the files, and how messages show them. */
static char *const paths[SOURCES_MAX] = {"a.ini", "b\033[31m.ini", "c\xff.ini", "d/\xc3\xa9.ini"};
static const char *const shown[SOURCES_MAX] = {
	"a.ini:", "b\\x1b[31m.ini:", "c\\xff.ini:", "d/\xc3\xa9.ini:"};

/* ---- texts ---- */

/* Each in memory of just its size and one NUL, as conf_read() has it; \n as \r\n if crlf. */
static struct conf_text text_of(const uint8_t *data, size_t size, bool crlf)
{
	struct conf_text text = {.sources = calloc(SOURCES_MAX, sizeof(*text.sources))};
	const uint8_t *end = data + size;

	CHECK(text.sources);
	do {
		bool is_last = text.n_sources + 1 == SOURCES_MAX;
		const uint8_t *stop = is_last || data == end
					      ? NULL
					      : memchr(data, SEPARATOR, (size_t)(end - data));
		size_t len = (size_t)((stop ? stop : end) - data), used = 0, lines = 0;
		struct conf_source *source = &text.sources[text.n_sources];

		for (size_t i = 0; crlf && i < len; i++)
			lines += data[i] == '\n';
		source->path = paths[text.n_sources++];
		source->text = malloc(len + lines + 1);
		CHECK(source->text);
		for (size_t i = 0; i < len; i++) {
			if (crlf && data[i] == '\n')
				source->text[used++] = '\r';
			source->text[used++] = (char)data[i];
		}
		source->text[used] = '\0';
		source->len = used;
		data = stop ? stop + 1 : NULL;
	} while (data);
	return text;
}

static void text_free(struct conf_text *text)
{
	for (size_t i = 0; i < text->n_sources; i++)
		free(text->sources[i].text);
	free(text->sources);
}

/* NULL: refused. The text need not outlive it. */
static struct conf *parse(struct conf_text *text, struct conf_errors *errors)
{
	struct conf *untouched = (struct conf *)(void *)text, *conf = untouched;
	int rc = conf_parse(text, errors, &conf);

	CHECK(rc == 0 || rc == -EINVAL);
	CHECK((rc == 0) == (errors->n == 0));
	CHECK((rc == 0) == (conf != untouched));
	text_free(text);
	return rc == 0 ? conf : NULL;
}

/* ---- refused ---- */

static void check_message(const char *message)
{
	size_t left = strlen(message), step;

	CHECK(left > 0);
	for (; left > 0; message += step, left -= step) {
		step = conf_utf8(message, left);
		CHECK(step > 0 && (unsigned char)*message >= 0x20 && *message != 0x7f);
	}
}

static void check_messages(const struct conf_errors *errors)
{
	size_t last = 0;
	long last_line = 0;

	CHECK(errors->n <= CONF_ERRORS_MAX + 1);
	for (size_t i = 0; i < errors->n; i++) {
		const char *message = errors->list[i].text;
		size_t source = 0;
		long line;

		check_message(message);
		if (i == CONF_ERRORS_MAX) /* too many */
			return;
		while (source < SOURCES_MAX &&
		       strncmp(message, shown[source], strlen(shown[source])) != 0)
			source++;
		CHECK(source < SOURCES_MAX);
		line = strtol(message + strlen(shown[source]), NULL, 10); /* 0: all of the file */
		CHECK(source > last || (source == last && line >= last_line));
		last = source;
		last_line = line;
	}
}

static void check_same_messages(const struct conf_errors *a, const struct conf_errors *b)
{
	CHECK(a->n == b->n);
	for (size_t i = 0; i < a->n; i++)
		CHECK(strcmp(a->list[i].text, b->list[i].text) == 0);
}

/* ---- accepted ---- */

static void check_where(const struct conf *conf, struct conf_where where)
{
	bool found = false;

	for (size_t i = 0; i < conf->n_sources; i++)
		found = found || where.file == conf->source_names[i];
	CHECK(found && where.line > 0);
}

static void check_limits(const struct conf *conf, const struct conf_limits *limits)
{
	CHECK(limits->iops_size_bytes >= 512);
	CHECK(!limits->max_iops || limits->min_iops <= limits->max_iops);
	CHECK(!limits->max_bps || limits->min_bps <= limits->max_bps);
	check_where(conf, limits->min_iops_where);
	check_where(conf, limits->min_bps_where);
	check_where(conf, limits->iops_size_where);
	check_where(conf, limits->burst_where);
}

static void check_devices(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_devices; i++) {
		const struct conf_device *device = &conf->devices[i];

		CHECK(!conf_name_wrong(device->name));
		for (size_t k = 0; k < i; k++)
			CHECK(strcmp(device->name, conf->devices[k].name) != 0);
		check_where(conf, device->where);
		CHECK(!device->path || device->path[0] == '/');
		CHECK(device->policy <= CONF_POLICY_WEIGHT_IOSIZE);
		CHECK(device->isolation <= CONF_ISOLATION_THROUGHPUT);
		CHECK(device->io_throttle <= 4096);
		CHECK(device->declared || (!device->path && !device->io_throttle));
		CHECK(device->declared || i + 1 == conf->n_devices || !device[1].declared);
	}
}

static void check_groups(const struct conf *conf)
{
	bool *placed = calloc(conf->n_groups + 1, sizeof(*placed));

	CHECK(placed);
	for (size_t i = 0; i < conf->n_groups; i++) {
		size_t index = conf->parents_first[i];
		const struct conf_group *group = &conf->groups[index];

		CHECK(index < conf->n_groups && !placed[index]);
		CHECK(group->parent < (int)conf->n_groups);
		CHECK(group->parent < 0 || placed[group->parent]);
		placed[index] = true;
		CHECK(!conf_name_wrong(group->name));
		CHECK(group->weight >= 1 && group->weight <= CONF_WEIGHT_MAX);
		check_where(conf, group->where);
		check_where(conf, group->parent_where);
		check_limits(conf, &group->limits);
	}
	free(placed);
}

/* Of files, disks and overrides alike. */
static void check_section(const struct conf *conf, const struct conf_file *file)
{
	CHECK(!conf_name_wrong(file->name));
	CHECK(file->device < (int)conf->n_devices && file->parent < (int)conf->n_groups);
	CHECK(file->weight >= 1 && file->weight <= CONF_WEIGHT_MAX);
	CHECK(file->class <= CONF_CLASS_IDLE && file->discard <= CONF_DISCARD_IGNORE);
	CHECK(file->mode <= 0777);
	CHECK(file->uid != (uid_t)-1 && file->gid != (gid_t)-1);
	check_where(conf, file->where);
	check_where(conf, file->path_where);
}

static void check_disks(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_disks; i++) {
		check_section(conf, &conf->disks[i]);
		CHECK(conf->disks[i].path && conf->disks[i].path[0] == '/');
		for (size_t k = 0; k < i; k++)
			CHECK(strcmp(conf->disks[i].name, conf->disks[k].name) != 0);
	}
	for (size_t i = 0; i < conf->n_overrides; i++) {
		check_section(conf, &conf->overrides[i].file);
		CHECK(!conf->overrides[i].file.path);
		CHECK(conf->n_disks > 0);
	}
}

static void check_files(const struct conf *conf)
{
	CHECK(conf->n_files + conf->n_disks > 0);
	for (size_t i = 0; i < conf->n_files; i++) {
		const struct conf_file *file = &conf->files[i];

		check_section(conf, file);
		for (size_t k = 0; k < i; k++)
			CHECK(strcmp(file->name, conf->files[k].name) != 0);
		CHECK(file->path && file->path[0] == '/');
		CHECK(file->offset_bytes <= CONF_OFFSET_MAX && file->offset_bytes % 512 == 0);
		CHECK(file->size_bytes <= CONF_OFFSET_MAX && file->size_bytes % 512 == 0);
		check_where(conf, file->range_where);
		check_limits(conf, &file->limits);
	}
}

static void check_conf(const struct conf *conf)
{
	CHECK(conf->main.workers <= 64 && conf->main.log_level <= CONF_LEVEL_DEBUG);
	check_devices(conf);
	check_groups(conf);
	check_files(conf);
	check_disks(conf);
}

/* ---- printed, and parsed again ---- */

/* What a function of conf.h prints as "a=1 b=2", as two lines: of limits, or else of a device. */
static void print_pairs(const struct conf_limits *limits, const struct conf_device *device,
			FILE *out)
{
	char *pairs = NULL;
	size_t len;
	FILE *memory = open_memstream(&pairs, &len);

	CHECK(memory);
	if (limits)
		conf_print_limits(limits, memory);
	else
		conf_print_device(device, memory);
	fclose(memory);
	for (const char *c = pairs; *c; c++)
		putc(*c == ' ' ? '\n' : *c, out);
	putc('\n', out);
	free(pairs);
}

static void print_limits(const struct conf_limits *limits, FILE *out)
{
	print_pairs(limits, NULL, out);
}

static void print_device(const struct conf_device *device, FILE *out)
{
	fprintf(out, "[device:%s]\n", device->name);
	if (device->path)
		fprintf(out, "path=%s\n", device->path);
	print_pairs(NULL, device, out);
}

/* A file, a disk (without a range) or an override (without a path either). */
static void print_file(const struct conf *conf, const struct conf_file *file, const char *prefix,
		       bool has_range, FILE *out)
{
	static const char *const classes[] = {"realtime", "normal", "idle"};

	fprintf(out, "[%s%s]\n", prefix, file->name);
	if (file->path)
		fprintf(out, "path=%s\n", file->path);
	if (has_range) {
		fprintf(out, "offset=%" PRIu64 "\nsize=", file->offset_bytes);
		conf_print_bytes(file->size_bytes, out);
		putc('\n', out);
	}
	if (file->device >= 0)
		fprintf(out, "device=%s\n", conf->devices[file->device].name);
	if (file->parent >= 0)
		fprintf(out, "parent=%s\n", conf->groups[file->parent].name);
	fprintf(out, "weight=%u\nclass=%s\ndiscard=%s\nbuffered=%s\noptional=%s\nreadonly=%s\n",
		file->weight, classes[file->class],
		file->discard == CONF_DISCARD_PASS ? "pass" : "ignore",
		file->buffered ? "yes" : "no", file->optional ? "yes" : "no",
		file->readonly ? "yes" : "no");
	fprintf(out, "uid=%u\ngid=%u\nmode=%o\n", file->uid, file->gid, file->mode);
	print_limits(&file->limits, out);
}

static void print_conf(const struct conf *conf, FILE *out)
{
	static const char *const levels[] = {"error", "warning", "info", "debug"};

	fprintf(out, "[fuseband]\nlog_level=%s\nsupervise=%s\n", levels[conf->main.log_level],
		conf->main.supervise ? "yes" : "no");
	if (conf->main.workers)
		fprintf(out, "workers=%u\n", conf->main.workers);
	if (conf->main.memory_bytes) {
		fputs("memory=", out);
		conf_print_bytes(conf->main.memory_bytes, out);
		putc('\n', out);
	}
	for (size_t i = 0; i < conf->n_devices; i++)
		if (conf->devices[i].declared)
			print_device(&conf->devices[i], out);
	for (size_t i = 0; i < conf->n_groups; i++) {
		const struct conf_group *group = &conf->groups[i];

		fprintf(out, "[group:%s]\nweight=%u\n", group->name, group->weight);
		if (group->parent >= 0)
			fprintf(out, "parent=%s\n", conf->groups[group->parent].name);
		print_limits(&group->limits, out);
	}
	for (size_t i = 0; i < conf->n_files; i++)
		print_file(conf, &conf->files[i], "", true, out);
	for (size_t i = 0; i < conf->n_disks; i++)
		print_file(conf, &conf->disks[i], "disk:", false, out);
	for (size_t i = 0; i < conf->n_overrides; i++)
		print_file(conf, &conf->overrides[i].file, "", false, out);
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static void check_same_limits(const struct conf_limits *a, const struct conf_limits *b)
{
	CHECK(a->min_iops == b->min_iops && a->min_bps == b->min_bps);
	CHECK(a->max_iops == b->max_iops && a->max_bps == b->max_bps);
	CHECK(a->max_read_iops == b->max_read_iops && a->max_write_iops == b->max_write_iops);
	CHECK(a->max_read_bps == b->max_read_bps && a->max_write_bps == b->max_write_bps);
	CHECK(a->iops_size_bytes == b->iops_size_bytes && a->burst_ns == b->burst_ns);
}

static void check_same_file(const struct conf_file *a, const struct conf_file *b)
{
	CHECK(same_text(a->name, b->name) && same_text(a->path, b->path));
	CHECK(a->offset_bytes == b->offset_bytes && a->size_bytes == b->size_bytes);
	CHECK(a->device == b->device && a->parent == b->parent && a->weight == b->weight);
	CHECK(a->class == b->class && a->discard == b->discard && a->buffered == b->buffered);
	CHECK(a->optional == b->optional && a->readonly == b->readonly);
	CHECK(a->uid == b->uid && a->gid == b->gid && a->mode == b->mode);
	check_same_limits(&a->limits, &b->limits);
}

static void check_same(const struct conf *a, const struct conf *b)
{
	CHECK(a->main.workers == b->main.workers && a->main.log_level == b->main.log_level);
	CHECK(a->main.memory_bytes == b->main.memory_bytes);
	CHECK(a->main.supervise == b->main.supervise);
	CHECK(a->n_devices == b->n_devices && a->n_groups == b->n_groups);
	CHECK(a->n_files == b->n_files);
	for (size_t i = 0; i < a->n_devices; i++) {
		const struct conf_device *x = &a->devices[i], *y = &b->devices[i];

		CHECK(same_text(x->name, y->name) && same_text(x->path, y->path));
		CHECK(x->declared == y->declared && x->policy == y->policy);
		CHECK(x->io_throttle == y->io_throttle && x->isolation == y->isolation);
		CHECK(x->latency_target_ns == y->latency_target_ns);
		CHECK(x->read_iops == y->read_iops && x->write_iops == y->write_iops);
		CHECK(x->read_bps == y->read_bps && x->write_bps == y->write_bps);
	}
	for (size_t i = 0; i < a->n_groups; i++) {
		const struct conf_group *x = &a->groups[i], *y = &b->groups[i];

		CHECK(same_text(x->name, y->name) && x->parent == y->parent);
		CHECK(x->weight == y->weight);
		CHECK(a->parents_first[i] == b->parents_first[i]);
		check_same_limits(&x->limits, &y->limits);
	}
	for (size_t i = 0; i < a->n_files; i++)
		check_same_file(&a->files[i], &b->files[i]);
	CHECK(a->n_disks == b->n_disks && a->n_overrides == b->n_overrides);
	for (size_t i = 0; i < a->n_disks; i++)
		check_same_file(&a->disks[i], &b->disks[i]);
	for (size_t i = 0; i < a->n_overrides; i++)
		check_same_file(&a->overrides[i].file, &b->overrides[i].file);
}

static void check_printed(const struct conf *conf)
{
	struct conf_errors errors = {NULL, 0};
	struct conf_text text;
	struct conf *again;
	char *printed = NULL;
	size_t len;
	FILE *out = open_memstream(&printed, &len);

	CHECK(out);
	print_conf(conf, out);
	fclose(out);
	text = text_of((const uint8_t *)printed, len, false);
	again = parse(&text, &errors);
	for (size_t i = 0; i < errors.n; i++)
		fprintf(stderr, "%s\n", errors.list[i].text);
	CHECK(again);
	check_same(conf, again);
	conf_free(again);
	free(printed);
}

/* ---- with partitions ---- */

#define PARTITIONS 3U

/* Each disk has some; names of others may be in the way, and promises too large. */
static void check_expanded(struct conf *conf)
{
	struct conf_text text = {.tables = calloc(conf->n_disks, sizeof(*text.tables)),
				 .n_tables = conf->n_disks};
	struct conf_partition list[PARTITIONS] = {{.number = 1}, {.number = 2}, {.number = 11}};
	struct conf_errors errors = {NULL, 0}, notes = {NULL, 0};
	size_t before = conf->n_files;
	int rc;

	CHECK(text.tables);
	for (size_t i = 0; i < conf->n_disks; i++)
		text.tables[i] = (struct conf_table){
			.disk = conf->disks[i].name, .list = list, .n = PARTITIONS};
	rc = conf_expand(conf, &text, &errors, &notes);
	CHECK(rc == 0 || rc == -EINVAL);
	CHECK((rc == 0) == (errors.n == 0));
	check_messages(&errors);
	for (size_t i = 0; i < notes.n; i++)
		check_message(notes.list[i].text);
	if (rc == 0) {
		CHECK(conf->n_files == before + PARTITIONS * conf->n_disks);
		check_conf(conf);
	}
	conf_errors_free(&errors);
	conf_errors_free(&notes);
	free(text.tables);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf_errors errors = {NULL, 0}, errors_crlf = {NULL, 0};
	struct conf_text text = text_of(data, size, false);
	struct conf *conf = parse(&text, &errors), *crlf = NULL;

	if (!size || !memchr(data, '\r', size)) {
		text = text_of(data, size, true);
		crlf = parse(&text, &errors_crlf);
		CHECK(!conf == !crlf);
		check_same_messages(&errors, &errors_crlf);
	}
	check_messages(&errors);
	if (conf) {
		check_conf(conf);
		check_printed(conf);
	}
	if (crlf)
		check_same(conf, crlf);
	if (conf && conf->n_disks > 0)
		check_expanded(conf);
	conf_free(conf);
	conf_free(crlf);
	conf_errors_free(&errors);
	conf_errors_free(&errors_crlf);
	return 0;
}
