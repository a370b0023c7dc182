/* SPDX-License-Identifier: MIT */
/* play.c - see play.h. */
#include "tests/sim/play.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void *need(void *memory)
{
	if (memory)
		return memory;
	fputs("fuseband-sim: out of memory\n", stderr);
	exit(1);
}

static void *need_array(unsigned n, size_t size)
{
	return need(calloc(n + 1, size));
}

/* ---- settings ---- */

static struct fbs_params params_of(const struct conf_device *device)
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

	return (struct fbs_params){
		.policy = policies[device->policy],
		.io_throttle = device->io_throttle,
		.isolation = isolations[device->isolation],
		.latency_target_ns = device->latency_target_ns,
		.capability = {.read_iops = device->read_iops,
			       .write_iops = device->write_iops,
			       .read_bps = device->read_bps,
			       .write_bps = device->write_bps},
	};
}

static void set_limits(struct fbs *fbs, struct fbs_node *node, const struct conf_limits *limits,
		       struct fbs_cap **cap)
{
	const struct fbs_min min = {.iops = limits->min_iops,
				    .bps = limits->min_bps,
				    .iops_size_bytes = limits->iops_size_bytes};
	const struct fbs_max max = {.iops = limits->max_iops,
				    .bps = limits->max_bps,
				    .read_iops = limits->max_read_iops,
				    .read_bps = limits->max_read_bps,
				    .write_iops = limits->max_write_iops,
				    .write_bps = limits->max_write_bps,
				    .iops_size_bytes = limits->iops_size_bytes,
				    .burst_ns = limits->burst_ns};

	fbs_set_min(fbs, node, &min);
	if (*cap)
		fbs_cap_configure(*cap, &max);
	else if (conf_has_max(limits))
		*cap = need(fbs_cap_create(&max));
	fbs_set_cap(fbs, node, *cap);
}

static void set_group(struct play *play, unsigned group)
{
	const struct conf_group *conf = &play->scenario->groups[group];

	for (unsigned d = 0; d < play->scenario->n_disks; d++) {
		struct fbs *fbs = sim_sched_of(play->sim, d);
		struct fbs_node *node = play->nodes[group * play->scenario->n_disks + d];

		if (!node)
			continue;
		fbs_set_weight(fbs, node, conf->weight);
		set_limits(fbs, node, &conf->limits, &play->group_caps[group]);
	}
}

static void set_file(struct play *play, unsigned index)
{
	static const enum fbs_class classes[] = {
		[CONF_CLASS_REALTIME] = FBS_REALTIME,
		[CONF_CLASS_NORMAL] = FBS_NORMAL,
		[CONF_CLASS_IDLE] = FBS_IDLE,
	};
	const struct scenario_file *file = &play->scenario->files[index];
	struct fbs *fbs = sim_sched_of(play->sim, file->disk);
	struct fbs_node *leaf;

	if (play->first_clients[index] < 0)
		return;
	leaf = sim_leaf(play->sim, play->first_clients[index]);
	fbs_set_weight(fbs, leaf, file->conf.weight);
	fbs_set_class(fbs, leaf, classes[file->conf.class]);
	set_limits(fbs, leaf, &file->conf.limits, &play->file_caps[index]);
}

/* The node of a group on a disk, made if it is not there; NULL for -1. */
static void *node_of(struct play *play, int group, unsigned disk)
{
	const struct conf_group *conf;
	void **slot;

	if (group < 0)
		return NULL;
	conf = &play->scenario->groups[group];
	slot = &play->nodes[(unsigned)group * play->scenario->n_disks + disk];
	if (!*slot)
		*slot = sim_add_group_on(play->sim, disk, node_of(play, conf->parent, disk),
					 conf->weight);
	return *slot;
}

struct due {
	struct play *play;
	const struct scenario_change *change;
};

static void change(struct sim *sim, void *arg)
{
	struct due *due = arg;
	struct play *play = due->play;
	const struct scenario_change *c = due->change;
	struct fbs_params params;

	free(due);
	scenario_set(play->scenario, c);
	switch (c->subject.kind) {
	case SCENARIO_DISK:
		params = params_of(&play->scenario->disks[c->subject.index].conf);
		fbs_configure(sim_sched_of(sim, c->subject.index), &params);
		break;
	case SCENARIO_GROUP:
		set_group(play, c->subject.index);
		break;
	case SCENARIO_FILE:
		set_file(play, c->subject.index);
		break;
	}
}

/* ---- beginning and end ---- */

