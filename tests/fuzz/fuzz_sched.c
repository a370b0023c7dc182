/* SPDX-License-Identifier: MIT */
/*
 * fuzz_sched.c - what may happen to a scheduler, made up from bytes; all of it allowed by sched.h.
 *
 * The first byte says how. Below 128 it is a world of the random tests (tests/sim/world.h), with
 * its oracle and all of its checks, where the bytes take the place of chance: a few bytes for each
 * event, so that any order of events is possible, but no long ones.
 *
 * From 128 on it is a stream of orders to a disk that does its slices in some time: one of three
 * bytes serves up to 256 slices, and whatever is answered is asked again. So what is learned from
 * many slices (prices, window, sizes of discards) gets to all of its states. There is no oracle
 * here. What must hold:
 *
 *   fbs_check()   after every order
 *   requests      every byte goes once, in order, none of a cancelled one; no slice is empty
 *   discards      one at a time
 *   counts        what is queued and in flight is what the caller thinks, and no more than
 *                 io_throttle goes while that many are out
 *   "no"          only while something is at the disk, or with a time at which to ask again
 */
#include "fuzz.h"

#include <string.h>

/* the world has a CHECK of its own */
#define FUZZ_CHECK(what) ((what) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #what))
#undef CHECK
#include "tests/sim/world.h"

#define LEAVES 8
#define GROUPS 2
#define CAPS 2
#define REQUESTS 256
#define OUT_MOST 4096
#define FLUSHES 4
#define SLICES_MOST 6000U /* of an input */
#define USEC_NS UINT64_C(1000)
#define SEC_NS UINT64_C(1000000000)
#define KIB UINT64_C(1024)

struct request {
	struct fbs_req req; /* first: slices point here */
	uint64_t start_bytes, next_bytes, end_bytes;
	enum fbs_op op;
	struct fbs_node *node;
	unsigned leaf, out;
	bool queued;
};

struct stream {
	const uint8_t *data, *end;
	uint64_t now_ns;
	struct fbs *fbs;
	struct fbs_params params;
	struct fbs_node *leaves[LEAVES], *groups[GROUPS];
	struct fbs_cap *caps[CAPS];
	struct request requests[REQUESTS];
	struct fbs_slice out[OUT_MOST]; /* oldest first */
	unsigned n_out, n_discards, n_queued, n_slices;
	struct fbs_flush flushes[FLUSHES];
	unsigned n_flushes;
};

static struct stream stream;

static unsigned take(struct stream *s)
{
	return s->data < s->end ? *s->data++ : 0;
}

/* 1 us to half a second */
static uint64_t take_time(struct stream *s)
{
	unsigned code = take(s);

	return (1 + (code & 15)) * USEC_NS << (code >> 4);
}

/* 0, or any order of magnitude up to most */
static uint64_t take_rate(struct stream *s, uint64_t most)
{
	unsigned code = take(s);
	uint64_t rate = (uint64_t)(code & 7) << (code >> 3) * 2 % 48;

	return rate < most ? rate : most;
}

static struct fbs_node *parent_at(struct stream *s, unsigned code)
{
	return code % 3 < GROUPS ? s->groups[code % 3] : fbs_root(s->fbs);
}

/* ---- requests ---- */

static void push(struct stream *s, struct request *request, unsigned leaf, enum fbs_op op,
		 uint64_t pos, uint64_t len)
{
	request->start_bytes = request->next_bytes = pos;
	request->end_bytes = pos + len;
	request->op = op;
	request->leaf = leaf;
	request->node = s->leaves[leaf];
	request->queued = true;
	request->req = (struct fbs_req){.op = op, .pos_bytes = pos, .end_bytes = pos + len};
	s->n_queued++;
	fbs_push(s->fbs, request->node, &request->req, s->now_ns);
}

static void load(struct stream *s)
{
	unsigned what = take(s), size = take(s), n = 1 + take(s) % 64;
	enum fbs_op op = what >> 6 == 3 ? FBS_DISCARD : (enum fbs_op)(what >> 6 & 1);
	uint64_t len = (1 + (uint64_t)(size & 15)) * 512 << (size >> 4) % 12;

	if (op == FBS_DISCARD)
		len *= KIB;
	for (unsigned i = 0; i < REQUESTS && n > 0; i++) {
		struct request *request = &s->requests[i];

		if (request->queued || request->out > 0)
			continue;
		push(s, request, what % LEAVES, op, (uint64_t)i << (what >> 3 & 7) * 4, len);
		n--;
	}
}

static void cancel(struct stream *s)
{
	struct request *request = &s->requests[take(s) % REQUESTS];

	if (!request->queued)
		return;
	fbs_cancel(s->fbs, &request->req);
	FUZZ_CHECK(!request->req.leaf);
	request->queued = false;
	s->n_queued--;
}

/* ---- at the disk ---- */

