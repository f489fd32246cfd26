#include <weave/store.h>

#include <string.h>

#include <weave/alloc.h>
#include <weave/limits.h>
#include <weave/must.h>

#include "digest.h"

#define COMPARING_MAX 4u

/* Exists while the writer has entries or is refused. */
struct store_writer {
	peer_name name;
	struct list entries;
	size_t entries_count;
	bool refused;
	uint64_t refused_until; /* generation */
	struct table_link by_name;
};

struct store {
	/* Keys are hashed twice: once with the published key, for all peers alike, and that once
	 * more with a local one, so that nobody can aim at one chain of our table. */
	struct hash_key local;
	struct table entries, writers;
	struct list order;
	struct list buckets[STORE_BUCKETS];
	struct digest digest, apart;
	struct list cursors;	     /* with something to read */
	struct list cursors_waiting; /* at the end */
	struct kind *kinds[UINT8_MAX + 1];
	const struct kind *comparing[COMPARING_MAX]; /* those with 'compare' */
	size_t comparing_count;
	struct entry **gone; /* all entries of kind gone, in no order */
	size_t gone_count, gone_room;
	size_t refused_writers_count;
	uint64_t sequence;
	size_t tombstones_count;
	size_t bytes; /* of keys and values */
	struct store_counters counters;
	bool in_on_change;
};

static uint64_t local_hash(const struct store *s, uint64_t v)
{
	return hash64(&s->local, &v, sizeof v);
}

static bool is_tombstone(const struct entry *e)
{
	return e->view.flags & ENTRY_TOMBSTONE;
}

static size_t payload_size(const struct entry_view *e)
{
	return e->key.size + e->value.size;
}

struct store *store_new(uint64_t seed)
{
	struct store *s = mem_new(1, sizeof *s);

	s->local = (struct hash_key){ seed, ~seed };
	list_init(&s->order);
	list_init(&s->cursors);
	list_init(&s->cursors_waiting);
	for (unsigned i = 0; i < STORE_BUCKETS; i++)
		list_init(&s->buckets[i]);
	return s;
}

static void orphan_cursors(struct list *cursors)
{
	while (!list_empty(cursors)) {
		struct store_cursor *c = list_entry(cursors->next, struct store_cursor, link);

		list_remove(&c->link);
		*c = (struct store_cursor){ 0 };
	}
}

void store_free(struct store *s)
{
	if (!s)
		return;
	orphan_cursors(&s->cursors);
	orphan_cursors(&s->cursors_waiting);
	TABLE_EACH(&s->entries, l)
		mem_free(table_entry(l, struct entry, by_key));
	TABLE_EACH(&s->writers, w)
		mem_free(table_entry(w, struct store_writer, by_name));
	for (size_t i = 0; i < ARRAY_COUNT(s->kinds); i++)
		mem_free(s->kinds[i]);
	table_fini(&s->entries);
	table_fini(&s->writers);
	mem_free(s->gone);
	mem_free(s);
}

void store_register(struct store *s, const struct kind *kind)
{
	MUST(kind->number != 0 && !s->kinds[kind->number]);
	MUST(kind->merge || (!kind->exchanged && !kind->compare));
	s->kinds[kind->number] = mem_copy(kind, sizeof *kind);
	if (kind->compare) {
		MUST(s->comparing_count < COMPARING_MAX);
		s->comparing[s->comparing_count++] = s->kinds[kind->number];
	}
}

const char *store_check(const struct store *s, const struct entry_view *e)
{
	const char *bad = entry_check(e);
	const struct kind *kind = s->kinds[e->kind];

	if (!bad && kind && kind->check)
		bad = kind->check(e);
	return bad;
}

/* ---- cursors ---- */

static struct entry *next_in_order(const struct store *s, const struct entry *e)
{
	struct list *l = e ? e->by_order.next : s->order.next;

	return l == &s->order ? NULL : list_entry(l, struct entry, by_order);
}

static void point(struct store *s, struct store_cursor *c, struct entry *next)
{
	if (c->next)
		c->next->cursors_count--;
	c->next = next;
	list_remove(&c->link);
	if (next) {
		next->cursors_count++;
		list_append(&s->cursors, &c->link);
	} else {
		/* Whatever there is was read, though the last of it may have been dropped. */
		c->sequence = s->sequence;
		list_append(&s->cursors_waiting, &c->link);
	}
}

