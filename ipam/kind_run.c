#include "kinds.h"

#include <weave/must.h>

void owner_write(struct writer *w, struct owner owner)
{
	write_uint(w, owner.name, 6);
	write_u64(w, owner.store_id);
}

struct owner owner_read(struct reader *r, const char *what)
{
	struct owner o;

	o.name = read_uint(r, 6, what);
	o.store_id = read_u64(r, what);
	if (o.name == PEER_NAME_NONE)
		reader_fail(r, what);
	return o;
}

void run_entry(struct entry_room *room, const struct universe *u, uint64_t ring_id,
	       const struct run *run)
{
	struct writer key = writer_over(room->key, sizeof room->key);
	struct writer value = writer_over(room->value, sizeof room->value);

	MUST(!run_check(run, u->size));
	universe_write(u, &key);
	write_u64(&key, ring_id);
	write_u64(&key, run->start);
	write_u64(&value, run->end);
	write_u64(&value, run->owner.store_id);
	room->view = (struct entry_view){
		.kind = KIND_RUN,
		.writer = run->owner.name,
		.generation = run->epoch,
		.version = run->counter,
		.key = writer_bytes(&key),
		.value = writer_bytes(&value),
	};
}

const char *run_entry_read(const struct entry_view *e, struct universe *u, uint64_t *ring_id,
			   struct run *run)
{
	struct reader key = reader_over(e->key.data, e->key.size);
	struct reader value = reader_over(e->value.data, e->value.size);
	const char *bad;

	universe_read(u, &key);
	*ring_id = read_u64(&key, "run.ring");
	if (*ring_id == 0)
		reader_fail(&key, "run.ring");
	run->start = read_u64(&key, "run.start");
	run->end = read_u64(&value, "run.end");
	run->owner.name = e->writer;
	run->owner.store_id = read_u64(&value, "run.store");
	bad = reader_verdict(&key);
	if (!bad && e->flags)
		bad = "run.flags";
	if (!bad)
		bad = reader_verdict(&value);
	if (!bad && e->generation > RING_VERSION_MAX)
		bad = "run.epoch";
	if (!bad && e->version > RING_VERSION_MAX)
		bad = "run.counter";
	run->epoch = (uint32_t)e->generation;
	run->counter = (uint32_t)e->version;
	return bad ? bad : run_check(run, u->size);
}
