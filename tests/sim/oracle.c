/* SPDX-License-Identifier: MIT */
/*
 * oracle.c - see oracle.h.
 */
#include <assert.h>
#include <string.h>

#include "tests/sim/oracle.h"

static oracle_tag tag(const struct oracle_node *node)
{
	return node->tagged / node->weight;
}

static oracle_tag vtime(const struct oracle *oracle, const struct oracle_node *node)
{
	return oracle->nodes[node->parent].vtime[node->class];
}

static void start_at(struct oracle_node *node, oracle_tag at)
{
	node->tagged = at * node->weight;
}

/* No debt beyond ORACLE_AHEAD; the fraction stays. */
static void forgive(const struct oracle *oracle, struct oracle_node *node)
{
	oracle_tag most = vtime(oracle, node) + ORACLE_AHEAD;

	if (tag(node) > most)
		node->tagged = most * node->weight + node->tagged % node->weight;
}

static void catch_up(const struct oracle *oracle, struct oracle_node *node)
{
	if (tag(node) < vtime(oracle, node))
		start_at(node, vtime(oracle, node));
}

static bool has_work(const struct oracle *oracle, int n)
{
	if (oracle->nodes[n].is_leaf)
		return oracle->nodes[n].queued > 0;
	for (int i = 1; i < ORACLE_NODES; i++)
		if (oracle->nodes[i].used && oracle->nodes[i].parent == n &&
		    !oracle->nodes[i].held && has_work(oracle, i))
			return true;
	return false;
}

/* Those with work become candidates, those without are none any more. */
static void update(struct oracle *oracle, int n)
{
	for (; n != ORACLE_ROOT; n = oracle->nodes[n].parent) {
		struct oracle_node *node = &oracle->nodes[n];
		bool active = !node->held && has_work(oracle, n);

		if (!node->active && active) {
			catch_up(oracle, node);
			node->order = ++oracle->order;
		}
		node->active = active;
	}
}

void oracle_init(struct oracle *oracle)
{
	memset(oracle, 0, sizeof(*oracle));
	oracle->nodes[ORACLE_ROOT].used = true;
	oracle->nodes[ORACLE_ROOT].weight = 1;
}

int oracle_add(struct oracle *oracle, int parent, unsigned weight, bool is_leaf)
{
	for (int i = 1; i < ORACLE_NODES; i++) {
		struct oracle_node *node = &oracle->nodes[i];

		if (node->used)
			continue;
		*node = (struct oracle_node){.used = true,
					     .is_leaf = is_leaf,
					     .parent = parent,
					     .weight = weight,
					     .class = FBS_NORMAL,
					     .created = ++oracle->created};
		start_at(node, vtime(oracle, node));
		return i;
	}
	return -1;
}

void oracle_remove(struct oracle *oracle, int n)
{
	assert(n != ORACLE_ROOT && !oracle->nodes[n].active);
	oracle->nodes[n].used = false;
}

/* S = V + (S - V) old / new */
void oracle_set_weight(struct oracle *oracle, int n, unsigned weight)
{
	struct oracle_node *node = &oracle->nodes[n];
	oracle_tag ahead;

	if (node->weight == weight)
		return;
	catch_up(oracle, node);
	ahead = (tag(node) - vtime(oracle, node)) * node->weight / weight;
	node->weight = weight;
	start_at(node, vtime(oracle, node) + ahead);
	forgive(oracle, node);
	if (node->active)
		node->order = ++oracle->order;
}

/* What it is ahead of V by, it is ahead of the other V by. */
void oracle_set_class(struct oracle *oracle, int n, enum fbs_class class)
{
	struct oracle_node *node = &oracle->nodes[n];
	oracle_tag ahead;

	if (node->class == class)
		return;
	catch_up(oracle, node);
	ahead = node->tagged - vtime(oracle, node) * node->weight;
	node->class = class;
	node->tagged = vtime(oracle, node) * node->weight + ahead;
	if (node->active)
		node->order = ++oracle->order;
}

void oracle_hold(struct oracle *oracle, int n, bool held)
{
	oracle->nodes[n].held = held;
	update(oracle, n);
}

