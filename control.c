/* SPDX-License-Identifier: MIT */
/* control.c - see control.h. */
#include "control.h"
#include "clock.h"
#include "mountinfo.h"
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STATUS_BYTES 65536U /* what is looked for comes before the lists */
#define ERROR_BYTES 512U
#define POLL_NS 20000000L
#define WAIT_S 60

struct outcomes { /* so far */
	pid_t pid;
	uint64_t done, refused;
	char error[ERROR_BYTES]; /* of the last one refused */
};

struct order {
	int signo;
	const char *what, *done, *refused, *error; /* what: for messages; the rest: keys */
	int status;				   /* when it is refused */
};

static const struct order orders[] = {
	[CONTROL_RELOAD] = {SIGHUP, "reload", "reloads", "reloads_refused", "last_error",
			    EXIT_USAGE},
	[CONTROL_UPGRADE] = {SIGUSR2, "upgrade", "upgrades", "upgrades_refused", "upgrade_error",
			     EXIT_COULD_NOT_RUN},
};

/* ---- the status ---- */

/* What follows "key": in JSON without spaces. A quote within a string has a backslash before it. */
static const char *value_of(const char *text, const char *key)
{
	char wanted[64];
	const char *at;

	snprintf(wanted, sizeof(wanted), "\"%s\":", key);
	at = strstr(text, wanted);
	return at ? at + strlen(wanted) : NULL;
}

static bool number_of(const char *text, const char *key, uint64_t *ret_value)
{
	const char *value = value_of(text, key);

	if (!value || *value < '0' || *value > '9')
		return false;
	*ret_value = strtoull(value, NULL, 10);
	return true;
}

/* Empty for null. What is written as a number is not worth decoding here: '?'. */
static void string_of(const char *text, const char *key, char *out, size_t size)
{
	const char *at = value_of(text, key);
	size_t n = 0;

	if (at && *at == '"')
		for (at++; *at && *at != '"' && n + 1 < size; at++) {
			if (*at == '\\' && at[1] == 'u' && strlen(at) > 6) {
				out[n++] = '?';
				at += 5;
			} else {
				at += *at == '\\' && at[1];
				out[n++] = *at;
			}
		}
	out[n] = '\0';
}

static int read_start(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t got = 0;
	ssize_t n = 0;
	int r = 0;

	if (fd < 0)
		return -errno;
	while (got + 1 < size &&
	       ((n = read(fd, text + got, size - 1 - got)) > 0 || (n < 0 && errno == EINTR)))
		got += n > 0 ? (size_t)n : 0;
	if (n < 0)
		r = -errno;
	text[got] = '\0';
	close(fd);
	return r;
}

static int look(const char *path, const struct order *order, struct outcomes *ret_outcomes)
{
	char text[STATUS_BYTES];
	uint64_t pid;
	int r = read_start(path, text, sizeof(text));

	if (r)
		return r;
	if (!number_of(text, "pid", &pid) || pid < 2 || pid > INT32_MAX ||
	    !number_of(text, order->done, &ret_outcomes->done) ||
	    !number_of(text, order->refused, &ret_outcomes->refused))
		return -EPROTO;
	ret_outcomes->pid = (pid_t)pid;
	string_of(text, order->error, ret_outcomes->error, sizeof(ret_outcomes->error));
	return 0;
}

/* ---- the mount ---- */

/* Ours, and of this kind. Says what is wrong. */
static bool may_be_told(const char *mountpoint)
{
	struct mountinfo mounts;
	const struct mountinfo_line *found = NULL;
	int r = mountinfo_read(&mounts);

	if (r) {
		fprintf(stderr, "fuseband: /proc/self/mountinfo: %s\n", strerror(-r));
		return false;
	}
	for (size_t i = 0; i < mounts.n; i++)
		if (!strcmp(mounts.list[i].point, mountpoint))
			found = &mounts.list[i]; /* the last one covers the others */
	if (!found || strcmp(found->type, "fuse.fuseband") != 0) {
		fprintf(stderr,
			"fuseband: %s: is not the mount point of a fuseband; findmnt -t "
			"fuse.fuseband lists them\n",
			mountpoint);
		found = NULL;
	} else if (found->user != (long)geteuid()) {
		fprintf(stderr, "fuseband: %s: was mounted by user %ld, who alone may do this\n",
			mountpoint, found->user);
		found = NULL;
	}
	mountinfo_free(&mounts);
	return found;
}

void control_complain_dead(const char *mountpoint)
{
	fprintf(stderr,
		"fuseband: %s: is a dead FUSE mount: fusermount3 -uz %s, then start it again\n",
		mountpoint, mountpoint);
}

/* ---- telling ---- */

/* Its status cannot be read. */
static int complain_unread(const char *mountpoint, const char *path, int error)
{
	if (error == -ENOTCONN || error == -ECONNABORTED) /* the latter: just now */
		control_complain_dead(mountpoint);
	else if (error == -EPROTO)
		fprintf(stderr,
			"fuseband: %s: has not what is needed: is it another version of fuseband "
			"that serves it? Send the signal by hand\n",
			path);
	else
		fprintf(stderr, "fuseband: %s: %s; see the log of the fuseband that serves it\n",
			path, strerror(-error));
	return EXIT_COULD_NOT_RUN;
}

static int wait_for_outcome(const char *mountpoint, const char *path, const struct order *order,
			    const struct outcomes *before)
{
	uint64_t until_ns = monotonic_ns() + WAIT_S * UINT64_C(1000000000);
	struct outcomes now = *before;
	int r;

	while (monotonic_ns() <= until_ns) {
		nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
		r = look(path, order, &now);
		if (r == -ESTALE) /* one data path began the answer, and another one serves now */
			continue;
		if (r)
			return complain_unread(mountpoint, path, r);
		if (now.refused != before->refused) {
			fprintf(stderr, "fuseband: %s refused, nothing has changed: %s\n",
				order->what, now.error);
			return order->status;
		}
		if (now.done != before->done)
			return 0;
		if (now.pid != before->pid && order->signo == SIGUSR2) {
			fprintf(stderr,
				"fuseband: %s refused, nothing has changed: the new program ended; "
				"see the log\n",
				order->what);
			return order->status;
		}
	}
	fprintf(stderr,
		"fuseband: process %ld got the signal, but there was no %s within %d s: see its "
		"log\n",
		(long)before->pid, order->what, WAIT_S);
	return EXIT_COULD_NOT_RUN;
}

static int tell(const char *mountpoint, const char *path, const struct order *order)
{
	struct outcomes before = {0};
	int r = look(path, order, &before);

	if (r)
		return complain_unread(mountpoint, path, r);
	if (kill(before.pid, order->signo)) {
		fprintf(stderr, "fuseband: process %ld, which serves it: %s\n", (long)before.pid,
			strerror(errno));
		return EXIT_COULD_NOT_RUN;
	}
	return wait_for_outcome(mountpoint, path, order, &before);
}

int control(enum control_order order, const char *mountpoint)
{
	char *real = realpath(mountpoint, NULL), *path = NULL;
	int status = EXIT_USAGE;

	if (!real && errno == ENOTCONN)
		control_complain_dead(mountpoint);
	else if (!real)
		fprintf(stderr, "fuseband: %s: %s\n", mountpoint, strerror(errno));
	else if (asprintf(&path, "%s/.fuseband/status.json", real) < 0)
		status = EXIT_COULD_NOT_RUN;
	else if (may_be_told(real))
		status = tell(real, path, &orders[order]);
	free(path);
	free(real);
	return status;
}
