/* SPDX-License-Identifier: MIT */
/*
 * Unit tests of plan.h: configurations as text, real images and, for root, loop devices, with a
 * made-up sysfs where it matters which disk something is on.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "plan_rig.h"
#include "loopdev.h"
#include "memfd.h"
#include "mountinfo.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>

static void put(const char *path, const char *text)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	fprintf(out, "%s\n", text);
	assert_int_equal(fclose(out), 0);
}

/* ---- a start ---- */

static void test_start(void **state)
{
	unsigned descriptors = open_descriptors();

	(void)state;
	image("a.img", MIB);
	image("b.img", 2 * MIB);
	struct plan *plan = planned(START, "[vm1]\npath = @/a.img\n[vm2]\npath = @/b.img\n"
					   "offset = 1M\nreadonly = yes\n");
	assert_int_equal(plan->n_files, 2);
	assert_string_equal(plan->files[1].conf->name, "vm2");
	assert_int_equal(plan->files[0].size_bytes, MIB);
	assert_int_equal(plan->files[1].size_bytes, MIB);
	assert_int_equal(plan->files[1].backing->start_bytes, MIB);
	assert_true(plan->files[1].backing->readonly);
	assert_true(plan->files[1].claim->readonly);
	assert_ptr_not_equal(plan->files[0].claim, plan->files[1].claim);
	assert_false(plan->files[0].reused);
	/* on one filesystem: one scheduler, with all defaults */
	assert_int_equal(plan->n_disks, 1);
	assert_int_equal(plan->files[0].disk, 0);
	assert_int_equal(plan->files[1].disk, 0);
	assert_null(plan->disks[0].conf);
	assert_true(plan->disks[0].n_leaves >= 1);
	assert_non_null(strstr(plan->disks[0].why, "a.img lies on "));
	assert_string_equal(said, "");
	plan_free(plan);
	plan_free(NULL);
	assert_int_equal(open_descriptors(), descriptors);
}

/* Ranges of one image share a claim, and it is for writing if one of them is. */
static void test_one_claim(void **state)
{
	(void)state;
	image("a.img", 3 * MIB);
	struct plan *plan = planned(START, "[r]\npath = @/a.img\nsize = 1M\nreadonly = yes\n"
					   "[w]\npath = @/a.img\noffset = 2M\n"
					   "[r2]\npath = @/a.img\nsize = 1M\nreadonly = yes\n");
	assert_ptr_equal(plan->files[0].claim, plan->files[1].claim);
	assert_ptr_equal(plan->files[0].claim, plan->files[2].claim);
	assert_int_equal(plan->files[0].claim->refs, 3);
	assert_false(plan->files[0].claim->readonly);
	plan_free(plan);
}

static void test_all_errors(void **state)
{
	unsigned descriptors = open_descriptors();

	(void)state;
	image("good.img", MIB);
	image("a.img", MIB);
	image("empty.img", 0);
	assert_int_equal(mkdir(in_dir("folder"), 0700), 0);
	refused(START,
		"[good]\npath = @/good.img\n"
		"[none]\npath = @/none.img\n"
		"[folder]\npath = @/folder\n"
		"[empty]\npath = @/empty.img\n"
		"[odd]\npath = @/a.img\nsize = 1M\n"
		"[far]\npath = @/a.img\noffset = 2M\n"
		"[long]\npath = @/a.img\noffset = 512K\nsize = 1M\n"
		"[null]\npath = /dev/null\noptional = yes\n"
		"[device:d]\npath = @/gone\n"
		"[uses]\npath = @/good.img\ndevice = d\n",
		"ioband.ini:23: [device:d] path: \"@/gone\" does not exist\n"
		"ioband.ini:4: [none] path: \"@/none.img\" does not exist\n"
		"ioband.ini:6: [folder] path: \"@/folder\" is a directory, neither a block device "
		"nor a regular file\n"
		"ioband.ini:20: [null] path: \"/dev/null\" is a character device, neither a block "
		"device nor a regular file\n"
		"ioband.ini:8: [empty] path: \"@/empty.img\" is empty\n"
		"ioband.ini:14: [far] offset: \"2097152\" lies beyond the end: @/a.img has 1048576 "
		"bytes\n"
		"ioband.ini:18: [long] size: \"1048576\" reaches beyond the end: @/a.img has "
		"1048576 bytes\n"
		"ioband.ini:25: [uses] path: \"@/good.img\" overlaps good: only read-only files "
		"may "
		"have bytes in common\n");
	assert_int_equal(open_descriptors(), descriptors);
}

