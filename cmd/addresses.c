/* Automatic addresses in the daemon: the universes that the options ask for, their rows on disk,
 * what the API waits for, and which containers live.
 *
 * Loop thread; the disk has a thread of its own (ipam/ipam_store_io.c).
 */
#include "addresses.h"

#include "control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>
#include <weave/sockaddr_io.h>

/* ---- opening ---- */

static void on_saved(void *ctx, size_t universe, uint64_t ticket)
{
	struct daemon *d = ctx;
	struct ipam *ipam = engine_ipam(d->engine, universe);

	if (ipam)
		ipam_on_saved(ipam, ticket, mono_now());
}

/* The new id is durable before anything is done in its name. When the disk refuses it, on_disk says
 * so, and when to try again. */
static void renew(struct daemon *d)
{
	uint64_t id = daemon_random() | 1; /* never 0 */
	struct why why;

	d->renew_id = ipam_store_set_id(d->store, d->state.name, id, &why) != 0;
	if (d->renew_id)
		return;
	d->state.store_id = id;
	daemon_save_state(d);
	engine_set_store(d->engine, id, mono_now());
}

static void on_disk(void *ctx, const char *reason)
{
	struct daemon *d = ctx;
	struct ipam *ipam;

	for (size_t i = 0; (ipam = engine_ipam(d->engine, i)); i++)
		ipam_on_disk(ipam, reason, mono_now());
	if (!reason && d->renew_id)
		renew(d);
}

static int open_store(struct daemon *d, struct why *why)
{
	struct ipam_store_config config = {
		.directory = d->options->state_dir,
		.loop = d->loop,
		.saved = on_saved,
		.state = on_disk,
		.ctx = d,
	};
	enum ipam_store_found found;
	int rc = ipam_store_open(&config, &d->log, &d->store, &found, why);

	if (rc == 0 && found == IPAM_STORE_DAMAGED)
		log_warning(&d->log, "%s; peers will tell what they know", why->text);
	return rc;
}

/* The rows belong to the name that they were written under; another peer starts without any. */
static int forget_other_name(struct daemon *d, struct why *why)
{
	char before[PEER_NAME_TEXT_SIZE];
	peer_name name = PEER_NAME_NONE;
	int rc;

	if (ipam_store_id(d->store, &name) == 0 || name == d->state.name)
		return 0;
	log_warning(
		&d->log,
		"this router was peer %s before: its addresses are forgotten here and come back "
		"by weave rmpeer",
		peer_name_text(name, before));
	ipam_store_close(d->store);
	d->store = NULL;
	/* A new name is no former life of it. */
	d->state.store_id = 0;
	rc = ipam_store_remove(d->options->state_dir, why);
	return rc ? rc : open_store(d, why);
}

/* A new store id goes with a new store, whatever became of the old one: what this peer owned then
 * belongs to an owner who is not there any more.  The state file is written after the store, so it
 * may still have the id of the one before. */
static int take_store_id(struct daemon *d, struct why *why)
{
	peer_name name;
	uint64_t id = ipam_store_id(d->store, &name);
	int rc = 0;

	d->former_life = d->state.store_id && d->state.store_id != id;
	if (d->former_life)
		log_warning(&d->log, "the addresses of the last run are lost: what this peer owned "
				     "comes back by weave rmpeer on it");
	if (id == 0) {
		id = daemon_random() | 1; /* never 0 */
		rc = ipam_store_set_id(d->store, d->state.name, id, why);
	}
	d->state.store_id = id;
	return rc;
}

bool addresses_name(struct daemon *d, peer_name *name, struct why *why)
{
	*name = PEER_NAME_NONE;
	if (d->options->ipalloc.ranges_count == 0)
		return true;
	if (open_store(d, why))
		return false;
	ipam_store_id(d->store, name);
	return true;
}

bool addresses_open(struct daemon *d, struct why *why)
{
	if (d->options->ipalloc.ranges_count == 0)
		return true;
	return forget_other_name(d, why) == 0 && take_store_id(d, why) == 0;
}

/* ---- the universes ---- */

static bool count_electors(const struct daemon *d, uint32_t *electors, struct why *why)
{
	const struct ipalloc_options *o = &d->options->ipalloc;
	size_t peers = d->options->resume ? d->state.targets_count : d->options->peers_count;

	*electors = o->electors ? o->electors : (uint32_t)peers + 1;
	if (*electors <= IPAM_ELECTORS_MAX)
		return true;
	why_set(why, WHY_INVALID,
		"%zu peers are more than can vote on addresses: launch with --ipalloc-init "
		"consensus=<n> or seed=<peer name>,...",
		peers);
	return false;
}

