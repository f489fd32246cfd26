#include "kinds.h"

#include <weave/must.h>

void retired_entry(struct entry_room *room, const struct universe *u, uint64_t ring_id,
		   const struct retirement *r)
{
	struct writer key = writer_over(room->key, sizeof room->key);
	struct writer value = writer_over(room->value, sizeof room->value);

	universe_write(u, &key);
	write_u64(&key, ring_id);
	owner_write(&key, r->owner);
	owner_write(&value, r->heir);
	MUST(!key.full && !value.full);
	room->view = (struct entry_view){
		.kind = KIND_RETIRED,
		.writer = r->owner.name,
		.version = 1,
		.key = writer_bytes(&key),
		.value = writer_bytes(&value),
	};
}

const char *retired_entry_read(const struct entry_view *e, struct universe *u, uint64_t *ring_id,
			       struct retirement *r)
{
	struct reader key = reader_over(e->key.data, e->key.size);
	struct reader value = reader_over(e->value.data, e->value.size);
	const char *bad;

	universe_read(u, &key);
	*ring_id = read_u64(&key, "retired.ring");
	if (*ring_id == 0)
		reader_fail(&key, "retired.ring");
	r->owner = owner_read(&key, "retired.owner");
	r->heir = owner_read(&value, "retired.heir");
	bad = reader_verdict(&key);
	if (!bad)
		bad = immutable_check(e, r->owner.name);
	if (!bad)
		bad = reader_verdict(&value);
	return !bad && owner_equal(r->owner, r->heir) ? "retired.heir" : bad;
}
