/* SPDX-License-Identifier: MIT */
/* pack.c - see pack.h. */
#include "pack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int pack_begin(struct pack *pack, const char *name)
{
	int copy, r;

	pack->fd = memfd_create(name, MFD_CLOEXEC);
	if (pack->fd < 0)
		return -errno;
	copy = dup(pack->fd);
	pack->out = copy < 0 ? NULL : fdopen(copy, "w");
	if (pack->out)
		return 0;
	r = -errno;
	if (copy >= 0)
		close(copy);
	close(pack->fd);
	return r;
}

void pack_raw(struct pack *pack, const void *bytes, size_t n)
{
	fwrite(bytes, 1, n, pack->out);
}

void pack_u64(struct pack *pack, uint64_t value)
{
	pack_raw(pack, &value, sizeof(value));
}

void pack_bytes(struct pack *pack, const char *bytes, size_t n)
{
	pack_u64(pack, n);
	pack_raw(pack, bytes, n);
}

void pack_string(struct pack *pack, const char *text)
{
	pack_bytes(pack, text ? text : "", text ? strlen(text) : 0);
}

int pack_end(struct pack *pack, int *ret_fd)
{
	int r = ferror(pack->out) ? -EIO : 0;

	if (fclose(pack->out) && !r)
		r = -errno;
	if (r)
		close(pack->fd);
	else
		*ret_fd = pack->fd;
	return r;
}

int unpack_begin(struct unpack *unpack, int fd)
{
	struct stat st;
	void *map;

	*unpack = (struct unpack){0};
	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size <= 0)
		return -EPROTO;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	unpack->map = map;
	unpack->map_bytes = (size_t)st.st_size;
	unpack->at = map;
	unpack->end = unpack->at + unpack->map_bytes;
	return 0;
}

void unpack_raw(struct unpack *unpack, void *ret_bytes, size_t n)
{
	if (unpack->broken || (size_t)(unpack->end - unpack->at) < n) {
		unpack->broken = true;
		memset(ret_bytes, 0, n);
		return;
	}
	memcpy(ret_bytes, unpack->at, n);
	unpack->at += n;
}

uint64_t unpack_u64(struct unpack *unpack)
{
	uint64_t value;

	unpack_raw(unpack, &value, sizeof(value));
	return value;
}

char *unpack_bytes(struct unpack *unpack, size_t *ret_n)
{
	size_t n = unpack_count(unpack);
	char *bytes = unpack->broken ? NULL : malloc(n + 1);

	if (!bytes) {
		unpack->broken = true;
		return NULL;
	}
	unpack_raw(unpack, bytes, n);
	bytes[n] = '\0';
	if (ret_n)
		*ret_n = n;
	return bytes;
}

char *unpack_string(struct unpack *unpack)
{
	char *text = unpack_bytes(unpack, NULL);

	if (text && !*text) {
		free(text);
		text = NULL;
	}
	return text;
}

size_t unpack_count(struct unpack *unpack)
{
	uint64_t n = unpack_u64(unpack);

	if (n > (uint64_t)(unpack->end - unpack->at))
		unpack->broken = true;
	return unpack->broken ? 0 : (size_t)n;
}

int unpack_end(struct unpack *unpack)
{
	munmap(unpack->map, unpack->map_bytes);
	return unpack->broken ? -EPROTO : 0;
}
