/* SPDX-License-Identifier: MIT */
/* parent.c - see parent.h. */
#include "parent.h"
#include "clock.h"
#include "log.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* Parents that died so soon after they were started, in a row: as restart.h counts data paths. */
#define SHORT_LIFE_NS UINT64_C(100000000)
#define SHORT_LIVES_MOST 100U

/* A link to another one, or -errno. */
static int replace(struct parent *p)
{
	uint64_t now_ns = monotonic_ns();

	if (now_ns - p->since_ns > SHORT_LIFE_NS)
		p->short_lives = 0;
	p->since_ns = now_ns;
	if (p->short_lives++ >= SHORT_LIVES_MOST)
		return -EAGAIN;
	return p->setup->orphaned(&p->bequest.heir, p->setup->data);
}

void parent_lost(struct parent *p)
{
	int r;

	bequeath_listen(&p->bequest);
	close(p->bequest.link);
	while (waitpid(-1, NULL, WNOHANG) > 0) /* it may have been our child */
		;
	r = replace(p);
	p->setup->link = p->bequest.link = r < 0 ? -1 : r;
	p->bequest.broken = false;
	if (r >= 0) {
		log_warning("the parent process is dead: another one takes its place");
		return;
	}
	p->has_heir = heir_lives(&p->bequest.heir);
	log_error("the parent process is dead and cannot be replaced (%s): %s; start it again when "
		  "its users can do without",
		  strerror(-r),
		  p->has_heir ? "a crash would be survived once, by the standby, until a reload"
			      : "a crash would end the mount");
}

void parent_miss_heir(struct parent *p)
{
	if (!p->has_heir || heir_lives(&p->bequest.heir))
		return;
	p->has_heir = false;
	heir_dismiss(&p->bequest.heir);
	log_error("the standby is gone, and there is no parent to start another one: a crash would "
		  "end the mount; start it again when its users can do without");
}

void parent_forget_signals(struct parent *p)
{
	struct signalfd_siginfo info;

	while (read(p->setup->signal_fd, &info, sizeof(info)) == sizeof(info))
		;
}

int parent_next_signal(struct parent *p)
{
	struct signalfd_siginfo info;
	struct link_message message;
	int signo, r;

	if (p->bequest.signals) { /* while an answer was waited for: it has decided on them */
		signo = __builtin_ctz(p->bequest.signals);
		p->bequest.signals &= p->bequest.signals - 1;
		return signo;
	}
	while (read(p->setup->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (p->bequest.link < 0)
			return (int)info.ssi_signo;
		r = link_say(p->bequest.link, LINK_SIGNAL, (int)info.ssi_signo);
		if (r)
			parent_lost(p);
		if (r)
			return (int)info.ssi_signo;
	}
	while (p->bequest.link >= 0) {
		r = bequeath_receive(&p->bequest, false, &message);
		if (r == -EAGAIN)
			break;
		if (r) {
			parent_lost(p);
			break;
		}
		if (message.kind == LINK_SIGNAL)
			return message.value;
	}
	return 0;
}

void parent_wait(struct parent *p, int event_fd, int timeout_ms)
{
	struct pollfd fds[] = {
		{.fd = p->setup->signal_fd, .events = POLLIN},
		{.fd = p->bequest.link, .events = POLLIN},
		{.fd = event_fd, .events = POLLIN},
		{.fd = p->has_heir ? p->bequest.heir.pidfd : -1, .events = POLLIN},
	};

	poll(fds, sizeof(fds) / sizeof(fds[0]), timeout_ms);
	parent_miss_heir(p);
}
