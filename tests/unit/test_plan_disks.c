/* SPDX-License-Identifier: MIT */
/*
 * test_plan_disks.c - plan.h: which disk something is on, and how a plan shows it. Loop devices that
 * a made-up sysfs calls something else: they need root.
 */
#include "plan_rig.h"
#include "loopdev.h"
#include "own_mounts.h"

#include <sys/sysmacros.h>

/* ---- a made-up sysfs ---- */

static void put(const char *path, const char *text)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	fprintf(out, "%s\n", text);
	assert_int_equal(fclose(out), 0);
}

static char fake_root[PATH_MAX];

static int fake_device_of(const struct mountinfo *mounts, const char *path, dev_t *ret_dev)
{
	(void)mounts;
	(void)path;
	*ret_dev = makedev(0, 77);
	return 0;
}

static const struct disks_view fake = {.sysfs = fake_root, .device_of = fake_device_of};

#define LOOPS 5
static struct loopdev loops[LOOPS];

static const char *fake_path(const char *name)
{
	static char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", fake_root, name);
	return path;
}

/* loops[0] and [1]: partitions of sda and sdb; [2]: volume over both; [3] sdc; [4] sdd */
static void make_disks(void)
{
	static const char *const where[LOOPS] = {"sda/sda1", "sdb/sdb1", "dm-0", "sdc", "sdd"};
	char name[64], text[24], target[128];

	snprintf(fake_root, sizeof(fake_root), "%.900s/sys", dir);
	static const char *const folders[] = {"",	 "dev",		"dev/block",
					      "devices", "devices/sda", "devices/sdb"};
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		assert_int_equal(mkdir(fake_path(folders[i]), 0700), 0);
	put(fake_path("devices/sda/dev"), "8:0");
	put(fake_path("devices/sdb/dev"), "8:16");
	assert_int_equal(symlink("../../devices/sda", fake_path("dev/block/8:0")), 0);
	assert_int_equal(symlink("../../devices/sdb", fake_path("dev/block/8:16")), 0);
	for (int i = 0; i < LOOPS; i++) {
		struct stat st;

		snprintf(name, sizeof(name), "disk%d.img", i);
		assert_int_equal(loopdev_attach(&loops[i], image(name, 4 * MIB), 0, 0, 0), 0);
		assert_int_equal(fstat(loops[i].fd, &st), 0);
		snprintf(name, sizeof(name), "devices/%s", where[i]);
		assert_int_equal(mkdir(fake_path(name), 0700), 0);
		snprintf(target, sizeof(target), "../../%s", name);
		snprintf(text, sizeof(text), "%u:%u", major(st.st_rdev), minor(st.st_rdev));
		snprintf(name, sizeof(name), "dev/block/%s", text);
		assert_int_equal(symlink(target, fake_path(name)), 0);
		snprintf(name, sizeof(name), "devices/%s/dev", where[i]);
		put(fake_path(name), text);
		snprintf(name, sizeof(name), "devices/%s/partition", where[i]);
		if (i < 2)
			put(fake_path(name), "1");
		/* where the tests expect them, whatever their number */
		snprintf(name, sizeof(name), "%s",
			 strrchr(where[i], '/') ? strrchr(where[i], '/') + 1 : where[i]);
		assert_int_equal(symlink(loops[i].path, in_dir(name)), 0);
	}
	assert_int_equal(mkdir(fake_path("devices/dm-0/slaves"), 0700), 0);
	assert_int_equal(symlink("../../sda/sda1", fake_path("devices/dm-0/slaves/sda1")), 0);
	assert_int_equal(symlink("../../sdb/sdb1", fake_path("devices/dm-0/slaves/sdb1")), 0);
}

static void free_disks(void)
{
	for (int i = 0; i < LOOPS; i++)
		close(loops[i].fd);
}

/* "vm1@sda vm2@fast ..." */
static void shares(const char *text, const char *expected)
{
	struct asked asked = {.purpose = PLAN_RUN, .view = &fake};
	struct plan *plan = planned(asked, text);
	char got[1024] = "";

	for (size_t i = 0; i < plan->n_files; i++) {
		const struct plan_file *file = &plan->files[i];

		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s@%s", i ? " " : "",
			 file->conf->name, plan->disks[file->disk].name);
	}
	assert_string_equal(got, expected);
	plan_free(plan);
}

