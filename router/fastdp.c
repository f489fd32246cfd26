#include "fastdp.h"

#include <stdio.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/bpf_maps.h>
#include <weave/must.h>
#include <weave/rng.h>

#include "fastdp_mirror.h"
#include "fastdp_routes.h"

/* A path, and what of it was told last. */
struct link {
	struct fastdp_path path;
	size_t index; /* in fastdp.links */
	bool told, told_accepted;
	struct ip_addr told_remote;
	uint32_t told_session; /* theirs */
	char refused[64];      /* what the kernel does not do; "" nothing */
	bool doubted;	       /* the connection's other overlay has lost the peer */
	struct list dirty;
};

/* A peer that is reached, by a path of ours or through another, or was until now. */
struct neighbour {
	struct table_link by_name;
	peer_name name;
	peer_name via;	    /* relay; NONE: none known */
	bool via_own;	    /* for what our containers send, too */
	peer_name told_via; /* next hop; NONE: not told */
	bool told_by_hand, told_relays, told_direct, told_sealed;
	struct ip_addr told_remote;
	struct fastdp_counters counters;
	struct list dirty;
};

struct fastdp {
	struct fastdp_limits limits;
	struct hash_key key;
	uint64_t drawn;
	struct link **links;
	size_t links_count, links_room;
	const struct topology *topology;
	struct fastdp_routes routes;
	uint64_t routes_version, links_version; /* of the topology */
	bool routes_stale;			/* a path came, went or moved */
	struct table by_session, neighbours;
	struct list dirty_links, dirty_neighbours;
	uint32_t *ended; /* sessions that the kernel does not know to be over */
	size_t ended_count, ended_room;
	size_t next_ping; /* link whose pings come next */
	struct mirror *mirror;
	struct esp *esp;
};

static uint64_t draw(struct fastdp *f)
{
	f->drawn++;
	return hash64(&f->key, &f->drawn, sizeof f->drawn);
}

struct fastdp *fastdp_new(const struct fastdp_limits *limits, struct endpoints *endpoints,
			  const struct topology *topology, uint64_t seed)
{
	struct fastdp *f = mem_new(1, sizeof *f);
	struct rng rng = { seed };

	f->limits = *limits;
	f->topology = topology;
	f->routes_stale = true;
	f->key.k0 = rng_u64(&rng);
	f->key.k1 = rng_u64(&rng);
	list_init(&f->dirty_links);
	list_init(&f->dirty_neighbours);
	f->mirror = mirror_new(endpoints, rng_u64(&rng));
	f->esp = esp_new(limits->key_life_ms);
	return f;
}

/* ---- neighbours ---- */

static uint64_t hash_of_name(const struct fastdp *f, peer_name name)
{
	return hash64(&f->key, &name, sizeof name);
}

static struct neighbour *neighbour_of(const struct fastdp *f, peer_name name)
{
	uint64_t hash = hash_of_name(f, name);
	struct table_link *l = table_first(&f->neighbours, hash);

	for (; l; l = table_next(l, hash)) {
		struct neighbour *n = table_entry(l, struct neighbour, by_name);

		if (n->name == name)
			return n;
	}
	return NULL;
}

static struct neighbour *touch_neighbour(struct fastdp *f, peer_name name)
{
	struct neighbour *n = neighbour_of(f, name);

	if (!n) {
		n = mem_new(1, sizeof *n);
		n->name = name;
		list_init(&n->dirty);
		table_insert(&f->neighbours, &n->by_name, hash_of_name(f, name));
	}
	if (list_empty(&n->dirty))
		list_append(&f->dirty_neighbours, &n->dirty);
	return n;
}

static void free_neighbour(struct fastdp *f, struct neighbour *n)
{
	table_remove(&f->neighbours, &n->by_name);
	list_remove(&n->dirty);
	mem_free(n);
}

/* The path that frames for a peer take: that of a connection before one that only the kernels
 * keep alive.  NULL when none carries; '*any' whether there is any. */
