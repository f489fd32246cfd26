/* Actions on their way out: in order, and not before what they depend on is durable. */
#include "allocator.h"

#include <stdarg.h>
#include <stdio.h>

static struct item *push(struct items *q)
{
	struct item *item;

	if (q->count == q->room) {
		size_t room = q->room ? q->room * 2 : 16;
		struct item *list = mem_new(room, sizeof *list);

		for (size_t n = 0; n < q->count; n++)
			list[n] = q->list[(q->head + n) & (q->room - 1)]; /* data moves along */
		mem_free(q->list);
		*q = (struct items){ .list = list, .count = q->count, .room = room };
	}
	item = &q->list[(q->head + q->count++) & (q->room - 1)];
	memset(item, 0, offsetof(struct item, few));
	return item;
}

static struct item *pop(struct items *q)
{
	struct item *item = &q->list[q->head];

	q->head = (q->head + 1) & (q->room - 1);
	q->count--;
	return item;
}

/* Without the bytes that are not used. */
static void copy_item(struct item *to, const struct item *from)
{
	memcpy(to, from, offsetof(struct item, few));
	if (!from->data && from->size)
		memcpy(to->few, from->few, from->size + 1);
}

static void fini_items(struct items *q)
{
	while (q->count)
		mem_free(pop(q)->data);
	mem_free(q->list);
	*q = (struct items){ 0 };
}

void out_fini(struct outgoing *o)
{
	fini_items(&o->ready);
	fini_items(&o->held);
	mem_free(o->current.data);
}

/* Room for 'size' bytes that travel with the item. */
static uint8_t *payload(struct item *item, size_t size)
{
	item->size = (uint32_t)size;
	if (size < sizeof item->few)
		return item->few;
	item->data = mem_new(1, size + 1);
	return item->data;
}

/* What is held waits for all that was saved so far, whatever it is: simple, and never wrong. */
static struct item *start(struct ipam *i, enum ipam_action_type type, bool hold)
{
	struct outgoing *o = &i->out;
	struct item *item = push(hold && o->ticket > o->saved ? &o->held : &o->ready);

	item->type = type;
	item->after = o->ticket;
	return item;
}

static void save(struct ipam *i, enum ipam_table table, uint64_t key, struct bytes value, bool put)
{
	struct item *item = start(i, IPAM_SAVE, false);
	uint8_t *room = payload(item, value.size);

	if (value.size)
		memcpy(room, value.data, value.size);
	item->table = table;
	item->number = key;
	item->ok = put;
	item->ticket = ++i->out.ticket;
}

void out_save(struct ipam *i, enum ipam_table table, uint64_t key, const void *data, size_t size)
{
	save(i, table, key, bytes_of(data, size), true);
}

void out_delete(struct ipam *i, enum ipam_table table, uint64_t key)
{
	save(i, table, key, bytes_of(NULL, 0), false);
}

static void add_entry(struct ipam *i, enum ipam_action_type type, const struct entry_view *e,
		      bool hold)
{
	struct item *item = start(i, type, hold);
	uint8_t *room = payload(item, e->key.size + e->value.size);

	item->key_size = (uint32_t)e->key.size;
	memcpy(room, e->key.data, e->key.size);
	if (e->value.size)
		memcpy(room + e->key.size, e->value.data, e->value.size);
	item->kind = e->kind;
	item->peer = e->writer;
	item->number = e->generation;
	item->version = e->version;
}

void out_merge(struct ipam *i, const struct entry_view *e, bool hold)
{
	add_entry(i, IPAM_MERGE, e, hold);
}

void out_put(struct ipam *i, const struct entry_view *e)
{
	add_entry(i, IPAM_PUT, e, false);
}

void out_send(struct ipam *i, peer_name peer, struct ipam_message *m, bool hold)
{
	uint8_t *buffer = mem_new(1, UNICAST_PAYLOAD_MAX);
	struct writer w = writer_over(buffer, UNICAST_PAYLOAD_MAX);
	struct item *item;

	m->universe = i->config.universe;
	m->ring_id = i->ring_id;
	m->store_id = i->self.store_id;
	ipam_message_encode(m, &w);
	item = start(i, IPAM_SEND, hold);
	item->peer = peer;
	memcpy(payload(item, writer_size(&w)), buffer, writer_size(&w));
	mem_free(buffer);
}

void out_address(struct ipam *i, uint64_t request, struct address *a, bool fresh)
{
	struct item *item;

	if (!request)
		return;
	item = start(i, IPAM_ANSWER, true);
	item->number = request;
	item->ok = true;
	item->offset = a->offset;
	item->ticket = a->ticket;
	item->fresh = fresh;
	item->promise = a->promised = ++i->out.promised;
}

void out_yes(struct ipam *i, uint64_t request, const char *format, ...)
{
	struct item *item;
	char text[512];
	size_t size;
	va_list args;

	if (!request)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	size = strlen(text);
	item = start(i, IPAM_ANSWER, true);
	item->number = request;
	item->ok = true;
	memcpy(payload(item, size + 1), text, size + 1);
	item->size = (uint32_t)size;
}

void out_no(struct ipam *i, uint64_t request, const struct why *why)
{
	struct item *item;
	size_t size;

	if (!request)
		return;
	size = strlen(why->text);
	item = start(i, IPAM_ANSWER, false);
	item->number = request;
	item->reason = why->reason;
	memcpy(payload(item, size + 1), why->text, size + 1);
	item->size = (uint32_t)size;
}

/* ---- to the world ---- */