static void test_optional(void **state)
{
	(void)state;
	image("a.img", MIB);
	struct plan *plan = planned(START, "[here]\npath = @/a.img\noptional = yes\n"
					   "[gone]\npath = @/none\noptional = yes\ndevice = usb\n"
					   "[device:usb]\npath = @/nothing\n");
	assert_non_null(plan->files[0].backing);
	assert_null(plan->files[1].backing);
	assert_null(plan->files[1].claim);
	assert_int_equal(plan->files[1].disk, PLAN_NO_DISK);
	assert_int_equal(plan->n_disks, 1);
	plan_free(plan);
}

static void test_mountpoint(void **state)
{
	struct asked asked = START;

	(void)state;
	image("a.img", MIB);
	assert_int_equal(mkdir(in_dir("mnt"), 0700), 0);
	assert_int_equal(mkdir(in_dir("mnt2"), 0700), 0);
	image("mnt/a.img", MIB);
	image("mnt2/a.img", MIB);
	assert_int_equal(symlink("mnt/a.img", in_dir("link")), 0);
	asked.mountpoint = in_dir("mnt");
	refused(asked,
		"[one]\npath = @/mnt/a.img\n[two]\npath = @/link\n[three]\npath = @/mnt2/a.img\n"
		"[four]\npath = @/mnt\noptional = yes\n[device:d]\npath = @/mnt\n",
		"ioband.ini:11: [device:d] path: \"@/mnt\" lies in the mount itself\n"
		"ioband.ini:2: [one] path: \"@/mnt/a.img\" lies in the mount itself\n"
		"ioband.ini:4: [two] path: \"@/link\" lies in the mount itself\n"
		"ioband.ini:8: [four] path: \"@/mnt\" lies in the mount itself\n");
}

static void test_overlap(void **state)
{
	(void)state;
	image("a.img", 4 * MIB);
	assert_int_equal(link(in_dir("a.img"), in_dir("alias.img")), 0);
	refused(START,
		"[one]\npath = @/a.img\nsize = 2M\n"
		"[two]\npath = @/alias.img\noffset = 2M\nsize = 1M\n"
		"[three]\npath = @/a.img\noffset = 2560K\n"
		"[four]\npath = @/a.img\nsize = 512\nreadonly = yes\n",
		"ioband.ini:13: [four] size: \"512\" overlaps one: only read-only files may have "
		"bytes in common\n"
		"ioband.ini:10: [three] offset: \"2621440\" overlaps two: only read-only files may "
		"have bytes in common\n");
	plan_free(planned(START, "[one]\npath = @/a.img\nreadonly = yes\n"
				 "[two]\npath = @/alias.img\nreadonly = yes\n"));
}

/* An image that ends in a part of a block: the block is one file's, as it is written as a whole. */
static void test_shared_block(void **state)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	char text[256], errors[512];

	(void)state;
	image("a.img", 16 * page + 1024 + 100);
	struct plan *plan = planned(START, "[a]\npath = @/a.img\n");
	bool fine = plan->files[0].backing->block_bytes == 512;
	plan_free(plan);
	NEED(fine, "no blocks of 512 bytes here");
#define TWO "[a]\npath = @/a.img\nsize = %llu\n%s[b]\npath = @/a.img\noffset = %llu\n"
	unsigned long long border = 16 * page;
	snprintf(text, sizeof(text), TWO, border, "", border);
	plan_free(planned(START, text));
	border += 512;
	snprintf(text, sizeof(text), TWO, border, "", border);
	snprintf(errors, sizeof(errors),
		 "ioband.ini:6: [b] offset: \"%llu\" is within the last block of @/a.img, which is "
		 "incomplete and can be only one file's, but would be that of a, too: use "
		 "multiples of %llu\n",
		 border, (unsigned long long)page);
	refused(START, text, errors);
	/* to somebody who only reads it is none the worse */
	snprintf(text, sizeof(text), TWO, border, "readonly = yes\n", border);
	plan_free(planned(START, text));
	/* nor is a whole block */
	image("a.img", 17 * page);
	snprintf(text, sizeof(text), TWO, border, "", border);
	plan_free(planned(START, text));
	/* nor the part behind the end of one that runs and is longer by now */
	struct plan *old = planned(START, "[a]\npath = @/a.img\n");
	struct plan_running list[] = {running(old, 0, 1)};
	assert_int_equal(truncate(in_dir("a.img"), (off_t)(18 * page + 100)), 0);
	snprintf(text, sizeof(text), "[a]\npath = @/a.img\n[b]\npath = @/a.img\noffset = %llu\n",
		 (unsigned long long)(18 * page));
	assert_null(ask(RELOAD(list), text));
	assert_non_null(strstr(said, "overlaps a: "));
	plan_free(old);
}

