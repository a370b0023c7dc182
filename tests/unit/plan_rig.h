/* SPDX-License-Identifier: MIT */
/*
 * plan_rig.h - plans of configurations as text, with images in a directory of the test, for the
 * unit tests of plan.h and of what is made from plans.
 */
#ifndef FUSEBAND_TESTS_UNIT_PLAN_RIG_H
#define FUSEBAND_TESTS_UNIT_PLAN_RIG_H

#include "dir_rig.h"
#include "plan.h"

#include <errno.h>

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

#endif
