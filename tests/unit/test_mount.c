/* SPDX-License-Identifier: MIT */
/*
 * Unit tests of mount.h: what a start and reloads make of the trees in the schedulers.
 *
 * The linker leads every call that changes a scheduler through here (--wrap, see CMakeLists.txt),
 * so that the trees can be written down as they were last told to be:
 *
 *	disk strict 5ms			isolation and latency target, when not the defaults
 *	 a 400 realtime min=500,1M	weight, class, min_iops and min_bps
 *	 acme 100 cap1=800		the first cap that was made, its max_iops
 *	  b 100
 *	 (gone) 100			a group that was dropped, with
 *	  c 100 removed			a file that is still open
 *
 * The same way any allocation can be made to fail.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "mount_rig.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* The place of a file, a new one if it has none yet. */
static struct kept_file *keep_file(struct keep *keep, uint64_t id)
{
	struct kept_file *file = keep_file_find(keep, id);

	return file ? file : keep_file_add(keep, id);
}

/* ---- what the schedulers were told ---- */

#define NODES 256
#define CAPS 512

static struct told {
	struct fbs_node *node, *parent;
	unsigned weight;
	enum fbs_class class;
	struct fbs_min min;
	struct fbs_cap *cap;
	bool is_leaf, dropped;
} told[NODES];
static size_t n_told;

static struct {
	struct fbs_cap *cap;
	struct fbs_max max;
	unsigned since; /* configured so often, without the nodes being told */
} caps[CAPS];
static size_t n_caps;

static struct {
	struct fbs *fbs;
	struct fbs_params params;
} disks[8];
static size_t n_disks;

/* So many allocations from now on succeed, the next one does not; -1: all do. */
static long countdown = -1;

static bool fails(void)
{
	return countdown >= 0 && countdown-- == 0;
}

static struct told *told_of(const struct fbs_node *node)
{
	for (size_t i = n_told; i-- > 0;) /* the memory of an older one may have been used again */
		if (told[i].node == node)
			return &told[i];
	fail_msg("a node that nobody made");
	return NULL;
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

static void tell_params(struct fbs *fbs, const struct fbs_params *params)
{
	for (size_t i = 0; i < n_disks; i++)
		if (disks[i].fbs == fbs)
			disks[i].params = *params;
}

struct fbs *__real_fbs_create(const struct fbs_params *params);
struct fbs *__wrap_fbs_create(const struct fbs_params *params);
struct fbs *__wrap_fbs_create(const struct fbs_params *params)
{
	struct fbs *fbs = __real_fbs_create(params);

