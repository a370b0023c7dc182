/* SPDX-License-Identifier: MIT */
/*
 * top_read.h - the text of MOUNT/.fuseband/status.json, without ever waiting for it.
 *
 * While the daemon is between two data paths, or a disk hangs, whoever reads from the mount waits,
 * and cannot even be killed. So a process of its own reads, when it is asked to; this one gets
 * the whole text through a socket, or a line that says what is wrong, and can give up and go.
 */
#ifndef FUSEBAND_TOP_READ_H
#define FUSEBAND_TOP_READ_H

#include <stdbool.h>
#include <stddef.h>

struct top_reader;

/* 0 or -errno. Before there are threads. */
int top_reader_start(const char *mount, struct top_reader **ret_reader);
/* NULL is fine. A process that waits for the mount ends when that answers. */
void top_reader_stop(struct top_reader *reader);

/* For poll(): something has come. */
int top_reader_fd(const struct top_reader *reader);

/* Once at a time: until there is an answer, nothing may be asked again. */
void top_reader_ask(struct top_reader *reader);

/*
 * Takes what has come, without waiting. 1: that was all of it: *ret_text, *ret_len, the reader's
 * until the next call; *ret_failed: it is not the status but a line with a reason. 0: there is more
 * to come. -1: the process is gone.
 */
int top_reader_take(struct top_reader *reader, const char **ret_text, size_t *ret_len,
		    bool *ret_failed);

/* The mount points of fuseband here, as "/mnt/a, /mnt/b"; free() it. NULL: there are none. */
char *top_mounts(void);

#endif
