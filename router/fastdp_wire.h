/* What the ends of a fastdp path tell each other over the control connection, and their pings.
 * Big endian.  Pure.
 *
 * SETUP, an OVERLAY message beside the sleeve's:
 *
 *	type u8 (2)  reserved u8 (0)  UDP port of VXLAN u16  session u32  key 16  spi u32
 *
 * 'session' stands in the pings to the sender, and 'key' proves them.  'spi' is that of the first
 * ESP association to the sender, 0 on a connection in clear.
 *
 * EPOCHS, another: what esp.h calls a message.
 *
 *	type u8 (3)  reserved u24 (0)  sends u32  takes u32
 *
 * A ping is an Ethernet frame with an IPv4 packet; <weave/bpf_maps.h> has the rest, because the
 * kernel answers.
 */
#ifndef WEAVE_ROUTER_FASTDP_WIRE_H
#define WEAVE_ROUTER_FASTDP_WIRE_H

#include <weave/hash.h>
#include <weave/reader.h>
#include <weave/writer.h>

#include "esp.h"

#define FASTDP_SETUP_TYPE 2u
#define FASTDP_SETUP_SIZE 28u
#define FASTDP_EPOCHS_TYPE 3u
#define FASTDP_EPOCHS_SIZE 12u

struct fastdp_setup {
	uint16_t port;
	uint32_t session; /* never 0 */
	struct hash_key key;
	uint32_t spi; /* 0: in clear */
};

/* NULL or the field that is wrong. */
const char *fastdp_setup_read(struct fastdp_setup *s, struct bytes message);
void fastdp_setup_write(const struct fastdp_setup *s, struct writer *w);
const char *fastdp_epochs_read(struct esp_message *m, struct bytes message);
void fastdp_epochs_write(const struct esp_message *m, struct writer *w);

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
