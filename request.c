/* SPDX-License-Identifier: MIT */
/*
 * request.c - see request.h.
 *
 * Nothing is taken on trust: lengths are checked against what was read, and offsets against the
 * file, before anything is used.
 */
#include "request.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/*
 * What a file system may write back around a dirty byte: a page or a block of its own, whichever is
 * larger.
 */
#define TAIL_LOCK_BYTES (UINT64_C(64) << 10)
#define INT64_LIMIT ((uint64_t)INT64_MAX)

_Static_assert(sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in) == REQUEST_HEADER_BYTES,
	       "payloads of writes are page-aligned");

static bool aligned(uint64_t value, uint32_t unit)
{
	return !(value & (unit - 1U));
}

static uint64_t down(uint64_t value, uint64_t unit)
{
	return value & ~(unit - 1U);
}

static uint64_t up(uint64_t value, uint64_t unit)
{
	return down(value + unit - 1U, unit);
}

static enum request_fate fail(struct io *io, int error)
{
	io->error = error;
	return REQUEST_ANSWER;
}

/* Reads end at the end of the file. Unaligned ones read whole blocks and answer a part. */
static enum request_fate check_read(struct io *io, uint64_t pos, uint64_t len)
{
	const struct backing *backing = io->file->backing;
	uint64_t size = io->file->size_bytes;
	uint32_t unit = backing->align_bytes;

	if (len > REQUEST_PAYLOAD_MAX)
		return fail(io, -EINVAL);
	if (io->client_direct && (!aligned(pos, unit) || !aligned(len, unit)))
		return fail(io, -EINVAL);
	if (pos >= size || !len) {
		io->len_bytes = 0;
		return REQUEST_ANSWER;
	}
	io->pos_bytes = pos;
	io->len_bytes = len < size - pos ? len : size - pos;
	io->base_bytes = down(pos, unit);
	io->req.op = FBS_READ;
	io->req.pos_bytes = io->base_bytes;
	io->req.end_bytes = up(pos + io->len_bytes, unit);
	return REQUEST_IO;
}

/*
 * Writes must fit. A part of a block is written by fetching the block first, but for the
 * partial last one of an image: O_DIRECT cannot write that without growing the file, so it
 * goes through the page cache, and holds its page against direct writes meanwhile (the
 * kernel writes a dirty page out before a later direct write or read of it).
 */
static enum request_fate check_write(struct io *io, uint64_t pos, uint64_t len)
{
	const struct backing *backing = io->file->backing;
	uint64_t size = io->file->size_bytes;
	uint32_t unit = backing->align_bytes;

	if (io->file->readonly)
		return fail(io, -EROFS);
	if (io->client_direct && (!aligned(pos, unit) || !aligned(len, unit)))
		return fail(io, -EINVAL);
	if (len > size || pos > size - len)
		return fail(io, -ENOSPC);
	if (!len)
		return REQUEST_ANSWER;
	if (pos + len > io->file->present_bytes) /* it has shrunk, and must not grow again */
		return fail(io, -EIO);
	io->pos_bytes = io->base_bytes = pos;
	io->len_bytes = len;
	io->req.op = FBS_WRITE;
	io->req.pos_bytes = pos;
	io->req.end_bytes = pos + len;
	io->range.start_bytes = pos;
	io->range.end_bytes = pos + len;
	if (aligned(pos, unit) && aligned(len, unit))
		return REQUEST_IO;
	io->range.exclusive = true;
	if (up(pos + len, unit) > size) {
		/* positions of the page cache are those of the object, not of the range we show */
		uint64_t start = backing->start_bytes, from = down(start + pos, TAIL_LOCK_BYTES);

		io->phase = IO_TAIL;
		io->range.start_bytes = from > start ? from - start : 0;
		io->range.end_bytes = up(start + pos + len, TAIL_LOCK_BYTES) - start;
		return REQUEST_IO;
	}
	io->phase = IO_FETCH;
	io->req.op = FBS_READ;
	io->req.pos_bytes = io->range.start_bytes = down(pos, unit);
	io->req.end_bytes = io->range.end_bytes = up(pos + len, unit);
	return REQUEST_IO;
}

/*
 * Punch, zero, allocate: none of them may change the size. `discard = ignore` refuses to punch
 * rather than claim success, as whoever punches may rely on reading zeros afterwards.
 */
static enum request_fate check_fallocate(struct io *io, uint64_t pos, uint64_t len, uint32_t mode)
{
	const struct file *file = io->file;
	const struct backing *backing = file->backing;
	uint64_t size = file->size_bytes;
	bool keeps_size = mode & FALLOC_FL_KEEP_SIZE;
	uint32_t what = mode & ~(uint32_t)FALLOC_FL_KEEP_SIZE;

