#include <weave/hostname.h>

#include <stddef.h>
#include <string.h>

#define LABEL_MAX 63u

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool is_name_byte(char c)
{
	return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '_';
}

static const char *check_text(const char *text, size_t size)
{
	size_t label = 0;

	if (size == 0)
		return "it is empty";
	if (size > HOSTNAME_MAX)
		return "it is longer than 253 bytes";
	for (size_t i = 0; i < size; i++) {
		if (text[i] == '.' && label == 0)
			return "it has an empty label";
		if (text[i] != '.' && !is_name_byte(text[i]))
			return "it has other bytes than letters, digits, '-' and '_'";
		label = text[i] == '.' ? 0 : label + 1;
		if (label > LABEL_MAX)
			return "it has a label of more than 63 bytes";
	}
	return label ? NULL : "it has an empty label";
}

const char *hostname_check(const char *text, char *out)
{
	size_t size = strlen(text);
	const char *bad;

	if (size && text[size - 1] == '.')
		size--;
	bad = check_text(text, size);
	if (!bad && out) {
		memcpy(out, text, size);
		out[size] = '\0';
	}
	return bad;
}

bool hostname_equal(const char *a, const char *b)
{
	while (*a && lower(*a) == lower(*b)) {
		a++;
		b++;
	}
	return lower(*a) == lower(*b);
}

bool hostname_is_within(const char *name, const char *domain)
{
	size_t n = strlen(name), d = strlen(domain);

	return n >= d && hostname_equal(name + (n - d), domain) &&
	       (n == d || name[n - d - 1] == '.');
}
