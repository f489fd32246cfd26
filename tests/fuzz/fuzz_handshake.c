/* The first bytes of a stranger: to the decoder of HELLO, and to a whole engine, with and without a
 * password, that was dialled or has dialled, cut into pieces.
 */
#include <stdint.h>
#include <string.h>

#include <weave/gossip.h>
#include <weave/must.h>

#include "../../gossip/handshake_wire.h"
#include "../../gossip/session_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Unknown TLVs and their order are not kept: so the second encoding is the canonical one. */
static void as_hello(const uint8_t *data, size_t size, bool sealed)
{
	uint8_t one[HELLO_WIRE_MAX], other[HELLO_WIRE_MAX];
	struct writer w = writer_over(one, sizeof one), again = writer_over(other, sizeof other);
	struct hello h, decoded;

	if (hello_decode(&h, bytes_of(data, size), sealed))
		return;
	hello_encode(&h, &w);
	MUST(!w.full);
	MUST(!hello_decode(&decoded, writer_bytes(&w), sealed));
	hello_encode(&decoded, &again);
	MUST(bytes_equal(writer_bytes(&w), writer_bytes(&again)));
}

static void drain(struct gossip *g, struct mono now)
{
	static uint8_t buffer[4096];
	struct gossip_action a;

	while (gossip_next_action(g, &a))
		if (a.type == GOSSIP_WRITE || a.type == GOSSIP_CLOSE)
			while (gossip_pull(g, a.conn, buffer, sizeof buffer, now))
				;
}

static void entropy(void *ctx, void *out, size_t size)
{
	(void)ctx;
	memset(out, 5, size);
}

static conn_id connect_to(struct gossip *g, struct mono now)
{
	const char *text = "10.0.0.9";
	struct netaddr local = { { 4, { 10, 0, 0, 1 } }, 4000 },
		       remote = { { 4, { 10, 0, 0, 9 } }, 6783 };
	struct gossip_action a;
	struct why why;

	MUST(gossip_connect(g, &text, 1, false, now, &why));
	gossip_tick(g, now);
	while (gossip_next_action(g, &a)) {
		if (a.type == GOSSIP_DIAL) {
			gossip_on_connected(g, a.conn, local, remote, now);
			return a.conn;
		}
	}
	NOT_REACHED("a target that is not dialled");
}

static void as_stream(const uint8_t *data, size_t size, bool password, bool dialled)
{
	static const struct passwords passwords = {
		2, { { 1, 3, { 'o', 'n', 'e' } }, { 2, 3, { 't', 'w', 'o' } } }
	};
	struct gossip_config config = { .name = 1,
					.nickname = "fuzzed",
					.port = 6783,
					.generation = 5,
					.discovery = true,
					.protocol_min = 3,
					.protocol_max = 3,
					.entropy = entropy,
					.passwords = password ? &passwords : NULL };
	struct mono now = { 1000 };
	struct gossip *g = gossip_new(&config, now, NULL);
	size_t piece = size ? 1 + data[size - 1] : 1;
	struct why why;
	conn_id conn = dialled ? connect_to(g, now)
			       : gossip_on_accepted(g, (struct netaddr){ 0 }, now, &why);

	for (size_t i = 0; i < size; i += piece) {
		now.ms += 10;
		gossip_on_received(g, conn, bytes_of(data + i, size - i < piece ? size - i : piece),
				   now);
		drain(g, now);
	}
	gossip_tick(g, mono_after(now, 20000));
	drain(g, mono_after(now, 20000));
	gossip_check(g);
	gossip_free(g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	as_hello(data, size, false);
	as_hello(data, size, true);
	as_stream(data, size, false, false);
	as_stream(data, size, true, false);
	as_stream(data, size, true, true);
	return 0;
}
