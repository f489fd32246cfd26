/* Frames whose checksum or segmentation is left undone: checking, cutting, finishing.
 *
 * Pure; nothing is allocated.  TCP and UDP over IPv4 and IPv6, behind VLAN tags, options and
 * extension headers.  RFC 1071 (checksums), RFC 9293, RFC 768, RFC 8200; cutting gives the same
 * segments as the kernel's own (tcp_gso_segment, __udp_gso_segment).
 */
#ifndef WEAVE_ROUTER_OFFLOAD_H
#define WEAVE_ROUTER_OFFLOAD_H

#include <weave/bytes.h>
#include <weave/offload.h>

/* Where things lie in a frame with something undone; offsets from its start. */
struct offload_layout {
	uint8_t family; /* 4 or 6 */
	bool udp;
	size_t network, transport, checksum, payload;
	size_t size;	/* of the frame */
	size_t segment; /* bytes of payload in each segment; all of it when it is only one */
	uint32_t count; /* of segments */
};

/* False when this frame cannot be one with 'undone' left to do: not TCP or UDP, an IP fragment,
 * sizes that do not agree.  Reads no more than the headers, so the payload may still be missing;
 * how far they reach is known afterwards ('payload').  'undone' must not be OFFLOAD_NONE. */
bool offload_layout(struct offload_layout *l, struct bytes frame, struct offload undone);

/* Sums up the payload, so that nothing is left undone; the frame must be a single segment. */
void offload_finish(const struct offload_layout *l, uint8_t *frame);

/* Size of a frame that stands for segments first to first + count - 1. */
size_t offload_part_size(const struct offload_layout *l, uint32_t first, uint32_t count);
/* Writes that frame to 'out' and returns what is undone in it: its checksum, and its cutting if
 * count > 1.  Of 'frame' only the headers and the payload of these segments are read. */
struct offload offload_part(const struct offload_layout *l, const uint8_t *frame, uint32_t first,
			    uint32_t count, uint8_t *out);

/* Writes one segment with nothing undone; its size is that of the part. */
void offload_finished(const struct offload_layout *l, const uint8_t *frame, uint32_t segment,
		      uint8_t *out);

#endif
