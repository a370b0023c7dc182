/* SPDX-License-Identifier: MIT */
/* filter.c - see filter.h. */
#include "filter.h"
#include "log.h"

#ifndef FUSEBAND_SECCOMP

void filter_install(enum filter_kind kind)
{
	(void)kind;
}

bool filter_exists(void)
{
	return false;
}

#else

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAMESPACES                                                                     \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
	 CLONE_NEWPID | CLONE_NEWNET)

/* No kernel has this call any more (ENOSYS): under the filter it has another error. */
#define MARK SCMP_SYS(nfsservctl)
#define MARK_ERROR EMULTIHOP

/* Names that an architecture does not have are passed over. */
static const char *const both[] = {
	/* requests, answers, disks */
	"read",
	"write",
	"readv",
	"writev",
	"pread64",
	"pwrite64",
	"lseek",
	"_llseek",
	"io_uring_enter",
	"poll",
	"ppoll",
	"ppoll_time64",
	/* errands */
	"fdatasync",
	"fallocate",
	"socketpair",
	"sendmsg",
	"recvmsg",
	"recvfrom",
	"recv",
	/* memory */
	"mmap",
	"mmap2",
	"munmap",
	"mremap",
	"mprotect",
	"madvise",
	"mlock",
	"brk",
	/* threads */
	"futex",
	"futex_time64",
	"clone",
	"clone3",
	"set_robust_list",
	"rseq",
	"exit",
	"exit_group",
	"sched_yield",
	"sched_getaffinity",
	"getcpu",
	"gettid",
	"getpid",
	"geteuid",
	"geteuid32",
	"membarrier",
	/* signals, and to die of one */
	"rt_sigaction",
	"rt_sigprocmask",
	"rt_sigreturn",
	"sigreturn",
	"sigaltstack",
	"tgkill",
	"restart_syscall",
	/* time, log lines */
	"clock_gettime",
	"clock_gettime64",
	"clock_nanosleep",
	"clock_nanosleep_time64",
	"nanosleep",
	"gettimeofday",
	"time",
	"getrandom",
	"close",
	"fstat",
	"fstat64",
	"newfstatat",
	"fstatat64",
	"statx",
	"connect",
	"sendto",
	"send",
	/* MARK: fails in the other filter */
	"nfsservctl",
};

static const char *const data_path[] = {
	/* configuration and backings */
	"open",
	"openat",
	"openat2",
	"readlink",
	"readlinkat",
	"access",
	"faccessat",
	"faccessat2",
	"stat",
	"stat64",
	"lstat",
	"lstat64",
	"statfs",
	"statfs64",
	"fstatfs",
	"fstatfs64",
	"getdents64",
	"getcwd",
	"chdir",
	"fcntl",
	"fcntl64",
	"ioctl",
	"dup",
	"dup2",
	"dup3",
	"fadvise64",
	"ftruncate",
	"ftruncate64",
	"unlink",
	"unlinkat",
	"umask",
	"flock",
	"fsync",
	/* rings, descriptors */
	"io_uring_setup",
	"io_uring_register",
	"eventfd2",
	"signalfd4",
	"memfd_create",
	"pipe",
	"pipe2",
	"close_range",
	"select",
	"_newselect",
	"pselect6",
	/* parent and successor, name services */
	"socket",
	"epoll_create1", /* of systemd's */
	"epoll_ctl",
	"epoll_wait",
	"epoll_pwait",
	"epoll_pwait2",
	"timerfd_create",
	"timerfd_settime",
	"inotify_init1",
	"inotify_add_watch",
	"sendmmsg",
	"shutdown",
	"getsockopt",
	"setsockopt",
	"getsockname",
	"getpeername",
	/* a new parent, and what it does */
	"fork",
	"vfork",
	"execve",
	"execveat",
	"wait4",
	"waitid",
	"waitpid",
	"pidfd_open",
	"pidfd_send_signal",
	"kill",
	"tkill",
	"getppid",
	"getpgrp",
	"setsid",
	"mlockall",
	"munlock",
	"munlockall",
	"uname",
	"sysinfo",
	"getrlimit",
	"ugetrlimit",
	"setrlimit",
	"prlimit64",
	"getrusage",
	"prctl",
	"seccomp",
	"capget",
	"capset",
	"getuid",
	"getgid",
	"getegid",
	"getuid32",
	"getgid32",
	"getegid32",
	"getgroups",
	/* the start of a program */
	"arch_prctl",
	"set_tid_address",
	"set_thread_area",
	"set_tls",
	"rt_sigpending",
	"rt_sigtimedwait",
	"rt_sigsuspend",
	"riscv_flush_icache",
};

static int allow(scmp_filter_ctx filter, const char *const *names, size_t n)
{
	int r = 0;

	for (size_t i = 0; !r && i < n; i++) {
		int call = seccomp_syscall_resolve_name(names[i]);

		if (call != __NR_SCMP_ERROR)
			r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
	}
	return r;
}

static int allow_all(scmp_filter_ctx filter, enum filter_kind kind)
{
	int r = allow(filter, both, sizeof(both) / sizeof(both[0]));

	if (r)
		return r;
	if (kind == FILTER_DATA_PATH)
		return allow(filter, data_path, sizeof(data_path) / sizeof(data_path[0]));
	/* /proc/PID/status of callers, the time zone */
	r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
			     SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY));
	if (!r) /* whether a caller is still there */
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(kill), 1,
				     SCMP_A1_32(SCMP_CMP_EQ, 0));
	if (!r) /* syslog */
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				     SCMP_A0_32(SCMP_CMP_EQ, AF_UNIX));
	if (!r) /* whether a device has become smaller */
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
				     SCMP_A1_32(SCMP_CMP_EQ, (uint32_t)BLKGETSIZE64));
	return r;
}

static int load_list(enum filter_kind kind)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r = filter ? allow_all(filter, kind) : -ENOMEM;

	if (!r)
		r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(EPERM));
	if (!r)
		seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1); /* Linux 4.14 */
	if (!r)
		seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* libseccomp 2.5 */
	if (!r)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}

/*
 * No namespaces, which open more of the kernel to whoever makes them. The flags of clone3() cannot
 * be seen: ENOSYS, and the C library uses clone(). Apart from the list, as it is not logged.
 */
static int load_rest(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r = filter ? 0 : -ENOMEM;

	if (!r)
		r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW);
	if (!r)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	for (unsigned bit = 0; !r && bit < 32; bit++)
		if ((unsigned)NAMESPACES >> bit & 1)
			r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
					     SCMP_A0(SCMP_CMP_MASKED_EQ, 1U << bit, 1U << bit));
	if (!r)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(MARK_ERROR), MARK, 0);
	if (!r)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}

/* By a data path that our parent comes from: filters add up, one is enough. */
static bool is_installed(void)
{
#ifdef SYS_nfsservctl
	return syscall(SYS_nfsservctl, 0, NULL, NULL) < 0 && errno == MARK_ERROR;
#else
	return false;
#endif
}

void filter_install(enum filter_kind kind)
{
	bool installed = is_installed();
	int r = 0;

	if (!installed)
		r = load_rest();
	if (!r && (!installed || kind == FILTER_WORKER))
		r = load_list(kind);
	if (r)
		log_warning("system calls are not filtered: %s", strerror(-r));
}

bool filter_exists(void)
{
	return true;
}

#endif
