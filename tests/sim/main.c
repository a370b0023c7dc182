/* SPDX-License-Identifier: MIT */
/*
 * main.c - fuseband-sim: who would get what, before anybody does.
 *
 * The scheduler is the daemon's own object code and ioband.ini is read by the daemon's own parser;
 * only the clients, the disks and the clock are made up. No device, mount or file of the
 * configuration is looked at.
 */
#include "tests/sim/play.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifndef FUSEBAND_VERSION
#define FUSEBAND_VERSION "0"
#endif

enum { EXIT_NOT_AS_EXPECTED = 1, EXIT_USAGE = 2 };

static const char usage_text[] = "usage: fuseband-sim [-q] [-c FILE] [-s SEED] SCENARIO\n"
				 "       fuseband-sim --help | --version\n";

static const char help_text[] =
	"\n"
	"Plays SCENARIO (- is standard input) with fuseband's scheduler in virtual time and\n"
	"prints who got what. No device is touched.\n"
	"\n"
	"  -c FILE          take groups, weights, limits and devices from this ioband.ini\n"
	"  -s SEED          another run of chance, a number; the default is 1\n"
	"  -q               only the summary\n"
	"  --version, --help\n"
	"\n"
	"Exit status: 0 all as expected, 1 something is not, 2 wrong usage, scenario or\n"
	"configuration.\n";

/* ---- reading ---- */

/* All of it, with a NUL behind; NULL and a message. */
static char *read_scenario(const char *path)
{
	bool is_stdin = strcmp(path, "-") == 0;
	FILE *in = is_stdin ? stdin : fopen(path, "r");
	char *text = NULL;
	size_t size = 0;
	ssize_t n = -1;

	if (in) {
		errno = 0;
		n = getdelim(&text, &size, '\0', in);
		if (n < 0 && !ferror(in) && errno == 0) { /* empty */
			free(text);
			text = calloc(1, 1);
			n = text ? 0 : -1;
		} else if (n >= 0 && !feof(in)) {
			fprintf(stderr, "fuseband-sim: %s: contains a NUL byte\n", path);
			free(text);
			text = NULL;
			n = 0;
		}
	}
	if (n < 0) {
		fprintf(stderr, "fuseband-sim: %s: %s\n", path, strerror(errno));
		free(text);
		text = NULL;
	}
	if (in && !is_stdin)
		fclose(in);
	return text;
}

static void print_errors(struct conf_errors *errors)
{
	for (size_t i = 0; i < errors->n; i++)
		fprintf(stderr, "fuseband-sim: %s\n", errors->list[i].text);
	conf_errors_free(errors);
}

static struct conf *read_config(const char *path)
{
	struct conf_errors errors = {NULL, 0};
	struct conf_text text = {0};
	struct conf *conf = NULL;

	if (conf_read(path, &errors, &text) == 0)
		conf_parse(&text, &errors, &conf);
	conf_text_free(&text);
	print_errors(&errors);
	return conf;
}

/* ---- the report ---- */

#define TIME_CHARS 16

/* Three digits: "1.28s", "12.8ms", "128us". */
static const char *time_text(double ns, char text[TIME_CHARS])
{
	static const struct {
		double unit;
		const char *name;
	} units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}, {1, "ns"}};
	unsigned u = 0;

	while (u < 3 && ns < units[u].unit)
		u++;
	snprintf(text, TIME_CHARS, "%.*f%s",
		 ns / units[u].unit >= 99.95   ? 0
		 : ns / units[u].unit >= 9.995 ? 1
					       : 2,
		 ns / units[u].unit, units[u].name);
	return text;
}

static const char *latency_text(const struct tally *tally, double pct, char text[TIME_CHARS])
{
	if (tally->latency.count == 0)
		return "-";
	return time_text((double)sim_hist_percentile(&tally->latency, pct), text);
}

static double percent(double of, double all)
{
	return all > 0 ? 100 * of / all : 0;
}

static const struct scenario_file *file_of(const struct play *play, unsigned client)
{
	return &play->scenario->files[play->scenario->clients[client].file];
}

/* Tokens of all clients of a disk. */
static double disk_tokens(const struct play *play, const struct tally *tallies, unsigned disk)
{
	double sum = 0;

	for (unsigned c = 0; c < play->scenario->n_clients; c++)
		if (file_of(play, c)->disk == disk)
			sum += tallies[c].tokens;
	return sum;
}

