/* SPDX-License-Identifier: MIT */
/*
 * calibrate.c - fuseband --calibrate: what can this disk do?
 *
 * The scheduler prices a request by a line: 1 / iops for 4 KiB and 1 / bps for every byte more.
 * No slice at the disk is larger than 128 KiB, so the two ends of the line are all there is to
 * measure, each with as much in flight as saturates the disk:
 *
 *	time per		      t(4 KiB)   = 1 / iops
 *	request			      t(128 KiB) = 1 / iops + 124 KiB / bps
 *	    |               *
 *	    |        .			measured: 4000/s of 4 KiB, 1000/s of 128 KiB
 *	    |  *			iops = 4000
 *	    +--+------------+-- bytes	bps  = 124 KiB / (1000 us - 250 us) = 169 MB/s
 *	      4 KiB      128 KiB
 *
 * DEPTH. One request in flight is enough for a spindle, a hundred may be too few for a flash disk:
 * the number is quadrupled for as long as that brings 5 %. A step that seems to bring nothing is
 * measured again, as it may have met somebody else's burst. The search ends before requests
 * take a second, because a disk that sorts its queue gains from a deeper one without end.
 *
 * TIME. A sample is a number of requests and the time from the first one's start to the last one's
 * end. Writes are flushed, and the flush is part of their time: a disk with a cache would
 * otherwise be measured by how fast it can put things off. The loads take turns for
 * CALIBRATE_ROUNDS rounds; the median of each is what counts, and a large spread is told.
 *
 * WHERE. Anywhere in the object, but in an image only where it has data: holes are answered, and
 * filled, without the disk that was asked about. A unit of 128 KiB is drawn, and a place in it for
 * a small request: were that always the first, all could go to one disk of a striped array.
 *
 * HARM. Without --overwrite nothing is opened for writing, nor claimed: it may be in use. What is
 * named by --overwrite is claimed as for serving it. What is written is random, and nothing
 * that was read.
 *
 * One thread, which a disk that does several hundred thousand requests per second keeps busy: then
 * the figure is what one thread can have. Not handled: blocks of a flash disk that were
 * never written, which it answers without looking.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "calibrate.h"
#include "backing.h"
#include "clock.h"
#include "disks.h"
#include "mountinfo.h"
#include "progress.h"
#include "ring.h"
#include "sched.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SMALL_BYTES 4096U
#define LARGE_BYTES ((uint32_t)FBS_SLICE_BYTES)
#define SECOND_PS UINT64_C(1000000000000)

#define IOPS_MAX UINT64_C(1000000000) /* as in sched.h */
#define BPS_MAX UINT64_C(10000000000000)

#define DEPTH_FACTOR 4U
#define GAIN_PCT 5U /* more than a sample is wrong by, less than anybody would miss */

#define SEARCH_NS UINT64_C(250000000)	/* one sample while the depth is searched */
#define SEARCH_STEPS 6U			/* about so many for each load */
#define ROUNDS_NS UINT64_C(10000000000) /* all samples of all rounds */
/* A slow disk is given more time, until it has done as many requests as that, or so long. */
#define SAMPLE_LEAST 16U
#define SAMPLE_MOST_NS UINT64_C(3000000000)

/* ---- the method -------------------------------------------------------------------------- */

static uint64_t pct_of(uint64_t value, uint64_t pct)
{
	return value / 100 * pct + value % 100 * pct / 100;
}

