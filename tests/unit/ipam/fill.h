/* Many peers that share one universe and fill it: each takes address after address, out of its own
 * share first, then asks the others, until somebody is refused.  Whole struct ipam's, disks that
 * are done at once, messages that take a turn, gossip that reaches everybody every GOSSIP_TURNS; on
 * a virtual clock of 10 ms a turn.
 *
 * Peers want at different speeds, else all would be full in the same moment and nobody had to ask;
 * one in FILL_SPEEDS wants nothing, so that its whole share must come from it.
 */
#ifndef TESTS_IPAM_FILL_H
#define TESTS_IPAM_FILL_H

#include <stdio.h>
#include <string.h>

#include "../../../ipam/allocator.h"

#define FILL_TURN_MS 10u
#define GOSSIP_TURNS 50u
#define FILL_SPEEDS 8u

struct fill_bytes {
	unsigned from, to; /* message: to whom */
	uint8_t kind;	   /* and so on: of an entry */
	peer_name writer;
	uint64_t generation, version;
	uint8_t *data; /* entry: key and value */
	size_t size, key_size;
};

struct fill_list {
	struct fill_bytes *list;
	size_t count, room;
};

struct fill_peer {
	struct ipam *ipam;
	unsigned speed;
	uint64_t wanted, got; /* addresses asked for, and answered */
	bool refused;
};

struct fill {
	struct universe universe;
	unsigned count;
	struct fill_peer *peers;
	struct fill_list now, next, news;
	struct mono clock;
	uint64_t turns, messages, gifts, allocated, slowest_ms;
	struct why why; /* of the first refusal */
	uint64_t left;	/* free addresses of all peers at the first refusal */
	unsigned refused, wanting;
};

static inline peer_name fill_name(unsigned n)
{
	return 0x020000000000u + n;
}

static inline void fill_push(struct fill_list *l, const struct fill_bytes *b, struct bytes head,
			     struct bytes tail)
{
	struct fill_bytes *to;

	if (l->count == l->room) {
		l->room = l->room ? l->room * 2 : 256;
		l->list = mem_resize(l->list, l->room, sizeof *l->list);
	}
	to = &l->list[l->count++];
	*to = *b;
	to->size = head.size + tail.size;
	to->key_size = head.size;
	to->data = mem_new(1, to->size);
	if (head.size)
		memcpy(to->data, head.data, head.size);
	if (tail.size)
		memcpy(to->data + head.size, tail.data, tail.size);
}

static inline void fill_clear(struct fill_list *l)
{
	for (size_t n = 0; n < l->count; n++)
		mem_free(l->list[n].data);
	l->count = 0;
}

static inline uint64_t fill_left(const struct fill *f)
{
	uint64_t left = 0;

	for (unsigned n = 0; n < f->count; n++)
		left += f->peers[n].ipam->space.owned_size - f->peers[n].ipam->space.used_count;
	return left;
}

static inline void fill_answer(struct fill *f, struct fill_peer *p, const struct ipam_action *a)
{
	p->got++;
	if (a->ok) {
		f->allocated++;
		return;
	}
	p->refused = true;
	if (f->refused++ == 0) {
		f->left = fill_left(f);
		f->why = a->why;
	}
}

static inline void fill_drain(struct fill *f, unsigned n)
{
	struct fill_peer *p = &f->peers[n];
	uint64_t ticket = 0, saved = 0;
	struct ipam_action a;

	for (;;) {
		if (!ipam_next_action(p->ipam, &a)) {
			if (ticket == saved)
				return;
			ipam_on_saved(p->ipam, saved = ticket, f->clock);
			continue;
		}
		if (a.type == IPAM_SAVE) {
			ticket = a.ticket;
		} else if (a.type == IPAM_MERGE || a.type == IPAM_PUT) {
			struct fill_bytes b = { .from = n,
						.kind = a.entry.kind,
						.writer = a.type == IPAM_PUT ? fill_name(n)
									     : a.entry.writer,
						.generation = a.entry.generation,
						.version = a.entry.version };

			fill_push(&f->news, &b, a.entry.key, a.entry.value);
		} else if (a.type == IPAM_SEND) {
			struct fill_bytes b = { .from = n,
						.to = (unsigned)(a.peer - fill_name(0)) };

			f->messages++;
			fill_push(&f->next, &b, a.bytes, bytes_of(NULL, 0));
		} else if (a.type == IPAM_ANSWER) {
			fill_answer(f, p, &a);
		}
	}
}

