/* What the engine tells, in the daemon: names of containers, names of networks, addresses that
 * nobody has any more, and the rule in the engine's firewall. */
#include "docker.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weave/alloc.h>
#include <weave/docker_io.h>
#include <weave/docker_watch_io.h>
#include <weave/hostname.h>
#include <weave/sockaddr_io.h>

#include "dns.h"

#define SWEEP_AFTER_MS 60000u /* of our life: what was given just before it may be on its way */

/* A name that a container has because of us. */
struct docker_name {
	char *hostname;
	struct ip_addr ip;
	bool wanted;
};

/* A running container on a network of ours. */
struct docker_container {
	char id[DOCKER_ID_SIZE];
	bool seen; /* in the listing under way, or since */
	size_t ports_count;
	char ports[CONTAINER_ENDPOINTS_MAX][DOCKER_PORT_ID_SIZE];
	size_t ips_count;
	struct ip_addr ips[2 * CONTAINER_ENDPOINTS_MAX];
	size_t names_count;
	struct docker_name *names;
};

struct docker_engine {
	struct docker_watch_config config;
	struct docker_watch_ops ops;
	struct docker_watch *watch;
	struct ev_timer begin;
	struct text default_network;
	struct docker_container *containers;
	size_t containers_count;
	struct ip_addr *kept; /* of gateways and the like, as the engine says */
	size_t kept_count;
	bool there; /* has been listed since it came */
};

/* ---- names ---- */

static struct docker_name *name_of(struct docker_container *c, const char *hostname,
				   struct ip_addr ip)
{
	for (size_t i = 0; i < c->names_count; i++)
		if (ip_compare(c->names[i].ip, ip) == 0 &&
		    hostname_equal(c->names[i].hostname, hostname))
			return &c->names[i];
	return NULL;
}

static void want_name(struct daemon *d, struct docker_container *c, const char *hostname,
		      struct ip_addr ip)
{
	struct docker_name *n = name_of(c, hostname, ip);

	if (!n) {
		c->names = mem_resize(c->names, c->names_count + 1, sizeof *c->names);
		n = &c->names[c->names_count++];
		*n = (struct docker_name){ mem_copy_text(hostname), ip, true };
		daemon_name_put(d, c->id, hostname, ip);
	}
	n->wanted = true;
}

/* Names that are in the domain stay as they are, others are put into it. */
static void want_label(struct daemon *d, struct docker_container *c, const char *label,
		       struct ip_addr ip)
{
	const char *domain = d->options->dns.domain;
	char hostname[HOSTNAME_MAX + 1], bare[HOSTNAME_MAX + 1];
	int n;

	if (hostname_check(label, bare))
		return; /* Docker allows names that are none in DNS */
	n = hostname_is_within(bare, domain)
		    ? snprintf(hostname, sizeof hostname, "%s", bare)
		    : snprintf(hostname, sizeof hostname, "%s.%s", bare, domain);
	if (n > 0 && (size_t)n < sizeof hostname && !hostname_check(hostname, NULL))
		want_name(d, c, hostname, ip);
}

static void drop_names(struct daemon *d, struct docker_container *c, bool all)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->names_count; i++) {
		struct docker_name *n = &c->names[i];

		if (n->wanted && !all) {
			c->names[kept++] = *n;
			continue;
		}
		daemon_names_remove(d, c->id, n->hostname, &n->ip);
		mem_free(n->hostname);
	}
	c->names_count = kept;
}

static void want_names(struct daemon *d, struct docker_container *c, const struct container *told,
		       const struct container_endpoint *e)
{
	char full[2 * CONTAINER_TEXT_SIZE];

	for (size_t i = 0; i < e->ips_count; i++) {
		want_label(d, c, told->name, e->ips[i]);
		for (size_t k = 0; k < e->aliases_count; k++)
			want_label(d, c, e->aliases[k], e->ips[i]);
		if (told->domainname[0])
			snprintf(full, sizeof full, "%s.%s", told->hostname, told->domainname);
		else
			snprintf(full, sizeof full, "%s", told->hostname);
		/* Docker makes one up of the id; elsewhere a host may be called anything. */
		if (told->domainname[0] || strncmp(told->id, full, strlen(full)) != 0)
			want_label(d, c, full, e->ips[i]);
	}
}

