/* SPDX-License-Identifier: MIT */
/*
 * status_prom.c - a status in the text format of Prometheus (version 0.0.4): for a scraper behind
 * a web server, or for node_exporter's textfile collector, which takes *.prom.
 *
 * Histograms are given by device, in octaves; files have summaries, whose quantiles are of the last
 * half minute. A file without a device was never there and has no series.
 */
#include "status.h"

#include <inttypes.h>

/* The bounds that are given: 16.4 us, doubled up to 68.7 s. */
#define OCTAVE_FIRST 4U
#define OCTAVE_LAST 26U

static const char *const ops[STATUS_OPS] = {[STATUS_READ] = "read", [STATUS_WRITE] = "write"};

static void family(struct text *out, const char *name, const char *type, const char *help)
{
	text_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void label(struct text *out, const char *name, const char *value, const char **before)
{
	text_add(out, *before);
	text_add(out, name);
	text_add(out, "=");
	text_prom_string(out, value);
	*before = ",";
}

/* name{file="...",device="...",KEY="VALUE"} and a blank; what is NULL is left out. */
static void series(struct text *out, const char *name, const char *file, const char *device,
		   const char *key, const char *value)
{
	const char *before = "{";

	text_add(out, name);
	if (file)
		label(out, "file", file, &before);
	if (device)
		label(out, "device", device, &before);
	if (key)
		label(out, key, value, &before);
	text_add(out, *before == '{' ? " " : "} ");
}

static void of_file(struct text *out, const char *name, const struct status_file *file,
		    const char *key, const char *value)
{
	series(out, name, file->name, file->device, key, value);
}

static void fixed(struct text *out, uint64_t value, unsigned places)
{
	text_fixed(out, value, places);
	text_add(out, "\n");
}

static void number(struct text *out, uint64_t value)
{
	fixed(out, value, 0);
}

#define EACH_FILE(file, status)                                               \
	for (const struct status_file *file = (status)->files,                \
				      *file##_end = file + (status)->n_files; \
	     file < file##_end; file++)                                       \
		if (file->device)

static void put_ios(const struct status *status, struct text *out)
{
	family(out, "fuseband_ios_total", "counter", "Requests that were done.");
	EACH_FILE(file, status)
	{
		const struct {
			const char *op;
			uint64_t n;
		} counts[] = {{ops[STATUS_READ], file->ios[STATUS_READ]},
			      {ops[STATUS_WRITE], file->ios[STATUS_WRITE]},
			      {"flush", file->flushes},
			      {"discard", file->discards}};

		for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
			of_file(out, "fuseband_ios_total", file, "op", counts[i].op);
			number(out, counts[i].n);
		}
	}
	family(out, "fuseband_bytes_total", "counter", "Bytes that were read and written.");
	EACH_FILE(file, status)
	for (unsigned op = 0; op < STATUS_OPS; op++) {
		of_file(out, "fuseband_bytes_total", file, "op", ops[op]);
		number(out, file->bytes[op]);
	}
}

static uint64_t errors_of(const struct status_file *file)
{
	return file->errors;
}

static uint64_t queued_of(const struct status_file *file)
{
	return file->queued;
}

static uint64_t in_flight_of(const struct status_file *file)
{
	return file->in_flight;
}

static uint64_t weight_of(const struct status_file *file)
{
	return file->weight;
}

static uint64_t entitled_of(const struct status_file *file)
{
	return file->share.entitled_ppm;
}

static uint64_t achieved_of(const struct status_file *file)
{
	return file->share.achieved_ppm;
}

/* Metrics of one number for each file, in parts of 10^places. */
static const struct {
	const char *name, *type, *help;
	uint64_t (*value)(const struct status_file *file);
	unsigned places;
} plain[] = {
	{"fuseband_errors_total", "counter", "Requests that failed.", errors_of, 0},
	{"fuseband_queued", "gauge", "Requests that are queued.", queued_of, 0},
	{"fuseband_in_flight", "gauge", "Slices of at most 128 KiB that are at the disk.",
	 in_flight_of, 0},
	{"fuseband_weight", "gauge", "Configured weight.", weight_of, 0},
	{"fuseband_entitled_ratio", "gauge",
	 "Part of what the disk did in ten seconds that the file should have had.", entitled_of, 6},
	{"fuseband_achieved_ratio", "gauge",
	 "Part of what the disk did in ten seconds that the file had.", achieved_of, 6},
};

static void put_plain(const struct status *status, struct text *out)
{
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		family(out, plain[i].name, plain[i].type, plain[i].help);
		EACH_FILE(file, status)
		{
			of_file(out, plain[i].name, file, NULL, NULL);
			fixed(out, plain[i].value(file), plain[i].places);
		}
	}
}

/* le: all that is below a bound, which is where a bucket begins. */
static void put_histogram(struct text *out, const char *name, const char *device, const char *op,
			  const struct histogram *histogram)
{
	uint64_t below = 0;
	unsigned bucket = 0;

	for (unsigned octave = OCTAVE_FIRST; octave <= OCTAVE_LAST; octave++) {
		uint64_t bound_ns = UINT64_C(1) << (octave + HISTOGRAM_UNIT_SHIFT);

		for (; bucket < HISTOGRAM_BUCKETS && histogram_from_ns(bucket) < bound_ns; bucket++)
			below += histogram->counts[bucket];
		text_printf(out, "%s_bucket{device=", name);
		text_prom_string(out, device);
		text_printf(out, ",op=\"%s\",le=\"", op);
		text_fixed(out, bound_ns, 9);
		text_printf(out, "\"} %" PRIu64 "\n", below);
	}
	below = histogram_total(histogram->counts);
	for (unsigned i = 0; i < 3; i++) {
		static const char *const ends[] = {"_bucket", "_sum", "_count"};

		text_printf(out, "%s%s{device=", name, ends[i]);
		text_prom_string(out, device);
		text_printf(out, ",op=\"%s\"%s} ", op, i ? "" : ",le=\"+Inf\"");
		if (i == 1)
			fixed(out, histogram->sum_ns, 9);
		else
			number(out, below);
	}
}

