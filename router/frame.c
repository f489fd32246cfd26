#include "frame.h"

#include <string.h>

#include <weave/reader.h>

static uint16_t load16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static bool is_tag(uint16_t ethertype)
{
	return ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ;
}

bool frame_parse(struct frame *f, struct bytes raw)
{
	*f = (struct frame){ .raw = raw };
	if (raw.size < FRAME_HEADER_SIZE)
		return false;
	memcpy(f->to.b, raw.data, 6);
	memcpy(f->from.b, raw.data + 6, 6);
	f->ethertype = load16(raw.data + 12);
	f->network = FRAME_HEADER_SIZE;
	while (is_tag(f->ethertype) && f->tags < FRAME_TAGS_MAX) {
		if (raw.size - f->network < FRAME_TAG_SIZE)
			return false;
		f->ethertype = load16(raw.data + f->network + 2);
		f->network += FRAME_TAG_SIZE;
		f->tags++;
	}
	return true;
}

bool frame_is_link_local(struct mac to)
{
	static const uint8_t prefix[5] = { 0x01, 0x80, 0xc2, 0x00, 0x00 };

	return memcmp(to.b, prefix, sizeof prefix) == 0 && to.b[5] < 16;
}

static bool parse_ipv4(const uint8_t *p, size_t size, struct frame_ip *ip)
{
	uint16_t fragment;

	if (size < 20 || p[0] >> 4 != 4)
		return false;
	ip->header_size = (size_t)(p[0] & 15) * 4;
	ip->size = load16(p + 2);
	if (ip->header_size < 20 || ip->size < ip->header_size || ip->size > size)
		return false;
	fragment = load16(p + 6);
	ip->family = 4;
	ip->dont_fragment = fragment & 0x4000;
	ip->later_fragment = fragment & 0x1fff;
	ip->fragment = fragment & 0x3fff;
	ip->protocol = p[9];
	ip->from = p + 12;
	ip->to = p + 16;
	return true;
}

/* Walks the extension headers that may stand before a transport header.  Each moves us on by at
 * least 8 bytes, so the packet's size bounds the loop. */
static bool skip_extensions(struct frame_ip *ip)
{
	enum { HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, AH = 51, DESTINATION = 60 };
	const uint8_t *p = ip->packet;

	for (;;) {
		size_t left = ip->size - ip->header_size, step;
		const uint8_t *h = p + ip->header_size;

		switch (ip->protocol) {
		case HOP_BY_HOP:
		case ROUTING:
		case DESTINATION:
		case AH:
		case FRAGMENT:
			break;
		default:
			return true;
		}
		/* A later fragment's first bytes are the middle of something. */
		if (ip->later_fragment)
			return true;
		if (left < 8)
			return false;
		step = ((size_t)h[1] + 1) * 8;
		if (ip->protocol == AH)
			step = ((size_t)h[1] + 2) * 4;
		if (ip->protocol == FRAGMENT) {
			step = 8;
			ip->fragment = (load16(h + 2) & 0xfff9) != 0;
			ip->later_fragment = (load16(h + 2) & 0xfff8) != 0;
		}
		if (step > left)
			return false;
		ip->protocol = h[0];
		ip->header_size += step;
	}
}

static bool parse_ipv6(const uint8_t *p, size_t size, struct frame_ip *ip)
{
	if (size < 40 || p[0] >> 4 != 6)
		return false;
	ip->size = (size_t)40 + load16(p + 4);
	if (ip->size > size)
		return false;
	ip->family = 6;
	ip->dont_fragment = true;
	ip->protocol = p[6];
	ip->header_size = 40;
	ip->from = p + 8;
	ip->to = p + 24;
	return skip_extensions(ip);
}

bool frame_parse_ip(const struct frame *f, struct frame_ip *ip)
{
	const uint8_t *p = f->raw.data + f->network;
	size_t size = f->raw.size - f->network;

	*ip = (struct frame_ip){ .packet = p };
	if (f->ethertype == ETHERTYPE_IPV4)
		return parse_ipv4(p, size, ip);
	if (f->ethertype == ETHERTYPE_IPV6)
		return parse_ipv6(p, size, ip);
	return false;
}

struct bytes frame_ip_payload(const struct frame_ip *ip)
{
	if (ip->later_fragment)
		return bytes_of(NULL, 0);
	return bytes_of(ip->packet + ip->header_size, ip->size - ip->header_size);
}

