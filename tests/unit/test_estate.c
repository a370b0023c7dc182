/* SPDX-License-Identifier: MIT */
/*
 * Unit tests of estate.h: which descriptors an owner holds after which messages, and what another
 * program makes of them.
 *
 * Descriptors are those of memfds; messages bring copies, as from another process.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "estate.h"
#include "failing.h"
#include "memfd.h"

#include <errno.h>
#include <string.h>

static struct estate estate;
static unsigned descriptors; /* before, with one file */
static int file;

static int setup(void **state)
{
	(void)state;
	countdown = -1;
	file = memfd_of("x", 1);
	descriptors = open_descriptors();
	if (estate_create(&estate))
		return -1;
	estate.owner = true;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	estate_free(&estate);
	assert_int_equal(open_descriptors(), descriptors);
	estate_free(&estate); /* of nothing */
	close(file);
	return 0;
}

static struct link_message message(enum link_kind kind, uint32_t n_fds)
{
	struct link_message new = {.kind = kind, .n_fds = n_fds};

	for (uint32_t i = 0; i < n_fds; i++) {
		new.fds[i] = fcntl(file, F_DUPFD_CLOEXEC, 3);
		assert_true(new.fds[i] >= 0);
	}
	return new;
}

static struct link_message claims(uint64_t first, uint32_t n)
{
	struct link_message new = message(LINK_CLAIM, n);

	new.n_ids = n;
	for (uint32_t i = 0; i < n; i++)
		new.ids[i] = first + i;
	return new;
}

static void apply(struct link_message new)
{
	assert_int_equal(estate_apply(&estate, &new), 0);
	assert_int_equal(new.n_fds, 0);
}

static void unclaim(uint64_t id)
{
	struct link_message new = {.kind = LINK_UNCLAIM, .n_ids = 1, .ids = {id}};

	apply(new);
}

/* That is refused, changes nothing, and its descriptors are closed. */
static void refused(struct link_message new)
{
	const struct estate before = estate;
	unsigned n = open_descriptors() - new.n_fds;

	assert_int_equal(estate_apply(&estate, &new), -EPROTO);
	assert_int_equal(open_descriptors(), n);
	assert_memory_equal(&estate, &before, sizeof(before));
}

/* "1 2 4" */
static void claims_are(const char *wanted)
{
	char text[256] = "";

	for (size_t i = 0; i < estate.n_claims; i++) {
		size_t n = strlen(text);

		snprintf(text + n, sizeof(text) - n, "%s%llu", i ? " " : "",
			 (unsigned long long)estate.claims[i].id);
		assert_true(is_same(estate.claims[i].fd, file));
	}
	assert_string_equal(text, wanted);
	/* and that is all that is open, beside what is held once */
	assert_int_equal(open_descriptors(),
			 descriptors + 1 + (estate.accepted_fd >= 0) + estate.n_claims);
}

/* ---- what comes in messages ---- */

static void test_create(void **state)
{
	(void)state;
	assert_int_equal(estate.fuse_fd, -1);
	assert_int_equal(estate.init_fd, -1);
	assert_int_equal(estate.accepted_fd, -1);
	assert_true(estate.keep->magic == KEEP_MAGIC);
	assert_false(estate.can_resend);
	assert_int_equal(estate.next_claim, 1);
	claims_are("");
}

static void test_mount(void **state)
{
	struct link_message new = message(LINK_MOUNTED, 3);
	int fds[3];

	(void)state;
	memcpy(fds, new.fds, sizeof(fds));
	apply(new);
	assert_int_equal(estate.fuse_fd, fds[0]);
	assert_int_equal(estate.n_clones, 2);
	assert_memory_equal(estate.clones, fds + 1, 2 * sizeof(int));
	refused(message(LINK_MOUNTED, 2)); /* once */
	new = message(LINK_INIT, 1);
	new.value = 1;
	apply(new);
	assert_true(estate.can_resend);
	new = message(LINK_INIT, 1);
	apply(new);
	assert_false(estate.can_resend);
	assert_int_equal(open_descriptors(), descriptors + 1 + 3 + 1);
}

static void test_most_clones(void **state)
{
	(void)state;
	refused(message(LINK_MOUNTED, 0));
	refused(message(LINK_MOUNTED, 1 + ESTATE_CLONES + 1));
	apply(message(LINK_MOUNTED, 1 + ESTATE_CLONES));
	assert_int_equal(estate.n_clones, ESTATE_CLONES);
}

/* What comes counts from ACCEPTED on, and what goes is there until then. */
static void test_claims(void **state)
{
	(void)state;
	apply(claims(1, 3));
	claims_are("1 2 3");
	assert_int_equal(estate.next_claim, 4);
	apply(message(LINK_ACCEPTED, 1));
	claims_are("1 2 3");
	unclaim(2);
	unclaim(99); /* there is none */
	apply(claims(4, 1));
	claims_are("1 2 3 4");
	apply(message(LINK_ACCEPTED, 1));
	claims_are("1 3 4");
	/* gone with the same ACCEPTED that it came with */
	apply(claims(5, 1));
	unclaim(5);
	apply(message(LINK_ACCEPTED, 1));
	claims_are("1 3 4");
	assert_int_equal(estate.next_claim, 6);
}

