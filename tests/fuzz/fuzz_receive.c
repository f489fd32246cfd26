/* Datagrams into a whole router, on a path that is sealed or in clear: garbage, garbage behind a
 * right header, what the other end really seals (with any text), that again, that with a byte
 * changed.  What does not authenticate is counted and changes nothing; nothing else may break.
 *
 *	input:  flags u8 (1 sealed, 2 AES), then steps: kind u8, size u8, bytes
 */
#include <sodium.h>
#include <stdint.h>
#include <string.h>

#include <weave/must.h>
#include <weave/router.h>

#include "../../router/router_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CONN 7u

struct fixture {
	struct gossip *gossip;
	struct router *router;
	struct sleeve_path *path;
	struct sleeve_keys peer; /* the other end's */
	uint64_t sent;
	struct mono now;
	uint8_t last[SLEEVE_DATAGRAM_SIZE_MAX]; /* that the other end sent */
	size_t last_size;
};

static const struct netaddr from = { { 4, { 10, 0, 0, 2 } }, 6783 };

static void set_up(struct fixture *f, uint8_t flags)
{
	static const struct gossip_config gossip = { .name = 1,
						     .nickname = "fuzz",
						     .port = 6783,
						     .overlays = OVERLAY_SLEEVE,
						     .instance = 1,
						     .store_id = 1,
						     .generation = 1,
						     .seed = 1,
						     .protocol_min = 3,
						     .protocol_max = 3 };
	const uint8_t ciphers = flags & 2 ? 3 : 2;
	const struct router_config router = { .self = 1,
					      .seed = 1,
					      .port = 6783,
					      .mtu = 1376,
					      .datagram_max = 1472,
					      .ciphers = ciphers,
					      .epoch_packets = 4 };
	const struct path_secret secret = { .sealed = flags & 1, .secret = { 1 } };
	const struct sleeve_setup theirs = { OVERLAY_SLEEVE | SLEEVE_TAKES_PARTIAL, 6783, 1, 1,
					     ciphers };
	uint8_t a[SLEEVE_SETUP_SIZE], b[SLEEVE_SETUP_SIZE];
	struct writer dialled = writer_over(a, sizeof a), answered = writer_over(b, sizeof b);
	struct keys_config keys = { .secret = secret.secret,
				    .initiator = true,
				    .cipher = aead_choose(ciphers, ciphers),
				    .limits = { UINT64_MAX, 3 } };

	MUST(sodium_init() >= 0);
	f->gossip = gossip_new(&gossip, f->now, NULL);
	f->router = router_new(&router, f->gossip, f->now, NULL);
	router_on_up(f->router, CONN, 2, from, &secret, f->now);
	f->path = f->router->paths[0];
	sleeve_setup_write(&theirs, &dialled);
	sleeve_setup_write(&f->path->mine, &answered);
	keys.dialled = writer_bytes(&dialled);
	keys.answered = writer_bytes(&answered);
	if (secret.sealed)
		MUST(keys_init(&f->peer, &keys, f->now));
	router_on_overlay(f->router, CONN, keys.dialled, f->now);
	outbox_clear(router_outbox(f->router));
}

static void tear_down(struct fixture *f)
{
	router_check(f->router);
	router_free(f->router);
	gossip_free(f->gossip);
	keys_fini(&f->peer);
}

static uint64_t all_drops(const struct router *r)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < DROP_REASONS_COUNT; i++)
		sum += router_drops(r)->count[i];
	return sum;
}

/* All that a datagram from a stranger might touch. */
struct seen {
	struct sleeve_session session;
	struct netaddr address;
	uint64_t epoch;
	bool heard;
	struct mono heard_at;
};

static struct seen look(const struct fixture *f)
{
	return (struct seen){ .session = f->path->session,
			      .address = f->path->address,
			      .epoch = f->path->keys.in.epoch,
			      .heard = f->path->heard,
			      .heard_at = f->path->heard_at };
}

