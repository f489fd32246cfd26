/* Bytes to structs and back: what travels most. */
#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "../../gossip/entry_wire.h"
#include "../../gossip/message_wire.h"
#include "../../router/kind_endpoint.h"
#include "../../router/sleeve_wire.h"
#include "micro.h"

#define ENTRIES 64u

struct codec {
	struct endpoint_entry endpoint;
	struct entry_view entry;
	struct pulse pulse;
	struct sleeve_frame frame;
	uint8_t key[ENDPOINT_KEY_SIZE], value[ENDPOINT_VALUE_MAX], bytes[65536], payload[2048];
	struct bytes message;
};

/* An ENTRIES message of endpoints. */
static void entries_write(struct codec *c)
{
	struct writer w = writer_over(c->bytes, sizeof c->bytes);

	pulse_encode(&c->pulse, &w);
	write_u16(&w, ENTRIES);
	for (unsigned n = 0; n < ENTRIES; n++)
		entry_encode(&c->entry, &w);
	c->message = writer_bytes(&w);
}

/* As many frames as fit a datagram of 1 472 bytes. */
static void datagram_write(struct codec *c)
{
	struct writer w = writer_over(c->bytes, 1472);

	sleeve_header_write(&(struct sleeve_header){ SLEEVE_CLEAR, 0, 7, 9 }, &w);
	sleeve_frame_write(&c->frame, &w);
	c->message = writer_bytes(&w);
}

static void *setup(const struct micro *m)
{
	struct codec *c = mem_new(1, sizeof *c);
	struct writer key = writer_over(c->key, sizeof c->key);
	struct writer value = writer_over(c->value, sizeof c->value);

	c->endpoint = (struct endpoint_entry){
		.mac = { { 2, 0, 0, 0, 0, 1 } }, .peer = 5, .claim = 1, .ips_count = 1
	};
	c->endpoint.ips[0] = (struct ip_addr){ 4, { 10, 32, 0, 1 } };
	endpoint_entry_key(&c->endpoint, &key);
	endpoint_entry_value(&c->endpoint, &value);
	c->entry = (struct entry_view){ .kind = KIND_ENDPOINT,
					.writer = 5,
					.generation = 1,
					.version = 1,
					.key = writer_bytes(&key),
					.value = writer_bytes(&value) };
	c->frame = (struct sleeve_frame){
		.origin = 1, .destination = 2, .hop_limit = 8, .frame = bytes_of(c->payload, 1400)
	};
	if (strcmp(m->with, "entries") == 0)
		entries_write(c);
	else
		datagram_write(c);
	return c;
}

static void entries_out(void *ctx, uint64_t count)
{
	struct codec *c = ctx;

	while (count--)
		entries_write(c);
	micro_use(c->message.size);
}

static void entries_in(void *ctx, uint64_t count)
{
	struct codec *c = ctx;
	struct reader entries;
	struct entry_view e;
	struct pulse pulse;
	uint16_t n;

	while (count--) {
		MUST(!entries_decode(&pulse, &n, &entries, c->message));
		for (; n; n--)
			MUST(!entry_decode(&e, &entries));
		micro_use(e.version);
	}
}

static void endpoint_in(void *ctx, uint64_t count)
{
	struct codec *c = ctx;
	struct endpoint_entry e;

	while (count--)
		MUST(!endpoint_entry_decode(&e, &c->entry));
	micro_use(e.claim);
}

static void datagram_out(void *ctx, uint64_t count)
{
	struct codec *c = ctx;

	while (count--)
		datagram_write(c);
	micro_use(c->message.size);
}

static void datagram_in(void *ctx, uint64_t count)
{
	struct codec *c = ctx;
	struct sleeve_record record;
	struct sleeve_header head;

	while (count--) {
		struct reader r = reader_over(c->message.data, c->message.size);

		MUST(!sleeve_header_read(&head, &r));
		MUST(!sleeve_records_check(r));
		while (reader_left(&r))
			MUST(!sleeve_record_read(&record, &r));
		micro_use(record.frame.origin);
	}
}

const struct micro micro_codec[] = {
	{ "codec/entries-of-64, encode", setup, entries_out, mem_free, 4000, 0, "entries" },
	{ "codec/entries-of-64, decode", setup, entries_in, mem_free, 4000, 0, "entries" },
	{ "codec/endpoint, decode", setup, endpoint_in, mem_free, 400000, 0, "entries" },
	{ "codec/datagram of 1400 bytes, encode", setup, datagram_out, mem_free, 100000, 0,
	  "datagram" },
	{ "codec/datagram of 1400 bytes, decode", setup, datagram_in, mem_free, 100000, 0,
	  "datagram" },
	{ 0 },
};
