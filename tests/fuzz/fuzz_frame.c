/* A captured frame: no view may reach outside it, and what changes a frame or answers it keeps
 * checksums right.  Byte 0 and 1 choose the path's MTU, the rest is the frame. */
#include <stdint.h>
#include <string.h>

#include <weave/must.h>

#include "../../router/frame.h"
#include "../../router/mss.h"
#include "../../router/too_big.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void within(const uint8_t *p, size_t n, struct bytes raw)
{
	MUST(p >= raw.data && p + n <= raw.data + raw.size);
}

static void look(const struct frame *f, const struct frame_ip *ip)
{
	struct bytes payload = frame_ip_payload(ip);
	struct frame_tcp tcp;
	struct frame_icmp icmp;
	struct frame_nd nd;

	within(ip->packet, ip->size, f->raw);
	within(ip->from, ip->family == 4 ? 4 : 16, f->raw);
	within(ip->to, ip->family == 4 ? 4 : 16, f->raw);
	MUST(ip->header_size <= ip->size);
	if (payload.size)
		within(payload.data, payload.size, f->raw);
	if (frame_parse_tcp(f, ip, &tcp)) {
		within(f->raw.data + tcp.header_at, tcp.header_size, f->raw);
		MUST(!tcp.mss_at || tcp.mss_at + 2 <= tcp.header_at + tcp.header_size);
	}
	frame_parse_icmp(ip, &icmp);
	frame_parse_nd(ip, &nd);
}

static uint64_t transport_sum(const struct frame_ip *ip)
{
	struct bytes payload = frame_ip_payload(ip);
	size_t address = ip->family == 4 ? 4 : 16;
	uint64_t sum = checksum_add(payload.size + ip->protocol, ip->from, address);

	return checksum_add(checksum_add(sum, ip->to, address), payload.data, payload.size);
}

/* The sum over everything does not change when the value and its checksum change together. */
static void clamp(const struct frame *f, const struct frame_ip *ip, size_t mtu)
{
	uint8_t copy[MSS_FRAME_SIZE_MAX];
	struct frame after;
	struct frame_ip after_ip;
	uint16_t a, b;

	if (f->raw.size > sizeof copy)
		return;
	memcpy(copy, f->raw.data, f->raw.size);
	if (!mss_clamp(copy, f->raw.size, mtu, false))
		return;
	MUST(frame_parse(&after, bytes_of(copy, f->raw.size)) && frame_parse_ip(&after, &after_ip));
	a = checksum_finish(transport_sum(ip));
	b = checksum_finish(transport_sum(&after_ip));
	/* 0 and 0xffff are the same number in one's complement. */
	MUST(a == b || (uint16_t)(a + 1) <= 1);
	MUST(!mss_clamp(copy, f->raw.size, mtu, false));
}

static void answer(const struct frame *f, size_t path_mtu)
{
	uint8_t out[TOO_BIG_ANSWER_MAX];
	struct mac from = { { 2, 0, 0, 0, 0, 1 } };
	size_t mtu = too_big_mtu(f, path_mtu), size;
	struct frame reply;
	struct frame_ip ip;

	if (!mtu)
		return;
	size = too_big_answer(f, mtu, from, out);
	MUST(frame_parse(&reply, bytes_of(out, size)) && frame_parse_ip(&reply, &ip));
	MUST(ip.size == size - reply.network);
	MUST(too_big_mtu(&reply, 0) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame f;
	struct frame_ip ip;
	struct frame_arp arp;
	size_t mtu;

	if (size < 2)
		return 0;
	mtu = (size_t)data[0] << 8 | data[1];
	if (!frame_parse(&f, bytes_of(data + 2, size - 2)))
		return 0;
	MUST(f.network <= f.raw.size);
	frame_parse_arp(&f, &arp);
	if (frame_parse_ip(&f, &ip)) {
		look(&f, &ip);
		clamp(&f, &ip, mtu);
		answer(&f, mtu);
	}
	return 0;
}
