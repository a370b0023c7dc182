/* SPDX-License-Identifier: MIT */
/*
 * serve.c - see serve.h.
 *
 *   plan (opened, claimed) -> mount -> what is to outlive us -> workers -> signals
 *
 * What the parent is told of a start or a reload goes out while no worker runs (commit()): whatever
 * a guest has seen of it, a successor knows.
 */
#include "serve.h"
#include "clock.h"
#include "crew.h"
#include "fence.h"
#include "front.h"
#include "log.h"
#include "notify.h"
#include "parent.h"
#include "plan.h"
#include "privilege.h"
#include "recover.h"
#include "reopen.h"
#include "settings.h"
#include "steward.h"
#include "watch.h"
#include "worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define STOP_NS UINT64_C(10000000000) /* how long queued requests may take to finish */
#define STOP_POLL_MS 5
#define CHORES_RETRY_NS UINT64_C(30000000000)
#define RETRY_MS 1000 /* without memory to keep what serves, or threads for fences */

struct serve {
	struct serve_setup *setup;
	struct conf_text text; /* as accepted */
	struct mount *mount;
	struct front *front;
	struct crew *crew;
	struct status_files *status;
	struct watch watch;
	struct reopen reopen;
	unsigned workers_configured;
	bool supervise_configured;
	uint64_t chores_not_before_ns;
	enum log_level log_level;
	struct parent parent; /* bequest.estate NULL: nothing outlives us */
};

/* ---- what is said ---- */

static void log_errors(const struct conf_errors *errors)
{
	for (size_t i = 0; i < errors->n; i++)
		log_error("%s", errors->list[i].text);
}

static void log_notes(const struct conf_errors *notes)
{
	for (size_t i = 0; i < notes->n; i++)
		log_warning("%s", notes->list[i].text);
}

/* The parent follows: it has no configuration of its own. */
static void tell_log_level(const struct serve *s)
{
	if (s->setup->estate)
		atomic_store(&s->setup->estate->keep->log_level, s->log_level);
}

static void set_log_level(struct serve *s, const struct conf_main *conf)
{
	s->log_level = settings_log_level(conf, s->setup->debug);
	log_set_level(s->log_level);
}

/* ---- the process itself ---- */

static struct keep *crash_keep; /* for the handler alone */

/* Note what was being done, then die of it. */
static void on_crash(int signo)
{
	atomic_store(&crash_keep->crashed, worker_touched());
	signal(signo, SIG_DFL);
	raise(signo);
}

static void watch_for_crashes(struct keep *keep)
{
	static const int list[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS};
	struct sigaction action = {.sa_handler = on_crash};

	crash_keep = keep;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		struct sigaction before;

		/* a sanitizer's own handler says more */
		if (!sigaction(list[i], NULL, &before) && before.sa_handler == SIG_DFL)
			sigaction(list[i], &action, NULL);
	}
}

/*
 * We are what dirty pages wait for: never swapped out, never waiting for memory that only we can
 * free. Without the right to it, as well as it goes.
 */
static void settle_in_memory(bool tell)
{
	int r = privilege_lock_memory(MCL_ONFAULT);

	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	if (r && tell)
		log_warning(
			"memory cannot be locked (%s): where it is short, its own disks may "
			"hold it up, and a crash may cost a request EIO; allow more (ulimit -l, "
			"LimitMEMLOCK of the unit)",
			strerror(-r));
}

void serve_cannot_start(int r)
{
	fprintf(stderr,
		"fuseband: cannot start: %s; more memory, processes or descriptors have to be "
		"allowed (ulimit -u -n, TasksMax of the unit)\n",
		strerror(-r));
}

int serve_block_signals(int *ret_signal_fd)
{
	static const int list[] = {SIGHUP, SIGTERM, SIGINT, SIGUSR1, SIGUSR2};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		sigaddset(&set, list[i]);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	*ret_signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return *ret_signal_fd < 0 ? -errno : 0;
}

