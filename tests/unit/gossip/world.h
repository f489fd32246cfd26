/* A few routers in one process for tests of the gossip engine: streams of bytes with a delay, cut
 * into pieces, that can be cut off or stall; a data path that is up wherever packets pass.
 *
 * Host number i (from 1) has the address 10.0.0.i and, unless told otherwise, the name i.
 * The simulator (tests/sim) does this at scale and with faults at random; here each test sets up
 * exactly one situation.
 */
#ifndef TESTS_WORLD_H
#define TESTS_WORLD_H

#include "gossip_test.h"

#include <weave/gossip.h>
#include <weave/hash.h>
#include <weave/table.h>
#include <weave/text.h>

#define WORLD_HOSTS 64
#define WORLD_PORT 6783
#define WORLD_WINDOW 65536u
#define WORLD_DELAY_MS 2u

struct world;

struct host {
	struct gossip *g; /* NULL while down */
	struct gossip_config config;
	struct passwords passwords;
	struct path_secret secret; /* of the latest UP */
	struct mono data_up;	   /* used as 'no data path' when udp_blocked */
	bool deaf;		   /* accepts bytes and reads none */
	bool udp_blocked;
	unsigned suspects, unicasts, unreached, overlays, routes, persists, downs, ups;
	unsigned rings, peers, former_lives, copies;
	bool bad_rings; /* what comes is said to be malformed */
	char last_rings[32];
	uint64_t former_store;
	uint64_t last_generation;
	char last_unicast[64];
	unsigned epoch; /* counts starts */
};

struct stream_end {
	struct table_link by_conn;
	struct stream *stream;
	unsigned host, epoch;
	conn_id conn; /* 0: not known yet or forgotten */
	bool closed;
	size_t in_flight;
};

struct stream {
	struct stream_end end[2]; /* 0 dialled */
	bool broken;
};

enum message_kind { WORLD_SYN, WORLD_SYNACK, WORLD_REFUSED, WORLD_DATA, WORLD_FIN, WORLD_PATH };

struct world_message {
	struct world_message *next;
	uint64_t due;
	enum message_kind kind;
	struct stream *stream;
	unsigned to; /* end */
	size_t size;
	uint8_t data[];
};

struct world {
	uint64_t now;
	struct rng rng;
	struct host host[WORLD_HOSTS + 1];
	unsigned hosts;
	bool cut[WORLD_HOSTS + 1][WORLD_HOSTS + 1];
	struct stream **streams;
	struct table ends; /* by host, epoch and connection */
	size_t streams_count;
	struct world_message *head, **tail;
	uint64_t events, bytes, dials;
	bool loud;
	/* Sees, and may change, what 'from' sends to 'to', before it is cut into pieces. */
	void (*between)(struct world *w, unsigned from, unsigned to, uint8_t *data, size_t size);
	struct text seen; /* for 'between' */
};

/* The password of all hosts of worlds that are made from now on; NULL none. */
static const char *world_password;

static inline void world_log(void *ctx, enum log_level level, const char *line)
{
	const struct host *h = ctx;

	(void)level;
	if (getenv("WEAVE_LOG"))
		print_message("%s: %s\n", h->config.nickname, line);
}

static inline void world_entropy(void *ctx, void *out, size_t size)
{
	struct rng *rng = ctx;
	uint8_t *at = out;

	while (size--)
		*at++ = (uint8_t)rng_u64(rng);
}

/* Up to two passwords, the preferred one first; told to a host that runs, too. */
static inline void world_set_passwords(struct world *w, unsigned i, const char *one,
				       const char *two)
{
	const char *const texts[] = { one, two };
	static const struct hash_key key = { 5, 6 };
	struct passwords p = { 0 };

	for (int n = 0; n < 2 && texts[n]; n++) {
		struct password *to = &p.list[p.count++];

		to->id = (uint32_t)hash64(&key, texts[n], strlen(texts[n])) | 1;
		to->size = (uint16_t)strlen(texts[n]);
		memcpy(to->bytes, texts[n], to->size);
	}
	w->host[i].passwords = p;
	w->host[i].config.passwords = one ? &w->host[i].passwords : NULL;
}

static inline struct ip_addr host_ip(unsigned i)
{
	return (struct ip_addr){ .family = 4, .b = { 10, 0, 0, (uint8_t)i } };
}

