#include "message_wire.h"

#include <arpa/nameser.h>
#include <string.h>

#include <weave/must.h>
#include <weave/reader.h>

enum {
	FLAG_QR = 0x8000,
	FLAG_AA = 0x0400,
	FLAG_TC = 0x0200,
	FLAG_RD = 0x0100,
	FLAG_RA = 0x0080,
	FLAG_CD = 0x0010,
	FLAG_DO = 0x8000, /* in OPT's TTL */
};

#define POINTER_TO_QUESTION (0xc000u | DNS_HEADER_SIZE)
#define REFRESH_S 3600u

static bool parse(ns_msg *m, struct bytes message)
{
	return message.size >= DNS_HEADER_SIZE && message.size <= DNS_MESSAGE_MAX &&
	       ns_initparse(message.data, (int)message.size, m) == 0;
}

/* ---- questions ---- */

/* Sets name, type, class and 'question'. */
static bool read_question(struct dns_query *q, const ns_msg *m, struct bytes message)
{
	const uint8_t *at = message.data + DNS_HEADER_SIZE;
	struct reader r;
	int size = ns_name_unpack(message.data, ns_msg_end(*m), at, q->name.wire,
				  sizeof q->name.wire);
	size_t length = 0;

	if (size <= 0)
		return false;
	while (q->name.wire[length])
		length += q->name.wire[length] + 1u;
	/* There is nothing before it that it could point to. */
	if ((size_t)size != length + 1)
		return false;
	q->name.size = (uint8_t)size;
	for (size_t i = 0; i < (size_t)size; i += q->name.wire[i] + 1u)
		for (size_t k = 1; k <= q->name.wire[i]; k++)
			if (q->name.wire[i + k] >= 'A' && q->name.wire[i + k] <= 'Z')
				q->name.wire[i + k] |= 0x20;
	r = reader_over(at + size, (size_t)(ns_msg_end(*m) - at) - (size_t)size);
	q->type = read_u16(&r, "type");
	q->class = read_u16(&r, "class");
	if (r.bad)
		return false;
	q->question = bytes_of(at, (size_t)size + 4);
	return true;
}

/* At most one OPT, of the root (RFC 6891 6.1.1). */
static enum dns_rcode read_opt(struct dns_query *q, ns_msg *m)
{
	enum dns_rcode rcode = DNS_NOERROR;

	for (int i = 0; i < ns_msg_count(*m, ns_s_ar); i++) {
		ns_rr rr;

		if (ns_parserr(m, ns_s_ar, i, &rr) < 0)
			return DNS_FORMERR;
		if (ns_rr_type(rr) != ns_t_opt)
			continue;
		if (q->edns || ns_rr_name(rr)[0] != '.' || ns_rr_name(rr)[1])
			return DNS_FORMERR;
		q->edns = true;
		q->dnssec_ok = ns_rr_ttl(rr) & FLAG_DO;
		if (ns_rr_class(rr) > DNS_UDP_SIZE)
			q->udp_size = (uint16_t)ns_rr_class(rr);
		if (ns_rr_ttl(rr) >> 16 & 0xff)
			rcode = DNS_BADVERS;
	}
	return rcode;
}

bool dns_query_decode(struct dns_query *q, struct bytes message, enum dns_rcode *refuse)
{
	struct reader r = reader_over(message.data, message.size);
	uint16_t flags;
	ns_msg m;

	*q = (struct dns_query){ .udp_size = DNS_UDP_SIZE };
	*refuse = DNS_FORMERR;
	q->id = read_u16(&r, "id");
	flags = read_u16(&r, "flags");
	read_u64(&r, "counts");
	if (r.bad || flags & FLAG_QR)
		return false;
	q->opcode = flags >> 11 & 15;
	q->recursion_desired = flags & FLAG_RD;
	q->checking_disabled = flags & FLAG_CD;
	if (q->opcode != 0) {
		*refuse = DNS_NOTIMP;
		return true;
	}
	/* One question, and nothing that questions do not have (RFC 9619). */
	if (message.size > DNS_QUERY_MAX || !parse(&m, message) || ns_msg_count(m, ns_s_qd) != 1 ||
	    ns_msg_count(m, ns_s_an) || ns_msg_count(m, ns_s_ns) || !read_question(q, &m, message))
		return true;
	*refuse = read_opt(q, &m);
	if (*refuse == DNS_NOERROR && q->class != DNS_IN)
		*refuse = DNS_REFUSED;
	return true;
}

