/* SPDX-License-Identifier: MIT */
/*
 * helper.h - what the helpers of the shell tests share: a generator whose seed is printed and
 * can be given back, and ways to give up.
 */
#ifndef FUSEBAND_TESTS_HELPER_H
#define FUSEBAND_TESTS_HELPER_H

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* splitmix64 (S. Vigna, public domain). */
static inline uint64_t rng(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* 0..n-1, n > 0 */
static inline uint64_t rng_below(uint64_t *state, uint64_t n)
{
	return rng(state) % n;
}

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

/* Like other runs only if it is asked for. */
static inline uint64_t seed_from(const char *text)
{
	return text && *text ? strtoull(text, NULL, 0) : now_ns() ^ (uint64_t)getpid() << 40;
}

__attribute__((format(printf, 1, 2), noreturn)) static inline void die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fputs("FAIL: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	_exit(1); /* other threads may be anywhere */
}

static inline char *pages(size_t bytes)
{
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("no memory");
	return p;
}

/* An unsigned number with K, M or G. */
static inline uint64_t size_arg(const char *text)
{
	static const char suffixes[] = "KMG";
	char *end;
	uint64_t value = strtoull(text, &end, 0);
	const char *suffix = *end ? strchr(suffixes, *end) : NULL;

	if (suffix) {
		value <<= 10 * (suffix - suffixes + 1);
		end++;
	}
	if (end == text || *end)
		die("%s is no number", text);
	return value;
}

#endif
