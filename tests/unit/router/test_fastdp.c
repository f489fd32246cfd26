/* The kernel's mirror: what the router hands out, applied to a model of the maps, must be what the
 * endpoints and paths say. */
#include "../../../router/fastdp.h"
#include "../../../router/fastdp_slots.h"

#include <weave/bpf_maps.h>

#include "views.h"

#define MODEL_MAX 128u
#define SELF 1u

struct model {
	struct view view;
	struct fastdp *fastdp;
	uint64_t now_ms;
	bool mute; /* the far kernels do not answer */
	struct fastdp_op sessions[MODEL_MAX], peers[MODEL_MAX], endpoints[MODEL_MAX],
		addresses[MODEL_MAX], sas[MODEL_MAX], guards[MODEL_MAX];
	unsigned sas_count, guards_count;
	bool refuse; /* guards */
	uint64_t pings_by_hand;
	unsigned sessions_count, peers_count, endpoints_count, addresses_count;
	uint64_t ops, pings;
};

static bool without_keeping;

static struct model *model_new(void)
{
	struct fastdp_limits limits = {
		.self = SELF,
		.port = 6784,
		.frame_size = 1390,
		.keep = !without_keeping,
		.key_life_ms = 120000,
	};
	struct model *m = mem_new(1, sizeof *m);

	m->view = view_new(SELF);
	m->now_ms = 10000;
	endpoints_now(m->view.endpoints, at(m->now_ms));
	m->fastdp = fastdp_new(&limits, m->view.endpoints, m->view.topology, 1);
	return m;
}

static void model_free(struct model *m)
{
	fastdp_check(m->fastdp);
	fastdp_free(m->fastdp);
	view_free(&m->view);
	mem_free(m);
}

static bool same_key(const struct fastdp_op *a, const struct fastdp_op *b)
{
	switch (a->type) {
	case FASTDP_OP_SESSION:
		return a->session == b->session;
	case FASTDP_OP_PEER:
		return a->peer == b->peer;
	case FASTDP_OP_ENDPOINT:
		return a->segment == b->segment && mac_equal(a->mac, b->mac);
	case FASTDP_OP_ADDRESS:
		return a->segment == b->segment && ip_compare(a->ip, b->ip) == 0;
	case FASTDP_OP_SA:
		return a->out == b->out && a->spi == b->spi;
	case FASTDP_OP_GUARD:
		return ip_compare(a->remote, b->remote) == 0;
	case FASTDP_OP_SEGMENT: /* router_next_fastdp's */
	case FASTDP_OP_PING:
		break;
	}
	return false;
}

static void put(struct fastdp_op *list, unsigned *count, const struct fastdp_op *op)
{
	unsigned i = 0;

	while (i < *count && !same_key(&list[i], op))
		i++;
	/* Nothing is told twice, and nothing removed that was never told. */
	if (op->remove)
		assert_true(i < *count);
	if (op->remove)
		list[i] = list[--*count];
	else if (i < *count)
		list[i] = *op;
	else
		list[(*count)++] = *op;
	assert_true(*count < MODEL_MAX);
}

static bool is_guarded(const struct model *m, struct ip_addr remote)
{
	for (unsigned i = 0; i < m->guards_count; i++)
		if (ip_compare(m->guards[i].remote, remote) == 0)
			return true;
	return false;
}

/* Whatever names an address while it is sealed stands behind its guard. */
static void check_guards(const struct model *m)
{
	for (unsigned i = 0; i < m->sessions_count; i++)
		assert_true(!m->sessions[i].sealed || is_guarded(m, m->sessions[i].remote));
	for (unsigned i = 0; i < m->peers_count; i++) {
		assert_true(!m->peers[i].sealed || is_guarded(m, m->peers[i].remote));
		assert_false(m->peers[i].sealed && m->peers[i].by_hand);
	}
}

static void do_guard(struct model *m, const struct fastdp_op *op)
{
	if (!op->remove && m->refuse)
		fastdp_on_refused(m->fastdp, op, "not today", at(m->now_ms));
	else
		put(m->guards, &m->guards_count, op);
}

