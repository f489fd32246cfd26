/* Frames with something left undone: what is refused, cutting, finishing, virtio headers. */
#include "../../../router/virtio_wire.h"
#include "super_frames.h"

static struct super_frame *made;
static uint8_t *out, *again;

static int set_up(void **state)
{
	(void)state;
	made = mem_new(1, sizeof *made);
	out = mem_new(1, sizeof made->f.data);
	again = mem_new(1, sizeof made->f.data);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	mem_free(made);
	mem_free(out);
	mem_free(again);
	return 0;
}

static size_t load16_at(const uint8_t *p)
{
	return (size_t)(p[0] << 8 | p[1]);
}

static struct bytes frame_of(const struct super_frame *s)
{
	return bytes_of(s->f.data, s->f.size);
}

/* Everything that a receiver looks at in segment 'i'. */
static void check_segment(const struct super_frame *s, const struct offload_layout *l, uint32_t i)
{
	size_t size = offload_part_size(l, i, 1), offset = (size_t)i * s->undone.segment_size;
	const uint8_t *ip = out + s->network, *t = out + s->transport;
	const uint8_t *t0 = s->f.data + s->transport;

	offload_finished(l, s->f.data, i, out);
	assert_memory_equal(out + s->payload, s->f.data + s->payload + offset, size - s->payload);
	assert_int_equal(super_checksum(s, out, size), 0);
	if (s->v6) {
		assert_int_equal(load16_at(ip + 4), size - s->network - 40);
	} else {
		assert_int_equal(load16_at(ip + 2), size - s->network);
		assert_int_equal(checksum_finish(checksum_add(0, ip, s->transport - s->network)),
				 0);
		assert_int_equal(
			(uint16_t)(load16_at(ip + 4) - load16_at(s->f.data + s->network + 4)), i);
	}
	if (s->udp) {
		assert_int_equal(load16_at(t + 4), size - s->transport);
		return;
	}
	assert_int_equal((uint32_t)(load16_at(t + 4) << 16 | load16_at(t + 6)),
			 (uint32_t)((load16_at(t0 + 4) << 16 | load16_at(t0 + 6)) + offset));
	assert_int_equal(t[13], i + 1 == l->count ? t0[13] : t0[13] & ~9);
}

static void segments_are_whole_packets(void **state)
{
	struct rng rng = { test_seed(0x5eed0601) };

	(void)state;
	for (unsigned run = 0; run < 400; run++) {
		struct offload_layout l;
		size_t payload = 0;

		make_random_super(made, &rng, mac_of(2), mac_of(1));
		assert_true(offload_layout(&l, frame_of(made), made->undone));
		assert_int_equal(l.payload, made->payload);
		for (uint32_t i = 0; i < l.count; i++) {
			check_segment(made, &l, i);
			payload += offload_part_size(&l, i, 1) - l.payload;
		}
		assert_int_equal(payload, made->f.size - made->payload);
	}
}

/* Cut first into parts and then into segments, or at once: the same bytes. */
static void parts_stand_for_their_segments(void **state)
{
	struct rng rng = { test_seed(0x5eed0602) };

	(void)state;
	for (unsigned run = 0; run < 300; run++) {
		struct offload_layout l, part;
		struct offload undone;
		uint32_t first, count;
		size_t size;

		make_random_super(made, &rng, mac_of(2), mac_of(1));
		assert_true(offload_layout(&l, frame_of(made), made->undone));
		first = (uint32_t)rng_below(&rng, l.count);
		count = 1 + (uint32_t)rng_below(&rng, l.count - first);
		undone = offload_part(&l, made->f.data, first, count, again);
		size = offload_part_size(&l, first, count);
		assert_true(offload_layout(&part, bytes_of(again, size), undone));
		assert_int_equal(part.count, count);
		for (uint32_t i = 0; i < count; i++) {
			uint8_t *other = out + 32768;
			size_t each = offload_part_size(&part, i, 1);

			assert_int_equal(each, offload_part_size(&l, first + i, 1));
			offload_finished(&part, again, i, out);
			offload_finished(&l, made->f.data, first + i, other);
			assert_memory_equal(out, other, each);
		}
	}
}

static void only_the_checksum(void **state)
{
	struct rng rng = { test_seed(0x5eed0603) };

	(void)state;
	for (unsigned run = 0; run < 300; run++) {
		struct offload_layout l;

		make_super(made, &rng, mac_of(2), mac_of(1), rng_below(&rng, 1500), 0);
		assert_true(offload_layout(&l, frame_of(made), made->undone));
		assert_int_equal(l.count, 1);
		memcpy(out, made->f.data, made->f.size);
		offload_finish(&l, out);
		assert_int_equal(super_checksum(made, out, made->f.size), 0);
		/* A UDP checksum of 0 would mean that there is none. */
		assert_int_not_equal(load16_at(out + l.checksum), 0);
	}
}