static void put_histograms(const struct status *status, struct text *out)
{
	static const char wait[] = "fuseband_wait_seconds", service[] = "fuseband_service_seconds";

	family(out, wait, "histogram", "How long requests waited before the disk was asked.");
	for (size_t i = 0; i < status->n_devices; i++)
		for (unsigned op = 0; op < STATUS_OPS; op++)
			put_histogram(out, wait, status->devices[i].name, ops[op],
				      &status->devices[i].wait[op]);
	family(out, service, "histogram", "How long requests took from then on.");
	for (size_t i = 0; i < status->n_devices; i++)
		for (unsigned op = 0; op < STATUS_OPS; op++)
			put_histogram(out, service, status->devices[i].name, ops[op],
				      &status->devices[i].service[op]);
}

static void put_quantile(struct text *out, const char *name, const struct status_file *file,
			 const char *quantile, uint64_t ns, bool known)
{
	of_file(out, name, file, "quantile", quantile);
	if (known)
		fixed(out, ns, 9);
	else
		text_add(out, "NaN\n");
}

static void put_summary(struct text *out, const char *name, const char *sum, const char *count,
			const struct status_file *file, const struct status_quantiles *q,
			uint64_t sum_ns)
{
	put_quantile(out, name, file, "0.5", q->p50_ns, q->known);
	put_quantile(out, name, file, "0.99", q->p99_ns, q->known);
	put_quantile(out, name, file, "0.999", q->p999_ns, q->known);
	of_file(out, sum, file, NULL, NULL);
	fixed(out, sum_ns, 9);
	of_file(out, count, file, NULL, NULL);
	number(out, file->ios[STATUS_READ] + file->ios[STATUS_WRITE]);
}

static void put_summaries(const struct status *status, struct text *out)
{
	family(out, "fuseband_file_wait_seconds", "summary",
	       "How long requests of the file waited before the disk was asked.");
	EACH_FILE(file, status)
	put_summary(out, "fuseband_file_wait_seconds", "fuseband_file_wait_seconds_sum",
		    "fuseband_file_wait_seconds_count", file, &file->wait, file->wait_ns);
	family(out, "fuseband_file_service_seconds", "summary",
	       "How long requests of the file took from then on.");
	EACH_FILE(file, status)
	put_summary(out, "fuseband_file_service_seconds", "fuseband_file_service_seconds_sum",
		    "fuseband_file_service_seconds_count", file, &file->service, file->service_ns);
}

/* A group on all of its devices. */
static void of_group(struct text *out, const char *name, const struct status_group *group,
		     const char *guarantee)
{
	text_printf(out, "%s{group=", name);
	text_prom_string(out, group->name);
	text_printf(out, ",guarantee=\"%s\"} ", guarantee);
}

static void put_missed(const struct status *status, struct text *out)
{
	static const char name[] = "fuseband_guarantee_missed_total";

	family(out, name, "counter", "Times that something promised was not kept.");
	EACH_FILE(file, status)
	{
		of_file(out, name, file, "guarantee", "share");
		number(out, file->share_missed);
		of_file(out, name, file, "guarantee", "reservation");
		number(out, file->reservation_missed);
		of_file(out, name, file, "guarantee", "size");
		number(out, file->size_missed);
		of_file(out, name, file, "guarantee", "weight");
		number(out, file->weight_missed);
	}
	for (size_t i = 0; i < status->n_groups; i++) {
		if (!status->groups[i].first)
			continue;
		of_group(out, name, &status->groups[i], "reservation");
		number(out, status->groups[i].reservation_missed);
		of_group(out, name, &status->groups[i], "weight");
		number(out, status->groups[i].weight_missed);
	}
	for (size_t i = 0; i < status->n_devices; i++) {
		series(out, name, NULL, status->devices[i].name, "guarantee", "latency");
		number(out, status->devices[i].latency_missed);
	}
	series(out, name, NULL, NULL, "guarantee", "memory");
	number(out, status->memory_missed);
	series(out, name, NULL, NULL, "guarantee", "kernel");
	number(out, status->kernel_missed);
}

void status_prom(const struct status *status, struct text *out)
{
	put_ios(status, out);
	put_plain(status, out);
	put_histograms(status, out);
	put_summaries(status, out);
	put_missed(status, out);
	family(out, "fuseband_reloads_total", "counter", "Configurations taken over by a reload.");
	series(out, "fuseband_reloads_total", NULL, NULL, NULL, NULL);
	number(out, status->reloads);
	family(out, "fuseband_reloads_refused_total", "counter", "Reloads that were refused.");
	series(out, "fuseband_reloads_refused_total", NULL, NULL, NULL, NULL);
	number(out, status->reloads_refused);
	family(out, "fuseband_upgrades_refused_total", "counter", "Upgrades that were refused.");
	series(out, "fuseband_upgrades_refused_total", NULL, NULL, NULL, NULL);
	number(out, status->upgrades_refused);
	family(out, "fuseband_restarts_total", "counter", "Crashes that were survived.");
	series(out, "fuseband_restarts_total", NULL, NULL, NULL, NULL);
	number(out, status->restarts);
}
