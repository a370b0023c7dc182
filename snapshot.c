/* SPDX-License-Identifier: MIT */
/* snapshot.c - see snapshot.h. */
#include "snapshot.h"
#include "clock.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Static_assert((int)STATUS_READ == (int)KEEP_READ && (int)STATUS_OPS == (int)KEEP_OPS &&
		       (int)STATUS_WAITS == FBS_WAITS &&
		       (int)STATUS_WAIT_SHARE == (int)FBS_WAIT_SHARE &&
		       (int)STATUS_WAIT_CAP == (int)FBS_WAIT_CAP &&
		       (int)STATUS_WAIT_WINDOW == (int)FBS_WAIT_WINDOW &&
		       (int)STATUS_WAIT_ANTICIPATION == (int)FBS_WAIT_ANTICIPATION &&
		       (int)CONF_POLICY_COST == (int)FBS_POLICY_COST &&
		       (int)CONF_POLICY_WEIGHT == (int)FBS_POLICY_WEIGHT &&
		       (int)CONF_POLICY_WEIGHT_IOSIZE == (int)FBS_POLICY_IOSIZE &&
		       (int)CONF_ISOLATION_AUTO == (int)FBS_ISOLATION_AUTO &&
		       (int)CONF_ISOLATION_STRICT == (int)FBS_ISOLATION_STRICT &&
		       (int)CONF_ISOLATION_THROUGHPUT == (int)FBS_ISOLATION_THROUGHPUT,
	       "two modules that do not know each other count alike");

/* Of the time in which it had requests waiting; less than this and nothing throttles it. */
#define THROTTLED_LEAST_NS UINT64_C(100000000)

/* What is copied of a file under the lock. */
struct raw {
	struct fbs_node_stats leaf;
	struct file_counters counters;
};

/* A file that has a disk; sorted, those of one disk are side by side. */
struct place {
	const struct disk *disk;
	size_t file; /* mount_file_at() */
};

struct taking {
	struct mount *mount;
	struct status *status;
	char *string; /* where the next one goes */
	struct place *places;
	size_t n_places;
	struct raw *raw;	  /* of the files of one disk */
	const char **group_names; /* of mount->groups, likewise */
	bool *group_seen;
	uint64_t now_ns;
};

/* ---- names ---- */

static size_t length(const char *string)
{
	return string ? strlen(string) + 1 : 0;
}

static size_t strings_bytes(const struct mount *mount, const struct snapshot_about *about)
{
	size_t bytes = length(about->config) + 2 * KEEP_ERROR_BYTES;

	for (size_t i = 0; i < mount->n_disks; i++)
		bytes += length(mount->disks[i]->name);
	for (size_t i = 0; i < mount->n_groups; i++)
		bytes += length(mount->groups[i].name);
	for (size_t i = 0; i < mount_n_all(mount); i++)
		bytes += length(mount_file_at(mount, i)->name) +
			 length(mount_file_at(mount, i)->path);
	return bytes;
}

static const char *copy(struct taking *t, const char *string)
{
	char *to = t->string;

	if (!string)
		return NULL;
	t->string = stpcpy(to, string) + 1;
	return to;
}

/* ---- figures ---- */

static struct status_quantiles quantiles(const uint64_t counts[HISTOGRAM_BUCKETS])
{
	return (struct status_quantiles){
		.known = histogram_total(counts) != 0,
		.p50_ns = histogram_quantile_ns(counts, 500),
		.p99_ns = histogram_quantile_ns(counts, 990),
		.p999_ns = histogram_quantile_ns(counts, 999),
	};
}

static enum status_wait throttled_by(const struct file_watch *watch,
				     const struct fbs_node_stats *leaf)
{
	enum status_wait most = STATUS_WAIT_NONE;
	uint64_t most_ns = THROTTLED_LEAST_NS;

	for (unsigned i = 0; i < FBS_WAITS; i++) {
		uint64_t ns = leaf->waited_ns[i] - watch->before[1].waited_ns[i];

		if (ns > most_ns) {
			most = i;
			most_ns = ns;
		}
	}
	return most;
}

static unsigned alarm_bit(const struct alarm *alarm, enum status_alarm which)
{
	return alarm->raised ? 1U << which : 0;
}

static void fill_device(struct status_device *device, const struct disk *disk,
			const struct fbs_stats *stats, const struct disk_counters *counters)
{
	uint64_t latency[HISTOGRAM_BUCKETS];

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		latency[i] = counters->latency.counts[i] - disk->watch.before[1][i];
	device->policy = conf_policies[disk->params.policy];
	device->isolation = conf_isolations[disk->params.isolation];
	device->serial = stats->serial;
	device->in_flight = stats->in_flight;
	device->in_flight_limit = stats->limit;
	device->queued = stats->queued;
	device->iops[STATUS_READ] = stats->prices.read_iops;
	device->iops[STATUS_WRITE] = stats->prices.write_iops;
	device->bps[STATUS_READ] = stats->prices.read_bps;
	device->bps[STATUS_WRITE] = stats->prices.write_bps;
	device->latency = quantiles(latency);
	device->latency_missed = counters->latency_missed;
	device->alarms = alarm_bit(&counters->latency_alarm, STATUS_ALARM_LATENCY);
	memcpy(device->wait, counters->wait, sizeof(device->wait));
	memcpy(device->service, counters->service, sizeof(device->service));
}

