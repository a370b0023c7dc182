/* SPDX-License-Identifier: MIT */
/*
 * test_sched_stats.c - sched.h in virtual time: who got what, was entitled to what, waited for
 * what.
 *
 *     SEED=1 test_sched_stats
 */
#include <stdio.h>

#include "tests/sim/sim.h"
#include "tests/unit/sched_disk.h"

static uint64_t seed = 20080701;

static void throttle(unsigned io_throttle)
{
	rig.params.io_throttle = io_throttle;
	fbs_configure(rig.fbs, &rig.params);
}

/* ---- tokens, entitled ---- */

/* A group has what is below it, and keeps what was charged while it was there. */
static void test_tokens(void **state)
{
	struct fbs_node *g, *h;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	g = group(NULL, 1);
	h = group(g, 1);
	leaf('a', h, 1);
	leaf('b', g, 1);
	leaf('c', NULL, 1);
	push_n('a', 8);
	push_n('b', 2);
	push_n('c', 4);
	assert_int_equal(node_stats(g).queued, 10);
	assert_int_equal(node_stats(h).queued, 8);
	assert_int_equal(node_stats(fbs_root(rig.fbs)).queued, 14);
	while (next())
		;
	assert_true(node_stats(h).tokens == 8 * FBS_TOKEN_ONE);
	assert_true(node_stats(g).tokens == 10 * FBS_TOKEN_ONE);
	assert_true(node_stats(fbs_root(rig.fbs)).tokens == 14 * FBS_TOKEN_ONE);
	assert_true(stats().tokens == 14 * FBS_TOKEN_ONE);
	done_all();
	assert_int_equal(fbs_set_parent(rig.fbs, h, fbs_root(rig.fbs)), 0);
	push_n('a', 3);
	while (next())
		;
	done_all();
	assert_true(node_stats(h).tokens == 11 * FBS_TOKEN_ONE);
	assert_true(node_stats(g).tokens == 10 * FBS_TOKEN_ONE);
	fbs_drop(rig.fbs, rig.leaf[0]);
	rig.leaf[0] = NULL;
	assert_true(node_stats(h).tokens == 11 * FBS_TOKEN_ONE);
	end();
}

/* entitled / sum of tokens, in 1000, of these that share one parent. */
static unsigned entitled(char name, const char *siblings)
{
	uint64_t sum = 0;

	for (; *siblings; siblings++)
		sum += stats_of(*siblings).tokens;
	return (unsigned)(stats_of(name).entitled * 1000 / sum);
}

/* Its weight among those that want the disk; nothing for the time in which it does not. */
static void test_entitled(void **state)
{
	struct client clients[] = {{.name = 'a', .depth = 8},
				   {.name = 'b', .depth = 8},
				   {.name = 'c', .depth = 0},
				   {0}};
	struct disk disk = {.servers = 1, .service_ns = 1 * MS};
	uint64_t before;

	(void)state;
	begin(FBS_POLICY_COST);
	throttle(1);
	leaf('a', NULL, 75);
	leaf('b', NULL, 25);
	leaf('c', NULL, 100);
	work(&disk, clients, 10 * SEC);
	assert_in_range(entitled('a', "abc"), 748, 752);
	assert_in_range(entitled('b', "abc"), 248, 252);
	assert_int_equal(stats_of('c').entitled, 0);
	/* for as long again with c: 3/8, 1/8, 1/2 of that */
	clients[2].depth = 8;
	work(&disk, clients, 10 * SEC);
	assert_in_range(entitled('a', "abc"), (750 + 375) / 2 - 3, (750 + 375) / 2 + 3);
	assert_in_range(entitled('b', "abc"), (250 + 125) / 2 - 3, (250 + 125) / 2 + 3);
	assert_in_range(entitled('c', "abc"), 250 - 3, 250 + 3);
	/* b alone: it is entitled to all that it gets */
	clients[0].depth = clients[2].depth = 0;
	work(&disk, clients, 1 * SEC);
	before = stats_of('a').entitled;
	work(&disk, clients, 10 * SEC);
	assert_true(stats_of('a').entitled == before);
	assert_in_range(entitled('b', "abc"), (250 + 125 + 1050) / 3 - 20,
			(250 + 125 + 1050) / 3 + 20);
	drain(&disk, clients);
	end();
}

