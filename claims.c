/* SPDX-License-Identifier: MIT */
/*
 * claims.c - the objects of one plan, each claimed once.
 *
 * Objects are in a tree by identity. Two things are lent instead of claimed:
 *	to an object that a running file has	its claim; made writable at the very end, when
 *						nothing else can go wrong with the plan
 *	to a partition of an object		the claim of the whole disk, as the kernel would
 *						refuse the partition one of its own
 * The reverse, a whole disk of which a partition is claimed, is busy even if it is us who
 * have it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "claims.h"
#include "disks.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare_objects(const void *a, const void *b)
{
	return backing_id_compare(a, b);
}

static int compare_claims(const void *a, const void *b)
{
	return backing_id_compare(&(*(struct backing_claim *const *)a)->id,
				  &(*(struct backing_claim *const *)b)->id);
}

int claims_init(struct claims *claims, struct backing_claim *const *running, size_t n, bool check)
{
	*claims = (struct claims){.check = check};
	int err = backing_users_read(&claims->users);
	if (err)
		return err;
	claims->running = calloc(n + 1, sizeof(*claims->running));
	if (!claims->running) {
		claims_free(claims);
		return -ENOMEM;
	}
	if (n > 0)
		memcpy(claims->running, running, n * sizeof(*running));
	claims->n_running = n;
	qsort(claims->running, n, sizeof(*claims->running), compare_claims);
	return 0;
}

static void free_object(void *node)
{
	struct claims_object *object = node;
	backing_claim_unref(object->claim);
	free(object->why);
	free(object);
}

void claims_free(struct claims *claims)
{
	tdestroy(claims->tree, free_object);
	backing_users_free(claims->users);
	free(claims->running);
	*claims = (struct claims){0};
}

static struct claims_object *find_object(const struct claims *claims, const struct backing_id *id)
{
	void *found = tfind(id, &claims->tree, compare_objects);
	return found ? *(struct claims_object **)found : NULL;
}

int claims_add(struct claims *claims, const struct backing_id *id, const char *path, bool readonly,
	       struct claims_object **ret_object)
{
	struct claims_object *object = find_object(claims, id);
	if (!object) {
		object = calloc(1, sizeof(*object));
		if (!object)
			return -ENOMEM;
		*object = (struct claims_object){.id = *id, .path = path, .readonly = true};
		if (!tsearch(object, &claims->tree, compare_objects)) {
			free(object);
			return -ENOMEM;
		}
	}
	object->readonly = object->readonly && readonly;
	*ret_object = object;
	return 0;
}

static struct backing_claim *find_running(const struct claims *claims, const struct backing_id *id)
{
	struct backing_claim key = {.id = *id}, *at = &key;
	struct backing_claim **found = bsearch(&at, claims->running, claims->n_running,
					       sizeof(*claims->running), compare_claims);
	return found ? *found : NULL;
}

static void lend(struct claims_object *object, struct backing_claim *claim)
{
	object->claim = backing_claim_ref(claim);
	object->upgrade = claim->readonly && !object->readonly;
}

static bool disk_of_partition(const struct backing_id *id, struct backing_id *ret_disk)
{
	struct backing_id disk = {.is_block = true};
	uint64_t start;
	if (!id->is_block || disks_attr_u64(&disks_system, id->dev, "start", &start) != 0 ||
	    disks_attr_dev(&disks_system, id->dev, "../dev", &disk.dev) != 0)
		return false;
	*ret_disk = disk;
	return true;
}

/* True when object is a partition of a disk that is claimed, or about to be. */
static bool lend_from_disk(struct claims *claims, struct claims_object *object)
{
	struct backing_id id;
	if (!disk_of_partition(&object->id, &id))
		return false;
	struct claims_object *disk = find_object(claims, &id);
	struct backing_claim *running = find_running(claims, &id);
	if (!disk && running)
		lend(object, running);
	if (!disk)
		return running != NULL;
	object->err = claims_take(claims, disk);
	if (disk->why)
		object->why = strdup(disk->why);
	if (disk->claim)
		lend(object, disk->claim);
	return true;
}

static bool partition_is_running(const struct claims *claims, const struct backing_id *disk)
{
	struct backing_id id;
	for (size_t i = 0; i < claims->n_running; i++)
		if (disk_of_partition(&claims->running[i]->id, &id) &&
		    backing_id_compare(&id, disk) == 0)
			return true;
	return false;
}

int claims_take(struct claims *claims, struct claims_object *object)
{
	char why[256] = "";
	bool fuseband = false;
	if (object->tried)
		return object->err;
	object->tried = true;
	struct backing_claim *running = find_running(claims, &object->id);
	if (running) {
		lend(object, running);
		return 0;
	}
	if (lend_from_disk(claims, object))
		return object->err;
	object->err = backing_claim(object->path, &object->id, object->readonly, claims->users, why,
				    sizeof(why), &fuseband, &object->claim);
	if (object->err == -EBUSY && partition_is_running(claims, &object->id))
		snprintf(why, sizeof(why),
			 "has a partition that is being served: a reload can't "
			 "change that, a restart can");
	if (object->err)
		object->why = strdup(why);
	if (fuseband && claims->check)
		object->err = 0;
	return object->err;
}

struct upgrade {
	struct claims *claims;
	struct backing_claim **done;
	size_t n, size;
	int err;
};

static void upgrade_object(const void *node, VISIT visit, void *context)
{
	struct upgrade *upgrade = context;
	struct claims_object *object = *(struct claims_object *const *)node;
	char why[256];
	if ((visit != preorder && visit != leaf) || !object->upgrade || !object->claim->readonly)
		return;
	if (upgrade->n == upgrade->size) {
		upgrade->size = upgrade->size ? 2 * upgrade->size : 16;
		void *grown = reallocarray(upgrade->done, upgrade->size, sizeof(*upgrade->done));
		if (!grown) {
			upgrade->err = -ENOMEM;
			upgrade->size = upgrade->n;
			return;
		}
		upgrade->done = grown;
	}
	int err = backing_claim_upgrade(object->claim, upgrade->claims->users, why, sizeof(why));
	if (err) {
		object->err = upgrade->err = err;
		free(object->why);
		object->why = strdup(why);
		return;
	}
	upgrade->done[upgrade->n++] = backing_claim_ref(object->claim);
}

int claims_upgrade(struct claims *claims, struct backing_claim ***ret_list, size_t *ret_n)
{
	struct upgrade upgrade = {.claims = claims};
	twalk_r(claims->tree, upgrade_object, &upgrade);
	if (!upgrade.err) {
		*ret_list = upgrade.done;
		*ret_n = upgrade.n;
		return 0;
	}
	for (size_t i = 0; i < upgrade.n; i++) {
		backing_claim_downgrade(upgrade.done[i]);
		backing_claim_unref(upgrade.done[i]);
	}
	free(upgrade.done);
	return upgrade.err;
}
