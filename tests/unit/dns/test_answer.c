#include "names.h"

#include <arpa/nameser.h>

#include "../../../dns/answer.h"
#include "../../../dns/cache.h"
#include "../../../dns/resolv_conf.h"

static uint8_t buffer[DNS_MESSAGE_MAX];

static void put(struct zone *z, uint8_t key, const char *hostname, const char *address)
{
	size_t size = hostname ? strlen(hostname) + 1 : 1;
	struct name_change *c = mem_new(1, sizeof *c + size);

	c->present = hostname != NULL;
	c->key[0] = key;
	if (hostname) {
		c->address = ip(address);
		memcpy(c->hostname, hostname, size);
	}
	zone_apply(z, c);
	mem_free(c);
	zone_check(z);
}

static size_t question(uint8_t *to, const char *name, uint16_t type, bool edns, uint16_t udp_size)
{
	struct writer w = writer_over(to, 512);
	struct dns_name n = { .size = 1 };

	if (*name)
		dns_name_from_text(&n, name, true);
	write_u16(&w, 0x1234);
	write_u16(&w, 0x0100);
	write_u16(&w, 1);
	write_u32(&w, 0);
	write_u16(&w, edns);
	write_bytes(&w, n.wire, n.size);
	write_u16(&w, type);
	write_u16(&w, 1);
	if (edns) {
		write_u8(&w, 0);
		write_u16(&w, DNS_OPT);
		write_u16(&w, udp_size);
		write_u32(&w, 0);
		write_u16(&w, 0);
	}
	return writer_size(&w);
}

/* "NOERROR 10.2.1.1 ..." or "forward", "refused". */
static const char *said(struct zone *z, const char *name, uint16_t type)
{
	static const char *const rcodes[] = { "NOERROR",  "FORMERR", "SERVFAIL",
					      "NXDOMAIN", "NOTIMP",  "REFUSED" };
	static char line[4096];
	uint8_t q[512];
	struct rng rng = { 3 };
	struct answer a;
	ns_msg m;
	ns_rr rr;

	answer_make(&a, z, 7, bytes_of(q, question(q, name, type, false, 0)), false, &rng, buffer);
	if (a.is == ANSWER_FORWARD)
		return "forward";
	assert_int_equal(ns_initparse(a.message.data, (int)a.message.size, &m), 0);
	assert_int_equal(ns_msg_id(m), 0x1234);
	snprintf(line, sizeof line, "%s", rcodes[ns_msg_getflag(m, ns_f_rcode)]);
	for (int i = 0; i < ns_msg_count(m, ns_s_an); i++) {
		char text[1100], *at = line + strlen(line);

		assert_int_equal(ns_parserr(&m, ns_s_an, i, &rr), 0);
		assert_int_equal(ns_rr_ttl(rr), 7);
		if (ns_rr_type(rr) == ns_t_ptr)
			assert_true(ns_name_uncompress(ns_msg_base(m), ns_msg_end(m),
						       ns_rr_rdata(rr), text, sizeof text) > 0);
		else if (ns_rr_type(rr) == ns_t_soa)
			strcpy(text, "SOA");
		else
			ip_text((struct ip_addr){ ns_rr_rdlen(rr) == 4 ? 4 : 6,
						  { ns_rr_rdata(rr)[0], ns_rr_rdata(rr)[1],
						    ns_rr_rdata(rr)[2], ns_rr_rdata(rr)[3] } },
				text);
		snprintf(at, (size_t)(line + sizeof line - at), " %s", text);
	}
	if (ns_msg_count(m, ns_s_ns))
		strcat(line, " (SOA)");
	return line;
}

