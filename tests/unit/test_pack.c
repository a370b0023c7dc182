/* SPDX-License-Identifier: MIT */
/*
 * Unit tests of pack.h: what was packed comes out, and of whatever else nothing does.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "pack.h"
#include "failing.h"
#include "memfd.h"

#include <errno.h>
#include <string.h>

static unsigned descriptors;

static int setup(void **state)
{
	(void)state;
	countdown = -1;
	descriptors = open_descriptors();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(open_descriptors(), descriptors);
	return 0;
}

/* Some of everything. */
static int packed(void)
{
	struct pack pack;
	int fd = -1;

	assert_int_equal(pack_begin(&pack, "test"), 0);
	pack_u64(&pack, 7);
	pack_string(&pack, "vm1.img");
	pack_bytes(&pack, "a\0b", 3);
	pack_string(&pack, NULL);
	pack_raw(&pack, "xyz", 3);
	pack_u64(&pack, UINT64_MAX);
	assert_int_equal(pack_end(&pack, &fd), 0);
	return fd;
}

/* Reads what packed() has made. Returns whether it was all there. */
static bool unpack_all(struct unpack *in)
{
	char raw[3] = "???", *name, *bytes, *nothing;
	size_t n = 99;
	uint64_t first = unpack_u64(in), last;

	name = unpack_string(in);
	bytes = unpack_bytes(in, &n);
	nothing = unpack_string(in);
	unpack_raw(in, raw, sizeof(raw));
	last = unpack_u64(in);
	bool ok = !in->broken;
	if (ok) {
		assert_int_equal(first, 7);
		assert_string_equal(name, "vm1.img");
		assert_int_equal(n, 3);
		assert_memory_equal(bytes, "a\0b", 4);
		assert_null(nothing);
		assert_memory_equal(raw, "xyz", 3);
		assert_true(last == UINT64_MAX);
	} else { /* what is not there is nothing */
		assert_true(first == 7 || !first);
		assert_true(!raw[0] || !memcmp(raw, "xyz", 3));
		assert_int_equal(last, 0);
	}
	free(name);
	free(bytes);
	free(nothing);
	return ok;
}

static void test_round(void **state)
{
	int fd = packed();
	struct unpack in;

	(void)state;
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	for (int i = 0; i < 2; i++) { /* as often as one likes */
		assert_int_equal(unpack_begin(&in, fd), 0);
		assert_true(unpack_all(&in));
		assert_ptr_equal(in.at, in.end);
		assert_int_equal(unpack_end(&in), 0);
	}
	close(fd);
}

/* An empty string is one for unpack_bytes(), and has an end. */
static void test_empty_strings(void **state)
{
	struct unpack in;
	struct pack pack;
	size_t n = 99;
	int fd = -1;

	(void)state;
	assert_int_equal(pack_begin(&pack, "test"), 0);
	pack_string(&pack, NULL);
	pack_string(&pack, "");
	assert_int_equal(pack_end(&pack, &fd), 0);
	assert_int_equal(unpack_begin(&in, fd), 0);
	char *bytes = unpack_bytes(&in, &n);
	assert_string_equal(bytes, "");
	assert_int_equal(n, 0);
	free(bytes);
	assert_null(unpack_string(&in));
	assert_int_equal(unpack_end(&in), 0);
	close(fd);
}

/* Longer than any buffer of stdio. */
static void test_much(void **state)
{
	const size_t size = 1 << 20;
	char *text = malloc(size);
	struct unpack in;
	struct pack pack;
	size_t n;
	int fd = -1;

	(void)state;
	memset(text, 'x', size);
	assert_int_equal(pack_begin(&pack, "test"), 0);
	pack_bytes(&pack, text, size);
	assert_int_equal(pack_end(&pack, &fd), 0);
	assert_int_equal(unpack_begin(&in, fd), 0);
	char *got = unpack_bytes(&in, &n);
	assert_int_equal(n, size);
	assert_memory_equal(got, text, size);
	assert_int_equal(unpack_end(&in), 0);
	free(got);
	free(text);
	close(fd);
}

