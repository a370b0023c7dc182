/* SPDX-License-Identifier: MIT */
/*
 * Unit tests of conf.h, in its order: reading, parsing and its rules, messages, help; then random
 * mutations of a good configuration (SEED=N repeats a run, ROUNDS=N makes it longer).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- helpers ---- */

/* Texts as if they were files of these names. Not freed: they own nothing. */
static struct conf_text text_of(struct conf_source *sources, size_t n)
{
	return (struct conf_text){.sources = sources, .n_sources = n};
}

static struct conf_source source_of(const char *path, const char *text, size_t len)
{
	return (struct conf_source){
		.path = (char *)(uintptr_t)path, .text = (char *)(uintptr_t)text, .len = len};
}

/* All messages, each with a newline. */
static char *joined(const struct conf_errors *errors)
{
	char *all = NULL;
	size_t len;
	FILE *out = open_memstream(&all, &len);

	assert_non_null(out);
	for (size_t i = 0; i < errors->n; i++)
		fprintf(out, "%s\n", errors->list[i].text);
	fclose(out);
	return all;
}

static void refused_texts(struct conf_source *sources, size_t n, const char *messages)
{
	struct conf_text text = text_of(sources, n);
	struct conf_errors errors = {NULL, 0};
	struct conf *untouched = (struct conf *)&text, *conf = untouched;
	char *all;

	assert_int_equal(conf_parse(&text, &errors, &conf), -EINVAL);
	assert_ptr_equal(conf, untouched);
	all = joined(&errors);
	assert_string_equal(all, messages);
	free(all);
	conf_errors_free(&errors);
}

static void refused_bytes(const char *text, size_t len, const char *messages)
{
	struct conf_source source = source_of("ioband.ini", text, len);

	refused_texts(&source, 1, messages);
}

/* The text is refused with exactly these messages. */
static void refused(const char *text, const char *messages)
{
	refused_bytes(text, strlen(text), messages);
}

static struct conf *accepted_texts(struct conf_source *sources, size_t n)
{
	struct conf_text text = text_of(sources, n);
	struct conf_errors errors = {NULL, 0};
	struct conf *conf = NULL;
	int rc = conf_parse(&text, &errors, &conf);

	for (size_t i = 0; i < errors.n; i++)
		print_error("%s\n", errors.list[i].text);
	assert_int_equal(rc, 0);
	assert_int_equal(errors.n, 0);
	assert_non_null(conf);
	return conf;
}

static struct conf *accepted(const char *text)
{
	struct conf_source source = source_of("ioband.ini", text, strlen(text));

	return accepted_texts(&source, 1);
}

#define VM "[vm1.img]\npath = /dev/vm1\n"

/* One line in a section of a file: the value is refused for this reason. */
static void value_refused(const char *header, const char *key, const char *value,
			  const char *reason)
{
	char text[512], message[512];

	snprintf(text, sizeof(text), VM "[%s]\n%s = %s\n", header, key, value);
	snprintf(message, sizeof(message), "ioband.ini:4: [%s] %s: \"%s\" %s\n", header, key, value,
		 reason);
	refused(text, message);
}

/* The same in the section of vm1.img. */
static void file_refused(const char *key, const char *value, const char *reason)
{
	char text[512], message[512];

	snprintf(text, sizeof(text), VM "%s = %s\n", key, value);
	snprintf(message, sizeof(message), "ioband.ini:3: [vm1.img] %s: \"%s\" %s\n", key, value,
		 reason);
	refused(text, message);
}

static struct conf *accepted_in(const char *header, const char *key, const char *value)
{
	char text[512];

	if (strcmp(header, "vm1.img") == 0)
		snprintf(text, sizeof(text), VM "%s = %s\n", key, value);
	else
		snprintf(text, sizeof(text), VM "[%s]\n%s = %s\n", header, key, value);
	return accepted(text);
}

/* accepted_in(), and the field has the number. */
#define CHECK_VALUE(header, key, value, field, number)                \
	do {                                                          \
		struct conf *conf_ = accepted_in(header, key, value); \
		assert_int_equal(conf_->field, number);               \
		conf_free(conf_);                                     \
	} while (0)

static char directory[] = "/tmp/test_conf.XXXXXX";