static void names_types_and_what_is_not_there(void **state)
{
	struct zone *z = zone_new("weave.local", 1);

	(void)state;
	put(z, 1, "One.weave.local", "10.2.1.1");
	put(z, 2, "a.b.weave.local", "10.2.1.2");
	put(z, 3, "weave.local", "10.2.1.3");
	put(z, 4, "elsewhere.org", "10.2.1.4");
	assert_string_equal(said(z, "oNE.weave.LOCAL", DNS_A), "NOERROR 10.2.1.1");
	assert_string_equal(said(z, "one", DNS_A), "NOERROR 10.2.1.1");
	assert_string_equal(said(z, "one.weave.local", DNS_AAAA), "NOERROR (SOA)");
	assert_string_equal(said(z, "one.weave.local", 15), "NOERROR (SOA)");
	assert_string_equal(said(z, "b.weave.local", DNS_A), "NOERROR (SOA)");
	assert_string_equal(said(z, "c.b.weave.local", DNS_A), "NXDOMAIN (SOA)");
	assert_string_equal(said(z, "two", DNS_A), "NXDOMAIN");
	assert_string_equal(said(z, "one", 15), "NOERROR");
	assert_string_equal(said(z, "com", DNS_NS), "forward");
	assert_string_equal(said(z, "", DNS_NS), "forward");
	assert_string_equal(said(z, "weave.local", DNS_A), "NOERROR 10.2.1.3");
	assert_string_equal(said(z, "weave.local", DNS_SOA), "NOERROR SOA");
	assert_string_equal(said(z, "weave.local", 252), "REFUSED");
	assert_string_equal(said(z, "example.org", 251), "REFUSED");
	/* Another router may serve another domain: not our business. */
	assert_string_equal(said(z, "elsewhere.org", DNS_A), "forward");
	assert_string_equal(said(z, "local", DNS_NS), "forward");
	assert_string_equal(said(z, "xweave.local", DNS_A), "forward");
	assert_string_equal(said(z, "1.1.2.10.in-addr.arpa", DNS_PTR), "NOERROR One.weave.local");
	assert_string_equal(said(z, "9.1.2.10.in-addr.arpa", DNS_PTR), "forward");
	assert_string_equal(said(z, "1.2.10.in-addr.arpa", DNS_PTR), "forward");
	assert_string_equal(said(z, "0.1.1.2.10.in-addr.arpa", DNS_PTR), "forward");
	put(z, 1, NULL, NULL);
	assert_string_equal(said(z, "one.weave.local", DNS_A), "NXDOMAIN (SOA)");
	assert_string_equal(said(z, "1.1.2.10.in-addr.arpa", DNS_PTR), "forward");
	put(z, 2, NULL, NULL);
	assert_string_equal(said(z, "b.weave.local", DNS_A), "NXDOMAIN (SOA)");
	assert_int_equal(zone_count(z), 2);
	zone_free(z);
}

/* Any order of changes leaves what the last of each key says. */
static void the_zone_is_what_was_said_last(void **state)
{
	static const char *const names[] = { "a.weave.local", "A.weave.local", "b.a.weave.local",
					     "c.b.a.weave.local", "x.other" };
	struct zone *z = zone_new("weave.local", 1);
	int now_is[8];
	struct rng rng = { 5 };

	(void)state;
	memset(now_is, -1, sizeof now_is);
	for (unsigned i = 0; i < 3000; i++) {
		uint8_t key = (uint8_t)rng_below(&rng, 8);
		char address[32];

		now_is[key] = (int)rng_below(&rng, 6) - 1;
		snprintf(address, sizeof address, "10.2.1.%d", key / 2);
		put(z, key, now_is[key] < 0 ? NULL : names[now_is[key]], address);
		for (unsigned n = 0; n < 5; n++) {
			struct dns_name wire;
			size_t expected = 0;

			dns_name_from_text(&wire, names[n], false);
			for (unsigned k = 0; k < 8; k += 2) {
				bool first = now_is[k] >= 0 &&
					     hostname_equal(names[now_is[k]], names[n]);
				bool second = now_is[k + 1] >= 0 &&
					      hostname_equal(names[now_is[k + 1]], names[n]);

				expected += first || second;
			}
			assert_int_equal(zone_addresses(z, wire.wire, wire.size, 4).count,
					 expected);
		}
	}
	for (uint8_t key = 0; key < 8; key++)
		put(z, key, NULL, NULL);
	assert_int_equal(zone_count(z), 0);
	zone_free(z);
}

