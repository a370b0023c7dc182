/* SPDX-License-Identifier: MIT */
/*
 * price.c - what a slice costs, in nanoseconds of disk time.
 *
 * The linear model of Linux block/blk-iocost.c: a request costs its share of read_iops or
 * write_iops, which are for 4096 bytes, and each byte more its share of read_bps or write_bps. That
 * makes four prices, {read, write} x {request, byte}. Only their ratios matter to the shares: twice
 * as slow a disk is twice as slow for everybody.
 *
 * CORRECTION. Where the user gave no number the preset, that of a SATA flash disk, may be far off
 * for a disk of another kind. While the disk is kept full, the time that passes against what its
 * slices have paid is a number that should be the same for any mix of requests. So when the mix
 * changes and stays changed, and that number with it, the prices of what there is more of now were
 * too low, or too high:
 *
 *     error    = slowness after / slowness before - 1        slowness: time passed / time paid
 *     more[k]  = part[k] after - part[k] before              part: of what was paid
 *     step[k]  = error x more[k] / (4 x (sum of more^2 + a little))
 *     price[k] *= 1 + step[k], or price[k] /= 1 - step[k] if that is negative
 *
 * (one step of normalised least mean squares: B. Widrow, M. Hoff, "Adaptive switching circuits",
 * 1960.) Example: reads and writes are priced alike but writes take three times as long. When
 * readers give way to writers, slowness triples, clamped to a doubling; more is +1 for writes and
 * -1 for reads, so writes become an eighth dearer, reads as much cheaper; after a dozen such
 * changes the ratio is right. Up and down by the same step is back to the same price, and the mean
 * factor stays one: so that ten thousand steps for nothing, as chance has them, lead nowhere.
 *
 * Why only changes of the mix, and one bounded step for each. Disks are now slow and now fast for
 * reasons of their own, and then the mix follows the speed: a client that sends 1000 requests a
 * second is a larger part of what a slow disk does. Learning from every small fluctuation takes
 * such clients' requests for dear. A large change that lasts says more, and if it was the disk's
 * after all, the next ones put that right. A factor stays within 1/8 and 8, and prices that the
 * user gave stay altogether.
 *
 * Not handled: a mix that never changes teaches nothing, whatever is wrong. Such a disk is to be
 * calibrated.
 */
#include "price.h"

#include <string.h>

#define PRICE_SHIFT 20 /* 10 TB/s is 0.0001 ns per byte */
#define FACTOR_SHIFT 32
#define FACTOR_ONE (UINT64_C(1) << FACTOR_SHIFT)
#define FACTOR_MOST 8U

/* A SATA flash disk. */
#define PRESET_IOPS UINT64_C(20000)
#define PRESET_BPS UINT64_C(500000000)
#define IOPS_BYTES 4096U /* what a request of read_iops or write_iops carries */

#define INTERVAL_NS UINT64_C(50000000)
#define INTERVAL_SLICES 32U
#define INTERVAL_MOST_NS UINT64_C(5000000000) /* a disk that stood still tells nothing */
/* Fractions of one are in units of 1 / ONE. */
#define ONE (INT64_C(1) << 16)
#define LITTLE (ONE / 100)
#define STEP_MOST (ONE / 4)
#define PACE 4
/* A mix is another one from so much difference on, in the sum over the components ... */
#define CHANGE_LEAST (ONE / 4)
/* ... for so many intervals in a row, not counting those in which the window (window.h) adapts. */
#define SETTLE_INTERVALS 4U
#define CHANGE_INTERVALS 4U
#define MEAN_INTERVALS 32U

enum { REQUEST, BYTE }; /* + 2 for writes */

static uint64_t per_second(uint64_t rate)
{
	return (UINT64_C(1000000000) << PRICE_SHIFT) / rate;
}

static void set_now(struct price_list *list)
{
	for (unsigned k = 0; k < PRICES; k++)
		list->now[k] = (uint64_t)((unsigned __int128)list->base[k] * list->factor[k] >>
					  FACTOR_SHIFT);
}

void price_set(struct price_list *list, const struct fbs_capability *capability)
{
	const uint64_t given[PRICES] = {capability->read_iops, capability->read_bps,
					capability->write_iops, capability->write_bps};
	uint64_t base[PRICES];

	list->given = *capability;
	for (unsigned k = 0; k < PRICES; k++) {
		static const uint64_t preset[] = {PRESET_IOPS, PRESET_BPS};
		/* reads tell more of writes, and the other way round, than a preset does */
		uint64_t rate = given[k] ? given[k] : given[k ^ 2U] ? given[k ^ 2U] : preset[k % 2];

		base[k] = per_second(rate);
	}
	for (unsigned k = 0; k < PRICES; k += 2) {
		uint64_t first = base[k + BYTE] * IOPS_BYTES;

		base[k] = base[k] > first ? base[k] - first : 0;
	}
	for (unsigned k = 0; k < PRICES; k++) {
		list->fixed[k] = given[k] != 0;
		if (list->fixed[k] || base[k] != list->base[k])
			list->factor[k] = FACTOR_ONE;
		list->base[k] = base[k];
	}
	list->frozen = given[0] && given[1] && given[2] && given[3];
	list->began_ns = 0;
	list->usual.intervals = list->other.intervals = 0;
	set_now(list);
}

uint64_t price_of(const struct price_list *list, bool write, uint64_t bytes)
{
	const uint64_t *price = &list->now[write ? 2 : 0];

	return (uint64_t)((price[REQUEST] + (unsigned __int128)price[BYTE] * bytes) >>
			  PRICE_SHIFT) +
	       1;
}

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most)
{
	return value < least ? least : value > most ? most : value;
}

