/* SPDX-License-Identifier: MIT */
/* test_plan_reload.c - plan.h beside what runs or has run: reloads, and after a crash. */
#include "plan_rig.h"
#include "loopdev.h"
#include "memfd.h"
#include "own_mounts.h"

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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		TEST(test_reload_same),	      TEST(test_reload_open),
		TEST(test_reload_closed),     TEST(test_reload_removed),
		TEST(test_reload_shrunk),     TEST(test_reload_odd_growth),
		TEST(test_reload_upgrade),    TEST(test_recover),
		TEST(test_recover_no_errors), TEST(test_recover_replaced),
		TEST(test_recover_partition),
	};

	have_own_mounts();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
