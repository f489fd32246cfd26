/* What the API asks for that needs addresses: attaching, exposing, and IPAM itself.
 *
 * Whatever has to wait is a `struct pending`: the address job, the reply that waits for it, and
 * what is to be done with the addresses when they are there.  It ends with the reply, or when the
 * client goes away: then the job is undone.
 */
#include "addresses.h"
#include "control.h"

#include <errno.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/hostname.h>
#include <weave/must.h>
#include <weave/sockaddr_io.h>

enum pending_type {
	PENDING_ATTACH,
	PENDING_EXPOSE,
	PENDING_ADDRESSES,
	PENDING_TEXT,
	PENDING_CALLER, /* 'done' knows */
};

struct pending {
	enum pending_type type;
	struct daemon *daemon;
	struct address_job *job;
	struct api_reply *reply; /* NULL: nobody waits, and the job goes on all the same */
	struct list in_line;	 /* in its daemon's 'attaching', when its addresses are there */
	bool multicast_route, masquerade;
	bool quiet; /* the answer has no text */
	void (*done)(void *ctx, const struct address_job *job);
	void *done_ctx;
	char id[ATTACH_ID_MAX + 1], netns[API_NETNS_SIZE];
	char fqdn[HOSTNAME_MAX + 2]; /* empty: it gets no name */
	char network[SEGMENT_KEY_MAX + 1];
};

/* Where a container is attached. */
struct place {
	const struct net_bridge *bridge;
	struct attach_known *attached;
	struct daemon_segment *segment; /* NULL: the default one */
};

static bool find_place(struct daemon *d, const char *network, struct place *p, struct why *why)
{
	*p = (struct place){ &d->bridge, &d->attached, NULL };
	if (strcmp(network, SEGMENT_DEFAULT_KEY) == 0)
		return true;
	p->segment = segments_find(d, network);
	if (!p->segment) {
		why_set(why, WHY_INVALID,
			"network %.60s is not open here: make it with weave network create",
			network);
		return false;
	}
	p->bridge = &p->segment->segment.bridge;
	p->attached = &p->segment->attached;
	return true;
}

static void was_attached(struct daemon *d, const struct place *p, const struct attachment *a)
{
	if (!p->segment) {
		bridge_watch_attached(d, a);
		return;
	}
	segments_relist(d, p->segment);
	addresses_attached(d, a);
}

static void was_detached(struct daemon *d, const struct place *p, int ifindex, const char *id)
{
	if (!p->segment) {
		bridge_watch_detached(d, ifindex, id);
		return;
	}
	segments_relist(d, p->segment);
	addresses_container(d, id);
}

/* ---- waiting ---- */

static void free_pending(struct pending *p)
{
	list_remove(&p->in_line);
	mem_free(p);
}

/* Takes back what was asked for.  Addresses that the container had already were taken for alive,
 * and perhaps it is not. */
static void give_up(struct pending *p)
{
	struct daemon *d = p->daemon;
	bool of_interface = p->type == PENDING_ATTACH || p->type == PENDING_EXPOSE;

	address_job_undo(p->job, mono_now());
	free_pending(p);
	if (of_interface)
		bridge_watch_relist_soon(d);
}

static void on_cancel(void *ctx)
{
	struct pending *p = ctx;

	if (p->done)
		p->done(p->done_ctx, NULL);
	give_up(p);
}

static struct pending *new_pending(struct daemon *d, enum pending_type type,
				   struct api_reply *reply)
{
	struct pending *p = mem_new(1, sizeof *p);

	p->type = type;
	p->daemon = d;
	p->reply = reply;
	list_init(&p->in_line);
	return p;
}

/* Takes 'p' and 'job'. */
static void wait_for(struct pending *p, struct address_job *job)
{
	p->job = job;
	job->owner = p;
	if (p->reply)
		api_reply_on_cancel(p->reply, on_cancel, p);
	if (job->state != ADDRESS_JOB_WAITING)
		control_addresses_ready(p->daemon, job);
}

