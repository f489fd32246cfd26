/* Views on a captured Ethernet frame: Ethernet, 802.1Q/802.1ad, ARP, IPv4, IPv6 with extension
 * headers, TCP, ICMP, neighbour discovery.
 *
 * Pure; nothing is copied or allocated.  Every view is checked against the bytes that are really
 * there: all offsets in a view that was filled may be read without another check.  A frame whose
 * network header is nonsense is still a frame (we are a layer-2 network): the parsers of the upper
 * layers then return false and the frame travels as an opaque one.
 *
 * RFC 791, 826, 8200, 9293, 792, 4443, 4861; IEEE 802.1Q.
 */
#ifndef WEAVE_ROUTER_FRAME_H
#define WEAVE_ROUTER_FRAME_H

#include <stdbool.h>

#include <weave/addr.h>
#include <weave/bytes.h>

#define FRAME_HEADER_SIZE 14u
#define FRAME_TAG_SIZE 4u
#define FRAME_TAGS_MAX 4u

enum {
	ETHERTYPE_IPV4 = 0x0800,
	ETHERTYPE_ARP = 0x0806,
	ETHERTYPE_VLAN = 0x8100,
	ETHERTYPE_IPV6 = 0x86dd,
	ETHERTYPE_QINQ = 0x88a8,
};

enum { PROTOCOL_ICMP = 1, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, PROTOCOL_ICMPV6 = 58 };

struct frame {
	struct bytes raw; /* borrowed */
	struct mac to, from;
	uint16_t ethertype; /* behind the tags; below 0x600 it is an 802.3 length */
	uint32_t tags;	    /* VLAN tags, at most FRAME_TAGS_MAX */
	size_t network;	    /* offset of what follows the Ethernet header */
};

/* False when there are not even the headers that the frame announces. */
bool frame_parse(struct frame *f, struct bytes raw);

/* 01:80:c2:00:00:00 to :0f, which no bridge forwards (IEEE 802.1D, table 7-10). */
bool frame_is_link_local(struct mac to);

/* A whole IPv4 or IPv6 header within the frame. */
struct frame_ip {
	uint8_t family;	       /* 4 or 6 */
	uint8_t protocol;      /* of the transport; for IPv6 behind the extension headers */
	bool dont_fragment;    /* IPv4's DF; always true for IPv6 */
	bool fragment;	       /* part of a fragmented packet, first or later */
	bool later_fragment;   /* without a transport header */
	size_t header_size;    /* of the IP header (IPv6: with extension headers) */
	size_t size;	       /* of the packet, <= what the frame holds */
	const uint8_t *packet; /* borrowed */
	const uint8_t *from, *to;
};

bool frame_parse_ip(const struct frame *f, struct frame_ip *ip);

/* Transport bytes of the packet; empty for later fragments. */
struct bytes frame_ip_payload(const struct frame_ip *ip);

struct frame_tcp {
	uint8_t flags;	  /* FIN 1, SYN 2, RST 4, PSH 8, ACK 16 */
	size_t mss_at;	  /* offset in the frame of the value of the MSS option; 0 none */
	size_t header_at; /* offset in the frame */
	size_t header_size;
};

enum { TCP_SYN = 2 };

bool frame_parse_tcp(const struct frame *f, const struct frame_ip *ip, struct frame_tcp *tcp);

/* ARP for IPv4 over Ethernet. */
struct frame_arp {
	uint16_t operation; /* 1 request, 2 reply */
	struct mac sender_mac, target_mac;
	struct ip_addr sender_ip, target_ip;
};

bool frame_parse_arp(const struct frame *f, struct frame_arp *arp);

struct frame_icmp {
	uint8_t type, code;
	bool error; /* an error message, about which no other may be sent (RFC 1122 3.2.2) */
};

bool frame_parse_icmp(const struct frame_ip *ip, struct frame_icmp *icmp);

/* Neighbour solicitation (135) and advertisement (136). */
struct frame_nd {
	uint8_t type;
	struct ip_addr target;
	bool has_link_address; /* source (135) or target (136) link-layer address option */
	struct mac link_address;
};

bool frame_parse_nd(const struct frame_ip *ip, struct frame_nd *nd);

/* One's complement sums (RFC 1071). Start with 0, add, then finish. */
uint64_t checksum_add(uint64_t sum, const void *data, size_t size);
uint16_t checksum_finish(uint64_t sum);

/* The checksum after one 16-bit word changed (RFC 1624, equation 3); host order. */
uint16_t checksum_update(uint16_t checksum, uint16_t before, uint16_t after);

#endif
