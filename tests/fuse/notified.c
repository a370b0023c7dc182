/* SPDX-License-Identifier: MIT */
/*
 * A service manager's ear: notified SOCKET. Prints each message to SOCKET (a path, or @ and a name)
 * as one line, with " | " for its newlines. notified -f SOCKET: fills the queue and reads nothing.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int listen_at(const char *name, struct sockaddr_un *address, socklen_t *ret_size)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	address->sun_family = AF_UNIX;
	snprintf(address->sun_path, sizeof(address->sun_path), "%s", name);
	*ret_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address->sun_path));
	if (name[0] == '@')
		address->sun_path[0] = '\0';
	if (fd < 0 || bind(fd, (struct sockaddr *)address, *ret_size)) {
		fprintf(stderr, "notified: %s: %s\n", name, strerror(errno));
		return -1;
	}
	return fd;
}

static void fill(const struct sockaddr_un *address, socklen_t size)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	while (sendto(fd, "x", 1, MSG_DONTWAIT, (const struct sockaddr *)address, size) == 1)
		;
	puts("full");
	fflush(stdout);
	pause();
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = {0};
	int filling = argc == 3 && !strcmp(argv[1], "-f"), fd;
	char text[4096];
	socklen_t size;
	ssize_t n;

	if (argc != 2 + filling) {
		fprintf(stderr, "usage: notified [-f] SOCKET\n");
		return 2;
	}
	fd = listen_at(argv[argc - 1], &address, &size);
	if (fd < 0)
		return 1;
	if (filling)
		fill(&address, size);
	while ((n = recv(fd, text, sizeof(text), 0)) >= 0) {
		for (ssize_t i = 0; i < n; i++)
			if (text[i] == '\n')
				fputs(" | ", stdout);
			else
				putchar(text[i]);
		putchar('\n');
		fflush(stdout);
	}
	return 1;
}
