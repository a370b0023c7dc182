/* SPDX-License-Identifier: MIT */
/*
 * Unit tests of plan_limits.h and of what plan_print() shows of limits: what is promised on a disk,
 * whether it can be kept, and settings that have no effect.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "plan_rig.h"
#include "own_mounts.h"

#include <sys/stat.h>

/* Files of their own, all on the same disk. */
#define FILE_A "[a]\npath = @/a.img\ndevice = d\n"
#define FILE_B "[b]\npath = @/b.img\ndevice = d\n"
#define FILE_C "[c]\npath = @/c.img\ndevice = d\n"
#define FILE_D "[d]\npath = @/d.img\ndevice = d\n"

static int make_images(void **state)
{
	static const char *const names[] = {"a.img", "b.img", "c.img", "d.img"};

	if (make_dir(state))
		return -1;
	for (int i = 0; i < 4; i++)
		image(names[i], MIB);
	return 0;
}

/* Accepted, with these notes. */
static struct plan *noted(const char *text, const char *notes)
{
	struct plan *plan = planned(START, text);

	assert_string_equal(said, notes);
	return plan;
}

static void assert_promised(const struct plan_promised *got, double iops, double bps, double reads,
			    double writes)
{
	assert_float_equal(got->iops, iops, 1e-6);
	assert_float_equal(got->bps, bps, 1e-6);
	assert_float_equal(got->reads, reads, 1e-9);
	assert_float_equal(got->writes, writes, 1e-9);
}

static void promised(const char *text, double iops, double bps, double reads, double writes)
{
	struct plan *plan = noted(text, "");

	assert_int_equal(plan->n_disks, 1);
	assert_promised(&plan->disks[0].promised, iops, bps, reads, writes);
	plan_free(plan);
}

static void test_parts_of_a_disk(void **state)
{
	(void)state;
	/* nothing is known, or nothing is promised */
	promised(FILE_A "min_iops = 500\nmin_bps = 1M\n", 500, MIB, 0, 0);
	promised("[device:d]\nread_iops = 1000\n" FILE_A, 0, 0, 0, 0);
	/* I/Os of 4K */
	promised("[device:d]\nread_iops = 1000\nwrite_iops = 500\n" FILE_A "min_iops = 100\n", 100,
		 0, 0.1, 0.2);
	/* bytes in large ones */
	promised("[device:d]\nread_bps = 10M\nwrite_bps = 4M\n" FILE_A "min_bps = 1M\n", 0, MIB,
		 0.1, 0.25);
	/* of the bytes, 100 x 4096 come with the I/Os */
	promised("[device:d]\nread_iops = 1000\nread_bps = 40960000\n" FILE_A
		 "min_iops = 100\nmin_bps = 4505600\n",
		 100, 4505600, 0.1 + 0.1, 0);
	promised("[device:d]\nread_iops = 1000\nread_bps = 1M\n" FILE_A "min_iops = 100\n"
		 "min_bps = 409600\n",
		 100, 409600, 0.1, 0);
	/* but only if what those cost is known */
	promised("[device:d]\nread_bps = 40960000\n" FILE_A "min_iops = 100\n"
		 "min_bps = 4096000\n",
		 100, 4096000, 0.1, 0);
	/* a request of 4K is four I/Os of 1K, and one of 4K or of 1M */
	promised("[device:d]\nread_iops = 1000\n" FILE_A "min_iops = 400\niops_size = 1K\n", 400, 0,
		 0.1, 0);
	promised("[device:d]\nread_iops = 1000\n" FILE_A "min_iops = 400\niops_size = 1M\n", 400, 0,
		 0.4, 0);
}

static void test_sums_over_the_tree(void **state)
{
#define DISK "[device:d]\nread_iops = 1000\nread_bps = 10M\n"
	(void)state;
	/* siblings add up */
	promised(DISK FILE_A "min_iops = 100\n" FILE_B "min_iops = 200\n", 300, 0, 0.3, 0);
	/* a group's own is the larger one, its members' the larger one; each unit on its own */
	promised(DISK "[group:g]\nmin_iops = 400\nmin_bps = 1M\n" FILE_A "parent = g\n"
		      "min_iops = 100\nmin_bps = 5M\n" FILE_B "parent = g\nmin_iops = 200\n",
		 400, 5 * MIB, 0.1 + (5 * MIB - 100 * 4096.) / (10 * MIB) + 0.2, 0);
	/* through groups that promise nothing; one without a file is nowhere */
	promised(DISK "[group:in]\nparent = out\n[group:out]\nmin_iops = 250\n"
		      "[group:none]\nmin_iops = 5000\n" FILE_A
		      "parent = in\nmin_iops = 100\n" FILE_B "parent = out\nmin_iops = 200\n" FILE_C
		      "min_iops = 50\n",
		 350, 0, 0.35, 0);
}