/* Offset within 'tcp' of the MSS option's value; 0 when there is none or options are malformed. */
static size_t find_mss(const uint8_t *tcp, size_t header_size)
{
	enum { END = 0, NOP = 1, MSS = 2 };

	for (size_t at = 20; at < header_size;) {
		size_t left = header_size - at;

		if (tcp[at] == END)
			return 0;
		if (tcp[at] == NOP) {
			at++;
			continue;
		}
		if (left < 2 || tcp[at + 1] < 2 || tcp[at + 1] > left)
			return 0;
		if (tcp[at] == MSS)
			return tcp[at + 1] == 4 ? at + 2 : 0;
		at += tcp[at + 1];
	}
	return 0;
}

bool frame_parse_tcp(const struct frame *f, const struct frame_ip *ip, struct frame_tcp *tcp)
{
	struct bytes b = frame_ip_payload(ip);
	size_t mss;

	*tcp = (struct frame_tcp){ 0 };
	if (ip->protocol != PROTOCOL_TCP || b.size < 20)
		return false;
	tcp->header_size = (size_t)(b.data[12] >> 4) * 4;
	if (tcp->header_size < 20 || tcp->header_size > b.size)
		return false;
	tcp->flags = b.data[13];
	tcp->header_at = (size_t)(b.data - f->raw.data);
	mss = find_mss(b.data, tcp->header_size);
	tcp->mss_at = mss ? tcp->header_at + mss : 0;
	return true;
}

static struct ip_addr read_ip(struct reader *r, uint8_t family, const char *what)
{
	struct ip_addr ip = { .family = family };

	read_copy(r, ip.b, family == 4 ? 4 : 16, what);
	return ip;
}

bool frame_parse_arp(const struct frame *f, struct frame_arp *arp)
{
	struct reader r = reader_over(f->raw.data + f->network, f->raw.size - f->network);
	bool ethernet_ipv4;

	*arp = (struct frame_arp){ 0 };
	if (f->ethertype != ETHERTYPE_ARP)
		return false;
	ethernet_ipv4 = read_u16(&r, "hardware type") == 1;
	ethernet_ipv4 &= read_u16(&r, "protocol type") == ETHERTYPE_IPV4;
	ethernet_ipv4 &= read_u16(&r, "address sizes") == 0x0604;
	arp->operation = read_u16(&r, "operation");
	read_copy(&r, arp->sender_mac.b, 6, "sender mac");
	arp->sender_ip = read_ip(&r, 4, "sender ip");
	read_copy(&r, arp->target_mac.b, 6, "target mac");
	arp->target_ip = read_ip(&r, 4, "target ip");
	return ethernet_ipv4 && !r.bad;
}

bool frame_parse_icmp(const struct frame_ip *ip, struct frame_icmp *icmp)
{
	struct bytes b = frame_ip_payload(ip);
	uint8_t t;

	*icmp = (struct frame_icmp){ 0 };
	if (ip->protocol != (ip->family == 4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6) || b.size < 4)
		return false;
	t = icmp->type = b.data[0];
	icmp->code = b.data[1];
	if (ip->family == 4)
		icmp->error = t == 3 || t == 4 || t == 5 || t == 11 || t == 12;
	else
		icmp->error = t < 128 || t == 137; /* a redirect counts as one (RFC 4443 2.4) */
	return true;
}

bool frame_parse_nd(const struct frame_ip *ip, struct frame_nd *nd)
{
	struct bytes b = frame_ip_payload(ip);
	struct reader r = reader_over(b.data, b.size);
	uint8_t wanted;

	*nd = (struct frame_nd){ 0 };
	if (ip->family != 6 || ip->protocol != PROTOCOL_ICMPV6)
		return false;
	nd->type = read_u8(&r, "type");
	read_bytes(&r, 7, "code, checksum, flags");
	nd->target = read_ip(&r, 6, "target");
	if (r.bad || (nd->type != 135 && nd->type != 136))
		return false;
	wanted = nd->type == 135 ? 1 : 2;
	while (reader_left(&r) >= 8) {
		uint8_t type = read_u8(&r, "option type");
		size_t size = (size_t)read_u8(&r, "option size") * 8;
		const uint8_t *p;

		if (!size) /* must be discarded whole (RFC 4861 4.6) */
			return false;
		p = read_bytes(&r, size - 2, "option");
		if (!p)
			return false;
		if (type == wanted && size == 8) {
			nd->has_link_address = true;
			memcpy(nd->link_address.b, p, 6);
		}
	}
	return true;
}

uint64_t checksum_add(uint64_t sum, const void *data, size_t size)
{
	const uint8_t *p = data;

	for (size_t i = 0; i + 1 < size; i += 2)
		sum += load16(p + i);
	if (size & 1)
		sum += (uint64_t)p[size - 1] << 8;
	return sum;
}

uint16_t checksum_finish(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

uint16_t checksum_update(uint16_t checksum, uint16_t before, uint16_t after)
{
	return checksum_finish((uint64_t)(uint16_t)~checksum + (uint16_t)~before + after);
}
