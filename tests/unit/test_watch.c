/* SPDX-License-Identifier: MIT */
/*
 * test_watch.c - unit tests of watch.h and snapshot.h: a mount on a disk that does a hundred
 * requests per second, one at a time, in virtual time.
 */
#include "logged.h"
#include "mount_rig.h"
#include "snapshot.h"
#include "watch.h"

#include <sys/stat.h>

#define MS UINT64_C(1000000)
#define SEC (1000 * MS)
#define DEPTH 16

struct client {
	struct file *file; /* NULL: none */
	struct fbs_req reqs[DEPTH];
};

static struct mount *mount;
static struct watch watch;
static uint64_t now_ns;
static struct client clients[2];
static struct {
	struct fbs_slice slice;
	bool busy;
} at_disk;

static void watched(const char *text)
{
	mount = start(text);
	watch = (struct watch){0};
	now_ns = 1000 * SEC;
	at_disk.busy = false;
	memset(clients, 0, sizeof(clients));
	logged[0] = '\0';
	watch_look(&watch, mount, now_ns);
}

static struct file *file(const char *name)
{
	struct file *found = mount_by_name(mount, name);

	assert_non_null(found);
	return found;
}

/* Who keeps DEPTH requests queued; NULL: nobody any more. */
static void client(unsigned i, const char *name)
{
	for (unsigned r = 0; !name && r < DEPTH; r++)
		if (clients[i].reqs[r].leaf)
			fbs_cancel(mount->disks[0]->fbs, &clients[i].reqs[r]);
	clients[i].file = name ? file(name) : NULL;
}

static void keep_queued(struct fbs *fbs)
{
	for (unsigned i = 0; i < 2; i++)
		for (unsigned r = 0; clients[i].file && r < DEPTH; r++) {
			struct fbs_req *req = &clients[i].reqs[r];

			if (req->leaf || (at_disk.busy && at_disk.slice.req == req))
				continue;
			*req = (struct fbs_req){.op = FBS_READ, .end_bytes = 4096};
			fbs_push(fbs, clients[i].file->leaf, req, now_ns);
		}
}

static void come_back(struct disk *disk)
{
	struct client *owner = &clients[at_disk.slice.req >= clients[1].reqs];
	struct file_counters *counters = &owner->file->kept->counters;

	fbs_done(disk->fbs, &at_disk.slice, now_ns);
	at_disk.busy = false;
	counters->read_ios++;
	counters->read_bytes += at_disk.slice.len_bytes;
	recent_add(&counters->recent, now_ns, 0, now_ns - at_disk.slice.issued_ns);
	histogram_add(&disk->counters->latency, now_ns - at_disk.slice.issued_ns);
}

/* One window of the watch. */
static void window(void)
{
	struct disk *disk = mount->disks[0];

	for (unsigned i = 0; i < 1000; i++) {
		keep_queued(disk->fbs);
		at_disk.busy = fbs_next(disk->fbs, now_ns, &at_disk.slice);
		now_ns += 10 * MS;
		if (at_disk.busy)
			come_back(disk);
	}
	watch_look(&watch, mount, now_ns);
}

static void stop(void)
{
	client(0, NULL);
	client(1, NULL);
	mount_free(mount);
}

#define DEVICE "[device:d]\nio_throttle = 1\npolicy = weight\n"

static const struct status_file *seen(const struct status *status, const char *name)
{
	for (size_t i = 0; i < status->n_files; i++)
		if (!strcmp(status->files[i].name, name))
			return &status->files[i];
	fail_msg("no %s", name);
	return NULL;
}

/* What the status says of it: alarms that are on, and how often each was missed. */
static void check_seen(const char *name, unsigned alarms, uint64_t share, uint64_t weight)
{
	const struct snapshot_about about = {.workers = 1};
	struct status *status;

	assert_int_equal(snapshot_take(mount, &about, &status), 0);
	assert_int_equal(seen(status, name)->alarms, alarms);
	assert_int_equal(seen(status, name)->share_missed, share);
	assert_int_equal(seen(status, name)->weight_missed, weight);
	status_free(status);
}