/* Cut off after any byte. */
static void test_truncated(void **state)
{
	int whole = packed();
	struct unpack in;
	size_t size;
	unsigned char *bytes = bytes_of(whole, &size);

	(void)state;
	for (size_t n = 1; n < size; n++) {
		int fd = memfd_of(bytes, n);

		assert_int_equal(unpack_begin(&in, fd), 0);
		assert_false(unpack_all(&in));
		assert_true(in.at <= in.end);
		assert_int_equal(unpack_end(&in), -EPROTO);
		close(fd);
	}
	free(bytes);
	close(whole);
}

/* Lengths that are not there, or that overflow when something is added to them. */
static void test_lengths(void **state)
{
	static const uint64_t lengths[] = {4,
					   5,
					   INT32_MAX,
					   UINT32_MAX,
					   INT64_MAX,
					   UINT64_MAX - 8,
					   UINT64_MAX,
					   UINT64_MAX - 1,
					   UINT64_C(1) << 63};

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct {
			uint64_t n;
			char bytes[3];
		} __attribute__((packed)) blob = {lengths[i], "abc"};
		int fd = memfd_of(&blob, sizeof(blob));
		struct unpack in;
		size_t n = 99;

		assert_int_equal(unpack_begin(&in, fd), 0);
		assert_null(unpack_bytes(&in, &n));
		assert_true(in.broken);
		assert_null(unpack_string(&in)); /* nor is there anything behind it */
		assert_int_equal(unpack_u64(&in), 0);
		assert_int_equal(unpack_end(&in), -EPROTO);
		assert_int_equal(unpack_begin(&in, fd), 0);
		assert_int_equal(unpack_count(&in), 0);
		assert_true(in.broken);
		assert_int_equal(unpack_end(&in), -EPROTO);
		close(fd);
	}
}

/* As many as there are bytes: those there could be. */
static void test_count(void **state)
{
	struct {
		uint64_t n;
		char bytes[3];
	} __attribute__((packed)) blob = {3, "abc"};
	int fd = memfd_of(&blob, sizeof(blob));
	struct unpack in;

	(void)state;
	assert_int_equal(unpack_begin(&in, fd), 0);
	assert_int_equal(unpack_count(&in), 3);
	assert_int_equal(unpack_end(&in), 0);
	close(fd);
}

static void not_begun(int fd, int err)
{
	struct unpack in;

	assert_int_equal(unpack_begin(&in, fd), err);
}

static void test_other_files(void **state)
{
	int ends[2], fd = memfd_of("", 0), folder = open("/tmp", O_RDONLY | O_CLOEXEC);

	(void)state;
	not_begun(fd, -EPROTO);
	not_begun(folder, -EPROTO);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	not_begun(ends[0], -EPROTO);
	not_begun(-1, -EBADF);
	/* larger than there are addresses */
	assert_int_equal(ftruncate(fd, INT64_MAX & ~INT64_C(4095)), 0);
	not_begun(fd, -ENOMEM);
	close(fd);
	close(folder);
	close(ends[0]);
	close(ends[1]);
}

/* Without memory a string is not there. */
static void test_no_memory(void **state)
{
	int fd = packed();
	struct unpack in;
	unsigned failed = 0;

	(void)state;
	for (bool done = false; !done;) {
		assert_int_equal(unpack_begin(&in, fd), 0);
		countdown = failed;
		done = unpack_all(&in);
		assert_int_equal(has_failed(), !done);
		assert_int_equal(unpack_end(&in), done ? 0 : -EPROTO);
		failed += !done;
	}
	assert_int_equal(failed, 3);
	close(fd);
}

/* There is no room for what is packed: that shows at the end, and nothing is left. */
static void test_no_room(void **state)
{
	struct pack pack;
	int full, fd = -1;

	(void)state;
	assert_int_equal(pack_begin(&pack, "test"), 0);
	full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_true(full >= 0);
	assert_true(dup3(full, fileno(pack.out), O_CLOEXEC) >= 0);
	close(full);
	pack_u64(&pack, 1);
	assert_int_equal(pack_end(&pack, &fd), -ENOSPC);
	assert_int_equal(fd, -1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_round),	TEST(test_empty_strings), TEST(test_much),
		TEST(test_truncated),	TEST(test_lengths),	  TEST(test_count),
		TEST(test_other_files), TEST(test_no_memory),	  TEST(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
