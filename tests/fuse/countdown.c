/* SPDX-License-Identifier: MIT */
/*
 * countdown - of a daemon whose Nth call fails (../failing.c).
 *
 *     countdown FILE set N      the Nth call from now fails; FILE is made if it is not there
 *     countdown FILE get        how many are left, and what failed last ("-": nothing since set)
 */
#include <fcntl.h>
#include <stdatomic.h>

#include "../failing.h"
#include "helper.h"

int main(int argc, char **argv)
{
	struct countdown *countdown;
	int fd;

	if (argc < 3)
		die("usage: countdown FILE set N | FILE get");
	fd = open(argv[1], O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*countdown)))
		die("%s: %s", argv[1], strerror(errno));
	countdown = mmap(NULL, sizeof(*countdown), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (countdown == MAP_FAILED)
		die("no memory");
	if (!strcmp(argv[2], "set") && argc == 4) {
		strcpy(countdown->what, "-");
		atomic_store(&countdown->left, (int64_t)size_arg(argv[3]));
	} else {
		printf("%lld %s\n", (long long)atomic_load(&countdown->left), countdown->what);
	}
	return 0;
}