/* ---- answers ---- */

void dns_answer_begin(struct dns_answer *a, const struct dns_query *q, void *buffer, size_t limit)
{
	MUST(limit >= DNS_UDP_SIZE && limit <= DNS_MESSAGE_MAX);
	*a = (struct dns_answer){ .query = q, .limit = limit - (q->edns ? DNS_OPT_SIZE : 0) };
	a->w = writer_over(buffer, a->limit);
	a->flags = (uint16_t)(FLAG_QR | FLAG_RA | q->opcode << 11 |
			      (q->recursion_desired ? FLAG_RD : 0) |
			      (q->checking_disabled ? FLAG_CD : 0));
	write_room(&a->w, DNS_HEADER_SIZE);
	write_bytes(&a->w, q->question.data, q->question.size);
	MUST(!a->w.full);
}

void dns_answer_authoritative(struct dns_answer *a)
{
	a->flags |= FLAG_AA;
}

/* What was written since 'before' is a record, or too much. */
static bool keep_record(struct dns_answer *a, struct writer before, unsigned section)
{
	if (a->w.full) {
		a->w = before;
		a->flags |= FLAG_TC;
		a->cut = true;
		return false;
	}
	a->counts[section]++;
	return true;
}

static void begin_record(struct writer *w, uint16_t type, uint32_t ttl)
{
	write_u16(w, type);
	write_u16(w, DNS_IN);
	write_u32(w, ttl);
}

bool dns_answer_address(struct dns_answer *a, struct ip_addr ip, uint32_t ttl)
{
	struct writer before = a->w;
	uint16_t size = ip.family == 4 ? 4 : 16;

	write_u16(&a->w, POINTER_TO_QUESTION);
	begin_record(&a->w, ip.family == 4 ? DNS_A : DNS_AAAA, ttl);
	write_u16(&a->w, size);
	write_bytes(&a->w, ip.b, size);
	return keep_record(a, before, 0);
}

bool dns_answer_pointer(struct dns_answer *a, const char *hostname, uint32_t ttl)
{
	struct writer before = a->w;
	struct dns_name name;

	dns_name_from_text(&name, hostname, true);
	write_u16(&a->w, POINTER_TO_QUESTION);
	begin_record(&a->w, DNS_PTR, ttl);
	write_u16(&a->w, name.size);
	write_bytes(&a->w, name.wire, name.size);
	return keep_record(a, before, 0);
}

/* The domain is a tail of the question's name: a pointer to that. */
static void write_domain(struct dns_answer *a, const struct dns_name *domain)
{
	size_t size = a->query->name.size;

	MUST(size >= domain->size);
	write_u16(&a->w, (uint16_t)(0xc000u | (DNS_HEADER_SIZE + size - domain->size)));
}

bool dns_answer_soa(struct dns_answer *a, const struct dns_name *domain, uint32_t serial,
		    uint32_t ttl, bool negative)
{
	static const uint8_t mailbox[] = "\12hostmaster";
	struct writer before = a->w;

	write_domain(a, domain);
	begin_record(&a->w, DNS_SOA, ttl);
	write_u16(&a->w, (uint16_t)(2 + sizeof mailbox - 1 + 2 + 20));
	write_domain(a, domain);
	write_bytes(&a->w, mailbox, sizeof mailbox - 1);
	write_domain(a, domain);
	write_u32(&a->w, serial);
	write_u32(&a->w, REFRESH_S);
	write_u32(&a->w, REFRESH_S);
	write_u32(&a->w, REFRESH_S);
	write_u32(&a->w, ttl); /* of negative answers (RFC 2308 4) */
	return keep_record(a, before, negative ? 1 : 0);
}

