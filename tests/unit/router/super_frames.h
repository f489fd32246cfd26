/* Frames with something left undone, of every kind that there is: TCP and UDP, IPv4 and IPv6, VLAN
 * tags, IP and TCP options, extension headers, odd sizes. */
#ifndef TESTS_ROUTER_SUPER_FRAMES_H
#define TESTS_ROUTER_SUPER_FRAMES_H

#include "../../../router/offload.h"
#include "frames.h"

struct super_frame {
	struct made_frame f;
	struct offload undone;
	bool v6, udp;
	size_t network, transport, payload; /* offsets */
};

static inline void add_filled(struct super_frame *s, size_t size, uint8_t with)
{
	memset(s->f.data + s->f.size, with, size);
	s->f.size += size;
}

static inline void add_ip(struct super_frame *s, struct rng *rng)
{
	uint8_t *p = s->f.data + s->f.size;
	size_t extra = rng_below(rng, 3) ? 0 : rng_below(rng, 11) * 4;

	s->network = s->f.size;
	if (s->v6) {
		bool options = extra;

		add_filled(s, 40, 0);
		p[0] = 0x60;
		p[6] = options ? 60 : s->udp ? 17 : 6;
		p[7] = 64;
		hex("fd000000000000000000000000000001 fd000000000000000000000000000002", p + 8);
		if (options) {
			add_filled(s, 8 + extra / 8 * 8, 0); /* pads of one byte */
			p[40] = s->udp ? 17 : 6;
			p[41] = (uint8_t)(extra / 8);
		}
		return;
	}
	add_filled(s, 20, 0);
	add_filled(s, extra, 1); /* no-operation */
	p[0] = (uint8_t)(0x45 + extra / 4);
	put16(p + 4, rng_below(rng, 65536));
	p[6] = rng_below(rng, 2) ? 0x40 : 0;
	p[8] = 64;
	p[9] = s->udp ? 17 : 6;
	hex("0a000001 0a000002", p + 12);
}

static inline void add_transport(struct super_frame *s, struct rng *rng)
{
	uint8_t *p = s->f.data + s->f.size;
	size_t options = s->udp || rng_below(rng, 2) ? 0 : rng_below(rng, 11) * 4;

	s->transport = s->f.size;
	add_filled(s, s->udp ? 8 : 20, 0);
	add_filled(s, options, 1);
	put16(p, 1 + rng_below(rng, 65535));
	put16(p + 2, 1 + rng_below(rng, 65535));
	s->payload = s->f.size;
	if (s->udp)
		return;
	for (unsigned i = 4; i < 12; i++)
		p[i] = (uint8_t)rng_u64(rng);
	p[12] = (uint8_t)((5 + options / 4) << 4);
	p[13] = (uint8_t)(0x10 | (rng_below(rng, 2) ? 8 : 0) | (rng_below(rng, 4) ? 0 : 1));
	put16(p + 14, rng_below(rng, 65536));
}

/* Sums of the pseudo header only, as a kernel leaves them. */
static inline void set_lengths(struct super_frame *s)
{
	uint8_t *ip = s->f.data + s->network, *t = s->f.data + s->transport;
	size_t size = s->f.size - s->transport;
	uint64_t sum = size + (s->udp ? 17u : 6u);

	if (s->v6) {
		put16(ip + 4, s->f.size - s->network - 40);
		sum = checksum_add(sum, ip + 8, 32);
	} else {
		put16(ip + 2, s->f.size - s->network);
		put16(ip + 10, 0);
		put16(ip + 10, checksum_finish(checksum_add(0, ip, (size_t)(ip[0] & 15) * 4)));
		sum = checksum_add(sum, ip + 12, 8);
	}
	if (s->udp)
		put16(t + 4, size);
	put16(t + (s->udp ? 6 : 16), (uint16_t)~checksum_finish(sum));
}

/* 'payload': its size. */
static inline void make_super(struct super_frame *s, struct rng *rng, struct mac to,
			      struct mac from, size_t payload, uint16_t segment_size)
{
	size_t tags = rng_below(rng, 3) ? 0 : 1 + rng_below(rng, 2);

	memset(s, 0, sizeof *s);
	s->v6 = rng_below(rng, 2);
	s->udp = rng_below(rng, 2);
	s->undone.checksum = true;
	s->undone.segment_size = segment_size;
	s->f.size = make_ethernet(&s->f, to, from, tags ? ETHERTYPE_VLAN : 0);
	for (size_t i = 0; i < tags; i++) {
		add_filled(s, 4, 0);
		s->f.data[s->f.size - 3] = (uint8_t)(1 + i);
		put16(s->f.data + s->f.size - 2, ETHERTYPE_VLAN);
	}
	put16(s->f.data + s->f.size - 2, s->v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4);
	add_ip(s, rng);
	add_transport(s, rng);
	for (size_t i = 0; i < payload; i++)
		s->f.data[s->f.size++] = (uint8_t)rng_u64(rng);
	set_lengths(s);
}

/* One that stands for 2 to 40 segments of a size that may be odd. */
static inline void make_random_super(struct super_frame *s, struct rng *rng, struct mac to,
				     struct mac from)
{
	uint16_t segment = (uint16_t)(OFFLOAD_SEGMENT_MIN + rng_below(rng, 1500));
	size_t payload = segment + 1u + rng_below(rng, 38u * segment + 1);

	make_super(s, rng, to, from, payload, segment);
}

/* 0 when the checksum of a finished frame is right.  Says again what the code under test says, from
 * the RFCs. */
static inline uint16_t super_checksum(const struct super_frame *s, const uint8_t *frame,
				      size_t size)
{
	const uint8_t *ip = frame + s->network;
	uint64_t sum = s->v6 ? checksum_add(0, ip + 8, 32) : checksum_add(0, ip + 12, 8);

	sum += size - s->transport + (s->udp ? 17u : 6u);
	return checksum_finish(checksum_add(sum, frame + s->transport, size - s->transport));
}

#endif