/* Before 'e' leaves its place in the order: whoever was about to read it goes on behind it. */
static void step_aside(struct store *s, struct entry *e)
{
	struct entry *behind = next_in_order(s, e);

	for (struct list *l = s->cursors.next, *next; e->cursors_count; l = next) {
		struct store_cursor *c = list_entry(l, struct store_cursor, link);

		MUST(l != &s->cursors);
		next = l->next;
		if (c->next == e)
			point(s, c, behind);
	}
}

static void wake_cursors(struct store *s, struct entry *e)
{
	while (!list_empty(&s->cursors_waiting))
		point(s, list_entry(s->cursors_waiting.next, struct store_cursor, link), e);
}

void store_cursor_open(struct store *s, struct store_cursor *c, bool at_end)
{
	*c = (struct store_cursor){ .sequence = at_end ? s->sequence : 0 };
	list_init(&c->link);
	point(s, c, at_end ? NULL : next_in_order(s, NULL));
}

void store_cursor_close(struct store_cursor *c)
{
	if (!c->link.next)
		return;
	if (c->next)
		c->next->cursors_count--;
	list_remove(&c->link);
	*c = (struct store_cursor){ 0 };
}

const struct entry *store_cursor_peek(const struct store_cursor *c)
{
	return c->next;
}

void store_cursor_advance(struct store *s, struct store_cursor *c)
{
	MUST(c->next);
	c->sequence = c->next->sequence;
	point(s, c, next_in_order(s, c->next));
}

/* ---- writers ---- */

static struct store_writer *find_writer(const struct store *s, peer_name name)
{
	uint64_t h = local_hash(s, name);

	for (struct table_link *l = table_first(&s->writers, h); l; l = table_next(l, h)) {
		struct store_writer *w = table_entry(l, struct store_writer, by_name);

		if (w->name == name)
			return w;
	}
	return NULL;
}

static struct store_writer *get_writer(struct store *s, peer_name name)
{
	struct store_writer *w = find_writer(s, name);

	if (!w) {
		w = mem_new(1, sizeof *w);
		w->name = name;
		list_init(&w->entries);
		table_insert(&s->writers, &w->by_name, local_hash(s, name));
	}
	return w;
}

static void let_go(struct store *s, struct store_writer *w)
{
	if (w->entries_count || w->refused)
		return;
	table_remove(&s->writers, &w->by_name);
	mem_free(w);
}

/* ---- `gone`: bounded, lowest (generation, key) goes first ---- */

/* Every store keeps the highest so many of what it has heard of, so that stores that have heard
 * the same keep the same. */
static int gone_order(const struct entry_view *a, const struct entry_view *b)
{
	if (a->generation != b->generation)
		return a->generation < b->generation ? -1 : 1;
	return bytes_compare(a->key, b->key);
}

static struct entry *lowest_gone(const struct store *s)
{
	struct entry *lowest = s->gone[0];

	for (size_t i = 1; i < s->gone_count; i++)
		if (gone_order(&s->gone[i]->view, &lowest->view) < 0)
			lowest = s->gone[i];
	return lowest;
}

static void add_gone(struct store *s, struct entry *e)
{
	if (s->gone_count == s->gone_room) {
		s->gone_room = s->gone_room ? s->gone_room * 2 : 16;
		s->gone = mem_resize(s->gone, s->gone_room, sizeof(struct entry *));
	}
	s->gone[s->gone_count++] = e;
}

static void remove_gone(struct store *s, const struct entry *e)
{
	size_t i = 0;

	while (i < s->gone_count && s->gone[i] != e)
		i++;
	MUST(i < s->gone_count);
	s->gone[i] = s->gone[--s->gone_count];
}

/* ---- entries ---- */

static struct entry *find(const struct store *s, uint8_t kind, struct bytes key, uint64_t key_hash)
{
	uint64_t h = local_hash(s, key_hash);