static const struct link *best_link(const struct fastdp *f, peer_name name, bool *any)
{
	const struct link *best = NULL;

	*any = false;
	for (size_t i = 0; i < f->links_count; i++) {
		const struct fastdp_path *p = &f->links[i]->path;

		if (p->peer != name)
			continue;
		*any = true;
		if (fastdp_path_carries(p) && (!best || (!best->path.conn && p->conn)))
			best = f->links[i];
	}
	return best;
}

/* ---- links ---- */

static uint64_t hash_of_session(const struct fastdp *f, uint32_t session)
{
	return hash64(&f->key, &session, sizeof session);
}

static struct link *link_of_session(const struct fastdp *f, uint32_t session)
{
	uint64_t hash = hash_of_session(f, session);
	struct table_link *l = table_first(&f->by_session, hash);

	for (; l; l = table_next(l, hash)) {
		struct link *link = table_entry(l, struct link, path.by_session);

		if (link->path.mine.session == session)
			return link;
	}
	return NULL;
}

static struct link *link_of_conn(const struct fastdp *f, conn_id conn)
{
	for (size_t i = 0; conn && i < f->links_count; i++)
		if (f->links[i]->path.conn == conn)
			return f->links[i];
	return NULL;
}

static void note_ended(struct fastdp *f, uint32_t session)
{
	if (f->ended_count == f->ended_room) {
		f->ended_room = f->ended_room ? f->ended_room * 2 : 16;
		f->ended = mem_resize(f->ended, f->ended_room, sizeof *f->ended);
	}
	f->ended[f->ended_count++] = session;
}

static void free_link(struct fastdp *f, struct link *link)
{
	struct link *last = f->links[--f->links_count];

	f->links[link->index] = last;
	last->index = link->index;
	table_remove(&f->by_session, &link->path.by_session);
	list_remove(&link->dirty);
	mem_free(link);
}

static void end_link(struct fastdp *f, struct link *link, struct mono now)
{
	peer_name peer = link->path.peer;
	bool kept = !link->path.conn;

	if (link->told)
		note_ended(f, link->path.mine.session);
	if (link->path.sealed)
		esp_end(f->esp, link->path.mine.session, now);
	free_link(f, link);
	touch_neighbour(f, peer);
	f->routes_stale = true;
	if (kept)
		mirror_release(f->mirror, peer);
}

/* After anything happened to a path. */
static void changed(struct fastdp *f, struct link *link)
{
	if (list_empty(&link->dirty))
		list_append(&f->dirty_links, &link->dirty);
	touch_neighbour(f, link->path.peer);
	f->routes_stale = true;
}

/* What only the kernels kept alive is over when it does not answer, or when a connection's path
 * has taken its place. */
static void end_kept(struct fastdp *f, peer_name peer, bool replaced, struct mono now)
{
	for (size_t i = f->links_count; i-- > 0;) {
		struct link *l = f->links[i];

		if (!l->path.conn && l->path.peer == peer &&
		    (replaced || l->path.state != FASTDP_UP))
			end_link(f, l, now);
	}
}

static void after(struct fastdp *f, struct link *link, struct mono now)
{
	peer_name peer = link->path.peer;
	bool carries = link->path.conn && fastdp_path_carries(&link->path);

	changed(f, link);
	end_kept(f, peer, carries, now);
}

void fastdp_free(struct fastdp *f)
{
	if (!f)
		return;
	while (f->links_count)
		free_link(f, f->links[0]);
	TABLE_EACH(&f->neighbours, l)
		free_neighbour(f, table_entry(l, struct neighbour, by_name));
	fastdp_routes_fini(&f->routes);
	table_fini(&f->by_session);
	table_fini(&f->neighbours);
	mirror_free(f->mirror);
	esp_free(f->esp);
	mem_free(f->links);
	mem_free(f->ended);
	mem_free(f);
}

/* ---- connections ---- */

static uint32_t draw_session(struct fastdp *f)
{
	for (;;) {
		uint32_t session = (uint32_t)draw(f);

		if (session && !link_of_session(f, session))
			return session;
	}
}