static void answers_have_the_size_that_is_allowed(void **state)
{
	static const struct {
		bool edns, tcp;
		uint16_t asked;
		size_t most;
		bool cut;
	} table[] = { { false, false, 0, 512, true },	 { true, false, 100, 512, true },
		      { true, false, 700, 700, true },	 { true, false, 1232, 1232, true },
		      { true, false, 4096, 1232, true }, { false, true, 0, 65535, false },
		      { true, true, 512, 65535, false } };
	struct zone *z = zone_new("weave.local", 1);
	uint8_t q[512];
	char address[32];
	struct rng rng = { 3 };
	struct answer a;
	ns_msg m;

	(void)state;
	for (uint8_t i = 0; i < 200; i++) {
		snprintf(address, sizeof address, "10.2.7.%u", i);
		put(z, i, "many.weave.local", address);
	}
	for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
		size_t size = question(q, "many.weave.local", DNS_A, table[i].edns, table[i].asked);

		answer_make(&a, z, 1, bytes_of(q, size), table[i].tcp, &rng, buffer);
		assert_int_equal(ns_initparse(a.message.data, (int)a.message.size, &m), 0);
		assert_true(a.message.size <= table[i].most);
		assert_int_equal(ns_msg_getflag(m, ns_f_tc), table[i].cut);
		assert_int_equal(ns_msg_count(m, ns_s_ar), table[i].edns);
		/* Not one more would have fitted. */
		assert_true(table[i].cut ? a.message.size + 16 > table[i].most
					 : ns_msg_count(m, ns_s_an) == 200);
	}
	zone_free(z);
}

static void what_is_no_question_is_refused(void **state)
{
	struct zone *z = zone_new("weave.local", 1);
	uint8_t q[512], bad[600];
	size_t size = question(q, "one.weave.local", DNS_A, false, 0);
	struct rng rng = { 3 };
	struct answer a;

	(void)state;
	/* Cut anywhere; behind the header it can be answered that it is wrong. */
	for (size_t i = 0; i < size; i++) {
		memcpy(bad, q, i);
		answer_make(&a, z, 1, bytes_of(bad, i), false, &rng, buffer);
		assert_int_equal(a.is, i < 12 ? ANSWER_NONE : ANSWER_REFUSED);
		if (i >= 12)
			assert_int_equal(a.message.data[3] & 15, DNS_FORMERR);
	}
	memcpy(bad, q, size + 1);
	answer_make(&a, z, 1, bytes_of(bad, size + 1), false, &rng, buffer);
	assert_int_equal(a.message.data[3] & 15, DNS_FORMERR);
	/* A name that points to itself. */
	memcpy(bad, q, size);
	bad[12] = 0xc0;
	bad[13] = 12;
	answer_make(&a, z, 1, bytes_of(bad, size), false, &rng, buffer);
	assert_int_equal(a.message.data[3] & 15, DNS_FORMERR);
	memcpy(bad, q, size);
	bad[2] = 0x28; /* UPDATE */
	answer_make(&a, z, 1, bytes_of(bad, size), false, &rng, buffer);
	assert_int_equal(a.message.data[3] & 15, DNS_NOTIMP);
	bad[2] = 0x81; /* an answer */
	answer_make(&a, z, 1, bytes_of(bad, size), false, &rng, buffer);
	assert_int_equal(a.is, ANSWER_NONE);
	zone_free(z);
}

/* ---- other resolvers ---- */

/* An answer with this TTL to the question 'q'. */
static size_t answer_to(uint8_t *to, const uint8_t *q, size_t size, uint32_t ttl)
{
	struct writer w = writer_over(to, 512);

	write_bytes(&w, q, size);
	to[2] = 0x81;
	to[3] = 0x80;
	to[7] = 1;
	write_u16(&w, 0xc00c);
	write_u16(&w, DNS_A);
	write_u16(&w, 1);
	write_u32(&w, ttl);
	write_u16(&w, 4);
	write_u32(&w, 0xc0000201);
	return writer_size(&w);
}

