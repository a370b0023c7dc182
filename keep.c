/* SPDX-License-Identifier: MIT */
/* keep.c - see keep.h. */
#include "keep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CRASHES_MOST 2U /* that one request may cause */

static int map(int fd, struct keep **ret_keep)
{
	void *memory = mmap(NULL, sizeof(**ret_keep), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		return -errno;
	*ret_keep = memory;
	return 0;
}

int keep_create(int *ret_fd, struct keep **ret_keep)
{
	int fd = memfd_create("fuseband-keep", MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = ftruncate(fd, sizeof(**ret_keep)) ? -errno : map(fd, ret_keep);
	if (r) {
		close(fd);
		return r;
	}
	(*ret_keep)->magic = KEEP_MAGIC;
	(*ret_keep)->version = KEEP_VERSION;
	*ret_fd = fd;
	return 0;
}

int keep_open(int fd, struct keep **ret_keep)
{
	struct keep *keep = NULL;
	struct stat st;
	int r;

	if (fstat(fd, &st))
		return -errno;
	if (st.st_size != (off_t)sizeof(*keep))
		return -EPROTO;
	r = map(fd, &keep);
	if (r)
		return r;
	if (keep->magic != KEEP_MAGIC || keep->version != KEEP_VERSION) {
		munmap(keep, sizeof(*keep));
		return -EPROTO;
	}
	*ret_keep = keep;
	return 0;
}

int keep_turn_prepare(const struct keep *keep, int keep_fd, struct keep_turn *ret_turn)
{
	struct keep_turn turn = {.after = atomic_load(&keep->turns)};
	char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", keep_fd);
	turn.fd = open(path, O_RDWR | O_CLOEXEC); /* a lock is of what was opened */
	if (turn.fd < 0)
		return -errno;
	*ret_turn = turn;
	return 0;
}

int keep_turn_take(struct keep *keep, const struct keep_turn *turn, bool wait)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
	int r;

	do
		r = fcntl(turn->fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &lock);
	while (r && errno == EINTR);
	if (r)
		return errno == EACCES ? -EAGAIN : -errno;
	if (atomic_load(&keep->turns) != turn->after || atomic_load(&keep->ended)) {
		lock.l_type = F_UNLCK;
		fcntl(turn->fd, F_OFD_SETLK, &lock);
		return -ESTALE;
	}
	atomic_fetch_add(&keep->turns, 1);
	return 0;
}

struct kept_worker *keep_worker(struct keep *keep, unsigned index)
{
	return &keep->workers[index < KEEP_WORKERS ? index : KEEP_WORKERS - 1];
}

/* The nth place to look at: ids are given in order, so it is nearly always the first. */
static struct kept_file *place(struct keep *keep, uint64_t id, size_t n)
{
	return &keep->files[(id + n) % KEEP_FILES];
}

struct kept_file *keep_file_find(struct keep *keep, uint64_t id)
{
	/* all of them: places before its own may have been given up since */
	for (size_t n = 0; n < KEEP_FILES; n++)
		if (place(keep, id, n)->id == id)
			return place(keep, id, n);
	return NULL;
}

struct kept_file *keep_file_add(struct keep *keep, uint64_t id)
{
	for (size_t n = 0; n < KEEP_FILES; n++)
		if (!place(keep, id, n)->id) {
			*place(keep, id, n) = (struct kept_file){.id = id};
			return place(keep, id, n);
		}
	return NULL;
}

void keep_file_free(struct kept_file *file)
{
	*file = (struct kept_file){0};
}

/* FNV-1a: of some thousand names, two that are the same are out of the question. */
uint64_t keep_name_id(const char *name)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	return hash ? hash : 1U;
}

struct kept_disk *keep_disk(struct keep *keep, const char *name)
{
	uint64_t id = keep_name_id(name);
	struct kept_disk *free_place = NULL;

	for (size_t i = 0; i < KEEP_DISKS; i++) {
		if (keep->disks[i].id == id)
			return &keep->disks[i];
		if (!keep->disks[i].id && !free_place)
			free_place = &keep->disks[i];
	}
	if (free_place)
		*free_place = (struct kept_disk){.id = id};
	return free_place;
}

static struct kept_group *group_of_id(struct keep *keep, uint64_t id)
{
	for (size_t i = 0; i < KEEP_GROUPS; i++)
		if (keep->groups[i].id == id)
			return &keep->groups[i];
	return NULL;
}

struct kept_group *keep_group_find(struct keep *keep, const char *name)
{
	return group_of_id(keep, keep_name_id(name));
}

struct kept_group *keep_group_add(struct keep *keep, const char *name)
{
	struct kept_group *place = group_of_id(keep, 0);

	if (place)
		*place = (struct kept_group){.id = keep_name_id(name)};
	return place;
}

void keep_disk_free(struct kept_disk *disk)
{
	*disk = (struct kept_disk){0};
}

bool keep_was_counted(const struct keep *keep, uint64_t unique)
{
	if (!(unique & KEEP_RESENT))
		return false;
	for (size_t i = 0; i < KEEP_COUNTED; i++)
		if (keep->counted[i] == (unique & ~KEEP_RESENT))
			return true;
	return false;
}

bool keep_is_poison(const struct keep *keep, uint64_t unique)
{
	if (!(unique & KEEP_RESENT))
		return false;
	for (size_t i = 0; i < KEEP_SUSPECTS; i++)
		if (keep->suspects[i].unique == (unique & ~KEEP_RESENT))
			return keep->suspects[i].crashes >= CRASHES_MOST;
	return false;
}

static void suspect(struct keep *keep, uint64_t unique)
{
	for (size_t i = 0; i < KEEP_SUSPECTS; i++)
		if (keep->suspects[i].unique == unique) {
			keep->suspects[i].crashes++;
			return;
		}
	keep->suspects[keep->next_suspect++ % KEEP_SUSPECTS] =
		(struct keep_suspect){.unique = unique, .crashes = 1};
}

void keep_refuse_upgrade(struct kept_mount *kept, const char *why)
{
	snprintf(kept->upgrade_error, sizeof(kept->upgrade_error), "%s", why);
	atomic_fetch_add(&kept->upgrades_refused, 1);
}

void keep_bury(struct keep *keep, bool crashed)
{
	uint64_t touched = atomic_exchange(&keep->crashed, 0) & ~KEEP_RESENT;

	if (crashed && touched)
		suspect(keep, touched);
	for (unsigned i = 0; i < KEEP_WORKERS; i++) {
		uint64_t counted = atomic_exchange(&keep->workers[i].counted, 0);

		if (counted)
			keep->counted[keep->next_counted++ % KEEP_COUNTED] = counted;
		atomic_store(&keep->workers[i].touched, 0);
	}
}