int calibrate_depth(calibrate_measure *measure, void *disk, struct calibrate_load *load)
{
	struct calibrate_load next = *load;
	uint64_t best, ps, again;
	int err;

	load->depth = next.depth = 1;
	err = measure(disk, &next, &best);
	while (!err && load->depth < CALIBRATE_DEPTH_MAX) {
		next.depth = load->depth * DEPTH_FACTOR;
		if (best > SECOND_PS / next.depth)
			break;
		err = measure(disk, &next, &ps);
		if (!err && ps > pct_of(best, 100 - GAIN_PCT)) {
			err = measure(disk, &next, &again);
			ps = !err && again < ps ? again : ps;
		}
		if (err || ps > pct_of(best, 100 + GAIN_PCT)) /* more only disturbs it */
			break;
		load->depth = next.depth;
		if (ps > pct_of(best, 100 - GAIN_PCT))
			break;
		best = ps;
	}
	return err;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int calibrate_disk(calibrate_measure *measure, void *disk, bool writes,
		   struct calibrate_figure ret[CALIBRATE_FIGURES])
{
	struct calibrate_load loads[CALIBRATE_FIGURES] = {{.bytes = SMALL_BYTES},
							  {.bytes = LARGE_BYTES},
							  {.bytes = SMALL_BYTES, .write = true},
							  {.bytes = LARGE_BYTES, .write = true}};
	uint64_t ps[CALIBRATE_FIGURES][CALIBRATE_ROUNDS];
	unsigned n = writes ? CALIBRATE_FIGURES : CALIBRATE_FIGURES / 2;
	int err = 0;

	for (unsigned i = 0; !err && i < n; i++) {
		loads[i].ns = SEARCH_NS;
		err = calibrate_depth(measure, disk, &loads[i]);
		loads[i].ns = ROUNDS_NS / CALIBRATE_ROUNDS / n;
	}
	for (unsigned round = 0; !err && round < CALIBRATE_ROUNDS; round++)
		for (unsigned i = 0; !err && i < n; i++) {
			loads[i].round = round + 1;
			err = measure(disk, &loads[i], &ps[i][round]);
		}
	for (unsigned i = 0; !err && i < n; i++) {
		qsort(ps[i], CALIBRATE_ROUNDS, sizeof(ps[i][0]), compare_u64);
		ret[i] = (struct calibrate_figure){.depth = loads[i].depth,
						   .ps = ps[i][CALIBRATE_ROUNDS / 2],
						   .least_ps = ps[i][0],
						   .most_ps = ps[i][CALIBRATE_ROUNDS - 1]};
	}
	return err;
}

/* The nearest whole rate at which n things take ps, from 1 to max. */
static uint64_t rate_of(uint64_t n, uint64_t ps, uint64_t max)
{
	uint64_t rate = ps ? (uint64_t)(((unsigned __int128)SECOND_PS * n + ps / 2) / ps) : max;

	return rate < 1 ? 1 : rate > max ? max : rate;
}

void calibrate_solve(uint64_t small_ps, uint64_t large_ps, uint64_t *ret_iops, uint64_t *ret_bps)
{
	uint64_t more_ps = large_ps > small_ps ? large_ps - small_ps : 0;

	*ret_iops = rate_of(1, small_ps, IOPS_MAX);
	*ret_bps = rate_of(LARGE_BYTES - SMALL_BYTES, more_ps, BPS_MAX);
}

/* ---- what is measured -------------------------------------------------------------------- */

/* A run of whole units of LARGE_BYTES that hold data. */
struct extent {
	uint64_t start_bytes;
	uint64_t first; /* its first unit: so many are before it */
};

struct target {
	const char *path; /* as given, for messages */
	char *real;	  /* absolute, without links */
	struct backing *backing;
	struct backing_claim *claim; /* of what is written */
	struct disks_leaves disks;
	struct extent *extents;
	size_t n_extents;
	uint64_t units;
};

/* Less than this is in the cache of many a disk. */
#define UNITS_LEAST ((UINT64_C(64) << 20) / LARGE_BYTES)

/* One line; the exit status. Once measuring has begun, progress_end() comes first. */
__attribute__((format(printf, 2, 3))) static int complain(const char *path, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "fuseband: %s: ", path);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return EXIT_FAILURE;
}

