/* SPDX-License-Identifier: MIT */
/*
 * front.c - see front.h. The namespace: one directory, one regular file for each section, and
 * the directory of status_files.h.
 *
 * The kernel decides above us whether weights can work at all. What is asked of it, and why:
 *   FOPEN_DIRECT_IO                 every read and write comes to us as it is
 *   FOPEN_PARALLEL_DIRECT_WRITES    writes of one file do not wait for each other in the kernel
 *   FUSE_CAP_ASYNC_DIO              nor do those of one asynchronous client
 *   max_background                  the kernel's own queue is FIFO over all files: keep it empty,
 *                                   and shorter than our memory is large (gate.h)
 *   timeouts of 0                   sizes, modes and names are what the last reload says
 * Not asked for: write-back cache, locks (local ones work), poll, mmap on direct I/O.
 */
#include "front.h"
#include "conf.h"
#include "log.h"
#include "mountinfo.h"
#include "request.h"
#include "steward.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <linux/fs.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Older headers do not have them yet. */
#ifndef FOPEN_NOFLUSH
#define FOPEN_NOFLUSH (1 << 5)
#endif
#ifndef FOPEN_PARALLEL_DIRECT_WRITES
#define FOPEN_PARALLEL_DIRECT_WRITES (1 << 6)
#endif

#ifndef FUSE_INIT_EXT
#define FUSE_INIT_EXT (1 << 30)
#endif
#ifndef FUSE_HAS_RESEND
#define FUSE_HAS_RESEND (UINT64_C(1) << 39)
#define FUSE_NOTIFY_RESEND 7
#endif

/*
 * The kernel cuts what is larger than a request where a page of the caller's memory ends: where
 * that is not the end of a block, we could only answer EINVAL.
 */
#define MEMORY_ALIGN 4096U

/* <xfs/xfs_fs.h>: how QEMU asks for the alignment of direct I/O before it tries. */
struct xfs_dioattr {
	uint32_t d_mem, d_miniosz, d_maxiosz;
};
#define XFS_IOC_DIOINFO _IOR('X', 30, struct xfs_dioattr)

/* Whose request libfuse is at: it tells its number to nobody. */
static _Thread_local struct front_session *current;

static struct front *front_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static struct file *file_of(fuse_req_t req, fuse_ino_t ino)
{
	return mount_by_id(front_of(req)->mount, ino);
}

static void fill_attr(const struct mount *mount, fuse_ino_t ino, const struct file *file,
		      struct stat *ret_stat)
{
	*ret_stat = (struct stat){
		.st_ino = ino,
		.st_atim = mount->since,
		.st_mtim = mount->since,
		.st_ctim = mount->since,
		.st_blksize = 4096,
	};
	if (status_files_own(ino)) {
		status_files_attr(mount, ino, ret_stat);
		return;
	}
	if (!file) {
		ret_stat->st_mode = S_IFDIR | 0755;
		ret_stat->st_nlink = 3;
		return;
	}
	ret_stat->st_mode = S_IFREG | file->mode;
	ret_stat->st_nlink = file->removed ? 0 : 1;
	ret_stat->st_uid = file->uid;
	ret_stat->st_gid = file->gid;
	ret_stat->st_size = (off_t)file->size_bytes;
	ret_stat->st_blocks = (blkcnt_t)((file->size_bytes + 511) / 512);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct front *front = userdata;
	const unsigned refused = FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_ATOMIC_O_TRUNC |
				 FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
				 FUSE_CAP_SPLICE_MOVE | FUSE_CAP_POSIX_LOCKS |
				 FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_AUTO_INVAL_DATA;