static void check_group(const char *name, unsigned alarms, uint64_t weight)
{
	const struct snapshot_about about = {.workers = 1};
	struct status *status;
	bool found = false;

	assert_int_equal(snapshot_take(mount, &about, &status), 0);
	for (size_t i = 0; i < status->n_groups; i++) {
		if (strcmp(status->groups[i].name, name))
			continue;
		found = true;
		assert_int_equal(status->groups[i].alarms, alarms);
		assert_int_equal(status->groups[i].weight_missed, weight);
	}
	assert_true(found);
	status_free(status);
}

/* ---- alarms ---- */

/*
 * A second of the disk for one flush is 45 seconds of a share of 2.2 %: told after the third window
 * without anything, and over when it has its share again.
 */
static void test_share(void **state)
{
	struct fbs_flush flush;
	unsigned i;

	(void)state;
	watched(DEVICE "[a.img]\npath = @/a.img\ndevice = d\nweight = 22\n"
		       "[b.img]\npath = @/b.img\ndevice = d\nweight = 978\n");
	client(0, "a.img");
	client(1, "b.img");
	window();
	fbs_flush_start(mount->disks[0]->fbs, file("a.img")->leaf, now_ns, &flush);
	now_ns += SEC;
	fbs_flush_done(mount->disks[0]->fbs, &flush, now_ns);
	for (i = 0; i < 3; i++) {
		check_seen("a.img", 0, 0, 0);
		window();
	}
	check_seen("a.img", 0, 0, 0);
	window(); /* for the third time its flush is no part of the last ten seconds */
	check_seen("a.img", 1U << STATUS_ALARM_SHARE, 1, 0);
	has_logged("a.img: got 0.0% of disk d, but was entitled to 2.2%, for 30 s: flushes or "
		   "discards of it, or of its group, took the disk so long that it pays for them "
		   "now: let it flush less often, or give it more weight");
	check_seen("b.img", 0, 0, 0);
	for (i = 0; i < 5 && file("a.img")->kept->counters.share_alarm.raised; i++)
		window();
	assert_in_range(i, 1, 4);
	check_seen("a.img", 0, 1, 0);
	assert_string_equal(logged, ""); /* that it is over is no news */
	stop();
}

/* Twice a second is promised of what the disk does once: told in the second window, then not. */
static void test_reservation(void **state)
{
	(void)state;
	watched(DEVICE "[a.img]\npath = @/a.img\ndevice = d\nmin_iops = 200\n"
		       "[b.img]\npath = @/b.img\ndevice = d\n");
	client(0, "a.img");
	client(1, "b.img");
	window();
	assert_int_equal(file("a.img")->kept->counters.reservation_missed, 0);
	window();
	window();
	assert_int_equal(file("a.img")->kept->counters.reservation_missed, 1);
	has_logged(
		"a.img: reservation missed: 100 requests and 0.4 MB per second of disk d, promised "
		"were min_iops 200 and min_bps 0.0 MB: the disk cannot do more, or too much of it "
		"is "
		"promised");
	assert_int_equal(file("b.img")->kept->counters.reservation_missed, 0);
	assert_int_equal(file("b.img")->kept->counters.share_missed, 0);
	stop();
}

static void test_kept_reservation(void **state)
{
	(void)state;
	watched(DEVICE "[a.img]\npath = @/a.img\ndevice = d\nmin_iops = 60\n"
		       "[b.img]\npath = @/b.img\ndevice = d\nweight = 300\n");
	client(0, "a.img");
	client(1, "b.img");
	for (unsigned i = 0; i < 5; i++)
		window();
	assert_int_equal(file("a.img")->kept->counters.reservation_missed, 0);
	assert_int_equal(file("a.img")->kept->counters.share_missed, 0);
	assert_int_equal(file("b.img")->kept->counters.share_missed, 0);
	stop();
}

