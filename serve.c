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
#include "accepted.h"
#include "crew.h"
#include "fence.h"
#include "front.h"
#include "log.h"
#include "plan.h"
#include "status.h"
#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#define STOP_NS UINT64_C(10000000000) /* how long queued requests may take to finish */
#define STOP_POLL_MS 5
#define WORKERS_AUTO_MAX 2L

struct serve {
	struct serve_setup *setup;
	struct conf_text text; /* as accepted */
	struct mount *mount;
	struct front *front;
	struct crew *crew;
	unsigned workers_configured;
	uint64_t memory_bytes; /* at the start */
	int link;	       /* to the parent, -1 */
};

/* ---- configuration ---- */

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

int serve_read(const char *config, struct conf_errors *errors, struct conf_text *ret_text,
	       struct conf **ret_conf)
{
	struct conf_text text = {0};
	int r = conf_read(config, errors, &text);

	if (r)
		return r;
	r = conf_parse(&text, errors, ret_conf);
	if (r)
		conf_text_free(&text);
	else
		*ret_text = text;
	return r;
}

static uint64_t memory_cap(const struct conf *conf)
{
	struct sysinfo info;

	if (conf->main.memory_bytes)
		return conf->main.memory_bytes;
	if (sysinfo(&info))
		return UINT64_C(256) << 20;
	return (uint64_t)info.totalram * info.mem_unit / 4;
}

static void set_log_level(const struct serve *s, const struct conf *conf)
{
	static const enum log_level levels[] = {
		[CONF_LEVEL_ERROR] = LOG_LEVEL_ERROR,
		[CONF_LEVEL_WARNING] = LOG_LEVEL_WARNING,
		[CONF_LEVEL_INFO] = LOG_LEVEL_INFO,
		[CONF_LEVEL_DEBUG] = LOG_LEVEL_DEBUG,
	};

	log_set_level(s->setup->debug ? LOG_LEVEL_DEBUG : levels[conf->main.log_level]);
}

static unsigned worker_count(const struct conf *conf)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (conf->main.workers)
		return conf->main.workers;
	return cpus < 1 ? 1 : (unsigned)(cpus < WORKERS_AUTO_MAX ? cpus : WORKERS_AUTO_MAX);
}

/* ---- what is to outlive us ---- */

static void lose_parent(struct serve *s);

/* To the parent, and into our own estate. The descriptors stay ours. */
static int bequeath(struct serve *s, struct link_message *message)
{
	int r = s->link < 0 ? 0 : link_send(s->link, message);

	if (r == -EPIPE || r == -ECONNRESET) {
		lose_parent(s);
		r = 0;
	}
	return r ? r : estate_apply(s->setup->estate, message);
}

static int compare_claims(const void *a, const void *b)
{
	const struct backing_claim *const *x = a, *const *y = b;

	return ((*x)->kept > (*y)->kept) - ((*x)->kept < (*y)->kept);
}

/* One name at a time or many descriptors: into messages of LINK_FDS. */
static int add_to(struct serve *s, struct link_message *message, uint64_t id, int fd)
{
	int r;

	message->ids[message->n_ids++] = id;
	if (fd >= 0)
		message->fds[message->n_fds++] = fd;
	if (message->n_ids < LINK_FDS)
		return 0;
	r = bequeath(s, message);
	message->n_ids = message->n_fds = 0;
	return r;
}

static int flush_message(struct serve *s, struct link_message *message)
{
	return message->n_ids ? bequeath(s, message) : 0;
}

static int send_new_claims(struct serve *s, struct backing_claim *const *claims, size_t n)
{
	struct link_message message = {.kind = LINK_CLAIM};
	int r = 0;

	for (size_t i = 0; !r && i < n; i++)
		if (!claims[i]->kept) {
			claims[i]->kept = s->setup->estate->next_claim++;
			r = add_to(s, &message, claims[i]->kept, claims[i]->fd);
		}
	return r ? r : flush_message(s, &message);
}

