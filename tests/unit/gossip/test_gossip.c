/* Whole gossip engines talking to each other over virtual streams. */
#include "../../budget.h"
#include "world.h"

#include "../../../gossip/handshake_wire.h"
#include "../../../gossip/message_wire.h"

static struct world *pair(void)
{
	struct world *w = world_new(2, 7);

	world_start_all(w);
	world_connect(w, 1, 2);
	return w;
}

static void two_routers_find_each_other(void **state)
{
	struct world *w = pair();
	struct gossip_conn_info info;

	(void)state;
	world_until(w, world_converged, 2000);
	world_run(w, 10000);
	assert_true(world_converged(w));
	for (unsigned i = 1; i <= 2; i++) {
		assert_int_equal(world_conns(w, i, CONN_ESTABLISHED), 1);
		assert_true(gossip_conn_at(w->host[i].g, 0, &info));
		assert_int_equal(info.peer, 3 - i);
		assert_int_equal(info.version, 3);
		assert_int_equal(info.outbound, i == 1);
		assert_int_equal(info.rtt_ms, 2 * WORLD_DELAY_MS);
		assert_true(info.structural);
		assert_false(info.digests_differ);
	}
	assert_string_equal(gossip_target_at(w->host[1].g, 0), "10.0.0.2");
	assert_null(gossip_target_at(w->host[2].g, 0));
	world_free(w);
}

static void ten_routers_converge_from_one_seed(void **state)
{
	struct world *w = world_new(10, 8);

	(void)state;
	world_start_all(w);
	for (unsigned i = 2; i <= 10; i++)
		world_connect(w, i, 1);
	world_until(w, world_converged, 5000);
	world_run(w, 30000);
	assert_true(world_converged(w));
	/* Up to 13 peers everybody is linked to everybody. */
	for (unsigned i = 1; i <= 10; i++)
		assert_int_equal(world_conns(w, i, CONN_ESTABLISHED), 9);
	world_free(w);
}

static void put_text(struct world *w, unsigned i, const char *key, const char *value)
{
	gossip_put(w->host[i].g, KIND_UNKNOWN, bytes_of(key, strlen(key)),
		   value ? bytes_of(value, strlen(value)) : bytes_of(NULL, 0), at(w->now));
	world_drain(w, i);
}

static const struct entry *get_text(struct world *w, unsigned i, const char *key)
{
	return store_find(gossip_store(w->host[i].g), KIND_UNKNOWN, bytes_of(key, strlen(key)));
}

static void a_change_travels_at_once_and_a_burst_is_gathered(void **state)
{
	struct world *w = pair();
	struct gossip_counters before, after;
	char value[16];

	(void)state;
	world_until(w, world_converged, 2000);
	world_run(w, 1000);
	put_text(w, 1, "k", "v");
	world_run(w, 5);
	assert_non_null(get_text(w, 2, "k"));
	world_run(w, 1000);
	gossip_counters(w->host[1].g, &before);
	for (int i = 0; i < 100; i++) {
		snprintf(value, sizeof value, "v%d", i);
		put_text(w, 1, "k", value);
		world_run(w, 1);
	}
	world_run(w, 1000);
	gossip_counters(w->host[1].g, &after);
	assert_true(after.entries_sent - before.entries_sent <= 4);
	assert_memory_equal(get_text(w, 2, "k")->view.value.data, "v99", 3);
	/* Split horizon: nothing goes back where it came from. */
	gossip_counters(w->host[2].g, &before);
	put_text(w, 1, "other", "v");
	world_run(w, 1000);
	gossip_counters(w->host[2].g, &after);
	assert_int_equal(after.entries_sent, before.entries_sent);
	world_free(w);
}

static void tombstones_travel_and_leave_no_difference(void **state)
{
	struct world *w = pair();

	(void)state;
	world_until(w, world_converged, 2000);
	put_text(w, 1, "k", "v");
	world_run(w, 200);
	put_text(w, 1, "k", NULL);
	world_run(w, 200);
	assert_true(get_text(w, 2, "k")->view.flags & ENTRY_TOMBSTONE);
	assert_true(world_equal(w));
	world_free(w);
}

static void both_dial_and_one_connection_stays(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct world *w = world_new(2, seed);
		uint64_t dials;

		world_start_all(w);
		world_connect(w, 1, 2);
		world_connect(w, 2, 1);
		world_until(w, world_converged, 3000);
		world_run(w, 5000);
		dials = w->dials;
		for (unsigned i = 1; i <= 2; i++) {
			assert_int_equal(world_conns(w, i, CONN_ESTABLISHED), 1);
			assert_int_equal(world_conns(w, i, CONN_FAILED), 0);
			assert_int_equal(world_conns(w, i, CONN_PENDING), 0);
		}
		/* The loser's target rests. */
		world_run(w, 60000);
		assert_int_equal(w->dials, dials);
		assert_true(dials <= 4);
		assert_true(w->host[1].downs + w->host[2].downs <= 1);
		world_check(w);
		world_free(w);
	}
}

static void a_suspect_connection_gives_way_to_a_new_one(void **state)
{
	struct world *w = pair();
	struct gossip_conn_info info;
	conn_id old;

	(void)state;
	world_until(w, world_converged, 2000);
	world_run(w, 5000);
	assert_true(gossip_conn_at(w->host[1].g, 0, &info));
	old = info.conn;
	/* The old stream dies silently; six seconds later the other end dials anew. */
	world_cut(w, 1, 2, true);
	world_run(w, 9000);
	world_cut(w, 1, 2, false);
	world_connect(w, 2, 1);
	world_run(w, 3000);
	assert_true(world_converged(w));
	assert_int_equal(world_conns(w, 1, CONN_ESTABLISHED), 1);
	assert_true(gossip_conn_at(w->host[1].g, 0, &info));
	assert_true(info.conn != old);
	world_free(w);
}

