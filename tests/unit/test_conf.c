/* SPDX-License-Identifier: MIT */
/* test_conf.c - conf.h: what is accepted, in which form and order complaints come, help. */
#include "tests/unit/conf_rig.h"

/* ---- what is accepted ---- */

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_key),
		cmocka_unit_test(test_comments_blank_lines_separators),
		cmocka_unit_test(test_crlf_and_bom),
		cmocka_unit_test(test_utf8_names_and_paths),
		cmocka_unit_test(test_sections_may_refer_forward_and_across_files),
		cmocka_unit_test(test_undeclared_devices_are_made),
		cmocka_unit_test(test_kinds_of_sections_have_names_of_their_own),
		cmocka_unit_test(test_all_messages_in_order),
		cmocka_unit_test(test_too_many_messages),
		cmocka_unit_test(test_message_form),
		cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
