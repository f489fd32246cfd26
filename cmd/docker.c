#include "docker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <weave/alloc.h>
#include <weave/docker_io.h>
#include <weave/sockaddr_io.h>

#include "control.h"

#define HTTP_OK 200u
#define LOWER_UP (1u << 16) /* IFF_LOWER_UP of linux/if.h, which does not go with net/if.h */
#define GRANTS_MAX 4096u
#define GRANT_MS 120000u /* longer than anybody asks again for what they asked for */
#define HELD_S 5.	 /* within the time in which weave-plugin waits */
#define RESOLV_CONF "/etc/resolv.conf"

/* An address that was given a moment ago, and when, by the clock of the day: weave-plugin may be
 * late with a request to give it back that is older than that. */
struct docker_grant {
	struct ip_addr ip;
	uint64_t given_ms;
	struct mono until;
};

/* A request that waits for an address. */
struct waiting {
	struct daemon *daemon;
	struct api_reply *reply;
	struct docker_pool pool;
	struct ip_addr address; /* family 0: any */
	bool gateway;
};

/* ---- answers ---- */

static void answer(struct api_reply *reply, unsigned status, struct text *json)
{
	api_reply_json(reply, status, text_string(json));
	text_fini(json);
}

static void answer_error(struct api_reply *reply, unsigned status, const struct why *why)
{
	struct text json = { 0 };

	docker_answer_error(&json, why->text[0] ? why->text : why_reason_text(why->reason));
	answer(reply, status, &json);
}

static void answer_empty(struct api_reply *reply)
{
	api_reply_json(reply, HTTP_OK, "{}");
}

static void answer_address(struct api_reply *reply, struct ip_addr ip, uint8_t prefix)
{
	struct text json = { 0 };

	docker_answer_address((struct cidr){ ip, prefix }, &json);
	answer(reply, HTTP_OK, &json);
}

/* ---- addresses ---- */

static uint64_t day_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct docker_grant *grant_of(const struct daemon *d, struct ip_addr ip)
{
	for (size_t i = 0; i < d->docker.grants_count; i++)
		if (ip_compare(d->docker.grants[i].ip, ip) == 0)
			return &d->docker.grants[i];
	return NULL;
}

static void forget_old_grants(struct daemon *d, struct mono now)
{
	size_t kept = 0;

	for (size_t i = 0; i < d->docker.grants_count; i++)
		if (!mono_reached(now, d->docker.grants[i].until))
			d->docker.grants[kept++] = d->docker.grants[i];
	d->docker.grants_count = kept;
}

static void note_grant(struct daemon *d, struct ip_addr ip)
{
	struct mono now = mono_now();
	struct docker_grant *g = grant_of(d, ip);

	if (!g) {
		forget_old_grants(d, now);
		if (d->docker.grants_count == GRANTS_MAX)
			return;
		if (!d->docker.grants)
			d->docker.grants = mem_new(GRANTS_MAX, sizeof *d->docker.grants);
		g = &d->docker.grants[d->docker.grants_count++];
	}
	*g = (struct docker_grant){ ip, day_ms(), mono_after(now, GRANT_MS) };
}

bool docker_is_recent(const struct daemon *d, struct ip_addr ip)
{
	const struct docker_grant *g = grant_of(d, ip);

	return g && !mono_reached(mono_now(), g->until);
}

/* A gateway is no interface of anybody: the same address stands for it on every host. */
static void on_address(void *ctx, const struct address_job *job)
{
	struct waiting *w = ctx;
	char text[IP_TEXT_SIZE];

	if (!job) {
		/* the client is gone */
	} else if (job->state == ADDRESS_JOB_DONE) {
		note_grant(w->daemon, job->addresses.list[0].ip);
		answer_address(w->reply, job->addresses.list[0].ip, w->pool.subnet.prefix);
	} else if (w->gateway && w->address.family) {
		log_info(&w->daemon->log, "docker: gateway %s is claimed elsewhere, too: %s",
			 ip_text(w->address, text), job->why.text);
		answer_address(w->reply, w->address, w->pool.subnet.prefix);
	} else {
		answer_error(w->reply, HTTP_OK, &job->why);
	}
	mem_free(w);
}

