/* What of a frame is left undone, for whoever takes it next: the checksum of its TCP or UDP, and
 * the cutting of what is larger than the receiver's MTU into segments.
 *
 * Linux hands such frames to virtual devices so that the work is done once at most, and often never
 * (virtio specification 5.1.6.2).  Only these two facts travel; where headers and checksums lie is
 * read from the frame itself by everybody who has to know (router/offload.h), so no peer can lie
 * about it.  Pure.
 */
#ifndef WEAVE_OFFLOAD_H
#define WEAVE_OFFLOAD_H

#include <stdbool.h>
#include <stdint.h>

struct offload {
	/* The frame's TCP or UDP checksum field holds the sum of the pseudo-header only. */
	bool checksum;
	/* Not 0: the frame stands for several, each with so many bytes of the payload (the last one
	 * with what is left); then 'checksum' is true as well. */
	uint16_t segment_size;
};

#define OFFLOAD_NONE ((struct offload){ 0 })

/* As in the kernel (TCP_MIN_GSO_SIZE): less is nobody's segment. */
#define OFFLOAD_SEGMENT_MIN 8u

#endif
