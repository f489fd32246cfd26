/* When to vote for the first ring, and for what (control-plane.md 6.2); the counting is vote.c's.
 *
 * A peer acts when it needs an address, when somebody who may not vote does, or when it hears of
 * any vote (V2).  Who sees a peer with a smaller N leaves it to that one.  Its vote is in the
 * ballot only after it came back from the store, that is, after it was durable.
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

/* What a peer that can be reached says of its part in the election; NULL: it has none. */
static const struct space_info *elector(const struct peer *p)
{
	return p->reachable && p->space && p->space->flags & SPACE_ELECTOR &&
			       p->space->store_id == p->store_id
		       ? p->space
		       : NULL;
}

struct owner *election_visible(const struct ipam *i, size_t *count)
{
	struct owner *list = mem_new(i->peers.count + 1, sizeof *list);

	*count = 0;
	list[(*count)++] = i->self;
	for (size_t n = 0; n < i->peers.count; n++) {
		const struct peer *p = &i->peers.list[n];

		if (elector(p))
			list[(*count)++] = (struct owner){ p->name, p->store_id };
	}
	*count = owners_sort(list, *count);
	return list;
}

bool election_is_left_to(const struct ipam *i, const struct peer *p)
{
	const struct space_info *s = elector(p);

	return s && s->electors < i->config.electors;
}

/* Somebody needs fewer votes than we do: two elections at once could make two rings. */
static bool is_left_to_others(const struct ipam *i)
{
	for (size_t n = 0; n < i->peers.count; n++)
		if (election_is_left_to(i, &i->peers.list[n]))
			return true;
	return false;
}

/* Of our election: how many we see, and how many of them have a lower name. */
static uint32_t count_electors(const struct ipam *i, uint32_t *rank)
{
	uint32_t count = 1;

	*rank = 0;
	for (size_t n = 0; n < i->peers.count; n++) {
		const struct space_info *s = elector(&i->peers.list[n]);

		if (!s || s->electors != i->config.electors)
			continue;
		count++;
		*rank += s->peer < i->self.name;
	}
	return count;
}

static void propose(struct ipam *i)
{
	size_t count;
	struct owner *visible = election_visible(i, &count);
	struct proposal p;

	proposal_make(&p, i->self, visible, count);
	mem_free(visible);
	cast(i, &p);
	log_info(i->log, "proposing a first ring: peers=%u voters=%u", p.seeds_count,
		 i->config.electors);
}

/* The lowest name at once, the next after 5 s, and so on: mostly there is one proposal only. */
static void wait_for_turn(struct ipam *i, uint32_t rank)
{
	struct election *e = &i->election;

	if (e->proposing)
		return;
	e->proposing = true;
	e->propose_due = mono_after(i->now, rank * IPAM_RANK_DELAY_MS);
}

static void act(struct ipam *i)
{
	struct election *e = &i->election;
	uint32_t rank, count = count_electors(i, &rank);

	if (count < i->config.electors / 2 + 1) {
		e->proposing = false;
	} else if (e->tally.leading) {
		cast(i, e->tally.leading);
	} else {
		wait_for_turn(i, rank);
		if (mono_reached(i->now, e->propose_due))
			propose(i);
	}
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
	for (size_t n = 1; n < b->count; n++)
		if (b->votes[n]->electors != b->votes[0]->electors)
			return 0;
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
	else if (may_vote(i) && !is_left_to_others(i) &&
		 (election_wanted(i) || e->tally.leading || somebody_wants(i)))
		act(i);
	else
		e->proposing = false;
	i->peers.space_dirty = true;
}

struct mono election_deadline(const struct ipam *i)
{
	return i->election.proposing && !i->ring_id ? i->election.propose_due : MONO_NEVER;
}
