/* SPDX-License-Identifier: MIT */
/*
 * mount_shares.c - who has which share, promise and cap, on every disk.
 *
 * The scheduler of each disk has a tree of its own. A file is a leaf of one of them, a group a
 * node on every disk where it has, or had, files:
 *
 *	mount->groups	acme (cap)		gold
 *	disk sda	acme			gold, below acme
 *	  leaves	db.img			web.img, below gold
 *	disk sdb	acme			-
 *	  leaves	log.img
 *
 * Weights and promises hold on each disk; a cap is one for all disks and hence the mount's.
 * What goes by the same name after a reload is the same group or file: its node and its cap stay,
 * with what they are ahead by or owe. A group that is gone is dropped; its node lives on, with
 * the limits that it had, below which removed files are served until they are closed. While the
 * configuration has a group, its limits hold for removed files in it, too. Limits of a removed file
 * itself do not change any more.
 *
 * Moving a node is all that can fail once everything new is made: so nodes move first, and back
 * again if one of them cannot.
 */
#include "mount_shares.h"
#include "log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct fbs_min min_of(const struct conf_limits *limits)
{
	return (struct fbs_min){
		.iops = limits->min_iops,
		.bps = limits->min_bps,
		.iops_size_bytes = limits->iops_size_bytes,
	};
}

static struct fbs_max max_of(const struct conf_limits *limits)
{
	return (struct fbs_max){
		.iops = limits->max_iops,
		.bps = limits->max_bps,
		.read_iops = limits->max_read_iops,
		.read_bps = limits->max_read_bps,
		.write_iops = limits->max_write_iops,
		.write_bps = limits->max_write_bps,
		.iops_size_bytes = limits->iops_size_bytes,
		.burst_ns = limits->burst_ns,
	};
}

static enum fbs_class class_of(enum conf_class class)
{
	static const enum fbs_class classes[] = {
		[CONF_CLASS_REALTIME] = FBS_REALTIME,
		[CONF_CLASS_NORMAL] = FBS_NORMAL,
		[CONF_CLASS_IDLE] = FBS_IDLE,
	};

	return classes[class];
}

/* The node of a group of the mount, or -1, as it is now. */
static struct fbs_node *node_now(const struct disk *disk, int group)
{
	return group < 0 ? fbs_root(disk->fbs) : disk->groups ? disk->groups[group] : NULL;
}

/* The node of a group of the plan, or -1. */
static struct fbs_node *node_then(const struct shares_tree *tree, int group)
{
	return group < 0 ? fbs_root(tree->disk->fbs) : tree->nodes[group];
}

/* ---- prepare ---- */

/* Most are where they were, or not far behind. */
static size_t find_group(const struct mount *mount, const char *name, size_t hint)
{
	for (size_t i = 0; i < mount->n_groups; i++) {
		size_t at = (hint + i) % mount->n_groups;

		if (!strcmp(mount->groups[at].name, name))
			return at;
	}
	return SHARES_NEW;
}

/* False: no memory. */
static bool make_cap(const struct conf_limits *limits, struct fbs_cap *old,
		     struct fbs_cap **ret_cap)
{
	struct fbs_max max = max_of(limits);

	if (old || !conf_has_max(limits))
		return true;
	*ret_cap = fbs_cap_create(&max);
	return *ret_cap != NULL;
}

static int make_groups(struct shares *s)
{
	const struct conf *conf = s->plan->conf;
	size_t hint = 0;

	for (size_t i = 0; i < conf->n_groups; i++) {
		const struct conf_group *section = &conf->groups[i];
		struct group *group = &s->groups[i];
		size_t was = find_group(s->mount, section->name, hint);

		s->was[i] = was;
		group->parent = section->parent;
		group->weight = section->weight;
		group->min_iops = section->limits.min_iops;
		group->min_bps = section->limits.min_bps;
		group->iops_size_bytes = section->limits.iops_size_bytes;
		group->counters = &group->own;
		group->name = strdup(section->name);
		if (!group->name)
			return -ENOMEM;
		if (was != SHARES_NEW) {
			const struct group *before = &s->mount->groups[was];

			hint = was + 1;
			s->stays[was] = true;
			group->cap = before->cap;
			group->idle_weight = before->idle_weight;
		}
		if (!make_cap(&section->limits, group->cap, &group->cap))
			return -ENOMEM;
	}
	return 0;
}

