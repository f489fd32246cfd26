#include "universe.h"

__extension__ typedef unsigned __int128 wide;

static wide to_wide(struct ip_addr ip)
{
	wide v = 0;

	for (unsigned i = 0; i < ip_bits(ip) / 8; i++)
		v = v << 8 | ip.b[i];
	return v;
}

static struct ip_addr from_wide(uint8_t family, wide v)
{
	struct ip_addr ip = { .family = family };
	unsigned bytes = ip_bits(ip) / 8;

	for (unsigned i = 0; i < bytes; i++)
		ip.b[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
	return ip;
}

static uint64_t size_of(struct cidr cidr)
{
	unsigned bits = ip_bits(cidr.ip) - cidr.prefix;

	return bits >= 32 ? UNIVERSE_SIZE_MAX : UINT64_C(1) << bits;
}

/* First and last are never handed out, so smaller ones hold less than two addresses. */
static bool has_room(struct cidr cidr)
{
	return (cidr.ip.family == 4 || cidr.ip.family == 6) && cidr.prefix + 2u <= ip_bits(cidr.ip);
}

static bool is_network(struct cidr cidr)
{
	return ip_compare(cidr_network(cidr).ip, cidr.ip) == 0;
}

bool universe_init(struct universe *u, struct cidr cidr, struct why *why)
{
	char text[CIDR_TEXT_SIZE], network[CIDR_TEXT_SIZE];

	if (!has_room(cidr)) {
		why_set(why, WHY_INVALID, "%s is too small: a range needs at least 4 addresses",
			cidr_text(cidr, text));
		return false;
	}
	if (!is_network(cidr)) {
		why_set(why, WHY_INVALID, "%s is not a network address; did you mean %s?",
			cidr_text(cidr, text), cidr_text(cidr_network(cidr), network));
		return false;
	}
	*u = (struct universe){ .prefix = cidr, .size = size_of(cidr) };
	return true;
}

bool universe_equal(const struct universe *a, const struct universe *b)
{
	return a->prefix.prefix == b->prefix.prefix && ip_compare(a->prefix.ip, b->prefix.ip) == 0;
}

bool universe_offset(const struct universe *u, struct ip_addr ip, uint64_t *offset)
{
	wide base = to_wide(u->prefix.ip), v = to_wide(ip);

	if (ip.family != u->prefix.ip.family || v < base || v - base >= u->size)
		return false;
	*offset = (uint64_t)(v - base);
	return true;
}

struct ip_addr universe_address(const struct universe *u, uint64_t offset)
{
	return from_wide(u->prefix.ip.family, to_wide(u->prefix.ip) + offset);
}

bool universe_subnet(const struct universe *u, struct cidr subnet, struct span *span,
		     struct why *why)
{
	char text[CIDR_TEXT_SIZE], range[CIDR_TEXT_SIZE];
	wide base, first, end;

	cidr_text(subnet, text);
	if (!has_room(subnet) || !is_network(subnet)) {
		why_set(why, WHY_INVALID, "%s is not a subnet of at least 4 addresses", text);
		return false;
	}
	if (!cidr_overlaps(u->prefix, subnet)) {
		why_set(why, WHY_INVALID, "subnet %s lies outside the allocation range %s", text,
			cidr_text(u->prefix, range));
		return false;
	}
	base = to_wide(u->prefix.ip);
	/* Without its first and last address; written so that 2^128 itself never occurs. */
	first = to_wide(subnet.ip) + 1;
	end = to_wide(subnet.ip) + (((wide)1 << (ip_bits(subnet.ip) - subnet.prefix - 1)) - 1) * 2 +
	      1;
	first = first > base ? first - base : 0;
	end = end - base < u->size ? end - base : u->size;
	if (first >= end) {
		why_set(why, WHY_INVALID, "subnet %s lies outside the part of %s that is used",
			text, cidr_text(u->prefix, range));
		return false;
	}
	*span = (struct span){ (uint64_t)first, (uint64_t)end };
	return true;
}

void universe_write(const struct universe *u, struct writer *w)
{
	write_u8(w, u->prefix.ip.family);
	write_u8(w, u->prefix.prefix);
	write_bytes(w, u->prefix.ip.b, ip_bits(u->prefix.ip) / 8);
}

void universe_read(struct universe *u, struct reader *r)
{
	struct cidr cidr = { { 0, { 0 } }, 0 };
	struct why why;

	*u = (struct universe){ .size = 0 };
	cidr.ip.family = read_u8(r, "universe.family");
	cidr.prefix = read_u8(r, "universe.prefix");
	if (cidr.ip.family != 4 && cidr.ip.family != 6)
		reader_fail(r, "universe.family");
	else
		read_copy(r, cidr.ip.b, ip_bits(cidr.ip) / 8, "universe.address");
	if (!r->bad && (cidr.prefix > ip_bits(cidr.ip) || !universe_init(u, cidr, &why)))
		reader_fail(r, "universe.prefix");
}
