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
 * for a disk of another kind. While the disk is kept full, the time that an interval takes against
 * what its slices have paid tells whether they paid enough. A mean over all intervals says nothing:
 * that is the disk's speed. But if intervals with more of component k than usual take longer than
 * usual for what they paid, k is too cheap:
 *
 *     error    = (time / paid) / usual(time / paid) - 1
 *     more[k]  = paid[k] / paid - usual(paid[k] / paid)
 *     price[k] *= 1 + error x more[k] / (8 x (sum of more^2 + a little))
 *
 * (normalised least mean squares: B. Widrow, M. Hoff, "Adaptive switching circuits", 1960.) So
 * it learns only from changes in the mix of requests, slowly (an interval is 50 ms or more; a
 * price moves by a tenth at most), up to eightfold either way, and what a mix costs as a whole
 * stays as it was. Example: reads and writes are priced alike but writes take three times as long.
 * When a writer joins the readers, the interval takes longer than was paid for, more[write] is
 * positive, more[read] negative: writes become dearer, reads cheaper, until the ratio is right.
 *
 * Not handled: a mix that never changes teaches nothing, whatever is wrong. Such a disk is to be
 * calibrated, and numbers that the user gives stay as they are.
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
#define ERROR_MOST (ONE / 2)
#define LITTLE (ONE / 100)
#define PACE 8
#define USUAL 32 /* intervals that make up the mean */

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
	list->slowness = 0;
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

/* A mean over about USUAL intervals. */
static uint64_t mean(uint64_t usual, uint64_t value)
{
	return usual - usual / USUAL + value / USUAL;
}

static void learn(struct price_list *list, uint64_t elapsed_ns)
{
	unsigned __int128 paid = 0, slowness;
	int64_t part[PRICES], more[PRICES], step[PRICES], error, squares = LITTLE, whole = 0;
	bool free = true; /* to keep the mean where it was */

	for (unsigned k = 0; k < PRICES; k++)
		paid += list->paid[k];
	if (!paid)
		return;
	slowness = ((unsigned __int128)elapsed_ns << (PRICE_SHIFT + 32)) / paid;
	if (slowness > UINT64_MAX / USUAL || !slowness)
		return;
	for (unsigned k = 0; k < PRICES; k++)
		part[k] = (int64_t)(((unsigned __int128)list->paid[k] * ONE) / paid);
	if (!list->slowness) {
		list->slowness = (uint64_t)slowness;
		for (unsigned k = 0; k < PRICES; k++)
			list->usual[k] = (uint64_t)part[k] * USUAL;
		return;
	}
	error = (int64_t)clamp((uint64_t)(slowness * (uint64_t)ONE / list->slowness),
			       ONE - ERROR_MOST, ONE + ERROR_MOST) -
		ONE;
	for (unsigned k = 0; k < PRICES; k++) {
		more[k] = part[k] - (int64_t)(list->usual[k] / USUAL);
		squares += more[k] * more[k] / ONE;
	}
	for (unsigned k = 0; k < PRICES; k++) {
		step[k] = list->fixed[k] ? 0 : error * more[k] / squares / PACE;
		list->usual[k] = list->usual[k] - list->usual[k] / USUAL + (uint64_t)part[k];
		whole += (int64_t)(list->usual[k] / USUAL) * (ONE + step[k]) / ONE;
		free = free && !list->fixed[k];
	}
	for (unsigned k = 0; k < PRICES; k++) {
		unsigned __int128 factor = list->factor[k];

		factor = factor * (uint64_t)(ONE + step[k]) / (uint64_t)(free ? whole : ONE);
		if (!list->fixed[k])
			list->factor[k] = clamp((uint64_t)factor, FACTOR_ONE / FACTOR_MOST,
						FACTOR_ONE * FACTOR_MOST);
	}
	list->slowness = mean(list->slowness, (uint64_t)slowness);
	set_now(list);
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
	learn(list, now_ns - list->began_ns);
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
