/* SPDX-License-Identifier: MIT */
/*
 * fuzz_request.c - bytes as FUSE requests, read as from a kernel that is not to be trusted.
 *
 * The mount is made up: files of all kinds without anything behind them. A request goes the way it
 * goes in a worker: to request_decode() and, if it is libfuse's, to front_process(), whose answers
 * come back here. An input is any number of messages, each
 *
 *     flags  1 byte	what to leave as it is in the request (enum flag); 0: all is put right
 *     count  1 byte	so many bytes of the request follow
 *     n	  3 bytes	with LONG only: its length, the rest is zeros
 *     the request	struct fuse_in_header and so on
 *
 * so that most mutations still are requests. What must hold of any request:
 *
 *   memory    nothing before it or beyond its n bytes is touched: it ends where its memory ends
 *   disk      what goes there lies within the file, aligned, not empty, and is what was asked for;
 *             nothing is written to what is read-only or has shrunk, nothing is made longer
 *   answer    one for each request, or none where the protocol has none; of the right number and
 *             length, with an errno that exists; no more than was asked for
 *   opens     of a file are as many as were granted less those that were given back, never negative
 */
#include "fuzz.h"

#include "front.h"
#include "request.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fuse.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#define KIB UINT64_C(1024)
#define MIB (KIB << 10)
#define N_MAX (REQUEST_HEADER_BYTES + REQUEST_PAYLOAD_MAX)

enum flag {
	KEEP_LEN = 1,	 /* in the header; else it is n */
	KEEP_NODE = 2,	 /* else it is the root or the id of a file */
	KEEP_SIZE = 4,	 /* of a WRITE; else it is what follows its header */
	KEEP_OPCODE = 8, /* else it is less than 64 */
	LONG = 16,
};

/* ---- the mount ---- */

/* What is behind each section, in this order; no descriptors. */
static const char sections[] = "[even]\npath=/even\n"
			       "[odd]\npath=/odd\n"
			       "[range]\npath=/range\n"
			       "[block]\npath=/block\n"
			       "[block4k]\npath=/block4k\n"
			       "[tiny]\npath=/tiny\n"
			       "[readonly]\npath=/readonly\nreadonly=yes\n"
			       "[shrunk]\npath=/shrunk\n"
			       "[ignore]\npath=/ignore\ndiscard=ignore\n"
			       "[buffered]\npath=/buffered\nbuffered=yes\n"
			       "[huge]\npath=/huge\n"
			       "[absent]\npath=/absent\noptional=yes\n";
static const char one_more[] = "[removed]\npath=/removed\n";

#define FILES 13
#define ABSENT 11
#define REMOVED 12
#define SHRUNK 7
#define SHRUNK_BYTES 300001
static struct backing backings[FILES] = {
	{.align_bytes = 512, .block_bytes = 512, .size_bytes = MIB, .can_punch = true},
	{.align_bytes = 512, .block_bytes = 512, .size_bytes = MIB + 1000, .can_punch = true},
	{.align_bytes = 4096, .block_bytes = 4096, .size_bytes = 70001, .start_bytes = 5 * 4096},
	{.id.is_block = true,
	 .align_bytes = 512,
	 .block_bytes = 512,
	 .size_bytes = 4 * MIB,
	 .can_punch = true,
	 .can_zero = true},
	{.id.is_block = true,
	 .align_bytes = 4096,
	 .block_bytes = 4096,
	 .size_bytes = 3 * MIB,
	 .start_bytes = MIB,
	 .can_punch = true},
	{.align_bytes = 512, .block_bytes = 512, .size_bytes = 1, .can_zero = true},
	{.align_bytes = 512, .block_bytes = 512, .size_bytes = MIB, .can_punch = true},
	{.align_bytes = 512, .block_bytes = 512, .size_bytes = MIB, .can_punch = true},
	{.align_bytes = 512, .block_bytes = 512, .size_bytes = MIB, .can_punch = true},
	{.align_bytes = 1, .block_bytes = 512, .size_bytes = 99999, .can_zero = true},
	{.id.is_block = true,
	 .align_bytes = 512,
	 .block_bytes = 512,
	 .size_bytes = UINT64_C(1) << 62,
	 .can_punch = true,
	 .can_zero = true},
	{.refs = 0},
	{.align_bytes = 512, .block_bytes = 512, .size_bytes = 64 * KIB, .can_punch = true},
};

