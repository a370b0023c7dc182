/* SPDX-License-Identifier: MIT */
/*
 * Unit tests of accepted.h: what is served, as bytes and back, and bytes that are something else.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "accepted.h"
#include "failing.h"
#include "memfd.h"
#include "mount_rig.h"

#define FILE_A "[a]\npath = @/a.img\n"
#define FILE_B "[b]\npath = @/b.img\n"
#define FILE_C "[c]\npath = @/c.img\ndevice = d\n"
/* everything that a removed file goes on with is something else than the default */
#define FILE_R                                                                                 \
	"[r]\npath = @/r.img\ndevice = d\noffset = 64K\nsize = 128K\nweight = 7\n"             \
	"class = idle\nreadonly = yes\ndiscard = ignore\nuid = 3\ngid = 4\nmode = 0604\n"      \
	"min_iops = 11\nmin_bps = 12\nmax_iops = 13\nmax_bps = 14\nmax_read_iops = 15\n"       \
	"max_write_iops = 16\nmax_read_bps = 17\nmax_write_bps = 18\niops_size = 4K\nburst = " \
	"20ms\n"

static struct mount *mount;
static char first_text[] = "[a]\n\0path", second_text[] = "", path_1[] = "ioband.ini",
	    path_2[] = "ioband.ini.d/x.ini";
static struct conf_source sources[] = {{path_1, first_text, sizeof(first_text) - 1},
				       {path_2, second_text, 0}};
static const struct conf_text text = {.sources = sources, .n_sources = 2};
static unsigned descriptors;

static int setup(void **state)
{
	countdown = -1;
	if (make_dir(state))
		return -1;
	image("a.img", MIB);
	image("b.img", MIB);
	image("c.img", MIB);
	image("r.img", MIB);
	descriptors = open_descriptors();
	return 0;
}

static int teardown(void **state)
{
	mount_free(mount);
	mount = NULL;
	assert_int_equal(open_descriptors(), descriptors);
	return remove_dir(state);
}

/* Two files in the directory, one of which is absent, and two that were removed. */
static void make_mount(void)
{
	mount = start(FILE_A FILE_R FILE_C);
	open_file(mount, "r");
	open_file(mount, "c");
	apply(mount, "[none]\npath = @/none\noptional = yes\n" FILE_A);
	assert_int_equal(mount->n_orphans, 2);
	mount_by_name(mount, "a")->claim->kept = 5;
	mount->since = (struct timespec){123, 456};
	mount->began = (struct timespec){78, 9};
}

static int saved(void)
{
	int fd = -1;

	assert_int_equal(accepted_save(mount, &text, &fd), 0);
	return fd;
}

/* ---- and back ---- */

static void same_file(const struct accepted_file *got, const struct file *file)
{
	const struct backing *backing = file->backing;

	assert_string_equal(got->name, file->name);
	assert_int_equal(got->id, file->id);
	assert_int_equal(got->size_bytes, file->size_bytes);
	assert_int_equal(got->present, backing != NULL);
	assert_int_equal(got->claim, file->claim ? file->claim->kept : 0);
	assert_int_equal(got->removed, file->removed);
	if (!backing)
		return;
	assert_int_equal(backing_id_compare(&got->object, &backing->id), 0);
	assert_int_equal(got->traits.align_bytes, backing->align_bytes);
	assert_int_equal(got->traits.memory_align, backing->memory_align);
	assert_int_equal(got->traits.block_bytes, backing->block_bytes);
	assert_int_equal(got->traits.buffered, backing->buffered);
	assert_int_equal(got->traits.can_zero, backing->can_zero);
	assert_int_equal(got->traits.can_punch, backing->can_punch);
	assert_int_equal(got->traits.may_block, backing->may_block);
}

static void test_round(void **state)
{
	struct accepted got;

	(void)state;
	make_mount();
	mount_by_name(mount, "a")->size_bytes = MIB - 4096; /* it has grown since */
	int fd = saved();
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(accepted_load(fd, &got), 0);
	close(fd);
	assert_int_equal(got.generation, 2);
	assert_int_equal(got.next_id, MOUNT_FIRST_ID + 4);
	assert_int_equal(got.since.tv_sec, 123);
	assert_int_equal(got.since.tv_nsec, 456);
	assert_int_equal(got.began.tv_sec, 78);
	assert_int_equal(got.began.tv_nsec, 9);
	assert_int_equal(got.text.n_sources, 2);
	assert_string_equal(got.text.sources[0].path, "ioband.ini");
	assert_int_equal(got.text.sources[0].len, sources[0].len);
	assert_memory_equal(got.text.sources[0].text, first_text, sizeof(first_text));
	assert_string_equal(got.text.sources[1].path, "ioband.ini.d/x.ini");
	assert_string_equal(got.text.sources[1].text, "");
	assert_int_equal(got.n_files, 4);
	for (size_t i = 0; i < 2; i++) {
		same_file(&got.files[i], mount->files[i]);
		same_file(&got.files[2 + i], mount->orphans[i]);
		assert_null(got.files[i].path);
	}
	accepted_free(&got);
	accepted_free(&got); /* of nothing */
}

