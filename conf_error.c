/* SPDX-License-Identifier: MIT */
/*
 * conf_error.c - complaints about a configuration: one form, one list.
 *
 * Text from the file is shown so that it cannot upset a terminal or a log. Running out of
 * memory is a complaint, too: nobody may take a list for empty that just could not grow.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "conf_error.h"
#include "conf_keys.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_BYTES 80 /* of a name or value */

void *conf_grown(void *array, size_t n, size_t size)
{
	if (n != 0 && (n & (n - 1)) != 0)
		return array;
	return reallocarray(array, n == 0 ? 1 : 2 * n, size);
}

/* Without memory there is still one complaint, so that nobody takes the list for an empty one. */
static char oom_text[] = "out of memory";
static struct conf_error oom_error = {oom_text};

void conf_errors_push(struct conf_errors *errors, char *text)
{
	struct conf_error *list;

	if (errors->list == &oom_error || errors->n > CONF_ERRORS_MAX) {
		free(text);
		return;
	}
	if (errors->n == CONF_ERRORS_MAX) {
		free(text);
		text = strdup("too many errors");
	}
	list = conf_grown(errors->list, errors->n, sizeof(*list));
	if (list) {
		errors->list = list;
		list[errors->n++].text = text ? text : oom_text;
		return;
	}
	free(text);
	if (errors->n == 0) {
		errors->list = &oom_error;
		errors->n = 1;
	}
}

void conf_errors_free(struct conf_errors *errors)
{
	if (errors->list != &oom_error) {
		for (size_t i = 0; i < errors->n; i++)
			if (errors->list[i].text != oom_text)
				free(errors->list[i].text);
		free(errors->list);
	}
	*errors = (struct conf_errors){NULL, 0};
}

/* At most max bytes of text, with what could upset a terminal as \xNN. */
static void show(FILE *out, const char *text, size_t max)
{
	size_t left = strlen(text), shown = 0, step;

	for (; left > 0; text += step, left -= step, shown += step) {
		unsigned char c = (unsigned char)*text;

		step = conf_utf8(text, left);
		if (shown + (step == 0 ? 1 : step) > max) {
			fputs("...", out);
			return;
		}
		if (step == 0 || c < 0x20 || c == 0x7f) {
			fprintf(out, "\\x%02x", c);
			step = 1;
		} else {
			fwrite(text, step, 1, out);
		}
	}
}

static char *conf_error_text(const struct conf_where *where, const char *section, const char *key,
			     const char *value, const char *fmt, va_list args)
	__attribute__((format(printf, 5, 0)));

/* The message of conf_error_add(), or NULL without memory. */
static char *conf_error_text(const struct conf_where *where, const char *section, const char *key,
			     const char *value, const char *fmt, va_list args)
{
	char *text = NULL, *reason = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	if (where && where->file) {
		show(out, where->file, SIZE_MAX / 2);
		if (where->line > 0)
			fprintf(out, ":%d", where->line);
		fputs(": ", out);
	}
	if (section) {
		putc('[', out);
		show(out, section, SHOWN_BYTES);
		fputs("] ", out);
	}
	if (key) {
		show(out, key, SHOWN_BYTES);
		fputs(": ", out);
	}
	if (value) {
		putc('"', out);
		show(out, value, SHOWN_BYTES);
		fputs("\" ", out);
	}
	if (vasprintf(&reason, fmt, args) < 0) {
		fclose(out);
		free(text);
		return NULL;
	}
	show(out, reason, SIZE_MAX / 2); /* names of files and paths in it are foreign, too */
	free(reason);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

void conf_error_add(struct conf_errors *errors, const struct conf_where *where, const char *section,
		    const char *key, const char *value, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	conf_errors_push(errors, conf_error_text(where, section, key, value, fmt, args));
	va_end(args);
}

/* ---- in the order of the text ---- */

struct conf_complaint {
	size_t source, order;
	int line;
	char *text;
};

void conf_complain(struct conf_complaints *complaints, struct conf_where where, const char *section,
		   const char *key, const char *value, const char *fmt, ...)
{
	struct conf_complaint *list, complaint = {.order = complaints->n, .line = where.line};
	const struct conf *conf = complaints->conf;
	va_list args;

	if (complaints->oom || complaints->n > CONF_ERRORS_MAX)
		return;
	while (complaint.source < conf->n_sources &&
	       conf->source_names[complaint.source] != where.file)
		complaint.source++;
	va_start(args, fmt);
	complaint.text = conf_error_text(&where, section, key, value, fmt, args);
	va_end(args);
	list = conf_grown(complaints->list, complaints->n, sizeof(*list));
	if (list)
		complaints->list = list;
	if (!list || !complaint.text) {
		free(complaint.text);
		complaints->oom = true;
		return;
	}
	list[complaints->n++] = complaint;
}

static int by_place(const void *a, const void *b)
{
	const struct conf_complaint *x = a, *y = b;

	if (x->source != y->source)
		return x->source < y->source ? -1 : 1;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

int conf_complaints_publish(struct conf_complaints *complaints, struct conf_errors *errors)
{
	int rc = complaints->oom ? -ENOMEM : complaints->n > 0 ? -EINVAL : 0;

	if (complaints->n > 0)
		qsort(complaints->list, complaints->n, sizeof(*complaints->list), by_place);
	for (size_t i = 0; i < complaints->n; i++)
		if (rc == -EINVAL)
			conf_errors_push(errors, complaints->list[i].text);
		else
			free(complaints->list[i].text);
	if (rc == -ENOMEM)
		conf_errors_push(errors, NULL);
	free(complaints->list);
	complaints->list = NULL;
	complaints->n = 0;
	return rc;
}
