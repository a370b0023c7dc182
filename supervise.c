/* SPDX-License-Identifier: MIT */
/* supervise.c - see supervise.h. */
#include "supervise.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SEC_NS UINT64_C(1000000000)
#define TICK_MS 1000
#define HANG_NS (10 * SEC_NS)  /* no worker has done anything: each does once a second */
#define SHORT_LIFE_NS SEC_NS   /* of a data path */
#define SHORT_LIVES_MOST 10U   /* in a row */
#define SHORT_LIVES_AT_ONCE 3U /* from the next one on we wait, longer each time */
#define STANDBY_RETRY_NS (5 * SEC_NS)
#define SAME_SIGNAL_NS SEC_NS /* to both processes within this: one signal */
#define CHECK_MS 5000	      /* a new program may take so long to say what it is */
#define NAME_DATA_PATH "fuseband-io"

struct child {
	pid_t pid; /* 0: none */
	int pidfd, link;
	bool ready;
	bool ours; /* we are its parent; else it is that of a parent that died */
};

struct supervisor {
	struct supervise_setup *setup;
	struct estate estate;
	struct child active, standby;
	char *program;	 /* where it was started from */
	int old_program; /* during an upgrade: to go back to; else -1 */
	bool upgrading;

	bool told_ready;
	bool farewell;
	int status; /* with it */

	uint64_t went_ns; /* when the active one was told to serve */
	unsigned short_lives;
	uint64_t beat, beat_ns; /* its last sign of life */
	uint64_t standby_not_before_ns;
	bool standby_failed; /* in this episode */

	struct {
		unsigned times[2]; /* to us, to the data path */
		unsigned acted;
		uint64_t last_ns;
	} signals[NSIG];
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * SEC_NS + (uint64_t)ts.tv_nsec;
}

/* ---- what is written down for another program ---- */

static void pack_number(struct pack *pack, long value)
{
	pack_u64(pack, (uint64_t)value);
}

/* active: as whoever reads it will see it. */
static int pack_all(const struct supervise_setup *setup, const struct estate *estate,
		    const struct child *active, const char *program, int old_program,
		    bool upgrading, int *ret_fd)
{
	const struct serve_setup *serve = &setup->serve;
	struct pack pack;
	int r = pack_begin(&pack, "fuseband-resume");

	if (r)
		return r;
	pack_u64(&pack, KEEP_VERSION);
	pack_string(&pack, program);
	pack_number(&pack, old_program);
	pack_u64(&pack, upgrading);
	pack_number(&pack, active->pid);
	pack_number(&pack, active->pidfd);
	pack_number(&pack, active->link);
	pack_u64(&pack, active->ready);
	pack_string(&pack, serve->config);
	pack_string(&pack, serve->config_path);
	pack_string(&pack, serve->mountpoint);
	pack_string(&pack, serve->mount_options);
	pack_u64(&pack, serve->debug);
	pack_u64(&pack, setup->foreground);
	pack_number(&pack, setup->pidfile_fd);
	pack_string(&pack, setup->pidfile_path);
	estate_pack(estate, &pack);
	return pack_end(&pack, ret_fd);
}

static int unpack_all(int fd, struct supervisor *s)
{
	struct supervise_setup *setup = s->setup;
	struct serve_setup *serve = &setup->serve;
	struct unpack in;
	int r = unpack_begin(&in, fd);

	if (r)
		return r;
	r = unpack_u64(&in) == KEEP_VERSION ? 0 : -EPROTO;
	s->program = unpack_string(&in);
	s->old_program = (int)unpack_u64(&in);
	s->upgrading = unpack_u64(&in);
	s->active.pid = (pid_t)unpack_u64(&in);
	s->active.pidfd = (int)unpack_u64(&in);
	s->active.link = (int)unpack_u64(&in);
	s->active.ready = unpack_u64(&in);
	if (!r) {
		serve->config = unpack_string(&in);
		serve->config_path = unpack_string(&in);
		serve->mountpoint = unpack_string(&in);
		serve->mount_options = unpack_string(&in);
		serve->debug = unpack_u64(&in);
		setup->foreground = unpack_u64(&in);
		setup->pidfile_fd = (int)unpack_u64(&in);
		setup->pidfile_path = unpack_string(&in);
		r = estate_unpack(&in, &s->estate);
	}
	if (unpack_end(&in))
		r = r ? r : -EPROTO;
	return r;
}

