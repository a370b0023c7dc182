/* SPDX-License-Identifier: MIT */
/* earnings.c - see earnings.h. */
#include "earnings.h"

/* The rate is learnt over about this much busy time, and known after some of it. */
#define LATELY_NS UINT64_C(500000000)
#define KNOWN_NS UINT64_C(10000000)
/* Until then: one token in a millisecond, or in a nanosecond if it is one. */
#define DEFAULT_NS UINT64_C(1000000)

void earnings_set_policy(struct earnings *earnings, enum fbs_policy policy)
{
	earnings->policy = policy;
	earnings->busy_ns = earnings->busy_tokens = 0;
}

void earnings_begin(struct earnings *earnings, uint64_t now_ns)
{
	earnings->busy_since_ns = now_ns;
}

void earnings_disturb(struct earnings *earnings)
{
	earnings->disturbed = true;
}

void earnings_look_for_slack(struct earnings *earnings, bool nothing_to_issue, uint64_t now_ns)
{
	if (earnings->slack && now_ns != earnings->slack_since_ns)
		earnings->slackened = true;
	if (!earnings->slack)
		earnings->slack_since_ns = now_ns;
	earnings->slack = nothing_to_issue;
}

static void add_busy(struct earnings *earnings, uint64_t tokens, uint64_t now_ns)
{
	if (earnings->disturbed)
		earnings->busy_since_ns = earnings->disturbed_ns = now_ns;
	if (now_ns == earnings->disturbed_ns)
		return;
	earnings->busy_ns += now_ns - earnings->busy_since_ns;
	earnings->busy_since_ns = now_ns;
	earnings->busy_tokens += tokens;
	if (earnings->busy_ns > 2 * LATELY_NS) {
		earnings->busy_tokens /= 2;
		earnings->busy_ns /= 2;
	}
}

bool earnings_add(struct earnings *earnings, uint64_t tokens, uint64_t now_ns)
{
	bool full;

	if (!tokens)
		earnings_disturb(earnings);
	earnings->all_tokens += tokens;
	add_busy(earnings, tokens, now_ns);
	earnings_look_for_slack(earnings, earnings->slack, now_ns);
	full = !earnings->slackened && !earnings->disturbed;
	earnings->slackened = earnings->disturbed = false;
	return full;
}

bool earnings_are_known(const struct earnings *earnings)
{
	return earnings->busy_ns >= KNOWN_NS;
}

/*
 * At the rate at which the disk earns them when it is busy. Also where tokens are nanoseconds: those
 * are of the price list, and a disk may be any number of times slower.
 */
uint64_t earnings_tokens_of_ns(const struct earnings *earnings, uint64_t ns)
{
	unsigned __int128 tokens;

	if (earnings_are_known(earnings))
		tokens = (unsigned __int128)ns * earnings->busy_tokens / earnings->busy_ns;
	else
		tokens = ((unsigned __int128)ns << FBS_TOKEN_SHIFT) /
			 (earnings->policy == FBS_POLICY_COST ? 1 : DEFAULT_NS);
	return tokens > INT64_MAX ? INT64_MAX : (uint64_t)tokens;
}
