/* SPDX-License-Identifier: MIT */
/* supervise.c - see supervise.h. */
#include "clock.h"
#include "data_path.h"
#include "log.h"
#include "notify.h"
#include "privilege.h"
#include "restart.h"
#include "settings.h"
#include "steward.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SEC_NS UINT64_C(1000000000)
#define TICK_MS 1000
#define STANDBY_RETRY_NS (5 * SEC_NS)
#define STANDBY_END_MS 1000 /* from SIGKILL; it takes some milliseconds */
#define NAME_PARENT "fuseband"

struct supervisor {
	struct handover state; /* what another program in our place has to know */

	bool told_ready;
	int stopping; /* SIGTERM or SIGINT: what the data path was told. 0: neither */
	bool farewell;
	int status; /* with it */
	int missed; /* -errno: why something is not kept that came since the last ACCEPTED */

	struct restart restart;
	struct restart_pulse pulse;
	uint64_t standby_not_before_ns;
	bool standby_failed; /* in this episode */

	struct restart_signals signals;
};

/* ---- data paths ---- */

/*
 * Who serves is told who stands by: nobody else could tell the next parent. It may be busy for
 * long, so this does not wait.
 */
static int tell_heir(const struct supervisor *s, const struct child *child)
{
	struct link_message message = {.kind = LINK_HEIR, .value = child->pid};

	if (s->state.active.link < 0)
		return 0;
	if (child->link >= 0)
		message.fds[message.n_fds++] = child->link;
	if (child->pidfd >= 0)
		message.fds[message.n_fds++] = child->pidfd;
	return link_offer(s->state.active.link, &message);
}

static int spawn(struct supervisor *s, bool first, struct child *ret_child)
{
	struct child child = {.pidfd = -1, .ours = true};
	int ends[2], r = link_pair(ends);

	if (r)
		return r;
	child.link = ends[0];
	if (!first)
		r = tell_heir(s, &child); /* or it might see that nobody commands it */
	if (r) {
		close(ends[0]);
		close(ends[1]);
		return r;
	}
	child.pid = fork();
	if (child.pid == 0) {
		struct link_message go;

		close(ends[0]);
		/* nothing to undo, such as a mount, before it is certain that we are watched */
		if (first && link_receive(ends[1], true, &go))
			_exit(EXIT_FAILURE);
		/* which a parent that it starts may have, too */
		privilege_oom_score(PRIVILEGE_OOM_LAST);
		data_path_run(&s->state, ends[1], first);
	}
	r = child.pid < 0 ? -errno : 0;
	close(ends[1]);
	if (!r) {
		child.pidfd = pidfd_open(child.pid, 0);
		if (child.pidfd < 0) {
			r = -errno;
			kill(child.pid, SIGKILL);
			waitpid(child.pid, NULL, 0);
		} else if (first) {
			link_say(child.link, LINK_GO, 0);
		} else {
			tell_heir(s, &child);
		}
	}
	if (r) {
		close(ends[0]);
		if (!first)
			tell_heir(s, &CHILD_NONE);
		return r;
	}
	*ret_child = child;
	return 0;
}

static void end_standby(struct supervisor *s)
{
	struct pollfd pfd = {.fd = s->state.standby.pidfd, .events = POLLIN};

	if (!s->state.standby.pid)
		return;
	pidfd_send_signal(s->state.standby.pidfd, SIGKILL, NULL, 0);
	if (poll(&pfd, 1, STANDBY_END_MS) == 1)
		child_bury(&s->state.standby);
	else /* all guests may be waiting for us */
		log_error("a standby does not end, as a disk that hangs holds it: until it does, "
			  "files "
			  "that are no longer served stay claimed");
	child_forget(&s->state.standby);
	tell_heir(s, &s->state.standby);
}

static void start_standby(struct supervisor *s)
{
	int r;

	if (s->state.standby.pid || !s->state.active.ready || !s->state.estate.can_resend ||
	    monotonic_ns() < s->standby_not_before_ns)
		return;
	r = spawn(s, false, &s->state.standby);
	if (r) {
		if (!s->standby_failed)
			log_warning("no standby: %s; until there is one, and it is tried again, a "
				    "crash takes longer to recover from",
				    strerror(-r));
		s->standby_failed = true;
		s->state.standby = CHILD_NONE;
		s->standby_not_before_ns = monotonic_ns() + STANDBY_RETRY_NS;
	}
}