static void connecting_to_ourself_is_noticed_and_not_repeated(void **state)
{
	struct world *w = world_new(1, 3);
	struct gossip_conn_info info;
	uint64_t dials;

	(void)state;
	/* Its own idea of where it is does not contain this address. */
	w->host[1].config.addresses_count = 0;
	world_start_all(w);
	world_connect(w, 1, 1);
	world_run(w, 1000);
	assert_true(world_line(w, 1, PEER_NAME_NONE, WHY_SELF, &info));
	assert_int_equal(info.state, CONN_FAILED);
	assert_int_equal(info.retry_in_ms, UINT64_MAX);
	dials = w->dials;
	assert_int_equal(dials, 1);
	world_run(w, 60000);
	assert_int_equal(w->dials, dials);
	/* And by address, without dialling at all. */
	world_connect_text(w, 1, "10.0.0.1:6783");
	world_run(w, 1000);
	assert_int_equal(w->dials, dials);
	world_free(w);
}

static void two_live_routers_of_one_name_are_named_on_both_sides(void **state)
{
	struct world *w = pair();
	struct gossip_conn_info info;

	(void)state;
	world_free(w);
	w = world_new(2, 4);
	w->host[2].config.name = 1;
	world_start_all(w);
	world_connect(w, 1, 2);
	world_run(w, 500);
	assert_true(world_line(w, 1, 1, WHY_SAME_NAME, &info));
	assert_int_equal(info.state, CONN_FAILED);
	assert_non_null(strstr(info.why.text, "00:00:00:00:00:01"));
	assert_true(world_line(w, 2, 1, WHY_SAME_NAME, &info));
	world_free(w);
}

static void a_third_one_refuses_the_second_of_one_name(void **state)
{
	struct world *w = world_new(3, 5);
	struct gossip_conn_info info;

	(void)state;
	w->host[3].config.name = 2;
	world_start_all(w);
	world_connect(w, 2, 1);
	world_run(w, 1000);
	world_connect(w, 3, 1);
	world_run(w, 100);
	assert_true(world_line(w, 3, 1, WHY_SAME_NAME, &info));
	assert_true(world_line(w, 1, 2, WHY_SAME_NAME, &info));
	assert_int_equal(world_conns(w, 1, CONN_ESTABLISHED), 1);
	world_free(w);
}

/* Two live clones behind different neighbours: few jumps, one of them falls silent (F5c). */
static void clones_make_few_jumps(void **state)
{
	struct world *w = world_new(4, 6);
	struct gossip_counters one, other;

	(void)state;
	w->host[4].config.name = 1;
	world_start_all(w);
	world_cut(w, 1, 4, true);
	world_cut(w, 1, 3, true);
	world_cut(w, 2, 4, true);
	world_connect(w, 1, 2);
	world_connect(w, 2, 3);
	world_connect(w, 3, 4);
	world_run(w, 50000);
	gossip_counters(w->host[1].g, &one);
	gossip_counters(w->host[4].g, &other);
	assert_true(one.silent != other.silent);
	assert_true(one.jumps + other.jumps >= 1 && one.jumps + other.jumps < 5);
	/* The lower instance stays. */
	assert_int_equal(one.silent, w->host[1].config.instance > w->host[4].config.instance);
	assert_int_equal(one.silent ? one.duplicate : other.duplicate,
			 w->host[one.silent ? 4 : 1].config.instance);
	world_free(w);
}

/* Two live clones that only one router knows: it keeps a connection with one of them at a time, so
 * no entry leads from one to the other; who is shut out is told by whom. */
static void clones_at_one_router_learn_of_each_other(void **state)
{
	struct gossip_counters one, other;
	struct world *w;

	(void)state;
	for (unsigned same = 0; same < 2; same++) {
		w = world_new(3, 6);
		w->host[3].config.name = 2;
		w->host[2].config.generation = 100;
		w->host[3].config.generation = same ? 100 : 99;
		world_start_all(w);
		world_cut(w, 2, 3, true);
		world_connect(w, 2, 1);
		world_run(w, 1000);
		world_connect(w, 3, 1);
		world_run(w, 20000);
		gossip_counters(w->host[2].g, &one);
		gossip_counters(w->host[3].g, &other);
		assert_true(one.silent != other.silent);
		assert_int_equal(one.silent,
				 w->host[2].config.instance > w->host[3].config.instance);
		assert_int_equal(one.silent ? one.duplicate : other.duplicate,
				 w->host[one.silent ? 3 : 2].config.instance);
		assert_true(one.jumps + other.jumps < 5);
		assert_int_equal(world_conns(w, one.silent ? 3 : 2, CONN_ESTABLISHED), 1);
		world_free(w);
	}
}

static void a_restarted_router_replaces_its_old_connection_at_once(void **state)
{
	struct world *w = pair();
	struct gossip_conn_info info;

	(void)state;
	world_until(w, world_converged, 2000);
	/* Dies without a FIN: the old connection is half open at the other end (F5d). */
	gossip_free(w->host[1].g);
	w->host[1].g = NULL;
	w->host[1].config.generation = 101;
	world_start(w, 1);
	world_connect(w, 1, 2);
	world_until(w, world_converged, 1000);
	assert_int_equal(world_conns(w, 2, CONN_ESTABLISHED), 1);
	assert_true(gossip_conn_at(w->host[2].g, 0, &info));
	assert_int_equal(info.peer, 1);
	assert_int_equal(w->host[2].downs, 1);
	world_free(w);
}