/* ---- containers ---- */

static struct docker_container *known(struct docker_engine *e, const char *id)
{
	for (size_t i = 0; i < e->containers_count; i++)
		if (strcmp(e->containers[i].id, id) == 0)
			return &e->containers[i];
	return NULL;
}

static void forget(struct daemon *d, struct docker_container *c)
{
	struct docker_engine *e = d->docker.engine;

	drop_names(d, c, true);
	mem_free(c->names);
	*c = e->containers[--e->containers_count];
}

static struct docker_container *add(struct docker_engine *e, const char *id)
{
	struct docker_container *c;

	if ((e->containers_count & (e->containers_count - 1)) == 0)
		e->containers = mem_resize(e->containers,
					   e->containers_count ? 2 * e->containers_count : 1,
					   sizeof *e->containers);
	c = &e->containers[e->containers_count++];
	*c = (struct docker_container){ .seen = true };
	strcpy(c->id, id);
	return c;
}

static bool is_on_ours(const struct daemon *d, const struct container *told)
{
	for (size_t i = 0; i < told->endpoints_count; i++)
		if (docker_network_find(&d->docker.networks, told->endpoints[i].network))
			return true;
	return false;
}

static void on_container(void *ctx, const struct container *told)
{
	struct daemon *d = ctx;
	struct docker_container *c = known(d->docker.engine, told->id);

	if (!told->running || !is_on_ours(d, told)) {
		if (c)
			forget(d, c);
		return;
	}
	c = c ? c : add(d->docker.engine, told->id);
	c->seen = true;
	c->ports_count = c->ips_count = 0;
	for (size_t i = 0; i < c->names_count; i++)
		c->names[i].wanted = false;
	for (size_t i = 0; i < told->endpoints_count; i++) {
		const struct container_endpoint *e = &told->endpoints[i];

		if (!docker_network_find(&d->docker.networks, e->network))
			continue;
		docker_port_id(e->endpoint, c->ports[c->ports_count++]);
		for (size_t k = 0; k < e->ips_count; k++)
			c->ips[c->ips_count++] = e->ips[k];
		want_names(d, c, told, e);
	}
	drop_names(d, c, false);
}

static void on_gone(void *ctx, const char *id)
{
	struct daemon *d = ctx;
	struct docker_container *c = known(d->docker.engine, id);

	if (c)
		forget(d, c);
}

const char *docker_container_of(const struct daemon *d, const char *port_id)
{
	const struct docker_engine *e = d->docker.engine;

	for (size_t i = 0; e && i < e->containers_count; i++)
		for (size_t k = 0; k < e->containers[i].ports_count; k++)
			if (strcmp(e->containers[i].ports[k], port_id) == 0)
				return e->containers[i].id;
	return NULL;
}

/* ---- networks ---- */

static void keep(struct docker_engine *e, const struct engine_network *n)
{
	if (n->kept_count == 0)
		return;
	e->kept = mem_resize(e->kept, e->kept_count + n->kept_count, sizeof *e->kept);
	memcpy(e->kept + e->kept_count, n->kept, n->kept_count * sizeof *e->kept);
	e->kept_count += n->kept_count;
}

/* Its name, which Docker does not tell its drivers; or all of it, should our file be lost. */
static void on_network(void *ctx, const struct engine_network *told)
{
	struct daemon *d = ctx;
	struct docker_network *n = docker_network_find(&d->docker.networks, told->network.id);
	struct why why;

	keep(d->docker.engine, told);
	if (n && strcmp(n->name, told->network.name) == 0)
		return;
	/* Of an event it may be the echo of one that is removed by now. */
	if (!n && d->docker.engine->there)
		return;
	if (n) {
		strcpy(n->name, told->network.name);
		docker_named(d, n);
	} else {
		log_warning(&d->log,
			    "docker: network %s was not known here; learned from the engine",
			    told->network.name);
		if (!docker_network_add(&d->docker.networks, &told->network, &why))
			log_warning(&d->log, "docker: %s", why.text);
	}
	/* Learned again after a restart if the disk does not take it. */
	if (docker_networks_save(d->options->state_dir, &d->docker.networks, &why))
		log_warning(&d->log, "docker: %s", why.text);
}

