/* SPDX-License-Identifier: MIT */
/*
 * scenario.c - the text of a scenario.
 *
 * One statement a line, of words between blanks; the first says what it is. A word that is not one
 * of the statement's own has to be a key of ioband.ini, and the next one its value. Everything
 * that is wrong is found in one run, as it is with ioband.ini; a statement with something wrong in
 * it is kept, so that those which refer to it make sense.
 */
#include "tests/sim/scenario_parse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- disks ---- */

#define DISK_WORDS "nearest, size, transfer, writes, burst, flush, discard, stall, change"

static void parse_model(struct parser *p, struct sim_disk *model)
{
	uint64_t a, b;

	if (parse_take(p, "serial")) {
		*model = sim_disk_serial(parse_time(p, "the time of a request"));
	} else if (parse_take(p, "channels")) {
		a = parse_count(p, "a number of channels");
		*model = sim_disk_channels((unsigned)a, parse_time(p, "the time of a request"));
	} else if (parse_take(p, "exponential")) {
		a = parse_count(p, "a number of channels");
		*model = sim_disk_exponential((unsigned)a, parse_time(p, "the mean time"));
	} else if (parse_take(p, "seek")) {
		a = parse_time(p, "the shortest time");
		b = parse_time(p, "the longest time");
		if (b <= a)
			parse_complain(p, NULL, "the longest seek is not longer than the shortest");
		*model = sim_disk_seek(a, b, parse_take(p, "nearest") ? SIM_NEAREST : SIM_FIFO);
	} else if (parse_take(p, "capped")) {
		a = parse_count(p, "I/Os per second");
		*model = sim_disk_capped(a, parse_time(p, "the time of a request"), 1);
	} else if (parse_take(p, "ram")) {
		*model = sim_disk_ram();
	} else {
		parse_complain(
			p, parse_more(p) ? p->words[p->next] : NULL,
			"is no model of a disk: serial TIME, channels N TIME, exponential N TIME, "
			"seek TIME TIME, capped IOPS TIME or ram");
		p->next = p->n_words;
	}
	if (!p->wrong && model->service_ns == 0)
		parse_complain(p, NULL, "a request has to take some time");
	model->discard_ns = SIM_MS;
}

/* Each takes what it is per byte, or per MiB, from SIZE a second or TIME. */
static void parse_disk_option(struct parser *p, struct scenario_subject subject,
			      struct sim_disk *model)
{
	static const struct conf_key bps_key = {.name = "transfer",
						.fallback = "",
						.type = CONF_TYPE_BPS,
						.min = 1000000,
						.max = UINT64_C(1) << 40};

	if (parse_take(p, "size")) {
		model->size_bytes = parse_value(p, &parse_size_key, parse_need(p, "a size"));
	} else if (parse_take(p, "transfer")) {
		uint64_t bps = parse_value(p, &bps_key, parse_need(p, "bytes per second"));

		model->per_byte_ps = bps ? UINT64_C(1000000000000) / bps : 0;
	} else if (parse_take(p, "writes")) {
		model->write_pct = parse_percent(p, "what writes take", 1, 10000);
	} else if (parse_take(p, "burst")) {
		model->cap_burst = parse_count(p, "requests that may be saved up");
	} else if (parse_take(p, "flush")) {
		model->flush_ns = parse_time(p, "the time of a flush");
		if (parse_take(p, "per-MiB"))
			model->flush_per_mib_ns = parse_time(p, "a time");
	} else if (parse_take(p, "discard")) {
		model->discard_ns = parse_time(p, "the time of a discard");
		if (parse_take(p, "per-MiB"))
			model->discard_per_mib_ns = parse_time(p, "a time");
	} else if (parse_take(p, "stall")) {
		uint64_t from = parse_time(p, "when it begins");
		uint64_t until = parse_time(p, "when it ends");

		if (until <= from)
			parse_complain(p, NULL, "the stall ends before it begins");
		model->stall_at_ns = from;
		model->stall_for_ns = until - from;
		if (parse_take(p, "every")) {
			model->stall_every_ns = parse_time(p, "a time");
			if (model->stall_every_ns <= model->stall_for_ns)
				parse_complain(p, NULL,
					       "a stall is as long as the time between two");
		}
	} else if (parse_take(p, "change")) {
		model->change_at_ns = parse_time(p, "when");
		model->changed_pct = parse_percent(p, "of the time it took before", 1, 100000);
	} else {
		parse_setting(p, subject, 0, DISK_WORDS);
	}
}