static void test_impossible(void **state)
{
	(void)state;
	refused(START,
		"[device:d]\nread_iops = 1000\nwrite_iops = 800\nwrite_bps = 10M\n" FILE_A
		"min_iops = 1000\n" FILE_B "min_iops = 1\n",
		"ioband.ini:1: [device:d] its files and groups are promised 1001 IO/s, which is "
		"100.1 % of it in reads (read_iops=1000) and 125.1 % of it in writes "
		"(write_iops=800 write_bps=10M): lower min_iops and min_bps, or correct what it "
		"can do\n");
	refused(START, "[device:d]\nread_bps = 10M\nwrite_bps = 5M\n" FILE_A "min_bps = 12M\n",
		"ioband.ini:1: [device:d] its files and groups are promised 12M/s, which is "
		"120.0 % of it in reads (read_bps=10M) and 240.0 % of it in writes "
		"(write_bps=5M): lower min_iops and min_bps, or correct what it can do\n");
	/* beside other errors */
	refused(START,
		"[device:d]\nread_iops = 10\nwrite_iops = 10\n" FILE_A
		"min_iops = 15\nmin_bps = 1M\n[x]\npath = @/none\n",
		"ioband.ini:10: [x] path: \"@/none\" does not exist\n"
		"ioband.ini:1: [device:d] its files and groups are promised 15 IO/s and 1M/s, "
		"which is 150.0 % of it in reads (read_iops=10) and 150.0 % of it in writes "
		"(write_iops=10): lower min_iops and min_bps, or correct what it can do\n");
}

/* All of it is not too much, however it comes about. */
static void test_just_possible(void **state)
{
	char text[8192] = "[device:d]\nread_iops = 300\nwrite_iops = 300\n";
	struct plan *plan;

	(void)state;
	image("many.img", 100 * 4096);
	for (int i = 0; i < 100; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 "[f%d]\npath = @/many.img\noffset = %d\nsize = 4K\ndevice = d\nmin_iops = "
			 "3\n",
			 i, 4096 * i);
	plan = noted(text, "");
	assert_float_equal(plan->disks[0].promised.reads, 1, 1e-9);
	plan_free(plan);
}

static void test_possible_one_way(void **state)
{
	(void)state;
	plan_free(noted("[device:d]\nread_iops = 1000\nwrite_iops = 400\n" FILE_A
			"min_iops = 500\n",
			"ioband.ini:1: [device:d] its files and groups are promised 500 IO/s, "
			"which is 125.0 % of it in writes (write_iops=400): they cannot rely on "
			"that while it writes\n"));
	/* what is not known is not judged */
	plan_free(noted("[device:d]\nread_iops = 400\n" FILE_A "min_iops = 500\n",
			"ioband.ini:1: [device:d] its files and groups are promised 500 IO/s, "
			"which is 125.0 % of it in reads (read_iops=400): they cannot rely on "
			"that while it reads\n"));
}

/* A promise holds on every disk where a group has files, and an absent file needs nothing. */
static void test_several_disks(void **state)
{
	struct plan *plan;

	(void)state;
	NEED_ROOT();
	assert_int_equal(mkdir(in_dir("ram"), 0700), 0);
	assert_int_equal(mount("none", in_dir("ram"), "tmpfs", 0, NULL), 0);
	image("ram/a.img", MIB);
	plan = noted("[device:d]\nread_iops = 1000\n[device:ram]\nread_iops = 2000\n"
		     "[group:g]\nmin_iops = 500\n" FILE_A "parent = g\nmin_iops = 600\n"
		     "[ram]\npath = @/ram/a.img\nbuffered = yes\ndevice = ram\nparent = g\n"
		     "min_iops = 100\n"
		     "[gone]\npath = @/ram/gone\ndevice = ram\noptional = yes\nmin_iops = "
		     "1900\n",
		     "");
	assert_int_equal(plan->n_disks, 2);
	assert_string_equal(plan->disks[0].name, "d");
	assert_promised(&plan->disks[0].promised, 600, 0, 0.6, 0);
	assert_promised(&plan->disks[1].promised, 500, 0, 0.25, 0);
	plan_free(plan);
	assert_int_equal(umount(in_dir("ram")), 0);
}

