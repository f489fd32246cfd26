/* The endpoint view against a naive model, and several views that must agree in the end. */
#include "../../unit/router/views.h"

#define PEERS 5u /* names 1 .. PEERS; we are 3 */
#define MACS 6u

/* What everybody can see: per MAC and writer the claim, as the newest entry said. */
struct model {
	bool there[MACS][PEERS + 1];
	uint32_t claim[MACS][PEERS + 1];
	uint64_t generation[MACS][PEERS + 1], version[MACS][PEERS + 1];
	bool reachable[PEERS + 1];
	uint64_t floor[PEERS + 1], peer_version[PEERS + 1];
};

static peer_name expected(const struct model *m, unsigned mac, peer_name self)
{
	peer_name best = PEER_NAME_NONE;

	for (peer_name p = 1; p <= PEERS; p++) {
		bool visible = p == self ||
			       (m->reachable[p] && m->generation[mac][p] >= m->floor[p]);

		if (!m->there[mac][p] || !visible)
			continue;
		if (!best || m->claim[mac][p] > m->claim[mac][best])
			best = p;
	}
	return best;
}

static void drain(struct view *v, struct model *m)
{
	struct made_entry e;

	while (view_published(v, &e)) {
		struct endpoint_entry entry;
		unsigned mac;

		assert_null(endpoint_entry_decode(&entry, &e.view));
		mac = entry.mac.b[5];
		m->there[mac][v->self] = !(e.view.flags & ENTRY_TOMBSTONE);
		m->claim[mac][v->self] = entry.claim;
	}
}

static void change(struct view *v, struct model *m, struct rng *rng)
{
	peer_name p = 1 + rng_below(rng, PEERS);
	unsigned mac = (unsigned)rng_below(rng, MACS);
	struct made_entry e;

	if (p == v->self)
		p = 1;
	switch (rng_below(rng, 8)) {
	case 0:
		m->reachable[p] = rng_below(rng, 2);
		view_reach(v, p, m->reachable[p]);
		break;
	case 1:
		m->floor[p] = rng_below(rng, 4);
		view_peer(v, p, m->floor[p], ++m->peer_version[p]);
		break;
	case 2:
		endpoints_attach(v->endpoints, 0, mac_of(mac), NULL, 0);
		break;
	case 3:
		endpoints_detach(v->endpoints, 0, mac_of(mac));
		break;
	case 4:
	case 5:
		endpoints_learn_local(v->endpoints, 0, mac_of(mac));
		break;
	default:
		m->generation[mac][p] += rng_below(rng, 2);
		m->claim[mac][p] = (uint32_t)rng_below(rng, 6);
		m->there[mac][p] = rng_below(rng, 3) != 0;
		make_claim(&e, p, mac_of(mac), m->claim[mac][p], m->generation[mac][p],
			   ++m->version[mac][p], !m->there[mac][p]);
		view_merge(v, &e.view);
	}
}

static void a_view_is_what_the_entries_say(void **state)
{
	uint64_t seed = test_seed(0x5eed0201);

	(void)state;
	for (uint64_t run = 0; run < 30; run++) {
		struct rng rng = { seed + run };
		struct model m = { 0 };
		struct view v = view_new(3);
		uint64_t ms = 0;

		for (peer_name p = 1; p <= PEERS; p++)
			view_peer(&v, p, 0, ++m.peer_version[p]);
		for (unsigned step = 0; step < 1500; step++) {
			ms += 1001 + rng_below(&rng, 3000);
			endpoints_now(v.endpoints, at(ms));
			endpoints_tick(v.endpoints);
			change(&v, &m, &rng);
			endpoints_now(v.endpoints, at(ms));
			drain(&v, &m);
			endpoints_check(v.endpoints);
			for (unsigned mac = 0; mac < MACS; mac++)
				assert_int_equal(endpoints_find(v.endpoints, 0, mac_of(mac)),
						 expected(&m, mac, v.self));
		}
		view_free(&v);
	}
}

