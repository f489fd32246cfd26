#include "engine_ipam_status.h"

#include <inttypes.h>
#include <string.h>

#include <weave/address_service.h>
#include <weave/alloc.h>
#include <weave/limits.h>
#include <weave/text.h>

#define NAMES_IN_STATE_MAX 3u /* of peers that are waited for; `status ipam` has them all */

struct filler {
	const struct ipam *ipam;
	const struct topology *topology;
	struct status *s;
	struct ipam_status now;
	struct status_universe *u;
};

static const char *nickname_of(const struct filler *f, peer_name name)
{
	const struct topology_peer *p;

	if (name == f->s->name)
		return f->s->nickname;
	p = topology_peer(f->topology, name);
	return p && p->info.nickname[0] ? status_text(f->s, "%s", p->info.nickname) : NULL;
}

static void add_owner(struct filler *f, const struct ipam_owner *o)
{
	struct status_ipam_owner *to = status_universe_add_owner(f->u);

	*to = (struct status_ipam_owner){ .peer = o->peer,
					  .nickname = nickname_of(f, o->peer),
					  .store_id = o->store_id,
					  .owned = o->owned,
					  .self = o->peer == f->s->name && !o->former,
					  .known = o->known,
					  .reachable = o->reachable,
					  .former = o->former,
					  .free = o->free };
}

/* Ourselves first. */
static void add_owners(struct filler *f, const struct ipam_owner *list, size_t count)
{
	for (int self = 1; self >= 0; self--)
		for (size_t i = 0; i < count; i++)
			if ((list[i].peer == f->s->name && !list[i].former) == self)
				add_owner(f, &list[i]);
}

static bool is_known(const struct ipam_owner *list, size_t count, const struct ipam_piece *piece)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct ipam_owner *o = &list[middle];

		if (o->peer == piece->owner && o->store_id == piece->store_id)
			return o->known;
		if (o->peer < piece->owner ||
		    (o->peer == piece->owner && o->store_id < piece->store_id))
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

static void add_entries(struct filler *f, const struct ipam_owner *owners, size_t count)
{
	struct ipam_piece piece = { .span = { 0, 0 } };

	while (f->u->entries_count < STATUS_RING_PIECES_MAX &&
	       ipam_piece_at(f->ipam, piece.span.end, &piece)) {
		struct status_ipam_entry *e = status_universe_add_entry(f->u);

		e->token = universe_address(&f->now.universe, piece.span.start);
		e->size = piece.span.end - piece.span.start;
		e->peer = piece.owner;
		e->nickname = nickname_of(f, piece.owner);
		e->known = is_known(owners, count, &piece);
		e->version = (uint64_t)piece.epoch << 31 | piece.counter;
	}
}

static void add_ring(struct filler *f)
{
	struct ipam_owner *owners;
	size_t count = ipam_owners(f->ipam, &owners);

	add_owners(f, owners, count);
	add_entries(f, owners, count);
	mem_free(owners);
}

static void add_pending(struct filler *f, const struct ipam_pending *p)
{
	struct cidr cidr = { .ip = { .family = 0 } };
	struct bytes id = address_id(p->container);

	f->u->pending_allocates += p->type == IPAM_PENDING_ALLOCATE;
	f->u->pending_claims += p->type == IPAM_PENDING_CLAIM;
	if (p->type == IPAM_PENDING_PRIME || f->u->pendings_count == STATUS_PENDING_MAX)
		return;
	if (p->type == IPAM_PENDING_CLAIM) {
		cidr.ip = universe_address(&f->now.universe, p->want.start);
		cidr.prefix = f->now.universe.prefix.prefix;
	}
	status_universe_add_pending(
		f->u, status_text(f->s, "%.*s", (int)id.size, (const char *)id.data), cidr);
}

static void add_pendings(struct filler *f)
{
	struct ipam_pending *list;
	size_t count = ipam_pendings(f->ipam, &list);
	peer_name peer;

	for (size_t i = 0; i < count; i++)
		add_pending(f, &list[i]);
	mem_free(list);
	for (size_t i = 0; ipam_waiting_for(f->ipam, i, &peer); i++)
		status_universe_add_waiting(f->u, peer, nickname_of(f, peer));
}

