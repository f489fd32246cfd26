#include "dns_thread_io.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/hash.h>
#include <weave/must.h>
#include <weave/sockaddr_io.h>

#define LOOK_AGAIN_MS 1000u   /* after somebody was not found */
#define LOOK_ANYWAY_MS 30000u /* networks go, too */

void local_networks_fini(struct local_networks *l)
{
	mem_free(l->list);
	*l = (struct local_networks){ .count = 0 };
}

static uint8_t prefix_of(struct ip_addr mask)
{
	uint8_t bits = 0;

	while (bits < ip_bits(mask) && mask.b[bits / 8] & 0x80 >> bits % 8)
		bits++;
	return bits;
}

static void add(struct local_networks *l, const struct ifaddrs *i)
{
	struct local_network n = { .ifindex = (int)if_nametoindex(i->ifa_name) };
	struct netaddr address, mask;

	if (!i->ifa_addr || !i->ifa_netmask || !sockaddr_to(i->ifa_addr, &address) ||
	    !sockaddr_to(i->ifa_netmask, &mask))
		return;
	n.address = (struct cidr){ address.ip, prefix_of(mask.ip) };
	if ((l->count & (l->count - 1)) == 0)
		l->list = mem_resize(l->list, l->count ? 2 * l->count : 1, sizeof *l->list);
	l->list[l->count++] = n;
}

static void look(struct local_networks *l, struct mono now)
{
	struct ifaddrs *all = NULL;

	l->looked = now;
	if (getifaddrs(&all) < 0)
		return;
	l->count = 0;
	memset(l->known, 0, sizeof l->known);
	for (const struct ifaddrs *i = all; i; i = i->ifa_next)
		add(l, i);
	freeifaddrs(all);
}

/* This host itself, by whatever interface the kernel says that came: from outside it takes no
 * packet with a source of its own.  Or somebody on that interface's network. */
static bool is_listed(const struct local_networks *l, int ifindex, struct ip_addr ip)
{
	MUST(l->list || !l->count);
	for (size_t i = 0; i < l->count; i++) {
		const struct local_network *n = &l->list[i];

		if (ip_compare(n->address.ip, ip) == 0 ||
		    ((ifindex == 0 || n->ifindex == ifindex) && cidr_contains(n->address, ip)))
			return true;
	}
	return false;
}

bool local_networks_have(struct local_networks *l, int ifindex, struct ip_addr ip)
{
	static const struct hash_key key = { 1, 1 };
	size_t slot = hash64(&key, &ip, sizeof ip) % DNS_LOCAL_KNOWN;
	struct mono now = mono_now();

	if (!l->list || mono_elapsed(l->looked, now) >= LOOK_ANYWAY_MS)
		look(l, now);
	if (l->known[slot].ifindex == ifindex && ifindex && ip_compare(l->known[slot].ip, ip) == 0)
		return true;
	if (!is_listed(l, ifindex, ip) && mono_elapsed(l->looked, now) >= LOOK_AGAIN_MS)
		look(l, now);
	if (!is_listed(l, ifindex, ip))
		return false;
	l->known[slot].ifindex = ifindex;
	l->known[slot].ip = ip;
	return true;
}
