/* SPDX-License-Identifier: MIT */
/*
 * mount_shares.h - part of mount.c: who has which share, promise and cap, on every disk.
 *
 * A change is prepared, which may fail and then has changed nothing; then committed, which cannot
 * fail. Workers are parked.
 */
#ifndef FUSEBAND_MOUNT_SHARES_H
#define FUSEBAND_MOUNT_SHARES_H

#include "mount.h"

/* A disk, and the nodes that groups will have there. */
struct shares_tree {
	struct disk *disk;
	struct fbs_node **nodes; /* of plan->conf->groups, NULL where one has no node */
	bool *wanted;		 /* likewise: it is to have one */
};

struct shares_move {
	struct disk *disk;
	struct fbs_node *node, *from, *to;
};

struct shares {
	struct mount *mount;
	const struct plan *plan;
	struct file *const *files; /* of plan->files */
	struct group *groups;	   /* of plan->conf->groups: what will be mount->groups */
	size_t *was;		   /* which of mount->groups each is, or SHARES_NEW */
	bool *stays;		   /* of mount->groups: the plan has it, too */
	struct fbs_cap **caps;	   /* of plan->files: made for those that had none */
	struct shares_tree *trees; /* of plan->disks, then those of the mount that are not there */
	size_t n_trees;
	struct shares_move *moves;
	size_t n_moves;
};
#define SHARES_NEW ((size_t)-1)

/*
 * disks: of plan->disks, then those of the mount that are not among them; files: of plan->files,
 * where a disk without a leaf means a new one, which gets its leaf here. 0 or -ENOMEM, and then all
 * but those leaves is as before. To be the last step that can fail: nodes have moved after it.
 */
int shares_prepare(struct shares *shares, struct mount *mount, const struct plan *plan,
		   struct disk *const *disks, size_t n_disks, struct file *const *files);
void shares_commit(struct shares *shares);

/* The places of the counters of all groups in the keep, if there is one; others become free. */
void shares_keep_groups(struct mount *mount);

#endif
