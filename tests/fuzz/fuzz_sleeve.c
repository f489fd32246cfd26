/* A datagram of the sleeve: what decodes encodes to the same bytes (padding of probes as zeroes),
 * and its fragments and pieces are
 * joined. */
#include <stdint.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "../../router/fragment.h"
#include "../../router/train.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(const struct sleeve_record *r, struct writer *w, size_t end)
{
	struct writer padded = *w;

	switch (r->type) {
	case SLEEVE_FRAME:
	case SLEEVE_PARTIAL:
		sleeve_frame_write(&r->frame, w);
		return;
	case SLEEVE_FRAGMENT:
	case SLEEVE_PIECE:
		sleeve_fragment_write(&r->fragment, r->type, w);
		return;
	case SLEEVE_HEARTBEAT:
		sleeve_heartbeat_write(&r->heartbeat, w);
		return;
	case SLEEVE_PROBE:
		padded.end = w->start + end;
		sleeve_probe_write(&r->probe, &padded);
		w->at = padded.at;
		return;
	case SLEEVE_PADDING:
		padded.end = w->start + end;
		sleeve_padding_write(&padded);
		w->at = padded.at;
		return;
	case SLEEVE_PROBE_ACK:
		sleeve_probe_ack_write(&r->probe_ack, w);
		return;
	}
	NOT_REACHED("record type");
}

static void join(struct reassembly *all, const struct sleeve_fragment *f, uint64_t ms)
{
	struct bytes body = reassembly_add(all, f, (struct mono){ ms });
	struct reader r = reader_over(body.data, body.size);
	struct sleeve_frame frame;

	reassembly_check(all);
	if (body.size)
		sleeve_frame_read(&frame, &r);
}

/* Every part that is handed out can be made a frame of. */
static void couple(struct train *t, const struct sleeve_fragment *f, uint64_t ms)
{
	static uint8_t out[SLEEVE_BODY_MAX];
	struct bytes body = train_add(t, f, (struct mono){ ms });
	struct reader r = reader_over(body.data, body.size);
	struct sleeve_frame frame;
	struct train_part part;

	if (body.size)
		sleeve_partial_read(&frame, &r);
	/* Now and then, as the next datagram does. */
	if (f->id & 1)
		train_take_back(t);
	while (train_next(t, &part))
		offload_part(&part.layout, part.frame.frame.data, part.first, part.count, out);
	train_check(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct train *train;
	struct reader r = reader_over(data, size);
	struct reassembly all = { 0 };
	struct sleeve_header header;
	struct sleeve_record record = { 0 };
	struct writer w;
	uint8_t *copy;

	if (sleeve_header_read(&header, &r) || sleeve_records_check(r))
		return 0;
	train = mem_new(1, sizeof *train);
	copy = mem_new(1, size);
	w = writer_over(copy, size);
	sleeve_header_write(&header, &w);
	for (uint64_t ms = 0; reader_left(&r); ms += 100) {
		MUST(!sleeve_record_read(&record, &r));
		encode(&record, &w, size);
		if (record.type == SLEEVE_FRAGMENT)
			join(&all, &record.fragment, ms);
		if (record.type == SLEEVE_PIECE)
			couple(train, &record.fragment, ms);
		reassembly_tick(&all, (struct mono){ ms });
		train_tick(train, (struct mono){ ms });
	}
	MUST(!w.full && writer_size(&w) == size);
	MUST(record.type == SLEEVE_PROBE || record.type == SLEEVE_PADDING ||
	     memcmp(copy, data, size) == 0);
	mem_free(copy);
	train_fini(train);
	mem_free(train);
	reassembly_fini(&all);
	return 0;
}
