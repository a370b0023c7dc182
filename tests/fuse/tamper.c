/* SPDX-License-Identifier: MIT */
/*
 * tamper DIR FILE: what must not be possible in a mount, whoever asks. Prints a line for each
 * attempt that succeeds, or that fails with another error than it should. FILE is in DIR, and may
 * be opened by us.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int wrong;

static void check(const char *what, long r, int wanted)
{
	int got = r < 0 ? errno : 0;

	if (got == wanted)
		return;
	printf("%s: %s instead of %s\n", what, strerror(got), strerror(wanted));
	wrong = 1;
}

int main(int argc, char **argv)
{
	char *file, new[4096];
	struct stat before, after;
	int as_root = !geteuid(), fd;
	/* the kernel refuses others before it asks: the directory is root's, 0755 */
	int refused = as_root ? EPERM : EACCES;

	if (argc != 3 || chdir(argv[1]))
		return 2;
	file = argv[2];
	snprintf(new, sizeof(new), "%s.new", file);
	if (stat(file, &before))
		return 2;
	check("create", open(new, O_CREAT | O_RDWR, 0600), refused);
	check("create what exists", open(file, O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
	check("temporary file", open(".", O_TMPFILE | O_RDWR, 0600), as_root ? EOPNOTSUPP : EACCES);
	check("mknod", mknod(new, S_IFBLK | 0666, 0x0700), as_root ? EPERM : EACCES);
	check("mkfifo", mkfifo(new, 0666), refused);
	check("mkdir", mkdir(new, 0777), refused);
	check("symlink", symlink("/etc/passwd", new), refused);
	check("link", link(file, new), refused);
	check("rename", rename(file, new), refused);
	check("unlink", unlink(file), refused);
	check("rmdir", rmdir(file), as_root ? ENOTDIR : EACCES);
	check("truncate", truncate(file, 0), EPERM);
	check("grow", truncate(file, before.st_size + 4096), EPERM);
	check("chmod of the directory", chmod(".", 0777), EPERM);
	check("chown of the directory", chown(".", 65534, 65534), EPERM);
	/* those of a file are accepted from its owner and root, without effect */
	check("chown", chown(file, 12345, 12345), as_root ? 0 : EPERM);
	check("chmod", chmod(file, 0666), as_root || before.st_uid == geteuid() ? 0 : EPERM);
	fd = open(file, O_RDWR | O_TRUNC);
	check("O_TRUNC", fd, EPERM);
	fd = open(file, O_RDWR);
	check("open", fd, 0);
	check("fallocate", fallocate(fd, 0, before.st_size, 4096), ENOSPC);
	check("stat", stat(file, &after), 0);
	if (before.st_mode != after.st_mode || before.st_uid != after.st_uid ||
	    before.st_gid != after.st_gid || before.st_size != after.st_size ||
	    before.st_ino != after.st_ino) {
		puts("it has changed");
		wrong = 1;
	}
	return wrong;
}
