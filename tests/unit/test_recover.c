/* SPDX-License-Identifier: MIT */
/*
 * Unit tests of recover.h and bequeath.h: what a data path tells its parent, and the mount that
 * the next one makes of it.
 *
 * Both are this process. The parent's estate has descriptors of its own, as they came through the
 * socket; a successor's are copies of them, as after fork(). No kernel mount is needed: the
 * descriptor of it is passed on, and nothing else is done with it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "accepted.h"
#include "bequeath.h"
#include "failing.h"
#include "logged.h"
#include "loopdev.h"
#include "memfd.h"
#include "mount_rig.h"
#include "recover.h"
#include "reopen.h"
#include "log.h"
#include "watch.h"

#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define FILE_A "[a]\npath = @/a.img\ndevice = d\n"
#define FILE_B "[b]\npath = @/b.img\ndevice = d\n"
#define FILE_C "[c]\npath = @/c.img\ndevice = d\n"

static unsigned descriptors;
static struct estate parent;
static int parent_end;

/* The data path that serves: its mount, its copy of the estate, its text. */
static struct path {
	struct mount *mount;
	struct front *front; /* of a successor */
	struct estate estate;
	struct bequest bequest;
	struct conf_text text;
} first, second;

static void has_not_logged(const char *unwanted)
{
	if (strstr(logged, unwanted))
		fail_msg("\"%s\" is in \"%s\"", unwanted, logged);
}

/* ---- the two sides ---- */

/* What comes with fork(): the same objects through descriptors of one's own. */
static struct estate inherited(void)
{
	struct estate own = parent;

	own.owner = false;
	assert_int_equal(keep_open(parent.keep_fd, &own.keep), 0);
	own.keep_fd = own.init_fd = own.accepted_fd = -1;
	if (parent.fuse_fd >= 0)
		own.fuse_fd = fcntl(parent.fuse_fd, F_DUPFD_CLOEXEC, 3);
	if (parent.init_fd >= 0)
		own.init_fd = fcntl(parent.init_fd, F_DUPFD_CLOEXEC, 3);
	if (parent.accepted_fd >= 0)
		own.accepted_fd = fcntl(parent.accepted_fd, F_DUPFD_CLOEXEC, 3);
	own.claims = __real_calloc(parent.n_claims + 1, sizeof(*own.claims));
	for (size_t i = 0; i < own.n_claims; i++) {
		own.claims[i] = parent.claims[i];
		own.claims[i].fd = fcntl(parent.claims[i].fd, F_DUPFD_CLOEXEC, 3);
	}
	return own;
}

/* Its claims are the mount's. */
static void disinherit(struct estate *own)
{
	if (own->init_fd >= 0)
		close(own->init_fd);
	if (own->accepted_fd >= 0)
		close(own->accepted_fd);
	estate_free(own);
}

/* What the parent does with what was sent. Returns how many messages it got. */
static unsigned take_in(void)
{
	struct link_message message;
	unsigned n = 0;

	while (!link_receive(parent_end, false, &message)) {
		assert_int_equal(estate_apply(&parent, &message), 0);
		n++;
	}
	return n;
}

/* As serve.c does after a start or a reload; the answer is there before it is asked for. */
static void commit(struct path *path)
{
	const struct link_message settled = {
		.kind = LINK_SETTLED, .n_ids = 1, .ids = {path->bequest.asked + 1}};

	assert_int_equal(link_send(parent_end, &settled), 0);
	assert_int_equal(bequeath_accepted(&path->bequest, path->mount, &path->text), 0);
	assert_false(path->bequest.broken);
	take_in();
}

static void set_text(struct path *path, const char *text)
{
	struct conf_source *source = __real_calloc(1, sizeof(*source));

	if (path->text.sources)
		conf_text_free(&path->text);
	source->path = __real_strdup("ioband.ini");
	source->text = expanded(text);
	source->len = strlen(source->text);
	path->text = (struct conf_text){.sources = source, .n_sources = 1};
}

static void begin(struct path *path)
{
	int ends[2];

	assert_int_equal(link_pair(ends), 0);
	parent_end = ends[0];
	path->estate = inherited();
	path->bequest =
		(struct bequest){.estate = &path->estate, .link = ends[1], .heir = HEIR_NONE};
}

/* The first one serves text. */
static void serve(const char *text)
{
	begin(&first);
	first.mount = mount_new();
	first.mount->keep = first.estate.keep;
	apply(first.mount, text);
	set_text(&first, text);
	commit(&first);
}

static void reload(struct path *path, const char *text)
{
	apply(path->mount, text);
	set_text(path, text);
	commit(path);
}

/* All that it had is closed. */
static void end(struct path *path)
{
	if (!path->bequest.estate)
		return;
	mount_free(path->mount);
	front_free(path->front);
	if (!path->front && path->estate.fuse_fd >= 0)
		close(path->estate.fuse_fd);
	if (path->text.sources)
		conf_text_free(&path->text);
	for (size_t i = 0; !path->mount && i < path->estate.n_claims; i++)
		path->estate.claims[i].unused = true; /* it did not come to adopting them */
	disinherit(&path->estate);
	close(path->bequest.link);
	close(parent_end);
	parent_end = -1;
	*path = (struct path){0};
}