/* What is promised to a group may be used by any file in it, but not by others. */
static void test_group(void **state)
{
	(void)state;
	watched(DEVICE "[group:top]\nmin_iops = 300\n[group:g]\nparent = top\n"
		       "[a.img]\npath = @/a.img\ndevice = d\nparent = g\n"
		       "[b.img]\npath = @/b.img\ndevice = d\n");
	client(0, "b.img");
	window();
	window();
	assert_int_equal(mount->groups[0].counters->reservation_missed, 0); /* it wants nothing */
	client(1, "a.img");
	window();
	window();
	window();
	assert_int_equal(mount->groups[0].counters->reservation_missed, 1);
	has_logged("group top: reservation missed: ");
	assert_int_equal(mount->groups[1].counters->reservation_missed, 0);
	assert_true(mount->groups[0].counters->reservation_alarm.raised);
	mount->groups[0].min_iops = 0; /* as by a reload */
	window();
	assert_false(mount->groups[0].counters->reservation_alarm.raised);
	stop();
}

static void test_latency(void **state)
{
	(void)state;
	watched("[device:d]\nio_throttle = 1\nlatency_target = 5ms\n"
		"[a.img]\npath = @/a.img\ndevice = d\n");
	client(0, "a.img");
	window();
	assert_int_equal(mount->disks[0]->counters->latency_missed, 0);
	window();
	window();
	assert_int_equal(mount->disks[0]->counters->latency_missed, 1);
	has_logged("disk d: latency target missed: 99 % within 1");
	has_logged("");
	client(0, NULL);
	window();
	client(0, "a.img");
	window();
	window();
	assert_int_equal(mount->disks[0]->counters->latency_missed, 2);
	stop();
}

static void test_size(void **state)
{
	(void)state;
	watched(DEVICE "[a.img]\npath = @/a.img\ndevice = d\n");
	window();
	assert_int_equal(file("a.img")->kept->counters.size_missed, 0);
	file("a.img")->cut_short = true;
	window();
	window();
	assert_int_equal(file("a.img")->kept->counters.size_missed, 1);
	has_logged("/a.img is shorter than it was: reads beyond its end fail");
	file("a.img")->cut_short = false;
	window();
	file("a.img")->present_bytes = 4096; /* as a reload saw it */
	window();
	assert_int_equal(file("a.img")->kept->counters.size_missed, 2);
	stop();
}

/* What goes on when another process takes over is told no second time. */
static void test_taken_over(void **state)
{
	const struct disk_counters *disk;
	const struct file_counters *a;

	(void)state;
	watched("[device:d]\nio_throttle = 1\npolicy = weight\nlatency_target = 5ms\n"
		"[a.img]\npath = @/a.img\ndevice = d\nmin_iops = 200\n"
		"[b.img]\npath = @/b.img\ndevice = d\n");
	disk = mount->disks[0]->counters;
	a = &file("a.img")->kept->counters;
	client(0, "a.img");
	file("a.img")->cut_short = true;
	for (unsigned i = 0; i < 3; i++)
		window();
	assert_int_equal(a->reservation_missed, 1);
	assert_int_equal(a->size_missed, 1);
	assert_int_equal(disk->latency_missed, 1);
	has_logged("reservation missed: ");
	/* what the other one does not have */
	watch = (struct watch){0};
	file("a.img")->watch = (struct file_watch){0};
	mount->disks[0]->watch = (struct disk_watch){0};
	watch_look(&watch, mount, now_ns);
	for (unsigned i = 0; i < 3; i++)
		window();
	assert_int_equal(a->reservation_missed, 1);
	assert_int_equal(a->size_missed, 1);
	assert_int_equal(disk->latency_missed, 1);
	assert_string_equal(logged, "");
	/* it ends, and there is another one */
	client(0, NULL);
	window();
	client(0, "a.img");
	for (unsigned i = 0; i < 3; i++)
		window();
	assert_int_equal(a->reservation_missed, 2);
	assert_int_equal(disk->latency_missed, 2);
	stop();
}