/* Also with a new weight in the middle, another policy, a class that has to wait, a cap. */
static void test_entitled_changes(void **state)
{
	struct client clients[] = {{.name = 'a', .depth = 8}, {.name = 'b', .depth = 8}, {0}};
	struct disk disk = {.servers = 1, .service_ns = 1 * MS};
	uint64_t a, b, all;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	throttle(1);
	leaf('a', NULL, 75);
	leaf('b', NULL, 25);
	work(&disk, clients, 10 * SEC);
	fbs_set_weight(rig.fbs, rig.leaf[0], 25);
	work(&disk, clients, 10 * SEC);
	assert_in_range(entitled('a', "ab"), 625 - 3, 625 + 3);
	/* another unit: what is in flight then was in the old one */
	clients[0].depth = clients[1].depth = 0;
	work(&disk, clients, 1 * SEC);
	rig.params.policy = FBS_POLICY_COST;
	fbs_configure(rig.fbs, &rig.params);
	clients[0].depth = clients[1].depth = 8;
	a = stats_of('a').entitled;
	b = stats_of('b').entitled;
	all = stats().tokens;
	work(&disk, clients, 10 * SEC);
	all = stats().tokens - all;
	assert_in_range((stats_of('a').entitled - a) * 1000 / all, 495, 505);
	assert_in_range((stats_of('b').entitled - b) * 1000 / all, 495, 505);
	/* behind a higher class: to nothing */
	fbs_set_class(rig.fbs, rig.leaf[0], FBS_IDLE);
	a = stats_of('a').entitled;
	work(&disk, clients, 10 * SEC);
	assert_true(stats_of('a').entitled == a);
	fbs_set_class(rig.fbs, rig.leaf[0], FBS_NORMAL);
	/* held by a cap: only for the time in which it is not */
	cap('a', (struct fbs_max){.iops = 100});
	work(&disk, clients, 1 * SEC);
	a = stats_of('a').entitled;
	all = stats().tokens;
	work(&disk, clients, 10 * SEC);
	all = stats().tokens - all;
	assert_in_range((stats_of('a').entitled - a) * 1000 / all, 50, 110);
	drain(&disk, clients);
	end();
}

/* What it is promised it is entitled to, whatever its weight says. */
static void test_entitled_reserved(void **state)
{
	struct client clients[] = {{.name = 'a', .depth = 8}, {.name = 'b', .depth = 8}, {0}};
	struct disk disk = {.servers = 1, .service_ns = 1 * MS};

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	throttle(1);
	leaf('a', NULL, 1);
	leaf('b', NULL, 9);
	min('a', 500);
	work(&disk, clients, 10 * SEC);
	assert_in_range(clients[0].ios, 4990, 5012);
	assert_in_range(entitled('a', "ab"), 495, 550);
	assert_in_range(entitled('b', "ab"), 490, 910);
	drain(&disk, clients);
	end();
}

/* ---- waited_ns ---- */

static uint64_t waited(char name, enum fbs_wait wait)
{
	return stats_of(name).waited_ns[wait];
}

static void assert_waited(char name, uint64_t share_ms, uint64_t cap_ms, uint64_t window_ms,
			  uint64_t anticipation_ms)
{
	assert_int_equal(waited(name, FBS_WAIT_SHARE), share_ms * MS);
	assert_int_equal(waited(name, FBS_WAIT_CAP), cap_ms * MS);
	assert_int_equal(waited(name, FBS_WAIT_WINDOW), window_ms * MS);
	assert_int_equal(waited(name, FBS_WAIT_ANTICIPATION), anticipation_ms * MS);
}