static const char *in_directory(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(in_directory(name), "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static int make_directory(void **state)
{
	(void)state;
	strcpy(strrchr(directory, '.') + 1, "XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

/* conf_read() fails with rc and one message: the path in the test directory, then this. */
static void read_refused(const char *name, int rc, const char *broken, const char *reason)
{
	struct conf_errors errors = {NULL, 0};
	struct conf_text untouched = {.n_sources = 77}, text = untouched;
	char message[512];

	snprintf(message, sizeof(message), "%s/%s: %s", directory, broken, reason);
	assert_int_equal(conf_read(in_directory(name), &errors, &text), rc);
	assert_memory_equal(&text, &untouched, sizeof(text));
	assert_int_equal(errors.n, 1);
	assert_string_equal(errors.list[0].text, message);
	conf_errors_free(&errors);
}

/* ---- conf_read ---- */

static void test_read_file_then_directory_by_name(void **state)
{
	static const char *const expected[] = {"ioband.ini", "ioband.ini.d/10-b.ini",
					       "ioband.ini.d/9-a.ini", "ioband.ini.d/B.ini",
					       "ioband.ini.d/a.ini"};
	struct conf_errors errors = {NULL, 0};
	struct conf_text text = {0};

	(void)state;
	write_file("ioband.ini", "main");
	assert_int_equal(mkdir(in_directory("ioband.ini.d"), 0700), 0);
	for (size_t i = 1; i < 5; i++)
		write_file(expected[i], expected[i]);
	write_file("ioband.ini.d/.hidden.ini", "hidden");
	write_file("ioband.ini.d/.ini", "hidden");
	write_file("ioband.ini.d/a.ini~", "backup");
	write_file("ioband.ini.d/README", "other");
	assert_int_equal(conf_read(in_directory("ioband.ini"), &errors, &text), 0);
	assert_int_equal(errors.n, 0);
	assert_int_equal(text.n_sources, 5);
	for (size_t i = 0; i < 5; i++) {
		assert_string_equal(text.sources[i].path, in_directory(expected[i]));
		assert_string_equal(text.sources[i].text, i == 0 ? "main" : expected[i]);
		assert_int_equal(text.sources[i].len, strlen(text.sources[i].text));
	}
	conf_text_free(&text);
	assert_int_equal(text.n_sources, 0);
}

static void test_read_refuses_what_is_no_file(void **state)
{
	(void)state;
	read_refused("none", -ENOENT, "none", "cannot be read: No such file or directory");
	assert_int_equal(mkdir(in_directory("dir"), 0700), 0);
	read_refused("dir", -EISDIR, "dir", "cannot be read: Is a directory");
	assert_int_equal(mkfifo(in_directory("fifo"), 0600), 0);
	read_refused("fifo", -EINVAL, "fifo", "is not a regular file"); /* and does not block */
	assert_int_equal(symlink("/dev/zero", in_directory("zero")), 0);
	read_refused("zero", -EINVAL, "zero", "is not a regular file");
	assert_int_equal(symlink("loop", in_directory("loop")), 0);
	read_refused("loop", -ELOOP, "loop", "cannot be read: Too many levels of symbolic links");
}

static void test_read_refuses_large_files(void **state)
{
	struct conf_errors errors = {NULL, 0};
	struct conf_text text = {0};

	(void)state;
	write_file("large", "");
	assert_int_equal(truncate(in_directory("large"), 16 << 20), 0);
	assert_int_equal(conf_read(in_directory("large"), &errors, &text), 0);
	assert_int_equal(text.sources[0].len, 16 << 20);
	conf_text_free(&text);
	assert_int_equal(truncate(in_directory("large"), (16 << 20) + 1), 0);
	read_refused("large", -EFBIG, "large", "is larger than 16M");
}

static void test_read_names_every_unreadable_file(void **state)
{
	struct conf_errors errors = {NULL, 0};
	struct conf_text text = {0};

	(void)state;
	write_file("ioband.ini", "");
	write_file("ioband.ini.d", "");
	read_refused("ioband.ini", -ENOTDIR, "ioband.ini.d", "cannot be read: Not a directory");
	assert_int_equal(unlink(in_directory("ioband.ini.d")), 0);
	assert_int_equal(mkdir(in_directory("ioband.ini.d"), 0700), 0);
	assert_int_equal(mkdir(in_directory("ioband.ini.d/a.ini"), 0700), 0);
	assert_int_equal(symlink("nowhere", in_directory("ioband.ini.d/b.ini")), 0);
	assert_int_equal(conf_read(in_directory("ioband.ini"), &errors, &text), -EISDIR);
	assert_int_equal(errors.n, 2);
	assert_non_null(
		strstr(errors.list[0].text, "ioband.ini.d/a.ini: cannot be read: Is a dir"));
	assert_non_null(strstr(errors.list[1].text, "ioband.ini.d/b.ini: cannot be read: No such"));
	conf_errors_free(&errors);
}

static void test_read_takes_a_pipe_as_descriptor(void **state)
{
	struct conf_errors errors = {NULL, 0};
	struct conf_text text = {0};
	char path[32];
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], VM, strlen(VM)), strlen(VM));
	close(fds[1]);
	snprintf(path, sizeof(path), "/dev/fd/%d", fds[0]);
	assert_int_equal(conf_read(path, &errors, &text), 0);
	assert_string_equal(text.sources[0].text, VM);
	conf_text_free(&text);
	close(fds[0]);
}

/* ---- conf_parse: what is accepted ---- */

/* min_iops, min_bps, max_iops, max_bps, max_read_*, max_write_* (iops, bps), iops_size, burst */
static void check_limits(const struct conf_limits *limits, const uint64_t wanted[10])
{
	const uint64_t got[10] = {limits->min_iops,	   limits->min_bps,
				  limits->max_iops,	   limits->max_bps,
				  limits->max_read_iops,   limits->max_read_bps,
				  limits->max_write_iops,  limits->max_write_bps,
				  limits->iops_size_bytes, limits->burst_ns};

	for (int i = 0; i < 10; i++)
		assert_int_equal(got[i], wanted[i]);
}

static void test_defaults(void **state)
{
	struct conf *conf = accepted(VM "[device:ssd]\n[group:g]\n");

	(void)state;
	assert_int_equal(conf->main.workers, 0);
	assert_int_equal(conf->main.memory_bytes, 0);
	assert_int_equal(conf->main.log_level, CONF_LEVEL_INFO);
	assert_true(conf->main.supervise);
	assert_int_equal(conf->n_devices, 1);
	assert_string_equal(conf->devices[0].name, "ssd");
	assert_true(conf->devices[0].declared);
	assert_int_equal(conf->devices[0].where.line, 3);
	assert_null(conf->devices[0].path);
	assert_int_equal(conf->devices[0].policy, CONF_POLICY_COST);
	assert_int_equal(conf->devices[0].io_throttle, 0);
	assert_int_equal(conf->devices[0].isolation, CONF_ISOLATION_AUTO);
	assert_int_equal(conf->devices[0].latency_target_ns, 0);
	assert_int_equal(conf->devices[0].read_iops, 0);
	assert_int_equal(conf->n_groups, 1);
	assert_string_equal(conf->groups[0].name, "g");
	assert_int_equal(conf->groups[0].parent, -1);
	assert_int_equal(conf->groups[0].weight, CONF_WEIGHT_DEFAULT);
	check_limits(&conf->groups[0].limits, (const uint64_t[10]){[8] = 32 << 10});
	assert_false(conf_has_max(&conf->groups[0].limits));
	assert_int_equal(conf->parents_first[0], 0);
	assert_int_equal(conf->n_files, 1);
	assert_string_equal(conf->files[0].name, "vm1.img");
	assert_string_equal(conf->files[0].path, "/dev/vm1");
	assert_int_equal(conf->files[0].where.line, 1);
	assert_int_equal(conf->files[0].path_where.line, 2);
	assert_int_equal(conf->files[0].range_where.line, 1); /* not given: the section */
	assert_string_equal(conf->files[0].where.file, "ioband.ini");
	assert_int_equal(conf->files[0].offset_bytes, 0);
	assert_int_equal(conf->files[0].size_bytes, 0);
	assert_int_equal(conf->files[0].device, -1);
	assert_int_equal(conf->files[0].parent, -1);
	assert_int_equal(conf->files[0].weight, CONF_WEIGHT_DEFAULT);
	assert_int_equal(conf->files[0].class, CONF_CLASS_NORMAL);
	check_limits(&conf->files[0].limits, (const uint64_t[10]){[8] = 32 << 10});
	assert_int_equal(conf->files[0].discard, CONF_DISCARD_PASS);
	assert_false(conf->files[0].buffered);
	assert_false(conf->files[0].optional);
	assert_false(conf->files[0].readonly);
	assert_int_equal(conf->files[0].uid, 0);
	assert_int_equal(conf->files[0].gid, 0);
	assert_int_equal(conf->files[0].mode, 0660);
	conf_free(conf);
	conf_free(NULL);
}

static void test_every_key(void **state)
{
	struct conf *conf = accepted("[fuseband]\n"
				     "workers = 2\n"
				     "memory = 1G\n"
				     "log_level = debug\n"
				     "supervise = no\n"
				     "gid = 0\n"
				     "[device:ssd]\n"
				     "path = /dev/sda\n"
				     "policy = weight-iosize\n"
				     "io_throttle = 16\n"
				     "isolation = strict\n"
				     "latency_target = 5ms\n"
				     "read_iops = 90000\n"
				     "read_bps = 2G\n"
				     "write_iops = auto\n"
				     "write_bps = 1000M\n"
				     "[group:inner]\n"
				     "parent = outer\n"
				     "weight = 1\n"
				     "[group:outer]\n"
				     "min_iops = 1000\n"
				     "min_bps = 2M\n"
				     "max_iops = 3000\n"
				     "max_bps = 4M\n"
				     "max_read_iops = 5000\n"
				     "max_read_bps = 6M\n"
				     "max_write_iops = 7000\n"
				     "max_write_bps = 8M\n"
				     "iops_size = 9K\n"
				     "burst = 10s\n"
				     "[vm1.img]\n"
				     "path = /srv/vm1.img\n"
				     "offset = 1M\n"
				     "size = 10G\n"
				     "device = ssd\n"
				     "parent = inner\n"
				     "weight = 10000\n"
				     "class = idle\n"
				     "burst = 100ms\n"
				     "iops_size = 90K\n"
				     "max_write_bps = 80K\n"
				     "max_write_iops = 70\n"
				     "max_read_bps = 60K\n"
				     "max_read_iops = 50\n"
				     "max_bps = 40K\n"
				     "max_iops = 30\n"
				     "min_bps = 20K\n"
				     "min_iops = 10\n"
				     "discard = ignore\n"
				     "buffered = yes\n"
				     "optional = yes\n"
				     "readonly = yes\n"
				     "uid = root\n"
				     "gid = 4294967294\n"
				     "mode = 640\n");
	const struct conf_file *file = &conf->files[0];

	(void)state;
	assert_int_equal(conf->main.workers, 2);
	assert_int_equal(conf->main.memory_bytes, 1 << 30);
	assert_int_equal(conf->main.log_level, CONF_LEVEL_DEBUG);
	assert_string_equal(conf->devices[0].path, "/dev/sda");
	assert_int_equal(conf->devices[0].path_where.line, 8);
	assert_int_equal(conf->devices[0].policy, CONF_POLICY_WEIGHT_IOSIZE);
	assert_int_equal(conf->devices[0].io_throttle, 16);
	assert_int_equal(conf->devices[0].isolation, CONF_ISOLATION_STRICT);
	assert_int_equal(conf->devices[0].latency_target_ns, 5000000);
	assert_int_equal(conf->devices[0].read_iops, 90000);
	assert_int_equal(conf->devices[0].read_bps, UINT64_C(2) << 30);
	assert_int_equal(conf->devices[0].write_iops, 0);
	assert_int_equal(conf->devices[0].write_bps, UINT64_C(1000) << 20);
	assert_int_equal(conf->groups[0].parent, 1);
	assert_int_equal(conf->groups[0].parent_where.line, 18);
	assert_int_equal(conf->groups[0].weight, 1);
	assert_int_equal(conf->groups[1].parent, -1);
	check_limits(&conf->groups[1].limits,
		     (const uint64_t[10]){1000, 2 << 20, 3000, 4 << 20, 5000, 6 << 20, 7000,
					  8 << 20, 9 << 10, UINT64_C(10000000000)});
	assert_int_equal(conf->groups[1].limits.min_iops_where.line, 21);
	assert_int_equal(conf->groups[1].limits.burst_where.line, 30);
	assert_int_equal(conf->groups[0].limits.min_iops_where.line, 17); /* not given */
	assert_true(conf_has_max(&conf->groups[1].limits));
	assert_int_equal(conf->parents_first[0], 1);
	assert_int_equal(conf->parents_first[1], 0);
	assert_string_equal(file->path, "/srv/vm1.img");
	assert_int_equal(file->offset_bytes, 1 << 20);
	assert_int_equal(file->size_bytes, UINT64_C(10) << 30);
	assert_int_equal(file->offset_where.line, 33);
	assert_int_equal(file->size_where.line, 34);
	assert_int_equal(file->range_where.line, 34);
	assert_int_equal(file->device, 0);
	assert_int_equal(file->device_where.line, 35);
	assert_int_equal(file->parent, 0);
	assert_int_equal(file->parent_where.line, 36);
	assert_int_equal(file->weight, 10000);
	assert_int_equal(file->class, CONF_CLASS_IDLE);
	check_limits(&file->limits, (const uint64_t[10]){10, 20 << 10, 30, 40 << 10, 50, 60 << 10,
							 70, 80 << 10, 90 << 10, 100000000});
	assert_int_equal(file->limits.burst_where.line, 39);
	assert_int_equal(file->limits.iops_size_where.line, 40);
	assert_int_equal(file->limits.min_bps_where.line, 47);
	assert_int_equal(file->limits.min_iops_where.line, 48);
	assert_int_equal(file->discard, CONF_DISCARD_IGNORE);
	assert_true(file->buffered);
	assert_true(file->optional);
	assert_true(file->readonly);
	assert_int_equal(file->uid, 0);
	assert_int_equal(file->gid, 4294967294U);
	assert_int_equal(file->mode, 0640);
	conf_free(conf);
}

static void test_comments_blank_lines_separators(void **state)
{
	struct conf *conf = accepted("; comment\n"
				     "# comment [x] = 5\n"
				     "\n"
				     "   \t\n"
				     "  ; indented comment\n"
				     "\t# another\n"
				     "[vm1.img] ; comment\n"
				     "path=/dev/a;b\n"
				     "weight : 7 ; comment = 8\n"
				     "[vm2.img]# comment\n"
				     "path =\t/dev/b c\t ;comment\n"
				     "weight=9"); /* no newline */

	(void)state;
	assert_string_equal(conf->files[0].path, "/dev/a;b");
	assert_int_equal(conf->files[0].weight, 7);
	assert_int_equal(conf->files[0].path_where.line, 8);
	assert_string_equal(conf->files[1].path, "/dev/b c");
	assert_int_equal(conf->files[1].weight, 9);
	conf_free(conf);
}

static void test_crlf_and_bom(void **state)
{
	struct conf *conf = accepted("\xef\xbb\xbf[vm1.img]\r\npath = /dev/a\r\n\r\nweight = 5\r");

	(void)state;
	assert_string_equal(conf->files[0].name, "vm1.img");
	assert_string_equal(conf->files[0].path, "/dev/a");
	assert_int_equal(conf->files[0].weight, 5);
	conf_free(conf);
	refused("[vm1.img]\n\xef\xbb\xbfpath = /x\n",
		"ioband.ini:1: [vm1.img] path: is missing, every file needs one\n"
		"ioband.ini:2: [vm1.img] \xef\xbb\xbfpath: unknown key; fuseband --help-config "
		"lists "
		"all\n");
}

static void test_utf8_names_and_paths(void **state)
{
	struct conf *conf =
		accepted("[v\xc3\xadrtu\xc3\xa1ln\xc3\xad \xf0\x9f\x92\xbe]\n"
			 "path = /srv/latin1-\xe9\ndevice = \xe7\xa3\x81\xe7\x9b\x98\n");

	(void)state;
	assert_string_equal(conf->files[0].name, "v\xc3\xadrtu\xc3\xa1ln\xc3\xad \xf0\x9f\x92\xbe");
	assert_string_equal(conf->files[0].path, "/srv/latin1-\xe9"); /* paths are bytes */
	assert_string_equal(conf->devices[0].name, "\xe7\xa3\x81\xe7\x9b\x98");
	conf_free(conf);
}

static void test_sections_may_refer_forward_and_across_files(void **state)
{
	struct conf_source sources[] = {
		source_of("a.ini",
			  "[fuseband]\nworkers = 3\n[vm1]\npath = /1\ndevice = disk\nparent = g\n",
			  64),
		source_of("b.ini", "[group:g]\n[device:disk]\npolicy = weight\n", 0),
		source_of("c.ini", "[vm2]\npath = /2\ndevice = disk\n", 0),
	};
	struct conf *conf;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		sources[i].len = strlen(sources[i].text);
	conf = accepted_texts(sources, 3);
	assert_int_equal(conf->main.workers, 3);
	assert_int_equal(conf->n_files, 2);
	assert_int_equal(conf->n_devices, 1);
	assert_int_equal(conf->devices[0].policy, CONF_POLICY_WEIGHT);
	assert_int_equal(conf->files[0].device, 0);
	assert_int_equal(conf->files[1].device, 0);
	assert_int_equal(conf->files[0].parent, 0);
	assert_string_equal(conf->files[1].where.file, "c.ini");
	conf_free(conf);
}

static void test_undeclared_devices_are_made(void **state)
{
	struct conf *conf = accepted("[vm1]\npath = /1\ndevice = z\n[vm2]\npath = /2\ndevice = a\n"
				     "[vm3]\npath = /3\ndevice = z\n[device:m]\n");

	(void)state;
	assert_int_equal(conf->n_devices, 3);
	assert_string_equal(conf->devices[0].name, "m");
	assert_true(conf->devices[0].declared);
	assert_string_equal(conf->devices[1].name, "a");
	assert_string_equal(conf->devices[2].name, "z");
	assert_false(conf->devices[2].declared);
	assert_int_equal(conf->devices[2].where.line, 3);
	assert_int_equal(conf->devices[2].isolation, CONF_ISOLATION_AUTO);
	assert_int_equal(conf->files[0].device, 2);
	assert_int_equal(conf->files[1].device, 1);
	assert_int_equal(conf->files[2].device, 2);
	conf_free(conf);
}

static void test_kinds_of_sections_have_names_of_their_own(void **state)
{
	struct conf *conf =
		accepted("[x]\npath = /x\nparent = x\ndevice = x\n[group:x]\n[device:x]\n");

	(void)state;
	assert_int_equal(conf->files[0].parent, 0);
	assert_int_equal(conf->files[0].device, 0);
	conf_free(conf);
}

/* ---- conf_parse: lines ---- */

static void test_nothing_to_serve(void **state)
{
	(void)state;
	refused("", "ioband.ini: no files to serve\n");
	refused("; nothing\n\n", "ioband.ini: no files to serve\n");
	refused("[fuseband]\n[group:g]\n[device:d]\n", "ioband.ini: no files to serve\n");
	refused_texts(NULL, 0, "no files to serve\n");
	/* what was to be a file is complaint enough */
	refused("[.vm1]\npath = /x\n", "ioband.ini:1: [.vm1] the name begins with \".\"\n");
}

static void test_long_lines(void **state)
{
	char text[512], message[512];
	struct conf *conf;

	(void)state;
	/* "path = /" and 190 x: 198 bytes */
	snprintf(text, sizeof(text), "[vm]\npath = /%0190d\nweight = 5\r\n", 0);
	conf = accepted(text);
	assert_int_equal(strlen(conf->files[0].path), 191);
	assert_int_equal(conf->files[0].weight, 5);
	conf_free(conf);
	snprintf(text, sizeof(text), "[vm]\npath = /%0190d\r\nweight = 5\r\n", 0);
	conf = accepted(text);
	assert_int_equal(strlen(conf->files[0].path), 191);
	conf_free(conf);
	snprintf(message, sizeof(message),
		 "ioband.ini:1: [vm] path: is missing, every file needs one\n"
		 "ioband.ini:2: the line is 199 bytes long, at most 198 are allowed\n");
	snprintf(text, sizeof(text), "[vm]\npath = /%0191d\nweight = 5\n", 0);
	refused(text, message);
	snprintf(text, sizeof(text), "[vm]\nweight = 5\npath = /%0191d", 0);
	refused(text, "ioband.ini:1: [vm] path: is missing, every file needs one\n"
		      "ioband.ini:3: the line is 199 bytes long, at most 198 are allowed\n");
	/* comments too: inih would take the rest for a line */
	snprintf(text, sizeof(text), VM ";%0400d\n", 0);
	refused(text, "ioband.ini:3: the line is 401 bytes long, at most 198 are allowed\n");
	/* whose the keys below a lost header are is not known */
	snprintf(text, sizeof(text), VM "[%0300d]\npath = /y\nfoo\n", 0);
	refused(text, "ioband.ini:3: the line is 302 bytes long, at most 198 are allowed\n"
		      "ioband.ini:5: \"foo\" is neither \"[section]\" nor \"key = value\"\n");
}

static void test_long_names(void **state)
{
	char text[512], message[512];
	struct conf *conf;

	(void)state;
	snprintf(text, sizeof(text), "[%049d]\npath = /x\n", 1);
	conf = accepted(text);
	assert_int_equal(strlen(conf->files[0].name), 49);
	conf_free(conf);
	snprintf(text, sizeof(text), "[%050d]\npath = /x\nwieght = 5\n", 1);
	snprintf(message, sizeof(message),
		 "ioband.ini:1: [%050d] the name in brackets is 50 bytes long, at most 49 are "
		 "allowed\n"
		 "ioband.ini:3: [%049d] wieght: unknown key; did you mean \"weight\"?\n",
		 1, 0);
	refused(text, message);
	snprintf(text, sizeof(text), VM "[group:%044d]\n", 1);
	snprintf(
		message, sizeof(message),
		"ioband.ini:3: [group:%044d] the name in brackets is 50 bytes long, at most 49 are "
		"allowed\n",
		1);
	refused(text, message);
	snprintf(text, sizeof(text), VM "device = %049d\n", 1);
	conf_free(accepted(text));
	snprintf(text, sizeof(text), "%050d", 1);
	file_refused("device", text, "is longer than 49 bytes");
	snprintf(text, sizeof(text), VM "k%049d = 1\n", 1);
	snprintf(message, sizeof(message),
		 "ioband.ini:3: [vm1.img] k%049d: the key is 50 bytes long, at most 49 are "
		 "allowed\n",
		 1);
	refused(text, message);
}

static void test_indented_lines(void **state)
{
	static const char *const lines[] = {" weight = 5", "\tweight = 5", "  /more", " [vm2]"};
	char text[128];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		snprintf(text, sizeof(text), VM "%s\n", lines[i]);
		refused(text, "ioband.ini:3: the line is indented; it would continue the value "
			      "above\n");
	}
	refused("[vm1]\n path = /x\n",
		"ioband.ini:1: [vm1] path: is missing, every file needs one\n"
		"ioband.ini:2: the line is indented; it would continue the value above\n");
}

