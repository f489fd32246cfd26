#include "offload.h"

#include <string.h>

#include <weave/must.h>

#include "frame.h"

#define UDP_HEADER_SIZE 8u
#define TCP_CHECKSUM_AT 16u
#define UDP_CHECKSUM_AT 6u
enum { TCP_FIN = 1, TCP_PSH = 8, TCP_CWR = 0x80 };

static uint16_t load16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void store16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static bool transport(struct offload_layout *l, const struct frame *f, const struct frame_ip *ip)
{
	struct frame_tcp tcp;

	l->transport = f->network + ip->header_size;
	if (frame_parse_tcp(f, ip, &tcp)) {
		l->checksum = l->transport + TCP_CHECKSUM_AT;
		l->payload = l->transport + tcp.header_size;
		return true;
	}
	if (ip->protocol != PROTOCOL_UDP || ip->size - ip->header_size < UDP_HEADER_SIZE ||
	    load16(f->raw.data + l->transport + 4) != ip->size - ip->header_size)
		return false;
	l->udp = true;
	l->checksum = l->transport + UDP_CHECKSUM_AT;
	l->payload = l->transport + UDP_HEADER_SIZE;
	return true;
}

bool offload_layout(struct offload_layout *l, struct bytes frame, struct offload undone)
{
	size_t payload;
	struct frame_ip ip;
	struct frame f;

	*l = (struct offload_layout){ .size = frame.size };
	if (!undone.checksum || !frame_parse(&f, frame) || !frame_parse_ip(&f, &ip) || ip.fragment)
		return false;
	l->family = ip.family;
	l->network = f.network;
	/* Padding would be summed up by some and not by others. */
	if (ip.size != frame.size - f.network || !transport(l, &f, &ip))
		return false;
	payload = frame.size - l->payload;
	l->segment = payload;
	l->count = 1;
	if (!undone.segment_size)
		return true;
	if (undone.segment_size < OFFLOAD_SEGMENT_MIN || payload <= undone.segment_size)
		return false;
	l->segment = undone.segment_size;
	l->count = (uint32_t)((payload + l->segment - 1) / l->segment);
	return true;
}

/* Of the pseudo-header; 'size' of transport header and payload. */
static uint16_t pseudo_sum(const struct offload_layout *l, const uint8_t *frame, size_t size)
{
	const uint8_t *ip = frame + l->network;
	uint64_t sum = size + (l->udp ? PROTOCOL_UDP : PROTOCOL_TCP);

	sum = l->family == 4 ? checksum_add(sum, ip + 12, 8) : checksum_add(sum, ip + 8, 32);
	return (uint16_t)~checksum_finish(sum);
}

void offload_finish(const struct offload_layout *l, uint8_t *frame)
{
	size_t size = l->size - l->transport;
	uint16_t sum;

	MUST(l->count == 1);
	store16(frame + l->checksum, 0);
	sum = checksum_finish(checksum_add(pseudo_sum(l, frame, size), frame + l->transport, size));
	/* For UDP 0 would mean that there is none (RFC 768); for TCP both are the same number. */
	store16(frame + l->checksum, sum ? sum : 0xffff);
}

static size_t end_of(const struct offload_layout *l, uint32_t segment)
{
	size_t end = l->payload + ((size_t)segment + 1) * l->segment;

	return end < l->size ? end : l->size;
}

size_t offload_part_size(const struct offload_layout *l, uint32_t first, uint32_t count)
{
	size_t start = l->payload + (size_t)first * l->segment;

	MUST(count && count <= l->count && first <= l->count - count);
	return l->payload + (end_of(l, first + count - 1) - start);
}

static void write_ip(const struct offload_layout *l, uint8_t *out, size_t size, uint32_t first)
{
	uint8_t *ip = out + l->network;

	if (l->family == 6) {
		store16(ip + 4, size - l->network - 40);
		return;
	}
	store16(ip + 2, size - l->network);
	store16(ip + 4, load16(ip + 4) + first);
	store16(ip + 10, 0);
	store16(ip + 10, checksum_finish(checksum_add(0, ip, (size_t)(ip[0] & 15) * 4)));
}

static void write_tcp(const struct offload_layout *l, uint8_t *tcp, uint32_t first, bool last)
{
	uint32_t seq = (uint32_t)load16(tcp + 4) << 16 | load16(tcp + 6);

	seq += (uint32_t)(first * l->segment);
	store16(tcp + 4, seq >> 16);
	store16(tcp + 6, seq);
	if (!last)
		tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (first)
		tcp[13] &= (uint8_t)~TCP_CWR;
}

struct offload offload_part(const struct offload_layout *l, const uint8_t *frame, uint32_t first,
			    uint32_t count, uint8_t *out)
{
	size_t size = offload_part_size(l, first, count);

	memcpy(out, frame, l->payload);
	memcpy(out + l->payload, frame + l->payload + (size_t)first * l->segment,
	       size - l->payload);
	write_ip(l, out, size, first);
	if (l->udp)
		store16(out + l->transport + 4, size - l->transport);
	else
		write_tcp(l, out + l->transport, first, first + count == l->count);
	store16(out + l->checksum, pseudo_sum(l, out, size - l->transport));
	return (struct offload){ .checksum = true,
				 .segment_size = count > 1 ? (uint16_t)l->segment : 0 };
}

void offload_finished(const struct offload_layout *l, const uint8_t *frame, uint32_t segment,
		      uint8_t *out)
{
	struct offload_layout one = *l;

	offload_part(l, frame, segment, 1, out);
	one.size = offload_part_size(l, segment, 1);
	one.segment = one.size - one.payload;
	one.count = 1;
	offload_finish(&one, out);
}