static inline void world_post(struct world *w, enum message_kind kind, struct stream *s,
			      unsigned to, const void *data, size_t size, uint64_t delay)
{
	struct world_message *m = mem_new(1, sizeof *m + size);
	struct world_message **at = &w->head;

	m->kind = kind;
	m->stream = s;
	m->to = to;
	m->size = size;
	m->due = w->now + delay;
	if (size)
		memcpy(m->data, data, size);
	if (delay <= WORLD_DELAY_MS) {
		at = w->tail ? w->tail : &w->head;
		/* Later ones of longer delay may stand before the end. */
		if (w->head && at != &w->head) {
			struct world_message *last =
				(struct world_message *)(void *)((char *)at -
								 offsetof(struct world_message,
									  next));
			if (last->due > m->due)
				at = &w->head;
		}
	}
	while (*at && (*at)->due <= m->due)
		at = &(*at)->next;
	m->next = *at;
	*at = m;
	if (!m->next)
		w->tail = &m->next;
}

static inline bool end_alive(const struct world *w, const struct stream_end *e)
{
	return w->host[e->host].g && w->host[e->host].epoch == e->epoch && !e->closed;
}

static inline uint64_t end_hash(unsigned host, unsigned epoch, conn_id conn)
{
	static const struct hash_key key = { 1, 2 };
	uint64_t words[3] = { host, epoch, conn };

	return hash64(&key, words, sizeof words);
}

static inline void world_name_end(struct world *w, struct stream *s, unsigned end, unsigned epoch,
				  conn_id conn)
{
	struct stream_end *e = &s->end[end];

	e->stream = s;
	e->epoch = epoch;
	e->conn = conn;
	table_insert(&w->ends, &e->by_conn, end_hash(e->host, epoch, conn));
}

static inline struct stream *world_find(struct world *w, unsigned host, conn_id conn, unsigned *end)
{
	struct table_link *l = table_first(&w->ends, end_hash(host, w->host[host].epoch, conn));
	struct stream_end *e = l ? table_entry(l, struct stream_end, by_conn) : NULL;

	*end = e && e == &e->stream->end[1];
	return e ? e->stream : NULL;
}

static inline void world_pull(struct world *w, struct stream *s, unsigned end)
{
	struct stream_end *e = &s->end[end];
	static uint8_t buffer[WORLD_WINDOW];

	while (end_alive(w, e) && e->in_flight < WORLD_WINDOW) {
		size_t n = gossip_pull(w->host[e->host].g, e->conn, buffer,
				       WORLD_WINDOW - e->in_flight, at(w->now));
		size_t piece;

		if (n == 0)
			return;
		w->bytes += n;
		if (w->between)
			w->between(w, e->host, s->end[!end].host, buffer, n);
		e->in_flight += n;
		for (size_t i = 0; i < n; i += piece) {
			piece = rng_below(&w->rng, 4) ? n - i : 1 + rng_below(&w->rng, n - i);
			world_post(w, WORLD_DATA, s, !end, buffer + i, piece, WORLD_DELAY_MS);
		}
	}
}

static inline void world_dial(struct world *w, unsigned from, const struct gossip_action *a)
{
	struct stream *s = mem_new(1, sizeof *s);
	unsigned to = a->address.ip.b[3];

	w->streams = mem_resize(w->streams, w->streams_count + 1, sizeof *w->streams);
	w->streams[w->streams_count++] = s;
	w->dials++;
	s->end[0].host = from;
	s->end[1].host = to;
	world_name_end(w, s, 0, w->host[from].epoch, a->conn);
	if (a->address.ip.b[0] != 10 || to == 0 || to > w->hosts || a->address.port != WORLD_PORT)
		world_post(w, WORLD_REFUSED, s, 0, NULL, 0, WORLD_DELAY_MS);
	else if (w->cut[from][to])
		world_post(w, WORLD_REFUSED, s, 0, NULL, 0, 1000);
	else
		world_post(w, WORLD_SYN, s, 1, NULL, 0, WORLD_DELAY_MS);
}