static void fill_file(struct status_file *to, const struct file *file, const struct raw *raw,
		      uint64_t now_ns)
{
	const struct file_counters *c = &raw->counters;
	uint64_t counts[HISTOGRAM_BUCKETS];

	to->share = (struct status_share){raw->leaf.entitled_ppm, raw->leaf.achieved_ppm};
	to->queued = raw->leaf.queued;
	to->in_flight = raw->leaf.in_flight;
	to->buffered = file->backing && file->backing->buffered;
	to->capped = raw->leaf.capped;
	to->ios[STATUS_READ] = c->read_ios;
	to->ios[STATUS_WRITE] = c->write_ios;
	to->bytes[STATUS_READ] = c->read_bytes;
	to->bytes[STATUS_WRITE] = c->write_bytes;
	to->flushes = c->flushes;
	to->discards = c->discards;
	to->errors = c->errors;
	to->throttled_by = throttled_by(&file->watch, &raw->leaf);
	memcpy(to->waited_ns, raw->leaf.waited_ns, sizeof(to->waited_ns));
	to->wait_ns = c->wait_ns;
	to->service_ns = c->service_ns;
	recent_sum(&c->recent, &c->recent.wait, now_ns, counts);
	to->wait = quantiles(counts);
	recent_sum(&c->recent, &c->recent.service, now_ns, counts);
	to->service = quantiles(counts);
	to->share_missed = c->share_missed;
	to->reservation_missed = c->reservation_missed;
	to->size_missed = c->size_missed;
	to->weight_missed = c->weight_missed;
	to->alarms = alarm_bit(&c->share_alarm, STATUS_ALARM_SHARE) |
		     alarm_bit(&c->reservation_alarm, STATUS_ALARM_RESERVATION) |
		     alarm_bit(&c->size_alarm, STATUS_ALARM_SIZE) |
		     alarm_bit(&file->watch.weight, STATUS_ALARM_WEIGHT);
}

/* ---- one disk ---- */

static void add_group(struct taking *t, const struct status_device *device, size_t index,
		      const struct fbs_node_stats *node)
{
	const struct group *group = &t->mount->groups[index];

	t->status->groups[t->status->n_groups++] = (struct status_group){
		.name = t->group_names[index],
		.parent = group->parent < 0 ? NULL : t->group_names[group->parent],
		.device = device->name,
		.weight = group->weight,
		.share = {node->entitled_ppm, node->achieved_ppm},
		.reservation_missed = group->counters->reservation_missed,
		.weight_missed = group->counters->weight_missed,
		.alarms = alarm_bit(&group->counters->reservation_alarm, STATUS_ALARM_RESERVATION) |
			  alarm_bit(&group->idle_weight, STATUS_ALARM_WEIGHT),
		.first = !t->group_seen[index],
	};
	t->group_seen[index] = true;
}

static void take_disk(struct taking *t, size_t index, const struct place *places, size_t n)
{
	struct disk *disk = t->mount->disks[index];
	struct status_device *device = &t->status->devices[index];
	struct disk_counters counters;
	struct fbs_stats stats;

	pthread_mutex_lock(&disk->lock);
	fbs_stats(disk->fbs, &stats);
	counters = *disk->counters;
	for (size_t i = 0; i < n; i++) {
		const struct file *file = mount_file_at(t->mount, places[i].file);

		fbs_node_stats(disk->fbs, file->leaf, &t->raw[i].leaf);
		t->raw[i].counters = file->kept->counters;
	}
	for (size_t g = 0; disk->groups && g < t->mount->n_groups; g++) {
		struct fbs_node_stats node;

		if (!disk->groups[g])
			continue;
		fbs_node_stats(disk->fbs, disk->groups[g], &node);
		add_group(t, device, g, &node);
	}
	pthread_mutex_unlock(&disk->lock);
	fill_device(device, disk, &stats, &counters);
	for (size_t i = 0; i < n; i++) {
		struct status_file *file = &t->status->files[places[i].file];

		file->device = device->name;
		fill_file(file, mount_file_at(t->mount, places[i].file), &t->raw[i], t->now_ns);
	}
}

static int compare_places(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->disk != y->disk)
		return (uintptr_t)x->disk > (uintptr_t)y->disk ? 1 : -1;
	return (x->file > y->file) - (x->file < y->file);
}