/* ---- check beside a running fuseband ---- */

static void test_check(void **state)
{
	(void)state;
	image("a.img", MIB);
	struct plan *run = planned(START, "[vm1]\npath = @/a.img\n");
	refused(START, "[vm1]\npath = @/a.img\n",
		"ioband.ini:2: [vm1] path: \"@/a.img\" is served by another fuseband\n");
	struct plan *plan = planned(CHECK, "[vm1]\npath = @/a.img\n");
	assert_string_equal(said, "ioband.ini:2: [vm1] path: \"@/a.img\" is served by another "
				  "fuseband\n");
	assert_non_null(plan->files[0].backing);
	assert_null(plan->files[0].claim);
	plan_free(plan);
	plan_free(run);
	plan_free(planned(CHECK, "[vm1]\npath = @/a.img\n"));
	assert_string_equal(said, "");
}

/* ---- reloads ---- */

static void test_reload_same(void **state)
{
	(void)state;
	image("a.img", MIB);
	image("b.img", MIB);
	struct plan *old = planned(START, "[vm1]\npath = @/a.img\n[vm2]\npath = @/b.img\n"
					  "size = 512K\n");
	struct plan_running list[] = {running(old, 0, 1), running(old, 1, 0)};
	assert_int_equal(truncate(in_dir("a.img"), 2 * MIB), 0);
	assert_int_equal(truncate(in_dir("b.img"), 2 * MIB), 0);
	struct plan *plan = planned(RELOAD(list), "[new]\npath = @/b.img\noffset = 1M\n"
						  "[vm2]\npath = @/b.img\nsize = 512K\n"
						  "[vm1]\npath = @/a.img\nweight = 7\n");
	assert_false(plan->files[0].reused);
	assert_true(plan->files[1].reused && plan->files[2].reused);
	assert_ptr_equal(plan->files[2].backing, old->files[0].backing);
	assert_ptr_equal(plan->files[1].backing, old->files[1].backing);
	assert_int_equal(plan->files[2].backing->refs, 2);
	assert_int_equal(plan->files[2].size_bytes, 2 * MIB); /* it has grown */
	assert_int_equal(plan->files[1].size_bytes, MIB / 2);
	assert_int_equal(plan->files[0].size_bytes, MIB);
	assert_ptr_equal(plan->files[0].claim, old->files[1].claim);
	assert_ptr_equal(plan->files[2].claim, old->files[0].claim);
	assert_string_equal(said, "");
	plan_free(plan);
	assert_int_equal(old->files[0].backing->refs, 1);
	assert_int_equal(old->files[1].claim->refs, 1);
	plan_free(old);
}

static void test_reload_open(void **state)
{
	(void)state;
	image("a.img", MIB);
	image("b.img", MIB);
	struct plan *old = planned(START, "[vm1]\npath = @/a.img\ndevice = d\n");
	struct plan_running list[] = {running(old, 0, 3)};
#define UNTIL_CLOSED                                                                            \
	"is open: path, offset, size, device, readonly and buffered cannot change until it is " \
	"closed\n"
	refused(RELOAD(list), "[vm1]\ndevice = d\npath = @/b.img\n",
		"ioband.ini:3: [vm1] path: \"@/b.img\" " UNTIL_CLOSED);
	refused(RELOAD(list), "[vm1]\npath = @/a.img\ndevice = d\noffset = 512\n",
		"ioband.ini:4: [vm1] offset: \"512\" " UNTIL_CLOSED);
	refused(RELOAD(list), "[vm1]\npath = @/a.img\ndevice = d\nsize = 512K\n",
		"ioband.ini:4: [vm1] size: \"524288\" " UNTIL_CLOSED);
	refused(RELOAD(list), "\n[vm1]\npath = @/a.img\ndevice = d\nreadonly = yes\n",
		"ioband.ini:2: [vm1] readonly: " UNTIL_CLOSED);
	refused(RELOAD(list), "[vm1]\npath = @/a.img\ndevice = e\n",
		"ioband.ini:3: [vm1] device: \"e\" is open: its device cannot change until it is "
		"closed\n");
	refused(RELOAD(list), "[vm1]\npath = @/a.img\n",
		"ioband.ini:1: [vm1] device: is open: its device cannot change until it is "
		"closed\n");
	/* the device comes by the disk now, and is the same */
	plan_free(planned(RELOAD(list), "[vm1]\npath = @/a.img\n[device:d]\npath = @\n"));
	/* the path leads to another file */
	assert_int_equal(rename(in_dir("b.img"), in_dir("a.img")), 0);
	refused(RELOAD(list), "[vm1]\npath = @/a.img\ndevice = d\n",
		"ioband.ini:2: [vm1] path: \"@/a.img\" is open, and the path leads to something "
		"else now\n");
	/* or nowhere */
	assert_int_equal(unlink(in_dir("a.img")), 0);
	struct plan *plan = planned(RELOAD(list), "[vm1]\npath = @/a.img\ndevice = d\n");
	assert_true(plan->files[0].reused);
	assert_string_equal(said,
			    "ioband.ini:2: [vm1] path: \"@/a.img\" is gone, and goes on being "
			    "served to those who have it open\n");
	plan_free(plan);
	plan_free(old);
}