static struct mount *mount;
static unsigned opens[FILES]; /* what they should be */

/* A plan of the sections, as plan_make() would make it. */
static void apply(bool again)
{
	char *text;
	struct conf_errors errors = {NULL, 0};
	static char disk_name[] = "disk", source_name[] = "fuzz.ini";
	dev_t leaf = 1;
	struct plan_disk disk = {.name = disk_name, .leaves = &leaf, .n_leaves = 1};
	struct conf_source source = {.path = source_name};
	const struct conf_text texts = {.sources = &source, .n_sources = 1};
	struct plan_file files[FILES] = {0};
	struct plan_running *running;
	size_t n_running;
	struct plan plan = {.disks = &disk, .n_disks = 1, .files = files};

	CHECK(asprintf(&text, "%s%s", sections, again ? "" : one_more) > 0);
	source.text = text;
	source.len = strlen(text);
	CHECK(conf_parse(&texts, &errors, &plan.conf) == 0);
	plan.n_files = plan.conf->n_files;
	for (size_t i = 0; i < plan.n_files; i++) {
		struct backing *backing = i == ABSENT ? NULL : &backings[i];

		files[i] = (struct plan_file){.conf = &plan.conf->files[i],
					      .backing = backing,
					      .disk = backing ? 0 : PLAN_NO_DISK,
					      .reused = again};
		if (!backing)
			continue;
		backing->refs = 1; /* never the last one */
		backing->fd = backing->fd_buffered = -1;
		backing->to_end = true;
		files[i].size_bytes = i == SHRUNK && again ? SHRUNK_BYTES : backing->size_bytes;
	}
	CHECK(mount_running(mount, &running, &n_running) == 0); /* for whoever plans */
	free(running);
	CHECK(mount_apply(mount, &plan, &errors) == 0);
	conf_free(plan.conf);
	free(text);
}

/* NULL: the one that is not there. */
static struct file *file_at(unsigned index)
{
	return mount_by_id(mount, MOUNT_FIRST_ID + index);
}

static void make_mount(void)
{
	mount = mount_new();
	CHECK(mount);
	apply(false);
	for (unsigned i = 0; i < FILES; i++)
		CHECK(file_at(i));
	atomic_store(&file_at(REMOVED)->kept->opens, 1);
	apply(true);
	CHECK(file_at(REMOVED)->removed && mount->n_orphans == 1);
	CHECK(file_at(SHRUNK)->present_bytes == SHRUNK_BYTES);
	CHECK(file_at(SHRUNK)->size_bytes == MIB);
}

static void reset_opens(void)
{
	for (unsigned i = 0; i < FILES; i++) {
		opens[i] = i == REMOVED;
		atomic_store(&file_at(i)->kept->opens, opens[i]);
	}
	atomic_store(&mount->garbage, false);
}

/* ---- answers ---- */

#define REQUEST_FD 1000000 /* of requests that we answer ourselves */

static struct {
	unsigned n;
	size_t len;
	struct fuse_out_header header;
	char body[160]; /* the beginning of it */
} answer;