/* claims: sorted by name, those of this moment. */
static int send_old_claims(struct serve *s, struct backing_claim *const *claims, size_t n)
{
	const struct estate *estate = s->setup->estate;
	struct link_message message = {.kind = LINK_UNCLAIM};
	size_t at = 0;
	int r = 0;

	for (size_t i = 0; !r && i < estate->n_claims; i++) {
		uint64_t id = estate->claims[i].id;

		while (at < n && claims[at]->kept < id)
			at++;
		if (at == n || claims[at]->kept != id)
			r = add_to(s, &message, id, -1);
	}
	return r ? r : flush_message(s, &message);
}

static int send_claims(struct serve *s)
{
	const struct mount *mount = s->mount;
	struct backing_claim **claims =
		calloc(mount->n_files + mount->n_orphans + 1, sizeof(struct backing_claim *));
	size_t n = 0;
	int r;

	if (!claims)
		return -ENOMEM;
	for (size_t i = 0; i < mount->n_files + mount->n_orphans; i++) {
		const struct file *file =
			i < mount->n_files ? mount->files[i] : mount->orphans[i - mount->n_files];

		if (file->claim)
			claims[n++] = file->claim;
	}
	r = send_new_claims(s, claims, n);
	qsort(claims, n, sizeof(*claims), compare_claims);
	if (!r)
		r = send_old_claims(s, claims, n);
	free(claims);
	return r;
}

static int send_accepted(struct serve *s)
{
	struct estate *estate = s->setup->estate;
	struct link_message message = {.kind = LINK_ACCEPTED, .n_fds = 1};
	int before = estate->accepted_fd;
	int r = accepted_save(s->mount, &s->text, &message.fds[0]);

	if (r)
		return r;
	r = bequeath(s, &message);
	if (r)
		close(message.fds[0]);
	else if (before >= 0)
		close(before);
	return r;
}

/* What serves now is what a successor will serve. Workers are parked. */
static void commit(struct serve *s)
{
	struct link_message answer = {0};
	int r;

	if (!s->setup->estate)
		return;
	r = send_claims(s);
	if (!r)
		r = send_accepted(s);
	/* until it has let go of what is no longer claimed */
	while (!r && s->link >= 0 && answer.kind != LINK_SETTLED) {
		r = link_receive(s->link, true, &answer);
		if (r == -EPIPE) {
			lose_parent(s);
			r = 0;
		} else if (!r && answer.kind == LINK_SIGNAL) {
			raise((int)answer.value); /* it is blocked, and read in its turn */
		}
	}
	if (r)
		log_error("cannot be kept (%s): after a crash the configuration before this one "
			  "would be served",
			  strerror(-r));
}

/* The mount itself: once. */
static int bequeath_mount(struct serve *s)
{
	struct link_message mounted = {.kind = LINK_MOUNTED}, init = {.kind = LINK_INIT};
	struct pack pack;
	int r;

	if (!s->setup->estate)
		return 0;
	if (!s->front->can_resend) {
		log_info("this kernel cannot send requests again to a successor (Linux 6.9 can): a "
			 "crash ends the mount");
		s->setup->estate = NULL;
		return 0;
	}
	mounted.fds[mounted.n_fds++] = s->front->fd;
	for (unsigned i = 0; i < s->crew->n_workers; i++)
		mounted.fds[mounted.n_fds++] = s->crew->workers[i].session.fd;
	r = bequeath(s, &mounted);
	if (!r)
		r = pack_begin(&pack, "fuseband-init");
	if (r)
		return r;
	pack_bytes(&pack, s->front->init, s->front->init_bytes);
	r = pack_end(&pack, &init.fds[0]);
	if (r)
		return r;
	init.n_fds = 1;
	init.value = 1;
	return bequeath(s, &init);
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
static void settle_in_memory(void)
{
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0))
		log_debug("PR_SET_IO_FLUSHER: %s", strerror(errno));
	if (!geteuid() && mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT))
		log_warning("memory cannot be locked: %s", strerror(errno));
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

/* ---- signals ---- */

static void lose_parent(struct serve *s)
{
	close(s->link);
	s->link = s->setup->orphaned(s->setup->data);
	if (s->link < 0)
		log_error("the parent process is dead and cannot be replaced (%s): a crash would "
			  "end the mount",
			  strerror(-s->link));
	else
		log_warning("the parent process is dead: another one takes its place");
	if (s->link < 0)
		s->link = -1;
}

