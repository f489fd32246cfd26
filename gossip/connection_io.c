#include <weave/gossip_io.h>

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weave/alloc.h>
#include <weave/must.h>
#include <weave/sockaddr_io.h>
#include <weave/table.h>

#define READ_CHUNK 65536
#define CLOSE_LINGER_S 1.0
#define DIAL_TIMEOUT_S 5.0
#define RESOLVE_POLL_S 0.05
#define RESOLVE_TIMEOUT_S 10.0
#define ACCEPTS_PER_TURN 32
/* Anybody can make us close as many connections as they like: no more than these linger. */
#define CLOSING_MAX 256u
#define ACCEPT_PAUSE_S 0.2

enum socket_state { SOCKET_CONNECTING, SOCKET_OPEN, SOCKET_CLOSING };

struct connection {
	struct connections *owner;
	struct table_link by_id;
	conn_id id;
	enum socket_state state;
	int fd;
	struct ev_io read, write;
	struct ev_timer timer; /* dial timeout, then linger after CLOSE */
	uint8_t *unsent;       /* pulled from gossip, not yet taken by the kernel */
	size_t unsent_size, unsent_at;
	struct netaddr remote;
};

struct resolution {
	struct connections *owner;
	struct resolution *next;
	struct ev_timer poll;
	double waited_s;
	uint32_t target;
	uint16_t port;
	char host[256];
	struct gaicb request;
	struct addrinfo hints;
};

struct connections {
	struct ev_loop *loop;
	struct connections_config config;
	struct log *log;
	struct gossip *gossip;
	struct ev_io listener;
	struct ev_timer listen_again; /* after descriptors ran out */
	int listen_fd;
	struct table table;
	size_t closing;
	struct resolution *resolutions;
	uint8_t buffer[READ_CHUNK];
};

static struct connection *find(const struct connections *c, conn_id id)
{
	struct table_link *l = table_first(&c->table, id);

	return l ? table_entry(l, struct connection, by_id) : NULL;
}

static void destroy(struct connection *k)
{
	struct connections *c = k->owner;

	ev_io_stop(c->loop, &k->read);
	ev_io_stop(c->loop, &k->write);
	ev_timer_stop(c->loop, &k->timer);
	if (k->state == SOCKET_CLOSING)
		c->closing--;
	table_remove(&c->table, &k->by_id);
	close(k->fd);
	mem_free(k->unsent);
	mem_free(k);
}

/* The transport failed or ended: tell gossip, then forget it. */
static void lost(struct connection *k, const char *reason)
{
	struct connections *c = k->owner;
	conn_id id = k->id;
	enum socket_state state = k->state;

	destroy(k);
	if (state == SOCKET_CONNECTING)
		gossip_on_dial_failed(c->gossip, id, reason, mono_now());
	else if (state == SOCKET_OPEN)
		gossip_on_closed(c->gossip, id, reason, mono_now());
}

/* Of 'size' bytes at 'from' the kernel took 'sent'.  Only what it did not take is kept: most
 * connections never need a buffer, and strangers cost none. */
static void keep_unsent(struct connection *k, const uint8_t *from, size_t size, size_t sent)
{
	if (k->unsent_at < k->unsent_size) {
		k->unsent_at += sent;
		if (k->unsent_at == k->unsent_size) {
			mem_free(k->unsent);
			k->unsent = NULL;
			k->unsent_at = k->unsent_size = 0;
		}
	} else if (sent < size) {
		k->unsent = mem_copy(from + sent, size - sent);
		k->unsent_size = size - sent;
	}
}