static void take_answer(const char *data, size_t len)
{
	volatile char last;

	CHECK(len >= sizeof(answer.header));
	answer.n++;
	answer.len = len;
	memcpy(&answer.header, data, sizeof(answer.header));
	memset(answer.body, 0, sizeof(answer.body));
	len -= sizeof(answer.header);
	memcpy(answer.body, data + sizeof(answer.header),
	       len < sizeof(answer.body) ? len : sizeof(answer.body));
	last = data[answer.len - 1];
	(void)last;
	CHECK(answer.header.len == answer.len);
	CHECK(answer.header.error <= 0 && answer.header.error > -1000);
	CHECK(!answer.header.error || !len);
}

ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len)
{
	if (fd != REQUEST_FD)
		return __real_write(fd, data, len);
	take_answer(data, len);
	return (ssize_t)len;
}

/* libfuse's */
static ssize_t session_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	static char joined[N_MAX];
	size_t len = 0;

	(void)fd, (void)userdata;
	for (int i = 0; i < count; i++) {
		CHECK(iov[i].iov_len <= sizeof(joined) - len);
		memcpy(joined + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	take_answer(joined, len);
	return (ssize_t)len;
}

static ssize_t session_read(int fd, void *buf, size_t size, void *userdata)
{
	(void)fd, (void)buf, (void)size, (void)userdata;
	return -1;
}

/* ---- a session without a kernel ---- */

static struct front front;
static struct front_session session;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
	va_end(args);
	return __real_open(strcmp(path, "/dev/fuse") == 0 ? "/dev/null" : path, flags, mode);
}

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	return request == FUSE_DEV_IOC_CLONE ? 0 : __real_ioctl(fd, request, arg);
}

static void make_session(void)
{
	static struct kept_worker mark;
	static const struct fuse_custom_io io = {.writev = session_writev, .read = session_read};
	const struct {
		struct fuse_in_header header;
		struct fuse_init_in init;
	} init = {
		.header = {.len = sizeof(init), .opcode = FUSE_INIT, .unique = 2},
		.init = {.major = FUSE_KERNEL_VERSION,
			 .minor = FUSE_KERNEL_MINOR_VERSION,
			 .max_readahead = 128 * KIB,
			 .flags = FUSE_ASYNC_READ | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS |
				  FUSE_BIG_WRITES | FUSE_MAX_PAGES | FUSE_DO_READDIRPLUS},
	};

	front.mount = mount;
	memcpy(front.init, &init, sizeof(init));
	front.init_bytes = sizeof(init);
	CHECK(front_session_open(&front, -1, &mark, &session) == 0);
	CHECK(front.max_write == REQUEST_PAYLOAD_MAX); /* it was negotiated */
	CHECK(fuse_session_custom_io(session.session, &io, session.fd) == 0);
}

/* ---- what is decoded ---- */

static bool is_aligned(uint64_t value, uint64_t unit)
{
	return value % unit == 0;
}

/* No request of the scheduler is empty, or beyond the blocks of the file. */
static void check_req(const struct io *io)
{
	uint64_t size = io->file->size_bytes, unit = io->file->backing->align_bytes;

	CHECK(io->req.pos_bytes < io->req.end_bytes);
	CHECK(io->req.pos_bytes < size);
	CHECK(io->req.end_bytes <= (size + unit - 1) / unit * unit);
}

static void check_read(const struct io *io, const struct fuse_read_in *in)
{
	uint64_t size = io->file->size_bytes, unit = io->file->backing->align_bytes;
	uint64_t end = io->pos_bytes + io->len_bytes;

	CHECK(io->pos_bytes == in->offset && in->offset < size);
	CHECK(io->len_bytes == (in->size < size - in->offset ? in->size : size - in->offset));
	CHECK(io->req.op == FBS_READ && io->phase == IO_DIRECT);
	CHECK(io->base_bytes == io->req.pos_bytes && is_aligned(io->base_bytes, unit));
	CHECK(io->base_bytes <= io->pos_bytes && io->pos_bytes - io->base_bytes < unit);
	CHECK(is_aligned(io->req.end_bytes, unit));
	CHECK(io->req.end_bytes >= end && io->req.end_bytes - end < unit);
	CHECK(io->req.end_bytes - io->base_bytes <= POOL_BUFFER_MAX);
	CHECK(!io->client_direct || io->base_bytes == io->pos_bytes);
	check_req(io);
}