	for (struct table_link *l = table_first(&s->entries, h); l; l = table_next(l, h)) {
		struct entry *e = table_entry(l, struct entry, by_key);

		if (e->view.kind == kind && bytes_equal(e->view.key, key))
			return e;
	}
	return NULL;
}

static struct entry *new_entry(const struct entry_view *view, uint64_t source, struct mono now)
{
	size_t size = digest_form_size(view);
	struct entry *e = mem_new(1, sizeof *e + size);
	uint8_t *form = (uint8_t *)(e + 1);
	struct entry_hashes h;

	e->view = digest_form(view, form);
	h = digest_hashes(form, size);
	e->key_hash = h.key_hash;
	e->version_hash = h.version_hash;
	e->digest = h.digest;
	e->source = source;
	e->received = now;
	return e;
}

/* Where the entry counts, unless it is a tombstone. */
static struct digest *digest_for(struct store *s, const struct entry *e)
{
	const struct kind *kind = s->kinds[e->view.kind];

	return kind && kind->merge ? &s->apart : &s->digest;
}

static void link_entry(struct store *s, struct entry *e)
{
	e->sequence = ++s->sequence;
	table_insert(&s->entries, &e->by_key, local_hash(s, e->key_hash));
	list_append(&s->order, &e->by_order);
	list_append(&s->buckets[digest_bucket(e->key_hash)], &e->by_bucket);
	list_append(&e->of->entries, &e->by_writer);
	s->bytes += payload_size(&e->view);
	if (is_tombstone(e))
		s->tombstones_count++;
	else
		digest_toggle(digest_for(s, e), e->key_hash, e->digest);
	if (e->view.kind == KIND_GONE)
		add_gone(s, e);
	wake_cursors(s, e);
}

static void unlink_entry(struct store *s, struct entry *e)
{
	step_aside(s, e);
	table_remove(&s->entries, &e->by_key);
	list_remove(&e->by_order);
	list_remove(&e->by_bucket);
	list_remove(&e->by_writer);
	e->of->entries_count--;
	let_go(s, e->of);
	s->bytes -= payload_size(&e->view);
	if (is_tombstone(e))
		s->tombstones_count--;
	else
		digest_toggle(digest_for(s, e), e->key_hash, e->digest);
	if (e->view.kind == KIND_GONE)
		remove_gone(s, e);
}

static void tell(struct store *s, const struct entry *before, const struct entry *after)
{
	const struct kind *kind = s->kinds[(before ? before : after)->view.kind];

	if (!kind || !kind->on_change)
		return;
	s->in_on_change = true;
	kind->on_change(kind->ctx, before ? &before->view : NULL, after ? &after->view : NULL);
	s->in_on_change = false;
}

static void drop(struct store *s, struct entry *e)
{
	MUST(!s->in_on_change);
	unlink_entry(s, e);
	tell(s, e, NULL);
	mem_free(e);
}

/* 'view' may borrow from 'old'. */
static void replace(struct store *s, struct entry *old, const struct entry_view *view,
		    uint64_t source, struct mono now)
{
	struct entry *e = new_entry(view, source, now);

	MUST(!s->in_on_change);
	/* Counted before the old one goes, so that the writer is not forgotten in between. */
	e->of = get_writer(s, view->writer);
	e->of->entries_count++;
	if (old)
		unlink_entry(s, old);
	link_entry(s, e);
	tell(s, old, e);
	mem_free(old);
	if (s->gone_count > GONE_ENTRIES_MAX)
		drop(s, lowest_gone(s));
}

/* ---- merging ---- */

static bool fits(const struct store *s, const struct entry *old, const struct store_writer *w,
		 const struct entry_view *e)
{
	bool same_writer = old && old->of == w;
	size_t before = old ? payload_size(&old->view) : 0;

	if (!old && s->entries.count >= STORE_ENTRIES_MAX)
		return false;
	if (payload_size(e) > before && s->bytes - before + payload_size(e) > STORE_BYTES_MAX)
		return false;
	if (w && !same_writer && w->entries_count >= WRITER_ENTRIES_MAX)
		return false;
	return e->kind != KIND_GONE || old || s->gone_count < GONE_ENTRIES_MAX ||
	       gone_order(&lowest_gone(s)->view, e) < 0;
}