static void an_older_generation_is_refused_with_the_reason(void **state)
{
	struct world *w = world_new(3, 5);
	struct gossip_conn_info info;

	(void)state;
	w->host[3].config.name = 2;
	w->host[3].config.generation = 99;
	world_start_all(w);
	world_connect(w, 2, 1);
	world_run(w, 1000);
	world_connect(w, 3, 1);
	world_run(w, 100);
	assert_true(world_line(w, 3, 1, WHY_OLD_GENERATION, &info));
	assert_true(world_line(w, 1, 2, WHY_OLD_GENERATION, &info));
	world_free(w);
}

static bool one_is_known_anew(struct world *w)
{
	const struct topology_peer *p = topology_peer(gossip_topology(w->host[2].g), 1);

	return p && p->known && p->info.instance == w->host[1].config.instance && p->reachable &&
	       world_converged(w);
}

/* F5b: the disk is lost and the clock set back, so the new generation is the smaller one. */
static void disk_lost_and_clock_set_back_is_visible_again_within_a_second(void **state)
{
	struct world *w = world_new(3, 9);
	struct gossip_counters c;

	(void)state;
	world_start_all(w);
	world_connect(w, 1, 2);
	world_connect(w, 2, 3);
	world_until(w, world_converged, 4000);
	put_text(w, 1, "k", "v");
	world_run(w, 12000);
	world_kill(w, 1);
	world_run(w, 12000);
	w->host[1].config.generation = 5;
	w->host[1].config.store_id++;
	world_start(w, 1);
	world_connect(w, 1, 2);
	world_until(w, one_is_known_anew, 1000);
	gossip_counters(w->host[1].g, &c);
	assert_int_equal(c.jumps, 1);
	assert_int_equal(w->host[1].last_generation, 101);
	assert_int_equal(c.generation, 101);
	world_free(w);
}

static void what_a_former_life_said_is_overruled(void **state)
{
	struct world *w = pair();
	uint8_t key[8];
	struct writer k = writer_over(key, sizeof key);

	(void)state;
	world_until(w, world_converged, 2000);
	world_kill(w, 1);
	world_run(w, 100);
	/* Restarted, and now it knows another peer only: the link of its former life goes. */
	w->host[1].config.generation = 101;
	world_cut(w, 1, 2, false);
	world_start(w, 1);
	world_connect(w, 2, 1);
	world_run(w, 40000);
	peer_info_key(1, &k);
	for (unsigned i = 1; i <= 2; i++) {
		const struct entry *e = store_find(gossip_store(w->host[i].g), KIND_PEER,
						   writer_bytes(&k));
		struct peer_info p;

		assert_non_null(e);
		assert_int_equal(e->view.generation, 101);
		assert_null(peer_info_decode(&p, &e->view));
		/* The floor was raised 30 s after the start. */
		assert_int_equal(p.floor, 101);
	}
	assert_true(world_converged(w));
	world_free(w);
}

/* F5g: a kind that the router in the middle does not know. */
static void unknown_kinds_pass_through_a_relay(void **state)
{
	struct world *w = world_new(3, 11);

	(void)state;
	world_start_all(w);
	world_cut(w, 1, 3, true);
	world_connect(w, 1, 2);
	world_connect(w, 3, 2);
	world_until(w, world_equal, 4000);
	put_text(w, 1, "key", "value");
	world_run(w, 200);
	assert_non_null(get_text(w, 2, "key"));
	assert_non_null(get_text(w, 3, "key"));
	assert_true(world_equal(w));
	world_free(w);
}

static bool two_has_lost_one(struct world *w)
{
	return world_conns(w, 2, CONN_ESTABLISHED) == 0;
}

/* F7c: it writes, and never reads. */
static void a_deaf_neighbour_is_dropped(void **state)
{
	struct world *w = pair();
	struct gossip_conn_info info;
	uint64_t took;

	(void)state;
	world_until(w, world_converged, 2000);
	world_run(w, 10000);
	w->host[1].deaf = true;
	took = world_until(w, two_has_lost_one, 15000);
	print_message("dropped after %llu ms\n", (unsigned long long)took);
	assert_true(took >= 5000 && took <= 14500);
	assert_true(world_line(w, 2, 1, WHY_NO_ECHO, &info) ||
		    world_line(w, 2, 1, WHY_NO_PROGRESS, &info));
	world_free(w);
}

/* Megabytes of changes for somebody who does not read cost nothing. */
static void a_deaf_neighbour_costs_no_memory(void **state)
{
	struct world *w = pair();
	static char value[3000];
	size_t before;

	(void)state;
	memset(value, 'x', sizeof value - 1);
	world_until(w, world_converged, 2000);
	world_run(w, 5000);
	w->host[2].deaf = true;
	put_text(w, 1, "k", value);
	world_run(w, 100);
	before = mem_in_use();
	for (int i = 0; i < 2000; i++) {
		value[0] = (char)('a' + i % 26);
		value[1] = (char)('a' + i / 26 % 26);
		put_text(w, 1, "k", value);
		world_run(w, 1);
	}
	assert_true(mem_in_use() < before + 300000);
	world_free(w);
}

static void no_common_version_is_told_on_both_sides(void **state)
{
	struct world *w = world_new(2, 12);
	struct gossip_conn_info info;

	(void)state;
	w->host[1].config.protocol_min = 4;
	w->host[1].config.protocol_max = 5;
	world_start_all(w);
	world_connect(w, 1, 2);
	world_run(w, 300);
	assert_true(world_line(w, 1, PEER_NAME_NONE, WHY_VERSION, &info));
	assert_string_equal(info.why.text,
			    "no common protocol version: we speak 4 to 5, the other end speaks 3");
	assert_true(world_line(w, 2, PEER_NAME_NONE, WHY_VERSION, &info));
	assert_string_equal(info.why.text,
			    "no common protocol version: we speak 3, the other end speaks 4 to 5");
	world_free(w);
}

