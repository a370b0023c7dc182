/* SPDX-License-Identifier: MIT */
/* text.c - see text.h. */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_BYTES ((size_t)4096)

void text_free(struct text *text)
{
	free(text->data);
	*text = (struct text){0};
}

/* Room for so many bytes more, and a NUL. */
static bool reserve(struct text *text, size_t bytes)
{
	size_t size = text->size ? text->size : LEAST_BYTES;
	char *data;

	if (text->failed)
		return false;
	while (size - text->len <= bytes)
		size *= 2;
	if (size == text->size)
		return true;
	data = realloc(text->data, size);
	text->failed = !data;
	if (data) {
		text->data = data;
		text->size = size;
	}
	return data != NULL;
}

static void add_bytes(struct text *text, const char *bytes, size_t n)
{
	if (!reserve(text, n))
		return;
	memcpy(text->data + text->len, bytes, n);
	text->len += n;
}

void text_add(struct text *text, const char *string)
{
	add_bytes(text, string, strlen(string));
}

void text_printf(struct text *text, const char *fmt, ...)
{
	size_t room = 80; /* nearly always enough */

	while (reserve(text, room)) {
		va_list args;
		int n;

		va_start(args, fmt);
		n = vsnprintf(text->data + text->len, text->size - text->len, fmt, args);
		va_end(args);
		if (n < 0)
			return;
		if ((size_t)n < text->size - text->len) {
			text->len += (size_t)n;
			return;
		}
		room = (size_t)n;
	}
}

/* Bytes of the UTF-8 sequence at s, which ends with a NUL; 0: it is none. */
static size_t utf8_bytes(const unsigned char *s)
{
	static const struct {
		unsigned char mask, lead;
		uint32_t least;
	} kinds[] = {{0x80, 0, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
	uint32_t code;

	for (size_t n = 0; n < sizeof(kinds) / sizeof(kinds[0]); n++) {
		if ((s[0] & kinds[n].mask) != kinds[n].lead)
			continue;
		code = s[0] & (unsigned char)~kinds[n].mask;
		for (size_t i = 1; i <= n; i++) {
			if ((s[i] & 0xc0) != 0x80)
				return 0;
			code = code << 6 | (s[i] & 0x3fU);
		}
		return code < kinds[n].least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)
			       ? 0
			       : n + 1;
	}
	return 0;
}

/* Of those that stand for themselves in any format. */
static size_t plain_bytes(const unsigned char *s)
{
	size_t n = 0;

	while (s[n] >= 0x20 && s[n] < 0x7f && s[n] != '"' && s[n] != '\\')
		n++;
	return n;
}

/* In quotes; escape puts in what must not stand there as it is, and says so. */
static void quoted(struct text *text, const char *string,
		   bool (*escape)(struct text *text, unsigned char c))
{
	add_bytes(text, "\"", 1);
	for (const unsigned char *s = (const unsigned char *)string; *s;) {
		size_t n = plain_bytes(s);

		if (n) {
			add_bytes(text, (const char *)s, n);
			s += n;
			continue;
		}
		n = utf8_bytes(s);
		if (!n)
			text_add(text, "\xef\xbf\xbd"); /* U+FFFD */
		else if (n > 1 || !escape(text, *s))
			add_bytes(text, (const char *)s, n);
		s += n ? n : 1;
	}
	add_bytes(text, "\"", 1);
}

static bool escape_json(struct text *text, unsigned char c)
{
	if (c >= 0x20 && c != '"' && c != '\\')
		return false;
	if (c < 0x20)
		text_printf(text, "\\u%04x", c);
	else
		text_printf(text, "\\%c", c);
	return true;
}

void text_json_string(struct text *text, const char *string)
{
	if (string)
		quoted(text, string, escape_json);
	else
		text_add(text, "null");
}

void text_json_key(struct text *text, const char *name)
{
	char last = text->len ? text->data[text->len - 1] : '{';

	if (last != '{' && last != '[')
		text_add(text, ",");
	if (!name)
		return;
	text_json_string(text, name);
	text_add(text, ":");
}

static bool escape_prom(struct text *text, unsigned char c)
{
	if (c != '"' && c != '\\' && c != '\n')
		return false;
	text_add(text, c == '"' ? "\\\"" : c == '\\' ? "\\\\" : "\\n");
	return true;
}

void text_prom_string(struct text *text, const char *string)
{
	quoted(text, string, escape_prom);
}

/* Without printf(): a status is mostly numbers. */
void text_fixed(struct text *text, uint64_t value, unsigned places)
{
	char digits[24], *at = digits + sizeof(digits);

	for (unsigned i = 0; value || i <= places; i++) {
		if (places && i == places)
			*--at = '.';
		*--at = (char)('0' + value % 10);
		value /= 10;
	}
	add_bytes(text, at, (size_t)(digits + sizeof(digits) - at));
}

void text_tame(char *string)
{
	for (unsigned char *c = (unsigned char *)string; *c; c++)
		if (*c < 0x20 || *c == 0x7f)
			*c = '?';
		else if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
			c[0] = c[1] = '?';
}