/* The first of those of a disk; where it would be. */
static size_t first_place(const struct taking *t, const struct disk *disk)
{
	size_t low = 0, high = t->n_places;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if ((uintptr_t)t->places[middle].disk < (uintptr_t)disk)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* ---- all of it ---- */

static size_t count_group_nodes(const struct mount *mount)
{
	size_t n = 0;

	for (size_t i = 0; i < mount->n_disks; i++)
		for (size_t g = 0; mount->disks[i]->groups && g < mount->n_groups; g++)
			n += mount->disks[i]->groups[g] != NULL;
	return n;
}

static bool make_room(struct taking *t, const struct snapshot_about *about)
{
	const struct mount *mount = t->mount;
	struct status *status = t->status;

	status->devices = calloc(mount->n_disks + 1, sizeof(*status->devices));
	status->groups = calloc(count_group_nodes(mount) + 1, sizeof(*status->groups));
	status->files = calloc(mount_n_all(mount) + 1, sizeof(*status->files));
	status->strings = t->string = malloc(strings_bytes(mount, about));
	t->places = calloc(mount_n_all(mount) + 1, sizeof(*t->places));
	t->raw = calloc(mount_n_all(mount) + 1, sizeof(*t->raw));
	t->group_names = calloc(mount->n_groups + 1, sizeof(*t->group_names));
	t->group_seen = calloc(mount->n_groups + 1, sizeof(*t->group_seen));
	return status->devices && status->groups && status->files && status->strings && t->places &&
	       t->raw && t->group_names && t->group_seen;
}

static void name_all(struct taking *t)
{
	const struct mount *mount = t->mount;
	struct status *status = t->status;

	for (size_t i = 0; i < mount->n_disks; i++)
		status->devices[i].name = copy(t, mount->disks[i]->name);
	for (size_t i = 0; i < mount->n_groups; i++)
		t->group_names[i] = copy(t, mount->groups[i].name);
	for (size_t i = 0; i < mount_n_all(mount); i++) {
		const struct file *file = mount_file_at(mount, i);
		/* of a removed one the group is not known any more */
		int parent = i < mount->n_files ? file->group : -1;

		status->files[i] = (struct status_file){
			.name = copy(t, file->name),
			.path = copy(t, file->path),
			.parent = parent < 0 ? NULL : t->group_names[parent],
			.weight = file->weight,
			.size_bytes = file->size_bytes,
			.throttled_by = STATUS_WAIT_NONE,
		};
		if (file->disk)
			t->places[t->n_places++] = (struct place){file->disk, i};
	}
	status->n_devices = mount->n_disks;
	status->n_files = mount->n_files;
	status->n_removed = mount->n_orphans;
	qsort(t->places, t->n_places, sizeof(*t->places), compare_places);
}

static void take_all(struct taking *t, const struct snapshot_about *about)
{
	struct mount *mount = t->mount;
	struct kept_mount *kept = mount_kept(mount);
	struct status *status = t->status;
	uint64_t began_ns = (uint64_t)mount->began.tv_sec * UINT64_C(1000000000) +
			    (uint64_t)mount->began.tv_nsec;

	status->version = FUSEBAND_VERSION;
	status->pid =
		mount->keep && mount->keep->parent ? (long)mount->keep->parent : (long)getpid();
	status->uptime_ns = clock_ns(CLOCK_BOOTTIME) - began_ns;
	status->workers = about->workers;
	status->config = copy(t, about->config);
	status->last_error = kept->last_error[0] ? copy(t, kept->last_error) : NULL;
	status->generation = mount->generation;
	status->reloads = kept->reloads;
	status->reloads_refused = kept->reloads_refused;
	status->upgrades_refused = atomic_load(&kept->upgrades_refused); /* before its text */
	status->upgrade_error = status->upgrades_refused ? copy(t, kept->upgrade_error) : NULL;
	status->upgrades = mount->keep ? mount->keep->upgrades : 0;
	if (mount->keep &&
	    atomic_load(&mount->keep->turns)) /* the first one is none, nor are upgrades */
		status->restarts = atomic_load(&mount->keep->turns) - 1 - mount->keep->upgrades;
	status->memory_missed = atomic_load(&kept->memory_missed);
	status->kernel_missed = kept->kernel_missed;
	status->alarms = (atomic_load(&mount->memory_short) ? 1U << STATUS_ALARM_MEMORY : 0) |
			 (kept->kernel_missed ? 1U << STATUS_ALARM_KERNEL : 0);
	name_all(t);
	for (size_t i = 0; i < mount->n_disks; i++) {
		size_t from = first_place(t, mount->disks[i]), n = from;

		while (n < t->n_places && t->places[n].disk == mount->disks[i])
			n++;
		take_disk(t, i, &t->places[from], n - from);
	}
}

int snapshot_take(struct mount *mount, const struct snapshot_about *about,
		  struct status **ret_status)
{
	struct taking t = {.mount = mount, .status = calloc(1, sizeof(*t.status))};
	int r = -ENOMEM;

	if (!t.status)
		return r;
	pthread_mutex_lock(&mount->reading);
	t.now_ns = monotonic_ns();
	if (make_room(&t, about)) {
		take_all(&t, about);
		r = 0;
	}
	pthread_mutex_unlock(&mount->reading);
	free(t.places);
	free(t.raw);
	free(t.group_names);
	free(t.group_seen);
	if (r)
		status_free(t.status);
	else
		*ret_status = t.status;
	return r;
}