static void test_nul_and_control_characters(void **state)
{
	(void)state;
	refused_bytes(VM "weight = 5\0"
			 "0\n",
		      strlen(VM) + 13, "ioband.ini:3: the line contains a NUL byte\n");
	refused_bytes(VM ";\0\n[\0]\nwrong = 5\n", strlen(VM) + 17,
		      "ioband.ini:3: the line contains a NUL byte\n"
		      "ioband.ini:4: the line contains a NUL byte\n");
	refused(VM "weight = 5\x1b[0m\n",
		"ioband.ini:3: the line contains the control character \\x1b\n");
	refused(VM "we\rght = 5\n",
		"ioband.ini:3: the line contains the control character \\x0d\n");
	refused(VM "\x7f\n", "ioband.ini:3: the line contains the control character \\x7f\n");
}

static void test_malformed_lines(void **state)
{
	(void)state;
	refused("weight = 5\n" VM, "ioband.ini:1: weight: stands before any [section]\n");
	refused(VM "weight\n",
		"ioband.ini:3: \"weight\" is neither \"[section]\" nor \"key = value\"\n");
	refused(VM "some ;words = 5\n", "ioband.ini:3: \"some ;words = 5\" is neither "
					"\"[section]\" nor \"key = value\"\n");
	refused(VM "weight =\n", "ioband.ini:3: [vm1.img] weight: has no value\n");
	refused(VM "weight = ; 5\n", "ioband.ini:3: [vm1.img] weight: has no value\n");
	refused(VM "= 5\n", "ioband.ini:3: [vm1.img] a value without a key\n");
	refused(VM "[vm2\nweight = x\n", "ioband.ini:3: \"[\" without \"]\"\n");
	refused(VM "[vm2 ;]\nweight = x\n", "ioband.ini:3: \"[\" without \"]\"\n");
	refused(VM "[vm2] x\npath = /2\n", "ioband.ini:3: text after \"]\"\n");
	refused(VM "[vm2]]\npath = /2\n", "ioband.ini:3: text after \"]\"\n");
	refused(VM "weight = 5 # five\n",
		"ioband.ini:3: [vm1.img] weight: \"5 # five\" has a \"#\" in it: comments after a "
		"value begin with \";\"\n");
	refused(VM "weight = 5;five\n",
		"ioband.ini:3: [vm1.img] weight: \"5;five\" is not a number from 1 to 10000\n");
}

