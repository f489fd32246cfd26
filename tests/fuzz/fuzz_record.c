/* Sealed records with somebody between: the input says which are passed on, changed, cut or made
 * up. What opens is what was sealed, in its order, from the first one on.
 */
#include <stdint.h>
#include <string.h>

#include <sodium.h>

#include <weave/must.h>

#include "../../gossip/session_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct ends {
	struct session_out out;
	struct session_in in;
	uint32_t sealed, arrived;
	bool changed; /* something before this was */
	bool useless; /* the receiver has said so */
};

static uint8_t opened[FRAME_SIZE_MAX], room[SESSION_ROOM];

static size_t body_size(uint32_t number)
{
	return number * 37 % 200;
}

static struct bytes seal_next(struct ends *e)
{
	struct writer w = writer_over(room + SESSION_HEAD_ROOM, FRAME_SIZE_MAX);
	size_t mark = session_begin(&w, (uint8_t)e->sealed);

	memset(write_room(&w, body_size(e->sealed)), (int)e->sealed, body_size(e->sealed));
	session_end(&w, mark);
	e->sealed++;
	return session_seal(&e->out, room, writer_size(&w));
}

static void check(const struct ends *e, const struct frame *f)
{
	MUST(!e->changed && e->arrived < e->sealed);
	MUST(f->type == (uint8_t)e->arrived && f->body.size == body_size(e->arrived));
	for (size_t i = 0; i < f->body.size; i++)
		MUST(f->body.data[i] == (uint8_t)e->arrived);
}

static void arrive(struct ends *e, const uint8_t *data, size_t size)
{
	struct bytes from = bytes_of(data, size);
	const char *bad = NULL;
	struct frame f;

	while (!e->useless) {
		switch (session_next(&e->in, &from, &f, &bad)) {
		case SESSION_MORE:
			MUST(from.size == 0);
			return;
		case SESSION_FRAME:
			check(e, &f);
			e->arrived++;
			break;
		case SESSION_BAD:
		case SESSION_FORGED:
			MUST(e->changed);
			e->useless = true;
			break;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t key[RECORD_KEY_SIZE] = { 9 };
	const uint8_t *end = size ? data + size : data;
	struct ends e = { 0 };

	MUST(sodium_init() >= 0);
	session_out_seal(&e.out, key);
	session_in_seal(&e.in, key, opened);
	while (data < end && !e.useless) {
		uint8_t what = *data++, arg = data < end ? *data++ : 0;
		size_t left = (size_t)(end - data);
		struct bytes record;
		uint8_t copy[512];

		switch (what % 5) {
		case 0:
		case 1: /* as it is, in two pieces */
			record = seal_next(&e);
			arrive(&e, record.data, arg % record.size);
			arrive(&e, record.data + arg % record.size,
			       record.size - arg % record.size);
			break;
		case 2: /* a changed byte */
			record = seal_next(&e);
			memcpy(copy, record.data, record.size);
			copy[what % record.size] ^= arg;
			e.changed |= arg != 0;
			arrive(&e, copy, record.size);
			break;
		case 3: /* lost */
			seal_next(&e);
			e.changed = true;
			break;
		case 4: /* made up */
			left = arg < left ? arg : left;
			e.changed |= left > 0;
			arrive(&e, data, left);
			data += left;
			break;
		}
	}
	session_in_fini(&e.in);
	session_out_fini(&e.out);
	return 0;
}
