/* SPDX-License-Identifier: MIT */
/*
 * fuseband.c - order of start and stop, signals, reload.
 *
 *   arguments -> conf (text, then checked) -> plan (opened, claimed) -> mount -> workers
 *
 * Going to the background forks first and keeps stderr until the mount serves, so that foreground
 * and background fail in the same words and with the same status. The main thread then only waits
 * for signals; all of a reload but the switch-over happens while the workers work.
 */
#include "calibrate.h"
#include "conf.h"
#include "front.h"
#include "log.h"
#include "mount.h"
#include "mountinfo.h"
#include "options.h"
#include "plan.h"
#include "status.h"
#include "crew.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#define STOP_NS UINT64_C(10000000000) /* how long queued requests may take to finish */
#define STOP_POLL_MS 5
#define WORKERS_AUTO_MAX 2L

struct daemon {
	struct options options;
	char *config_path; /* absolute, for reloads; NULL: it cannot be read again */
	char *mountpoint;  /* absolute */
	struct mount *mount;
	struct front *front;
	struct crew *crew;
	unsigned workers_configured;
	int signal_fd;
	int pidfile_fd;
	char *pidfile_path;
	int ready_fd; /* of the waiting foreground process, or -1 */
};

/* ---- configuration ---- */

static void print_errors(const struct conf_errors *errors, bool to_log)
{
	for (size_t i = 0; i < errors->n; i++)
		if (to_log)
			log_error("%s", errors->list[i].text);
		else
			fprintf(stderr, "fuseband: %s\n", errors->list[i].text);
}

static int load(const char *config, const char *mountpoint, const struct plan_running *running,
		size_t n_running, enum plan_purpose purpose, struct conf_errors *errors,
		struct conf_errors *notes, struct plan **ret_plan)
{
	struct conf_text text = {0};
	struct conf *conf = NULL;
	int r = conf_read(config, errors, &text);

	if (r)
		return r;
	r = conf_parse(&text, errors, &conf);
	conf_text_free(&text);
	if (r)
		return r;
	return plan_make(conf, mountpoint, running, n_running, purpose, &disks_system, errors,
			 notes, ret_plan);
}

