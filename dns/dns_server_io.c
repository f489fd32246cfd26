#include "dns_thread_io.h"

#include <cap-ng.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <weave/alloc.h>
#include <weave/must.h>
#include <weave/sockaddr_io.h>

/* Changes taken in before some questions are answered: less than half a millisecond. */
#define CHANGES_PER_TURN 256u
#define TCP_BACKLOG 64

/* What the loop thread says. */
struct order {
	struct order *next;
	bool listen; /* else no longer */
	struct netaddr at;
	int udp, tcp;
};

struct dns_server {
	char domain[NAME_HOSTNAME_MAX + 1];
	uint32_t ttl_s, fallback_ms;
	char *resolv_conf;
	pthread_t thread;
	struct ev_loop *loop; /* the thread's */
	struct ev_async wake;
	struct dns_shared_counters counters;

	pthread_mutex_t lock; /* held for moments */
	struct name_change *changes, **changes_end;
	struct order *orders, **orders_end;
	bool stopping;
	_Atomic bool has_mail; /* saves the lock where there is nothing */
	struct netaddr upstreams[DNS_UPSTREAMS_MAX];
	size_t upstreams_count;

	/* loop thread */
	struct netaddr *listening;
	size_t listening_count;
};

/* ---- the thread ---- */

static void end_listener(struct dns_listener *l)
{
	list_remove(&l->link);
	dns_udp_free(l->udp);
	dns_tcp_free(l->tcp);
	mem_free(l);
}

static void begin_listener(struct dns_thread *t, const struct order *o)
{
	struct dns_listener *l = mem_new(1, sizeof *l);

	l->at = o->at;
	l->udp = dns_udp_new(t, o->udp);
	l->tcp = dns_tcp_new(t, o->tcp);
	list_append(&t->listeners, &l->link);
}

static void obey(struct dns_thread *t, const struct order *o)
{
	if (o->listen) {
		begin_listener(t, o);
		return;
	}
	for (struct list *i = t->listeners.next; i != &t->listeners; i = i->next) {
		struct dns_listener *l = list_entry(i, struct dns_listener, link);

		if (netaddr_compare(l->at, o->at) == 0) {
			end_listener(l);
			return;
		}
	}
}

/* The first changes, in a list of their own. */
static struct name_change *take_changes(struct dns_server *s)
{
	struct name_change *first = s->changes, **end = &first;

	for (unsigned i = 0; i < CHANGES_PER_TURN && *end; i++)
		end = &(*end)->next;
	s->changes = *end;
	*end = NULL;
	if (!s->changes)
		s->changes_end = &s->changes;
	return first;
}

void dns_thread_take_inbox(struct dns_thread *t)
{
	struct dns_server *s = t->server;
	struct name_change *changes;

	if (!atomic_load_explicit(&s->has_mail, memory_order_acquire))
		return;
	pthread_mutex_lock(&s->lock);
	changes = take_changes(s);
	atomic_store_explicit(&s->has_mail, s->changes || s->orders || s->stopping,
			      memory_order_release);
	if (s->changes)
		ev_async_send(s->loop, &s->wake);
	pthread_mutex_unlock(&s->lock);
	while (changes) {
		struct name_change *c = changes;

		changes = c->next;
		zone_apply(t->zone, c);
		mem_free(c);
	}
}

/* Not from within a listener, whose end may be among the orders. */
static void on_wake(struct ev_loop *loop, struct ev_async *w, int events)
{
	struct dns_thread *t = w->data;
	struct dns_server *s = t->server;
	struct order *orders;
	bool stopping;

	(void)events;
	dns_thread_take_inbox(t);
	pthread_mutex_lock(&s->lock);
	orders = s->orders;
	s->orders = NULL;
	s->orders_end = &s->orders;
	stopping = s->stopping;
	pthread_mutex_unlock(&s->lock);
	while (orders) {
		struct order *o = orders;

		orders = o->next;
		obey(t, o);
		mem_free(o);
	}
	if (stopping)
		ev_break(loop, EVBREAK_ALL);
}

void dns_thread_set_upstreams(struct dns_thread *t, const struct netaddr *list, size_t count)
{
	struct dns_server *s = t->server;

	pthread_mutex_lock(&s->lock);
	s->upstreams_count = count;
	if (count)
		memcpy(s->upstreams, list, count * sizeof *list);
	pthread_mutex_unlock(&s->lock);
}

void dns_thread_send(struct dns_thread *t, const struct dns_asker *asker, struct bytes message)
{
	(void)t;
	if (asker->tcp)
		dns_connection_send(asker->origin, message);
	else
		dns_udp_send(asker->origin, asker, message);
}

static struct dns_thread *thread_new(struct dns_server *s)
{
	struct dns_thread *t = mem_new(1, sizeof *t);
	uint64_t seeds[2] = { 1, 2 };

	if (getrandom(seeds, sizeof seeds, 0) != sizeof seeds)
		NOT_REACHED("getrandom of 16 bytes");
	t->loop = s->loop;
	t->server = s;
	t->counters = &s->counters;
	t->ttl_s = s->ttl_s;
	t->rng.state = seeds[0];
	t->zone = zone_new(s->domain, seeds[1]);
	list_init(&t->listeners);
	t->forwarder = forwarder_new(t, s->fallback_ms, s->resolv_conf);
	s->wake.data = t;
	return t;
}

static void thread_free(struct dns_thread *t)
{
	while (!list_empty(&t->listeners))
		end_listener(list_entry(t->listeners.next, struct dns_listener, link));
	forwarder_free(t->forwarder);
	local_networks_fini(&t->local);
	zone_free(t->zone);
	mem_free(t);
}

