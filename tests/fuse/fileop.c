/* SPDX-License-Identifier: MIT */
/*
 * fileop - one system call on a file, for the shell.
 *
 *     fileop FLAGS FILE OP [ARG...]
 *
 * FLAGS: r, w or rw, then any of ,direct ,dsync ,append ,trunc ,creat. Prints what the call
 * returned, or the name of its errno (that of open() if that fails). Status 0 but for wrong usage.
 *
 *     open
 *     read OFFSET LENGTH           bytes
 *     write OFFSET LENGTH BYTE     bytes; BYTE is a number
 *     dsync OFFSET LENGTH BYTE     the same with RWF_DSYNC
 *     check OFFSET LENGTH BYTE     "same", or the offset of the first byte that is not BYTE
 *     punch, zero, alloc OFFSET LENGTH; grow OFFSET LENGTH (allocate without KEEP_SIZE)
 *     data OFFSET, hole OFFSET     what lseek() finds
 *     truncate SIZE, size, fsync, xattr
 *     dioinfo                      memory alignment, least and greatest direct I/O
 *     size64, sectorsize           BLKGETSIZE64, BLKSSZGET
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#include "helper.h"

#define BUFFER_BYTES ((size_t)64 << 20)

struct dioattr { /* as in <xfs/xfs_fs.h> */
	uint32_t mem, least, most;
};
#define DIOINFO _IOR('X', 30, struct dioattr)

static int open_flags(const char *text)
{
	int flags = text[0] == 'w' ? O_WRONLY : text[1] == 'w' ? O_RDWR : O_RDONLY;

	flags |= strstr(text, ",direct") ? O_DIRECT : 0;
	flags |= strstr(text, ",dsync") ? O_DSYNC : 0;
	flags |= strstr(text, ",append") ? O_APPEND : 0;
	flags |= strstr(text, ",trunc") ? O_TRUNC : 0;
	flags |= strstr(text, ",creat") ? O_CREAT : 0;
	return flags;
}

static int64_t check(int fd, char *buf, uint64_t offset, uint64_t len, int byte)
{
	ssize_t n = pread(fd, buf, len, (off_t)offset);

	if (n < 0)
		return -1;
	for (ssize_t i = 0; i < n; i++)
		if ((unsigned char)buf[i] != byte)
			return (int64_t)offset + i;
	return (uint64_t)n < len ? (int64_t)offset + n : INT64_MAX;
}

int main(int argc, char **argv)
{
	uint64_t arg[3] = {0}, offset, len;
	char *buf = pages(BUFFER_BYTES);
	const char *op;
	int64_t result = 0;
	int fd;

	if (argc < 4 || argc > 7)
		die("usage: fileop FLAGS FILE OP [ARG...]");
	op = argv[3];
	for (int i = 4; i < argc; i++)
		arg[i - 4] = size_arg(argv[i]);
	offset = arg[0];
	len = arg[1];
	if (len > BUFFER_BYTES && op[0] != 'p' && op[0] != 'z')
		die("too long");
	fd = open(argv[2], open_flags(argv[1]), 0600);
	if (fd < 0) {
		result = -1;
	} else if (!strcmp(op, "read")) {
		result = pread(fd, buf, len, (off_t)offset);
	} else if (!strcmp(op, "write") || !strcmp(op, "dsync")) {
		struct iovec iov = {.iov_base = buf, .iov_len = len};

		memset(buf, (int)arg[2], len);
		result = pwritev2(fd, &iov, 1, (off_t)offset, op[0] == 'd' ? RWF_DSYNC : 0);
	} else if (!strcmp(op, "check")) {
		result = check(fd, buf, offset, len, (int)arg[2]);
		if (result == INT64_MAX) {
			puts("same");
			return 0;
		}
	} else if (!strcmp(op, "punch")) {
		result = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
				   (off_t)len);
	} else if (!strcmp(op, "zero")) {
		result = fallocate(fd, FALLOC_FL_ZERO_RANGE, (off_t)offset, (off_t)len);
	} else if (!strcmp(op, "alloc")) {
		result = fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len);
	} else if (!strcmp(op, "grow")) {
		result = fallocate(fd, 0, (off_t)offset, (off_t)len);
	} else if (!strcmp(op, "data")) {
		result = lseek(fd, (off_t)offset, SEEK_DATA);
	} else if (!strcmp(op, "hole")) {
		result = lseek(fd, (off_t)offset, SEEK_HOLE);
	} else if (!strcmp(op, "truncate")) {
		result = ftruncate(fd, (off_t)offset);
	} else if (!strcmp(op, "size")) {
		struct stat st;

		result = fstat(fd, &st);
		result = result ? result : st.st_size;
	} else if (!strcmp(op, "fsync")) {
		result = fsync(fd);
	} else if (!strcmp(op, "xattr")) {
		result = fsetxattr(fd, "user.a", "b", 1, 0);
	} else if (!strcmp(op, "dioinfo")) {
		struct dioattr dio;

		result = ioctl(fd, DIOINFO, &dio);
		if (!result) {
			printf("%u %u %u\n", dio.mem, dio.least, dio.most);
			return 0;
		}
	} else if (!strcmp(op, "size64")) {
		uint64_t bytes = 0;

		result = ioctl(fd, BLKGETSIZE64, &bytes);
		result = result ? result : (int64_t)bytes;
	} else if (!strcmp(op, "sectorsize")) {
		int bytes = 0;

		result = ioctl(fd, BLKSSZGET, &bytes);
		result = result ? result : bytes;
	} else if (strcmp(op, "open")) {
		die("no such operation: %s", op);
	}
	if (result < 0)
		puts(strerrorname_np(errno));
	else
		printf("%lld\n", (long long)result);
	return 0;
}