static void test_reload_closed(void **state)
{
	(void)state;
	image("a.img", 2 * MIB);
	struct plan *old = planned(START, "[vm1]\npath = @/a.img\n");
	struct plan_running list[] = {running(old, 0, 0)};
	/* a smaller one, and another one in what it has left */
	struct plan *plan = planned(RELOAD(list), "[vm1]\npath = @/a.img\nsize = 1M\ndevice = d\n"
						  "[vm2]\npath = @/a.img\noffset = 1M\n");
	assert_false(plan->files[0].reused);
	assert_ptr_not_equal(plan->files[0].backing, old->files[0].backing);
	assert_ptr_equal(plan->files[0].claim, old->files[0].claim);
	plan_free(plan);
	plan_free(planned(RELOAD(list), "[other]\npath = @/a.img\n"));
	assert_int_equal(unlink(in_dir("a.img")), 0);
	refused(RELOAD(list), "[vm1]\npath = @/a.img\n",
		"ioband.ini:2: [vm1] path: \"@/a.img\" does not exist\n");
	plan = planned(RELOAD(list), "[vm1]\npath = @/a.img\noptional = yes\n");
	assert_null(plan->files[0].backing);
	plan_free(plan);
	/* and it comes again, as another file */
	image("a.img", MIB);
	plan = planned(RELOAD(list), "[vm1]\npath = @/a.img\noptional = yes\n");
	assert_false(plan->files[0].reused);
	assert_int_equal(plan->files[0].size_bytes, MIB);
	plan_free(plan);
	plan_free(old);
}

static void test_reload_removed(void **state)
{
	(void)state;
	image("a.img", 2 * MIB);
	struct plan *old = planned(START, "[vm1]\npath = @/a.img\nsize = 1M\n");
	struct plan_running list[] = {running(old, 0, 1)};
	const char *errors =
		"ioband.ini:2: [vm2] path: \"@/a.img\" overlaps vm1, which was removed "
		"but is still open: only read-only files may have bytes in common\n";
	/* this reload removes it ... */
	refused(RELOAD(list), "[vm2]\npath = @/a.img\n", errors);
	struct plan *plan = planned(RELOAD(list), "[vm2]\npath = @/a.img\noffset = 1M\n");
	assert_ptr_equal(plan->files[0].claim, old->files[0].claim);
	plan_free(plan);
	/* ... or an earlier one did */
	list[0].removed = true;
	refused(RELOAD(list), "[vm2]\npath = @/a.img\n", errors);
	refused(RELOAD(list), "[vm1]\npath = @/a.img\nsize = 1M\n",
		"ioband.ini:3: [vm1] size: \"1048576\" overlaps vm1, which was removed but is "
		"still "
		"open: only read-only files may have bytes in common\n");
	list[0].opens = 0;
	plan_free(planned(RELOAD(list), "[vm2]\npath = @/a.img\n"));
	plan_free(old);
}