/* One that is to be acted on, or 0 when there is none. With a parent that is who says so. */
static int next_signal(struct serve *s)
{
	struct signalfd_siginfo info;
	struct link_message message;
	int r;

	while (read(s->setup->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (s->link < 0)
			return (int)info.ssi_signo;
		/* those that commit() came across have been through the parent */
		if (info.ssi_code == SI_TKILL && info.ssi_pid == (uint32_t)getpid())
			return (int)info.ssi_signo;
		r = link_say(s->link, LINK_SIGNAL, (int)info.ssi_signo);
		if (r)
			lose_parent(s);
		if (r)
			return (int)info.ssi_signo;
	}
	while (s->link >= 0) {
		r = link_receive(s->link, false, &message);
		if (r == -EAGAIN)
			break;
		if (r) {
			lose_parent(s);
			break;
		}
		if (message.kind == LINK_SIGNAL)
			return message.value;
	}
	return 0;
}

/* Until there is something for next_signal() or event_fd, or for so long. */
static void wait_for_anything(struct serve *s, int event_fd, int timeout_ms)
{
	struct pollfd fds[] = {
		{.fd = s->setup->signal_fd, .events = POLLIN},
		{.fd = s->link, .events = POLLIN},
		{.fd = event_fd, .events = POLLIN},
	};

	poll(fds, 3, timeout_ms);
}

/* ---- reload ---- */

static int plan_reload(struct serve *s, struct conf_text *ret_text, struct conf_errors *errors,
		       struct conf_errors *notes, struct plan **ret_plan)
{
	struct plan_running *running = NULL;
	struct conf *conf = NULL;
	size_t n_running = 0;
	int r = mount_running(s->mount, &running, &n_running);

	if (!r)
		r = serve_read(s->setup->config_path, errors, ret_text, &conf);
	if (!r)
		r = plan_make(conf, s->setup->mountpoint, running, n_running, PLAN_RUN,
			      &disks_system, errors, notes, ret_plan);
	free(running);
	return r;
}

static int switch_to(struct serve *s, const struct plan *plan, struct conf_text *text,
		     struct conf_errors *errors)
{
	int r = -EBUSY;

	if (!crew_park(s->crew))
		return r;
	r = mount_apply(s->mount, plan, errors);
	if (!r) {
		struct conf_text old = s->text;

		s->crew->memory_bytes = memory_cap(plan->conf);
		s->text = *text;
		*text = old;
		commit(s);
	}
	crew_resume(s->crew);
	mount_finish(s->mount);
	return r;
}

static void reload(struct serve *s)
{
	struct conf_errors errors = {0}, notes = {0};
	struct conf_text text = {0};
	struct plan *plan = NULL;
	int r;

	if (!s->setup->config_path) {
		log_error("reload refused: the configuration came from a pipe");
		return;
	}
	r = plan_reload(s, &text, &errors, &notes, &plan);
	if (!r)
		r = switch_to(s, plan, &text, &errors);
	log_errors(&errors);
	log_notes(&notes);
	if (r) {
		log_error("reload refused: the running configuration stays as it is");
	} else {
		set_log_level(s, plan->conf);
		if (plan->conf->main.workers != s->workers_configured)
			log_warning("a changed number of workers takes effect at the next start");
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
	for (size_t i = 0; i < mount->n_files + mount->n_orphans; i++) {
		const struct file *file =
			i < mount->n_files ? mount->files[i] : mount->orphans[i - mount->n_files];

		if (atomic_load(&file->kept->opens))
			log_warning("%s is still open: its users get errors from now on",
				    file->name);
	}
}

static uint64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
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

		wait_for_anything(s, -1, STOP_POLL_MS);
		signo = next_signal(s);
		if (signo == SIGTERM || signo == SIGINT)
			break;
	}
	parked = crew_park(s->crew);
	if (!parked) /* the others end at least, so that nobody issues what is answered here */
		crew_leave(s->crew);
	left = crew_unanswered(s->crew);
	if (left)
		log_error("%u requests did not finish and are answered with an error", left);
	crew_abandon(s->crew);
	return parked;
}

/* True: the kernel may still be writing to our memory, or libfuse would unmount what it must not.
 */