	conn->want &= ~refused;
	conn->want |= conn->capable &
		      (FUSE_CAP_ASYNC_DIO | FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS);
	if (conn->max_write > (unsigned)REQUEST_PAYLOAD_MAX)
		conn->max_write = (unsigned)REQUEST_PAYLOAD_MAX;
	conn->max_background = front->max_background;
	conn->congestion_threshold = front->max_background;
	front->max_write = conn->max_write;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	const struct mount *mount = front_of(req)->mount;
	const struct file *file = parent == MOUNT_ROOT_ID ? mount_by_name(mount, name) : NULL;
	struct fuse_entry_param entry = {0};

	entry.ino = file ? file->id : status_files_find(parent, name);
	if (!entry.ino) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	fill_attr(mount, entry.ino, file, &entry.attr);
	fuse_reply_entry(req, &entry);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct file *file = file_of(req, ino);
	struct stat attr;

	(void)fi;
	if (!file && ino != MOUNT_ROOT_ID && !status_files_own(ino)) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	fill_attr(front_of(req)->mount, ino, file, &attr);
	fuse_reply_attr(req, &attr, 0);
}

/*
 * Owner, mode and times are the configuration's: who sets them gets his way without effect, as
 * tools that prepare a disk for a guest do. The size is the backing's.
 */
static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *want, int which,
		       struct fuse_file_info *fi)
{
	const struct file *file = file_of(req, ino);
	struct stat attr;

	(void)fi;
	if (!file) {
		fuse_reply_err(req, ino < MOUNT_FIRST_ID ? EPERM : ESTALE);
		return;
	}
	if ((which & FUSE_SET_ATTR_SIZE) && (uint64_t)want->st_size != file->size_bytes) {
		fuse_reply_err(req, EPERM);
		return;
	}
	fill_attr(front_of(req)->mount, ino, file, &attr);
	fuse_reply_attr(req, &attr, 0);
}

/* By a process that died before it could answer (keep.h). */
static bool was_counted(const struct front *front)
{
	return front->mount->keep && keep_was_counted(front->mount->keep, current->unique);
}

static void note_counted(void)
{
	atomic_store(&current->mark->counted, current->unique & ~KEEP_RESENT);
}

/* libfuse 3.14.0 has no field for parallel writes, and later ones moved it: the raw reply. */
static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct file *file = file_of(req, ino);
	struct fuse_open_out out = {
		.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES | FOPEN_NOFLUSH,
	};

	if (status_files_own(ino)) {
		status_files_open(front_of(req)->status, req, current->unique, ino, fi->flags);
		return;
	}
	if (!file || file->removed) { /* by a reload since the lookup: the kernel looks again */
		fuse_reply_err(req, ESTALE);
		return;
	}
	if (!file->backing) {
		fuse_reply_err(req, ENXIO);
		return;
	}
	if (file->readonly && (fi->flags & O_ACCMODE) != O_RDONLY) {
		fuse_reply_err(req, EROFS);
		return;
	}
	if (!was_counted(front_of(req))) {
		atomic_fetch_add(&file->kept->opens, 1);
		note_counted();
		log_debug("%s: opened by process %d", file->name, (int)fuse_req_ctx(req)->pid);
	}
	if (fuse_reply_buf(req, (const char *)&out, sizeof(out)) == -ENOENT)
		/* the open was interrupted: no release will come */
		atomic_fetch_sub(&file->kept->opens, 1);
}

/* True: nobody has it open any more. One release too many must not make it open for good. */
static bool close_once(struct file *file)
{
	unsigned opens = atomic_load(&file->kept->opens);

	while (opens && !atomic_compare_exchange_weak(&file->kept->opens, &opens, opens - 1))
		;
	return opens == 1;
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct front *front = front_of(req);
	struct file *file = file_of(req, ino);

	if (status_files_own(ino)) {
		status_files_release(front->status, req, fi->fh);
		return;
	}
	if (file && !was_counted(front)) {
		note_counted();
		log_debug("%s: closed", file->name);
		if (close_once(file) && file->removed)
			atomic_store(&front->mount->garbage, true);
	}
	fuse_reply_err(req, 0);
}

