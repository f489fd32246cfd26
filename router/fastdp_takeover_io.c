#include "fastdp_state_io.h"

#include <stdlib.h>
#include <string.h>

#include <weave/alloc.h>

static int compare_inherited(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct fastdp_mac));
}

void fastdp_heard_of(struct fastdp_io *f, const struct fastdp_mac *key)
{
	struct fastdp_inherited wanted = { .key = *key }, *found = NULL;

	if (f->inherited_count)
		found = bsearch(&wanted, f->inherited, f->inherited_count, sizeof wanted,
				compare_inherited);
	if (found)
		found->settled = true;
}

static void inherit_peers(struct fastdp_io *f)
{
	uint32_t slot, *after = NULL, key;

	while (fastdp_map_next(&f->maps, MAP_PEERS, after, &slot)) {
		struct fastdp_peer value;

		key = slot;
		after = &key;
		if (!fastdp_map_get(&f->maps, MAP_PEERS, &slot, &value) ||
		    !fastdp_slot_take(&f->slots, slot, value.name))
			continue;
		f->peers[slot] = mem_new(1, sizeof *f->peers[slot]);
		*f->peers[slot] = (struct fastdp_known_peer){ .inherited = true, .value = value };
	}
}

static void inherit_sessions(struct fastdp_io *f)
{
	uint32_t number, *after = NULL, key;
	bool fresh;

	while (fastdp_map_next(&f->maps, MAP_SESSIONS, after, &number)) {
		struct fastdp_known_session *s;

		key = number;
		after = &key;
		s = fastdp_add_session(f, number);
		s->inherited = true;
		if (!fastdp_map_get(&f->maps, MAP_SESSIONS, &number, &s->value) ||
		    s->value.way.name == PEER_NAME_NONE ||
		    fastdp_slot_hold(&f->slots, s->value.way.name, &fresh) == FASTDP_NO_SLOT) {
			f->sessions_count--;
			continue;
		}
		s->peer = s->value.way.name;
		s->remote = fastdp_ip_of(&s->value.way.remote);
	}
}

/* Slots have names as far as there is a way to their peers; endpoints elsewhere go. */
static bool inherit_endpoint(struct fastdp_io *f, const struct fastdp_mac *key)
{
	struct fastdp_endpoint value;
	uint32_t slot;

	if (!fastdp_map_get(&f->maps, MAP_ENDPOINTS, key, &value))
		return false;
	if (value.where != FASTDP_AT_PEER)
		return true;
	slot = value.number;
	return slot < f->slots.count &&
	       fastdp_slot_take(&f->slots, slot, f->slots.slots[slot].peer);
}

static void inherit_endpoints(struct fastdp_io *f)
{
	struct fastdp_mac key, last;
	bool first = true;
	size_t room = 0, kept = 0;

	/* All keys first: the map must not change while it is walked. */
	while (fastdp_map_next(&f->maps, MAP_ENDPOINTS, first ? NULL : &last, &key)) {
		if (f->inherited_count == room) {
			room = room ? room * 2 : 256;
			f->inherited = mem_resize(f->inherited, room, sizeof *f->inherited);
		}
		f->inherited[f->inherited_count++] = (struct fastdp_inherited){ .key = key };
		last = key;
		first = false;
	}
	for (size_t i = 0; i < f->inherited_count; i++) {
		key = f->inherited[i].key;
		if (inherit_endpoint(f, &key))
			f->inherited[kept++].key = key;
		else
			fastdp_map_remove(&f->maps, MAP_ENDPOINTS, &key);
	}
	f->inherited_count = kept;
	if (kept)
		qsort(f->inherited, kept, sizeof *f->inherited, compare_inherited);
}

void fastdp_inherit(struct fastdp_io *f)
{
	inherit_peers(f);
	inherit_sessions(f);
	inherit_endpoints(f);
}

void fastdp_forget_inherited(struct fastdp_io *f)
{
	for (size_t i = 0; i < f->inherited_count; i++)
		if (f->inherited[i].settled)
			fastdp_settle_local(f, &f->inherited[i].key);
		else
			fastdp_remove_endpoint(f, &f->inherited[i].key);
	f->inherited_count = 0;
	for (size_t i = f->sessions_count; i-- > 0;)
		if (f->sessions[i].inherited)
			fastdp_remove_session(f, &f->sessions[i]);
	for (uint32_t slot = 0; slot < f->slots.count; slot++)
		if (f->peers[slot] && f->peers[slot]->inherited)
			fastdp_remove_peer(f, slot);
}