static void test_no_effect(void **state)
{
	(void)state;
#define BURST \
	"burst: has no effect: it is saved up of a max_* of the same section, and there is none\n"
#define SIZE                                                                                 \
	"iops_size: has no effect: it is what the *_iops of the same section count in, and " \
	"there are none\n"
	plan_free(noted("[group:g]\niops_size = 4K\nburst = 5s\n" FILE_A "burst = 1ms\n"
			"min_iops = 5\niops_size = 64K\n" FILE_B "max_bps = 1M\nburst = 5s\n"
			"iops_size = 1K\n",
			"ioband.ini:3: [group:g] " BURST "ioband.ini:2: [group:g] " SIZE
			"ioband.ini:7: [a] " BURST "ioband.ini:15: [b] " SIZE));
	/* the defaults may be written down */
	plan_free(noted(FILE_A "burst = 0s\niops_size = 32768\nmax_write_bps = 0\n", ""));
	/* a cap may be taken away for a time without its burst, and that is no error */
	plan_free(noted(FILE_A "burst = 5s\nmax_iops = 0\n", "ioband.ini:4: [a] " BURST));
}

static void test_print(void **state)
{
	struct plan *plan;
	char *text, *tree;
	size_t size;
	FILE *out;

	(void)state;
	plan = noted("[device:d]\nisolation = strict\nlatency_target = 5ms\nread_iops = 20000\n"
		     "read_bps = 1G\npolicy = weight\nio_throttle = 8\n"
		     "[group:acme]\nmin_iops = 1000\nmax_bps = 50M\nmax_write_iops = 2000\n"
		     "burst = 10s\n" FILE_A "weight = 400\nclass = realtime\nmin_bps = 20M\n" FILE_B
		     "parent = acme\nmax_iops = 5000\niops_size = 4K\n"
		     "max_read_iops = 1\nmax_read_bps = 1000\nmax_write_bps = 1K\n" FILE_C
		     "weight = 300\n" FILE_D "class = idle\n",
		     "");
	out = open_memstream(&text, &size);
	plan_print(plan, out);
	fclose(out);
	tree = strstr(text, "\n  policy");
	assert_non_null(tree);
	assert_string_equal(
		tree,
		"\n  policy=weight io_throttle=8 isolation=strict latency_target=5ms "
		"read_iops=20000 read_bps=1G\n"
		"        WEIGHT  OF SIBLINGS  OF DISK  LIMITS\n"
		"  a        400      100.0 %  100.0 %  class=realtime min_bps=20M\n"
		"  acme     100       25.0 %   25.0 %  min_iops=1000 max_bps=50M "
		"max_write_iops=2000 burst=10s\n"
		"    b      100      100.0 %   25.0 %  max_iops=5000 max_read_iops=1 "
		"max_read_bps=1000 max_write_bps=1K iops_size=4K\n"
		"  c        300       75.0 %   75.0 %\n"
		"  d        100      100.0 %  100.0 %  class=idle\n"
		"  realtime goes before its siblings, idle after them: percentages are of what is "
		"left\n"
		"  promised: 1000 IO/s and 20M/s, at least 7.0 % of the disk in reads\n");
	free(text);
	plan_free(plan);
}

static void printed_promise(const char *text, const char *line)
{
	struct plan *plan = planned(START, text);
	char *all, *found;
	size_t size;
	FILE *out = open_memstream(&all, &size);

	plan_print(plan, out);
	fclose(out);
	found = strstr(all, "  promised: ");
	assert_string_equal(found ? found : "", line);
	free(all);
	plan_free(plan);
}

static void test_print_promises(void **state)
{
	(void)state;
	printed_promise(FILE_A, "");
	printed_promise(FILE_A "min_bps = 5M\n",
			"  promised: 5M/s; whether the disk can do it is not known (read_iops, "
			"read_bps, write_iops, write_bps)\n");
	printed_promise("[device:d]\nwrite_iops = 100\n" FILE_A "min_iops = 50\n",
			"  promised: 50 IO/s, at least 50.0 % of the disk in writes\n");
	printed_promise("[device:d]\nwrite_iops = 100\nread_iops = 80\n" FILE_A "min_iops = "
			"50\n",
			"  promised: 50 IO/s, at least 62.5 % of the disk in reads, 50.0 % in "
			"writes\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_images, remove_dir)
	const struct CMUnitTest tests[] = {
		TEST(test_parts_of_a_disk),  TEST(test_sums_over_the_tree),
		TEST(test_impossible),	     TEST(test_just_possible),
		TEST(test_possible_one_way), TEST(test_several_disks),
		TEST(test_no_effect),	     TEST(test_print),
		TEST(test_print_promises),
	};

	have_own_mounts();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
