/* What is known of addresses, as text.  The lines of owners are Weave Net's; what follows them is
 * not. */
#include "status_render.h"

#include <inttypes.h>

#include <weave/must.h>

#define LABEL "%15s: "
#define PEER_WIDTH 37

double status_percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0.0;
}

static void add_owner(const struct status_universe *u, const struct status_ipam_owner *o,
		      struct text *out)
{
	status_peer_text(out, o->peer, o->nickname, PEER_WIDTH);
	text_add(out, " %8" PRIu64 " IPs (%04.1f%% of total)", o->owned,
		 status_percent(o->owned, u->size));
	if (o->self)
		text_add(out, " (%" PRIu64 " active)", u->active);
	else if (o->former)
		text_add_string(out, " - unreachable! (an earlier disk of this peer)");
	else if (!o->reachable)
		text_add_string(out, " - unreachable!");
	text_add_string(out, "\n");
}

static void add_state(const struct status_universe *u, struct text *out)
{
	char cidr[CIDR_TEXT_SIZE];

	text_add(out, LABEL, "Status");
	status_clean(out, u->state ? u->state : u->phase);
	text_add(out, "\n" LABEL "%s\n", "Range", cidr_text(u->range, cidr));
}

static void add_named(const char *label, const struct status_named *list, size_t count,
		      struct text *out)
{
	text_add(out, LABEL, label);
	for (size_t i = 0; i < count; i++) {
		text_add_string(out, i ? ", " : "");
		status_peer_text(out, list[i].peer, list[i].nickname, 0);
	}
	text_add_string(out, "\n");
}

static void add_count(const char *label, uint64_t count, const char *meaning, struct text *out)
{
	if (count)
		text_add(out, LABEL "%" PRIu64 " %s\n", label, count, meaning);
}

static void add_pending(const struct status_universe *u, struct text *out)
{
	if (u->pending_allocates || u->pending_claims)
		text_add(out, LABEL "%" PRIu64 " allocations, %" PRIu64 " claims\n", "Pending",
			 u->pending_allocates, u->pending_claims);
	if (u->waiting_for_count)
		add_named("WaitingFor", u->waiting_for, u->waiting_for_count, out);
}

static void add_troubles(const struct status_universe *u, struct text *out)
{
	add_count("Disputed", u->disputed, "addresses of containers here belong to another peer",
		  out);
	add_count("Unconfirmed", u->own_unconfirmed,
		  "addresses taken over, but not every peer has answered: not in use", out);
	add_count("TakenAway", u->disputes_total, "addresses were taken over by another peer", out);
	if (u->foreign_ring)
		add_named("ForeignRing", &u->foreign_peer, 1, out);
}

static void add_universe(const struct status_universe *u, struct text *out)
{
	for (size_t i = 0; i < u->owners_count; i++)
		add_owner(u, &u->owners[i], out);
	text_add_string(out, u->owners_count ? "\n" : "");
	add_state(u, out);
	text_add(out, LABEL "%" PRIu64, "Active", u->active);
	if (u->dying)
		text_add(out, " (%" PRIu64 " of dead containers)", u->dying);
	text_add(out, "\n" LABEL "%" PRIu64 " of %" PRIu64 "\n", "Free", u->own_free, u->own);
	add_pending(u, out);
	add_troubles(u, out);
}

void status_render_ipam(const struct status *s, struct text *out)
{
	for (size_t i = 0; i < s->universes_count; i++) {
		text_add_string(out, i ? "\n" : "");
		add_universe(&s->universes[i], out);
	}
}

void status_render_ipam_section(const struct status *s, struct text *out)
{
	char cidr[CIDR_TEXT_SIZE];

	if (s->universes_count == 0)
		return;
	text_add_string(out, "        Service: ipam\n");
	for (size_t i = 0; i < s->universes_count; i++)
		add_state(&s->universes[i], out);
	text_add(out, LABEL, "DefaultSubnet");
	for (size_t i = 0; i < s->default_subnets_count; i++)
		text_add(out, "%s%s", i ? ", " : "", cidr_text(s->default_subnets[i], cidr));
	text_add_string(out, "\n\n");
}

struct cidr status_default_subnet(const struct status *s, const struct status_universe *u)
{
	for (size_t i = 0; i < s->default_subnets_count; i++)
		if (cidr_overlaps(s->default_subnets[i], u->range))
			return s->default_subnets[i];
	return u->range;
}

struct status_unreachable status_unreachable(const struct status_universe *u)
{
	struct status_unreachable result = { 0 };

	for (size_t i = 0; i < u->owners_count; i++) {
		if (u->owners[i].self || (u->owners[i].reachable && !u->owners[i].former))
			continue;
		result.owners++;
		result.addresses += u->owners[i].owned;
	}
	return result;
}
