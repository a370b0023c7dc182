/* SPDX-License-Identifier: MIT */
/* world.c - see world.h: chance, time and the run. */
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct world world;

_Noreturn void world_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	if (world.bytes)
		fprintf(stderr, "in event %llu of a string of bytes\n",
			(unsigned long long)world.event);
	else
		fprintf(stderr, "again: ROUND=%llu FEATURES=%u EVENTS=%llu test_sched_random\n",
			(unsigned long long)world.seed, world.features,
			(unsigned long long)world.event);
	abort();
}

/* As many bytes as the choice is worth. */
static uint64_t from_bytes(struct world *w, uint64_t n)
{
	unsigned wanted = n <= 256 ? 1 : n <= 65536 ? 2 : 8;
	uint64_t value = 0;

	while (wanted-- > 0 && w->left > 0) {
		value = value << 8 | *w->bytes++;
		w->left--;
	}
	return value % n;
}

uint64_t world_below(struct world *w, uint64_t n)
{
	return w->left > 0 ? from_bytes(w, n) : sim_rng_below(&w->rng, n);
}

bool world_chance(struct world *w, unsigned per_mille)
{
	return world_below(w, 1000) < per_mille;
}

static bool is_held(const struct world_bench *b, int n)
{
	while (n != ORACLE_ROOT && !b->oracle.nodes[n].held)
		n = b->oracle.nodes[n].parent;
	return n != ORACLE_ROOT;
}

static void pass(struct world_bench *b, uint64_t ns)
{
	for (int n = 1; n < ORACLE_NODES; n++) {
		struct world_member *m = &b->members[n];

		if (!b->oracle.nodes[n].used)
			continue;
		if (b->oracle.nodes[n].held)
			m->held_ns += ns;
		if (!b->oracle.nodes[n].is_leaf || !b->oracle.nodes[n].queued)
			continue;
		m->backlog_ns += ns;
		if (is_held(b, n))
			m->capped_ns += ns;
		else if (b->anticipating)
			m->anticipated_ns += ns;
	}
	b->seen_ns += ns;
}

uint64_t world_tick(struct world *w, struct world_bench *b)
{
	uint64_t now_ns = w->now_ns;

	if (world_chance(w, 20))
		now_ns -= world_below(w, now_ns < 3 * SIM_MS ? now_ns + 1 : 3 * SIM_MS);
	if (now_ns > b->seen_ns)
		pass(b, now_ns - b->seen_ns);
	return now_ns;
}

static uint64_t run(struct world *w, unsigned features, uint64_t events)
{
	uint64_t slices = 0;

	w->features = features;
	if ((features & WORLD_EXACT) && (features & (WORLD_HUGE | WORLD_MINS)))
		w->features &= ~(unsigned)WORLD_EXACT;
	world_begin(w);
	while (w->event < events && (!w->bytes || w->left > 0)) {
		w->event++;
		world_step(w);
	}
	world_end(w);
	for (unsigned i = 0; i < w->nbenches; i++)
		slices += w->benches[i].slices;
	return slices;
}

uint64_t world_run(uint64_t seed, unsigned features, uint64_t events)
{
	memset(&world, 0, sizeof(world));
	world.seed = world.rng.state = seed;
	return run(&world, features, events);
}

void world_run_bytes(const uint8_t *data, size_t size)
{
	if (size == 0)
		return;
	memset(&world, 0, sizeof(world));
	world.bytes = data + 1;
	world.left = size - 1;
	run(&world, data[0], UINT64_MAX);
}
