/* The DNS server: answers questions for the names of <weave/dns.h>, asks others for the rest.
 *
 * A thread of its own, which owns all that answers are made from; nothing is shared but an inbox.
 * So neither does the router wait for DNS, however many ask, nor does DNS wait for the router.  A
 * name that was put before a question was sent is in its answer.  These functions are called on the
 * loop thread.
 *
 * Only who is on a network of this host is answered: the server is no help to whoever floods others
 * with answers to questions that they did not ask.
 */
#ifndef WEAVE_DNS_IO_H
#define WEAVE_DNS_IO_H

#include <weave/dns.h>

#define DNS_UPSTREAMS_MAX 8u

struct dns_server;

struct dns_server_config {
	const char *domain;	 /* as of names_domain; copied */
	uint32_t ttl_s;		 /* of our answers */
	uint32_t fallback_ms;	 /* until a question to others has failed */
	const char *resolv_conf; /* whom to ask: this file, also when it changes; NULL: nobody */
};

/* Starts the thread; 0, or a negative errno with 'why'. */
int dns_server_new(struct dns_server **out, const struct dns_server_config *config,
		   struct why *why);
/* Ends it.  NULL is fine. */
void dns_server_free(struct dns_server *s);

/* Answers there from now on, over UDP and TCP.  0, or a negative errno with 'why'. */
int dns_server_listen(struct dns_server *s, struct netaddr at, struct why *why);
/* No more.  Nothing, if it did not. */
void dns_server_unlisten(struct dns_server *s, struct netaddr at);

/* Takes what names_take_changes gave. */
void dns_server_apply(struct dns_server *s, struct name_change *list);

/* X(name, what it counts) */
#define DNS_COUNTERS(X)                                                                            \
	X(udp, "questions over UDP")                                                               \
	X(tcp, "questions over TCP")                                                               \
	X(local, "answers of our own")                                                             \
	X(refused, "questions refused: malformed, or of a kind that is not served")                \
	X(strangers, "questions from outside of this host's networks, not answered")               \
	X(forwarded, "questions to other resolvers")                                               \
	X(cached, "answers of others, given once more")                                            \
	X(failed, "questions that no other resolver answered")                                     \
	X(loops, "questions that came back to us")                                                 \
	X(forged, "answers to questions that we did not ask")                                      \
	X(limited, "questions not taken: too many wait, or too many connections")                  \
	X(unsent, "answers that the kernel did not take")

struct dns_counters {
#define X(name, what) uint64_t name;
	DNS_COUNTERS(X)
#undef X
};

void dns_server_counters(const struct dns_server *s, struct dns_counters *out);
/* Whom it asks now; returns how many of DNS_UPSTREAMS_MAX. */
size_t dns_server_upstreams(struct dns_server *s, struct netaddr *out);

#endif