/* ---- ready ---- */

static void refuse(struct pending *p, const struct why *why)
{
	if (p->reply)
		api_reply_fail(p->reply, why);
	give_up(p);
}

/* The kernel's refusals are 500, the request's faults 400. */
static bool outcome(int rc, struct why *why)
{
	if (rc == 0)
		return true;
	if (rc == -EINVAL || rc == -EEXIST || rc == -ENOENT || rc == -E2BIG)
		why->reason = WHY_INVALID;
	else if (why->reason == WHY_INVALID)
		why->reason = WHY_TRANSPORT;
	return false;
}

/* Somebody may have attached the namespace under another id while we waited. */
static bool has_its_id(struct daemon *d, const struct place *place, const struct attach_request *r,
		       struct why *why)
{
	char id[ATTACH_ID_MAX + 1];

	if (!outcome(attach_identity(d->net, place->bridge, r, id, why), why))
		return false;
	if (strcmp(id, r->id) != 0)
		why_set(why, WHY_INVALID, "%s was attached as %s meanwhile: try again", r->netns,
			id);
	return strcmp(id, r->id) == 0;
}

static bool attach(struct pending *p, const struct place *place, struct attachment *a,
		   struct why *why)
{
	struct daemon *d = p->daemon;
	struct attach_request r = {
		.id = p->id,
		.netns = p->netns,
		.cidrs = p->job->addresses.list,
		.cidrs_count = p->job->addresses.count,
		.multicast_route = p->multicast_route,
		.mtu = d->mtu,
	};

	return has_its_id(d, place, &r, why) &&
	       outcome(attach_add(d->net, place->bridge, place->attached, &r, a, why), why);
}

static bool expose(struct pending *p, struct why *why)
{
	struct daemon *d = p->daemon;
	const struct api_addresses *a = &p->job->addresses;
	struct exposed items[API_ADDRESSES_MAX];

	for (size_t i = 0; i < a->count; i++)
		items[i] = (struct exposed){ a->list[i], p->masquerade };
	return outcome(expose_add(d->net, &d->bridge, &d->exposed, items, a->count, why), why);
}

/* A name that there is no room for is no name of ours either. */
static void keep_fqdn(struct pending *p, const char *fqdn)
{
	if (fqdn && strlen(fqdn) < sizeof p->fqdn)
		strcpy(p->fqdn, fqdn);
}

static void give_name(struct pending *p, const char *id)
{
	const struct api_addresses *a = &p->job->addresses;

	for (size_t i = 0; p->fqdn[0] && i < a->count; i++)
		daemon_name_put(p->daemon, id, p->fqdn, a->list[i].ip);
}

/* Puts the addresses on the interface. */
static void carry_out(struct pending *p)
{
	bool of_container = p->type == PENDING_ATTACH;
	struct daemon *d = p->daemon;
	struct attachment a;
	struct why why = { 0 };
	struct place place = { 0 };
	bool ok = address_job_holds(p->job, &why);

	/* It may have been closed meanwhile. */
	if (ok && of_container)
		ok = find_place(d, p->network, &place, &why) && attach(p, &place, &a, &why);
	else if (ok)
		ok = expose(p, &why);
	if (!ok) {
		refuse(p, &why);
		return;
	}
	give_name(p, of_container ? p->id : API_EXPOSE_ID);
	if (p->reply)
		api_reply_addresses(p->reply, &p->job->addresses);
	address_job_keep(p->job);
	free_pending(p);
	if (of_container) {
		was_attached(d, &place, &a);
		announcer_attached(&d->announcer, &a);
	} else {
		bridge_watch_exposed(d);
		announcer_exposed(&d->announcer);
	}
}

/* When a ring comes, hundreds of containers may have their addresses in one moment, and each takes
 * milliseconds: frames and heartbeats go in between. */