/* ---- conf_parse: sections and keys ---- */

static void test_unknown_sections(void **state)
{
	(void)state;
	refused(VM "[devices:x]\nfoo = 1\n",
		"ioband.ini:3: [devices:x] unknown kind of section; did you mean \"device:\"?\n");
	refused(VM "[dev:x]\n",
		"ioband.ini:3: [dev:x] unknown kind of section; did you mean \"device:\"?\n");
	refused(VM "[gruop:x]\n",
		"ioband.ini:3: [gruop:x] unknown kind of section; did you mean \"group:\"?\n");
	refused(VM "[vm:1]\n", "ioband.ini:3: [vm:1] unknown kind of section; there are device:, "
			       "group: and disk:, and file names have no colon\n");
	refused(VM "[:x]\n", "ioband.ini:3: [:x] unknown kind of section; there are device:, "
			     "group: and disk:, and file names have no colon\n");
	refused(VM "[fuseband:x]\n",
		"ioband.ini:3: [fuseband:x] unknown kind of section; there are device:, "
		"group: and disk:, and file names have no colon\n");
}

static void test_names(void **state)
{
	static const struct {
		const char *name, *reason;
	} bad[] = {
		{"", "is empty"},
		{"a/b", "contains \"/\""},
		{"..", "begins with \".\""},
		{".fuseband", "begins with \".\""},
		{" a", "begins or ends with a blank"},
		{"a ", "begins or ends with a blank"},
		{"a\t", "contains a control character"},
		{"\xff", "is not valid UTF-8"},
		{"a\xc3", "is not valid UTF-8"},
		{"\xc0\x80", "is not valid UTF-8"},	/* overlong NUL */
		{"\xed\xa0\x80", "is not valid UTF-8"}, /* a surrogate */
		{"\xc2\x9b", "is not valid UTF-8"},	/* CSI: not for terminals */
	};
	char text[128], *all;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct conf_source source;
		struct conf_text texts;

		for (int kind = 0; kind < 3; kind++) {
			static const char *const prefixes[] = {"", "device:", "group:"};
			struct conf_errors errors = {NULL, 0};
			struct conf *conf;

			snprintf(text, sizeof(text), VM "[%s%s]\n", prefixes[kind], bad[i].name);
			source = source_of("ioband.ini", text, strlen(text));
			texts = text_of(&source, 1);
			assert_int_equal(conf_parse(&texts, &errors, &conf), -EINVAL);
			all = joined(&errors);
			assert_non_null(strstr(all, bad[i].reason));
			assert_int_equal(errors.n, 1);
			free(all);
			conf_errors_free(&errors);
		}
	}
	refused(VM "[device:fuseband]\n", "ioband.ini:3: [device:fuseband] the name is reserved\n");
	refused(VM "[group:a:b]\n", "ioband.ini:3: [group:a:b] the name contains \":\"\n");
	file_refused("device", "a/b", "contains \"/\"");
	file_refused("device", "fuseband", "is reserved");
	file_refused("device", ".a", "begins with \".\"");
	file_refused("parent", "group:a", "contains \":\"");
	refused(VM "device = \xff\n",
		"ioband.ini:3: [vm1.img] device: \"\\xff\" is not valid UTF-8\n");
}

static void test_duplicate_sections(void **state)
{
	struct conf_source sources[] = {
		source_of("a.ini", VM, strlen(VM)),
		source_of("b.ini", "[vm1.img]\nweight = x\n[group:g]\n[group:g]\n[fuseband]\n", 0),
		source_of("c.ini", "[fuseband]\n[vm1.img]\n[device:d]\n[device:d]\n", 0),
	};

	(void)state;
	for (size_t i = 0; i < 3; i++)
		sources[i].len = strlen(sources[i].text);
	refused_texts(sources, 3,
		      "b.ini:1: [vm1.img] is already at a.ini:1\n"
		      "b.ini:2: [vm1.img] weight: \"x\" is not a number from 1 to 10000\n"
		      "b.ini:4: [group:g] is already at b.ini:3\n"
		      "c.ini:1: [fuseband] is already at b.ini:5\n"
		      "c.ini:2: [vm1.img] is already at a.ini:1\n"
		      "c.ini:4: [device:d] is already at c.ini:3\n");
}

static void test_unknown_keys(void **state)
{
	(void)state;
	refused(VM "wieght = 5\n",
		"ioband.ini:3: [vm1.img] wieght: unknown key; did you mean \"weight\"?\n");
	refused(VM "max_read_iop = 5\n", "ioband.ini:3: [vm1.img] max_read_iop: unknown key; did "
					 "you mean \"max_read_iops\"?\n");
	refused(VM "read-only = yes\n",
		"ioband.ini:3: [vm1.img] read-only: unknown key; did you mean \"readonly\"?\n");
	refused(VM "Weight = 5\n",
		"ioband.ini:3: [vm1.img] Weight: unknown key; did you mean \"weight\"?\n");
	refused(VM "io_throttle = 5\n", "ioband.ini:3: [vm1.img] io_throttle: unknown key here; it "
					"belongs to [device:NAME]\n");
	refused(VM "[fuseband]\nweight = 5\n", "ioband.ini:4: [fuseband] weight: unknown key here; "
					       "it belongs to [group:NAME] and files\n");
	refused(VM "cache = none\n", "ioband.ini:3: [vm1.img] cache: unknown key; fuseband "
				     "--help-config lists all\n");
	refused(VM "\xff\xfe = 5\n", "ioband.ini:3: [vm1.img] \\xff\\xfe: unknown key; fuseband "
				     "--help-config lists all\n");
}

static void test_duplicate_keys(void **state)
{
	(void)state;
	refused(VM "weight = 5\n\nweight = 5\nweight = x\npath = /y\n",
		"ioband.ini:5: [vm1.img] weight: is already set in line 3\n"
		"ioband.ini:6: [vm1.img] weight: is already set in line 3\n"
		"ioband.ini:6: [vm1.img] weight: \"x\" is not a number from 1 to 10000\n"
		"ioband.ini:7: [vm1.img] path: is already set in line 2\n");
	conf_free(accepted("[a]\nweight = 5\npath = /a\n[b]\nweight = 5\npath = /b\n"));
}

static void test_path_is_required(void **state)
{
	(void)state;
	refused("[vm1]\n\n[vm2]\nweight = 5\n",
		"ioband.ini:1: [vm1] path: is missing, every file needs one\n"
		"ioband.ini:3: [vm2] path: is missing, every file needs one\n");
	refused("[vm1]\npath = relative\n",
		"ioband.ini:2: [vm1] path: \"relative\" is not an absolute path\n");
	refused("[vm1]\npath = \"/x\"\n", "ioband.ini:2: [vm1] path: \"\"/x\"\" is not an absolute "
					  "path; write it without quotes\n");
}

/* ---- conf_parse: values ---- */

static void test_numbers(void **state)
{
	/* clang-format off */
	static const char *const bad[] = {
		"0", "10001", "-1", "+1", "1.5", "0x10", "1e3", "1K", "1 0", "abc", "auto",
		"\"5\"", "18446744073709551617"};
	/* clang-format on */

	(void)state;
	CHECK_VALUE("vm1.img", "weight", "1", files[0].weight, 1);
	CHECK_VALUE("vm1.img", "weight", "10000", files[0].weight, 10000);
	CHECK_VALUE("vm1.img", "weight", "0100", files[0].weight, 100); /* not octal */
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		file_refused("weight", bad[i],
			     bad[i][0] == '"'
				     ? "is not a number from 1 to 10000; write it without quotes"
				     : "is not a number from 1 to 10000");
	CHECK_VALUE("fuseband", "workers", "64", main.workers, 64);
	CHECK_VALUE("fuseband", "workers", "auto", main.workers, 0);
	value_refused("fuseband", "workers", "0", "is not auto or a number from 1 to 64");
	value_refused("fuseband", "workers", "65", "is not auto or a number from 1 to 64");
	CHECK_VALUE("device:d", "io_throttle", "4096", devices[0].io_throttle, 4096);
	CHECK_VALUE("device:d", "io_throttle", "auto", devices[0].io_throttle, 0);
	value_refused("device:d", "io_throttle", "4097", "is not auto or a number from 1 to 4096");
	value_refused("group:g", "weight", "0", "is not a number from 1 to 10000");
}