	if (file->readonly)
		return fail(io, -EROFS);
	if (!len)
		return fail(io, -EINVAL);
	if (pos > INT64_LIMIT || len > INT64_LIMIT - pos)
		return fail(io, -EFBIG);
	switch (what) {
	case FALLOC_FL_PUNCH_HOLE:
		if (!keeps_size || !backing->can_punch || file->ignore_discard)
			return fail(io, -EOPNOTSUPP);
		break;
	case FALLOC_FL_ZERO_RANGE:
		if (!backing->can_zero)
			return fail(io, -EOPNOTSUPP);
		break;
	case 0:
		if (backing->id.is_block)
			return fail(io, -EOPNOTSUPP);
		break;
	default:
		return fail(io, -EOPNOTSUPP);
	}
	if (pos + len > size) {
		if (!keeps_size)
			return fail(io, -ENOSPC);
		if (pos >= size)
			return REQUEST_ANSWER;
		len = size - pos;
	}
	if (pos + len > file->present_bytes)
		return fail(io, -EIO);
	if (backing->id.is_block &&
	    (!aligned(pos, backing->block_bytes) || !aligned(len, backing->block_bytes)))
		return fail(io, -EINVAL);
	io->pos_bytes = pos;
	io->len_bytes = len;
	io->mode = (int)(what | FALLOC_FL_KEEP_SIZE);
	io->req.op = FBS_DISCARD;
	io->req.pos_bytes = io->range.start_bytes = pos;
	io->req.end_bytes = io->range.end_bytes = pos + len;
	return REQUEST_IO;
}

/* A device is all data. */
static enum request_fate check_seek(struct io *io, uint64_t pos, uint32_t whence)
{
	uint64_t size = io->file->size_bytes;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return fail(io, -EINVAL);
	if (pos >= size)
		return fail(io, -ENXIO);
	io->pos_bytes = pos;
	io->mode = (int)whence;
	if (!io->file->backing->id.is_block)
		return REQUEST_IO;
	if (whence == SEEK_HOLE)
		io->pos_bytes = size;
	return REQUEST_ANSWER;
}

/*
 * What libfuse does for us, and what it reads of such a request without a look at its length: so
 * many bytes after the header, and then so many names, each with a NUL.
 */
static const struct foreign {
	bool known;
	uint8_t bytes, names;
} foreign[] = {
	[FUSE_LOOKUP] = {true, 0, 1},
	[FUSE_FORGET] = {true, sizeof(struct fuse_forget_in), 0},
	[FUSE_BATCH_FORGET] = {true, sizeof(struct fuse_batch_forget_in), 0},
	[FUSE_GETATTR] = {true, sizeof(struct fuse_getattr_in), 0},
	[FUSE_SETATTR] = {true, sizeof(struct fuse_setattr_in), 0},
	[FUSE_OPEN] = {true, sizeof(struct fuse_open_in), 0},
	[FUSE_RELEASE] = {true, sizeof(struct fuse_release_in), 0},
	[FUSE_OPENDIR] = {true, sizeof(struct fuse_open_in), 0},
	[FUSE_READDIR] = {true, sizeof(struct fuse_read_in), 0},
	[FUSE_RELEASEDIR] = {true, sizeof(struct fuse_release_in), 0},
	[FUSE_STATFS] = {true, 0, 0},
	[FUSE_IOCTL] = {true, sizeof(struct fuse_ioctl_in), 0},
	[FUSE_MKNOD] = {true, sizeof(struct fuse_mknod_in), 1},
	[FUSE_MKDIR] = {true, sizeof(struct fuse_mkdir_in), 1},
	[FUSE_UNLINK] = {true, 0, 1},
	[FUSE_RMDIR] = {true, 0, 1},
	[FUSE_SYMLINK] = {true, 0, 2},
	[FUSE_RENAME] = {true, sizeof(struct fuse_rename_in), 2},
	[FUSE_RENAME2] = {true, sizeof(struct fuse_rename2_in), 2},
	[FUSE_LINK] = {true, sizeof(struct fuse_link_in), 1},
	[FUSE_CREATE] = {true, sizeof(struct fuse_create_in), 1},
};

/* What we have no operation for does not get there; the kernel asks for most of it only once. */
static enum request_fate check_foreign(const struct fuse_in_header *in, size_t n, int fd,
				       struct io *io)
{
	const char *arg = (const char *)(in + 1), *end = (const char *)in + n;
	const struct foreign *needs =
		in->opcode < sizeof(foreign) / sizeof(*foreign) ? &foreign[in->opcode] : NULL;

	if (!needs || !needs->known) {
		memset(io, 0, sizeof(*io));
		io->fd = fd;
		io->unique = in->unique;
		return fail(io, -ENOSYS);
	}
	if (needs->bytes > end - arg)
		return REQUEST_BROKEN;
	arg += needs->bytes;
	for (unsigned i = 0; i < needs->names; i++) {
		arg = memchr(arg, '\0', (size_t)(end - arg));
		if (!arg)
			return REQUEST_BROKEN;
		arg++;
	}
	return REQUEST_OTHER;
}

enum request_fate request_decode(const struct mount *mount, char *header, size_t n, int fd,
				 struct io *io)
{
	const struct fuse_in_header *in = (const void *)header;
	const char *arg = header + sizeof(*in);
	size_t need;

