/* Messages after the handshake.  The first byte chooses: a message type, then the body, which must
 * encode to the bytes it was decoded from; or 0, then a stream of frames for a whole engine. */
#include <stdint.h>
#include <string.h>

#include <weave/gossip.h>
#include <weave/must.h>

#include "../../gossip/entry_wire.h"
#include "../../gossip/handshake_wire.h"
#include "../../gossip/message_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t room[2 * FRAME_SIZE_MAX];

static void same(struct writer *w, struct bytes body)
{
	MUST(!w->full);
	MUST(bytes_equal(writer_bytes(w), body));
}

static void fuzz_entries(struct bytes body)
{
	struct writer w = writer_over(room, sizeof room);
	struct entry_view e;
	struct pulse p;
	struct reader r;
	uint16_t count;

	if (entries_decode(&p, &count, &r, body))
		return;
	pulse_encode(&p, &w);
	write_u16(&w, count);
	for (unsigned i = 0; i < count; i++) {
		if (entry_decode(&e, &r))
			return;
		entry_encode(&e, &w);
	}
	if (!reader_verdict(&r))
		same(&w, body);
}

static void fuzz_repair(uint8_t type, struct bytes body)
{
	static struct key_version items[KEYS_PER_MESSAGE];
	static uint64_t hashes[RESEND_PER_MESSAGE];
	struct writer w = writer_over(room, sizeof room);
	struct digests digests;
	struct resend resend;
	struct keys keys;

	if (type == MESSAGE_DIGESTS && !digests_decode(&digests, body)) {
		digests_encode(&digests, &w);
		same(&w, body);
	}
	if (type == MESSAGE_KEYS && !keys_decode(&keys, body)) {
		for (uint32_t i = 0; i < keys.count; i++)
			items[i] = keys_item(&keys, i);
		keys_encode(&keys, items, &w);
		same(&w, body);
	}
	if (type == MESSAGE_RESEND && !resend_decode(&resend, body)) {
		for (uint32_t i = 0; i < resend.count; i++)
			hashes[i] = read_u64(&resend.items, "key");
		resend_encode(&resend, hashes, &w);
		same(&w, body);
	}
}

static void fuzz_close(struct bytes body)
{
	struct writer w = writer_over(room, sizeof room);
	struct name_holder holder, holder_again;
	struct why why, again;

	if (close_decode(&why, &holder, body))
		return;
	close_encode(&why, holder, &w);
	MUST(!close_decode(&again, &holder_again, writer_bytes(&w)));
	MUST(holder_again.generation == holder.generation &&
	     holder_again.instance == holder.instance);
	MUST(again.reason == why.reason && strcmp(again.text, why.text) == 0);
}

static void fuzz_body(uint8_t type, struct bytes body)
{
	struct writer w = writer_over(room, sizeof room);
	struct unicast u;
	struct pulse p;

	if (message_check(type, body.size, true))
		return;
	if (type == MESSAGE_HEARTBEAT && !heartbeat_decode(&p, body)) {
		pulse_encode(&p, &w);
		same(&w, body);
	} else if (type == MESSAGE_UNICAST && !unicast_decode(&u, body)) {
		unicast_encode(&u, &w);
		same(&w, body);
	} else if (type == MESSAGE_ENTRIES) {
		fuzz_entries(body);
	} else if (type == MESSAGE_CLOSE) {
		fuzz_close(body);
	} else {
		fuzz_repair(type, body);
	}
}

static void drain(struct gossip *g, struct mono now)
{
	static uint8_t buffer[FRAME_SIZE_MAX];
	struct gossip_action a;

	while (gossip_next_action(g, &a)) {
		if (a.type == GOSSIP_WRITE || a.type == GOSSIP_CLOSE)
			while (gossip_pull(g, a.conn, buffer, sizeof buffer, now))
				;
		if (a.type == GOSSIP_PERSIST)
			gossip_on_persisted(g, a.ticket, now);
		if (a.type == GOSSIP_DIAL)
			gossip_on_dial_failed(g, a.conn, "fuzzing", now);
	}
}

static size_t write_opening(void)
{
	struct hello h = { .name = 2, .nickname = "fuzzer", .generation = 5, .port = 6783 };
	struct writer w = writer_over(room, sizeof room);
	size_t mark;

	preamble_encode(3, 3, &w);
	mark = session_begin(&w, MESSAGE_HELLO);
	hello_encode(&h, &w);
	session_end(&w, mark);
	return writer_size(&w);
}

/* A neighbour that got in and now says anything. */
static void as_stream(struct bytes frames)
{
	struct gossip_config config = { .name = 1,
					.nickname = "fuzzed",
					.port = 6783,
					.generation = 5,
					.instance = 1,
					.discovery = true,
					.protocol_min = 3,
					.protocol_max = 3 };
	struct mono now = { 1000 };
	struct gossip *g = gossip_new(&config, now, NULL);
	struct why why;
	conn_id conn = gossip_on_accepted(g, (struct netaddr){ 0 }, now, &why);

	gossip_on_received(g, conn, bytes_of(room, write_opening()), now);
	drain(g, now);
	for (size_t i = 0; i < frames.size; i += 512) {
		now.ms += 100;
		gossip_on_received(
			g, conn,
			bytes_of(frames.data + i, frames.size - i < 512 ? frames.size - i : 512),
			now);
		drain(g, now);
		gossip_tick(g, now);
		drain(g, now);
	}
	gossip_check(g);
	for (int i = 0; i < 10; i++) {
		now.ms += 5000;
		gossip_tick(g, now);
		drain(g, now);
	}
	gossip_check(g);
	gossip_free(g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] == 0)
		as_stream(bytes_of(data + 1, size - 1));
	else
		fuzz_body(data[0], bytes_of(data + 1, size - 1));
	return 0;
}