static void test_reload_shrunk(void **state)
{
	(void)state;
	image("a.img", 2 * MIB);
	struct plan *old = planned(START, "[vm1]\npath = @/a.img\noffset = 1M\n");
	struct plan_running list[] = {running(old, 0, 1)};
	const char *text = "[vm1]\npath = @/a.img\noffset = 1M\n";
	assert_int_equal(truncate(in_dir("a.img"), MIB + MIB / 2), 0);
	struct plan *plan = planned(RELOAD(list), text);
	assert_true(plan->files[0].reused);
	assert_int_equal(plan->files[0].size_bytes, MIB / 2);
	assert_non_null(strstr(said, "has shrunk while it is open"));
	plan_free(plan);
	assert_int_equal(truncate(in_dir("a.img"), MIB), 0);
	plan = planned(RELOAD(list), text);
	assert_true(plan->files[0].reused);
	assert_int_equal(plan->files[0].size_bytes, 0);
	assert_non_null(strstr(said, "has shrunk while it is open"));
	plan_free(plan);
	/* with a size, it is no longer than what is there either */
	image("b.img", 2 * MIB);
	struct plan *fixed = planned(START, "[vm2]\npath = @/b.img\nsize = 2M\n");
	struct plan_running fixed_list[] = {running(fixed, 0, 1)};
	assert_int_equal(truncate(in_dir("b.img"), MIB), 0);
	plan = planned(RELOAD(fixed_list), "[vm2]\npath = @/b.img\nsize = 2M\n");
	assert_true(plan->files[0].reused);
	assert_int_equal(plan->files[0].size_bytes, MIB);
	assert_non_null(strstr(said, "has shrunk while it is open"));
	plan_free(plan);
	plan_free(fixed);
	list[0].opens = 0;
	refused(RELOAD(list), text,
		"ioband.ini:3: [vm1] offset: \"1048576\" lies beyond the end: @/a.img has 1048576 "
		"bytes\n");
	plan_free(old);
}

/* A tail that a backing has no descriptor for is left out. */
static void test_reload_odd_growth(void **state)
{
	(void)state;
	image("a.img", MIB);
	struct plan *old = planned(START, "[vm1]\npath = @/a.img\n");
	struct plan_running list[] = {running(old, 0, 1)};
	assert_int_equal(truncate(in_dir("a.img"), 2 * MIB + 100), 0);
	struct plan *plan = planned(RELOAD(list), "[vm1]\npath = @/a.img\n");
	assert_int_equal(plan->files[0].size_bytes, 2 * MIB);
	plan_free(plan);
	plan_free(old);
}

/* The running claim is for reading; a plan that comes to nothing leaves it so. */
static void test_reload_upgrade(void **state)
{
	(void)state;
	image("a.img", 2 * MIB);
	image("b.img", 2 * MIB);
	const char *text = "[r1]\npath = @/a.img\nsize = 1M\nreadonly = yes\n"
			   "[r2]\npath = @/b.img\nsize = 1M\nreadonly = yes\n"
			   "[w1]\npath = @/a.img\noffset = 1M\n"
			   "[w2]\npath = @/b.img\noffset = 1M\n";
	struct plan *old = planned(START, "[r1]\npath = @/a.img\nsize = 1M\nreadonly = yes\n"
					  "[r2]\npath = @/b.img\nsize = 1M\nreadonly = yes\n");
	struct plan *reader = planned(START, "[r]\npath = @/b.img\nreadonly = yes\n");
	struct plan_running list[] = {running(old, 0, 1), running(old, 1, 1)};
	refused(RELOAD(list), text,
		"ioband.ini:13: [w2] path: \"@/b.img\" is served by another fuseband\n");
	assert_true(old->files[0].claim->readonly && old->files[1].claim->readonly);
	plan_free(planned(START, "[r]\npath = @/a.img\nreadonly = yes\n"));
	plan_free(reader);
	struct plan *plan = planned(RELOAD(list), text);
	assert_ptr_equal(plan->files[2].claim, old->files[0].claim);
	assert_false(plan->files[2].claim->readonly || plan->files[3].claim->readonly);
	assert_null(ask(START, "[r]\npath = @/a.img\nreadonly = yes\n"));
	plan_free(plan);
	/* nobody took it over */
	assert_true(old->files[0].claim->readonly && old->files[1].claim->readonly);
	plan_free(planned(START, "[r]\npath = @/a.img\nreadonly = yes\n"));
	plan_free(old);
}

/* ---- disks: loop devices that a made-up sysfs calls something else ---- */

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

/* ---- after a crash ---- */

