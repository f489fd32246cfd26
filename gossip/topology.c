#include <weave/topology.h>

#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "kinds.h"
#include "routes.h"

/* One stored link entry that is not a tombstone. */
struct link {
	struct link_info info; /* first: topology_peer.links points here */
	uint64_t generation;
	struct node *to;
	struct link *reverse; /* what 'to' publishes about 'from', or NULL */
};

struct tree {
	uint64_t graph_version; /* computed for this one */
	struct topology_broadcast broadcast;
	peer_name *children;
	uint32_t children_room;
	/* By slot; only when somebody asked for them in this version. */
	uint32_t *branches;
	uint32_t branches_count; /* 0: not known */
};

/* Nodes that nobody speaks of any more stay until the next update, so that what the last update
 * computed stays whole until then. */
struct node {
	struct topology_peer peer;
	struct link **links; /* in order of .to */
	uint32_t links_room;
	uint32_t inbound; /* links of others whose 'to' this is */
	uint32_t slot;
	bool direct; /* live data path of our own */
	bool stale;  /* its edges are to be computed anew */
	peer_name next_hop;
	struct tree *tree; /* NULL until asked for */
};

struct topology {
	struct store *store;
	struct node *self;
	struct node **sorted; /* by name */
	size_t count, room;

	/* The counted graph as of the last update, by slot. */
	struct routes_node *graph;
	struct node **slots;  /* NULL where free */
	uint32_t *free_slots; /* as much room as slots */
	uint32_t slots_count, slots_room, free_count;
	uint32_t *edges; /* scratch, as much room as slots */

	struct routes_search own, other;
	bool dirty;
	bool changed;	    /* something that bumps the version, since the last update */
	bool peers_changed; /* likewise for peers_version */
	bool links_changed; /* and for links_version */
	bool overflow;	    /* something was left out because of PEERS_MAX */
	uint64_t version, graph_version, peers_version, links_version;
};

/* ---- nodes ---- */

