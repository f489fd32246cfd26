#include "kind_endpoint.h"

#include <weave/must.h>
#include <weave/reader.h>

void endpoint_entry_key(const struct endpoint_entry *e, struct writer *key)
{
	write_uint(key, e->segment, 3);
	write_bytes(key, e->mac.b, 6);
	write_uint(key, e->peer, 6);
	MUST(!key->full);
}

void endpoint_entry_value(const struct endpoint_entry *e, struct writer *value)
{
	MUST(e->ips_count <= ENDPOINT_IPS_MAX);
	write_u32(value, e->claim);
	write_u8(value, e->flags);
	write_u8(value, e->ips_count);
	for (unsigned i = 0; i < e->ips_count; i++) {
		write_u8(value, e->ips[i].family);
		write_bytes(value, e->ips[i].b, e->ips[i].family == 4 ? 4 : 16);
	}
	MUST(!value->full);
}

static void read_key(struct endpoint_entry *out, struct reader *r)
{
	out->segment = (uint32_t)read_uint(r, 3, "endpoint.segment");
	read_copy(r, out->mac.b, 6, "endpoint.mac");
	if (mac_is_group(out->mac))
		reader_fail(r, "endpoint.mac");
	out->peer = read_uint(r, 6, "endpoint.peer");
}

static void read_value(struct endpoint_entry *out, struct reader *r)
{
	unsigned count;

	out->claim = read_u32(r, "endpoint.claim");
	if (out->claim >= ENDPOINT_CLAIM_LIMIT)
		reader_fail(r, "endpoint.claim");
	out->flags = read_u8(r, "endpoint.flags");
	if (out->flags & ~ENDPOINT_ATTACHED)
		reader_fail(r, "endpoint.flags");
	count = read_u8(r, "endpoint.count");
	if (count > ENDPOINT_IPS_MAX)
		reader_fail(r, "endpoint.count");
	for (unsigned i = 0; i < count && !r->bad; i++) {
		struct ip_addr *ip = &out->ips[i];

		ip->family = read_u8(r, "endpoint.family");
		if (ip->family != 4 && ip->family != 6)
			reader_fail(r, "endpoint.family");
		read_copy(r, ip->b, ip->family == 4 ? 4 : 16, "endpoint.address");
	}
	out->ips_count = r->bad ? 0 : (uint8_t)count;
}

const char *endpoint_entry_decode(struct endpoint_entry *out, const struct entry_view *e)
{
	struct reader key = reader_over(e->key.data, e->key.size);
	struct reader value = reader_over(e->value.data, e->value.size);
	const char *bad;

	*out = (struct endpoint_entry){ 0 };
	read_key(out, &key);
	if (out->peer != e->writer)
		reader_fail(&key, "endpoint.peer");
	bad = reader_verdict(&key);
	if (bad || (e->flags & ENTRY_TOMBSTONE))
		return bad;
	read_value(out, &value);
	return reader_verdict(&value);
}

const char *endpoint_entry_check(const struct entry_view *e)
{
	struct endpoint_entry ignored;

	return endpoint_entry_decode(&ignored, e);
}
