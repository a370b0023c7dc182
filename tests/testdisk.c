// SPDX-License-Identifier: MIT
/*
 * testdisk - a disk of known speed, for measuring what a scheduler does with it.
 *
 *     testdisk [-s SERVERS] [-t SERVICE_US] [-b SIZE] [-p PER_BYTE_NS]
 *              [-l LOGFILE] [-n NFILES] [-a] MOUNTPOINT
 *
 * Mounts a directory with the file `disk` (with -n also disk1, disk2 ...) and the file `ctl`, and
 * stays in the foreground until SIGTERM or SIGINT. The contents live in memory, sparse. With -a
 * each disk is there a second time, as disk.alias and so on: the kernel lets nobody write to a FUSE
 * file while it is flushed or punched, which no block device does to its users.
 *
 * The model. A disk has c servers and one queue, first come first served. A read or a write
 * occupies one server for the service time (plus len x per-byte; a write for write-cost % of that)
 * and is answered when that time is over; a write reaches the "medium" at that moment, not before.
 * With work waiting, the next request starts when its server became free, not when this process
 * noticed it:
 *
 *     start = max(arrival, server became free)        finish = start + service
 *
 * So a backlogged disk of 4 servers x 1 ms does 4000 I/O per second on any machine, however late
 * its wake-ups are. A client that keeps fewer requests in flight than there are servers, or only
 * just as many, gets less, as with a real disk.
 *
 * FSYNC is answered one service time after the last of the writes received before it was answered;
 * it needs no server, unless `flush` says otherwise: then it joins the queue when that write was
 * answered, and one that needs all servers lets nobody else start until it has them. Punch hole and
 * zero range need one server each for the service time plus MiB x discard. Everything is data to
 * LSEEK. truncate(2) changes the size: disks that grow or shrink under a program can be had that
 * way.
 *
 * Control: lines written to `ctl`, for all disks or, with a prefix `disk1:`, for one.
 *
 *     service US | servers N | per-byte NS     for requests not started yet
 *     write-cost PCT                           writes take so much of what reads of that size take
 *     discard US                               a discard takes this for each MiB, too
 *     flush US N|all                           a flush takes N servers, or all, for so long; N = 0:
 *                                              none, for the service time
 *     fail-write N ERRNO                       the Nth write received from now fails, once
 *     fail-write-at OFFSET ERRNO               writes over this byte fail, until clear
 *     fail-read, fail-read-at                  the same for reads
 *     short-read N, short-write N              the next N do half of the request (whole sectors)
 *     hang on|off                              the disk stands still: nothing starts or finishes
 *     hang-fsync on|off                        fsyncs received are kept until off
 *     clear                                    none of the above faults any more
 *     reset                                    counters to zero
 *     log-reset                                truncate the log
 *
 * A line that is not understood fails the write(2) with EINVAL. Reading `ctl` gives one line of
 * key=value counters per disk.
 *
 * The log (-l) has two lines per request, in order, written before the request is answered:
 *
 *     seq usec R|W|F|D|Z recv|done offset length dsync|- result first-8-bytes disk busy-usec
 *
 * usec is CLOCK_MONOTONIC, as in /proc/uptime; seq pairs recv with done; the result (bytes, 0, or
 * -errno) is "-" at recv; the bytes (hex) are those of a write at both, of a read at done; the last
 * is the time for which servers were occupied, their sum if there were several. D is punch hole, Z
 * zero range.
 *
 * The disk itself is in testdisk_model.c; here are the mount, `ctl` and the arguments.
 *
 * Threads: one. It sleeps on the FUSE descriptor and the next finish time at once, so nothing
 * here needs a lock, and no request waits for another but in its disk's queue.
 *
 * Not handled: mmap, ioctl, block sizes (any offset and length is served), persistence.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define FUSE_USE_VERSION 34

#include "testdisk_model.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef FOPEN_PARALLEL_DIRECT_WRITES /* headers before Linux 6.2 */
#define FOPEN_PARALLEL_DIRECT_WRITES (1 << 6)
#endif

