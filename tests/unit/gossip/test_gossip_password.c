/* Whole gossip engines with passwords: who is let in, what is told, what can be seen between. */
#include <sodium.h>

#include "world.h"

#include "../../../gossip/gossip_engine.h"
#include "../../../gossip/handshake_wire.h"
#include "../../../gossip/message_wire.h"

/* Keeps all that is said, by anybody to anybody. */
static void listen_in(struct world *w, unsigned from, unsigned to, uint8_t *data, size_t size)
{
	(void)from;
	(void)to;
	text_add_bytes(&w->seen, (const char *)data, size);
}

static bool was_seen(const struct world *w, const char *what)
{
	return memmem(w->seen.data, w->seen.size, what, strlen(what)) != NULL;
}

static struct world *two_hosts(const char *one, const char *two, uint64_t seed)
{
	struct world *w = world_new(2, seed);

	world_set_passwords(w, 1, one, NULL);
	world_set_passwords(w, 2, two, NULL);
	w->between = listen_in;
	world_start_all(w);
	world_connect(w, 1, 2);
	return w;
}

static void world_over(struct world *w)
{
	world_check(w);
	text_fini(&w->seen);
	world_free(w);
}

static void put_text(struct world *w, unsigned i, const char *key, const char *value)
{
	gossip_put(w->host[i].g, KIND_UNKNOWN, bytes_of(key, strlen(key)),
		   bytes_of(value, strlen(value)), at(w->now));
	world_drain(w, i);
}

static void nothing_is_in_clear_with_a_password(void **state)
{
	struct gossip_conn_info info;
	uint8_t name[6] = { 0, 0, 0, 0, 0, 1 };

	(void)state;
	for (int password = 0; password < 2; password++) {
		struct world *w = two_hosts(password ? "secret" : NULL, password ? "secret" : NULL,
					    3);

		world_until(w, world_converged, 2000);
		put_text(w, 1, "some key", "some value");
		world_run(w, 10000);
		assert_true(world_converged(w));
		assert_true(gossip_conn_at(w->host[1].g, 0, &info));
		assert_int_equal(info.sealed, password);
		assert_int_equal(info.data_sealed, password);
		gossip_stop(w->host[2].g, at(w->now));
		world_drain(w, 2);
		world_run(w, 100);
		assert_int_equal(was_seen(w, "host1"), !password);
		assert_int_equal(was_seen(w, "host2"), !password);
		assert_int_equal(was_seen(w, "some key"), !password);
		assert_int_equal(was_seen(w, "some value"), !password);
		assert_int_equal(memmem(w->seen.data, w->seen.size, name, 6) != NULL, !password);
		assert_false(was_seen(w, "secret"));
		world_over(w);
	}
}

static void both_ends_hold_one_secret_for_their_data_path(void **state)
{
	static const uint8_t zeroes[32];
	uint8_t last[32] = { 0 };

	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct world *w = two_hosts("secret", "secret", seed);
		const struct path_secret *a = &w->host[1].secret, *b = &w->host[2].secret;

		/* Two connections, of which one stays. */
		world_connect(w, 2, 1);
		world_until(w, world_converged, 3000);
		world_run(w, 5000);
		assert_true(a->sealed && b->sealed);
		assert_int_not_equal(a->initiator, b->initiator);
		assert_memory_equal(a->secret, b->secret, 32);
		assert_memory_not_equal(a->secret, zeroes, 32);
		assert_memory_not_equal(a->secret, last, 32);
		memcpy(last, a->secret, 32);
		world_over(w);
	}
}

/* Else whoever takes the memory of a router reads what passed before. */
static void no_copy_of_that_secret_stays_in_gossip(void **state)
{
	struct world *w = two_hosts("secret", "secret", 21);

	(void)state;
	world_until(w, world_converged, 3000);
	for (unsigned i = 1; i <= 2; i++) {
		const struct gossip *g = w->host[i].g;
		const struct conn *c = conn_of_peer(g, 3 - i);
		const uint8_t *secret = w->host[i].secret.secret;

		assert_true(w->host[i].secret.sealed && c->secret.sealed);
		assert_null(memmem(c, sizeof *c, secret, 32));
		assert_null(memmem(g->actions, g->actions_room * sizeof *g->actions, secret, 32));
	}
	world_over(w);
}