static void request_address(struct daemon *d, const struct docker_request *r,
			    const struct docker_plan *plan, struct api_reply *reply)
{
	struct waiting *w = mem_new(1, sizeof *w);
	struct api_want want = { API_WANT_SUBNET, plan->pool.range };
	char id[32];

	if (plan->step == DOCKER_CLAIM)
		want = (struct api_want){ API_WANT_ADDRESS,
					  { r->address, plan->pool.subnet.prefix } };
	*w = (struct waiting){ d, reply, plan->pool, r->address, r->gateway };
	/* Of each address its own: a container's are given back one by one. */
	snprintf(id, sizeof id, DOCKER_ID_PREFIX "%016llx", (unsigned long long)daemon_random());
	control_get_address(d, id, &want, reply, on_address, w);
}

static void release_address(struct daemon *d, const struct docker_request *r, uint64_t asked_ms,
			    struct api_reply *reply)
{
	const struct docker_grant *g = grant_of(d, r->address);
	char id[API_ID_SIZE];
	struct why why;

	/* Who asked before it was given meant the holder before. */
	if (!(g && asked_ms && asked_ms < g->given_ms) &&
	    address_holder(&d->addresses, r->address, id) && docker_is_port_id(id))
		address_release(&d->addresses, id, &r->address, mono_now(), &why);
	answer_empty(reply);
}

/* ---- pools ---- */

/* Docker refuses a pool that overlaps what the host reaches directly, and then asks for another
 * one, for ever (measured: a million times in nine minutes).  So it is refused here, once. */
static bool overlaps_routes(struct daemon *d, struct cidr subnet, struct why *why)
{
	char a[CIDR_TEXT_SIZE], b[CIDR_TEXT_SIZE];
	struct net_route *routes = NULL;
	size_t count = 0;
	bool found = false;

	if (net_routes(d->net, &routes, &count))
		return false;
	for (size_t i = 0; !found && i < count; i++) {
		found = routes[i].dst.prefix > 0 && routes[i].gateway.family == 0 &&
			cidr_overlaps(subnet, routes[i].dst);
		if (found)
			why_set(why, WHY_INVALID,
				"the default subnet %s overlaps the host's own %s, which Docker "
				"does not accept: give one with --subnet",
				cidr_text(subnet, a), cidr_text(routes[i].dst, b));
	}
	mem_free(routes);
	return found;
}

static bool overlaps_nameservers(struct cidr subnet, struct why *why)
{
	char line[256], word[IP_TEXT_SIZE], text[CIDR_TEXT_SIZE];
	FILE *f = fopen(RESOLV_CONF, "re");
	struct ip_addr ip;
	bool found = false;

	while (f && !found && fgets(line, sizeof line, f)) {
		found = sscanf(line, " nameserver %45s", word) == 1 && ip_parse(word, &ip) &&
			cidr_contains(subnet, ip);
		if (found)
			why_set(why, WHY_INVALID,
				"the host's name server %s lies in the default subnet %s, which "
				"Docker does not accept: give one with --subnet",
				word, cidr_text(subnet, text));
	}
	if (f)
		fclose(f);
	return found;
}

static void request_pool(struct daemon *d, const struct docker_plan *plan, struct api_reply *reply)
{
	struct text json = { 0 };
	struct why why;

	if (plan->automatic && (overlaps_routes(d, plan->pool.subnet, &why) ||
				overlaps_nameservers(plan->pool.subnet, &why))) {
		answer_error(reply, HTTP_OK, &why);
		return;
	}
	docker_answer_pool(&plan->pool, &json);
	answer(reply, HTTP_OK, &json);
}

/* ---- networks and their segments ---- */

/* Each of Docker's networks is a segment of its own, called the same on all hosts. */
static bool open_segment(struct daemon *d, struct docker_network *n, const char *key,
			 struct segment *out, struct why *why)
{
	struct segment_ops ops = daemon_segment_ops(d);
	struct why unsaved;