static void parse_disk(struct parser *p)
{
	char *name = parse_new_name(p, "the name of the disk");
	struct scenario_disk *disk;
	struct scenario_subject subject = {SCENARIO_DISK, p->s->n_disks};
	struct conf_draft draft;

	disk = parse_one_more(p, &p->s->disks, &p->s->n_disks, sizeof(*disk));
	if (!disk)
		return;
	if (!conf_draft_init(&draft, CONF_SECTION_DEVICE, name, p->where))
		p->oom = true;
	disk->conf = draft.device;
	for (size_t i = 0; p->conf && i < p->conf->n_devices; i++)
		if (strcmp(p->conf->devices[i].name, name) == 0)
			disk->conf = p->conf->devices[i];
	disk->conf.name = name;
	conf_draft_clear(&draft, CONF_SECTION_DEVICE);
	parse_model(p, &disk->model);
	while (parse_more(p))
		parse_disk_option(p, subject, &disk->model);
}

/* ---- groups ---- */

static void parse_group(struct parser *p)
{
	char *name = parse_new_name(p, "the name of the group");
	struct scenario_subject subject = {SCENARIO_GROUP, p->s->n_groups};
	struct conf_draft draft;
	struct conf_group *group;
	int parent = -1;

	if (p->conf) {
		parse_complain(p, name,
			       "groups are those of the configuration: set its keys with "
			       "\"at 0s NAME KEY VALUE\"");
		return;
	}
	if (parse_take(p, "parent"))
		parent = parse_one(p, SCENARIO_GROUP);
	group = parse_one_more(p, &p->s->groups, &p->s->n_groups, sizeof(*group));
	if (!group)
		return;
	if (!conf_draft_init(&draft, CONF_SECTION_GROUP, name, p->where))
		p->oom = true;
	*group = draft.group;
	group->name = name;
	group->parent = parent;
	conf_draft_clear(&draft, CONF_SECTION_GROUP);
	while (parse_more(p))
		parse_setting(p, subject, 0, "parent");
}

/* ---- clients ---- */

#define CLIENT_WORDS                                                                              \
	"on, depth, SIZE, read, write, rw, randread, randwrite, randrw, writes, discard, fsync, " \
	"think, turnaround, from, until, busy, pause"

static const struct conf_file *find_file(const struct conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->n_files; i++)
		if (strcmp(conf->files[i].name, name) == 0)
			return &conf->files[i];
	return NULL;
}

/* The disk of a file, by its configuration or because there is only one. */
static unsigned disk_of(struct parser *p, const struct conf_file *file)
{
	const char *device =
		p->conf && file->device >= 0 ? p->conf->devices[file->device].name : NULL;
	struct scenario_subject subject;
	int on = -1;

	if (parse_take(p, "on"))
		on = parse_one(p, SCENARIO_DISK);
	if (on >= 0 && device && strcmp(p->s->disks[on].conf.name, device) != 0)
		parse_complain(p, p->s->disks[on].conf.name,
			       "is not its device in the configuration, which is %s", device);
	if (on >= 0)
		return (unsigned)on;
	if (device && parse_has_name(p, device, &subject) && subject.kind == SCENARIO_DISK)
		return subject.index;
	if (device)
		parse_complain(
			p, file->name,
			"is on device %s, which no line above describes: add \"disk %s serial "
			"5ms\" or the like",
			device, device);
	else if (p->s->n_disks == 0)
		parse_complain(p, file->name,
			       "there is no disk yet: put \"disk sda serial 5ms\" or the "
			       "like before this line");
	else if (p->s->n_disks > 1)
		parse_complain(p, file->name,
			       "say on which disk it is, right after the name: on %s",
			       p->s->disks[0].conf.name);
	return 0;
}

