/* Two ends of a handshake with passwords and somebody between, who does what the input says: to
 * each message it passes on, changes bytes, drops it, or says something instead.  Whatever it does,
 * both ends are never done with different keys, nor with equal ones after a change.
 */
#include <stdint.h>
#include <string.h>

#include <sodium.h>

#include <weave/must.h>

#include "../../gossip/handshake_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *at, *end;
};

static uint8_t next(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

struct side {
	struct handshake h;
	struct passwords passwords;
};

static void init(struct side *s, bool dialled, uint8_t which, struct bytes *said, uint8_t *room)
{
	static const char *const texts[] = { "one", "two", "three" };
	struct writer w = writer_over(room, PREAMBLE_SIZE);

	s->passwords = (struct passwords){ 0 };
	for (uint32_t i = 0; i < 3 && s->passwords.count < PASSWORDS_MAX; i++) {
		struct password *p = &s->passwords.list[s->passwords.count];

		if (!(which >> i & 1))
			continue;
		p->id = i + 1;
		p->size = (uint16_t)strlen(texts[i]);
		memcpy(p->bytes, texts[i], p->size);
		s->passwords.count++;
	}
	handshake_init(&s->h, dialled, s->passwords.count > 0, 3, 3);
	preamble_encode(3, 3, &w);
	*said = writer_bytes(&w);
}

static void feed(struct side *s, struct bytes from)
{
	uint8_t entropy[HANDSHAKE_ENTROPY_SIZE];
	enum handshake_state before;
	struct why why;

	memset(entropy, s->h.dialled ? 1 : 2, sizeof entropy);
	do {
		before = s->h.state;
		handshake_feed(&s->h, &from, &why);
		if (s->h.state != before && s->h.password &&
		    (s->h.state == HANDSHAKE_OFFERED ||
		     (s->h.state == HANDSHAKE_HELLO && s->h.dialled)))
			handshake_offer(&s->h, &s->passwords, entropy, &why);
	} while (s->h.state != before);
	MUST(s->h.size <= HANDSHAKE_SIZE_MAX);
}

/* True when what arrives is not what was said. */
static bool meddle(struct input *in, struct bytes *said, uint8_t *room)
{
	uint8_t what = next(in), count;

	switch (what % 4) {
	case 1: /* other bytes here and there */
		memcpy(room, said->data, said->size);
		for (count = 1 + what / 64; count; count--)
			room[next(in) % said->size] ^= next(in);
		if (memcmp(room, said->data, said->size) == 0)
			return false;
		*said = bytes_of(room, said->size);
		return true;
	case 2: /* nothing */
		*said = bytes_of(NULL, 0);
		return true;
	case 3: /* something else */
		count = next(in);
		for (uint8_t i = 0; i < count; i++)
			room[i] = next(in);
		*said = bytes_of(room, count);
		return true;
	default:
		return false;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct side side[2];
	static uint8_t preamble[2][PREAMBLE_SIZE], room[2048];
	struct input in = { data, size ? data + size : data };
	struct bytes said[2];
	bool changed = false, done;

	MUST(sodium_init() >= 0);
	for (int i = 0; i < 2; i++)
		init(&side[i], i == 0, next(&in), &said[i], preamble[i]);
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 2; i++) {
			if (said[i].size == 0)
				continue;
			changed |= meddle(&in, &said[i], room);
			feed(&side[!i], said[i]);
			said[i] = bytes_of(NULL, 0);
			if (said[!i].size == 0)
				said[!i] = handshake_output(&side[!i].h);
		}
	}
	done = side[0].h.state == HANDSHAKE_DONE && side[1].h.state == HANDSHAKE_DONE;
	if (done && side[0].h.password && side[1].h.password) {
		uint8_t one[DERIVED_SIZE], other[DERIVED_SIZE];

		MUST(!changed);
		key_exchange_derive(&side[0].h.keys, LABEL_BINDING, one);
		key_exchange_derive(&side[1].h.keys, LABEL_BINDING, other);
		MUST(sodium_memcmp(one, other, sizeof one) == 0);
		MUST(key_exchange_password(&side[0].h.keys) ==
		     key_exchange_password(&side[1].h.keys));
	}
	MUST(!done || side[0].h.password == side[1].h.password);
	return 0;
}
