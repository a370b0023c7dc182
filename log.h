/* SPDX-License-Identifier: MIT */
/*
 * log.h - one line per message: to stderr in the foreground, to syslog (and so the journal) after.
 *
 * The only process-wide state of the program but the signal flags: where lines go and from which
 * level on. Set once by the main thread before there are others, the level also at a reload.
 */
#ifndef FUSEBAND_LOG_H
#define FUSEBAND_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level);
/* From now on to syslog as "fuseband". */
void log_to_syslog(void);
/*
 * If stderr leads to systemd's journal, as of a unit (JOURNAL_STREAM): each line begins with its
 * level, as sd-daemon(3) has it. Otherwise nothing changes.
 */
void log_mark_levels(void);
/* Any thread; keeps errno. No newline at the end. */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What somebody has just asked for, whatever the level. */
void log_asked(const char *text);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

/*
 * For what may happen a million times: lets 10 lines in a second through for each struct. True: log
 * it, and *ret_missed lines before it were not.
 */
struct log_limit {
	_Atomic uint64_t second;
	_Atomic unsigned lines, missed;
};
bool log_allowed(struct log_limit *limit, uint64_t now_ns, unsigned *ret_missed);

#endif