/* The file of a client, made if it is its first. False: there is none. */
static bool client_file(struct parser *p, char *name, struct scenario_subject *ret)
{
	const struct conf_file *known = p->conf ? find_file(p->conf, name) : NULL;
	const char *wrong = conf_name_wrong(name);
	struct conf_draft draft;
	struct scenario_file *file;

	if (parse_has_name(p, name, ret)) {
		if (ret->kind == SCENARIO_FILE)
			return true;
		parse_complain(p, name, "is a disk or group");
		return false;
	}
	if (wrong || (p->conf && !known)) {
		parse_complain(p, name, "%s", wrong ? wrong : "is no file of the configuration");
		return false;
	}
	*ret = (struct scenario_subject){SCENARIO_FILE, p->s->n_files};
	file = parse_one_more(p, &p->s->files, &p->s->n_files, sizeof(*file));
	if (!file)
		return false;
	if (!conf_draft_init(&draft, CONF_SECTION_FILE, name, p->where))
		p->oom = true;
	file->conf = known ? *known : draft.file;
	file->conf.name = name;
	conf_draft_clear(&draft, CONF_SECTION_FILE);
	file->disk = disk_of(p, &file->conf);
	file->conf.device = -1;
	return true;
}

/* "4K" or "4K..64K" */
static void parse_sizes(struct parser *p, struct sim_client *load)
{
	char *word = p->words[p->next++], *dots = strstr(word, "..");

	if (dots)
		*dots = '\0';
	load->min_bytes = load->max_bytes = parse_value(p, &parse_size_key, word);
	if (dots)
		load->max_bytes = parse_value(p, &parse_size_key, dots + 2);
	if (load->max_bytes < load->min_bytes)
		parse_complain(p, word, "is more than what follows the dots");
}

static bool parse_access(struct parser *p, struct sim_client *load)
{
	static const struct {
		const char *word;
		bool sequential;
		unsigned write_pct;
	} accesses[] = {
		{"read", true, 0},	{"write", true, 100},	   {"rw", true, 50},
		{"randread", false, 0}, {"randwrite", false, 100}, {"randrw", false, 50},
	};

	for (unsigned i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++)
		if (parse_take(p, accesses[i].word)) {
			load->sequential = accesses[i].sequential;
			load->write_pct = accesses[i].write_pct;
			return true;
		}
	return false;
}

static void parse_load(struct parser *p, struct scenario_subject subject, struct sim_client *load)
{
	const char *word = p->words[p->next];

	if (word[0] >= '0' && word[0] <= '9')
		parse_sizes(p, load);
	else if (parse_access(p, load))
		return;
	else if (strcmp(word, "on") == 0)
		parse_complain(p, p->words[p->next++],
			       "comes right after the name, and only once for each file");
	else if (parse_take(p, "depth"))
		load->depth = (unsigned)parse_count(p, "a number of requests");
	else if (parse_take(p, "writes"))
		load->write_pct = parse_percent(p, "how many of them are writes", 0, 100);
	else if (parse_take(p, "discard"))
		load->discard = load->sequential = true;
	else if (parse_take(p, "fsync"))
		load->fsync_every = (unsigned)parse_count(p, "a number of writes");
	else if (parse_take(p, "think"))
		load->think_ns = parse_time(p, "a time");
	else if (parse_take(p, "turnaround"))
		load->turnaround_ns = parse_time(p, "a time");
	else if (parse_take(p, "from"))
		load->from_ns = parse_time(p, "a time");
	else if (parse_take(p, "until"))
		load->until_ns = parse_time(p, "a time");
	else if (parse_take(p, "busy"))
		load->on_ns = parse_time(p, "a time");
	else if (parse_take(p, "pause"))
		load->off_ns = parse_time(p, "a time");
	else
		parse_setting(p, subject, 0, CLIENT_WORDS);
}