static void drain(struct model *m)
{
	struct fastdp_op op;

	endpoints_now(m->view.endpoints, at(m->now_ms));
	while (fastdp_next(m->fastdp, &op, at(m->now_ms))) {
		m->ops += op.type != FASTDP_OP_PING;
		switch (op.type) {
		case FASTDP_OP_SA:
			put(m->sas, &m->sas_count, &op);
			break;
		case FASTDP_OP_GUARD:
			do_guard(m, &op);
			break;
		case FASTDP_OP_SESSION:
			put(m->sessions, &m->sessions_count, &op);
			break;
		case FASTDP_OP_PEER:
			put(m->peers, &m->peers_count, &op);
			break;
		case FASTDP_OP_ENDPOINT:
			put(m->endpoints, &m->endpoints_count, &op);
			break;
		case FASTDP_OP_ADDRESS:
			put(m->addresses, &m->addresses_count, &op);
			break;
		case FASTDP_OP_SEGMENT:
			fail();
			break;
		case FASTDP_OP_PING:
			m->pings++;
			m->pings_by_hand += op.by_hand;
			assert_true(op.size == 1390 || op.size == FASTDP_PING_FRAME_MIN);
			if (!m->mute)
				fastdp_on_pong(
					m->fastdp, op.session, op.token, op.by_hand, true,
					(struct ip_addr){ 4, { 10, 0, 0, (uint8_t)op.peer } },
					at(m->now_ms));
		}
		check_guards(m);
	}
	fastdp_check(m->fastdp);
}

static void run(struct model *m, uint64_t ms)
{
	uint64_t end = m->now_ms + ms;

	for (;;) {
		struct esp_message unheard;
		uint64_t next;
		conn_id conn;

		while (fastdp_next_epochs(m->fastdp, &conn, &unheard))
			;
		fastdp_tick(m->fastdp, at(m->now_ms));
		drain(m);
		next = fastdp_deadline(m->fastdp, at(m->now_ms)).ms;
		if (next > end)
			break;
		assert_true(next >= m->now_ms);
		m->now_ms = next;
	}
	m->now_ms = end;
	drain(m);
}

static void connect_with(struct model *m, conn_id conn, peer_name peer,
			 const struct esp_chains *chains)
{
	struct ip_addr remote = { 4, { 10, 0, 0, (uint8_t)peer } };
	struct fastdp_setup theirs = { .port = 6784, .session = (uint32_t)conn + 1000 };
	struct fastdp_setup mine = fastdp_on_up(m->fastdp, conn, peer, remote, chains,
						at(m->now_ms));

	assert_true(mine.session != 0);
	assert_int_equal(mine.port, 6784);
	assert_true((mine.spi != 0) == (chains != NULL));
	if (chains)
		theirs.spi = (uint32_t)conn << 8;
	assert_null(fastdp_on_setup(m->fastdp, conn, &theirs, at(m->now_ms)));
	view_reach(&m->view, peer, true);
}

static void connect(struct model *m, conn_id conn, peer_name peer)
{
	connect_with(m, conn, peer, NULL);
}

static void disconnect(struct model *m, conn_id conn, peer_name peer)
{
	fastdp_on_down(m->fastdp, conn, at(m->now_ms));
	view_reach(&m->view, peer, false);
}

static const struct fastdp_op *endpoint(const struct model *m, uint64_t mac)
{
	for (unsigned i = 0; i < m->endpoints_count; i++)
		if (mac_equal(m->endpoints[i].mac, mac_of(mac)))
			return &m->endpoints[i];
	return NULL;
}

static const struct fastdp_op *address(const struct model *m, uint8_t last)
{
	struct ip_addr ip = { 4, { 10, 32, 0, last } };

	for (unsigned i = 0; i < m->addresses_count; i++)
		if (ip_compare(m->addresses[i].ip, ip) == 0)
			return &m->addresses[i];
	return NULL;
}

static bool carries(const struct model *m, conn_id conn)
{
	char why[96];

	return fastdp_carries(m->fastdp, conn, at(m->now_ms), why, sizeof why);
}

