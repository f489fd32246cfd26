#include "dns_thread_io.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include <weave/alloc.h>
#include <weave/sockaddr_io.h>

#define CONNECTIONS_MAX 256u
#define CONNECTIONS_OF_ONE_MAX 32u
#define IDLE_S 10.
#define REST_S 0.1 /* where there is no descriptor for another connection */

/* One question after the other: the next is read when the answer to the last is written, so a
 * client that does not read costs one answer. */
struct dns_connection {
	struct dns_tcp *listener;
	struct list link;
	struct ev_io io;
	struct ev_timer idle;
	struct netaddr address;
	bool waits; /* for another resolver: nothing is read */
	size_t in_size, out_size, out_done;
	uint8_t *out; /* NULL: nothing to be written */
	uint8_t in[2 + DNS_QUERY_MAX];
};

struct dns_tcp {
	struct dns_thread *thread;
	struct ev_io readable;
	struct ev_timer rest;
	struct list connections;
};

static void free_connection(struct dns_connection *c)
{
	struct dns_thread *t = c->listener->thread;

	forwarder_drop(t->forwarder, c);
	ev_io_stop(t->loop, &c->io);
	ev_timer_stop(t->loop, &c->idle);
	close(c->io.fd);
	list_remove(&c->link);
	t->connections_count--;
	mem_free(c->out);
	mem_free(c);
}

static void await(struct dns_connection *c, int events)
{
	struct ev_loop *loop = c->listener->thread->loop;

	if (c->io.events != events) {
		ev_io_stop(loop, &c->io);
		ev_io_set(&c->io, c->io.fd, events);
	}
	ev_io_start(loop, &c->io);
	ev_timer_again(loop, &c->idle);
}

/* False: the connection is no more. */
static bool write_out(struct dns_connection *c)
{
	while (c->out_done < c->out_size) {
		ssize_t n = send(c->io.fd, c->out + c->out_done, c->out_size - c->out_done,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			await(c, EV_WRITE);
			return true;
		}
		if (n < 0) {
			free_connection(c);
			return false;
		}
		c->out_done += (size_t)n;
	}
	mem_free(c->out);
	c->out = NULL;
	await(c, EV_READ);
	return true;
}

static bool begin_answer(struct dns_connection *c, struct bytes message)
{
	c->out = mem_new(1, 2 + message.size);
	c->out[0] = (uint8_t)(message.size >> 8);
	c->out[1] = (uint8_t)message.size;
	memcpy(c->out + 2, message.data, message.size);
	c->out_size = 2 + message.size;
	c->out_done = 0;
	return write_out(c);
}

static size_t question_size(const struct dns_connection *c)
{
	return (size_t)c->in[0] << 8 | c->in[1];
}

/* Empty: there is none now, and perhaps there is no connection. */
static struct bytes answer_question(struct dns_connection *c)
{
	struct dns_thread *t = c->listener->thread;
	struct dns_asker asker = { .origin = c, .address = c->address, .tcp = true };
	struct answer a;

	DNS_COUNT(t, tcp);
	answer_make(&a, t->zone, t->ttl_s, bytes_of(c->in + 2, question_size(c)), true, &t->rng,
		    t->buffer);
	switch (a.is) {
	case ANSWER_NONE:
		free_connection(c);
		return bytes_of(NULL, 0);
	case ANSWER_FORWARD:
		a.message = forwarder_ask(t->forwarder, &asker, &a.query, t->buffer);
		if (a.message.size)
			break;
		c->waits = true;
		ev_io_stop(t->loop, &c->io);
		ev_timer_stop(t->loop, &c->idle);
		break;
	case ANSWER_REFUSED:
		DNS_COUNT(t, refused);
		break;
	case ANSWER_LOCAL:
		DNS_COUNT(t, local);
		break;
	}
	return a.message;
}

static void finish_question(struct dns_connection *c)
{
	size_t whole = 2 + question_size(c);

	c->in_size -= whole;
	memmove(c->in, c->in + whole, c->in_size);
}

