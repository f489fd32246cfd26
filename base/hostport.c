#include <weave/hostport.h>

#include <string.h>

static bool parse_port(const char *text, uint16_t *port)
{
	unsigned value = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (unsigned)(*text - '0');
		if (value > UINT16_MAX)
			return false;
	}
	*port = (uint16_t)value;
	return value > 0;
}

/* Labels of letters, digits, '-' and '_', separated by single dots; one dot may end the name. */
static bool valid_name(const char *name)
{
	size_t label = 0;

	for (const char *p = name; *p; p++) {
		bool inside = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			      (*p >= '0' && *p <= '9') || *p == '_' || (*p == '-' && label > 0);

		if (*p == '.' && label == 0)
			return false;
		if (!inside && *p != '.')
			return false;
		label = inside ? label + 1 : 0;
		if (label > 63)
			return false;
	}
	return *name != '\0';
}

/* "1.2.3" and "1.2.3.400" are mistyped addresses, not names: no top-level domain is a number. */
static bool looks_numeric(const char *name)
{
	return name[strspn(name, "0123456789.")] == '\0';
}

static bool refuse(struct why *why, const char *text, const char *what)
{
	why_set(why, WHY_INVALID, "peer '%.100s': %s", text, what);
	return false;
}

bool hostport_parse(const char *text, struct hostport *out, struct why *why)
{
	const char *host = text, *end, *port = NULL;
	size_t size;

	*out = (struct hostport){ 0 };
	if (*text == '[') {
		host = text + 1;
		end = strchr(host, ']');
		if (!end || (end[1] != '\0' && end[1] != ':'))
			return refuse(why, text, "expected [address] or [address]:port");
		port = end[1] == ':' ? end + 2 : NULL;
	} else {
		end = strchr(text, ':');
		if (end && strchr(end + 1, ':'))
			end = NULL; /* two colons: an IPv6 address without a port */
		port = end ? end + 1 : NULL;
		end = end ? end : text + strlen(text);
	}
	size = (size_t)(end - host);
	if (size == 0)
		return refuse(why, text, "the host is missing");
	if (size >= sizeof out->host)
		return refuse(why, text, "the host name is too long");
	memcpy(out->host, host, size);
	if (port && !parse_port(port, &out->port))
		return refuse(why, text, "the port is not a number from 1 to 65535");
	out->literal = ip_parse(out->host, &out->ip);
	if (*text == '[' && (!out->literal || out->ip.family != 6))
		return refuse(why, text, "there is no IPv6 address between the brackets");
	if (!out->literal && (!valid_name(out->host) || looks_numeric(out->host)))
		return refuse(why, text, "not an IP address or host name");
	return true;
}