/* It reads what anybody sends: it needs no right to anything. */
static void *run(void *arg)
{
	struct dns_thread *t = arg;

	capng_clear(CAPNG_SELECT_CAPS);
	capng_apply(CAPNG_SELECT_CAPS);
	ev_run(t->loop, 0);
	thread_free(t);
	return NULL;
}

/* ---- the loop thread ---- */

/* Signals are the loop's. */
static int start(struct dns_server *s, struct dns_thread *t)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&s->thread, NULL, run, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -rc;
}

int dns_server_new(struct dns_server **out, const struct dns_server_config *config, struct why *why)
{
	struct dns_server *s = mem_new(1, sizeof *s);
	struct dns_thread *t;
	int rc;

	strcpy(s->domain, config->domain);
	s->ttl_s = config->ttl_s;
	s->fallback_ms = config->fallback_ms;
	s->resolv_conf = config->resolv_conf ? mem_copy_text(config->resolv_conf) : NULL;
	s->changes_end = &s->changes;
	s->orders_end = &s->orders;
	pthread_mutex_init(&s->lock, NULL);
	s->loop = ev_loop_new(EVFLAG_AUTO);
	if (!s->loop) {
		why_set(why, WHY_TRANSPORT, "cannot make an event loop for DNS");
		rc = -ENOMEM;
		goto out;
	}
	ev_async_init(&s->wake, on_wake);
	t = thread_new(s);
	ev_async_start(s->loop, &s->wake);
	rc = start(s, t);
	if (rc) {
		why_set(why, WHY_TRANSPORT, "cannot start a thread for DNS: %s", strerror(-rc));
		thread_free(t);
		goto out;
	}
	*out = s;
	return 0;
out:
	if (s->loop)
		ev_loop_destroy(s->loop);
	pthread_mutex_destroy(&s->lock);
	mem_free(s->resolv_conf);
	mem_free(s);
	return rc;
}

static void wake(struct dns_server *s)
{
	atomic_store_explicit(&s->has_mail, true, memory_order_release);
	ev_async_send(s->loop, &s->wake);
}

static void send_order(struct dns_server *s, const struct order *o)
{
	struct order *copy = mem_copy(o, sizeof *o);

	pthread_mutex_lock(&s->lock);
	*s->orders_end = copy;
	s->orders_end = &copy->next;
	pthread_mutex_unlock(&s->lock);
	wake(s);
}

static size_t find_listening(const struct dns_server *s, struct netaddr at)
{
	size_t i = 0;

	while (i < s->listening_count && netaddr_compare(s->listening[i], at) != 0)
		i++;
	return i;
}

int dns_server_listen(struct dns_server *s, struct netaddr at, struct why *why)
{
	struct order o = { .listen = true, .at = at };

	if (find_listening(s, at) < s->listening_count)
		return 0;
	o.udp = sockaddr_bind(SOCK_DGRAM, at, why);
	if (o.udp < 0)
		return o.udp;
	o.tcp = sockaddr_bind(SOCK_STREAM, at, why);
	if (o.tcp >= 0 && listen(o.tcp, TCP_BACKLOG) < 0) {
		int rc = -errno;

		why_set(why, WHY_TRANSPORT, "cannot listen for DNS over TCP: %s", strerror(-rc));
		close(o.tcp);
		o.tcp = rc;
	}
	if (o.tcp < 0) {
		close(o.udp);
		return o.tcp;
	}
	s->listening = mem_resize(s->listening, s->listening_count + 1, sizeof *s->listening);
	s->listening[s->listening_count++] = at;
	send_order(s, &o);
	return 0;
}

void dns_server_unlisten(struct dns_server *s, struct netaddr at)
{
	size_t i = find_listening(s, at);

	if (i == s->listening_count)
		return;
	s->listening[i] = s->listening[--s->listening_count];
	send_order(s, &(struct order){ .at = at });
}

void dns_server_apply(struct dns_server *s, struct name_change *list)
{
	struct name_change *last = list;

	if (!list)
		return;
	while (last->next)
		last = last->next;
	pthread_mutex_lock(&s->lock);
	*s->changes_end = list;
	s->changes_end = &last->next;
	pthread_mutex_unlock(&s->lock);
	wake(s);
}

void dns_server_counters(const struct dns_server *s, struct dns_counters *out)
{
#define X(name, what) out->name = atomic_load_explicit(&s->counters.name, memory_order_relaxed);
	DNS_COUNTERS(X)
#undef X
}

size_t dns_server_upstreams(struct dns_server *s, struct netaddr *out)
{
	size_t count;

	pthread_mutex_lock(&s->lock);
	count = s->upstreams_count;
	memcpy(out, s->upstreams, sizeof s->upstreams);
	pthread_mutex_unlock(&s->lock);
	return count;
}

void dns_server_free(struct dns_server *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_mutex_unlock(&s->lock);
	wake(s);
	pthread_join(s->thread, NULL);
	while (s->changes) {
		struct name_change *c = s->changes;

		s->changes = c->next;
		mem_free(c);
	}
	while (s->orders) {
		struct order *o = s->orders;

		s->orders = o->next;
		if (o->listen) {
			close(o->udp);
			close(o->tcp);
		}
		mem_free(o);
	}
	ev_loop_destroy(s->loop);
	pthread_mutex_destroy(&s->lock);
	mem_free(s->listening);
	mem_free(s->resolv_conf);
	mem_free(s);
}
