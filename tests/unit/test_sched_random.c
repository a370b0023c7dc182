/* SPDX-License-Identifier: MIT */
/*
 * test_sched_random.c - random trees, loads and settings against an oracle and the invariants.
 *
 *     SEED=1 EVENTS=10000000 test_sched_random
 *
 * Events come in rounds of a few thousand, each in a world of its own (tests/sim/world.h), with
 * some of the features or all. A check that fails says how to run that round alone, up to the
 * event:
 *
 *     ROUND=1234 FEATURES=8 EVENTS=56 test_sched_random
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/sim/world.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ROUND_EVENTS 4000U

static uint64_t seed = 20080701;
static uint64_t events = 150000;

/* Each alone, then as they come. */
static unsigned features_of(uint64_t round, struct sim_rng *rng)
{
	static const unsigned alone[] = {
		WORLD_EXACT | WORLD_CLASSES,
		WORLD_CLASSES,
		WORLD_HUGE | WORLD_CLASSES,
		WORLD_CAPS,
		WORLD_CAPS | WORLD_TWO,
		WORLD_MINS,
		WORLD_IDLE,
	};

	round %= 2 * COUNT(alone);
	return round < COUNT(alone) ? alone[round] : (unsigned)sim_rng_below(rng, WORLD_FEATURES);
}

static void test_random(void **state)
{
	uint64_t slices = 0, round = 0;
	struct sim_rng rng = {seed};

	(void)state;
	for (uint64_t done = 0; done < events; done += ROUND_EVENTS, round++) {
		uint64_t left = events - done, round_seed = sim_rng_next(&rng);
		unsigned features = features_of(round, &rng);

		slices +=
			world_run(round_seed, features, left < ROUND_EVENTS ? left : ROUND_EVENTS);
	}
	printf("%llu slices as the oracle says\n", (unsigned long long)slices);
	assert_true(slices >= events / 5);
}

static void test_one_round(void **state)
{
	(void)state;
	world_run(strtoull(getenv("ROUND"), NULL, 0),
		  (unsigned)strtoul(getenv("FEATURES") ? getenv("FEATURES") : "0", NULL, 0),
		  events);
}

/* What a fuzzer will do; here the bytes are noise. */
static void test_bytes(void **state)
{
	static uint8_t bytes[20000];
	struct sim_rng rng = {seed};

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		for (size_t n = 0; n < sizeof(bytes); n++)
			bytes[n] = (uint8_t)sim_rng_next(&rng);
		world_run_bytes(bytes, sizeof(bytes));
	}
	world_run_bytes(bytes, 0);
}

int main(void)
{
	const struct CMUnitTest all[] = {cmocka_unit_test(test_random),
					 cmocka_unit_test(test_bytes)};
	const struct CMUnitTest one[] = {cmocka_unit_test(test_one_round)};

	if (getenv("SEED"))
		seed = strtoull(getenv("SEED"), NULL, 0);
	if (getenv("EVENTS"))
		events = strtoull(getenv("EVENTS"), NULL, 0);
	if (getenv("ROUND"))
		return cmocka_run_group_tests_name("one round", one, NULL, NULL);
	printf("SEED=%llu EVENTS=%llu\n", (unsigned long long)seed, (unsigned long long)events);
	return cmocka_run_group_tests_name("random", all, NULL, NULL);
}
