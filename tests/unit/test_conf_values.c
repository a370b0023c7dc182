/* SPDX-License-Identifier: MIT */
/* test_conf_values.c - conf_parse(): what each kind of value may be. */
#include "tests/unit/conf_rig.h"

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

static void test_malformed_comes_before_not_supported(void **state)
{
	(void)state;
	value_refused("fuseband", "supervise", "maybe", "is not yes or no");
	value_refused("fuseband", "gid", "nosuchgroup", "is not a group name or number");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_capability),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_owners_and_mode),
		cmocka_unit_test(test_malformed_comes_before_not_supported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
