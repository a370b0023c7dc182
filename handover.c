/* SPDX-License-Identifier: MIT */
/* handover.c - see handover.h. */
#include "handover.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK_MS 5000 /* a program may take so long to say what it is */

static void pack_number(struct pack *pack, long value)
{
	pack_u64(pack, (uint64_t)value);
}

static void pack_child(struct pack *pack, const struct child *child)
{
	pack_number(pack, child->pid);
	pack_number(pack, child->pidfd);
	pack_number(pack, child->link);
	pack_u64(pack, child->ready);
}

static struct child unpack_child(struct unpack *in)
{
	struct child child;

	child.pid = (pid_t)unpack_u64(in);
	child.pidfd = (int)unpack_u64(in);
	child.link = (int)unpack_u64(in);
	child.ready = unpack_u64(in);
	child.ours = false;
	return child;
}

static int write_down(const struct handover *state, int *ret_fd)
{
	const struct supervise_setup *setup = state->setup;
	const struct serve_setup *serve = &setup->serve;
	struct pack pack;
	int r = pack_begin(&pack, "fuseband-resume");

	if (r)
		return r;
	pack_u64(&pack, KEEP_VERSION);
	pack_string(&pack, state->program);
	pack_number(&pack, state->old_program);
	pack_u64(&pack, state->upgrading);
	pack_child(&pack, &state->active);
	pack_child(&pack, &state->standby);
	pack_string(&pack, serve->config);
	pack_string(&pack, serve->config_path);
	pack_string(&pack, serve->mountpoint);
	pack_string(&pack, serve->mount_options);
	pack_u64(&pack, serve->debug);
	pack_u64(&pack, setup->foreground);
	pack_number(&pack, serve->steward);
	pack_number(&pack, setup->pidfile_fd);
	pack_string(&pack, setup->pidfile_path);
	estate_pack(&state->estate, &pack);
	return pack_end(&pack, ret_fd);
}

static int read_back(int fd, struct handover *state)
{
	struct supervise_setup *setup = state->setup;
	struct serve_setup *serve = &setup->serve;
	struct unpack in;
	int r = unpack_begin(&in, fd);

	if (r)
		return r;
	r = unpack_u64(&in) == KEEP_VERSION ? 0 : -EPROTO;
	state->program = unpack_string(&in);
	state->old_program = (int)unpack_u64(&in);
	state->upgrading = unpack_u64(&in);
	state->active = unpack_child(&in);
	state->standby = unpack_child(&in);
	if (!r) {
		serve->config = unpack_string(&in);
		serve->config_path = unpack_string(&in);
		serve->mountpoint = unpack_string(&in);
		serve->mount_options = unpack_string(&in);
		serve->debug = unpack_u64(&in);
		setup->foreground = unpack_u64(&in);
		serve->steward = (int)unpack_u64(&in);
		setup->pidfile_fd = (int)unpack_u64(&in);
		setup->pidfile_path = unpack_string(&in);
		r = estate_unpack(&in, &state->estate);
	}
	if (unpack_end(&in))
		r = r ? r : -EPROTO;
	return r;
}

/* Everything that is to be there in the other program; state_fd: what is written down. */
static int each_descriptor(const struct handover *state, int state_fd,
			   int (*each)(int fd, void *data), void *data)
{
	const int fds[] = {state->active.pidfd,	     state->active.link,
			   state->standby.pidfd,     state->standby.link,
			   state->setup->pidfile_fd, state->setup->serve.steward,
			   state->old_program,	     state_fd};
	int r = estate_each(&state->estate, each, data);

	for (size_t i = 0; !r && i < sizeof(fds) / sizeof(fds[0]); i++)
		r = fds[i] < 0 ? 0 : each(fds[i], data);
	return r;
}

static int keep_at_exec(int fd, void *data)
{
	(void)data;
	return fcntl(fd, F_SETFD, 0) ? -errno : 0;
}