/* Sends until the kernel takes no more or gossip has nothing more. False when the socket failed. */
static bool send_some(struct connection *k)
{
	struct connections *c = k->owner;

	for (;;) {
		size_t size = k->unsent_size - k->unsent_at;
		const uint8_t *from = size ? k->unsent + k->unsent_at : NULL;
		ssize_t n;

		if (size == 0) {
			from = c->buffer;
			size = gossip_pull(c->gossip, k->id, c->buffer, READ_CHUNK, mono_now());
			if (size == 0)
				return true;
		}
		n = send(k->fd, from, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		keep_unsent(k, from, size, n > 0 ? (size_t)n : 0);
		if (n < 0)
			return true;
	}
}

static bool has_unsent(const struct connection *k)
{
	return k->unsent_at < k->unsent_size || gossip_wants_write(k->owner->gossip, k->id);
}

static void write_on(struct connection *k)
{
	struct connections *c = k->owner;

	if (!send_some(k)) {
		lost(k, strerror(errno));
		return;
	}
	if (has_unsent(k)) {
		ev_io_start(c->loop, &k->write);
		return;
	}
	ev_io_stop(c->loop, &k->write);
	if (k->state == SOCKET_CLOSING) {
		/* All said: a FIN, and the rest of the linger time for the other end to read it. */
		shutdown(k->fd, SHUT_WR);
	}
}

static void opened(struct connection *k)
{
	struct connections *c = k->owner;
	int one = 1;

	setsockopt(k->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	k->state = SOCKET_OPEN;
	ev_timer_stop(c->loop, &k->timer);
	ev_io_start(c->loop, &k->read);
}

static void on_connect(struct connection *k)
{
	struct connections *c = k->owner;
	struct netaddr local = { 0 };
	int error = 0;
	socklen_t size = sizeof error;

	if (getsockopt(k->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	if (error) {
		lost(k, strerror(error));
		return;
	}
	ev_io_stop(c->loop, &k->write);
	opened(k);
	sockaddr_local(k->fd, &local);
	gossip_on_connected(c->gossip, k->id, local, k->remote, mono_now());
}

static void on_writable(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct connection *k = w->data;

	(void)loop;
	(void)events;
	if (k->state == SOCKET_CONNECTING)
		on_connect(k);
	else
		write_on(k);
}

static void on_readable(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct connection *k = w->data;
	struct connections *c = k->owner;
	ssize_t n = recv(k->fd, c->buffer, sizeof c->buffer, MSG_DONTWAIT);

	(void)loop;
	(void)events;
	if (n > 0) {
		/* What a connection says after we closed it is read and thrown away, so that our
		 * last words are not lost to a reset. */
		if (k->state == SOCKET_OPEN)
			gossip_on_received(c->gossip, k->id, bytes_of(c->buffer, (size_t)n),
					   mono_now());
	} else if (n == 0) {
		lost(k, NULL);
	} else if (errno != EAGAIN && errno != EINTR) {
		lost(k, strerror(errno));
	}
}

static void on_timer(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct connection *k = w->data;

	(void)loop;
	(void)events;
	if (k->state == SOCKET_CONNECTING)
		lost(k, "no answer to the dial within 5 s");
	else
		destroy(k); /* linger is over */
}

static struct connection *add(struct connections *c, conn_id id, int fd, enum socket_state state,
			      struct netaddr remote)
{
	struct connection *k = mem_new(1, sizeof *k);

	k->owner = c;
	k->id = id;
	k->fd = fd;
	k->state = state;
	k->remote = remote;
	ev_io_init(&k->read, on_readable, fd, EV_READ);
	ev_io_init(&k->write, on_writable, fd, EV_WRITE);
	ev_timer_init(&k->timer, on_timer, DIAL_TIMEOUT_S, 0.);
	k->read.data = k->write.data = k->timer.data = k;
	table_insert(&c->table, &k->by_id, id);
	return k;
}

static void dial(struct connections *c, conn_id id, struct netaddr to)
{
	struct sockaddr_storage address;
	socklen_t size = sockaddr_from(to, &address);
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct connection *k;

	if (fd < 0)
		goto failed;
	if (c->config.host.family && c->config.host.family == to.ip.family) {
		struct sockaddr_storage from;
		socklen_t from_size = sockaddr_from((struct netaddr){ c->config.host, 0 }, &from);

		if (bind(fd, (struct sockaddr *)&from, from_size) < 0)
			goto failed;
	}
	if (connect(fd, (struct sockaddr *)&address, size) < 0 && errno != EINPROGRESS)
		goto failed;
	k = add(c, id, fd, SOCKET_CONNECTING, to);
	ev_io_start(c->loop, &k->write);
	ev_timer_start(c->loop, &k->timer);
	return;
failed:
	gossip_on_dial_failed(c->gossip, id, strerror(errno), mono_now());
	if (fd >= 0)
		close(fd);
}

static void close_after_drain(struct connections *c, conn_id id)
{
	struct connection *k = find(c, id);

	if (!k || k->state == SOCKET_CLOSING)
		return;
	if (k->state == SOCKET_CONNECTING) {
		destroy(k);
		return;
	}
	if (c->closing >= CLOSING_MAX) {
		send_some(k);
		destroy(k);
		return;
	}
	k->state = SOCKET_CLOSING;
	c->closing++;
	ev_timer_set(&k->timer, CLOSE_LINGER_S, 0.);
	ev_timer_start(c->loop, &k->timer);
	write_on(k);
}

/* ---- names of targets ---- */

static void resolution_done(struct resolution *r, const char *reason)
{
	struct connections *c = r->owner;
	struct netaddr found[8];
	size_t count = 0;
	struct resolution **at = &c->resolutions;

	for (struct addrinfo *a = reason ? NULL : r->request.ar_result; a && count < 8;
	     a = a->ai_next)
		if (sockaddr_to((struct sockaddr *)a->ai_addr, &found[count])) {
			found[count].port = r->port;
			count++;
		}
	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	ev_timer_stop(c->loop, &r->poll);
	gossip_on_resolved(c->gossip, r->target, found, count,
			   count    ? NULL
			   : reason ? reason
				    : "no address",
			   mono_now());
	if (!reason && r->request.ar_result)
		freeaddrinfo(r->request.ar_result);
	mem_free(r);
}

static void on_resolve_poll(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct resolution *r = w->data;
	int rc = gai_error(&r->request);

	(void)loop;
	(void)events;
	if (rc != EAI_INPROGRESS) {
		resolution_done(r, rc ? gai_strerror(rc) : NULL);
		return;
	}
	r->waited_s += RESOLVE_POLL_S;
	/* glibc's own limits end every lookup; until then the request must stay where it is. */
	if (r->waited_s > RESOLVE_TIMEOUT_S && gai_cancel(&r->request) == EAI_CANCELED)
		resolution_done(r, "the name server does not answer");
}

/* 'text' is a target as typed: host or host:port. */
static void resolve(struct connections *c, uint32_t target, const char *text)
{
	struct resolution *r = mem_new(1, sizeof *r);
	const char *colon = strrchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : strlen(text);
	struct gaicb *list[1] = { &r->request };
	unsigned port = c->config.port;

	if (colon)
		sscanf(colon + 1, "%5u", &port);
	if (length >= sizeof r->host)
		length = sizeof r->host - 1;
	memcpy(r->host, text, length);
	r->owner = c;
	r->target = target;
	r->port = (uint16_t)port;
	r->hints.ai_socktype = SOCK_STREAM;
	r->request.ar_name = r->host;
	r->request.ar_request = &r->hints;
	r->next = c->resolutions;
	c->resolutions = r;
	ev_timer_init(&r->poll, on_resolve_poll, RESOLVE_POLL_S, RESOLVE_POLL_S);
	r->poll.data = r;
	ev_timer_start(c->loop, &r->poll);
	if (getaddrinfo_a(GAI_NOWAIT, list, 1, NULL))
		resolution_done(r, "no memory for a lookup");
}

void connections_do(struct connections *c, const struct gossip_action *a)
{
	struct connection *k;

	switch (a->type) {
	case GOSSIP_DIAL:
		dial(c, a->conn, a->address);
		break;
	case GOSSIP_CLOSE:
		close_after_drain(c, a->conn);
		break;
	case GOSSIP_WRITE:
		k = find(c, a->conn);
		if (k && k->state != SOCKET_CONNECTING && !ev_is_active(&k->write))
			write_on(k);
		break;
	case GOSSIP_RESOLVE:
		resolve(c, a->target, a->text);
		break;
	default:
		NOT_REACHED("action that is not for the sockets");
	}
}

bool connections_draining(const struct connections *c)
{
	return c->closing > 0;
}

/* ---- listening ---- */

static void accept_one(struct connections *c, int fd, struct netaddr remote)
{
	struct why why;
	conn_id id = gossip_on_accepted(c->gossip, remote, mono_now(), &why);

	if (!id) {
		close(fd);
		return;
	}
	opened(add(c, id, fd, SOCKET_OPEN, remote));
}

static bool is_exhausted(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void on_listen_again(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct connections *c = w->data;

	(void)events;
	ev_io_start(loop, &c->listener);
}

static void on_accept(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct connections *c = w->data;

	(void)events;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		struct sockaddr_storage address;
		socklen_t size = sizeof address;
		struct netaddr remote;
		int fd = accept4(c->listen_fd, (struct sockaddr *)&address, &size,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			/* The one that cannot be accepted keeps the listener readable. */
			if (is_exhausted(errno)) {
				ev_io_stop(loop, &c->listener);
				ev_timer_set(&c->listen_again, ACCEPT_PAUSE_S, 0.);
				ev_timer_start(loop, &c->listen_again);
			}
			return;
		}
		if (sockaddr_to((struct sockaddr *)&address, &remote))
			accept_one(c, fd, remote);
		else
			close(fd);
	}
}

int connections_new(struct ev_loop *loop, const struct connections_config *config, struct log *log,
		    struct connections **out, struct why *why)
{
	struct connections *c;
	int fd = sockaddr_bind(SOCK_STREAM, (struct netaddr){ config->host, config->port }, why);

	if (fd < 0)
		return fd;
	if (listen(fd, 128) < 0) {
		int rc = -errno;

		why_set(why, WHY_TRANSPORT, "cannot listen on TCP port %u: %s", config->port,
			strerror(errno));
		close(fd);
		return rc;
	}
	c = mem_new(1, sizeof *c);
	c->loop = loop;
	c->config = *config;
	c->log = log;
	c->listen_fd = fd;
	ev_io_init(&c->listener, on_accept, fd, EV_READ);
	ev_timer_init(&c->listen_again, on_listen_again, 0., 0.);
	c->listener.data = c->listen_again.data = c;
	*out = c;
	return 0;
}

void connections_start(struct connections *c, struct gossip *gossip)
{
	c->gossip = gossip;
	ev_io_start(c->loop, &c->listener);
}

void connections_free(struct connections *c)
{
	if (!c)
		return;
	ev_io_stop(c->loop, &c->listener);
	ev_timer_stop(c->loop, &c->listen_again);
	TABLE_EACH(&c->table, l)
		destroy(table_entry(l, struct connection, by_id));
	table_fini(&c->table);
	while (c->resolutions) {
		struct resolution *r = c->resolutions;

		c->resolutions = r->next;
		ev_timer_stop(c->loop, &r->poll);
		/* A lookup that cannot be cancelled still writes to its request: leave it. */
		if (gai_cancel(&r->request) != EAI_NOTCANCELED)
			mem_free(r);
	}
	close(c->listen_fd);
	mem_free(c);
}