/* What was claimed is opened again, and nothing is claimed, whatever is at the paths by now. */
static void test_recover(void **state)
{
	static const char text[] = "[a1]\npath = @/a.img\nsize = 1M\n"
				   "[b]\npath = @/b.img\nreadonly = yes\n"
				   "[a2]\npath = @/a.img\noffset = 1M\n"
				   "[none]\npath = @/none\noptional = yes\n";
	unsigned descriptors = open_descriptors();

	(void)state;
	image("a.img", 2 * MIB);
	image("b.img", MIB);
	struct plan *old = planned(START, text);
	struct plan_running list[] = {died(old, 0, 20), died(old, 1, 21), died(old, 2, 30),
				      died(old, 3, 23)};
	list[0].served_bytes = 4096;
	list[2].removed = true;
	assert_int_equal(rename(in_dir("a.img"), in_dir("c.img")), 0);
	assert_int_equal(unlink(in_dir("b.img")), 0);
	image("b.img", 3 * MIB);
	struct plan *plan = planned(RECOVER(list), text);
	assert_string_equal(said, "");
	for (size_t i = 0; i < 3; i++) {
		assert_ptr_equal(plan->files[i].claim, old->files[i].claim);
		assert_ptr_not_equal(plan->files[i].backing, old->files[i].backing);
		assert_int_equal(
			backing_id_compare(&plan->files[i].backing->id, &old->files[i].backing->id),
			0);
		assert_int_equal(plan->files[i].disk, 0);
		assert_false(plan->files[i].reused);
	}
	assert_int_equal(plan->n_disks, 1);
	assert_int_equal(plan->files[0].id, 20);
	assert_int_equal(plan->files[0].served_bytes, 4096);
	assert_int_equal(plan->files[0].size_bytes, MIB);
	assert_true(plan->files[1].backing->readonly);
	assert_true(plan->files[2].removed);
	assert_int_equal(plan->files[2].backing->start_bytes, MIB);
	assert_int_equal(plan->files[3].id, 23);
	assert_null(plan->files[3].backing);
	assert_int_equal(plan->files[3].disk, PLAN_NO_DISK);
	plan_free(plan);
	plan_free(old);
	assert_int_equal(open_descriptors(), descriptors);
}

/* What would be an error at a start is for the log: whoever can be served is. */
static void test_recover_no_errors(void **state)
{
	static const char first[] = "[a]\npath = @/a.img\ndevice = d\n[b]\npath = @/b.img\n"
				    "[c]\npath = @/c.img\nsize = 1M\n";

	(void)state;
	image("a.img", MIB);
	image("b.img", MIB);
	image("c.img", 2 * MIB);
	struct plan *old = planned(START, first);
	/* c twice, as its second one was removed */
	struct plan_running list[] = {died(old, 0, 16), died(old, 1, 17), died(old, 2, 18),
				      died(old, 2, 19)};
	assert_int_equal(truncate(in_dir("b.img"), 0), 0);
	struct plan *plan =
		planned(RECOVER(list),
			"[device:d]\npath = @/nothing\nread_iops = 10\nwrite_iops = 10\n"
			"[a]\npath = @/a.img\ndevice = d\nmin_iops = 1000\n[b]\npath = @/b.img\n"
			"[c]\npath = @/c.img\nsize = 1M\n[c2]\npath = @/c.img\nsize = 1M\n");
	assert_non_null(strstr(said, "[device:d] path: \"@/nothing\" does not exist"));
	assert_non_null(strstr(said, "are promised 1000 IO/s"));
	assert_non_null(strstr(said, "[b] path: \"@/b.img\" is empty"));
	assert_non_null(strstr(said, "[c2] size: \"1048576\" overlaps c"));
	assert_non_null(plan->files[0].backing);
	assert_null(plan->files[1].backing);
	assert_int_equal(plan->files[1].id, 17);
	assert_int_equal(plan->files[1].served_bytes, MIB);
	assert_non_null(plan->files[2].backing);
	assert_non_null(plan->files[3].backing);
	plan_free(plan);
	plan_free(old);
}

/* Another one than was claimed is not taken, though it is at the path. */
static void test_recover_replaced(void **state)
{
	(void)state;
	image("a.img", MIB);
	image("b.img", MIB);
	struct plan *old = planned(START, "[a]\npath = @/a.img\n[b]\npath = @/b.img\n");
	struct plan_running list[] = {died(old, 0, 16)};
	list[0].claim = old->files[1].claim; /* not that of the object */
	assert_int_equal(rename(in_dir("b.img"), in_dir("a.img")), 0);
	struct plan *plan = planned(RECOVER(list), "[a]\npath = @/a.img\n");
	assert_null(plan->files[0].backing);
	assert_non_null(strstr(said, "was replaced while it was being opened"));
	plan_free(plan);
	plan_free(old);
}