static double disk_busy_ns(const struct play *play, unsigned disk)
{
	double sum = 0;

	for (unsigned c = 0; c < play->scenario->n_clients; c++)
		if (file_of(play, c)->disk == disk)
			sum += (double)play->total[c].busy_ns;
	return sum;
}

/* Its file's name; "vm1.img#2" for the second client of that file. */
static const char *client_name(const struct play *play, unsigned client, char *text, size_t size)
{
	unsigned nth = 1;

	for (unsigned c = 0; c < client; c++)
		nth += play->scenario->clients[c].file == play->scenario->clients[client].file;
	if (nth == 1)
		return file_of(play, client)->conf.name;
	snprintf(text, size, "%s#%u", file_of(play, client)->conf.name, nth);
	return text;
}

static bool has_leaf(const struct play *play, unsigned client)
{
	return play->first_clients[play->scenario->clients[client].file] == play->clients[client];
}

static void print_heads(const struct play *play)
{
	const struct scenario *s = play->scenario;

	for (unsigned d = 0; d < s->n_disks; d++) {
		printf("%-8.8s %-8.8s %17s", "", s->disks[d].conf.name, "");
		for (unsigned c = 0; c < s->n_clients; c++) {
			char name[64];

			if (file_of(play, c)->disk == d)
				printf(" |%22.22s", client_name(play, c, name, sizeof(name)));
		}
		printf("\n%8s %8s %5s %5s %5s", "time", "", "limit", "out", "queue");
		for (unsigned c = 0; c < s->n_clients; c++)
			if (file_of(play, c)->disk == d)
				printf(" |%6s %7s %7s", "share", "IO/s", "p99");
		printf("\n");
	}
}

static void print_interval(const struct play *play)
{
	const struct scenario *s = play->scenario;
	double seconds = (double)(play->now_ns - play->interval_began_ns) / 1e9;
	char text[TIME_CHARS];

	for (unsigned d = 0; d < s->n_disks; d++) {
		double tokens = disk_tokens(play, play->interval, d);
		struct fbs_stats stats;

		play_stats(play, d, &stats);
		printf("%7gs %-8.8s %5u %5u %5u", (double)play->now_ns / 1e9,
		       s->n_disks > 1 ? s->disks[d].conf.name : "", stats.limit, stats.in_flight,
		       stats.queued);
		for (unsigned c = 0; c < s->n_clients; c++) {
			const struct tally *got = &play->interval[c];

			if (file_of(play, c)->disk != d)
				continue;
			if (has_leaf(play, c))
				printf(" |%5.1f%%", percent(got->tokens, tokens));
			else
				printf(" |%6s", "");
			printf(" %7.0f %7s", (double)got->ios / seconds,
			       latency_text(got, 99, text));
		}
		printf("\n");
	}
}

static void print_summary(const struct play *play)
{
	const struct scenario *s = play->scenario;
	double seconds = (double)play->now_ns / 1e9;

	printf("\n%-20s %-15s %22s %8s %8s %8s | waited for, %% of the time\n", "all of the run",
	       "        share", "time", "", "", "");
	printf("%-20s %7s %7s %7s %8s %8s %8s %8s | %6s %6s %6s %6s\n", "", "entitl.", "got",
	       "of disk", "IO/s", "MB/s", "p50", "p99", "share", "cap", "window", "antic.");
	for (unsigned c = 0; c < s->n_clients; c++) {
		const struct tally *got = &play->total[c];
		unsigned file = s->clients[c].file, d = file_of(play, c)->disk;
		char name[64], p50[TIME_CHARS], p99[TIME_CHARS];

		printf("%-20s", client_name(play, c, name, sizeof(name)));
		if (has_leaf(play, c))
			printf(" %6.1f%% %6.1f%%", 100 * play_entitled(play, file),
			       percent(got->tokens, disk_tokens(play, play->total, d)));
		else
			printf(" %15s", "");
		printf(" %6.1f%% %8.1f %8.2f %8s %8s |",
		       percent((double)got->busy_ns, disk_busy_ns(play, d)),
		       (double)got->ios / seconds, (double)got->bytes / seconds / 1e6,
		       latency_text(got, 50, p50), latency_text(got, 99, p99));
		if (has_leaf(play, c)) {
			struct fbs_node_stats stats;

			play_file_stats(play, file, &stats);
			for (unsigned w = 0; w < FBS_WAITS; w++)
				printf(" %5.1f%%",
				       percent((double)stats.waited_ns[w], (double)play->now_ns));
		}
		printf("\n");
	}
}