static void add_numbers(struct filler *f)
{
	const struct ipam_status *now = &f->now;
	struct status_universe *u = f->u;

	u->range = now->universe.prefix;
	u->size = now->universe.size;
	u->phase = ipam_phase_text(now->phase);
	u->ready = now->phase == IPAM_READY;
	u->ring_id = now->ring_id;
	u->runs = now->runs;
	u->own = now->own;
	u->own_free = now->own_free;
	u->own_unconfirmed = now->own_unconfirmed;
	u->active = now->allocated;
	u->disputed = now->disputed;
	u->dying = now->dying;
	u->disputes_total = now->disputes;
	u->voting = now->electors > 0;
	u->electors = now->electors;
	u->votes = now->votes;
	u->asked_total = now->asked;
	u->granted_total = now->granted;
	u->refused_total = now->refused;
	if (now->disk)
		u->disk = status_text(f->s, "%s", now->disk);
	if (now->foreign_ring) {
		u->foreign_ring = now->foreign_ring;
		u->foreign_peer.peer = now->foreign_peer;
		u->foreign_peer.nickname = nickname_of(f, now->foreign_peer);
	}
}

/* --- the state in words: Weave Net's where it means the same -------------------------------- */

static void say_who_is_waited_for(const struct filler *f, struct text *t)
{
	char name[PEER_NAME_TEXT_SIZE];
	size_t count = f->u->waiting_for_count;

	for (size_t i = 0; i < count && i < NAMES_IN_STATE_MAX; i++) {
		const struct status_named *n = &f->u->waiting_for[i];

		text_add(t, "%s%s", i ? ", " : "; waiting for ",
			 n->nickname ? n->nickname : peer_name_text(n->peer, name));
	}
	if (count > NAMES_IN_STATE_MAX)
		text_add(t, " and %zu more", count - NAMES_IN_STATE_MAX);
}

static bool others_can_be_reached(const struct status_universe *u)
{
	for (size_t i = 0; i < u->owners_count; i++)
		if (!u->owners[i].self && u->owners[i].reachable)
			return true;
	return false;
}

static const char *ready_text(const struct status_universe *u)
{
	if (u->own == 0 && !others_can_be_reached(u))
		return "all IP ranges owned by unreachable peers - use 'rmpeer' if they are dead";
	if (u->pending_allocates && u->own_free == 0)
		return "waiting for IP(s) to become available";
	return u->phase;
}

static void say_state(const struct filler *f, struct text *t)
{
	const struct status_universe *u = f->u;

	switch (f->now.phase) {
	case IPAM_ELECTING:
		text_add_string(t, "awaiting consensus");
		if (u->voting)
			text_add(t, " (quorum: %" PRIu32 ", known: %" PRIu32 ")",
				 u->electors / 2 + 1, u->votes);
		break;
	case IPAM_WAITING:
		text_add(t, "priming: %s", u->phase);
		break;
	case IPAM_DISK:
		text_add(t, "%s: %s", u->phase, u->disk ? u->disk : "no reason known");
		break;
	case IPAM_READY:
		text_add_string(t, ready_text(u));
		break;
	default:
		text_add_string(t, u->phase);
		break;
	}
	say_who_is_waited_for(f, t);
}

static void warn(const struct filler *f, const char *sentence)
{
	char range[CIDR_TEXT_SIZE];

	status_add_warning(f->s, status_text(f->s, "addresses of %s: %s",
					     cidr_text(f->u->range, range), sentence));
}

static void add_warnings(const struct filler *f)
{
	const struct status_universe *u = f->u;
	const struct status_named *foreign = &u->foreign_peer;
	char name[PEER_NAME_TEXT_SIZE];

	if (u->disk)
		warn(f, status_text(f->s, "none is given out while the disk does not work: %s",
				    u->disk));
	if (u->foreign_ring)
		warn(f, status_text(f->s,
				    "peer %s has another ring, so some may be given out twice: "
				    "reset the routers of one side",
				    foreign->nickname ? foreign->nickname
						      : peer_name_text(foreign->peer, name)));
	if (u->disputed)
		warn(f, status_text(f->s,
				    "%" PRIu64 " in use here belong to another peer, which was "
				    "asked for them",
				    u->disputed));
	if (f->now.phase == IPAM_WAITING && u->voting)
		warn(f, "this router lost what it knew of them and may have voted before, so the "
			"ring must come from a peer that has it: connect to one; if there is none, "
			"run 'weave reset --force' and launch anew");
	if (f->now.phase == IPAM_TOO_MANY)
		warn(f, "more peers vote than consensus= says: restart all with seed=<names>");
}

void engine_ipam_status_add(const struct ipam *ipam, const struct topology *topology,
			    struct status *s)
{
	struct filler f = { .ipam = ipam, .topology = topology, .s = s };
	struct text state = { 0 };

	ipam_status(ipam, &f.now);
	f.u = status_add_universe(s);
	add_numbers(&f);
	add_ring(&f);
	add_pendings(&f);
	say_state(&f, &state);
	f.u->state = status_text(s, "%s", text_string(&state));
	text_fini(&state);
	add_warnings(&f);
}