	assert_in_range(n_disks, 0, 7);
	if (fbs)
		disks[n_disks++].fbs = fbs;
	tell_params(fbs, params);
	return fbs;
}

void __real_fbs_configure(struct fbs *fbs, const struct fbs_params *params);
void __wrap_fbs_configure(struct fbs *fbs, const struct fbs_params *params);
void __wrap_fbs_configure(struct fbs *fbs, const struct fbs_params *params)
{
	__real_fbs_configure(fbs, params);
	tell_params(fbs, params);
}

static struct fbs_node *made(struct fbs_node *node, struct fbs_node *parent, unsigned weight,
			     bool is_leaf)
{
	assert_in_range(n_told, 0, NODES - 1);
	if (node)
		told[n_told++] = (struct told){.node = node,
					       .parent = parent,
					       .weight = weight,
					       .class = FBS_NORMAL,
					       .is_leaf = is_leaf};
	return node;
}

struct fbs_node *__real_fbs_add_group(struct fbs *fbs, struct fbs_node *parent, unsigned weight);
struct fbs_node *__wrap_fbs_add_group(struct fbs *fbs, struct fbs_node *parent, unsigned weight);
struct fbs_node *__wrap_fbs_add_group(struct fbs *fbs, struct fbs_node *parent, unsigned weight)
{
	return fails() ? NULL
		       : made(__real_fbs_add_group(fbs, parent, weight), parent, weight, false);
}

struct fbs_node *__real_fbs_add_leaf(struct fbs *fbs, struct fbs_node *parent, unsigned weight);
struct fbs_node *__wrap_fbs_add_leaf(struct fbs *fbs, struct fbs_node *parent, unsigned weight);
struct fbs_node *__wrap_fbs_add_leaf(struct fbs *fbs, struct fbs_node *parent, unsigned weight)
{
	return fails() ? NULL
		       : made(__real_fbs_add_leaf(fbs, parent, weight), parent, weight, true);
}

void __real_fbs_set_weight(struct fbs *fbs, struct fbs_node *node, unsigned weight);
void __wrap_fbs_set_weight(struct fbs *fbs, struct fbs_node *node, unsigned weight);
void __wrap_fbs_set_weight(struct fbs *fbs, struct fbs_node *node, unsigned weight)
{
	__real_fbs_set_weight(fbs, node, weight);
	told_of(node)->weight = weight;
}

void __real_fbs_set_class(struct fbs *fbs, struct fbs_node *node, enum fbs_class class);
void __wrap_fbs_set_class(struct fbs *fbs, struct fbs_node *node, enum fbs_class class);
void __wrap_fbs_set_class(struct fbs *fbs, struct fbs_node *node, enum fbs_class class)
{
	__real_fbs_set_class(fbs, node, class);
	told_of(node)->class = class;
}

void __real_fbs_set_min(struct fbs *fbs, struct fbs_node *node, const struct fbs_min *min);
void __wrap_fbs_set_min(struct fbs *fbs, struct fbs_node *node, const struct fbs_min *min);
void __wrap_fbs_set_min(struct fbs *fbs, struct fbs_node *node, const struct fbs_min *min)
{
	__real_fbs_set_min(fbs, node, min);
	told_of(node)->min = *min;
}

int __real_fbs_set_parent(struct fbs *fbs, struct fbs_node *node, struct fbs_node *parent);
int __wrap_fbs_set_parent(struct fbs *fbs, struct fbs_node *node, struct fbs_node *parent);
int __wrap_fbs_set_parent(struct fbs *fbs, struct fbs_node *node, struct fbs_node *parent)
{
	/* never below itself, not even for a moment */
	for (const struct fbs_node *up = parent; up != fbs_root(fbs); up = told_of(up)->parent)
		assert_ptr_not_equal(up, node);
	if (fails() || __real_fbs_set_parent(fbs, node, parent))
		return -ENOMEM;
	told_of(node)->parent = parent;
	return 0;
}

void __real_fbs_drop(struct fbs *fbs, struct fbs_node *node);
void __wrap_fbs_drop(struct fbs *fbs, struct fbs_node *node);
void __wrap_fbs_drop(struct fbs *fbs, struct fbs_node *node)
{
	told_of(node)->dropped = true;
	__real_fbs_drop(fbs, node);
}

static size_t cap_number(const struct fbs_cap *cap)
{
	for (size_t i = n_caps; i-- > 0;)
		if (caps[i].cap == cap)
			return i;
	fail_msg("a cap that nobody made");
	return 0;
}

struct fbs_cap *__real_fbs_cap_create(const struct fbs_max *max);
struct fbs_cap *__wrap_fbs_cap_create(const struct fbs_max *max);
struct fbs_cap *__wrap_fbs_cap_create(const struct fbs_max *max)
{
	struct fbs_cap *cap = fails() ? NULL : __real_fbs_cap_create(max);