/* Something of the host's own that containers could not reach any more. */
static bool check_routes(struct daemon *d, struct cidr range, struct why *why)
{
	char a[CIDR_TEXT_SIZE], b[CIDR_TEXT_SIZE];
	struct net_route *routes = NULL;
	struct net_link bridge;
	size_t count = 0;
	bool fine = true;

	if (net_link_find(d->net, d->options->bridge, &bridge))
		bridge.ifindex = -1; /* 0 is that of routes over no interface */
	if (net_routes(d->net, &routes, &count)) {
		log_warning(&d->log, "cannot read the host's routes: %s", net_error(d->net));
		return true;
	}
	for (size_t i = 0; fine && i < count; i++) {
		const struct net_route *r = &routes[i];

		if (r->dst.prefix == 0 || r->ifindex == bridge.ifindex ||
		    !cidr_overlaps(range, r->dst))
			continue;
		cidr_text(range, a);
		cidr_text(r->dst, b);
		fine = d->options->ipalloc.range_given;
		if (fine)
			log_warning(&d->log, "the address range %s overlaps the host's route %s", a,
				    b);
		else
			why_set(why, WHY_INVALID,
				"the default address range %s overlaps the host's route %s: give "
				"another with --ipalloc-range",
				a, b);
	}
	mem_free(routes);
	return fine;
}

static bool configure(struct daemon *d, size_t i, uint32_t electors, struct why *why)
{
	static const enum ipam_mode modes[] = {
		[IPALLOC_CONSENSUS] = IPAM_CONSENSUS,
		[IPALLOC_SEED] = IPAM_SEED,
		[IPALLOC_OBSERVER] = IPAM_OBSERVER,
	};
	const struct ipalloc_options *o = &d->options->ipalloc;
	struct ipam_config *c = &d->universes[i];
	struct cidr first = o->ranges[i];
	struct span usable;

	*c = (struct ipam_config){
		.has_targets = d->options->resume ? d->state.targets_count > 0
						  : d->options->peers_count > 0,
		.mode = modes[o->init],
		.electors = electors,
		.seeds = o->seeds,
		.seeds_count = o->seeds_count,
	};
	if (!universe_init(&c->universe, o->ranges[i], why))
		return false;
	first.ip = universe_address(&c->universe, 1);
	return attach_check_cidr(first, why) == 0 &&
	       universe_subnet(&c->universe, o->default_subnets[i], &usable, why) &&
	       check_routes(d, o->ranges[i], why);
}

bool addresses_configure(struct daemon *d, struct why *why)
{
	size_t count = d->options->ipalloc.ranges_count;
	uint32_t electors;

	if (count && !count_electors(d, &electors, why))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!configure(d, i, electors, why))
			return false;
	d->config.universes = d->universes;
	d->config.universes_count = count;
	return true;
}

/* ---- rows ---- */

struct loading {
	struct daemon *daemon;
	size_t universe;
};

static const char *load_row(void *ctx, enum ipam_table table, uint64_t key, struct bytes value)
{
	struct loading *l = ctx;

	return engine_load(l->daemon->engine, l->universe, table, key, value);
}

static int load_rows(struct daemon *d, struct why *why)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < d->config.universes_count; i++) {
		struct loading l = { d, i };

		rc = ipam_store_universe(d->store, i, d->universes[i].universe.prefix, why);
		if (rc == 0)
			rc = ipam_store_load(d->store, i, load_row, &l, why);
	}
	return rc;
}

int addresses_load(struct daemon *d, struct why *why)
{
	struct address_range ranges[ADDRESS_RANGES_MAX];
	size_t count = d->config.universes_count;
	int rc = load_rows(d, why);

	if (rc == -EBADMSG) {
		/* The file was set aside; whoever calls starts over with the new one. */
		log_warning(&d->log, "%s; peers will tell what they know", why->text);
		return take_store_id(d, why) ? -EIO : -EAGAIN;
	}
	if (rc)
		return rc;
	for (size_t i = 0; i < count; i++) {
		if (d->former_life)
			engine_load(d->engine, i, IPAM_TABLE_FORMER, 0, bytes_of("", 1));
		ranges[i] = (struct address_range){
			.ipam = engine_ipam(d->engine, i),
			.universe = d->universes[i].universe,
			.default_subnet = d->options->ipalloc.default_subnets[i],
		};
	}
	address_service_init(&d->addresses, ranges, count);
	return 0;
}

/* Requests that end with us have changed something, too: an address that nobody waits for any more
 * must not be held for ever. */
static void save_rest(struct daemon *d)
{
	struct engine_action a;

	while (d->ready && engine_next_action(d->engine, &a, mono_now()))
		if (a.type == ENGINE_IPAM && a.ipam.type == IPAM_SAVE)
			addresses_do(d, &a);
}