static enum store_result decide(struct store *s, const struct entry *old,
				const struct entry_view *e)
{
	const struct store_writer *w;
	int c = old ? entry_compare(&old->view, e) : -1;

	if (c == 0) {
		s->counters.same++;
		return STORE_SAME;
	}
	if (old && old->view.generation == e->generation && old->view.version == e->version)
		s->counters.conflicts++;
	if (c > 0) {
		s->counters.older++;
		return STORE_OLDER;
	}
	w = find_writer(s, e->writer);
	if (w && w->refused && e->generation <= w->refused_until && kind_has_one_writer(e->kind)) {
		s->counters.refused_gone++;
		return STORE_REFUSED;
	}
	if (!fits(s, old, w, e)) {
		s->counters.refused_full++;
		return STORE_REFUSED;
	}
	s->counters.took++;
	return STORE_TOOK;
}

static void apply(struct store *s, uint8_t kind, const struct store_edits *edits, uint64_t source,
		  struct mono now)
{
	struct entry *old;

	for (size_t i = 0; i < edits->removed_count; i++) {
		struct bytes key = edits->removed[i];

		old = find(s, kind, key, digest_key_hash(kind, key));
		MUST(old);
		drop(s, old);
	}
	for (size_t i = 0; i < edits->inserted_count; i++) {
		const struct entry_view *e = &edits->inserted[i];

		MUST(e->kind == kind && !store_check(s, e));
		old = find(s, kind, e->key, digest_key_hash(kind, e->key));
		replace(s, old, e, source, now);
	}
}

static enum store_result merge_by_kind(struct store *s, const struct kind *kind,
				       const struct entry_view *e, uint64_t source, struct mono now)
{
	struct store_edits edits = { .removed = NULL };
	enum store_result result = kind->merge(kind->ctx, e, &edits);

	if (result == STORE_SAME)
		s->counters.same++;
	else if (result == STORE_OLDER)
		s->counters.older++;
	else if (result == STORE_REFUSED)
		s->counters.refused_full++;
	else
		s->counters.took++;
	if (result == STORE_TOOK)
		apply(s, e->kind, &edits, source, now);
	return result;
}

enum store_result store_merge(struct store *s, const struct entry_view *e, uint64_t source,
			      struct mono now)
{
	const struct kind *kind = s->kinds[e->kind];
	struct entry *old;
	enum store_result result;

	if (kind && kind->merge)
		return merge_by_kind(s, kind, e, source, now);
	old = find(s, e->kind, e->key, digest_key_hash(e->kind, e->key));
	result = decide(s, old, e);
	if (result == STORE_TOOK)
		replace(s, old, e, source, now);
	return result;
}

void store_put(struct store *s, const struct entry_view *e, struct mono now)
{
	struct entry *old = find(s, e->kind, e->key, digest_key_hash(e->kind, e->key));

	MUST(!store_check(s, e));
	MUST(!s->kinds[e->kind] || !s->kinds[e->kind]->merge);
	MUST(!old || entry_compare(&old->view, e) < 0);
	replace(s, old, e, 0, now);
}

void store_drop(struct store *s, const struct entry *e)
{
	struct entry *mine = find(s, e->view.kind, e->view.key, e->key_hash);

	MUST(mine == e);
	drop(s, mine);
}

static struct store_writer *lowest_refused(const struct store *s)
{
	struct store_writer *lowest = NULL;

	TABLE_EACH(&s->writers, l) {
		struct store_writer *w = table_entry(l, struct store_writer, by_name);

		if (w->refused &&
		    (!lowest || w->refused_until < lowest->refused_until ||
		     (w->refused_until == lowest->refused_until && w->name < lowest->name)))
			lowest = w;
	}
	return lowest;
}

static void refuse(struct store *s, struct store_writer *w, uint64_t generation)
{
	if (!w->refused)
		s->refused_writers_count++;
	w->refused = true;
	w->refused_until = generation;
	if (s->refused_writers_count > GONE_ENTRIES_MAX) {
		w = lowest_refused(s);
		w->refused = false;
		s->refused_writers_count--;
		let_go(s, w);
	}
}

