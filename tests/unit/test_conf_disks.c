/* SPDX-License-Identifier: MIT */
/* test_conf_disks.c - conf_parse() and conf_expand(): a file for every partition of a disk. */
#include "tests/unit/conf_rig.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_disk),
		cmocka_unit_test(test_disk_names),
		cmocka_unit_test(test_disk_long_name),
		cmocka_unit_test(test_disk_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