	if (n < sizeof(*in) || in->len != n)
		return REQUEST_BROKEN;
	switch (in->opcode) {
	case FUSE_READ:
		need = sizeof(struct fuse_read_in);
		break;
	case FUSE_WRITE:
		need = sizeof(struct fuse_write_in);
		break;
	case FUSE_FSYNC:
		need = sizeof(struct fuse_fsync_in);
		break;
	case FUSE_FALLOCATE:
		need = sizeof(struct fuse_fallocate_in);
		break;
	case FUSE_LSEEK:
		need = sizeof(struct fuse_lseek_in);
		break;
	case FUSE_INTERRUPT:
		need = sizeof(struct fuse_interrupt_in);
		break;
	default:
		return check_foreign(in, n, fd, io);
	}
	if (n < sizeof(*in) + need)
		return REQUEST_BROKEN;
	memset(io, 0, sizeof(*io));
	if (in->opcode == FUSE_INTERRUPT) {
		io->unique = ((const struct fuse_interrupt_in *)(const void *)arg)->unique;
		return REQUEST_INTERRUPT;
	}
	io->fd = fd;
	io->unique = in->unique;
	io->pid = in->pid;
	if (in->nodeid < MOUNT_FIRST_ID) /* not libfuse's, which would say once for all: ENOSYS */
		return in->opcode == FUSE_READ ? REQUEST_OTHER : fail(io, -EINVAL);
	io->file = mount_by_id(mount, in->nodeid);
	if (!io->file)
		return fail(io, -ESTALE);
	if (!io->file->backing)
		return fail(io, -ENXIO);
	io->disk = io->file->disk;

	switch (in->opcode) {
	case FUSE_READ: {
		const struct fuse_read_in *read_in = (const void *)arg;

		io->kind = IO_READ;
		io->client_direct = read_in->flags & O_DIRECT;
		return check_read(io, read_in->offset, read_in->size);
	}
	case FUSE_WRITE: {
		const struct fuse_write_in *write_in = (const void *)arg;

		if (write_in->size > REQUEST_PAYLOAD_MAX ||
		    write_in->size != n - REQUEST_HEADER_BYTES)
			return REQUEST_BROKEN;
		io->kind = IO_WRITE;
		io->dsync = write_in->flags & O_DSYNC;
		io->client_direct = write_in->flags & O_DIRECT;
		io->data = header + REQUEST_HEADER_BYTES;
		io->len_bytes = write_in->size;
		return check_write(io, write_in->offset, write_in->size);
	}
	case FUSE_FSYNC:
		io->kind = IO_FLUSH;
		io->phase = IO_FLUSHING;
		return REQUEST_IO;
	case FUSE_FALLOCATE: {
		const struct fuse_fallocate_in *fallocate_in = (const void *)arg;

		io->kind = IO_FALLOCATE;
		return check_fallocate(io, fallocate_in->offset, fallocate_in->length,
				       fallocate_in->mode);
	}
	default: {
		const struct fuse_lseek_in *lseek_in = (const void *)arg;

		io->kind = IO_SEEK;
		return check_seek(io, lseek_in->offset, lseek_in->whence);
	}
	}
}

static int send_reply(int fd, char *header, uint64_t unique, size_t payload, int error)
{
	struct fuse_out_header out = {
		.len = (uint32_t)(sizeof(out) + payload),
		.error = error,
		.unique = unique,
	};

	memcpy(header, &out, sizeof(out)); /* unaligned in front of an unaligned read */
	return write(fd, header, out.len) < 0 ? -errno : 0;
}

int request_answer_error(int fd, uint64_t unique, int error)
{
	char header[sizeof(struct fuse_out_header)];

	return send_reply(fd, header, unique, 0, error);
}

int request_answer(struct io *io)
{
	struct {
		struct fuse_out_header header;
		union {
			struct fuse_write_out write;
			struct fuse_lseek_out seek;
		};
	} reply = {0};
	char *start = (char *)&reply;

	if (io->error)
		return request_answer_error(io->fd, io->unique, io->error);
	switch (io->kind) {
	case IO_READ: {
		char *data;

		if (!io->len_bytes)
			break;
		data = io->data + (io->pos_bytes - io->base_bytes);
		/* the page in front of the data, or blocks that were not asked for, make room */
		return send_reply(io->fd, data - sizeof(reply.header), io->unique, io->len_bytes,
				  0);
	}
	case IO_WRITE:
		reply.write.size = (uint32_t)io->len_bytes;
		return send_reply(io->fd, start, io->unique, sizeof(reply.write), 0);
	case IO_SEEK:
		reply.seek.offset = io->pos_bytes;
		return send_reply(io->fd, start, io->unique, sizeof(reply.seek), 0);
	case IO_FLUSH:
	case IO_FALLOCATE:
		break;
	}
	return request_answer_error(io->fd, io->unique, 0);
}
