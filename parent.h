/* SPDX-License-Identifier: MIT */
/*
 * parent.h - the parent, as who serves sees it: signals come by way of it, and when it dies another
 * one takes its place.
 *
 * SIGNALS. One that we get is told to the parent, which may have had it, too, and says whether it
 * is to be acted on (restart.h). Without a parent we decide.
 *
 * ITS DEATH is the end of the link. What it has still said is heard, then whoever runs this process
 * starts another one (serve_setup). When one after the other dies at once, it is given up: from
 * then on a crash is survived once more if somebody stands by, and only until there is something
 * that he does not know. That is said, and again when he is gone.
 *
 * All of it is the main thread's.
 */
#ifndef FUSEBAND_PARENT_H
#define FUSEBAND_PARENT_H

#include "bequeath.h"
#include "serve.h"

struct parent {
	struct serve_setup *setup; /* signal_fd, orphaned, data; link follows that of bequest */
	struct bequest bequest;	   /* link -1: there is none */
	bool has_heir;		   /* without one: it was said that somebody stands by */
	uint64_t since_ns;	   /* the one that we started last */
	unsigned short_lives;
};

/* It is dead. */
void parent_lost(struct parent *parent);
/* Say so if nobody stands by any more, and nobody can start another one. */
void parent_miss_heir(struct parent *parent);
/* Those from before it was our turn: they were for who served then. */
void parent_forget_signals(struct parent *parent);
/* One that is to be acted on, or 0 when there is none. */
int parent_next_signal(struct parent *parent);
/* Until there is something for parent_next_signal() or event_fd (-1: none), or for so long. */
void parent_wait(struct parent *parent, int event_fd, int timeout_ms);

#endif