/* Member by member: padding may hold anything. */
static bool same(const struct seen *a, const struct seen *b)
{
	return memcmp(&a->session, &b->session, sizeof a->session) == 0 &&
	       netaddr_compare(a->address, b->address) == 0 && a->epoch == b->epoch &&
	       a->heard == b->heard && a->heard_at.ms == b->heard_at.ms;
}

static void receive(struct fixture *f, uint8_t *datagram, size_t size)
{
	router_on_datagram(f->router, from, datagram, size, f->now);
	outbox_clear(router_outbox(f->router));
}

static void receive_stranger(struct fixture *f, uint8_t *datagram, size_t size)
{
	struct seen before = look(f), after;
	uint64_t drops = all_drops(f->router);

	receive(f, datagram, size);
	after = look(f);
	/* In clear, whoever knows the index may be believed. */
	if (!path_is_sealed(f->path))
		return;
	MUST(all_drops(f->router) == drops + 1);
	MUST(same(&before, &after));
}

/* Header of the next datagram; the other end's keys turn every few. */
static size_t header(struct fixture *f, uint8_t *datagram)
{
	struct sleeve_header h = { .type = SLEEVE_CLEAR,
				   .index = f->path->mine.index,
				   .counter = ++f->sent };
	struct writer w = writer_over(datagram, SLEEVE_HEADER_SIZE);

	if (path_is_sealed(f->path)) {
		h.type = SLEEVE_SEALED;
		keys_confirm(&f->peer, f->peer.out.epoch);
		h.epoch = (uint8_t)keys_epoch(&f->peer, h.counter, f->now);
	}
	sleeve_header_write(&h, &w);
	return SLEEVE_HEADER_SIZE;
}

static void step(struct fixture *f, uint8_t kind, const uint8_t *bytes, size_t size)
{
	static uint8_t datagram[SLEEVE_HEADER_SIZE + 256 + AEAD_TAG_SIZE];
	size_t at = 0;

	switch (kind % 6) {
	case 0: /* anything */
		memcpy(datagram, bytes, size);
		receive_stranger(f, datagram, size);
		return;
	case 1: /* anything behind a right header; its counter is then another's to use */
		at = header(f, datagram);
		f->sent--;
		memcpy(datagram + at, bytes, size);
		receive_stranger(f, datagram, at + size);
		return;
	case 2: /* the other end says anything */
		at = header(f, datagram);
		memcpy(datagram + at, bytes, size);
		f->last_size = at + size + f->path->seal_size;
		if (path_is_sealed(f->path))
			keys_seal(&f->peer, f->sent, datagram, at, f->last_size);
		memcpy(f->last, datagram, f->last_size);
		receive(f, datagram, f->last_size);
		return;
	case 3: /* the last one with a byte changed, or cut */
		if (!f->last_size || !size)
			return;
		memcpy(datagram, f->last, f->last_size);
		if (size > 1)
			datagram[bytes[0] % f->last_size] ^= bytes[1] ? bytes[1] : 1;
		receive_stranger(f, datagram, size > 1 ? f->last_size : bytes[0] % f->last_size);
		return;
	case 4: /* the last one again: it was seen, or it did not parse the first time either */
		memcpy(datagram, f->last, f->last_size);
		receive_stranger(f, datagram, f->last_size);
		return;
	case 5:
		f->now.ms += size ? bytes[0] * 40u : 1;
		router_tick(f->router, f->now);
		outbox_clear(router_outbox(f->router));
		return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fixture f;
	struct reader r = reader_over(data, size);

	memset(&f, 0, sizeof f);
	f.now.ms = 1000;
	set_up(&f, read_u8(&r, "flags"));
	while (reader_left(&r) >= 2) {
		uint8_t kind = read_u8(&r, "kind");
		size_t step_size = read_u8(&r, "size");

		if (step_size > reader_left(&r))
			step_size = reader_left(&r);
		step(&f, kind, read_bytes(&r, step_size, "bytes"), step_size);
	}
	tear_down(&f);
	return 0;
}
