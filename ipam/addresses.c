/* Which container has which offset.  The same facts as bits are in 'space', kept in step here. */
#include "allocator.h"

void addresses_init(struct addresses *a, uint64_t seed)
{
	a->hash_key = (struct hash_key){ seed, ~seed };
	list_init(&a->dying);
	list_init(&a->disputed);
	a->last = mem_new(1, sizeof *a->last);
}

void addresses_fini(struct addresses *a)
{
	TABLE_EACH(&a->by_offset, l)
		mem_free(table_entry(l, struct address, by_offset));
	table_fini(&a->by_offset);
	table_fini(&a->by_container);
	mem_free(a->last);
}

/* Offsets come from us, so nobody outside can aim at a chain. */
static uint64_t offset_hash(uint64_t offset)
{
	return offset * 0x9e3779b97f4a7c15u ^ offset >> 7;
}

static uint64_t container_hash(const struct ipam *i, struct bytes container)
{
	struct hashed_container *last = i->addresses.last;

	if (container.size == 0 || container.size > sizeof last->name)
		return 0; /* nobody has such a name */
	if (last->size != container.size ||
	    memcmp(last->name, container.data, container.size) != 0) {
		last->hash = hash64(&i->addresses.hash_key, container.data, container.size);
		last->size = container.size;
		memcpy(last->name, container.data, container.size);
	}
	return last->hash;
}

struct address *address_find(const struct ipam *i, uint64_t offset)
{
	uint64_t h = offset_hash(offset);
	const struct table *t = &i->addresses.by_offset;

	for (struct table_link *l = table_first(t, h); l; l = table_next(l, h)) {
		struct address *a = table_entry(l, struct address, by_offset);

		if (a->offset == offset)
			return a;
	}
	return NULL;
}

bool address_is_of(const struct address *a, struct bytes container)
{
	return bytes_equal(bytes_of(a->container, a->container_size), container);
}

struct address *address_of(const struct ipam *i, struct bytes container, struct span within,
			   uint64_t from)
{
	uint64_t h = container_hash(i, container);
	const struct table *t = &i->addresses.by_container;
	struct address *best = NULL;

	for (struct table_link *l = table_first(t, h); l; l = table_next(l, h)) {
		struct address *a = table_entry(l, struct address, by_container);

		if (a->offset >= within.start && a->offset < within.end && a->offset >= from &&
		    (!best || a->offset < best->offset) && address_is_of(a, container))
			best = a;
	}
	return best;
}

struct address *address_add(struct ipam *i, struct bytes container, uint64_t offset)
{
	struct address *a = mem_new(1, sizeof *a + container.size);

	a->offset = offset;
	a->container_size = (uint32_t)container.size;
	memcpy(a->container, container.data, container.size);
	list_init(&a->by_death);
	list_init(&a->by_dispute);
	table_insert(&i->addresses.by_offset, &a->by_offset, offset_hash(offset));
	table_insert(&i->addresses.by_container, &a->by_container, container_hash(i, container));
	if (!space_use(&i->space, offset))
		NOT_REACHED("an address that is in use twice");
	i->peers.space_dirty = true;
	return a;
}

void address_remove(struct ipam *i, struct address *a)
{
	address_set_disputed(i, a, false);
	address_revive(i, a);
	table_remove(&i->addresses.by_offset, &a->by_offset);
	table_remove(&i->addresses.by_container, &a->by_container);
	if (!space_release(&i->space, a->offset))
		NOT_REACHED("an address that is not in use");
	mem_free(a);
	i->peers.space_dirty = true;
	i->requests.dirty = true;
}

void address_set_disputed(struct ipam *i, struct address *a, bool disputed)
{
	if (a->disputed == disputed)
		return;
	a->disputed = disputed;
	list_remove(&a->by_dispute);
	if (disputed) {
		list_append(&i->addresses.disputed, &a->by_dispute);
		i->addresses.disputed_count++;
	} else {
		i->addresses.disputed_count--;
	}
}

void address_revive(struct ipam *i, struct address *a)
{
	if (!a->dying)
		return;
	a->dying = false;
	list_remove(&a->by_death);
	i->addresses.dying_count--;
}

void address_drop(struct ipam *i, struct address *a)
{
	out_revoke(i, a);
	out_delete(i, IPAM_TABLE_ADDRESS, a->offset);
	address_remove(i, a);
}

void addresses_tick(struct ipam *i)
{
	struct addresses *as = &i->addresses;

	while (!list_empty(&as->dying)) {
		struct address *a = list_entry(as->dying.next, struct address, by_death);

		if (!mono_reached(i->now, a->due))
			return;
		address_drop(i, a);
	}
}

/* ---- public ---- */

static struct span everything(const struct ipam *i)
{
	return (struct span){ 0, i->config.universe.size };
}

bool ipam_found(struct ipam *i, struct bytes container, uint64_t offset, struct mono now)
{
	struct address *a = address_find(i, offset);

	i->now = now;
	MUST(offset < i->config.universe.size && container.size > 0 &&
	     container.size <= IPAM_CONTAINER_MAX);
	if (a && !address_is_of(a, container))
		return false;
	if (a) {
		a->seen = true;
		return true;
	}
	address_add(i, container, offset)->seen = true;
	out_save(i, IPAM_TABLE_ADDRESS, offset, container.data, container.size);
	if (i->ring_id)
		ipam_refresh(i, (struct span){ offset, offset + 1 });
	ipam_settle(i);
	return true;
}

bool ipam_release(struct ipam *i, struct bytes container, uint64_t offset, struct mono now)
{
	struct address *a = offset < i->config.universe.size ? address_find(i, offset) : NULL;

	i->now = now;
	if (!a || !address_is_of(a, container))
		return false;
	address_drop(i, a);
	ipam_settle(i);
	return true;
}

size_t ipam_release_all(struct ipam *i, struct bytes container, struct mono now)
{
	struct address *a;
	size_t count = 0;

	i->now = now;
	for (; (a = address_of(i, container, everything(i), 0)); count++)
		address_drop(i, a);
	ipam_settle(i);
	return count;
}

void ipam_container(struct ipam *i, struct bytes container, bool alive, struct mono now)
{
	struct address *a = address_of(i, container, everything(i), 0);

	i->now = now;
	for (; a; a = address_of(i, container, everything(i), a->offset + 1)) {
		if (alive) {
			address_revive(i, a);
		} else if (!a->dying) {
			a->dying = true;
			a->due = mono_after(now, IPAM_GRACE_MS);
			list_append(&i->addresses.dying, &a->by_death);
			i->addresses.dying_count++;
		}
	}
	ipam_settle(i);
}

bool ipam_lookup(const struct ipam *i, struct bytes container, struct span within, uint64_t from,
		 uint64_t *offset)
{
	const struct address *a = address_of(i, container, within, from);

	if (a)
		*offset = a->offset;
	return a != NULL;
}

bool ipam_address_at(const struct ipam *i, uint64_t from, uint64_t *offset, struct bytes *container,
		     bool *disputed)
{
	const struct address *a;

	if (!space_next_used(&i->space, (struct span){ from, i->config.universe.size }, offset))
		return false;
	a = address_find(i, *offset);
	MUST(a);
	*container = bytes_of(a->container, a->container_size);
	*disputed = a->disputed;
	return true;
}
