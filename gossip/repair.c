#include "repair.h"

#include <stdlib.h>

#include <weave/alloc.h>
#include <weave/must.h>

static void list_push(struct hash_list *l, uint64_t hash)
{
	if (l->count - l->at >= REPAIR_LIST_MAX)
		return;
	if (l->count == l->room && l->at > l->count / 2) {
		l->count -= l->at;
		memmove(l->items, l->items + l->at, l->count * sizeof *l->items);
		l->at = 0;
	} else if (l->count == l->room) {
		l->room = l->room ? l->room * 2 : 16;
		l->items = mem_resize(l->items, l->room, sizeof *l->items);
	}
	l->items[l->count++] = hash;
}

static bool list_is_empty(const struct hash_list *l)
{
	return l->at == l->count;
}

static void list_clear(struct hash_list *l)
{
	mem_free(l->items);
	*l = (struct hash_list){ 0 };
}

void repair_fini(struct repair *r)
{
	list_clear(&r->fetch);
	list_clear(&r->give);
}

/* ---- the asker's rounds ---- */

void repair_equal(struct repair *r)
{
	r->differ = false;
	r->delay_ms = 0;
	r->started = false;
	if (r->state == REPAIR_WANTED)
		r->state = REPAIR_IDLE;
}

static void back_off(struct repair *r, struct mono now)
{
	r->delay_ms = r->delay_ms == 0			       ? REPAIR_DELAY_MIN_MS
		      : r->delay_ms >= REPAIR_DELAY_MAX_MS / 2 ? REPAIR_DELAY_MAX_MS
							       : r->delay_ms * 2;
	r->not_before = mono_after(now, r->delay_ms);
}

void repair_want(struct repair *r, struct hash128 theirs, uint64_t skip_above, struct mono now)
{
	bool same = theirs.high == r->theirs.high && theirs.low == r->theirs.low;

	r->differ = true;
	if (r->state != REPAIR_IDLE)
		return;
	if (r->started && r->took == 0 && same)
		back_off(r, now);
	else
		r->delay_ms = 0;
	if (r->delay_ms == 0)
		r->not_before = now;
	r->started = false;
	r->skip_above = skip_above;
	r->state = REPAIR_WANTED;
}

bool repair_ready(const struct repair *r, struct mono now)
{
	return r->state == REPAIR_WANTED && mono_reached(now, r->not_before);
}

void repair_start(struct repair *r, struct hash128 theirs, bool apart, struct mono now)
{
	MUST(r->state == REPAIR_WANTED);
	r->state = REPAIR_ASKING;
	r->started = true;
	r->took = 0;
	r->theirs = theirs;
	r->apart = apart;
	r->digests_due = true;
	r->deadline = mono_after(now, REPAIR_TIMEOUT_MS);
	list_clear(&r->fetch);
}

static void finish(struct repair *r)
{
	r->state = REPAIR_IDLE;
	r->digests_due = r->resend_due = false;
	r->deadline = (struct mono){ 0 };
	list_clear(&r->fetch);
}

bool repair_over(struct repair *r, struct mono now)
{
	if (r->state == REPAIR_ASKING || r->state == REPAIR_FETCHING) {
		if (!mono_reached(now, r->deadline))
			return false;
		finish(r);
	}
	return true;
}

void repair_give(struct repair *r, uint64_t key_hash)
{
	list_push(&r->give, key_hash);
}

static bool counts(const struct repair *r, const struct store *s, const struct entry *e, bool apart)
{
	if (e->view.flags & ENTRY_TOMBSTONE)
		return false;
	return !store_is_apart(s, e) || (apart && store_exchanges(s, e, r->with));
}

static struct hash128 bucket_digest(const struct repair *r, const struct store *s, unsigned bucket,
				    bool apart)
{
	return apart ? store_bucket_digest_with(s, bucket, r->with)
		     : store_bucket_digest(s, bucket);
}

