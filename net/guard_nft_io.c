#include "guard_nft_io.h"

#include <errno.h>
#include <stdio.h>

#define COMMANDS_SIZE 2048u

static int table_of(const char *bridge, char table[static 64], struct why *why)
{
	struct net_bridge_names names;

	if (!net_bridge_names(bridge, &names)) {
		why_set(why, WHY_INVALID, "not a bridge's name: %s", bridge);
		return -EINVAL;
	}
	snprintf(table, 64, "%s_sealed", names.table);
	return 0;
}

static const char *set_of(const struct net_guard *g)
{
	return g->remote.family == 6 ? "sealed6" : "sealed4";
}

/* Where a packet leaves, 'rt ipsec' tells whether IPsec is still to come; the packet that it makes
 * is ESP, not UDP.  Where one is taken, 'meta ipsec' tells whether it came out of ESP. */
int guard_nft_add(const struct net_guard *g, struct why *why)
{
	char table[64], commands[COMMANDS_SIZE], ip[IP_TEXT_SIZE];
	int rc = table_of(g->bridge, table, why);

	if (rc)
		return rc;
	snprintf(commands, sizeof commands,
		 "table inet %s {\n"
		 "  set sealed4 { type ipv4_addr; }\n"
		 "  set sealed6 { type ipv6_addr; }\n"
		 "  chain out { type filter hook postrouting priority 300; }\n"
		 "  chain in { type filter hook input priority -300; }\n"
		 "}\n"
		 "flush chain inet %s out\n"
		 "flush chain inet %s in\n"
		 "table inet %s {\n"
		 "  chain out {\n"
		 "    ip daddr @sealed4 udp dport %u rt ipsec missing drop\n"
		 "    ip6 daddr @sealed6 udp dport %u rt ipsec missing drop\n"
		 "  }\n"
		 "  chain in {\n"
		 "    ip saddr @sealed4 udp dport %u meta ipsec missing drop\n"
		 "    ip6 saddr @sealed6 udp dport %u meta ipsec missing drop\n"
		 "  }\n"
		 "}\n"
		 "add element inet %s %s { %s }\n",
		 table, table, table, table, g->port, g->port, g->port, g->port, table, set_of(g),
		 ip_text(g->remote, ip));
	return net_nft(commands, NULL, why);
}

int guard_nft_remove(const struct net_guard *g, struct why *why)
{
	char table[64], commands[COMMANDS_SIZE], ip[IP_TEXT_SIZE];
	bool exists = false;
	int rc = table_of(g->bridge, table, why);

	if (!rc)
		rc = net_nft_table_exists(table, &exists, why);
	if (rc || !exists)
		return rc;
	/* Added first, so that one that is gone is no mistake. */
	ip_text(g->remote, ip);
	snprintf(commands, sizeof commands,
		 "add element inet %s %s { %s }\ndelete element inet %s %s { %s }\n", table,
		 set_of(g), ip, table, set_of(g), ip);
	return net_nft(commands, NULL, why);
}

bool guard_nft_exists(const char *bridge)
{
	char table[64];
	struct why why;
	bool exists = false;

	return !table_of(bridge, table, &why) && !net_nft_table_exists(table, &exists, &why) &&
	       exists;
}

int guard_nft_remove_all(const char *bridge, struct why *why)
{
	char table[64], commands[COMMANDS_SIZE];

	if (!guard_nft_exists(bridge) || table_of(bridge, table, why))
		return 0;
	snprintf(commands, sizeof commands, "delete table inet %s\n", table);
	return net_nft(commands, NULL, why);
}
