/* SPDX-License-Identifier: MIT */
/*
 * closing.h - what may wait for a server when it is closed is closed beside the main thread.
 *
 * Who closes the last descriptor of a file on a network file system gives back its locks, and waits
 * until the server has answered. A server that is away must not stop the main thread, which all
 * other disks need for reloads, signals and the next take-over. So a thread for each disk closes
 * these, and the main thread waits for it, but only so long: as a rule all is given back when a
 * reload is over, and whoever wants it next can have it.
 *
 * The main thread's, but for what it has handed to a thread.
 */
#ifndef FUSEBAND_CLOSING_H
#define FUSEBAND_CLOSING_H

#include <pthread.h>
#include "backing.h"

struct closing { /* of a disk; all zero: nothing is to be closed */
	struct backing *backings;
	struct backing_claim *claims;
	bool running;
	pthread_t thread;
};

/* Give up a reference; what nobody else has is to be closed. NULL is fine. */
void closing_add_backing(struct closing *closing, struct backing *backing);
void closing_add_claim(struct closing *closing, struct backing_claim *claim);
/* Begin, if there is anything: then closing_wait(). Without memory or a thread it is done at once. */
void closing_start(struct closing *closing);
/* True: all is closed. False: so much time has passed, and it goes on alone. */
bool closing_wait(struct closing *closing, uint64_t until_ns);

#endif