static void fill_entry(const struct item *item, struct bytes data, struct entry_view *e)
{
	*e = (struct entry_view){
		.kind = item->kind,
		.writer = item->peer,
		.generation = item->number,
		.version = item->version,
		.key = bytes_of(data.data, item->key_size),
		.value = bytes_of(data.data + item->key_size, data.size - item->key_size),
	};
}

static void fill_answer(const struct item *item, struct bytes data, struct ipam_action *a)
{
	a->request = item->number;
	a->ok = item->ok;
	a->offset = item->offset;
	a->fresh = item->fresh;
	if (item->ok)
		a->bytes = data;
	else
		why_set(&a->why, item->reason, "%s", (const char *)data.data);
}

static void fill(const struct item *item, struct ipam_action *a)
{
	struct bytes data = bytes_of(item->data ? item->data : item->few, item->size);

	memset(a, 0, offsetof(struct ipam_action, why));
	a->type = item->type;
	switch (item->type) {
	case IPAM_SAVE:
		a->table = item->table;
		a->key = item->number;
		a->ticket = item->ticket;
		a->ok = item->ok;
		if (item->ok)
			a->bytes = data;
		break;
	case IPAM_MERGE:
	case IPAM_PUT:
		fill_entry(item, data, &a->entry);
		break;
	case IPAM_SEND:
		a->peer = item->peer;
		a->bytes = data;
		break;
	case IPAM_ANSWER:
		fill_answer(item, data, a);
		break;
	case IPAM_RENEW:
		break;
	}
}

/* The next that is not an answer nobody waits for any more. */
static bool take(struct outgoing *o)
{
	while (o->ready.count) {
		mem_free(o->current.data);
		copy_item(&o->current, pop(&o->ready));
		if (o->current.promise)
			o->kept = o->current.promise;
		if (o->current.type != IPAM_ANSWER || o->current.number)
			return true;
	}
	return false;
}

bool ipam_next_action(struct ipam *i, struct ipam_action *action)
{
	struct outgoing *o = &i->out;

	if (o->renew) {
		o->renew = false;
		*action = (struct ipam_action){ .type = IPAM_RENEW };
		return true;
	}
	if (!take(o))
		return false;
	fill(&o->current, action);
	return true;
}

uint64_t ipam_urgent(const struct ipam *i)
{
	const struct items *q = &i->out.held;

	return q->count ? q->list[(q->head + q->count - 1) & (q->room - 1)].after : 0;
}

void ipam_on_saved(struct ipam *i, uint64_t ticket, struct mono now)
{
	struct outgoing *o = &i->out;

	MUST(ticket <= o->ticket);
	i->now = now;
	if (ticket > o->saved)
		o->saved = ticket;
	while (o->held.count && o->held.list[o->held.head].after <= o->saved) {
		struct item *to = push(&o->ready);

		copy_item(to, pop(&o->held));
	}
}

static bool gives_address(const struct item *item)
{
	return item->promise && item->number;
}

/* Another answer gives this very address: it is for that one to take back now. */
static bool pass_on(struct items *q, const struct address *a)
{
	for (size_t n = 0; n < q->count; n++) {
		struct item *item = &q->list[(q->head + n) & (q->room - 1)];

		if (!gives_address(item) || item->offset != a->offset || item->ticket != a->ticket)
			continue;
		item->fresh = true;
		return true;
	}
	return false;
}

/* Since it was given the address may have been freed, and given to another: the ticket tells. */
static void take_back(struct ipam *i, struct item *item)
{
	struct address *a = item->fresh ? address_find(i, item->offset) : NULL;

	item->number = 0;
	if (!a || a->ticket != item->ticket || a->seen || pass_on(&i->out.held, a) ||
	    pass_on(&i->out.ready, a))
		return;
	out_delete(i, IPAM_TABLE_ADDRESS, a->offset);
	address_remove(i, a);
}

static void revoke(struct ipam *i, struct items *q, const struct address *a)
{
	struct why why;

	why_set(&why, WHY_INVALID, "its container was released before the address was durable");
	/* Refusals are added at the end of the queue meanwhile. */
	for (size_t n = 0; n < q->count; n++) {
		struct item *item = &q->list[(q->head + n) & (q->room - 1)];
		uint64_t request = item->number;

		if (!gives_address(item) || item->offset != a->offset || item->ticket != a->ticket)
			continue;
		item->number = 0;
		out_no(i, request, &why);
	}
}

void out_revoke(struct ipam *i, const struct address *a)
{
	if (a->promised <= i->out.kept)
		return;
	revoke(i, &i->out.held, a);
	revoke(i, &i->out.ready, a);
}

static bool forget_answer(struct ipam *i, struct items *q, uint64_t request)
{
	for (size_t n = 0; n < q->count; n++) {
		struct item *item = &q->list[(q->head + n) & (q->room - 1)];

		if (item->type != IPAM_ANSWER || item->number != request)
			continue;
		take_back(i, item);
		return true;
	}
	return false;
}

bool out_cancel(struct ipam *i, uint64_t request)
{
	return forget_answer(i, &i->out.held, request) || forget_answer(i, &i->out.ready, request);
}

void out_refuse_held(struct ipam *i, const struct why *why)
{
	struct items *q = &i->out.held;

	for (size_t n = 0; n < q->count; n++) {
		struct item *item = &q->list[(q->head + n) & (q->room - 1)];
		uint64_t request = item->number;

		if (item->type != IPAM_ANSWER || !request)
			continue;
		take_back(i, item);
		out_no(i, request, why);
	}
}
