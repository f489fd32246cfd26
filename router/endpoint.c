#include "endpoint.h"

#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>
#include <weave/rng.h>

#include "endpoint_table.h"

#define DAY_MS (24u * 60u * 60u * 1000u)

/* From inside the store: only notes what changed; endpoints_now does the rest. */
static void on_change(void *ctx, const struct entry_view *before, const struct entry_view *after)
{
	const struct entry_view *e = after ? after : before;
	struct endpoints *all = ctx;
	struct endpoint_entry entry;
	struct record *r;

	if (e->writer == all->self)
		return;
	MUST(!endpoint_entry_decode(&entry, e));
	if (after && !(after->flags & ENTRY_TOMBSTONE)) {
		r = record_get(all, entry.segment, entry.mac);
		record_set_claim(r, &entry, after->generation);
	} else {
		r = record_find(all, entry.segment, entry.mac);
		if (!r)
			return;
		record_remove_claim(r, entry.peer);
	}
	if (!record_queued(&r->changed_link))
		list_append(&all->changed, &r->changed_link);
}

struct endpoints *endpoints_new(peer_name self, struct store *store,
				const struct topology *topology, const struct networks *networks,
				uint64_t seed)
{
	struct endpoints *e = mem_new(1, sizeof *e);
	struct rng rng = { seed };
	struct kind kind = {
		.number = KIND_ENDPOINT,
		.name = "endpoint",
		.check = endpoint_entry_check,
		.on_change = on_change,
		.ctx = e,
	};

	e->self = self;
	e->topology = topology;
	e->networks = networks;
	e->key.k0 = rng_u64(&rng);
	e->key.k1 = rng_u64(&rng);
	list_init(&e->learned[0]);
	list_init(&e->learned[1]);
	list_init(&e->seen);
	list_init(&e->pending);
	list_init(&e->changed);
	list_init(&e->touched);
	e->publish_tokens = ENDPOINT_PUBLISH_BURST;
	e->publish_tokens_day = ENDPOINT_PUBLISH_DAY;
	store_register(store, &kind);
	return e;
}

void endpoints_free(struct endpoints *e)
{
	if (!e)
		return;
	while (e->records_count)
		record_free(e, e->records[0]);
	table_fini(&e->table);
	table_fini(&e->origins);
	mem_free(e->records);
	mem_free(e);
}

/* Does the best claim of others beat ours? */
static bool is_outbid(struct endpoints *e, struct record *r)
{
	const struct claim *best = record_best(e, r);

	if (!best)
		return false;
	if (!record_is_local(r) || best->claim != r->claim)
		return !record_is_local(r) || best->claim > r->claim;
	return best->peer < e->self;
}

static peer_name owner_of(struct endpoints *e, struct record *r)
{
	if (record_is_local(r) && !is_outbid(e, r))
		return e->self;
	return record_best(e, r) ? record_best(e, r)->peer : PEER_NAME_NONE;
}

static bool is_frozen(const struct endpoints *e, const struct record *r)
{
	return e->now.ms < r->frozen_until.ms;
}

static void count_move(struct endpoints *e, struct record *r)
{
	if (r->moves_count == ENDPOINT_MOVES_MAX) {
		memmove(r->moves, r->moves + 1, sizeof r->moves - sizeof r->moves[0]);
		r->moves_count--;
	}
	r->moves[r->moves_count++] = e->now;
	if (r->moves_count < ENDPOINT_MOVES_MAX ||
	    mono_elapsed(r->moves[0], e->now) > ENDPOINT_MOVES_MS)
		return;
	r->frozen_until = mono_after(e->now, ENDPOINT_FREEZE_MS);
	r->moves_count = 0;
}

/* After a claim, ours or another's, changed.  That the old owner cannot be reached is no move. */
static void note_owner(struct endpoints *e, struct record *r)
{
	peer_name owner = owner_of(e, r);

	r->claimed = e->now;
	record_touch(e, r);
	if (owner == PEER_NAME_NONE || owner == r->owner)
		return;
	if (r->owner != PEER_NAME_NONE &&
	    (r->owner == e->self || topology_reachable(e->topology, r->owner)))
		count_move(e, r);
	r->owner = owner;
}

static void queue_publish(struct endpoints *e, struct record *r)
{
	if (!record_queued(&r->pending_link))
		list_append(&e->pending, &r->pending_link);
}