static void write_opt(struct writer *w, uint16_t rcode, bool dnssec_ok)
{
	write_u8(w, 0);
	write_u16(w, DNS_OPT);
	write_u16(w, DNS_UDP_MAX);
	write_u8(w, (uint8_t)(rcode >> 4));
	write_u8(w, 0);
	write_u16(w, dnssec_ok ? FLAG_DO : 0);
	write_u16(w, 0);
}

static void write_header(struct writer *w, uint16_t id, uint16_t flags, uint16_t questions,
			 const uint16_t *counts)
{
	write_u16(w, id);
	write_u16(w, flags);
	write_u16(w, questions);
	for (unsigned i = 0; i < 3; i++)
		write_u16(w, counts[i]);
}

struct bytes dns_answer_end(struct dns_answer *a, enum dns_rcode rcode)
{
	const struct dns_query *q = a->query;
	struct writer header = writer_over(a->w.start, DNS_HEADER_SIZE);

	MUST(!a->w.full);
	if (q->edns) {
		a->w.end += DNS_OPT_SIZE;
		write_opt(&a->w, (uint16_t)rcode, q->dnssec_ok);
		a->counts[2]++;
	}
	write_header(&header, q->id, (uint16_t)(a->flags | (rcode & 15)), q->question.size ? 1 : 0,
		     a->counts);
	MUST(!a->w.full);
	return writer_bytes(&a->w);
}

/* ---- reverse names ---- */

/* The number of a label, -1: none. */
static int label_number(const uint8_t *label, int base, int max)
{
	int v = 0;

	if (label[0] == 0 || label[0] > 3 || (label[0] > 1 && label[1] == '0'))
		return -1;
	for (unsigned i = 1; i <= label[0]; i++) {
		int d = label[i] >= '0' && label[i] <= '9'   ? label[i] - '0'
			: label[i] >= 'a' && label[i] <= 'f' ? label[i] - 'a' + 10
							     : 99;

		if (d >= base)
			return -1;
		v = v * base + d;
	}
	return v <= max ? v : -1;
}

bool dns_reverse_name(const struct dns_name *name, struct ip_addr *ip)
{
	static const uint8_t four[] = "\7in-addr\4arpa", six[] = "\3ip6\4arpa";
	bool is_four = name->size > sizeof four &&
		       memcmp(name->wire + name->size - sizeof four, four, sizeof four) == 0;
	bool is_six = name->size > sizeof six &&
		      memcmp(name->wire + name->size - sizeof six, six, sizeof six) == 0;
	size_t end = name->size - (is_four ? sizeof four : sizeof six), at = 0;
	unsigned parts = is_four ? 4 : 32, n = 0;

	if (!is_four && !is_six)
		return false;
	*ip = (struct ip_addr){ .family = is_four ? 4 : 6 };
	for (; at < end && n < parts; n++) {
		int v = label_number(name->wire + at, is_four ? 10 : 16, is_four ? 255 : 15);

		if (v < 0)
			return false;
		if (is_four)
			ip->b[3 - n] = (uint8_t)v;
		else
			ip->b[15 - n / 2] |= (uint8_t)(n % 2 ? v << 4 : v);
		at += name->wire[at] + 1u;
	}
	return at == end && n == parts;
}

/* ---- other resolvers ---- */

struct bytes dns_forward_query(const struct dns_query *q, uint16_t id, void *buffer, size_t size)
{
	uint16_t counts[3] = { 0, 0, q->edns ? 1 : 0 };
	struct writer w = writer_over(buffer, size);

	write_header(&w, id, (uint16_t)(FLAG_RD | (q->checking_disabled ? FLAG_CD : 0)), 1, counts);
	write_bytes(&w, q->question.data, q->question.size);
	if (q->edns)
		write_opt(&w, 0, q->dnssec_ok);
	MUST(!w.full);
	return writer_bytes(&w);
}

/* How long a negative answer may be kept: what its SOA says (RFC 2308 5). */
static uint32_t negative_ttl(const ns_rr *rr)
{
	const uint8_t *minimum = ns_rr_rdata(*rr) + ns_rr_rdlen(*rr) - 4;
	uint32_t ttl = ns_rr_ttl(*rr), limit;

	if (ns_rr_rdlen(*rr) < 22)
		return 0;
	limit = ns_get32(minimum) > UINT32_MAX ? 0 : (uint32_t)ns_get32(minimum);
	return ttl < limit ? ttl : limit;
}

