/* SPDX-License-Identifier: MIT */
/*
 * conf_values.c - the values of ioband.ini: parsed, checked and described.
 *
 * What was typed is foreign: every multiplication is checked, nothing is rounded or cut,
 * and a number is digits and a suffix, without sign, fraction or blanks.
 */
#include "conf_keys.h"

#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <string.h>

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)
#define USEC_NS UINT64_C(1000)
#define MSEC_NS UINT64_C(1000000)
#define SEC_NS UINT64_C(1000000000)

size_t conf_utf8(const char *s, size_t n)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t len = u[0] < 0x80   ? 1
		     : u[0] < 0xc2 ? 0
		     : u[0] < 0xe0 ? 2
		     : u[0] < 0xf0 ? 3
		     : u[0] < 0xf5 ? 4
				   : 0;

	if (len == 0 || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((u[i] & 0xc0) != 0x80)
			return 0;
	if ((u[0] == 0xc2 && u[1] < 0xa0) || /* C1 controls: some terminals obey them */
	    (u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] >= 0xa0) ||
	    (u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] >= 0x90))
		return 0;
	return len;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

const char *conf_name_wrong(const char *name)
{
	size_t len = strlen(name);

	if (len == 0)
		return "is empty";
	if (len > CONF_NAME_BYTES)
		return "is longer than 49 bytes";
	for (size_t i = 0, step; i < len; i += step) {
		step = conf_utf8(name + i, len - i);
		if (step == 0)
			return "is not valid UTF-8";
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
			return "contains a control character";
	}
	if (strchr(name, '/'))
		return "contains \"/\"";
	if (strchr(name, ':'))
		return "contains \":\"";
	if (name[0] == '.')
		return "begins with \".\"";
	if (is_blank(name[0]) || is_blank(name[len - 1]))
		return "begins or ends with a blank";
	if (strcmp(name, "fuseband") == 0)
		return "is reserved";
	return NULL;
}

/* Digits at *text; false if there are none or they overflow. */
static bool take_number(const char **text, uint64_t *ret_value)
{
	const char *s = *text;
	uint64_t value = 0;

	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*s - '0'), &value))
			return false;
	if (s == *text)
		return false;
	*text = s;
	*ret_value = value;
	return true;
}

/* The suffixes of a type, largest first, and what they multiply by. */
struct suffix {
	const char *text;
	uint64_t factor;
};
static const struct suffix size_suffixes[] = {{"T", TIB}, {"G", GIB}, {"M", MIB},
					      {"K", KIB}, {"", 1},    {NULL, 0}};
static const struct suffix time_suffixes[] = {
	{"s", SEC_NS}, {"ms", MSEC_NS}, {"us", USEC_NS}, {NULL, 0}};
static const struct suffix no_suffixes[] = {{"", 1}, {NULL, 0}};

static const struct suffix *suffixes_of(enum conf_type type)
{
	return type == CONF_TYPE_SIZE || type == CONF_TYPE_BPS ? size_suffixes
	       : type == CONF_TYPE_TIME			       ? time_suffixes
							       : no_suffixes;
}

static bool parse_scaled(const struct suffix *suffixes, const char *text, uint64_t *ret_value)
{
	uint64_t value;

	if (!take_number(&text, &value))
		return false;
	for (; suffixes->text; suffixes++)
		if (strcmp(text, suffixes->text) == 0)
			return !__builtin_mul_overflow(value, suffixes->factor, ret_value);
	*ret_value = 0; /* "0" of no unit at all */
	return value == 0 && *text == '\0';
}

/* The shortest way to write a value, as parse_scaled() reads it. */
static void print_scaled(const struct suffix *suffixes, uint64_t value, FILE *out)
{
	while (value == 0 ? suffixes[1].text != NULL : value % suffixes->factor != 0)
		suffixes++;
	fprintf(out, "%" PRIu64 "%s", value / suffixes->factor, value == 0 ? "" : suffixes->text);
}

void conf_print_amount(enum conf_type type, uint64_t value, FILE *out)
{
	print_scaled(suffixes_of(type), value, out);
}

void conf_print_bytes(uint64_t bytes, FILE *out)
{
	print_scaled(size_suffixes, bytes, out);
}

void conf_print_value(const struct conf_key *key, uint64_t value, FILE *out)
{
	if (key->type == CONF_TYPE_CHOICE)
		fputs(key->choices[value], out);
	else
		conf_print_amount(key->type, value, out);
}

static bool parse_octal(const char *text, uint64_t *ret_value)
{
	uint64_t value = 0;
	size_t n = strspn(text, "01234567");

	if (n == 0 || n > 4 || text[n] != '\0')
		return false;
	for (; *text; text++)
		value = value * 8 + (uint64_t)(*text - '0');
	*ret_value = value;
	return true;
}

