#include "mss.h"

#include "frame.h"

static uint16_t swap_if(uint16_t v, bool odd)
{
	unsigned swapped = ((unsigned)v << 8 | (unsigned)v >> 8) & 0xffff;

	return odd ? (uint16_t)swapped : v;
}

static uint16_t load16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void store16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

bool mss_clamp(uint8_t *frame, size_t size, size_t mtu, bool undone)
{
	struct frame f;
	struct frame_ip ip;
	struct frame_tcp tcp;
	uint16_t before, after;
	size_t headers;
	uint8_t *checksum;
	bool odd;

	if (size > MSS_FRAME_SIZE_MAX || !frame_parse(&f, bytes_of(frame, size)) ||
	    !frame_parse_ip(&f, &ip) || !frame_parse_tcp(&f, &ip, &tcp))
		return false;
	/* RFC 6691: the value counts no options, so only fixed headers are subtracted. */
	headers = ip.family == 4 ? 40 : 60;
	if (!(tcp.flags & TCP_SYN) || !tcp.mss_at || mtu <= headers)
		return false;
	before = load16(frame + tcp.mss_at);
	if (before <= mtu - headers)
		return false;
	after = (uint16_t)(mtu - headers);
	store16(frame + tcp.mss_at, after);
	if (undone)
		return true;

	/* Behind an odd number of option bytes the value lies across two words of the sum. */
	odd = (tcp.mss_at - tcp.header_at) & 1;
	checksum = frame + tcp.header_at + 16;
	store16(checksum,
		checksum_update(load16(checksum), swap_if(before, odd), swap_if(after, odd)));
	return true;
}