/* ---- the end ---- */

static void give_up(struct supervisor *s, int status)
{
	int r;

	s->farewell = true;
	s->status = status;
	atomic_store(&s->state.estate.keep->ended, 1);
	if (s->state.estate.fuse_fd < 0)
		return;
	/* who has files open gets errors from now on */
	r = steward_unmount(s->state.setup->serve.steward);
	if (r)
		log_error("%s cannot be unmounted: %s", s->state.setup->serve.mountpoint,
			  strerror(-r));
}

/* ---- taking over ---- */

/* Returns whether there is to be another one, after a pause if need be. */
static bool count_life(struct supervisor *s, bool crashed)
{
	uint64_t pause_ns;

	if (!restart_again(&s->restart, crashed, monotonic_ns(), &pause_ns)) {
		log_error("one data path after the other dies as soon as it serves: giving up. The "
			  "mount ends, and its users get errors; the lines above say why, start it "
			  "again when that is mended");
		return false;
	}
	if (pause_ns)
		nanosleep(&(struct timespec){.tv_nsec = (long)pause_ns}, NULL);
	return true;
}

static void go(struct supervisor *s)
{
	int r;

	if (!s->state.standby.pid) {
		r = spawn(s, false, &s->state.standby);
		if (r) {
			log_error("no process to take over: %s. The mount ends: start it again",
				  strerror(-r));
			s->state.standby = CHILD_NONE;
			give_up(s, EXIT_FAILURE);
			return;
		}
	}
	s->state.active = s->state.standby;
	s->state.active.ready = false;
	s->state.standby = CHILD_NONE;
	restart_begin(&s->restart, monotonic_ns());
	restart_pulse_begin(&s->pulse, monotonic_ns());
	link_say(s->state.active.link, LINK_GO, 0); /* if it is dead we shall see */
	if (s->stopping) /* the one before may have died of it, or before it */
		link_say(s->state.active.link, LINK_SIGNAL, s->stopping);
}

static bool handle_active(struct supervisor *s);
static void go_back(struct supervisor *s);

static void on_active_death(struct supervisor *s)
{
	siginfo_t info;
	bool suspected;
	char text[80];

	if (s->state.upgrading && !s->state.active.ready)
		go_back(s); /* it was of the new program. The old one buries it */
	info = child_bury(&s->state.active);
	suspected = atomic_load(&s->state.estate.keep->crashed) != 0;
	while (handle_active(s)) /* what it had still to say */
		;
	child_forget(&s->state.active);
	if (s->farewell)
		return;
	if (!s->told_ready) {
		if (info.si_code != CLD_EXITED)
			fprintf(stderr,
				"fuseband: the data path %s while it started: see the lines above, "
				"or the log\n",
				child_end(&info, text, sizeof(text)));
		give_up(s, info.si_code == CLD_EXITED ? info.si_status : EXIT_FAILURE);
		return;
	}
	if (!s->state.estate.can_resend) {
		log_error("the data path %s", child_end(&info, text, sizeof(text)));
		give_up(s, EXIT_FAILURE);
		return;
	}
	estate_forget(&s->state.estate);
	s->missed = 0;
	keep_bury(s->state.estate.keep, suspected);
	if (s->state.upgrading)
		log_info("the new program takes over");
	else
		log_warning("the data path %s: another one takes over",
			    child_end(&info, text, sizeof(text)));
	if (count_life(s, suspected || child_ended_by_itself(&info)))
		go(s);
	else
		give_up(s, EXIT_FAILURE);
}

static uint64_t rounds(const struct supervisor *s)
{
	uint64_t rounds = 0;

	for (unsigned i = 0; i < KEEP_WORKERS; i++)
		rounds += atomic_load(&s->state.estate.keep->workers[i].beat);
	return rounds;
}

/*
 * Who serves does a round a second, whatever its disks do. Who takes over waits for one, if at all,
 * in the kernel; if it does not, and sleeps, it will not wake up.
 */