/* Carries out everything that host 'i' wants. */
static inline void world_drain(struct world *w, unsigned i)
{
	struct host *h = &w->host[i];
	struct gossip_action a;
	struct stream *s;
	unsigned end;

	while (h->g && gossip_next_action(h->g, &a)) {
		switch (a.type) {
		case GOSSIP_DIAL:
			world_dial(w, i, &a);
			break;
		case GOSSIP_RESOLVE: {
			unsigned number = 0;
			struct netaddr address = { { 0 }, WORLD_PORT };

			if (sscanf(a.text, "host%u", &number) == 1)
				address.ip = host_ip(number);
			gossip_on_resolved(h->g, a.target, &address, number ? 1 : 0, "no such name",
					   at(w->now));
			break;
		}
		case GOSSIP_CLOSE:
			s = world_find(w, i, a.conn, &end);
			if (!s)
				break;
			world_pull(w, s, end);
			s->end[end].closed = true;
			world_post(w, WORLD_FIN, s, !end, NULL, 0, WORLD_DELAY_MS);
			break;
		case GOSSIP_WRITE:
			s = world_find(w, i, a.conn, &end);
			if (s)
				world_pull(w, s, end);
			break;
		case GOSSIP_PERSIST:
			h->persists++;
			h->last_generation = a.generation;
			gossip_on_persisted(h->g, a.ticket, at(w->now));
			break;
		case GOSSIP_UP:
			h->ups++;
			h->secret = a.secret;
			s = world_find(w, i, a.conn, &end);
			if (s && !h->udp_blocked && !w->host[s->end[!end].host].udp_blocked)
				world_post(w, WORLD_PATH, s, end, NULL, 0, 10);
			break;
		case GOSSIP_DOWN:
			h->downs++;
			break;
		case GOSSIP_OVERLAY:
			h->overlays++;
			break;
		case GOSSIP_SUSPECT:
			h->suspects++;
			break;
		case GOSSIP_ROUTES:
			h->routes++;
			break;
		case GOSSIP_UNICAST:
			h->unicasts++;
			snprintf(h->last_unicast, sizeof h->last_unicast, "%.*s", (int)a.bytes.size,
				 (const char *)a.bytes.data);
			break;
		case GOSSIP_UNREACHED:
			h->unreached++;
			break;
		case GOSSIP_RINGS:
			h->rings++;
			snprintf(h->last_rings, sizeof h->last_rings, "%.*s", (int)a.bytes.size,
				 (const char *)a.bytes.data);
			gossip_rings_heard(h->g, a.conn, h->bad_rings ? "rings.test" : NULL,
					   at(w->now));
			break;
		case GOSSIP_PEERS:
			h->peers++;
			break;
		case GOSSIP_FORMER_LIFE:
			h->former_lives++;
			h->copies += a.copied;
			h->former_store = a.store_id;
			break;
		}
	}
}

static inline void world_closed(struct world *w, struct stream *s, unsigned end, const char *reason)
{
	struct stream_end *e = &s->end[end];

	if (!end_alive(w, e) || !e->conn)
		return;
	e->closed = true;
	gossip_on_closed(w->host[e->host].g, e->conn, reason, at(w->now));
	world_drain(w, e->host);
}

static inline void world_data(struct world *w, struct stream *s, unsigned to, const uint8_t *data,
			      size_t size)
{
	struct stream_end *from = &s->end[!to], *e = &s->end[to];

	if (!w->host[e->host].g || w->host[e->host].epoch != e->epoch) {
		world_closed(w, s, !to, "connection reset by peer");
		return;
	}
	if (w->host[e->host].deaf)
		return; /* stays in flight */
	from->in_flight -= size;
	if (!e->closed)
		gossip_on_received(w->host[e->host].g, e->conn, bytes_of(data, size), at(w->now));
	world_drain(w, e->host);
	if (end_alive(w, from) && gossip_wants_write(w->host[from->host].g, from->conn)) {
		world_pull(w, s, !to);
		world_drain(w, from->host);
	}
}

static inline void world_syn(struct world *w, struct stream *s)
{
	struct host *h = &w->host[s->end[1].host];
	struct netaddr remote = { host_ip(s->end[0].host), 40000 };
	struct why why;

	if (h->g) {
		conn_id conn = gossip_on_accepted(h->g, remote, at(w->now), &why);

		if (conn)
			world_name_end(w, s, 1, h->epoch, conn);
	}
	if (!h->g || !s->end[1].conn) {
		world_post(w, WORLD_REFUSED, s, 0, NULL, 0, WORLD_DELAY_MS);
		return;
	}
	world_post(w, WORLD_SYNACK, s, 0, NULL, 0, WORLD_DELAY_MS);
	world_drain(w, s->end[1].host);
}

