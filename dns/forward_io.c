/* Questions to other resolvers, and their answers.
 *
 * Each try has a socket of its own, connected, with a port that the kernel draws and an id that
 * nobody can guess; who wants to answer in a resolver's place must hit both in one of few tries.  A
 * question that is under way is not asked twice: all who ask it wait for one answer.  So guessing
 * cannot be helped by asking often (RFC 5452), and a question that comes back to us ends here.
 */
#include "dns_thread_io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weave/alloc.h>
#include <weave/must.h>
#include <weave/sockaddr_io.h>

#include "cache.h"
#include "resolv_conf.h"

#define PENDING_MAX 1024u /* questions under way */
#define OPEN_MAX 768u	  /* sockets of all of them: descriptors are the router's, too */
#define WAITING_MAX 4096u /* who wait for them */
#define WAITING_OF_ONE_MAX 256u
#define ADDRESS_SLOTS 1024u
#define NEXT_S 0.3 /* until the next resolver is asked besides */
#define TRIES_MAX (2u * DNS_UPSTREAMS_MAX)
#define FORGED_MAX 16u /* wrong answers to one try: then it ends */
#define RESOLV_CONF_MAX 65536u
#define LOOK_MS 1000u

struct
try {
	struct pending *pending;
	struct ev_io io;
	bool open;
	uint16_t id;
	uint32_t forged;
	struct netaddr to;
	/* TCP */
	uint8_t question[2 + 12 + DNS_NAME_MAX + 4 + DNS_OPT_SIZE];
	size_t question_size, written;
	uint8_t *in;
	size_t in_size;
};

struct pending {
	struct forwarder *forwarder;
	struct table_link by_question;
	struct dns_query query; /* 'question' is below */
	uint8_t question[DNS_NAME_MAX + 4];
	bool tcp;
	struct list waiting; /* struct waiting; who goes away takes it along */
	struct ev_timer next, limit;
	struct netaddr servers[DNS_UPSTREAMS_MAX]; /* when it began */
	size_t servers_count;
	unsigned tries_count;
	struct try tries[TRIES_MAX];
	struct bytes
		refusal; /* the first answer that is of no use, kept in case there is none better */
};

struct waiting {
	struct list link;
	struct dns_asker asker;
	struct dns_query query;
	uint8_t question[DNS_NAME_MAX + 4];
};

struct forwarder {
	struct dns_thread *thread;
	double timeout_s;
	const char *resolv_conf; /* NULL: nobody is asked */
	struct mono looked;
	struct stat seen;
	struct netaddr servers[DNS_UPSTREAMS_MAX];
	size_t servers_count, first; /* the one that answered last */
	struct hash_key hash_key;
	struct table pending;
	struct cache *cache;
	size_t waiting_count, open_count;
	uint16_t waiting_of[ADDRESS_SLOTS]; /* by hash of their address */
	uint8_t buffer[DNS_MESSAGE_MAX], answer[DNS_MESSAGE_MAX];
};

static uint64_t unguessable(void)
{
	uint64_t v = 0;

	while (getrandom(&v, sizeof v, 0) != sizeof v)
		;
	return v;
}

/* ---- whom to ask ---- */

static bool is_own(const struct forwarder *f, struct netaddr a)
{
	struct list *head = &f->thread->listeners;

	for (struct list *i = head->next; i != head; i = i->next) {
		struct netaddr at = list_entry(i, struct dns_listener, link)->at;

		if (at.port == a.port && (at.ip.family == 0 || ip_compare(at.ip, a.ip) == 0))
			return true;
	}
	return false;
}

