/* SPDX-License-Identifier: MIT */
/*
 * top_live.c - see top_live.h.
 *
 * One loop sleeps on the keyboard, on the answer of the mount and on the clock. It never waits for
 * the mount itself, so keys work whatever that does.
 */
#include "top_live.h"
#include "top_read.h"
#include "top_screen.h"
#include "top_terminal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WAITING_SHOWN_S 1.0 /* an answer that does not come is counted in these */

struct live {
	struct top_feed *feed;
	struct top_view *view;
	struct top_grid grid;
	struct top_about about;
	double next_s; /* when to ask again */
};

static int draw(struct live *live)
{
	struct top_feed *feed = live->feed;
	int width, height, r = 0;

	top_terminal_size(&width, &height);
	if (width != live->grid.width || height != live->grid.height)
		r = top_grid_resize(&live->grid, width, height);
	live->about.trouble = feed->trouble[0] ? feed->trouble : NULL;
	live->about.waiting_s = feed->asked ? top_feed_clock() - feed->asked_s : 0;
	if (!r)
		r = top_screen_draw(&live->grid, feed->now, live->view, &live->about);
	if (!r)
		top_terminal_show(&live->grid);
	return r;
}

/* Until there is something to do by the clock. */
static int timeout_ms(const struct live *live)
{
	double now = top_feed_clock(), wait = live->next_s - now;

	if (live->feed->asked)
		wait = WAITING_SHOWN_S;
	else if (live->view->paused)
		return -1;
	return wait > 0 ? (int)(wait * 1000) + 1 : 0;
}

/* False: the end. */
static bool take_keys(struct live *live)
{
	unsigned long key;

	while ((key = top_terminal_key()) != TOP_TERMINAL_NONE)
		if (key != TOP_TERMINAL_RESIZED && !top_view_key(live->view, key))
			return false;
	return true;
}

static void ask_in_time(struct live *live)
{
	double now = top_feed_clock();

	if (live->view->paused || now < live->next_s || live->feed->asked)
		return;
	top_feed_ask(live->feed);
	/* in step with the clock, without catching up what was missed */
	live->next_s += live->about.every_s;
	if (live->next_s < now)
		live->next_s = now + live->about.every_s;
}

static int loop(struct live *live)
{
	int r = draw(live);

	while (!r) {
		struct pollfd fds[] = {
			{.fd = STDIN_FILENO, .events = POLLIN},
			{.fd = top_reader_fd(live->feed->reader), .events = POLLIN},
		};
		int n = poll(fds, 2, timeout_ms(live));

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0 && fds[0].revents & (POLLHUP | POLLERR | POLLNVAL))
			return 0; /* nobody looks any more */
		if (!take_keys(live))
			return 0;
		if (n > 0 && fds[1].revents && live->feed->asked)
			top_feed_take(live->feed);
		ask_in_time(live);
		r = draw(live);
	}
	return r;
}

int top_live(struct top_feed *feed, struct top_view *view, double every_s, bool utf8)
{
	struct live live = {.feed = feed,
			    .view = view,
			    .grid = {.utf8 = utf8},
			    .about = {.mount = feed->mount, .every_s = every_s},
			    .next_s = top_feed_clock() + every_s};
	int r;

	if (!top_terminal_open()) {
		fprintf(stderr, "fuseband-top: cannot use this terminal: is TERM right? "
				"Or use --once\n");
		return -ENOTTY;
	}
	r = loop(&live);
	top_terminal_close();
	top_grid_free(&live.grid);
	if (r)
		fprintf(stderr, "fuseband-top: %s\n", strerror(-r));
	return r;
}