static void look_for_signs_of_life(struct supervisor *s)
{
	bool serves = s->state.active.ready;
	uint64_t silent_ns = serves ? RESTART_SILENT_NS : RESTART_TAKEOVER_NS, beats;

	if (!s->told_ready || !s->state.active.pid || !s->state.estate.can_resend)
		return;
	if (serves)
		beats = rounds(s);
	else if (child_switches(&s->state.active, &beats))
		return; /* nobody knows */
	if (!restart_is_silent(&s->pulse, beats, silent_ns, monotonic_ns()))
		return;
	switch (child_state(&s->state.active)) {
	case CHILD_STOPPED: /* and rightly does nothing */
		break;
	case CHILD_ENDS:
		log_error("the data path was killed, but the kernel has not let go of it: it waits "
			  "for a disk that hangs, and nothing is served until that moves");
		break;
	case CHILD_WAITS:
		if (!serves) {
			log_error("the data path that takes over waits for a disk that hangs, and "
				  "nothing is served until that moves");
			break;
		}
		__attribute__((fallthrough)); /* its workers should not, whatever it does */
	case CHILD_RUNS:
		log_error("the data path has done nothing for %llu s: it is replaced",
			  (unsigned long long)(silent_ns / SEC_NS));
		pidfd_send_signal(s->state.active.pidfd, SIGKILL, NULL, 0);
		break;
	}
}

/* ---- upgrade ---- */

/* Returns only if it fails, with everything as before. */
static int execute(struct supervisor *s, int program, int old_program, bool upgrading)
{
	struct handover state;

	end_standby(s);
	state = s->state;
	state.old_program = old_program;
	state.upgrading = upgrading;
	return handover_execute(&state, program);
}

/* Say why, where it is looked for: the log and the status. */
static void refuse_upgrade(struct supervisor *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void refuse_upgrade(struct supervisor *s, const char *fmt, ...)
{
	char why[KEEP_ERROR_BYTES];
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);
	log_error("no upgrade: %s", why);
	keep_refuse_upgrade(&s->state.estate.keep->mount, why);
}

static void upgrade(struct supervisor *s)
{
	long version;
	int program, old, r;

	if (s->state.upgrading || s->stopping)
		return; /* it is under way (both processes may have been signalled), or to no
			   purpose */
	if (!s->state.estate.can_resend || !s->state.active.ready) {
		refuse_upgrade(s, "%s",
			       s->state.active.ready ? "it needs Linux 6.9 or newer"
						     : "a data path is just starting; try again");
		return;
	}
	program = open(s->state.program, O_PATH | O_CLOEXEC);
	version = program < 0 ? -1 : handover_version_of(s->state.program);
	if (version != (long)KEEP_VERSION) {
		if (program < 0)
			refuse_upgrade(s, "%s: %s", s->state.program, strerror(errno));
		else if (version < 0)
			refuse_upgrade(s, "%s is not a fuseband that runs here", s->state.program);
		else
			refuse_upgrade(s,
				       "%s keeps its state as version %ld, this one as %u; the "
				       "mount has to be stopped for that",
				       s->state.program, version, KEEP_VERSION);
		if (program >= 0)
			close(program);
		return;
	}
	old = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	r = old < 0 ? -errno : execute(s, program, old, true);
	refuse_upgrade(s, "%s: %s", s->state.program, strerror(-r));
	if (old >= 0)
		close(old);
	close(program);
}

/* The new program has a standby: the old data path may go. */
static void switch_to_upgrade(struct supervisor *s)
{
	log_info("the new program is ready");
	pidfd_send_signal(s->state.active.pidfd, SIGKILL, NULL, 0);
}

/* A data path of the new program serves. Until then there is a way back. */
static void finish_upgrade(struct supervisor *s)
{
	s->state.upgrading = false;
	s->state.estate.keep->upgrades++;
	close(s->state.old_program);
	s->state.old_program = -1;
}

static void go_back(struct supervisor *s)
{
	int r;

	log_error("the new program cannot start: back to the one that runs");
	keep_refuse_upgrade(&s->state.estate.keep->mount, "the new program cannot start");
	s->state.upgrading = false;
	r = execute(s, s->state.old_program, -1, false);
	log_error("which cannot be executed (%s): the data path is still the old one, after a "
		  "crash it would be the new one; put the old program back",
		  strerror(-r));
	close(s->state.old_program);
	s->state.old_program = -1;
}

/* ---- signals ---- */

