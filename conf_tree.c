/* SPDX-License-Identifier: MIT */
/*
 * conf_tree.c - the share tree of a configuration as a whole.
 */
#include "conf_tree.h"
#include "conf_keys.h"

#include <stdlib.h>
#include <string.h>

#define CYCLE_SHOWN 8 /* groups of a cycle in a message */

/* Complain about the cycle of groups that member is in, where it comes up first in the text. */
static void complain_cycle(const struct conf *conf, struct conf_complaints *complaints, int member)
{
	const struct conf_group *groups = conf->groups;
	char chain[(CYCLE_SHOWN + 2) * (CONF_NAME_BYTES + 4)], section[CONF_NAME_BYTES + 1];
	size_t used;
	int first = member, i, n = 0;

	for (i = groups[member].parent; i != member; i = groups[i].parent)
		if (i < first)
			first = i;
	used = (size_t)snprintf(chain, sizeof(chain), "%s", groups[first].name);
	for (i = groups[first].parent; n < CYCLE_SHOWN; i = groups[i].parent, n++) {
		used += (size_t)snprintf(chain + used, sizeof(chain) - used, " -> %s",
					 groups[i].name);
		if (i == first)
			break;
	}
	if (n == CYCLE_SHOWN)
		snprintf(chain + used, sizeof(chain) - used, " -> ...");
	snprintf(section, sizeof(section), "group:%s", groups[first].name);
	conf_complain(complaints, groups[first].parent_where, section, "parent",
		      groups[groups[first].parent].name, "makes a cycle: %s", chain);
}

/*
 * Every walk from a group to the top ends at the top, at a group that an earlier walk came by, or
 * has found a cycle. Those of an earlier walk have their places already, and so the new ones
 * follow them, the last one of the walk first. False: there are cycles, and no order.
 */
static bool order_groups(struct conf *conf, struct conf_complaints *complaints, size_t *walk)
{
	size_t n = conf->n_groups, n_placed = 0;
	bool cycles = false;

	for (size_t i = 0; i < n; i++) {
		size_t length = 0;
		int j;

		for (j = (int)i; j >= 0 && walk[j] == 0; j = conf->groups[j].parent, length++)
			walk[j] = i + 1;
		if (j >= 0 && walk[j] == i + 1) {
			complain_cycle(conf, complaints, j);
			cycles = true;
		}
		n_placed += length;
		j = (int)i;
		for (size_t k = 0; k < length; k++, j = conf->groups[j].parent)
			conf->parents_first[n_placed - 1 - k] = (size_t)j;
	}
	return !cycles;
}

void conf_tree_check(struct conf *conf, struct conf_complaints *complaints)
{
	size_t *walk = calloc(conf->n_groups + 1, sizeof(*walk)); /* who came by first, from 1 */

	conf->parents_first = calloc(conf->n_groups + 1, sizeof(*conf->parents_first));
	if (walk && conf->parents_first)
		order_groups(conf, complaints, walk);
	else
		complaints->oom = true;
	free(walk);
}