static void add_disks(struct play *play, uint64_t seed)
{
	const struct scenario *s = play->scenario;

	for (unsigned d = 0; d < s->n_disks; d++) {
		struct sim_params params = {
			.ops = &sim_fbs, .disk = s->disks[d].model, .seed = seed};

		params.sched.fbs = params_of(&s->disks[d].conf);
		if (d == 0)
			play->sim = sim_create(&params);
		else
			sim_add_disk(play->sim, &params.sched, &params.disk);
	}
}

static void add_clients(struct play *play)
{
	const struct scenario *s = play->scenario;

	for (unsigned f = 0; f < s->n_files; f++)
		play->first_clients[f] = -1;
	for (unsigned c = 0; c < s->n_clients; c++) {
		const struct scenario_file *file = &s->files[s->clients[c].file];
		int *first = &play->first_clients[s->clients[c].file];
		struct sim_client load = s->clients[c].load;

		load.name = file->conf.name;
		load.weight = file->conf.weight;
		load.disk = file->disk;
		if (*first < 0)
			*first = play->clients[c] = sim_add_client(
				play->sim, node_of(play, file->conf.parent, file->disk), &load);
		else
			play->clients[c] = sim_add_client_to(play->sim, *first, &load);
	}
}

struct play *play_create(struct scenario *s, uint64_t seed)
{
	struct play *play = need(calloc(1, sizeof(*play)));

	play->scenario = s;
	play->nodes = need_array(s->n_groups * s->n_disks, sizeof(void *));
	play->group_caps = need_array(s->n_groups, sizeof(struct fbs_cap *));
	play->file_caps = need_array(s->n_files, sizeof(struct fbs_cap *));
	play->clients = need_array(s->n_clients, sizeof(int));
	play->first_clients = need_array(s->n_files, sizeof(int));
	play->interval = need_array(s->n_clients, sizeof(struct tally));
	play->total = need_array(s->n_clients, sizeof(struct tally));
	play->subjects = need_array(s->n_expects, sizeof(struct tally));
	play->disks = need_array(s->n_expects, sizeof(struct tally));
	add_disks(play, seed);
	add_clients(play);
	for (unsigned g = 0; g < s->n_groups; g++)
		set_group(play, g);
	for (unsigned f = 0; f < s->n_files; f++)
		set_file(play, f);
	for (unsigned i = 0; i < s->n_changes; i++) {
		struct due *due = need(malloc(sizeof(*due)));

		*due = (struct due){play, &s->changes[i]};
		if (s->changes[i].at_ns <= s->run_ns)
			sim_at(play->sim, s->changes[i].at_ns, change, due);
		else
			free(due);
	}
	return play;
}

void play_destroy(struct play *play)
{
	sim_destroy(play->sim);
	for (unsigned g = 0; g < play->scenario->n_groups; g++)
		fbs_cap_unref(play->group_caps[g]);
	for (unsigned f = 0; f < play->scenario->n_files; f++)
		fbs_cap_unref(play->file_caps[f]);
	free(play->nodes);
	free(play->group_caps);
	free(play->file_caps);
	free(play->clients);
	free(play->first_clients);
	free(play->interval);
	free(play->total);
	free(play->subjects);
	free(play->disks);
	free(play);
}

/* ---- what everybody got ---- */

static bool is_below(const struct scenario *s, const struct scenario_file *file, unsigned group)
{
	for (int g = file->conf.parent; g >= 0; g = s->groups[g].parent)
		if ((unsigned)g == group)
			return true;
	return false;
}

static bool belongs_to(const struct scenario *s, unsigned file, struct scenario_subject subject)
{
	switch (subject.kind) {
	case SCENARIO_DISK:
		return s->files[file].disk == subject.index;
	case SCENARIO_GROUP:
		return is_below(s, &s->files[file], subject.index);
	case SCENARIO_FILE:
		break;
	}
	return file == subject.index;
}

/* Is anything of the subject on this disk? */
static bool is_on_disk(const struct scenario *s, struct scenario_subject subject, unsigned disk)
{
	for (unsigned f = 0; f < s->n_files; f++)
		if (s->files[f].disk == disk && belongs_to(s, f, subject))
			return true;
	return false;
}

static void add(struct tally *tally, const struct sim_result *got, bool has_leaf)
{
	tally->ios += got->ios;
	tally->bytes += got->bytes;
	tally->busy_ns += got->busy_ns;
	tally->tokens += has_leaf ? got->tokens : 0;
	sim_hist_merge(&tally->latency, &got->latency);
}