static void a_new_address_is_published_and_no_longer_dialled_as_a_foreign_one(void **state)
{
	struct world *w = world_new(2, 14);
	struct ip_addr fresh = { 4, { 10, 7, 7, 7 } };
	const char *own[] = { "10.7.7.7" }, *old[] = { "10.0.0.1" };
	const struct topology_peer *p;
	uint64_t entries;
	struct why why;

	(void)state;
	world_start_all(w);
	world_connect(w, 1, 2);
	world_run(w, 1000);
	gossip_set_addresses(w->host[1].g, &fresh, 1, at(w->now));
	world_drain(w, 1);
	world_run(w, 1000);
	p = topology_peer(gossip_topology(w->host[2].g), 1);
	assert_int_equal(p->info.addresses_count, 1);
	assert_int_equal(ip_compare(p->info.addresses[0], fresh), 0);
	/* The same again is no change. */
	entries = store_sequence(gossip_store(w->host[1].g));
	gossip_set_addresses(w->host[1].g, &fresh, 1, at(w->now));
	assert_int_equal(store_sequence(gossip_store(w->host[1].g)), entries);
	/* Ours is never dialled; the one given up may be somebody else's now. */
	w->dials = 0;
	assert_true(gossip_connect(w->host[1].g, own, 1, false, at(w->now), &why));
	world_drain(w, 1);
	world_run(w, 1000);
	assert_int_equal(w->dials, 0);
	assert_true(gossip_connect(w->host[1].g, old, 1, false, at(w->now), &why));
	world_drain(w, 1);
	world_run(w, 1000);
	assert_true(w->dials > 0);
	world_free(w);
}

static void replace_and_forget(void **state)
{
	struct world *w = world_new(3, 13);
	const char *good[] = { "10.0.0.2" }, *bad[] = { "10.0.0.3", "not valid!" };
	struct why why;

	(void)state;
	world_start_all(w);
	world_connect(w, 1, 2);
	world_connect_text(w, 1, "10.9.9.9");
	world_run(w, 1000);
	/* All or nothing. */
	assert_false(gossip_connect(w->host[1].g, bad, 2, true, at(w->now), &why));
	assert_non_null(strstr(why.text, "not valid!"));
	assert_string_equal(gossip_target_at(w->host[1].g, 1), "10.9.9.9");
	assert_true(gossip_connect(w->host[1].g, bad, 1, true, at(w->now), &why));
	world_drain(w, 1);
	assert_string_equal(gossip_target_at(w->host[1].g, 0), "10.0.0.3");
	assert_null(gossip_target_at(w->host[1].g, 1));
	world_run(w, 3000);
	/* Live connections stay. */
	assert_int_equal(world_conns(w, 1, CONN_ESTABLISHED), 2);
	assert_int_equal(gossip_forget(w->host[1].g, good, 1, at(w->now)), 0);
	assert_int_equal(gossip_forget(w->host[1].g, bad, 2, at(w->now)), 1);
	world_drain(w, 1);
	assert_null(gossip_target_at(w->host[1].g, 0));
	assert_int_equal(world_conns(w, 1, CONN_ESTABLISHED), 2);
	world_free(w);
}

static void names_are_resolved_before_each_dial(void **state)
{
	struct world *w = world_new(2, 14);
	struct gossip_conn_info info;

	(void)state;
	world_start(w, 1);
	world_connect_text(w, 1, "host2:6783");
	world_connect_text(w, 1, "nowhere.example");
	world_run(w, 3000);
	assert_true(world_line(w, 1, PEER_NAME_NONE, WHY_TRANSPORT, &info));
	world_start(w, 2);
	world_run(w, 12000);
	assert_int_equal(world_conns(w, 1, CONN_ESTABLISHED), 1);
	assert_int_equal(world_conns(w, 1, CONN_FAILED), 1);
	world_free(w);
}

static void a_name_that_leads_to_ourselves_is_looked_up_again(void **state)
{
	struct world *w = world_new(1, 30);
	struct gossip_conn_info info;

	(void)state;
	w->host[1].config.addresses_count = 0;
	world_start(w, 1);
	world_connect_text(w, 1, "host1");
	for (int i = 0; i < 3; i++) { /* found out by dialling first, by the address then */
		world_run(w, 20000);
		assert_true(world_line(w, 1, PEER_NAME_NONE, WHY_SELF, &info));
		assert_true(info.retry_in_ms <= 10000);
	}
	world_free(w);
}

static void a_failed_target_says_why_and_when_next(void **state)
{
	struct world *w = world_new(1, 15);
	struct gossip_conn_info info;

	(void)state;
	world_start_all(w);
	world_connect_text(w, 1, "10.9.9.9");
	world_run(w, 30000);
	assert_true(world_line(w, 1, PEER_NAME_NONE, WHY_TRANSPORT, &info));
	assert_string_equal(info.why.text, "connection refused");
	if (info.state == CONN_FAILED)
		assert_true(info.retry_in_ms <= 10000);
	/* Back-off: far fewer dials than one per half second. */
	assert_true(w->dials >= 4 && w->dials < 40);
	world_free(w);
}

static void no_discovery_dials_targets_only_and_relays_entries(void **state)
{
	struct world *w = world_new(3, 16);

	(void)state;
	for (unsigned i = 1; i <= 3; i++)
		w->host[i].config.discovery = false;
	world_start_all(w);
	world_connect(w, 1, 2);
	world_connect(w, 2, 3);
	world_until(w, world_converged, 4000);
	world_run(w, 30000);
	assert_int_equal(world_conns(w, 1, CONN_ESTABLISHED), 1);
	assert_int_equal(world_conns(w, 2, CONN_ESTABLISHED), 2);
	assert_int_equal(topology_next_hop(gossip_topology(w->host[1].g), 3), 2);
	world_kill(w, 2);
	world_run(w, 15000);
	assert_false(topology_reachable(gossip_topology(w->host[1].g), 3));
	world_free(w);
}

