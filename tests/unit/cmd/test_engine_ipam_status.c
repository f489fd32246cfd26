/* What the snapshot says of real universes in different states. */
#include "../ipam/world.h"

#include <weave/peer.h>
#include <weave/status.h>
#include <weave/topology.h>
#include <weave/writer.h>

#include "../../../cmd/engine_ipam_status.h"

/* Everybody's nickname, "host1" for 0x0a. */
struct view {
	struct store *store;
	struct topology *topology;
	struct status s;
};

static void add_nickname(struct view *v, const struct host *h, unsigned n)
{
	uint8_t key[64], value[1024];
	struct writer k = writer_over(key, sizeof key), w = writer_over(value, sizeof value);
	struct peer_info info = { .name = h->name, .instance = 1 };
	struct entry_view e = {
		.kind = KIND_PEER, .writer = h->name, .generation = 1, .version = 1
	};

	snprintf(info.nickname, sizeof info.nickname, "host%u", n + 1);
	peer_info_key(info.name, &k);
	peer_info_encode(&info, &w);
	e.key = bytes_of(key, writer_size(&k));
	e.value = bytes_of(value, writer_size(&w));
	assert_null(store_check(v->store, &e));
	assert_int_equal(store_merge(v->store, &e, 1, (struct mono){ 1 }), STORE_TOOK);
}

/* The snapshot of the n-th host's universe. */
static const struct status_universe *look(struct view *v, const struct world *w, unsigned n)
{
	*v = (struct view){ .store = store_new(1) };
	v->topology = topology_new(v->store, w->hosts[n].name);
	for (unsigned k = 0; k < w->count; k++)
		if (k != n)
			add_nickname(v, &w->hosts[k], k);
	topology_update(v->topology);
	status_init(&v->s);
	v->s.name = w->hosts[n].name;
	v->s.nickname = "me";
	engine_ipam_status_add(w->hosts[n].ipam, v->topology, &v->s);
	assert_int_equal(v->s.universes_count, 1);
	return &v->s.universes[0];
}

static void view_free(struct view *v)
{
	status_fini(&v->s);
	topology_free(v->topology);
	store_free(v->store);
}

static void expect_state(const struct world *w, unsigned n, const char *state)
{
	struct view v;

	assert_string_equal(look(&v, w, n)->state, state);
	view_free(&v);
}

static void a_lone_peer_is_idle_then_ready(void **state)
{
	struct world *w = world_new(1, 1, "10.32.0.0/28", IPAM_CONSENSUS, 1);
	const struct status_universe *u;
	struct view v;

	(void)state;
	world_start_all(w);
	expect_state(w, 0, "idle");
	world_allocate(w, 0, "c1");
	world_run(w, 500);
	u = look(&v, w, 0);
	assert_string_equal(u->state, "ready");
	assert_true(u->ready && u->ring_id);
	assert_int_equal(u->size, 16);
	assert_int_equal(u->active, 1);
	assert_int_equal(u->owners_count, 1);
	assert_true(u->owners[0].self && u->owners[0].reachable);
	assert_string_equal(u->owners[0].nickname, "me");
	assert_int_equal(u->entries_count, u->runs);
	assert_true(u->entries[0].known);
	assert_int_equal(v.s.warnings_count, 0);
	view_free(&v);
	world_free(w);
}

static void a_vote_names_whom_it_waits_for(void **state)
{
	struct world *w = world_new(4, 4, "10.32.0.0/28", IPAM_CONSENSUS, 4);
	const struct status_universe *u;
	struct view v;

	(void)state;
	w->hosts[3].config.mode = IPAM_OBSERVER;
	world_start_all(w);
	for (unsigned a = 0; a < 4; a++)
		for (unsigned b = 0; b < 4; b++)
			world_cut(w, a, b, a != b && (a > 1 || b > 1)); /* 0 and 1 only */
	world_allocate(w, 0, "c");
	world_claim(w, 0, "d", 5);
	world_run(w, 30000);
	u = look(&v, w, 0);
	assert_string_equal(u->phase, "waiting for votes");
	assert_ptr_equal(strstr(u->state, "awaiting consensus (quorum: 3, known: "), u->state);
	assert_int_equal(u->pending_allocates, 1);
	assert_int_equal(u->pending_claims, 1);
	assert_string_equal(u->pendings[0].container, "c");
	assert_int_equal(u->pendings[0].cidr.ip.family, 0);
	assert_string_equal(u->pendings[1].container, "d");
	assert_int_equal(u->pendings[1].cidr.ip.b[3], 5);
	assert_int_equal(u->pendings[1].cidr.prefix, 28);
	assert_int_equal(u->waiting_for_count, 1);
	assert_string_equal(u->waiting_for[0].nickname, "host2");
	assert_non_null(strstr(u->state, "; waiting for host2"));
	view_free(&v);
	expect_state(w, 3, "priming: waiting for a ring");
	world_free(w);
}