/* The text says nothing of removed files any more: all of their section is there. */
static void test_removed(void **state)
{
	struct accepted got;
	const struct accepted_file *r, *c;

	(void)state;
	make_mount();
	int fd = saved();
	assert_int_equal(accepted_load(fd, &got), 0);
	close(fd);
	r = got.files[2].name[0] == 'r' ? &got.files[2] : &got.files[3];
	c = r == &got.files[2] ? &got.files[3] : &got.files[2];
	assert_true(r->removed && c->removed);
	assert_string_equal(r->path, in_dir("r.img"));
	assert_string_equal(r->device, "d");
	assert_int_equal(r->section.offset_bytes, 64 << 10);
	assert_int_equal(r->section.size_bytes, 128 << 10);
	assert_int_equal(r->section.weight, 7);
	assert_int_equal(r->section.class, CONF_CLASS_IDLE);
	assert_int_equal(r->section.discard, CONF_DISCARD_IGNORE);
	assert_true(r->section.readonly);
	assert_false(r->section.buffered);
	assert_int_equal(r->section.uid, 3);
	assert_int_equal(r->section.gid, 4);
	assert_int_equal(r->section.mode, 0604);
	const struct conf_limits *limits = &r->section.limits;
	assert_int_equal(limits->min_iops, 11);
	assert_int_equal(limits->min_bps, 12);
	assert_int_equal(limits->max_iops, 13);
	assert_int_equal(limits->max_bps, 14);
	assert_int_equal(limits->max_read_iops, 15);
	assert_int_equal(limits->max_write_iops, 16);
	assert_int_equal(limits->max_read_bps, 17);
	assert_int_equal(limits->max_write_bps, 18);
	assert_int_equal(limits->iops_size_bytes, 4096);
	assert_int_equal(limits->burst_ns, 20000000);
	assert_null(limits->min_iops_where.file); /* pointers would be those of another process */
	assert_null(r->section.name);
	assert_null(r->section.path);
	assert_null(r->section.where.file);
	assert_int_equal(c->section.weight, 100);
	assert_int_equal(c->section.class, CONF_CLASS_NORMAL);
	assert_int_equal(c->section.discard, CONF_DISCARD_PASS);
	assert_false(c->section.readonly);
	accepted_free(&got);
	/* one without a device */
	mount_free(mount);
	mount = start(FILE_A FILE_B);
	open_file(mount, "b");
	apply(mount, FILE_A);
	fd = saved();
	assert_int_equal(accepted_load(fd, &got), 0);
	close(fd);
	assert_true(got.files[1].removed);
	assert_null(got.files[1].device);
	accepted_free(&got);
}

static void test_nothing(void **state)
{
	static const struct conf_text none;
	struct accepted got;
	int fd = -1;

	(void)state;
	mount = mount_new();
	assert_int_equal(accepted_save(mount, &none, &fd), 0);
	assert_int_equal(accepted_load(fd, &got), 0);
	assert_int_equal(got.n_files + got.text.n_sources, 0);
	assert_int_equal(got.generation, 0);
	accepted_free(&got);
	close(fd);
}

/*
 * These lie in it as they lie in memory: whoever changes one changes KEEP_VERSION (keep.h), too.
 */
static void test_layout(void **state)
{
	(void)state;
	if (sizeof(void *) != 8)
		skip();
	assert_int_equal(KEEP_VERSION, 8);
	assert_int_equal(sizeof(struct conf_file), 344);
	assert_int_equal(sizeof(struct backing_id), 24);
	assert_int_equal(sizeof(struct backing_traits), 16);
	assert_int_equal(sizeof(struct timespec), 16);
}

/* ---- something else ---- */

/* Returns what accepted_load() does; whatever it is, nothing is left. */
static int loaded(const void *bytes, size_t n)
{
	int fd = memfd_of(bytes, n), r;
	struct accepted got = {.n_files = 12345};

	r = accepted_load(fd, &got);
	if (r)
		assert_int_equal(got.n_files, 12345);
	else
		accepted_free(&got);
	close(fd);
	return r;
}

static void test_truncated(void **state)
{
	size_t size;

	(void)state;
	make_mount();
	int fd = saved();
	unsigned char *bytes = bytes_of(fd, &size);
	close(fd);
	assert_int_equal(loaded(bytes, size), 0);
	for (size_t n = 0; n < size; n++)
		assert_int_equal(loaded(bytes, n), -EPROTO);
	free(bytes);
}

/* Any eight bytes, that is any length, too, are something else: it is none or another one. */
static void test_lengths(void **state)
{
	size_t size, refused_ones = 0;

	(void)state;
	make_mount();
	int fd = saved();
	unsigned char *bytes = bytes_of(fd, &size);
	close(fd);
	for (size_t at = 0; at + 8 <= size; at++) {
		const uint64_t values[] = {UINT64_MAX, size - at - 8, INT64_MAX / 2, 0};
		uint64_t before;

		memcpy(&before, bytes + at, 8);
		for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
			memcpy(bytes + at, &values[i], 8);
			int r = loaded(bytes, size);
			assert_true(r == 0 || r == -EPROTO);
			refused_ones += r != 0;
		}
		memcpy(bytes + at, &before, 8);
	}
	assert_int_equal(loaded(bytes, size), 0);
	assert_in_range(refused_ones, 100, 4 * size);
	free(bytes);
}

static void test_other_files(void **state)
{
	struct accepted got;
	int ends[2];

	(void)state;
	assert_int_equal(accepted_load(-1, &got), -EBADF);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(accepted_load(ends[0], &got), -EPROTO);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(loaded("[vm1.img]\npath = /dev/sda\n", 26), -EPROTO);
}

static void test_no_memory(void **state)
{
	struct accepted got;
	unsigned failed = 0;
	int r;

	(void)state;
	make_mount();
	int fd = saved();
	do {
		countdown = failed;
		r = accepted_load(fd, &got);
		assert_int_equal(has_failed(), r != 0);
		if (r)
			assert_int_equal(r, -EPROTO);
		failed += r != 0;
	} while (r);
	assert_in_range(failed, 10, 20);
	accepted_free(&got);
	close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_round),	TEST(test_removed),   TEST(test_nothing),
		TEST(test_layout),	TEST(test_truncated), TEST(test_lengths),
		TEST(test_other_files), TEST(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