	if (ops.find(ops.ctx, key, out))
		return true;
	if (ops.open(ops.ctx, key, 0, out, why))
		return false;
	docker_accept_bridge(d, out->bridge.names.bridge);
	/* So that it goes with its network, also after a restart; what people opened stays. */
	n->opened = true;
	if (docker_networks_save(d->options->state_dir, &d->docker.networks, &unsaved))
		log_warning(&d->log, "docker: %s", unsaved.text);
	return true;
}

/* 'n' has been removed. */
static void close_segment(struct daemon *d, const struct docker_network *n)
{
	struct segment_ops ops = daemon_segment_ops(d);
	const char *key = docker_network_segment(n);
	struct why why = { 0 };

	for (size_t i = 0; key && i < d->docker.networks.count; i++) {
		const char *other = docker_network_segment(&d->docker.networks.list[i]);

		if (other && strcmp(other, key) == 0) {
			d->docker.networks.list[i].opened |= n->opened;
			return;
		}
	}
	if (key && n->opened && ops.close(ops.ctx, key, &why) && why.text[0])
		log_info(&d->log, "docker: segment %s stays open: %s", key, why.text);
}

/* A network that the request has taken out of the table goes with its segment. */
static void close_removed(struct daemon *d, const struct docker_networks *before)
{
	for (size_t i = 0; i < before->count; i++)
		if (!docker_network_find(&d->docker.networks, before->list[i].id))
			close_segment(d, &before->list[i]);
}

/* What the disk does not have, Docker is not told: it would be gone with the next restart. */
static void save_networks(struct daemon *d, struct docker_networks *before, struct api_reply *reply)
{
	struct why why;

	if (docker_networks_save(d->options->state_dir, &d->docker.networks, &why)) {
		docker_networks_fini(&d->docker.networks);
		d->docker.networks = *before;
		*before = (struct docker_networks){ .count = 0 };
		answer_error(reply, HTTP_OK, &why);
	} else {
		close_removed(d, before);
		answer_empty(reply);
	}
}

/* Where this bridge's containers are kept account of; NULL: it is no bridge of ours. */
static struct attach_known *attached_at(struct daemon *d, int bridge_ifindex,
					const struct net_bridge **bridge,
					struct daemon_segment **segment)
{
	*segment = NULL;
	*bridge = &d->bridge;
	if (bridge_ifindex == d->bridge.bridge_ifindex)
		return &d->attached;
	for (size_t i = 0; i < d->segments_count; i++) {
		*segment = d->segments[i];
		*bridge = &(*segment)->segment.bridge;
		if ((*bridge)->bridge_ifindex == bridge_ifindex)
			return &(*segment)->attached;
	}
	return NULL;
}

/* None, which makes it a random one, when somebody has it: addresses that were handed from one
 * interface to another, or Docker's own IPAM on two hosts. */
static struct mac choose_mac(const struct daemon *d, const struct docker_request *r,
			     uint32_t segment)
{
	struct mac mac = { 0 };

	if (r->has_mac)
		return r->mac;
	if (r->addresses_count)
		mac = docker_mac_of(r->addresses[0].ip);
	if (router_endpoint_find(engine_router(d->engine), segment, mac) != PEER_NAME_NONE)
		mac = (struct mac){ 0 };
	return mac;
}

static void make_endpoint(struct daemon *d, const struct docker_request *r,
			  struct docker_network *network, const char *key, struct api_reply *reply)
{
	struct mac mac;
	struct text json = { 0 };
	struct segment segment;
	struct why why;

	if (!open_segment(d, network, key, &segment, &why)) {
		answer_error(reply, HTTP_OK, &why);
		return;
	}
	mac = choose_mac(d, r, segment.number);
	if (docker_endpoint_make(d->net, &segment.bridge, r->endpoint, &mac, d->mtu, &why)) {
		answer_error(reply, HTTP_OK, &why);
		return;
	}
	for (size_t i = 0; i < r->addresses_count; i++)
		note_grant(
			d,
			r->addresses[i].ip); /* not on the interface before Docker puts it there */
	docker_answer_endpoint(r->has_mac ? NULL : &mac, &json);
	answer(reply, HTTP_OK, &json);
}

/* ---- endpoints of networks whose names are not known yet ---- */