static void a_proved_path_is_told(void **state)
{
	struct model *m = model_new();

	(void)state;
	m->mute = true;
	connect(m, 5, 2);
	run(m, 100);
	assert_int_equal(m->sessions_count, 1);
	assert_false(m->sessions[0].accepted);
	assert_int_equal(m->sessions[0].their_session, 1005);
	assert_int_equal(m->peers_count, 0);
	assert_false(carries(m, 5));
	m->mute = false;
	run(m, 200);
	assert_true(m->sessions[0].accepted);
	assert_int_equal(m->peers_count, 1);
	assert_int_equal(m->peers[0].peer, 2);
	assert_int_equal(m->peers[0].via, 2);
	assert_true(m->peers[0].by_hand);
	assert_true(carries(m, 5));
	/* Nothing more is said while nothing changes. */
	m->ops = 0;
	run(m, 100000);
	assert_int_equal(m->ops, 0);
	assert_true(m->pings > 30);
	/* The pings end: first nothing is sent there, then nothing taken. */
	m->mute = true;
	run(m, 20000);
	assert_int_equal(m->peers_count, 0);
	assert_int_equal(m->sessions_count, 1);
	assert_false(m->sessions[0].accepted);
	disconnect(m, 5, 2);
	drain(m);
	assert_int_equal(m->sessions_count, 0);
	assert_int_equal(m->peers_count, 0);
	model_free(m);
}

static const struct esp_chains chains = { { 1 }, { 2 } };

static void a_sealed_path_stands_behind_its_guard(void **state)
{
	struct model *m = model_new();
	struct esp_message message;
	conn_id conn;

	(void)state;
	connect_with(m, 5, 2, &chains);
	drain(m);
	assert_int_equal(m->sas_count, 3);
	assert_true(fastdp_next_epochs(m->fastdp, &conn, &message));
	assert_int_equal(conn, 5);
	assert_int_equal(message.sends, 0);
	assert_int_equal(message.takes, 1);
	assert_false(fastdp_next_epochs(m->fastdp, &conn, &message));
	run(m, 500);
	assert_true(carries(m, 5));
	assert_true(m->peers[0].sealed && m->sessions[0].sealed);
	assert_int_equal(m->pings_by_hand, 0);
	assert_int_equal(m->guards[0].spi, 5 << 8);
	/* The daemon of the other end goes: it ends at once, though its kernel answers. */
	disconnect(m, 5, 2);
	drain(m);
	assert_int_equal(m->sessions_count, 0);
	assert_int_equal(m->peers_count, 0);
	assert_int_equal(m->sas_count, 0);
	assert_int_equal(m->guards_count, 1);
	run(m, ESP_LINGER_MS + 1);
	assert_int_equal(m->guards_count, 0);
	model_free(m);
}

static void a_refused_guard_is_no_path(void **state)
{
	struct model *m = model_new();
	char why[96];

	(void)state;
	m->refuse = true;
	connect_with(m, 5, 2, &chains);
	run(m, 1000);
	assert_int_equal(m->sessions_count, 0);
	assert_int_equal(m->pings, 0);
	assert_false(fastdp_carries(m->fastdp, 5, at(m->now_ms), why, sizeof why));
	assert_string_equal(why, "not today");
	/* So late that it is in use. */
	m->refuse = false;
	connect_with(m, 6, 3, &chains);
	run(m, 1000);
	assert_true(carries(m, 6));
	fastdp_on_refused(m->fastdp, &m->guards[0], "no more", at(m->now_ms));
	drain(m);
	assert_int_equal(m->sessions_count, 0);
	assert_int_equal(m->peers_count, 0);
	assert_false(carries(m, 6));
	model_free(m);
}

static void both_ends_know_whether_it_is_sealed(void **state)
{
	struct fastdp_setup clear = { .port = 6784, .session = 3 };
	struct fastdp_setup sealed = { .port = 6784, .session = 3, .spi = 0x100 };
	struct ip_addr remote = { 4, { 10, 0, 0, 2 } };
	struct model *m = model_new();

	(void)state;
	fastdp_on_up(m->fastdp, 5, 2, remote, &chains, at(m->now_ms));
	assert_string_equal(fastdp_on_setup(m->fastdp, 5, &clear, at(m->now_ms)), "fastdp.spi");
	assert_null(fastdp_on_setup(m->fastdp, 5, &sealed, at(m->now_ms)));
	/* The same keys from the beginning again would repeat nonces. */
	assert_string_equal(fastdp_on_setup(m->fastdp, 5, &sealed, at(m->now_ms)),
			    "fastdp.repeated");
	fastdp_on_up(m->fastdp, 6, 3, remote, NULL, at(m->now_ms));
	assert_string_equal(fastdp_on_setup(m->fastdp, 6, &sealed, at(m->now_ms)), "fastdp.spi");
	model_free(m);
}