/* With one at a time: it is a's turn while b waits for it, or the other way round. */
static void test_waited_share_window(void **state)
{
	(void)state;
	begin(FBS_POLICY_WEIGHT);
	throttle(1);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	push_n('a', 3);
	push_n('b', 2);
	order("a-"); /* now b's turn */
	later(5);
	assert_waited('a', 0, 0, 0, 0); /* the time of the last call */
	order("-");
	assert_waited('a', 5, 0, 0, 0);
	assert_waited('b', 0, 0, 5, 0);
	done(0);
	order("b-");
	later(7);
	order("-");
	assert_waited('a', 5, 0, 7, 0);
	assert_waited('b', 7, 0, 5, 0);
	/* what was waited stays, whoever takes the turn: a higher class does */
	fbs_set_class(rig.fbs, rig.leaf[1], FBS_REALTIME);
	order("-");
	later(1);
	done(0);
	order("b-");
	assert_waited('a', 6, 0, 7, 0);
	assert_waited('b', 7, 0, 6, 0);
	/* nothing to issue: nothing is waited for, though it is still at the disk */
	later(10);
	order("-");
	assert_waited('a', 6, 0, 17, 0);
	assert_waited('b', 7, 0, 6, 0);
	cancel_all();
	later(100);
	order("-");
	assert_waited('a', 6, 0, 17, 0);
	end();
}

/* Caps, of its own and above: each moment counts once, and before the rest. */
static void test_waited_cap(void **state)
{
	struct fbs_node *g;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	g = group_of(1, "ab");
	leaf('c', NULL, 1);
	cap('a', (struct fbs_max){.iops = 50});
	cap_node(g, (struct fbs_max){.iops = 1000});
	push_n('a', 2);
	push_n('b', 40);
	order("abbbbbbbbb-"); /* a is held until 15 ms, and the group for one after each */
	for (int i = 0; i < 14; i++) {
		assert_true(stats_of('a').capped);
		assert_true(node_stats(g).capped);
		later(1);
		order("b-");
	}
	assert_waited('a', 0, 14, 0, 0);
	assert_waited('b', 0, 14, 0, 0);
	assert_int_equal(stats_of('a').capped_ns, 14 * MS);
	assert_int_equal(node_stats(g).capped_ns, 14 * MS);
	later(1);
	order("a-");
	assert_waited('a', 0, 15, 0, 0);
	assert_false(stats_of('a').capped);
	/* the group's cap is gone, the window is full: it is c's turn */
	throttle(1);
	fbs_set_cap(rig.fbs, g, NULL);
	push_n('c', 10);
	order("-");
	later(3);
	order("-");
	assert_waited('b', 3, 15, 0, 0);
	assert_waited('c', 0, 0, 3, 0);
	assert_int_equal(node_stats(g).capped_ns, 15 * MS);
	end();
}

/* Kept free for b, while a waits; one that a cap holds waits for that. */
static void test_waited_anticipation(void **state)
{
	(void)state;
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	leaf('b', NULL, 100);
	leaf('c', NULL, 1);
	cap('c', (struct fbs_max){.iops = 10});
	push('a');
	push_n('c', 2);
	order("ac-");
	done_all();
	rig.params.isolation = FBS_ISOLATION_STRICT;
	throttle(1);
	push('b');
	order("b-");
	push_n('a', 3);
	order("-"); /* until b's is done, and a moment more */
	assert_true(stats().anticipating);
	later(1);
	done_all();
	order("-");
	later(1);
	push('b');
	order("b-");
	assert_waited('a', 0, 0, 0, 2);
	assert_waited('c', 0, 2, 0, 0);
	assert_waited('b', 0, 0, 0, 0);
	later(1);
	done_all();
	order("-");
	later(2); /* it does not come */
	order("a-");
	assert_false(stats().anticipating);
	assert_waited('a', 0, 0, 0, 5);
	assert_waited('c', 0, 5, 0, 0);
	/* dropped while the disk is kept free for it: what was waited until then stays */
	done_all();
	push('b');
	order("b-");
	later(1);
	order("-");
	assert_true(stats().anticipating);
	fbs_drop(rig.fbs, rig.leaf[1]);
	fbs_check(rig.fbs);
	assert_false(stats().anticipating);
	assert_waited('a', 0, 0, 0, 6);
	throttle(2);
	order("a-");
	later(1);
	assert_waited('a', 0, 0, 0, 6);
	done_all();
	rig.leaf[1] = NULL;
	end();
}

