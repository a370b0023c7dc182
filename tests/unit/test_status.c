/* SPDX-License-Identifier: MIT */
/*
 * test_status.c - unit tests of text.h and status.h: strings and numbers as JSON and Prometheus
 * want them, and a whole status byte for byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "status.h"

#define MS UINT64_C(1000000)

static void check(struct text *text, const char *expected)
{
	assert_false(text->failed);
	text_add(text, "");
	text->data[text->len] = '\0';
	assert_string_equal(text->data, expected);
	text_free(text);
}

static void test_growth(void **state)
{
	struct text text = {0};
	char *big = malloc(100001);

	(void)state;
	assert_non_null(big);
	memset(big, 'x', 100000);
	big[100000] = '\0';
	text_add(&text, "a");
	text_printf(&text, "%s-%d", big, 7);
	for (unsigned i = 0; i < 10000; i++)
		text_add(&text, "yz");
	assert_int_equal(text.len, 1 + 100000 + 2 + 20000);
	assert_memory_equal(text.data + 1, big, 100000);
	assert_memory_equal(text.data + 100001, "-7yz", 4);
	text_free(&text);
	free(big);
}

static void check_json(const char *string, const char *expected)
{
	struct text text = {0};

	text_json_string(&text, string);
	check(&text, expected);
}

static void test_json_strings(void **state)
{
	(void)state;
	check_json(NULL, "null");
	check_json("", "\"\"");
	check_json("a/b \"c\" \\ d", "\"a/b \\\"c\\\" \\\\ d\"");
	check_json("\x01\n\x1f", "\"\\u0001\\u000a\\u001f\"");
	check_json("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x92\xbe",
		   "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x92\xbe\"");
	/* no UTF-8: cut short, out of place, overlong, a surrogate, beyond the end */
#define BAD "\xef\xbf\xbd"
	check_json("a\xc3", "\"a" BAD "\"");
	check_json("\x80z", "\"" BAD "z\"");
	check_json("\xc0\x80", "\"" BAD BAD "\"");
	check_json("\xed\xa0\x80", "\"" BAD BAD BAD "\"");
	check_json("\xf4\x90\x80\x80", "\"" BAD BAD BAD BAD "\"");
	check_json("\xff", "\"" BAD "\"");
}

static void test_labels(void **state)
{
	struct text text = {0};

	(void)state;
	text_prom_string(&text, "a\"b\\c\nd\te\xfe");
	check(&text, "\"a\\\"b\\\\c\\nd\te" BAD "\"");
}

static void check_tame(const char *string, const char *expected)
{
	char text[64];

	snprintf(text, sizeof(text), "%s", string);
	text_tame(text);
	assert_string_equal(text, expected);
}

static void test_tame(void **state)
{
	(void)state;
	check_tame("", "");
	check_tame("a b~\xc3\xa9\xe2\x82\xac", "a b~\xc3\xa9\xe2\x82\xac");
	check_tame("\x1b[31m\n\t\x7f.", "?[31m???.");
	check_tame("\xc2\x80\xc2\x9b\xc2\x9f", "??????");
	check_tame("\xc2\xa0\xc2", "\xc2\xa0\xc2"); /* the first one behind them; cut short */
}

static void check_fixed(uint64_t value, unsigned places, const char *expected)
{
	struct text text = {0};

	text_fixed(&text, value, places);
	check(&text, expected);
}

static void test_fixed(void **state)
{
	(void)state;
	check_fixed(0, 0, "0");
	check_fixed(0, 6, "0.000000");
	check_fixed(7, 3, "0.007");
	check_fixed(1234, 3, "1.234");
	check_fixed(1000000, 6, "1.000000");
	check_fixed(UINT64_MAX, 0, "18446744073709551615");
	check_fixed(UINT64_MAX, 9, "18446744073.709551615");
}

/* ---- a status ---- */

