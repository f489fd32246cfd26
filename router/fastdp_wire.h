/* What the ends of a fastdp path tell each other over the control connection, and their pings.
 * Big endian.  Pure.
 *
 * SETUP, an OVERLAY message beside the sleeve's:
 *
 *	type u8 (2)  reserved u8 (0)  UDP port of VXLAN u16  session u32  key 16
 *
 * 'session' stands in the pings to the sender, and 'key' proves them.
 *
 * A ping is an Ethernet frame with an IPv4 packet; <weave/bpf_maps.h> has the rest, because the
 * kernel answers.
 */
#ifndef WEAVE_ROUTER_FASTDP_WIRE_H
#define WEAVE_ROUTER_FASTDP_WIRE_H

#include <weave/hash.h>
#include <weave/reader.h>
#include <weave/writer.h>

#define FASTDP_SETUP_TYPE 2u
#define FASTDP_SETUP_SIZE 24u

struct fastdp_setup {
	uint16_t port;
	uint32_t session; /* never 0 */
	struct hash_key key;
};

/* NULL or the field that is wrong. */
const char *fastdp_setup_read(struct fastdp_setup *s, struct bytes message);
void fastdp_setup_write(const struct fastdp_setup *s, struct writer *w);

/* A ping of the other end's session, to be written to the VXLAN device: our session is in the
 * source MAC, where the kernel looks for it. */
struct fastdp_ping_frame {
	uint32_t session, their_session, token;
	struct hash_key theirs;
	bool by_hand;
	uint32_t size; /* of the whole frame */
};

/* Fills 'frame', of f->size bytes; zeroes behind the ping. */
void fastdp_ping_write(const struct fastdp_ping_frame *f, uint8_t *frame);

#endif
