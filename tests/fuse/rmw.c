/* SPDX-License-Identifier: MIT */
/*
 * rmw - many threads write next to each other, and none may touch what is another's.
 *
 *     rmw [-s SEED] [-t SECONDS] [-u THREADS] [-d THREADS] [-a ALIGN] [-p PUNCH_ALIGN]
 *         [-r START] -o EXPECTED FILE
 *
 * From START (default 0) to the end of FILE every byte belongs to one thread. Pieces of 1..700
 * bytes go to the -u threads (default 6), which write parts of them without O_DIRECT; runs of
 * 1..3 blocks of ALIGN bytes (default 512) go to the -d threads (default 3), which write them with
 * O_DIRECT; both kinds alternate so closely that most blocks have several owners or an aligned
 * neighbour. Every thread also punches holes into its own bytes (aligned to PUNCH_ALIGN,
 * default 1, and the size of it; 0: never), and reads back now and then what must be there. At the
 * end all of it is compared, and written to EXPECTED, so that the backing can be compared, too.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "helper.h"

#define THREADS_MAX 64U
#define PIECE_MAX 700U

struct piece {
	uint64_t start, len;
};

struct owner {
	pthread_t thread;
	struct piece *pieces;
	size_t n, capacity;
	uint64_t state;
	unsigned index;
	bool direct;
};

static struct owner owners[THREADS_MAX];
static unsigned n_unaligned = 6, n_direct = 3;
static uint64_t size, align = 512, punch_align = 1, end_ns;
static int fds[2];
static char *shadow; /* each byte is touched by its owner alone */
static _Atomic uint64_t writes, punches, reads;

static void add_piece(struct owner *o, uint64_t start, uint64_t len)
{
	if (o->n == o->capacity) {
		o->capacity = o->capacity ? 2 * o->capacity : 64;
		o->pieces = realloc(o->pieces, o->capacity * sizeof(*o->pieces));
		if (!o->pieces)
			die("no memory");
	}
	o->pieces[o->n++] = (struct piece){start, len};
}

