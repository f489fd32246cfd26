/* What callers wait for: served when there is a ring, we are in sync and have space. */
#include "allocator.h"

void requests_init(struct requests *r)
{
	list_init(&r->waiting);
	list_init(&r->hungers);
	r->hunger_due = MONO_NEVER;
}

static void free_request(struct requests *r, struct request *q)
{
	list_remove(&q->link);
	r->count--;
	if (q->hunger)
		q->hunger->waiters--;
	mem_free(q);
}

void requests_fini(struct requests *r)
{
	while (!list_empty(&r->waiting))
		free_request(r, list_entry(r->waiting.next, struct request, link));
	hungers_fini(r);
}

static struct bytes container_of_request(const struct request *q)
{
	return bytes_of(q->container, q->container_size);
}

static bool hold(struct ipam *i, uint64_t request, struct bytes container, uint64_t offset)
{
	struct address *a = address_add(i, container, offset);

	out_save(i, IPAM_TABLE_ADDRESS, offset, container.data, container.size);
	a->ticket = i->out.ticket;
	out_address(i, request, a, true);
	return true;
}

static bool has_already(struct ipam *i, uint64_t request, struct bytes container, struct span want)
{
	struct address *a = address_of(i, container, want, 0);

	/* Handed over by reset: the heir may have given it to somebody. */
	if (!a || i->handover.retired)
		return false;
	/* It died, and the address is not ours to give it once more. */
	if (a->disputed && a->dying) {
		address_drop(i, a);
		return false;
	}
	address_revive(i, a);
	out_address(i, request, a, false);
	return true;
}

static bool try_allocate(struct ipam *i, uint64_t request, struct bytes container, struct span want)
{
	uint64_t offset;

	if (has_already(i, request, container, want))
		return true;
	if (!ipam_ready(i) || !space_lowest_free(&i->space, want, &offset))
		return false;
	return hold(i, request, container, offset);
}

static bool try_claim(struct ipam *i, uint64_t request, struct bytes container, uint64_t offset)
{
	struct span want = { offset, offset + 1 };
	char address[IP_TEXT_SIZE];
	struct address *a;
	struct why why;

	if (has_already(i, request, container, want))
		return true;
	a = address_find(i, offset);
	if (a) {
		why_set(&why, WHY_INVALID, "%s is in use here by %.*s",
			ipam_text(i, offset, address),
			(int)(a->container_size < 64 ? a->container_size : 64), a->container);
		out_no(i, request, &why);
		return true;
	}
	if (!ipam_ready(i) || !space_owns(&i->space, offset))
		return false;
	return hold(i, request, container, offset);
}

static bool serve(struct ipam *i, enum request_type type, uint64_t id, struct bytes container,
		  struct span want)
{
	struct why why;

	switch (type) {
	case REQUEST_ALLOCATE:
		if (try_allocate(i, id, container, want))
			return true;
		break;
	case REQUEST_CLAIM:
		if (try_claim(i, id, container, want.start))
			return true;
		break;
	case REQUEST_PRIME:
		if (!i->ring_id)
			break;
		out_yes(i, id, "there is a ring");
		return true;
	}
	if (!ipam_is_stuck(i, &why))
		return false;
	out_no(i, id, &why);
	return true;
}

static void wait(struct ipam *i, enum request_type type, uint64_t id, struct bytes container,
		 struct span want)
{
	struct request *q;
	struct why why;

	if (i->requests.count == IPAM_REQUESTS_MAX) {
		why_set(&why, WHY_OVERLOADED, "%u requests for addresses are waiting already",
			IPAM_REQUESTS_MAX);
		out_no(i, id, &why);
		return;
	}
	q = mem_new(1, sizeof *q + container.size);
	q->type = type;
	q->id = id;
	q->want = want;
	q->container_size = (uint32_t)container.size;
	if (container.size)
		memcpy(q->container, container.data, container.size);
	list_append(&i->requests.waiting, &q->link);
	i->requests.count++;
	i->requests.dirty = true;
	i->dirty = true;
}