static void test_clock(void **state)
{
	struct watch w = {0};

	(void)state;
	watched(DEVICE "[a.img]\npath = @/a.img\ndevice = d\n");
	assert_int_equal(watch_timeout_ms(&w, 5 * SEC), 0);
	watch_look(&w, mount, 5 * SEC);
	assert_int_equal(watch_timeout_ms(&w, 5 * SEC), 10001);
	watch_look(&w, mount, 6 * SEC); /* too early: nothing happens */
	assert_int_equal(watch_timeout_ms(&w, 6 * SEC), 9001);
	assert_int_equal(watch_timeout_ms(&w, 15 * SEC), 0);
	watch_look(&w, mount, 40 * SEC);
	assert_int_equal(watch_timeout_ms(&w, 40 * SEC), 10001);
	stop();
}

/* ---- snapshots ---- */

static void test_snapshot(void **state)
{
	const struct snapshot_about about = {.config = "ioband.ini", .workers = 3};
	const struct status_file *a, *b;
	struct status *status;

	(void)state;
	watched(DEVICE "[group:g]\nweight = 50\n"
		       "[a.img]\npath = @/a.img\ndevice = d\nparent = g\nmax_iops = 10\n"
		       "[b.img]\npath = @/b.img\ndevice = d\nweight = 20\n"
		       "[c.img]\npath = @/none\ndevice = d\noptional = yes\n");
	client(0, "a.img");
	client(1, "b.img");
	window();
	window();
	assert_int_equal(snapshot_take(mount, &about, &status), 0);
	stop(); /* a snapshot needs nothing of the mount any more */
	assert_int_equal(status->n_devices, 1);
	assert_string_equal(status->devices[0].name, "d");
	assert_string_equal(status->devices[0].policy, "weight");
	assert_int_equal(status->devices[0].in_flight_limit, 1);
	assert_true(status->devices[0].latency.known);
	assert_in_range(status->devices[0].latency.p50_ns / MS, 8, 12);
	assert_int_equal(status->n_groups, 1);
	assert_string_equal(status->groups[0].name, "g");
	assert_string_equal(status->groups[0].device, "d");
	assert_null(status->groups[0].parent);
	assert_int_equal(status->groups[0].weight, 50);
	assert_int_equal(status->n_files, 3);
	assert_int_equal(status->workers, 3);
	assert_string_equal(status->config, "ioband.ini");
	assert_null(status->last_error);
	a = &status->files[0];
	b = &status->files[1];
	assert_string_equal(a->name, "a.img");
	assert_string_equal(a->parent, "g");
	assert_ptr_equal(a->device, status->devices[0].name);
	assert_int_equal(a->throttled_by, STATUS_WAIT_CAP);
	assert_in_range(a->ios[STATUS_READ], 190, 210);
	assert_int_equal(a->ios[STATUS_READ] + b->ios[STATUS_READ], 2000);
	assert_int_equal(a->bytes[STATUS_READ], a->ios[STATUS_READ] * 4096);
	assert_in_range(b->queued, DEPTH - 1, DEPTH);
	assert_in_range(b->share.achieved_ppm, 880000, 920000);
	assert_in_range(a->share.achieved_ppm + b->share.achieved_ppm, 999998, 1000000);
	assert_null(status->files[2].device);
	assert_int_equal(status->files[2].throttled_by, STATUS_WAIT_NONE);
	status_free(status);
}

