/* SPDX-License-Identifier: MIT */
/* bequeath.c - see bequeath.h. */
#include "bequeath.h"
#include "accepted.h"
#include "worker.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* To the parent, and into our own estate. The descriptors stay ours. */
static int bequeath(struct bequest *b, struct link_message *message)
{
	int r = b->broken || b->link < 0 ? 0 : link_send(b->link, message);

	if (r == -EPIPE || r == -ECONNRESET) {
		b->broken = true; /* whoever comes after it gets all of the estate */
		r = 0;
	}
	if (!r)
		r = estate_apply(b->estate, message);
	if (r && message->kind == LINK_CLAIM && !b->broken && b->link >= 0) {
		/* they get other names the next time: not to be kept by the parent for ever */
		message->kind = LINK_UNCLAIM;
		message->n_fds = 0;
		link_send(b->link, message);
	}
	return r;
}

static int compare_claims(const void *a, const void *b)
{
	const struct backing_claim *const *x = a, *const *y = b;

	return ((*x)->kept > (*y)->kept) - ((*x)->kept < (*y)->kept);
}

/* One name at a time or many descriptors: into messages of LINK_FDS. */
static int add_to(struct bequest *b, struct link_message *message, uint64_t id, int fd)
{
	int r;

	message->ids[message->n_ids++] = id;
	if (fd >= 0)
		message->fds[message->n_fds++] = fd;
	if (message->n_ids < LINK_FDS)
		return 0;
	r = bequeath(b, message);
	message->n_ids = message->n_fds = 0;
	return r;
}

static int flush_message(struct bequest *b, struct link_message *message)
{
	return message->n_ids ? bequeath(b, message) : 0;
}

static int send_new_claims(struct bequest *b, struct backing_claim *const *claims, size_t n)
{
	struct link_message message = {.kind = LINK_CLAIM};
	int r = 0;

	for (size_t i = 0; !r && i < n; i++)
		if (!claims[i]->kept) {
			claims[i]->kept = b->estate->next_claim++;
			r = add_to(b, &message, claims[i]->kept, claims[i]->fd);
		}
	return r ? r : flush_message(b, &message);
}

/* claims: sorted by name, those of this moment. */
static int send_old_claims(struct bequest *b, struct backing_claim *const *claims, size_t n)
{
	const struct estate *estate = b->estate;
	struct link_message message = {.kind = LINK_UNCLAIM};
	size_t at = 0;
	int r = 0;

	for (size_t i = 0; !r && i < estate->n_claims; i++) {
		uint64_t id = estate->claims[i].id;

		while (at < n && claims[at]->kept < id)
			at++;
		if (at == n || claims[at]->kept != id)
			r = add_to(b, &message, id, -1);
	}
	return r ? r : flush_message(b, &message);
}

/*
 * Of claims that the parent may not have: they are sent again under others, and those that it has
 * under the old ones are no longer needed.
 */
static void forget_names(const struct bequest *b, const struct mount *mount)
{
	for (size_t i = 0; i < mount_n_all(mount); i++) {
		struct backing_claim *claim = mount_file_at(mount, i)->claim;

		if (claim && claim->kept >= b->settled)
			claim->kept = 0;
	}
}

static int send_claims(struct bequest *b, const struct mount *mount)
{
	struct backing_claim **claims =
		calloc(mount_n_all(mount) + 1, sizeof(struct backing_claim *));
	size_t n = 0;
	int r;

	if (!claims)
		return -ENOMEM;
	for (size_t i = 0; i < mount_n_all(mount); i++) {
		struct backing_claim *claim = mount_file_at(mount, i)->claim;

		if (claim)
			claims[n++] = claim;
	}
	r = send_new_claims(b, claims, n);
	qsort(claims, n, sizeof(*claims), compare_claims);
	if (!r)
		r = send_old_claims(b, claims, n);
	free(claims);
	return r;
}

static int send_accepted(struct bequest *b, const struct mount *mount, const struct conf_text *text)
{
	struct estate *estate = b->estate;
	struct link_message message = {
		.kind = LINK_ACCEPTED, .n_ids = 1, .ids = {++b->asked}, .n_fds = 1};
	int before = estate->accepted_fd;
	int r = accepted_save(mount, text, &message.fds[0]);

	if (r)
		return r;
	r = bequeath(b, &message);
	if (r)
		close(message.fds[0]);
	else if (before >= 0)
		close(before);
	return r;
}

int bequeath_receive(struct bequest *b, bool wait, struct link_message *ret_message)
{
	int r = link_receive(b->link, wait, ret_message);

	while (r == -EMFILE || r == -EPROTO) {
		heir_dismiss(&b->heir); /* another one, and no descriptors left for it */
		r = link_receive(b->link, wait, ret_message);
	}
	if (r)
		return r;
	if (ret_message->kind == LINK_HEIR)
		heir_set(&b->heir, ret_message);
	link_close_fds(ret_message); /* of one that brings none */
	return 0;
}

/* What was said while something else was waited for. */
static void note(struct bequest *b, const struct link_message *message)
{
	if (message->kind == LINK_SIGNAL)
		b->signals |= UINT32_C(1) << (message->value & 31);
}

void bequeath_listen(struct bequest *b)
{
	struct link_message message;

	while (!bequeath_receive(b, false, &message))
		note(b, &message);
	/* nobody else could be told whom to wait for */
	if (b->heir.pidfd < 0)
		heir_dismiss(&b->heir);
}

/* Until it has let go of what is no longer claimed. Answers to earlier ones may come before. */
static int wait_until_settled(struct bequest *b)
{
	struct link_message answer = {0};
	bool answered = false;
	int r = 0;

	while (!r && !b->broken && b->link >= 0 && !answered) {
		r = bequeath_receive(b, true, &answer);
		if (r == -EPIPE) {
			b->broken = true;
			r = 0;
		} else if (!r) {
			note(b, &answer);
			answered = answer.kind == LINK_SETTLED && answer.ids[0] == b->asked;
		}
	}
	if (b->broken || b->link < 0) {
		bequeath_listen(b);
		heir_dismiss(&b->heir);
	}
	return answered ? answer.value : r;
}

int bequeath_accepted(struct bequest *b, const struct mount *mount, const struct conf_text *text)
{
	int r = send_claims(b, mount);

	if (!r)
		r = send_accepted(b, mount, text);
	if (!r)
		r = wait_until_settled(b);
	if (r)
		forget_names(b, mount);
	else
		b->settled = b->estate->next_claim;
	b->failed = r != 0;
	return r;
}

int bequeath_mount(struct bequest *b, const struct front *front, const struct crew *crew)
{
	struct link_message mounted = {.kind = LINK_MOUNTED}, init = {.kind = LINK_INIT};
	struct pack pack;
	int r;

	mounted.fds[mounted.n_fds++] = front->fd;
	for (unsigned i = 0; i < crew->n_workers; i++)
		mounted.fds[mounted.n_fds++] = crew->workers[i].session.fd;
	r = bequeath(b, &mounted);
	if (!r)
		r = pack_begin(&pack, "fuseband-init");
	if (r)
		return r;
	pack_bytes(&pack, front->init, front->init_bytes);
	r = pack_end(&pack, &init.fds[0]);
	if (r)
		return r;
	init.n_fds = 1;
	init.value = 1;
	return bequeath(b, &init);
}
