#include "kinds.h"

#include <weave/must.h>

const char *immutable_check(const struct entry_view *e, peer_name writer)
{
	if (e->flags)
		return "entry.flags";
	if (e->writer != writer)
		return "entry.writer";
	return e->generation == 0 && e->version == 1 ? NULL : "entry.version";
}

void vote_entry(struct entry_room *room, const struct universe *u, const struct vote *vote)
{
	struct writer key = writer_over(room->key, sizeof room->key);
	struct writer value = writer_over(room->value, sizeof room->value);
	const struct proposal *p = &vote->proposal;

	universe_write(u, &key);
	owner_write(&key, vote->voter);
	write_u16(&value, (uint16_t)vote->electors);
	owner_write(&value, p->proposer);
	write_u16(&value, (uint16_t)p->seeds_count);
	for (uint32_t i = 0; i < p->seeds_count; i++)
		owner_write(&value, p->seeds[i]);
	MUST(!key.full && !value.full);
	room->view = (struct entry_view){
		.kind = KIND_VOTE,
		.writer = vote->voter.name,
		.version = 1,
		.key = writer_bytes(&key),
		.value = writer_bytes(&value),
	};
}

static void read_proposal(struct reader *r, struct proposal *p)
{
	p->proposer = owner_read(r, "vote.proposer");
	p->seeds_count = read_u16(r, "vote.seeds");
	if (p->seeds_count == 0 || p->seeds_count > IPAM_ELECTORS_MAX) {
		reader_fail(r, "vote.seeds");
		p->seeds_count = 0;
	}
	for (uint32_t i = 0; i < p->seeds_count; i++) {
		p->seeds[i] = owner_read(r, "vote.seeds");
		if (i > 0 && p->seeds[i - 1].name >= p->seeds[i].name)
			reader_fail(r, "vote.seeds");
	}
}

const char *vote_entry_read(const struct entry_view *e, struct universe *u, struct vote *vote)
{
	struct reader key = reader_over(e->key.data, e->key.size);
	struct reader value = reader_over(e->value.data, e->value.size);
	const char *bad;

	*vote = (struct vote){ .electors = 0 };
	universe_read(u, &key);
	vote->voter = owner_read(&key, "vote.voter");
	vote->electors = read_u16(&value, "vote.electors");
	if (vote->electors == 0 || vote->electors > IPAM_ELECTORS_MAX)
		reader_fail(&value, "vote.electors");
	read_proposal(&value, &vote->proposal);
	bad = reader_verdict(&key);
	if (!bad)
		bad = immutable_check(e, vote->voter.name);
	return bad ? bad : reader_verdict(&value);
}
