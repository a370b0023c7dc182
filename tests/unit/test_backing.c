/* SPDX-License-Identifier: MIT */
/*
 * test_backing.c - backing.h: what is opened, and what keeps writers away from each other. With real
 * files and loop devices; block devices need root.
 */
#include "backing_rig.h"
#include "memfd.h"
#include "own_mounts.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>

/* ---- identity ---- */

static void test_identify(void **state)
{
	struct backing_id a, b;

	(void)state;
	image("a.img", 4096);
	a = id_of(in_dir("a.img"));
	assert_false(a.is_block);
	assert_int_equal(link(in_dir("a.img"), in_dir("b.img")), 0);
	assert_int_equal(symlink("b.img", in_dir("c.img")), 0);
	b = id_of(in_dir("c.img"));
	assert_int_equal(backing_id_compare(&a, &b), 0);
	image("d.img", 4096);
	b = id_of(in_dir("d.img"));
	assert_int_equal(backing_id_compare(&a, &b), -backing_id_compare(&b, &a));
	assert_int_not_equal(backing_id_compare(&a, &b), 0);
}

static void test_identify_refuses(void **state)
{
	struct backing_id id = {.ino = 12345};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", in_dir("socket"));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0); /* would block, if opened */
	assert_int_equal(backing_identify(in_dir("fifo"), why, sizeof(why), &id), -EINVAL);
	assert_non_null(strstr(why, "is a FIFO"));
	assert_int_equal(backing_identify(in_dir("socket"), why, sizeof(why), &id), -EINVAL);
	assert_non_null(strstr(why, "is a socket"));
	assert_int_equal(backing_identify(dir, why, sizeof(why), &id), -EINVAL);
	assert_non_null(strstr(why, "is a directory"));
	assert_int_equal(backing_identify("/dev/null", why, sizeof(why), &id), -EINVAL);
	assert_non_null(strstr(why, "is a character device"));
	assert_int_equal(backing_identify(in_dir("none"), why, sizeof(why), &id), -ENOENT);
	assert_true(backing_is_missing(-ENOENT));
	assert_false(backing_is_missing(-EACCES));
	assert_false(backing_is_missing(0));
	assert_int_equal(id.ino, 12345);
}

/* ---- opening images ---- */

