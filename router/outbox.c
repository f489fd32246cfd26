#include <weave/outbox.h>

#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

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
	o->lent = false;
	o->open = false;
}

bool outbox_nearly_full(const struct outbox *o)
{
	return o->lent || OUTBOX_ARENA_SIZE - o->arena_used < OUTBOX_RESERVE ||
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

uint8_t *outbox_frame(struct outbox *o, uint32_t segment, size_t size)
{
	uint8_t *p;

	if (o->frames_count == OUTBOX_FRAMES_MAX) {
		o->overflows++;
		return NULL;
	}
	p = take(o, size);
	if (p)
		o->frames[o->frames_count++] = (struct outbox_frame){ .data = p,
								      .size = (uint32_t)size,
								      .segment = segment };
	return p;
}

bool outbox_lend(struct outbox *o, uint32_t segment, struct bytes frame)
{
	if (o->frames_count == OUTBOX_FRAMES_MAX) {
		o->overflows++;
		return false;
	}
	o->frames[o->frames_count++] = (struct outbox_frame){
		.data = frame.data, .size = (uint32_t)frame.size, .segment = segment, .lent = true
	};
	o->lent = true;
	return true;
}

void outbox_own(struct outbox *o)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; o->lent && i < o->frames_count; i++) {
		struct outbox_frame *f = &o->frames[i];
		uint8_t *copy = f->lent ? take(o, f->size) : NULL;

		if (f->lent && !copy)
			continue;
		if (copy)
			f->data = memcpy(copy, f->data, f->size);
		f->lent = false;
		o->frames[kept++] = *f;
	}
	if (o->lent)
		o->frames_count = kept;
	o->lent = false;
}

uint8_t *outbox_open(struct outbox *o, struct netaddr to, size_t size)
{
	uint8_t *p;

	MUST(!o->open);
	if (o->datagrams_count == OUTBOX_DATAGRAMS_MAX) {
		o->overflows++;
		return NULL;
	}
	p = take(o, size);
	if (!p)
		return NULL;
	o->datagrams[o->datagrams_count] =
		(struct outbox_datagram){ .to = to, .data = p, .size = (uint32_t)size };
	o->open = true;
	return p;
}

uint8_t *outbox_extend(struct outbox *o, size_t size)
{
	struct outbox_datagram *d = &o->datagrams[o->datagrams_count];
	uint8_t *p = o->arena + o->arena_used;

	if (!o->open || d->data + d->size != p || size > OUTBOX_ARENA_SIZE - o->arena_used)
		return NULL;
	d->size += (uint32_t)size;
	o->arena_used += size;
	return p;
}

void outbox_close(struct outbox *o)
{
	MUST(o->open);
	o->open = false;
	o->datagrams_count++;
}

void outbox_alone(struct outbox *o)
{
	MUST(o->open);
	o->datagrams[o->datagrams_count].alone = true;
}

static bool continues(const struct outbox_datagram *first, const struct outbox_datagram *d)
{
	return d[-1].size == first->size && d->size <= first->size && !d->alone &&
	       d->data == d[-1].data + d[-1].size && netaddr_compare(d->to, first->to) == 0;
}

uint32_t outbox_run(const struct outbox *o, uint32_t first)
{
	const struct outbox_datagram *d = &o->datagrams[first];
	uint32_t left = o->datagrams_count - first, n = 1, size = d->size;

	MUST(left);
	if (d->alone)
		return 1;
	while (n < left && n < OUTBOX_RUN_DATAGRAMS_MAX && continues(d, &d[n]) &&
	       size + d[n].size <= OUTBOX_RUN_SIZE_MAX)
		size += d[n++].size;
	return n;
}
