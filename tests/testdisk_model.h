// SPDX-License-Identifier: MIT
/*
 * The disk of testdisk.c: contents, queue, servers, faults, log. The model is told in testdisk.c.
 *
 * Life of a request: td_receive() logs and counts it and decides its faults; submit() puts it on
 * one of the disk's lists; td_advance() finishes it when its time has come, answers it and frees
 * it. Each request is on exactly one list.
 *
 * One thread, no locks. Times are CLOCK_MONOTONIC nanoseconds.
 */
#ifndef TESTDISK_MODEL_H
#define TESTDISK_MODEL_H

#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define TD_MAX_SIZE (64ULL << 30)

enum op { READ = 'R', WRITE = 'W', FSYNC = 'F', PUNCH = 'D', ZERO = 'Z' };

struct io {
	struct io *prev, *next;
	fuse_req_t req;
	uint64_t seq, order; /* of receipt; of entry into the model */
	uint64_t arrival_ns, finish_ns;
	uint64_t busy_ns; /* on all its servers together */
	unsigned servers; /* that it occupies */
	uint64_t off, len;
	uint64_t blockers; /* FSYNC: older writes not answered yet */
	enum op op;
	bool dsync, half;
	int error; /* to answer instead of doing it, positive errno */
	char data[];
};

struct list {
	struct io *head, *tail;
};

struct fault { /* what to do to reads (or to writes) */
	uint64_t countdown, half;
	int countdown_errno;
	uint64_t at;
	int at_errno; /* 0: no such fault */
};

struct counters {
	uint64_t reads, writes, read_bytes, write_bytes, fsyncs, fallocates, dsync_writes, errors;
	uint64_t max_in_flight; /* reads, writes and fallocates received and not answered */
	uint64_t busy_ns;	/* sum over the servers */
};

struct disk {
	char name[16];
	char *mem;
	uint64_t size;
	/* model */
	uint64_t service_ns, per_byte_ps, write_cost_pct, discard_per_mib_ns, flush_ns;
	unsigned servers, busy, flush_servers;
	struct list waiting; /* for a server, in order of arrival */
	struct list running; /* on a server, and fsyncs, in order of finish_ns */
	struct list fsyncs;  /* waiting for older writes */
	struct list held;    /* received during a hang, not in the model yet */
	bool hang, hang_fsync;
	uint64_t hang_since_ns, last_order;
	struct fault read_fault, write_fault;
	uint64_t in_flight, writes_in_flight, fsyncs_in_flight;
	struct counters n;
};

uint64_t td_now_ns(void);

static inline uint64_t td_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Logs to the file from now on. -errno if it cannot be opened. */
int td_log_open(const char *path);
void td_log_flush(void);
/* Truncates the log. */
int td_log_reset(void);
void td_log_close(void);

/* Sets the size, 1..TD_MAX_SIZE bytes, of a new disk or of one in use; keeps what fits. */
bool td_resize(struct disk *d, uint64_t size);

/* Takes a request; data is what a WRITE writes and NULL for others. It will be answered. */
void td_receive(struct disk *d, fuse_req_t req, enum op op, off_t off, uint64_t len,
		const char *data, bool dsync);

/*
 * Answers what is finished by now_ns. Returns when the next one will be; UINT64_MAX: not foreseen.
 */
uint64_t td_advance(struct disk *d, uint64_t now_ns);

/* For the controls; bring the disk up to date with td_advance() before. */
void td_set_servers(struct disk *d, unsigned servers);
void td_set_hang(struct disk *d, bool on);
void td_set_hang_fsync(struct disk *d, bool on);

/* Answers all that is left with EIO: the end of the disk. */
void td_fail_all(struct disk *d);

#endif
