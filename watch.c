/* SPDX-License-Identifier: MIT */
/* watch.c - see watch.h. All of it is the main thread's. */
#include "watch.h"
#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS UINT64_C(1000000)
#define BACKGROUND_LEAST 1024UL /* requests that should be able to reach us at a time */

static struct file_before now_of(const struct file *file, const struct fbs_node_stats *leaf)
{
	const struct file_counters *c = &file->kept->counters;
	struct file_before now = {
		.ios = c->read_ios + c->write_ios + c->discards,
		.bytes = c->read_bytes + c->write_bytes,
	};

	memcpy(now.waited_ns, leaf->waited_ns, sizeof(now.waited_ns));
	return now;
}

/* Of the time in which it had requests, that in which its own cap was not the reason. */
static uint64_t waiting_ns(const struct file_before *from, const struct file_before *to)
{
	uint64_t ns = 0;

	for (unsigned i = 0; i < FBS_WAITS; i++)
		if (i != FBS_WAIT_CAP)
			ns += to->waited_ns[i] - from->waited_ns[i];
	return ns;
}

static enum fbs_wait main_reason(const struct file_before *from, const struct file_before *to)
{
	enum fbs_wait most = FBS_WAIT_SHARE;

	for (unsigned i = 0; i < FBS_WAITS; i++)
		if (to->waited_ns[i] - from->waited_ns[i] >
		    to->waited_ns[most] - from->waited_ns[most])
			most = i;
	return most;
}

/* ---- what is said ---- */

static void say_share(const struct file *file, const struct alarm_queue *q, enum fbs_wait reason,
		      bool pays_later)
{
	static const char pays[] = "flushes or discards of it, or of its group, took the disk so "
				   "long that it pays for them now: let it flush less often, or "
				   "give it more weight";
	static const char *const hints[FBS_WAITS] = {
		[FBS_WAIT_SHARE] = "others come first: is something in class realtime, or promised "
				   "a minimum?",
		[FBS_WAIT_CAP] = "a cap above it holds it",
		[FBS_WAIT_WINDOW] = "the disk is slower than it was, or used by others than this "
				    "mount",
		[FBS_WAIT_ANTICIPATION] = "the disk idles for others: see isolation",
	};

	log_warning("%s: got %.1f%% of disk %s, but was entitled to %.1f%%, for %llu s: %s",
		    file->name, q->achieved_ppm / 1e4, file->disk->name, q->entitled_ppm / 1e4,
		    (unsigned long long)(ALARM_SHARE_WINDOWS * q->window_ns / 1000000000),
		    pays_later && reason == FBS_WAIT_SHARE ? pays : hints[reason]);
}

static void say_reservation(const char *what, const char *name, const char *disk,
			    const struct alarm_queue *q)
{
	double seconds = (double)q->window_ns / 1e9;

	log_warning("%s%s: reservation missed: %.0f requests and %.1f MB per second of disk %s, "
		    "promised were min_iops %llu and min_bps %.1f MB: the disk cannot do more, or "
		    "too much of it is promised",
		    what, name, (double)q->ios / seconds, (double)q->bytes / seconds / 1e6, disk,
		    (unsigned long long)q->min_iops, (double)q->min_bps / 1e6);
}

static void say_latency(const struct disk *disk, const uint64_t counts[HISTOGRAM_BUCKETS])
{
	log_warning("disk %s: latency target missed: 99 %% within %.1f ms, wanted were %.1f ms: it "
		    "is slower than that with hardly anything to do, or used by others than this "
		    "mount",
		    disk->name, (double)histogram_quantile_ns(counts, 990) / 1e6,
		    (double)disk->params.latency_target_ns / 1e6);
}

/* ---- one window ---- */

static void begin(struct file_watch *watch, const struct file_before *now)
{
	if (!watch->begun)
		watch->before[0] = *now;
	watch->before[1] = watch->before[0];
	watch->before[0] = *now;
}

static void judge_share(struct file *file, const struct alarm_queue *q, bool pays_later)
{
	const struct file_watch *watch = &file->watch;
	struct file_counters *counters = &file->kept->counters;

	if (alarm_window(&counters->share_alarm, alarm_share(q), ALARM_SHARE_WINDOWS)) {
		say_share(file, q, main_reason(&watch->before[1], &watch->before[0]), pays_later);
		counters->share_missed++;
	}
}

