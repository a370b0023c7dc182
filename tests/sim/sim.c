/* SPDX-License-Identifier: MIT */
/*
 * sim.c - the event loop between clients, schedulers and disks.
 *
 * Every request slot of a client goes round this circle, each arrow being an event:
 *
 *     thinking -> pushed -> (scheduler) -> slices cleared by the disk's cap -> served -> thinking
 *
 * Events at the same time happen in the order in which they were scheduled. As in the daemon,
 * the scheduler is asked for more right after each completion, before the client whose request it
 * was can send another: even without think time that is a separate, later event. When it has said
 * no, it is asked again at the time of its wake-up; one that is not after now would keep a thread
 * spinning and ends the program.
 *
 * Invariants: a slot is in one state; everything pushed is answered once, after its last slice;
 * time never goes back. Threads: one.
 * Not handled: errors and short transfers.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/disk.h"
#include "tests/sim/events.h"
#include "tests/sim/sim.h"

#define BLOCK_BYTES 4096U

/* One of the `depth` requests of a client. */
struct slot {
	struct fbs_req req; /* first: slices point here */
	struct client *client;
	struct slot *next_flush; /* waits for permission to flush */
	unsigned out;		 /* slices at the disk */
	bool all_issued;
	uint64_t pushed_ns, len_bytes;
};

/* A scheduler with the disk below it. */
struct target {
	struct sim *sim;
	void *sched;
	struct disk disk;
	struct slot *flush_first, **flush_last;
	unsigned in_flight;
	uint64_t wakeup_ns; /* of the event that counts */
};

struct client {
	struct sim_client params;
	struct target *target;
	void *leaf;
	bool shares_leaf; /* with one before it */
	struct slot *slots;
	struct sim_rng rng;
	uint64_t next_bytes; /* of a sequential stream */
	unsigned writes;     /* since its last flush */

	/* since sim_reset() */
	uint64_t ios, bytes, flushes, busy_ns;
	uint64_t tokens; /* at the reset */
	unsigned in_flight;
	uint64_t in_flight_since_ns;
	double in_flight_ns; /* integral */
	struct sim_hist latency, service, flush;
};

struct sim {
	struct sim_params params;
	struct target **targets;
	unsigned ntargets;
	struct sim_rng rng;
	uint64_t now_ns, reset_ns;
	struct events events;

	struct client **clients;
	unsigned nclients;
	struct disk_job *free_jobs;

	uint64_t ios; /* slices since the reset */
	uint64_t all_ios;
	struct sim_sample *samples;
	unsigned nsamples, sample_capacity;
};

static void die(const char *what)
{
	fprintf(stderr, "sim: %s\n", what);
	exit(1);
}

static void *need(void *memory)
{
	if (!memory)
		die("out of memory");
	return memory;
}

static void schedule(struct sim *sim, uint64_t at_ns, enum event_kind kind, void *arg,
		     void (*fn)(struct sim *, void *))
{
	struct event event = {.at_ns = at_ns, .kind = kind, .arg = arg, .fn = fn};

	assert(at_ns >= sim->now_ns);
	if (!events_add(&sim->events, event))
		die("out of memory");
}

/* ---- to and from the disk ---- */

static struct disk_job *job_new(struct sim *sim, struct slot *slot)
{
	struct disk_job *job = sim->free_jobs;

	if (job)
		sim->free_jobs = job->next;
	else
		job = need(malloc(sizeof(*job)));
	memset(job, 0, sizeof(*job));
	job->slot = slot;
	job->submitted_ns = sim->now_ns;
	return job;
}

static struct target *target_of(const struct disk_job *job)
{
	return ((struct slot *)job->slot)->client->target;
}

static void start_disk(struct target *target)
{
	struct sim *sim = target->sim;
	struct disk_job *job;
	uint64_t finish_ns;

	while ((job = disk_start(&target->disk, sim->now_ns, &finish_ns)))
		schedule(sim, finish_ns, EVENT_SERVED, job, NULL);
}

static void submit(struct sim *sim, struct disk_job *job)
{
	struct target *target = target_of(job);
	uint64_t at_ns = disk_cleared_at(&target->disk, job, sim->now_ns);

	if (at_ns > sim->now_ns) {
		schedule(sim, at_ns, EVENT_CLEARED, job, NULL);
		return;
	}
	disk_enqueue(&target->disk, job);
	start_disk(target);
}

