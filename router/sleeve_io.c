#include <weave/router_io.h>

#include <errno.h>
#include <ev.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weave/alloc.h>
#include <weave/sockaddr_io.h>

#define BATCH 64u
#define BATCHES_PER_TURN 8 /* then other watchers get their turn */
#define SOCKET_BUFFER (4 << 20)

struct sleeve_socket {
	struct ev_loop *loop;
	struct log *log;
	struct router *router;
	void (*flush)(void *ctx);
	void *ctx;
	struct ev_io readable;
	int fd;
	bool mapped; /* an IPv6 socket that serves both families */
	uint8_t *buffers;
	struct mmsghdr in[BATCH];
	struct iovec in_at[BATCH];
	struct sockaddr_storage in_from[BATCH];
	struct mmsghdr out[BATCH];
	struct iovec out_at[BATCH];
	struct sockaddr_storage out_to[BATCH];
};

static unsigned receive_batch(struct sleeve_socket *s)
{
	struct mono now = mono_now();
	int n;

	for (unsigned i = 0; i < BATCH; i++)
		s->in[i].msg_hdr.msg_namelen = sizeof s->in_from[i];
	n = recvmmsg(s->fd, s->in, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		struct netaddr from;

		if (s->in[i].msg_hdr.msg_flags & MSG_TRUNC)
			router_count_drop(s->router, DROP_BAD_DATAGRAM, 1);
		else if (sockaddr_to((struct sockaddr *)&s->in_from[i], &from))
			router_on_datagram(s->router, from, s->in_at[i].iov_base, s->in[i].msg_len,
					   now);
		if (router_outbox_nearly_full(s->router))
			s->flush(s->ctx);
	}
	return n > 0 ? (unsigned)n : 0;
}

static void on_readable(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct sleeve_socket *s = w->data;

	(void)loop;
	(void)events;
	for (int i = 0; i < BATCHES_PER_TURN; i++) {
		unsigned n = receive_batch(s);

		s->flush(s->ctx);
		if (n < BATCH)
			return;
	}
}

static void set_options(int fd, bool v6)
{
	int probe4 = IP_PMTUDISC_PROBE, probe6 = IPV6_PMTUDISC_PROBE, size = SOCKET_BUFFER;

	setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &probe4, sizeof probe4);
	if (v6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe6, sizeof probe6);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

int sleeve_socket_new(struct ev_loop *loop, struct ip_addr host, uint16_t port, struct log *log,
		      struct sleeve_socket **out, struct why *why)
{
	struct sleeve_socket *s;
	int fd = sockaddr_bind(SOCK_DGRAM, (struct netaddr){ host, port }, why);

	if (fd < 0)
		return fd;
	s = mem_new(1, sizeof *s);
	s->loop = loop;
	s->log = log;
	s->fd = fd;
	s->mapped = sockaddr_family(fd) == AF_INET6;
	set_options(fd, s->mapped);
	s->buffers = mem_new(BATCH, SLEEVE_DATAGRAM_MAX);
	for (unsigned i = 0; i < BATCH; i++) {
		s->in_at[i] = (struct iovec){ s->buffers + (size_t)i * SLEEVE_DATAGRAM_MAX,
					      SLEEVE_DATAGRAM_MAX };
		s->in[i].msg_hdr = (struct msghdr){ .msg_name = &s->in_from[i],
						    .msg_iov = &s->in_at[i],
						    .msg_iovlen = 1 };
		s->out[i].msg_hdr = (struct msghdr){ .msg_name = &s->out_to[i],
						     .msg_iov = &s->out_at[i],
						     .msg_iovlen = 1 };
	}
	ev_io_init(&s->readable, on_readable, fd, EV_READ);
	s->readable.data = s;
	*out = s;
	return 0;
}

void sleeve_socket_start(struct sleeve_socket *s, struct router *router, void (*flush)(void *ctx),
			 void *ctx)
{
	s->router = router;
	s->flush = flush;
	s->ctx = ctx;
	ev_io_start(s->loop, &s->readable);
}

void sleeve_socket_free(struct sleeve_socket *s)
{
	if (!s)
		return;
	ev_io_stop(s->loop, &s->readable);
	close(s->fd);
	mem_free(s->buffers);
	mem_free(s);
}

static void prepare(struct sleeve_socket *s, unsigned slot, const struct outbox_datagram *d)
{
	s->out_at[slot].iov_base = (uint8_t *)(uintptr_t)d->data;
	s->out_at[slot].iov_len = d->size;
	s->out[slot].msg_hdr.msg_namelen = s->mapped ? sockaddr_from_mapped(d->to, &s->out_to[slot])
						     : sockaddr_from(d->to, &s->out_to[slot]);
}

/* The first datagram of a batch was refused: what now?  True to try the same one again. */
static bool refused(struct sleeve_socket *s, const struct outbox_datagram *d, int error)
{
	struct pollfd p = { s->fd, POLLOUT, 0 };

	if (error == EINTR)
		return true;
	/* The send buffer is full: the underlay is slower than we are. One short wait keeps most
	 * bursts whole; longer ones are the congestion that senders must see as loss. */
	if (error == EAGAIN && poll(&p, 1, 1) > 0)
		return true;
	if (error == EMSGSIZE)
		router_on_too_big(s->router, d->to, d->size, mono_now());
	router_count_drop(s->router, DROP_SEND_FAILED, 1);
	return false;
}

void sleeve_socket_send(struct sleeve_socket *s, const struct outbox *outbox)
{
	const struct outbox_datagram *all = outbox->datagrams;
	uint32_t at = 0, count = outbox->datagrams_count;

	while (at < count) {
		unsigned n = count - at < BATCH ? count - at : BATCH;
		int sent;

		for (unsigned i = 0; i < n; i++)
			prepare(s, i, &all[at + i]);
		sent = sendmmsg(s->fd, s->out, n, MSG_DONTWAIT);
		if (sent > 0)
			at += (uint32_t)sent;
		else if (!refused(s, &all[at], errno))
			at++;
	}
}
