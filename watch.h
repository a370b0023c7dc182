/* SPDX-License-Identifier: MIT */
/*
 * watch.h - the main thread looks every ten seconds whether promises are kept (alarm.h), says so
 * when one is not, and counts it.
 *
 * An episode goes on when another process takes over, and is not told again; that of memory alone
 * begins anew.
 *
 * What requests had to wait for lately (`throttled_by`) and the latency of a disk lately are
 * differences to what was at the beginning of the window before the present one; those are noted
 * here, too.
 */
#ifndef FUSEBAND_WATCH_H
#define FUSEBAND_WATCH_H

#include "conf.h"
#include "mount.h"

struct watch {
	uint64_t began_ns; /* of the present window; 0: there is none yet */
};

/* Main thread. To be called when it has something else to do, too: it looks at the time. */
void watch_look(struct watch *watch, struct mount *mount, uint64_t now_ns);
/* How long until it has to be called; for poll(). */
int watch_timeout_ms(const struct watch *watch, uint64_t now_ns);

/*
 * After a start, reload or takeover: weights that there is nothing to be compared with. tell: those
 * that are new are told and counted; not after a takeover, as a dead process did that.
 */
void watch_weights(struct mount *mount, bool tell);

/*
 * Settings of this host that are in our way, each with what to do, as lines for the log; how many.
 * root: "" or, in tests, what stands for /. privileged: the kernel's limits for users do not apply.
 */
unsigned watch_host(const char *root, bool privileged, struct conf_errors *notes);

#endif