static void count_in_flight(struct sim *sim, struct client *client, int change)
{
	client->in_flight_ns +=
		(double)client->in_flight * (double)(sim->now_ns - client->in_flight_since_ns);
	client->in_flight_since_ns = sim->now_ns;
	client->in_flight = (unsigned)((int)client->in_flight + change);
	client->target->in_flight = (unsigned)((int)client->target->in_flight + change);
}

static void set_wakeup(struct sim *sim, struct target *target)
{
	uint64_t at_ns =
		sim->params.ops->wakeup ? sim->params.ops->wakeup(target->sched) : SIM_NEVER;

	if (at_ns <= sim->now_ns)
		die("the scheduler wants to be woken in the past");
	if (at_ns < SIM_NEVER)
		at_ns += sim->params.late_ns;
	if (at_ns != target->wakeup_ns && at_ns < SIM_NEVER)
		schedule(sim, at_ns, EVENT_WAKEUP, target, NULL);
	target->wakeup_ns = at_ns;
}

/* Issue whatever the scheduler lets go. */
static void pump(struct target *target)
{
	struct sim *sim = target->sim;
	struct fbs_slice slice;

	while (sim->params.ops->next(target->sched, sim->now_ns, &slice)) {
		struct slot *slot = (struct slot *)slice.req;
		struct disk_job *job = job_new(sim, slot);

		assert(!slot->all_issued && slice.len_bytes > 0);
		job->slice = slice;
		slot->out++;
		slot->all_issued = slice.last;
		count_in_flight(sim, slot->client, 1);
		submit(sim, job);
	}
	set_wakeup(sim, target);
}

/* ---- the clients ---- */

/* When a client that would act at at_ns really does: not while it is off. */
static uint64_t awake_at(const struct sim_client *params, uint64_t at_ns)
{
	uint64_t period_ns = params->on_ns + params->off_ns, phase_ns;

	if (at_ns < params->from_ns)
		at_ns = params->from_ns;
	if (params->off_ns > 0) {
		phase_ns = (at_ns - params->from_ns) % period_ns;
		if (phase_ns >= params->on_ns)
			at_ns += period_ns - phase_ns;
	}
	return params->until_ns > 0 && at_ns >= params->until_ns ? SIM_NEVER : at_ns;
}

static void think(struct sim *sim, struct slot *slot)
{
	const struct sim_client *params = &slot->client->params;
	uint64_t at_ns = sim->now_ns + params->turnaround_ns;

	if (params->think_ns > 0)
		at_ns += sim_rng_exponential(&slot->client->rng, params->think_ns);
	at_ns = awake_at(params, at_ns);
	if (at_ns < SIM_NEVER)
		schedule(sim, at_ns, EVENT_THOUGHT, slot, NULL);
}

static void start_flush(struct sim *sim, struct slot *slot)
{
	struct disk_job *job = job_new(sim, slot);

	job->is_flush = true;
	if (sim->params.ops->flush_start)
		sim->params.ops->flush_start(slot->client->target->sched, slot->client->leaf,
					     sim->now_ns, &job->flush);
	submit(sim, job);
}

static bool may_flush(const struct sim *sim, const struct slot *slot)
{
	return !sim->params.ops->flush_may_start ||
	       sim->params.ops->flush_may_start(slot->client->target->sched, slot->client->leaf);
}

static void retry_flushes(struct target *target)
{
	struct sim *sim = target->sim;
	struct slot **link = &target->flush_first, *slot;

	while ((slot = *link)) {
		if (!may_flush(sim, slot)) {
			link = &slot->next_flush;
			continue;
		}
		*link = slot->next_flush;
		start_flush(sim, slot);
	}
	target->flush_last = link;
}

static void want_flush(struct sim *sim, struct slot *slot)
{
	struct target *target = slot->client->target;

	slot->client->writes = 0;
	slot->pushed_ns = sim->now_ns;
	if (may_flush(sim, slot)) {
		start_flush(sim, slot);
		return;
	}
	slot->next_flush = NULL;
	*target->flush_last = slot;
	target->flush_last = &slot->next_flush;
}

static uint64_t choose_bytes(struct client *client)
{
	const struct sim_client *params = &client->params;
	uint64_t steps = (params->max_bytes - params->min_bytes) / BLOCK_BYTES;

	return params->min_bytes +
	       (steps > 0 ? sim_rng_below(&client->rng, steps + 1) * BLOCK_BYTES : 0);
}