static uint64_t shorter(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * Whole blocks for those who write directly, the rest in pieces; a partial last block is not
 * theirs.
 */
static void share_out(uint64_t start, uint64_t *state)
{
	uint64_t at = start;

	while (at < size) {
		uint64_t odd_end, block = (at + align - 1) / align * align;
		uint64_t whole = block < size ? (size - block) / align : 0;

		if (n_direct && whole && rng_below(state, 3)) {
			whole = shorter(whole, 1 + rng_below(state, 3));
			/* up to the block, then the blocks */
			for (; at < block;) {
				uint64_t len = shorter(block - at, 1 + rng_below(state, PIECE_MAX));

				add_piece(&owners[rng_below(state, n_unaligned)], at, len);
				at += len;
			}
			add_piece(&owners[n_unaligned + rng_below(state, n_direct)], at,
				  whole * align);
			at += whole * align;
			continue;
		}
		odd_end = shorter(size, at + 1 + rng_below(state, 3 * align));
		while (at < odd_end) {
			uint64_t len = shorter(odd_end - at, 1 + rng_below(state, PIECE_MAX));

			add_piece(&owners[rng_below(state, n_unaligned)], at, len);
			at += len;
		}
	}
}

static void compare(const struct owner *o, const char *buf, uint64_t start, uint64_t len,
		    const char *when)
{
	for (uint64_t i = 0; i < len; i++)
		if (buf[i] != shadow[start + i])
			die("%s: thread %u (%s): byte %llu is %#x, should be %#x", when, o->index,
			    o->direct ? "direct" : "unaligned", (unsigned long long)(start + i),
			    (unsigned char)buf[i], (unsigned char)shadow[start + i]);
}

static void *own(void *arg)
{
	struct owner *o = arg;
	char *buf = pages(((PIECE_MAX + 3 * align) | 8191) + 1);
	uint64_t *state = &o->state;

	while (o->n && now_ns() < end_ns) {
		const struct piece *p = &o->pieces[rng_below(state, o->n)];
		uint64_t unit = o->direct ? align : 1, units = p->len / unit;
		uint64_t start = p->start + unit * rng_below(state, units);
		uint64_t len = unit * (1 + rng_below(state, units - (start - p->start) / unit));
		uint64_t r = rng_below(state, 20);
		ssize_t n;

		if (r < 3) {
			n = pread(fds[o->direct], buf, len, (off_t)start);
			if (n != (ssize_t)len)
				die("read of %llu at %llu: %zd %s", (unsigned long long)len,
				    (unsigned long long)start, n, strerror(errno));
			compare(o, buf, start, len, "meanwhile");
			atomic_fetch_add(&reads, 1);
			continue;
		}
		if (r == 3 && punch_align) {
			uint64_t from = (start + punch_align - 1) / punch_align * punch_align;
			uint64_t to = (start + len) / punch_align * punch_align;

			if (from >= to)
				continue;
			if (fallocate(fds[0], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				      (off_t)from, (off_t)(to - from)))
				die("punch: %s", strerror(errno));
			memset(shadow + from, 0, to - from);
			atomic_fetch_add(&punches, 1);
			continue;
		}
		memset(buf, (int)rng(state), len);
		n = pwrite(fds[o->direct], buf, len, (off_t)start);
		if (n != (ssize_t)len)
			die("write of %llu at %llu: %zd %s", (unsigned long long)len,
			    (unsigned long long)start, n, strerror(errno));
		memcpy(shadow + start, buf, len);
		atomic_fetch_add(&writes, 1);
	}
	return NULL;
}

/* All of it, and whose the first wrong byte is. */
static void compare_all(int direct)
{
	uint64_t room = (size + align - 1) / align * align;
	char *buf = pages(room);

	for (uint64_t at = 0; at < size;) {
		ssize_t n = pread(fds[direct], buf + at, room - at, (off_t)at);

		if (n <= 0)
			die("read at %llu: %s", (unsigned long long)at, strerror(errno));
		at += (uint64_t)n;
	}
	for (unsigned i = 0; i < n_unaligned + n_direct; i++)
		for (size_t k = 0; k < owners[i].n; k++)
			compare(&owners[i], buf + owners[i].pieces[k].start,
				owners[i].pieces[k].start, owners[i].pieces[k].len, "at the end");
	if (memcmp(buf, shadow, size))
		die("what belongs to nobody has changed");
	munmap(buf, room);
}

static void read_all(int fd)
{
	for (uint64_t at = 0; at < size;) {
		ssize_t n = pread(fd, shadow + at, size - at, (off_t)at);

		if (n <= 0)
			die("first read at %llu: %s", (unsigned long long)at, strerror(errno));
		at += (uint64_t)n;
	}
}

int main(int argc, char **argv)
{
	uint64_t seed = seed_from(NULL), seconds = 5, start = 0, state;
	const char *out = NULL;
	struct stat st;
	FILE *f;

	for (int c; (c = getopt(argc, argv, "s:t:u:d:a:p:r:o:")) != -1;) {
		if (c == 's')
			seed = seed_from(optarg);
		else if (c == 't')
			seconds = size_arg(optarg);
		else if (c == 'u')
			n_unaligned = (unsigned)size_arg(optarg);
		else if (c == 'd')
			n_direct = (unsigned)size_arg(optarg);
		else if (c == 'a')
			align = size_arg(optarg);
		else if (c == 'p')
			punch_align = size_arg(optarg);
		else if (c == 'r')
			start = size_arg(optarg);
		else if (c == 'o')
			out = optarg;
		else
			return 2;
	}
	if (optind != argc - 1 || !out || !n_unaligned || n_unaligned + n_direct > THREADS_MAX)
		die("usage: rmw [-s SEED] [-t SECONDS] [-u N] [-d N] [-a ALIGN] [-p ALIGN] [-r "
		    "START] "
		    "-o EXPECTED FILE");
	printf("rmw: %s, seed %#llx\n", argv[optind], (unsigned long long)seed);
	fflush(stdout);
	state = seed;
	for (int i = 0; i < 2; i++) {
		fds[i] = open(argv[optind], O_RDWR | (i ? O_DIRECT : 0));
		if (fds[i] < 0 || fstat(fds[i], &st))
			die("%s: %s", argv[optind], strerror(errno));
	}
	size = (uint64_t)st.st_size;
	shadow = pages(size);
	read_all(fds[0]);
	share_out(start, &state);
	end_ns = now_ns() + seconds * UINT64_C(1000000000);
	for (unsigned i = 0; i < n_unaligned + n_direct; i++) {
		owners[i].index = i;
		owners[i].direct = i >= n_unaligned;
		owners[i].state = rng(&state);
		if (pthread_create(&owners[i].thread, NULL, own, &owners[i]))
			die("no thread");
	}
	for (unsigned i = 0; i < n_unaligned + n_direct; i++)
		pthread_join(owners[i].thread, NULL);
	compare_all(0);
	compare_all(1);
	f = fopen(out, "w");
	if (!f || fwrite(shadow, 1, size, f) != size || fclose(f))
		die("%s: %s", out, strerror(errno));
	printf("rmw: %llu writes, %llu punches, %llu reads\n", (unsigned long long)writes,
	       (unsigned long long)punches, (unsigned long long)reads);
	return 0;
}