static inline void world_deliver(struct world *w, struct world_message *m)
{
	struct stream *s = m->stream;
	struct stream_end *e = &s->end[m->to];
	struct host *h = &w->host[e->host];
	struct gossip_conn_info info;

	if (m->kind == WORLD_PATH) {
		if (end_alive(w, e) && gossip_conn_find(h->g, e->conn, &info) &&
		    !w->cut[e->host][s->end[!m->to].host])
			gossip_set_data_path(h->g, e->conn, OVERLAY_SLEEVE, at(w->now));
		world_drain(w, e->host);
		return;
	}
	if (w->cut[s->end[!m->to].host][e->host] && m->kind != WORLD_REFUSED) {
		s->broken = true;
		return;
	}
	if (s->broken && m->kind == WORLD_DATA) {
		world_closed(w, s, 0, "connection reset by peer");
		world_closed(w, s, 1, "connection reset by peer");
		return;
	}
	switch (m->kind) {
	case WORLD_SYN:
		world_syn(w, s);
		break;
	case WORLD_SYNACK:
		if (end_alive(w, e))
			gossip_on_connected(h->g, e->conn,
					    (struct netaddr){ host_ip(e->host), 40000 },
					    (struct netaddr){ host_ip(s->end[1].host), WORLD_PORT },
					    at(w->now));
		break;
	case WORLD_REFUSED:
		if (end_alive(w, e)) {
			e->closed = true;
			gossip_on_dial_failed(h->g, e->conn, "connection refused", at(w->now));
		}
		break;
	case WORLD_DATA:
		world_data(w, s, m->to, m->data, m->size);
		break;
	case WORLD_FIN:
		world_closed(w, s, m->to, NULL);
		break;
	case WORLD_PATH:
		break;
	}
	if (end_alive(w, e))
		world_drain(w, e->host);
}

/* ---- what tests use ---- */

static inline struct world *world_new(unsigned hosts, uint64_t seed)
{
	struct world *w = mem_new(1, sizeof *w);

	assert_true(hosts <= WORLD_HOSTS);
	w->hosts = hosts;
	w->now = 1000000;
	w->rng.state = seed;
	for (unsigned i = 1; i <= hosts; i++) {
		struct gossip_config *c = &w->host[i].config;

		*c = (struct gossip_config){
			.name = i,
			.port = WORLD_PORT,
			.conn_limit = CONN_LIMIT_DEFAULT,
			.discovery = true,
			.overlays = OVERLAY_SLEEVE,
			.addresses_count = 1,
			.addresses = { host_ip(i) },
			.store_id = rng_u64(&w->rng),
			.generation = 100,
			.protocol_min = 3,
			.protocol_max = 3,
		};
		snprintf(c->nickname, sizeof c->nickname, "host%u", i);
		c->entropy = world_entropy;
		c->entropy_ctx = &w->rng;
		world_set_passwords(w, i, world_password, NULL);
	}
	return w;
}

static inline void world_start(struct world *w, unsigned i)
{
	struct host *h = &w->host[i];
	static struct log logs[WORLD_HOSTS + 1];

	h->config.instance = rng_u64(&w->rng);
	h->config.seed = rng_u64(&w->rng);
	h->epoch++;
	logs[i] = (struct log){ LOG_DEBUG_LEVEL, world_log, h };
	h->g = gossip_new(&h->config, at(w->now), getenv("WEAVE_LOG") ? &logs[i] : NULL);
	world_drain(w, i);
}

static inline void world_start_all(struct world *w)
{
	for (unsigned i = 1; i <= w->hosts; i++)
		world_start(w, i);
}

/* Without a word: its connections are reset when somebody writes to them. */
static inline void world_kill(struct world *w, unsigned i)
{
	gossip_free(w->host[i].g);
	w->host[i].g = NULL;
	for (size_t n = 0; n < w->streams_count; n++)
		for (unsigned end = 0; end < 2; end++) {
			struct stream_end *e = &w->streams[n]->end[end];

			if (e->host == i && e->conn && !e->closed)
				world_post(w, WORLD_FIN, w->streams[n], !end, NULL, 0,
					   WORLD_DELAY_MS);
		}
}

static inline void world_connect_text(struct world *w, unsigned i, const char *text)
{
	struct why why;

	assert_true(gossip_connect(w->host[i].g, &text, 1, false, at(w->now), &why));
	world_drain(w, i);
}

static inline void world_connect(struct world *w, unsigned i, unsigned to)
{
	char text[32];

	snprintf(text, sizeof text, "10.0.0.%u", to);
	world_connect_text(w, i, text);
}

