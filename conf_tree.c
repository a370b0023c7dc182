/* SPDX-License-Identifier: MIT */
/*
 * conf_tree.c - the share tree of a configuration as a whole: no group is below itself, and no cap
 * makes a promise void.
 *
 * A min is a promise, a max a cap, and caps come first. So what is promised to a node must fit
 * below its own caps and those of all groups above it, and what is promised to the members of a
 * group must fit below its caps together. From the leaves up:
 *
 *	need of a node	the larger of its own min and the sum of its members' needs
 *	room of a node	the least that its caps leave: max_iops, max_read_iops + max_write_iops;
 *			bytes per second also by I/Os, of at most iops_size each
 *
 *	acme		max_iops 500	need 300 + 100 = 400: fits
 *	  db		min_iops 300	need 300
 *	  web		min_iops 50	need max(50, 80 + 20) = 100
 *	    web1	min_iops 80	need 80
 *	    web2	min_iops 20	need 20
 *
 * Members may count in other iops_sizes than the group does. Only what cannot be kept by any mix
 * of requests is refused, so the members' I/Os are taken to be as large as suits the group best.
 * Whether the disks can do what is promised is for plan_limits.c to see.
 */
#include "conf_tree.h"
#include "conf_keys.h"

#include <stdlib.h>
#include <string.h>

#define CYCLE_SHOWN 8 /* groups of a cycle in a message */

/* ---- groups in a circle ---- */

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

/* ---- promises below caps ---- */

enum unit { IOPS, BPS, UNITS };

/* Groups first, then files; in the order of conf. */
struct member {
	size_t index;
	const char *prefix, *name;
	const struct conf_where *where;
	const struct conf_limits *limits;
	int parent;
};

static struct member member_of(const struct conf *conf, size_t index)
{
	bool is_group = index < conf->n_groups;
	const struct conf_group *group = is_group ? &conf->groups[index] : NULL;
	const struct conf_file *file = is_group ? NULL : &conf->files[index - conf->n_groups];

	return (struct member){
		.index = index,
		.prefix = conf_section_prefix(is_group ? CONF_SECTION_GROUP : CONF_SECTION_FILE),
		.name = is_group ? group->name : file->name,
		.where = is_group ? &group->where : &file->where,
		.limits = is_group ? &group->limits : &file->limits,
		.parent = is_group ? group->parent : file->parent,
	};
}

static uint64_t min_of(const struct conf_limits *limits, enum unit unit)
{
	return unit == IOPS ? limits->min_iops : limits->min_bps;
}

/* What is needed in one unit, and by whom: SEVERAL, or the one whose min it is. */
struct need {
	uint64_t amount;
	size_t by;
};
#define SEVERAL ((size_t)-1)

/* What caps leave, UINT64_MAX without any, and which of them leaves least. */
struct room {
	uint64_t amount;
	const char *caps;
	enum unit unit; /* of the value of caps */
	uint64_t value;
	uint64_t iops_size_bytes; /* each, 0: the value is the amount */
};

static void narrow(struct room *room, enum unit unit, uint64_t value, const char *caps)
{
	if (value != 0 && value < room->amount)
		*room = (struct room){.amount = value, .caps = caps, .unit = unit, .value = value};
}

static uint64_t both(uint64_t reads, uint64_t writes)
{
	return reads && writes ? reads + writes : 0;
}

static struct room room_of(const struct conf_limits *limits, enum unit unit)
{
	struct room room = {.amount = UINT64_MAX}, ios = room;

	narrow(&ios, IOPS, limits->max_iops, "max_iops");
	narrow(&ios, IOPS, both(limits->max_read_iops, limits->max_write_iops),
	       "max_read_iops + max_write_iops");
	if (unit == IOPS)
		return ios;
	narrow(&room, BPS, limits->max_bps, "max_bps");
	narrow(&room, BPS, both(limits->max_read_bps, limits->max_write_bps),
	       "max_read_bps + max_write_bps");
	if (ios.caps && ios.amount * limits->iops_size_bytes < room.amount) {
		room = ios;
		room.iops_size_bytes = limits->iops_size_bytes;
		room.amount *= limits->iops_size_bytes;
	}
	return room;
}

/* What a member's need is at least for its group, which may count larger I/Os as one. */
static uint64_t seen_from_above(uint64_t amount, enum unit unit, const struct conf_limits *member,
				const struct conf_limits *group)
{
	uint64_t parts = 1;

	if (unit == IOPS && group->iops_size_bytes > member->iops_size_bytes)
		parts = (group->iops_size_bytes + member->iops_size_bytes - 1) /
			member->iops_size_bytes;
	return (amount + parts - 1) / parts;
}

static const enum conf_type types[] = {[IOPS] = CONF_TYPE_IOPS, [BPS] = CONF_TYPE_BPS};

