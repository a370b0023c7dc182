/* SPDX-License-Identifier: MIT */
/*
 * progress.h - what takes long tells how far it is: a bar on a terminal, lines elsewhere.
 *
 *	fuseband: sda: [##########..........]  50 %  round 2 of 5, read 4K: 4000/s
 *
 * On a terminal one line is written again and again, cut to its width. Elsewhere (a log, a pipe)
 * each step is a line of its own without the bar, and no character is there that only terminals
 * understand.
 */
#ifndef FUSEBAND_PROGRESS_H
#define FUSEBAND_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct progress {
	FILE *out;
	bool on_terminal;
	unsigned columns; /* of it */
	bool shown;	  /* there is a bar that has to go before anything else is written */
};

/* Whether fd, which is behind out, is a terminal is found out; and how wide it is. */
struct progress progress_on(FILE *out, int fd);

/*
 * So much is done of all (0: nothing is known of that). The texts are without control characters:
 * what stands before the bar, and what is going on.
 */
void progress_show(struct progress *progress, uint64_t done, uint64_t all, const char *before,
		   const char *text);
/* Take the bar away. */
void progress_end(struct progress *progress);

#endif
