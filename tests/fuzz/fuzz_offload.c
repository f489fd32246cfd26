/* A frame and what is said to be undone in it, as a peer or a kernel might lie about it: whatever
 *is accepted can be cut, finished, and told to the kernel, within its bounds.
 *
 *	input:  virtio header of 10 bytes, frame
 */
#include <stdint.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "../../router/offload.h"
#include "../../router/virtio_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void cut(const struct offload_layout *l, const uint8_t *frame)
{
	uint8_t *out = mem_new(1, l->size);
	size_t payload = 0;

	for (uint32_t i = 0; i < l->count; i++) {
		struct offload_layout one;
		size_t size = offload_part_size(l, i, 1);

		payload += size - l->payload;
		offload_finished(l, frame, i, out);
		MUST(offload_layout(&one, bytes_of(out, size),
				    (struct offload){ .checksum = true }));
		MUST(one.payload == l->payload && one.count == 1);
	}
	MUST(payload == l->size - l->payload);
	if (l->count > 2)
		offload_part(l, frame, 1, l->count - 2, out);
	mem_free(out);
}

/* All that a peer can say. */
static void from_peer(struct bytes frame, uint16_t segment_size)
{
	struct offload undone = { .checksum = true, .segment_size = segment_size };
	uint8_t header[VIRTIO_HEADER_SIZE];
	struct offload_layout l;
	struct offload again;
	uint8_t *copy;

	if (!offload_layout(&l, frame, undone)) {
		MUST(!virtio_write(header, frame, undone));
		return;
	}
	MUST(l.payload <= l.size && l.size == frame.size && l.checksum + 2 <= l.payload);
	cut(&l, frame.data);
	MUST(virtio_write(header, frame, undone));
	copy = mem_copy(frame.data, frame.size);
	MUST(virtio_read(&again, header, copy, frame.size));
	MUST(again.checksum && again.segment_size == segment_size);
	mem_free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct offload undone;
	struct offload_layout l;
	uint8_t *frame;

	if (size <= VIRTIO_HEADER_SIZE)
		return 0;
	/* Of its own, so that a byte too far is seen. */
	frame = mem_copy(data + VIRTIO_HEADER_SIZE, size - VIRTIO_HEADER_SIZE);
	size -= VIRTIO_HEADER_SIZE;
	from_peer(bytes_of(frame, size), (uint16_t)(data[4] | data[5] << 8));
	from_peer(bytes_of(frame, size), 0);
	if (virtio_read(&undone, data, frame, size) && undone.checksum)
		MUST(offload_layout(&l, bytes_of(frame, size), undone));
	mem_free(frame);
	return 0;
}