static void answers_of_others_are_kept_for_their_time(void **state)
{
	struct cache *c = cache_new(1);
	uint8_t q[512], other[512], r[512];
	size_t size = question(q, "www.example.org", DNS_A, false, 0), r_size;
	struct dns_query asked, again;
	enum dns_rcode refuse;
	struct dns_reply reply;
	struct bytes kept, given;
	uint32_t age_s;

	(void)state;
	r_size = answer_to(r, q, size, 40);
	assert_true(dns_query_decode(&asked, bytes_of(q, size), &refuse));
	assert_true(dns_reply_decode(&reply, bytes_of(r, r_size), &asked));
	assert_int_equal(reply.ttl, 40);
	cache_put(c, &asked, bytes_of(r, r_size), reply.ttl, (struct mono){ 1000 });
	/* Somebody asks in capitals, 30 s later. */
	question(other, "WWW.example.ORG", DNS_A, false, 0);
	other[0] = 99;
	assert_true(dns_query_decode(&again, bytes_of(other, size), &refuse));
	assert_true(cache_get(c, &again, (struct mono){ 31500 }, &kept, &age_s));
	assert_int_equal(age_s, 30);
	given = dns_reply_for(kept, &again, age_s, 512, buffer);
	assert_int_equal(given.size, r_size);
	assert_int_equal(given.data[0], 99);
	assert_memory_equal(given.data + 12, other + 12, size - 12);
	assert_int_equal(given.data[r_size - 7], 10);
	assert_false(cache_get(c, &again, (struct mono){ 41500 }, &kept, &age_s));
	/* What was not asked, or says that it must not be kept. */
	assert_false(dns_reply_decode(&reply, bytes_of(r, r_size - 1), &asked));
	again.type = DNS_AAAA;
	assert_false(dns_reply_decode(&reply, bytes_of(r, r_size), &again));
	r[3] = 0x82; /* SERVFAIL */
	assert_true(dns_reply_decode(&reply, bytes_of(r, r_size), &asked));
	assert_int_equal(reply.ttl, 0);
	r[3] = 0x83; /* NXDOMAIN without SOA */
	assert_true(dns_reply_decode(&reply, bytes_of(r, r_size), &asked));
	assert_int_equal(reply.ttl, 0);
	cache_free(c);
}

static void the_cache_is_bounded(void **state)
{
	struct cache *c = cache_new(1);
	size_t before = mem_in_use();
	uint8_t q[512], r[512];
	struct dns_query asked;
	enum dns_rcode refuse;
	struct bytes kept;
	uint32_t age_s;
	char name[64];

	(void)state;
	for (unsigned i = 0; i < 3 * CACHE_ANSWERS_MAX; i++) {
		size_t size;

		snprintf(name, sizeof name, "n%u.example.org", i);
		size = question(q, name, DNS_A, false, 0);
		assert_true(dns_query_decode(&asked, bytes_of(q, size), &refuse));
		cache_put(c, &asked, bytes_of(r, answer_to(r, q, size, 40)), 40, now);
	}
	assert_true(cache_get(c, &asked, now, &kept, &age_s));
	assert_true(mem_in_use() - before < CACHE_ANSWERS_MAX * 1024u);
	cache_clear(c);
	assert_false(cache_get(c, &asked, now, &kept, &age_s));
	cache_free(c);
}

static void resolv_conf(void **state)
{
	static const char text[] = "# comment\nnameserver 10.0.0.1\n  nameserver\tfd00::1 # six\n"
				   "nameserver10.0.0.2\nnameserver nobody\nnameserver 10.0.0.1\r\n"
				   "search example.org\noptions ndots:1\nnameserver 10.0.0.3";
	struct netaddr out[4];

	(void)state;
	assert_int_equal(resolv_conf_parse(text, sizeof text - 1, out, 4), 3);
	assert_int_equal(ip_compare(out[0].ip, ip("10.0.0.1")), 0);
	assert_int_equal(ip_compare(out[1].ip, ip("fd00::1")), 0);
	assert_int_equal(ip_compare(out[2].ip, ip("10.0.0.3")), 0);
	assert_int_equal(out[2].port, 53);
	assert_int_equal(resolv_conf_parse(text, sizeof text - 1, out, 1), 1);
	assert_int_equal(resolv_conf_parse(NULL, 0, out, 4), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_types_and_what_is_not_there),
		cmocka_unit_test(the_zone_is_what_was_said_last),
		cmocka_unit_test(answers_have_the_size_that_is_allowed),
		cmocka_unit_test(what_is_no_question_is_refused),
		cmocka_unit_test(answers_of_others_are_kept_for_their_time),
		cmocka_unit_test(the_cache_is_bounded),
		cmocka_unit_test(resolv_conf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
