/* Messages and durable rows of IPAM: what decodes encodes to the same bytes; a whole allocator
 * survives any sequence of them, and its invariants hold. */
#include <stdint.h>
#include <string.h>

#include "../../ipam/allocator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_message(const uint8_t *data, size_t size)
{
	static uint8_t room[UNICAST_PAYLOAD_MAX];
	struct writer w = writer_over(room, sizeof room);
	struct ipam_message m;
	struct rings rings;

	if (!ipam_message_decode(&m, bytes_of(data, size))) {
		ipam_message_encode(&m, &w);
		MUST(writer_size(&w) == size && memcmp(room, data, size) == 0);
	}
	ipam_message_fini(&m);
	w = writer_over(room, sizeof room);
	if (!rings_decode(&rings, bytes_of(data, size))) {
		rings_encode(&rings, &w);
		MUST(writer_size(&w) == size && memcmp(room, data, size) == 0);
	}
	MUST(ipam_decline(bytes_of(data, size), room, 128) <= 128);
}

static struct ipam *make(void)
{
	struct ipam_config config = { .self = 0x0a, .store_id = 1, .electors = 1 };
	struct cidr c = { { 4, { 10, 32 } }, 24 };
	struct why why;

	MUST(universe_init(&config.universe, c, &why));
	return ipam_new(&config, NULL);
}

static void drain(struct ipam *i, struct store *s, struct mono now)
{
	struct ipam_action a;
	uint64_t ticket = 0;

	for (unsigned n = 0; n < 100000 && ipam_next_action(i, &a); n++) {
		if (a.type == IPAM_SAVE)
			ticket = a.ticket;
		if (a.type == IPAM_MERGE && !store_check(s, &a.entry))
			store_merge(s, &a.entry, 0, now);
		if (a.type == IPAM_RENEW)
			ipam_on_new_store(i, 2, now);
	}
	ipam_on_saved(i, ticket, now);
}

/* Input: pieces of u8 what, u16 size and that many bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_over(data, size);
	struct ipam *i = make();
	struct store *s = store_new(1);
	struct mono now = { 1000 };
	bool started = false;

	ipam_register(s, &i, 1);
	while (reader_left(&r)) {
		uint8_t what = read_u8(&r, "what");
		struct bytes piece = read_block16(&r, 4096, "piece");

		if (r.bad)
			break;
		if (what >= 128 && !started && piece.size >= 8) {
			struct reader row = reader_over(piece.data, piece.size);
			uint64_t key = read_u64(&row, "key");

			if (ipam_load(i, (enum ipam_table)(what % 10), key,
				      bytes_of(row.at, reader_left(&row))))
				break; /* a damaged disk is not used any further */
			continue;
		}
		if (!started) {
			ipam_start(i, now);
			ipam_on_peer(i, 0x0b, 1, true, now);
			started = true;
		}
		check_message(piece.data, piece.size);
		if (what & 1)
			ipam_on_message(i, 0x0b, piece, now);
		else
			ipam_on_rings(&i, 1, 0x0b, piece, now);
		now.ms += what;
		ipam_tick(i, now);
		drain(i, s, now);
		ipam_check(i);
	}
	store_check_all(s);
	store_free(s);
	ipam_free(i);
	return 0;
}
