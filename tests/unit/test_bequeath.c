/* SPDX-License-Identifier: MIT */
/*
 * Unit tests of bequeath.h: what is told to the parent, whose estate the test keeps, and what comes
 * of its answers. They are there before they are asked for: nobody has to wait.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "mount_rig.h"
#include "bequeath.h"

#include <errno.h>
#include <signal.h>

static struct estate own, parents;
static struct bequest bequest;
static struct mount *mount;
static int parent_end;

static int setup(void **state)
{
	int ends[2];

	if (make_dir(state) || estate_create(&own) || estate_create(&parents) || link_pair(ends))
		return -1;
	parents.owner = true;
	bequest = (struct bequest){.estate = &own, .link = ends[0], .heir = HEIR_NONE};
	parent_end = ends[1];
	image("a.img", MIB);
	image("b.img", MIB);
	image("c.img", MIB);
	mount = start("[a]\npath = @/a.img\n");
	return 0;
}

static int teardown(void **state)
{
	estate_free(&parents);
	close(own.accepted_fd);
	close(own.keep_fd);
	estate_free(&own);
	mount_free(mount);
	close(bequest.link);
	close(parent_end);
	return remove_dir(state);
}

/* To the ACCEPTED with that number, counted from the next one: 0 or why it is not kept. */
static void answer(uint64_t number, int value)
{
	struct link_message settled = {
		.kind = LINK_SETTLED, .value = value, .n_ids = 1, .ids = {bequest.asked + number}};

	assert_int_equal(link_send(parent_end, &settled), 0);
}

static int bequeath(void)
{
	const struct conf_text text = {0};

	return bequeath_accepted(&bequest, mount, &text);
}

/* What the parent makes of all that it was told, if it has no room for one message. */
static void parent_hears(unsigned lost)
{
	struct link_message message;
	unsigned n = 0;
	bool all = true;

	while (!link_receive(parent_end, false, &message)) {
		all = all && n + 1 != lost;
		if (++n != lost && (all || message.kind != LINK_ACCEPTED))
			assert_int_equal(estate_apply(&parents, &message), 0);
		else if (message.kind == LINK_ACCEPTED)
			estate_refuse(&parents);
		link_close_fds(&message);
	}
}

/* The parent has one claim for each file, under the name that was accepted, and no others. */
static void parent_has_all(void)
{
	assert_int_equal(parents.n_claims, mount->n_files);
	assert_int_equal(own.n_claims, mount->n_files);
	for (size_t i = 0; i < mount->n_files; i++) {
		const struct backing_claim *claim = mount->files[i]->claim;
		bool found = false;
		struct stat x, y;

		for (size_t j = 0; j < parents.n_claims; j++)
			if (parents.claims[j].id == claim->kept) {
				assert_int_equal(fstat(parents.claims[j].fd, &x), 0);
				assert_int_equal(fstat(claim->fd, &y), 0);
				assert_int_equal(x.st_ino, y.st_ino);
				found = true;
			}
		assert_true(found);
		assert_false(parents.claims[i].fresh || parents.claims[i].stale);
	}
}

static void test_accepted(void **state)
{
	(void)state;
	answer(1, 0);
	assert_int_equal(bequeath(), 0);
	assert_false(bequest.failed);
	parent_hears(0);
	parent_has_all();
	apply(mount, "[b]\npath = @/b.img\n[c]\npath = @/c.img\n");
	answer(1, 0);
	assert_int_equal(bequeath(), 0);
	parent_hears(0);
	parent_has_all();
}

/* An answer to something else comes before: it is not ours, and nobody goes on for it. */
static void test_other_answers(void **state)
{
	struct link_message next;

	(void)state;
	answer(0, 0);
	assert_int_equal(link_say(parent_end, LINK_SETTLED, 0), 0);
	answer(2, -EIO);
	assert_int_equal(link_say(parent_end, LINK_SIGNAL, SIGHUP), 0);
	answer(1, 0);
	assert_int_equal(bequeath(), 0);
	assert_int_equal(bequest.signals, 1U << SIGHUP);
	assert_int_equal(link_receive(bequest.link, false, &next), -EAGAIN);
}

/* Whichever the parent had no room for, claims or ACCEPTED: it is said again until all is there. */
static void test_lost(void **state)
{
	(void)state;
	answer(1, 0);
	assert_int_equal(bequeath(), 0);
	parent_hears(0);
	for (unsigned i = 0; i < 4; i++) {
		unsigned lost = i < 2 ? 1 : 3; /* between them is one without descriptors */
		int old = parents.accepted_fd;

		/* one is new and one is to go */
		apply(mount, i % 2 ? "[a]\npath = @/a.img\n[b]\npath = @/b.img\n"
				   : "[b]\npath = @/b.img\n[c]\npath = @/c.img\n");
		answer(1, -EMFILE);
		assert_int_equal(bequeath(), -EMFILE);
		assert_true(bequest.failed);
		parent_hears(lost);
		assert_int_equal(parents.accepted_fd, old);
		answer(1, -EMFILE);
		assert_int_equal(bequeath(), -EMFILE);
		parent_hears(4 - lost);
		answer(1, 0);
		assert_int_equal(bequeath(), 0);
		assert_false(bequest.failed);
		parent_hears(0);
		parent_has_all();
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_accepted),
		TEST(test_other_answers),
		TEST(test_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