/* Of the first association of a path's own; the receiver's choice (RFC 4303 2.1). */
static uint32_t draw_spi(struct fastdp *f)
{
	for (;;) {
		uint32_t spi = (uint32_t)draw(f) & ~ESP_SPI_EPOCHS;

		if (spi && !esp_spi_in_use(f->esp, spi))
			return spi;
	}
}

struct fastdp_setup fastdp_on_up(struct fastdp *f, conn_id conn, peer_name peer,
				 struct ip_addr remote, const struct esp_chains *chains,
				 struct mono now)
{
	struct fastdp_setup mine = { .port = f->limits.port, .session = draw_session(f) };
	struct link *link = mem_new(1, sizeof *link);

	MUST(conn && !link_of_conn(f, conn));
	mine.key.k0 = draw(f);
	mine.key.k1 = draw(f);
	if (chains) {
		mine.spi = draw_spi(f);
		esp_begin(f->esp, mine.session, mine.spi, chains, remote, now);
	}
	fastdp_path_init(&link->path, conn, peer, &mine, now);
	link->path.sealed = chains;
	fastdp_path_set_remote(&link->path, remote, now);
	list_init(&link->dirty);
	if (f->links_count == f->links_room) {
		f->links_room = f->links_room ? f->links_room * 2 : 16;
		f->links = mem_resize(f->links, f->links_room, sizeof(struct link *));
	}
	link->index = f->links_count;
	f->links[f->links_count++] = link;
	table_insert(&f->by_session, &link->path.by_session, hash_of_session(f, mine.session));
	return mine;
}

void fastdp_on_down(struct fastdp *f, conn_id conn, struct mono now)
{
	struct link *link = link_of_conn(f, conn);

	if (!link)
		return;
	/* Nobody would change the keys of a sealed one. */
	if (!f->limits.keep || link->path.sealed || !fastdp_path_carries(&link->path)) {
		end_link(f, link, now);
		return;
	}
	link->path.conn = 0;
	changed(f, link);
	mirror_keep(f->mirror, link->path.peer);
	fastdp_path_on_suspect(&link->path, now);
}

peer_name fastdp_kept_peer(const struct fastdp *f, size_t index)
{
	for (size_t i = 0; i < f->links_count; i++)
		if (!f->links[i]->path.conn && index-- == 0)
			return f->links[i]->path.peer;
	return PEER_NAME_NONE;
}

void fastdp_forget(struct fastdp *f, peer_name peer, struct mono now)
{
	end_kept(f, peer, true, now);
}

const char *fastdp_on_setup(struct fastdp *f, conn_id conn, const struct fastdp_setup *theirs,
			    struct mono now)
{
	struct link *link = link_of_conn(f, conn);

	if (!link)
		return NULL;
	/* Both ends know whether this connection is sealed. */
	if (link->path.sealed != (theirs->spi != 0))
		return "fastdp.spi";
	if (link->path.sealed && link->path.known)
		return "fastdp.repeated";
	/* The device has one port for all. */
	link->path.other_port = theirs->port == f->limits.port ? 0 : theirs->port;
	if (link->path.other_port || link->refused[0])
		return NULL;
	if (link->path.sealed)
		esp_on_setup(f->esp, link->path.mine.session, theirs->spi, now);
	fastdp_path_on_setup(&link->path, theirs, now);
	after(f, link, now);
	return NULL;
}

const char *fastdp_on_epochs(struct fastdp *f, conn_id conn, const struct esp_message *m,
			     struct mono now)
{
	struct link *link = link_of_conn(f, conn);

	return link && link->path.sealed ? esp_on_message(f->esp, link->path.mine.session, m, now)
					 : NULL;
}

bool fastdp_next_epochs(struct fastdp *f, conn_id *conn, struct esp_message *m)
{
	uint32_t session;

	while (esp_next_message(f->esp, &session, m)) {
		const struct link *link = link_of_session(f, session);

		if (link && link->path.conn) {
			*conn = link->path.conn;
			return true;
		}
	}
	return false;
}