/* ---- what a successor will serve ---- */

/* All of what serves now. Workers are parked. */
static void commit(struct serve *s)
{
	bool again = s->parent.bequest.failed;
	int r;

	if (!s->parent.bequest.estate)
		return;
	r = bequeath_accepted(&s->parent.bequest, s->mount, &s->text);
	if (r && !again)
		log_error(
			"the configuration cannot be kept (%s): after a crash the one before it "
			"would be served, until that is mended; it is tried every second. If "
			"too many files are open, allow more (ulimit -n, LimitNOFILE of the unit)",
			strerror(-r));
	if (!r && again)
		log_info("the configuration is kept");
	if (s->parent.bequest.broken)
		parent_lost(&s->parent);
	parent_miss_heir(&s->parent); /* who stood by knows what was before, and was told to end */
}

/* For what nobody waits for. If a worker is stuck, all others wait for PARK_NS: not again at once. */
static bool park_for_chores(struct serve *s)
{
	if (monotonic_ns() < s->chores_not_before_ns)
		return false;
	if (crew_park(s->crew))
		return true;
	s->chores_not_before_ns = monotonic_ns() + CHORES_RETRY_NS;
	return false;
}

/*
 * The workers go on, and then what may take its time. The claims of what was taken out stay as long
 * as our own estate and the parent have them.
 */
static void resume(struct serve *s)
{
	crew_resume(s->crew);
	mount_finish(s->mount, !s->parent.bequest.failed);
	fence_start(s->crew, LOG_LEVEL_WARNING);
}

/* What could not be kept for want of memory. */
static void commit_again(struct serve *s)
{
	if (!s->parent.bequest.failed || !park_for_chores(s))
		return;
	commit(s);
	resume(s);
}

/* ---- reload ---- */

static int plan_reload(struct serve *s, struct conf_text *ret_text, struct conf_errors *errors,
		       struct conf_errors *notes, struct plan **ret_plan)
{
	struct plan_running *running = NULL;
	struct conf *conf = NULL;
	size_t n_running = 0;
	int r = mount_running(s->mount, &running, &n_running);

	if (r)
		conf_error_add(errors, NULL, NULL, NULL, NULL, "%s", strerror(-r));
	else
		r = settings_read(s->setup->config_path, s->setup->mountpoint, errors, notes,
				  ret_text, &conf);
	if (!r)
		r = plan_make(conf, s->setup->mountpoint, running, n_running, PLAN_RUN,
			      &disks_system, errors, notes, ret_plan);
	free(running);
	return r;
}

static int switch_to(struct serve *s, struct plan *plan, struct conf_text *text,
		     struct conf_errors *errors)
{
	int r = -EBUSY;

	if (!crew_park(s->crew)) {
		conf_error_add(errors, NULL, NULL, NULL, NULL,
			       "a worker waits for a disk that hangs; try again when that moves");
		return r;
	}
	r = mount_apply(s->mount, plan, errors);
	if (!r) {
		struct conf_text old = s->text;

		s->crew->memory_bytes = settings_memory_bytes(&plan->conf->main);
		s->text = *text;
		*text = old;
		fence_take(s->crew); /* before any write */
		commit(s);
	}
	resume(s);
	return r;
}

/* For the service manager; reload or not. error: of a reload that was refused; NULL: none. */
static void tell_what_is_served(const struct serve *s, const char *error)
{
	notify("READY=1\nSTATUS=%s%s%sserving %zu files at %s, generation %llu",
	       error ? "reload refused: " : "", error ? error : "", error ? "; " : "",
	       s->mount->n_files, s->setup->mountpoint, (unsigned long long)s->mount->generation);
}

/* The first of what was wrong; NULL: nothing. */
static void note_outcome(const struct serve *s, const char *error)
{
	struct kept_mount *kept = mount_kept(s->mount);

	pthread_mutex_lock(&s->mount->reading);
	snprintf(kept->last_error, sizeof(kept->last_error), "%s", error ? error : "");
	if (error)
		kept->reloads_refused++;
	else
		kept->reloads++;
	pthread_mutex_unlock(&s->mount->reading);
	tell_what_is_served(s, error);
}