static void another_port_is_no_path(void **state)
{
	struct fastdp_setup theirs = { .port = 7000, .session = 3 };
	struct model *m = model_new();
	char why[96];

	(void)state;
	fastdp_on_up(m->fastdp, 5, 2, (struct ip_addr){ 4, { 10, 0, 0, 2 } }, NULL, at(m->now_ms));
	fastdp_on_setup(m->fastdp, 5, &theirs, at(m->now_ms));
	run(m, 1000);
	assert_int_equal(m->pings, 0);
	assert_false(fastdp_carries(m->fastdp, 5, at(m->now_ms), why, sizeof why));
	assert_string_equal(why, "the other end uses UDP port 7000 for it, we 6784");
	model_free(m);
}

static void flows_outlive_the_daemon(void **state)
{
	struct model *m = model_new();
	uint32_t first;

	(void)state;
	view_peer(&m->view, 2, 0, 1);
	connect(m, 5, 2);
	view_claim(&m->view, 2, mac_of(0x22), 1, 1);
	view_claim(&m->view, 2, mac_of(0x23), 1, 2);
	run(m, 200);
	assert_int_equal(endpoint(m, 0x22)->peer, 2);
	first = m->sessions[0].session;
	/* Killed: nobody can reach it, and its kernel answers. */
	disconnect(m, 5, 2);
	run(m, 60000);
	assert_int_equal(m->peers_count, 1);
	assert_int_equal(m->sessions_count, 1);
	assert_int_equal(endpoint(m, 0x22)->peer, 2);
	assert_int_equal(endpoint(m, 0x23)->peer, 2);
	/* Meanwhile a container is started here under the same MAC. */
	endpoints_attach(m->view.endpoints, 0, mac_of(0x23), NULL, 0);
	run(m, 100);
	assert_int_equal(endpoint(m, 0x23)->peer, SELF);
	/* Back again: the new path takes over without a moment in between. */
	m->ops = 0;
	connect(m, 6, 2);
	run(m, 500);
	assert_int_equal(m->sessions_count, 1);
	assert_int_not_equal(m->sessions[0].session, first);
	assert_int_equal(m->peers_count, 1);
	assert_int_equal(endpoint(m, 0x22)->peer, 2);
	assert_int_equal(m->ops, 4); /* new session, accepted; direct again; old one gone */
	/* The machine dies. */
	m->mute = true;
	disconnect(m, 6, 2);
	run(m, 1600);
	assert_int_equal(m->peers_count, 0);
	assert_int_equal(m->sessions_count, 0);
	assert_null(endpoint(m, 0x22));
	assert_int_equal(endpoint(m, 0x23)->peer, SELF);
	model_free(m);
}

static void what_is_kept_ends_when_its_peer_is_removed(void **state)
{
	struct model *m = model_new();

	(void)state;
	for (uint8_t i = 2; i <= 3; i++) {
		view_peer(&m->view, i, 0, 1);
		connect(m, 3u + i, i);
		view_claim(&m->view, i, mac_of(0x20u + i), 1, i);
	}
	run(m, 200);
	assert_int_equal(fastdp_kept_peer(m->fastdp, 0), PEER_NAME_NONE);
	disconnect(m, 5, 2);
	run(m, 200);
	assert_int_equal(fastdp_kept_peer(m->fastdp, 0), 2);
	assert_int_equal(fastdp_kept_peer(m->fastdp, 1), PEER_NAME_NONE);
	assert_int_equal(m->sessions_count, 2);
	fastdp_forget(m->fastdp, 2, at(m->now_ms));
	/* One that is connected is not forgotten. */
	fastdp_forget(m->fastdp, 3, at(m->now_ms));
	run(m, 100);
	assert_int_equal(fastdp_kept_peer(m->fastdp, 0), PEER_NAME_NONE);
	assert_int_equal(m->sessions_count, 1);
	assert_null(endpoint(m, 0x22));
	assert_int_equal(endpoint(m, 0x23)->peer, 3);
	model_free(m);
}