#define MAX_DISKS 256U
#define MAX_SERVERS 1000000U
#define MAX_COST_PCT 1000000U
#define MAX_WRITE (1U << 20)
#define BATCH 8 /* requests read before finished ones are answered */

enum { INO_ROOT = FUSE_ROOT_ID, INO_CTL, INO_DISK };

static struct disk *disks;
static unsigned n_disks = 1, n_files; /* these without ctl: each disk once or twice */

/* ---- control ---- */

static int parse_errno(const char *s)
{
	for (int e = 1; e < 134; e++) {
		const char *name = strerrorname_np(e);

		if (name && strcmp(name, s) == 0)
			return e;
	}
	return 0;
}

static bool parse_size(const char *s, uint64_t *ret)
{
	static const char suffixes[] = "KMGT";
	char *end;
	uint64_t v = strtoull(s, &end, 10);
	const char *suffix = *end ? strchr(suffixes, *end) : NULL;

	if (suffix) {
		v <<= 10 * (suffix - suffixes + 1);
		end++;
	}
	*ret = v;
	return *s >= '0' && *s <= '9' && !*end;
}

static bool parse_ns(const char *s, double unit, uint64_t *ret)
{
	char *end;
	double v = strtod(s, &end);

	if (end == s || *end || !(v >= 0 && v < 1e9))
		return false;
	*ret = (uint64_t)(v * unit);
	return true;
}

/* One command for one disk. False: not understood. */
static bool control(struct disk *d, const char *cmd, const char *a, const char *b)
{
	bool reads = strstr(cmd, "-read") != NULL;
	bool on = strcmp(a, "on") == 0, on_off = on || strcmp(a, "off") == 0;
	struct fault *f = reads ? &d->read_fault : &d->write_fault;
	uint64_t n;
	int error = parse_errno(b);

	if (strcmp(cmd, "service") == 0)
		return parse_ns(a, 1000, &d->service_ns);
	if (strcmp(cmd, "per-byte") == 0)
		return parse_ns(a, 1000, &d->per_byte_ps);
	if (strcmp(cmd, "discard") == 0)
		return parse_ns(a, 1000, &d->discard_per_mib_ns);
	if (strcmp(cmd, "write-cost") == 0)
		return parse_size(a, &d->write_cost_pct) && d->write_cost_pct <= MAX_COST_PCT;
	if (strcmp(cmd, "flush") == 0) {
		if (strcmp(b, "all") == 0)
			n = MAX_SERVERS;
		else if (!parse_size(b, &n) || n > MAX_SERVERS)
			return false;
		d->flush_servers = (unsigned)n;
		return parse_ns(a, 1000, &d->flush_ns);
	}
	if (strcmp(cmd, "servers") == 0) {
		if (!parse_size(a, &n) || n < 1 || n > MAX_SERVERS)
			return false;
		td_set_servers(d, (unsigned)n);
	} else if (strcmp(cmd, "fail-write") == 0 || strcmp(cmd, "fail-read") == 0) {
		if (!parse_size(a, &n) || n < 1 || !error)
			return false;
		f->countdown = n;
		f->countdown_errno = error;
	} else if (strcmp(cmd, "fail-write-at") == 0 || strcmp(cmd, "fail-read-at") == 0) {
		if (!parse_size(a, &n) || !error)
			return false;
		f->at = n;
		f->at_errno = error;
	} else if (strcmp(cmd, "short-write") == 0 || strcmp(cmd, "short-read") == 0) {
		return parse_size(a, &f->half);
	} else if (strcmp(cmd, "hang") == 0 && on_off) {
		td_set_hang(d, on);
	} else if (strcmp(cmd, "hang-fsync") == 0 && on_off) {
		td_set_hang_fsync(d, on);
	} else if (strcmp(cmd, "clear") == 0) {
		d->read_fault = d->write_fault = (struct fault){0};
		td_set_hang(d, false);
		td_set_hang_fsync(d, false);
	} else if (strcmp(cmd, "reset") == 0) {
		d->n = (struct counters){.max_in_flight = d->in_flight};
	} else if (strcmp(cmd, "log-reset") == 0) {
		return td_log_reset() == 0;
	} else {
		return false;
	}
	return true;
}

