/* SPDX-License-Identifier: MIT */
/*
 * Unit tests of disks.h on sysfs trees made in a temporary directory, and one on this machine.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "disks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* ---- a tree ---- */

static char root[] = "/tmp/test_disks.XXXXXX";

static const char *at(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static const char *at(const char *fmt, ...)
{
	static char paths[4][PATH_MAX];
	static unsigned turn;
	char *path = paths[turn++ % 4];
	va_list args;

	va_start(args, fmt);
	int len = snprintf(path, PATH_MAX, "%s/", root);
	vsnprintf(path + len, (size_t)(PATH_MAX - len), fmt, args);
	va_end(args);
	return path;
}

static void put(const char *path, const char *text)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	fprintf(out, "%s\n", text);
	assert_int_equal(fclose(out), 0);
}

/* devices/WHERE is the directory of a device with this number, known in dev/block. */
static void device(const char *where, unsigned maj, unsigned min)
{
	char number[32], target[PATH_MAX];

	snprintf(number, sizeof(number), "%u:%u", maj, min);
	snprintf(target, sizeof(target), "../../devices/%s", where);
	assert_int_equal(mkdir(at("devices/%s", where), 0755), 0);
	put(at("devices/%s/dev", where), number);
	assert_int_equal(symlink(target, at("dev/block/%s", number)), 0);
}

static void partition(const char *where, unsigned maj, unsigned min)
{
	device(where, maj, min);
	put(at("devices/%s/partition", where), "11");
	put(at("devices/%s/start", where), "2048");
}

static void loop(unsigned min, const char *file)
{
	char name[32];

	snprintf(name, sizeof(name), "loop%u", min);
	device(name, 7, min);
	assert_int_equal(mkdir(at("devices/%s/loop", name), 0755), 0);
	put(at("devices/%s/loop/backing_file", name), file);
}

static void slave(const char *upper, const char *name, const char *where)
{
	char target[PATH_MAX];

	mkdir(at("devices/%s/slaves", upper), 0755);
	snprintf(target, sizeof(target), "../../%s", where);
	assert_int_equal(symlink(target, at("devices/%s/slaves/%s", upper, name)), 0);
}

/* What lies where, for loop devices. */
static int fake_device_of(const struct mountinfo *mounts, const char *path, dev_t *ret_dev)
{
	(void)mounts;
	static const struct {
		const char *below;
		unsigned maj, min;
	} table[] = {
		{"/srv/", 8, 11},      {"/", 8, 0},	     {"/nfs/", 0, 45},
		{"/dev/sda11", 8, 11}, {"/dev/loop0", 7, 0}, {"/on-loop1/", 7, 1},
		{"/on-loop2/", 7, 2},  {"/mapped/", 253, 0},
	};
	size_t best = 0;
	int found = -1;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		size_t len = strlen(table[i].below);

		if (strncmp(path, table[i].below, len) == 0 && len > best) {
			best = len;
			found = (int)i;
		}
	}
	if (found < 0 || strstr(path, "(deleted)"))
		return -ENOENT;
	*ret_dev = makedev(table[found].maj, table[found].min);
	return 0;
}

static const struct disks_view fake = {.sysfs = root, .device_of = fake_device_of};

