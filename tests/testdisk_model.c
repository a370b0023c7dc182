// SPDX-License-Identifier: MIT
/*
 * The disk of testdisk.c. See there for the model, and testdisk_model.h for a request's life.
 *
 * A request on a server has its finish time fixed; one that waits has none yet, so that changes
 * of the service time and of the number of servers act on the queue at once. start_waiting() is
 * told since when servers are free: that, and not the time of the call, is the start, which keeps
 * the capacity exact when td_advance() comes late.
 *
 * A request that needs several servers waits at the head of the queue until they are all free.
 *
 * A hang shifts the finish time of all that is running by its duration. What arrives during it
 * waits outside the model and arrives again at the end.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define FUSE_USE_VERSION 34

#include "testdisk_model.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SECTOR 512U

static FILE *log_file;
static uint64_t last_seq;

uint64_t td_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

static uint64_t max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* ---- lists ---- */

static void list_insert_after(struct list *l, struct io *pos, struct io *io)
{
	io->prev = pos;
	io->next = pos ? pos->next : l->head;
	*(io->prev ? &io->prev->next : &l->head) = io;
	*(io->next ? &io->next->prev : &l->tail) = io;
}

static void list_append(struct list *l, struct io *io)
{
	list_insert_after(l, l->tail, io);
}

static void list_remove(struct list *l, struct io *io)
{
	*(io->prev ? &io->prev->next : &l->head) = io->next;
	*(io->next ? &io->next->prev : &l->tail) = io->prev;
}

static struct io *list_pop(struct list *l)
{
	struct io *io = l->head;

	if (io)
		list_remove(l, io);
	return io;
}

/* ---- log ---- */

static void log_io(const struct disk *d, const struct io *io, const char *what, int64_t result,
		   const char *data, size_t len)
{
	char hex[17] = "-", res[24] = "-", busy[24] = "-";

	if (!log_file)
		return;
	for (size_t i = 0; i < len && i < 8; i++)
		snprintf(hex + 2 * i, 3, "%02x", (unsigned char)data[i]);
	if (*what == 'd') {
		snprintf(res, sizeof res, "%" PRId64, result);
		snprintf(busy, sizeof busy, "%" PRIu64, io->busy_ns / 1000);
	}
	fprintf(log_file, "%" PRIu64 " %" PRIu64 " %c %s %" PRIu64 " %" PRIu64 " %s %s %s %s %s\n",
		io->seq, td_now_ns() / 1000, (char)io->op, what, io->off, io->len,
		io->dsync ? "dsync" : "-", res, hex, d->name, busy);
}

void td_log_flush(void)
{
	if (log_file)
		fflush(log_file);
}

int td_log_open(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);

	log_file = fd < 0 ? NULL : fdopen(fd, "a");
	return log_file ? 0 : -errno;
}

int td_log_reset(void)
{
	td_log_flush();
	return log_file && ftruncate(fileno(log_file), 0) != 0 ? -errno : 0;
}

void td_log_close(void)
{
	if (log_file)
		fclose(log_file);
	log_file = NULL;
}

/* ---- the model ---- */

static void run(struct disk *d, struct io *io, uint64_t finish_ns)
{
	struct io *pos = d->running.tail;

	while (pos && pos->finish_ns > finish_ns)
		pos = pos->prev;
	io->finish_ns = finish_ns;
	list_insert_after(&d->running, pos, io);
}

/* How long a request takes, once it has its servers. */
static uint64_t time_of(const struct disk *d, const struct io *io)
{
	uint64_t time_ns = d->service_ns;

	switch (io->op) {
	case FSYNC:
		return d->flush_ns;
	case READ:
		return time_ns + io->len * d->per_byte_ps / 1000;
	case WRITE:
		return (time_ns + io->len * d->per_byte_ps / 1000) * d->write_cost_pct / 100;
	case PUNCH:
	case ZERO:
		break;
	}
	return time_ns + (io->len >> 10) * d->discard_per_mib_ns / 1024;
}

