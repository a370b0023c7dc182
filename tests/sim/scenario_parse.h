/* SPDX-License-Identifier: MIT */
/*
 * scenario_parse.h - what scenario.c and scenario_words.c share. Private to them.
 *
 * A parser stands at a word of a line. Whatever takes a word and does not find what it needs
 * complains and goes on with nothing: 0, "" or -1.
 */
#ifndef FUSEBAND_TESTS_SIM_SCENARIO_PARSE_H
#define FUSEBAND_TESTS_SIM_SCENARIO_PARSE_H

#include "tests/sim/scenario.h"

#define WORDS_MAX 64U

struct parser {
	struct scenario *s;
	const struct conf *conf; /* NULL: none */
	struct conf_errors *errors;
	struct conf_where where;
	char *words[WORDS_MAX];
	unsigned n_words, next;
	bool wrong, oom;
	bool has_run;
};

void parse_complain(struct parser *p, const char *word, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Room for one more in a list, zeroed; NULL without memory, which is noted. */
void *parse_one_more(struct parser *p, void *list_at, unsigned *n, size_t size);

bool parse_more(const struct parser *p);
/* The next word if it is this one. */
bool parse_take(struct parser *p, const char *word);
/* The next word, whatever it is; `what` is missing otherwise. */
const char *parse_need(struct parser *p, const char *what);
uint64_t parse_value(struct parser *p, const struct conf_key *key, const char *word);
uint64_t parse_time(struct parser *p, const char *what);
uint64_t parse_count(struct parser *p, const char *what);
unsigned parse_percent(struct parser *p, const char *what, unsigned least, unsigned most);
extern const struct conf_key parse_time_key, parse_size_key;

bool parse_has_name(const struct parser *p, const char *name, struct scenario_subject *ret);
char *parse_new_name(struct parser *p, const char *what);
bool parse_subject(struct parser *p, struct scenario_subject *ret);
/* The number of a disk or group. */
int parse_one(struct parser *p, enum scenario_kind kind);

/*
 * The next word has to be a key of ioband.ini, and then comes its value. At 0 it is set at once.
 * own_words: what else could stand there, or NULL.
 */
void parse_setting(struct parser *p, struct scenario_subject subject, uint64_t at_ns,
		   const char *own_words);

#endif
