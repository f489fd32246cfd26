#include "dns.h"

#include <string.h>

#include <weave/alloc.h>
#include <weave/dns_io.h>
#include <weave/sockaddr_io.h>

#include "names_file_io.h"

#define DNS_PORT 53u
#define DNS_LISTENING_MAX 64u
/* Lines of changes for each name that is left; then the file is written anew. */
#define LINES_PER_NAME 4u
#define LINES_MIN 1024u

struct daemon_dns {
	struct dns_server *server;
	struct names_file *file; /* NULL: it cannot be kept */
	/* Where we answer: what the options say, or the addresses that are there by themselves. */
	struct netaddr listening[DNS_LISTENING_MAX];
	size_t listening_count;
	/* Those that others have, told once. */
	struct netaddr refused[DNS_LISTENING_MAX];
	size_t refused_count;
};

static struct names *names_of(struct daemon *d)
{
	return engine_names(d->engine);
}

/* ---- where to answer ---- */

static bool has(const struct netaddr *list, size_t count, struct netaddr a)
{
	for (size_t i = 0; i < count; i++)
		if (netaddr_compare(list[i], a) == 0)
			return true;
	return false;
}

static void add(struct netaddr *list, size_t *count, struct ip_addr ip)
{
	struct netaddr a = { ip, DNS_PORT };

	if (*count < DNS_LISTENING_MAX && !has(list, *count, a))
		list[(*count)++] = a;
}

/* Docker's bridge, which all its containers reach, and the host's addresses in the overlay. */
static size_t usual_addresses(struct daemon *d, struct netaddr *wanted)
{
	struct net_address *list = NULL;
	struct net_link link;
	size_t count = 0, wanted_count = 0;

	if (*d->options->dns.docker_bridge &&
	    net_link_find(d->net, d->options->dns.docker_bridge, &link) == 0 &&
	    net_addresses(d->net, link.ifindex, &list, &count) == 0)
		for (size_t i = 0; i < count; i++)
			if (list[i].scope == 0)
				add(wanted, &wanted_count, list[i].cidr.ip);
	mem_free(list);
	for (uint32_t i = 0; i < d->exposed.count; i++)
		add(wanted, &wanted_count, d->exposed.items[i].cidr.ip);
	return wanted_count;
}

static void answer_at(struct daemon *d, struct netaddr a)
{
	struct daemon_dns *dns = d->dns;
	char text[ENDPOINT_TEXT_SIZE];
	struct why why;

	if (dns_server_listen(dns->server, a, &why) == 0) {
		dns->listening[dns->listening_count++] = a;
		log_info(&d->log, "answering DNS on %s", netaddr_text(a, text));
	} else if (!has(dns->refused, dns->refused_count, a)) {
		dns->refused[dns->refused_count++] = a;
		log_warning(&d->log, "cannot answer DNS: %s; it is tried again", why.text);
	}
}

/* Those of 'list' that are wanted still. */
static size_t keep_wanted(struct netaddr *list, size_t count, const struct netaddr *wanted,
			  size_t wanted_count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (has(wanted, wanted_count, list[i]))
			list[kept++] = list[i];
	return kept;
}

void dns_follow_addresses(struct daemon *d)
{
	struct daemon_dns *dns = d->dns;
	struct netaddr wanted[DNS_LISTENING_MAX];
	size_t count;

	if (!dns || d->options->dns.addresses_count)
		return;
	count = usual_addresses(d, wanted);
	for (size_t i = 0; i < dns->listening_count; i++)
		if (!has(wanted, count, dns->listening[i]))
			dns_server_unlisten(dns->server, dns->listening[i]);
	dns->listening_count = keep_wanted(dns->listening, dns->listening_count, wanted, count);
	dns->refused_count = keep_wanted(dns->refused, dns->refused_count, wanted, count);
	for (size_t i = 0; i < count; i++)
		if (!has(dns->listening, dns->listening_count, wanted[i]))
			answer_at(d, wanted[i]);
}

bool dns_start(struct daemon *d, struct why *why)
{
	const struct dns_options *o = &d->options->dns;
	struct dns_server_config c = { .domain = names_domain(names_of(d)),
				       .ttl_s = o->ttl_s,
				       .fallback_ms = o->fallback_ms,
				       .resolv_conf = o->resolv_conf };

	if (!o->enabled)
		return true;
	d->dns = mem_new(1, sizeof *d->dns);
	if (dns_server_new(&d->dns->server, &c, why))
		return false;
	names_track(names_of(d));
	for (size_t i = 0; i < o->addresses_count; i++) {
		if (dns_server_listen(d->dns->server, o->addresses[i], why))
			return false;
		if (!has(d->dns->listening, d->dns->listening_count, o->addresses[i]))
			d->dns->listening[d->dns->listening_count++] = o->addresses[i];
	}
	return true;
}

void dns_stop(struct daemon *d)
{
	if (!d->dns)
		return;
	dns_server_free(d->dns->server);
	names_file_close(d->dns->file);
	mem_free(d->dns);
	d->dns = NULL;
}

void dns_turn(struct daemon *d)
{
	if (d->dns)
		dns_server_apply(d->dns->server, names_take_changes(names_of(d)));
}

/* ---- the file ---- */

/* A name that was removed must not come back by an old file. */
static void lose_file(struct daemon *d, int rc)
{
	log_warning(&d->log, "names cannot be kept for the next start: %s", strerror(-rc));
	names_file_remove(d->dns->file);
	d->dns->file = NULL;
}

static int write_anew(struct daemon *d)
{
	struct names_file *f = d->dns->file;
	const struct name_own *own = NULL;
	struct name_entry e;
	int rc = names_file_begin(f);

	while (!rc && (own = names_next_own(names_of(d), own, &e)))
		rc = names_file_add(f, true, e.container, e.hostname, &e.address);
	return rc ? rc : names_file_end(f);
}