static void issue(struct stream *s, const struct fbs_slice *slice)
{
	struct request *request = (struct request *)(void *)slice->req;

	FUZZ_CHECK(request->queued && slice->leaf == request->node && slice->op == request->op);
	FUZZ_CHECK(slice->pos_bytes == request->next_bytes && slice->len_bytes > 0);
	FUZZ_CHECK(slice->len_bytes <= request->end_bytes - request->next_bytes);
	FUZZ_CHECK(slice->op == FBS_DISCARD || slice->len_bytes <= FBS_SLICE_BYTES);
	FUZZ_CHECK(slice->whole == (slice->len_bytes == request->end_bytes - request->start_bytes));
	request->next_bytes += slice->len_bytes;
	FUZZ_CHECK(slice->last == (request->next_bytes == request->end_bytes));
	request->out++;
	if (slice->last) {
		request->queued = false;
		s->n_queued--;
	}
	s->n_discards += slice->op == FBS_DISCARD;
	FUZZ_CHECK(s->n_discards <= 1);
	FUZZ_CHECK(!s->params.io_throttle || s->n_out < s->params.io_throttle);
	s->out[s->n_out++] = *slice;
	s->n_slices++;
}

static void pump(struct stream *s)
{
	uint64_t wakeup_ns;
	struct fbs_slice slice;

	while (s->n_out < OUT_MOST && fbs_next(s->fbs, s->now_ns, &slice))
		issue(s, &slice);
	FUZZ_CHECK(fbs_in_flight(s->fbs) == s->n_out && fbs_queued(s->fbs) == s->n_queued);
	if (s->n_out == OUT_MOST)
		return;
	wakeup_ns = fbs_wakeup(s->fbs);
	FUZZ_CHECK(wakeup_ns > s->now_ns);
	FUZZ_CHECK(!s->n_queued || s->n_out || s->n_flushes || wakeup_ns != FBS_NEVER);
}

/* One comes back; it asks again if it may. */
static void done(struct stream *s, bool newest, bool again)
{
	unsigned i = newest ? s->n_out - 1 : 0;
	struct fbs_slice slice = s->out[i];
	struct request *request = (struct request *)(void *)slice.req;

	s->n_out--;
	memmove(&s->out[i], &s->out[i + 1], (s->n_out - i) * sizeof(*s->out));
	s->n_discards -= slice.op == FBS_DISCARD;
	request->out--;
	fbs_done(s->fbs, &slice, s->now_ns);
	if (again && !request->queued && !request->out && s->leaves[request->leaf] == request->node)
		push(s, request, request->leaf, request->op, request->start_bytes,
		     request->end_bytes - request->start_bytes);
}

/* It serves slices, each in so much time, or in time for each of its bytes. */
static void serve(struct stream *s, unsigned order)
{
	uint64_t step_ns = take_time(s);
	unsigned n = 1 + take(s);

	while (n-- > 0 && s->n_slices < SLICES_MOST) {
		if (s->n_out) {
			uint64_t size = s->out[0].len_bytes / (4 * KIB);

			s->now_ns +=
				order & 64 ? step_ns * (size < 64 ? size : 64) / 16 + 1 : step_ns;
			done(s, order & 16, order & 32);
		} else if (fbs_wakeup(s->fbs) != FBS_NEVER && fbs_wakeup(s->fbs) > s->now_ns) {
			s->now_ns = fbs_wakeup(s->fbs);
		} else {
			return;
		}
		pump(s);
	}
}

static void flush(struct stream *s)
{
	unsigned leaf = take(s) % LEAVES;

	if (s->n_flushes == FLUSHES) {
		struct fbs_flush oldest = s->flushes[0];

		memmove(s->flushes, s->flushes + 1, --s->n_flushes * sizeof(*s->flushes));
		s->now_ns += take_time(s);
		fbs_flush_done(s->fbs, &oldest, s->now_ns);
	}
	if (fbs_flush_may_start(s->fbs, s->leaves[leaf]))
		fbs_flush_start(s->fbs, s->leaves[leaf], s->now_ns, &s->flushes[s->n_flushes++]);
}

/* ---- settings ---- */

static void configure(struct stream *s)
{
	unsigned what = take(s), throttle = take(s);

	s->params.policy = (enum fbs_policy)(what % 3);
	s->params.isolation = (enum fbs_isolation)(what / 3 % 3);
	s->params.io_throttle = what & 128 ? throttle : 0;
	s->params.latency_target_ns = what & 64 ? take_time(s) : 0;
	s->params.capability = (struct fbs_capability){0};
	if (what & 32)
		s->params.capability = (struct fbs_capability){
			.read_iops = take_rate(s, 1000000000),
			.write_iops = take_rate(s, 1000000000),
			.read_bps = take_rate(s, 10000000000000),
			.write_bps = take_rate(s, 10000000000000),
		};
	fbs_configure(s->fbs, &s->params);
}

static struct fbs_max take_max(struct stream *s)
{
	return (struct fbs_max){.iops = take_rate(s, 1000000000),
				.bps = take_rate(s, 10000000000000),
				.write_iops = take_rate(s, 1000000000),
				.burst_ns = take_rate(s, 60 * SEC_NS)};
}