static void reload(struct serve *s)
{
	struct conf_errors errors = {0}, notes = {0};
	struct conf_text text = {0};
	struct plan *plan = NULL;
	int r;

	notify_reloading();
	if (!s->setup->config_path) {
		log_error("reload refused: the configuration came from a pipe and cannot be read "
			  "again; start it with -c FILE");
		note_outcome(s, "the configuration came from a pipe");
		return;
	}
	commit_again(s); /* or the parent may have what this one wants back */
	r = plan_reload(s, &text, &errors, &notes, &plan);
	if (!r)
		r = switch_to(s, plan, &text, &errors);
	log_errors(&errors);
	log_notes(&notes);
	if (r) {
		log_error("reload refused: the running configuration stays as it is; correct what "
			  "the lines above say");
		note_outcome(s, errors.n ? errors.list[0].text : strerror(-r));
	} else {
		note_outcome(s, NULL);
		watch_weights(s->mount, true);
		set_log_level(s, &plan->conf->main);
		tell_log_level(s);
		if (plan->conf->main.workers != s->workers_configured)
			log_warning("a changed number of workers takes effect at the next start");
		if (plan->conf->main.supervise != s->supervise_configured)
			log_warning("a changed `supervise` takes effect at the next start");
		log_info("reloaded: generation %llu, %zu files",
			 (unsigned long long)s->mount->generation, s->mount->n_files);
	}
	plan_free(plan);
	if (text.sources)
		conf_text_free(&text);
	conf_errors_free(&errors);
	conf_errors_free(&notes);
}

/* ---- stop ---- */

static void log_open_files(const struct mount *mount)
{
	for (size_t i = 0; i < mount_n_all(mount); i++) {
		const struct file *file = mount_file_at(mount, i);

		if (atomic_load(&file->kept->opens))
			log_warning("%s is still open: its users get errors from now on",
				    file->name);
	}
}

/*
 * Let what was read finish: until it has, STOP_NS have passed, or a second signal. False: a worker
 * is stuck in the kernel.
 */
static bool drain(struct serve *s)
{
	uint64_t until = monotonic_ns() + STOP_NS;
	unsigned left;
	bool parked;

	crew_drain(s->crew);
	if (crew_park(s->crew)) /* from here on nobody reads */
		crew_resume(s->crew);
	while (crew_unanswered(s->crew) && monotonic_ns() < until) {
		int signo;

		parent_wait(&s->parent, -1, STOP_POLL_MS);
		signo = parent_next_signal(&s->parent);
		if (signo == SIGTERM || signo == SIGINT)
			break;
	}
	parked = crew_park(s->crew);
	if (!parked) /* the others end at least, so that nobody issues what is answered here */
		crew_leave(s->crew);
	left = crew_unanswered(s->crew);
	if (left)
		log_error("%u requests did not finish and are answered with an error: what they "
			  "would have written is not there",
			  left);
	crew_abandon(s->crew);
	return parked;
}

/*
 * True: the kernel may still be writing to our memory, or libfuse would unmount what it must not.
 * *ret_unfinished: requests were left.
 */
static bool stop(struct serve *s, bool *ret_unfinished)
{
	bool stuck = false, elsewhere = false;
	unsigned left = 0;

	if (s->crew && !atomic_load(&s->crew->unmounted)) {
		stuck = !drain(s);
		log_open_files(s->mount);
	}
	if (s->front)
		elsewhere = !front_unmount(s->front);
	status_files_stop(s->status);
	if (!stuck)
		left = crew_destroy(s->crew);
	*ret_unfinished = stuck || (left && crew_unanswered(s->crew)); /* or fences are awaited */
	if (stuck || left || elsewhere)
		return true;
	status_files_free(s->status);
	front_free(s->front);
	mount_free(s->mount);
	if (s->text.sources)
		conf_text_free(&s->text);
	return false;
}

