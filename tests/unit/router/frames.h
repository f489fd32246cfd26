/* Builds Ethernet frames for tests: IPv4 and IPv6 packets with right checksums. */
#ifndef TESTS_ROUTER_FRAMES_H
#define TESTS_ROUTER_FRAMES_H

#include "../../../router/frame.h"
#include "router_test.h"

struct made_frame {
	uint8_t data[65536];
	size_t size;
};

static inline struct mac mac_of(uint64_t n)
{
	return mac_from_u64(UINT64_C(0x020000000000) | n);
}

static inline void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline size_t make_ethernet(struct made_frame *f, struct mac to, struct mac from,
				   uint16_t type)
{
	memcpy(f->data, to.b, 6);
	memcpy(f->data + 6, from.b, 6);
	put16(f->data + 12, type);
	return 14;
}

/* An 802.3 frame of our own with any payload. */
static inline void make_raw(struct made_frame *f, struct mac to, struct mac from, size_t size,
			    uint64_t seed)
{
	struct rng rng = { seed };

	make_ethernet(f, to, from, 0x88b5); /* local experimental */
	for (size_t i = 14; i < size; i++)
		f->data[i] = (uint8_t)rng_u64(&rng);
	f->size = size;
}

/* UDP-like packet of 'size' bytes from 10.0.0.1 to 10.0.0.2. */
static inline void make_ipv4(struct made_frame *f, struct mac to, struct mac from, size_t size,
			     bool dont_fragment, uint8_t protocol)
{
	uint8_t *p = f->data + make_ethernet(f, to, from, ETHERTYPE_IPV4);

	memset(p, 0, size);
	p[0] = 0x45;
	put16(p + 2, size);
	put16(p + 4, 0x1234);
	put16(p + 6, dont_fragment ? 0x4000 : 0);
	p[8] = 64;
	p[9] = protocol;
	hex("0a000001 0a000002", p + 12);
	put16(p + 10, checksum_finish(checksum_add(0, p, 20)));
	for (size_t i = 20; i < size; i++)
		p[i] = (uint8_t)i;
	f->size = 14 + size;
}

static inline void make_ipv6(struct made_frame *f, struct mac to, struct mac from, size_t size,
			     uint8_t next)
{
	uint8_t *p = f->data + make_ethernet(f, to, from, ETHERTYPE_IPV6);

	memset(p, 0, size);
	p[0] = 0x60;
	put16(p + 4, size - 40);
	p[6] = next;
	p[7] = 64;
	hex("fd000000000000000000000000000001 fd000000000000000000000000000002", p + 8);
	for (size_t i = 40; i < size; i++)
		p[i] = (uint8_t)i;
	f->size = 14 + size;
}

/* Sum over pseudo header and transport; 0 when its checksum is right. */
static inline uint16_t transport_checksum(const uint8_t *packet)
{
	bool v4 = packet[0] >> 4 == 4;
	size_t header = v4 ? 20 : 40;
	size_t size = v4 ? (size_t)(packet[2] << 8 | packet[3]) - 20
			 : (size_t)(packet[4] << 8 | packet[5]);
	uint64_t sum = checksum_add(0, packet + (v4 ? 12 : 8), v4 ? 8 : 32);

	sum += (v4 ? packet[9] : packet[6]) + size;
	return checksum_finish(checksum_add(sum, packet + header, size));
}

#endif
