/* SPDX-License-Identifier: MIT */
/* gate.c - see gate.h. */
#include "gate.h"
#include "log.h"
#include "mountinfo.h"
#include "request.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

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
	char text[16];
	int n = snprintf(text, sizeof(text), "%u\n", value);

	if (value == atomic_load_explicit(&gate->limit, memory_order_relaxed))
		return;
	if (pwrite(gate->fd, text, (size_t)n, 0) == n)
		atomic_store_explicit(&gate->limit, value, memory_order_relaxed);
}

void gate_open(struct gate *gate, dev_t dev)
{
	struct mountinfo mounts;
	char path[PATH_MAX];

	gate->fd = -1;
	atomic_init(&gate->busy, false);
	atomic_init(&gate->limit, 0); /* whatever a predecessor made of it */
	if (!dev || mountinfo_read(&mounts))
		return;
	for (size_t i = 0; i < mounts.n && gate->fd < 0; i++) {
		if (strcmp(mounts.list[i].type, "fusectl") != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%u/max_background", mounts.list[i].point,
			 major(dev) << 20 | minor(dev));
		gate->fd = open(path, O_WRONLY | O_CLOEXEC);
	}
	mountinfo_free(&mounts);
	if (gate->fd < 0)
		log_debug("no fusectl to write to: what was negotiated limits asynchronous "
			  "requests");
}

void gate_close(struct gate *gate)
{
	if (gate->fd >= 0)
		close(gate->fd);
	gate->fd = -1;
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
	if (gate->fd < 0 || will_do(limit, want, slots, room) ||
	    atomic_exchange_explicit(&gate->busy, true, memory_order_acquire))
		return; /* who is at it has figures as good as these, and the next round has others
			 */
	set_limit(gate, want);
	atomic_store_explicit(&gate->busy, false, memory_order_release);
}
