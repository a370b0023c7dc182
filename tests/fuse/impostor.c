// SPDX-License-Identifier: MIT
/*
 * impostor - looks like a fuseband that could take over, and cannot run.
 *
 * With --version it says what one says whose state has the version in the file of its own name with
 * ".state" behind it; else it fails.
 */
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	char path[4096];
	int state = -1;
	FILE *file;

	if (argc != 2 || strcmp(argv[1], "--version") != 0)
		return 1;
	snprintf(path, sizeof(path), "%s.state", argv[0]);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%d", &state) != 1)
		return 1;
	printf("fuseband 9.9 (libfuse 3.14.0, state %d)\n", state);
	return 0;
}
