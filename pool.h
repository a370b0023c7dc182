/* SPDX-License-Identifier: MIT */
/*
 * pool.h - memory of the request path: page-aligned buffers and fixed-size objects.
 *
 * Requests are read by one worker and may be finished by another, so memory wanders. Each worker
 * has a magazine of each class and trades half of it with a common depot when it is empty or full
 * (J. Bonwick, J. Adams, "Magazines and Vmem", USENIX 2001): no system call and no lock for
 * most requests. What the depot holds beyond DEPOT_BYTES of a class goes back to the system,
 * so that a flood of queued writes leaves nothing behind.
 *
 * A buffer has a page in front of its payload: a FUSE request is read to payload - 80 (the
 * headers of a WRITE), so that its data is page-aligned and goes to O_DIRECT as it is; a
 * reply is written from payload - 16. The page begins with struct buffer.
 *
 * Where a successor is to take over after a crash, buffers are resident: a process that is killed
 * while the kernel copies to or from a page that is not there leaves a request that is answered
 * EIO. And they are not dumped, as the successor waits until the core is written.
 */
#ifndef FUSEBAND_POOL_H
#define FUSEBAND_POOL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slab.h"

#define POOL_PAGE ((size_t)4096)
/* payloads of 4 KiB << 0 .. 4 KiB << 9 = 2 MiB, then the two kinds of objects */
#define POOL_BUFFER_CLASSES 10
#define POOL_BUFFER_MAX (POOL_PAGE << (POOL_BUFFER_CLASSES - 1))
enum { POOL_IO = POOL_BUFFER_CLASSES, POOL_SLICE, POOL_CLASSES };

struct buffer {
	uint32_t class;
};
static inline char *buffer_payload(struct buffer *buffer)
{
	return (char *)buffer + POOL_PAGE;
}

#define POOL_MAGAZINE 64U

struct pool_stack { /* of free items, linked through their first word */
	void *top;
	unsigned n;
};

/* Common to all workers. */
struct depot {
	pthread_mutex_t lock;
	struct pool_stack classes[POOL_CLASSES];
	size_t object_bytes[2]; /* of POOL_IO and POOL_SLICE */
	bool resident;		/* buffers are in memory from the start */
	/* what is more than that, from and to the system; never with the other lock */
	pthread_mutex_t slab_lock;
	struct slab_set slabs[POOL_BUFFER_CLASSES];
};

/* One per thread. */
struct pool {
	struct depot *depot;
	struct pool_stack classes[POOL_CLASSES];
};

void depot_init(struct depot *depot, size_t io_bytes, size_t slice_bytes);
void depot_destroy(struct depot *depot); /* after its pools */
void pool_init(struct pool *pool, struct depot *depot);
void pool_destroy(struct pool *pool);

/* For at least bytes (1..POOL_BUFFER_MAX) of payload; contents undefined. NULL: no memory. */
struct buffer *pool_buffer(struct pool *pool, size_t bytes);
void pool_buffer_free(struct pool *pool, struct buffer *buffer); /* NULL is fine */
/* Memory that it takes. */
size_t pool_buffer_bytes(const struct buffer *buffer);
/* class POOL_IO or POOL_SLICE; contents undefined. NULL: no memory. */
void *pool_object(struct pool *pool, unsigned class);
void pool_object_free(struct pool *pool, unsigned class, void *object);

#endif
