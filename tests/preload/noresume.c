// SPDX-License-Identifier: MIT
/*
 * noresume - fuseband that can be started, but not as another one's parent: as after an upgrade of
 * a library that it needs.
 *
 * For LD_PRELOAD.
 */
#include <stdlib.h>
#include <unistd.h>

__attribute__((constructor)) static void refuse(void)
{
	if (getenv("FUSEBAND_RESUME"))
		_exit(127);
}
