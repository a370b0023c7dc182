/* SPDX-License-Identifier: MIT */
/* test_conf_tree.c - conf_parse(): groups that refer to each other, promises below caps. */
#include "tests/unit/conf_rig.h"

/* ---- names that refer ---- */

static void test_undeclared_groups(void **state)
{
	(void)state;
	refused("[vm1]\npath = /x\nparent = a\n[group:b]\nparent = c\n[device:a]\n",
		"ioband.ini:3: [vm1] parent: \"a\" is not declared: there is no [group:a]\n"
		"ioband.ini:5: [group:b] parent: \"c\" is not declared: there is no [group:c]\n");
}

static void test_group_cycles(void **state)
{
	char text[2048] = VM;

	(void)state;
	refused(VM "[group:a]\nparent = a\n",
		"ioband.ini:4: [group:a] parent: \"a\" makes a cycle: a -> a\n");
	/* d leads into the cycle but is not in it; two cycles, each once, at their first group */
	refused(VM "[group:d]\nparent = b\n[group:c]\nparent = b\n[group:b]\nparent = a\n"
		   "[group:a]\nparent = c\n[group:x]\nparent = y\n[group:y]\nparent = x\n"
		   "[group:fine]\n[group:finer]\nparent = fine\n",
		"ioband.ini:6: [group:c] parent: \"b\" makes a cycle: c -> b -> a -> c\n"
		"ioband.ini:12: [group:x] parent: \"y\" makes a cycle: x -> y -> x\n");
	for (int i = 0; i < 30; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 "[group:g%d]\nparent = g%d\n", i, (i + 1) % 30);
	refused(text, "ioband.ini:4: [group:g0] parent: \"g1\" makes a cycle: g0 -> g1 -> g2 -> g3 "
		      "-> g4 -> g5 -> g6 -> g7 -> g8 -> ...\n");
}

/* ---- promises below caps ---- */

#define NEVER " allows, and could never be met: lower it, or raise the cap\n"
#define TOGETHER " allows: lower theirs, or raise the cap\n"

static void test_min_above_own_max(void **state)
{
	(void)state;
	refused(VM "max_iops = 300\nmin_iops = 301\n",
		"ioband.ini:4: [vm1.img] min_iops: \"301\" is more than max_iops = 300" NEVER);
	conf_free(accepted(VM "max_iops = 300\nmin_iops = 300\n"));
	refused(VM "min_bps = 2000K\nmax_bps = 1M\n",
		"ioband.ini:3: [vm1.img] min_bps: \"2000K\" is more than max_bps = 1M" NEVER);
	/* reads alone are no limit to what may be writes */
	conf_free(accepted(VM "min_iops = 500\nmax_read_iops = 1\n"));
	refused(VM "min_iops = 500\nmax_read_iops = 1\nmax_write_iops = 498\n",
		"ioband.ini:3: [vm1.img] min_iops: \"500\" is more than max_read_iops + "
		"max_write_iops = 499" NEVER);
	refused(VM "[group:g]\nmin_bps = 3M\nmax_read_bps = 1M\nmax_write_bps = 1M\n",
		"ioband.ini:4: [group:g] min_bps: \"3M\" is more than max_read_bps + "
		"max_write_bps = 2M" NEVER);
	/* bytes come in I/Os of at most iops_size */
	refused(VM "min_bps = 1M\nmax_iops = 31\n",
		"ioband.ini:3: [vm1.img] min_bps: \"1M\" is more than max_iops = 31 of iops_size = "
		"32K" NEVER);
	conf_free(accepted(VM "min_bps = 1M\nmax_iops = 32\n"));
	conf_free(accepted(VM "min_bps = 1M\nmax_iops = 31\niops_size = 64K\n"));
}

static void test_min_above_max_of_a_group(void **state)
{
	(void)state;
	/* every cap that would still be in the way is named */
	refused("[group:top]\nmax_iops = 5\n[group:a]\nparent = top\nmax_iops = 10\n"
		"[group:b]\nparent = a\n" VM "parent = b\nmin_iops = 11\n",
		"ioband.ini:11: [vm1.img] min_iops: \"11\" is more than max_iops = 10 of "
		"[group:a]" NEVER
		"ioband.ini:11: [vm1.img] min_iops: \"11\" is more than max_iops = 5 of "
		"[group:top]" NEVER);
	refused("[group:top]\nmax_iops = 10\n[group:a]\nparent = top\nmax_iops = 10\n" VM
		"parent = a\nmin_iops = 11\n",
		"ioband.ini:9: [vm1.img] min_iops: \"11\" is more than max_iops = 10 of "
		"[group:a]" NEVER);
}

static void test_members_above_max_of_their_group(void **state)
{
	(void)state;
	refused("[group:a]\nmax_iops = 100\n[group:b]\nparent = a\nmin_iops = 70\n" VM
		"parent = b\nmin_iops = 30\n[vm2]\npath = /2\nparent = b\nmin_iops = 50\n"
		"[vm3]\npath = /3\nparent = a\nmin_iops = 21\n",
		"ioband.ini:1: [group:a] promises its members min_iops = 101 together, more than "
		"max_iops = 100" TOGETHER);
	/* the group's own is the larger one, and does not come on top of theirs */
	conf_free(accepted("[group:a]\nmax_iops = 100\nmin_iops = 100\n" VM
			   "parent = a\nmin_iops = 50\n[vm2]\npath = /2\nparent = a\n"
			   "min_iops = 50\n"));
	/* groups above know nothing of each other */
	conf_free(accepted("[group:a]\nmax_iops = 50\n[group:b]\nmax_iops = 50\n" VM
			   "parent = a\nmin_iops = 50\n[vm2]\npath = /2\nparent = b\n"
			   "min_iops = 50\n"));
}

/* An I/O of the group may be several of a member: of 32K, eight of 4K. */
static void test_promises_in_other_sizes(void **state)
{
	(void)state;
	conf_free(accepted("[group:a]\nmax_iops = 10\n" VM
			   "parent = a\niops_size = 4K\nmin_iops = 80\n"));
	refused("[group:a]\nmax_iops = 10\n" VM "parent = a\niops_size = 4K\nmin_iops = 81\n",
		"ioband.ini:7: [vm1.img] min_iops: \"81\" is more than max_iops = 10 of "
		"[group:a]" NEVER);
	/* but not the other way round: small ones count as one in both */
	conf_free(accepted("[group:a]\nmax_iops = 10\niops_size = 4K\n" VM
			   "parent = a\nmin_iops = 10\n"));
	/* no sum is too large to be compared */
	refused("[group:a]\nmax_bps = 8T\n[group:b]\nparent = a\nmin_bps = 9T\n" VM
		"parent = b\nmin_bps = 9T\n[vm2]\npath = /2\nparent = b\nmin_bps = 9T\n",
		"ioband.ini:1: [group:a] promises its members min_bps = 18T together, more than "
		"max_bps = 8T" TOGETHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_undeclared_groups),
		cmocka_unit_test(test_group_cycles),
		cmocka_unit_test(test_min_above_own_max),
		cmocka_unit_test(test_min_above_max_of_a_group),
		cmocka_unit_test(test_members_above_max_of_their_group),
		cmocka_unit_test(test_promises_in_other_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
