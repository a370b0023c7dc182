/* SPDX-License-Identifier: MIT */
/*
 * handover.h - a parent that another program is to be: after an upgrade, or because it died.
 *
 * What it knows is written into a memfd (pack.h), of which the other program is told in its
 * environment; every descriptor is passed on under its number.
 */
#ifndef FUSEBAND_HANDOVER_H
#define FUSEBAND_HANDOVER_H

#include "child.h"
#include "supervise.h"

struct handover {
	struct supervise_setup *setup;
	struct estate estate;
	struct child active, standby;
	char *program;	 /* where it was started from: what an upgrade executes */
	int old_program; /* during an upgrade: to go back to; else -1 */
	bool upgrading;
};

/* Start this very program beside us, as the parent. From any thread. 0 or -errno. */
int handover_spawn(const struct handover *state);
/*
 * Become the program that is open at program (O_PATH). Returns only if that fails: -errno, with
 * everything as before.
 */
int handover_execute(const struct handover *state, int program);
/* In the other program: state->setup is there, the rest is filled in. 0, -EPROTO or -errno. */
int handover_receive(int fd, struct handover *state);

/*
 * What the program at path says of the state that it understands (--version), to be compared with
 * KEEP_VERSION; -1: nothing. Runs it, for 5 seconds at most.
 */
long handover_version_of(const char *path);

#endif