static void different_passwords_are_told_on_both_sides(void **state)
{
	struct world *w = two_hosts("secret", "wrong", 5);
	struct gossip_conn_info info;
	struct gossip_counters c[3];

	(void)state;
	world_run(w, 3000);
	assert_true(world_line(w, 1, PEER_NAME_NONE, WHY_PASSWORD_WRONG, &info));
	assert_string_equal(info.why.text, "the other end says: passwords differ");
	assert_true(info.outbound);
	assert_true(world_line(w, 2, PEER_NAME_NONE, WHY_PASSWORD_WRONG, &info));
	assert_non_null(strstr(info.why.text, "passwords differ"));
	assert_false(info.outbound);
	for (unsigned i = 1; i <= 2; i++) {
		gossip_counters(w->host[i].g, &c[i]);
		assert_true(c[i].password_wrong >= 1);
		assert_int_equal(c[i].password_one_side, 0);
		assert_int_equal(w->host[i].ups, 0);
	}
	assert_int_equal(c[1].password_wrong, c[2].password_wrong);
	assert_false(was_seen(w, "host") || was_seen(w, "secret") || was_seen(w, "wrong"));
	/* It is tried again: the right password may come. */
	world_set_passwords(w, 2, "secret", NULL);
	gossip_set_passwords(w->host[2].g, &w->host[2].passwords, at(w->now));
	world_until(w, world_converged, 30000);
	world_over(w);
}

static void a_password_on_one_side_is_told_on_both_sides(void **state)
{
	struct gossip_conn_info info;
	struct gossip_counters c;

	(void)state;
	for (int dialling = 0; dialling < 2; dialling++) {
		struct world *w = two_hosts(dialling ? "secret" : NULL, dialling ? NULL : "secret",
					    6);

		world_run(w, 3000);
		for (unsigned i = 1; i <= 2; i++) {
			assert_true(world_line(w, i, PEER_NAME_NONE, WHY_PASSWORD_ONE_SIDE, &info));
			gossip_counters(w->host[i].g, &c);
			assert_true(c.password_one_side >= 1);
			assert_int_equal(c.password_wrong, 0);
			assert_int_equal(w->host[i].ups, 0);
		}
		/* The one with the password says no name. */
		assert_false(was_seen(w, dialling ? "host1" : "host2"));
		world_over(w);
	}
}

static void data_goes_in_clear_only_where_both_trust(void **state)
{
	(void)state;
	for (int trusts = 0; trusts < 4; trusts++) {
		struct world *w = world_new(2, 7);
		struct gossip_conn_info info;

		for (unsigned i = 1; i <= 2; i++) {
			struct gossip_config *c = &w->host[i].config;

			world_set_passwords(w, i, "secret", NULL);
			cidr_parse("10.9.0.0/16", &c->trusted[c->trusted_count++]);
			if (trusts >> (i - 1) & 1)
				cidr_parse("10.0.0.0/24", &c->trusted[c->trusted_count++]);
		}
		w->between = listen_in;
		world_start_all(w);
		world_connect(w, 1, 2);
		world_until(w, world_converged, 2000);
		for (unsigned i = 1; i <= 2; i++) {
			static const uint8_t zeroes[32];

			assert_true(gossip_conn_at(w->host[i].g, 0, &info));
			assert_true(info.sealed);
			assert_int_equal(info.data_sealed, trusts != 3);
			assert_int_equal(w->host[i].secret.sealed, trusts != 3);
			assert_int_equal(memcmp(w->host[i].secret.secret, zeroes, 32) == 0,
					 trusts == 3);
		}
		assert_false(was_seen(w, "host1"));
		world_over(w);
	}
}