static uint64_t choose_pos(struct client *client, uint64_t len_bytes)
{
	const struct sim_client *params = &client->params;
	uint64_t room = params->range_bytes - len_bytes, pos;

	if (!params->sequential)
		return params->start_bytes +
		       sim_rng_below(&client->rng, room / BLOCK_BYTES + 1) * BLOCK_BYTES;
	pos = client->next_bytes <= room ? client->next_bytes : 0;
	client->next_bytes = pos + len_bytes;
	return params->start_bytes + pos;
}

static void thought(struct sim *sim, struct slot *slot)
{
	struct client *client = slot->client;
	const struct sim_client *params = &client->params;
	uint64_t pos;

	if (params->fsync_every > 0 && client->writes >= params->fsync_every) {
		want_flush(sim, slot);
		return;
	}
	slot->len_bytes = choose_bytes(client);
	pos = choose_pos(client, slot->len_bytes);
	slot->req = (struct fbs_req){.pos_bytes = pos, .end_bytes = pos + slot->len_bytes};
	slot->req.op = sim_rng_below(&client->rng, 100) < params->write_pct ? FBS_WRITE : FBS_READ;
	if (params->discard)
		slot->req.op = FBS_DISCARD;
	slot->out = 0;
	slot->all_issued = false;
	slot->pushed_ns = sim->now_ns;
	sim->params.ops->push(client->target->sched, client->leaf, &slot->req, sim->now_ns);
	pump(client->target);
}

static void flushed(struct sim *sim, struct disk_job *job)
{
	struct slot *slot = job->slot;

	if (sim->params.ops->flush_done)
		sim->params.ops->flush_done(slot->client->target->sched, &job->flush, sim->now_ns);
	slot->client->flushes++;
	sim_hist_add(&slot->client->flush, sim->now_ns - slot->pushed_ns);
	think(sim, slot);
}

static void served(struct sim *sim, struct disk_job *job)
{
	struct slot *slot = job->slot;
	struct client *client = slot->client;
	struct target *target = client->target;

	disk_finish(&target->disk, job);
	client->busy_ns += job->service_ns;
	if (job->is_flush) {
		flushed(sim, job);
	} else {
		count_in_flight(sim, client, -1);
		sim->ios++;
		sim->all_ios++;
		sim_hist_add(&client->service, sim->now_ns - job->submitted_ns);
		sim->params.ops->done(target->sched, &job->slice, sim->now_ns);
		slot->out--;
		if (slot->out == 0 && slot->all_issued) {
			client->ios++;
			client->bytes += slot->len_bytes;
			client->writes += slot->req.op == FBS_WRITE;
			sim_hist_add(&client->latency, sim->now_ns - slot->pushed_ns);
			think(sim, slot);
		}
	}
	job->next = sim->free_jobs;
	sim->free_jobs = job;
	start_disk(target);
	pump(target);
	retry_flushes(target);
}

/* ---- a run ---- */

static void sample(struct sim *sim)
{
	if (sim->nsamples == sim->sample_capacity) {
		sim->sample_capacity = sim->sample_capacity ? 2 * sim->sample_capacity : 256;
		sim->samples =
			need(realloc(sim->samples, sim->sample_capacity * sizeof(*sim->samples)));
	}
	sim->samples[sim->nsamples++] = (struct sim_sample){
		.at_ns = sim->now_ns,
		.limit = sim->params.ops->limit(sim->targets[0]->sched),
		.in_flight = sim->targets[0]->in_flight,
		.ios = sim->all_ios,
	};
	schedule(sim, sim->now_ns + sim->params.sample_ns, EVENT_SAMPLE, NULL, NULL);
}

static void happen(struct sim *sim, const struct event *event)
{
	struct target *target;

	switch (event->kind) {
	case EVENT_THOUGHT:
		thought(sim, event->arg);
		break;
	case EVENT_CLEARED:
		target = target_of(event->arg);
		disk_enqueue(&target->disk, event->arg);
		start_disk(target);
		break;
	case EVENT_SERVED:
		served(sim, event->arg);
		break;
	case EVENT_WAKEUP:
		target = event->arg;
		if (event->at_ns != target->wakeup_ns) /* another has taken its place */
			break;
		target->wakeup_ns = SIM_NEVER;
		pump(target);
		break;
	case EVENT_CALL:
		event->fn(sim, event->arg);
		for (unsigned i = 0; i < sim->ntargets; i++)
			pump(sim->targets[i]);
		break;
	case EVENT_SAMPLE:
		sample(sim);
		break;
	}
}

