/* Answering pings and hearing pongs (<weave/bpf_maps.h>), in the kernel alone. */
#ifndef WEAVE_BPF_PING_BPF_H
#define WEAVE_BPF_PING_BPF_H

#include "decide.bpf.h"
#include "vxlan.bpf.h"

/* Of the inner frame. */
#define PING_OFFSET (14u + 20u)

#define ROTATE(x, n) (((x) << (n)) | ((x) >> (64 - (n))))

struct sip {
	uint64_t a, b, c, d;
};

static __always_inline void sip_round(struct sip *s)
{
	s->a += s->b;
	s->b = ROTATE(s->b, 13) ^ s->a;
	s->a = ROTATE(s->a, 32);
	s->c += s->d;
	s->d = ROTATE(s->d, 16) ^ s->c;
	s->a += s->d;
	s->d = ROTATE(s->d, 21) ^ s->a;
	s->c += s->b;
	s->b = ROTATE(s->b, 17) ^ s->c;
	s->c = ROTATE(s->c, 32);
}

static __always_inline void sip_word(struct sip *s, uint64_t word)
{
	s->d ^= word;
	sip_round(s);
	sip_round(s);
	s->a ^= word;
}

static __always_inline uint64_t little_endian(uint64_t word)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	return __builtin_bswap64(word);
#else
	return word;
#endif
}

/* SipHash-2-4 of the 16 bytes that are proved; the same as base/hash.c's hash64. */
static __always_inline uint64_t ping_proof(const struct fastdp_key *key,
					   const struct fastdp_ping *ping)
{
	const uint64_t *words = (const void *)ping;
	struct sip s = {
		key->k0 ^ 0x736f6d6570736575ULL,
		key->k1 ^ 0x646f72616e646f6dULL,
		key->k0 ^ 0x6c7967656e657261ULL,
		key->k1 ^ 0x7465646279746573ULL,
	};

	sip_word(&s, little_endian(words[0]));
	sip_word(&s, little_endian(words[1]));
	sip_word(&s, (uint64_t)FASTDP_PING_PROVED << 56);
	s.c ^= 0xff;
	sip_round(&s);
	sip_round(&s);
	sip_round(&s);
	sip_round(&s);
	return s.a ^ s.b ^ s.c ^ s.d;
}

static __always_inline void tell_pong(const struct fastdp_ping *ping, struct fastdp_session *s,
				      const struct fastdp_address *from)
{
	bool by_hand = ping->flags & FASTDP_PING_BY_HAND;
	uint32_t token = bpf_ntohl(ping->token);
	struct fastdp_pong *event;

	/* Each only once: whoever repeats old pongs does not fill the ring. */
	if ((int32_t)(token - s->heard[by_hand]) <= 0)
		return;
	s->heard[by_hand] = token;
	event = bpf_ringbuf_reserve(&events, sizeof *event, 0);
	if (!event)
		return;
	event->session = bpf_ntohl(ping->session);
	event->token = token;
	event->flags = ping->flags;
	event->zero = 0;
	event->from = *from;
	bpf_ringbuf_submit(event, 0);
}

/* The frame at 'offset', which starts with the inner Ethernet header, is of the pings' segment:
 * true when it has become a pong that is to go back. */
static __noinline bool take_ping(struct __sk_buff *skb, uint32_t offset,
				 const struct fastdp_address *from)
{
	const struct fastdp_config *c = get_config();
	struct fastdp_session *s;
	struct fastdp_ping ping;
	uint32_t number;
	uint64_t proof;

	if (bpf_skb_load_bytes(skb, offset + PING_OFFSET, &ping, sizeof ping)) {
		count_drop(DROP_MALFORMED);
		return false;
	}
	number = bpf_ntohl(ping.session);
	s = bpf_map_lookup_elem(&sessions, &number);
	if (!s) {
		count_drop(DROP_NO_CONNECTION);
		return false;
	}
	proof = ping_proof(&s->mine, &ping);
	if (proof != bpf_be64_to_cpu(ping.proof)) {
		count_drop(DROP_BAD_SOURCE);
		return false;
	}
	if (ping.type == FASTDP_PONG)
		tell_pong(&ping, s, from);
	if (ping.type != FASTDP_PING)
		return false;
	ping.type = FASTDP_PONG;
	ping.flags &= FASTDP_PING_BY_HAND;
	if (s->flags & FASTDP_SESSION_ACCEPTED)
		ping.flags |= FASTDP_PONG_ACCEPTED;
	/* Ways onward are proved for our own largest frame. */
	if (c && skb->len - offset <= c->frame_max)
		ping.flags |= FASTDP_PONG_RELAYS;
	ping.session = bpf_htonl(s->their_session);
	ping.proof = bpf_cpu_to_be64(ping_proof(&s->theirs, &ping));
	return bpf_skb_store_bytes(skb, offset + PING_OFFSET, &ping, sizeof ping, 0) == 0;
}

#endif