struct listing {
	char *data;
	size_t size, used;
	bool full; /* what comes later must not go in before what did not fit */
};

static void list(fuse_req_t req, struct listing *to, const char *name, uint64_t id, mode_t mode,
		 uint64_t offset)
{
	struct stat attr = {.st_ino = id, .st_mode = mode};
	size_t left = to->size - to->used, need;

	if (to->full)
		return;
	need = fuse_add_direntry(req, to->data + to->used, left, name, &attr, (off_t)offset);
	to->full = need > left;
	if (!to->full)
		to->used += need;
}

/* Those of data files do not come this way (request.h). */
static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	if (status_files_own(ino))
		status_files_read(front_of(req)->status, req, current->unique, ino, size, offset,
				  fi->fh);
	else
		fuse_reply_err(req, EISDIR);
}

/* Offsets are node ids, which stay valid whatever a reload adds or removes. */
static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		       struct fuse_file_info *fi)
{
	const struct mount *mount = front_of(req)->mount;
	uint64_t after = (uint64_t)offset;
	struct listing to = {.size = size < REQUEST_PAYLOAD_MAX ? size : REQUEST_PAYLOAD_MAX};

	(void)fi;
	if (ino != MOUNT_ROOT_ID && ino != STATUS_FILES_DIR_ID) {
		fuse_reply_err(req, ENOTDIR);
		return;
	}
	to.data = malloc(to.size + 1);
	if (!to.data) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	if (ino == STATUS_FILES_DIR_ID) {
		fuse_reply_buf(req, to.data, status_files_list(req, offset, to.data, to.size));
		free(to.data);
		return;
	}
	if (after < 1)
		list(req, &to, ".", MOUNT_ROOT_ID, S_IFDIR, 1);
	if (after < 2)
		list(req, &to, "..", MOUNT_ROOT_ID, S_IFDIR, 2);
	if (after < 3)
		list(req, &to, STATUS_FILES_DIR, STATUS_FILES_DIR_ID, S_IFDIR, 3);
	for (size_t i = 0; i < mount->n_files; i++)
		if (mount->files[i]->id > after)
			list(req, &to, mount->files[i]->name, mount->files[i]->id, S_IFREG,
			     mount->files[i]->id);
	fuse_reply_buf(req, to.data, to.used);
	free(to.data);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	const struct mount *mount = front_of(req)->mount;
	struct statvfs st = {.f_bsize = 4096, .f_frsize = 4096, .f_namemax = 49};

	(void)ino;
	for (size_t i = 0; i < mount->n_files; i++)
		st.f_blocks += mount->files[i]->size_bytes / 4096;
	st.f_files = mount->n_files;
	fuse_reply_statfs(req, &st);
}

/* Restricted ioctls: only those whose number says how much they return. */
static void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd, void *arg,
		     struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_size,
		     size_t out_size)
{
	const struct file *file = file_of(req, ino);

	(void)arg, (void)fi, (void)in, (void)in_size;
	if (!file || !file->backing || (flags & FUSE_IOCTL_DIR)) {
		fuse_reply_err(req, ENOTTY);
	} else if (cmd == XFS_IOC_DIOINFO && out_size >= sizeof(struct xfs_dioattr)) {
		struct xfs_dioattr dio = {
			.d_mem = MEMORY_ALIGN > file->backing->memory_align
					 ? MEMORY_ALIGN
					 : file->backing->memory_align,
			.d_miniosz = file->backing->block_bytes,
			.d_maxiosz = INT32_MAX & ~(file->backing->block_bytes - 1U),
		};

		fuse_reply_ioctl(req, 0, &dio, sizeof(dio));
	} else if (cmd == BLKGETSIZE64 && out_size >= sizeof(uint64_t)) {
		fuse_reply_ioctl(req, 0, &file->size_bytes, sizeof(file->size_bytes));
	} else {
		fuse_reply_err(req, ENOTTY);
	}
}