/* Of the groups that are wanted, and of those above them. */
static int make_nodes(struct shares *s, struct shares_tree *tree)
{
	const struct conf *conf = s->plan->conf;
	int r = 0;

	for (size_t i = conf->n_groups; i-- > 0;) {
		size_t g = conf->parents_first[i];

		if (tree->wanted[g] && conf->groups[g].parent >= 0)
			tree->wanted[conf->groups[g].parent] = true;
	}
	pthread_mutex_lock(&tree->disk->lock);
	for (size_t i = 0; !r && i < conf->n_groups; i++) {
		size_t g = conf->parents_first[i];
		const struct conf_group *group = &conf->groups[g];

		if (!tree->wanted[g] || tree->nodes[g])
			continue;
		tree->nodes[g] = fbs_add_group(tree->disk->fbs, node_then(tree, group->parent),
					       group->weight);
		if (!tree->nodes[g])
			r = -ENOMEM;
	}
	pthread_mutex_unlock(&tree->disk->lock);
	return r;
}

static int make_trees(struct shares *s, struct disk *const *disks)
{
	const struct plan *plan = s->plan;
	size_t n_groups = plan->conf->n_groups;
	int r = 0;

	for (size_t i = 0; i < s->n_trees; i++) {
		struct shares_tree *tree = &s->trees[i];

		tree->disk = disks[i];
		tree->nodes = calloc(n_groups + 1, sizeof(struct fbs_node *));
		tree->wanted = calloc(n_groups + 1, sizeof(*tree->wanted));
		if (!tree->nodes || !tree->wanted)
			return -ENOMEM;
		for (size_t g = 0; g < n_groups; g++) {
			if (s->was[g] != SHARES_NEW)
				tree->nodes[g] = node_now(tree->disk, (int)s->was[g]);
			tree->wanted[g] = tree->nodes[g] != NULL;
		}
	}
	for (size_t i = 0; i < plan->n_files; i++) {
		const struct plan_file *file = &plan->files[i];

		if (file->disk != PLAN_NO_DISK && file->conf->parent >= 0)
			s->trees[file->disk].wanted[file->conf->parent] = true;
	}
	for (size_t i = 0; !r && i < s->n_trees; i++)
		r = make_nodes(s, &s->trees[i]);
	return r;
}

static void add_move(struct shares *s, struct disk *disk, struct fbs_node *node,
		     struct fbs_node *from, struct fbs_node *to)
{
	if (from != to)
		s->moves[s->n_moves++] = (struct shares_move){disk, node, from, to};
}

/* New leaves, and where the others go. */
static int make_leaves(struct shares *s)
{
	for (size_t i = 0; i < s->plan->n_files; i++) {
		const struct plan_file *planned = &s->plan->files[i];
		struct file *file = s->files[i];
		struct fbs_node *parent;

		if (!file->disk)
			continue;
		if (!make_cap(&planned->conf->limits, file->cap, &s->caps[i]))
			return -ENOMEM;
		parent = node_then(&s->trees[planned->disk], planned->conf->parent);
		if (file->leaf) {
			add_move(s, file->disk, file->leaf, node_now(file->disk, file->group),
				 parent);
			continue;
		}
		pthread_mutex_lock(&file->disk->lock);
		file->leaf = fbs_add_leaf(file->disk->fbs, parent, planned->conf->weight);
		pthread_mutex_unlock(&file->disk->lock);
		if (!file->leaf)
			return -ENOMEM;
	}
	return 0;
}

/* Those above first: moved below one that is still below itself, a group would be in a circle. */
static void find_group_moves(struct shares *s)
{
	const struct conf *conf = s->plan->conf;

	for (size_t t = 0; t < s->n_trees; t++) {
		struct shares_tree *tree = &s->trees[t];

		for (size_t i = 0; i < conf->n_groups; i++) {
			size_t g = conf->parents_first[i], was = s->was[g];

			if (was != SHARES_NEW && node_now(tree->disk, (int)was))
				add_move(s, tree->disk, tree->nodes[g],
					 node_now(tree->disk, s->mount->groups[was].parent),
					 node_then(tree, conf->groups[g].parent));
		}
	}
}

