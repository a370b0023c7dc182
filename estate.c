/* SPDX-License-Identifier: MIT */
/* estate.c - see estate.h. */
#include "estate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void drop(const struct estate *estate, int fd)
{
	if (estate->owner && fd >= 0)
		close(fd);
}

static void drop_claim(const struct estate *estate, const struct estate_claim *claim)
{
	if (estate->owner || claim->unused)
		close(claim->fd);
}

int estate_create(struct estate *estate)
{
	*estate = (struct estate){
		.fuse_fd = -1, .init_fd = -1, .accepted_fd = -1, .keep_fd = -1, .next_claim = 1};
	return keep_create(&estate->keep_fd, &estate->keep);
}

void estate_free(struct estate *estate)
{
	drop(estate, estate->fuse_fd);
	drop(estate, estate->init_fd);
	drop(estate, estate->accepted_fd);
	drop(estate, estate->keep_fd);
	for (unsigned i = 0; i < estate->n_clones; i++)
		drop(estate, estate->clones[i]);
	for (size_t i = 0; i < estate->n_claims; i++)
		drop_claim(estate, &estate->claims[i]);
	free(estate->claims);
	if (estate->keep)
		munmap(estate->keep, sizeof(*estate->keep));
	*estate = (struct estate){.fuse_fd = -1, .init_fd = -1, .accepted_fd = -1, .keep_fd = -1};
}

