#include "answer.h"

#include <string.h>

size_t answer_limit(const struct dns_query *q, bool tcp)
{
	if (tcp)
		return DNS_MESSAGE_MAX;
	return q->udp_size < DNS_UDP_MAX ? q->udp_size : DNS_UDP_MAX;
}

struct bytes answer_refuse(const struct dns_query *q, enum dns_rcode rcode, void *buffer)
{
	struct dns_answer a;

	dns_answer_begin(&a, q, buffer, DNS_UDP_SIZE);
	return dns_answer_end(&a, rcode);
}

/* In random order, as many as fit. */
static bool add_addresses(struct dns_answer *a, struct zone_addresses list, uint32_t ttl,
			  struct rng *rng)
{
	for (size_t i = 0; i < list.count; i++)
		if (!dns_answer_address(a, zone_draw(&list, i, rng), ttl))
			return false;
	return true;
}

/* 'name': where it stands in the zone, which is not always how it was asked for. */
static struct bytes answer_name(struct answer *x, struct zone *z, const struct dns_name *name,
				uint32_t ttl, size_t limit, struct rng *rng, void *buffer)
{
	const struct dns_query *q = &x->query;
	const struct dns_name *domain = zone_domain(z);
	enum zone_is is = zone_find(z, name->wire, name->size);
	bool at_domain = name->size == domain->size, whole = name == &q->name;
	struct dns_answer a;

	dns_answer_begin(&a, q, buffer, limit);
	dns_answer_authoritative(&a);
	if (is == ZONE_NAME) {
		bool room = true;

		if (q->type == DNS_A || q->type == DNS_ANY)
			room = add_addresses(&a, zone_addresses(z, name->wire, name->size, 4), ttl,
					     rng);
		if (room && (q->type == DNS_AAAA || q->type == DNS_ANY))
			add_addresses(&a, zone_addresses(z, name->wire, name->size, 6), ttl, rng);
	}
	if (at_domain && (q->type == DNS_SOA || q->type == DNS_ANY))
		dns_answer_soa(&a, domain, zone_serial(z), ttl, false);
	/* A name without domain has no tail to point to; nor may it be remembered. */
	if (a.counts[0] == 0 && whole && !a.cut)
		dns_answer_soa(&a, domain, zone_serial(z), ttl, true);
	return dns_answer_end(&a, is == ZONE_NOTHING ? DNS_NXDOMAIN : DNS_NOERROR);
}

static bool is_in_domain(const struct dns_name *name, const struct dns_name *domain)
{
	const uint8_t *at = name->wire;
	size_t left = name->size;

	while (left > domain->size) {
		left -= *at + 1u;
		at += *at + 1u;
	}
	return left == domain->size && memcmp(at, domain->wire, left) == 0;
}

/* One label and nothing else. */
static bool is_unqualified(const struct dns_name *name)
{
	return name->wire[0] && name->size == name->wire[0] + 2u;
}

/* The one label below the domain.  False if that is too long a name. */
static bool qualify(const struct dns_name *label, const struct dns_name *domain,
		    struct dns_name *out)
{
	size_t head = label->size - 1u;

	if (head + domain->size > DNS_NAME_MAX)
		return false;
	memcpy(out->wire, label->wire, head);
	memcpy(out->wire + head, domain->wire, domain->size);
	out->size = (uint8_t)(head + domain->size);
	return true;
}

static bool asks_for_address(uint16_t type)
{
	return type == DNS_A || type == DNS_AAAA || type == DNS_ANY;
}

/* Transfers of zones and the like, between servers (RFC 6895 3.1): not asked by containers. */
static bool is_for_servers(uint16_t type)
{
	return type == DNS_OPT || (type >= 249 && type <= 252);
}

static struct bytes answer_reverse(const struct dns_query *q, const char *hostname, uint32_t ttl,
				   size_t limit, void *buffer)
{
	struct dns_answer a;

	dns_answer_begin(&a, q, buffer, limit);
	dns_answer_authoritative(&a);
	if (q->type == DNS_PTR || q->type == DNS_ANY)
		dns_answer_pointer(&a, hostname, ttl);
	return dns_answer_end(&a, DNS_NOERROR);
}

void answer_make(struct answer *x, struct zone *z, uint32_t ttl, struct bytes question, bool tcp,
		 struct rng *rng, void *buffer)
{
	const struct dns_name *domain = zone_domain(z);
	struct dns_query *q = &x->query;
	enum dns_rcode refuse;
	struct dns_name whole;
	struct ip_addr ip;
	const char *hostname;
	size_t limit;

	x->is = ANSWER_NONE;
	if (!dns_query_decode(q, question, &refuse))
		return;
	limit = answer_limit(q, tcp);
	x->is = ANSWER_LOCAL;
	if (refuse == DNS_NOERROR && is_for_servers(q->type))
		refuse = DNS_REFUSED;
	if (refuse != DNS_NOERROR) {
		x->is = ANSWER_REFUSED;
		x->message = answer_refuse(q, refuse, buffer);
	} else if (is_in_domain(&q->name, domain)) {
		x->message = answer_name(x, z, &q->name, ttl, limit, rng, buffer);
	} else if (is_unqualified(&q->name) && qualify(&q->name, domain, &whole) &&
		   (asks_for_address(q->type) ||
		    zone_find(z, whole.wire, whole.size) == ZONE_NAME)) {
		x->message = answer_name(x, z, &whole, ttl, limit, rng, buffer);
	} else if (dns_reverse_name(&q->name, &ip) && (hostname = zone_reverse(z, ip))) {
		x->message = answer_reverse(q, hostname, ttl, limit, buffer);
	} else if (q->recursion_desired) {
		x->is = ANSWER_FORWARD;
	} else {
		x->is = ANSWER_REFUSED;
		x->message = answer_refuse(q, DNS_REFUSED, buffer);
	}
}