static int move(const struct shares_move *m, struct fbs_node *to)
{
	int r;

	pthread_mutex_lock(&m->disk->lock);
	r = fbs_set_parent(m->disk->fbs, m->node, to);
	pthread_mutex_unlock(&m->disk->lock);
	return r;
}

static int move_all(struct shares *s)
{
	for (size_t i = 0; i < s->n_moves; i++) {
		int r = move(&s->moves[i], s->moves[i].to);

		if (!r)
			continue;
		while (i-- > 0)
			if (move(&s->moves[i], s->moves[i].from))
				log_error("disk %s: no memory to undo a change of groups: its "
					  "shares may be wrong until the next reload",
					  s->moves[i].disk->name);
		return r;
	}
	return 0;
}

static void free_arrays(struct shares *s)
{
	for (size_t i = 0; i < s->n_trees && s->trees; i++) {
		free(s->trees[i].nodes);
		free(s->trees[i].wanted);
	}
	free(s->groups);
	free(s->was);
	free(s->stays);
	free(s->caps);
	free(s->trees);
	free(s->moves);
}

/* A group without a node on this disk. */
static bool is_new_there(const struct shares *s, const struct disk *disk, size_t group)
{
	return s->was[group] == SHARES_NEW || !node_now(disk, (int)s->was[group]);
}

/* Give up what was made. New leaves go with their files. */
static void undo(struct shares *s)
{
	const struct conf *conf = s->plan->conf;

	for (size_t t = 0; s->trees && t < s->n_trees; t++) {
		struct shares_tree *tree = &s->trees[t];

		if (!tree->nodes)
			break;
		pthread_mutex_lock(&tree->disk->lock);
		for (size_t g = 0; g < conf->n_groups; g++)
			if (tree->nodes[g] && is_new_there(s, tree->disk, g))
				fbs_drop(tree->disk->fbs, tree->nodes[g]);
		pthread_mutex_unlock(&tree->disk->lock);
	}
	for (size_t g = 0; s->groups && s->was && g < conf->n_groups; g++) {
		struct group *group = &s->groups[g];

		if (group->cap &&
		    (s->was[g] == SHARES_NEW || group->cap != s->mount->groups[s->was[g]].cap))
			fbs_cap_unref(group->cap);
		free(group->name);
	}
	for (size_t i = 0; s->caps && i < s->plan->n_files; i++)
		fbs_cap_unref(s->caps[i]);
	free_arrays(s);
}

int shares_prepare(struct shares *s, struct mount *mount, const struct plan *plan,
		   struct disk *const *disks, size_t n_disks, struct file *const *files)
{
	size_t n_groups = plan->conf->n_groups;
	int r = -ENOMEM;

	*s = (struct shares){.mount = mount, .plan = plan, .files = files, .n_trees = n_disks};
	s->groups = calloc(n_groups + 1, sizeof(*s->groups));
	s->was = calloc(n_groups + 1, sizeof(*s->was));
	s->stays = calloc(mount->n_groups + 1, sizeof(*s->stays));
	s->caps = calloc(plan->n_files + 1, sizeof(struct fbs_cap *));
	s->trees = calloc(n_disks + 1, sizeof(*s->trees));
	s->moves = calloc(n_disks * n_groups + plan->n_files + 1, sizeof(*s->moves));
	if (s->groups && s->was && s->stays && s->caps && s->trees && s->moves)
		r = make_groups(s);
	if (!r)
		r = make_trees(s, disks);
	if (!r) {
		find_group_moves(s);
		r = make_leaves(s);
	}
	if (!r)
		r = move_all(s);
	if (r)
		undo(s);
	return r;
}

/* ---- commit ---- */

