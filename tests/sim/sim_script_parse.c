#include "sim_script_parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_clock.h"

size_t script_words(const char *line, char words[][SCRIPT_WORD_SIZE])
{
	size_t count = 0;

	for (;;) {
		size_t n;

		line += strspn(line, " \t\r\n");
		n = strcspn(line, " \t\r\n#");
		if (n == 0)
			return count;
		if (count == SCRIPT_WORDS_MAX || n >= SCRIPT_WORD_SIZE)
			return SIZE_MAX;
		memcpy(words[count], line, n);
		words[count++][n] = 0;
		line += n;
		if (*line == '#')
			return count;
	}
}

static bool parse_number(const char **at, uint64_t *out)
{
	char *end;

	if (**at < '0' || **at > '9')
		return false;
	*out = strtoull(*at, &end, 10);
	*at = end;
	return true;
}

static bool parse_router(const char **at, uint32_t routers, uint32_t *out)
{
	uint64_t n;

	if (!parse_number(at, &n) || n == 0 || n > routers)
		return false;
	*out = (uint32_t)n - 1;
	return true;
}

static bool parse_time(const char *word, struct script_value *out)
{
	static const struct {
		const char *unit;
		uint64_t us;
	} units[] = { { "ms", SIM_MS },	 { "s", SIM_S },	 { "m", 60 * SIM_S },
		      { "h", SIM_HOUR }, { "d", 24 * SIM_HOUR }, { "y", 8766 * SIM_HOUR } };

	if (*word == '-' || *word == '+')
		out->negative = *word++ == '-';
	if (!parse_number(&word, &out->number))
		return false;
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		if (strcmp(word, units[i].unit) == 0) {
			out->number *= units[i].us;
			return true;
		}
	return false;
}

static bool parse_link(const char *word, uint32_t routers, struct script_value *out)
{
	if (!parse_router(&word, routers, &out->a) || (*word != '-' && *word != '>'))
		return false;
	out->both = *word++ == '-';
	return parse_router(&word, routers, &out->b) && !*word && out->a != out->b;
}

/* "10%", "0.5%": in millionths. */
static bool parse_percent(const char *word, struct script_value *out)
{
	char *end;
	double v = strtod(word, &end);

	if (end == word || strcmp(end, "%") != 0 || v < 0 || v > 100)
		return false;
	out->number = (uint64_t)(v * 10000 + 0.5);
	return true;
}

static bool parse_members(const char *word, uint32_t routers, struct script_value *out)
{
	uint32_t low, high;

	for (;;) {
		if (!parse_router(&word, routers, &low))
			return false;
		high = low;
		if (*word == '-' && (word++, !parse_router(&word, routers, &high)))
			return false;
		for (uint32_t i = low; i <= high; i++) {
			if (i >= 64)
				return false;
			out->number |= UINT64_C(1) << i;
		}
		if (*word != ',')
			return !*word;
		word++;
	}
}

bool script_value_parse(const char *word, char type, uint32_t routers, struct script_value *out)
{
	const char *at = word;
	uint32_t router;

	*out = (struct script_value){ 0 };
	snprintf(out->text, sizeof out->text, "%s", word);
	switch (type) {
	case 'r':
		if (!parse_router(&at, routers, &router) || *at)
			return false;
		out->number = router;
		return true;
	case 'n':
		return parse_number(&at, &out->number) && !*at;
	case 'l':
		return parse_link(word, routers, out);
	case 't':
		return parse_time(word, out);
	case 'p':
		return parse_percent(word, out);
	case 'm':
		return parse_members(word, routers, out);
	case 'w':
		return true;
	}
	return false;
}