	assert_in_range(n_caps, 0, CAPS - 1);
	if (cap) {
		caps[n_caps].cap = cap;
		caps[n_caps++].max = *max;
	}
	return cap;
}

void __real_fbs_cap_configure(struct fbs_cap *cap, const struct fbs_max *max);
void __wrap_fbs_cap_configure(struct fbs_cap *cap, const struct fbs_max *max);
void __wrap_fbs_cap_configure(struct fbs_cap *cap, const struct fbs_max *max)
{
	__real_fbs_cap_configure(cap, max);
	caps[cap_number(cap)].max = *max;
	for (size_t i = 0; i < n_told; i++)
		if (told[i].cap == cap && !told[i].dropped)
			caps[cap_number(cap)].since++;
}

void __real_fbs_set_cap(struct fbs *fbs, struct fbs_node *node, struct fbs_cap *cap);
void __wrap_fbs_set_cap(struct fbs *fbs, struct fbs_node *node, struct fbs_cap *cap);
void __wrap_fbs_set_cap(struct fbs *fbs, struct fbs_node *node, struct fbs_cap *cap)
{
	__real_fbs_set_cap(fbs, node, cap);
	if (cap && told_of(node)->cap == cap && caps[cap_number(cap)].since)
		caps[cap_number(cap)].since--;
	told_of(node)->cap = cap;
}

/* ---- how it looks ---- */

static const char *name_of(const struct mount *mount, const struct disk *disk,
			   const struct fbs_node *node)
{
	for (size_t i = 0; i < mount->n_groups; i++)
		if (disk->groups[i] == node)
			return mount->groups[i].name;
	for (size_t i = 0; i < mount->n_files; i++)
		if (mount->files[i]->leaf == node)
			return mount->files[i]->name;
	for (size_t i = 0; i < mount->n_orphans; i++)
		if (mount->orphans[i]->leaf == node)
			return mount->orphans[i]->name;
	return "(gone)";
}

static bool is_orphan(const struct mount *mount, const struct fbs_node *node)
{
	for (size_t i = 0; i < mount->n_orphans; i++)
		if (mount->orphans[i]->leaf == node)
			return true;
	return false;
}

/* A dropped node without anything below it has gone. */
static bool is_there(const struct told *t)
{
	if (t != told_of(t->node))
		return false; /* its memory is another node now */
	for (size_t i = 0; i < n_told; i++)
		if (told[i].parent == t->node && is_there(&told[i]))
			return true;
	return !t->dropped;
}

static void print_node(const struct mount *mount, const struct disk *disk, const struct told *t,
		       int depth, FILE *out)
{
	static const char *const classes[] = {" realtime", "", " idle"};
	const struct fbs_max *max = t->cap ? &caps[cap_number(t->cap)].max : NULL;

	fprintf(out, "%*s%s %u%s", depth, "", name_of(mount, disk, t->node), t->weight,
		classes[t->class]);
	if (t->min.iops || t->min.bps)
		fprintf(out, " min=%llu,%llu/%llu", (unsigned long long)t->min.iops,
			(unsigned long long)t->min.bps, (unsigned long long)t->min.iops_size_bytes);
	if (max) {
		assert_int_equal(caps[cap_number(t->cap)].since, 0);
		fprintf(out, " cap%zu=", cap_number(t->cap) + 1);
		for (size_t i = 0; i < sizeof(*max) / sizeof(uint64_t); i++)
			fprintf(out, "%s%llu", i ? "," : "",
				(unsigned long long)((const uint64_t *)max)[i]);
	}
	fprintf(out, "%s\n", is_orphan(mount, t->node) ? " removed" : "");
}

static void print_below(const struct mount *mount, const struct disk *disk,
			const struct fbs_node *parent, int depth, FILE *out)
{
	for (size_t i = 0; i < n_told; i++)
		if (told[i].parent == parent && is_there(&told[i])) {
			print_node(mount, disk, &told[i], depth, out);
			print_below(mount, disk, told[i].node, depth + 1, out);
		}
}

static char *look(const struct mount *mount)
{
	static const char *const isolations[] = {"", " strict", " throughput"};
	static const char *const policies[] = {"", " weight", " iosize"};
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	for (size_t i = 0; i < mount->n_disks; i++) {
		const struct disk *disk = mount->disks[i];
		size_t d = 0;

		while (disks[d].fbs != disk->fbs)
			assert_in_range(++d, 0, n_disks - 1);
		fprintf(out, "%s%s%s", disk->name, policies[disks[d].params.policy],
			isolations[disks[d].params.isolation]);
		if (disks[d].params.latency_target_ns)
			fprintf(out, " %lluns",
				(unsigned long long)disks[d].params.latency_target_ns);
		putc('\n', out);
		print_below(mount, disk, fbs_root(disk->fbs), 1, out);
		fbs_check(disk->fbs);
	}
	fclose(out);
	return text;
}

/* Forget nodes that have gone. */
static void tidy(void)
{
	bool there[NODES];
	size_t kept = 0;

	for (size_t i = 0; i < n_told; i++)
		there[i] = is_there(&told[i]);
	for (size_t i = 0; i < n_told; i++)
		if (there[i])
			told[kept++] = told[i];
	n_told = kept;
}

static void looks(const struct mount *mount, const char *wanted)
{
	char *text = look(mount);

	assert_string_equal(text, wanted);
	free(text);
	tidy();
}

/* ---- reloads ---- */

/* What the workers and the main thread do when an orphan is closed. */
static void close_orphans(struct mount *mount)
{
	for (size_t i = 0; i < mount->n_orphans; i++)
		atomic_store(&mount->orphans[i]->kept->opens, 0);
	mount_collect(mount);
	mount_finish(mount);
}

static int setup(void **state)
{
	static const char *const names[] = {"a.img", "b.img", "c.img", "d.img"};

	n_told = n_caps = n_disks = 0;
	countdown = -1;
	if (make_dir(state))
		return -1;
	for (int i = 0; i < 4; i++)
		image(names[i], MIB);
	return 0;
}

#define FILE_A "[a]\npath = @/a.img\ndevice = d\n"
#define FILE_B "[b]\npath = @/b.img\ndevice = d\n"
#define FILE_C "[c]\npath = @/c.img\ndevice = d\n"
#define FILE_D "[d]\npath = @/d.img\ndevice = d\n"

/* ---- the tests ---- */

static void test_everything_arrives(void **state)
{
	struct mount *mount;

	(void)state;
	mount = start("[device:d]\npolicy = weight\nisolation = strict\nlatency_target = 5ms\n"
		      "[group:in]\nparent = out\nweight = 7\nmin_iops = 50\niops_size = 4K\n"
		      "[group:out]\nmax_iops = 100\nmax_bps = 200\nmax_read_iops = 300\n"
		      "max_read_bps = 400\nmax_write_iops = 500\nmax_write_bps = 600\n"
		      "iops_size = 700\nburst = 800us\n" FILE_A
		      "weight = 400\nclass = realtime\nmin_iops = 11\nmin_bps = 22\n" FILE_B
		      "parent = in\nclass = idle\nmax_bps = 1K\nburst = 1s\n" FILE_C);
	looks(mount, "d weight strict 5000000ns\n"
		     " out 100 cap1=100,200,300,400,500,600,700,800000\n"
		     "  in 7 min=50,0/4096\n"
		     "   b 100 idle cap2=0,1024,0,0,0,0,32768,1000000000\n"
		     " a 400 realtime min=11,22/32768\n"
		     " c 100\n");
	mount_free(mount);
	/* a disk without a section has the defaults */
	mount = start("[a]\npath = @/a.img\n");
	assert_int_equal(disks[n_disks - 1].params.policy, FBS_POLICY_COST);
	assert_int_equal(disks[n_disks - 1].params.isolation, FBS_ISOLATION_AUTO);
	assert_int_equal(disks[n_disks - 1].params.latency_target_ns, 0);
	mount_free(mount);
}

static void test_numbers_change_live(void **state)
{
	struct mount *mount;

	(void)state;
	mount = start("[group:g]\nmax_iops = 100\n" FILE_A "max_iops = 5\n" FILE_B
		      "parent = g\nmin_iops = 9\n" FILE_C);
	looks(mount, "d\n g 100 cap1=100,0,0,0,0,0,32768,0\n  b 100 min=9,0/32768\n"
		     " a 100 cap2=5,0,0,0,0,0,32768,0\n c 100\n");
	/* with other numbers they are the same caps */
	apply(mount, "[device:d]\nisolation = throughput\npolicy = weight-iosize\n"
		     "[group:g]\nweight = 50\nmax_bps = 1K\nmin_iops = 20\n" FILE_A
		     "max_write_iops = 6\nburst = 1ms\nclass = idle\n" FILE_B "parent = g\n"
		     "min_iops = 10\nweight = 3\n" FILE_C "class = realtime\n");
	looks(mount, "d iosize throughput\n"
		     " g 50 min=20,0/32768 cap1=0,1024,0,0,0,0,32768,0\n"
		     "  b 3 min=10,0/32768\n a 100 idle cap2=0,0,0,0,6,0,32768,1000000\n"
		     " c 100 realtime\n");
	/* they vanish and appear */
	apply(mount, "[device:d]\nlatency_target = 1ms\n[group:g]\n" FILE_A FILE_B
		     "parent = g\nmax_iops = 8\n" FILE_C);
	looks(mount, "d 1000000ns\n g 100\n  b 100 cap3=8,0,0,0,0,0,32768,0\n a 100\n c 100\n");
	apply(mount, "[group:g]\nmax_iops = 100\n" FILE_A FILE_B "parent = g\n" FILE_C);
	looks(mount, "d\n g 100 cap4=100,0,0,0,0,0,32768,0\n  b 100\n a 100\n c 100\n");
	mount_free(mount);
}

static void test_groups_move_and_go(void **state)
{
	struct mount *mount;

	(void)state;
	mount = start(
		"[group:g]\nmax_iops = 1\n[group:h]\nparent = g\n[group:i]\nparent = h\n" FILE_A
		"parent = i\n" FILE_B "parent = g\n");
	looks(mount, "d\n g 100 cap1=1,0,0,0,0,0,32768,0\n  h 100\n   i 100\n    a 100\n"
		     "  b 100\n");
	/* upside down: the caps stay with their groups */
	apply(mount, "[group:h]\nparent = i\n[group:i]\nmax_iops = 2\n[group:g]\nparent = h\n"
		     "max_iops = 1\n" FILE_B "parent = g\n" FILE_A "parent = i\n");
	looks(mount, "d\n i 100 cap2=2,0,0,0,0,0,32768,0\n  h 100\n   g 100 "
		     "cap1=1,0,0,0,0,0,32768,0\n    b 100\n  a 100\n");
	/* one goes from the middle, one is renamed */
	apply(mount, "[group:g]\nparent = j\nmax_iops = 1\n[group:j]\nmax_iops = 2\n" FILE_A
		     "parent = j\n" FILE_B "parent = g\n");
	looks(mount, "d\n j 100 cap3=2,0,0,0,0,0,32768,0\n  g 100 cap1=1,0,0,0,0,0,32768,0\n"
		     "   b 100\n  a 100\n");
	apply(mount, FILE_A FILE_B);
	looks(mount, "d\n a 100\n b 100\n");
	mount_free(mount);
}

/* What is removed while it is open keeps its own limits; what it is in may change. */
static void test_orphans(void **state)
{
	struct mount *mount;

	(void)state;
	mount = start("[group:g]\nmax_iops = 10\n[group:h]\nparent = g\nmin_iops = 4\n" FILE_A
		      "parent = h\nmax_iops = 3\nmin_iops = 2\nclass = idle\nweight = 9\n" FILE_B
		      "parent = g\n");
	open_file(mount, "a");
	apply(mount, "[group:g]\nmax_iops = 20\n[group:h]\nweight = 5\n" FILE_B "parent = g\n");
	looks(mount, "d\n g 100 cap1=20,0,0,0,0,0,32768,0\n  b 100\n h 5\n"
		     "  a 9 idle min=2,0/32768 cap2=3,0,0,0,0,0,32768,0 removed\n");
	/* a group that goes is left to it as it was last */
	apply(mount, "[group:g]\nmax_iops = 20\n[group:h]\nparent = g\nmax_iops = 7\n" FILE_B
		     "parent = g\n");
	apply(mount, "[group:new]\n" FILE_B "parent = new\n");
	looks(mount, "d\n (gone) 100 cap1=20,0,0,0,0,0,32768,0\n"
		     "  (gone) 100 cap3=7,0,0,0,0,0,32768,0\n"
		     "   a 9 idle min=2,0/32768 cap2=3,0,0,0,0,0,32768,0 removed\n"
		     " new 100\n  b 100\n");
	/* names that come again are others */
	apply(mount, "[group:g]\nmax_iops = 5\n" FILE_B "parent = g\n" FILE_C "max_iops = 3\n");
	looks(mount, "d\n (gone) 100 cap1=20,0,0,0,0,0,32768,0\n"
		     "  (gone) 100 cap3=7,0,0,0,0,0,32768,0\n"
		     "   a 9 idle min=2,0/32768 cap2=3,0,0,0,0,0,32768,0 removed\n"
		     " g 100 cap4=5,0,0,0,0,0,32768,0\n  b 100\n"
		     " c 100 cap5=3,0,0,0,0,0,32768,0\n");
	close_orphans(mount);
	looks(mount, "d\n g 100 cap4=5,0,0,0,0,0,32768,0\n  b 100\n"
		     " c 100 cap5=3,0,0,0,0,0,32768,0\n");
	mount_free(mount);
}

/* A group's cap is one for all disks, its promise one on each. */
static void test_several_disks(void **state)
{
#define RAM "[ram]\npath = @/ram/ram.img\nbuffered = yes\ndevice = ram\n"
	struct mount *m;

	(void)state;
	NEED_ROOT();
	assert_int_equal(mkdir(in_dir("ram"), 0700), 0);
	assert_int_equal(mount("none", in_dir("ram"), "tmpfs", 0, NULL), 0);
	image("ram/ram.img", MIB);
	image("ram/ram2.img", MIB);
	m = start("[group:g]\nmax_iops = 10\nmin_iops = 5\n" FILE_A "parent = g\n" RAM
		  "parent = g\n");
	looks(m, "d\n g 100 min=5,0/32768 cap1=10,0,0,0,0,0,32768,0\n  a 100\n"
		 "ram\n g 100 min=5,0/32768 cap1=10,0,0,0,0,0,32768,0\n  ram 100\n");
	/* an orphan on a disk that the configuration does not use any more is still in it */
	open_file(m, "ram");
	apply(m, "[group:g]\nmax_iops = 20\n" FILE_A "parent = g\n");
	looks(m, "d\n g 100 cap1=20,0,0,0,0,0,32768,0\n  a 100\n"
		 "ram\n g 100 cap1=20,0,0,0,0,0,32768,0\n  ram 100 removed\n");
	/* and its disk is used again */
	apply(m, "[group:g]\nmax_iops = 30\nparent = h\n[group:h]\nweight = 9\n" FILE_A
		 "parent = g\n[ram2]\npath = @/ram/ram2.img\nbuffered = yes\n"
		 "device = ram\nparent = h\n");
	looks(m, "d\n h 9\n  g 100 cap1=30,0,0,0,0,0,32768,0\n   a 100\n"
		 "ram\n h 9\n  g 100 cap1=30,0,0,0,0,0,32768,0\n   ram 100 removed\n"
		 "  ram2 100\n");
	close_orphans(m);
	apply(m, "[group:g]\n" FILE_A "parent = g\n");
	looks(m, "d\n g 100\n  a 100\n");
	mount_free(m);
	assert_int_equal(umount(in_dir("ram")), 0);
}

/* ---- claims ---- */

/* Made for writing by a plan: it stays so only if that is taken over. */
static void test_claims(void **state)
{
	static const char reader[] = "[r]\npath = @/a.img\nsize = 512K\nreadonly = yes\n";
	static const char both[] = "[r]\npath = @/a.img\nsize = 256K\nreadonly = yes\n"
				   "[w]\npath = @/a.img\noffset = 512K\n";
	struct mount *mount = start(reader);
	struct conf_errors errors = {0};

	(void)state;
	struct plan *plan = next_plan(mount, both);
	assert_false(mount_by_name(mount, "r")->claim->readonly);
	open_file(mount, "r"); /* meanwhile */
	assert_int_equal(mount_apply(mount, plan, &errors), -EBUSY);
	plan_free(plan);
	conf_errors_free(&errors);
	assert_true(mount_by_name(mount, "r")->claim->readonly);
	atomic_store(&mount_by_name(mount, "r")->kept->opens, 0);
	apply(mount, both);
	assert_false(mount_by_name(mount, "r")->claim->readonly);
	mount_free(mount);
}

/* ---- what outlives the process ---- */

static unsigned kept_places(const struct keep *keep)
{
	unsigned n = 0;

	for (unsigned i = 0; i < KEEP_FILES; i++)
		n += keep->files[i].id != 0;
	return n;
}

/*
 * A file has its place as long as it is there; what a plan that fails would have needed has none.
 */
static void test_kept_files(void **state)
{
	struct mount *mount = mount_new();
	struct conf_errors errors = {0};
	struct keep *keep;
	int fd;

	(void)state;
	assert_int_equal(keep_create(&fd, &keep), 0);
	mount->keep = keep;
	apply(mount, FILE_A FILE_B);
	assert_int_equal(mount_by_name(mount, "a")->id, MOUNT_FIRST_ID);
	assert_ptr_equal(mount_by_name(mount, "a")->kept, keep_file(keep, MOUNT_FIRST_ID));
	assert_int_equal(kept_places(keep), 2);
	struct plan *plan = next_plan(mount, FILE_B FILE_C FILE_D);
	countdown = 20;
	assert_int_equal(mount_apply(mount, plan, &errors), -ENOMEM);
	assert_int_equal(countdown, -1);
	conf_errors_free(&errors);
	plan_free(plan);
	assert_int_equal(kept_places(keep), 2);
	/* a reload keeps it, an orphan has it until it is closed */
	open_file(mount, "b");
	apply(mount, FILE_A "weight = 5\n");
	assert_int_equal(kept_places(keep), 2);
	assert_int_equal(keep_file(keep, MOUNT_FIRST_ID + 1)->opens, 1);
	close_orphans(mount);
	assert_int_equal(kept_places(keep), 1);
	apply(mount, FILE_B);
	assert_int_equal(kept_places(keep), 1);
	assert_int_equal(mount_by_name(mount, "b")->id, MOUNT_FIRST_ID + 2);
	assert_int_equal(mount_by_name(mount, "b")->kept->opens, 0);
	/* the end of this process is not that of what was counted */
	mount_free(mount);
	assert_int_equal(kept_places(keep), 1);
	munmap(keep, sizeof(*keep));
	close(fd);
}

/* No place is left: then a successor finds nothing, but this process counts. */
static void test_kept_full(void **state)
{
	struct mount *mount = mount_new();
	struct keep *keep;
	int fd;

	(void)state;
	assert_int_equal(keep_create(&fd, &keep), 0);
	for (unsigned i = 0; i < KEEP_FILES; i++)
		keep->files[i].id = 1000000 + i;
	mount->keep = keep;
	apply(mount, FILE_A FILE_B);
	open_file(mount, "b");
	struct file *b = mount_by_name(mount, "b");
	assert_ptr_equal(b->kept, &b->own);
	apply(mount, FILE_A);
	assert_int_equal(mount->n_orphans, 1);
	close_orphans(mount);
	assert_int_equal(mount->n_orphans, 0);
	assert_int_equal(kept_places(keep), KEEP_FILES);
	mount_free(mount);
	munmap(keep, sizeof(*keep));
	close(fd);
}

static unsigned kept_groups(const struct keep *keep)
{
	unsigned n = 0;

	for (unsigned i = 0; i < KEEP_GROUPS; i++)
		n += keep->groups[i].id != 0;
	return n;
}

static struct group_counters *counters_of(const struct mount *mount, const char *name)
{
	for (size_t i = 0; i < mount->n_groups; i++)
		if (!strcmp(mount->groups[i].name, name))
			return mount->groups[i].counters;
	fail_msg("no group %s", name);
	return NULL;
}

/* Counters of groups go with their names: through reloads, and to who takes over. */
static void test_kept_groups(void **state)
{
	static const char text[] =
		"[group:g]\n[group:h]\n" FILE_A "parent = g\n" FILE_B "parent = h\n";
	struct mount *mount = mount_new(), *next = mount_new();
	struct conf_errors errors = {0};
	struct keep *keep;
	int fd;

	(void)state;
	assert_int_equal(keep_create(&fd, &keep), 0);
	mount->keep = keep;
	apply(mount, text);
	assert_int_equal(kept_groups(keep), 2);
	counters_of(mount, "g")->reservation_missed = 3;
	counters_of(mount, "g")->reservation_alarm.raised = true;
	counters_of(mount, "h")->weight_missed = 5;
	apply(mount, "[group:new]\n" FILE_B "parent = new\n[group:h]\n" FILE_A "parent = h\n");
	assert_int_equal(kept_groups(keep), 2);
	assert_int_equal(counters_of(mount, "h")->weight_missed, 5);
	assert_int_equal(counters_of(mount, "new")->weight_missed, 0);
	counters_of(mount, "new")->reservation_missed = 7;
	mount_free(mount);
	/* a standby changes nothing before it serves, and then what the dead one's last reload had */
	struct plan *plan = planned(START, text);
	next->keep = keep;
	next->standby = true;
	assert_int_equal(mount_apply(next, plan, &errors), 0);
	plan_free(plan);
	counters_of(next, "g")->reservation_missed = 1;
	assert_int_equal(kept_groups(keep), 2);
	keep_group_find(keep, "h")->counters.weight_missed = 6;
	mount_take_over(next);
	assert_int_equal(counters_of(next, "h")->weight_missed, 6);
	assert_int_equal(counters_of(next, "g")->reservation_missed, 1);
	assert_int_equal(kept_groups(keep), 2);
	assert_null(keep_group_find(keep, "new"));
	assert_ptr_equal(&keep_group_find(keep, "g")->counters, counters_of(next, "g"));
	mount_free(next);
	munmap(keep, sizeof(*keep));
	close(fd);
}

/* Too many groups: those without a place count, too. */
static void test_kept_groups_full(void **state)
{
	struct mount *mount = mount_new();
	struct keep *keep;
	char *text = malloc((KEEP_GROUPS + 1) * 32 + sizeof(FILE_A)), *at = text;
	int fd;

	(void)state;
	assert_int_equal(keep_create(&fd, &keep), 0);
	mount->keep = keep;
	assert_non_null(text);
	for (unsigned i = 0; i <= KEEP_GROUPS; i++)
		at += sprintf(at, "[group:g%u]\n", i);
	strcpy(at, FILE_A);
	apply(mount, text);
	free(text);
	assert_int_equal(kept_groups(keep), KEEP_GROUPS);
	assert_ptr_equal(mount->groups[KEEP_GROUPS].counters, &mount->groups[KEEP_GROUPS].own);
	counters_of(mount, "g1024")->weight_missed = 2;
	/* it gets one when there is one, with what it has counted */
	apply(mount, "[group:g1024]\n" FILE_A);
	assert_int_equal(kept_groups(keep), 1);
	assert_int_equal(keep_group_find(keep, "g1024")->counters.weight_missed, 2);
	mount_free(mount);
	munmap(keep, sizeof(*keep));
	close(fd);
}

/* What a process that died had given to its files, and those it had removed. */
static void test_recovered_ids(void **state)
{
	static const char text[] = FILE_A FILE_B FILE_C;
	struct plan *old = planned(START, text);
	struct plan_running list[] = {died(old, 0, 40), died(old, 1, 17), died(old, 2, 0)};
	struct mount *mount = mount_new();
	struct conf_errors errors = {0};

	(void)state;
	list[1].removed = true;
	list[0].served_bytes = MIB / 2;
	struct plan *plan = planned(RECOVER(list), text);
	mount->standby = true;
	mount->next_id = 50;
	assert_int_equal(mount_apply(mount, plan, &errors), 0);
	plan_free(plan);
	plan_free(old);
	assert_int_equal(mount->n_files, 2);
	assert_string_equal(mount_by_id(mount, 40)->name, "a");
	assert_int_equal(mount_by_id(mount, 40)->size_bytes, MIB / 2);
	assert_int_equal(mount_by_id(mount, 40)->present_bytes, MIB);
	assert_string_equal(mount_by_id(mount, 50)->name, "c"); /* which had none: the next */
	assert_int_equal(mount->next_id, 51);
	/* nobody has it open, which is for who serves to say */
	assert_int_equal(mount->n_orphans, 1);
	assert_ptr_equal(mount_by_id(mount, 17), mount->orphans[0]);
	assert_null(mount_by_name(mount, "b"));
	looks(mount, "d\n a 100\n b 100 removed\n c 100\n");
	mount->standby = false;
	mount_collect(mount);
	mount_finish(mount);
	assert_null(mount_by_id(mount, 17));
	looks(mount, "d\n a 100\n c 100\n");
	/* reloads go on from there */
	apply(mount, FILE_B FILE_A);
	assert_int_equal(mount_by_name(mount, "a")->id, 40);
	assert_int_equal(mount_by_name(mount, "a")->size_bytes, MIB);
	assert_int_equal(mount_by_name(mount, "b")->id, 51);
	mount_free(mount);
}

/* Whatever allocation fails, nothing has changed; when none does, all has. */
static void test_no_memory(void **state)
{
	static const char before[] =
		"[device:d]\nisolation = strict\n[group:g]\nmax_iops = 10\n[group:h]\nparent = g\n"
		"[group:gone]\nmax_bps = 1K\n" FILE_A "parent = h\nmax_iops = 3\n" FILE_B
		"parent = gone\nclass = idle\n" FILE_C "parent = g\n";
	static const char after[] =
		"[group:h]\nmax_iops = 20\n[group:g]\nparent = h\nmax_iops = 11\nweight = 5\n"
		"[group:new]\nparent = h\nmax_iops = 1\nmin_iops = 1\n" FILE_A
		"parent = g\nmin_iops = 1\n" FILE_B "parent = new\nmax_iops = 4\n" FILE_D
		"parent = new\nmax_bps = 5\n[e]\npath = @/e.img\nparent = g\n";
	struct mount *mount = start(before);
	char *was = look(mount), wanted[1024];
	long failed = 0;
	int r;

	(void)state;
	image("e.img", MIB);
	open_file(mount, "c");
	do {
		struct plan *plan = next_plan(mount, after);
		struct conf_errors errors = {0};

		countdown = failed;
		r = mount_apply(mount, plan, &errors);
		if (r)
			assert_int_equal(countdown, -1);
		countdown = -1;
		if (r) {
			assert_int_equal(r, -ENOMEM);
			assert_int_equal(errors.n, 1);
			assert_string_equal(errors.list[0].text, "out of memory");
			looks(mount, was);
			assert_int_equal(mount->generation, 1);
			assert_string_equal(mount_by_name(mount, "a")->device, "d");
			assert_null(mount_by_name(mount, "d"));
			failed++;
		}
		conf_errors_free(&errors);
		plan_free(plan);
		mount_finish(mount);
	} while (r);
	print_message("%ld allocations failed, one after the other\n", failed);
	assert_in_range(failed, 40, 200);
	free(was);
	/* the last try has made four caps: of h and new, of b and d; g has its first one still */
	snprintf(wanted, sizeof(wanted),
		 "d\n h 100 cap%zu=20,0,0,0,0,0,32768,0\n"
		 "  g 5 cap1=11,0,0,0,0,0,32768,0\n   a 100 min=1,0/32768\n   c 100 removed\n"
		 "   e 100\n  new 100 min=1,0/32768 cap%zu=1,0,0,0,0,0,32768,0\n"
		 "   b 100 cap%zu=4,0,0,0,0,0,32768,0\n   d 100 cap%zu=0,5,0,0,0,0,32768,0\n",
		 n_caps - 3, n_caps - 2, n_caps - 1, n_caps);
	looks(mount, wanted);
	mount_free(mount);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, remove_dir)
	const struct CMUnitTest tests[] = {
		TEST(test_everything_arrives), TEST(test_numbers_change_live),
		TEST(test_groups_move_and_go), TEST(test_orphans),
		TEST(test_several_disks),      TEST(test_kept_files),
		TEST(test_kept_full),	       TEST(test_recovered_ids),
		TEST(test_kept_groups),	       TEST(test_recovered_ids),
		TEST(test_kept_groups_full),   TEST(test_recovered_ids),
		TEST(test_no_memory),	       TEST(test_claims),
	};

	/* mounts of a test that fails must not outlive it */
	if (geteuid() == 0 &&
	    (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0))
		perror("no private mount namespace");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
