/* SPDX-License-Identifier: MIT */
/*
 * top.c - fuseband-top: who gets what of which disk, now.
 *
 *	MOUNT/.fuseband/status.json
 *	  -> top_read.c    its text, without ever waiting for the mount
 *	  -> top_status.c  as a list of nodes; top_rate.c: per second; top_feed.c: the newest
 *	  -> top_rows.c    which, in which order: as top_view.c says, which takes the keys
 *	  -> top_screen.c  on a grid of cells (top_columns.c, top_details.c), which
 *	     top_terminal.c draws with ncurses
 *	  or top_print.c   as a table or JSON
 *
 * Only top_terminal.c and top_live.c need ncurses. Where it was not there when this was built
 * (FUSEBAND_NCURSES is not defined), all but the full screen works.
 */
#include "top_feed.h"
#include "top_print.h"
#include "top_read.h"
#ifdef FUSEBAND_NCURSES
#include "top_live.h"
#endif

#include <errno.h>
#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef FUSEBAND_VERSION
#define FUSEBAND_VERSION "0"
#endif

#define ANSWER_MOST_S 10.0 /* for who cannot see that there is none */
#define NOTE_AFTER_S 2.0
#define LEAST_S 0.1
#define MOST_S 3600.0

enum { EXIT_NO_STATUS = 1, EXIT_USAGE = 2 };

static const char usage_text[] =
	"usage: fuseband-top [-d SECONDS] [-f TEXT] [-s KEY] MOUNTPOINT\n"
	"       fuseband-top --once [-d SECONDS] [-f TEXT] [-s KEY] MOUNTPOINT\n"
	"       fuseband-top --json [-d SECONDS] MOUNTPOINT\n"
	"       fuseband-top --help | --version\n";

static const char help_text[] =
	"\n"
	"Shows what each file, group and disk of a fuseband mount gets, what it is entitled to "
	"and\n"
	"what it waits for.\n"
	"\n"
	"  -d SECONDS           between two readings (0.1 to 3600, default 1)\n"
	"  -f TEXT              only what has this in its name, path, group or disk\n"
	"  -s KEY               sort by config, name, weight, got, entitled, iops, bps, queue,\n"
	"                       wait, service or errors\n"
	"  --once               print one table, and end\n"
	"  --json               print one JSON object with everything, and end\n"
	"  --help, --version\n"
	"\n"
	"On the screen ? explains keys and columns.\n"
	"Exit status: 0 success, 1 there is no status to be had, 2 wrong usage.\n";

struct options {
	struct top_view view;
	double every_s;
	bool once, json, chosen; /* -f or -s */
	char *mount;
};

/* ---- arguments ---- */

static int usage_error(const char *what, const char *which)
{
	fprintf(stderr, "fuseband-top: %s%s\n%s", what, which, usage_text);
	return EXIT_USAGE;
}

static int no_mount(void)
{
	char *mounts = top_mounts();
	int r;

	r = mounts ? usage_error("say which mount: fuseband serves ", mounts)
		   : usage_error("say which mount; no fuseband is mounted here", "");
	free(mounts);
	return r;
}

static bool get_seconds(const char *text, double *ret_seconds)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !(seconds >= LEAST_S && seconds <= MOST_S))
		return false;
	*ret_seconds = seconds;
	return true;
}

static int get_option(struct options *options, int option)
{
	switch (option) {
	case 'd':
		if (get_seconds(optarg, &options->every_s))
			return 0;
		return usage_error("-d is a number of seconds from 0.1 to 3600, not ", optarg);
	case 's':
		options->chosen = true;
		if (top_sort_find(optarg, &options->view.sort))
			return 0;
		return usage_error("-s does not know ", optarg);
	case 'f':
		options->chosen = true;
		if (strlen(optarg) >= TOP_FILTER_BYTES)
			return usage_error("-f is too long: ", optarg);
		strcpy(options->view.filter, optarg);
		return 0;
	case 'o':
		options->once = true;
		return 0;
	case 'j':
		options->json = true;
		return 0;
	default:
		return EXIT_USAGE;
	}
}

/* 0, or an exit status. *ret_done: all was said. */
static int get_options(int argc, char **argv, struct options *options, bool *ret_done)
{
	static const struct option longs[] = {{"once", no_argument, NULL, 'o'},
					      {"json", no_argument, NULL, 'j'},
					      {"help", no_argument, NULL, 'h'},
					      {"version", no_argument, NULL, 'V'},
					      {NULL, 0, NULL, 0}};
	int option, r = 0;

	opterr = 0;
	*ret_done = true;
	while (!r && (option = getopt_long(argc, argv, ":d:f:s:", longs, NULL)) != -1) {
		if (option == 'h')
			return printf("%s%s", usage_text, help_text), 0;
		if (option == 'V')
			return printf("fuseband-top %s\n", FUSEBAND_VERSION), 0;
		if (option == '?' || option == ':')
			r = usage_error("unknown option or missing argument: ", argv[optind - 1]);
		else
			r = get_option(options, option);
	}
	*ret_done = false;
	if (r)
		return r;
	if (argc - optind > 1)
		return usage_error("one mount at a time, not also ", argv[optind + 1]);
	if (argc == optind)
		return no_mount();
	if (options->once && options->json)
		return usage_error("--once or --json, not both", "");
	if (options->json && options->chosen)
		return usage_error("--json is always all of it: -f and -s are for people", "");
	options->mount = argv[optind];
	for (size_t n = strlen(options->mount); n > 1 && options->mount[n - 1] == '/'; n--)
		options->mount[n - 1] = '\0';
	return 0;
}