static bool control_line(const char *line)
{
	char cmd[32] = "", a[32] = "", b[32] = "";
	const char *colon = strchr(line, ':');
	bool understood = false;

	if (sscanf(colon ? colon + 1 : line, " %31s %31s %31s", cmd, a, b) < 1)
		return !colon;
	for (struct disk *d = disks; d < disks + n_disks; d++) {
		size_t len = strlen(d->name);

		if (colon && ((size_t)(colon - line) != len || strncmp(line, d->name, len) != 0))
			continue;
		td_advance(d, td_now_ns());
		if (!control(d, cmd, a, b))
			return false;
		understood = true;
	}
	return understood;
}

static char *render_counters(void)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	for (struct disk *d = disks; f && d < disks + n_disks; d++)
		fprintf(f,
			"%s: reads=%" PRIu64 " writes=%" PRIu64 " read_bytes=%" PRIu64
			" write_bytes=%" PRIu64 " fsyncs=%" PRIu64 " fallocates=%" PRIu64
			" dsync_writes=%" PRIu64 " errors=%" PRIu64 " max_in_flight=%" PRIu64
			" in_flight=%" PRIu64 " fsyncs_in_flight=%" PRIu64 " busy_us=%" PRIu64 "\n",
			d->name, d->n.reads, d->n.writes, d->n.read_bytes, d->n.write_bytes,
			d->n.fsyncs, d->n.fallocates, d->n.dsync_writes, d->n.errors,
			d->n.max_in_flight, d->in_flight, d->fsyncs_in_flight, d->n.busy_ns / 1000);
	if (f)
		fclose(f);
	return text;
}

/* ---- FUSE ---- */

static void td_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	conn->want |= conn->capable & FUSE_CAP_ASYNC_DIO;
	conn->max_write = MAX_WRITE;
	conn->max_background = 65535;
	conn->congestion_threshold = 65535;
}

static struct disk *disk_of(fuse_ino_t ino)
{
	return &disks[(ino - INO_DISK) % n_disks];
}

static bool get_attr(fuse_ino_t ino, struct stat *st)
{
	*st = (struct stat){.st_ino = ino, .st_uid = getuid(), .st_gid = getgid(), .st_nlink = 1};
	st->st_blksize = 4096;
	if (ino == INO_ROOT) {
		st->st_mode = S_IFDIR | 0755;
	} else if (ino == INO_CTL) {
		st->st_mode = S_IFREG | 0660;
	} else if (ino - INO_DISK < n_files) {
		st->st_mode = S_IFREG | 0660;
		st->st_size = (off_t)disk_of(ino)->size;
		st->st_blocks = st->st_size / 512;
	} else {
		return false;
	}
	return true;
}

static const char *name_of(fuse_ino_t ino)
{
	static char alias[32];

	if (ino == INO_CTL)
		return "ctl";
	if (ino - INO_DISK < n_disks)
		return disk_of(ino)->name;
	snprintf(alias, sizeof alias, "%s.alias", disk_of(ino)->name);
	return alias;
}

static void td_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = {0};

	for (fuse_ino_t ino = INO_CTL; parent == INO_ROOT && ino < INO_DISK + n_files; ino++)
		if (strcmp(name, name_of(ino)) == 0)
			e.ino = ino;
	if (e.ino && get_attr(e.ino, &e.attr))
		fuse_reply_entry(req, &e);
	else
		fuse_reply_err(req, ENOENT);
}

static void td_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	if (get_attr(ino, &st))
		fuse_reply_attr(req, &st, 0);
	else
		fuse_reply_err(req, ENOENT);
}

static void td_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int what,
		       struct fuse_file_info *fi)
{
	if (ino >= INO_DISK && (what & FUSE_SET_ATTR_SIZE) &&
	    !td_resize(disk_of(ino), (uint64_t)st->st_size))
		fuse_reply_err(req, EFBIG);
	else
		td_getattr(req, ino, fi);
}

