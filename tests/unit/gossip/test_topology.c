#include "gossip_test.h"

/* One router's view: entries go in, questions are answered. */
struct view {
	struct store *store;
	struct topology *topology;
};

static struct view view_new(peer_name self)
{
	struct view v = { .store = store_new(self) };

	v.topology = topology_new(v.store, self);
	return v;
}

static void view_free(struct view *v)
{
	topology_check(v->topology);
	topology_free(v->topology);
	store_free(v->store);
}

static void put_peer(struct view *v, peer_name name, uint64_t generation)
{
	struct peer_info p = peer_of(name);
	struct made m;

	assert_int_equal(take(v->store, make_peer(&m, &p, generation, 1), 0), STORE_TOOK);
}

static void put_half(struct view *v, peer_name from, peer_name to, bool established,
		     uint64_t generation, uint64_t version)
{
	struct made m;

	assert_int_equal(
		take(v->store, make_link(&m, from, to, established, generation, version), 0),
		STORE_TOOK);
}

static void put_link(struct view *v, peer_name a, peer_name b)
{
	put_half(v, a, b, true, 1, 1);
	put_half(v, b, a, true, 1, 1);
}

/* 1 - 2 - 3 - 4, and 1 - 5 - 4: four is reached by two and by five, in three and two hops. */
static struct view chain_and_bow(peer_name self)
{
	struct view v = view_new(self);

	for (peer_name n = 1; n <= 5; n++)
		put_peer(&v, n, 1);
	put_link(&v, 1, 2);
	put_link(&v, 2, 3);
	put_link(&v, 3, 4);
	put_link(&v, 1, 5);
	put_link(&v, 5, 4);
	topology_update(v.topology);
	topology_check(v.topology);
	return v;
}

static void alone(void **state)
{
	struct view v = view_new(7);

	(void)state;
	assert_true(topology_reachable(v.topology, 7));
	assert_false(topology_reachable(v.topology, 8));
	assert_int_equal(topology_next_hop(v.topology, 7), PEER_NAME_NONE);
	assert_int_equal(topology_count(v.topology), 1);
	assert_null(topology_peer(v.topology, 8));
	assert_int_equal(topology_broadcast(v.topology, 7)->children_count, 0);
	assert_int_equal(topology_broadcast(v.topology, 8)->parent, PEER_NAME_NONE);
	assert_false(topology_dirty(v.topology));
	view_free(&v);
}

static void next_hops_are_shortest_then_lowest(void **state)
{
	struct view v = chain_and_bow(1);

	(void)state;
	assert_int_equal(topology_next_hop(v.topology, 2), 2);
	assert_int_equal(topology_next_hop(v.topology, 3), 2);
	assert_int_equal(topology_next_hop(v.topology, 4), 5);
	assert_int_equal(topology_peer(v.topology, 4)->hops, 2);
	/* With 2 - 4 both ways are equally short: through the lower name. */
	put_link(&v, 2, 4);
	topology_update(v.topology);
	assert_int_equal(topology_next_hop(v.topology, 4), 2);
	view_free(&v);
}

static void own_data_paths_are_used_directly(void **state)
{
	struct view v = chain_and_bow(1);
	uint64_t version = topology_version(v.topology);

	(void)state;
	topology_direct(v.topology, 4, true);
	assert_true(topology_dirty(v.topology));
	topology_update(v.topology);
	assert_true(topology_version(v.topology) > version);
	assert_int_equal(topology_next_hop(v.topology, 4), 4);
	assert_int_equal(topology_peer(v.topology, 4)->hops, 1);
	/* Nobody has spoken of 9 yet, but we hear it: reachable, though not known. */
	topology_direct(v.topology, 9, true);
	topology_update(v.topology);
	assert_true(topology_reachable(v.topology, 9));
	assert_false(topology_peer(v.topology, 9)->known);
	topology_direct(v.topology, 9, false);
	topology_direct(v.topology, 4, false);
	topology_update(v.topology);
	assert_null(topology_peer(v.topology, 9));
	assert_int_equal(topology_count(v.topology), 5);
	assert_int_equal(topology_next_hop(v.topology, 4), 5);
	view_free(&v);
}

/* Our own data paths must not change trees that others compute, too. */
static void f11_trees_are_of_the_published_graph_only(void **state)
{
	struct view v = chain_and_bow(1);
	const struct topology_broadcast *b;

	(void)state;
	topology_direct(v.topology, 4, true);
	put_link(&v, 2, 5); /* another graph, so the tree is computed anew */
	topology_update(v.topology);
	b = topology_broadcast(v.topology, 4);
	assert_int_equal(b->parent, 5);
	assert_int_equal(b->children_count, 0);
	b = topology_broadcast(v.topology, 1);
	assert_int_equal(b->parent, PEER_NAME_NONE);
	assert_int_equal(b->children_count, 2);
	assert_int_equal(b->children[0], 2);
	assert_int_equal(b->children[1], 5);
	view_free(&v);
}