static void on_signal(struct supervisor *s, int signo, bool at_data_path)
{
	if (!restart_is_new_signal(&s->signals, signo, at_data_path, monotonic_ns()))
		return;
	if (signo == SIGTERM || signo == SIGINT)
		s->stopping = signo;
	if (signo == SIGUSR2 && s->state.estate.fuse_fd >= 0)
		upgrade(s);
	else
		link_say(s->state.active.link, LINK_SIGNAL, signo);
}

static void read_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;

	while (read(s->state.setup->serve.signal_fd, &info, sizeof(info)) == sizeof(info))
		on_signal(s, (int)info.ssi_signo, false);
}

/* ---- messages ---- */

static void on_active_ready(struct supervisor *s)
{
	if (s->state.active.ready)
		return; /* it has said so to the parent before us */
	s->state.active.ready = true;
	restart_pulse_begin(&s->pulse, monotonic_ns());
	if (s->state.upgrading)
		finish_upgrade(s);
	if (s->told_ready)
		return;
	s->told_ready = true;
	restart_begin(&s->restart, monotonic_ns());
	privilege_drop(PRIVILEGE_PARENT);
	s->state.setup->ready(s->state.setup->data);
}

/*
 * What a successor needs. r: of link_receive(). A part of a configuration that cannot be kept is
 * told with the next SETTLED: who serves says what that means, and says all of it again.
 */
static void keep_message(struct supervisor *s, struct link_message *message, int r)
{
	if (!r)
		r = estate_apply(&s->state.estate, message);
	if (!r)
		return;
	if (message->kind != LINK_MOUNTED && message->kind != LINK_INIT)
		s->missed = r;
	else /* never said again */
		log_error("the mount cannot be kept: %s; a crash would end it. Allow more "
			  "descriptors (ulimit -n, LimitNOFILE of the unit) and start it again",
			  strerror(-r));
}

/* All of a configuration, or nothing, and the one before it stays. It waits, with all guests. */
static void on_accepted(struct supervisor *s, struct link_message *message, int r)
{
	if (!s->missed)
		s->missed = r;
	if (!s->missed) {
		end_standby(s); /* it has copies of claims, and does not know what is new */
		s->missed = estate_apply(&s->state.estate, message);
	}
	if (s->missed)
		estate_refuse(&s->state.estate);
	link_close_fds(message); /* what it says is its answer */
	message->kind = LINK_SETTLED;
	message->value = s->missed;
	link_send(s->state.active.link, message);
	s->missed = 0;
}

/* One message of the data path. False: there is none. */
static bool handle_active(struct supervisor *s)
{
	struct link_message message;
	int r = link_receive(s->state.active.link, false, &message);

	if (r == -EPROTO) { /* and if it waits for an answer, it is found to do nothing */
		log_error("a malformed message of the data path was dropped");
		s->missed = r;
		return true;
	}
	if (r && r != -EMFILE)
		return false;
	switch (message.kind) {
	case LINK_PREPARED: /* while it still stood by, which is not to say that it can serve */
		break;
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
		on_accepted(s, &message, r);
		break;
	default:
		keep_message(s, &message, r);
	}
	link_close_fds(&message); /* of one that brings none */
	return true;
}

static void handle_standby(struct supervisor *s)
{
	struct link_message message;

	if (link_receive(s->state.standby.link, false, &message))
		return;
	if (message.kind != LINK_PREPARED) {
		link_close_fds(&message);
		return;
	}
	s->state.standby.ready = true;
	s->standby_failed = false;
	if (s->state.upgrading)
		switch_to_upgrade(s);
}

static void on_standby_death(struct supervisor *s)
{
	siginfo_t info = child_bury(&s->state.standby);
	char text[80];

	child_forget(&s->state.standby);
	tell_heir(s, &s->state.standby);
	s->standby_not_before_ns = monotonic_ns() + STANDBY_RETRY_NS;
	if (!s->standby_failed)
		log_warning("the standby %s; a crash would take longer to recover from",
			    child_end(&info, text, sizeof(text)));
	s->standby_failed = true;
	if (s->state.upgrading)
		go_back(s);
}

/* ---- others ---- */

/* A standby that did not end when it should, or fuseband-admin: once they do, nothing is left of them. */
static void bury_others(const struct supervisor *s)
{
	siginfo_t info = {0};

	while (!waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid &&
	       info.si_pid != s->state.active.pid && info.si_pid != s->state.standby.pid) {
		waitpid(info.si_pid, NULL, 0);
		info.si_pid = 0;
	}
}

