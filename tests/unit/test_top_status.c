/* SPDX-License-Identifier: MIT */
/*
 * test_top_status.c - unit tests of top_status.h and top_rate.h: recorded statuses as a tree with
 * sums, what is said of what is no status, and rates across everything that can change between two.
 */
#include "tests/unit/top_rig.h"

#include <math.h>

#include "top_rate.h"

static void test_recorded(void **state)
{
	struct top_status *status = recorded("large-2.json");
	const struct top_node *test = node(status, "echo-test"),
			      *file = node(status, "echo-test1.img");
	uint64_t reads = 0;

	(void)state;
	assert_int_equal(status->n_devices, 3);
	assert_int_equal(status->n_groups, 6);
	assert_int_equal(status->n, 3 + 6 + 39);
	assert_string_equal(status->config, "/etc/ioband.ini");
	assert_non_null(strstr(status->last_error, "\"abc\" is not a number"));
	assert_int_equal(status->restarts, 1);
	assert_string_equal(status->alarms, "");
	assert_string_equal(node(status, "nvme0n1")->alarms, "latency");
	assert_string_equal(node(status, "coral-vm4.img")->alarms, "share");
	assert_int_equal(file->depth, 3);
	assert_ptr_equal(&status->nodes[file->parent], test);
	assert_string_equal(status->nodes[test->parent].name, "echo");
	assert_string_equal(status->nodes[file->device].name, "sdb");
	assert_int_equal(node(status, "usb.img")->device, -1);
	assert_true(isnan(node(status, "spare.img")->wait.p50));
	for (size_t i = 0; i < status->n; i++)
		if (status->nodes[i].kind == TOP_FILE &&
		    !strncmp(status->nodes[i].path, "/dev/vg_sdb/", 12))
			reads += status->nodes[i].counters[TOP_READ_IOS];
	assert_int_equal(node(status, "sdb")->counters[TOP_READ_IOS], reads);
	assert_true(reads > 0);
	top_status_free(status);
}

/* ---- what is wrong ---- */

static const char good[] =
	"{\"version\":\"1\",\"pid\":1,\"uptime_s\":1.5,\"workers\":2,\"restarts\":0,"
	"\"upgrade_error\":null,\"alarms\":[],\"config\":{\"path\":\"c\",\"generation\":1,"
	"\"last_error\":null},\"devices\":[{\"name\":\"sda\",\"policy\":\"cost\",\"isolation\":"
	"\"auto\",\"in_flight\":1,\"in_flight_limit\":8,\"queued\":3,\"latency_us\":{\"p50\":1,"
	"\"p99\":2},\"alarms\":[]}],\"groups\":[{\"name\":\"a\",\"parent\":null,\"device\":\"sda\","
	"\"weight\":5,\"entitled_pct\":1,\"achieved_pct\":2,\"alarms\":[\"share\"]},{\"name\":"
	"\"b\","
	"\"parent\":\"a\",\"device\":\"sda\",\"weight\":5,\"entitled_pct\":1,\"achieved_pct\":2,"
	"\"alarms\":[]}],\"files\":[]}";