static struct status_device device = {
	.name = "sda",
	.policy = "cost",
	.isolation = "auto",
	.in_flight = 3,
	.in_flight_limit = 8,
	.queued = 5,
	.latency = {true, 1499, 2500, 0},
	.alarms = 1U << STATUS_ALARM_LATENCY,
};
static struct status_group group = {
	.name = "acme",
	.device = "sda",
	.weight = 30,
	.share = {300000, 299999},
	.reservation_missed = 4,
	.weight_missed = 6,
	.first = true,
};
static struct status_file files[] = {
	{
		.name = "vm \"1\"",
		.path = "/dev/sda1",
		.device = "sda",
		.parent = "acme",
		.weight = 80,
		.size_bytes = 1U << 30,
		.share = {800000, 123456},
		.queued = 5,
		.in_flight = 3,
		.ios = {10, 20},
		.bytes = {40960, 81920},
		.flushes = 7,
		.discards = 8,
		.errors = 9,
		.throttled_by = STATUS_WAIT_CAP,
		.waited_ns = {1000, 2000, 3000, 4999},
		.wait_ns = 5 * 1000000000ULL,
		.service_ns = 1,
		.wait = {true, 1 * MS, 2 * MS, 3 * MS},
		.share_missed = 1,
		.reservation_missed = 2,
		.size_missed = 3,
		.weight_missed = 7,
		.alarms = 1U << STATUS_ALARM_SHARE | 1U << STATUS_ALARM_SIZE |
			  1U << STATUS_ALARM_WEIGHT,
	},
	{.name = "gone", .path = "/dev/sdz", .weight = 100, .throttled_by = STATUS_WAIT_NONE},
	{.name = "old", .path = "/dev/sdb", .device = NULL, .throttled_by = STATUS_WAIT_NONE},
};
static const struct status all = {
	.version = "1.2.3",
	.pid = 42,
	.uptime_ns = 61 * 1000000000ULL + 5 * MS,
	.workers = 2,
	.config = "/etc/ioband.ini",
	.last_error = "ioband.ini:1: \"x\"",
	.upgrade_error = "too new",
	.generation = 3,
	.reloads = 2,
	.reloads_refused = 4,
	.upgrades = 5,
	.upgrades_refused = 7,
	.restarts = 1,
	.memory_missed = 6,
	.kernel_missed = 8,
	.alarms = 1U << STATUS_ALARM_MEMORY | 1U << STATUS_ALARM_KERNEL,
	.devices = &device,
	.n_devices = 1,
	.groups = &group,
	.n_groups = 1,
	.files = files,
	.n_files = 2,
	.n_removed = 1,
};