void addresses_close(struct daemon *d)
{
	if (d->store)
		save_rest(d);
	control_addresses_stop(d);
	address_service_fini(&d->addresses);
	ipam_store_close(d->store);
	d->store = NULL;
}

/* ---- the turn of the loop ---- */

void addresses_do(struct daemon *d, const struct engine_action *action)
{
	const struct ipam_action *a = &action->ipam;
	struct address_job *job;

	switch (a->type) {
	case IPAM_SAVE:
		ipam_store_save(d->store, action->universe, a->table, a->key, a->bytes, a->ok,
				a->ticket);
		break;
	case IPAM_ANSWER:
		job = address_service_on_answer(&d->addresses, action->universe, a, mono_now());
		if (job)
			control_addresses_ready(d, job);
		break;
	case IPAM_RENEW:
		renew(d);
		break;
	case IPAM_MERGE:
	case IPAM_PUT:
	case IPAM_SEND:
		NOT_REACHED("an action that the engine carries out");
	}
}

void addresses_turn(struct daemon *d)
{
	struct ipam *ipam;

	for (size_t i = 0; (ipam = engine_ipam(d->engine, i)); i++)
		if (ipam_urgent(ipam) > 0)
			ipam_store_sync(d->store);
}

/* ---- what lives ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char **add_living(const struct attach_known *k, const char **ids, size_t *count)
{
	ids = mem_resize(ids, *count + k->count + k->hidden_count + 1, sizeof *ids);
	for (size_t i = 0; i < k->count; i++)
		ids[(*count)++] = k->list[i].id;
	for (size_t i = 0; i < k->hidden_count; i++)
		ids[(*count)++] = k->hidden[i].id;
	return ids;
}

/* Ids of all that have an interface in any segment, sorted; borrowed from what is attached. */
static const char **list_living(const struct daemon *d, size_t *count)
{
	const char **ids;

	*count = 0;
	ids = add_living(&d->attached, NULL, count);
	for (size_t i = 0; i < d->segments_count; i++)
		ids = add_living(&d->segments[i]->attached, ids, count);
	qsort(ids, *count, sizeof *ids, by_text);
	return ids;
}

struct living {
	const struct daemon *daemon;
	const char **ids;
	size_t count;
};

static bool is_listed(void *ctx, const char *id)
{
	const struct living *l = ctx;

	if (strcmp(id, API_EXPOSE_ID) == 0)
		return l->daemon->exposed.count > 0;
	return bsearch(&id, l->ids, l->count, sizeof *l->ids, by_text) != NULL;
}

static void found(struct daemon *d, const char *id, struct cidr cidr, struct mono now)
{
	char text[CIDR_TEXT_SIZE], holder[API_ID_SIZE];

	/* Docker asked for the address before it made the endpoint: one id each. */
	if (docker_is_port_id(id) && address_holder(&d->addresses, cidr.ip, holder) &&
	    docker_is_port_id(holder))
		return;
	if (!address_found(&d->addresses, id, cidr.ip, now))
		log_warning(&d->log,
			    "%s has %s on its interface, which another container of this host "
			    "holds: detach one of them",
			    id, cidr_text(cidr, text));
}

static void found_all(struct daemon *d, const struct attachment *a, struct mono now)
{
	for (uint32_t k = 0; k < a->cidrs_count; k++)
		found(d, a->id, a->cidrs[k], now);
}

void addresses_relisted(struct daemon *d)
{
	struct living l = { .daemon = d };
	struct mono now = mono_now();

	if (d->addresses.ranges_count == 0)
		return;
	for (size_t i = 0; i < d->attached.count; i++)
		found_all(d, &d->attached.list[i], now);
	for (size_t s = 0; s < d->segments_count; s++)
		for (size_t i = 0; i < d->segments[s]->attached.count; i++)
			found_all(d, &d->segments[s]->attached.list[i], now);
	for (uint32_t k = 0; k < d->exposed.count; k++)
		found(d, API_EXPOSE_ID, d->exposed.items[k].cidr, now);
	l.ids = list_living(d, &l.count);
	address_mark_living(&d->addresses, is_listed, &l, now);
	mem_free(l.ids);
}

void addresses_attached(struct daemon *d, const struct attachment *a)
{
	found_all(d, a, mono_now());
	addresses_container(d, a->id);
}

void addresses_container(struct daemon *d, const char *id)
{
	address_mark_container(&d->addresses, id,
			       attach_known_lives(&d->attached, id) || segments_live(d, id),
			       mono_now());
}

void addresses_exposed(struct daemon *d)
{
	struct mono now = mono_now();

	for (uint32_t k = 0; k < d->exposed.count; k++)
		found(d, API_EXPOSE_ID, d->exposed.items[k].cidr, now);
	address_mark_container(&d->addresses, API_EXPOSE_ID, d->exposed.count > 0, now);
}
