/* SPDX-License-Identifier: MIT */
/*
 * rights.h - descriptors that go with a message through a Unix socket (SCM_RIGHTS, unix(7)): links
 * between parent and data path, orders to fuseband-admin, errands.
 */
#ifndef FUSEBAND_RIGHTS_H
#define FUSEBAND_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define RIGHTS_MOST 253U /* what the kernel takes (SCM_MAX_FD) */

/* flags: of sendmsg(), without SIGPIPE. n_fds may be 0; they stay the sender's. 0 or -errno. */
int rights_send(int socket, const void *bytes, size_t size, const int *fds, unsigned n_fds,
		int flags);
/*
 * Returns how many bytes came, or -errno. fds has room for `most`; the *ret_n that came (O_CLOEXEC)
 * are the caller's. *ret_cut (or NULL): not all of them, or of the message, did.
 */
ssize_t rights_receive(int socket, void *bytes, size_t size, int *fds, unsigned most,
		       unsigned *ret_n, bool *ret_cut, int flags);

#endif