static int64_t difference(const struct price_mix *a, const struct price_mix *b)
{
	int64_t sum = 0;

	for (unsigned k = 0; k < PRICES; k++)
		sum += a->part[k] > b->part[k] ? a->part[k] - b->part[k] : b->part[k] - a->part[k];
	return sum;
}

static void add(struct price_mix *mean, const struct price_mix *one)
{
	int64_t n;

	if (mean->intervals < MEAN_INTERVALS)
		mean->intervals++;
	n = mean->intervals;
	for (unsigned k = 0; k < PRICES; k++)
		mean->part[k] += (one->part[k] - mean->part[k]) / n;
	mean->slowness =
		mean->slowness - mean->slowness / (uint64_t)n + one->slowness / (uint64_t)n;
}

/* Of the step that a change of the mix from usual to other calls for; see the head. */
static void learn(struct price_list *list)
{
	const struct price_mix *from = &list->usual, *to = &list->other;
	uint64_t ratio = (uint64_t)((unsigned __int128)to->slowness * ONE / from->slowness);
	int64_t error = (int64_t)clamp(ratio, ONE / 2, 2 * ONE) - ONE;
	int64_t more[PRICES], squares = LITTLE;
	uint64_t sum = 0;
	bool free = true;

	for (unsigned k = 0; k < PRICES; k++) {
		more[k] = to->part[k] - from->part[k];
		squares += more[k] * more[k] / ONE;
		free = free && !list->fixed[k];
	}
	for (unsigned k = 0; k < PRICES; k++) {
		int64_t step = error * more[k] / squares / PACE;
		uint64_t by = (uint64_t)(ONE + (step < 0 ? -step : step));

		by = clamp(by, ONE, ONE + STEP_MOST);
		if (!list->fixed[k])
			list->factor[k] =
				step < 0 ? list->factor[k] * ONE / by : list->factor[k] * by / ONE;
		sum += list->factor[k];
	}
	for (unsigned k = 0; k < PRICES; k++) {
		uint64_t factor = list->factor[k];

		if (free)
			factor = (uint64_t)((unsigned __int128)factor * PRICES * FACTOR_ONE / sum);
		if (!list->fixed[k])
			list->factor[k] =
				clamp(factor, FACTOR_ONE / FACTOR_MOST, FACTOR_ONE * FACTOR_MOST);
	}
	set_now(list);
}

static void end_interval(struct price_list *list, uint64_t elapsed_ns)
{
	unsigned __int128 paid = 0, slowness;
	struct price_mix one = {0};

	for (unsigned k = 0; k < PRICES; k++)
		paid += list->paid[k];
	slowness = paid ? ((unsigned __int128)elapsed_ns << (PRICE_SHIFT + 32)) / paid : 0;
	if (slowness < MEAN_INTERVALS || slowness > UINT64_MAX / 2)
		return;
	one.slowness = (uint64_t)slowness;
	for (unsigned k = 0; k < PRICES; k++)
		one.part[k] = (int64_t)((unsigned __int128)list->paid[k] * ONE / paid);
	if (!list->usual.intervals || difference(&one, &list->usual) < CHANGE_LEAST) {
		list->other.intervals = 0;
		add(&list->usual, &one);
		return;
	}
	if (!list->other.intervals || difference(&one, &list->other) >= CHANGE_LEAST) {
		list->other = (struct price_mix){0};
		list->settled = false;
	}
	add(&list->other, &one);
	if (!list->settled && list->other.intervals >= SETTLE_INTERVALS) {
		list->other = (struct price_mix){0};
		add(&list->other, &one);
		list->settled = true;
	}
	if (!list->settled)
		return;
	if (list->other.intervals < CHANGE_INTERVALS)
		return;
	if (list->usual.intervals >= CHANGE_INTERVALS)
		learn(list);
	/* as the new prices would have it is for the next intervals to tell */
	list->usual = (struct price_mix){0};
	list->other = (struct price_mix){0};
}

void price_observe(struct price_list *list, bool write, uint64_t bytes, bool full, uint64_t now_ns)
{
	const uint64_t *price = &list->now[write ? 2 : 0];
	unsigned k = write ? 2 : 0;

	if (list->frozen)
		return;
	if (!full || !list->began_ns || now_ns - list->began_ns > INTERVAL_MOST_NS) {
		list->began_ns = now_ns;
		list->slices = 0;
		memset(list->paid, 0, sizeof(list->paid));
		return;
	}
	list->paid[k + REQUEST] += price[REQUEST];
	list->paid[k + BYTE] += price[BYTE] * bytes;
	list->slices++;
	if (list->slices < INTERVAL_SLICES || now_ns - list->began_ns < INTERVAL_NS)
		return;
	end_interval(list, now_ns - list->began_ns);
	list->began_ns = now_ns;
	list->slices = 0;
	memset(list->paid, 0, sizeof(list->paid));
}

static uint64_t rate_of(uint64_t price)
{
	return price ? (UINT64_C(1000000000) << PRICE_SHIFT) / price : UINT64_MAX;
}

struct fbs_capability price_capability(const struct price_list *list)
{
	return (struct fbs_capability){
		.read_iops = rate_of(list->now[0] + list->now[1] * IOPS_BYTES),
		.read_bps = rate_of(list->now[1]),
		.write_iops = rate_of(list->now[2] + list->now[3] * IOPS_BYTES),
		.write_bps = rate_of(list->now[3]),
	};
}