static int add_extent(struct target *target, uint64_t from_bytes, uint64_t to_bytes)
{
	uint64_t first = (from_bytes + LARGE_BYTES - 1) / LARGE_BYTES, end = to_bytes / LARGE_BYTES;
	struct extent *grown;

	if (first >= end)
		return 0;
	if (!(target->n_extents & (target->n_extents - 1))) { /* a power of two is full */
		grown = reallocarray(target->extents, target->n_extents ? 2 * target->n_extents : 1,
				     sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		target->extents = grown;
	}
	target->extents[target->n_extents++] =
		(struct extent){.start_bytes = first * LARGE_BYTES, .first = target->units};
	target->units += end - first;
	return 0;
}

static int find_data(struct target *target)
{
	const struct backing *backing = target->backing;
	int err = 0;

	for (off_t pos = 0, end = (off_t)backing->size_bytes; !err && pos < end;) {
		off_t hole = end;

		if (!backing->id.is_block) {
			pos = lseek(backing->fd, pos, SEEK_DATA);
			if (pos >= 0)
				hole = lseek(backing->fd, pos, SEEK_HOLE);
			if (pos < 0 || hole < 0) /* ENXIO: no more data */
				return errno == ENXIO ? 0 : -errno;
		}
		err = add_extent(target, (uint64_t)pos, (uint64_t)(hole < end ? hole : end));
		pos = hole;
	}
	return err;
}

/* Any unit with the same probability. */
static uint64_t place_of(const struct target *target, uint64_t unit)
{
	size_t low = 0, high = target->n_extents; /* the extent is in [low, high) */

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		*(target->extents[middle].first <= unit ? &low : &high) = middle;
	}
	return target->extents[low].start_bytes + (unit - target->extents[low].first) * LARGE_BYTES;
}

static bool is_ours(const char *real)
{
	const struct mountinfo_line *mount;
	struct mountinfo mounts;
	bool ours;

	if (mountinfo_read(&mounts))
		return false;
	mount = mountinfo_find(&mounts, real);
	ours = mount && !strcmp(mount->type, "fuse.fuseband");
	mountinfo_free(&mounts);
	return ours;
}

/* Opens it, and finds out where it is. 0 or the exit status. */
static int target_open(struct target *target, bool readonly)
{
	/* buffered: refused below, in the words of this command */
	struct backing_spec spec = {.path = target->path, .readonly = readonly, .buffered = true};
	char why[256] = "";
	const struct backing *backing;
	const char *key;
	dev_t dev;
	int err = backing_open(&spec, why, sizeof(why), &key, &target->backing);

	if (err)
		return complain(target->path, "%s", err == -EROFS ? "is read-only" : why);
	backing = target->backing;
	target->real = realpath(target->path, NULL);
	if (!target->real)
		return complain(target->path, "%s", strerror(errno));
	if (is_ours(target->real))
		return complain(target->path, "is served by fuseband: name the disk below it");
	if (backing->buffered)
		return complain(
			target->path,
			"refuses O_DIRECT: memory would be measured; name the device below it");
	if (backing->align_bytes > SMALL_BYTES || backing->memory_align > SMALL_BYTES)
		return complain(target->path,
				"has blocks larger than 4K: write the numbers by hand");
	err = disks_system.device_of(NULL, target->real, &dev);
	if (!err)
		err = disks_resolve(&disks_system, dev, &target->disks);
	if (err)
		return complain(target->path, "the disk below it cannot be found: %s",
				strerror(-err));
	err = find_data(target);
	if (err)
		return complain(target->path, "the data in it cannot be found: %s", strerror(-err));
	if (target->units < UNITS_LEAST)
		return complain(target->path,
				"has only %" PRIu64 "M of data: at least %" PRIu64
				"M are needed, or a cache would be measured",
				target->units * LARGE_BYTES >> 20, UNITS_LEAST * LARGE_BYTES >> 20);
	return 0;
}

