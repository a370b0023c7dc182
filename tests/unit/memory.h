/* SPDX-License-Identifier: MIT */
/*
 * memory.h - calloc(), realloc() and free() that count, and of which one can fail.
 *
 * Link with -Wl,--wrap=calloc,--wrap=realloc,--wrap=free.
 */
#ifndef FUSEBAND_TESTS_UNIT_MEMORY_H
#define FUSEBAND_TESTS_UNIT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

static int allocations_left = -1; /* then all fail; -1: any number */
static int failing = -1;	  /* this one fails, counted down to 0; -1: none */
static int blocks;		  /* allocated and not freed */
static unsigned allocations;	  /* ever */

void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *old);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *old);

static bool allowed(void)
{
	allocations++;
	if (failing >= 0)
		return failing-- != 0;
	if (allocations_left < 0)
		return true;
	if (allocations_left == 0)
		return false;
	allocations_left--;
	return true;
}

void *__wrap_calloc(size_t n, size_t size)
{
	void *new = allowed() ? __real_calloc(n, size) : NULL;

	blocks += new != NULL;
	return new;
}

void *__wrap_realloc(void *old, size_t size)
{
	void *new = allowed() ? __real_realloc(old, size) : NULL;

	blocks += new != NULL &&old == NULL;
	return new;
}

void __wrap_free(void *old)
{
	blocks -= old != NULL;
	__real_free(old);
}

#endif