static int add_claims(struct estate *estate, const struct link_message *message)
{
	struct estate_claim *grown;

	if (message->n_ids != message->n_fds)
		return -EPROTO;
	grown = reallocarray(estate->claims, estate->n_claims + message->n_fds + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	estate->claims = grown;
	for (unsigned i = 0; i < message->n_fds; i++) {
		grown[estate->n_claims++] = (struct estate_claim){
			.id = message->ids[i], .fd = message->fds[i], .fresh = true};
		if (message->ids[i] >= estate->next_claim)
			estate->next_claim = message->ids[i] + 1;
	}
	return 0;
}

static int compare_claims(const void *id, const void *claim)
{
	const uint64_t *x = id;
	const struct estate_claim *y = claim;

	return (*x > y->id) - (*x < y->id);
}

/* Ids are given in order, so that claims are sorted by them. */
static int mark_stale(struct estate *estate, const struct link_message *message)
{
	if (message->n_fds)
		return -EPROTO;
	for (unsigned i = 0; estate->n_claims && i < message->n_ids; i++) {
		struct estate_claim *claim =
			bsearch(&message->ids[i], estate->claims, estate->n_claims,
				sizeof(*estate->claims), compare_claims);

		if (claim)
			claim->stale = true;
	}
	return 0;
}

static bool is_fresh(const struct estate_claim *claim)
{
	return claim->fresh;
}

static bool is_stale(const struct estate_claim *claim)
{
	return claim->stale;
}

static void sweep(struct estate *estate, bool (*goes)(const struct estate_claim *claim))
{
	size_t kept = 0;

	for (size_t i = 0; i < estate->n_claims; i++)
		if (goes(&estate->claims[i]))
			drop_claim(estate, &estate->claims[i]);
		else
			estate->claims[kept++] = estate->claims[i];
	estate->n_claims = kept;
}

/* What there is counts. */
static void settle(struct estate *estate)
{
	for (size_t i = 0; i < estate->n_claims; i++)
		estate->claims[i].fresh = estate->claims[i].stale = false;
}

void estate_forget(struct estate *estate)
{
	sweep(estate, is_fresh);
	settle(estate);
}

void estate_refuse(struct estate *estate)
{
	sweep(estate, is_fresh);
}

static int replace(const struct estate *estate, int *fd, const struct link_message *message)
{
	if (message->n_fds != 1)
		return -EPROTO;
	drop(estate, *fd);
	*fd = message->fds[0];
	return 0;
}

static int set_mounted(struct estate *estate, const struct link_message *message)
{
	if (!message->n_fds || message->n_fds - 1 > ESTATE_CLONES || estate->fuse_fd >= 0)
		return -EPROTO;
	estate->fuse_fd = message->fds[0];
	estate->n_clones = message->n_fds - 1;
	memcpy(estate->clones, message->fds + 1, estate->n_clones * sizeof(int));
	return 0;
}

int estate_apply(struct estate *estate, struct link_message *message)
{
	int r = 0;

	switch ((enum link_kind)message->kind) {
	case LINK_MOUNTED:
		r = set_mounted(estate, message);
		break;
	case LINK_INIT:
		r = replace(estate, &estate->init_fd, message);
		if (!r)
			estate->can_resend = message->value != 0;
		break;
	case LINK_CLAIM:
		r = add_claims(estate, message);
		break;
	case LINK_UNCLAIM:
		r = mark_stale(estate, message);
		break;
	case LINK_ACCEPTED:
		r = replace(estate, &estate->accepted_fd, message);
		if (!r) {
			sweep(estate, is_stale);
			settle(estate);
		}
		break;
	default:
		r = -EPROTO;
	}
	if (!r)
		message->n_fds = 0; /* they are the estate's now */
	else if (estate->owner)
		link_close_fds(message);
	return r;
}

int estate_each(const struct estate *estate, int (*each)(int fd, void *data), void *data)
{
	const int fixed[] = {estate->fuse_fd, estate->init_fd, estate->accepted_fd,
			     estate->keep_fd};
	int r = 0;

	for (size_t i = 0; !r && i < sizeof(fixed) / sizeof(fixed[0]); i++)
		r = fixed[i] < 0 ? 0 : each(fixed[i], data);
	for (unsigned i = 0; !r && i < estate->n_clones; i++)
		r = each(estate->clones[i], data);
	for (size_t i = 0; !r && i < estate->n_claims; i++)
		r = each(estate->claims[i].fd, data);
	return r;
}

static void pack_fd(struct pack *pack, int fd)
{
	pack_u64(pack, (uint64_t)(int64_t)fd);
}

static int unpack_fd(struct unpack *unpack)
{
	return (int)(int64_t)unpack_u64(unpack);
}

void estate_pack(const struct estate *estate, struct pack *pack)
{
	pack_u64(pack, estate->can_resend);
	pack_fd(pack, estate->fuse_fd);
	pack_fd(pack, estate->init_fd);
	pack_fd(pack, estate->accepted_fd);
	pack_fd(pack, estate->keep_fd);
	pack_u64(pack, estate->n_clones);
	for (unsigned i = 0; i < estate->n_clones; i++)
		pack_fd(pack, estate->clones[i]);
	pack_u64(pack, estate->next_claim);
	pack_u64(pack, estate->n_claims);
	for (size_t i = 0; i < estate->n_claims; i++) {
		pack_u64(pack, estate->claims[i].id);
		pack_fd(pack, estate->claims[i].fd);
	}
}

int estate_unpack(struct unpack *unpack, struct estate *ret_estate)
{
	struct estate estate = {.owner = true};
	size_t n;
	int r;

	estate.can_resend = unpack_u64(unpack);
	estate.fuse_fd = unpack_fd(unpack);
	estate.init_fd = unpack_fd(unpack);
	estate.accepted_fd = unpack_fd(unpack);
	estate.keep_fd = unpack_fd(unpack);
	n = unpack_count(unpack);
	if (n > ESTATE_CLONES)
		return -EPROTO;
	for (estate.n_clones = 0; estate.n_clones < n; estate.n_clones++)
		estate.clones[estate.n_clones] = unpack_fd(unpack);
	estate.next_claim = unpack_u64(unpack);
	n = unpack_count(unpack);
	estate.claims = calloc(n + 1, sizeof(*estate.claims));
	if (!estate.claims)
		return -ENOMEM;
	for (; estate.n_claims < n; estate.n_claims++) {
		estate.claims[estate.n_claims].id = unpack_u64(unpack);
		estate.claims[estate.n_claims].fd = unpack_fd(unpack);
	}
	r = unpack->broken ? -EPROTO : keep_open(estate.keep_fd, &estate.keep);
	if (r)
		free(estate.claims);
	else
		*ret_estate = estate;
	return r;
}