/* What has been got since the last time goes to whom it belongs. */
static void collect(struct play *play, uint64_t from_ns)
{
	const struct scenario *s = play->scenario;

	for (unsigned c = 0; c < s->n_clients; c++) {
		unsigned file = s->clients[c].file;
		bool has_leaf = play->first_clients[file] == play->clients[c];
		struct sim_result got;

		sim_result(play->sim, play->clients[c], &got);
		add(&play->interval[c], &got, has_leaf);
		add(&play->total[c], &got, has_leaf);
		for (unsigned e = 0; e < s->n_expects; e++) {
			const struct scenario_expect *expect = &s->expects[e];

			if (from_ns < expect->from_ns || from_ns >= expect->until_ns)
				continue;
			if (belongs_to(s, file, expect->subject))
				add(&play->subjects[e], &got, has_leaf);
			if (is_on_disk(s, expect->subject, s->files[file].disk))
				add(&play->disks[e], &got, has_leaf);
		}
	}
	sim_reset(play->sim);
}

static void sooner(uint64_t *at_ns, uint64_t other_ns, uint64_t now_ns)
{
	if (other_ns > now_ns && other_ns < *at_ns)
		*at_ns = other_ns;
}

bool play_interval(struct play *play)
{
	const struct scenario *s = play->scenario;
	uint64_t end_ns = play->now_ns / s->interval_ns * s->interval_ns + s->interval_ns;

	if (play->now_ns >= s->run_ns)
		return false;
	if (end_ns > s->run_ns)
		end_ns = s->run_ns;
	memset(play->interval, 0, s->n_clients * sizeof(*play->interval));
	play->interval_began_ns = play->now_ns;
	while (play->now_ns < end_ns) {
		uint64_t from_ns = play->now_ns, to_ns = end_ns;

		for (unsigned e = 0; e < s->n_expects; e++) {
			sooner(&to_ns, s->expects[e].from_ns, from_ns);
			sooner(&to_ns, s->expects[e].until_ns, from_ns);
		}
		sim_run(play->sim, to_ns);
		play->now_ns = to_ns;
		collect(play, from_ns);
	}
	return true;
}

static double part(double of, double all)
{
	return all > 0 ? 100 * of / all : NAN;
}

double play_value(const struct play *play, unsigned index)
{
	const struct scenario *s = play->scenario;
	const struct scenario_expect *e = &s->expects[index];
	const struct tally *subject = &play->subjects[index], *disks = &play->disks[index];
	double seconds = (double)(e->until_ns - e->from_ns) / 1e9;
	bool any = subject->latency.count > 0;

	switch (e->metric) {
	case SCENARIO_SHARE:
		return part(subject->tokens, disks->tokens);
	case SCENARIO_TIME:
		return part((double)subject->busy_ns, (double)disks->busy_ns);
	case SCENARIO_BUSY:
		return part((double)subject->busy_ns,
			    seconds * 1e9 * s->disks[e->subject.index].model.channels);
	case SCENARIO_IOPS:
		return (double)subject->ios / seconds;
	case SCENARIO_BPS:
		return (double)subject->bytes / seconds;
	case SCENARIO_P50:
		return any ? (double)sim_hist_percentile(&subject->latency, 50) : NAN;
	case SCENARIO_P99:
		break;
	}
	return any ? (double)sim_hist_percentile(&subject->latency, 99) : NAN;
}

static double entitled(const struct fbs *fbs, const struct fbs_node *node,
		       const struct fbs_node *parent)
{
	struct fbs_node_stats of, all;

	fbs_node_stats(fbs, node, &of);
	fbs_node_stats(fbs, parent, &all);
	return all.tokens ? (double)of.entitled / (double)all.tokens : 0;
}

double play_entitled(const struct play *play, unsigned index)
{
	const struct scenario *s = play->scenario;
	const struct scenario_file *file = &s->files[index];
	struct fbs *fbs = sim_sched_of(play->sim, file->disk);
	const struct fbs_node *node = sim_leaf(play->sim, play->first_clients[index]);
	double fraction = 1;
	int group = file->conf.parent;

	for (;; group = s->groups[group].parent) {
		const struct fbs_node *parent =
			group < 0 ? fbs_root(fbs)
				  : play->nodes[(unsigned)group * s->n_disks + file->disk];

		fraction *= entitled(fbs, node, parent);
		if (group < 0)
			return fraction;
		node = parent;
	}
}

void play_stats(const struct play *play, unsigned disk, struct fbs_stats *ret_stats)
{
	fbs_stats(sim_sched_of(play->sim, disk), ret_stats);
}

void play_file_stats(const struct play *play, unsigned file, struct fbs_node_stats *ret_stats)
{
	fbs_node_stats(sim_sched_of(play->sim, play->scenario->files[file].disk),
		       sim_leaf(play->sim, play->first_clients[file]), ret_stats);
}
