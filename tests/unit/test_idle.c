/* SPDX-License-Identifier: MIT */
/*
 * test_idle.c - idle.h in virtual time: for whom the disk is kept free, and for how long.
 */
#include "tests/unit/sched_disk.h"

static void configure(enum fbs_isolation isolation, unsigned io_throttle)
{
	rig.params.isolation = isolation;
	rig.params.io_throttle = io_throttle;
	fbs_configure(rig.fbs, &rig.params);
	fbs_check(rig.fbs);
}

/* a sends one at a time and has a hundred times the weight of b, who always has something. */
static void two(void)
{
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 100);
	leaf('b', NULL, 1);
	push_n('b', 100);
	order("b"); /* one ahead */
	done_all();
	configure(FBS_ISOLATION_STRICT, 1);
}

static void back(uint64_t after_us)
{
	rig.now_ns += after_us * 1000;
	done_all();
}

static void think(uint64_t us)
{
	rig.now_ns += us * 1000;
}

/* ---- who is waited for ---- */

/* Until its request is done, and 2 ms more: others do not go, though there is room. */
static void test_waited_for(void **state)
{
	(void)state;
	two();
	configure(FBS_ISOLATION_STRICT, 4);
	push('a');
	order("a-");
	assert_true(stats().anticipating);
	assert_int_equal(wakeup_us(), 200000);
	back(800);
	assert_int_equal(wakeup_us(), 2000);
	think(100);
	push('a');
	order("a-");
	back(800);
	think(1999);
	assert_int_equal(wakeup_us(), 1);
	think(1);
	order("b");
	assert_false(stats().anticipating);
	end();
}

/* Only as long as it has the lowest tag: then it is the others' turn, and it need not be there. */
static void test_share(void **state)
{
	static const struct {
		unsigned a, b;
		uint64_t think_ns;
	} cases[] = {{80, 20, 0}, {20, 80, 0}, {80, 20, 100000}, {50, 50, 100000}, {99, 1, 0}};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct client clients[] = {{.name = 'a', .depth = 1, .think_ns = cases[i].think_ns},
					   {.name = 'b', .depth = 32},
					   {0}};
		struct disk disk = {.servers = 1, .service_ns = 1 * MS};
		uint64_t sum;

		begin(FBS_POLICY_WEIGHT);
		configure(FBS_ISOLATION_STRICT, 1);
		leaf('a', NULL, cases[i].a);
		leaf('b', NULL, cases[i].b);
		work(&disk, clients, 10 * SEC);
		sum = clients[0].ios + clients[1].ios;
		assert_in_range(clients[0].ios * 1000 / sum, cases[i].a * 10 - 3,
				cases[i].a * 10 + 3);
		assert_in_range(sum, 9050, 10000); /* 0.1 of 1.1 ms are lost at most */
		drain(&disk, clients);
		end();
	}
}

/* Both send one at a time: each is waited for when it is its turn. */
static void test_two_of_them(void **state)
{
	struct client clients[] = {{.name = 'a', .depth = 1, .think_ns = 100000},
				   {.name = 'b', .depth = 1, .think_ns = 50000},
				   {0}};
	struct disk disk = {.servers = 1, .service_ns = 1 * MS};

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	configure(FBS_ISOLATION_STRICT, 1);
	leaf('a', NULL, 90);
	leaf('b', NULL, 10);
	work(&disk, clients, 10 * SEC);
	assert_in_range(clients[0].ios, 9 * clients[1].ios - 10, 9 * clients[1].ios + 10);
	assert_in_range(clients[0].ios + clients[1].ios, 9050, 10000);
	drain(&disk, clients);
	end();
}

/* Below groups, too: each of those above it stays where it is. */
static void test_groups(void **state)
{
	struct client clients[] = {{.name = 'a', .depth = 1},
				   {.name = 'b', .depth = 32},
				   {.name = 'c', .depth = 1},
				   {0}};
	struct disk disk = {.servers = 1, .service_ns = 1 * MS};
	struct fbs_node *outer, *inner;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	configure(FBS_ISOLATION_STRICT, 1);
	outer = group(NULL, 80);
	inner = group(outer, 50);
	leaf('a', inner, 1);
	leaf('c', outer, 50);
	leaf('b', NULL, 20);
	work(&disk, clients, 10 * SEC);
	assert_in_range(clients[0].ios, 3980, 4020);
	assert_in_range(clients[2].ios, 3980, 4020);
	assert_in_range(clients[1].ios, 1980, 2020);
	drain(&disk, clients);
	end();
}

