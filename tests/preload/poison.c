// SPDX-License-Identifier: MIT
/*
 * poison - fuseband with a bug: small writes whose data begin with certain words end or stop it.
 *
 * For LD_PRELOAD. The data of a small write are copied with memcpy() once they have been read.
 *
 *     "poison: abort"    the process aborts
 *     "poison: segv"     it is ended by a signal
 *     "poison: hang"     the thread does nothing from then on
 *     "poison: garbage"  a thousand malformed requests are read before the next one
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int begins(const char *data, const char *words)
{
	while (*words)
		if (*data++ != *words++)
			return 0;
	return 1;
}

static _Atomic int garbage;

static int takes_one_off(void)
{
	int left = atomic_load(&garbage);

	while (left > 0 && !atomic_compare_exchange_weak(&garbage, &left, left - 1))
		;
	return left > 0;
}

/* Requests are read into a buffer for the largest of them; nothing else is so long. */
ssize_t read(int fd, void *to, size_t n)
{
	if (n > (size_t)1 << 20 && takes_one_off()) {
		memset(to, 0, 48);
		return 48;
	}
	return syscall(SYS_read, fd, to, n);
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
		if (begins(what, "garbage"))
			atomic_store(&garbage, 1000);
		while (begins(what, "hang"))
			;
	}
	for (size_t i = 0; i < n; i++)
		out[i] = in[i];
	return to;
}