static void check_load(struct parser *p, const struct scenario_file *file,
		       const struct sim_client *load)
{
	uint64_t disk_bytes = p->s->n_disks ? p->s->disks[file->disk].model.size_bytes : 0;

	if (load->off_ns && !load->on_ns)
		parse_complain(p, "pause", "needs a busy TIME, too");
	if (load->until_ns && load->until_ns <= load->from_ns)
		parse_complain(p, "until", "is not after from");
	if (load->max_bytes > (disk_bytes ? disk_bytes : UINT64_C(1) << 40))
		parse_complain(p, NULL, "its requests are larger than the disk");
	if (file->conf.readonly && (load->write_pct || load->discard))
		parse_complain(p, file->conf.name, "is readonly in the configuration");
	if (file->conf.discard == CONF_DISCARD_IGNORE && load->discard)
		parse_complain(p, file->conf.name,
			       "has discard = ignore: its discards would never reach the disk");
}

static void parse_client(struct parser *p)
{
	char *name = parse_more(p) ? p->words[p->next] : NULL;
	struct scenario_subject subject;
	struct scenario_client *client;
	struct sim_client load = {.depth = 1, .min_bytes = 4096, .max_bytes = 4096};

	parse_need(p, "the name of the file");
	if (!name || !client_file(p, name, &subject)) {
		p->next = p->n_words;
		return;
	}
	if (parse_take(p, "parent")) {
		int parent = parse_one(p, SCENARIO_GROUP);

		if (p->conf)
			parse_complain(p, name, "its parent is that of the configuration");
		p->s->files[subject.index].conf.parent = parent;
	}
	while (parse_more(p))
		parse_load(p, subject, &load);
	check_load(p, &p->s->files[subject.index], &load);
	client = parse_one_more(p, &p->s->clients, &p->s->n_clients, sizeof(*client));
	if (client)
		*client = (struct scenario_client){subject.index, load};
}

/* ---- the course of events ---- */

static void parse_at(struct parser *p)
{
	uint64_t at_ns = parse_time(p, "a time");
	struct scenario_subject subject;

	if (!parse_subject(p, &subject)) {
		p->next = p->n_words;
		return;
	}
	if (!parse_more(p))
		parse_need(p, "a key of ioband.ini");
	while (parse_more(p))
		parse_setting(p, subject, at_ns, NULL);
}

static const struct {
	const char *word;
	bool of_disk, of_others;
	const struct conf_key *unit; /* NULL: a number */
} metrics[] = {
	[SCENARIO_SHARE] = {"share", false, true, NULL},
	[SCENARIO_TIME] = {"time", false, true, NULL},
	[SCENARIO_BUSY] = {"busy", true, false, NULL},
	[SCENARIO_IOPS] = {"iops", true, true, NULL},
	[SCENARIO_BPS] = {"bps", true, true,
			  &(const struct conf_key){
				  .fallback = "", .type = CONF_TYPE_BPS, .max = UINT64_C(1) << 50}},
	[SCENARIO_P50] = {"p50", true, true, &parse_time_key},
	[SCENARIO_P99] = {"p99", true, true, &parse_time_key},
};
#define METRICS (sizeof(metrics) / sizeof(metrics[0]))

const char *scenario_metric_name(enum scenario_metric metric)
{
	return metrics[metric].word;
}

/* One end of a range; "" is none. */
static double parse_bound(struct parser *p, enum scenario_metric metric, const char *word,
			  double none)
{
	double value;
	char *end;

	if (!word[0])
		return none;
	if (metrics[metric].unit)
		return (double)parse_value(p, metrics[metric].unit, word);
	value = strtod(word, &end);
	if (word[0] < '0' || word[0] > '9' || *end)
		parse_complain(p, word, "is not a number");
	return value;
}

static void parse_range(struct parser *p, struct scenario_expect *e)
{
	const char *range = parse_need(p, "a range as 78..82, 78.. or ..82");
	char *copy = strdup(range), *dots = copy ? strstr(copy, "..") : NULL;

	if (!copy)
		p->oom = true;
	e->range = range;
	if (dots) {
		*dots = '\0';
		e->least = parse_bound(p, e->metric, copy, 0);
		e->most = parse_bound(p, e->metric, dots + 2, 1e300);
		if (e->most < e->least)
			parse_complain(p, range, "ends before it begins");
	} else if (range[0]) {
		parse_complain(p, range, "is no range, as 78..82, 78.. or ..82");
	}
	free(copy);
}