static int try_recover(struct path *path)
{
	struct recovered recovered = {0};
	int r = recover(&path->estate, in_dir("mnt"), false, &recovered);

	path->mount = recovered.mount;
	path->front = recovered.front;
	path->text = recovered.text;
	return r;
}

/* The second one is prepared, while the first one lives or not. */
static void succeed(void)
{
	int before = parent_end;

	begin(&second);
	if (before >= 0)
		close(before);
	assert_int_equal(try_recover(&second), 0);
}

static void crash(void)
{
	end(&first);
	succeed();
}

static int setup(void **state)
{
	struct fuse_in_header header = {.opcode = FUSE_INIT};
	struct fuse_init_in in = {.major = 7, .flags = FUSE_INIT_EXT, .flags2 = 1U << 7};
	struct link_message mounted = {.kind = LINK_MOUNTED, .n_fds = 2};
	struct link_message init = {.kind = LINK_INIT, .value = 1, .n_fds = 1};
	struct pack pack;

	countdown = -1;
	logged[0] = '\0';
	parent_end = -1;
	if (make_dir(state))
		return -1;
	image("a.img", MIB);
	image("b.img", MIB);
	image("c.img", MIB);
	descriptors = open_descriptors();
	assert_int_equal(estate_create(&parent), 0);
	parent.owner = true;
	mounted.fds[0] = memfd_of("fuse", 4);
	mounted.fds[1] = memfd_of("clone", 5);
	assert_int_equal(estate_apply(&parent, &mounted), 0);
	assert_int_equal(pack_begin(&pack, "init"), 0);
	pack_u64(&pack, sizeof(header) + sizeof(in));
	pack_raw(&pack, &header, sizeof(header));
	pack_raw(&pack, &in, sizeof(in));
	assert_int_equal(pack_end(&pack, &init.fds[0]), 0);
	return estate_apply(&parent, &init);
}

static int teardown(void **state)
{
	end(&first);
	end(&second);
	estate_free(&parent);
	/* a thread that tried lost files closes its own only after it has told */
	for (int i = 0; i < 2000 && open_descriptors() != descriptors; i++)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	assert_int_equal(open_descriptors(), descriptors);
	return remove_dir(state);
}

static struct file *by_name(const char *name)
{
	struct file *file = mount_by_name(second.mount, name);

	if (!file)
		fail_msg("no %s", name);
	return file;
}

static struct file *orphan(const char *name)
{
	for (size_t i = 0; i < second.mount->n_orphans; i++)
		if (!strcmp(second.mount->orphans[i]->name, name))
			return second.mount->orphans[i];
	fail_msg("no orphan %s", name);
	return NULL;
}

/* The byte at the beginning, that a test has put there. */
static char first_byte(const struct file *file)
{
	int fd = backing_reopen(file->backing->fd, O_RDONLY);
	char byte = 0;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, (off_t)file->backing->start_bytes), 1);
	close(fd);
	return byte;
}

static void mark(const char *path, char byte)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, &byte, 1, 0), 1);
	close(fd);
}

/* ---- what the parent is told ---- */

/* One claim for each object, by name, and they go when nothing uses them any more. */
static void test_bequeath(void **state)
{
	(void)state;
	serve("[a1]\npath = @/a.img\nsize = 512K\n[a2]\npath = @/a.img\noffset = 512K\n" FILE_B);
	assert_int_equal(parent.n_claims, 2);
	assert_int_equal(mount_by_name(first.mount, "a1")->claim->kept, 1);
	assert_int_equal(mount_by_name(first.mount, "b")->claim->kept, 2);
	assert_true(is_same(parent.claims[0].fd, mount_by_name(first.mount, "a2")->claim->fd));
	open_file(first.mount, "b");
	reload(&first, FILE_C);
	assert_int_equal(parent.n_claims, 2); /* b is open */
	assert_int_equal(parent.claims[0].id, 2);
	assert_int_equal(parent.claims[1].id, 3);
	atomic_store(&first.mount->orphans[0]->kept->opens, 0);
	mount_collect(first.mount);
	commit(&first);
	mount_finish(first.mount, true);
	assert_int_equal(parent.n_claims, 1);
	assert_int_equal(first.estate.n_claims, 1);
	/* nobody has it any more */
	struct mount *other = start(FILE_B);
	mount_free(other);
}

/* More claims than go into a message. */
static void test_bequeath_many(void **state)
{
	char *text, name[32];
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	for (unsigned i = 0; i < 2 * LINK_FDS + 1; i++) {
		snprintf(name, sizeof(name), "%u.img", i);
		image(name, 4096);
		fprintf(out, "[vm%u]\npath = @/%u.img\n", i, i);
	}
	fclose(out);
	serve(text);
	assert_int_equal(parent.n_claims, 2 * LINK_FDS + 1);
	reload(&first, FILE_A); /* and all of them go */
	assert_int_equal(parent.n_claims, 1);
	free(text);
}