static int close_at_exec(int fd, void *data)
{
	(void)data;
	return fcntl(fd, F_SETFD, FD_CLOEXEC) ? -errno : 0;
}

static char *resume_variable(int fd)
{
	char *text;

	return asprintf(&text, SUPERVISE_RESUME "=%d", fd) < 0 ? NULL : text;
}

/* The environment, with where to resume from. Free the list, not its strings. */
static char **environment_with(char *variable)
{
	size_t n = 0, kept = 0;
	char **list;

	while (environ[n])
		n++;
	list = calloc(n + 2, sizeof(char *));
	if (!list)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (strncmp(environ[i], SUPERVISE_RESUME "=", sizeof(SUPERVISE_RESUME)) != 0)
			list[kept++] = environ[i];
	list[kept] = variable;
	return list;
}

/* A descriptor onto itself: exec does not close it. */
static int pass_on(int fd, void *actions)
{
	return -posix_spawn_file_actions_adddup2(actions, fd, fd);
}

int handover_spawn(const struct handover *state)
{
	posix_spawn_file_actions_t actions;
	char *variable = NULL, **environment = NULL;
	pid_t pid;
	int fd, r = write_down(state, &fd);

	if (r)
		return r;
	variable = resume_variable(fd);
	environment = variable ? environment_with(variable) : NULL;
	r = environment ? -posix_spawn_file_actions_init(&actions) : -ENOMEM;
	if (!r) {
		r = each_descriptor(state, fd, pass_on, &actions);
		if (!r)
			r = -posix_spawn(&pid, "/proc/self/exe", &actions, NULL, state->setup->argv,
					 environment);
		posix_spawn_file_actions_destroy(&actions);
	}
	close(fd);
	free(environment);
	free(variable);
	return r;
}

int handover_execute(const struct handover *state, int program)
{
	char *variable = NULL, **environment = NULL;
	int fd, r = write_down(state, &fd);

	if (r)
		return r;
	variable = resume_variable(fd);
	environment = variable ? environment_with(variable) : NULL;
	r = environment ? each_descriptor(state, fd, keep_at_exec, NULL) : -ENOMEM;
	if (!r) {
		fexecve(program, state->setup->argv, environment);
		r = -errno;
	}
	each_descriptor(state, fd, close_at_exec, NULL);
	close(fd);
	free(environment);
	free(variable);
	return r;
}

int handover_receive(int fd, struct handover *state)
{
	int r = read_back(fd, state);

	if (r)
		return r;
	each_descriptor(state, -1, close_at_exec, NULL);
	close(fd);
	state->active.ours = child_is_ours(&state->active);
	state->standby.ours = child_is_ours(&state->standby);
	return 0;
}

long handover_version_of(const char *program)
{
	char *argv[] = {(char *)(uintptr_t)program, "--version", NULL};
	posix_spawn_file_actions_t actions;
	char text[256] = "", *at;
	int ends[2], status = -1;
	long version = -1;
	size_t n = 0;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return -1;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	if (!posix_spawn(&pid, program, &actions, NULL, argv, environ)) {
		int pidfd = pidfd_open(pid, 0);
		struct pollfd pfd = {.fd = pidfd, .events = POLLIN};

		/* what it says fits into the pipe; it has to be over, not only to have spoken */
		if (pidfd < 0 || poll(&pfd, 1, CHECK_MS) != 1)
			kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		if (pidfd >= 0)
			close(pidfd);
	}
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	if (!status) { /* its children may hold the other end */
		ssize_t got = fcntl(ends[0], F_SETFL, O_NONBLOCK)
				      ? -1
				      : read(ends[0], text, sizeof(text) - 1);

		n = got > 0 ? (size_t)got : 0;
	}
	close(ends[0]);
	at = n > 0 && !status ? strstr(text, "state ") : NULL;
	if (at)
		version = strtol(at + strlen("state "), NULL, 10);
	return version;
}