/* A class is waited for by those below it, not by those above. */
static void test_classes(void **state)
{
	(void)state;
	two();
	fbs_set_class(rig.fbs, rig.leaf[0], FBS_IDLE);
	push('a');
	order("b");
	back(100);
	order("b"); /* a waits */
	cancel_all();
	back(100);
	push('a');
	order("a-");
	back(100);
	push_n('b', 3);
	order("b"); /* a is thought to come back, but b is before it */
	back(100);
	order("b-");
	cancel_all();
	end();

	two();
	fbs_set_class(rig.fbs, rig.leaf[0], FBS_REALTIME);
	push('a');
	order("a-");
	back(100);
	order("-"); /* b has waited longer, and waits */
	assert_int_equal(wakeup_us(), 2000);
	think(100);
	push('a');
	order("a-");
	end();
}

/* ---- hits and misses ---- */

/* For a, which does not come back in time; so often. */
static void wait_in_vain(unsigned times)
{
	for (unsigned i = 0; i < times; i++) {
		push('a');
		order("a-");
		back(100);
		order("-");
		think(2000);
		order("b");
		back(10);
	}
}

/* Three times in vain, and it is not waited for any more; one that comes in time undoes all. */
static void test_misses(void **state)
{
	(void)state;
	two();
	wait_in_vain(2);
	push('a'); /* in time: forgotten */
	order("a-");
	back(100);
	order("-");
	think(100);
	wait_in_vain(3);
	push('a');
	order("a");
	back(100);
	order("b"); /* at once */
	end();
}

/* It comes back soon again, though nobody waited: it is waited for again. */
static void test_back_again(void **state)
{
	(void)state;
	two();
	wait_in_vain(3);
	push('a');
	order("a");
	back(100);
	order("b");
	think(100);
	push('a');
	back(100);
	for (int i = 0; i < 20; i++) { /* until the mean of its thinking is short again */
		order("a");
		back(100);
		think(100);
		push('a');
		if (next() == 'b') {
			back(100);
			continue;
		}
		back(100);
		break;
	}
	push('a');
	order("a-");
	back(100);
	order("-");
	assert_true(stats().anticipating);
	end();
}

/* Whoever thinks for longer than 2 ms is not waited for, but for a try now and then. */
static void test_slow_thinker(void **state)
{
	static const struct {
		uint64_t think_ns, most;
	} cases[] = {{3 * MS, 10}, {20 * MS, 10}, {1 * SEC, 10}};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct client clients[] = {{.name = 'a', .depth = 1, .think_ns = cases[i].think_ns},
					   {.name = 'b', .depth = 32},
					   {0}};
		struct disk disk = {.servers = 1, .service_ns = 1 * MS};

		begin(FBS_POLICY_WEIGHT);
		configure(FBS_ISOLATION_STRICT, 1);
		leaf('a', NULL, 10000);
		leaf('b', NULL, 1);
		work(&disk, clients, 20 * SEC);
		assert_in_range(disk.busy_ns, 20 * SEC - cases[i].most * 2 * MS, 20 * SEC);
		drain(&disk, clients);
		end();
	}
}

/* A request that comes when nobody asks any more is no hit, however late it is. */
static void test_late_is_no_hit(void **state)
{
	(void)state;
	two();
	wait_in_vain(2);
	for (unsigned i = 0; i < rig.used[1]; i++) /* b has nothing for a while */
		if (rig.req[1][i].leaf)
			fbs_cancel(rig.fbs, &rig.req[1][i]);
	push('a');
	order("a-");
	back(100);
	think(2500); /* nobody waited: neither hit nor miss */
	push('a');
	order("a-");
	push_n('b', 10);
	back(100);
	order("-");
	think(2000);
	order("b"); /* the third miss */
	back(10);
	push('a');
	order("a");
	back(100);
	order("b");
	end();
}

/* ---- what happens meanwhile ---- */

