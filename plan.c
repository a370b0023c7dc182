/* SPDX-License-Identifier: MIT */
/*
 * plan.c - brings a checked configuration together with the machine.
 *
 *	conf		what is wanted: paths, ranges, names
 *	  |  look	what is at each path, and on which disks: nothing is opened for I/O
 *	  |  claim	one exclusive claim per object, however many ranges of it are exposed
 *	  |  open	the I/O descriptors; or those of the running file of that name
 *	  |  share	files that share a physical disk share a scheduler (share.c, plan_disks.c)
 *	  |  limits	no disk is promised away more than once (plan_limits.c)
 *	  |  overlap	no byte may be written through two files (plan_overlap.c)
 *	plan		what mount, --check and a reload work with
 *
 * Each step goes over all files, collects all complaints and leaves out the files that failed
 * before. Nothing that runs is touched until every step went well; the only thing that is changed
 * then are read-only claims that a new writer needs (upgrade_claims()), and those are changed back
 * unless the plan is taken over.
 *
 * The daemon makes plans while it serves the mount. Asking the kernel anything about a path
 * in there would wait for an answer from ourselves: mountinfo_path_enters() comes before
 * anything else that is done with a path.
 *
 * One thread. Sorted arrays and trees, no pairwise comparisons: 5000 files are planned in
 * a fraction of a second.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "plan.h"
#include "claims.h"
#include "mountinfo.h"
#include "plan_disks.h"
#include "plan_limits.h"
#include "plan_overlap.h"
#include "share.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* What is known about one file on the way. */
struct draft {
	const struct plan_running *running; /* of this name, in the directory */
	bool reuse;			    /* take its backing */
	struct claims_object *object;	    /* NULL: absent or wrong */
};

struct making {
	struct conf *conf;
	const struct plan_running *running;
	size_t n_running;
	enum plan_purpose purpose;
	struct disks_view view; /* with mounts */
	struct conf_errors *errors, *notes;
	struct plan *plan;
	bool failed; /* at least one error was added */

	struct mountinfo mounts;
	const char **ours; /* mount points of what this process serves */
	size_t n_ours;
	bool is_mounted; /* then our_dev is its device number */
	dev_t our_dev;
	const struct plan_running **by_name; /* those in the directory, sorted */
	size_t n_by_name;

	struct draft *drafts;
	size_t *places; /* per file: of share, when its draft has an object */
	struct claims claims;
	struct share share;
	bool *goes_on; /* per running: a file of the plan continues it */
};

static void *array(size_t n, size_t size)
{
	return calloc(n ? n : 1, size);
}

/* ---- complaints -------------------------------------------------------------------------- */

/* Where complaints go. Who takes over serves what can be served. */
static struct conf_errors *wrongs(struct making *making)
{
	if (making->purpose == PLAN_RECOVER)
		return making->notes;
	making->failed = true;
	return making->errors;
}

__attribute__((format(printf, 4, 5))) static void
complain(struct making *making, const struct conf_file *file, const char *key, const char *fmt, ...)
{
	const struct conf_where *where = &file->where;
	const char *value = NULL;
	char number[32], *text;
	va_list args;
	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	va_end(args);
	if (strcmp(key, "path") == 0) {
		where = &file->path_where;
		value = file->path;
	} else if (strcmp(key, "offset") == 0 || strcmp(key, "size") == 0) {
		where = &file->range_where;
		snprintf(number, sizeof(number), "%" PRIu64,
			 key[0] == 'o' ? file->offset_bytes : file->size_bytes);
		value = number;
	} else if (strcmp(key, "device") == 0 && file->device >= 0) {
		where = &file->device_where;
		value = making->conf->devices[file->device].name;
	}
	conf_error_add(wrongs(making), where, file->name, key, value, "%s",
		       text ? text : strerror(ENOMEM));
	free(text);
}

static void note(struct making *making, const struct conf_file *file, const char *text)
{
	if (making->notes)
		conf_error_add(making->notes, &file->path_where, file->name, "path", file->path,
			       "%s", text);
}

static void complain_device(struct making *making, int device, const char *why)
{
	const struct conf_device *conf = &making->conf->devices[device];
	char *section;
	if (asprintf(&section, "device:%s", conf->name) < 0)
		section = NULL;
	conf_error_add(wrongs(making), &conf->path_where, section, "path", conf->path, "%s", why);
	free(section);
}

/* ---- the mount's own paths --------------------------------------------------------------- */

/* Where the mount is and, if it is mounted already, where else it can be seen. */
static int find_ours(struct making *making, const char *mountpoint)
{
	if (!mountpoint)
		return 0;
	return mountinfo_points(&making->mounts, mountpoint, &making->ours, &making->n_ours,
				&making->is_mounted, &making->our_dev);
}