static int check(const struct options *options)
{
	struct conf_errors errors = {0}, notes = {0};
	struct plan *plan = NULL;
	char *mountpoint = options->mountpoint ? realpath(options->mountpoint, NULL) : NULL;
	int r = load(options->config, mountpoint, NULL, 0, PLAN_CHECK, &errors, &notes, &plan);

	print_errors(&errors, false);
	if (!r) {
		plan_print(plan, stdout);
		for (size_t i = 0; i < notes.n; i++)
			printf("%s\n", notes.list[i].text);
	}
	plan_free(plan);
	conf_errors_free(&errors);
	conf_errors_free(&notes);
	free(mountpoint);
	return r ? EXIT_USAGE : 0;
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

static void set_log_level(const struct daemon *d, const struct conf *conf)
{
	static const enum log_level levels[] = {
		[CONF_LEVEL_ERROR] = LOG_LEVEL_ERROR,
		[CONF_LEVEL_WARNING] = LOG_LEVEL_WARNING,
		[CONF_LEVEL_INFO] = LOG_LEVEL_INFO,
		[CONF_LEVEL_DEBUG] = LOG_LEVEL_DEBUG,
	};

	log_set_level(d->options.debug ? LOG_LEVEL_DEBUG : levels[conf->main.log_level]);
}

static void reload(struct daemon *d)
{
	struct conf_errors errors = {0}, notes = {0};
	struct plan_running *running = NULL;
	struct plan *plan = NULL;
	size_t n_running = 0;
	int r;

	if (!d->config_path) {
		log_error("reload refused: the configuration came from a pipe");
		return;
	}
	r = mount_running(d->mount, &running, &n_running);
	if (!r)
		r = load(d->config_path, d->mountpoint, running, n_running, PLAN_RUN, &errors,
			 &notes, &plan);
	if (!r) {
		r = -EBUSY;
		if (crew_park(d->crew)) {
			r = mount_apply(d->mount, plan, &errors);
			if (!r)
				d->crew->memory_bytes = memory_cap(plan->conf);
			crew_resume(d->crew);
			mount_finish(d->mount);
		}
	}
	print_errors(&errors, true);
	for (size_t i = 0; i < notes.n; i++)
		log_warning("%s", notes.list[i].text);
	if (r) {
		log_error("reload refused: the running configuration stays as it is");
	} else {
		set_log_level(d, plan->conf);
		if (plan->conf->main.workers != d->workers_configured)
			log_warning("a changed number of workers takes effect at the next start");
		log_info("reloaded: generation %llu, %zu files",
			 (unsigned long long)d->mount->generation, d->mount->n_files);
	}
	plan_free(plan);
	free(running);
	conf_errors_free(&errors);
	conf_errors_free(&notes);
}

/* ---- start ---- */

/* Thousands of files are thousands of descriptors. */
static void raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* Of two on one directory, the first one to end would unmount the other. */
static bool is_taken(const char *mountpoint)
{
	struct mountinfo mounts;
	bool taken = false;

	if (mountinfo_read(&mounts))
		return false;
	for (size_t i = 0; i < mounts.n; i++)
		taken = taken || (!strcmp(mounts.list[i].point, mountpoint) &&
				  !strcmp(mounts.list[i].type, "fuse.fuseband"));
	mountinfo_free(&mounts);
	return taken;
}

static int find_mountpoint(struct daemon *d)
{
	const char *path = d->options.mountpoint;
	struct stat st;

	d->mountpoint = realpath(path, NULL);
	if (!d->mountpoint || stat(d->mountpoint, &st)) {
		if (errno == ENOTCONN)
			fprintf(stderr,
				"fuseband: %s: a dead FUSE mount is in the way: fusermount3 -uz "
				"%s\n",
				path, path);
		else
			fprintf(stderr, "fuseband: %s: %s\n", path, strerror(errno));
		return EXIT_USAGE;
	}
	if (!S_ISDIR(st.st_mode)) {
		fprintf(stderr, "fuseband: %s: the mount point is not a directory\n", path);
		return EXIT_USAGE;
	}
	if (is_taken(d->mountpoint)) {
		fprintf(stderr, "fuseband: %s: is the mount point of another fuseband\n", path);
		return EXIT_USAGE;
	}
	return 0;
}

/* Locked as long as we live, so that a stale one can be told from one in use. */
static int write_pidfile(struct daemon *d)
{
	bool given = d->options.pidfile != NULL;
	const char *path = given ? d->options.pidfile : DEFAULT_PIDFILE;
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char text[32];
	int fd, n;

	if (!given && (d->options.foreground || geteuid()))
		return 0;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0 || fcntl(fd, F_OFD_SETLK, &lock)) {
		bool in_use = fd >= 0 && (errno == EAGAIN || errno == EACCES);

		fprintf(stderr, "fuseband: pid file %s: %s%s\n", path,
			in_use ? "is in use by another fuseband" : strerror(errno),
			given ? "" : "; this one goes without, use -p");
		if (fd >= 0)
			close(fd);
		return given ? EXIT_COULD_NOT_RUN : 0;
	}
	n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) || pwrite(fd, text, (size_t)n, 0) != n) {
		fprintf(stderr, "fuseband: pid file %s: %s\n", path, strerror(errno));
		close(fd);
		return EXIT_COULD_NOT_RUN;
	}
	d->pidfile_fd = fd;
	d->pidfile_path = realpath(path, NULL);
	return 0;
}

static int block_signals(struct daemon *d)
{
	static const int list[] = {SIGHUP, SIGTERM, SIGINT, SIGUSR1, SIGUSR2};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		sigaddset(&set, list[i]);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	d->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return d->signal_fd < 0 ? -errno : 0;
}

/*
 * Where the configuration is read again: absolute, but not without links, which may lead to another
 * file by then. Except those of the kernel: /dev/stdin is something else in the background. NULL: a
 * pipe.
 */