static void with_a_password_nothing_is_kept(void **state)
{
	struct model *m;

	(void)state;
	without_keeping = true;
	m = model_new();
	without_keeping = false;
	view_peer(&m->view, 2, 0, 1);
	connect(m, 5, 2);
	view_claim(&m->view, 2, mac_of(0x22), 1, 1);
	run(m, 200);
	assert_int_equal(m->peers_count, 1);
	disconnect(m, 5, 2);
	drain(m);
	assert_int_equal(m->peers_count, 0);
	assert_int_equal(m->sessions_count, 0);
	assert_null(endpoint(m, 0x22));
	model_free(m);
}

static void a_path_that_never_worked_is_not_kept(void **state)
{
	struct model *m = model_new();

	(void)state;
	m->mute = true;
	view_peer(&m->view, 2, 0, 1);
	connect(m, 5, 2);
	view_claim(&m->view, 2, mac_of(0x22), 1, 1);
	run(m, 200);
	assert_non_null(endpoint(m, 0x22));
	disconnect(m, 5, 2);
	run(m, 100);
	assert_int_equal(m->sessions_count, 0);
	assert_null(endpoint(m, 0x22));
	model_free(m);
}

static void used_paths_are_watched(void **state)
{
	struct fastdp_counters c = { .frames_in = 1 };
	struct model *m = model_new();

	(void)state;
	connect(m, 5, 2);
	run(m, 30000);
	m->pings = 0;
	run(m, 10000);
	assert_in_range(m->pings, 3, 5);
	fastdp_on_counters(m->fastdp, 2, &c, at(m->now_ms));
	m->pings = 0;
	run(m, 9000);
	assert_in_range(m->pings, 36, 40);
	assert_int_equal(fastdp_counters(m->fastdp, 2).frames_in, 1);
	model_free(m);
}

static void publish_link(struct model *m, peer_name from, peer_name to, uint8_t overlay,
			 uint64_t version)
{
	struct link_info link = { .from = from, .to = to, .established = overlay != 0 };
	struct entry_view e = { .kind = KIND_LINK, .writer = from, .generation = 1 };
	uint8_t k[ENTRY_KEY_MAX], b[256];
	struct writer key = writer_over(k, sizeof k), value = writer_over(b, sizeof b);

	link.overlay = overlay;
	link.address = (struct netaddr){ { 4, { 10, 0, 0, (uint8_t)to } }, 6783 };
	link_info_key(from, to, &key);
	link_info_encode(&link, &value);
	e.version = version;
	e.key = writer_bytes(&key);
	e.value = writer_bytes(&value);
	assert_null(store_check(m->view.store, &e));
	store_merge(m->view.store, &e, from == SELF ? 0 : 1, at(0));
	topology_update(m->view.topology);
}

static const struct fastdp_op *peer(const struct model *m, peer_name name)
{
	for (unsigned i = 0; i < m->peers_count; i++)
		if (m->peers[i].peer == name)
			return &m->peers[i];
	return NULL;
}

static void peers_behind_a_relay_are_told(void **state)
{
	struct model *m = model_new();

	(void)state;
	for (peer_name p = 1; p <= 3; p++)
		view_peer(&m->view, p, 0, 1);
	connect(m, 5, 2);
	publish_link(m, 1, 2, OVERLAY_FASTDP, 1);
	publish_link(m, 2, 1, OVERLAY_FASTDP, 1);
	publish_link(m, 2, 3, OVERLAY_FASTDP, 2);
	publish_link(m, 3, 2, OVERLAY_FASTDP, 2);
	run(m, 1000);
	assert_int_equal(peer(m, 3)->via, 2);
	assert_int_equal(peer(m, 3)->remote.b[3], 2);
	/* The other link goes by sleeve now, then by fastdp again. */
	publish_link(m, 3, 2, OVERLAY_SLEEVE, 3);
	run(m, 10);
	assert_null(peer(m, 3));
	publish_link(m, 3, 2, OVERLAY_FASTDP, 4);
	run(m, 10);
	assert_non_null(peer(m, 3));
	assert_false(peer(m, 3)->relays);
	/* A connection of our own, without fastdp yet: our frames go by sleeve, straight; those of
	 * others, who need not know of it, through the relay as before. */
	view_reach(&m->view, 3, true);
	run(m, 10);
	assert_true(peer(m, 3)->relays);
	view_reach(&m->view, 3, false);
	run(m, 10);
	assert_false(peer(m, 3)->relays);
	/* The way to the relay ends. */
	m->mute = true;
	run(m, 20000);
	assert_int_equal(m->peers_count, 0);
	m->mute = false;
	run(m, 20000);
	assert_int_equal(peer(m, 3)->via, 2);
	model_free(m);
}