/* Moved while it waits: what it waited for before it was moved stays what it was. */
static void test_waited_moved(void **state)
{
	struct fbs_node *g, *h;

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	g = group_of(1, "a");
	h = group_of(1, "bc");
	cap_node(g, (struct fbs_max){.iops = 10});
	cap_node(h, (struct fbs_max){.iops = 10});
	push_n('b', 1);
	order("b");
	push_n('c', 5);
	order("-");
	later(20);
	order("-");
	later(40);
	order("-");
	push_n('a', 2);
	order("a-");
	assert_waited('c', 0, 60, 0, 0);
	later(10);
	order("-");
	assert_waited('a', 0, 10, 0, 0);
	assert_int_equal(fbs_set_parent(rig.fbs, rig.leaf[0], h), 0);
	order("-");
	assert_waited('a', 0, 10, 0, 0);
	later(10);
	order("-");
	assert_waited('a', 0, 20, 0, 0);
	assert_int_equal(fbs_set_parent(rig.fbs, rig.leaf[0], fbs_root(rig.fbs)), 0);
	assert_int_equal(fbs_set_parent(rig.fbs, rig.leaf[2], g), 0);
	order("a-");
	assert_waited('a', 0, 20, 0, 0);
	assert_waited('c', 0, 80, 0, 0);
	end();
}

/* Whatever happens: no counter goes back, and together they are all the time that it waited. */
static void test_waited_random(void **state)
{
	struct client clients[] = {{.name = 'a', .depth = 1}, {.name = 'b', .depth = 4},
				   {.name = 'c', .depth = 1}, {.name = 'd', .depth = 8},
				   {.name = 'e', .depth = 2}, {0}};
	struct disk disk = {.servers = 1, .service_ns = 1 * MS};
	struct fbs_node_stats before[5] = {{0}};
	struct sim_rng rng = {seed};
	struct fbs_node *parents[3];
	uint64_t waits[FBS_WAITS] = {0};

	(void)state;
	begin(FBS_POLICY_COST);
	rig.params.isolation = FBS_ISOLATION_STRICT;
	throttle(1);
	parents[0] = fbs_root(rig.fbs);
	parents[1] = group(NULL, 10);
	parents[2] = group(parents[1], 10);
	leaf('a', parents[2], 10);
	leaf('b', parents[2], 10);
	leaf('c', parents[1], 10);
	leaf('d', parents[1], 10);
	leaf('e', NULL, 10);
	cap('a', (struct fbs_max){.read_iops = 200});
	cap('c', (struct fbs_max){.iops = 100});
	cap_node(parents[1], (struct fbs_max){.bps = 1000000});
	min('e', 100);
	clients[0].think_ns = clients[4].think_ns = 100000;
	clients[2].think_ns = 3 * MS;
	for (int i = 0; i < 3000; i++) {
		struct fbs_node *node = rig.leaf[sim_rng_below(&rng, 5)];

		switch (sim_rng_below(&rng, 30)) {
		case 0:
			assert_int_equal(
				fbs_set_parent(rig.fbs, node, parents[sim_rng_below(&rng, 3)]), 0);
			break;
		case 1:
			fbs_set_class(rig.fbs, node, (enum fbs_class)sim_rng_below(&rng, 3));
			break;
		case 2:
			cap_node(sim_rng_below(&rng, 2) ? node
							: parents[1 + sim_rng_below(&rng, 2)],
				 (struct fbs_max){.iops = sim_rng_below(&rng, 1000)});
			break;
		case 3:
			throttle(1 + (unsigned)sim_rng_below(&rng, 3));
			break;
		}
		work(&disk, clients, 1 + sim_rng_below(&rng, 5 * MS));
		for (unsigned l = 0; l < 5; l++) {
			struct fbs_node_stats now = stats_of((char)('a' + l));
			uint64_t sum = 0;

			for (unsigned k = 0; k < FBS_WAITS; k++) {
				assert_true(now.waited_ns[k] >= before[l].waited_ns[k]);
				waits[k] += now.waited_ns[k] - before[l].waited_ns[k];
				sum += now.waited_ns[k] - before[l].waited_ns[k];
			}
			assert_true(sum <= 10 * MS);
			assert_true(now.capped_ns >= before[l].capped_ns);
			assert_true(now.entitled >= before[l].entitled);
			assert_true(now.tokens >= before[l].tokens);
			before[l] = now;
		}
	}
	for (unsigned k = 0; k < FBS_WAITS; k++) /* each was seen */
		assert_true(waits[k] > 100 * MS);
	drain(&disk, clients);
	end();
}

