/* SPDX-License-Identifier: MIT */
/*
 * conf_disks.h - which files are those of a [disk:NAME] section. Private to the conf_*.c files.
 */
#ifndef FUSEBAND_CONF_DISKS_H
#define FUSEBAND_CONF_DISKS_H

#include "conf.h"

/*
 * The disk, and the number of the partition, that a file of this name may be: NAME and a number
 * without leading zeros. NULL: of none. (For "a11" that can be 11 of "a" or 1 of "a1": then it is
 * the one that comes first in the text.)
 */
const struct conf_file *conf_disk_of(const struct conf *conf, const char *name,
				     unsigned *ret_number);

#endif