static int set_cloexec(int fd, void *on)
{
	return fcntl(fd, F_SETFD, *(const bool *)on ? FD_CLOEXEC : 0) ? -errno : 0;
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

/* ---- data paths ---- */

static void child_forget(struct child *child)
{
	if (child->pidfd >= 0)
		close(child->pidfd);
	if (child->link >= 0)
		close(child->link);
	*child = (struct child){.pidfd = -1, .link = -1};
}

/* In the data path: it serves, or could. */
static void tell_ready(void *data)
{
	struct supervisor *s = data;

	link_say(s->setup->serve.link, LINK_READY, 0);
	if (!s->setup->foreground)
		s->setup->detach(s->setup->data);
}

struct spawning {
	posix_spawn_file_actions_t *actions;
};

static int pass_on(int fd, void *data)
{
	const struct spawning *spawning = data;

	/* a descriptor onto itself: not closed by exec */
	return -posix_spawn_file_actions_adddup2(spawning->actions, fd, fd);
}

static int spawn_parent(struct supervisor *s, int link, int self, int state)
{
	posix_spawn_file_actions_t actions;
	struct spawning spawning = {&actions};
	char *variable = resume_variable(state);
	char **environment = variable ? environment_with(variable) : NULL;
	pid_t pid;
	int r = environment ? -posix_spawn_file_actions_init(&actions) : -ENOMEM;

	if (!r) {
		r = estate_each(&s->estate, pass_on, &spawning);
		if (!r)
			r = pass_on(link, &spawning);
		if (!r)
			r = pass_on(self, &spawning);
		if (!r)
			r = pass_on(state, &spawning);
		if (!r && s->setup->pidfile_fd >= 0)
			r = pass_on(s->setup->pidfile_fd, &spawning);
		if (!r)
			r = -posix_spawn(&pid, "/proc/self/exe", &actions, NULL, s->setup->argv,
					 environment);
		posix_spawn_file_actions_destroy(&actions);
	}
	free(environment);
	free(variable);
	return r;
}

/* In the data path: a new parent, from this very program. */
static int adopt_parent(void *data)
{
	struct supervisor *s = data;
	struct child self = {.pid = getpid(), .ready = true};
	int ends[2], state, r = link_pair(ends);

	if (r)
		return r;
	self.pidfd = pidfd_open(self.pid, 0);
	self.link = ends[0];
	r = self.pidfd < 0 ? -errno
			   : pack_all(s->setup, &s->estate, &self, s->program, -1, false, &state);
	if (!r) {
		r = spawn_parent(s, ends[0], self.pidfd, state);
		close(state);
	}
	if (self.pidfd >= 0)
		close(self.pidfd);
	close(ends[0]);
	if (!r)
		return ends[1];
	close(ends[1]);
	return r;
}

/* In the new process. */
static void become_data_path(struct supervisor *s, int link, bool first)
{
	struct serve_setup *serve = &s->setup->serve;
	bool abrupt = false;
	int status;

	prctl(PR_SET_NAME, NAME_DATA_PATH);
	if (s->active.pid)
		child_forget(&s->active);
	if (s->standby.pid)
		child_forget(&s->standby);
	close(serve->signal_fd);
	if (s->old_program >= 0)
		close(s->old_program);
	s->estate.owner = false;
	serve->estate = &s->estate;
	serve->link = link;
	serve->ready = tell_ready;
	serve->orphaned = adopt_parent;
	serve->data = s;
	status = serve_block_signals(&serve->signal_fd) ? EXIT_FAILURE
		 : first				? serve_first(serve, &abrupt)
							: serve_next(serve, &abrupt);
	if (serve->link >= 0)
		link_say(serve->link, LINK_FAREWELL, status);
	if (abrupt)
		_exit(status);
	exit(status);
}

/* How readily the kernel takes a process when memory runs out: -1000 never .. 1000 first. */
static void set_oom_score(const char *score)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return;
	n = write(fd, score, strlen(score));
	(void)n; /* only root may lower it */
	close(fd);
}

