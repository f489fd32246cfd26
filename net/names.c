#include "names.h"

#include <stdio.h>
#include <string.h>

#include <weave/hash.h>
#include <weave/net_segment.h>
#include <weave/net_tunnel.h>

static bool letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool net_name_valid(const char *name)
{
	size_t n = 0;

	if (!letter(name[0]))
		return false;
	for (; name[n]; n++) {
		char c = name[n];

		if (n + 1 == NET_NAME_SIZE)
			return false;
		if (!letter(c) && !(c >= '0' && c <= '9') && c != '.' && c != '_' && c != '-')
			return false;
	}
	/* Both stand for all interfaces under /proc/sys/net. */
	return strcmp(name, "all") != 0 && strcmp(name, "default") != 0;
}

/* Fixed: the same in every run. */
static unsigned mark_of(const char *bridge)
{
	static const struct hash_key key = { 0x7765617665, 1 };

	return (unsigned)(hash64(&key, bridge, strlen(bridge)) & 0xfffffff);
}

uint32_t net_bridge_mark(const char *bridge)
{
	return mark_of(bridge) | 0x10000000u;
}

static bool read_hex(const char *text, size_t digits, uint32_t *out)
{
	uint32_t v = 0;

	for (size_t i = 0; i < digits; i++) {
		char c = text[i];

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint32_t)(c - 'a' + 10);
		else
			return false;
	}
	*out = v;
	return text[digits] == 0;
}

void net_segment_name(const char *main, uint32_t segment, char *name)
{
	if (strcmp(main, "weave") == 0)
		snprintf(name, NET_NAME_SIZE, "weave-%06x", segment & 0xffffff);
	else
		snprintf(name, NET_NAME_SIZE, "w%07x-%06x", mark_of(main), segment & 0xffffff);
}

bool net_segment_number(const char *main, const char *name, uint32_t *segment)
{
	char expected[NET_NAME_SIZE];
	const char *digits = strrchr(name, '-');

	if (!digits || !read_hex(digits + 1, 6, segment) || *segment == SEGMENT_DEFAULT ||
	    *segment > SEGMENT_MAX)
		return false;
	net_segment_name(main, *segment, expected);
	return strcmp(name, expected) == 0;
}

bool net_bridge_names(const char *bridge, struct net_bridge_names *names)
{
	unsigned mark;
	uint32_t segment;

	if (!net_name_valid(bridge) || strncmp(bridge, "vethw", 5) == 0)
		return false;
	memset(names, 0, sizeof *names);
	snprintf(names->bridge, sizeof names->bridge, "%s", bridge);
	if (strcmp(bridge, "weave") == 0) {
		snprintf(names->port, sizeof names->port, "vethwe-bridge");
		snprintf(names->capture, sizeof names->capture, "vethwe-pcap");
		snprintf(names->table, sizeof names->table, "weave");
		return true;
	}
	/* Of segments there are many: no two of these may ever be the same. */
	if (net_segment_number("weave", bridge, &segment)) {
		snprintf(names->port, sizeof names->port, "vethwe-b%06x", segment);
		snprintf(names->capture, sizeof names->capture, "vethwe-p%06x", segment);
		snprintf(names->table, sizeof names->table, "weave_%s", bridge);
		return true;
	}
	mark = mark_of(bridge);
	snprintf(names->port, sizeof names->port, "vethwe-b%07x", mark);
	snprintf(names->capture, sizeof names->capture, "vethwe-p%07x", mark);
	snprintf(names->table, sizeof names->table, "weave_%s", bridge);
	return true;
}

bool net_alias(const char *bridge, const char *rest, char *alias)
{
	int n = snprintf(alias, NET_ALIAS_SIZE, "weave/1 %s %s", bridge, rest);

	return n > 0 && (size_t)n < NET_ALIAS_SIZE;
}

const char *net_alias_rest(const char *alias, const char *bridge)
{
	char start[NET_NAME_SIZE + 16];
	int n = snprintf(start, sizeof start, "weave/1 %s ", bridge);

	return strncmp(alias, start, (size_t)n) == 0 ? alias + n : NULL;
}

bool alias_is_ours(const char *alias, const char *bridge)
{
	return net_alias_rest(alias, bridge) != NULL;
}

bool link_is_ours(const struct net_link *link, const struct net_bridge_names *names,
		  int bridge_ifindex)
{
	bool ours = alias_is_ours(link->alias, names->bridge);

	if (strcmp(link->kind, "tun") == 0)
		return strcmp(link->name, names->port) == 0;
	if (strcmp(link->kind, "veth") != 0)
		return false;
	if (strcmp(link->name, names->port) == 0 || strcmp(link->name, names->capture) == 0)
		return true;
	if (strncmp(link->name, "vethwe", 6) != 0 && strncmp(link->name, "vethwl", 6) != 0)
		return false;
	return ours || (bridge_ifindex && link->master == bridge_ifindex);
}