static void the_connection_limit_bounds_dials(void **state)
{
	struct world *w = world_new(20, 17);

	(void)state;
	for (unsigned i = 1; i <= 20; i++)
		w->host[i].config.conn_limit = 6;
	world_start_all(w);
	for (unsigned i = 2; i <= 20; i++)
		world_connect(w, i, i - 1);
	world_until(w, world_converged, 60000);
	world_run(w, 60000);
	world_check(w);
	assert_true(world_converged(w));
	for (unsigned i = 1; i <= 20; i++) {
		struct gossip_conn_info info;
		unsigned out = 0, in = 0;

		for (size_t n = 0; gossip_conn_at(w->host[i].g, n, &info); n++)
			if (info.state == CONN_ESTABLISHED) {
				out += info.outbound;
				in += !info.outbound;
			}
		assert_true(out <= 7); /* one of them the operator's */
		assert_true(in <= 12);
	}
	world_free(w);
}

static void above_the_limit_of_accepted_ones_the_reason_is_told(void **state)
{
	struct world *w = world_new(5, 18);
	struct gossip_conn_info info;

	(void)state;
	for (unsigned i = 1; i <= 5; i++) {
		w->host[i].config.conn_limit = 1;
		w->host[i].config.discovery = false;
	}
	world_start_all(w);
	for (unsigned i = 2; i <= 5; i++) {
		world_connect(w, i, 1);
		world_run(w, 500);
	}
	assert_int_equal(world_conns(w, 1, CONN_ESTABLISHED), 2);
	assert_true(world_line(w, 5, 1, WHY_LIMIT, &info));
	assert_non_null(strstr(info.why.text, "connection limit reached"));
	world_free(w);
}

/* The old connection was dialled here, so the new one would be one more accepted. */
static void a_restart_of_a_dialled_one_does_not_pass_the_limit(void **state)
{
	struct world *w = world_new(4, 18);

	(void)state;
	for (unsigned i = 1; i <= 4; i++) {
		w->host[i].config.conn_limit = 1;
		w->host[i].config.discovery = false;
	}
	world_start_all(w);
	world_connect(w, 1, 2);
	world_connect(w, 3, 1);
	world_connect(w, 4, 1);
	world_until(w, world_converged, 5000);
	assert_int_equal(world_conns(w, 1, CONN_ESTABLISHED), 3);
	gossip_free(w->host[2].g);
	w->host[2].g = NULL;
	w->host[2].config.generation = 101;
	world_start(w, 2);
	world_connect(w, 2, 1);
	world_run(w, 100);
	gossip_check(w->host[1].g);
	/* Dialled again, or one of the others gave way. */
	world_until(w, world_converged, 5000);
	gossip_check(w->host[1].g);
	world_free(w);
}

static void a_stopping_router_says_so(void **state)
{
	struct world *w = pair();
	struct gossip_conn_info info;

	(void)state;
	world_until(w, world_converged, 2000);
	gossip_stop(w->host[2].g, at(w->now));
	world_drain(w, 2);
	world_run(w, 20);
	assert_true(world_line(w, 1, PEER_NAME_NONE, WHY_STOPPED, &info));
	assert_string_equal(info.why.text, "the other end says: router host2 stopped");
	assert_int_equal(world_conns(w, 2, CONN_ESTABLISHED), 0);
	world_free(w);
}

static void partition_and_heal(void **state)
{
	struct world *w = world_new(6, 19);
	uint64_t took;

	(void)state;
	world_start_all(w);
	for (unsigned i = 2; i <= 6; i++)
		world_connect(w, i, i - 1);
	world_until(w, world_converged, 10000);
	for (unsigned i = 1; i <= 3; i++)
		for (unsigned j = 4; j <= 6; j++)
			world_cut(w, i, j, true);
	world_run(w, 3600000);
	assert_false(topology_reachable(gossip_topology(w->host[1].g), 6));
	assert_true(topology_reachable(gossip_topology(w->host[1].g), 3));
	put_text(w, 1, "here", "1");
	put_text(w, 6, "there", "6");
	world_run(w, 1000);
	for (unsigned i = 1; i <= 3; i++)
		for (unsigned j = 4; j <= 6; j++)
			world_cut(w, i, j, false);
	/* F10b: an hour of failed dials must not make the heal wait for minutes. */
	took = world_until(w, world_converged, 13000);
	assert_non_null(get_text(w, 1, "there"));
	assert_non_null(get_text(w, 6, "here"));
	print_message("healed after %llu ms\n", (unsigned long long)took);
	world_free(w);
}

static void two_hosts_heal_after_an_hour(void **state)
{
	struct world *w = pair();

	(void)state;
	world_until(w, world_converged, 2000);
	world_cut(w, 1, 2, true);
	world_run(w, 3600000);
	world_cut(w, 1, 2, false);
	world_until(w, world_converged, 12000);
	world_free(w);
}

/* F9: an entry vanishes behind the store's back while 100 changes pass in a second. */
static void a_lost_entry_is_repaired_under_load(void **state)
{
	struct world *w = pair();
	char value[16];
	unsigned i = 0;

	(void)state;
	put_text(w, 1, "victim", "v");
	world_until(w, world_converged, 2000);
	for (; i < 300; i++) {
		snprintf(value, sizeof value, "v%u", i);
		put_text(w, 1, "busy", value);
		world_run(w, 10);
	}
	store_drop(gossip_store(w->host[2].g), get_text(w, 2, "victim"));
	for (i = 0; !get_text(w, 2, "victim"); i++) {
		assert_true(i < 3000);
		snprintf(value, sizeof value, "w%u", i);
		put_text(w, 1, "busy", value);
		world_run(w, 10);
	}
	print_message("repaired after %u ms\n", i * 10);
	assert_true(i <= 1000);
	world_free(w);
}

