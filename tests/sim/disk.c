/* SPDX-License-Identifier: MIT */
/*
 * disk.c - the disk models of the simulator: see struct sim_disk.
 *
 * The cap is the generic cell rate algorithm: a bucket is one number, the time at which it would
 * be full again if nothing else came.
 */
#include <assert.h>
#include <stddef.h>

#include "tests/sim/disk.h"

#define DISK_BYTES (UINT64_C(1) << 40)

struct sim_disk sim_disk_serial(uint64_t service_ns)
{
	return sim_disk_channels(1, service_ns);
}

/* A spindle: 1.5 ms of rotation and settling on the mean, then the way of the arm. */
struct sim_disk sim_disk_seek(uint64_t min_ns, uint64_t max_ns, enum sim_order order)
{
	return (struct sim_disk){.channels = 1,
				 .service_ns = 100 * SIM_US,
				 .per_byte_ps = 6666, /* 150 MB/s */
				 .seek_min_ns = min_ns,
				 .seek_max_ns = max_ns,
				 .order = order};
}

struct sim_disk sim_disk_channels(unsigned channels, uint64_t service_ns)
{
	return (struct sim_disk){.channels = channels, .service_ns = service_ns};
}

struct sim_disk sim_disk_exponential(unsigned channels, uint64_t mean_ns)
{
	return (struct sim_disk){.channels = channels, .service_ns = mean_ns, .exponential = true};
}

struct sim_disk sim_disk_capped(uint64_t iops, uint64_t latency_ns, uint64_t burst)
{
	return (struct sim_disk){.service_ns = latency_ns, .cap_iops = iops, .cap_burst = burst};
}

struct sim_disk sim_disk_ram(void)
{
	return (struct sim_disk){.channels = 2, .service_ns = 3 * SIM_US, .per_byte_ps = 200};
}

void disk_init(struct disk *disk, const struct sim_disk *model, uint64_t seed)
{
	*disk = (struct disk){.model = *model, .rng = {seed}};
	disk->last = &disk->first;
	if (disk->model.size_bytes == 0)
		disk->model.size_bytes = DISK_BYTES;
	if (disk->model.changed_pct == 0)
		disk->model.changed_pct = 100;
	if (disk->model.write_pct == 0)
		disk->model.write_pct = 100;
	assert(!disk->model.striped ||
	       (disk->model.channels - 1 < DISK_STRIPES && disk->model.changed_channels == 0));
	assert(disk->model.stall_every_ns == 0 ||
	       disk->model.stall_for_ns < disk->model.stall_every_ns);
}