static void test_sizes(void **state)
{
	/* clang-format off */
	static const char *const bad[] = {
		"1KB", "1k", "1KiB", "K", "1 K", "1.5G", "-1K", "0x200", "2097153T",
		"16777216T", "18446744073709551616", "99999999999999999999999", "auto", "1s"};
	/* clang-format on */

	(void)state;
	CHECK_VALUE("vm1.img", "size", "0", files[0].size_bytes, 0);
	CHECK_VALUE("vm1.img", "size", "512", files[0].size_bytes, 512);
	CHECK_VALUE("vm1.img", "size", "3K", files[0].size_bytes, 3 << 10);
	CHECK_VALUE("vm1.img", "size", "3M", files[0].size_bytes, 3 << 20);
	CHECK_VALUE("vm1.img", "offset", "3G", files[0].offset_bytes, UINT64_C(3) << 30);
	CHECK_VALUE("vm1.img", "offset", "2097152T", files[0].offset_bytes, UINT64_C(1) << 61);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		file_refused("size", bad[i], "is not a size from 0 to 2097152T");
	file_refused("size", "513", "is not a multiple of 512");
	file_refused("offset", "1000", "is not a multiple of 512");
	CHECK_VALUE("fuseband", "memory", "16M", main.memory_bytes, 16 << 20);
	CHECK_VALUE("fuseband", "memory", "auto", main.memory_bytes, 0);
	value_refused("fuseband", "memory", "16777215", "is not auto or a size from 16M to 1024T");
	value_refused("fuseband", "memory", "0", "is not auto or a size from 16M to 1024T");
}

static void test_capability(void **state)
{
	static const char iops[] =
		"is not auto or a number of I/Os per second from 1 to 1000000000";
	static const char bps[] = "is not auto or a number of bytes per second from 1 to 9T";

	(void)state;
	CHECK_VALUE("device:d", "read_iops", "1000000000", devices[0].read_iops, 1000000000);
	CHECK_VALUE("device:d", "write_iops", "auto", devices[0].write_iops, 0);
	value_refused("device:d", "read_iops", "10K", iops);
	value_refused("device:d", "write_iops", "0", iops);
	CHECK_VALUE("device:d", "read_bps", "9T", devices[0].read_bps, UINT64_C(9) << 40);
	CHECK_VALUE("device:d", "write_bps", "1", devices[0].write_bps, 1);
	value_refused("device:d", "read_bps", "10T", bps);
	value_refused("device:d", "write_bps", "0", bps);
}