/* 9 s of full pings, two ways each 500 ms, and not two small ones each 5 s. */
static bool is_watched(struct model *m)
{
	m->pings = 0;
	run(m, 9000);
	return m->pings >= 30;
}

static void ways_to_a_relay_are_watched_for_what_goes_through_it(void **state)
{
	struct fastdp_counters c = { .frames_out = 1 };
	struct model *m = model_new();

	(void)state;
	for (peer_name p = 1; p <= 3; p++)
		view_peer(&m->view, p, 0, 1);
	connect(m, 5, 2);
	publish_link(m, 1, 2, OVERLAY_FASTDP, 1);
	publish_link(m, 2, 1, OVERLAY_FASTDP, 1);
	publish_link(m, 2, 3, OVERLAY_FASTDP, 2);
	publish_link(m, 3, 2, OVERLAY_FASTDP, 2);
	run(m, 30000);
	assert_false(is_watched(m));
	assert_int_equal(fastdp_on_counters(m->fastdp, 3, &c, at(m->now_ms)), 2);
	assert_true(is_watched(m));
	run(m, 30000);
	assert_int_equal(fastdp_on_counters(m->fastdp, 3, &c, at(m->now_ms)), PEER_NAME_NONE);
	assert_false(is_watched(m));
	model_free(m);
}

/* Who notices first that a path is gone sends through others, and is not to be dropped for it by
 * whom nothing has told yet. */
static void a_doubted_path_is_not_the_only_way(void **state)
{
	struct model *m = model_new();

	(void)state;
	connect(m, 5, 2);
	run(m, 30000);
	assert_true(peer(m, 2)->direct);
	fastdp_on_doubt(m->fastdp, 5, true, at(m->now_ms));
	drain(m);
	assert_false(peer(m, 2)->direct);
	fastdp_on_doubt(m->fastdp, 5, false, at(m->now_ms));
	drain(m);
	assert_true(peer(m, 2)->direct);
	/* It is found out soon which it is. */
	m->mute = true;
	fastdp_on_doubt(m->fastdp, 5, true, at(m->now_ms));
	run(m, 2000);
	assert_null(peer(m, 2));
	model_free(m);
}

static void one_address_one_mac(void **state)
{
	struct ip_addr ip = { 4, { 10, 32, 0, 2 } };
	struct model *m = model_new();

	(void)state;
	view_peer(&m->view, 2, 0, 1);
	view_peer(&m->view, 3, 0, 1);
	view_reach(&m->view, 2, true);
	view_reach(&m->view, 3, true);
	view_claim(&m->view, 2, mac_of(0x22), 1, 1); /* with 10.32.0.2 */
	view_claim(&m->view, 3, mac_of(0x33), 1, 1); /* with 10.32.0.3 */
	drain(m);
	assert_true(mac_equal(address(m, 2)->mac, mac_of(0x22)));
	assert_true(mac_equal(address(m, 3)->mac, mac_of(0x33)));
	/* Two claim it: nobody is believed. */
	endpoints_attach(m->view.endpoints, 0, mac_of(0x11), &ip, 1);
	drain(m);
	assert_null(address(m, 2));
	/* One gives way. */
	view_reach(&m->view, 2, false);
	drain(m);
	assert_true(mac_equal(address(m, 2)->mac, mac_of(0x11)));
	view_reach(&m->view, 2, true);
	endpoints_detach(m->view.endpoints, 0, mac_of(0x11));
	drain(m);
	assert_true(mac_equal(address(m, 2)->mac, mac_of(0x22)));
	/* Another address, same MAC. */
	endpoints_attach(m->view.endpoints, 0, mac_of(0x44), &ip, 0);
	drain(m);
	assert_int_equal(m->addresses_count, 2);
	model_free(m);
}

/* ---- whatever happens, the model ends up as the endpoints are ---- */