static bool stop(struct serve *s)
{
	bool stuck = false, elsewhere = false;
	unsigned left = 0;

	if (s->crew && !atomic_load(&s->crew->unmounted)) {
		stuck = !drain(s);
		log_open_files(s->mount);
	}
	if (s->front)
		elsewhere = !front_unmount(s->front);
	if (!stuck)
		left = crew_destroy(s->crew);
	if (stuck || left || elsewhere)
		return true;
	front_free(s->front);
	mount_free(s->mount);
	if (s->text.sources)
		conf_text_free(&s->text);
	return false;
}

/* ---- run ---- */

/* True: stop now. */
static bool on_signal(struct serve *s, int signo)
{
	switch (signo) {
	case SIGHUP:
		reload(s);
		return false;
	case SIGUSR1:
		status_log(s->mount);
		return false;
	case SIGUSR2:
		log_warning("upgrade in place needs `supervise = yes` and Linux 6.9 or newer");
		return false;
	default:
		log_info("stopping");
		return true;
	}
}

static void collect_garbage(struct serve *s)
{
	if (!atomic_load(&s->mount->garbage) || !crew_park(s->crew))
		return;
	mount_collect(s->mount);
	commit(s);
	crew_resume(s->crew);
	mount_finish(s->mount);
}

static void run(struct serve *s)
{
	for (;;) {
		uint64_t n;
		ssize_t r;
		int signo;

		wait_for_anything(s, s->crew->event_fd, -1);
		r = read(s->crew->event_fd, &n, sizeof(n));
		(void)r;
		collect_garbage(s);
		if (atomic_load(&s->crew->unmounted)) {
			log_info("unmounted");
			return;
		}
		while ((signo = next_signal(s)))
			if (on_signal(s, signo))
				return;
	}
}

static void begin(struct serve *s, struct serve_setup *setup)
{
	*s = (struct serve){.setup = setup, .link = setup->link};
	if (setup->estate) {
		settle_in_memory();
		watch_for_crashes(setup->estate->keep);
	}
}

static int end(struct serve *s, int status, bool *ret_abrupt)
{
	*ret_abrupt = stop(s);
	s->setup->link = s->link;
	return status;
}

/* ---- the first one ---- */

static int start_first(struct serve *s, struct plan *plan, struct conf_errors *errors)
{
	struct serve_setup *setup = s->setup;
	int r;

	s->workers_configured = plan->conf->main.workers;
	s->mount = mount_new();
	if (!s->mount)
		return -ENOMEM;
	s->mount->keep = setup->estate ? setup->estate->keep : NULL;
	if (mount_apply(s->mount, plan, errors))
		return -ENOMEM;
	mount_finish(s->mount);
	r = front_mount(s->mount, setup->mountpoint, setup->mount_options, setup->debug, &s->front);
	if (r) {
		fprintf(stderr, "fuseband: %s: cannot mount%s%s\n", setup->mountpoint,
			r == -EINVAL ? "" : ": ", r == -EINVAL ? "" : strerror(-r));
		return r;
	}
	r = crew_create(s->mount, s->front, worker_count(plan->conf), NULL, memory_cap(plan->conf),
			&s->crew);
	if (!r)
		r = bequeath_mount(s);
	if (!r) {
		commit(s);
		r = crew_start(s->crew, false);
	}
	if (r)
		fprintf(stderr, "fuseband: cannot start: %s\n", strerror(-r));
	return r;
}

int serve_first(struct serve_setup *setup, bool *ret_abrupt)
{
	struct conf_errors errors = {0}, notes = {0};
	struct plan *plan = NULL;
	int status = EXIT_FAILURE;
	struct serve s;
	int r;

	begin(&s, setup);
	s.text = setup->text;
	set_log_level(&s, setup->conf);
	r = plan_make(setup->conf, setup->mountpoint, NULL, 0, PLAN_RUN, &disks_system, &errors,
		      &notes, &plan);
	if (r)
		status = SERVE_REFUSED;
	else if (!start_first(&s, plan, &errors))
		status = 0;
	for (size_t i = 0; i < errors.n; i++)
		fprintf(stderr, "fuseband: %s\n", errors.list[i].text);
	log_notes(&notes);
	plan_free(plan);
	conf_errors_free(&errors);
	conf_errors_free(&notes);
	if (!status) {
		setup->ready(setup->data);
		log_info("serving %zu files at %s", s.mount->n_files, setup->mountpoint);
		run(&s);
	}
	return end(&s, status, ret_abrupt);
}