/* A flush is waited for like a request: it is on its way, and 2 ms more. */
static void test_flush(void **state)
{
	struct fbs_flush flush;

	(void)state;
	two();
	push_op('a', FBS_WRITE, 0, 4 * KIB);
	order("a-");
	back(500);
	fbs_flush_start(rig.fbs, rig.leaf[0], rig.now_ns, &flush);
	order("-");
	assert_int_equal(wakeup_us(), 200000);
	think(10000);
	order("-"); /* it takes 10 ms, which is not its thinking */
	fbs_flush_done(rig.fbs, &flush, rig.now_ns);
	fbs_check(rig.fbs);
	end();

	/* as one client after the other does: write, flush, write ... against a flood */
	two();
	for (int i = 0; i < 20; i++) {
		push_op('a', FBS_WRITE, 0, 4 * KIB);
		order("a-");
		back(500);
		think(50);
		fbs_flush_start(rig.fbs, rig.leaf[0], rig.now_ns, &flush);
		order("-");
		think(5000);
		order("-");
		flush.started_ns = rig.now_ns; /* charged nothing, so that it stays in front */
		fbs_flush_done(rig.fbs, &flush, rig.now_ns);
		order("-");
		think(50);
	}
	/* one that hangs is not waited for longer than 200 ms */
	push_op('a', FBS_WRITE, 0, 4 * KIB);
	order("a-");
	back(500);
	fbs_flush_start(rig.fbs, rig.leaf[0], rig.now_ns, &flush);
	order("-");
	think(199999);
	order("-");
	think(1);
	order("b");
	fbs_flush_done(rig.fbs, &flush, rig.now_ns);
	end();
}

/* A slice that does not come back: the others go after 200 ms. */
static void test_hung(void **state)
{
	(void)state;
	two();
	configure(FBS_ISOLATION_STRICT, 4);
	push('a');
	order("a-");
	think(199999);
	order("-");
	assert_int_equal(wakeup_us(), 1);
	think(1);
	order("bbb-");
	done_all();
	end();
	/* of several, each that comes back shows that the disk lives */
	two();
	configure(FBS_ISOLATION_STRICT, 4);
	push_n('a', 2);
	order("aa-");
	think(150000);
	order("-");
	done(0);
	think(150000);
	order("-");
	think(50000);
	order("b");
	end();
}

/* A reservation that comes due goes, and is announced. */
static void test_reservation(void **state)
{
	(void)state;
	two();
	leaf('c', NULL, 1);
	fbs_set_class(rig.fbs, rig.leaf[2], FBS_IDLE); /* as promised or never */
	min('c', 100);
	push('c');
	order("c");
	back(10);
	push('a');
	order("a-");
	back(100);
	push('c');
	assert_true(stats().anticipating || next() == 0);
	assert_int_equal(wakeup_us(), 2000); /* c is due in 9.9 ms, a is waited for not so long */
	think(1000);
	push('a');
	order("a-");
	back(7000);
	push('a');
	order("a-");
	back(500);
	assert_int_equal(wakeup_us(), 1390);
	think(1389);
	order("-");
	think(1);
	order("c-");
	assert_int_equal(wakeup_us(), 610); /* for a again */
	end();
}

/* Somebody whom a cap holds anyhow is not waited for. */
static void test_capped(void **state)
{
	struct client clients[] = {
		{.name = 'a', .depth = 1, .think_ns = 1800000}, {.name = 'b', .depth = 32}, {0}};
	struct disk disk = {.servers = 1, .service_ns = 100000};

	(void)state;
	two();
	cap('a', (struct fbs_max){.iops = 100});
	push('a');
	order("a-");
	back(100);
	push('a');
	order("b"); /* a is held, for 5 ms */
	back(1);
	end();
	/* 1.8 ms of thinking, 2 ms for each by the cap: the disk has other things to do */
	begin(FBS_POLICY_WEIGHT);
	configure(FBS_ISOLATION_STRICT, 1);
	leaf('a', NULL, 10000);
	leaf('b', NULL, 1);
	cap('a', (struct fbs_max){.iops = 400});
	work(&disk, clients, 10 * SEC);
	assert_in_range(clients[0].ios, 3900, 4010);
	assert_true(disk.busy_ns > 4 * SEC);
	cap('a', (struct fbs_max){.iops = 100});
	disk.busy_ns = 0;
	work(&disk, clients, 10 * SEC);
	assert_in_range(disk.busy_ns, 9900 * MS, 10000 * MS);
	drain(&disk, clients);
	end();
}