/* ---- run ---- */

/* What does not change any more. */
static struct snapshot_about about(const struct serve *s)
{
	return (struct snapshot_about){.config = s->setup->config_path,
				       .workers = s->crew->n_workers};
}

/* The files of .fuseband, from the first request on; a mount without them is one, too. */
static void start_status(struct serve *s)
{
	const struct snapshot_about told = about(s);
	int r = status_files_start(s->mount, &told, &s->status);

	if (r)
		log_error(
			"the status files cannot be served: %s; SIGUSR1 logs a status all the same",
			strerror(-r));
	s->front->status = s->status;
}

static void log_status(struct serve *s)
{
	const struct snapshot_about told = about(s);
	struct status *status;

	if (snapshot_take(s->mount, &told, &status))
		return;
	status_lines(status, log_asked);
	status_free(status);
}

/* True: stop now. */
static bool on_signal(struct serve *s, int signo)
{
	switch (signo) {
	case SIGHUP:
		reload(s);
		return false;
	case SIGUSR1:
		log_status(s);
		return false;
	case SIGUSR2:
		keep_refuse_upgrade(
			mount_kept(s->mount),
			"upgrade in place needs `supervise = yes` and Linux 6.9 or newer");
		log_warning("%s", mount_kept(s->mount)->upgrade_error);
		return false;
	default:
		log_info("stopping");
		notify("STOPPING=1\nSTATUS=Stopping: what was received is finished");
		return true;
	}
}

static void collect_garbage(struct serve *s)
{
	if (!atomic_load(&s->mount->garbage) || !park_for_chores(s))
		return;
	if (mount_collect(s->mount)) /* otherwise who stands by knows it all */
		commit(s);
	resume(s);
}

/* What could not be opened when we took over. */
static void find_lost(struct serve *s)
{
	size_t found;

	if (!reopen_look(&s->reopen, s->mount, s->crew->event_fd, monotonic_ns()) ||
	    !park_for_chores(s))
		return;
	found = reopen_settle(&s->reopen, s->mount);
	if (found) {
		fence_take(s->crew);
		commit(s); /* should it be lost again, that is news */
	}
	resume(s);
}