static int spawn(struct supervisor *s, bool first, struct child *ret_child)
{
	struct child child = {.pidfd = -1, .ours = true};
	int ends[2], r = link_pair(ends);

	if (r)
		return r;
	child.link = ends[0];
	child.pid = fork();
	if (child.pid == 0) {
		close(ends[0]);
		set_oom_score("-900");
		become_data_path(s, ends[1], first);
	}
	r = child.pid < 0 ? -errno : 0;
	close(ends[1]);
	if (!r) {
		child.pidfd = pidfd_open(child.pid, 0);
		if (child.pidfd < 0) {
			r = -errno;
			kill(child.pid, SIGKILL);
			waitpid(child.pid, NULL, 0);
		}
	}
	if (r) {
		close(ends[0]);
		return r;
	}
	*ret_child = child;
	return 0;
}

/* Wait for its end. Returns what waitid() says, zeroes if it is not ours to wait for. */
static siginfo_t bury(struct child *child)
{
	struct pollfd pfd = {.fd = child->pidfd, .events = POLLIN};
	siginfo_t info = {0};

	while (poll(&pfd, 1, -1) < 0 && errno == EINTR)
		;
	if (child->ours && waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED))
		info = (siginfo_t){0};
	return info;
}

static void end_standby(struct supervisor *s)
{
	if (!s->standby.pid)
		return;
	pidfd_send_signal(s->standby.pidfd, SIGKILL, NULL, 0);
	bury(&s->standby);
	child_forget(&s->standby);
}

static void start_standby(struct supervisor *s)
{
	int r;

	if (s->standby.pid || !s->active.ready || !s->estate.can_resend ||
	    now_ns() < s->standby_not_before_ns)
		return;
	r = spawn(s, false, &s->standby);
	if (r) {
		log_warning("no standby: %s", strerror(-r));
		s->standby = (struct child){.pidfd = -1, .link = -1};
		s->standby_not_before_ns = now_ns() + STANDBY_RETRY_NS;
	}
}

/* ---- the end ---- */

static void give_up(struct supervisor *s, int status)
{
	s->farewell = true;
	s->status = status;
	if (s->estate.fuse_fd < 0)
		return;
	/* who has files open gets errors from now on */
	if (umount2(s->setup->serve.mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW) && errno == EPERM) {
		char *argv[] = {"fusermount3", "-u", "-q", "-z", "--", s->setup->serve.mountpoint,
				NULL};
		pid_t pid;

		if (!posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ))
			waitpid(pid, NULL, 0);
	}
}

static const char *how(const siginfo_t *info, char *text, size_t size)
{
	if (info->si_code == CLD_EXITED)
		snprintf(text, size, "ended with status %d", info->si_status);
	else if (info->si_code == CLD_KILLED || info->si_code == CLD_DUMPED)
		snprintf(text, size, "was killed by signal %d (%s)", info->si_status,
			 strsignal(info->si_status));
	else
		snprintf(text, size, "died");
	return text;
}

/* ---- taking over ---- */

