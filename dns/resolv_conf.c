#include "resolv_conf.h"

#include <string.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* "nameserver <address>"; behind it anything may follow. */
static bool parse_line(const char *at, const char *end, struct ip_addr *ip)
{
	static const char word[] = "nameserver";
	char text[IP_TEXT_SIZE];
	size_t size = 0;

	while (at < end && is_blank(*at))
		at++;
	if ((size_t)(end - at) < sizeof word || memcmp(at, word, sizeof word - 1) != 0)
		return false;
	at += sizeof word - 1;
	if (!is_blank(*at))
		return false;
	while (at < end && is_blank(*at))
		at++;
	while (at + size < end && !is_blank(at[size]))
		size++;
	if (size == 0 || size >= sizeof text)
		return false;
	memcpy(text, at, size);
	text[size] = '\0';
	return ip_parse(text, ip);
}

size_t resolv_conf_parse(const char *text, size_t size, struct netaddr *out, size_t max)
{
	const char *end;
	size_t count = 0;

	if (size == 0)
		return 0; // 'text' may be NULL
	end = text + size;
	while (text < end && count < max) {
		const char *line_end = memchr(text, '\n', (size_t)(end - text));
		struct netaddr a = { .port = DNS_PORT };
		bool known = false;

		if (!line_end)
			line_end = end;
		if (parse_line(text, line_end, &a.ip)) {
			for (size_t i = 0; i < count; i++)
				known = known || netaddr_compare(out[i], a) == 0;
			if (!known)
				out[count++] = a;
		}
		text = line_end + (line_end < end);
	}
	return count;
}
