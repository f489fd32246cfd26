#include <weave/attach.h>

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include <weave/alloc.h>

#include "attach.h"
#include "attach_io.h"
#include "expose.h"

/* ---- rules in the kernel ---- */

static int write_rules(const struct net_bridge *bridge, const struct expose_set *set,
		       struct why *why)
{
	struct text commands = { 0 };
	bool exists = false;
	int rc;

	/* Nothing exposed and nothing there: a kernel without nftables is fine. */
	if (set->count == 0 && (net_nft_table_exists(bridge->names.table, &exists, why) || !exists))
		return 0;
	expose_rules(bridge->names.table, set, &commands);
	rc = net_nft(text_string(&commands), NULL, why);
	text_fini(&commands);
	return rc;
}

/* Takes masquerading away from the addresses that the kernel's set lists. */
static void take_marks(struct expose_set *set, const char *listing)
{
	json_t *root = json_loads(listing, 0, NULL), *object, *element;
	size_t i, j = 0;

	json_array_foreach(json_object_get(root, "nftables"), i, object)
	{
		json_t *elements = json_object_get(json_object_get(object, "set"), "elem");

		json_array_foreach(elements, j, element)
		{
			const char *text = json_string_value(element);
			struct exposed *item;
			struct ip_addr ip;

			item = text && ip_parse(text, &ip) ? expose_find(set, ip) : NULL;
			if (item)
				item->masquerade = false;
		}
	}
	json_decref(root);
}

static int read_marks(const struct net_bridge *bridge, struct expose_set *set, struct why *why)
{
	static const char *const names[] = { EXPOSE_SET_V4, EXPOSE_SET_V6 };
	bool exists;
	int rc = net_nft_table_exists(bridge->names.table, &exists, why);

	for (size_t i = 0; rc == 0 && exists && i < sizeof names / sizeof names[0]; i++) {
		char command[96], *listing = NULL;
		struct why ignored;

		snprintf(command, sizeof command, "list set inet %s %s", bridge->names.table,
			 names[i]);
		/* A table of ours without our sets was edited by hand: then there are no marks. */
		if (net_nft(command, &listing, &ignored) == 0)
			take_marks(set, listing);
		mem_free(listing);
	}
	return rc;
}

int expose_load(struct net *net, const struct net_bridge *bridge, struct expose_set *set,
		struct why *why)
{
	struct cidr cidrs[ATTACH_CIDRS_MAX];
	struct expose_set out = { 0 };
	uint32_t count;
	int rc = explain(
		net, link_cidrs(net, bridge->bridge_ifindex, cidrs, &count, ATTACH_CIDRS_MAX), why);

	if (rc)
		return rc;
	for (uint32_t i = 0; i < count; i++)
		out.items[out.count++] = (struct exposed){ cidrs[i], true };
	rc = out.count ? read_marks(bridge, &out, why) : 0;
	if (rc == 0)
		rc = write_rules(bridge, &out, why);
	if (rc == 0)
		*set = out;
	return rc;
}

/* ---- addresses of the bridge ---- */

static int allow_ipv6(const struct net_bridge *bridge, struct why *why)
{
	char path[64];
	int rc;

	snprintf(path, sizeof path, "ipv6/conf/%s/disable_ipv6", bridge->names.bridge);
	rc = net_sysctl(path, "0");
	if (rc)
		why_set(why, WHY_INVALID, "cannot write sysctl %s: %s", path, strerror(-rc));
	return rc;
}

/* Adds what is missing of 'set'; 'added' tells what. On failure all of that is taken back. */
static int add_addresses(struct net *net, const struct net_bridge *bridge,
			 const struct expose_set *set, struct expose_set *added, struct why *why)
{
	int rc = 0;

	added->count = 0;
	for (uint32_t i = 0; rc == 0 && i < set->count; i++) {
		if (set->items[i].cidr.ip.family == 6)
			rc = allow_ipv6(bridge, why);
		if (rc)
			break;
		rc = net_address_add(net, bridge->bridge_ifindex, set->items[i].cidr);
		if (rc == 0)
			added->items[added->count++] = set->items[i];
		else
			rc = rc == -EEXIST ? 0 : explain(net, rc, why);
	}
	for (uint32_t i = 0; rc && i < added->count; i++)
		net_address_remove(net, bridge->bridge_ifindex, added->items[i].cidr);
	return rc;
}

void expose_announce(const struct net_bridge *bridge, const struct expose_set *set)
{
	/* Only a hint for caches elsewhere, which notice without it after some seconds. */
	for (uint32_t i = 0; i < set->count; i++)
		net_announce(bridge->bridge_ifindex, bridge->mac, set->items[i].cidr.ip);
}

int expose_assert(struct net *net, const struct net_bridge *bridge, const struct expose_set *set,
		  struct why *why)
{
	struct expose_set added;
	int rc = add_addresses(net, bridge, set, &added, why);

	if (rc)
		return rc;
	rc = write_rules(bridge, set, why);
	for (uint32_t i = 0; rc && i < added.count; i++)
		net_address_remove(net, bridge->bridge_ifindex, added.items[i].cidr);
	if (rc == 0)
		expose_announce(bridge, &added);
	return rc;
}

int expose_add(struct net *net, const struct net_bridge *bridge, struct expose_set *set,
	       const struct exposed *items, size_t count, struct why *why)
{
	struct attachment *list;
	struct expose_set after;
	size_t list_count;
	int rc = attach_list(net, bridge, &list, &list_count, why);

	if (rc == 0)
		rc = expose_plan(set, items, count, list, list_count, &after, why);
	if (rc == 0)
		rc = expose_assert(net, bridge, &after, why);
	if (rc == 0)
		*set = after;
	mem_free(list);
	return rc;
}

int expose_remove(struct net *net, const struct net_bridge *bridge, struct expose_set *set,
		  const struct cidr *cidrs, size_t count, struct expose_set *removed,
		  struct why *why)
{
	struct expose_set stays, goes, again;
	struct why ignored;
	int rc = 0;

	expose_split(set, cidrs, count, &stays, &goes);
	for (uint32_t i = 0; rc == 0 && i < goes.count; i++) {
		rc = net_address_remove(net, bridge->bridge_ifindex, goes.items[i].cidr);
		rc = rc == -EADDRNOTAVAIL ? 0 : explain(net, rc, why);
	}
	/* Also puts back secondary addresses, should they have gone with their primary. */
	if (rc == 0)
		rc = expose_assert(net, bridge, &stays, why);
	if (rc) {
		add_addresses(net, bridge, set, &again, &ignored);
		return rc;
	}
	*set = stays;
	if (removed)
		*removed = goes;
	return 0;
}
