/* SPDX-License-Identifier: MIT */
/* status.c - see status.h. */
#include "status.h"
#include "log.h"

static void log_file(const struct file *file, const struct fbs_stats *disk)
{
	const struct file_counters *c = &file->counters;
	uint64_t ios = c->read_ios + c->write_ios;
	struct fbs_node_stats leaf;

	fbs_node_stats(file->disk->fbs, file->leaf, &leaf);
	log_info("  %-16s %s%s got %.1f%%, %u queued, %u in flight, %llu reads, %llu writes, "
		 "%llu errors, mean wait %.2f ms, service %.2f ms",
		 file->name, file->removed ? "(removed, open)" : "",
		 file->backing->buffered ? "(buffered: weights count for little)" : "",
		 disk->tokens ? 100.0 * (double)leaf.tokens / (double)disk->tokens : 0.0,
		 leaf.queued, leaf.in_flight, (unsigned long long)c->read_ios,
		 (unsigned long long)c->write_ios, (unsigned long long)c->errors,
		 ios ? (double)c->wait_ns / (double)ios / 1e6 : 0.0,
		 ios ? (double)c->service_ns / (double)ios / 1e6 : 0.0);
}

static void log_disk(struct mount *mount, struct disk *disk)
{
	struct fbs_stats stats;

	pthread_mutex_lock(&disk->lock);
	fbs_stats(disk->fbs, &stats);
	log_info("disk %s: %u in flight of %u, %u queued", disk->name, stats.in_flight, stats.limit,
		 stats.queued);
	for (size_t i = 0; i < mount->n_files + mount->n_orphans; i++) {
		const struct file *file =
			i < mount->n_files ? mount->files[i] : mount->orphans[i - mount->n_files];

		if (file->disk == disk)
			log_file(file, &stats);
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