void fastdp_on_remote(struct fastdp *f, conn_id conn, struct ip_addr remote, struct mono now)
{
	struct link *link = link_of_conn(f, conn);

	if (!link || ip_compare(link->path.remote, remote) == 0)
		return;
	if (link->path.sealed)
		esp_set_remote(f->esp, link->path.mine.session, remote, now);
	fastdp_path_set_remote(&link->path, remote, now);
	after(f, link, now);
}

void fastdp_set_size(struct fastdp *f, uint32_t frame_size, struct mono now)
{
	f->limits.frame_size = frame_size;
	for (size_t i = f->links_count; i-- > 0;) {
		struct link *link = f->links[i];

		/* Nobody asks for larger frames on a path that only the kernels keep. */
		if (!link->path.conn)
			continue;
		fastdp_path_on_size(&link->path, now);
		changed(f, link);
	}
}

void fastdp_on_suspect(struct fastdp *f, peer_name peer, struct mono now)
{
	for (size_t i = 0; i < f->links_count; i++)
		if (f->links[i]->path.peer == peer)
			fastdp_path_on_suspect(&f->links[i]->path, now);
}

/* ---- the kernel ---- */

conn_id fastdp_on_pong(struct fastdp *f, uint32_t session, uint32_t token, bool by_hand,
		       unsigned says, struct ip_addr from, struct mono now)
{
	struct link *link = link_of_session(f, session);
	conn_id conn;

	if (!link)
		return 0;
	conn = link->path.conn;
	fastdp_path_on_pong(&link->path, token, by_hand, says, from, now);
	after(f, link, now);
	return conn;
}

/* The kernel is to forget what it was told of the path, and hears no more of it. */
static void give_up(struct fastdp *f, struct link *link, const char *why, struct mono now)
{
	snprintf(link->refused, sizeof link->refused, "%s", why);
	if (link->told)
		note_ended(f, link->path.mine.session);
	link->told = false;
	fastdp_path_give_up(&link->path, now);
	changed(f, link);
}

void fastdp_on_refused(struct fastdp *f, const struct fastdp_op *op, const char *why,
		       struct mono now)
{
	esp_on_failed(f->esp, op);
	for (size_t i = 0; i < f->links_count; i++) {
		struct link *link = f->links[i];

		if (link->path.sealed && !link->refused[0] &&
		    (op->type == FASTDP_OP_SA ? link->path.mine.session == op->session
					      : ip_compare(link->path.remote, op->remote) == 0))
			give_up(f, link, why, now);
	}
}

void fastdp_on_doubt(struct fastdp *f, conn_id conn, bool doubted, struct mono now)
{
	struct link *link = link_of_conn(f, conn);

	if (!link || link->doubted == doubted)
		return;
	link->doubted = doubted;
	touch_neighbour(f, link->path.peer);
	if (doubted)
		fastdp_path_on_suspect(&link->path, now);
}

static void on_used(struct fastdp *f, peer_name peer, struct mono now)
{
	for (size_t i = 0; i < f->links_count; i++)
		if (f->links[i]->path.peer == peer)
			fastdp_path_on_used(&f->links[i]->path, now);
}

peer_name fastdp_on_counters(struct fastdp *f, peer_name peer, const struct fastdp_counters *c,
			     struct mono now)
{
	struct neighbour *n = neighbour_of(f, peer);
	bool in, out;
	peer_name next;

	if (!n)
		return PEER_NAME_NONE;
	in = c->frames_in != n->counters.frames_in;
	out = c->frames_out != n->counters.frames_out;
	n->counters = *c;
	if (in)
		on_used(f, peer, now);
	/* What goes out is counted for whom it is, and may go through another. */
	next = out && n->told_via != PEER_NAME_NONE ? n->told_via : peer;
	if (out)
		on_used(f, next, now);
	return in || out ? next : PEER_NAME_NONE;
}

bool fastdp_tick(struct fastdp *f, struct mono now)
{
	bool any = false;

	for (size_t i = f->links_count; i-- > 0;) {
		struct link *link = f->links[i];
		struct fastdp_path *p = &link->path;
		bool carried = fastdp_path_carries(p), by_hand = p->by_hand;

		fastdp_path_tick(p, now);
		if (carried != fastdp_path_carries(p) || by_hand != p->by_hand) {
			any = true;
			after(f, link, now);
			/* Others may be gone too. */
			i = f->links_count < i ? f->links_count : i;
		}
	}
	return any;
}