static unsigned servers_for(const struct disk *d, const struct io *io)
{
	if (io->op != FSYNC)
		return 1;
	return d->flush_servers < d->servers ? d->flush_servers : d->servers;
}

/* Gives free servers to waiting requests; the servers became free at free_ns. */
static void start_waiting(struct disk *d, uint64_t free_ns)
{
	for (struct io *io; (io = d->waiting.head) && d->busy + servers_for(d, io) <= d->servers;) {
		uint64_t time_ns = time_of(d, io);

		list_remove(&d->waiting, io);
		io->servers = servers_for(d, io);
		io->busy_ns = io->servers * time_ns;
		d->busy += io->servers;
		d->n.busy_ns += io->busy_ns;
		run(d, io, max64(io->arrival_ns, free_ns) + time_ns);
	}
}

static void enqueue(struct disk *d, struct io *io)
{
	list_append(&d->waiting, io);
	if (!io->prev)
		start_waiting(d, io->arrival_ns);
}

/* All that it has to wait for was answered at since_ns. */
static void flush(struct disk *d, struct io *io, uint64_t since_ns)
{
	io->arrival_ns = since_ns;
	if (d->flush_servers)
		enqueue(d, io);
	else
		run(d, io, since_ns + d->service_ns);
}

static void submit(struct disk *d, struct io *io)
{
	io->order = ++d->last_order;
	if (d->hang || (io->op == FSYNC && d->hang_fsync)) {
		list_append(&d->held, io);
	} else if (io->op != FSYNC) {
		d->writes_in_flight += io->op != READ;
		enqueue(d, io);
	} else if ((io->blockers = d->writes_in_flight) > 0) {
		list_append(&d->fsyncs, io);
	} else {
		flush(d, io, io->arrival_ns);
	}
}

static void submit_held(struct disk *d)
{
	struct list held = d->held;

	d->held = (struct list){0};
	for (struct io *io; (io = list_pop(&held));) {
		io->arrival_ns = td_now_ns();
		submit(d, io);
	}
}

void td_set_hang(struct disk *d, bool on)
{
	uint64_t pause_ns = td_now_ns() - d->hang_since_ns;

	if (on == d->hang)
		return;
	d->hang = on;
	d->hang_since_ns = td_now_ns();
	if (on)
		return;
	for (struct io *io = d->running.head; io; io = io->next)
		io->finish_ns += pause_ns;
	start_waiting(d, td_now_ns()); /* there may be more servers than before */
	submit_held(d);
}

void td_set_servers(struct disk *d, unsigned servers)
{
	d->servers = servers;
	if (!d->hang)
		start_waiting(d, td_now_ns());
}

void td_set_hang_fsync(struct disk *d, bool on)
{
	d->hang_fsync = on;
	submit_held(d);
}

static void write_answered(struct disk *d, const struct io *w)
{
	d->writes_in_flight--;
	for (struct io *io = d->fsyncs.head, *next; io; io = next) {
		next = io->next;
		/* a write that came after the fsync is none of its blockers */
		if (io->order < w->order || --io->blockers)
			continue;
		list_remove(&d->fsyncs, io);
		flush(d, io, w->finish_ns);
	}
}

/* ---- contents and answers ---- */

bool td_resize(struct disk *d, uint64_t size)
{
	char *mem;

	if (size < 1 || size > TD_MAX_SIZE)
		return false;
	if (d->mem)
		mem = mremap(d->mem, d->size, size, MREMAP_MAYMOVE);
	else
		mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED)
		return false;
	madvise(mem, size, MADV_NOHUGEPAGE); /* stay sparse under random writes */
	d->mem = mem;
	d->size = size;
	return true;
}

static void zero(struct disk *d, uint64_t off, uint64_t len)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t first = (off + page - 1) / page * page, last = (off + len) / page * page;

	if (first >= last) {
		memset(d->mem + off, 0, len);
		return;
	}
	memset(d->mem + off, 0, first - off);
	madvise(d->mem + first, last - first, MADV_DONTNEED);
	memset(d->mem + last, 0, off + len - last);
}