void sim_run(struct sim *sim, uint64_t until_ns)
{
	struct event event;

	while (events_take(&sim->events, until_ns, &event)) {
		sim->now_ns = event.at_ns;
		happen(sim, &event);
		for (unsigned i = 0; sim->params.check && i < sim->ntargets; i++)
			sim->params.ops->check(sim->targets[i]->sched);
	}
	if (until_ns > sim->now_ns)
		sim->now_ns = until_ns;
}

void sim_at(struct sim *sim, uint64_t at_ns, void (*fn)(struct sim *, void *), void *arg)
{
	schedule(sim, at_ns, EVENT_CALL, arg, fn);
}

struct sim *sim_create(const struct sim_params *params)
{
	struct sim *sim = need(calloc(1, sizeof(*sim)));

	sim->params = *params;
	sim->params.check = params->check && params->ops->check;
	sim->rng.state = params->seed;
	sim_add_disk(sim, &params->sched, &params->disk);
	if (params->sample_ns > 0)
		schedule(sim, 0, EVENT_SAMPLE, NULL, NULL);
	return sim;
}

unsigned sim_add_disk(struct sim *sim, const struct sim_sched_params *sched,
		      const struct sim_disk *disk)
{
	struct target *target = need(calloc(1, sizeof(*target)));

	target->sim = sim;
	target->flush_last = &target->flush_first;
	target->wakeup_ns = SIM_NEVER;
	target->sched = need(sim->params.ops->create(sched));
	disk_init(&target->disk, disk, sim_rng_next(&sim->rng));
	sim->targets = need(realloc(sim->targets, (sim->ntargets + 1) * sizeof(target)));
	sim->targets[sim->ntargets] = target;
	return sim->ntargets++;
}

/* Tell the schedulers that everything came back, so that they may go too. */
void sim_destroy(struct sim *sim)
{
	struct disk_job *job;

	if (!sim)
		return;
	for (size_t i = 0; i < sim->events.n; i++) {
		const struct event *event = &sim->events.heap[i];

		if (event->kind == EVENT_SERVED || event->kind == EVENT_CLEARED)
			disk_enqueue(&target_of(event->arg)->disk, event->arg);
	}
	for (unsigned i = 0; i < sim->ntargets; i++) {
		struct target *target = sim->targets[i];

		while ((job = target->disk.first)) {
			target->disk.first = job->next;
			if (!job->is_flush)
				sim->params.ops->done(target->sched, &job->slice, sim->now_ns);
			free(job);
		}
		sim->params.ops->destroy(target->sched);
		free(target);
	}
	while ((job = sim->free_jobs)) {
		sim->free_jobs = job->next;
		free(job);
	}
	for (unsigned i = 0; i < sim->nclients; i++) {
		free(sim->clients[i]->slots);
		free(sim->clients[i]);
	}
	free(sim->clients);
	free(sim->targets);
	free(sim->samples);
	free(sim->events.heap);
	free(sim);
}

void *sim_sched(struct sim *sim)
{
	return sim_sched_of(sim, 0);
}

void *sim_sched_of(struct sim *sim, unsigned disk)
{
	return sim->targets[disk]->sched;
}

uint64_t sim_now(const struct sim *sim)
{
	return sim->now_ns;
}

void *sim_add_group(struct sim *sim, void *parent, unsigned weight)
{
	return sim_add_group_on(sim, 0, parent, weight);
}

void *sim_add_group_on(struct sim *sim, unsigned disk, void *parent, unsigned weight)
{
	if (!sim->params.ops->add_group)
		die("this scheduler knows no groups");
	return need(sim->params.ops->add_group(sim->targets[disk]->sched, parent, weight));
}

/* leaf NULL: a new one below parent. */
static int add_client(struct sim *sim, void *parent, void *leaf, unsigned disk,
		      const struct sim_client *params)
{
	struct client *client = need(calloc(1, sizeof(*client)));
	struct sim_client *p = &client->params;

	*p = *params;
	p->disk = disk;
	if (p->min_bytes == 0)
		p->min_bytes = BLOCK_BYTES;
	if (p->max_bytes == 0)
		p->max_bytes = p->min_bytes;
	if (p->range_bytes == 0)
		p->range_bytes = sim->targets[disk]->disk.model.size_bytes;
	if (p->max_bytes < p->min_bytes || p->range_bytes < p->max_bytes || p->depth == 0)
		die("client without sense");
	client->target = sim->targets[disk];
	client->shares_leaf = leaf != NULL;
	client->leaf =
		leaf ? leaf
		     : need(sim->params.ops->add_leaf(client->target->sched, parent, p->weight));
	client->rng.state = sim_rng_next(&sim->rng);
	client->slots = need(calloc(p->depth, sizeof(*client->slots)));
	client->in_flight_since_ns = sim->now_ns;
	sim->clients = need(realloc(sim->clients, (sim->nclients + 1) * sizeof(struct client *)));
	sim->clients[sim->nclients] = client;
	for (unsigned i = 0; i < p->depth; i++) {
		client->slots[i].client = client;
		think(sim, &client->slots[i]);
	}
	return (int)sim->nclients++;
}