/* ---- devices and disks ------------------------------------------------------------------- */

static bool path_is_ours(const struct making *making, const char *path)
{
	return making->n_ours > 0 && mountinfo_path_enters(path, making->ours, making->n_ours);
}

static const char *place_error(int err)
{
	switch (err) {
	case -EXDEV:
		return "lies on disks of two devices: one scheduler can't be both";
	case -ELOOP:
		return "the disks below lead in a circle";
	case -E2BIG:
		return "lies on too many disks";
	}
	return strerror(-err);
}

/* True when nobody can miss the device: only files that may be absent name it. */
static bool device_is_optional(const struct conf *conf, int device)
{
	bool optional = false;
	for (size_t i = 0; i < conf->n_files; i++) {
		if (conf->files[i].device != device)
			continue;
		if (!conf->files[i].optional)
			return false;
		optional = true;
	}
	return optional;
}

/* Any kind of file will do to say which disk is meant: a directory on it, too. */
static int look_at_device(struct making *making, int device)
{
	const struct conf_device *conf = &making->conf->devices[device];
	struct stat st;
	char why[256];
	if (!conf->path)
		return 0;
	if (path_is_ours(making, conf->path)) {
		complain_device(making, device, "lies in the mount itself");
		return 0;
	}
	if (stat(conf->path, &st) < 0) {
		int err = -errno;
		if (!backing_is_missing(err) || !device_is_optional(making->conf, device))
			complain_device(making, device,
					err == -ENOENT ? "does not exist" : strerror(-err));
		return 0;
	}
	size_t place;
	dev_t dev = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	int err = share_place(&making->share, dev, conf->path, &place);
	if (err) {
		complain_device(making, device, place_error(err));
		return err == -ENOMEM ? err : 0;
	}
	int other = share_bind(&making->share, place, device);
	if (other >= 0) {
		snprintf(why, sizeof(why),
			 "two schedulers for one disk: it is in [device:%.64s] already",
			 making->conf->devices[other].name);
		complain_device(making, device, why);
	}
	return 0;
}

/* Sets the place of file i; 0, -ENOMEM, or another -errno after a complaint. */
static int look_at_disk(struct making *making, size_t i, dev_t dev)
{
	const struct conf_file *file = &making->conf->files[i];
	size_t *place = &making->places[i];
	int err = share_place(&making->share, dev, file->path, place);
	if (err && err != -ENOMEM)
		complain(making, file, "path", "%s", place_error(err));
	if (err)
		return err;
	const struct disks_leaves *disks = making->share.places[*place].disks;
	for (size_t k = 0; making->is_mounted && k < disks->n; k++) {
		if (disks->leaf[k].dev == making->our_dev) {
			complain(making, file, "path", "lies on this mount itself");
			return -ELOOP;
		}
	}
	int other = file->device < 0 ? -1 : share_bind(&making->share, *place, file->device);
	if (other >= 0)
		complain(making, file, "device",
			 "two schedulers for one disk: %s is in [device:%s] already",
			 disks->leaf[0].name, making->conf->devices[other].name);
	return 0;
}

/* ---- what is at each path ---------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
	return strcmp((*(const struct plan_running *const *)a)->name,
		      (*(const struct plan_running *const *)b)->name);
}

/* Sorted by name for those in the directory; claims for all. */
static int look_at_running(struct making *making)
{
	struct backing_claim **held = array(making->n_running, sizeof(*held));
	size_t n_held = 0;
	making->by_name = array(making->n_running, sizeof(*making->by_name));
	int err = held && making->by_name ? 0 : -ENOMEM;
	for (size_t i = 0; !err && i < making->n_running; i++) {
		if (!making->running[i].removed && making->purpose != PLAN_RECOVER)
			making->by_name[making->n_by_name++] = &making->running[i];
		if (making->running[i].claim)
			held[n_held++] = making->running[i].claim;
	}
	if (!err) {
		qsort(making->by_name, making->n_by_name, sizeof(*making->by_name), compare_names);
		err = claims_init(&making->claims, held, n_held, making->purpose == PLAN_CHECK);
	}
	free(held);
	return err;
}

static const struct plan_running *running_by_name(const struct making *making, const char *name)
{
	const struct plan_running key = {.name = name}, *at = &key;
	const struct plan_running **found = bsearch(&at, making->by_name, making->n_by_name,
						    sizeof(*making->by_name), compare_names);
	return found ? *found : NULL;
}