/* Trust without a password means nothing: there all is in clear anyway. */
static void trust_alone_changes_nothing(void **state)
{
	struct world *w = world_new(2, 8);
	struct gossip_conn_info info;

	(void)state;
	cidr_parse("10.0.0.0/8", &w->host[1].config.trusted[0]);
	w->host[1].config.trusted_count = 1;
	world_start_all(w);
	world_connect(w, 1, 2);
	world_until(w, world_converged, 2000);
	assert_true(gossip_conn_at(w->host[1].g, 0, &info));
	assert_false(info.sealed || info.data_sealed);
	world_over(w);
}

static unsigned flip_from;
static size_t flip_at; /* of the bytes that it sends from now on */

static void flip_one(struct world *w, unsigned from, unsigned to, uint8_t *data, size_t size)
{
	(void)w;
	(void)to;
	if (from != flip_from)
		return;
	if (flip_at < size) {
		data[flip_at] ^= 4;
		flip_from = 0;
	} else {
		flip_at -= size;
	}
}

static void a_changed_record_ends_the_connection_and_says_so(void **state)
{
	struct gossip_conn_info info;

	(void)state;
	for (size_t byte = 4; byte < 60; byte += 11) {
		struct world *w = two_hosts("secret", "secret", 9);

		world_until(w, world_converged, 2000);
		world_run(w, 20000);
		w->between = flip_one;
		flip_from = 1;
		flip_at = byte;
		while (flip_from)
			world_run(w, 100);
		world_run(w, 10);
		assert_true(world_line(w, 2, PEER_NAME_NONE, WHY_FORGED, &info) ||
			    w->host[2].downs == 1);
		assert_int_equal(w->host[1].downs, 1);
		/* And a new one follows. */
		world_until(w, world_converged, 20000);
		assert_int_equal(w->host[1].ups, 2);
		world_over(w);
	}
}

/* Whoever comes between and changes one byte of the handshake is noticed, and no name is said. */
static void a_changed_handshake_fails_and_is_repeated(void **state)
{
	(void)state;
	for (unsigned from = 1; from <= 2; from++) {
		for (size_t byte = 0; byte < 100; byte += 9) {
			struct world *w = two_hosts("secret", "secret", 10);
			struct gossip_counters c;

			w->between = flip_one;
			flip_from = from;
			flip_at = byte;
			world_until(w, world_converged, 60000);
			gossip_counters(w->host[1].g, &c);
			assert_int_equal(flip_from, 0);
			assert_true(c.dials >= 2);
			world_over(w);
		}
	}
}

static void set_passwords(struct world *w, unsigned i, const char *one, const char *two)
{
	static struct passwords keep[WORLD_HOSTS + 1][2];
	static unsigned turn[WORLD_HOSTS + 1];
	struct passwords *fresh = &keep[i][turn[i]++ % 2];

	world_set_passwords(w, i, one, two);
	*fresh = w->host[i].passwords;
	w->host[i].config.passwords = fresh;
	gossip_set_passwords(w->host[i].g, fresh, at(w->now));
	world_drain(w, i);
}

static void a_network_changes_its_password_without_a_cut(void **state)
{
	struct world *w = world_new(4, 11);
	struct gossip_conn_info info;

	(void)state;
	for (unsigned i = 1; i <= 3; i++)
		world_set_passwords(w, i, "old", NULL);
	world_set_passwords(w, 4, "new", NULL);
	for (unsigned i = 1; i <= 3; i++)
		world_start(w, i);
	world_connect(w, 1, 2);
	world_connect(w, 2, 3);
	world_until(w, world_converged, 3000);
	for (unsigned i = 1; i <= 3; i++) {
		set_passwords(w, i, "new", "old");
		world_run(w, 5000);
		/* A restart in the middle of it finds a common one with each. */
		world_kill(w, 2);
		w->host[2].config.generation++;
		world_start(w, 2);
		world_connect(w, 2, 3);
		world_until(w, world_converged, 30000);
	}
	world_start(w, 4);
	world_connect(w, 4, 1);
	world_until(w, world_converged, 30000);
	/* All connections have been proved anew, those of before the change as well. */
	for (unsigned i = 1; i <= 3; i++) {
		for (size_t n = 0; gossip_conn_at(w->host[i].g, n, &info); n++)
			assert_true(info.preferred);
		w->host[i].downs = 0;
	}
	for (unsigned i = 1; i <= 3; i++)
		set_passwords(w, i, "new", NULL);
	world_run(w, 20000);
	for (unsigned i = 1; i <= 3; i++)
		assert_int_equal(w->host[i].downs, 0);
	assert_true(world_converged(w));
	/* Who still has the old one only is out. */
	world_kill(w, 4);
	world_set_passwords(w, 4, "old", NULL);
	w->host[4].config.generation++;
	world_start(w, 4);
	world_connect(w, 4, 1);
	world_run(w, 3000);
	assert_true(world_line(w, 4, PEER_NAME_NONE, WHY_PASSWORD_WRONG, &info));
	assert_int_equal(world_conns(w, 4, CONN_ESTABLISHED), 0);
	world_over(w);
}

