/* SPDX-License-Identifier: MIT */
/* notify.c - see notify.h. */
#include "notify.h"
#include "clock.h"
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WAIT_S 1

/* A path, or @ and a name of the abstract name space. 0: neither. */
static socklen_t address_of(const char *name, struct sockaddr_un *address)
{
	size_t length = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || length < 2 || length >= sizeof(address->sun_path))
		return 0;
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(address->sun_path, name, length);
	if (name[0] == '@')
		address->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (name[0] == '/'));
}

static int send_lines(const char *name, const char *lines)
{
	const struct timeval wait = {.tv_sec = WAIT_S};
	struct sockaddr_un address;
	socklen_t size = address_of(name, &address);
	int fd, r = 0;

	if (!size)
		return -EINVAL;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (sendto(fd, lines, strlen(lines), MSG_NOSIGNAL, (const struct sockaddr *)&address,
		   size) < 0)
		r = -errno;
	close(fd);
	return r;
}

void notify(const char *fmt, ...)
{
	const char *name = getenv("NOTIFY_SOCKET");
	int saved_errno = errno, r;
	char lines[1024];
	va_list args;

	if (!name)
		return;
	va_start(args, fmt);
	vsnprintf(lines, sizeof(lines), fmt, args);
	va_end(args);
	r = send_lines(name, lines);
	if (r)
		log_warning("the service manager cannot be told (NOTIFY_SOCKET=%s): %s", name,
			    strerror(-r));
	errno = saved_errno;
}

void notify_reloading(void)
{
	notify("RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)(monotonic_ns() / 1000));
}