/* F4a: TCP up, UDP blocked. Both stores are byte-equal, so nothing is repaired again and again. */
static void no_data_path_and_no_endless_repair(void **state)
{
	struct world *w = world_new(2, 21);
	struct gossip_counters before, after;

	(void)state;
	w->host[1].udp_blocked = true;
	world_start_all(w);
	world_connect(w, 1, 2);
	world_run(w, 10000);
	assert_true(world_equal(w));
	assert_int_equal(world_conns(w, 1, CONN_PENDING), 1);
	gossip_counters(w->host[1].g, &before);
	world_run(w, 60000);
	gossip_counters(w->host[1].g, &after);
	assert_int_equal(after.repair_entries, before.repair_entries);
	assert_int_equal(after.repairs, before.repairs);
	world_free(w);
}

static bool send(struct world *w, unsigned i, peer_name to, const char *text)
{
	struct why why;
	bool sent = gossip_send_unicast(w->host[i].g, to, 5, bytes_of(text, strlen(text)),
					at(w->now), &why);

	world_drain(w, i);
	return sent;
}

static void unicast_goes_hop_by_hop_and_failure_is_answered(void **state)
{
	struct world *w = world_new(3, 22);

	(void)state;
	for (unsigned i = 1; i <= 3; i++)
		w->host[i].config.discovery = false;
	world_start_all(w);
	world_connect(w, 1, 2);
	world_connect(w, 2, 3);
	world_until(w, world_converged, 4000);
	assert_true(send(w, 1, 3, "hello"));
	assert_true(send(w, 1, 1, "self"));
	world_run(w, 100);
	assert_int_equal(w->host[3].unicasts, 1);
	assert_string_equal(w->host[3].last_unicast, "hello");
	assert_int_equal(w->host[1].unicasts, 1);
	assert_false(send(w, 1, 99, "nobody"));
	/* It is cut off, and we do not know it yet. */
	world_cut(w, 2, 3, true);
	assert_true(send(w, 1, 3, "late"));
	world_run(w, 20000);
	assert_int_equal(w->host[3].unicasts, 1);
	assert_false(send(w, 1, 3, "too late"));
	world_free(w);
}

static void tell(struct world *w, unsigned i, const char *text)
{
	gossip_tell_rings(w->host[i].g, bytes_of(text, strlen(text)), at(w->now));
	world_drain(w, i);
}

static void rings_are_told_when_two_meet_and_when_they_change(void **state)
{
	struct world *w = world_new(2, 7);
	struct gossip_conn_info info;

	(void)state;
	world_start_all(w);
	tell(w, 1, "one");
	world_connect(w, 1, 2);
	world_run(w, 100);
	assert_int_equal(w->host[2].rings, 1);
	assert_string_equal(w->host[2].last_rings, "one");
	assert_int_equal(w->host[1].rings, 0);
	world_run(w, 20000);
	assert_int_equal(w->host[2].rings, 1);
	/* A burst is gathered: the first leaves at once, the newest 50 ms later. */
	for (unsigned i = 0; i < 10; i++) {
		char text[8];

		snprintf(text, sizeof text, "v%u", i);
		tell(w, 1, text);
	}
	world_run(w, 200);
	assert_int_equal(w->host[2].rings, 3);
	assert_string_equal(w->host[2].last_rings, "v9");
	/* What the kinds cannot read closes the connection, with the name of the field. */
	w->host[1].bad_rings = true;
	tell(w, 2, "two");
	world_run(w, 20);
	assert_true(gossip_conn_at(w->host[1].g, 0, &info));
	assert_int_equal(info.why.reason, WHY_MALFORMED);
	assert_non_null(strstr(info.why.text, "rings.test"));
	world_free(w);
}

/* What IPAM looks at: a version of its own that no other change of a peer bumps. */
static void peers_and_their_stores_are_told(void **state)
{
	struct world *w = pair();
	unsigned before;

	(void)state;
	world_until(w, world_converged, 2000);
	world_run(w, 1000);
	assert_in_range(w->host[2].peers, 1, 3);
	before = w->host[2].peers;
	put_text(w, 1, "key", "value");
	world_run(w, 1000);
	assert_int_equal(w->host[2].peers, before);
	gossip_set_store(w->host[1].g, 0xabc, at(w->now));
	world_drain(w, 1);
	world_run(w, 1000);
	assert_int_equal(w->host[2].peers, before + 1);
	assert_int_equal(topology_peer(gossip_topology(w->host[2].g), 1)->info.store_id, 0xabc);
	world_free(w);
}

static void an_old_copy_of_the_disk_and_a_lost_disk_are_noticed(void **state)
{
	struct world *w = pair();
	uint64_t store_id = w->host[1].config.store_id;

	(void)state;
	world_until(w, world_converged, 2000);
	/* A usual restart reads a disk that knows more than anybody. */
	world_kill(w, 1);
	w->host[1].config.generation++;
	world_start(w, 1);
	world_connect(w, 1, 2);
	world_run(w, 5000);
	assert_int_equal(w->host[1].former_lives, 0);
	/* The disk of before. */
	world_kill(w, 1);
	w->host[1].config.generation--;
	world_start(w, 1);
	world_connect(w, 1, 2);
	world_run(w, 5000);
	assert_true(w->host[1].copies > 0);
	/* A new disk, and not even its clock is right. */
	world_kill(w, 1);
	w->host[1].config.store_id = store_id + 1;
	w->host[1].copies = w->host[1].former_lives = 0;
	world_start(w, 1);
	world_connect(w, 1, 2);
	world_run(w, 5000);
	assert_int_equal(w->host[1].copies, 0);
	assert_true(w->host[1].former_lives > 0);
	assert_int_equal(w->host[1].former_store, store_id);
	world_free(w);
}