void oracle_set_parent(struct oracle *oracle, int n, int parent)
{
	struct oracle_node *node = &oracle->nodes[n];
	int old = node->parent;

	if (old == parent)
		return;
	catch_up(oracle, node);
	node->tagged -= vtime(oracle, node) * node->weight;
	node->active = false;
	/* out first: an ancestor of both that has nothing else is last among equals then */
	node->used = false;
	update(oracle, old);
	node->used = true;
	node->parent = parent;
	node->tagged += vtime(oracle, node) * node->weight;
	update(oracle, n);
}

void oracle_forget(struct oracle *oracle)
{
	for (uint64_t created = oracle->created; created > 0; created--) {
		for (int i = 1; i < ORACLE_NODES; i++) {
			struct oracle_node *node = &oracle->nodes[i];

			if (!node->used || node->created != created)
				continue;
			start_at(node, vtime(oracle, node));
			node->order = ++oracle->order;
		}
	}
}

void oracle_push(struct oracle *oracle, int leaf)
{
	oracle->nodes[leaf].queued++;
	update(oracle, leaf);
}

void oracle_cancel(struct oracle *oracle, int leaf)
{
	assert(oracle->nodes[leaf].queued > 0);
	oracle->nodes[leaf].queued--;
	update(oracle, leaf);
}

/* As a candidate it would start there. */
static oracle_tag start(const struct oracle *oracle, const struct oracle_node *node)
{
	return tag(node) < vtime(oracle, node) ? vtime(oracle, node) : tag(node);
}

static bool goes_first(const struct oracle *oracle, const struct oracle_node *a,
		       const struct oracle_node *b)
{
	if (a->class != b->class)
		return a->class < b->class;
	return start(oracle, a) < start(oracle, b);
}

static int first_below(const struct oracle *oracle, int parent)
{
	int first = -1;

	for (int i = 1; i < ORACLE_NODES; i++) {
		const struct oracle_node *node = &oracle->nodes[i], *best;

		if (!node->used || node->parent != parent || !node->active)
			continue;
		best = &oracle->nodes[first < 0 ? i : first];
		if (first < 0 || goes_first(oracle, node, best) ||
		    (!goes_first(oracle, best, node) && node->order < best->order))
			first = i;
	}
	return first;
}

int oracle_next(const struct oracle *oracle)
{
	int n = first_below(oracle, ORACLE_ROOT);

	while (n >= 0 && !oracle->nodes[n].is_leaf)
		n = first_below(oracle, n);
	return n;
}

bool oracle_is_first(const struct oracle *oracle, int top, int leaf)
{
	for (int n = leaf; n != top; n = oracle->nodes[n].parent) {
		const struct oracle_node *node = &oracle->nodes[n];
		int first = first_below(oracle, node->parent);

		if (node->held || (first >= 0 && goes_first(oracle, &oracle->nodes[first], node)))
			return false;
	}
	return true;
}

void oracle_charge(struct oracle *oracle, int leaf, oracle_tag units)
{
	for (int n = leaf; n != ORACLE_ROOT; n = oracle->nodes[n].parent) {
		struct oracle_node *node = &oracle->nodes[n];

		catch_up(oracle, node);
		node->tagged += units;
		forgive(oracle, node);
		if (node->active)
			node->order = ++oracle->order;
	}
}

void oracle_issue(struct oracle *oracle, int leaf, oracle_tag units, bool last)
{
	for (int n = leaf; n != ORACLE_ROOT; n = oracle->nodes[n].parent)
		oracle->nodes[oracle->nodes[n].parent].vtime[oracle->nodes[n].class] =
			tag(&oracle->nodes[n]);
	oracle_charge(oracle, leaf, units);
	if (last)
		oracle_cancel(oracle, leaf);
}

void oracle_place(struct oracle *oracle, int n, oracle_tag ahead, oracle_tag remainder)
{
	struct oracle_node *node = &oracle->nodes[n];

	node->tagged = (vtime(oracle, node) + ahead) * node->weight + remainder;
}

oracle_tag oracle_tag_of(const struct oracle *oracle, int n)
{
	return start(oracle, &oracle->nodes[n]);
}

bool oracle_is_exact(const struct oracle *oracle)
{
	for (int i = 1; i < ORACLE_NODES; i++)
		if (oracle->nodes[i].used && oracle->nodes[i].tagged % oracle->nodes[i].weight != 0)
			return false;
	return true;
}