static void check_write(const struct io *io, const struct fuse_write_in *in, const char *header,
			size_t n)
{
	const struct file *file = io->file;
	uint64_t unit = file->backing->align_bytes;
	uint64_t end = io->pos_bytes + io->len_bytes;
	bool is_whole = is_aligned(io->pos_bytes, unit) && is_aligned(io->len_bytes, unit);

	CHECK(!file->readonly);
	CHECK(io->data == header + REQUEST_HEADER_BYTES);
	CHECK(io->pos_bytes == in->offset && io->len_bytes == in->size);
	CHECK(io->len_bytes > 0 && io->len_bytes == n - REQUEST_HEADER_BYTES);
	CHECK(io->pos_bytes < end && end <= file->size_bytes && end <= file->present_bytes);
	CHECK(io->range.start_bytes <= io->pos_bytes && io->range.end_bytes >= end);
	CHECK(io->range.exclusive == !is_whole);
	CHECK(is_whole || !io->client_direct);
	switch (io->phase) {
	case IO_DIRECT:
		CHECK(is_whole);
		break;
	case IO_FETCH: /* whole blocks, all of them in the file */
		CHECK(io->req.op == FBS_READ);
		CHECK(is_aligned(io->req.pos_bytes, unit) && is_aligned(io->req.end_bytes, unit));
		CHECK(io->req.pos_bytes <= io->pos_bytes && io->req.end_bytes >= end);
		CHECK(io->req.pos_bytes == io->range.start_bytes);
		CHECK(io->req.end_bytes == io->range.end_bytes);
		CHECK(io->req.end_bytes <= file->size_bytes);
		break;
	case IO_TAIL: /* what the page cache writes back may not be written beside it */
		CHECK((end + unit - 1) / unit * unit > file->size_bytes);
		CHECK(io->range.end_bytes >= file->size_bytes);
		CHECK(is_aligned(io->range.start_bytes + file->backing->start_bytes, 4096) ||
		      !io->range.start_bytes);
		break;
	default:
		CHECK(false && "a phase of writes");
	}
	if (io->phase != IO_FETCH)
		CHECK(io->req.op == FBS_WRITE && io->req.pos_bytes == io->pos_bytes &&
		      io->req.end_bytes == end);
	check_req(io);
}

static void check_fallocate(const struct io *io, const struct fuse_fallocate_in *in)
{
	const struct file *file = io->file;
	const struct backing *backing = file->backing;
	uint64_t end = io->pos_bytes + io->len_bytes;
	int what = io->mode & ~FALLOC_FL_KEEP_SIZE;

	CHECK(!file->readonly);
	CHECK(io->req.op == FBS_DISCARD && io->mode & FALLOC_FL_KEEP_SIZE);
	CHECK(io->mode == (int)(in->mode | FALLOC_FL_KEEP_SIZE));
	CHECK(what == 0 || what == FALLOC_FL_PUNCH_HOLE || what == FALLOC_FL_ZERO_RANGE);
	CHECK(what != 0 || !backing->id.is_block);
	CHECK(what != FALLOC_FL_PUNCH_HOLE || (backing->can_punch && !file->ignore_discard));
	CHECK(what != FALLOC_FL_ZERO_RANGE || backing->can_zero);
	CHECK(io->pos_bytes == in->offset && io->len_bytes > 0 && io->len_bytes <= in->length);
	CHECK(io->pos_bytes < end && end <= file->size_bytes && end <= file->present_bytes);
	CHECK(io->len_bytes == in->length || end == file->size_bytes);
	CHECK(io->req.pos_bytes == io->pos_bytes && io->req.end_bytes == end);
	CHECK(io->range.start_bytes == io->pos_bytes && io->range.end_bytes == end);
	CHECK(!backing->id.is_block || (is_aligned(io->pos_bytes, backing->block_bytes) &&
					is_aligned(io->len_bytes, backing->block_bytes)));
	check_req(io);
}