/* Docker tells its drivers no names; the engine's events do, a moment after the network is made. */
struct held {
	struct list link;
	struct daemon *daemon;
	struct docker_request request;
	struct api_reply *reply;
	struct ev_timer limit;
};

static void let_go(struct held *h)
{
	list_remove(&h->link);
	ev_timer_stop(h->daemon->loop, &h->limit);
	mem_free(h);
}

static void on_held_cancel(void *ctx)
{
	let_go(ctx);
}

static void on_held_too_long(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct held *h = w->data;
	struct why why;

	(void)loop;
	(void)events;
	why_set(&why, WHY_INVALID,
		"the engine has not told the name of network %.12s, by which it is known on other "
		"hosts: try again, or create it with -o works.weave.segment=<name>",
		h->request.network);
	answer_error(h->reply, HTTP_OK, &why);
	let_go(h);
}

static void hold(struct daemon *d, const struct docker_request *r, struct api_reply *reply)
{
	struct held *h = mem_new(1, sizeof *h);

	h->daemon = d;
	h->request = *r; /* a request for an endpoint owns nothing */
	h->reply = reply;
	list_append(&d->docker.held, &h->link);
	ev_timer_init(&h->limit, on_held_too_long, HELD_S, 0.);
	h->limit.data = h;
	ev_timer_start(d->loop, &h->limit);
	api_reply_on_cancel(reply, on_held_cancel, h);
}

static void make_or_hold(struct daemon *d, const struct docker_request *r,
			 struct docker_network *network, struct api_reply *reply)
{
	const char *key = docker_network_segment(network);

	if (key)
		make_endpoint(d, r, network, key, reply);
	else
		hold(d, r, reply);
}

void docker_named(struct daemon *d, struct docker_network *network)
{
	struct list *at = d->docker.held.next;

	while (at != &d->docker.held) {
		struct held *h = list_entry(at, struct held, link);

		at = at->next;
		if (strcmp(h->request.network, network->id) != 0)
			continue;
		make_endpoint(d, &h->request, network, docker_network_segment(network), h->reply);
		let_go(h);
	}
}

static void join(struct daemon *d, const struct docker_request *r, const struct docker_plan *plan,
		 struct api_reply *reply)
{
	char guest[NET_NAME_SIZE];
	struct text json = { 0 };
	struct why why;

	if (docker_endpoint_settle(d->net, r->endpoint, r->sandbox, guest, &why)) {
		answer_error(reply, HTTP_OK, &why);
		return;
	}
	docker_answer_join(guest, plan->network->options.multicast, &json);
	answer(reply, HTTP_OK, &json);
}

/* Done already is done: Docker asks again after a crash of its own. */
static void answer_done(int rc, const struct why *why, struct api_reply *reply)
{
	if (rc && rc != -ENOENT)
		answer_error(reply, HTTP_OK, why);
	else
		answer_empty(reply);
}

/* The port whose alias says 'id'; 0: not in sight. */
static int port_in(const struct attach_known *k, const char *id)
{
	for (size_t i = 0; i < k->count; i++)
		if (strcmp(k->list[i].id, id) == 0)
			return k->list[i].ifindex;
	return 0;
}

static void leave(struct daemon *d, const struct docker_request *r, struct api_reply *reply)
{
	char id[DOCKER_PORT_ID_SIZE];
	struct why why = { 0 };
	int ifindex, rc = docker_endpoint_settle(d->net, r->endpoint, NULL, NULL, &why);

	docker_port_id(r->endpoint, id);
	ifindex = port_in(&d->attached, id);
	/* Nobody lives there any more. */
	if (ifindex && !attach_look(d->net, &d->bridge, &d->attached, ifindex))
		bridge_watch_detached(d, ifindex, id);
	for (size_t i = 0; !ifindex && i < d->segments_count; i++) {
		ifindex = port_in(&d->segments[i]->attached, id);
		if (ifindex)
			segments_relist(d, d->segments[i]);
	}
	answer_done(rc, &why, reply);
}

/* ---- a call ---- */

