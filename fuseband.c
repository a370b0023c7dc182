/* SPDX-License-Identifier: MIT */
/*
 * fuseband.c - arguments, pid file, background; then who serves.
 *
 *   arguments -> conf (text, then checked) -> supervise.c: a parent and a data path
 *                                          or serve.c alone (supervise = no)
 *
 * Going to the background forks first and keeps stderr until the mount serves, so that foreground
 * and background fail in the same words and with the same status.
 */
#include "calibrate.h"
#include "conf.h"
#include "control.h"
#include "log.h"
#include "mountinfo.h"
#include "notify.h"
#include "options.h"
#include "plan.h"
#include "privilege.h"
#include "settings.h"
#include "supervise.h"
#include "steward.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOURCE_BYTES 512U /* of a mount; a longer name is left out */

struct daemon {
	struct options options;
	struct supervise_setup setup;
	int ready_fd; /* of the waiting foreground process, or -1 */
};

/* ---- the mount point ---- */

/* Without links. Says what is wrong; returns the exit status. */
static int find_directory(const char *path, char **ret_real)
{
	char *real = realpath(path, NULL);
	struct stat st;

	if (!real || stat(real, &st)) {
		if (errno == ENOTCONN)
			control_complain_dead(path);
		else
			fprintf(stderr, "fuseband: mount point %s: %s\n", path, strerror(errno));
		free(real);
		return EXIT_USAGE;
	}
	if (!S_ISDIR(st.st_mode)) {
		fprintf(stderr, "fuseband: %s: the mount point is not a directory: name one\n",
			path);
		free(real);
		return EXIT_USAGE;
	}
	*ret_real = real;
	return 0;
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
	int r = find_directory(path, &d->setup.serve.mountpoint);

	if (r)
		return r;
	if (is_taken(d->setup.serve.mountpoint)) {
		fprintf(stderr,
			"fuseband: %s: is the mount point of another fuseband: name another "
			"directory, or end that one\n",
			path);
		return EXIT_USAGE;
	}
	return 0;
}

/* ---- --check ---- */

static void print_errors(const struct conf_errors *errors)
{
	for (size_t i = 0; i < errors->n; i++)
		fprintf(stderr, "fuseband: %s\n", errors->list[i].text);
}

/* The mount point may be that of the fuseband that runs: this is done before a reload, too. */
static int check(const struct options *options)
{
	struct conf_errors errors = {0}, notes = {0};
	struct plan *plan = NULL;
	char *mountpoint = NULL;
	struct conf_text text = {0};
	struct conf *conf = NULL;
	int r = options->mountpoint ? find_directory(options->mountpoint, &mountpoint) : 0;

	if (r)
		return r;
	r = settings_read(options->config, mountpoint, &errors, &notes, &text, &conf);
	if (!r)
		r = plan_make(conf, mountpoint, NULL, 0, PLAN_CHECK, &disks_system, &errors, &notes,
			      &plan);
	print_errors(&errors);
	if (!r) {
		plan_print(plan, stdout);
		for (size_t i = 0; i < notes.n; i++)
			printf("%s\n", notes.list[i].text);
	}
	plan_free(plan);
	if (text.sources)
		conf_text_free(&text);
	conf_errors_free(&errors);
	conf_errors_free(&notes);
	free(mountpoint);
	return r ? EXIT_USAGE : 0;
}

/* ---- start ---- */

/*
 * Thousands of files are thousands of descriptors. Memory is locked in processes that have no right
 * to do so beyond a limit.
 */
static void raise_limits(void)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

	setrlimit(RLIMIT_MEMLOCK, &limit); /* who may not is told by mlockall() */
	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
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
			given ? "" : "; this one goes without, name another one with -p");
		if (fd >= 0)
			close(fd);
		return given ? EXIT_COULD_NOT_RUN : 0;
	}
	n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) || pwrite(fd, text, (size_t)n, 0) != n) {
		fprintf(stderr,
			"fuseband: pid file %s: %s; make room for it, or name another one with "
			"-p\n",
			path, strerror(errno));
		close(fd);
		return EXIT_COULD_NOT_RUN;
	}
	d->setup.pidfile_fd = fd;
	d->setup.pidfile_path = realpath(path, NULL);
	return 0;
}