/* The sender dies before its ACCEPTED: all is as it was at the last one. */
static void test_forget(void **state)
{
	(void)state;
	apply(claims(1, 3));
	apply(message(LINK_ACCEPTED, 1));
	int accepted = estate.accepted_fd;
	unclaim(1);
	unclaim(3);
	apply(claims(4, 2));
	estate_forget(&estate);
	claims_are("1 2 3");
	assert_int_equal(estate.accepted_fd, accepted);
	apply(claims(4, 1)); /* the next one gives the same names again */
	apply(message(LINK_ACCEPTED, 1));
	claims_are("1 2 3 4"); /* nothing is left of what was to go */
	estate_forget(&estate);
	claims_are("1 2 3 4");
}

/* A part did not arrive: nothing of it counts, and it comes again. */
static void test_refuse(void **state)
{
	(void)state;
	apply(claims(1, 3));
	apply(message(LINK_ACCEPTED, 1));
	apply(claims(4, 2));
	unclaim(1);
	estate_refuse(&estate);
	claims_are("1 2 3");
	apply(claims(6, 2));
	unclaim(4); /* those that came before go under their old names */
	unclaim(5);
	apply(message(LINK_ACCEPTED, 1));
	claims_are("2 3 6 7");
	/* unless the sender dies before that */
	unclaim(2);
	estate_refuse(&estate);
	estate_forget(&estate);
	apply(message(LINK_ACCEPTED, 1));
	claims_are("2 3 6 7");
}

/* Claims came and went; then a message of none. (realloc() to nothing frees.) */
static void test_no_claims(void **state)
{
	(void)state;
	apply(claims(1, 0));
	apply(claims(1, 2));
	unclaim(1);
	unclaim(2);
	apply(message(LINK_ACCEPTED, 1));
	claims_are("");
	apply(claims(3, 0));
	unclaim(1);
	apply(claims(3, 1));
	claims_are("3");
}

static void test_refused(void **state)
{
	struct link_message new;

	(void)state;
	apply(claims(1, 2));
	apply(message(LINK_ACCEPTED, 1));
	new = claims(3, 2);
	new.n_ids = 1; /* a descriptor without a name */
	refused(new);
	new = claims(3, 2);
	new.n_ids = 3; /* a name without a descriptor */
	refused(new);
	refused(message(LINK_ACCEPTED, 0));
	refused(message(LINK_ACCEPTED, 2));
	refused(message(LINK_INIT, 0));
	refused(message(LINK_INIT, LINK_FDS));
	new = message(LINK_UNCLAIM, 1); /* it takes none */
	new.n_ids = 1;
	new.ids[0] = 1;
	refused(new);
	refused(message(LINK_READY, 1));
	refused(message(LINK_GO, 0));
	refused(message((enum link_kind)0, 1));
	refused(message((enum link_kind)99, 2));
	claims_are("1 2");
}

static void test_no_memory(void **state)
{
	struct link_message new = claims(1, 3);

	(void)state;
	countdown = 0;
	assert_int_equal(estate_apply(&estate, &new), -ENOMEM);
	assert_true(has_failed());
	claims_are("");
	assert_int_equal(estate.next_claim, 1);
}

/* A data path's own: the descriptors are those that it works with. */
static void test_not_owner(void **state)
{
	struct link_message new = claims(1, 2), next = message(LINK_ACCEPTED, 1), bad;
	int fds[3] = {new.fds[0], new.fds[1], next.fds[0]};

	(void)state;
	estate.owner = false;
	apply(new);
	apply(next);
	unclaim(1);
	next = message(LINK_ACCEPTED, 1);
	apply(next);
	assert_int_equal(estate.n_claims, 1);
	bad = message(LINK_ACCEPTED, 2);
	assert_int_equal(estate_apply(&estate, &bad), -EPROTO);
	for (unsigned i = 0; i < 3; i++)
		assert_true(is_open(fds[i]));
	assert_int_equal(bad.n_fds, 2);
	link_close_fds(&bad);
	int keep_fd = estate.keep_fd;
	estate_free(&estate);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(close(fds[i]), 0);
	assert_int_equal(close(next.fds[0]), 0);
	assert_int_equal(close(keep_fd), 0);
}

/* ---- another program ---- */

static int packed(void)
{
	struct pack pack;
	int fd = -1;

	assert_int_equal(pack_begin(&pack, "test"), 0);
	estate_pack(&estate, &pack);
	assert_int_equal(pack_end(&pack, &fd), 0);
	return fd;
}

/* 0 or what went wrong; fd is closed. */
static int unpacked(int fd, struct estate *ret_estate)
{
	struct unpack unpack;
	int r = unpack_begin(&unpack, fd), end;

	assert_int_equal(r, 0);
	r = estate_unpack(&unpack, ret_estate);
	end = unpack_end(&unpack);
	assert_true(!end || r);
	close(fd);
	return r;
}