static void compare(struct model *m)
{
	struct endpoint_view v;
	unsigned visible = 0;

	for (size_t i = 0; endpoints_at(m->view.endpoints, i, &v); i++) {
		const struct fastdp_op *op = endpoint(m, mac_to_u64(v.mac) & 0xff);

		if (v.peer == PEER_NAME_NONE) {
			assert_null(op);
			continue;
		}
		visible++;
		assert_non_null(op);
		assert_int_equal(op->peer, v.peer);
	}
	assert_int_equal(m->endpoints_count, visible);
}

static void random_event(struct model *m, struct rng *rng, uint64_t version)
{
	struct mac mac = mac_of(rng_below(rng, 16));
	peer_name peer = 2 + rng_below(rng, 4);
	struct ip_addr ip = { 4, { 10, 32, 0, (uint8_t)rng_below(rng, 6) } };
	struct made_entry entry;

	switch (rng_below(rng, 7)) {
	case 0:
		view_reach(&m->view, peer, rng_below(rng, 2));
		break;
	case 1:
		endpoints_attach(m->view.endpoints, 0, mac, &ip, rng_below(rng, 2));
		break;
	case 2:
		endpoints_detach(m->view.endpoints, 0, mac);
		break;
	case 3:
		endpoints_learn_local(m->view.endpoints, 0, mac);
		break;
	case 4:
		endpoints_learn_seen(m->view.endpoints, 0, mac, peer);
		break;
	default:
		make_claim(&entry, peer, mac, (uint32_t)rng_below(rng, 5) + 1, 1, version,
			   rng_below(rng, 3) == 0);
		view_merge(&m->view, &entry.view);
	}
}

static void the_mirror_follows(void **state)
{
	uint64_t seed = test_seed(7);

	(void)state;
	for (unsigned run_number = 0; run_number < 50; run_number++) {
		struct rng rng = { seed + run_number };
		struct model *m = model_new();

		for (peer_name p = 2; p < 6; p++)
			view_peer(&m->view, p, 0, 1);
		for (uint64_t i = 1; i < 400; i++) {
			struct bytes key, value;

			m->now_ms += rng_below(&rng, 3000);
			endpoints_now(m->view.endpoints, at(m->now_ms));
			endpoints_tick(m->view.endpoints);
			random_event(m, &rng, i + 1);
			while (rng_below(&rng, 2) &&
			       endpoints_next_publish(m->view.endpoints, &key, &value))
				;
			if (rng_below(&rng, 4) == 0) {
				drain(m);
				compare(m);
			}
		}
		model_free(m);
	}
}

/* ---- slots ---- */

static void slots_are_stable_and_used_again(void **state)
{
	struct fastdp_slots s;
	bool fresh;

	(void)state;
	fastdp_slots_init(&s, 3);
	assert_int_equal(fastdp_slot_hold(&s, 10, &fresh), 0);
	assert_true(fresh);
	assert_int_equal(fastdp_slot_hold(&s, 10, &fresh), 0);
	assert_false(fresh);
	assert_int_equal(fastdp_slot_hold(&s, 11, &fresh), 1);
	assert_int_equal(fastdp_slot_hold(&s, 12, &fresh), 2);
	assert_int_equal(fastdp_slot_hold(&s, 13, &fresh), FASTDP_NO_SLOT);
	fastdp_slot_release(&s, 0);
	assert_int_equal(fastdp_slot_find(&s, 10), 0);
	fastdp_slot_release(&s, 0);
	assert_int_equal(fastdp_slot_find(&s, 10), FASTDP_NO_SLOT);
	assert_int_equal(fastdp_slot_hold(&s, 13, &fresh), 0);
	fastdp_slots_fini(&s);
	/* Those of an earlier life, as they come. */
	fastdp_slots_init(&s, 8);
	assert_true(fastdp_slot_take(&s, 5, 20));
	assert_true(fastdp_slot_take(&s, 5, 20));
	assert_false(fastdp_slot_take(&s, 5, 21));
	assert_false(fastdp_slot_take(&s, 2, 20));
	assert_false(fastdp_slot_take(&s, 8, 22));
	assert_true(fastdp_slot_take(&s, 0, 22));
	for (unsigned i = 0; i < 6; i++)
		assert_true(fastdp_slot_hold(&s, 30 + i, &fresh) < 8);
	assert_int_equal(fastdp_slot_hold(&s, 40, &fresh), FASTDP_NO_SLOT);
	assert_int_equal(fastdp_slot_find(&s, 20), 5);
	fastdp_slots_fini(&s);
}

