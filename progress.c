/* SPDX-License-Identifier: MIT */
/* progress.c - see progress.h. */
#include "progress.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BAR 20U
#define COLUMNS_LEAST 40U /* a terminal that says it is narrower, or 0, does not know */
#define COLUMNS_DEFAULT 80U
#define CLEAR "\r\033[K"

struct progress progress_on(FILE *out, int fd)
{
	struct progress progress = {
		.out = out, .on_terminal = isatty(fd), .columns = COLUMNS_DEFAULT};
	struct winsize size;

	if (progress.on_terminal && ioctl(fd, TIOCGWINSZ, &size) == 0 &&
	    size.ws_col >= COLUMNS_LEAST)
		progress.columns = size.ws_col;
	return progress;
}

/* Per cent; never 100 before all is done. */
static unsigned percent(uint64_t done, uint64_t all)
{
	if (done >= all)
		return 100;
	return all > UINT64_MAX / 100 ? (unsigned)(done / (all / 100))
				      : (unsigned)(done * 100 / all);
}

/* Bytes of text that take at most so many columns: the start of a character takes one. */
static int fitting(const char *text, unsigned columns)
{
	int n = 0;

	for (; text[n]; n++)
		if (((unsigned char)text[n] & 0xc0) != 0x80 && columns-- == 0)
			break;
	return n;
}

static void show_bar(struct progress *progress, uint64_t done, uint64_t all, const char *before,
		     const char *text)
{
	char line[512], bar[BAR + 1] = "";
	unsigned full;

	if (all) {
		full = percent(done, all) * BAR / 100;
		memset(bar, '#', full);
		memset(bar + full, '.', BAR - full);
		snprintf(line, sizeof(line), "%s: [%s] %3u %%  %s", before, bar, percent(done, all),
			 text);
	} else {
		snprintf(line, sizeof(line), "%s: %s", before, text);
	}
	/* one column stays free: a terminal would wrap, and the next bar be below this one */
	fprintf(progress->out, CLEAR "%.*s", fitting(line, progress->columns - 1), line);
	progress->shown = true;
}

void progress_show(struct progress *progress, uint64_t done, uint64_t all, const char *before,
		   const char *text)
{
	if (progress->on_terminal)
		show_bar(progress, done, all, before, text);
	else
		fprintf(progress->out, "%s: %s\n", before, text);
	fflush(progress->out);
}

void progress_end(struct progress *progress)
{
	if (progress->shown)
		fputs(CLEAR, progress->out);
	progress->shown = false;
	fflush(progress->out);
}
