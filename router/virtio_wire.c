#include "virtio_wire.h"

#include <weave/reader.h>
#include <weave/writer.h>

#include "frame.h"
#include "offload.h"

/* Our own names: the kernel's header is one of I/O. */
enum { NEEDS_CHECKSUM = 1 };					/* flags */
enum { GSO_NONE = 0, GSO_TCP4 = 1, GSO_TCP6 = 4, GSO_UDP = 5 }; /* gso_type */

static uint16_t read_le16(struct reader *r, const char *what)
{
	uint16_t v = read_u16(r, what);

	return (uint16_t)(v >> 8 | v << 8);
}

static void write_le16(struct writer *w, size_t v)
{
	write_u8(w, (uint8_t)v);
	write_u8(w, (uint8_t)(v >> 8));
}

static uint8_t gso_type(const struct offload_layout *l, struct offload undone)
{
	if (!undone.segment_size)
		return GSO_NONE;
	if (l->udp)
		return GSO_UDP;
	return l->family == 4 ? GSO_TCP4 : GSO_TCP6;
}

/* Any protocol's, as skb_checksum_help does it: the field holds what does not lie behind 'start'.
 */
static bool finish_any(uint8_t *frame, size_t size, size_t start, size_t field)
{
	uint16_t sum;

	if (field < start || field + 2 > size)
		return false;
	sum = checksum_finish(checksum_add(0, frame + start, size - start));
	sum = sum ? sum : 0xffff;
	frame[field] = (uint8_t)(sum >> 8);
	frame[field + 1] = (uint8_t)sum;
	return true;
}

bool virtio_read(struct offload *undone, const uint8_t header[VIRTIO_HEADER_SIZE], uint8_t *frame,
		 size_t size)
{
	struct reader r = reader_over(header, VIRTIO_HEADER_SIZE);
	uint8_t flags = read_u8(&r, "flags"), type = read_u8(&r, "gso_type");
	struct offload_layout l;
	struct offload o = { .checksum = true };
	uint16_t start, field;

	read_u16(&r, "hdr_len");
	o.segment_size = read_le16(&r, "gso_size");
	start = read_le16(&r, "csum_start");
	field = read_le16(&r, "csum_offset");
	*undone = OFFLOAD_NONE;
	if (!(flags & NEEDS_CHECKSUM))
		return type == GSO_NONE;
	if (type == GSO_NONE)
		o.segment_size = 0;
	else if (!o.segment_size)
		return false;
	if (!offload_layout(&l, bytes_of(frame, size), o) || gso_type(&l, o) != type ||
	    l.transport != start || l.checksum != (size_t)start + field)
		return type == GSO_NONE && finish_any(frame, size, start, (size_t)start + field);
	*undone = o;
	return true;
}

bool virtio_write(uint8_t header[VIRTIO_HEADER_SIZE], struct bytes frame, struct offload undone)
{
	struct writer w = writer_over(header, VIRTIO_HEADER_SIZE);
	struct offload_layout l;

	memset(header, 0, VIRTIO_HEADER_SIZE);
	if (!undone.checksum)
		return !undone.segment_size;
	if (!offload_layout(&l, frame, undone))
		return false;
	write_u8(&w, NEEDS_CHECKSUM);
	write_u8(&w, gso_type(&l, undone));
	write_le16(&w, l.payload);
	write_le16(&w, undone.segment_size);
	write_le16(&w, l.transport);
	write_le16(&w, l.checksum - l.transport);
	return true;
}