static void two_retractions_make_the_others_probe(void **state)
{
	struct world *w = world_new(5, 23);

	(void)state;
	world_start_all(w);
	for (unsigned i = 2; i <= 5; i++)
		world_connect(w, i, 1);
	world_until(w, world_converged, 8000);
	world_run(w, 5000);
	assert_int_equal(w->host[1].suspects, 0);
	/* Hosts 2 and 3 lose 5; hosts 1 and 4 hear of it. */
	world_cut(w, 2, 5, true);
	assert_int_equal(w->host[1].suspects, 0);
	world_cut(w, 3, 5, true);
	world_run(w, 500);
	assert_true(w->host[1].suspects >= 1);
	assert_true(w->host[4].suspects >= 1);
	world_free(w);
}

static void feed(struct world *w, conn_id conn, const void *data, size_t size)
{
	gossip_on_received(w->host[1].g, conn, bytes_of(data, size), at(w->now));
	world_drain(w, 1);
}

static conn_id stranger(struct world *w)
{
	struct why why;
	conn_id conn = gossip_on_accepted(w->host[1].g, (struct netaddr){ host_ip(9), 1234 },
					  at(w->now), &why);

	world_drain(w, 1);
	return conn;
}

static void strangers_are_refused_by_name_of_the_field(void **state)
{
	struct world *w = world_new(1, 24);
	struct gossip_conn_info info;
	static const uint8_t http[] = "GET / HTTP/1.1\r\n";
	static const uint8_t frame[] = { 'w', 'e', 'a', 'v', 'e', 3, 3, 0, 0, 0, 46, 4 };
	static const uint8_t large[] = { 'w', 'e', 'a', 'v', 'e', 3, 3, 0, 1, 0, 0, 1 };

	(void)state;
	world_start_all(w);
	feed(w, stranger(w), http, sizeof http - 1);
	assert_true(world_line(w, 1, PEER_NAME_NONE, WHY_NOT_A_PEER, &info));
	feed(w, stranger(w), frame, sizeof frame);
	assert_true(world_line(w, 1, PEER_NAME_NONE, WHY_MALFORMED, &info));
	assert_non_null(strstr(info.why.text, "before the handshake"));
	feed(w, stranger(w), large, sizeof large);
	/* One that says nothing. */
	stranger(w);
	world_run(w, 11000);
	assert_true(world_line(w, 1, PEER_NAME_NONE, WHY_HANDSHAKE_TIMEOUT, &info));
	assert_int_equal(info.state, CONN_FAILED);
	/* Reasons are kept for a minute. */
	world_run(w, 61000);
	assert_false(gossip_conn_at(w->host[1].g, 0, &info));
	world_free(w);
}

/* A router that connects again and again. */
static conn_id greet(struct world *w, peer_name name)
{
	const struct hello h = { .name = name,
				 .nickname = "again",
				 .generation = 1,
				 .instance = 5,
				 .port = WORLD_PORT };
	uint8_t bytes[PREAMBLE_SIZE + HELLO_WIRE_MAX];
	struct writer wr = writer_over(bytes, sizeof bytes);
	conn_id conn = stranger(w);
	size_t mark;

	preamble_encode(3, 3, &wr);
	mark = session_begin(&wr, MESSAGE_HELLO);
	hello_encode(&h, &wr);
	session_end(&wr, mark);
	feed(w, conn, bytes, writer_size(&wr));
	return conn;
}

/* The router of higher name keeps spares and lets the other one choose. */
static void any_of_several_spare_connections_may_be_chosen(void **state)
{
	static const uint8_t frame[] = { 0, 0, 0, 2, MESSAGE_OVERLAY, 0 };
	struct world *w = world_new(1, 29);
	struct gossip_conn_info info;
	conn_id conns[4];

	(void)state;
	w->host[1].config.name = 7;
	world_start_all(w);
	for (unsigned i = 0; i < 4; i++)
		conns[i] = greet(w, 1);
	world_check(w);
	feed(w, conns[2], frame, sizeof frame);
	world_check(w);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(gossip_conn_find(w->host[1].g, conns[i], &info), i == 2);
	world_free(w);
}

/* The router of lower name chooses: the older one, unless a heartbeat there is unanswered. */
static void the_older_connection_stays_unless_it_is_suspect(void **state)
{
	struct world *w = world_new(1, 30);
	struct gossip_conn_info info;
	conn_id first, second, third;

	(void)state;
	world_start_all(w);
	first = greet(w, 7);
	world_run(w, 4000);
	second = greet(w, 7);
	assert_true(gossip_conn_find(w->host[1].g, first, &info));
	assert_false(gossip_conn_find(w->host[1].g, second, &info));
	world_run(w, 1000);
	third = greet(w, 7);
	assert_false(gossip_conn_find(w->host[1].g, first, &info));
	assert_true(gossip_conn_find(w->host[1].g, third, &info));
	world_check(w);
	world_free(w);
}

static void strangers_cost_little(void **state)
{
	struct world *w = world_new(1, 25);
	size_t before;

	(void)state;
	world_start_all(w);
	before = mem_in_use();
	for (int i = 0; i < 1000; i++)
		stranger(w);
	world_check(w); /* at most HANDSHAKES_MAX of them */
	assert_true(mem_in_use() - before < HANDSHAKES_MAX * 8000 + 1000000);
	world_run(w, 15000);
	world_free(w);
}