/* Some of everything. */
static void fill(void)
{
	struct link_message init = message(LINK_INIT, 1);

	init.value = 1;
	apply(message(LINK_MOUNTED, 4));
	apply(init);
	apply(claims(1, 3));
	unclaim(2);
	apply(message(LINK_ACCEPTED, 1));
}

static int note(int fd, void *data)
{
	int **end = data;

	*(*end)++ = fd;
	return 0;
}

static int count_to_three(int fd, void *data)
{
	unsigned *n = data;

	(void)fd;
	return ++*n == 3 ? -EMFILE : 0;
}

static void test_pack(void **state)
{
	struct estate next;
	int before[32], after[32], *end = before;

	(void)state;
	fill();
	assert_int_equal(estate_each(&estate, note, &end), 0);
	assert_int_equal(end - before, 4 + 3 + 2);
	for (const int *fd = before; fd < end; fd++)
		assert_true(is_open(*fd));
	assert_int_equal(unpacked(packed(), &next), 0);
	assert_true(next.owner);
	assert_true(next.can_resend);
	assert_int_equal(next.next_claim, 4);
	assert_int_equal(next.n_claims, 2);
	assert_int_equal(next.claims[1].id, 3);
	assert_false(next.claims[1].fresh || next.claims[1].stale);
	assert_true(next.keep->magic == KEEP_MAGIC);
	end = after;
	assert_int_equal(estate_each(&next, note, &end), 0);
	assert_int_equal(end - after, 4 + 3 + 2);
	assert_memory_equal(before, after, 9 * sizeof(int));
	/* they are the same descriptors: one of the two lets go of them */
	estate.owner = false;
	estate_free(&estate);
	estate = next;
}

static void test_each(void **state)
{
	unsigned n = 0;

	(void)state;
	assert_int_equal(estate_each(&estate, count_to_three, &n), 0);
	assert_int_equal(n, 1); /* keep */
	n = 0;
	fill();
	assert_int_equal(estate_each(&estate, count_to_three, &n), -EMFILE);
	assert_int_equal(n, 3);
}

/* Not mounted yet, nothing accepted. */
static void test_pack_empty(void **state)
{
	struct estate next;

	(void)state;
	assert_int_equal(unpacked(packed(), &next), 0);
	assert_int_equal(next.fuse_fd, -1);
	assert_int_equal(next.accepted_fd, -1);
	assert_int_equal(next.n_claims + next.n_clones, 0);
	next.owner = false;
	estate_free(&next);
}

static void not_unpacked(int fd, int err)
{
	struct estate next = {.n_claims = 12345};
	unsigned n = open_descriptors() - 1;

	assert_int_equal(unpacked(fd, &next), err);
	assert_int_equal(next.n_claims, 12345);
	assert_int_equal(open_descriptors(), n);
}

/* Cut off after any byte. */
static void test_truncated(void **state)
{
	size_t size;

	(void)state;
	fill();
	int whole = packed();
	unsigned char *bytes = bytes_of(whole, &size);
	for (size_t n = 1; n < size; n++)
		not_unpacked(memfd_of(bytes, n), -EPROTO);
	free(bytes);
	close(whole);
}

/* The numbers of clones and claims, and a keep that is none. */
static void test_numbers(void **state)
{
	static const uint64_t numbers[] = {ESTATE_CLONES + 1, UINT32_MAX, INT64_MAX, UINT64_MAX,
					   UINT64_MAX / sizeof(struct estate_claim) + 2};
	const size_t keep_at = 4, clones_at = 5, claims_at = 10; /* in words */
	size_t size;

	(void)state;
	fill();
	int whole = packed();
	unsigned char *bytes = bytes_of(whole, &size);
	uint64_t *words = malloc(size);
	close(whole);
	memcpy(words, bytes, size);
	assert_int_equal(words[keep_at], estate.keep_fd);
	assert_int_equal(words[clones_at], 3);
	assert_int_equal(words[claims_at], 2);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		words[clones_at] = numbers[i];
		not_unpacked(memfd_of(words, size), -EPROTO);
		words[clones_at] = 3;
		words[claims_at] = numbers[i];
		not_unpacked(memfd_of(words, size), -EPROTO);
		words[claims_at] = 2;
	}
	words[keep_at] = (uint64_t)file;
	not_unpacked(memfd_of(words, size), -EPROTO);
	words[keep_at] = 100000;
	not_unpacked(memfd_of(words, size), -EBADF);
	words[keep_at] = (uint64_t)estate.keep_fd;
	countdown = 0;
	not_unpacked(memfd_of(words, size), -ENOMEM);
	assert_true(has_failed());
	free(words);
	free(bytes);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_create),     TEST(test_mount),     TEST(test_most_clones),
		TEST(test_claims),     TEST(test_forget),    TEST(test_refuse),
		TEST(test_no_claims),  TEST(test_refused),   TEST(test_no_memory),
		TEST(test_not_owner),  TEST(test_pack),	     TEST(test_each),
		TEST(test_pack_empty), TEST(test_truncated), TEST(test_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