static void test_json(void **state)
{
	struct text text = {0};

	(void)state;
	status_json(&all, &text);
	check(&text,
	      "{\"version\":\"1.2.3\",\"pid\":42,\"uptime_s\":61.005,\"workers\":2,"
	      "\"restarts\":1,\"alarms\":[\"memory\",\"kernel\"],"
	      "\"config\":{\"path\":\"/etc/ioband.ini\",\"generation\":3,"
	      "\"last_error\":\"ioband.ini:1: \\\"x\\\"\",\"reloads\":2,\"reloads_refused\":4},"
	      "\"upgrades\":5,\"upgrades_refused\":7,\"upgrade_error\":\"too new\",\"devices\":[\n"
	      "{\"name\":\"sda\",\"policy\":\"cost\",\"isolation\":\"auto\",\"in_flight\":3,"
	      "\"in_flight_limit\":8,\"queued\":5,\"latency_us\":{\"p50\":1,\"p99\":3},\"alarms\":["
	      "\"latency\"]}],"
	      "\"groups\":[\n"
	      "{\"name\":\"acme\",\"parent\":null,\"device\":\"sda\",\"weight\":30,"
	      "\"entitled_pct\":30.0000,\"achieved_pct\":29.9999,\"alarms\":[]}],\"files\":[\n"
	      "{\"name\":\"vm \\\"1\\\"\",\"path\":\"/dev/sda1\",\"device\":\"sda\","
	      "\"parent\":\"acme\",\"weight\":80,\"size_bytes\":1073741824,"
	      "\"entitled_pct\":80.0000,\"achieved_pct\":12.3456,\"queued\":5,\"in_flight\":3,"
	      "\"read_ios\":10,\"write_ios\":20,\"read_bytes\":40960,\"write_bytes\":81920,"
	      "\"flushes\":7,\"discards\":8,\"errors\":9,\"throttled_by\":\"cap\","
	      "\"waited_us\":{\"share\":1,\"cap\":2,\"window\":3,\"anticipation\":4},"
	      "\"wait_us\":{\"p50\":1000,\"p99\":2000,\"p999\":3000},"
	      "\"service_us\":{\"p50\":null,\"p99\":null,\"p999\":null},"
	      "\"alarms\":[\"share\",\"size\",\"weight\"]},\n"
	      "{\"name\":\"gone\",\"path\":\"/dev/sdz\",\"device\":null,\"parent\":null,"
	      "\"weight\":100,\"size_bytes\":0,\"entitled_pct\":0.0000,\"achieved_pct\":0.0000,"
	      "\"queued\":0,\"in_flight\":0,\"read_ios\":0,\"write_ios\":0,\"read_bytes\":0,"
	      "\"write_bytes\":0,\"flushes\":0,\"discards\":0,\"errors\":0,"
	      "\"throttled_by\":\"none\","
	      "\"waited_us\":{\"share\":0,\"cap\":0,\"window\":0,\"anticipation\":0},"
	      "\"wait_us\":{\"p50\":null,\"p99\":null,\"p999\":null},"
	      "\"service_us\":{\"p50\":null,\"p99\":null,\"p999\":null},"
	      "\"alarms\":[]}]}\n");
}

static char *prom;

static void has(const char *line)
{
	const char *at = strstr(prom, line);

	if (!at || (at != prom && at[-1] != '\n') || at[strlen(line)] != '\n')
		fail_msg("no line: %s", line);
}