/* The answer to what went to the disk, as if it had gone well. */
static void answer_io(struct io *io)
{
	struct buffer *buffer = NULL;

	if (io->kind == IO_READ) {
		size_t bytes = POOL_PAGE + (size_t)(io->req.end_bytes - io->base_bytes);

		CHECK(posix_memalign((void **)&buffer, POOL_PAGE, bytes) == 0);
		io->data = buffer_payload(buffer);
	}
	CHECK(request_answer(io) == 0);
	free(buffer);
	CHECK(answer.n == 1 && !answer.header.error && answer.header.unique == io->unique);
	CHECK(answer.len ==
	      sizeof(answer.header) + (io->kind == IO_READ    ? io->len_bytes
				       : io->kind == IO_WRITE ? sizeof(struct fuse_write_out)
				       : io->kind == IO_SEEK  ? sizeof(struct fuse_lseek_out)
							      : 0));
}

static void check_io(struct io *io, const char *header, size_t n)
{
	const struct fuse_in_header *in = (const void *)header;
	const void *arg = header + sizeof(*in);

	CHECK(io->file && io->file->id == in->nodeid);
	CHECK(io->file->backing && io->disk && io->disk == io->file->disk);
	CHECK(io->fd == REQUEST_FD && io->unique == in->unique && io->pid == in->pid);
	CHECK(!io->error && !io->buffer && !io->outstanding);
	switch (in->opcode) {
	case FUSE_READ:
		CHECK(io->kind == IO_READ);
		check_read(io, arg);
		break;
	case FUSE_WRITE:
		CHECK(io->kind == IO_WRITE);
		check_write(io, arg, header, n);
		break;
	case FUSE_FALLOCATE:
		CHECK(io->kind == IO_FALLOCATE);
		check_fallocate(io, arg);
		break;
	case FUSE_FSYNC:
		CHECK(io->kind == IO_FLUSH && io->phase == IO_FLUSHING);
		break;
	case FUSE_LSEEK:
		CHECK(io->kind == IO_SEEK && io->pos_bytes < io->file->size_bytes);
		CHECK(io->mode == SEEK_DATA || io->mode == SEEK_HOLE);
		CHECK(!io->file->backing->id.is_block);
		break;
	default:
		CHECK(false && "a request for the disk");
	}
	answer_io(io);
}

/* ---- what is libfuse's ---- */

static void check_other(const struct fuse_in_header *in, const void *arg)
{
	unsigned index = (unsigned)(in->nodeid - MOUNT_FIRST_ID);
	bool is_file = in->nodeid >= MOUNT_FIRST_ID && in->nodeid - MOUNT_FIRST_ID < FILES;
	bool is_silent = in->opcode == FUSE_FORGET || in->opcode == FUSE_BATCH_FORGET;

	CHECK(answer.n == !is_silent);
	if (is_silent)
		return;
	CHECK(answer.header.unique == in->unique);
	if (in->opcode == FUSE_OPEN && !answer.header.error) {
		CHECK(is_file && index != REMOVED && index != ABSENT);
		opens[index]++;
	}
	if (in->opcode == FUSE_RELEASE && is_file && opens[index] > 0)
		opens[index]--;
	if (in->opcode == FUSE_READDIR && !answer.header.error)
		CHECK(answer.len - sizeof(answer.header) <=
		      ((const struct fuse_read_in *)arg)->size);
	if (in->opcode == FUSE_IOCTL && !answer.header.error)
		CHECK(answer.len - sizeof(answer.header) - sizeof(struct fuse_ioctl_out) <=
		      ((const struct fuse_ioctl_in *)arg)->out_size);
	if (is_file)
		CHECK(atomic_load(&file_at(index)->kept->opens) == opens[index]);
}

