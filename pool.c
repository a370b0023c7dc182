/* SPDX-License-Identifier: MIT */
/* pool.c - see pool.h. */
#include "pool.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define DEPOT_BYTES ((size_t)32 << 20) /* kept of each class for the next burst */

/* A free item's first word is the link: for a buffer that is where struct buffer sits. */
static void stack_push(struct pool_stack *stack, void *item)
{
	*(void **)item = stack->top;
	stack->top = item;
	stack->n++;
}

static void *stack_pop(struct pool_stack *stack)
{
	void *item = stack->top;

	if (item) {
		stack->top = *(void **)item;
		stack->n--;
	}
	return item;
}

static size_t item_bytes(const struct depot *depot, unsigned class)
{
	return class < POOL_BUFFER_CLASSES ? POOL_PAGE + (POOL_PAGE << class)
					   : depot->object_bytes[class - POOL_IO];
}

static void *item_new(struct depot *depot, unsigned class)
{
	size_t bytes = item_bytes(depot, class);
	void *item;

	if (class >= POOL_BUFFER_CLASSES)
		return malloc(bytes);
	pthread_mutex_lock(&depot->slab_lock);
	item = slab_take(&depot->slabs[class]);
	pthread_mutex_unlock(&depot->slab_lock);
	/* a piece that was given back is not there any more */
	if (item && depot->resident && madvise(item, bytes, MADV_POPULATE_WRITE))
		memset(item, 0, bytes); /* older than Linux 5.14 */
	return item;
}

static void item_delete(struct depot *depot, unsigned class, void *item)
{
	if (class >= POOL_BUFFER_CLASSES) {
		free(item);
		return;
	}
	pthread_mutex_lock(&depot->slab_lock);
	slab_give(&depot->slabs[class], item);
	pthread_mutex_unlock(&depot->slab_lock);
}

/* Large buffers are dear: a magazine holds few of them. */
static unsigned magazine_size(const struct depot *depot, unsigned class)
{
	size_t most = ((size_t)8 << 20) / item_bytes(depot, class);

	return most < 4 ? 4 : most > POOL_MAGAZINE ? POOL_MAGAZINE : (unsigned)most;
}

static void *take(struct pool *pool, unsigned class)
{
	struct pool_stack *mine = &pool->classes[class];
	struct depot *depot = pool->depot;

	if (!mine->n) {
		unsigned want = magazine_size(depot, class) / 2;

		pthread_mutex_lock(&depot->lock);
		while (want-- && depot->classes[class].n)
			stack_push(mine, stack_pop(&depot->classes[class]));
		pthread_mutex_unlock(&depot->lock);
	}
	return mine->n ? stack_pop(mine) : item_new(depot, class);
}

static void give(struct pool *pool, unsigned class, void *item)
{
	struct pool_stack *mine = &pool->classes[class];
	struct depot *depot = pool->depot;
	struct pool_stack surplus = {0};
	size_t most = DEPOT_BYTES / item_bytes(depot, class);
	unsigned keep = magazine_size(depot, class);

	stack_push(mine, item);
	if (mine->n <= keep)
		return;
	pthread_mutex_lock(&depot->lock);
	while (mine->n > keep / 2) {
		void *old = stack_pop(mine);

		stack_push(depot->classes[class].n < most ? &depot->classes[class] : &surplus, old);
	}
	pthread_mutex_unlock(&depot->lock);
	while ((item = stack_pop(&surplus)))
		item_delete(depot, class, item);
}

void depot_init(struct depot *depot, size_t io_bytes, size_t slice_bytes)
{
	*depot = (struct depot){.object_bytes = {io_bytes, slice_bytes}};
	for (unsigned class = 0; class < POOL_BUFFER_CLASSES; class ++)
		slab_set_init(&depot->slabs[class], item_bytes(depot, class));
	pthread_mutex_init(&depot->lock, NULL);
	pthread_mutex_init(&depot->slab_lock, NULL);
}

void depot_destroy(struct depot *depot)
{
	void *item;

	for (unsigned class = 0; class < POOL_CLASSES; class ++)
		while ((item = stack_pop(&depot->classes[class])))
			item_delete(depot, class, item);
	pthread_mutex_destroy(&depot->lock);
	pthread_mutex_destroy(&depot->slab_lock);
}

void pool_init(struct pool *pool, struct depot *depot)
{
	*pool = (struct pool){.depot = depot};
}

void pool_destroy(struct pool *pool)
{
	void *item;

	for (unsigned class = 0; class < POOL_CLASSES; class ++)
		while ((item = stack_pop(&pool->classes[class])))
			item_delete(pool->depot, class, item);
}

struct buffer *pool_buffer(struct pool *pool, size_t bytes)
{
	unsigned class = 0;
	struct buffer *buffer;

	while (POOL_PAGE << class < bytes)
		class ++;
	buffer = take(pool, class);
	if (buffer)
		buffer->class = class;
	return buffer;
}

void pool_buffer_free(struct pool *pool, struct buffer *buffer)
{
	if (buffer)
		give(pool, buffer->class, buffer);
}

size_t pool_buffer_bytes(const struct buffer *buffer)
{
	return POOL_PAGE + (POOL_PAGE << buffer->class);
}

void *pool_object(struct pool *pool, unsigned class)
{
	return take(pool, class);
}

void pool_object_free(struct pool *pool, unsigned class, void *object)
{
	give(pool, class, object);
}
