/* SPDX-License-Identifier: MIT */
/* status.c - see status.h. */
#include "status.h"
#include "log.h"

#include <stdio.h>

/* "; waited 12.3 s: 80% for its share, 20% for its cap" */
static void waited(const struct fbs_node_stats *stats, char *text, size_t size)
{
	static const char *const reasons[FBS_WAITS] = {
		[FBS_WAIT_SHARE] = "for its turn",
		[FBS_WAIT_CAP] = "for a cap",
		[FBS_WAIT_WINDOW] = "for the disk",
		[FBS_WAIT_ANTICIPATION] = "for another's next request",
	};
	uint64_t sum = 0;
	int used;

	for (unsigned i = 0; i < FBS_WAITS; i++)
		sum += stats->waited_ns[i];
	used = snprintf(text, size, "waited %.1f s", (double)sum / 1e9);
	for (unsigned i = 0; i < FBS_WAITS && sum; i++) {
		double pct = 100.0 * (double)stats->waited_ns[i] / (double)sum;

		if (pct >= 0.5 && used > 0 && (size_t)used < size)
			used += snprintf(text + used, size - (size_t)used, ", %.0f%% %s", pct,
					 reasons[i]);
	}
}

static void log_file(const struct file *file)
{
	const struct file_counters *c = &file->kept->counters;
	uint64_t ios = c->read_ios + c->write_ios;
	struct fbs_node_stats leaf;
	char text[256];

	fbs_node_stats(file->disk->fbs, file->leaf, &leaf);
	waited(&leaf, text, sizeof(text));
	log_info("  %-16s %s%sgot %.1f%% of %.1f%% in 10 s, %u queued, %u in flight%s, %llu reads, "
		 "%llu writes, %llu errors, mean wait %.2f ms, service %.2f ms, %s",
		 file->name, file->removed ? "(removed, open) " : "",
		 file->backing->buffered ? "(buffered: weights count for little) " : "",
		 leaf.achieved_ppm / 1e4, leaf.entitled_ppm / 1e4, leaf.queued, leaf.in_flight,
		 leaf.capped ? " (at its cap)" : "", (unsigned long long)c->read_ios,
		 (unsigned long long)c->write_ios, (unsigned long long)c->errors,
		 ios ? (double)c->wait_ns / (double)ios / 1e6 : 0.0,
		 ios ? (double)c->service_ns / (double)ios / 1e6 : 0.0, text);
}

static void log_disk(struct mount *mount, struct disk *disk)
{
	struct fbs_stats stats;

	pthread_mutex_lock(&disk->lock);
	fbs_stats(disk->fbs, &stats);
	log_info("disk %s: %u in flight of %u, %u queued%s", disk->name, stats.in_flight,
		 stats.limit, stats.queued, stats.serial ? ", serves one or two at a time" : "");
	log_info("  reckons with %llu reads, %llu writes of 4 KiB per second, %.1f and %.1f MB/s "
		 "more",
		 (unsigned long long)stats.prices.read_iops,
		 (unsigned long long)stats.prices.write_iops, (double)stats.prices.read_bps / 1e6,
		 (double)stats.prices.write_bps / 1e6);
	for (size_t i = 0; i < mount->n_files + mount->n_orphans; i++) {
		const struct file *file =
			i < mount->n_files ? mount->files[i] : mount->orphans[i - mount->n_files];

		if (file->disk == disk)
			log_file(file);
	}
	pthread_mutex_unlock(&disk->lock);
}

void status_log(struct mount *mount)
{
	log_info("generation %llu of the configuration, %zu files, %zu removed but open",
		 (unsigned long long)mount->generation, mount->n_files, mount->n_orphans);
	for (size_t i = 0; i < mount->n_disks; i++)
		log_disk(mount, mount->disks[i]);
	for (size_t i = 0; i < mount->n_files; i++)
		if (!mount->files[i]->backing)
			log_info("  %-16s absent: %s", mount->files[i]->name,
				 mount->files[i]->path);
}