static void drop_learned(struct endpoints *e, struct record *r)
{
	MUST(r->learned && !r->attached);
	r->learned = false;
	r->publish = false;
	r->claim = 0;
	list_remove(&r->local);
	e->local_count--;
	record_touch(e, r);
	if (r->published)
		queue_publish(e, r);
	record_release(e, r);
}

static void settle(struct endpoints *e, struct record *r)
{
	note_owner(e, r);
	if (r->learned && !r->attached && is_outbid(e, r))
		drop_learned(e, r);
	else
		record_release(e, r);
}

void endpoints_now(struct endpoints *e, struct mono now)
{
	e->now = now;
	while (!list_empty(&e->changed)) {
		struct record *r = list_entry(e->changed.next, struct record, changed_link);

		list_remove(&r->changed_link);
		settle(e, r);
	}
}

static bool make_local_room(struct endpoints *e)
{
	if (e->local_count < ENDPOINTS_LOCAL_MAX)
		return true;
	for (unsigned i = 0; i < 2; i++) {
		if (list_empty(&e->learned[i]))
			continue;
		drop_learned(e, list_entry(e->learned[i].next, struct record, local));
		return true;
	}
	return false;
}

static uint32_t next_claim(const struct record *r)
{
	uint32_t max = record_claim_max(r);

	if (r->claim > max)
		return r->claim;
	return max + 1 < ENDPOINT_CLAIM_LIMIT ? max + 1 : ENDPOINT_CLAIM_LIMIT - 1;
}

/* Puts ours above everybody's. */
static void claim(struct endpoints *e, struct record *r)
{
	r->publish = true;
	r->claim = next_claim(r);
	record_forget_seen(e, r);
	note_owner(e, r);
	queue_publish(e, r);
}

