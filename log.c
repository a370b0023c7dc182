/* SPDX-License-Identifier: MIT */
/* log.c - see log.h. */
#include "log.h"
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#define LINES_PER_SECOND 10U

static _Atomic int threshold = LOG_LEVEL_INFO;
static _Atomic bool to_syslog, marks_levels;

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

void log_to_syslog(void)
{
	openlog("fuseband", LOG_PID, LOG_DAEMON);
	atomic_store(&to_syslog, true);
}

void log_mark_levels(void)
{
	const char *journal = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (journal && sscanf(journal, "%llu:%llu", &dev, &ino) == 2 &&
	    !fstat(STDERR_FILENO, &st) && st.st_dev == dev && st.st_ino == ino)
		atomic_store(&marks_levels, true);
}

/* Paths, names and programs that it tells of are others'. */
static void write_line(enum log_level level, char *line)
{
	static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};

	text_tame(line);
	if (atomic_load_explicit(&to_syslog, memory_order_relaxed))
		syslog(priorities[level], "%s", line);
	else if (atomic_load_explicit(&marks_levels, memory_order_relaxed))
		fprintf(stderr, "<%d>%s\n", priorities[level], line);
	else
		fprintf(stderr, "fuseband: %s\n", line);
}

void log_line(enum log_level level, const char *fmt, ...)
{
	int saved_errno = errno;
	char line[1024];
	va_list args;

	if ((int)level > atomic_load_explicit(&threshold, memory_order_relaxed))
		return;
	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	write_line(level, line);
	errno = saved_errno;
}

void log_asked(const char *text)
{
	char line[1024];

	snprintf(line, sizeof(line), "%s", text);
	write_line(LOG_LEVEL_INFO, line);
}

bool log_allowed(struct log_limit *limit, uint64_t now_ns, unsigned *ret_missed)
{
	uint64_t second = now_ns / UINT64_C(1000000000);

	if (atomic_exchange_explicit(&limit->second, second, memory_order_relaxed) != second)
		atomic_store_explicit(&limit->lines, 0, memory_order_relaxed);
	if (atomic_fetch_add_explicit(&limit->lines, 1, memory_order_relaxed) >= LINES_PER_SECOND) {
		atomic_fetch_add_explicit(&limit->missed, 1, memory_order_relaxed);
		return false;
	}
	*ret_missed = atomic_exchange_explicit(&limit->missed, 0, memory_order_relaxed);
	return true;
}
