/* SPDX-License-Identifier: MIT */
/* afterwards.c - see afterwards.h; the part of sched.h that is about flushes is here, too. */
#include "afterwards.h"
#include "idle.h"

#define FLUSH_DEBT_NS UINT64_C(100000000) /* 100 ms: see fbs_flush_may_start() */
#define TOLD_DEBT_NS UINT64_C(10000000)	  /* 10 ms: see fbs_pays_later() */
#define FLUSHES_SEEN 64U /* and up to as many before tell what one takes at least */
/* One charge: a disk that hung during a flush was not worked by it all the time. */
#define CHARGE_MAX_NS UINT64_C(1000000000)

bool fbs_pays_later(const struct fbs *fbs, const struct fbs_node *leaf)
{
	return tree_is_ahead(fbs, leaf, earnings_tokens_of_ns(&fbs->earnings, TOLD_DEBT_NS));
}

/* ---- flushes ---- */

void afterwards_wrote(struct fbs *fbs, struct fbs_node *leaf, uint64_t bytes)
{
	leaf->dirty_bytes = dirty_of(fbs, leaf) + bytes;
	leaf->dirty_since = fbs->flushes_begun;
	fbs->dirty_bytes += bytes;
}

bool fbs_flush_may_start(const struct fbs *fbs, const struct fbs_node *leaf)
{
	uint64_t most = earnings_tokens_of_ns(&fbs->earnings, FLUSH_DEBT_NS);

	return leaf->flush_tokens <= most || !tree_is_ahead(fbs, leaf, most);
}

void fbs_flush_start(struct fbs *fbs, struct fbs_node *leaf, uint64_t now_ns,
		     struct fbs_flush *ret_flush)
{
	now_ns = advance_clock(fbs, now_ns);
	*ret_flush = (struct fbs_flush){
		.leaf = leaf,
		.own_dirty_bytes = dirty_of(fbs, leaf),
		.all_dirty_bytes = fbs->dirty_bytes,
		.started_ns = now_ns,
	};
	fbs->dirty_bytes = 0;
	fbs->flushes_begun++;
	leaf->flushes++;
	idle_away(leaf, now_ns);
}

/* What a flush takes however little was written: the least of the last ones. */
static uint64_t flush_least_ns(struct fbs *fbs, uint64_t took_ns)
{
	uint64_t *now = &fbs->flush_least_ns[0], *before = &fbs->flush_least_ns[1];

	if (fbs->flushes_seen++ % FLUSHES_SEEN == 0) {
		*before = *now;
		*now = took_ns;
	}
	*now = least(*now, took_ns);
	return *before ? least(*before, *now) : *now;
}

/* What of a flush is its leaf's to pay. */
static uint64_t flush_part_ns(struct fbs *fbs, const struct fbs_flush *flush, uint64_t took_ns)
{
	uint64_t least_ns = flush_least_ns(fbs, took_ns);

	if (!flush->all_dirty_bytes) /* if it took longer, that was for others */
		return least_ns;
	return least_ns + (uint64_t)((unsigned __int128)(took_ns - least_ns) *
				     flush->own_dirty_bytes / flush->all_dirty_bytes);
}

void fbs_flush_done(struct fbs *fbs, const struct fbs_flush *flush, uint64_t now_ns)
{
	struct fbs_node *leaf = flush->leaf;
	uint64_t took_ns, tokens;

	now_ns = advance_clock(fbs, now_ns);
	took_ns = least(now_ns - flush->started_ns, CHARGE_MAX_NS);
	tokens = earnings_tokens_of_ns(&fbs->earnings, flush_part_ns(fbs, flush, took_ns));
	if (!tree_is_ahead(fbs, leaf, 0)) /* nothing is owed of earlier ones */
		leaf->flush_tokens = 0;
	leaf->flush_tokens += tokens;
	if (tokens)
		tree_charge(fbs, leaf, tokens);
	earnings_disturb(&fbs->earnings);
	leaf->flushes--;
	idle_done(fbs, leaf, false, now_ns);
	tree_collect(fbs, leaf);
}

/* ---- discards ---- */

void afterwards_discard_issued(struct fbs *fbs)
{
	fbs->discarding = true;
	fbs->before_discard_tokens = fbs->earnings.all_tokens;
}

/* What a discard has cost: what the disk could have earned meanwhile, without what it did earn. */
static uint64_t discard_tokens(struct fbs *fbs, const struct fbs_slice *slice, uint64_t now_ns)
{
	uint64_t took_ns = now_ns - slice->issued_ns;
	uint64_t tokens = earnings_tokens_of_ns(&fbs->earnings, least(took_ns, CHARGE_MAX_NS));
	uint64_t others = fbs->earnings.all_tokens - fbs->before_discard_tokens;

	discard_done(&fbs->discard, slice->len_bytes, took_ns);
	return tokens > others ? tokens - others : 0;
}

/* A leaf whose next write is a discard, and which is held. */
static struct fbs_node *held_discard(const struct fbs *fbs)
{
	for (uint32_t i = 0; i < fbs->capped.n; i++) {
		struct fbs_node *node = fbs->capped.slots[i].node;
		const struct fbs_req *write = node->lanes[LANE_WRITE].head;

		if (write && write->op == FBS_DISCARD)
			return node;
	}
	return NULL;
}

void afterwards_discard_done(struct fbs *fbs, const struct fbs_slice *slice, uint64_t charged,
			     uint64_t now_ns)
{
	uint64_t tokens = discard_tokens(fbs, slice, now_ns);
	struct fbs_node *leaf;

	if (tokens > charged)
		tree_charge(fbs, slice->leaf, tokens - charged);
	earnings_disturb(&fbs->earnings);
	fbs->discarding = false;
	while ((leaf = held_discard(fbs)))
		tree_uncap(fbs, leaf);
}