void store_refuse_until(struct store *s, peer_name writer, uint64_t generation)
{
	struct store_writer *w = get_writer(s, writer);

	MUST(!s->in_on_change);
	if (w->refused && w->refused_until >= generation)
		return;
	w->entries_count++; /* it stays while we walk its list */
	for (struct list *l = w->entries.next, *next; l != &w->entries; l = next) {
		struct entry *e = list_entry(l, struct entry, by_writer);

		next = l->next;
		if (kind_has_one_writer(e->view.kind) && e->view.generation <= generation)
			drop(s, e);
	}
	w->entries_count--;
	refuse(s, w, generation);
}

/* ---- looking in ---- */

const struct entry *store_find(const struct store *s, uint8_t kind, struct bytes key)
{
	return find(s, kind, key, digest_key_hash(kind, key));
}

const struct entry *store_find_hash(const struct store *s, uint64_t key_hash)
{
	struct table_link *l = table_first(&s->entries, local_hash(s, key_hash));

	return l ? table_entry(l, struct entry, by_key) : NULL;
}

const struct entry *store_next(const struct store *s, const struct entry *after)
{
	return next_in_order(s, after);
}

const struct entry *store_next_of(const struct store *s, peer_name writer,
				  const struct entry *after)
{
	const struct store_writer *w = after ? after->of : find_writer(s, writer);
	struct list *l;

	if (!w)
		return NULL;
	l = after ? after->by_writer.next : w->entries.next;
	return l == &w->entries ? NULL : list_entry(l, struct entry, by_writer);
}

const struct entry *store_next_in_bucket(const struct store *s, unsigned bucket,
					 const struct entry *after)
{
	const struct list *head = &s->buckets[bucket];
	struct list *l = after ? after->by_bucket.next : head->next;

	return l == head ? NULL : list_entry(l, struct entry, by_bucket);
}

uint64_t store_bucket_sequence(const struct store *s, unsigned bucket)
{
	const struct list *head = &s->buckets[bucket];

	return list_empty(head) ? 0 : list_entry(head->prev, struct entry, by_bucket)->sequence;
}

uint64_t store_sequence(const struct store *s)
{
	return s->sequence;
}

size_t store_count(const struct store *s)
{
	return s->entries.count;
}

size_t store_tombstones(const struct store *s)
{
	return s->tombstones_count;
}

const struct store_counters *store_counters(const struct store *s)
{
	return &s->counters;
}

struct hash128 store_digest(const struct store *s)
{
	return s->digest.whole;
}

struct hash128 store_bucket_digest(const struct store *s, unsigned bucket)
{
	return s->digest.buckets[bucket];
}

struct hash128 store_digest_apart(const struct store *s)
{
	return s->apart.whole;
}

struct hash128 store_bucket_digest_apart(const struct store *s, unsigned bucket)
{
	return s->apart.buckets[bucket];
}

bool store_is_apart(const struct store *s, const struct entry *e)
{
	const struct kind *kind = s->kinds[e->view.kind];

	return kind && kind->merge;
}

bool store_exchanges(const struct store *s, const struct entry *e, peer_name with)
{
	const struct kind *kind = s->kinds[e->view.kind];

	return !kind || !kind->exchanged || kind->exchanged(kind->ctx, with, &e->view);
}

enum store_apart store_compare_apart(const struct store *s, peer_name with)
{
	enum store_apart worst = STORE_APART_EQUAL, one;

	for (size_t i = 0; i < s->comparing_count; i++) {
		one = s->comparing[i]->compare(s->comparing[i]->ctx, with);
		if (one > worst)
			worst = one;
	}
	return worst;
}

struct hash128 store_bucket_digest_with(const struct store *s, unsigned bucket, peer_name with)
{
	struct hash128 sum = s->digest.buckets[bucket];
	const struct hash128 *apart = &s->apart.buckets[bucket];
	const struct entry *e = NULL;

	if (apart->high || apart->low)
		e = store_next_in_bucket(s, bucket, NULL);
	for (; e; e = store_next_in_bucket(s, bucket, e)) {
		if (is_tombstone(e) || !store_is_apart(s, e) || !store_exchanges(s, e, with))
			continue;
		sum.high ^= e->digest.high;
		sum.low ^= e->digest.low;
	}
	return sum;
}

