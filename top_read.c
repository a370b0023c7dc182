/* SPDX-License-Identifier: MIT */
/* top_read.c - see top_read.h. */
#include "top_read.h"
#include "mountinfo.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_NAME "/.fuseband/status.json"
#define PIECE_BYTES ((size_t)1 << 16)
#define TEXT_MOST_BYTES ((size_t)256 << 20) /* thousands of files are some MiB */

/* Before each answer. */
struct head {
	size_t len;
	bool failed;
};

struct top_reader {
	int fd;
	pid_t pid;
	size_t got; /* of head, then of text */
	struct head head;
	char *text;
};

char *top_mounts(void)
{
	struct mountinfo mounts;
	struct text text = {0};

	if (mountinfo_read(&mounts))
		return NULL;
	for (size_t i = 0; i < mounts.n; i++)
		if (!strcmp(mounts.list[i].type, "fuse.fuseband"))
			text_printf(&text, "%s%s", text.len ? ", " : "", mounts.list[i].point);
	mountinfo_free(&mounts);
	if (text.failed || !text.len) {
		text_free(&text);
		return NULL;
	}
	text_tame(text.data); /* text_printf() has put a NUL behind */
	return text.data;
}

/* ---- the process that reads ---- */

static void no_mount_here(const char *mount, struct text *text)
{
	char *mounts = top_mounts();

	text_printf(text, "%s is not where a fuseband is mounted (there is no %s" FILE_NAME "); ",
		    mount, mount);
	if (mounts)
		text_printf(text, "one serves %s", mounts);
	else
		text_add(text, "none is mounted here: start one, see fuseband(8)");
	free(mounts);
}

/* What is wrong, where, and what to do. */
static void explain(const char *mount, int error, struct text *text)
{
	struct stat st;

	if (error == ENOENT && stat(mount, &st))
		error = errno;
	else if (error == ENOENT)
		error = ENODATA;
	if (error == ENODATA || error == ENOTDIR)
		no_mount_here(mount, text);
	else if (error == ENOENT)
		text_printf(text, "%s: there is no such directory", mount);
	else if (error == EACCES || error == EPERM)
		text_printf(text,
			    "%s" FILE_NAME ": permission denied: only who started fuseband and "
			    "the group named by gid in [fuseband] may read it; try sudo",
			    mount);
	else if (error == ENOTCONN || error == ECONNABORTED)
		text_printf(text,
			    "%s: the mount is dead, its fuseband has ended without unmounting: "
			    "umount %s and start it again",
			    mount, mount);
	else if (error == ENFILE)
		text_printf(text, "%s" FILE_NAME ": too many programs have it open: close some",
			    mount);
	else
		text_printf(text, "%s" FILE_NAME ": %s", mount, strerror(error));
}

/* 0 or an error number. */
static int read_file(const char *path, struct text *text)
{
	char *piece = malloc(PIECE_BYTES + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int error = fd < 0 ? errno : piece ? 0 : ENOMEM;
	ssize_t n = 1;

	while (!error && n) {
		n = read(fd, piece, PIECE_BYTES);
		if (n < 0)
			error = errno;
		else if (text->len > TEXT_MOST_BYTES)
			error = EFBIG;
		piece[n < 0 ? 0 : n] = '\0';
		if (!error)
			text_add(text, piece); /* JSON has no NUL */
	}
	if (!error && text->failed)
		error = ENOMEM;
	if (fd >= 0)
		close(fd);
	free(piece);
	return error;
}

static bool send_all(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

static bool answer(int fd, const char *mount, const char *path)
{
	struct text text = {0};
	struct head head = {0};
	int error = read_file(path, &text);
	bool sent;

	/* a data path that died between the open and the first read took the text with it */
	if (error == ESTALE || error == EINTR) {
		text.len = 0;
		error = read_file(path, &text);
	}
	if (error) {
		text.len = 0;
		text.failed = false;
		explain(mount, error, &text);
		head.failed = true;
	}
	head.len = text.len;
	sent = send_all(fd, &head, sizeof(head)) && send_all(fd, text.data, text.len);
	text_free(&text);
	return sent;
}

static _Noreturn void read_when_asked(int fd, const char *mount)
{
	struct text path = {0};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char ask;

	/* who waits for our output is not to wait for a mount that hangs */
	for (int i = 0; null >= 0 && i <= STDERR_FILENO; i++)
		if (i != fd)
			dup2(null, i);
	text_printf(&path, "%s" FILE_NAME, mount);
	while (!path.failed && recv(fd, &ask, 1, 0) == 1 && answer(fd, mount, path.data))
		;
	_exit(0);
}

/* ---- the one that asks ---- */

int top_reader_start(const char *mount, struct top_reader **ret_reader)
{
	struct top_reader *reader = calloc(1, sizeof(*reader));
	int fds[2], r;

	if (!reader || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) {
		r = reader ? -errno : -ENOMEM;
		free(reader);
		return r;
	}
	reader->pid = fork();
	if (!reader->pid) {
		close(fds[0]);
		read_when_asked(fds[1], mount);
	}
	r = reader->pid < 0 ? -errno : 0;
	close(fds[1]);
	reader->fd = fds[0];
	if (r) {
		close(reader->fd);
		free(reader);
		return r;
	}
	*ret_reader = reader;
	return 0;
}

void top_reader_stop(struct top_reader *reader)
{
	if (!reader)
		return;
	close(reader->fd);
	waitpid(reader->pid, NULL, WNOHANG); /* who waits for the mount is init's from now on */
	free(reader->text);
	free(reader);
}

int top_reader_fd(const struct top_reader *reader)
{
	return reader->fd;
}

void top_reader_ask(struct top_reader *reader)
{
	reader->got = 0;
	/* if the process is gone, taking the answer will show it */
	(void)!send(reader->fd, "", 1, MSG_NOSIGNAL);
}

/* Some of `size` bytes at `to`, of which *got are there. 1: they are complete, 0 or -1 as above. */
static int take(int fd, void *to, size_t size, size_t *got)
{
	while (*got < size) {
		ssize_t n = recv(fd, (char *)to + *got, size - *got, MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n <= 0)
			return -1;
		*got += (size_t)n;
	}
	return 1;
}

int top_reader_take(struct top_reader *reader, const char **ret_text, size_t *ret_len,
		    bool *ret_failed)
{
	size_t got = reader->got - sizeof(reader->head);
	int r;

	if (reader->got < sizeof(reader->head)) {
		r = take(reader->fd, &reader->head, sizeof(reader->head), &reader->got);
		if (r <= 0)
			return r;
		free(reader->text);
		reader->text = malloc(reader->head.len + 1);
		if (!reader->text)
			return -1;
		got = 0;
	}
	r = take(reader->fd, reader->text, reader->head.len, &got);
	reader->got = sizeof(reader->head) + got;
	if (r <= 0)
		return r;
	reader->text[reader->head.len] = '\0';
	*ret_text = reader->text;
	*ret_len = reader->head.len;
	*ret_failed = reader->head.failed;
	return 1;
}