/* ---- capped, fbs_stats ---- */

static void test_capped(void **state)
{
	struct client clients[] = {{.name = 'a', .depth = 4}, {.name = 'b', .depth = 4}, {0}};
	struct disk disk = {.servers = 4, .service_ns = 1 * MS};

	(void)state;
	begin(FBS_POLICY_WEIGHT);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	cap('a', (struct fbs_max){.iops = 1000});
	work(&disk, clients, 10 * SEC);
	/* always one waiting, but for the moments at which one goes */
	assert_in_range(stats_of('a').capped_ns, 9900 * MS, 10000 * MS);
	assert_in_range(waited('a', FBS_WAIT_CAP), 9900 * MS, 10000 * MS);
	assert_int_equal(stats_of('b').capped_ns, 0);
	assert_int_equal(waited('b', FBS_WAIT_CAP), 0);
	drain(&disk, clients);
	end();
}

static void assert_prices(const struct fbs_capability *expected)
{
	struct fbs_capability seen = stats().prices;

	assert_in_range(seen.read_iops, expected->read_iops * 99 / 100, expected->read_iops + 1);
	assert_in_range(seen.write_iops, expected->write_iops * 99 / 100, expected->write_iops + 1);
	assert_in_range(seen.read_bps, expected->read_bps * 99 / 100, expected->read_bps + 1);
	assert_in_range(seen.write_bps, expected->write_bps * 99 / 100, expected->write_bps + 1);
}

/* What `cost` reckons with: what was given, what is preset, and what it has learnt of that. */
static void test_prices(void **state)
{
	struct client clients[] = {{.name = 'a', .depth = 8}, {.name = 'b', .depth = 8}, {0}};
	struct disk disk = {.servers = 1};

	(void)state;
	begin(FBS_POLICY_COST);
	assert_prices(&plain.capability);
	rig.params.capability = (struct fbs_capability){.write_iops = 1000};
	fbs_configure(rig.fbs, &rig.params);
	assert_prices(&(struct fbs_capability){1000, 1000, 500000000, 500000000});
	rig.params.capability = (struct fbs_capability){0};
	throttle(1);
	leaf('a', NULL, 1);
	leaf('b', NULL, 1);
	clients[1].op = FBS_WRITE;
	/* a reads, then b writes, which takes ten times as long */
	for (int i = 0; i < 100; i++) {
		clients[0].depth = i % 2 ? 0 : 8;
		clients[1].depth = i % 2 ? 8 : 0;
		disk.service_ns = i % 2 ? 1 * MS : 100000;
		work(&disk, clients, 1000 * MS);
	}
	assert_true(stats().prices.write_iops < stats().prices.read_iops / 3);
	drain(&disk, clients);
	end();
}

static void test_disk(void **state)
{
	(void)state;
	begin(FBS_POLICY_WEIGHT);
	assert_int_equal(stats().limit, 100000);
	assert_false(stats().serial);
	assert_false(stats().anticipating);
	throttle(1);
	assert_true(stats().serial);
	assert_int_equal(stats().limit, 1);
	throttle(0);
	assert_false(stats().serial); /* not known yet */
	assert_in_range(stats().limit, 1, 1);
	end();
}

/* ---- of the last ten seconds ---- */

static void lately(char name, unsigned entitled_ppm, unsigned achieved_ppm)
{
	struct fbs_node_stats of = node_stats(rig.leaf[name - 'a']);

	assert_in_range(of.entitled_ppm, entitled_ppm * 0.95, entitled_ppm * 1.05);
	assert_in_range(of.achieved_ppm, achieved_ppm * 0.95, achieved_ppm * 1.05);
}

