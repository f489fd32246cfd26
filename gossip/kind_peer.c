/* Kind peer.  Key: name u48.  Value: nickname text, software text, lowest and highest protocol
 * u8 each, overlays u8, instance u64, store id u64, floor u64, port u16, count u8 and so many
 * addresses.  Text: u8 length and bytes.  Address: u8 family (4, 6) and 4 or 16 bytes. */
#include "kinds.h"

#include <string.h>

#include <weave/must.h>

/* Decodes one code point of well-formed UTF-8 (RFC 3629) and returns its size, 0 if malformed. */
static size_t utf8_decode(const uint8_t *p, size_t left, uint32_t *code)
{
	static const uint32_t lowest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t size = p[0] < 0x80 ? 1 : p[0] < 0xc0 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

	if (size == 0 || p[0] >= 0xf8 || size > left)
		return 0;
	*code = size == 1 ? p[0] : p[0] & (0x7fu >> size);
	for (size_t i = 1; i < size; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (p[i] & 0x3fu);
	}
	if (*code < lowest[size] || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff))
		return 0;
	return size;
}

/* Controls move the cursor of a terminal; the others reorder or hide what people read. */
static bool is_harmful(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code <= 0x9f) ||
	       code == 0x061c ||		     /* Arabic letter mark */
	       (code >= 0x200b && code <= 0x200f) || /* zero width, direction marks */
	       (code >= 0x2028 && code <= 0x202e) || /* separators, embeddings */
	       (code >= 0x2060 && code <= 0x206f) || /* invisible operators, isolates */
	       code == 0xfeff || (code & 0xfffe) == 0xfffe;
}

bool peer_text_ok(struct bytes text)
{
	size_t i = 0, size;
	uint32_t code = 0;

	for (; i < text.size; i += size) {
		size = utf8_decode(text.data + i, text.size - i, &code);
		if (size == 0 || is_harmful(code))
			return false;
	}
	return true;
}

peer_name kind_read_name(struct reader *r, const char *what)
{
	peer_name name = read_uint(r, 6, what);

	if (name == PEER_NAME_NONE)
		reader_fail(r, what);
	return name;
}

void kind_read_text(struct reader *r, char *text, size_t max, const char *what)
{
	size_t size = read_u8(r, what);
	const uint8_t *p;

	if (size > max)
		reader_fail(r, what);
	p = read_bytes(r, r->bad ? 0 : size, what);
	if (p && !peer_text_ok(bytes_of(p, size)))
		reader_fail(r, what);
	if (r->bad)
		size = 0;
	if (p && size)
		memcpy(text, p, size);
	text[size] = '\0';
}

void kind_write_text(struct writer *w, const char *text, size_t max)
{
	size_t size = strlen(text);

	MUST(size <= max && size <= UINT8_MAX);
	MUST(peer_text_ok(bytes_of(text, size)));
	write_u8(w, (uint8_t)size);
	write_bytes(w, text, size);
}

struct ip_addr kind_read_ip(struct reader *r, const char *what)
{
	struct ip_addr ip = { .family = read_u8(r, what) };

	if (ip.family != 0 && ip.family != 4 && ip.family != 6)
		reader_fail(r, what);
	if (ip.family && !r->bad)
		read_copy(r, ip.b, ip_bits(ip) / 8, what);
	if (r->bad)
		ip.family = 0;
	return ip;
}

void kind_write_ip(struct writer *w, struct ip_addr ip)
{
	MUST(ip.family == 0 || ip.family == 4 || ip.family == 6);
	write_u8(w, ip.family);
	if (ip.family)
		write_bytes(w, ip.b, ip_bits(ip) / 8);
}

void peer_info_key(peer_name name, struct writer *key)
{
	write_uint(key, name, 6);
	MUST(!key->full);
}

void peer_info_encode(const struct peer_info *p, struct writer *w)
{
	kind_write_text(w, p->nickname, NICKNAME_MAX);
	kind_write_text(w, p->software, sizeof p->software - 1);
	write_u8(w, p->protocol_min);
	write_u8(w, p->protocol_max);
	write_u8(w, p->overlays);
	write_u64(w, p->instance);
	write_u64(w, p->store_id);
	write_u64(w, p->floor);
	write_u16(w, p->port);
	MUST(p->addresses_count <= ADDRESSES_PER_PEER_MAX);
	write_u8(w, p->addresses_count);
	for (unsigned i = 0; i < p->addresses_count; i++) {
		MUST(p->addresses[i].family != 0);
		kind_write_ip(w, p->addresses[i]);
	}
	MUST(!w->full && writer_size(w) <= ENTRY_SIZE_MAX - ENTRY_KEY_MAX);
}

static void read_addresses(struct peer_info *p, struct reader *r)
{
	unsigned count = read_u8(r, "peer.addresses");

	if (count > ADDRESSES_PER_PEER_MAX)
		reader_fail(r, "peer.addresses");
	for (unsigned i = 0; i < count && !r->bad; i++) {
		p->addresses[i] = kind_read_ip(r, "peer.addresses");
		if (p->addresses[i].family == 0)
			reader_fail(r, "peer.addresses");
	}
	p->addresses_count = (uint8_t)(r->bad ? 0 : count);
}

static const char *read_value(struct peer_info *p, struct bytes value)
{
	struct reader r = reader_over(value.data, value.size);

	kind_read_text(&r, p->nickname, NICKNAME_MAX, "peer.nickname");
	kind_read_text(&r, p->software, sizeof p->software - 1, "peer.software");
	p->protocol_min = read_u8(&r, "peer.protocol");
	p->protocol_max = read_u8(&r, "peer.protocol");
	if (p->protocol_min > p->protocol_max)
		reader_fail(&r, "peer.protocol");
	p->overlays = read_u8(&r, "peer.overlays");
	p->instance = read_u64(&r, "peer.instance");
	p->store_id = read_u64(&r, "peer.store_id");
	p->floor = read_u64(&r, "peer.floor");
	if (p->floor >= VERSION_LIMIT)
		reader_fail(&r, "peer.floor");
	p->port = read_u16(&r, "peer.port");
	read_addresses(p, &r);
	return r.bad;
}

const char *peer_info_decode(struct peer_info *p, const struct entry_view *e)
{
	struct reader key = reader_over(e->key.data, e->key.size);

	*p = (struct peer_info){ 0 };
	p->name = kind_read_name(&key, "peer.name");
	if (p->name != e->writer)
		reader_fail(&key, "peer.writer");
	if (reader_verdict(&key))
		return key.bad ? key.bad : "peer.name";
	return e->flags & ENTRY_TOMBSTONE ? NULL : read_value(p, e->value);
}

static const char *check(const struct entry_view *e)
{
	struct peer_info p;

	return peer_info_decode(&p, e);
}

const struct kind kind_peer = { .number = KIND_PEER, .name = "peer", .check = check };