int sim_add_client(struct sim *sim, void *parent, const struct sim_client *client)
{
	return add_client(sim, parent, NULL, client->disk, client);
}

int sim_add_client_to(struct sim *sim, int other, const struct sim_client *client)
{
	const struct client *first = sim->clients[other];

	return add_client(sim, NULL, first->leaf, first->params.disk, client);
}

void *sim_leaf(struct sim *sim, int client)
{
	return sim->clients[client]->leaf;
}

void sim_reset(struct sim *sim)
{
	sim->reset_ns = sim->now_ns;
	sim->ios = 0;
	for (unsigned i = 0; i < sim->nclients; i++) {
		struct client *client = sim->clients[i];

		client->ios = client->bytes = client->flushes = client->busy_ns = 0;
		client->tokens = sim->params.ops->tokens(client->target->sched, client->leaf);
		client->in_flight_ns = 0;
		client->in_flight_since_ns = sim->now_ns;
		memset(&client->latency, 0, sizeof(client->latency));
		memset(&client->service, 0, sizeof(client->service));
		memset(&client->flush, 0, sizeof(client->flush));
	}
}

static double tokens_since_reset(const struct sim *sim, const struct client *client)
{
	uint64_t tokens =
		sim->params.ops->tokens(client->target->sched, client->leaf) - client->tokens;

	return (double)tokens / (double)FBS_TOKEN_ONE;
}

void sim_result(const struct sim *sim, int index, struct sim_result *ret_result)
{
	const struct client *client = sim->clients[index];
	double elapsed_ns = (double)(sim->now_ns - sim->reset_ns);
	double in_flight_ns =
		client->in_flight_ns +
		(double)client->in_flight * (double)(sim->now_ns - client->in_flight_since_ns);

	*ret_result = (struct sim_result){
		.ios = client->ios,
		.bytes = client->bytes,
		.flushes = client->flushes,
		.busy_ns = client->busy_ns,
		.iops = elapsed_ns > 0 ? (double)client->ios * 1e9 / elapsed_ns : 0,
		.tokens = tokens_since_reset(sim, client),
		.in_flight = elapsed_ns > 0 ? in_flight_ns / elapsed_ns : 0,
		.p50_ns = sim_hist_percentile(&client->latency, 50),
		.p99_ns = sim_hist_percentile(&client->latency, 99),
		.disk_p50_ns = sim_hist_percentile(&client->service, 50),
		.disk_p99_ns = sim_hist_percentile(&client->service, 99),
		.flush_p99_ns = sim_hist_percentile(&client->flush, 99),
		.latency = client->latency,
		.service = client->service,
		.flush = client->flush,
	};
}

uint64_t sim_total_ios(const struct sim *sim)
{
	return sim->ios;
}

double sim_share_pct(const struct sim *sim, int index)
{
	const struct client *client = sim->clients[index];
	double all = 0;

	for (unsigned i = 0; i < sim->nclients; i++)
		if (sim->clients[i]->target == client->target && !sim->clients[i]->shares_leaf)
			all += tokens_since_reset(sim, sim->clients[i]);
	return all > 0 ? 100 * tokens_since_reset(sim, client) / all : 0;
}

double sim_busy_pct(const struct sim *sim, int index)
{
	const struct client *client = sim->clients[index];
	uint64_t all = 0;

	for (unsigned i = 0; i < sim->nclients; i++)
		if (sim->clients[i]->target == client->target)
			all += sim->clients[i]->busy_ns;
	return all > 0 ? 100 * (double)client->busy_ns / (double)all : 0;
}

unsigned sim_samples(const struct sim *sim, const struct sim_sample **ret_samples)
{
	*ret_samples = sim->samples;
	return sim->nsamples;
}