/* ---- several routers, entries under way for a while ---- */
#define ROUTERS 4u
#define UNDER_WAY 4096u

struct flight {
	struct made_entry entry;
	unsigned to;
	uint64_t at_ms;
	bool used;
};

struct crowd {
	struct view views[ROUTERS];
	struct flight *flights;
	struct rng rng;
	uint64_t ms, published;
};

static void copy_entry(struct made_entry *to, const struct made_entry *from)
{
	*to = *from;
	to->view.key.data = to->key;
	if (from->view.value.data)
		to->view.value.data = to->value;
}

static void spread(struct crowd *c, unsigned from)
{
	struct made_entry e;

	while (view_published(&c->views[from], &e)) {
		c->published++;
		for (unsigned i = 0; i < ROUTERS; i++) {
			unsigned slot = 0;

			while (i != from && c->flights[slot].used)
				assert_true(++slot < UNDER_WAY);
			if (i == from)
				continue;
			c->flights[slot].used = true;
			c->flights[slot].to = i;
			c->flights[slot].at_ms = c->ms + rng_below(&c->rng, 400);
			copy_entry(&c->flights[slot].entry, &e);
		}
	}
}

static void step(struct crowd *c)
{
	c->ms += 50;
	for (unsigned i = 0; i < UNDER_WAY; i++) {
		struct flight *f = &c->flights[i];

		if (!f->used || f->at_ms > c->ms)
			continue;
		view_merge(&c->views[f->to], &f->entry.view);
		f->used = false;
	}
	for (unsigned i = 0; i < ROUTERS; i++) {
		endpoints_now(c->views[i].endpoints, at(c->ms));
		spread(c, i);
	}
}

static void crowd_init(struct crowd *c, uint64_t seed)
{
	*c = (struct crowd){ .rng = { seed }, .ms = 5000 };
	c->flights = mem_new(UNDER_WAY, sizeof *c->flights);
	for (unsigned i = 0; i < ROUTERS; i++) {
		c->views[i] = view_new(i + 1);
		for (peer_name p = 1; p <= ROUTERS; p++) {
			view_peer(&c->views[i], p, 0, 1);
			if (p != i + 1)
				view_reach(&c->views[i], p, true);
		}
	}
}

/* The same MACs show up behind all routers all the time: publishing must calm down (frozen), and
 * once frames stop all must agree. */
static void contested_macs_calm_down_and_all_agree(void **state)
{
	uint64_t seed = test_seed(0x5eed0202);

	(void)state;
	for (uint64_t run = 0; run < 10; run++) {
		struct crowd c;
		uint64_t before;

		crowd_init(&c, seed + run);
		for (unsigned i = 0; i < 2400; i++) { /* two minutes */
			unsigned who = (unsigned)rng_below(&c.rng, ROUTERS);
			unsigned mac = (unsigned)rng_below(&c.rng, MACS);

			endpoints_learn_local(c.views[who].endpoints, 0, mac_of(mac));
			spread(&c, who);
			step(&c);
		}
		/* RFC 7432's five moves and what crossed on the way, per MAC; not one a second. */
		assert_true(c.published <= MACS * 5 * 2 * ROUTERS);
		before = c.published;
		for (unsigned i = 0; i < 100; i++)
			step(&c);
		assert_int_equal(c.published, before);
		for (unsigned mac = 0; mac < MACS; mac++) {
			peer_name owner = endpoints_find(c.views[0].endpoints, 0, mac_of(mac));

			assert_true(owner != PEER_NAME_NONE);
			for (unsigned i = 1; i < ROUTERS; i++)
				assert_int_equal(
					endpoints_find(c.views[i].endpoints, 0, mac_of(mac)),
					owner);
		}
		for (unsigned i = 0; i < ROUTERS; i++)
			view_free(&c.views[i]);
		mem_free(c.flights);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_view_is_what_the_entries_say),
		cmocka_unit_test(contested_macs_calm_down_and_all_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