static uint64_t latest(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t take(uint64_t *clear_ns, uint64_t cost_ns, uint64_t saved_ns, uint64_t now_ns)
{
	*clear_ns = latest(*clear_ns, now_ns) + cost_ns;
	return *clear_ns > now_ns + saved_ns ? *clear_ns - saved_ns : now_ns;
}

uint64_t disk_cleared_at(struct disk *disk, const struct disk_job *job, uint64_t now_ns)
{
	const struct sim_disk *model = &disk->model;
	uint64_t burst = latest(model->cap_burst, 1);
	uint64_t at_ns = now_ns;

	if (job->is_flush || job->slice.op == FBS_DISCARD)
		return now_ns;
	if (model->cap_iops > 0) {
		uint64_t each_ns = SIM_SEC / model->cap_iops;

		at_ns = latest(at_ns, take(&disk->iops_clear_ns, each_ns, burst * each_ns, now_ns));
	}
	if (model->cap_bps > 0) {
		uint64_t each_ns = job->slice.len_bytes * SIM_SEC / model->cap_bps;

		at_ns = latest(at_ns, take(&disk->bps_clear_ns, each_ns, burst * each_ns, now_ns));
	}
	return at_ns + model->turnaround_ns;
}

void disk_enqueue(struct disk *disk, struct disk_job *job)
{
	job->next = NULL;
	*disk->last = job;
	disk->last = &job->next;
}

static uint64_t distance(const struct disk *disk, const struct disk_job *job)
{
	uint64_t pos = job->slice.pos_bytes;

	return pos > disk->head_bytes ? pos - disk->head_bytes : disk->head_bytes - pos;
}

/* A flush or a discard is nowhere near anything: it waits its turn at the head of the queue. */
static bool has_place(const struct disk_job *job)
{
	return !job->is_flush && job->slice.op != FBS_DISCARD;
}

static unsigned stripe(const struct disk *disk, const struct disk_job *job)
{
	return (unsigned)((job->slice.pos_bytes >> 16) % disk->model.channels);
}

/* NULL: everything queued is for channels that are busy. */
static struct disk_job **choose(struct disk *disk)
{
	struct disk_job **best = &disk->first;

	if (disk->model.striped && has_place(disk->first)) {
		while (*best && disk->stripe_busy[stripe(disk, *best)])
			best = &(*best)->next;
		return *best && has_place(*best) ? best : NULL;
	}
	if (disk->model.order == SIM_FIFO || !has_place(disk->first))
		return best;
	for (struct disk_job **job = &disk->first; *job; job = &(*job)->next)
		if (has_place(*job) && distance(disk, *job) < distance(disk, *best))
			best = job;
	return best;
}

static uint64_t square_root(uint64_t n)
{
	uint64_t root = 0;

	for (uint64_t bit = UINT64_C(1) << 31; bit > 0; bit >>= 1)
		if ((root + bit) * (root + bit) <= n)
			root += bit;
	return root;
}

static bool is_changed(const struct sim_disk *model, uint64_t now_ns)
{
	return model->change_at_ns > 0 && now_ns >= model->change_at_ns &&
	       (model->change_until_ns == 0 || now_ns < model->change_until_ns);
}

static unsigned channels(const struct sim_disk *model, uint64_t now_ns)
{
	if (model->changed_channels > 0 && is_changed(model, now_ns))
		return model->changed_channels;
	return model->channels;
}

static uint64_t service(struct disk *disk, const struct disk_job *job, uint64_t now_ns)
{
	const struct sim_disk *model = &disk->model;
	uint64_t ns = model->service_ns;

	if (job->is_flush)
		return model->flush_ns + (disk->dirty_bytes >> 10) * model->flush_per_mib_ns / 1024;
	if (job->slice.op == FBS_DISCARD)
		return model->discard_ns +
		       (job->slice.len_bytes >> 10) * model->discard_per_mib_ns / 1024;
	if (model->exponential)
		ns = sim_rng_exponential(&disk->rng, ns);
	if (model->seek_max_ns > 0 && distance(disk, job) > 0) {
		/* 1024 x the root of the fraction: 20 bits of the fraction are plenty */
		uint64_t fraction = (distance(disk, job) << 10) / (model->size_bytes >> 10);

		ns += model->seek_min_ns +
		      (model->seek_max_ns - model->seek_min_ns) * square_root(fraction) / 1024;
	}
	ns += job->slice.len_bytes * model->per_byte_ps / 1000;
	if (job->slice.op != FBS_READ)
		ns = ns * model->write_pct / 100;
	if (is_changed(model, now_ns))
		ns = ns * model->changed_pct / 100;
	return ns;
}

/* When work of left_ns begun at now_ns is over, with the stalls in between. */
static uint64_t finish_at(const struct sim_disk *model, uint64_t now_ns, uint64_t left_ns)
{
	uint64_t stall_ns = model->stall_at_ns;

	if (model->stall_for_ns == 0)
		return now_ns + left_ns;
	if (model->stall_every_ns > 0 && now_ns > stall_ns)
		stall_ns += (now_ns - stall_ns) / model->stall_every_ns * model->stall_every_ns;
	for (;;) {
		if (now_ns + left_ns <= stall_ns)
			return now_ns + left_ns;
		if (now_ns < stall_ns) {
			left_ns -= stall_ns - now_ns;
			now_ns = stall_ns;
		}
		now_ns = latest(now_ns, stall_ns + model->stall_for_ns);
		if (model->stall_every_ns == 0)
			return now_ns + left_ns;
		stall_ns += model->stall_every_ns;
	}
}

struct disk_job *disk_start(struct disk *disk, uint64_t now_ns, uint64_t *ret_finish_ns)
{
	unsigned servers = channels(&disk->model, now_ns);

	if (!disk->first || (servers > 0 && disk->busy >= servers))
		return NULL;

	struct disk_job **link = choose(disk), *job;

	if (!link)
		return NULL;
	job = *link;
	*link = job->next;
	if (!*link)
		disk->last = link;
	job->service_ns = service(disk, job, now_ns);
	*ret_finish_ns = finish_at(&disk->model, now_ns, job->service_ns);
	if (job->is_flush)
		disk->dirty_bytes = 0;
	else if (job->slice.op != FBS_DISCARD)
		disk->head_bytes = job->slice.pos_bytes + job->slice.len_bytes;
	if (disk->model.striped && has_place(job))
		disk->stripe_busy[stripe(disk, job)] = true;
	disk->busy++;
	return job;
}

void disk_finish(struct disk *disk, const struct disk_job *job)
{
	assert(disk->busy > 0);
	disk->busy--;
	if (disk->model.striped && has_place(job))
		disk->stripe_busy[stripe(disk, job)] = false;
	if (!job->is_flush && job->slice.op == FBS_WRITE)
		disk->dirty_bytes += job->slice.len_bytes;
}