static void judge_reservation(struct file *file, const struct alarm_queue *q)
{
	struct file_counters *counters = &file->kept->counters;

	if (alarm_window(&counters->reservation_alarm, alarm_reservation(q),
			 ALARM_RESERVATION_WINDOWS)) {
		say_reservation("", file->name, file->disk->name, q);
		counters->reservation_missed++;
	}
}

static void judge_size(struct file *file, bool cut_short)
{
	bool seen_before = file->present_bytes < file->size_bytes; /* by a reload, which said so */
	struct file_counters *counters = &file->kept->counters;

	if (!alarm_window(&counters->size_alarm, cut_short || seen_before, ALARM_SIZE_WINDOWS))
		return;
	if (!seen_before)
		log_warning("%s: %s is shorter than it was: reads beyond its end fail; make it as "
			    "large again, and reload",
			    file->name, file->path);
	counters->size_missed++;
}

static void look_at_file(struct file *file, uint64_t window_ns)
{
	struct file_watch *watch = &file->watch;
	struct fbs_node_stats leaf;
	struct alarm_queue q;
	struct file_before now;
	bool cut_short, pays_later;

	pthread_mutex_lock(&file->disk->lock);
	fbs_node_stats(file->disk->fbs, file->leaf, &leaf);
	pays_later = fbs_pays_later(file->disk->fbs, file->leaf);
	now = now_of(file, &leaf);
	cut_short = file->cut_short;
	pthread_mutex_unlock(&file->disk->lock);
	begin(watch, &now);
	if (watch->begun) {
		q = (struct alarm_queue){
			.window_ns = window_ns,
			.waiting_ns = waiting_ns(&watch->before[1], &now),
			.entitled_ppm = leaf.entitled_ppm,
			.achieved_ppm = leaf.achieved_ppm,
			.disk_ios = file->disk->watch.window_ios,
			.ios = now.ios - watch->before[1].ios,
			.bytes = now.bytes - watch->before[1].bytes,
			.min_iops = file->limits.min_iops,
			.min_bps = file->limits.min_bps,
			.iops_size_bytes = file->limits.iops_size_bytes,
		};
		judge_share(file, &q, pays_later);
		judge_reservation(file, &q);
		judge_size(file, cut_short);
	}
	watch->begun = true;
}

static void look_at_disk(struct disk *disk, bool first)
{
	struct disk_watch *watch = &disk->watch;
	uint64_t now[HISTOGRAM_BUCKETS], counts[HISTOGRAM_BUCKETS];

	pthread_mutex_lock(&disk->lock);
	memcpy(now, disk->counters->latency.counts, sizeof(now));
	pthread_mutex_unlock(&disk->lock);
	memcpy(watch->before[1], first ? now : watch->before[0], sizeof(now));
	memcpy(watch->before[0], now, sizeof(now));
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		counts[i] = now[i] - watch->before[1][i];
	watch->window_ios = histogram_total(counts);
	if (first) /* no window is over, which could end an episode of the process before us */
		return;
	if (alarm_window(&disk->counters->latency_alarm,
			 alarm_latency(counts, disk->params.latency_target_ns),
			 ALARM_LATENCY_WINDOWS)) {
		say_latency(disk, counts);
		disk->counters->latency_missed++;
	}
}

/* ---- groups ---- */

static bool is_below(const struct mount *mount, const struct file *file, int group)
{
	for (int above = file->group; above >= 0; above = mount->groups[above].parent)
		if (above == group)
			return true;
	return false;
}

