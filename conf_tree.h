/* SPDX-License-Identifier: MIT */
/*
 * conf_tree.h - the share tree of a configuration as a whole. Private to the conf_*.c files.
 */
#ifndef FUSEBAND_CONF_TREE_H
#define FUSEBAND_CONF_TREE_H

#include "conf_error.h"

/*
 * When the parents of all groups and files are known: fill conf->parents_first and complain about
 * promises that a cap makes void; or, if that cannot be, complain about groups in a circle.
 */
void conf_tree_check(struct conf *conf, struct conf_complaints *complaints);
/* Once more about promises and caps, when there are more files. */
void conf_tree_check_files(const struct conf *conf, struct conf_complaints *complaints);

#endif