static bool is_preferred(struct world *w, unsigned i)
{
	struct gossip_conn_info info;

	return gossip_conn_at(w->host[i].g, 0, &info) && info.preferred;
}

static void connections_know_what_their_ends_have_proved(void **state)
{
	for (unsigned first = 1; first <= 2; first++) {
		struct world *w = two_hosts("old", "old", 16 + first);
		unsigned second = 3 - first;
		struct gossip_conn_info info;

		(void)state;
		world_until(w, world_converged, 3000);
		assert_true(is_preferred(w, 1) && is_preferred(w, 2));
		set_passwords(w, first, "new", "old");
		world_run(w, 10000);
		assert_false(is_preferred(w, first));
		assert_true(is_preferred(w, second));
		set_passwords(w, second, "new", "old");
		world_run(w, 100);
		assert_true(is_preferred(w, 1) && is_preferred(w, 2));
		assert_int_equal(w->host[1].downs + w->host[2].downs, 0);
		/* Back and forth, as fast as anybody can type. */
		for (int n = 0; n < 6; n++) {
			set_passwords(w, first, n % 2 ? "new" : "old", n % 2 ? "old" : "new");
			world_run(w, 300);
		}
		world_run(w, 5000);
		assert_true(is_preferred(w, 1) && is_preferred(w, 2));
		assert_int_equal(w->host[1].downs + w->host[2].downs, 0);
		set_passwords(w, first, "new", NULL);
		world_run(w, 5000);
		assert_int_equal(w->host[1].downs + w->host[2].downs, 0);
		assert_false(was_seen(w, "old") || was_seen(w, "new"));
		/* One that drops what the other relies on cuts it off, and both say why. */
		set_passwords(w, second, "old", "new");
		set_passwords(w, first, "newest", NULL);
		world_run(w, 1000);
		assert_int_equal(w->host[first].downs, 1);
		assert_true(world_line(w, first, PEER_NAME_NONE, WHY_PASSWORD_WRONG, &info));
		assert_true(world_line(w, second, PEER_NAME_NONE, WHY_PASSWORD_WRONG, &info));
		world_over(w);
	}
}

static void whoever_has_the_old_one_only_is_out_in_the_end(void **state)
{
	struct world *w = world_new(3, 19);

	(void)state;
	for (unsigned i = 1; i <= 3; i++)
		world_set_passwords(w, i, "old", NULL);
	world_start_all(w);
	world_connect(w, 1, 2);
	world_connect(w, 1, 3);
	world_until(w, world_converged, 5000);
	world_run(w, 5000);
	for (unsigned i = 1; i <= 2; i++)
		set_passwords(w, i, "new", "old");
	world_run(w, 5000);
	for (unsigned i = 1; i <= 2; i++)
		set_passwords(w, i, "new", NULL);
	world_run(w, 5000);
	assert_int_equal(world_conns(w, 3, CONN_ESTABLISHED), 0);
	assert_int_equal(world_conns(w, 1, CONN_ESTABLISHED), 1);
	assert_int_equal(world_conns(w, 2, CONN_ESTABLISHED), 1);
	world_over(w);
}

