/* SPDX-License-Identifier: MIT */
/*
 * conf_rig.h - configurations as text, accepted or refused with exactly these messages, for the unit
 * tests of conf.h.
 */
#ifndef FUSEBAND_TESTS_UNIT_CONF_RIG_H
#define FUSEBAND_TESTS_UNIT_CONF_RIG_H

#include "conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Texts as if they were files of these names. Not freed: they own nothing. */
static inline struct conf_text text_of(struct conf_source *sources, size_t n)
{
	return (struct conf_text){.sources = sources, .n_sources = n};
}

static inline struct conf_source source_of(const char *path, const char *text, size_t len)
{
	return (struct conf_source){
		.path = (char *)(uintptr_t)path, .text = (char *)(uintptr_t)text, .len = len};
}

/* All messages, each with a newline. */
static inline char *joined(const struct conf_errors *errors)
{
	char *all = NULL;
	size_t len;
	FILE *out = open_memstream(&all, &len);

	assert_non_null(out);
	for (size_t i = 0; i < errors->n; i++)
		fprintf(out, "%s\n", errors->list[i].text);
	fclose(out);
	return all;
}

static inline void refused_texts(struct conf_source *sources, size_t n, const char *messages)
{
	struct conf_text text = text_of(sources, n);
	struct conf_errors errors = {NULL, 0};
	struct conf *untouched = (struct conf *)&text, *conf = untouched;
	char *all;

	assert_int_equal(conf_parse(&text, &errors, &conf), -EINVAL);
	assert_ptr_equal(conf, untouched);
	all = joined(&errors);
	assert_string_equal(all, messages);
	free(all);
	conf_errors_free(&errors);
}

static inline void refused_bytes(const char *text, size_t len, const char *messages)
{
	struct conf_source source = source_of("ioband.ini", text, len);

	refused_texts(&source, 1, messages);
}

/* The text is refused with exactly these messages. */
static inline void refused(const char *text, const char *messages)
{
	refused_bytes(text, strlen(text), messages);
}

static inline struct conf *accepted_texts(struct conf_source *sources, size_t n)
{
	struct conf_text text = text_of(sources, n);
	struct conf_errors errors = {NULL, 0};
	struct conf *conf = NULL;
	int rc = conf_parse(&text, &errors, &conf);

	for (size_t i = 0; i < errors.n; i++)
		print_error("%s\n", errors.list[i].text);
	assert_int_equal(rc, 0);
	assert_int_equal(errors.n, 0);
	assert_non_null(conf);
	return conf;
}

static inline struct conf *accepted(const char *text)
{
	struct conf_source source = source_of("ioband.ini", text, strlen(text));

	return accepted_texts(&source, 1);
}

#define VM "[vm1.img]\npath = /dev/vm1\n"

/* One line in a section of a file: the value is refused for this reason. */
static inline void value_refused(const char *header, const char *key, const char *value,
				 const char *reason)
{
	char text[512], message[512];

	snprintf(text, sizeof(text), VM "[%s]\n%s = %s\n", header, key, value);
	snprintf(message, sizeof(message), "ioband.ini:4: [%s] %s: \"%s\" %s\n", header, key, value,
		 reason);
	refused(text, message);
}

/* The same in the section of vm1.img. */
static inline void file_refused(const char *key, const char *value, const char *reason)
{
	char text[512], message[512];

	snprintf(text, sizeof(text), VM "%s = %s\n", key, value);
	snprintf(message, sizeof(message), "ioband.ini:3: [vm1.img] %s: \"%s\" %s\n", key, value,
		 reason);
	refused(text, message);
}

static inline struct conf *accepted_in(const char *header, const char *key, const char *value)
{
	char text[512];

	if (strcmp(header, "vm1.img") == 0)
		snprintf(text, sizeof(text), VM "%s = %s\n", key, value);
	else
		snprintf(text, sizeof(text), VM "[%s]\n%s = %s\n", header, key, value);
	return accepted(text);
}

/* accepted_in(), and the field has the number. */
#define CHECK_VALUE(header, key, value, field, number)                \
	do {                                                          \
		struct conf *conf_ = accepted_in(header, key, value); \
		assert_int_equal(conf_->field, number);               \
		conf_free(conf_);                                     \
	} while (0)

#endif