/* The first key in which the file differs from what runs under its name, or NULL. */
static const char *changed_key(const struct conf_file *file, const struct plan_running *running)
{
	return strcmp(file->path, running->path) != 0	     ? "path"
	       : file->offset_bytes != running->offset_bytes ? "offset"
	       : file->size_bytes != running->size_bytes     ? "size"
	       : file->readonly != running->readonly	     ? "readonly"
	       : file->buffered != running->buffered	     ? "buffered"
							     : NULL;
}

/* The same after a crash: it is what it was, wherever its path leads by now. */
static int look_at_recovered(struct making *making, size_t i)
{
	const struct conf_file *file = &making->conf->files[i];
	const struct plan_running *was = &making->running[i];
	struct plan_file *planned = &making->plan->files[i];
	planned->id = was->id;
	planned->served_bytes = was->served_bytes;
	planned->removed = was->removed;
	if (!was->claim)
		return 0;
	int err = look_at_disk(making, i, was->object.dev);
	if (err)
		return err == -ENOMEM ? err : 0;
	return claims_add(&making->claims, &was->object, file->path, file->readonly,
			  &making->drafts[i].object);
}

/* Fills the draft of file i; without an object when it is absent or wrong. */
static int look_at_file(struct making *making, size_t i)
{
	if (making->purpose == PLAN_RECOVER)
		return look_at_recovered(making, i);
	const struct conf_file *file = &making->conf->files[i];
	struct draft *draft = &making->drafts[i];
	const struct plan_running *running = running_by_name(making, file->name);
	const char *changed = running ? changed_key(file, running) : NULL;
	struct backing_id id;
	char why[256];
	draft->running = running;
	if (running)
		making->goes_on[running - making->running] = true;
	bool held = running && running->opens > 0 && (running->backing || running->claim);
	bool open = held && running->backing; /* else it is lost, and others know its range */
	if (held && changed && file->partition && (changed[0] == 'o' || changed[0] == 's')) {
		complain(making, file, changed,
			 "is not where partition %u began, or as long, when the file was opened: "
			 "the "
			 "table can change only for partitions whose files are closed",
			 file->partition);
		return 0;
	}
	if (held && changed) {
		complain(making, file, changed,
			 "is open: path, offset, size, device, readonly and buffered cannot change "
			 "until it is closed");
		return 0;
	}
	if (path_is_ours(making, file->path)) {
		complain(making, file, "path", "lies in the mount itself");
		return 0;
	}
	int err = backing_identify(file->path, why, sizeof(why), &id);
	if (backing_is_missing(err) && open) {
		note(making, file, "is gone, and goes on being served to those who have it open");
		id = running->backing->id;
	} else if (backing_is_missing(err) && file->optional) {
		return 0;
	} else if (err) {
		complain(making, file, "path", "%s", why);
		return 0;
	}
	draft->reuse = running && running->backing && !changed &&
		       backing_id_compare(&id, &running->backing->id) == 0;
	if (open && !draft->reuse) {
		complain(making, file, "path", "is open, and the path leads to something else now");
		return 0;
	}
	err = look_at_disk(making, i, id.dev);
	if (err)
		return err == -ENOMEM ? err : 0;
	return claims_add(&making->claims, &id, file->path, file->readonly, &draft->object);
}

/* ---- claims and descriptors -------------------------------------------------------------- */

static void claim_file(struct making *making, size_t i)
{
	const struct conf_file *file = &making->conf->files[i];
	struct draft *draft = &making->drafts[i];
	struct claims_object *object = draft->object;
	if (!object)
		return;
	int err = claims_take(&making->claims, object);
	if (err && !(backing_is_missing(err) && file->optional))
		complain(making, file, "path", "%s", object->why ? object->why : strerror(-err));
	if (err)
		draft->object = NULL;
	else if (object->why)
		note(making, file, object->why);
}

/* Bytes that a running backing has now; -ESTALE: its range is no longer there. */
static int current_size(const struct backing *backing, uint64_t *ret_size)
{
	uint64_t object;
	int err = backing_object_size(backing, &object);
	if (err)
		return err;
	if (object <= backing->start_bytes)
		return -ESTALE;
	uint64_t size = object - backing->start_bytes;
	if (!backing->to_end && size < backing->size_bytes)
		return -ESTALE;
	if (!backing->to_end)
		size = backing->size_bytes;
	/* One that has grown a partial block since has no descriptor for it. */
	if (backing->id.is_block || backing->fd_buffered < 0)
		size -= (backing->start_bytes + size) % backing->align_bytes;
	*ret_size = size;
	return size > 0 ? 0 : -ESTALE;
}

