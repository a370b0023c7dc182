/* SPDX-License-Identifier: MIT */
/*
 * options.h - the command line.
 */
#ifndef FUSEBAND_OPTIONS_H
#define FUSEBAND_OPTIONS_H

#include "control.h"

#include <stdbool.h>

#define DEFAULT_PIDFILE "/run/fuseband.pid"

enum { EXIT_COULD_NOT_RUN = 1, EXIT_USAGE = 2 };

/* Strings are argv's if nothing else is said. */
struct options {
	const char *config;  /* as given, for messages */
	const char *pidfile; /* NULL: none asked for */
	const char *mountpoint;
	char *mount_options;		   /* after -o, joined by commas, or NULL */
	const char *calibrate, *overwrite; /* NULL: not asked for */
	enum control_order order;	   /* to what serves mountpoint */
	bool foreground, debug, check;
};

/*
 * Says on stderr what is wrong; prints what was only asked for (--help and the like). 0: go on. -1:
 * done, with success. Else the exit status.
 */
int options_parse(int argc, char **argv, struct options *options);
void options_free(struct options *options);

#endif
