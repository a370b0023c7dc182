/* SPDX-License-Identifier: MIT */
/*
 * settings.h - from a configuration file to what a process of this host runs with.
 *
 * conf.h knows what the words mean; what they mean here depends on the disks that are there, and
 * where nothing is said on memory and processors.
 */
#ifndef FUSEBAND_SETTINGS_H
#define FUSEBAND_SETTINGS_H

#include "conf.h"
#include "log.h"

/*
 * Read and check, with the partition tables of disks; nothing at mountpoint (or NULL) is touched. 0
 * or -errno with what is wrong in errors; *ret_text and *ret_conf are the caller's.
 */
int settings_read(const char *config, const char *mountpoint, struct conf_errors *errors,
		  struct conf_errors *notes, struct conf_text *ret_text, struct conf **ret_conf);

/* debug: whatever it says. */
enum log_level settings_log_level(const struct conf_main *conf, bool debug);
/* For queued writes: as configured, or a quarter of what there is. */
uint64_t settings_memory_bytes(const struct conf_main *conf);
/* As configured, or as many as processors, but no more than two. */
unsigned settings_workers(const struct conf_main *conf);

#endif