/* The parent is dead: everything is in the own estate, for the next parent. */
static void test_bequeath_without_parent(void **state)
{
	(void)state;
	serve(FILE_A);
	close(parent_end);
	parent_end = -1;
	apply(first.mount, FILE_A FILE_B);
	assert_int_equal(bequeath_accepted(&first.bequest, first.mount, &first.text), 0);
	assert_true(first.bequest.broken);
	assert_int_equal(first.estate.n_claims, 2);
	assert_false(first.estate.claims[1].fresh);
	assert_int_equal(parent.n_claims, 1);
}

/* The parent says who stands by, without or with a pidfd. Returns its end of the link. */
static int name_heir(unsigned n_fds)
{
	struct link_message heir = {.kind = LINK_HEIR, .value = 77, .n_fds = n_fds};
	int standby[2];

	assert_int_equal(link_pair(standby), 0);
	heir.fds[0] = standby[0];
	heir.fds[1] = STDIN_FILENO;
	assert_int_equal(link_send(parent_end, &heir), 0);
	close(standby[0]);
	return standby[1];
}

static void is_dismissed(int standby)
{
	struct link_message got;

	assert_int_equal(first.bequest.heir.link, -1);
	assert_int_equal(first.bequest.heir.pidfd, -1);
	assert_int_equal(link_receive(standby, true, &got), 0);
	assert_int_equal(got.kind, LINK_END);
	assert_int_equal(link_receive(standby, true, &got), -EPIPE);
	close(standby);
}

static void close_parent(void)
{
	close(parent_end);
	parent_end = -1;
}

/* Whoever stands by knows what was before: it is told to end before anybody sees the new. */
static void test_bequeath_dismisses_heir(void **state)
{
	int standby;

	(void)state;
	serve(FILE_A);
	standby = name_heir(2);
	close_parent();
	apply(first.mount, FILE_A FILE_B);
	assert_int_equal(bequeath_accepted(&first.bequest, first.mount, &first.text), 0);
	is_dismissed(standby);
}

/* Heirs and signals while something else is waited for. */
static void test_bequeath_hears(void **state)
{
	int standby;

	(void)state;
	serve(FILE_A);
	assert_int_equal(link_say(parent_end, LINK_SIGNAL, SIGHUP), 0);
	standby = name_heir(2);
	assert_int_equal(link_say(parent_end, LINK_SIGNAL, SIGTERM), 0);
	commit(&first);
	assert_int_equal(first.bequest.signals, 1U << SIGHUP | 1U << SIGTERM);
	assert_int_equal(first.bequest.heir.pid, 77);
	heir_dismiss(&first.bequest.heir);
	is_dismissed(standby);
}

/* The last words of a dead parent. Nobody could be told to wait for an heir without a pidfd. */
static void test_bequeath_listens(void **state)
{
	int known, unknown;

	(void)state;
	serve(FILE_A);
	known = name_heir(2);
	assert_int_equal(link_say(parent_end, LINK_SIGNAL, SIGUSR1), 0);
	bequeath_listen(&first.bequest);
	assert_int_equal(first.bequest.heir.pid, 77);
	assert_int_equal(first.bequest.signals, 1U << SIGUSR1);
	unknown = name_heir(1);
	close_parent();
	bequeath_listen(&first.bequest);
	is_dismissed(unknown);
	close(known);
}

/*
 * Another one takes its place, and there are no descriptors left for that: the one before is
 * dismissed, and the parent is none the less alive.
 */