/*
 * Where the configuration is read again: absolute, but not without links, which may lead to another
 * file by then. Except those of the kernel: /dev/stdin is something else in the background. NULL: a
 * pipe. 0 or -ENOMEM.
 */
static int path_for_reloads(const char *config, char **ret_path)
{
	char *real = realpath(config, NULL), *dir = NULL, *path;
	int n;

	if (!real && errno == ENOMEM)
		return -ENOMEM;
	if (!real || !strncmp(config, "/dev/", 5) || !strncmp(config, "/proc/", 6) ||
	    (config[0] != '/' && !(dir = getcwd(NULL, 0)))) {
		*ret_path = real;
		return 0;
	}
	free(real);
	n = asprintf(&path, "%s%s%s", dir ? dir : "", dir ? "/" : "", config);
	free(dir);
	if (n < 0)
		return -ENOMEM;
	*ret_path = path;
	return 0;
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
	fprintf(stderr, "fuseband: died while it started: see the lines above, or the log\n");
	return EXIT_COULD_NOT_RUN;
}

/* ---- who serves ---- */

/* Cut the ties to whoever started us. */
static void detach(void *data)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)data;
	log_to_syslog();
	if (chdir("/"))
		log_warning("cannot go to / (%s): the directory it was started in stays in use",
			    strerror(errno));
	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
}

/* Whoever waits for the start need not any more. */
static void let_go(void *data)
{
	struct daemon *d = data;
	char status = 0;
	ssize_t n;

	if (d->ready_fd < 0)
		return;
	n = write(d->ready_fd, &status, 1);
	(void)n;
	close(d->ready_fd);
	d->ready_fd = -1;
}

/* The mount serves: tell whoever waits for that. */
static void ready(void *data)
{
	struct daemon *d = data;

	notify("READY=1\nMAINPID=%d", (int)getpid());
	if (d->options.foreground)
		return;
	detach(d);
	let_go(d);
}

/* Of -o: then a helper of libfuse unmounts when the process that mounted dies. */
static bool unmounts_itself(const struct options *options)
{
	return options->mount_options && strstr(options->mount_options, "auto_unmount");
}

static int serve_alone(struct daemon *d, bool *ret_abrupt)
{
	struct serve_setup *serve = &d->setup.serve;

	serve->link = -1;
	serve->ready = ready;
	serve->data = d;
	return serve_first(serve, ret_abrupt);
}

/*
 * The configuration is what is mounted: by that name mount -a knows that a line of fstab is mounted
 * already. options: the user's, or NULL. 0 or -ENOMEM; *ret_all NULL: there are none.
 */
static int mount_options(const char *config_path, const char *options, char **ret_all)
{
	char source[SOURCE_BYTES] = "", *all = NULL;
	size_t n = 0;

	for (const char *at = config_path; at && *at && n < sizeof(source) - 2; at++) {
		if (*at == ',' || *at == '\\')
			source[n++] = '\\';
		source[n++] = *at;
	}
	if (!n || n >= sizeof(source) - 2) {
		if (options && !(all = strdup(options)))
			return -ENOMEM;
	} else if (asprintf(&all, "fsname=%s%s%s", source, options ? "," : "",
			    options ? options : "") < 0) {
		return -ENOMEM;
	}
	*ret_all = all;
	return 0;
}

/* What is left out for want of memory must not look like what was not asked for. */
static int keep_names(struct daemon *d)
{
	struct serve_setup *serve = &d->setup.serve;

	serve->config = strdup(d->options.config);
	if (!serve->config || path_for_reloads(d->options.config, &serve->config_path) ||
	    mount_options(serve->config_path, d->options.mount_options, &serve->mount_options)) {
		fprintf(stderr, "fuseband: out of memory\n");
		return EXIT_COULD_NOT_RUN;
	}
	return 0;
}