static void next_in_line(struct daemon *d)
{
	if (list_empty(&d->attaching) || ev_is_active(&d->attach_next))
		return;
	ev_timer_set(&d->attach_next, 0., 0.);
	ev_timer_start(d->loop, &d->attach_next);
}

static void on_attach_next(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct daemon *d = w->data;

	(void)loop;
	(void)events;
	if (!list_empty(&d->attaching))
		carry_out(list_entry(d->attaching.next, struct pending, in_line));
	next_in_line(d);
}

static void stand_in_line(struct daemon *d, struct pending *p)
{
	list_append(&d->attaching, &p->in_line);
	next_in_line(d);
}

void control_addresses_init(struct daemon *d)
{
	list_init(&d->attaching);
	announcer_init(&d->announcer, d->loop, &d->bridge, &d->exposed);
	ev_timer_init(&d->attach_next, on_attach_next, 0., 0.);
	d->attach_next.data = d;
}

void control_addresses_stop(struct daemon *d)
{
	struct list *jobs = &d->addresses.jobs;

	ev_timer_stop(d->loop, &d->attach_next);
	announcer_stop(&d->announcer);
	while (jobs->next && !list_empty(jobs)) {
		struct address_job *job = list_entry(jobs->next, struct address_job, link);

		free_pending(job->owner);
		address_job_keep(job);
	}
}

void control_addresses_ready(struct daemon *d, struct address_job *job)
{
	struct pending *p = job->owner;

	if (p->done)
		p->done(p->done_ctx, job);
	if (p->done && job->state == ADDRESS_JOB_FAILED) {
		give_up(p);
		return;
	}
	if (job->state == ADDRESS_JOB_FAILED) {
		refuse(p, &job->why);
		return;
	}
	switch (p->type) {
	case PENDING_ATTACH:
	case PENDING_EXPOSE:
		stand_in_line(d, p);
		return;
	case PENDING_ADDRESSES:
		api_reply_addresses(p->reply, &job->addresses);
		break;
	case PENDING_CALLER:
		break;
	case PENDING_TEXT:
		if (p->reply)
			api_reply_text(p->reply, p->quiet ? "" : text_string(&job->text));
		break;
	}
	address_job_keep(job);
	free_pending(p);
}

/* ---- attach and expose ---- */

void control_attach(void *ctx, const struct api_attach *request, struct api_reply *reply)
{
	struct daemon *d = ctx;
	struct attach_request r = { .id = request->id, .netns = request->netns, .mtu = d->mtu };
	struct pending *p;
	struct why why = { 0 };
	char id[ATTACH_ID_MAX + 1];
	struct place place;
	bool ok = find_place(d, request->network, &place, &why) &&
		  outcome(attach_identity(d->net, place.bridge, &r, id, &why), &why);

	if (ok && d->addresses.ranges_count && strcmp(id, ATTACH_UNKNOWN_ID) == 0) {
		why_set(&why, WHY_INVALID,
			"'" ATTACH_UNKNOWN_ID "' stands for no container: give its id, by which it "
			"keeps its addresses");
		ok = false;
	}
	if (!ok) {
		api_reply_fail(reply, &why);
		return;
	}
	p = new_pending(d, PENDING_ATTACH, reply);
	strcpy(p->id, id);
	strcpy(p->netns, request->netns);
	strcpy(p->network, request->network);
	p->multicast_route = request->multicast_route;
	keep_fqdn(p, request->fqdn);
	wait_for(p, address_job_get(&d->addresses, id, true, &request->wants, mono_now()));
}

static bool check_fqdn(struct daemon *d, const char *fqdn, struct why *why)
{
	const char *domain = names_domain(engine_names(d->engine)), *bad;
	char name[HOSTNAME_MAX + 1];

	if (!d->dns) {
		why_set(why, WHY_INVALID, "'%.60s': this router does not run WeaveDNS", fqdn);
		return false;
	}
	bad = hostname_check(fqdn, name);
	if (!bad && !hostname_is_within(name, domain))
		bad = "it is outside of the domain of this router";
	if (bad)
		why_set(why, WHY_INVALID, "'%.60s' is no name in %.60s.: %s", fqdn, domain, bad);
	return !bad;
}

