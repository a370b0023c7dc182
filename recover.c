/* SPDX-License-Identifier: MIT */
/* recover.c - see recover.h. */
#include "recover.h"
#include "accepted.h"
#include "log.h"
#include "plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Files that were removed but are open go behind those of the text. */
static int append_removed(struct conf *conf, const struct accepted *accepted)
{
	struct conf_file *files;

	files = reallocarray(conf->files, conf->n_files + accepted->n_files + 1, sizeof(*files));
	if (!files)
		return -ENOMEM;
	conf->files = files;
	for (size_t i = 0; i < accepted->n_files; i++) {
		const struct accepted_file *was = &accepted->files[i];
		struct conf_file *file = &files[conf->n_files];

		if (!was->removed)
			continue;
		*file = was->section;
		file->device = file->parent = -1;
		for (size_t d = 0; was->device && d < conf->n_devices; d++)
			if (!strcmp(conf->devices[d].name, was->device))
				file->device = (int)d;
		file->name = strdup(was->name);
		file->path = strdup(was->path);
		conf->n_files++;
		if (!file->name || !file->path)
			return -ENOMEM;
	}
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	const struct accepted_file *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static int compare_claims(const void *a, const void *b)
{
	const struct backing_claim *const *x = a, *const *y = b;

	return ((*x)->kept > (*y)->kept) - ((*x)->kept < (*y)->kept);
}

static struct backing_claim *find_claim(struct backing_claim *const *claims, size_t n, uint64_t id)
{
	struct backing_claim key = {.kept = id}, *at = &key;
	struct backing_claim *const *found =
		id ? bsearch(&at, claims, n, sizeof(*claims), compare_claims) : NULL;

	return found ? *found : NULL;
}

static void recall(const struct accepted_file *was, struct backing_claim *const *claims,
		   size_t n_claims, struct plan_running *ret_running)
{
	*ret_running = (struct plan_running){
		.name = was->name,
		.claim = was->present ? find_claim(claims, n_claims, was->claim) : NULL,
		.path = was->path,
		.removed = was->removed,
		.lost = was->lost,
		.id = was->id,
		.served_bytes = was->size_bytes,
		.object = was->object,
		.traits = was->traits,
	};
}

/* What each file of conf was: *ret_running of conf->n_files, in their order. */
static int recall_all(const struct conf *conf, const struct accepted *accepted,
		      struct backing_claim *const *claims, size_t n_claims,
		      struct plan_running **ret_running)
{
	const struct accepted_file **by_name = calloc(accepted->n_files + 1, sizeof(*by_name));
	struct plan_running *running = calloc(conf->n_files + 1, sizeof(*running));
	size_t n = 0, at = 0;

	if (!by_name || !running) {
		free(by_name);
		free(running);
		return -ENOMEM;
	}
	for (size_t i = 0; i < accepted->n_files; i++)
		if (!accepted->files[i].removed)
			by_name[n++] = &accepted->files[i];
	qsort(by_name, n, sizeof(*by_name), compare_names);
	for (; at < conf->n_files; at++) {
		const struct accepted_file key = {.name = conf->files[at].name}, *k = &key;
		const struct accepted_file **found;

		if (at >= conf->n_files - (accepted->n_files - n))
			break; /* the removed ones */
		found = bsearch(&k, by_name, n, sizeof(*by_name), compare_names);
		if (found)
			recall(*found, claims, n_claims, &running[at]);
	}
	for (size_t i = 0; i < accepted->n_files; i++)
		if (accepted->files[i].removed)
			recall(&accepted->files[i], claims, n_claims, &running[at++]);
	free(by_name);
	*ret_running = running;
	return 0;
}

/* *ret_claims: of estate->claims; NULL where it was not adopted, or without memory. */
static int adopt_claims(const struct estate *estate, struct backing_claim ***ret_claims)
{
	struct backing_claim **claims =
		calloc(estate->n_claims + 1, sizeof(struct backing_claim *));
	int r = claims ? 0 : -ENOMEM;

	for (size_t i = 0; !r && i < estate->n_claims; i++)
		r = backing_claim_adopt(estate->claims[i].fd, estate->claims[i].id, &claims[i]);
	*ret_claims = claims;
	return r;
}

/* What is not the mount's by now is the estate's, as before. */
static void give_back_claims(struct estate *estate, struct backing_claim **claims)
{
	for (size_t i = 0; i < estate->n_claims; i++) {
		struct backing_claim *claim = claims ? claims[i] : NULL;

		if (claim && claim->refs == 1)
			claim->fd = -1;
		estate->claims[i].unused = !claim || claim->refs == 1;
		backing_claim_unref(claim);
	}
	free(claims);
}

/* What was accepted, as conf, with the removed files; and what each of its files was. */
static int recall_conf(const struct estate *estate, struct accepted *accepted,
		       struct backing_claim *const *claims, struct conf_errors *errors,
		       struct conf **ret_conf, struct plan_running **ret_running)
{
	struct conf *conf = NULL;
	int r = conf_parse(&accepted->text, errors, &conf);

	if (!r)
		r = conf_expand(conf, &accepted->text, errors, NULL);
	if (!r)
		r = append_removed(conf, accepted);
	if (!r)
		r = recall_all(conf, accepted, claims, estate->n_claims, ret_running);
	if (r)
		conf_free(conf);
	else
		*ret_conf = conf;
	return r;
}

static int make_mount(const struct estate *estate, const struct accepted *accepted,
		      const struct plan *plan, struct conf_errors *errors, struct mount **ret_mount)
{
	struct mount *mount = mount_new();
	int r;

	if (!mount)
		return -ENOMEM;
	mount->keep = estate->keep;
	mount->standby = true;
	mount->since = accepted->since;
	mount->began = accepted->began;
	mount->next_id = accepted->next_id;
	r = mount_apply(mount, plan, errors);
	mount->generation = accepted->generation;
	*ret_mount = mount;
	return r;
}

/* From what was accepted to a plan of it, and to a mount that is the same as before. */
static int recover_mount(struct estate *estate, const char *mountpoint, struct accepted *accepted,
			 struct recovered *ret)
{
	struct conf_errors errors = {0}, notes = {0};
	struct plan_running *running = NULL;
	struct backing_claim **claims = NULL;
	struct conf *conf = NULL;
	struct plan *plan = NULL;
	int r = adopt_claims(estate, &claims);

	if (!r)
		r = recall_conf(estate, accepted, claims, &errors, &conf, &running);
	if (!r) {
		ret->main = conf->main;
		r = plan_make(conf, mountpoint, running, conf->n_files, PLAN_RECOVER, &disks_system,
			      &errors, &notes, &plan);
	}
	if (!r)
		r = make_mount(estate, accepted, plan, &errors, &ret->mount);
	for (size_t i = 0; i < errors.n; i++)
		log_error("%s", errors.list[i].text);
	for (size_t i = 0; i < notes.n; i++)
		log_warning("%s", notes.list[i].text);
	free(running);
	plan_free(plan);
	give_back_claims(estate, claims);
	conf_errors_free(&errors);
	conf_errors_free(&notes);
	return r;
}

static int recover_front(const struct estate *estate, const char *mountpoint, bool debug,
			 struct recovered *ret)
{
	struct unpack unpack;
	size_t n = 0;
	char *init;
	int r = unpack_begin(&unpack, estate->init_fd);

	if (r)
		return r;
	init = unpack_bytes(&unpack, &n);
	r = unpack_end(&unpack);
	if (!r)
		r = front_adopt(ret->mount, mountpoint, estate->fuse_fd, init, n, debug,
				&ret->front);
	free(init);
	return r;
}

int recover(struct estate *estate, const char *mountpoint, bool debug, struct recovered *ret)
{
	struct accepted accepted;
	int r = accepted_load(estate->accepted_fd, &accepted);

	if (r)
		return r;
	r = recover_mount(estate, mountpoint, &accepted, ret);
	if (!r) {
		ret->text = accepted.text;
		accepted.text = (struct conf_text){0};
		r = recover_front(estate, mountpoint, debug, ret);
	}
	accepted_free(&accepted);
	return r;
}
