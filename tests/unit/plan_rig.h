/* SPDX-License-Identifier: MIT */
/*
 * plan_rig.h - plans of configurations as text, with images in a directory of the test, for the
 * unit tests of plan.h and of what is made from plans.
 */
#ifndef FUSEBAND_TESTS_UNIT_PLAN_RIG_H
#define FUSEBAND_TESTS_UNIT_PLAN_RIG_H

#include "plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)
#define NEED(condition, reason)                                 \
	do {                                                    \
		if (!(condition)) {                             \
			print_message("skipped: %s\n", reason); \
			skip();                                 \
		}                                               \
	} while (0)
#define NEED_ROOT() NEED(geteuid() == 0, "needs root")

static char dir[] = "/tmp/test_plan.XXXXXX";

static inline const char *in_dir(const char *name)
{
	static char paths[16][PATH_MAX];
	static unsigned turn;
	char *path = paths[turn++ % 16];

	snprintf(path, PATH_MAX, "%s/%s", dir, name);
	return path;
}

static inline const char *image(const char *name, uint64_t bytes)
{
	const char *path = in_dir(name);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	close(fd);
	return path;
}

/* "@" in a text stands for the test's directory, "\n" for a line. */
static inline char *expanded(const char *text)
{
	char *all;
	size_t size;
	FILE *out = open_memstream(&all, &size);

	assert_non_null(out);
	for (; *text; text++) {
		if (*text == '@')
			fputs(dir, out);
		else
			putc(*text, out);
	}
	fclose(out);
	return all;
}

struct asked {
	const char *mountpoint;
	const struct plan_running *running;
	size_t n_running;
	enum plan_purpose purpose;
	const struct disks_view *view;
};

/* The errors or notes of the last plan, one a line, with the directory as "@" again. */
static char *said;

static inline void remember(const struct conf_errors *errors)
{
	size_t size;

	free(said);
	FILE *out = open_memstream(&said, &size);
	assert_non_null(out);
	for (size_t i = 0; i < errors->n; i++) {
		const char *text = errors->list[i].text, *found;

		while ((found = strstr(text, dir))) {
			fprintf(out, "%.*s@", (int)(found - text), text);
			text = found + strlen(dir);
		}
		fprintf(out, "%s\n", text);
	}
	fclose(out);
}

static inline struct plan *ask(struct asked asked, const char *text)
{
	char *expanded_text = expanded(text), path[] = "ioband.ini";
	struct conf_source source = {path, expanded_text, strlen(expanded_text)};
	struct conf_text sources = {.sources = &source, .n_sources = 1};
	struct conf_errors errors = {0}, notes = {0};
	struct plan *plan = NULL;
	struct conf *conf;

	if (conf_parse(&sources, &errors, &conf) != 0)
		fail_msg("%s", errors.list[0].text);
	int err = plan_make(conf, asked.mountpoint, asked.running, asked.n_running, asked.purpose,
			    asked.view ? asked.view : &disks_system, &errors, &notes, &plan);
	remember(err ? &errors : &notes);
	assert_int_equal(err != 0, errors.n > 0);
	assert_int_equal(err, plan ? 0 : -EINVAL);
	conf_errors_free(&errors);
	conf_errors_free(&notes);
	free(expanded_text);
	return plan;
}

static inline struct plan *planned(struct asked asked, const char *text)
{
	struct plan *plan = ask(asked, text);

	if (!plan)
		fail_msg("%s", said);
	return plan;
}

static inline void refused(struct asked asked, const char *text, const char *errors)
{
	struct plan *plan = ask(asked, text);

	assert_null(plan);
	assert_string_equal(said, errors);
}

#define START ((struct asked){.purpose = PLAN_RUN})
#define CHECK ((struct asked){.purpose = PLAN_CHECK})
#define RELOAD(list)                         \
	((struct asked){.purpose = PLAN_RUN, \
			.running = list,     \
			.n_running = sizeof(list) / sizeof((list)[0])})

#define RECOVER(list)                            \
	((struct asked){.purpose = PLAN_RECOVER, \
			.running = list,         \
			.n_running = sizeof(list) / sizeof((list)[0])})

/* What serves file i of a plan. */
static inline struct plan_running running(const struct plan *plan, size_t i, unsigned opens)
{
	const struct plan_file *file = &plan->files[i];
	int device = file->conf->device;

	return (struct plan_running){
		.name = file->conf->name,
		.backing = file->backing,
		.claim = file->claim,
		.path = file->conf->path,
		.offset_bytes = file->conf->offset_bytes,
		.size_bytes = file->conf->size_bytes,
		.device = device >= 0 ? plan->conf->devices[device].name : NULL,
		.readonly = file->conf->readonly,
		.buffered = file->conf->buffered,
		.opens = opens,
	};
}

/* The same to who takes over after it has died. */
static inline struct plan_running died(const struct plan *plan, size_t i, uint64_t id)
{
	const struct plan_file *file = &plan->files[i];
	struct plan_running was = {.name = file->conf->name,
				   .claim = file->claim,
				   .path = file->conf->path,
				   .id = id,
				   .served_bytes = file->size_bytes};

	if (file->backing) {
		was.object = file->backing->id;
		was.traits = backing_traits_of(file->backing);
	}
	return was;
}

static inline int make_dir(void **state)
{
	(void)state;
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline int remove_dir(void **state)
{
	(void)state;
	free(said);
	said = NULL;
	return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

#endif
