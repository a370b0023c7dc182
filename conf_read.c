/* SPDX-License-Identifier: MIT */
/*
 * conf_read.c - FILE and FILE.d/ *.ini into memory.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "conf_error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOURCE_BYTES_MAX ((size_t)16 << 20) /* a hundred thousand virtual machines */

/*
 * Only regular files, opened so that a FIFO of that name cannot block: a running daemon reads them
 * again. Exceptions are names that can only mean a descriptor which was given to us on
 * purpose: "generate | fuseband --check -c /dev/stdin", -c <(generate).
 */
static bool may_be_pipe(const char *path)
{
	return strcmp(path, "/dev/stdin") == 0 || strncmp(path, "/dev/fd/", 8) == 0 ||
	       strncmp(path, "/proc/self/fd/", 14) == 0;
}

/* Everything in fd, with a NUL after it. 0 or -errno. */
static int read_all(int fd, char **ret_text, size_t *ret_len)
{
	size_t size = 4096, len = 0;
	char *text = malloc(size);
	ssize_t got = 1;

	while (text && got != 0) {
		if (len + 1 == size) {
			char *more = realloc(text, 2 * size);

			if (!more)
				break;
			text = more;
			size *= 2;
		}
		got = read(fd, text + len, size - len - 1);
		if (got > 0)
			len += (size_t)got;
		else if (got < 0 && errno != EINTR) {
			int rc = -errno;

			free(text);
			return rc;
		}
		if (len > SOURCE_BYTES_MAX) {
			free(text);
			return -EFBIG;
		}
	}
	if (!text || got != 0) {
		free(text);
		return -ENOMEM;
	}
	text[len] = '\0';
	*ret_text = text;
	*ret_len = len;
	return 0;
}

/* Append path to text. 0 or -errno with a complaint. */
static int read_source(const char *path, struct conf_errors *errors, struct conf_text *text)
{
	const struct conf_where where = {path, 0};
	struct conf_source source = {0}, *sources;
	struct stat st;
	const char *why = NULL;
	int rc = 0, fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st) != 0) {
		rc = -errno;
	} else if (S_ISDIR(st.st_mode)) {
		rc = -EISDIR;
	} else if (S_ISFIFO(st.st_mode) && may_be_pipe(path)) {
		if (fcntl(fd, F_SETFL, 0) != 0) /* now wait for the writer */
			rc = -errno;
	} else if (!S_ISREG(st.st_mode)) {
		rc = -EINVAL;
		why = "is not a regular file";
	}
	if (rc == 0)
		rc = read_all(fd, &source.text, &source.len);
	if (rc == -EFBIG)
		why = "is larger than 16M";
	if (rc == 0) {
		source.path = strdup(path);
		sources = conf_grown(text->sources, text->n_sources, sizeof(*sources));
		if (sources)
			text->sources = sources;
		if (sources && source.path) {
			sources[text->n_sources++] = source;
		} else {
			free(source.path);
			free(source.text);
			rc = -ENOMEM;
		}
	}
	if (fd >= 0)
		close(fd);
	if (rc != 0 && why)
		conf_error_add(errors, &where, NULL, NULL, NULL, "%s", why);
	else if (rc != 0)
		conf_error_add(errors, &where, NULL, NULL, NULL, "cannot be read: %s",
			       strerror(-rc));
	return rc;
}

static int is_ini(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > 4 && strcmp(entry->d_name + len - 4, ".ini") == 0;
}

/* Unlike alphasort(3), the same in every locale. */
static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* FILE.d/ *.ini. 0, also if there is no such directory, or -errno with complaints. */
static int read_directory(const char *file, struct conf_errors *errors, struct conf_text *text)
{
	char *directory = NULL;
	struct dirent **entries = NULL;
	int n, rc = 0;

	if (asprintf(&directory, "%s.d", file) < 0)
		return -ENOMEM;
	n = scandir(directory, &entries, is_ini, by_bytes);
	if (n < 0 && errno != ENOENT) {
		const struct conf_where where = {directory, 0};

		rc = -errno;
		conf_error_add(errors, &where, NULL, NULL, NULL, "cannot be read: %s",
			       strerror(-rc));
	}
	for (int i = 0; i < n; i++) {
		char *path = NULL;
		int path_rc = -ENOMEM;

		if (asprintf(&path, "%s/%s", directory, entries[i]->d_name) >= 0) {
			path_rc = read_source(path, errors, text);
			free(path);
		}
		if (rc == 0)
			rc = path_rc;
		free(entries[i]);
	}
	free(entries);
	free(directory);
	return rc;
}

int conf_read(const char *file, struct conf_errors *errors, struct conf_text *ret_text)
{
	struct conf_text text = {0};
	int rc = read_source(file, errors, &text);
	/* FILE may be "dir/": then "dir/.d" is nothing to look into */
	int directory_rc = rc == -EISDIR ? 0 : read_directory(file, errors, &text);

	if (rc == 0)
		rc = directory_rc;
	if (rc != 0) {
		if (errors->n == 0)
			conf_errors_push(errors, NULL);
		conf_text_free(&text);
		return rc;
	}
	*ret_text = text;
	return 0;
}

void conf_table_free(struct conf_table *table)
{
	for (size_t i = 0; i < table->n; i++)
		free(table->list[i].about);
	free(table->list);
	free(table->disk);
	*table = (struct conf_table){0};
}

void conf_text_free(struct conf_text *text)
{
	for (size_t i = 0; i < text->n_sources; i++) {
		free(text->sources[i].path);
		free(text->sources[i].text);
	}
	for (size_t i = 0; i < text->n_tables; i++)
		conf_table_free(&text->tables[i]);
	free(text->sources);
	free(text->tables);
	*text = (struct conf_text){0};
}