struct mono fastdp_deadline(const struct fastdp *f, struct mono now)
{
	struct mono due = esp_deadline(f->esp, now);

	for (size_t i = 0; i < f->links_count; i++)
		due = mono_min(due, fastdp_path_deadline(&f->links[i]->path, now));
	return due;
}

/* ---- what the kernel has to be told ---- */

/* What begins before what ends: a peer is taken frames from all the time. */
static bool next_session(struct fastdp *f, struct fastdp_op *op)
{
	while (!list_empty(&f->dirty_links)) {
		struct link *link = list_entry(f->dirty_links.next, struct link, dirty);
		const struct fastdp_path *p = &link->path;
		bool accepted = p->state == FASTDP_UP;

		list_remove(&link->dirty);
		/* Never before its guard stands. */
		if (p->sealed && !esp_ready(f->esp, p->mine.session))
			continue;
		if (p->state == FASTDP_WAITING || (link->told && link->told_accepted == accepted &&
						   link->told_session == p->theirs.session &&
						   ip_compare(link->told_remote, p->remote) == 0))
			continue;
		link->told = true;
		link->told_accepted = accepted;
		link->told_session = p->theirs.session;
		link->told_remote = p->remote;
		*op = (struct fastdp_op){
			.type = FASTDP_OP_SESSION,
			.peer = p->peer,
			.session = p->mine.session,
			.their_session = p->theirs.session,
			.mine = p->mine.key,
			.theirs = p->theirs.key,
			.remote = p->remote,
			.accepted = accepted,
			.sealed = p->sealed,
		};
		return true;
	}
	if (!f->ended_count)
		return false;
	*op = (struct fastdp_op){ .type = FASTDP_OP_SESSION, .remove = true };
	op->session = f->ended[--f->ended_count];
	return true;
}

/* Notes whose relay is another now, behind the neighbours that are dirty already: a relay is told
 * before those that are reached through it. */
static void find_routes(struct fastdp *f)
{
	uint64_t version = topology_version(f->topology);
	uint64_t links_version = topology_links_version(f->topology);

	if (!f->routes_stale && f->routes_version == version && f->links_version == links_version)
		return;
	f->routes_stale = false;
	f->routes_version = version;
	f->links_version = links_version;
	fastdp_routes_find(&f->routes, f->topology, f->limits.self);
	TABLE_EACH(&f->neighbours, l) {
		struct neighbour *n = table_entry(l, struct neighbour, by_name);

		n->via = PEER_NAME_NONE;
		if (n->told_via != PEER_NAME_NONE && n->told_via != n->name)
			touch_neighbour(f, n->name);
	}
	for (uint32_t i = 0; i < f->routes.count; i++) {
		struct neighbour *n;

		if (f->routes.via[i] == PEER_NAME_NONE)
			continue;
		n = touch_neighbour(f, f->routes.names[i]);
		n->via = f->routes.via[i];
		n->via_own = f->routes.own[i];
	}
}

/* What frames for a peer do now; 'any': it has paths, whether they carry or not. */
static void fill_peer(const struct fastdp *f, const struct neighbour *n, struct fastdp_op *op,
		      bool *any)
{
	const struct link *link = best_link(f, n->name, any);
	const struct fastdp_path *p;
	bool unused;

	*op = (struct fastdp_op){ .type = FASTDP_OP_PEER, .peer = n->name, .via = n->name };
	if (!link && n->via != PEER_NAME_NONE) {
		op->via = n->via;
		op->relays = !n->via_own;
		link = best_link(f, n->via, &unused);
	}
	op->remove = !link;
	if (!link) {
		op->via = PEER_NAME_NONE;
		return;
	}
	p = &link->path;
	op->remote = p->remote;
	op->by_hand = p->by_hand;
	/* When only the kernels keep the path, its daemon may live and reach us through others; so
	 * may one that has noticed earlier than we that the path is gone. */
	op->direct = p->peer == n->name && p->conn && !link->doubted;
	op->sealed = p->sealed;
}

