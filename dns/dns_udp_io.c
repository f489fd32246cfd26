#include "dns_thread_io.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include <weave/alloc.h>
#include <weave/sockaddr_io.h>

#define BATCH 32u
#define BATCHES_PER_TURN 8u /* then others have their turn */
#define BUFFER_BYTES (1 << 20)

struct dns_udp {
	struct dns_thread *thread;
	struct ev_io readable;
	struct mmsghdr in[BATCH], out[BATCH];
	struct iovec in_bytes[BATCH], out_bytes[BATCH];
	struct sockaddr_storage from[BATCH];
	uint8_t control[BATCH][64];
	uint8_t questions[BATCH][DNS_QUERY_MAX + 1];
	uint8_t answers[BATCH][DNS_UDP_MAX];
};

/* Where it came in; 0 when the kernel does not say. */
static int incoming_interface(struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof info);
			return info.ipi_ifindex;
		}
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof info);
			return (int)info.ipi6_ifindex;
		}
	}
	return 0;
}

static struct bytes forward(struct dns_udp *u, const struct mmsghdr *in, const struct dns_query *q,
			    struct netaddr from, void *buffer)
{
	struct dns_asker asker = { .origin = u, .address = from };

	memcpy(&asker.from, in->msg_hdr.msg_name, in->msg_hdr.msg_namelen);
	asker.from_size = in->msg_hdr.msg_namelen;
	memcpy(asker.control, in->msg_hdr.msg_control, in->msg_hdr.msg_controllen);
	asker.control_size = in->msg_hdr.msg_controllen;
	return forwarder_ask(u->thread->forwarder, &asker, q, buffer);
}

/* True: 'answers[n]' holds so many bytes to be sent back. */
static bool answer_one(struct dns_udp *u, struct mmsghdr *in, size_t size, size_t n, size_t *length)
{
	struct dns_thread *t = u->thread;
	struct netaddr from;
	struct answer a;

	DNS_COUNT(t, udp);
	if (!sockaddr_to(in->msg_hdr.msg_name, &from) ||
	    !local_networks_have(&t->local, incoming_interface(&in->msg_hdr), from.ip)) {
		DNS_COUNT(t, strangers);
		return false;
	}
	answer_make(&a, t->zone, t->ttl_s, bytes_of(in->msg_hdr.msg_iov->iov_base, size), false,
		    &t->rng, u->answers[n]);
	switch (a.is) {
	case ANSWER_NONE:
		return false;
	case ANSWER_FORWARD:
		a.message = forward(u, in, &a.query, from, u->answers[n]);
		break;
	case ANSWER_REFUSED:
		DNS_COUNT(t, refused);
		break;
	case ANSWER_LOCAL:
		DNS_COUNT(t, local);
		break;
	}
	*length = a.message.size;
	return a.message.size > 0;
}

static void send_batch(struct dns_udp *u, unsigned count)
{
	unsigned sent = 0;

	while (sent < count) {
		int n = sendmmsg(u->readable.fd, u->out + sent, count - sent, MSG_DONTWAIT);

		if (n > 0) {
			sent += (unsigned)n;
		} else if (n < 0 && errno == EINTR) {
			continue;
		} else {
			/* Nobody waits for the socket: who asked asks again. */
			DNS_COUNT(u->thread, unsent);
			sent++;
		}
	}
}

static int receive_batch(struct dns_udp *u)
{
	for (unsigned i = 0; i < BATCH; i++) {
		struct msghdr *m = &u->in[i].msg_hdr;

		m->msg_name = &u->from[i];
		m->msg_namelen = sizeof u->from[i];
		m->msg_iov = &u->in_bytes[i];
		m->msg_iovlen = 1;
		m->msg_control = u->control[i];
		m->msg_controllen = sizeof u->control[i];
		u->in_bytes[i].iov_base = u->questions[i];
		u->in_bytes[i].iov_len = sizeof u->questions[i];
	}
	return recvmmsg(u->readable.fd, u->in, BATCH, MSG_DONTWAIT, NULL);
}

static void answer_batch(struct dns_udp *u, unsigned count)
{
	unsigned answers = 0;
	size_t size;

	for (unsigned i = 0; i < count; i++) {
		if (!answer_one(u, &u->in[i], u->in[i].msg_len, answers, &size))
			continue;
		/* Back to where it came from, from the address that was asked. */
		u->out[answers].msg_hdr = u->in[i].msg_hdr;
		u->out_bytes[answers] = (struct iovec){ u->answers[answers], size };
		u->out[answers].msg_hdr.msg_iov = &u->out_bytes[answers];
		answers++;
	}
	send_batch(u, answers);
}

static void on_readable(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct dns_udp *u = w->data;

	(void)loop;
	(void)events;
	for (unsigned i = 0; i < BATCHES_PER_TURN; i++) {
		int n = receive_batch(u);

		if (n <= 0)
			return;
		/* What was told before they asked. */
		dns_thread_take_inbox(u->thread);
		answer_batch(u, (unsigned)n);
		if ((unsigned)n < BATCH)
			return;
	}
}

void dns_udp_send(struct dns_udp *u, const struct dns_asker *to, struct bytes message)
{
	struct sockaddr_storage name = to->from;
	uint8_t control[sizeof to->control];
	struct iovec bytes = { (void *)(uintptr_t)message.data, message.size };
	struct msghdr m = { .msg_name = &name,
			    .msg_namelen = to->from_size,
			    .msg_iov = &bytes,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = to->control_size };

	memcpy(control, to->control, sizeof control);
	if (sendmsg(u->readable.fd, &m, MSG_DONTWAIT) < 0)
		DNS_COUNT(u->thread, unsent);
}

struct dns_udp *dns_udp_new(struct dns_thread *t, int fd)
{
	struct dns_udp *u = mem_new(1, sizeof *u);
	int on = 1, bytes = BUFFER_BYTES;

	u->thread = t;
	if (sockaddr_family(fd) == AF_INET)
		setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
	else
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
	ev_io_init(&u->readable, on_readable, fd, EV_READ);
	u->readable.data = u;
	ev_io_start(t->loop, &u->readable);
	return u;
}

void dns_udp_free(struct dns_udp *u)
{
	if (!u)
		return;
	forwarder_drop(u->thread->forwarder, u);
	ev_io_stop(u->thread->loop, &u->readable);
	close(u->readable.fd);
	mem_free(u);
}
