/* The header in front of a frame in which Linux tells, and is told, what is left undone: struct
 * virtio_net_hdr of 10 bytes, little endian (virtio specification 1.2, 5.1.6).
 *
 *	flags u8  gso_type u8  hdr_len u16  gso_size u16  csum_start u16  csum_offset u16
 *
 * Pure.  Both ways only between our kernel and us; nothing of it travels.
 */
#ifndef WEAVE_ROUTER_VIRTIO_WIRE_H
#define WEAVE_ROUTER_VIRTIO_WIRE_H

#include <weave/bytes.h>
#include <weave/offload.h>

#define VIRTIO_HEADER_SIZE 10u

/* What is undone in 'frame'.  A checksum that is not one of TCP or UDP as router/offload.h knows
 * them (SCTP over UDP in a tunnel, a frame with padding) is finished here and now.  False when the
 * frame must not go on: header and frame do not agree. */
bool virtio_read(struct offload *undone, const uint8_t header[VIRTIO_HEADER_SIZE], uint8_t *frame,
		 size_t size);

/* False when 'undone' does not fit the frame. */
bool virtio_write(uint8_t header[VIRTIO_HEADER_SIZE], struct bytes frame, struct offload undone);

#endif