static inline bool world_step(struct world *w, uint64_t until)
{
	uint64_t next = w->head ? w->head->due : UINT64_MAX;
	unsigned who = 0;

	for (unsigned i = 1; i <= w->hosts; i++)
		if (w->host[i].g && gossip_deadline(w->host[i].g).ms < next) {
			next = gossip_deadline(w->host[i].g).ms;
			who = i;
		}
	if (next > until)
		return false;
	if (next > w->now)
		w->now = next;
	w->events++;
	if (who) {
		gossip_tick(w->host[who].g, at(w->now));
		world_drain(w, who);
		/* A deadline that stays in the past would be a loop without end. */
		assert_true(gossip_deadline(w->host[who].g).ms > w->now);
	} else {
		struct world_message *m = w->head;

		w->head = m->next;
		if (!w->head)
			w->tail = NULL;
		world_deliver(w, m);
		mem_free(m);
	}
	return true;
}

static inline void world_run(struct world *w, uint64_t ms)
{
	uint64_t until = w->now + ms;

	while (world_step(w, until))
		;
	w->now = until;
}

static inline void world_check(struct world *w)
{
	for (unsigned i = 1; i <= w->hosts; i++)
		if (w->host[i].g)
			gossip_check(w->host[i].g);
}

static inline bool world_equal(struct world *w)
{
	struct gossip *first = NULL;

	for (unsigned i = 1; i <= w->hosts; i++) {
		if (!w->host[i].g)
			continue;
		if (first && !digests_equal(gossip_store(first), gossip_store(w->host[i].g)))
			return false;
		first = w->host[i].g;
	}
	return true;
}

/* Equal stores, and everybody reaches everybody. */
static inline bool world_converged(struct world *w)
{
	if (!world_equal(w))
		return false;
	for (unsigned i = 1; i <= w->hosts; i++)
		for (unsigned j = 1; w->host[i].g && j <= w->hosts; j++)
			if (w->host[j].g && !topology_reachable(gossip_topology(w->host[i].g),
								w->host[j].config.name))
				return false;
	return true;
}

/* Milliseconds until 'condition', checked every 'step' ms; fails the test after 'limit'. */
static inline uint64_t world_until(struct world *w, bool (*condition)(struct world *),
				   uint64_t limit)
{
	uint64_t start = w->now;

	while (!condition(w)) {
		assert_true(w->now - start < limit);
		world_run(w, 50);
	}
	world_check(w);
	return w->now - start;
}

static inline void world_cut(struct world *w, unsigned a, unsigned b, bool cut)
{
	w->cut[a][b] = w->cut[b][a] = cut;
	if (!cut)
		return;
	/* The data path notices within its 1.5 s. */
	for (size_t i = 0; i < w->streams_count; i++) {
		struct stream *s = w->streams[i];

		if (!(s->end[0].host == a && s->end[1].host == b) &&
		    !(s->end[0].host == b && s->end[1].host == a))
			continue;
		s->broken = true;
		for (unsigned end = 0; end < 2; end++)
			if (end_alive(w, &s->end[end]) && s->end[end].conn) {
				gossip_set_data_path(w->host[s->end[end].host].g, s->end[end].conn,
						     0, at(w->now));
				world_drain(w, s->end[end].host);
			}
	}
}

static inline void world_free(struct world *w)
{
	for (unsigned i = 1; i <= w->hosts; i++)
		gossip_free(w->host[i].g);
	while (w->head) {
		struct world_message *m = w->head;

		w->head = m->next;
		mem_free(m);
	}
	for (size_t i = 0; i < w->streams_count; i++)
		mem_free(w->streams[i]);
	mem_free(w->streams);
	table_fini(&w->ends);
	mem_free(w);
}

/* The line of status about 'peer' at host 'i'; any line when 'peer' is NONE. */
static inline bool world_line(struct world *w, unsigned i, peer_name peer, enum why_reason reason,
			      struct gossip_conn_info *info)
{
	for (size_t n = 0; gossip_conn_at(w->host[i].g, n, info); n++)
		if ((peer == PEER_NAME_NONE || info->peer == peer) && info->why.reason == reason)
			return true;
	return false;
}

static inline unsigned world_conns(struct world *w, unsigned i, enum gossip_conn_state state)
{
	struct gossip_conn_info info;
	unsigned count = 0;

	for (size_t n = 0; gossip_conn_at(w->host[i].g, n, &info); n++)
		count += info.state == state;
	return count;
}

#endif
