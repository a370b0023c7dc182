/* SPDX-License-Identifier: MIT */
/* status.c - see status.h. */
#include "status.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

const char *status_wait_name(enum status_wait wait)
{
	static const char *const names[] = {
		[STATUS_WAIT_SHARE] = "share",	 [STATUS_WAIT_CAP] = "cap",
		[STATUS_WAIT_WINDOW] = "window", [STATUS_WAIT_ANTICIPATION] = "anticipation",
		[STATUS_WAIT_NONE] = "none",
	};

	return names[wait];
}

const char *status_alarm_name(enum status_alarm alarm)
{
	static const char *const names[] = {
		[STATUS_ALARM_SHARE] = "share",	    [STATUS_ALARM_RESERVATION] = "reservation",
		[STATUS_ALARM_LATENCY] = "latency", [STATUS_ALARM_SIZE] = "size",
		[STATUS_ALARM_MEMORY] = "memory",   [STATUS_ALARM_WEIGHT] = "weight",
		[STATUS_ALARM_KERNEL] = "kernel",
	};

	return names[alarm];
}

void status_free(struct status *status)
{
	if (!status)
		return;
	free(status->devices);
	free(status->groups);
	free(status->files);
	free(status->strings);
	free(status);
}

/* ---- for the log ---- */

#define LINE_BYTES 512

/* "waited 12.3 s, 80% for its turn, 20% for a cap" */
static void waited(const struct status_file *file, char *text, size_t size)
{
	static const char *const reasons[STATUS_WAITS] = {
		[STATUS_WAIT_SHARE] = "for its turn",
		[STATUS_WAIT_CAP] = "for a cap",
		[STATUS_WAIT_WINDOW] = "for the disk",
		[STATUS_WAIT_ANTICIPATION] = "for another's next request",
	};
	uint64_t sum = 0;
	int used;

	for (unsigned i = 0; i < STATUS_WAITS; i++)
		sum += file->waited_ns[i];
	used = snprintf(text, size, "waited %.1f s", (double)sum / 1e9);
	for (unsigned i = 0; i < STATUS_WAITS && sum; i++) {
		double pct = 100.0 * (double)file->waited_ns[i] / (double)sum;

		if (pct >= 0.5 && used > 0 && (size_t)used < size)
			used += snprintf(text + used, size - (size_t)used, ", %.0f%% %s", pct,
					 reasons[i]);
	}
}

static void file_line(const struct status_file *file, bool removed, void (*line)(const char *))
{
	uint64_t ios = file->ios[STATUS_READ] + file->ios[STATUS_WRITE];
	char text[LINE_BYTES], why[LINE_BYTES / 2];

	waited(file, why, sizeof(why));
	snprintf(text, sizeof(text),
		 "  %-16s %s%sgot %.1f%% of %.1f%% in 10 s, %u queued, %u in flight%s, %" PRIu64
		 " reads, %" PRIu64 " writes, %" PRIu64
		 " errors, mean wait %.2f ms, service %.2f ms, %s",
		 file->name, removed ? "(removed, open) " : "",
		 file->buffered ? "(buffered: weights count for little) " : "",
		 file->share.achieved_ppm / 1e4, file->share.entitled_ppm / 1e4, file->queued,
		 file->in_flight, file->capped ? " (at its cap)" : "", file->ios[STATUS_READ],
		 file->ios[STATUS_WRITE], file->errors,
		 ios ? (double)file->wait_ns / (double)ios / 1e6 : 0.0,
		 ios ? (double)file->service_ns / (double)ios / 1e6 : 0.0, why);
	line(text);
}

static void device_lines(const struct status_device *device, void (*line)(const char *))
{
	char text[LINE_BYTES];

	snprintf(text, sizeof(text), "disk %s: %u in flight of %u, %u queued%s", device->name,
		 device->in_flight, device->in_flight_limit, device->queued,
		 device->serial ? ", serves one or two at a time" : "");
	line(text);
	snprintf(text, sizeof(text),
		 "  reckons with %" PRIu64 " reads, %" PRIu64
		 " writes of 4 KiB per second, %.1f and %.1f MB/s more",
		 device->iops[STATUS_READ], device->iops[STATUS_WRITE],
		 (double)device->bps[STATUS_READ] / 1e6, (double)device->bps[STATUS_WRITE] / 1e6);
	line(text);
}

void status_lines(const struct status *status, void (*line)(const char *text))
{
	char text[LINE_BYTES];

	snprintf(text, sizeof(text),
		 "generation %" PRIu64 " of the configuration, %zu files, %zu removed but open",
		 status->generation, status->n_files, status->n_removed);
	line(text);
	for (size_t d = 0; d < status->n_devices; d++) {
		device_lines(&status->devices[d], line);
		for (size_t i = 0; i < status->n_files + status->n_removed; i++)
			if (status->files[i].device == status->devices[d].name)
				file_line(&status->files[i], i >= status->n_files, line);
	}
	for (size_t i = 0; i < status->n_files; i++) {
		if (status->files[i].device)
			continue;
		snprintf(text, sizeof(text), "  %-16s absent: %s", status->files[i].name,
			 status->files[i].path);
		line(text);
	}
}