static void td_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	char buf[4096];
	size_t used = 0;

	(void)ino;
	(void)fi;
	size = td_min(size, sizeof buf);
	for (fuse_ino_t i = INO_CTL + (fuse_ino_t)off; i < INO_DISK + n_files; i++) {
		struct stat st;
		size_t need;

		get_attr(i, &st);
		need = fuse_add_direntry(req, buf + used, size - used, name_of(i), &st,
					 (off_t)(i - INO_CTL + 1));
		if (need > size - used)
			break;
		used += need;
	}
	fuse_reply_buf(req, buf, used);
}

/*
 * Answered by hand: libfuse 3.14 cannot say PARALLEL_DIRECT_WRITES, and releases after it moved
 * the bits of struct fuse_file_info. For ctl, fh is the text its reader will see.
 */
static void td_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	char *text = ino == INO_CTL ? render_counters() : NULL;
	struct fuse_open_out out = {.fh = (uintptr_t)text,
				    .open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES};

	(void)fi;
	if (fuse_reply_buf(req, (const char *)&out, sizeof out) != 0)
		free(text);
}

static void td_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (ino == INO_CTL)
		free((void *)(uintptr_t)fi->fh);
	fuse_reply_err(req, 0);
}

static void td_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	const char *text = (const char *)(uintptr_t)fi->fh;
	size_t len, from;

	if (ino >= INO_DISK) {
		td_receive(disk_of(ino), req, READ, off, size, NULL, false);
		return;
	}
	len = text ? strlen(text) : 0;
	from = td_min((uint64_t)off, len);
	fuse_reply_buf(req, text + from, td_min(size, len - from));
}

static void td_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	char text[4096], *rest = text;
	size_t len = td_min(size, sizeof text - 1);

	if (ino >= INO_DISK) {
		td_receive(disk_of(ino), req, WRITE, off, size, buf, (fi->flags & O_DSYNC) != 0);
		return;
	}
	memcpy(text, buf, len);
	text[len] = '\0';
	for (char *line; (line = strsep(&rest, "\n"));) {
		if (!control_line(line)) {
			fprintf(stderr, "testdisk: ctl: not understood: %s\n", line);
			fuse_reply_err(req, EINVAL);
			return;
		}
	}
	fuse_reply_write(req, size);
}

static void td_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)datasync;
	(void)fi;
	if (ino >= INO_DISK)
		td_receive(disk_of(ino), req, FSYNC, 0, 0, NULL, false);
	else
		fuse_reply_err(req, 0);
}

static void td_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
			 struct fuse_file_info *fi)
{
	(void)fi;
	if (ino >= INO_DISK && (mode & FALLOC_FL_PUNCH_HOLE))
		td_receive(disk_of(ino), req, PUNCH, off, (uint64_t)len, NULL, false);
	else if (ino >= INO_DISK && (mode & FALLOC_FL_ZERO_RANGE))
		td_receive(disk_of(ino), req, ZERO, off, (uint64_t)len, NULL, false);
	else
		fuse_reply_err(req, EOPNOTSUPP);
}

static void td_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
		     struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	get_attr(ino, &st);
	if (off < 0 || off >= st.st_size)
		fuse_reply_err(req, ENXIO);
	else
		fuse_reply_lseek(req, whence == SEEK_HOLE ? st.st_size : off);
}

static const struct fuse_lowlevel_ops ops = {
	.init = td_init,
	.lookup = td_lookup,
	.getattr = td_getattr,
	.setattr = td_setattr,
	.readdir = td_readdir,
	.open = td_open,
	.release = td_release,
	.read = td_read,
	.write = td_write,
	.fsync = td_fsync,
	.fallocate = td_fallocate,
	.lseek = td_lseek,
};

/* ---- main ---- */

