/* What the parts of the DNS server share: all of it belongs to its thread.
 *
 *	dns_server_io.c	 the thread, its inbox, and whoever calls from the loop thread
 *	dns_udp_io.c	 questions over UDP, many at a time
 *	dns_tcp_io.c	 questions over TCP, one after the other on each connection
 *	dns_local_io.c	 who is on a network of this host
 *	forward_io.c	 questions to other resolvers
 */
#ifndef WEAVE_DNS_THREAD_IO_H
#define WEAVE_DNS_THREAD_IO_H

#include <ev.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include <weave/dns_io.h>
#include <weave/list.h>

#include "answer.h"

struct dns_thread;
struct forwarder;

struct dns_shared_counters {
#define X(name, what) _Atomic uint64_t name;
	DNS_COUNTERS(X)
#undef X
};

/* The thread alone writes them. */
#define DNS_COUNT(t, counter)                                                                      \
	atomic_store_explicit(                                                                     \
		&(t)->counters->counter,                                                           \
		atomic_load_explicit(&(t)->counters->counter, memory_order_relaxed) + 1,           \
		memory_order_relaxed)

/* --- local networks --- */
struct local_network {
	int ifindex;
	struct cidr address; /* of ours, and how much of it is the network */
};

#define DNS_LOCAL_KNOWN 256u

struct local_networks {
	struct local_network *list;
	size_t count;
	struct mono looked;
	/* Those who were found to be local since, by hash. */
	struct {
		int ifindex;
		struct ip_addr ip;
	} known[DNS_LOCAL_KNOWN];
};

void local_networks_fini(struct local_networks *l);
/* 'ifindex': where the question came in; 0: that is not known. */
bool local_networks_have(struct local_networks *l, int ifindex, struct ip_addr ip);

/* --- who asks --- */
/* Where an answer that comes later goes.  Ends with its listener or connection: forwarder_drop. */
struct dns_asker {
	void *origin; /* struct dns_udp or struct dns_connection */
	struct netaddr address;
	/* UDP: as the kernel gave them. */
	struct sockaddr_storage from;
	socklen_t from_size;
	uint8_t control[64];
	size_t control_size;
	/* TCP */
	bool tcp;
};

/* --- UDP --- */
struct dns_udp;
struct dns_udp *dns_udp_new(struct dns_thread *t, int fd); /* takes fd */
void dns_udp_free(struct dns_udp *u);
void dns_udp_send(struct dns_udp *u, const struct dns_asker *to, struct bytes message);

/* --- TCP --- */
struct dns_tcp;
struct dns_connection;
struct dns_tcp *dns_tcp_new(struct dns_thread *t, int fd); /* takes fd */
void dns_tcp_free(struct dns_tcp *l);
void dns_connection_send(struct dns_connection *c, struct bytes message);

/* --- forwarding --- */
struct forwarder *forwarder_new(struct dns_thread *t, uint32_t timeout_ms, const char *resolv_conf);
void forwarder_free(struct forwarder *f);
/* The answer, in 'buffer' of as many bytes as answer_limit says, if it is there at once.  Empty: it
 * comes by dns_thread_send, when somebody knows or nobody did. */
struct bytes forwarder_ask(struct forwarder *f, const struct dns_asker *asker,
			   const struct dns_query *q, void *buffer);
/* Who asked from there waits no more. */
void forwarder_drop(struct forwarder *f, const void *origin);

/* --- the thread --- */
struct dns_listener {
	struct list link;
	struct netaddr at;
	struct dns_udp *udp;
	struct dns_tcp *tcp;
};

struct dns_thread {
	struct ev_loop *loop;
	struct zone *zone;
	uint32_t ttl_s;
	struct rng rng; /* of shuffles; what nobody may guess comes from the kernel */
	struct list listeners;
	size_t connections_count;
	struct local_networks local;
	struct forwarder *forwarder;
	struct dns_shared_counters *counters;
	struct dns_server *server;
	uint8_t buffer[DNS_MESSAGE_MAX];
};

/* Takes in what the loop thread has sent, as far as it does not hold up answers. */
void dns_thread_take_inbox(struct dns_thread *t);
/* Whom we ask now, for dns_server_upstreams. */
void dns_thread_set_upstreams(struct dns_thread *t, const struct netaddr *list, size_t count);
/* To whoever asked, from wherever. */
void dns_thread_send(struct dns_thread *t, const struct dns_asker *asker, struct bytes message);

#endif
