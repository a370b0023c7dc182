/* SPDX-License-Identifier: MIT */
/* link.c - see link.h. */
#include "link.h"

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
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int) * LINK_FDS)];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)message,
			    HEAD_BYTES + message->n_ids * sizeof(message->ids[0])};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (message->n_fds) {
		size_t bytes = message->n_fds * sizeof(int);
		struct cmsghdr *cmsg = &control.header;

		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(cmsg), message->fds, bytes);
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(bytes);
	}
	do
		n = sendmsg(fd, &header, MSG_NOSIGNAL | flags);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
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
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int) * LINK_FDS)];
	} control;
	struct iovec iov = {ret_message, sizeof(*ret_message)};
	struct msghdr header = {.msg_iov = &iov,
				.msg_iovlen = 1,
				.msg_control = &control,
				.msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg;
	unsigned n_fds = 0;
	ssize_t n;

	do
		n = recvmsg(fd, &header, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
	/* who ends with something unread resets us, once, and before what it had still to say */
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0)
		return -errno;
	for (cmsg = CMSG_FIRSTHDR(&header); cmsg; cmsg = CMSG_NXTHDR(&header, cmsg))
		if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS) {
			n_fds = (unsigned)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
			memcpy(ret_message->fds, CMSG_DATA(cmsg), n_fds * sizeof(int));
		}
	if (n == 0 && !n_fds)
		return -EPIPE;
	if ((header.msg_flags & MSG_CTRUNC) || (size_t)n < HEAD_BYTES ||
	    ret_message->n_ids > LINK_FDS ||
	    (size_t)n != HEAD_BYTES + ret_message->n_ids * sizeof(ret_message->ids[0]) ||
	    ret_message->n_fds != n_fds) {
		ret_message->n_fds = n_fds;
		link_close_fds(ret_message);
		return -EPROTO;
	}
	return 0;
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
