#include "query.h"

#include <string.h>

#include <sodium.h>

#include <weave/alloc.h>

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

char *query_decode(const char *text, size_t size, bool plus_is_blank)
{
	char *out = mem_new(size + 1, 1), *to = out;

	for (size_t i = 0; i < size; i++) {
		char c = text[i];

		if (c == '%') {
			int high = size - i > 2 ? hex_digit(text[i + 1]) : -1;
			int low = size - i > 2 ? hex_digit(text[i + 2]) : -1;

			if (high < 0 || low < 0)
				goto malformed;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (c == '+' && plus_is_blank) {
			c = ' ';
		}
		if (c == '\0')
			goto malformed;
		*to++ = c;
	}
	return out;
malformed:
	mem_free(out);
	return NULL;
}

static bool add_parameter(struct query *q, const char *text, size_t size, struct why *why)
{
	const char *equals = memchr(text, '=', size);
	size_t name_size = equals ? (size_t)(equals - text) : size;
	size_t value_size = equals ? size - name_size - 1 : 0;
	char *name, *value;

	if (q->count == QUERY_PARAMETERS_MAX) {
		why_set(why, WHY_INVALID, "more than %u parameters", QUERY_PARAMETERS_MAX);
		return false;
	}
	name = query_decode(text, name_size, true);
	value = query_decode(equals ? equals + 1 : "", value_size, true);
	if (!name || !value) {
		why_set(why, WHY_INVALID, "parameter '%.*s': malformed percent-encoding",
			(int)(name_size < 60 ? name_size : 60), text);
		mem_free(name);
		mem_free(value);
		return false;
	}
	if ((q->count & (q->count - 1)) == 0)
		q->list = mem_resize(q->list, q->count ? 2 * q->count : 1, sizeof *q->list);
	q->list[q->count++] = (struct query_parameter){ name, value };
	return true;
}

bool query_add(struct query *q, const char *text, size_t size, struct why *why)
{
	const char *at = text, *end = size ? text + size : text;

	while (at < end) {
		const char *stop = memchr(at, '&', (size_t)(end - at));

		if (!stop)
			stop = end;
		if (stop > at && !add_parameter(q, at, (size_t)(stop - at), why))
			return false;
		at = stop < end ? stop + 1 : end;
	}
	return true;
}

void query_fini(struct query *q)
{
	for (size_t i = 0; i < q->count; i++) {
		/* It may be a password. */
		sodium_memzero(q->list[i].value, strlen(q->list[i].value));
		mem_free(q->list[i].name);
		mem_free(q->list[i].value);
	}
	mem_free(q->list);
	*q = (struct query){ 0 };
}

const char *query_get(const struct query *q, const char *name)
{
	for (size_t i = q->count; i > 0; i--)
		if (strcmp(q->list[i - 1].name, name) == 0)
			return q->list[i - 1].value;
	return NULL;
}
