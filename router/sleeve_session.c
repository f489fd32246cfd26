#include "sleeve_session.h"

static uint64_t *word_of(struct sleeve_session *s, uint64_t counter)
{
	return &s->window[counter / 64 % REPLAY_WORDS];
}

static uint64_t bit_of(uint64_t counter)
{
	return UINT64_C(1) << (counter % 64);
}

bool session_fresh(const struct sleeve_session *s, uint64_t counter)
{
	if (!counter)
		return false;
	if (counter > s->heard)
		return true;
	if (s->heard - counter >= REPLAY_WINDOW)
		return false;
	return !(s->window[counter / 64 % REPLAY_WORDS] & bit_of(counter));
}

bool session_accept(struct sleeve_session *s, uint64_t counter)
{
	if (!session_fresh(s, counter))
		return false;
	if (counter > s->heard) {
		uint64_t words = counter / 64 - s->heard / 64;

		if (words > REPLAY_WORDS)
			words = REPLAY_WORDS;
		for (uint64_t i = 0; i < words; i++)
			*word_of(s, counter - i * 64) = 0;
		s->heard = counter;
	}
	*word_of(s, counter) |= bit_of(counter);
	return true;
}