/* Returns whether there is to be another one. */
static bool count_life(struct supervisor *s)
{
	bool is_short = now_ns() - s->went_ns < SHORT_LIFE_NS;

	s->short_lives = is_short ? s->short_lives + 1 : 0;
	if (s->short_lives >= SHORT_LIVES_MOST) {
		log_error("%u data paths in a row died within a second: giving up. The mount ends, "
			  "and its users get errors",
			  s->short_lives);
		return false;
	}
	if (s->short_lives > SHORT_LIVES_AT_ONCE) {
		struct timespec pause = {
			.tv_nsec = (long)(50000000U << (s->short_lives - SHORT_LIVES_AT_ONCE - 1))};

		pause.tv_sec = pause.tv_nsec / 1000000000;
		pause.tv_nsec %= 1000000000;
		nanosleep(&pause, NULL);
	}
	return true;
}

static void go(struct supervisor *s)
{
	int r;

	if (!s->standby.pid) {
		r = spawn(s, false, &s->standby);
		if (r) {
			log_error("no process to take over: %s", strerror(-r));
			s->standby = (struct child){.pidfd = -1, .link = -1};
			give_up(s, EXIT_FAILURE);
			return;
		}
	}
	s->active = s->standby;
	s->active.ready = false;
	s->standby = (struct child){.pidfd = -1, .link = -1};
	s->went_ns = s->beat_ns = now_ns();
	link_say(s->active.link, LINK_GO, 0); /* if it is dead we shall see */
}

static bool handle_active(struct supervisor *s);

static void on_active_death(struct supervisor *s)
{
	siginfo_t info = bury(&s->active);
	bool crashed = atomic_load(&s->estate.keep->crashed) != 0;
	char text[80];

	while (handle_active(s)) /* what it had still to say */
		;
	child_forget(&s->active);
	if (s->farewell)
		return;
	if (!s->told_ready) {
		if (info.si_code != CLD_EXITED)
			fprintf(stderr, "fuseband: the data path %s while it started\n",
				how(&info, text, sizeof(text)));
		s->farewell = true;
		s->status = info.si_code == CLD_EXITED ? info.si_status : EXIT_FAILURE;
		return;
	}
	if (!s->estate.can_resend) {
		log_error("the data path %s", how(&info, text, sizeof(text)));
		give_up(s, EXIT_FAILURE);
		return;
	}
	estate_forget(&s->estate);
	keep_bury(s->estate.keep, crashed);
	s->estate.keep->restarts++;
	if (s->upgrading)
		log_info("the new program takes over");
	else
		log_warning("the data path %s: another one takes over",
			    how(&info, text, sizeof(text)));
	if (count_life(s))
		go(s);
	else
		give_up(s, EXIT_FAILURE);
}

/* Is it stopped, by a debugger or an operator? Then it does nothing, and rightly so. */
static bool is_stopped(pid_t pid)
{
	char path[64], line[512], *end;
	FILE *file;
	bool stopped = false;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (file && fgets(line, sizeof(line), file) && (end = strrchr(line, ')')))
		stopped = end[1] && (end[2] == 'T' || end[2] == 't');
	if (file)
		fclose(file);
	return stopped;
}

/* Each worker that watches for requests does a round a second, whatever its disks do. */
static void look_for_signs_of_life(struct supervisor *s)
{
	uint64_t beat = 0, now = now_ns();

	if (!s->active.pid || !s->active.ready || !s->estate.can_resend)
		return;
	for (unsigned i = 0; i < KEEP_WORKERS; i++)
		beat += atomic_load(&s->estate.keep->workers[i].beat);
	if (beat != s->beat || is_stopped(s->active.pid)) {
		s->beat = beat;
		s->beat_ns = now;
	} else if (now - s->beat_ns > HANG_NS) {
		log_error("the data path has done nothing for %llu s: it is replaced",
			  (unsigned long long)(HANG_NS / SEC_NS));
		s->beat_ns = now;
		pidfd_send_signal(s->active.pidfd, SIGKILL, NULL, 0);
	}
}

/* ---- upgrade ---- */