/* ---- messages ---- */

struct input {
	const uint8_t *data;
	size_t left;
};

static uint8_t take(struct input *input)
{
	if (!input->left)
		return 0;
	input->left--;
	return *input->data++;
}

/* The next request; header + REQUEST_HEADER_BYTES is page-aligned, and nothing follows it. */
static char *next_request(struct input *input, void **ret_memory, size_t *ret_n)
{
	uint8_t flags = take(input);
	size_t count = take(input), n = count;
	struct fuse_in_header in = {0};
	struct fuse_write_in write_in = {0};
	char *header;

	if (flags & LONG)
		n = ((size_t)take(input) << 16 | (size_t)take(input) << 8 | take(input)) %
		    (N_MAX + 1);
	if (count > n)
		count = n;
	if (count > input->left)
		count = input->left;
	if (!(flags & LONG))
		n = count;
	CHECK(posix_memalign(ret_memory, POOL_PAGE, POOL_PAGE - REQUEST_HEADER_BYTES + n) == 0);
	header = (char *)*ret_memory + POOL_PAGE - REQUEST_HEADER_BYTES;
	if (n > 0) { /* may be NULL for all that memcpy() knows */
		memset(header, 0, n);
		memcpy(header, input->data, count);
	}
	input->data += count;
	input->left -= count;
	*ret_n = n;
	if (n < sizeof(in))
		return header;
	memcpy(&in, header, sizeof(in));
	if (!(flags & KEEP_LEN))
		in.len = (uint32_t)n;
	if (!(flags & KEEP_OPCODE))
		in.opcode %= 64;
	if (!(flags & KEEP_NODE))
		in.nodeid = in.nodeid % 16 == 15 ? MOUNT_ROOT_ID : MOUNT_FIRST_ID + in.nodeid % 16;
	memcpy(header, &in, sizeof(in));
	if (in.opcode == FUSE_WRITE && n >= REQUEST_HEADER_BYTES && !(flags & KEEP_SIZE)) {
		memcpy(&write_in, header + sizeof(in), sizeof(write_in));
		write_in.size = (uint32_t)(n - REQUEST_HEADER_BYTES);
		memcpy(header + sizeof(in), &write_in, sizeof(write_in));
	}
	return header;
}

static void process(char *header, size_t n)
{
	char copy[REQUEST_HEADER_BYTES + 32] = {0}; /* as it was: libfuse writes into requests */
	const struct fuse_in_header *in = (const void *)copy;
	struct io io;

	memcpy(copy, header, n < sizeof(copy) ? n : sizeof(copy));
	memset(&io, 0xa5, sizeof(io)); /* of an earlier request */
	memset(&answer, 0, sizeof(answer));
	switch (request_decode(mount, header, n, REQUEST_FD, &io)) {
	case REQUEST_IO:
		check_io(&io, header, n);
		break;
	case REQUEST_ANSWER:
		CHECK(io.fd == REQUEST_FD && io.unique == in->unique && io.error <= 0);
		CHECK(request_answer(&io) == 0);
		CHECK(answer.n == 1 && answer.header.unique == in->unique);
		CHECK(answer.header.error == io.error);
		break;
	case REQUEST_INTERRUPT:
		CHECK(in->opcode == FUSE_INTERRUPT);
		CHECK(io.unique ==
		      ((const struct fuse_interrupt_in *)(const void *)(in + 1))->unique);
		break;
	case REQUEST_OTHER:
		front_process(&session, header, n);
		check_other(in, in + 1);
		break;
	case REQUEST_BROKEN:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};

	if (!mount) {
		make_mount();
		make_session();
	}
	reset_opens();
	while (input.left > 0) {
		void *memory;
		size_t n;
		char *header = next_request(&input, &memory, &n);

		process(header, n);
		free(memory);
	}
	return 0;
}
