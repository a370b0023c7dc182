/* SPDX-License-Identifier: MIT */
/* top_feed.c - see top_feed.h. */
#include "top_feed.h"
#include "text.h"
#include "top_rate.h"
#include "top_read.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

double top_feed_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int top_feed_open(struct top_feed *feed, const char *mount)
{
	*feed = (struct top_feed){.mount = mount};
	return top_reader_start(mount, &feed->reader);
}

void top_feed_close(struct top_feed *feed)
{
	top_reader_stop(feed->reader);
	top_status_free(feed->now);
	*feed = (struct top_feed){0};
}

void top_feed_ask(struct top_feed *feed)
{
	if (feed->asked)
		return;
	feed->asked = true;
	feed->asked_s = top_feed_clock();
	top_reader_ask(feed->reader);
}

/* Somebody has killed it: another one. */
static enum top_feed_result reader_is_gone(struct top_feed *feed)
{
	struct top_reader *other = NULL;
	int r = top_reader_start(feed->mount, &other);

	snprintf(feed->trouble, sizeof(feed->trouble), "the process that reads %s has ended%s%s",
		 feed->mount, r ? ", and there is no other: " : "", r ? strerror(-r) : "");
	if (!r) {
		top_reader_stop(feed->reader);
		feed->reader = other;
	}
	return TOP_FEED_FAILED;
}

static enum top_feed_result failed(struct top_feed *feed, const char *where, const char *what)
{
	snprintf(feed->trouble, sizeof(feed->trouble), "%s%s", where, what);
	text_tame(feed->trouble);
	return TOP_FEED_FAILED;
}

static enum top_feed_result take_status(struct top_feed *feed, const char *text, size_t len)
{
	char error[TOP_ERROR_BYTES], where[TOP_TROUBLE_BYTES / 2];
	struct top_status *next;

	if (top_status_parse(text, len, &next, error)) {
		snprintf(where, sizeof(where), "%s/.fuseband/status.json: ", feed->mount);
		return failed(feed, where, error);
	}
	feed->trouble[0] = '\0';
	if (top_rate(next, feed->now) == TOP_RATE_SAME) {
		top_status_free(next);
		return TOP_FEED_SAME;
	}
	top_status_free(feed->now);
	feed->now = next;
	return TOP_FEED_NEW;
}

enum top_feed_result top_feed_take(struct top_feed *feed)
{
	const char *text;
	size_t len;
	bool no_status;
	int r = top_reader_take(feed->reader, &text, &len, &no_status);

	if (!r)
		return TOP_FEED_WAIT;
	feed->asked = false;
	if (r < 0)
		return reader_is_gone(feed);
	return no_status ? failed(feed, "", text) : take_status(feed, text, len);
}

enum top_feed_result top_feed_wait(struct top_feed *feed, double seconds)
{
	double end = top_feed_clock() + seconds, left;
	enum top_feed_result result = TOP_FEED_WAIT;

	top_feed_ask(feed);
	while (result == TOP_FEED_WAIT && (left = end - top_feed_clock()) > 0) {
		struct pollfd fd = {.fd = top_reader_fd(feed->reader), .events = POLLIN};

		if (poll(&fd, 1, (int)(left * 1000) + 1) > 0)
			result = top_feed_take(feed);
	}
	return result;
}