/* Does what the request asks for and answers it. Frees io. */
static void finish(struct disk *d, struct io *io)
{
	uint64_t room = io->off < d->size ? d->size - io->off : 0;
	uint64_t len = td_min(io->len, room);
	int64_t result;
	const char *data = io->data;

	if (io->half && len > SECTOR)
		len = max64(len / 2 / SECTOR * SECTOR, SECTOR);
	if (io->op == WRITE && io->len && !len)
		io->error = io->error ? io->error : ENOSPC;
	result = io->error ? -io->error : io->op == READ || io->op == WRITE ? (int64_t)len : 0;
	if (io->op == READ)
		data = d->mem + io->off;
	if (!io->error && io->op == WRITE)
		memcpy(d->mem + io->off, io->data, len);
	if (!io->error && (io->op == PUNCH || io->op == ZERO))
		zero(d, io->off, len);

	log_io(d, io, "done", result, data,
	       io->op == WRITE		      ? io->len
	       : io->op == READ && result > 0 ? len
					      : 0);
	td_log_flush();
	d->n.errors += result < 0;
	*(io->op == FSYNC ? &d->fsyncs_in_flight : &d->in_flight) -= 1;
	if (io->op != READ && io->op != FSYNC)
		write_answered(d, io);

	if (io->error)
		fuse_reply_err(io->req, io->error);
	else if (io->op == READ)
		fuse_reply_buf(io->req, data, len);
	else if (io->op == WRITE)
		fuse_reply_write(io->req, len);
	else
		fuse_reply_err(io->req, 0);
	free(io);
}

uint64_t td_advance(struct disk *d, uint64_t now_ns)
{
	while (!d->hang && d->running.head && d->running.head->finish_ns <= now_ns) {
		struct io *io = list_pop(&d->running);

		d->busy -= io->servers;
		start_waiting(d, io->finish_ns);
		finish(d, io);
	}
	return d->hang || !d->running.head ? UINT64_MAX : d->running.head->finish_ns;
}

/* ---- requests for the disk ---- */

static void apply_fault(struct fault *f, struct io *io)
{
	if (f->countdown && --f->countdown == 0)
		io->error = f->countdown_errno;
	if (f->at_errno && f->at >= io->off && f->at - io->off < io->len)
		io->error = f->at_errno;
	if (f->half) {
		f->half--;
		io->half = true;
	}
}

void td_receive(struct disk *d, fuse_req_t req, enum op op, off_t off, uint64_t len,
		const char *data, bool dsync)
{
	struct io *io = calloc(1, sizeof *io + (data ? len : 0));

	if (!io) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	*io = (struct io){.req = req,
			  .seq = ++last_seq,
			  .arrival_ns = td_now_ns(),
			  .off = (uint64_t)off,
			  .len = len,
			  .op = op,
			  .dsync = dsync};
	if (data)
		memcpy(io->data, data, len);
	log_io(d, io, "recv", 0, io->data, data ? len : 0);
	if (op == FSYNC) {
		d->n.fsyncs++;
		d->fsyncs_in_flight++;
		submit(d, io);
		return;
	}
	if (op == READ) {
		d->n.reads++;
		d->n.read_bytes += len;
		apply_fault(&d->read_fault, io);
	} else if (op == WRITE) {
		d->n.writes++;
		d->n.write_bytes += len;
		d->n.dsync_writes += dsync;
		apply_fault(&d->write_fault, io);
	} else {
		d->n.fallocates++;
	}
	d->n.max_in_flight = max64(d->n.max_in_flight, ++d->in_flight);
	submit(d, io);
}

void td_fail_all(struct disk *d)
{
	struct list *lists[] = {&d->running, &d->waiting, &d->fsyncs, &d->held};

	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		for (struct io *io; (io = list_pop(lists[i]));) {
			fuse_reply_err(io->req, EIO);
			free(io);
		}
	}
}