/* ---- addresses that nobody has ---- */

static bool is_in(struct ip_addr ip, const struct ip_addr *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (ip_compare(list[i], ip) == 0)
			return true;
	return false;
}

static bool has_ip(const struct attach_known *k, struct ip_addr ip)
{
	for (size_t i = 0; i < k->count; i++)
		for (uint32_t n = 0; n < k->list[i].cidrs_count; n++)
			if (ip_compare(k->list[i].cidrs[n].ip, ip) == 0)
				return true;
	return false;
}

static bool is_used(const struct daemon *d, struct ip_addr ip)
{
	const struct docker_engine *e = d->docker.engine;

	if (is_in(ip, e->kept, e->kept_count) || docker_is_recent(d, ip))
		return true;
	for (size_t i = 0; i < e->containers_count; i++)
		if (is_in(ip, e->containers[i].ips, e->containers[i].ips_count))
			return true;
	if (has_ip(&d->attached, ip))
		return true;
	for (size_t i = 0; i < d->segments_count; i++)
		if (has_ip(&d->segments[i]->attached, ip))
			return true;
	return false;
}

/* An engine that died between asking for an address and using it does not give it back, and one
 * whose disk was lost gives back nothing. */
static void sweep(struct daemon *d)
{
	struct api_attachments all = { .count = 0 };
	char text[IP_TEXT_SIZE];
	struct why why;

	address_owned(&d->addresses, &all);
	for (size_t i = 0; i < all.count; i++) {
		const struct api_attachment *a = &all.list[i];

		for (size_t k = 0; docker_is_port_id(a->id) && k < a->addresses.count; k++) {
			struct ip_addr ip = a->addresses.list[k].ip;

			if (is_used(d, ip) ||
			    !address_release(&d->addresses, a->id, &ip, mono_now(), &why))
				continue;
			log_info(&d->log, "docker: %s is free: no container of the engine has it",
				 ip_text(ip, text));
		}
	}
	api_attachments_fini(&all);
}

/* ---- the engine ---- */

/* Engines that switch forwarding on drop what they do not know, and the kernel shows them frames
 * on bridges, too (bridge-nf-call-iptables).  DOCKER-USER is the chain that Docker leaves to
 * others; rules elsewhere cannot take a drop back.  Where there is no such chain nothing is done;
 * whether we see the engine's API does not matter: a managed plugin does not. */
void docker_accept_bridge(struct daemon *d, const char *bridge)
{
	struct text rule = { 0 };
	char *chain = NULL, wanted[64];
	struct why why;

	snprintf(wanted, sizeof wanted, "\"key\": \"oifname\"}}, \"right\": \"%s\"", bridge);
	if (net_nft("list chain ip filter DOCKER-USER", &chain, &why) == 0 &&
	    !strstr(chain, wanted)) {
		text_add(&rule,
			 "insert rule ip filter DOCKER-USER iifname \"%s\" oifname \"%s\" counter "
			 "accept",
			 bridge, bridge);
		if (net_nft(text_string(&rule), NULL, &why))
			log_warning(&d->log,
				    "docker: its firewall may drop frames on %s: %s; add iptables "
				    "-I DOCKER-USER -i %s -o %s -j ACCEPT",
				    bridge, why.text, bridge, bridge);
	}
	mem_free(chain);
	text_fini(&rule);
}

static void on_listed(void *ctx)
{
	struct daemon *d = ctx;
	struct docker_engine *e = d->docker.engine;

	if (!e->there)
		log_info(&d->log, "docker: the engine answers on %s", e->config.socket);
	e->there = true;
	for (size_t i = e->containers_count; i > 0; i--)
		if (!e->containers[i - 1].seen)
			forget(d, &e->containers[i - 1]);
	for (size_t i = 0; i < e->containers_count; i++)
		e->containers[i].seen = false;
	docker_accept_bridge(d, d->bridge.names.bridge);
	for (size_t i = 0; i < d->segments_count; i++)
		docker_accept_bridge(d, d->segments[i]->segment.bridge.names.bridge);
	if (mono_elapsed(d->started, mono_now()) > SWEEP_AFTER_MS)
		sweep(d);
	e->kept_count = 0;
}