void control_expose(void *ctx, const struct api_wants *wants, bool masquerade, const char *fqdn,
		    struct api_reply *reply)
{
	struct daemon *d = ctx;
	struct pending *p;
	struct why why;

	if (fqdn && !check_fqdn(d, fqdn, &why)) {
		api_reply_fail(reply, &why);
		return;
	}
	p = new_pending(d, PENDING_EXPOSE, reply);
	p->masquerade = masquerade;
	keep_fqdn(p, fqdn);
	wait_for(p, address_job_get(&d->addresses, API_EXPOSE_ID, true, wants, mono_now()));
}

/* ---- detach and hide ---- */

static void free_addresses(struct daemon *d, const char *id, const struct api_addresses *a)
{
	for (size_t i = 0; i < a->count; i++) {
		address_free(&d->addresses, id, a->list[i].ip, mono_now());
		daemon_names_remove(d, id, NULL, &a->list[i].ip);
	}
}

static bool is_listed(struct ip_addr ip, const struct cidr *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (ip_compare(list[i].ip, ip) == 0)
			return true;
	return false;
}

/* A container may hold addresses that are not on its interface: it died a moment ago, or a program
 * asked for them.  Moves those from 'asked' to 'loose'. */
static void split_loose(struct daemon *d, const char *id, const struct attachment *a,
			struct api_addresses *asked, struct api_addresses *loose)
{
	struct api_addresses held;
	size_t kept = 0;

	address_held(&d->addresses, id, &held);
	loose->count = 0;
	for (size_t i = 0; i < asked->count; i++) {
		struct cidr c = asked->list[i];

		if ((!a || !is_listed(c.ip, a->cidrs, a->cidrs_count)) &&
		    is_listed(c.ip, held.list, held.count))
			loose->list[loose->count++] = c;
		else
			asked->list[kept++] = c;
	}
	asked->count = kept;
}

/* All of 'asked', or none; none there: all that the container has. */
static bool remove_addresses(struct daemon *d, const struct place *place,
			     const struct api_attach *request, const char *id,
			     struct api_addresses *asked, struct why *why)
{
	struct detach_request r = { .id = request->id,
				    .netns = request->netns,
				    .cidrs = asked->list,
				    .cidrs_count = asked->count };
	struct detached *removed = mem_new(1, sizeof *removed);
	bool ok = outcome(attach_remove(d->net, place->bridge, place->attached, &r, removed, why),
			  why);

	if (ok) {
		asked->count = removed->cidrs_count;
		memcpy(asked->list, removed->cidrs, asked->count * sizeof *asked->list);
		free_addresses(d, id, asked);
		if (removed->left.ifindex)
			was_attached(d, place, &removed->left);
		else
			was_detached(d, place, removed->ifindex, id);
	}
	mem_free(removed);
	return ok;
}

static bool select_addresses(struct daemon *d, const struct api_attach *request,
			     const struct attachment *a, const char *id, struct api_addresses *done,
			     struct why *why)
{
	const struct api_want *nothing;
	struct api_addresses held;
	char text[CIDR_TEXT_SIZE];

	address_held(&d->addresses, id, &held);
	nothing = a ? address_select(&d->addresses, &request->wants, a->cidrs, a->cidrs_count, done)
		    : address_select(&d->addresses, &request->wants, held.list, held.count, done);
	if (!a && request->wants.count == 0)
		*done = held;
	if (nothing)
		why_set(why, WHY_INVALID, "no address in %s is attached",
			nothing->type == API_WANT_SUBNET ? cidr_text(nothing->cidr, text)
							 : "the default subnet");
	return !nothing;
}

