/* SPDX-License-Identifier: MIT */
/*
 * fsx - a file against a copy in memory: random reads, writes, punches, zeros, flushes.
 *
 *     fsx [-s SEED] [-n OPERATIONS] [-t SECONDS] [-a ALIGN] [-p PUNCH_ALIGN] [-o OUT]
 *         [-b START] [-l LENGTH] FILE
 *
 * The file's contents are the start. Operations go through a descriptor with O_DIRECT (offset and
 * length multiples of ALIGN then, default 512) and one without (any offset and length), and
 * are up to 300 KiB long, rarely up to 3 MiB; some writes are RWF_DSYNC. Every read must bring what
 * was written last, every write must go through as a whole. Punches and zeros are of multiples of
 * PUNCH_ALIGN (default 1); once refused with EOPNOTSUPP they are no longer tried. Writes beyond the
 * end must fail, and change nothing. At the end all of the file is compared, both ways, and the
 * expected contents are written to FILE given by -o. The same seed does the same again.
 *
 * With -b and -l all of that is about LENGTH bytes from START on (multiples of ALIGN), and nothing
 * else is touched: several processes can have their part of one file each.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "helper.h"

#define LONG_MAX_BYTES ((uint64_t)3 << 20)
#define SHORT_MAX_BYTES ((uint64_t)300 << 10)
#define SLACK 8192U /* a read may ask for more than there is */

static uint64_t state, size, done;
static uint64_t base; /* of our part */
static int at_end;    /* our part is the last one */
static int fds[2];    /* without and with O_DIRECT */
static char *shadow, *buf;
static const char *last = "start";

static void mismatch(uint64_t offset, uint64_t len, int direct)
{
	uint64_t at = 0;

	while (shadow[offset + at] == buf[at])
		at++;
	die("operation %llu: %s read of %llu at %llu: byte %llu is %#x, should be %#x (after %s)",
	    (unsigned long long)done, direct ? "direct" : "other", (unsigned long long)len,
	    (unsigned long long)offset, (unsigned long long)(offset + at), (unsigned char)buf[at],
	    (unsigned char)shadow[offset + at], last);
}

static void read_and_compare(uint64_t offset, uint64_t len, int direct)
{
	uint64_t there = offset >= size ? 0 : size - offset < len ? size - offset : len;
	uint64_t got = 0;

	while (got < there) { /* a long one may come in parts, as from any file */
		ssize_t n = pread(fds[direct], buf + got, len - got, (off_t)(base + offset + got));

		if (n <= 0)
			die("operation %llu: read of %llu at %llu gave %zd: %s",
			    (unsigned long long)done, (unsigned long long)len,
			    (unsigned long long)offset, n, n ? strerror(errno) : "too short");
		got += (uint64_t)n;
	}
	if (got != there ||
	    (at_end && pread(fds[0], buf + got, 1, (off_t)(base + size + got)) != 0))
		die("operation %llu: a read of %llu at %llu gave %llu", (unsigned long long)done,
		    (unsigned long long)len, (unsigned long long)offset, (unsigned long long)got);
	if (memcmp(buf, shadow + offset, there))
		mismatch(offset, there, direct);
}

static ssize_t write_at(int fd, const char *from, uint64_t len, uint64_t offset, int flags)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)from, .iov_len = len};

	return pwritev2(fd, &iov, 1, (off_t)(base + offset), flags);
}

static void do_write(uint64_t offset, uint64_t len, int direct)
{
	uint64_t put = 0, value = rng(&state);
	int flags = value % 16 ? 0 : RWF_DSYNC;
	ssize_t n;

	for (uint64_t i = 0; i < len; i++)
		buf[i] = (char)((value >> (i % 8 * 8)) + (offset + i) / 8);
	last = flags ? "a write with O_DSYNC" : direct ? "a direct write" : "another write";
	if (len > size || offset > size - len) {
		n = write_at(fds[0], buf, len, offset, flags);
		if (n >= 0 && offset + (uint64_t)n > size)
			die("operation %llu: %zd bytes written beyond the end at %llu",
			    (unsigned long long)done, n, (unsigned long long)offset);
		if (n < 0 && errno != ENOSPC)
			die("operation %llu: a write beyond the end gave %s",
			    (unsigned long long)done, strerrorname_np(errno));
		put = n > 0 ? (uint64_t)n : 0;
	}
	while (offset + len <= size && put < len) {
		n = write_at(fds[direct], buf + put, len - put, offset + put, flags);
		if (n <= 0)
			die("operation %llu: write of %llu at %llu gave %zd: %s",
			    (unsigned long long)done, (unsigned long long)len,
			    (unsigned long long)offset, n, strerror(errno));
		put += (uint64_t)n;
	}
	memcpy(shadow + offset, buf, put);
}

static void do_fallocate(uint64_t offset, uint64_t len, int zero)
{
	static int refused[2];
	int mode = zero ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE;

	if (refused[zero] || !len || offset + len > size)
		return;
	last = zero ? "a zero range" : "a punch";
	if (!fallocate(fds[0], mode | FALLOC_FL_KEEP_SIZE, (off_t)(base + offset), (off_t)len)) {
		memset(shadow + offset, 0, len);
	} else if (errno == EOPNOTSUPP) {
		refused[zero] = 1;
		printf("fsx: %s is not supported\n", last);
	} else {
		die("operation %llu: %s of %llu at %llu: %s", (unsigned long long)done, last,
		    (unsigned long long)len, (unsigned long long)offset, strerror(errno));
	}
}