/* Its containers may live on; those that do not take their interfaces with them. */
static void on_lost(void *ctx, const char *why)
{
	struct daemon *d = ctx;

	d->docker.engine->there = false;
	d->docker.engine->kept_count = 0;
	log_info(&d->log, "docker: the engine does not answer any more: %s", why);
}

void docker_port_gone(struct daemon *d, const char *port_id)
{
	struct docker_engine *e = d->docker.engine;
	const char *id = docker_container_of(d, port_id);
	struct docker_container *c = id ? known(e, id) : NULL;

	/* With several networks the engine tells which names are left. */
	if (c && (c->ports_count == 1 || !e->there))
		forget(d, c);
}

/* `docker run --net=weave`: the segment and the subnet of `weave attach`. */
static void describe_default(struct daemon *d, struct text *json)
{
	const struct address_service *s = &d->addresses;
	const char *driver = d->options->plugin_sockets[1] ? "weavemesh" : "weave";
	char subnet[CIDR_TEXT_SIZE];
	bool six = false;

	for (size_t i = 0; i < s->ranges_count; i++)
		six = six || s->ranges[i].default_subnet.ip.family == 6;
	text_add(json,
		 "{\"Name\":\"" DOCKER_NETWORK_DEFAULT
		 "\",\"CheckDuplicate\":true,\"Driver\":\"%s\","
		 "\"EnableIPv6\":%s,\"Options\":{\"works.weave.multicast\":\"true\","
		 "\"works.weave.segment\":\"" DOCKER_SEGMENT_DEFAULT "\"},"
		 "\"IPAM\":{\"Driver\":\"%s\",\"Config\":[",
		 driver, six ? "true" : "false", driver);
	for (size_t i = 0; i < s->ranges_count; i++)
		text_add(json, "%s{\"Subnet\":\"%s\"}", i ? "," : "",
			 cidr_text(s->ranges[i].default_subnet, subnet));
	text_add_string(json, "]}}");
}

static bool wants_default(const struct daemon *d)
{
	const struct weaver_options *o = d->options;

	return d->addresses.ranges_count &&
	       (o->plugin == PLUGIN_ON ||
		(o->plugin == PLUGIN_AUTO && access(o->docker_api, F_OK) == 0));
}

/* Not before the loop turns: threads keep the privileges that they were born with. */
static void on_begin(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct daemon *d = w->data;
	struct docker_engine *e = d->docker.engine;

	(void)events;
	e->watch = docker_watch_new(&e->config, &e->ops, loop, &d->log);
}

void docker_engine_start(struct daemon *d)
{
	struct docker_engine *e;

	if (!d->options->docker_api)
		return;
	e = mem_new(1, sizeof *e);
	d->docker.engine = e;
	e->config.socket = d->options->docker_api;
	if (wants_default(d)) {
		describe_default(d, &e->default_network);
		e->config.default_network = text_string(&e->default_network);
	}
	e->ops = (struct docker_watch_ops){ .ctx = d,
					    .network = on_network,
					    .container = on_container,
					    .gone = on_gone,
					    .listed = on_listed,
					    .lost = on_lost };
	ev_timer_init(&e->begin, on_begin, 0., 0.);
	e->begin.data = d;
	ev_timer_start(d->loop, &e->begin);
}

void docker_engine_stop(struct daemon *d)
{
	struct docker_engine *e = d->docker.engine;

	if (!e)
		return;
	ev_timer_stop(d->loop, &e->begin);
	docker_watch_free(e->watch);
	/* Names stay: the containers live, and the next life of the router takes them up again. */
	for (size_t i = 0; i < e->containers_count; i++) {
		for (size_t k = 0; k < e->containers[i].names_count; k++)
			mem_free(e->containers[i].names[k].hostname);
		mem_free(e->containers[i].names);
	}
	mem_free(e->containers);
	mem_free(e->kept);
	text_fini(&e->default_network);
	mem_free(e);
	d->docker.engine = NULL;
}
