/* SPDX-License-Identifier: MIT */
/* status_json.c - a status as JSON. Numbers are integers or decimal fractions of integers. */
#include "status.h"

static void put_string(struct text *out, const char *key, const char *value)
{
	text_json_key(out, key);
	text_json_string(out, value);
}

static void put_fixed(struct text *out, const char *key, uint64_t value, unsigned places)
{
	text_json_key(out, key);
	text_fixed(out, value, places);
}

static void put(struct text *out, const char *key, uint64_t value)
{
	put_fixed(out, key, value, 0);
}

static void put_us(struct text *out, const char *key, uint64_t ns, bool known)
{
	text_json_key(out, key);
	if (known)
		text_fixed(out, (ns + 500) / 1000, 0);
	else
		text_add(out, "null");
}

static void put_quantiles(struct text *out, const char *key, const struct status_quantiles *q,
			  bool p999)
{
	text_json_key(out, key);
	text_add(out, "{");
	put_us(out, "p50", q->p50_ns, q->known);
	put_us(out, "p99", q->p99_ns, q->known);
	if (p999)
		put_us(out, "p999", q->p999_ns, q->known);
	text_add(out, "}");
}

static void put_share(struct text *out, const struct status_share *share)
{
	put_fixed(out, "entitled_pct", share->entitled_ppm, 4);
	put_fixed(out, "achieved_pct", share->achieved_ppm, 4);
}

/* A list of objects, one a line. */
static void list_begin(struct text *out, const char *key)
{
	text_json_key(out, key);
	text_add(out, "[");
}

static void item_begin(struct text *out)
{
	text_json_key(out, NULL);
	text_add(out, "\n{");
}

static void put_alarms(struct text *out, unsigned alarms)
{
	list_begin(out, "alarms");
	for (unsigned i = 0; i < STATUS_ALARMS; i++) {
		if (!(alarms & 1U << i))
			continue;
		text_json_key(out, NULL);
		text_json_string(out, status_alarm_name(i));
	}
	text_add(out, "]");
}

static void put_device(struct text *out, const struct status_device *device)
{
	item_begin(out);
	put_string(out, "name", device->name);
	put_string(out, "policy", device->policy);
	put_string(out, "isolation", device->isolation);
	put(out, "in_flight", device->in_flight);
	put(out, "in_flight_limit", device->in_flight_limit);
	put(out, "queued", device->queued);
	put_quantiles(out, "latency_us", &device->latency, false);
	put_alarms(out, device->alarms);
	text_add(out, "}");
}

static void put_group(struct text *out, const struct status_group *group)
{
	item_begin(out);
	put_string(out, "name", group->name);
	put_string(out, "parent", group->parent);
	put_string(out, "device", group->device);
	put(out, "weight", group->weight);
	put_share(out, &group->share);
	put_alarms(out, group->alarms);
	text_add(out, "}");
}

static void put_file(struct text *out, const struct status_file *file)
{
	item_begin(out);
	put_string(out, "name", file->name);
	put_string(out, "path", file->path);
	put_string(out, "device", file->device);
	put_string(out, "parent", file->parent);
	put(out, "weight", file->weight);
	put(out, "size_bytes", file->size_bytes);
	put_share(out, &file->share);
	put(out, "queued", file->queued);
	put(out, "in_flight", file->in_flight);
	put(out, "read_ios", file->ios[STATUS_READ]);
	put(out, "write_ios", file->ios[STATUS_WRITE]);
	put(out, "read_bytes", file->bytes[STATUS_READ]);
	put(out, "write_bytes", file->bytes[STATUS_WRITE]);
	put(out, "flushes", file->flushes);
	put(out, "discards", file->discards);
	put(out, "errors", file->errors);
	put_string(out, "throttled_by", status_wait_name(file->throttled_by));
	text_json_key(out, "waited_us");
	text_add(out, "{");
	for (unsigned i = 0; i < STATUS_WAITS; i++)
		put(out, status_wait_name(i), file->waited_ns[i] / 1000);
	text_add(out, "}");
	put_quantiles(out, "wait_us", &file->wait, true);
	put_quantiles(out, "service_us", &file->service, true);
	put_alarms(out, file->alarms);
	text_add(out, "}");
}

void status_json(const struct status *status, struct text *out)
{
	text_add(out, "{");
	put_string(out, "version", status->version);
	put(out, "pid", (uint64_t)status->pid);
	put_fixed(out, "uptime_s", status->uptime_ns / 1000000, 3);
	put(out, "workers", status->workers);
	put(out, "restarts", status->restarts);
	put_alarms(out, status->alarms);
	text_json_key(out, "config");
	text_add(out, "{");
	put_string(out, "path", status->config);
	put(out, "generation", status->generation);
	put_string(out, "last_error", status->last_error);
	put(out, "reloads", status->reloads);
	put(out, "reloads_refused", status->reloads_refused);
	text_add(out, "}");
	put(out, "upgrades", status->upgrades);
	put(out, "upgrades_refused", status->upgrades_refused);
	put_string(out, "upgrade_error", status->upgrade_error);
	list_begin(out, "devices");
	for (size_t i = 0; i < status->n_devices; i++)
		put_device(out, &status->devices[i]);
	text_add(out, "]");
	list_begin(out, "groups");
	for (size_t i = 0; i < status->n_groups; i++)
		put_group(out, &status->groups[i]);
	text_add(out, "]");
	list_begin(out, "files");
	for (size_t i = 0; i < status->n_files; i++)
		put_file(out, &status->files[i]);
	text_add(out, "]}\n");
}
