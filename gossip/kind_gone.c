/* Kind gone.  Key: peer u48.  Value: generation u64, the same as the entry's own; version 0. */
#include "kinds.h"

#include <weave/must.h>

void gone_info_key(peer_name peer, struct writer *key)
{
	write_uint(key, peer, 6);
	MUST(!key->full);
}

void gone_info_encode(const struct gone_info *g, struct writer *w)
{
	write_u64(w, g->generation);
	MUST(!w->full);
}

const char *gone_info_decode(struct gone_info *g, const struct entry_view *e)
{
	struct reader key = reader_over(e->key.data, e->key.size);
	struct reader r = reader_over(e->value.data, e->value.size);

	*g = (struct gone_info){ 0 };
	g->peer = kind_read_name(&key, "gone.peer");
	if (reader_verdict(&key))
		return "gone.peer";
	if (e->flags & ENTRY_TOMBSTONE)
		return "gone.flags";
	g->generation = read_u64(&r, "gone.generation");
	/* Merged by its header: were that another number, a notice that reaches less far could
	 * win on one peer and lose its effect on another that has seen only the winner. */
	if (g->generation != e->generation || e->version != 0)
		reader_fail(&r, "gone.generation");
	return r.bad;
}

static const char *check(const struct entry_view *e)
{
	struct gone_info g;

	return gone_info_decode(&g, e);
}

const struct kind kind_gone = { .number = KIND_GONE, .name = "gone", .check = check };