static void unreachable_owners_and_no_space_are_said(void **state)
{
	struct world *w = world_new(5, 2, "10.32.0.0/28", IPAM_CONSENSUS, 1);
	const struct status_universe *u;
	struct view v;

	(void)state;
	w->hosts[1].config.mode = IPAM_OBSERVER;
	world_start_all(w);
	world_allocate(w, 0, "a");
	world_run(w, 5000);
	expect_state(w, 1, "ready");
	world_crash(w, 0);
	world_run(w, 3000);
	u = look(&v, w, 1);
	assert_non_null(strstr(u->state, "all IP ranges owned by unreachable peers"));
	assert_int_equal(u->owners_count, 1);
	assert_false(u->owners[0].self || u->owners[0].reachable);
	assert_string_equal(u->owners[0].nickname, "host1");
	view_free(&v);
	world_free(w);
}

static void rings_that_meet_and_disks_that_fail_warn(void **state)
{
	struct world *w = world_new(33, 2, "10.32.0.0/28", IPAM_CONSENSUS, 1);
	const struct status_universe *u;
	struct view v;

	(void)state;
	world_cut(w, 0, 1, true);
	world_cut(w, 1, 0, true);
	world_start_all(w);
	world_allocate(w, 0, "a");
	world_allocate(w, 1, "b");
	world_run(w, 3000);
	for (unsigned n = 0; n < 2; n++) /* both would give out the same address: no world_check */
		world_cut(w, n, 1 - n, false);
	for (int n = 0; n < 4; n++) {
		world_heartbeat(w, 0, 1), world_heartbeat(w, 1, 0);
		world_gossip(w, 0, 1, 256), world_gossip(w, 1, 0, 256);
		world_tick(w, 500);
	}
	u = look(&v, w, 0);
	assert_true(u->foreign_ring);
	assert_string_equal(u->foreign_peer.nickname, "host2");
	assert_int_equal(v.s.warnings_count, 1);
	assert_non_null(strstr(v.s.warnings[0], "10.32.0.0/28: peer host2 has another ring"));
	view_free(&v);

	ipam_on_disk(w->hosts[0].ipam, "no space left", w->now);
	u = look(&v, w, 0);
	assert_string_equal(u->state, "disk does not work: no space left");
	assert_string_equal(u->disk, "no space left");
	assert_int_equal(v.s.warnings_count, 2);
	view_free(&v);
	world_free(w);
}

static void an_earlier_disk_is_told_apart(void **state)
{
	struct world *w = world_new(37, 2, "10.32.0.0/28", IPAM_CONSENSUS, 2);
	const struct status_universe *u;
	struct view v;

	(void)state;
	world_start_all(w);
	world_allocate(w, 0, "a");
	world_allocate(w, 1, "b");
	world_run(w, 15000);
	world_lose_disk(w, 0); /* its container lives on */
	world_start(w, 0);
	world_run(w, 15000);
	u = look(&v, w, 0);
	assert_int_equal(u->disputed, 1);
	assert_int_equal(v.s.warnings_count, 1);
	assert_non_null(strstr(v.s.warnings[0], "1 in use here belong to another peer"));
	for (size_t i = 0; i < u->owners_count; i++)
		assert_false(u->owners[i].self && u->owners[i].former);
	assert_true(u->owners[u->owners_count - 1].peer == 0x0a
			    ? u->owners[u->owners_count - 1].former
			    : u->owners[0].former);
	view_free(&v);
	world_free(w);
}

/* Alone, with the disk lost on which its vote was: it waits for ever, and says what to do. */
static void who_may_not_vote_says_what_to_do(void **state)
{
	struct world *w = world_new(41, 1, "10.32.0.0/28", IPAM_CONSENSUS, 1);
	const struct status_universe *u;
	struct view v;

	(void)state;
	world_start_all(w);
	ipam_on_peer(w->hosts[0].ipam, w->hosts[0].name, 12345, false, w->now);
	world_allocate(w, 0, "a");
	world_run(w, 20000);
	u = look(&v, w, 0);
	assert_string_equal(u->state, "priming: waiting for a ring");
	assert_int_equal(v.s.warnings_count, 1);
	assert_non_null(strstr(v.s.warnings[0], "weave reset --force"));
	view_free(&v);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lone_peer_is_idle_then_ready),
		cmocka_unit_test(a_vote_names_whom_it_waits_for),
		cmocka_unit_test(unreachable_owners_and_no_space_are_said),
		cmocka_unit_test(rings_that_meet_and_disks_that_fail_warn),
		cmocka_unit_test(an_earlier_disk_is_told_apart),
		cmocka_unit_test(who_may_not_vote_says_what_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