/* ---- figures ---- */

static int say_trouble(const struct top_feed *feed, enum top_feed_result result)
{
	if (result == TOP_FEED_WAIT)
		fprintf(stderr,
			"fuseband-top: %s does not answer within %.0f s: a disk of it may hang, "
			"see "
			"the log of fuseband\n",
			feed->mount, ANSWER_MOST_S);
	else
		fprintf(stderr, "fuseband-top: %s\n", feed->trouble);
	return EXIT_NO_STATUS;
}

static void pause_s(double seconds)
{
	struct timespec left = {.tv_sec = (time_t)seconds,
				.tv_nsec = (long)(fmod(seconds, 1) * 1e9)};

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

/* Two readings, so that there are rates; an exit status. */
static int read_twice(struct top_feed *feed, double every_s)
{
	enum top_feed_result result = top_feed_wait(feed, ANSWER_MOST_S);
	double end = top_feed_clock() + ANSWER_MOST_S;

	if (result == TOP_FEED_WAIT || result == TOP_FEED_FAILED)
		return say_trouble(feed, result);
	/* when the daemon was started anew in between, one more */
	do {
		pause_s(every_s);
		result = top_feed_wait(feed, ANSWER_MOST_S);
		if (result == TOP_FEED_WAIT || result == TOP_FEED_FAILED)
			return say_trouble(feed, result);
	} while (!(feed->now->interval_s > 0) && top_feed_clock() < end);
	if (feed->now->interval_s > 0)
		return 0;
	fprintf(stderr, "fuseband-top: %s/.fuseband/status.json does not change: is it a copy?\n",
		feed->mount);
	return EXIT_NO_STATUS;
}

static int print(const struct options *options, struct top_feed *feed, bool utf8)
{
	struct top_view view = options->view;
	struct text text = {0};
	int r = read_twice(feed, options->every_s);

	if (r)
		return r;
	if (options->once) {
		view.flat = view.sort != TOP_BY_CONFIG;
		r = top_print_table(feed->now, &view, options->mount, utf8, stdout);
	} else {
		top_print_json(feed->now, options->mount, &text);
		r = text.failed ? -ENOMEM : 0;
		if (!r)
			fwrite(text.data, 1, text.len, stdout);
		text_free(&text);
	}
	if (!r && (fflush(stdout) || ferror(stdout)))
		r = errno ? -errno : -EIO;
	if (r)
		fprintf(stderr, "fuseband-top: cannot write: %s\n", strerror(-r));
	return r ? EXIT_NO_STATUS : 0;
}

#ifdef FUSEBAND_NCURSES
static int show(struct options *options, struct top_feed *feed, bool utf8)
{
	enum top_feed_result result;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return usage_error("this is no terminal: use --once or --json", "");
	result = top_feed_wait(feed, NOTE_AFTER_S);
	if (result == TOP_FEED_WAIT) {
		fprintf(stderr,
			"fuseband-top: waiting for %s: one data path takes over from another, or a "
			"disk hangs\n",
			options->mount);
		while (result == TOP_FEED_WAIT)
			result = top_feed_wait(feed, MOST_S);
	}
	if (result == TOP_FEED_FAILED)
		return say_trouble(feed, result);
	return top_live(feed, &options->view, options->every_s, utf8) ? EXIT_NO_STATUS : 0;
}
#else
static int show(struct options *options, struct top_feed *feed, bool utf8)
{
	(void)options;
	(void)feed;
	(void)utf8;
	return usage_error("this one was built without ncurses and has no screen: use --once or "
			   "--json",
			   "");
}
#endif

int main(int argc, char **argv)
{
	struct options options = {.every_s = 1};
	struct top_feed feed;
	bool done, utf8;
	int r = get_options(argc, argv, &options, &done);

	if (r || done)
		return r;
	setlocale(LC_CTYPE, "");
	utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	r = top_feed_open(&feed, options.mount);
	if (r) {
		fprintf(stderr, "fuseband-top: cannot start a process that reads: %s\n",
			strerror(-r));
		return EXIT_NO_STATUS;
	}
	r = options.once || options.json ? print(&options, &feed, utf8)
					 : show(&options, &feed, utf8);
	top_feed_close(&feed);
	return r;
}
