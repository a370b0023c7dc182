/* SPDX-License-Identifier: MIT */
/* idle.c - see idle.h. */
#include "idle.h"

/* Slices served at a time, x 16: at most so many, one waits; more than so many, not any more. */
#define SERIAL_MOST_X16 35U
#define PARALLEL_LEAST_X16 48U

#define WAIT_NS UINT64_C(2000000)
/* A slice at the disk for longer hangs: the others need not suffer from that. */
#define AWAY_NS UINT64_C(200000000)
#define MISSES_MOST 3U
#define THINK_MOST_NS (8 * WAIT_NS) /* longer ones count as this, so that a pause is forgotten */

void idle_look(struct fbs *fbs)
{
	unsigned served = window_parallelism_x16(&fbs->window);

	if (fbs->params.io_throttle == 1)
		fbs->serial = true;
	else if (served > PARALLEL_LEAST_X16)
		fbs->serial = false;
	else if (served && served <= SERIAL_MOST_X16)
		fbs->serial = true;
}

/* The longest mean think time that is waited for; 0: this is no disk for it. */
static uint64_t patience_ns(const struct fbs *fbs)
{
	uint64_t quarter;

	switch (fbs->params.isolation) {
	case FBS_ISOLATION_STRICT:
		return WAIT_NS;
	case FBS_ISOLATION_THROUGHPUT:
		return 0;
	case FBS_ISOLATION_AUTO:
		break;
	}
	if (!fbs->serial)
		return 0;
	quarter = window_base_ns(&fbs->window) / 4;
	return quarter < WAIT_NS ? quarter : WAIT_NS;
}

/* How long one request is waited for. Where the choice is ours: not longer than the disk takes. */
static uint64_t wait_ns(const struct fbs *fbs)
{
	uint64_t ns = 4 * patience_ns(fbs);

	return ns < WAIT_NS ? ns : WAIT_NS;
}

/* ---- on a disk that serves many at a time: its place there is kept ---- */

/* More of them: leaf came back just now, and is the last of the list. */
static void set_places(struct fbs *fbs, struct fbs_node *leaf, unsigned places)
{
	bool more = places > leaf->places;

	if (leaf->places && (more || !places)) {
		*leaf->place_at = leaf->place_next;
		if (leaf->place_next)
			leaf->place_next->place_at = leaf->place_at;
		else
			fbs->places_end = leaf->place_at;
	}
	fbs->places += places - leaf->places;
	leaf->places = places;
	if (more) {
		leaf->place_next = NULL;
		leaf->place_at = fbs->places_end;
		*fbs->places_end = leaf;
		fbs->places_end = &leaf->place_next;
	}
	window_hold(&fbs->window, fbs->places);
}

void idle_look_at_places(struct fbs *fbs, uint64_t now_ns)
{
	/* all are kept for as long: the first one is the oldest */
	while (fbs->first_place && !before(now_ns, fbs->first_place->idle_ns + WAIT_NS)) {
		fbs->first_place->shallow = false;
		set_places(fbs, fbs->first_place, 0);
	}
}

/* It is back soon, and has had less than its share. */
static void look_for_shallow(struct fbs *fbs, struct fbs_node *leaf, uint64_t think_ns,
			     uint64_t now_ns)
{
	leaf->shallow = think_ns < WAIT_NS && fbs->params.isolation == FBS_ISOLATION_AUTO &&
			!fbs->serial && !fbs->params.io_throttle && tree_is_behind(leaf);
	if (leaf->shallow)
		window_note_shallow(&fbs->window, now_ns);
}

void idle_use_place(struct fbs *fbs, struct fbs_node *leaf)
{
	set_places(fbs, leaf, leaf->places - 1);
}

/* ---- on a disk that serves one or two at a time: it is waited for ---- */

void idle_issued(struct fbs *fbs, struct fbs_node *leaf, uint64_t now_ns)
{
	uint64_t most_ns = patience_ns(fbs);

	leaf->anticipated = most_ns && !leaf->dropped && leaf->misses < MISSES_MOST &&
			    leaf->think_ns <= most_ns;
	idle_away(leaf, now_ns);
}

void idle_away(struct fbs_node *leaf, uint64_t now_ns)
{
	leaf->anticipate_ns = now_ns + AWAY_NS;
}

void idle_done(struct fbs *fbs, struct fbs_node *leaf, bool whole, uint64_t now_ns)
{
	leaf->idle_ns = now_ns;
	if (leaf->in_flight || leaf->flushes)
		idle_away(leaf, now_ns);
	else
		leaf->anticipate_ns = now_ns + wait_ns(fbs);
	if (leaf->shallow && (whole || !leaf->in_flight) && !has_queued(leaf) && !leaf->dropped &&
	    tree_is_behind(leaf))
		set_places(fbs, leaf, leaf->places + 1);
}

void idle_arrived(struct fbs *fbs, struct fbs_node *leaf, uint64_t now_ns)
{
	bool was_idle = !leaf->in_flight && !leaf->flushes && leaf->idle_ns;
	bool in_time = before(now_ns, leaf->anticipate_ns);
	uint64_t think_ns = now_ns - leaf->idle_ns;

	if (leaf->idle_ns)
		look_for_shallow(fbs, leaf, think_ns, now_ns);
	if (was_idle) {
		if (think_ns > THINK_MOST_NS)
			think_ns = THINK_MOST_NS;
		leaf->think_ns = leaf->think_ns - leaf->think_ns / 8 + think_ns / 8;
		if (in_time && leaf->anticipated)
			leaf->misses = 0;
		else if (in_time && leaf->misses)
			leaf->misses--;
	}
	leaf->anticipated = false;
}

void idle_end(struct fbs *fbs, struct fbs_node *leaf)
{
	if (leaf->places)
		set_places(fbs, leaf, 0);
	leaf->anticipated = false;
	tree_settle(fbs, leaf);
}

/* No cap would hold whatever it sends. */
static bool may_go(const struct fbs_node *leaf, uint64_t now_ns)
{
	for (const struct fbs_node *node = leaf; node->parent; node = node->parent)
		if (node->cap && !rate_cap_is_open(node->cap, now_ns))
			return false;
	return true;
}

bool idle_waits(struct fbs *fbs, struct fbs_node *leaf, uint64_t now_ns)
{
	bool late = !before(now_ns, leaf->anticipate_ns);

	if (!late && patience_ns(fbs) && may_go(leaf, now_ns))
		return true;
	if (late && leaf->misses < MISSES_MOST)
		leaf->misses++;
	idle_end(fbs, leaf);
	return false;
}
