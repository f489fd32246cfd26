/* Endpoint entries of other peers: what decodes encodes to the same bytes, and a view fed with them
 * keeps its invariants.  Input: blocks of { operation u8, writer u8, value size u8, key 15, value
 * }.
 */
#include <stdint.h>
#include <string.h>

#include <weave/must.h>
#include <weave/reader.h>

#include "../../router/endpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
	struct store *store;
	struct topology *topology;
	struct networks *networks;
	struct endpoints *endpoints;
	uint64_t ms, version;
};

static void same_bytes(const struct endpoint_entry *e, const struct entry_view *view)
{
	uint8_t k[ENDPOINT_KEY_SIZE], v[ENDPOINT_VALUE_MAX];
	struct writer key = writer_over(k, sizeof k), value = writer_over(v, sizeof v);

	endpoint_entry_key(e, &key);
	MUST(bytes_equal(writer_bytes(&key), view->key));
	if (view->flags & ENTRY_TOMBSTONE)
		return;
	endpoint_entry_value(e, &value);
	MUST(bytes_equal(writer_bytes(&value), view->value));
}

static void merge(struct world *w, uint8_t writer, struct bytes key, struct bytes value)
{
	struct entry_view e = {
		.kind = KIND_ENDPOINT,
		.flags = value.size ? 0 : ENTRY_TOMBSTONE,
		.writer = writer % 4 + 1,
		.generation = 1,
		.version = ++w->version,
		.key = key,
		.value = value,
	};
	struct endpoint_entry entry;

	if (store_check(w->store, &e))
		return;
	MUST(!endpoint_entry_decode(&entry, &e));
	same_bytes(&entry, &e);
	store_merge(w->store, &e, 1, (struct mono){ w->ms });
}

static void operate(struct world *w, uint8_t operation, uint8_t writer, struct bytes key)
{
	struct bytes k, v;
	struct mac mac;

	memcpy(mac.b, key.data + 3, 6);
	mac.b[0] &= 0xfe;
	switch (operation & 7) {
	case 1:
		endpoints_learn_local(w->endpoints, 0, mac);
		break;
	case 2:
		endpoints_attach(w->endpoints, 0, mac, NULL, 0);
		break;
	case 3:
		endpoints_detach(w->endpoints, 0, mac);
		break;
	case 4:
		endpoints_learn_seen(w->endpoints, 0, mac, writer % 4 + 3);
		break;
	case 5:
		topology_direct(w->topology, writer % 4 + 3, operation & 8);
		topology_update(w->topology);
		break;
	case 6:
		while (endpoints_next_publish(w->endpoints, &k, &v))
			MUST(k.size == ENDPOINT_KEY_SIZE);
		break;
	default:
		w->ms += (uint64_t)operation * 200;
		endpoints_now(w->endpoints, (struct mono){ w->ms });
		endpoints_tick(w->endpoints);
	}
	endpoints_find(w->endpoints, 0, mac);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_over(data, size);
	struct world w = { .store = store_new(1) };

	w.topology = topology_new(w.store, 2);
	w.networks = networks_new(2, w.store, w.topology, 1);
	w.endpoints = endpoints_new(2, w.store, w.topology, w.networks, 1);
	while (reader_left(&r)) {
		uint8_t operation = read_u8(&r, "operation"), writer = read_u8(&r, "writer");
		size_t value_size = read_u8(&r, "size");
		struct bytes key = { read_bytes(&r, ENDPOINT_KEY_SIZE, "key"), ENDPOINT_KEY_SIZE };
		struct bytes value = { read_bytes(&r, value_size, "value"), value_size };

		if (r.bad)
			break;
		if (operation & 7)
			operate(&w, operation, writer, key);
		else
			merge(&w, writer, key, value);
	}
	endpoints_check(w.endpoints);
	endpoints_free(w.endpoints);
	networks_free(w.networks);
	topology_free(w.topology);
	store_free(w.store);
	return 0;
}