static void test_image(void **state)
{
	struct backing_spec spec = {.path = image("a.img", 3 * MIB)};
	struct backing *backing = opened(&spec);

	(void)state;
	assert_false(backing->buffered);
	assert_true(fcntl(backing->fd, F_GETFL) & O_DIRECT);
	assert_true(fcntl(backing->fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(backing->fd_buffered, -1);
	assert_int_equal(backing->start_bytes, 0);
	assert_int_equal(backing->size_bytes, 3 * MIB);
	assert_true(backing->to_end);
	assert_true(backing->block_bytes >= 512 && backing->align_bytes >= 1);
	assert_true(backing->block_bytes % backing->align_bytes == 0);
	assert_true(backing->can_punch);
	assert_int_equal(backing->extent.root.ino, backing->id.ino);
	/* the numbers are true: a block can be written so, and from any such address */
	void *memory = NULL;
	assert_int_equal(posix_memalign(&memory, 8192, 8192), 0);
	memset(memory, 'x', 8192);
	char *block = (char *)memory + backing->memory_align % 4096;
	assert_int_equal(pwrite(backing->fd, block, backing->align_bytes, backing->align_bytes),
			 backing->align_bytes);
	free(memory);
	assert_ptr_equal(backing_ref(backing), backing);
	backing_unref(backing);
	assert_true(fcntl(backing->fd, F_GETFD) >= 0);
	backing_unref(backing);
	backing_unref(NULL);
}

static void test_image_tail(void **state)
{
	struct backing_spec spec = {.path = image("a.img", 8192 + 100)};
	struct backing *backing = opened(&spec);

	(void)state;
	assert_int_equal(backing->size_bytes, 8292);
	assert_true(backing->fd_buffered >= 0);
	assert_false(fcntl(backing->fd_buffered, F_GETFL) & O_DIRECT);
	assert_int_equal(fcntl(backing->fd_buffered, F_GETFL) & O_ACCMODE, O_RDWR);
	backing_unref(backing);
	spec.offset_bytes = 4096;
	spec.readonly = true;
	backing = opened(&spec);
	assert_int_equal(backing->start_bytes, 4096);
	assert_int_equal(backing->size_bytes, 4196);
	assert_int_equal(fcntl(backing->fd_buffered, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(fcntl(backing->fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	backing_unref(backing);
	spec.size_bytes = 4096; /* does not go to the end: no tail */
	backing = opened(&spec);
	assert_int_equal(backing->size_bytes, 4096);
	assert_false(backing->to_end);
	assert_int_equal(backing->fd_buffered, -1);
	backing_unref(backing);
}

static void test_ranges(void **state)
{
	struct backing_spec spec = {.path = image("a.img", MIB)};

	(void)state;
	spec.offset_bytes = 100;
	not_opened(&spec, -EINVAL, "offset", "is no multiple of the block size");
	spec.offset_bytes = 0;
	spec.size_bytes = 100;
	not_opened(&spec, -EINVAL, "size", "is no multiple of the block size");
	spec.offset_bytes = MIB;
	spec.size_bytes = 0;
	not_opened(&spec, -EINVAL, "offset", "lies beyond the end");
	spec.offset_bytes = MIB - 4096;
	spec.size_bytes = 8192;
	not_opened(&spec, -EINVAL, "size", "reaches beyond the end");
	spec.size_bytes = UINT64_MAX - 4095;
	not_opened(&spec, -EINVAL, "size", "reaches beyond the end");
	spec.offset_bytes = UINT64_MAX - 4095;
	not_opened(&spec, -EINVAL, "offset", "lies beyond the end");
	spec = (struct backing_spec){.path = image("empty.img", 0)};
	not_opened(&spec, -EINVAL, "path", "is empty");
	spec.path = in_dir("none");
	not_opened(&spec, -ENOENT, "path", "does not exist");
	spec.path = dir;
	not_opened(&spec, -EINVAL, "path", "is a directory");
	spec.path = image("last.img", MIB);
	spec.offset_bytes = MIB - 4096;
	spec.size_bytes = 4096;
	struct backing *backing = opened(&spec);
	assert_int_equal(backing->size_bytes, 4096);
	assert_int_equal(backing->extent.start_bytes, MIB - 4096);
	assert_int_equal(backing->extent.length_bytes, 4096);
	backing_unref(backing);
}

static void test_growing(void **state)
{
	const char *path = image("a.img", MIB);
	struct backing_spec spec = {.path = path};
	struct backing *backing = opened(&spec);
	uint64_t size = 0;

	(void)state;
	assert_int_equal(truncate(path, 2 * MIB), 0);
	assert_int_equal(backing_object_size(backing, &size), 0);
	assert_int_equal(size, 2 * MIB);
	assert_int_equal(backing->size_bytes, MIB);
	backing_unref(backing);
}

/* /proc/version: a regular file that refuses O_DIRECT. It is empty for fstat(), too. */
static void test_buffered(void **state)
{
	struct backing_spec spec = {.path = "/proc/version", .readonly = true};

	(void)state;
	not_opened(&spec, -EINVAL, "path", "buffered = yes would allow it");
	spec.buffered = true;
	not_opened(&spec, -EINVAL, "path", "is empty");
	/* allowed, but not needed */
	spec = (struct backing_spec){.path = image("a.img", MIB), .buffered = true};
	struct backing *backing = opened(&spec);
	assert_false(backing->buffered);
	assert_true(fcntl(backing->fd, F_GETFL) & O_DIRECT);
	backing_unref(backing);
}

/* sysfs has regular files with a size and without O_DIRECT. */
static void test_buffered_alignment(void **state)
{
	struct backing_spec spec = {.path = "/sys/kernel/mm/transparent_hugepage/enabled",
				    .readonly = true,
				    .buffered = true};

	(void)state;
	NEED(access(spec.path, R_OK) == 0, "no transparent_hugepage in sysfs");
	struct backing *backing = opened(&spec);
	assert_true(backing->buffered);
	assert_int_equal(backing->align_bytes, 1);
	assert_int_equal(backing->memory_align, 1);
	assert_int_equal(backing->block_bytes, 512);
	assert_int_equal(backing->fd_buffered, -1);
	backing_unref(backing);
}

static void test_tmpfs(void **state)
{
	struct backing_spec spec = {.path = in_dir("tmpfs/a.img")};

	(void)state;
	NEED_ROOT();
	assert_int_equal(mkdir(in_dir("tmpfs"), 0700), 0);
	assert_int_equal(mount("none", in_dir("tmpfs"), "tmpfs", 0, NULL), 0);
	image("tmpfs/a.img", 1000);
	struct backing *backing = NULL;
	const char *key;
	if (backing_open(&spec, why, sizeof(why), &key, &backing) != 0) { /* before Linux 6.6 */
		spec.buffered = true;
		backing = opened(&spec);
	}
	assert_int_equal(backing->size_bytes, 1000);
	assert_int_equal(backing->block_bytes, 512);
	assert_true(backing->can_punch);
	assert_false(backing->can_zero);
	backing_unref(backing);
	/* a filesystem that nobody may write to */
	spec.buffered = true;
	assert_int_equal(mount("none", in_dir("tmpfs"), "tmpfs", MS_REMOUNT | MS_RDONLY, NULL), 0);
	not_opened(&spec, -EROFS, "path", "readonly = yes would allow it");
	spec.readonly = true;
	backing_unref(opened(&spec));
	assert_int_equal(umount(in_dir("tmpfs")), 0);
}

/* ---- opening devices ---- */

static void test_device(void **state)
{
	(void)state;
	NEED_ROOT();
	struct loopdev loop = attached(image("a.img", 4 * MIB), 0, 0, 0);
	struct backing_spec spec = {.path = loop.path};
	struct backing *backing = opened(&spec);

	assert_true(backing->id.is_block);
	assert_int_equal(backing->id.ino, 0);
	assert_int_equal(major(backing->id.dev), 7);
	assert_int_equal(backing->size_bytes, 4 * MIB);
	assert_int_equal(backing->align_bytes, 512);
	assert_int_equal(backing->block_bytes, 512);
	assert_true(fcntl(backing->fd, F_GETFL) & O_DIRECT);
	/* the bytes are those of its file */
	struct backing_id file = id_of(in_dir("a.img"));
	assert_int_equal(backing_id_compare(&backing->extent.root, &file), 0);
	/* loop devices punch holes and zero on ext4 and XFS: sysfs and the call agree */
	bool punched =
		fallocate(backing->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0;
	assert_int_equal(backing->can_punch, punched);
	backing_unref(backing);
	close(loop.fd);
}

static void test_device_with_large_blocks(void **state)
{
	(void)state;
	NEED_ROOT();
	struct loopdev loop = attached(image("a.img", 4 * MIB), 0, 0, 4096);
	struct backing_spec spec = {.path = loop.path, .offset_bytes = 512};

	not_opened(&spec, -EINVAL, "offset", "4096 bytes");
	spec.offset_bytes = 4096;
	struct backing *backing = opened(&spec);
	assert_int_equal(backing->align_bytes, 4096);
	assert_int_equal(backing->block_bytes, 4096);
	assert_int_equal(backing->size_bytes, 4 * MIB - 4096);
	backing_unref(backing);
	close(loop.fd);
}

static void test_device_read_only(void **state)
{
	(void)state;
	NEED_ROOT();
	struct loopdev loop = attached(image("a.img", 4 * MIB), LO_FLAGS_READ_ONLY, 0, 0);
	struct backing_spec spec = {.path = loop.path};

	not_opened(&spec, -EROFS, "path", "is a read-only device; readonly = yes would allow it");
	spec.readonly = true;
	backing_unref(opened(&spec));
	close(loop.fd);
}

static void test_partitions(void **state)
{
	char part[2][48];

	(void)state;
	NEED_ROOT();
	struct loopdev loop = attached(image("a.img", 8 * MIB), LO_FLAGS_PARTSCAN, 0, 0);
	assert_int_equal(loopdev_partition(&loop, 2), 0);
	for (int i = 0; i < 2; i++) {
		snprintf(part[i], sizeof(part[i]), "%sp%d", loop.path, i + 1);
		NEED(loopdev_wait(part[i]), "no partition nodes appear");
	}
	struct backing_spec spec = {.path = part[1], .offset_bytes = 4096};
	struct backing *backing = opened(&spec);
	assert_int_equal(backing->size_bytes, MIB - 4096);
	struct backing_id file = id_of(in_dir("a.img"));
	assert_int_equal(backing_id_compare(&backing->extent.root, &file), 0);
	assert_int_equal(backing->extent.start_bytes, 3 * MIB + 4096);
	backing_unref(backing);
	/* a loop device on a partition of a loop device, shifted */
	struct loopdev upper = attached(part[1], 0, 8192, 0);
	spec = (struct backing_spec){.path = upper.path};
	backing = opened(&spec);
	assert_int_equal(backing->size_bytes, MIB - 8192);
	assert_int_equal(backing_id_compare(&backing->extent.root, &file), 0);
	assert_int_equal(backing->extent.start_bytes, 3 * MIB + 8192);
	backing_unref(backing);
	not_claimed(part[1], false, "is attached to /dev/loop", false);
	close(upper.fd);

	/* whole disk and partition exclude each other */
	struct backing_claim *disk = claimed(loop.path, false);
	not_claimed(part[0], false, "is in use by another program: lsof tells which", false);
	backing_claim_unref(disk);
	struct backing_claim *first = claimed(part[0], false), *second = claimed(part[1], false);
	not_claimed(loop.path, false, "is in use by another program: lsof tells which", false);
	backing_claim_unref(first);
	backing_claim_unref(second);
	backing_claim_unref(claimed(loop.path, false));
	loopdev_unpartition(&loop, 2);
	close(loop.fd);
}

/* ---- the fence ---- */

static void test_fence(void **state)
{
	struct backing_spec spec = {.path = image("a.img", MIB), .size_bytes = MIB / 2};
	struct backing *a = opened(&spec), *same = opened(&spec);

	(void)state;
	spec.offset_bytes = MIB / 2;
	struct backing *other = opened(&spec);
	assert_int_equal(backing_fence(a, false), 0);
	assert_int_equal(backing_fence(a, true), 0);
	assert_int_equal(backing_fence(other, false), 0);
	assert_int_equal(backing_fence(same, false), -EAGAIN);
	backing_unref(a);
	assert_int_equal(backing_fence(same, true), 0);
	/* to the end: beyond it as well, so that growth is covered */
	spec = (struct backing_spec){.path = spec.path, .offset_bytes = MIB - 4096};
	struct backing *tail = opened(&spec);
	assert_int_equal(backing_fence(tail, false), -EAGAIN); /* other's */
	backing_unref(other);
	assert_int_equal(backing_fence(tail, false), 0);
	assert_int_equal(truncate(spec.path, 2 * MIB), 0);
	spec = (struct backing_spec){.path = spec.path, .offset_bytes = MIB, .size_bytes = MIB};
	struct backing *grown = opened(&spec);
	assert_int_equal(backing_fence(grown, false), -EAGAIN);
	backing_unref(tail);
	backing_unref(grown);
	backing_unref(same);
	/* readers share */
	spec = (struct backing_spec){.path = spec.path, .readonly = true};
	struct backing *r1 = opened(&spec), *r2 = opened(&spec);
	spec.readonly = false;
	struct backing *w = opened(&spec);
	assert_int_equal(backing_fence(r1, false), 0);
	assert_int_equal(backing_fence(r2, false), 0);
	assert_int_equal(backing_fence(w, false), -EAGAIN);
	backing_unref(r1);
	backing_unref(r2);
	backing_unref(w);
}

/* Writers of one path share a description, and still each gives back its own range alone. */
static void test_fence_of_siblings(void **state)
{
	struct backing_spec spec = {.path = image("siblings.img", MIB), .size_bytes = MIB / 4};
	struct backing *list[4], *stranger, *reader;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		spec.offset_bytes = i * (MIB / 4);
		list[i] = opened(&spec);
		assert_int_equal(list[i]->extent.start_bytes, spec.offset_bytes);
		assert_int_equal(list[i]->extent.length_bytes, MIB / 4);
		assert_int_equal(backing_fence(list[i], false), 0);
		spec.like = list[i];
	}
	spec.like = NULL;
	spec.offset_bytes = MIB / 4;
	stranger = opened(&spec);
	assert_int_equal(backing_fence(stranger, false), -EAGAIN);
	spec.like = list[1]; /* of a plan that is given up: never fenced */
	backing_unref(opened(&spec));
	assert_int_equal(backing_fence(stranger, false), -EAGAIN);
	spec.readonly = true;
	reader = opened(&spec);
	assert_int_equal(backing_fence(reader, false), -EAGAIN); /* a description of its own */
	backing_unref(reader);
	backing_unref(list[0]);
	assert_int_equal(backing_fence(stranger, false), -EAGAIN);
	backing_unref(list[1]);
	assert_int_equal(backing_fence(stranger, false), 0);
	backing_unref(stranger);
	backing_unref(list[3]);
	spec = (struct backing_spec){.path = spec.path, .offset_bytes = MIB / 2};
	stranger = opened(&spec);
	assert_int_equal(backing_fence(stranger, false), -EAGAIN); /* of the last one */
	backing_unref(list[2]);
	assert_int_equal(backing_fence(stranger, false), 0);
	backing_unref(stranger);
}

/* The same open file description, which has one position. */
static bool is_same_description(int a, int b)
{
	assert_int_equal(lseek(a, 4096, SEEK_SET), 4096);
	bool same = lseek(b, 0, SEEK_CUR) == 4096;
	assert_int_equal(lseek(a, 0, SEEK_SET), 0);
	return same;
}

/* What could not be written back is told once to each description: no two flush through one. */
static void test_flush_of_siblings(void **state)
{
	struct backing_spec spec = {.path = image("siblings.img", MIB + 100),
				    .size_bytes = MIB / 4};
	unsigned before = open_descriptors();
	struct backing *list[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		spec.offset_bytes = i * (MIB / 4);
		if (i == 2)
			spec.size_bytes = 0;
		list[i] = opened(&spec);
		spec.like = list[0];
	}
	assert_int_equal(is_same_description(list[0]->fd, list[1]->fd), !list[0]->may_block);
	if (list[0]->may_block) { /* where a flush may be of one description only */
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(list[i]->fd_flush, list[i]->fd);
		assert_int_equal(open_descriptors() - before, 4);
	} else {
		assert_int_equal(list[0]->fd_flush, list[0]->fd);
		assert_int_not_equal(list[1]->fd_flush, list[1]->fd);
		assert_int_equal(list[2]->fd_flush, list[2]->fd_buffered);
		for (unsigned i = 1; i < 3; i++)
			assert_false(is_same_description(list[0]->fd, list[i]->fd_flush));
		assert_int_equal(open_descriptors() - before, 5);
	}
	/* nor do locks that a server gives go through one */
	backing_unref(list[1]);
	list[0]->may_block = true;
	spec.offset_bytes = MIB / 4;
	spec.size_bytes = MIB / 4;
	list[1] = opened(&spec);
	assert_false(is_same_description(list[0]->fd, list[1]->fd));
	for (unsigned i = 0; i < 3; i++)
		backing_unref(list[i]);
	assert_int_equal(open_descriptors(), before);
}

/* Given back before it is closed; and cut short, so that what lies behind can be another's. */
static void test_fence_given_back(void **state)
{
	struct backing_spec spec = {.path = image("back.img", 2 * MIB + 100)};
	struct backing *whole = opened(&spec), *behind;

	(void)state;
	spec.offset_bytes = MIB;
	behind = opened(&spec);
	assert_int_equal(backing_fence(whole, false), 0);
	assert_int_equal(backing_fence(behind, false), -EAGAIN);
	backing_unfence(whole);
	assert_int_equal(backing_fence(behind, false), 0); /* with the partial block */
	assert_int_equal(backing_fence(whole, false), -EAGAIN);
	backing_unfence(behind);
	backing_unfence(behind);
	backing_unfence(NULL);
	backing_unref(behind);
	backing_unref(whole);
	spec = (struct backing_spec){.path = image("cut.img", 2 * MIB)};
	whole = opened(&spec);
	whole->may_block = false; /* else a thread has to cut it short */
	assert_int_equal(backing_fence(whole, false), 0);
	backing_end_at(whole, MIB);
	assert_int_equal(whole->extent.length_bytes, MIB);
	spec.offset_bytes = MIB;
	behind = opened(&spec);
	assert_int_equal(backing_fence(behind, false), 0);
	backing_unref(behind);
	spec.offset_bytes = MIB - 4096;
	behind = opened(&spec);
	assert_int_equal(backing_fence(behind, false), -EAGAIN);
	/* before it is fenced; and what has an end keeps that */
	backing_end_at(behind, MIB);
	backing_end_at(behind, 4096);
	assert_int_equal(behind->size_bytes, MIB);
	backing_unref(whole);
	assert_int_equal(backing_fence(behind, false), 0);
	spec.offset_bytes = 2 * MIB - 4096;
	whole = opened(&spec);
	assert_int_equal(backing_fence(whole, false), 0);
	backing_unref(whole);
	backing_unref(behind);
}

/* Others may lock a file as well, and not only the part of it that a fuseband would. */
static void test_fence_of_strangers(void **state)
{
	struct backing_spec spec = {.path = image("a.img", MIB)};
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 4096};
	struct backing *writer = opened(&spec), *reader;
	int fd = open(spec.path, O_RDWR | O_CLOEXEC);

	(void)state;
	spec.readonly = true;
	reader = opened(&spec);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	assert_int_equal(backing_fence(writer, false), -EBUSY);
	assert_int_equal(backing_fence(reader, false), 0);
	backing_unref(reader);
	lock.l_type = F_WRLCK;
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	reader = opened(&spec);
	assert_int_equal(backing_fence(writer, false), -EBUSY);
	assert_int_equal(backing_fence(reader, false), -EBUSY);
	close(fd);
	assert_int_equal(backing_fence(writer, false), 0);
	backing_unref(writer);
	backing_unref(reader);
}

/* Ranges that end where a lock cannot. */
static void test_fence_far(void **state)
{
	int fd = memfd_create("far", MFD_CLOEXEC);
	char path[64];
	struct backing_spec spec = {.path = path,
				    .buffered = true,
				    .offset_bytes = BACKING_FENCE_BASE / 2,
				    .size_bytes = BACKING_FENCE_BASE};

	(void)state;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(ftruncate(fd, INT64_MAX), 0);
	struct backing *a = opened(&spec), *b = opened(&spec);
	assert_int_equal(backing_fence(a, false), 0);
	assert_true(a->fenced);
	assert_int_equal(backing_fence(b, false), -EAGAIN);
	backing_unref(a);
	assert_int_equal(backing_fence(b, false), 0);
	backing_unref(b);
	spec.offset_bytes = BACKING_FENCE_BASE - 4096;
	spec.size_bytes = 8192;
	a = opened(&spec);
	assert_int_equal(backing_fence(a, false), 0);
	backing_unref(a);
	spec.offset_bytes = BACKING_FENCE_BASE;
	not_opened(&spec, -EINVAL, "offset", "lies beyond 4 EiB");
	close(fd);
}

/* A dead process' fence: the waiter gets it when the last copy is closed, not before. */
static void test_fence_waits(void **state)
{
	struct backing_spec spec = {.path = image("a.img", MIB)};
	int ready[2], go[2];
	char byte = 0;

	(void)state;
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct backing *backing = NULL;
		const char *key;
		if (backing_open(&spec, why, sizeof(why), &key, &backing) ||
		    backing_fence(backing, true) || write(ready[1], &byte, 1) != 1 ||
		    read(go[0], &byte, 1) != 1)
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	struct backing *backing = opened(&spec);
	assert_int_equal(backing_fence(backing, false), -EAGAIN);
	assert_int_equal(write(go[1], &byte, 1), 1);
	assert_int_equal(backing_fence(backing, true), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	backing_unref(backing);
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(go[i]);
	}
}

/* The tail has a lock of its own, on the descriptor without O_DIRECT that it is written through. */
static void test_fence_tail(void **state)
{
	struct backing_spec spec = {.path = image("a.img", 2 * MIB + 100), .size_bytes = MIB};
	struct backing *head = opened(&spec), *tail, *dead, *stranger;

	(void)state;
	spec = (struct backing_spec){.path = spec.path, .offset_bytes = MIB};
	dead = opened(&spec);
	assert_true(dead->fd_buffered >= 0);
	assert_int_equal(backing_fence(dead, false), 0);
	/* of what it has written through the page cache the last has not landed yet */
	int in_flight = fcntl(dead->fd_buffered, F_DUPFD_CLOEXEC, 3);
	backing_unref(dead);
	spec.like = head;
	tail = opened(&spec);
	spec.like = NULL;
	assert_int_equal(backing_fence(head, false), 0);
	assert_int_equal(backing_fence(tail, false), -EAGAIN);
	/* given up, nothing of it is left, though the description is head's, too */
	backing_unref(tail);
	spec.size_bytes = MIB;
	stranger = opened(&spec);
	assert_int_equal(stranger->fd_buffered, -1);
	assert_int_equal(backing_fence(stranger, false), 0);
	backing_unref(stranger);
	/* a reader writes nothing */
	spec.size_bytes = 0;
	spec.readonly = true;
	tail = opened(&spec);
	assert_int_equal(backing_fence(tail, false), 0);
	backing_unref(tail);
	close(in_flight);
	spec.readonly = false;
	tail = opened(&spec);
	assert_int_equal(backing_fence(tail, false), 0);
	assert_int_equal(backing_fence(tail, true), 0);
	backing_unref(tail);
	backing_unref(head);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		TEST(test_identify),
		TEST(test_identify_refuses),
		TEST(test_image),
		TEST(test_image_tail),
		TEST(test_ranges),
		TEST(test_growing),
		TEST(test_buffered),
		TEST(test_buffered_alignment),
		TEST(test_tmpfs),
		TEST(test_device),
		TEST(test_device_with_large_blocks),
		TEST(test_device_read_only),
		TEST(test_partitions),
		TEST(test_fence),
		TEST(test_fence_of_siblings),
		TEST(test_flush_of_siblings),
		TEST(test_fence_given_back),
		TEST(test_fence_of_strangers),
		TEST(test_fence_far),
		TEST(test_fence_waits),
		TEST(test_fence_tail),
	};

	have_own_mounts();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
