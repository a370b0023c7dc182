/* SPDX-License-Identifier: MIT */
/*
 * request.h - one request that goes to a disk: read from the wire, checked, answered.
 *
 * What is on the wire is the kernel's FUSE protocol (include/uapi/linux/fuse.h). Everything that
 * does not go to a disk is libfuse's business (front.h).
 */
#ifndef FUSEBAND_REQUEST_H
#define FUSEBAND_REQUEST_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "mount.h"
#include "pool.h"

/* In front of the payload of a WRITE: struct fuse_in_header and struct fuse_write_in. */
#define REQUEST_HEADER_BYTES 80U
#define REQUEST_PAYLOAD_MAX ((size_t)1 << 20)

enum io_kind { IO_READ, IO_WRITE, IO_FLUSH, IO_FALLOCATE, IO_SEEK };

/*
 * How a request gets to the disk.
 *
 *   DIRECT   its own bytes, slice by slice, from or to the payload
 *   FETCH    a write that does not fill its blocks: they are read into a bounce buffer,
 *   STORE    merged with the payload and written back
 *   TAIL     a write into the partial last block of an image, through the page cache
 *   FLUSH    waits for a flush of the backing (also a large O_DSYNC write after its slices)
 */
enum io_phase { IO_DIRECT, IO_FETCH, IO_STORE, IO_TAIL, IO_FLUSHING };

struct io {
	struct fbs_req req;	/* queued at the scheduler: under the disk's lock */
	struct range range;	/* writes and fallocates: under the disk's lock */
	struct io *prev, *next; /* of disk->ios */
	struct io *link; /* in whatever one list it waits: worker's own, flush, waiting table */

	/* set while it is decoded */
	enum io_kind kind;
	bool dsync;	    /* O_DSYNC: stable before it is answered */
	bool client_direct; /* the client opened with O_DIRECT */
	int fd;		    /* answer here, where it was read */
	int mode;	    /* fallocate mode, or whence */
	uint64_t unique;
	uint32_t pid; /* of the calling thread, 0 = not in our namespace */
	struct file *file;
	struct disk *disk;
	uint64_t pos_bytes, len_bytes; /* of the exposed file, clipped to its end */
	struct buffer *buffer;	       /* holds data; NULL: none yet */
	char *data;		       /* payload, or where the reply's goes */
	int64_t held_bytes;	       /* memory counted for it while it is not answered */
	uint64_t base_bytes;	       /* position of data[0] in the file */

	/* the disk's lock */
	enum io_phase phase;
	unsigned outstanding; /* slices at the disk */
	int error;	      /* of the lowest failed slice */
	uint64_t error_pos_bytes;
	struct buffer *client_buffer; /* FETCH: what is to be merged in */
	char *client_data;
	uint64_t first_bytes;		 /* where the phase began */
	uint64_t admitted_ns, issued_ns; /* first slice; 0 = none yet */
	bool listed, interrupted;	 /* in the table of waiting requests (waiting.h) */
};

/* What becomes of a request that has just been read. */
enum request_fate {
	REQUEST_IO,	   /* *io is filled in: to the disk with it */
	REQUEST_ANSWER,	   /* *io is filled in, io->error or nothing to do: answer at once */
	REQUEST_INTERRUPT, /* io->unique is the request that is meant */
	REQUEST_OTHER,	   /* libfuse's, and as long as that takes for granted */
	REQUEST_BROKEN,	   /* not a FUSE request: drop it */
};

/*
 * header: n bytes as read, header + REQUEST_HEADER_BYTES is page-aligned. The buffer itself is not
 * taken: for a write that is REQUEST_IO the caller hands it over by setting io->buffer.
 */
enum request_fate request_decode(const struct mount *mount, char *header, size_t n, int fd,
				 struct io *io);

/* The disk could not do it: not a request that was given up, nor what it does not do at all. */
static inline bool io_failed(const struct io *io)
{
	return io->error && io->error != -EINTR && io->error != -EOPNOTSUPP &&
	       !(io->kind == IO_SEEK && io->error == -ENXIO); /* no more data: an answer */
}
/* Send the reply: io->error, or what io->kind returns (IO_SEEK: pos_bytes). 0 or -errno. */
int request_answer(struct io *io);
int request_answer_error(int fd, uint64_t unique, int error);

#endif
