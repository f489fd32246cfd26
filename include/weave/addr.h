/* Names and addresses: peer names, MACs, IP addresses, prefixes, sockets' ends; text both ways.
 *
 * Pure.  Text forms are exact inverses: what is written parses back to the same value.  All
 * structs have no padding that matters and are compared by the functions here.
 */
#ifndef WEAVE_ADDR_H
#define WEAVE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 48 bits, written like a MAC address.  0 means "nobody" or, as a destination, "everybody". */
typedef uint64_t peer_name;

#define PEER_NAME_NONE ((peer_name)0)
#define PEER_NAME_MAX ((peer_name)0xffffffffffffu)
#define PEER_NAME_TEXT_SIZE 18 /* "7a:00:11:22:33:44" and NUL */

/* Writes the text into 'text' (PEER_NAME_TEXT_SIZE bytes) and returns it. */
const char *peer_name_text(peer_name name, char *text);

/* Six hex groups; one "::" stands for a run of zero groups ("::1"), as Weave Net allows.
 * False, and nothing written, when it is not a name or is zero. */
bool peer_name_parse(const char *text, peer_name *name);

struct mac {
	uint8_t b[6];
};

const char *mac_text(struct mac mac, char *text); /* PEER_NAME_TEXT_SIZE bytes */
bool mac_parse(const char *text, struct mac *mac);
bool mac_equal(struct mac a, struct mac b);
uint64_t mac_to_u64(struct mac mac);
struct mac mac_from_u64(uint64_t v);

static inline bool mac_is_group(struct mac mac) /* multicast or broadcast */
{
	return mac.b[0] & 1;
}

/* An IPv4 or IPv6 address. IPv4 uses b[0..3], the rest is zero. */
struct ip_addr {
	uint8_t family; /* 0 none, 4, 6 */
	uint8_t b[16];
};

#define IP_TEXT_SIZE 46
#define ENDPOINT_TEXT_SIZE 56 /* "[v6]:65535" */
#define CIDR_TEXT_SIZE 50

const char *ip_text(struct ip_addr ip, char *text);  /* IP_TEXT_SIZE bytes */
bool ip_parse(const char *text, struct ip_addr *ip); /* literal only, no names, no zone */
int ip_compare(struct ip_addr a, struct ip_addr b);  /* family, then bytes */
static inline unsigned ip_bits(struct ip_addr ip)
{
	return ip.family == 4 ? 32 : 128;
}

/* Address and prefix length; host bits may be set ("10.2.1.5/24"). */
struct cidr {
	struct ip_addr ip;
	uint8_t prefix;
};

const char *cidr_text(struct cidr cidr, char *text); /* CIDR_TEXT_SIZE bytes */
bool cidr_parse(const char *text, struct cidr *cidr);
bool cidr_contains(struct cidr cidr, struct ip_addr ip);
bool cidr_overlaps(struct cidr a, struct cidr b);
struct cidr cidr_network(struct cidr cidr); /* host bits cleared */

/* Where a TCP or UDP socket is: address and port. */
struct netaddr {
	struct ip_addr ip;
	uint16_t port;
};

const char *netaddr_text(struct netaddr a, char *text); /* ENDPOINT_TEXT_SIZE bytes */
/* "1.2.3.4", "1.2.3.4:99", "::1", "[::1]:99"; without a port 'default_port' is taken. */
bool netaddr_parse(const char *text, uint16_t default_port, struct netaddr *a);
int netaddr_compare(struct netaddr a, struct netaddr b);

#endif
