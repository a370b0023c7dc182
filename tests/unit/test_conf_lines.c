/* SPDX-License-Identifier: MIT */
/* test_conf_lines.c - conf_parse(): lines, sections and keys that are refused. */
#include "tests/unit/conf_rig.h"

/* ---- lines ---- */

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

/* ---- sections and keys ---- */

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

int main(void)
{
	const struct CMUnitTest tests[] = {
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