/* What its files on a disk had in the window that is over. */
static bool missed_on(const struct mount *mount, int index, const struct disk *disk,
		      uint64_t window_ns, struct alarm_queue *ret_queue)
{
	const struct group *group = &mount->groups[index];
	struct alarm_queue q = {
		.window_ns = window_ns,
		.min_iops = group->min_iops,
		.min_bps = group->min_bps,
		.iops_size_bytes = group->iops_size_bytes,
	};

	for (size_t i = 0; i < mount->n_files; i++) {
		const struct file *file = mount->files[i];
		const struct file_before *from = &file->watch.before[1];
		const struct file_before *to = &file->watch.before[0];
		uint64_t ns;

		if (file->disk != disk || !is_below(mount, file, index))
			continue;
		q.ios += to->ios - from->ios;
		q.bytes += to->bytes - from->bytes;
		ns = waiting_ns(from, to);
		q.waiting_ns = ns > q.waiting_ns ? ns : q.waiting_ns;
	}
	*ret_queue = q;
	return alarm_reservation(&q);
}

static void look_at_group(struct mount *mount, int index, uint64_t window_ns)
{
	struct group *group = &mount->groups[index];
	const struct disk *disk = NULL;
	struct alarm_queue q = {0};

	/* without a promise nothing is missed, and it is over */
	for (size_t i = 0; !disk && (group->min_iops || group->min_bps) && i < mount->n_disks; i++)
		if (mount->disks[i]->groups && mount->disks[i]->groups[index] &&
		    missed_on(mount, index, mount->disks[i], window_ns, &q))
			disk = mount->disks[i];
	if (alarm_window(&group->counters->reservation_alarm, disk != NULL,
			 ALARM_RESERVATION_WINDOWS)) {
		say_reservation("group ", group->name, disk->name, &q);
		group->counters->reservation_missed++;
	}
}

/* ---- the clock ---- */

void watch_look(struct watch *watch, struct mount *mount, uint64_t now_ns)
{
	bool first = !watch->began_ns;
	uint64_t window_ns = now_ns - watch->began_ns;

	if (!first && window_ns < ALARM_WINDOW_NS)
		return;
	pthread_mutex_lock(&mount->reading);
	for (size_t i = 0; i < mount->n_disks; i++)
		look_at_disk(mount->disks[i], first);
	for (size_t i = 0; i < mount->n_files; i++)
		if (mount->files[i]->disk)
			look_at_file(mount->files[i], window_ns);
	for (size_t i = 0; !first && i < mount->n_groups; i++)
		look_at_group(mount, (int)i, window_ns);
	pthread_mutex_unlock(&mount->reading);
	watch->began_ns = now_ns;
}

int watch_timeout_ms(const struct watch *watch, uint64_t now_ns)
{
	uint64_t gone_ns = now_ns - watch->began_ns;

	if (!watch->began_ns || gone_ns >= ALARM_WINDOW_NS)
		return 0;
	return (int)((ALARM_WINDOW_NS - gone_ns) / NS_PER_MS) + 1;
}

/* ---- notes ---- */

/*
 * What is directly below each node of one disk's tree, [0] the disk itself and [1 + i] group i: the
 * file or group if it is the only one, NULL for none and SEVERAL.
 */
static const char several_of_them;
#define SEVERAL ((const void *)&several_of_them)

static void note_below(const void **only, int parent, const void *child)
{
	const void **slot = &only[1 + parent];

	*slot = !*slot || *slot == child ? child : SEVERAL;
}

static void look_below(const struct mount *mount, const struct disk *disk, const void **only)
{
	for (size_t i = 0; i <= mount->n_groups; i++)
		only[i] = NULL;
	for (size_t i = 0; i < mount->n_files; i++) {
		const void *child = mount->files[i];
		int parent = mount->files[i]->group;

		if (mount->files[i]->disk != disk)
			continue;
		for (; parent >= 0; parent = mount->groups[parent].parent) {
			note_below(only, parent, child);
			child = &mount->groups[parent];
		}
		note_below(only, -1, child);
	}
	/* removed and open: its group may be gone */
	for (size_t i = 0; i < mount->n_orphans; i++)
		if (mount->orphans[i]->disk == disk)
			for (size_t k = 0; k <= mount->n_groups; k++)
				only[k] = SEVERAL;
}