/* ---- messages ---- */

static void set_up_message(void **state)
{
	struct fastdp_setup in = {
		6784, 0x01020304, { 0x1112131415161718, 0x2122232425262728 }, 0x31323300
	};
	uint8_t expected[FASTDP_SETUP_SIZE], buffer[FASTDP_SETUP_SIZE];
	struct writer w = writer_over(buffer, sizeof buffer);
	struct fastdp_setup out;

	(void)state;
	hex("0200 1a80 01020304 1112131415161718 2122232425262728 31323300", expected);
	fastdp_setup_write(&in, &w);
	assert_int_equal(writer_size(&w), sizeof expected);
	assert_memory_equal(buffer, expected, sizeof expected);
	assert_null(fastdp_setup_read(&out, bytes_of(buffer, sizeof buffer)));
	assert_int_equal(out.port, in.port);
	assert_int_equal(out.session, in.session);
	assert_memory_equal(&out.key, &in.key, sizeof in.key);
	for (size_t size = 0; size < sizeof buffer; size++)
		assert_non_null(fastdp_setup_read(&out, bytes_of(buffer, size)));
	for (size_t i = 0; i < 8; i++) {
		memcpy(buffer, expected, sizeof buffer);
		if (i < 2)
			buffer[i] ^= 1;
		else
			memset(buffer + (i < 4 ? 2 : 4), 0, i < 4 ? 2 : 4);
		assert_non_null(fastdp_setup_read(&out, bytes_of(buffer, sizeof buffer)));
	}
	/* The last byte of an SPI is the epoch's; 1 to 255 are reserved. */
	memcpy(buffer, expected, sizeof buffer);
	hex("31323301", buffer + 24);
	assert_string_equal(fastdp_setup_read(&out, bytes_of(buffer, sizeof buffer)), "fastdp.spi");
	hex("000000ff", buffer + 24);
	assert_string_equal(fastdp_setup_read(&out, bytes_of(buffer, sizeof buffer)), "fastdp.spi");
	hex("00000000", buffer + 24);
	assert_null(fastdp_setup_read(&out, bytes_of(buffer, sizeof buffer)));
}

static void epochs_message(void **state)
{
	struct esp_message in = { 0x01020304, 0x05060708 }, out;
	uint8_t expected[FASTDP_EPOCHS_SIZE], buffer[FASTDP_EPOCHS_SIZE];
	struct writer w = writer_over(buffer, sizeof buffer);

	(void)state;
	hex("03 000000 01020304 05060708", expected);
	fastdp_epochs_write(&in, &w);
	assert_memory_equal(buffer, expected, sizeof expected);
	assert_null(fastdp_epochs_read(&out, bytes_of(buffer, sizeof buffer)));
	assert_memory_equal(&out, &in, sizeof in);
	for (size_t size = 0; size < sizeof buffer; size++)
		assert_non_null(fastdp_epochs_read(&out, bytes_of(buffer, size)));
	for (size_t i = 0; i < 4; i++) {
		memcpy(buffer, expected, sizeof buffer);
		buffer[i] ^= 1;
		assert_non_null(fastdp_epochs_read(&out, bytes_of(buffer, sizeof buffer)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_proved_path_is_told),
		cmocka_unit_test(a_sealed_path_stands_behind_its_guard),
		cmocka_unit_test(a_refused_guard_is_no_path),
		cmocka_unit_test(both_ends_know_whether_it_is_sealed),
		cmocka_unit_test(another_port_is_no_path),
		cmocka_unit_test(flows_outlive_the_daemon),
		cmocka_unit_test(a_path_that_never_worked_is_not_kept),
		cmocka_unit_test(what_is_kept_ends_when_its_peer_is_removed),
		cmocka_unit_test(with_a_password_nothing_is_kept),
		cmocka_unit_test(used_paths_are_watched),
		cmocka_unit_test(ways_to_a_relay_are_watched_for_what_goes_through_it),
		cmocka_unit_test(a_doubted_path_is_not_the_only_way),
		cmocka_unit_test(peers_behind_a_relay_are_told),
		cmocka_unit_test(one_address_one_mac),
		cmocka_unit_test(the_mirror_follows),
		cmocka_unit_test(slots_are_stable_and_used_again),
		cmocka_unit_test(set_up_message),
		cmocka_unit_test(epochs_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