static void request(struct ipam *i, enum request_type type, uint64_t id, struct bytes container,
		    struct span want, struct mono now)
{
	i->now = now;
	if (!serve(i, type, id, container, want))
		wait(i, type, id, container, want);
	ipam_settle(i);
}

static bool is_sensible(struct ipam *i, uint64_t id, struct bytes container, struct span want)
{
	struct why why;

	if (container.size > 0 && container.size <= IPAM_CONTAINER_MAX && want.start < want.end &&
	    want.end <= i->config.universe.size)
		return true;
	why_set(&why, WHY_INVALID,
		"a container's name has 1 to %u bytes, and its address lies "
		"inside the range",
		IPAM_CONTAINER_MAX);
	out_no(i, id, &why);
	return false;
}

void ipam_allocate(struct ipam *i, uint64_t id, struct bytes container, struct span within,
		   struct mono now)
{
	if (is_sensible(i, id, container, within))
		request(i, REQUEST_ALLOCATE, id, container, within, now);
}

void ipam_claim(struct ipam *i, uint64_t id, struct bytes container, uint64_t offset,
		struct mono now)
{
	struct span want = { offset, offset + 1 };

	if (offset < UINT64_MAX && is_sensible(i, id, container, want))
		request(i, REQUEST_CLAIM, id, container, want, now);
}

void ipam_prime(struct ipam *i, uint64_t id, struct mono now)
{
	request(i, REQUEST_PRIME, id, bytes_of(NULL, 0), (struct span){ 0, 0 }, now);
}

static bool cancel(struct ipam *i, uint64_t id)
{
	for (struct list *l = i->requests.waiting.next; l != &i->requests.waiting; l = l->next) {
		struct request *q = list_entry(l, struct request, link);

		if (q->id == id) {
			free_request(&i->requests, q);
			return true;
		}
	}
	return false;
}

void ipam_cancel(struct ipam *i, uint64_t id, struct mono now)
{
	i->now = now;
	if (id && !cancel(i, id) && !out_cancel(i, id)) {
		takeovers_cancel(i, id);
		if (i->handover.request == id)
			i->handover.request = 0;
	}
	ipam_settle(i);
}

void requests_fail_all(struct ipam *i, const struct why *why)
{
	while (!list_empty(&i->requests.waiting)) {
		struct request *q = list_entry(i->requests.waiting.next, struct request, link);

		out_no(i, q->id, why);
		free_request(&i->requests, q);
	}
}

void requests_fail(struct ipam *i, const struct hunger *h, const struct why *why)
{
	for (struct list *l = i->requests.waiting.next, *next; l != &i->requests.waiting;
	     l = next) {
		struct request *q = list_entry(l, struct request, link);

		next = l->next;
		if (q->hunger != h)
			continue;
		out_no(i, q->id, why);
		free_request(&i->requests, q);
	}
}

/* ---- steps ---- */

static void become_hungry(struct ipam *i, struct request *q)
{
	q->hunger = hunger_get(i, q->want);
	q->hunger->waiters++;
}

static void serve_waiting(struct ipam *i)
{
	for (struct list *l = i->requests.waiting.next, *next; l != &i->requests.waiting;
	     l = next) {
		struct request *q = list_entry(l, struct request, link);

		next = l->next;
		if (serve(i, q->type, q->id, container_of_request(q), q->want))
			free_request(&i->requests, q);
		else if (q->type != REQUEST_PRIME && !q->hunger && ipam_ready(i))
			become_hungry(i, q);
	}
}

void requests_step(struct ipam *i)
{
	if (!i->requests.dirty && !mono_reached(i->now, requests_deadline(i)))
		return;
	i->requests.dirty = false;
	serve_waiting(i);
	hungers_step(i);
}