static void test_shared_disks(void **state)
{
	(void)state;
	NEED_ROOT();
	make_disks();
	shares("[a]\npath = @/sda1\n[b]\npath = @/sdb1\n", "a@sda b@sdb");
	/* a volume over both joins them, wherever it stands; the name does not depend on order */
	shares("[b]\npath = @/sdb1\n[a]\npath = @/sda1\n[v]\npath = @/dm-0\n[c]\npath = @/sdc\n",
	       "b@sda+sdb a@sda+sdb v@sda+sdb c@sdc");
	shares("[v]\npath = @/dm-0\n[a]\npath = @/sda1\n", "v@sda+sdb a@sda+sdb");
	/* a device path, and then its disk, has a name */
	shares("[a]\npath = @/sda1\n[c]\npath = @/sdc\n[device:fast]\npath = @/sda1\n",
	       "a@fast c@sdc");
	/* one file names it, the other is on its disk */
	shares("[a]\npath = @/sda1\ndevice = fast\n[v]\npath = @/dm-0\n[b]\npath = @/sdb1\n",
	       "a@fast v@fast b@fast");
	/* one device over several disks joins them */
	shares("[a]\npath = @/sda1\ndevice = both\n[c]\npath = @/sdc\ndevice = both\n"
	       "[d]\npath = @/sdd\n[v]\npath = @/dm-0\n",
	       "a@both c@both d@sdd v@both");
	/* a device that is called like another disk */
	shares("[a]\npath = @/sda1\n[c]\npath = @/sdc\ndevice = sda\n", "a@disk sda c@sda");
	free_disks();
}

static void test_two_devices_on_one_disk(void **state)
{
	struct asked asked = {.purpose = PLAN_RUN, .view = &fake};

	(void)state;
	NEED_ROOT();
	make_disks();
	refused(asked,
		"[a]\npath = @/sda1\ndevice = one\n[b]\npath = @/sdb1\ndevice = two\n"
		"[v]\npath = @/dm-0\n",
		"ioband.ini:8: [v] path: \"@/dm-0\" lies on disks of two devices: one scheduler "
		"can't be both\n");
	refused(asked,
		"[v]\npath = @/dm-0\ndevice = one\n[b]\npath = @/sdb1\ndevice = two\n"
		"[a]\npath = @/sda1\ndevice = one\n",
		"ioband.ini:6: [b] device: \"two\" two schedulers for one disk: sdb is in "
		"[device:one] already\n");
	refused(asked,
		"[a]\npath = @/sda1\ndevice = two\n[device:one]\npath = @/sda1\n"
		"[device:two]\npath = @/dm-0\n",
		"ioband.ini:7: [device:two] path: \"@/dm-0\" two schedulers for one disk: it is in "
		"[device:one] already\n"
		"ioband.ini:3: [a] device: \"two\" two schedulers for one disk: sda is in "
		"[device:one] already\n");
	free_disks();
}

/* Two nodes of one device have locks of their own: whatever the path, those of the claim's count.
 */
static void test_twin_nodes(void **state)
{
	struct loopdev loop;
	struct stat st;
	char text[256];

	(void)state;
	NEED_ROOT();
	assert_int_equal(loopdev_attach(&loop, image("a.img", 2 * MIB), 0, 0, 0), 0);
	assert_int_equal(fstat(loop.fd, &st), 0);
	assert_int_equal(mkdir(in_dir("dev"), 0700), 0);
	assert_int_equal(mount("none", in_dir("dev"), "tmpfs", 0, NULL), 0);
	assert_int_equal(mknod(in_dir("dev/twin"), S_IFBLK | 0600, st.st_rdev), 0);
	snprintf(text, sizeof(text),
		 "[a]\npath = %s\nsize = 1M\n[b]\npath = @/dev/twin\noffset = 1M\n", loop.path);
	struct plan *plan = planned(START, text);
	assert_ptr_equal(plan->files[0].claim, plan->files[1].claim);
	assert_int_equal(fstat(plan->files[0].claim->fd, &st), 0);
	for (size_t i = 0; i < 2; i++) {
		struct stat got;

		assert_int_equal(fstat(plan->files[i].backing->fd, &got), 0);
		assert_int_equal(got.st_ino, st.st_ino);
		assert_int_equal(got.st_dev, st.st_dev);
	}
	plan_free(plan);
	close(loop.fd);
	assert_int_equal(umount(in_dir("dev")), 0);
}

