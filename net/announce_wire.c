#include "announce_wire.h"

#include <weave/must.h>

static void arp_write(struct mac mac, struct ip_addr ip, struct writer *w)
{
	static const uint8_t everybody[6] = { 255, 255, 255, 255, 255, 255 }, nobody[6] = { 0 };

	write_bytes(w, everybody, 6);
	write_bytes(w, mac.b, 6);
	write_u16(w, 0x0806);
	write_u16(w, 1);      /* Ethernet */
	write_u16(w, 0x0800); /* IPv4 */
	write_u8(w, 6);
	write_u8(w, 4);
	write_u16(w, 1); /* request */
	write_bytes(w, mac.b, 6);
	write_bytes(w, ip.b, 4);
	write_bytes(w, nobody, 6);
	write_bytes(w, ip.b, 4);
}

/* One's complement sum of 'size' bytes (even) on top of 'sum'. */
static uint32_t sum_words(uint32_t sum, const uint8_t *p, size_t size)
{
	for (size_t i = 0; i + 1 < size; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	return sum;
}

static uint16_t icmp6_checksum(const uint8_t *addresses, const uint8_t *body, size_t size)
{
	uint32_t sum = sum_words((uint32_t)size + 58, addresses, 32);

	sum = sum_words(sum, body, size);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void neighbour_write(struct mac mac, struct ip_addr ip, struct writer *w)
{
	static const uint8_t all_nodes_mac[6] = { 0x33, 0x33, 0, 0, 0, 1 };
	static const uint8_t all_nodes[16] = { 0xff, 0x02, [15] = 1 };
	uint8_t *ip_start, *body;
	uint16_t checksum;

	write_bytes(w, all_nodes_mac, 6);
	write_bytes(w, mac.b, 6);
	write_u16(w, 0x86dd);
	ip_start = w->at;
	write_u32(w, 6u << 28);
	write_u16(w, 32); /* payload */
	write_u8(w, 58);  /* ICMPv6 */
	write_u8(w, 255);
	write_bytes(w, ip.b, 16);
	write_bytes(w, all_nodes, 16);
	body = w->at;
	write_u8(w, 136); /* neighbour advertisement */
	write_u8(w, 0);
	write_u16(w, 0);	  /* checksum, below */
	write_u32(w, 0x20000000); /* override */
	write_bytes(w, ip.b, 16);
	write_u8(w, 2); /* target link-layer address */
	write_u8(w, 1);
	write_bytes(w, mac.b, 6);
	MUST(!w->full);
	checksum = icmp6_checksum(ip_start + 8, body, 32);
	body[2] = (uint8_t)(checksum >> 8);
	body[3] = (uint8_t)checksum;
}

void announce_write(struct mac mac, struct ip_addr ip, struct writer *w)
{
	MUST(writer_left(w) >= ANNOUNCE_SIZE_MAX);
	if (ip.family == 4)
		arp_write(mac, ip, w);
	else
		neighbour_write(mac, ip, w);
}