/* What cannot be opened after a crash: the claim is kept until it can. Told once. */
static void lose_file(struct making *making, size_t i, const char *key, const char *why)
{
	const struct plan_running *was = &making->running[i];
	struct plan_file *planned = &making->plan->files[i];
	struct draft *draft = &making->drafts[i];
	if (!was->lost)
		complain(making, &making->conf->files[i], key, "%s", why);
	planned->object = was->object;
	planned->traits = was->traits;
	planned->lost = draft->object->claim != NULL;
	if (planned->lost)
		planned->claim = backing_claim_ref(draft->object->claim);
}

static void open_file(struct making *making, size_t i)
{
	const struct conf_file *file = &making->conf->files[i];
	struct draft *draft = &making->drafts[i];
	struct plan_file *planned = &making->plan->files[i];
	const char *key;
	char why[256];
	if (!draft->object)
		return;
	if (draft->reuse) {
		struct backing *backing = draft->running->backing;
		uint64_t size = backing->size_bytes;
		int err = current_size(backing, &size);
		if (err == -ESTALE)
			size = backing_present_size(backing); /* and not a byte more is written */
		if (draft->running->opens > 0 && (err || size < backing->size_bytes))
			note(making, file,
			     err && err != -ESTALE ? strerror(-err)
						   : "has shrunk while it is open");
		/* A closed one is opened again, to get the error a start would get. */
		planned->reused = !err || draft->running->opens > 0;
		if (planned->reused)
			planned->backing = backing_ref(backing);
		planned->size_bytes = size;
	}
	if (!planned->reused) {
		struct backing_spec spec = {.path = file->path,
					    .offset_bytes = file->offset_bytes,
					    .size_bytes = file->size_bytes,
					    .readonly = file->readonly,
					    .buffered = file->buffered,
					    .like = draft->object->opened,
					    .mounts = &making->mounts};
		/* through what was claimed, as after a crash: a node of the same device elsewhere
		 * has locks of its own */
		spec.claim = draft->object->claim;
		spec.object = &draft->object->id;
		if (making->purpose == PLAN_RECOVER) {
			spec.traits = &making->running[i].traits;
			spec.served_bytes = making->running[i].served_bytes;
		}
		int err = backing_open(&spec, why, sizeof(why), &key, &planned->backing);
		if (err && making->purpose == PLAN_RECOVER) {
			lose_file(making, i, key, why);
			return;
		}
		if (backing_is_missing(err) && file->optional)
			return;
		if (err) {
			complain(making, file, key, "%s", why);
			return;
		}
		planned->size_bytes = making->purpose == PLAN_RECOVER
					      ? backing_present_size(planned->backing)
					      : planned->backing->size_bytes;
		if (backing_id_compare(&planned->backing->id, &draft->object->id) != 0) {
			complain(making, file, "path", "was replaced while it was being opened");
			backing_unref(planned->backing);
			planned->backing = NULL;
			return;
		}
	}
	draft->object->opened = planned->backing;
	if (draft->object->claim)
		planned->claim = backing_claim_ref(draft->object->claim);
}

/* A file that is open stays with its scheduler. */
static void check_open_devices(struct making *making)
{
	for (size_t i = 0; i < making->plan->n_files; i++) {
		const struct plan_file *file = &making->plan->files[i];
		const struct plan_running *running = making->drafts[i].running;
		if (!file->backing || !running || running->opens == 0)
			continue;
		const struct conf_device *disk = making->plan->disks[file->disk].conf;
		const char *named = file->conf->device < 0
					    ? ""
					    : making->conf->devices[file->conf->device].name;
		const char *before = running->device ? running->device : "";
		/* Whether it was named by the file itself or for its disk is the same. */
		if (strcmp(before, named) != 0 && strcmp(before, disk ? disk->name : "") != 0)
			complain(making, file->conf, "device",
				 "is open: its device cannot change until it is closed");
	}
}

/* ---- overlaps ---------------------------------------------------------------------------- */

static void complain_overlap(const struct conf_file *file, const char *key, const char *why,
			     void *context)
{
	complain(context, file, key, "%s", why);
}

static int check_overlaps(struct making *making)
{
	return plan_overlap_check(making->plan, making->running, making->n_running, making->goes_on,
				  complain_overlap, making);
}

/* ---- all of it --------------------------------------------------------------------------- */

/* A running claim was taken for reading, and now there is a writer. */
static int upgrade_claims(struct making *making)
{
	int err =
		claims_upgrade(&making->claims, &making->plan->upgraded, &making->plan->n_upgraded);
	for (size_t i = 0; err && i < making->conf->n_files; i++) {
		const struct conf_file *file = &making->conf->files[i];
		const struct claims_object *object = making->drafts[i].object;
		if (object && object->err && !file->readonly)
			complain(making, file, "path", "%s", object->why ? object->why : "is busy");
	}
	return err;
}

