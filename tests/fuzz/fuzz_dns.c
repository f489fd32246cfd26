/* A DNS message from anybody, as a question over UDP and TCP and as another resolver's answer.
 *
 * What we answer must be a well-formed message of the size that was allowed, with the id and the
 * question that came; what we take for an answer must stay one when it is given to somebody else.
 */
#include <arpa/nameser.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "../../dns/answer.h"
#include "../../dns/cache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(struct zone *z, uint8_t key, const char *hostname, const char *ip)
{
	size_t size = strlen(hostname) + 1;
	struct name_change *c = mem_new(1, sizeof *c + size);

	c->present = true;
	c->key[0] = key;
	MUST(ip_parse(ip, &c->address));
	memcpy(c->hostname, hostname, size);
	zone_apply(z, c);
	mem_free(c);
}

static struct zone *make_zone(void)
{
	struct zone *z = zone_new("weave.local", 1);
	char ip[32];

	put(z, 1, "one.weave.local", "10.2.1.1");
	put(z, 2, "a.b.weave.local", "fd00::1");
	put(z, 3, "weave.local", "10.2.1.3");
	for (unsigned i = 0; i < 60; i++) {
		snprintf(ip, sizeof ip, "10.2.7.%u", i);
		put(z, (uint8_t)(100 + i), "many.weave.local", ip);
	}
	return z;
}

/* All of it must parse, as what it claims to be. */
static void check(struct bytes message, const struct dns_query *q, size_t limit)
{
	ns_msg m;
	ns_rr rr;

	MUST(message.size >= DNS_HEADER_SIZE && message.size <= limit);
	MUST(ns_initparse(message.data, (int)message.size, &m) == 0);
	MUST(ns_msg_id(m) == q->id && ns_msg_getflag(m, ns_f_qr));
	MUST(ns_msg_count(m, ns_s_qd) == (q->question.size ? 1 : 0));
	MUST(!q->question.size ||
	     memcmp(message.data + DNS_HEADER_SIZE, q->question.data, q->question.size) == 0);
	for (int s = ns_s_an; s < ns_s_max; s++)
		for (int i = 0; i < ns_msg_count(m, s); i++)
			MUST(ns_parserr(&m, (ns_sect)s, i, &rr) == 0);
}

static void as_question(struct zone *z, struct bytes message, bool tcp)
{
	static uint8_t buffer[DNS_MESSAGE_MAX];
	struct rng rng = { 1 };
	struct answer a;

	answer_make(&a, z, 1, message, tcp, &rng, buffer);
	if (a.is == ANSWER_LOCAL || a.is == ANSWER_REFUSED)
		check(a.message, &a.query, answer_limit(&a.query, tcp));
	if (a.is == ANSWER_FORWARD) {
		ns_msg m;
		struct bytes q = dns_forward_query(&a.query, 7, buffer, sizeof buffer);

		MUST(ns_initparse(q.data, (int)q.size, &m) == 0 && ns_msg_id(m) == 7);
		check(answer_refuse(&a.query, DNS_SERVFAIL, buffer), &a.query, DNS_UDP_SIZE);
	}
}

/* The question in the message, asked by somebody in capitals. */
static void as_reply(struct bytes message)
{
	static uint8_t buffer[DNS_MESSAGE_MAX];
	uint8_t question[DNS_NAME_MAX + 4];
	uint8_t *copy = mem_copy(message.data, message.size);
	struct dns_query q;
	struct dns_reply reply;
	enum dns_rcode refuse;

	/* Any message has a question if its header says so. */
	memset(copy + 2, 0, 2);
	memset(copy + 6, 0, 6);
	if (message.size > DNS_QUERY_MAX ||
	    !dns_query_decode(&q, bytes_of(copy, message.size), &refuse) || !q.question.size)
		goto out;
	memcpy(question, q.question.data, q.question.size);
	q.question.data = question;
	for (size_t i = 0; i + 4 < q.question.size; i += question[i] + 1u)
		for (size_t k = 1; k <= question[i]; k++)
			if (question[i + k] >= 'a' && question[i + k] <= 'z')
				question[i + k] &= 0xdf;
	q.id = 4242;
	if (dns_reply_decode(&reply, message, &q))
		for (uint32_t age = 0; age < 2; age++)
			check(dns_reply_for(message, &q, age, DNS_UDP_MAX, buffer), &q,
			      DNS_UDP_MAX);
out:
	mem_free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct zone *z;
	struct bytes message = bytes_of(data, size);

	if (!z)
		z = make_zone();
	as_question(z, message, false);
	as_question(z, message, true);
	if (size >= DNS_HEADER_SIZE)
		as_reply(message);
	return 0;
}