/* ---- the loop ---- */

/* As the configuration says, of which only who serves knows. */
static void follow_log_level(const struct supervisor *s)
{
	log_set_level((enum log_level)atomic_load(&s->state.estate.keep->log_level));
}

static void loop(struct supervisor *s)
{
	s->state.estate.keep->parent = (uint32_t)getpid();
	follow_log_level(s);
	while (!(s->farewell && !s->state.active.pid)) {
		struct pollfd fds[] = {
			{.fd = s->state.setup->serve.signal_fd, .events = POLLIN},
			{.fd = s->state.active.link, .events = POLLIN},
			{.fd = s->state.active.pidfd, .events = POLLIN},
			{.fd = s->state.standby.link, .events = POLLIN},
			{.fd = s->state.standby.pidfd, .events = POLLIN},
		};

		if (fds[2].fd < 0)
			break;
		start_standby(s);
		fds[3].fd = s->state.standby.link;
		fds[4].fd = s->state.standby.pidfd;
		if (poll(fds, 5, TICK_MS) < 0)
			continue;
		follow_log_level(s);
		if (fds[0].revents)
			read_signals(s);
		if (fds[2].revents) {
			on_active_death(s);
			continue;
		}
		if ((fds[1].revents & POLLIN) && handle_active(s))
			continue;
		if (fds[4].revents)
			on_standby_death(s);
		else if (fds[3].revents)
			handle_standby(s);
		look_for_signs_of_life(s);
		bury_others(s);
	}
}

/* Only the parent: it is small, and nobody else could say what has happened. */
static void settle_in_memory(void)
{
	privilege_lock_memory(0); /* a data path tells when that cannot be done */
	privilege_oom_score(PRIVILEGE_OOM_LAST);
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
	estate_free(&s->state.estate);
	free(s->state.program);
	return s->status;
}

int supervise(struct supervise_setup *setup, bool *ret_abrupt)
{
	struct supervisor s = {.state = {.setup = setup,
					 .active = CHILD_NONE,
					 .standby = CHILD_NONE,
					 .old_program = -1}};
	int r = estate_create(&s.state.estate);

	*ret_abrupt = false;
	if (!r)
		atomic_store(&s.state.estate.keep->log_level,
			     settings_log_level(&setup->serve.conf->main, setup->serve.debug));
	s.state.program = own_program();
	s.state.estate.owner = true;
	if (!r)
		r = spawn(&s, true, &s.state.active);
	if (r) {
		serve_cannot_start(r);
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
	    (pwrite(setup->pidfile_fd, text, (size_t)n, 0) != n ||
	     ftruncate(setup->pidfile_fd, n))) /* in this order: it is never empty */
		log_error("pid file %s: %s; the process to be signalled is %d now",
			  setup->pidfile_path, strerror(errno), (int)getpid());
}

int supervise_resume(const char *resume, struct supervise_setup *setup, bool *ret_abrupt)
{
	struct supervisor s = {.state.setup = setup, .told_ready = true};
	int r = handover_receive((int)strtol(resume, NULL, 10), &s.state);

	*ret_abrupt = false;
	unsetenv(SUPERVISE_RESUME);
	prctl(PR_SET_NAME, NAME_PARENT); /* it was started as /proc/self/exe, or by a descriptor */
	if (!r)
		r = serve_block_signals(&setup->serve.signal_fd);
	if (r) {
		/* the data path will see that nobody is there, and start its own program */
		log_error("cannot go on from what another program left: %s; the data path puts its "
			  "own program in its place",
			  strerror(-r));
		free(setup->pidfile_path); /* the mount goes on, and it is its file */
		setup->pidfile_path = NULL;
		return EXIT_FAILURE;
	}
	if (!setup->foreground)
		setup->detach(setup->data);
	rewrite_pidfile(setup);
	notify("MAINPID=%d", (int)getpid());
	privilege_hide(setup->serve.debug);
	settle_in_memory();
	privilege_drop(PRIVILEGE_PARENT);
	restart_pulse_begin(&s.pulse, monotonic_ns());
	restart_begin(&s.restart, monotonic_ns());
	loop(&s);
	return end(&s);
}
