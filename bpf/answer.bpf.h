/* Answering a container's question who has an IP address, on the spot: ARP (RFC 826) and neighbour
 * solicitations (RFC 4861 7.2.3, 7.2.4), for addresses that exactly one known endpoint has.  Then
 * nobody else hears of it.
 *
 * All else passes and is a broadcast as before: addresses that nobody is known to have, probes of
 * an address before it is used (RFC 5227, 4862), announcements, and whatever is unusual.
 */
#ifndef WEAVE_BPF_ANSWER_BPF_H
#define WEAVE_BPF_ANSWER_BPF_H

#include "decide.bpf.h"
#include "vxlan.bpf.h"

#define ARP_ETHERNET 1u
#define ARP_REQUEST 1u
#define ARP_REPLY 2u
#define NEXT_ICMPV6 58u
#define ND_SOLICITATION 135u
#define ND_ADVERTISEMENT 136u
#define ND_OPTION_SOURCE 1u
#define ND_OPTION_TARGET 2u
#define ND_SOLICITED_OVERRIDE 0x60u
#define ND_HOP_LIMIT 255u

struct arp_frame {
	uint8_t to[6], from[6];
	uint16_t ethertype;
	uint16_t hardware, protocol;
	uint8_t hardware_size, protocol_size;
	uint16_t operation;
	uint8_t sender_mac[6];
	uint16_t sender_ip[2];
	uint8_t target_mac[6];
	uint16_t target_ip[2];
};

_Static_assert(sizeof(struct arp_frame) == 42, "RFC 826");

/* With the option that tells the asking one's MAC, as all but probes have it. */
struct nd_frame {
	uint8_t to[6], from[6];
	uint16_t ethertype;
	uint8_t version_flow[4];
	uint16_t payload;
	uint8_t next, hop_limit;
	uint16_t from_ip[8], to_ip[8];
	uint8_t type, code;
	uint16_t checksum;
	uint8_t flags[4];
	uint16_t target[8];
	uint8_t option, option_size;
	uint8_t option_mac[6];
};

#define ND_SIZE 32u
_Static_assert(sizeof(struct nd_frame) == 14 + 40 + ND_SIZE, "RFC 4861 4.3");

static __always_inline void copy_mac(uint8_t *to, const uint8_t *from)
{
	__builtin_memcpy(to, from, 6);
}

static __always_inline const uint8_t *find_mac(uint32_t segment, const struct fastdp_address *ip)
{
	struct fastdp_ip key = { .segment = segment, .ip = *ip };
	const struct fastdp_ip_mac *value = bpf_map_lookup_elem(&addresses, &key);

	return value ? value->mac : NULL;
}

/* True when 'f' has become the answer. */
static __always_inline bool answer_arp(struct arp_frame *f, const struct fastdp_port *port)
{
	struct fastdp_address target;
	uint32_t sender_ip, target_ip;
	const uint8_t *mac;

	__builtin_memcpy(&sender_ip, f->sender_ip, 4);
	__builtin_memcpy(&target_ip, f->target_ip, 4);
	if (f->hardware != bpf_htons(ARP_ETHERNET) || f->protocol != bpf_htons(ETH_P_IP) ||
	    f->hardware_size != 6 || f->protocol_size != 4 ||
	    f->operation != bpf_htons(ARP_REQUEST) || !same_mac(f->sender_mac, port->mac))
		return false;
	if (!sender_ip || sender_ip == target_ip)
		return false;
	mapped(&target, target_ip);
	mac = find_mac(port->segment, &target);
	if (!mac || same_mac(mac, port->mac))
		return false;
	copy_mac(f->to, port->mac);
	copy_mac(f->from, mac);
	f->operation = bpf_htons(ARP_REPLY);
	copy_mac(f->target_mac, port->mac);
	copy_mac(f->sender_mac, mac);
	__builtin_memcpy(f->target_ip, &sender_ip, 4);
	__builtin_memcpy(f->sender_ip, &target_ip, 4);
	return true;
}

/* RFC 4443 2.3: pseudo header and message. */
static __always_inline uint16_t nd_checksum(const struct nd_frame *f)
{
	const uint16_t *message = (const void *)&f->type;
	uint32_t sum = bpf_htons(ND_SIZE) + bpf_htons(NEXT_ICMPV6);

#pragma unroll
	for (int i = 0; i < 8; i++)
		sum += (uint32_t)f->from_ip[i] + f->to_ip[i];
#pragma unroll
	for (unsigned i = 0; i < ND_SIZE / 2; i++)
		sum += message[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static __always_inline bool answer_nd(struct nd_frame *f, const struct fastdp_port *port)
{
	struct fastdp_address target;
	const uint8_t *mac;
	uint16_t any = 0;

	if (f->next != NEXT_ICMPV6 || f->hop_limit != ND_HOP_LIMIT ||
	    f->payload != bpf_htons(ND_SIZE) || f->type != ND_SOLICITATION || f->code != 0 ||
	    f->option != ND_OPTION_SOURCE || f->option_size != 1 ||
	    !same_mac(f->option_mac, port->mac))
		return false;
#pragma unroll
	for (int i = 0; i < 8; i++)
		any |= f->from_ip[i];
	__builtin_memcpy(&target, f->target, sizeof target);
	mac = any ? find_mac(port->segment, &target) : NULL;
	if (!mac || same_mac(mac, port->mac))
		return false;
	copy_mac(f->to, port->mac);
	copy_mac(f->from, mac);
	__builtin_memcpy(f->to_ip, f->from_ip, sizeof f->to_ip);
	__builtin_memcpy(f->from_ip, f->target, sizeof f->from_ip);
	f->type = ND_ADVERTISEMENT;
	f->flags[0] = ND_SOLICITED_OVERRIDE;
	f->option = ND_OPTION_TARGET;
	copy_mac(f->option_mac, mac);
	f->checksum = 0;
	f->checksum = nd_checksum(f);
	return true;
}

/* A frame to a group, of the container behind 'port'; the answer goes back there with 'flags' of
 * bpf_redirect(). */
static __always_inline int answer(struct __sk_buff *skb, const struct fastdp_port *port,
				  uint64_t flags)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	uint32_t protocol = skb->protocol;
	bool answered = false;

	if (protocol == bpf_htons(ETH_P_ARP)) {
		if (data + sizeof(struct arp_frame) > end)
			return PASS;
		answered = answer_arp(data, port);
	} else if (protocol == bpf_htons(ETH_P_IPV6)) {
		if (data + sizeof(struct nd_frame) > end || skb->len != sizeof(struct nd_frame))
			return PASS;
		answered = answer_nd(data, port);
	}
	return answered ? (int)bpf_redirect(skb->ifindex, flags) : PASS;
}

#endif
