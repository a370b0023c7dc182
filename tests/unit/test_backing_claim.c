/* SPDX-License-Identifier: MIT */
/*
 * test_backing_claim.c - backing.h: who has claimed what, of us and of others. With real files, loop
 * devices for root, and QEMU's tools where they are installed.
 */
#include "backing_rig.h"
#include "own_mounts.h"

#include <signal.h>
#include <sys/wait.h>

static bool installed(const char *program)
{
	char command[64];

	snprintf(command, sizeof(command), "command -v %s >/dev/null", program);
	return system(command) == 0;
}

/* ---- what another process has claimed ---- */

static struct backing_claim *adopted(int fd, uint64_t kept)
{
	struct backing_claim *got = NULL;

	assert_int_equal(backing_claim_adopt(fd, kept, &got), 0);
	assert_int_equal(got->fd, fd);
	assert_int_equal(got->kept, kept);
	return got;
}

static int copy_of(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static void test_claim_adopt(void **state)
{
	const char *path = image("a.img", MIB);
	struct backing_id id = id_of(path);

	(void)state;
	for (int readonly = 0; readonly < 2; readonly++) {
		struct backing_claim *first = claimed(path, readonly);
		struct backing_claim *next = adopted(copy_of(first->fd), 7);

		assert_int_equal(next->readonly, readonly);
		assert_int_equal(backing_id_compare(&next->id, &id), 0);
		assert_int_equal(first->kept, 0);
		backing_claim_unref(first);
		not_claimed(path, false, "fuseband", true);
		backing_claim_unref(next);
		backing_claim_unref(claimed(path, false));
	}
	/* of an object without a name */
	struct backing_claim *first = claimed(path, false);
	assert_int_equal(unlink(path), 0);
	struct backing_claim *next = adopted(copy_of(first->fd), 1);
	assert_false(next->readonly);
	backing_claim_unref(first);
	backing_claim_unref(next);
}

/* A reader's is still one after somebody else's attempt to write, and can become a writer's. */
static void test_claim_adopt_upgrade(void **state)
{
	const char *path = image("a.img", MIB);
	struct backing_claim *first = claimed(path, true);
	struct backing_claim *next = adopted(copy_of(first->fd), 7), *third;
	struct backing_users *users;

	(void)state;
	not_claimed(path, false, "fuseband", true);
	assert_true(next->readonly);
	assert_int_equal(backing_users_read(&users), 0);
	assert_int_equal(backing_claim_upgrade(next, users, why, sizeof(why)), 0);
	/* for every process that has the descriptor */
	third = adopted(copy_of(first->fd), 8);
	assert_false(third->readonly);
	backing_users_free(users);
	backing_claim_unref(first);
	backing_claim_unref(next);
	backing_claim_unref(third);
}

static void not_adopted(int fd, int err)
{
	struct backing_claim *got = (struct backing_claim *)&dir;

	assert_int_equal(backing_claim_adopt(fd, 1, &got), err);
	assert_ptr_equal(got, &dir);
	assert_true(fd < 0 || fcntl(fd, F_GETFD) >= 0);
}

static void test_claim_adopt_refuses(void **state)
{
	int ends[2], folder = open(dir, O_RDONLY | O_CLOEXEC);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), fifo;

	(void)state;
	assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
	fifo = open(in_dir("fifo"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	not_adopted(fifo, -EINVAL); /* to open it again would be to wait for a writer */
	close(fifo);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	not_adopted(ends[1], -EINVAL);
	not_adopted(ends[0], -EINVAL);
	not_adopted(folder, -EINVAL);
	not_adopted(null, -EINVAL);
	not_adopted(-1, -EBADF);
	close(ends[0]);
	close(ends[1]);
	close(folder);
	close(null);
}

/* What is claimed is opened, whatever is at the path. */
static void test_open_claimed(void **state)
{
	const char *path = image("a.img", MIB);
	struct backing_claim *claim = claimed(path, false);
	struct backing_spec spec = {.path = path, .claim = claim, .object = &claim->id};

	(void)state;
	assert_int_equal(rename(path, in_dir("b.img")), 0);
	struct backing *backing = opened(&spec); /* nothing is there */
	assert_int_equal(backing_id_compare(&backing->id, &claim->id), 0);
	assert_int_equal(fcntl(backing->fd, F_GETFL) & O_ACCMODE, O_RDWR);
	assert_true(fcntl(backing->fd, F_GETFL) & O_DIRECT);
	/* the fence is not the claim's description's */
	struct backing *other = opened(&spec);
	assert_int_equal(backing_fence(backing, false), 0);
	assert_int_equal(backing_fence(other, false), -EAGAIN);
	backing_unref(other);
	backing_unref(backing);
	/* a claim of something else, as that of its disk is for a partition: by the path */
	image("a.img", 2 * MIB);
	struct backing_id id = id_of(path);
	spec.object = &id;
	backing = opened(&spec);
	assert_int_equal(backing_id_compare(&backing->id, &id), 0);
	assert_int_equal(backing->size_bytes, 2 * MIB);
	backing_unref(backing);
	backing_claim_unref(claim);
}

/* What is known is not asked for again. */
static void test_open_known(void **state)
{
	const char *path = image("a.img", MIB);
	struct backing_claim *claim = claimed(path, false);
	struct backing_traits traits, got;
	struct backing_spec spec = {
		.path = path, .claim = claim, .object = &claim->id, .traits = &traits};

	(void)state;
	for (int buffered = 0; buffered < 2; buffered++) {
		traits = (struct backing_traits){.align_bytes = buffered ? 1 : 2048,
						 .memory_align = buffered ? 1 : 1024,
						 .block_bytes = 8192,
						 .buffered = buffered,
						 .can_zero = buffered,
						 .may_block = !buffered,
						 .can_punch = buffered};
		struct backing *backing = opened(&spec);
		got = backing_traits_of(backing);
		assert_int_equal(got.align_bytes, traits.align_bytes);
		assert_int_equal(got.memory_align, traits.memory_align);
		assert_int_equal(got.block_bytes, traits.block_bytes);
		assert_int_equal(got.buffered, traits.buffered);
		assert_int_equal(got.can_zero, traits.can_zero);
		assert_int_equal(got.may_block, traits.may_block);
		assert_int_equal(got.can_punch, traits.can_punch);
		assert_int_equal(!(fcntl(backing->fd, F_GETFL) & O_DIRECT), buffered);
		backing_unref(backing);
	}
	spec.readonly = true;
	struct backing *reader = opened(&spec);
	assert_int_equal(fcntl(reader->fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	backing_unref(reader);
	backing_claim_unref(claim);
}

/* A range that was served goes as far as it did, though the object has less by now. */
static void test_open_claimed_shrunk(void **state)
{
	const char *path = image("a.img", MIB);
	struct backing_claim *claim = claimed(path, false);
	struct backing_spec spec = {.path = path,
				    .claim = claim,
				    .object = &claim->id,
				    .offset_bytes = MIB / 4,
				    .size_bytes = MIB / 2};

	(void)state;
	struct backing *backing = opened(&spec);
	struct backing_traits traits = backing_traits_of(backing);
	backing_unref(backing);
	assert_int_equal(truncate(path, MIB / 2), 0);
	not_opened(&spec, -EINVAL, "size", "reaches beyond the end"); /* of a start */
	spec.traits = &traits;
	spec.served_bytes = MIB / 2;
	backing = opened(&spec);
	assert_int_equal(backing->size_bytes, MIB / 2);
	assert_int_equal(backing->extent.length_bytes, MIB / 2);
	backing_unref(backing);
	assert_int_equal(truncate(path, MIB / 4), 0);
	not_opened(&spec, -EINVAL, "offset", "lies beyond the end");
	assert_int_equal(truncate(path, 0), 0);
	not_opened(&spec, -EINVAL, "path", "is empty");
	backing_claim_unref(claim);
}

/* ---- claims ---- */

static void test_claim_image(void **state)
{
	const char *path = image("a.img", MIB);
	struct backing_claim *writer = claimed(path, false);

	(void)state;
	not_claimed(path, false, "is served by another fuseband", true);
	not_claimed(path, true, "is served by another fuseband", true);
	assert_ptr_equal(backing_claim_ref(writer), writer);
	backing_claim_unref(writer);
	not_claimed(path, true, "is served by another fuseband", true);
	backing_claim_unref(writer);
	backing_claim_unref(NULL);
	struct backing_claim *r1 = claimed(path, true), *r2 = claimed(path, true);
	not_claimed(path, false, "is served by another fuseband", true);
	backing_claim_unref(r1);
	backing_claim_unref(r2);
	backing_claim_unref(claimed(path, false));
}

static void test_claim_upgrade(void **state)
{
	const char *path = image("a.img", MIB);
	struct backing_users *users;
	struct backing_claim *a = claimed(path, true), *b = claimed(path, true);

	(void)state;
	assert_int_equal(backing_users_read(&users), 0);
	assert_int_equal(backing_claim_upgrade(a, users, why, sizeof(why)), -EBUSY);
	assert_true(a->readonly);
	/* nothing of the attempt is left: a third reader is welcome, and b can upgrade after a */
	backing_claim_unref(claimed(path, true));
	backing_claim_unref(a);
	assert_int_equal(backing_claim_upgrade(b, users, why, sizeof(why)), 0);
	assert_false(b->readonly);
	assert_int_equal(backing_claim_upgrade(b, users, why, sizeof(why)), 0);
	not_claimed(path, true, "fuseband", true);
	backing_claim_downgrade(b);
	backing_claim_unref(claimed(path, true));
	backing_claim_unref(b);
	backing_users_free(users);
}

static void test_claim_stale(void **state)
{
	const char *path = image("a.img", MIB);
	struct backing_id id = id_of(path);
	struct backing_claim *got = NULL;
	struct backing_users *users;
	bool fuseband;

	(void)state;
	id.ino++;
	assert_int_equal(backing_users_read(&users), 0);
	assert_int_equal(backing_claim(path, &id, false, users, why, sizeof(why), &fuseband, &got),
			 -ESTALE);
	assert_null(got);
	backing_users_free(users);
}

static void test_claim_device(void **state)
{
	(void)state;
	NEED_ROOT();
	struct loopdev loop = attached(image("a.img", MIB), 0, 0, 0);
	struct backing_claim *first = claimed(loop.path, false);

	not_claimed(loop.path, false, "is served by another fuseband", true);
	not_claimed(loop.path, true, "is served by another fuseband", true);
	backing_claim_unref(first);
	int fd = open(loop.path, O_RDONLY | O_EXCL | O_CLOEXEC);
	assert_true(fd >= 0);
	not_claimed(loop.path, false, "is in use by another program: lsof tells which", false);
	close(fd);
	close(loop.fd);
}

static void test_claim_attached_file(void **state)
{
	(void)state;
	NEED_ROOT();
	const char *path = image("a.img", MIB);
	struct loopdev loop = attached(path, 0, 0, 0);
	char expected[64];

	snprintf(expected, sizeof(expected), "is attached to %s", loop.path);
	not_claimed(path, false, expected, false);
	not_claimed(path, true, expected, false);
	assert_int_equal(link(path, in_dir("b.img")), 0); /* the same by another name */
	not_claimed(in_dir("b.img"), false, expected, false);
	close(loop.fd);
	loop = attached(path, LO_FLAGS_READ_ONLY, 0, 0);
	not_claimed(path, false, "is attached to", false);
	backing_claim_unref(claimed(path, true)); /* two readers */
	close(loop.fd);
}

static void test_claim_mounted(void **state)
{
	char command[PATH_MAX + 64], expected[PATH_MAX];

	(void)state;
	NEED_ROOT();
	NEED(installed("mkfs.ext4"), "no mkfs.ext4");
	const char *path = image("a.img", 4 * MIB);
	snprintf(command, sizeof(command), "mkfs.ext4 -q -F %s >/dev/null 2>&1", path);
	assert_int_equal(system(command), 0);
	struct loopdev loop = attached(path, 0, 0, 0);
	assert_int_equal(mkdir(in_dir("mnt"), 0700), 0);
	assert_int_equal(mount(loop.path, in_dir("mnt"), "ext4", 0, NULL), 0);
	snprintf(expected, sizeof(expected), "is mounted at %s/mnt", dir);
	not_claimed(loop.path, false, expected, false);
	assert_int_equal(umount(in_dir("mnt")), 0);
	backing_claim_unref(claimed(loop.path, false));
	close(loop.fd);
}

static void test_claim_swap_file(void **state)
{
	char command[PATH_MAX + 64];

	(void)state;
	NEED_ROOT();
	NEED(installed("mkswap") && installed("swapon"), "no mkswap");
	const char *path = in_dir("swap");
	snprintf(command, sizeof(command),
		 "dd if=/dev/zero of=%s bs=64k count=16 2>/dev/null && chmod 600 %s && "
		 "mkswap %s >/dev/null 2>&1 && swapon %s 2>/dev/null",
		 path, path, path, path);
	NEED(system(command) == 0, "swapon fails here");
	struct backing_claim *got = NULL;
	bool fuseband;
	int err = claim(path, false, &fuseband, &got);
	snprintf(command, sizeof(command), "swapoff %s", path);
	assert_int_equal(system(command), 0);
	assert_int_equal(err, -EBUSY);
	assert_non_null(strstr(why, "is used as swap"));
}

/* ---- QEMU ---- */

/* qemu-io that has path open until its input is closed. */
static FILE *qemu_has(const char *path, const char *options)
{
	char command[2 * PATH_MAX], line[256];
	const char *fifo = in_dir("qemu-is-ready");

	unlink(fifo);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	snprintf(command, sizeof(command), "exec qemu-io -f raw %s %s >%s 2>&1", options, path,
		 fifo);
	FILE *in = popen(command, "we");
	assert_non_null(in);
	FILE *out = fopen(fifo, "re");
	assert_non_null(out);
	fputs("length\n", in);
	fflush(in);
	assert_non_null(fgets(line, sizeof(line), out)); /* it has opened it */
	/* nobody reads its output any more, and it writes little more */
	fcntl(fileno(out), F_SETFD, FD_CLOEXEC);
	fclose(out);
	return in;
}

static bool qemu_can(const char *path, const char *options, const char *complaint)
{
	char command[2 * PATH_MAX], all[4096];

	snprintf(command, sizeof(command), "qemu-io -f raw %s -c 'read 0 512' %s 2>&1", options,
		 path);
	FILE *out = popen(command, "re");
	assert_non_null(out);
	all[fread(all, 1, sizeof(all) - 1, out)] = '\0';
	bool ok = pclose(out) == 0;
	if (!ok && !strstr(all, complaint))
		fail_msg("\"%s\" is not in \"%s\"", complaint, all);
	return ok;
}

static void test_qemu_has_image(void **state)
{
	(void)state;
	NEED(installed("qemu-io"), "no qemu-io");
	const char *path = image("a.img", MIB);
	signal(SIGPIPE, SIG_IGN);
	FILE *qemu = qemu_has(path, "");
	not_claimed(path, false, "is open in QEMU", false);
	not_claimed(path, true, "is open in QEMU", false);
	pclose(qemu);
	qemu = qemu_has(path, "-r");
	backing_claim_unref(claimed(path, true));
	/* a reader that lets others write is as good as none: QEMU would start, too */
	backing_claim_unref(claimed(path, false));
	pclose(qemu);
	backing_claim_unref(claimed(path, false));
}

static void test_we_have_image(void **state)
{
	(void)state;
	NEED(installed("qemu-io"), "no qemu-io");
	const char *path = image("a.img", MIB);
	struct backing_claim *writer = claimed(path, false);
	assert_false(qemu_can(path, "", "Failed to get \"write\" lock"));
	backing_claim_unref(writer);
	struct backing_claim *reader = claimed(path, true);
	assert_true(qemu_can(path, "-r", ""));
	assert_false(qemu_can(path, "", "Failed to get \"write\" lock"));
	backing_claim_unref(reader);
	assert_true(qemu_can(path, "", ""));
}

/* QEMU knows nothing of O_EXCL: its locks are on the device node. */
static void test_qemu_has_device(void **state)
{
	(void)state;
	NEED_ROOT();
	NEED(installed("qemu-io"), "no qemu-io");
	struct loopdev loop = attached(image("a.img", MIB), 0, 0, 0);
	signal(SIGPIPE, SIG_IGN);
	FILE *qemu = qemu_has(loop.path, "");
	not_claimed(loop.path, false, "is open in QEMU", false);
	pclose(qemu);
	struct backing_claim *writer = claimed(loop.path, false);
	assert_false(qemu_can(loop.path, "", "Failed to get \"write\" lock"));
	backing_claim_unref(writer);
	close(loop.fd);
}

/* ---- */

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		TEST(test_claim_adopt),		TEST(test_claim_adopt_upgrade),
		TEST(test_claim_adopt_refuses), TEST(test_open_claimed),
		TEST(test_open_known),		TEST(test_open_claimed_shrunk),
		TEST(test_claim_image),		TEST(test_claim_upgrade),
		TEST(test_claim_stale),		TEST(test_claim_device),
		TEST(test_claim_attached_file), TEST(test_claim_mounted),
		TEST(test_claim_swap_file),	TEST(test_qemu_has_image),
		TEST(test_we_have_image),	TEST(test_qemu_has_device),
	};

	have_own_mounts();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
