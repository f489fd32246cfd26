#include <weave/router_io.h>

#include <errno.h>
#include <ev.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weave/alloc.h>
#include <weave/sockaddr_io.h>

/* Sends, each of up to 64 datagrams. */
#define BATCH 64u
/* Receptions, each of as many datagrams of one sender as the kernel has joined: what a few trains
 * take stays in the processor's caches. */
#define IN_BATCH 8u
#define BATCHES_PER_TURN 16 /* then other watchers get their turn */
/* Several streams fill it while the router waits for a processor; a train that does not fit is
 * lost. */
#define SOCKET_BUFFER (16 << 20)
#define IN_BUFFER_SIZE 65536u

struct control {
	_Alignas(struct cmsghdr) uint8_t room[CMSG_SPACE(sizeof(int))];
};

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
	struct mmsghdr in[IN_BATCH];
	struct iovec in_at[IN_BATCH];
	struct sockaddr_storage in_from[IN_BATCH];
	struct control in_control[IN_BATCH];
	struct mmsghdr out[BATCH];
	struct iovec out_at[BATCH];
	struct sockaddr_storage out_to[BATCH];
	struct control out_control[BATCH];
	uint32_t out_count[BATCH]; /* datagrams in each */
};

/* ---- receiving ---- */

/* Of each datagram but the last in what the kernel has joined. */
static size_t joined_size(struct msghdr *m, size_t size)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		int each;

		if (c->cmsg_level != IPPROTO_UDP || c->cmsg_type != UDP_GRO)
			continue;
		memcpy(&each, CMSG_DATA(c), sizeof each);
		return each > 0 ? (size_t)each : size;
	}
	return size;
}

static void take(struct sleeve_socket *s, unsigned slot, struct mono now)
{
	struct mmsghdr *in = &s->in[slot];
	uint8_t *data = s->in_at[slot].iov_base;
	struct netaddr from;
	size_t each = joined_size(&in->msg_hdr, in->msg_len);

	if (in->msg_hdr.msg_flags & MSG_TRUNC) {
		router_count_drop(s->router, DROP_BAD_DATAGRAM, 1);
		return;
	}
	if (!sockaddr_to((struct sockaddr *)&s->in_from[slot], &from))
		return;
	for (size_t at = 0, size; at < in->msg_len; at += size) {
		size = in->msg_len - at < each ? in->msg_len - at : each;
		router_on_datagram(s->router, from, data + at, size, now);
		if (router_outbox_nearly_full(s->router))
			s->flush(s->ctx);
	}
}

static unsigned receive_batch(struct sleeve_socket *s)
{
	struct mono now = mono_now();
	int n;

	for (unsigned i = 0; i < IN_BATCH; i++) {
		s->in[i].msg_hdr.msg_namelen = sizeof s->in_from[i];
		s->in[i].msg_hdr.msg_controllen = sizeof s->in_control[i];
	}
	n = recvmmsg(s->fd, s->in, IN_BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++)
		take(s, (unsigned)i, now);
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
		if (n < IN_BATCH)
			return;
	}
}

static void set_options(int fd, bool v6)
{
	int probe4 = IP_PMTUDISC_PROBE, probe6 = IPV6_PMTUDISC_PROBE, size = SOCKET_BUFFER;
	int one = 1;

	setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &probe4, sizeof probe4);
	if (v6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe6, sizeof probe6);
	/* Linux before 5.0 has no such thing and hands over one by one. */
	setsockopt(fd, IPPROTO_UDP, UDP_GRO, &one, sizeof one);
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
	s->buffers = mem_new(IN_BATCH, IN_BUFFER_SIZE);
	for (unsigned i = 0; i < IN_BATCH; i++) {
		s->in_at[i] = (struct iovec){ s->buffers + (size_t)i * IN_BUFFER_SIZE,
					      IN_BUFFER_SIZE };
		s->in[i].msg_hdr = (struct msghdr){ .msg_name = &s->in_from[i],
						    .msg_iov = &s->in_at[i],
						    .msg_iovlen = 1,
						    .msg_control = &s->in_control[i] };
	}
	for (unsigned i = 0; i < BATCH; i++)
		s->out[i].msg_hdr = (struct msghdr){ .msg_name = &s->out_to[i],
						     .msg_iov = &s->out_at[i],
						     .msg_iovlen = 1 };
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

/* ---- sending ---- */

static void set_segment_size(struct msghdr *m, struct control *room, uint32_t size)
{
	uint16_t value = (uint16_t)size;
	struct cmsghdr *c;

	m->msg_control = room;
	m->msg_controllen = CMSG_SPACE(sizeof value);
	c = CMSG_FIRSTHDR(m);
	c->cmsg_level = IPPROTO_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof value);
	memcpy(CMSG_DATA(c), &value, sizeof value);
}

static void prepare(struct sleeve_socket *s, unsigned slot, const struct outbox_datagram *d,
		    uint32_t count)
{
	struct msghdr *m = &s->out[slot].msg_hdr;

	s->out_count[slot] = count;
	s->out_at[slot].iov_base = (uint8_t *)(uintptr_t)d->data;
	s->out_at[slot].iov_len = (size_t)(d[count - 1].data - d->data) + d[count - 1].size;
	m->msg_namelen = s->mapped ? sockaddr_from_mapped(d->to, &s->out_to[slot])
				   : sockaddr_from(d->to, &s->out_to[slot]);
	m->msg_control = NULL;
	m->msg_controllen = 0;
	if (count > 1)
		set_segment_size(m, &s->out_control[slot], d->size);
}

/* The send buffer is full: the underlay is slower than we are. One short wait keeps most bursts
 * whole; longer ones are the congestion that senders must see as loss.  True to try again. */
static bool wait_for_room(struct sleeve_socket *s, int error)
{
	struct pollfd p = { s->fd, POLLOUT, 0 };

	return error == EINTR || (error == EAGAIN && poll(&p, 1, 1) > 0);
}

/* A datagram was refused: what now?  True to try the same one again. */
static bool refused(struct sleeve_socket *s, const struct outbox_datagram *d, int error)
{
	if (wait_for_room(s, error))
		return true;
	if (error == EMSGSIZE)
		router_on_too_big(s->router, d->to, d->size, mono_now());
	router_count_drop(s->router, DROP_SEND_FAILED, 1);
	return false;
}

/* One by one: where the kernel or the interface cannot cut, and to learn which one is refused. */
static void send_singly(struct sleeve_socket *s, const struct outbox_datagram *d, uint32_t count)
{
	for (uint32_t i = 0; i < count;) {
		prepare(s, 0, &d[i], 1);
		if (sendmsg(s->fd, &s->out[0].msg_hdr, MSG_DONTWAIT) >= 0 ||
		    !refused(s, &d[i], errno))
			i++;
	}
}

void sleeve_socket_send(struct sleeve_socket *s, const struct outbox *outbox)
{
	const struct outbox_datagram *all = outbox->datagrams;
	uint32_t at = 0, count = outbox->datagrams_count;

	while (at < count) {
		uint32_t end = at;
		unsigned n = 0;
		int sent;

		for (; n < BATCH && end < count; n++) {
			uint32_t run = outbox_run(outbox, end);

			prepare(s, n, &all[end], run);
			end += run;
		}
		sent = sendmmsg(s->fd, s->out, n, MSG_DONTWAIT);
		for (int i = 0; i < sent; i++)
			at += s->out_count[i];
		if (sent <= 0 && !wait_for_room(s, errno)) {
			uint32_t run = s->out_count[0];

			send_singly(s, &all[at], run);
			at += run;
		}
	}
}