/* What becomes of a cap: one for what had none, the same with other numbers, or none. */
static void settle_cap(struct fbs_cap **cap, struct fbs_cap *made, const struct conf_limits *limits)
{
	struct fbs_max max = max_of(limits);

	if (!*cap) {
		*cap = made;
	} else if (conf_has_max(limits)) {
		fbs_cap_configure(*cap, &max);
	} else {
		fbs_cap_unref(*cap); /* until the nodes let go of it, too */
		*cap = NULL;
	}
}

static void settle_groups(struct shares *s, struct shares_tree *tree)
{
	const struct conf *conf = s->plan->conf;
	struct disk *disk = tree->disk;

	pthread_mutex_lock(&disk->lock);
	for (size_t i = 0; i < s->mount->n_groups; i++)
		if (!s->stays[i] && node_now(disk, (int)i))
			fbs_drop(disk->fbs, node_now(disk, (int)i));
	for (size_t g = 0; g < conf->n_groups; g++) {
		const struct conf_group *group = &conf->groups[g];
		struct fbs_min min = min_of(&group->limits);

		if (!tree->nodes[g])
			continue;
		fbs_set_weight(disk->fbs, tree->nodes[g], group->weight);
		fbs_set_min(disk->fbs, tree->nodes[g], &min);
		fbs_set_cap(disk->fbs, tree->nodes[g], s->groups[g].cap);
	}
	pthread_mutex_unlock(&disk->lock);
	free(disk->groups);
	disk->groups = tree->nodes;
	tree->nodes = NULL;
}

static void settle_leaf(struct shares *s, size_t index)
{
	const struct conf_file *section = s->plan->files[index].conf;
	struct fbs_min min = min_of(&section->limits);
	struct file *file = s->files[index];
	struct fbs *fbs;

	file->group = section->parent;
	if (!file->disk)
		return;
	fbs = file->disk->fbs;
	settle_cap(&file->cap, s->caps[index], &section->limits);
	pthread_mutex_lock(&file->disk->lock);
	fbs_set_weight(fbs, file->leaf, section->weight);
	fbs_set_class(fbs, file->leaf, class_of(section->class));
	fbs_set_min(fbs, file->leaf, &min);
	fbs_set_cap(fbs, file->leaf, file->cap);
	pthread_mutex_unlock(&file->disk->lock);
}

void shares_keep_groups(struct mount *mount)
{
	bool used[KEEP_GROUPS] = {false};

	for (size_t i = 0; i < mount->n_groups; i++) {
		struct group *group = &mount->groups[i];
		struct kept_group *place = keep_group_find(mount->keep, group->name);

		if (!place)
			continue;
		used[place - mount->keep->groups] = true;
		group->counters = &place->counters;
	}
	for (size_t i = 0; i < KEEP_GROUPS; i++)
		if (!used[i])
			mount->keep->groups[i] = (struct kept_group){0};
	for (size_t i = 0; i < mount->n_groups; i++) {
		struct group *group = &mount->groups[i];
		struct kept_group *place = group->counters == &group->own
						   ? keep_group_add(mount->keep, group->name)
						   : NULL;

		if (!place)
			continue;
		place->counters = group->own;
		group->counters = &place->counters;
	}
}

void shares_commit(struct shares *s)
{
	const struct conf *conf = s->plan->conf;
	struct mount *mount = s->mount;

	for (size_t g = 0; g < conf->n_groups; g++)
		settle_cap(&s->groups[g].cap, NULL, &conf->groups[g].limits);
	for (size_t t = 0; t < s->n_trees; t++)
		settle_groups(s, &s->trees[t]);
	for (size_t i = 0; i < s->plan->n_files; i++)
		settle_leaf(s, i);
	for (size_t g = 0; g < conf->n_groups; g++)
		if (s->was[g] != SHARES_NEW)
			s->groups[g].own = *mount->groups[s->was[g]].counters;
	for (size_t i = 0; i < mount->n_groups; i++) {
		free(mount->groups[i].name);
		if (!s->stays[i])
			fbs_cap_unref(mount->groups[i].cap);
	}
	free(mount->groups);
	mount->groups = s->groups;
	mount->n_groups = conf->n_groups;
	s->groups = NULL;
	free_arrays(s);
	if (mount->keep && !mount->standby)
		shares_keep_groups(mount);
}
