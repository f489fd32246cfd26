#include "graph.h"

#include <stdio.h>

#include <weave/must.h>
#include <weave/peer.h>
#include <weave/writer.h>

static void put(struct store *s, uint8_t kind, peer_name writer, uint64_t version,
		struct writer *key, struct writer *value)
{
	struct entry_view e = { .kind = kind,
				.writer = writer,
				.generation = 1,
				.version = version,
				.key = writer_bytes(key),
				.value = writer_bytes(value) };

	MUST(!store_check(s, &e));
	MUST(store_merge(s, &e, 1, (struct mono){ 0 }) == STORE_TOOK);
}

void graph_put_peer(struct store *s, peer_name name)
{
	struct peer_info p = { .name = name, .protocol_min = 3, .protocol_max = 3, .port = 6783 };
	uint8_t k[64], v[1024];
	struct writer key = writer_over(k, sizeof k), value = writer_over(v, sizeof v);

	snprintf(p.nickname, sizeof p.nickname, "host");
	snprintf(p.software, sizeof p.software, "weave");
	peer_info_key(name, &key);
	peer_info_encode(&p, &value);
	put(s, KIND_PEER, name, 1, &key, &value);
}

void graph_put_half(struct store *s, peer_name from, peer_name to, uint64_t version,
		    bool established)
{
	struct link_info l = {
		.from = from, .to = to, .established = established, .overlay = established
	};
	uint8_t k[64], v[256];
	struct writer key = writer_over(k, sizeof k), value = writer_over(v, sizeof v);

	link_info_key(from, to, &key);
	link_info_encode(&l, &value);
	put(s, KIND_LINK, from, version, &key, &value);
}

void graph_fill(struct store *s, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		graph_put_peer(s, i + 1);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t step = 1;

		/* 1, 4, 13, ...: to the next one, and further and further away. */
		for (unsigned n = 0; n < GRAPH_LINKS && step < count / 2; n++) {
			peer_name other = (i + step) % count + 1;

			graph_put_half(s, i + 1, other, 1, true);
			graph_put_half(s, other, i + 1, 1, true);
			step = step * 3 + 1;
		}
	}
}