/* Of a leaf or group: weight, class, promise, cap, parent; or it goes and another one comes. */
static void set(struct stream *s)
{
	unsigned what = take(s), leaf = what % LEAVES, value = take(s);
	struct fbs_node *node = what & 8 ? s->groups[value % GROUPS] : s->leaves[leaf];
	struct fbs_min min;
	struct fbs_max max;

	switch (what >> 4) {
	case 0:
		fbs_set_weight(s->fbs, node, 1 + value * 39);
		break;
	case 1:
		fbs_set_class(s->fbs, node, (enum fbs_class)(value % FBS_CLASSES));
		break;
	case 2:
		min = (struct fbs_min){.iops = take_rate(s, 1000000000),
				       .bps = take_rate(s, 10000000000000)};
		fbs_set_min(s->fbs, node, &min);
		break;
	case 3: /* not of groups: what is below may have it */
		fbs_set_cap(s->fbs, s->leaves[leaf], value % 3 < CAPS ? s->caps[value % 3] : NULL);
		break;
	case 4:
		max = take_max(s);
		fbs_cap_configure(s->caps[value % CAPS], &max);
		break;
	case 5:
		FUZZ_CHECK(!fbs_set_parent(s->fbs, s->leaves[leaf], parent_at(s, value)));
		break;
	case 6:
		fbs_drop(s->fbs, s->leaves[leaf]);
		s->leaves[leaf] = fbs_add_leaf(s->fbs, parent_at(s, value), 1 + value);
		FUZZ_CHECK(s->leaves[leaf]);
		break;
	default:
		break;
	}
}

static void check_stats(const struct stream *s)
{
	struct fbs_stats stats;
	unsigned queued = 0;

	fbs_stats(s->fbs, &stats);
	FUZZ_CHECK(stats.in_flight == s->n_out && stats.queued == s->n_queued);
	for (unsigned i = 0; i < LEAVES; i++) {
		struct fbs_node_stats leaf;

		fbs_node_stats(s->fbs, s->leaves[i], &leaf);
		FUZZ_CHECK(leaf.entitled_ppm <= 1000000 && leaf.achieved_ppm <= 1000000);
		queued += leaf.queued;
	}
	FUZZ_CHECK(queued <= s->n_queued); /* dropped leaves may have the rest */
}

/* ---- the run ---- */

static void begin(struct stream *s)
{
	struct fbs_max max = {.iops = 100000};

	s->now_ns = SEC_NS << take(s) % 30;
	s->fbs = fbs_create(&s->params);
	FUZZ_CHECK(s->fbs);
	for (unsigned i = 0; i < GROUPS; i++) {
		s->groups[i] = fbs_add_group(s->fbs, i ? s->groups[0] : fbs_root(s->fbs), 100);
		FUZZ_CHECK(s->groups[i]);
	}
	for (unsigned i = 0; i < LEAVES; i++) {
		s->leaves[i] = fbs_add_leaf(s->fbs, parent_at(s, i), 1 + i * i * 10);
		FUZZ_CHECK(s->leaves[i]);
	}
	for (unsigned i = 0; i < CAPS; i++) {
		s->caps[i] = fbs_cap_create(&max);
		FUZZ_CHECK(s->caps[i]);
	}
}

static void end(struct stream *s)
{
	while (s->n_flushes > 0)
		fbs_flush_done(s->fbs, &s->flushes[--s->n_flushes], s->now_ns);
	for (unsigned i = 0; i < REQUESTS; i++)
		if (s->requests[i].queued)
			fbs_cancel(s->fbs, &s->requests[i].req);
	while (s->n_out > 0)
		done(s, true, false);
	FUZZ_CHECK(!fbs_in_flight(s->fbs) && !fbs_queued(s->fbs));
	fbs_check(s->fbs);
	fbs_destroy(s->fbs);
	for (unsigned i = 0; i < CAPS; i++)
		fbs_cap_unref(s->caps[i]);
}

static void order(struct stream *s)
{
	unsigned order = take(s);

	switch (order & 15) {
	case 0:
	case 1:
	case 2:
		load(s);
		break;
	case 3:
		cancel(s);
		break;
	case 4:
		s->now_ns += take_time(s) * (order & 16 ? 100 : 1);
		break;
	case 5:
		configure(s);
		break;
	case 6:
	case 7:
		set(s);
		break;
	case 8:
		flush(s);
		break;
	default:
		serve(s, order);
		break;
	}
	pump(s);
	fbs_check(s->fbs);
	check_stats(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0 || data[0] < 128) {
		world_run_bytes(data, size);
		return 0;
	}
	memset(&stream, 0, sizeof(stream));
	stream.data = data + 1;
	stream.end = data + size;
	begin(&stream);
	while (stream.data < stream.end && stream.n_slices < SLICES_MOST)
		order(&stream);
	end(&stream);
	return 0;
}