/* A partition that was served on the claim of its disk. */
static void test_recover_partition(void **state)
{
	static const char text[] = "[d]\npath = @/disk\noffset = 4M\n[p]\npath = @/part2\n";
	struct loopdev loop;
	char node[48];

	(void)state;
	NEED_ROOT();
	assert_int_equal(loopdev_attach(&loop, image("a.img", 8 * MIB), LO_FLAGS_PARTSCAN, 0, 0),
			 0);
	assert_int_equal(loopdev_partition(&loop, 2), 0);
	snprintf(node, sizeof(node), "%sp2", loop.path);
	NEED(loopdev_wait(node), "no partition nodes appear");
	assert_int_equal(symlink(loop.path, in_dir("disk")), 0);
	assert_int_equal(symlink(node, in_dir("part2")), 0);
	struct plan *old = planned(START, text);
	struct plan_running list[] = {died(old, 0, 16), died(old, 1, 17)};
	struct plan *plan = planned(RECOVER(list), text);
	assert_string_equal(said, "");
	for (size_t i = 0; i < 2; i++) {
		assert_ptr_equal(plan->files[i].claim, old->files[0].claim);
		assert_int_equal(
			backing_id_compare(&plan->files[i].backing->id, &old->files[i].backing->id),
			0);
		assert_int_equal(plan->files[i].backing->extent.start_bytes,
				 old->files[i].backing->extent.start_bytes);
	}
	assert_int_equal(plan->n_disks, 1);
	plan_free(plan);
	plan_free(old);
	loopdev_unpartition(&loop, 2);
	close(loop.fd);
}

/* ---- a mount that does not answer ---- */

/* A FUSE filesystem that is one file, path. 0: it did not come up. */
static pid_t start_fuse(const char *file, const char *path)
{
	char blockdev[PATH_MAX + 64], export[PATH_MAX + 64];
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		snprintf(blockdev, sizeof(blockdev), "file,node-name=f,filename=%s", file);
		snprintf(export, sizeof(export), "fuse,id=e,node-name=f,writable=on,mountpoint=%s",
			 path);
		execlp("qemu-storage-daemon", "qemu-storage-daemon", "--blockdev", blockdev,
		       "--export", export, (char *)NULL);
		_exit(127);
	}
	for (int i = 0; pid > 0 && i < 500; i++) {
		struct mountinfo mounts;
		bool mounted = false;

		assert_int_equal(mountinfo_read(&mounts), 0);
		for (size_t k = 0; k < mounts.n; k++)
			mounted = mounted || strcmp(mounts.list[k].point, path) == 0;
		mountinfo_free(&mounts);
		if (mounted)
			return pid;
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return 0;
		usleep(10000);
	}
	return 0;
}

/*
 * What the daemon is to itself during a reload: a filesystem of which every question is answered
 * only later. Here it is a stopped process; who asks is killed by the alarm.
 */
