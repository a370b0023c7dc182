/* SPDX-License-Identifier: MIT */
/* status.h - what people see of a running mount. */
#ifndef FUSEBAND_STATUS_H
#define FUSEBAND_STATUS_H

#include "mount.h"

/* One screen to the log: each disk, and each file with what it got. Main thread, at any time. */
void status_log(struct mount *mount);

#endif