/* A user (or group) by name or number. -EINVAL, or what the name service said. */
static int parse_owner(bool is_user, const char *text, uint64_t *ret_value)
{
	const char *rest = text;

	if (take_number(&rest, ret_value) && *rest == '\0')
		return *ret_value < UINT32_MAX ? 0 : -EINVAL; /* -1: "no change" to chown(2) */
	if (text[strspn(text, "0123456789")] == '\0')
		return -EINVAL;
	errno = 0;
	if (is_user) {
		const struct passwd *user = getpwnam(text);

		if (user) {
			*ret_value = user->pw_uid;
			return 0;
		}
	} else {
		const struct group *group = getgrnam(text);

		if (group) {
			*ret_value = group->gr_gid;
			return 0;
		}
	}
	/* "no such name" comes with any of these */
	return errno == EIO || errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno
										     : -EINVAL;
}

/* "auto" as the default of something counted makes it a value, which is stored as 0. */
static bool has_auto(const struct conf_key *key)
{
	return key->type <= CONF_TYPE_TIME && strcmp(key->fallback, "auto") == 0;
}

static const char *const nouns[] = {
	[CONF_TYPE_NUMBER] = "a number",
	[CONF_TYPE_IOPS] = "a number of I/Os per second",
	[CONF_TYPE_SIZE] = "a size",
	[CONF_TYPE_BPS] = "a number of bytes per second",
	[CONF_TYPE_TIME] = "a time (us, ms, s)",
	[CONF_TYPE_YESNO] = "yes or no",
	[CONF_TYPE_USER] = "a user name or number",
	[CONF_TYPE_GROUP_ID] = "a group name or number",
	[CONF_TYPE_MODE] = "an octal number",
	[CONF_TYPE_PATH] = "an absolute path",
	[CONF_TYPE_NAME] = "a name",
};

void conf_describe(const struct conf_key *key, FILE *out)
{
	const struct suffix *suffixes = suffixes_of(key->type);

	if (key->type == CONF_TYPE_CHOICE) {
		for (size_t i = 0; key->choices[i]; i++)
			fprintf(out, "%s%s",
				i == 0		      ? ""
				: key->choices[i + 1] ? ", "
						      : " or ",
				key->choices[i]);
		return;
	}
	fprintf(out, "%s%s", has_auto(key) ? "auto or " : "", nouns[key->type]);
	if (key->type == CONF_TYPE_MODE) {
		fprintf(out, " from 0 to 0%" PRIo64, key->max);
	} else if (key->type <= CONF_TYPE_TIME) {
		fputs(" from ", out);
		print_scaled(suffixes, key->min, out);
		fputs(" to ", out);
		print_scaled(suffixes, key->max, out);
	}
}

static void not_this(const struct conf_key *key, const char *text, char *why, size_t why_size)
{
	FILE *out = fmemopen(why, why_size, "w");

	if (!out) {
		snprintf(why, why_size, "is not valid");
		return;
	}
	fputs("is not ", out);
	conf_describe(key, out);
	if (text[0] == '"' || text[0] == '\'')
		fputs("; write it without quotes", out);
	fclose(out);
}

int conf_parse_number(const struct conf_key *key, const char *text, uint64_t *ret_value, char *why,
		      size_t why_size)
{
	uint64_t value = 0;
	bool ok = false;
	int rc;

	if (has_auto(key) && strcmp(text, "auto") == 0) {
		*ret_value = 0;
		return 0;
	}
	switch (key->type) {
	case CONF_TYPE_NUMBER:
	case CONF_TYPE_IOPS:
	case CONF_TYPE_SIZE:
	case CONF_TYPE_BPS:
	case CONF_TYPE_TIME:
		ok = parse_scaled(suffixes_of(key->type), text, &value) && value >= key->min &&
		     value <= key->max;
		break;
	case CONF_TYPE_MODE:
		ok = parse_octal(text, &value) && value <= key->max;
		break;
	case CONF_TYPE_YESNO:
		ok = strcmp(text, "yes") == 0 || strcmp(text, "no") == 0;
		value = text[0] == 'y';
		break;
	case CONF_TYPE_CHOICE:
		while (key->choices[value] && strcmp(text, key->choices[value]) != 0)
			value++;
		ok = key->choices[value] != NULL;
		break;
	case CONF_TYPE_USER:
	case CONF_TYPE_GROUP_ID:
		rc = parse_owner(key->type == CONF_TYPE_USER, text, &value);
		if (rc != 0 && rc != -EINVAL) {
			snprintf(why, why_size, "could not be looked up: %s", strerror(-rc));
			return -EINVAL;
		}
		ok = rc == 0;
		break;
	case CONF_TYPE_PATH:
	case CONF_TYPE_NAME:
		assert(false);
	}
	if (!ok) {
		not_this(key, text, why, why_size);
		return -EINVAL;
	}
	if (key->unit != 0 && value % key->unit != 0) {
		snprintf(why, why_size, "is not a multiple of %" PRIu64, key->unit);
		return -EINVAL;
	}
	*ret_value = value;
	return 0;
}

int conf_check_string(const struct conf_key *key, const char *text, char *why, size_t why_size)
{
	const char *wrong;

	if (key->type == CONF_TYPE_PATH) {
		if (text[0] == '/')
			return 0;
		not_this(key, text, why, why_size);
		return -EINVAL;
	}
	wrong = conf_name_wrong(text);
	if (!wrong)
		return 0;
	snprintf(why, why_size, "%s", wrong);
	return -EINVAL;
}