static size_t ranges_of(const struct daemon *d, struct docker_range *ranges)
{
	const struct address_service *s = &d->addresses;

	for (size_t i = 0; i < s->ranges_count; i++)
		ranges[i] = (struct docker_range){ s->ranges[i].universe.prefix,
						   s->ranges[i].default_subnet };
	return s->ranges_count;
}

static void carry_out(struct daemon *d, const struct docker_request *r,
		      const struct docker_plan *plan, struct docker_networks *before,
		      uint64_t asked_ms, struct api_reply *reply)
{
	struct text json = { 0 };
	struct why why = { 0 };

	switch (plan->step) {
	case DOCKER_ANSWER:
		docker_answer_alone(r, &json);
		answer(reply, HTTP_OK, &json);
		break;
	case DOCKER_SAVE:
		save_networks(d, before, reply);
		break;
	case DOCKER_POOL:
		request_pool(d, plan, reply);
		break;
	case DOCKER_STAND_IN:
		answer_address(reply, r->address, plan->pool.subnet.prefix);
		break;
	case DOCKER_GIVE:
	case DOCKER_CLAIM:
		request_address(d, r, plan, reply);
		break;
	case DOCKER_GIVE_BACK:
		release_address(d, r, asked_ms, reply);
		break;
	case DOCKER_MAKE:
		make_or_hold(d, r, plan->network, reply);
		break;
	case DOCKER_JOIN_SANDBOX:
		join(d, r, plan, reply);
		break;
	case DOCKER_LEAVE_SANDBOX:
		leave(d, r, reply);
		break;
	case DOCKER_REMOVE:
		answer_done(docker_endpoint_remove(d->net, r->endpoint, &why), &why, reply);
		break;
	}
}

/* A copy, for when the disk says no. */
static struct docker_networks copy_networks(const struct docker_networks *n)
{
	struct docker_networks copy = { .count = 0 };
	struct why why;

	for (size_t i = 0; i < n->count; i++)
		docker_network_add(&copy, &n->list[i], &why);
	return copy;
}

void control_docker(void *ctx, const char *call, struct bytes body, uint64_t asked_ms,
		    struct api_reply *reply)
{
	struct daemon *d = ctx;
	struct docker_networks before = copy_networks(&d->docker.networks);
	struct docker_range ranges[ADDRESS_RANGES_MAX];
	struct docker_request r;
	struct docker_plan plan;
	struct why why = { 0 };
	unsigned status = docker_decode(&r, call, body, &why);

	log_debug(&d->log, "docker: %s", call);
	if (status) {
		log_warning(&d->log, "docker: %.60s: %s", call, why.text);
		answer_error(reply, status, &why);
	} else if (!docker_decide(&d->docker.networks, ranges, ranges_of(d, ranges), &r, &plan,
				  &why)) {
		answer_error(reply, HTTP_OK, &why);
	} else {
		carry_out(d, &r, &plan, &before, asked_ms, reply);
	}
	if (status == 0)
		docker_request_fini(&r);
	docker_networks_fini(&before);
}

/* ---- life ---- */

/* Docker gives the container's end its addresses before it takes it up. */
void docker_on_link(struct daemon *d, const struct net_link *link)
{
	const struct net_bridge *bridge;
	struct daemon_segment *segment;
	struct attach_known *known = attached_at(d, link->master, &bridge, &segment);
	const char *rest = known ? net_alias_rest(link->alias, bridge->names.bridge) : NULL;
	const struct attachment *a = known ? attach_known_port(known, link->ifindex) : NULL;

	if (!rest || !docker_is_port_id(rest) || !(link->flags & LOWER_UP) || (a && a->cidrs_count))
		return;
	if (segment) {
		segments_relist(d, segment);
		return;
	}
	a = attach_look(d->net, bridge, known, link->ifindex);
	if (a)
		bridge_watch_attached(d, a);
}

bool docker_start(struct daemon *d, struct why *why)
{
	list_init(&d->docker.held);
	return docker_networks_load(d->options->state_dir, &d->docker.networks, &d->log, why) == 0;
}

void docker_stop(struct daemon *d)
{
	docker_engine_stop(d);
	docker_networks_fini(&d->docker.networks);
	mem_free(d->docker.grants);
	d->docker.grants = NULL;
}
