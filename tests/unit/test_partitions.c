/* SPDX-License-Identifier: MIT */
/*
 * Unit tests of partitions.h: tables as sfdisk(8) makes them, tables that somebody spoilt, and
 * bytes. SEED=N makes the random ones the same again.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "partitions.h"
#include "loopdev.h"
#include "plan_rig.h"
#include "tests/sim/sim.h"

#include <inttypes.h>
#include <time.h>

#define SECTOR 512U
#define DISK_BYTES (64 * MIB)

/* ---- partitions_check ---- */

static struct conf_partition part(unsigned number, uint64_t start, uint64_t size)
{
	return (struct conf_partition){number, start, size, NULL};
}

static void check_refused(struct conf_partition *list, size_t n, const char *reason)
{
	char why[256] = "";

	assert_int_equal(partitions_check(list, n, 1000, why, sizeof(why)), -EINVAL);
	if (!strstr(why, reason))
		fail_msg("%s", why);
}

static void test_check(void **state)
{
	struct conf_partition many[PARTITIONS_MAX + 1], list[3];
	char why[256];

	(void)state;
	assert_int_equal(partitions_check(NULL, 0, 1000, why, sizeof(why)), 0);
	list[0] = part(3, 0, 100);
	list[1] = part(1, 900, 100);
	list[2] = part(2, 100, 800);
	assert_int_equal(partitions_check(list, 3, 1000, why, sizeof(why)), 0);
	for (unsigned i = 0; i < 3; i++) /* by number */
		assert_int_equal(list[i].number, i + 1);
	list[0] = part(1, 900, 101);
	check_refused(list, 1,
		      "partition 1, of 101 bytes from 900, reaches beyond the end, at 1000");
	list[0] = part(1, UINT64_MAX - 5, 10);
	check_refused(list, 1, "beyond the end");
	list[0] = part(1, 10, UINT64_MAX);
	check_refused(list, 1, "beyond the end");
	list[0] = part(1, 1000, 1);
	check_refused(list, 1, "beyond the end");
	list[0] = part(7, 10, 0);
	check_refused(list, 1, "partition 7 is empty");
	list[0] = part(0, 10, 1);
	check_refused(list, 1, "number 0 is not valid");
	list[0] = part(10000, 10, 1);
	check_refused(list, 1, "number 10000 is not valid");
	list[0] = part(4, 10, 1);
	list[1] = part(4, 20, 1);
	check_refused(list, 2, "number 4 is not valid, or there twice");
	/* overlaps, of those that are not neighbours by number, too */
	list[0] = part(1, 10, 10);
	list[1] = part(2, 500, 10);
	list[2] = part(3, 19, 5);
	check_refused(list, 3, "partitions 1 and 3 overlap");
	list[2] = part(3, 0, 1000);
	check_refused(list, 3, "partitions 3 and 1 overlap");
	list[2] = part(3, 500, 10);
	check_refused(list, 3, "partitions 2 and 3 overlap");
	for (unsigned i = 0; i <= PARTITIONS_MAX; i++)
		many[i] = part(i + 1, i, 1);
	assert_int_equal(partitions_check(many, PARTITIONS_MAX, 1000, why, sizeof(why)), 0);
	check_refused(many, PARTITIONS_MAX + 1, "more than 256 partitions");
}

#ifdef FUSEBAND_BLKID

/* ---- tables on images ---- */

/* A disk with what sfdisk makes of the script. */
static const char *made(const char *script)
{
	const char *path = image("disk.img", DISK_BYTES);
	char *command;

	assert_true(asprintf(&command, "printf '%s' | sfdisk -q %s >/dev/null 2>&1", script, path) >
		    0);
	if (system(command) != 0)
		fail_msg("sfdisk: %s", script);
	free(command);
	return path;
}

static void poke(const char *path, uint64_t offset, const void *bytes, size_t n)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, (off_t)offset), n);
	close(fd);
}

static void poke_le32(const char *path, uint64_t offset, uint32_t value)
{
	uint8_t bytes[] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
			   (uint8_t)(value >> 24)};

	poke(path, offset, bytes, sizeof(bytes));
}

static void peek(const char *path, uint64_t offset, void *bytes, size_t n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, bytes, n, (off_t)offset), n);
	close(fd);
}

static struct conf_text text; /* of the last table */