static void test_times(void **state)
{
	static const char *const bad[] = {"1",	 "10m",	 "1h",	  "s",
					  "1 s", "0.5s", "3601s", "18446744073709551615s",
					  "-1s", "auto"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		file_refused("burst", bad[i], "is not a time (us, ms, s) from 0 to 3600s");
	CHECK_VALUE("vm1.img", "burst", "10ms", files[0].limits.burst_ns, 10000000);
	CHECK_VALUE("vm1.img", "burst", "3600s", files[0].limits.burst_ns, UINT64_C(3600000000000));
	CHECK_VALUE("group:g", "burst", "0", groups[0].limits.burst_ns, 0);
	CHECK_VALUE("device:d", "latency_target", "0ms", devices[0].latency_target_ns, 0);
	CHECK_VALUE("device:d", "latency_target", "250us", devices[0].latency_target_ns, 250000);
	value_refused("device:d", "latency_target", "11s",
		      "is not a time (us, ms, s) from 0 to 10s");
}

static void test_limits(void **state)
{
	static const char iops[] = "is not a number of I/Os per second from 0 to 1000000000";
	static const char bps[] = "is not a number of bytes per second from 0 to 9T";
	static const char size[] = "is not a size from 512 to 1G";

	(void)state;
	CHECK_VALUE("vm1.img", "max_iops", "1000000000", files[0].limits.max_iops, 1000000000);
	CHECK_VALUE("group:g", "min_iops", "1", groups[0].limits.min_iops, 1);
	CHECK_VALUE("vm1.img", "max_read_bps", "9T", files[0].limits.max_read_bps,
		    UINT64_C(9) << 40);
	CHECK_VALUE("group:g", "min_bps", "0", groups[0].limits.min_bps, 0);
	CHECK_VALUE("vm1.img", "iops_size", "512", files[0].limits.iops_size_bytes, 512);
	CHECK_VALUE("group:g", "iops_size", "1G", groups[0].limits.iops_size_bytes, 1 << 30);
	file_refused("max_iops", "5K", iops);
	file_refused("min_iops", "-1", iops);
	file_refused("max_write_iops", "1000000001", iops);
	value_refused("group:g", "max_read_iops", "auto", iops);
	file_refused("max_bps", "5x", bps);
	file_refused("min_bps", "10T", bps);
	file_refused("max_write_bps", "1.5M", bps);
	value_refused("group:g", "max_read_bps", "fast", bps);
	file_refused("iops_size", "0", size);
	file_refused("iops_size", "511", size);
	value_refused("group:g", "iops_size", "2G", size);
}

static void test_words(void **state)
{
	static const char *const bad[] = {"true", "false", "on", "1", "Yes", "y", "yes no"};

	(void)state;
	CHECK_VALUE("vm1.img", "readonly", "yes", files[0].readonly, true);
	CHECK_VALUE("vm1.img", "readonly", "no", files[0].readonly, false);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		file_refused("readonly", bad[i], "is not yes or no");
	CHECK_VALUE("device:d", "policy", "weight", devices[0].policy, CONF_POLICY_WEIGHT);
	value_refused("device:d", "policy", "iosize", "is not cost, weight or weight-iosize");
	CHECK_VALUE("device:d", "isolation", "auto", devices[0].isolation, CONF_ISOLATION_AUTO);
	CHECK_VALUE("device:d", "isolation", "throughput", devices[0].isolation,
		    CONF_ISOLATION_THROUGHPUT);
	value_refused("device:d", "isolation", "full", "is not auto, strict or throughput");
	CHECK_VALUE("vm1.img", "class", "realtime", files[0].class, CONF_CLASS_REALTIME);
	CHECK_VALUE("vm1.img", "class", "normal", files[0].class, CONF_CLASS_NORMAL);
	file_refused("class", "high", "is not realtime, normal or idle");
	refused(VM "[group:g]\nclass = idle\n",
		"ioband.ini:4: [group:g] class: unknown key here; it belongs to files\n");
	CHECK_VALUE("vm1.img", "discard", "pass", files[0].discard, CONF_DISCARD_PASS);
	file_refused("discard", "unmap", "is not pass or ignore");
	CHECK_VALUE("fuseband", "log_level", "error", main.log_level, CONF_LEVEL_ERROR);
	CHECK_VALUE("fuseband", "log_level", "warning", main.log_level, CONF_LEVEL_WARNING);
	value_refused("fuseband", "log_level", "warn", "is not error, warning, info or debug");
}

static void test_owners_and_mode(void **state)
{
	(void)state;
	CHECK_VALUE("vm1.img", "uid", "daemon", files[0].uid, 1);
	CHECK_VALUE("vm1.img", "uid", "4294967294", files[0].uid, 4294967294U);
	CHECK_VALUE("vm1.img", "gid", "daemon", files[0].gid, 1);
	CHECK_VALUE("vm1.img", "gid", "107", files[0].gid, 107);
	CHECK_VALUE("fuseband", "gid", "daemon", main.gid, 1);
	file_refused("uid", "4294967295", "is not a user name or number"); /* (uid_t)-1 */
	file_refused("uid", "99999999999999999999", "is not a user name or number");
	file_refused("uid", "-1", "is not a user name or number");
	file_refused("uid", "no such user", "is not a user name or number");
	file_refused("gid", "nosuchgroup", "is not a group name or number");
	CHECK_VALUE("vm1.img", "mode", "0", files[0].mode, 0);
	CHECK_VALUE("vm1.img", "mode", "777", files[0].mode, 0777);
	CHECK_VALUE("vm1.img", "mode", "0777", files[0].mode, 0777);
	file_refused("mode", "1777", "is not an octal number from 0 to 0777");
	file_refused("mode", "0o660", "is not an octal number from 0 to 0777");
	file_refused("mode", "888", "is not an octal number from 0 to 0777");
	file_refused("mode", "00660", "is not an octal number from 0 to 0777");
	file_refused("mode", "rw-rw----", "is not an octal number from 0 to 0777");
}

/* ---- conf_parse, conf_expand: disks ---- */

/* The table of [disk:NAME]: partitions of 1 MiB, number i at i MiB. */
static struct conf_table table_of(const char *disk, const unsigned *numbers, size_t n)
{
	struct conf_table table = {
		.disk = strdup(disk), .list = calloc(n, sizeof(*table.list)), .n = n};

	assert_true(table.disk && table.list);
	for (size_t i = 0; i < n; i++)
		table.list[i] = (struct conf_partition){.number = numbers[i],
							.start_bytes = (uint64_t)numbers[i] << 20,
							.size_bytes = 1 << 20,
							.about = strdup("GPT, type x")};
	return table;
}

/* Of "vm": 1, 2 and 11; of "vm1": 1. NULL: refused, *ret_said (or, if not, of notes) is why. */
static struct conf *expanded_conf(const char *ini, char **ret_said)
{
	static const unsigned vm[] = {1, 2, 11}, vm1[] = {1};
	struct conf_table tables[] = {table_of("vm", vm, 3), table_of("vm1", vm1, 1)};
	struct conf_errors errors = {NULL, 0}, notes = {NULL, 0};
	struct conf_source source = source_of("ioband.ini", ini, strlen(ini));
	struct conf_text text = {
		.sources = &source, .n_sources = 1, .tables = tables, .n_tables = 2};
	struct conf *conf;
	char *said = NULL;
	size_t len;
	FILE *out = open_memstream(&said, &len);
	int rc;

	assert_int_equal(conf_parse(&text, &errors, &conf), 0);
	rc = conf_expand(conf, &text, &errors, &notes);
	assert_int_equal(rc, errors.n ? -EINVAL : 0);
	for (size_t i = 0; i < errors.n; i++)
		fprintf(out, "%s\n", errors.list[i].text);
	for (size_t i = 0; i < notes.n; i++)
		fprintf(out, "note: %s\n", notes.list[i].text);
	fclose(out);
	*ret_said = said;
	conf_errors_free(&errors);
	conf_errors_free(&notes);
	conf_table_free(&tables[0]);
	conf_table_free(&tables[1]);
	if (rc == 0)
		return conf;
	conf_free(conf);
	return NULL;
}

static void expand_refused(const char *ini, const char *errors)
{
	char *said;

	assert_null(expanded_conf(ini, &said));
	assert_string_equal(said, errors);
	free(said);
}

static void test_disk(void **state)
{
	static const char *const names[] = {"a", "vm1", "vm2", "vm11"};
	char *said;
	struct conf *conf =
		expanded_conf("[disk:vm]\npath = /dev/sdb\nweight = 200\nclass = idle\n"
			      "min_bps = 1M\nparent = g\nuid = 7\n"
			      "[group:g]\n[group:h]\n[a]\npath = /a\n"
			      "[vm2]\nweight = 50\nparent = h\ndevice = d\nreadonly = yes\n",
			      &said);

	(void)state;
	assert_non_null(conf);
	assert_string_equal(said, "");
	free(said);
	assert_int_equal(conf->n_files, 4);
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(conf->files[i].name, names[i]);
	for (size_t i = 1; i < 4; i++) {
		const struct conf_file *file = &conf->files[i];
		unsigned number = i == 3 ? 11 : (unsigned)i;

		assert_string_equal(file->path, "/dev/sdb");
		assert_string_equal(file->about, "GPT, type x");
		assert_int_equal(file->partition, number);
		assert_int_equal(file->offset_bytes, (uint64_t)number << 20);
		assert_int_equal(file->size_bytes, 1 << 20);
		assert_int_equal(file->weight, i == 2 ? 50 : 200);
		assert_int_equal(file->class, CONF_CLASS_IDLE);
		assert_int_equal(file->limits.min_bps, 1 << 20);
		assert_int_equal(file->uid, 7);
		assert_int_equal(file->readonly, i == 2);
		assert_int_equal(file->parent, i == 2 ? 1 : 0);
		assert_int_equal(file->device, i == 2 ? 0 : -1);
		assert_int_equal(file->path_where.line, 2);
	}
	assert_int_equal(conf->files[0].partition, 0);
	assert_int_equal(conf->files[1].where.line, 1);
	assert_int_equal(conf->files[2].where.line, 12);
	conf_free(conf);
	/* nothing is on it yet */
	conf = expanded_conf("[disk:other]\npath = /dev/sdc\n", &said);
	assert_non_null(conf);
	assert_int_equal(conf->n_files, 0);
	free(said);
	conf_free(conf);
}

static void test_disk_names(void **state)
{
	char *said;
	struct conf *conf = expanded_conf("[disk:vm]\npath = /dev/sdb\n[vm3]\nweight = 5\n", &said);

	(void)state;
	assert_non_null(conf);
	assert_string_equal(said,
			    "note: ioband.ini:3: [vm3] /dev/sdb has no partition 3 now: nothing is "
			    "served under this name\n");
	free(said);
	conf_free(conf);
	expand_refused("[vm2]\npath = /a\n[disk:vm]\npath = /dev/sdb\n",
		       "ioband.ini:4: [vm2] is the name of partition 2 of /dev/sdb, and already at "
		       "ioband.ini:2\n");
	expand_refused(
		"[disk:vm]\npath = /dev/sdb\n[disk:vm1]\npath = /dev/sdc\n",
		"ioband.ini:4: [vm11] is the name of partition 1 of /dev/sdc, and already at "
		"ioband.ini:2\n");
	/* a promise that only the files can break */
	expand_refused(
		"[disk:vm]\npath = /dev/sdb\nparent = g\nmin_iops = 100\n"
		"[group:g]\nmax_iops = 250\n",
		"ioband.ini:5: [group:g] promises its members min_iops = 300 together, more than "
		"max_iops = 250 allows: lower theirs, or raise the cap\n");
	/* at most 4 digits, none of them a leading zero */
	refused("[disk:vm]\npath = /dev/sdb\n[vm01]\n[vm0]\n[vm10000]\n[vmx]\n[vm]\n",
		"ioband.ini:3: [vm01] path: is missing, every file needs one\n"
		"ioband.ini:4: [vm0] path: is missing, every file needs one\n"
		"ioband.ini:5: [vm10000] path: is missing, every file needs one\n"
		"ioband.ini:6: [vmx] path: is missing, every file needs one\n"
		"ioband.ini:7: [vm] path: is missing, every file needs one\n");
}

static void test_disk_long_name(void **state)
{
	static const unsigned numbers[] = {999999};
	struct conf_errors errors = {NULL, 0};
	char ini[200], name[50];
	struct conf_text text = {0};
	struct conf_table table;
	struct conf_source source;
	struct conf *conf;

	(void)state;
	snprintf(name, sizeof(name), "%044d", 0);
	snprintf(ini, sizeof(ini), "[disk:%s]\npath = /dev/sdb\n", name);
	source = source_of("ioband.ini", ini, strlen(ini));
	table = table_of(name, numbers, 1);
	text = (struct conf_text){
		.sources = &source, .n_sources = 1, .tables = &table, .n_tables = 1};
	assert_int_equal(conf_parse(&text, &errors, &conf), 0);
	assert_int_equal(conf_expand(conf, &text, &errors, NULL), -EINVAL);
	assert_int_equal(errors.n, 1);
	assert_non_null(
		strstr(errors.list[0].text,
		       "the file of partition 999999 would have a name of 50 bytes, at most "
		       "49 are allowed"));
	conf_free(conf);
	conf_errors_free(&errors);
	conf_table_free(&table);
}

static void test_disk_refused(void **state)
{
	(void)state;
	refused(VM "[disk:sda]\nweight = 5\n",
		"ioband.ini:3: [disk:sda] path: is missing, every disk needs one\n");
	refused(VM "[disk:sda]\npath = relative\nfoo = 5\noffset = 1M\n",
		"ioband.ini:4: [disk:sda] path: \"relative\" is not an absolute path\n"
		"ioband.ini:5: [disk:sda] foo: unknown key; fuseband --help-config lists all\n"
		"ioband.ini:6: [disk:sda] offset: unknown key here; it belongs to files\n");
	refused("[disk:a/b]\npath = /dev/sda\n",
		"ioband.ini:1: [disk:a/b] the name contains \"/\"\n");
	refused("[disk:a]\npath = /dev/sda\n[disk:a]\npath = /dev/sdb\n",
		"ioband.ini:3: [disk:a] is already at ioband.ini:1\n");
	refused("[disk:a]\npath = /dev/sda\nparent = x\n[a1]\nparent = y\nsize = 1M\noffset = 0\n",
		"ioband.ini:3: [disk:a] parent: \"x\" is not declared: there is no [group:x]\n"
		"ioband.ini:5: [a1] parent: \"y\" is not declared: there is no [group:y]\n"
		"ioband.ini:6: [a1] size: cannot be set: it is that of the partition\n"
		"ioband.ini:7: [a1] offset: cannot be set: it is that of the partition\n");
}

static void test_malformed_comes_before_not_supported(void **state)
{
	(void)state;
	value_refused("fuseband", "supervise", "maybe", "is not yes or no");
	value_refused("fuseband", "gid", "nosuchgroup", "is not a group name or number");
}

/* ---- conf_parse: names that refer ---- */

static void test_undeclared_groups(void **state)
{
	(void)state;
	refused("[vm1]\npath = /x\nparent = a\n[group:b]\nparent = c\n[device:a]\n",
		"ioband.ini:3: [vm1] parent: \"a\" is not declared: there is no [group:a]\n"
		"ioband.ini:5: [group:b] parent: \"c\" is not declared: there is no [group:c]\n");
}

static void test_group_cycles(void **state)
{
	char text[2048] = VM;

	(void)state;
	refused(VM "[group:a]\nparent = a\n",
		"ioband.ini:4: [group:a] parent: \"a\" makes a cycle: a -> a\n");
	/* d leads into the cycle but is not in it; two cycles, each once, at their first group */
	refused(VM "[group:d]\nparent = b\n[group:c]\nparent = b\n[group:b]\nparent = a\n"
		   "[group:a]\nparent = c\n[group:x]\nparent = y\n[group:y]\nparent = x\n"
		   "[group:fine]\n[group:finer]\nparent = fine\n",
		"ioband.ini:6: [group:c] parent: \"b\" makes a cycle: c -> b -> a -> c\n"
		"ioband.ini:12: [group:x] parent: \"y\" makes a cycle: x -> y -> x\n");
	for (int i = 0; i < 30; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 "[group:g%d]\nparent = g%d\n", i, (i + 1) % 30);
	refused(text, "ioband.ini:4: [group:g0] parent: \"g1\" makes a cycle: g0 -> g1 -> g2 -> g3 "
		      "-> g4 -> g5 -> g6 -> g7 -> g8 -> ...\n");
}

/* ---- conf_parse: promises below caps ---- */

#define NEVER " allows, and could never be met: lower it, or raise the cap\n"
#define TOGETHER " allows: lower theirs, or raise the cap\n"

static void test_min_above_own_max(void **state)
{
	(void)state;
	refused(VM "max_iops = 300\nmin_iops = 301\n",
		"ioband.ini:4: [vm1.img] min_iops: \"301\" is more than max_iops = 300" NEVER);
	conf_free(accepted(VM "max_iops = 300\nmin_iops = 300\n"));
	refused(VM "min_bps = 2000K\nmax_bps = 1M\n",
		"ioband.ini:3: [vm1.img] min_bps: \"2000K\" is more than max_bps = 1M" NEVER);
	/* reads alone are no limit to what may be writes */
	conf_free(accepted(VM "min_iops = 500\nmax_read_iops = 1\n"));
	refused(VM "min_iops = 500\nmax_read_iops = 1\nmax_write_iops = 498\n",
		"ioband.ini:3: [vm1.img] min_iops: \"500\" is more than max_read_iops + "
		"max_write_iops = 499" NEVER);
	refused(VM "[group:g]\nmin_bps = 3M\nmax_read_bps = 1M\nmax_write_bps = 1M\n",
		"ioband.ini:4: [group:g] min_bps: \"3M\" is more than max_read_bps + "
		"max_write_bps = 2M" NEVER);
	/* bytes come in I/Os of at most iops_size */
	refused(VM "min_bps = 1M\nmax_iops = 31\n",
		"ioband.ini:3: [vm1.img] min_bps: \"1M\" is more than max_iops = 31 of iops_size = "
		"32K" NEVER);
	conf_free(accepted(VM "min_bps = 1M\nmax_iops = 32\n"));
	conf_free(accepted(VM "min_bps = 1M\nmax_iops = 31\niops_size = 64K\n"));
}

static void test_min_above_max_of_a_group(void **state)
{
	(void)state;
	/* every cap that would still be in the way is named */
	refused("[group:top]\nmax_iops = 5\n[group:a]\nparent = top\nmax_iops = 10\n"
		"[group:b]\nparent = a\n" VM "parent = b\nmin_iops = 11\n",
		"ioband.ini:11: [vm1.img] min_iops: \"11\" is more than max_iops = 10 of "
		"[group:a]" NEVER
		"ioband.ini:11: [vm1.img] min_iops: \"11\" is more than max_iops = 5 of "
		"[group:top]" NEVER);
	refused("[group:top]\nmax_iops = 10\n[group:a]\nparent = top\nmax_iops = 10\n" VM
		"parent = a\nmin_iops = 11\n",
		"ioband.ini:9: [vm1.img] min_iops: \"11\" is more than max_iops = 10 of "
		"[group:a]" NEVER);
}

static void test_members_above_max_of_their_group(void **state)
{
	(void)state;
	refused("[group:a]\nmax_iops = 100\n[group:b]\nparent = a\nmin_iops = 70\n" VM
		"parent = b\nmin_iops = 30\n[vm2]\npath = /2\nparent = b\nmin_iops = 50\n"
		"[vm3]\npath = /3\nparent = a\nmin_iops = 21\n",
		"ioband.ini:1: [group:a] promises its members min_iops = 101 together, more than "
		"max_iops = 100" TOGETHER);
	/* the group's own is the larger one, and does not come on top of theirs */
	conf_free(accepted("[group:a]\nmax_iops = 100\nmin_iops = 100\n" VM
			   "parent = a\nmin_iops = 50\n[vm2]\npath = /2\nparent = a\n"
			   "min_iops = 50\n"));
	/* groups above know nothing of each other */
	conf_free(accepted("[group:a]\nmax_iops = 50\n[group:b]\nmax_iops = 50\n" VM
			   "parent = a\nmin_iops = 50\n[vm2]\npath = /2\nparent = b\n"
			   "min_iops = 50\n"));
}

/* An I/O of the group may be several of a member: of 32K, eight of 4K. */
static void test_promises_in_other_sizes(void **state)
{
	(void)state;
	conf_free(accepted("[group:a]\nmax_iops = 10\n" VM
			   "parent = a\niops_size = 4K\nmin_iops = 80\n"));
	refused("[group:a]\nmax_iops = 10\n" VM "parent = a\niops_size = 4K\nmin_iops = 81\n",
		"ioband.ini:7: [vm1.img] min_iops: \"81\" is more than max_iops = 10 of "
		"[group:a]" NEVER);
	/* but not the other way round: small ones count as one in both */
	conf_free(accepted("[group:a]\nmax_iops = 10\niops_size = 4K\n" VM
			   "parent = a\nmin_iops = 10\n"));
	/* no sum is too large to be compared */
	refused("[group:a]\nmax_bps = 8T\n[group:b]\nparent = a\nmin_bps = 9T\n" VM
		"parent = b\nmin_bps = 9T\n[vm2]\npath = /2\nparent = b\nmin_bps = 9T\n",
		"ioband.ini:1: [group:a] promises its members min_bps = 18T together, more than "
		"max_bps = 8T" TOGETHER);
}

/* ---- order and number of messages ---- */

static void test_all_messages_in_order(void **state)
{
	struct conf_source sources[] = {
		source_of("b.ini",
			  "[vm2]\nparent = nosuch\nweight = x\n[group:a]\nparent = a\n[vm2]\n", 0),
		source_of("a.ini", "junk\n[vm1]\npath = /x\nparent = nosuch\n", 0),
	};

	(void)state;
	for (size_t i = 0; i < 2; i++)
		sources[i].len = strlen(sources[i].text);
	refused_texts(
		sources, 2,
		"b.ini:1: [vm2] path: is missing, every file needs one\n"
		"b.ini:2: [vm2] parent: \"nosuch\" is not declared: there is no [group:nosuch]\n"
		"b.ini:3: [vm2] weight: \"x\" is not a number from 1 to 10000\n"
		"b.ini:5: [group:a] parent: \"a\" makes a cycle: a -> a\n"
		"b.ini:6: [vm2] is already at b.ini:1\n"
		"a.ini:1: \"junk\" is neither \"[section]\" nor \"key = value\"\n"
		"a.ini:4: [vm1] parent: \"nosuch\" is not declared: there is no [group:nosuch]\n");
}

static void test_too_many_messages(void **state)
{
	char text[8 * (CONF_ERRORS_MAX + 50)] = VM;
	struct conf_source source;
	struct conf_text texts;
	struct conf_errors errors = {NULL, 0};
	struct conf *conf;

	(void)state;
	for (int i = 0; i < CONF_ERRORS_MAX + 10; i++)
		strcat(text, "junk\n");
	source = source_of("ioband.ini", text, strlen(text));
	texts = text_of(&source, 1);
	assert_int_equal(conf_parse(&texts, &errors, &conf), -EINVAL);
	assert_int_equal(errors.n, CONF_ERRORS_MAX + 1);
	assert_string_equal(errors.list[CONF_ERRORS_MAX].text, "too many errors");
	conf_error_add(&errors, NULL, NULL, NULL, NULL, "one more");
	assert_int_equal(errors.n, CONF_ERRORS_MAX + 1);
	conf_errors_free(&errors);
	assert_int_equal(errors.n, 0);
	assert_null(errors.list);
}

/* ---- conf_error_add ---- */

static void test_message_form(void **state)
{
	const struct conf_where where = {"f.ini", 12}, whole = {"f.ini", 0};
	char value[101] = "", expected[256];
	struct conf_errors errors = {NULL, 0};

	(void)state;
	conf_error_add(&errors, &where, "vm1.img", "weight", "abc", "is not %d", 5);
	conf_error_add(&errors, &where, "vm1.img", NULL, NULL, "is bad");
	conf_error_add(&errors, &whole, NULL, NULL, NULL, "is bad");
	conf_error_add(&errors, NULL, NULL, "k", "v", "is bad");
	conf_error_add(&errors, &where, "a\x1b[", "k\n", "\xff\xc3\xa9\xc2\x9b\t\"", "is bad");
	memset(value, 'v', 100);
	conf_error_add(&errors, NULL, NULL, NULL, value, "is long");
	value[80] = '\0';
	conf_error_add(&errors, NULL, NULL, NULL, value, "is not");
	memcpy(value + 79, "\xc3\xa9", 3);
	conf_error_add(&errors, NULL, NULL, NULL, value, "would be cut in a letter");
	assert_int_equal(errors.n, 8);
	assert_string_equal(errors.list[0].text, "f.ini:12: [vm1.img] weight: \"abc\" is not 5");
	assert_string_equal(errors.list[1].text, "f.ini:12: [vm1.img] is bad");
	assert_string_equal(errors.list[2].text, "f.ini: is bad");
	assert_string_equal(errors.list[3].text, "k: \"v\" is bad");
	assert_string_equal(
		errors.list[4].text,
		"f.ini:12: [a\\x1b[] k\\x0a: \"\\xff\xc3\xa9\\xc2\\x9b\\x09\"\" is bad");
	snprintf(expected, sizeof(expected), "\"%.80s...\" is long",
		 "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv"
		 "v");
	assert_string_equal(errors.list[5].text, expected);
	assert_null(strstr(errors.list[6].text, "..."));
	assert_non_null(strstr(errors.list[7].text, "v...\""));
	conf_errors_free(&errors);
}

/* ---- conf_help ---- */

static void test_help(void **state)
{
	char *text = NULL, *line, *rest;
	size_t len, n_keys = 0;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	assert_non_null(out);
	conf_help(out);
	fclose(out);
	assert_non_null(strstr(text, "[fuseband]"));
	assert_non_null(strstr(text, "\n  weight\n      a number from 1 to 10000; default 100; "
				     "reload: live\n"));
	assert_non_null(strstr(text, "\n[disk:NAME]   a file for every partition of a disk"));
	assert_non_null(strstr(text, "And all keys of a file but path, offset and size"));
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		assert_in_range(strlen(line), 0, 79);
		n_keys += strncmp(line, "  ", 2) == 0 && line[2] != ' ';
	}
	assert_in_range(n_keys, 50, 100);
	free(text);
}