static char *path_for_reloads(const char *config)
{
	char *real = realpath(config, NULL), *dir = NULL, *path = NULL;

	if (!real || !strncmp(config, "/dev/", 5) || !strncmp(config, "/proc/", 6))
		return real;
	if (config[0] != '/' && !(dir = getcwd(NULL, 0)))
		return real;
	if (asprintf(&path, "%s%s%s", dir ? dir : "", dir ? "/" : "", config) < 0)
		path = NULL;
	free(dir);
	free(real);
	return path;
}

static unsigned worker_count(const struct conf *conf)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (conf->main.workers)
		return conf->main.workers;
	return cpus < 1 ? 1 : (unsigned)(cpus < WORKERS_AUTO_MAX ? cpus : WORKERS_AUTO_MAX);
}

/* Everything until requests are served. Returns an exit status; what was made is in d. */
static int start(struct daemon *d)
{
	struct conf_errors errors = {0}, notes = {0};
	struct plan *plan = NULL;
	int r = find_mountpoint(d), status = EXIT_COULD_NOT_RUN;

	if (r)
		return r;
	raise_limits();
	r = load(d->options.config, d->mountpoint, NULL, 0, PLAN_RUN, &errors, &notes, &plan);
	if (r) {
		status = EXIT_USAGE;
		goto out;
	}
	d->config_path = path_for_reloads(d->options.config);
	set_log_level(d, plan->conf);
	d->workers_configured = plan->conf->main.workers;
	d->mount = mount_new();
	if (!d->mount || mount_apply(d->mount, plan, &errors))
		goto out;
	mount_finish(d->mount);
	r = block_signals(d);
	if (r) {
		fprintf(stderr, "fuseband: signalfd: %s\n", strerror(-r));
		goto out;
	}
	if (write_pidfile(d))
		goto out;
	r = front_mount(d->mount, d->mountpoint, d->options.mount_options, d->options.debug,
			&d->front);
	if (r) {
		fprintf(stderr, "fuseband: %s: cannot mount%s%s\n", d->mountpoint,
			r == -EINVAL ? "" : ": ", r == -EINVAL ? "" : strerror(-r));
		goto out;
	}
	r = crew_create(d->mount, d->front, worker_count(plan->conf), memory_cap(plan->conf),
			&d->crew);
	if (!r)
		r = crew_start(d->crew);
	if (r) {
		fprintf(stderr, "fuseband: cannot start: %s\n", strerror(-r));
		goto out;
	}
	status = 0;
out:
	print_errors(&errors, false);
	for (size_t i = 0; i < notes.n; i++)
		log_warning("%s", notes.list[i].text);
	plan_free(plan);
	conf_errors_free(&errors);
	conf_errors_free(&notes);
	return status;
}

/* Cut the ties to whoever started us, and tell that we serve. */
static void detach(struct daemon *d)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char status = 0;
	ssize_t n;

	log_to_syslog();
	if (chdir("/"))
		log_warning("cannot go to /: %s", strerror(errno));
	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	n = write(d->ready_fd, &status, 1);
	(void)n;
	close(d->ready_fd);
	d->ready_fd = -1;
}