static void flush_of_a_second(char name)
{
	struct fbs_flush flush;

	fbs_flush_start(rig.fbs, rig.leaf[name - 'a'], rig.now_ns, &flush);
	rig.now_ns += SEC;
	fbs_flush_done(rig.fbs, &flush, rig.now_ns);
}

static void give_up(struct client *client)
{
	struct fbs_req *reqs = rig.req[client->name - 'a'];

	for (unsigned i = 0; i < client->depth; i++)
		if (reqs[i].leaf) {
			fbs_cancel(rig.fbs, &reqs[i]);
			client->turn[i].out = false;
		}
	client->depth = 0;
}

/* Who gets nothing for longer than that is entitled to as much as before. */
static void test_starved(void **state)
{
	struct client clients[] = {{.name = 'a', .depth = 4}, {.name = 'b', .depth = 8}, {0}};
	struct disk disk = {.servers = 1, .service_ns = 5 * MS};

	(void)state;
	begin_serial();
	leaf('a', NULL, 10);
	leaf('b', NULL, 990);
	work(&disk, clients, 20 * SEC);
	lately('a', 10000, 10000);
	flush_of_a_second('a'); /* of its share a hundred seconds */
	work(&disk, clients, 15 * SEC);
	lately('a', 10000, 0);
	lately('b', 990000, 1000000);
	work(&disk, clients, 40 * SEC);
	lately('a', 10000, 0);
	/* from when it asks for something */
	give_up(&clients[0]);
	work(&disk, clients, 12 * SEC);
	lately('a', 0, 0);
	clients[0].depth = 4;
	work(&disk, clients, 5 * SEC);
	assert_in_range(node_stats(rig.leaf[0]).entitled_ppm, 4000, 5000);
	work(&disk, clients, 60 * SEC); /* paid */
	lately('a', 10000, 10000);
	/* a disk that nobody uses */
	give_up(&clients[0]);
	give_up(&clients[1]);
	drain(&disk, clients);
	rig.now_ns += 20 * SEC;
	push('a');
	assert_true(next());
	done_all();
	lately('b', 0, 0);
	end();
}

/* The same for all in a group that gets nothing. */
static void test_starved_group(void **state)
{
	struct client clients[] = {{.name = 'a', .depth = 4},
				   {.name = 'b', .depth = 4},
				   {.name = 'c', .depth = 4},
				   {.name = 'd', .depth = 8},
				   {0}};
	struct disk disk = {.servers = 1, .service_ns = 5 * MS};
	struct fbs_node *g, *h;

	(void)state;
	begin_serial();
	g = group(NULL, 10);
	h = group(g, 30);
	leaf('a', g, 10);
	leaf('b', h, 20);
	leaf('c', h, 80);
	leaf('d', NULL, 990);
	work(&disk, clients, 20 * SEC);
	flush_of_a_second('a');
	work(&disk, clients, 30 * SEC);
	lately('a', 2500, 0);
	lately('b', 1500, 0);
	lately('c', 6000, 0);
	lately('d', 990000, 1000000);
	assert_in_range(node_stats(h).entitled_ppm, 7100, 7900);
	give_up(&clients[2]); /* nothing is its due then, and it is that of the others */
	work(&disk, clients, 1 * SEC);
	lately('b', 7500, 0);
	lately('c', 0, 0);
	drain(&disk, clients);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_entitled),
		cmocka_unit_test(test_entitled_changes),
		cmocka_unit_test(test_entitled_reserved),
		cmocka_unit_test(test_waited_share_window),
		cmocka_unit_test(test_waited_cap),
		cmocka_unit_test(test_waited_anticipation),
		cmocka_unit_test(test_waited_moved),
		cmocka_unit_test(test_waited_random),
		cmocka_unit_test(test_capped),
		cmocka_unit_test(test_prices),
		cmocka_unit_test(test_disk),
		cmocka_unit_test(test_starved),
		cmocka_unit_test(test_starved_group),
	};

	if (getenv("SEED"))
		seed = strtoull(getenv("SEED"), NULL, 0);
	printf("SEED=%llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
