/* SPDX-License-Identifier: MIT */
/*
 * sched_disk.h - clients and a disk around the leaves of sched_rig.h, for what takes time.
 *
 * Each client keeps `depth` requests outstanding, or thinks. The disk has some servers; what is
 * more than they can take waits in its own queue. work() drives the scheduler as it is meant to be:
 * after each event fbs_next() until it says no, then nothing before the next completion, the next
 * request or fbs_wakeup(). So a wake-up that is not announced is a client that gets too little, and
 * one that is announced in vain ends the test.
 */
#ifndef FUSEBAND_TESTS_UNIT_SCHED_DISK_H
#define FUSEBAND_TESTS_UNIT_SCHED_DISK_H

#include "tests/unit/sched_rig.h"

#define SERVERS 32

struct client {
	char name; /* of its leaf; 0: the end of a list */
	unsigned depth;
	uint64_t bytes; /* 0: 4096 */
	enum fbs_op op;
	uint64_t think_ns;
	/* what it got */
	uint64_t ios;
	/* inside: its requests are rig.req[name][0 .. depth - 1] */
	struct {
		uint64_t again_ns;
		bool out;
	} turn[REQUESTS];
};

struct disk {
	unsigned servers;
	uint64_t service_ns;
	uint64_t busy_ns; /* of its servers, so far */
	/* inside */
	uint64_t free_ns[SERVERS];
	struct {
		struct fbs_slice slice;
		uint64_t at_ns;
	} out[1024];
	unsigned nout;
};

static inline void submit(struct disk *disk, const struct fbs_slice *slice)
{
	uint64_t *server = &disk->free_ns[0];

	for (unsigned i = 1; i < disk->servers; i++)
		if (disk->free_ns[i] < *server)
			server = &disk->free_ns[i];
	*server = (*server > rig.now_ns ? *server : rig.now_ns) + disk->service_ns;
	disk->busy_ns += disk->service_ns;
	assert_true(disk->nout < COUNT(disk->out));
	disk->out[disk->nout].slice = *slice;
	disk->out[disk->nout++].at_ns = *server;
}

static inline void count_anew(struct client *clients)
{
	for (struct client *c = clients; c->name; c++)
		c->ios = 0;
}

static inline void push_clients(struct client *clients)
{
	for (struct client *c = clients; c->name; c++) {
		unsigned l = (unsigned)(c->name - 'a');

		for (unsigned i = 0; i < c->depth; i++) {
			struct fbs_req *req = &rig.req[l][i];

			if (c->turn[i].out || c->turn[i].again_ns > rig.now_ns)
				continue;
			*req = (struct fbs_req){.op = c->op,
						.end_bytes = c->bytes ? c->bytes : 4 * KIB};
			c->turn[i].out = true;
			fbs_push(rig.fbs, rig.leaf[l], req, rig.now_ns);
		}
		rig.used[l] = c->depth > rig.used[l] ? c->depth : rig.used[l];
	}
}

static inline void answer(struct disk *disk, struct client *clients, unsigned i)
{
	struct fbs_slice slice = disk->out[i].slice;

	disk->out[i] = disk->out[--disk->nout];
	fbs_done(rig.fbs, &slice, rig.now_ns);
	for (struct client *c = clients; slice.last && c->name; c++) {
		unsigned l = (unsigned)(c->name - 'a');

		if (slice.req < rig.req[l] || slice.req >= rig.req[l] + REQUESTS)
			continue;
		c->ios++;
		c->turn[slice.req - rig.req[l]].out = false;
		c->turn[slice.req - rig.req[l]].again_ns = rig.now_ns + c->think_ns;
	}
}

/* The next thing that happens by itself, or until_ns. */
static inline uint64_t next_event(const struct disk *disk, const struct client *clients,
				  uint64_t until_ns)
{
	uint64_t at_ns = fbs_wakeup(rig.fbs);

	assert_true(at_ns > rig.now_ns);
	assert_true(at_ns < FBS_NEVER || disk->nout > 0 || stats().queued == 0);
	at_ns = at_ns < until_ns ? at_ns : until_ns;
	for (unsigned i = 0; i < disk->nout; i++)
		at_ns = disk->out[i].at_ns < at_ns ? disk->out[i].at_ns : at_ns;
	for (const struct client *c = clients; c->name; c++)
		for (unsigned i = 0; i < c->depth; i++)
			if (!c->turn[i].out && c->turn[i].again_ns < at_ns)
				at_ns = c->turn[i].again_ns;
	return at_ns;
}

static inline void go_on(struct disk *disk, struct client *clients)
{
	struct fbs_slice slice;

	push_clients(clients);
	while (fbs_next(rig.fbs, rig.now_ns, &slice))
		submit(disk, &slice);
}

/* For so long. It may be called again, with other settings and the same disk and clients. */
static inline void work(struct disk *disk, struct client *clients, uint64_t for_ns)
{
	uint64_t until_ns = rig.now_ns + for_ns;

	while (rig.now_ns < until_ns) {
		go_on(disk, clients);
		for (unsigned i = 0; i < disk->nout;) {
			if (disk->out[i].at_ns > rig.now_ns) {
				i++;
				continue;
			}
			answer(disk, clients, i);
			go_on(disk, clients);
			i = 0;
		}
		fbs_check(rig.fbs);
		rig.now_ns = next_event(disk, clients, until_ns);
	}
}

/* The disk finishes what it has; what is queued is the caller's to cancel. */
static inline void drain(struct disk *disk, struct client *clients)
{
	while (disk->nout > 0) {
		rig.now_ns += disk->out[0].at_ns > rig.now_ns ? disk->out[0].at_ns - rig.now_ns : 0;
		answer(disk, clients, 0);
	}
	fbs_check(rig.fbs);
}

#endif
