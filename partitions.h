/* SPDX-License-Identifier: MIT */
/*
 * partitions.h - the partition tables below [disk:NAME] sections, through libblkid.
 *
 * A table is only ever read, whole, at a start, a check or a reload. What was read then is part of
 * what was accepted: it is what is served until the next reload, by whoever takes over after a
 * crash, too, whatever the table says by now.
 */
#ifndef FUSEBAND_PARTITIONS_H
#define FUSEBAND_PARTITIONS_H

#include "conf.h"

/* The room that a GPT has unless somebody enlarged it is for 128. */
#define PARTITIONS_MAX 256U

/*
 * Put the table of every disk of conf into text->tables, numbered as in the table and in that
 * order. Nothing at or below mountpoint (absolute, without symbolic links, or NULL) is touched. A
 * disk that is `optional` and not there gets an empty one. 0, or -EINVAL or another -errno with
 * everything that is wrong in errors; notes may be NULL.
 */
int partitions_read(const struct conf *conf, const char *mountpoint, struct conf_text *text,
		    struct conf_errors *errors, struct conf_errors *notes);

/*
 * What must hold of a table on a disk of so many bytes, whoever wrote it: 0 or -EINVAL with the
 * reason in why. Sorts the list by number. A part of partitions_read(), for tests.
 */
int partitions_check(struct conf_partition *list, size_t n, uint64_t disk_bytes, char *why,
		     size_t why_size);

#endif
