/* SPDX-License-Identifier: MIT */
/*
 * plan_disks.h - part of plan.c: the schedulers.
 */
#ifndef FUSEBAND_PLAN_DISKS_H
#define FUSEBAND_PLAN_DISKS_H

#include "plan.h"
#include "share.h"

/*
 * Fills plan->disks, in the order of the files, and the disk of every file that has a backing or
 * had one.
 * places: per file, its place in share. 0 or -ENOMEM.
 */
int plan_disks_make(struct plan *plan, struct share *share, const size_t *places);

#endif
