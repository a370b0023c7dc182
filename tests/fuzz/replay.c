/* SPDX-License-Identifier: MIT */
/*
 * replay.c - runs a fuzz target over files: main() where libFuzzer's is not linked.
 *
 *     fuzz_conf tests/fuzz/corpus/conf [FILE|DIRECTORY...]
 *
 * The name of each file is on the screen before it is run, so that it is known which one crashed.
 * Every input is in memory of just its size: a sanitizer sees one byte too many.
 */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static unsigned replayed;

static void fail(const char *path)
{
	fprintf(stderr, "%s: %s\n", path, strerror(errno));
	exit(1);
}

static void replay_file(const char *path, size_t size)
{
	FILE *file = fopen(path, "r");
	uint8_t *data = malloc(size);

	if (!file || (!data && size > 0) || fread(data, 1, size, file) != size)
		fail(path);
	fclose(file);
	printf("%s\n", path);
	fflush(stdout);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	replayed++;
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void replay(const char *path)
{
	struct dirent **entries;
	struct stat st;
	int n;

	if (stat(path, &st) != 0)
		fail(path);
	if (!S_ISDIR(st.st_mode)) {
		replay_file(path, (size_t)st.st_size);
		return;
	}
	n = scandir(path, &entries, is_visible, alphasort);
	if (n < 0)
		fail(path);
	for (int i = 0; i < n; i++) {
		char *inner;

		if (asprintf(&inner, "%s/%s", path, entries[i]->d_name) < 0)
			fail(path);
		replay(inner);
		free(inner);
		free(entries[i]);
	}
	free(entries);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	if (replayed == 0) {
		fprintf(stderr, "no inputs\n");
		return 1;
	}
	printf("%u inputs\n", replayed);
	return 0;
}