/* ---- random ---- */

static uint64_t random_state;

static uint64_t random_below(uint64_t n)
{
	uint64_t z = (random_state += UINT64_C(0x9e3779b97f4a7c15)); /* splitmix64 */

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31)) % n;
}

static const char good_text[] = "; every kind of section\n"
				"[fuseband]\n"
				"workers = 2\n"
				"memory = 64M\n"
				"[device:ssd]\n"
				"policy = cost ; as ever\n"
				"io_throttle = auto\n"
				"read_bps = 500M\n"
				"[group:acme]\n"
				"weight = 300\n"
				"max_iops = 1000\n"
				"burst = 5s\n"
				"[group:web]\n"
				"parent = acme\n"
				"min_iops = 500\n"
				"[vm1.img]\n"
				"path = /dev/sda11\n"
				"weight = 400\n"
				"parent = web\n"
				"mode = 0640\n"
				"[vm2.img]\r\n"
				"path = /srv/vm2.img\r\n"
				"offset = 1M\n"
				"size = 10G\n"
				"device = ssd\n"
				"readonly = yes\n"
				"class = idle\n"
				"min_bps = 1M\n"
				"max_bps = 10M\n";

/* inih alone, on a text that conf_parse() accepted, has to find the same. */
static int compare_pair(void *arg, const char *section, const char *name, const char *value)
{
	const struct conf *conf = arg;

	for (size_t i = 0; i < conf->n_files; i++) {
		const struct conf_file *file = &conf->files[i];

		if (strcmp(file->name, section) != 0)
			continue;
		if (strcmp(name, "path") == 0)
			assert_string_equal(file->path, value);
		if (strcmp(name, "weight") == 0)
			assert_int_equal(file->weight, atoi(value));
		if (strcmp(name, "parent") == 0)
			assert_string_equal(conf->groups[file->parent].name, value);
		if (strcmp(name, "device") == 0)
			assert_string_equal(conf->devices[file->device].name, value);
		return 1;
	}
	assert_true(strcmp(section, "fuseband") == 0 || strchr(section, ':') != NULL);
	return 1;
}