static void note(struct daemon *d, bool put, const char *container, const char *hostname,
		 const struct ip_addr *address)
{
	struct names_file *f = d->dns->file;
	int rc;

	if (!f)
		return;
	if (names_file_lines(f) > LINES_MIN + LINES_PER_NAME * names_own_count(names_of(d)))
		rc = write_anew(d); /* with this one in it */
	else
		rc = names_file_add(f, put, container, hostname, address);
	if (rc)
		lose_file(d, rc);
}

/* ---- names ---- */

/* At once, so that whoever is told of it finds it. */
static bool put(struct daemon *d, const char *container, const char *hostname,
		struct ip_addr address, struct why *why)
{
	uint64_t before = names_own_version(names_of(d));

	if (!names_put(names_of(d), container, hostname, address, mono_now(), why))
		return false;
	if (names_own_version(names_of(d)) != before)
		note(d, true, container, hostname, &address);
	dns_turn(d);
	return true;
}

void daemon_name_put(struct daemon *d, const char *container, const char *hostname,
		     struct ip_addr address)
{
	struct why why;

	if (d->dns && !put(d, container, hostname, address, &why))
		log_info(&d->log, "container %s gets no name: %s", container, why.text);
}

void daemon_names_remove(struct daemon *d, const char *container, const char *hostname,
			 const struct ip_addr *address)
{
	if (!d->dns || !names_remove(names_of(d), container, hostname, address, mono_now()))
		return;
	note(d, false, container, hostname, address);
	dns_turn(d);
}

static bool is_attached(struct daemon *d, const char *id)
{
	return attach_known_lives(&d->attached, id);
}

void dns_container(struct daemon *d, const char *id)
{
	if (!is_attached(d, id))
		daemon_names_remove(d, id, NULL, NULL);
}

static bool is_exposed(const struct daemon *d, struct ip_addr ip)
{
	for (uint32_t i = 0; i < d->exposed.count; i++)
		if (ip_compare(d->exposed.items[i].cidr.ip, ip) == 0)
			return true;
	return false;
}

/* What the name leads to is still there.  Of containers that others look after, they tell. */
static bool lives(struct daemon *d, const struct name_entry *e)
{
	if (strcmp(e->container, NAMES_EXTERN) == 0)
		return true;
	if (strcmp(e->container, API_EXPOSE_ID) == 0)
		return is_exposed(d, e->address);
	return is_attached(d, e->container);
}

static void read_line(void *ctx, bool is_put, const char *container, const char *hostname,
		      const struct ip_addr *address)
{
	struct daemon *d = ctx;
	struct why why;

	if (!is_put)
		names_remove(names_of(d), container, hostname, address, mono_now());
	else if (!names_put(names_of(d), container, hostname, *address, mono_now(), &why))
		log_info(&d->log, "a name of the last run is left out: %s", why.text);
}

static void remove_dead(struct daemon *d)
{
	const struct name_own *own = NULL, *next;
	struct name_entry e, following;

	own = names_next_own(names_of(d), NULL, &e);
	while (own) {
		next = names_next_own(names_of(d), own, &following);
		if (!lives(d, &e))
			names_remove(names_of(d), e.container, e.hostname, &e.address, mono_now());
		own = next;
		e = following;
	}
}

bool dns_restore(struct daemon *d, struct why *why)
{
	int rc;

	if (!d->dns)
		return true;
	if (names_file_open(run_dir_path(d->run_dir, "names"), read_line, d, &d->dns->file, why))
		return false;
	remove_dead(d);
	rc = write_anew(d);
	if (rc)
		lose_file(d, rc);
	names_settled(names_of(d), mono_now());
	dns_follow_addresses(d);
	return true;
}

/* ---- status ---- */

void dns_status(struct daemon *d, struct status *s)
{
	struct netaddr upstreams[DNS_UPSTREAMS_MAX];
	struct status_dns *out = &s->dns;
	struct dns_counters counters;
	char text[ENDPOINT_TEXT_SIZE];
	size_t count;

	if (!d->dns)
		return;
	out->on = true;
	out->domain = status_text(s, "%s.", names_domain(names_of(d)));
	out->ttl_s = d->options->dns.ttl_s;
	out->own_count = names_own_count(names_of(d));
	for (size_t i = 0; i < d->dns->listening_count; i++) {
		struct netaddr a = d->dns->listening[i];

		if (a.ip.family)
			status_add_dns_address(s, a, status_text(s, "%s", netaddr_text(a, text)));
		else
			status_add_dns_address(s, a, status_text(s, "0.0.0.0:%u", a.port));
	}
	count = dns_server_upstreams(d->dns->server, upstreams);
	for (size_t i = 0; i < count; i++)
		status_add_dns_upstream(s, status_text(s, "%s",
						       upstreams[i].port == DNS_PORT
							       ? ip_text(upstreams[i].ip, text)
							       : netaddr_text(upstreams[i], text)));
	dns_server_counters(d->dns->server, &counters);
#define X(name, what) status_add_dns_counter(s, #name, what, counters.name);
	DNS_COUNTERS(X)
#undef X
}

/* ---- operations ---- */

bool control_has_dns(void *ctx)
{
	const struct daemon *d = ctx;

	return d->dns != NULL;
}

bool control_put_name(void *ctx, const char *id, const char *fqdn, struct ip_addr address,
		      struct why *why)
{
	return put(ctx, id, fqdn, address, why);
}

void control_remove_names(void *ctx, const char *id, const char *fqdn,
			  const struct ip_addr *address)
{
	daemon_names_remove(ctx, id, fqdn, address);
}
