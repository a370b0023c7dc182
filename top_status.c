/* SPDX-License-Identifier: MIT */
/*
 * top_status.c - see top_status.h. JSON is read by jansson; what is here takes fields out of it.
 *
 * All strings go into one piece of memory as long as the text: each is there with two quotes, which
 * is one byte more than it needs with a NUL, and escapes only become shorter.
 */
#include "top_status.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parser {
	struct top_status *status;
	char *string; /* where the next one goes */
	char where[96];
	char *error; /* "": nothing is wrong so far */
};

static void wrong(struct parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Only what was found first is told. */
static void wrong(struct parser *p, const char *fmt, ...)
{
	char what[TOP_ERROR_BYTES - 128];
	va_list args;

	if (p->error[0])
		return;
	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	snprintf(p->error, TOP_ERROR_BYTES, "%s%s%s", p->where, p->where[0] ? ": " : "", what);
}

/* ---- fields ---- */

static const json_t *field(struct parser *p, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (!value)
		wrong(p, "there is no \"%s\": was this written by another version of fuseband?",
		      key);
	return value;
}

static const char *keep_string(struct parser *p, const char *string)
{
	char *to = p->string;

	p->string = stpcpy(to, string) + 1;
	return to;
}

/* NULL where there is a null. */
static const char *string_or_null(struct parser *p, const json_t *object, const char *key)
{
	const json_t *value = field(p, object, key);

	if (value && !json_is_string(value) && !json_is_null(value))
		wrong(p, "\"%s\" is no string", key);
	return json_is_string(value) ? keep_string(p, json_string_value(value)) : NULL;
}

static const char *string(struct parser *p, const json_t *object, const char *key)
{
	const char *value = string_or_null(p, object, key);

	if (!value)
		wrong(p, "\"%s\" is no string", key);
	return value ? value : "";
}

static double number(struct parser *p, const json_t *object, const char *key)
{
	const json_t *value = field(p, object, key);

	if (json_is_number(value) && json_number_value(value) >= 0)
		return json_number_value(value);
	wrong(p, "\"%s\" is no number from 0 on", key);
	return 0;
}

static uint64_t integer(struct parser *p, const json_t *object, const char *key)
{
	const json_t *value = field(p, object, key);

	if (json_is_integer(value) && json_integer_value(value) >= 0)
		return (uint64_t)json_integer_value(value);
	wrong(p, "\"%s\" is no whole number from 0 on", key);
	return 0;
}

static const json_t *object_in(struct parser *p, const json_t *object, const char *key)
{
	const json_t *value = field(p, object, key);

	if (value && !json_is_object(value))
		wrong(p, "\"%s\" is no object", key);
	return value;
}

static size_t list_in(struct parser *p, const json_t *object, const char *key,
		      const json_t **ret_list)
{
	*ret_list = field(p, object, key);
	if (*ret_list && !json_is_array(*ret_list))
		wrong(p, "\"%s\" is no list", key);
	return json_array_size(*ret_list);
}

static double quantile(struct parser *p, const json_t *object, const char *key)
{
	return json_is_null(json_object_get(object, key)) ? NAN : number(p, object, key);
}

static struct top_times times(struct parser *p, const json_t *object, const char *key, bool p999)
{
	const json_t *in = object_in(p, object, key);

	return (struct top_times){
		.p50 = quantile(p, in, "p50"),
		.p99 = quantile(p, in, "p99"),
		.p999 = p999 ? quantile(p, in, "p999") : NAN,
	};
}

/* ["share","size"] as "share, size". */
static const char *alarms(struct parser *p, const json_t *object)
{
	const json_t *list, *item;
	char *to = p->string, *at = to;
	size_t i;

	list_in(p, object, "alarms", &list);
	*at = '\0';
	json_array_foreach(list, i, item)
	{
		if (!json_is_string(item)) {
			wrong(p, "an alarm is no string");
			break;
		}
		at = stpcpy(at, i ? ", " : "");
		at = stpcpy(at, json_string_value(item));
	}
	p->string = at == to ? to : at + 1;
	return at == to ? "" : to;
}

/* ---- nodes ---- */

/* A device by its name; a group by its name and device. -1: there is none. */
static int find(const struct top_status *status, enum top_kind kind, const char *name, int device)
{
	size_t from = kind == TOP_DEVICE ? 0 : status->n_devices;
	size_t to = kind == TOP_DEVICE ? status->n_devices : status->n_devices + status->n_groups;

	for (size_t i = from; i < to; i++)
		if (!strcmp(status->nodes[i].name, name) &&
		    (kind == TOP_DEVICE || status->nodes[i].device == device))
			return (int)i;
	return -1;
}

static void get_device(struct parser *p, const json_t *in, int index, struct top_node *node)
{
	node->parent = -1;
	node->device = index;
	node->policy = string(p, in, "policy");
	node->isolation = string(p, in, "isolation");
	node->in_flight = integer(p, in, "in_flight");
	node->in_flight_limit = integer(p, in, "in_flight_limit");
	node->queued = integer(p, in, "queued");
	node->service = times(p, in, "latency_us", false);
	node->wait = (struct top_times){NAN, NAN, NAN};
}

static void get_shared(struct parser *p, const json_t *in, struct top_node *node)
{
	const char *device = string_or_null(p, in, "device");

	node->device = device ? find(p->status, TOP_DEVICE, device, -1) : -1;
	if (device && node->device < 0)
		wrong(p, "there is no device \"%s\"", device);
	node->weight = integer(p, in, "weight");
	node->entitled_pct = number(p, in, "entitled_pct");
	node->achieved_pct = number(p, in, "achieved_pct");
}

/* After all of its kind have names. */
static void get_parent(struct parser *p, const json_t *in, struct top_node *node)
{
	const char *parent = string_or_null(p, in, "parent");

	node->parent = parent && node->device >= 0
			       ? find(p->status, TOP_GROUP, parent, node->device)
			       : node->device;
	if (parent && node->device >= 0 && node->parent < 0)
		wrong(p, "there is no group \"%s\" on its device", parent);
}

static void get_group(struct parser *p, const json_t *in, struct top_node *node)
{
	get_shared(p, in, node);
	if (node->device < 0)
		wrong(p, "it has no device");
	node->wait = node->service = (struct top_times){NAN, NAN, NAN};
}

static void get_file(struct parser *p, const json_t *in, struct top_node *node)
{
	static const char *const counters[TOP_COUNTERS] = {
		[TOP_READ_IOS] = "read_ios",	 [TOP_WRITE_IOS] = "write_ios",
		[TOP_READ_BYTES] = "read_bytes", [TOP_WRITE_BYTES] = "write_bytes",
		[TOP_FLUSHES] = "flushes",	 [TOP_DISCARDS] = "discards",
		[TOP_ERRORS] = "errors"};
	const json_t *waited = object_in(p, in, "waited_us");

	get_shared(p, in, node);
	get_parent(p, in, node);
	node->path = string(p, in, "path");
	node->size_bytes = integer(p, in, "size_bytes");
	node->queued = integer(p, in, "queued");
	node->in_flight = integer(p, in, "in_flight");
	node->throttled_by = string(p, in, "throttled_by");
	for (unsigned i = 0; i < TOP_COUNTERS; i++)
		node->counters[i] = integer(p, in, counters[i]);
	for (unsigned i = 0; i < STATUS_WAITS; i++)
		node->waited_us[i] = integer(p, waited, status_wait_name(i));
	node->wait = times(p, in, "wait_us", true);
	node->service = times(p, in, "service_us", true);
}

static void get_nodes(struct parser *p, const json_t *list, enum top_kind kind, size_t first)
{
	static const char *const kinds[] = {"device", "group", "file"};
	const json_t *in;
	size_t i;

	json_array_foreach(list, i, in)
	{
		struct top_node *node = &p->status->nodes[first + i];

		snprintf(p->where, sizeof(p->where), "%s %zu", kinds[kind], i);
		node->kind = kind;
		node->name = string(p, in, "name");
		snprintf(p->where, sizeof(p->where), "%s %.80s", kinds[kind], node->name);
		if (kind == TOP_DEVICE)
			get_device(p, in, (int)i, node);
		else if (kind == TOP_GROUP)
			get_group(p, in, node);
		else
			get_file(p, in, node);
		node->alarms = alarms(p, in);
	}
}

/* Groups that go in a circle would have no depth. */
static bool set_depth(struct top_status *status, struct top_node *node)
{
	node->depth = 0;
	for (int above = node->parent; above >= 0; above = status->nodes[above].parent)
		if (++node->depth > status->n_groups + 1)
			return false;
	return true;
}

static void add_up(struct top_status *status)
{
	for (size_t i = status->n_devices + status->n_groups; i < status->n; i++) {
		const struct top_node *file = &status->nodes[i];

		for (int above = file->parent; above >= 0; above = status->nodes[above].parent) {
			struct top_node *node = &status->nodes[above];

			if (node->kind == TOP_GROUP) {
				node->queued += file->queued;
				node->in_flight += file->in_flight;
			}
			for (unsigned c = 0; c < TOP_COUNTERS; c++)
				node->counters[c] += file->counters[c];
		}
	}
}

/* ---- all of it ---- */

static void get_all(struct parser *p, const json_t *root)
{
	struct top_status *status = p->status;
	const json_t *config = object_in(p, root, "config"), *devices, *groups, *files, *in;
	size_t n_files, i;

	status->version = string(p, root, "version");
	status->pid = integer(p, root, "pid");
	status->uptime_s = number(p, root, "uptime_s");
	status->workers = integer(p, root, "workers");
	status->restarts = integer(p, root, "restarts");
	status->alarms = alarms(p, root);
	status->upgrade_error = string_or_null(p, root, "upgrade_error");
	status->config = string_or_null(p, config, "path");
	status->generation = integer(p, config, "generation");
	status->last_error = string_or_null(p, config, "last_error");
	status->n_devices = list_in(p, root, "devices", &devices);
	status->n_groups = list_in(p, root, "groups", &groups);
	n_files = list_in(p, root, "files", &files);
	status->n = status->n_devices + status->n_groups + n_files;
	status->nodes = calloc(status->n + 1, sizeof(*status->nodes));
	if (!status->nodes)
		wrong(p, "out of memory");
	if (p->error[0])
		return;
	get_nodes(p, devices, TOP_DEVICE, 0);
	get_nodes(p, groups, TOP_GROUP, status->n_devices);
	json_array_foreach(groups, i, in) get_parent(p, in, &status->nodes[status->n_devices + i]);
	get_nodes(p, files, TOP_FILE, status->n_devices + status->n_groups);
	p->where[0] = '\0';
	for (i = 0; i < status->n && !p->error[0]; i++)
		if (!set_depth(status, &status->nodes[i]))
			wrong(p, "group \"%s\" is below itself", status->nodes[i].name);
	if (!p->error[0])
		add_up(status);
}

int top_status_parse(const char *text, size_t len, struct top_status **ret_status,
		     char error[TOP_ERROR_BYTES])
{
	struct parser p = {.status = calloc(1, sizeof(*p.status)), .error = error};
	json_error_t bad;
	json_t *root;

	error[0] = '\0';
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &bad);
	if (p.status)
		p.string = p.status->strings = malloc(len + 1);
	if (!root)
		wrong(&p, "line %d: %s", bad.line, bad.text);
	else if (!p.string)
		wrong(&p, "out of memory");
	else
		get_all(&p, root);
	json_decref(root);
	if (error[0]) {
		top_status_free(p.status);
		return -1;
	}
	*ret_status = p.status;
	return 0;
}

void top_status_free(struct top_status *status)
{
	if (!status)
		return;
	free(status->nodes);
	free(status->by_name);
	free(status->strings);
	free(status);
}
