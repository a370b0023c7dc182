// SPDX-License-Identifier: MIT
/*
 * hesitate - fuseband of which a process stops (SIGSTOP) once it has a certain name: the one that
 * the file $HESITATE says, while there is such a file. With "for ever" behind the name it hangs.
 *
 * For LD_PRELOAD.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum verdict { GO_ON, STOP, HANG };

static enum verdict is_to_stop(const char *name)
{
	const char *path = getenv("HESITATE");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	size_t length = strlen(name);
	char text[64];
	ssize_t n;

	if (fd < 0)
		return GO_ON;
	n = read(fd, text, sizeof(text));
	close(fd);
	if (n <= (ssize_t)length || memcmp(text, name, length))
		return GO_ON;
	return text[length] == '\n' ? STOP : text[length] == ' ' ? HANG : GO_ON;
}

int prctl(int option, ...)
{
	unsigned long arguments[4];
	enum verdict verdict;
	va_list list;
	long r;

	va_start(list, option);
	for (int i = 0; i < 4; i++)
		arguments[i] = va_arg(list, unsigned long);
	va_end(list);
	r = syscall(SYS_prctl, option, arguments[0], arguments[1], arguments[2], arguments[3]);
	verdict = option == PR_SET_NAME ? is_to_stop((const char *)arguments[0]) : GO_ON;
	if (verdict == STOP)
		raise(SIGSTOP);
	while (verdict == HANG)
		poll(NULL, 0, -1);
	return (int)r;
}
