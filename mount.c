/* SPDX-License-Identifier: MIT */
/*
 * mount.c - see mount.h.
 *
 * mount_apply() has three steps, so that it either happens or does not: find out which running
 * disk and file each planned one is (and refuse what cannot be), make all that is new, then switch
 * over. Shares, promises and caps are in mount_shares.c, which has the same steps.
 */
#include "mount.h"
#include "clock.h"
#include "log.h"
#include "mount_shares.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLOSE_NS UINT64_C(1000000000) /* a server that is well needs milliseconds */

/* ---- looking up ---- */

static size_t slot_of(const struct mount *mount, uint64_t id)
{
	return (size_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (mount->table_size - 1);
}

struct file *mount_by_id(const struct mount *mount, uint64_t id)
{
	struct file *file;

	if (!mount->table_size)
		return NULL;
	for (size_t slot = slot_of(mount, id); (file = mount->table[slot]);
	     slot = (slot + 1) & (mount->table_size - 1))
		if (file->id == id)
			return file;
	return NULL;
}

static int compare_names(const void *a, const void *b)
{
	const struct file *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static int compare_ids(const void *a, const void *b)
{
	const struct file *const *x = a, *const *y = b;

	return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);
}

static int compare_name_to_file(const void *name, const void *file)
{
	const struct file *const *f = file;

	return strcmp(name, (*f)->name);
}

struct file *mount_by_name(const struct mount *mount, const char *name)
{
	struct file **found;

	if (!mount->n_files)
		return NULL;
	found = bsearch(name, mount->by_name, mount->n_files, sizeof(*found), compare_name_to_file);
	return found ? *found : NULL;
}

/* ---- files and disks ---- */

static void file_free(struct file *file)
{
	if (!file)
		return;
	assert(!file->active);
	if (file->leaf) {
		pthread_mutex_lock(&file->disk->lock);
		fbs_drop(file->disk->fbs, file->leaf);
		pthread_mutex_unlock(&file->disk->lock);
	}
	fbs_cap_unref(file->cap);
	backing_unref(file->backing);
	backing_claim_unref(file->claim);
	free(file->lost);
	free(file->name);
	free(file->path);
	free(file->device);
	free(file);
}

static void disk_free(struct disk *disk)
{
	if (!disk)
		return;
	free(disk->groups);
	free(disk->leaves);
	free(disk->name);
	fbs_destroy(disk->fbs);
	pthread_mutex_destroy(&disk->lock);
	free(disk);
}

static struct fbs_params params_of(const struct conf_device *conf)
{
	static const enum fbs_policy policies[] = {
		[CONF_POLICY_COST] = FBS_POLICY_COST,
		[CONF_POLICY_WEIGHT] = FBS_POLICY_WEIGHT,
		[CONF_POLICY_WEIGHT_IOSIZE] = FBS_POLICY_IOSIZE,
	};

	static const enum fbs_isolation isolations[] = {
		[CONF_ISOLATION_AUTO] = FBS_ISOLATION_AUTO,
		[CONF_ISOLATION_STRICT] = FBS_ISOLATION_STRICT,
		[CONF_ISOLATION_THROUGHPUT] = FBS_ISOLATION_THROUGHPUT,
	};

	if (!conf)
		return (struct fbs_params){.policy = FBS_POLICY_COST,
					   .isolation = FBS_ISOLATION_AUTO};
	return (struct fbs_params){
		.policy = policies[conf->policy],
		.io_throttle = conf->io_throttle,
		.isolation = isolations[conf->isolation],
		.latency_target_ns = conf->latency_target_ns,
		.capability = {.read_iops = conf->read_iops,
			       .write_iops = conf->write_iops,
			       .read_bps = conf->read_bps,
			       .write_bps = conf->write_bps},
	};
}

/* Without name and leaves. */
static struct disk *disk_new(const struct plan_disk *planned)
{
	struct fbs_params params = params_of(planned->conf);
	struct disk *disk = calloc(1, sizeof(*disk));

	if (!disk)
		return NULL;
	pthread_mutex_init(&disk->lock, NULL);
	disk->counters = &disk->own;
	atomic_init(&disk->wake_ns, FBS_NEVER);
	disk->fbs = fbs_create(&params);
	if (!disk->fbs) {
		disk_free(disk);
		return NULL;
	}
	return disk;
}

/* Without leaf, device and id. */
static struct file *file_new(const struct plan_file *planned, struct disk *disk)
{
	const struct conf_file *section = planned->conf;
	struct file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	file->flush_waiting_end = &file->flush_waiting;
	file->kept = &file->own;
	file->backing = planned->backing ? backing_ref(planned->backing) : NULL;
	file->claim = planned->claim ? backing_claim_ref(planned->claim) : NULL;
	file->disk = disk;
	file->name = strdup(section->name);
	file->path = strdup(section->path);
	if (planned->lost)
		file->lost = calloc(1, sizeof(*file->lost));
	if (!file->name || !file->path || (planned->lost && !file->lost)) {
		file_free(file);
		return NULL;
	}
	if (planned->lost)
		*file->lost =
			(struct file_lost){.object = planned->object, .traits = planned->traits};
	return file;
}

static void collect(struct mount *mount);
static void empty_trash(struct mount *mount);

struct mount *mount_new(void)
{
	struct mount *mount = calloc(1, sizeof(*mount));

	if (!mount)
		return NULL;
	mount->next_id = MOUNT_FIRST_ID;
	pthread_mutex_init(&mount->reading, NULL);
	clock_gettime(CLOCK_REALTIME, &mount->since);
	clock_gettime(CLOCK_BOOTTIME, &mount->began);
	return mount;
}

void mount_free(struct mount *mount)
{
	if (!mount)
		return;
	for (size_t i = 0; i < mount->n_files; i++)
		file_free(mount->files[i]);
	for (size_t i = 0; i < mount->n_orphans; i++)
		file_free(mount->orphans[i]);
	empty_trash(mount);
	for (size_t i = 0; i < mount->n_disks; i++)
		disk_free(mount->disks[i]);
	free(mount->files);
	free(mount->by_name);
	free(mount->orphans);
	free(mount->table);
	for (size_t i = 0; i < mount->n_groups; i++) {
		fbs_cap_unref(mount->groups[i].cap);
		free(mount->groups[i].name);
	}
	free(mount->groups);
	free(mount->trash_disks);
	free(mount->disks);
	pthread_mutex_destroy(&mount->reading);
	free(mount);
}

struct kept_mount *mount_kept(struct mount *mount)
{
	return mount->keep ? &mount->keep->mount : &mount->own;
}

static bool is_active(struct file *file)
{
	bool active;

	if (!file->disk)
		return false;
	pthread_mutex_lock(&file->disk->lock); /* a seek may end meanwhile */
	active = file->active != 0;
	pthread_mutex_unlock(&file->disk->lock);
	return active;
}

static bool is_busy(struct file *file)
{
	return atomic_load(&file->kept->opens) || is_active(file);
}

int mount_running(const struct mount *mount, struct plan_running **ret_list, size_t *ret_n)
{
	size_t n = mount_n_all(mount);
	struct plan_running *list = calloc(n + 1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct file *file = mount_file_at(mount, i);
		unsigned opens = atomic_load(&file->kept->opens);
		bool active = is_active(file);

		file->seen_busy = opens || active;
		list[i] = (struct plan_running){
			.name = file->name,
			.backing = file->backing,
			.claim = file->claim,
			.path = file->path,
			.offset_bytes = file->spec_offset_bytes,
			.size_bytes = file->spec_size_bytes,
			.device = file->device,
			.readonly = file->readonly,
			.buffered = file->buffered,
			.removed = file->removed,
			.opens = opens,
			.active = active,
			.served_bytes = file->size_bytes,
		};
	}
	*ret_list = list;
	*ret_n = n;
	return 0;
}

/* ---- a new plan ---- */

struct disk_change {
	struct disk *disk;
	bool is_new;
	char *name; /* what it will be called, and stand for */
	dev_t *leaves;
};

/* What a plan means for what runs; everything made for it is here until it is switched over. */
struct change {
	struct mount *mount;
	const struct plan *plan;
	struct disk_change *disks; /* of plan->disks */
	struct file **files;	   /* of plan->files; new ones have no id yet */
	char **devices;		   /* of plan->files: what their device will be called */
	struct file **list, **by_name, **orphans, **table;
	struct disk **all_disks; /* of plan->disks, then the others */
	size_t n_all_disks;
	size_t table_size;
	struct shares shares;
};

/* A physical disk of a running disk. */
struct running_leaf {
	dev_t leaf;
	size_t disk; /* of mount->disks */
};

static int compare_leaves(const void *a, const void *b)
{
	const struct running_leaf *x = a, *y = b;

	if (x->leaf != y->leaf)
		return x->leaf > y->leaf ? 1 : -1;
	return (x->disk > y->disk) - (x->disk < y->disk);
}

static void take_disk(struct change *c, size_t planned, struct disk *disk)
{
	c->disks[planned].disk = disk;
	disk->marked = true;
}

/* The first running disk, not taken yet, that has a leaf of the planned one; SIZE_MAX: none. */
static size_t find_by_leaf(const struct change *c, const struct plan_disk *planned,
			   const struct running_leaf *leaves, size_t n)
{
	size_t found = SIZE_MAX;

	for (size_t i = 0; i < planned->n_leaves; i++) {
		size_t low = 0, high = n;

		while (low < high) {
			size_t middle = low + (high - low) / 2;

			if (leaves[middle].leaf < planned->leaves[i])
				low = middle + 1;
			else
				high = middle;
		}
		for (; low < n && leaves[low].leaf == planned->leaves[i]; low++)
			if (!c->mount->disks[leaves[low].disk]->marked && leaves[low].disk < found)
				found = leaves[low].disk;
	}
	return found;
}

static int match_disks_by_leaf(struct change *c)
{
	const struct mount *mount = c->mount;
	struct running_leaf *leaves;
	size_t n = 0;

	for (size_t i = 0; i < mount->n_disks; i++)
		n += mount->disks[i]->n_leaves;
	leaves = calloc(n + 1, sizeof(*leaves));
	if (!leaves)
		return -ENOMEM;
	n = 0;
	for (size_t i = 0; i < mount->n_disks; i++)
		for (size_t k = 0; k < mount->disks[i]->n_leaves; k++)
			leaves[n++] = (struct running_leaf){mount->disks[i]->leaves[k], i};
	qsort(leaves, n, sizeof(*leaves), compare_leaves);
	for (size_t i = 0; i < c->plan->n_disks; i++) {
		size_t found = c->disks[i].disk ? SIZE_MAX
						: find_by_leaf(c, &c->plan->disks[i], leaves, n);

		if (found != SIZE_MAX)
			take_disk(c, i, mount->disks[found]);
	}
	free(leaves);
	return 0;
}

/*
 * The running disk of a planned one: that of its open files, else of any, else by hardware. Those
 * that are taken are marked.
 */
static int match_disks(struct change *c)
{
	const struct plan *plan = c->plan;

	for (size_t i = 0; i < c->mount->n_disks; i++)
		c->mount->disks[i]->marked = false;
	for (unsigned pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < plan->n_files; i++) {
			const struct plan_file *pf = &plan->files[i];
			const struct file *file;

			if (pf->disk == PLAN_NO_DISK || c->disks[pf->disk].disk || !pf->reused)
				continue;
			file = mount_by_name(c->mount, pf->conf->name);
			if (!file || !file->disk || (!pass && !atomic_load(&file->kept->opens)))
				continue;
			if (!file->disk->marked)
				take_disk(c, pf->disk, file->disk);
		}
	return match_disks_by_leaf(c);
}

/* What was lost is there again, and nothing else is wanted of it. */
static bool finds(const struct file *file, const struct plan_file *pf)
{
	const struct conf_file *section = pf->conf;

	return file->lost && pf->backing &&
	       !backing_id_compare(&file->lost->object, &pf->backing->id) &&
	       !strcmp(file->path, section->path) &&
	       file->spec_offset_bytes == section->offset_bytes &&
	       file->spec_size_bytes == section->size_bytes &&
	       file->readonly == section->readonly && file->buffered == section->buffered;
}

/*
 * What leaves the directory and was closed when the plan was made has no bytes in it, so that
 * another file may have got them. If it was opened since then, both would be written to.
 */
static int refuse_opened(const struct change *c, struct conf_errors *errors)
{
	const struct conf *conf = c->plan->conf;
	const struct conf_where where = {conf->n_sources ? conf->source_names[0] : NULL, 0};
	int r = 0;

	for (size_t i = 0; i < c->mount->n_files; i++) {
		struct file *file = c->mount->files[i];

		if (file->marked || !file->backing || file->seen_busy || !is_busy(file))
			continue;
		conf_error_add(errors, &where, file->name, NULL, NULL,
			       "is to be removed, and was opened meanwhile: reload again");
		r = -EBUSY;
	}
	return r;
}

/* A running file that goes on as it is, perhaps with other settings. */
static int match_files(struct change *c, struct conf_errors *errors)
{
	int r = 0;

	for (size_t i = 0; i < c->mount->n_files; i++)
		c->mount->files[i]->marked = false;
	for (size_t i = 0; i < c->plan->n_files; i++) {
		const struct plan_file *pf = &c->plan->files[i];
		const struct conf_file *section = pf->conf;
		struct file *file = mount_by_name(c->mount, section->name);
		struct disk *disk = pf->disk == PLAN_NO_DISK ? NULL : c->disks[pf->disk].disk;

		if (!file)
			continue;
		file->marked = true;
		if (file->disk == disk && (file->backing == pf->backing || finds(file, pf))) {
			c->files[i] = file;
		} else if (is_busy(file)) {
			conf_error_add(
				errors, &section->where, section->name, NULL, NULL,
				"is open and cannot be moved to another disk or backing until "
				"it is closed");
			r = -EBUSY;
		}
	}
	return r ? r : refuse_opened(c, errors);
}

static int make_disk(struct change *c, size_t index)
{
	const struct plan_disk *planned = &c->plan->disks[index];
	struct disk_change *change = &c->disks[index];

	change->name = strdup(planned->name);
	change->leaves = calloc(planned->n_leaves + 1, sizeof(*change->leaves));
	if (!change->name || !change->leaves)
		return -ENOMEM;
	memcpy(change->leaves, planned->leaves, planned->n_leaves * sizeof(*change->leaves));
	if (!change->disk) {
		change->disk = disk_new(planned);
		change->is_new = true;
	}
	return change->disk ? 0 : -ENOMEM;
}

static int make_file(struct change *c, size_t index)
{
	const struct conf *conf = c->plan->conf;
	const struct plan_file *pf = &c->plan->files[index];
	const char *device = pf->conf->device < 0 ? NULL : conf->devices[pf->conf->device].name;

	if (device && !(c->devices[index] = strdup(device)))
		return -ENOMEM;
	if (!c->files[index])
		c->files[index] =
			file_new(pf, pf->disk == PLAN_NO_DISK ? NULL : c->disks[pf->disk].disk);
	return c->files[index] ? 0 : -ENOMEM;
}

static int make_new(struct change *c)
{
	const struct plan *plan = c->plan;
	struct mount *mount = c->mount;
	size_t n = plan->n_files + mount->n_files + mount->n_orphans;
	int r = 0;

	for (size_t i = 0; !r && i < plan->n_disks; i++)
		r = make_disk(c, i);
	for (size_t i = 0; !r && i < plan->n_files; i++)
		r = make_file(c, i);
	if (r)
		return r;
	for (c->table_size = 16; c->table_size < 2 * n + 2;)
		c->table_size *= 2;
	c->list = calloc(plan->n_files + 1, sizeof(*c->list));
	c->by_name = calloc(plan->n_files + 1, sizeof(*c->by_name));
	c->orphans = calloc(n + 1, sizeof(*c->orphans));
	c->table = calloc(c->table_size, sizeof(*c->table));
	c->all_disks = calloc(mount->n_disks + plan->n_disks + 1, sizeof(*c->all_disks));
	if (!c->list || !c->by_name || !c->orphans || !c->table || !c->all_disks)
		return -ENOMEM;
	for (size_t i = 0; i < plan->n_disks; i++)
		c->all_disks[c->n_all_disks++] = c->disks[i].disk;
	for (size_t i = 0; i < mount->n_disks; i++)
		if (!mount->disks[i]->marked)
			c->all_disks[c->n_all_disks++] = mount->disks[i];
	return shares_prepare(&c->shares, mount, plan, c->all_disks, c->n_all_disks, c->files);
}

static void undo(struct change *c)
{
	for (size_t i = 0; c->files && i < c->plan->n_files; i++)
		if (c->files[i] && !c->files[i]->id)
			file_free(c->files[i]);
	for (size_t i = 0; c->disks && i < c->plan->n_disks; i++)
		if (c->disks[i].is_new)
			disk_free(c->disks[i].disk);
	free(c->list);
	free(c->by_name);
	free(c->orphans);
	free(c->table);
	free(c->all_disks);
}

/* Where its counters are, should this process die. A name goes to the one that has it first. */
static void keep_counters(const struct mount *mount, struct disk *disk)
{
	if (disk->kept)
		disk->kept->id = keep_name_id(disk->name);
	if (disk->kept || !mount->keep)
		return;
	for (size_t i = 0; i < mount->n_disks; i++)
		if (mount->disks[i]->kept && !strcmp(mount->disks[i]->name, disk->name))
			return;
	disk->kept = keep_disk(mount->keep, disk->name);
	if (disk->kept)
		disk->counters = &disk->kept->counters;
}

static void settle_disk(struct change *c, size_t index)
{
	const struct plan_disk *planned = &c->plan->disks[index];
	struct fbs_params params = params_of(planned->conf);
	struct disk_change *change = &c->disks[index];
	struct disk *disk = change->disk;

	free(disk->name);
	free(disk->leaves);
	disk->name = change->name;
	disk->leaves = change->leaves;
	disk->n_leaves = planned->n_leaves;
	disk->params = params;
	change->name = NULL;
	change->leaves = NULL;
	keep_counters(c->mount, disk);
	pthread_mutex_lock(&disk->lock);
	fbs_configure(disk->fbs, &params);
	pthread_mutex_unlock(&disk->lock);
}

static void settle_size(struct file *file, uint64_t now_bytes)
{
	const struct backing *backing = file->backing;

	if (backing->fd_buffered < 0) /* an odd tail was not there when it was opened */
		now_bytes -= now_bytes % backing->align_bytes;
	if (now_bytes < file->size_bytes)
		log_error("%s: %s has shrunk from %llu to %llu bytes; reads and writes beyond that "
			  "fail: make it as large again, and reload",
			  file->name, file->path, (unsigned long long)file->size_bytes,
			  (unsigned long long)now_bytes);
	else
		file->size_bytes = now_bytes;
	if (now_bytes >= file->size_bytes)
		file->cut_short = false;
}

static void find_file(struct file *file, struct backing *backing)
{
	free(file->lost);
	file->lost = NULL;
	file->backing = backing_ref(backing);
	file->unfenced = true;
}

void mount_find(struct mount *mount, struct file *file, struct backing *backing,
		uint64_t present_bytes)
{
	pthread_mutex_lock(&mount->reading);
	find_file(file, backing);
	file->present_bytes = present_bytes;
	if (present_bytes < file->size_bytes)
		settle_size(file, present_bytes);
	pthread_mutex_unlock(&mount->reading);
}

static void settle_file(struct change *c, size_t index)
{
	const struct plan_file *pf = &c->plan->files[index];
	const struct conf_file *section = pf->conf;
	struct file *file = c->files[index];

	file->spec_offset_bytes = section->offset_bytes;
	file->spec_size_bytes = section->size_bytes;
	file->uid = section->uid;
	file->gid = section->gid;
	file->mode = section->mode;
	file->readonly = section->readonly;
	file->buffered = section->buffered;
	file->ignore_discard = section->discard == CONF_DISCARD_IGNORE;
	file->weight = section->weight;
	file->class = section->class;
	file->limits = section->limits;
	file->limits.min_iops_where = file->limits.min_bps_where = (struct conf_where){0};
	file->limits.iops_size_where = file->limits.burst_where = (struct conf_where){0};
	free(file->device); /* a scheduler may get another name */
	file->device = c->devices[index];
	c->devices[index] = NULL;
	if (!file->id)
		file->size_bytes = pf->id ? pf->served_bytes : pf->size_bytes;
	if (file->lost && pf->backing)
		find_file(file, pf->backing);
	if (!file->backing) {
		file->present_bytes = file->size_bytes; /* for all that is known */
		return;
	}
	file->present_bytes = pf->size_bytes;
	if (!file->id)
		file->unfenced = true;
	if (pf->id ? pf->size_bytes < file->size_bytes : file->id != 0)
		settle_size(file, pf->size_bytes);
}

static void table_add(struct change *c, struct file *file)
{
	size_t slot = slot_of(c->mount, file->id);

	while (c->table[slot])
		slot = (slot + 1) & (c->table_size - 1);
	c->table[slot] = file;
}

/* id: the one it had in a process that died, or 0. A standby only looks. */
static void name_file(struct mount *mount, struct file *file, uint64_t id)
{
	struct kept_file *place = NULL;

	file->id = id ? id : mount->next_id++;
	if (mount->keep && id)
		place = keep_file_find(mount->keep, id);
	if (mount->keep && !place && !mount->standby)
		place = keep_file_add(mount->keep, file->id);
	if (place)
		file->kept = place;
}

static void find_place(struct mount *mount, struct file *file)
{
	struct kept_file *place = file->kept;

	if (place == &file->own || place->id != file->id)
		place = keep_file_find(mount->keep, file->id);
	if (!place)
		place = keep_file_add(mount->keep, file->id);
	file->kept = place ? place : &file->own;
}

void mount_take_over(struct mount *mount)
{
	mount->standby = false;
	for (size_t i = 0; i < KEEP_FILES; i++) {
		struct kept_file *place = &mount->keep->files[i];

		if (place->id && !mount_by_id(mount, place->id))
			keep_file_free(place);
	}
	for (size_t i = 0; i < mount->n_files; i++)
		find_place(mount, mount->files[i]);
	for (size_t i = 0; i < mount->n_orphans; i++)
		find_place(mount, mount->orphans[i]);
	shares_keep_groups(mount);
}

static bool awaits_fence(struct file *file)
{
	bool awaits;

	pthread_mutex_lock(&file->disk->lock);
	awaits = file->fence.granted;
	pthread_mutex_unlock(&file->disk->lock);
	return awaits;
}

/*
 * Removed, and still open: it does not grow any more, and what its object has grown by may become
 * another file's. (But for a range that a thread is about to lock: that one keeps all of it.)
 */
static void end_file(struct file *file)
{
	if (file->backing && !awaits_fence(file) && backing_end_at(file->backing, file->size_bytes))
		file->fence_too_long = true;
}

static void switch_over(struct change *c)
{
	struct mount *mount = c->mount;
	const struct plan *plan = c->plan;
	size_t n_files = 0, n_orphans = 0;

	/* what leaves the directory; mount_collect() closes it unless somebody has it open */
	for (size_t i = 0; i < mount->n_files; i++)
		mount->files[i]->removed = true;
	for (size_t i = 0; i < plan->n_files; i++)
		c->files[i]->removed = plan->files[i].removed;
	for (size_t i = 0; i < mount->n_files; i++)
		if (mount->files[i]->removed)
			c->orphans[n_orphans++] = mount->files[i];
	for (size_t i = 0; i < mount->n_orphans; i++)
		c->orphans[n_orphans++] = mount->orphans[i];
	for (size_t i = 0; i < plan->n_files; i++) {
		if (!c->files[i]->id)
			name_file(mount, c->files[i], plan->files[i].id);
		if (c->files[i]->removed)
			end_file(c->files[i]), c->orphans[n_orphans++] = c->files[i];
		else
			c->list[n_files] = c->by_name[n_files] = c->files[i], n_files++;
	}
	qsort(c->list, n_files, sizeof(*c->list), compare_ids);
	qsort(c->by_name, n_files, sizeof(*c->by_name), compare_names);

	free(mount->files);
	free(mount->by_name);
	free(mount->orphans);
	free(mount->table);
	free(mount->disks);
	mount->files = c->list;
	mount->by_name = c->by_name;
	mount->n_files = n_files;
	mount->orphans = c->orphans;
	mount->n_orphans = n_orphans;
	mount->disks = c->all_disks;
	mount->n_disks = c->n_all_disks;
	mount->table = NULL;
	mount->table_size = c->table_size;
	for (size_t i = 0; i < n_files; i++)
		table_add(c, c->list[i]);
	for (size_t i = 0; i < n_orphans; i++)
		table_add(c, c->orphans[i]);
	mount->table = c->table;
	mount->status_gid = plan->conf->main.gid;
	mount->generation++;
}

int mount_apply(struct mount *mount, struct plan *plan, struct conf_errors *errors)
{
	struct change c = {.mount = mount, .plan = plan};
	int r = -ENOMEM;

	pthread_mutex_lock(&mount->reading);
	c.disks = calloc(plan->n_disks + 1, sizeof(*c.disks));
	c.files = calloc(plan->n_files + 1, sizeof(*c.files));
	c.devices = calloc(plan->n_files + 1, sizeof(*c.devices));
	if (c.disks && c.files && c.devices) {
		r = match_disks(&c);
		if (!r)
			r = match_files(&c, errors);
		if (!r)
			r = make_new(&c);
	}
	if (r == -ENOMEM)
		conf_error_add(errors, NULL, NULL, NULL, NULL, "out of memory");
	if (r) {
		undo(&c);
	} else {
		for (size_t i = 0; i < plan->n_disks; i++)
			settle_disk(&c, i);
		shares_commit(&c.shares);
		for (size_t i = 0; i < plan->n_files; i++)
			settle_file(&c, i);
		switch_over(&c);
		if (!mount->standby)
			collect(mount);
		plan->taken = true;
	}
	pthread_mutex_unlock(&mount->reading);
	for (size_t i = 0; c.disks && i < plan->n_disks; i++) {
		free(c.disks[i].name);
		free(c.disks[i].leaves);
	}
	for (size_t i = 0; c.devices && i < plan->n_files; i++)
		free(c.devices[i]);
	free(c.disks);
	free(c.files);
	free(c.devices);
	return r;
}

static void forget_id(struct mount *mount, const struct file *gone)
{
	size_t slot = slot_of(mount, gone->id);

	while (mount->table[slot] != gone)
		slot = (slot + 1) & (mount->table_size - 1);
	/* close the gap: every later one of the run moves up if it may */
	for (size_t next = slot;;) {
		size_t home;

		mount->table[slot] = NULL;
		do {
			next = (next + 1) & (mount->table_size - 1);
			if (!mount->table[next])
				return;
			home = slot_of(mount, mount->table[next]->id);
		} while (slot <= next ? slot < home && home <= next : slot < home || home <= next);
		mount->table[slot] = mount->table[next];
		slot = next;
	}
}

static void mark_used_disks(struct mount *mount)
{
	for (size_t i = 0; i < mount->n_disks; i++)
		mount->disks[i]->marked = false;
	for (size_t i = 0; i < mount->n_files; i++)
		if (mount->files[i]->disk)
			mount->files[i]->disk->marked = true;
	for (size_t i = 0; i < mount->n_orphans; i++)
		if (mount->orphans[i]->disk)
			mount->orphans[i]->disk->marked = true;
}

static struct disk *forget_counters(struct disk *gone)
{
	if (gone->kept)
		keep_disk_free(gone->kept);
	gone->kept = NULL;
	gone->counters = &gone->own;
	return gone;
}

/* Disks that serve nothing any more. Without memory for the list they wait for the next time. */
static void collect_disks(struct mount *mount)
{
	struct disk **list = realloc(mount->trash_disks, (mount->n_trash_disks + mount->n_disks +
							  1) * sizeof(struct disk *));
	size_t kept = 0;

	if (!list)
		return;
	mount->trash_disks = list;
	mark_used_disks(mount);
	for (size_t i = 0; i < mount->n_disks; i++)
		if (mount->disks[i]->marked)
			mount->disks[kept++] = mount->disks[i];
		else
			list[mount->n_trash_disks++] = forget_counters(mount->disks[i]);
	mount->n_disks = kept;
}

static bool may_block(const struct file *file)
{
	return file->backing ? file->backing->may_block
			     : file->lost && file->lost->traits.may_block;
}

static void collect(struct mount *mount)
{
	size_t kept = 0;

	atomic_store(&mount->garbage, false);
	for (size_t i = 0; i < mount->n_orphans; i++) {
		struct file *file = mount->orphans[i];

		if (is_busy(file)) {
			end_file(file);
			mount->orphans[kept++] = file;
			continue;
		}
		forget_id(mount, file);
		file->may_hang = may_block(file);
		file->trash_next = mount->trash;
		mount->trash = file;
	}
	mount->n_orphans = kept;
	collect_disks(mount);
}

bool mount_collect(struct mount *mount)
{
	size_t before = mount->n_orphans;

	pthread_mutex_lock(&mount->reading);
	collect(mount);
	pthread_mutex_unlock(&mount->reading);
	return mount->n_orphans != before;
}

/* The files first: their leaves are in the disks' trees. */
static void empty_trash(struct mount *mount)
{
	struct file *next;

	for (struct file *file = mount->trash; file; file = next) {
		next = file->trash_next;
		/* not before a successor would do without it */
		if (file->kept != &file->own)
			keep_file_free(file->kept);
		file_free(file);
	}
	mount->trash = NULL;
	for (size_t i = 0; i < mount->n_trash_disks; i++)
		disk_free(mount->trash_disks[i]);
	mount->n_trash_disks = 0;
}

static struct disk *any_disk(const struct mount *mount, size_t i)
{
	return i < mount->n_disks ? mount->disks[i] : mount->trash_disks[i - mount->n_disks];
}

/* What may hang. All else is closed with its file. */
static void close_beside(struct mount *mount, bool told)
{
	size_t n_disks = mount->n_disks + mount->n_trash_disks;
	uint64_t until_ns;

	for (struct file *file = mount->trash; file; file = file->trash_next) {
		if (!file->may_hang)
			continue;
		closing_add_backing(&file->disk->closing, file->backing);
		file->backing = NULL;
		if (!told)
			continue;
		closing_add_claim(&file->disk->closing, file->claim);
		file->claim = NULL;
	}
	for (size_t i = 0; i < n_disks; i++)
		closing_start(&any_disk(mount, i)->closing);
	until_ns = monotonic_ns() + CLOSE_NS;
	for (size_t i = 0; i < n_disks; i++)
		if (!closing_wait(&any_disk(mount, i)->closing, until_ns))
			log_warning("%s: what a reload has removed stays claimed until its server "
				    "answers",
				    any_disk(mount, i)->name);
}

void mount_finish(struct mount *mount, bool told)
{
	close_beside(mount, told);
	if (told)
		empty_trash(mount);
}