static int sooner_ms(int a, int b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

static void run(struct serve *s)
{
	for (;;) {
		uint64_t n;
		ssize_t r;
		int signo;

		int timeout_ms;

		watch_look(&s->watch, s->mount, monotonic_ns());
		find_lost(s);
		timeout_ms = sooner_ms(watch_timeout_ms(&s->watch, monotonic_ns()),
				       reopen_timeout_ms(&s->reopen, monotonic_ns()));
		if (s->parent.bequest.failed || s->crew->fences_late)
			timeout_ms = sooner_ms(timeout_ms, RETRY_MS);
		parent_wait(&s->parent, s->crew->event_fd, timeout_ms);
		r = read(s->crew->event_fd, &n, sizeof(n));
		(void)r;
		collect_garbage(s);
		commit_again(s);
		if (s->crew->fences_late)
			fence_start(s->crew, LOG_LEVEL_WARNING);
		if (atomic_load(&s->crew->unmounted)) {
			log_info("unmounted");
			return;
		}
		while ((signo = parent_next_signal(&s->parent)))
			if (on_signal(s, signo))
				return;
	}
}

static void begin(struct serve *s, struct serve_setup *setup, bool first)
{
	*s = (struct serve){
		.setup = setup,
		.parent = {.setup = setup,
			   .bequest = {.estate = setup->estate,
				       .link = setup->link,
				       .heir = HEIR_NONE}},
	};
	settle_in_memory(first);
	if (setup->estate)
		watch_for_crashes(setup->estate->keep);
	else
		privilege_oom_score(PRIVILEGE_OOM_LATE); /* otherwise once it serves */
}

static int end(struct serve *s, int status, bool *ret_abrupt)
{
	bool unfinished;

	*ret_abrupt = stop(s, &unfinished);
	if (s->parent.bequest.estate)
		atomic_store(&s->parent.bequest.estate->keep->ended, 1);
	return unfinished ? EXIT_FAILURE : status;
}

/* ---- the first one ---- */

/* No other process serves this mount from here on. */
static int take_first_turn(const struct estate *estate)
{
	struct keep_turn turn;
	int r = keep_turn_prepare(estate->keep, estate->keep_fd, &turn);

	return r ? r : keep_turn_take(estate->keep, &turn, false);
}

static int start_first(struct serve *s, struct plan *plan, struct conf_errors *errors)
{
	struct serve_setup *setup = s->setup;
	int r;

	s->workers_configured = plan->conf->main.workers;
	s->supervise_configured = plan->conf->main.supervise;
	s->mount = mount_new();
	if (!s->mount) {
		conf_error_add(errors, NULL, NULL, NULL, NULL, "out of memory");
		return -ENOMEM;
	}
	s->mount->keep = setup->estate ? setup->estate->keep : NULL;
	if (mount_apply(s->mount, plan, errors))
		return -ENOMEM;
	r = front_mount(s->mount, setup->mountpoint, setup->mount_options, setup->debug,
			gate_at_first(settings_memory_bytes(&plan->conf->main)), &s->front);
	if (r) {
		fprintf(stderr, "fuseband: %s: cannot mount%s%s\n", setup->mountpoint,
			r == -EINVAL ? "" : ": ", r == -EINVAL ? "" : strerror(-r));
		return r;
	}
	s->front->steward = setup->steward;
	steward_watch(setup->steward, s->front->dev);
	r = crew_create(s->mount, s->front, settings_workers(&plan->conf->main), NULL,
			settings_memory_bytes(&plan->conf->main), &s->crew);
	if (!r && s->parent.bequest.estate && !s->front->can_resend) {
		log_info("this kernel cannot send requests again to a successor (Linux 6.9 can): a "
			 "crash ends the mount");
		s->parent.bequest.estate = NULL;
	}
	if (!r && s->parent.bequest.estate)
		r = take_first_turn(s->parent.bequest.estate);
	if (!r && s->parent.bequest.estate)
		r = bequeath_mount(&s->parent.bequest, s->front, s->crew);
	if (!r) {
		commit(s);
		start_status(s);
		r = crew_start(s->crew, true);
	}
	if (r)
		serve_cannot_start(r);
	return r;
}

int serve_first(struct serve_setup *setup, bool *ret_abrupt)
{
	struct conf_errors errors = {0}, notes = {0};
	struct plan *plan = NULL;
	int status = EXIT_FAILURE;
	struct serve s;
	int r;

	begin(&s, setup, true);
	s.text = setup->text;
	set_log_level(&s, &setup->conf->main);
	r = plan_make(setup->conf, setup->mountpoint, NULL, 0, PLAN_RUN, &disks_system, &errors,
		      &notes, &plan);
	if (r)
		status = SERVE_REFUSED;
	else if (!start_first(&s, plan, &errors))
		status = 0;
	for (size_t i = 0; i < errors.n; i++)
		fprintf(stderr, "fuseband: %s\n", errors.list[i].text);
	if (!status)
		mount_kept(s.mount)->kernel_missed = watch_host("", !geteuid(), &notes);
	log_notes(&notes);
	plan_free(plan);
	conf_errors_free(&errors);
	conf_errors_free(&notes);
	if (!status) {
		privilege_drop(PRIVILEGE_DATA_PATH);
		fence_take(s.crew);
		resume(&s); /* may make threads, which have no more rights than this one */
		setup->ready(setup->data);
		log_info("serving %zu files at %s", s.mount->n_files, setup->mountpoint);
		tell_what_is_served(&s, NULL);
		watch_weights(s.mount, true);
		run(&s);
	}
	return end(&s, status, ret_abrupt);
}

/* ---- the next one ---- */

static int prepare_next(struct serve *s)
{
	struct estate *estate = s->setup->estate;
	struct recovered recovered = {0};
	int r = recover(estate, s->setup->mountpoint, s->setup->debug, &recovered);

	if (r)
		return r;
	s->mount = recovered.mount;
	s->front = recovered.front;
	s->front->steward = s->setup->steward;
	s->text = recovered.text;
	s->workers_configured = recovered.main.workers;
	s->supervise_configured = recovered.main.supervise;
	set_log_level(s, &recovered.main);
	r = crew_create(s->mount, s->front, estate->n_clones, estate->clones,
			settings_memory_bytes(&recovered.main), &s->crew);
	return r ? r : crew_start(s->crew, true);
}

/* Of who is not to serve. */
static int leave(struct serve_setup *setup)
{
	close(setup->link);
	setup->link = -1; /* no farewell: it is no end of the mount */
	return EXIT_FAILURE;
}

/*
 * Until it is our turn: somebody says so, or everybody who could is dead (supervise.h). False: it
 * never will be.
 */
static bool wait_for_turn(struct serve *s, const struct keep_turn *turn)
{
	struct keep *keep = s->setup->estate->keep;
	struct link_message message;
	bool alone;
	int r;

	do {
		r = link_receive(s->parent.bequest.link, true, &message);
		if (!r)
			link_close_fds(&message);
		if (!r && message.kind == LINK_END)
			return false;
	} while (!r && message.kind != LINK_GO);
	alone = r != 0;
	r = keep_turn_take(keep, turn, true); /* of who is dead, but not all of it yet */
	if (r && (r != -ESTALE || !alone))
		log_error("cannot take over: %s", strerror(-r));
	parent_forget_signals(&s->parent);
	if (r || !alone)
		return !r;
	log_warning("the parent process and the data path are dead: the standby takes over");
	keep_bury(keep, atomic_load(&keep->crashed) != 0);
	return true;
}

static bool has_lost(const struct mount *mount)
{
	for (size_t i = 0; i < mount->n_files; i++)
		if (mount->files[i]->lost)
			return true;
	return false;
}

int serve_next(struct serve_setup *setup, bool *ret_abrupt)
{
	struct keep_turn turn;
	struct serve s;
	size_t waiting;
	int r;

	begin(&s, setup, false);
	*ret_abrupt = true; /* what would be freed is another process's, too */
	r = keep_turn_prepare(setup->estate->keep, setup->estate->keep_fd, &turn);
	if (!r)
		r = prepare_next(&s);
	if (r)
		log_error("a successor cannot be prepared: %s", strerror(-r));
	privilege_drop(PRIVILEGE_DATA_PATH);
	if (!r) {
		log_debug("standing by to take over %zu files", s.mount->n_files);
		setup->prepared(setup->data);
	}
	if (r || !wait_for_turn(&s, &turn))
		return leave(setup);
	prctl(PR_SET_NAME, SERVE_NAME);
	mount_take_over(s.mount);
	tell_log_level(&s);
	watch_weights(s.mount, false);
	start_status(&s);
	waiting = fence_take(s.crew);
	if (has_lost(s.mount))
		commit(&s);	   /* so that who stands by next does not say it again */
	r = front_resend(s.front); /* before we read any: it means all that have no answer yet */
	if (r)
		log_error("the kernel does not send requests again: %s; who waits for one of "
			  "before the crash waits until the mount ends",
			  strerror(-r));
	crew_resume(s.crew);
	log_info("took over: %zu files%s", s.mount->n_files,
		 waiting ? ", some of them once the disk has done what it was told before" : "");
	fence_start(s.crew, LOG_LEVEL_DEBUG);  /* as after any crash under load */
	atomic_store(&s.mount->garbage, true); /* what was closed meanwhile */
	eventfd_write(s.crew->event_fd, 1);
	setup->ready(setup->data);
	tell_what_is_served(&s, NULL);
	run(&s);
	return end(&s, 0, ret_abrupt);
}
