#include "too_big.h"

#include <string.h>

#include <weave/must.h>
#include <weave/writer.h>

static bool all_zero(const uint8_t *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (p[i])
			return false;
	return true;
}

/* An address that names one host (RFC 1122 3.2.2, RFC 4443 2.4 e). */
static bool names_one_host(uint8_t family, const uint8_t *ip)
{
	if (family == 4)
		return ip[0] != 0 && ip[0] != 127 && ip[0] < 224;
	return !all_zero(ip, 16) && ip[0] != 0xff;
}

static bool may_be_answered(const struct frame *f, const struct frame_ip *ip)
{
	struct frame_icmp icmp;

	if (mac_is_group(f->to) || mac_is_group(f->from) || ip->later_fragment)
		return false;
	if (!names_one_host(ip->family, ip->from) || !names_one_host(ip->family, ip->to))
		return false;
	return !(frame_parse_icmp(ip, &icmp) && icmp.error);
}

size_t too_big_mtu(const struct frame *f, size_t path_mtu)
{
	struct frame_ip ip;
	size_t tags = f->tags * FRAME_TAG_SIZE;
	size_t mtu = path_mtu > tags ? path_mtu - tags : 0;

	if (!frame_parse_ip(f, &ip) || !ip.dont_fragment)
		return 0;
	if (ip.family == 4 && mtu < TOO_BIG_MTU_MIN_IPV4)
		mtu = TOO_BIG_MTU_MIN_IPV4;
	if (ip.family == 6 && mtu < TOO_BIG_MTU_MIN_IPV6)
		mtu = TOO_BIG_MTU_MIN_IPV6;
	if (ip.size <= mtu || !may_be_answered(f, &ip))
		return 0;
	return mtu;
}

static void write_ethernet(struct writer *w, const struct frame *f, struct mac from)
{
	write_bytes(w, f->from.b, 6);
	write_bytes(w, from.b, 6);
	write_bytes(w, f->raw.data + 12, f->network - 12); /* tags and type as they came */
}

static void write_ipv4(struct writer *w, const struct frame_ip *ip, size_t mtu)
{
	size_t quote = ip->size < 548 ? ip->size : 548; /* whole answer at most 576 (RFC 1812) */
	uint8_t *h = w->at, *icmp;
	uint16_t sum;

	write_u16(w, 0x45c0); /* precedence 6: internetwork control */
	write_u16(w, (uint16_t)(28 + quote));
	write_u16(w, 0);
	write_u16(w, 0x4000); /* atomic: DF, so the identification means nothing (RFC 6864) */
	write_u16(w, 64 << 8 | PROTOCOL_ICMP);
	write_u16(w, 0);
	write_bytes(w, ip->to, 4);
	write_bytes(w, ip->from, 4);
	sum = checksum_finish(checksum_add(0, h, 20));
	h[10] = (uint8_t)(sum >> 8);
	h[11] = (uint8_t)sum;

	icmp = w->at;
	write_u16(w, 3 << 8 | 4);
	write_u32(w, 0);
	write_u16(w, (uint16_t)(mtu > UINT16_MAX ? UINT16_MAX : mtu));
	write_bytes(w, ip->packet, quote);
	sum = checksum_finish(checksum_add(0, icmp, 8 + quote));
	icmp[2] = (uint8_t)(sum >> 8);
	icmp[3] = (uint8_t)sum;
}

static void write_ipv6(struct writer *w, const struct frame_ip *ip, size_t mtu)
{
	size_t quote = ip->size < 1232 ? ip->size : 1232; /* whole answer at most 1280 */
	uint8_t *icmp, *h = w->at;
	uint64_t pseudo;
	uint16_t sum;

	write_u32(w, 0x60000000);
	write_u16(w, (uint16_t)(8 + quote));
	write_u16(w, PROTOCOL_ICMPV6 << 8 | 64);
	write_bytes(w, ip->to, 16);
	write_bytes(w, ip->from, 16);

	icmp = w->at;
	write_u32(w, 2 << 24);
	write_u32(w, (uint32_t)mtu);
	write_bytes(w, ip->packet, quote);
	pseudo = checksum_add(8 + quote + PROTOCOL_ICMPV6, h + 8, 32);
	sum = checksum_finish(checksum_add(pseudo, icmp, 8 + quote));
	icmp[2] = (uint8_t)(sum >> 8);
	icmp[3] = (uint8_t)sum;
}

size_t too_big_answer(const struct frame *f, size_t mtu, struct mac from, uint8_t *answer)
{
	struct writer w = writer_over(answer, TOO_BIG_ANSWER_MAX);
	struct frame_ip ip;

	MUST(frame_parse_ip(f, &ip));
	write_ethernet(&w, f, from);
	if (ip.family == 4)
		write_ipv4(&w, &ip, mtu);
	else
		write_ipv6(&w, &ip, mtu);
	MUST(!w.full);
	return writer_size(&w);
}
