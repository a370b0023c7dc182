/* SPDX-License-Identifier: MIT */
/*
 * conf_error.h - how the conf_*.c files build lists and messages. Private to them.
 */
#ifndef FUSEBAND_CONF_ERROR_H
#define FUSEBAND_CONF_ERROR_H

#include "conf.h"

/*
 * What is wrong with a text, while it is not known yet what else will be: every complaint with its
 * place, so that they can be published in the order of the text.
 */
struct conf_complaints {
	const struct conf *conf; /* its sources tell which file comes first */
	struct conf_complaint *list;
	size_t n;
	bool oom; /* sticky: the list is then incomplete */
};

/*
 * Room for one more than n elements of size bytes; it grows when n is a power of two. NULL without
 * memory, and array is intact then.
 */
void *conf_grown(void *array, size_t n, size_t size);

/*
 * Append a message, which is taken over. NULL stands for one that memory was lacking for: the
 * list is never empty after this.
 */
void conf_errors_push(struct conf_errors *errors, char *text);

/* As conf_error_add(); where.file is one of conf->source_names. */
void conf_complain(struct conf_complaints *complaints, struct conf_where where, const char *section,
		   const char *key, const char *value, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));
/* Move all of them to errors, and free the list: 0, -EINVAL or -ENOMEM. */
int conf_complaints_publish(struct conf_complaints *complaints, struct conf_errors *errors);

#endif