/* Every peer knows the one neighbour it takes an origin's broadcasts from. */
static void f11_one_parent_per_origin(void **state)
{
	static const peer_name parent_of_4s[] = { 0, 5, 3, 4, 0, 4 };

	(void)state;
	for (peer_name self = 1; self <= 5; self++) {
		struct view v = chain_and_bow(self);

		assert_int_equal(topology_broadcast(v.topology, 4)->parent, parent_of_4s[self]);
		view_free(&v);
	}
}

/* 1 - 2 - 6 - 4 and 1 - 3 - 5 - 4: our way to 1 starts at the lower name, but broadcasts of 1 come
 * from where its own search arrives first.  A tree guessed from our routes would lose them. */
static void f11_trees_are_not_routes_backwards(void **state)
{
	struct view v = view_new(4);

	(void)state;
	for (peer_name n = 1; n <= 6; n++)
		put_peer(&v, n, 1);
	put_link(&v, 1, 2);
	put_link(&v, 2, 6);
	put_link(&v, 6, 4);
	put_link(&v, 1, 3);
	put_link(&v, 3, 5);
	put_link(&v, 5, 4);
	topology_update(v.topology);
	assert_int_equal(topology_next_hop(v.topology, 1), 5);
	assert_int_equal(topology_broadcast(v.topology, 1)->parent, 6);
	view_free(&v);
}

static void a_link_needs_both_ends(void **state)
{
	struct view v = view_new(1);

	(void)state;
	put_peer(&v, 1, 1);
	put_peer(&v, 2, 1);
	put_half(&v, 1, 2, true, 1, 1);
	topology_update(v.topology);
	assert_false(topology_reachable(v.topology, 2));
	put_half(&v, 2, 1, false, 1, 1);
	topology_update(v.topology);
	assert_false(topology_reachable(v.topology, 2));
	put_half(&v, 2, 1, true, 1, 2);
	topology_update(v.topology);
	assert_true(topology_reachable(v.topology, 2));
	put_half(&v, 1, 2, false, 1, 2);
	topology_update(v.topology);
	assert_false(topology_reachable(v.topology, 2));
	view_free(&v);
}

/* After a restart links of the former life do not count, whichever entry arrives first. */
static void links_of_a_former_life_do_not_count(void **state)
{
	struct view v = chain_and_bow(1);
	struct made m;

	(void)state;
	put_peer(&v, 2, 2);
	topology_update(v.topology);
	assert_false(topology_reachable(v.topology, 2));
	assert_int_equal(topology_next_hop(v.topology, 3), 5);
	put_half(&v, 2, 1, true, 2, 1);
	topology_update(v.topology);
	assert_int_equal(topology_next_hop(v.topology, 2), 2);
	/* A link of a life whose peer entry has not arrived does not count either. */
	put_half(&v, 5, 1, true, 2, 1);
	topology_update(v.topology);
	assert_false(topology_peer(v.topology, 5)->hops == 1);
	assert_int_equal(take(v.store, make_link(&m, 5, 1, true, 1, 9), 0), STORE_OLDER);
	put_peer(&v, 5, 2);
	topology_update(v.topology);
	assert_int_equal(topology_peer(v.topology, 5)->hops, 1);
	view_free(&v);
}

static void dropped_entries_leave_nothing(void **state)
{
	struct view v = chain_and_bow(1);

	(void)state;
	for (peer_name n = 1; n <= 5; n++)
		store_refuse_until(v.store, n, 1);
	topology_update(v.topology);
	topology_check(v.topology);
	assert_int_equal(topology_count(v.topology), 1);
	assert_int_equal(store_count(v.store), 0);
	assert_true(topology_reachable(v.topology, 1));
	assert_false(topology_peer(v.topology, 1)->known);
	view_free(&v);
}

static void tombstones_are_as_good_as_nothing(void **state)
{
	struct view v = chain_and_bow(1);
	struct made m;

	(void)state;
	make_link(&m, 1, 2, false, 1, 2);
	m.view.flags = ENTRY_TOMBSTONE;
	m.view.value.size = 0;
	assert_int_equal(take(v.store, &m.view, 0), STORE_TOOK);
	topology_update(v.topology);
	assert_int_equal(topology_next_hop(v.topology, 2), 5);
	assert_int_equal(topology_peer(v.topology, 1)->links_count, 1);
	view_free(&v);
}

static void versions_move_when_and_only_when_needed(void **state)
{
	struct view v = chain_and_bow(1);
	uint64_t version = topology_version(v.topology);
	struct peer_info p = peer_of(2);
	struct made m;

	(void)state;
	topology_update(v.topology);
	assert_int_equal(topology_version(v.topology), version);
	/* A nickname is no reason. */
	strcpy(p.nickname, "other");
	take(v.store, make_peer(&m, &p, 1, 2), 0);
	assert_true(topology_dirty(v.topology));
	topology_update(v.topology);
	assert_int_equal(topology_version(v.topology), version);
	assert_string_equal(topology_peer(v.topology, 2)->info.nickname, "other");
	/* A floor is: it decides whose endpoints count. */
	p.floor = 1;
	take(v.store, make_peer(&m, &p, 1, 3), 0);
	topology_update(v.topology);
	assert_true(topology_version(v.topology) > version);
	version = topology_version(v.topology);
	/* So is a link elsewhere that changes only trees. */
	put_link(&v, 3, 5);
	topology_update(v.topology);
	assert_true(topology_version(v.topology) > version);
	view_free(&v);
}

