/* SPDX-License-Identifier: MIT */
/*
 * flood - as many writes at once as are asked for, all of them of one thread with Linux AIO, as
 * QEMU's aio=native sends them.
 *
 *     flood FILE COUNT LENGTH
 *
 * COUNT writes of LENGTH bytes, one behind the other, from the beginning again at the end of FILE.
 * All share one buffer, as 10,000 of a MiB would not fit into memory. Prints "sent" once all have
 * been accepted, and at the end how many were written and how many failed, with the errno of the
 * first of them.
 */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "helper.h"

#define EVENTS 256

int main(int argc, char **argv)
{
	uint64_t count, len, size, done = 0, failed = 0, sent = 0;
	struct io_event events[EVENTS];
	aio_context_t context = 0;
	struct iocb *list;
	int first = 0, fd;
	struct stat st;
	char *buf;

	if (argc != 4)
		die("usage: flood FILE COUNT LENGTH");
	count = size_arg(argv[2]);
	len = size_arg(argv[3]);
	fd = open(argv[1], O_WRONLY | O_DIRECT);
	if (fd < 0 || fstat(fd, &st) || (uint64_t)st.st_size < len || !count)
		die("%s: %s", argv[1], strerror(errno));
	size = (uint64_t)st.st_size / len * len;
	buf = pages(len);
	memset(buf, 0x5a, len);
	list = calloc(count, sizeof(*list));
	if (!list || syscall(SYS_io_setup, count, &context))
		die("io_setup: %s", strerror(errno));
	for (uint64_t i = 0; i < count; i++)
		list[i] = (struct iocb){.aio_fildes = (uint32_t)fd,
					.aio_lio_opcode = IOCB_CMD_PWRITE,
					.aio_buf = (uintptr_t)buf,
					.aio_nbytes = len,
					.aio_offset = (int64_t)(i * len % size)};
	for (; sent < count; sent++) {
		struct iocb *one = &list[sent];

		if (syscall(SYS_io_submit, context, 1L, &one) != 1)
			die("io_submit: %s", strerror(errno));
	}
	puts("sent");
	fflush(stdout);
	while (done < count) {
		long n = syscall(SYS_io_getevents, context, 1L, (long)EVENTS, events, NULL);

		if (n < 0 && errno != EINTR)
			die("io_getevents: %s", strerror(errno));
		for (long i = 0; i < n; i++, done++)
			if (events[i].res != (int64_t)len && !failed++)
				first = (int)-events[i].res;
	}
	printf("%llu written, %llu failed%s%s\n", (unsigned long long)(count - failed),
	       (unsigned long long)failed, failed ? ": " : "",
	       failed ? strerrorname_np(first) : "");
	return 0;
}
