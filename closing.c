/* SPDX-License-Identifier: MIT */
/* closing.c - see closing.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "closing.h"
#include "clock.h"
#include "log.h"

#include <stdlib.h>

#define SEC_NS UINT64_C(1000000000)

void closing_add_backing(struct closing *closing, struct backing *backing)
{
	if (!backing)
		return;
	if (backing->refs > 1) {
		backing_unref(backing);
		return;
	}
	backing->next = closing->backings;
	closing->backings = backing;
}

void closing_add_claim(struct closing *closing, struct backing_claim *claim)
{
	if (!claim)
		return;
	if (claim->refs > 1) {
		backing_claim_unref(claim);
		return;
	}
	claim->next = closing->claims;
	closing->claims = claim;
}

static void close_all(struct closing *closing)
{
	struct backing *backing;
	struct backing_claim *claim;

	while ((backing = closing->backings)) {
		closing->backings = backing->next;
		backing_unref(backing);
	}
	while ((claim = closing->claims)) {
		closing->claims = claim->next;
		backing_claim_unref(claim);
	}
}

static void *close_beside(void *arg)
{
	struct closing *own = arg;

	close_all(own);
	free(own);
	return NULL;
}

void closing_start(struct closing *closing)
{
	struct closing *job;

	if (!closing->backings && !closing->claims)
		return;
	job = malloc(sizeof(*job));
	if (job)
		*job = *closing;
	closing->running = job && !pthread_create(&closing->thread, NULL, close_beside, job);
	if (closing->running) {
		closing->backings = NULL;
		closing->claims = NULL;
		return;
	}
	free(job);
	log_warning("no thread to close what a reload has removed: if its server is away, reloads "
		    "and signals wait for that; allow more threads (ulimit -u, TasksMax of the "
		    "unit)");
	close_all(closing);
}

bool closing_wait(struct closing *closing, uint64_t until_ns)
{
	uint64_t now_ns = monotonic_ns();
	/* it knows no other clock; a jump of that makes it longer or shorter, no more */
	uint64_t at_ns = clock_ns(CLOCK_REALTIME) + (until_ns > now_ns ? until_ns - now_ns : 0);
	struct timespec at = {.tv_sec = (time_t)(at_ns / SEC_NS),
			      .tv_nsec = (long)(at_ns % SEC_NS)};

	if (!closing->running)
		return true;
	closing->running = false;
	if (!pthread_timedjoin_np(closing->thread, NULL, &at))
		return true;
	pthread_detach(closing->thread);
	return false;
}