static void finish_making(struct making *making)
{
	claims_free(&making->claims);
	share_free(&making->share);
	mountinfo_free(&making->mounts);
	free(making->ours);
	free(making->by_name);
	free(making->drafts);
	free(making->places);
	free(making->goes_on);
}

static int prepare(struct making *making, const char *mountpoint)
{
	struct plan *plan = making->plan;
	size_t n_files = plan->conf->n_files;
	plan->files = array(n_files, sizeof(*plan->files));
	making->drafts = array(n_files, sizeof(*making->drafts));
	making->places = array(n_files, sizeof(*making->places));
	making->goes_on = array(making->n_running, sizeof(*making->goes_on));
	if (!plan->files || !making->drafts || !making->places || !making->goes_on)
		return -ENOMEM;
	for (size_t i = 0; i < n_files; i++) {
		plan->files[i].conf = &plan->conf->files[i];
		plan->files[i].disk = PLAN_NO_DISK;
	}
	plan->n_files = n_files;
	int err = mountinfo_read(&making->mounts);
	making->view.mounts = &making->mounts;
	if (!err)
		err = find_ours(making, mountpoint);
	if (!err)
		err = look_at_running(making);
	if (!err)
		err = share_init(&making->share, &making->view, making->conf->n_devices);
	return err;
}

static int make(struct making *making, const char *mountpoint)
{
	size_t n_files = making->conf->n_files;
	int err = prepare(making, mountpoint);
	for (size_t i = 0; !err && i < making->conf->n_devices; i++)
		err = look_at_device(making, (int)i);
	for (size_t i = 0; !err && i < n_files; i++)
		err = look_at_file(making, i);
	for (size_t i = 0; !err && i < n_files; i++)
		claim_file(making, i);
	for (size_t i = 0; !err && i < n_files; i++)
		open_file(making, i);
	if (!err)
		err = plan_disks_make(making->plan, &making->share, making->places);
	if (!err)
		err = plan_limits_check(making->plan,
					making->purpose == PLAN_RECOVER ? making->notes
									: making->errors,
					making->notes);
	if (err == -EINVAL) {
		making->failed = making->purpose != PLAN_RECOVER;
		err = 0; /* and see what else is wrong */
	}
	if (!err)
		check_open_devices(making);
	if (!err)
		err = check_overlaps(making);
	if (!err && !making->failed)
		err = upgrade_claims(making);
	return making->failed ? -EINVAL : err;
}

int plan_make(struct conf *conf, const char *mountpoint, const struct plan_running *running,
	      size_t n_running, enum plan_purpose purpose, const struct disks_view *view,
	      struct conf_errors *errors, struct conf_errors *notes, struct plan **ret_plan)
{
	struct making making = {.conf = conf,
				.running = running,
				.n_running = n_running,
				.purpose = purpose,
				.view = *view,
				.errors = errors,
				.notes = notes,
				.plan = calloc(1, sizeof(*making.plan))};
	if (!making.plan) {
		conf_error_add(errors, NULL, NULL, NULL, NULL, "out of memory");
		conf_free(conf);
		return -ENOMEM;
	}
	making.plan->conf = conf;
	int err = make(&making, mountpoint);
	if (err && !making.failed) {
		const struct conf_where where = {conf->n_sources ? conf->source_names[0] : "", 0};
		conf_error_add(errors, &where, NULL, NULL, NULL,
			       "cannot be planned: %s; it takes /proc, descriptors (ulimit -n) and "
			       "memory",
			       strerror(-err));
	}
	finish_making(&making);
	if (err) {
		plan_free(making.plan);
		return err;
	}
	*ret_plan = making.plan;
	return 0;
}

void plan_free(struct plan *plan)
{
	if (!plan)
		return;
	for (size_t i = 0; i < plan->n_upgraded; i++) {
		if (!plan->taken)
			backing_claim_downgrade(plan->upgraded[i]);
		backing_claim_unref(plan->upgraded[i]);
	}
	free(plan->upgraded);
	for (size_t i = 0; i < plan->n_files; i++) {
		backing_unref(plan->files[i].backing);
		backing_claim_unref(plan->files[i].claim);
	}
	for (size_t i = 0; i < plan->n_disks; i++) {
		free(plan->disks[i].name);
		free(plan->disks[i].why);
		free(plan->disks[i].leaves);
	}
	free(plan->files);
	free(plan->disks);
	conf_free(plan->conf);
	free(plan);
}