static void target_close(struct target *target)
{
	backing_unref(target->backing);
	backing_claim_unref(target->claim);
	free(target->extents);
	free(target->real);
}

static bool same_disks(const struct disks_leaves *a, const struct disks_leaves *b)
{
	size_t found = 0;

	for (size_t i = 0; i < a->n; i++)
		for (size_t j = 0; j < b->n; j++)
			found += a->leaf[i].dev == b->leaf[j].dev;
	return found == a->n && found == b->n;
}

/* a is another name for all of b, or for more. */
static bool contains(const struct backing *a, const struct backing *b)
{
	uint64_t a_end = a->extent.start_bytes + a->extent.length_bytes;
	uint64_t b_end = b->extent.start_bytes + b->extent.length_bytes;

	return backing_id_compare(&a->id, &b->id) != 0 &&
	       backing_id_compare(&a->extent.root, &b->extent.root) == 0 &&
	       a->extent.start_bytes <= b->extent.start_bytes && a_end >= b_end;
}

/* The disk, as people call it. */
static const char *disk_name(const struct target *target)
{
	return target->disks.n == 1 ? target->disks.leaf[0].name : target->disks.name;
}

/* Claims, then opens what may be overwritten. 0 or the exit status. */
static int target_open_writable(struct target *target, const struct target *read)
{
	struct backing_users *users = NULL;
	struct backing_id id;
	char why[256] = "";
	bool fuseband;
	int err = backing_identify(target->path, why, sizeof(why), &id);

	if (!err) {
		err = backing_users_read(&users);
		snprintf(why, sizeof(why), "%s", strerror(-err));
	}
	if (!err)
		err = backing_claim(target->path, &id, false, users, why, sizeof(why), &fuseband,
				    &target->claim);
	backing_users_free(users);
	if (err)
		return complain(target->path, "%s", why);
	err = target_open(target, false);
	if (err)
		return err;
	if (backing_id_compare(&id, &target->backing->id) != 0)
		return complain(target->path, "was replaced while it was being opened");
	if (!same_disks(&target->disks, &read->disks))
		return complain(target->path,
				"is on %s, %s is on %s: name something on the same disk",
				disk_name(target), read->path, disk_name(read));
	if (contains(target->backing, read->backing))
		return complain(target->path,
				"contains %s: to have that overwritten, name it with --overwrite",
				read->path);
	err = backing_fence(target->backing, false); /* until our last write has landed */
	if (err)
		return complain(target->path, "is being written to by another program");
	return 0;
}

/* ---- one sample -------------------------------------------------------------------------- */

#define TICK_NS UINT64_C(100000000) /* a signal is noticed so soon, whatever the disk does */

static volatile sig_atomic_t stopped_by;

static void on_signal(int signo)
{
	stopped_by = signo;
}

struct run {
	struct target read, write;
	struct ring ring;
	struct ring_op ops[CALIBRATE_DEPTH_MAX];
	char *buffers; /* one of LARGE_BYTES for each op, and one that is written */
	uint64_t random;
	struct progress progress;
	uint64_t searched_ns, rounds_ns;
};