/* ---- invariants ---- */

static void check_entry(const struct store *s, const struct entry *e)
{
	struct entry *again = new_entry(&e->view, e->source, e->received);

	MUST(again->key_hash == e->key_hash && again->version_hash == e->version_hash);
	MUST(again->digest.high == e->digest.high && again->digest.low == e->digest.low);
	MUST(entry_compare(&again->view, &e->view) == 0);
	mem_free(again);
	MUST(!store_check(s, &e->view));
	MUST(find(s, e->view.kind, e->view.key, e->key_hash) == e);
	MUST(e->of == find_writer(s, e->view.writer));
	MUST(e->sequence > 0 && e->sequence <= s->sequence);
}

static void check_order(const struct store *s)
{
	struct digest digest = { 0 }, apart = { 0 };
	size_t count = 0, tombstones = 0, gone = 0;
	uint64_t sequence = 0;

	for (const struct entry *e = store_next(s, NULL); e; e = store_next(s, e)) {
		check_entry(s, e);
		MUST(e->sequence > sequence);
		sequence = e->sequence;
		count++;
		gone += e->view.kind == KIND_GONE;
		if (is_tombstone(e))
			tombstones++;
		else if (s->kinds[e->view.kind] && s->kinds[e->view.kind]->merge)
			digest_toggle(&apart, e->key_hash, e->digest);
		else
			digest_toggle(&digest, e->key_hash, e->digest);
	}
	MUST(count == s->entries.count && tombstones == s->tombstones_count);
	MUST(gone == s->gone_count && gone <= GONE_ENTRIES_MAX);
	MUST(memcmp(&digest, &s->digest, sizeof digest) == 0);
	MUST(memcmp(&apart, &s->apart, sizeof apart) == 0);
}

static void check_buckets(const struct store *s)
{
	size_t count = 0;

	for (unsigned b = 0; b < STORE_BUCKETS; b++) {
		uint64_t sequence = 0;

		for (const struct entry *e = store_next_in_bucket(s, b, NULL); e;
		     e = store_next_in_bucket(s, b, e)) {
			MUST(digest_bucket(e->key_hash) == b && e->sequence > sequence);
			sequence = e->sequence;
			count++;
		}
	}
	MUST(count == s->entries.count);
}

static void check_writers(const struct store *s)
{
	size_t count = 0, refused = 0;

	TABLE_EACH(&s->writers, l) {
		const struct store_writer *w = table_entry(l, struct store_writer, by_name);
		size_t own = 0;

		for (const struct entry *e = store_next_of(s, w->name, NULL); e;
		     e = store_next_of(s, w->name, e)) {
			MUST(e->view.writer == w->name);
			own++;
		}
		MUST(own == w->entries_count && (own || w->refused));
		count += own;
		refused += w->refused;
	}
	MUST(count == s->entries.count);
	MUST(refused == s->refused_writers_count && refused <= GONE_ENTRIES_MAX);
}

static void check_cursors(const struct store *s)
{
	size_t pointed = 0, pointing = 0;

	for (struct list *l = s->cursors.next; l != &s->cursors; l = l->next) {
		const struct store_cursor *c = list_entry(l, struct store_cursor, link);
		struct list *before = c->next->by_order.prev;

		MUST(c->next->sequence > c->sequence);
		MUST(before == &s->order ||
		     list_entry(before, struct entry, by_order)->sequence <= c->sequence);
		pointing++;
	}
	for (struct list *l = s->cursors_waiting.next; l != &s->cursors_waiting; l = l->next) {
		const struct store_cursor *c = list_entry(l, struct store_cursor, link);

		MUST(!c->next && c->sequence == s->sequence);
	}
	for (const struct entry *e = store_next(s, NULL); e; e = store_next(s, e))
		pointed += e->cursors_count;
	MUST(pointed == pointing);
}

void store_check_all(const struct store *s)
{
	check_order(s);
	check_buckets(s);
	check_writers(s);
	check_cursors(s);
}
