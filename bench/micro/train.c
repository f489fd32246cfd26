/* Frames of 64 KB whose segmentation is left undone: cut into what a wire carries, and joined from
 * the pieces in which a train of datagrams brings them. */
#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "../../router/train.h"
#include "micro.h"

#define HEADERS 66u /* Ethernet, IPv4, TCP with time stamps */
#define SEGMENT 1382u
#define SEGMENTS 47u
#define FRAME_SIZE (HEADERS + SEGMENTS * SEGMENT)
#define PIECE 1443u /* what a datagram of 1 472 bytes takes of a frame */

struct wagon {
	struct train train;
	struct offload undone;
	uint32_t id;
	size_t body_size;
	uint8_t body[SLEEVE_BODY_MAX]; /* the record's: its header, then the frame */
	uint8_t *frame;
	uint8_t out[HEADERS + SEGMENT];
};

static void build_frame(uint8_t *frame)
{
	/* IPv4 and TCP from 10.0.0.1 to 10.0.0.2; lengths and sums are the cutter's. */
	static const uint8_t headers[HEADERS] = {
		2,    0,    0,	  0,	0, 2, 2,    0, 0,  0, 0, 1, 8,	  0, /* Ethernet */
		0x45, 0,    0,	  0,	0, 1, 0x40, 0, 64, 6, 0, 0, 10,	  0,	0, 1, 10,
		0,    0,    2, /* IPv4 */
		0x9c, 0x40, 0x14, 0x51, 0, 0, 0,    1, 0,  0, 0, 1, 0x80, 0x10, 1, 0, 0,
		0,    0,    0,	  1,	1, 8, 10,   0, 0,  0, 1, 0, 0,	  0,	1, /* time stamps */
	};
	uint32_t sum = 0;
	uint16_t size = FRAME_SIZE - 14;

	memcpy(frame, headers, HEADERS);
	frame[16] = (uint8_t)(size >> 8);
	frame[17] = (uint8_t)size;
	for (size_t i = 14; i < 34; i += 2)
		sum += (uint32_t)(frame[i] << 8 | frame[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	frame[24] = (uint8_t)(~sum >> 8);
	frame[25] = (uint8_t)~sum;
	for (size_t i = HEADERS; i < FRAME_SIZE; i++)
		frame[i] = (uint8_t)(i * 7);
}

static void *setup(const struct micro *m)
{
	struct wagon *w = mem_new(1, sizeof *w);
	struct writer head = writer_over(w->body, sizeof w->body);
	struct sleeve_frame f = { .origin = 1, .destination = 2, .hop_limit = 8 };

	(void)m;
	w->undone = (struct offload){ true, SEGMENT };
	f.offload = w->undone;
	w->frame = w->body + SLEEVE_PARTIAL_HEADER_SIZE - 1;
	build_frame(w->frame);
	f.frame = bytes_of(w->frame, FRAME_SIZE);
	sleeve_frame_header_write(&f, &head);
	w->body_size = SLEEVE_PARTIAL_HEADER_SIZE - 1 + FRAME_SIZE;
	return w;
}

static void end(void *ctx)
{
	struct wagon *w = ctx;

	train_fini(&w->train);
	mem_free(w);
}

static void cut(void *ctx, uint64_t count)
{
	struct wagon *w = ctx;

	while (count--) {
		struct offload_layout l;

		MUST(offload_layout(&l, bytes_of(w->frame, FRAME_SIZE), w->undone));
		MUST(l.count == SEGMENTS);
		for (uint32_t i = 0; i < l.count; i++)
			offload_finished(&l, w->frame, i, w->out);
		micro_use(w->out[HEADERS]);
	}
}

static void join(void *ctx, uint64_t count)
{
	struct wagon *w = ctx;

	while (count--) {
		struct bytes whole = { 0 };

		w->id++;
		for (size_t at = 0; at < w->body_size; at += PIECE) {
			size_t left = w->body_size - at;
			struct sleeve_fragment f = {
				.id = w->id,
				.offset = (uint32_t)at,
				.total = (uint32_t)w->body_size,
				.piece = bytes_of(w->body + at, left < PIECE ? left : PIECE)
			};

			whole = train_add(&w->train, &f, (struct mono){ w->id });
		}
		MUST(whole.size == w->body_size);
		train_take_back(&w->train);
	}
}

const struct micro micro_train[] = {
	{ "train/cut, 64 KB into 47 segments", setup, cut, end, 320, FRAME_SIZE, NULL },
	{ "train/join, 64 KB from 46 pieces", setup, join, end, 320, FRAME_SIZE, NULL },
	{ 0 },
};