/* Half of the time close to the end, to a block or to a slice: that is where the bugs are. */
static uint64_t some_offset(void)
{
	uint64_t offset = rng_below(&state, size), near = rng_below(&state, 9) - 4;

	switch (rng_below(&state, 8)) {
	case 0:
		offset = size - rng_below(&state, size < SLACK ? size : SLACK);
		break;
	case 1:
		offset = (offset & ~(uint64_t)4095) + near;
		break;
	case 2:
		offset = (offset & ~(uint64_t)0x1ffff) + near;
		break;
	case 3:
		offset &= ~(uint64_t)511;
		break;
	}
	return offset > size ? 0 : offset;
}

static void one(uint64_t align, uint64_t punch_align)
{
	uint64_t r = rng_below(&state, 100), offset = some_offset(), len;
	int direct = (int)rng_below(&state, 2);

	len = rng_below(&state, 4)    ? 1 + rng_below(&state, 5000)
	      : rng_below(&state, 20) ? 1 + rng_below(&state, SHORT_MAX_BYTES)
				      : 1 + rng_below(&state, LONG_MAX_BYTES);
	if (r < 88 && direct) {
		offset -= offset % align;
		len = (len + align - 1) / align * align;
	}
	if (!at_end && offset + len > size)
		len = r < 88 && direct ? (size - offset) / align * align : size - offset;
	if (r < 45) {
		read_and_compare(offset, len, direct);
	} else if (r < 88) {
		if (rng_below(&state, 30) && offset + len > size) /* mostly inside */
			len = direct ? (size - offset) / align * align : size - offset;
		if (len)
			do_write(offset, len, direct);
	} else if (r < 96) {
		if (offset + len > size)
			len = size - offset;
		offset -= offset % punch_align;
		if (offset + len != size || size % punch_align == 0)
			len -= len % punch_align;
		do_fallocate(offset, len, r & 1);
	} else if (fsync(fds[direct])) {
		die("operation %llu: fsync: %s", (unsigned long long)done, strerror(errno));
	}
}

static void save(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	for (uint64_t at = 0; at < size;) {
		ssize_t n = write(fd, shadow + at, size - at);

		if (n <= 0)
			die("%s: %s", path, strerror(errno));
		at += (uint64_t)n;
	}
	close(fd);
}

int main(int argc, char **argv)
{
	uint64_t seed = seed_from(NULL), operations = UINT64_MAX, seconds = 5, align = 512;
	uint64_t punch_align = 1, end_ns, length = 0;
	const char *out = NULL;
	struct stat st;

	for (int c; (c = getopt(argc, argv, "s:n:t:a:p:o:b:l:")) != -1;) {
		if (c == 's')
			seed = seed_from(optarg);
		else if (c == 'n')
			operations = size_arg(optarg);
		else if (c == 't')
			seconds = size_arg(optarg);
		else if (c == 'a')
			align = size_arg(optarg);
		else if (c == 'p')
			punch_align = size_arg(optarg);
		else if (c == 'o')
			out = optarg;
		else if (c == 'b')
			base = size_arg(optarg);
		else if (c == 'l')
			length = size_arg(optarg);
		else
			return 2;
	}
	if (optind != argc - 1 || base % align || length % align)
		die("usage: fsx [-s SEED] [-n OPS] [-t SECONDS] [-a ALIGN] [-p ALIGN] [-o OUT] "
		    "[-b START] [-l LENGTH] FILE");
	printf("fsx: %s, seed %#llx\n", argv[optind], (unsigned long long)seed);
	fflush(stdout);
	state = seed;
	for (int i = 0; i < 2; i++) {
		fds[i] = open(argv[optind], O_RDWR | (i ? O_DIRECT : 0));
		if (fds[i] < 0 || fstat(fds[i], &st))
			die("%s: %s", argv[optind], strerror(errno));
	}
	if (base >= (uint64_t)st.st_size || length > (uint64_t)st.st_size - base)
		die("%s has %lld bytes", argv[optind], (long long)st.st_size);
	size = length ? length : (uint64_t)st.st_size - base;
	at_end = base + size == (uint64_t)st.st_size;
	shadow = pages(size);
	buf = pages((size > LONG_MAX_BYTES ? size : LONG_MAX_BYTES) + SLACK);
	for (uint64_t at = 0; at < size;) {
		ssize_t n = pread(fds[0], shadow + at, size - at, (off_t)(base + at));

		if (n <= 0)
			die("first read at %llu: %s", (unsigned long long)at, strerror(errno));
		at += (uint64_t)n;
	}
	end_ns = now_ns() + seconds * UINT64_C(1000000000);
	for (; done < operations && (operations != UINT64_MAX || now_ns() < end_ns); done++)
		one(align, punch_align);
	read_and_compare(0, size, 0);
	read_and_compare(0, (size + align - 1) / align * align, 1);
	if (fstat(fds[0], &st) || (at_end && (uint64_t)st.st_size != base + size))
		die("the size changed");
	if (out)
		save(out);
	printf("fsx: %llu operations\n", (unsigned long long)done);
	return 0;
}
