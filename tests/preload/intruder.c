// SPDX-License-Identifier: MIT
/*
 * intruder - fuseband taken over by somebody: a small write that begins with "intruder" makes a
 * worker thread try what it must not be able to. What works is said on stderr, and at the end that
 * all was tried.
 *
 * For LD_PRELOAD, like poison.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static void attempt(const char *what, long r)
{
	if (r < 0 && (errno == EPERM || errno == EACCES || errno == ENOSYS))
		return;
	dprintf(2, "intruder: %s: %s\n", what, r < 0 ? strerror(errno) : "works");
}

static void try_all(void)
{
	struct io_uring_params params = {0};
	char *argv[] = {"/bin/true", NULL};

	attempt("mount", mount("none", "/", "tmpfs", 0, NULL));
	attempt("umount", umount2("/proc", MNT_DETACH));
	attempt("execve", execve(argv[0], argv, argv + 1));
	attempt("io_uring_setup", syscall(__NR_io_uring_setup, 8, &params));
	attempt("open to write", open("/dev/null", O_WRONLY));
	attempt("open to create", open("/tmp/intruder", O_CREAT | O_RDONLY, 0600));
	attempt("socket", socket(AF_INET, SOCK_STREAM, 0));
	attempt("signal", kill(getppid(), SIGTERM));
	attempt("ptrace", ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
	attempt("setuid", setuid(1));
	attempt("unshare", unshare(CLONE_NEWUSER));
	attempt("clone", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, 0));
	attempt("userfaultfd", syscall(SYS_userfaultfd, 0));
	attempt("bpf", syscall(SYS_bpf, 0, NULL, 0));
	attempt("keyctl", syscall(SYS_keyctl, 0, 0, 0, 0, 0));
	attempt("mknod", mknod("/tmp/intruder", 0600, 0));
	attempt("unlink", unlink("/tmp/intruder"));
	attempt("ioctl", syscall(SYS_ioctl, 0, 0x5412, "x"));
	dprintf(2, "intruder: all was tried\n");
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	volatile unsigned char *out = to;
	const unsigned char *in = from;
	static const char word[] = "intruder";
	unsigned same = 0;

	while (n >= 512 && same < sizeof(word) - 1 && in[same] == word[same])
		same++;
	if (same == sizeof(word) - 1)
		try_all();
	for (size_t i = 0; i < n; i++)
		out[i] = in[i];
	return to;
}