static void test_silent_mount(void **state)
{
	struct loopdev loop;

	(void)state;
	NEED_ROOT();
	image("ok.img", MIB);
	image("mnt", 0);
	image("bind", 0);
	pid_t pid = start_fuse(image("behind.img", 4 * MIB), in_dir("mnt"));
	NEED(pid > 0, "no qemu-storage-daemon that exports by FUSE");
	assert_int_equal(mount(in_dir("mnt"), in_dir("bind"), NULL, MS_BIND, NULL), 0);
	assert_int_equal(loopdev_attach(&loop, in_dir("mnt"), 0, 0, 0), 0);
	assert_int_equal(symlink(loop.path, in_dir("loop")), 0);
	assert_int_equal(symlink("mnt", in_dir("link")), 0);
	/* a write makes the kernel forget what it knows of the file */
	char block[4096] = "";
	assert_int_equal(pwrite(loop.fd, block, sizeof(block), 0), sizeof(block));
	assert_int_equal(fsync(loop.fd), 0);
	assert_int_equal(kill(pid, SIGSTOP), 0);
	alarm(20);
	struct asked asked = {.purpose = PLAN_RUN, .mountpoint = in_dir("mnt")};
	refused(asked,
		"[ok]\npath = @/ok.img\n[direct]\npath = @/mnt\n[below]\npath = @/mnt/x\n"
		"[link]\npath = @/link\n[bind]\npath = @/bind\n[loop]\npath = @/loop\n"
		"[device:d]\npath = @/bind\n",
		"ioband.ini:14: [device:d] path: \"@/bind\" lies in the mount itself\n"
		"ioband.ini:4: [direct] path: \"@/mnt\" lies in the mount itself\n"
		"ioband.ini:6: [below] path: \"@/mnt/x\" lies in the mount itself\n"
		"ioband.ini:8: [link] path: \"@/link\" lies in the mount itself\n"
		"ioband.ini:10: [bind] path: \"@/bind\" lies in the mount itself\n"
		"ioband.ini:12: [loop] path: \"@/loop\" lies on this mount itself\n");
	/* somebody else's: served, and still not asked anything */
	asked.mountpoint = NULL;
	struct plan *plan = planned(asked, "[ok]\npath = @/ok.img\n[loop]\npath = @/loop\n");
	assert_int_equal(strncmp(plan->disks[1].name, "fs 0:", 5), 0);
	plan_free(plan);
	alarm(0);
	assert_int_equal(kill(pid, SIGCONT), 0);
	close(loop.fd);
	assert_int_equal(umount2(in_dir("bind"), MNT_DETACH), 0);
	assert_int_equal(umount2(in_dir("mnt"), MNT_DETACH), 0);
	kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
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

/* ---- many ---- */

static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now); /* whatever else runs */
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double time_of_many(unsigned n, bool one_image)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (unsigned i = 0; i < n; i++) {
		fprintf(out, "[vm%u]\nbuffered = yes\n", i);
		if (one_image)
			fprintf(out, "path = @/many/all.img\noffset = %uM\nsize = 1M\n", i);
		else
			fprintf(out, "path = @/many/vm%u.img\n", i);
	}
	fclose(out);
	char *full = expanded(text), path[] = "ioband.ini";
	struct conf_source source = {path, full, strlen(full)};
	struct conf_text sources = {.sources = &source, .n_sources = 1};
	struct conf_errors errors = {0};
	struct conf *conf = NULL;
	struct plan *plan = NULL;
	assert_int_equal(conf_parse(&sources, &errors, &conf), 0);
	double start = cpu_seconds();
	int err = plan_make(conf, in_dir("mnt"), NULL, 0, PLAN_RUN, &disks_system, &errors, NULL,
			    &plan);
	if (err)
		fail_msg("%s", errors.n ? errors.list[0].text : strerror(-err));
	double took = cpu_seconds() - start;
	plan_free(plan);
	conf_errors_free(&errors);
	free(full);
	free(text);
	return took;
}

/*
 * Four times the files in at most ten times the time: nothing is compared pairwise, which would
 * take sixteen times.
 */
static void test_many(void **state)
{
	struct rlimit limit;
	char name[32];

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	unsigned n = limit.rlim_max > 10500 ? 5000 : (unsigned)(limit.rlim_max - 200) / 2;
	assert_int_equal(mkdir(in_dir("many"), 0700), 0);
	/* thousands of files are made at once on a tmpfs, and in many seconds on some disks */
	bool tmpfs = geteuid() == 0 && mount("none", in_dir("many"), "tmpfs", 0, NULL) == 0;
	if (!tmpfs)
		n = 400;
	image("many/all.img", n * MIB);
	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "many/vm%u.img", i);
		image(name, 4096);
	}
	for (int one_image = 0; one_image < 2; one_image++) {
		double few = time_of_many(n / 4, one_image), all = time_of_many(n, one_image);

		print_message("%u files of %s: %.0f ms of CPU; a quarter of them: %.0f ms\n", n,
			      one_image ? "one image" : "their own", 1e3 * all, 1e3 * few);
		assert_true(all < 10 * few + 0.05);
	}
	if (tmpfs)
		assert_int_equal(umount(in_dir("many")), 0);
}

/* ---- */

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		TEST(test_start),
		TEST(test_one_claim),
		TEST(test_all_errors),
		TEST(test_optional),
		TEST(test_mountpoint),
		TEST(test_overlap),
		TEST(test_shared_block),
		TEST(test_check),
		TEST(test_reload_same),
		TEST(test_reload_open),
		TEST(test_reload_closed),
		TEST(test_reload_removed),
		TEST(test_reload_shrunk),
		TEST(test_reload_odd_growth),
		TEST(test_reload_upgrade),
		TEST(test_shared_disks),
		TEST(test_two_devices_on_one_disk),
		TEST(test_twin_nodes),
		TEST(test_filesystems),
		TEST(test_disk_and_partition),
		TEST(test_recover),
		TEST(test_recover_no_errors),
		TEST(test_recover_replaced),
		TEST(test_recover_partition),
		TEST(test_silent_mount),
		TEST(test_print),
		TEST(test_print_tame),
		TEST(test_many),
	};

	/* mounts of a test that fails must not outlive it */
	if (geteuid() == 0 &&
	    (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0))
		perror("no private mount namespace");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
