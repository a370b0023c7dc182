/* SPDX-License-Identifier: MIT */
/* crew.c - see crew.h. All of it is the main thread's. */
#include "errand.h"
#include "log.h"
#include "steward.h"
#include "worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PARK_NS UINT64_C(2000000000) /* a round takes milliseconds */

/* A channel to fuseband-errand for each worker, or none for all of them. */
static int open_errands(struct crew *crew, int steward)
{
	int theirs[ERRAND_CHANNELS], r = 0;
	unsigned n = 0;

	while (!r && n < crew->n_workers && n < ERRAND_CHANNELS) {
		int ends[2];

		r = errand_channel(ends);
		if (r)
			break;
		crew->workers[n].errands = ends[0];
		theirs[n++] = ends[1];
	}
	if (!r && n)
		r = steward_errands(steward, theirs, n);
	for (unsigned i = 0; i < n; i++) {
		close(theirs[i]);
		if (r) { /* nobody is at the other end */
			close(crew->workers[i].errands);
			crew->workers[i].errands = -1;
		}
	}
	return r;
}

int crew_create(struct mount *mount, struct front *front, unsigned n, const int *clones,
		uint64_t memory_bytes, struct crew **ret_crew)
{
	struct crew *crew = calloc(1, sizeof(*crew));
	pthread_condattr_t attr;
	int r = -ENOMEM;

	if (!crew)
		return r;
	crew->mount = mount;
	crew->front = front;
	crew->keep = mount->keep;
	front->unmounted = &crew->unmounted;
	crew->memory_bytes = memory_bytes;
	gate_init(&crew->gate, front->steward);
	depot_init(&crew->depot, sizeof(struct io), sizeof(struct slice));
	crew->depot.resident = crew->keep != NULL;
	waiting_init(&crew->waiting);
	pthread_mutex_init(&crew->park_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&crew->park_changed, &attr);
	pthread_condattr_destroy(&attr);
	crew->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	crew->workers = calloc(n, sizeof(*crew->workers));
	if (crew->workers && crew->event_fd >= 0)
		for (r = 0; crew->n_workers < n && r >= 0;)
			r = worker_init(&crew->workers[crew->n_workers], crew, crew->n_workers,
					clones ? clones[crew->n_workers] : -1),
			crew->n_workers++;
	if (r < 0) {
		crew_destroy(crew);
		return r;
	}
	r = open_errands(crew, front->steward);
	if (r)
		log_warning("no fuseband-errand: %s; if a disk hangs in a flush or a discard, a "
			    "crash stops all disks until it moves",
			    strerror(-r));
	*ret_crew = crew;
	return 0;
}

int crew_start(struct crew *crew, bool parked)
{
	int r = 0;

	atomic_store(&crew->parking, parked);

	for (unsigned i = 0; i < crew->n_workers && !r; i++) {
		struct worker *w = &crew->workers[i];

		w->start_result = 1;
		r = -pthread_create(&w->thread, NULL, worker_main, w);
		if (r) {
			log_error("cannot start a worker: %s: more threads have to be allowed "
				  "(ulimit -u, TasksMax of the unit)",
				  strerror(-r));
			break;
		}
		w->started = true;
		pthread_mutex_lock(&crew->park_lock);
		while (w->start_result > 0)
			pthread_cond_wait(&crew->park_changed, &crew->park_lock);
		r = w->start_result;
		pthread_mutex_unlock(&crew->park_lock);
		if (r) {
			pthread_join(w->thread, NULL);
			w->started = false;
		}
	}
	return r;
}

static void wake_all(struct crew *crew)
{
	for (unsigned i = 0; i < crew->n_workers; i++)
		worker_wake(&crew->workers[i]);
}

bool crew_park(struct crew *crew)
{
	unsigned running = 0;
	struct timespec until;
	bool done;

	for (unsigned i = 0; i < crew->n_workers; i++)
		running += crew->workers[i].started;
	atomic_store_explicit(&crew->parking, true, memory_order_release);
	wake_all(crew);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(PARK_NS / UINT64_C(1000000000));
	pthread_mutex_lock(&crew->park_lock);
	while (crew->parked < running &&
	       !pthread_cond_timedwait(&crew->park_changed, &crew->park_lock, &until))
		;
	done = crew->parked >= running;
	pthread_mutex_unlock(&crew->park_lock);
	if (!done) {
		log_error("a worker does not answer: it waits for a disk that hangs; try again "
			  "when that moves");
		crew_resume(crew);
	}
	return done;
}

void crew_resume(struct crew *crew)
{
	pthread_mutex_lock(&crew->park_lock);
	atomic_store(&crew->parking, false);
	pthread_cond_broadcast(&crew->park_changed);
	while (crew->parked)
		pthread_cond_wait(&crew->park_changed, &crew->park_lock);
	pthread_mutex_unlock(&crew->park_lock);
	wake_all(crew); /* look at every disk once: its window may have grown */
}

void crew_drain(struct crew *crew)
{
	atomic_store(&crew->draining, true);
}

void crew_leave(struct crew *crew)
{
	atomic_store(&crew->leaving, true);
	wake_all(crew);
}

unsigned crew_unanswered(const struct crew *crew)
{
	unsigned begun = 0, answered = 0;

	/* answers first: a request that moves on meanwhile counts twice rather than not at all */
	for (unsigned i = 0; i < crew->n_workers; i++)
		answered += atomic_load(&crew->workers[i].answered);
	for (unsigned i = 0; i < crew->n_workers; i++)
		begun += atomic_load(&crew->workers[i].begun);
	return begun - answered;
}

unsigned crew_abandon(struct crew *crew)
{
	unsigned n = 0;

	for (size_t i = 0; i < crew->mount->n_disks; i++) {
		struct disk *disk = crew->mount->disks[i];

		pthread_mutex_lock(&disk->lock);
		for (struct io *io = disk->ios; io; io = io->next, n++)
			request_answer_error(io->fd, io->unique, -EIO);
		pthread_mutex_unlock(&disk->lock);
	}
	return n;
}

unsigned crew_destroy(struct crew *crew)
{
	unsigned in_flight;

	if (!crew)
		return 0;
	atomic_store(&crew->leaving, true);
	if (atomic_load(&crew->parking))
		crew_resume(crew);
	crew_leave(crew);
	for (unsigned i = 0; i < crew->n_workers; i++)
		if (crew->workers[i].started)
			pthread_join(crew->workers[i].thread, NULL);
	in_flight = crew_unanswered(crew) + atomic_load(&crew->fencing);
	if (in_flight)
		return in_flight;
	for (unsigned i = 0; i < crew->n_workers; i++)
		worker_fini(&crew->workers[i]);
	free(crew->workers);
	if (crew->event_fd >= 0)
		close(crew->event_fd);
	waiting_destroy(&crew->waiting);
	depot_destroy(&crew->depot);
	pthread_mutex_destroy(&crew->park_lock);
	pthread_cond_destroy(&crew->park_changed);
	free(crew);
	return 0;
}