static void what_does_not_agree_is_refused(void **state)
{
	struct rng rng = { 1 };
	struct offload_layout l;
	struct offload none = OFFLOAD_NONE;

	(void)state;
	do
		make_super(made, &rng, mac_of(2), mac_of(1), 5000, 1000);
	while (made->v6 || made->udp);
	assert_true(offload_layout(&l, frame_of(made), made->undone));
	assert_false(offload_layout(&l, frame_of(made), none));
	made->undone.segment_size = OFFLOAD_SEGMENT_MIN - 1;
	assert_false(offload_layout(&l, frame_of(made), made->undone));
	made->undone.segment_size = 5000; /* a single segment */
	assert_false(offload_layout(&l, frame_of(made), made->undone));
	made->undone.segment_size = 1000;
	/* Cut short, padded, a fragment, another protocol, no whole header. */
	assert_false(offload_layout(&l, bytes_of(made->f.data, made->f.size - 1), made->undone));
	assert_false(offload_layout(&l, bytes_of(made->f.data, made->f.size + 1), made->undone));
	made->f.data[made->network + 6] |= 0x20;
	assert_false(offload_layout(&l, frame_of(made), made->undone));
	made->f.data[made->network + 6] &= 0x40;
	made->f.data[made->network + 9] = 1;
	assert_false(offload_layout(&l, frame_of(made), made->undone));
	made->f.data[made->network + 9] = 6;
	made->f.data[made->transport + 12] = 0x40;
	assert_false(offload_layout(&l, frame_of(made), made->undone));
}

static void virtio_headers_say_the_same(void **state)
{
	struct rng rng = { test_seed(0x5eed0604) };
	uint8_t header[VIRTIO_HEADER_SIZE];

	(void)state;
	for (unsigned run = 0; run < 300; run++) {
		struct offload undone;

		if (rng_below(&rng, 2))
			make_random_super(made, &rng, mac_of(2), mac_of(1));
		else
			make_super(made, &rng, mac_of(2), mac_of(1), rng_below(&rng, 1500), 0);
		assert_true(virtio_write(header, frame_of(made), made->undone));
		memcpy(out, made->f.data, made->f.size);
		assert_true(virtio_read(&undone, header, out, made->f.size));
		assert_memory_equal(out, made->f.data, made->f.size);
		assert_int_equal(undone.checksum, made->undone.checksum);
		assert_int_equal(undone.segment_size, made->undone.segment_size);
		assert_int_equal(header[0], 1);
		assert_int_equal(header[1], !undone.segment_size ? 0
					    : made->udp		 ? 5
					    : made->v6		 ? 4
								 : 1);
		assert_int_equal(header[2] | header[3] << 8, made->payload);
		assert_int_equal(header[6] | header[7] << 8, made->transport);
		assert_int_equal(header[8] | header[9] << 8, made->udp ? 6 : 16);
		/* Another kind than the frame is. */
		if (undone.segment_size) {
			header[1] = header[1] == 1 ? 4 : 1;
			assert_false(virtio_read(&undone, header, out, made->f.size));
		}
	}
}

/* Checksums of protocols that we do not know are finished, as the kernel would have done it. */
static void other_checksums_are_finished_at_once(void **state)
{
	const uint8_t header[VIRTIO_HEADER_SIZE] = { 1, 0, 0, 0, 0, 0, 34, 0, 2, 0 };
	const uint8_t outside[VIRTIO_HEADER_SIZE] = { 1, 0, 0, 0, 0, 0, 34, 0, 74, 0 };
	const uint8_t gso_only[VIRTIO_HEADER_SIZE] = { 0, 1, 0, 0, 200 };
	struct offload undone;

	(void)state;
	make_ipv4(&made->f, mac_of(2), mac_of(1), 95, true, 47);
	put16(made->f.data + 36, 0x1234); /* a seed */
	assert_true(virtio_read(&undone, header, made->f.data, made->f.size));
	assert_false(undone.checksum);
	/* What the field held is what the rest sums up to now. */
	assert_int_equal(checksum_finish(checksum_add(0, made->f.data + 34, made->f.size - 34)),
			 0x1234);
	assert_false(virtio_read(&undone, outside, made->f.data, made->f.size));
	assert_false(virtio_read(&undone, gso_only, made->f.data, made->f.size));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_are_whole_packets),
		cmocka_unit_test(parts_stand_for_their_segments),
		cmocka_unit_test(only_the_checksum),
		cmocka_unit_test(what_does_not_agree_is_refused),
		cmocka_unit_test(virtio_headers_say_the_same),
		cmocka_unit_test(other_checksums_are_finished_at_once),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