static void serve(struct fuse_session *se)
{
	struct fuse_buf buf = {0};
	struct pollfd pfd = {.fd = fuse_session_fd(se), .events = POLLIN};

	fcntl(pfd.fd, F_SETFL, fcntl(pfd.fd, F_GETFL) | O_NONBLOCK);
	prctl(PR_SET_TIMERSLACK, 1UL);
	while (!fuse_session_exited(se)) {
		uint64_t next = UINT64_MAX, now = td_now_ns();
		struct timespec ts = {0};
		int got = 0;

		for (int i = 0; i < BATCH; i++) {
			got = fuse_session_receive_buf(se, &buf);
			if (got <= 0)
				break;
			fuse_session_process_buf(se, &buf);
		}
		if (got < 0 && got != -EAGAIN && got != -EINTR)
			break;
		now = td_now_ns();
		for (struct disk *d = disks; d < disks + n_disks; d++)
			next = td_min(next, td_advance(d, now));
		if (got > 0)
			continue;
		td_log_flush();
		now = td_now_ns();
		if (next <= now)
			continue;
		/* at most a second: a signal may have come just before ppoll */
		ts.tv_sec = next - now < 1000000000U ? 0 : 1;
		ts.tv_nsec = ts.tv_sec ? 0 : (long)(next - now);
		ppoll(&pfd, 1, &ts, NULL);
	}
	free(buf.mem);
}

static int usage(void)
{
	fputs("usage: testdisk [-s SERVERS] [-t SERVICE_US] [-b SIZE] [-p PER_BYTE_NS]\n"
	      "                [-l LOGFILE] [-n NFILES] [-a] MOUNTPOINT\n",
	      stderr);
	return 2;
}

int main(int argc, char **argv)
{
	struct disk model = {.servers = 4, .service_ns = 1000000, .write_cost_pct = 100};
	uint64_t size = 1ULL << 30, n;
	const char *log_path = NULL;
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *se = NULL;
	bool aliases = false;
	int status = 1;

	for (int c; (c = getopt(argc, argv, "s:t:b:p:l:n:a")) != -1;) {
		bool ok = false;

		if (c == 's' && parse_size(optarg, &n) && (ok = n >= 1 && n <= MAX_SERVERS))
			model.servers = (unsigned)n;
		else if (c == 't')
			ok = parse_ns(optarg, 1000, &model.service_ns);
		else if (c == 'b')
			ok = parse_size(optarg, &size);
		else if (c == 'p')
			ok = parse_ns(optarg, 1000, &model.per_byte_ps);
		else if (c == 'l')
			ok = (log_path = optarg) != NULL;
		else if (c == 'n' && parse_size(optarg, &n) && (ok = n >= 1 && n <= MAX_DISKS))
			n_disks = (unsigned)n;
		else if (c == 'a')
			ok = aliases = true;
		if (!ok)
			return usage();
	}
	if (optind != argc - 1)
		return usage();

	n_files = aliases ? 2 * n_disks : n_disks;
	disks = calloc(n_disks, sizeof *disks);
	for (unsigned i = 0; disks && i < n_disks; i++) {
		disks[i] = model;
		snprintf(disks[i].name, sizeof disks[i].name, i ? "disk%u" : "disk", i);
		if (!td_resize(&disks[i], size)) {
			fprintf(stderr, "testdisk: cannot have a disk of %" PRIu64 " bytes\n",
				size);
			return 1;
		}
	}
	if (log_path && td_log_open(log_path) < 0) {
		perror(log_path);
		return 1;
	}
	fuse_opt_add_arg(&args, "testdisk");
	fuse_opt_add_arg(&args, "-ofsname=testdisk");
	if (geteuid() == 0)
		fuse_opt_add_arg(&args, "-oallow_other");
	se = disks ? fuse_session_new(&args, &ops, sizeof ops, NULL) : NULL;
	if (se && fuse_set_signal_handlers(se) == 0 && fuse_session_mount(se, argv[optind]) == 0) {
		serve(se);
		for (unsigned i = 0; i < n_disks; i++)
			td_fail_all(&disks[i]);
		fuse_session_unmount(se);
		status = 0;
	}
	if (se)
		fuse_session_destroy(se);
	fuse_opt_free_args(&args);
	td_log_close();
	for (unsigned i = 0; disks && i < n_disks; i++)
		munmap(disks[i].mem, disks[i].size);
	free(disks);
	return status;
}
