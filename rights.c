/* SPDX-License-Identifier: MIT */
/* rights.c - see rights.h. */
#include "rights.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int) * RIGHTS_MOST)];
};

int rights_send(int socket, const void *bytes, size_t size, const int *fds, unsigned n_fds,
		int flags)
{
	union control control;
	struct iovec iov = {(void *)(uintptr_t)bytes, size};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	assert(n_fds <= RIGHTS_MOST);
	if (n_fds) {
		size_t length = n_fds * sizeof(int);

		memset(&control, 0, CMSG_SPACE(length));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(length);
		memcpy(CMSG_DATA(&control.header), fds, length);
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(length);
	}
	do
		n = sendmsg(socket, &header, MSG_NOSIGNAL | flags);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

ssize_t rights_receive(int socket, void *bytes, size_t size, int *fds, unsigned most,
		       unsigned *ret_n, bool *ret_cut, int flags)
{
	union control control;
	struct iovec iov = {bytes, size};
	struct msghdr header = {.msg_iov = &iov,
				.msg_iovlen = 1,
				.msg_control = &control,
				.msg_controllen =
					CMSG_LEN(sizeof(int) * most)}; /* not padded: no more */
	struct cmsghdr *cmsg;
	ssize_t n;

	assert(most <= RIGHTS_MOST);
	*ret_n = 0;
	do
		n = recvmsg(socket, &header, MSG_CMSG_CLOEXEC | flags);
	/* who ends with something unread resets us, once, and before what it had still to say */
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0)
		return -errno;
	for (cmsg = CMSG_FIRSTHDR(&header); cmsg; cmsg = CMSG_NXTHDR(&header, cmsg))
		if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS) {
			*ret_n = (unsigned)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
			memcpy(fds, CMSG_DATA(cmsg), *ret_n * sizeof(int));
		}
	if (ret_cut)
		*ret_cut = header.msg_flags & (MSG_CTRUNC | MSG_TRUNC);
	return n;
}
