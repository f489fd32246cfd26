/* DNS messages (RFC 1035, 6891): what a question says, and answers to it.
 *
 * Pure.  Whatever comes from the network is taken apart by glibc's ns_* functions; answers are
 * written through <weave/writer.h>: they repeat the question byte by byte, so that its spelling
 * comes back (draft-vixie-dnsext-dns0x20), and name it by a pointer.
 */
#ifndef WEAVE_DNS_MESSAGE_WIRE_H
#define WEAVE_DNS_MESSAGE_WIRE_H

#include <weave/bytes.h>
#include <weave/writer.h>

#include "zone.h"

#define DNS_HEADER_SIZE 12u
#define DNS_MESSAGE_MAX 65535u
#define DNS_QUERY_MAX 4096u /* of a question; nothing that asks is longer */
#define DNS_UDP_SIZE 512u   /* where the question says nothing */
#define DNS_UDP_MAX 1232u   /* passes everywhere in one piece (DNS flag day 2020) */
#define DNS_OPT_SIZE 11u

enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
	DNS_BADVERS = 16, /* needs an OPT record to be said */
};

enum {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_SOA = 6,
	DNS_PTR = 12,
	DNS_AAAA = 28,
	DNS_OPT = 41,
	DNS_ANY = 255
};
enum { DNS_IN = 1 };

struct dns_query {
	uint16_t id, type, class;
	uint8_t opcode;
	bool recursion_desired, checking_disabled;
	bool edns, dnssec_ok;
	uint16_t udp_size;     /* that its sender takes: at least DNS_UDP_SIZE */
	struct dns_name name;  /* lower case */
	struct bytes question; /* the section as it came, borrowed; empty: there is none */
};

/* DNS_NOERROR, or how to refuse it: 'out' is good for an answer of that kind then.  False: not a
 * question at all, so that nothing must be answered. */
bool dns_query_decode(struct dns_query *out, struct bytes message, enum dns_rcode *refuse);

/* ---- an answer ---- */
struct dns_answer {
	struct writer w;
	const struct dns_query *query;
	size_t limit; /* of bytes, less those for OPT */
	uint16_t flags;
	uint16_t counts[3]; /* answer, authority, additional */
	bool cut;	    /* something did not fit */
};

/* 'buffer' of at least 'limit' bytes, which are at least DNS_UDP_SIZE. */
void dns_answer_begin(struct dns_answer *a, const struct dns_query *q, void *buffer, size_t limit);
void dns_answer_authoritative(struct dns_answer *a);
/* The name in the question has this address.  False: it does not fit, and the answer says that it
 * was cut (TC). */
bool dns_answer_address(struct dns_answer *a, struct ip_addr ip, uint32_t ttl);
bool dns_answer_pointer(struct dns_answer *a, const char *hostname, uint32_t ttl);
/* Start of authority: as the answer, or beside a negative one (RFC 2308). */
bool dns_answer_soa(struct dns_answer *a, const struct dns_name *domain, uint32_t serial,
		    uint32_t ttl, bool negative);
/* The whole message, in the buffer. */
struct bytes dns_answer_end(struct dns_answer *a, enum dns_rcode rcode);

/* ---- an address asked for by name ---- */
/* "1.2.0.192.in-addr.arpa." and the like; false if it is none. */
bool dns_reverse_name(const struct dns_name *name, struct ip_addr *ip);

/* ---- messages of other resolvers ---- */
/* The same question for another resolver. */
struct bytes dns_forward_query(const struct dns_query *q, uint16_t id, void *buffer, size_t size);

struct dns_reply {
	uint16_t id;
	uint8_t rcode; /* as in the header */
	bool truncated;
	uint32_t ttl; /* for how long it may be kept; 0 not at all */
};

/* Is this a whole and well-formed answer to that question? */
bool dns_reply_decode(struct dns_reply *out, struct bytes message, const struct dns_query *q);
/* Makes it the answer to 'q' (whose spelling may be another), 'age_s' after it came; longer than
 * 'limit': the question alone, cut.  'buffer' of DNS_MESSAGE_MAX bytes. */
struct bytes dns_reply_for(struct bytes reply, const struct dns_query *q, uint32_t age_s,
			   size_t limit, void *buffer);

#endif