static void check_accepted(struct conf *conf, const char *text)
{
	assert_in_range(conf->n_files, 1, 1000);
	for (size_t i = 0; i < conf->n_files; i++) {
		const struct conf_file *file = &conf->files[i];

		assert_int_equal(file->path[0], '/');
		assert_in_range(file->weight, 1, CONF_WEIGHT_MAX);
		assert_in_range(file->device + 1, 0, conf->n_devices);
		assert_in_range(file->parent + 1, 0, conf->n_groups);
		assert_int_equal(file->size_bytes % 512, 0);
		assert_true(!file->limits.max_bps || file->limits.min_bps <= file->limits.max_bps);
		for (int g = file->parent; g >= 0; g = conf->groups[g].parent)
			assert_true(!conf->groups[g].limits.max_bps ||
				    file->limits.min_bps <= conf->groups[g].limits.max_bps);
		assert_null(strchr(file->name, '/'));
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(file->name, conf->files[j].name);
	}
	for (size_t i = 0; i < conf->n_groups; i++) {
		size_t steps = 0, place = 0;

		for (int j = conf->groups[i].parent; j >= 0; j = conf->groups[j].parent)
			assert_in_range(++steps, 1, conf->n_groups);
		while (conf->parents_first[place] != i) /* every group has one */
			assert_in_range(++place, 0, conf->n_groups - 1);
		for (size_t k = place; k < conf->n_groups; k++)
			assert_int_not_equal(conf->groups[i].parent, conf->parents_first[k]);
	}
	assert_int_equal(ini_parse_string(text, compare_pair, conf), 0);
}

/* Messages come in the order of their lines, and none is empty or upsets a terminal. */
static void check_messages(const struct conf_errors *errors)
{
	int last = 0;

	for (size_t i = 0; i < errors->n; i++) {
		const char *text = errors->list[i].text;
		int line = 0;

		assert_int_equal(strncmp(text, "random.ini:", 11), 0);
		if (sscanf(text + 11, "%d", &line) == 1)
			assert_in_range(line, last, 10000);
		last = line;
		for (; *text; text++)
			assert_true((unsigned char)*text >= 0x20 && *text != 0x7f);
	}
}

/* Replace, insert or delete a few bytes; or copy, drop a line. */
static size_t mutate(char *text, size_t len, size_t room)
{
	/* clang-format off */
	static const char *const pieces[] = {
		"\n", "[", "]", "=", ":", ";", " ;", " ", "\t", "\r", "\n[vm3]\n", "\npath=/",
		"weight=1\n", "0", "9", "\xc3", "\xc3\xa9", "\xef\xbb\xbf", "group:", "device:",
		"\n[group:web]\n", "parent = web\n", "parent = acme\n", "K", "T",
		"18446744073709551615", ".", "/", "auto", "min_bps = 2M\n", "max_bps = 1M\n"};
	/* clang-format on */
	size_t at = random_below(len + 1), n;
	const char *piece;

	switch (random_below(5)) {
	case 0: /* a random byte */
		if (at < len)
			text[at] = (char)random_below(256);
		return len;
	case 1: /* a piece */
		piece = pieces[random_below(sizeof(pieces) / sizeof(pieces[0]))];
		n = strlen(piece);
		if (len + n > room)
			return len;
		memmove(text + at + n, text + at, len - at);
		memcpy(text + at, piece, n);
		return len + n;
	case 2: /* a few bytes less */
		n = random_below(6);
		if (at + n > len)
			return len;
		memmove(text + at, text + at + n, len - at - n);
		return len - n;
	case 3: /* a stretch twice */
		n = random_below(40);
		if (at + n > len || len + n > room)
			return len;
		memmove(text + at + n, text + at, len - at);
		return len + n;
	default: /* a flipped bit */
		if (at < len)
			text[at] = (char)(text[at] ^ 1 << random_below(8));
		return len;
	}
}

static void test_random_mutations(void **state)
{
	const char *seed = getenv("SEED"), *rounds = getenv("ROUNDS");
	unsigned long n_rounds = rounds ? strtoul(rounds, NULL, 0) : 5000, n_accepted = 0;

	(void)state;
	random_state = seed ? strtoull(seed, NULL, 0)
			    : (unsigned long long)time(NULL) << 20 | (unsigned)getpid();
	print_message("SEED=%" PRIu64 "\n", random_state);
	for (unsigned long round = 0; round < n_rounds; round++) {
		char *text = malloc(2048 + 1), *exact;
		size_t len = sizeof(good_text) - 1, n = 1 + random_below(4);
		struct conf_errors errors = {NULL, 0};
		struct conf *conf = NULL;
		struct conf_source source;
		struct conf_text texts;
		int rc;

		assert_non_null(text);
		memcpy(text, good_text, len);
		while (n-- > 0)
			len = mutate(text, len, 2048);
		exact = malloc(len + 1); /* so that a sanitizer sees a step too far */
		assert_non_null(exact);
		memcpy(exact, text, len);
		exact[len] = '\0';
		source = source_of("random.ini", exact, len);
		texts = text_of(&source, 1);
		rc = conf_parse(&texts, &errors, &conf);
		if (rc == 0) {
			assert_int_equal(errors.n, 0);
			check_accepted(conf, exact);
			n_accepted++;
		} else {
			assert_int_equal(rc, -EINVAL);
			assert_in_range(errors.n, 1, CONF_ERRORS_MAX + 1);
			check_messages(&errors);
		}
		conf_errors_free(&errors);
		conf_free(conf);
		free(exact);
		free(text);
	}
	print_message("%lu of %lu accepted\n", n_accepted, n_rounds);
	assert_in_range(n_accepted, n_rounds / 100, n_rounds);
}

int main(void)
{
#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_read_file_then_directory_by_name),
		IN_DIRECTORY(test_read_refuses_what_is_no_file),
		IN_DIRECTORY(test_read_refuses_large_files),
		IN_DIRECTORY(test_read_names_every_unreadable_file),
		cmocka_unit_test(test_read_takes_a_pipe_as_descriptor),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_key),
		cmocka_unit_test(test_comments_blank_lines_separators),
		cmocka_unit_test(test_crlf_and_bom),
		cmocka_unit_test(test_utf8_names_and_paths),
		cmocka_unit_test(test_sections_may_refer_forward_and_across_files),
		cmocka_unit_test(test_undeclared_devices_are_made),
		cmocka_unit_test(test_kinds_of_sections_have_names_of_their_own),
		cmocka_unit_test(test_nothing_to_serve),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_indented_lines),
		cmocka_unit_test(test_nul_and_control_characters),
		cmocka_unit_test(test_malformed_lines),
		cmocka_unit_test(test_unknown_sections),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_duplicate_sections),
		cmocka_unit_test(test_unknown_keys),
		cmocka_unit_test(test_duplicate_keys),
		cmocka_unit_test(test_path_is_required),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_capability),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_owners_and_mode),
		cmocka_unit_test(test_disk),
		cmocka_unit_test(test_disk_names),
		cmocka_unit_test(test_disk_long_name),
		cmocka_unit_test(test_disk_refused),
		cmocka_unit_test(test_malformed_comes_before_not_supported),
		cmocka_unit_test(test_undeclared_groups),
		cmocka_unit_test(test_group_cycles),
		cmocka_unit_test(test_min_above_own_max),
		cmocka_unit_test(test_min_above_max_of_a_group),
		cmocka_unit_test(test_members_above_max_of_their_group),
		cmocka_unit_test(test_promises_in_other_sizes),
		cmocka_unit_test(test_all_messages_in_order),
		cmocka_unit_test(test_too_many_messages),
		cmocka_unit_test(test_message_form),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_random_mutations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