static void test_filesystems(void **state)
{
	(void)state;
	NEED_ROOT();
	assert_int_equal(mkdir(in_dir("one"), 0700), 0);
	assert_int_equal(mkdir(in_dir("two"), 0700), 0);
	assert_int_equal(mount("none", in_dir("one"), "tmpfs", 0, NULL), 0);
	assert_int_equal(mount("none", in_dir("two"), "tmpfs", 0, NULL), 0);
	image("one/a.img", MIB);
	image("one/b.img", MIB);
	image("two/c.img", MIB);
	struct plan *plan = planned(
		START, "[a]\npath = @/one/a.img\nbuffered = yes\n"
		       "[c]\npath = @/two/c.img\nbuffered = yes\n"
		       "[b]\npath = @/one/b.img\nbuffered = yes\n[device:ram]\npath = @/two\n");
	assert_int_equal(plan->n_disks, 2);
	assert_int_equal(plan->files[0].disk, plan->files[2].disk);
	assert_int_equal(strncmp(plan->disks[0].name, "fs 0:", 5), 0);
	assert_string_equal(plan->disks[1].name, "ram");
	assert_ptr_equal(plan->disks[1].conf, &plan->conf->devices[0]);
	assert_non_null(strstr(plan->disks[0].why, "lies on the tmpfs file system at "));
	plan_free(plan);
	assert_int_equal(umount(in_dir("one")), 0);
	assert_int_equal(umount(in_dir("two")), 0);
}

/* A disk and its partition: one claim, and bytes that are the same. */
static void test_disk_and_partition(void **state)
{
	struct loopdev loop;
	char node[48], text[PATH_MAX];

	(void)state;
	NEED_ROOT();
	assert_int_equal(loopdev_attach(&loop, image("a.img", 8 * MIB), LO_FLAGS_PARTSCAN, 0, 0),
			 0);
	assert_int_equal(loopdev_partition(&loop, 2), 0);
	snprintf(node, sizeof(node), "%sp2", loop.path);
	NEED(loopdev_wait(node), "no partition nodes appear");
	assert_int_equal(symlink(loop.path, in_dir("disk")), 0);
	assert_int_equal(symlink(node, in_dir("part2")), 0);
	/* p2 is 3 MiB..4 MiB. The partition comes first: its claim is the disk's all the same. */
	struct plan *plan =
		planned(START, "[p]\npath = @/part2\n[d]\npath = @/disk\noffset = 4M\n");
	assert_ptr_equal(plan->files[0].claim, plan->files[1].claim);
	assert_true(plan->files[0].claim->id.dev == plan->files[1].backing->id.dev);
	assert_int_equal(plan->n_disks, 1);
	/* a reload without the disk: the partition lives on its claim */
	struct plan_running list[] = {running(plan, 0, 1), running(plan, 1, 0)};
	struct plan *next = planned(RELOAD(list), "[p]\npath = @/part2\n");
	assert_ptr_equal(next->files[0].claim, plan->files[0].claim);
	plan_free(next);
	plan_free(plan);
	refused(START, "[p]\npath = @/part2\n[d]\npath = @/disk\noffset = 3584K\n",
		"ioband.ini:5: [d] offset: \"3670016\" overlaps p: only read-only files may have "
		"bytes in common\n");
	/* what only the partition's file wants of the claim, it gets */
	plan = planned(START, "[d]\npath = @/disk\noffset = 4M\nreadonly = yes\n"
			      "[p]\npath = @/part2\n");
	assert_ptr_equal(plan->files[0].claim, plan->files[1].claim);
	assert_false(plan->files[0].claim->readonly);
	plan_free(plan);
	/* the other way round, a running partition keeps the disk from being claimed */
	plan = planned(START, "[p]\npath = @/part2\n");
	struct plan_running part[] = {running(plan, 0, 1)};
	refused(RELOAD(part), "[p]\npath = @/part2\n[d]\npath = @/disk\noffset = 4M\n",
		"ioband.ini:4: [d] path: \"@/disk\" has a partition that is being served: a reload "
		"can't change that, a restart can\n");
	plan_free(plan);
	/* its file is attached, that is to say busy */
	snprintf(text, sizeof(text), "ioband.ini:2: [f] path: \"@/a.img\" is attached to %s\n",
		 loop.path);
	refused(START, "[f]\npath = @/a.img\n", text);
	loopdev_unpartition(&loop, 2);
	close(loop.fd);
}

