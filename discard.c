/* SPDX-License-Identifier: MIT */
/* discard.c - see discard.h. */
#include "discard.h"

#include <stdbool.h>

#define FIRST_SIZE 1U /* 64 MiB: 1 GiB at once can freeze a small disk for seconds */
#define SHORT_NS UINT64_C(1000000)
#define LONG_NS UINT64_C(8000000)

void discard_init(struct discard_size *size)
{
	*size = (struct discard_size){.now = FIRST_SIZE};
}

uint64_t discard_unit_bytes(const struct discard_size *size)
{
	return DISCARD_LEAST_BYTES << size->now;
}

/* Half the size is not even a quarter shorter. (If it seems to be longer, that was long ago.) */
static bool smaller_is_no_shorter(const struct discard_size *size, unsigned i)
{
	uint64_t smaller_ns = i ? size->took_ns[i - 1] : size->took_ns[i];

	return smaller_ns >= size->took_ns[i] / 4 * 3 && smaller_ns / 2 <= size->took_ns[i];
}

static bool larger_may_not_be_longer(const struct discard_size *size, unsigned i)
{
	return i + 1 < DISCARD_SIZES &&
	       (!size->took_ns[i + 1] || size->took_ns[i + 1] <= size->took_ns[i] / 2 * 3);
}

void discard_done(struct discard_size *size, uint64_t bytes, uint64_t took_ns)
{
	unsigned i = 0;

	while (i < DISCARD_SIZES && DISCARD_LEAST_BYTES << i != bytes)
		i++;
	if (i == DISCARD_SIZES)
		return;
	size->took_ns[i] = size->took_ns[i] ? (size->took_ns[i] + took_ns) / 2 : took_ns;
	if (!size->took_ns[i])
		size->took_ns[i] = 1;
	if (i != size->now) /* of a size that has been left behind */
		return;
	if (size->took_ns[i] < SHORT_NS) {
		size->now += i + 1 < DISCARD_SIZES;
	} else if (size->took_ns[i] > LONG_NS) {
		if (!smaller_is_no_shorter(size, i))
			size->now--;
		else if (larger_may_not_be_longer(size, i))
			size->now++;
	}
}
