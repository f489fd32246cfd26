#include "expose.h"

#include <errno.h>
#include <string.h>

#include "attach.h"

struct exposed *expose_find(struct expose_set *set, struct ip_addr ip)
{
	for (uint32_t i = 0; i < set->count; i++)
		if (ip_compare(set->items[i].cidr.ip, ip) == 0)
			return &set->items[i];
	return NULL;
}

static int plan_one(struct expose_set *after, struct exposed item, const struct attachment *list,
		    size_t list_count, struct why *why)
{
	const struct attachment *holder = attachment_with_ip(item.cidr.ip, list, list_count, NULL);
	struct exposed *same = expose_find(after, item.cidr.ip);
	char a[CIDR_TEXT_SIZE], b[CIDR_TEXT_SIZE];
	int rc = attach_check_cidr(item.cidr, why);

	if (rc)
		return rc;
	if (holder) {
		why_set(why, WHY_INVALID, "%s is taken already, by %.90s", cidr_text(item.cidr, a),
			holder->id);
		return -EEXIST;
	}
	if (same && same->cidr.prefix != item.cidr.prefix) {
		why_set(why, WHY_INVALID, "%s is exposed already, which differs from %s",
			cidr_text(same->cidr, a), cidr_text(item.cidr, b));
		return -EEXIST;
	}
	if (same) {
		same->masquerade = item.masquerade;
		return 0;
	}
	if (after->count == ATTACH_CIDRS_MAX) {
		why_set(why, WHY_INVALID, "more than %u addresses would be exposed",
			ATTACH_CIDRS_MAX);
		return -E2BIG;
	}
	after->items[after->count++] = item;
	return 0;
}

int expose_plan(const struct expose_set *before, const struct exposed *items, size_t count,
		const struct attachment *list, size_t list_count, struct expose_set *after,
		struct why *why)
{
	int rc = 0;

	*after = *before;
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = plan_one(after, items[i], list, list_count, why);
	return rc;
}

void expose_split(const struct expose_set *before, const struct cidr *cidrs, size_t count,
		  struct expose_set *stays, struct expose_set *goes)
{
	stays->count = goes->count = 0;
	for (uint32_t i = 0; i < before->count; i++) {
		bool all = count == 0;
		struct expose_set *to = all || cidr_listed(before->items[i].cidr, cidrs, count)
						? goes
						: stays;

		to->items[to->count++] = before->items[i];
	}
}

/* ---- rules ---- */

static void write_set(const struct expose_set *set, uint8_t family, struct text *out)
{
	char ip[IP_TEXT_SIZE];
	bool first = true;

	text_add(out, "\tset %s {\n\t\ttype ipv%u_addr\n",
		 family == 4 ? EXPOSE_SET_V4 : EXPOSE_SET_V6, family);
	for (uint32_t i = 0; i < set->count; i++) {
		if (set->items[i].masquerade || set->items[i].cidr.ip.family != family)
			continue;
		text_add(out, "%s%s", first ? "\t\telements = { " : ", ",
			 ip_text(set->items[i].cidr.ip, ip));
		first = false;
	}
	text_add_string(out, first ? "\t}\n" : " }\n\t}\n");
}

/* Two addresses of one subnet need its rules once. */
static bool is_first_of_network(const struct expose_set *set, uint32_t index)
{
	struct cidr network = cidr_network(set->items[index].cidr);

	for (uint32_t i = 0; i < index; i++) {
		struct cidr other = cidr_network(set->items[i].cidr);

		if (set->items[i].masquerade && other.prefix == network.prefix &&
		    ip_compare(other.ip, network.ip) == 0)
			return false;
	}
	return true;
}

static void write_masquerade(struct cidr network, struct text *out)
{
	const char *ip = network.ip.family == 4 ? "ip" : "ip6";
	char net[CIDR_TEXT_SIZE];

	cidr_text(network, net);
	/* Group members need the true source, and a broadcast never leaves the subnet. */
	if (network.ip.family == 4)
		text_add(out, "\t\tip saddr %s ip daddr { 224.0.0.0/4, 255.255.255.255 } return\n",
			 net);
	else
		text_add(out, "\t\tip6 saddr %s ip6 daddr ff00::/8 return\n", net);
	/* Ports drawn at random: parallel queries from one socket must not collide in conntrack. */
	text_add(out, "\t\t%s saddr %s %s daddr != %s masquerade fully-random\n", ip, net, ip, net);
	text_add(out, "\t\t%s saddr != %s %s daddr %s masquerade fully-random\n", ip, net, ip, net);
}

void expose_rules(const char *table, const struct expose_set *set, struct text *out)
{
	bool any = false;

	/* Adding first makes the deletion valid whether there was one or not. */
	text_add(out, "table inet %s\ndelete table inet %s\n", table, table);
	if (set->count == 0)
		return;
	text_add(out, "table inet %s {\n", table);
	write_set(set, 4, out);
	write_set(set, 6, out);
	for (uint32_t i = 0; i < set->count; i++) {
		if (!set->items[i].masquerade || !is_first_of_network(set, i))
			continue;
		if (!any)
			text_add_string(out, "\tchain postrouting {\n\t\ttype nat hook postrouting "
					     "priority 100; policy accept;\n");
		any = true;
		write_masquerade(cidr_network(set->items[i].cidr), out);
	}
	text_add_string(out, any ? "\t}\n}\n" : "}\n");
}