/* Nothing in the mount can be created, renamed or removed. */
static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	(void)parent, (void)name, (void)mode, (void)rdev;
	fuse_reply_err(req, EPERM);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	(void)parent, (void)name, (void)mode;
	fuse_reply_err(req, EPERM);
}

static void op_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)parent, (void)name;
	fuse_reply_err(req, EPERM);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	(void)target, (void)parent, (void)name;
	fuse_reply_err(req, EPERM);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		      const char *new_name, unsigned int flags)
{
	(void)parent, (void)name, (void)new_parent, (void)new_name, (void)flags;
	fuse_reply_err(req, EPERM);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name)
{
	(void)ino, (void)new_parent, (void)new_name;
	fuse_reply_err(req, EPERM);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *fi)
{
	(void)parent, (void)name, (void)mode, (void)fi;
	fuse_reply_err(req, EPERM);
}

static const struct fuse_lowlevel_ops operations = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.open = op_open,
	.release = op_release,
	.read = op_read,
	.readdir = op_readdir,
	.statfs = op_statfs,
	.ioctl = op_ioctl,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_remove,
	.rmdir = op_remove,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.create = op_create,
};

/* ---- mount and sessions ---- */

static struct fuse_session *session_new(struct front *front, const char *options)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *session = NULL;

	if (!fuse_opt_add_arg(&args, "fuseband") &&
	    (!front->debug || !fuse_opt_add_arg(&args, "-d")) &&
	    (!options || (!fuse_opt_add_arg(&args, "-o") && !fuse_opt_add_arg(&args, options))))
		session = fuse_session_new(&args, &operations, sizeof(operations), front);
	fuse_opt_free_args(&args);
	return session;
}

/* Of the INIT request: what the kernel offers. */
static void look_at_init(struct front *front)
{
	struct {
		struct fuse_in_header header;
		struct fuse_init_in init;
	} in = {0};
	uint64_t flags;

	memcpy(&in, front->init, front->init_bytes < sizeof(in) ? front->init_bytes : sizeof(in));
	flags = in.init.flags;
	if (flags & FUSE_INIT_EXT)
		flags |= (uint64_t)in.init.flags2 << 32;
	front->can_resend = flags & FUSE_HAS_RESEND;
}

/* The answer to INIT goes out through the first session; the others' is refused, which is fine. */
static void process_init(struct front *front, struct fuse_session *session)
{
	struct fuse_buf buf = {.mem = front->init, .size = front->init_bytes};

	fuse_session_process_buf(session, &buf);
}

/* The FUSE file system that is mounted there, on top; 0: none. unknown where that cannot be found
 * out. */
static dev_t mounted_dev(const char *mountpoint, dev_t unknown)
{
	struct mountinfo mounts;
	const struct mountinfo_line *line;
	dev_t dev = 0;

	if (mountinfo_read(&mounts))
		return unknown;
	line = mountinfo_find(&mounts, mountpoint);
	if (line && mountinfo_is_fuse(line))
		dev = line->dev;
	mountinfo_free(&mounts);
	return dev;
}

int front_mount(struct mount *mount, const char *mountpoint, const char *options, bool debug,
		unsigned max_background, struct front **ret_front)
{
	struct front *front = calloc(1, sizeof(*front));
	char all[2048];
	ssize_t n;
	int len, r = -EINVAL;

	if (!front)
		return -ENOMEM;
	front->mount = mount;
	front->debug = debug;
	front->steward = -1;
	front->max_background = max_background;
	front->mountpoint = strdup(mountpoint);
	len = snprintf(all, sizeof(all),
		       "fsname=fuseband,subtype=fuseband,default_permissions%s%s%s",
		       geteuid() ? "" : ",allow_other", options ? "," : "", options ? options : "");
	if (!front->mountpoint || len >= (int)sizeof(all)) {
		r = front->mountpoint ? -E2BIG : -ENOMEM; /* libfuse has not said why */
		goto fail;
	}
	front->session = session_new(front, all);
	if (!front->session || fuse_session_mount(front->session, mountpoint))
		goto fail;
	front->fd = fuse_session_fd(front->session);
	front->dev = mounted_dev(mountpoint, 0);
	do
		n = read(front->fd, front->init, sizeof(front->init));
	while (n < 0 && (errno == EINTR || errno == EAGAIN));
	if (n < 0) {
		r = -errno;
		fuse_session_unmount(front->session);
		front->fd = -1;
		goto fail;
	}
	front->init_bytes = (size_t)n;
	look_at_init(front);
	process_init(front, front->session);
	*ret_front = front;
	return 0;
fail:
	front_free(front);
	return r;
}