/* The table below [disk:d] with path and more keys; `said` is what was wrong or noted. */
static int table_of(const char *path, const char *keys, const char *mountpoint)
{
	static char name[] = "ioband.ini";
	struct conf_errors errors = {0}, notes = {0};
	struct conf_source source = {.path = name};
	struct conf_text ini = {.sources = &source, .n_sources = 1};
	struct conf *conf;
	int r;

	conf_text_free(&text);
	source.len = (size_t)asprintf(&source.text, "[disk:d]\npath = %s\n%s", path, keys);
	assert_int_equal(conf_parse(&ini, &errors, &conf), 0);
	r = partitions_read(conf, mountpoint, &text, &errors, &notes);
	remember(errors.n ? &errors : &notes);
	assert_int_equal(r != 0, errors.n > 0);
	conf_free(conf);
	free(source.text);
	conf_errors_free(&errors);
	conf_errors_free(&notes);
	return r;
}

static void table_refused(const char *path, const char *reason)
{
	assert_int_equal(table_of(path, "", NULL), -EINVAL);
	if (!strstr(said, reason) || strncmp(said, "ioband.ini:2: [disk:d] path: \"@", 31) != 0)
		fail_msg("%s", said);
}

/* n of them: number, start and size in MiB. */
static void table_is(const char *path, size_t n, const unsigned (*wanted)[3])
{
	const struct conf_table *table = &text.tables[0];

	if (table_of(path, "", NULL))
		fail_msg("%s", said);
	table = &text.tables[0];
	assert_string_equal(table->disk, "d");
	assert_int_equal(table->n, n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(table->list[i].number, wanted[i][0]);
		assert_int_equal(table->list[i].start_bytes, wanted[i][1] * MIB);
		assert_int_equal(table->list[i].size_bytes, wanted[i][2] * MIB);
		assert_non_null(table->list[i].about);
	}
}

static int setup(void **state)
{
	return make_dir(state);
}

static int teardown(void **state)
{
	conf_text_free(&text);
	return remove_dir(state);
}

#define GPT2                                                  \
	"label: gpt\nstart=2048,size=8192,name=\"a b\",uuid=" \
	"0FC63DAF-8483-4772-8E79-3D69D8477DE4\n5:start=20480,size=2048,type=swap\n"

static void test_gpt(void **state)
{
	static const unsigned wanted[][3] = {{1, 1, 4}, {5, 10, 1}};

	(void)state;
	table_is(made(GPT2), 2, wanted);
	assert_string_equal(text.tables[0].list[0].about,
			    "GPT \"a b\", type 0fc63daf-8483-4772-8e79-3d69d8477de4, UUID "
			    "0fc63daf-8483-4772-8e79-3d69d8477de4");
	table_is(made("label: gpt\n"), 0, NULL);
}

static void test_mbr(void **state)
{
	/* in the order of the chain, which is not that of the disk */
	static const unsigned wanted[][3] = {
		{1, 1, 4}, {2, 5, 1}, {4, 60, 1}, {5, 21, 4}, {6, 31, 2}};

	(void)state;
	table_is(made("label: dos\nlabel-id: "
		      "0x12345678\nstart=2048,size=8192\nstart=10240,size=2048,"
		      "type=82\nstart=40960,size=61440,type=5\nstart=122880,size=2048\n"
		      "start=43008,size=8192\nstart=63488,size=4096\n"),
		 5, wanted);
	assert_string_equal(text.tables[0].list[1].about, "MBR, type 0x82, UUID 12345678-02");
	table_is(made("label: dos\n"), 0, NULL);
}

/* sfdisk does not make what cannot be, so bytes are changed in what it made. */
static void test_bad_mbr(void **state)
{
	const char *path = made("label: dos\nstart=2048,size=8192\nstart=20480,size=8192\n");

	(void)state;
	poke_le32(path, 446 + 16 + 8, 4096);
	table_refused(path, "partitions 1 and 2 overlap");
	poke_le32(path, 446 + 16 + 12, 0);
	table_refused(path, "partition 2 is empty: delete it");
	poke_le32(path, 446 + 16 + 8, 200000);
	poke_le32(path, 446 + 16 + 12, 2048);
	table_refused(path, "partition 2, of 1048576 bytes from 102400000, reaches beyond the end");
	poke_le32(path, 446 + 16 + 8, UINT32_MAX);
	poke_le32(path, 446 + 16 + 12, UINT32_MAX);
	table_refused(path, "reaches beyond the end");
	poke(path, 510, "\0\0", 2);
	table_refused(path, "has no partition table (GPT or MBR)");
	table_refused(image("tiny.img", 100),
		      "cannot be read where its partition table is: it is too small");
	table_refused(image("blank.img", MIB), "has no partition table");
}

