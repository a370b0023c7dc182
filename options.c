/* SPDX-License-Identifier: MIT */
/* options.c - see options.h. */
#include "options.h"
#include "conf.h"
#include "filter.h"
#include "front.h"
#include "keep.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef FUSEBAND_VERSION
#define FUSEBAND_VERSION "0"
#endif

#define DEFAULT_CONFIG "/etc/ioband.ini"
static const char usage_text[] =
	"usage: fuseband [-df] [-c FILE] [-o OPTION[,OPTION...]] [-p PIDFILE] MOUNTPOINT\n"
	"       fuseband FILE MOUNTPOINT [-o OPTION[,OPTION...]]\n"
	"       fuseband --check [-c FILE] [MOUNTPOINT]\n"
	"       fuseband --reload | --upgrade MOUNTPOINT\n"
	"       fuseband --calibrate PATH [--overwrite FILE]\n"
	"       fuseband --help | --version | --help-config\n";

static const char help_text[] =
	"\n"
	"Exposes each disk partition or image named in FILE as a file below MOUNTPOINT and shares\n"
	"the physical disks below them by weight.\n"
	"\n"
	"  -c FILE           configuration (default " DEFAULT_CONFIG "), and FILE.d/*.ini\n"
	"  -f                stay in the foreground, log to stderr\n"
	"  -d                like -f, and log every request that libfuse handles\n"
	"  -o OPTION         mount options, as for mount(8)\n"
	"  -p PIDFILE        write the process id there (default in the background, as root:\n"
	"                    " DEFAULT_PIDFILE ")\n"
	"  --check           check FILE and what it names, print the plan, mount nothing\n"
	"  --reload          have MOUNTPOINT's FILE read again, wait, and tell how it went\n"
	"  --upgrade         likewise: put the installed program in the place of the running one\n"
	"  --calibrate PATH  measure what the disk below PATH can do; reads only\n"
	"  --overwrite FILE  measure writes, too: destroys FILE, something on the same disk\n"
	"  --help-config     every key of FILE\n"
	"  --help, --version\n"
	"\n"
	"Signals: HUP reload, USR2 upgrade, TERM or INT stop, USR1 log a status.\n"
	"Exit status: 0 success, 1 could not run, 2 wrong usage or configuration.\n";

static int usage_error(const char *what, const char *which)
{
	fprintf(stderr, "fuseband: %s%s\n%s", what, which, usage_text);
	return EXIT_USAGE;
}

/* fstab's own options mean nothing to FUSE, nor do those about times, which libfuse refuses. */
static bool option_is_for_fstab(const char *option)
{
	static const char *const names[] = {
		"defaults", "auto",	  "noauto",	 "nofail",	  "_netdev",  "user",
		"nouser",   "users",	  "owner",	 "group",	  "relatime", "norelatime",
		"diratime", "nodiratime", "strictatime", "nostrictatime", "lazytime", "nolazytime"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(option, names[i]))
			return true;
	return !strncmp(option, "x-", 2) || !strncmp(option, "comment=", 8);
}

static int add_mount_options(struct options *options, const char *list)
{
	char *copy = strdup(list), *rest = copy, *option;

	if (!copy)
		return -ENOMEM;
	while ((option = strsep(&rest, ","))) {
		char *joined;

		if (!*option || option_is_for_fstab(option))
			continue;
		if (asprintf(&joined, "%s%s%s",
			     options->mount_options ? options->mount_options : "",
			     options->mount_options ? "," : "", option) < 0) {
			free(copy);
			return -ENOMEM;
		}
		free(options->mount_options);
		options->mount_options = joined;
	}
	free(copy);
	return 0;
}

int options_parse(int argc, char **argv, struct options *options)
{
	enum {
		OPT_CHECK = 256,
		OPT_RELOAD,
		OPT_UPGRADE,
		OPT_CALIBRATE,
		OPT_OVERWRITE,
		OPT_HELP,
		OPT_VERSION,
		OPT_HELP_CONFIG
	};
	static const struct option longs[] = {
		{"check", no_argument, NULL, OPT_CHECK},
		{"reload", no_argument, NULL, OPT_RELOAD},
		{"upgrade", no_argument, NULL, OPT_UPGRADE},
		{"calibrate", required_argument, NULL, OPT_CALIBRATE},
		{"overwrite", required_argument, NULL, OPT_OVERWRITE},
		{"help", no_argument, NULL, OPT_HELP},
		{"version", no_argument, NULL, OPT_VERSION},
		{"help-config", no_argument, NULL, OPT_HELP_CONFIG},
		{0},
	};
	char letter[] = "-?";
	int option, n;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "c:fdo:p:h", longs, NULL)) != -1) {
		switch (option) {
		case 'c':
			options->config = optarg;
			break;
		case 'd':
			options->debug = true;
			/* fall through */
		case 'f':
			options->foreground = true;
			break;
		case 'o':
			if (add_mount_options(options, optarg)) {
				fprintf(stderr, "fuseband: out of memory\n");
				return EXIT_COULD_NOT_RUN;
			}
			break;
		case 'p':
			options->pidfile = optarg;
			break;
		case OPT_CHECK:
			options->check = true;
			break;
		case OPT_RELOAD:
			options->order = CONTROL_RELOAD;
			break;
		case OPT_UPGRADE:
			options->order = CONTROL_UPGRADE;
			break;
		case OPT_CALIBRATE:
			options->calibrate = optarg;
			break;
		case OPT_OVERWRITE:
			options->overwrite = optarg;
			break;
		case 'h':
		case OPT_HELP:
			printf("%s%s", usage_text, help_text);
			return -1;
		case OPT_VERSION:
			printf("fuseband %s (libfuse %s, state %u, %s)\n", FUSEBAND_VERSION,
			       fuse_pkgversion(), KEEP_VERSION,
			       filter_exists() ? "seccomp" : "without seccomp");
			return -1;
		case OPT_HELP_CONFIG:
			conf_help(stdout);
			return -1;
		default:
			letter[1] = (char)optopt;
			return usage_error("unknown option or missing argument: ",
					   optopt > 0 && optopt < OPT_CHECK ? letter
									    : argv[optind - 1]);
		}
	}
	n = argc - optind;
	if (options->calibrate) {
		if (n || options->config || options->foreground || options->mount_options ||
		    options->pidfile || options->check || options->order)
			return usage_error("--calibrate goes with nothing but --overwrite", "");
		return 0;
	}
	if (options->order) {
		if (n > 1)
			return usage_error("too many arguments: ", argv[optind + 1]);
		if (!n)
			return usage_error("no mount point", "");
		if (options->config || options->foreground || options->mount_options ||
		    options->pidfile || options->check || options->overwrite)
			return usage_error("--reload and --upgrade go with a mount point only", "");
		options->mountpoint = argv[optind];
		return 0;
	}
	if (options->overwrite)
		return usage_error("--overwrite goes only with --calibrate", "");
	if (n == 2 && !options->config)
		options->config = argv[optind++];
	else if (n > 1)
		return usage_error("too many arguments: ",
				   argv[optind + (options->config ? 1 : 2)]);
	if (optind < argc)
		options->mountpoint = argv[optind];
	else if (!options->check)
		return usage_error("no mount point", "");
	if (!options->config)
		options->config = DEFAULT_CONFIG;
	return 0;
}

void options_free(struct options *options)
{
	free(options->mount_options);
	options->mount_options = NULL;
}