/* What "PROGRAM --version" says of the state that it understands; -1: nothing. */
static long state_version_of(const char *program)
{
	char *argv[] = {(char *)(uintptr_t)program, "--version", NULL};
	posix_spawn_file_actions_t actions;
	struct pollfd pfd;
	char text[256] = "", *at;
	int ends[2], status = -1;
	long version = -1;
	ssize_t n = 0;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return -1;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	if (!posix_spawn(&pid, program, &actions, NULL, argv, environ)) {
		pfd = (struct pollfd){.fd = ends[0], .events = POLLIN};
		if (poll(&pfd, 1, CHECK_MS) == 1)
			n = read(ends[0], text, sizeof(text) - 1);
		else
			kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	posix_spawn_file_actions_destroy(&actions);
	close(ends[0]);
	close(ends[1]);
	at = n > 0 && !status ? strstr(text, "state ") : NULL;
	if (at)
		version = strtol(at + strlen("state "), NULL, 10);
	return version;
}

/* Execute another program in this process: returns only if that fails, with everything as before.
 */
static int execute(struct supervisor *s, int program, int old_program, bool upgrading)
{
	const bool no = false, yes = true;
	char *variable = NULL, **environment = NULL;
	int fds[] = {s->active.pidfd, s->active.link, s->setup->pidfile_fd, old_program, -1};
	int state, r;

	end_standby(s);
	r = pack_all(s->setup, &s->estate, &s->active, s->program, old_program, upgrading, &state);
	if (r)
		return r;
	fds[4] = state;
	variable = resume_variable(state);
	environment = variable ? environment_with(variable) : NULL;
	r = environment ? estate_each(&s->estate, set_cloexec, (void *)(uintptr_t)&no) : -ENOMEM;
	for (size_t i = 0; !r && i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			r = set_cloexec(fds[i], (void *)(uintptr_t)&no);
	if (!r) {
		fexecve(program, s->setup->argv, environment);
		r = -errno;
	}
	estate_each(&s->estate, set_cloexec, (void *)(uintptr_t)&yes);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			set_cloexec(fds[i], (void *)(uintptr_t)&yes);
	close(state);
	free(environment);
	free(variable);
	return r;
}

static void upgrade(struct supervisor *s)
{
	long version;
	int program, old, r;

	if (!s->estate.can_resend || !s->active.ready) {
		log_error("no upgrade: %s", s->active.ready
						    ? "it needs Linux 6.9 or newer"
						    : "a data path is just starting; try again");
		return;
	}
	program = open(s->program, O_PATH | O_CLOEXEC);
	version = program < 0 ? -1 : state_version_of(s->program);
	if (version != (long)KEEP_VERSION) {
		if (program < 0)
			log_error("no upgrade: %s: %s", s->program, strerror(errno));
		else if (version < 0)
			log_error("no upgrade: %s is not a fuseband that runs here", s->program);
		else
			log_error("no upgrade: %s keeps its state as version %ld, this one as %u; "
				  "the mount has to be stopped for that",
				  s->program, version, KEEP_VERSION);
		if (program >= 0)
			close(program);
		return;
	}
	old = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	r = old < 0 ? -errno : execute(s, program, old, true);
	log_error("no upgrade: %s: %s", s->program, strerror(-r));
	if (old >= 0)
		close(old);
	close(program);
}

/* The new program has a standby: the old data path may go. */
static void finish_upgrade(struct supervisor *s)
{
	log_info("the new program is ready");
	pidfd_send_signal(s->active.pidfd, SIGKILL, NULL, 0);
	on_active_death(s);
	s->upgrading = false;
	s->estate.keep->upgrades++;
	close(s->old_program);
	s->old_program = -1;
}

static void go_back(struct supervisor *s)
{
	int r;

	log_error("the new program cannot start: back to the one that runs");
	s->upgrading = false;
	r = execute(s, s->old_program, -1, false);
	log_error("which cannot be executed (%s): the data path is still the old one, after a "
		  "crash it would be the new one",
		  strerror(-r));
	close(s->old_program);
	s->old_program = -1;
}

/* ---- signals ---- */

/*
 * Who signals "both fusebands" means it once: of what arrives at the two processes within a
 * second, only what is more than the other one has had counts.
 */
static bool is_new_signal(struct supervisor *s, int signo, bool at_data_path)
{
	uint64_t now = now_ns();

	if (now - s->signals[signo].last_ns > SAME_SIGNAL_NS)
		memset(&s->signals[signo], 0, sizeof(s->signals[signo]));
	s->signals[signo].last_ns = now;
	if (++s->signals[signo].times[at_data_path] <= s->signals[signo].acted)
		return false;
	s->signals[signo].acted++;
	return true;
}

static void on_signal(struct supervisor *s, int signo, bool at_data_path)
{
	if (signo <= 0 || signo >= NSIG || !is_new_signal(s, signo, at_data_path))
		return;
	if (signo == SIGUSR2 && s->estate.fuse_fd >= 0)
		upgrade(s);
	else
		link_say(s->active.link, LINK_SIGNAL, signo);
}

static void read_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;

	while (read(s->setup->serve.signal_fd, &info, sizeof(info)) == sizeof(info))
		on_signal(s, (int)info.ssi_signo, false);
}

/* ---- messages ---- */

static void on_active_ready(struct supervisor *s)
{
	s->active.ready = true;
	s->beat_ns = now_ns();
	if (s->told_ready)
		return;
	s->told_ready = true;
	s->went_ns = now_ns();
	s->setup->ready(s->setup->data);
}

/* One message of the data path. False: there is none. */
static bool handle_active(struct supervisor *s)
{
	struct link_message message;
	int r = link_receive(s->active.link, false, &message);

	if (r == -EPROTO)
		log_error("a malformed message of the data path was dropped");
	if (r)
		return r == -EPROTO;
	switch (message.kind) {
	case LINK_READY:
		on_active_ready(s);
		break;
	case LINK_SIGNAL:
		on_signal(s, message.value, true);
		break;
	case LINK_FAREWELL:
		s->farewell = true;
		s->status = message.value;
		break;
	case LINK_ACCEPTED:
		end_standby(s); /* it has copies of claims, and does not know what is new */
		r = estate_apply(&s->estate, &message);
		link_say(s->active.link, LINK_SETTLED, 0);
		break;
	default:
		r = estate_apply(&s->estate, &message);
	}
	if (r)
		log_error("what the data path leaves cannot be kept: %s", strerror(-r));
	return true;
}

static void handle_standby(struct supervisor *s)
{
	struct link_message message;

	if (link_receive(s->standby.link, false, &message))
		return;
	if (message.kind != LINK_READY) {
		link_close_fds(&message);
		return;
	}
	s->standby.ready = true;
	s->standby_failed = false;
	if (s->upgrading)
		finish_upgrade(s);
}

static void on_standby_death(struct supervisor *s)
{
	siginfo_t info = bury(&s->standby);
	char text[80];

	child_forget(&s->standby);
	s->standby_not_before_ns = now_ns() + STANDBY_RETRY_NS;
	if (!s->standby_failed)
		log_warning("the standby %s; a crash would take longer to recover from",
			    how(&info, text, sizeof(text)));
	s->standby_failed = true;
	if (s->upgrading)
		go_back(s);
}

/* ---- the loop ---- */

static void loop(struct supervisor *s)
{
	while (!(s->farewell && !s->active.pid)) {
		struct pollfd fds[] = {
			{.fd = s->setup->serve.signal_fd, .events = POLLIN},
			{.fd = s->active.link, .events = POLLIN},
			{.fd = s->active.pidfd, .events = POLLIN},
			{.fd = s->standby.link, .events = POLLIN},
			{.fd = s->standby.pidfd, .events = POLLIN},
		};

		if (fds[2].fd < 0)
			break;
		start_standby(s);
		fds[3].fd = s->standby.link;
		fds[4].fd = s->standby.pidfd;
		if (poll(fds, 5, TICK_MS) < 0)
			continue;
		if (fds[0].revents)
			read_signals(s);
		if (fds[2].revents) {
			on_active_death(s);
			continue;
		}
		if (fds[1].revents & POLLIN)
			handle_active(s);
		else if (fds[4].revents)
			on_standby_death(s);
		else if (fds[3].revents)
			handle_standby(s);
		look_for_signs_of_life(s);
	}
}

/* Only the parent: it is small, and nobody else could say what has happened. */
static void settle_in_memory(void)
{
	if (!geteuid())
		mlockall(MCL_CURRENT | MCL_FUTURE);
	set_oom_score("-1000");
}

static char *own_program(void)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n < 0)
		return NULL;
	path[n] = '\0';
	if (n > 10 && !strcmp(path + n - 10, " (deleted)"))
		path[n - 10] = '\0';
	return strdup(path);
}