/* Every record must be whole.  '*ttl': the smallest there is. */
static bool read_records(ns_msg *m, uint8_t rcode, uint32_t *ttl)
{
	bool negative = rcode == DNS_NXDOMAIN || ns_msg_count(*m, ns_s_an) == 0;
	uint32_t least = UINT32_MAX;
	bool has_soa = false;

	for (int section = ns_s_an; section < ns_s_max; section++) {
		for (int i = 0; i < ns_msg_count(*m, section); i++) {
			uint32_t one;
			ns_rr rr;

			if (ns_parserr(m, (ns_sect)section, i, &rr) < 0)
				return false;
			if (ns_rr_type(rr) == ns_t_opt)
				continue;
			one = ns_rr_ttl(rr);
			if (section == ns_s_ns && ns_rr_type(rr) == ns_t_soa && negative) {
				one = negative_ttl(&rr);
				has_soa = true;
			}
			least = one < least ? one : least;
		}
	}
	*ttl = least == UINT32_MAX || (negative && !has_soa) || least > INT32_MAX ? 0 : least;
	return true;
}

bool dns_reply_decode(struct dns_reply *out, struct bytes message, const struct dns_query *q)
{
	struct dns_query asked;
	uint16_t flags;
	ns_msg m;

	if (!parse(&m, message) || ns_msg_count(m, ns_s_qd) != 1 ||
	    !read_question(&asked, &m, message))
		return false;
	flags = (uint16_t)(message.data[2] << 8 | message.data[3]);
	if (!(flags & FLAG_QR) || (flags >> 11 & 15) || asked.type != q->type ||
	    asked.class != q->class || asked.name.size != q->name.size ||
	    memcmp(asked.name.wire, q->name.wire, q->name.size) != 0)
		return false;
	*out = (struct dns_reply){ .id = (uint16_t)ns_msg_id(m),
				   .rcode = flags & 15,
				   .truncated = flags & FLAG_TC };
	if (!read_records(&m, out->rcode, &out->ttl))
		return false;
	if (out->truncated || (out->rcode != DNS_NOERROR && out->rcode != DNS_NXDOMAIN))
		out->ttl = 0;
	return true;
}

/* Time has passed for all records but OPT, whose TTL is no time. */
static void age(struct bytes message, uint8_t *copy, uint32_t age_s)
{
	ns_msg m;

	MUST(parse(&m, message));
	for (int section = ns_s_an; section < ns_s_max; section++) {
		for (int i = 0; i < ns_msg_count(m, section); i++) {
			struct writer w;
			ns_rr rr;

			if (ns_parserr(&m, (ns_sect)section, i, &rr) < 0 ||
			    ns_rr_type(rr) == ns_t_opt)
				continue;
			/* type, class, TTL, length: then the data. */
			w = writer_over(copy + (ns_rr_rdata(rr) - message.data) - 6, 4);
			write_u32(&w, ns_rr_ttl(rr) > age_s ? ns_rr_ttl(rr) - age_s : 0);
		}
	}
}

struct bytes dns_reply_for(struct bytes reply, const struct dns_query *q, uint32_t age_s,
			   size_t limit, void *buffer)
{
	struct dns_answer cut;
	uint8_t *copy = buffer;

	if (reply.size > limit) {
		dns_answer_begin(&cut, q, buffer, limit);
		cut.flags |= FLAG_TC;
		return dns_answer_end(&cut, (enum dns_rcode)(reply.data[3] & 15));
	}
	memcpy(copy, reply.data, reply.size);
	copy[0] = (uint8_t)(q->id >> 8);
	copy[1] = (uint8_t)q->id;
	copy[2] = (uint8_t)((copy[2] & 0xfa) | (q->recursion_desired ? 1 : 0));
	/* It is no authority's any more. */
	copy[3] |= FLAG_RA;
	memcpy(copy + DNS_HEADER_SIZE, q->question.data, q->question.size);
	if (age_s)
		age(reply, copy, age_s);
	return bytes_of(copy, reply.size);
}