/* Each offer is a guess for whoever knows an old password only. */
static void offers_that_come_too_often_are_refused(void **state)
{
	struct world *w = two_hosts("secret", "secret", 20);
	uint8_t entropy[PROOF_ENTROPY_SIZE], body[PROOF_BODY_MAX];
	unsigned taken = 0;
	struct conn *c;

	(void)state;
	memset(entropy, 1, sizeof entropy);
	world_until(w, world_converged, 3000);
	c = conn_of_peer(w->host[2].g, 1);
	assert_non_null(c);
	assert_false(c->outbound);
	for (unsigned i = 0; i < 100; i++) {
		struct writer writer = writer_over(body, sizeof body);
		struct proof p = { 0 };
		const char *bad;

		proof_begin(&p, w->host[2].config.passwords, c->trust->binding, entropy, &writer);
		bad = passwords_on_proof(c, writer_bytes(&writer));
		taken += !bad;
		if (bad)
			assert_string_equal(bad, "proof.step: too often");
	}
	assert_true(taken >= 2 && taken <= 8);
	w->host[1].downs = 0;
	world_run(w, 20000);
	world_over(w);
}

/* A stranger that connects and listens is told no name, whatever happens. */
static void strangers_hear_no_name(void **state)
{
	static const char *const says[] = { "", "weave\3\3", "weave\1\2", "weave\3\3\0\0\0\2\4x",
					    "GET / HTTP/1.0\r\n\r\n" };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(says); i++) {
		for (int end = 0; end < 2; end++) {
			struct world *w = world_new(1, 12);
			struct gossip_action a;
			struct why why;
			uint8_t heard[4096];
			size_t size = 0, n;
			conn_id conn;
			struct gossip *g;

			world_set_passwords(w, 1, "secret", NULL);
			world_start_all(w);
			g = w->host[1].g;
			conn = gossip_on_accepted(g, (struct netaddr){ host_ip(9), 1 }, at(w->now),
						  &why);
			gossip_on_received(g, conn,
					   bytes_of(says[i], i == 3 ? 13 : strlen(says[i])),
					   at(w->now));
			for (int round = 0; round < 2; round++) {
				while ((n = gossip_pull(g, conn, heard + size, sizeof heard - size,
							at(w->now))))
					size += n;
				if (end)
					gossip_stop(g, at(w->now));
				else
					gossip_tick(g, at(w->now + 11000));
			}
			while (gossip_next_action(g, &a))
				;
			assert_true(size >= 7);
			assert_null(memmem(heard, size, "host", 4));
			world_over(w);
		}
	}
}

static conn_id ask_with(struct world *w, struct ip_addr from, const uint8_t share[32])
{
	struct gossip *g = w->host[1].g;
	struct hello h = { .form = HELLO_KEYS, .key_share_size = 32, .has_session = true };
	uint8_t frame[256];
	struct writer writer = writer_over(frame, sizeof frame);
	size_t mark;
	struct why why;
	conn_id conn = gossip_on_accepted(g, (struct netaddr){ from, 1 }, at(w->now), &why);

	memcpy(h.key_share, share, 32);
	preamble_encode(3, 3, &writer);
	mark = session_begin(&writer, MESSAGE_HELLO);
	hello_encode(&h, &writer);
	session_end(&writer, mark);
	gossip_on_received(g, conn, writer_bytes(&writer), at(w->now));
	world_drain(w, 1);
	return conn;
}

static void random_share(struct world *w, uint8_t share[32])
{
	uint8_t hash[64];

	world_entropy(&w->rng, hash, sizeof hash);
	crypto_core_ristretto255_from_hash(share, hash);
}

/* A handshake with random shares and no proof: what costs us most.  'from': last byte of the
 * address. */
static conn_id ask_in_vain(struct world *w, unsigned from)
{
	uint8_t share[32];

	random_share(w, share);
	return ask_with(w, host_ip(from), share);
}

