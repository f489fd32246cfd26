#include <weave/addr.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *peer_name_text(peer_name name, char *text)
{
	return mac_text(mac_from_u64(name), text);
}

const char *mac_text(struct mac m, char *text)
{
	snprintf(text, PEER_NAME_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", m.b[0], m.b[1], m.b[2],
		 m.b[3], m.b[4], m.b[5]);
	return text;
}

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

/* Reads up to 'max' groups of one or two hex digits; returns how many, or -1. Stops at the end of
 * the text or at "::", leaving *at there. */
static int hex_groups(const char **at, uint8_t *groups, int max)
{
	const char *p = *at;
	int n = 0;

	while (*p && n < max) {
		int high = hex_digit(*p), low;

		if (high < 0)
			return -1;
		p++;
		low = hex_digit(*p);
		if (low >= 0)
			p++;
		groups[n++] = (uint8_t)(low >= 0 ? high * 16 + low : high);
		if (*p != ':' || p[1] == ':')
			break;
		p++;
		if (!*p)
			return -1; /* ends in a single colon */
	}
	*at = p;
	return n;
}

/* Six groups, with one "::" for a run of zeroes when 'may_skip'. */
static bool six_groups(const char *text, bool may_skip, uint8_t out[6])
{
	uint8_t head[6], tail[6];
	int heads = 0, tails = 0;
	bool skipped = false;

	if (text[0] != ':') {
		heads = hex_groups(&text, head, 6);
		if (heads < 0)
			return false;
	}
	if (may_skip && text[0] == ':' && text[1] == ':') {
		skipped = true;
		text += 2;
		tails = hex_groups(&text, tail, 6);
		if (tails < 0)
			return false;
	}
	if (*text || (skipped ? heads + tails > 5 : heads != 6))
		return false;
	memset(out, 0, 6);
	memcpy(out, head, (size_t)heads);
	if (tails)
		memcpy(out + 6 - tails, tail, (size_t)tails);
	return true;
}

bool peer_name_parse(const char *text, peer_name *name)
{
	struct mac m;

	if (!six_groups(text, true, m.b) || mac_to_u64(m) == 0)
		return false;
	*name = mac_to_u64(m);
	return true;
}

bool mac_parse(const char *text, struct mac *mac)
{
	struct mac m;

	if (!six_groups(text, false, m.b))
		return false;
	*mac = m;
	return true;
}

bool mac_equal(struct mac a, struct mac b)
{
	return memcmp(a.b, b.b, 6) == 0;
}

uint64_t mac_to_u64(struct mac m)
{
	uint64_t v = 0;

	for (int i = 0; i < 6; i++)
		v = v << 8 | m.b[i];
	return v;
}

struct mac mac_from_u64(uint64_t v)
{
	struct mac m;

	for (int i = 5; i >= 0; i--, v >>= 8)
		m.b[i] = (uint8_t)v;
	return m;
}

const char *ip_text(struct ip_addr ip, char *text)
{
	if (ip.family == 0)
		return strcpy(text, "-");
	inet_ntop(ip.family == 4 ? AF_INET : AF_INET6, ip.b, text, IP_TEXT_SIZE);
	return text;
}

bool ip_parse(const char *text, struct ip_addr *ip)
{
	struct ip_addr out = { 0 };

	if (inet_pton(AF_INET, text, out.b) == 1)
		out.family = 4;
	else if (memset(out.b, 0, sizeof out.b), inet_pton(AF_INET6, text, out.b) == 1)
		out.family = 6;
	else
		return false;
	*ip = out;
	return true;
}

int ip_compare(struct ip_addr a, struct ip_addr b)
{
	if (a.family != b.family)
		return a.family < b.family ? -1 : 1;
	return memcmp(a.b, b.b, ip_bits(a) / 8);
}

const char *cidr_text(struct cidr cidr, char *text)
{
	char ip[IP_TEXT_SIZE];

	snprintf(text, CIDR_TEXT_SIZE, "%s/%u", ip_text(cidr.ip, ip), cidr.prefix);
	return text;
}

/* A decimal number without sign or leading blanks, at most 'max'. */
static bool number_parse(const char *text, unsigned max, unsigned *out)
{
	unsigned v = 0;

	if (!*text || strlen(text) > 5)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		v = v * 10 + (unsigned)(*text - '0');
	}
	if (v > max)
		return false;
	*out = v;
	return true;
}

bool cidr_parse(const char *text, struct cidr *cidr)
{
	const char *slash = strchr(text, '/');
	char ip[IP_TEXT_SIZE];
	struct cidr out;
	unsigned prefix;

	if (!slash || (size_t)(slash - text) >= sizeof ip)
		return false;
	memcpy(ip, text, (size_t)(slash - text));
	ip[slash - text] = 0;
	if (!ip_parse(ip, &out.ip) || !number_parse(slash + 1, ip_bits(out.ip), &prefix))
		return false;
	out.prefix = (uint8_t)prefix;
	*cidr = out;
	return true;
}

struct cidr cidr_network(struct cidr c)
{
	unsigned byte = c.prefix / 8;

	if (byte < ip_bits(c.ip) / 8)
		c.ip.b[byte++] &= (uint8_t) ~(0xffu >> c.prefix % 8);
	while (byte < ip_bits(c.ip) / 8)
		c.ip.b[byte++] = 0;
	return c;
}

bool cidr_contains(struct cidr c, struct ip_addr ip)
{
	struct cidr host = { ip, c.prefix };

	if (ip.family != c.ip.family)
		return false;
	return ip_compare(cidr_network(c).ip, cidr_network(host).ip) == 0;
}

bool cidr_overlaps(struct cidr a, struct cidr b)
{
	return a.prefix <= b.prefix ? cidr_contains(a, b.ip) : cidr_contains(b, a.ip);
}

const char *netaddr_text(struct netaddr a, char *text)
{
	char ip[IP_TEXT_SIZE];

	snprintf(text, ENDPOINT_TEXT_SIZE, a.ip.family == 6 ? "[%s]:%u" : "%s:%u",
		 ip_text(a.ip, ip), a.port);
	return text;
}

bool netaddr_parse(const char *text, uint16_t default_port, struct netaddr *a)
{
	struct netaddr out = { .port = default_port };
	const char *colon = strrchr(text, ':');
	char host[IP_TEXT_SIZE];
	unsigned port;
	size_t n = strlen(text);

	if (text[0] == '[') {
		const char *close = strchr(text, ']');

		if (!close || (close[1] && close[1] != ':'))
			return false;
		colon = close[1] ? close + 1 : NULL;
		text++;
		n = (size_t)(close - text);
	} else if (colon && strchr(text, ':') == colon) {
		n = (size_t)(colon - text);
	} else {
		colon = NULL; /* none, or a bare IPv6 address */
	}
	if (n >= sizeof host)
		return false;
	memcpy(host, text, n);
	host[n] = 0;
	if (!ip_parse(host, &out.ip))
		return false;
	if (colon) {
		if (!number_parse(colon + 1, UINT16_MAX, &port) || port == 0)
			return false;
		out.port = (uint16_t)port;
	}
	*a = out;
	return true;
}

int netaddr_compare(struct netaddr a, struct netaddr b)
{
	int c = ip_compare(a.ip, b.ip);

	if (c)
		return c;
	return a.port < b.port ? -1 : a.port > b.port;
}