/* A chain of logical partitions that comes back to where it was. */
static void test_circle(void **state)
{
	const char *path = made("label: dos\nstart=2048,size=100000,type=5\nstart=4096,size=2048\n"
				"start=8192,size=2048\n");
	uint8_t link[4];

	(void)state;
	/* the second container, where the link of the first one leads, points at itself */
	peek(path, 2048 * SECTOR + 446 + 16 + 8, link, 4);
	poke(path, (2048 + (link[0] | (uint64_t)link[1] << 8)) * SECTOR + 446 + 16,
	     "\0\0\0\0\5\0\0\0", 8);
	poke(path, (2048 + (link[0] | (uint64_t)link[1] << 8)) * SECTOR + 446 + 24, link, 4);
	poke_le32(path, (2048 + (link[0] | (uint64_t)link[1] << 8)) * SECTOR + 446 + 28, 2048);
	table_refused(path, "goes in circles");
}

static uint32_t crc32_of(const uint8_t *bytes, size_t n)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < n; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
	}
	return ~crc;
}

/* With the sums of the first header made good again. */
static void seal(const char *path)
{
	uint8_t entries[128 * 128], header[92];

	peek(path, 2 * SECTOR, entries, sizeof(entries));
	poke_le32(path, SECTOR + 88, crc32_of(entries, sizeof(entries)));
	poke_le32(path, SECTOR + 16, 0);
	peek(path, SECTOR, header, sizeof(header));
	poke_le32(path, SECTOR + 16, crc32_of(header, sizeof(header)));
}

/* Who has a partition could write the table, and get more with the next reload. */
static void test_table_inside(void **state)
{
	const char *path = made("label: dos\nstart=2048,size=100000,type=5\nstart=4096,size=2048\n"
				"start=8192,size=2048\n");

	(void)state;
	poke_le32(path, 2048 * SECTOR + 446 + 12, 4096); /* up to the next one, over its link */
	table_refused(path, "partition 5 contains a part of the table");
	poke_le32(path, 2048 * SECTOR + 446 + 8, UINT32_MAX - 10);
	table_refused(path, "has a logical partition that reaches beyond the end");
	path = made("label: dos\nstart=2048,size=8192\n");
	poke_le32(path, 446 + 8, 0);
	table_refused(path, "partition 1 contains a part of the table");
	path = made(GPT2);
	poke_le32(path, SECTOR + 40, 1); /* the first usable sector */
	seal(path);
	table_refused(path, "has a GPT with itself among");
	poke_le32(path, SECTOR + 40, 33);
	seal(path);
	table_refused(path, "has a GPT with itself among");
	path = made(GPT2);
	poke_le32(path, SECTOR + 48, DISK_BYTES / SECTOR - 1);
	seal(path);
	table_refused(path, "has a GPT with itself among");
}

static void test_bad_gpt(void **state)
{
	static const unsigned wanted[][3] = {{1, 1, 4}, {5, 10, 1}};
	const char *path = made(GPT2);

	(void)state;
	poke(path, SECTOR + 20, "x", 1); /* of the header, not its sum */
	table_refused(path,
		      "has a damaged GPT; the backup at its end is good: let sgdisk or sfdisk");
	poke(path, DISK_BYTES - SECTOR + 20, "x", 1);
	table_refused(path, "has a damaged GPT, and no good backup of it");
	path = made(GPT2);
	poke(path, 2 * SECTOR + 40, "x", 1); /* an entry */
	table_refused(path, "the backup at its end is good");
	path = made(GPT2);
	assert_int_equal(truncate(path, 32 * MIB), 0); /* the header tells where the end was */
	table_refused(path, "has a damaged GPT, and no good backup of it");
	path = made(GPT2);
	assert_int_equal(truncate(path, 128 * MIB), 0); /* that of one that grew is good */
	table_is(path, 2, wanted);
	poke_le32(path, 2 * SECTOR + 40, 300000); /* the last sector of 1 */
	seal(path);
	table_refused(path,
		      "partition 1 (sectors 2048 to 300000) reaches out of the usable sectors, ");
	poke_le32(path, 2 * SECTOR + 40, 100);
	seal(path);
	table_refused(path, "partition 1 ends before it begins");
	poke_le32(path, 2 * SECTOR + 40, 20480);
	seal(path);
	table_refused(path, "partitions 1 and 5 overlap");
	poke_le32(path, SECTOR + 80, 4000000000); /* entries */
	seal(path);
	table_refused(path,
		      "room for 4000000000 partitions of 128 bytes: at most 256, of 128, are");
	poke_le32(path, SECTOR + 80, 128);
	poke_le32(path, SECTOR + 84, 1U << 30);
	table_refused(path, "room for 128 partitions of 1073741824 bytes");
}

