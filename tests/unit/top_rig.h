/* SPDX-License-Identifier: MIT */
/* top_rig.h - statuses for the tests of fuseband-top: recorded ones, and small ones made up. */
#ifndef FUSEBAND_TOP_RIG_H
#define FUSEBAND_TOP_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text.h"
#include "top_status.h"

static inline struct top_status *parsed(const char *text, size_t len)
{
	char error[TOP_ERROR_BYTES];
	struct top_status *status = NULL;

	if (top_status_parse(text, len, &status, error))
		fail_msg("%s", error);
	return status;
}

/* Of tests/top. */
static inline struct top_status *recorded(const char *name)
{
	struct text text = {0};
	struct top_status *status;
	char piece[4096], path[4096];
	FILE *in;

	snprintf(path, sizeof(path), "%s/top/%s", TESTS_DIRECTORY, name);
	in = fopen(path, "r");
	assert_non_null(in);
	while (fgets(piece, sizeof(piece), in))
		text_add(&text, piece);
	fclose(in);
	status = parsed(text.data, text.len);
	text_free(&text);
	return status;
}

/* The node of that name; of a group, the first. */
static inline struct top_node *node(struct top_status *status, const char *name)
{
	for (size_t i = 0; i < status->n; i++)
		if (!strcmp(status->nodes[i].name, name))
			return &status->nodes[i];
	fail_msg("there is no %s", name);
	return NULL;
}

/* ---- made up ---- */

static inline void begin(struct text *text, double uptime_s, long pid)
{
	*text = (struct text){0};
	text_printf(text,
		    "{\"version\":\"1\",\"pid\":%ld,\"uptime_s\":%.3f,\"workers\":2,\"restarts\":"
		    "0,\"upgrade_error\":null,\"alarms\":[],\"config\":{\"path\":null,"
		    "\"generation\":1,\"last_error\":null},\"devices\":[{\"name\":"
		    "\"sda\",\"policy\":\"cost\",\"isolation\":\"auto\",\"in_flight\":1,"
		    "\"in_flight_limit\":8,\"queued\":3,\"latency_us\":{\"p50\":1,\"p99\":2},"
		    "\"alarms\":[]}],"
		    "\"groups\":[{\"name\":\"acme\",\"parent\":null,\"device\":\"sda\",\"weight\":"
		    "5,\"entitled_pct\":1,\"achieved_pct\":2,\"alarms\":[]}],\"files\":[",
		    pid, uptime_s);
}

static inline void add_file(struct text *text, const char *name, const char *parent,
			    unsigned long reads)
{
	bool first = text->data[text->len - 1] == '[';

	text_printf(
		text,
		"%s{\"name\":\"%s\",\"path\":\"/dev/x\",\"device\":\"sda\",\"parent\":%s,"
		"\"weight\":100,\"size_bytes\":4096,\"entitled_pct\":10.5,\"achieved_pct\":"
		"10.25,\"queued\":1,\"in_flight\":1,\"read_ios\":%lu,\"write_ios\":0,"
		"\"read_bytes\":%lu,\"write_bytes\":0,\"flushes\":0,\"discards\":0,\"errors\":0,"
		"\"throttled_by\":\"share\",\"waited_us\":{\"share\":%lu,\"cap\":0,\"window\":0,"
		"\"anticipation\":0},\"wait_us\":{\"p50\":null,\"p99\":null,\"p999\":null},"
		"\"service_us\":{\"p50\":1,\"p99\":2,\"p999\":3},\"alarms\":[]}",
		first ? "" : ",", name, parent, reads, reads * 4096, reads * 1000);
}

static inline struct top_status *end(struct text *text)
{
	struct top_status *status;

	text_add(text, "]}");
	status = parsed(text->data, text->len);
	text_free(text);
	return status;
}

#endif