static inline void fill_gossip(struct fill *f)
{
	struct fill_list news = f->news;

	f->news = (struct fill_list){ 0 };
	for (unsigned n = 0; n < f->count; n++) {
		for (size_t k = 0; k < news.count; k++) {
			const struct fill_bytes *b = &news.list[k];
			struct entry_view e = {
				.kind = b->kind,
				.writer = b->writer,
				.generation = b->generation,
				.version = b->version,
				.key = bytes_of(b->data, b->key_size),
				.value = bytes_of(b->data + b->key_size, b->size - b->key_size),
			};

			if (b->from != n)
				ipam_heard(f->peers[n].ipam, &e, false);
		}
		ipam_tick(f->peers[n].ipam, f->clock);
		fill_drain(f, n);
	}
	fill_clear(&news);
	mem_free(news.list);
}

/* Only the messages that were on their way before. */
static inline void fill_deliver(struct fill *f)
{
	struct fill_list now = f->next;

	f->next = f->now;
	f->now = (struct fill_list){ 0 };
	for (size_t k = 0; k < now.count; k++) {
		const struct fill_bytes *b = &now.list[k];

		MUST(!ipam_on_message(f->peers[b->to].ipam, fill_name(b->from),
				      bytes_of(b->data, b->size), f->clock));
		fill_drain(f, b->to);
	}
	fill_clear(&now);
	f->now = now;
}

static inline void fill_want(struct fill *f, unsigned n)
{
	struct fill_peer *p = &f->peers[n];
	char name[24];
	int size;

	for (unsigned k = 0; k < p->speed && p->wanted == p->got && !p->refused; k++) {
		size = snprintf(name, sizeof name, "%u-%llu", n, (unsigned long long)p->wanted);
		ipam_allocate(p->ipam, ++p->wanted, bytes_of(name, (size_t)size),
			      (struct span){ 1, f->universe.size - 1 }, f->clock);
		fill_drain(f, n);
	}
}

static inline void fill_forget_runs(struct fill_list *l)
{
	size_t left = 0;

	for (size_t n = 0; n < l->count; n++)
		if (l->list[n].kind == KIND_RUN)
			mem_free(l->list[n].data);
		else
			l->list[left++] = l->list[n];
	l->count = left;
}

static inline void fill_init(struct fill *f, const char *range, unsigned count)
{
	struct ipam_config config = { .mode = IPAM_OBSERVER };
	struct owner *owners = mem_new(count, sizeof *owners);
	struct cidr c;
	struct why why;
	struct run run;

	*f = (struct fill){ .count = count, .clock = { 1000 } };
	MUST(cidr_parse(range, &c) && universe_init(&f->universe, c, &why));
	f->peers = mem_new(count, sizeof *f->peers);
	for (unsigned n = 0; n < count; n++)
		owners[n] = (struct owner){ fill_name(n), n + 1 };
	for (unsigned n = 0; n < count; n++) {
		struct ipam *i;

		config.universe = f->universe;
		config.self = owners[n].name;
		config.store_id = owners[n].store_id;
		config.seed = n + 1;
		i = f->peers[n].ipam = ipam_new(&config, NULL);
		f->peers[n].speed = n % FILL_SPEEDS;
		f->wanting += f->peers[n].speed > 0;
		for (unsigned k = 0; k < count; k++)
			ipam_on_peer(i, owners[k].name, owners[k].store_id, true, f->clock);
		ipam_adopt(i, 7);
		for (unsigned k = 0; k < count; k++) {
			ring_split(f->universe.size, owners, count, k, &run);
			ipam_learn(i, &run, false);
		}
		ipam_start(i, f->clock);
		fill_drain(f, n);
		fill_forget_runs(&f->news); /* all know the first ring */
	}
	mem_free(owners);
}

static inline void fill_turn(struct fill *f)
{
	f->clock = mono_after(f->clock, FILL_TURN_MS);
	f->turns++;
	fill_deliver(f);
	for (unsigned n = 0; n < f->count; n++) {
		if (mono_reached(f->clock, ipam_deadline(f->peers[n].ipam))) {
			ipam_tick(f->peers[n].ipam, f->clock);
			fill_drain(f, n);
		}
		fill_want(f, n);
	}
	if (f->turns % GOSSIP_TURNS == 0)
		fill_gossip(f);
}

static inline void fill_fini(struct fill *f)
{
	for (unsigned n = 0; n < f->count; n++)
		ipam_free(f->peers[n].ipam);
	fill_clear(&f->now);
	fill_clear(&f->next);
	fill_clear(&f->news);
	mem_free(f->now.list);
	mem_free(f->next.list);
	mem_free(f->news.list);
	mem_free(f->peers);
}

#endif