static void test_sectors_of_4096(void **state)
{
	static const unsigned wanted[][3] = {{1, 1, 4}, {2, 5, 8}};
	const char *path = image("4k.img", DISK_BYTES);
	struct loopdev loop;
	char command[300];

	(void)state;
	NEED_ROOT();
	NEED(loopdev_attach(&loop, path, 0, 0, 4096) == 0, "no loop device");
	snprintf(command, sizeof(command),
		 "printf 'label: gpt\nstart=256,size=1024\nsize=2048\n' | sfdisk -q --no-reread "
		 "--no-tell-kernel %s >/dev/null 2>&1",
		 loop.path);
	assert_int_equal(system(command), 0);
	if (table_of(loop.path, "", NULL))
		fail_msg("%s", said);
	assert_int_equal(text.tables[0].n, 2);
	assert_int_equal(text.tables[0].list[1].start_bytes, 5 * MIB);
	fsync(loop.fd);
	close(loop.fd);
	table_is(path, 2, wanted); /* the image alone does not tell, its GPT does */
}

/* ---- what is at the path ---- */

static void test_paths(void **state)
{
	const char *fifo = in_dir("fifo");

	(void)state;
	table_refused(in_dir("missing"), "does not exist");
	table_refused(dir, "is a directory, neither a block device nor a regular file");
	assert_int_equal(mkfifo(fifo, 0600), 0);
	table_refused(fifo, "is a FIFO");
	/* what may be absent, and is */
	assert_int_equal(table_of(in_dir("missing"), "optional = yes\n", NULL), 0);
	assert_string_equal(said, "ioband.ini:2: [disk:d] path: \"@/missing\" does not exist\n");
	assert_int_equal(text.tables[0].n, 0);
	/* optional is not about tables */
	assert_int_equal(table_of(image("blank.img", MIB), "optional = yes\n", NULL), -EINVAL);
	/* where the mount is, nobody looks */
	assert_int_equal(table_of(in_dir("missing"), "", dir), -EINVAL);
	assert_string_equal(
		said, "ioband.ini:2: [disk:d] path: \"@/missing\" lies in the mount itself\n");
}

/* ---- any bytes ---- */

static struct sim_rng rng;

/* Tables with some bytes changed and their sums made good: what is taken is as it must be. */
static void test_random(void **state)
{
	static const char *const scripts[] = {
		GPT2, "label: dos\nstart=2048,size=8192\nstart=40960,size=61440,type=5\n"
		      "start=43008,size=8192\nstart=63488,size=4096\n"};
	const char *seed = getenv("SEED");
	unsigned taken = 0;

	(void)state;
	rng.state = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
	print_message("SEED=%" PRIu64 "\n", rng.state);
	for (unsigned round = 0; round < 200; round++) {
		/*
		 * in the table, in a header, in a link of the chain; twenty changes on top of
		 * another
		 */
		static const uint64_t places[2][3] = {
			{SECTOR + 24, 2 * SECTOR, 2 * SECTOR + 512},
			{446, 40960 * SECTOR + 446, 41408 * SECTOR + 446}};
		unsigned kind = round / 20 % 2;
		bool fresh = round % 20 == 0; /* and as it was made: that is taken */
		const char *path = fresh ? made(scripts[kind]) : in_dir("disk.img");

		for (uint64_t n = fresh ? 0 : sim_rng_below(&rng, 6); n > 0; n--) {
			uint8_t byte = (uint8_t)sim_rng_below(&rng, 256);

			poke(path, places[kind][sim_rng_below(&rng, 3)] + sim_rng_below(&rng, 64),
			     &byte, 1);
		}
		if (kind == 0 && sim_rng_below(&rng, 4) != 0)
			seal(path);
		if (table_of(path, "", NULL))
			continue;
		const struct conf_table *table = &text.tables[0];
		taken++;
		assert_true(table->n <= PARTITIONS_MAX);
		for (size_t i = 0; i < table->n; i++) {
			const struct conf_partition *p = &table->list[i];

			assert_true(p->size_bytes > 0 && p->start_bytes < DISK_BYTES);
			assert_true(p->size_bytes <= DISK_BYTES - p->start_bytes);
			for (size_t k = 0; k < i; k++)
				assert_true(table->list[k].start_bytes +
							    table->list[k].size_bytes <=
						    p->start_bytes ||
					    p->start_bytes + p->size_bytes <=
						    table->list[k].start_bytes);
		}
	}
	assert_true(taken > 0);
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
#ifdef FUSEBAND_BLKID
		cmocka_unit_test_setup_teardown(test_gpt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mbr, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_mbr, setup, teardown),
		cmocka_unit_test_setup_teardown(test_circle, setup, teardown),
		cmocka_unit_test_setup_teardown(test_table_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_gpt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sectors_of_4096, setup, teardown),
		cmocka_unit_test_setup_teardown(test_paths, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random, setup, teardown),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
