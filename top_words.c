/* SPDX-License-Identifier: MIT */
/* top_words.c - see top_words.h. */
#include "top_words.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define DAY_S 86400U

void top_count(char to[TOP_WORD_BYTES], double n)
{
	if (n < 99999.5)
		snprintf(to, TOP_WORD_BYTES, "%.0f", n);
	else if (n < 999500)
		snprintf(to, TOP_WORD_BYTES, "%.0fk", n / 1e3);
	else if (n < 99.95e6)
		snprintf(to, TOP_WORD_BYTES, "%.1fM", n / 1e6);
	else
		snprintf(to, TOP_WORD_BYTES, "%.0fM", n / 1e6);
}

/* Three digits that count, but none beyond the second place. */
static void three_digits(char to[TOP_WORD_BYTES], double value)
{
	int places = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;

	snprintf(to, TOP_WORD_BYTES, "%.*f", places, value);
}

void top_megabytes(char to[TOP_WORD_BYTES], double bytes)
{
	if (bytes <= 0)
		snprintf(to, TOP_WORD_BYTES, "0");
	else
		three_digits(to, bytes / 1e6);
}

void top_ms(char to[TOP_WORD_BYTES], double us)
{
	to[0] = '\0';
	if (!isnan(us))
		three_digits(to, us / 1e3);
}

void top_pct(char to[TOP_WORD_BYTES], double pct)
{
	if (pct <= 0)
		snprintf(to, TOP_WORD_BYTES, "0%%");
	else
		snprintf(to, TOP_WORD_BYTES, "%.1f%%", pct);
}

void top_duration(char to[TOP_WORD_BYTES], double seconds)
{
	uint64_t s = seconds < 1e15 ? (uint64_t)seconds : 0;
	unsigned of_day = (unsigned)(s % DAY_S);

	if (s >= DAY_S)
		snprintf(to, TOP_WORD_BYTES, "%" PRIu64 " d %02u:%02u", s / DAY_S, of_day / 3600,
			 of_day / 60 % 60);
	else
		snprintf(to, TOP_WORD_BYTES, "%02u:%02u:%02u", of_day / 3600, of_day / 60 % 60,
			 of_day % 60);
}

void top_size(char to[TOP_WORD_BYTES], uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	double value = (double)bytes;
	size_t unit = 0;

	for (; value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
		value /= 1024;
	snprintf(to, TOP_WORD_BYTES, "%.*f %s", value < 100 && fabs(value - round(value)) > 0.005,
		 value, units[unit]);
}

/* ---- words ---- */

struct reason {
	const char *name, *words, *sentence;
};

static const struct reason *find_reason(const char *name)
{
	static const struct reason reasons[] = {
		{"share", "its turn", "its turn: others are first"},
		{"cap", "a cap", "a cap: its own or a group's"},
		{"window", "the disk", "the disk: it has enough"},
		{"anticipation", "another", "another's next request"},
		{"none", "", ""},
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (!strcmp(name, reasons[i].name))
			return &reasons[i];
	return NULL;
}

const char *top_reason(const char *throttled_by)
{
	const struct reason *reason = find_reason(throttled_by);

	return reason ? reason->words : throttled_by;
}

const char *top_reason_long(const char *throttled_by)
{
	const struct reason *reason = find_reason(throttled_by);

	return reason ? reason->sentence : throttled_by;
}

const char *top_alarm(const char *name)
{
	static const char *const alarms[][2] = {
		{"share", "got less than 0.8 of what it is entitled to, for 30 s"},
		{"reservation", "gets less than its min_iops or min_bps"},
		{"latency", "the disk is slower than its latency_target"},
		{"size", "what is behind it is shorter than it was"},
		{"memory", "queued writes fill the memory set aside for them"},
		{"weight", "its weight has no effect: it is the only file on its disk"},
		{"kernel", "a setting of the kernel is in the way: see the log of the start"},
	};

	for (size_t i = 0; i < sizeof(alarms) / sizeof(alarms[0]); i++)
		if (!strcmp(name, alarms[i][0]))
			return alarms[i][1];
	return name;
}