/* Returns the exit status. */
static int read_configuration(struct daemon *d)
{
	struct serve_setup *serve = &d->setup.serve;
	struct conf_errors errors = {0}, notes = {0};
	int r = settings_read(d->options.config, serve->mountpoint, &errors, &notes, &serve->text,
			      &serve->conf);

	print_errors(&errors);
	print_errors(&notes);
	conf_errors_free(&errors);
	conf_errors_free(&notes);
	serve->debug = d->options.debug;
	return r ? EXIT_USAGE : keep_names(d);
}

/* Before anybody serves. */
static int give_up(struct daemon *d, int status)
{
	conf_free(d->setup.serve.conf);
	conf_text_free(&d->setup.serve.text);
	return status;
}

/* Everything until the end. Returns the exit status. */
static int run(struct daemon *d, bool *ret_abrupt)
{
	struct serve_setup *serve = &d->setup.serve;
	bool supervised;
	int r;

	r = find_mountpoint(d);
	if (!r)
		r = read_configuration(d);
	if (r)
		return give_up(d, r);
	raise_limits();
	r = serve_block_signals(&serve->signal_fd);
	if (r) {
		fprintf(stderr,
			"fuseband: cannot start: signals cannot be received: %s; more descriptors "
			"have to be allowed (ulimit -n)\n",
			strerror(-r));
		return give_up(d, EXIT_COULD_NOT_RUN);
	}
	r = write_pidfile(d);
	if (r)
		return give_up(d, r);
	privilege_hide(d->options.debug);
	r = steward_start(serve->mountpoint, &serve->steward);
	if (r) {
		serve_cannot_start(r);
		return give_up(d, EXIT_COULD_NOT_RUN);
	}
	supervised = serve->conf->main.supervise;
	if (supervised && unmounts_itself(&d->options)) {
		log_warning("with auto_unmount a crash ends the mount: without that option it is "
			    "survived");
		supervised = false;
	}
	return supervised ? supervise(&d->setup, ret_abrupt) : serve_alone(d, ret_abrupt);
}

static int finish(struct daemon *d, int status, bool abrupt)
{
	struct supervise_setup *setup = &d->setup;

	if (setup->pidfile_path)
		unlink(setup->pidfile_path);
	if (setup->pidfile_fd >= 0)
		close(setup->pidfile_fd);
	if (abrupt) /* the kernel may still be writing to our memory */
		_exit(status);
	if (setup->serve.signal_fd >= 0)
		close(setup->serve.signal_fd);
	free(setup->pidfile_path);
	free(setup->serve.mountpoint);
	free(setup->serve.config);
	free(setup->serve.config_path);
	free(setup->serve.mount_options);
	options_free(&d->options);
	return status;
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
	struct daemon d = {.ready_fd = -1};
	const char *resume = getenv(SUPERVISE_RESUME);
	bool abrupt = false;
	int status;

	d.setup = (struct supervise_setup){.serve = {.signal_fd = -1, .link = -1, .steward = -1},
					   .argv = argv,
					   .pidfile_fd = -1,
					   .ready = ready,
					   .detach = detach,
					   .let_go = let_go,
					   .data = &d};
	open_standard_descriptors();
	log_mark_levels();
	if (resume) {
		status = supervise_resume(resume, &d.setup, &abrupt);
		return finish(&d, status, abrupt);
	}
	status = options_parse(argc, argv, &d.options);
	if (status)
		return status < 0 ? 0 : status;
	if (d.options.calibrate)
		return calibrate(d.options.calibrate, d.options.overwrite);
	if (d.options.order)
		return control(d.options.order, d.options.mountpoint);
	if (d.options.check) {
		status = check(&d.options);
		options_free(&d.options);
		return status;
	}
	d.setup.foreground = d.options.foreground;
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
	status = run(&d, &abrupt);
	return finish(&d, status, abrupt);
}