static void parse_expect(struct parser *p)
{
	struct scenario_expect *slot, e = {.where = p->where};
	bool is_disk;
	const char *word;
	unsigned i;

	if (!parse_subject(p, &e.subject)) {
		p->next = p->n_words;
		return;
	}
	is_disk = e.subject.kind == SCENARIO_DISK;
	word = parse_need(p, "share, time, iops, bps, p50, p99 or, of a disk, busy");
	for (i = 0; i < METRICS && strcmp(metrics[i].word, word) != 0; i++)
		;
	if (i == METRICS || !(is_disk ? metrics[i].of_disk : metrics[i].of_others)) {
		if (word[0])
			parse_complain(p, word, "is none of %s",
				       is_disk ? "busy, iops, bps, p50, p99"
					       : "share, time, iops, bps, p50, p99");
		p->next = p->n_words;
		return;
	}
	e.metric = (enum scenario_metric)i;
	if (e.metric == SCENARIO_BUSY && p->s->disks[e.subject.index].model.channels == 0)
		parse_complain(p, word, "says nothing about a capped disk, which has no servers");
	parse_range(p, &e);
	while (parse_more(p)) {
		if (parse_take(p, "from"))
			e.from_ns = parse_time(p, "a time");
		else if (parse_take(p, "until"))
			e.until_ns = parse_time(p, "a time");
		else
			parse_complain(p, p->words[p->next++], "is neither from nor until");
	}
	slot = parse_one_more(p, &p->s->expects, &p->s->n_expects, sizeof(e));
	if (slot)
		*slot = e;
}

static void parse_run(struct parser *p)
{
	p->s->run_ns = parse_time(p, "a time");
	if (p->has_run)
		parse_complain(p, "run", "stands in a line above already");
	if (!p->wrong && p->s->run_ns == 0)
		parse_complain(p, "run", "has to last some time");
	p->has_run = true;
}

static void parse_interval(struct parser *p)
{
	p->s->interval_ns = parse_time(p, "a time");
	if (!p->wrong && p->s->interval_ns < SIM_MS)
		parse_complain(p, "interval", "has to be 1ms or more");
}

/* ---- the whole ---- */

static void parse_line(struct parser *p, char *line)
{
	static const struct {
		const char *word;
		void (*parse)(struct parser *p);
	} statements[] = {
		{"disk", parse_disk}, {"group", parse_group},	{"client", parse_client},
		{"at", parse_at},     {"expect", parse_expect}, {"interval", parse_interval},
		{"run", parse_run},
	};
	char *comment = strchr(line, '#'), *rest = line, *word;

	if (comment)
		*comment = '\0';
	p->n_words = p->next = 0;
	p->wrong = false;
	while ((word = strsep(&rest, " \t\r"))) {
		if (!word[0])
			continue;
		if (p->n_words == WORDS_MAX) {
			parse_complain(p, word, "is word %u: there may be %u", WORDS_MAX + 1,
				       WORDS_MAX);
			return;
		}
		p->words[p->n_words++] = word;
	}
	if (p->n_words == 0)
		return;
	for (unsigned i = 0; i < sizeof(statements) / sizeof(statements[0]); i++)
		if (parse_take(p, statements[i].word)) {
			statements[i].parse(p);
			if (parse_more(p) && !p->wrong)
				parse_complain(p, p->words[p->next], "is one word too many");
			return;
		}
	parse_complain(p, p->words[0],
		       "is none of disk, group, client, at, expect, interval and run");
}