static const char *value_text(enum scenario_metric metric, double value, char text[TIME_CHARS])
{
	if (isnan(value))
		return "nothing";
	if (metric == SCENARIO_P50 || metric == SCENARIO_P99)
		return time_text(value, text);
	snprintf(text, TIME_CHARS, metric == SCENARIO_BPS ? "%.0f" : "%.2f", value);
	return text;
}

/* How many are not as expected. */
static unsigned print_expectations(const struct play *play)
{
	const struct scenario *s = play->scenario;
	unsigned failures = 0;

	if (s->n_expects)
		printf("\n");
	for (unsigned i = 0; i < s->n_expects; i++) {
		const struct scenario_expect *e = &s->expects[i];
		double value = play_value(play, i);
		bool ok = value >= e->least && value <= e->most;
		char text[TIME_CHARS];

		printf("%s:%d: %s %s %s from %gs until %gs: %s%s\n", e->where.file, e->where.line,
		       scenario_name(s, e->subject), scenario_metric_name(e->metric), e->range,
		       (double)e->from_ns / 1e9, (double)e->until_ns / 1e9,
		       value_text(e->metric, value, text), ok ? "" : "  NOT AS EXPECTED");
		failures += !ok;
	}
	return failures;
}

/* ---- arguments ---- */

struct options {
	const char *config, *scenario;
	uint64_t seed;
	bool quiet;
};

static int usage_error(const char *what, const char *which)
{
	fprintf(stderr, "fuseband-sim: %s%s\n%s", what, which, usage_text);
	return EXIT_USAGE;
}

/* -1: go on. Else the exit status. */
static int parse_arguments(int argc, char **argv, struct options *options)
{
	enum { OPT_HELP = 256, OPT_VERSION };
	static const struct option longs[] = {
		{"help", no_argument, NULL, OPT_HELP},
		{"version", no_argument, NULL, OPT_VERSION},
		{0},
	};
	int option;
	char *end;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "c:s:qh", longs, NULL)) != -1) {
		switch (option) {
		case 'c':
			options->config = optarg;
			break;
		case 's':
			options->seed = strtoull(optarg, &end, 10);
			if (optarg[0] < '0' || optarg[0] > '9' || *end)
				return usage_error("a seed is a number, not ", optarg);
			break;
		case 'q':
			options->quiet = true;
			break;
		case 'h':
		case OPT_HELP:
			printf("%s%s", usage_text, help_text);
			return 0;
		case OPT_VERSION:
			puts("fuseband-sim " FUSEBAND_VERSION);
			return 0;
		default:
			return usage_error("unknown option or missing argument: ",
					   argv[optind - 1]);
		}
	}
	if (optind == argc)
		return usage_error("no scenario", "");
	if (optind + 1 < argc)
		return usage_error("one scenario at a time: ", argv[optind + 1]);
	options->scenario = argv[optind];
	return -1;
}

static int run(const struct options *options, struct scenario *scenario)
{
	struct play *play = play_create(scenario, options->seed);
	unsigned failures;

	if (!options->quiet)
		print_heads(play);
	while (play_interval(play))
		if (!options->quiet)
			print_interval(play);
	print_summary(play);
	failures = print_expectations(play);
	play_destroy(play);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "fuseband-sim: standard output: %s\n", strerror(errno));
		return EXIT_USAGE;
	}
	return failures ? EXIT_NOT_AS_EXPECTED : 0;
}

int main(int argc, char **argv)
{
	struct options options = {.seed = 1};
	struct conf_errors errors = {NULL, 0};
	struct scenario *scenario = NULL;
	struct conf *conf = NULL;
	char *text;
	int status = parse_arguments(argc, argv, &options);

	if (status >= 0)
		return status;
	text = read_scenario(options.scenario);
	if (!text)
		return EXIT_USAGE;
	status = EXIT_USAGE;
	if (options.config)
		conf = read_config(options.config);
	if (!options.config || conf) {
		const char *path =
			strcmp(options.scenario, "-") ? options.scenario : "standard input";

		if (scenario_parse(path, text, conf, &errors, &scenario) == -ENOMEM &&
		    errors.n == 0)
			fputs("fuseband-sim: out of memory\n", stderr);
		print_errors(&errors);
	}
	if (scenario)
		status = run(&options, scenario);
	scenario_free(scenario);
	conf_free(conf);
	free(text);
	return status;
}