static bool same_ips(const struct record *r, const struct ip_addr *ips, size_t count)
{
	if (r->ips_count != count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (ip_compare(r->ips[i], ips[i]))
			return false;
	return true;
}

bool endpoints_attach(struct endpoints *e, uint32_t segment, struct mac mac,
		      const struct ip_addr *ips, size_t ips_count)
{
	struct record *r = record_find(e, segment, mac);

	if (ips_count > ENDPOINT_IPS_MAX)
		ips_count = ENDPOINT_IPS_MAX;
	if (!(r && record_is_local(r)) && !make_local_room(e))
		return false;
	r = record_get(e, segment, mac);
	if (r->attached && same_ips(r, ips, ips_count) && !is_outbid(e, r))
		return true;
	if (!record_is_local(r))
		e->local_count++;
	list_remove(&r->local);
	r->attached = true;
	r->learned = false;
	r->seen_here = e->now;
	mem_free(r->ips);
	r->ips = ips_count ? mem_copy(ips, ips_count * sizeof *ips) : NULL;
	r->ips_count = (uint32_t)ips_count;
	claim(e, r);
	return true;
}

void endpoints_detach(struct endpoints *e, uint32_t segment, struct mac mac)
{
	struct record *r = record_find(e, segment, mac);

	if (!r || !r->attached)
		return;
	r->attached = false;
	r->publish = false;
	r->claim = 0;
	r->ips_count = 0;
	mem_free(r->ips);
	r->ips = NULL;
	e->local_count--;
	record_touch(e, r);
	if (r->published)
		queue_publish(e, r);
	record_release(e, r);
}

void endpoints_leave(struct endpoints *e, uint32_t segment)
{
	/* From the end: what is freed takes the last one to its place. */
	for (size_t i = e->records_count; i-- > 0;) {
		struct record *r = e->records[i];

		if (r->segment != segment)
			continue;
		if (r->origin)
			record_forget_seen(e, r);
		if (r->attached)
			endpoints_detach(e, segment, r->mac);
		else if (r->learned)
			drop_learned(e, r);
		else
			record_release(e, r);
	}
}

/* Adds what 'rate' tokens in 'per_ms' have brought since '*at'. */
static void refill(uint64_t *tokens, uint64_t max, struct mono *at, struct mono now, uint64_t rate,
		   uint64_t per_ms)
{
	uint64_t more = mono_elapsed(*at, now) * rate / per_ms;

	if (*tokens + more >= max) {
		*tokens = max;
		*at = now;
	} else if (more) {
		*tokens += more;
		*at = mono_after(*at, more * per_ms / rate);
	}
}

static bool may_publish(struct endpoints *e)
{
	refill(&e->publish_tokens, ENDPOINT_PUBLISH_BURST, &e->publish_at, e->now,
	       ENDPOINT_PUBLISH_RATE, 1000);
	refill(&e->publish_tokens_day, ENDPOINT_PUBLISH_DAY, &e->publish_day_at, e->now,
	       ENDPOINT_PUBLISH_DAY, DAY_MS);
	return e->publish_tokens > 0 && e->publish_tokens_day > 0;
}

/* Claims if the rate allows; the list it stands in follows. */
static void publish_learned(struct endpoints *e, struct record *r)
{
	if (!r->publish && may_publish(e)) {
		e->publish_tokens--;
		e->publish_tokens_day--;
		claim(e, r);
	}
	list_remove(&r->local);
	list_append(&e->learned[r->publish], &r->local);
}

static void learn_new(struct endpoints *e, uint32_t segment, struct mac mac)
{
	struct record *r;

	if (!make_local_room(e))
		return; /* all attached: the frame passes, its source is not remembered */
	r = record_get(e, segment, mac);
	r->learned = true;
	r->seen_here = e->now;
	e->local_count++;
	record_touch(e, r);
	publish_learned(e, r);
}

static enum endpoint_source judge(struct endpoints *e, struct record *r)
{
	if (!r || !is_outbid(e, r))
		return ENDPOINT_SOURCE_OK;
	if (is_frozen(e, r))
		return ENDPOINT_SOURCE_FROZEN;
	if (mono_elapsed(r->claimed, e->now) < ENDPOINT_CLAIM_APART_MS)
		return ENDPOINT_SOURCE_FOREIGN;
	/* Claiming an attached one back costs nothing: there are only so many. */
	return r->attached || may_publish(e) ? ENDPOINT_SOURCE_OK : ENDPOINT_SOURCE_FOREIGN;
}

enum endpoint_source endpoints_would_learn(struct endpoints *e, uint32_t segment, struct mac mac)
{
	return judge(e, record_find(e, segment, mac));
}

enum endpoint_source endpoints_learn_local(struct endpoints *e, uint32_t segment, struct mac mac)
{
	struct record *r = record_find(e, segment, mac);
	enum endpoint_source source = judge(e, r);

	if (source != ENDPOINT_SOURCE_OK)
		return source;
	if (!r || !record_is_local(r)) {
		learn_new(e, segment, mac);
		return source;
	}
	r->seen_here = e->now;
	if (!r->attached)
		publish_learned(e, r);
	else if (is_outbid(e, r))
		claim(e, r);
	return source;
}

void endpoints_learn_seen(struct endpoints *e, uint32_t segment, struct mac mac, peer_name origin)
{
	struct record *r = record_find(e, segment, mac);

	if (mac_is_group(mac) || (r && (record_is_local(r) || record_best(e, r))))
		return;
	if (!r || !r->origin)
		record_make_seen_room(e, origin);
	/* Making room may have freed it. */
	record_see(e, record_get(e, segment, mac), origin);
}

peer_name endpoints_find(struct endpoints *e, uint32_t segment, struct mac mac)
{
	struct record *r = record_find(e, segment, mac);
	peer_name owner;

	if (!r)
		return PEER_NAME_NONE;
	owner = owner_of(e, r);
	if (owner != PEER_NAME_NONE || !r->origin)
		return owner;
	return topology_reachable(e->topology, r->origin->peer) &&
			       networks_takes(e->networks, segment, r->origin->peer)
		       ? r->origin->peer
		       : PEER_NAME_NONE;
}

void endpoints_tick(struct endpoints *e)
{
	for (unsigned i = 0; i < 2; i++) {
		while (!list_empty(&e->learned[i])) {
			struct record *r = list_entry(e->learned[i].next, struct record, local);

			if (mono_elapsed(r->seen_here, e->now) < ENDPOINT_IDLE_MS)
				break;
			drop_learned(e, r);
		}
	}
	while (!list_empty(&e->seen)) {
		struct record *r = list_entry(e->seen.next, struct record, by_age);

		if (mono_elapsed(r->seen_there, e->now) < ENDPOINT_IDLE_MS)
			break;
		record_forget_seen(e, r);
		record_release(e, r);
	}
}

struct mono endpoints_deadline(const struct endpoints *e)
{
	struct mono due = MONO_NEVER;

	if (!list_empty(&e->pending) || !list_empty(&e->changed))
		return e->now;
	for (unsigned i = 0; i < 2; i++)
		if (!list_empty(&e->learned[i]))
			due = mono_min(
				due, mono_after(list_entry(e->learned[i].next, struct record, local)
							->seen_here,
						ENDPOINT_IDLE_MS));
	if (!list_empty(&e->seen))
		due = mono_min(
			due, mono_after(list_entry(e->seen.next, struct record, by_age)->seen_there,
					ENDPOINT_IDLE_MS));
	return due;
}

static void fill_entry(const struct endpoints *e, const struct record *r,
		       struct endpoint_entry *entry)
{
	*entry = (struct endpoint_entry){
		.segment = r->segment,
		.mac = r->mac,
		.peer = e->self,
		.claim = r->claim,
		.flags = r->attached ? ENDPOINT_ATTACHED : 0,
		.ips_count = (uint8_t)r->ips_count,
	};
	if (r->ips_count)
		memcpy(entry->ips, r->ips, r->ips_count * sizeof r->ips[0]);
}

bool endpoints_next_publish(struct endpoints *e, struct bytes *key, struct bytes *value)
{
	while (!list_empty(&e->pending)) {
		struct record *r = list_entry(e->pending.next, struct record, pending_link);
		struct writer k = writer_over(e->key_buffer, sizeof e->key_buffer);
		struct writer v = writer_over(e->value_buffer, sizeof e->value_buffer);
		bool was = r->published;
		struct endpoint_entry entry;

		list_remove(&r->pending_link);
		r->published = record_is_local(r) && r->publish;
		fill_entry(e, r, &entry);
		endpoint_entry_key(&entry, &k);
		endpoint_entry_value(&entry, &v);
		*key = writer_bytes(&k);
		*value = r->published ? writer_bytes(&v) : bytes_of(NULL, 0);
		if (r->published || was) {
			record_release(e, r);
			return true;
		}
		record_release(e, r);
	}
	return false;
}

static struct mono later(struct mono a, struct mono b)
{
	return a.ms > b.ms ? a : b;
}

bool endpoints_at(struct endpoints *e, size_t index, struct endpoint_view *view)
{
	const struct claim *best;
	struct record *r;

	if (index >= e->records_count)
		return false;
	r = e->records[index];
	best = record_best(e, r);
	*view = (struct endpoint_view){
		.segment = r->segment,
		.mac = r->mac,
		.peer = endpoints_find(e, r->segment, r->mac),
		.frozen = is_frozen(e, r),
		.changed = r->claimed,
	};
	if (view->peer == e->self && record_is_local(r)) {
		view->attached = r->attached;
		view->published = r->published;
		view->changed = later(r->claimed, r->seen_here);
		view->ips = r->ips;
		view->ips_count = r->ips_count;
	} else if (best) {
		view->published = true;
		view->ips = best->ips;
		view->ips_count = best->ips_count;
	} else if (r->origin) {
		view->changed = r->seen_there;
	}
	return true;
}

void endpoints_track(struct endpoints *e)
{
	e->tracking = true;
	e->tracked_version = record_version(e);
	for (size_t i = 0; i < e->records_count; i++)
		record_touch(e, e->records[i]);
}

/* Who can be reached, and means the same, decides which claims count. */
static void touch_by_version(struct endpoints *e)
{
	uint64_t version = record_version(e);

	if (e->tracked_version == version)
		return;
	e->tracked_version = version;
	for (size_t i = 0; i < e->records_count; i++)
		if (e->records[i]->claims || e->records[i]->origin)
			record_touch(e, e->records[i]);
}

bool endpoints_next_changed(struct endpoints *e, struct endpoint_view *view)
{
	struct record *r;

	touch_by_version(e);
	if (list_empty(&e->touched))
		return false;
	r = list_entry(e->touched.next, struct record, touched_link);
	list_remove(&r->touched_link);
	endpoints_at(e, r->index, view);
	record_release(e, r);
	return true;
}

void endpoints_check(struct endpoints *e)
{
	size_t local = 0, seen = 0;

	MUST(e->table.count == e->records_count);
	for (size_t i = 0; i < e->records_count; i++) {
		const struct record *r = e->records[i];

		MUST(r->index == i);
		MUST(record_find(e, r->segment, r->mac) == r);
		MUST(!(r->attached && r->learned));
		MUST(record_is_local(r) || !r->publish);
		MUST(record_is_local(r) || !r->published || record_queued(&r->pending_link));
		MUST(r->learned == record_queued(&r->local));
		MUST(!r->attached || r->publish);
		local += record_is_local(r);
		seen += r->origin != NULL;
	}
	MUST(local == e->local_count && local <= ENDPOINTS_LOCAL_MAX);
	MUST(seen == e->seen_count && seen <= ENDPOINTS_LEARNED_MAX);
}