/* "20M" */
static void describe_amount(enum unit unit, uint64_t amount, char *text, size_t size)
{
	FILE *out = fmemopen(text, size, "w");

	text[0] = '\0';
	if (!out)
		return;
	conf_print_amount(types[unit], amount, out);
	fclose(out);
}

/* "max_iops = 100 of iops_size = 32K" */
static void describe_room(const struct room *room, char *text, size_t size)
{
	FILE *out = fmemopen(text, size, "w");

	text[0] = '\0';
	if (!out)
		return;
	fprintf(out, "%s = ", room->caps);
	conf_print_amount(types[room->unit], room->value, out);
	if (room->iops_size_bytes) {
		fputs(" of iops_size = ", out);
		conf_print_amount(CONF_TYPE_SIZE, room->iops_size_bytes, out);
	}
	fclose(out);
}

static void complain_need(const struct conf *conf, struct conf_complaints *complaints,
			  const struct member *capped, enum unit unit, const struct need *need,
			  const struct room *room)
{
	const char *key = unit == IOPS ? "min_iops" : "min_bps";
	char section[CONF_NAME_BYTES + 1], above[CONF_NAME_BYTES + 16] = "", amount[32], caps[96];
	struct member by = need->by == SEVERAL ? *capped : member_of(conf, need->by);

	snprintf(section, sizeof(section), "%s%s", by.prefix, by.name);
	describe_room(room, caps, sizeof(caps));
	if (need->by == SEVERAL) {
		describe_amount(unit, need->amount, amount, sizeof(amount));
		conf_complain(complaints, *by.where, section, NULL, NULL,
			      "promises its members %s = %s together, more than %s allows: lower "
			      "theirs, or raise the cap",
			      key, amount, caps);
		return;
	}
	if (by.index != capped->index)
		snprintf(above, sizeof(above), " of [%s%s]", capped->prefix, capped->name);
	describe_amount(unit, min_of(by.limits, unit), amount, sizeof(amount));
	conf_complain(
		complaints, unit == IOPS ? by.limits->min_iops_where : by.limits->min_bps_where,
		section, key, amount,
		"is more than %s%s allows, and could never be met: lower it, or raise the cap",
		caps, above);
}

/* below: of each group, what its members need; this adds the need of one member to its parent. */
static void add_need(const struct conf *conf, struct conf_complaints *complaints, size_t index,
		     struct need (*below)[UNITS])
{
	struct member member = member_of(conf, index);

	for (enum unit unit = 0; unit < UNITS; unit++) {
		struct need need = {.amount = min_of(member.limits, unit), .by = index}, *sum;
		struct room room;

		if (index < conf->n_groups && below[index][unit].amount > need.amount)
			need = below[index][unit];
		if (need.amount == 0)
			continue;
		room = room_of(member.limits, unit);
		if (need.amount > room.amount) {
			complain_need(conf, complaints, &member, unit, &need, &room);
			need.amount = room.amount; /* the caps above have to allow no more */
		}
		if (member.parent < 0)
			continue;
		sum = &below[member.parent][unit];
		sum->by = sum->amount ? SEVERAL : need.by;
		need.amount = seen_from_above(need.amount, unit, member.limits,
					      &conf->groups[member.parent].limits);
		if (__builtin_add_overflow(sum->amount, need.amount, &sum->amount))
			sum->amount = UINT64_MAX;
	}
}

void conf_tree_check_files(const struct conf *conf, struct conf_complaints *complaints)
{
	struct need(*below)[UNITS] = calloc(conf->n_groups + 1, sizeof(*below));

	if (!below) {
		complaints->oom = true;
		return;
	}
	for (size_t i = 0; i < conf->n_files; i++)
		add_need(conf, complaints, conf->n_groups + i, below);
	for (size_t i = conf->n_groups; i-- > 0;)
		add_need(conf, complaints, conf->parents_first[i], below);
	free(below);
}

bool conf_has_max(const struct conf_limits *limits)
{
	return limits->max_iops || limits->max_bps || limits->max_read_iops ||
	       limits->max_write_iops || limits->max_read_bps || limits->max_write_bps;
}

bool conf_has_iops(const struct conf_limits *limits)
{
	return limits->min_iops || limits->max_iops || limits->max_read_iops ||
	       limits->max_write_iops;
}

void conf_tree_check(struct conf *conf, struct conf_complaints *complaints)
{
	size_t *walk = calloc(conf->n_groups + 1, sizeof(*walk)); /* who came by first, from 1 */

	conf->parents_first = calloc(conf->n_groups + 1, sizeof(*conf->parents_first));
	if (!walk || !conf->parents_first)
		complaints->oom = true;
	else if (order_groups(conf, complaints, walk))
		conf_tree_check_files(conf, complaints);
	free(walk);
}
