/* SPDX-License-Identifier: MIT */
/* gate.c - see gate.h. */
#include "gate.h"
#include "log.h"
#include "request.h"
#include "steward.h"

#include <errno.h>

static uint64_t slots_of(uint64_t memory_bytes)
{
	uint64_t slots = (memory_bytes - memory_bytes / 8) / REQUEST_PAYLOAD_MAX;

	return slots < 1 ? 1 : slots > GATE_MOST ? GATE_MOST : slots;
}

static uint64_t free_slots(uint64_t memory_bytes, int64_t held_bytes)
{
	uint64_t slots = slots_of(memory_bytes);
	uint64_t used = held_bytes > 0 ? (uint64_t)held_bytes / REQUEST_PAYLOAD_MAX : 0;

	return used < slots ? slots - used : 0;
}

bool gate_is_shut(uint64_t memory_bytes, int64_t held_bytes)
{
	return !free_slots(memory_bytes, held_bytes);
}

unsigned gate_at_first(uint64_t memory_bytes)
{
	uint64_t slots = slots_of(memory_bytes);

	return slots < GATE_LEAST ? GATE_LEAST : (unsigned)slots;
}

/* Only one at a time. */
static void set_limit(struct gate *gate, uint64_t limit)
{
	unsigned value = limit < GATE_MOST ? (unsigned)limit : GATE_MOST;
	int r;

	if (value == atomic_load_explicit(&gate->limit, memory_order_relaxed))
		return;
	r = steward_limit(atomic_load_explicit(&gate->steward, memory_order_relaxed), value);
	if (!r) {
		atomic_store_explicit(&gate->limit, value, memory_order_relaxed);
	} else if (r == -EPIPE || r == -ECONNRESET) {
		log_warning("the process that sets the limit of asynchronous requests is dead: it "
			    "stays as it is");
		atomic_store_explicit(&gate->steward, -1, memory_order_relaxed);
	}
}

void gate_init(struct gate *gate, int steward)
{
	atomic_init(&gate->steward, steward);
	atomic_init(&gate->busy, false);
	atomic_init(&gate->limit, 0); /* whatever a predecessor made of it */
}

/*
 * Close enough to what is wanted. Synchronous requests are among the unanswered, but do not count
 * at the limit: were it raised when memory is short, that would let a large write in for each of
 * them.
 */
static bool will_do(uint64_t limit, uint64_t want, uint64_t slots, uint64_t room)
{
	if (!limit) /* the kernel knows only what a predecessor has told it */
		return false;
	if (room > slots / 4)
		return want <= limit + room / 2 && limit <= want + slots;
	return limit <= want + slots / 16;
}

void gate_adjust(struct gate *gate, uint64_t memory_bytes, int64_t held_bytes, unsigned unanswered)
{
	uint64_t limit = atomic_load_explicit(&gate->limit, memory_order_relaxed);
	uint64_t slots = slots_of(memory_bytes), room = free_slots(memory_bytes, held_bytes);
	uint64_t want = unanswered + room;

	if (want < slots)
		want = slots;
	if (atomic_load_explicit(&gate->steward, memory_order_relaxed) < 0 ||
	    will_do(limit, want, slots, room) ||
	    atomic_exchange_explicit(&gate->busy, true, memory_order_acquire))
		return; /* who is at it has figures as good as these; the next round has others */
	set_limit(gate, want);
	atomic_store_explicit(&gate->busy, false, memory_order_release);
}
