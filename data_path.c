/* SPDX-License-Identifier: MIT */
/* data_path.c - see data_path.h. */
#include "data_path.h"
#include "log.h"
#include "privilege.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <unistd.h>

struct data_path {
	struct handover *state;
	bool serves;
	bool lost_parent; /* at least once: it may not have handed on that this serves */
};

/* Who waits for the start, if the parent has not told him, would do so for ever. */
static void let_go(const struct data_path *d)
{
	if (d->serves && d->lost_parent)
		d->state->setup->let_go(d->state->setup->data);
}

static void tell(const struct data_path *d, enum link_kind kind)
{
	const struct supervise_setup *setup = d->state->setup;

	privilege_oom_score(PRIVILEGE_OOM_LATE);
	link_say(setup->serve.link, kind, 0);
	if (!setup->foreground)
		setup->detach(setup->data);
}

static void tell_prepared(void *data)
{
	tell(data, LINK_PREPARED);
}

static void tell_ready(void *data)
{
	struct data_path *d = data;

	tell(d, LINK_READY);
	d->serves = true;
	let_go(d);
}

/* A new parent, from this very program. */
static int adopt_parent(const struct heir *heir, void *data)
{
	struct data_path *d = data;
	struct handover state = *d->state;
	int ends[2], r = link_pair(ends);

	d->lost_parent = true;
	let_go(d);
	if (r)
		return r;
	state.old_program = -1;
	state.upgrading = false;
	state.active = (struct child){.pid = getpid(), .link = ends[0], .ready = true};
	state.standby = (struct child){.pid = heir->pid, .pidfd = heir->pidfd, .link = heir->link};
	state.active.pidfd = pidfd_open(state.active.pid, 0);
	r = state.active.pidfd < 0 ? -errno : handover_spawn(&state);
	if (state.active.pidfd >= 0)
		close(state.active.pidfd);
	close(ends[0]);
	if (!r)
		return ends[1];
	close(ends[1]);
	return r;
}

/* What is the parent's alone. */
static void let_parent_have(struct handover *state)
{
	if (state->active.pid)
		child_forget(&state->active);
	if (state->standby.pid)
		child_forget(&state->standby);
	close(state->setup->serve.signal_fd);
	if (state->old_program >= 0)
		close(state->old_program);
	state->estate.owner = false;
}

void data_path_run(struct handover *state, int link, bool first)
{
	struct data_path d = {.state = state};
	struct serve_setup *serve = &state->setup->serve;
	bool abrupt = false;
	int status, r;

	prctl(PR_SET_NAME, first ? SERVE_NAME : SERVE_NAME_STANDBY);
	let_parent_have(state);
	serve->estate = &state->estate;
	serve->link = link;
	serve->ready = tell_ready;
	serve->prepared = tell_prepared;
	serve->orphaned = adopt_parent;
	serve->data = &d;
	r = serve_block_signals(&serve->signal_fd);
	if (r) {
		log_error("signals cannot be received: %s; more descriptors have to be allowed "
			  "(ulimit -n)",
			  strerror(-r));
		status = EXIT_FAILURE;
	} else {
		status = first ? serve_first(serve, &abrupt) : serve_next(serve, &abrupt);
	}
	if (serve->link >= 0)
		link_say(serve->link, LINK_FAREWELL, status);
	if (abrupt)
		_exit(status);
	exit(status);
}