static void test_bequeath_lost_heir(void **state)
{
	struct rlimit limit, none;
	struct link_message got;
	int before, lost, r;

	(void)state;
	serve(FILE_A);
	before = name_heir(2);
	assert_int_equal(bequeath_receive(&first.bequest, false, &got), 0);
	assert_int_equal(got.kind, LINK_HEIR);
	assert_int_equal(bequeath_receive(&first.bequest, false, &got), -EAGAIN);
	assert_int_equal(first.bequest.heir.pid, 77);
	lost = name_heir(2);
	assert_int_equal(link_say(parent_end, LINK_SIGNAL, SIGHUP), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){0, limit.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	r = bequeath_receive(&first.bequest, true, &got);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(r, 0);
	assert_int_equal(got.kind, LINK_SIGNAL);
	assert_int_equal(got.value, SIGHUP);
	is_dismissed(before);
	close(lost);
	close_parent();
	assert_int_equal(bequeath_receive(&first.bequest, true, &got), -EPIPE);
}

/* The kernel does not take a message: what was not sent is sent the next time. */
static void test_bequeath_fails(void **state)
{
	int good, bad;

	(void)state;
	serve(FILE_A);
	apply(first.mount, FILE_A FILE_B);
	set_text(&first, FILE_A FILE_B);
	good = first.bequest.link;
	bad = memfd_of("", 0);
	first.bequest.link = bad;
	assert_int_equal(bequeath_accepted(&first.bequest, first.mount, &first.text), -ENOTSOCK);
	first.bequest.link = good;
	close(bad);
	assert_int_equal(take_in(), 0);
	commit(&first);
	assert_int_equal(parent.n_claims, 2);
	crash();
	assert_non_null(by_name("a")->backing);
	assert_non_null(by_name("b")->backing);
}

/*
 * As long as the parent has not let go of what was removed, our own estate has it as well: a new
 * parent would get the descriptor.
 */
static void fail_to_remove(bool hangs)
{
	struct conf_errors errors = {0};
	struct plan *plan;
	int good, bad, fd;

	serve(FILE_A FILE_B);
	mount_by_name(first.mount, "b")->backing->may_block = hangs;
	plan = next_plan(first.mount, FILE_A);
	assert_int_equal(mount_apply(first.mount, plan, &errors), 0);
	plan_free(plan);
	set_text(&first, FILE_A);
	good = first.bequest.link;
	bad = memfd_of("", 0);
	first.bequest.link = bad;
	assert_int_not_equal(bequeath_accepted(&first.bequest, first.mount, &first.text), 0);
	first.bequest.link = good;
	close(bad);
	for (int i = 0; i < 2; i++) { /* once more, and nothing is new */
		mount_finish(first.mount, !first.bequest.failed);
		assert_int_equal(first.estate.n_claims, 2);
		fd = first.estate.claims[1].fd;
		assert_true(is_same(fd, parent.claims[1].fd));
	}
	commit(&first);
	mount_finish(first.mount, !first.bequest.failed);
	assert_int_equal(first.estate.n_claims, 1);
	assert_int_equal(parent.n_claims, 1);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void test_bequeath_fails_to_remove(void **state)
{
	(void)state;
	fail_to_remove(false);
}

/* Likewise what is closed beside the main thread. */
static void test_bequeath_fails_to_remove_remote(void **state)
{
	(void)state;
	fail_to_remove(true);
}

/* ---- the same as before ---- */

static void test_same(void **state)
{
	static const char text[] =
		"[group:g]\nweight = 5\n" FILE_A "parent = g\nweight = 7\nuid = 3\nmode = 0604\n"
		"discard = ignore\n[none]\npath = @/none\noptional = yes\n" FILE_B
		"readonly = yes\noffset = 4K\nsize = 64K\n";

	(void)state;
	serve(FILE_C);
	reload(&first, text); /* ids begin with 17 */
	open_file(first.mount, "a");
	mount_by_name(first.mount, "a")->kept->counters.write_ios = 9;
	first.mount->since = (struct timespec){123, 456};
	first.mount->began = (struct timespec){78, 9};
	commit(&first);
	succeed(); /* beside the one that serves */
	const struct mount *mount = second.mount;
	assert_true(mount->standby);
	assert_int_equal(mount->generation, 2);
	assert_int_equal(mount->next_id, first.mount->next_id);
	assert_int_equal(mount->since.tv_sec, 123);
	assert_int_equal(mount->began.tv_sec, 78);
	assert_int_equal(mount->n_files, 3);
	assert_int_equal(mount->n_orphans, 0);
	for (size_t i = 0; i < 3; i++) {
		const struct file *was = first.mount->files[i];
		const struct file *is = by_name(was->name);

		assert_ptr_equal(is, mount_by_id(mount, was->id));
		assert_int_equal(is->size_bytes, was->size_bytes);
		assert_int_equal(is->present_bytes, was->present_bytes);
		assert_int_equal(is->weight, was->weight);
		assert_int_equal(is->uid, was->uid);
		assert_int_equal(is->mode, was->mode);
		assert_int_equal(is->readonly, was->readonly);
		assert_int_equal(is->ignore_discard, was->ignore_discard);
		assert_int_equal(is->group, was->group);
		assert_int_equal(is->spec_offset_bytes, was->spec_offset_bytes);
		assert_int_equal(is->spec_size_bytes, was->spec_size_bytes);
		assert_int_equal(atomic_load(&is->kept->opens), atomic_load(&was->kept->opens));
		assert_int_equal(is->kept->counters.write_ios, was->kept->counters.write_ios);
		assert_int_equal(is->claim ? is->claim->kept : 0,
				 was->claim ? was->claim->kept : 0);
		assert_int_equal(is->claim && is->claim->readonly,
				 was->claim && was->claim->readonly);
		assert_int_equal(is->unfenced, is->backing != NULL); /* once it serves */
	}
	assert_null(by_name("none")->backing);
	assert_int_equal(by_name("b")->backing->start_bytes, 4096);
	assert_true(by_name("b")->claim->readonly);
	assert_int_equal(atomic_load(&by_name("a")->kept->opens), 1);
	assert_string_equal(second.text.sources[0].path, "ioband.ini");
	assert_string_equal(second.text.sources[0].text, first.text.sources[0].text);
	/* the mount */
	assert_true(is_same(second.front->fd, parent.fuse_fd));
	assert_ptr_equal(second.front->mount, second.mount);
	assert_string_equal(second.front->mountpoint, in_dir("mnt"));
	assert_int_equal(second.front->init_bytes,
			 sizeof(struct fuse_in_header) + sizeof(struct fuse_init_in));
	assert_null(second.front->session);
	assert_true(second.front->can_resend);
	assert_string_equal(logged, "");
}

/* A successor of the successor finds the same, and a reload goes on from there. */
/* Alarms are told once, whoever serves. */
static void test_alarms(void **state)
{
	struct file_counters *was;
	struct file *b;

	(void)state;
	serve(FILE_A FILE_B);
	b = mount_by_name(first.mount, "b");
	was = &b->kept->counters;
	was->share_alarm.missed = 2;
	was->reservation_alarm = (struct alarm){.missed = 5, .raised = true};
	was->size_alarm.raised = true;
	b->disk->counters->latency_alarm.raised = true;
	crash();
	was = &by_name("b")->kept->counters;
	assert_int_equal(was->share_alarm.missed, 2);
	assert_int_equal(was->reservation_alarm.missed, 5);
	assert_true(was->reservation_alarm.raised && was->size_alarm.raised);
	assert_true(by_name("b")->disk->counters->latency_alarm.raised);
	assert_false(by_name("a")->kept->counters.size_alarm.raised);
}

static void test_again(void **state)
{
	(void)state;
	serve(FILE_A FILE_B);
	open_file(first.mount, "b");
	uint64_t a = mount_by_name(first.mount, "a")->id, b = mount_by_name(first.mount, "b")->id;
	for (int i = 0; i < 3; i++) {
		crash();
		assert_int_equal(by_name("a")->id, a);
		assert_int_equal(by_name("b")->id, b);
		assert_int_equal(by_name("b")->kept->opens, 1);
		assert_int_equal(second.mount->generation, 1);
		assert_int_equal(parent.n_claims, 2);
		first = second;
		first.bequest.estate = &first.estate;
		second = (struct path){0};
	}
	first.mount->standby = false;
	mount_finish(first.mount, true);
	reload(&first, FILE_A FILE_C);
	assert_int_equal(first.mount->generation, 2);
	assert_int_equal(mount_by_name(first.mount, "a")->id, a);
	assert_int_equal(mount_by_name(first.mount, "c")->id, b + 1); /* never given before */
	assert_int_equal(parent.n_claims, 3);
	assert_int_equal(parent.claims[2].id, 3);
	assert_int_equal(first.mount->n_orphans, 1);
}

/* ---- removed, and open ---- */

#define FILE_R                                                                               \
	"[r]\npath = @/b.img\ndevice = d\nparent = g\noffset = 4K\nsize = 64K\nweight = 7\n" \
	"class = idle\nreadonly = yes\ndiscard = ignore\nuid = 3\ngid = 4\nmode = 0604\n"    \
	"min_iops = 11\nmax_bps = 14\nburst = 20ms\n"

static void test_removed(void **state)
{
	(void)state;
	serve("[group:g]\n" FILE_A FILE_R);
	open_file(first.mount, "r");
	uint64_t id = mount_by_name(first.mount, "r")->id;
	reload(&first, FILE_A);
	crash();
	assert_int_equal(second.mount->n_files, 1);
	assert_int_equal(second.mount->n_orphans, 1);
	assert_null(mount_by_name(second.mount, "r"));
	const struct file *r = orphan("r");
	assert_ptr_equal(r, mount_by_id(second.mount, id));
	assert_true(r->removed);
	assert_int_equal(r->backing->start_bytes, 4096);
	assert_int_equal(r->size_bytes, 65536);
	assert_string_equal(r->path, in_dir("b.img"));
	assert_string_equal(r->device, "d");
	assert_int_equal(r->weight, 7);
	assert_int_equal(r->class, CONF_CLASS_IDLE);
	assert_true(r->readonly && r->ignore_discard);
	assert_int_equal(r->uid, 3);
	assert_int_equal(r->gid, 4);
	assert_int_equal(r->mode, 0604);
	assert_int_equal(r->limits.min_iops, 11);
	assert_int_equal(r->limits.max_bps, 14);
	assert_int_equal(r->limits.burst_ns, 20000000);
	assert_non_null(r->cap);
	assert_int_equal(r->group, -1);
	assert_ptr_equal(r->disk, by_name("a")->disk);
	assert_int_equal(atomic_load(&r->kept->opens), 1);
	assert_int_equal(r->claim->kept, 2);
	/* it is closed, and gone with its claim */
	second.mount->standby = false;
	atomic_store(&r->kept->opens, 0);
	mount_collect(second.mount);
	commit(&second);
	mount_finish(second.mount, true);
	assert_null(mount_by_id(second.mount, id));
	assert_int_equal(parent.n_claims, 1);
}

/* Closed while nobody served: whoever takes over finds it so, and no sooner. */
static void test_removed_and_closed(void **state)
{
	(void)state;
	serve(FILE_A FILE_B);
	open_file(first.mount, "b");
	reload(&first, FILE_A);
	atomic_store(&first.mount->orphans[0]->kept->opens, 0);
	succeed();
	assert_int_equal(second.mount->n_orphans, 1);
	second.mount->standby = false;
	mount_collect(second.mount);
	mount_finish(second.mount, true);
	assert_int_equal(second.mount->n_orphans, 0);
}

/* Several of one name, one of which is in the directory again, on the same image. */
static void test_removed_namesakes(void **state)
{
	uint64_t ids[3];

	(void)state;
	serve("[x]\npath = @/a.img\nsize = 256K\n");
	for (int i = 0; i < 3; i++) {
		static const char *const next[] = {
			"[x]\npath = @/a.img\noffset = 256K\nsize = 256K\n",
			"[x]\npath = @/a.img\noffset = 512K\nsize = 256K\n",
			"[x]\npath = @/a.img\noffset = 512K\nsize = 256K\nweight = 3\n"};

		ids[i] = mount_by_name(first.mount, "x")->id;
		open_file(first.mount, "x");
		if (i < 2)
			reload(&first, "[y]\npath = @/b.img\n");
		reload(&first, next[i]);
	}
	assert_int_equal(first.mount->n_orphans, 2);
	crash();
	assert_int_equal(second.mount->n_files, 1);
	assert_int_equal(second.mount->n_orphans, 2);
	for (unsigned i = 0; i < 3; i++) {
		const struct file *x = mount_by_id(second.mount, ids[i]);

		assert_string_equal(x->name, "x");
		assert_int_equal(x->backing->start_bytes, i * 256 << 10);
		assert_int_equal(x->removed, i < 2);
		assert_int_equal(x->claim->kept, 1);
	}
	assert_int_equal(by_name("x")->weight, 3);
	assert_int_equal(mount_by_id(second.mount, ids[0])->weight, 100);
}

/* Its device is gone from the configuration: it is on the disk all the same. */
static void test_removed_device(void **state)
{
	(void)state;
	serve(FILE_A "[r]\npath = @/b.img\ndevice = d\n");
	open_file(first.mount, "r");
	open_file(first.mount, "a");
	reload(&first, FILE_A);
	atomic_store(&mount_by_name(first.mount, "a")->kept->opens, 0);
	reload(&first, "[c]\npath = @/c.img\n");
	crash();
	assert_string_equal(orphan("r")->name, "r");
	assert_ptr_equal(orphan("r")->disk, by_name("c")->disk);
}

/* ---- objects that are not what they were ---- */

/* What guests have open is served on, whatever the path leads to by now. */
static void test_replaced(void **state)
{
	(void)state;
	mark(in_dir("a.img"), 'a');
	mark(in_dir("b.img"), 'b');
	mark(in_dir("c.img"), 'c');
	serve(FILE_A FILE_B FILE_C);
	assert_int_equal(rename(in_dir("a.img"), in_dir("elsewhere")), 0);
	mark(image("a.img", 2 * MIB), 'A');
	assert_int_equal(unlink(in_dir("b.img")), 0);
	assert_int_equal(unlink(in_dir("c.img")), 0);
	assert_int_equal(mkfifo(in_dir("c.img"), 0600), 0); /* to open it would be to wait */
	crash();
	assert_int_equal(first_byte(by_name("a")), 'a');
	assert_int_equal(by_name("a")->size_bytes, MIB);
	assert_int_equal(first_byte(by_name("b")), 'b');
	assert_int_equal(first_byte(by_name("c")), 'c');
	assert_int_equal(parent.n_claims, 3);
}

/* A file that cannot be had fails its own requests, no others; and the parent keeps its claim. */
static void test_missing(void **state)
{
	(void)state;
	serve(FILE_A FILE_B);
	open_file(first.mount, "a");
	uint64_t id = mount_by_name(first.mount, "a")->id;
	end(&first);
	assert_int_equal(truncate(in_dir("a.img"), 0), 0);
	succeed();
	has_logged("[a] path: ");
	assert_null(by_name("a")->backing);
	assert_ptr_equal(by_name("a")->disk, by_name("b")->disk);
	assert_int_equal(by_name("a")->claim->kept, 1);
	assert_int_equal(by_name("a")->id, id);
	assert_int_equal(by_name("a")->size_bytes, MIB);
	assert_int_equal(atomic_load(&by_name("a")->kept->opens), 1);
	assert_non_null(by_name("b")->backing);
	/* all that it has inherited is open still, for a parent that it may have to start */
	assert_int_equal(second.estate.n_claims, 2);
	for (size_t i = 0; i < 2; i++)
		assert_true(is_open(second.estate.claims[i].fd));
	/* a reload that gives it up gives up the claim; then it can be had again */
	second.mount->standby = false;
	mount_finish(second.mount, true);
	atomic_store(&by_name("a")->kept->opens, 0);
	reload(&second, FILE_B);
	assert_int_equal(parent.n_claims, 1);
	image("a.img", MIB);
	reload(&second, FILE_A FILE_B);
	assert_int_equal(by_name("b")->claim->kept, 2);
	assert_int_equal(by_name("a")->claim->kept, 3);
}

/* Until it can be opened: by the same process, or by the next, which does not say it again. */
static bool found_within(unsigned ms)
{
	struct reopen reopen = {0};
	int event_fd = eventfd(0, EFD_CLOEXEC);
	struct pollfd pfd = {.fd = event_fd, .events = POLLIN};
	size_t n;

	if (!reopen_look(&reopen, second.mount, event_fd, 0))
		assert_int_equal(poll(&pfd, 1, (int)ms), 1);
	assert_int_equal(reopen_timeout_ms(&reopen, 0), REOPEN_NS / 1000000 + 1);
	/* one that has opened nothing is no reason to stop anybody */
	n = reopen_look(&reopen, second.mount, event_fd, 1) ? reopen_settle(&reopen, second.mount)
							    : 0;
	assert_false(reopen_look(&reopen, second.mount, event_fd, 2));
	close(event_fd);
	return n == 1;
}

/* At a take-over, while somebody has it open; its node id. */
static uint64_t lose_a(void)
{
	uint64_t id;

	serve(FILE_A FILE_B);
	open_file(first.mount, "a");
	id = mount_by_name(first.mount, "a")->id;
	end(&first);
	assert_int_equal(truncate(in_dir("a.img"), 0), 0);
	succeed();
	has_logged("[a] path: ");
	second.mount->standby = false;
	mount_finish(second.mount, true);
	return id;
}

static void test_lost_and_found(void **state)
{
	uint64_t id = lose_a();
	struct watch watch = {0};

	(void)state;
	/* that it cannot be opened is told; how much is behind it nobody knows */
	watch_look(&watch, second.mount, 1);
	watch_look(&watch, second.mount, 1 + ALARM_WINDOW_NS);
	assert_int_equal(by_name("a")->kept->counters.size_missed, 0);
	assert_false(found_within(20000));
	commit(&second);
	assert_int_equal(parent.n_claims, 2);
	first = second; /* and dies */
	second = (struct path){0};
	crash();
	has_not_logged("[a] path: ");
	assert_int_equal(by_name("a")->claim->kept, 1);
	image("a.img", MIB);
	assert_true(found_within(20000));
	has_logged("can be opened again");
	assert_non_null(by_name("a")->backing);
	assert_null(by_name("a")->lost);
	assert_true(by_name("a")->unfenced);
	assert_int_equal(by_name("a")->id, id);
	assert_int_equal(atomic_load(&by_name("a")->kept->opens), 1);
	assert_int_equal(by_name("a")->present_bytes, MIB);
	/* nothing is lost any more */
	assert_int_equal(reopen_timeout_ms(&(struct reopen){.next_ns = UINT64_MAX}, 0), -1);
}

/* By a reload, while somebody has it open. */
static void test_lost_and_reloaded(void **state)
{
	uint64_t id = lose_a();

	(void)state;
	image("a.img", MIB);
	reload(&second, FILE_A FILE_B);
	assert_non_null(by_name("a")->backing);
	assert_null(by_name("a")->lost);
	assert_int_equal(by_name("a")->id, id);
	assert_int_equal(parent.n_claims, 2);
}

/* Those who have it open know its range, though it cannot be had just now. */
static void test_lost_and_changed(void **state)
{
	struct asked asked = START;
	struct plan_running *list;

	lose_a();
	(void)state;
	image("a.img", MIB);
	assert_int_equal(mount_running(second.mount, &list, &asked.n_running), 0);
	asked.running = list;
	refused(asked, "[a]\npath = @/a.img\ndevice = d\noffset = 512K\n" FILE_B,
		"ioband.ini:4: [a] offset: \"524288\" is open: path, offset, size, device, "
		"readonly and buffered cannot change until it is closed\n");
	free(list);
	/* until it is closed */
	atomic_store(&by_name("a")->kept->opens, 0);
	reload(&second, "[a]\npath = @/a.img\ndevice = d\noffset = 512K\n" FILE_B);
	assert_int_equal(by_name("a")->size_bytes, MIB / 2);
}

/* The parent has no such claim: what is at the path by now is not asked. */
static void test_no_claim(void **state)
{
	struct link_message gone = {.kind = LINK_UNCLAIM, .n_ids = 1, .ids = {1}};
	struct link_message accepted = {.kind = LINK_ACCEPTED, .n_fds = 1};

	(void)state;
	serve(FILE_A FILE_B);
	accepted.fds[0] = fcntl(parent.accepted_fd, F_DUPFD_CLOEXEC, 3);
	assert_int_equal(estate_apply(&parent, &gone), 0);
	assert_int_equal(estate_apply(&parent, &accepted), 0);
	crash();
	assert_null(by_name("a")->backing);
	assert_non_null(by_name("b")->backing);
}

static void test_grown(void **state)
{
	(void)state;
	serve(FILE_A);
	assert_int_equal(truncate(in_dir("a.img"), 2 * MIB), 0);
	crash();
	/* as it was shown, until a reload */
	assert_int_equal(by_name("a")->size_bytes, MIB);
	assert_int_equal(by_name("a")->present_bytes, 2 * MIB);
	second.mount->standby = false;
	mount_finish(second.mount, true);
	reload(&second, FILE_A);
	assert_int_equal(by_name("a")->size_bytes, 2 * MIB);
}

/* What is there is served, the rest fails: with or without a size in the configuration. */
static void test_shrunk(void **state)
{
	(void)state;
	serve(FILE_A "[b]\npath = @/b.img\ndevice = d\noffset = 256K\nsize = 512K\n");
	assert_int_equal(truncate(in_dir("a.img"), MIB / 2), 0);
	assert_int_equal(truncate(in_dir("b.img"), MIB / 2), 0);
	crash();
	assert_int_equal(by_name("a")->size_bytes, MIB);
	assert_int_equal(by_name("a")->present_bytes, MIB / 2);
	has_logged("has shrunk from 524288 to 262144 bytes");
	const struct file *b = by_name("b");
	assert_non_null(b->backing);
	assert_int_equal(b->size_bytes, MIB / 2);
	assert_int_equal(b->present_bytes, MIB / 4);
	assert_int_equal(b->backing->size_bytes, MIB / 2); /* the fence is where it was */
	/* it grows back, and a reload sees it */
	assert_int_equal(truncate(in_dir("b.img"), MIB), 0);
	second.mount->standby = false;
	mount_finish(second.mount, true);
	open_file(second.mount, "b");
	reload(&second, FILE_A "[b]\npath = @/b.img\ndevice = d\noffset = 256K\nsize = 512K\n");
	assert_int_equal(by_name("b")->present_bytes, MIB / 2);
}

/* A device is opened beside the claim that is on it, which shuts out all others. */
static void test_device(void **state)
{
	struct loopdev loop;
	char text[256];

	(void)state;
	NEED_ROOT();
	assert_int_equal(loopdev_attach(&loop, in_dir("a.img"), 0, 0, 0), 0);
	snprintf(text, sizeof(text), "[l]\npath = %s\n" FILE_B, loop.path);
	serve(text);
	crash();
	assert_true(by_name("l")->backing->id.is_block);
	assert_false(by_name("l")->claim->readonly);
	assert_int_equal(open(loop.path, O_RDONLY | O_EXCL | O_CLOEXEC), -1);
	assert_int_equal(errno, EBUSY);
	end(&second);
	close(loop.fd);
}

/* ---- without memory, and with what is none ---- */

/*
 * Whatever allocation fails: no successor, or one in which every file is what it was, or (one that
 * could not be had) has no backing. And nothing is left.
 */
static void test_no_memory(void **state)
{
	unsigned failed = 0, none = 0, less = 0;
	bool done;

	(void)state;
	serve("[group:g]\nmax_iops = 5\n" FILE_A "parent = g\n" FILE_B FILE_C "max_bps = 1M\n");
	open_file(first.mount, "b");
	uint64_t id = mount_by_name(first.mount, "b")->id;
	reload(&first, "[group:g]\nmax_iops = 5\n" FILE_A "parent = g\n" FILE_C);
	end(&first);
	do {
		unsigned before = open_descriptors();

		begin(&second);
		countdown = failed;
		int r = try_recover(&second);
		done = !has_failed();
		if (r) {
			assert_true(!done);
			assert_true(r == -ENOMEM || r == -EPROTO || r == -EINVAL);
			none++;
		} else {
			assert_int_equal(second.mount->n_files, 2);
			assert_int_equal(second.mount->n_orphans, 1);
			assert_int_equal(orphan("b")->id, id);
			less += !orphan("b")->backing || !by_name("a")->backing ||
				!by_name("c")->backing;
			assert_true(!done || orphan("b")->backing);
		}
		if (r && !second.front) /* it is no front's: the process ends */
			assert_true(is_open(second.estate.fuse_fd));
		end(&second);
		assert_int_equal(open_descriptors(), before);
		failed += !done;
	} while (!done);
	print_message("%u allocations failed: %u times no successor, %u times one with less\n",
		      failed, none, less);
	assert_in_range(failed, 50, 1000);
}

static void cut(int fd, size_t n)
{
	assert_int_equal(ftruncate(fd, (off_t)n), 0);
}

static void test_torn(void **state)
{
	struct stat st;

	(void)state;
	serve(FILE_A);
	end(&first);
	begin(&second);
	assert_int_equal(fstat(parent.init_fd, &st), 0);
	cut(parent.init_fd, (size_t)st.st_size - 1);
	assert_int_equal(try_recover(&second), -EPROTO);
	end(&second);
	begin(&second);
	assert_int_equal(fstat(parent.accepted_fd, &st), 0);
	cut(parent.accepted_fd, (size_t)st.st_size - 1);
	assert_int_equal(try_recover(&second), -EPROTO);
	end(&second);
	/* a claim that is none */
	begin(&second);
	int fd = memfd_of("x", 1);
	int ends[2];
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	close(fd);
	assert_int_equal(dup3(ends[1], second.estate.claims[0].fd, O_CLOEXEC),
			 second.estate.claims[0].fd);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(try_recover(&second), -EPROTO);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_bequeath),
		TEST(test_bequeath_many),
		TEST(test_bequeath_without_parent),
		TEST(test_bequeath_dismisses_heir),
		TEST(test_bequeath_hears),
		TEST(test_bequeath_listens),
		TEST(test_bequeath_lost_heir),
		TEST(test_bequeath_fails),
		TEST(test_bequeath_fails_to_remove),
		TEST(test_bequeath_fails_to_remove_remote),
		TEST(test_same),
		TEST(test_alarms),
		TEST(test_again),
		TEST(test_removed),
		TEST(test_removed_and_closed),
		TEST(test_removed_namesakes),
		TEST(test_removed_device),
		TEST(test_replaced),
		TEST(test_missing),
		TEST(test_lost_and_found),
		TEST(test_lost_and_reloaded),
		TEST(test_lost_and_changed),
		TEST(test_no_claim),
		TEST(test_grown),
		TEST(test_shrunk),
		TEST(test_device),
		TEST(test_no_memory),
		TEST(test_torn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
