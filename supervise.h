/* SPDX-License-Identifier: MIT */
/*
 * supervise.h - the parent that survives: guests see a pause, not an error.
 *
 *     fuseband (parent)                      fuseband-io (data path)
 *     holds the mount, /dev/fuse and all     plans, opens, reads requests, does I/O,
 *     its clones, the claims, the accepted   answers; tells the parent of all that has
 *     configuration, the counters            to outlive it
 *        |       |
 *        |       +--- fuseband-spare (standby) has opened and prepared the same, and waits
 *        |
 *   the data path dies (kill -9, abort, out of memory), or does nothing for ten seconds (thirty
 *        |                            when it takes over)
 *        |  waitpid()                 nothing copies to or from its memory any more. What would
 *        |                            keep it from ending is done elsewhere (errand.h)
 *        |  GO to the standby         it takes the fences (fence.h) and starts its workers
 *        v  FUSE_NOTIFY_RESEND        the kernel queues every unanswered request once more
 *
 * To the kernel, requests that nobody reads for some milliseconds are just slow ones. This needs
 * Linux 6.9; before, a parent that kept the descriptor would leave guests hanging, so it keeps
 * nothing there and a crash ends the mount, as with any FUSE file system.
 *
 * THE PARENT DIES. The data path sees its socket close, and starts a new parent from its own
 * program, which inherits everything from it, the standby too. Requests notice nothing.
 *
 * BOTH DIE. The standby takes over by itself and starts a new parent. It knows that nobody else
 * will, as whoever may command it holds the other end of its socket: the parent from before it
 * exists, the data path because the parent hands it over (HEIR), a new parent by inheritance. When
 * that socket ends, all of them are dead:
 *
 *     parent ----+
 *     data path -+---> standby        END or GO: it is told;  end of file: it is alone
 *     new parent +
 *
 * So there is always one who decides. Should that be wrong for once, a lock has the last word: who
 * serves holds it, and the kernel gives it to nobody else before the last thread of that process
 * has ended (keep.h).
 *
 * All three dead, or the two while there is no standby (a new one takes some ten milliseconds):
 * nobody holds the connection, the kernel ends it, users get ENOTCONN rather than wait.
 *
 * UPGRADE. SIGUSR2: the parent executes the program that now stands where it was started from, with
 * all descriptors, then has a standby made by the new program and ends the old data path:
 * an upgrade is a crash at a good moment. If the new program cannot prepare a standby, it never
 * gets that far and the old one stays: the parent goes back to it (or, if the new one dies, the
 * data path starts a parent from the old one as above). Likewise if its first data path dies before
 * it serves.
 *
 * CRASH LOOPS. A request that has ended two processes is answered EIO by the next (keep.h). Ten
 * data paths in a row that crash within a second, or a hundred that are killed within a tenth
 * of one, end it all, with a message.
 *
 * The parent is one thread that mostly sleeps; locked in memory, and the last to be chosen
 * when memory runs out.
 */
#ifndef FUSEBAND_SUPERVISE_H
#define FUSEBAND_SUPERVISE_H

#include "serve.h"

/* What a new program is told by the old one: a descriptor, in decimal. */
#define SUPERVISE_RESUME "FUSEBAND_RESUME"

struct supervise_setup {
	struct serve_setup serve;
	char **argv; /* of main(): the same for another program */
	bool foreground;
	int pidfile_fd;		    /* -1: none */
	char *pidfile_path;	    /* NULL: none */
	void (*ready)(void *data);  /* the mount serves: once. In the parent */
	void (*detach)(void *data); /* let go of the terminal: in each process that serves, unless
				       foreground */
	/* that part of ready() that may still have to be done in a data path without its parent */
	void (*let_go)(void *data);
	void *data;
};

/* Until the end. Returns the exit status; *ret_abrupt as serve_first(). */
int supervise(struct supervise_setup *setup, bool *ret_abrupt);

/*
 * In a program that another one has started with SUPERVISE_RESUME in its environment: go on as
 * that. setup: argv, ready, detach, let_go and data; the rest is filled in. Likewise.
 */
int supervise_resume(const char *resume, struct supervise_setup *setup, bool *ret_abrupt);

#endif