/* A file's part of the disk decides whom it waits for. */
static void test_throttled_by_share(void **state)
{
	const struct snapshot_about about = {.workers = 1};
	struct status *status;

	(void)state;
	watched(DEVICE "[a.img]\npath = @/a.img\ndevice = d\nweight = 10\n"
		       "[b.img]\npath = @/b.img\ndevice = d\nweight = 1000\n");
	client(0, "a.img");
	client(1, "b.img");
	window();
	window();
	assert_int_equal(snapshot_take(mount, &about, &status), 0);
	assert_int_equal(status->files[0].throttled_by, STATUS_WAIT_SHARE);
	assert_null(status->config);
	status_free(status);
	/* nobody wants anything for two windows */
	client(0, NULL);
	client(1, NULL);
	window();
	window();
	assert_int_equal(snapshot_take(mount, &about, &status), 0);
	assert_int_equal(status->files[0].throttled_by, STATUS_WAIT_NONE);
	assert_false(status->devices[0].latency.known);
	status_free(status);
	stop();
}

/* ---- notes ---- */

static void write_setting(const char *path, const char *value)
{
	FILE *out = fopen(in_dir(path), "w");

	assert_non_null(out);
	fputs(value, out);
	fclose(out);
}

static void check_host(bool privileged, const char *expected)
{
	struct conf_errors notes = {0};
	unsigned n;

	n = watch_host(dir, privileged, &notes);
	assert_int_equal(n, notes.n);
	remember(&notes);
	conf_errors_free(&notes);
	if (!expected[0])
		assert_string_equal(said, "");
	else if (!strstr(said, expected))
		fail_msg("%s", said);
}

static void test_host(void **state)
{
	static const char *const dirs[] = {
		"proc", "proc/sys",   "proc/sys/fs",	 "proc/sys/fs/fuse",
		"sys",	"sys/module", "sys/module/fuse", "sys/module/fuse/parameters"};

	(void)state;
	check_host(false, ""); /* a kernel that has none of them */
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		assert_int_equal(mkdir(in_dir(dirs[i]), 0700), 0);
	write_setting("proc/sys/fs/fuse/default_request_timeout", "0\n");
	write_setting("proc/sys/fs/fuse/max_request_timeout", "0\n");
	write_setting("sys/module/fuse/parameters/max_user_bgreq", "7889\n");
	check_host(false, "");
	write_setting("sys/module/fuse/parameters/max_user_bgreq", "12\n");
	check_host(true, "");
	check_host(false, "no more than 12 asynchronous requests");
	write_setting("proc/sys/fs/fuse/default_request_timeout", "30\n");
	check_host(true, "sysctl fs.fuse.default_request_timeout=0");
	write_setting("proc/sys/fs/fuse/max_request_timeout", "60\n");
	check_host(true, "longer than 60 s (fs.fuse.max_request_timeout)");
}

/* The next generation of the same mount. */
static void turn_into(const char *text)
{
	apply(mount, text);
	watch_weights(mount, true);
}

/* From when it is alone with its weight until it is not. */
static void test_lone_weights(void **state)
{
	static const char alone[] = DEVICE "[a.img]\npath = @/a.img\ndevice = d\nweight = 80\n";
	static const char two[] = DEVICE "[a.img]\npath = @/a.img\ndevice = d\nweight = 80\n"
					 "[b.img]\npath = @/b.img\ndevice = d\n";

	(void)state;
	watched(alone);
	watch_weights(mount, true);
	has_logged("a.img: weight 80 has no effect: it is the only file on disk d, and weights "
		   "divide one disk between its files; fuseband --check prints which disk each is "
		   "on");
	check_seen("a.img", 1U << STATUS_ALARM_WEIGHT, 0, 1);
	turn_into(alone);
	assert_string_equal(logged, "");
	check_seen("a.img", 1U << STATUS_ALARM_WEIGHT, 0, 1);
	turn_into(two);
	assert_string_equal(logged, "");
	check_seen("a.img", 0, 0, 1);
	turn_into(alone);
	has_logged("a.img: weight 80 has no effect");
	check_seen("a.img", 1U << STATUS_ALARM_WEIGHT, 0, 2);
	turn_into(DEVICE "[a.img]\npath = @/a.img\ndevice = d\n");
	assert_string_equal(logged, "");
	check_seen("a.img", 0, 0, 2);
	stop();
	/* a dead process told it */
	watched(alone);
	watch_weights(mount, false);
	assert_string_equal(logged, "");
	check_seen("a.img", 1U << STATUS_ALARM_WEIGHT, 0, 0);
	stop();
}

