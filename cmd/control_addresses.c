/* What the API asks for that needs addresses: attaching, exposing, and IPAM itself.
 *
 * Whatever has to wait is a `struct pending`: the address job, the reply that waits for it, and
 * what is to be done with the addresses when they are there.  It ends with the reply, or when the
 * client goes away: then the job is undone.
 */
#include "control.h"

#include <errno.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>
#include <weave/sockaddr_io.h>

enum pending_type { PENDING_ATTACH, PENDING_EXPOSE, PENDING_ADDRESSES, PENDING_TEXT };

struct pending {
	enum pending_type type;
	struct daemon *daemon;
	struct address_job *job;
	struct api_reply *reply; /* NULL: nobody waits, and the job goes on all the same */
	bool multicast_route, masquerade;
	bool quiet; /* the answer has no text */
	char id[API_ID_SIZE], netns[API_NETNS_SIZE];
};

/* ---- waiting ---- */

static void on_cancel(void *ctx)
{
	struct pending *p = ctx;

	address_job_undo(p->job, mono_now());
	mem_free(p);
}

static struct pending *new_pending(struct daemon *d, enum pending_type type,
				   struct api_reply *reply)
{
	struct pending *p = mem_new(1, sizeof *p);

	p->type = type;
	p->daemon = d;
	p->reply = reply;
	return p;
}

/* Takes 'p' and 'job'. */
static void wait_for(struct pending *p, struct address_job *job)
{
	p->job = job;
	job->owner = p;
	if (job->state != ADDRESS_JOB_WAITING)
		control_addresses_ready(p->daemon, job);
	else if (p->reply)
		api_reply_on_cancel(p->reply, on_cancel, p);
}

void control_addresses_stop(struct daemon *d)
{
	struct list *jobs = &d->addresses.jobs;

	while (jobs->next && !list_empty(jobs)) {
		struct address_job *job = list_entry(jobs->next, struct address_job, link);

		mem_free(job->owner);
		address_job_keep(job);
	}
}

/* ---- ready ---- */

