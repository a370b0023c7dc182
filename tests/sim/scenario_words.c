/* SPDX-License-Identifier: MIT */
/*
 * scenario_words.c - the words of a scenario: numbers with units, names, keys of ioband.ini.
 */
#include "tests/sim/scenario_parse.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_NS (UINT64_C(3600) * SIM_SEC)

/* ---- complaints ---- */

__attribute__((format(printf, 3, 4))) void parse_complain(struct parser *p, const char *word,
							  const char *fmt, ...)
{
	char why[300];
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);
	conf_error_add(p->errors, &p->where, NULL, NULL, word, "%s", why);
	p->wrong = true;
}

/* Room for one more; NULL without memory, which is noted. */
void *parse_one_more(struct parser *p, void *list_at, unsigned *n, size_t size)
{
	void *list;

	memcpy(&list, list_at, sizeof(list));
	list = reallocarray(list, *n + 1, size);
	if (!list) {
		p->oom = true;
		return NULL;
	}
	memcpy(list_at, &list, sizeof(list));
	return memset((char *)list + (*n)++ * size, 0, size);
}

/* ---- words ---- */

bool parse_more(const struct parser *p)
{
	return p->next < p->n_words;
}

/* The next word if it is this one. */
bool parse_take(struct parser *p, const char *word)
{
	if (!parse_more(p) || strcmp(p->words[p->next], word) != 0)
		return false;
	p->next++;
	return true;
}

/* The next word, "" and a complaint if there is none. */
const char *parse_need(struct parser *p, const char *what)
{
	if (parse_more(p))
		return p->words[p->next++];
	parse_complain(p, NULL, "%s is missing after \"%s\"", what, p->words[p->n_words - 1]);
	return "";
}

const struct conf_key parse_time_key = {
	.name = "time", .fallback = "", .type = CONF_TYPE_TIME, .max = HOUR_NS};
const struct conf_key parse_size_key = {.name = "size",
					.fallback = "",
					.type = CONF_TYPE_SIZE,
					.min = 512,
					.max = UINT64_C(1) << 50,
					.unit = 512};
static const struct conf_key count_key = {
	.name = "count", .fallback = "", .type = CONF_TYPE_NUMBER, .min = 1, .max = 1000000};

uint64_t parse_value(struct parser *p, const struct conf_key *key, const char *word)
{
	uint64_t value = 0;
	char why[160];

	if (word[0] && conf_parse_number(key, word, &value, why, sizeof(why)) != 0)
		parse_complain(p, word, "%s", why);
	return value;
}

uint64_t parse_time(struct parser *p, const char *what)
{
	return parse_value(p, &parse_time_key, parse_need(p, what));
}

uint64_t parse_count(struct parser *p, const char *what)
{
	return parse_value(p, &count_key, parse_need(p, what));
}

/* "30%", from least on. */
unsigned parse_percent(struct parser *p, const char *what, unsigned least, unsigned most)
{
	const char *word = parse_need(p, what);
	char *end;
	unsigned long value = strtoul(word, &end, 10);

	if (word[0] && (word[0] < '0' || word[0] > '9' || strcmp(end, "%") != 0 || value < least ||
			value > most))
		parse_complain(p, word, "is not a percentage from %u%% to %u%%", least, most);
	return (unsigned)value;
}

/* ---- names ---- */

bool parse_has_name(const struct parser *p, const char *name, struct scenario_subject *ret)
{
	const struct scenario *s = p->s;

	for (unsigned i = 0; i < s->n_files; i++)
		if (strcmp(s->files[i].conf.name, name) == 0) {
			*ret = (struct scenario_subject){SCENARIO_FILE, i};
			return true;
		}
	for (unsigned i = 0; i < s->n_groups; i++)
		if (strcmp(s->groups[i].name, name) == 0) {
			*ret = (struct scenario_subject){SCENARIO_GROUP, i};
			return true;
		}
	for (unsigned i = 0; i < s->n_disks; i++)
		if (strcmp(s->disks[i].conf.name, name) == 0) {
			*ret = (struct scenario_subject){SCENARIO_DISK, i};
			return true;
		}
	return false;
}

/* The name of something new. */
char *parse_new_name(struct parser *p, const char *what)
{
	char *name = parse_more(p) ? p->words[p->next] : NULL;
	struct scenario_subject other;
	const char *wrong;

	parse_need(p, what);
	if (!name)
		return (char *)"";
	wrong = conf_name_wrong(name);
	if (wrong)
		parse_complain(p, name, "%s", wrong);
	else if (parse_has_name(p, name, &other))
		parse_complain(p, name, "is there already");
	return name;
}

bool parse_subject(struct parser *p, struct scenario_subject *ret)
{
	const char *name = parse_need(p, "the name of a client, group or disk");

	if (!name[0])
		return false;
	if (parse_has_name(p, name, ret))
		return true;
	parse_complain(p, name, "is no client, group or disk of a line above");
	return false;
}

/* The number of a disk or group, -1 and a complaint if there is none. */
int parse_one(struct parser *p, enum scenario_kind kind)
{
	const char *what = kind == SCENARIO_DISK ? "disk" : "group";
	const char *name = parse_need(p, kind == SCENARIO_DISK ? "a disk" : "a group");
	struct scenario_subject subject;

	if (!name[0])
		return -1;
	if (parse_has_name(p, name, &subject) && subject.kind == kind)
		return (int)subject.index;
	parse_complain(p, name, "is no %s of a line above: put \"%s %s ...\" before this one", what,
		       what, name);
	return -1;
}

/* ---- keys of ioband.ini ---- */

static const enum conf_section sections[] = {
	[SCENARIO_DISK] = CONF_SECTION_DEVICE,
	[SCENARIO_GROUP] = CONF_SECTION_GROUP,
	[SCENARIO_FILE] = CONF_SECTION_FILE,
};

/* A key and its value, kept for a change; set at once if that is in the beginning. */
void parse_setting(struct parser *p, struct scenario_subject subject, uint64_t at_ns,
		   const char *own_words)
{
	const char *word = p->words[p->next++], *value;
	size_t index;
	const struct conf_key *key = conf_key_find(sections[subject.kind], word, &index);
	struct scenario_change *change, now = {at_ns, subject, key, NULL};
	uint64_t number;
	char why[200];

	if (!key) {
		conf_key_unknown(sections[subject.kind], word, why, sizeof(why));
		if (own_words && !strstr(why, "did you mean"))
			parse_complain(p, word, "is none of %s, and no such key of ioband.ini",
				       own_words);
		else
			parse_complain(p, word, "%s", why);
	} else if (strcmp(word, "parent") == 0) {
		parse_complain(p, word,
			       at_ns ? "cannot change in a run"
				     : "comes right after the name of who is in a group");
	} else if (key->type == CONF_TYPE_PATH || key->type == CONF_TYPE_NAME) {
		parse_complain(p, word,
			       "means nothing here: \"on NAME\" after the name of a client "
			       "says on which disk it is");
	}
	if (p->wrong) { /* whatever follows would be misunderstood */
		p->next = p->n_words;
		return;
	}
	value = parse_need(p, "its value");
	if (!value[0])
		return;
	if (conf_parse_number(key, value, &number, why, sizeof(why)) != 0) {
		parse_complain(p, value, "%s: %s", word, why);
		return;
	}
	now.value = value;
	if (at_ns == 0) {
		scenario_set(p->s, &now);
		return;
	}
	change = parse_one_more(p, &p->s->changes, &p->s->n_changes, sizeof(*change));
	if (change)
		*change = now;
}