/* A seed that five hundred peers dial: no entry overflows, and its nickname costs one entry. */
static void f3_five_hundred_links_of_one_seed(void **state)
{
	struct view v = view_new(1);
	struct peer_info seed = peer_of(1);
	struct store_cursor c = { 0 };
	struct made m;

	(void)state;
	put_peer(&v, 1, 1);
	for (peer_name n = 2; n <= 501; n++) {
		put_peer(&v, n, 1);
		put_link(&v, 1, n);
	}
	topology_update(v.topology);
	assert_int_equal(topology_peer(v.topology, 1)->links_count, 500);
	assert_int_equal(topology_broadcast(v.topology, 1)->children_count, 500);
	store_cursor_open(v.store, &c, true);
	strcpy(seed.nickname, "renamed");
	take(v.store, make_peer(&m, &seed, 1, 2), 0);
	assert_int_equal(store_cursor_peek(&c)->view.kind, KIND_PEER);
	store_cursor_advance(v.store, &c);
	assert_null(store_cursor_peek(&c));
	assert_true(topology_reachable(v.topology, 400));
	store_cursor_close(&c);
	view_free(&v);
}

/* TCP up, data path blocked: each side hides the other, the digests stay equal. */
static void f4_digests_do_not_know_reachability(void **state)
{
	struct view x = view_new(1), y = view_new(2);

	(void)state;
	for (peer_name n = 1; n <= 4; n++) {
		put_peer(&x, n, 1);
		put_peer(&y, 5 - n, 1);
	}
	put_link(&x, 1, 3);
	put_link(&x, 2, 4);
	put_link(&y, 2, 4);
	put_link(&y, 1, 3);
	topology_update(x.topology);
	topology_update(y.topology);
	assert_true(topology_reachable(x.topology, 3) && !topology_reachable(x.topology, 4));
	assert_true(topology_reachable(y.topology, 4) && !topology_reachable(y.topology, 3));
	assert_true(digests_equal(x.store, y.store));
	view_free(&x);
	view_free(&y);
}

/* The view is bounded, says so by leaving out, and mends itself when there is room again. */
static void peers_are_bounded(void **state)
{
	struct view v = view_new(1);

	(void)state;
	for (peer_name n = 1; n <= PEERS_MAX + 10; n++)
		put_peer(&v, n, 1);
	put_link(&v, 1, PEERS_MAX + 5);
	topology_update(v.topology);
	assert_int_equal(topology_count(v.topology), PEERS_MAX);
	assert_null(topology_peer(v.topology, PEERS_MAX + 5));
	topology_direct(v.topology, PEERS_MAX + 9, true);
	topology_update(v.topology);
	assert_true(topology_reachable(v.topology, PEERS_MAX + 9));
	topology_direct(v.topology, PEERS_MAX + 9, false);
	for (peer_name n = 100; n < 120; n++)
		store_refuse_until(v.store, n, 1);
	topology_update(v.topology);
	assert_int_equal(topology_count(v.topology), PEERS_MAX - 10);
	assert_int_equal(topology_next_hop(v.topology, PEERS_MAX + 5), PEERS_MAX + 5);
	view_free(&v);
}

static void everything_is_given_back(void **state)
{
	size_t before = mem_in_use();
	struct view v = chain_and_bow(3);

	(void)state;
	for (peer_name n = 1; n <= 5; n++)
		topology_broadcast(v.topology, n);
	put_half(&v, 8, 9, true, 1, 1);
	view_free(&v);
	assert_int_equal(mem_in_use(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(alone),
		cmocka_unit_test(next_hops_are_shortest_then_lowest),
		cmocka_unit_test(own_data_paths_are_used_directly),
		cmocka_unit_test(f11_trees_are_of_the_published_graph_only),
		cmocka_unit_test(f11_one_parent_per_origin),
		cmocka_unit_test(f11_trees_are_not_routes_backwards),
		cmocka_unit_test(a_link_needs_both_ends),
		cmocka_unit_test(links_of_a_former_life_do_not_count),
		cmocka_unit_test(dropped_entries_leave_nothing),
		cmocka_unit_test(tombstones_are_as_good_as_nothing),
		cmocka_unit_test(versions_move_when_and_only_when_needed),
		cmocka_unit_test(f3_five_hundred_links_of_one_seed),
		cmocka_unit_test(f4_digests_do_not_know_reachability),
		cmocka_unit_test(peers_are_bounded),
		cmocka_unit_test(everything_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