/* SplitMix64. */
static uint64_t next_random(struct run *run)
{
	uint64_t z = run->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static void issue(struct run *run, const struct calibrate_load *load, size_t slot)
{
	const struct target *target = load->write ? &run->write : &run->read;
	size_t buffer = load->write ? CALIBRATE_DEPTH_MAX : slot;
	uint64_t within = next_random(run) % (LARGE_BYTES / load->bytes) * load->bytes;

	run->ops[slot] = (struct ring_op){
		.kind = load->write ? RING_WRITE : RING_READ,
		.fd = target->backing->fd,
		.data = run->buffers + buffer * LARGE_BYTES,
		.pos_bytes = place_of(target, next_random(run) % target->units) + within,
		.len_bytes = load->bytes,
		.async = target->backing->may_block,
		.align_bytes = target->backing->align_bytes,
	};
	ring_queue(&run->ring, &run->ops[slot]);
}

static const char *size_name(const struct calibrate_load *load)
{
	return load->bytes == SMALL_BYTES ? "4K" : "128K";
}

/*
 * How far all of it is, in time. How many samples the search takes shows only when it is over: the
 * bar does not go on, or jumps, then.
 */
static void show_progress(struct run *run, const struct calibrate_load *load, uint64_t ps)
{
	unsigned loads = run->write.path ? CALIBRATE_FIGURES : CALIBRATE_FIGURES / 2;
	uint64_t search_ns = loads * SEARCH_STEPS * SEARCH_NS;
	char before[128], round[32] = "", text[128];

	if (load->round) {
		run->rounds_ns += load->ns;
		snprintf(round, sizeof(round), "round %u of %u, ", load->round, CALIBRATE_ROUNDS);
	} else if (run->searched_ns + load->ns < search_ns) {
		run->searched_ns += load->ns;
	}
	snprintf(before, sizeof(before), "fuseband: %s", disk_name(&run->read));
	snprintf(text, sizeof(text), "%s%s %s at depth %u: %" PRIu64 "/s", round,
		 load->write ? "write" : "read", size_name(load), load->depth,
		 rate_of(1, ps, IOPS_MAX));
	progress_show(&run->progress, (load->round ? search_ns : run->searched_ns) + run->rounds_ns,
		      search_ns + ROUNDS_NS, before, text);
}

/* A calibrate_measure: -EINTR when a signal came; other failures are told here. */
static int sample(void *disk, const struct calibrate_load *load, uint64_t *ret_ps)
{
	struct run *run = disk;
	const struct target *target = load->write ? &run->write : &run->read;
	uint64_t began_ns = monotonic_ns(), ns = 0, done = 0;
	struct ring_op *ops[CALIBRATE_DEPTH_MAX];
	const struct ring_op *failed = NULL;

	for (size_t i = 0; i < load->depth; i++)
		issue(run, load, i);
	while (run->ring.in_flight) {
		unsigned n;

		ring_wait(&run->ring, TICK_NS);
		n = ring_reap(&run->ring, ops, CALIBRATE_DEPTH_MAX);
		ns = monotonic_ns() - began_ns;
		done += n;
		for (unsigned i = 0; i < n; i++) {
			if (ops[i]->error || ops[i]->done_bytes < ops[i]->len_bytes)
				failed = ops[i];
			else if (!failed && !stopped_by &&
				 (ns < load->ns || (done < SAMPLE_LEAST && ns < SAMPLE_MOST_NS)))
				issue(run, load, (size_t)(ops[i] - run->ops));
		}
	}
	if (failed) {
		progress_end(&run->progress);
		complain(target->path, "cannot %s %" PRIu64 " bytes at %" PRIu64 ": %s",
			 load->write ? "write" : "read", failed->len_bytes, failed->pos_bytes,
			 failed->error ? strerror(-failed->error) : "it has become shorter");
		return -EIO;
	}
	if (load->write && fdatasync(target->backing->fd)) {
		int error = errno;

		progress_end(&run->progress);
		complain(target->path, "cannot be flushed: %s", strerror(error));
		return -EIO;
	}
	if (stopped_by)
		return -EINTR;
	ns = monotonic_ns() - began_ns;
	*ret_ps = ns * 1000 / done;
	show_progress(run, load, *ret_ps);
	return 0;
}

/* ---- the command ------------------------------------------------------------------------- */

/* As ioband.ini takes it: the name of the disk in fewer bytes and characters ("fs-0-45"), ... */
static void print_section(const struct target *target)
{
	/* ... and a path without links only if need be: /dev/disk/by-id/ is what lasts. */
	const char *path = target->path[0] == '/' ? target->path : target->real;
	char name[43]; /* with "device:" the 49 bytes that brackets may hold */
	bool fits = strlen(path) < 128 && !strpbrk(path, ";#");

	snprintf(name, sizeof(name), "%.42s", disk_name(target));
	for (char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("-_+!.", *c))
			*c = '-';
	for (const char *c = path; *c; c++)
		fits = fits && !iscntrl((unsigned char)*c) && (*c != ' ' || c[1]);
	printf("[device:%s]\n", name);
	if (fits)
		printf("path = %s\n", path);
	else
		printf("; path: that of a link, this one is too long or too strange\n");
}

/* What was found out with the requests that go to target. */
static void print_figures(const struct target *target, const char *what,
			  const struct calibrate_figure figure[2])
{
	uint64_t data_mib = target->units * LARGE_BYTES >> 20;
	uint64_t size_mib = target->backing->size_bytes >> 20, iops, bps;

	calibrate_solve(figure[0].ps, figure[1].ps, &iops, &bps);
	printf("%s_iops = %" PRIu64 "\n%s_bps = %" PRIu64 "\n", what, iops, what, bps);
	for (int i = 0; i < 2; i++)
		if (figure[i].most_ps - figure[i].least_ps > figure[i].ps / 10)
			printf("; %ss of %s varied from %" PRIu64 " to %" PRIu64 " per second: if "
			       "the disk was busy, measure again\n",
			       what, i ? "128K" : "4K", rate_of(1, figure[i].most_ps, IOPS_MAX),
			       rate_of(1, figure[i].least_ps, IOPS_MAX));
	if (data_mib < size_mib)
		printf("; %ss were of the %" PRIu64 "M of %" PRIu64 "M that hold data: holes are "
		       "answered without the disk\n",
		       what, data_mib, size_mib);
}

/* Everything but cleaning up. The exit status. */
static int calibrate_run(struct run *run)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
	struct calibrate_figure figures[CALIBRATE_FIGURES];
	bool writes = run->write.path != NULL;
	int r = target_open(&run->read, true);

	if (!r && writes)
		r = target_open_writable(&run->write, &run->read);
	if (r)
		return r;
	run->buffers = aligned_alloc(SMALL_BYTES, (CALIBRATE_DEPTH_MAX + 1) * (size_t)LARGE_BYTES);
	if (!run->buffers)
		return complain(run->read.path, "%s", strerror(ENOMEM));
	run->random = monotonic_ns();
	run->progress = progress_on(stderr, STDERR_FILENO);
	for (size_t i = 0; i < LARGE_BYTES; i += sizeof(uint64_t)) {
		uint64_t random = next_random(run);

		memcpy(run->buffers + CALIBRATE_DEPTH_MAX * (size_t)LARGE_BYTES + i, &random,
		       sizeof(random));
	}
	r = ring_init(&run->ring);
	if (r)
		return complain("io_uring", "%s", strerror(-r));
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	r = calibrate_disk(sample, run, writes, figures);
	progress_end(&run->progress);
	ring_destroy(&run->ring);
	if (r == -EINTR) {
		complain(run->read.path, "stopped");
		return 128 + stopped_by;
	}
	if (r)
		return EXIT_FAILURE;
	print_section(&run->read);
	print_figures(&run->read, "read", figures);
	if (writes)
		print_figures(&run->write, "write", figures + 2);
	else
		printf(";write_iops = auto ; --overwrite FILE measures them: a file or device on\n"
		       ";write_bps = auto  ; this disk, whose content is lost\n");
	if (fflush(stdout))
		return complain("standard output", "%s", strerror(errno));
	return 0;
}

int calibrate(const char *path, const char *file)
{
	struct run *run = calloc(1, sizeof(*run));
	int status;

	if (!run)
		return complain(path, "%s", strerror(ENOMEM));
	run->read.path = path;
	run->write.path = file;
	status = calibrate_run(run);
	target_close(&run->read);
	target_close(&run->write);
	free(run->buffers);
	free(run);
	return status;
}