static void test_prom(void **state)
{
	struct text text = {0};

	(void)state;
	memset(device.wait, 0, sizeof(device.wait));
	histogram_add(&device.wait[STATUS_READ], 10000);
	histogram_add(&device.wait[STATUS_READ], 16384);
	histogram_add(&device.wait[STATUS_READ], 2000 * MS);
	histogram_add(&device.wait[STATUS_READ], 1000000 * MS);
	status_prom(&all, &text);
	text_add(&text, "");
	text.data[text.len] = '\0';
	prom = text.data;
	has("# TYPE fuseband_ios_total counter");
	has("fuseband_ios_total{file=\"vm \\\"1\\\"\",device=\"sda\",op=\"read\"} 10");
	has("fuseband_ios_total{file=\"vm \\\"1\\\"\",device=\"sda\",op=\"write\"} 20");
	has("fuseband_ios_total{file=\"vm \\\"1\\\"\",device=\"sda\",op=\"flush\"} 7");
	has("fuseband_ios_total{file=\"vm \\\"1\\\"\",device=\"sda\",op=\"discard\"} 8");
	has("fuseband_bytes_total{file=\"vm \\\"1\\\"\",device=\"sda\",op=\"write\"} 81920");
	has("fuseband_errors_total{file=\"vm \\\"1\\\"\",device=\"sda\"} 9");
	has("# TYPE fuseband_wait_seconds histogram");
	has("fuseband_wait_seconds_bucket{device=\"sda\",op=\"read\",le=\"0.000016384\"} 1");
	has("fuseband_wait_seconds_bucket{device=\"sda\",op=\"read\",le=\"0.000032768\"} 2");
	has("fuseband_wait_seconds_bucket{device=\"sda\",op=\"read\",le=\"1.073741824\"} 2");
	has("fuseband_wait_seconds_bucket{device=\"sda\",op=\"read\",le=\"2.147483648\"} 3");
	has("fuseband_wait_seconds_bucket{device=\"sda\",op=\"read\",le=\"68.719476736\"} 3");
	has("fuseband_wait_seconds_bucket{device=\"sda\",op=\"read\",le=\"+Inf\"} 4");
	has("fuseband_wait_seconds_sum{device=\"sda\",op=\"read\"} 1002.000026384");
	has("fuseband_wait_seconds_count{device=\"sda\",op=\"read\"} 4");
	has("fuseband_service_seconds_count{device=\"sda\",op=\"write\"} 0");
	has("# TYPE fuseband_file_wait_seconds summary");
	has("fuseband_file_wait_seconds{file=\"vm \\\"1\\\"\",device=\"sda\",quantile=\"0.99\"} "
	    "0.002000000");
	has("fuseband_file_wait_seconds_sum{file=\"vm \\\"1\\\"\",device=\"sda\"} 5.000000000");
	has("fuseband_file_wait_seconds_count{file=\"vm \\\"1\\\"\",device=\"sda\"} 30");
	has("fuseband_file_service_seconds{file=\"vm \\\"1\\\"\",device=\"sda\",quantile=\"0.5\"} "
	    "NaN");
	has("fuseband_entitled_ratio{file=\"vm \\\"1\\\"\",device=\"sda\"} 0.800000");
	has("fuseband_achieved_ratio{file=\"vm \\\"1\\\"\",device=\"sda\"} 0.123456");
	has("fuseband_weight{file=\"vm \\\"1\\\"\",device=\"sda\"} 80");
	has("fuseband_guarantee_missed_total{file=\"vm \\\"1\\\"\",device=\"sda\","
	    "guarantee=\"share\"} 1");
	has("fuseband_guarantee_missed_total{group=\"acme\",guarantee=\"reservation\"} 4");
	has("fuseband_guarantee_missed_total{group=\"acme\",guarantee=\"weight\"} 6");
	has("fuseband_guarantee_missed_total{device=\"sda\",guarantee=\"latency\"} 0");
	has("fuseband_guarantee_missed_total{file=\"vm \\\"1\\\"\",device=\"sda\","
	    "guarantee=\"weight\"} 7");
	has("fuseband_guarantee_missed_total{guarantee=\"memory\"} 6");
	has("fuseband_guarantee_missed_total{guarantee=\"kernel\"} 8");
	has("fuseband_reloads_total 2");
	has("fuseband_reloads_refused_total 4");
	has("fuseband_upgrades_refused_total 7");
	has("fuseband_restarts_total 1");
	assert_null(strstr(prom, "gone")); /* what is not there has no figures */
	text_free(&text);
}

static unsigned n_lines;
static char lines[8][512];

static void keep_line(const char *line)
{
	assert_in_range(n_lines, 0, 7);
	snprintf(lines[n_lines++], sizeof(lines[0]), "%s", line);
}

static void test_lines(void **state)
{
	(void)state;
	n_lines = 0;
	files[0].device = files[2].device = device.name;
	status_lines(&all, keep_line);
	assert_int_equal(n_lines, 6);
	assert_string_equal(lines[0],
			    "generation 3 of the configuration, 2 files, 1 removed but open");
	assert_string_equal(lines[1], "disk sda: 3 in flight of 8, 5 queued");
	assert_non_null(strstr(lines[3], "got 12.3% of 80.0% in 10 s, 5 queued, 3 in flight, "
					 "10 reads, 20 writes, 9 errors, mean wait 166.67 ms"));
	assert_non_null(strstr(lines[4], "  old              (removed, open) got 0.0% of 0.0%"));
	assert_string_equal(lines[5], "  gone             absent: /dev/sdz");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_growth), cmocka_unit_test(test_json_strings),
		cmocka_unit_test(test_labels), cmocka_unit_test(test_tame),
		cmocka_unit_test(test_fixed),  cmocka_unit_test(test_json),
		cmocka_unit_test(test_prom),   cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