static bool is_listed(const struct keys *k, uint64_t hash)
{
	uint32_t low = 0, high = k->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		uint64_t key = keys_item(k, middle).key;

		if (key == hash)
			return true;
		if (key < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

static void compare_range(struct repair *r, const struct store *s, const struct keys *k)
{
	unsigned bucket = (unsigned)(k->low >> 56);

	for (uint32_t i = 0; i < k->count; i++) {
		struct key_version theirs = keys_item(k, i);
		const struct entry *ours = store_find_hash(s, theirs.key);

		/* Which one is newer only the merge can tell: theirs answers an older one.  But
		 * what merges by a rule of its own may have cut the newer one differently, so that
		 * no entry of this key answers. */
		if (!ours || (ours->version_hash != theirs.version && store_is_apart(s, ours)))
			list_push(&r->fetch, theirs.key);
		if (ours && ours->version_hash != theirs.version)
			list_push(&r->give, theirs.key);
	}
	for (const struct entry *e = store_next_in_bucket(s, bucket, NULL); e;
	     e = store_next_in_bucket(s, bucket, e))
		if (e->key_hash >= k->low && e->key_hash <= k->high &&
		    counts(r, s, e, k->flags & KEYS_APART) && !is_listed(k, e->key_hash))
			list_push(&r->give, e->key_hash);
}

void repair_on_keys(struct repair *r, const struct store *s, const struct keys *k, struct mono now)
{
	if (r->state != REPAIR_ASKING)
		return; /* of a round that was given up */
	r->deadline = mono_after(now, REPAIR_TIMEOUT_MS);
	if (!(k->flags & KEYS_NOTHING))
		compare_range(r, s, k);
	if (!(k->flags & KEYS_LAST))
		return;
	if (!list_is_empty(&r->give) || !list_is_empty(&r->fetch))
		r->rounds++;
	if (list_is_empty(&r->fetch)) {
		finish(r);
	} else {
		r->state = REPAIR_FETCHING;
		r->resend_due = true;
	}
}

void repair_on_entries(struct repair *r, bool sync_end, struct mono now)
{
	if (r->state != REPAIR_FETCHING)
		return;
	r->deadline = mono_after(now, REPAIR_TIMEOUT_MS);
	if (sync_end)
		finish(r);
}

/* ---- the teller ---- */

void repair_on_digests(struct repair *r, const struct store *s, const struct digests *d)
{
	bool apart = d->flags & DIGESTS_APART;

	memset(r->tell_buckets, 0, sizeof r->tell_buckets);
	for (unsigned i = 0; i < d->count; i++) {
		unsigned b = d->bucket[i];
		struct hash128 ours = bucket_digest(r, s, b, apart);

		if (ours.high != d->digest[i].high || ours.low != d->digest[i].low)
			r->tell_buckets[b / 8] |= (uint8_t)(1u << b % 8);
	}
	r->tell = true;
	r->tell_apart = apart;
	r->tell_from = 0;
}

void repair_on_resend(struct repair *r, const struct resend *m)
{
	struct reader items = m->items;

	for (uint32_t i = 0; i < m->count; i++)
		list_push(&r->give, read_u64(&items, "resend.key"));
	if (m->flags & RESEND_LAST)
		r->end_due = true;
}

static int by_key(const void *a, const void *b)
{
	const struct key_version *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

/* What we hold in 'bucket' from 'low' on, sorted; caller frees. */
static struct key_version *list_bucket(const struct repair *r, const struct store *s,
				       unsigned bucket, uint64_t low, size_t *count)
{
	const struct entry *e;
	struct key_version *items;
	size_t n = 0;

	for (e = store_next_in_bucket(s, bucket, NULL); e; e = store_next_in_bucket(s, bucket, e))
		n++;
	items = mem_new(n + 1, sizeof *items);
	*count = 0;
	for (e = store_next_in_bucket(s, bucket, NULL); e; e = store_next_in_bucket(s, bucket, e))
		if (e->key_hash >= low && counts(r, s, e, r->tell_apart))
			items[(*count)++] = (struct key_version){ e->key_hash, e->version_hash };
	if (*count > 1)
		qsort(items, *count, sizeof *items, by_key);
	return items;
}

static bool next_bucket(const struct repair *r, unsigned *bucket)
{
	for (unsigned b = (unsigned)(r->tell_from >> 56); b < STORE_BUCKETS; b++)
		if (r->tell_buckets[b / 8] & 1u << b % 8) {
			*bucket = b;
			return true;
		}
	return false;
}

static void pull_keys(struct repair *r, const struct store *s, struct writer *w)
{
	struct keys k = { 0 };
	struct key_version *items = NULL;
	size_t count = 0, mark = session_begin(w, MESSAGE_KEYS);
	unsigned bucket;

	if (!next_bucket(r, &bucket)) {
		k.flags = KEYS_LAST | KEYS_NOTHING;
		r->tell = false;
	} else {
		k.low = (uint64_t)bucket << 56;
		if (r->tell_from > k.low)
			k.low = r->tell_from;
		k.high = (uint64_t)bucket << 56 | (UINT64_MAX >> 8);
		items = list_bucket(r, s, bucket, k.low, &count);
		if (count > KEYS_PER_MESSAGE) {
			count = KEYS_PER_MESSAGE;
			k.high = items[count - 1].key;
		}
		k.count = (uint32_t)count;
		r->tell_from = k.high + 1;
		if (k.high == ((uint64_t)bucket << 56 | (UINT64_MAX >> 8)))
			r->tell_buckets[bucket / 8] &= (uint8_t) ~(1u << bucket % 8);
		if (k.high == UINT64_MAX || !next_bucket(r, &bucket)) {
			k.flags = KEYS_LAST;
			r->tell = false;
		}
	}
	if (r->tell_apart)
		k.flags |= KEYS_APART;
	keys_encode(&k, items, w);
	session_end(w, mark);
	mem_free(items);
}

static void pull_digests(struct repair *r, const struct store *s, struct writer *w)
{
	struct digests d;
	size_t mark = session_begin(w, MESSAGE_DIGESTS);

	d.flags = r->apart ? DIGESTS_APART : 0;
	d.count = 0;
	for (unsigned b = 0; b < STORE_BUCKETS; b++) {
		if (store_bucket_sequence(s, b) > r->skip_above)
			continue;
		d.bucket[d.count] = (uint8_t)b;
		d.digest[d.count] = bucket_digest(r, s, b, r->apart);
		d.count++;
	}
	digests_encode(&d, w);
	session_end(w, mark);
	r->digests_due = false;
}

static void pull_resend(struct repair *r, struct writer *w)
{
	struct resend m = { 0 };
	size_t mark = session_begin(w, MESSAGE_RESEND);
	uint32_t left = r->fetch.count - r->fetch.at;

	m.count = left < RESEND_PER_MESSAGE ? left : RESEND_PER_MESSAGE;
	if (m.count == left) {
		m.flags = RESEND_LAST;
		r->resend_due = false;
	}
	resend_encode(&m, r->fetch.items + r->fetch.at, w);
	session_end(w, mark);
	r->fetch.at += m.count;
}

bool repair_pull(struct repair *r, const struct store *s, struct writer *w)
{
	if (r->digests_due)
		pull_digests(r, s, w);
	else if (r->tell)
		pull_keys(r, s, w);
	else if (r->resend_due)
		pull_resend(r, w);
	else
		return false;
	return true;
}

bool repair_wants_entries(const struct repair *r)
{
	return r->end_due || !list_is_empty(&r->give);
}

bool repair_wants_write(const struct repair *r)
{
	return r->digests_due || r->tell || r->resend_due || repair_wants_entries(r);
}

bool repair_next_give(const struct repair *r, uint64_t *key_hash)
{
	if (list_is_empty(&r->give))
		return false;
	*key_hash = r->give.items[r->give.at];
	return true;
}

void repair_gave(struct repair *r)
{
	MUST(!list_is_empty(&r->give));
	r->give.at++;
	if (list_is_empty(&r->give))
		list_clear(&r->give);
}
