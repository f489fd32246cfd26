#include <weave/outbox.h>

#include <weave/alloc.h>

void outbox_init(struct outbox *o)
{
	*o = (struct outbox){ .arena = mem_new(1, OUTBOX_ARENA_SIZE) };
}

void outbox_fini(struct outbox *o)
{
	mem_free(o->arena);
	*o = (struct outbox){ 0 };
}

void outbox_clear(struct outbox *o)
{
	o->datagrams_count = 0;
	o->frames_count = 0;
	o->arena_used = 0;
	o->batch++;
}

bool outbox_nearly_full(const struct outbox *o)
{
	return OUTBOX_ARENA_SIZE - o->arena_used < OUTBOX_RESERVE ||
	       o->datagrams_count > OUTBOX_DATAGRAMS_MAX / 2 ||
	       o->frames_count > OUTBOX_FRAMES_MAX / 2;
}

static uint8_t *take(struct outbox *o, size_t size)
{
	uint8_t *p = o->arena + o->arena_used;

	if (size > OUTBOX_ARENA_SIZE - o->arena_used) {
		o->overflows++;
		return NULL;
	}
	o->arena_used += size;
	return p;
}

uint8_t *outbox_datagram(struct outbox *o, struct netaddr to, size_t size)
{
	uint8_t *p;

	if (o->datagrams_count == OUTBOX_DATAGRAMS_MAX) {
		o->overflows++;
		return NULL;
	}
	p = take(o, size);
	if (p)
		o->datagrams[o->datagrams_count++] =
			(struct outbox_datagram){ .to = to, .data = p, .size = (uint32_t)size };
	return p;
}

uint8_t *outbox_frame(struct outbox *o, size_t size)
{
	uint8_t *p;

	if (o->frames_count == OUTBOX_FRAMES_MAX) {
		o->overflows++;
		return NULL;
	}
	p = take(o, size);
	if (p)
		o->frames[o->frames_count++] = bytes_of(p, size);
	return p;
}

uint8_t *outbox_extend(struct outbox *o, uint32_t datagram, size_t size)
{
	struct outbox_datagram *d;
	uint8_t *p = o->arena + o->arena_used;

	if (datagram >= o->datagrams_count || size > OUTBOX_ARENA_SIZE - o->arena_used)
		return NULL;
	d = &o->datagrams[datagram];
	if (d->data + d->size != p)
		return NULL;
	d->size += (uint32_t)size;
	o->arena_used += size;
	return p;
}
