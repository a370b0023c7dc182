/* SPDX-License-Identifier: MIT */
/*
 * serve.h - the data path: everything from a checked configuration to a clean end.
 *
 *   serve_first    plans, claims, mounts, serves
 *   serve_next     the same mount after a crash: prepares all that it can while another process
 *                  still serves, waits for the word or until nobody is left who could give it,
 *                  takes the fences, serves
 *
 * Both return when the mount is gone or somebody wanted it to end. With a parent (supervise.h) it
 * is a process of its own, which tells the parent of all that has to outlive it, and acts on
 * signals that the parent hands on. Without one it acts on signals itself and a crash is the end.
 *
 * The main thread only waits for signals; all of a reload but the switch-over happens while the
 * workers work.
 */
#ifndef FUSEBAND_SERVE_H
#define FUSEBAND_SERVE_H

#include "conf.h"
#include "estate.h"

/* What there is before, and stays for all data paths. */
struct serve_setup {
	char *config;	     /* as given, for messages */
	char *config_path;   /* absolute, for reloads; NULL: it cannot be read again */
	char *mountpoint;    /* absolute */
	char *mount_options; /* as after -o, or NULL */
	bool debug;
	int signal_fd;		      /* signalfd of those below */
	struct conf_text text;	      /* serve_first: what was read, and checked: */
	struct conf *conf;	      /* it takes this over */
	struct estate *estate;	      /* NULL: there is no parent */
	int link;		      /* to the parent, -1: none */
	int steward;		      /* steward.h; -1: none */
	void (*ready)(void *data);    /* it serves */
	void (*prepared)(void *data); /* serve_next: it could at once */
	/* the parent is dead, and somebody has to be: a link to a new one, or -errno */
	int (*orphaned)(const struct heir *heir, void *data);
	void *data;
};

/* Signals that a data path acts on: HUP, USR1, TERM, INT. USR2 is the parent's. */
int serve_block_signals(int *ret_signal_fd); /* all of them and USR2; 0 or -errno */

/* On standard error, for want of what the system does not give. r: -errno. */
void serve_cannot_start(int r);

/* Names of processes, as ps shows them. */
#define SERVE_NAME "fuseband-io"
#define SERVE_NAME_STANDBY "fuseband-spare"

/*
 * Returns the exit status. *ret_abrupt: the kernel may still write to our memory, so nothing was
 * freed, and the process has to _exit().
 */
#define SERVE_REFUSED 2 /* exit status: the configuration cannot be served */
int serve_first(struct serve_setup *setup, bool *ret_abrupt);
int serve_next(struct serve_setup *setup, bool *ret_abrupt);

#endif