static void refuse(struct pending *p, const struct why *why)
{
	if (p->reply)
		api_reply_fail(p->reply, why);
	address_job_undo(p->job, mono_now());
	mem_free(p);
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

static void reply_addresses(struct pending *p)
{
	if (p->reply)
		api_reply_addresses(p->reply, &p->job->addresses);
}

static bool attach(struct pending *p, struct why *why)
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

	return outcome(attach_add(d->net, &d->bridge, &r, NULL, why), why);
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

void control_addresses_ready(struct daemon *d, struct address_job *job)
{
	struct pending *p = job->owner;
	struct why why = { 0 };
	bool ok = true;

	if (job->state == ADDRESS_JOB_FAILED) {
		refuse(p, &job->why);
		return;
	}
	if (p->type == PENDING_ATTACH)
		ok = attach(p, &why);
	else if (p->type == PENDING_EXPOSE)
		ok = expose(p, &why);
	if (!ok) {
		refuse(p, &why);
		return;
	}
	if (p->type == PENDING_TEXT && p->reply)
		api_reply_text(p->reply, p->quiet ? "" : text_string(&job->text));
	else if (p->type != PENDING_TEXT)
		reply_addresses(p);
	address_job_keep(job);
	if (p->type == PENDING_ATTACH || p->type == PENDING_EXPOSE)
		bridge_watch_relist(d);
	mem_free(p);
}

/* ---- attach and expose ---- */

void control_attach(void *ctx, const struct api_attach *request, struct api_reply *reply)
{
	struct daemon *d = ctx;
	struct pending *p = new_pending(d, PENDING_ATTACH, reply);

	MUST(request->netns && strlen(request->id) < sizeof p->id &&
	     strlen(request->netns) < sizeof p->netns);
	strcpy(p->id, request->id);
	strcpy(p->netns, request->netns);
	p->multicast_route = request->multicast_route;
	wait_for(p, address_job_get(&d->addresses, request->id, true, &request->wants, mono_now()));
}

void control_expose(void *ctx, const struct api_wants *wants, bool masquerade,
		    struct api_reply *reply)
{
	struct daemon *d = ctx;
	struct pending *p = new_pending(d, PENDING_EXPOSE, reply);

	p->masquerade = masquerade;
	wait_for(p, address_job_get(&d->addresses, API_EXPOSE_ID, true, wants, mono_now()));
}

/* ---- detach and hide ---- */

/* Of 'have', what 'want' means; 0 when there is nothing such. */
static size_t select_cidrs(const struct daemon *d, const struct api_want *want,
			   const struct cidr *have, size_t have_count, struct api_addresses *out)
{
	size_t before = out->count;

	for (size_t i = 0; i < have_count && out->count < API_ADDRESSES_MAX; i++) {
		bool wanted = address_in_subnet(&d->addresses, have[i],
						want->type == API_WANT_SUBNET ? &want->cidr : NULL);
		bool twice = false;

		for (size_t k = 0; k < out->count; k++)
			twice = twice || ip_compare(out->list[k].ip, have[i].ip) == 0;
		if (wanted && !twice)
			out->list[out->count++] = have[i];
	}
	return out->count - before;
}

/* The addresses that 'wants' mean, for somebody who has 'have'.  False with 'why'. */
static bool wanted(const struct daemon *d, const struct api_wants *wants, const struct cidr *have,
		   size_t have_count, struct api_addresses *out, struct why *why)
{
	char text[CIDR_TEXT_SIZE];

	out->count = 0;
	for (size_t i = 0; i < wants->count; i++) {
		const struct api_want *w = &wants->list[i];

		if (w->type == API_WANT_ADDRESS) {
			if (out->count < API_ADDRESSES_MAX)
				out->list[out->count++] = w->cidr;
		} else if (!select_cidrs(d, w, have, have_count, out)) {
			why_set(why, WHY_INVALID, "no address in %s is attached",
				w->type == API_WANT_SUBNET ? cidr_text(w->cidr, text)
							   : "the default subnet");
			return false;
		}
	}
	return true;
}

static bool is_named(const struct attachment *a, const struct api_attach *request)
{
	return request->netns && strcmp(a->netns, request->netns) == 0
		       ? true
		       : strcmp(a->id, request->id) == 0;
}

/* What the container's interface has, into 'have' (ATTACH_CIDRS_MAX). */
static size_t attached_cidrs(struct daemon *d, const struct api_attach *request, struct cidr *have)
{
	struct attachment *list = NULL;
	size_t count = 0, have_count = 0;
	struct why why;

	if (attach_list(d->net, &d->bridge, &list, &count, &why))
		return 0;
	for (size_t i = 0; i < count && !have_count; i++) {
		if (!is_named(&list[i], request))
			continue;
		have_count = list[i].cidrs_count;
		memcpy(have, list[i].cidrs, have_count * sizeof *have);
	}
	mem_free(list);
	return have_count;
}

static void free_addresses(struct daemon *d, const struct api_addresses *a)
{
	for (size_t i = 0; i < a->count; i++)
		address_free(&d->addresses, a->list[i].ip, mono_now());
}

/* A container without an interface may still hold addresses: it died a moment ago, or a program
 * asked for them. */
static bool release_unattached(struct daemon *d, const struct api_attach *request,
			       struct api_addresses *done)
{
	struct why unused;
	struct api_addresses asked = *done;

	done->count = 0;
	if (d->addresses.ranges_count == 0)
		return false;
	for (size_t i = 0; i < asked.count; i++)
		if (address_release(&d->addresses, request->id, &asked.list[i].ip, mono_now(),
				    &unused))
			done->list[done->count++] = asked.list[i];
	return asked.count ? done->count > 0
			   : address_release(&d->addresses, request->id, NULL, mono_now(), &unused);
}

void control_detach(void *ctx, const struct api_attach *request, struct api_reply *reply)
{
	struct daemon *d = ctx;
	struct cidr have[ATTACH_CIDRS_MAX];
	size_t have_count = attached_cidrs(d, request, have);
	struct api_addresses done;
	struct why why = { 0 };
	struct detached *removed;
	struct detach_request r = { .id = request->id, .netns = request->netns };
	int rc;

	if (!wanted(d, &request->wants, have, have_count, &done, &why)) {
		api_reply_fail(reply, &why);
		return;
	}
	r.cidrs = done.list;
	r.cidrs_count = done.count;
	removed = mem_new(1, sizeof *removed);
	rc = attach_remove(d->net, &d->bridge, &r, removed, &why);
	if (rc == 0) {
		done.count = removed->cidrs_count;
		memcpy(done.list, removed->cidrs, done.count * sizeof *done.list);
		free_addresses(d, &done);
		bridge_watch_relist(d);
	}
	mem_free(removed);
	if (rc == 0 || (rc == -ENOENT && release_unattached(d, request, &done)))
		api_reply_addresses(reply, &done);
	else if (!outcome(rc, &why))
		api_reply_fail(reply, &why);
}

/* Idempotent, so nothing such is fine. */
void control_hide(void *ctx, const struct api_wants *wants, struct api_reply *reply)
{
	struct daemon *d = ctx;
	struct cidr have[ATTACH_CIDRS_MAX];
	struct expose_set removed = { 0 };
	struct api_addresses done;
	struct why why = { 0 };

	for (uint32_t i = 0; i < d->exposed.count; i++)
		have[i] = d->exposed.items[i].cidr;
	if (!wanted(d, wants, have, d->exposed.count, &done, &why) && wants->count == 1) {
		done.count = 0;
		api_reply_addresses(reply, &done);
		return;
	}
	if (!outcome(expose_remove(d->net, &d->bridge, &d->exposed, done.list, done.count, &removed,
				   &why),
		     &why)) {
		api_reply_fail(reply, &why);
		return;
	}
	done.count = 0;
	for (uint32_t i = 0; i < removed.count && i < API_ADDRESSES_MAX; i++)
		done.list[done.count++] = removed.items[i].cidr;
	free_addresses(d, &done);
	bridge_watch_relist(d);
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