/* In the foreground process: wait until the mount serves or has failed. Returns the exit status. */
static int wait_until_ready(int fd, pid_t child)
{
	char status;
	ssize_t n;
	int wait_status;

	do
		n = read(fd, &status, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		return status;
	if (waitpid(child, &wait_status, 0) == child && WIFEXITED(wait_status))
		return WEXITSTATUS(wait_status);
	fprintf(stderr, "fuseband: died while it started\n");
	return EXIT_COULD_NOT_RUN;
}

/* ---- stop ---- */

static void log_open_files(const struct mount *mount)
{
	for (size_t i = 0; i < mount->n_files + mount->n_orphans; i++) {
		const struct file *file =
			i < mount->n_files ? mount->files[i] : mount->orphans[i - mount->n_files];

		if (atomic_load(&file->opens))
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
static bool drain(struct daemon *d)
{
	uint64_t until = monotonic_ns() + STOP_NS;
	unsigned left;
	bool parked;

	crew_drain(d->crew);
	if (crew_park(d->crew)) /* from here on nobody reads */
		crew_resume(d->crew);
	while (crew_unanswered(d->crew) && monotonic_ns() < until) {
		struct pollfd pfd = {.fd = d->signal_fd, .events = POLLIN};
		struct signalfd_siginfo info;

		if (poll(&pfd, 1, STOP_POLL_MS) > 0 &&
		    read(d->signal_fd, &info, sizeof(info)) == sizeof(info) &&
		    (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT))
			break;
	}
	parked = crew_park(d->crew);
	if (!parked) /* the others end at least, so that nobody issues what is answered here */
		crew_leave(d->crew);
	left = crew_unanswered(d->crew);
	if (left)
		log_error("%u requests did not finish and are answered with an error", left);
	crew_abandon(d->crew);
	return parked;
}

static int stop(struct daemon *d)
{
	bool stuck = false, elsewhere = false;
	unsigned left = 0;

	if (d->crew && !atomic_load(&d->crew->unmounted)) {
		stuck = !drain(d);
		log_open_files(d->mount);
	}
	if (d->front)
		elsewhere = !front_unmount(d->front);
	if (!stuck)
		left = crew_destroy(d->crew);
	if (d->pidfile_path)
		unlink(d->pidfile_path);
	if (d->pidfile_fd >= 0)
		close(d->pidfile_fd);
	if (stuck || left) /* the kernel may still be writing to our memory */
		_exit(EXIT_COULD_NOT_RUN);
	if (elsewhere) /* libfuse cannot end such a session without unmounting */
		_exit(0);
	front_free(d->front);
	mount_free(d->mount);
	if (d->signal_fd >= 0)
		close(d->signal_fd);
	free(d->pidfile_path);
	free(d->mountpoint);
	free(d->config_path);
	options_free(&d->options);
	return 0;
}

/* ---- run ---- */

/* True: stop now. */
static bool on_signal(struct daemon *d, uint32_t signo)
{
	switch (signo) {
	case SIGHUP:
		reload(d);
		return false;
	case SIGUSR1:
		status_log(d->mount);
		return false;
	case SIGUSR2:
		log_warning("upgrade in place is not supported yet");
		return false;
	default:
		log_info("stopping");
		return true;
	}
}

static void on_event(struct daemon *d)
{
	uint64_t n;
	ssize_t r = read(d->crew->event_fd, &n, sizeof(n));

	(void)r;
	if (atomic_load(&d->mount->garbage) && crew_park(d->crew)) {
		mount_collect(d->mount);
		crew_resume(d->crew);
		mount_finish(d->mount);
	}
}

static void run(struct daemon *d)
{
	struct pollfd fds[2] = {
		{.fd = d->signal_fd, .events = POLLIN},
		{.fd = d->crew->event_fd, .events = POLLIN},
	};
	struct signalfd_siginfo info;

	log_info("serving %zu files at %s", d->mount->n_files, d->mountpoint);
	for (;;) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents)
			on_event(d);
		if (atomic_load(&d->crew->unmounted)) {
			log_info("unmounted");
			return;
		}
		while (read(d->signal_fd, &info, sizeof(info)) == sizeof(info))
			if (on_signal(d, info.ssi_signo))
				return;
	}
}

/* Or the next file opened would be stderr, and log lines would go into an image. */
static void open_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	struct daemon d = {.signal_fd = -1, .pidfile_fd = -1, .ready_fd = -1};
	int status;

	open_standard_descriptors();
	status = options_parse(argc, argv, &d.options);

	if (status)
		return status < 0 ? 0 : status;
	if (d.options.calibrate)
		return calibrate(d.options.calibrate, d.options.overwrite);
	if (d.options.check) {
		status = check(&d.options);
		options_free(&d.options);
		return status;
	}
	if (!d.options.foreground) {
		int ends[2];
		pid_t child;

		if (pipe2(ends, O_CLOEXEC) || (child = fork()) < 0) {
			fprintf(stderr, "fuseband: %s\n", strerror(errno));
			return EXIT_COULD_NOT_RUN;
		}
		if (child) {
			close(ends[1]);
			options_free(&d.options);
			return wait_until_ready(ends[0], child);
		}
		close(ends[0]);
		d.ready_fd = ends[1];
		setsid();
	}
	status = start(&d);
	if (!status) {
		if (d.ready_fd >= 0)
			detach(&d);
		run(&d);
	}
	stop(&d);
	return status;
}
