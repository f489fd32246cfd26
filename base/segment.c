#include <weave/segment.h>

#include <string.h>

#include <weave/hash.h>

static bool letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool segment_key_ok(const char *key)
{
	size_t n = 0;

	if (!letter_or_digit(key[0]))
		return false;
	for (; key[n]; n++)
		if (n == SEGMENT_KEY_MAX || (!letter_or_digit(key[n]) && !strchr("_.:/-", key[n])))
			return false;
	return true;
}

uint32_t segment_number_of(const char *key)
{
	/* "weave.3 segment " */
	static const struct hash_key hash = { 0x77656176652e3320, 0x7365676d656e7420 };

	if (strcmp(key, SEGMENT_DEFAULT_KEY) == 0)
		return SEGMENT_DEFAULT;
	return (uint32_t)(hash64(&hash, key, strlen(key)) % SEGMENT_MAX) + 1;
}
