/* RINGS: what we tell neighbours of all our rings, and what they tell us. */
#include "allocator.h"

size_t ipam_rings(struct ipam *const *list, size_t count, void *buffer, size_t size)
{
	struct writer w = writer_over(buffer, size);
	struct rings rings = { .count = (uint32_t)count };

	MUST(count <= RINGS_MAX);
	for (size_t n = 0; n < count; n++) {
		rings.list[n].universe = list[n]->config.universe;
		rings.list[n].state = ipam_ring_state(list[n]);
	}
	rings_encode(&rings, &w);
	MUST(!w.full);
	return writer_size(&w);
}

static struct ipam_ring_state state_of(const struct rings *rings, const struct universe *u)
{
	for (uint32_t n = 0; n < rings->count; n++)
		if (universe_equal(&rings->list[n].universe, u))
			return rings->list[n].state;
	return (struct ipam_ring_state){ .ring_id = 0 };
}

const char *ipam_on_rings(struct ipam *const *list, size_t count, peer_name peer, struct bytes body,
			  struct mono now)
{
	struct rings rings;
	const char *bad = rings_decode(&rings, body);

	for (size_t n = 0; !bad && n < count; n++) {
		struct ipam_ring_state state = state_of(&rings, &list[n]->config.universe);

		ipam_on_neighbour(list[n], peer, &state, now);
	}
	return bad;
}
