/* The sleeve's UDP socket: datagrams between peers and the router object.
 *
 * Loop thread.  Owns the socket and its receive buffers; the router object is borrowed.  Receives
 * in batches (recvmmsg), flushes the outbox's datagrams in batches (sendmmsg).  Every datagram
 * carries DF and may be larger than the kernel's idea of the path MTU (IP_PMTUDISC_PROBE): the
 * path's size is the router object's business.
 */
#ifndef WEAVE_ROUTER_SLEEVE_IO_H
#define WEAVE_ROUTER_SLEEVE_IO_H

#include <weave/router.h>
#include <weave/why.h>

struct ev_loop;
struct sleeve_socket;

/* Largest datagram that is received whole. */
#define SLEEVE_DATAGRAM_MAX 9216u

/* 'host' family 0 = any address. 0 or a negative errno with 'why'. */
int sleeve_socket_new(struct ev_loop *loop, struct ip_addr host, uint16_t port, struct log *log,
		      struct sleeve_socket **out, struct why *why);
void sleeve_socket_start(struct sleeve_socket *s, struct router *router, void (*flush)(void *ctx),
			 void *ctx);
void sleeve_socket_free(struct sleeve_socket *s);

/* Sends all datagrams of the outbox; what the kernel refuses is counted, never waited for. */
void sleeve_socket_send(struct sleeve_socket *s, const struct outbox *outbox);

#endif
