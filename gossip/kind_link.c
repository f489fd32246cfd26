/* Kind link.  Key: from u48, to u48.  Value: flags u8 (1 established, 2 outbound), overlay u8,
 * address u8 family (0 unknown, 4, 6) and 0, 4 or 16 bytes, port u16. */
#include "kinds.h"

#include <weave/must.h>

enum { LINK_ESTABLISHED = 1, LINK_OUTBOUND = 2 };

void link_info_key(peer_name from, peer_name to, struct writer *key)
{
	write_uint(key, from, 6);
	write_uint(key, to, 6);
	MUST(!key->full);
}

void link_info_encode(const struct link_info *l, struct writer *w)
{
	MUST(l->established || l->overlay == 0);
	write_u8(w, (uint8_t)((l->established ? LINK_ESTABLISHED : 0) |
			      (l->outbound ? LINK_OUTBOUND : 0)));
	write_u8(w, l->overlay);
	kind_write_ip(w, l->address.ip);
	write_u16(w, l->address.port);
	MUST(!w->full);
}

static const char *read_value(struct link_info *l, struct bytes value)
{
	struct reader r = reader_over(value.data, value.size);
	uint8_t flags = read_u8(&r, "link.flags");

	if (flags & ~(LINK_ESTABLISHED | LINK_OUTBOUND))
		reader_fail(&r, "link.flags");
	l->established = flags & LINK_ESTABLISHED;
	l->outbound = flags & LINK_OUTBOUND;
	l->overlay = read_u8(&r, "link.overlay");
	if (l->overlay && !l->established)
		reader_fail(&r, "link.overlay");
	l->address.ip = kind_read_ip(&r, "link.address");
	l->address.port = read_u16(&r, "link.address");
	return r.bad;
}

const char *link_info_decode(struct link_info *l, const struct entry_view *e)
{
	struct reader key = reader_over(e->key.data, e->key.size);

	*l = (struct link_info){ 0 };
	l->from = kind_read_name(&key, "link.from");
	if (l->from != e->writer)
		reader_fail(&key, "link.writer");
	l->to = kind_read_name(&key, "link.to");
	if (l->to == l->from)
		reader_fail(&key, "link.to");
	if (reader_verdict(&key))
		return key.bad ? key.bad : "link.to";
	return e->flags & ENTRY_TOMBSTONE ? NULL : read_value(l, e->value);
}

static const char *check(const struct entry_view *e)
{
	struct link_info l;

	return link_info_decode(&l, e);
}

const struct kind kind_link = { .number = KIND_LINK, .name = "link", .check = check };