static int end(struct supervisor *s)
{
	end_standby(s);
	estate_free(&s->estate);
	free(s->program);
	return s->status;
}

int supervise(struct supervise_setup *setup, bool *ret_abrupt)
{
	struct supervisor s = {.setup = setup,
			       .active = {.pidfd = -1, .link = -1},
			       .standby = {.pidfd = -1, .link = -1},
			       .old_program = -1};
	int r = estate_create(&s.estate);

	*ret_abrupt = false;
	s.program = own_program();
	s.estate.owner = true;
	if (!r)
		r = spawn(&s, true, &s.active);
	if (r) {
		fprintf(stderr, "fuseband: cannot start: %s\n", strerror(-r));
		return EXIT_FAILURE;
	}
	if (setup->serve.text.sources)
		conf_text_free(&setup->serve.text);
	conf_free(setup->serve.conf);
	setup->serve.conf = NULL;
	settle_in_memory();
	loop(&s);
	return end(&s);
}

/* The pid file says who is to be signalled. */
static void rewrite_pidfile(const struct supervise_setup *setup)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	if (setup->pidfile_fd >= 0 &&
	    (ftruncate(setup->pidfile_fd, 0) || pwrite(setup->pidfile_fd, text, (size_t)n, 0) != n))
		log_error("pid file %s: %s", setup->pidfile_path, strerror(errno));
}