/* 'a' is what is attached, NULL: nothing.  'id': whose the addresses are. */
static bool detach(struct daemon *d, const struct place *place, const struct api_attach *request,
		   const struct attachment *a, const char *id, struct api_addresses *done,
		   struct why *why)
{
	struct api_addresses loose;

	if (!select_addresses(d, request, a, id, done, why))
		return false;
	split_loose(d, id, a, done, &loose);
	if ((done->count || loose.count == 0) &&
	    !remove_addresses(d, place, request, id, done, why))
		return false;
	free_addresses(d, id, &loose);
	for (size_t i = 0; i < loose.count && done->count < API_ADDRESSES_MAX; i++)
		done->list[done->count++] = loose.list[i];
	return true;
}

/* It has its interface, but its namespace is not where it was: its addresses are in use. */
static bool lives_out_of_sight(struct daemon *d, const struct place *place, const char *id,
			       struct why *why)
{
	bool lives = id && attach_is_hidden(d->net, place->bridge, place->attached, id);

	if (lives)
		why_set(why, WHY_INVALID,
			"%s is attached, but the path of its namespace leads elsewhere by now: "
			"name the container by another path to it",
			id);
	return lives;
}

void control_detach(void *ctx, const struct api_attach *request, struct api_reply *reply)
{
	const struct detach_request who = { .id = request->id, .netns = request->netns };
	struct attachment *a = mem_new(1, sizeof *a);
	struct daemon *d = ctx;
	struct api_addresses done;
	struct why why = { 0 };
	struct place place;
	bool ok = find_place(d, request->network, &place, &why);
	int rc = ok ? attach_find(d->net, place.bridge, place.attached, &who, a, &why) : -EINVAL;

	if (rc == 0)
		ok = detach(d, &place, request, a, a->id, &done, &why);
	else if (rc == -ENOENT && !lives_out_of_sight(d, &place, request->id, &why))
		ok = detach(d, &place, request, NULL, request->id, &done, &why);
	else
		ok = outcome(rc, &why);
	if (ok)
		api_reply_addresses(reply, &done);
	else
		api_reply_fail(reply, &why);
	mem_free(a);
}

/* Idempotent, so nothing such is fine. */
void control_hide(void *ctx, const struct api_wants *wants, struct api_reply *reply)
{
	struct daemon *d = ctx;
	struct cidr have[ATTACH_CIDRS_MAX];
	struct expose_set removed = { 0 };
	struct api_addresses done;
	struct why why = { 0 };
	int rc = 0;

	for (uint32_t i = 0; i < d->exposed.count; i++)
		have[i] = d->exposed.items[i].cidr;
	address_select(&d->addresses, wants, have, d->exposed.count, &done);
	/* To expose_remove none means all. */
	if (done.count || wants->count == 0)
		rc = expose_remove(d->net, &d->bridge, &d->exposed, done.list, done.count, &removed,
				   &why);
	if (!outcome(rc, &why)) {
		api_reply_fail(reply, &why);
		return;
	}
	done.count = 0;
	for (uint32_t i = 0; i < removed.count && i < API_ADDRESSES_MAX; i++)
		done.list[done.count++] = removed.items[i].cidr;
	free_addresses(d, API_EXPOSE_ID, &done);
	bridge_watch_exposed(d);
	api_reply_addresses(reply, &done);
}

/* ---- IPAM itself ---- */

bool control_has_ipam(void *ctx)
{
	const struct daemon *d = ctx;

	return d->addresses.ranges_count > 0;
}

void control_allocate(void *ctx, const char *id, const struct cidr *subnet, struct api_reply *reply)
{
	struct daemon *d = ctx;
	struct api_wants wants = { .count = 1 };

	wants.list[0].type = subnet ? API_WANT_SUBNET : API_WANT_DEFAULT;
	if (subnet)
		wants.list[0].cidr = *subnet;
	wait_for(new_pending(d, PENDING_ADDRESSES, reply),
		 address_job_get(&d->addresses, id, false, &wants, mono_now()));
}