/* Gone, with its last request still at the disk: nothing is to come. */
static void test_dropped(void **state)
{
	(void)state;
	two();
	configure(FBS_ISOLATION_STRICT, 4);
	push('a');
	order("a-");
	fbs_drop(rig.fbs, rig.leaf[0]);
	fbs_check(rig.fbs);
	order("b");
	back(10);
	rig.leaf[0] = NULL;
	order("b");
	end();
	/* dropped before that: it is served, and not waited for */
	two();
	configure(FBS_ISOLATION_STRICT, 4);
	push('a');
	fbs_drop(rig.fbs, rig.leaf[0]);
	order("ab");
	rig.leaf[0] = NULL;
	end();
	/* its group dropped, too, and moved */
	two();
	assert_int_equal(fbs_set_parent(rig.fbs, rig.leaf[0], group(NULL, 100)), 0);
	push('a');
	order("a-");
	assert_int_equal(fbs_set_parent(rig.fbs, rig.leaf[0], group(NULL, 100)), 0);
	fbs_check(rig.fbs);
	order("-");
	back(10);
	order("-");
	fbs_drop(rig.fbs, rig.leaf[0]);
	order("b");
	rig.leaf[0] = NULL;
	end();
}

/* One who is waited for, while nobody waits, does not keep another's flush from starting. */
static void test_flush_may_start(void **state)
{
	(void)state;
	two();
	cancel_all();
	push_op('b', FBS_WRITE, 0, 4 * KIB);
	order("b");
	back(100);
	think(5000);
	push('a');
	order("a");
	back(100); /* a may come back */
	flush('b', 500 * MS, 4 * KIB, 4 * KIB);
	assert_true(may_flush('b'));
	push('a');
	assert_false(may_flush('b'));
	end();
}

/* ---- on which disk ---- */

/* Both ways at once, also while the disk is kept free. */
static void test_switched(void **state)
{
	(void)state;
	two();
	push('a');
	order("a-");
	back(100);
	order("-");
	configure(FBS_ISOLATION_THROUGHPUT, 1);
	order("b");
	back(100);
	assert_false(stats().anticipating);
	configure(FBS_ISOLATION_STRICT, 1);
	push('a');
	order("a-");
	back(100);
	order("-");
	/* it has not been a miss */
	configure(FBS_ISOLATION_AUTO, 4); /* how it serves is not known */
	order("b");
	end();
}

/* A disk of so many servers that finds its own window: what it loses, and what a gets of it. */
static void on_disk(enum fbs_isolation isolation, unsigned servers, uint64_t *ret_a,
		    uint64_t *ret_busy)
{
	struct client clients[] = {
		{.name = 'a', .depth = 1, .think_ns = 50000}, {.name = 'b', .depth = 64}, {0}};
	struct disk disk = {.servers = servers, .service_ns = 1 * MS};
	uint64_t all;

	begin(FBS_POLICY_WEIGHT);
	configure(isolation, 0);
	leaf('a', NULL, 80);
	leaf('b', NULL, 20);
	work(&disk, clients, 10 * SEC);
	clients[0].ios = clients[1].ios = disk.busy_ns = 0;
	work(&disk, clients, 10 * SEC);
	all = clients[0].ios + clients[1].ios;
	*ret_a = clients[0].ios * 100 / all;
	*ret_busy = disk.busy_ns / servers / (100 * MS);
	print_message("isolation %d, %u servers: %u %%, %u %% busy, serial %d\n", isolation,
		      servers, (unsigned)*ret_a, (unsigned)*ret_busy, stats().serial);
	if (isolation == FBS_ISOLATION_AUTO)
		assert_int_equal(stats().serial, servers <= 2);
	drain(&disk, clients);
	end();
}

/* auto: where one or two are served at a time; strict: always; throughput: never. */
static void test_isolation(void **state)
{
	uint64_t a, busy;

	(void)state;
	on_disk(FBS_ISOLATION_AUTO, 1, &a, &busy);
	assert_true(a >= 78 && busy >= 93);
	on_disk(FBS_ISOLATION_AUTO, 8, &a, &busy);
	assert_true(a <= 15 && busy >= 95);
	on_disk(FBS_ISOLATION_STRICT, 8, &a, &busy);
	assert_true(a >= 78);
	on_disk(FBS_ISOLATION_THROUGHPUT, 1, &a, &busy);
	assert_true(a <= 51 && busy >= 98);
}