/* ---- the next one ---- */

/* Files that were removed but are open go behind those of the text. */
static int append_removed(struct conf *conf, const struct accepted *accepted)
{
	struct conf_file *files;

	files = reallocarray(conf->files, conf->n_files + accepted->n_files + 1, sizeof(*files));
	if (!files)
		return -ENOMEM;
	conf->files = files;
	for (size_t i = 0; i < accepted->n_files; i++) {
		const struct accepted_file *was = &accepted->files[i];
		struct conf_file *file = &files[conf->n_files];

		if (!was->removed)
			continue;
		*file = was->section;
		file->device = file->parent = -1;
		for (size_t d = 0; was->device && d < conf->n_devices; d++)
			if (!strcmp(conf->devices[d].name, was->device))
				file->device = (int)d;
		file->name = strdup(was->name);
		file->path = strdup(was->path);
		conf->n_files++;
		if (!file->name || !file->path)
			return -ENOMEM;
	}
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	const struct accepted_file *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static struct backing_claim *find_claim(struct backing_claim *const *claims, size_t n, uint64_t id)
{
	struct backing_claim key = {.kept = id}, *at = &key;
	struct backing_claim *const *found =
		id ? bsearch(&at, claims, n, sizeof(*claims), compare_claims) : NULL;

	return found ? *found : NULL;
}

static void recall(const struct accepted_file *was, struct backing_claim *const *claims,
		   size_t n_claims, struct plan_running *ret_running)
{
	*ret_running = (struct plan_running){
		.name = was->name,
		.claim = was->present ? find_claim(claims, n_claims, was->claim) : NULL,
		.path = was->path,
		.removed = was->removed,
		.id = was->id,
		.served_bytes = was->size_bytes,
		.object = was->object,
	};
}

/* What each file of conf was: *ret_running of conf->n_files, in their order. */
static int recall_all(const struct conf *conf, const struct accepted *accepted,
		      struct backing_claim *const *claims, size_t n_claims,
		      struct plan_running **ret_running)
{
	const struct accepted_file **by_name = calloc(accepted->n_files + 1, sizeof(*by_name));
	struct plan_running *running = calloc(conf->n_files + 1, sizeof(*running));
	size_t n = 0, at = 0;

	if (!by_name || !running) {
		free(by_name);
		free(running);
		return -ENOMEM;
	}
	for (size_t i = 0; i < accepted->n_files; i++)
		if (!accepted->files[i].removed)
			by_name[n++] = &accepted->files[i];
	qsort(by_name, n, sizeof(*by_name), compare_names);
	for (; at < conf->n_files; at++) {
		const struct accepted_file key = {.name = conf->files[at].name}, *k = &key;
		const struct accepted_file **found;

		if (at >= conf->n_files - (accepted->n_files - n))
			break; /* the removed ones */
		found = bsearch(&k, by_name, n, sizeof(*by_name), compare_names);
		if (found)
			recall(*found, claims, n_claims, &running[at]);
	}
	for (size_t i = 0; i < accepted->n_files; i++)
		if (accepted->files[i].removed)
			recall(&accepted->files[i], claims, n_claims, &running[at++]);
	free(by_name);
	*ret_running = running;
	return 0;
}

static int adopt_claims(const struct estate *estate, struct backing_claim ***ret_claims)
{
	struct backing_claim **claims =
		calloc(estate->n_claims + 1, sizeof(struct backing_claim *));
	int r = claims ? 0 : -ENOMEM;

	for (size_t i = 0; !r && i < estate->n_claims; i++)
		r = backing_claim_adopt(estate->claims[i].fd, estate->claims[i].id, &claims[i]);
	if (r)
		free(claims);
	else
		*ret_claims = claims;
	return r;
}

/* From what was accepted to a plan of it, and to a mount that is the same as before. */
static int recover_mount(struct serve *s, struct accepted *accepted)
{
	const struct estate *estate = s->setup->estate;
	struct conf_errors errors = {0}, notes = {0};
	struct plan_running *running = NULL;
	struct backing_claim **claims = NULL;
	struct conf *conf = NULL;
	struct plan *plan = NULL;
	int r = conf_parse(&accepted->text, &errors, &conf);

	if (!r) {
		set_log_level(s, conf);
		s->workers_configured = conf->main.workers;
		s->memory_bytes = memory_cap(conf);
		r = append_removed(conf, accepted);
		if (!r)
			r = adopt_claims(estate, &claims);
		if (!r)
			r = recall_all(conf, accepted, claims, estate->n_claims, &running);
		if (r)
			conf_free(conf);
	}
	if (!r)
		r = plan_make(conf, s->setup->mountpoint, running, conf->n_files, PLAN_RECOVER,
			      &disks_system, &errors, &notes, &plan);
	if (!r) {
		s->mount = mount_new();
		r = s->mount ? 0 : -ENOMEM;
	}
	if (!r) {
		s->mount->keep = estate->keep;
		s->mount->standby = true;
		s->mount->since = accepted->since;
		s->mount->next_id = accepted->next_id;
		r = mount_apply(s->mount, plan, &errors);
		s->mount->generation = accepted->generation;
	}
	log_errors(&errors);
	log_notes(&notes);
	for (size_t i = 0; claims && i < estate->n_claims; i++)
		backing_claim_unref(claims[i]);
	free(claims);
	free(running);
	plan_free(plan);
	conf_errors_free(&errors);
	conf_errors_free(&notes);
	return r;
}

static int recover_front(struct serve *s)
{
	const struct estate *estate = s->setup->estate;
	struct unpack unpack;
	size_t n = 0;
	char *init;
	int r = unpack_begin(&unpack, estate->init_fd);

	if (r)
		return r;
	init = unpack_bytes(&unpack, &n);
	r = unpack_end(&unpack);
	if (!r)
		r = front_adopt(s->mount, s->setup->mountpoint, estate->fuse_fd, init, n,
				s->setup->debug, &s->front);
	free(init);
	return r;
}

static int prepare_next(struct serve *s)
{
	const struct estate *estate = s->setup->estate;
	struct accepted accepted;
	int r = accepted_load(estate->accepted_fd, &accepted);

	if (r)
		return r;
	r = recover_mount(s, &accepted);
	if (!r) {
		s->text = accepted.text;
		accepted.text = (struct conf_text){0};
		r = recover_front(s);
	}
	accepted_free(&accepted);
	if (!r)
		r = crew_create(s->mount, s->front, estate->n_clones, estate->clones,
				s->memory_bytes, &s->crew);
	if (!r)
		r = crew_start(s->crew, true);
	return r;
}

/* False: the parent is gone before it came to that. */
static bool wait_for_go(struct serve *s)
{
	struct link_message message;

	for (;;) {
		if (link_receive(s->link, true, &message))
			return false;
		if (message.kind == LINK_GO)
			return true;
		if (message.kind == LINK_SIGNAL)
			raise(message.value);
	}
}

int serve_next(struct serve_setup *setup, bool *ret_abrupt)
{
	struct serve s;
	size_t waiting;
	int r;

	begin(&s, setup);
	*ret_abrupt = true; /* what would be freed is another process's, too */
	r = prepare_next(&s);
	if (r) {
		log_error("a successor cannot be prepared: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	setup->ready(setup->data);
	if (!wait_for_go(&s))
		return EXIT_FAILURE;
	s.mount->standby = false;
	waiting = fence_take_over(s.crew);
	crew_resume(s.crew);
	r = front_resend(s.front);
	if (r)
		log_error("the kernel does not send requests again: %s", strerror(-r));
	log_info("took over: %zu files%s", s.mount->n_files,
		 waiting ? ", some of them once the disk has done what it was told before" : "");
	atomic_store(&s.mount->garbage, true); /* what was closed meanwhile */
	eventfd_write(s.crew->event_fd, 1);
	setup->ready(setup->data);
	run(&s);
	return end(&s, 0, ret_abrupt);
}
