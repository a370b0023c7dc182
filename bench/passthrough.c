/* SPDX-License-Identifier: MIT */
/*
 * passthrough - what fuseband is compared with: files through FUSE, and nothing else.
 *
 *     passthrough [-t THREADS] MOUNTPOINT FILE...
 *
 * Shows the files or block devices given as the files 1, 2 ... of MOUNTPOINT, and stays in the
 * foreground until SIGTERM or SIGINT. It is what one writes who follows libfuse's own examples
 * (passthrough_ll.c): libfuse's multi-threaded loop with its default number of threads, and in
 * each of them one blocking pread or pwrite for each request.
 *
 * For a fair race it has what the kernel offers to a disk that is used with O_DIRECT: direct_io,
 * asynchronous direct I/O, parallel writes to a file, requests of up to 1 MiB, room for many of
 * them in the kernel's queue, O_DIRECT below. Payloads go through one aligned buffer of each
 * thread, because libfuse 3.14 hands them over 80 bytes into a buffer of its own.
 *
 * Not handled: everything that a benchmark does not need, such as readdir, truncate, discard.
 */
#define FUSE_USE_VERSION 312

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef FOPEN_PARALLEL_DIRECT_WRITES /* headers before Linux 6.2 */
#define FOPEN_PARALLEL_DIRECT_WRITES (1 << 6)
#endif

#define MAX_FILES 64
#define MAX_REQUEST_BYTES ((size_t)1 << 20)
#define PAGE_BYTES 4096
#define BACKGROUND 1024 /* the kernel's default of 12 makes clients of great depth wait */

static int fds[MAX_FILES];
static unsigned n_files;

/* Inode numbers: 1 is the directory, n + 1 the file n. */
static int fd_of(fuse_ino_t ino)
{
	return fds[ino - FUSE_ROOT_ID - 1];
}

static char *thread_buffer(void)
{
	static _Thread_local char *buffer;

	if (!buffer)
		buffer = aligned_alloc(PAGE_BYTES, MAX_REQUEST_BYTES);
	return buffer;
}

static void fill_attr(fuse_ino_t ino, struct stat *ret)
{
	*ret = (struct stat){.st_ino = ino, .st_mode = S_IFDIR | 0755, .st_nlink = 2};
	if (ino == FUSE_ROOT_ID)
		return;
	ret->st_mode = S_IFREG | 0660;
	ret->st_nlink = 1;
	ret->st_size = lseek(fd_of(ino), 0, SEEK_END); /* of a block device, too */
}

static void op_init(void *data, struct fuse_conn_info *conn)
{
	(void)data;
	conn->want |= conn->capable & FUSE_CAP_ASYNC_DIO;
	conn->max_background = BACKGROUND;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	unsigned long n = strtoul(name, NULL, 10);
	struct fuse_entry_param entry = {.ino = n + FUSE_ROOT_ID};

	if (parent != FUSE_ROOT_ID || n < 1 || n > n_files) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	fill_attr(entry.ino, &entry.attr);
	fuse_reply_entry(req, &entry);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat attr;

	(void)fi;
	fill_attr(ino, &attr);
	fuse_reply_attr(req, &attr, 0);
}

/* libfuse 3.14 has no field for parallel writes: the raw reply. */
static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fuse_open_out out = {.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES};

	(void)ino;
	(void)fi;
	fuse_reply_buf(req, (const char *)&out, sizeof(out));
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t pos,
		    struct fuse_file_info *fi)
{
	char *buffer = thread_buffer();
	ssize_t n;

	(void)fi;
	if (!buffer) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	n = pread(fd_of(ino), buffer, size, pos);
	if (n < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_buf(req, buffer, (size_t)n);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t pos,
		     struct fuse_file_info *fi)
{
	char *buffer = thread_buffer();
	ssize_t n;

	(void)fi;
	if (!buffer) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	memcpy(buffer, data, size);
	n = pwrite(fd_of(ino), buffer, size, pos);
	if (n < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_write(req, (size_t)n);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)datasync;
	(void)fi;
	fuse_reply_err(req, fdatasync(fd_of(ino)) ? errno : 0);
}

static const struct fuse_lowlevel_ops ops = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.fsync = op_fsync,
};

int main(int argc, char **argv)
{
	struct fuse_args args = FUSE_ARGS_INIT(1, argv); /* the name */
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	struct fuse_session *session;
	int r = -1;

	if (argc > 2 && !strcmp(argv[1], "-t")) {
		unsigned threads = (unsigned)strtoul(argv[2], NULL, 10);

		fuse_loop_cfg_set_max_threads(config, threads);
		fuse_loop_cfg_set_idle_threads(config, threads);
		argc -= 2;
		argv += 2;
	}
	if (argc < 3 || argc - 2 > MAX_FILES) {
		fprintf(stderr, "usage: passthrough [-t THREADS] MOUNTPOINT FILE...\n");
		return 2;
	}
	for (; n_files < (unsigned)argc - 2; n_files++) {
		fds[n_files] = open(argv[n_files + 2], O_RDWR | O_DIRECT | O_CLOEXEC);
		if (fds[n_files] < 0) {
			perror(argv[n_files + 2]);
			return 1;
		}
	}
	session = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	if (session && config && !fuse_set_signal_handlers(session) &&
	    !fuse_session_mount(session, argv[1])) {
		r = fuse_session_loop_mt(session, config);
		fuse_session_unmount(session);
	}
	/* libfuse returns the number of the signal that ended it */
	return r < 0;
}