static size_t position(const struct topology *t, peer_name name)
{
	size_t low = 0, high = t->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (t->sorted[middle]->peer.info.name < name)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct node *find(const struct topology *t, peer_name name)
{
	size_t i = position(t, name);

	return i < t->count && t->sorted[i]->peer.info.name == name ? t->sorted[i] : NULL;
}

static void grow_slots(struct topology *t)
{
	uint32_t room = t->slots_room ? t->slots_room * 2 : 16;

	t->graph = mem_resize(t->graph, room, sizeof(struct routes_node));
	t->slots = mem_resize(t->slots, room, sizeof(struct node *));
	t->free_slots = mem_resize(t->free_slots, room, sizeof(uint32_t));
	t->edges = mem_resize(t->edges, room, sizeof(uint32_t));
	t->slots_room = room;
}

static void take_slot(struct topology *t, struct node *n)
{
	if (t->free_count) {
		n->slot = t->free_slots[--t->free_count];
	} else {
		if (t->slots_count == t->slots_room)
			grow_slots(t);
		n->slot = t->slots_count++;
	}
	t->slots[n->slot] = n;
	t->graph[n->slot] = (struct routes_node){ 0 };
}

static struct node *add_node(struct topology *t, peer_name name)
{
	struct node *n = mem_new(1, sizeof *n);
	size_t i = position(t, name);

	if (t->count == t->room) {
		t->room = t->room ? t->room * 2 : 16;
		t->sorted = mem_resize(t->sorted, t->room, sizeof(struct node *));
	}
	memmove(t->sorted + i + 1, t->sorted + i, (t->count - i) * sizeof(struct node *));
	t->sorted[i] = n;
	t->count++;
	n->peer.info.name = name;
	take_slot(t, n);
	return n;
}

/* Whether so many more nodes fit; else the view leaves out what needs them until there is room. */
static bool may_add(struct topology *t, size_t more)
{
	if (t->count + more <= PEERS_MAX)
		return true;
	t->overflow = true;
	return false;
}

static struct node *get_node(struct topology *t, peer_name name)
{
	struct node *n = find(t, name);

	return n ? n : add_node(t, name);
}

static bool is_spoken_of(const struct topology *t, const struct node *n)
{
	return n->peer.known || n->peer.links_count || n->inbound || n->direct || n == t->self;
}

static void free_node(struct topology *t, struct node *n)
{
	mem_free(t->graph[n->slot].edges);
	t->graph[n->slot] = (struct routes_node){ 0 };
	t->slots[n->slot] = NULL;
	t->free_slots[t->free_count++] = n->slot;
	if (n->tree) {
		mem_free(n->tree->children);
		mem_free(n->tree->branches);
	}
	mem_free(n->tree);
	mem_free(n->links);
	mem_free(n);
}

/* ---- what the store tells ---- */

/* Whether a link counts depends on both ends' generations. */
static void stale_around(struct node *n)
{
	n->stale = true;
	for (uint32_t i = 0; i < n->peer.links_count; i++)
		n->links[i]->to->stale = true;
}

static void set_peer(struct topology *t, const struct peer_info *info, bool known,
		     uint64_t generation)
{
	struct node *n = find(t, info->name);
	struct topology_peer *p;

	if (!n && (!known || !may_add(t, 1)))
		return;
	n = get_node(t, info->name);
	p = &n->peer;
	if (p->known != known || p->generation != generation || p->info.floor != info->floor) {
		stale_around(n);
		t->changed = true;
	}
	if (p->known != known || p->info.store_id != info->store_id)
		t->peers_changed = true;
	p->info = *info;
	p->known = known;
	p->generation = generation;
	t->dirty = true;
}

static void on_peer(void *ctx, const struct entry_view *before, const struct entry_view *after)
{
	bool known = after && !(after->flags & ENTRY_TOMBSTONE);
	struct peer_info info;

	MUST(!peer_info_decode(&info, known ? after : before ? before : after));
	if (!known)
		info = (struct peer_info){ .name = info.name };
	set_peer(ctx, &info, known, known ? after->generation : 0);
}

static uint32_t link_position(const struct node *from, peer_name to)
{
	uint32_t low = 0, high = from->peer.links_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (from->links[middle]->info.to < to)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct link *find_link(const struct node *from, peer_name to)
{
	uint32_t i = link_position(from, to);

	return i < from->peer.links_count && from->links[i]->info.to == to ? from->links[i] : NULL;
}

static void show_links(struct node *n)
{
	/* A pointer to a link is a pointer to its first member. */
	_Static_assert(offsetof(struct link, info) == 0, "info comes first");
	n->peer.links = (const struct link_info *const *)(const void *)n->links;
}

static struct link *add_link(struct node *from, struct node *to)
{
	uint32_t i = link_position(from, to->peer.info.name);
	struct link *l = mem_new(1, sizeof *l);

	if (from->peer.links_count == from->links_room) {
		from->links_room = from->links_room ? from->links_room * 2 : 8;
		from->links = mem_resize(from->links, from->links_room, sizeof(struct link *));
	}
	memmove(from->links + i + 1, from->links + i,
		(from->peer.links_count - i) * sizeof(struct link *));
	from->links[i] = l;
	from->peer.links_count++;
	show_links(from);
	l->to = to;
	to->inbound++;
	l->reverse = find_link(to, from->peer.info.name);
	if (l->reverse)
		l->reverse->reverse = l;
	return l;
}

static void remove_link(struct node *from, uint32_t i)
{
	struct link *l = from->links[i];

	if (l->reverse)
		l->reverse->reverse = NULL;
	l->to->inbound--;
	from->peer.links_count--;
	memmove(from->links + i, from->links + i + 1,
		(from->peer.links_count - i) * sizeof(struct link *));
	mem_free(l);
}

static void set_link(struct topology *t, const struct link_info *info, uint64_t generation)
{
	struct node *from = find(t, info->from), *to = find(t, info->to);
	struct link *l;

	if (!may_add(t, (from ? 0u : 1u) + (to ? 0u : 1u)))
		return;
	from = get_node(t, info->from);
	to = get_node(t, info->to);
	l = find_link(from, info->to);
	if (!l)
		l = add_link(from, to);
	if (l->info.overlay != info->overlay || l->info.established != info->established)
		t->links_changed = true;
	l->info = *info;
	l->generation = generation;
	from->stale = to->stale = true;
	t->dirty = true;
}

static void forget_link(struct topology *t, const struct link_info *info)
{
	struct node *from = find(t, info->from);
	uint32_t i;

	if (!from || !find_link(from, info->to))
		return;
	i = link_position(from, info->to);
	from->stale = from->links[i]->to->stale = true;
	remove_link(from, i);
	t->links_changed = true;
	t->dirty = true;
}

static void on_link(void *ctx, const struct entry_view *before, const struct entry_view *after)
{
	bool there = after && !(after->flags & ENTRY_TOMBSTONE);
	struct link_info info;

	MUST(!link_info_decode(&info, there ? after : before ? before : after));
	if (there)
		set_link(ctx, &info, after->generation);
	else
		forget_link(ctx, &info);
}

/* Reads everything again: what was left out at the bound may fit now. */
static void reload(struct topology *t)
{
	t->overflow = false;
	for (size_t i = 0; i < t->count; i++) {
		struct node *n = t->sorted[i];

		stale_around(n);
		while (n->peer.links_count)
			remove_link(n, n->peer.links_count - 1);
	}
	for (const struct entry *e = store_next(t->store, NULL); e; e = store_next(t->store, e)) {
		if (e->view.kind == KIND_PEER)
			on_peer(t, NULL, &e->view);
		else if (e->view.kind == KIND_LINK)
			on_link(t, NULL, &e->view);
	}
}

void topology_direct(struct topology *t, peer_name to, bool alive)
{
	struct node *n = find(t, to);

	if (!n && !alive)
		return;
	n = get_node(t, to); /* our own connections have a bound of their own */
	MUST(n != t->self);
	if (n->direct == alive)
		return;
	n->direct = alive;
	t->dirty = true;
}

/* ---- computing ---- */

static bool half_counts(const struct link *l, const struct node *from)
{
	return l->info.established && from->peer.known && l->generation == from->peer.generation;
}

bool topology_link_counts(const struct topology *t, size_t index, uint32_t link, uint8_t *overlay)
{
	const struct node *n = t->sorted[index];
	const struct link *l;

	MUST(index < t->count && link < n->peer.links_count);
	l = n->links[link];
	if (!l->reverse || !half_counts(l, n) || !half_counts(l->reverse, l->to))
		return false;
	*overlay = l->info.overlay == l->reverse->info.overlay ? l->info.overlay : 0;
	return true;
}

static bool refresh_edges(struct topology *t, struct node *n)
{
	struct routes_node *g = &t->graph[n->slot];
	uint32_t count = 0;

	n->stale = false;
	for (uint32_t i = 0; i < n->peer.links_count; i++) {
		const struct link *l = n->links[i];

		if (l->reverse && half_counts(l, n) && half_counts(l->reverse, l->to))
			t->edges[count++] = l->to->slot;
	}
	if (count == g->edges_count &&
	    (count == 0 || memcmp(t->edges, g->edges, count * sizeof(uint32_t)) == 0))
		return false;
	mem_free(g->edges);
	g->edges = count ? mem_copy(t->edges, count * sizeof(uint32_t)) : NULL;
	g->edges_count = count;
	return true;
}

static bool refresh_graph(struct topology *t)
{
	bool changed = false;

	for (size_t i = 0; i < t->count; i++)
		if (t->sorted[i]->stale)
			changed |= refresh_edges(t, t->sorted[i]);
	return changed;
}

static bool sweep_nodes(struct topology *t)
{
	size_t kept = 0, before = t->count;

	for (size_t i = 0; i < t->count; i++) {
		if (is_spoken_of(t, t->sorted[i]))
			t->sorted[kept++] = t->sorted[i];
		else
			free_node(t, t->sorted[i]);
	}
	t->count = kept;
	return kept < before;
}

static bool set_route(struct topology *t, struct node *n)
{
	bool found = t->own.parent[n->slot] != ROUTES_NONE;
	bool reachable = n->direct || found;
	peer_name next_hop = PEER_NAME_NONE;
	uint32_t hops = 0;

	if (n->direct && n != t->self) {
		next_hop = n->peer.info.name;
		hops = 1;
	} else if (found && n != t->self) {
		next_hop = t->slots[t->own.first[n->slot]]->peer.info.name;
		hops = t->own.hops[n->slot];
	}
	if (n->peer.reachable == reachable && n->peer.hops == hops && n->next_hop == next_hop)
		return false;
	if (n->peer.reachable != reachable)
		t->peers_changed = true;
	n->peer.reachable = reachable;
	n->peer.hops = hops;
	n->next_hop = next_hop;
	return true;
}

void topology_update(struct topology *t)
{
	bool graph_changed;

	if (!t->dirty)
		return;
	graph_changed = refresh_graph(t);
	if (sweep_nodes(t) && t->overflow) {
		reload(t);
		graph_changed |= refresh_graph(t);
	}
	if (graph_changed)
		t->graph_version++;
	t->changed |= graph_changed;
	routes_search(&t->own, t->graph, t->slots_count, t->self->slot);
	for (size_t i = 0; i < t->count; i++)
		t->changed |= set_route(t, t->sorted[i]);
	if (t->changed)
		t->version++;
	if (t->peers_changed)
		t->peers_version++;
	if (t->links_changed)
		t->links_version++;
	t->dirty = t->changed = t->peers_changed = t->links_changed = false;
}

struct topology *topology_new(struct store *store, peer_name self)
{
	struct topology *t = mem_new(1, sizeof *t);
	struct kind kind = kind_peer;

	t->store = store;
	t->self = add_node(t, self);
	t->self->peer.reachable = true;
	kind.on_change = on_peer;
	kind.ctx = t;
	store_register(store, &kind);
	kind = kind_link;
	kind.on_change = on_link;
	kind.ctx = t;
	store_register(store, &kind);
	routes_search(&t->own, t->graph, t->slots_count, t->self->slot);
	return t;
}

void topology_free(struct topology *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->count; i++) {
		struct node *n = t->sorted[i];

		for (uint32_t j = 0; j < n->peer.links_count; j++)
			mem_free(n->links[j]);
		free_node(t, n);
	}
	routes_search_fini(&t->own);
	routes_search_fini(&t->other);
	mem_free(t->sorted);
	mem_free(t->graph);
	mem_free(t->slots);
	mem_free(t->free_slots);
	mem_free(t->edges);
	mem_free(t);
}

/* ---- looking in ---- */

bool topology_dirty(const struct topology *t)
{
	return t->dirty;
}

uint64_t topology_peers_version(const struct topology *t)
{
	return t->peers_version;
}

uint64_t topology_links_version(const struct topology *t)
{
	return t->links_version;
}

uint64_t topology_version(const struct topology *t)
{
	return t->version;
}

const struct topology_peer *topology_peer(const struct topology *t, peer_name name)
{
	const struct node *n = find(t, name);

	return n && is_spoken_of(t, n) ? &n->peer : NULL;
}

const struct topology_peer *topology_peer_at(const struct topology *t, size_t index)
{
	return index < t->count ? &t->sorted[index]->peer : NULL;
}

size_t topology_count(const struct topology *t)
{
	return t->count;
}

bool topology_reachable(const struct topology *t, peer_name name)
{
	const struct node *n = find(t, name);

	return n && n->peer.reachable;
}

peer_name topology_next_hop(const struct topology *t, peer_name to)
{
	const struct node *n = find(t, to);

	return n ? n->next_hop : PEER_NAME_NONE;
}

/* ---- broadcast ---- */

static void add_child(struct tree *tree, peer_name child)
{
	struct topology_broadcast *b = &tree->broadcast;

	if (b->children_count == tree->children_room) {
		tree->children_room = tree->children_room ? tree->children_room * 2 : 4;
		tree->children = mem_resize(tree->children, tree->children_room, sizeof(peer_name));
		b->children = tree->children;
	}
	tree->children[b->children_count++] = child;
}

/* Only the published graph counts here, never our own data paths: all peers must agree. */
static void compute_tree(struct topology *t, struct node *origin)
{
	uint32_t me = t->self->slot;
	const struct routes_node *g = &t->graph[me];
	struct tree *tree = origin->tree;

	tree->graph_version = t->graph_version;
	tree->broadcast.parent = PEER_NAME_NONE;
	tree->broadcast.children_count = 0;
	tree->branches_count = 0;
	routes_search(&t->other, t->graph, t->slots_count, origin->slot);
	if (t->other.parent[me] == ROUTES_NONE)
		return;
	if (origin != t->self)
		tree->broadcast.parent = t->slots[t->other.parent[me]]->peer.info.name;
	for (uint32_t i = 0; i < g->edges_count; i++) {
		uint32_t next = g->edges[i];

		if (t->other.parent[next] == me)
			add_child(tree, t->slots[next]->peer.info.name);
	}
}

const struct topology_broadcast *topology_broadcast(struct topology *t, peer_name origin)
{
	static const struct topology_broadcast nobody;
	struct node *n = find(t, origin);

	if (!n)
		return &nobody;
	if (n->tree && n->tree->graph_version == t->graph_version)
		return &n->tree->broadcast;
	if (!n->tree)
		n->tree = mem_new(1, sizeof *n->tree);
	compute_tree(t, n);
	return &n->tree->broadcast;
}

/* Nodes come nearest to the origin first, so that of a parent is known before. */
static void compute_branches(struct topology *t, const struct node *origin)
{
	struct routes_search *s = &t->other;
	struct tree *tree = origin->tree;
	uint32_t me = t->self->slot, child = 0;

	tree->branches = mem_resize(tree->branches, t->slots_count, sizeof(uint32_t));
	memset(tree->branches, 0xff, t->slots_count * sizeof(uint32_t));
	tree->branches_count = t->slots_count;
	routes_search(s, t->graph, t->slots_count, origin->slot);
	for (uint32_t i = 0; i < s->order_count; i++) {
		uint32_t slot = s->order[i], parent = s->parent[slot];

		if (slot == me || parent == slot)
			continue;
		tree->branches[slot] = parent == me ? child++ : tree->branches[parent];
	}
}

uint32_t topology_branch(struct topology *t, peer_name origin, peer_name peer)
{
	const struct node *from = find(t, origin), *to = find(t, peer);

	if (!from || !to)
		return TOPOLOGY_NO_BRANCH;
	topology_broadcast(t, origin);
	if (!from->tree->branches_count)
		compute_branches(t, from);
	/* One that came since the last update has no place in the graph yet. */
	return to->slot < from->tree->branches_count ? from->tree->branches[to->slot]
						     : TOPOLOGY_NO_BRANCH;
}

/* ---- invariants ---- */

static bool has_edge(const struct topology *t, uint32_t from, uint32_t to)
{
	for (uint32_t i = 0; i < t->graph[from].edges_count; i++)
		if (t->graph[from].edges[i] == to)
			return true;
	return false;
}

static void check_edges(const struct topology *t, const struct node *n)
{
	const struct routes_node *g = &t->graph[n->slot];
	peer_name last = 0;

	for (uint32_t i = 0; i < g->edges_count; i++) {
		const struct node *to = t->slots[g->edges[i]];

		MUST(to && to != n && to->peer.info.name > last);
		MUST(has_edge(t, to->slot, n->slot));
		last = to->peer.info.name;
	}
}

static void check_route(const struct topology *t, const struct node *n)
{
	uint32_t parent = n->slot < t->own.room ? t->own.parent[n->slot] : ROUTES_NONE;

	if (n == t->self) {
		MUST(n->peer.reachable && !n->next_hop && !n->peer.hops);
		return;
	}
	MUST(n->peer.reachable == (n->next_hop != PEER_NAME_NONE));
	MUST(n->peer.reachable == (n->peer.hops > 0));
	/* Each step of the way is a link and comes one nearer: no cycle. */
	if (n->peer.reachable && n->next_hop != n->peer.info.name) {
		MUST(parent != ROUTES_NONE && has_edge(t, parent, n->slot));
		MUST(t->own.hops[n->slot] == t->own.hops[parent] + 1);
		MUST(has_edge(t, t->self->slot, find(t, n->next_hop)->slot));
	}
}

static void check_tree(struct topology *t, const struct node *origin)
{
	const struct topology_broadcast *b = topology_broadcast(t, origin->peer.info.name);
	peer_name last = 0;

	if (b->parent != PEER_NAME_NONE)
		MUST(has_edge(t, find(t, b->parent)->slot, t->self->slot));
	for (uint32_t i = 0; i < b->children_count; i++) {
		MUST(b->children[i] > last && b->children[i] != b->parent);
		MUST(has_edge(t, t->self->slot, find(t, b->children[i])->slot));
		MUST(topology_branch(t, origin->peer.info.name, b->children[i]) == i);
		last = b->children[i];
	}
}

void topology_check(struct topology *t)
{
	for (size_t i = 0; i < t->count; i++) {
		const struct node *n = t->sorted[i];

		MUST(i == 0 || t->sorted[i - 1]->peer.info.name < n->peer.info.name);
		MUST(t->slots[n->slot] == n);
		check_edges(t, n);
	}
	if (t->dirty)
		return; /* routes and trees are as of the last update */
	for (size_t i = 0; i < t->count; i++) {
		check_route(t, t->sorted[i]);
		check_tree(t, t->sorted[i]);
	}
}