/* ---- printing ---- */

static void test_print(void **state)
{
	char *text;
	size_t size;

	(void)state;
	NEED_ROOT();
	make_disks();
	struct asked asked = {.purpose = PLAN_RUN, .view = &fake};
	struct plan *plan = planned(
		asked, "[vm1.img]\npath = @/sda1\nweight = 400\n"
		       "[vm\xc3\xb6]\npath = @/sdc\nparent = inner\nsize = 1536K\nreadonly = yes\n"
		       "[x]\npath = @/sdc\noffset = 2M\nparent = outer\nweight = 300\n"
		       "[gone]\npath = @/nothing\noptional = yes\n"
		       "[y]\npath = @/sdd\ndevice = slow\ndiscard = ignore\n"
		       "[group:outer]\n[group:inner]\nparent = outer\n[group:unused]\n");
	FILE *out = open_memstream(&text, &size);
	plan_print(plan, out);
	fclose(out);
	char *expected =
		expanded("NAME     PATH                           SIZE  BLOCK  DISK  NOTES\n"
			 "vm1.img  @/sda1       4M    512  sda\n"
			 "vm\xc3\xb6      @/sdc      1.5M    512  sdc   read-only, from 0\n"
			 "x        @/sdc        2M    512  sdc   from 2M\n"
			 "gone     @/nothing     -      -  -     absent\n"
			 "y        @/sdd        4M    512  slow  no discard\n"
			 "\n"
			 "sda: @/sda1 is a partition of sda\n"
			 "           WEIGHT  OF SIBLINGS  OF DISK\n"
			 "  vm1.img     400      100.0 %  100.0 %\n"
			 "\n"
			 "sdc: @/sdc is the disk sdc\n"
			 "           WEIGHT  OF SIBLINGS  OF DISK\n"
			 "  outer       100      100.0 %  100.0 %\n"
			 "    inner     100       25.0 %   25.0 %\n"
			 "      vm\xc3\xb6     100      100.0 %   25.0 %\n"
			 "    x         300       75.0 %   75.0 %\n"
			 "\n"
			 "slow: @/sdd is the disk sdd\n"
			 "     WEIGHT  OF SIBLINGS  OF DISK\n"
			 "  y     100      100.0 %  100.0 %\n");
	assert_string_equal(text, expected);
	free(expected);
	free(text);
	plan_free(plan);
	free_disks();
}

/* A path may have any bytes: a terminal that shows the plan obeys none of them. */
static void test_print_tame(void **state)
{
	struct plan *plan;
	char *text;
	size_t size;
	FILE *out;

	(void)state;
	mkdir(in_dir("a\xc2\x9b"), 0700);
	image("a\xc2\x9b/b.img", MIB);
	plan = planned(START, "[b]\npath = @/a\xc2\x9b/b.img\n"
			      "[gone]\npath = @/\tno\xc2\x80\xc3\xa9\noptional = yes\n");
	out = open_memstream(&text, &size);
	assert_non_null(out);
	plan_print(plan, out);
	fclose(out);
	assert_non_null(strstr(text, "/a?"
				     "?/b.img  "));
	assert_non_null(strstr(text, "/?no?"
				     "?\xc3\xa9 "));
	assert_null(strstr(text, "\xc2\x9b"));
	assert_null(strstr(text, "\xc2\x80"));
	assert_null(strchr(text, '\t'));
	free(text);
	plan_free(plan);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		TEST(test_shared_disks), TEST(test_two_devices_on_one_disk), TEST(test_twin_nodes),
		TEST(test_filesystems),	 TEST(test_disk_and_partition),	     TEST(test_print),
		TEST(test_print_tame),
	};

	have_own_mounts();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