/* However a stranger ends it: what it made us compute is counted. */
static void no_end_of_a_handshake_is_free(void **state)
{
	static const uint8_t close[] = { 0, 0, 0, 5, MESSAGE_CLOSE, 0, 1, 0, 0 };
	enum { CLOSES, SAYS_NOTHING_KNOWN, WRONG_TAG, NO_POINT, IDENTITY, ENDS };

	(void)state;
	for (int end = 0; end < ENDS; end++) {
		struct world *w = world_new(1, 22);
		struct gossip_counters c;

		world_set_passwords(w, 1, "secret", NULL);
		world_start_all(w);
		for (unsigned i = 0; i < 2 * STRANGER_FAILURES; i++) {
			uint8_t share[32], confirm[5 + TAG_SIZE] = { 0, 0, 0, 33, MESSAGE_CONFIRM };
			struct bytes says = bytes_of(confirm, sizeof confirm);
			conn_id conn;

			random_share(w, share);
			if (end == NO_POINT || end == IDENTITY)
				memset(share, end == NO_POINT ? 0xff : 0, 32);
			if (end == CLOSES)
				says = bytes_of(close, sizeof close);
			if (end == SAYS_NOTHING_KNOWN)
				says = bytes_of("\0\0\0\1\377", 5);
			conn = ask_with(w, host_ip(9), share);
			gossip_on_received(w->host[1].g, conn, says, at(w->now));
			world_drain(w, 1);
			gossip_on_closed(w->host[1].g, conn, NULL, at(w->now));
		}
		gossip_counters(w->host[1].g, &c);
		assert_int_equal(c.puzzles, STRANGER_FAILURES);
		world_over(w);
	}
}

static void who_fails_often_must_work_and_honest_peers_get_in(void **state)
{
	struct world *w = two_hosts("secret", "secret", 13);
	struct gossip_counters c;
	struct gossip_stranger s;

	(void)state;
	/* From the very address of the honest peer, all the time. */
	world_kill(w, 2);
	world_run(w, 100);
	for (unsigned i = 0; i < 2 * STRANGER_FAILURES; i++)
		gossip_on_closed(w->host[1].g, ask_in_vain(w, 2), NULL, at(w->now));
	gossip_counters(w->host[1].g, &c);
	assert_int_equal(c.password_unproved, STRANGER_FAILURES);
	assert_int_equal(c.puzzles, STRANGER_FAILURES);
	assert_true(gossip_stranger_at(w->host[1].g, 0, &s));
	assert_int_equal(s.address.b[3], 2);
	assert_int_equal(s.failures, STRANGER_FAILURES);
	assert_false(gossip_stranger_at(w->host[1].g, 1, &s));
	w->host[2].config.generation++;
	w->host[2].ups = 0;
	world_start(w, 2);
	world_connect(w, 2, 1);
	for (unsigned i = 0; i < 40 && !w->host[2].ups; i++) {
		gossip_on_closed(w->host[1].g, ask_in_vain(w, 2), NULL, at(w->now));
		world_run(w, 1);
	}
	assert_int_equal(w->host[2].ups, 1);
	world_until(w, world_converged, 3000);
	world_over(w);
}

static void nobody_pushes_others_out_of_their_handshake(void **state)
{
	struct world *w = world_new(1, 14);
	struct gossip_conn_info info;
	struct why why;
	conn_id honest;

	(void)state;
	world_set_passwords(w, 1, "secret", NULL);
	world_start_all(w);
	honest = gossip_on_accepted(w->host[1].g, (struct netaddr){ host_ip(8), 1 }, at(w->now),
				    &why);
	for (unsigned i = 0; i < 10 * HANDSHAKES_MAX; i++)
		ask_in_vain(w, 9);
	gossip_check(w->host[1].g);
	assert_true(gossip_conn_find(w->host[1].g, honest, &info));
	/* IPv6 addresses are free within a /64. */
	for (unsigned i = 0; i < 10 * HANDSHAKES_MAX; i++) {
		struct ip_addr ip = { .family = 6, .b = { 0xfd } };
		uint8_t share[32];

		random_share(w, share);
		ip.b[14] = (uint8_t)(i >> 8);
		ip.b[15] = (uint8_t)i;
		ask_with(w, ip, share);
	}
	gossip_check(w->host[1].g);
	assert_true(gossip_conn_find(w->host[1].g, honest, &info));
	/* Its own oldest ones go. */
	for (unsigned i = 0; i < HANDSHAKES_MAX; i++)
		ask_in_vain(w, 8);
	assert_false(gossip_conn_find(w->host[1].g, honest, &info));
	world_run(w, 12000);
	world_over(w);
}