void control_claim(void *ctx, const char *id, struct cidr address, bool no_error_on_unknown,
		   struct api_reply *reply)
{
	struct daemon *d = ctx;
	struct api_wants wants = { .count = 1 };
	struct pending *p = new_pending(d, PENDING_TEXT, reply);
	struct address_job *job;

	wants.list[0] = (struct api_want){ API_WANT_ADDRESS, address };
	job = address_job_get(&d->addresses, id, false, &wants, mono_now());
	if (no_error_on_unknown && job->state == ADDRESS_JOB_WAITING) {
		/* It is tried for as long as it takes; who asked does not wait. */
		p->reply = NULL;
		api_reply_text(reply, "");
	}
	p->quiet = true;
	wait_for(p, job);
}

void control_get_address(struct daemon *d, const char *id, const struct api_want *want,
			 struct api_reply *reply,
			 void (*done)(void *ctx, const struct address_job *job), void *ctx)
{
	struct api_wants wants = { .list = { *want }, .count = 1 };
	struct pending *p = new_pending(d, PENDING_CALLER, reply);

	p->done = done;
	p->done_ctx = ctx;
	wait_for(p, address_job_get(&d->addresses, id, false, &wants, mono_now()));
}

bool control_lookup(void *ctx, const char *id, const struct cidr *subnet, struct api_addresses *out,
		    struct why *why)
{
	const struct daemon *d = ctx;

	return address_lookup(&d->addresses, id, subnet, out, why);
}

bool control_release(void *ctx, const char *id, const struct ip_addr *address, struct why *why)
{
	struct daemon *d = ctx;

	return address_release(&d->addresses, id, address, mono_now(), why);
}

void control_owned(void *ctx, struct api_attachments *out)
{
	const struct daemon *d = ctx;

	address_owned(&d->addresses, out);
}

void control_default_subnets(void *ctx, struct api_addresses *out)
{
	const struct daemon *d = ctx;

	address_default_subnets(&d->addresses, out);
}

void control_prime(void *ctx, struct api_reply *reply)
{
	struct daemon *d = ctx;
	struct pending *p = new_pending(d, PENDING_TEXT, reply);

	p->quiet = true;
	wait_for(p, address_job_prime(&d->addresses, mono_now()));
}

/* The peer of this name or nickname.  Two of one nickname are two possible mistakes. */
static bool find_peer(struct daemon *d, const char *text, peer_name *name, struct why *why)
{
	struct topology *t = gossip_topology(engine_gossip(d->engine));
	const struct topology_peer *peer;
	char one[PEER_NAME_TEXT_SIZE], other[PEER_NAME_TEXT_SIZE];
	size_t found = 0;

	for (size_t i = 0; (peer = topology_peer_at(t, i)); i++) {
		if (strcmp(peer->info.nickname, text) != 0)
			continue;
		if (found++) {
			why_set(why, WHY_INVALID,
				"'%.40s' is the nickname of %s and of %s: give the peer name", text,
				peer_name_text(*name, one), peer_name_text(peer->info.name, other));
			return false;
		}
		*name = peer->info.name;
	}
	if (found || peer_name_parse(text, name))
		return true;
	why_set(why, WHY_INVALID, "no peer has the name or nickname '%.60s'", text);
	return false;
}

void control_remove_peer(void *ctx, const char *peer, bool force, struct api_reply *reply)
{
	struct daemon *d = ctx;
	struct why why;
	peer_name name;

	if (find_peer(d, peer, &name, &why))
		wait_for(new_pending(d, PENDING_TEXT, reply),
			 address_job_remove_peer(&d->addresses, name, force, mono_now()));
	else
		api_reply_fail(reply, &why);
}

void control_hand_over(void *ctx, bool force, struct api_reply *reply)
{
	struct daemon *d = ctx;

	wait_for(new_pending(d, PENDING_TEXT, reply),
		 address_job_hand_over(&d->addresses, force, mono_now()));
}
