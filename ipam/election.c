/* When to vote for the first ring, and for what (control-plane.md 6.2); the counting is vote.c's.
 *
 * A peer acts when it needs an address, when somebody who may not vote does, or when it hears of
 * any vote (V2).  Its vote is in the ballot only after it came back from the store, that is,
 * after it was durable.
 */
#include "allocator.h"

bool election_wanted(const struct ipam *i)
{
	return i->requests.count > 0;
}

static bool somebody_wants(const struct ipam *i)
{
	for (size_t n = 0; n < i->peers.count; n++) {
		const struct peer *p = &i->peers.list[n];

		if (p->reachable && p->space && p->space->flags & SPACE_WANTS)
			return true;
	}
	return false;
}

struct owner *election_visible(const struct ipam *i, size_t *count)
{
	struct owner *list = mem_new(i->peers.count + 1, sizeof *list);

	*count = 0;
	list[(*count)++] = i->self;
	for (size_t n = 0; n < i->peers.count; n++) {
		const struct peer *p = &i->peers.list[n];

		if (p->reachable && p->space && p->space->flags & SPACE_ELECTOR &&
		    p->space->store_id == p->store_id)
			list[(*count)++] = (struct owner){ p->name, p->store_id };
	}
	*count = owners_sort(list, *count);
	return list;
}

void election_former_life(struct ipam *i, uint64_t store_id)
{
	if (store_id == i->self.store_id || store_id == 0 || i->election.barred)
		return;
	i->election.barred = true;
	out_save(i, IPAM_TABLE_FORMER, 0, "", 1);
}

void election_heard(struct ipam *i, const struct vote *vote)
{
	struct election *e = &i->election;

	if (vote->voter.name == i->self.name)
		election_former_life(i, vote->voter.store_id);
	if (ballot_add(&e->ballot, vote))
		i->dirty = true;
}

static bool may_vote(const struct ipam *i)
{
	const struct election *e = &i->election;

	return i->config.mode == IPAM_CONSENSUS && !e->voted && !e->barred && !i->disk[0] &&
	       e->tally.voters < i->config.electors &&
	       (e->tally.state == TALLY_NOTHING || e->tally.state == TALLY_UNDECIDED);
}

static void cast(struct ipam *i, const struct proposal *p)
{
	struct election *e = &i->election;
	struct entry_room room;

	e->voted = true;
	e->proposing = false;
	e->own = (struct vote){
		.voter = i->self,
		.electors = i->config.electors,
		.proposal = *p,
	};
	vote_entry(&room, &i->config.universe, &e->own);
	out_save(i, IPAM_TABLE_VOTE, i->self.store_id, room.view.value.data, room.view.value.size);
	out_merge(i, &room.view, true);
}

static void propose(struct ipam *i, const struct owner *visible, size_t count)
{
	struct proposal p;

	proposal_make(&p, i->self, visible, count);
	cast(i, &p);
	log_info(i->log, "proposing a first ring: peers=%u voters=%u", p.seeds_count,
		 i->config.electors);
}

/* The lowest name at once, the next after 5 s, and so on: mostly there is one proposal only. */
static void wait_for_turn(struct ipam *i, const struct owner *visible, size_t count)
{
	struct election *e = &i->election;
	uint64_t rank = 0;

	if (e->proposing)
		return;
	while (rank < count && visible[rank].name != i->self.name)
		rank++;
	e->proposing = true;
	e->propose_due = mono_after(i->now, rank * IPAM_RANK_DELAY_MS);
}

static void act(struct ipam *i)
{
	struct election *e = &i->election;
	size_t count;
	struct owner *visible = election_visible(i, &count);

	if (count < i->config.electors / 2 + 1) {
		e->proposing = false;
	} else if (e->tally.leading) {
		cast(i, e->tally.leading);
	} else {
		wait_for_turn(i, visible, count);
		if (mono_reached(i->now, e->propose_due))
			propose(i, visible, count);
	}
	mem_free(visible);
}

/* The initial runs, at the lowest version there is: safe at any time, by anybody who knows them. */
static void install(struct ipam *i, const struct proposal *p)
{
	struct run run;

	i->election.installed = true;
	for (uint32_t n = 0; n < p->seeds_count; n++) {
		ring_split(i->config.universe.size, p->seeds, p->seeds_count, n, &run);
		if (run.start < run.end)
			ipam_learn(i, &run, true);
	}
}

static void win(struct ipam *i, const struct proposal *p)
{
	uint64_t ring_id = proposal_ring_id(&i->config.universe, p);
	char name[PEER_NAME_TEXT_SIZE];

	log_info(i->log, "the first ring is decided: proposer=%s peers=%u ring=%016llx",
		 peer_name_text(p->proposer.name, name), p->seeds_count,
		 (unsigned long long)ring_id);
	ipam_adopt(i, ring_id);
	install(i, p);
}

/* Who adopted a ring may have heard pieces of it only, from one who then lost its disk; but who
 * has heard a vote for it knows the whole. */
static void complete(struct ipam *i)
{
	const struct ballot *b = &i->election.ballot;

	if (b->count == i->election.searched)
		return;
	i->election.searched = b->count;
	for (size_t n = 0; n < b->count && !i->election.installed; n++)
		if (proposal_ring_id(&i->config.universe, &b->votes[n]->proposal) == i->ring_id)
			install(i, &b->votes[n]->proposal);
}

/* Observers count as well: they know N from the votes themselves when all agree. */
static uint32_t electors_of(const struct ipam *i)
{
	const struct ballot *b = &i->election.ballot;

	if (i->config.mode == IPAM_CONSENSUS || b->count == 0)
		return i->config.electors;
	return b->votes[0]->electors;
}

void election_step(struct ipam *i)
{
	struct election *e = &i->election;

	if (i->ring_id && !e->installed)
		complete(i);
	if (i->ring_id || i->config.mode == IPAM_SEED)
		return;
	ballot_tally(&e->ballot, electors_of(i), &e->tally);
	if (e->tally.state == TALLY_WON)
		win(i, e->tally.winner);
	else if (may_vote(i) && (election_wanted(i) || e->tally.leading || somebody_wants(i)))
		act(i);
	else
		e->proposing = false;
	i->peers.space_dirty = true;
}

struct mono election_deadline(const struct ipam *i)
{
	return i->election.proposing && !i->ring_id ? i->election.propose_due : MONO_NEVER;
}
