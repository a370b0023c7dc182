/* SPDX-License-Identifier: MIT */
/* link.c - see link.h. */
#include "link.h"
#include "rights.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What is sent of a message: up to the last id. */
#define HEAD_BYTES offsetof(struct link_message, ids)

int link_pair(int ret_ends[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_ends) ? -errno : 0;
}

static int send_message(int fd, const struct link_message *message, int flags)
{
	return rights_send(fd, message, HEAD_BYTES + message->n_ids * sizeof(message->ids[0]),
			   message->fds, message->n_fds, flags);
}

int link_send(int fd, const struct link_message *message)
{
	return send_message(fd, message, 0);
}

int link_offer(int fd, const struct link_message *message)
{
	return send_message(fd, message, MSG_DONTWAIT);
}

int link_say(int fd, enum link_kind kind, int value)
{
	struct link_message message = {.kind = kind, .value = value};

	return link_send(fd, &message);
}

int link_receive(int fd, bool wait, struct link_message *ret_message)
{
	unsigned n_fds;
	bool cut, whole, short_of_fds;
	ssize_t n = rights_receive(fd, ret_message, sizeof(*ret_message), ret_message->fds,
				   LINK_FDS, &n_fds, &cut, wait ? 0 : MSG_DONTWAIT);

	if (n < 0)
		return (int)n;
	if (n == 0 && !n_fds)
		return -EPIPE;
	whole = (size_t)n >= HEAD_BYTES && ret_message->n_ids <= LINK_FDS &&
		(size_t)n == HEAD_BYTES + ret_message->n_ids * sizeof(ret_message->ids[0]);
	if (whole && !cut && ret_message->n_fds == n_fds)
		return 0;
	short_of_fds = whole && cut && n_fds < ret_message->n_fds;
	ret_message->n_fds = n_fds;
	link_close_fds(ret_message);
	return short_of_fds ? -EMFILE : -EPROTO;
}

void link_close_fds(struct link_message *message)
{
	for (unsigned i = 0; i < message->n_fds; i++)
		close(message->fds[i]);
	message->n_fds = 0;
}

static void forget(struct heir *heir)
{
	if (heir->link >= 0)
		close(heir->link);
	if (heir->pidfd >= 0)
		close(heir->pidfd);
	*heir = HEIR_NONE;
}

void heir_set(struct heir *heir, struct link_message *message)
{
	forget(heir);
	if (message->n_fds > 0)
		heir->link = message->fds[0];
	if (message->n_fds > 1) {
		heir->pidfd = message->fds[1];
		heir->pid = message->value;
	}
	for (unsigned i = 2; i < message->n_fds; i++)
		close(message->fds[i]);
	message->n_fds = 0;
}

bool heir_lives(const struct heir *heir)
{
	struct pollfd pfd = {.fd = heir->pidfd, .events = POLLIN};

	return heir->pidfd >= 0 && !poll(&pfd, 1, 0);
}

void heir_dismiss(struct heir *heir)
{
	const struct link_message end = {.kind = LINK_END};

	if (heir->link >= 0)
		link_offer(heir->link, &end); /* what it cannot read it does not need: see EOF */
	forget(heir);
}