int supervise_resume(const char *resume, struct supervise_setup *setup, bool *ret_abrupt)
{
	const bool yes = true;
	struct supervisor s = {.setup = setup,
			       .standby = {.pidfd = -1, .link = -1},
			       .old_program = -1,
			       .told_ready = true};
	int state = (int)strtol(resume, NULL, 10);
	int r = unpack_all(state, &s);

	*ret_abrupt = false;
	unsetenv(SUPERVISE_RESUME);
	if (r) {
		/* the data path will see that nobody is there, and start its own program */
		log_error("cannot go on from what another program left: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	close(state);
	estate_each(&s.estate, set_cloexec, (void *)(uintptr_t)&yes);
	set_cloexec(s.active.pidfd, (void *)(uintptr_t)&yes);
	set_cloexec(s.active.link, (void *)(uintptr_t)&yes);
	if (setup->pidfile_fd >= 0)
		set_cloexec(setup->pidfile_fd, (void *)(uintptr_t)&yes);
	if (s.old_program >= 0)
		set_cloexec(s.old_program, (void *)(uintptr_t)&yes);
	s.active.ours = !waitid(P_PIDFD, (id_t)s.active.pidfd, &(siginfo_t){0},
				WEXITED | WNOHANG | WNOWAIT);
	r = serve_block_signals(&setup->serve.signal_fd);
	if (r) {
		log_error("signalfd: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	if (!setup->foreground)
		setup->detach(setup->data);
	rewrite_pidfile(setup);
	settle_in_memory();
	s.went_ns = s.beat_ns = now_ns();
	loop(&s);
	return end(&s);
}