/* good, with the first `from` replaced. */
static void complains(const char *from, const char *to, const char *message)
{
	const char *at = strstr(good, from);
	char error[TOP_ERROR_BYTES];
	struct top_status *status = NULL;
	struct text text = {0};

	assert_non_null(at);
	text_printf(&text, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
	if (!top_status_parse(text.data, text.len, &status, error))
		fail_msg("taken: %s", text.data);
	if (!strstr(error, message))
		fail_msg("\"%s\" does not say \"%s\"", error, message);
	assert_null(status);
	text_free(&text);
}

static void test_wrong(void **state)
{
	struct top_status *status = parsed(good, strlen(good));

	(void)state;
	assert_int_equal(status->nodes[2].depth, 2);
	assert_int_equal(status->restarts, 0);
	top_status_free(status);
	complains("{\"version\"", "\"version\"", "line 1: ");
	complains("\"files\":[]}", "\"files\":[]", "line 1: ");
	complains("\"files\":[]", "\"files\":7", "\"files\" is no list");
	complains("\"config\":{", "\"config\":null,\"x\":{", "\"config\" is no object");
	complains("\"pid\":1,", "", "there is no \"pid\": was this written by another version");
	complains("\"pid\":1,", "\"pid\":-1,", "\"pid\" is no whole number from 0 on");
	complains("\"pid\":1,", "\"pid\":1,\"pid\":2,", "duplicate");
	complains("\"uptime_s\":1.5", "\"uptime_s\":\"x\"", "\"uptime_s\" is no number");
	complains("\"policy\":\"cost\"", "\"policy\":null", "device sda: \"policy\" is no string");
	complains("\"name\":\"sda\"", "\"name\":7", "device 0: \"name\" is no string");
	complains("\"p99\":2", "\"p99\":-2", "device sda: \"p99\" is no number");
	complains("\"name\":\"sda\"", "\"name\":\"sdb\"", "group a: there is no device \"sda\"");
	complains("\"parent\":\"a\"", "\"parent\":\"c\"", "there is no group \"c\" on its device");
	complains("\"parent\":null", "\"parent\":\"b\"", "is below itself");
	complains("\"alarms\":[]", "\"alarms\":[7]", "an alarm is no string");
	complains("\"alarms\":[]", "\"alarms\":null", "\"alarms\" is no list");
	complains(",\"alarms\":[\"share\"]", "", "group a: there is no \"alarms\": was this");
	complains("\"restarts\":0,", "", "there is no \"restarts\": was this");
	complains("\"upgrade_error\":null,", "", "there is no \"upgrade_error\": was this");
	complains("\"files\":[]", "\"files\":[7]", "file 0: there is no \"name\"");
}

/* ---- rates ---- */

static void is_near(double got, double wanted)
{
	if (fabs(got - wanted) > 1e-6)
		fail_msg("%.9g is not %.9g", got, wanted);
}

static struct top_status *with(double uptime_s, long pid, unsigned long a, unsigned long b)
{
	struct text text;

	begin(&text, uptime_s, pid);
	add_file(&text, "a", "null", a);
	add_file(&text, "b", "\"acme\"", b);
	return end(&text);
}

static void test_rates(void **state)
{
	struct top_status *before = with(10, 1, 100, 50), *now = with(12, 1, 300, 60);

	(void)state;
	assert_int_equal(top_rate(now, before), TOP_RATE_NEW);
	is_near(now->interval_s, 2);
	is_near(top_iops(node(now, "a")), 100);
	is_near(top_bps(node(now, "a")), 409600);
	is_near(top_iops(node(now, "acme")), 5);
	is_near(top_iops(node(now, "sda")), 105);
	is_near(node(now, "a")->waited[STATUS_WAIT_SHARE], 0.1);
	assert_true(node(now, "sda")->rated && node(now, "b")->rated);
	top_status_free(before);
	top_status_free(now);
}

static void test_no_rates(void **state)
{
	struct top_status *before = with(10, 1, 100, 50), *now;

	(void)state;
	now = with(10, 1, 100, 50);
	assert_int_equal(top_rate(now, before), TOP_RATE_SAME);
	top_status_free(now);
	now = with(11, 2, 500, 500); /* another daemon */
	assert_int_equal(top_rate(now, before), TOP_RATE_RESTART);
	assert_false(node(now, "a")->rated || now->interval_s > 0);
	top_status_free(now);
	now = with(1, 1, 100, 50); /* it began anew */
	assert_int_equal(top_rate(now, before), TOP_RATE_RESTART);
	assert_int_equal(top_rate(now, NULL), TOP_RATE_RESTART);
	top_status_free(now);
	now = with(11, 1, 90, 60); /* a has lost what it had counted */
	assert_int_equal(top_rate(now, before), TOP_RATE_NEW);
	assert_false(node(now, "a")->rated);
	is_near(top_iops(node(now, "sda")), 10);
	top_status_free(now);
	top_status_free(before);
}

/* A reload between the two: files went, came, and changed places. */
static void test_moved(void **state)
{
	struct top_status *before, *now;
	struct text text;
	char name[16];

	(void)state;
	begin(&text, 1, 1);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		add_file(&text, name, "null", i);
	}
	before = end(&text);
	begin(&text, 2, 1);
	add_file(&text, "new", "\"acme\"", 7);
	for (unsigned i = 1000; i-- > 500;) {
		snprintf(name, sizeof(name), "f%u", i);
		add_file(&text, name, "null", 2 * i);
	}
	now = end(&text);
	assert_int_equal(top_rate(now, before), TOP_RATE_NEW);
	assert_false(node(now, "new")->rated);
	is_near(top_iops(node(now, "f999")), 999);
	is_near(top_iops(node(now, "f500")), 500);
	is_near(top_iops(node(now, "sda")), 500 * (500 + 999) / 2.0);
	top_status_free(before);
	top_status_free(now);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorded), cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_rates),	 cmocka_unit_test(test_no_rates),
		cmocka_unit_test(test_moved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
