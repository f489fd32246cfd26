#include "kinds.h"

void space_key(struct writer *key, const struct universe *u, peer_name peer)
{
	universe_write(u, key);
	write_uint(key, peer, 6);
}

void space_value(struct writer *value, const struct space_info *info)
{
	write_u64(value, info->store_id);
	write_u8(value, info->flags);
	write_u16(value, (uint16_t)info->electors);
	write_u64(value, info->ring_id);
	write_u16(value, (uint16_t)info->ranges_count);
	for (uint32_t i = 0; i < info->ranges_count; i++) {
		write_u64(value, info->ranges[i].span.start);
		write_u64(value, info->ranges[i].span.end);
		write_u64(value, info->ranges[i].free);
	}
}

static void read_ranges(struct reader *r, uint64_t size, struct space_info *info)
{
	info->ranges_count = read_u16(r, "space.ranges");
	if (info->ranges_count > SPACE_RANGES_MAX) {
		reader_fail(r, "space.ranges");
		info->ranges_count = 0;
	}
	for (uint32_t i = 0; i < info->ranges_count; i++) {
		struct space_range *range = &info->ranges[i];

		range->span.start = read_u64(r, "space.start");
		range->span.end = read_u64(r, "space.end");
		range->free = read_u64(r, "space.free");
		if (range->span.start >= range->span.end || range->span.end > size ||
		    (i > 0 && range->span.start < info->ranges[i - 1].span.end))
			reader_fail(r, "space.end");
		else if (range->free > range->span.end - range->span.start)
			reader_fail(r, "space.free");
	}
}

const char *space_entry_read(const struct entry_view *e, struct universe *u,
			     struct space_info *info)
{
	struct reader key = reader_over(e->key.data, e->key.size);
	struct reader r = reader_over(e->value.data, e->value.size);
	const char *bad;

	*info = (struct space_info){ .peer = 0 };
	universe_read(u, &key);
	info->peer = read_uint(&key, 6, "space.peer");
	bad = reader_verdict(&key);
	if (!bad && info->peer != e->writer)
		bad = "space.peer";
	if (bad || e->flags & ENTRY_TOMBSTONE)
		return bad;
	info->store_id = read_u64(&r, "space.store");
	info->flags = read_u8(&r, "space.flags");
	info->electors = read_u16(&r, "space.electors");
	info->ring_id = read_u64(&r, "space.ring");
	read_ranges(&r, u->size, info);
	return r.bad;
}