static void look_at_weight_of_file(const struct mount *mount, struct file *file,
				   const void *const *only, bool tell)
{
	bool idle = file->weight != CONF_WEIGHT_DEFAULT && only[1 + file->group] == file;

	if (!alarm_window(&file->watch.weight, idle, ALARM_WEIGHT_WINDOWS) || !tell)
		return;
	file->kept->counters.weight_missed++;
	if (file->group < 0)
		log_warning("%s: weight %u has no effect: it is the only file on disk %s, and "
			    "weights divide one disk between its files; fuseband --check prints "
			    "which disk each is on",
			    file->name, file->weight, file->disk->name);
	else
		log_warning("%s: weight %u has no effect: there is nothing else in group %s on "
			    "disk %s; what the group gets is for the group's own weight to say",
			    file->name, file->weight, mount->groups[file->group].name,
			    file->disk->name);
}

/* Nothing is beside it on any disk on which it has files. */
static void look_at_weight_of_group(struct group *group, bool idle, bool tell)
{
	if (!alarm_window(&group->idle_weight, idle, ALARM_WEIGHT_WINDOWS) || !tell)
		return;
	group->counters->weight_missed++;
	log_warning("group %s: weight %u has no effect: nothing else is beside it on any disk, and "
		    "weights divide one disk between what is side by side; fuseband --check "
		    "prints what is where",
		    group->name, group->weight);
}

/* Of a group: disks that it has files on, and those of them where it is alone. */
struct standing {
	size_t present, alone;
};

static void look_at_weights(struct mount *mount, const void **only, struct standing *standings,
			    bool tell)
{
	for (size_t d = 0; d < mount->n_disks; d++) {
		look_below(mount, mount->disks[d], only);
		for (size_t i = 0; i < mount->n_files; i++)
			if (mount->files[i]->disk == mount->disks[d])
				look_at_weight_of_file(mount, mount->files[i], only, tell);
		for (size_t g = 0; g < mount->n_groups; g++) {
			const struct group *group = &mount->groups[g];

			standings[g].present += only[1 + g] != NULL;
			standings[g].alone += only[1 + g] && only[1 + group->parent] == group;
		}
	}
	for (size_t g = 0; g < mount->n_groups; g++) {
		struct group *group = &mount->groups[g];
		bool idle = group->weight != CONF_WEIGHT_DEFAULT && standings[g].present &&
			    standings[g].present == standings[g].alone;

		look_at_weight_of_group(group, idle, tell);
	}
}

void watch_weights(struct mount *mount, bool tell)
{
	const void **only = calloc(mount->n_groups + 1, sizeof(*only));
	struct standing *standings = calloc(mount->n_groups + 1, sizeof(*standings));

	pthread_mutex_lock(&mount->reading);
	if (only && standings) /* else they are as they were until the next time */
		look_at_weights(mount, only, standings, tell);
	pthread_mutex_unlock(&mount->reading);
	free(only);
	free(standings);
}

/* 0 where there is no such setting. */
static unsigned long setting(const char *root, const char *path)
{
	unsigned long value = 0;
	char name[512];
	FILE *file;

	snprintf(name, sizeof(name), "%s%s", root, path);
	file = fopen(name, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%lu", &value) != 1)
		value = 0;
	fclose(file);
	return value;
}

unsigned watch_host(const char *root, bool privileged, struct conf_errors *notes)
{
	static const char *const timeouts[] = {"default_request_timeout", "max_request_timeout"};
	static const char background[] = "/sys/module/fuse/parameters/max_user_bgreq";
	size_t before = notes->n;
	unsigned long value;
	char path[128];

	for (size_t i = 0; i < sizeof(timeouts) / sizeof(timeouts[0]); i++) {
		snprintf(path, sizeof(path), "/proc/sys/fs/fuse/%s", timeouts[i]);
		value = setting(root, path);
		if (value)
			conf_error_add(notes, NULL, NULL, NULL, NULL,
				       "the kernel ends the whole mount when one request takes "
				       "longer than %lu s (fs.fuse.%s), as on a disk that hangs: "
				       "sysctl fs.fuse.%s=0 before the next start",
				       value, timeouts[i], timeouts[i]);
	}
	value = setting(root, background);
	if (!privileged && value && value < BACKGROUND_LEAST)
		conf_error_add(notes, NULL, NULL, NULL, NULL,
			       "the kernel hands on no more than %lu asynchronous requests at a "
			       "time, in the order in which they came, before weights count: echo "
			       "65535 > %s as root, or start it as root",
			       value, background);
	return (unsigned)(notes->n - before);
}