static int make_tree(void **state)
{
	(void)state;
	strcpy(root + strlen(root) - 6, "XXXXXX");
	assert_non_null(mkdtemp(root));
	assert_int_equal(mkdir(at("dev"), 0755), 0);
	assert_int_equal(mkdir(at("dev/block"), 0755), 0);
	assert_int_equal(mkdir(at("devices"), 0755), 0);
	device("sda", 8, 0);
	partition("sda/sda11", 8, 11);
	device("sdb", 8, 16);
	partition("sdb/sdb1", 8, 17);
	device("sdc", 8, 32);
	device("nvme0n1", 259, 0);
	partition("nvme0n1/nvme0n1p2", 259, 2);
	/* an empty slaves/ is what every disk has */
	assert_int_equal(mkdir(at("devices/sdc/slaves"), 0755), 0);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int remove_tree(void **state)
{
	(void)state;
	return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Leaves as "sda sdb", then what it is. */
static void resolves(unsigned maj, unsigned min, const char *leaves, const char *why)
{
	static struct disks_leaves got;
	char names[1024] = "";

	assert_int_equal(disks_resolve(&fake, makedev(maj, min), &got), 0);
	for (size_t i = 0; i < got.n; i++) {
		strcat(names, i ? " " : "");
		strcat(names, got.leaf[i].name);
	}
	assert_string_equal(names, leaves);
	assert_string_equal(got.why, why);
}

static void refuses(unsigned maj, unsigned min, int err)
{
	static struct disks_leaves got;

	got.n = 12345;
	assert_int_equal(disks_resolve(&fake, makedev(maj, min), &got), err);
	assert_int_equal(got.n, 12345);
}

/* ---- tests ---- */

static void test_disk(void **state)
{
	struct disks_leaves got;

	(void)state;
	resolves(8, 0, "sda", "the disk sda");
	resolves(8, 32, "sdc", "the disk sdc");
	assert_int_equal(disks_resolve(&fake, makedev(8, 0), &got), 0);
	assert_true(got.itself);
	assert_string_equal(got.name, "sda");
	assert_true(got.leaf[0].dev == makedev(8, 0));
}

static void test_partition(void **state)
{
	struct disks_leaves got;

	(void)state;
	resolves(8, 11, "sda", "a partition of sda");
	resolves(259, 2, "nvme0n1", "a partition of nvme0n1");
	assert_int_equal(disks_resolve(&fake, makedev(259, 2), &got), 0);
	assert_false(got.itself);
	assert_string_equal(got.name, "nvme0n1p2");
	assert_true(got.leaf[0].dev == makedev(259, 0));
}

static void test_loop(void **state)
{
	(void)state;
	loop(0, "/srv/a.img");
	resolves(7, 0, "sda",
		 "a loop device on /srv/a.img, which lies on sda11, a partition of sda");
	loop(1, "/dev/sda11"); /* a device, not a file */
	resolves(7, 1, "sda",
		 "a loop device on /dev/sda11, which lies on sda11, a partition of sda");
	loop(2, "/on-loop1/b.img");
	resolves(7, 2, "sda",
		 "a loop device on /on-loop1/b.img, which lies on loop1, a loop device on "
		 "/dev/sda11, which lies on sda11, a partition of sda");
	partition("loop2/loop2p1", 259, 7);
	resolves(259, 7, "sda",
		 "a partition of loop2, a loop device on /on-loop1/b.img, which lies on loop1, a "
		 "loop device on /dev/sda11, which lies on sda11, a partition of sda");
	loop(3, "/x.img");
	resolves(7, 3, "sda", "a loop device on /x.img, which lies on the disk sda");
	loop(4, "/nfs/vm/c.img");
	resolves(7, 4, "fs 0:45",
		 "a loop device on /nfs/vm/c.img, which lies on the file system 0:45");
}

static void test_loop_without_file(void **state)
{
	(void)state;
	loop(0, "/srv/a.img (deleted)");
	resolves(7, 0, "loop0", "the loop device loop0 (on /srv/a.img (deleted), not found)");
	device("loop1", 7, 1); /* attached to nothing */
	resolves(7, 1, "loop1", "the disk loop1");
}

static void test_mapper(void **state)
{
	(void)state;
	device("dm-0", 253, 0);
	slave("dm-0", "sdb1", "sdb/sdb1");
	slave("dm-0", "sda11", "sda/sda11");
	assert_int_equal(mkdir(at("devices/dm-0/dm"), 0755), 0);
	put(at("devices/dm-0/dm/name"), "vg-root");
	resolves(253, 0, "sda sdb", "the volume vg-root over sda11, sdb1");
	device("dm-1", 253, 1);
	slave("dm-1", "dm-0", "dm-0");
	resolves(253, 1, "sda sdb", "a device over the volume vg-root over sda11, sdb1");
	partition("dm-1/dm-1p1", 259, 9);
	resolves(259, 9, "sda sdb",
		 "a partition of dm-1, a device over the volume vg-root over sda11, sdb1");
	loop(0, "/mapped/a.img");
	resolves(7, 0, "sda sdb",
		 "a loop device on /mapped/a.img, which lies on the volume vg-root over sda11, "
		 "sdb1");
}

static void test_array_over_mapper(void **state)
{
	(void)state;
	device("dm-0", 253, 0);
	slave("dm-0", "sda11", "sda/sda11");
	device("dm-1", 253, 1);
	slave("dm-1", "sdb1", "sdb/sdb1");
	slave("dm-1", "sdc", "sdc");
	device("md127", 9, 127);
	slave("md127", "dm-0", "dm-0");
	slave("md127", "dm-1", "dm-1");
	slave("md127", "nvme0n1p2", "nvme0n1/nvme0n1p2");
	resolves(9, 127, "sda sdb sdc nvme0n1", "an array over dm-0, dm-1, nvme0n1p2");
}

/* One filesystem is one leaf, however many files on it. */
static void test_mapper_over_loops(void **state)
{
	(void)state;
	loop(0, "/nfs/a.img");
	loop(1, "/nfs/b.img");
	device("dm-0", 253, 0);
	slave("dm-0", "loop0", "loop0");
	slave("dm-0", "loop1", "loop1");
	resolves(253, 0, "fs 0:45", "a device over loop0, loop1");
}

/* Two ways to one disk are no cycle, and it is counted once. */
static void test_diamond(void **state)
{
	char upper[16], lower[16];

	(void)state;
	device("dm-0", 253, 0);
	slave("dm-0", "sda11", "sda/sda11");
	slave("dm-0", "sda", "sda");
	/* each level doubles the number of ways: 2^12 */
	for (unsigned i = 1; i <= 12; i++) {
		snprintf(upper, sizeof(upper), "dm-%u", i);
		snprintf(lower, sizeof(lower), "dm-%u", i - 1);
		device(upper, 253, i);
		slave(upper, lower, lower);
		slave(upper, "again", lower);
	}
	resolves(253, 12, "sda", "a device over again, dm-11");
}

static void test_cycle(void **state)
{
	(void)state;
	device("dm-0", 253, 0);
	device("dm-1", 253, 1);
	slave("dm-0", "dm-1", "dm-1");
	slave("dm-1", "dm-0", "dm-0");
	refuses(253, 0, -ELOOP);
	/* one arm is fine, the other is not */
	device("dm-2", 253, 2);
	slave("dm-2", "sda", "sda");
	slave("dm-2", "dm-1", "dm-1");
	refuses(253, 2, -ELOOP);
	loop(1, "/on-loop2/a.img");
	loop(2, "/on-loop1/a.img");
	refuses(7, 1, -ELOOP);
}

static void test_too_deep(void **state)
{
	char upper[16], lower[16] = "sda";

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		snprintf(upper, sizeof(upper), "dm-%u", i);
		device(upper, 253, i);
		slave(upper, lower, lower);
		strcpy(lower, upper);
	}
	refuses(253, 19, -ELOOP);
}

static void test_too_many(void **state)
{
	(void)state;
	device("md0", 9, 0);
	for (unsigned i = 0; i < DISKS_LEAVES_MAX + 1; i++) {
		char name[16];

		snprintf(name, sizeof(name), "sd_%u", i);
		device(name, 65, i);
		slave("md0", name, name);
	}
	refuses(9, 0, -E2BIG);
	assert_int_equal(unlink(at("devices/md0/slaves/sd_7")), 0);
	struct disks_leaves got;
	assert_int_equal(disks_resolve(&fake, makedev(9, 0), &got), 0);
	assert_int_equal(got.n, DISKS_LEAVES_MAX);
}

static void test_anonymous(void **state)
{
	(void)state;
	resolves(0, 45, "fs 0:45", "the file system 0:45");
}

static void test_unknown(void **state)
{
	(void)state;
	resolves(8, 99, "8:99", "the device 8:99, unknown to sysfs");
}

static void test_long_name(void **state)
{
	struct disks_leaves got;
	char name[101];

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[100] = '\0';
	device(name, 66, 0);
	assert_int_equal(disks_resolve(&fake, makedev(66, 0), &got), 0);
	assert_int_equal(strlen(got.name), DISKS_NAME_MAX - 1);
}

static void test_attributes(void **state)
{
	char text[8];
	uint64_t number = 7;
	dev_t dev = 7;

	(void)state;
	assert_int_equal(disks_attr(&fake, makedev(8, 11), "start", text, sizeof(text)), 0);
	assert_string_equal(text, "2048");
	assert_int_equal(disks_attr(&fake, makedev(8, 11), "none", text, sizeof(text)), -ENOENT);
	assert_int_equal(disks_attr(&fake, makedev(8, 11), "start", text, 4), -E2BIG);
	assert_int_equal(disks_attr(&fake, makedev(8, 11), "start", text, 5), 0);
	assert_int_equal(disks_attr_u64(&fake, makedev(8, 11), "dev", &number), -EINVAL);
	assert_int_equal(disks_attr_dev(&fake, makedev(8, 11), "start", &dev), -EINVAL);
	assert_int_equal(number, 7);
	assert_true(dev == 7);
	assert_int_equal(disks_attr_u64(&fake, makedev(8, 11), "start", &number), 0);
	assert_int_equal(number, 2048);
	assert_int_equal(disks_attr_dev(&fake, makedev(8, 11), "../dev", &dev), 0);
	assert_true(dev == makedev(8, 0));
	put(at("devices/sda/bad"), "-5");
	assert_int_equal(disks_attr_u64(&fake, makedev(8, 0), "bad", &number), -EINVAL);
	put(at("devices/sda/bad"), "99999999999999999999999");
	assert_int_equal(disks_attr_u64(&fake, makedev(8, 0), "bad", &number), -EINVAL);
	put(at("devices/sda/bad"), "");
	assert_int_equal(disks_attr_u64(&fake, makedev(8, 0), "bad", &number), -EINVAL);
}

/* Whatever this machine is made of: /tmp lies on something. */
static void test_this_machine(void **state)
{
	struct disks_leaves got;
	struct stat st;
	dev_t dev;

	(void)state;
	assert_int_equal(stat(root, &st), 0);
	assert_int_equal(disks_system.device_of(NULL, root, &dev), 0);
	if (major(st.st_dev) != 0)
		assert_true(dev == st.st_dev);
	assert_int_equal(disks_resolve(&disks_system, dev, &got), 0);
	assert_true(got.n >= 1);
	print_message("%s lies on %s, %s\n", root, got.name, got.why);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_tree, remove_tree)
	const struct CMUnitTest tests[] = {
		TEST(test_disk),
		TEST(test_partition),
		TEST(test_loop),
		TEST(test_loop_without_file),
		TEST(test_mapper),
		TEST(test_array_over_mapper),
		TEST(test_mapper_over_loops),
		TEST(test_diamond),
		TEST(test_cycle),
		TEST(test_too_deep),
		TEST(test_too_many),
		TEST(test_anonymous),
		TEST(test_unknown),
		TEST(test_long_name),
		TEST(test_attributes),
		TEST(test_this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