/* All groups of the configuration, parents first. */
static void take_groups(struct parser *p)
{
	const struct conf *conf = p->conf;
	int *place = calloc(conf->n_groups + 1, sizeof(*place));

	p->s->groups = calloc(conf->n_groups + 1, sizeof(*p->s->groups));
	if (!place || !p->s->groups) {
		p->oom = true;
		free(place);
		return;
	}
	for (size_t i = 0; i < conf->n_groups; i++) {
		size_t g = conf->parents_first[i];
		struct conf_group *group = &p->s->groups[i];

		place[g] = (int)i;
		*group = conf->groups[g];
		if (group->parent >= 0)
			group->parent = place[group->parent];
	}
	p->s->n_groups = (unsigned)conf->n_groups;
	free(place);
}

/* Files come with the number of their parent in the configuration. */
static void renumber_parents(struct parser *p)
{
	for (unsigned f = 0; p->conf && f < p->s->n_files; f++) {
		int *parent = &p->s->files[f].conf.parent;

		for (unsigned i = 0; *parent >= 0 && i < p->s->n_groups; i++)
			if (p->conf->parents_first[i] == (size_t)*parent) {
				*parent = (int)i;
				break;
			}
	}
}

static void check_whole(struct parser *p)
{
	p->where.line = 0;
	if (!p->has_run)
		parse_complain(p, NULL, "how long? Add a line \"run 10s\"");
	if (p->s->n_clients == 0)
		parse_complain(p, NULL,
			       "nobody does anything: add a line \"client NAME depth 1 4K "
			       "randread\"");
	for (unsigned i = 0; p->errors->n == 0 && i < p->s->n_expects; i++) {
		struct scenario_expect *e = &p->s->expects[i];

		p->where = e->where;
		if (e->until_ns == 0)
			e->until_ns = p->s->run_ns;
		if (e->from_ns >= e->until_ns || e->until_ns > p->s->run_ns)
			parse_complain(p, NULL, "this part of the run does not exist");
	}
}

int scenario_parse(const char *path, char *text, const struct conf *conf,
		   struct conf_errors *errors, struct scenario **ret_scenario)
{
	struct parser p = {.conf = conf, .errors = errors, .where = {path, 0}};
	size_t before = errors->n;
	char *rest = text, *line;

	p.s = calloc(1, sizeof(*p.s));
	if (!p.s)
		return -ENOMEM;
	p.s->interval_ns = SIM_SEC;
	if (conf)
		take_groups(&p);
	while (!p.oom && (line = strsep(&rest, "\n"))) {
		p.where.line++;
		parse_line(&p, line);
	}
	renumber_parents(&p);
	check_whole(&p);
	if (p.oom || errors->n > before) {
		scenario_free(p.s);
		return p.oom ? -ENOMEM : -EINVAL;
	}
	*ret_scenario = p.s;
	return 0;
}

void scenario_free(struct scenario *s)
{
	if (!s)
		return;
	free(s->disks);
	free(s->groups);
	free(s->files);
	free(s->clients);
	free(s->changes);
	free(s->expects);
	free(s);
}

void scenario_set(struct scenario *s, const struct scenario_change *change)
{
	unsigned i = change->subject.index;
	struct conf_where where = {NULL, 0};
	struct conf_draft draft = {0};
	char why[160];

	switch (change->subject.kind) {
	case SCENARIO_DISK:
		draft.device = s->disks[i].conf;
		conf_draft_set(&draft, change->key, change->value, where, why, sizeof(why));
		s->disks[i].conf = draft.device;
		break;
	case SCENARIO_GROUP:
		draft.group = s->groups[i];
		conf_draft_set(&draft, change->key, change->value, where, why, sizeof(why));
		s->groups[i] = draft.group;
		break;
	case SCENARIO_FILE:
		draft.file = s->files[i].conf;
		conf_draft_set(&draft, change->key, change->value, where, why, sizeof(why));
		s->files[i].conf = draft.file;
		break;
	}
}

const char *scenario_name(const struct scenario *s, struct scenario_subject subject)
{
	switch (subject.kind) {
	case SCENARIO_DISK:
		return s->disks[subject.index].conf.name;
	case SCENARIO_GROUP:
		return s->groups[subject.index].name;
	case SCENARIO_FILE:
		break;
	}
	return s->files[subject.index].conf.name;
}