static bool next_peer(struct fastdp *f, struct fastdp_op *op)
{
	find_routes(f);
	while (!list_empty(&f->dirty_neighbours)) {
		struct neighbour *n = list_entry(f->dirty_neighbours.next, struct neighbour, dirty);
		bool any, same;

		list_remove(&n->dirty);
		fill_peer(f, n, op, &any);
		same = n->told_via == op->via &&
		       (op->remove ||
			(n->told_by_hand == op->by_hand && n->told_relays == op->relays &&
			 n->told_direct == op->direct && n->told_sealed == op->sealed &&
			 ip_compare(n->told_remote, op->remote) == 0));
		n->told_sealed = op->sealed;
		n->told_via = op->via;
		n->told_remote = op->remote;
		n->told_by_hand = op->by_hand;
		n->told_relays = op->relays;
		n->told_direct = op->direct;
		if (!any && n->via == PEER_NAME_NONE)
			free_neighbour(f, n);
		if (!same)
			return true;
	}
	return false;
}

static void fill_ping(const struct fastdp *f, const struct fastdp_path *p,
		      const struct fastdp_ping_order *order, struct fastdp_op *op)
{
	*op = (struct fastdp_op){
		.type = FASTDP_OP_PING,
		.peer = p->peer,
		.session = p->mine.session,
		.their_session = p->theirs.session,
		.theirs = p->theirs.key,
		.token = order->token,
		.by_hand = order->by_hand,
		.size = order->full ? f->limits.frame_size : FASTDP_PING_FRAME_MIN,
	};
}

static bool next_ping(struct fastdp *f, struct fastdp_op *op, struct mono now)
{
	struct fastdp_ping_order order;

	for (size_t i = 0; i < f->links_count; i++) {
		size_t at = (f->next_ping + i) % f->links_count;
		struct fastdp_path *p = &f->links[at]->path;

		if (!fastdp_path_pull(p, now, &order))
			continue;
		f->next_ping = at;
		fill_ping(f, p, &order, op);
		return true;
	}
	return false;
}

/* Sessions before pings, that they can be answered.  Whatever names an address stands between its
 * guard's coming and going. */
bool fastdp_next(struct fastdp *f, struct fastdp_op *op, struct mono now)
{
	return esp_next(f->esp, ESP_ADDS, op, now) || next_session(f, op) || next_peer(f, op) ||
	       mirror_next(f->mirror, op) || esp_next(f->esp, ESP_REMOVALS, op, now) ||
	       next_ping(f, op, now);
}

/* ---- looking in ---- */

const struct fastdp_path *fastdp_path_of(const struct fastdp *f, conn_id conn)
{
	const struct link *link = link_of_conn(f, conn);

	return link ? &link->path : NULL;
}

bool fastdp_carries(const struct fastdp *f, conn_id conn, struct mono now, char *why, size_t size)
{
	const struct link *link = link_of_conn(f, conn);
	const struct fastdp_path *p = link ? &link->path : NULL;

	if (size)
		why[0] = '\0';
	if (!p)
		return false;
	if (link->refused[0]) {
		snprintf(why, size, "%s", link->refused);
		return false;
	}
	if (size)
		fastdp_path_explain(p, f->limits.frame_size, now, why, size);
	return fastdp_path_carries(p);
}

struct fastdp_counters fastdp_counters(const struct fastdp *f, peer_name peer)
{
	const struct neighbour *n = neighbour_of(f, peer);

	return n ? n->counters : (struct fastdp_counters){ 0 };
}

void fastdp_check(struct fastdp *f)
{
	MUST(f->by_session.count == f->links_count);
	for (size_t i = 0; i < f->links_count; i++) {
		const struct link *link = f->links[i];

		MUST(link->index == i);
		MUST(link_of_session(f, link->path.mine.session) == link);
		MUST(link->path.conn || link->told);
		fastdp_path_check(&link->path);
	}
	mirror_check(f->mirror);
	esp_check(f->esp);
}
