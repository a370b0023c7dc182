// SPDX-License-Identifier: MIT
/*
 * poison - fuseband with a bug: small writes whose data begin with certain words end or stop it.
 *
 * For LD_PRELOAD. The data of a small write are copied with memcpy() once they have been read.
 *
 *     "poison: abort"    the process aborts
 *     "poison: segv"     it is ended by a signal
 *     "poison: hang"     the thread does nothing from then on
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int begins(const char *data, const char *words)
{
	while (*words)
		if (*data++ != *words++)
			return 0;
	return 1;
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	volatile unsigned char *out = to;
	const unsigned char *in = from;

	if (n >= 512 && begins(from, "poison: ")) {
		const char *what = (const char *)from + sizeof("poison: ") - 1;

		if (begins(what, "abort"))
			abort();
		if (begins(what, "segv"))
			raise(SIGSEGV);
		while (begins(what, "hang"))
			;
	}
	for (size_t i = 0; i < n; i++)
		out[i] = in[i];
	return to;
}
