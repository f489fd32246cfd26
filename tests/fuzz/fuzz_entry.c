/* One entry: what decodes encodes to the same bytes, and the kinds' own checks survive it. */
#include <stdint.h>
#include <string.h>

#include <weave/must.h>
#include <weave/store.h>
#include <weave/topology.h>

#include "../../gossip/entry_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same_bytes(const struct entry_view *e, const uint8_t *data, size_t size)
{
	static uint8_t room[8192];
	struct writer w = writer_over(room, sizeof room);

	entry_encode(e, &w);
	MUST(!w.full && writer_size(&w) == size && entry_wire_size(e) == size);
	MUST(memcmp(room, data, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_over(data, size);
	struct mono now = { 1 };
	struct store *s = store_new(1);
	struct topology *t = topology_new(s, 1);
	struct entry_view e;

	while (reader_left(&r)) {
		const uint8_t *start = r.at;

		if (entry_decode(&e, &r))
			break;
		same_bytes(&e, start, (size_t)(r.at - start));
		if (!store_check(s, &e)) {
			store_merge(s, &e, 1, now);
			MUST(store_merge(s, &e, 1, now) != STORE_TOOK);
		}
	}
	topology_update(t);
	topology_check(t);
	store_check_all(s);
	topology_free(t);
	store_free(s);
	return 0;
}