int front_adopt(struct mount *mount, const char *mountpoint, int fd, const char *init,
		size_t init_bytes, bool debug, struct front **ret_front)
{
	struct front *front = calloc(1, sizeof(*front));

	if (!front || init_bytes > sizeof(front->init) ||
	    !(front->mountpoint = strdup(mountpoint))) {
		free(front);
		return -ENOMEM;
	}
	front->mount = mount;
	front->debug = debug;
	front->steward = -1;
	front->fd = fd;
	front->dev = mounted_dev(mountpoint, 0);
	memcpy(front->init, init, init_bytes);
	front->init_bytes = init_bytes;
	look_at_init(front);
	*ret_front = front;
	return 0;
}

int front_resend(const struct front *front)
{
	const struct fuse_out_header notice = {.len = sizeof(notice), .error = FUSE_NOTIFY_RESEND};

	return write(front->fd, &notice, sizeof(notice)) < 0 ? -errno : 0;
}

bool front_unmount(struct front *front)
{
	struct pollfd pfd = {.fd = front->fd, .events = POLLOUT};
	bool dead = poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLERR);
	int r;

	if (!dead && front->dev && mounted_dev(front->mountpoint, front->dev) != front->dev)
		return false;
	r = dead ? 0 : steward_unmount(front->steward);
	if (r)
		log_error("%s cannot be unmounted: %s", front->mountpoint,
			  r == -EPIPE ? "the process that could is dead" : strerror(-r));
	return true;
}

void front_free(struct front *front)
{
	/* libfuse forgets the mount point only when it unmounts by itself, so it has to keep it */
	static struct fuse_session *unmounted __attribute__((used));

	if (!front)
		return;
	if (front->session && front->fd > 0)
		unmounted = front->session;
	else if (front->session)
		fuse_session_destroy(front->session);
	if (front->fd > 0)
		close(front->fd);
	free(front->mountpoint);
	free(front);
}

static int make_clone(const struct front *front)
{
	uint32_t source = (uint32_t)front->fd;
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (ioctl(fd, FUSE_DEV_IOC_CLONE, &source)) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

int front_session_open(struct front *front, int clone, struct kept_worker *mark,
		       struct front_session *ret_session)
{
	struct front_session session = {.mark = mark};
	int fd = clone >= 0 ? clone : make_clone(front);
	char name[32];

	if (fd < 0)
		return fd;
	session.session = session_new(front, NULL);
	snprintf(name, sizeof(name), "/dev/fd/%d", fd);
	if (!session.session || fuse_session_mount(session.session, name)) {
		if (session.session)
			fuse_session_destroy(session.session);
		if (fd != clone)
			close(fd);
		return -ENOMEM;
	}
	session.fd = fd;
	process_init(front, session.session);
	*ret_session = session;
	return 0;
}

void front_session_close(struct front_session *session)
{
	fuse_session_destroy(session->session); /* closes the clone */
	session->session = NULL;
}

void front_process(struct front_session *session, char *header, size_t n)
{
	struct fuse_buf buf = {.mem = header, .size = n};

	current = session;
	session->unique = ((const struct fuse_in_header *)(const void *)header)->unique;
	fuse_session_process_buf(session->session, &buf);
}
