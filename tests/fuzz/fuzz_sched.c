/* SPDX-License-Identifier: MIT */
/*
 * fuzz_sched.c - anything that may happen to one or two schedulers, made up from bytes.
 *
 * The world of the random tests (tests/sim/world.h), with its oracle and all of its checks; the
 * bytes take the place of chance. A world only does what sched.h allows, so what fails here is
 * wrong: in the scheduler or in what the world believes of it.
 */
#include "fuzz.h"
#undef CHECK /* the world has its own */
#include "tests/sim/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	world_run_bytes(data, size);
	return 0;
}
