/* SPDX-License-Identifier: MIT */
/*
 * loopdev.h - loop devices for unit tests, gone when the test is, even if it crashes.
 */
#ifndef FUSEBAND_TESTS_LOOPDEV_H
#define FUSEBAND_TESTS_LOOPDEV_H

#include <errno.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <linux/loop.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct loopdev {
	int fd; /* the device; closing it detaches it (unless somebody else has it open) */
	char path[32];
};

/*
 * flags: LO_FLAGS_READ_ONLY, LO_FLAGS_PARTSCAN. block: logical block size, 0 = 512. 0 or
 * -errno.
 */
static inline int loopdev_attach(struct loopdev *loop, const char *file, uint32_t flags,
				 uint64_t offset, uint32_t block)
{
	bool readonly = flags & LO_FLAGS_READ_ONLY;
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int backing = open(file, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC), err = -EBUSY;

	if (control < 0 || backing < 0)
		err = -errno;
	for (int i = 0; err == -EBUSY && i < 100; i++) {
		struct loop_config config = {
			.fd = (uint32_t)backing,
			.block_size = block,
			.info = {.lo_flags = flags | LO_FLAGS_AUTOCLEAR, .lo_offset = offset},
		};
		int number = ioctl(control, LOOP_CTL_GET_FREE);

		snprintf(loop->path, sizeof(loop->path), "/dev/loop%d", number);
		loop->fd = open(loop->path, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
		if (loop->fd < 0) {
			err = -errno;
			break;
		}
		err = ioctl(loop->fd, LOOP_CONFIGURE, &config) < 0 ? -errno : 0;
		if (err)
			close(loop->fd);
	}
	if (control >= 0)
		close(control);
	if (backing >= 0)
		close(backing);
	return err;
}

/*
 * Partitions 1..n of one MiB, one MiB apart: p1 at 1 MiB, p2 at 3 MiB ... Told to the kernel
 * rather than written into a table, which it may have no parser for. 0 or -errno.
 */
static inline int loopdev_partition(const struct loopdev *loop, int n)
{
	for (int i = 0; i < n; i++) {
		struct blkpg_partition part = {
			.start = (1 + 2LL * i) << 20, .length = 1 << 20, .pno = i + 1};
		struct blkpg_ioctl_arg arg = {
			.op = BLKPG_ADD_PARTITION, .datalen = sizeof(part), .data = &part};
		if (ioctl(loop->fd, BLKPG, &arg) < 0)
			return -errno;
	}
	return 0;
}

/* They outlive the loop device otherwise. */
static inline void loopdev_unpartition(const struct loopdev *loop, int n)
{
	for (int i = 0; i < n; i++) {
		struct blkpg_partition part = {.pno = i + 1};
		struct blkpg_ioctl_arg arg = {
			.op = BLKPG_DEL_PARTITION, .datalen = sizeof(part), .data = &part};
		ioctl(loop->fd, BLKPG, &arg);
	}
}

/* Partition nodes come from devtmpfs, or from udev a moment later. */
static inline bool loopdev_wait(const char *path)
{
	for (int i = 0; i < 200; i++) {
		if (access(path, F_OK) == 0)
			return true;
		usleep(10000);
	}
	return false;
}

#endif
