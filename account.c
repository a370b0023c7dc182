/* SPDX-License-Identifier: MIT */
/* account.c - see account.h. */
#include "account.h"

#define PART_OF_ONE (UINT64_C(1) << 32)

/* When V was vtime. */
static uint64_t entitled_at(const struct fbs *fbs, const struct fbs_node *node, uint64_t vtime)
{
	unsigned __int128 progress;

	if (!is_candidate(node) || before(vtime, node->joined_vtime))
		return node->entitled;
	progress = (unsigned __int128)(vtime - node->joined_vtime) * node->weight;
	return node->entitled + (uint64_t)(progress >> fbs->tag_shift);
}

uint64_t account_entitled(const struct fbs *fbs, const struct fbs_node *node)
{
	return entitled_at(fbs, node, queue_of(node)->vtime);
}

/* When that second began, which is one of the last ones, and later than its own history. */
static uint64_t entitled_then(const struct fbs *fbs, const struct fbs_node *node, uint64_t second)
{
	const struct queue *queue = queue_of(node);

	return entitled_at(fbs, node, history_tokens(&queue->history, second, queue->vtime));
}

/* Its tokens are about to change, or what it is entitled to not to follow V any more. */
static void note_lately(const struct fbs *fbs, struct fbs_node *node)
{
	uint64_t from, to;

	if (history_is_behind(&node->history, fbs->last_ns, &from, &to))
		for (; from <= to; from++)
			history_put(&node->history, from, node->tokens,
				    entitled_then(fbs, node, from));
}

void account_settle(const struct fbs *fbs, struct fbs_node *node)
{
	if (!is_candidate(node))
		return;
	note_lately(fbs, node);
	node->entitled = account_entitled(fbs, node);
	account_join(node);
}

void account_pay(const struct fbs *fbs, struct fbs_node *node, uint64_t tokens, bool promised)
{
	uint64_t old = node->entitled;

	note_lately(fbs, node);
	account_settle(fbs, node);
	if (promised && node->entitled - old < tokens)
		node->entitled = old + tokens;
	node->tokens += tokens;
}

void account_pay_disk(struct fbs *fbs, uint64_t tokens)
{
	history_note(&fbs->root->history, fbs->last_ns, fbs->tokens, 0);
	fbs->tokens += tokens;
}

/* a x b / c, without going over. */
static uint64_t scale(uint64_t a, uint64_t b, uint64_t c)
{
	unsigned __int128 scaled = c ? (unsigned __int128)a * b / c : a;

	return scaled < UINT64_MAX ? (uint64_t)scaled : UINT64_MAX;
}

/* What node got in the last ten seconds, and was entitled to. */
static void lately(const struct fbs *fbs, const struct fbs_node *node, uint64_t *ret_got,
		   uint64_t *ret_due)
{
	uint64_t from = history_from(fbs->last_ns);

	*ret_got = node->tokens - history_tokens(&node->history, from, node->tokens);
	*ret_due = account_entitled(fbs, node) - (history_has(&node->history, from)
							  ? history_entitled(&node->history, from)
							  : entitled_then(fbs, node, from));
}

void account_shares(const struct fbs *fbs, const struct fbs_node *node, unsigned *ret_entitled_ppm,
		    unsigned *ret_achieved_ppm)
{
	uint64_t disk = fbs->tokens - history_tokens(&fbs->root->history,
						     history_from(fbs->last_ns), fbs->tokens);
	uint64_t achieved, entitled, part = is_candidate(node) ? PART_OF_ONE : 0;

	lately(fbs, node, &achieved, &entitled);
	/* that was of what its group got; and the group was entitled to more, or less */
	for (const struct fbs_node *up = node->parent, *below = node; up && up->parent;
	     below = up, up = up->parent) {
		uint64_t got, due;

		lately(fbs, up, &got, &due);
		part = scale(part, below->weight, weights_beside(below));
		entitled = got ? scale(entitled, due, got) : scale(part, due, PART_OF_ONE);
	}
	if (!disk)
		entitled = achieved = 0;
	/* more than all: rounded, or prices so far off that the sums have wrapped meanwhile */
	entitled = scale(entitled, 1000000, disk);
	achieved = scale(achieved, 1000000, disk);
	*ret_entitled_ppm = entitled < 1000000 ? (unsigned)entitled : 1000000;
	*ret_achieved_ppm = achieved < 1000000 ? (unsigned)achieved : 1000000;
}
