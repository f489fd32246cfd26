#include "fastdp_slots.h"

#include <weave/alloc.h>
#include <weave/hash.h>
#include <weave/must.h>

/* Names are the peers' own choice, but there are at most as many as slots. */
static uint64_t hash_of(peer_name peer)
{
	static const struct hash_key key = { 0x736c6f74, 1 };

	return hash64(&key, &peer, sizeof peer);
}

void fastdp_slots_init(struct fastdp_slots *s, uint32_t max)
{
	*s = (struct fastdp_slots){ .max = max, .free = FASTDP_NO_SLOT };
	s->slots = mem_new(max, sizeof *s->slots);
}

void fastdp_slots_fini(struct fastdp_slots *s)
{
	table_fini(&s->by_name);
	mem_free(s->slots);
}

uint32_t fastdp_slot_find(const struct fastdp_slots *s, peer_name peer)
{
	uint64_t hash = hash_of(peer);
	struct table_link *l = table_first(&s->by_name, hash);

	for (; l; l = table_next(l, hash)) {
		const struct fastdp_slot *slot = table_entry(l, struct fastdp_slot, link);

		if (slot->peer == peer)
			return (uint32_t)(slot - s->slots);
	}
	return FASTDP_NO_SLOT;
}

static void give(struct fastdp_slots *s, uint32_t slot, peer_name peer)
{
	s->slots[slot].peer = peer;
	table_insert(&s->by_name, &s->slots[slot].link, hash_of(peer));
}

static uint32_t any_free(struct fastdp_slots *s)
{
	uint32_t slot = s->free;

	if (slot != FASTDP_NO_SLOT) {
		s->free = s->slots[slot].next_free;
		return slot;
	}
	return s->count < s->max ? s->count++ : FASTDP_NO_SLOT;
}

uint32_t fastdp_slot_hold(struct fastdp_slots *s, peer_name peer, bool *fresh)
{
	uint32_t slot = fastdp_slot_find(s, peer);

	MUST(peer != PEER_NAME_NONE);
	*fresh = slot == FASTDP_NO_SLOT;
	if (*fresh)
		slot = any_free(s);
	if (slot == FASTDP_NO_SLOT)
		return slot;
	if (*fresh)
		give(s, slot, peer);
	s->slots[slot].holds++;
	return slot;
}

static void put_free(struct fastdp_slots *s, uint32_t slot)
{
	s->slots[slot].next_free = s->free;
	s->free = slot;
}

/* Takes a slot out of the free ones, if it is there; only at the start, so a walk will do. */
static bool pick(struct fastdp_slots *s, uint32_t slot)
{
	uint32_t *at = &s->free;

	while (s->count <= slot)
		put_free(s, s->count++);
	for (; *at != FASTDP_NO_SLOT; at = &s->slots[*at].next_free) {
		if (*at == slot) {
			*at = s->slots[slot].next_free;
			return true;
		}
	}
	return false;
}

bool fastdp_slot_take(struct fastdp_slots *s, uint32_t slot, peer_name peer)
{
	if (slot >= s->max || peer == PEER_NAME_NONE)
		return false;
	if (slot < s->count && s->slots[slot].peer == peer) {
		s->slots[slot].holds++;
		return true;
	}
	if (fastdp_slot_find(s, peer) != FASTDP_NO_SLOT || !pick(s, slot))
		return false;
	give(s, slot, peer);
	s->slots[slot].holds++;
	return true;
}

void fastdp_slot_release(struct fastdp_slots *s, uint32_t slot)
{
	struct fastdp_slot *p = &s->slots[slot];

	MUST(slot < s->count && p->holds);
	if (--p->holds)
		return;
	table_remove(&s->by_name, &p->link);
	p->peer = PEER_NAME_NONE;
	put_free(s, slot);
}