static void read_file(struct forwarder *f)
{
	char *text = mem_new(1, RESOLV_CONF_MAX);
	int fd = open(f->resolv_conf, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? 0 : read(fd, text, RESOLV_CONF_MAX);

	f->servers_count = resolv_conf_parse(text, size > 0 ? (size_t)size : 0, f->servers,
					     DNS_UPSTREAMS_MAX);
	f->first = 0;
	if (fd >= 0)
		close(fd);
	mem_free(text);
	cache_clear(f->cache);
}

/* At most once a second: it may be written, replaced or linked elsewhere at any time. */
static void follow_file(struct forwarder *f)
{
	struct mono now = mono_now();
	struct stat s = { 0 };

	if (!f->resolv_conf || (f->looked.ms && mono_elapsed(f->looked, now) < LOOK_MS))
		return;
	if (stat(f->resolv_conf, &s) < 0)
		memset(&s, 0, sizeof s);
	if (!f->looked.ms || s.st_ino != f->seen.st_ino || s.st_dev != f->seen.st_dev ||
	    s.st_size != f->seen.st_size || s.st_mtim.tv_sec != f->seen.st_mtim.tv_sec ||
	    s.st_mtim.tv_nsec != f->seen.st_mtim.tv_nsec) {
		read_file(f);
		dns_thread_set_upstreams(f->thread, f->servers, f->servers_count);
	}
	f->seen = s;
	f->looked = now;
}

/* ---- who waits ---- */

static uint16_t *waiting_of(struct forwarder *f, struct ip_addr ip)
{
	return &f->waiting_of[hash64(&f->hash_key, &ip, sizeof ip) % ADDRESS_SLOTS];
}

static void drop_waiting(struct forwarder *f, struct waiting *w)
{
	list_remove(&w->link);
	f->waiting_count--;
	--*waiting_of(f, w->asker.address.ip);
	mem_free(w);
}

static void add_waiting(struct forwarder *f, struct pending *p, const struct dns_asker *asker,
			const struct dns_query *q)
{
	struct waiting *w = mem_new(1, sizeof *w);

	MUST(q->question.size <= sizeof w->question);
	w->asker = *asker;
	w->query = *q;
	memcpy(w->question, q->question.data, q->question.size);
	w->query.question.data = w->question;
	list_append(&p->waiting, &w->link);
	f->waiting_count++;
	++*waiting_of(f, asker->address.ip);
}

/* ---- the life of a question ---- */

static void close_try(struct pending *p, struct try *t)
{
	if (!t->open)
		return;
	ev_io_stop(p->forwarder->thread->loop, &t->io);
	close(t->io.fd);
	mem_free(t->in);
	t->in = NULL;
	t->open = false;
	p->forwarder->open_count--;
}

static void free_pending(struct pending *p)
{
	struct forwarder *f = p->forwarder;

	for (unsigned i = 0; i < p->tries_count; i++)
		close_try(p, &p->tries[i]);
	ev_timer_stop(f->thread->loop, &p->next);
	ev_timer_stop(f->thread->loop, &p->limit);
	while (!list_empty(&p->waiting))
		drop_waiting(f, list_entry(p->waiting.next, struct waiting, link));
	table_remove(&f->pending, &p->by_question);
	mem_free((void *)(uintptr_t)p->refusal.data);
	mem_free(p);
}

/* Tells all who wait; 'reply' empty: nobody knew.  Who is told may go, and others with it. */
static void finish(struct pending *p, struct bytes reply)
{
	struct forwarder *f = p->forwarder;

	if (!reply.size)
		reply = p->refusal;
	if (!reply.size)
		DNS_COUNT(f->thread, failed);
	while (!list_empty(&p->waiting)) {
		struct waiting *w = list_entry(p->waiting.next, struct waiting, link);
		struct dns_asker asker = w->asker;
		struct bytes message = reply.size
					       ? dns_reply_for(reply, &w->query, 0,
							       answer_limit(&w->query, asker.tcp),
							       f->answer)
					       : answer_refuse(&w->query, DNS_SERVFAIL, f->answer);

		drop_waiting(f, w);
		dns_thread_send(f->thread, &asker, message);
	}
	free_pending(p);
}

static bool any_open(const struct pending *p)
{
	for (unsigned i = 0; i < p->tries_count; i++)
		if (p->tries[i].open)
			return true;
	return false;
}

static bool start_try(struct pending *p);

/* This one has failed; the next at once. */
static void give_up(struct pending *p, struct try *t)
{
	close_try(p, t);
	if (start_try(p) || any_open(p))
		return;
	finish(p, bytes_of(NULL, 0));
}

static void keep_refusal(struct pending *p, struct bytes reply)
{
	if (!p->refusal.size)
		p->refusal = bytes_of(mem_copy(reply.data, reply.size), reply.size);
}

/* True: it has ended, this way or another. */
static bool take_reply(struct pending *p, struct try *t, struct bytes message)
{
	struct forwarder *f = p->forwarder;
	struct dns_reply reply;

	if (!dns_reply_decode(&reply, message, &p->query) || reply.id != t->id) {
		DNS_COUNT(f->thread, forged);
		if (++t->forged < FORGED_MAX)
			return false;
		give_up(p, t);
		return true;
	}
	if (reply.rcode != DNS_NOERROR && reply.rcode != DNS_NXDOMAIN) {
		keep_refusal(p, message);
		give_up(p, t);
		return true;
	}
	for (size_t i = 0; i < f->servers_count; i++)
		if (netaddr_compare(f->servers[i], t->to) == 0)
			f->first = i;
	cache_put(f->cache, &p->query, message, reply.ttl, mono_now());
	finish(p, message);
	return true;
}

static void read_udp(struct pending *p, struct try *t)
{
	struct forwarder *f = p->forwarder;

	for (unsigned i = 0; i < FORGED_MAX; i++) {
		ssize_t n = recv(t->io.fd, f->buffer, sizeof f->buffer, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			give_up(p, t); /* "port unreachable", say */
			return;
		}
		if (take_reply(p, t, bytes_of(f->buffer, (size_t)n)))
			return;
	}
}

static void read_tcp(struct pending *p, struct try *t)
{
	ssize_t n;

	if (!t->in)
		t->in = mem_new(1, 2 + DNS_MESSAGE_MAX);
	n = recv(t->io.fd, t->in + t->in_size, 2 + DNS_MESSAGE_MAX - t->in_size, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		give_up(p, t);
		return;
	}
	t->in_size += (size_t)n;
	if (t->in_size >= 2 && t->in_size >= 2u + ((size_t)t->in[0] << 8 | t->in[1]) &&
	    !take_reply(p, t, bytes_of(t->in + 2, (size_t)t->in[0] << 8 | t->in[1])))
		give_up(p, t);
}

static void write_tcp(struct pending *p, struct try *t)
{
	struct ev_loop *loop = p->forwarder->thread->loop;
	ssize_t n = send(t->io.fd, t->question + t->written, t->question_size - t->written,
			 MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		give_up(p, t);
		return;
	}
	t->written += (size_t)n;
	if (t->written < t->question_size)
		return;
	ev_io_stop(loop, &t->io);
	ev_io_set(&t->io, t->io.fd, EV_READ);
	ev_io_start(loop, &t->io);
}

static void on_try(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct try *t = w->data;

	(void)loop;
	if (!t->pending->tcp)
		read_udp(t->pending, t);
	else if (events & EV_WRITE)
		write_tcp(t->pending, t);
	else
		read_tcp(t->pending, t);
}

/* A connected socket with the question in it, or on its way. */
static int open_try(struct pending *p, struct try *t)
{
	struct sockaddr_storage to;
	socklen_t size = sockaddr_from(t->to, &to);
	struct bytes question;
	int fd = socket(to.ss_family,
			(p->tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	question = dns_forward_query(&p->query, t->id, t->question + 2, sizeof t->question - 2);
	t->question[0] = (uint8_t)(question.size >> 8);
	t->question[1] = (uint8_t)question.size;
	t->question_size = 2 + question.size;
	if ((connect(fd, (struct sockaddr *)&to, size) < 0 && errno != EINPROGRESS) ||
	    (!p->tcp && send(fd, question.data, question.size, MSG_DONTWAIT) < 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The next resolver in turn; false: all have had theirs twice or cannot be reached, or too many
 * questions are under way. */
static bool start_try(struct pending *p)
{
	struct forwarder *f = p->forwarder;

	while (p->tries_count < 2 * p->servers_count && f->open_count < OPEN_MAX) {
		struct try *t = &p->tries[p->tries_count];
		int fd;

		*t = (struct try){ .pending = p, .id = (uint16_t)unguessable() };
		t->to = p->servers[p->tries_count++ % p->servers_count];
		fd = open_try(p, t);
		if (fd < 0)
			continue;
		ev_io_init(&t->io, on_try, fd, p->tcp ? EV_WRITE : EV_READ);
		t->io.data = t;
		t->open = true;
		f->open_count++;
		ev_io_start(f->thread->loop, &t->io);
		return true;
	}
	return false;
}

static void on_next(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct pending *p = w->data;

	(void)events;
	/* The second round is for what got lost, and comes later. */
	if (!start_try(p))
		ev_timer_stop(loop, w);
	else if (p->tries_count >= p->servers_count) {
		w->repeat = 1.;
		ev_timer_again(loop, w);
	}
}

static void on_limit(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	finish(w->data, bytes_of(NULL, 0));
}

/* ---- asking ---- */

static struct pending *find_pending(const struct forwarder *f, const struct dns_query *q, bool tcp)
{
	uint64_t hash = query_hash(&f->hash_key, q);

	for (struct table_link *l = table_first(&f->pending, hash); l; l = table_next(l, hash)) {
		struct pending *p = table_entry(l, struct pending, by_question);

		if (p->tcp == tcp && query_equal(&p->query, q))
			return p;
	}
	return NULL;
}

static struct pending *new_pending(struct forwarder *f, const struct dns_query *q, bool tcp)
{
	struct pending *p = mem_new(1, sizeof *p);
	struct ev_loop *loop = f->thread->loop;

	p->forwarder = f;
	p->query = *q;
	p->tcp = tcp;
	memcpy(p->question, q->question.data, q->question.size);
	p->query.question.data = p->question;
	list_init(&p->waiting);
	for (size_t i = 0; i < f->servers_count; i++) {
		struct netaddr a = f->servers[(f->first + i) % f->servers_count];

		if (!is_own(f, a))
			p->servers[p->servers_count++] = a;
	}
	table_insert(&f->pending, &p->by_question, query_hash(&f->hash_key, q));
	ev_timer_init(&p->next, on_next, NEXT_S, p->servers_count > 1 ? NEXT_S : 1.);
	ev_timer_init(&p->limit, on_limit, f->timeout_s, 0.);
	p->next.data = p->limit.data = p;
	/* libev's idea of the time is that of the turn's beginning. */
	ev_timer_start(loop, &p->next);
	ev_timer_start(loop, &p->limit);
	return p;
}

static bool came_from_a_resolver(const struct forwarder *f, struct ip_addr ip)
{
	for (size_t i = 0; i < f->servers_count; i++)
		if (ip_compare(f->servers[i].ip, ip) == 0)
			return true;
	return false;
}

static bool has_room(struct forwarder *f, const struct dns_asker *asker, const struct pending *p)
{
	return f->waiting_count < WAITING_MAX &&
	       *waiting_of(f, asker->address.ip) < WAITING_OF_ONE_MAX &&
	       (p || f->pending.count < PENDING_MAX);
}

static struct bytes from_cache(struct forwarder *f, const struct dns_asker *asker,
			       const struct dns_query *q, void *buffer)
{
	struct bytes reply;
	uint32_t age_s;

	if (!cache_get(f->cache, q, mono_now(), &reply, &age_s))
		return bytes_of(NULL, 0);
	DNS_COUNT(f->thread, cached);
	return dns_reply_for(reply, q, age_s, answer_limit(q, asker->tcp), buffer);
}

struct bytes forwarder_ask(struct forwarder *f, const struct dns_asker *asker,
			   const struct dns_query *q, void *buffer)
{
	struct pending *p;
	struct bytes known;

	follow_file(f);
	known = from_cache(f, asker, q, buffer);
	if (known.size)
		return known;
	p = find_pending(f, q, asker->tcp);
	/* Somebody whom we ask asks us the same: it would wait for itself. */
	if (p && came_from_a_resolver(f, asker->address.ip)) {
		DNS_COUNT(f->thread, loops);
		return answer_refuse(q, DNS_REFUSED, buffer);
	}
	if (!has_room(f, asker, p)) {
		DNS_COUNT(f->thread, limited);
		return answer_refuse(q, DNS_SERVFAIL, buffer);
	}
	if (p) {
		add_waiting(f, p, asker, q);
		return bytes_of(NULL, 0);
	}
	p = new_pending(f, q, asker->tcp);
	if (!start_try(p)) {
		free_pending(p);
		DNS_COUNT(f->thread, failed);
		return answer_refuse(q, DNS_SERVFAIL, buffer);
	}
	DNS_COUNT(f->thread, forwarded);
	add_waiting(f, p, asker, q);
	return bytes_of(NULL, 0);
}

void forwarder_drop(struct forwarder *f, const void *origin)
{
	if (!f || !f->waiting_count)
		return;
	TABLE_EACH(&f->pending, l) {
		struct pending *p = table_entry(l, struct pending, by_question);
		struct list *next;

		for (struct list *i = p->waiting.next; i != &p->waiting; i = next) {
			struct waiting *w = list_entry(i, struct waiting, link);

			next = i->next;
			if (w->asker.origin == origin)
				drop_waiting(f, w);
		}
	}
}

struct forwarder *forwarder_new(struct dns_thread *t, uint32_t timeout_ms, const char *resolv_conf)
{
	struct forwarder *f = mem_new(1, sizeof *f);

	f->thread = t;
	f->timeout_s = timeout_ms / 1000.;
	f->resolv_conf = resolv_conf;
	f->hash_key.k0 = unguessable();
	f->hash_key.k1 = unguessable();
	f->cache = cache_new(unguessable());
	follow_file(f);
	return f;
}

void forwarder_free(struct forwarder *f)
{
	if (!f)
		return;
	TABLE_EACH(&f->pending, l)
		free_pending(table_entry(l, struct pending, by_question));
	table_fini(&f->pending);
	cache_free(f->cache);
	mem_free(f);
}