/* All that is there, up to a question that waits for its answer. */
static void answer_all(struct dns_connection *c)
{
	dns_thread_take_inbox(c->listener->thread);
	while (!c->out && c->in_size >= 2) {
		struct bytes message;

		if (question_size(c) > DNS_QUERY_MAX) {
			DNS_COUNT(c->listener->thread, refused);
			free_connection(c);
			return;
		}
		if (c->in_size < 2 + question_size(c))
			return;
		message = answer_question(c);
		if (!message.size)
			return;
		finish_question(c);
		if (!begin_answer(c, message))
			return;
	}
}

static void read_in(struct dns_connection *c)
{
	ssize_t n = recv(c->io.fd, c->in + c->in_size, sizeof c->in - c->in_size, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		free_connection(c);
		return;
	}
	c->in_size += (size_t)n;
	answer_all(c);
}

static void on_connection(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct dns_connection *c = w->data;

	(void)loop;
	if (!(events & EV_WRITE))
		read_in(c);
	else if (write_out(c))
		answer_all(c);
}

static void on_idle(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	free_connection(w->data);
}

/* ---- listening ---- */

static bool has_room(struct dns_tcp *l, struct netaddr from)
{
	size_t of_one = 0;

	for (struct list *i = l->connections.next; i != &l->connections; i = i->next)
		of_one += ip_compare(list_entry(i, struct dns_connection, link)->address.ip,
				     from.ip) == 0;
	return l->thread->connections_count < CONNECTIONS_MAX && of_one < CONNECTIONS_OF_ONE_MAX;
}

static void accept_one(struct dns_tcp *l, int fd, struct netaddr from)
{
	struct dns_thread *t = l->thread;
	struct dns_connection *c = mem_new(1, sizeof *c);
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	c->listener = l;
	c->address = from;
	list_append(&l->connections, &c->link);
	t->connections_count++;
	ev_io_init(&c->io, on_connection, fd, EV_READ);
	ev_timer_init(&c->idle, on_idle, 0., IDLE_S);
	c->io.data = c->idle.data = c;
	await(c, EV_READ);
}

static void on_accept(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct dns_tcp *l = w->data;
	struct sockaddr_storage s = { 0 };
	socklen_t size = sizeof s;
	struct netaddr from;
	int fd = accept4(w->fd, (struct sockaddr *)&s, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			/* It stays readable: the loop would spin. */
			ev_io_stop(loop, &l->readable);
			ev_timer_again(loop, &l->rest);
		}
		return;
	}
	if (!sockaddr_to((struct sockaddr *)&s, &from) ||
	    !local_networks_have(&l->thread->local, 0, from.ip)) {
		DNS_COUNT(l->thread, strangers);
		close(fd);
	} else if (!has_room(l, from)) {
		DNS_COUNT(l->thread, limited);
		close(fd);
	} else {
		accept_one(l, fd, from);
	}
}

static void on_rest(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct dns_tcp *l = w->data;

	(void)events;
	ev_timer_stop(loop, w);
	ev_io_start(loop, &l->readable);
}

void dns_connection_send(struct dns_connection *c, struct bytes message)
{
	c->waits = false;
	finish_question(c);
	if (begin_answer(c, message))
		answer_all(c);
}

struct dns_tcp *dns_tcp_new(struct dns_thread *t, int fd)
{
	struct dns_tcp *l = mem_new(1, sizeof *l);

	l->thread = t;
	list_init(&l->connections);
	ev_io_init(&l->readable, on_accept, fd, EV_READ);
	ev_timer_init(&l->rest, on_rest, 0., REST_S);
	l->readable.data = l->rest.data = l;
	ev_io_start(t->loop, &l->readable);
	return l;
}

void dns_tcp_free(struct dns_tcp *l)
{
	if (!l)
		return;
	while (!list_empty(&l->connections))
		free_connection(list_entry(l->connections.next, struct dns_connection, link));
	ev_io_stop(l->thread->loop, &l->readable);
	ev_timer_stop(l->thread->loop, &l->rest);
	close(l->readable.fd);
	mem_free(l);
}
