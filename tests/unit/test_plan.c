/* SPDX-License-Identifier: MIT */
/*
 * test_plan.c - plan.h: a start and a check, configurations as text with real images and, for root,
 * loop devices.
 */
#include "plan_rig.h"
#include "loopdev.h"
#include "memfd.h"
#include "mountinfo.h"
#include "own_mounts.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

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
		TEST(test_start),	 TEST(test_one_claim),	TEST(test_all_errors),
		TEST(test_optional),	 TEST(test_mountpoint), TEST(test_overlap),
		TEST(test_shared_block), TEST(test_check),	TEST(test_silent_mount),
		TEST(test_many),
	};

	have_own_mounts();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
