/* SPDX-License-Identifier: MIT */
/*
 * cleanup.h - local variables that give back what they hold when they go out of scope.
 *
 *	CLEANUP(cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
 *
 * Each of these takes a variable that holds nothing (-1, NULL), too.
 */
#ifndef FUSEBAND_CLEANUP_H
#define FUSEBAND_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(function) __attribute__((cleanup(function)))

static inline void cleanup_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_file(FILE **file)
{
	if (*file)
		fclose(*file);
}

static inline void cleanup_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static inline void cleanup_chars(char **chars)
{
	free(*chars);
}

#endif