static void a_peer_back_after_a_day_is_seen_again(void **state)
{
	struct world *w = world_new(3, 26);
	struct gossip_counters c;

	(void)state;
	world_start_all(w);
	world_connect(w, 1, 2);
	world_connect(w, 2, 3);
	world_until(w, world_converged, 6000);
	for (unsigned i = 1; i <= 2; i++)
		world_cut(w, i, 3, true);
	/* A day of heartbeats and failed dials is nothing to wait for: three hosts. */
	world_run(w, 25ull * 3600 * 1000);
	assert_false(topology_peer(gossip_topology(w->host[1].g), 3) &&
		     topology_peer(gossip_topology(w->host[1].g), 3)->known);
	for (unsigned i = 1; i <= 2; i++)
		world_cut(w, i, 3, false);
	world_until(w, world_converged, 30000);
	gossip_counters(w->host[3].g, &c);
	assert_true(c.generation > 100);
	world_free(w);
}

/* The size of the simulator's runs: time and bytes are printed, agreement is demanded. */
static void fifty_routers(void **state)
{
	unsigned count = tests_run_again() ? 16 : 50;
	struct world *w = world_new(count, 27);
	double start = seconds_now();
	uint64_t took;

	(void)state;
	world_start_all(w);
	for (unsigned i = 2; i <= count; i++)
		world_connect(w, i, 1 + (unsigned)rng_below(&w->rng, i - 1));
	took = world_until(w, world_converged, 20000);
	world_run(w, 60000 - took);
	assert_true(world_converged(w));
	print_message("%u routers: converged after %llu ms, %llu events, %llu bytes, %.2f s\n",
		      count, (unsigned long long)took, (unsigned long long)w->events,
		      (unsigned long long)w->bytes, seconds_now() - start);
	world_free(w);
}

static int nothing_is_leaked(void **state)
{
	(void)state;
	return mem_in_use() != 0;
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_routers_find_each_other),
		cmocka_unit_test(ten_routers_converge_from_one_seed),
		cmocka_unit_test(a_change_travels_at_once_and_a_burst_is_gathered),
		cmocka_unit_test(tombstones_travel_and_leave_no_difference),
		cmocka_unit_test(both_dial_and_one_connection_stays),
		cmocka_unit_test(a_suspect_connection_gives_way_to_a_new_one),
		cmocka_unit_test(connecting_to_ourself_is_noticed_and_not_repeated),
		cmocka_unit_test(two_live_routers_of_one_name_are_named_on_both_sides),
		cmocka_unit_test(a_third_one_refuses_the_second_of_one_name),
		cmocka_unit_test(clones_make_few_jumps),
		cmocka_unit_test(clones_at_one_router_learn_of_each_other),
		cmocka_unit_test(a_restarted_router_replaces_its_old_connection_at_once),
		cmocka_unit_test(an_older_generation_is_refused_with_the_reason),
		cmocka_unit_test(disk_lost_and_clock_set_back_is_visible_again_within_a_second),
		cmocka_unit_test(what_a_former_life_said_is_overruled),
		cmocka_unit_test(unknown_kinds_pass_through_a_relay),
		cmocka_unit_test(a_deaf_neighbour_is_dropped),
		cmocka_unit_test(a_deaf_neighbour_costs_no_memory),
		cmocka_unit_test(no_common_version_is_told_on_both_sides),
		cmocka_unit_test(a_new_address_is_published_and_no_longer_dialled_as_a_foreign_one),
		cmocka_unit_test(replace_and_forget),
		cmocka_unit_test(names_are_resolved_before_each_dial),
		cmocka_unit_test(a_name_that_leads_to_ourselves_is_looked_up_again),
		cmocka_unit_test(a_failed_target_says_why_and_when_next),
		cmocka_unit_test(no_discovery_dials_targets_only_and_relays_entries),
		cmocka_unit_test(the_connection_limit_bounds_dials),
		cmocka_unit_test(above_the_limit_of_accepted_ones_the_reason_is_told),
		cmocka_unit_test(a_restart_of_a_dialled_one_does_not_pass_the_limit),
		cmocka_unit_test(a_stopping_router_says_so),
		cmocka_unit_test(partition_and_heal),
		cmocka_unit_test(two_hosts_heal_after_an_hour),
		cmocka_unit_test(a_lost_entry_is_repaired_under_load),
		cmocka_unit_test(no_data_path_and_no_endless_repair),
		cmocka_unit_test(unicast_goes_hop_by_hop_and_failure_is_answered),
		cmocka_unit_test(rings_are_told_when_two_meet_and_when_they_change),
		cmocka_unit_test(peers_and_their_stores_are_told),
		cmocka_unit_test(an_old_copy_of_the_disk_and_a_lost_disk_are_noticed),
		cmocka_unit_test(two_retractions_make_the_others_probe),
		cmocka_unit_test(fifty_routers),
	};
	/* Half a minute under sanitizers, and nothing in it that the others do not run. */
	static const struct CMUnitTest day_tests[] = {
		cmocka_unit_test(a_peer_back_after_a_day_is_seen_again),
	};
	/* These say their part of the handshake themselves, in clear. */
	static const struct CMUnitTest clear_tests[] = {
		cmocka_unit_test(strangers_are_refused_by_name_of_the_field),
		cmocka_unit_test(any_of_several_spare_connections_may_be_chosen),
		cmocka_unit_test(the_older_connection_stays_unless_it_is_suspect),
		cmocka_unit_test(strangers_cost_little),
	};
	int failed = 0;

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	if (!tests_run_again())
		failed += cmocka_run_group_tests_name("a day", day_tests, NULL, nothing_is_leaked);
	failed += cmocka_run_group_tests_name("in clear", tests, NULL, nothing_is_leaked) +
		  cmocka_run_group_tests_name("strangers", clear_tests, NULL, nothing_is_leaked);
	world_password = "correct horse";
	return failed +
	       cmocka_run_group_tests_name("with a password", tests, NULL, nothing_is_leaked);
}