static void many_failures_from_one_place_are_one_line(void **state)
{
	struct world *w = world_new(1, 15);
	struct gossip_conn_info info;
	size_t lines = 0;

	(void)state;
	world_set_passwords(w, 1, "secret", NULL);
	world_start_all(w);
	for (unsigned i = 0; i < 300; i++)
		gossip_on_closed(w->host[1].g, ask_in_vain(w, 8 + i % 3), NULL, at(w->now));
	while (gossip_conn_at(w->host[1].g, lines, &info))
		lines++;
	/* Left without a proof, or left with a puzzle: one line each. */
	assert_true(lines >= 3 && lines <= 6);
	world_over(w);
}

/* Whoever answers at a target's address may say what they like, but not end it for good. */
static void nobody_can_say_that_a_target_is_ourself(void **state)
{
	static const char *const text[] = { "10.0.0.9" };
	struct world *w = world_new(1, 23);
	struct gossip *g;
	unsigned dials = 0;
	struct why why;

	(void)state;
	world_set_passwords(w, 1, "secret", NULL);
	world_start_all(w);
	g = w->host[1].g;
	assert_true(gossip_connect(g, text, 1, false, at(w->now), &why));
	for (uint64_t end = w->now + 60000; w->now < end; w->now += 10) {
		struct gossip_action a;

		gossip_tick(g, at(w->now));
		while (gossip_next_action(g, &a)) {
			uint8_t says[64];
			struct writer writer = writer_over(says, sizeof says);
			size_t mark;

			if (a.type != GOSSIP_DIAL)
				continue;
			dials++;
			why_set(&why, WHY_SELF, "it is you");
			preamble_encode(3, 3, &writer);
			mark = session_begin(&writer, MESSAGE_CLOSE);
			close_encode(&why, (struct name_holder){ 0 }, &writer);
			session_end(&writer, mark);
			gossip_on_connected(g, a.conn, (struct netaddr){ host_ip(1), 1 }, a.address,
					    at(w->now));
			gossip_on_received(g, a.conn, writer_bytes(&writer), at(w->now));
		}
	}
	assert_true(dials >= 6);
	world_over(w);
}

static int nothing_is_leaked(void **state)
{
	(void)state;
	return mem_in_use() != 0;
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_in_clear_with_a_password),
		cmocka_unit_test(both_ends_hold_one_secret_for_their_data_path),
		cmocka_unit_test(no_copy_of_that_secret_stays_in_gossip),
		cmocka_unit_test(different_passwords_are_told_on_both_sides),
		cmocka_unit_test(a_password_on_one_side_is_told_on_both_sides),
		cmocka_unit_test(data_goes_in_clear_only_where_both_trust),
		cmocka_unit_test(trust_alone_changes_nothing),
		cmocka_unit_test(a_changed_record_ends_the_connection_and_says_so),
		cmocka_unit_test(a_changed_handshake_fails_and_is_repeated),
		cmocka_unit_test(a_network_changes_its_password_without_a_cut),
		cmocka_unit_test(connections_know_what_their_ends_have_proved),
		cmocka_unit_test(whoever_has_the_old_one_only_is_out_in_the_end),
		cmocka_unit_test(offers_that_come_too_often_are_refused),
		cmocka_unit_test(strangers_hear_no_name),
		cmocka_unit_test(no_end_of_a_handshake_is_free),
		cmocka_unit_test(who_fails_often_must_work_and_honest_peers_get_in),
		cmocka_unit_test(nobody_pushes_others_out_of_their_handshake),
		cmocka_unit_test(many_failures_from_one_place_are_one_line),
		cmocka_unit_test(nobody_can_say_that_a_target_is_ourself),
	};

	if (sodium_init() < 0)
		return 1;
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("gossip_password", tests, NULL, nothing_is_leaked);
}