/* A client whose requests come in runs, with a pause after each: the worst for the mean. */
static unsigned busy_pct(uint64_t service_ns, unsigned run, uint64_t pause_ns)
{
	struct client clients[] = {{.name = 'a', .depth = 1}, {.name = 'b', .depth = 32}, {0}};
	struct disk disk = {.servers = 1, .service_ns = service_ns};
	uint64_t start_ns, pct;

	begin(FBS_POLICY_WEIGHT);
	configure(FBS_ISOLATION_AUTO, 1);
	leaf('a', NULL, 10000);
	leaf('b', NULL, 1);
	work(&disk, clients, 2 * SEC);
	disk.busy_ns = 0;
	start_ns = rig.now_ns;
	for (int n = 0; n < 50; n++) {
		uint64_t before = clients[0].ios;

		clients[0].think_ns = 0;
		while (clients[0].ios < before + run)
			work(&disk, clients, service_ns / 2);
		clients[0].think_ns = pause_ns; /* after the one that is out */
		while (clients[0].ios < before + run + 1)
			work(&disk, clients, service_ns / 2);
	}
	pct = disk.busy_ns * 100 / (rig.now_ns - start_ns);
	drain(&disk, clients);
	end();
	return (unsigned)pct;
}

/* auto: no more than a fifth of the disk's time is lost by waiting in vain. */
static void test_auto_loses_a_fifth(void **state)
{
	static const uint64_t services[] = {100000, 200000, 500000, 1 * MS, 4 * MS, 10 * MS};
	static const uint64_t pauses[] = {210, 1010, 2100, 5000};

	(void)state;
	for (size_t i = 0; i < COUNT(services); i++) {
		for (size_t p = 0; p < COUNT(pauses); p++) {
			unsigned least = 100, at = 0;

			for (unsigned run = 1; run < 40; run += 2) {
				unsigned pct = busy_pct(services[i], run, pauses[p] * 1000);

				at = pct < least ? run : at;
				least = pct < least ? pct : least;
			}
			print_message("%u us each, runs of %u, then %u us: %u %% busy\n",
				      (unsigned)(services[i] / 1000), at, (unsigned)pauses[p],
				      least);
			assert_true(least >= 79);
		}
	}
}

/* A new setting of anything else changes nothing about what is known of the disk. */
static void test_configured_again(void **state)
{
	struct client clients[] = {
		{.name = 'a', .depth = 1, .think_ns = 50000}, {.name = 'b', .depth = 64}, {0}};
	struct disk disk = {.servers = 1, .service_ns = 1 * MS};

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	configure(FBS_ISOLATION_AUTO, 0);
	leaf('a', NULL, 80);
	leaf('b', NULL, 20);
	work(&disk, clients, 10 * SEC);
	assert_true(stats().serial);
	rig.params.policy = FBS_POLICY_IOSIZE;
	rig.params.latency_target_ns = 50 * MS;
	fbs_configure(rig.fbs, &rig.params);
	assert_true(stats().serial);
	configure(FBS_ISOLATION_AUTO, 1);
	assert_true(stats().serial);
	drain(&disk, clients);
	end();
	begin(FBS_POLICY_WEIGHT);
	configure(FBS_ISOLATION_AUTO, 1);
	assert_true(stats().serial);
	configure(FBS_ISOLATION_AUTO, 8); /* one at a time was our choice */
	assert_false(stats().serial);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waited_for),
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_two_of_them),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_misses),
		cmocka_unit_test(test_back_again),
		cmocka_unit_test(test_slow_thinker),
		cmocka_unit_test(test_late_is_no_hit),
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_hung),
		cmocka_unit_test(test_reservation),
		cmocka_unit_test(test_capped),
		cmocka_unit_test(test_dropped),
		cmocka_unit_test(test_flush_may_start),
		cmocka_unit_test(test_switched),
		cmocka_unit_test(test_isolation),
		cmocka_unit_test(test_auto_loses_a_fifth),
		cmocka_unit_test(test_configured_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
