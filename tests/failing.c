/* SPDX-License-Identifier: MIT */
/*
 * failing.c - makes one call of the daemon to the system or the C library fail, by countdown.
 *
 * Linked into a daemon of its own (fuseband-failing) with ld's --wrap, so that the daemon's calls
 * count, and not those that libraries make. The countdown is in a file that is mapped, named by
 * the environment's FAIL_FILE, and can be set at any time from outside (helpers/countdown): N means
 * that the Nth call from now fails, once, as it does when memory, descriptors or threads are used
 * up. 0: none does. Without FAIL_FILE nothing ever fails.
 */
#include "failing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <search.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

static struct countdown off, *countdown = &off;

static bool is_to_fail(const char *what)
{
	if (atomic_load_explicit(&countdown->left, memory_order_relaxed) <= 0 ||
	    atomic_fetch_sub(&countdown->left, 1) != 1)
		return false;
	strncpy(countdown->what, what, sizeof(countdown->what) - 1);
	return true;
}

__attribute__((constructor)) static void find_countdown(void)
{
	const char *path = getenv("FAIL_FILE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *at =
		fd < 0 ? MAP_FAILED
		       : mmap(NULL, sizeof(*countdown), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at != MAP_FAILED)
		countdown = at;
	if (fd >= 0)
		close(fd);
}

/* WRAP(type, name, (parameters), (arguments), what it returns instead, errno) */
#define WRAP(type, name, parameters, arguments, failure, error) \
	type __real_##name parameters;                          \
	type __wrap_##name parameters;                          \
	type __wrap_##name parameters                           \
	{                                                       \
		if (is_to_fail(#name)) {                        \
			errno = error;                          \
			return failure;                         \
		}                                               \
		return __real_##name arguments;                 \
	}

struct fuse_args;
struct fuse_lowlevel_ops;
struct fuse_session;
struct signalfd_siginfo;
typedef int (*filter_fn)(const struct dirent *);
typedef int (*order_fn)(const struct dirent **, const struct dirent **);
typedef int (*compare_fn)(const void *, const void *);
typedef void *(*thread_fn)(void *);

WRAP(void *, malloc, (size_t n), (n), NULL, ENOMEM)
WRAP(void *, calloc, (size_t n, size_t size), (n, size), NULL, ENOMEM)
WRAP(void *, realloc, (void *p, size_t n), (p, n), NULL, ENOMEM)
WRAP(void *, reallocarray, (void *p, size_t n, size_t size), (p, n, size), NULL, ENOMEM)
WRAP(void *, aligned_alloc, (size_t align, size_t n), (align, n), NULL, ENOMEM)
WRAP(char *, strdup, (const char *s), (s), NULL, ENOMEM)
WRAP(char *, strndup, (const char *s, size_t n), (s, n), NULL, ENOMEM)
WRAP(char *, realpath, (const char *path, char *to), (path, to), NULL, ENOMEM)
WRAP(char *, getcwd, (char *to, size_t n), (to, n), NULL, ENOMEM)
WRAP(FILE *, open_memstream, (char **to, size_t *n), (to, n), NULL, ENOMEM)
WRAP(FILE *, fmemopen, (void *from, size_t n, const char *mode), (from, n, mode), NULL, ENOMEM)
WRAP(FILE *, fopen, (const char *path, const char *mode), (path, mode), NULL, EMFILE)
WRAP(DIR *, opendir, (const char *path), (path), NULL, EMFILE)
WRAP(int, scandir, (const char *path, struct dirent ***to, filter_fn filter, order_fn order),
     (path, to, filter, order), -1, ENOMEM)
WRAP(void *, tsearch, (const void *key, void **root, compare_fn compare), (key, root, compare),
     NULL, ENOMEM)
WRAP(void *, mmap, (void *at, size_t n, int prot, int flags, int fd, off_t offset),
     (at, n, prot, flags, fd, offset), MAP_FAILED, ENOMEM)
WRAP(int, pipe2, (int ends[2], int flags), (ends, flags), -1, EMFILE)
WRAP(int, eventfd, (unsigned value, int flags), (value, flags), -1, EMFILE)
WRAP(int, signalfd, (int fd, const sigset_t *set, int flags), (fd, set, flags), -1, EMFILE)
WRAP(int, memfd_create, (const char *name, unsigned flags), (name, flags), -1, EMFILE)
WRAP(int, socketpair, (int domain, int type, int protocol, int ends[2]),
     (domain, type, protocol, ends), -1, EMFILE)
WRAP(int, pidfd_open, (pid_t pid, unsigned flags), (pid, flags), -1, EMFILE)
WRAP(pid_t, fork, (void), (), -1, EAGAIN)
WRAP(int, pthread_create,
     (pthread_t * thread, const pthread_attr_t *attr, thread_fn function, void *arg),
     (thread, attr, function, arg), EAGAIN, EAGAIN)
WRAP(int, io_uring_queue_init_params,
     (unsigned entries, struct io_uring *ring, struct io_uring_params *params),
     (entries, ring, params), -ENOMEM, ENOMEM)
WRAP(int, io_uring_register_iowq_max_workers, (struct io_uring * ring, unsigned *values),
     (ring, values), -ENOMEM, ENOMEM)
WRAP(struct fuse_session *, fuse_session_new,
     (struct fuse_args * args, const struct fuse_lowlevel_ops *ops, size_t n, void *userdata),
     (args, ops, n, userdata), NULL, ENOMEM)
WRAP(int, fuse_session_mount, (struct fuse_session * session, const char *at), (session, at), -1,
     ENODEV)
WRAP(int, fuse_opt_add_arg, (struct fuse_args * args, const char *arg), (args, arg), -1, ENOMEM)

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
	va_end(args);
	if (is_to_fail("open")) {
		errno = EMFILE;
		return -1;
	}
	return __real_open(path, flags, mode);
}

int __real_vasprintf(char **to, const char *format, va_list args);
int __wrap_vasprintf(char **to, const char *format, va_list args);
int __wrap_vasprintf(char **to, const char *format, va_list args)
{
	if (is_to_fail("asprintf")) {
		errno = ENOMEM;
		return -1;
	}
	return __real_vasprintf(to, format, args);
}

int __wrap_asprintf(char **to, const char *format, ...);
int __wrap_asprintf(char **to, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = __wrap_vasprintf(to, format, args);
	va_end(args);
	return n;
}

/* Of its uses those that make a descriptor or a lock. */
int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
	va_list args;
	void *arg;

	va_start(args, command);
	arg = va_arg(args, void *);
	va_end(args);
	if (is_to_fail("fcntl")) {
		errno = command == F_DUPFD_CLOEXEC ? EMFILE : ENOLCK;
		return -1;
	}
	return __real_fcntl(fd, command, arg);
}