/* A removed file that is open still shares the disk. */
static void test_weight_beside_removed(void **state)
{
	(void)state;
	watched(DEVICE "[a.img]\npath = @/a.img\ndevice = d\nweight = 80\n"
		       "[b.img]\npath = @/b.img\ndevice = d\n");
	atomic_store(&file("b.img")->kept->opens, 1);
	turn_into(DEVICE "[a.img]\npath = @/a.img\ndevice = d\nweight = 80\n");
	assert_int_equal(mount->n_orphans, 1);
	check_seen("a.img", 0, 0, 0);
	atomic_store(&mount->orphans[0]->kept->opens, 0);
	stop();
}

#define MEMBER(name, group) \
	"[" name "]\npath = @/" name "\ndevice = d\nweight = 80\nparent = " group "\n"
#define GROUP(name, more) "[group:" name "]\nweight = 300\n" more

/* What is compared is side by side: below one group, or directly below the disk. */
static void test_lone_in_group(void **state)
{
	(void)state;
	watched(DEVICE GROUP("g", "")
			MEMBER("a.img", "g") "[b.img]\npath = @/b.img\ndevice = d\nweight = 80\n");
	watch_weights(mount, true);
	has_logged("a.img: weight 80 has no effect: there is nothing else in group g on disk d; "
		   "what the group gets is for the group's own weight to say");
	check_seen("a.img", 1U << STATUS_ALARM_WEIGHT, 0, 1);
	check_seen("b.img", 0, 0, 0);
	check_group("g", 0, 0);
	/* one group beside a file in the same group */
	turn_into(DEVICE GROUP("g", "") GROUP("h", "parent = g\n") MEMBER("a.img", "g")
			  MEMBER("b.img", "h"));
	assert_non_null(strstr(logged, "group g: weight 300 has no effect: nothing else is beside "
				       "it on any disk, and weights divide one disk between what "
				       "is side by side; fuseband --check prints what is where"));
	assert_non_null(strstr(logged, "b.img: weight 80 has no effect: there is nothing else in "
				       "group h"));
	check_seen("a.img", 0, 0, 1);
	check_group("g", 1U << STATUS_ALARM_WEIGHT, 1);
	check_group("h", 0, 0);
	stop();
}

/* It is told once, and over when something is beside it. */
static void test_lone_group(void **state)
{
	static const char alone[] = DEVICE GROUP("g", "")
		MEMBER("a.img", "g") "[b.img]\npath = @/b.img\ndevice = d\nparent = g\n";

	(void)state;
	watched(alone);
	watch_weights(mount, true);
	has_logged("group g: weight 300 has no effect");
	turn_into(alone);
	assert_string_equal(logged, "");
	check_group("g", 1U << STATUS_ALARM_WEIGHT, 1);
	turn_into(DEVICE GROUP("g", "")
			  MEMBER("a.img", "g") "[b.img]\npath = @/b.img\ndevice = d\n");
	check_group("g", 0, 1);
	stop();
}

static int setup(void **state)
{
	if (make_dir(state))
		return -1;
	image("a.img", MIB);
	image("b.img", MIB);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_share),
		TEST(test_reservation),
		TEST(test_kept_reservation),
		TEST(test_group),
		TEST(test_latency),
		TEST(test_size),
		TEST(test_taken_over),
		TEST(test_clock),
		TEST(test_snapshot),
		TEST(test_throttled_by_share),
		TEST(test_host),
		TEST(test_lone_weights),
		TEST(test_weight_beside_removed),
		TEST(test_lone_in_group),
		TEST(test_lone_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
